"""A loop that keeps every N-th step: its gradient computes the steps in between once more.

The steps are cut into blocks of N. The outer loop goes from block to block and keeps the state
after each; a loop inside does the steps of a block. The gradient of the outer loop runs the inner
one again, so that at any time the steps of one block are kept besides the states between blocks.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from jitgraph.cloning import OrderedUpdates
from jitgraph.graph import Variable
from jitgraph.op import here
from jitgraph.ops.arithmetic import minimum
from jitgraph.ops.join import Join
from jitgraph.ops.shape import Alloc, ARange, Reshape, ShapeI, restrict_pattern, shape_vector
from jitgraph.ops.values import as_tensor_variable
from jitgraph.scan_module.arguments import as_list, given_steps
from jitgraph.scan_module.loop import blockwise, scan, title_of


def scan_checkpoints(
    fn: Callable[..., Any],
    sequences: Any = (),
    outputs_info: Any = None,
    non_sequences: Any = (),
    name: str | None = "checkpointscan_fn",
    n_steps: Any = None,
    save_every_N: int = 10,
    padding: bool = True,
) -> tuple[Any, OrderedUpdates]:
    """As `scan`, keeping the outputs of steps N, 2N, … and of the last step only.

    Between them the gradient needs memory for N steps. Sequences are arrays without taps,
    outputs_info holds plain initial values or None. With `padding` the sequences are lengthened
    to a multiple of N by zeros, which no step reads; without, their length must be one.

    Raises ValueError for N < 1, for taps, and, when run, for a length that is no multiple of N.
    """
    title = title_of(name)
    size = save_every_N
    if not isinstance(size, (int, np.integer)) or isinstance(size, bool) or size < 1:
        raise ValueError(f"{title}: save_every_N must be a positive int, got {size!r}{here()}")
    arrays = [_plain(x, title) for x in as_list(sequences)]
    states = [None if s is None else _plain(s, title) for s in as_list(outputs_info)]
    n = given_steps(n_steps, title)
    if n is None:
        if not arrays:
            raise ValueError(f"{title}: without sequences n_steps must be given{here()}")
        n = ShapeI(0)(arrays[0])
    N = np.int64(size)
    blocks = (n + N - 1) // N  # type: ignore[operator]
    cut = [_in_blocks(x, blocks, N, padding) for x in arrays]
    left = n - ARange("int64")(np.int64(0), blocks, np.int64(1)) * N
    fed_back = [i for i, s in enumerate(states) if s is not None]

    def block(*given: Variable) -> Any:
        rows, count = given[: len(cut)], given[len(cut)]
        before = iter(given[len(cut) + 1 :][: len(fed_back)])
        infos = [None if s is None else next(before) for s in states]
        rest = list(given[len(cut) + 1 + len(fed_back) :])
        outputs, updates = scan(fn, list(rows), infos, rest, count, name=name, return_list=True)
        return [v[-1] for v in outputs], updates

    return blockwise(block, [*cut, minimum(left, N)], states, non_sequences, blocks, name)


def _plain(x: Any, title: str) -> Variable:
    if isinstance(x, dict):
        raise ValueError(f"{title}: a loop with checkpoints has no taps{here()}")
    v: Variable = as_tensor_variable(x)
    return v


def _in_blocks(x: Variable, blocks: Variable, size: np.int64, padding: bool) -> Variable:
    """The rows of `x` as an array of blocks: an axis more, of length `size`."""
    rest: Sequence[Any] = [ShapeI(i)(x) for i in range(1, x.type.ndim)]
    pattern = x.type.broadcastable[1:]
    if padding:
        missing = blocks * size - ShapeI(0)(x)  # type: ignore[operator]
        zeros = Alloc()(np.zeros((), x.type.dtype), missing, *rest)
        x = Join(0)(
            restrict_pattern(x, (False, *pattern)), restrict_pattern(zeros, (False, *pattern))
        )
    shape = shape_vector([blocks, size, *rest])
    return restrict_pattern(Reshape(x.type.ndim + 1)(x, shape), (False, False, *pattern))
