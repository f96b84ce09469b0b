"""log(scan(sigmoid(x))) is as stable as log(sigmoid(x)): values and gradients."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from loops import Rewritten
from structure import FAST_RUN

import jitgraph
import jitgraph.tensor as T
from jitgraph.graph import Variable
from jitgraph.reference import evaluate
from jitgraph.rewrite.pipeline import stabilise
from jitgraph.rewrite.scan_rules import STABLE

READS = {
    "last": lambda t: t[-1],
    "all": lambda t: t,
    "tail": lambda t: t[1:],
    "tail of tail": lambda t: t[1:][-1],
    "flat": lambda t: t.flatten(),
    "moved": lambda t: t.dimshuffle(1, 0, "x", 2),
}


def gibbs(read: str, by_hand: bool, steps: Any, dtype: str) -> tuple[list[Any], list[Any]]:
    """The cross-entropy of a Gibbs chain with pre-activations of about ±1000, and gradients."""
    w, b, v0 = T.matrix("w", dtype), T.vector("b", dtype), T.matrix("v0", dtype)
    target = T.scalar("target", dtype)

    def step(v: Variable, w: Variable, b: Variable) -> Any:
        hidden = T.nnet.sigmoid(T.dot(v, w))
        pre = T.dot(hidden, w.T) + b
        return pre, T.nnet.sigmoid(pre)

    (pre, mean), _ = jitgraph.scan(
        step, outputs_info=[None, v0], non_sequences=[w, b], n_steps=steps
    )
    mean = T.nnet.sigmoid(READS[read](pre)) if by_hand else READS[read](mean)
    cost = -T.mean(target * T.log(mean) + (1 - target) * T.log(1 - mean))
    return [cost, *T.grad(cost, [w, b])], [w, b, v0, target]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("steps", [3, "n"])
@pytest.mark.parametrize("read", READS)
def test_gibbs_chain(read: str, steps: Any, dtype: str) -> None:
    """With and without the pre-activation passed out by hand: finite, and equal."""
    rng = np.random.default_rng(3)
    arrays = [
        rng.normal(size=(4, 3)).astype(dtype),
        np.array([1e3, -1e3, 1e3, 5], dtype),
        rng.integers(0, 2, (2, 4)).astype(dtype),
        np.asarray(0.25, dtype),
    ]
    n = T.iscalar("n") if steps == "n" else None
    results = []
    for by_hand in (True, False):
        outputs, inputs = gibbs(read, by_hand, steps if n is None else n, dtype)
        values = dict(zip(inputs, arrays, strict=True))
        if n is not None:
            values[n] = np.int32(3)
        new = Rewritten(outputs)
        results.append(evaluate(new.outputs, values))
    for a, b in zip(*results, strict=True):
        assert np.isfinite(a).all() and np.isfinite(b).all()
        # The same functions of the same values; sums over the steps may be associated otherwise.
        np.testing.assert_allclose(a, b, rtol=64 * np.finfo(dtype).eps)
    assert abs(results[0][0]) > 100  # no accident of a harmless chain


def test_the_naive_form_is_infinite() -> None:
    """Without the rewrite, that is: the test above can fail."""
    x = T.dvector("x")
    out, _ = jitgraph.scan(lambda a: T.nnet.sigmoid(a * 1000), x)
    off = Rewritten([T.log(out)], FAST_RUN.excluding("scan_stabilize", "scanOp_pushout_output"))
    on = Rewritten([T.log(out)], FAST_RUN.excluding("scanOp_pushout_output"))
    values = {x: np.array([-1.0, 0.5])}
    with np.errstate(divide="ignore"):
        assert np.isinf(evaluate(off.outputs, values)[0][0])
    assert evaluate(on.outputs, values)[0][0] == -1000.0
    assert on.rules >= {STABLE.name}


def test_softmax_inside_logarithm_outside() -> None:
    x, w = T.dmatrices("x", "w")
    y = T.lvector("y")

    def step(r: Variable, p: Variable, w: Variable) -> Any:
        p = T.tanh(r + p)
        return p, T.nnet.softmax(T.dot(p, w))[0]

    (_, soft), _ = jitgraph.scan(step, x, [x[0] * 0, None], w)
    stacked, _ = jitgraph.scan(lambda r: T.nnet.softmax(r), x)
    values = {
        x: np.array([[1.0, -2.0], [0.3, 0.5]]),
        w: np.array([[1e4, -1e4, 0.0], [2e4, 0.0, 1.0]]),
        y: np.array([1, 2]),
    }
    for output in (T.log(soft), T.log(soft)[T.arange(2), y], T.log(soft[T.arange(2), y])):
        cost = output.sum()
        new = Rewritten([cost, *T.grad(cost, [x, w])])
        assert all(np.isfinite(v).all() for v in evaluate(new.outputs, values))
    flat = T.log(stacked[:, 0, :]).sum()
    big = {x: np.array([[1e5, -1e5], [0.0, 1e6]])}
    (found,) = evaluate(Rewritten([flat]).outputs, big)
    assert found == -1.2e6


def test_a_condition_and_rows_that_were_not_computed() -> None:
    s = T.dscalar("s")

    def step(p: Variable) -> Any:
        q = p * 2
        return (q, T.nnet.sigmoid(q)), jitgraph.scan_module.until(q < -3000)

    (_, out), _ = jitgraph.scan(step, outputs_info=[s, None], n_steps=20)
    new = Rewritten([T.log(out)])
    np.testing.assert_array_equal(
        evaluate(new.outputs, {s: np.float64(-800.0)})[0], [-1600.0, -3200.0]
    )


def test_rows_beyond_the_condition_are_left_alone() -> None:
    """Of a row of zeros the logarithm is -inf, not that of sigmoid(0)."""
    from jitgraph.ops.scan import Body, Scan, Trace

    p = T.dscalar("p")
    body = Body((p,), (p * 2, T.nnet.sigmoid(p), T.lt(p, -3)))
    s = T.dscalar("s")
    outs = (
        Scan(body, [], [(1,)], [Trace()] * 2, True)
        .make_node(T.constant(np.int64(5)), s.dimshuffle("x"))
        .outputs
    )
    new = Rewritten([T.log(outs[1])])
    assert STABLE.name not in new.rules
    with np.errstate(divide="ignore"):
        (found,) = evaluate(new.outputs, {s: np.float64(-2.0)})
    np.testing.assert_array_equal(found[2:], [-np.inf] * 3)


def test_the_final_window_of_known_steps() -> None:
    s = T.dvector("s")
    out, _ = jitgraph.scan(lambda p: T.nnet.sigmoid(p * 1e4 - 5e3), outputs_info=s, n_steps=3)
    final = out.owner.outputs[-1]
    new = Rewritten([T.log(final)])
    values = {s: np.array([0.0, 1.0])}
    assert np.isfinite(evaluate(new.outputs, values)[0]).all() and STABLE.name in new.rules


def test_other_readers_get_what_they_got() -> None:
    x = T.dvector("x")
    out, _ = jitgraph.scan(lambda a, p: T.nnet.sigmoid(a * p * 900), x, T.ones(()))
    outputs = [T.log(out), out, T.exp(out[-1])]
    values = {x: np.array([-1.0, 0.5, 2.0])}
    new = evaluate(Rewritten(outputs).outputs, values)
    with np.errstate(divide="ignore"):
        old = evaluate(outputs, values)
    np.testing.assert_array_equal(new[1], old[1])
    np.testing.assert_array_equal(new[2], old[2])


def test_what_the_rules_do_not_know_stays() -> None:
    x = T.dvector("x")
    out, _ = jitgraph.scan(lambda a, p: T.sin(a * p), x, T.ones(()))
    clipped, _ = jitgraph.scan(lambda a: T.clip(T.nnet.sigmoid(a), 0.1, 0.9), x)
    for trace in (out, clipped):
        assert STABLE.name not in Rewritten([T.log(trace), T.log(1 + trace)]).rules


def test_before_differentiation_kept_variables_stay_the_same() -> None:
    x = T.dvector("x")
    out, _ = jitgraph.scan(lambda a: T.nnet.sigmoid(a), x)
    cost = T.log(out).sum()
    (same,) = stabilise([cost], keep={out})
    assert same is cost
    (other,) = stabilise([cost], keep={x})
    assert other is not cost
    unrelated = T.exp(x)
    assert stabilise([unrelated, cost], keep={x})[0] is unrelated
    # The gradient with respect to the trace itself is that of the graph as it was written.
    values = {x: np.array([0.3])}
    (g,) = evaluate([T.grad(cost, out)], values)
    (y,) = evaluate([out], values)
    np.testing.assert_array_equal(g, 1 / y)
