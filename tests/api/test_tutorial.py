"""The tutorial's programs, with the numbers its pages print."""

from __future__ import annotations

import numpy as np
import pytest

import jitgraph as jg
import jitgraph.tensor as T
from api.tools import results
from jitgraph import In, function, shared


def test_logistic_of_a_matrix():
    x = T.dmatrix("x")
    logistic = function([x], 1 / (1 + T.exp(-x)))
    value = logistic([[0, 1], [-1, -2]])
    printed = [[0.5, 0.73105858], [0.26894142, 0.11920292]]
    np.testing.assert_allclose(value, printed, rtol=0, atol=5e-9)
    names = [node.op.name for node in logistic.maker.fgraph.toposort()]
    assert names == ["sigmoid"]


def test_logistic_by_the_hyperbolic_tangent():
    x = T.dmatrix("x")
    value = function([x], (1 + T.tanh(x / 2)) / 2)([[0, 1], [-1, -2]])
    printed = [[0.5, 0.73105858], [0.26894142, 0.11920292]]
    np.testing.assert_allclose(value, printed, rtol=0, atol=5e-9)


def test_several_outputs_are_a_list():
    a, b = T.dmatrices("a", "b")
    diff = a - b
    f = function([a, b], [diff, abs(diff), diff**2])
    value = f([[1, 1], [1, 1]], [[0, 1], [2, 3]])
    assert type(value) is list
    assert [v.tolist() for v in value] == [
        [[1, 0], [-1, -2]],
        [[1, 0], [1, 2]],
        [[1, 0], [1, 4]],
    ]


def test_default_value():
    x, y = T.dscalars("x", "y")
    f = function([x, In(y, value=1)], x + y)
    for value, expected in ((f(33), 34.0), (f(33, 2), 35.0), (f(33), 34.0)):
        assert type(value) is np.ndarray
        assert value.shape == ()
        assert value.dtype == "float64"
        assert value == expected


def test_defaults_by_position_and_name():
    x, y, w = T.dscalars("x", "y", "w")
    f = function([x, In(y, value=1), In(w, value=2, name="w_by_name")], (x + y) * w)
    assert f(33) == 68.0
    assert f(33, 2) == 70.0
    assert f(33, 0, 1) == 33.0
    assert f(33, w_by_name=1) == 34.0
    assert f(33, w_by_name=1, y=0) == 33.0


def test_inputs_with_defaults_need_not_come_last():
    x, y = T.dscalars("x", "y")
    f = function([In(x, value=1), y], x + y)
    with pytest.raises(TypeError, match="Missing required input: y"):
        f(5.0)
    assert f(y=5.0) == 6.0


@pytest.fixture
def counter():
    state = shared(0)
    inc = T.iscalar("inc")
    accumulate = function([inc], state, updates=[(state, state + inc)])
    return state, inc, accumulate


def test_accumulator(counter):
    state, inc, accumulate = counter
    assert state.get_value().dtype == "int64"
    assert state.get_value() == 0
    assert accumulate(1) == 0
    assert state.get_value() == 1
    assert accumulate(300) == 1
    assert state.get_value() == 301
    state.set_value(-1)
    assert accumulate(3) == -1
    assert state.get_value() == 2
    decrease = function([inc], state, updates=[(state, state - inc)])
    assert decrease(2) == 2
    assert state.get_value() == 0


def test_givens_replace_the_state(counter):
    state, inc, _ = counter
    fn_of_state = state * 2 + inc
    foo = T.scalar(dtype=state.dtype)
    skip = function([inc, foo], fn_of_state, givens=[(state, foo)])
    assert skip(1, 3) == 7
    assert state.get_value() == 0


def test_copy_with_another_state(counter):
    state, _, accumulate = counter
    assert accumulate(10) == 0
    assert state.get_value() == 10
    new_state = shared(0)
    other = accumulate.copy(swap={state: new_state})
    value = other(100)
    assert type(value) is list
    assert value == [0]
    assert new_state.get_value() == 100
    assert state.get_value() == 10
    without = accumulate.copy(delete_updates=True)
    assert without(9000) == [10]
    assert state.get_value() == 10


def logistic_regression():
    """The tutorial's program, its data drawn from RandomState(0) in the order X, y, w."""
    rng = np.random.RandomState(0)
    n, feats = 400, 784
    data = (rng.randn(n, feats), rng.randint(size=n, low=0, high=2))
    x, y = T.dmatrix("x"), T.dvector("y")
    w, b = shared(rng.randn(feats), name="w"), shared(0.0, name="b")
    p_1 = 1 / (1 + T.exp(-T.dot(x, w) - b))
    prediction = p_1 > 0.5
    xent = -y * T.log(p_1) - (1 - y) * T.log(1 - p_1)
    cost = xent.mean() + 0.01 * (w**2).sum()
    gw, gb = T.grad(cost, [w, b])
    train = function(
        inputs=[x, y],
        outputs=[prediction, xent],
        updates=((w, w - 0.1 * gw), (b, b - 0.1 * gb)),
    )
    return data, (x, y, w, b), (prediction, xent, cost), train


def test_logistic_regression():
    data, (x, y, w, b), (prediction, xent, cost), train = logistic_regression()
    predict = function(inputs=[x], outputs=prediction)
    at_first = function([x, y], [xent.mean(), cost])(*data)
    assert b.get_value() == 0.0
    np.testing.assert_allclose(at_first[0], 10.74647024575701, rtol=1e-14)
    np.testing.assert_allclose(at_first[1], 18.0821704, rtol=0, atol=5e-8)
    assert prediction.dtype == "bool"
    pred, err = train(*data)
    np.testing.assert_allclose(err.mean(), 10.74647024575701, rtol=1e-14)
    for _ in range(9999):
        pred, err = train(*data)
    np.testing.assert_allclose(b.get_value(), 0.173760596836, rtol=0, atol=5e-13)
    np.testing.assert_allclose(np.linalg.norm(w.get_value()), 2.59996907422, rtol=0, atol=5e-12)
    np.testing.assert_allclose(
        w.get_value()[:3], [-0.09412283, 0.02071289, 0.02098929], rtol=0, atol=5e-9
    )
    # The recorded run rounded softplus(x) to x above 16 and to 0 below -30, which moves the
    # mean by 2.1e-13; the same program in NumPy without cut-offs gives 0.0494551623976064.
    np.testing.assert_allclose(err.mean(), 0.0494551623974, rtol=0, atol=5e-13)
    np.testing.assert_allclose(err.mean(), 0.0494551623976064, rtol=0, atol=5e-15)
    assert pred.dtype == "bool"
    np.testing.assert_array_equal(predict(data[0]), data[1].astype(bool))


def test_cost_of_a_restricted_boltzmann_machine():
    """Both logarithms become softplus, so saturated sigmoids cost nothing but z."""
    z, v = T.dmatrix("z"), T.dmatrix("v")
    h = T.nnet.sigmoid(z)
    cost = T.mean(T.sum(v * T.log(h) + (1 - v) * T.log(1 - h), axis=1))
    f = function([z, v], cost)
    names = {node.op.name for node in f.maker.fgraph.toposort()}
    assert "log" not in names and "sigmoid_binary_crossentropy" in names
    at = np.array([[800.0, -800.0], [-800.0, 800.0]])
    assert f(at, np.array([[0.0, 1.0], [0.0, 1.0]])) == -800.0


def test_names_can_be_imported_from_where_programs_import_them():
    import jitgraph.tensor.nnet as nnet
    from jitgraph.tensor.nnet import binary_crossentropy
    from jitgraph.tensor.shared_randomstreams import RandomStreams

    assert nnet.binary_crossentropy is binary_crossentropy is T.nnet.nnet.binary_crossentropy
    assert RandomStreams is T.shared_randomstreams.RandomStreams
    assert jg.function is function


def test_random_numbers_of_the_tutorial():
    from jitgraph.tensor.shared_randomstreams import RandomStreams

    srng = RandomStreams(seed=234)
    rv_u, rv_n = srng.uniform((2, 2)), srng.normal((2, 2))
    f = function([], rv_u)
    g = function([], rv_n, no_default_updates=True)
    nearly_zeros = function([], rv_u + rv_u - 2 * rv_u)
    first = [[0.12672381, 0.97091597], [0.13989098, 0.88754825]]
    second = [[0.31971415, 0.47584377], [0.24129163, 0.42046081]]
    normal = [[0.37328447, -0.65746672], [-0.36302373, -0.97484625]]
    np.testing.assert_allclose(f(), first, rtol=0, atol=5e-9)
    np.testing.assert_allclose(f(), second, rtol=0, atol=5e-9)
    np.testing.assert_allclose(g(), normal, rtol=0, atol=5e-9)
    np.testing.assert_allclose(g(), normal, rtol=0, atol=5e-9)
    np.testing.assert_array_equal(nearly_zeros(), np.zeros((2, 2)))
    rng_val = rv_u.rng.get_value(borrow=True)
    rng_val.seed(89234)
    rv_u.rng.set_value(rng_val, borrow=True)
    seeded = [[0.28439105, 0.50552141], [0.00215961, 0.98144963]]
    np.testing.assert_allclose(f(), seeded, rtol=0, atol=5e-9)


def test_state_of_a_stream_can_be_replayed():
    from jitgraph.tensor.shared_randomstreams import RandomStreams

    srng = RandomStreams(seed=234)
    rv_u = srng.uniform((2, 2))
    f = function([], rv_u)
    nearly_zeros = function([], rv_u + rv_u - 2 * rv_u)
    state = rv_u.rng.get_value().get_state()
    nearly_zeros()
    v2 = f()
    rng = rv_u.rng.get_value(borrow=True)
    rng.set_state(state)
    rv_u.rng.set_value(rng, borrow=True)
    v1 = f()
    assert (v1 != v2).all()
    rng.set_state(state)
    nearly_zeros()
    np.testing.assert_array_equal(f(), v2)


def test_states_copied_between_graphs():
    from jitgraph.tensor.shared_randomstreams import RandomStreams

    class Graph:
        def __init__(self, seed: int):
            self.rng = RandomStreams(seed)
            self.y = self.rng.uniform(size=(1,))

    g1, g2 = Graph(seed=123), Graph(seed=987)
    f1, f2 = function([], g1.y), function([], g2.y)
    np.testing.assert_allclose(f1(), [0.72803009], rtol=0, atol=5e-9)
    np.testing.assert_allclose(f2(), [0.55056769], rtol=0, atol=5e-9)
    for su1, su2 in zip(g1.rng.state_updates, g2.rng.state_updates, strict=True):
        su2[0].set_value(su1[0].get_value())
    np.testing.assert_allclose(f1(), [0.59044123], rtol=0, atol=5e-9)
    np.testing.assert_allclose(f2(), [0.59044123], rtol=0, atol=5e-9)


def test_seeds_of_streams():
    from jitgraph.tensor.shared_randomstreams import RandomStreams

    srng = RandomStreams(seed=234)
    draws = [srng.uniform((2,)) for _ in range(3)]
    f = function([], draws)
    for value, seed in zip(f(), (133003720, 999614367, 18391364), strict=True):
        np.testing.assert_array_equal(value, np.random.RandomState(seed).uniform(size=2))
    srng.seed(902340)
    for value, seed in zip(f()[:2], (587227042, 227239711), strict=True):
        np.testing.assert_array_equal(value, np.random.RandomState(seed).uniform(size=2))


def test_expressions_of_python_operators():
    x, y = T.dvectors("x", "y")
    got = results(
        [x + y, x - 2, 3 * x, x / y, x**2, -x, abs(-x), x // 2, x % 2], {x: [1, 2], y: [3, 4]}
    )
    expected = [[4, 6], [-1, 0], [3, 6], [1 / 3, 0.5], [1, 4], [-1, -2], [1, 2], [0, 1], [1, 0]]
    for value, wanted in zip(got, expected, strict=True):
        np.testing.assert_array_equal(value, wanted)
