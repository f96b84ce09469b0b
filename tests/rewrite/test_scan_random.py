"""Random loops and their gradients: the same values after rewriting, by reference evaluation."""

from __future__ import annotations

import numpy as np
import pytest
from loops import Rewritten
from scan.graphs_of_loops import Program, random_program

import jitgraph.tensor as T
from jitgraph.reference import evaluate

PROGRAMS, BATCH = 80, 8
FIRST = 1000  # other programs than those that are compiled
# Only the order of additions differs: in float64, gradients of 7 steps of products of numbers up
# to about 5 leave 1e-10; with float32 states 2^-24 a step, amplified by slopes up to about 30.
TOLERANCE = {False: (1e-9, 1e-10), True: (2e-4, 2e-5)}


def check(program: Program) -> None:
    wrt = program.floats
    gradients = T.grad(program.cost, wrt, disconnected_inputs="ignore") if wrt else []
    outputs = [*program.outputs, program.cost, *gradients]
    values = dict(zip(program.inputs, program.values, strict=True))
    new = Rewritten(outputs)
    rtol, atol = TOLERANCE[program.single]
    for k, (a, b) in enumerate(
        zip(evaluate(outputs, values), evaluate(new.outputs, values), strict=True)
    ):
        a, b = np.asarray(a), np.asarray(b)
        message = f"random_program({program.seed}), result {k}"
        assert a.dtype == b.dtype and a.shape == b.shape, message
        np.testing.assert_allclose(b, a, rtol=rtol, atol=atol, err_msg=message)


@pytest.mark.parametrize("batch", range(PROGRAMS // BATCH))
def test_rewritten_loops_equal_those_that_were_written(batch: int) -> None:
    for seed in range(batch * BATCH, (batch + 1) * BATCH):
        check(random_program(FIRST + seed))
