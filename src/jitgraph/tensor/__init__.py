"""Symbolic tensors: `import jitgraph.tensor as T`."""

from __future__ import annotations

from typing import Any

from jitgraph.graph import TensorType
from jitgraph.ops.arithmetic import (
    abs_,
    add,
    and_,
    ceil,
    clip,
    deg2rad,
    eq,
    fill,
    floor,
    ge,
    gt,
    identity,
    int_div,
    inv,
    invert,
    isinf,
    isnan,
    le,
    lt,
    maximum,
    minimum,
    mod,
    mul,
    neg,
    neq,
    or_,
    rad2deg,
    round_half_away_from_zero,
    round_half_to_even,
    sgn,
    sqr,
    sub,
    switch,
    true_div,
    trunc,
    xor,
)
from jitgraph.ops.arithmetic import power as pow
from jitgraph.ops.elementwise import Elementwise
from jitgraph.ops.linalg import dot
from jitgraph.ops.math import (
    arccos,
    arccosh,
    arcsin,
    arcsinh,
    arctan,
    arctan2,
    arctanh,
    cbrt,
    cos,
    cosh,
    erf,
    erfc,
    exp,
    exp2,
    expm1,
    log,
    log1p,
    log2,
    log10,
    logaddexp,
    sin,
    sinh,
    sqrt,
    tan,
    tanh,
)
from jitgraph.ops.nnet import logsumexp
from jitgraph.ops.shape import dimshuffle
from jitgraph.ops.special import (
    chi2sf,
    erfcinv,
    erfcx,
    erfinv,
    gamma,
    gammainc,
    gammaincc,
    gammal,
    gammaln,
    gammau,
    i0,
    i1,
    iv,
    j0,
    j1,
    jv,
    psi,
    tri_gamma,
)
from jitgraph.tensor import nnet
from jitgraph.tensor import var as _var_module
from jitgraph.tensor.basic import *  # noqa: F403
from jitgraph.tensor.complex_parts import angle, complex, complex_from_polar, conj, imag, real
from jitgraph.tensor.indexing import inc_subtensor, set_subtensor
from jitgraph.tensor.reductions import (
    all,
    any,
    argmax,
    argmin,
    max,
    max_and_argmax,
    mean,
    min,
    prod,
    ptp,
    std,
    sum,
    var,
)
from jitgraph.tensor.sharing import shared
from jitgraph.tensor.types import CONSTRUCTORS, tensor, unsupported_constructor
from jitgraph.tensor.variable import TensorConstant, TensorSharedVariable, TensorVariable

globals().update(CONSTRUCTORS)

floor_div = int_div
square = sqr
sign = sgn
where = switch
second = fill
tensor_copy = identity
bitwise_and, bitwise_or, bitwise_xor, bitwise_not = and_, or_, xor, invert

_GRADIENT = (
    "grad",
    "Lop",
    "Rop",
    "hessian",
    "jacobian",
    "verify_grad",
    "numeric_grad",
    "consider_constant",
)


# Modules that few programs need; numpy.random alone would double the time of the import.
_MODULES = (
    "elemwise",
    "extra_ops",
    "opt",
    "nlinalg",
    "raw_random",
    "shared_randomstreams",
    "sharedvar",
    "slinalg",
    "subtensor",
    "type",
    "var",
    "xlogx",
)
# Functions that few programs need, and their modules.
_ELSEWHERE = {
    "arranging": (
        "choose compress horizontal_stack inverse_permutation permute_row_elements repeat roll "
        "split stacklists take tile vertical_stack"
    ),
    "extra_ops": "bartlett cumprod cumsum",
    "diagonals": (
        "AllocDiag ExtractDiag batched_dot batched_tensordot diag diagonal fill_diagonal "
        "fill_diagonal_offset tri tril triu"
    ),
    "positions": (
        "bincount flatnonzero mgrid nonzero nonzero_values ogrid ravel_multi_index unravel_index"
    ),
    "rare": (
        "AllocEmpty _asarray autocast_float_as cov empty empty_like scalar_from_tensor "
        "tensor_from_scalar"
    ),
    "opt": "MakeVector make_vector",
    "sorting": "argsort argtopk sort topk topk_and_argtopk",
    "subtensor": (
        "AdvancedIncSubtensor AdvancedIncSubtensor1 AdvancedSubtensor AdvancedSubtensor1 "
        "IncSubtensor Subtensor"
    ),
}
_FUNCTIONS = {name: module for module, names in _ELSEWHERE.items() for name in names.split()}


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        import importlib

        return importlib.import_module(f"{__name__}.{name}")
    if name in _FUNCTIONS:
        import importlib

        module = importlib.import_module(f"{__name__}.{_FUNCTIONS[name]}")
        value = globals()[name] = getattr(module, name)
        return value
    if name in _GRADIENT:
        from jitgraph import gradient

        return getattr(gradient, name)
    dtype = unsupported_constructor(name)
    if dtype:
        raise AttributeError(f"T.{name}: arrays of {dtype} are not supported")
    if name in _ELSEWHERE:
        raise AttributeError(f"T.{name} does not exist: use {_ELSEWHERE[name]}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


# What programs look for under NumPy's name, or in the wrong place.
_ELSEWHERE = {
    "abs": "abs(x) or T.abs_(x)",
    "absolute": "abs(x) or T.abs_(x)",
    "power": "T.pow or **",
    "divide": "T.true_div or /",
    "logical_and": "T.and_ or & on bool",
    "logical_or": "T.or_ or | on bool",
    "logical_not": "T.invert or ~ on bool",
    "hstack": "T.concatenate with axis=1",
    "vstack": "T.concatenate with axis=0",
    "expand_dims": "T.shape_padaxis",
    "broadcast_to": "T.alloc",
    "einsum": "T.tensordot or T.batched_dot",
    **{name: f"T.nnet.{name}" for name in ("sigmoid", "softmax", "softplus", "relu")},
}


def __dir__() -> list[str]:
    return sorted({*globals(), *_MODULES, *_FUNCTIONS, *_GRADIENT})
