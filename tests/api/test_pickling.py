"""Pickles and deep copies of variables, shared values and compiled functions."""

from __future__ import annotations

import copy
import os
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import jitgraph
import jitgraph.tensor as T
from jitgraph.graph import toposort
from jitgraph.tensor.shared_randomstreams import RandomStreams

X = np.array([[1.0, -2.0], [0.5, 3.0]])


def through_pickle(value):
    return pickle.loads(pickle.dumps(value))


def through_old_pickle(value):
    return pickle.loads(pickle.dumps(value, protocol=2))


def through_the_first_pickle(value):
    return pickle.loads(pickle.dumps(value, protocol=0))


WAYS = pytest.mark.parametrize(
    "way", [through_pickle, through_old_pickle, through_the_first_pickle, copy.deepcopy]
)


@jitgraph.as_op(T.dmatrix, T.dmatrix)
def negated(a):
    return -a


class Shifted(jitgraph.Op):
    __props__ = ("by",)

    def __init__(self, by):
        self.by = by

    def make_node(self, x):
        return jitgraph.Apply(self, [x], [x.type()])

    def perform(self, node, inputs, output_storage):
        output_storage[0][0] = inputs[0] + self.by


@WAYS
def test_arrays_from_a_pickle_are_arguments_and_values(way):
    """Their dtype object is another one than NumPy's own of that name."""
    a = way(X)
    x = T.dmatrix("x")
    w = jitgraph.shared(a, name="w")
    f = jitgraph.function([x], x + w)
    np.testing.assert_array_equal(f(a), 2 * X)
    w.set_value(way(X), borrow=True)
    np.testing.assert_array_equal(f(a), 2 * X)
    w.container.data = way(X)
    np.testing.assert_array_equal(f(a[::-1]), X + X[::-1])
    np.testing.assert_array_equal(jitgraph.function([], T.exp(T.constant(a)))(), np.exp(X))


@WAYS
def test_graphs_keep_their_structure(way):
    x = T.dmatrix("x")
    w = jitgraph.shared(np.eye(2), name="w")
    y = T.dot(x, w)
    z = T.exp(y).sum() + y.shape[0]
    y.name = "y"
    w2, z2, y2, x2 = way([w, z, y, x])
    assert (x2.name, y2.name, w2.name) == ("x", "y", "w")
    assert y2.owner.inputs == [x2, w2] and y2 in {v for n in toposort([z2]) for v in n.inputs}
    assert z2 is not z and z2.type == z.type and y2.owner.origins == y.owner.origins
    np.testing.assert_allclose(z2.eval({x2: X}), np.exp(X).sum() + 2, rtol=1e-14)
    assert z2.owner.outputs == [z2] and z2.index == 0
    node = way(y.owner)
    assert str(node) == str(y.owner) and node.outputs[0].name == "y"


@WAYS
def test_shared_values_are_copies(way):
    w = jitgraph.shared(np.ones(3, "float32"), name="w")
    w.default_update = w * 2
    u = way(w)
    assert (u.name, u.type) == ("w", w.type) and u.default_update.owner.inputs[0] is u
    jitgraph.function([], u)()
    assert u.get_value().tolist() == [2.0] * 3 and w.get_value().tolist() == [1.0] * 3


@WAYS
def test_functions_with_state(way):
    x = T.dmatrix("x")
    w = jitgraph.shared(np.ones((2, 2)), name="w")
    f = jitgraph.function(
        [x],
        {"total": (x * w).sum(), "w": w},
        updates=[(w, w + x)],
        name="train",
    )
    f(X)
    g, v = way((f, w))
    assert g.name == "train" and g.get_shared() == [v]
    for function, shared in ((f, w), (g, v)):
        got = function(x=X)
        np.testing.assert_array_equal(got["w"], 1 + X)
        np.testing.assert_array_equal(shared.get_value(), 1 + 2 * X)
    assert g.compile_report()["cache"] == "hit"
    np.testing.assert_array_equal(w.get_value(), v.get_value())


@WAYS
def test_functions_with_defaults_and_stored_inputs(way):
    x, y = T.dscalar("x"), T.dscalar("y")
    f = jitgraph.function([x, jitgraph.In(y, value=1.0, update=y + x)], x * y)
    f(2.0)
    g = way(f)
    assert [float(g(2.0)), float(g(2.0)), float(g[y.name])] == [6.0, 10.0, 7.0]
    assert float(f[y]) == 3.0


@WAYS
def test_functions_with_random_state_go_on_alike(way):
    draw = RandomStreams(7).normal((2,))
    f = jitgraph.function([], draw)
    f()
    g = way(f)
    np.testing.assert_array_equal(f(), g())
    np.testing.assert_array_equal(f(), g())


@WAYS
def test_large_constants(way):
    table = np.arange(1000.0)
    k = T.lscalar("k")
    f = way(jitgraph.function([k], T.constant(table)[k] * 2))
    assert f(10) == 20.0


@WAYS
def test_ops_of_the_program(way):
    x = T.dmatrix("x")
    a = T.dmatrix("a")
    inner = jitgraph.OpFromGraph([a], [a * 2])
    f = jitgraph.function([x], inner(negated(Shifted(3.0)(x))))
    np.testing.assert_array_equal(way(f)(X), -2 * (X + 3))
    y, x2 = way([negated(Shifted(3.0)(x)), x])
    np.testing.assert_array_equal(y.eval({x2: X}), -(X + 3))
    local = jitgraph.as_op(T.dmatrix, T.dmatrix)(lambda v: v)
    with pytest.raises(TypeError, match="not global in a module"):
        pickle.dumps(local(x))


@WAYS
def test_loops(way):
    x = T.dvector("x")
    w = jitgraph.shared(2.0, name="w")
    zero = T.constant(np.float64(0))
    sums, _ = jitgraph.scan(lambda v, s: w * s + v, sequences=x, outputs_info=zero)
    f = jitgraph.function([x], [sums, T.grad(sums[-1], w)], updates=[(w, w + 1)])
    g = way(f)
    for _ in range(2):
        for mine, its in zip(g([1.0, 2.0, 3.0]), f([1.0, 2.0, 3.0]), strict=True):
            np.testing.assert_array_equal(mine, its)
    sums2, x2 = way([sums, x])
    assert sums2.eval({x2: [1.0, 1.0]}).tolist() == [1.0, 5.0]  # w is 4 by now


def test_deep_graphs_need_no_deep_stack():
    x = T.dscalar("x")
    y = x
    for _ in range(20_000):
        y = y + 1
    y2, x2 = through_pickle([y, x])
    assert len(toposort([y2])) == 20_000 and toposort([y2])[0].inputs[0] is x2
    assert len(toposort([copy.deepcopy(y)])) == 20_000


def test_a_shallow_copy_has_the_same_owner():
    x = T.dvector("x")
    y = x + 1
    y2, x2 = copy.copy(y), copy.copy(x)
    assert y2 is not y and y2.owner is y.owner and x2 is not x and x2.type == x.type


def test_constants_stay_read_only_and_tags_are_kept():
    c = through_pickle(T.constant([1.0, 2.0]))
    assert not c.data.flags.writeable
    x = T.dvector("x")
    x.tag.test_value, x.tag.note = np.ones(2), "mine"
    y = x + 1
    y.eval({x: [1.0, 2.0]})  # a compiled function is kept on the variable; it is not pickled
    assert through_pickle(x).tag.note == "mine"
    assert through_pickle(x).tag.test_value.tolist() == [1.0, 1.0]
    assert "_eval_functions" not in through_pickle(y).tag.__dict__
    with jitgraph.config.change_flags(pickle_test_value=False):
        assert not hasattr(through_pickle(x).tag, "test_value")


def test_unpickle_function_false_gives_none():
    x = T.dscalar("x")
    data = pickle.dumps(jitgraph.function([x], x + 1))
    with jitgraph.config.change_flags(unpickle_function=False):
        assert pickle.loads(data) is None
    assert pickle.loads(data)(1.0) == 2.0


READER = """
import pickle, sys
import numpy as np
f, w, draw = pickle.load(open(sys.argv[1], "rb"))
print(f(np.ones(2)).tolist(), w.get_value().tolist(), f.compile_report()["source"], draw().tolist())
"""


def test_another_process_reads_it_and_finds_the_code(tmp_path):
    x = T.dvector("x")
    w = jitgraph.shared(np.array([1.0, 2.0]), name="w")
    f = jitgraph.function([x], T.nnet.sigmoid(x * w) * 3, updates=[(w, w + x)])
    draw = jitgraph.function([], RandomStreams(3).uniform((1,)))
    path = tmp_path / "f.pickle"
    path.write_bytes(pickle.dumps((f, w, draw)))
    want = f(np.ones(2)).tolist(), w.get_value().tolist(), "disk", draw().tolist()
    done = subprocess.run(
        [sys.executable, "-c", READER, str(path)],
        env={**os.environ, "PYTHONPATH": str(Path(jitgraph.__file__).parents[1])},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stderr == "" and done.stdout.split("\n")[0] == " ".join(map(str, want))
