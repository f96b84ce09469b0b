"""Rules about views and indexing, and the exact rules that are functions."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from structure import CANONICAL_ONLY, FAST_RUN, becomes, ops_of, rewritten_ops

import jitgraph.tensor as T
from jitgraph.graph import Constant, TensorType
from jitgraph.ops.arithmetic import add, cast
from jitgraph.ops.index import AdvancedSubtensor, Subtensor
from jitgraph.ops.nnet import LabelError, LogSoftmaxPick, logsoftmax_op, pick
from jitgraph.ops.reduce import Reduce
from jitgraph.ops.shape import Alloc, Rebroadcast, Reshape
from jitgraph.reference import evaluate
from jitgraph.rewrite.pipeline import optimise

x, y = T.dmatrices("x", "y")
v, w = T.dvectors("v", "w")
k = T.lvector("k")
i = T.lscalar("i")
s = T.dscalar("s")
row, col = T.drow("row"), T.dcol("col")
t3 = T.dtensor3("t3")
ints = T.imatrix("ints")


@pytest.mark.parametrize(
    ("before", "after"),
    [
        # dimshuffle
        (x.T.T, x),
        (x.dimshuffle(0, 1, "x").dimshuffle(1, 0), x.T),
        (v.dimshuffle("x", 0).dimshuffle(1), v),
        (T.exp(x).T, T.exp(x.T)),
        ((x + v).T, x.T + v.dimshuffle(0, "x")),
        (T.alloc(s, 3, 4).T, Alloc()(s, 4, 3)),
        (T.alloc(v, 3, 4).T, Alloc()(v.dimshuffle(0, "x"), 4, 3)),
        # reshape
        (x.reshape((2, 6)).reshape((3, 4)), x.reshape((3, 4))),
        (x.reshape(x.shape), x),
        (x.reshape((x.shape[0], -1)), x),
        (v.reshape((-1,)), v),
        (v.reshape((v.shape[0], 1)), v.dimshuffle(0, "x")),
        (v.reshape((1, -1)), v.dimshuffle("x", 0)),
        (col.flatten(), col.dimshuffle(0)),
        (T.exp(x).flatten(), T.exp(x.flatten())),
        (x.flatten().reshape((-1,)), x.flatten()),
        # rebroadcast
        (Rebroadcast((False,))(Rebroadcast((False,))(v)), v),
        # index
        (x[:], x),
        (x[0:], x),
        (Subtensor(())(x), x),
        (x[:, 0 : x.shape[1]], x),
        (x[::1], x),
        (x[:3][:], x[:3]),
        (x[2:][3], x[5]),
        (x[2:][1:4], x[3:6]),
        (x[2:][1::2], x[3::2]),
        (x[1][2], x[1, 2]),
        (x[:, 1][2], x[2, 1]),
        (T.exp(x)[0], T.exp(x[0])),
        ((x + v)[i, 1:], x[i, 1:] + v[1:]),
        ((x + col)[:, i], x[:, i] + col.dimshuffle(0)),
        ((x * s)[i], x[i] * s.dimshuffle("x")),
        (x.T[i], x[:, i]),
        (x.T[1:, 0], x[0, 1:]),
        (v.dimshuffle("x", 0)[0], v),
        (Rebroadcast((False, False))(v.dimshuffle("x", 0))[-1], v),
        (Rebroadcast((False, True))(x)[i], Rebroadcast((True,))(x[i])),
        (T.zeros((3, 4))[1], Alloc()(np.zeros(()), 4)),
        # reductions over axes of length 1
        (row.sum(axis=0), row.dimshuffle(1)),
        (row.max(axis=0), row.dimshuffle(1)),
        (row.sum(), row.dimshuffle(1).sum()),
        # pick
        (pick(T.exp(x), k), T.exp(pick(x, k))),
        (pick(x + v, k), pick(x, k) + AdvancedSubtensor(("a",))(v, k)),
        (pick(x * col, k), pick(x, k) * col.dimshuffle(0)),
        (pick(x * s, k), pick(x, k) * s.dimshuffle("x")),
        # casts
        (cast(cast(ints, "int64"), "float64"), cast(ints, "float64")),
        (cast(cast(ints, "float64"), "int32"), ints),
        (cast(cast(cast(x, "float32"), "float64"), "float32"), cast(x, "float32")),
        # numbers of operands
        (add(x, y, x), (x + y) + x),
        (add(x), x),
        (T.concatenate([x]), x),
        (T.concatenate([x + 0, y * 1]), T.concatenate([x, y])),
    ],
)
def test_becomes(before: Any, after: Any) -> None:
    assert becomes(before, after, CANONICAL_ONLY), ops_of(optimise([before], CANONICAL_ONLY))


def test_an_index_without_entries_is_nothing() -> None:
    assert becomes(Subtensor(())(x.shape), optimise([x.shape], FAST_RUN)[0])


@pytest.mark.parametrize(
    "kept",
    [
        x[:3][2],  # x may have fewer than 3 rows
        x[-3:][0],
        x[i:][1],
        x[::-1][0],
        x[::2],
        x[: v.shape[0]],  # nothing says that these lengths agree
        (x + v)[0:1],
        col[0:1],
        col[i],  # the index is checked
        v.reshape((2, 3)),
        x.reshape((x.shape[1], x.shape[0])),
        x.reshape((x.shape[0], x.shape[1], 1))[0],
        Rebroadcast((True,))(v),
        Rebroadcast((True, False))(x)[0],  # the length of what is indexed is checked
        pick(row + row, k),
        cast(cast(x, "float32"), "float64"),
        cast(cast(x, "int32"), "float64"),
        cast(cast(ints, "int8"), "int32"),
        x.sum(axis=0).sum(axis=0),
        x / x,
        x - x,
        0 * x,
        T.eq(x, x),
        x / 3.0,
        (x + y) + v,
        T.argmax(T.nnet.sigmoid(x), axis=0),
    ],
)
def test_values_and_checks_are_kept(kept: Any) -> None:
    """What is no simplification, or would change values or lose a check, is left as it is."""
    assert len(rewritten_ops(kept, mode=CANONICAL_ONLY)) >= 1
    values = {
        x: np.arange(12.0).reshape(3, 4), v: np.arange(4.0), col: np.ones((3, 1)), i: np.asarray(0),
        row: np.ones((1, 4)), k: np.array([1, 0, 3]), ints: np.arange(200, 212).reshape(3, 4),
        y: np.ones((3, 4)) / 3, w: np.ones(1),
    }  # fmt: skip
    values[x][1, 2], values[x][0, 0] = np.nan, np.inf
    (new,) = optimise([kept], CANONICAL_ONLY)
    try:
        (want,) = evaluate([kept], values)
    except (ValueError, IndexError) as error:
        with pytest.raises(type(error)):
            evaluate([new], values)
    else:
        assert np.array_equal(want, evaluate([new], values)[0], equal_nan=want.dtype.kind == "f")


@pytest.mark.parametrize(
    ("kept", "position"),
    [(col[i], 1), (x[:3][2], 2), (pick(x + row, k), 7), (T.zeros((3, 4))[i], 5)],
)
def test_errors_of_an_index_survive(kept: Any, position: int) -> None:
    values = {
        x: np.ones((2, 4)), col: np.ones((1, 1)), row: np.ones((1, 4)), i: np.asarray(position),
        k: np.array([0, position]),
    }  # fmt: skip
    for graph in (kept, *optimise([kept], FAST_RUN)):
        with pytest.raises((IndexError, LabelError)):
            evaluate([graph], values)


def test_a_view_is_not_moved_where_that_computes_twice() -> None:
    e = T.exp(x)
    outputs = optimise([e, e.T + y, e[0]], FAST_RUN)
    assert ops_of(outputs).count("exp") == 1


def test_users_are_counted_again_after_other_rules() -> None:
    """exp(x) has two users until the useless product is gone."""
    e = T.exp(x)
    assert ops_of(optimise([(e * 1).T, e.T], FAST_RUN)) == ["DimShuffle", "exp"]


def test_shape_reads_do_not_count_as_users_in_the_end() -> None:
    e = T.exp(x)
    a, _ = optimise([e[0], e.shape], FAST_RUN)
    assert ops_of([a]) == ["Subtensor", "exp"]
    assert a.owner is not None and a.owner.op == e.owner.op


def test_pick_of_logsoftmax() -> None:
    mode = FAST_RUN.excluding("local_pick_lift")
    log: list[str] = []
    optimise([pick(logsoftmax_op(x), k)], mode, log)
    assert log[0] == "pick(logsoftmax(x), k) -> logsoftmax_pick(x, k)"
    (new,) = optimise([pick(logsoftmax_op(x), k)], FAST_RUN)
    assert not any(v.owner and isinstance(v.owner.op, LogSoftmaxPick) for v in [new])


# -- constants -------------------------------------------------------------------------------


def test_constants_are_evaluated() -> None:
    (result,) = optimise([T.exp(np.float64(1.0)) + T.constant([1.0, 2.0]).sum()], FAST_RUN)
    assert isinstance(result, Constant)
    assert result.data == np.exp(1.0) + 3.0
    assert not result.data.flags.writeable


def test_large_results_are_not_evaluated() -> None:
    assert rewritten_ops(T.zeros((65,))) == ["Alloc"]
    assert rewritten_ops(T.zeros((64,))) == []
    # neither memory nor time is spent on finding that out
    assert rewritten_ops(T.arange(10**15)) == ["ARange"]
    assert rewritten_ops(T.eye(10**9)) == ["Eye"]
    big = T.constant(np.ones((10**5, 1)))
    assert rewritten_ops(big + T.constant(np.ones((1, 10**5)))) == ["add"]


def test_what_fails_is_left_to_the_call() -> None:
    assert rewritten_ops(T.constant([1.0, 2.0])[T.constant(5)]) == ["Subtensor"]
    assert rewritten_ops(T.max(T.constant(np.zeros((0,))))) == ["Reduce"]


def test_constants_take_the_dtype_they_are_used_in() -> None:
    f = T.fvector("f")
    for expression in (f * 2, f + np.int64(3).astype("int8"), T.switch(f > 0, f, 1), f**5):
        (new,) = optimise([expression], FAST_RUN)
        constants = [a for a in _constants(new)]
        assert constants and all(c.type.dtype == "float32" for c in constants)
        assert new.type.dtype == "float32"


def _constants(v: Any) -> list[Constant]:
    found = []
    for node in [v.owner, *(a.owner for a in v.owner.inputs if a.owner is not None)]:
        found += [a for a in node.inputs if isinstance(a, Constant)]
    return found


def test_a_constant_that_decides_the_dtype_is_kept() -> None:
    b = T.bvector("b")
    for expression in (b + np.int32(1), b / 2, b * 0.5):
        (new,) = optimise([expression], FAST_RUN)
        values = {b: np.array([-128, 127, 3], "int8")}
        (want,), (got,) = evaluate([expression], values), evaluate([new], values)
        assert want.dtype == got.dtype and np.array_equal(want, got)


def test_numbers_match_whatever_holds_them() -> None:
    ones = [
        1, 1.0, np.float32(1), np.int64(1), T.constant(1.0), T.constant(np.ones((1, 1))),
        T.ones_like(x), T.fill(x, 1), T.alloc(1.0, x.shape[0], x.shape[1]),
        T.cast(T.constant(1), "float64"), T.constant(1.0).dimshuffle("x", "x"),
    ]  # fmt: skip
    for one in ones:
        assert becomes(x * one, x)
        assert becomes(one * x, x)


def test_dropping_an_operand_never_changes_the_type() -> None:
    assert becomes(v * T.constant(np.ones((1,))), v)
    product = row * T.constant(np.ones((3, 1)))
    (new,) = optimise([product], FAST_RUN)
    assert new.type == TensorType("float64", (False, False)) == product.type
    assert evaluate([new], {row: np.ones((1, 4))})[0].shape == (3, 4)
    # an array of ones checks a length
    assert rewritten_ops(v * T.constant(np.ones(3))) == ["mul"]


def test_reduce_without_axes_is_a_conversion() -> None:
    r = Reduce("sum", (), "float64", "float64")(T.fvector("f"))
    assert rewritten_ops(r) == ["cast{float64}"]


def test_reshape_with_symbolic_vector_stays() -> None:
    shape = T.lvector("shape")
    assert "Reshape" in rewritten_ops(Reshape(2)(x, shape))


def test_gradients_of_slices_are_added_into_one_array() -> None:
    zeros = T.zeros_like(x)
    parts = [T.inc_subtensor(zeros[:, :2], y), T.inc_subtensor(zeros[:, 1:3], y * s)]
    total = parts[0] + parts[1] + T.inc_subtensor(zeros[0], v)
    (rewritten,) = optimise([total], FAST_RUN)
    assert ops_of([rewritten]).count("IncSubtensor") == 3 and "add" not in ops_of([rewritten])
    values = {
        x: np.ones((2, 3)),
        y: np.array([[-0.0, 1e-300], [np.inf, -1.0]]),
        v: np.array([-0.0, 1e300, 0.1]),
        s: np.array(-1.0),
    }
    with np.errstate(all="ignore"):
        before, after = evaluate([total, rewritten], values)
    assert before.tobytes() == after.tobytes()


@pytest.mark.parametrize(
    "kept",
    [
        T.inc_subtensor(T.ones_like(x)[:, :2], y) + T.inc_subtensor(T.ones_like(x)[0], v),
        T.set_subtensor(T.zeros_like(x)[:, :2], y) + T.set_subtensor(T.zeros_like(x)[0], v),
        T.exp(x) + T.inc_subtensor(T.zeros_like(x)[0], v),
    ],
)
def test_other_sums_of_parts_stay(kept: Any) -> None:
    assert "add" in ops_of(optimise([kept], FAST_RUN))
