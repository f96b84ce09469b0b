"""The workloads against other ways to compute them, and the check that decides who is timed."""

from __future__ import annotations

import dataclasses
import math

import mpmath
import numpy as np
import pytest

from jitgraph.bench.peers import workloads as wl
from jitgraph.bench.peers.by_numpy import make
from jitgraph.bench.peers.workloads import WrongResultError, check, make_inputs, suite

ALL = [w for name in wl.SUITES for w in suite(name, 20_000, "float64") if w.program != "cd15"]


def test_the_shapes_are_those_of_the_comparison() -> None:
    assert [w.shapes[0][1] for w in suite("softmax", 10**8, "float64")] == [
        (100_000, 1000),
        (1_000_000, 100),
        (1000, 100_000),
    ]
    training = {w.program: dict(w.shapes) for w in suite("training", 1, "float64")}
    assert training["logistic_step"]["x"] == (400, 784)
    assert training["mlp_step"]["x"] == (128, 784)
    sizes = {w.program: (w.bytes_in, w.bytes_out) for w in suite("elementwise", 100, "float64")}
    assert sizes["exp"] == (800, 800)
    assert sizes["long"] == (2400, 800)
    assert len({w.name for w in ALL}) == len(ALL)
    names = [w.name for w in suite("softmax", 10**6, "float64")]
    assert len(set(names)) == len(names)  # equal shapes are not timed twice


@pytest.mark.parametrize("w", ALL, ids=lambda w: w.name)
def test_numpy_passes_the_check_and_a_wrong_result_does_not(w: wl.Workload) -> None:
    with np.errstate(all="ignore"):
        inputs = make_inputs(w)
        case = make(w, inputs, "default")
        result = case.call()
        arrays = [np.array(a) for a in case.arrays(result)]
    assert 0 <= check(w, inputs, arrays) < 1e5
    # Wrong by 1e-3 everywhere, wrong in form, and nan.
    with pytest.raises(WrongResultError, match="wrong by"):
        check(w, inputs, [a * (1 + 1e-3) + 1e-3 for a in arrays])
    with pytest.raises(WrongResultError, match=r"shapes|the result is"):
        check(w, inputs, [a[..., None] for a in arrays])
    with pytest.raises(WrongResultError):
        check(w, inputs, [np.full_like(a, np.nan) for a in arrays])


def test_the_end_of_an_array_is_examined() -> None:
    (w,) = (w for w in suite("elementwise", 50_000, "float64") if w.program == "exp")
    inputs = make_inputs(w)
    result = np.exp(inputs["x"])
    result[-1] = 0  # as if a tail had been forgotten
    with pytest.raises(WrongResultError):
        check(w, inputs, [result])


def test_inputs_are_the_same_everywhere_and_not_constant() -> None:
    (w,) = (w for w in suite("elementwise", wl.TILE + 1000, "float32") if w.program == "long")
    one, two = make_inputs(w), make_inputs(w)
    assert list(one) == ["a", "b", "c"]
    for name, a in one.items():
        assert a.dtype == np.float32
        assert np.array_equal(a, two[name])
        assert np.unique(a[:1000]).size > 900
        assert np.array_equal(a[:1000], a[wl.TILE :])
    assert not np.array_equal(one["a"], one["b"])


@pytest.mark.parametrize("n", [1000, wl.TILE + 37, 3 * wl.TILE])
def test_sums_over_tiles_are_sums_over_all(n: int) -> None:
    for w in suite("reductions", n, "float64"):
        inputs = {k: v.astype(np.float64) for k, v in make_inputs(w).items()}
        terms, is_mean = wl._TERMS[w.program]
        total = math.fsum(terms(*inputs.values()).tolist())
        expected = total / n if is_mean else total
        # The tiles' sums are exact up to their rounding; the product adds two roundings.
        assert float(wl._sum(w, inputs)) == pytest.approx(expected, rel=1e-15)


def test_formulas_against_many_digits() -> None:
    exact = {
        "sigmoid": lambda x: 1 / (1 + mpmath.exp(-x)),
        "softplus": lambda x: mpmath.log(1 + mpmath.exp(x)),
        "erf": mpmath.erf,
        "log1p": mpmath.log1p,
        "hard_sigmoid": lambda x: min(max(mpmath.mpf("0.2") * x + mpmath.mpf("0.5"), 0), 1),
    }
    x = np.linspace(-0.9, 7.9, 50)
    with mpmath.workdps(50):
        for name, function in exact.items():
            expected = np.array([float(function(mpmath.mpf(float(v)))) for v in x])
            found = wl.FORMULAS[name](x)
            assert np.max(np.abs(found - expected) / np.abs(expected)) < 1e-14, name


def _logistic_cost(x: np.ndarray, y: np.ndarray, w: np.ndarray, b: float) -> float:
    z = x @ w + b
    return float((np.logaddexp(0, z) - y * z).mean() + wl.DECAY * (w**2).sum())


def _mlp_cost(x: np.ndarray, y: np.ndarray, *parameters: np.ndarray) -> float:
    w1, b1, w2, b2 = parameters
    z = np.tanh(x @ w1 + b1) @ w2 + b2
    return float((np.logaddexp.reduce(z, 1) - z[np.arange(len(y)), y]).mean())


@pytest.mark.parametrize("program", ["logistic_step", "mlp_step"])
def test_steps_go_along_the_numeric_gradient(program: str) -> None:
    (w,) = (w for w in suite("training", 1, "float64") if w.program == program)
    inputs = make_inputs(w)
    before, after = wl.parameters(w), wl.first_step(w, inputs)
    logistic = program == "logistic_step"
    cost, rate = (_logistic_cost, wl.RATE) if logistic else (_mlp_cost, wl.MLP_RATE)
    rng = np.random.default_rng(0)
    for k, p in enumerate(before):
        # Along a random direction: (cost(p + hd) - cost(p - hd)) / 2h is the gradient times d.
        # Errors: h^2 times a third derivative of order 1, and eps / h.
        d, h = rng.standard_normal(p.shape), 1e-5
        d /= np.linalg.norm(d)
        costs = []
        for sign in (1, -1):
            moved = [*before]
            moved[k] = p + sign * h * d
            costs.append(cost(inputs["x"], inputs["y"], *moved))
        numeric = (costs[0] - costs[1]) / (2 * h)
        step = float(np.sum((before[k] - after[k]) / rate * d))
        assert step == pytest.approx(numeric, rel=1e-6, abs=1e-9)


def test_a_workload_survives_json() -> None:
    import json

    from jitgraph.bench.peers.worker import Worker

    worker = Worker("NumPy", 1)
    (w,) = (w for w in suite("softmax", 100_000, "float32")[:1])
    worker.open(json.loads(json.dumps(dataclasses.asdict(w))))
    assert worker.workload == w
    assert worker.prepare("default")["error"] < wl.ULPS
    assert worker.time("default")["seconds"] > 0
    assert "several operations" in worker.prepare("out")["unsupported"]


def test_parked_inputs_come_back_where_they_were() -> None:
    (w,) = (w for w in suite("reductions", wl.TILE + 5, "float64") if w.program == "mean_square")
    inputs = make_inputs(w)
    before = {k: (v.copy(), v.ctypes.data) for k, v in inputs.items()}
    wl.park(inputs)
    assert not any(v.any() for v in inputs.values())  # pages of zeros, on Linux
    wl.fill(w, inputs)
    for k, v in inputs.items():
        assert np.array_equal(v, before[k][0])
        assert v.ctypes.data == before[k][1]
