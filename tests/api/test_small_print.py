"""Details that the documentation of Theano states in passing, and misprints that circulate."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import mpmath
import numpy as np
import pytest

import jitgraph
import jitgraph.tensor as T
from jitgraph.graph import toposort

X = np.linspace(-8.0, 8.0, 4001)


def test_importing_prints_nothing_and_warns_of_nothing():
    code = (
        "import jitgraph, jitgraph.tensor as T, jitgraph.tensor.nnet\n"
        "from jitgraph.tensor.shared_randomstreams import RandomStreams\n"
        "x = T.dvector(); assert T.nnet.sigmoid(x).eval({x: [0.0]}) == 0.5"
    )
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        env={**os.environ, "PYTHONPATH": str(Path(jitgraph.__file__).parents[1])},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_the_keyword_is_keepdims():
    x = T.dmatrix("x")
    kept = T.exp(x).sum(axis=1, keepdims=True)
    assert kept.broadcastable == (False, True)
    for reduce in (T.sum, T.mean, T.max, T.prod):
        with pytest.raises(TypeError, match="keep_dims"):
            reduce(x, axis=1, keep_dims=True)
    with pytest.raises(TypeError, match="keep_dims"):
        x.sum(axis=1, keep_dims=True)


def test_precision_falls_from_sigmoid_to_ultra_fast_to_hard():
    x = T.dvector("x")
    forms = (T.nnet.sigmoid, T.nnet.ultra_fast_sigmoid, T.nnet.hard_sigmoid)
    results = jitgraph.function([x], [form(x) for form in forms])(X)
    true = np.array([float(1 / (1 + mpmath.exp(-mpmath.mpf(float(v))))) for v in X])
    exact, ultra, hard = (np.abs(r - true).max() for r in results)
    assert exact < 2.3e-16 and 0.0276 < ultra < 0.0277 and 0.0758 < hard < 0.0759


def test_both_approximations_asked_for_give_one():
    x = T.dvector("x")
    y = T.nnet.sigmoid(x)
    both = jitgraph.Mode().including("local_hard_sigmoid", "local_ultra_fast_sigmoid")
    ultra = jitgraph.function([x], T.nnet.ultra_fast_sigmoid(x))(X)
    np.testing.assert_array_equal(jitgraph.function([x], y, mode=both)(X), ultra)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_dtypes_and_ranks_of_the_network_functions(dtype):
    """'Same as x' for the sigmoids, softplus and softmax of a matrix; int labels drop an axis."""
    x = T.matrix("x", dtype=dtype)
    v = T.vector("v", dtype=dtype)
    for form in (
        T.nnet.sigmoid,
        T.nnet.ultra_fast_sigmoid,
        T.nnet.hard_sigmoid,
        T.nnet.softplus,
        T.nnet.softmax,
    ):
        assert form(x).type == x.type, form
    assert T.nnet.softmax(v).type == T.TensorType(dtype, (True, False))
    assert T.nnet.binary_crossentropy(x, T.dmatrix()).dtype == "float64"
    assert T.nnet.binary_crossentropy(x, x).type == x.type
    assert T.nnet.categorical_crossentropy(x, T.ivector()).type == v.type
    assert T.nnet.categorical_crossentropy(x, x).type == v.type


def test_equal_nodes_are_one_and_draws_are_not():
    from jitgraph.tensor.shared_randomstreams import RandomStreams

    x = T.dvector("x")
    y = T.exp(x + 1.0) * T.sqrt(x + 1.0) + T.exp(x + 1.0)
    graph = jitgraph.function([x], y).maker.fgraph
    assert sorted(n.op.name for n in graph.toposort()) == ["add", "add", "exp", "mul", "sqrt"]
    srng = RandomStreams(4)
    one, two = srng.uniform((3,)), srng.uniform((3,))
    assert (jitgraph.function([], one - two)() != 0).all()
    assert (jitgraph.function([], one - one)() == 0).all()


def test_the_logistic_function_is_recognised_and_its_tanh_form_is_not():
    x = T.dmatrix("x")
    written = jitgraph.function([x], 1 / (1 + T.exp(-x))).maker.fgraph
    assert [n.op.name for n in written.toposort()] == ["sigmoid"]
    by_tanh = jitgraph.function([x], (1 + T.tanh(x / 2)) / 2).maker.fgraph
    assert "sigmoid" not in {n.op.name for n in by_tanh.toposort()}


def test_an_accumulator_is_updated_without_another_array():
    """shared += x is one loop over two operands; nothing is copied besides."""
    w = jitgraph.shared(np.zeros(1000), name="w")
    x = T.dvector("x")
    f = jitgraph.function([x], [], updates=[(w, w + x)])
    assert len(f.program.steps) == 1 and f.c_source.count("z0[i] = a0[i] + a1[i];") == 1
    # The other loops, over blocks and over pieces, are the way past the caches for a result that is
    # large, and the way of an argument that is not in C order.
    source = f.c_source
    assert (source.count("i++"), source.count("for ("), source.count("while (")) == (1, 2, 1)
    for _ in range(3):
        f(np.ones(1000))
    assert (w.get_value() == 3).all()


def test_a_dot_prints_as_in_the_documentation_and_is_one_node():
    x, w, b = T.dvector("x"), T.dmatrix("W"), T.dvector("b")
    y = T.nnet.sigmoid(T.dot(w, x) + b)
    assert jitgraph.pprint(y) == r"sigmoid(((W \dot x) + b))"
    assert [n.op.name for n in toposort([T.dot(w, x)])] == ["dot"]
    assert jitgraph.dot(w, x).type == T.dot(w, x).type == x.type
