"""Every rule that is an equation: both sides as numbers, on its domain and at the extremes."""

from __future__ import annotations

import pytest
from law_check import complaints

from jitgraph.rewrite.pattern import A, B, Law, X, builder, law
from jitgraph.rewrite.pipeline import SWITCHABLE

LAWS = [r for r in SWITCHABLE if isinstance(r, Law)]
log, exp, expm1 = map(builder, ("log", "exp", "expm1"))
sigmoid, softplus, neg = map(builder, ("sigmoid", "softplus", "neg"))


def test_there_are_laws_and_their_names_differ() -> None:
    names = [r.name for r in SWITCHABLE]
    assert len(LAWS) > 60
    assert len(names) == len(set(names))


@pytest.mark.parametrize("rule", LAWS, ids=lambda r: r.name)
def test_law_holds(rule: Law) -> None:
    assert complaints(rule) == []


@pytest.mark.parametrize(
    "wrong",
    [
        law("wrong sign", log(sigmoid(X)), softplus(-X), tags=()),
        law("overflows", log(sigmoid(X)), X - log(1 + exp(X)), tags=()),
        law("close, not equal", log(1 + X), X - X * X / 2, tags=(), domain={"x": (-0.01, 0.01)}),
        law("cancels", expm1(A), exp(A) + -1, tags=(), domain={"a": (-1e-3, 1e-3)}),
        law("wrong at nan", X - X, builder("second")(X, 0), tags=(), exact=True),
        law("wrong at -inf", builder("maximum")(X, neg(X)), X, tags=(), exact=True),
        law("wraps", builder("abs_")(X), X, tags=(), exact=True),
        law("loses a rounding", (A + B) - B, A, tags=(), exact=True),
        law("never fires", neg(A), A, tags=(), exact=True, when=lambda m: False),
    ],
    ids=lambda r: r.name,
)
def test_the_check_notices_a_wrong_law(wrong: Law) -> None:
    assert complaints(wrong)
