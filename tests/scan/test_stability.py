"""Logarithms outside a loop of sigmoids and softmaxes inside: finite for every pre-activation.

The naive value is the oracle's enemy here: sigmoid(±1000) is 0 or 1, so its logarithm as written
is -inf, or log(1 - 1). The expected values come from `logaddexp` in float64, and the slopes from
the derivatives written out by hand. Each program is written twice, with the pre-activation passed
out of the loop and without: both have to give the same.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import jitgraph
import jitgraph.tensor as T
from jitgraph.config import change_flags
from jitgraph.graph import Variable, toposort
from jitgraph.ops.scan import Scan
from jitgraph.sandbox.rng_mrg import MRG_RandomStreams
from jitgraph.scan_module import until
from jitgraph.tensor.shared_randomstreams import RandomStreams

DTYPES = ["float64", "float32"]
# Both sides of where sigmoid rounds to 0 or 1, and of where exp overflows, in either dtype.
EXTREMES = [-1000.0, -750.0, -104.0, -40.0, -17.0, -1.0, 0.0, 0.5, 15.0, 37.0, 89.0, 800.0, 1000.0]


def z_values(dtype: str, steps: int = 4) -> np.ndarray:
    """Pre-activations [steps, 13], the extremes shifted in every row."""
    return np.array([np.roll(EXTREMES, k) for k in range(steps)], dtype)


def log_sigmoid(z: np.ndarray) -> np.ndarray:
    return -np.logaddexp(0.0, -z.astype("float64"))


def sigmoid(z: np.ndarray) -> np.ndarray:
    return np.exp(log_sigmoid(z))


def tolerance(dtype: str) -> float:
    """32 units in the last place: a handful of roundings, and sums of at most 13 terms."""
    return 32 * float(np.finfo(dtype).eps)


def close(found: Any, expected: Any, dtype: str, absolute: float = 0.0) -> None:
    """Equal to 32 units in the last place; below the smallest normal number digits are lost."""
    smallest = float(np.finfo(dtype).tiny)
    assert np.isfinite(found).all()
    assert_allclose(found, expected, rtol=tolerance(dtype), atol=max(absolute, smallest))


def matrix(dtype: str, name: str) -> Any:
    return T.TensorType(dtype, (False, False))(name)


# -- one logarithm of one trace -------------------------------------------------------------------

LOGARITHMS: dict[str, tuple[Callable[[Any], Any], Callable[[Any], Any]]] = {
    # name: (of the sigmoid s as a program writes it, of the pre-activation z by NumPy)
    "log(s)": (T.log, log_sigmoid),
    "log(1 - s)": (lambda s: T.log(1 - s), lambda z: log_sigmoid(-z)),
    "log1p(-s)": (lambda s: T.log1p(-s), lambda z: log_sigmoid(-z)),
    "log(1.0 - s)": (lambda s: T.log(1.0 - s), lambda z: log_sigmoid(-z)),
}
SIGMOIDS: dict[str, Callable[[Any], Any]] = {
    "sigmoid": T.nnet.sigmoid,
    "1 / (1 + exp(-z))": lambda z: 1 / (1 + T.exp(-z)),
    "exp(z) / (1 + exp(z))": lambda z: T.exp(z) / (1 + T.exp(z)),
}
READINGS: dict[str, Callable[[Any], Any]] = {
    "whole": lambda a: a,
    "last": lambda a: a[-1],
    "from 1": lambda a: a[1:],
    "turned": lambda a: a.T,
    "flat": lambda a: a.flatten(),
    "one column": lambda a: a[:, 3],
    "steps chosen": lambda a: a[np.array([0, 2])],
}


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("reading", READINGS)
@pytest.mark.parametrize("logarithm", LOGARITHMS)
def test_logarithm_of_a_trace(logarithm: str, reading: str, dtype: str) -> None:
    z = matrix(dtype, "z")
    written, exact = LOGARITHMS[logarithm]
    s, _ = jitgraph.map(T.nnet.sigmoid, z)
    y = written(READINGS[reading](s))
    slope = T.grad(y.sum(), z)
    values = z_values(dtype)
    found, found_slope = jitgraph.function([z], [y, slope])(values)
    assert found.dtype == dtype and found_slope.dtype == dtype
    close(found, READINGS[reading](exact(values)), dtype)
    # d log s / dz = 1 - s = sigmoid(-z), d log(1 - s) / dz = -s: zero in the rows not read.
    rows = np.zeros_like(values, dtype="float64")
    READINGS[reading](rows)[...] = 1.0
    if reading == "steps chosen":
        rows[[0, 2]] = 1.0
    elif reading == "flat":
        rows[...] = 1.0
    expected = rows * (sigmoid(-values) if logarithm == "log(s)" else -sigmoid(values))
    close(found_slope, expected, dtype)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("spelling", SIGMOIDS)
def test_every_spelling_of_the_sigmoid(spelling: str, dtype: str) -> None:
    z = matrix(dtype, "z")
    s, _ = jitgraph.map(SIGMOIDS[spelling], z)
    y = T.log(s[-1]) + T.log(1 - s[-1])
    values = z_values(dtype)
    found, slope = jitgraph.function([z], [y, T.grad(y.sum(), z)])(values)
    last = values[-1]
    close(found, log_sigmoid(last) + log_sigmoid(-last), dtype)
    # sigmoid(-z) - sigmoid(z) = -tanh(z/2); near 0 the difference of halves cancels.
    expected = -np.tanh(last.astype("float64") / 2)
    close(slope[-1], expected, dtype, np.finfo(dtype).eps)
    assert_array_equal(slope[:-1], 0)


# -- the reconstruction cost of a chain -----------------------------------------------------------


def cross_entropy(x: Any, mean: Any) -> Any:
    return -(x * T.log(mean) + (1 - x) * T.log(1 - mean)).sum(axis=1).mean()


def exact_cross_entropy(x: np.ndarray, z: np.ndarray) -> float:
    return float(-(x * log_sigmoid(z) + (1 - x) * log_sigmoid(-z)).sum(axis=1).mean())


def chain(kind: str, x: Any, W: Any, k: Any) -> tuple[Any, Any, Any]:
    """Traces of pre-activations and means of the visible units, [k, rows, units]; updates."""
    if kind == "mean field":  # the mean itself is fed back
        start = T.nnet.sigmoid(T.dot(x, W))

        def step(v: Any) -> list[Any]:
            pre = T.dot(T.nnet.sigmoid(T.dot(v, W)), W.T)
            return [pre, T.nnet.sigmoid(pre)]

        (pre, mean), updates = jitgraph.scan(step, outputs_info=[None, start], n_steps=k)
        return pre, mean, updates
    streams = {"mrg": MRG_RandomStreams, "numpy": RandomStreams}[kind](7)
    dtype = x.type.dtype

    def coins(p: Any) -> Any:
        return streams.binomial(size=p.shape, n=1, p=p, dtype=dtype)

    def hvh(h: Any) -> list[Any]:
        pre = T.dot(h, W.T)
        mean = T.nnet.sigmoid(pre)
        v = coins(mean)
        return [pre, mean, coins(T.nnet.sigmoid(T.dot(v, W)))]

    start = coins(T.nnet.sigmoid(T.dot(x, W)))
    (pre, mean, _), updates = jitgraph.scan(hvh, outputs_info=[None, None, start], n_steps=k)
    return pre, mean, updates


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("steps", ["constant", "symbolic", "one"])
@pytest.mark.parametrize("kind", ["mrg", "numpy", "mean field"])
def test_reconstruction_cost(kind: str, steps: str, dtype: str) -> None:
    """With and without the pre-activation: equal, and what NumPy makes of the pre-activations."""
    rng = np.random.default_rng(1)
    units = 5
    x_value = rng.uniform(0, 1, (3, units)).astype(dtype)
    # Products with 0s and 1s (or means that are 0 or 1) are sums of entries around ±1000.
    W_value = rng.choice([-1000.0, 1000.0, 400.0], (units, units)).astype(dtype)
    x, W, n = matrix(dtype, "x"), matrix(dtype, "W"), T.lscalar("n")
    with change_flags(floatX=dtype):
        k: Any = {"constant": 3, "symbolic": n, "one": 1}[steps]
        pre, mean, updates = chain(kind, x, W, k)
        costs = [cross_entropy(x, T.nnet.sigmoid(pre[-1])), cross_entropy(x, mean[-1])]
        # The pre-activations without samples: what a program that watches the cost differentiates.
        slopes = [T.grad(c, x, consider_constant=[mean, pre]) for c in costs]
        results = [pre[-1], *costs, *slopes]
        f = jitgraph.function([x, W, n], results, updates=updates, on_unused_input="ignore")
    z, given, seen, slope_given, slope_seen = f(x_value, W_value, 3)
    assert np.abs(z).max() >= 400
    expected = exact_cross_entropy(x_value, z)
    assert expected > 100 and np.isfinite(expected)
    close(given, expected, dtype)
    close(seen, expected, dtype)
    assert np.isfinite(slope_given).all() and np.isfinite(slope_seen).all()
    close(slope_seen, slope_given, dtype)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("through", ["pre-activation", "mean"])
def test_gradient_through_the_loop(through: str, dtype: str) -> None:
    """h ← h + x_t, p_t = sigmoid(a h): the slopes of the cost of the last step by hand."""
    a, h0, y = (T.TensorType(dtype, (False,))(name) for name in "ahy")
    sequence = matrix(dtype, "sequence")

    def step(x: Any, h: Any) -> list[Any]:
        h = h + x
        return [h, a * h, T.nnet.sigmoid(a * h)]

    (_, pre, mean), _ = jitgraph.scan(step, sequence, [h0, None, None])
    p = T.nnet.sigmoid(pre[-1]) if through == "pre-activation" else mean[-1]
    cost = -(y * T.log(p) + (1 - y) * T.log(1 - p)).sum()
    f = jitgraph.function([sequence, h0, a, y], [cost, *T.grad(cost, [sequence, h0, a])])
    start = np.array([-1000.0, -30.0, 0.0, 2.0, 1000.0], dtype)
    values = np.array([[1.0, -3.0, 2.0, 0.5, 4.0]] * 3, dtype)
    scale, target = np.full(5, 0.5, dtype), np.array([1.0, 0.25, 0.5, 1.0, 0.0], dtype)
    found, d_sequence, d_start, d_scale = f(values, start, scale, target)
    h = start.astype("float64") + values.sum(axis=0)
    z = scale * h
    exact = -(target * log_sigmoid(z) + (1 - target) * log_sigmoid(-z)).sum()
    slope = sigmoid(z) - target  # of the cost with respect to z
    bounds = {"rtol": tolerance(dtype), "atol": float(np.finfo(dtype).eps)}
    close(found, exact, dtype)
    assert_allclose(d_start, slope * scale, **bounds)
    assert_allclose(d_sequence, np.tile(slope * scale, (3, 1)), **bounds)
    assert_allclose(d_scale, slope * h, **bounds)


@pytest.mark.parametrize("through", ["pre-activation", "mean"])
def test_second_derivative(through: str) -> None:
    """The sum over z of log sigmoid(z) has the second derivatives -s (1 - s)."""
    z = T.dmatrix("z")
    (pre, mean), _ = jitgraph.map(lambda z: [z * 1, T.nnet.sigmoid(z)], z)
    p = T.nnet.sigmoid(pre) if through == "pre-activation" else mean
    slope = T.grad(T.log(p).sum(), z)
    curvature = T.grad(slope.sum(), z)
    values = z_values("float64")
    found, bent = jitgraph.function([z], [slope, curvature])(values)
    close(found, sigmoid(-values), "float64")
    expected = -sigmoid(values) * sigmoid(-values)
    # s (1 - s) of the sigmoid s itself: where s rounds to 1 the small factor is 0.
    close(bent, expected, "float64", np.finfo("float64").eps)


# -- loops of other forms -------------------------------------------------------------------------


def by_until(z: Any) -> Any:
    def step(z: Any, i: Any) -> Any:
        return [T.nnet.sigmoid(z), i + 1], until(T.ge(i, 2))

    (s, _), _ = jitgraph.scan(step, z, [None, T.constant(0, dtype="int64")])
    return s[-1]


def backwards(z: Any) -> Any:
    s, _ = jitgraph.scan(T.nnet.sigmoid, z, go_backwards=True)
    return s[1]


def fed_back(z: Any) -> Any:
    """The state is the sigmoid; a read of it that vanishes keeps it alive."""
    s, _ = jitgraph.scan(lambda z, s: T.nnet.sigmoid(z + 0 * T.floor(s / 2)), z, T.ones_like(z[0]))
    return s[2]


def nested(z: Any) -> Any:
    def outer(row: Any) -> Any:
        inner, _ = jitgraph.scan(T.nnet.sigmoid, row)
        return inner

    return jitgraph.scan(outer, z)[0][2]


FORMS = [by_until, backwards, fed_back, nested]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("form", FORMS, ids=lambda f: f.__name__)
def test_forms_of_loops(form: Callable[[Any], Any], dtype: str) -> None:
    z = matrix(dtype, "z")
    s = form(z)
    y = [T.log(s), T.log(1 - s)]
    f = jitgraph.function([z], [*y, T.grad(y[0].sum() + 2 * y[1].sum(), z)])
    values = z_values(dtype)
    log_s, log_not, slope = f(values)
    row = values[2]
    close(log_s, log_sigmoid(row), dtype)
    close(log_not, log_sigmoid(-row), dtype)
    expected = np.zeros_like(values, dtype="float64")
    expected[2] = sigmoid(-row) - 2 * sigmoid(row)
    close(slope, expected, dtype, 2 * np.finfo(dtype).eps)


@pytest.mark.parametrize("second", ["passes it on", "takes the logarithm"])
def test_values_across_two_loops(second: str) -> None:
    """The trace of one loop is the sequence of another one, inside or after which log is taken."""
    z = T.dmatrix("z")
    s, _ = jitgraph.map(T.nnet.sigmoid, z)
    if second == "passes it on":
        again, _ = jitgraph.map(lambda s: s, s)
        y = T.log(again) + T.log(1 - again)
    else:
        y, _ = jitgraph.map(lambda s: T.log(s) + T.log(1 - s), s)
    values = z_values("float64")
    exact = log_sigmoid(values) + log_sigmoid(-values)
    close(jitgraph.function([z], y)(values), exact, "float64")


def test_binary_crossentropy() -> None:
    z, x = T.dmatrix("z"), T.dmatrix("x")
    s, _ = jitgraph.map(T.nnet.sigmoid, z)
    y = T.nnet.binary_crossentropy(s, x).sum()
    values = z_values("float64")
    x_value = np.linspace(0, 1, values.size).reshape(values.shape)
    found, slope = jitgraph.function([z, x], [y, T.grad(y, z)])(values, x_value)
    exact = -(x_value * log_sigmoid(values) + (1 - x_value) * log_sigmoid(-values)).sum()
    assert_allclose(found, exact, rtol=1e-14)
    assert_allclose(slope, sigmoid(values) - x_value, rtol=1e-14, atol=1e-15)


@pytest.mark.parametrize("dtype", DTYPES)
def test_softmax_inside_and_its_logarithm_outside(dtype: str) -> None:
    """A language model: probabilities of each step by a loop, cross-entropy of all of them."""
    z = T.TensorType(dtype, (False, False, False))("z")
    labels = T.lmatrix("labels")
    p, _ = jitgraph.map(T.nnet.softmax, z)
    steps = T.arange(z.shape[0])
    row = T.arange(z.shape[1])
    y = -T.log(p[-1][row, labels[-1]]).sum() - T.log(p)[0, 0, 0] + 0.0 * steps.sum()
    rng = np.random.default_rng(2)
    values = rng.choice([-1000.0, -3.0, 0.0, 2.0, 1000.0], (4, 3, 5)).astype(dtype)
    chosen = rng.integers(0, 5, (4, 3))
    found, slope = jitgraph.function([z, labels], [y, T.grad(y, z)])(values, chosen)
    shifted = values.astype("float64") - values.max(axis=-1, keepdims=True)
    logs = shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))
    exact = -logs[-1][np.arange(3), chosen[-1]].sum() - logs[0, 0, 0]
    assert exact > 100
    close(found, exact, dtype)
    expected = np.zeros(values.shape)
    expected[-1] = np.exp(logs[-1])
    expected[-1, np.arange(3), chosen[-1]] -= 1
    expected[0, 0] += np.exp(logs[0, 0])
    expected[0, 0, 0] -= 1
    close(slope, expected, dtype, float(np.finfo(dtype).eps))


# -- what must stay as it is ----------------------------------------------------------------------


def scans_in(*outputs: Variable) -> list[Scan]:
    return [n.op for n in toposort(outputs) if isinstance(n.op, Scan)]


def test_means_themselves_are_not_changed() -> None:
    """The mean is still given, and is the sigmoid; a logarithm of something else stays -inf."""
    z = T.dmatrix("z")
    (s, q), _ = jitgraph.map(lambda z: [T.nnet.sigmoid(z), T.maximum(z, 0)], z)
    assert len(scans_in(s)) == 1
    values = z_values("float64")
    f = jitgraph.function([z], [s, T.log(s), q, T.log(q)])
    with np.errstate(divide="ignore"):
        mean, log_mean, positive, log_positive = f(values)
        assert_array_equal(log_positive, np.log(np.maximum(values, 0)))
    close(mean, sigmoid(values), "float64")
    close(log_mean, log_sigmoid(values), "float64")
    assert_array_equal(positive, np.maximum(values, 0))


def test_as_written_it_is_infinite() -> None:
    """The tests tested: the reference evaluation of the same graph is not finite."""
    z = T.dmatrix("z")
    s, _ = jitgraph.map(T.nnet.sigmoid, z)
    y = T.log(1 - s[-1])
    with np.errstate(divide="ignore"):
        found = jitgraph.function([z], y, mode="reference")(z_values("float64"))
    assert np.isinf(found).any()
