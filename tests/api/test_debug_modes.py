"""NanGuardMode, MonitorMode and DebugMode."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

import jitgraph
import jitgraph.tensor as T
from jitgraph.compile.debugmode import BadOptimization, BadThunkOutput, InvalidValueError
from jitgraph.compile.monitormode import MonitorMode, detect_nan
from jitgraph.compile.nanguardmode import NanGuardMode
from jitgraph.config import change_flags
from jitgraph.debugmodes import DebugMode
from jitgraph.ops.scalar import FUNCTIONS
from jitgraph.rewrite import pipeline, stable
from jitgraph.rewrite.engine import rule_function
from jitgraph.tensor.shared_randomstreams import RandomStreams

NAMES = ("DebugMode", "DEBUG_MODE", "NanGuardMode")


@pytest.mark.parametrize("name", NAMES)
def test_modes_by_name_compute_what_others_do(name):
    x = T.dmatrix("x")
    w = jitgraph.shared(np.full(3, 0.5), name="w")
    y = T.nnet.softmax(T.dot(x, T.eye(3)) * w)
    outputs = {"y": y, "cost": T.log(y).sum(), "top": T.argmax(y, axis=1), "n": x.shape[0]}
    a = np.arange(6.0).reshape(2, 3)
    # What is compared is stored after the call, so each mode starts from the same values.
    results = []
    for mode in (name, "FAST_RUN"):
        w.set_value(np.full(3, 0.5))
        f = jitgraph.function([x], outputs, updates=[(w, w * 2)], mode=mode)
        f(a)
        results.append((f(a), w.get_value().tolist()))
    (mine, state), (its, other) = results
    assert state == other == [2.0] * 3
    for key, value in its.items():
        np.testing.assert_allclose(mine[key], value, rtol=1e-13)
        assert mine[key].dtype == value.dtype


@pytest.mark.parametrize("name", NAMES)
def test_the_default_mode_may_be_one_of_them(name):
    x = T.dvector("x")
    with change_flags(mode=name):
        f = jitgraph.function([x], T.log(x))
    with pytest.raises((InvalidValueError, AssertionError)):
        f([0.0])
    assert f([1.0]).tolist() == [0.0]


@pytest.mark.parametrize("name", NAMES)
def test_random_numbers_are_drawn_once_for_each_call(name):
    def draws(mode):
        f = jitgraph.function([], RandomStreams(5).uniform((2,)), mode=mode)
        return [f().tolist() for _ in range(3)]

    assert draws(name) == draws("FAST_RUN")


@pytest.mark.parametrize("name", NAMES)
def test_shape_errors_have_their_class(name):
    x, y = T.dvector("x"), T.dvector("y")
    with pytest.raises(ValueError, match="2"):
        jitgraph.function([x, y], x + y, mode=name)([1.0], [1.0, 2.0])


# -- NanGuardMode --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "what", "where"),
    [
        (np.nan, "NaN detected in an input: x", "x"),
        (np.inf, "Inf detected in an input: x", "x"),
        (-2e10, "Big value detected in an input: x", "x"),
        (0.0, "Inf detected in the output of log", "log"),
        (-1.0, "NaN detected in the output of log", "log"),
    ],
)
def test_nan_guard_names_the_first_bad_value(value, what, where):
    x = T.dvector("x")
    f = jitgraph.function([x], T.exp(-T.exp(T.log(x))), mode=NanGuardMode(True, True, True))
    with pytest.raises(AssertionError, match=rf"{what}.*test_debug_modes\.py:\d+"):
        f([1.0, value])
    assert f([1.0]).tolist() == [np.exp(-1.0)]


def test_nan_guard_sees_intermediate_values():
    """exp(-exp(1000)) is 0, and its intermediate result is infinite."""
    x = T.dvector("x")
    y = T.exp(-T.exp(x))
    assert jitgraph.function([x], y)([1000.0]).tolist() == [0.0]
    with pytest.raises(AssertionError, match="Inf detected in the output of exp"):
        jitgraph.function([x], y, mode="NanGuardMode")([1000.0])


def test_nan_guard_looks_for_what_it_is_asked_to():
    x = T.dvector("x")
    values = {"nan": np.nan, "inf": np.inf, "big": 1e11}
    for asked in values:
        flags = {f"{k}_is_error": k == asked for k in values}
        for mode, options in (
            (NanGuardMode(**flags), {}),
            ("NanGuardMode", {f"NanGuardMode.{k}": v for k, v in flags.items()}),
        ):
            with change_flags(**options):
                f = jitgraph.function([x], x * 1, mode=mode)
                for name, value in values.items():
                    if name == asked:
                        with pytest.raises(AssertionError):
                            f([value])
                    else:
                        f([value])


def test_nan_guard_checks_shared_values_and_can_warn():
    w = jitgraph.shared(np.array([np.nan]), name="w")
    f = jitgraph.function([], w + 1, mode="NanGuardMode")
    with pytest.raises(AssertionError, match="NaN detected in a shared variable: w"):
        f()
    with (
        change_flags(**{"NanGuardMode.action": "warn"}),
        pytest.warns(UserWarning, match="NaN detected"),
    ):
        assert np.isnan(f()).all()


def test_nan_guard_can_open_the_debugger(monkeypatch):
    opened = []
    monkeypatch.setattr("sys.breakpointhook", lambda *a, **k: opened.append(True))
    x = T.dvector("x")
    with change_flags(**{"NanGuardMode.action": "pdb"}):
        jitgraph.function([x], x * 2, mode="NanGuardMode")([np.nan])
    assert opened


# -- MonitorMode ---------------------------------------------------------------------------------


def test_monitor_mode_calls_before_and_after_each_node():
    seen = []

    def before(i, node, fn):
        assert fn.outputs == [[None]]
        seen.append(("before", i, node.op.name, [cell[0] for cell in fn.inputs]))

    def after(i, node, fn):
        seen.append(("after", i, node.op.name, [cell[0] for cell in fn.outputs]))

    x = T.dscalar("x")
    f = jitgraph.function([x], T.exp(x) * T.sin(x), mode=MonitorMode(before, after))
    assert f(0.0) == 0.0
    assert [entry[:2] for entry in seen] == [(w, i) for i in range(3) for w in ("before", "after")]
    assert [name for w, _, name, _ in seen if w == "after"] == ["exp", "sin", "mul"]
    values = {(w, name): [float(v) for v in vs] for w, _, name, vs in seen}
    assert values["before", "mul"] == [1.0, 0.0] and values["after", "exp"] == [1.0]


def test_monitor_mode_may_change_results():
    def after(i, node, fn):
        fn.outputs[0][0] = fn.outputs[0][0] + 1

    x = T.dscalar("x")
    assert jitgraph.function([x], x * 2, mode=MonitorMode(post_func=after))(3.0) == 7.0


def test_detect_nan(capsys):
    x = T.dvector("x")
    f = jitgraph.function([x], T.log(x), mode=MonitorMode(post_func=detect_nan))
    f([1.0])
    assert capsys.readouterr().out == ""
    f([-1.0])
    out = capsys.readouterr().out
    assert out.startswith("*** NaN detected ***\nElemwise{log") and "Inputs : [array([-1.])]" in out


# -- DebugMode -----------------------------------------------------------------------------------


def test_debug_mode_finds_wrong_c(monkeypatch, changed_compiler):
    from dataclasses import replace

    changed_compiler()
    x = T.dvector("x")
    wrong = replace(FUNCTIONS["sub"], c="{1} - {0}")
    monkeypatch.setitem(FUNCTIONS, "sub", wrong)
    f = jitgraph.function([x], T.exp(x) - x, mode="DebugMode")
    with pytest.raises(BadThunkOutput, match=r"NumPy 1\.0, compiled -1\.0 at \(0,\)"):
        f([0.0])
    # Without the comparison the wrong value comes out: the tester is what finds it.
    assert jitgraph.function([x], T.exp(x) - x)([0.0]).tolist() == [-1.0]


def test_debug_mode_finds_a_wrong_rewrite(monkeypatch, changed_compiler):
    changed_compiler()
    op = T.cosh(T.dvector()).owner.op

    @rule_function("cosh(x) -> sinh(x)", op.scalar_name, tags={"fast_run", "wrong"})
    def wrong(node, rewriter):
        return T.sinh(node.inputs[0])

    monkeypatch.setattr(stable, "RULES", [*stable.RULES, wrong])
    monkeypatch.setattr(pipeline, "SWITCHABLE", [*pipeline.SWITCHABLE, wrong])
    pipeline.phases.cache_clear()
    x = T.dvector("x")
    try:
        f = jitgraph.function([x], T.cosh(x), mode="DebugMode")
        with pytest.raises(BadOptimization, match=r"as written .*1.*rewritten .*0"):
            f([0.0])
        # Comparison with the graph as written can be switched off; then nothing is found.
        with change_flags(**{"DebugMode.check_py": False}):
            assert f([0.0]).tolist() == [0.0]
    finally:
        pipeline.phases.cache_clear()


def test_debug_mode_takes_a_stable_form_for_right():
    x = T.dvector("x")
    f = jitgraph.function([x], T.log(T.nnet.sigmoid(x)), mode="DebugMode")
    assert f([-1000.0, 0.0]).tolist() == [-1000.0, -np.log(2.0)]


def test_debug_mode_without_c_starts_no_compiler(monkeypatch):
    monkeypatch.setattr("jitgraph.debugmodes.compile_plain", None)
    x = T.dvector("x")
    f = jitgraph.function([x], T.exp(x), mode=DebugMode(check_c_code=False))
    assert f([0.0]).tolist() == [1.0]
    with change_flags(**{"DebugMode.check_c": False}):
        assert jitgraph.function([x], T.exp(x), mode="DebugMode")([0.0]).tolist() == [1.0]


def test_values_that_are_not_finite():
    x = T.dvector("x")
    for mode in ("DebugMode", DebugMode(check_isfinite=True)):
        f = jitgraph.function([x], T.exp(T.log(x)), mode=mode)
        with pytest.raises(InvalidValueError, match=r"log: the result .*nan or infinity"):
            f([0.0])
    f = jitgraph.function([x], T.log(x), mode=DebugMode(check_isfinite=False))
    assert f([0.0]).tolist() == [-np.inf]
    f = jitgraph.function([x], T.log(x), mode="DebugMode")
    with change_flags(**{"DebugMode.check_finite": False}):
        assert f([0.0]).tolist() == [-np.inf]


def test_modes_can_be_changed_like_others():
    x = T.dvector("x")
    for mode in (DebugMode(), NanGuardMode(), MonitorMode()):
        other = mode.including("local_hard_sigmoid").excluding("fusion")
        assert type(other) is type(mode) and other.included == {"local_hard_sigmoid"}
        f = jitgraph.function([x], T.nnet.sigmoid(x), mode=other)
        assert f([3.0]).tolist() == [1.0]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        jitgraph.function([x], x + 1, mode=NanGuardMode(optimizer="None"))([1.0])
