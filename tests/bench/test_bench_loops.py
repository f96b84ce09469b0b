"""The suite of loops: its exact results against other ways to compute them, who passes, targets."""

from __future__ import annotations

import json
import math
import tempfile
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from scipy.signal import lfilter

from jitgraph.bench import targets
from jitgraph.bench.contest import Outcome, Result, figures, variants
from jitgraph.bench.peers import by_c, by_jitgraph, by_numpy, loops
from jitgraph.bench.peers import workloads as wl
from jitgraph.bench.peers.case import UnsupportedError
from jitgraph.bench.peers.worker import Worker
from jitgraph.bench.peers.workloads import WrongResultError, check, make_inputs, suite
from jitgraph.cli import main
from jitgraph.config import config

LOOPS = {w.program: w for w in suite("loops", 300, "float64")}
EXACT = list(loops.EXACT)


@pytest.fixture(scope="module", autouse=True)
def _own_cache() -> Iterator[None]:
    with (
        tempfile.TemporaryDirectory() as place,
        config.change_flags(cache_dir=place),
        pytest.MonkeyPatch.context() as patch,
    ):
        patch.setenv("JITGRAPH_CACHE_DIR", place)  # for the processes
        yield


def test_sizes() -> None:
    full = {w.program: dict(w.shapes) for w in suite("loops", 10**8, "float64")}
    assert full["rnn"] == {"x": (10_000, 32), "h0": (32,), "W": (32, 32)}
    assert full["ar1"] == {"e": (1_000_000,), "y0": (), "a": ()}
    assert full["cd15"] == {"x": (20, 784)}
    assert [p.shape for p in wl.parameters(LOOPS["cd15"])] == [(784, 500), (500,), (784,)]
    assert LOOPS["ar1"].out == (300,)
    assert LOOPS["rnn_gradient"].out is None


# --- exact results -------------------------------------------------------------------------------


def test_ar1_is_a_filter() -> None:
    e, y0, a = make_inputs(LOOPS["ar1"]).values()
    (found,) = loops.exact("ar1", {"e": e, "y0": y0, "a": a})
    expected, _ = lfilter([1.0], [1.0, -float(a)], e, zi=[float(a) * float(y0)])
    # Some ten steps add up, half a unit of the last place each.
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-14 * np.abs(expected).max())


def test_the_first_steps_of_rnn_by_hand() -> None:
    given = make_inputs(LOOPS["rnn"])
    (found,) = loops.exact("rnn", given)
    x, h, W = (v.tolist() for v in given.values())
    for t in range(3):
        h = [
            math.tanh(math.fsum(w * v for w, v in zip(row, h, strict=True)) + x[t][i])
            for i, row in enumerate(W)
        ]
        # Sums of 33 products in another order, of numbers below 3.
        np.testing.assert_allclose(found[t], h, rtol=0, atol=1e-14)


@pytest.mark.parametrize("program", ["rnn_gradient", "ar1_gradient"])
def test_gradients_are_the_numeric_ones(program: str) -> None:
    given = make_inputs(LOOPS[program])
    slopes = loops.exact(program, given)
    forward = program.removesuffix(loops.GRADIENT)
    assert [np.shape(s) for s in slopes] == [v.shape for v in given.values()]

    def cost(moved: dict[str, np.ndarray]) -> float:
        (trace,) = loops.exact(forward, moved)
        return float((trace**2).sum())

    rng = np.random.default_rng(1)
    for slope, (name, value) in zip(slopes, given.items(), strict=True):
        d, h = rng.standard_normal(value.shape), 1e-5
        d = d / np.linalg.norm(d)
        costs = [cost({**given, name: value + s * h * d}) for s in (1, -1)]
        # Errors: h^2 times a third derivative, and eps times the cost (some 10^4) over h.
        numeric = (costs[0] - costs[1]) / (2 * h)
        assert float(np.sum(slope * d)) == pytest.approx(numeric, rel=1e-6, abs=1e-5), name


@pytest.mark.parametrize("program", EXACT)
@pytest.mark.parametrize("make", [by_numpy.make, by_c.make, by_c.make_vector, by_jitgraph.make])
def test_peers_pass_and_wrong_results_do_not(program: str, make: Callable[..., Any]) -> None:
    if make is by_c.make_vector and not program.startswith("rnn"):
        with pytest.raises(UnsupportedError, match="numbers"):
            make(LOOPS[program], make_inputs(LOOPS[program]), "default")
        return
    for dtype in ("float64", "float32"):
        (w,) = (w for w in suite("loops", 300, dtype) if w.program == program)
        inputs = make_inputs(w)
        case = make(w, inputs, "default")
        arrays = [np.array(a) for a in case.arrays(case.call())]
        assert {a.dtype for a in arrays} == {np.dtype(dtype)}
        assert 0 <= check(w, inputs, arrays) < wl.ULPS
        for k in range(len(arrays)):
            one_off = [a + (k == j) * 1e-2 * np.abs(a).max() for j, a in enumerate(arrays)]
            with pytest.raises(WrongResultError, match="wrong by"):
                check(w, inputs, one_off)
        with pytest.raises(WrongResultError, match="shapes"):
            check(w, inputs, [a[..., None] for a in arrays])


def test_a_forward_pass_is_the_loop_of_its_gradient() -> None:
    w = wl.forward(LOOPS["rnn_gradient"])
    rnn = LOOPS["rnn"]
    assert (w.name, w.program, w.shapes, w.out) == (rnn.name, rnn.program, rnn.shapes, rnn.out)
    with pytest.raises(ValueError, match="ar1 is not the gradient"):
        wl.forward(LOOPS["ar1"])
    worker = Worker("NumPy", 1)
    worker.open({**LOOPS["ar1_gradient"].__dict__})
    assert worker.prepare("forward")["error"] < 8
    assert worker.prepare("default")["error"] < wl.ULPS
    forward, gradient = (worker.time(v)["seconds"] for v in ("forward", "default"))
    assert 0 < forward < gradient


# --- contrastive divergence ----------------------------------------------------------------------


def _step(steps: int, rate: float = loops.RATE, seed: int = 7) -> list[np.ndarray]:
    x = make_inputs(LOOPS["cd15"])["x"]
    state, rng = loops.parameters("float64"), np.random.default_rng(seed)
    slopes = loops.contrast(x, loops.gibbs(x, state, steps, rng), state)
    return [p - rate * g for p, g in zip(state, slopes, strict=True)]


@pytest.mark.parametrize("seed", range(5))
def test_right_steps_are_within_the_deviations(seed: int) -> None:
    w = LOOPS["cd15"]
    assert check(w, make_inputs(w), _step(15, seed=seed)) == 0


def test_wrong_steps_are_not() -> None:
    w = LOOPS["cd15"]
    inputs, right = make_inputs(w), _step(15)
    W, c, b = (p.copy() for p in right)
    before = loops.parameters("float64")
    wrong = {
        "no update": before,
        "the other sign": _step(15, -loops.RATE),
        "twice the rate": _step(15, 2 * loops.RATE),
        "one step": _step(1),
        "probabilities": _mean_field(inputs["x"]),
        "W alone": [W, before[1], before[2]],
        "all but c": [W, before[1], b],
        "nan": [W, c, np.where(np.arange(784) == 5, np.nan, b)],
        "transposed": [W.T, c, b],
    }
    for name, state in wrong.items():
        with pytest.raises(WrongResultError, match="standard deviations"):
            check(w, inputs, state)
            pytest.fail(f"passes: {name}")
    with pytest.raises(WrongResultError, match="not float64"):
        check(w, inputs, [p.astype(np.float32) for p in right])


def _mean_field(x: np.ndarray) -> list[np.ndarray]:
    """The chain without draws: probabilities are passed on."""
    state = loops.parameters("float64")
    (W, c, b), v = state, x
    for _ in range(15):
        v = loops.sigmoid(loops.sigmoid(v @ W + c) @ W.T + b)
    return [p - loops.RATE * g for p, g in zip(state, loops.contrast(x, v, state), strict=True)]


def test_the_contrast_is_the_slope_of_the_free_energies() -> None:
    rng = np.random.default_rng(2)
    x, v = (rng.random((20, 784)) < 0.5).astype(float), (rng.random((20, 784)) < 0.3).astype(float)
    state = loops.parameters("float64")

    def cost(W: np.ndarray, c: np.ndarray, b: np.ndarray) -> float:
        def energy(v: np.ndarray) -> Any:
            return -np.logaddexp(0, v @ W + c).sum(1) - v @ b

        return float(energy(x).mean() - energy(v).mean())

    for k, slope in enumerate(loops.contrast(x, v, state)):
        d, h = rng.standard_normal(slope.shape), 1e-5
        d /= np.linalg.norm(d)
        moved = [[p + s * h * d if j == k else p for j, p in enumerate(state)] for s in (1, -1)]
        numeric = (cost(*moved[0]) - cost(*moved[1])) / (2 * h)
        assert float(np.sum(slope * d)) == pytest.approx(numeric, rel=1e-5, abs=1e-6)


# --- targets and the command ---------------------------------------------------------------------


def outcome_of(program: str, **times: float) -> Outcome:
    results = []
    for key, value in times.items():
        peer, _, variant = key.partition("__")
        results.append(Result(peer.replace("_", " "), variant or "default", [value] * 5))
    return Outcome(LOOPS[program], results, True)


def test_grades_by_hand() -> None:
    found = targets.verdicts(
        outcome_of("rnn", jitgraph=1.5, C=4.0, C_libmvec=1.0, JAX=3.0, NumPy=1.0, numba=6.0), 1
    )
    assert [(v.what, v.found, v.grade, v.note) for v in found] == [
        ("times the loop in C", 1.5, "must", "C libmvec"),
        ("times the speed of the best", 2.0, "aim", "JAX"),
    ]
    (by_hand,) = targets.verdicts(outcome_of("ar1", jitgraph=1.6, C=1.0), 2)
    assert (by_hand.grade, by_hand.must, by_hand.aim) == ("miss", 1.5, 1.1)
    for ratio, grade in ((2.9, "aim"), (3.5, "must"), (4.1, "miss")):
        o = outcome_of("ar1_gradient", jitgraph=ratio, jitgraph__forward=1.0, C=0.1, JAX=0.1)
        (v,) = targets.verdicts(o, 2)
        assert (v.what, v.grade) == ("times the forward pass", grade)
    (v,) = targets.verdicts(outcome_of("cd15", jitgraph=1.0, JAX=0.9, PyTensor=3.0, NumPy=0.5), 2)
    assert (v.grade, v.note) == ("miss", "JAX")


def test_gradients_are_timed_with_their_forward_pass_and_compared_alike() -> None:
    assert variants(LOOPS["ar1"]) == ("default",)
    assert variants(LOOPS["ar1_gradient"]) == ("default", "forward")
    times = {"jitgraph": 6.0, "jitgraph__forward": 2.0, "JAX": 9.0, "JAX__forward": 1.0}
    rows = figures(outcome_of("ar1_gradient", **times))["results"]
    assert [r["ratio_to_jitgraph"] for r in rows] == [1.0, 1.0, 1.5, 0.5]


def test_the_suite_as_it_is_typed(capsys: pytest.CaptureFixture[str]) -> None:
    options = ("--no-plots", "--json", "-", "-n", "300", "--rounds", "2", "--peers", "numpy")
    assert main(["bench", "loops", *options]) == 0
    out, err = capsys.readouterr()
    assert "compiles and is checked" in err
    report = json.loads(out)
    by = {
        (w["name"], r["peer"], r["variant"]): r for w in report["workloads"] for r in w["results"]
    }
    names = [(p, "default") for p in LOOPS] + [(p, "forward") for p in EXACT if "_" in p]
    for peer in ("jitgraph", "NumPy"):
        for program, variant in names:
            row = by[program, peer, variant]
            assert row["problem"] == ""
            assert len(row["seconds"]) == 2
    assert all(by[p, "C", "default"]["median_s"] > 0 for p in EXACT)
    assert not any(peer == "limit" or (n, peer) == ("cd15", "C") for n, peer, _ in by)
    assert [v["workload"] for v in report["verdicts"]] == [
        "rnn",
        "rnn_gradient",
        "ar1",
        "ar1_gradient",
    ]
