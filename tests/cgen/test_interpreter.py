"""The loops of a graph, run in Python, give what the compiled function gives."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from graphs import Graph, random_graph

import jitgraph
import jitgraph.tensor as T
from jitgraph.cgen.interpret import KernelRun, interpret
from jitgraph.cgen.ir import Buffer, For, Let, Load, Poly, Ref, Store
from jitgraph.mode import Mode
from jitgraph.ops.nnet import pick
from jitgraph.tensor.indexing import inc_subtensor, set_subtensor

AS_WRITTEN = Mode("c", None).including("fusion")


def interpreted(function: Any, arguments: list[np.ndarray]) -> list[np.ndarray]:
    plan = function.compiled.plan()
    constants = [v.data for v in plan.inputs[len(arguments) :]]
    return interpret(plan, [*arguments, *constants])


@pytest.mark.parametrize("seed", range(100_000, 100_025))
def test_random_graphs(seed: int) -> None:
    graph = random_graph(seed, 12, rewritten=False)
    if sum(a.size for a in graph.expected) > 2000:
        graph = random_graph(seed + 1_000_000, 5, rewritten=False)
    f = jitgraph.function(graph.inputs, graph.outputs, mode=AS_WRITTEN, on_unused_input="ignore")
    assert not graph.complaint(f(*graph.values))
    assert not graph.complaint(interpreted(f, graph.values))


x, y, b, v = T.matrix("x"), T.matrix("y"), T.vector("b"), T.vector("v")
labels, n = T.lvector("labels"), T.lscalar("n")
EXPRESSIONS: dict[str, tuple[list[Any], Any]] = {
    "chain": ([x], (x * 2 + 1) / (x * x + 1)),
    "bias": ([x, b], x + b),
    "total": ([x], x.sum()),
    "rows": ([x], x.sum(axis=1)),
    "columns": ([x], x.sum(axis=0)),
    "columns of float32": ([x], x.astype("float32").sum(axis=0)),
    "middle": ([x, b], (x.dimshuffle(0, "x", 1) * b.dimshuffle(0, "x")).sum(axis=(0, 2))),
    "softmax": ([x], T.nnet.softmax(x)),
    "argmax": ([x], T.argmax(x, axis=1)),
    "argmax of columns": ([x], T.argmax(x, axis=0)),
    "dot": ([x, y], T.dot(x, y.T) + 1),
    "slice": ([x, n], x[::-1, n:]),
    "write": ([x, b], set_subtensor(x[1:, ::2], 7.0)),
    "add to part": ([x, b], inc_subtensor(x[0], b)),
    "join": ([x, y], T.concatenate([x, y], axis=1)),
    "pick": ([x, labels], -pick(T.log(T.nnet.softmax(x)), labels).mean()),
}


@pytest.mark.parametrize("name", EXPRESSIONS)
def test_features(name: str) -> None:
    inputs, output = EXPRESSIONS[name]
    rng = np.random.default_rng(0)
    data = {x: rng.normal(size=(3, 4)), y: rng.normal(size=(3, 4)), b: rng.normal(size=4)}
    values = [{**data, labels: np.array([3, 0, 1]), n: np.asarray(1)}[v] for v in inputs]
    f = jitgraph.function(inputs, output, on_unused_input="ignore")
    # Both round every operation alike; only the order of sums differs, of twelve terms at most.
    np.testing.assert_allclose(interpreted(f, values)[0], f(*values), rtol=1e-14, atol=1e-15)


def test_an_address_outside_its_buffer_is_an_error() -> None:
    """The interpreter checks what C would not."""
    source = Buffer("a", "float64", (Poly.name("n"),), "in")
    target = Buffer("z", "float64", (Poly.name("n"),), "out")
    i = Poly.name("i")
    shifted = Load(source, i + Poly.const(1), "float64")
    body = (Let("t", "float64", shifted), Store(target, i, Ref("t", "float64")))
    memory = {"a": np.arange(3.0), "z": np.zeros(3)}
    with pytest.raises(ValueError, match="reshape"):
        KernelRun(memory, {"n": 3}).run((For("i", Poly.name("n"), body),))


def test_the_interpreter_shows_a_wrong_loop() -> None:
    """A kernel with one loop cut short gives another result: lowering is really what is run."""
    f = jitgraph.function([x], [x.sum(axis=1)])
    graph = Graph(0, [x], [np.ones((2, 5))], [x.sum(axis=1)], True)
    segment = next(s for s in f.compiled.plan().segments if s is not None)
    assert not graph.complaint(interpreted(f, graph.values))
    kernel = segment.kernels[0]
    outer = kernel.body[0]
    assert isinstance(outer, For)
    short = For(outer.var, outer.extent + Poly.const(-1), outer.body)
    object.__setattr__(kernel, "body", (short, *kernel.body[1:]))
    assert "output 0" in graph.complaint(interpreted(f, graph.values))
