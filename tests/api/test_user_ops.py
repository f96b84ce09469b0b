"""Ops that a program defines: the protocol of Theano's Op, and as_op."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

import jitgraph
import jitgraph.tensor as T
from jitgraph.compile.ops import as_op
from jitgraph.errors import MethodNotDefined
from jitgraph.extending.user_op import PerformStep
from jitgraph.gradient import DisconnectedType
from jitgraph.graph import toposort

X = np.arange(6.0).reshape(2, 3) / 4


class Cube(jitgraph.Op):
    """x ** 3, as tutorials write an op."""

    __props__ = ()

    def make_node(self, x):
        x = T.as_tensor_variable(x)
        return jitgraph.Apply(self, [x], [x.type()])

    def perform(self, node, inputs, output_storage):
        (x,) = inputs
        output_storage[0][0] = x**3

    def infer_shape(self, node, shapes):
        return shapes

    def grad(self, inputs, output_grads):
        return [output_grads[0] * 3 * inputs[0] ** 2]


class Scaled(jitgraph.Op):
    __props__ = ("factor",)

    def __init__(self, factor):
        self.factor = factor

    def make_node(self, x):
        return jitgraph.Apply(self, [x], [x.type()])

    def perform(self, node, inputs, output_storage):
        output_storage[0][0] = inputs[0] * self.factor


@pytest.mark.parametrize("mode", ["FAST_RUN", "FAST_COMPILE", "reference", "DebugMode"])
def test_an_op_between_compiled_loops(mode):
    x = T.dmatrix("x")
    y = T.tanh(Cube()(T.exp(x)) + 1)
    f = jitgraph.function([x], [y, y.shape], mode=mode)
    value, shape = f(X)
    np.testing.assert_allclose(value, np.tanh(np.exp(X) ** 3 + 1), rtol=1e-14)
    assert shape.tolist() == [2, 3]


def test_it_runs_as_a_step_and_the_rest_is_compiled():
    x = T.dmatrix("x")
    f = jitgraph.function([x], T.exp(Cube()(x * 2)))
    ops = [node.op for node in f.maker.fgraph.toposort()]
    assert ops.count(Cube()) == 1 and not any(isinstance(op, PerformStep) for op in ops)
    assert [type(step).__name__ for step in f.program.steps] == [
        "CompiledStep",
        "PythonStep",
        "CompiledStep",
    ]
    assert "Cube" in f.debugprint(file="str")


def test_gradients_use_the_ops_own():
    x = T.dmatrix("x")
    g = T.grad(Cube()(x * x).sum(), x)
    np.testing.assert_allclose(jitgraph.function([x], g)(X), 6 * X**5, rtol=1e-13)
    jitgraph.gradient.verify_grad(Cube(), [X], rng=np.random.RandomState(1))
    point = T.dmatrix("point")
    product = jitgraph.function([x, point], jitgraph.Rop(Cube()(x), x, point))
    np.testing.assert_allclose(product(X, X + 1), 3 * X**2 * (X + 1), rtol=1e-13)


def test_l_op_is_asked_with_the_outputs():
    class Exp(Cube):
        def perform(self, node, inputs, output_storage):
            output_storage[0][0] = np.exp(inputs[0])

        def L_op(self, inputs, outputs, output_grads):
            assert outputs[0].owner.op == self
            return [output_grads[0] * outputs[0]]

    x = T.dvector("x")
    g = jitgraph.function([x], T.grad(Exp()(x).sum(), x))
    np.testing.assert_allclose(g([0.0, 1.0]), np.exp([0.0, 1.0]), rtol=1e-15)


def test_no_gradient_is_an_error_when_it_is_asked_for():
    x = T.dvector("x")
    with pytest.raises(MethodNotDefined, match=r"Scaled.*test_user_ops\.py") as caught:
        T.grad(Scaled(2.0)(x).sum(), x)
    assert caught.value.args[:2] == ("grad", Scaled)


def test_props_decide_which_ops_are_equal():
    class Plain(Scaled):
        __props__ = None

    assert Scaled(2.0) == Scaled(2.0) != Scaled(3.0)
    assert hash(Scaled(2.0)) == hash(Scaled(2.0)) and str(Scaled(2.0)) == "Scaled{factor=2.0}"
    one = Plain(2.0)
    assert one == one and one != Plain(2.0)
    x = T.dvector("x")
    f = jitgraph.function([x], Scaled(2.0)(x) + Scaled(2.0)(x) + Scaled(3.0)(x))
    scaled = [n.op.factor for n in f.maker.fgraph.toposort() if isinstance(n.op, Scaled)]
    assert sorted(scaled) == [2.0, 3.0]  # equal nodes are one
    assert f([1.0, 2.0]).tolist() == [7.0, 14.0]


def test_itypes_and_otypes_replace_make_node():
    class Both(jitgraph.Op):
        itypes = (T.dvector, T.lscalar)
        otypes = (T.dvector, T.dscalar)

        def perform(self, node, inputs, output_storage):
            output_storage[0][0] = inputs[0][: inputs[1]]
            output_storage[1][0] = np.float64(inputs[0].sum())

    x, n = T.dvector("x"), T.lscalar("n")
    outputs = Both()(x, n)
    assert [v.type for v in outputs] == [T.dvector, T.dscalar]
    first, total = jitgraph.function([x, n], outputs)([1.0, 2.0, 4.0], 2)
    assert first.tolist() == [1.0, 2.0] and total == 7.0 and total.shape == ()
    with pytest.raises(TypeError, match="We expected inputs of types"):
        Both()(T.fvector(), n)
    with pytest.raises(ValueError, match="takes 2 inputs, got 1"):
        Both()(x)
    with pytest.raises(NotImplementedError, match="neither make_node nor itypes"):
        jitgraph.Op()(x)


def test_the_shape_may_depend_on_a_value():
    class Repeated(jitgraph.Op):
        __props__ = ()

        def make_node(self, x, n):
            return jitgraph.Apply(self, [x, n], [T.dvector()])

        def perform(self, node, inputs, output_storage):
            output_storage[0][0] = np.full(int(inputs[1]), inputs[0])

        def infer_shape(self, node, shapes):
            return [(node.inputs[1],)]

    x, n = T.dscalar("x"), T.iscalar("n")
    y = Repeated()(x, n)
    f = jitgraph.function([x, n], [y.shape[0] * 2, T.exp(y)])
    length, value = f(0.0, 3)
    assert length == 6 and value.tolist() == [1.0, 1.0, 1.0]
    # Its length does not need the values.
    g = jitgraph.function([x, n], y.shape[0], on_unused_input="ignore")
    assert g(0.0, 5) == 5 and len(g.maker.fgraph.toposort()) <= 2


def test_a_changed_infer_shape_is_compiled_anew():
    """The compiled code holds what infer_shape said, so that is a part of the key."""

    def variant(extra):
        class Padded(jitgraph.Op):
            __props__ = ()

            def make_node(self, x):
                return jitgraph.Apply(self, [x], [x.type()])

            def perform(self, node, inputs, output_storage):
                output_storage[0][0] = np.zeros(len(inputs[0]) + extra)

            def infer_shape(self, node, shapes):
                return [(shapes[0][0] + extra,)]

        x = T.dvector("x")
        f = jitgraph.function([x], Padded()(x).shape[0])
        return f, int(f([1.0, 2.0]))

    (f, one), (g, two) = variant(1), variant(2)
    assert (one, two) == (3, 4)
    assert f.compile_report()["entry"] != g.compile_report()["entry"]


def test_a_wrong_infer_shape_warns_or_raises():
    class Wrong(Cube):
        def infer_shape(self, node, shapes):
            return [(shapes[0][0],)]

    x = T.dmatrix("x")
    with pytest.warns(UserWarning, match=r"Wrong.infer_shape failed.*rank \[2\]"):
        f = jitgraph.function([x], Wrong()(x).shape)
    assert f(X).tolist() == [2, 3]  # found by computing

    class AlsoWrong(Wrong):
        pass

    with (
        jitgraph.config.change_flags(on_shape_error="raise"),
        pytest.raises(ValueError, match=r"AlsoWrong.infer_shape gave \[1\] lengths"),
    ):
        jitgraph.function([x], AlsoWrong()(x).shape)


@pytest.mark.parametrize(
    ("result", "complaint"),
    [
        (lambda x: x.astype("float32"), r"must be TensorType\(float64, vector\), got float32"),
        (lambda x: x[None], r"got float64 of shape \(1, 2\)"),
        (lambda x: [1.0, 2.0], "got list"),
        (lambda x: None, "left output 0 empty"),
    ],
)
def test_results_of_another_type_are_errors(result, complaint):
    class Odd(jitgraph.Op):
        itypes, otypes = (T.dvector,), (T.dvector,)

        def perform(self, node, inputs, output_storage):
            output_storage[0][0] = result(inputs[0])

    x = T.dvector("x")
    f = jitgraph.function([x], Odd()(x))
    with pytest.raises((TypeError, ValueError), match=complaint):
        f([1.0, 2.0])


def test_inputs_are_not_changed_and_results_are_apart():
    class Rude(jitgraph.Op):
        itypes, otypes = (T.dvector,), (T.dvector,)

        def perform(self, node, inputs, output_storage):
            inputs[0][0] = 9.0
            output_storage[0][0] = inputs[0]

    class Open(Rude):
        destroy_map = {0: [0]}  # noqa: RUF012

    class View(jitgraph.Op):
        itypes, otypes = (T.dvector,), (T.dvector,)

        def perform(self, node, inputs, output_storage):
            output_storage[0][0] = inputs[0][::-1]

    x = T.dvector("x")
    a = np.array([1.0, 2.0])
    with pytest.raises(ValueError, match="read-only"):
        jitgraph.function([x], Rude()(x))(a)
    assert jitgraph.function([x], Open()(x))(a).tolist() == [9.0, 2.0] and a[0] == 1.0
    reversed_ = jitgraph.function([x], View()(x))(a)
    reversed_[:] = 0
    assert a.tolist() == [1.0, 2.0]


def test_several_outputs_and_a_default_one():
    class Parts(jitgraph.Op):
        __props__ = ()
        default_output = 1

        def make_node(self, x):
            return jitgraph.Apply(self, [x], [x.type(), x.type()])

        def perform(self, node, inputs, output_storage):
            for cell, value in zip(output_storage, np.modf(inputs[0]), strict=True):
                cell[0] = value

        def grad(self, inputs, output_grads):
            fraction, _whole = output_grads
            if isinstance(fraction.type, DisconnectedType):
                return [inputs[0].zeros_like()]
            return [fraction]

    x = T.dvector("x")
    assert Parts()(x).owner.outputs[1] is not None
    fraction, whole = Parts()(x, return_list=True)
    f = jitgraph.function([x], [fraction, Parts()(x), T.grad(whole.sum(), x)])
    a, b, g = f([1.5, 2.25])
    assert (a.tolist(), b.tolist(), g.tolist()) == ([0.5, 0.25], [1.0, 2.0], [0.0, 0.0])
    assert jitgraph.function([x], T.grad(fraction.sum(), x))([1.5]).tolist() == [1.0]


def test_an_error_in_perform_names_the_op_and_the_line():
    class Failing(jitgraph.Op):
        itypes, otypes = (T.dvector,), (T.dvector,)

        def perform(self, node, inputs, output_storage):
            raise ValueError("no luck")

    x = T.dvector("x")
    f = jitgraph.function([x], Failing()(x * 2))
    with pytest.raises(ValueError, match=r"Failing: no luck: .*float64\[2\].*test_user_ops\.py"):
        f([1.0, 2.0])


def test_c_code_is_announced_as_unused():
    class WithC(Cube):
        def c_code(self, node, name, inputs, outputs, sub):
            return "garbage"

    class OnlyC(jitgraph.Op):
        itypes, otypes = (T.dvector,), (T.dvector,)

        def c_code(self, node, name, inputs, outputs, sub):
            return "garbage"

    x = T.dvector("x")
    with pytest.warns(UserWarning, match="WithC has C code of its own, which is not used"):
        f = jitgraph.function([x], WithC()(x))
    assert f([2.0]).tolist() == [8.0]
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # once for each class
        jitgraph.function([x], WithC()(x) + 1)
    with pytest.raises(MethodNotDefined, match=r"OnlyC has no perform.*C code is not used"):
        jitgraph.function([x], OnlyC()(x))


def test_eval_clone_and_givens_take_user_ops():
    x, y = T.dvector("x"), T.dvector("y")
    cube = Cube()(x)
    assert cube.eval({x: [2.0]}).tolist() == [8.0]
    assert jitgraph.clone(cube, replace={x: y}).eval({y: [3.0]}).tolist() == [27.0]
    assert jitgraph.function([y], cube, givens={x: y + 1})([0.0]).tolist() == [1.0]
    assert jitgraph.pprint(cube) == "Cube(x)"


# -- as_op ---------------------------------------------------------------------------------------


@as_op(itypes=[T.dmatrix], otypes=[T.dvector], infer_shape=lambda node, shapes: [shapes[0][:1]])
def row_maxima(a):
    """The largest element of each row."""
    return a.max(axis=1)


def test_a_decorated_function_is_an_op():
    x = T.dmatrix("x")
    y = row_maxima(x)
    f = jitgraph.function([x], [T.exp(y), y.shape[0]])
    value, length = f(X)
    np.testing.assert_allclose(value, np.exp(X.max(axis=1)), rtol=1e-15)
    assert length == 2 and y.type == T.dvector and "largest" in row_maxima.__doc__
    assert jitgraph.as_op is as_op
    assert str(row_maxima) == "FromFunctionOp{row_maxima}"


def test_as_op_checks_types_and_has_no_gradient():
    for bad in ([int], "dvector", [T.dvector()]):
        with pytest.raises(TypeError, match="itypes must be a type"):
            as_op(bad, [T.dvector])
    with pytest.raises(TypeError, match="infer_shape must be callable"):
        as_op(T.dvector, T.dvector, infer_shape=3)
    x = T.dmatrix("x")
    with pytest.raises(TypeError, match="We expected inputs of types"):
        row_maxima(T.fmatrix())
    # The class that programs for Theano catch, and the one of every other op here.
    for class_ in (AttributeError, MethodNotDefined):
        with pytest.raises(class_, match="row_maxima is a function on arrays"):
            T.grad(row_maxima(x).sum(), x)
    two = as_op([T.dvector], [T.dvector, T.dvector])(lambda a: a)
    v = T.dvector()
    with pytest.raises(ValueError, match="returned 1 values for 2 outputs"):
        jitgraph.function([v], two(v))([1.0])


def test_the_graph_of_a_user_op_is_the_users():
    """Compiling changes nothing that the program holds."""
    x = T.dvector("x")
    y = Cube()(x) + 1
    before = [n.op for n in toposort([y])]
    jitgraph.function([x], y)
    assert [n.op for n in toposort([y])] == before


@as_op(T.dscalar, T.dscalar)
def halved(a):
    return np.asarray(a / 2)


@pytest.mark.parametrize("mode", ["FAST_RUN", "reference"])
def test_ops_in_the_body_of_a_loop(mode):
    a = T.dscalar("a")
    shifted = jitgraph.OpFromGraph([a], [T.tanh(a) + 1])
    x = T.dvector("x")
    values = np.array([1.0, 2.0, 4.0])
    zero = T.constant(np.float64(0))

    def sums(of):
        results, _ = jitgraph.scan(lambda v, s: s + of(v), sequences=x, outputs_info=zero)
        return results

    f = jitgraph.function([x], [sums(halved), sums(shifted)], mode=mode)
    by_op, by_graph = f(values)
    np.testing.assert_allclose(by_op, np.cumsum(values / 2), rtol=1e-15)
    np.testing.assert_allclose(by_graph, np.cumsum(np.tanh(values) + 1), rtol=1e-15)
    slope = jitgraph.function([x], T.grad(sums(shifted)[-1], x), mode=mode)
    np.testing.assert_allclose(slope(values), 1 - np.tanh(values) ** 2, rtol=1e-12)
