"""The sigmoid family."""

from __future__ import annotations

from typing import Any

import numpy as np

from jitgraph import dtypes
from jitgraph.graph import Variable
from jitgraph.ops.arithmetic import cast, clip
from jitgraph.ops.nnet import sigmoid, softplus, ultra_fast_sigmoid
from jitgraph.ops.values import as_tensor_variable

__all__ = ["hard_sigmoid", "sigmoid", "softplus", "ultra_fast_sigmoid"]


def hard_sigmoid(x: Any) -> Variable:
    """clip(0.2 x + 0.5, 0, 1): three straight lines in place of the sigmoid.

    Same shape as x; dtype that of `sigmoid(x)`. Exactly 0 for x <= -2.5 and 1 for x >= 2.5;
    the error against sigmoid is at most 0.0759, at ±2.5.

    The gradient is 0.2 where -2.5 <= x <= 2.5 and **exactly 0 elsewhere**. A unit whose
    pre-activation lies beyond ±2.5 for every sample passes no gradient back, so neither it
    nor the layers below it through it learn any more; sigmoid's gradient there is small but
    not zero. A network with hard_sigmoid therefore needs small initial weights and inputs
    around zero (`examples/xor_sigmoids.py` shows one that does not learn with large ones).

    Source: Theano's definition, `clip(slope * x + shift, 0, 1)` with slope 0.2, shift 0.5.
    """
    x = as_tensor_variable(x)
    dtype = dtypes.to_float(x.type.dtype)
    slope, shift = (np.asarray(v, dtype=dtype) for v in (0.2, 0.5))
    zero, one = (np.asarray(v, dtype=dtype) for v in (0, 1))
    return clip(cast(x, dtype) * slope + shift, zero, one)  # type: ignore[operator]
