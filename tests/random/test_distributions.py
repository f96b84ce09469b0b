"""Every distribution of every stream is the one it is called: moments, Kolmogorov-Smirnov, chi².

Seeds are fixed, so the tests do not fail by chance; a wrong distribution fails them (see the test
of the tests). A p-value below 1e-4 counts as a failure: of the some 60 tests here one in 170 sets
of seeds would give one.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from scipy import stats

from jitgraph import function
from jitgraph.random import PhiloxStreams
from jitgraph.sandbox.rng_mrg import MRG_RandomStreams
from jitgraph.tensor.shared_randomstreams import RandomStreams

N = 40_000
LEAST = 1e-4

philox, mrg, mersenne = PhiloxStreams(2024), MRG_RandomStreams(2024), RandomStreams(2024)

CONTINUOUS: dict[str, tuple[Callable[[], Any], Any]] = {
    f"{name} {kind}": (build, law)
    for name, streams in (("philox", philox), ("mrg", mrg), ("mersenne", mersenne))
    for kind, build, law in (
        ("uniform", lambda s=streams: s.uniform((N,), -1.0, 3.0), stats.uniform(-1, 4)),
        ("normal", lambda s=streams: s.normal((N,), 1.0, 2.0), stats.norm(1, 2)),
        (
            "normal32",
            lambda s=streams: s.normal((N,), dtype="float32"),
            stats.norm(),
        ),
    )
} | {
    "philox truncated": (
        lambda: philox.truncated_normal((N,), 1.0, 2.0, -1.0, 2.5),
        stats.truncnorm(-1, 2.5, 1, 2),
    ),
    "philox exponential": (lambda: philox.exponential((N,), 2.0), stats.expon(scale=2)),
    "philox gumbel": (lambda: philox.gumbel((N,), 1.0, 2.0), stats.gumbel_r(1, 2)),
    "philox logistic": (lambda: philox.logistic((N,), 1.0, 2.0), stats.logistic(1, 2)),
    "philox laplace": (lambda: philox.laplace((N,), 1.0, 2.0), stats.laplace(1, 2)),
}


def p_of_continuous(value: np.ndarray, law: Any) -> float:
    """The least of the p-values of Kolmogorov-Smirnov, of the mean, and of the variance."""
    value = value.astype(np.float64)
    mean, variance, kurtosis = (float(x) for x in law.stats("mvk"))
    n = len(value)
    z_mean = (value.mean() - mean) / np.sqrt(variance / n)
    z_variance = (value.var() - variance) / (variance * np.sqrt((kurtosis + 2) / n))
    by_moments = 2 * stats.norm.sf(max(abs(z_mean), abs(z_variance)))
    return min(float(stats.kstest(value, law.cdf).pvalue), float(by_moments))


def p_of_counts(value: np.ndarray, expected: dict[int, float]) -> float:
    """Chi²: cells expected fewer than 5 times are joined."""
    values, counts = np.unique(value, return_counts=True)
    found = dict(zip(values.tolist(), counts.tolist(), strict=True))
    assert set(found) <= set(expected), sorted(set(found) - set(expected))
    cells: list[list[float]] = []
    for k, p in sorted(expected.items()):
        if not cells or cells[-1][1] >= 5:
            cells.append([0.0, 0.0])
        cells[-1][0] += found.get(k, 0)
        cells[-1][1] += p * value.size
    if len(cells) > 1 and cells[-1][1] < 5:
        last = cells.pop()
        cells[-1] = [a + b for a, b in zip(cells[-1], last, strict=True)]
    f_obs, f_exp = np.array(cells).T
    return float(stats.chisquare(f_obs, f_exp * f_obs.sum() / f_exp.sum()).pvalue)


@pytest.mark.parametrize("name", CONTINUOUS)
def test_continuous(name: str) -> None:
    build, law = CONTINUOUS[name]
    f = function([], build())
    assert p_of_continuous(f(), law) > LEAST
    assert p_of_continuous(f(), law) > LEAST  # a later call


def table(law: Any, values: range) -> dict[int, float]:
    return {k: float(law.pmf(k)) for k in values}


WEIGHTS = [0.1, 0.2, 0.0, 0.3, 0.4]
WEIGHTED = dict(enumerate(WEIGHTS))
DISCRETE: dict[str, tuple[Callable[[], Any], dict[int, float]]] = {
    "philox bernoulli": (lambda: philox.bernoulli((N,), 0.3), {0: 0.7, 1: 0.3}),
    "mrg binomial": (lambda: mrg.binomial((N,), 1, 0.3), {0: 0.7, 1: 0.3}),
    "mersenne binomial 1": (lambda: mersenne.binomial((N,), 1, 0.3), {0: 0.7, 1: 0.3}),
    "philox binomial": (
        lambda: philox.binomial((N,), 12, 0.3),
        table(stats.binom(12, 0.3), range(13)),
    ),
    "mersenne binomial": (
        lambda: mersenne.binomial((N,), 200, 0.3),
        table(stats.binom(200, 0.3), range(201)),
    ),
    "mersenne poisson": (
        lambda: mersenne.poisson((N,), 20.0),
        table(stats.poisson(20), range(100)),
    ),
    "philox poisson 3": (lambda: philox.poisson((N,), 3.0), table(stats.poisson(3), range(60))),
    "philox poisson 16": (
        lambda: philox.poisson((N,), 16.0),
        table(stats.poisson(16), range(100)),
    ),
    "philox poisson 2000": (
        lambda: philox.poisson((N,), 2000.75),
        table(stats.poisson(2000.75), range(1500, 2600)),
    ),
    "philox integers": (lambda: philox.integers((N,), -3, 8), dict.fromkeys(range(-3, 8), 1 / 11)),
    "mersenne integers": (
        lambda: mersenne.random_integers((N,), -3, 7),
        dict.fromkeys(range(-3, 8), 1 / 11),
    ),
    "philox choice": (lambda: philox.choice((N,), 5), dict.fromkeys(range(5), 0.2)),
    "philox weighted": (lambda: philox.choice((N,), 5, p=WEIGHTS), WEIGHTED),
    "mersenne weighted": (lambda: mersenne.choice((N,), 5, p=WEIGHTS), WEIGHTED),
}


@pytest.mark.parametrize("name", DISCRETE)
def test_discrete(name: str) -> None:
    build, expected = DISCRETE[name]
    f = function([], build())
    for _ in range(2):
        value = f()
        assert p_of_counts(value, {k: p for k, p in expected.items() if p}) > LEAST


def test_these_tests_tell_wrong_distributions() -> None:
    rng = np.random.default_rng(1)
    law = stats.norm(1, 2)
    assert p_of_continuous(rng.normal(1, 2, N), law) > LEAST
    for wrong in (rng.normal(1.05, 2, N), rng.normal(1, 2.05, N), rng.logistic(1, 1.103, N)):
        assert p_of_continuous(wrong, law) < LEAST
    fair = dict.fromkeys(range(11), 1 / 11)
    assert p_of_counts(rng.integers(0, 11, N), fair) > LEAST
    assert p_of_counts(np.minimum(rng.integers(0, 110, N) // 9, 10), fair) < LEAST


def test_outcomes_of_multinomials_and_choices_in_rows() -> None:
    """Rows of MRG: how often each outcome is drawn, and the first of a choice."""
    rows = np.tile(WEIGHTS, (8000, 1))
    counts = function([], mrg.multinomial(n=5, pvals=rows))()
    first = function([], mrg.choice(2, replace=False, p=rows))()
    expected = {k: p for k, p in WEIGHTED.items() if p}
    drawn = np.repeat(np.tile(np.arange(5), 8000), counts.ravel())
    assert len(drawn) == 40_000 and p_of_counts(drawn, expected) > LEAST
    assert p_of_counts(first[:, 0], expected) > LEAST
    after_3 = first[first[:, 0] == 3, 1]
    others = {k: p / 0.7 for k, p in expected.items() if k != 3}
    assert p_of_counts(after_3, others) > LEAST


def test_permutations_and_weighted_orders_are_uniform() -> None:
    f = function([], philox.permutation(3))
    seen = np.array([int("".join(map(str, f()))) for _ in range(3000)])
    orders = [12, 21, 102, 120, 201, 210]
    assert p_of_counts(seen, dict.fromkeys(orders, 1 / 6)) > LEAST
    g = function([], philox.choice(2, 3, replace=False, p=[0.2, 0.3, 0.5]))
    seen = np.array([int("".join(map(str, g()))) for _ in range(3000)])
    p = [0.2, 0.3, 0.5]
    pairs = {10 * i + j: p[i] * p[j] / (1 - p[i]) for i in range(3) for j in range(3) if i != j}
    assert p_of_counts(seen, pairs) > LEAST


# -- independence ------------------------------------------------------------------------------


def correlation_z(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.corrcoef(a, b)[0, 1] * np.sqrt(len(a)))


@pytest.mark.parametrize("family", [PhiloxStreams, MRG_RandomStreams, RandomStreams])
def test_no_correlation_between_neighbours(family: Any) -> None:
    """Draws, children, calls, seeds and elements that follow each other: |z| < 4.5 of 100 pairs."""
    streams = family(11)
    children = streams.spawn(3)
    sources = [streams, *children, *children[0].spawn(1), family(12)]
    draws = [d for s in sources for d in (s.normal((N,)), s.normal((N,)))]
    f = function([], draws)
    series = [*f(), *f()[:2]]
    for i, a in enumerate(series):
        for b in series[:i]:
            assert abs(correlation_z(a, b)) < 4.5
        for lag in (1, 2, 3, 4, 256):
            assert abs(correlation_z(a[:-lag], a[lag:])) < 4.5


def test_pairs_of_neighbours_fill_the_square() -> None:
    """Chi² over 16 x 16 cells of (u[i], u[i + 1]) and of numbers of neighbouring streams."""
    for streams in (PhiloxStreams(5), MRG_RandomStreams(5)):
        u = function([], streams.uniform((2 * N,)))()
        step = 13_333 if isinstance(streams, MRG_RandomStreams) else 4  # the same stream again
        for a, b in ((u[::2], u[1::2]), (u[:N], u[step : step + N])):
            cells = (a * 16).astype(int) * 16 + (b * 16).astype(int)
            assert p_of_counts(cells, dict.fromkeys(range(256), 1 / 256)) > LEAST
