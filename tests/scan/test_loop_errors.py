"""What is refused: the message names the loop, the argument and the line of the program."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import jitgraph
import jitgraph.tensor as T
from jitgraph.errors import AsTensorError, NullTypeGradError
from jitgraph.scan_module import until

X = T.dvector("x")
H0 = T.dscalar("h0")
HERE = r"test_loop_errors\.py:\d+"


def refused(error: type[Exception], message: str, build: Callable[[], Any]) -> None:
    """`build` raises exactly `error`, and the message matches and names a line of this file."""
    with pytest.raises(error, match=message) as caught:
        build()
    assert type(caught.value) is error
    assert re.search(HERE, str(caught.value)), str(caught.value)


def add(x: Any, h: Any) -> Any:
    return x + h


# -- sequences ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sequence", "message"),
    [
        ({"input": X, "taps": [0, 0]}, r"'s': sequence 0: the taps \[0, 0\] contain one twice"),
        ({"input": X, "taps": [0.5]}, "'s': sequence 0: taps must be integers, got 0.5"),
        ({"input": X, "taps": []}, "'s': sequence 0: taps must not be empty"),
        ({"taps": [0]}, "'s': sequence 0: the dict has no 'input'"),
        ({"input": X, "tap": [0]}, "'s': sequence 0: unknown key 'tap'"),
        (H0, "'s': sequence 0: h0 float64.. is a scalar and has no rows"),
    ],
)
def test_sequences(sequence: Any, message: str) -> None:
    refused(ValueError, message, lambda: jitgraph.scan(lambda *rows: rows[0], sequence, name="s"))


def test_what_is_no_array_is_no_sequence() -> None:
    refused(AsTensorError, "cannot convert 'abc'", lambda: jitgraph.scan(lambda a: a, "abc"))


# -- initial values ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("info", "message"),
    [
        ({"initial": X, "taps": [0]}, "outputs_info 0: tap 0 is not before the present step"),
        ({"initial": X, "taps": [-1, 1]}, "outputs_info 0: tap 1 is not before"),
        ({"initial": X, "taps": [-2, -2]}, "outputs_info 0: the taps .* contain one twice"),
        ({"taps": [-1]}, r"outputs_info 0: the taps \[-1\] need an initial value"),
        ({"initial": H0, "taps": [-2]}, "outputs_info 0: the taps .* need 2 initial rows"),
        ({"initial": X, "return_steps": 1}, "outputs_info 0: return_steps is gone"),
    ],
)
def test_initial_values(info: Any, message: str) -> None:
    refused(ValueError, message, lambda: jitgraph.scan(lambda *h: h[0], X, info, n_steps=3))


def test_a_state_keeps_its_dtype() -> None:
    x = T.fvector("x")
    start = T.zeros((), "float64")
    start.name = "start"
    refused(
        ValueError,
        r"scan 'rnn': output 0 starts as start float64\[\], and the step makes .* float32\[\] of "
        r"it: .* Write start\.astype\('float32'\) for the initial value, or \.astype\('float64'\)",
        lambda: jitgraph.scan(lambda x, h: T.cast(x + h, "float32"), x, start, name="rnn"),
    )
    refused(
        ValueError,
        "a state keeps its dtype",
        lambda: jitgraph.scan(
            lambda h: h + T.constant(1, dtype="int64"), outputs_info=0, n_steps=3
        ),
    )


def test_a_state_keeps_its_number_of_axes() -> None:
    refused(
        ValueError,
        r"output 1 starts as h0 float64\[\], .*a state keeps its number of axes, and 0 is not 1",
        lambda: jitgraph.scan(lambda x, h: [x, h + X], X, [None, H0]),
    )


# -- the step function -------------------------------------------------------------------------


def test_number_of_outputs() -> None:
    refused(
        ValueError,
        "scan 'two': the step function returns 2 outputs, and outputs_info has 1 entries",
        lambda: jitgraph.scan(lambda x, h: [x, h], X, H0, name="two"),
    )


def test_number_of_arguments() -> None:
    with pytest.raises(TypeError, match="positional argument"):
        jitgraph.scan(lambda x: x, X, H0)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (1.0, "returned 1.0; it may return symbolic variables"),
        ([X, 2], "returned 2; it may return"),
        (None, "returned None"),
        (np.zeros(3), r"returned array\("),
        (({}, X), "must return outputs; outputs, updates;"),
        ((until(X[0] > 0), X), "must return outputs;"),
        ((X, until(X[0] > 0), {}), "must return outputs;"),
        (until(X[0] > 0), "must return outputs;"),
        ((X, {X: X}), "only shared variables can be updated, not x"),
    ],
)
def test_returned(value: Any, message: str) -> None:
    refused(ValueError, message, lambda: jitgraph.scan(lambda _: value, X))


def test_one_update_each() -> None:
    c = jitgraph.shared(0, "c")
    refused(
        ValueError,
        "c is updated twice",
        lambda: jitgraph.scan(lambda x: (x, [(c, c + 1), (c, c + 2)]), X),
    )


def test_an_update_keeps_its_type() -> None:
    c = jitgraph.shared(0, "c")
    refused(
        TypeError,
        "An update must have the same type",
        lambda: jitgraph.scan(lambda: {c: c + 0.5}, n_steps=2),
    )


def test_until_takes_a_scalar() -> None:
    refused(AssertionError, "until: the condition must be a scalar, got", lambda: until(X > 0))


def test_generic_values_do_not_enter_loops() -> None:
    thing = jitgraph.shared({"a": 1}, "thing")
    refused(
        TypeError,
        "output 0, thing, is no array",
        lambda: jitgraph.scan(lambda x: thing, X),
    )


# -- the number of steps -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("n", "message"),
    [
        (2.0, "n_steps must be an integer scalar, got 2.0"),
        (T.dscalar("n"), r"n_steps must be an integer scalar, got n float64\[\]"),
        (T.ivector("n"), r"n_steps must be an integer scalar, got n int32\[\?\]"),
        (True, "n_steps must be an integer scalar, got True"),
    ],
)
def test_number_of_steps(n: Any, message: str) -> None:
    refused(
        ValueError, f"scan 's': {message}", lambda: jitgraph.scan(add, X, H0, n_steps=n, name="s")
    )


def test_nothing_to_count() -> None:
    refused(
        ValueError,
        "scan: without sequences the number of steps must be given",
        lambda: jitgraph.scan(lambda h: h, outputs_info=H0),
    )


def test_negative_steps(function: Any) -> None:
    refused(
        IndexError,
        "scan 's': n_steps is -3",
        lambda: jitgraph.scan(add, X, H0, n_steps=-3, name="s"),
    )
    n = T.lscalar("n")
    out, _ = jitgraph.scan(lambda h: h * 2, outputs_info=H0, n_steps=n, name="s")
    f = function([H0, n], out)
    with pytest.raises(IndexError, match=r"scan\{s\}.*-2"):
        f(1.0, -2)
    assert f(1.0, 2).tolist() == [2.0, 4.0]


@pytest.mark.parametrize("steps", [0, -2, 1.5])
def test_truncate_gradient(steps: Any) -> None:
    refused(
        ValueError,
        "truncate_gradient must be -1 or a number of steps",
        lambda: jitgraph.scan(add, X, H0, truncate_gradient=steps),
    )


# -- when it runs ------------------------------------------------------------------------------


@pytest.mark.parametrize("backwards", [False, True])
def test_sequence_shorter_than_the_steps(function: Any, backwards: bool) -> None:
    y = T.dvector("y")
    out, _ = jitgraph.scan(
        lambda a, b, h: a + b + h, [X, y], H0, n_steps=4, go_backwards=backwards, name="sum"
    )
    f = function([X, y, H0], out)
    assert len(f(np.ones(5), np.ones(4), 0.0)) == 4
    with pytest.raises(ValueError, match=r"scan\{sum\}") as caught:
        f(np.ones(5), np.ones(3), 0.0)
    assert "y" in str(caught.value) and "3" in str(caught.value) and "4" in str(caught.value)


def test_too_few_initial_rows(function: Any) -> None:
    h = T.dvector("h")
    out, _ = jitgraph.scan(
        lambda a: a + 1, outputs_info={"initial": h, "taps": [-3]}, n_steps=2, name="far"
    )
    f = function([h], out)
    with pytest.raises(ValueError, match=r"scan\{far\}") as caught:
        f(np.ones(2))
    assert "2" in str(caught.value) and "3" in str(caught.value)


def test_a_state_whose_shape_changes(function: Any) -> None:
    h = T.dvector("h")
    out, _ = jitgraph.scan(lambda h: T.concatenate([h, h]), outputs_info=h, n_steps=3, name="grow")
    with pytest.raises(ValueError, match=r"scan\{grow\}"):
        function([h], out)(np.ones(2))


def test_rows_of_different_lengths_cannot_be_stacked(function: Any) -> None:
    n = T.lvector("n")
    out, _ = jitgraph.scan(lambda k: T.arange(k), n, name="ragged")
    f = function([n], out)
    assert f([2, 2]).tolist() == [[0, 1], [0, 1]]
    with pytest.raises(ValueError, match=r"scan\{ragged\}"):
        f([2, 3])


def test_a_failed_call_changes_no_state(function: Any) -> None:
    c = jitgraph.shared(np.float64(1.0), "c")
    out, updates = jitgraph.scan(lambda x: (x * c, {c: c * 2}), X, n_steps=3)
    f = function([X], out, updates=updates)
    with pytest.raises(ValueError, match="scan"):
        f(np.ones(2))
    assert c.get_value() == 1.0


M, V = T.dmatrix("M"), T.dvector("v")
MOVED: dict[str, Callable[[], Any]] = {
    # what the rewrites take out of the loop
    "product of a row": lambda: scanned(lambda m, h: h + T.dot(m, V), M, V),
    "product with a matrix": lambda: scanned(lambda m, h: h + T.dot(V * m, T.dot(M, M)), M, V),
    "function of a row": lambda: scanned(lambda m, h: h + T.exp(m + V).sum(), M, V),
    "place in an array": lambda: scanned(lambda i: V[i + 5], T.arange(3)),
    "product of what is fixed": lambda: scanned(lambda h: h * T.dot(M, V).sum(), None, V, 3),
}


def scanned(fn: Any, sequences: Any, initial: Any = None, n_steps: Any = None) -> Any:
    return jitgraph.scan(fn, sequences, initial, n_steps=n_steps)[0]


@pytest.mark.parametrize("name", MOVED)
def test_what_is_computed_outside_names_the_line_of_the_step(name: str) -> None:
    """Not the line where the function was compiled."""
    build = MOVED[name]
    f = jitgraph.function([M, V], build(), on_unused_input="ignore")
    line = build.__code__.co_firstlineno
    with pytest.raises((ValueError, IndexError), match=rf"test_loop_errors\.py:{line}\)"):
        f(np.ones((3, 2)), np.ones(3))


# -- gradients ---------------------------------------------------------------------------------


def test_a_gradient_that_does_not_exist_names_the_loop() -> None:
    from jitgraph.gradient import undefined_grad

    out, _ = jitgraph.scan(lambda x, h: undefined_grad(h) * x, X, H0, name="chain")
    refused(
        NullTypeGradError,
        rf"with respect to h0 .*undefined_grad forbids.*in scan\{{chain\}}.*{HERE}",
        lambda: T.grad(out[-1], H0),
    )
    # What does not need it has one: the state at the step itself times its row.
    refused(NullTypeGradError, "in scan", lambda: T.grad(out[-1], X))


def test_what_does_not_pass_the_undefined_part_has_a_gradient(function: Any) -> None:
    from jitgraph.gradient import undefined_grad

    (_, kept), _ = jitgraph.scan(lambda x, h: [undefined_grad(h) + 1, x * x], X, [H0, None])
    slope = function([X, H0], T.grad(kept.sum(), X), on_unused_input="ignore")
    assert slope([1.0, 2.0], 0.0).tolist() == [2.0, 4.0]
