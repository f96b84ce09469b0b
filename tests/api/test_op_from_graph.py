"""OpFromGraph: a piece of graph as an op, expanded when it is compiled."""

from __future__ import annotations

import numpy as np
import pytest

import jitgraph
import jitgraph.tensor as T
from jitgraph.errors import DisconnectedInputError, MissingInputError, NullTypeGradError
from jitgraph.gradient import DisconnectedType, grad_undefined

X = np.array([[0.5, -1.0], [2.0, 0.25]])


def matrices():
    return T.dmatrix("a"), T.dmatrix("b")


def test_it_computes_the_graph_and_is_fused():
    a, b = matrices()
    op = jitgraph.OpFromGraph([a, b], [a * b + 1, a - b], name="pair")
    x, y = T.dmatrix("x"), T.dmatrix("y")
    product, difference = op(T.exp(x), y)
    f = jitgraph.function([x, y], [T.tanh(product), difference])
    values = f(X, X + 1)
    np.testing.assert_allclose(values[0], np.tanh(np.exp(X) * (X + 1) + 1), rtol=1e-14)
    np.testing.assert_allclose(values[1], np.exp(X) - (X + 1), rtol=1e-14)
    assert not any(isinstance(n.op, jitgraph.OpFromGraph) for n in f.maker.fgraph.toposort())
    assert len(f.program.steps) == 1  # one C entry
    assert str(op) == "OpFromGraph{pair}" and op != jitgraph.OpFromGraph([a, b], [a, b])


def test_rewrites_see_through_it():
    a = T.dvector("a")
    logistic = jitgraph.OpFromGraph([a], [1 / (1 + T.exp(-a))])
    x = T.dvector("x")
    f = jitgraph.function([x], T.log(logistic(x)))
    np.testing.assert_allclose(f([-1000.0]), [-1000.0])


def test_the_gradient_is_that_of_the_graph():
    a, b = matrices()
    op = jitgraph.OpFromGraph([a, b], [T.tanh(a * b)])
    x, y = T.dmatrix("x"), T.dmatrix("y")
    # The second argument is made of the first, which counts once for each.
    for inside, plain in (
        (op(x, y), T.tanh(x * y)),
        (op(x, x * 2), T.tanh(x * x * 2)),
        (op(op(x, y), y), T.tanh(T.tanh(x * y) * y)),
    ):
        arguments = {"on_unused_input": "ignore"}
        mine = jitgraph.function([x, y], T.grad(inside.sum(), x), **arguments)(X, X + 1)
        want = jitgraph.function([x, y], T.grad(plain.sum(), x), **arguments)(X, X + 1)
        np.testing.assert_allclose(mine, want, rtol=1e-13)


def test_two_outputs_may_be_one_variable():
    a = T.dvector("a")
    square = a**2
    op = jitgraph.OpFromGraph([a], [square, square])
    x = T.dvector("x")
    one, two = op(x)
    g = jitgraph.function([x], T.grad((one + 3 * two).sum(), x))
    assert g([1.0, 2.0]).tolist() == [8.0, 16.0]
    h = jitgraph.function([x], T.grad(two.sum(), x))
    assert h([1.0, 2.0]).tolist() == [2.0, 4.0]


def test_shared_variables_are_inputs_of_the_node():
    w = jitgraph.shared(np.array([1.0, 2.0]), name="w")
    a = T.dvector("a")
    op = jitgraph.OpFromGraph([a], [(a * w).sum()])
    x = T.dvector("x")
    cost = op(x)
    assert cost.owner.inputs == [x, w]
    step = jitgraph.function([x], cost, updates=[(w, w - T.grad(cost, w))])
    assert step([1.0, 1.0]) == 3.0 and w.get_value().tolist() == [0.0, 1.0]
    assert step([1.0, 1.0]) == 1.0


def test_a_shared_default_update_is_applied():
    count = jitgraph.shared(0, name="count")
    count.default_update = count + 1
    a = T.lscalar("a")
    x = T.lscalar("x")
    f = jitgraph.function([x], jitgraph.OpFromGraph([a], [a + count])(x))
    assert [int(f(10)), int(f(10)), int(count.get_value())] == [10, 11, 2]


def test_overrides_of_the_whole_gradient():
    a, b = matrices()
    x, y = T.dmatrix("x"), T.dmatrix("y")
    doubled = jitgraph.OpFromGraph([a, b], [a * b])

    def by_grad(inputs, output_grads):
        (p, q), (g,) = inputs, output_grads
        return [10 * g * q, 20 * g * p]

    def by_lop(inputs, outputs, output_grads):
        (_p, q), (out,), (g,) = inputs, outputs, output_grads
        return [g * out, g * q]

    u, v, g = T.dmatrix(), T.dmatrix(), T.dmatrix()
    as_op = jitgraph.OpFromGraph([u, v, g], [30 * g * v, 40 * g * u])
    for override, want in (
        ({"grad_overrides": by_grad}, (10 * X, 20 * X)),
        ({"lop_overrides": by_lop}, (X * X, X)),
        ({"grad_overrides": as_op}, (30 * X, 40 * X)),
        ({"grad_overrides": None}, (0 * X, 0 * X)),
        ({"lop_overrides": "default"}, (X, X)),
    ):
        op = jitgraph.OpFromGraph([a, b], [a * b], **override)
        f = jitgraph.function([x, y], T.grad(op(x, y).sum(), [x, y]), on_unused_input="ignore")
        for mine, its in zip(f(X, X), want, strict=True):
            np.testing.assert_allclose(mine, its, rtol=1e-14)
    assert doubled(x, y).type == x.type


def test_overrides_for_each_input():
    a, b = matrices()
    x, y = T.dmatrix("x"), T.dmatrix("y")

    def first(inputs, output_grads):
        return output_grads[0] * 7

    op = jitgraph.OpFromGraph([a, b], [a * b], grad_overrides=[first, "default"])
    f = jitgraph.function([x, y], T.grad(op(x, y).sum(), [x, y]))
    gx, gy = f(X, X)
    assert (gx == 7).all() and (gy == X).all()
    op = jitgraph.OpFromGraph([a, b], [a * b], lop_overrides=[None, DisconnectedType()()])
    with pytest.raises(DisconnectedInputError):
        T.grad(op(x, y).sum(), y)
    undefined = grad_undefined(None, 0, a, "for the test")
    op = jitgraph.OpFromGraph([a, b], [a * b], grad_overrides=[undefined, None])
    with pytest.raises(NullTypeGradError, match="for the test"):
        T.grad(op(x, y).sum(), x)


def test_overrides_must_cover_shared_variables():
    w = jitgraph.shared(2.0, name="w")
    a = T.dscalar("a")
    op = jitgraph.OpFromGraph([a], [a * w], grad_overrides=lambda inputs, grads: [grads[0]])
    x = T.dscalar("x")
    with pytest.raises(ValueError, match="1 gradients are given for 2 inputs, 1 of them shared"):
        T.grad(op(x), x)


def test_connection_follows_the_graph():
    a, b = matrices()
    op = jitgraph.OpFromGraph([a, b], [a * 2, T.gt(b, 0)])
    x, y = T.dmatrix("x"), T.dmatrix("y")
    doubled, positive = op(x, y)
    assert op.connection_pattern(doubled.owner)[0] == [True, False]
    with pytest.raises(DisconnectedInputError):
        T.grad(doubled.sum(), y)
    assert positive.dtype == "bool"
    stated = jitgraph.OpFromGraph([a, b], [a + b], connection_pattern=[[True], [False]])
    with pytest.raises(DisconnectedInputError):
        T.grad(stated(x, y).sum(), y)


def test_user_ops_and_graphs_may_be_nested():
    @jitgraph.as_op(T.dvector, T.dvector)
    def halved(v):
        return v / 2

    a = T.dvector("a")
    inner = jitgraph.OpFromGraph([a], [halved(a) + 1])
    outer = jitgraph.OpFromGraph([a], [inner(a) * inner(a * 2)])
    x = T.dvector("x")
    for mode in ("FAST_RUN", "reference"):
        assert jitgraph.function([x], outer(x), mode=mode)([2.0]).tolist() == [6.0]


def test_errors():
    a, b = matrices()
    with pytest.raises(ValueError, match="give one of them"):
        jitgraph.OpFromGraph([a], [a], lop_overrides=None, grad_overrides=None)
    for keyword in ("updates", "givens"):
        with pytest.raises(TypeError, match=f"{keyword} are not allowed"):
            jitgraph.OpFromGraph([a], [a], **{keyword: []})
    with pytest.raises(MissingInputError, match=r"need b float64\[\?, \?\]"):
        jitgraph.OpFromGraph([a], [a + b])
    for bad in (a, [3]):
        with pytest.raises(TypeError, match="inputs must be a list of variables"):
            jitgraph.OpFromGraph(bad, [a])
    with pytest.raises(TypeError, match="cannot be an input"):
        jitgraph.OpFromGraph([jitgraph.shared(1.0)], [a])
    with pytest.raises(ValueError, match="takes 1 inputs, got 2"):
        jitgraph.OpFromGraph([a], [a])(a, b)
    with pytest.raises(TypeError):
        jitgraph.OpFromGraph([a], [a])(T.dvector())
