"""Short types and vector functions of long ones have loops of their own."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest
from values import same_bits

import jitgraph
import jitgraph.tensor as T

x, t = T.dvector("x"), T.dvector("t")
m, flags, f32 = T.dmatrix("m"), T.bvector("flags"), T.fvector("f32")
INPUTS = (x, t, m, flags, f32)

CASES = {
    "prediction": lambda: [T.nnet.sigmoid(x) > 0.5, T.nnet.sigmoid(x) * t],
    "with a sum": lambda: [T.exp(x) > t, (T.exp(x) * t).sum()],
    "two stores": lambda: [T.exp(x) > t, T.cast(T.floor(T.exp(x)), "int16"), T.exp(x)],
    "short argument": lambda: [T.log1p(T.exp(x)) * flags],
    "short argument, computed with": lambda: [T.tanh(x) * (2 * flags - 1) + T.sin(t)],
    "both": lambda: [T.tanh(x + flags) > 0.1],
    "rows": lambda: [T.exp(m) > 1.5, T.exp(m).sum(axis=1)],
    "float32": lambda: [T.tanh(f32) > 0, T.tanh(f32)],
}


def given(n: int) -> dict[Any, Any]:
    rng = np.random.default_rng(n)
    return {
        x: rng.standard_normal(n),
        t: rng.random(n),
        m: rng.standard_normal((3, n)),
        flags: rng.integers(0, 2, n).astype(np.int8),
        f32: rng.standard_normal(n).astype(np.float32),
    }


def compiled(outputs: Any, **more: Any) -> tuple[Any, list[Any]]:
    needed = set(jitgraph.gof.graph.ancestors(outputs))
    inputs = [i for i in INPUTS if i in needed]
    return jitgraph.function(inputs, outputs, **more), inputs


def loops(source: str) -> list[str]:
    """The text of every innermost loop of the kernels."""
    kernels = source[: source.index("static int64_t segment_0")]
    return re.findall(r"(?:for \(int64_t \w+ = [^{]*|JG_ABREAST\([^{]*)\{([^{}]*)\}", kernels)


@pytest.mark.parametrize("name", CASES)
def test_values(name: str) -> None:
    """Against the same program with nothing fused, whose loops have one function each."""
    outputs = CASES[name]()
    f, inputs = compiled(outputs)
    apart, _ = compiled(outputs, mode=jitgraph.Mode("cvm", "fast_run").excluding("fusion"))
    for n in (0, 1, 7, 511, 512, 513, 1100):
        values = [given(n)[i] for i in inputs]
        for found, wanted in zip(f(*values), apart(*values), strict=True):
            assert same_bits(np.asarray(found), np.asarray(wanted))


@pytest.mark.parametrize("name", CASES)
def test_no_loop_has_both(name: str) -> None:
    f, _ = compiled(CASES[name]())
    short = re.compile(r"u?int(8|16)_t|z\d\[[^]]*\] = [^;]*[<>]")
    names = {n for line in f.c_source.splitlines() for n in re.findall(r"int8_t \*(a\d)", line)}
    text = loops(f.c_source)
    assert any(re.search(r"jg_(exp|tanh|sigmoid|softplus|sin)_", body) for body in text)
    for body in text:
        if re.search(r"jg_(exp|tanh|sigmoid|softplus|sin)_", body):
            assert not short.search(body), body
            assert not any(re.search(rf"\b{n}\[", body) for n in names), body


def test_a_mask_stays_where_it_is_used() -> None:
    """A comparison that is not stored takes no memory, so nothing is cut for it."""
    f, _ = compiled([T.switch(x > 0, T.exp(x), T.log1p(t))])
    assert "_part[" not in f.c_source
