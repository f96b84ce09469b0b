"""README.md and docs/*.md say what is so: their programs run and print what is shown, their C is
the C that comes out, their commands, files and links exist, their tables are up to date.

What stands in a page:
    ```python     a program, run in the page's namespace; or a session with `>>>`, as a doctest
    ```text       directly after a program: what it prints, then the error that ends it if one does
    ```c          after `<!-- c_source of NAME -->`: lines that NAME.c_source has, in this order
    ```sh         command lines
"""

from __future__ import annotations

import contextlib
import doctest
import importlib.util
import io
import os
import re
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

import jitgraph
import jitgraph.tensor as T
from jitgraph.config import config

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
FENCE = re.compile(
    r"^(?:<!-- (?P<note>[^\n]*?) -->\n)?^```(?P<kind>\w*)\n(?P<text>.*?)^```$", re.S | re.M
)


class Block(NamedTuple):
    kind: str
    text: str
    note: str
    line: int
    follows: bool  # nothing but blank lines between the block before and this one


def blocks(page: str) -> list[Block]:
    found, end = [], -1
    for m in FENCE.finditer(page):
        follows = end >= 0 and not page[end : m.start()].strip()
        line = page[: m.start("text")].count("\n")
        found.append(Block(m["kind"], m["text"], m["note"] or "", line, follows))
        end = m.end()
    return found


def differs(want: str, got: str) -> str:
    """How the output differs from what the page shows, '' if it does not."""
    checker = doctest.OutputChecker()
    if checker.check_output(want, got, FLAGS):
        return ""
    return checker.output_difference(doctest.Example("", want), got, FLAGS)


def run_program(text: str, namespace: dict[str, Any]) -> str:
    """What the program prints, and the error that ends it as Python's last lines show it."""
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        try:
            exec(compile(text, "model.py", "exec"), namespace)
        except Exception as error:
            print(f"{type(error).__name__}: {error}")
    return out.getvalue()


def run_session(block: Block, page: str, namespace: dict[str, Any]) -> str:
    """What went wrong in a block with `>>>`, '' if nothing did."""
    test = doctest.DocTestParser().get_doctest(block.text, namespace, page, page, block.line)
    test.globs = namespace
    problems = io.StringIO()
    runner = doctest.DocTestRunner(optionflags=FLAGS, verbose=False)
    runner.run(test, out=problems.write, clear_globs=False)
    return problems.getvalue()


def check_programs(name: str, page: str) -> list[str]:
    """The problems of the programs of a page, which share one namespace."""
    namespace: dict[str, Any] = {"__name__": "model"}
    problems, output = [], ""
    for block in blocks(page):
        where = f"{name}:{block.line}: "
        if block.kind == "python" and ">>> " in block.text:
            output = ""
            if trouble := run_session(block, name, namespace):
                problems.append(where + trouble)
        elif block.kind == "python":
            output = run_program(block.text, namespace)
            shown = page_shows_output(page, block)
            if not shown and re.search(r"^\w*(Error|Exception|NotDefined): ", output, re.M):
                problems.append(where + output)
        elif block.kind == "text" and block.follows:
            if trouble := differs(block.text, output):
                problems.append(where + trouble)
        elif block.kind == "c" and block.note.startswith("c_source of "):
            function = namespace[block.note.removeprefix("c_source of ")]
            if line := missing_line(block.text, function.c_source):
                problems.append(f"{where}not in the C, or not in this place: {line}")
    return problems


def page_shows_output(page: str, block: Block) -> bool:
    everything = blocks(page)
    after = everything[everything.index(block) + 1 :][:1]
    return bool(after) and after[0].kind == "text" and after[0].follows


def missing_line(excerpt: str, source: str) -> str:
    """The first line of the excerpt that the source does not have after the one before."""
    lines = iter([" ".join(line.split()) for line in source.splitlines()])
    for line in excerpt.splitlines():
        wanted = " ".join(line.split())
        if wanted and wanted != "…" and wanted not in lines:
            return line
    return ""


@pytest.mark.parametrize("path", PAGES, ids=lambda p: p.name)
def test_programs(path: Path) -> None:
    assert check_programs(path.name, path.read_text("utf-8")) == []


# -- commands, files, links -----------------------------------------------------------------------


def spans(page: str) -> Iterator[str]:
    """The inline code of a page."""
    for m in re.finditer(r"`([^`\n]+)`", FENCE.sub("", page)):
        yield m[1]


def command_problem(line: str) -> str:
    """What is wrong with a command line, '' if nothing is."""
    words = shlex.split(line, comments=True)
    while words and re.fullmatch(r"[A-Z_]+=.*", words[0]):
        name, _, value = words.pop(0).partition("=")
        if problem := variable_problem(name, value):
            return problem
    if not words:
        return ""
    program = " ".join(words[:1])
    if program == "jitgraph":
        return parser_problem(words[1:])
    if program in ("python", "python3"):
        return python_problem(words[1:])
    if program == "pip":
        return pip_problem(words[1:])
    return "" if program in ("git", "cd", "export") else f"unknown program {program}"


def variable_problem(name: str, value: str) -> str:
    known = {o.env for o in config.options() if o.env}
    if name == "JITGRAPH_FLAGS":
        names = {o.name for o in config.options()}
        wrong = [p for p in value.split(",") if p.partition("=")[0] not in names]
        return f"unknown flags {wrong}" if wrong else ""
    allowed = known | {"JITGRAPHRC", "OMP_NUM_THREADS", "JITGRAPH_PROGRESS"}
    return "" if name in allowed else f"unknown variable {name}"


def parser_problem(words: list[str]) -> str:
    from jitgraph.cli import parser

    errors = io.StringIO()
    try:
        with contextlib.redirect_stderr(errors), contextlib.redirect_stdout(io.StringIO()):
            parser().parse_args(words)
    except SystemExit as stop:
        return "" if not stop.code else errors.getvalue()
    return ""


def python_problem(words: list[str]) -> str:
    if words[:2] == ["-m", "venv"]:
        return ""
    if words[:2] == ["-m", "jitgraph"]:
        return parser_problem(words[2:])
    script = ROOT / words[0]
    if not script.is_file():
        return f"there is no {words[0]}"
    if script.name == "bootstrap.py":
        jobs = re.findall(r"bootstrap\.py (\w+) ", script.read_text("utf-8").split('"""')[1])
        return "" if words[1] in jobs else f"bootstrap.py knows {jobs}"
    missing = [w for w in words[1:] if w.startswith("-") and w not in script_options(script)]
    return f"{words[0]} does not know {missing}" if missing else ""


def script_options(script: Path) -> list[str]:
    own = re.findall(r'add_argument\("(-[\w-]+)"', script.read_text("utf-8"))
    if script.parent.name == "benchmarks":
        common = (script.parent / "common.py").read_text("utf-8")
        own += re.findall(r'add_argument\("(-[\w-]+)"', common)
    return own


def pip_problem(words: list[str]) -> str:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    for word in words[1:]:
        if m := re.fullmatch(r"(?:jitgraph|\.)\[([\w,]+)\]", word):
            unknown = set(m[1].split(",")) - set(project["optional-dependencies"])
            if unknown:
                return f"no extras {unknown}"
    return ""


@pytest.mark.parametrize("path", PAGES, ids=lambda p: p.name)
def test_commands(path: Path) -> None:
    page = path.read_text("utf-8")
    lines = [line for b in blocks(page) if b.kind == "sh" for line in b.text.splitlines()]
    lines += [s for s in spans(page) if re.match(r"(jitgraph|python3?|pip) [a-z-]", s)]
    problems = {line: command_problem(line) for line in lines}
    assert {line: p for line, p in problems.items() if p} == {}


PLACES = (ROOT, ROOT / "src" / "jitgraph", ROOT / "src", ROOT / "docs")


def exists(name: str) -> bool:
    """A path from one of the places, or the name of some file in the folders."""
    if any((place / name).exists() for place in PLACES):
        return True
    folders = ("src", "csrc", "tests", "benchmarks", "docs", "examples")
    return "/" not in name and any(any((ROOT / f).rglob(name)) for f in folders)


@pytest.mark.parametrize("path", PAGES, ids=lambda p: p.name)
def test_files_and_links_exist(path: Path) -> None:
    page = path.read_text("utf-8")
    named = [s for s in spans(page) if re.fullmatch(r"[\w.][\w./]*(/|\.(py|h|c|md|toml))", s)]
    named = [s for s in named if not s.startswith("model.py")]
    # kernel.c: what the compiler is given, not a file of the project.
    missing = [s for s in named if not exists(s) and s != "kernel.c"]
    links = [t.partition("#")[0] for t in re.findall(r"\]\(([^)\s]+)\)", page)]
    missing += [t for t in links if t and "://" not in t and not (path.parent / t).exists()]
    assert missing == []
    assert not re.search(r"(?<![\w.~-])/(home|root|tmp|work|usr/local)/", page)


# -- tables and numbers ---------------------------------------------------------------------------


def generator() -> Any:
    spec = importlib.util.spec_from_file_location("generate", ROOT / "docs" / "generate.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("path", PAGES, ids=lambda p: p.name)
def test_tables_are_up_to_date(path: Path) -> None:
    page = path.read_text("utf-8")
    assert generator().updated(page) == page, "run: python docs/generate.py"


def test_every_option_is_in_one_table() -> None:
    page = (ROOT / "docs" / "configuration.md").read_text("utf-8")
    for option in config.options():
        assert len(re.findall(rf"^\| `{re.escape(option.name)}` \|", page, re.M)) == 1, option.name


def test_every_error_class_is_described() -> None:
    from jitgraph import errors

    page = (ROOT / "docs" / "errors.md").read_text("utf-8")
    classes = [
        name
        for name, value in vars(errors).items()
        if isinstance(value, type) and value.__module__ == errors.__name__
    ]
    assert [name for name in classes if f"`{name}`" not in page] == []


def test_every_benchmark_is_described() -> None:
    page = (ROOT / "benchmarks" / "README.md").read_text("utf-8")
    scripts = {p.name for p in (ROOT / "benchmarks").glob("*.py")}
    assert [name for name in sorted(scripts) if f"`{name}`" not in page] == []


def test_a_warm_start_imports_no_compiler_passes(tmp_path: Path) -> None:
    """What docs/walk.md says of a hit."""
    program = (
        "import sys, jitgraph, jitgraph.tensor as T\n"
        "x = T.dvector('x')\n"
        "f = jitgraph.function([x], T.exp(x) / 3)\n"
        "passes = [m for m in sys.modules if m.startswith(('jitgraph.rewrite', 'jitgraph.cgen'))]\n"
        "print(f.compile_report()['source'], len(passes) > 0)\n"
    )
    assert in_new_process(program, tmp_path) == "compiled True"
    assert in_new_process(program, tmp_path) == "disk False"


def in_new_process(program: str, cache: Path, *arguments: str) -> str:
    """What the program prints, with this directory as its cache."""
    env = {**os.environ, "PYTHONPATH": str(ROOT / "src"), "JITGRAPH_CACHE_DIR": str(cache)}
    command = [sys.executable, "-c", program, *arguments]
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=True)
    return done.stdout.strip()


# -- adding an op ---------------------------------------------------------------------------------

ADDING = blocks((ROOT / "docs" / "adding-an-op.md").read_text("utf-8"))


def test_an_op_fits_in_twenty_lines() -> None:
    declaration = ADDING[0]
    assert "elementwise(" in declaration.text
    assert len(declaration.text.splitlines()) <= 20


@pytest.fixture(scope="module")
def softsign() -> Any:
    """The op of docs/adding-an-op.md, declared as the page says."""
    from jitgraph.ops.scalar import FUNCTIONS

    before = FUNCTIONS.pop("softsign", None)  # of the test that runs the page's programs
    namespace: dict[str, Any] = {}
    exec(compile(ADDING[0].text, "model.py", "exec"), namespace)
    yield namespace["softsign"]
    FUNCTIONS.pop("softsign", None)
    if before is not None:
        FUNCTIONS["softsign"] = before


@pytest.mark.parametrize("dtype", ["float64", "float32", "int16"])
def test_the_added_op_computes(softsign: Any, dtype: str) -> None:
    x = T.TensorType(dtype, (False, False))("x")
    f = jitgraph.function([x], softsign(x))
    values = np.array([[-3, -1, 0], [1, 4, 100]], dtype)
    exact = values.astype("float64") / (1 + np.abs(values.astype("float64")))
    result = f(values)
    assert result.dtype == ("float64" if dtype == "float64" else "float32")
    # One rounded sum and one rounded quotient: at most 1.5 units in the last place.
    assert np.all(np.abs(result - exact) <= 1.5 * np.spacing(np.abs(exact).astype(result.dtype)))
    assert " < 0 ? -" in f.c_source


def test_the_added_op_is_fused_and_differentiated(softsign: Any) -> None:
    x = T.dvector("x")
    y = (2 * softsign(x) + 1).sum()
    f = jitgraph.function([x], [y, T.grad(y, x)])
    values = np.array([-3.0, -0.5, 0.25, 7.0])
    total, slope = f(values)
    assert f.c_source.count("for (int64_t c = ") == 1  # one loop for sum and gradient
    exact = 2 / (1 + np.abs(values)) ** 2
    np.testing.assert_array_max_ulp(slope, exact, 4)
    np.testing.assert_allclose(total, (2 * values / (1 + np.abs(values)) + 1).sum(), rtol=1e-15)


def test_a_changed_template_is_compiled_anew(tmp_path: Path) -> None:
    """Same name, other C: the code of an earlier process must not be used."""
    program = (
        "import sys, jitgraph, jitgraph.tensor as T\n"
        "from jitgraph.ops import scalar as rules\n"
        "from jitgraph.ops.elementwise import elementwise\n"
        "op = elementwise('own', arity=1, rule=rules.floating, numpy=lambda x: x,\n"
        "                 c=sys.argv[1], grad=lambda g, x, y: g)\n"
        "x = T.dvector('x')\n"
        "f = jitgraph.function([x], op(x))\n"
        "print(f([3.0])[0], f.compile_report()['source'])\n"
    )
    assert in_new_process(program, tmp_path, "{0} + 1") == "4.0 compiled"
    assert in_new_process(program, tmp_path, "{0} + 2") == "5.0 compiled"
    assert in_new_process(program, tmp_path, "{0} + 1") == "4.0 disk"


# -- the tests tested -----------------------------------------------------------------------------

WRONG = """
```python
>>> 1 + 1
3
```

```python
print("one")
```
```text
two
```

```python
raise ValueError("unexpected")
```
"""


def test_wrong_pages_are_noticed() -> None:
    problems = check_programs("wrong.md", WRONG)
    assert len(problems) == 3
    assert ["Expected:\n    3" in p for p in problems] == [True, False, False]
    assert "unexpected" in problems[2]


def test_wrong_excerpts_are_noticed() -> None:
    source = "a;\n  b = 1;\nc;\n"
    assert missing_line("a;\nb = 1;\n", source) == ""
    assert missing_line("a;\n…\nc;\n", source) == ""
    assert missing_line("c;\na;\n", source) == "a;"
    assert missing_line("b = 2;\n", source) == "b = 2;"


@pytest.mark.parametrize(
    "line",
    [
        "jitgraph bench sigmoid --fast",
        "jitgraph polish",
        "jitgraph cache shrink",
        "python3 bootstrap.py deploy",
        "python examples/none.py",
        "python examples/digits_mlp.py --steps 3",
        "python benchmarks/elementwise.py --gpu",
        "pip install 'jitgraph[magic]'",
        "JITGRAPH_SPEED=9 jitgraph doctor",
        "JITGRAPH_FLAGS=speed=9 jitgraph doctor",
        "make all",
    ],
)
def test_wrong_commands_are_noticed(line: str) -> None:
    assert command_problem(line)
