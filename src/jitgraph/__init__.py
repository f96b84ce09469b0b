"""jitgraph: symbolic array expressions, compiled to fused C loops.

>>> import jitgraph, jitgraph.tensor as T
>>> x = T.dvector("x")
>>> f = jitgraph.function([x], T.nnet.sigmoid(x).sum())
>>> float(f([0.0, 0.0]))
1.0
"""

from __future__ import annotations

from typing import Any

from jitgraph.config import config
from jitgraph.graph import Apply, Constant, SharedVariable, TensorType, Variable
from jitgraph.tensor.sharing import shared, shared_constructor

__version__ = "0.1.0"


def _set_numpy_errors() -> None:
    """np.seterr as the configuration asks for, if it does."""
    chosen = {
        "all": config.numpy.seterr_all,
        "divide": config.numpy.seterr_divide,
        "over": config.numpy.seterr_over,
        "under": config.numpy.seterr_under,
        "invalid": config.numpy.seterr_invalid,
    }
    wanted: dict[str, Any] = {case: how for case, how in chosen.items() if how != "None"}
    if wanted:
        import numpy

        numpy.seterr(**wanted)


_set_numpy_errors()

# Names resolved when first used, so that importing jitgraph stays cheap.
_LAZY = {
    "function": "jitgraph.functions",
    "In": "jitgraph.function_io",
    "Out": "jitgraph.function_io",
    "Mode": "jitgraph.mode",
    "grad": "jitgraph.gradient",
    "Lop": "jitgraph.gradient",
    "Rop": "jitgraph.gradient",
    "subgraph_grad": "jitgraph.gradient",
    "verify_grad": "jitgraph.gradient",
    "pp": "jitgraph.printing",
    "pprint": "jitgraph.printing",
    "debugprint": "jitgraph.printing",
    "_asarray": "jitgraph.tensor.rare",
    "clone": "jitgraph.cloning",
    "OrderedUpdates": "jitgraph.cloning",
    "Op": "jitgraph.extending.user_op",
    "OpFromGraph": "jitgraph.extending.from_graph",
    "as_op": "jitgraph.extending.from_function",
    "set_num_threads": "jitgraph.runtime.threads",
    "get_num_threads": "jitgraph.runtime.threads",
    "num_threads": "jitgraph.runtime.threads",
    "cache_info": "jitgraph.runtime.cache",
    "cache_clear": "jitgraph.runtime.cache",
    "free_memory": "jitgraph.runtime.buffers",
    "change_flags": "jitgraph.config",
    "scan": "jitgraph.scan_module",
    "map": "jitgraph.scan_module",
    "reduce": "jitgraph.scan_module",
    "foldl": "jitgraph.scan_module",
    "foldr": "jitgraph.scan_module",
    "scan_checkpoints": "jitgraph.scan_module",
}
_MODULES = (
    "compile",
    "configparser",
    "extending",
    "gof",
    "gradient",
    "ifelse",
    "printing",
    "random",
    "sandbox",
    "scalar",
    "scan_module",
    "tensor",
)


def __getattr__(name: str) -> Any:
    import importlib

    if name in _LAZY:
        value = getattr(importlib.import_module(_LAZY[name]), name)
        globals()[name] = value
        return value
    if name in _MODULES:
        return importlib.import_module(f"jitgraph.{name}")
    raise AttributeError(f"module 'jitgraph' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *_LAZY, *_MODULES])


def dot(a: Any, b: Any) -> Variable:
    """`jitgraph.tensor.dot`."""
    from jitgraph.ops.linalg import dot as product

    return product(a, b)


__all__ = [
    "Apply",
    "Constant",
    "SharedVariable",
    "TensorType",
    "Variable",
    "config",
    "dot",
    "shared",
    "shared_constructor",
    *(_LAZY.keys()),
]
