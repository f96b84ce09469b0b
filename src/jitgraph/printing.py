"""Graphs as text: `pprint` on one line, `debugprint` as a tree, and `Print`, which shows values.

Names come from programs and their data, so control characters in them are written as escapes:
what is printed cannot move the cursor or forge a line. All walks keep their own stack.
"""

from __future__ import annotations

import importlib
import io
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TextIO, cast
from weakref import WeakValueDictionary

import numpy as np

from jitgraph import dtypes
from jitgraph.graph import Apply, Constant, SharedVariable, TensorType, Variable, toposort
from jitgraph.op import Disconnected, Gradient, Op, Undefined
from jitgraph.ops.elementwise import Elementwise, zeros_for
from jitgraph.ops.index import AdvancedSubtensor, Subtensor, _Indexing
from jitgraph.ops.linalg import Dot, Gemm
from jitgraph.ops.reduce import Reduce
from jitgraph.ops.shape import DimShuffle
from jitgraph.ops.values import as_tensor_variable

# What of an application prints where: text, and variables that print in turn.
Parts = list[str | Variable]
Rule = Callable[[Apply], Parts]


def printable(text: str, keep: str = "") -> str:
    """`text` with every character that does not print (save those of `keep`) as an escape."""
    if text.isprintable():
        return text
    return "".join(
        c if c.isprintable() or c in keep else c.encode("unicode_escape").decode("ascii")
        for c in text
    )


def op_label(node: Apply) -> str:
    """The op of `node` as the listings name it; a reduction names its axes unless it takes all."""
    op = node.op
    if not isinstance(op, Reduce):
        return str(op)
    whole = len(op.axes) == node.inputs[0].type.ndim
    if op.kind in ("sum", "prod"):
        axes = "" if whole else f"axis={list(op.axes)}, "
        return f"{op.kind.capitalize()}{{{axes}acc_dtype={op.acc_dtype}}}"
    if op.kind in ("all", "any"):
        axes = "" if whole else "{" + ", ".join(map(str, op.axes)) + "}"
        return f"{op.kind.capitalize()}{axes}"
    return f"{'MaxAndArgmax' if op.kind == 'max' else 'Min'}{{axis={op.axes}}}"


# -- one line ----------------------------------------------------------------------

GREEK = frozenset({"alpha", "beta", "gamma", "delta", "epsilon"})
LONGEST_LINE = 1_000_000


def _separated(parts: Sequence[str | Variable], separator: str) -> Parts:
    result: Parts = []
    for i, part in enumerate(parts):
        result.extend([separator, part] if i else [part])
    return result


def _call(name: str, arguments: Sequence[Variable]) -> Parts:
    return [f"{name}(", *_separated(arguments, ", "), ")"]


class PrettyPrinter:
    """`pprint(variable)`: the expression that computes a variable, in mathematical notation.

    Operators are always in parentheses. A variable used twice is written out twice; a line
    longer than LONGEST_LINE characters ends in `…`.
    """

    def __init__(self) -> None:
        self._rules: dict[type, Rule] = {}

    def rule(self, op_class: type) -> Callable[[Rule], Rule]:
        """Register how the applications of an op class print."""

        def register(rule: Rule) -> Rule:
            self._rules[op_class] = rule
            return rule

        return register

    def __call__(self, variable: Any) -> str:
        if not isinstance(variable, Variable):
            raise TypeError(f"pprint takes a variable, got {type(variable).__name__}")
        pieces: list[str] = []
        length = 0
        stack: Parts = [variable]
        while stack:
            part = stack.pop()
            if isinstance(part, Variable) and part.owner is not None:
                stack.extend(reversed(self._parts(part.owner)))
                continue
            text = part if isinstance(part, str) else _leaf(part)
            pieces.append(text)
            length += len(text)
            if length > LONGEST_LINE:
                pieces.append("…")
                break
        return printable("".join(pieces))

    process = __call__

    def _parts(self, node: Apply) -> Parts:
        rule = self._rules.get(type(node.op))
        return rule(node) if rule is not None else _call(op_label(node), node.inputs)


def _leaf(variable: Variable) -> str:
    return f"\\{variable.name}" if variable.name in GREEK else str(variable)


pprint = pp = PrettyPrinter()

_AROUND = {"neg": ("(-", ")"), "invert": ("(~", ")"), "abs_": ("|", "|"), "identity": ("", "")}


@pprint.rule(Elementwise)
def _elementwise(node: Apply) -> Parts:
    scalar = node.op.scalar
    if scalar.name in _AROUND:
        before, after = _AROUND[scalar.name]
        return [before, node.inputs[0], after]
    if scalar.infix:
        return ["(", *_separated(node.inputs, f" {scalar.infix} "), ")"]
    return _call(scalar.printed, node.inputs)


@pprint.rule(Dot)
def _dot(node: Apply) -> Parts:
    return ["(", *_separated(node.inputs, " \\dot "), ")"]


@pprint.rule(Gemm)
def _gemm(node: Apply) -> Parts:
    a, b, alpha, *added = node.inputs
    parts: Parts = ["(", "-" if node.op.minus else "", alpha, " * (", a, " \\dot ", b, ")"]
    if added:
        parts += [" - " if node.op.less else " + ", added[0], " * ", added[1]]
    return [*parts, ")"]


@pprint.rule(DimShuffle)
def _dimshuffle(node: Apply) -> Parts:
    (x,) = node.inputs
    order = list(node.op.new_order)
    while order and order[0] == "x":
        del order[0]
    if order == list(range(x.type.ndim)):
        return [x]
    if order == list(reversed(range(x.type.ndim))):
        return [x, ".T"]
    return [f"DimShuffle{{{', '.join(map(str, order))}}}(", x, ")"]


@pprint.rule(Subtensor)
@pprint.rule(AdvancedSubtensor)
def _subtensor(node: Apply) -> Parts:
    x, *indices = node.inputs
    entries: Parts = []
    for i, entry in enumerate(cast(_Indexing, node.op).entries(indices)):
        if i:
            entries.append(", ")
        if not isinstance(entry, slice):
            entries.append(_index(entry))
            continue
        bounds = [entry.start, entry.stop, *([] if entry.step is None else [entry.step])]
        entries.extend(_separated(["" if b is None else _index(b) for b in bounds], ":"))
    return [x, "[", *entries, "]"]


def _index(entry: Variable) -> str | Variable:
    if isinstance(entry, Constant) and entry.name is None and not entry.type.ndim:
        return f"Constant{{{entry.data[()]}}}"
    return entry


# -- a tree ----------------------------------------------------------------------


def letters(number: int) -> str:
    """`number` in base 26 with the digits A to Z: 0 is A, 25 is Z, 26 is BA."""
    text = ""
    while True:
        number, digit = divmod(number, 26)
        text = chr(ord("A") + digit) + text
        if not number:
            return text


_ID_STYLES: dict[str, Callable[[int, object], str]] = {
    "CHAR": lambda number, _obj: f"[id {letters(number)}]",
    "int": lambda number, _obj: f"[id {number}]",
    "id": lambda _number, obj: f"[id {id(obj)}]",
    "": lambda _number, _obj: "",
}


class _Listing:
    """One call of debugprint: the ids given so far and what is known about the nodes."""

    def __init__(self, ids: str, done: dict[Any, str], roots: Sequence[_Root]):
        if ids not in _ID_STYLES:
            raise ValueError(f"ids must be one of {', '.join(map(repr, _ID_STYLES))}, got {ids!r}")
        self.style = _ID_STYLES[ids]
        self.done = done  # what has been listed with all that is below it
        self.ids = dict(done)
        self.positions = {node: i for root in roots for i, node in enumerate(root.order)}
        self.clients: dict[Variable, list[Any]] | None = None
        self.print_type = self.print_storage = self.stop_on_name = False

    def count_clients(self, roots: Sequence[_Root]) -> None:
        self.clients = {}
        for node in toposort([v for root in roots for v in root.outputs]):
            for v in dict.fromkeys(node.inputs):
                self.clients.setdefault(v, []).append(node)
        for root in roots:
            for v in root.outputs:
                self.clients.setdefault(v, []).append("output")

    def id_of(self, obj: Any) -> str:
        if obj not in self.ids:
            self.ids[obj] = self.style(len(self.ids), obj)
        return self.ids[obj]

    def lines(self, root: Variable, depth: int) -> Iterator[str]:
        """The lines of `root` and what is below it, to `depth` levels (negative: all)."""
        stack = [(root, "", "", depth)]
        while stack:
            variable, prefix, below, levels = stack.pop()
            if levels == 0:
                continue
            node = variable.owner
            known = node in self.done
            yield printable(prefix + self.describe(variable))
            if node is None:
                self.done[variable] = self.ids[variable]
                continue
            if known or levels == 1 or (self.stop_on_name and variable.name is not None):
                continue
            self.done[node] = self.ids[node]
            last = len(node.inputs) - 1
            for i in range(last, -1, -1):
                inner = below + ("  " if i == last else " |")
                stack.append((node.inputs[i], below + " |", inner, levels - 1))

    def describe(self, v: Variable) -> str:
        node = v.owner
        kind = f" <{v.type}>" if self.print_type else ""
        stored = self._stored(v) if self.print_storage else ""
        if node is None:
            return f"{v} {self.id_of(v)}{kind}{stored}"
        which = f".{v.index}" if len(node.outputs) > 1 else ""
        position = self.positions.get(node, "")
        return (
            f"{op_label(node)}{which} {self.id_of(node)}{kind} '{v.name or ''}'   {position}"
            f"{stored}{self._clients_of(v)}"
        )

    def _stored(self, v: Variable) -> str:
        """The value that is kept between calls, as a list of one; temporaries are not kept."""
        if isinstance(v, Constant):
            return f" {[v.data]}"
        return f" {[v.container.data if isinstance(v, SharedVariable) else None]}"

    def _clients_of(self, v: Variable) -> str:
        """(id, position) of the applications that use `v`, if there is more than one use."""
        users = (self.clients or {}).get(v, [])
        if len(users) < 2:
            return ""
        pairs = [
            (u, "") if isinstance(u, str) else (self.id_of(u), self.positions.get(u, ""))
            for u in users
        ]
        return f" clients:{pairs}"


class _Root:
    """Variables to list, and the order of execution if they are those of a function."""

    def __init__(self, obj: Any):
        graph = obj
        if hasattr(obj, "maker"):
            graph = obj.maker.fgraph
        self.order: Sequence[Apply] = ()
        self.outputs: Sequence[Variable]
        if isinstance(graph, Variable):
            self.outputs = [graph]
        elif isinstance(graph, Apply):
            self.outputs = graph.outputs
        elif hasattr(graph, "toposort") and hasattr(graph, "outputs"):
            self.outputs, self.order = list(graph.outputs), list(graph.toposort())
        else:
            raise TypeError("debugprint cannot print an object of this type", obj)


def debugprint(
    obj: Any,
    depth: int = -1,
    print_type: bool = False,
    file: TextIO | str | None = None,
    ids: str = "CHAR",
    stop_on_name: bool = False,
    done: dict[Any, str] | None = None,
    print_storage: bool = False,
    print_clients: bool = False,
) -> Any:
    """List a graph, one line a variable, operands below and to the right of what uses them.

    `obj`: a variable, an application, a compiled function (its optimised graph, with the
    position of each node at the end of the line), or a list of these. The operands of a node
    are listed the first time only; `done` (a dict, filled here) carries that over several calls.

    depth: levels to list, -1 for all. ids: 'CHAR' A, B, …, Z, BA; 'int'; 'id' Python's id; ''
    none. stop_on_name: nothing below a variable with a name. print_storage: the values of
    constants and shared variables. print_clients: who uses a variable used more than once.
    file: None writes to sys.stdout, 'str' returns the text, a file is written to and returned.

    Raises TypeError for another kind of object, ValueError for unknown `ids`.

    >>> debugprint(x + y)
    Elemwise{add,no_inplace} [id A] ''
     |x [id B]
     |y [id C]
    """
    roots = [_Root(o) for o in (obj if isinstance(obj, (list, tuple)) else [obj])]
    listing = _Listing(ids, {} if done is None else done, roots)
    listing.print_type, listing.print_storage = print_type, print_storage
    listing.stop_on_name = stop_on_name
    if print_clients:
        listing.count_clients(roots)
    out = io.StringIO() if file == "str" else sys.stdout if file is None else cast(TextIO, file)
    for root in roots:
        for variable in root.outputs:
            for line in listing.lines(variable, depth):
                out.write(line + "\n")
    if isinstance(out, io.StringIO) and file == "str":
        return out.getvalue()
    out.flush()
    return file


def min_informative_str(obj: Variable, indent_level: int = 0) -> str:
    """As much of a graph as it takes to say what `obj` is in named variables and constants.

    One line a variable, labelled A, B, …; a variable seen before is shown as <its label>.
    """
    labels: dict[Variable, str] = {}
    lines: list[str] = []
    stack = [(obj, indent_level)]
    while stack:
        variable, level = stack.pop()
        if variable in labels:
            lines.append(" " * level + f"<{labels[variable]}>")
            continue
        labels[variable] = letters(len(labels))
        text = str(variable)
        if variable.name is None and variable.owner is not None:
            text = op_label(variable.owner)
            stack.extend((v, level + 1) for v in reversed(variable.owner.inputs))
        lines.append(" " * level + f"{labels[variable]}. {printable(text)}")
    return "\n".join(lines)


# -- values ----------------------------------------------------------------------


def _print_fn(op: Any, value: Any) -> None:
    """`message attribute = value` for each attribute; methods are called."""
    for name in op.attrs:
        attribute = getattr(value, name)
        shown = attribute() if callable(attribute) else attribute
        print(printable(op.message, keep="\n\t"), name, "=", shown)


_functions: WeakValueDictionary[str, Callable[[Any, Any], None]] = WeakValueDictionary()


def _function_key(function: Callable[[Any, Any], None]) -> str:
    """A text from which `_function_of` finds the function again, in this or a later process."""
    name = getattr(function, "__qualname__", type(function).__qualname__)
    stem = f"{getattr(function, '__module__', '')}:{name}"
    number = 0
    while True:
        key = f"{stem}#{number}" if number else stem
        if _functions.setdefault(key, function) is function:
            return key
        number += 1


def _function_of(key: str) -> Callable[[Any, Any], None]:
    if key not in _functions:
        module, _, path = key.partition(":")
        found: Any = importlib.import_module(module)
        for name in path.split("."):
            found = getattr(found, name)
        _functions[key] = found
    return _functions[key]


class Print(Op):
    """The identity; each time it is computed it shows its value: `Print('hello')(x)`.

    `attrs` are the attributes to show, methods among them being called; `global_fn(op, value)`
    does the showing. The result must be used, or nothing is computed and shown. Rewrites do
    not look through it.
    """

    __props__ = ("message", "attrs", "function_key")
    foldable = False
    side_effect = True

    def __init__(
        self,
        message: str = "",
        attrs: Sequence[str] = ("__str__",),
        global_fn: Callable[[Any, Any], None] | str = _print_fn,
    ):
        """`global_fn` as text is the key of a function that an equal op was made with."""
        self.message = message
        self.attrs = (attrs,) if isinstance(attrs, str) else tuple(attrs)
        self.global_fn = _function_of(global_fn) if isinstance(global_fn, str) else global_fn
        self.function_key = _function_key(self.global_fn)

    def __str__(self) -> str:
        return f"Print{{message={self.message!r}, attrs={self.attrs}}}"

    def make_node(self, x: Any) -> Apply:
        x = x if isinstance(x, Variable) else as_tensor_variable(x)
        return Apply(self, [x], [x.type.make_variable()])

    def evaluate(self, *arrays: Any) -> tuple[Any, ...]:
        (value,) = arrays
        self.global_fn(self, value)
        return (value.copy() if isinstance(value, np.ndarray) else value,)

    def infer_shape(self, node: Apply, shapes: Sequence[Any]) -> list[tuple[Any, ...]]:
        return [tuple(shapes[0])]

    def grad(
        self, inputs: Sequence[Variable], outputs: Sequence[Variable], grads: Sequence[Gradient]
    ) -> list[Gradient]:
        (x,), (g,) = inputs, grads
        if isinstance(g, (Disconnected, Undefined)):
            return [g]
        if isinstance(x.type, TensorType) and x.type.dtype in dtypes.DISCRETE:
            return [zeros_for(x)]
        return [g]


__all__ = [
    "GREEK",
    "PrettyPrinter",
    "Print",
    "debugprint",
    "letters",
    "min_informative_str",
    "op_label",
    "pp",
    "pprint",
    "printable",
]
