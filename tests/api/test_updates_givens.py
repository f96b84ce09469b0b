"""`updates`, `default_update` and `givens` of `function`."""

from __future__ import annotations

import numpy as np
import pytest

import jitgraph as jg
import jitgraph.tensor as T
from jitgraph import In, function, shared

# -- updates -----------------------------------------------------------------------------------


def test_all_updates_use_the_values_before_the_call():
    a, b = shared(1.0, "a"), shared(2.0, "b")
    f = function([], [a, b, a + b], updates=[(a, b), (b, a)])
    assert f() == [1, 2, 3]
    assert (a.get_value(), b.get_value()) == (2, 1)
    assert f() == [2, 1, 3]
    assert (a.get_value(), b.get_value()) == (1, 2)


@pytest.mark.parametrize(
    "form",
    [
        lambda a, b: [(a, a + 1), (b, b + 2)],
        lambda a, b: ((a, a + 1), (b, b + 2)),
        lambda a, b: [[a, a + 1], [b, b + 2]],
        lambda a, b: {a: a + 1, b: b + 2},
        lambda a, b: jg.OrderedUpdates({a: a + 1, b: b + 2}),
    ],
)
def test_forms_of_updates(form):
    a, b = shared(1.0), shared(2.0)
    function([], updates=form(a, b))()
    assert (a.get_value(), b.get_value()) == (2, 4)


def test_a_number_or_array_as_the_new_value():
    a, v, k = shared(1.0), shared(np.zeros(2)), shared(5)
    f = function([], updates=[(a, 3), (v, np.array([1.0, 2.0])), (k, 7)])
    f()
    assert (a.get_value(), v.get_value().tolist(), k.get_value()) == (3, [1, 2], 7)
    v.get_value(borrow=True)[0] = 99
    f()
    assert v.get_value().tolist() == [1, 2]


def test_one_value_stored_in_two_places():
    a, b = shared(np.zeros(2)), shared(np.zeros(2))
    x = T.dvector("x")
    function([x], updates=[(a, x), (b, x)])([1.0, 2.0])
    a.get_value(borrow=True)[0] = 50
    assert b.get_value().tolist() == [1, 2]


@pytest.mark.parametrize(
    ("updates", "error", "message"),
    [
        (lambda s, x: [(x, x)], TypeError, "update target must be a SharedVariable, got x"),
        (lambda s, x: [(s, s), (s, s + 1)], ValueError, "already has an update expression: s"),
        (lambda s, x: [s, s], ValueError, "a list of pairs"),
        (lambda s, x: [(s, T.cast(s, "float32"))], TypeError, "An update must have the same type"),
        (lambda s, x: [(s, T.stack([s, s]))], TypeError, "An update must have the same type"),
        (lambda s, x: [(s, "text")], (TypeError, ValueError), "text"),
    ],
)
def test_refused_updates(updates, error, message):
    s, x = shared(1.0, name="s"), T.dscalar("x")
    with pytest.raises(error, match=message):
        function([x], x, updates=updates(s, x))


def test_the_type_error_of_an_update_suggests_unbroadcast():
    v = shared(np.ones((1, 2)), name="v")
    with pytest.raises(TypeError, match=r"you can call the tensor.unbroadcast") as caught:
        function([], updates=[(v, v.sum(axis=0, keepdims=True))])
    assert "shared_var=v" in str(caught.value)
    function([], updates=[(v, T.unbroadcast(v.sum(axis=0, keepdims=True), 0))])()
    k = shared(0, name="k")
    with pytest.raises(TypeError, match="An update must have the same type"):
        function([], updates=[(k, k + 1.5)])


# -- default updates ---------------------------------------------------------------------------


@pytest.fixture
def pair():
    a, b = shared(0, name="a"), shared(0, name="b")
    a.default_update, b.default_update = a + 1, b + 10
    return a, b


def test_default_updates_happen_where_a_variable_is_used(pair):
    a, b = pair
    function([], a)()
    assert (a.get_value(), b.get_value()) == (1, 0)
    function([], a + b)()
    assert (a.get_value(), b.get_value()) == (2, 10)


def test_default_updates_bring_in_those_they_read(pair):
    a, b = pair
    a.default_update = a + b
    function([], a)()
    assert (a.get_value(), b.get_value()) == (0, 10)


def test_no_default_updates(pair):
    a, b = pair
    function([], a + b, no_default_updates=True)()
    assert (a.get_value(), b.get_value()) == (0, 0)
    function([], a + b, no_default_updates=[a])()
    assert (a.get_value(), b.get_value()) == (0, 10)
    function([], a + b, updates=[(a, a + 100)])()
    assert (a.get_value(), b.get_value()) == (100, 20)
    function([], a, updates=[(a, a + 1)], no_default_updates=True)()
    assert a.get_value() == 101
    with pytest.raises(TypeError, match="should be either a boolean or a list"):
        function([], a, no_default_updates=3)


def test_a_default_update_of_another_type_is_refused(pair):
    a, _ = pair
    a.default_update = a * 0.1
    with pytest.raises(TypeError, match="An update must have the same type"):
        function([], a)


# -- givens ------------------------------------------------------------------------------------


def test_anything_may_be_replaced_for_one_function():
    x, y = T.dscalars("x", "y")
    s = shared(10.0)
    c = T.constant(np.float64(100.0))
    inner = x * 2
    out = inner + s + c
    assert function([x], out)(1.0) == 112
    assert function([y], out, givens=[(x, y + 1)])(1.0) == 114
    assert function([x], out, givens={s: T.constant(np.float64(0))})(1.0) == 102
    assert function([x], out, givens={c: x})(1.0) == 13
    assert function([x], out, givens={inner: x})(1.0) == 111
    assert function([x], out)(1.0) == 112


def test_givens_reach_updates_and_default_updates():
    x, s = T.dscalar("x"), shared(0.0)
    t = shared(0.0)
    t.default_update = t + x
    function([], s * t, updates=[(s, s + x)], givens=[(x, T.constant(np.float64(5)))])()
    assert (s.get_value(), t.get_value()) == (5, 5)


def test_givens_take_numbers_and_arrays():
    x, v = T.dscalar("x"), T.dvector("v")
    f = function([], v * x, givens={x: 3.0, v: np.array([1.0, 2.0])})
    assert f().tolist() == [3, 6]
    data = shared(np.arange(10.0))
    i = T.lscalar("i")
    batch = function([i], v.sum(), givens={v: data[i * 2 : (i + 1) * 2]})
    assert [batch(0), batch(4)] == [1, 17]


def test_a_safe_conversion_of_the_pattern_is_made():
    m, r = T.dmatrix("m"), T.drow("r")
    assert function([r], m.sum(), givens={m: r})(np.ones((1, 3))) == 3
    with pytest.raises(TypeError, match="Cannot convert Type"):
        function([m], r.sum(), givens={r: m})


@pytest.mark.parametrize(
    ("givens", "error", "message"),
    [
        (lambda x, y, s: {x: y}, RuntimeError, "this variable is an input.*clone"),
        (lambda x, y, s: {s: T.cast(x, "float32")}, TypeError, "Cannot convert Type"),
        (lambda x, y, s: {s: y, y: x}, AssertionError, "depends on y, which is replaced too"),
        (lambda x, y, s: [(s, x), (s, x)], AssertionError, "s is replaced twice"),
        (lambda x, y, s: {"s": x}, TypeError, "'s' is not a variable"),
        (lambda x, y, s: [s, x], ValueError, "a list of pairs"),
    ],
)
def test_refused_givens(givens, error, message):
    x, y, s = T.dscalar("x"), T.dscalar("y"), shared(1.0, name="s")
    with pytest.raises(error, match=message):
        function([x], x * s, givens=givens(x, y, s))


def test_rebuild_strict():
    x, f32 = T.dscalar("x"), T.fscalar("f")
    out = x * 2
    with pytest.raises(TypeError, match="Cannot convert Type"):
        function([f32], out, givens={x: f32})
    loose = function([f32], out, givens={x: f32}, rebuild_strict=False)
    assert loose(np.float32(1.5)).dtype == "float32"


def test_the_graph_of_the_program_is_not_changed():
    x, s = T.dscalar("x"), shared(1.0)
    out = T.log(T.nnet.sigmoid(x)) * s
    node = out.owner
    before = [node, *node.inputs, node.inputs[0].owner.inputs[0].owner]
    function([x], out, updates=[(s, s + out)], givens={s: T.constant(np.float64(2))})
    after = [out.owner, *out.owner.inputs, out.owner.inputs[0].owner.inputs[0].owner]
    assert all(a is b for a, b in zip(before, after, strict=True))


def test_inputs_with_an_update_and_shared_updates_together():
    x, s = T.dscalar("x"), shared(1.0)
    f = function([In(x, value=2.0, update=x * s)], x + s, updates=[(s, s + x)])
    assert [f(), f(), f()] == [3, 5, 11]
    # (x, s): (2, 1) -> (2, 3) -> (6, 5) -> (30, 11)
    assert (f[x], s.get_value()) == (30, 11)


def test_an_update_of_another_dtype_is_told_to_cast():
    w = shared(np.ones(2, dtype="float32"), "w")
    update = w - 0.1 * T.grad((w**2).sum(), w)
    with pytest.raises(
        TypeError, match=r"Convert the update with T\.cast\(…, 'float32'\)"
    ) as caught:
        function([], [], updates=[(w, update)])
    assert "unbroadcast" not in str(caught.value)
    function([], [], updates=[(w, T.cast(update, "float32"))])()
    np.testing.assert_allclose(w.get_value(), [0.8, 0.8], rtol=1e-7)
    row = T.row("row")
    with pytest.raises(TypeError, match="unbroadcast"):
        function([row], [], updates=[(shared(np.ones((1, 2))), row)])
