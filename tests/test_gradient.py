"""`jitgraph.grad`: the form of its answer, its arguments and errors, depth and order."""

from __future__ import annotations

import inspect
import re
import subprocess
import sys
import warnings
from typing import Any

import numpy as np
import pytest
from numeric_gradient import value

import jitgraph
import jitgraph.tensor as T
from jitgraph import gradient
from jitgraph.errors import DisconnectedInputError, MethodNotDefined, NullTypeGradError
from jitgraph.gradient import (
    DisconnectedType,
    Lop,
    NullType,
    Rop,
    format_as,
    grad,
    is_zero,
)
from jitgraph.graph import Apply, TensorType, Variable
from jitgraph.op import DISCONNECTED, Op, Undefined
from jitgraph.ops.elementwise import FILL, Elementwise
from jitgraph.reference import evaluate
from jitgraph.tensor import nnet


def line() -> int:
    """The number of the line this is called from."""
    frame = inspect.currentframe()
    assert frame is not None and frame.f_back is not None
    return frame.f_back.f_lineno


def names_line(message: object, number: int) -> bool:
    return f"test_gradient.py:{number}" in str(message)


class Opaque(Op):
    """x + 1, by an op that has no gradient."""

    def make_node(self, x: Any) -> Apply:
        x = T.as_tensor_variable(x)
        return Apply(self, [x], [x.type.make_variable()])

    def evaluate(self, *arrays: np.ndarray) -> tuple[np.ndarray, ...]:
        return (np.asarray(arrays[0] + 1),)


class Answers(Opaque):
    """x + 1, whose gradient is whatever it was made with."""

    __props__ = ("answer",)

    def __init__(self, answer: Any):
        self.answer = answer

    def grad(self, inputs: Any, outputs: Any, grads: Any) -> Any:
        return self.answer(inputs, grads)


# -- form of the answer --------------------------------------------------------------------------


def test_form_mirrors_wrt() -> None:
    x, y = T.dvectors("x", "y")
    cost = (x * y).sum()
    assert isinstance(grad(cost, x), Variable)
    assert [type(grad(cost, k([x, y]))) for k in (list, tuple)] == [list, tuple]
    assert grad(cost, []) == []
    a, b = grad(cost, (y, x))
    assert value([a, b], x=[1, 2], y=[3, 4])[0].tolist() == [1, 2]
    assert value([a, b], x=[1, 2], y=[3, 4])[1].tolist() == [3, 4]
    first, second = grad(cost, [x, x])
    assert first is second


def test_public_names() -> None:
    assert jitgraph.grad is gradient.grad
    assert T.grad is gradient.grad
    assert T.verify_grad is gradient.verify_grad
    assert T.consider_constant is gradient.consider_constant
    assert (jitgraph.Lop, jitgraph.Rop) == (Lop, Rop)


def test_gradients_are_named() -> None:
    x, y, z = T.dscalars("x", "y", "z")
    cost = x * y + z
    assert grad(cost, x).name is None  # the cost has no name
    cost.name = "cost"
    gx, gz = grad(cost, [x, z])
    assert (gx.name, gz.name) == ("(dcost/dx)", "(dcost/dz)")
    assert grad(cost, x, add_names=False).name is None
    unnamed = T.dscalar()
    other = x * unnamed
    other.name = "other"
    assert grad(other, unnamed).name is None


def test_equal_gradients_have_names_of_their_own() -> None:
    x, y = T.dscalars("x", "y")
    cost = x + y
    cost.name = "c"
    gx, gy = grad(cost, [x, y])
    assert (gx.name, gy.name) == ("(dc/dx)", "(dc/dy)")


def test_names_never_stick_to_variables_of_the_user() -> None:
    x, g = T.dscalars("x", "g")
    y = x * 1.5
    y.name = "y"
    assert grad(y, y, known_grads={y: g}).name == "(dy/dy)"
    assert g.name == "g"


def test_structure_of_the_gradient_of_a_sum_of_squares() -> None:
    """((fill(x**2, fill(sum(x**2), 1)) * 2) * x**(2 - 1)), the form that pprint shows."""
    x = T.dvector("x")
    cost = (x**2).sum()

    def parts(v: Variable) -> tuple[str, list[Variable]]:
        while v.owner is not None and type(v.owner.op).__name__ == "DimShuffle":
            v = v.owner.inputs[0]
        return ("" if v.owner is None else v.owner.op.name), v.owner.inputs if v.owner else []

    name, (left, right) = parts(grad(cost, x))
    assert name == "mul"
    name, (filled, two) = parts(left)
    assert name == "mul" and T.extract_constant(two) == 2
    name, (model, seed) = parts(filled)
    assert name == "second" and parts(model)[0] == "pow"
    name, (total, one) = parts(seed)
    assert name == "second" and parts(total)[0] == "sum" and T.extract_constant(one) == 1
    name, (base, exponent) = parts(right)
    assert name == "pow" and base is x and parts(exponent)[0] == "sub"


def test_gradient_of_the_cost_itself_is_one() -> None:
    x = T.dscalar("x")
    y = x**2
    gy, gx = grad(y, [y, x])
    assert value([gy, gx], x=3) == [1.0, 6.0]


def test_dtype_is_not_cast_back() -> None:
    w, x = T.fvector("w"), T.dvector("x")
    assert grad((w * x).sum(), w).type.dtype == "float64"
    assert grad((w * 2).sum(), w).type.dtype == "float32"


def test_intermediate_variables() -> None:
    x = T.dscalar("x")
    h = T.sin(x)
    y = h**2 * x
    gh, gx = grad(y, [h, x])
    got = value([gh, gx], x=0.7)
    np.testing.assert_allclose(got[0], 2 * np.sin(0.7) * 0.7, rtol=1e-15)
    np.testing.assert_allclose(
        got[1], np.sin(0.7) ** 2 + 2 * 0.7 * np.sin(0.7) * np.cos(0.7), rtol=1e-15
    )
    # The answer is in terms of h itself, so h may be given in its place.
    assert evaluate([grad(h**2, h)], {h: np.array(5.0)}) == [10.0]


# -- integers ------------------------------------------------------------------------------------


def test_discrete_cost_has_zero_gradients() -> None:
    i, x = T.lvector("i"), T.dvector("x")
    got = value(grad(i.sum(), [i]), i=[1, 2])[0]
    assert got.dtype == "float64" and got.tolist() == [0, 0]
    assert value(grad(T.gt(x, 0).sum(), x), x=[1, 2]).tolist() == [0, 0]
    with jitgraph.config.change_flags(floatX="float32"):
        assert grad(i.sum(), i).type.dtype == "float32"


def test_integer_variable_receives_a_float_gradient() -> None:
    i, x = T.lvector("i"), T.dvector("x")
    got = value(grad((i * x).sum(), [i, x]), i=[1, 2], x=[0.5, 1.5])
    assert [g.dtype.name for g in got] == ["float64", "float64"]
    assert [g.tolist() for g in got] == [[0.5, 1.5], [1.0, 2.0]]


def test_path_through_integers_only_is_zero() -> None:
    i, x = T.lscalar("i"), T.dscalar("x")
    assert value(grad(x * (i * 2 + i // 3), i), i=4, x=0.5) == 0
    y = T.cast(x, "int64") * T.floor(x) * T.round_half_to_even(x)
    assert value(grad(y, x), x=2.2) == 0


def test_op_without_gradient_is_no_obstacle_to_zero() -> None:
    x = T.dscalar("x")
    assert value(grad(T.floor(Opaque()(x)) + x, x), x=2.2) == 1


def test_zero_gradient_survives_an_infinite_slope() -> None:
    x = T.dscalar("x")
    assert value(grad(T.floor(T.sqrt(x)), x), x=0) == 0  # not 0 * inf


# -- consider_constant, known_grads --------------------------------------------------------------


def test_consider_constant() -> None:
    x = T.dscalar("x")
    h = x**2
    cost = h * x
    assert value(grad(cost, x), x=3.0) == 27
    assert value(grad(cost, x, consider_constant=[h]), x=3.0) == 9
    # Naming wrt itself takes nothing away.
    assert value(grad(cost, [h, x], consider_constant=[h]), x=3.0) == [3.0, 9.0]
    with pytest.raises(DisconnectedInputError):
        grad(h, x, consider_constant=[h])


def test_consider_constant_takes_a_list() -> None:
    x = T.dscalar("x")
    with pytest.raises(ValueError, match="length not known"):
        grad(x**2, x, consider_constant=T.dvector())
    with pytest.raises(TypeError, match="list of variables, got 3"):
        grad(x**2, x, consider_constant=3)
    with pytest.raises(TypeError, match=r"takes variables, got 1\.0"):
        grad(x**2, x, consider_constant=[1.0])


def test_known_grads_replace_what_lies_above() -> None:
    x, g = T.dvectors("x", "g")
    h = T.sin(x)
    cost = (h**2).sum()
    by_hand = value(g * T.cos(x), x=[0.1, 0.2], g=[3, 4])
    without_cost = value(grad(None, x, known_grads={h: g}), x=[0.1, 0.2], g=[3, 4])
    np.testing.assert_array_equal(without_cost, by_hand)
    with_cost = value(grad(cost, x, known_grads={h: g}), x=[0.1, 0.2], g=[3, 4])
    np.testing.assert_array_equal(with_cost, by_hand)
    besides = value(grad(cost + x.sum(), x, known_grads={h: g}), x=[0.1, 0.2], g=[3, 4])
    np.testing.assert_allclose(besides, by_hand + 1, rtol=1e-15)
    scaled = value(grad(cost, x, known_grads={cost: np.array(2.0)}), x=[0.1, 0.2])
    np.testing.assert_allclose(scaled, 2 * value(grad(cost, x), x=[0.1, 0.2]), rtol=1e-15)


def test_known_grads_of_a_chain() -> None:
    """A known gradient below another takes over from there."""
    x = T.dscalar("x")
    a = x * 2
    b = a * 3
    got = grad(None, [x, a], known_grads={b: T.constant(5.0), a: T.constant(7.0)})
    assert value(got, x=1.0) == [14.0, 7.0]


def test_known_grads_are_stabilised_too() -> None:
    x = T.dvector("x")
    y = T.log(nnet.sigmoid(x))
    got = value(Lop(y, x, np.ones(2)), x=[-1e3, 1e3])
    assert got.tolist() == [1.0, 0.0]


def test_known_grads_errors() -> None:
    x = T.dscalar("x")
    y = x**2
    with pytest.raises(TypeError, match="gradient must be float"):
        grad(None, x, known_grads={y: T.lscalar()})
    with pytest.raises(TypeError, match="cannot be the gradient of"):
        grad(None, x, known_grads={y: T.dvector()})
    with pytest.raises(TypeError, match="no variable"):
        grad(None, x, known_grads={1: x})  # type: ignore[dict-item]
    with pytest.raises(AssertionError, match="cost or known_grads"):
        grad(None, x)


# -- disconnected, undefined, missing ------------------------------------------------------------


def test_disconnected_inputs() -> None:
    x, other = T.dvector("x"), T.dvector("other")
    cost = x.sum()
    with pytest.raises(DisconnectedInputError) as caught:
        grad(cost, other)
    at = line() - 1
    assert names_line(caught.value, at)
    assert "other float64[?]" in str(caught.value)
    assert isinstance(caught.value, ValueError)
    with pytest.warns(UserWarning, match="other") as seen:
        g = grad(cost, [x, other], disconnected_inputs="warn")
    assert seen[0].filename == __file__
    assert value(g, x=[1, 2], other=[1, 2, 3])[1].tolist() == [0, 0, 0]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        g = grad(cost, other, disconnected_inputs="ignore")
    assert value(g, other=[1, 2, 3]).tolist() == [0, 0, 0]


def test_what_is_disconnected() -> None:
    x, i = T.dmatrix("x"), T.lscalar("i")
    for cost in (x.shape.sum() * 1.0, T.argmax(x) * 1.0, T.fill(x, 1.0).sum()):
        with pytest.raises(DisconnectedInputError):
            grad(cost, x)
    with pytest.raises(DisconnectedInputError):
        grad(x[i].sum(), i)
    with pytest.raises(DisconnectedInputError):
        grad(T.alloc(2.0, i).sum(), i)
    with pytest.raises(DisconnectedInputError):
        grad(gradient.disconnected_grad(x).sum(), x)


def test_connection_counts_as_the_user_wrote_it() -> None:
    """A rewrite that removes the dependence does not turn zero into an error."""
    x = T.dvector("x")
    for cost in ((x * 0).sum(), (x - x).sum(), T.eq(x, x).sum() * 1.0):
        assert value(grad(cost, x), x=[1, 2]).tolist() == [0, 0]


def test_return_disconnected() -> None:
    x, other = T.dscalar("x"), T.dscalar("other")

    def asked(choice: str) -> Any:
        return grad(x**2, other, disconnected_inputs="ignore", return_disconnected=choice)

    assert value(asked("zero"), other=1.0) == 0
    assert asked("None") is None
    assert asked("Disconnected") is DISCONNECTED
    assert isinstance(asked("Disconnected").type, DisconnectedType)
    assert DisconnectedType()() is DISCONNECTED


def test_null_gradients() -> None:
    x = T.dscalar("x")
    y = gradient.undefined_grad(x) * x
    with pytest.raises(NullTypeGradError) as caught:
        grad(y, x)
    at = line() - 1
    assert names_line(caught.value, at) and "undefined_grad" in str(caught.value)
    assert isinstance(caught.value, TypeError)
    g = grad(y, x, null_gradients="return")
    assert isinstance(g, Undefined) and isinstance(g.type, NullType)
    assert NullType("why").why_null == NullType("why")().reason == "why"
    # Only what reaches a wrt matters.
    z = T.dscalar("z")
    assert value(grad(y * z, z), x=2.0, z=1.0) == 4


def test_undefined_reason_tells_the_place() -> None:
    x = T.dscalar("x")
    h = T.exp(x)
    at = line() - 1
    g = gradient.grad_undefined(Opaque(), 0, h, "because")
    assert names_line(g.reason, at) and g.reason.endswith("undefined: because")
    assert "not implemented" in gradient.grad_not_implemented(Opaque(), 0, h).reason


def test_op_without_gradient() -> None:
    x, z = T.dscalar("x"), T.dscalar("z")
    y = Opaque()(T.exp(x)) * z
    at = line() - 1
    with pytest.raises(MethodNotDefined) as caught:
        grad(y, x)
    what, cls, text = caught.value.args
    assert (what, cls) == ("grad", Opaque)
    assert "Opaque" in text and names_line(text, at)
    assert value(grad(y, z), x=0.0, z=1.0) == 2  # not on the way to z


@pytest.mark.parametrize(
    ("answer", "error", "text"),
    [
        (lambda i, g: [g[0], g[0]], ValueError, "2 gradients for 1 inputs"),
        (lambda i, g: [1.0], TypeError, "no variable"),
        (lambda i, g: [g[0].dimshuffle("x")], ValueError, "for input 0"),
        (lambda i, g: [T.cast(g[0], "int64")], TypeError, "integer gradient"),
    ],
)
def test_wrong_answers_of_an_op(answer: Any, error: type[Exception], text: str) -> None:
    x = T.dscalar("x")
    y = Answers(answer)(x)
    at = line() - 1
    with pytest.raises(error, match=re.escape(text)) as caught:
        grad(y * 2, x)
    assert "Answers.grad" in str(caught.value) and names_line(caught.value, at)


# -- other bad calls -----------------------------------------------------------------------------


def test_bad_costs() -> None:
    x = T.dvector("x")
    with pytest.raises(TypeError, match=r"^cost must be a scalar\. Got .*test_gradient\.py:"):
        grad(x * 2, x)
    with pytest.raises(TypeError, match=r"cost must be a scalar variable, got 1\.0"):
        grad(1.0, x)  # type: ignore[arg-type]


def test_bad_wrt() -> None:
    x = T.dscalar("x")
    with pytest.raises(TypeError, match="must not be a set"):
        grad(x**2, {x})
    with pytest.raises(
        TypeError, match=r"Expected Variable, got 1 of type int .*test_gradient\.py"
    ):
        grad(x**2, [x, 1])
    with pytest.raises(TypeError, match="Expected Variable, got None"):
        grad(x**2, None)
    with pytest.raises(TypeError, match="Generic"):
        grad(x**2, jitgraph.shared({"a": 1}, name="s"))


@pytest.mark.parametrize("what", ["disconnected_inputs", "return_disconnected", "null_gradients"])
def test_unknown_choices(what: str) -> None:
    x = T.dscalar("x")
    with pytest.raises(ValueError, match=f"{what} must be one of .*'perhaps'"):
        grad(x**2, x, **{what: "perhaps"})


def test_format_as() -> None:
    assert format_as(True, False, (1, 2)) == [1, 2]
    assert format_as(False, True, [1, 2]) == (1, 2)
    assert format_as(False, False, [1]) == 1
    assert format_as(True, False, 1) == [1]
    with pytest.raises(AssertionError):
        format_as(False, False, [1, 2])
    with pytest.raises(AssertionError):
        format_as(True, True, [1])


# -- size and order ------------------------------------------------------------------------------


def test_depth_of_five_thousand() -> None:
    x = T.dscalar("x")
    y = x
    for _ in range(5000):
        y = T.sin(y) * 1.0001
    assert sys.getrecursionlimit() < 5000
    got = value(grad(y, x), x=0.3)
    z, slope_ = 0.3, 1.0
    for _ in range(5000):
        slope_ *= 1.0001 * np.cos(z)
        z = 1.0001 * np.sin(z)
    np.testing.assert_allclose(got, slope_, rtol=1e-9)


def test_cost_of_a_diamond_is_linear() -> None:
    """Each layer uses the one below twice; 200 layers would be 2^200 paths."""
    x = T.dscalar("x")
    y = x
    for _ in range(200):
        y = (y + y) * 0.5
    assert value(grad(y, x), x=0.3) == 1.0


PROGRAM = """
import jitgraph.tensor as T
from jitgraph.gradient import grad
from jitgraph.graph import toposort
x, y = T.dvectors("x", "y")
h = [T.sin(x * k + y) for k in range(1, 6)]
cost = sum((a * b).sum() for a in h for b in h) + T.log(T.nnet.sigmoid(x)).sum()
order = toposort(grad(cost, [x, y]))
number = {n: i for i, n in enumerate(order)}
for n in order:
    print(n.op, [number.get(v.owner, str(v)) for v in n.inputs])
"""


def test_order_of_terms_is_the_same_in_every_process() -> None:
    import os

    texts = [
        subprocess.run(
            [sys.executable, "-c", PROGRAM],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    ]
    assert texts[0] == texts[1]
    assert texts[0].count("\n") > 100


def test_zero_terms_are_left_out() -> None:
    x = T.dscalar("x")
    g = grad(T.floor(x) + x**2, x)
    assert g.owner.op.name == "mul"  # and not the sum of 0 and that


def test_is_zero() -> None:
    x = T.dvector("x")
    assert is_zero(T.zeros_like(x)) and is_zero(FILL(x, T.zeros_like(T.dscalar())))
    assert not is_zero(T.ones_like(x)) and not is_zero(x) and not is_zero(Elementwise("exp")(x))


def test_generic_inputs_are_not_differentiated() -> None:
    """An op with a state among its inputs: the state gets no gradient."""
    from jitgraph.graph import GenericType

    class Stateful(Opaque):
        def make_node(self, x: Any, state: Any) -> Apply:  # type: ignore[override]
            return Apply(self, [x, state], [TensorType("float64", ()).make_variable()])

        def grad(self, inputs: Any, outputs: Any, grads: Any) -> Any:
            return [grads[0] * 2, DISCONNECTED]

        def evaluate(self, *arrays: Any) -> tuple[np.ndarray, ...]:
            return (np.asarray(2 * arrays[0]),)

    x, state = T.dscalar("x"), GenericType()("state")
    g = grad(Stateful()(x, state), x)
    assert evaluate([g], {x: np.array(1.0), state: object()}) == [2.0]
