"""How much does one call cost when there is next to nothing to compute?

Compiled functions against the same expression written with NumPy, and with numexpr and numba where
they are installed. numexpr runs in two ways: its compiled form (`NumExpr`), and `evaluate`, which
looks the text up at every call.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import common
import numpy as np

import jitgraph
import jitgraph.tensor as T

Contenders = dict[str, Callable[[], Any]]


def vectors() -> tuple[str, Contenders]:
    """(a + b) * c of three vectors of 4 float64."""
    x, y, z = T.dvectors("x", "y", "z")
    f = jitgraph.function([x, y, z], (x + y) * z)
    a, b, c = np.arange(4.0), np.ones(4), np.full(4, 2.0)
    cases: Contenders = {"jitgraph": lambda: f(a, b, c), "NumPy": lambda: (a + b) * c}
    _add_peers(cases, "(a + b) * c", lambda a, b, c: (a + b) * c, {"a": a, "b": b, "c": c})
    return "(a + b) * c, vectors of 4", cases


def one_element() -> tuple[str, Contenders]:
    """exp(-a) of one element."""
    x = T.dvector("x")
    f = jitgraph.function([x], T.exp(-x))
    a = np.ones(1)
    cases: Contenders = {"jitgraph": lambda: f(a), "NumPy": lambda: np.exp(-a)}
    _add_peers(cases, "exp(-a)", lambda a: np.exp(-a), {"a": a})
    return "exp(-a), vector of 1", cases


def scalars() -> tuple[str, Contenders]:
    """(a + b) * c of three Python floats, the tutorial's example; the result is an array."""
    x, y, w = T.dscalars("x", "y", "w")
    f = jitgraph.function([x, y, w], (x + y) * w)
    a, b, c = 33.0, 2.0, 3.0
    a0, b0, c0 = np.asarray(a), np.asarray(b), np.asarray(c)
    return "(a + b) * c, scalars", {
        "jitgraph": lambda: f(a, b, c),
        "jitgraph, 0-d arrays": lambda: f(a0, b0, c0),
        "NumPy, 0-d arrays": lambda: (a0 + b0) * c0,
    }


def update() -> tuple[str, Contenders]:
    """One step of an accumulator in a shared variable."""
    state, inc = jitgraph.shared(np.zeros(4)), T.dvector("inc")
    f = jitgraph.function([inc], [], updates=[(state, state + inc)])
    a, total = np.ones(4), np.zeros(4)

    def by_numpy() -> None:
        nonlocal total
        total = total + a

    return "state = state + a, vectors of 4", {"jitgraph": lambda: f(a), "NumPy": by_numpy}


def _add_peers(
    cases: Contenders, text: str, function: Callable[..., Any], values: dict[str, Any]
) -> None:
    numexpr, numba = common.optional("numexpr"), common.optional("numba")
    if numexpr is not None:
        prepared = numexpr.necompiler.NumExpr(text, [(n, np.float64) for n in values])
        arrays = list(values.values())
        cases["numexpr, compiled"] = lambda: prepared(*arrays)
        cases["numexpr, evaluate"] = lambda: numexpr.evaluate(text, local_dict=values)
    if numba is not None:
        compiled, arrays = numba.njit(function), list(values.values())
        compiled(*arrays)
        cases["numba"] = lambda: compiled(*arrays)


def main() -> None:
    arguments = common.options(__doc__, rounds=11).parse_args()
    figures, rows = {}, []
    for make in (vectors, one_element, scalars, update):
        title, cases = make()
        found = common.take_turns(cases, arguments.rounds)
        figures[title] = {name: common.summary(values) for name, values in found.items()}
        for name, f in figures[title].items():
            rows.append([title, name, f"{f['median'] * 1e6:.2f}", f"{f['mad'] * 1e6:.2f}"])
    head = ["expression", "by", "µs a call", "± MAD"]
    common.show("Cost of a call", head, rows, "target: (a + b) * c of vectors of 4 in 3 µs")
    common.write(arguments.json, "seconds of one call", figures)


if __name__ == "__main__":
    main()
