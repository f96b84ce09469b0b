"""Shapes are found without computing data; lists of lengths are handled entry by entry."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from structure import FAST_RUN, becomes, rewritten_ops, same_graph

import jitgraph.tensor as T
from jitgraph.graph import Constant
from jitgraph.ops.join import Join
from jitgraph.ops.nnet import logsumexp
from jitgraph.ops.shape import Alloc, ShapeI
from jitgraph.reference import evaluate
from jitgraph.rewrite.pipeline import optimise

x, y = T.dmatrices("x", "y")
v, w = T.dvectors("v", "w")
k = T.lvector("k")
col = T.dcol("col")


def length(a: Any, axis: int) -> Any:
    return ShapeI(axis)(a)


@pytest.mark.parametrize(
    ("array", "axis", "expected"),
    [
        (T.exp(x) + 1, 0, length(x, 0)),
        (x.T, 0, length(x, 1)),
        (x.dimshuffle(0, "x", 1), 2, length(x, 1)),
        (x.sum(axis=0), 0, length(x, 1)),
        (T.dot(x, y), 1, length(y, 1)),
        (T.dot(x, y), 0, length(x, 0)),
        (T.nnet.softmax(x), 0, length(x, 0)),
        (logsumexp(x, axis=1), 0, length(x, 0)),
        (T.nnet.categorical_crossentropy(T.nnet.softmax(x), k), 0, length(k, 0)),
        (T.alloc(1.0, length(v, 0), 3), 0, length(v, 0)),
        (x[1], 0, length(x, 1)),
        (x[:, None], 2, length(x, 1)),
        (T.set_subtensor(x[0], 0.0), 0, length(x, 0)),
        (Join(0)(x, y), 1, length(x, 1)),
        (T.fill(x, 1.0), 1, length(x, 1)),
        (v * x, 1, length(v, 0)),
        (col * x, 0, length(col, 0)),
    ],
)
def test_length_of(array: Any, axis: int, expected: Any) -> None:
    assert becomes(array.shape[axis], expected)


@pytest.mark.parametrize(
    ("scalar", "value"),
    [
        (col.shape[1], 1),
        (x.sum(axis=0, keepdims=True).shape[0], 1),
        (T.alloc(0.0, 4, 5).shape[1], 5),
        (T.constant(np.zeros((2, 7))).shape[1], 7),
        (x.reshape((3, 4)).shape[1], 4),
        (T.arange(10)[2:7:2].shape[0], 3),
        (T.concatenate([T.zeros((2, 3)), T.ones((4, 3))]).shape[0], 6),
        (T.prod(T.zeros((2, 3)).shape), 6),
        (x.shape.shape[0], 2),
        (T.eye(3, 5, 0).shape[1], 5),
    ],
)
def test_length_that_is_known(scalar: Any, value: int) -> None:
    (result,) = optimise([scalar], FAST_RUN)
    assert isinstance(result, Constant)
    assert result.data == value


@pytest.mark.parametrize(
    "scalar",
    [
        T.dot(T.exp(x), y).shape[0],
        T.prod((x + 1).shape),
        T.concatenate([x.shape, v.shape])[2],
        (x.shape * 2).sum(),
        T.max(x, axis=0).shape[0] + T.nnet.softmax(x)[k].shape[1],
        T.concatenate([x, y]).shape[0],
        x[1:].shape[0],
        T.arange(v.shape[0]).shape[0],
        x.flatten().shape[0],
    ],
)
def test_no_data_is_read(scalar: Any) -> None:
    """Only lengths of leaves and arithmetic on scalars remain."""
    allowed = {"Shape_i", "ShapeI", "add", "sub", "mul", "int_div", "neg", "maximum", "minimum",
               "switch", "lt", "eq", "cast{int64}"}  # fmt: skip
    assert set(rewritten_ops(scalar)) <= allowed


def test_whole_shape_is_a_list_of_lengths() -> None:
    assert rewritten_ops((x + 1).shape) == ["MakeVector", "ShapeI", "ShapeI"]
    (empty,) = optimise([T.dscalar().shape], FAST_RUN)
    assert isinstance(empty, Constant) and empty.data.shape == (0,)


def test_shape_of_a_vector_keeps_its_type() -> None:
    (result,) = optimise([v.shape], FAST_RUN)
    assert result.type == v.shape.type


def test_gradient_of_a_mean_needs_no_fill() -> None:
    """fill(x, g) whose lengths are those of the other operand is only g."""
    g = T.fill(x, (1.0 / T.cast(x.size, "float64")))
    assert "Alloc" not in rewritten_ops(g * T.exp(x))
    assert "second" not in rewritten_ops(g * y)


def test_alloc_stays_where_lengths_may_differ() -> None:
    """Nothing proves that y has the lengths of x: the check that the stretching makes remains."""
    (result,) = optimise([T.fill(x, 2.0) * y], FAST_RUN)
    assert "Alloc" in rewritten_ops(result)
    values = {x: np.ones((2, 3)), y: np.ones((2, 4))}
    with pytest.raises(ValueError, match="shape"):
        evaluate([result], values)


def test_fill_becomes_alloc() -> None:
    assert becomes(T.zeros_like(x), Alloc()(np.zeros(()), length(x, 0), length(x, 1)))
    assert becomes(T.fill(x, T.exp(x)), T.exp(x))
    assert becomes(T.fill(T.dscalar("a"), T.constant(2.0)), T.constant(2.0))


def test_functions_are_applied_before_stretching() -> None:
    s = T.dscalar("s")
    n, m = length(x, 0), length(x, 1)
    one = np.float64(1.0)
    assert becomes(T.exp(T.alloc(s, n, m)) + one, Alloc()(T.exp(s) + one, n, m))


def test_shapes_in_other_operands_are_found_once() -> None:
    a, b = optimise([(x + 1).shape[0], T.exp(x).shape[0]], FAST_RUN)
    assert a is b


def test_deep_chain() -> None:
    z: Any = x
    for _ in range(5000):
        z = T.tanh(z)
    assert same_graph(optimise([z.shape[0]], FAST_RUN)[0], length(x, 0))


def test_an_op_without_a_shape_rule_is_left_alone() -> None:
    mask = T.TensorType("bool", (False,))("mask")
    assert "AdvancedSubtensor" in rewritten_ops(v[mask].shape[0])


def test_vector_marked_by_list_of_one() -> None:
    n = T.lscalar("n")
    (result,) = optimise([T.stack([n]) + k], FAST_RUN)
    values = {n: np.asarray(3), k: np.arange(4)}
    assert evaluate([result], values)[0].tolist() == [3, 4, 5, 6]
