"""The base class of a program's own ops, with Theano's protocol, and the step that runs one."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any, ClassVar
from weakref import WeakSet, WeakValueDictionary

import numpy as np

from jitgraph import op as _op
from jitgraph.config import config
from jitgraph.errors import MethodNotDefined
from jitgraph.graph import Apply, TensorType, Type, Variable
from jitgraph.op import Gradient, here, without_test_values
from jitgraph.ops.values import as_tensor_variable


class Op(_op.Op):
    """Derive from this class to add an op that is computed in Python.

    __props__       names of the attributes that make two ops equal; without it each is its own
    itypes, otypes  types of inputs and outputs, or
    make_node(*inputs)  -> Apply(self, inputs, outputs)
    perform(node, inputs, output_storage)  put results into output_storage[k][0]
    grad(inputs, output_grads), or L_op(inputs, outputs, output_grads)  gradients of the inputs
    infer_shape(node, input_shapes)  shapes of the outputs; optional
    connection_pattern(node), default_output  optional
    destroy_map  {output: [inputs]}: inputs that perform overwrites; it is given copies of these

    In `perform` the node stands for all nodes of the same types: its variables have types, and no
    makers. Other inputs than those in destroy_map are read-only, and results that share memory
    with an input are copied. Results must have the declared dtype and rank.

    Methods that produce C (c_code and its relatives) are not used: a warning says so once for each
    class. R_op is not used either: `Rop` differentiates the gradient.
    """

    __props__: ClassVar[Any] = None
    needs_preparation = True
    foldable = False
    itypes: Any = None
    otypes: Any = None
    destroy_map: Any = None

    # -- identity --
    def props(self) -> tuple[Any, ...]:
        return tuple(getattr(self, name) for name in self.__props__ or ())

    def __eq__(self, other: object) -> bool:
        if self is other:
            return True
        if not isinstance(other, Op) or type(self) is not type(other):
            return False
        return self.__props__ is not None and self.props() == other.props()

    def __hash__(self) -> int:
        if self.__props__ is None:
            return object.__hash__(self)
        return hash((type(self), self.props()))

    # Unlike built-in ops, which are known by their token, these are stored like any object.
    __reduce_ex__ = object.__reduce_ex__  # type: ignore[assignment]

    def token(self) -> str:
        """A text that equal ops share in this process: ops inside loops are compared by it."""
        stem = f"{type(self).__module__}:{type(self).__qualname__}"
        number = 0
        while _named.setdefault(f"{stem}#{number}", self) != self:
            number += 1
        return f"{stem}#{number}"

    @property
    def name(self) -> str:
        return str(self.__dict__.get("name") or type(self).__name__)

    @name.setter
    def name(self, value: str | None) -> None:
        self.__dict__["name"] = value

    # -- building --
    def make_node(self, *inputs: Any) -> Apply:
        if self.itypes is None or self.otypes is None:
            raise NotImplementedError(
                f"{self.name} has neither make_node nor itypes and otypes{here()}"
            )
        if len(inputs) != len(self.itypes):
            raise ValueError(
                f"{self.name} takes {len(self.itypes)} inputs, got {len(inputs)}{here()}"
            )
        variables = [x if isinstance(x, Variable) else as_tensor_variable(x) for x in inputs]
        if any(v.type != t for v, t in zip(variables, self.itypes, strict=True)):
            raise TypeError(
                f"{self.name}: We expected inputs of types {list(self.itypes)} but got types "
                f"{[v.type for v in variables]}{here()}"
            )
        return Apply(self, variables, [t.make_variable() for t in self.otypes])

    def __call__(self, *inputs: Any, return_list: bool = False, **kwargs: Any) -> Any:
        node = self.make_node(*inputs, **kwargs)
        self.noted(node)
        if self.default_output is not None and not return_list:
            return node.outputs[self.default_output]
        outputs = list(node.outputs)
        return outputs[0] if len(outputs) == 1 and not return_list else outputs

    # -- meaning --
    def perform(self, node: Apply, inputs: Sequence[Any], output_storage: list[list[Any]]) -> None:
        raise MethodNotDefined("perform", type(self), self.name)

    def evaluate(self, *arrays: Any) -> tuple[Any, ...]:
        """The outputs for values alone; used where an expression is evaluated without compiling."""
        node = self.make_node(*(as_tensor_variable(a) for a in arrays))
        return run_perform(self, node, arrays)

    def grad(  # type: ignore[override]
        self, inputs: Sequence[Variable], output_grads: Sequence[Gradient]
    ) -> Any:
        raise MethodNotDefined("grad", type(self), self.name)

    def L_op(
        self,
        inputs: Sequence[Variable],
        outputs: Sequence[Variable],
        output_grads: Sequence[Gradient],
    ) -> Any:
        return self.grad(inputs, output_grads)


# -- running -------------------------------------------------------------------------------------


def run_perform(op: Op, node: Apply, arrays: Sequence[Any]) -> tuple[Any, ...]:
    """What `op.perform` makes of the values, checked and apart from the memory of the inputs."""
    overwritten = {k for ks in (op.destroy_map or {}).values() for k in ks}
    given = [
        _protected(a, may_be_overwritten=k in overwritten) if isinstance(a, np.ndarray) else a
        for k, a in enumerate(arrays)
    ]
    storage: list[list[Any]] = [[None] for _ in node.outputs]
    op.perform(node, given, storage)
    return tuple(
        _checked(op, k, cell[0], out.type, [*given, *arrays])
        for k, (cell, out) in enumerate(zip(storage, node.outputs, strict=True))
    )


def _protected(array: np.ndarray, may_be_overwritten: bool) -> np.ndarray:
    if may_be_overwritten:
        return array.copy()
    view = array.view()
    view.flags.writeable = False
    return view


def _checked(op: Op, k: int, value: Any, type_: Any, inputs: Sequence[Any]) -> Any:
    if value is None:
        raise ValueError(f"{op.name}.perform left output {k} empty")
    if not isinstance(type_, TensorType):
        return value
    if isinstance(value, np.generic):
        value = np.asarray(value)
    if (
        not isinstance(value, np.ndarray)
        or value.dtype != type_.dtype
        or value.ndim != type_.ndim
        or any(n != 1 for n, b in zip(value.shape, type_.broadcastable, strict=True) if b)
    ):
        got = (
            f"{value.dtype} of shape {value.shape}"
            if isinstance(value, np.ndarray)
            else type(value).__name__
        )
        raise TypeError(f"{op.name}.perform: output {k} must be {type_}, got {got}")
    shared = any(isinstance(a, np.ndarray) and np.may_share_memory(value, a) for a in inputs)
    return value.copy() if shared else value


# -- the step in a compiled program --------------------------------------------------------------

_named: WeakValueDictionary[str, Op] = WeakValueDictionary()
_steps: WeakValueDictionary[str, PerformStep] = WeakValueDictionary()
_warned: WeakSet[type] = WeakSet()


class PerformStep(_op.Op):
    """A user's op on inputs and outputs of known types, under a name that keys can hold.

    `prototype` is a node of these types on leaves of its own. `shapes` is the graph of
    `infer_shape` as text: compiled code contains what that method answered, and nothing else of
    the op, so text and types are all that a cache key needs.
    """

    __props__ = ("key", "shapes")
    foldable = False
    prototype: Apply

    def __init__(self, key: str, shapes: str, prototype: Apply | None = None):
        self.key, self.shapes = key, shapes
        self.prototype = prototype or _steps[key].prototype
        self.user_op: Op = self.prototype.op

    @property
    def name(self) -> str:
        return self.user_op.name

    def __str__(self) -> str:
        return str(self.user_op)

    __repr__ = __str__

    def evaluate(self, *arrays: Any) -> tuple[Any, ...]:
        return run_perform(self.user_op, self.prototype, arrays)

    def infer_shape(self, node: Apply, shapes: Sequence[Any]) -> list[tuple[Any, ...]] | None:
        return inferred(self.user_op, node, shapes)


def step_for(node: Apply) -> PerformStep:
    """The step that runs `node`; the same one for equal ops on the same types."""
    op = node.op
    _refuse_or_warn_about_c(op)
    stem = f"{type(op).__module__}:{type(op).__qualname__}"
    types = _types(node)
    number = 0
    while True:
        key = f"{stem}#{number}"
        known = _steps.get(key)
        if known is None:
            break
        if known.user_op == op and _types(known.prototype) == types:
            return known
        number += 1
    inputs = [_leaf(v.type) for v in node.inputs]
    prototype = Apply(op, inputs, [_leaf(v.type) for v in node.outputs])
    step = _steps[key] = PerformStep(key, _shape_text(prototype), prototype)
    return step


def _types(node: Apply) -> tuple[list[Type], list[Type]]:
    return [v.type for v in node.inputs], [v.type for v in node.outputs]


def _leaf(type_: Any) -> Variable:
    make = getattr(type_, "make_variable", None)
    return Variable(type_) if make is None else make()


def _shape_text(prototype: Apply) -> str:
    from jitgraph.canonical import graph_text

    length = TensorType("int64", ())
    lengths = [
        tuple(length.make_variable() for _ in range(v.type.ndim))
        if isinstance(v.type, TensorType)
        else None
        for v in prototype.inputs
    ]
    with without_test_values():
        shapes = inferred(prototype.op, prototype, lengths)
    if shapes is None:
        return ""
    leaves = [n for shape in lengths if shape is not None for n in shape]
    return graph_text(
        [*prototype.inputs, *leaves], [as_tensor_variable(n) for shape in shapes for n in shape]
    )


def inferred(op: Op, node: Apply, shapes: Sequence[Any]) -> list[tuple[Any, ...]] | None:
    """The answer of `op.infer_shape`, checked; None if it has none, or fails and may."""
    try:
        answer = op.infer_shape(node, shapes)
        if answer is None or any(shape is None for shape in answer):
            return None
        return _as_shapes(op, node, answer)
    except Exception as error:
        if config.on_shape_error == "raise":
            raise
        warnings.warn(
            f"{op.name}.infer_shape failed, shapes are found by computing: "
            f"{type(error).__name__}: {error}",
            stacklevel=2,
        )
        return None


def _as_shapes(op: Op, node: Apply, answer: Sequence[Any]) -> list[tuple[Any, ...]]:
    from jitgraph.ops.arithmetic import cast

    ranks = [v.type.ndim for v in node.outputs]
    if [len(shape) for shape in answer] != ranks:
        raise ValueError(
            f"{op.name}.infer_shape gave {[len(s) for s in answer]} lengths for outputs of rank "
            f"{ranks}"
        )
    return [
        tuple(
            cast(as_tensor_variable(n), "int64") if isinstance(n, Variable) else int(n)
            for n in shape
        )
        for shape in answer
    ]


def _refuse_or_warn_about_c(op: Op) -> None:
    class_ = type(op)
    writes_c = any(hasattr(op, name) for name in ("c_code", "c_code_cache_version", "func_files"))
    if class_.perform is Op.perform:
        why = "; its C code is not used" if writes_c else ""
        raise MethodNotDefined(
            "perform", class_, f"{op.name} has no perform, which is what runs here{why}"
        )
    if writes_c and class_ not in _warned:
        _warned.add(class_)
        warnings.warn(
            f"{op.name} has C code of its own, which is not used: its perform runs", stacklevel=3
        )
