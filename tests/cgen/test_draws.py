"""Philox draws made within the loops that read them: the same numbers as the draw in memory."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import jitgraph
import jitgraph.tensor as T
from jitgraph.cgen.interpret import interpret
from jitgraph.random import PhiloxStreams
from jitgraph.runtime.threads import get_num_threads, set_num_threads

x = T.dmatrix("x")
b = T.dvector("b")

# What is computed of a draw, and whether the draw then needs no memory.
USES: dict[str, tuple[Callable[[Any], Any], bool]] = {
    "chain": (lambda u: T.exp(-u) * 2, True),
    "sum": (lambda u: (u * 2).sum(), True),
    "rows": (lambda u: T.exp(u).sum(axis=1), True),
    "columns": (lambda u: (u + 1).sum(axis=0), True),
    "mask": (lambda u: x * (u < 0.5), True),
    "bias": (lambda u: (u + b).max(axis=1), True),
    "softmax": (lambda u: T.nnet.softmax(u + b), True),
    "itself": (lambda u: u, False),
    "twice": (lambda u: T.exp(u) + u.T.sum(), False),
    "transposed": (lambda u: (u * 2).T, False),
    "reversed": (lambda u: (u * 2)[::-1, ::-1], False),
    "product": (lambda u: T.dot(u * 2, b), True),
}
SHAPE = (37, 61)


def compiled(name: str, draw: Callable[[PhiloxStreams], Any], mode: str | None = None) -> Any:
    use, _ = USES[name]
    return jitgraph.function(
        [x, b], use(draw(PhiloxStreams(11))), mode=mode, on_unused_input="ignore"
    )


@pytest.mark.parametrize("name", USES)
@pytest.mark.parametrize(
    "draw",
    [
        lambda s: s.uniform(SHAPE),
        lambda s: s.normal(SHAPE),
        lambda s: s.uniform(SHAPE, dtype="float32"),
    ],
    ids=["uniform", "normal", "float32"],
)
def test_numbers(name: str, draw: Callable[[PhiloxStreams], Any]) -> None:
    f, r = compiled(name, draw), compiled(name, draw, "reference")
    rng = np.random.default_rng(0)
    values = rng.normal(size=SHAPE), rng.normal(size=SHAPE[1])
    for _ in range(3):  # from three positions in the stream, not multiples of four
        wanted = r(*values)
        eps = np.finfo(wanted.dtype).eps
        np.testing.assert_allclose(f(*values), wanted, rtol=200 * eps, atol=200 * eps)


@pytest.mark.parametrize("name", USES)
def test_where_draws_are_made(name: str) -> None:
    f = compiled(name, lambda s: s.uniform(SHAPE))
    streamed = "jg_philox_fill" in f.c_source and "jg_philox_draw" not in f.c_source
    assert streamed == USES[name][1], f.c_source


@pytest.mark.parametrize("name", ["chain", "rows", "columns", "sum"])
def test_interpreted(name: str) -> None:
    f = compiled(name, lambda s: s.uniform(SHAPE))
    values = [np.ones(SHAPE), np.ones(SHAPE[1]), *(c.data for c in f.containers)]
    plan = f.compiled.plan()
    wanted = f(*values[:2])
    np.testing.assert_allclose(interpret(plan, values[: len(plan.inputs)])[0], wanted, rtol=1e-13)


def test_any_number_of_threads() -> None:
    s = PhiloxStreams(5)
    u, v = s.uniform((300_001,)), s.normal((300_001,))
    f = jitgraph.function([], [T.exp(u) * v, (u * v).sum()], no_default_updates=True)
    before = get_num_threads()
    found = []
    try:
        for threads in (1, 2, 3):
            set_num_threads(threads)
            found.append([a.tobytes() for a in f()])
    finally:
        set_num_threads(before)
    assert found[0] == found[1] == found[2]


def test_a_state_of_another_length_is_refused() -> None:
    s = PhiloxStreams(5)
    u = s.uniform((10,))
    f = jitgraph.function([], (u * 2).sum())
    (state, *_) = f.shared
    state.set_value(np.zeros(3, "uint64"))
    with pytest.raises(ValueError, match="state must have 7 words"):
        f()
