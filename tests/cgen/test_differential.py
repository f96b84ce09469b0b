"""Compiled random graphs against the NumPy reference (`graphs.py`, `bounds.py`).

Most graphs are compiled many at a time and without the C compiler's optimisations, which are not
what is tested here: that keeps 2,000 graphs to minutes. Some are compiled alone, as users do.
A failure prints the seed and the smallest graph that still fails.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from graphs import Graph, minimised, random_graph, shown
from values import same_bits

import jitgraph
from jitgraph.cgen.emit import Emitter
from jitgraph.config import config
from jitgraph.graph import TensorType, toposort
from jitgraph.mode import Mode
from jitgraph.ops.reduce import reduce_of
from jitgraph.ops.scalar import FUNCTIONS
from jitgraph.reference import evaluate
from jitgraph.runtime import cache as cache_module
from jitgraph.runtime.cache import Cache
from jitgraph.runtime.threads import num_threads

# Fused, but the graph as it is: results are then bit for bit those of NumPy, or rounded alike.
AS_WRITTEN = Mode("c", None).including("fusion")
# How many graphs are tried: JITGRAPH_TEST_GRAPHS=20000 for a campaign.
SCALE = float(os.environ.get("JITGRAPH_TEST_GRAPHS", 2000)) / 2000
BATCH = 25


@contextmanager
def cflags(text: str) -> Iterator[None]:
    before = config.cflags
    config.cflags = text
    try:
        yield
    finally:
        config.cflags = before


@contextmanager
def fresh_cache() -> Iterator[None]:
    """What is compiled here is neither taken from others nor left to them."""
    with tempfile.TemporaryDirectory() as directory, pytest.MonkeyPatch.context() as patch:
        patch.setattr(cache_module, "default_cache", lambda: Cache(directory))
        yield


def compiled(graphs: Sequence[Graph], mode: Any) -> Any:
    """One function of the inputs and outputs of all graphs."""
    inputs = [v for g in graphs for v in g.inputs]
    outputs = [v for g in graphs for v in g.outputs]
    return jitgraph.function(inputs, outputs, mode=mode, on_unused_input="ignore")


def complaints(graphs: Sequence[Graph], mode: Any) -> list[str]:
    """What each graph gets wrong when all are compiled together."""
    results = compiled(graphs, mode)(*(a for g in graphs for a in g.values))
    found = []
    for g in graphs:
        found.append(g.complaint(results[: len(g.outputs)]))
        results = results[len(g.outputs) :]
    return found


def complaint(graph: Graph, mode: Any) -> str:
    """What is wrong with a graph compiled alone, be it an exception."""
    try:
        return complaints([graph], mode)[0]
    except Exception as error:
        return f"{type(error).__name__}: {error}"


def report(graph: Graph, mode: Any) -> str:
    """The smallest graph that goes wrong in the same way."""
    kind = complaint(graph, mode).split(" ")[0]
    small = minimised(graph, lambda g: complaint(g, mode).split(" ")[0] == kind)
    return f"seed {graph.seed}: {complaint(small, mode)}\n{shown(small)}"


def assert_right(graphs: Sequence[Graph], mode: Any) -> None:
    try:
        wrong = [g for g, c in zip(graphs, complaints(graphs, mode), strict=True) if c]
    except Exception:
        wrong = [g for g in graphs if complaint(g, mode)]
        if not wrong:
            raise  # they fail together only
    assert not wrong, "\n\n".join(report(g, mode) for g in wrong[:3])


def sizes(seed: int) -> int:
    """1 to 60 ops, small graphs more often."""
    return 1 + int(59 * np.random.default_rng(seed).random() ** 3)


def seeds(first: int, count: int) -> list[Any]:
    """Parameters: the first seed of each batch."""
    total = max(BATCH, int(count * SCALE))
    return [
        pytest.param(range(k, k + BATCH), id=str(k)) for k in range(first, first + total, BATCH)
    ]


@pytest.mark.parametrize("batch", seeds(0, 1000))
def test_rewritten_graphs(batch: range) -> None:
    """All rewrites and fusion; values of everyday size, results within the propagated bounds."""
    with cflags("-O0"):
        assert_right([random_graph(s, sizes(s)) for s in batch], "FAST_RUN")


@pytest.mark.parametrize("batch", seeds(10_000, 500))
def test_graphs_as_written(batch: range) -> None:
    """Fusion only: bit for bit wherever all ops on the path are exact."""
    graphs = [random_graph(s, sizes(s), rewritten=False) for s in batch]
    with cflags("-O0"):
        assert_right(graphs, AS_WRITTEN)


@pytest.mark.parametrize("batch", seeds(20_000, 300))
def test_extreme_values(batch: range) -> None:
    """nan, infinities, subnormals and the ends of the integers as data."""
    graphs = [random_graph(s, sizes(s), rewritten=False, extreme=True) for s in batch]
    with cflags("-O0"):
        assert_right(graphs, AS_WRITTEN)


@pytest.mark.parametrize("batch", seeds(30_000, 50))
def test_optimised_code(batch: range) -> None:
    """The flags of users, many graphs in a function."""
    assert_right([random_graph(s, sizes(s)) for s in batch], "FAST_RUN")


@pytest.mark.parametrize("batch", seeds(35_000, 75))
def test_optimised_code_and_extreme_values(batch: range) -> None:
    """What an optimiser may take for granted of signed zeros, nan and integers shows here."""
    graphs = [random_graph(s, sizes(s), rewritten=False, extreme=True) for s in batch]
    assert_right(graphs, AS_WRITTEN)


@pytest.mark.parametrize("seed", range(40_000, 40_000 + int(150 * max(1, SCALE))))
def test_graphs_alone(seed: int) -> None:
    """The flags of users, one graph in a function, all rewrites on even seeds."""
    rewritten = seed % 2 == 0
    graph = random_graph(seed, sizes(seed), rewritten=rewritten)
    mode = "FAST_RUN" if rewritten else AS_WRITTEN
    found = complaint(graph, mode)
    assert not found, report(graph, mode)


# -- the same program, run otherwise --------------------------------------------------------------


@pytest.mark.parametrize("batch", seeds(50_000, 25))
def test_without_fusion(batch: range) -> None:
    with cflags("-O0"):
        assert_right([random_graph(s, sizes(s)) for s in batch], "FAST_COMPILE")


def in_c_order(graph: Graph) -> list[np.ndarray]:
    return [np.array(a, order="C") for a in graph.values]


def strided(graph: Graph) -> list[np.ndarray]:
    """Every other element of a wider array, the last axis reversed."""
    result = []
    for a in graph.values:
        if a.ndim:
            wide = np.zeros([*a.shape[:-1], 2 * a.shape[-1]], a.dtype)
            view = wide[..., ::-2]
            view[...] = a
            a = view
        result.append(a)
    return result


@pytest.mark.parametrize("batch", seeds(60_000, 25))
def test_memory_order_changes_no_bit(batch: range) -> None:
    graphs = [random_graph(s, sizes(s)) for s in batch]
    f = compiled(graphs, "FAST_RUN")
    plain = f(*(a for g in graphs for a in in_c_order(g)))
    for got, want in zip(f(*(a for g in graphs for a in strided(g))), plain, strict=True):
        assert same_bits(got, want)


@pytest.mark.parametrize("kind", ["sum", "prod", "max", "argmin", "any"])
@pytest.mark.parametrize("shape", [(70_001,), (300, 401), (3, 50_003), (20_001, 3)])
def test_threads_change_no_bit(kind: str, shape: tuple[int, ...]) -> None:
    """Large enough for several threads, as a whole and along each axis."""
    rng = np.random.default_rng(sum(shape))
    for dtype in ("float32", "float64", "int32"):
        data = rng.uniform(0.5, 1.5, shape) if dtype != "int32" else rng.integers(-99, 99, shape)
        data = data.astype(dtype)
        x = TensorType(dtype, [False] * len(shape))("x")
        outputs = [reduce_of(kind, x * 2, axis) for axis in [None, *range(len(shape))]]
        f = jitgraph.function([x], [*outputs, x * 3 + 1])
        with num_threads(1):
            alone = f(data)
        for count in (2, 3, 7):
            with num_threads(count):
                for got, want in zip(f(data), alone, strict=True):
                    assert same_bits(got, want), f"{count} threads, {dtype}"
        for got, out in zip(alone, outputs, strict=False):
            want = evaluate([out], {x: data})[0]
            # Sums of n positive terms and products near 1: n roundings of either side at most.
            exact = dtype == "int32" or kind in ("max", "argmin", "any")
            np.testing.assert_allclose(got, want, rtol=0 if exact else 2e-7)


@pytest.mark.skipif(shutil.which("clang") is None, reason="needs a second compiler")
@pytest.mark.parametrize("batch", seeds(70_000, 100))
def test_another_compiler(batch: range) -> None:
    """clang computes what gcc does: bit for bit, because contraction and reordering are off."""
    graphs = [random_graph(s, sizes(s), rewritten=False) for s in batch]
    before = config.cc
    with cflags("-O1"):
        first = compiled(graphs, AS_WRITTEN)
        config.cc = "clang"
        try:
            second = compiled(graphs, AS_WRITTEN)
        finally:
            config.cc = before
    arguments = [a for g in graphs for a in g.values]
    assert second.compile_report()["entry"] != first.compile_report()["entry"]
    for k, (got, want) in enumerate(zip(second(*arguments), first(*arguments), strict=True)):
        assert same_bits(got, want), f"output {k}"


@pytest.mark.parametrize("batch", seeds(75_000, 25))
def test_reference_mode(batch: range) -> None:
    """`mode='reference'` is the very evaluation that everything else is compared with."""
    graphs = [random_graph(s, sizes(s), rewritten=False) for s in batch]
    results = compiled(graphs, "reference")(*(a for g in graphs for a in g.values))
    wanted = [a for g in graphs for a in g.expected]
    for got, want in zip(results, wanted, strict=True):
        assert same_bits(got, want)


def run_sanitised() -> None:
    """In a child process: undefined behaviour ends it with a signal.

    Floats that no integer holds are cast as NumPy casts them, by the machine's instruction; gcc
    does not count that among the undefined, other compilers have to be told.
    """
    with cflags(
        "-O1 -fsanitize=undefined -fno-sanitize=float-cast-overflow "
        "-fsanitize-undefined-trap-on-error"
    ):
        for first in range(76_000, 76_100, BATCH):
            graphs = [
                random_graph(s, sizes(s), rewritten=False, extreme=s % 2 == 0)
                for s in range(first, first + BATCH)
            ]
            assert_right(graphs, AS_WRITTEN)
    print("clean")


def test_no_undefined_behaviour() -> None:
    here = Path(__file__).parent
    search = f"{here}:{here.parent}:{Path(jitgraph.__file__).parents[1]}"
    done = subprocess.run(
        [sys.executable, "-c", "import test_differential; test_differential.run_sanitised()"],
        env={**os.environ, "PYTHONPATH": search},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0 and done.stdout.endswith("clean\n"), done.stderr[-2000:]


# -- wrong arguments ------------------------------------------------------------------------------


def with_another_length(graph: Graph) -> list[np.ndarray] | None:
    """The graph's arguments with one axis of one array longer by one or two."""
    rng = np.random.default_rng(graph.seed)
    open_axes = [
        (k, axis)
        for k, (v, a) in enumerate(zip(graph.inputs, graph.values, strict=True))
        for axis, n in enumerate(a.shape)
        if n > 1 and not v.type.broadcastable[axis]
    ]
    if not open_axes:
        return None
    k, axis = open_axes[int(rng.integers(len(open_axes)))]
    values = list(graph.values)
    extra = np.take(values[k], [0] * int(rng.integers(1, 3)), axis=axis)
    values[k] = np.concatenate([values[k], extra], axis=axis)
    return values


def outcome(run: Callable[[], Any]) -> Any:
    """What a call returns, or the exception it raises."""
    try:
        return run()
    except Exception as error:
        return error


@pytest.mark.parametrize("batch", seeds(80_000, 100))
def test_wrong_lengths_are_the_same_errors(batch: range) -> None:
    """The class of the reference's exception, or a result where the length is no error."""
    graphs = [random_graph(s, sizes(s), rewritten=False) for s in batch]
    with cflags("-O0"):
        f = compiled(graphs, AS_WRITTEN)
    raised = 0
    for k, g in enumerate(graphs):
        values = with_another_length(g)
        if values is None:
            continue
        want = outcome(
            lambda g=g, v=values: evaluate(g.outputs, dict(zip(g.inputs, v, strict=True)))
        )
        before = [a for h in graphs[:k] for a in h.values]
        after = [a for h in graphs[k + 1 :] for a in h.values]
        got = outcome(lambda b=before, v=values, a=after: f(*b, *v, *a))
        same = type(got) is type(want)
        assert same, f"seed {g.seed}: {got!r:.300} instead of {want!r:.300}\n{shown(g)}"
        if isinstance(want, Exception):
            raised += 1
            continue
        skip = sum(len(h.outputs) for h in graphs[:k])
        for mine, its in zip(got[skip:], want, strict=False):
            assert mine.shape == its.shape, f"seed {g.seed}"
    assert raised > 2  # most changes are errors


# -- the tester tested ----------------------------------------------------------------------------


def found_by(graphs: Sequence[Graph], mode: Any) -> int:
    return sum(bool(complaint(g, mode)) for g in graphs)


def small_graphs(first: int) -> list[Graph]:
    return [random_graph(s, 10, rewritten=False) for s in range(first, first + BATCH)]


def test_a_wrong_template_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """maximum that forgets nan, division the wrong way round, and so on: one at a time."""
    for name, template in (
        ("sub", "{1} - {0}"),
        ("ge", "{0} > {1}"),
        ("switch", "{0} ? {2} : {1}"),
        ("true_div", "{0} * (1 / {1})"),
    ):
        graphs = [
            g
            for g in (random_graph(s, 12, rewritten=False) for s in range(90_000, 90_200))
            if any(n.op.name == name for n in toposort(g.outputs))
        ][:16]
        function = FUNCTIONS[name]
        wrong = replace(function, c=template)
        monkeypatch.setitem(FUNCTIONS, name, wrong)
        with cflags("-O0"), fresh_cache():
            try:
                assert found_by(graphs, AS_WRITTEN) >= 2, name
            finally:
                monkeypatch.undo()


def test_a_reduction_that_misses_an_element_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """For loops that end one early, as an off-by-one of the emitter would have it."""
    original = Emitter.loop

    def short(self: Emitter, s: Any, depth: int, begin: str, end: str) -> None:
        original(self, s, depth, begin, f"({end}) - 1")

    monkeypatch.setattr(Emitter, "loop", short)
    with cflags("-O0"), fresh_cache():
        assert found_by(small_graphs(91_000), AS_WRITTEN) > BATCH // 2


def test_minimising_keeps_the_failure_and_drops_the_rest() -> None:
    graph = random_graph(20, 30)
    node = toposort(graph.outputs)[len(toposort(graph.outputs)) // 2]
    small = minimised(graph, lambda g: any(n.op == node.op for n in toposort(g.outputs)))
    assert small.size < graph.size
    assert any(n.op == node.op for n in toposort(small.outputs))
