"""Sigmoids in one place, their logarithms in another, with loops in between.

Every program computes the sum of log s + 2 log(1 - s), s = sigmoid(z), of a matrix z; the oracle is
the formula in z by NumPy: -log(1 + exp(-z)) - 2 log(1 + exp(z)), whose derivative is
1 - 3 sigmoid(z). As written it is infinite, and its gradient nan, where s rounds to 0 or 1.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose

import jitgraph
import jitgraph.tensor as T
from jitgraph.gradient import Rop
from jitgraph.ifelse import ifelse
from jitgraph.scan_module import until

Z = np.array([[-800.0, 0.3, 37.0], [40.0, 900.0, -104.0], [-2.0, 1000.0, 0.0], [15.0, -1.0, -17.0]])


def logs(s: Any) -> Any:
    return T.log(s) + 2 * T.log(1 - s)


def mapped(fn: Callable[..., Any], *sequences: Any, **options: Any) -> Any:
    return jitgraph.scan(fn, list(sequences), **options)[0]


def sigmoids(z: Any) -> Any:
    return mapped(T.nnet.sigmoid, z)


def passed_on(z: Any) -> Any:
    return logs(mapped(lambda s: s, sigmoids(z)))


def in_the_second_loop(z: Any) -> Any:
    return mapped(logs, sigmoids(z))


def in_the_third_loop(z: Any) -> Any:
    return mapped(logs, mapped(lambda s: s, sigmoids(z)))


def before_the_loop(z: Any) -> Any:
    return mapped(logs, T.nnet.sigmoid(z))


def with_a_state_in_the_first(z: Any) -> Any:
    (s, _), _ = jitgraph.scan(
        lambda z, h: [T.nnet.sigmoid(z), T.tanh(h + z)], z, [None, T.zeros_like(z[0])]
    )
    return mapped(logs, s)


def summed_by_a_state(z: Any) -> Any:
    zero = T.constant(0.0, dtype=z.dtype)
    return jitgraph.reduce(lambda s, total: total + logs(s).sum(), sigmoids(z), zero)[0]


def of_a_non_sequence(z: Any) -> Any:
    return mapped(lambda i, s: logs(s[i]), T.arange(z.shape[0]), non_sequences=sigmoids(z))


def of_a_closure(z: Any) -> Any:
    s = T.nnet.sigmoid(z)
    return mapped(lambda half: half * logs(s), T.constant(np.array([0.25, 0.75], dtype=z.dtype)))


def turned_and_backwards(z: Any) -> Any:
    return mapped(logs, sigmoids(z).T[::-1], go_backwards=True)


def two_taps(z: Any) -> Any:
    """One logarithm of the row before, the other of the present one."""
    s = sigmoids(z)
    y = mapped(lambda a, b: T.log(a) + 2 * T.log(1 - b), {"input": s, "taps": [-1, 0]})
    return y + (T.log(s[-1]) + 2 * T.log(1 - s[0])) / 3  # the rows that are missing, in 3 parts


def ended_by_a_condition(z: Any) -> Any:
    s, _ = jitgraph.scan(lambda z: (T.nnet.sigmoid(z), until(T.gt(z[0], 1e9))), z)
    return mapped(logs, s)


def inside_a_body(z: Any) -> Any:
    """Both loops in the body of a third one."""
    return mapped(lambda row: mapped(logs, mapped(T.nnet.sigmoid, row)), z)


def from_a_body_to_a_body(z: Any) -> Any:
    """The sigmoid in an inner loop of one loop, the logarithm in one of another."""
    s = mapped(lambda row: mapped(T.nnet.sigmoid, row), z)
    return mapped(lambda row: mapped(logs, row), s)


def into_an_inner_loop(z: Any) -> Any:
    """The array is whole for the outer loop, and for the inner one a sequence."""
    s = sigmoids(z)
    rows = mapped(lambda i: mapped(logs, s), T.arange(2))
    return rows[1]


def in_a_branch(z: Any) -> Any:
    s = sigmoids(z)
    return ifelse(T.gt(z.shape[0], 2), mapped(logs, s), s)


def with_other_readers(z: Any) -> Any:
    s = sigmoids(z)
    return mapped(logs, s) + 0 * mapped(lambda s: T.sqr(s), s)


PROGRAMS = [
    passed_on,
    in_the_second_loop,
    in_the_third_loop,
    before_the_loop,
    with_a_state_in_the_first,
    summed_by_a_state,
    of_a_non_sequence,
    of_a_closure,
    turned_and_backwards,
    two_taps,
    ended_by_a_condition,
    inside_a_body,
    from_a_body_to_a_body,
    into_an_inner_loop,
    in_a_branch,
    with_other_readers,
]


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("program", PROGRAMS, ids=lambda p: p.__name__)
def test_value_and_gradient(program: Callable[[Any], Any], dtype: str) -> None:
    z = T.TensorType(dtype, (False, False))("z")
    cost = program(z).sum()
    value, slope = jitgraph.function([z], [cost, T.grad(cost, z)])(Z.astype(dtype))
    # A few roundings, and a sum of 12 terms of one sign.
    eps = float(np.finfo(dtype).eps)
    assert_allclose(value, (-np.logaddexp(0, -Z) - 2 * np.logaddexp(0, Z)).sum(), rtol=32 * eps)
    assert_allclose(slope, 1 - 3 * np.exp(-np.logaddexp(0, -Z)), rtol=0, atol=8 * eps)


@pytest.mark.parametrize("program", [passed_on, in_the_second_loop, from_a_body_to_a_body])
def test_further_derivatives(program: Callable[[Any], Any]) -> None:
    """Second ones, -3 s (1 - s), backwards and forwards."""
    z, v = T.dmatrix("z"), T.dmatrix("v")
    cost = program(z).sum()
    slope = T.grad(cost, z)
    f = jitgraph.function([z, v], [T.grad(slope.sum(), z), Rop(slope, z, v), Rop(cost, z, v)])
    direction = np.linspace(-1, 2, Z.size).reshape(Z.shape)
    s, rest = np.exp(-np.logaddexp(0, -Z)), np.exp(-np.logaddexp(0, Z))
    bent, forwards, along = f(Z, direction)
    assert_allclose(bent, -3 * s * rest, rtol=0, atol=1e-15)
    assert_allclose(forwards, -3 * s * rest * direction, rtol=0, atol=1e-15)
    assert_allclose(along, ((1 - 3 * s) * direction).sum(), rtol=1e-14)


@pytest.mark.parametrize("base", [2, 10])
def test_logarithms_of_other_bases(base: int) -> None:
    z = T.dmatrix("z")
    log = T.log2 if base == 2 else T.log10
    cost = mapped(log, sigmoids(z)).sum()
    value, slope = jitgraph.function([z], [cost, T.grad(cost, z)])(Z)
    assert_allclose(value, -np.logaddexp(0, -Z).sum() / np.log(base), rtol=1e-14)
    expected = np.exp(-np.logaddexp(0, Z)) / np.log(base)
    assert_allclose(slope, expected, rtol=1e-14, atol=1e-16)


def test_softmax_in_one_loop_and_its_logarithm_in_the_next() -> None:
    """Labels' probabilities are picked in the second loop."""
    z, labels = T.dmatrix("z"), T.lvector("labels")
    p = mapped(lambda row: T.nnet.softmax(row)[0], z)
    cost = mapped(lambda row, label: -T.log(row[label]), p, labels).sum()
    chosen = np.array([1, 2, 0, 1])
    value, slope = jitgraph.function([z, labels], [cost, T.grad(cost, z)])(Z, chosen)
    shifted = Z - Z.max(axis=1, keepdims=True)
    log_p = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    assert_allclose(value, -log_p[np.arange(4), chosen].sum(), rtol=1e-15)
    assert_allclose(slope, np.exp(log_p) - np.eye(3)[chosen], rtol=0, atol=1e-15)


def test_a_recurrence_of_sigmoids() -> None:
    """h = sigmoid(z + h before): the second loop takes the logarithm of the states."""
    z = T.dmatrix("z")
    h, _ = jitgraph.scan(lambda z, h: T.nnet.sigmoid(z + h), z, T.zeros_like(z[0]))
    cost = mapped(logs, h).sum()
    value, slope = jitgraph.function([z], [cost, T.grad(cost, z)])(Z)
    total, before = 0.0, np.zeros(3)
    s, rest = np.empty_like(Z), np.empty_like(Z)
    for t in range(4):
        a = Z[t] + before
        total += (-np.logaddexp(0, -a) - 2 * np.logaddexp(0, a)).sum()
        s[t], rest[t] = np.exp(-np.logaddexp(0, -a)), np.exp(-np.logaddexp(0, a))
        before = s[t]
    expected, later = np.zeros_like(Z), np.zeros(3)
    for t in reversed(range(4)):
        later = expected[t] = 1 - 3 * s[t] + s[t] * rest[t] * later
    assert_allclose(value, total, rtol=1e-14)
    assert_allclose(slope, expected, rtol=0, atol=1e-14)


def test_what_leads_nowhere_stays_where_it_was() -> None:
    """log(x * x) of an input is no stable form: nothing is moved, and zero stays infinite."""
    x = T.dmatrix("x")
    squares = mapped(lambda x: x * x, x)
    y = mapped(lambda s, h: h + T.log(s), squares, outputs_info=T.zeros_like(x[0]))
    with np.errstate(divide="ignore"):
        f = jitgraph.function([x], [y, T.grad(y[-1].sum(), x)])
        value, slope = f(np.array([[1.0, 2.0], [0.0, 4.0]]))
    assert_allclose(value, [[0.0, np.log(4)], [-np.inf, np.log(64)]], rtol=1e-15)
    assert_allclose(slope[:, 1], [1.0, 0.5], rtol=1e-15)
