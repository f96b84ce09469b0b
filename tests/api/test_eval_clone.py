"""`eval`, `clone`, `OrderedUpdates`, and the walks over graphs in `jitgraph.gof.graph`."""

from __future__ import annotations

import numpy as np
import pytest

import jitgraph as jg
import jitgraph.tensor as T
from jitgraph import clone, function, shared
from jitgraph.compile import UnusedInputError
from jitgraph.gof import MissingInputError, graph

# -- eval --------------------------------------------------------------------------------------


def test_eval():
    x, y = T.dscalars("x", "y")
    z = x + 2 * y
    assert z.eval({x: 1.0, y: 2.0}) == 5
    assert z.eval({y: 2, x: 1}) == 5
    assert T.constant(3).eval() == 3
    assert shared(4.0).eval() == 4
    assert (shared(4.0) * 2).eval({}) == 8


def test_eval_keeps_the_compiled_function():
    x = T.dscalar("x")
    z = x * 2
    z.eval({x: 1.0})
    known = dict(z.tag.__dict__)
    z.eval({x: 2.0})
    [functions] = [v for v in z.tag.__dict__.values() if isinstance(v, dict)]
    assert len(functions) == 1
    assert dict(z.tag.__dict__) == known


def test_refused_eval():
    x, y = T.dscalars("x", "y")
    z = x * 2
    with pytest.raises(MissingInputError, match="x float64"):
        z.eval()
    with pytest.raises(UnusedInputError, match="y float64"):
        z.eval({x: 1.0, y: 2.0})
    with pytest.raises(TypeError, match="keys of eval's dict must be variables, got 'x'"):
        z.eval({"x": 1.0})
    with pytest.raises(TypeError, match="eval takes a dict"):
        z.eval([1.0])
    with pytest.raises(TypeError, match="Wrong number of dimensions"):
        z.eval({x: [1.0]})


# -- clone -------------------------------------------------------------------------------------


def test_clone_replaces():
    x, y, s = T.dscalar("x"), T.dscalar("y"), shared(3.0)
    out = x * 2 + s
    copied = clone(out, replace={x: y})
    assert copied is not out
    assert function([y], copied)(1.0) == 5
    assert function([x], out)(1.0) == 5
    pairs = clone([out, x], replace=[(x, y), (s, T.constant(np.float64(0)))])
    assert function([y], pairs)(1.0) == [2, 1]
    inner = out.owner.inputs[0]
    assert function([y], clone(out, {inner: y}))(1.0) == 4


def test_clone_replaces_variables_only():
    x = T.dvector("x")
    with pytest.raises(TypeError, match=r"clone replaces variables, got 3"):
        clone(x + 1, replace={3: x})


def test_clone_without_sharing_the_inputs():
    x, s = T.dscalar("x"), shared(3.0)
    out = x * 2 + s
    same = clone(out, share_inputs=True)
    assert graph.inputs([same]) == graph.inputs([out])
    other = clone(out, share_inputs=False)
    leaves = graph.inputs([other])
    assert x not in leaves and s in leaves
    [fresh] = [v for v in leaves if v.name == "x"]
    assert function([fresh], other)(1.0) == 5
    again = clone(out, copy_inputs=False)
    assert x not in graph.inputs([again])


def test_refused_clone():
    x = T.dscalar("x")
    with pytest.raises(TypeError, match=r"clone: x is TensorType.float64, scalar."):
        clone(x * 2, replace={x: T.fscalar()})
    loose = clone(x * 2, replace={x: T.fscalar("f")}, strict=False)
    assert loose.dtype == "float32"


# -- OrderedUpdates ----------------------------------------------------------------------------


def test_ordered_updates():
    a, b = shared(1.0, "a"), shared(2.0, "b")
    first, second = jg.OrderedUpdates([(a, a + 1)]), jg.OrderedUpdates({b: b + 1})
    both = first + second
    assert list(both) == [a, b] and isinstance(both, jg.OrderedUpdates)
    assert list(first) == [a]
    function([], updates=both)()
    assert (a.get_value(), b.get_value()) == (2, 3)
    with pytest.raises(TypeError, match="keys must inherit from SharedVariable"):
        first[T.dscalar()] = a
    with pytest.raises(TypeError, match="keys must inherit from SharedVariable"):
        jg.OrderedUpdates({"a": a})
    with pytest.raises(KeyError, match="Collision"):
        first + jg.OrderedUpdates({a: a + 2})
    first.update(first)
    assert len(first) == 1


# -- graphs ------------------------------------------------------------------------------------


def test_walks():
    x, y = T.dscalars("x", "y")
    a = x + y
    b = a * x
    assert graph.inputs([b]) == [x, y] or graph.inputs([b]) == [y, x]
    assert set(graph.ancestors([b])) == {b, a, x, y}
    assert graph.ancestors([b], blockers=[a])[0] is b
    assert set(graph.ancestors([b], blockers=[a])) == {b, a, x}
    assert graph.io_toposort([x, y], [b]) == [a.owner, b.owner]
    assert graph.ops([x, y], [b]) == {a.owner, b.owner}
    assert graph.variables([x, y], [b]) == {x, y, a, b}
    assert graph.io_toposort([a], [b]) == [b.owner]


def test_clone_of_a_graph():
    x = T.dscalar("x")
    y = x * 2
    [new_x], [new_y] = graph.clone([x], [y])
    assert new_x is not x and new_y is not y and new_x.name == "x"
    assert function([new_x], new_y)(3.0) == 6
    [same_x], [other_y] = graph.clone([x], [y], copy_inputs=False)
    assert same_x is x and other_y is not y


def test_equal_graphs():
    x, y = T.dscalars("x", "y")
    assert graph.is_same_graph(x + y, x + y)
    assert not graph.is_same_graph(x + y, y + x)
    assert not graph.is_same_graph(x + y, x * y)
    assert not graph.is_same_graph(x + 1, x + 2)
    assert graph.is_same_graph(x + 1, y + 1, givens={x: y})
    assert graph.is_same_graph(x + 1, y + 1, givens=[(x, y)])
    assert graph.equal_computations([x * 2, y], [x * 2, y])
    assert graph.equal_computations([x * 2], [y * 2], in_xs=[x], in_ys=[y])
    assert not graph.equal_computations([x * 2], [x * 2, y])
    assert not graph.equal_computations([x], [T.fscalar()])
