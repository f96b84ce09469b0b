"""Philox streams: NumPy's Philox is the oracle of every word, and of the numbers made of them."""

from __future__ import annotations

import math
import os
from typing import Any

import numpy as np
import pytest
from scipy import stats

import jitgraph
import jitgraph.tensor as T
from jitgraph import function
from jitgraph.config import change_flags
from jitgraph.ops.philox import PhiloxDraw, bit_generator, poisson_count, scaled_word
from jitgraph.random import PhiloxStreams
from jitgraph.reference import evaluate
from jitgraph.sandbox.rng_mrg import MRG_RandomStreams
from jitgraph.tensor.shared_randomstreams import RandomStreams

SEED = 7


def value_of(draw: Any, *values: Any) -> Any:
    return function([], draw)(*values)


def words(n: int, jumps: int = 0, skip: int = 0) -> np.ndarray:
    generator = np.random.Philox(SEED).jumped(jumps) if jumps else np.random.Philox(SEED)
    return generator.random_raw(skip + n)[skip:]


# -- words -------------------------------------------------------------------------------------


def test_known_answers_of_the_generator() -> None:
    """Random123's kat_vectors for philox4x64-10: counter, key -> words.

    The block of a stream belongs to its counter plus one, so the counter is one less here.
    """
    all_ones = 2**64 - 1
    pi = [0x243F6A8885A308D3, 0x13198A2E03707344, 0xA4093822299F31D0, 0x082EFA98EC4E6C89]
    for counter, key, expected in [
        (
            [0] * 4,
            [0] * 2,
            [0x16554D9ECA36314C, 0xDB20FE9D672D0FDC, 0xD7E772CEE186176B, 0x7E68B68AEC7BA23B],
        ),
        (
            [all_ones] * 4,
            [all_ones] * 2,
            [0x87B092C3013FE90B, 0x438C3C67BE8D0224, 0x9CC7D7C69CD777B6, 0xA09CAEBF594F0BA0],
        ),
        (
            pi,
            [0x452821E638D01377, 0xBE5466CF34E90C6C],
            [0xA528F45403E61D95, 0x38C72DBD566E9788, 0xA5A1610E72FD18B5, 0x57BD43B5E52B7FE6],
        ),
    ]:
        number = (sum(c << (64 * i) for i, c in enumerate(counter)) - 1) % 2**256
        limbs = [number >> (64 * i) & all_ones for i in range(4)]
        state = jitgraph.shared(np.array([*key, *limbs, 0], dtype=np.uint64))
        after, drawn = PhiloxDraw("word", ("uint64", (False,)))(state, (4,))
        for run in (function([], [after, drawn]), lambda a=after, d=drawn: evaluate([a, d], {})):
            new, found = run()
            assert [hex(w) for w in found.tolist()] == [hex(w) for w in expected]
            assert new.tolist() == [*key, *limbs, 4]


@pytest.mark.parametrize("n", [0, 1, 3, 4, 5, 255, 256, 257, 259, 1023, 8192, 20_001])
def test_words_are_numpys(n: int) -> None:
    """Over three calls, so that draws begin at every position in a block."""
    streams = PhiloxStreams(SEED)
    draw = streams._draw("word", "uint64", (n,), (False,))
    f = function([], draw)
    found = np.concatenate([f(), f(), f()])
    assert np.array_equal(found, words(3 * n))
    assert draw.rng.get_value()[6] == 3 * n


@pytest.mark.parametrize("start", [2**64 - 3, 2**128 - 3, 2**192 - 3, 2**256 - 3])
def test_the_counter_carries(start: int) -> None:
    limbs = [start >> (64 * i) & (2**64 - 1) for i in range(4)]
    state = jitgraph.shared(np.array([5, 6, *limbs, 1], dtype=np.uint64))
    _, drawn = PhiloxDraw("word", ("uint64", (False,)))(state, (30,))
    oracle = np.random.Philox(key=np.array([5, 6], np.uint64), counter=np.array(limbs, np.uint64))
    assert np.array_equal(function([], drawn)(), oracle.random_raw(31)[1:])


@pytest.mark.parametrize("threads", [1, 2, 3, 8])
def test_any_number_of_threads_gives_the_same_numbers(threads: int) -> None:
    with jitgraph.num_threads(threads):
        streams = PhiloxStreams(SEED)
        u, z = function([], [streams.uniform((70_001,)), streams.normal((70_001,))])()
    assert np.array_equal(u, (words(70_001) >> np.uint64(11)) * 2.0**-53)
    state = np.array([*streams.key, 0, 0, 1, 0, 0], dtype=np.uint64)
    _, expected = PhiloxDraw("normal", ("float64", (False,))).evaluate(state, np.array([70_001]))
    assert np.array_equal(z, expected)


def test_a_draw_in_parts_is_the_whole() -> None:
    whole = value_of(PhiloxStreams(SEED).normal((1000,)))
    n = T.lscalar("n")
    f = function([n], PhiloxStreams(SEED).normal((n,)))
    parts = [f(k) for k in (1, 2, 0, 517, 3, 477)]
    assert np.array_equal(np.concatenate(parts), whole)


@pytest.mark.parametrize("kind", ["uniform", "open", "normal"])
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_compiled_numbers_are_those_of_the_reference(kind: str, dtype: str) -> None:
    """Bit for bit, and among words chosen for their extremes."""
    state = np.array([1, 2, 3, 4, 5, 6, 7], dtype=np.uint64)
    op = PhiloxDraw(kind, (dtype, (False,)))
    after, drawn = op(jitgraph.shared(state), (30_011,))
    new, found = function([], [after, drawn])()
    expected_state, expected = op.evaluate(state, np.array([30_011]))
    assert found.dtype == dtype and np.array_equal(found, expected)
    assert np.array_equal(new, expected_state)


def test_formulas_of_uniform_numbers() -> None:
    w = words(1000)
    assert np.array_equal(
        value_of(PhiloxStreams(SEED).uniform(1000)),
        np.random.Generator(np.random.Philox(SEED)).random(1000),
    )
    single = value_of(PhiloxStreams(SEED).uniform(1000, dtype="float32"))
    assert single.dtype == "float32" and (single == (w >> np.uint64(40)) * 2.0**-24).all()
    middle = value_of(PhiloxStreams(SEED)._draw("open", "float64", (1000,), (False,)))
    assert (middle == ((w >> np.uint64(12)) + 0.5) * 2.0**-52).all()
    assert (middle > 0).all() and (middle < 1).all()


def test_normals_grow_with_the_uniform_numbers_of_the_same_words() -> None:
    u, z = value_of(PhiloxStreams(SEED).uniform(5000)), value_of(PhiloxStreams(SEED).normal(5000))
    order = np.argsort(u)
    assert (np.diff(z[order]) > 0).all() and ((z < 0) == (u < 0.5)).all()
    single = value_of(PhiloxStreams(SEED).normal(5000, dtype="float32"))
    assert np.array_equal(single, z.astype("float32"))


# -- streams -------------------------------------------------------------------------------------


def test_each_draw_has_a_counter_of_its_own() -> None:
    streams = PhiloxStreams(SEED)
    draws = [streams.uniform(5) for _ in range(3)]
    for k, value in enumerate(function([], draws)()):
        assert np.array_equal(value, (words(5, jumps=k) >> np.uint64(11)) * 2.0**-53)
    assert [s.get_value()[4] for s, _ in streams.state_updates] == [0, 1, 2]


def test_attributes_of_a_draw() -> None:
    streams = PhiloxStreams(SEED)
    for draw in (streams.uniform(3, 1, 2), streams.bernoulli(3), streams.choice(2, [1.0, 2.0])):
        assert draw.rng.dtype == "uint64" and draw.rng.ndim == 1 and draw.rng.tag.is_rng is True
        assert draw.update == (draw.rng, draw.rng.default_update)
        assert draw.update in streams.updates()
    assert streams.updates() == streams.state_updates
    assert streams.updates() is not streams.state_updates


def test_seeds() -> None:
    for seed in (0, 7, 2**200, [1, 2], np.int64(7), np.random.SeedSequence(3)):
        key = PhiloxStreams(seed).key  # type: ignore[arg-type]
        assert np.array_equal(key, np.random.Philox(seed).state["state"]["key"])
    assert not np.array_equal(PhiloxStreams().key, PhiloxStreams().key)
    for wrong, error in [
        (-1, ValueError),
        ([1, -1], ValueError),
        (1.5, TypeError),
        ("7", TypeError),
        (True, TypeError),
        (np.random.RandomState(1), TypeError),
    ]:
        with pytest.raises(error, match=r"seed must be .*test_philox_streams\.py"):
            PhiloxStreams(wrong)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="fork is"):
        PhiloxStreams(1, fork="maybe")


def test_seed_again() -> None:
    streams = PhiloxStreams(SEED)
    f = function([], [streams.uniform(3), streams.normal(3)])
    first, second = f(), f()
    streams.seed()
    assert all(map(np.array_equal, f(), first)) and all(map(np.array_equal, f(), second))
    streams.seed(8)
    assert not any(map(np.array_equal, f(), first))
    other = PhiloxStreams(8)
    streams.seed(8)
    assert all(map(np.array_equal, f(), function([], [other.uniform(3), other.normal(3)])()))


def test_states_are_read_set_saved_and_handed_to_numpy(tmp_path: Any) -> None:
    draw = PhiloxStreams(SEED).uniform(5)
    f = function([], draw)
    f()
    np.save(tmp_path / "state.npy", draw.rng.get_value())
    generator = np.random.Generator(PhiloxStreams.bit_generator(draw))
    second = f()
    assert np.array_equal(second, generator.random(5))
    f()
    draw.rng.set_value(np.load(tmp_path / "state.npy"))
    assert np.array_equal(f(), second)


def test_draws_advance_once_a_call_and_not_without_updates() -> None:
    u = PhiloxStreams(SEED).uniform(3)
    assert (function([], u + u - 2 * u)() == 0).all()
    frozen = function([], u, no_default_updates=True)
    assert np.array_equal(frozen(), frozen())
    assert np.array_equal(frozen(), (words(3, skip=3) >> np.uint64(11)) * 2.0**-53)


def test_a_call_that_fails_moves_nothing() -> None:
    x, n = T.dvector("x"), T.lscalar("n")
    u = PhiloxStreams(SEED).uniform((n,))
    f, g = function([x, n], u + x), function([n], u)
    before = u.rng.get_value()
    for size in (2, -2, 10**14):
        with pytest.raises(ValueError, match=r"lengths of axis 0 differ|negative length"):
            f(np.zeros(3), size)
        assert np.array_equal(u.rng.get_value(), before)
    for size, error in ((-2, ValueError), (10**14, MemoryError)):
        with pytest.raises(error, match=r"uniform: size has the negative length -2|no room"):
            g(size)
        assert np.array_equal(u.rng.get_value(), before)
    assert np.array_equal(f(np.zeros(3), 3), (words(3) >> np.uint64(11)) * 2.0**-53)
    u.rng.set_value(np.zeros(6, np.uint64))
    with pytest.raises(ValueError, match="the state must have 7 words"):
        f(np.zeros(3), 3)
    with pytest.raises(ValueError, match="the state must have 7 words"):
        evaluate([u], {n: np.int64(3)})


def test_spawned_streams_are_those_of_the_seed_sequence() -> None:
    parent = PhiloxStreams(SEED)
    children = [*parent.spawn(2), *parent.spawn(1)]
    expected = np.random.SeedSequence(SEED).spawn(3)
    for child, sequence in zip(children, expected, strict=True):
        assert np.array_equal(child.key, np.random.Philox(sequence).state["state"]["key"])
        grandchild = child.spawn(1)[0]
        assert np.array_equal(
            grandchild.key, np.random.Philox(sequence.spawn(1)[0]).state["state"]["key"]
        )
    values = {value_of(s.uniform(4)).tobytes() for s in (parent, *children)}
    assert len(values) == 4
    with pytest.raises(ValueError, match="spawn"):
        parent.spawn(-1)


def first_numbers_in_child(*functions: Any) -> list[bytes]:
    """What the functions give in a forked child."""
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.write(write, b"".join(f().tobytes() for f in functions))
        finally:
            os._exit(0)
    os.close(write)
    with os.fdopen(read, "rb") as pipe:
        data = pipe.read()
    os.waitpid(child, 0)
    return [data[i : i + 40] for i in range(0, len(data), 40)]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="fork is of POSIX systems")
def test_forked_children_do_not_repeat_their_parent() -> None:
    def run() -> list[bytes]:
        streams, kept = PhiloxStreams(SEED), PhiloxStreams(8, fork="repeat")
        f, g, h = (function([], d) for d in (streams.uniform(5), streams.normal(5), kept.normal(5)))
        f()
        children = [first_numbers_in_child(f, g, h) for _ in range(3)]
        mine = [f().tobytes(), g().tobytes(), h().tobytes()]
        assert all(child[2] == mine[2] for child in children)  # as asked for
        return [x for numbers in (*children, mine) for x in numbers[:2]]

    numbers = run()
    assert len(numbers) == len(set(numbers)) == 8
    assert run() == numbers  # which child it is decides, not its process number


@pytest.mark.skipif(not hasattr(os, "fork"), reason="fork is of POSIX systems")
@pytest.mark.parametrize("family", [MRG_RandomStreams, RandomStreams])
def test_forked_children_of_theanos_streams_repeat_unless_they_are_spawned(family: Any) -> None:
    """As documented: these streams keep Theano's numbers in a child too."""
    parent = family(SEED)
    f = function([], parent.uniform((5,)))
    workers = [function([], s.uniform((5,))) for s in parent.spawn(3)]
    (copied,) = first_numbers_in_child(f)
    spawned = [first_numbers_in_child(w)[0] for w in workers]
    assert copied == f().tobytes() and len({copied, *spawned}) == 4


@pytest.mark.skipif(not hasattr(os, "fork"), reason="fork is of POSIX systems")
def test_a_child_draws_on_all_threads() -> None:
    big = [s.uniform((200_000,)) for s in (PhiloxStreams(SEED), MRG_RandomStreams(SEED))]
    with jitgraph.num_threads(2):
        f = function([], [d[:5] for d in big])
        f()
        for _ in range(20):
            (a, b) = first_numbers_in_child(lambda: np.concatenate(f()))
            assert len(a) == len(b) == 40 and a != b


# -- distributions -----------------------------------------------------------------------------


def unit(n: int, jumps: int = 0) -> np.ndarray:
    return (words(n, jumps) >> np.uint64(11)) * 2.0**-53


def middle(n: int, jumps: int = 0) -> np.ndarray:
    return ((words(n, jumps) >> np.uint64(12)) + 0.5) * 2.0**-52


def test_the_formulas_of_the_distributions() -> None:
    """To a few ULP: the compiled exp and log differ from NumPy's in the last place."""
    n, close = 500, {"rtol": 4e-15, "atol": 4e-15}
    s = lambda: PhiloxStreams(SEED)  # noqa: E731
    u, v = unit(n), middle(n)
    for draw, expected in [
        (s().uniform(n, -2, 3.5), -2 + 5.5 * u),
        (s().exponential(n, 2.5), -2.5 * np.log1p(-u)),
        (s().gumbel(n, 1.0, 2.0), 1 - 2 * np.log(-np.log(v))),
        (s().logistic(n, 1.0, 2.0), 1 + 2 * (np.log(v) - np.log1p(-v))),
        (
            s().laplace(n, 1.0, 2.0),
            1 - 2 * np.sign(2 * v - 1) * np.log1p(-np.abs(2 * v - 1)),
        ),
    ]:
        np.testing.assert_allclose(value_of(draw), expected, **close)
    assert np.array_equal(value_of(s().bernoulli(n, 0.3)), u < 0.3)
    trials = unit(n * 7).reshape(n, 7)
    assert np.array_equal(value_of(s().binomial(n, 7, 0.3)), (trials < 0.3).sum(1))
    assert value_of(s().binomial(n, 0, 0.3)).tolist() == [0] * n


@pytest.mark.parametrize(("low", "high"), [(-2.0, 2.0), (0.5, 3.0), (3.0, 3.5), (-9.0, -5.0)])
def test_truncated_normals(low: float, high: float) -> None:
    from scipy import stats

    value = value_of(PhiloxStreams(SEED).truncated_normal(4000, 1.0, 2.0, low, high))
    expected = 1 + 2 * stats.truncnorm(low, high).ppf(middle(4000))
    np.testing.assert_allclose(value, expected, rtol=1e-9, atol=1e-9)
    assert value.min() >= 1 + 2 * low and value.max() <= 1 + 2 * high


@pytest.mark.parametrize(
    ("low", "high"), [(0, 1), (-3, 4), (0, 2**40), (-(2**63), 2**63 - 1), (2**62, 2**63 - 1)]
)
def test_integers(low: int, high: int) -> None:
    expected = [low + (w * (high - low) >> 64) for w in words(200).tolist()]
    streams = PhiloxStreams(SEED)
    assert value_of(streams.integers(200, np.int64(low), np.int64(high))).tolist() == expected
    a, b = T.lvector("a"), T.lscalar("b")
    f = function([a, b], PhiloxStreams(SEED).integers(None, a, b))
    assert f(np.full(200, low), high).tolist() == expected


@pytest.mark.parametrize("lam", [0.0, 1e-300, 0.4, 3.0, 15.999])
def test_poisson_counts_of_small_means_are_quantiles(lam: float) -> None:
    u = words(500).astype(np.uint64) >> np.uint64(11)
    mean = T.dscalar("mean")
    draw = PhiloxStreams(SEED).poisson(500, mean)
    found = function([mean], draw)(lam)
    expected = stats.poisson.ppf(u * 2.0**-53, lam) if lam else np.zeros(500)
    assert found.dtype == np.int64 and np.array_equal(found, np.maximum(expected, 0))


@pytest.mark.parametrize("lam", [16.0, 16.5, 1234.75, 1e9])
def test_poisson_counts_of_large_means_have_their_parts_of_the_interval(lam: float) -> None:
    """From the mode outwards: the first parts end at the sums of the probabilities so far."""
    x, mean = T.dscalar("x"), T.dscalar("mean")
    f = function([x, mean], poisson_count(x, mean))
    m = int(lam)
    end = 0.0
    for k in (m, m + 1, m - 1, m + 2, m - 2):
        # scipy's probabilities of a mean of 1e9 have lost 6 digits; those of a normal law have not.
        z = (k - lam) / math.sqrt(lam)
        normal = math.exp(-z * z / 2) / math.sqrt(2 * math.pi * lam)
        law = normal if lam == 1e9 else float(stats.poisson.pmf(k, lam))
        start, end = end, end + law
        bound = 1e-4 if lam == 1e9 else 1e-9
        assert f(start + bound * law, lam) == k and f(end - bound * law, lam) == k
    assert m < f(1.0, lam) < m + 20 * math.sqrt(lam)  # the walk ends


def test_poisson_counts_in_c_are_those_of_the_reference() -> None:
    u = (words(300) >> np.uint64(11)) * 2.0**-53
    x, mean = T.dvector("x"), T.dvector("mean")
    f = function([x, mean], poisson_count(x, mean))
    for lam in (0.3, 15.9, 16.0, 40.0, 3000.5):
        means = np.linspace(lam, 2 * lam, 300)
        assert np.array_equal(f(u, means), poisson_count.evaluate(u, means)[0])
    nowhere = np.array([np.nan, -1.0, np.inf, 2e9])
    assert f(np.full(4, 0.5), nowhere).tolist() == [0, 0, 0, 0]


def test_poisson_draws_are_one_compiled_step() -> None:
    lam = T.dvector("lam")
    streams = PhiloxStreams(SEED)
    f = function([lam], streams.poisson(None, lam) + 1)
    assert [type(step).__name__ for step in f.compiled.program.steps] == ["CompiledStep"]
    state = streams.state_updates[0][0]
    first, before = f([2.0, 30.0, 0.0]), state.get_value()
    assert first[2] == 1 and f([2.0, 30.0, 0.0]).shape == (3,)
    for wrong in (-1.0, np.nan, 1.1e9):
        state.set_value(before)
        with pytest.raises(ValueError, match=r"poisson: lam must lie in.*test_philox_streams\.py"):
            f([2.0, wrong, 1.0])
        assert np.array_equal(state.get_value(), before)
    with pytest.raises(ValueError, match="poisson: lam must lie in"):
        streams.poisson(3, -0.5)


def test_scaled_words() -> None:
    a = np.array([0, 1, 2**32, 2**64 - 1, 2**63, 0xD2E7470EE14C6C93], dtype=np.uint64)
    x, y = T.TensorType("uint64", (False,))("x"), T.TensorType("uint64", (False,))("y")
    f = function([x, y], scaled_word(x, y))
    for shift in range(6):
        b = np.roll(a, shift)
        expected = [p * q >> 64 for p, q in zip(a.tolist(), b.tolist(), strict=True)]
        assert f(a, b).tolist() == expected
        assert scaled_word.evaluate(a, b)[0].tolist() == expected


def test_choices() -> None:
    s = lambda: PhiloxStreams(SEED)  # noqa: E731
    pool, p = np.array([1.5, 2.5, 3.5]), np.array([0.25, 0.0, 0.75])
    equal = [w * 3 >> 64 for w in words(50).tolist()]
    assert value_of(s().choice(50, pool)).tolist() == pool[equal].tolist()
    assert value_of(s().choice((5, 10), 3)).ravel().tolist() == equal
    weighted = np.where(unit(50) < 0.25, 0, 2)
    assert value_of(s().choice(50, 3, p=p)).tolist() == weighted.tolist()
    assert value_of(s().choice(50, pool, p=8 * p[::-1])).tolist() == (
        np.where(unit(50) < 0.75, pool[0], pool[2]).tolist()
    )
    order = np.argsort(words(3), kind="stable")
    assert value_of(s().permutation(3)).tolist() == order.tolist()
    assert value_of(s().permutation(pool)).tolist() == pool[order].tolist()
    assert value_of(s().choice(2, 3, replace=False)).tolist() == order[:2].tolist()
    waits = np.argsort(-np.log(middle(3)) / [0.2, 0.3, 0.5])
    assert value_of(s().choice(3, 3, False, [0.2, 0.3, 0.5])).tolist() == waits.tolist()
    assert value_of(s().choice(None, 3, False)) == order[0]
    assert value_of(s().permutation(0)).shape == (0,)
    n = T.lscalar("n")
    f = function([n], s().choice(n, 3, replace=False))
    assert f(2).tolist() == order[:2].tolist()
    with pytest.raises(ValueError, match="left over"):
        f(4)


def test_sizes() -> None:
    s = lambda: PhiloxStreams(SEED)  # noqa: E731
    n, v, m = T.lscalar("n"), T.lvector("v"), T.dmatrix("m")
    flat = unit(6)
    assert value_of(s().uniform()) == flat[0]
    for size in (6, (6,), [6], (2, 3), [2, 3], np.array([2, 3]), (1, 6)):
        assert value_of(s().uniform(size)).ravel().tolist() == flat.tolist()
    assert s().uniform((1, 6)).broadcastable == (True, False)
    for given, values, draw in [
        (n, 6, s().uniform(n)),
        (n, 6, s().uniform((n,))),
        (n, 3, s().uniform((2, n))),
        (v, [2, 3], s().uniform(v, ndim=2)),
        (m, np.zeros((2, 3)), s().uniform(m.shape)),
        (m, np.zeros((2, 3)), s().uniform(None, m, 1)),
        (m, np.zeros((2, 3)), s().uniform((-1, -1), m, 1)),
    ]:
        f = function([given], draw)
        assert f(values).ravel().tolist() == flat.tolist()
    assert value_of(s().uniform(0)).shape == (0,)


def test_dtypes() -> None:
    streams = PhiloxStreams(1)
    assert streams.uniform(2, T.fscalar()).dtype == "float64"
    with change_flags(floatX="float32"):
        assert streams.uniform(2, T.fscalar()).dtype == "float32"
        assert streams.exponential(2).dtype == streams.gumbel(2).dtype == "float32"
        assert streams.normal(2, T.dscalar()).dtype == "float64"
    assert streams.bernoulli(2, dtype="floatX").dtype == "float64"
    assert streams.integers(2, dtype="int8").dtype == "int8"
    assert streams.truncated_normal(2, dtype="float32").dtype == "float32"


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda s: s.uniform(-3), ValueError, "uniform: size has the negative length -3"),
        (lambda s: s.uniform("ab"), TypeError, "uniform: size must be a tuple"),
        (lambda s: s.uniform((2, 1.5)), TypeError, "uniform: size must hold integers"),
        (lambda s: s.uniform(2, T.dmatrix()), ValueError, "uniform: the parameters have 2 axes"),
        (lambda s: s.uniform(2, dtype="int64"), TypeError, "dtype must be float32 or float64"),
        (lambda s: s.normal((2,), ndim=3), ValueError, "ndim=3"),
        (lambda s: s.bernoulli(2, 1.5), ValueError, r"bernoulli: p must lie in \[0, 1\], got 1\.5"),
        (lambda s: s.binomial(2, 3, [0.5, -1]), ValueError, r"binomial: p must lie in \[0, 1\]"),
        (lambda s: s.binomial(2, -1), ValueError, "binomial: n must be"),
        (lambda s: s.binomial(2, T.lscalar()), ValueError, "binomial: n must be"),
        (lambda s: s.exponential(2, -1.0), ValueError, "exponential: scale must be at least 0"),
        (lambda s: s.truncated_normal(2, low=2, high=1), ValueError, "low below high"),
        (lambda s: s.integers(2, 3, 3), ValueError, "integers: high must be above low"),
        (lambda s: s.integers(2, 0.5), TypeError, "integers: low must hold integers"),
        (lambda s: s.choice(2, 0), ValueError, "choice: a must be positive"),
        (lambda s: s.choice(2, 1.5), TypeError, "choice: a must be an int or a vector"),
        (lambda s: s.choice(2, 3, p=0.5), ValueError, "choice: p must be a vector"),
        (lambda s: s.choice(2, 2, p=[0.5, -0.5]), ValueError, "choice: p must be at least 0"),
        (lambda s: s.choice(4, 3, replace=False), ValueError, "choice: 4 different entries of 3"),
        (lambda s: s.choice((1, 2), 3, replace=False), TypeError, "size is an integer"),
        (lambda s: s.permutation(-1), ValueError, "permutation: x must not be negative"),
        (lambda s: s.permutation(1.5), TypeError, "permutation: x must be"),
    ],
)
def test_refused_while_building(call: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message) as caught:
        call(PhiloxStreams(1))
    assert "test_philox_streams.py" in str(caught.value)


def test_refused_when_run() -> None:
    p, scale, k = T.dvector("p"), T.dscalar("scale"), T.lscalar("k")
    for given, wrong, draw, message in [
        (p, [0.5, 1.5], PhiloxStreams(1).bernoulli(None, p), "bernoulli: p must lie in"),
        (p, [0.5, np.nan], PhiloxStreams(1).binomial(None, 4, p), "binomial: p must lie in"),
        (p, [0.5, -0.5], PhiloxStreams(1).choice(3, 2, p=p), "choice: p must be at least 0"),
        (p, [0.0, 0.0], PhiloxStreams(1).choice(3, 2, p=p), "the sum of p"),
        (scale, -1.0, PhiloxStreams(1).exponential(2, scale), "exponential: scale must be"),
        (k, 0, PhiloxStreams(1).integers(2, 0, k), "integers: high must be above low"),
    ]:
        f = function([given], draw)
        before = draw.rng.get_value()
        with pytest.raises(ValueError, match=message) as caught:
            f(wrong)
        assert "test_philox_streams.py" in str(caught.value)
        assert np.array_equal(draw.rng.get_value(), before)
        with pytest.raises(ValueError, match=message):
            evaluate([draw], {given: np.asarray(wrong)})


def test_what_is_a_probability_by_construction_is_not_checked() -> None:
    from jitgraph.graph import toposort
    from jitgraph.ops.ranges import InRange

    x = T.dvector("x")

    def checks(p: Any) -> int:
        draw = PhiloxStreams(1).bernoulli(None, p)
        return sum(isinstance(node.op, InRange) for node in toposort([draw]))

    for safe in (T.nnet.sigmoid(x), T.clip(x, 0.0, 1.0), T.nnet.hard_sigmoid(x), x > 0):
        assert checks(safe) == 0
    assert checks(T.nnet.softmax(T.dmatrix("m"))) == 0
    assert checks(T.nnet.sigmoid(x) * T.nnet.sigmoid(2 * x)) == 0
    for unsafe in (x, T.exp(x), T.clip(x, 0.0, 2.0), T.nnet.sigmoid(x) + 0.5):
        assert checks(unsafe) == 1


def test_gradients() -> None:
    a, b = T.dvector("a"), T.dscalar("b")
    point = np.array([1.0, 2.0, 3.0]), 1.5
    for name in ("normal", "gumbel", "logistic", "laplace", "truncated_normal"):
        draw = getattr(PhiloxStreams(3), name)((3,), a, b)
        to_a, to_b, value = function([a, b], [*T.grad(draw.sum(), [a, b]), draw])(*point)
        assert to_a.tolist() == [1, 1, 1]
        assert to_b == pytest.approx(((value - point[0]) / 1.5).sum(), rel=1e-13)
    u = PhiloxStreams(3).uniform((3,), a, b)
    to_a, to_b, value = function([a, b], [*T.grad(u.sum(), [a, b]), u])(*point)
    share = (value - point[0]) / (1.5 - point[0])
    np.testing.assert_allclose(to_a, 1 - share, rtol=1e-13)
    assert to_b == pytest.approx(share.sum(), rel=1e-13)


def test_draws_inside_loops() -> None:
    streams = PhiloxStreams(SEED)
    values, updates = jitgraph.scan(lambda: streams.uniform((3,)), n_steps=4)
    f = function([], values, updates=updates)
    assert np.array_equal(np.concatenate([f(), f()]).ravel(), unit(24))


def test_the_states_of_numpys_generator() -> None:
    state = np.array([3, 4, 2**64 - 1, 5, 6, 7, 9], dtype=np.uint64)
    oracle = np.random.Philox(key=state[:2], counter=state[2:6])
    oracle.random_raw(9, output=False)
    assert bit_generator(state).random_raw(5).tolist() == oracle.random_raw(5).tolist()
    with pytest.raises(TypeError, match="uint64 vector"):
        PhiloxDraw("uniform", ("float64", (False,)))(jitgraph.shared(np.zeros(7)), (3,))
    with pytest.raises(ValueError, match="unknown kind"):
        PhiloxDraw("magic", ("float64", (False,)))
    with pytest.raises(TypeError, match="no dtype"):
        PhiloxDraw("normal", ("uint64", (False,)))
    assert math.isclose(2**-53, 1.1102230246251565e-16)
