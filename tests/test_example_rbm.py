"""`examples/rbm.py` against the same machine in plain NumPy, fed with the same random numbers.

The random numbers of the oracle are NumPy's own RandomState, or MRG31k3p by its recurrences in
Python's integers, so nothing of jitgraph takes part in it.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose

import jitgraph
import jitgraph.tensor as T
from jitgraph.config import change_flags
from jitgraph.errors import MissingInputError
from jitgraph.sandbox.rng_mrg import MRG_RandomStreams
from jitgraph.tensor.shared_randomstreams import RandomStreams

EXAMPLES = Path(__file__).parents[1] / "examples"
BATCH, VISIBLE, HIDDEN, RATE, SEED = 3, 6, 4, 0.1, 5


@pytest.fixture
def rbm(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(EXAMPLES))
    return importlib.import_module("rbm")


def examples(dtype: str = "float64") -> np.ndarray:
    return np.random.default_rng(3).uniform(0, 1, (4 * BATCH, VISIBLE)).astype(dtype)


# -- the oracle: draws ----------------------------------------------------------------------------


def numpy_draws(seed: int, draws: int) -> list[Any]:
    """One function p -> coins for each draw of a RandomStreams, in the order of their making."""
    seeds = np.random.RandomState(seed)
    states = [np.random.RandomState(seeds.randint(2**30)) for _ in range(draws)]
    return [lambda p, state=state: state.binomial(1, p).astype("float64") for state in states]


M1, M2 = 2**31 - 1, 2**31 - 21069
A1 = np.array([[0, 2**22, 2**7 + 1], [1, 0, 0], [0, 1, 0]], dtype=object)
A2 = np.array([[2**15, 0, 2**15 + 1], [1, 0, 0], [0, 1, 0]], dtype=object)


def power_of_two(a: np.ndarray, exponent: int, m: int) -> np.ndarray:
    """a to the power 2**exponent, modulo m."""
    for _ in range(exponent):
        a = a.dot(a) % m
    return a


JUMPS = {n: (power_of_two(A1, n, M1), power_of_two(A2, n, M2)) for n in (72, 134)}


def jump(state: np.ndarray, exponent: int) -> np.ndarray:
    b1, b2 = JUMPS[exponent]
    return np.concatenate([b1.dot(state[:3]) % M1, b2.dot(state[3:]) % M2])


def numbers(state: np.ndarray) -> Iterator[float]:
    """The uniforms of one stream: A1 and A2 applied again and again, z / 2**31."""
    x, y = state[:3], state[3:]
    while True:
        x, y = A1.dot(x) % M1, A2.dot(y) % M2
        yield float((x[0] - y[0] if x[0] > y[0] else x[0] - y[0] + M1) * 2.0**-31)


def mrg_draws(seed: int, draws: int) -> list[Any]:
    """The same for MRG_RandomStreams: element i comes from stream i of the draw."""

    def draw(state: np.ndarray) -> Any:
        streams: list[Iterator[float]] = []

        def coins(p: np.ndarray) -> np.ndarray:
            nonlocal state
            while len(streams) < p.size:
                streams.append(numbers(state))
                state = jump(state, 72)
            u = np.array([next(s) for s in streams[: p.size]]).reshape(p.shape)
            return (u < p).astype("float64")

        return coins

    result = []
    state = np.array([seed] * 6, dtype=object)
    for _ in range(draws):
        result.append(draw(state))
        state = jump(state, 134)
    return result


# -- the oracle: the machine ----------------------------------------------------------------------


def sigmoid(z: np.ndarray) -> np.ndarray:
    return np.exp(-np.logaddexp(0, -z))


class Oracle:
    """Contrastive divergence by the formulas: slopes <v h> under the model minus under the data."""

    def __init__(self, coins: list[Any], k: int, persistent: bool):
        self.W = 0.01 * np.random.RandomState(SEED).normal(size=(VISIBLE, HIDDEN))
        self.b, self.c = np.zeros(VISIBLE), np.zeros(HIDDEN)
        self.k, self.chains = k, np.zeros((BATCH, HIDDEN)) if persistent else None
        self.coins_of_start = None if persistent else coins[0]
        self.coins_of_v, self.coins_of_h = coins[-2:]
        self.calls = 0

    def free_energy(self, v: np.ndarray) -> np.ndarray:
        return -np.logaddexp(0, v @ self.W + self.c).sum(axis=1) - v @ self.b

    def log_conditional(self, x: np.ndarray, unit: int) -> np.ndarray:
        v = np.round(x)
        flipped = v.copy()
        flipped[:, unit] = 1 - v[:, unit]
        return -np.logaddexp(0, self.free_energy(v) - self.free_energy(flipped))

    def step(self, x: np.ndarray) -> float:
        """One update; what is watched, at the parameters before it."""
        if self.chains is None:
            h = self.coins_of_start(sigmoid(x @ self.W + self.c))
        else:
            h = self.chains
        for _ in range(self.k):
            pre = h @ self.W.T + self.b
            v = self.coins_of_v(sigmoid(pre))
            h = self.coins_of_h(sigmoid(v @ self.W + self.c))
        if self.chains is None:
            xent = x * np.logaddexp(0, -pre) + (1 - x) * np.logaddexp(0, pre)
            watched = xent.sum(axis=1).mean()
        else:
            self.chains = h
            watched = self.log_conditional(x, self.calls % VISIBLE).mean() * VISIBLE
        self.calls += 1
        up, down = sigmoid(x @ self.W + self.c), sigmoid(v @ self.W + self.c)
        self.W = self.W + RATE * (x.T @ up - v.T @ down) / BATCH
        self.b = self.b + RATE * (x - v).mean(axis=0)
        self.c = self.c + RATE * (up - down).mean(axis=0)
        return float(watched)

    def measured(self, x: np.ndarray) -> tuple[float, float]:
        mean = sigmoid(sigmoid(x @ self.W + self.c) @ self.W.T + self.b)
        xent = -(x * np.log(mean) + (1 - x) * np.log(1 - mean)).sum(axis=1).mean()
        return xent, sum(self.log_conditional(x, i).mean() for i in range(VISIBLE))


STREAMS = {"mrg": (MRG_RandomStreams, mrg_draws), "numpy": (RandomStreams, numpy_draws)}


@pytest.mark.parametrize("persistent", [False, True], ids=["CD", "PCD"])
@pytest.mark.parametrize("k", [1, 4])
@pytest.mark.parametrize("streams", STREAMS)
def test_first_updates(rbm: ModuleType, streams: str, k: int, persistent: bool) -> None:
    kind, draws_of = STREAMS[streams]
    data = examples()
    machine = rbm.build(data, HIDDEN, BATCH, k, persistent, RATE, SEED, kind)
    oracle = Oracle(draws_of(SEED, 2 if persistent else 3), k, persistent)
    # A few hundred additions of numbers below 10: 1e-13 is some hundred units in the last place.
    bounds = {"rtol": 1e-13, "atol": 1e-14}
    start = machine.rbm.W.get_value()
    for call in range(2 * VISIBLE + 1):
        i = call % 4
        watched = machine.train(i)
        assert len(watched) == (1 if persistent else 2)
        assert_allclose(watched, oracle.step(data[i * BATCH : (i + 1) * BATCH]), **bounds)
        assert_allclose(machine.rbm.W.get_value(), oracle.W, **bounds)
        assert_allclose(machine.rbm.vbias.get_value(), oracle.b, **bounds)
        assert_allclose(machine.rbm.hbias.get_value(), oracle.c, **bounds)
        assert_allclose(machine.measure(data), oracle.measured(data), **bounds)
    assert np.abs(machine.rbm.W.get_value() - start).max() > 0.01


def test_other_draws_are_noticed(rbm: ModuleType) -> None:
    """The test tested: an oracle with another seed is elsewhere after a few updates."""
    data = examples()
    machine = rbm.build(data, HIDDEN, BATCH, 1, False, RATE, SEED, MRG_RandomStreams)
    oracle = Oracle(mrg_draws(SEED + 1, 3), 1, False)
    for i in range(4):
        machine.train(i)
        oracle.step(data[i * BATCH : (i + 1) * BATCH])
    assert np.abs(machine.rbm.W.get_value() - oracle.W).max() > 1e-3


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("k", [1, 3])
def test_both_forms_of_the_cost_with_large_weights(rbm: ModuleType, k: int, dtype: str) -> None:
    with change_flags(floatX=dtype):
        machine = rbm.build(examples(dtype), HIDDEN, BATCH, k, False, RATE, SEED)
        W = np.random.default_rng(4).choice([-700.0, 500.0, 900.0], (VISIBLE, HIDDEN))
        machine.rbm.W.set_value(W.astype(dtype))
        given, seen = machine.train(0)
    assert given.dtype == dtype and given > 100
    assert np.isfinite(given) and np.isfinite(seen)
    assert_allclose(seen, given, rtol=8 * np.finfo(dtype).eps)
    for parameter in machine.rbm.params:
        assert parameter.get_value().dtype == dtype
        assert np.isfinite(parameter.get_value()).all()
    assert np.isfinite(machine.measure(examples(dtype))).all()


def test_sampler_continues_its_chain(rbm: ModuleType) -> None:
    """Two calls of 3 steps end where one of 6 does; probabilities lie in (0, 1)."""
    start = np.round(examples())

    def chain(steps: int, calls: int) -> np.ndarray:
        machine = rbm.build(examples(), HIDDEN, BATCH, 1, False, RATE, SEED)
        sample = rbm.sampler(machine.rbm, start, steps)
        return [sample() for _ in range(calls)][-1]

    once, twice = chain(6, 1), chain(3, 2)
    assert once.shape == start.shape
    assert ((once > 0) & (once < 1)).all()
    np.testing.assert_array_equal(once, twice)


def test_updates_that_are_forgotten_are_asked_for(rbm: ModuleType) -> None:
    """The size of a draw in the step is that of the state; without the updates the new state of the
    generator has no meaning outside."""
    x = T.dmatrix("x")
    machine = rbm.RBM(x, VISIBLE, HIDDEN, np.random.RandomState(1), MRG_RandomStreams(1))
    outputs, updates = jitgraph.scan(
        machine.gibbs_vhv, outputs_info=[None] * 5 + [x], n_steps=2, name="gibbs"
    )
    with pytest.raises(MissingInputError, match=r"step of scan 'gibbs' only.*updates=updates"):
        jitgraph.function([x], outputs[-1])
    assert jitgraph.function([x], outputs[-1], updates=updates)(examples()).shape == (2, 12, 6)


def test_pictures(rbm: ModuleType, tmp_path: Path, monkeypatch: Any, capsys: Any) -> None:
    monkeypatch.setenv("MPLBACKEND", "agg")
    result = rbm.main(epochs=1, hidden=12, out=str(tmp_path / "new"), quiet=True)
    saved = sorted((tmp_path / "new").iterdir())
    assert [p.name for p in saved] == ["rbm_filters.png", "rbm_samples.png"]
    assert all(p.read_bytes().startswith(b"\x89PNG") for p in saved)
    assert result.samples.shape == (10, 10, 64)
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()][:2] == ["saved"] * 2
    # Without matplotlib: a sentence, and no file.
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    again = rbm.main(epochs=1, hidden=12, out=str(tmp_path / "none"), quiet=True)
    assert "pip install 'jitgraph[plot]'" in capsys.readouterr().out
    assert list((tmp_path / "none").iterdir()) == []
    np.testing.assert_array_equal(again.samples, result.samples)  # deterministic for a seed
    assert again.reconstruction == result.reconstruction
