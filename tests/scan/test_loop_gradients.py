"""Gradients of loops: numeric differentiation of the reference evaluation is the oracle."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numeric_gradient
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import jitgraph
import jitgraph.tensor as T
from jitgraph.gradient import DisconnectedInputError, Lop, Rop
from jitgraph.graph import Variable, toposort
from jitgraph.ops.linalg import Dot
from jitgraph.ops.scan import Scan
from jitgraph.scan_module import until

RNG = np.random.default_rng(5)


def scans_in(*outputs: Variable) -> list[Scan]:
    return [n.op for n in toposort(outputs) if isinstance(n.op, Scan)]


def normal(*shape: int) -> np.ndarray:
    return 0.6 * RNG.normal(size=shape)


def rnn(x: Any, h: Any, W: Any) -> Any:
    return jitgraph.scan(lambda x, h, W: T.tanh(T.dot(W, h) + x), x, h, W)[0]


def batched(x: Any, h: Any, W: Any) -> Any:
    """Matrices as states, only the last one used."""
    return jitgraph.scan(lambda x, h: T.tanh(T.dot(h, W) + x), x, h)[0][-1]


def lstm(x: Any, h: Any, c: Any, W: Any) -> Any:
    n = h.shape[0]

    def step(x: Any, h: Any, c: Any) -> Any:
        z = T.dot(T.concatenate([x, h]), W)
        i, f, o = (T.nnet.sigmoid(z[k * n : (k + 1) * n]) for k in range(3))
        c = f * c + i * T.tanh(z[3 * n :])
        return o * T.tanh(c), c

    (hs, cs), _ = jitgraph.scan(step, x, [h, c])
    return hs.sum(axis=0) + cs[-1]


def with_taps(x: Any, h: Any, w: Any) -> Any:
    def step(before: Any, after: Any, h3: Any, h1: Any, g: Any, w: Any) -> Any:
        new = h1 * w + T.sin(h3) * before
        return new, g * T.exp(-new) + after, h1 * before * w

    (a, b, m), _ = jitgraph.scan(
        step,
        {"input": x, "taps": [-1, 2]},
        [{"initial": h, "taps": [-3, -1]}, h[0], None],
        w,
    )
    return a.sum() * b[-1] + (m**2).sum()


def backwards(x: Any, y: Any, h: Any) -> Any:
    return jitgraph.scan(
        lambda x0, x1, y, h: T.sin(h) * x0 + x1 * y,
        [{"input": x, "taps": [0, 1]}, y],
        h,
        n_steps=4,
        go_backwards=True,
    )[0]


def cut_off(x: Any, h: Any, w: Any) -> Any:
    """Ends in the middle; the condition itself has no gradient."""
    (hs, ms), _ = jitgraph.scan(
        lambda x, h, w: ([h * w + x * h, T.exp(-h * x)], until(h > 3)), x, [h, None], w
    )
    return T.concatenate([hs, ms])


def cut_off_backwards(x: Any, h: Any, w: Any) -> Any:
    return jitgraph.scan(lambda x, h, w: (h * w + x * h, until(h > 3)), x, h, w, go_backwards=True)[
        0
    ]


def far_lag(h: Any, w: Any) -> Any:
    """Fewer steps than the initial window has rows."""
    return jitgraph.scan(
        lambda h4, w: h4 * w, outputs_info={"initial": h, "taps": [-4]}, non_sequences=w, n_steps=3
    )[0]


def matrix_taps(h: Any, W: Any) -> Any:
    return jitgraph.scan(
        lambda h2, h1: T.tanh(T.dot(h1, W) + h2),
        outputs_info={"initial": h, "taps": [-2, -1]},
        n_steps=4,
    )[0]


def nested(A: Any, v: Any) -> Any:
    """The power sums of each row, by a loop in a loop."""

    def row(r: Any, before: Any) -> Any:
        inner, _ = jitgraph.scan(lambda a, b, s: T.sin(s) + a * b, [r, v], before)
        return inner[-1]

    return jitgraph.scan(row, A, T.constant(0.3, dtype="float64"))[0]


def closures(x: Any, a: Any) -> Any:
    """Through expressions from outside, one of them of the sequence itself."""
    factor, total = T.exp(a), x.sum()
    return jitgraph.scan(lambda x, h: T.tanh(h * factor + x * total), x, a)[0]


def through_a_step_twice(x: Any) -> Any:
    """Integers on the way, the same variable as sequence, initial value and non-sequence."""

    def step(r: Any, k: Any, h: Any, whole: Any) -> Any:
        return [k + 1, h * r + whole[k] * T.cast(k, "float64")]

    zero = T.constant(0, dtype="int64")
    (_, hs), _ = jitgraph.scan(step, x, [zero, x[0]], x)
    return hs


def powers(w: Any) -> Any:
    return jitgraph.scan(lambda p: p * w, outputs_info=w, n_steps=5)[0]


def single_step(x: Any, h: Any) -> Any:
    return jitgraph.scan(lambda x, h: T.sin(h * x), x, h, n_steps=1)[0]


def reduced(x: Any, w: Any) -> Any:
    one = T.constant(1.0, dtype="float64")
    return jitgraph.foldr(lambda x, p, w: T.log(p * p + x * w + 2), x, one, w)[0]


def stable(x: Any, h: Any) -> Any:
    """log(sigmoid) inside the loop: differentiated in its stable form."""
    return jitgraph.scan(lambda x, h: T.log(T.nnet.sigmoid(h - x)), x, h)[0]


def ragged(x: Any, h: Any) -> Any:
    """Values in the step whose length differs from step to step, none of them kept."""

    def step(i: Any, h: Any) -> Any:
        part = T.tanh(x[i:] * h)
        return T.dot(T.exp(x[: i + 1]), part[: i + 1]) + h

    return jitgraph.scan(step, T.arange(3), h)[0]


def ragged_inner_loops(h: Any, w: Any) -> Any:
    """An inner loop of k steps in step k."""

    def step(k: Any, h: Any) -> Any:
        inner, _ = jitgraph.scan(lambda g: T.tanh(g * w + h), outputs_info=h, n_steps=k)
        return inner.sum() + T.sin(h)

    return jitgraph.scan(step, T.arange(4), h)[0]


def checkpoints(x: Any, h: Any) -> Any:
    """The last block is shorter than the others."""
    return jitgraph.scan_checkpoints(lambda x, h: T.tanh(x * h + x), x, h, save_every_N=3)[0]


PROGRAMS: dict[str, tuple[Callable[..., Any], list[np.ndarray]]] = {
    "rnn": (rnn, [normal(4, 3), normal(3), normal(3, 3)]),
    "batched": (batched, [normal(3, 2, 3), normal(2, 3), normal(3, 3)]),
    "lstm": (lstm, [normal(3, 2), normal(3), normal(3), normal(5, 12)]),
    "with_taps": (with_taps, [normal(7), normal(3), np.array(0.7)]),
    "backwards": (backwards, [normal(8), normal(6), np.array(0.3)]),
    "cut_off": (cut_off, [np.abs(normal(8)) + 1, np.array(0.3), np.array(0.7)]),
    "cut_off_backwards": (
        cut_off_backwards,
        [np.abs(normal(8)) + 1, np.array(0.3), np.array(0.7)],
    ),
    "far_lag": (far_lag, [normal(4), np.array(0.8)]),
    "matrix_taps": (matrix_taps, [normal(2, 2, 3), normal(3, 3)]),
    "nested": (nested, [normal(3, 2), normal(2)]),
    "closures": (closures, [normal(4), np.array(0.2)]),
    "through_a_step_twice": (through_a_step_twice, [normal(4)]),
    "powers": (powers, [np.array(1.2)]),
    "single_step": (single_step, [normal(3), np.array(0.4)]),
    "reduced": (reduced, [np.abs(normal(4)), np.array(0.6)]),
    "stable": (stable, [normal(3), np.array(0.4)]),
    "ragged": (ragged, [normal(5), np.array(0.4)]),
    "ragged_inner_loops": (ragged_inner_loops, [np.array(0.4), np.array(0.9)]),
    "checkpoints": (checkpoints, [normal(7), np.array(0.4)]),
}


@pytest.mark.parametrize("name", PROGRAMS)
def test_first_derivatives(name: str) -> None:
    build, arrays = PROGRAMS[name]
    found = numeric_gradient.check(build, arrays)
    assert any(g.any() for g in found)


@pytest.mark.parametrize("name", PROGRAMS)
def test_second_derivatives(name: str) -> None:
    build, arrays = PROGRAMS[name]
    numeric_gradient.check(build, arrays, order=2)


@pytest.mark.parametrize("name", PROGRAMS)
def test_compiled_derivatives_equal_those_of_the_reference(name: str) -> None:
    build, arrays = PROGRAMS[name]
    xs = numeric_gradient.variables(arrays)
    cost = numeric_gradient.projected(build(*xs), 0)
    first = T.grad(cost, xs)
    again = T.grad(sum(numeric_gradient.projected(g, 1) for g in first), xs)
    results = [cost, *first, *again]
    wanted = jitgraph.function(xs, results, mode="reference")(*arrays)
    got = jitgraph.function(xs, results)(*arrays)
    for a, b in zip(got, wanted, strict=True):
        # The order of additions differs; no sum here cancels to less than 1e-3 of its terms.
        assert_allclose(a, b, rtol=1e-10, atol=1e-12)


def test_the_check_finds_a_wrong_gradient() -> None:
    from jitgraph.gradient import grad_scale

    def wrong(x: Any, h: Any) -> Any:
        return jitgraph.scan(lambda x, h: grad_scale(h, 1.01) * x, x, h)[0]

    with pytest.raises(AssertionError):
        numeric_gradient.check(wrong, [normal(3), np.array(0.4)])


# -- truncation --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("steps", "expected"),
    [(-1, (16, 32)), (2, (0, 16)), (3, (0, 24)), (4, (16, 32)), (9, (16, 32))],
)
def test_truncation_as_recorded_from_theano(function: Any, steps: int, expected: Any) -> None:
    p, w = T.dscalar("p"), T.dscalar("w")
    out, _ = jitgraph.scan(
        lambda p, w: p * w, outputs_info=p, non_sequences=w, n_steps=4, truncate_gradient=steps
    )
    assert_array_equal(function([p, w], T.grad(out[-1], [p, w]))(1.0, 2.0), expected)


@pytest.mark.parametrize("backwards", [False, True])
@pytest.mark.parametrize("steps", [1, 2, 3, 6, 8])
def test_truncation_against_a_loop_by_hand(function: Any, steps: int, backwards: bool) -> None:
    """Two lags: only the last steps are gone through, what they read further back gets its share
    if it is an initial row, and is cut off if an earlier step made it."""
    x, h = T.dvector("x"), T.dvector("h")
    out, _ = jitgraph.scan(
        lambda x, h2, h1: x * h2 + h1,
        x,
        {"initial": h, "taps": [-2, -1]},
        truncate_gradient=steps,
        go_backwards=backwards,
    )
    f = function([x, h], T.grad(out[-1], [x, h]))
    xs, hs = normal(6), normal(2)
    order = range(5, -1, -1) if backwards else range(6)
    values = list(hs)
    for i in order:
        values.append(xs[i] * values[-2] + values[-1])
    slope = np.zeros(8)  # of values
    slope[-1] = 1
    gx = np.zeros(6)
    for s in range(5, max(-1, 5 - steps), -1):
        i = order[s]
        gx[i] += slope[s + 2] * values[s]
        slope[s] += slope[s + 2] * xs[i]
        slope[s + 1] += slope[s + 2]
    got_x, got_h = f(xs, hs)
    assert_allclose(got_x, gx, rtol=1e-12)
    assert_allclose(got_h, slope[:2], rtol=1e-12)


# -- products with the Jacobian ----------------------------------------------------------------


@pytest.mark.parametrize("name", ["rnn", "with_taps", "backwards", "cut_off", "nested", "far_lag"])
def test_products_with_the_jacobian(name: str) -> None:
    build, arrays = PROGRAMS[name]
    xs = numeric_gradient.variables(arrays)
    vs = [x.type() for x in xs]
    out = build(*xs)
    points = [normal(*a.shape) for a in arrays]
    product = Rop(out, xs, vs)
    got = jitgraph.function([*xs, *vs], product, mode="reference", on_unused_input="ignore")(
        *arrays, *points
    )
    f = jitgraph.function(xs, out, mode="reference")

    def moved(t: float) -> Any:
        return f(*(a + t * p for a, p in zip(arrays, points, strict=True)))

    assert_allclose(got, numeric_gradient.stencil(moved, 1e-3), rtol=1e-6, atol=1e-8)
    u = out.type()
    left = Lop(out, xs, u)
    weights = normal(*np.shape(got))
    rows = jitgraph.function([*xs, u], left, mode="reference", on_unused_input="ignore")(
        *arrays, weights
    )
    assert_allclose(
        np.sum(weights * got), sum(np.sum(r * p) for r, p in zip(rows, points, strict=True))
    )


# -- what is connected, what is kept -----------------------------------------------------------


def test_what_no_step_uses_is_disconnected() -> None:
    x, y, h = T.dvector("x"), T.dvector("y"), T.dscalar("h")
    (a, b), _ = jitgraph.scan(lambda x, y, h: [h * x, y * 2], [x, y], [h, None])
    with pytest.raises(DisconnectedInputError):
        T.grad(a.sum(), y)
    with pytest.raises(DisconnectedInputError):
        T.grad(b.sum(), h)
    n = T.lscalar("n")
    out, _ = jitgraph.scan(lambda h: h * 2, outputs_info=h, n_steps=n)
    with pytest.raises(DisconnectedInputError):
        T.grad(out.sum(), n)


def test_connections_reach_through_later_steps(function: Any) -> None:
    """x reaches c only by way of a and b, over three steps."""
    x = T.dvector("x")
    zero = T.constant(0.0, dtype="float64")
    (_, _, c), _ = jitgraph.scan(lambda x, a, b, c: [x * x, a, b + 0 * c], x, [zero, zero, zero])
    assert_array_equal(function([x], T.grad(c[-1], x))([1.0, 2.0, 3.0, 4.0]), [0, 4.0, 0, 0])


def test_integers_receive_zeros(function: Any) -> None:
    k, x = T.lvector("k"), T.dvector("x")
    out, _ = jitgraph.scan(lambda k, x: x * k, [k, x])
    gk, gx = function([k, x], T.grad(out.sum(), [k, x]))([2, 3], [0.5, 0.25])
    assert_array_equal(gk, [0.0, 0.0])
    assert_array_equal(gx, [2.0, 3.0])


def test_float32_stays_float32(function: Any) -> None:
    x, h, W = T.fmatrix("x"), T.fvector("h"), T.fmatrix("W")
    gradients = T.grad(rnn(x, h, W).sum(), [x, h, W])
    assert [g.dtype for g in gradients] == ["float32"] * 3
    values = [v.astype("float32") for v in (normal(4, 3), normal(3), normal(3, 3))]
    xs = numeric_gradient.variables([v.astype("float64") for v in values])
    exact = jitgraph.function(xs, T.grad(rnn(*xs).sum(), xs), mode="reference")(*values)
    for got, want in zip(function([x, h, W], gradients)(*values), exact, strict=True):
        # About 12 rounded operations of 2^-24 for each of 4 steps, terms of size 1.
        assert_allclose(got, want, rtol=3e-6, atol=3e-6)


def test_a_float64_cost_of_a_float32_state(function: Any) -> None:
    x, h = T.fvector("x"), T.fscalar("h")
    weights = T.dvector("weights")
    out, _ = jitgraph.scan(lambda x, h: h * x, x, h)
    g = T.grad((out * weights).sum(), h)
    assert_array_equal(function([x, h, weights], g)([2.0, 4.0], 1.0, [1.0, 10.0]), 82.0)


def test_results_are_read_not_computed_again() -> None:
    """The gradient of tanh(Wh + x) needs the states alone: no further row, no second product."""
    x, h, W = T.dmatrix("x"), T.dvector("h"), T.dmatrix("W")
    backward = scans_in(*T.grad(rnn(x, h, W).sum(), [x, h, W]))
    assert [op.n_maps for op in backward if op.label != "gradient"] == [0]
    [loop] = [op for op in backward if op.label == "gradient"]
    products = [n for n in toposort(loop.body.outputs) if isinstance(n.op, Dot)]
    assert len(products) == 1
    assert "tanh" not in {n.op.name for n in toposort(loop.body.outputs)}


def test_dear_values_are_kept_and_cheap_ones_computed_again() -> None:
    x, h = T.dvector("x"), T.dscalar("h")
    out, _ = jitgraph.scan(lambda x, h: T.exp(h * x) * (h + 1) * (x - 2), x, h)
    forward = [op for op in scans_in(T.grad(out.sum(), x)) if op.label != "gradient"]
    assert sorted(op.n_maps for op in forward) == [0, 1]  # with and without the exp


# -- whole matrices of derivatives -------------------------------------------------------------


def test_jacobian_of_a_vector(function: Any) -> None:
    x, W = T.dvector("x"), T.dmatrix("W")
    y = T.tanh(T.dot(W, x))
    gx, gW = T.jacobian(y, [x, W])
    xs, Ws = normal(3), normal(4, 3)
    got_x, got_W = function([x, W], [gx, gW])(xs, Ws)
    slope = 1 - np.tanh(Ws @ xs) ** 2
    assert_allclose(got_x, slope[:, None] * Ws, rtol=1e-12)
    expected = np.zeros((4, 4, 3))
    for i in range(4):
        expected[i, i] = slope[i] * xs
    assert_allclose(got_W, expected, rtol=1e-12)
    assert isinstance(T.jacobian(y, (x,)), tuple)
    assert T.jacobian(y, x).type.ndim == 2


def test_jacobian_of_a_scalar_is_the_gradient(function: Any) -> None:
    x = T.dvector("x")
    assert_allclose(function([x], T.jacobian((x**3).sum(), x))([1.0, 2.0]), [3.0, 12.0])


def test_jacobian_of_a_loop(function: Any) -> None:
    x, h, W = numeric_gradient.variables(PROGRAMS["rnn"][1])
    last = rnn(x, h, W)[-1]
    got = function([x, h, W], T.jacobian(last, h))(*PROGRAMS["rnn"][1])
    xs, hs, Ws = PROGRAMS["rnn"][1]
    expected = np.eye(3)
    for row in xs:
        hs = np.tanh(Ws @ hs + row)
        expected = ((1 - hs**2)[:, None] * Ws) @ expected
    assert_allclose(got, expected, rtol=1e-11)


def test_jacobian_draws_once() -> None:
    """All rows are of one draw, and the generator moves by one."""
    from jitgraph.sandbox.rng_mrg import MRG_RandomStreams

    x = T.dvector("x")
    y = x * MRG_RandomStreams(1).uniform((3,), dtype="float64")
    value, matrix = jitgraph.function([x], [y, T.jacobian(y, x)], mode="reference")(np.ones(3))
    assert_allclose(matrix, np.diag(value))


def test_hessian(function: Any) -> None:
    x, A = T.dvector("x"), T.dmatrix("A")
    cost = T.dot(x, T.dot(A, x)) / 2 + (x**4).sum()
    xs, As = normal(3), normal(3, 3)
    got = function([x, A], T.hessian(cost, x))(xs, As)
    assert_allclose(got, (As + As.T) / 2 + np.diag(12 * xs**2), rtol=1e-12)
    # Linear in y: a Hessian of zeros, not an error.
    y = T.dvector("y")
    both = T.hessian((x**2).sum() + T.dot(x, y), [x, y])
    f = function([x, y], both, on_unused_input="ignore")
    assert_array_equal(f([1.0, 2.0], [3.0, 4.0]), [2 * np.eye(2), np.zeros((2, 2))])


def test_hessian_of_a_loop(function: Any) -> None:
    x = T.dvector("x")
    one = T.constant(1.0, dtype="float64")
    out, _ = jitgraph.scan(lambda x, p: p * x, x, one)
    got = function([x], T.hessian(out[-1], x))([2.0, 3.0, 5.0])
    assert_allclose(got, [[0, 5, 3], [5, 0, 2], [3, 2, 0]], atol=1e-13)


def test_refusals_of_jacobian_and_hessian() -> None:
    x, M = T.dvector("x"), T.dmatrix("M")
    with pytest.raises(AssertionError, match=r"jacobian takes a vector or a scalar.*flatten"):
        T.jacobian(M * 2, M)
    with pytest.raises(AssertionError, match="jacobian takes a symbolic expression, got 1"):
        T.jacobian(1, x)
    with pytest.raises(AssertionError, match=r"hessian takes vectors as wrt, got M"):
        T.hessian(M.sum(), M)
    with pytest.raises(AssertionError, match="hessian takes a scalar cost"):
        T.hessian(x * 2, x)
    with pytest.raises(DisconnectedInputError):
        T.jacobian(x * 2, T.dvector("other"))


# -- the op itself: what `scan` never makes ----------------------------------------------------


@pytest.mark.parametrize("reads_reversed", [False, True])
@pytest.mark.parametrize("keeps_reversed", [False, True])
@pytest.mark.parametrize("n", [1, 2, 5])
def test_final_windows_and_reversed_traces(
    keeps_reversed: bool, reads_reversed: bool, n: int
) -> None:
    """Final windows hold initial rows too where there are fewer steps; traces from the end."""
    from jitgraph.ops.scan import Body, Rows, Trace

    x, h3, h1, w = (T.dscalar(name) for name in ("x", "h3", "h1", "w"))
    new = T.sin(h1 * w) + h3 * x
    op = Scan(
        Body((x, h3, h1, w), (new, T.exp(h1) * h3)),
        [Rows(1, reads_reversed)],
        [(3, 1)],
        [Trace(reversed=keeps_reversed), Trace(reversed=not keeps_reversed)],
    )

    def build(x: Any, h: Any, w: Any) -> Any:
        trace, kept, final = op(np.int64(n), x, h, w)
        return T.concatenate([trace, kept, final])

    arrays = [normal(7), normal(3), np.array(0.8)]
    numeric_gradient.check(build, arrays)
    numeric_gradient.check(build, arrays, order=2)
    xs, hs, window = arrays[0], list(arrays[1]), []
    for s in range(n):
        row = xs[(n - 1 - s if reads_reversed else s) + 1]
        window.append(np.exp(hs[-1]) * hs[-3])
        hs.append(np.sin(hs[-1] * 0.8) + hs[-3] * row)
    trace, kept = hs[3:], window
    expected = [
        *(trace[::-1] if keeps_reversed else trace),
        *(kept if keeps_reversed else kept[::-1]),
        *hs[-3:],
    ]
    ins = numeric_gradient.variables(arrays)
    for mode in ("reference", "FAST_RUN"):
        assert_allclose(jitgraph.function(ins, build(*ins), mode=mode)(*arrays), expected)
