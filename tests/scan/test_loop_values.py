"""What loops compute, against the same loops in plain NumPy."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import jitgraph
import jitgraph.tensor as T
from jitgraph.ops.scan import Scan
from jitgraph.scan_module import until

RNG = np.random.default_rng(20)
# Sums of a few products of numbers around 1: rounding differs by the order of operations alone.
RTOL = 1e-12


def scans_in(v: Any) -> list[Scan]:
    from jitgraph.graph import toposort

    return [n.op for n in toposort([v]) if isinstance(n.op, Scan)]


def test_recurrence_over_a_sequence(function: Any) -> None:
    x, h0, W = T.dmatrix("x"), T.dvector("h0"), T.dmatrix("W")
    out, updates = jitgraph.scan(lambda x, h, W: T.tanh(T.dot(W, h) + x), x, h0, W)
    assert not updates
    values = RNG.normal(size=(6, 3)), RNG.normal(size=3), RNG.normal(size=(3, 3))
    h, expected = values[1], []
    for row in values[0]:
        h = np.tanh(values[2] @ h + row)
        expected.append(h)
    assert_allclose(function([x, h0, W], out)(*values), expected, rtol=RTOL)


def test_power_of_the_tutorial(function: Any) -> None:
    k, a = T.iscalar("k"), T.dvector("a")
    out, _ = jitgraph.scan(
        lambda prior, a: prior * a, outputs_info=T.ones_like(a), non_sequences=a, n_steps=k
    )
    f = function([a, k], out[-1])
    assert_allclose(f(np.arange(10.0), 2), np.arange(10.0) ** 2)
    assert_allclose(f(np.arange(10.0), 4), np.arange(10.0) ** 4)


def test_polynomial_of_the_tutorial(function: Any) -> None:
    coefficients, x = T.dvector("coefficients"), T.dscalar("x")
    parts, _ = jitgraph.scan(
        lambda c, power, x: c * x**power,
        sequences=[coefficients, T.arange(10000)],
        outputs_info=None,
        non_sequences=x,
    )
    assert_allclose(function([coefficients, x], parts.sum())([1.0, 0.0, 2.0], 3.0), 19.0)


def test_arguments_come_in_theanos_order() -> None:
    seen: list[str] = []

    def step(*given: Any) -> Any:
        seen.extend(v.name for v in given)
        return given[4] * 1.0, given[6] * 1.0, given[0]

    a, b, c = T.dvector("a"), T.dvector("b"), T.dscalar("c")
    h, g = T.dvector("h"), T.dscalar("g")
    jitgraph.scan(
        step,
        sequences=[{"input": a, "taps": [1, -2]}, b],
        outputs_info=[{"initial": h, "taps": [-1, -3]}, g, None],
        non_sequences=c,
    )
    assert seen == ["a[t+1]", "a[t-2]", "b[t]", "h[t-1]", "h[t-3]", "g[t-1]", "c"]


@pytest.mark.parametrize("backwards", [False, True])
@pytest.mark.parametrize("taps", [[0], [1], [1, 2], [-1], [-2, 0], [2, -1, 0], [-3, -1]])
def test_taps_of_a_sequence(function: Any, taps: list[int], backwards: bool) -> None:
    """Tap k at step t reads row t + k - min(taps, 0); backwards the same rows, last step first."""
    x = T.dvector("x")
    out, _ = jitgraph.scan(
        lambda *rows: sum(r * 10.0**i for i, r in enumerate(rows)),
        {"input": x, "taps": taps},
        go_backwards=backwards,
    )
    values = RNG.normal(size=9)
    low, high = min(0, *taps), max(0, *taps)
    steps = [
        sum(values[t + k - low] * 10.0**i for i, k in enumerate(taps))
        for t in range(9 - (high - low))
    ]
    assert_allclose(function([x], out)(values), steps[::-1] if backwards else steps, rtol=RTOL)


def test_shortest_sequence_sets_the_steps(function: Any) -> None:
    x, y = T.dvector("x"), T.dvector("y")
    both, _ = jitgraph.scan(lambda a, b: a + 10 * b, [x, y])
    back, _ = jitgraph.scan(lambda a, b: a + 10 * b, [x, y], go_backwards=True)
    f = function([x, y], [both, back])
    xs, ys = np.arange(5.0), np.arange(3.0)
    forward, backward = f(xs, ys)
    assert_array_equal(forward, xs[:3] + 10 * ys)
    assert_array_equal(backward, xs[::-1][:3] + 10 * ys[::-1])  # each from its own end


def test_backwards_with_fewer_steps_starts_at_the_end(function: Any) -> None:
    x, n = T.dvector("x"), T.iscalar("n")
    out, _ = jitgraph.scan(
        lambda a, b: a - 10 * b, {"input": x, "taps": [0, 1]}, n_steps=n, go_backwards=True
    )
    values = RNG.normal(size=8)
    expected = [values[i] - 10 * values[i + 1] for i in (6, 5, 4)]
    assert_allclose(function([x, n], out)(values, 3), expected, rtol=RTOL)


def test_several_lags(function: Any) -> None:
    h0 = T.dvector("h0")
    out, _ = jitgraph.scan(
        lambda h3, h1: h3 + 2 * h1, outputs_info={"initial": h0, "taps": [-3, -1]}, n_steps=7
    )
    h = [1.0, -2.0, 0.5]
    for _ in range(7):
        h.append(h[-3] + 2 * h[-1])
    f = function([h0], out)
    assert_allclose(f([1.0, -2.0, 0.5]), h[3:], rtol=RTOL)
    # Rows beyond the largest lag are not looked at.
    assert_allclose(f([1.0, -2.0, 0.5, 77.0]), h[3:], rtol=RTOL)


def test_a_single_far_lag(function: Any) -> None:
    out, _ = jitgraph.scan(
        lambda h: h + 1, outputs_info={"initial": np.array([0.0, 100.0]), "taps": [-2]}, n_steps=5
    )
    assert_array_equal(function([], out)(), [1.0, 101.0, 2.0, 102.0, 3.0])


def test_several_outputs_fed_back_and_not(function: Any) -> None:
    x, a0, b0 = T.dvector("x"), T.dscalar("a0"), T.dvector("b0")

    def step(x: Any, a: Any, b: Any) -> Any:
        new = a * 0.5 + x
        return new, b * new, new - a

    outs, _ = jitgraph.scan(step, x, [a0, b0, None])
    xs, a, b = RNG.normal(size=5), 0.3, np.array([1.0, 2.0])
    expected: list[list[Any]] = [[], [], []]
    for row in xs:
        new = a * 0.5 + row
        b = b * new
        for kept, v in zip(expected, (new, b, new - a), strict=True):
            kept.append(v)
        a = new
    for got, want in zip(function([x, a0, b0], outs)(xs, 0.3, [1.0, 2.0]), expected, strict=True):
        assert_allclose(got, want, rtol=RTOL)


@pytest.mark.parametrize("steps", [0, 1, 2, 5])
@pytest.mark.parametrize("symbolic", [False, True])
def test_number_of_steps(function: Any, steps: int, symbolic: bool) -> None:
    h0, n = T.dvector("h0"), T.lscalar("n")
    outs, _ = jitgraph.scan(
        lambda h: [h * 2, h.sum()], outputs_info=[h0, None], n_steps=n if symbolic else steps
    )
    f = function([h0, n], outs, on_unused_input="ignore")
    doubled, sums = f([1.0, 3.0], steps)
    assert_array_equal(
        doubled, [[2.0**k, 3 * 2.0**k] for k in range(1, steps + 1)] or np.empty((0, 2))
    )
    assert_array_equal(sums, [4 * 2.0**k for k in range(steps)])
    assert doubled.shape == (steps, 2) and sums.shape == (steps,)
    assert outs[0].type == T.TensorType("float64", (False, False))


def test_one_constant_step_is_no_loop(function: Any) -> None:
    x, h0 = T.dvector("x"), T.dvector("h0")
    out, _ = jitgraph.scan(
        lambda a, b, h2, h1: a * h2 + b * h1,
        {"input": x, "taps": [0, 1]},
        {"initial": h0, "taps": [-2, -1]},
        n_steps=1,
    )
    assert scans_in(out) == []
    assert_array_equal(function([x, h0], out)([1.0, 2.0, 4.0], [10.0, 100.0]), [210.0])
    back, _ = jitgraph.scan(lambda a: a, {"input": x}, n_steps=T.constant(1), go_backwards=True)
    assert scans_in(back) == []
    assert_array_equal(function([x], back)([1.0, 2.0, 4.0]), [4.0])


@pytest.mark.parametrize("length", [0, 1])
def test_sequence_without_rows(function: Any, length: int) -> None:
    x = T.dmatrix("x")
    (rows, total), _ = jitgraph.scan(
        lambda r, s: [r * 2, s + r.sum()], x, [None, T.zeros((), "float64")]
    )
    got_rows, got_total = function([x], [rows, total])(np.ones((length, 4)))
    assert got_rows.shape == (length, 4) and got_total.shape == (length,)
    pairs, _ = jitgraph.scan(lambda a, b: a + b, {"input": x, "taps": [0, 2]})
    assert function([x], pairs)(np.ones((length, 4))).shape == (0, 4)


def test_until_keeps_the_step_in_which_it_holds(function: Any) -> None:
    """The powers of two of the documentation: the first one above the bound is the last."""
    limit = T.dscalar("limit")

    def step(previous: Any, limit: Any) -> Any:
        return previous * 2, until(previous * 2 > limit)

    out, _ = jitgraph.scan(
        step, outputs_info=T.constant(1.0, dtype="float64"), non_sequences=limit, n_steps=1024
    )
    f = function([limit], out)
    assert_array_equal(f(45.0), [2.0, 4.0, 8.0, 16.0, 32.0, 64.0])
    assert_array_equal(f(1.0), [2.0])
    assert len(f(np.inf)) == 1024


@pytest.mark.parametrize("dtype", ["float64", "int32", "bool"])
def test_until_takes_any_number(function: Any, dtype: str) -> None:
    x = T.dvector("x")
    out, _ = jitgraph.scan(lambda x: (x, until(T.cast(x, dtype))), x)
    assert_array_equal(function([x], out)([0.0, -0.0, 3.0, 0.0]), [0.0, -0.0, 3.0])


def test_nan_ends_a_loop(function: Any) -> None:
    x = T.dvector("x")
    out, _ = jitgraph.scan(lambda x: (x, until(x)), x)
    assert_array_equal(function([x], out)([0.0, np.nan, 0.0]), [0.0, np.nan])


def test_comparison_with_nan_does_not_end_a_loop(function: Any) -> None:
    x = T.dvector("x")
    out, _ = jitgraph.scan(lambda x: (x, until(x > 1)), x)
    assert_array_equal(function([x], out)([0.0, np.nan, 0.0]), [0.0, np.nan, 0.0])


def test_loop_in_a_loop(function: Any) -> None:
    """Matrix times vector, element by element, with the vector reached from the inside."""
    A, v = T.dmatrix("A"), T.dvector("v")

    def row(r: Any) -> Any:
        total, _ = jitgraph.scan(
            lambda a, b, acc: acc + a * b, [r, v], T.constant(0.0, dtype="float64")
        )
        return total[-1]

    out, _ = jitgraph.scan(row, A)
    values = RNG.normal(size=(4, 3)), RNG.normal(size=3)
    assert_allclose(function([A, v], out)(*values), values[0] @ values[1], rtol=RTOL)


def test_outer_expressions_are_computed_outside(function: Any) -> None:
    x, a = T.dvector("x"), T.dscalar("a")
    factor = T.exp(a) + 1
    out, _ = jitgraph.scan(lambda x: x * factor, x)
    [op] = scans_in(out)
    assert len(op.body.inputs) == 2  # the row, and the factor as a whole
    values = RNG.normal(size=4)
    assert_allclose(function([x, a], out)(values, 0.5), values * (np.exp(0.5) + 1), rtol=RTOL)


def test_constants_small_and_large(function: Any) -> None:
    x = T.dvector("x")
    small, large = np.arange(3.0), np.arange(100.0)
    out, _ = jitgraph.scan(lambda x: (x * T.constant(small)).sum() + x * T.constant(large)[7], x)
    [op] = scans_in(out)
    assert len(op.body.inputs) == 2  # the large one comes from outside
    assert_allclose(function([x], out)([1.0, 2.0]), [10.0, 20.0])


@pytest.mark.parametrize("dtype", ["float32", "int8", "uint16", "bool", "int64"])
def test_states_keep_their_dtype(function: Any, dtype: str) -> None:
    x = T.TensorType(dtype, (False,))("x")
    out, _ = jitgraph.scan(lambda x, h: T.cast(x + h, dtype), x, T.zeros((), dtype))
    values = np.array([1, 0, 1, 1], dtype)
    got = function([x], out)(values)
    h, expected = np.zeros((), dtype), []
    for v in values:
        h = (h + v).astype(dtype)
        expected.append(h)
    assert got.dtype == dtype
    assert_array_equal(got, expected)


def test_result_may_be_an_argument_itself_or_appear_twice(function: Any) -> None:
    x = T.dvector("x")
    outs, _ = jitgraph.scan(
        lambda x, h: [x, h, x, T.constant(2.0, dtype="float64")],
        x,
        [None, T.constant(5.0, dtype="float64"), None, None],
    )
    a, b, c, d = function([x], outs)([1.0, 2.0])
    assert_array_equal(a, [1.0, 2.0])
    assert_array_equal(b, [5.0, 5.0])
    assert_array_equal(c, a)
    assert_array_equal(d, [2.0, 2.0])


def test_marks_of_length_one_are_dropped_where_the_step_drops_them(function: Any) -> None:
    x = T.dmatrix("x")
    row = T.row("row", dtype="float64")
    out, _ = jitgraph.scan(lambda x, h: T.unbroadcast(h, 0) + x.dimshuffle("x", 0), x, row)
    values = RNG.normal(size=(3, 2))
    expected = np.cumsum(values, axis=0)[:, None, :] + 1.0
    assert_allclose(function([x, row], out)(values, np.ones((1, 2))), expected, rtol=RTOL)
    # The other way round: the step's result is known to have length 1, the initial value is not.
    out, _ = jitgraph.scan(lambda x, h: x.dimshuffle("x", 0) * 1.0, x, T.unbroadcast(row * 1.0, 0))
    assert_array_equal(function([x, row], out)(values, np.ones((1, 2))), values[:, None, :])


def test_form_of_the_result(function: Any) -> None:
    x = T.dvector("x")
    single, _ = jitgraph.scan(lambda x: x, x)
    assert isinstance(single, T.TensorVariable)
    listed, _ = jitgraph.scan(lambda x: x, x, return_list=True)
    assert isinstance(listed, list) and len(listed) == 1
    two, _ = jitgraph.scan(lambda x: (x, x + 1), x)
    assert isinstance(two, list) and len(two) == 2
    counter = jitgraph.shared(0, "counter")
    none, updates = jitgraph.scan(lambda: {counter: counter + 1}, n_steps=3)
    assert none is None and list(updates) == [counter]


def test_map_reduce_and_folds(function: Any) -> None:
    x, y = T.dvector("x"), T.dvector("y")
    products, _ = jitgraph.map(lambda a, b: a * b, [x, y])
    backwards, _ = jitgraph.map(lambda a, b: a * b, [x, y], go_backwards=True)
    zero = T.constant(0.0, dtype="float64")
    total, _ = jitgraph.reduce(lambda a, s: s + a, x, zero)
    left, _ = jitgraph.foldl(lambda a, s: s * 2 + a, x, zero)
    right, _ = jitgraph.foldr(lambda a, s: s * 2 + a, x, zero)
    both, _ = jitgraph.reduce(lambda a, s, p: [s + a, p * a], x, [zero, zero + 1])
    f = function([x, y], [products, backwards, total, left, right, *both])
    xs, ys = np.array([1.0, 2.0, 4.0]), np.array([3.0, 5.0, 7.0])
    got = f(xs, ys)
    assert_array_equal(got[0], xs * ys)
    assert_array_equal(got[1], (xs * ys)[::-1])
    assert [float(v) for v in got[2:]] == [7.0, 12.0, 21.0, 7.0, 8.0]


def test_checkpoints_keep_every_nth_state(function: Any) -> None:
    x, w = T.dvector("x"), T.dscalar("w")
    zero = T.constant(0.0, dtype="float64")

    def step(x: Any, h: Any, w: Any) -> Any:
        return T.tanh(w * h + x)

    sparse, _ = jitgraph.scan_checkpoints(step, [x], [zero], [w], save_every_N=3)
    dense, _ = jitgraph.scan(step, x, zero, w)
    f = function([x, w], [sparse, dense, *T.grad(sparse[-1], [x, w]), *T.grad(dense[-1], [x, w])])
    for length in (3, 7, 9):
        kept, every, gx, gw, wanted_gx, wanted_gw = f(RNG.normal(size=length), 0.8)
        at = [min(i + 2, length - 1) for i in range(0, length, 3)]
        assert_array_equal(kept, every[at])
        assert_allclose(gx, wanted_gx, rtol=RTOL)
        assert_allclose(gw, wanted_gw, rtol=RTOL)


def test_the_gradient_of_checkpoints_keeps_no_inner_steps() -> None:
    x = T.dvector("x")
    zero = T.constant(0.0, dtype="float64")
    out, _ = jitgraph.scan_checkpoints(lambda x, h: T.tanh(h + x), [x], [zero], save_every_N=4)
    outer = [op for op in scans_in(T.grad(out[-1], x)) if op.recompute]
    assert outer and all(op.n_maps == 0 for op in outer)


def test_steps_and_unknown_axes_in_the_types() -> None:
    x = T.TensorType("float32", (False, True))("x")
    out, _ = jitgraph.scan(lambda r: r * 2, x)
    assert out.type == T.TensorType("float32", (False, True))


def test_parts_of_arrays_as_arguments(function: Any) -> None:
    """Slices and joined arrays as sequences, initial rows and non-sequences."""
    x, y = T.dvector("x"), T.dvector("y")
    joined = T.concatenate([x, y])
    out, _ = jitgraph.scan(
        lambda a, h2, h1, part, both: h2 - h1 + a * part.sum() + both[3] * part[0],
        joined[1:],
        {"initial": T.concatenate([y[:1], x[2:]]), "taps": [-2, -1]},
        [y[1:], joined],
    )
    xs, ys = np.array([1.0, 2.0, 4.0]), np.array([8.0, 16.0, 32.0])
    h = [8.0, 4.0]
    for a in [2.0, 4.0, 8.0, 16.0, 32.0]:
        h.append(h[-2] - h[-1] + a * 48.0 + 8.0 * 16.0)
    assert_array_equal(function([x, y], out)(xs, ys), h[2:])
    pairs, _ = jitgraph.scan(lambda a, part, both: a * part + both[1:3], x, None, [y[1:], joined])
    expected = [a * ys[1:] + np.array([2.0, 4.0]) for a in xs]
    assert_array_equal(function([x, y], pairs)(xs, ys), expected)


def test_test_values_go_through_loops() -> None:
    from jitgraph.config import change_flags

    seen: list[Any] = []

    def step(x: Any, h: Any, w: Any) -> Any:
        new = T.tanh(h * w + x)
        seen.append(new.tag.test_value)
        return new

    with change_flags(compute_test_value="raise"):
        x, h, w = T.dmatrix("x"), T.dvector("h"), T.dscalar("w")
        x.tag.test_value, h.tag.test_value = np.ones((3, 2)), np.zeros(2)
        w.tag.test_value = np.array(0.5)
        out, _ = jitgraph.scan(step, {"input": x, "taps": [0]}, h, w)
        assert_allclose(seen[0], np.tanh([1.0, 1.0]))
        assert out.tag.test_value.shape == (3, 2)
        slope = T.grad(out.sum(), w) * 2
        assert_allclose(out.tag.test_value[1], np.tanh(np.tanh(1.0) * 0.5 + [1.0, 1.0]))
        assert slope.tag.test_value.shape == ()
        assert (T.jacobian(out[-1], h) * 1).tag.test_value.shape == (2, 2)
        with pytest.raises(ValueError, match="shapes"):
            jitgraph.scan(lambda x, h: x + T.concatenate([h, h]), x, h)


def test_arguments_that_have_no_meaning_here(function: Any) -> None:
    """mode, profile and allow_gc of old programs are accepted by the loops and change nothing."""
    x, h = T.dvector("x"), T.dscalar("h")
    options = {"mode": "FAST_COMPILE", "profile": True, "allow_gc": False}
    out, _ = jitgraph.scan(lambda x, h: x * h + 1, x, h, **options)
    plain, _ = jitgraph.scan(lambda x, h: x * h + 1, x, h)
    assert out.owner.op == plain.owner.op
    doubled, _ = jitgraph.map(lambda x: 2 * x, x, mode="FAST_COMPILE")
    total, _ = jitgraph.reduce(lambda x, h: x + h, x, h, mode="FAST_COMPILE")
    found = function([x, h], [out, doubled, total])([1.0, 2.0], 3.0)
    for value, expected in zip(found, ([4.0, 9.0], [2.0, 4.0], 6.0), strict=True):
        assert_array_equal(value, expected)
