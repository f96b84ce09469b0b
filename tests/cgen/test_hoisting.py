"""Values that are the same in all steps of an inner loop are computed before it."""

from __future__ import annotations

import re

import numpy as np
import pytest

import jitgraph
import jitgraph.tensor as T

x, v = T.dmatrix("x"), T.dvector("v")
ROWS = x.sum(axis=1, keepdims=True)


def inner_loops(text: str) -> list[str]:
    """The text of every loop over j (C, without the loops around it)."""
    head = r"(?:for \(int64_t j = |JG_(?:SUM_)?ABREAST\([^{]*, j, )"
    return re.findall(head + r"[^{]*\{([^{}]*)\}", text)


@pytest.mark.parametrize(
    ("expression", "function"),
    [
        (x * T.gammaln(ROWS), "jg_gammaln_f64"),
        ((T.exp(x) * T.erf(ROWS)).sum(axis=1), "jg_erf_f64"),
        (T.nnet.logsoftmax(x), "jg_log_f64"),
        (x * T.sqrt(v).dimshuffle(0, "x"), "__builtin_sqrt"),
    ],
)
def test_functions_of_a_row_stand_before_its_loop(expression, function) -> None:
    inputs = [i for i in (x, v) if i in set(jitgraph.gof.graph.ancestors([expression]))]
    f = jitgraph.function(inputs, expression)
    assert function in f.c_source
    loops = inner_loops(f.c_source)
    assert loops and not any(function in text for text in loops)
    rng = np.random.default_rng(3)
    for shape in ((4, 7), (3, 0), (0, 5), (1, 1), (2, 1100)):
        given = [rng.random(shape), rng.random(shape[0])][: len(inputs)]
        expected = jitgraph.function(inputs, expression, mode="reference")(*given)
        np.testing.assert_allclose(f(*given), expected, rtol=1e-13, atol=1e-13)


def test_what_a_loop_changes_stays_in_it() -> None:
    """A running total, an array that the loop writes, and positions depend on the step."""
    table = T.dmatrix("table")
    running = T.cumsum(table, axis=1)
    added = T.inc_subtensor(table[:, 0], table.sum(axis=1))
    largest = table.argmax(axis=1)
    f = jitgraph.function([table], [running, added, added * 2, largest])
    a = np.arange(12.0).reshape(3, 4) % 5
    wanted = a.copy()
    wanted[:, 0] += a.sum(axis=1)
    for found, expected in zip(
        f(a), (a.cumsum(axis=1), wanted, wanted * 2, a.argmax(axis=1)), strict=True
    ):
        np.testing.assert_array_equal(found, expected)


def test_an_empty_row_reads_nothing() -> None:
    """x[:, 0] of rows without elements is an error, not a load before a loop of no steps."""
    f = jitgraph.function([x], x * x[:, :1].sum(axis=1, keepdims=True) + x[:, 0].dimshuffle(0, "x"))
    with pytest.raises(IndexError):
        f(np.zeros((3, 0)))
