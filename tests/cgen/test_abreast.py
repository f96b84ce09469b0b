"""Loops that compute several vectors at a time: which ones do, and that no value changes by it."""

from __future__ import annotations

import re

import numpy as np
import pytest

import jitgraph
import jitgraph.tensor as T

x, v, m = T.dvector("x"), T.dvector("v"), T.dmatrix("m")
f32 = T.fvector("f32")

MARK = re.compile(r"JG_(?:SUM_)?ABREAST\((\d), (\w+), ")


def marks(expression) -> list[tuple[str, ...]]:
    inputs = [i for i in (x, v, m, f32) if i in set(jitgraph.gof.graph.ancestors([expression]))]
    return MARK.findall(jitgraph.function(inputs, expression).c_source)


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        (T.nnet.sigmoid(x), [("4", "double")]),
        (T.tanh(x) * v, [("4", "double")]),
        (T.log2(x), [("2", "double")]),  # four gain nothing
        (T.tanh(f32), [("4", "float")]),
        (T.erf(f32), [("4", "float")]),
        (T.sinh(f32), [("2", "float")]),  # computed in float64
        (T.exp(x) * T.sin(v), [("2", "double")]),
        (T.exp(x) * T.sin(v) + T.log(x), []),  # three functions do not wait for each other
        (x * v + 1, []),
        (T.gammaln(x), []),  # not vectorised
        (T.sin(m).sum(axis=1), [("4", "double")]),
        (T.sin(m).sum(axis=0), [("4", "double")]),
        (T.exp(x), []),  # short: it waits for its stores
        (T.exp(x).sum(), [("4", "double")]),
        (T.exp(f32).sum(), [("4", "float")]),
        (T.argmax(T.sin(m), axis=1), [("4", "double")]),
    ],
    ids=str,
)
def test_loops_with_one_or_two_vector_functions_go_abreast(expression, expected) -> None:
    assert marks(expression) == expected


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("name", ["sigmoid", "tanh", "sin", "erf", "log1p"])
def test_a_value_has_the_same_bits_at_every_place(name, dtype) -> None:
    """Against calls with one element each, which never reach the loop over groups."""
    a = T.vector("a", dtype=dtype)
    f = jitgraph.function([a], getattr(T, name, getattr(T.nnet, name, None))(a))
    rng = np.random.default_rng(5)
    values = (rng.standard_normal(331) * 3).astype(dtype)
    values[[3, 40, 41, 130, 300]] = [np.nan, np.inf, -np.inf, -0.0, 1e-40]
    alone = np.concatenate([f(values[k : k + 1]) for k in range(values.size)])
    for n in (*range(0, 140), 191, 192, 193, 255, 256, 257, 331):
        np.testing.assert_array_equal(f(values[:n]).view(np.uint8), alone[:n].view(np.uint8))


def test_rows_shorter_and_longer_than_a_group() -> None:
    f = jitgraph.function([m], [T.log1p(m**2).sum(axis=1), T.nnet.sigmoid(m)])
    rng = np.random.default_rng(6)
    for columns in (0, 1, 7, 8, 31, 32, 33, 64, 100, 515):
        a = rng.standard_normal((5, columns))
        total, p = f(a)
        np.testing.assert_allclose(total, np.log1p(a**2).sum(axis=1), rtol=1e-14)
        np.testing.assert_allclose(p, 1 / (1 + np.exp(-a)), rtol=1e-14)


@pytest.mark.parametrize("name", ["sigmoid", "tanh", "sin", "log1p", "arcsin"])
def test_a_sum_beside_the_function_has_the_bits_of_the_sum_of_its_values(name) -> None:
    """For every remainder of a group, of a block and of a thread's part."""
    e = getattr(T, name, getattr(T.nnet, name, None))(x)
    beside, alone, values = (jitgraph.function([x], o) for o in (e.sum(), x.sum(), e))
    assert "JG_SUM_ABREAST(" in beside.c_source
    a = np.random.default_rng(9).uniform(-0.9, 0.9, 70_000)
    for n in (*range(0, 100), *range(500, 580), 1024, 16_384, 16_385, 40_000, 70_000):
        assert beside(a[:n]).tobytes() == alone(values(a[:n])).tobytes()


rows = T.fmatrix("rows")
total = T.exp(rows).sum(axis=1, keepdims=True)


@pytest.mark.parametrize(
    ("expression", "reach"),
    [
        (T.nnet.softmax(rows), ["1"]),
        (T.tanh(rows) / T.tanh(rows).sum(axis=1, keepdims=True), ["4"]),
        (T.exp(rows) / total, ["1"]),
        (T.exp(rows), []),  # one loop over all
        (T.nnet.softmax(m), []),  # float64: less is left of a row
        (T.gammaln(rows).sum(axis=1), []),  # every element once more would cost as much again
    ],
    ids=str,
)
def test_rows_of_float32_end_in_whole_vectors(expression, reach) -> None:
    inputs = [i for i in (m, rows) if i in set(jitgraph.gof.graph.ancestors([expression]))]
    source = jitgraph.function(inputs, expression).c_source
    assert re.findall(r"JG_REACH\((\d), float, ", source) == reach


@pytest.mark.parametrize("name", ["exp", "tanh", "sigmoid", "erf"])
def test_a_value_that_is_computed_twice_has_the_same_bits(name) -> None:
    f1 = getattr(T, name, getattr(T.nnet, name, None))
    e = f1(rows)
    f = jitgraph.function([rows], [e, e.sum(axis=1)])
    assert "JG_REACH(" in f.c_source
    alone = jitgraph.function([f32], f1(f32))
    values = np.random.default_rng(7).normal(scale=3, size=(4, 530)).astype("float32")
    values[0, [3, 20, 47, 99]] = [np.nan, np.inf, -np.inf, -0.0]
    for columns in (*range(0, 140), 511, 512, 513, 527, 528, 529, 530):
        given = np.ascontiguousarray(values[:, :columns])
        found = f(given)[0]
        want = alone(given.ravel()).reshape(given.shape)
        np.testing.assert_array_equal(found.view(np.uint8), want.view(np.uint8))
