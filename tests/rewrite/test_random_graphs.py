"""The rewriter on random graphs: same values, same types, a fixed point, no cycles of rules."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from random_graphs import Builder

import jitgraph.tensor as T
from jitgraph.graph import Variable, ancestors
from jitgraph.mode import Mode, get_mode
from jitgraph.ops.arithmetic import neg
from jitgraph.reference import evaluate
from jitgraph.rewrite import engine, pipeline
from jitgraph.rewrite.pipeline import optimise, stabilise

FAST_RUN: Mode = get_mode("FAST_RUN")
EPS = {"float32": 2.0**-23, "float64": 2.0**-52}
PHASES = (
    "merge", "constant_folding", "ShapeOpt", "canonicalize", "specialize", "stabilize", "useless",
    "local_dimshuffle_lift", "local_subtensor_lift", "local_pick_lift", "crossentropy",
)  # fmt: skip


def same_exactly(a: Any, b: Any) -> bool:
    """Equal dtype, shape and elements; nan equals nan, -0.0 equals 0.0."""
    if a.dtype != b.dtype or a.shape != b.shape:
        return False
    return bool(np.array_equal(a, b, equal_nan=a.dtype.kind == "f"))


def close(a: Any, b: Any, scale: float) -> bool:
    """Within 300 rounding errors of the largest intermediate value.

    The functions of inexact graphs have slopes below about 2 and each step halves its result, so
    the few hundred roundings of a graph of 25 steps cannot add up to more.
    """
    if a.dtype != b.dtype or a.shape != b.shape:
        return False
    if a.dtype.kind != "f":
        return bool(np.array_equal(a, b))
    bound = 300 * EPS[a.dtype.name] * scale
    return bool(np.all((np.abs(a - b) <= bound) | (np.isnan(a) & np.isnan(b))))


def largest(outputs: list[Variable], values: dict[Variable, Any]) -> float:
    inner = [v for v in ancestors(outputs) if v.type.dtype.startswith("float")]
    found = [np.abs(a[np.isfinite(a)]).max(initial=1.0) for a in evaluate(inner, values)]
    return float(max(found))


def check_types(before: list[Variable], after: list[Variable]) -> None:
    assert [v.type for v in before] == [v.type for v in after]


@pytest.mark.parametrize("seed", range(150))
def test_exact_graphs_keep_every_bit(seed: int) -> None:
    builder = Builder(seed, exact=True, dtype=("float64", "float32")[seed % 2])
    outputs = builder.grow(25)
    mode = FAST_RUN.excluding("stabilize", "local_pow_specialize")
    new = optimise(outputs, mode)
    check_types(outputs, new)
    for a, b in zip(evaluate(outputs, builder.values), evaluate(new, builder.values), strict=True):
        assert same_exactly(a, b)


@pytest.mark.parametrize("seed", range(150))
def test_float_graphs_agree(seed: int) -> None:
    builder = Builder(1000 + seed, exact=False, dtype=("float64", "float32")[seed % 2])
    outputs = builder.grow(25)
    new = optimise(outputs, FAST_RUN)
    check_types(outputs, new)
    want, got = evaluate(outputs, builder.values), evaluate(new, builder.values)
    scale = largest(outputs, builder.values)
    assert all(close(a, b, scale) for a, b in zip(want, got, strict=True)), (want, got)


@pytest.mark.parametrize("tag", PHASES)
def test_each_group_can_be_switched_off(tag: str) -> None:
    for seed in range(25):
        builder = Builder(2000 + seed, exact=False)
        outputs = builder.grow(25)
        new = optimise(outputs, FAST_RUN.excluding(tag))
        check_types(outputs, new)
        scale = largest(outputs, builder.values)
        want, got = evaluate(outputs, builder.values), evaluate(new, builder.values)
        assert all(close(a, b, scale) for a, b in zip(want, got, strict=True)), seed


@pytest.mark.parametrize("name", ["FAST_COMPILE", "reference"])
def test_other_modes_agree(name: str) -> None:
    for seed in range(25):
        builder = Builder(2500 + seed, exact=False)
        outputs = builder.grow(25)
        new = optimise(outputs, get_mode(name))
        scale = largest(outputs, builder.values)
        want, got = evaluate(outputs, builder.values), evaluate(new, builder.values)
        assert all(close(a, b, scale) for a, b in zip(want, got, strict=True)), seed


def structure(outputs: list[Variable]) -> list[Variable]:
    """The graph merged into a table of its own: two equal graphs give the same objects."""
    return engine.Rewriter((), TABLE).run(outputs)


TABLE = engine.Table()


@pytest.mark.parametrize("seed", range(60))
def test_a_second_pass_changes_nothing(seed: int) -> None:
    builder = Builder(3000 + seed, exact=seed % 2 == 0)
    once = optimise(builder.grow(25), FAST_RUN)
    log: list[str] = []
    twice = optimise(once, FAST_RUN, log)
    assert structure(once) == structure(twice), log


def test_no_rules_undo_each_other(monkeypatch: pytest.MonkeyPatch) -> None:
    walks: list[engine.Rewriter] = []
    make = engine.Rewriter.__post_init__

    def remember(self: engine.Rewriter) -> None:
        make(self)
        walks.append(self)

    monkeypatch.setattr(engine.Rewriter, "__post_init__", remember)
    for seed in range(60):
        optimise(Builder(4000 + seed, exact=seed % 2 == 0).grow(30), FAST_RUN)
    assert walks and not [w.cycles for w in walks if w.cycles]
    assert all(w._budget > 0 for w in walks)


def test_nothing_given_is_changed() -> None:
    for seed in range(20):
        builder = Builder(5000 + seed, exact=False)
        outputs = builder.grow(25)
        nodes = {v.owner for v in ancestors(outputs) if v.owner is not None}
        before = {n: (n.op, list(n.inputs), list(n.outputs), n.origins) for n in nodes}
        names = {v: v.name for v in ancestors(outputs)}
        optimise(outputs, FAST_RUN)
        stabilise(outputs, list(builder.values))
        assert before == {n: (n.op, n.inputs, n.outputs, n.origins) for n in nodes}
        assert names == {v: v.name for v in names}


@pytest.mark.parametrize("seed", range(40))
def test_stabilise_agrees(seed: int) -> None:
    builder = Builder(6000 + seed, exact=False)
    outputs = builder.grow(25)
    keep = [v for i, v in enumerate(ancestors(outputs)) if i % 7 == 3]
    new = stabilise(outputs, keep)
    check_types(outputs, new)
    scale = largest(outputs, builder.values)
    want, got = evaluate(outputs, builder.values), evaluate(new, builder.values)
    assert all(close(a, b, scale) for a, b in zip(want, got, strict=True))


def test_the_comparison_notices_a_wrong_rule(monkeypatch: pytest.MonkeyPatch) -> None:
    """A planted -(-x) -> -x must be found by the exact test within a few graphs."""

    @engine.rule_function("planted", "neg", tags=("fast_run",))
    def wrong(node: Any, _rewriter: Any) -> Any:
        inner = node.inputs[0].owner
        return neg(inner.inputs[0]) if inner is not None and inner.op == neg else None

    monkeypatch.setattr(pipeline, "CANONICAL", [wrong, *pipeline.CANONICAL])
    monkeypatch.setattr(pipeline, "SWITCHABLE", [wrong, *pipeline.SWITCHABLE])
    pipeline.phases.cache_clear()
    try:
        caught = 0
        for seed in range(60):
            builder = Builder(seed, exact=True)
            outputs = builder.grow(25)
            new = optimise(outputs, FAST_RUN.excluding("stabilize", "local_pow_specialize"))
            want, got = (evaluate(g, builder.values) for g in (outputs, new))
            caught += any(not same_exactly(a, b) for a, b in zip(want, got, strict=True))
        assert caught
    finally:
        pipeline.phases.cache_clear()


def test_leaves_are_shared_with_the_given_graph() -> None:
    x, y = T.dvectors("x", "y")
    a, b, c = optimise([x, x * 1, x + y], FAST_RUN)
    assert a is x and b is x
    assert c.owner is not None and c.owner.inputs == [x, y]
