"""Products in batches, compiled, against NumPy's and their gradients against sums written out."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import jitgraph
import jitgraph.tensor as T

Array = np.ndarray[Any, Any]
EPS = {"float64": 2.0**-53, "float32": 2.0**-24}
RANKS = [(3, 3), (3, 2), (2, 3), (2, 2)]
LETTERS = {(3, 3): "bij,bjk->bik", (3, 2): "bij,bj->bi", (2, 3): "bj,bjk->bk", (2, 2): "bj,bj->b"}


def operands(ranks: tuple[int, int], sizes: tuple[int, int, int, int], dtype: str) -> list[Array]:
    batch, m, n, k = sizes
    rng = np.random.default_rng(sum(sizes))
    x = rng.standard_normal((batch, m, k)[:: 1 if ranks[0] == 3 else 2])
    y = rng.standard_normal((batch, k, n)[: ranks[1]])
    return [x.astype(dtype), y.astype(dtype)]


def symbols(arrays: list[Array]) -> list[Any]:
    return [T.TensorType(str(a.dtype), (False,) * a.ndim)(f"v{k}") for k, a in enumerate(arrays)]


@pytest.mark.parametrize("dtype", EPS)
@pytest.mark.parametrize("ranks", RANKS)
def test_values(ranks: tuple[int, int], dtype: str) -> None:
    function = None
    for sizes in (
        (3, 4, 5, 6),
        (0, 4, 5, 6),
        (3, 0, 5, 6),
        (3, 4, 5, 0),
        (1, 1, 1, 1),
        (7, 33, 17, 40),
        (2, 100, 90, 300),  # large ones, one after the other
        (40, 20, 24, 30),  # together worth several threads
        (500, 1, 3, 70),
    ):
        arrays = operands(ranks, sizes, dtype)
        if function is None:
            variables = symbols(arrays)
            function = jitgraph.function(variables, T.batched_dot(*variables))
            assert f"jg_batched_dot_f{dtype[-2:]}(" in function.c_source
        found = function(*arrays)
        expected = np.einsum(LETTERS[ranks], *(a.astype(np.longdouble) for a in arrays))
        size = np.einsum(LETTERS[ranks], *(abs(a.astype(np.longdouble)) for a in arrays))
        assert found.dtype == dtype and found.shape == expected.shape
        # k roundings of products and k of sums, in any order.
        assert (abs(found - expected) <= 2 * (sizes[3] + 1) * EPS[dtype] * size).all()


@pytest.mark.parametrize("ranks", RANKS)
def test_threads_change_no_bit(ranks: tuple[int, int]) -> None:
    arrays = operands(ranks, (60, 20, 24, 30), "float64")
    variables = symbols(arrays)
    function = jitgraph.function(variables, T.batched_dot(*variables))
    before = jitgraph.get_num_threads()
    results = []
    try:
        for count in (1, 2, 3):
            jitgraph.set_num_threads(count)
            results.append(function(*arrays))
    finally:
        jitgraph.set_num_threads(before)
    assert all(np.array_equal(r, results[0]) for r in results)


@pytest.mark.parametrize("ranks", RANKS)
def test_gradient(ranks: tuple[int, int]) -> None:
    arrays = operands(ranks, (5, 6, 4, 3), "float64")
    weights = np.random.default_rng(3).standard_normal(
        np.einsum(LETTERS[ranks], *arrays, optimize=False).shape
    )
    variables = symbols(arrays)
    cost = (T.batched_dot(*variables) * weights).sum()
    found = jitgraph.function(variables, T.grad(cost, variables))(*arrays)
    left, rest = LETTERS[ranks].split(",")
    right, out = rest.split("->")
    expected = [
        np.einsum(f"{out},{right}->{left}", weights, arrays[1]),
        np.einsum(f"{left},{out}->{right}", arrays[0], weights),
    ]
    for got, want in zip(found, expected, strict=True):
        # Sums of at most 6 products of numbers below 10.
        np.testing.assert_allclose(got, want, rtol=0, atol=6 * 100 * 2.0**-52)


def test_integers_are_multiplied_too() -> None:
    x, y = T.ltensor3("x"), T.ltensor3("y")
    a = np.arange(24).reshape(2, 3, 4)
    f = jitgraph.function([x, y], T.batched_dot(x, y))
    assert np.array_equal(f(a, a.transpose(0, 2, 1)), a @ a.transpose(0, 2, 1))


def test_in_a_loop() -> None:
    x, h0 = T.dtensor3("x"), T.dmatrix("h0")
    h, _ = jitgraph.scan(lambda h: T.tanh(T.batched_dot(x, h)), outputs_info=h0, n_steps=3)
    f = jitgraph.function([x, h0], h)
    rng = np.random.default_rng(4)
    a, state = rng.standard_normal((4, 5, 5)), rng.standard_normal((4, 5))
    found = f(a, state)
    for t in range(3):
        state = np.tanh(np.einsum("bij,bj->bi", a, state))
        np.testing.assert_allclose(found[t], state, rtol=1e-12, atol=1e-12)


def test_lengths_that_differ_are_refused() -> None:
    x, y = T.dtensor3("x"), T.dtensor3("y")
    f = jitgraph.function([x, y], T.batched_dot(x, y))
    with pytest.raises(ValueError, match=r"batch sizes differ \(2 and 3\)"):
        f(np.ones((2, 3, 4)), np.ones((3, 4, 5)))
    with pytest.raises(ValueError, match="inner sizes differ"):
        f(np.ones((2, 3, 4)), np.ones((2, 5, 5)))
