"""Shared variables in loops: closures, updates, strictness, random draws."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import jitgraph
import jitgraph.tensor as T
from jitgraph.cloning import OrderedUpdates
from jitgraph.errors import MissingInputError
from jitgraph.ops.random import RandomFunction
from jitgraph.sandbox.rng_mrg import MRG_RandomStreams
from jitgraph.scan_module import until
from jitgraph.tensor.shared_randomstreams import RandomStreams


def zero(dtype: str = "float64") -> Any:
    return T.constant(0, dtype=dtype)


def test_updates_are_applied_at_every_step(function: Any) -> None:
    c = jitgraph.shared(0, "c")
    _, updates = jitgraph.scan(lambda: {c: c + 1}, n_steps=5)
    assert type(updates) is OrderedUpdates
    f = function([], [], updates=updates)
    f()
    assert c.get_value() == 5
    f()
    assert c.get_value() == 10


@pytest.mark.parametrize("form", [dict, list])
def test_outputs_see_the_value_of_their_step(function: Any, form: Any) -> None:
    c = jitgraph.shared(np.float64(1.0), "c")
    x = T.dvector("x")
    out, updates = jitgraph.scan(lambda x: (c * x, form([(c, c * 2)])), x)
    f = function([x], out, updates=updates)
    assert_array_equal(f([1.0, 1.0, 1.0]), [1.0, 2.0, 4.0])
    assert c.get_value() == 8.0


def test_updates_and_condition_together(function: Any) -> None:
    c = jitgraph.shared(0, "c")
    out, updates = jitgraph.scan(lambda: (c * 10, {c: c + 1}, until(c >= 3)), n_steps=100)
    f = function([], out, updates=updates)
    assert_array_equal(f(), [0, 10, 20, 30])
    assert c.get_value() == 4


def test_one_step_gives_the_same_updates(function: Any) -> None:
    c = jitgraph.shared(3, "c")
    out, updates = jitgraph.scan(lambda: (c + 0, {c: c * 5}), n_steps=1)
    assert_array_equal(function([], out, updates=updates)(), [3])
    assert c.get_value() == 15


def test_updated_matrix_and_constant_closure(function: Any) -> None:
    W = jitgraph.shared(np.eye(2), "W")
    b = jitgraph.shared(np.array([1.0, 2.0]), "b")
    x = T.dmatrix("x")
    _, updates = jitgraph.scan(lambda x: {W: W + T.outer(x, b)}, x)
    function([x], [], updates=updates)([[1.0, 0.0], [0.0, 10.0]])
    assert_array_equal(W.get_value(), [[2.0, 2.0], [10.0, 21.0]])


def test_expressions_of_an_updated_variable_follow_it(function: Any) -> None:
    """Also those written before the loop; what does not change is taken from outside."""
    c, d = jitgraph.shared(1, "c"), jitgraph.shared(10, "d")
    both = c + d
    out, updates = jitgraph.scan(lambda: (both * 1, {c: c + 1}), n_steps=3)
    assert_array_equal(function([], out, updates=updates)(), [11, 12, 13])


def test_strict_wants_shared_variables_passed(function: Any) -> None:
    W = jitgraph.shared(np.float64(2.0), "W")
    x = T.dvector("x")
    with pytest.raises(MissingInputError, match=r"scan 'dense': strict=True.*\bW\b"):
        jitgraph.scan(lambda x: x * W, x, strict=True, name="dense")
    with pytest.raises(MissingInputError, match=r"\bW\b"):
        doubled = W * 2
        jitgraph.scan(lambda x: x * doubled, x, strict=True)
    out, _ = jitgraph.scan(lambda x, W: x * W, x, non_sequences=W, strict=True)
    assert_array_equal(function([x], out)([1.0, 3.0]), [2.0, 6.0])
    _, updates = jitgraph.scan(lambda: {W: W + 1}, n_steps=2, strict=True)
    assert list(updates) == [W]


def test_arrays_from_everywhere(function: Any) -> None:
    """NumPy arrays and shared variables as sequences, initial values and non-sequences."""
    s = jitgraph.shared(np.arange(3.0), "s")
    out, _ = jitgraph.scan(
        lambda a, b, h, w: h + a * b * w[0],
        [s, np.array([1.0, 10.0, 100.0])],
        np.array(0.5),
        np.array([2.0, 3.0]),
    )
    assert_array_equal(function([], out)(), 0.5 + np.cumsum([0.0, 20.0, 400.0]))


# -- random draws ------------------------------------------------------------------------------


def test_mrg_draws_once_a_step(function: Any) -> None:
    """The draws of n steps are those of n calls, and the state moves on by n."""
    loop, calls = MRG_RandomStreams(7), MRG_RandomStreams(7)
    out, updates = jitgraph.scan(lambda: loop.uniform((3,), dtype="float64"), n_steps=4)
    f = function([], out, updates=updates)
    g = jitgraph.function([], calls.uniform((3,), dtype="float64"), mode="reference")
    expected = [g() for _ in range(8)]
    assert_array_equal(f(), expected[:4])
    assert_array_equal(f(), expected[4:])


def test_without_the_updates_a_generator_moves_by_one_draw(function: Any) -> None:
    loop, calls = MRG_RandomStreams(7), MRG_RandomStreams(7)
    out, _ = jitgraph.scan(lambda: loop.uniform((2,), dtype="float64"), n_steps=3)
    f = function([], out)
    g = jitgraph.function([], calls.uniform((2,), dtype="float64"), mode="reference")
    expected = [g() for _ in range(4)]
    assert_array_equal(f(), expected[:3])
    assert_array_equal(f(), expected[1:4])


def test_a_draw_passed_in_is_one_draw(function: Any) -> None:
    srng = MRG_RandomStreams(7)
    noise = srng.uniform((2,), dtype="float64")
    fixed, updates = jitgraph.scan(lambda u: u * 1, non_sequences=noise, n_steps=3)
    assert not updates
    rows = function([], fixed)()
    assert_array_equal(rows, [rows[0]] * 3)
    # Used without having been passed, it is drawn at every step, as in Theano.
    drawn, updates = jitgraph.scan(lambda: noise * 1, n_steps=3)
    assert len(updates) == 1
    rows = function([], drawn, updates=updates)()
    assert len({row.tobytes() for row in rows}) == 3


def test_legacy_streams_equal_numpy(function: Any) -> None:
    """Every step one draw of RandomState, through the state that the update leaves behind."""
    srng = RandomStreams(seed=5)
    p = T.dvector("p")

    def step(p: Any) -> Any:
        return [
            srng.uniform((3,)),
            srng.normal((2,), avg=p, std=2.0),
            srng.binomial((2,), n=1, p=p),
        ]

    outs, updates = jitgraph.scan(step, non_sequences=p, n_steps=4)
    assert len(updates) == 3
    f = function([p], outs, updates=updates)
    seeds = np.random.RandomState(5)
    states = [np.random.RandomState(seeds.randint(2**30)) for _ in range(3)]
    probabilities = np.array([0.25, 0.75])
    for _ in range(2):
        u, g, b = f(probabilities)
        assert_array_equal(u, [states[0].uniform(size=3) for _ in range(4)])
        assert_array_equal(g, [states[1].normal(probabilities, 2.0, 2) for _ in range(4)])
        assert_array_equal(b, [states[2].binomial(1, probabilities, 2) for _ in range(4)])


def test_gibbs_chain_of_the_tutorial(function: Any) -> None:
    """CD-k: the chain draws, its updates carry the generators on, its end is used outside."""
    srng = MRG_RandomStreams(3)
    W = jitgraph.shared(np.random.default_rng(0).normal(0, 0.5, (4, 3)), "W")
    v0 = T.dmatrix("v0")

    def gibbs(v: Any) -> Any:
        h_mean = T.nnet.sigmoid(T.dot(v, W))
        h = srng.binomial(h_mean.shape, p=h_mean, dtype="float64")
        v_mean = T.nnet.sigmoid(T.dot(h, W.T))
        return [srng.binomial(v_mean.shape, p=v_mean, dtype="float64"), v_mean]

    (vs, means), updates = jitgraph.scan(gibbs, outputs_info=[v0, None], n_steps=5)
    cost = T.mean(vs[-1].sum(axis=1)) - T.mean(means[-1])
    gW = T.grad(cost, W, consider_constant=[vs])
    f = function([v0], [vs, means, gW], updates=updates)
    samples, probabilities, slope = f(np.ones((6, 4)))
    assert set(np.unique(samples)) <= {0.0, 1.0}
    assert samples.shape == probabilities.shape == (5, 6, 4)
    assert slope.shape == (4, 3) and np.isfinite(slope).all() and slope.any()
    again = f(np.ones((6, 4)))[0]
    assert (again != samples).any()


def test_sums_of_an_inner_loops_updates(function: Any) -> None:
    """A loop inside a loop passes its updates on."""
    c = jitgraph.shared(0, "c")

    def outer(x: Any) -> Any:
        _, inner_updates = jitgraph.scan(lambda: {c: c + x}, n_steps=3)
        return inner_updates

    x = T.lvector("x")
    _, updates = jitgraph.scan(outer, x)
    function([x], [], updates=updates)([1, 10])
    assert c.get_value() == 33


def test_nested_draws(function: Any) -> None:
    srng, calls = MRG_RandomStreams(11), MRG_RandomStreams(11)

    def outer() -> Any:
        return jitgraph.scan(lambda: srng.uniform((2,), dtype="float64"), n_steps=3)

    out, updates = jitgraph.scan(outer, n_steps=2)
    g = jitgraph.function([], calls.uniform((2,), dtype="float64"), mode="reference")
    expected = np.array([g() for _ in range(6)]).reshape(2, 3, 2)
    assert_allclose(function([], out, updates=updates)(), expected, rtol=0, atol=0)


def test_distributions_without_an_array_form_keep_their_numbers(function: Any) -> None:
    srng = RandomStreams(seed=9)
    gamma = RandomFunction("gamma", T.dvector)
    out, updates = jitgraph.scan(lambda: srng.gen(gamma, (2,), 2.5, 1.0), n_steps=3)
    f = function([], out, updates=updates)
    state = np.random.RandomState(np.random.RandomState(9).randint(2**30))
    for _ in range(2):
        assert_array_equal(f(), [state.gamma(2.5, 1.0, 2) for _ in range(3)])


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("replace", [True, False])
def test_weighted_choices(replace: bool, dtype: str) -> None:
    """NumPy's numbers, in C: float32 weights add up to 1 as nearly as their dtype can tell."""
    weights = np.array([0.3, 0.0, 0.1, 0.2, 0.25, 0.15], dtype)
    weights[0] += np.finfo("float32").eps
    p = T.TensorType(dtype, (False,))("p")
    if dtype == "float64":
        weights /= weights.sum()
    srng = RandomStreams(seed=11)
    out, updates = jitgraph.scan(
        lambda: srng.choice((4,), a=6, replace=replace, p=p), n_steps=5, name="drawn"
    )
    f = jitgraph.function([p], out, updates=updates)
    assert not any(type(step).__name__ == "LoopStep" for step in f.compiled.program.steps)
    state = np.random.RandomState(np.random.RandomState(11).randint(2**30))
    for _ in range(2):
        wanted = [state.choice(6, 4, replace, weights) for _ in range(5)]
        assert_array_equal(f(weights), wanted)
    if not replace:
        few = np.array([0.5, 0.5, 0, 0, 0, 0], dtype)
        with pytest.raises(ValueError, match=r"choice: p must be probabilities .* above 0"):
            f(few)
        wanted = [state.choice(6, 4, replace, weights) for _ in range(5)]
        assert_array_equal(f(weights), wanted)  # the refused call has not moved the state
