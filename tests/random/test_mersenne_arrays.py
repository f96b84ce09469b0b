"""Draws from a Mersenne Twister whose state is an array: NumPy's RandomState is the oracle."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import pytest
from numpy.random import RandomState

import jitgraph
import jitgraph.tensor as T
from jitgraph import function
from jitgraph.errors import NullTypeGradError
from jitgraph.graph import Variable
from jitgraph.op import DISCONNECTED, from_token
from jitgraph.ops.random import RandomFunction, random_state_type
from jitgraph.ops.random_array import (
    ArrayToState,
    MersenneDraw,
    StateToArray,
    array_draw,
    array_of_state,
    state_of_array,
)
from jitgraph.reference import evaluate
from jitgraph.tensor import raw_random
from jitgraph.tensor.shared_randomstreams import RandomStreams

STATE = T.TensorType("uint32", (False,))


def used_state(seed: int) -> RandomState:
    """A state at some place between two twists, every second with a normal that waits."""
    state = RandomState(seed)
    state.randint(3, size=seed * 37 % 700)
    if seed % 2:
        state.standard_normal()
    return state


@cache
def compiled(distribution: str, ndim: int, *dtypes: str) -> Callable[..., Any]:
    """(state array, size, *parameters) -> (state array, draw) in C; `d0` is a 0-d float64."""
    state, size = STATE("state"), T.lvector("size")
    parameters = [T.TensorType(d[:-1], (False,) * int(d[-1]))() for d in dtypes]
    draw = MersenneDraw(distribution, ndim)(state, size, *parameters)
    f = function([state, size, *parameters], draw)
    assert "jg_mt_draw" in f.c_source
    return f


def agree(
    distribution: str,
    seed: int,
    size: tuple[int, ...],
    oracle: Callable[[RandomState], Any],
    *parameters: Any,
) -> None:
    """The compiled draw is the oracle's bit for bit, and so is the state after it."""
    arrays = [np.asarray(p) for p in parameters]
    state = used_state(seed)
    before = array_of_state(state)
    expected = np.asarray(oracle(state))
    f = compiled(distribution, expected.ndim, *(f"{a.dtype.name}{a.ndim}" for a in arrays))
    after, value = f(before, np.array(size, dtype=np.int64), *arrays)
    assert value.shape == expected.shape and value.dtype == expected.dtype
    assert np.array_equal(value, expected), (seed, parameters)
    assert np.array_equal(after, array_of_state(state))
    assert np.array_equal(before, array_of_state(used_state(seed)))


SQRT_EPS = 2.0**-26  # what NumPy forgives in a sum of float64 probabilities
SEEDS = range(20)


def test_states_become_arrays_and_come_back() -> None:
    for seed in range(4):
        state = used_state(seed)
        array = array_of_state(state)
        assert array.shape == (628,) and array.dtype == "uint32"
        twin = state_of_array(array)
        assert random_state_type.values_eq(twin, state)
        assert twin.standard_normal(5).tolist() == state.standard_normal(5).tolist()
    v = random_state_type("v")
    assert random_state_type.values_eq(
        evaluate([ArrayToState()(StateToArray()(v))], {v: used_state(3)})[0], used_state(3)
    )
    with pytest.raises(ValueError, match="not MT19937"):
        array_of_state(RandomState(np.random.PCG64(1)))
    for wrong in (np.zeros(627, np.uint32), np.full(628, 625, np.uint32)):
        with pytest.raises(ValueError, match="array of 628 words"):
            state_of_array(wrong)


def test_the_oracle_tells_a_wrong_draw() -> None:
    with pytest.raises(AssertionError):
        agree("uniform", 1, (9,), lambda r: r.uniform(0, 1.0000001, 9), 0.0, 1.0)
    with pytest.raises(AssertionError):
        agree("uniform", 1, (9,), lambda r: (r.uniform(0, 1, 9), r.randint(2))[0], 0.0, 1.0)


@pytest.mark.parametrize("seed", SEEDS)
def test_uniform_and_normal(seed: int) -> None:
    rng = np.random.default_rng(seed)
    n = int(rng.integers(0, 2000))
    low, width, scale = rng.normal() * 10, abs(rng.normal()) * 10, abs(rng.normal()) * 10
    agree("uniform", seed, (n,), lambda r: r.uniform(0, 1, n), 0.0, 1.0)
    agree("uniform", seed, (n,), lambda r: r.uniform(low, low + width, n), low, low + width)
    agree("normal", seed, (n,), lambda r: r.normal(low, scale, n), low, scale)
    lows, scales = rng.normal(size=(3, 5)), abs(rng.normal(size=(3, 5)))
    agree("uniform", seed, (3, 5), lambda r: r.uniform(lows, 7.0), lows, 7.0)
    agree("normal", seed, (3, 5), lambda r: r.normal(lows, scales), lows, scales)


@pytest.mark.parametrize("seed", SEEDS)
def test_binomial(seed: int) -> None:
    """Both algorithms, on both sides of 1/2, and the ends."""
    rng = np.random.default_rng(seed)
    ps = [0.0, 1.0, 0.5, rng.random(), 1e-3 * rng.random(), 1 - 1e-4 * rng.random()]
    ns = [0, 1, *(int(rng.integers(1, top)) for top in (20, 300, 10**6, 10**12))]
    for n, p in itertools.product(ns, ps):
        agree("binomial", seed, (40,), lambda r, n=n, p=p: r.binomial(n, p, 40), n, p)
    many, p_many = rng.integers(0, 100, 200), rng.random(200)
    agree("binomial", seed, (200,), lambda r: r.binomial(many, p_many), many, p_many)
    agree("binomial", seed, (200,), lambda r: r.binomial(1, p_many), 1, p_many)


@pytest.mark.parametrize("seed", SEEDS)
def test_poisson(seed: int) -> None:
    rng = np.random.default_rng(seed)
    for lam in (0.0, rng.random(), 9.999, 10.0, 10 + 5 * rng.random(), 1e3 * rng.random(), 1e12):
        agree("poisson", seed, (60,), lambda r, lam=lam: r.poisson(lam, 60), lam)
    lams = rng.random(90) * 20
    agree("poisson", seed, (90,), lambda r: r.poisson(lams), lams)


@pytest.mark.parametrize("seed", SEEDS)
def test_integers(seed: int) -> None:
    rng = np.random.default_rng(seed)
    widths = [0, 1, 2, 255, 256, 2**32 - 2, 2**32 - 1, 2**32, 2**40, int(rng.integers(1, 2**61))]
    for width in widths:
        low = int(rng.integers(-(2**61), 2**61))
        high = low + width
        agree(
            "random_integers",
            seed,
            (50,),
            lambda r, low=low, high=high: r.randint(low, high + 1, 50, dtype=np.int64),
            low,
            high,
        )
    least, most = -(2**63), 2**63 - 1
    agree(
        "random_integers",
        seed,
        (50,),
        lambda r: r.randint(least, most + 1, 50, dtype=np.int64),
        np.int64(least),
        np.int64(most),
    )
    lows = rng.integers(-9, 9, 30)
    agree("random_integers", seed, (30,), lambda r: r.randint(lows, 12, dtype=np.int64), lows, 11)


@pytest.mark.parametrize("seed", SEEDS)
def test_choice_permutation_multinomial(seed: int) -> None:
    rng = np.random.default_rng(seed)
    for entries in (1, 2, 7, 150):
        p = rng.random(entries)
        p[seed % entries] = 0 if entries > 2 else p[seed % entries]
        p /= p.sum()
        agree("choice", seed, (70,), lambda r, p=p: r.choice(len(p), 70, p=p), p, SQRT_EPS)
        positive = np.count_nonzero(p)
        for k in {0, 1, positive // 2, positive}:  # the last ones take rounds of draws
            agree(
                "choice without replacement",
                seed,
                (k,),
                lambda r, p=p, k=k: r.choice(len(p), k, False, p),
                p,
                SQRT_EPS,
            )
    for n in (0, 1, 2, 33):
        agree(
            "permutation",
            seed,
            (3,),
            lambda r, n=n: np.array([r.permutation(n) for _ in range(3)], int).reshape(3, n),
            n,
        )
    for outcomes in (1, 2, 8, 9, 200):
        pvals = rng.random(outcomes) + 1e-3
        pvals /= pvals.sum() * (1 + 1e-9)
        for n in (0, 1, 40, 5000):
            agree(
                "multinomial",
                seed,
                (4,),
                lambda r, n=n, p=pvals: r.multinomial(n, p, 4),
                n,
                pvals,
            )


def test_multinomial_scales_its_rows_as_the_streams_do() -> None:
    """Sums a little above 1, a last probability below 5e-5, a row and a count of its own each."""
    op = RandomFunction("multinomial", ("int64", (False, False)))
    rng = np.random.default_rng(2)
    for outcomes in (2, 5, 9, 140):
        rows = rng.random((6, outcomes)) + 1e-3
        rows /= rows.sum(1, keepdims=True)
        rows[1] *= 1 + 4e-6
        rows[2, -1] = 1e-5
        rows[2, :-1] *= 0.9
        rows[3] *= 0.5
        trials = np.array([5, 0, 100, 40, 1, 7])
        agree(
            "multinomial",
            3,
            (6,),
            lambda r, n=trials, p=rows: op.draw_in_place(r, np.array([6]), n, p),
            trials,
            rows,
        )


@pytest.mark.parametrize(
    ("distribution", "parameters", "message"),
    [
        ("uniform", (0.0, np.inf), "high - low must be finite"),
        ("uniform", (np.zeros(3), np.array([1.0, np.nan, 1.0])), "high - low must be finite"),
        ("normal", (0.0, -1.5), "std must not be negative"),
        ("normal", (0.0, np.nan), "std must not be negative"),
        ("binomial", (3, 1.5), r"p must lie in \[0, 1\]"),
        ("binomial", (3, np.nan), r"p must lie in \[0, 1\]"),
        ("binomial", (-3, 0.5), "n must not be negative"),
        ("poisson", (-1.0,), "lam must not be negative"),
        ("poisson", (1e300,), "lam"),
        ("random_integers", (3, 2), "high must not be below low"),
        ("choice", (np.array([0.5, 0.4]), SQRT_EPS), "sum to 1"),
        ("choice", (np.array([0.5, 0.5 + 3e-8]), SQRT_EPS), "sum to 1"),
        ("choice", (np.array([1.5, -0.5]), SQRT_EPS), "p"),
        ("choice", (np.zeros(0), SQRT_EPS), "p|positive"),
        ("choice without replacement", (np.array([0.5, 0.3, 0.1]), SQRT_EPS), "sum to 1"),
        ("choice without replacement", (np.array([0.5, 0.0, 0.5]), SQRT_EPS), "above 0|non-zero"),
        ("choice without replacement", (np.array([0.5, 0.5]), SQRT_EPS), "above 0|larger"),
        ("multinomial", (3, np.array([0.7, 0.7])), "pvals"),
        ("multinomial", (3, np.array([-0.5, 1.0])), "pvals"),
        ("multinomial", (-3, np.array([0.5, 0.5])), "n must not be negative"),
    ],
)
def test_refused_when_run(distribution: str, parameters: Any, message: str) -> None:
    arrays = [np.asarray(p) for p in parameters]
    ndim = 2 if distribution == "multinomial" else 1
    f = compiled(distribution, ndim, *(f"{a.dtype.name}{a.ndim}" for a in arrays))
    state, size = array_of_state(RandomState(5)), np.array([3])
    with pytest.raises(ValueError, match=f"{distribution.split()[0]}: .*({message})"):
        f(state, size, *arrays)
    with pytest.raises(ValueError, match=message):
        MersenneDraw(distribution, ndim).evaluate(state, size, *arrays)


def test_a_state_of_another_length_is_refused() -> None:
    f = compiled("uniform", 1, "float640", "float640")
    for wrong in (np.zeros(627, np.uint32), np.full(628, 2**31, np.uint32)):
        with pytest.raises(ValueError, match="uniform: "):
            f(wrong, np.array([3]), np.float64(0), np.float64(1))


# -- from RandomFunction -----------------------------------------------------------------------

matrix, vector, ints, scalar = T.dmatrix("m"), T.dvector("v"), T.lvector("n"), T.dscalar("s")
single = T.fvector("f")
VALUES: dict[Any, Any] = {
    matrix: np.array([[0.25, 0.5, 1.0], [0.1, 0.2, 0.3]]),
    vector: np.array([0.25, 0.5, 0.25]),
    ints: np.array([3, 5, 70]),
    scalar: np.array(0.25),
    single: np.float32([0.3, 0.3, 0.4 + 1e-5]),  # a sum that is 1 for float32 only
}


def builders() -> list[Callable[[Any], Any]]:
    return [
        lambda s: raw_random.uniform(s, (2, 3)),
        lambda s: raw_random.uniform(s, ()),
        lambda s: raw_random.uniform(s, (0,)),
        lambda s: raw_random.uniform(s, None, vector, matrix),
        lambda s: raw_random.uniform(s, matrix.shape, 1, 2, dtype="float32"),
        lambda s: raw_random.normal(s, (2, 3), vector, scalar),
        lambda s: raw_random.normal(s, (1, 3)),
        lambda s: raw_random.binomial(s, None, ints, vector),
        lambda s: raw_random.binomial(s, (4, 3), 1, vector, dtype="float64"),
        lambda s: raw_random.poisson(s, (2, 3), matrix * 40),
        lambda s: raw_random.random_integers(s, (4, 3), ints - 4, ints),
        lambda s: raw_random.choice(s, (5,), 4),
        lambda s: raw_random.choice(s, (2, 5), matrix[0], dtype="float64"),
        lambda s: raw_random.choice(s, (5,), 3, p=vector),
        lambda s: raw_random.choice(s, (5,), ints, p=vector),
        lambda s: raw_random.choice(s, (2,), ints, replace=False),
        lambda s: raw_random.choice(s, (3,), 3, replace=False, p=vector),
        lambda s: raw_random.choice(s, (1, 2), ints, replace=False, p=vector, dtype="float64"),
        lambda s: raw_random.choice(s, (0,), 3, replace=False, p=vector),
        lambda s: raw_random.choice(s, (9,), 3, p=single),
        lambda s: raw_random.choice(s, (2,), 3, replace=False, p=single),
        lambda s: raw_random.permutation(s, (2,), 5),
        lambda s: raw_random.permutation(s, None, ints[0]),
        lambda s: raw_random.multinomial(s, (2,), 9, vector),
        lambda s: raw_random.multinomial(s, None, ints, vector),
        lambda s: raw_random.multinomial(s, None, 9, matrix / 2),
    ]


@pytest.mark.parametrize("number", range(len(builders())))
def test_every_form_of_a_draw(number: int) -> None:
    """The array form in C against the draw on the RandomState, types included."""
    before = used_state(number)
    new_state, drawn = builders()[number](jitgraph.shared(before))
    node = drawn.owner
    array = STATE("state")
    found = array_draw(node.op, array, *node.inputs[1:])
    assert found is not None
    after, sample = found
    assert sample.type == drawn.type and after.type == array.type
    used = {k: v for k, v in VALUES.items() if k in set(leaves([sample]))}
    f = function([array, *used], [after, sample], on_unused_input="ignore")
    end, value = f(array_of_state(before), *used.values())
    expected_end, expected = evaluate([new_state, drawn], VALUES)
    assert value.dtype == expected.dtype and np.array_equal(value, expected)
    assert random_state_type.values_eq(state_of_array(end), expected_end)


def leaves(outputs: list[Variable]) -> list[Variable]:
    from jitgraph.graph import leaves as leaves_of

    return leaves_of(outputs)


def test_draws_without_an_array_form() -> None:
    state = jitgraph.shared(RandomState(1))
    single = T.fmatrix("f")
    for build in (
        lambda s: raw_random.choice(s, (2,), 3, replace=T.bscalar("replace")),
        lambda s: raw_random.binomial(s, (2,), scalar, 0.5),
        lambda s: raw_random.multinomial(s, None, 3, single),
        lambda s: RandomFunction("exponential", T.dvector)(s, (2,), 1.0),
    ):
        node = build(state)[1].owner
        assert array_draw(node.op, STATE("a"), *node.inputs[1:]) is None


def test_the_op_is_a_value_and_has_no_gradient() -> None:
    op = MersenneDraw("normal", 2)
    assert from_token(op.token()) == op and op != MersenneDraw("normal", 1)
    assert str(op) == "MersenneDraw{normal}"
    node = op(STATE("s"), (2, 3), vector[0], scalar)[1].owner
    assert node.op.grad(node.inputs, node.outputs, [])[:2] == [DISCONNECTED, DISCONNECTED]
    with pytest.raises(NullTypeGradError, match="draw from normal"):
        T.grad(node.outputs[1].sum(), scalar)
    with pytest.raises(TypeError, match="draws with parameters of"):
        op(STATE("s"), (2, 3), ints[0], scalar)
    with pytest.raises(TypeError, match="uint32 vector"):
        op(vector, (2, 3), scalar, scalar)
    with pytest.raises(TypeError, match="holds a RandomState"):
        StateToArray()(vector)
    with pytest.raises(ValueError, match="no draw from an array"):
        MersenneDraw("exponential", 1)


def test_draws_inside_loops_are_numpys() -> None:
    streams = RandomStreams(234)

    def step(x: Any) -> Any:
        return x + streams.normal((3,)) * streams.binomial((3,), 1, 0.5)

    values, updates = jitgraph.scan(step, outputs_info=[T.zeros(3)], n_steps=4)
    f = function([], values, updates=updates)
    normals, masks = RandomState(133003720), RandomState(999614367)
    for _ in range(2):
        x, expected = np.zeros(3), []
        for _ in range(4):
            x = x + normals.normal(size=3) * masks.binomial(1, 0.5, 3)
            expected.append(x)
        assert np.array_equal(f(), np.array(expected))
    assert random_state_type.values_eq(streams.state_updates[0][0].get_value(), normals)


# -- the streams -------------------------------------------------------------------------------


def test_large_draws_are_those_of_numpy() -> None:
    """Above the size from which results lie in pooled memory."""
    for state in (RandomState(5), used_state(7)):
        twin = state_of_array(array_of_state(state))
        op = RandomFunction("uniform", ("float64", (False, False)))
        drawn = op.draw_in_place(state, np.array([500, 401]), np.asarray(0.0), np.asarray(1))
        assert np.array_equal(drawn, twin.uniform(size=(500, 401)))
        assert random_state_type.values_eq(state, twin)


def test_spawned_streams_differ_and_are_reproducible() -> None:
    def numbers(parent: RandomStreams) -> list[bytes]:
        children = parent.spawn(3)
        every = [parent, *children, *children[0].spawn(2), *parent.spawn(1)]
        return [function([], s.uniform((5,)))().tobytes() for s in every]

    for seed in (7, [1, 2, 3]):
        assert numbers(RandomStreams(seed)) == numbers(RandomStreams(seed))
        assert len(set(numbers(RandomStreams(seed)))) == 7
    assert len(set(numbers(RandomStreams()))) == 7
    for wrong in (-1, 1.5, True):
        with pytest.raises(ValueError, match=r"spawn: n must be .*test_mersenne_arrays\.py"):
            RandomStreams(1).spawn(wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize("seed", [-1, 2**32, "abc", 1.5, [-1]])
def test_refused_seeds_name_the_line(seed: Any) -> None:
    with pytest.raises((TypeError, ValueError), match=r"seed: .*test_mersenne_arrays\.py"):
        RandomStreams(seed)
    streams = RandomStreams(5)
    draw = streams.uniform((2,))
    before = draw.rng.get_value()
    with pytest.raises((TypeError, ValueError), match="seed: "):
        streams.seed(seed)
    assert random_state_type.values_eq(draw.rng.get_value(), before)
