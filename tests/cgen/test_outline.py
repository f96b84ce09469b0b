"""Calls of vector functions on blocks give the bits that the written-out calls give."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from graphs import random_graph
from values import same_bits

import jitgraph
import jitgraph.tensor as T
from jitgraph.cgen import segment
from jitgraph.cgen.interpret import interpret

x, b = T.matrix("x"), T.vector("b")
labels = T.lvector("labels")


@pytest.fixture
def outlined(
    monkeypatch: pytest.MonkeyPatch, changed_compiler: Callable[[], None]
) -> Callable[[Any, Any], Any]:
    """A function that compiles a graph with every vector function called on blocks."""

    def compiled(inputs: Any, outputs: Any) -> Any:
        changed_compiler()
        monkeypatch.setattr(segment, "MOST_INLINE", 0)
        return jitgraph.function(inputs, outputs, on_unused_input="ignore")

    return compiled


EXPRESSIONS: dict[str, Any] = {
    "chain": T.exp(T.tanh(x + b) * 2) - T.sin(x),
    "rows": T.exp(x - b).sum(axis=1),
    "columns": T.log1p(T.exp(x)).sum(axis=0),
    "total": T.nnet.sigmoid(x).mean(),
    "softmax": T.nnet.softmax(T.tanh(x) + b),
    "powers": T.pow(T.exp(x), 2.5) + T.pow(1.5, x) + T.exp(b[0]) * x,
    "integers": T.cast(T.floor(T.exp(x)), "int64") // 3 + T.cast(T.tanh(x) > 0, "int64"),
    "gather": T.exp(x)[labels] * T.tanh(b),
    "transposed": T.exp(x.T) + T.cos(b.dimshuffle(0, "x")),
    "float32": T.tanh(T.cast(x, "float32")) * T.exp(T.cast(b, "float32")),
    "argmax": T.argmax(T.tanh(x) * b, axis=1),
}


@pytest.mark.parametrize("name", EXPRESSIONS)
@pytest.mark.parametrize("shape", [(3, 4), (1, 1), (0, 5), (7, 513), (600, 3)])
def test_the_same_bits(name: str, shape: tuple[int, int], outlined: Any) -> None:
    inputs, output = [x, b, labels], EXPRESSIONS[name]
    rng = np.random.default_rng(3)
    values = [
        rng.normal(size=shape),
        rng.normal(size=shape[1]),
        rng.integers(0, max(shape[0], 1), 4 if shape[0] else 0),
    ]
    wanted = jitgraph.function(inputs, output, on_unused_input="ignore")(*values)
    f = outlined(inputs, output)
    assert "many_" in f.c_source
    assert same_bits(f(*values), wanted)


@pytest.mark.parametrize("seed", range(300_000, 300_040))
def test_random_graphs(seed: int, outlined: Any) -> None:
    graph = random_graph(seed, 20)
    f = outlined(graph.inputs, graph.outputs)
    assert not graph.complaint(f(*graph.values))


def test_interpreted(outlined: Any) -> None:
    f = outlined([x, b], EXPRESSIONS["chain"])
    values = [np.random.default_rng(1).normal(size=(4, 600)), np.ones(600)]
    np.testing.assert_allclose(interpret(f.compiled.plan(), values)[0], f(*values), rtol=1e-13)


def test_a_program_with_very_many_calls() -> None:
    """1,500 operations, 500 of them vector functions: one copy of the function in the C."""
    v = T.vector("v")
    y = v
    values = np.linspace(-1, 1, 1000)
    wanted = values
    for k in range(500):
        y = T.tanh(y * (1 + k / 500) + v)
        wanted = np.tanh(wanted * (1 + k / 500) + values)
    f = jitgraph.function([v], y)
    np.testing.assert_allclose(f(values), wanted, rtol=1e-12)
    assert f.c_source.count("jg_tanh_f64") == 1
