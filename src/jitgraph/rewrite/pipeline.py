"""The order of the rule sets: canonical, stable, moving, opt-in approximations, expansion.

Each phase repeats its rules and the canonical ones until nothing changes. Stable rules come before
those that move views and indices into expressions, because they recognise whole expressions.
Approximations come after the stable rules, which therefore still find the exact sigmoid; composite
ops are written out last, so that rules see them whole.
"""

from __future__ import annotations

import gc
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from typing import TYPE_CHECKING

from jitgraph.config import config
from jitgraph.graph import Variable
from jitgraph.op import Op
from jitgraph.rewrite import canonical, index, shapes, special, stable, views
from jitgraph.rewrite.engine import Rewriter, Rule, RuleSet, Settled, Table, fixpoint

if TYPE_CHECKING:
    from jitgraph.mode import Mode

CANONICAL: list[Rule] = [*canonical.RULES, *shapes.RULES, *views.RULES, *index.RULES]
MOVING: list[Rule] = [*views.MOVING, *index.MOVING]
# Every rule a mode can switch; expansion cannot be switched off.
SWITCHABLE: list[Rule] = [*CANONICAL, *stable.RULES, *MOVING, *special.OPT_IN]

EXPANSION = RuleSet(special.EXPAND)
_BEFORE_GRADIENT = RuleSet(stable.BEFORE_GRADIENT)


def selected(mode: Mode) -> list[Rule]:
    """The rules that `mode` asks for, in their order."""
    return [r for r in SWITCHABLE if mode.selects(r.tags)]


@lru_cache(maxsize=32)
def phases(mode: Mode) -> tuple[tuple[RuleSet, ...], ...]:
    """The rule sets of `mode`, for each phase that has something to do."""
    chosen = set(selected(mode))
    exact, steady, moving, opt_in = (
        RuleSet([r for r in rules if r in chosen])
        for rules in (CANONICAL, stable.RULES, MOVING, special.OPT_IN)
    )
    sequence = [
        (exact,),
        (exact, steady),
        (exact, steady, moving),
        (exact, moving, opt_in) if opt_in.rules else (),
        (exact, moving, EXPANSION),
    ]
    return tuple(kept for sets in sequence if (kept := tuple(s for s in sets if s.rules)))


def optimise(
    outputs: Sequence[Variable], mode: Mode, log: list[str] | None = None
) -> list[Variable]:
    """Outputs of the same values and types as the given ones, in the form that is compiled.

    The given graph is not changed; leaves are shared with it. `log` collects the names of the
    rules that fired, in order.
    """
    table, settled, fired = Table(merge=mode.merge), Settled(), [] if log is None else log
    current, known = list(outputs), len(fired)
    with collector_paused():
        for rule_sets in phases(mode):
            if not table.ops or has_work(rule_sets[-1], table.ops):
                current = fixpoint(current, rule_sets, table, settled, fired)
    if config.optimizer_verbose:
        for name in fired[known:]:
            print(f"rewrite: {name}")
    return current


def has_work(rules: RuleSet, ops: Collection[Op]) -> bool:
    """Whether some rule of the set is about one of `ops`."""
    if rules is EXPANSION:
        return any(map(special.is_composite, ops))
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
    walk = Rewriter((_BEFORE_GRADIENT,), Table(), keep=frozenset(keep))
    with collector_paused():
        new = walk.run(outputs)
    if not walk.fired:
        return list(outputs)
    touched = walk.touched(outputs)
    return [n if o in touched else o for n, o in zip(new, outputs, strict=True)]
