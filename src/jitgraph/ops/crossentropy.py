"""The cross-entropy of a sigmoid with its target, as one function of the pre-activation."""

from __future__ import annotations

import numpy as np

from jitgraph.ops import scalar as rules
from jitgraph.ops.elementwise import elementwise
from jitgraph.ops.nnet import SIGMOID, sigmoid


def _reference(o: np.ndarray, t: np.ndarray) -> np.ndarray:
    return np.log1p(np.exp(-np.abs(o))) + o * ((o > 0) - t).astype(o.dtype)


sigmoid_crossentropy = elementwise(
    "sigmoid_binary_crossentropy",
    arity=2,
    rule=rules.floating,
    numpy=_reference,
    c="jg_sigmoid_crossentropy_{t}({0}, {1})",
    fast="jg_sigmoid_crossentropy_fast_{t}({0}, {1})",
    header=SIGMOID,
    grad=lambda g, o, t, y: ((sigmoid(o) - t) * g, -o * g),
    ulp=2,
    doc="softplus(-|o|) + o ((o > 0) - t); the bound holds for 0 <= t <= 1.",
)
