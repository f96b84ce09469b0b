"""Copies of functions: exchanged state, dropped updates, nothing compiled again."""

from __future__ import annotations

import copy

import numpy as np
import pytest

import jitgraph.tensor as T
from jitgraph import In, function, shared


@pytest.fixture
def made():
    state, scale = shared(0.0, name="state"), shared(2.0, name="scale")
    x = T.dscalar("x")
    f = function([x], state * scale + x, updates=[(state, state + x)], name="add")
    return state, scale, x, f


def test_a_copy_shares_state_and_code(made):
    state, _, _, f = made
    g = f.copy()
    assert g is not f and g.compiled is f.compiled
    assert g(1.0) == [1.0]
    assert state.get_value() == 1
    assert f(1.0) == 3.0
    assert (f.name, g.name, f.copy(name="other").name) == ("add", "add copy", "other")
    assert copy.copy(f)(0.0) == [4.0]


def test_a_copy_returns_a_list_whatever_the_original_returned(made):
    _, _, x, f = made
    assert isinstance(f(1.0), np.ndarray)
    assert type(f.copy()(1.0)) is list
    several = function([x], [x, x + 1]).copy()
    assert several(1.0) == [1, 2]


def test_swapped_state_belongs_to_the_copy_only(made):
    state, scale, _, f = made
    mine, larger = shared(10.0), shared(100.0)
    g = f.copy(swap={state: mine, scale: larger})
    assert g(1.0) == [1001.0]
    assert (state.get_value(), mine.get_value()) == (0, 11)
    assert f(5.0) == 5.0
    assert (state.get_value(), mine.get_value()) == (5, 11)
    assert g.get_shared() == [mine, larger] or g.get_shared() == [larger, mine]
    half = f.copy(swap={state: mine})
    scale.set_value(0.0)
    assert half(7.0) == [7.0]
    again = g.copy(swap={mine: state})
    again(1.0)
    assert state.get_value() == 6


def test_dropped_updates(made):
    state, _, _, f = made
    g = f.copy(delete_updates=True)
    assert g(9000.0) == [9000.0]
    assert state.get_value() == 0
    f(1.0)
    assert state.get_value() == 1
    assert g(0.0) == [2.0]


def test_dropped_updates_of_an_unused_state():
    unused = shared(0.0)
    x = T.dscalar("x")
    f = function([x], x * 2, updates=[(unused, unused + x)])
    assert f.copy(delete_updates=True)(2.0) == [4.0]
    assert unused.get_value() == 0


def test_refused_swaps(made):
    state, _, x, f = made
    with pytest.raises(ValueError, match="SharedVariable: stranger not found"):
        f.copy(swap={shared(1.0, name="stranger"): shared(1.0)})
    with pytest.raises(AssertionError, match=r"state is TensorType.float64, scalar."):
        f.copy(swap={state: shared(np.float32(1))})
    with pytest.raises(AssertionError, match="swap exchanges shared variables"):
        f.copy(swap={state: x})


def test_stored_inputs_are_copied():
    x = T.dscalar("x")
    f = function([In(x, value=1.0, update=x * 2)], x)
    f()
    g = f.copy()
    assert [g(), g()] == [[2.0], [4.0]]
    assert f() == 2.0
    assert (f[x], g[x]) == (4, 8)


def test_random_state_of_a_copy():
    from jitgraph.tensor.shared_randomstreams import RandomStreams

    srng = RandomStreams(seed=3)
    u = srng.uniform((2,))
    f = function([], u)
    other = shared(np.random.RandomState(99))
    g = f.copy(swap={u.rng: other})
    expected = np.random.RandomState(99)
    np.testing.assert_array_equal(g()[0], expected.uniform(size=2))
    np.testing.assert_array_equal(g()[0], expected.uniform(size=2))
    mine = u.rng.get_value()
    frozen = f.copy(delete_updates=True)
    np.testing.assert_array_equal(frozen()[0], frozen()[0])
    np.testing.assert_array_equal(f(), mine.uniform(size=2))


def test_share_memory_and_profile_are_accepted(made):
    _, _, _, f = made
    assert f.copy(share_memory=True, profile=False)(1.0) == [1.0]
