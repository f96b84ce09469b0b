"""What a mistake is answered with: the user's line and names, the shapes, and nothing of ours.

Each case is one lambda on one line of this file; that line must be in the message.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import jitgraph
import jitgraph.tensor as T
from jitgraph.errors import MissingInputError, ShapeError, UnusedInputError
from jitgraph.ops.nnet import LabelError, pick
from jitgraph.ops.shape import Rebroadcast
from jitgraph.tensor.indexing import inc_subtensor, set_subtensor

x, y = T.matrix("x"), T.matrix("y")
u, v = T.vector("u"), T.vector("v")
a, b = T.TensorType("float64", (True, False))("a"), T.tensor3("b")
k, n = T.lvector("k"), T.lscalar("n")

INTERNAL = re.compile(
    r"Elemwise|DimShuffle|segment|kernel|scalar_name|auto_\d|\bk\d_|cgen|/src/|\.py\", line"
    r"|0x[0-9a-f]{6}"
)


def line_of(function: Any) -> int:
    return function.__code__.co_firstlineno


def check_message(error: BaseException, line: int, *names: str) -> None:
    text = str(error)
    assert f"test_errors.py:{line}" in text, text
    for name in names:
        assert re.search(rf"(?<!\w){re.escape(name)}(?!\w)", text), f"{name} is not in: {text}"
    assert len(text.splitlines()) <= 12, text
    assert not INTERNAL.search(text), text


# -- shapes: build, argument values, class, names that must appear --------------------------------

M = np.ones
SHAPES: dict[str, tuple[Callable[[], Any], dict[Any, Any], type[Exception], list[str]]] = {
    "add": (lambda: x + y, {x: M((2, 3)), y: M((2, 4))}, ShapeError, ["x", "y", "2, 3", "2, 4"]),
    "mul rows": (lambda: x * y, {x: M((2, 3)), y: M((3, 3))}, ShapeError, ["x", "y"]),
    "unmarked 1": (lambda: x + y, {x: M((2, 3)), y: M((1, 3))}, ShapeError, ["x", "y"]),
    "vector on matrix": (lambda: x - v, {x: M((2, 3)), v: M(2)}, ShapeError, ["x", "v"]),
    "comparison": (lambda: T.lt(u, v), {u: M(2), v: M(3)}, ShapeError, ["u", "v"]),
    "switch": (lambda: T.switch(u > 0, u, v), {u: M(2), v: M(3)}, ShapeError, ["v"]),
    "fill": (lambda: T.fill(u, v), {u: M(2), v: M(3)}, ShapeError, ["u", "v"]),
    "dot": (lambda: T.dot(x, y), {x: M((2, 3)), y: M((4, 2))}, ShapeError, ["x", "y", "3", "4"]),
    "dot vector": (lambda: T.dot(x, v), {x: M((2, 3)), v: M(2)}, ShapeError, ["x", "v"]),
    "dot vectors": (lambda: T.dot(u, v), {u: M(2), v: M(3)}, ShapeError, ["u", "v"]),
    "join": (lambda: T.concatenate([x, y]), {x: M((2, 3)), y: M((2, 2))}, ShapeError, ["x", "y"]),
    "stack": (lambda: T.stack([u, v]), {u: M(2), v: M(3)}, ShapeError, ["u", "v"]),
    "reshape": (lambda: x.reshape((4, 2)), {x: M((2, 3))}, ShapeError, ["x", "2, 3"]),
    "reshape -1": (lambda: x.reshape((4, -1)), {x: M((2, 3))}, ShapeError, ["x"]),
    "reshape by a vector": (
        lambda: x.reshape(k, ndim=2),
        {x: M((2, 3)), k: [6]},
        ShapeError,
        ["k"],
    ),
    "specify_shape": (lambda: T.specify_shape(u, (3,)), {u: M(2)}, AssertionError, ["u", "2", "3"]),
    "index": (lambda: u[n], {u: M(2), n: 5}, IndexError, ["u", "5"]),
    "negative index": (lambda: x[n, 0], {x: M((2, 3)), n: -3}, IndexError, ["x"]),
    "constant index": (lambda: u[7], {u: M(2)}, IndexError, ["u", "7"]),
    "gather": (lambda: u[k], {u: M(2), k: [0, 2]}, IndexError, ["u"]),
    "set part": (lambda: set_subtensor(x[0], v), {x: M((2, 3)), v: M(2)}, ShapeError, ["x", "v"]),
    "add to part": (lambda: inc_subtensor(u[1:], v), {u: M(4), v: M(2)}, ShapeError, ["u", "v"]),
    "alloc": (lambda: T.alloc(u, n, 3), {u: M(2), n: 2}, ShapeError, ["u"]),
    "alloc negative": (lambda: T.alloc(1.5, n), {n: -2}, ShapeError, ["-2"]),
    "max of nothing": (lambda: u.max(), {u: M(0)}, ValueError, ["u"]),
    "argmin of nothing": (lambda: T.argmin(x, axis=1), {x: M((2, 0))}, ValueError, ["x"]),
    "pick label": (lambda: pick(x, k), {x: M((2, 3)), k: [0, 3]}, LabelError, ["x", "k", "3"]),
    "pick rows": (lambda: pick(x, k), {x: M((2, 3)), k: [0]}, ShapeError, ["x", "k"]),
    "rebroadcast": (lambda: Rebroadcast((True,))(u), {u: M(2)}, ShapeError, ["u"]),
    "softmax": (lambda: T.nnet.softmax(x + v), {x: M((2, 3)), v: M(4)}, ShapeError, ["x", "v"]),
    "int dot": (lambda: T.dot(k, T.cast(u, "int64")), {k: [1, 2], u: M(3)}, ShapeError, ["k"]),
}


@pytest.mark.parametrize("name", SHAPES)
def test_shapes(name: str) -> None:
    build, values, kind, names = SHAPES[name]
    f = jitgraph.function(list(values), build())
    arrays = [np.asarray(value, v.type.dtype) for v, value in values.items()]
    with pytest.raises(kind) as caught:
        f(*arrays)
    check_message(caught.value, line_of(build), *names)


@pytest.mark.parametrize("name", ["add", "dot", "join", "index", "pick label", "max of nothing"])
def test_shapes_of_a_function_from_the_cache(name: str) -> None:
    """The code was compiled from another graph; the lines are those of this one."""
    build, values, kind, names = SHAPES[name]
    arrays = [np.asarray(value, v.type.dtype) for v, value in values.items()]
    jitgraph.function(list(values), build())
    same = lambda: build()  # noqa: E731
    f = jitgraph.function(list(values), same())
    assert f.compile_report()["cache"] == "hit"
    with pytest.raises(kind) as caught:
        f(*arrays)
    check_message(caught.value, line_of(build), *names)


def test_the_line_survives_the_fusion_of_twenty_ops() -> None:
    z = x
    for step in range(10):
        z = T.tanh(z * 1.5 + step)
    wrong = lambda: z + y  # noqa: E731
    z = wrong()
    for step in range(10):
        z = T.exp(-z) + step
    f = jitgraph.function([x, y], z.sum(axis=1))
    with pytest.raises(ShapeError) as caught:
        f(M((2, 3)), M((2, 4)))
    check_message(caught.value, line_of(wrong), "y", "2, 3", "2, 4")


# -- while building -------------------------------------------------------------------------------

BUILDING: dict[str, tuple[Callable[[], Any], type[Exception], list[str]]] = {
    "and of floats": (lambda: u & v, TypeError, ["u", "v", "float64"]),
    "invert of float": (lambda: ~u, TypeError, ["u"]),
    "bool minus bool": (lambda: T.lt(u, v) - T.lt(v, u), TypeError, ["bool"]),
    "float rounding of int": (lambda: T.round(k), TypeError, ["k", "int64"]),
    "float index": (lambda: u[1.5], TypeError, ["1.5"]),
    "symbolic float index": (lambda: x[u[0]], TypeError, ["float64"]),
    "bool index": (lambda: u[True], TypeError, []),
    "too many indices": (lambda: u[0, 0], IndexError, ["u"]),
    "dot of three axes": (lambda: T.dot(T.scalar("s"), v) + T.dot(b, v)[0, 0, 0], IndexError, []),
    "drop an axis": (lambda: x.dimshuffle(0), ValueError, ["0", "1"]),
    "no such axis": (lambda: x.sum(axis=2), ValueError, ["2"]),
    "axis no int": (lambda: x.sum(axis="rows"), TypeError, ["rows"]),
    "join of ranks": (lambda: T.concatenate([x, v]), TypeError, ["x", "v"]),
    "stack of ranks": (lambda: T.stack([x, v]), TypeError, ["x", "v"]),
    "stack of nothing": (lambda: T.stack([]), Exception, []),
    "reshape float": (lambda: x.reshape((1.5, 2)), TypeError, []),
    "two unknown": (lambda: x.reshape((-1, -1)), ValueError, ["-1"]),
    "alloc of float": (lambda: T.alloc(1.0, u), TypeError, ["u"]),
    "pick of vector": (lambda: pick(u, k), TypeError, ["u"]),
    "float labels": (lambda: pick(x, v), TypeError, ["v"]),
    "softmax of ints": (lambda: T.nnet.softmax(k), ValueError, ["k"]),
    "unknown dtype": (lambda: u.astype("complex64") + 1, TypeError, ["complex64"]),
    "constants that differ": (lambda: T.constant(M(3)) * M(4), ShapeError, ["3", "4"]),
    "constants in dot": (
        lambda: T.dot(T.constant(M((2, 3))), T.constant(M(2))),
        ShapeError,
        ["3", "2"],
    ),
    "truth": (lambda: bool(u), TypeError, ["u"]),
    "put into bool": (lambda: set_subtensor(T.lt(u, v)[0], u), TypeError, []),
    "sum in int": (lambda: u.sum(dtype="int64"), TypeError, ["int64", "float64"]),
}


@pytest.mark.parametrize("name", BUILDING)
def test_building(name: str) -> None:
    build, kind, names = BUILDING[name]
    with pytest.raises(kind) as caught:
        build()
    text = str(caught.value)
    for word in names:
        assert word in text, text
    assert len(text.splitlines()) <= 12
    assert not INTERNAL.search(text), text


# -- making a function ----------------------------------------------------------------------------


def test_missing_input() -> None:
    p = T.vector("p")
    with pytest.raises(MissingInputError) as caught:
        jitgraph.function([u], u + p)
    check_message(caught.value, line_of(test_missing_input) + 1, "p")


def test_unused_input() -> None:
    p = T.vector("p")
    with pytest.raises(UnusedInputError) as caught:
        jitgraph.function([u, p], u + 1)
    check_message(caught.value, line_of(test_unused_input) + 1, "p")


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("text", ["x", "text"]),
        (M(3), ["x"]),
        (M((2, 2, 2)), ["x"]),
        (M((2, 2)) * 1j, ["x", "complex128"]),
        ([["a", "b"]], ["x"]),
        (None, ["x"]),
    ],
)
def test_wrong_arguments(value: Any, words: list[str]) -> None:
    f = jitgraph.function([x], x + 1)
    with pytest.raises((TypeError, ValueError)) as caught:  # NumPy's class for the value
        f(value)
    text = str(caught.value)
    for word in words:
        assert word in text, text
    assert len(text.splitlines()) <= 12
    assert not INTERNAL.search(text), text


def test_a_marked_axis_of_another_length() -> None:
    f = jitgraph.function([a], a * 2)
    with pytest.raises(TypeError) as caught:
        f(M((2, 3)))
    assert "a" in str(caught.value) and len(str(caught.value).splitlines()) <= 12


def test_wrong_counts() -> None:
    f = jitgraph.function([x, y], x + y)
    with pytest.raises(TypeError, match="y"):
        f(M((2, 2)))
    with pytest.raises(TypeError, match="3 for 2"):
        f(M((2, 2)), M((2, 2)), M((2, 2)))


def test_the_checks_would_notice() -> None:
    with pytest.raises(AssertionError):
        check_message(ValueError("x and y differ"), 3, "x")
    with pytest.raises(AssertionError):
        check_message(ValueError("test_errors.py:3 Elemwise{add}"), 3)
    with pytest.raises(AssertionError):
        check_message(ValueError("test_errors.py:3 xy"), 3, "x")
