"""Stable forms: where they are found, that they and their gradients are finite and right."""

from __future__ import annotations

import math
from typing import Any

import mpmath
import numpy as np
import pytest
from structure import FAST_RUN, becomes, ops_of, rewritten_ops

import jitgraph.tensor as T
from jitgraph import grad
from jitgraph.graph import TensorType, Variable, ancestors
from jitgraph.mode import get_mode
from jitgraph.ops.math import logaddexp
from jitgraph.ops.nnet import (
    LogSumExp,
    logsoftmax_op,
    logsoftmax_pick,
    pick,
    softmax_op,
)
from jitgraph.reference import evaluate
from jitgraph.rewrite.pipeline import optimise, stabilise

sigmoid, softplus = T.nnet.sigmoid, T.nnet.softplus
x, y = T.dmatrices("x", "y")
v = T.dvector("v")
k = T.lvector("k")
FLOATS = ("float32", "float64")
ULP = {"float32": 2.0**-23, "float64": 2.0**-52}


# -- what matches ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "one",
    [
        1, 1.0, np.int8(1), np.float32(1), np.float64(1), np.ones((1, 1)), np.ones((3, 4)),
        T.constant(np.ones(4)), T.ones_like(x), T.ones_like(sigmoid(x)),
        T.cast(T.constant(1), "int64"),
        T.alloc(np.float64(1), x.shape[0], x.shape[1]), T.constant(1.0).dimshuffle("x", "x"),
    ],
)  # fmt: skip
def test_every_kind_of_one_matches(one: Any) -> None:
    assert rewritten_ops(T.log(one - sigmoid(x))) == ["neg", "softplus"]
    (stable,) = stabilise([T.log(one - sigmoid(x))], [x])
    assert "sigmoid" not in ops_of([stable]) and "softplus" in ops_of([stable])


@pytest.mark.parametrize(
    "view",
    [
        lambda a: a.flatten(),
        lambda a: a.T,
        lambda a: a.dimshuffle("x", 0, 1),
        lambda a: a.reshape((2, -1)),
        lambda a: a.T.flatten(),
        lambda a: a[1:, 0],
        lambda a: a[T.constant(np.array([0, 0])), :],
        lambda a: pick(a, T.constant(np.array([0, 1]))),
    ],
)
def test_sigmoid_is_found_behind_a_view(view: Any) -> None:
    for form in (T.log(1 - view(sigmoid(x))), T.log(view(1 - sigmoid(x))), T.log(view(sigmoid(x)))):
        assert "log" not in rewritten_ops(form) or "log1p" in rewritten_ops(form)
        (stable,) = stabilise([form], [x])
        if "switch" not in ops_of([stable]):
            data = {x: np.full((2, 4), 900.0)}
            (value,) = evaluate([stable], data)
            assert value.shape == evaluate([form], data)[0].shape


@pytest.mark.parametrize("other_user", [lambda s: s + 1, lambda s: s.sum(), lambda s: s.T])
def test_other_users_of_sigmoid_do_not_matter(other_user: Any) -> None:
    s = sigmoid(x)
    logs = optimise([T.log(s), T.log(1 - s), other_user(s)], FAST_RUN)
    assert ops_of(logs[:2]) == ["neg", "neg", "neg", "softplus", "softplus"]


def test_one_minus_sigmoid_with_a_second_user_is_one_sigmoid() -> None:
    s = sigmoid(x)
    assert rewritten_ops(s * (1 - s)) == ["mul", "sigmoid", "sub"]
    assert rewritten_ops(1 - s) == ["neg", "sigmoid"]


def test_integers_are_converted_before_they_are_negated() -> None:
    u = TensorType("uint8", (False,))("u")
    values = {u: np.array([0, 1, 60], "uint8")}
    for form in (
        T.log(sigmoid(u)),
        T.log(1 - sigmoid(u)),
        T.exp(u) / (1 + T.exp(u)),
        T.log(T.exp(u)),
    ):
        (new,) = optimise([form], FAST_RUN)
        assert new.type == form.type
        truth = np.array([_truth(form, float(n)) for n in values[u]])
        np.testing.assert_allclose(evaluate([new], values)[0], truth, rtol=4 * ULP["float32"])


def _truth(form: Variable, n: float) -> float:
    """The form in mpmath on a float64 leaf of value n."""
    names = {v.owner.op.name for v in ancestors([form]) if v.owner is not None}
    with mpmath.workprec(800):
        s = 1 / (1 + mpmath.exp(-mpmath.mpf(n)))
        if "true_div" in names:
            return float(s)
        if "exp" in names:
            return n
        return float(mpmath.log(1 - s) if "sub" in names else mpmath.log(s))


def test_precision_of_a_mixed_expression_is_that_of_its_type() -> None:
    f = T.fvector("f")
    form = T.log(np.float64(1.0) * np.ones(1) - sigmoid(f))
    (new,) = optimise([form], FAST_RUN)
    assert new.type == form.type == TensorType("float64", (False,))
    value = evaluate([new], {f: np.array([50, -50], "float32")})[0]
    np.testing.assert_allclose(value, [-50.0, -math.exp(-50)], rtol=2 * ULP["float32"])


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (T.log(T.exp(x).sum(axis=1)), LogSumExp((1,))(x)),
        (T.log(T.exp(x).sum()), LogSumExp((0, 1))(x)),
        (T.log(T.exp(x).sum(axis=0, keepdims=True)), LogSumExp((0,))(x).dimshuffle("x", 0)),
        (T.log(T.exp(v).sum()), LogSumExp((0,))(v)),
        (T.exp(x) / T.exp(x).sum(axis=1, keepdims=True), softmax_op(x)),
        (T.exp(x) / T.exp(x).sum(axis=1).dimshuffle(0, "x"), softmax_op(x)),
        (T.exp(x) / T.exp(x).sum(axis=0, keepdims=True), softmax_op(x.T).T),
        (T.exp(x) / T.exp(x).sum(axis=0), softmax_op(x.T).T),
        (T.exp(v) / T.exp(v).sum(), softmax_op(v)[0]),
        (T.nnet.softmax_graph(x), softmax_op(x)),
        (T.log(T.nnet.softmax_graph(x)), logsoftmax_op(x)),
        (T.log(pick(softmax_op(x), k)), logsoftmax_pick(x, k)),
        (pick(T.log(softmax_op(x)), k), logsoftmax_pick(x, k)),
        (T.log(softmax_op(x))[T.arange(k.shape[0]), k], logsoftmax_pick(x, k)),
        (T.log(softmax_op(x))[T.arange(x.shape[0]), k], logsoftmax_pick(x, k)),
        (logsoftmax_op(x)[T.arange(k.shape[0]), k], logsoftmax_pick(x, k)),
        (T.log(softmax_op(T.dot(x, y)))[T.arange(x.shape[0]), k], logsoftmax_pick(T.dot(x, y), k)),
        (T.log(softmax_op(x[0])), logsoftmax_op(x[0])),
        (T.log(T.exp(x) + T.exp(v)), logaddexp(x, v.dimshuffle("x", 0))),
        (T.log(1 + x), T.log1p(x)),
        (T.log(1 - x), T.log1p(-x)),
        (T.log(1 - sigmoid(x)), -softplus(x)),
        (T.log(sigmoid(x)), -softplus(-x)),
        (T.log1p(-sigmoid(x)), -softplus(x)),
        (T.log(1 + T.exp(x)), softplus(x)),
        (T.log(1 + T.exp(-x)), softplus(-x)),
        (1 / (1 + T.exp(-T.dot(x, v))), sigmoid(T.dot(x, v))),
        (T.exp(x) / (T.exp(x) + 1), sigmoid(x)),
        (3.5 / (1 + T.exp(x)), np.float64(3.5) * sigmoid(-x)),
        (y / (1 + T.exp(x)), y * sigmoid(-x)),
        (y * T.exp(x) * sigmoid(-x), y * sigmoid(x)),
        (T.log1p(T.exp(x + y)), softplus(x + y)),
    ],
)
def test_becomes(before: Any, after: Any) -> None:
    # both sides are written out alike in the last phase
    (wanted,) = optimise([after], FAST_RUN)
    assert becomes(before, wanted)


@pytest.mark.parametrize(
    "kept",
    [
        T.log(T.exp(x - x.max(axis=1, keepdims=True)).sum(axis=1)),  # already shifted
        T.exp(x) / T.exp(y).sum(axis=1, keepdims=True),
        T.exp(x) / T.exp(x).sum(axis=1),  # row i is divided by the sums of other rows
        softmax_op(x)[T.arange(3), k],
        T.log(x + y),
        T.log(T.sqr(x)),
        T.exp(T.log(x)),
        T.log(1 + T.cast(x, "int32")),  # integer addition wraps
        1 - T.switch(T.gt(x, 0), sigmoid(x), x),
    ],
)
def test_is_no_case_for_a_stable_rule(kept: Any) -> None:
    log: list[str] = []
    (stable,) = stabilise([kept], [x, y])
    assert stable is kept
    optimise([kept], FAST_RUN.excluding("canonicalize", "specialize", "ShapeOpt"), log)
    assert [name for name in log if not name.startswith("composite")] == []


def test_softmax_shifted_by_hand_is_not_shifted_twice() -> None:
    z = x - x.max(axis=1, keepdims=True)
    by_hand = T.exp(z) / T.exp(z).sum(axis=1, keepdims=True)
    assert rewritten_ops(by_hand).count("Reduce") == 2
    assert becomes(by_hand, optimise([softmax_op(x)], FAST_RUN)[0])


def test_composite_ops_are_always_written_out() -> None:
    everything = [softmax_op(x), logsoftmax_op(x), LogSumExp((0,))(x), logsoftmax_pick(x, k)]
    for mode in (FAST_RUN, get_mode("FAST_COMPILE"), get_mode("reference")):
        for v_ in ancestors(optimise(everything, mode)):
            assert v_.owner is None or not hasattr(v_.owner.op, "expand")


def test_fast_compile_leaves_the_logarithm_of_sigmoid() -> None:
    form = T.log(sigmoid(x))
    (new,) = optimise([form], get_mode("FAST_COMPILE"))
    with np.errstate(divide="ignore"):
        assert evaluate([new], {x: np.full((1, 1), -1000.0)})[0] == -np.inf
    # but fuses the cross-entropy of a softmax
    cost = T.nnet.categorical_crossentropy(softmax_op(x), k)
    (new,) = optimise([cost], get_mode("FAST_COMPILE"))
    assert np.isfinite(evaluate([new], {x: np.array([[0.0, 2000.0]]), k: np.array([0])})[0]).all()


# -- values and gradients ------------------------------------------------------------------------


def value_and_gradient(expression: Any, wrt: Any, values: dict[Any, Any]) -> tuple[Any, Any]:
    """Both rewritten as a function would have them."""
    graphs = optimise([expression, grad(expression.sum(), wrt)], FAST_RUN)
    value, slope = evaluate(graphs, values)
    return value, slope


def mp_sigmoid(z: Any) -> Any:
    return 1 / (1 + mpmath.exp(-z))


def mp_slope(z: Any) -> Any:
    return mp_sigmoid(z) * (1 - mp_sigmoid(z))


def mp_softplus(z: Any) -> Any:
    return mpmath.log(1 + mpmath.exp(z))


# form: its value and its derivative in mpmath
UNARY: dict[str, tuple[Any, Any, Any]] = {
    "log(s)": (lambda z: T.log(sigmoid(z)), lambda z: -mp_softplus(-z), lambda z: mp_sigmoid(-z)),
    "log(1-s)": (
        lambda z: T.log(1 - sigmoid(z)),
        lambda z: -mp_softplus(z),
        lambda z: -mp_sigmoid(z),
    ),
    "1/(1+exp(-z))": (lambda z: 1 / (1 + T.exp(-z)), mp_sigmoid, mp_slope),
    "exp(z)/(1+exp(z))": (lambda z: T.exp(z) / (1 + T.exp(z)), mp_sigmoid, mp_slope),
    "log(1+exp(z))": (lambda z: T.log(1 + T.exp(z)), mp_softplus, mp_sigmoid),
    "log(exp(z))": (lambda z: T.log(T.exp(z)), lambda z: z, lambda z: mpmath.mpf(1)),
    "sqrt(sqr(z))": (lambda z: T.sqrt(T.sqr(z)), abs, mpmath.sign),
}


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize(("form", "value", "slope"), UNARY.values(), ids=UNARY)
def test_unary_form_and_its_gradient(form: Any, value: Any, slope: Any, dtype: str) -> None:
    """Values to 4 ULP, derivatives to 4 ULP where the dtype can hold them; finite everywhere."""
    z = TensorType(dtype, (False,))("z")
    points = np.array([-1000.0, -100.0, -30.0, -1.0, -1e-3, 1e-3, 1.0, 30.0, 100.0, 1000.0], dtype)
    got, gradient = value_and_gradient(form(z), z, {z: points})
    assert got.dtype == gradient.dtype == dtype
    assert np.isfinite(got).all() and np.isfinite(gradient).all()
    with mpmath.workprec(3000):
        mp_points = [mpmath.mpf(float(p)) for p in points]
        true = np.array([float(value(p)) for p in mp_points])
        true_slope = np.array([float(slope(p)) for p in mp_points])
    tiny = np.finfo(dtype).smallest_subnormal
    np.testing.assert_allclose(got, true, rtol=4 * ULP[dtype], atol=4 * tiny)
    # y (1 - y) holds the slope of sigmoid to a ULP of 1 where it saturates
    slack = ULP[dtype] if slope is mp_slope else 4 * tiny
    np.testing.assert_allclose(gradient, true_slope, rtol=4 * ULP[dtype], atol=slack)


@pytest.mark.parametrize("dtype", FLOATS)
def test_binary_crossentropy_of_sigmoid(dtype: str) -> None:
    z, t = (TensorType(dtype, (False,))(n) for n in ("z", "t"))
    form = T.nnet.binary_crossentropy(sigmoid(z), t)
    assert becomes(form, T.nnet.sigmoid_binary_crossentropy(z, t))
    points = np.array([-1000.0, 1000.0, -1000.0, 1000.0, 3.0], dtype)
    targets = np.array([0.0, 1.0, 1.0, 0.0, 0.25], dtype)
    value, slope = value_and_gradient(form, z, {z: points, t: targets})
    sp = [math.log1p(math.exp(3.0)), math.log1p(math.exp(-3.0))]
    np.testing.assert_allclose(
        value, [0, 0, 1000, 1000, 0.25 * sp[1] + 0.75 * sp[0]], rtol=4 * ULP[dtype]
    )
    want = [0, 0, -1, 1, 1 / (1 + math.exp(-3.0)) - 0.25]
    np.testing.assert_allclose(slope, want, rtol=8 * ULP[dtype], atol=ULP[dtype])


@pytest.mark.parametrize("dtype", FLOATS)
def test_logistic_regression_of_the_tutorial(dtype: str) -> None:
    data = TensorType(dtype, (False, False))("data")
    w = TensorType(dtype, (False,))("w")
    b = TensorType(dtype, ())("b")
    labels = TensorType(dtype, (False,))("labels")
    p_1 = 1 / (1 + T.exp(-T.dot(data, w) - b))
    xent = -labels * T.log(p_1) - (1 - labels) * T.log(1 - p_1)
    assert "sigmoid_binary_crossentropy" in rewritten_ops(xent) and "log" not in rewritten_ops(xent)
    values = {
        data: np.array([[1000.0, 0.0], [-1000.0, 0.0], [1.0, 2.0]], dtype),
        w: np.ones(2, dtype), b: np.asarray(0, dtype), labels: np.array([0, 1, 1], dtype),
    }  # fmt: skip
    cost = xent.mean() + 0.01 * T.sqr(w).sum()
    graphs = optimise([xent, *grad(cost, [w, b])], FAST_RUN)
    value, gw, gb = evaluate(graphs, values)
    np.testing.assert_allclose(value, [1000, 1000, math.log1p(math.exp(-3))], rtol=4 * ULP[dtype])
    s = 1 / (1 + math.exp(-3.0)) - 1
    want = np.array([1000 + 1000 + s, 2 * s]) / 3 + 0.02
    # the second sum cancels: its terms are near 0.03
    np.testing.assert_allclose(gw, want, rtol=16 * ULP[dtype], atol=0.03 * 16 * ULP[dtype])
    np.testing.assert_allclose(gb, s / 3, rtol=16 * ULP[dtype], atol=2 * ULP[dtype])


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize(
    "cost",
    [
        lambda p, k: T.nnet.categorical_crossentropy(p, k).sum(),
        lambda p, k: -T.log(p)[T.arange(k.shape[0]), k].sum(),
        lambda p, k: -T.log(p[T.arange(k.shape[0]), k]).sum(),
        lambda p, k: T.nnet.crossentropy_categorical_1hot(p, k).sum(),
    ],
)
def test_softmax_crossentropy(cost: Any, dtype: str) -> None:
    z = TensorType(dtype, (False, False))("z")
    values = {z: np.array([[0.0, 2000.0, 1.0], [1.0, 2.0, 3.0]], dtype), k: np.array([0, 1])}
    for p in (softmax_op(z), T.nnet.softmax_graph(z)):
        expression = cost(p, k)
        value, slope = evaluate(optimise([expression, grad(expression, z)], FAST_RUN), values)
        e = np.exp([1.0, 2.0, 3.0]) / np.exp([1.0, 2.0, 3.0]).sum()
        np.testing.assert_allclose(value, 2000 - math.log(e[1]), rtol=4 * ULP[dtype])
        np.testing.assert_allclose(
            slope, [[-1, 1, 0], [e[0], e[1] - 1, e[2]]], rtol=8 * ULP[dtype], atol=ULP[dtype]
        )


@pytest.mark.parametrize("dtype", FLOATS)
def test_logsumexp_of_large_numbers(dtype: str) -> None:
    z = TensorType(dtype, (False, False))("z")
    rows = np.array([[1000.0, 1000.0], [-1000.0, -1000.0], [0.0, -np.inf]], dtype)
    value, slope = value_and_gradient(T.log(T.exp(z).sum(axis=1)), z, {z: rows})
    np.testing.assert_allclose(
        value, [1000 + math.log(2), -1000 + math.log(2), 0], rtol=2 * ULP[dtype]
    )
    # exp(x - y) has the error of its argument, half an ULP of 1000
    np.testing.assert_allclose(slope, [[0.5, 0.5], [0.5, 0.5], [1, 0]], rtol=1000 * ULP[dtype])


@pytest.mark.parametrize("dtype", FLOATS)
def test_log_erfc(dtype: str) -> None:
    """6 ULP on both sides of the threshold and far beyond; the slope to 3e-5 and 1e-12."""
    z = TensorType(dtype, (False,))("z")
    points = np.array([-30, -1, 0, 0.5, 3, 8.9, 9, 9.1, 25.9, 26, 26.5, 27, 40, 1000, 1e4], dtype)
    value, slope = value_and_gradient(T.log(T.erfc(z)), z, {z: points})
    with mpmath.workprec(200):
        mp_points = [mpmath.mpf(float(p)) for p in points]
        true = [float(mpmath.log(mpmath.erfc(p))) for p in mp_points]
        true_slope = [
            float(-2 / mpmath.sqrt(mpmath.pi) * mpmath.exp(-p * p) / mpmath.erfc(p))
            for p in mp_points
        ]
    tiny = np.finfo(dtype).smallest_subnormal
    # At -1 the value is a logarithm near 1: half an ULP of erfc itself counts there.
    np.testing.assert_allclose(value, true, rtol=6 * ULP[dtype], atol=ULP[dtype] + 4 * tiny)
    # exp(-x^2) has x^2 times the error of its argument: 81 and 676 ULP at the thresholds.
    np.testing.assert_allclose(slope, true_slope, rtol=1500 * ULP[dtype], atol=4 * tiny)


def test_masked_infinities_do_not_reach_the_result() -> None:
    mask = TensorType("bool", (False,))("mask")
    b = T.dvector("b")
    a = 1 / b  # infinite where b is 0
    for form in (
        a * T.switch(mask, 0, v),
        T.switch(mask, 0, v) * a,
        a * T.switch(T.invert(mask), v, 0),
        T.switch(mask, 0, v) / (1 / a),
        T.switch(T.invert(mask), v, 0.0) / (1 / a),
    ):
        (new,) = optimise([form], FAST_RUN)
        data = {mask: np.array([True, False]), b: np.array([0.0, 0.5]), v: np.ones(2)}
        assert evaluate([new], data)[0].tolist() == [0.0, 2.0]


# -- stabilise ---------------------------------------------------------------------------------


def test_stabilise_returns_the_same_objects_when_nothing_fires() -> None:
    outputs = [T.exp(x) + 1, T.dot(x, y).T.T, (x + 0).flatten(), x, T.exp(x) + 1]
    for new, old in zip(stabilise(outputs, [x, y]), outputs, strict=True):
        assert new is old


def test_stabilise_touches_only_outputs_that_need_it() -> None:
    outputs = [T.tanh(x) * 1, T.log(sigmoid(x))]
    first, second = stabilise(outputs, [x])
    assert first is outputs[0]
    assert ops_of([second]) == ["neg", "neg", "softplus"]


def test_stabilise_does_not_look_behind_kept_variables() -> None:
    s = sigmoid(x)
    form = T.log(s) + T.log(1 - sigmoid(x))
    (kept,) = stabilise([form], [s])
    assert s in set(ancestors([kept]))
    assert "log" in ops_of([kept])
    (inner,) = stabilise([T.log(1 - s.T)], [s])
    assert s in set(ancestors([inner])) and "softplus" not in ops_of([inner])
    whole = T.log(sigmoid(x))
    assert stabilise([whole], [whole])[0] is whole


def test_gradient_with_respect_to_a_kept_intermediate() -> None:
    s = sigmoid(x)
    cost = T.log(s).sum()
    data = {x: np.array([[0.5, -0.5]])}
    (g,) = evaluate([grad(cost, s)], data)
    np.testing.assert_allclose(g, 1 / evaluate([s], data)[0], rtol=ULP["float64"])


def test_names_and_lines_survive() -> None:
    form = T.log(sigmoid(x))
    form.name = "loss"
    line = form.owner.origins
    assert line and line[0][0].endswith("test_stable_rules.py")
    for new in (*stabilise([form], [x]), *optimise([form], FAST_RUN)):
        assert new.name == "loss"
        assert set(line) <= set(new.owner.origins)


@pytest.mark.filterwarnings("error")
def test_products_of_more_than_two() -> None:
    """T.mul takes any number of operands: no rule may fail on them."""
    e = T.exp(x)
    form = T.mul(e, 1 / e.sum(axis=1, keepdims=True), 2.0)
    data = {x: np.array([[0.5, -0.5, 2.0]])}
    (got,) = evaluate(stabilise([form], [x]), data)
    want = np.exp(data[x])
    np.testing.assert_allclose(got, 2 * want / want.sum(), rtol=4 * ULP["float64"])
