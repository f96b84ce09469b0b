"""What is compared: inputs, bytes, and the exact result of every piece of work, by NumPy alone.

A workload is one formula at one size. Its figures are compared with what the memory allows: the
time to move the bytes that the formula has to move (`Workload.limit`).
"""

from __future__ import annotations

import contextlib
import math
import mmap
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from . import loops

Array = np.ndarray
Inputs = dict[str, Array]

# Inputs repeat a block of so many random numbers (8 MiB of float64, more than a cache level that
# a core has for itself): as good as random ones for every loop, and made at the memory's speed.
TILE = 1 << 20


@dataclass(frozen=True)
class Workload:
    """One formula at one size.

    name:      key in tables and files; with the dtype unless that is float64
    program:   what the peers' modules call the formula
    group:     the suite that it belongs to
    formula:   in words
    shapes:    of the inputs, by name, in the order of the arguments
    out:       shape of the result; None for training steps, whose results are several
    limit:     the least that must be moved: "copy" (an array read, one written), "read",
               "read2" (two arrays read), "stream3" (three read, one written), "" (no such limit)
    scratch:   arrays of the input's size that the hungriest peer needs beside inputs and result
    """

    name: str
    program: str
    group: str
    formula: str
    shapes: tuple[tuple[str, tuple[int, ...]], ...]
    out: tuple[int, ...] | None = ()
    limit: str = ""
    dtype: str = "float64"
    scratch: int = 0

    @property
    def itemsize(self) -> int:
        return np.dtype(self.dtype).itemsize

    @property
    def elements(self) -> int:
        """Of one input, the first."""
        return math.prod(self.shapes[0][1])

    @property
    def bytes_in(self) -> int:
        return self.itemsize * sum(math.prod(s) for _, s in self.shapes)

    @property
    def bytes_out(self) -> int:
        return self.itemsize * math.prod(self.out or ())

    @property
    def bytes_moved(self) -> int:
        """Inputs read and results written, each once."""
        return self.bytes_in + self.bytes_out


# --- the list ------------------------------------------------------------------------------------

SUITES = ("sigmoid", "elementwise", "reductions", "softmax", "training", "loops", "overhead")

ELEMENTWISE = {
    "hard_sigmoid": "clip(0.2 x + 0.5, 0, 1)",
    "ultra_fast_sigmoid": "the rational approximation of T.nnet.ultra_fast_sigmoid",
    "sigmoid": "1/(1 + exp(-x))",
    "exp": "exp(x)",
    "tanh": "tanh(x)",
    "log": "log(x)",
    "log1p": "log1p(x)",
    "erf": "erf(x)",
    "softplus": "log(1 + exp(x))",
}
LONG = "tanh(a*b + c)*exp(-a*a) + (b - c)**2/(1 + abs(a))"
# rows of softmax at 10^8 elements; other sizes keep the shape's smaller side
SOFTMAX = ((100_000, 1000), (1_000_000, 100), (1000, 100_000))
EXAMPLES, FEATURES = 400, 784  # of the logistic regression
BATCH, HIDDEN, CLASSES = 128, 512, 10  # of the perceptron


def suite(name: str, n: int, dtype: str) -> list[Workload]:
    """The workloads of a suite with n elements in each large array."""
    return {
        "sigmoid": _sigmoids,
        "elementwise": _elementwise,
        "reductions": _reductions,
        "softmax": _softmax,
        "training": _training,
        "loops": _loops,
        "overhead": _overhead,
    }[name](n, dtype)


def _called(name: str, dtype: str) -> str:
    return name if dtype == "float64" else f"{name} {dtype}"


def _unary(program: str, group: str, n: int, dtype: str) -> Workload:
    shapes = (("x", (n,)),)
    name, formula = _called(program, dtype), ELEMENTWISE[program]
    return Workload(name, program, group, formula, shapes, (n,), "copy", dtype, scratch=2)


def _sigmoids(n: int, dtype: str) -> list[Workload]:
    names = ("hard_sigmoid", "ultra_fast_sigmoid", "sigmoid")
    return [_unary(p, "sigmoid", n, dtype) for p in names]


def _elementwise(n: int, dtype: str) -> list[Workload]:
    names = ("exp", "tanh", "log", "log1p", "erf", "softplus")
    shapes = tuple((v, (n,)) for v in "abc")
    long = Workload(
        _called("long", dtype), "long", "elementwise", LONG, shapes, (n,), "stream3", dtype, 3
    )
    return [*(_unary(p, "elementwise", n, dtype) for p in names), long]


def _reductions(n: int, dtype: str) -> list[Workload]:
    one, two = (("x", (n,)),), (("a", (n,)), ("b", (n,)))
    labelled = (("x", (n,)), ("t", (n,)))
    rows = (
        ("mean_square", "mean((a - b)**2)", two, "read2", 1),
        ("sum_sigmoid", "sum(sigmoid(x))", one, "read", 2),
        ("crossentropy", "binary_crossentropy(sigmoid(x), t).mean()", labelled, "read2", 4),
    )
    return [
        Workload(_called(p, dtype), p, "reductions", text, shapes, (), limit, dtype, scratch)
        for p, text, shapes, limit, scratch in rows
    ]


def _softmax(n: int, dtype: str) -> list[Workload]:
    found: list[Workload] = []
    for rows, columns in SOFTMAX:
        if rows > columns:
            rows, columns = max(1, n // columns), min(columns, n)
        else:
            rows, columns = min(rows, n), max(1, n // rows)
        name = _called(f"softmax {rows}x{columns}", dtype)
        shape = (rows, columns)
        if any(w.name == name for w in found):  # small sizes make shapes equal
            continue
        text = "softmax of each row"
        shapes = (("x", shape),)
        found.append(Workload(name, "softmax", "softmax", text, shapes, shape, "copy", dtype, 2))
    return found


def _training(_n: int, dtype: str) -> list[Workload]:
    logistic = (("x", (EXAMPLES, FEATURES)), ("y", (EXAMPLES,)))
    mlp = (("x", (BATCH, FEATURES)), ("y", (BATCH,)))
    size = f"{BATCH}x{FEATURES}-{HIDDEN}-{CLASSES}"
    return [
        Workload(
            _called("logistic_step", dtype),
            "logistic_step",
            "training",
            f"a step of gradient descent, logistic regression {EXAMPLES}x{FEATURES}",
            logistic,
            None,
            dtype=dtype,
        ),
        Workload(
            _called("mlp_step", dtype),
            "mlp_step",
            "training",
            f"a step of gradient descent, perceptron {size}, tanh, softmax",
            mlp,
            None,
            dtype=dtype,
        ),
    ]


def _loops(n: int, dtype: str) -> list[Workload]:
    units = loops.HIDDEN
    rnn = (("x", (min(n, loops.STEPS), units)), ("h0", (units,)), ("W", (units, units)))
    ar1 = (("e", (min(n, loops.LONG_STEPS),)), ("y0", ()), ("a", ()))
    machine = (("x", (loops.BATCH, loops.VISIBLE)),)
    size = f"{loops.BATCH}x{loops.VISIBLE}-{loops.UNITS}"
    rows: tuple[tuple[str, str, Any], ...] = (
        ("rnn", "h = tanh(W h + x[t]), all h", rnn),
        ("rnn_gradient", "gradient of sum(h**2), h = tanh(W h + x[t]), in x, h0, W", rnn),
        ("ar1", "y = a y + e[t], numbers, all y", ar1),
        ("ar1_gradient", "gradient of sum(y**2), y = a y + e[t], in e, y0, a", ar1),
        ("cd15", f"a step of contrastive divergence, 15 Gibbs steps, {size}", machine),
    )
    return [
        Workload(
            _called(program, dtype),
            program,
            "loops",
            text,
            shapes,
            shapes[0][1] if program in ("rnn", "ar1") else None,
            dtype=dtype,
        )
        for program, text, shapes in rows
    ]


def forward(w: Workload) -> Workload:
    """The forward pass of the gradient of a loop, of the same inputs."""
    if not w.program.endswith(loops.GRADIENT):
        raise ValueError(f"{w.program} is not the gradient of a loop")
    program = w.program[: -len(loops.GRADIENT)]
    name = _called(program, w.dtype)
    return replace(w, name=name, program=program, formula="forward pass", out=w.shapes[0][1])


def _overhead(_n: int, dtype: str) -> list[Workload]:
    scalars = tuple((v, ()) for v in "abc")
    return [
        Workload(
            _called("one_element", dtype),
            "one_element",
            "overhead",
            "exp(-x), a vector of one element",
            (("x", (1,)),),
            (1,),
            dtype=dtype,
        ),
        Workload(
            _called("scalars", dtype),
            "scalars",
            "overhead",
            "(a + b)*c of 0-d arrays",
            scalars,
            (),
            dtype=dtype,
        ),
    ]


# --- inputs --------------------------------------------------------------------------------------

_RANGES = {"log": (1e-3, 16.0), "log1p": (-0.999, 16.0), "long": (-2.0, 2.0)}


def make_inputs(w: Workload) -> Inputs:
    """The arguments of a workload, the same in every process."""
    if w.program in ("logistic_step", "mlp_step"):
        return _examples(w)
    if w.group == "loops":
        return loops.inputs(w.program, dict(w.shapes), w.dtype)
    made = {name: _room(math.prod(shape), w.dtype).reshape(shape) for name, shape in w.shapes}
    fill(w, made)
    return made


def fill(w: Workload, inputs: Inputs) -> None:
    """Write the arguments into the arrays they had, unless they are small: those stay."""
    if w.out is None or w.group == "loops":
        return
    low, high = _RANGES.get(w.program, (-8.0, 8.0))
    for k, (name, a) in enumerate(inputs.items()):
        tile = np.random.default_rng(k + 1).uniform(low, high, min(TILE, a.size))
        if name == "t":
            tile = (tile > 0).astype(np.float64)
        tile = tile.astype(w.dtype)
        flat = a.reshape(-1)
        for start in range(0, a.size, TILE):
            part = flat[start : start + TILE]
            part[...] = tile[: part.size]


def park(inputs: Inputs) -> None:
    """Give the memory of large arguments back, but not their addresses; `fill` brings it back."""
    for a in inputs.values():
        block: Any = a
        while isinstance(block, (np.ndarray, memoryview)):
            block = block.obj if isinstance(block, memoryview) else block.base
        if isinstance(block, mmap.mmap) and hasattr(mmap, "MADV_DONTNEED"):
            block.madvise(mmap.MADV_DONTNEED)


def _room(count: int, dtype: str) -> Array:
    """An array in memory of its own if it is large, in huge pages where the system has them."""
    size = count * np.dtype(dtype).itemsize
    if size < 1 << 20:
        return np.empty(count, dtype)
    block = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANON)
    if hasattr(mmap, "MADV_HUGEPAGE"):
        with contextlib.suppress(OSError):
            block.madvise(mmap.MADV_HUGEPAGE)
    return np.frombuffer(block, dtype)


def _examples(w: Workload) -> Inputs:
    rng = np.random.default_rng(0)
    shapes = dict(w.shapes)
    x = rng.standard_normal(shapes["x"]).astype(w.dtype)
    if w.program == "logistic_step":
        return {"x": x, "y": rng.integers(0, 2, shapes["y"]).astype(w.dtype)}
    return {"x": x, "y": rng.integers(0, CLASSES, shapes["y"])}


def parameters(w: Workload) -> list[Array]:
    """The parameters before the first step: (w, b), (w1, b1, w2, b2), or (W, c, b) of cd15."""
    if w.program == "cd15":
        return loops.parameters(w.dtype)
    rng = np.random.default_rng(3)
    if w.program == "logistic_step":
        return [(0.01 * rng.standard_normal(FEATURES)).astype(w.dtype), np.zeros((), w.dtype)]
    sizes = ((FEATURES, HIDDEN), (HIDDEN, CLASSES))
    result: list[Array] = []
    for rows, columns in sizes:
        bound = math.sqrt(6 / (rows + columns))
        result += [
            rng.uniform(-bound, bound, (rows, columns)).astype(w.dtype),
            np.zeros(columns, w.dtype),
        ]
    return result


RATE, DECAY = 0.1, 0.01  # of the logistic regression, as in Theano's tutorial
MLP_RATE = 0.01


# --- results -------------------------------------------------------------------------------------


def sigmoid(x: Array) -> Array:
    """Without overflow: exp of negative numbers only."""
    e = np.exp(-np.abs(x))
    return np.where(x >= 0, 1 / (1 + e), e / (1 + e))


def ultra_fast_sigmoid(x: Array) -> Array:
    """Theano's approximation: two hyperbolas and two ends, in h = |x|/2."""
    h = np.abs(x) * 0.5
    y = np.where(
        h < 1.7,
        1.5 * h / (1 + h),
        np.where(h < 3, 0.935409070603099 + 0.0458812946797165 * (h - 1.7), 0.99505475368673),
    )
    return 0.5 * (np.copysign(y, x) + 1)


def _erf(x: Array) -> Array:
    return np.array([math.erf(v) for v in x.tolist()])


FORMULAS: dict[str, Callable[..., Array]] = {
    "hard_sigmoid": lambda x: np.clip(0.2 * x + 0.5, 0, 1),
    "ultra_fast_sigmoid": ultra_fast_sigmoid,
    "sigmoid": sigmoid,
    "exp": np.exp,
    "tanh": np.tanh,
    "log": np.log,
    "log1p": np.log1p,
    "erf": _erf,
    "softplus": lambda x: np.logaddexp(0, x),
    "long": lambda a, b, c: np.tanh(a * b + c) * np.exp(-a * a) + (b - c) ** 2 / (1 + np.abs(a)),
    "one_element": lambda x: np.exp(-x),
    "scalars": lambda a, b, c: (a + b) * c,
}
# Sums of these over all elements, divided by the number of elements for the means.
_TERMS: dict[str, tuple[Callable[..., Array], bool]] = {
    "mean_square": (lambda a, b: (a - b) ** 2, True),
    "sum_sigmoid": (sigmoid, False),
    "crossentropy": (lambda x, t: np.logaddexp(0, x) - t * x, True),
}
# Units of the last place within which a peer must be. Most promise a few for a function, some are
# off by 80 (log1p of JAX near 0), and formulas as written lose more to cancellation.
ULPS = 256
SAMPLES = 4096
SAMPLED_ROWS = 16


class WrongResultError(Exception):
    """A peer has computed something else than the workload."""


def check(w: Workload, inputs: Inputs, found: list[Array]) -> float:
    """The largest error of a result in units of eps of the dtype, relative to the exact values.

    Elements are sampled, sums are compared whole, training steps in all parameters after one step.
    Raises WrongResultError if the error exceeds `ULPS` (times what a sum or a step adds to it).
    Results that are drawn at random are compared in distribution, and the error is 0.
    """
    allowed: float = ULPS
    if w.program == "cd15":
        return _check_draws(w, inputs, found)
    if w.group == "loops":
        # Gradients are sums over the steps; states forget in ten steps what was rounded.
        expected, allowed = loops.exact(w.program, inputs), ULPS * math.sqrt(w.shapes[0][1][0])
    elif w.out is None:
        expected, allowed = first_step(w, inputs), 1e6
    elif w.program in _TERMS:
        # Naive summation is an error of n eps at worst, and some sqrt(n) eps for random signs.
        expected, allowed = [_sum(w, inputs)], ULPS * max(1.0, math.sqrt(w.elements))
    else:
        expected, found = _samples(w, inputs, found)
    _same_form(w, expected, found)
    eps = float(np.finfo(w.dtype).eps)
    worst = 0.0
    for e, f in zip(expected, found):  # noqa: B905  Python 3.9
        scale = np.maximum(np.abs(e), np.max(np.abs(e), initial=0.0) * _floor(w))
        error = np.abs(f - e) / np.where(scale > 0, scale, 1)
        worst = max(
            worst, float(np.max(error, initial=0.0)) if not np.isnan(error).any() else np.inf
        )
    if not worst <= allowed * eps:
        raise WrongResultError(
            f"{w.name}: wrong by {worst:.2g} relative to the exact values, "
            f"allowed {allowed * eps:.2g}"
        )
    return worst / eps


def _floor(w: Workload) -> float:
    """Values below this part of the largest are held to an absolute error.

    Formulas with a difference in them (1 - 1/(1 + e), the long one) cannot do better; exp can.
    """
    if w.out is None or w.group == "loops":
        return 1.0
    return 0.0 if w.program in ("exp", "one_element") else 1e-2


def _check_draws(w: Workload, inputs: Inputs, found: list[Array]) -> float:
    if any(np.asarray(f).dtype != np.dtype(w.dtype) for f in found):
        raise WrongResultError(f"{w.name}: the result is not {w.dtype}")
    sigmas = loops.deviation(inputs["x"], found)
    if not sigmas <= loops.SIGMAS:
        raise WrongResultError(
            f"{w.name}: wrong by {sigmas:.3g} standard deviations of such a step"
        )
    return 0.0


def _same_form(w: Workload, expected: list[Array], found: list[Array]) -> None:
    shapes = [np.shape(e) for e in expected], [np.shape(f) for f in found]
    if shapes[0] != shapes[1]:
        raise WrongResultError(f"{w.name}: results of shapes {shapes[1]}, not {shapes[0]}")


def _samples(w: Workload, inputs: Inputs, found: list[Array]) -> tuple[list[Array], list[Array]]:
    (result,) = found
    if np.shape(result) != w.out or result.dtype != np.dtype(w.dtype):
        raise WrongResultError(
            f"{w.name}: the result is {result.dtype}{list(np.shape(result))}, "
            f"not {w.dtype}{list(w.out or ())}"
        )
    if w.program == "softmax":
        rows = np.unique(np.linspace(0, result.shape[0] - 1, SAMPLED_ROWS).astype(np.int64))
        x = inputs["x"][rows].astype(np.float64)
        e = np.exp(x - x.max(1, keepdims=True))
        return [e / e.sum(1, keepdims=True)], [result[rows].astype(np.float64)]
    if not w.out:
        at: Any = ()
    else:
        ends = np.arange(min(64, result.size))
        drawn = np.random.default_rng(5).integers(0, result.size, SAMPLES)
        at = np.unique(np.concatenate([ends, result.size - 1 - ends, drawn]))
    values = [v[at].astype(np.float64) for v in inputs.values()]
    return [np.asarray(FORMULAS[w.program](*values))], [np.asarray(result[at], np.float64)]


def _sum(w: Workload, inputs: Inputs) -> Array:
    """By tiles: all but the last are equal."""
    terms, is_mean = _TERMS[w.program]
    flat = [v.reshape(-1) for v in inputs.values()]
    n = flat[0].size
    whole, rest = divmod(n, TILE)

    def part(count: int) -> float:
        return math.fsum(terms(*(v[:count].astype(np.float64) for v in flat)).tolist())

    total = (whole * part(TILE) if whole else 0.0) + (part(rest) if rest else 0.0)
    return np.asarray(total / n if is_mean else total)


def first_step(w: Workload, inputs: Inputs) -> list[Array]:
    """The parameters after one step from `parameters(w)`."""
    x, y = (v.astype(np.float64) if v.dtype.kind == "f" else v for v in inputs.values())
    before = [p.astype(np.float64) for p in parameters(w)]
    if w.program == "logistic_step":
        weights, b = before
        error = (sigmoid(x @ weights + b) - y) / len(y)
        return [
            weights - RATE * (x.T @ error + 2 * DECAY * weights),
            np.asarray(b - RATE * error.sum()),
        ]
    w1, b1, w2, b2 = before
    h = np.tanh(x @ w1 + b1)
    z = h @ w2 + b2
    e = np.exp(z - z.max(1, keepdims=True))
    delta = e / e.sum(1, keepdims=True)
    delta[np.arange(len(y)), y] -= 1
    delta /= len(y)
    back = (delta @ w2.T) * (1 - h * h)
    gradients = (x.T @ back, back.sum(0), h.T @ delta, delta.sum(0))
    return [p - MLP_RATE * g for p, g in zip(before, gradients)]  # noqa: B905  Python 3.9
