"""`f.memory_plan()` against the memory that calls really take."""

from __future__ import annotations

import numpy as np
import pytest

import jitgraph
import jitgraph.tensor as T
from jitgraph.errors import JitgraphError, ShapeError
from jitgraph.memory_plan import stand_in


def test_an_elementwise_function_needs_inputs_and_outputs() -> None:
    x, y = T.dvector("x"), T.fvector("y")
    f = jitgraph.function([x, y], [T.exp(x) + y, (x * y).sum()])
    plan = f.memory_plan(10**8, (10**8,))
    assert plan.inputs == {"x": 8 * 10**8, "y": 4 * 10**8}
    assert list(plan.outputs.values()) == [8 * 10**8, 8]
    assert plan.between == 0
    assert plan.scratch <= 64 << 20
    assert plan.total == 20 * 10**8 + 8 + plan.scratch
    assert plan.new == 8 * 10**8 + 8 + plan.scratch


def test_arrays_that_fit_no_memory_can_be_planned() -> None:
    x = T.dmatrix("x")
    f = jitgraph.function([x], T.exp(x))
    n = 10**7
    assert f.memory_plan((n, n)).outputs == {"result 0": 8 * n * n}


def test_the_scratch_is_what_a_call_reserves() -> None:
    x = T.dmatrix("x")
    f = jitgraph.function([x], T.dot(T.exp(x), T.exp(x.T)).sum())
    plan = f.memory_plan(x=(200, 300))
    assert plan.scratch >= 8 * 200 * 200  # the product at least
    f(np.ones((200, 300)))
    (work,) = f.program.steps[0].free
    assert plan.scratch == work.info[0]


def test_arguments_that_a_call_copies_count() -> None:
    x, y = T.dmatrices("x", "y")
    f = jitgraph.function([x, y], T.dot(x, y))
    plain, one = np.ones((300, 200)), np.ones((200, 300)).T
    assert f.memory_plan(plain, (200, 300)).copies == 0
    plan = f.memory_plan(one, (200, 300))
    assert (plan.copies, plan.new) == (480_000, 480_000 + 720_000 + plan.scratch)
    assert "copies in C order" in str(plan)
    # An array that repeats one number is planned without making the 8 TB of its copy.
    huge = np.broadcast_to(np.float64(1), (10**6, 10**6))
    assert f.memory_plan(huge, huge).copies == 16 * 10**12
    g = jitgraph.function([x, y], T.exp(x) + y)  # a loop gathers its arguments piece by piece
    plan = g.memory_plan(huge, huge)
    assert plan.copies == 0 and plan.scratch < 64 << 20


def test_shared_variables_and_updates() -> None:
    w = jitgraph.shared(np.zeros((5, 7)), name="w")
    x = T.dmatrix("x")
    f = jitgraph.function([x], [], updates=[(w, w + x)])
    plan = f.memory_plan((5, 7))
    assert (plan.shared, plan.updates, plan.outputs) == ({"w": 280}, {"w": 280}, {})
    with pytest.raises(ShapeError):
        f.memory_plan((5, 8))


def test_results_between_parts_count() -> None:
    x = T.dvector("x")
    f = jitgraph.function([x], T.sort(T.exp(x)) * 2)
    plan = f.memory_plan(1000)
    assert plan.between == 2 * 8000  # what is sorted, and what was
    assert plan.outputs == {"result 0": 8000}


def test_shapes_that_depend_on_values_take_values() -> None:
    n = T.lscalar("n")
    f = jitgraph.function([n], T.zeros((n, 3)) + 1)
    assert f.memory_plan(7).outputs == {"result 0": 7 * 3 * 8}
    assert f.memory_plan(np.int64(1000)).outputs == {"result 0": 24000}


def test_what_cannot_be_told_is_refused() -> None:
    x = T.dvector("x")
    f = jitgraph.function([x], T.nonzero(x)[0] * 2)
    with pytest.raises(JitgraphError, match="known only when it has been computed"):
        f.memory_plan(10)
    with pytest.raises(JitgraphError, match="reference"):
        jitgraph.function([x], x + 1, mode="reference").memory_plan(10)
    with pytest.raises(ShapeError, match="x has 1 axes"):
        f.memory_plan((2, 3))
    with pytest.raises(TypeError):
        f.memory_plan()


def test_arguments_of_the_wrong_kind() -> None:
    r = T.row("r")
    f = jitgraph.function([r], r * 2)
    assert f.memory_plan((1, 50)).inputs == {"r": 400}
    with pytest.raises(ShapeError, match="declared type"):
        f.memory_plan((2, 50))


@pytest.mark.parametrize("bad", ["ab", 2.5, (2.5,), ("a",), -1, None, [[1]]])
def test_what_is_neither_a_shape_nor_a_value_names_the_input(bad: object) -> None:
    x, s = T.dvector("x"), T.dscalar("s")
    f = jitgraph.function([x, s], x * s)
    with pytest.raises(TypeError, match=r"memory_plan: x \(.*\) takes a shape.*, not "):
        f.memory_plan(bad, 3)
    assert f.memory_plan([4], 2.5).outputs == {"result 0": 32}
    with pytest.raises(TypeError, match="memory_plan: s "):
        f.memory_plan(4, "ab")


def test_nothing_is_computed_or_kept() -> None:
    x = T.dvector("x")
    f = jitgraph.function([x], x.sum())
    f.memory_plan(10**12)  # reading it would end the process
    assert f(np.ones(3)) == 3


def test_stand_ins_look_like_arrays_in_c_order() -> None:
    a = stand_in((1000, 1, 10**6), "float32")
    assert a.flags.c_contiguous
    assert (a.shape, a.dtype, a.nbytes) == ((1000, 1, 10**6), np.float32, 4 * 10**9)
    assert not a.flags.writeable
    assert np.array_equal(stand_in((3,), "int64"), [0, 0, 0])
    assert stand_in((0, 10**9), "float64").size == 0


def test_text() -> None:
    x = T.dvector("x")
    text = str(jitgraph.function([x], T.exp(x)).memory_plan(1_000_000))
    rows = [line.split() for line in text.splitlines()]
    assert rows[0] == ["inputs", "x", "8,000,000", "bytes"]
    assert rows[-1] == ["total", "16,000,000", "bytes"]
