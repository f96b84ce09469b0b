"""MRG31k3p: L'Ecuyer's reference values, the C against integer arithmetic, and every distribution.

The reference values are those of the authors' Java code (package SSJ): seed 12345, 12 streams of 7
substreams of 5 numbers.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

import jitgraph
import jitgraph.tensor as T
from jitgraph import function
from jitgraph.config import change_flags
from jitgraph.ops.mrg import A1, A2, M1, M2, draw_with_numpy, jumped, power, substreams
from jitgraph.reference import evaluate
from jitgraph.sandbox.rng_mrg import (
    MRG_RandomStreams,
    ff_2p72,
    ff_2p134,
    guess_n_streams,
    mrg_uniform,
    multMatVect,
)

SEED = [12345] * 6
FIRST = [
    0.7353244530968368,
    0.6142074400559068,
    0.11007806099951267,
    0.6487741703167558,
    0.36619443260133266,
]
FIRST_OF_SUBSTREAMS = [
    0.7353244530968368,
    0.2585685825906694,
    0.6940806899219751,
    0.7705746139399707,
    0.4939101580530405,
    0.9062023567967117,
    0.5435514179989696,
]
FIRST_OF_STREAMS = [
    0.7353244530968368,
    0.5180770065635443,
    0.8423425843939185,
    0.07513022050261497,
    0.9926298237405717,
    0.15352962678298354,
    0.2785301594994962,
    0.1990663455799222,
    0.9494950002990663,
    0.5722001581452787,
    0.5650205011479557,
    0.015444065444171429,
]


def exact_numbers(state: list[int], n: int) -> tuple[list[int], list[int]]:
    """The state after n numbers and the integers z, by the recurrences in Python's integers."""
    x1, x2, x3, y1, y2, y3 = state
    numbers = []
    for _ in range(n):
        x = (2**22 * x2 + (2**7 + 1) * x3) % (2**31 - 1)
        y = (2**15 * y1 + (2**15 + 1) * y3) % (2**31 - 21069)
        x1, x2, x3, y1, y2, y3 = x, x1, x2, y, y1, y2
        numbers.append(x - y if x > y else x - y + 2**31 - 1)
    return [x1, x2, x3, y1, y2, y3], numbers


def uniforms(streams: MRG_RandomStreams, size: Any, calls: int = 1, **options: Any) -> np.ndarray:
    f = function([], streams.uniform(size, **options))
    return np.array([f() for _ in range(calls)])


# -- the generator -----------------------------------------------------------------------------


def test_recurrences_and_first_integers() -> None:
    after, numbers = exact_numbers(SEED, 3)
    assert numbers == [1579097239, 1319000434, 236390836]
    after, _ = exact_numbers(SEED, 1)
    assert after == [240667857, 12345, 12345, 809054265, 12345, 12345]


def test_jump_matrices() -> None:
    assert power(A1, 2**72, M1) == (
        (1516919229, 758510237, 499121365),
        (1884998244, 1516919229, 335398200),
        (601897748, 1884998244, 358115744),
    )
    assert power(A2, 2**72, M2) == (
        (1228857673, 1496414766, 954677935),
        (1133297478, 1407477216, 1496414766),
        (2002613992, 1639496704, 1407477216),
    )
    assert power(A1, 2**134, M1) == (
        (1702500920, 1849582496, 1656874625),
        (828554832, 1702500920, 1512419905),
        (1143731069, 828554832, 102237247),
    )
    assert power(A2, 2**134, M2) == (
        (796789021, 1464208080, 607337906),
        (1241679051, 1431130166, 1464208080),
        (1401213391, 1178684362, 1431130166),
    )


@pytest.mark.parametrize("steps", [0, 1, 2, 7, 1000])
def test_a_jump_is_that_many_steps(steps: int) -> None:
    state = [1, 2, 3, 4, 5, 6]
    assert jumped(np.array(state), steps).tolist() == exact_numbers(state, steps)[0]
    largest = [M1 - 1] * 3 + [M2 - 1] * 3
    assert jumped(np.array(largest), steps).tolist() == exact_numbers(largest, steps)[0]


def test_known_jumps() -> None:
    far = [1613322692, 623311037, 1722317882, 1563970864, 792350268, 619030428]
    farther = [336690377, 597094797, 1245771585, 85196284, 523477687, 2094976052]
    assert ff_2p72(SEED).tolist() == far and ff_2p134(SEED).tolist() == farther
    table = np.array(power(A1, 2**72, M1)), M1, np.array(power(A2, 2**72, M2)), M2
    assert multMatVect(SEED, *table).tolist() == far
    assert substreams(np.array(SEED), 3).tolist() == [SEED, far, ff_2p72(far).tolist()]


def test_reference_values() -> None:
    """All 420: 12 streams, each of 7 substreams, each of 5 numbers."""
    streams = MRG_RandomStreams(12345)
    values = np.array([uniforms(streams, (7,), calls=5, nstreams=7).T for _ in range(12)])
    assert values.shape == (12, 7, 5)
    assert values[0, 0].tolist() == FIRST
    assert values[0, :, 0].tolist() == FIRST_OF_SUBSTREAMS
    assert values[:, 0, 0].tolist() == FIRST_OF_STREAMS
    assert values[-1, -1, -1] == 0.18852565623819828
    # The sum as printed with 17 digits; 420 additions of rounding 2**-46 at most.
    assert math.fsum(values.ravel()) == pytest.approx(202.00049087731168, abs=420 * 2.0**-46)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize(
    ("size", "nstreams"),
    [
        ((1,), None),
        ((5,), None),
        ((7,), None),
        ((100,), None),
        ((100,), 1),
        ((3, 7), 4),
        ((2, 3, 5), 31),
        ((1023,), 512),
        ((1025,), 513),
        ((1537,), 700),
        ((40_000,), 1100),
        ((3, 1), 15360),
    ],
)
def test_compiled_draws_are_the_recurrences(size: Any, nstreams: int | None, dtype: str) -> None:
    """Whole and incomplete rows and blocks of streams, over three calls."""
    streams = MRG_RandomStreams([7, 8, 9, 10, 11, M2 - 1])
    draw = streams.uniform(size, dtype=dtype, nstreams=nstreams)
    shared = streams.state_updates[0][0]
    states = shared.get_value()
    assert len(states) == (guess_n_streams(size) if nstreams is None else nstreams)
    f = function([], draw)
    for _ in range(3):
        states, expected = draw_with_numpy(states, math.prod(size), dtype)
        value = f()
        assert value.dtype == dtype and value.shape == size
        assert np.array_equal(value.ravel(), expected)
        assert np.array_equal(shared.get_value(), states)


def test_the_numpy_oracle_is_the_recurrences() -> None:
    states = substreams(np.array([1, 2, 3, 4, 5, 6]), 4)
    after, drawn = draw_with_numpy(states, 10, "float64")
    for k in range(4):
        last, numbers = exact_numbers(states[k].tolist(), len(range(k, 10, 4)))
        assert (drawn[k::4] * 2.0**31).tolist() == numbers and after[k].tolist() == last


def test_a_wrong_recurrence_is_noticed(monkeypatch: Any) -> None:
    import jitgraph.ops.mrg as module

    monkeypatch.setattr(module, "M2", M2 - 2)
    _, wrong = draw_with_numpy(np.array([SEED]), 5, "float64")
    assert not np.array_equal(wrong, FIRST)


def test_extreme_integers_stay_inside_the_interval() -> None:
    """z = 1 and z = M1 = 2**31 - 1 in both dtypes."""
    assert 1 * 2.0**-31 > 0 and M1 * 2.0**-31 < 1
    norm = np.float32(4.6566126e-10)
    assert np.float32(1) * norm > 0 and np.float32(M1) * norm < 1
    assert np.nextafter(norm, np.float32(1)) * np.float32(M1) == 1  # the next float32 would not do


@pytest.mark.parametrize("threads", [1, 2, 3, 8])
def test_any_number_of_threads_gives_the_same_numbers(threads: int) -> None:
    with jitgraph.num_threads(threads):
        value = uniforms(MRG_RandomStreams(99), (300, 1001), calls=2, nstreams=2000)
    states = substreams(np.array([99] * 6), 2000)
    for row in value:
        states, expected = draw_with_numpy(states, 300 * 1001, "float64")
        assert np.array_equal(row.ravel(), expected)


# -- uniform -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        ((2,), 2),
        ((6,), 6),
        ((7,), 1),
        ((100,), 16),
        ((1000, 1000), 15360),
        ((), 1),
        ([2, 3], 6),
        ((np.int64(12),), 2),
    ],
)
def test_the_number_of_streams(size: Any, expected: int) -> None:
    assert guess_n_streams(size) == expected


def test_the_number_of_streams_of_a_symbolic_size() -> None:
    n = T.lscalar("n")
    with pytest.warns(UserWarning, match="not known while building"):
        assert guess_n_streams((n, 2), warn=True) == 15360
    streams = MRG_RandomStreams()
    streams.uniform((n,))
    streams.uniform(T.lvector("v"), ndim=2)
    assert [len(s[0].get_value()) for s in streams.state_updates] == [15360, 15360]


def test_the_result_depends_on_the_number_of_streams() -> None:
    five = [0.73532445, 0.25856858, 0.69408069, 0.77057461, 0.49391016]
    one = [0.73532445, 0.61420744, 0.11007806, 0.64877417, 0.36619443]
    half_a_digit = 0.5e-8
    assert uniforms(MRG_RandomStreams(12345), (5,))[0] == pytest.approx(five, abs=half_a_digit)
    value = uniforms(MRG_RandomStreams(12345), (5,), nstreams=1)[0]
    assert value == pytest.approx(one, abs=half_a_digit)


def test_low_and_high() -> None:
    value = uniforms(MRG_RandomStreams(1), (3,), low=2, high=5)[0]
    assert value == pytest.approx([2.005768, 4.2090791, 3.06142538], abs=0.5e-8)
    low, high = T.dvector("low"), T.dscalar("high")
    draw = MRG_RandomStreams(1).uniform((3,), low, high)
    u = uniforms(MRG_RandomStreams(1), (3,))[0]
    corner = np.array([1.0, 2.0, 3.0])
    assert np.array_equal(function([low, high], draw)(corner, 4.5), u * (4.5 - corner) + corner)


def test_dtypes() -> None:
    streams = MRG_RandomStreams()
    assert streams.uniform((2,)).dtype == "float64"
    assert streams.uniform((2,), dtype="float32").dtype == "float32"
    with change_flags(floatX="float32"):
        assert streams.uniform((2,)).dtype == "float32"
        assert streams.normal((2,), avg=T.fscalar()).dtype == "float32"
        assert streams.uniform((2,), low=T.dscalar()).dtype == "float64"
        assert streams.binomial((2,), dtype="floatX").dtype == "float32"
    assert streams.binomial((2,)).dtype == "int64"
    with pytest.raises(TypeError, match="float32 or float64, not int64"):
        streams.uniform((2,), dtype="int64")


def test_sizes_known_when_run() -> None:
    n, v = T.lscalar("n"), T.ivector("v")
    f = function([n], MRG_RandomStreams(12345).uniform((n,)))
    g = function([v], MRG_RandomStreams(12345).uniform(v, ndim=2))
    assert f(5).tolist() == g(np.array([5, 1], "int32")).ravel().tolist()
    assert f(0).shape == (0,) and g(np.array([0, 3], "int32")).shape == (0, 3)
    x = T.dmatrix("x")
    h = function([x], MRG_RandomStreams(12345).uniform(x.shape))
    assert h(np.zeros((4, 3))).shape == (4, 3)
    i = function([], MRG_RandomStreams(3).uniform(()))
    assert i().shape == ()


def test_a_size_refused_when_run_leaves_the_state() -> None:
    n = T.lscalar("n")
    streams = MRG_RandomStreams(5)
    f = function([n], streams.uniform((n,)))
    shared = streams.state_updates[0][0]
    first = f(3)
    before = shared.get_value()
    for wrong, error, message in [
        (-3, ValueError, "size has the negative length -3"),
        (2**31, (ValueError, MemoryError), r"2\*\*31 - 1 elements|no room"),
        (10**14, MemoryError, "no room for result 0, shape"),
    ]:
        with pytest.raises(error, match=message) as caught:
            f(wrong)
        if wrong < 0:
            assert "test_mrg_streams.py" in str(caught.value)
        assert np.array_equal(shared.get_value(), before)
    assert f(3).tolist() != first.tolist() and not np.array_equal(shared.get_value(), before)


@pytest.mark.parametrize("length", [-1, -2, -3])
def test_normals_of_a_negative_length(length: int) -> None:
    """They are drawn in pairs, and -1 is next to no pair at all."""
    n = T.lscalar("n")
    streams = MRG_RandomStreams(5)
    f = function([n], streams.normal((n,)))
    before = streams.state_updates[0][0].get_value()
    with pytest.raises(ValueError, match="negative length"):
        f(length)
    assert np.array_equal(streams.state_updates[0][0].get_value(), before)
    assert f(0).shape == (0,) and f(3).shape == (3,)


def test_states_refused_when_run() -> None:
    streams = MRG_RandomStreams(5)
    f = function([], streams.uniform((3,)))
    shared = streams.state_updates[0][0]
    for wrong in (np.zeros((0, 6), "int32"), np.zeros((3, 5), "int32")):
        shared.set_value(wrong)
        with pytest.raises(ValueError, match=r"rows? of 6 numbers"):
            f()
        with pytest.raises(ValueError, match="rows of 6 numbers"):
            evaluate([streams.state_updates[0][1]], {})


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda s: s.uniform([2, 3]), TypeError, "size must be a tuple"),
        (lambda s: s.uniform(3), TypeError, "size must be a tuple"),
        (lambda s: s.uniform(None), TypeError, "size must be a tuple"),
        (lambda s: s.uniform(T.dvector()), TypeError, "must hold integers"),
        (lambda s: s.uniform(T.lscalar()), TypeError, "size must be a tuple"),
        (lambda s: s.uniform((2, 1.5)), TypeError, "the entry 1.5"),
        (lambda s: s.uniform((2, 0)), ValueError, "dimension with value <= 0"),
        (lambda s: s.uniform((-1,)), ValueError, "dimension with value <= 0"),
        (lambda s: s.uniform((2**20, 2**11)), ValueError, r"2\*\*31 - 1 at most"),
        (lambda s: s.normal((2**40, 2**40)), ValueError, r"2\*\*31 - 1 at most"),
        (lambda s: s.uniform((2,), nstreams=0), ValueError, "nstreams must be a positive"),
        (lambda s: s.uniform((2,), nstreams=1.5), ValueError, "nstreams must be a positive"),
        (lambda s: s.uniform((2,), target="gpu"), ValueError, "on the CPU only"),
        (lambda s: s.uniform((2,), ndim=3), ValueError, "2 axes|3 axes|entries"),
        (lambda s: s.uniform((2,), low=T.dmatrix()), NotImplementedError, "more axes"),
        (lambda s: s.uniform((2,), wrong=1), TypeError, "wrong"),
        (lambda s: s.binomial((2,), n=2), NotImplementedError, "n = 2"),
        (lambda s: s.binomial((2,), p=1.5), ValueError, r"binomial: p must lie in \[0, 1\]"),
        (lambda s: s.binomial((2,), p=-0.5), ValueError, r"got -0\.5"),
        (lambda s: s.binomial(), TypeError, "size must be a tuple"),
        (lambda s: s.normal("a"), TypeError, "size must be a tuple"),
        (lambda s: s.normal((0,)), ValueError, "dimension with value <= 0"),
        (lambda s: s.multinomial(), TypeError, "pvals has to be specified"),
        (lambda s: s.multinomial(pvals=[0.5, 0.5]), NotImplementedError, "must be a matrix"),
        (lambda s: s.multinomial((2,), pvals=[[0.5, 0.5]]), ValueError, "the rows of pvals"),
        (lambda s: s.multinomial(pvals=[[0.5]], ndim=2), ValueError, "ndim is not used"),
        (lambda s: s.multinomial(pvals=[[1.5]]), ValueError, r"pvals must lie in \[0, 1\]"),
        (lambda s: s.multinomial(n=0, pvals=[[0.5]]), ValueError, "at least 1, got 0"),
        (lambda s: s.choice(p=[[1.0]]), NotImplementedError, "without replacement"),
        (lambda s: s.choice(a=3, p=[[1.0]], replace=False), TypeError, "a has to be None"),
        (lambda s: s.choice(replace=False), TypeError, "p has to be specified"),
        (lambda s: s.choice(replace=False, p=[1.0]), NotImplementedError, "must be a matrix"),
        (lambda s: s.choice(1.5, replace=False, p=[[1.0]]), TypeError, "integer"),
    ],
)
def test_refused_while_building_with_the_state_unmoved(call: Any, error: Any, message: str) -> None:
    streams = MRG_RandomStreams(5)
    with pytest.raises(error, match=message):
        call(streams)
    assert streams.state_updates == [] and streams.rstate.tolist() == [5] * 6


def test_errors_name_the_line() -> None:
    with pytest.raises(ValueError, match=r"\(test_mrg_streams\.py:\d+\)"):
        MRG_RandomStreams(1).uniform((0,))
    with pytest.raises(ValueError, match=r"\(test_mrg_streams\.py:\d+\)"):
        MRG_RandomStreams(0)


# -- seeds and states ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "seed", [1, 12345, M2 - 1, [1, 0, 0, 0, 0, 1], (M1 - 1,) * 3 + (M2 - 1,) * 3]
)
def test_seeds(seed: Any) -> None:
    expected = [seed] * 6 if isinstance(seed, int) else list(seed)
    assert MRG_RandomStreams(seed).rstate.tolist() == expected
    assert MRG_RandomStreams(seed).rstate.dtype == "int32"


@pytest.mark.parametrize(
    ("seed", "error"),
    [
        (0, ValueError),
        (-1, ValueError),
        (M2, ValueError),
        (2**40, ValueError),
        ([0, 0, 0, 1, 1, 1], ValueError),
        ([1, 1, 1, 0, 0, 0], ValueError),
        ([M1, 1, 1, 1, 1, 1], ValueError),
        ([1, 1, 1, 1, 1, M2], ValueError),
        ([1, -1, 1, 1, 1, 1], ValueError),
        ([1, 2, 3], TypeError),
        ([1.0] * 6, TypeError),
        (np.int64(7), TypeError),
        (1.5, TypeError),
        ("7", TypeError),
        (None, TypeError),
        (True, TypeError),
    ],
)
def test_refused_seeds(seed: Any, error: type[Exception]) -> None:
    with pytest.raises(error, match="seed"):
        MRG_RandomStreams(seed)
    streams = MRG_RandomStreams(5)
    if seed is not None:
        with pytest.raises(error, match="seed"):
            streams.seed(seed)
    assert streams.rstate.tolist() == [5] * 6


def test_states_of_successive_draws() -> None:
    streams = MRG_RandomStreams(12345)
    streams.uniform((2,))
    streams.uniform((4,))
    far = ff_2p134(SEED)
    assert [len(s[0].get_value()) for s in streams.state_updates] == [2, 4]
    assert (
        streams.state_updates[0][0].get_value().tolist() == substreams(np.array(SEED), 2).tolist()
    )
    assert streams.state_updates[1][0].get_value().tolist() == substreams(far, 4).tolist()
    assert streams.rstate.tolist() == ff_2p134(far).tolist()


def test_setting_and_moving_the_state_of_the_object() -> None:
    """Draws made so far stay; the next one begins where the object's state stands."""
    streams = MRG_RandomStreams(12345)
    first = streams.uniform((2,))
    of_first = streams.state_updates[0][0]
    states = of_first.get_value()
    streams.set_rstate(7)
    assert streams.rstate.tolist() == [7] * 6 and streams.rstate.dtype == np.int32
    streams.set_rstate(list(SEED))
    assert streams.rstate.tolist() == list(SEED)
    streams.inc_rstate()
    far = ff_2p134(SEED)
    assert streams.rstate.tolist() == far.tolist()
    assert np.array_equal(of_first.get_value(), states)
    found = streams.get_substream_rstates(3, "float32", inc_rstate=False)
    assert found.tolist() == substreams(far, 3).tolist() and found.dtype == np.int32
    assert streams.rstate.tolist() == far.tolist()
    assert streams.get_substream_rstates(3, "float32").tolist() == found.tolist()
    assert streams.rstate.tolist() == ff_2p134(far).tolist()
    with pytest.raises(ValueError, match="nstreams must be a positive"):
        streams.get_substream_rstates(0, "float32")
    streams.set_rstate(list(SEED))
    again = streams.uniform((2,))
    assert function([], first)().tolist() == function([], again)().tolist()


def test_a_draw_of_ones_own_enters_the_object() -> None:
    """pretty_return: attributes, the default update and the list of updates."""
    streams = MRG_RandomStreams(12345)
    states = jitgraph.shared(streams.get_substream_rstates(2, "float64"))
    after, sample = mrg_uniform.new(states, None, "float64", (2,))
    found = streams.pretty_return(states, after, sample, size=(2,), nstreams=2)
    assert found is sample and sample.rstate is states and sample.update == (states, after)
    assert streams.state_updates == [(states, after, (2,), 2)]
    f = function([], sample)
    first = f()
    assert first.tolist() != f().tolist()
    streams.seed(12345)
    assert f().tolist() == first.tolist()


def test_attributes_of_draws_and_streams() -> None:
    streams = MRG_RandomStreams(12345)
    draw = streams.uniform((2,), low=1)
    assert not hasattr(draw, "rstate") and not hasattr(draw, "update")
    (shared, new, size, nstreams) = streams.state_updates[0]
    assert (size, nstreams) == ((2,), None) and shared.default_update is new
    assert shared.tag.is_rng is True and shared.dtype == "int32" and shared.ndim == 2
    assert streams.updates() == streams.state_updates
    assert streams.updates() is not streams.state_updates
    sample = new.owner.outputs[1]
    assert sample.rstate is shared and sample.update == (shared, new)
    assert isinstance(new.owner.op, mrg_uniform) and new.owner.inputs[0] is shared
    assert str(new.owner.op).startswith("mrg_uniform{TensorType(float64, vector)")


def test_the_op_by_itself() -> None:
    states = jitgraph.shared(substreams(np.array(SEED), 2))
    after, sample = mrg_uniform.new(states, None, "float64", (4,))
    new, value = function([], [after, sample])()
    assert value[[0, 2]].tolist() == FIRST[:2]
    assert new[0].tolist() == exact_numbers(SEED, 2)[0]
    with pytest.raises(TypeError, match="int32 matrix of states"):
        mrg_uniform.new(jitgraph.shared(np.zeros(6, "int32")), None, "float64", (4,))


def test_seed_again_keeps_the_number_of_streams() -> None:
    streams = MRG_RandomStreams(12345)
    draws = [streams.uniform((7,)), streams.uniform((7,), nstreams=3), streams.normal((4,))]
    f = function([], draws)
    first, second = f(), f()
    streams.seed()
    assert all(np.array_equal(a, b) for a, b in zip(f(), first, strict=True))
    streams.seed(6)
    other = f()
    assert all(not np.array_equal(a, b) for a, b in zip(other, first, strict=True))
    assert [len(s[0].get_value()) for s in streams.state_updates] == [1, 3, 15360]
    streams.seed(12345)
    f()
    assert all(np.array_equal(a, b) for a, b in zip(f(), second, strict=True))


def test_states_are_read_set_and_saved(tmp_path: Any) -> None:
    streams = MRG_RandomStreams(12345)
    f = function([], streams.uniform((7,)))
    shared = streams.state_updates[0][0]
    np.save(tmp_path / "state.npy", shared.get_value())
    first = f()
    assert not np.array_equal(f(), first)
    shared.set_value(np.load(tmp_path / "state.npy"))
    assert np.array_equal(f(), first)


def test_copying_the_states_of_one_graph_to_another() -> None:
    class Graph:
        def __init__(self, seed: int):
            self.rng = MRG_RandomStreams(seed)
            self.y = self.rng.uniform(size=(1,))

    one, two = Graph(123), Graph(987)
    f1, f2 = function([], one.y), function([], two.y)
    assert f1() != f2()
    two.rng.rstate = one.rng.rstate
    for su1, su2 in zip(one.rng.state_updates, two.rng.state_updates, strict=True):
        su2[0].set_value(su1[0].get_value())
    assert f1() == f2() and one.rng.rstate.tolist() == two.rng.rstate.tolist()


def test_draws_advance_once_a_call_and_not_without_updates() -> None:
    streams = MRG_RandomStreams(12345)
    u = streams.uniform((3,))
    nearly_zeros = function([], u + u - 2 * u)
    assert (nearly_zeros() == 0).all()
    frozen = function([], u, no_default_updates=True)
    assert np.array_equal(frozen(), frozen())
    f, both = function([], u), function([], [u, streams.uniform((3,))])
    assert np.array_equal(frozen(), f())
    a, b = both()
    assert not np.array_equal(a, b)
    explicit = function([], u, updates=[x[:2] for x in streams.updates()])
    assert not np.array_equal(explicit(), explicit())


def test_a_call_that_fails_moves_nothing() -> None:
    x = T.dvector("x")
    streams = MRG_RandomStreams(1)
    f = function([x], streams.uniform((3,)) + x)
    before = streams.state_updates[0][0].get_value()
    with pytest.raises(ValueError, match="lengths of axis 0 differ"):
        f(np.zeros(2))
    assert np.array_equal(streams.state_updates[0][0].get_value(), before)


def test_spawned_streams_differ_and_are_reproducible() -> None:
    def all_of(parent: MRG_RandomStreams) -> list[MRG_RandomStreams]:
        children = parent.spawn(3)
        return [parent, *children, *children[0].spawn(2), *parent.spawn(1)]

    firsts = [uniforms(s, (50,))[0] for s in all_of(MRG_RandomStreams(7))]
    again = [uniforms(s, (50,))[0] for s in all_of(MRG_RandomStreams(7))]
    assert all(np.array_equal(a, b) for a, b in zip(firsts, again, strict=True))
    assert len({f.tobytes() for f in firsts}) == 7
    for wrong in (-1, 1.5, True):
        with pytest.raises(ValueError, match="spawn"):
            MRG_RandomStreams(7).spawn(wrong)  # type: ignore[arg-type]


def test_import_paths_of_old_programs() -> None:
    from jitgraph.sandbox.rng_mrg import MRG_RandomStreams as RandomStreams

    assert RandomStreams is jitgraph.sandbox.rng_mrg.MRG_RandomStreams
    assert MRG_RandomStreams(3, use_cuda=False).rstate.tolist() == [3] * 6
    with pytest.raises(ValueError, match="CPU only"):
        MRG_RandomStreams(3, use_cuda=True)
    with pytest.raises(AttributeError):
        _ = jitgraph.sandbox.rng_curand


# -- normal --------------------------------------------------------------------------------------


def test_first_normals() -> None:
    expected = [-0.26987756, 0.21203132, -0.73624248, -1.63102156]
    value = function([], MRG_RandomStreams(12345).normal((4,)))()
    assert value == pytest.approx(expected, abs=0.5e-8)


@pytest.mark.parametrize("size", [(1,), (2,), (5,), (3, 7), 5, [3, 7]])
def test_normals_are_box_and_mullers(size: Any) -> None:
    shape = (size,) if isinstance(size, int) else tuple(size)
    n = math.prod(shape)
    even = n + n % 2
    u = uniforms(MRG_RandomStreams(77), (even,), nstreams=15360)[0]
    u1, u2 = u[: even // 2], u[even // 2 :]
    r, angle = np.sqrt(-2 * np.log(u1)), 2 * np.pi * u2
    expected = np.concatenate([r * np.cos(angle), r * np.sin(angle)])[:n].reshape(shape)
    value = function([], MRG_RandomStreams(77).normal(size, 2.0, 0.5))()
    # log, sqrt, cos and the products: a few ULP of a number up to 6.6.
    np.testing.assert_allclose(value, expected * 0.5 + 2.0, rtol=0, atol=2e-15)


def test_normals_of_a_size_known_when_run() -> None:
    n, v = T.lscalar("n"), T.lvector("v")
    fixed = function([], MRG_RandomStreams(77).normal((3, 5)))()
    by_scalar = function([n], MRG_RandomStreams(77).normal((n, 5)))(3)
    by_vector = function([v], MRG_RandomStreams(77).normal(v, ndim=2))([3, 5])
    assert np.array_equal(fixed, by_scalar) and np.array_equal(fixed, by_vector)
    assert function([n], MRG_RandomStreams(77).normal(n))(0).shape == (0,)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_truncated_normals(dtype: str) -> None:
    streams = MRG_RandomStreams(77)
    cut = function([], streams.normal((20_001,), dtype=dtype, truncate=True))()
    assert cut.dtype == dtype and abs(cut).max() <= 2 and abs(cut).max() > 1.99
    plain = function([], MRG_RandomStreams(77).normal((20_001,), dtype=dtype))()
    far = abs(plain[:10_001]) > 2
    assert 400 < far.sum() < 550  # 4.55 %
    # Valid numbers come first, in their order; then those drawn again.
    assert np.array_equal(cut[: 10_001 - far.sum()], plain[:10_001][~far])
    scaled = function([], streams.truncated_normal((20_001,), 5.0, 3.0, dtype=dtype))()
    assert abs(scaled - 5).max() <= 3 * 2.27369
    # Numbers drawn again keep their angle: 1.8 % more; standard error of 20,001 numbers 0.4 %.
    assert scaled.std() == pytest.approx(3 * 1.018, rel=0.012)
    assert scaled.mean() == pytest.approx(5, abs=0.08)


def test_the_gradient_flows_to_mean_and_deviation() -> None:
    avg, std = T.dvector("avg"), T.dvector("std")
    draw = MRG_RandomStreams(3).normal((3,), avg, std)
    to_avg, to_std, value = function([avg, std], [*T.grad(draw.sum(), [avg, std]), draw])(
        np.zeros(3), np.ones(3)
    )
    assert to_avg.tolist() == [1, 1, 1] and np.array_equal(to_std, value)


# -- the others ------------------------------------------------------------------------------------


def test_binomial_compares_uniforms() -> None:
    p = T.dvector("p")
    f = function([p], MRG_RandomStreams(3).binomial((3,), 1, p))
    u = uniforms(MRG_RandomStreams(3), (3,), calls=3)
    for row, probability in zip(
        u, ([0.2, 0.5, 0.9], [0.0, 1.0, 0.5], [1.0, 1.0, 0.0]), strict=True
    ):
        assert f(np.array(probability)).tolist() == (row < probability).astype("int64").tolist()


def test_a_probability_refused_when_run() -> None:
    p = T.dvector("p")
    streams = MRG_RandomStreams(3)
    f = function([p], streams.binomial((3,), p=p))
    before = streams.state_updates[0][0].get_value()
    for wrong in (1.5, -0.25, np.nan):
        with pytest.raises(ValueError, match=r"binomial: p must lie in \[0, 1\]") as caught:
            f([0.5, wrong, 0.5])
        assert "element 1" in str(caught.value) and "test_mrg_streams.py" in str(caught.value)
    assert np.array_equal(streams.state_updates[0][0].get_value(), before)


def test_multinomial_counts_by_inverse_distribution() -> None:
    pvals = T.dmatrix("pvals")
    weights = np.array([[0.2, 0.3, 0.5], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0], [0.4, 0.4, 0.1]])
    counts = function([pvals], MRG_RandomStreams(5).multinomial(n=9, pvals=pvals))(weights)
    u = function([], MRG_RandomStreams(5).uniform((36,), nstreams=15360))()
    expected = np.zeros((4, 3), int)
    for c in range(9):
        for row in range(4):
            total = 0.0
            for outcome in range(3):
                total += weights[row, outcome]
                if total > u[c * 4 + row]:
                    expected[row, outcome] += 1
                    break
    assert counts.tolist() == expected.tolist() and counts.dtype == "int64"
    assert counts[:3].sum(1).tolist() == [9, 9, 9]


def test_choice_without_replacement() -> None:
    weights = np.array([[0.2, 0.3, 0.5, 0.0], [0.25, 0.25, 0.25, 0.25]])
    draw = MRG_RandomStreams(5).choice(3, replace=False, p=weights)
    value = function([], draw)()
    u = function([], MRG_RandomStreams(5).uniform((6,), nstreams=15360))()
    for row in range(2):
        p = weights[row].copy()
        for c in range(3):
            outcome = int(np.searchsorted(np.cumsum(p), u[c * 2 + row], side="right"))
            assert value[row, c] == outcome
            p[outcome] = 0
            p = p / max(p.sum(), 1e-300)
    assert sorted(value[0]) == [0, 1, 2] and len(set(value[1])) == 3
    with pytest.warns(DeprecationWarning):
        old = MRG_RandomStreams(5).multinomial_wo_replacement(n=3, pvals=weights)
    assert np.array_equal(function([], old)(), value)
    five = MRG_RandomStreams(5).choice(5, replace=False, p=weights)
    with pytest.raises(ValueError, match="5 different values cannot be taken from 4"):
        function([], five)()


def test_draws_inside_loops() -> None:
    streams = MRG_RandomStreams(12345)
    values, updates = jitgraph.scan(lambda: streams.uniform((1,)), n_steps=5)
    f = function([], values, updates=updates)
    assert f().ravel().tolist() == FIRST
    assert f().ravel().tolist() == ((np.array(exact_numbers(SEED, 10)[1][5:]) * 2.0**-31).tolist())
