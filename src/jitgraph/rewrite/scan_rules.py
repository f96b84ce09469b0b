"""The rewrites of loops by name, as modes switch them (Theano's names are among the tags).

What is always done, whatever the mode: the body is rewritten by the rules of the mode, as any
other graph.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, eq=False)
class LoopRule:
    """The name of a rewrite of loops, and the tags by which a mode selects it."""

    name: str
    tags: frozenset[str]


def _rule(name: str, *tags: str) -> LoopRule:
    return LoopRule(name, frozenset({"fast_run", "scan", *tags}))


CLEAN = _rule(
    "scan: no constant and unused parts",
    "fast_compile",
    "remove_constants_and_unused_inputs_scan",
    "scanOp_remove_constants_and_unused_inputs0",
)
INLINE = _rule("scan: 0 steps or 1 are no loop", "fast_compile", "scan_inline")
EQUAL = _rule("scan: equal parts are one", "scan_merge_inouts")
MERGE = _rule("scan: loops over the same are one", "scanOp_merge")
# Not excluded with "scan": results would change for the worse.
STABLE = LoopRule(
    "log(scan(sigmoid(x))) -> log(sigmoid(scan(x)))",
    frozenset({"fast_run", "stabilize", "scan_stabilize"}),
)
SAVE = _rule("scan: only the rows that are read are kept", "scanOp_save_mem")
PUSH_FIXED = _rule("scan: what is the same at every step, once", "scanOp_pushout_nonseqs_ops")
PUSH_ROWS = _rule("scan: work on sequences before the loop", "scanOp_pushout_seqs_ops")
PUSH_RESULTS = _rule("scan: work on results after the loop", "scanOp_pushout_output")
PUSH_SUMS = _rule("scan: a sum of products as one product", "scan_pushout_dot1")

RULES = [
    CLEAN,
    INLINE,
    EQUAL,
    MERGE,
    STABLE,
    SAVE,
    PUSH_FIXED,
    PUSH_ROWS,
    PUSH_RESULTS,
    PUSH_SUMS,
]
