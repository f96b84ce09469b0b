"""The gradient of every elementwise function and every structural op, against differences."""

from __future__ import annotations

import importlib
import pkgutil

import numpy as np
import pytest
from numeric_gradient import check

import jitgraph.ops
import jitgraph.tensor as T
from jitgraph import dtypes
from jitgraph.errors import MethodNotDefined, NullTypeGradError
from jitgraph.gradient import grad
from jitgraph.graph import TensorType
from jitgraph.ops.elementwise import Elementwise
from jitgraph.ops.nnet import logsoftmax_op, logsoftmax_pick, pick, softmax_op
from jitgraph.ops.scalar import FUNCTIONS
from jitgraph.ops.shape import restrict_pattern
from jitgraph.reference import evaluate
from jitgraph.tensor import nnet

for _module in pkgutil.iter_modules(jitgraph.ops.__path__):
    importlib.import_module(f"jitgraph.ops.{_module.name}")


def result_dtype(name: str) -> str | None:
    """The result dtype for float64 operands; None if it takes none."""
    scalar = FUNCTIONS[name]
    try:
        return scalar.rule(*["float64"] * max(scalar.arity, 2 if scalar.arity < 0 else 1))[1]
    except TypeError:
        return None


NAMES = sorted(FUNCTIONS)
FLOAT = [n for n in NAMES if result_dtype(n) in dtypes.FLOATS]
DISCRETE = [n for n in NAMES if result_dtype(n) in dtypes.DISCRETE]
BITS = [n for n in NAMES if result_dtype(n) is None]
WITHOUT = [n for n in FLOAT if FUNCTIONS[n].grad is None]
WITH = [n for n in FLOAT if FUNCTIONS[n].grad is not None]
# Operands by which there is no derivative, and functions without a second one.
NO_ORDER = {"jv": 0, "iv": 0}
NO_SECOND = {"psi"}
# A conversion to float32 rounds: with steps of 2e-4 that is 1.5 * 6e-8 * |x| / 2e-4 < 2e-3.
COARSE = {"cast{float32}": 5e-3}


def points(name: str, n: int = 4) -> list[np.ndarray]:
    """Operands inside the domain of the function, away from its ends, all different."""
    scalar = FUNCTIONS[name]
    rng = np.random.default_rng(sum(map(ord, name)))
    arrays = []
    for i in range(3 if scalar.arity < 0 else scalar.arity):
        lo, hi = scalar.interval(i)
        margin = 0.04 * (hi - lo)
        arrays.append(rng.uniform(lo + margin, hi - margin, n))
    return arrays


def differentiable(name: str) -> list[int]:
    return [i for i in range(len(points(name))) if NO_ORDER.get(name) != i]


def test_every_function_is_in_exactly_one_class() -> None:
    assert sorted(WITH + WITHOUT + DISCRETE + BITS) == NAMES
    assert len(WITH) > 60
    for name in ("sigmoid", "erfinv", "jv", "gammaln", "sigmoid_binary_crossentropy"):
        assert name in WITH
    assert set(WITHOUT) == {
        "tri_gamma", "chi2sf", "gammainc", "gammaincc", "gammau", "gammal",
    }  # fmt: skip


@pytest.mark.parametrize("name", WITH)
def test_gradient(name: str) -> None:
    tol = COARSE.get(name, 1e-6)
    check(Elementwise(name), points(name), differentiable(name), rtol=tol, atol=tol)


@pytest.mark.parametrize("name", [n for n in WITH if n not in NO_SECOND])
def test_second_derivative(name: str) -> None:
    tol = COARSE.get(name, 2e-6)
    build = Elementwise(name)
    check(lambda *xs: T.sqr(build(*xs)), points(name, 3), differentiable(name), 2, tol, tol)


@pytest.mark.parametrize("name", [n for n in WITH if FUNCTIONS[n].arity != 1])
def test_gradient_of_stretched_operands(name: str) -> None:
    """A row against a column against a matrix: gradients are summed over the stretched axes."""
    arrays = points(name, 12)
    shaped = [arrays[0][:3].reshape(3, 1), arrays[1][:4].reshape(1, 4)]
    shaped += [a.reshape(3, 4) for a in arrays[2:]]

    def build(*xs):  # type: ignore[no-untyped-def]
        marked = [T.addbroadcast(xs[0], 1), T.addbroadcast(xs[1], 0), *xs[2:]]
        return Elementwise(name)(*marked)

    check(build, shaped, differentiable(name))


@pytest.mark.parametrize("name", WITH)
def test_float32_stays_float32(name: str) -> None:
    xs = [T.fvector() for _ in points(name)]
    y = Elementwise(name)(*xs)
    wide = name in ("cast{float64}", "angle")
    assert y.type.dtype == ("float64" if wide else "float32")
    wrt = [xs[i] for i in differentiable(name)]
    for g in grad(y.sum(), wrt, disconnected_inputs="ignore"):
        assert wide or g.type.dtype == "float32"


@pytest.mark.parametrize("name", WITHOUT)
def test_function_without_gradient(name: str) -> None:
    xs = [T.dvector(f"x{i}") for i in range(FUNCTIONS[name].arity)]
    with pytest.raises(MethodNotDefined) as caught:
        grad(Elementwise(name)(*xs).sum(), xs[-1])
    assert caught.value.args[0] == "grad"
    assert caught.value.args[1] is Elementwise
    assert name in caught.value.args[2]
    assert FUNCTIONS[name].no_grad in caught.value.args[2]
    assert "test_gradient_of_ops.py:" in caught.value.args[2]


@pytest.mark.parametrize("name", sorted(NO_ORDER))
def test_bessel_functions_have_no_derivative_by_the_order(name: str) -> None:
    v, x = T.dvector("v"), T.dvector("x")
    with pytest.raises(NullTypeGradError, match=rf"{name}\(v, x\) with respect to the order v"):
        grad(Elementwise(name)(v, x).sum(), v)
    g = grad(Elementwise(name)(v, x).sum(), v, null_gradients="return")
    assert "order v" in g.type.why_null


@pytest.mark.parametrize("name", DISCRETE + BITS)
def test_integer_results_have_zero_gradients(name: str) -> None:
    """Multiplied by x, the result acts as a constant factor: only the other path counts."""
    arity = max(FUNCTIONS[name].arity, 1)
    dtype = "int64" if name in BITS else "float64"
    xs = [TensorType(dtype, (False,)).make_variable() for _ in range(arity)]
    z = T.dvector()
    y = Elementwise(name)(*xs)
    values = {x: np.array([1, 2, 3]).astype(dtype) for x in xs} | {z: np.array([0.5, 1.5, 2.0])}
    gradients = grad((y * z).sum(), [*xs, z])
    *by_xs, by_z = evaluate(gradients, values)
    for g in by_xs:
        assert g.dtype == "float64"
        assert g.tolist() == [0.0, 0.0, 0.0]
    np.testing.assert_array_equal(by_z, evaluate([y], values)[0].astype("float64"))


# -- structural ops ------------------------------------------------------------------------------

RNG = np.random.default_rng(20)
V, W = RNG.uniform(-2, 2, 5), RNG.uniform(-2, 2, 5)
M, N = RNG.uniform(-2, 2, (3, 5)), RNG.uniform(-2, 2, (5, 4))
C = RNG.uniform(-2, 2, (2, 3, 4))
S = np.array(0.7)
LABELS = np.array([4, 0, 2])
MASK = np.array([[True, False, True, False, True]] * 2 + [[False] * 5])

ONE_ARGUMENT = {
    "sum all": (lambda x: x.sum(), M),
    "sum axis": (lambda x: x.sum(axis=1), C),
    "sum axes keepdims": (lambda x: x.sum(axis=(0, -1), keepdims=True), C),
    "prod": (lambda x: x.prod(axis=1), M),
    "prod all": (lambda x: x.prod(), V),
    "max": (lambda x: x.max(axis=0), M),
    "min": (lambda x: x.min(axis=(0, 2)), C),
    "mean": (lambda x: x.mean(axis=1), C),
    "var": (lambda x: x.var(axis=0), M),
    "var ddof corrected": (lambda x: x.var(axis=1, ddof=1, corrected=True), M),
    "std": (lambda x: x.std(axis=1), M),
    "ptp": (lambda x: x.ptp(axis=1), M),
    "norm": (lambda x: x.norm(3, axis=0), M),
    "transpose": (lambda x: x.T, C),
    "dimshuffle": (lambda x: x.dimshuffle(2, "x", 0, 1), C),
    "drop a marked axis": (lambda x: T.addbroadcast(x, 0).dimshuffle(1), V.reshape(1, 5)),
    "reshape": (lambda x: x.reshape((4, -1)), C),
    "flatten": (lambda x: x.flatten(2), C),
    "rebroadcast": (lambda x: T.addbroadcast(x, 0) * np.arange(5.0), V.reshape(1, 5)),
    "specify_shape": (lambda x: T.specify_shape(x, (3, 5)), M),
    "alloc a vector": (lambda x: T.alloc(x, 3, 5), V),
    "alloc a marked axis": (lambda x: T.alloc(T.addbroadcast(x, 0), 2, 3, 5), V.reshape(1, 5)),
    "alloc a scalar": (lambda x: T.alloc(x, 2, 3), S),
    "fill": (lambda x: T.fill(np.zeros((3, 5)), x), S),
    "index": (lambda x: x[1], M),
    "index negative": (lambda x: x[-2, -1], M),
    "slice": (lambda x: x[1:, :3], M),
    "slice negative step": (lambda x: x[::-1, 3:0:-2], M),
    "slice strided": (lambda x: x[::2], V),
    "slice symbolic": (lambda x: x[: x.shape[0] - 2], V),
    "slice empty": (lambda x: T.concatenate([x[4:2], x]), V),
    "newaxis": (lambda x: x[:, None, ::-1], M),
    "take": (lambda x: x[np.array([0, 2, 2, -1])], M),
    "take duplicates": (lambda x: x[np.array([1, 1, 1])] ** 2, V),
    "take two arrays": (lambda x: x[np.array([0, 2, 0]), np.array([1, 1, 1])], M),
    "take between slices": (lambda x: x[:, np.array([2, 0]), ::-1], C),
    "mask": (lambda x: x[MASK] ** 2, M),
    "join with itself": (lambda x: T.concatenate([x, x[:1] ** 2], axis=0), M),
    "stack": (lambda x: T.stack([x, x**2], axis=1), M),
    "stack scalars": (lambda x: T.stack([x[0], x[1] ** 2, 1.0]), V),
    "list of scalars": (lambda x: T.as_tensor_variable([x[0], x[1] * x[2]]), V),
    "softmax": (lambda x: softmax_op(x), M),
    "softmax of a vector": (lambda x: softmax_op(x), V),
    "logsoftmax": (lambda x: logsoftmax_op(x), M),
    "logsumexp": (lambda x: T.logsumexp(x, axis=(0, 2)), C),
    "logsumexp all": (lambda x: T.logsumexp(x), M),
    "pick": (lambda x: pick(x, LABELS) ** 2, M),
    "logsoftmax_pick": (lambda x: logsoftmax_pick(x, LABELS), M),
    "cross-entropy": (lambda x: nnet.categorical_crossentropy(softmax_op(x), LABELS), M),
    "trace of a product": (lambda x: T.dot(x, x.T)[np.arange(3), np.arange(3)], M),
    "arange start": (lambda x: T.arange(x, x + 2.5, 0.5), S),
    "relu": (lambda x: nnet.relu(x, 0.3), M),
    "elu": (lambda x: nnet.elu(x), M),
    "hard_sigmoid": (lambda x: nnet.hard_sigmoid(3 * x), M),
    "copy": (lambda x: x.copy() * x.astype("float64"), M),
    "ultra_fast_sigmoid": (lambda x: nnet.ultra_fast_sigmoid(4 * x), M),
}  # fmt: skip

TWO_ARGUMENTS = {
    "dot vector vector": (T.dot, V, W),
    "dot matrix vector": (T.dot, M, V),
    "dot vector matrix": (T.dot, V, N),
    "dot matrix matrix": (T.dot, M, N),
    "dot scalar matrix": (T.dot, S, M),
    "dot of three axes": (lambda a, b: T.dot(a, b), C, N[:4]),
    "tensordot": (lambda a, b: T.tensordot(a, b, [[1, 2], [0, 1]]), C, M[:, :4]),
    "outer": (T.outer, V, W),
    "join": (lambda a, b: T.join(1, a, b**2), M, M[:, :2]),
    "switch": (lambda a, b: T.switch(T.gt(a, 0), a * b, b**2), M, M[::-1].copy()),
    "set_subtensor": (lambda a, b: T.set_subtensor(a[1:3], b) ** 2, V, W[:2]),
    "set_subtensor negative step": (
        lambda a, b: T.set_subtensor(a[::-2], b) ** 2, V, W[:3],
    ),
    "set_subtensor of one": (lambda a, b: T.set_subtensor(a[2], b) ** 2, V, S),
    "set_subtensor stretched": (lambda a, b: T.set_subtensor(a[1:, ::2], b) ** 2, M, W[:3]),
    "inc_subtensor": (lambda a, b: T.inc_subtensor(a[:, 1], b) ** 2, M, W[:3]),
    "inc_subtensor stretched": (lambda a, b: T.inc_subtensor(a[:, 1:], b) ** 2, M, S),
    "set by array": (lambda a, b: T.set_subtensor(a[np.array([3, 0])], b) ** 2, V, W[:2]),
    "inc by array with duplicates": (
        lambda a, b: T.inc_subtensor(a[np.array([1, 1, 4])], b) ** 2, V, W[:3],
    ),
    "inc rows with duplicates": (
        lambda a, b: T.inc_subtensor(a[np.array([2, 2])], b) ** 2, M, M[:2] + 1,
    ),
    "set by mask": (lambda a, b: T.set_subtensor(a[MASK], b) ** 2, M, S),
    "arange start and step": (lambda a, b: T.arange(a, a + 10.1 * 0.3, b), S, np.array(0.31)),
    "batch of affine maps": (lambda a, b: T.tanh(T.dot(a, b) + b[0]), M, N),
    "make_vector": (lambda a, b: T.stack([a, b, a * b]), S, np.array(-1.3)),
}  # fmt: skip


@pytest.mark.parametrize("case", ONE_ARGUMENT)
def test_structural_op(case: str) -> None:
    build, x = ONE_ARGUMENT[case]
    check(build, [x])


@pytest.mark.parametrize("case", TWO_ARGUMENTS)
def test_structural_op_of_two_arguments(case: str) -> None:
    build, *arrays = TWO_ARGUMENTS[case]
    check(build, arrays)


@pytest.mark.parametrize("case", ONE_ARGUMENT)
def test_structural_op_keeps_float32(case: str) -> None:
    build, x = ONE_ARGUMENT[case]
    v = TensorType("float32", [False] * x.ndim).make_variable()
    y = build(v)
    assert y.type.dtype == ("float64" if case in WIDER else "float32")
    if case not in WIDER:
        assert grad(y.sum(), v).type.dtype == "float32"


# These mix in a float64 array, or a number that float32 cannot hold.
WIDER = {"rebroadcast", "copy", "relu", "norm"}


# prod has no exact second derivative where two factors are zero; here none is.
@pytest.mark.parametrize("case", ONE_ARGUMENT)
def test_structural_second_derivative(case: str) -> None:
    build, x = ONE_ARGUMENT[case]
    check(lambda v: T.sin(build(v)), [x], order=2, rtol=3e-6, atol=1e-7)


@pytest.mark.parametrize("case", TWO_ARGUMENTS)
def test_structural_second_derivative_of_two_arguments(case: str) -> None:
    build, *arrays = TWO_ARGUMENTS[case]
    check(lambda a, b: T.sin(build(a, b)), arrays, order=2, rtol=3e-6, atol=1e-7)


@pytest.mark.parametrize("zeros", [(), (1,), (0, 3), (0, 1, 2, 3, 4)])
def test_product_with_zeros(zeros: tuple[int, ...]) -> None:
    x = V.copy()
    x[list(zeros)] = 0.0
    # Exact up to rounding: the product of all others.
    [g] = check(lambda v: v.prod(), [x])
    others = [np.prod(np.delete(x, i)) for i in range(5)]
    weight = 1.25  # of element 0 in the projection
    np.testing.assert_allclose(g, np.array(others) * weight, rtol=1e-15)


def test_a_wrong_gradient_is_seen() -> None:
    """The tester itself: a derivative that is off by a factor of 1 + 1e-5 fails."""
    from jitgraph.op import DISCONNECTED
    from jitgraph.ops.shape import Reshape

    class Tilted(Reshape):
        def grad(self, inputs, outputs, grads):  # type: ignore[no-untyped-def]
            return [super().grad(inputs, outputs, grads)[0] * (1 + 1e-5), DISCONNECTED]

    check(lambda x: Reshape(1)(x, [15]), [M])
    with pytest.raises(AssertionError, match="argument 0"):
        check(lambda x: Tilted(1)(x, [15]), [M])


def test_gradient_has_the_marks_of_its_variable() -> None:
    row = T.drow("row")
    g = grad((row * T.dmatrix("m")).sum(), row)
    assert g.type == row.type
    wide = T.dmatrix("wide")
    g = grad(restrict_pattern(wide, (True, False)).sum(), wide)
    assert g.type == wide.type
