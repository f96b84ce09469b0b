"""Figures of measured functions: function(profile=…), config.profile, the report at exit."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import jitgraph
import jitgraph.tensor as T
from jitgraph.compile.profiling import ProfileStats
from jitgraph.config import change_flags

X = np.ones((3, 3))


def with_a_step(**options):
    x = T.dmatrix("x")
    return jitgraph.function([x], T.exp(T.sort(x * 2, axis=0)).sum(), **options)


def test_calls_and_steps_are_counted():
    f = with_a_step(profile=True)
    want = with_a_step()(X)
    for _ in range(4):
        assert f(X) == want
    stats = f.profile
    assert isinstance(stats, ProfileStats) and stats.fct_callcount == 4
    assert 0 < stats.vm_call_time < stats.fct_call_time
    assert set(stats.apply_callcount.values()) == {4} and len(stats.apply_time) == 3
    assert sorted(stats.apply_cimpl.values()) == [False, True, True]
    assert sum(stats.apply_time.values()) == pytest.approx(stats.vm_call_time)
    assert stats.compile_time > 0


def test_the_report():
    f = with_a_step(profile="my function")
    for _ in range(3):
        f(X)
    out = io.StringIO()
    f.profile.summary(out)
    text = out.getvalue()
    assert "Message: my function" in text and "Time in 3 calls" in text
    assert "Py Sort{" in text and " C compiled loops 0" in text
    shares = [float(line.split("%")[0]) for line in text.split("<step>\n")[1].splitlines()]
    assert sum(shares) == pytest.approx(100, abs=0.2) and shares == sorted(shares)[::-1]
    out = io.StringIO()
    f.profile.summary(out, n_apply_to_print=1)
    assert "(2 more steps)" in out.getvalue()
    with change_flags(**{"profiling.n_apply": 2, "profiling.output_line_width": 20}):
        out = io.StringIO()
        f.profile.summary(out)
    assert "(1 more step" in out.getvalue()
    assert max(map(len, out.getvalue().split("\n"))) == 20


def test_an_object_is_shared_by_functions():
    stats = ProfileStats("both", atexit_print=False)
    f, g = with_a_step(profile=stats), with_a_step(profile=stats)
    f(X)
    g(X)
    assert f.profile is g.profile is stats and stats.fct_callcount == 2


def test_nothing_is_measured_unless_asked_for():
    f = with_a_step()
    assert f.stats is None and not isinstance(f.profile, ProfileStats)
    with change_flags(profile=True):
        assert with_a_step(profile=False).stats is None
        assert isinstance(with_a_step().profile, ProfileStats)
    with pytest.raises(TypeError, match="profile must be None, a bool, a message"):
        with_a_step(profile=3)


def test_options_of_the_measurement():
    with change_flags(**{"profiling.time_thunks": False}):
        f = with_a_step(profile=True)
    f(X)
    assert f.profile.apply_callcount == {"the whole program": 1}
    with change_flags(**{"profiling.ignore_first_call": True}):
        f = with_a_step(profile=True)
        for _ in range(3):
            f(X)
        assert f.profile.fct_callcount == 2
        assert set(f.profile.apply_callcount.values()) == {2}


@pytest.mark.parametrize("time_thunks", [True, False])
def test_state_updates_and_copies_work_as_ever(time_thunks):
    x = T.dmatrix("x")
    w = jitgraph.shared(X, name="w")
    with change_flags(**{"profiling.time_thunks": time_thunks}):
        f = jitgraph.function([x], [x + w, w, x], updates=[(w, w * 2)], profile=True)
        copied = f.copy(profile="the copy")
    total, old, same = f(X)
    assert (total == 2).all() and (old == 1).all() and (same == 1).all()
    assert (w.get_value() == 2).all()
    copied(X)
    assert (w.get_value() == 4).all()
    assert f.profile.fct_callcount == 1 and copied.profile.message == "the copy"
    assert f.copy().stats is None


PROGRAM = """
import jitgraph, jitgraph.tensor as T
x = T.dscalar("x")
f = jitgraph.function([x], x * 2, name="first")
g = jitgraph.function([x], x * 3, name="second")
f(1.0); f(2.0); g(1.0)
"""


@pytest.mark.parametrize("destination", ["stderr", "stdout", "report.txt"])
def test_the_report_at_exit(destination, tmp_path):
    flags = f"profile=True,print_global_stats=True,profiling.destination={destination}"
    source = str(Path(jitgraph.__file__).parents[1])
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        env={**os.environ, "PYTHONPATH": source, "JITGRAPH_FLAGS": flags},
        capture_output=True,
        text=True,
        check=True,
        cwd=tmp_path,
    )
    written = {"stdout": done.stdout, "stderr": done.stderr}
    if destination not in written:
        written[destination] = (tmp_path / destination).read_text()
    text = written.pop(destination)
    assert not any(written.values())
    assert "Message: first" in text and "Message: second" in text
    total = text[text.index("Message: Sum of all functions") :]
    assert "Time in 3 calls" in total
