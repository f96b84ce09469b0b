"""`f.profile()`: lines, names and bytes of known functions, and that nothing else changes."""

from __future__ import annotations

import json

import numpy as np
import pytest

import jitgraph
import jitgraph.tensor as T
from jitgraph.errors import JitgraphError
from jitgraph.graph import Variable

N = 300_000


def test_one_loop_reads_its_inputs_and_writes_its_result() -> None:
    a, b = T.dvectors("alpha", "beta")
    f = jitgraph.function([a, b], T.exp(a) * b)
    x = np.linspace(0, 1, N)
    p = f.profile(x, x, calls=3)
    (line,) = p.lines
    assert (line.kind, line.bytes) == ("loop", 3 * 8 * N)
    assert "exp(alpha)" in line.what
    assert "beta" in line.what
    assert line.what.startswith("result = ")
    assert "test_loop_profile.py" in line.where
    assert 0 < line.seconds <= p.seconds < 10
    assert line.gb_per_s == pytest.approx(line.bytes / line.seconds / 1e9)
    assert line.share == pytest.approx(line.gb_per_s * 1e9 / p.copy_limit)
    assert (p.calls, p.threads) == (3, jitgraph.get_num_threads())


def test_an_element_read_by_a_reduction_and_a_loop_counts_in_both() -> None:
    x = T.dvector("x")
    f = jitgraph.function([x], x / x.sum())
    p = f.profile(np.ones(N), calls=2)
    total = sum(line.bytes for line in p.lines)
    # Two passes: x read; x read and the result written. The sum itself is 8 bytes.
    assert abs(total - 3 * 8 * N) <= 64


def test_products_python_steps_and_updates_are_told_apart() -> None:
    x, v = T.dmatrix("x"), T.dvector("v")
    w = jitgraph.shared(np.ones(30), name="weights")
    out = T.sort(T.exp(v)) * T.dot(x, w)
    f = jitgraph.function([x, v], out, updates=[(w, w * 2.0)])
    p = f.profile(np.ones((40, 30)), np.arange(40.0), calls=2)
    kinds = [line.kind for line in p.lines]
    assert {"product", "python", "loop"} <= set(kinds)
    product = p.lines[kinds.index("product")]
    assert product.bytes == 8 * (40 * 30 + 30 + 40)
    assert "dot(x, weights)" in product.what
    assert p.lines[kinds.index("python")].bytes == 2 * 8 * 40
    assert any(line.what.startswith("new weights = ") for line in p.lines)
    assert np.array_equal(w.get_value(), np.ones(30))  # no update was stored


def test_the_function_itself_stays_as_it_is() -> None:
    x = T.dvector("x")
    f = jitgraph.function([x], T.tanh(x) + 1)
    values = np.linspace(-3, 3, 1000)
    before, source = f(values), f.c_source
    f.profile(values)
    assert f.c_source == source
    assert "jg_clock" not in source
    assert np.array_equal(f(values), before)


def test_arguments_are_converted_as_in_a_call() -> None:
    a, b = T.dscalars("a", "b")
    f = jitgraph.function([a, jitgraph.In(b, value=2.0)], a * b)
    assert f.profile(3.0).lines
    assert f.profile(3.0, b=1.0).lines
    with pytest.raises(TypeError):
        f.profile()


def test_errors() -> None:
    x = T.dvector("x")
    with pytest.raises(JitgraphError, match="reference"):
        jitgraph.function([x], x + 1, mode="reference").profile(np.ones(3))
    with pytest.raises(ValueError, match="at least 1"):
        jitgraph.function([x], x + 1).profile(np.ones(3), calls=0)


def test_text_and_json() -> None:
    x: Variable = T.dvector("bad\x1b[31mname")
    p = jitgraph.function([x], T.exp(x)).profile(np.ones(N), calls=2)
    text = str(p)
    assert "\x1b" not in text  # names cannot move the cursor of a terminal
    assert "of copy" in text
    assert f"{16 * N / 1e6:.4g}" in text
    assert json.loads(json.dumps(p.as_json()))["lines"][0]["bytes"] == 16 * N


def test_loops_within_scan_do_not_disturb_their_neighbours() -> None:
    x, first = T.dvector("x"), T.dscalar("first")
    y, updates = jitgraph.scan(lambda e, s: s + T.exp(e), sequences=x, outputs_info=first)
    f = jitgraph.function([x, first], y * 2, updates=updates)
    values = np.linspace(0, 1, 50)
    assert all(line.seconds >= 0 for line in f.profile(values, 0.0).lines)
    assert np.allclose(f(values, 0.0), 2 * np.cumsum(np.exp(values)))
