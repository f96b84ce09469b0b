"""Declarations of the functions that are applied element by element.

One declaration holds everything there is to know about such a function: how dtypes
combine, its NumPy reference, its C expression, its gradient and how it prints. The
tests of the function are generated from it.

How to read a C template: `{0}`, `{1}` … are the operands, already converted to the
dtypes the rule asks for; `{T}` is the C type and `{t}` the tag (`f64`) of the result.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from jitgraph import dtypes
from jitgraph.config import config

# operand dtypes -> (dtypes the operands are converted to, dtype of the result)
DtypeRule = Callable[..., tuple[tuple[str, ...], str]]
Interval = tuple[float, float]
# A C template, or what chooses it: (dtypes of the operands, dtype of the result) -> template
Template = str | Callable[[tuple[str, ...], str], str]

# Accuracy 'fast': its C lies in this header of csrc and stays within so many ULP.
FAST_HEADER, FAST_ULP = "jg_fast.h", 4.0


@dataclass(frozen=True, eq=False)
class ScalarFunction:
    """One elementwise function; `arity` -1 means one or more operands, combined from the left."""

    name: str
    arity: int
    rule: DtypeRule
    numpy: Callable[..., Any]
    c: Template
    # (g, *operands, result) -> one gradient an operand; None stands for zero
    grad: Callable[..., Any] | None
    no_grad: str = ""  # the reason when grad is None
    header: str | None = None  # of csrc, when the template calls a function from there
    integer_header: str | None = None  # the same for discrete operands, where it is another
    infix: str | None = None  # how it prints: `(a + b)`
    label: str | None = None  # printed name when it differs from `name`
    ulp: float = 0.0  # distance from the true value; 0: the IEEE or integer result itself
    domain: tuple[Interval, ...] = ((-3.0, 3.0),)  # where gradients are tested, per operand
    smooth: bool = True  # numeric differentiation applies on the whole domain
    doc: str = ""
    fast: Template | None = None  # of accuracy 'fast', where it is another: calls FAST_HEADER
    # How many vectors of float64 and float32 a loop computes abreast, the fastest as measured: more
    # keep the units of the processor busy, until there are not registers enough. 0: it is not
    # vectorised.
    vectors: tuple[int, int] = (4, 4)
    # So short that a loop which stores its results waits for that: one vector at a time will do.
    short: bool = False

    @property
    def printed(self) -> str:
        return self.label or self.name

    def headers(self, operand: str) -> tuple[str, ...]:
        """The headers of csrc that the template needs for operands of this dtype."""
        discrete = operand in dtypes.DISCRETE
        header = self.integer_header if discrete and self.integer_header else self.header
        return (header,) if header else ()

    def template(self, operand_dtypes: tuple[str, ...], result: str) -> str:
        text = self.c(operand_dtypes, result) if callable(self.c) else self.c
        return text.replace("{T}", dtypes.C_TYPES[result]).replace("{t}", dtypes.TAGS[result])

    @property
    def is_vector_function(self) -> bool:
        """Whether it takes tens of operations, from a header of csrc."""
        return self.header not in (None, "jg_arith.h", "jg_round.h")

    def abreast(self, dtype: str, stores: bool = True) -> int:
        """How many vectors of results a loop computes at a time; 0: it computes none."""
        if not self.is_vector_function or dtype not in dtypes.FLOATS:
            return 0
        return 1 if self.short and stores else self.vectors[dtype == "float32"]

    def interval(self, operand: int) -> Interval:
        return self.domain[min(operand, len(self.domain) - 1)]


FUNCTIONS: dict[str, ScalarFunction] = {}


def declare(function: ScalarFunction) -> ScalarFunction:
    if function.name in FUNCTIONS:
        raise ValueError(f"elementwise function {function.name} is declared twice")
    if function.grad is None and not function.no_grad:
        raise ValueError(f"{function.name} needs a gradient, or a reason why there is none")
    FUNCTIONS[function.name] = function
    if function.fast is not None:
        name = fast_name(function.name)
        FUNCTIONS[name] = replace(
            function,
            name=name,
            c=function.fast,
            header=FAST_HEADER,
            ulp=max(FAST_ULP, function.ulp),
            fast=None,
        )
    return function


def fast_name(name: str) -> str:
    """The name under which the form of accuracy 'fast' is declared, if there is one."""
    return f"{name}{{fast}}"


# -- dtype rules ---------------------------------------------------------------------------


def common(*operands: str) -> tuple[tuple[str, ...], str]:
    """Every operand and the result have the promoted dtype."""
    u = dtypes.upcast(*operands)
    return (u,) * len(operands), u


def number(*operands: str) -> tuple[tuple[str, ...], str]:
    """Promotion, but bool is not a number here."""
    if dtypes.upcast(*operands) == "bool":
        raise TypeError("is not defined for bool operands; use ^, ~ or a cast")
    return common(*operands)


def at_least_int8(*operands: str) -> tuple[tuple[str, ...], str]:
    if dtypes.upcast(*operands) == "bool":
        return ("int8",) * len(operands), "int8"
    return common(*operands)


def floating(*operands: str) -> tuple[tuple[str, ...], str]:
    """Computed in float: small integers in float32, others in float64."""
    f = dtypes.to_float(dtypes.upcast(*operands))
    return (f,) * len(operands), f


def only_floats(*operands: str) -> tuple[tuple[str, ...], str]:
    if any(d in dtypes.DISCRETE for d in operands):
        raise TypeError("takes float operands only; cast first")
    return common(*operands)


def comparison(*operands: str) -> tuple[tuple[str, ...], str]:
    return common(*operands)[0], "bool"


def float_test(*operands: str) -> tuple[tuple[str, ...], str]:
    return operands, "bool"


def bits(*operands: str) -> tuple[tuple[str, ...], str]:
    if any(d in dtypes.FLOATS for d in operands):
        raise TypeError("takes bool or integer operands only")
    if dtypes.upcast(*operands) in dtypes.FLOATS:
        raise TypeError("has no integer dtype that holds both uint64 and signed operands")
    return common(*operands)


def division(*operands: str) -> tuple[tuple[str, ...], str]:
    """Two discrete operands divide in floatX, anything else in the promoted dtype."""
    u = dtypes.upcast(*operands)
    if u in dtypes.DISCRETE:
        u = dtypes.check(config.floatX)
    return (u, u), u


def selection(*operands: str) -> tuple[tuple[str, ...], str]:
    condition, a, b = operands
    u = dtypes.upcast(a, b)
    return (condition, u, u), u


def second_operand(*operands: str) -> tuple[tuple[str, ...], str]:
    return operands, operands[1]


def fixed(result: str) -> DtypeRule:
    """Any operand, converted to `result`."""
    return lambda *operands: (operands, result)


def by_dtype(**variants: str) -> Callable[[tuple[str, ...], str], str]:
    """Choose a template by the kind of the first operand: bool, int, uint, float, other."""

    def choose(operands: tuple[str, ...], _result: str) -> str:
        d = operands[0]
        kind = (
            "bool"
            if d == "bool"
            else "uint"
            if d in dtypes.UNSIGNED
            else "int"
            if d in dtypes.SIGNED
            else "float"
        )
        return variants.get(kind) or variants["other"]

    return choose
