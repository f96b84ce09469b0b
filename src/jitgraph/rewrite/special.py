"""Rules asked for by name, and the last phases: composite ops are written out, and for accuracy
'fast' functions take their fast form."""

from __future__ import annotations

from jitgraph.graph import Apply, Variable
from jitgraph.op import Op
from jitgraph.ops.elementwise import Elementwise
from jitgraph.ops.scalar import fast_name
from jitgraph.rewrite.engine import Rewriter, Rule, rule_function


@rule_function("sigmoid(x) -> ultra_fast_sigmoid(x)", "sigmoid", tags=("local_ultra_fast_sigmoid",))
def ultra_fast(node: Apply, _rewriter: Rewriter) -> Variable | None:
    """An approximation with an error of at most 0.0277."""
    from jitgraph.ops.nnet import ultra_fast_sigmoid

    return ultra_fast_sigmoid(node.inputs[0])


@rule_function("sigmoid(x) -> hard_sigmoid(x)", "sigmoid", tags=("local_hard_sigmoid",))
def hard(node: Apply, _rewriter: Rewriter) -> Variable | None:
    """Three straight lines with an error of at most 0.0759."""
    from jitgraph.tensor.nnet.sigm import hard_sigmoid

    return hard_sigmoid(node.inputs[0])


def is_composite(op: Op) -> bool:
    """Whether the op says how it is written out."""
    return hasattr(op, "expand")


@rule_function("composite(x) -> its elementary operations", tags=("expand",))
def expand(node: Apply, _rewriter: Rewriter) -> Variable | None:
    """Softmax, logsumexp and the like, as loops are made of elementary functions and reductions."""
    return node.op.expand(*node.inputs) if is_composite(node.op) else None


@rule_function("f(x) -> f{fast}(x)", tags=("fast",))
def fast_form(node: Apply, _rewriter: Rewriter) -> Variable | None:
    """The function whose C is less accurate. Rules know its exact form only, so this comes last."""
    if not isinstance(node.op, Elementwise) or node.op.scalar.fast is None:
        return None
    return Elementwise(fast_name(node.op.scalar_name)).make_node(*node.inputs).outputs[0]


# The first that applies wins: with both asked for, ultra_fast_sigmoid.
OPT_IN: list[Rule] = [ultra_fast, hard]
EXPAND: list[Rule] = [expand]
FAST: list[Rule] = [fast_form]
