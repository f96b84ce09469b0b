"""The walk itself: merging, fixpoints, cycles, depth, names and origins; and the matcher."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import pytest
from structure import FAST_RUN, ops_of, rewritten_ops, same_graph

import jitgraph.tensor as T
from jitgraph import shared
from jitgraph.config import change_flags
from jitgraph.graph import Apply, Constant, TensorType, Variable, toposort
from jitgraph.op import Op
from jitgraph.ops.arithmetic import neg
from jitgraph.ops.math import cos, exp, sin
from jitgraph.reference import evaluate
from jitgraph.rewrite.engine import Rewriter, RewriteWarning, Rule, RuleSet, Table, rule_function
from jitgraph.rewrite.pattern import A, B, C, Match, Wild, X, builder, law, match_node
from jitgraph.rewrite.pipeline import optimise, stabilise

x, y = T.dvectors("x", "y")


class TwoOutputs(Op):
    """Both halves of nothing in particular: an op with two outputs."""

    def make_node(self, a: Any) -> Apply:
        return Apply(self, [a], [a.type.make_variable(), a.type.make_variable()])

    def evaluate(self, *arrays: np.ndarray) -> tuple[np.ndarray, ...]:
        return arrays[0] + 1, arrays[0] + 2


class Draw(Op):
    """Stands for a random draw: equal inputs give equal draws, constants are not evaluated."""

    foldable = False

    def make_node(self, a: Any) -> Apply:
        return Apply(self, [a], [a.type.make_variable()])

    def evaluate(self, *arrays: np.ndarray) -> tuple[np.ndarray, ...]:
        return (arrays[0] * 7,)


def walk(
    outputs: list[Variable], *rules: Rule, merge: bool = True
) -> tuple[Rewriter, list[Variable]]:
    rewriter = Rewriter((RuleSet(rules),), Table(merge=merge))
    return rewriter, rewriter.run(outputs)


# -- merging -----------------------------------------------------------------------------------


def test_equal_nodes_become_one() -> None:
    a, b = optimise([T.exp(x) + y, T.exp(x) + y], FAST_RUN)
    assert a is b
    assert rewritten_ops(T.exp(x) * T.sin(T.exp(x)), T.exp(x)) == ["exp", "mul", "sin"]


def test_merging_can_be_switched_off() -> None:
    mode = FAST_RUN.excluding("merge")
    a, b = optimise([T.exp(x), T.exp(x)], mode)
    assert a is not b


def test_leaves_are_never_equal() -> None:
    other = T.dvector("x")
    first, second = shared(np.zeros(2), name="w"), shared(np.zeros(2), name="w")
    a, b, c, d = optimise([T.exp(x), T.exp(other), T.exp(first), T.exp(second)], FAST_RUN)
    assert len({a, b, c, d}) == 4


def test_constants_are_told_apart_by_dtype_shape_and_bytes() -> None:
    def const(value: Any, dtype: str = "float64") -> Constant:
        return T.constant(np.asarray(value, dtype))

    table = Table()
    assert table.leaf(const(1.5)) is table.leaf(const(1.5))
    assert table.leaf(const(np.nan)) is table.leaf(const(np.nan))
    assert table.leaf(const(0.0)) is not table.leaf(const(-0.0))
    assert table.leaf(const(1)) is not table.leaf(const(1, "float32"))
    assert table.leaf(const(1, "bool")) is not table.leaf(const(1, "int8"))
    assert table.leaf(const([1.0, 2.0])) is not table.leaf(const([[1.0, 2.0]]))
    x_minus, x_plus = optimise([x * const(-0.0), x * const(0.0)], FAST_RUN)
    data = {x: np.ones(1)}
    assert np.signbit(evaluate([x_minus], data)[0]) and not np.signbit(evaluate([x_plus], data)[0])


def test_an_op_with_two_outputs_is_merged_whole() -> None:
    a, b = TwoOutputs()(x * 1)
    c, d = TwoOutputs()(x)
    new = optimise([a, b, c, d, a + d], FAST_RUN)
    assert new[0] is new[2] and new[1] is new[3] and new[0] is not new[1]
    assert new[0].owner is not None and new[0].owner.inputs == [x]
    assert evaluate([new[4]], {x: np.zeros(1)})[0] == 3


def test_draws_stay_unless_their_inputs_are_the_same() -> None:
    state = shared(np.ones(2), name="state")
    other = shared(np.ones(2), name="state")
    a, b, c = optimise([Draw()(state), Draw()(other), Draw()(state)], FAST_RUN)
    assert a is c and a is not b
    assert rewritten_ops(Draw()(T.constant(np.ones(2)))) == ["Draw"]


def test_twins_of_different_types_are_kept_apart() -> None:
    one = T.constant(np.ones(1))
    wide = TensorType("float64", (False,)).make_constant(np.ones(1))
    a, b = optimise([x + one, x + wide], FAST_RUN)
    assert a.type == b.type and a.owner is not b.owner


def test_types_are_kept_even_where_more_is_known() -> None:
    n = T.lscalar("n")
    row = T.alloc(1.0, n * 0 + 1, 3)
    (new,) = optimise([T.alloc(x[0], T.constant(np.int64(2)) - 1, 3)], FAST_RUN)
    assert new.type.broadcastable == (False, False) == row.type.broadcastable
    (summed,) = optimise(
        [(T.alloc(x[0], T.constant(np.int64(2)) - 1, 3) + 1).sum(axis=0)], FAST_RUN
    )
    assert evaluate([summed], {x: np.ones(1)})[0].tolist() == [2, 2, 2]


# -- the walk ------------------------------------------------------------------------------------


def _replace(name: str, key: str, by: Any) -> Rule:
    @rule_function(name, key, tags=("t",))
    def rule(node: Apply, _rewriter: Rewriter) -> Variable | None:
        return by(node.inputs[0])

    return rule


def test_a_replacement_is_rewritten_in_turn() -> None:
    rewriter, (new,) = walk([exp(x)], _replace("e->s", "exp", sin), _replace("s->c", "sin", cos))
    assert ops_of([new]) == ["cos"]
    assert rewriter.log == ["e->s", "s->c"]


def test_rules_that_undo_each_other_stop() -> None:
    rewriter, (new,) = walk([exp(x) + y], _replace("a", "exp", sin), _replace("b", "sin", exp))
    assert rewriter.cycles
    assert ops_of([new]) in (["add", "exp"], ["add", "sin"])


def test_a_rule_that_grows_the_graph_for_ever_stops() -> None:
    rewriter, (new,) = walk([exp(x)], _replace("grow", "exp", lambda a: exp(sin(a))))
    assert rewriter.fired < 2000
    assert "exp" in ops_of([new])


def test_a_rule_that_fails_is_left_out() -> None:
    def fail(_a: Any) -> Any:
        raise ZeroDivisionError("no")

    rule = _replace("faulty", "exp", fail)
    with pytest.warns(RewriteWarning, match=r"'faulty' failed on exp \(test_engine.py:\d+\).*no"):
        _, (same,) = walk([expression := exp(x)], rule)
    assert same is expression
    with change_flags(on_opt_error="ignore"):
        assert walk([expression], rule)[1] == [expression]
    with change_flags(on_opt_error="raise"), pytest.raises(ZeroDivisionError):
        walk([expression], rule)


def test_what_fires_is_printed_on_request(capsys: pytest.CaptureFixture[str]) -> None:
    with change_flags(optimizer_verbose=True):
        optimise([T.log(1 + x)], FAST_RUN)
    assert "rewrite: log(1 + x) -> log1p(x)\n" in capsys.readouterr().out


def test_a_replacement_of_another_type_is_brought_to_it() -> None:
    f = T.fvector("f")
    _, (new,) = walk([exp(f)], _replace("wide", "exp", lambda a: sin(T.cast(a, "float64"))))
    assert new.type == f.type
    col = T.dcol("col")
    keep = exp(T.dmatrix("m") + col)
    _, (same,) = walk([keep], _replace("narrow", "exp", lambda a: sin(col)))
    assert same is keep  # the replacement would have to be stretched: it does not apply


def test_nothing_to_do_gives_the_same_objects() -> None:
    outputs = [T.exp(x) + y, T.dot(x, y), x]
    for new, old in zip(optimise(outputs, FAST_RUN), outputs, strict=True):
        assert new is old


def test_names_move_to_replacements() -> None:
    product = x * 1
    product.name = "product"
    total = T.log(1 + T.exp(x))
    total.name = "total"
    a, b = optimise([product, total], FAST_RUN)
    assert a is x and x.name == "x"  # an input keeps its own name
    assert b.name == "total"


def test_origins_of_everything_that_is_replaced_are_kept() -> None:
    s = T.nnet.sigmoid(x)
    inner = 1 - s
    outer = T.log(inner)
    (new,) = optimise([outer], FAST_RUN.excluding("local_1msigmoid"))
    lines = {line for _file, line in new.owner.origins}
    assert lines == {v.owner.origins[0][1] for v in (s, inner, outer)}


def test_depth_of_five_thousand() -> None:
    z: Any = x
    for _ in range(5000):
        z = neg(neg(T.tanh(z * 1)))
    (new,) = optimise([z], FAST_RUN)
    assert len(toposort([new])) == 5000
    (stable,) = stabilise([z], [x])
    # only the pairs of minus signs are gone; the number 1 is one node for all
    assert len(toposort([stable])) == 10001


def test_ten_thousand_nodes(capsys: pytest.CaptureFixture[str]) -> None:
    """The time is printed (pytest -s), not asserted; growth must be linear in the firings."""
    rng = np.random.default_rng(0)
    pool: list[Any] = [x, y]
    functions = [T.add, T.mul, lambda a, b: T.exp(-a) / (1 + b), lambda a, b: T.log(1 + a * a) - b]
    for _ in range(4000):
        a, b = rng.integers(max(0, len(pool) - 100), len(pool), 2)
        pool.append(functions[rng.integers(4)](pool[a], pool[b]))
    n = len(toposort(pool[-100:]))
    log: list[str] = []
    start = time.perf_counter()
    new = optimise(pool[-100:], FAST_RUN, log)
    elapsed = time.perf_counter() - start
    with capsys.disabled():
        print(f" {n} nodes, {len(log)} firings: {elapsed:.2f} s ", end="")
    assert n > 9000 and len(toposort(new)) <= n
    assert len(log) < 2 * n


# -- the matcher -----------------------------------------------------------------------------------


add, mul, log = builder("add"), builder("mul"), builder("log")


def matches(pattern: Any, v: Any) -> dict[str, Variable] | None:
    rewriter = Rewriter((), Table())
    (normal,) = rewriter.run([v])
    m = Match(rewriter)
    return {n: m[n] for n in m.bound} if match_node(pattern, normal.owner, m) else None


def test_operands_match_in_either_order() -> None:
    assert matches(X + 1, x + 1) == {"x": x} == matches(X + 1, 1 + x)
    assert matches(1 - X, 1 - x) == {"x": x}
    assert matches(1 - X, x - 1) is None
    found = matches(builder("exp")(A) * builder("sin")(B), T.sin(y) * T.exp(x))
    assert found == {"a": x, "b": y}


def test_a_name_stands_for_one_variable() -> None:
    e = builder("exp")
    assert matches(e(X) / (1 + e(X)), T.exp(x) / (T.exp(x) + 1)) == {"x": x}
    assert matches(e(X) / (1 + e(X)), T.exp(x) / (T.exp(y) + 1)) is None
    assert matches(e(X) / (1 + e(X)), T.exp(T.sin(x)) / (1 + T.exp(T.sin(x)))) is not None


def test_constants_with_a_condition() -> None:
    rule = law("c", C * X, X, tags=("t",), when=lambda m: bool(m["c"].data > 2))  # type: ignore[attr-defined]
    three, one = T.constant(np.full(1, 3.0)), T.constant(np.full(1, 1.0))
    assert walk([three * x], rule)[0].fired == 1
    assert walk([one * x], rule)[0].fired == 0
    assert walk([y * x], rule)[0].fired == 0
    assert Wild("c", constant=True).makers() == frozenset()


def test_hidden_conversions() -> None:
    """float32 -> float64 between two functions may be passed over, int8 -> int16 may not."""
    f = T.fvector("f")
    widened = T.log(T.cast(T.nnet.sigmoid(f), "float64"))
    assert matches(log(builder("sigmoid")(X)), widened) == {"x": f}
    b, h = T.bvector("b"), T.wvector("h")
    assert matches(A - builder("neg")(B), h - neg(b)) is None
    (new,) = optimise([h - neg(b)], FAST_RUN)
    data = {b: np.array([-128], "int8"), h: np.array([0], "int16")}
    assert evaluate([new], data)[0] == evaluate([h - neg(b)], data)[0] == 128


def test_bound_operands_are_converted_as_the_function_reads_them() -> None:
    b = T.bvector("b")
    found = matches(builder("sigmoid")(X), T.nnet.sigmoid(b))
    assert found is not None and found["x"].type.dtype == "float32"


def test_kept_variables_are_not_looked_into() -> None:
    s = T.exp(x)
    form = T.log(s)
    rule = law("log(exp(x)) -> x", log(builder("exp")(X)), X, tags=("t",))
    kept = Rewriter((RuleSet([rule]),), Table(), keep={s})
    assert kept.run([form]) == [form] and not kept.fired
    assert same_graph(walk([form], rule)[1][0], x)
