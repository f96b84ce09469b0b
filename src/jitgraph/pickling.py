"""Pickles and copies of graphs and compiled functions.

A graph is written as a flat list of nodes in the order of computation, so that depth costs nothing
and one node is written once, however many variables of it are pickled together. Leaves are objects
like any other, hence shared between graphs, functions and containers of one pickle. Built-in ops
are written as their token, ops of a program as instances of their class.

A function is written as its graph, the stored values and the state; it is compiled again, as a rule
from the cache, when it is read.
"""

from __future__ import annotations

from typing import Any
from weakref import ReferenceType, WeakKeyDictionary, ref

from jitgraph.config import config
from jitgraph.graph import Apply, Variable, toposort

_bundles: WeakKeyDictionary[Apply, ReferenceType[Bundle]] = WeakKeyDictionary()


class Bundle:
    """Nodes that are pickled together. A variable that is read is blank until its bundle is."""

    def __init__(self, nodes: list[Apply] | None = None):
        self.nodes = nodes or []

    def __reduce__(self) -> tuple[Any, ...]:
        state = [
            (n.op, n.inputs, n.outputs, [_facts(v) for v in n.outputs], n.trace, n.origins)
            for n in self.nodes
        ]
        return Bundle, (), state

    def __setstate__(self, state: list[Any]) -> None:
        for op, inputs, outputs, facts, trace, origins in state:
            for out, (type_, name, tag) in zip(outputs, facts, strict=True):
                out._fill_in(type_, name, tag)
            node = Apply(op, inputs, outputs)
            node.origins, node.trace_source = origins, trace
            self.nodes.append(node)


def _facts(v: Variable) -> tuple[Any, ...]:
    return v.type, v.name, stored_tag(v)


def stored_tag(v: Variable) -> dict[str, Any]:
    """The notes on a variable that are pickled: not our own, and test values only if wanted."""
    left_out = () if config.pickle_test_value else ("test_value",)
    notes = v.tag.__dict__.items()
    return {k: x for k, x in notes if not k.startswith("_") and k not in left_out}


def bundle_of(v: Variable) -> Bundle:
    """The bundle that is being pickled with the maker of `v`, or a new one."""
    assert v.owner is not None
    found = _bundle(v.owner)
    if found is None:
        found = Bundle([n for n in toposort([v]) if _bundle(n) is None])
        for node in found.nodes:
            _bundles[node] = ref(found)
    return found


def _bundle(node: Apply) -> Bundle | None:
    known = _bundles.get(node)
    return None if known is None else known()


def blank(class_: type[Variable]) -> Variable:
    """A variable that its bundle will fill."""
    return class_.__new__(class_)


def owner_of(v: Variable) -> Apply | None:
    return v.owner


# -- functions -----------------------------------------------------------------------------------


def function_state(f: Any) -> dict[str, Any]:
    """What makes an equal function of `f`, apart from compiled code."""
    compiled = f.compiled
    return {
        "inputs": compiled.inputs,
        "outputs": compiled.written,
        "mode": compiled.mode,
        "trust_input": f.trust_input,
        "arguments": {
            "ins": f.ins,
            "shared": f.shared,
            "targets": f.targets,
            "target_variables": f.target_variables,
            "n_outputs": f.n_outputs,
            "returns": f.returns,
            "name": f.name,
            "stores": f.stores,
            "containers": f.containers,
        },
    }


def restored_function(state: dict[str, Any]) -> Any:
    """The function of `function_state`; None if config.unpickle_function is False."""
    if not config.unpickle_function:
        return None
    from jitgraph.callable import Function
    from jitgraph.compiling import compile_graph

    compiled = compile_graph(state["inputs"], state["outputs"], state["mode"], {})
    function = Function(compiled, **state["arguments"])
    function.trust_input = state["trust_input"]
    return function
