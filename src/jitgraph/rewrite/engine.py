"""The engine: one walk that merges equal nodes, folds constants and applies rules.

A graph is rebuilt from its leaves upwards. Every node passes through a table keyed by (op,
inputs), so equal subgraphs become one object; then the rules of its op are tried, and a
replacement is brought into normal form by the same walk. Nothing is ever changed in place.

Terms used below: the *normal form* of a variable is what the walk makes of it; a *fresh* node is
one that a rule has just made and the walk has not seen yet.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from jitgraph.config import config
from jitgraph.graph import (
    Apply,
    Constant,
    Origin,
    TensorType,
    Variable,
    format_origin,
    toposort,
)
from jitgraph.op import Op
from jitgraph.ops.arithmetic import cast
from jitgraph.ops.elementwise import Elementwise
from jitgraph.ops.shape import Rebroadcast, ShapeI, known_int

# How often the walk may be repeated, and how many rules may fire in it: bounds against rules
# that undo each other. No rule set of this package comes near them.
MOST_WALKS = 12
MOST_FIRINGS = 50

Key = str | type[Op]


class RewriteWarning(UserWarning):
    """A rewrite failed and was left out; the results are right, but maybe slower or less stable."""


Action = Callable[[Apply, "Rewriter"], Variable | None]


@dataclass(frozen=True, eq=False)
class Rule:
    """A named rewrite of the nodes of certain ops.

    `keys`: what it is tried on: names of elementwise functions and classes of other ops.
    `apply(node, rewriter)` answers the replacement of the node's only output, or None. It sees
    inputs in normal form, and must return a variable of the same value; dtype and marks are
    brought to those of the node by the engine.
    `tags`: the groups by which a mode selects it.
    `needs`: for each set, one of the inputs must be made by something in it (see `made_of`). This
    settles most attempts at once; the rule itself must still look.
    """

    name: str
    tags: frozenset[str]
    keys: tuple[Key, ...]
    apply: Action
    needs: tuple[frozenset[Key], ...] = ()


def rule_function(
    name: str, *keys: Key, tags: Iterable[str], needs: Iterable[Key] = ()
) -> Callable[[Action], Rule]:
    """Make the decorated function `(node, rewriter) -> Variable | None` a rule of `keys`.

    `needs`: what one of the inputs must be made by, if anything.
    """
    need = frozenset(needs)

    def declare(action: Action) -> Rule:
        return Rule(name, frozenset(tags), keys, action, (need,) if need else ())

    return declare


def dispatch_key(op: Op) -> Key:
    return op.scalar_name if type(op) is Elementwise else type(op)


def made_of(v: Variable) -> Key:
    """The op that makes `v` as a dispatch key, "constant", or "leaf"."""
    if v.owner is not None:
        return dispatch_key(v.owner.op)
    return "constant" if isinstance(v, Constant) else "leaf"


class RuleSet:
    """Rules by the op they are tried on, in the order they were given."""

    def __init__(self, rules: Iterable[Rule]):
        self.rules = tuple(rules)
        self._by_key: dict[Key, list[Rule]] = {}
        self._for_all: list[Rule] = []
        for r in self.rules:
            if not r.keys:
                self._for_all.append(r)
            for key in r.keys:
                self._by_key.setdefault(key, []).append(r)

    def of(self, op: Op) -> list[Rule]:
        """The rules to try on a node of `op`."""
        return self._for_all + self._by_key.get(dispatch_key(op), [])


# Nodes on which a rule set was tried in vain, for reasons that lie in the nodes alone.
Settled = dict[RuleSet, set[Apply]]


class Table:
    """Nodes and constants by content: of equal ones, the first that came is the one to use.

    Leaves other than constants are never equal to each other. A node whose output types differ
    from those of its twin (marks may be known better in one place) stays itself.
    """

    def __init__(self, merge: bool = True):
        self.merge = merge
        self._ops: dict[Op, int] = {}
        self._op_numbers: dict[int, tuple[Op, int]] = {}
        self._nodes: dict[tuple[Any, ...], Apply] = {}
        self._constants: dict[tuple[Any, ...], Variable] = {}
        self._leaves: dict[Variable, Variable] = {}

    @property
    def ops(self) -> Collection[Op]:
        """Every op that has been seen so far."""
        return self._ops.keys()

    def op_number(self, op: Op) -> int:
        known = self._op_numbers.get(id(op))
        if known is None:
            # The op is stored beside its number, so that its id is not given to another one.
            known = (op, self._ops.setdefault(op, len(self._ops)))
            self._op_numbers[id(op)] = known
        return known[1]

    def leaf(self, v: Variable) -> Variable:
        if not isinstance(v, Constant) or not self.merge:
            return v
        known = self._leaves.get(v)
        if known is None:
            known = self._leaves[v] = self._constants.setdefault(v.signature(), v)
        return known

    def node(self, node: Apply, inputs: list[Variable]) -> Apply:
        """The application of `node`'s op to `inputs`; `node` itself if nothing else is known."""
        same = inputs == node.inputs  # variables compare by identity
        if not self.merge:
            return node if same else reapply(node, inputs)
        key = (self.op_number(node.op), *inputs)
        found = self._nodes.get(key)
        if found is node:
            return node
        if found is not None and not _same_types(found, node):
            key = (*key, *(o.type for o in node.outputs))
            found = self._nodes.get(key)
        if found is None:
            found = self._nodes[key] = node if same else reapply(node, inputs)
        return found


def _same_types(a: Apply, b: Apply) -> bool:
    return all(x.type == y.type for x, y in zip(a.outputs, b.outputs, strict=True))


def reapply(node: Apply, inputs: Sequence[Variable]) -> Apply:
    """The same op on other inputs of the same types, with the output types of `node`.

    The types are kept even where the new inputs tell more (a length that became a constant 1):
    users of the outputs are typed by them.
    """
    outputs = []
    for old in node.outputs:
        out = old.type.make_variable(old.name)
        out.tag.__dict__.update(old.tag.__dict__)
        outputs.append(out)
    new = Apply(node.op, inputs, outputs)
    new.origins = node.origins
    return new


def merge_origins(nodes: Iterable[Apply]) -> tuple[Origin, ...]:
    return tuple(dict.fromkeys(o for n in nodes for o in n.origins))


@dataclass
class Rewriter:
    """One walk over a graph with some sets of rules, tried in their order.

    Variables in `keep` are leaves, whatever made them. Names of fired rules go to `log`. Nodes in
    `settled` are not tried again; walks over the same `table` may share it.
    """

    rule_sets: Sequence[RuleSet]
    table: Table
    keep: Collection[Variable] = ()
    log: list[str] = field(default_factory=list)
    settled: Settled = field(default_factory=dict)
    fired: int = 0
    refused: bool = False  # a rule did not fire because a variable has several users
    cycles: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._done: dict[Variable, Variable] = {}
        self._stands_for: dict[Variable, Variable] = {}
        self._open: dict[Variable, str] = {}
        self._rules_of: dict[tuple[RuleSet, int], list[Rule]] = {}
        self._asked_users = False
        self._asking = 0
        self._users: dict[Variable, int] = {}
        self._budget = 0
        self._fired_on: set[Variable] = set()
        self.replaced: list[Apply] = []

    # -- the walk --

    def run(self, outputs: Sequence[Variable]) -> list[Variable]:
        """The normal forms of `outputs`."""
        order = toposort(outputs, stop=self.keep)
        self._budget = MOST_FIRINGS * (len(order) + 20)
        self._users = _count_users(order, outputs)
        return [self.normal(o) for o in outputs]

    def normal(self, root: Variable) -> Variable:
        """The normal form of one variable. Depth is limited by memory only."""
        done = self._done
        stack = [root]
        while stack:
            v = stack[-1]
            if v in done:
                stack.pop()
                continue
            target = self._stands_for.get(v)
            if target is not None:
                self._follow(v, target, stack)
                continue
            node = v.owner
            if node is None or v in self.keep:
                done[v] = v if node is not None else self.table.leaf(v)
                continue
            pending = [i for i in node.inputs if i not in done]
            if pending:
                stack.extend(reversed(pending))
                continue
            self._visit(v, node)
        return done[root]

    def _follow(self, v: Variable, target: Variable, stack: list[Variable]) -> None:
        """`v` was replaced by `target`: its normal form is that of `target`."""
        result = self._done.get(target)
        if result is None and target in self._open and target in self._stands_for:
            # Rules lead from a variable back to itself. Either is right; stop here.
            self.cycles.append(self._open[target])
            result = target
        if result is None:
            stack.append(target)
        else:
            self._done[v] = result
            self._open.pop(v, None)

    def _visit(self, v: Variable, node: Apply) -> None:
        """All inputs of `node` have normal forms: merge it, then try its rules."""
        merged = self.table.node(node, [self._done[i] for i in node.inputs])
        if merged is not node:
            for old, new in zip(node.outputs, merged.outputs, strict=True):
                self._stands_for[old] = new
                self._users[new] = self._users.get(new, 0) + self._users.get(old, 0)
            return
        if len(node.outputs) == 1 and self._budget > 0:
            for rules in self.rule_sets:
                if self._try(rules, v, node):
                    return
        for out in node.outputs:
            self._done[out] = out

    def _try(self, rules: RuleSet, v: Variable, node: Apply) -> bool:
        """Whether a rule of the set fired on `node`."""
        settled = self.settled.setdefault(rules, set())
        if node in settled:
            return False
        self._asked_users = False
        makers = {made_of(i) for i in node.inputs}
        for rule in self._candidates(rules, node):
            for need in rule.needs:
                if need.isdisjoint(makers):
                    break
            else:
                self.replaced = [node]
                new = self._conform(self._apply(rule, node), v)
                if new is not None and new is not v:
                    self._fire(rule, v, new)
                    return True
        if not self._asked_users:
            settled.add(node)
        return False

    def _apply(self, rule: Rule, node: Apply) -> Variable | None:
        """What the rule makes of the node. A rule that fails is a fault of this package: the
        program is right without it, so config.on_opt_error decides."""
        try:
            return rule.apply(node, self)
        except Exception as error:
            if config.on_opt_error in ("raise", "pdb"):
                raise
            if config.on_opt_error == "warn":
                place = f"{node.op.name} ({format_origin(node.origins)})"
                warnings.warn(
                    f"the rewrite {rule.name!r} failed on {place} and was left out: "
                    f"{type(error).__name__}: {error}",
                    RewriteWarning,
                    stacklevel=2,
                )
            return None

    def _candidates(self, rules: RuleSet, node: Apply) -> list[Rule]:
        key = (rules, self.table.op_number(node.op))
        found = self._rules_of.get(key)
        if found is None:
            found = self._rules_of[key] = rules.of(node.op)
        return found

    def _fire(self, rule: Rule, old: Variable, new: Variable) -> None:
        self.fired += 1
        self._budget -= 1
        if not self._asking:
            self.log.append(rule.name)
        self._open[old] = rule.name
        self._fired_on.add(old)
        self._stands_for[old] = new
        self._users[new] = self._users.get(new, 0) + self._users.get(old, 1)
        if self._adopt(new, merge_origins(self.replaced)) and old.name and not new.name:
            new.name = old.name

    def _adopt(self, root: Variable, origins: tuple[Origin, ...]) -> bool:
        """Give fresh nodes the origins of what they replace; whether `root` is fresh."""
        fresh = self._is_fresh(root)
        seen: set[Apply] = set()
        stack = [root]
        while stack:
            v = stack.pop()
            if v.owner is None or v.owner in seen or not self._is_fresh(v):
                continue
            seen.add(v.owner)
            v.owner.origins = origins
            stack.extend(v.owner.inputs)
        return fresh

    def _is_fresh(self, v: Variable) -> bool:
        return v.owner is not None and v not in self._done and v not in self._stands_for

    @staticmethod
    def _conform(new: Variable | None, old: Variable) -> Variable | None:
        """`new` with the type of `old`, or None where that is impossible.

        A mark that is missing is added: the old type promises it. A mark too many means that the
        replacement would have to be stretched; such a rule does not apply.
        """
        if new is None or new.type == old.type:
            return new
        if not isinstance(new.type, TensorType) or new.type.ndim != old.type.ndim:
            return None
        marks = list(zip(new.type.broadcastable, old.type.broadcastable, strict=True))
        if any(mine and not its for mine, its in marks):
            return None
        new = cast(new, old.type.dtype)
        if new.type.broadcastable != old.type.broadcastable:
            new = Rebroadcast(old.type.broadcastable)(new)
        return new

    def touched(self, outputs: Sequence[Variable]) -> set[Variable]:
        """The variables of the given graph in whose making some rule fired."""
        found: set[Variable] = set()
        for node in toposort(outputs, stop=self.keep):
            fired = any(v in found for v in node.inputs) or any(
                o in self._fired_on or self._stands_for.get(o) in self._fired_on
                for o in node.outputs
            )
            if fired:
                found.update(node.outputs)
        return found

    # -- what rules may ask --

    def used_alone(self, v: Variable) -> bool:
        """Whether at most one node (or output) of the graph as it was given uses `v`."""
        self._asked_users = True
        alone = self._users.get(v, 1) <= 1
        self.refused |= not alone
        return alone

    def length(self, v: Variable, axis: int) -> Variable | int:
        """The length of an axis in normal form: equal lengths that can be proved are equal here."""
        if v.type.broadcastable[axis]:
            return 1
        return self.length_of_entry(ShapeI(axis)(v))

    def length_of_entry(self, entry: Variable | int) -> Variable | int:
        """A shape entry in normal form. Rules that fire for the answer alone are not logged."""
        if isinstance(entry, Variable):
            replaced = self.replaced  # of the rule that asks
            self._asking += 1
            entry = self.normal(entry)
            self._asking -= 1
            self.replaced = replaced
        known = known_int(entry)
        return entry if known is None else known


def _count_users(order: Iterable[Apply], outputs: Iterable[Variable]) -> dict[Variable, int]:
    users: dict[Variable, int] = {}
    for node in order:
        for v in dict.fromkeys(node.inputs):
            users[v] = users.get(v, 0) + 1
    for v in outputs:
        users[v] = users.get(v, 0) + 1
    return users


def fixpoint(
    outputs: Sequence[Variable],
    rule_sets: Sequence[RuleSet],
    table: Table,
    settled: Settled,
    log: list[str],
) -> list[Variable]:
    """Repeat the walk until another one would change nothing.

    One walk already brings replacements into normal form; another is needed only where a rule
    did not fire because a variable has several users: merging and other rules take users away.
    """
    current = list(outputs)
    for _ in range(MOST_WALKS):
        walk = Rewriter(rule_sets, table, log=log, settled=settled)
        before, current = current, walk.run(current)
        if not walk.refused or before == current:
            break
    return current
