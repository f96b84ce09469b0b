"""Random loops: compiled values and gradients against the reference, and that numerically."""

from __future__ import annotations

from typing import Any

import numeric_gradient
import numpy as np
import pytest
from graphs_of_loops import Program, random_program
from numpy.testing import assert_allclose

import jitgraph
import jitgraph.tensor as T

PROGRAMS = 200
BATCH = 8
# In float64 only the order of additions differs; gradients of 7 steps of products of numbers up
# to about 5 leave 1e-10. With float32 states the rounding differs where the code fuses: 2^-24 a
# step, amplified by slopes up to about 30.
RTOL, ATOL = 1e-9, 1e-10
RTOL32, ATOL32 = 2e-4, 2e-5


def results_of(program: Program) -> list[Any]:
    wrt = program.floats
    gradients = T.grad(program.cost, wrt, disconnected_inputs="ignore") if wrt else []
    return [*program.outputs, program.cost, *gradients]


def reference(program: Program) -> list[np.ndarray]:
    f = jitgraph.function(
        program.inputs, results_of(program), mode="reference", on_unused_input="ignore"
    )
    found: list[np.ndarray] = f(*program.values)
    return found


@pytest.mark.parametrize("batch", range(PROGRAMS // BATCH))
def test_compiled_loops_equal_the_reference(batch: int) -> None:
    programs = [random_program(seed) for seed in range(batch * BATCH, (batch + 1) * BATCH)]
    inputs = [v for p in programs for v in p.inputs]
    results = [results_of(p) for p in programs]
    f = jitgraph.function(inputs, [v for r in results for v in r], on_unused_input="ignore")
    got = iter(f(*(a for p in programs for a in p.values)))
    for program, expected in zip(programs, map(reference, programs), strict=True):
        rtol, atol = (RTOL32, ATOL32) if program.single else (RTOL, ATOL)
        for k, (wanted, found) in enumerate(zip(expected, got, strict=False)):
            message = f"random_program({program.seed}), result {k}"
            assert found.dtype == wanted.dtype and found.shape == wanted.shape, message
            assert_allclose(found, wanted, rtol=rtol, atol=atol, err_msg=message)


def check_gradients(program: Program, slopes: list[np.ndarray]) -> None:
    """Along a random direction, against the reference evaluation of the cost."""
    at = [i for i, v in enumerate(program.inputs) if v in program.floats]
    rng = np.random.default_rng(program.seed)
    directions = [rng.normal(size=program.values[i].shape) for i in at]
    f = jitgraph.function(program.inputs, program.cost, mode="reference", on_unused_input="ignore")

    def moved(t: float) -> float:
        values = list(program.values)
        for i, d in zip(at, directions, strict=True):
            values[i] = values[i] + t * d
        return float(f(*values))

    wanted = numeric_gradient.stencil(moved, 5e-4)
    terms = [g * d for g, d in zip(slopes, directions, strict=True)]
    scale = sum(float(np.abs(t).sum()) for t in terms)
    found = sum(float(t.sum()) for t in terms)
    assert abs(found - wanted) <= 1e-6 * (1 + scale), f"random_program({program.seed})"


@pytest.mark.parametrize("batch", range(PROGRAMS // BATCH))
def test_gradients_equal_numeric_ones(batch: int) -> None:
    """Truncated gradients are no derivatives, and float32 is too coarse for differences."""
    for seed in range(batch * BATCH, (batch + 1) * BATCH):
        program = random_program(seed)
        if not program.truncated and not program.single and program.floats:
            check_gradients(program, reference(program)[len(program.outputs) + 1 :])


def test_the_check_finds_a_wrong_gradient() -> None:
    program = next(p for p in map(random_program, range(20)) if len(p.floats) > 1)
    slopes = reference(program)[len(program.outputs) + 1 :]
    slopes[0] = slopes[0] * 1.001 + 1e-4
    with pytest.raises(AssertionError, match="random_program"):
        check_gradients(program, slopes)


def test_the_programs_cover_what_they_should() -> None:
    from jitgraph.graph import toposort
    from jitgraph.ops.scan import Scan

    loops = []
    programs = [random_program(seed) for seed in range(PROGRAMS)]
    for program in programs:
        loops += [n.op for n in toposort(program.outputs) if isinstance(n.op, Scan)]
    assert sum(op.until for op in loops) >= 10
    assert sum(op.truncate > 0 for op in loops) >= 20
    assert sum(any(r.reversed for r in op.sequences) for op in loops) >= 20
    assert sum(any(len(taps) > 1 or taps[0] > 1 for taps in op.lags) for op in loops) >= 30
    bodies = [n.op for op in loops for n in toposort(op.body.outputs)]
    assert sum(isinstance(op, Scan) for op in bodies) >= 10
    assert sum(p.single for p in programs) >= 10
