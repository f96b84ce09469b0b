"""Logarithms and quotients of exponentials in the spellings of programs: finite, and right.

The truth is computed by mpmath, elementwise, or by NumPy in float64 from shifted exponentials.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import mpmath
import numpy as np
import pytest
from structure import FAST_RUN, becomes, rewritten_ops

import jitgraph.tensor as T
from jitgraph import grad
from jitgraph.graph import TensorType
from jitgraph.ops.nnet import LogSumExp, logsoftmax_op, softmax_op
from jitgraph.reference import evaluate
from jitgraph.rewrite.pipeline import optimise, stabilise

FLOATS = ("float32", "float64")
ULP = {"float32": 2.0**-23, "float64": 2.0**-52}
sigmoid, softmax = T.nnet.sigmoid, T.nnet.softmax
POINTS = np.array([-1000.0, -100.0, -20.0, 0.5, 30.0, 100.0, 1000.0])


def value_and_gradient(expression: Any, wrt: Any, data: dict[Any, Any]) -> tuple[Any, Any]:
    """As a function would have them; float32 data are exact in float64."""
    return tuple(evaluate(optimise([expression, grad(expression.sum(), wrt)], FAST_RUN), data))


# -- sigmoids ------------------------------------------------------------------------------------

SIGMOIDS: dict[str, Callable[[Any], Any]] = {
    "op": sigmoid,
    "hand": lambda z: 1 / (1 + T.exp(-z)),
    "power": lambda z: (1 + T.exp(-z)) ** -1,
    "ratio": lambda z: T.exp(z) / (T.exp(z) + 1.0),
    "one minus": lambda z: 1 - 1 / (1 + T.exp(z)),
    "reciprocal": lambda z: 1 / (1 + 1 / T.exp(z)),
    "exp of log": lambda z: T.exp(-T.log(1 + T.exp(-z))),
}


def mp_s(z: Any) -> Any:
    return 1 / (1 + mpmath.exp(-z))


LN = mpmath.log
OF_SIGMOID: dict[str, tuple[Any, Any]] = {
    "p": (lambda p: p, lambda s: s),
    "log p": (T.log, LN),
    "log(1-p)": (lambda p: T.log(1 - p), lambda s: LN(1 - s)),
    "log1p(-p)": (lambda p: T.log1p(-p), lambda s: LN(1 - s)),
    "log(1+(-1)p)": (lambda p: T.log(1 + (-1) * p), lambda s: LN(1 - s)),
    "log(1/p)": (lambda p: T.log(1 / p), lambda s: -LN(s)),
    "log2 p": (T.log2, lambda s: LN(s) / LN(2)),
    "log10(1-p)": (lambda p: T.log10(1 - p), lambda s: LN(1 - s) / LN(10)),
    "logit": (lambda p: T.log(p / (1 - p)), lambda s: LN(s) - LN(1 - s)),
    "difference": (lambda p: T.log(p) - T.log(1 - p), lambda s: LN(s) - LN(1 - s)),
    "log p^2": (lambda p: T.log(p**2), lambda s: 2 * LN(s)),
    "log sqrt": (lambda p: T.log(T.sqrt(p)), lambda s: LN(s) / 2),
    "log pq": (lambda p: T.log(p * (1 - p)), lambda s: LN(s) + LN(1 - s)),
    "log(p/2)": (lambda p: T.log(0.5 * p), lambda s: LN(s) - LN(2)),
}


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("spelling", SIGMOIDS)
def test_functions_of_a_sigmoid(spelling: str, dtype: str) -> None:
    """Values within 16 ULP of their parts, slopes within 16 ULP of 1; nowhere nan or inf."""
    z = TensorType(dtype, (False,))("z")
    p = SIGMOIDS[spelling](z)
    outputs = []
    for form, _ in OF_SIGMOID.values():
        outputs += [form(p), grad(form(p).sum(), z)]
    results = iter(evaluate(optimise(outputs, FAST_RUN), {z: POINTS.astype(dtype)}))
    tiny = float(np.finfo(dtype).tiny)
    with mpmath.workprec(6000):
        for name, (_, function) in OF_SIGMOID.items():
            true = [function(mp_s(mpmath.mpf(v))) for v in POINTS]
            step = mpmath.mpf(2) ** -2500
            slopes = [
                (function(mp_s(v + step)) - function(mp_s(v - step))) / (2 * step)
                for v in map(mpmath.mpf, POINTS)
            ]
            value, slope = next(results), next(results)
            # 1 - s has the error of s; the others are sums of two logarithms that cancel somewhere
            sums = ("p", "log(p/2)", "logit", "difference", "log pq")
            slack = ULP[dtype] if name in sums else tiny
            np.testing.assert_allclose(
                value, [float(t) for t in true], rtol=16 * ULP[dtype], atol=slack, err_msg=name
            )
            np.testing.assert_allclose(
                slope, [float(t) for t in slopes], rtol=16 * ULP[dtype], atol=4 * ULP[dtype],
                err_msg=name,
            )  # fmt: skip


def test_one_minus_one_minus_sigmoid_with_other_users() -> None:
    z = T.dvector("z")
    p = 1 - 1 / (1 + T.exp(z))
    logs = optimise([T.log(1 - p), T.log1p(-p), p * 2], FAST_RUN)
    for value in evaluate(logs, {z: np.array([1000.0])})[:2]:
        assert value.tolist() == [-1000.0]


# -- softmax -------------------------------------------------------------------------------------

ROWS = np.array([[1000.0, 0, -1000], [-1000, -999, 5], [1e3, 1e3, 1e3], [0.1, 0.2, 0.3]])
LABELS = np.array([1, 0, 2, 1])
TOPS = ROWS.max(axis=1, keepdims=True)
LOGS = ROWS - TOPS - np.log(np.exp(ROWS - TOPS).sum(axis=1, keepdims=True))
PICKED = LOGS[np.arange(4), LABELS]


SOFTMAXES: dict[str, Callable[[Any], Any]] = {
    "op": softmax,
    "keepdims": lambda x: T.exp(x) / T.exp(x).sum(axis=1, keepdims=True),
    "None": lambda x: T.exp(x) / T.exp(x).sum(axis=1)[:, None],
    "negative axis": lambda x: T.exp(x) / T.sum(T.exp(x), axis=-1, keepdims=True),
    "transposed": lambda x: (T.exp(x).T / T.exp(x).sum(axis=1)).T,
    "reciprocal": lambda x: T.exp(x) * (1 / T.exp(x).sum(axis=1, keepdims=True)),
    "reshape": lambda x: T.exp(x) / T.exp(x).sum(axis=1).reshape((-1, 1)),
    "other axis": lambda x: (T.exp(x.T) / T.exp(x.T).sum(axis=0)).T,
    "by row": lambda x: T.stack([T.exp(x[i]) / T.exp(x[i]).sum() for i in range(4)]),
    "op by row": lambda x: T.stack([softmax(x[i])[0] for i in range(4)]),
    "shifted": lambda x: (lambda e: e / e.sum(axis=1, keepdims=True))(
        T.exp(x - x.max(axis=1, keepdims=True))
    ),
    "rank 3": lambda x: (lambda z: T.exp(z) / T.exp(z).sum(axis=2, keepdims=True))(
        x.dimshuffle(0, "x", 1)
    )[:, 0, :],
    "joined": lambda x: T.concatenate([softmax(x[:2]), softmax(x[2:])]),
}
OF_SOFTMAX: dict[str, tuple[Any, Any]] = {
    "p": (lambda p, k: p, np.exp(LOGS)),
    "log": (lambda p, k: T.log(p), LOGS),
    "log2": (lambda p, k: T.log2(p), LOGS / np.log(2)),
    "picked": (lambda p, k: T.log(p)[T.arange(k.shape[0]), k], PICKED),
    "log of picked": (lambda p, k: T.log(p[T.arange(k.shape[0]), k]), PICKED),
    "array of rows": (lambda p, k: T.log(p[np.arange(4), k]), PICKED),
    "crossentropy": (lambda p, k: T.nnet.categorical_crossentropy(p, k), -PICKED),
    "one-hot": (
        lambda p, k: T.nnet.categorical_crossentropy(p, T.eye(3, dtype=p.dtype)[k]),
        -PICKED,
    ),
    "column": (lambda p, k: T.log(p[:, 0]), LOGS[:, 0]),
    "row": (lambda p, k: T.log(p[1]), LOGS[1]),
    "element": (lambda p, k: T.log(p[1, 2]), LOGS[1, 2]),
    "transposed": (lambda p, k: T.log(p.T), LOGS.T),
    "flat": (lambda p, k: T.log(p.flatten()), LOGS.ravel()),
    "reshaped": (lambda p, k: T.log(p.reshape((2, 6))), LOGS.reshape(2, 6)),
    "diagonal": (lambda p, k: T.log(p[:, k].diagonal()), PICKED),
}


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("spelling", SOFTMAXES)
def test_functions_of_a_softmax(spelling: str, dtype: str) -> None:
    """All terms are exact or of size 1e3 at most; 32 ULP of the result for those near 1."""
    x = TensorType(dtype, (False, False))("x")
    labels = T.lvector("labels")
    p = SOFTMAXES[spelling](x)
    forms = {n: f for n, f in OF_SOFTMAX.items() if n != "diagonal" or spelling == "op"}
    outputs = []
    for form, _ in forms.values():
        outputs += [form(p, labels), grad(form(p, labels).sum(), x)]
    results = iter(evaluate(optimise(outputs, FAST_RUN), {x: ROWS.astype(dtype), labels: LABELS}))
    for name, (_, true) in forms.items():
        value, slope = next(results), next(results)
        np.testing.assert_allclose(
            value, true, rtol=32 * ULP[dtype], atol=np.finfo(dtype).tiny, err_msg=name
        )
        assert np.isfinite(slope).all() and abs(slope).max() <= 4, name
        assert abs(slope.sum(axis=1)).max() <= 64 * ULP[dtype], name  # a shift changes nothing


# -- sums ----------------------------------------------------------------------------------------


def log_sum(a: np.ndarray) -> np.ndarray:
    top = a.max(axis=1, keepdims=True)
    return (top + np.log(np.exp(a - top).sum(axis=1, keepdims=True)))[:, 0]


WEIGHTS = np.array([0.25, 0.5, 2.0])
SUMS: dict[str, tuple[Any, Any]] = {
    "mean": (lambda x: T.log(T.exp(x).mean(axis=1)), log_sum(ROWS) - np.log(3)),
    "three": (
        lambda x: T.log(T.exp(x[:, 0]) + T.exp(x[:, 1]) + T.exp(x[:, 2])),
        log_sum(ROWS),
    ),
    "one and two": (
        lambda x: T.log(1 + T.exp(x[:, 0]) + T.exp(x[:, 1])),
        log_sum(np.c_[np.zeros(4), ROWS[:, :2]]),
    ),
    "one and a pair": (
        lambda x: T.log(1 + (T.exp(x[:, 0]) + T.exp(x[:, 1]))),
        log_sum(np.c_[np.zeros(4), ROWS[:, :2]]),
    ),
    "sum and term": (
        lambda x: T.log(T.exp(x).sum(axis=1) + T.exp(x[:, 0])),
        log_sum(np.c_[ROWS, ROWS[:, :1]]),
    ),
    "weights": (
        lambda x: T.log((WEIGHTS.astype(x.dtype) * T.exp(x)).sum(axis=1)),
        log_sum(ROWS + np.log(WEIGHTS)),
    ),
    "a zero weight": (
        lambda x: T.log((np.array([0, 1, 1], x.dtype) * T.exp(x)).sum(axis=1)),
        log_sum(ROWS[:, 1:]),
    ),
    "mask": (
        lambda x: T.log(T.switch(T.eq(np.arange(3), 1), 0, T.exp(x)).sum(axis=1)),
        log_sum(ROWS[:, ::2]),
    ),
    "cosh": (
        lambda x: T.log(T.cosh(x))[:, 0],
        abs(ROWS[:, 0]) + np.log1p(np.exp(-2 * abs(ROWS[:, 0]))) - np.log(2),
    ),
    "likelihood": (
        lambda x: T.log(T.prod(sigmoid(x), axis=1)),
        -np.logaddexp(0, -ROWS).sum(axis=1),
    ),
    "largest": (lambda x: T.log(T.exp(x).max(axis=1)), ROWS.max(axis=1)),
    "density": (
        lambda x: T.log(1 / T.sqrt(2 * np.pi * 4.0) * T.exp(-(x[:, 1] ** 2) / 8)),
        -(ROWS[:, 1] ** 2) / 8 - np.log(np.sqrt(8 * np.pi)),
    ),
    "unknown factor": (lambda x: T.log(x[:, 0] ** 2 * T.exp(x[:, 1])), None),
}


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("spelling", SUMS)
def test_sums_and_products_of_exponentials(spelling: str, dtype: str) -> None:
    x = TensorType(dtype, (False, False))("x")
    form, true = SUMS[spelling]
    if true is None:
        true = np.log(ROWS[:, 0] ** 2) + ROWS[:, 1]
    value, slope = value_and_gradient(form(x), x, {x: ROWS.astype(dtype)})
    np.testing.assert_allclose(value, true, rtol=16 * ULP[dtype], atol=4 * ULP[dtype])
    assert np.isfinite(slope).all()


# -- where it does not apply ---------------------------------------------------------------------

x, y = T.dmatrices("x", "y")


@pytest.mark.parametrize(
    "kept",
    [
        T.log(x + y * 2),
        T.log(T.exp(x) + y),  # y may be negative
        T.log(T.exp(x) * y * T.sqr(y) + 1e-3),
        T.log((y * T.exp(x)).sum(axis=1)),
        T.log(2 * T.sqr(x)),
        T.log(x / x.sum(axis=1, keepdims=True)),
        T.log(T.clip(sigmoid(x), 1e-7, 1 - 1e-7)),
        T.log1p(sigmoid(x)),
        T.log2(1 + y),
        T.log((T.exp(x - x.max(axis=1, keepdims=True))).sum(axis=1)),
        T.log(x.mean(axis=0)),
        T.exp(x) / T.exp(x).sum(axis=1, dtype="float64", keepdims=True).T,
        T.exp(x) * T.inv(T.exp(y).sum(axis=1, keepdims=True)),
    ],
)
def test_is_left_alone(kept: Any) -> None:
    assert stabilise([kept], [x, y])[0] is kept


def test_a_mode_can_leave_it_out() -> None:
    form = T.log(T.exp(x).mean(axis=1))
    assert "exp" in rewritten_ops(form)
    plain = FAST_RUN.excluding("local_log_of_exponentials")
    (new,) = optimise([form], plain)
    with np.errstate(over="ignore"):
        assert evaluate([new], {x: np.full((1, 2), 1000.0)})[0].tolist() == [np.inf]


def test_kept_variables_are_not_looked_into() -> None:
    p = softmax_op(x)
    form = T.log(p[:, 0])
    assert stabilise([form], [p])[0] is form


def test_forms_are_those_of_single_ops() -> None:
    assert becomes(T.log(softmax_op(x)[:, 0]), optimise([logsoftmax_op(x)[:, 0]], FAST_RUN)[0])
    a, b, c = T.dvectors("a", "b", "c")
    three = T.log(T.exp(a) + T.exp(b) + T.exp(c))
    assert rewritten_ops(three) == ["logaddexp", "logaddexp"]
    assert becomes(
        T.log(2 * T.exp(x).sum(axis=1)),
        optimise([np.float64(np.log(2)) + LogSumExp((1,))(x)], FAST_RUN)[0],
    )


def test_a_large_product_is_one_form_for_each_variable() -> None:
    """A shared subexpression is visited once, however many paths lead to it."""
    t = T.dvector("t")
    e = T.exp(t)
    for _ in range(20):
        e = e * e
    (new,) = optimise([T.log(e)], FAST_RUN)
    assert "exp" not in rewritten_ops(T.log(e))
    assert evaluate([new], {t: np.array([3.0])})[0].tolist() == [3.0 * 2**20]
