"""`map`, `reduce` and the folds: loops of a fixed form."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from jitgraph.cloning import OrderedUpdates
from jitgraph.scan_module.loop import scan

Result = tuple[Any, OrderedUpdates]


def map(
    fn: Callable[..., Any],
    sequences: Any,
    non_sequences: Any = None,
    truncate_gradient: int = -1,
    go_backwards: bool = False,
    mode: Any = None,
    name: str | None = None,
) -> Result:
    """`fn` applied to every row of the sequences; returns (outputs, updates) as `scan` does."""
    return scan(
        fn,
        sequences,
        [],
        non_sequences,
        None,
        truncate_gradient,
        go_backwards,
        mode,
        name,
    )


def reduce(
    fn: Callable[..., Any],
    sequences: Any,
    outputs_info: Any,
    non_sequences: Any = None,
    go_backwards: bool = False,
    mode: Any = None,
    name: str | None = None,
) -> Result:
    """The result of the last step of `scan` alone; returns (outputs, updates).

    Arguments of `fn` as in `scan`. Raises IndexError, when run, for sequences without rows.
    """
    outputs, updates = scan(
        fn,
        sequences,
        outputs_info,
        non_sequences,
        go_backwards=go_backwards,
        mode=mode,
        name=name,
    )
    if isinstance(outputs, list):
        return [v[-1] for v in outputs], updates
    return (None if outputs is None else outputs[-1]), updates


def foldl(
    fn: Callable[..., Any],
    sequences: Any,
    outputs_info: Any,
    non_sequences: Any = None,
    mode: Any = None,
    name: str | None = None,
) -> Result:
    """`reduce` from the first row to the last."""
    return reduce(fn, sequences, outputs_info, non_sequences, False, mode, name)


def foldr(
    fn: Callable[..., Any],
    sequences: Any,
    outputs_info: Any,
    non_sequences: Any = None,
    mode: Any = None,
    name: str | None = None,
) -> Result:
    """`reduce` from the last row to the first."""
    return reduce(fn, sequences, outputs_info, non_sequences, True, mode, name)
