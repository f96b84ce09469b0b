"""Who may import whom. Found by parsing, so imports inside functions count as well."""

from __future__ import annotations

import ast
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

import jitgraph

SOURCE = Path(jitgraph.__file__).parent


def module_name(path: Path) -> str:
    parts = ["jitgraph", *path.relative_to(SOURCE).with_suffix("").parts]
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


@cache
def imports_of(module: str) -> frozenset[str]:
    """Every module that `module` names in an import, but not those for type checkers only."""
    path = SOURCE.joinpath(*module.split(".")[1:])
    path = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    return frozenset(imported(path.read_text(encoding="utf-8")))


def imported(source: str) -> set[str]:
    tree = ast.parse(source)
    for_types = {
        child
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
        for child in ast.walk(node)
    }
    found: set[str] = set()
    for node in ast.walk(tree):
        if node in for_types:
            continue
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            found.update(_from(node))
    return found


def _from(node: ast.ImportFrom) -> list[str]:
    """`from a import b` names a.b where that is a module, else a."""
    base = node.module or ""
    result = []
    for alias in node.names:
        inner = SOURCE.joinpath(*base.split(".")[1:], alias.name)
        is_module = base.startswith("jitgraph") and (
            inner.with_suffix(".py").exists() or (inner / "__init__.py").exists()
        )
        result.append(f"{base}.{alias.name}" if is_module else base)
    return result


MODULES = sorted(module_name(p) for p in SOURCE.rglob("*.py"))


def within(module: str, places: tuple[str, ...]) -> bool:
    return any(module == p or module.startswith(p + ".") for p in places)


def layer(*names: str) -> tuple[str, ...]:
    return tuple(f"jitgraph.{n}" for n in names)


FOUNDATION = layer("errors", "config", "options", "dtypes", "steps")
GRAPH = (*FOUNDATION, *layer("graph", "op"))

# place: what of jitgraph it may import besides itself
ALLOWED = {
    "jitgraph.errors": (),
    "jitgraph.dtypes": layer("config"),
    "jitgraph.config": layer("options", "errors"),
    "jitgraph.steps": (),
    "jitgraph.graph": FOUNDATION,
    "jitgraph.op": (*FOUNDATION, *layer("graph")),
    "jitgraph.ops": GRAPH,
    "jitgraph.reference": (*GRAPH, *layer("ops")),
    "jitgraph.canonical": (*GRAPH, *layer("ops")),
    "jitgraph.cgen": (*GRAPH, *layer("ops", "reference", "canonical")),
    "jitgraph.rewrite": (*GRAPH, *layer("ops", "reference", "canonical", "mode")),
    "jitgraph.runtime": (*FOUNDATION, *layer("csrc")),
}

# Calls upwards, inside functions: what a type or an op offers is written with the user's functions.
UPWARDS = {
    ("jitgraph.graph", "jitgraph.tensor.filter"),  # TensorType.filter, as Theano programs call it
    ("jitgraph.graph", "jitgraph.pickling"),  # how variables are stored
    ("jitgraph.graph", "jitgraph.test_values"),  # compute_test_value, where nodes are made
    ("jitgraph.op", "jitgraph.test_values"),
    ("jitgraph.ops.decompositions", "jitgraph.tensor.diagonals"),  # gradients with tril and triu
    ("jitgraph.ops.random", "jitgraph.tensor.basic"),  # the length of a shape vector
    ("jitgraph.ops.mrg", "jitgraph.tensor.basic"),
    ("jitgraph.ops.random", "jitgraph.runtime.buffers"),  # large draws lie in pooled memory
    ("jitgraph.ops.scan", "jitgraph.canonical"),  # an inner graph is told from others by its text
    ("jitgraph.ops.scan", "jitgraph.reference"),  # and evaluated as any other
    ("jitgraph.ops.branch", "jitgraph.reference"),
    ("jitgraph.ops.scan_gradient", "jitgraph.gradient"),  # the gradient of the body
    ("jitgraph.ops.scan_gradient", "jitgraph.rewrite.pipeline"),
    ("jitgraph.rewrite.special", "jitgraph.tensor.nnet.sigm"),  # hard_sigmoid as a graph
}


@pytest.mark.parametrize("place", ALLOWED)
def test_layer(place: str) -> None:
    inside = [m for m in MODULES if within(m, (place,))]
    assert inside, f"{place} has no module"
    wrong = [
        f"{m} imports {i}"
        for m in inside
        for i in sorted(imports_of(m))
        if within(i, ("jitgraph",))
        and not within(i, (place, *ALLOWED[place]))
        and (m, i) not in UPWARDS
    ]
    assert not wrong, "\n".join(wrong)


def test_calls_upwards_are_made_and_made_late() -> None:
    """Each exception is still needed, and is none at the top of its module."""
    for module, upper in UPWARDS:
        assert upper in imports_of(module), f"{module} no longer needs {upper}"
        path = SOURCE.joinpath(*module.split(".")[1:]).with_suffix(".py")
        top = [n for n in ast.parse(path.read_text(encoding="utf-8")).body]
        direct = [n for n in top if isinstance(n, ast.ImportFrom) and n.module == upper]
        assert not direct, f"{module} imports {upper} at its top"


@pytest.mark.parametrize("place", ["cgen", "ops", "rewrite"])
def test_no_files_and_no_processes(place: str) -> None:
    """The pure parts: values in, values out."""
    outside = ("os", "pathlib", "subprocess", "tempfile", "shutil", "cffi", "ctypes", "io")
    wrong = [
        f"{m} imports {i}"
        for m in MODULES
        if within(m, layer(place))
        for i in sorted(imports_of(m))
        if within(i, outside)
    ]
    assert not wrong, "\n".join(wrong)


def test_nothing_unpickles_or_evaluates_text() -> None:
    for path in SOURCE.rglob("*.py"):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        calls = {
            n.func.id
            for n in ast.walk(tree)
            if isinstance(n, ast.Call) and isinstance(n.func, ast.Name)
        }
        assert not calls & {"eval", "exec"}, path
        loads = {
            ast.unparse(n.func)
            for n in ast.walk(tree)
            if isinstance(n, ast.Call) and isinstance(n.func, ast.Attribute)
        }
        assert not loads & {"pickle.load", "pickle.loads", "marshal.loads", "yaml.load"}, path


def test_a_warm_start_needs_no_code_generator() -> None:
    """A function found in the cache imports neither the rewriter nor the code generator."""
    code = (
        "import sys, jitgraph, jitgraph.tensor as T\n"
        "x = T.vector('x')\n"
        "f = jitgraph.function([x], T.exp(x) + 0.123)\n"
        "f([1.0])\n"
        "loaded = [m for m in sys.modules if m.startswith(('jitgraph.cgen', 'jitgraph.rewrite'))]\n"
        "print(f.compile_report()['cache'], len(loaded))\n"
    )
    answers = [
        subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True
        ).stdout.split()
        for _ in range(2)
    ]
    assert answers[0][0] == "miss" and int(answers[0][1]) > 5
    assert answers[1] == ["hit", "0"]


def test_the_parser_sees_imports() -> None:
    """In functions too, and not those behind TYPE_CHECKING."""
    text = (
        "from typing import TYPE_CHECKING\n"
        "if TYPE_CHECKING:\n    from jitgraph.mode import Mode\n"
        "def f():\n    from jitgraph.runtime import cache\n    import os.path\n"
    )
    assert imported(text) == {"typing", "jitgraph.runtime.cache", "os.path"}
