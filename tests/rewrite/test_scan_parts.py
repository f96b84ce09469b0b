"""Bodies, and the parts of loops: constant, equal, unused, trivial, or read at the end only."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import pytest
from loops import Rewritten, agree, op_names
from structure import FAST_RUN

import jitgraph
import jitgraph.tensor as T
from jitgraph.graph import Constant, TensorType, Variable
from jitgraph.ops.scan import Body, Rows, Scan, Trace
from jitgraph.reference import evaluate
from jitgraph.rewrite.scan_rules import CLEAN, EQUAL, INLINE, MERGE, RULES, SAVE

x, y = T.dvectors("x", "y")
m = T.dmatrix("m")
h, k = T.dvectors("h", "k")
s = T.dscalar("s")
n = T.lscalar("n")

rng = np.random.default_rng(7)
VALUES: dict[Variable, Any] = {
    x: rng.normal(size=6),
    y: rng.normal(size=6),
    m: rng.normal(size=(6, 4)),
    h: rng.normal(size=4),
    k: rng.normal(size=4),
    s: np.float64(0.3),
    n: np.int64(4),
}


def loop(fn: Any, *args: Any, **more: Any) -> Any:
    return jitgraph.scan(fn, *args, **more)[0]


def closed(
    body_inputs: list[Any],
    body_outputs: list[Any],
    given: list[Any],
    sequences: Any = (),
    lags: Any = (),
    until: bool = False,
    reverse: bool = False,
) -> Any:
    """A loop made by hand: every trace is kept, in the order of the steps or backwards."""
    traces = [Trace(reversed=reverse)] * (len(body_outputs) - until)
    op = Scan(Body(tuple(body_inputs), tuple(body_outputs)), sequences, lags, traces, until)
    return op.make_node(*given).outputs


# -- the tester --------------------------------------------------------------------------------


def test_a_wrong_rewrite_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    from jitgraph.rewrite import scan_inputs

    def wrong(loop: Any, values: Any) -> Any:
        return {v: v * 2 for part in loop.kept for v in part.old_traces}

    monkeypatch.setattr(scan_inputs, "inline", wrong)
    with pytest.raises(AssertionError, match="Arrays are not equal"):
        agree([loop(lambda a: a + 1, x)], VALUES)


# -- the body ----------------------------------------------------------------------------------


def test_the_body_is_rewritten_by_the_rules_of_the_mode() -> None:
    out = loop(lambda a, b: T.log(T.exp(a * 1) * 1) + b**2, x, s)
    assert agree([out], VALUES, ulp=2).inside() == ["add", "sqr"]


def test_bodies_in_bodies_are_rewritten() -> None:
    def row(r: Variable, acc: Variable) -> Variable:
        return loop(lambda a, b: b * a * 1 + 0, r, T.ones_like(acc[0]))[-1] + acc

    out = loop(row, m, T.zeros((1,)))
    new = agree([out], VALUES)
    (inner,) = [v.owner for v in all_of(new.scan.op.body.outputs) if is_scan(v)]
    assert op_names(inner.op.body.outputs) == ["mul"]


def all_of(outputs: Any) -> list[Variable]:
    from jitgraph.graph import toposort

    return [node.outputs[0] for node in toposort(outputs)]


def is_scan(v: Variable) -> bool:
    return v.owner is not None and isinstance(v.owner.op, Scan)


def test_results_of_the_body_are_variables_of_their_own() -> None:
    row, lag = T.dscalar("row"), T.dscalar("lag")
    traces = closed([row, lag], [row, lag + row], [n, x, s.dimshuffle("x")], [Rows()], [(1,)])
    new = agree(traces, VALUES)
    outputs = new.scan.op.body.outputs
    assert len(set(outputs)) == len(outputs)
    assert all(v.owner is not None for v in outputs)


def test_time_does_not_depend_on_steps_and_grows_with_the_body() -> None:
    def seconds(size: int, steps: int) -> float:
        def step(a: Variable) -> Variable:
            for i in range(size):
                a = T.tanh(a * (1 + i * 0.001))
            return a

        out = loop(step, outputs_info=s, n_steps=steps)
        times = []
        for _ in range(3):
            start = time.perf_counter()
            Rewritten([out])
            times.append(time.perf_counter() - start)
        return min(times)

    few = seconds(100, 10)
    assert seconds(100, 10**9) < 3 * few
    assert seconds(400, 10) < 12 * few  # 4 if linear, 16 if quadratic


# -- constant parts ----------------------------------------------------------------------------


def test_small_constants_go_into_the_body() -> None:
    a, c = T.dscalars("a", "c")
    (out,) = closed([a, c], [a * c], [n, x, T.constant(np.float64(2.0))], [Rows()])
    new = agree([out], VALUES, mode=FAST_RUN.excluding("scanOp_pushout_output"))
    assert len(new.scan.inputs) == 2 and CLEAN.name in new.rules


def test_rows_that_are_all_equal_go_into_the_body() -> None:
    lag, a = T.dvector("lag"), T.dvector("a")
    same = T.alloc(s, n, 4)
    traces = closed([a, lag], [T.tanh(lag) * a], [n, same, h.dimshuffle("x", 0)], [Rows()], [(1,)])
    new = agree(traces[:1], VALUES)
    assert new.scan.op.sequences == ()


def test_equal_rows_of_a_sequence_that_may_be_short_stay() -> None:
    a, lag = T.dscalars("a", "lag")
    out = closed([a, lag], [lag + a], [n, T.ones(3), s.dimshuffle("x")], [Rows()], [(1,)])[0]
    new = Rewritten([out])
    with pytest.raises(ValueError, match="3 rows"):
        evaluate(new.outputs, VALUES)


# -- equal parts -------------------------------------------------------------------------------


def test_equal_inputs_are_one() -> None:
    a, b, lag, f, g = T.dscalars("a", "b", "lag", "f", "g")
    traces = closed(
        [a, b, lag, f, g],
        [T.tanh(lag + a * f + b * g)],
        [n, x, x, s.dimshuffle("x"), s, s],
        [Rows(), Rows()],
        [(1,)],
    )
    new = agree(traces[:1], VALUES)
    assert len(new.scan.inputs) == 4 and EQUAL.name in new.rules


def test_rows_at_other_offsets_are_not_equal() -> None:
    a, b, lag = T.dscalars("a", "b", "lag")
    given = [n, x, x, s.dimshuffle("x")]
    out = closed([a, b, lag], [lag * a + b], given, [Rows(), Rows(2)], [(1,)])
    assert len(agree(out, VALUES).scan.op.sequences) == 2


def test_states_that_go_on_alike_are_one() -> None:
    """Each of the two is fed by the other, which only an induction can see through."""
    p, q, a = T.dscalars("p", "q", "a")
    start = s.dimshuffle("x")
    outs = closed(
        [a, p, q], [T.tanh(q) + a, T.tanh(p) + a], [n, x, start, start], [Rows()], [(1,), (1,)]
    )
    new = agree(outs, VALUES)
    assert new.scan.op.lags == ((1,),)


def test_states_that_part_later_stay_two() -> None:
    """Equal in the first step only: the third state makes the difference after it."""
    p, q, r = T.dscalars("p", "q", "r")
    start = s.dimshuffle("x")
    other = (s + 1).dimshuffle("x")
    outs = closed(
        [p, q, r], [T.tanh(p), T.tanh(q) * r, r], [n, start, start, other], [], [(1,), (1,), (1,)]
    )
    new = agree(outs, VALUES)
    assert len(new.scan.op.lags) == 2


def test_states_with_other_lags_are_joined() -> None:
    """One has lags 1 and 2, the other only 2: the body reads the lags of one."""
    a1, a2, b2 = T.dscalars("a1", "a2", "b2")
    outs = closed([a1, a2, b2], [a1 + a2, a1 + b2], [n, x[:2], x[:2]], [], [(1, 2), (2,)])
    new = agree(outs, VALUES)
    assert new.scan.op.lags == ((1, 2),)


def test_equal_maps_are_one() -> None:
    a, lag = T.dscalars("a", "lag")
    value = T.tanh(lag + a)
    outs = closed(
        [a, lag],
        [value, T.tanh(lag + a), T.sin(lag), T.sin(lag)],
        [n, x, s.dimshuffle("x")],
        [Rows()],
        [(1,)],
    )
    assert len(agree(outs, VALUES).scan.op.traces) == 2


def test_equal_maps_kept_in_other_orders_stay_two() -> None:
    lag = T.dscalar("lag")
    body = Body((lag,), (T.tanh(lag), T.sin(lag), T.sin(lag)))
    op = Scan(body, [], [(1,)], [Trace(), Trace(), Trace(reversed=True)])
    outs = op.make_node(n, s.dimshuffle("x")).outputs
    assert len(agree(outs, VALUES).scan.op.traces) == 3


# -- states that are none ----------------------------------------------------------------------


def test_a_state_that_never_changes_is_none() -> None:
    fixed, lag = T.dvector("fixed"), T.dvector("lag")
    outs = closed(
        [fixed, lag],
        [fixed * 1, T.tanh(lag) * fixed],
        [n, h.dimshuffle("x", 0), k.dimshuffle("x", 0)],
        [],
        [(1,), (1,)],
    )
    new = agree(outs, VALUES)
    assert new.scan.op.lags == ((1,),) and CLEAN.name in new.rules


def test_a_window_that_moves_is_a_state() -> None:
    """x[s] = x[s - 1] with two initial rows: the oldest one is lost in the first step."""
    a, b, lag = T.dscalars("a", "b", "lag")
    outs = closed([a, b, lag], [a, lag + b], [n, x[:2], s.dimshuffle("x")], [], [(1, 2), (1,)])
    agree(outs, VALUES)


def test_what_is_not_fed_back_is_a_map() -> None:
    a, unread, lag = T.dscalars("a", "unread", "lag")
    outs = closed(
        [a, unread, lag],
        [T.sin(lag), T.tanh(lag + a)],
        [n, x, s.dimshuffle("x"), s.dimshuffle("x")],
        [Rows()],
        [(1,), (1,)],
    )
    new = agree(outs[:2], VALUES)
    assert new.scan.op.lags == ((1,),)


# -- unused parts ------------------------------------------------------------------------------


def test_unused_states_maps_and_inputs_go() -> None:
    a, b, p, q, r, f = T.dscalars("a", "b", "p", "q", "r", "f")
    outs = closed(
        [a, b, p, q, r, f],
        [T.tanh(p + a), q + b * f, r + q, T.sin(p)],
        [x.shape[0], x, x, *([s.dimshuffle("x")] * 3), s],
        [Rows(), Rows(0, True)],
        [(1,), (1,), (1,)],
    )
    new = agree(outs[:1], VALUES)
    op = new.scan.op
    assert (len(op.sequences), len(op.lags), op.n_maps) == (1, 1, 0)
    assert len(new.scan.inputs) == 3
    # the third state needs the second, which needs the sequence and the non-sequence
    assert len(agree([outs[2]], VALUES).scan.op.lags) == 2


def test_what_only_an_unused_loop_needs_goes_with_it() -> None:
    first = loop(lambda a, p: p + a, x, s)
    second = loop(lambda a, b, p, q: (p * b, q + a), [first, y], [s, s])
    new = agree([second[0]], VALUES)
    assert len(new.scans) == 1


def test_an_unused_sequence_that_may_be_short_stays() -> None:
    a, lag = T.dscalars("a", "lag")
    out = closed([a, lag], [lag + 1.0], [n, x, s.dimshuffle("x")], [Rows()], [(1,)])[0]
    new = Rewritten([out])
    with pytest.raises(ValueError, match="6 rows, and 9 steps"):
        evaluate(new.outputs, VALUES | {n: np.int64(9)})


# -- no loop -----------------------------------------------------------------------------------


@pytest.mark.parametrize("steps", [0, 1])
@pytest.mark.parametrize("reverse", [False, True])
def test_no_step_or_one_is_no_loop(steps: int, reverse: bool) -> None:
    a, b, p1, p2, q, f = T.dvector("a"), T.dscalar("b"), *T.dvectors("p1", "p2", "q", "f")
    outs = closed(
        [a, b, p1, p2, q, f],
        [p1 + a * b, q * p2 + f, T.outer(a, f)],
        [T.constant(np.int64(steps)), m, x, m[:3], m[1:2], h],
        [Rows(2), Rows(0, True)],
        [(1, 3), (1,)],
        reverse=reverse,
    )
    new = agree(outs, VALUES)
    assert new.scans == [] and new.rules == {INLINE.name}


def test_one_step_with_a_condition() -> None:
    lag = T.dscalar("lag")
    start = s.dimshuffle("x")
    outs = closed(
        [lag], [lag + 1, T.gt(lag, 0)], [T.constant(np.int64(1)), start], [], [(1,)], until=True
    )
    new = agree(outs, VALUES)
    assert new.scans == []


# -- rows that are read ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("reads", "kept"),
    [
        (lambda t: [t[-1]], 1),
        (lambda t: [t[-3]], 3),
        (lambda t: [t[-2:]], 2),
        (lambda t: [t[-1], t[-3:, 1:]], 3),
        (lambda t: [t[-1], t.shape[0]], 1),
        (lambda t: [t[-1, 2]], 1),
        (lambda t: [t], None),
        (lambda t: [t[0]], None),
        (lambda t: [t[-1], t[n - 1]], None),
        (lambda t: [t[::2]], None),
        (lambda t: [t[-2:-1]], None),
        (lambda t: [t[-1], t.sum()], None),
    ],
)
def test_rows_kept(reads: Any, kept: int | None) -> None:
    trace = loop(lambda p: T.tanh(p) * 1.5, outputs_info=h, n_steps=n)
    new = agree(reads(trace), VALUES)
    assert new.scan.op.traces[0].keep == kept
    assert (SAVE.name in new.rules) is (kept is not None)


def test_rows_kept_of_a_map_and_of_too_few_steps() -> None:
    _, out = loop(lambda p: (T.tanh(p), T.sin(p)), outputs_info=[h, None], n_steps=n)
    new = Rewritten([out[-2]])
    assert new.scan.op.traces[1].keep == 2
    few = VALUES | {n: np.int64(1)}
    with pytest.raises(IndexError):
        evaluate([out[-2]], few)
    with pytest.raises(IndexError):
        evaluate(new.outputs, few)


def test_rows_kept_of_a_reversed_trace() -> None:
    lag = T.dscalar("lag")
    given = [n, s.dimshuffle("x")]
    trace = closed([lag], [T.tanh(lag)], given, [], [(1,)], reverse=True)[0]
    new = agree([trace[0], trace[:2]], VALUES)
    assert new.scan.op.traces[0].keep == 2
    assert agree([trace[-1]], VALUES).scan.op.traces[0].keep is None


def test_the_final_window_in_place_of_the_last_row() -> None:
    trace = loop(lambda p: T.tanh(p) * 1.5, outputs_info=h, n_steps=5)
    new = agree([trace[-1], trace[-1:, 1]], VALUES)
    assert all(v.index == 1 for v in new.scan.outputs if v in used(new))


def used(new: Rewritten) -> set[Variable]:
    from jitgraph.graph import ancestors

    return set(ancestors(new.outputs))


def test_the_last_row_of_a_loop_with_a_condition() -> None:
    trace = loop(
        lambda p: (p * 2, jitgraph.scan_module.until(p > 3)),
        outputs_info=T.abs_(s) + 0.1,
        n_steps=20,
    )
    new = agree([trace[-1]], VALUES)
    assert all(v.index != 0 for v in new.scan.outputs if v in used(new))
    agree([trace[-1], trace], VALUES)


# -- loops that are one ------------------------------------------------------------------------


def test_loops_over_the_same_are_one() -> None:
    one = loop(lambda a, p: T.tanh(p + a), x, s)
    two = loop(lambda a, p: (T.tanh(p + a), T.sin(p) * a), x, [s, None])[1]
    three = loop(lambda a, p: p * a, x, T.abs_(s))
    new = agree([one, two, three], VALUES)
    assert new.rules >= {MERGE.name} and len(new.scans) == 1
    assert len(new.scan.op.lags) == 2


def test_loops_that_need_each_other_stay_two() -> None:
    one = loop(lambda a, p: T.tanh(p + a), x, s)
    two = loop(lambda a, b, p: T.tanh(p + a) * b, [x, one], s)
    new = agree([one, two], VALUES)
    assert len(new.scans) == 2 and MERGE.name not in new.rules


def test_loops_that_would_need_each_other_by_way_of_others_stay() -> None:
    """a before d, c before b: after {a, b} are one, c and d cannot be."""
    a = loop(lambda r, p: T.tanh(p + r), x, s)
    c = loop(lambda r, p: T.tanh(p * r), y, s)
    d = loop(lambda r, q, p: T.sin(p) + r * q, [y, a], s)
    b = loop(lambda r, q, p: T.cos(p) + r * q, [x, c], s)
    agree([a, b, c, d], VALUES)


def test_loops_of_other_lengths_or_over_other_things_stay() -> None:
    one = loop(lambda a, p: T.tanh(p + a), x, s)
    two = loop(lambda a, p: T.tanh(p + a), x[:3], s)
    three = loop(lambda a, p: T.tanh(p + a), T.exp(x), s + 1)
    assert len(agree([one, two, three], VALUES).scans) == 3


@pytest.mark.parametrize("same", [True, False])
def test_conditions(same: bool) -> None:
    def step(limit: float) -> Any:
        return lambda p: (p * 2, jitgraph.scan_module.until(p > limit))

    start = T.abs_(s) + 0.1
    one = loop(step(3.0), outputs_info=start, n_steps=n)
    two = loop(
        lambda p: ((p * 2, T.sin(p)), jitgraph.scan_module.until(p > (3.0 if same else 1.0))),
        outputs_info=[start, None],
        n_steps=n,
    )
    values = VALUES | {n: np.int64(12)}
    assert len(agree([one, *two], values).scans) == 1 + (not same)


def test_a_gradient_adds_one_loop() -> None:
    w = T.dmatrix("w")
    trace = loop(lambda a, p, w: T.tanh(T.dot(p, w) + a), m, h, non_sequences=w)
    cost = T.sqr(trace).sum()
    values = VALUES | {w: rng.normal(size=(4, 4))}
    new = agree([cost, *T.grad(cost, [w, h, m])], values, ulp=64)
    assert len(new.scans) == 2


# -- names -------------------------------------------------------------------------------------


@pytest.mark.parametrize("rule", RULES, ids=lambda r: r.name)
def test_theanos_names_switch_single_rewrites(rule: Any) -> None:
    own = sorted(rule.tags - {"fast_run", "fast_compile", "scan", "stabilize"})
    for tag in own:
        assert not FAST_RUN.excluding(tag).selects(rule.tags)
    assert FAST_RUN.selects(rule.tags)


def test_excluding_scan_leaves_loops_as_they_are() -> None:
    trace = loop(lambda a, p, w: T.tanh(p + T.exp(a) * T.exp(w)), x, s, non_sequences=s)
    new = agree([trace[-1]], VALUES, mode=FAST_RUN.excluding("scan"))
    assert new.rules == set()
    assert new.scan.op.traces == (Trace(),) and new.inside().count("exp") == 2


def test_without_rewrites_bodies_are_expanded() -> None:
    """Composite ops have no C of their own."""
    from jitgraph.mode import Mode

    out = loop(lambda a: T.nnet.softmax(a)[0], m)
    assert "Softmax" not in agree([out], VALUES, mode=Mode("c", None), ulp=4).inside()


def test_types_of_constants_inside() -> None:
    c = T.constant(np.ones((1, 1)))
    assert isinstance(c, Constant) and c.type == TensorType("float64", (True, True))
    a, f = T.dmatrix("a"), c.type.make_variable("f")
    out = closed(
        [a, f], [a * f], [T.constant(np.int64(2)) + n, T.tensor3("t", "float64"), c], [Rows()]
    )
    assert Rewritten(out).outputs[0].type == out[0].type
