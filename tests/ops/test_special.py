"""Special functions: values against mpmath, compiled code, dtypes, refusals, complex parts."""

from __future__ import annotations

import builtins
import sys
from typing import Any

import mpmath
import numpy as np
import pytest

import jitgraph
import jitgraph.tensor as T
from jitgraph.ops.scalar import FUNCTIONS
from jitgraph.reference import evaluate

mpmath.mp.dps = 40


def erfcinv(x: Any) -> Any:
    return -_normal_quantile(mpmath.mpf(x) / 2) / mpmath.sqrt(2)


def _normal_quantile(p: Any) -> Any:
    """By Newton's method from SciPy's double; three steps square 1e-16 beyond 40 digits."""
    from scipy.special import ndtri

    z = mpmath.mpf(float(ndtri(float(p))))
    for _ in range(3):
        z -= (mpmath.ncdf(z) - p) / mpmath.npdf(z)
    return z


# name: (true value, operands as they are passed)
POSITIVE = (0.1, 0.5, 1.0, 1.5, 2.0, 3.75, 10.0, 40.5)
SIGNED = (-2.3, -0.7, 0.2, 1.0, 2.9)
K_AND_X = tuple((k, x) for k in (0.5, 1.0, 3.2, 12.0) for x in (0.1, 1.0, 4.5, 15.0))
V_AND_X = tuple((v, x) for v in (0.0, 0.5, 2.0, 3.7) for x in (0.1, 1.0, 4.5, 15.0))
ORACLES: dict[str, tuple[Any, Any]] = {
    "erfcx": (lambda x: mpmath.exp(x * x) * mpmath.erfc(x), (*SIGNED, 9.0)),
    "erfinv": (mpmath.erfinv, (-0.99, -0.5, 1e-9, 0.3, 0.999)),
    "erfcinv": (erfcinv, (1e-12, 0.01, 0.5, 1.2, 1.99)),
    "gamma": (mpmath.gamma, (*SIGNED, *POSITIVE)),
    "gammaln": (lambda x: mpmath.log(abs(mpmath.gamma(x))), (-2.3, -0.7, *POSITIVE)),
    "psi": (mpmath.digamma, (*SIGNED, *POSITIVE)),
    "tri_gamma": (lambda x: mpmath.psi(1, x), (*SIGNED, *POSITIVE)),
    "gammainc": (lambda k, x: mpmath.gammainc(k, 0, x, regularized=True), K_AND_X),
    "gammaincc": (lambda k, x: mpmath.gammainc(k, x, mpmath.inf, regularized=True), K_AND_X),
    "gammau": (lambda k, x: mpmath.gammainc(k, x, mpmath.inf), K_AND_X),
    "gammal": (lambda k, x: mpmath.gammainc(k, 0, x), K_AND_X),
    "chi2sf": (
        lambda x, k: mpmath.gammainc(k / 2, x / 2, mpmath.inf, regularized=True),
        tuple((x, k) for k, x in K_AND_X),
    ),
    "j0": (lambda x: mpmath.besselj(0, x), (*SIGNED, *POSITIVE)),
    "j1": (lambda x: mpmath.besselj(1, x), (*SIGNED, *POSITIVE)),
    "jv": (mpmath.besselj, V_AND_X),
    "i0": (lambda x: mpmath.besseli(0, x), (*SIGNED, *POSITIVE)),
    "i1": (lambda x: mpmath.besseli(1, x), (*SIGNED, *POSITIVE)),
    "iv": (mpmath.besseli, V_AND_X),
}
# The references come from the math module and SciPy, whose stated errors are 1e-15 to 1e-14
# relative; where a root of the function is near, 2e-15 absolute.
REFERENCE_RTOL = 2e-14


def operands(name: str, dtype: str = "float64") -> list[np.ndarray]:
    points = np.array(ORACLES[name][1], dtype=dtype)
    return list(points.T.copy()) if points.ndim == 2 else [points]


def true_values(name: str, arrays: list[np.ndarray]) -> np.ndarray:
    f = ORACLES[name][0]
    return np.array([float(f(*(mpmath.mpf(float(a)) for a in row))) for row in zip(*arrays)])  # noqa: B905


def call(name: str, arrays: list[np.ndarray]) -> np.ndarray:
    xs = [jitgraph.TensorType(a.dtype, (False,)).make_variable() for a in arrays]
    y = getattr(T, name)(*xs)
    [result] = evaluate([y], dict(zip(xs, arrays, strict=True)))
    assert result.dtype == y.type.dtype
    return result


def test_all_are_declared_and_exported() -> None:
    for name, (_, points) in ORACLES.items():
        assert FUNCTIONS[name].arity == (2 if isinstance(points[0], tuple) else 1)
        assert FUNCTIONS[name].doc
        assert FUNCTIONS[name].header in ("jg_erf.h", "jg_gamma.h", "jg_bessel.h")
        assert getattr(T, name).scalar_name == name


@pytest.mark.parametrize("name", ORACLES)
def test_reference_values(name: str) -> None:
    arrays = operands(name)
    np.testing.assert_allclose(
        call(name, arrays), true_values(name, arrays), rtol=REFERENCE_RTOL, atol=2e-15
    )


@pytest.mark.parametrize("name", ORACLES)
def test_dtypes(name: str) -> None:
    single = call(name, operands(name, "float32"))
    assert single.dtype == ("float64" if name == "chi2sf" else "float32")
    arity = FUNCTIONS[name].arity
    for given, expected in (("int8", "float32"), ("uint16", "float32"), ("int32", "float64")):
        xs = [T.TensorType(given, ()).make_variable() for _ in range(arity)]
        result = getattr(T, name)(*xs).type.dtype
        assert result == ("float64" if name == "chi2sf" else expected)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("name", ORACLES)
def test_compiled_values(name: str, dtype: str) -> None:
    """The C of the declaration, called through a compiled function.

    The bound here is that of a call with the wrong arguments or header; the exact bounds are
    tested with the headers.
    """
    arrays = operands(name, dtype)
    xs = [jitgraph.TensorType(a.dtype, (False,)).make_variable() for a in arrays]
    f = jitgraph.function(xs, getattr(T, name)(*xs))
    got = f(*arrays)
    assert got.dtype == ("float64" if name == "chi2sf" else dtype)
    tolerance = {"float64": 1e-12, "float32": 1e-5}[got.dtype.name]
    with np.errstate(over="ignore"):
        expected = true_values(name, arrays).astype(got.dtype)
    np.testing.assert_allclose(got, expected, rtol=tolerance, atol=tolerance / 10)


def test_printed_figures() -> None:
    """Figures that Theano printed."""
    assert call("erfinv", [np.array([0.5])])[0] == pytest.approx(0.47693628, abs=5e-9)
    assert call("psi", [np.array([1.0])])[0] == pytest.approx(-0.5772157, abs=5e-8)
    two, one = np.array([2.0]), np.array([1.0])
    assert call("gammau", [two, one])[0] == pytest.approx(0.7357589, abs=5e-8)


INF, NAN = np.inf, np.nan
EDGES = {
    "gamma": [(0.0, INF), (-0.0, -INF), (-1.0, NAN), (172.0, INF), (-INF, NAN), (INF, INF)],
    "gammaln": [(0.0, INF), (-3.0, INF), (1e306, INF), (INF, INF), (NAN, NAN)],
    "psi": [(0.0, -INF), (-0.0, INF), (-2.0, NAN), (INF, INF), (NAN, NAN)],
    "tri_gamma": [(0.0, INF), (-2.0, INF), (INF, 0.0), (NAN, NAN)],
    "erfinv": [(1.0, INF), (-1.0, -INF), (1.5, NAN)],
    "erfcinv": [(0.0, INF), (2.0, -INF), (-0.5, NAN)],
    "erfcx": [(INF, 0.0), (-30.0, INF)],
}


@pytest.mark.parametrize("name", EDGES)
def test_edges(name: str) -> None:
    points, expected = (np.array(v) for v in zip(*EDGES[name], strict=True))
    np.testing.assert_array_equal(call(name, [points]), expected)
    x = T.dvector()
    np.testing.assert_array_equal(jitgraph.function([x], getattr(T, name)(x))(points), expected)


def test_missing_scipy_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(name: str, *rest: Any) -> Any:
        if name.startswith("scipy"):
            raise ImportError(name)
        return real_import(name, *rest)

    real_import = builtins.__import__
    for module in [m for m in sys.modules if m.split(".")[0] == "scipy"]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setattr(builtins, "__import__", refuse)
    with pytest.raises(ImportError, match="reference of j0 needs SciPy: pip install scipy"):
        call("j0", [np.array([1.0])])
    # These do without.
    assert call("psi", [np.array([1.0])])[0] == pytest.approx(-0.5772156649015329, rel=1e-15)
    assert call("gammaln", [np.array([3.0])])[0] == pytest.approx(np.log(2), rel=1e-15)


# -- parts of numbers ----------------------------------------------------------------------------


def test_angle() -> None:
    for dtype in ("float64", "float32", "int8", "uint8", "bool"):
        x = T.TensorType(dtype, (False,)).make_variable()
        y = T.angle(x)
        assert y.type.dtype == "float64"
        values = np.array([1, 0, 1 if dtype in ("uint8", "bool") else -2]).astype(dtype)
        got = evaluate([y], {x: values})[0]
        np.testing.assert_array_equal(got, jitgraph.function([x], y)(values))
        np.testing.assert_array_equal(got, np.angle(values.astype("float64")))
    x = T.dvector()
    special = np.array([-0.0, NAN, INF, -INF])
    expected = [0, NAN, 0, np.pi]
    np.testing.assert_array_equal(evaluate([T.angle(x)], {x: special})[0], expected)
    np.testing.assert_array_equal(jitgraph.function([x], T.angle(x))(special), expected)
    assert evaluate([jitgraph.grad(T.angle(x).sum(), x)], {x: special})[0].tolist() == [0] * 4


def test_parts_of_real_arrays() -> None:
    x, b = T.fvector("x"), T.TensorType("bool", (False,)).make_variable()
    assert T.real(x) is x and T.conj(x) is x
    assert T.real(2.5).data == 2.5
    assert T.conj(b).type.dtype == "int8"
    imaginary = T.imag(x)
    assert imaginary.type == x.type
    assert evaluate([imaginary], {x: np.ones(2, "float32")})[0].tolist() == [0, 0]
    assert x.real is x and x.imag.type == x.type


@pytest.mark.parametrize("name", ["complex", "complex_from_polar"])
def test_complex_arrays_are_refused(name: str) -> None:
    a, b = T.dvector("a"), T.dscalar("b")
    with pytest.raises(TypeError) as caught:
        getattr(T, name)(a, b)
    text = str(caught.value)
    assert "complex arrays are unsupported" in text and "a float64[?]" in text
    assert "test_special.py:" in text
