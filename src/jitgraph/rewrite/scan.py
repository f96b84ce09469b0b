"""The rewrites of loops in their order, between the phases of the pipeline.

Early, after the exact rules: a loop of no step or one is none; the body goes through the first half
of the pipeline itself; parts that are constant, equal, trivial or unused go; loops over the same
become one; logarithms of traces get their stable form. Then, after the stable rules outside:
memory, sums of products, work after, before and outside the loop. Late: the body goes through the
second half, and its results become variables of their own.

Bodies may hold loops; the halves of the pipeline take them through the same steps.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence

from jitgraph.graph import Apply, Variable
from jitgraph.ops.arithmetic import identity
from jitgraph.rewrite import scan_inputs, scan_memory, scan_push, scan_sums
from jitgraph.rewrite.engine import Rewriter, RuleSet, Table
from jitgraph.rewrite.scan_loop import Loop, Sweep, Work
from jitgraph.rewrite.scan_merge import merge_loops
from jitgraph.rewrite.scan_rules import (
    CLEAN,
    EQUAL,
    INLINE,
    MERGE,
    PUSH_FIXED,
    PUSH_RESULTS,
    PUSH_ROWS,
    PUSH_SUMS,
    SAVE,
    STABLE,
)
from jitgraph.rewrite.scan_stable import reveal

# One half of the pipeline, for a body.
Half = Callable[[Sequence[Variable]], list[Variable]]


def early(
    outputs: Sequence[Variable], work: Work, first_half: Half, normalise: Half
) -> list[Variable]:
    """What is done before the stable rules outside; `normalise` applies those without the rest."""

    def visit(node: Apply, inputs: list[Variable], sweep: Sweep) -> dict[Variable, Variable] | None:
        loop = Loop.of(node, inputs, sweep.used)
        if INLINE in work.chosen:
            found = scan_inputs.inline(loop, work)
            if found is not None:
                return found
        loop.op = loop.op.changed(truncate=-1, recompute=False)  # no gradient will be taken
        _simplify(loop, work, first_half)
        new = loop.build()
        return {v: new.get(v, v) for v in node.outputs}

    current = Sweep(outputs, work).run(visit)
    if CLEAN in work.chosen:
        current = scan_inputs.prune(current, work)
    if MERGE in work.chosen:
        current = merge_loops(current, work)
    if STABLE in work.chosen:
        current = reveal(current, work, normalise)
    return current


def _simplify(loop: Loop, work: Work, first_half: Half) -> None:
    if CLEAN in work.chosen:
        scan_inputs.move_constants(loop, work)
    if EQUAL in work.chosen:
        scan_inputs.merge_inputs(loop, work)
    loop.set_values(first_half(loop.values()))
    while True:
        if EQUAL in work.chosen:
            scan_inputs.merge_equal(loop, work)
        if CLEAN not in work.chosen or not scan_inputs.simplify_states(loop, work):
            return


def middle(outputs: Sequence[Variable], work: Work) -> list[Variable]:
    """What moves work out of loops, after the stable rules outside."""
    current = list(outputs)
    if CLEAN in work.chosen:
        current = scan_inputs.prune(current, work)

    def change(loop: Loop, sweep: Sweep) -> None:
        if SAVE in work.chosen:
            scan_memory.save_memory(loop, work, sweep)
        if PUSH_SUMS in work.chosen:
            scan_sums.push_sums(loop, work)
        if PUSH_RESULTS in work.chosen:
            scan_push.push_results(loop, work, sweep)
        if PUSH_ROWS in work.chosen:
            scan_push.push_rows(loop, work)
            if PUSH_RESULTS in work.chosen:  # which may now read a sequence
                scan_push.push_results(loop, work, sweep)
        if PUSH_FIXED in work.chosen:
            scan_push.push_fixed(loop, work)

    current = scan_push.each_loop(current, work, change)
    if CLEAN in work.chosen:
        current = scan_inputs.prune(current, work)
    return current


def late(outputs: Sequence[Variable], work: Work, second_half: Half) -> list[Variable]:
    """The body in the form that is compiled; only the rows that are read in the end are kept."""

    def visit(node: Apply, inputs: list[Variable], sweep: Sweep) -> dict[Variable, Variable] | None:
        loop = Loop.of(node, inputs, sweep.used)
        if SAVE in work.chosen:
            scan_memory.save_memory(loop, work, sweep)
        loop.set_values(distinct(second_half(loop.values())))
        new = loop.build()
        return {v: new.get(v, v) for v in node.outputs}

    return Sweep(outputs, work).run(visit)


def distinct(values: Sequence[Variable]) -> list[Variable]:
    """Computed values, each once: leaves and repetitions are copied."""
    seen: set[Variable] = set()
    result = []
    for v in values:
        if v.owner is None or v in seen:
            v = identity.make_node(v).outputs[0]
        seen.add(v)
        result.append(v)
    return result


def before_gradient(
    outputs: Sequence[Variable], stable: RuleSet, table: Table, keep: Collection[Variable]
) -> list[Variable]:
    """Logarithms of traces in their stable form, so that derivatives are those of it."""
    work = Work({STABLE}, table, {}, [], RuleSet(()))

    def normalise(values: Sequence[Variable]) -> list[Variable]:
        return Rewriter((stable,), table, keep=frozenset(keep)).run(values)

    return reveal(outputs, work, normalise, keep)
