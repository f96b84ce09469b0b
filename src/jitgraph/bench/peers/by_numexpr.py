"""numexpr: the formula as text."""

from __future__ import annotations

from typing import Any

import numexpr
import numpy as np

from . import workloads as wl
from .case import Case, UnsupportedError

_LINE = "(fifth*x + half)"
# 1 and other constants are integers, so that float32 stays float32.
TEXTS = {
    "hard_sigmoid": f"where({_LINE} < 0, zero, where({_LINE} > 1, one, {_LINE}))",
    "sigmoid": "1/(1 + exp(-x))",
    "exp": "exp(x)",
    "tanh": "tanh(x)",
    "log": "log(x)",
    "log1p": "log1p(x)",
    "softplus": "log1p(exp(x))",
    "long": "tanh(a*b + c)*exp(-a*a) + (b - c)**2/(1 + abs(a))",
    "mean_square": "sum((a - b)**2)",
    "sum_sigmoid": "sum(1/(1 + exp(-x)))",
    "crossentropy": "sum(t*log1p(exp(-x)) + (1 - t)*log1p(exp(x)))",
    "one_element": "exp(-x)",
    "scalars": "(a + b)*c",
}
MEANS = ("mean_square", "crossentropy")


def version() -> str:
    """Of numexpr."""
    return str(numexpr.__version__)


def start(threads: int) -> None:
    """Use so many threads."""
    numexpr.set_num_threads(threads)


def make(w: wl.Workload, inputs: wl.Inputs, variant: str) -> Case:
    """The case of a workload; variant "out": into an array that exists."""
    text = TEXTS.get(w.program)
    if text is None:
        raise UnsupportedError("numexpr has no such function")
    values: dict[str, Any] = dict(inputs)
    kind = np.dtype(w.dtype).type
    values.update(zero=kind(0), one=kind(1), half=kind(0.5), fifth=kind(0.2))
    evaluate, elements = numexpr.evaluate, w.elements
    if variant == "out":
        if w.out is None or not w.out:
            raise UnsupportedError("the result is one number")
        out = np.zeros(w.out, w.dtype)
        return Case(lambda: evaluate(text, local_dict=values, out=out))
    if w.program in MEANS:
        return Case(lambda: evaluate(text, local_dict=values) / elements)
    return Case(lambda: evaluate(text, local_dict=values))
