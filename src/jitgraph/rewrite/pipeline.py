"""The order of the rule sets: canonical, stable, moving, opt-in approximations, expansion.

Each phase repeats its rules and the canonical ones until nothing changes. Stable rules come before
those that move views and indices into expressions, because they recognise whole expressions.
Approximations come after the stable rules, which therefore still find the exact sigmoid; composite
ops are written out last, so that rules see them whole, and only then functions take the form that
no rule knows: the fast one for accuracy 'fast', and that of BLAS for sums of matrix products.
"""

from __future__ import annotations

import gc
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from typing import TYPE_CHECKING

from jitgraph.config import config
from jitgraph.graph import Variable, toposort
from jitgraph.op import Op, without_test_values
from jitgraph.ops.elementwise import Elementwise
from jitgraph.rewrite import (
    blas,
    canonical,
    index,
    scan_lengths,
    scan_rules,
    shapes,
    special,
    stable,
    views,
)
from jitgraph.rewrite.engine import Rewriter, Rule, RuleSet, Settled, Table, fixpoint

if TYPE_CHECKING:
    from jitgraph.mode import Mode

CANONICAL: list[Rule] = [
    *canonical.RULES,
    *scan_lengths.RULES,
    *shapes.RULES,
    *views.RULES,
    *index.RULES,
]
MOVING: list[Rule] = [*views.MOVING, *index.MOVING]
# Every rule a mode can switch; expansion cannot be switched off.
SWITCHABLE: list[Rule | scan_rules.LoopRule] = [
    *CANONICAL,
    *stable.RULES,
    *MOVING,
    *special.OPT_IN,
    *scan_rules.RULES,
    *blas.RULES,
]

EXPANSION = RuleSet(special.EXPAND)
FAST_FORMS = RuleSet(special.FAST)  # chosen by the accuracy of a mode, not by tags
_BEFORE_GRADIENT = RuleSet(stable.BEFORE_GRADIENT)


def selected(mode: Mode) -> list[Rule | scan_rules.LoopRule]:
    """The rules that `mode` asks for, in their order."""
    return [r for r in SWITCHABLE if mode.selects(r.tags)]


Phases = tuple[tuple[RuleSet, ...], ...]


@lru_cache(maxsize=32)
def phases(mode: Mode) -> tuple[tuple[Phases, Phases], RuleSet, frozenset[scan_rules.LoopRule]]:
    """The rule sets of `mode` for each phase that has something to do, in two halves.

    With them the exact rules, which know about lengths, and the rewrites of loops.
    """
    chosen = set(selected(mode))
    exact, steady, moving, opt_in = (
        RuleSet([r for r in rules if r in chosen])
        for rules in (CANONICAL, stable.RULES, MOVING, special.OPT_IN)
    )
    halves = (
        [(exact,), (exact, steady)],
        [
            (exact, steady, moving),
            (exact, moving, opt_in) if opt_in.rules else (),
            (exact, moving, EXPANSION),
        ],
    )
    first, second = (
        tuple(kept for sets in half if (kept := tuple(s for s in sets if s.rules)))
        for half in halves
    )
    return (first, second), exact, frozenset(r for r in scan_rules.RULES if r in chosen)


class Pipeline:
    """The phases of one compilation, for its graph and for the bodies of its loops."""

    def __init__(self, mode: Mode, log: list[str]):
        from jitgraph.rewrite.scan_loop import Work

        (first, second), exact, loop_rules = phases(mode)
        self.halves = (first, (*second, (FAST_FORMS,)) if mode.fast else second)
        self.table = Table(merge=mode.merge)
        self.settled: Settled = {}
        self.log = log
        self.work = Work(loop_rules, self.table, self.settled, log, exact)
        self.blas = frozenset(r for r in blas.RULES if mode.selects(r.tags))

    def first_half(self, outputs: Sequence[Variable]) -> list[Variable]:
        """Up to the stable form, with work moved out of loops."""
        exact, *steady = self.halves[0] or ((),)
        self._learn(outputs)
        current = self._apply(outputs, [exact])
        if not self._learn(current):
            return self._apply(current, steady)
        from jitgraph.rewrite import scan

        current = scan.early(current, self.work, self.first_half, self._stable_form)
        self._learn(current)
        return scan.middle(self._apply(current, [exact, *steady]), self.work)

    def second_half(self, outputs: Sequence[Variable]) -> list[Variable]:
        """Down to the form that is compiled."""
        sets = self.halves[1]
        if not self._learn(outputs):
            return blas.blas_form(self._apply(outputs, sets), self.blas, self.log)
        from jitgraph.rewrite import scan

        current = scan.late(self._apply(outputs, sets[:1]), self.work, self.second_half)
        self._learn(current)
        return blas.blas_form(self._apply(current, sets), self.blas, self.log)

    def _stable_form(self, outputs: Sequence[Variable]) -> list[Variable]:
        return self._apply(outputs, self.halves[0])

    def _learn(self, outputs: Sequence[Variable]) -> bool:
        """Tell the table of all ops, so that no phase is left out; whether there are loops."""
        loops = False
        for node in toposort(outputs):
            self.table.op_number(node.op)
            loops |= type(node.op).__name__ == "Scan"
        return loops

    def _apply(
        self, outputs: Sequence[Variable], sets: Sequence[tuple[RuleSet, ...]]
    ) -> list[Variable]:
        current = list(outputs)
        for rule_sets in sets:
            if rule_sets and has_work(rule_sets[-1], self.table.ops):
                current = fixpoint(current, rule_sets, self.table, self.settled, self.log)
        return current


def optimise(
    outputs: Sequence[Variable], mode: Mode, log: list[str] | None = None
) -> list[Variable]:
    """Outputs of the same values and types as the given ones, in the form that is compiled.

    The given graph is not changed; leaves are shared with it. `log` collects the names of the
    rules that fired, in order.
    """
    fired = [] if log is None else log
    known = len(fired)
    with collector_paused():
        pipeline = Pipeline(mode, fired)
        current = pipeline.second_half(pipeline.first_half(outputs))
    if config.optimizer_verbose:
        for name in fired[known:]:
            print(f"rewrite: {name}")
    return current


def has_work(rules: RuleSet, ops: Collection[Op]) -> bool:
    """Whether some rule of the set is about one of `ops`."""
    if rules is EXPANSION:
        return any(map(special.is_composite, ops))
    if rules is FAST_FORMS:
        return any(isinstance(op, Elementwise) and op.scalar.fast for op in ops)
    return any(rules.of(op) for op in ops)


@contextmanager
def collector_paused() -> Iterator[None]:
    """No cyclic garbage collection meanwhile.

    A graph is cyclic (a variable knows its maker, which knows its outputs) and all of it is alive,
    so collections set off by its growth find nothing and take as long as the rewriting.
    """
    if not gc.isenabled():
        yield
        return
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def stabilise(outputs: Sequence[Variable], keep: Collection[Variable]) -> list[Variable]:
    """`outputs` with the stable rules applied between them and the variables in `keep`.

    Variables in `keep` are leaves here and stay the same objects. An output in which no rule fires
    is returned itself. Differentiating the result gives derivatives of the stable forms:
    that of log(sigmoid(x)) is finite at x = -1000.
    """
    table, given = Table(), list(outputs)
    walk = Rewriter((_BEFORE_GRADIENT,), table, keep=frozenset(keep))
    with collector_paused(), without_test_values():
        if any(type(node.op).__name__ == "Scan" for node in toposort(outputs, stop=keep)):
            from jitgraph.rewrite.scan import before_gradient

            given = before_gradient(given, _BEFORE_GRADIENT, table, walk.keep)
        new = walk.run(given)
    if not walk.fired:
        return given
    touched = walk.touched(given)
    return [n if o in touched else o for n, o in zip(new, given, strict=True)]
