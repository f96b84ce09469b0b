"""Random draws: NumPy's RandomState is the oracle of every number, and the tutorial's figures."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.random import RandomState

import jitgraph.tensor as T
from jitgraph import function
from jitgraph.config import change_flags
from jitgraph.errors import AsTensorError, NullTypeGradError
from jitgraph.graph import TensorType
from jitgraph.op import DISCONNECTED, Undefined, from_token
from jitgraph.ops.random import DISTRIBUTIONS, RandomFunction, copy_state, random_state_type
from jitgraph.reference import evaluate
from jitgraph.tensor import raw_random
from jitgraph.tensor.shared_randomstreams import RandomStateSharedVariable, RandomStreams

# The first state of RandomStreams(234), by the scheme of seeds.
FIRST_SEED = 133003720


def same_state(a: RandomState, b: RandomState) -> bool:
    return random_state_type.values_eq(a, b)


def drawn(
    build: Callable[[Any], tuple[Any, Any]], values: dict[Any, Any] | None = None, seed: int = 5
) -> tuple[np.ndarray, RandomState]:
    """The draw of `build(state)` and the state after it; the state before must not change."""
    before = RandomState(seed)
    state = T.shared(before, borrow=True)
    new_state, draw = build(state)
    after, value = evaluate([new_state, draw], values or {})
    assert after is not before and same_state(before, RandomState(seed))
    assert value.dtype == draw.dtype and value.ndim == draw.ndim
    assert all(n == 1 for n, b in zip(value.shape, draw.broadcastable, strict=True) if b)
    return value, after


def agree(
    build: Callable[[Any], tuple[Any, Any]],
    oracle: Callable[[RandomState], Any],
    values: dict[Any, Any] | None = None,
) -> None:
    """The draw equals NumPy's bit for bit, and so does the state after it."""
    value, after = drawn(build, values)
    state = RandomState(5)
    expected = np.asarray(oracle(state))
    assert value.shape == expected.shape
    assert (value == expected.astype(value.dtype)).all()
    assert same_state(after, state)


def test_the_oracle_tells_a_wrong_draw_and_a_wrong_state() -> None:
    with pytest.raises(AssertionError):
        agree(lambda s: raw_random.uniform(s, (3,)), lambda r: r.uniform(0, 1.0000001, 3))
    with pytest.raises(AssertionError):
        agree(
            lambda s: raw_random.uniform(s, (3,)), lambda r: (r.uniform(0, 1, 3), r.randint(2))[0]
        )


# -- the streams: seeds, attributes, states ------------------------------------------------------


@pytest.mark.parametrize(
    ("seed", "seeds"),
    [(123, [843828734]), (987, [669882291]), (234, [133003720, 999614367, 18391364])],
)
def test_seeds_of_the_streams(seed: int, seeds: list[int]) -> None:
    streams = RandomStreams(seed)
    for expected in seeds:
        rng = streams.uniform((1,)).rng
        assert same_state(rng.get_value(), RandomState(expected))


def test_attributes_of_a_draw() -> None:
    streams = RandomStreams(seed=234)
    u, n = streams.uniform((2, 2)), streams.normal((2, 2))
    for rv in (u, n):
        assert rv.rng.tag.is_rng is True
        assert rv.update == (rv.rng, rv.rng.default_update)
        assert rv.owner.outputs[1] is rv and rv.owner.outputs[0] is rv.update[1]
    assert streams.state_updates == [u.update, n.update] == streams.updates()
    assert streams.updates() is not streams.state_updates
    assert isinstance(u.rng, RandomStateSharedVariable) and str(u.rng.type) == "RandomStateType"
    assert str(u.owner.op) == "RandomFunction{uniform}"


@pytest.mark.parametrize(
    ("method", "arguments", "expected"),
    [
        ("uniform", ((2,),), [0.12672381, 0.97091597]),
        ("normal", ((2,),), [-0.26708242, -1.99332322]),
        ("binomial", ((5,),), [0, 1, 0, 1, 0]),
        ("random_integers", ((5,), 0, 3), [0, 2, 1, 0, 3]),
        ("integers", ((5,), 0, 3), [0, 2, 1, 0, 3]),
        ("choice", ((5,),), [0, 0, 1, 0, 1]),
        ("poisson", ((3,), 2.0), [0, 2, 2]),
        ("permutation", ((2,), 3), [[1, 2, 0], [2, 0, 1]]),
        ("multinomial", ((2,), 3, [0.2, 0.8]), [[0, 3], [2, 1]]),
    ],
)
def test_first_draws_of_seed_234(method: str, arguments: Any, expected: Any) -> None:
    rv = getattr(RandomStreams(234), method)(*arguments)
    (value,) = evaluate([rv], {})
    # Printed with 8 digits: half a unit of the last one.
    np.testing.assert_allclose(value, expected, rtol=0, atol=0.5e-8 * (value.dtype.kind == "f"))
    assert value.dtype == ("float64" if method in ("uniform", "normal") else "int64")


def test_seed_of_the_streams_and_of_one() -> None:
    streams = RandomStreams(234)
    u, n = streams.uniform((2, 2)), streams.normal((2, 2))
    streams.seed(902340)
    assert same_state(u.rng.get_value(), RandomState(587227042))
    assert same_state(n.rng.get_value(), RandomState(227239711))
    streams.seed()
    assert same_state(u.rng.get_value(), RandomState(FIRST_SEED))
    # Streams made later go on in the old order.
    assert same_state(streams.uniform((1,)).rng.get_value(), RandomState(18391364))
    v = u.rng.get_value(borrow=True)
    v.seed(89234)
    u.rng.set_value(v, borrow=True)
    (value,) = evaluate([u], {})
    assert (value == RandomState(89234).uniform(size=(2, 2))).all()
    assert value[0, 0] == pytest.approx(0.28439105, abs=0.5e-8)


def test_get_and_set_of_states() -> None:
    streams = RandomStreams(1)
    rng = streams.uniform((1,)).rng
    copied = rng.get_value()
    copied.random_sample()
    assert not same_state(copied, rng.get_value())
    assert streams[rng] is rng.get_value(borrow=True)
    streams[rng] = copied
    assert rng.get_value(borrow=True) is copied
    rng.set_value(copied)
    assert rng.get_value(borrow=True) is not copied and same_state(rng.get_value(), copied)
    assert rng.clone().container is rng.container
    for wrong in (np.random.default_rng(1), 3, None):
        with pytest.raises(TypeError, match=r"numpy\.random\.RandomState is needed"):
            rng.set_value(wrong)
    with pytest.raises(TypeError, match="cannot be indexed"):
        rng[0]


def test_sharing_a_state() -> None:
    state = RandomState(1)
    assert T.shared(state, borrow=True).get_value(borrow=True) is state
    copied = T.shared(state, name="r")
    assert copied.name == "r" and same_state(copied.get_value(), state)
    assert copied.get_value(borrow=True) is not state
    with pytest.raises(TypeError, match="No suitable SharedVariable constructor"):
        T.shared(state, broadcastable=(True,))


def test_copies_of_states_are_independent_and_continue_alike() -> None:
    for state in (RandomState(3), RandomState(np.random.PCG64(3))):
        state.standard_normal()  # half of a pair stays in the state
        twin = copy_state(state)
        assert type(twin) is RandomState and same_state(twin, state)
        assert twin.standard_normal(5).tolist() == state.standard_normal(5).tolist()
        twin.random_sample()
        assert not same_state(twin, state)
    assert not same_state(RandomState(3), RandomState(np.random.PCG64(3)))


def test_a_state_shared_by_a_half_used_pair() -> None:
    # The unused half of a pair of normals belongs to the state.
    value, after = drawn(lambda s: raw_random.normal(s, (3,)))
    state = RandomState(5)
    assert value.tolist() == state.normal(size=3).tolist()
    assert after.normal() == state.normal()


# -- every distribution against NumPy ------------------------------------------------------------

matrix, vector, scalar = T.dmatrix("m"), T.dvector("v"), T.dscalar("s")
ints = T.lvector("n")


@pytest.mark.parametrize("size", [(), (0,), (1,), (7,), (2, 3), (1, 2, 3)])
def test_sizes(size: tuple[int, ...]) -> None:
    agree(lambda s: raw_random.uniform(s, size), lambda r: r.uniform(size=size))
    agree(lambda s: raw_random.normal(s, size, 2.0, 0.5), lambda r: r.normal(2.0, 0.5, size))
    agree(lambda s: raw_random.binomial(s, size, 9, 0.3), lambda r: r.binomial(9, 0.3, size))
    agree(lambda s: raw_random.poisson(s, size, 3.5), lambda r: r.poisson(3.5, size))
    agree(lambda s: raw_random.choice(s, size, 9), lambda r: r.choice(9, size))
    agree(lambda s: raw_random.random_integers(s, size, -4, 9), lambda r: r.randint(-4, 10, size))
    agree(
        lambda s: raw_random.permutation(s, size, 4),
        lambda r: np.array([r.permutation(4) for _ in np.ndindex(*size)], int).reshape(*size, 4),
    )
    agree(
        lambda s: raw_random.multinomial(s, size, 5, [0.2, 0.3, 0.5]),
        lambda r: np.array(
            [r.multinomial(5, [0.2, 0.3, 0.5]) for _ in np.ndindex(*size)], int
        ).reshape(*size, 3),
    )


M, V, S = np.array([[0.25, 0.5, 1.0], [2.0, 4.0, 8.0]]), np.array([0.5, 1.0, 2.0]), np.array(0.25)
PARAMETERS: dict[Any, Any] = {matrix: M, vector: V, scalar: S, ints: np.array([3, 5, 7])}


@pytest.mark.parametrize("size", [None, (2, 3), (-1, -1), (2, -1)])
def test_parameters_are_tensors_and_stretch(size: Any) -> None:
    agree(
        lambda s: raw_random.uniform(s, size, vector, matrix), lambda r: r.uniform(V, M), PARAMETERS
    )
    agree(
        lambda s: raw_random.normal(s, size, scalar, matrix), lambda r: r.normal(S, M), PARAMETERS
    )
    agree(lambda s: raw_random.poisson(s, size, matrix), lambda r: r.poisson(M), PARAMETERS)
    agree(
        lambda s: raw_random.binomial(s, size, ints, matrix / 8),
        lambda r: r.binomial([3, 5, 7], M / 8),
        PARAMETERS,
    )
    agree(
        lambda s: raw_random.random_integers(s, size, T.cast(matrix, "int64"), ints + 8),
        lambda r: np.array(
            [
                [r.randint(int(lo), hi + 9) for lo, hi in zip(row, (3, 5, 7), strict=True)]
                for row in M
            ]
        ),
        PARAMETERS,
    )


def test_parameters_without_elements() -> None:
    none, values = np.zeros(0), {vector: np.zeros(0), matrix: np.zeros((0, 3))}
    agree(lambda s: raw_random.uniform(s, None, vector), lambda r: r.uniform(none), values)
    agree(
        lambda s: raw_random.random_integers(s, None, T.cast(vector, "int8"), 2),
        lambda r: none,
        values,
    )
    agree(lambda s: raw_random.multinomial(s, None, 2, matrix), lambda r: np.zeros((0, 3)), values)


def test_sizes_with_symbols() -> None:
    n, shape = T.iscalar("n"), T.ivector("shape")
    values: dict[Any, Any] = {n: np.int32(4), shape: np.array([2, 3], "int32"), matrix: M}
    agree(lambda s: raw_random.uniform(s, (n, 2)), lambda r: r.uniform(size=(4, 2)), values)
    agree(lambda s: raw_random.uniform(s, [n]), lambda r: r.uniform(size=4), values)
    agree(lambda s: raw_random.uniform(s, shape, ndim=2), lambda r: r.uniform(size=(2, 3)), values)
    agree(lambda s: raw_random.uniform(s, matrix.shape), lambda r: r.uniform(size=(2, 3)), values)
    agree(lambda s: raw_random.uniform(s, np.array([2, 3])), lambda r: r.uniform(size=(2, 3)))
    agree(
        lambda s: raw_random.uniform(s, (np.int64(2), n)), lambda r: r.uniform(size=(2, 4)), values
    )
    with pytest.raises(ValueError, match=r"size \(2, 3\) has not the declared length 1"):
        drawn(lambda s: raw_random.uniform(s, shape, ndim=1), values)


def test_marks_of_length_one() -> None:
    state = T.shared(RandomState(1))
    row = T.drow("row")
    n = T.iscalar("n")
    for size, ndim, expected in [
        ((1, 3), None, (True, False)),
        ((-1, -1), None, (True, False)),
        ((n, 1), None, (False, True)),
        (T.ivector("k"), 2, (False, False)),
        (None, None, (True, False)),
    ]:
        assert raw_random.uniform(state, size, row, ndim=ndim)[1].broadcastable == expected
    assert raw_random.binomial(state, (1, 3))[1].broadcastable == (False, False)
    assert raw_random.permutation(state, (1,), 1)[1].broadcastable == (True, False)
    assert raw_random.multinomial(state, (1,), 1, T.dcol("p"))[1].broadcastable == (True, True)


def test_dtypes() -> None:
    state = T.shared(RandomState(1))
    single = T.fscalar("f")
    assert raw_random.uniform(state, (2,), single)[1].dtype == "float64"
    with change_flags(floatX="float32"):
        assert raw_random.uniform(state, (2,), single)[1].dtype == "float32"
        assert raw_random.normal(state, (2,), single, 2)[1].dtype == "float32"
        assert raw_random.uniform(state, (2,), T.dscalar())[1].dtype == "float64"
        assert raw_random.binomial(state, (2,), dtype="floatX")[1].dtype == "float32"
    assert raw_random.poisson(state, (2,))[1].dtype == "int64"
    agree(lambda s: raw_random.uniform(s, (9,), dtype="float32"), lambda r: r.uniform(size=9))
    agree(lambda s: raw_random.binomial(s, (9,), 5, dtype="int8"), lambda r: r.binomial(5, 0.5, 9))
    agree(lambda s: raw_random.uniform(s, (9,), 0, 5, dtype="int32"), lambda r: r.uniform(0, 5, 9))


@pytest.mark.parametrize(
    ("low", "high"),
    [
        (0, 0),
        (-5, 9),
        (0, 2**32 - 1),
        (0, 2**32),
        (-(2**40), 2**40),
        (-(2**63), 2**63 - 1),
        (2**63 - 3, 2**63 - 1),
    ],
)
def test_random_integers_are_one_bounded_integer_each(low: int, high: int) -> None:
    def one_by_one(state: RandomState) -> list[int]:
        return [state.randint(low, high + 1, dtype=np.int64) for _ in range(6)]

    agree(lambda s: raw_random.random_integers(s, (6,), low, high), one_by_one)
    lows = np.full(6, low)
    agree(lambda s: raw_random.random_integers(s, None, lows, np.int64(high)), one_by_one)


def test_choice() -> None:
    pool, p = np.array([2.5, 3.5, 4.5]), np.array([0.2, 0.3, 0.5])
    replace = T.bscalar("replace")
    agree(
        lambda s: raw_random.choice(s, (4,), pool, True, p, dtype="float64"),
        lambda r: r.choice(pool, 4, True, p),
    )
    agree(lambda s: raw_random.choice(s, (3,), 5, replace=False), lambda r: r.choice(5, 3, False))
    agree(
        lambda s: raw_random.choice(s, (3,), 5, replace=replace),
        lambda r: r.choice(5, 3, False),
        {replace: np.int8(0)},
    )
    agree(lambda s: raw_random.choice(s), lambda r: r.choice(2))


def test_permutation_of_a_symbolic_length() -> None:
    n = T.iscalar("n")
    agree(lambda s: raw_random.permutation(s, n=n), lambda r: r.permutation(6), {n: np.int32(6)})
    agree(lambda s: raw_random.permutation(s, (), 0), lambda r: r.permutation(0))
    state = T.shared(RandomState(1))
    with pytest.raises(TypeError, match="ndim=2"):
        raw_random.permutation(state, n=3, ndim=2)
    with pytest.raises(TypeError, match="integer scalar"):
        raw_random.permutation(state, n=T.lvector("n"))


def test_multinomial_of_a_batch() -> None:
    probabilities = T.dtensor3("p")
    P = np.array([[[0.1, 0.9], [0.4, 0.6], [0.5, 0.5]]])  # 1 × 3 × 2
    n = np.array([4, 5, 6])

    def oracle(state: RandomState, repeats: int) -> np.ndarray:
        rows = [[state.multinomial(n[j], P[0, j]) for j in range(3)] for _ in range(repeats)]
        return np.array(rows)

    values = {probabilities: P}
    agree(
        lambda s: raw_random.multinomial(s, None, n, probabilities), lambda r: oracle(r, 1), values
    )
    agree(
        lambda s: raw_random.multinomial(s, (1, -1), n, probabilities),
        lambda r: oracle(r, 1),
        values,
    )
    agree(
        lambda s: raw_random.multinomial(s, (2, -1), n, probabilities),
        lambda r: oracle(r, 2),
        values,
    )


def test_multinomial_scales_probabilities_as_theano_does() -> None:
    scale = 1 - 5e-5
    over = [0.5, 0.500001]
    agree(
        lambda s: raw_random.multinomial(s, (50,), 1000, over),
        lambda r: [r.multinomial(1000, np.array(over) * scale) for _ in range(50)],
    )
    agree(
        lambda s: raw_random.multinomial(s, (50,), 1000, [1, 0]),
        lambda r: [r.multinomial(1000, [scale, 0.0]) for _ in range(50)],
    )


def test_shuffle_row_elements() -> None:
    for x, value in [
        (T.dvector("x"), np.arange(5.0)),
        (T.dmatrix("x"), np.arange(12.0).reshape(3, 4)),
        (T.tensor3("x"), np.arange(24.0).reshape(2, 3, 4)),
    ]:
        rv = RandomStreams(234).shuffle_row_elements(x)
        result, order = evaluate([rv, rv.permutation], {x: value})
        state = RandomState(FIRST_SEED)
        expected = np.array(
            [state.permutation(value.shape[-1]) for _ in np.ndindex(value.shape[:-1])]
        )
        assert (order == expected.reshape(value.shape)).all()
        assert (result == np.take_along_axis(value, order, axis=-1)).all()
    with pytest.raises(ValueError, match="needs an axis"):
        RandomStreams(1).shuffle_row_elements(1.0)


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("beta", (2.0, 3.0)),
        ("exponential", (2.0,)),
        ("gamma", (2.0, 3.0)),
        ("geometric", (0.3,)),
        ("hypergeometric", (5, 6, 7)),
        ("laplace", (0.0, 2.0)),
        ("standard_normal", ()),
        ("triangular", (0.0, 1.0, 3.0)),
        ("zipf", (2.5,)),
    ],
)
def test_other_methods_of_random_state(name: str, parameters: tuple[Any, ...]) -> None:
    op = raw_random.RandomFunction(name, TensorType("float64", (False, False)))
    agree(lambda s: op(s, (2, 3), *parameters), lambda r: getattr(r, name)(*parameters, (2, 3)))


def test_all_named_methods_exist() -> None:
    assert all(hasattr(RandomState, name) for name in DISTRIBUTIONS)


def test_gen_with_an_op_of_the_program() -> None:
    streams = RandomStreams(234)
    op = RandomFunction(RandomState.rayleigh, T.dvector, inplace=False, ndim_added=0)
    rv = streams.gen(op, (3,), 2.0)
    assert streams.state_updates == [rv.update]
    (value,) = evaluate([rv], {})
    assert value.tolist() == RandomState(FIRST_SEED).rayleigh(2.0, 3).tolist()


# -- refusals ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda s: raw_random.uniform(s, 3), TypeError, "size must be a tuple"),
        (lambda s: raw_random.uniform(s, np.int64(3)), TypeError, "size must be a tuple"),
        (lambda s: raw_random.uniform(s, T.iscalar("n")), TypeError, "got n int32"),
        (lambda s: raw_random.uniform(s, (2.0,)), TypeError, "size must hold integers"),
        (lambda s: raw_random.uniform(s, (True,)), TypeError, "size must hold integers"),
        (lambda s: raw_random.uniform(s, (T.dscalar("d"),)), TypeError, "integer scalar"),
        (lambda s: raw_random.uniform(s, T.dvector("d"), ndim=2), TypeError, "integers"),
        (lambda s: raw_random.uniform(s, (2, 3), ndim=1), ValueError, "ndim=1, but the size has 2"),
        (lambda s: raw_random.uniform(s, T.ivector("k")), ValueError, "not known"),
        (lambda s: raw_random.uniform(s, (2,), matrix), ValueError, "parameters have 2 axes"),
        (lambda s: raw_random.uniform(s, (-2,)), ValueError, "negative length -2"),
        (lambda s: raw_random.uniform(s, (-1, 2), vector), ValueError, "none has this axis"),
        (lambda s: raw_random.uniform(s, (2,), None), AsTensorError, "None"),
        (lambda s: raw_random.poisson(s, (2,), None), AsTensorError, "None"),
        (lambda s: raw_random.uniform(s, (2,), dtype="float16"), TypeError, "float16"),
        (lambda s: raw_random.choice(s, (2,), matrix), ValueError, "a must be a vector"),
        (lambda s: raw_random.choice(s, (2,), 3, p=0.5), ValueError, "p must be a vector"),
        (lambda s: raw_random.multinomial(s, (2,), 3, 0.5), ValueError, "pvals needs an axis"),
        (lambda s: raw_random.uniform(RandomState(1), (2,)), TypeError, "holds a RandomState"),
        (lambda s: raw_random.uniform(T.scalar("x"), (2,)), TypeError, "holds a RandomState"),
        (
            lambda s: RandomFunction("uniform", T.dvector)(s, (2,), 1),
            TypeError,
            "takes 2 parameters",
        ),
        (lambda s: RandomFunction("magic", T.dvector), ValueError, "unknown distribution 'magic'"),
        (
            lambda s: RandomFunction("uniform", T.dvector, False, 1),
            ValueError,
            "adds 0 axes, not 1",
        ),
        (lambda s: RandomFunction("permutation", T.dscalar), ValueError, "at least 1 axes"),
    ],
)
def test_refused_while_building(call: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        call(T.shared(RandomState(1)))


@pytest.mark.parametrize(
    ("name", "parameters", "message"),
    [
        ("uniform", (0.0, np.inf), "high - low must be finite, got inf"),
        ("uniform", (np.nan, 1.0), "high - low must be finite, got nan"),
        ("uniform", ([0.0, -1e308], 1e308), "high - low must be finite, got inf"),
        ("normal", (0.0, -1.5), r"std must not be negative, got -1\.5"),
        ("normal", (0.0, np.nan), "std must not be negative, got nan"),
        ("normal", (0.0, [1.0, -2.0]), r"std must not be negative, got -2\.0"),
        ("binomial", (3, 1.5), r"p must lie in \[0, 1\], got 1\.5"),
        ("binomial", (3, -0.5), r"p must lie in \[0, 1\], got -0\.5"),
        ("binomial", (3, np.nan), r"p must lie in \[0, 1\], got nan"),
        ("binomial", (-3, 0.5), "n must not be negative, got -3"),
        ("binomial", (1.5, 0.5), r"n must hold integers, got 1\.5"),
        ("poisson", (-1.0,), r"lam must not be negative, got -1\.0"),
        ("poisson", (1e300,), "lam value too large"),
        ("random_integers", (3, 2), "high must not be below low"),
        ("random_integers", (0, np.uint64(2**63)), r"high must be below 2\*\*63"),
        ("choice", (0, True), "a must be positive, got 0"),
        ("choice", (2, True, [0.5, 0.4]), "sum to 1"),
        ("choice", (2, True, [1.5, -0.5]), r"p must lie in \[0, 1\]"),
        ("choice", (2, True, [1.0]), "same size"),
        ("choice", (1, False), "larger sample"),
        ("permutation", (-1,), "n must not be negative"),
        ("multinomial", (3, []), "pvals must hold at least one probability"),
        ("multinomial", (3, [0.7, 0.7]), "pvals must not add up to more than 1"),
        ("multinomial", (3, [-0.5, 1.0]), r"pvals must lie in \[0, 1\], got -0\.5"),
        ("multinomial", (-3, [0.5, 0.5]), "n must not be negative"),
        ("exponential", (-1.0,), "scale < 0"),
        (
            "uniform",
            ([1.0, 2.0, 3.0], 4.0),
            r"parameter of shape \(3,\) does not fit the size \(2,\)",
        ),
    ],
)
def test_refused_when_run_with_the_state_unmoved(name: str, parameters: Any, message: str) -> None:
    out = (False,) * (1 + DISTRIBUTIONS[name].added)
    op = RandomFunction(name, ("float64", out))
    size = np.array([2])
    arrays = [np.asarray(p) for p in parameters]
    state = RandomState(5)
    with pytest.raises(ValueError, match=f"{name}: .*{message}"):
        op.draw_in_place(state, size, *arrays)
    assert same_state(state, RandomState(5))
    with pytest.raises(ValueError, match=message):
        op.evaluate(state, size, *arrays)
    assert same_state(state, RandomState(5))


@pytest.mark.parametrize("method", ["uniform", "normal", "binomial", "poisson"])
@pytest.mark.parametrize("length", [2**61, 2**62])
def test_sizes_that_no_memory_has(method: str, length: int) -> None:
    """One kind of error, which names the distribution, the size and the line."""
    n, streams = T.lscalar("n"), RandomStreams(5)
    draw = getattr(streams, method)((n,), *([2.0] if method == "poisson" else []))
    f, before = function([n], draw), draw.rng.get_value()
    expected = rf"{method}: no room for a draw of the size \({length},\).*test_random_streams\.py"
    with pytest.raises(MemoryError, match=expected):
        f(length)
    assert same_state(draw.rng.get_value(), before) and f(2).shape == (2,)


def test_parameters_whose_rank_is_not_the_declared_one() -> None:
    op = RandomFunction("uniform", ("float64", (False, False)))
    with pytest.raises(ValueError, match="have 1 axes, but 2 were declared"):
        op.draw_in_place(RandomState(1), np.array([], "int64"), np.zeros(3), np.ones(3))
    with pytest.raises(ValueError, match="negative length"):
        op.draw_in_place(RandomState(1), np.array([2, -1]), np.zeros(()), np.ones(()))


def test_negative_zero_is_a_standard_deviation() -> None:
    agree(lambda s: raw_random.normal(s, (2,), 1.0, -0.0), lambda r: r.normal(1.0, 0.0, 2))


def test_prob_is_the_former_name_of_p() -> None:
    with pytest.warns(DeprecationWarning, match="renamed to p"):
        agree(lambda s: raw_random.binomial(s, (9,), 4, prob=0.9), lambda r: r.binomial(4, 0.9, 9))


# -- the op ----------------------------------------------------------------------


def test_draw_in_place_advances_the_state_itself() -> None:
    op = RandomFunction("normal", ("float64", (False,)))
    state, oracle = RandomState(5), RandomState(5)
    for _ in range(3):
        drawn_ = op.draw_in_place(state, np.array([3]), np.asarray(0.0), np.asarray(1.0))
        assert drawn_.tolist() == oracle.normal(size=3).tolist()
    assert same_state(state, oracle)


def test_the_op_is_a_value() -> None:
    one = RandomFunction("uniform", T.dmatrix)
    assert one == RandomFunction(RandomState.uniform, ("float64", [False, False]))
    assert one != RandomFunction("normal", T.dmatrix) and one != RandomFunction("uniform", T.drow)
    assert from_token(one.token()) == one
    assert not one.foldable and (one.dtype, one.ndim) == ("float64", 2)
    assert pickle.loads(pickle.dumps(one)) == copy.deepcopy(one) == one


def test_two_draws_are_two_applications() -> None:
    streams = RandomStreams(1)
    first, second = streams.uniform((2,)), streams.uniform((2,))
    assert first.owner.op == second.owner.op and first.owner.inputs[0] is not second.owner.inputs[0]
    value = evaluate([first + first - 2 * first, first - second], {})
    assert (value[0] == 0).all() and (value[1] != 0).all()


def test_gradients_are_undefined_and_say_why() -> None:
    state, mean = T.shared(RandomState(1)), T.dvector("mean")
    node = raw_random.normal(state, mean.shape, mean)[1].owner
    to_state, to_size, to_mean, to_std = node.op.grad(
        node.inputs, node.outputs, [DISCONNECTED, mean]
    )
    assert to_state is DISCONNECTED and to_size is DISCONNECTED
    for answer in (to_mean, to_std):
        assert isinstance(answer, Undefined) and "draw from normal" in answer.reason
    assert node.op.connection_pattern(node) == [[False, False]] * 2 + [[False, True]] * 2


@pytest.mark.parametrize(
    ("build", "expected"),
    [
        (lambda s: raw_random.uniform(s, (2, 3)), (2, 3)),
        (lambda s: raw_random.uniform(s, (T.shape(matrix)[0], 3)), (2, 3)),
        (lambda s: raw_random.uniform(s, T.shape(matrix)), (2, 3)),
        (lambda s: raw_random.uniform(s, None, matrix), (2, 3)),
        (lambda s: raw_random.uniform(s), ()),
        (lambda s: raw_random.permutation(s, (2,), 4), (2, 4)),
        (lambda s: raw_random.permutation(s, (2,), ints[0]), (2, 3)),
        (lambda s: raw_random.multinomial(s, (4,), 3, vector / 8), (4, 3)),
        (lambda s: raw_random.multinomial(s, None, 3, matrix / 100), (2, 3)),
        (lambda s: raw_random.multinomial(s, None, ints, vector / 8), (3, 3)),
    ],
)
def test_inferred_shapes(build: Any, expected: tuple[int, ...]) -> None:
    _, draw = build(T.shared(RandomState(1)))
    node = draw.owner
    shapes = [()] + [tuple(v.shape[i] for i in range(v.ndim)) for v in node.inputs[1:]]
    inferred = node.op.infer_shape(node, shapes)
    assert inferred[0] == ()
    lengths = [T.as_tensor_variable(n) for n in inferred[1]]
    assert tuple(int(v) for v in evaluate(lengths, PARAMETERS)) == expected
    assert evaluate([draw], PARAMETERS)[0].shape == expected


def test_a_shape_that_two_parameters_may_give_is_unknown() -> None:
    node = raw_random.uniform(T.shared(RandomState(1)), None, vector, vector + 1)[1].owner
    assert node.op.infer_shape(node, [(), (0,), (3,), (3,)]) is None


def test_the_type_of_states() -> None:
    assert random_state_type == type(random_state_type)()
    variable = random_state_type("rng")
    assert variable.name == "rng" and variable.type is random_state_type
    state = RandomState(4)
    assert random_state_type.filter(state) is state
    with pytest.raises(TypeError, match="not Generator"):
        random_state_type.filter(np.random.default_rng())
    new_state, draw = raw_random.uniform(variable, (2,))
    _, value = evaluate([new_state, draw], {variable: state})
    assert value.tolist() == RandomState(4).uniform(size=2).tolist()


# -- compiled functions: the figures of the tutorial ----------------------------------------------


def streams_234() -> tuple[Any, Any, Any]:
    streams = RandomStreams(seed=234)
    return streams, streams.uniform((2, 2)), streams.normal((2, 2))


def test_tutorial_numbers() -> None:
    _, rv_u, rv_n = streams_234()
    f = function([], rv_u)
    g = function([], rv_n, no_default_updates=True)
    nearly_zeros = function([], rv_u + rv_u - 2 * rv_u)
    half_a_digit = {"rtol": 0, "atol": 0.5e-8}
    first = [[0.12672381, 0.97091597], [0.13989098, 0.88754825]]
    second = [[0.31971415, 0.47584377], [0.24129163, 0.42046081]]
    always = [[0.37328447, -0.65746672], [-0.36302373, -0.97484625]]
    np.testing.assert_allclose(f(), first, **half_a_digit)
    np.testing.assert_allclose(f(), second, **half_a_digit)
    for _ in range(2):
        np.testing.assert_allclose(g(), always, **half_a_digit)
    assert (nearly_zeros() == 0).all()
    # f and nearly_zeros share the state of rv_u: the third draw is gone.
    oracle = RandomState(FIRST_SEED)
    assert (f() == [oracle.uniform(size=(2, 2)) for _ in range(4)][-1]).all()


def test_copying_the_states_of_one_graph_to_another() -> None:
    class Graph:
        def __init__(self, seed: int):
            self.rng = RandomStreams(seed)
            self.y = self.rng.uniform(size=(1,))

    one, two = Graph(seed=123), Graph(seed=987)
    f1, f2 = function([], one.y), function([], two.y)
    assert f1() == pytest.approx([0.72803009], abs=0.5e-8)
    assert f2() == pytest.approx([0.55056769], abs=0.5e-8)
    for (old, _), (new, _) in zip(one.rng.state_updates, two.rng.state_updates, strict=True):
        new.set_value(old.get_value())
    assert f1() == pytest.approx([0.59044123], abs=0.5e-8)
    assert f2() == pytest.approx([0.59044123], abs=0.5e-8)


def test_seeding_compiled_streams() -> None:
    streams, rv_u, rv_n = streams_234()
    f, g = function([], rv_u), function([], rv_n)
    v = rv_u.rng.get_value(borrow=True)
    v.seed(89234)
    rv_u.rng.set_value(v, borrow=True)
    expected = [[0.28439105, 0.50552141], [0.00215961, 0.98144963]]
    np.testing.assert_allclose(f(), expected, rtol=0, atol=0.5e-8)
    streams.seed(902340)
    assert (f() == RandomState(587227042).uniform(size=(2, 2))).all()
    assert (g() == RandomState(227239711).normal(size=(2, 2))).all()


def test_replay_from_a_saved_state() -> None:
    _, rv_u, _ = streams_234()
    f = function([], rv_u)
    nearly_zeros = function([], rv_u + rv_u - 2 * rv_u)
    f()
    state_after_v0 = rv_u.rng.get_value().get_state()
    nearly_zeros()  # advances the state of rv_u
    v1 = f()
    rng = rv_u.rng.get_value(borrow=True)
    rng.set_state(state_after_v0)
    rv_u.rng.set_value(rng, borrow=True)
    v2, v3 = f(), f()
    assert (v2 != v1).all() and (v3 == v1).all()


def test_explicit_updates_and_given_states() -> None:
    streams, rv_u, rv_n = streams_234()
    f = function([], [rv_u, rv_n], updates=streams.updates())
    oracles = [RandomState(133003720), RandomState(999614367)]
    for _ in range(3):
        u, n = f()
        assert (u == oracles[0].uniform(size=(2, 2))).all()
        assert (n == oracles[1].normal(size=(2, 2))).all()
    assert same_state(rv_u.rng.get_value(), oracles[0])


def test_a_value_read_before_a_call_is_not_changed_by_it() -> None:
    _, rv_u, _ = streams_234()
    kept = rv_u.rng.get_value()
    f = function([], rv_u)
    assert (f() == kept.uniform(size=(2, 2))).all()
    assert same_state(kept, rv_u.rng.get_value())


def test_two_draws_in_sequence_from_one_state() -> None:
    state = T.shared(RandomState(5))
    middle, a = raw_random.uniform(state, (3,))
    last, b = raw_random.normal(middle, (2,))
    f = function([], [a, b], updates=[(state, last)])
    oracle = RandomState(5)
    for _ in range(3):
        x, y = f()
        assert x.tolist() == oracle.uniform(size=3).tolist()
        assert y.tolist() == oracle.normal(size=2).tolist()


def test_one_state_read_by_two_draws_is_not_advanced_under_the_second() -> None:
    state = T.shared(RandomState(5))
    after, a = raw_random.uniform(state, (3,))
    _, b = raw_random.normal(state, (3,))
    f = function([], [a, b], updates=[(state, after)])
    oracle = RandomState(5)
    for _ in range(2):
        normal = copy_state(oracle).normal(size=3)
        uniform = oracle.uniform(size=3)
        x, y = f()
        assert x.tolist() == uniform.tolist() and y.tolist() == normal.tolist()


def test_draws_with_inputs_and_in_expressions() -> None:
    streams = RandomStreams(234)
    x, p = T.dmatrix("x"), T.dscalar("p")
    mask = streams.binomial(x.shape, 1, p, dtype="floatX")
    f = function([x, p], [x * mask / p, mask.sum()])
    oracle = RandomState(FIRST_SEED)
    for shape, probability in [((2, 3), 0.5), ((4, 1), 0.25), ((0, 3), 1.0)]:
        value = np.arange(1.0, 1.0 + np.prod(shape)).reshape(shape)
        expected = oracle.binomial(1, probability, shape)
        scaled, total = f(value, probability)
        assert scaled.tolist() == (value * expected / probability).tolist()
        assert total == expected.sum()


def test_a_refused_draw_leaves_the_state_and_names_the_line() -> None:
    streams = RandomStreams(234)
    std = T.dscalar("std")
    rv = streams.normal((2,), 0.0, std)
    f = function([std], rv)
    f(1.0)
    before = rv.rng.get_value()
    with pytest.raises(ValueError, match=r"normal: std must not be negative, got -1\.0") as caught:
        f(-1.0)
    assert str(caught.value).startswith("normal: std")
    assert "test_random_streams.py" in str(caught.value)
    assert same_state(rv.rng.get_value(), before)
    assert f(1.0).tolist() == before.normal(size=2).tolist()


def test_masks_stop_no_gradient_but_parameters_do() -> None:
    streams = RandomStreams(1)
    x, mean = T.dvector("x"), T.dvector("mean")
    mask = streams.binomial(x.shape, 1, 0.5, dtype="floatX")
    slope, drawn_mask = function([x], [T.grad((x * mask).sum(), x), mask])(np.ones(20))
    assert slope.tolist() == drawn_mask.tolist() and 0 < slope.sum() < 20
    with pytest.raises(NullTypeGradError, match="draw from normal"):
        T.grad(streams.normal(None, mean).sum(), mean)
    shuffled = streams.shuffle_row_elements(x)
    weights = np.arange(5.0)
    slope, order = function([x], [T.grad((shuffled * weights).sum(), x), shuffled.permutation])(
        np.ones(5)
    )
    assert slope[order].tolist() == weights.tolist()
