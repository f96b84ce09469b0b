"""The classes of errors, where programs import them from, and what the messages say."""

from __future__ import annotations

import importlib
import re

import numpy as np
import pytest

import jitgraph as jg
import jitgraph.tensor as T
from jitgraph import function, shared

CLASSES = {
    ("compile.function_module", "UnusedInputError"): Exception,
    ("compile.function_module", "AliasedMemoryError"): Exception,
    ("gof.fg", "MissingInputError"): Exception,
    ("gof.fg", "InconsistencyError"): Exception,
    ("gof.utils", "MethodNotDefined"): Exception,
    ("tensor.var", "AsTensorError"): TypeError,
    ("tensor.basic", "NotScalarConstantError"): Exception,
    ("tensor.basic", "ShapeError"): Exception,
    ("gradient", "DisconnectedInputError"): ValueError,
    ("gradient", "NullTypeGradError"): TypeError,
    ("scalar", "ComplexError"): NotImplementedError,
    ("scalar", "IntegerDivisionError"): Exception,
    ("tensor.subtensor", "AdvancedIndexingError"): TypeError,
}


@pytest.mark.parametrize(
    ("place", "base"), CLASSES.items(), ids=lambda p: ".".join(p) if isinstance(p, tuple) else ""
)
def test_classes(place, base):
    module, name = place
    found = getattr(importlib.import_module(f"jitgraph.{module}"), name)
    assert issubclass(found, base)
    if name != "ShapeError":
        assert found.__bases__ == (base,)
    assert getattr(jg.errors, name) is found


def test_related_classes():
    from jitgraph.gradient import GradientError
    from jitgraph.tensor.basic import EmptyConstantError, NotScalarConstantError, ShapeError

    assert issubclass(EmptyConstantError, NotScalarConstantError)
    assert issubclass(ShapeError, ValueError)
    assert jg.verify_grad.E_grad is GradientError
    assert issubclass(jg.errors.CompileError, jg.errors.JitgraphError)


@pytest.mark.parametrize(
    ("module", "names"),
    [
        (
            "compile",
            "Function In Out Mode SharedVariable UnusedInputError function get_default_mode "
            "get_mode register_mode shared shared_constructor",
        ),
        ("compile.mode", "Mode get_default_mode get_mode register_mode FAST_RUN"),
        ("compile.sharedvalue", "SharedVariable shared shared_constructor"),
        ("compile.io", "In Out"),
        ("compile.pfunc", "pfunc"),
        ("gof", "Apply Constant Op Variable MissingInputError"),
        ("gof.graph", "inputs ancestors variables ops io_toposort clone is_same_graph"),
        ("gof.op", "Op"),
        ("configparser", "change_flags"),
        ("scalar", "Scalar upcast upgrade_to_float int32"),
        ("tensor.elemwise", "Elemwise DimShuffle"),
        ("tensor.extra_ops", "cumsum diff to_one_hot repeat squeeze bincount compress"),
        ("tensor.opt", "Assert assert_op"),
        ("tensor.sharedvar", "TensorSharedVariable"),
        ("tensor.subtensor", "Subtensor IncSubtensor AdvancedSubtensor1 set_subtensor"),
        ("tensor.type", "TensorType"),
        ("tensor.var", "TensorVariable TensorConstant TensorSharedVariable"),
        ("tensor.xlogx", "xlogx xlogy0"),
        ("tensor.nnet.nnet", "softmax categorical_crossentropy"),
        ("tensor.nnet.sigm", "sigmoid hard_sigmoid"),
    ],
)
def test_modules_that_programs_import(module, names):
    found = importlib.import_module(f"jitgraph.{module}")
    missing = [n for n in names.split() if not hasattr(found, n)]
    assert missing == []
    with pytest.raises(AttributeError):
        found.no_such_name  # noqa: B018


def test_names_are_listed():
    assert {"function", "shared", "grad", "clone", "tensor", "compile"} <= set(dir(jg))
    assert {"tile", "sort", "grad", "dmatrix", "nnet"} <= set(dir(T))
    assert "Mode" in dir(jg.compile)


def test_no_module_hides_a_function():
    """Importing a module of a package binds its name there, over a function of that name."""
    import pkgutil
    import subprocess
    import sys

    code = (
        "import pkgutil, importlib, types, jitgraph.tensor as T\n"
        "names = [n for n in dir(T) if not n.startswith('_')]\n"
        "before = {n: getattr(T, n) for n in names if n not in T._MODULES}\n"
        "for m in pkgutil.iter_modules(T.__path__):\n"
        "    importlib.import_module('jitgraph.tensor.' + m.name)\n"
        "print([n for n, v in before.items() if getattr(T, n) is not v], len(before))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    changed, count = done.stdout.rsplit(" ", 1) if done.stdout else (done.stderr, 0)
    assert changed == "[]"
    assert int(count) > 300
    assert {m.name for m in pkgutil.iter_modules(T.__path__)} >= {"basic", "var", "xlogx"}


# -- messages ----------------------------------------------------------------------------------


def line_here():
    import sys

    return sys._getframe(1).f_lineno


def check_message(error, *parts, line=None):
    text = str(error)
    assert len(text.splitlines()) <= 12
    for part in parts:
        assert part in text, text
    assert not re.search(r"Elemwise|Elementwise|no_inplace|DimShuffle|Apply node", text), text
    if line is not None:
        assert f"test_errors.py:{line}" in text, text


def test_lengths_that_differ_at_run_time():
    x, y = T.dvectors("x", "y")
    z = T.exp(x) * 2 + y; line = line_here()  # fmt: skip  # noqa: E702
    f = function([x, y], T.sqrt(z) - 1)
    with pytest.raises(ValueError, match=r"^add: lengths of axis 0 differ") as caught:
        f(np.ones(3), np.ones(4))
    check_message(caught.value, "3", "4", "y float64[4]", line=line)


def test_inner_sizes_that_differ():
    x, w = T.dmatrix("x"), shared(np.zeros((500, 10)), name="W")
    y = T.dot(x, w); line = line_here()  # fmt: skip  # noqa: E702
    with pytest.raises(jg.errors.ShapeError) as caught:
        function([x], y)(np.ones((2, 784)))
    check_message(
        caught.value,
        "dot: inner sizes differ",
        "x float64[2, 784]",
        "W float64[500, 10]",
        line=line,
    )


def test_conflicts_are_found_while_building():
    x = T.dvector("x")
    with pytest.raises(ValueError, match="add: lengths of axis 0 differ: 2 and 3") as caught:
        T.constant([1.0, 2.0]) + T.constant([1.0, 2.0, 3.0])
    check_message(caught.value, line=line_here() - 1)
    with pytest.raises(ValueError, match="inner sizes differ"):
        T.dot(T.constant(np.ones((2, 3))), T.constant(np.ones((2, 3))))
    with pytest.raises(
        TypeError, match=r"and_ takes bool or integer operands only.*x float64"
    ) as e:
        x & 1
    check_message(e.value, line=line_here() - 1)
    with pytest.raises(TypeError, match="exp takes 1 arguments, got 2"):
        T.exp(x, x)


@pytest.mark.parametrize("mode", [None, "FAST_COMPILE"])
def test_errors_of_numpy_steps_name_the_place(mode):
    x, k = T.dmatrix("x"), T.ivector("k")
    y = x[k] * 2; line = line_here()  # fmt: skip  # noqa: E702
    f = function([x, k], y, mode=mode)
    with pytest.raises(IndexError) as caught:
        f(np.ones((2, 3)), [5])
    check_message(caught.value, "5", "x float64[2, 3]", "k int32[1]", line=line)


def test_index_errors():
    x, i = T.dvector("x"), T.lscalar("i")
    y = x[i] + 1; line = line_here()  # fmt: skip  # noqa: E702
    f = function([x, i], y)
    with pytest.raises(IndexError) as caught:
        f([1.0, 2.0], 7)
    check_message(caught.value, "7", "x float64[2]", line=line)


def test_labels_out_of_bounds():
    x, y = T.dmatrix("x"), T.ivector("y")
    cost = T.nnet.categorical_crossentropy(T.nnet.softmax(x), y)
    with pytest.raises(ValueError, match="y_i value out of bounds: 9 at position 1") as caught:
        function([x, y], cost)(np.ones((2, 3)), [0, 9])
    check_message(caught.value, "y int32[2]")


def test_integer_division_by_zero_gives_zero():
    a, b = T.ivectors("a", "b")
    quotient, remainder = function([a, b], [a // b, a % b])([7, -7], [0, 0])
    assert quotient.tolist() == remainder.tolist() == [0, 0]


def test_errors_keep_their_place_after_fusion_of_many_operations():
    x, y = T.dvectors("x", "y")
    z = x
    for _ in range(10):
        z = T.tanh(z) * 0.5 + 1
    z = z * y; line = line_here()  # fmt: skip  # noqa: E702
    for _ in range(10):
        z = T.tanh(z) * 0.5 + 1
    with pytest.raises(ValueError) as caught:
        function([x, y], z)(np.ones(3), np.ones(2))
    check_message(caught.value, "mul: lengths of axis 0 differ", "y float64[2]", line=line)


def test_errors_of_a_shared_variable_name_it():
    s = shared(np.ones(3), name="weights")
    x = T.dvector("x")
    f = function([x], x * s, updates=[(s, s + x)])
    with pytest.raises(ValueError) as caught:
        f(np.ones(4))
    check_message(caught.value, "weights float64[3]", "x float64[4]")
    assert s.get_value().tolist() == [1, 1, 1]


def test_gradient_of_an_op_without_one():
    x = T.dscalar("x")
    with pytest.raises(jg.errors.MethodNotDefined) as caught:
        T.grad(T.gammainc(2.0, x), x)
    assert caught.value.args[0] == "grad"
    with pytest.raises(jg.errors.DisconnectedInputError):
        T.grad(x * 2, T.dscalar("y"))


def test_reading_of_an_array_that_is_too_large():
    n = T.lscalar("n")
    f = function([n], T.zeros((n, n)) + 1)
    with pytest.raises((MemoryError, ValueError)):
        f(2**40)


def test_a_length_of_1_that_is_not_declared_is_told_the_remedy():
    x, y = T.dmatrix("x"), T.dmatrix("y")
    f = function([x, y], x * y)
    with pytest.raises(ValueError, match=r"T\.addbroadcast\(x, axis\).*x float64\[3, 1\]"):
        f(np.ones((3, 1)), np.ones((3, 4)))
    with pytest.raises(ValueError, match="differ") as caught:
        f(np.ones((3, 2)), np.ones((3, 4)))
    assert "addbroadcast" not in str(caught.value)
    remedied = function([x, y], T.addbroadcast(x, 1) * y)
    assert remedied(np.ones((3, 1)), np.ones((3, 4))).shape == (3, 4)
