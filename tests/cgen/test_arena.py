"""Arrays between loops share memory when one is dead before the other is born."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import jitgraph
import jitgraph.tensor as T
from jitgraph.cgen import arena, entry
from jitgraph.cgen.ir import Buffer, Poly

x = T.dmatrix("x")
N = 64


def chain(depth: int) -> Any:
    """tanh(… tanh(x W1) W2 …): product and loop in turn, none of which can be skipped."""
    rng = np.random.default_rng(4)
    h, value = x, rng.normal(size=(N, N))
    given = value
    for _ in range(depth):
        w = rng.normal(size=(N, N)) / 8
        h, value = T.tanh(T.dot(h, w)), np.tanh(value @ w)
    return h, given, value


def scratch(f: Any) -> int:
    return int(f.memory_plan((N, N)).scratch)


def test_a_chain_needs_two_arrays_however_long_it_is() -> None:
    sizes = []
    for depth in (3, 4, 9):
        h, given, wanted = chain(depth)
        f = jitgraph.function([x], h)
        np.testing.assert_allclose(f(given), wanted, rtol=1e-12, atol=1e-13)
        sizes.append(scratch(f))
    assert sizes == [2 * 8 * N * N] * 3


def test_what_is_read_at_the_end_keeps_its_memory() -> None:
    """Gradients read every activation of the forward pass."""
    h, given, _ = chain(4)
    f = jitgraph.function([x], T.grad(T.sum(h * h), x))
    with jitgraph.config.change_flags(mode="FAST_COMPILE"):
        plain = jitgraph.function([x], T.grad(T.sum(h * h), x))
    np.testing.assert_allclose(f(given), plain(given), rtol=1e-11, atol=1e-12)


def test_sharing_too_much_is_noticed(
    monkeypatch: pytest.MonkeyPatch, changed_compiler: Callable[[], None]
) -> None:
    changed_compiler()
    monkeypatch.setattr(
        entry, "shared_places", lambda s: {b.name: s.scratch[0].name for b in s.scratch[1:]}
    )
    h, given, wanted = chain(3)
    f = jitgraph.function([x], h)
    assert not np.allclose(f(given), wanted)


def test_arrays_of_different_size_share_the_larger_place() -> None:
    rng = np.random.default_rng(5)
    a, b, c, d = (rng.normal(size=s) for s in ((20, 40), (40, 8), (8, 50), (50, 3)))
    h = T.tanh(T.dot(T.tanh(T.dot(T.tanh(T.dot(T.tanh(T.dot(x, a)), b)), c)), d))
    f = jitgraph.function([x], h)
    for rows in (0, 1, 7):
        value = rng.normal(size=(rows, 20))
        wanted = np.tanh(np.tanh(np.tanh(np.tanh(value @ a) @ b) @ c) @ d)
        np.testing.assert_allclose(f(value), wanted, rtol=1e-12)
    assert "jg_max(" in f.c_source


def test_bytes_of() -> None:
    n = Poly.name("n0")
    assert arena.bytes_of(Buffer("s", "float32", (n, n), "scratch")) == (n * n).scaled(4)
    assert arena.bytes_of(Buffer("s", "int64", (), "scratch")) == Poly.const(8)
