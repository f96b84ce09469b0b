"""The graph of an expression: types, variables, applications of ops, and walks over them.

A graph is built once and never changed: only `name` and `tag` of a variable may be
set after construction. Facts that are not meaning (names, the user's file and line)
live beside the structure and never enter a comparison or a cache key.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from itertools import count
from typing import Any

import numpy as np

from jitgraph import dtypes
from jitgraph.config import config

Origin = tuple[str, int]
_PACKAGE = os.path.dirname(os.path.abspath(__file__)) + os.sep
_auto_names = count()


Callers = tuple[tuple[Any, int], ...]  # code objects with the position of the call in each
_made_for: ContextVar[tuple[Origin, ...] | None] = ContextVar("made_for", default=None)


def user_origin() -> tuple[Origin, ...]:
    """File and line of the nearest caller outside this package, or nothing."""
    frame = _user_frame(sys._getframe(1))
    return () if frame is None else ((frame.f_code.co_filename, frame.f_lineno),)


def user_place(limit: int) -> tuple[tuple[Origin, ...], Callers]:
    """`user_origin`, and the frames from there outwards: `limit` of them, all if negative.

    Lines of callers are looked up when they are asked for (`lines_of`): that takes longer than
    making a node.
    """
    known = _made_for.get()
    if known is not None:
        return known, ()
    frame = _user_frame(sys._getframe(1))
    if frame is None:
        return (), ()
    origin = ((frame.f_code.co_filename, frame.f_lineno),)
    callers: list[tuple[Any, int]] = []
    while frame is not None and len(callers) != limit:
        callers.append((frame.f_code, frame.f_lasti))
        frame = frame.f_back
    return origin, tuple(callers)


@contextmanager
def made_for(origins: tuple[Origin, ...]) -> Iterator[None]:
    """Nodes made meanwhile come from these places in the program, not from the present caller."""
    before = _made_for.set(origins)
    try:
        yield
    finally:
        _made_for.reset(before)


def _user_frame(frame: Any) -> Any:
    while frame is not None and frame.f_code.co_filename.startswith((_PACKAGE, "<frozen")):
        frame = frame.f_back
    return frame


def lines_of(callers: Callers) -> tuple[Origin, ...]:
    """File and line of each of the callers that are outside this package."""
    found = []
    for code, position in callers:
        if code.co_filename.startswith((_PACKAGE, "<frozen")):
            continue
        lines = [n for first, end, n in code.co_lines() if first <= position < end and n]
        found.append((code.co_filename, lines[0] if lines else code.co_firstlineno))
    return tuple(found)


def format_origin(origins: Iterable[Origin], limit: int = 3) -> str:
    """`model.py:41, model.py:45` for messages and comments; empty when nothing is known."""
    places = list(dict.fromkeys(f"{os.path.basename(f)}:{line}" for f, line in origins))
    return ", ".join(places[:limit]) + (", …" if len(places) > limit else "")


class Scratchpad:
    """A place for a program's own notes on a variable (`x.tag.test_value = …`)."""

    def __repr__(self) -> str:
        return f"scratchpad{self.__dict__!r}"


class Type:
    """What a variable may hold."""

    def make_variable(self, name: str | None = None) -> Variable:
        return Variable(self, name=name)

    def __call__(self, name: str | None = None) -> Variable:
        variable = self.make_variable(name)
        variable.origins = user_origin()
        return variable


class GenericType(Type):
    """Any Python object: the type of shared values that are not arrays."""

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self)

    def __hash__(self) -> int:
        return hash(type(self))

    def __repr__(self) -> str:
        return "<Generic>"


class TensorType(Type):
    """An array type: an element dtype and, for each axis, whether its length is fixed to 1.

    An axis marked True in `broadcastable` has length 1 and stretches to its partner's
    length; an axis marked False never does, even if its length happens to be 1.
    """

    # The classes of the user's face; the tensor package puts its own here.
    variable_class: Callable[..., Variable]
    constant_class: Callable[..., Constant]

    __slots__ = ("broadcastable", "dtype", "sparse_grad")

    def __init__(
        self,
        dtype: Any,
        broadcastable: Iterable[Any],
        name: str | None = None,
        sparse_grad: bool = False,
    ):
        self.dtype = dtypes.check(dtype)
        self.broadcastable = tuple(bool(b) for b in broadcastable)
        self.sparse_grad = sparse_grad

    def __getstate__(self) -> Any:
        return object.__getstate__(self)  # defined here: protocols 0 and 1 of pickle ask for it

    @property
    def ndim(self) -> int:
        return len(self.broadcastable)

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, TensorType)
            and self.dtype == other.dtype
            and self.broadcastable == other.broadcastable
        )

    def __hash__(self) -> int:
        return hash((self.dtype, self.broadcastable))

    def clone(self, dtype: Any = None, broadcastable: Iterable[Any] | None = None) -> TensorType:
        return TensorType(
            self.dtype if dtype is None else dtype,
            self.broadcastable if broadcastable is None else broadcastable,
        )

    def make_variable(self, name: str | None = None) -> Variable:
        if self.dtype == "float64" and config.warn_float64 != "ignore":
            _answer_float64()
        return TensorType.variable_class(self, name=name)

    def make_constant(self, value: Any, name: str | None = None) -> Constant:
        return TensorType.constant_class(self, np.asarray(value, dtype=self.dtype), name=name)

    def filter(self, value: Any, strict: bool = False, allow_downcast: bool | None = None) -> Any:
        """`value` as an array of this type (see `jitgraph.tensor.filter.filter_value`)."""
        from jitgraph.tensor.filter import filter_value

        return filter_value(self, value, strict, allow_downcast)

    def filter_variable(self, value: Any) -> Variable:
        """`value` as a variable of this type; TypeError if it cannot safely become one."""
        from jitgraph.tensor.filter import filter_variable

        return filter_variable(self, value)

    def values_eq(self, a: Any, b: Any) -> bool:
        """Whether two arrays have equal dtypes, shapes and elements, nan equal to nan."""
        from jitgraph.tensor.filter import values_eq

        return values_eq(a, b)

    def values_eq_approx(self, a: Any, b: Any) -> bool:
        """As `values_eq`, within the tolerance of the dtype (1e-5 relative)."""
        from jitgraph.tensor.filter import values_eq

        return values_eq(a, b, approximately=True)

    def __str__(self) -> str:
        return f"TensorType({self.dtype}, {_pattern_name(self.broadcastable)})"

    __repr__ = __str__


def _answer_float64() -> None:
    message = (
        "You are creating a TensorVariable with float64 dtype. You requested an action via the "
        f"flag warn_float64={config.warn_float64}"
    )
    place = format_origin(user_origin())
    message += f"   ({place})" if place else ""
    if config.warn_float64 == "warn":
        import warnings

        warnings.warn(message, stacklevel=4)
    elif config.warn_float64 == "pdb":
        breakpoint()
    else:
        raise Exception(message)


_PATTERN_NAMES = {
    (): "scalar",
    (False,): "vector",
    (False, False): "matrix",
    (True, False): "row",
    (False, True): "col",
} | {(False,) * n: f"{n}D" for n in range(3, 9)}


def _pattern_name(pattern: tuple[bool, ...]) -> str:
    return _PATTERN_NAMES.get(pattern) or str(pattern)


class Variable:
    """A value in a graph: a leaf, or output number `index` of the application `owner`."""

    def __init__(
        self,
        type: Any,
        owner: Apply | None = None,
        index: int | None = None,
        name: str | None = None,
    ):
        if name is not None and not isinstance(name, str):
            raise TypeError(f"the name of a variable must be a string, not {name!r}")
        self.type = type
        self.owner = owner
        self.index = index
        self.name = name
        self.tag = Scratchpad()
        self.auto_name = f"auto_{next(_auto_names)}"
        self.origins: tuple[Origin, ...] = ()

    def __str__(self) -> str:
        if self.name is not None:
            return self.name
        if self.owner is not None:
            return f"{self.owner.op}.{self.index}"
        return f"<{self.type}>"

    def __repr__(self) -> str:
        if config.print_test_value and "test_value" in self.tag.__dict__:
            return f"{self}\n{self.tag.__dict__['test_value']!r}"
        return str(self)

    def clone(self) -> Variable:
        """A new leaf of the same type and name."""
        copy = self.type.make_variable(self.name)
        copy.tag.__dict__.update(self.tag.__dict__)
        copy.origins = self.origins
        return copy

    # -- pickles and copies (see jitgraph.pickling) --
    def __reduce_ex__(self, protocol: Any) -> Any:
        if self.owner is None:
            return super().__reduce_ex__(protocol)
        from jitgraph.pickling import blank, bundle_of

        return blank, (type(self),), bundle_of(self)

    def __getstate__(self) -> Any:
        from jitgraph.pickling import stored_tag

        return {**self.__dict__, "tag": stored_tag(self)}

    def __setstate__(self, state: Any) -> None:
        if isinstance(state, dict):  # else a bundle, which calls _fill_in
            self.__dict__.update(state)
            self._fill_in(state["type"], state["name"], state["tag"])

    def _fill_in(self, type_: Any, name: str | None, tag: dict[str, Any]) -> None:
        """Complete a variable that is being read from a pickle."""
        known = self.__dict__
        known.update(type=type_, name=name, tag=Scratchpad())
        known.setdefault("owner", None)
        known.setdefault("index", None)
        known.setdefault("origins", ())
        self.auto_name = f"auto_{next(_auto_names)}"
        self.tag.__dict__.update(tag)

    def __copy__(self) -> Variable:
        """Another variable with the same attributes; the tag is the same object."""
        copy = type(self).__new__(type(self))
        copy.__dict__.update(self.__dict__)
        return copy

    @property
    def where(self) -> str:
        """The user's file and line that made this variable, for messages."""
        return format_origin(self.owner.origins if self.owner is not None else self.origins)


class Constant(Variable):
    """A leaf with a value known when the graph is built (`data`, never written to)."""

    def __init__(self, type: Any, data: Any, name: str | None = None):
        super().__init__(type, name=name)
        self.data = data

    def signature(self) -> tuple[Any, ...]:
        """Identity of the value: dtype, shape and bytes, so that -0.0 differs from 0.0."""
        return (self.type, self.data.shape, self.data.tobytes())

    def clone(self) -> Constant:
        return self

    def __setstate__(self, state: Any) -> None:
        super().__setstate__(state)
        if isinstance(self.data, np.ndarray):
            self.data = with_own_dtype(self.data)
            self.data.flags.writeable = False

    @property
    def value(self) -> Any:
        return self.data


def with_own_dtype(value: Any) -> Any:
    """An array with the dtype object that compiled code knows; pickled arrays have others."""
    if isinstance(value, np.ndarray) and value.dtype.isnative:
        return value.view(dtypes.NUMPY.get(value.dtype.name, value.dtype))
    return value


class SharedVariable(Variable):
    """A leaf whose value is kept between calls in `container.data`."""

    default_update: Variable | None = None

    def __init__(self, type: Any, container: Container, name: str | None = None):
        super().__init__(type, name=name)
        self.container = container


class Container:
    """The storage cell of a shared value; several variables and functions may use one cell."""

    __slots__ = ("__weakref__", "data")

    def __init__(self, data: Any):
        self.data = data

    @property
    def value(self) -> Any:
        """The same as `data`."""
        return self.data

    def __getstate__(self) -> Any:
        return object.__getstate__(self)  # defined here: protocols 0 and 1 of pickle ask for it

    def __setstate__(self, state: Any) -> None:
        self.data = with_own_dtype(state[1]["data"])


class Apply:
    """One application of an op: its inputs, and the output variables it defines."""

    __slots__ = ("__weakref__", "inputs", "op", "origins", "outputs", "tag", "trace_source")

    def __init__(self, op: Any, inputs: Sequence[Variable], outputs: Sequence[Variable]):
        self.op = op
        self.inputs = list(inputs)
        self.outputs = list(outputs)
        self.tag = Scratchpad()
        self.origins: tuple[Origin, ...] = ()  # places in the program; several after merging
        # The callers of the place, nearest first; as (file, line) if they come from a pickle.
        self.trace_source: tuple[Any, ...] = ()
        for i, out in enumerate(self.outputs):
            out.owner = self
            out.index = i

    @property
    def trace(self) -> tuple[Origin, ...]:
        """File and line of the callers of the place that made this, nearest first."""
        source = self.trace_source
        return source if source and isinstance(source[0][0], str) else lines_of(source)

    @property
    def out(self) -> Variable:
        return self.outputs[0]

    @property
    def nin(self) -> int:
        return len(self.inputs)

    @property
    def nout(self) -> int:
        return len(self.outputs)

    def __reduce__(self) -> tuple[Any, ...]:
        from jitgraph.pickling import owner_of

        return owner_of, (self.outputs[0],)

    def default_output(self) -> Variable:
        return self.outputs[getattr(self.op, "default_output", None) or 0]

    def __str__(self) -> str:
        return f"{self.op}({', '.join(map(str, self.inputs))})"

    __repr__ = __str__


def toposort(outputs: Iterable[Variable], stop: Iterable[Variable] = ()) -> list[Apply]:
    """The applications that `outputs` need, producers first, in an order fixed by the graph.

    Variables in `stop` are treated as leaves. The stack is explicit, so depth is
    limited by memory only.
    """
    blocked = set(stop)
    done: set[Apply] = set()
    order: list[Apply] = []
    for root in outputs:
        if root.owner is None or root in blocked or root.owner in done:
            continue
        stack = [(root.owner, iter(root.owner.inputs))]
        entered = {root.owner}
        while stack:
            node, pending = stack[-1]
            for variable in pending:
                producer = variable.owner
                if (
                    producer is None
                    or variable in blocked
                    or producer in done
                    or producer in entered
                ):
                    continue
                entered.add(producer)
                stack.append((producer, iter(producer.inputs)))
                break
            else:
                stack.pop()
                done.add(node)
                order.append(node)
    return order


def leaves(outputs: Iterable[Variable], stop: Iterable[Variable] = ()) -> list[Variable]:
    """The variables without owner (and those in `stop`) that `outputs` depend on."""
    blocked = set(stop)
    found: dict[Variable, None] = {}
    outputs = list(outputs)
    for node in toposort(outputs, stop):
        for variable in node.inputs:
            if variable.owner is None or variable in blocked:
                found.setdefault(variable)
    for variable in outputs:
        if variable.owner is None or variable in blocked:
            found.setdefault(variable)
    return list(found)


def ancestors(outputs: Iterable[Variable], stop: Iterable[Variable] = ()) -> Iterator[Variable]:
    """Every variable that `outputs` depend on, themselves included, each once."""
    seen: set[Variable] = set()
    blocked = set(stop)
    stack = list(outputs)[::-1]
    while stack:
        variable = stack.pop()
        if variable in seen:
            continue
        seen.add(variable)
        yield variable
        if variable.owner is not None and variable not in blocked:
            stack.extend(reversed(variable.owner.inputs))


def rebuild(
    outputs: Sequence[Variable],
    replace: Mapping[Variable, Variable],
    make: Callable[[Apply, list[Variable]], Sequence[Variable]] | None = None,
) -> list[Variable]:
    """Copy the part of the graph that depends on a replaced variable.

    `make(node, inputs)` gives the outputs of `node` on its new inputs; by default the op
    is applied again with the same origins. Untouched parts are shared with the original.
    """
    memo: dict[Variable, Variable] = dict(replace)
    make = make or reapply
    for node in toposort(outputs, stop=replace):
        inputs = [memo.get(v, v) for v in node.inputs]
        if all(new is old for new, old in zip(inputs, node.inputs, strict=True)):
            continue
        for old, new in zip(node.outputs, make(node, inputs), strict=True):
            memo.setdefault(old, new)
    return [memo.get(v, v) for v in outputs]


def reapply(node: Apply, inputs: Sequence[Variable]) -> list[Variable]:
    """Apply the op of `node` to other inputs, keeping origins and names."""
    new = node.op.make_node(*inputs)
    new.origins, new.trace_source = node.origins, node.trace_source
    for old, out in zip(node.outputs, new.outputs, strict=True):
        out.name = old.name
        out.tag.__dict__.update(old.tag.__dict__)
        out.tag.__dict__.pop("test_value", None)
    if config.compute_test_value != "off":
        from jitgraph.test_values import compute

        compute(new)
    return new.outputs
