"""accuracy='fast': which C it selects, where it is chosen, and what it keeps of the exact forms."""

from __future__ import annotations

import pickle
from dataclasses import replace

import mpmath
import numpy as np
import pytest

import jitgraph
import jitgraph.tensor as T
from jitgraph.compile.debugmode import DebugMode
from jitgraph.compile.nanguardmode import NanGuardMode
from jitgraph.errors import BadThunkOutput
from jitgraph.mode import FAST_RUN, Mode, get_mode
from jitgraph.ops.elementwise import Elementwise
from jitgraph.ops.scalar import FAST_HEADER, FUNCTIONS, fast_name

FAST = FAST_RUN.with_accuracy("fast")
EXACT = FAST_RUN.with_accuracy("exact")
WITH_FAST = sorted(name for name, f in FUNCTIONS.items() if f.fast is not None)

# name -> (graph, true value, an interval)
TRUTH = {
    "exp": (T.exp, mpmath.exp, (-20.0, 20.0)),
    "exp2": (T.exp2, lambda x: mpmath.power(2, x), (-30.0, 30.0)),
    "expm1": (T.expm1, mpmath.expm1, (-3.0, 3.0)),
    "tanh": (T.tanh, mpmath.tanh, (-4.0, 4.0)),
    "log": (T.log, mpmath.log, (0.1, 10.0)),
    "log2": (T.log2, lambda x: mpmath.log(x) / mpmath.log(2), (0.1, 10.0)),
    "log10": (T.log10, mpmath.log10, (0.1, 10.0)),
    "log1p": (T.log1p, mpmath.log1p, (-0.9, 5.0)),
    "sigmoid": (T.nnet.sigmoid, lambda x: 1 / (1 + mpmath.exp(-x)), (-20.0, 20.0)),
    "softplus": (T.nnet.softplus, lambda x: mpmath.log1p(mpmath.exp(x)), (-20.0, 20.0)),
    "erf": (T.erf, mpmath.erf, (-3.0, 3.0)),
}


def compiled(op, mode, dtype="float64"):
    x = T.vector("x", dtype=dtype)
    return jitgraph.function([x], op(x), mode=mode)


def key_of(function) -> str:
    return function.compile_report()["entry"]


@pytest.mark.parametrize("name", WITH_FAST)
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_every_fast_form_is_selected(name: str, dtype: str) -> None:
    f = FUNCTIONS[name]
    inputs = [T.vector(f"x{i}", dtype=dtype) for i in range(f.arity)]
    graph = Elementwise(name)(*inputs)
    for mode, wanted in ((FAST, True), (EXACT, False), (FAST_RUN, False)):
        source = jitgraph.function(inputs, graph, mode=mode).c_source
        assert (f'"{FAST_HEADER}"' in source) is wanted
        assert ("_fast_f" in source) is wanted


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("name", TRUTH)
def test_within_four_ulp(name: str, dtype: str) -> None:
    op, true, (low, high) = TRUTH[name]
    x = np.random.default_rng(7).uniform(low, high, 400).astype(dtype)
    got = compiled(op, FAST, dtype)(x)
    assert got.dtype == dtype
    with mpmath.workprec(120):
        for point, value in zip(x.tolist(), got, strict=True):
            want = true(mpmath.mpf(point))
            unit = float(np.spacing(np.abs(np.asarray(float(want), dtype))))
            assert abs(mpmath.mpf(float(value)) - want) <= 4 * unit, point


def test_it_differs_from_the_exact_form() -> None:
    """Otherwise the tests above would measure the exact functions."""
    x = np.linspace(-3.0, 3.0, 1001)
    for op in (T.exp, T.tanh, T.nnet.sigmoid, T.erf):
        assert not np.array_equal(compiled(op, FAST)(x), compiled(op, EXACT)(x))


@pytest.mark.parametrize("name", TRUTH)
def test_special_values_are_those_of_the_exact_form(name: str) -> None:
    x = np.array([0.0, -0.0, np.inf, -np.inf, np.nan, 1e300, -1e300, 5e-324, -5e-324, -1.0])
    for dtype in ("float64", "float32"):
        with np.errstate(over="ignore", under="ignore"):
            points = x.astype(dtype)
        a, b = (compiled(TRUTH[name][0], mode, dtype)(points) for mode in (FAST, EXACT))
        unlike = np.isfinite(a) & (a != 0)
        assert np.array_equal(np.isnan(a), np.isnan(b))
        assert np.array_equal(np.signbit(a[~np.isnan(a)]), np.signbit(b[~np.isnan(b)]))
        assert np.array_equal(a[~unlike], b[~unlike], equal_nan=True)
        np.testing.assert_array_almost_equal_nulp(a[unlike], b[unlike], nulp=5)


def test_same_bits_wherever_a_value_stands() -> None:
    f = compiled(lambda x: T.tanh(x) + T.nnet.softplus(-x) * T.nnet.softplus(x), FAST)
    x = np.linspace(-30.0, 30.0, 203)
    whole = f(x)
    for start in range(0, 203, 7):
        for length in (1, 2, 5, 17):
            assert np.array_equal(f(x[start : start + length]), whole[start : start + length])


def test_the_key_follows_the_accuracy() -> None:
    fast, exact, default = (compiled(T.exp, mode) for mode in (FAST, EXACT, None))
    assert key_of(exact) == key_of(default) != key_of(fast)
    with jitgraph.config.change_flags(accuracy="fast"):
        assert key_of(compiled(T.exp, None)) == key_of(fast)
        assert key_of(compiled(T.exp, "FAST_RUN")) == key_of(fast)
        assert key_of(compiled(T.exp, EXACT)) == key_of(exact)
    assert key_of(compiled(T.exp, None)) == key_of(exact)


def test_modes_are_values() -> None:
    assert FAST == Mode("cvm", "fast_run", accuracy="fast") != FAST_RUN
    assert FAST.with_accuracy(None) == FAST_RUN
    assert FAST.excluding("fusion").accuracy == "fast"
    assert str(FAST) == "Mode(c, fast_run; accuracy fast)"
    assert pickle.loads(pickle.dumps(FAST)) == FAST
    with pytest.raises(KeyError, match="precise"):
        Mode(accuracy="precise")
    with pytest.raises(ValueError, match="accuracy"):
        jitgraph.config.accuracy = "precise"


def test_a_pickled_function_keeps_its_accuracy() -> None:
    fast = compiled(T.exp, FAST)
    again = pickle.loads(pickle.dumps(fast))
    x = np.linspace(-9.0, 9.0, 501)
    assert key_of(again) == key_of(fast)
    assert np.array_equal(again(x), fast(x))


def test_bodies_of_loops_and_branches() -> None:
    x = T.vector("x")
    states, _ = jitgraph.scan(T.tanh, outputs_info=x, n_steps=3)
    chosen = jitgraph.ifelse.ifelse(T.gt(x.sum(), 0), T.exp(x), T.log(-x))
    f = jitgraph.function([x], [states[-1], chosen], mode=FAST)
    assert "jg_tanh_fast_f64" in f.c_source and "jg_tanh_f64" not in f.c_source
    assert "jg_exp_fast_f64" in f.c_source and "jg_log_fast_f64" in f.c_source
    v = np.linspace(0.1, 1.0, 31)
    loop, branch = f(v)
    np.testing.assert_allclose(loop, np.tanh(np.tanh(np.tanh(v))), rtol=4e-15)
    np.testing.assert_allclose(branch, np.exp(v), rtol=1e-15)


def test_composite_ops_are_written_out_first() -> None:
    x = T.matrix("x")
    f = jitgraph.function([x], T.nnet.softmax(x), mode=FAST)
    assert "jg_exp_fast_f64" in f.c_source and "jg_exp_f64" not in f.c_source


def test_stable_forms_are_found_as_before() -> None:
    """The rules that know functions come before: log(sigmoid(x)) is finite at -1000."""
    f = compiled(lambda x: T.log(T.nnet.sigmoid(x)), FAST)
    assert f(np.array([-1000.0]))[0] == -1000.0
    assert "jg_softplus_minus_fast_f64" in f.c_source


def test_gradients_are_fast_too() -> None:
    x = T.vector("x")
    g = jitgraph.function([x], T.grad(T.nnet.sigmoid(x).sum(), x), mode=FAST)
    v = np.linspace(-4.0, 4.0, 101)
    s = 1 / (1 + np.exp(-v))
    np.testing.assert_allclose(g(v), s * (1 - s), rtol=1e-13)
    assert "jg_sigmoid_fast_f64" in g.c_source


def test_numpy_and_the_modes_of_numpy_are_not_concerned() -> None:
    x = np.linspace(-3.0, 3.0, 101)
    with jitgraph.config.change_flags(accuracy="fast"):
        f = compiled(T.exp, "reference")
        guarded = compiled(T.exp, NanGuardMode(accuracy="fast"))
    assert np.array_equal(f(x), np.exp(x))
    assert np.array_equal(guarded(x), np.exp(x))
    assert not get_mode("reference").with_accuracy("fast").fast


def test_debug_mode_compares_the_fast_code(monkeypatch: pytest.MonkeyPatch) -> None:
    x = np.linspace(-3.0, 3.0, 101)
    f = compiled(lambda v: T.tanh(v) * T.exp(v), DebugMode(accuracy="fast"))
    np.testing.assert_allclose(f(x), np.tanh(x) * np.exp(x), rtol=1e-14)
    wrong = replace(FUNCTIONS[fast_name("exp2")], c="jg_exp_fast_{t}({0})")
    monkeypatch.setitem(FUNCTIONS, fast_name("exp2"), wrong)
    with pytest.raises(BadThunkOutput):
        compiled(T.exp2, DebugMode(accuracy="fast"))(x)
