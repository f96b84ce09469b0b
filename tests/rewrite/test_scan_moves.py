"""Work that leaves loops: before them, after them, and sums of products as one product."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from loops import Rewritten, agree
from structure import FAST_RUN

import jitgraph
import jitgraph.tensor as T
from jitgraph.graph import Variable
from jitgraph.ops.scan import Body, Rows, Scan, Trace
from jitgraph.reference import evaluate
from jitgraph.rewrite.scan_rules import PUSH_FIXED, PUSH_RESULTS, PUSH_ROWS, PUSH_SUMS

x = T.dvector("x")
m, w, u, b0 = T.dmatrices("m", "w", "u", "b0")
t3 = T.dtensor3("t3")
h = T.dvector("h")
s = T.dscalar("s")
n = T.lscalar("n")
labels = T.lvector("labels")

rng = np.random.default_rng(11)
VALUES: dict[Variable, Any] = {
    x: rng.normal(size=6),
    m: rng.normal(size=(6, 4)),
    t3: rng.normal(size=(6, 3, 4)),
    w: rng.normal(size=(4, 4)),
    u: rng.normal(size=(4, 5)),
    b0: rng.normal(size=(3, 4)),
    h: rng.normal(size=4),
    s: np.float64(0.3),
    n: np.int64(4),
    labels: np.array([0, 3, 1, 1, 2, 0]),
}


def loop(fn: Any, *args: Any, **more: Any) -> Any:
    return jitgraph.scan(fn, *args, **more)[0]


# -- the same at every step ----------------------------------------------------------------------


def test_what_no_step_changes_is_computed_once() -> None:
    out = loop(
        lambda p, w: T.tanh(T.dot(p, T.dot(w, w)) * T.exp(w[0])),
        outputs_info=h,
        non_sequences=w,
        n_steps=n,
    )
    new = agree([out], VALUES)
    assert new.inside() == ["Dot", "mul", "tanh"]
    assert PUSH_FIXED.name in new.rules


def test_free_views_stay_inside() -> None:
    out = loop(
        lambda p, w: T.tanh(T.dot(p, w.T) + w[1]), outputs_info=h, non_sequences=w, n_steps=n
    )
    assert PUSH_FIXED.name not in agree([out], VALUES).rules


def test_a_loop_in_a_loop_that_no_step_changes_is_run_once() -> None:
    def outer(p: Variable, h: Variable) -> Variable:
        return T.tanh(p + loop(lambda a, q: T.sin(a + q), h, T.zeros(())[()])[-1])

    out = loop(outer, outputs_info=s, non_sequences=h, n_steps=n)
    new = agree([out], VALUES)
    assert all("Scan" not in new.inside(i) for i in range(len(new.scans)))


# -- before the loop -----------------------------------------------------------------------------

PRODUCTS = {
    "row and matrix": lambda p: loop(lambda r, p, w: T.tanh(p + T.dot(r, w)), m, p, w),
    "matrix and row": lambda p: loop(lambda r, p, w: T.tanh(p + T.dot(w, r)), m, p, w),
    "row and vector": lambda p: loop(lambda r, p, h: T.tanh(p + T.dot(r, h)), m, p, h),
    "vector and row": lambda p: loop(lambda r, p, h: T.tanh(p + T.dot(h, r)), m, p, h),
    "rows and matrix": lambda p: loop(lambda r, p, w: T.tanh(p + T.dot(r, w).sum()), t3, p, w),
    "rows and vector": lambda p: loop(lambda r, p, h: T.tanh(p + T.dot(r, h).sum()), t3, p, h),
    "matrix and rows": lambda p: loop(lambda r, p, w: T.tanh(p + T.dot(w, r.T).sum()), t3, p, w),
    "vector and rows": lambda p: loop(lambda r, p, h: T.tanh(p + T.dot(h, r.T).sum()), t3, p, h),
    "function of a row": lambda p: loop(
        lambda r, p, w: T.tanh(p + T.dot(T.exp(r * 2), w)), m, p, w
    ),
    "rows from behind": lambda p: loop(
        lambda r, p, w: T.tanh(p + T.dot(r, w)), m, p, w, go_backwards=True
    ),
    "rows at an offset": lambda p: loop(
        lambda r, q, p, w: T.tanh(p + T.dot(r * q, w)), {"input": m, "taps": [-1, 2]}, p, w
    ),
    "embedding": lambda p: loop(
        lambda i, p, w, u: T.tanh(p + T.dot(w[i], u[:, :4])), labels, p, [w, u]
    ),
    "softmax": lambda p: loop(
        lambda r, p, w: T.tanh(p + T.nnet.softmax(T.dot(r, w)).sum(axis=0)), t3, p, w
    ),
}


@pytest.mark.parametrize("name", PRODUCTS)
def test_products_over_a_sequence_are_one(name: str) -> None:
    new = agree([PRODUCTS[name](h)], VALUES, ulp=64)
    assert PUSH_ROWS.name in new.rules
    assert "Dot" not in new.inside() and "Dot" in new.outside()


def test_arithmetic_with_what_is_fixed_stays_inside() -> None:
    out = loop(lambda r, p, w, h: T.tanh(p + (T.dot(r, w) + h)), m, h, [w, h])
    new = agree([out], VALUES, ulp=64)
    assert new.inside() == ["add", "add", "tanh"]


def test_dear_functions_of_rows_are_one_loop() -> None:
    out = loop(lambda r, q, p: T.sin(p + T.exp(r) * q), [x, x * 2], s)
    new = agree([out], VALUES)
    assert "exp" in new.outside() and "exp" not in new.inside()


def test_cheap_functions_of_rows_stay() -> None:
    out = loop(lambda r, p: T.sin(p + r * 2), x, s)
    assert PUSH_ROWS.name not in agree([out], VALUES).rules


def test_rows_read_in_both_directions_are_not_mixed() -> None:
    a, c, p = T.dscalars("a", "c", "p")
    op = Scan(
        Body((a, c, p), (T.tanh(p + T.exp(a * c) + T.exp(a) + T.exp(c)),)),
        [Rows(), Rows(0, True)],
        [(1,)],
        [Trace()],
    )
    out = op.make_node(n, x, x, s.dimshuffle("x")).outputs[0]
    new = agree([out], VALUES)
    assert new.inside().count("exp") == 1


def test_a_short_sequence_is_still_an_error() -> None:
    out = loop(lambda r, p, w: T.tanh(p + T.dot(r, w)), m, h, w, n_steps=9, name="short")
    new = Rewritten([out])
    assert PUSH_ROWS.name in new.rules
    with pytest.raises(ValueError, match=r"scan\{short\}.*m\[t\].*6 rows, and 9 steps"):
        evaluate(new.outputs, VALUES)


# -- after the loop ------------------------------------------------------------------------------


def test_products_of_results_are_one() -> None:
    outs = loop(
        lambda p, w, u: (T.tanh(T.dot(p, w)), T.nnet.softmax(T.dot(p, u))[0]),
        outputs_info=[h, None],
        non_sequences=[w, u],
        n_steps=n,
    )
    y = loop(
        lambda p, w, u: (q := T.tanh(T.dot(p, w)), T.nnet.softmax(T.dot(q, u))[0]),
        outputs_info=[h, None],
        non_sequences=[w, u],
        n_steps=n,
    )
    new = agree(y, VALUES, ulp=64)
    assert PUSH_RESULTS.name in new.rules and new.inside() == ["Dot", "tanh"]
    # also if nobody else reads the trace of the state
    new = agree(y[1:], VALUES, ulp=64)
    assert new.inside() == ["Dot", "tanh"] and new.scan.op.n_maps == 0
    # what is read by the step before stays a map
    agree(outs, VALUES, ulp=64)


def test_only_the_last_rows_are_multiplied() -> None:
    y = loop(
        lambda p, w, u: (q := T.tanh(T.dot(p, w)), T.dot(q, u)),
        outputs_info=[h, None],
        non_sequences=[w, u],
        n_steps=n,
    )
    new = agree([y[1][-1]], VALUES, ulp=64)
    assert new.scan.op.traces == (Trace(1),) and new.inside() == ["Dot", "tanh"]
    with pytest.raises(IndexError):
        evaluate(new.outputs, VALUES | {n: np.int64(0)})


def test_elementwise_results_of_traces_leave() -> None:
    outs = loop(lambda r, p: (q := T.tanh(p + r), T.exp(q) * r, q * q), x, [s, None, None])
    assert agree(outs, VALUES).inside() == ["add", "tanh"]


def test_dear_work_that_the_loop_does_anyway_is_not_done_again() -> None:
    """exp(p) is needed for the next state, and is kept rather than computed once more."""
    outs = loop(lambda r, p: (T.sin(e := T.exp(p)) + r, e * 2), x, [s, None])
    new = agree(outs, VALUES)
    assert new.outside().count("exp") == 0


def test_a_loop_of_maps_alone_vanishes() -> None:
    outs = loop(lambda r, w: (T.dot(r, w), T.exp(r).sum(), r[1:]), m, non_sequences=w)
    new = agree(outs, VALUES, ulp=64)
    assert new.scans == []
    empty = VALUES | {m: np.zeros((0, 4))}
    assert [v.shape for v in evaluate(new.outputs, empty)] == [(0, 4), (0,), (0, 3)]


def test_but_not_if_its_sequence_may_be_short() -> None:
    out = loop(lambda r: T.exp(r) * 2, x, n_steps=9)
    new = Rewritten([out])
    with pytest.raises(ValueError, match="6 rows, and 9 steps"):
        evaluate(new.outputs, VALUES)


def test_fixed_results_leave() -> None:
    outs = loop(
        lambda p, h: (T.tanh(p + h), T.exp(h)), outputs_info=[h, None], non_sequences=h, n_steps=n
    )
    new = agree(outs, VALUES)
    assert new.scan.op.n_maps == 0


def test_reversed_results_of_reversed_rows() -> None:
    a, p = T.dscalars("a", "p")
    op = Scan(
        Body((a, p), (T.tanh(p + a), T.exp(a))),
        [Rows(1, True)],
        [(1,)],
        [Trace(), Trace(reversed=True)],
    )
    outs = op.make_node(n, x, s.dimshuffle("x")).outputs[:2]
    assert agree(outs, VALUES).scan.op.n_maps == 0


def test_results_of_steps_that_were_not_done() -> None:
    """Rows behind the last step are zero, which exp of a zero row is not."""
    p = T.dscalar("p")
    op = Scan(Body((p,), (q := p * 2, T.exp(q), T.gt(q, 1))), [], [(1,)], [Trace()] * 2, until=True)
    traces = op.make_node(n, s.dimshuffle("x")).outputs
    whole = agree([traces[0], traces[1]], VALUES)
    assert whole.scan.op.n_maps == 1
    cut = agree([traces[0][: traces[3]], traces[1][: traces[3]]], VALUES)
    assert cut.scan.op.n_maps == 0


# -- sums of products ----------------------------------------------------------------------------


def summing(step: Any, sequences: Any, start: Any, *fixed: Any) -> Any:
    return loop(lambda *a: step(*a), sequences, start, list(fixed))[-1]


SUMS = {
    "outer": lambda: summing(lambda r, q, acc: acc + T.outer(r, q), [m, t3[:, 0]], w),
    "outer, subtracted": lambda: summing(lambda r, q, acc: acc - T.outer(r, q), [m, t3[:, 0]], w),
    "outer, first": lambda: summing(lambda r, q, acc: T.outer(r, q) + acc, [m, t3[:, 0]], w),
    "matrices": lambda: summing(lambda r, acc: acc + T.dot(r.T, r * 2), t3, w),
    "matrices, not transposed": lambda: summing(
        lambda r, acc: acc + T.dot(T.sqr(r), r.T), t3, T.dot(b0, b0.T)
    ),
    "transposed product": lambda: summing(lambda r, acc: acc + T.dot(r.T, r * 2).T, t3, w),
    "two products": lambda: summing(
        lambda r, acc: acc + (T.dot(r.T, r) - T.outer(r[0], r[1])), t3, w
    ),
    "with a rest": lambda: summing(lambda r, acc, w: acc + T.dot(r.T, r) - w * r[0], t3, w, w),
}


@pytest.mark.parametrize("name", SUMS)
def test_sums_of_products_are_one_product(name: str) -> None:
    out = SUMS[name]()
    new = agree([out], VALUES, ulp=64)
    assert PUSH_SUMS.name in new.rules
    assert all("Dot" not in new.inside(i) for i in range(len(new.scans)))


def test_a_sum_of_what_states_are_made_of() -> None:
    outs = loop(
        lambda r, p, acc, w: (q := T.tanh(T.dot(p, w) + r), acc + T.outer(q, r)), m, [h, w], w
    )
    new = agree([outs[0], outs[1][-1]], VALUES, ulp=64)
    assert PUSH_SUMS.name in new.rules and new.scan.op.lags == ((1,),)
    empty = VALUES | {m: np.zeros((0, 4))}
    final = agree([outs[1].owner.outputs[-1]], empty)
    assert evaluate(final.outputs, empty)[0].shape == (1, 4, 4)


@pytest.mark.parametrize(
    "step",
    [
        lambda r, acc: acc + T.outer(r, T.dot(r, acc)),
        lambda r, acc: acc * 0.5 + T.outer(r, r),
        lambda r, acc: T.outer(r, r) - acc,
        lambda r, acc: acc + acc + T.outer(r, r),
        lambda r, acc: acc + r * 2,
    ],
)
def test_other_sums_stay(step: Any) -> None:
    out = loop(step, m, w)[-1]
    assert PUSH_SUMS.name not in agree([out], VALUES).rules


def test_sums_that_are_read_on_the_way_stay() -> None:
    out = loop(lambda r, acc: acc + T.outer(r, r), m, w)
    assert PUSH_SUMS.name not in agree([out], VALUES).rules


# -- all together --------------------------------------------------------------------------------


def lstm(steps: Any, *p: Any) -> Any:
    def step(r: Variable, q: Variable, c: Variable, *p: Variable) -> Any:
        i, f, o, g = (T.dot(r, a) + T.dot(q, b) for a, b in zip(p[:4], p[4:], strict=True))
        c = T.nnet.sigmoid(f) * c + T.nnet.sigmoid(i) * T.tanh(g)
        return T.nnet.sigmoid(o) * T.tanh(c), c

    return loop(step, steps, [b0, b0 * 0], list(p))


def test_the_gradient_of_an_lstm() -> None:
    """Two loops: four products a step forwards and four backwards, none with the inputs."""
    p = T.dmatrices(*(f"p{i}" for i in range(8)))
    out, _ = lstm(t3, *p)
    cost = T.sqr(out[-1]).sum()
    values = VALUES | {v: rng.normal(size=(4, 4)) for v in p}
    new = agree([cost, *T.grad(cost, [*p, t3, b0])], values, ulp=256)
    products = [[n for n in new.inside(i) if n in ("Dot", "Gemm")] for i in range(len(new.scans))]
    assert [len(p) for p in products] == [4, 4]
    assert {PUSH_SUMS.name, PUSH_ROWS.name} <= new.rules


def test_the_moves_are_switched_by_theanos_names() -> None:
    out = loop(lambda r, p, w: T.tanh(p + T.dot(r, w)), m, h, w)
    mode = FAST_RUN.excluding("scanOp_pushout_seqs_ops")
    assert "Dot" in agree([out], VALUES, mode=mode).inside()
