"""The C of one graph for each feature of the code generator, as it stands in tests/golden/.

The files are there to be read: a change of the code generator shows in their diff. After a
change that is meant: `pytest tests/cgen/test_golden.py --update-golden`, and read the diff.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import jitgraph
import jitgraph.tensor as T
from jitgraph.compiling import compile_graph
from jitgraph.graph import Variable
from jitgraph.ifelse import ifelse
from jitgraph.mode import Mode, get_mode
from jitgraph.ops.nnet import logsumexp, pick
from jitgraph.random import PhiloxStreams
from jitgraph.reference import evaluate
from jitgraph.runtime.toolchain import default_toolchain, find_toolchain
from jitgraph.tensor.indexing import inc_subtensor, set_subtensor

GOLDEN = Path(__file__).parents[1] / "golden"
ROOT = Path(__file__).parents[2]
UNFUSED = get_mode("FAST_RUN").excluding("fusion")


class Graphs:
    """Each method builds one graph from fresh variables: (inputs, outputs)."""

    def elementwise_collapsed(self) -> Any:
        x, y = T.matrices("x", "y")
        return [x, y], [(x + y) * T.exp(-x)]

    def bias_broadcast(self) -> Any:
        x, b = T.matrix("x"), T.vector("b")
        return [x, b], [T.nnet.sigmoid(x + b)]

    def column_broadcast(self) -> Any:
        x, c = T.matrix("x"), T.col("c")
        return [x, c], [x / c]

    def transposed_operand(self) -> Any:
        x, y = T.matrices("x", "y")
        return [x, y], [x + y.T]

    def two_outputs_one_loop(self) -> Any:
        x = T.vector("x")
        y = T.tanh(x)
        return [x], [y, y * (1 - y)]

    def sum_of_everything(self) -> Any:
        x = T.matrix("x")
        return [x], [(x * x).sum()]

    def mean_and_extremes(self) -> Any:
        x = T.vector("x")
        return [x], [x.mean(), x.max(), x.min()]

    def sum_of_rows(self) -> Any:
        x = T.matrix("x")
        return [x], [x.sum(axis=1)]

    def sum_of_columns(self) -> Any:
        x = T.matrix("x")
        return [x], [x.sum(axis=0)]

    def sum_of_columns_float32(self) -> Any:
        x = T.fmatrix("x")
        return [x], [x.sum(axis=0)]

    def softmax_rows(self) -> Any:
        x = T.matrix("x")
        return [x], [T.nnet.softmax(x)]

    def softmax_and_logsoftmax(self) -> Any:
        x = T.matrix("x")
        return [x], [T.nnet.logsoftmax(x), T.nnet.softmax(x)]

    def logsumexp_rows(self) -> Any:
        x = T.matrix("x")
        return [x], [logsumexp(x, 1)]

    def argmax_rows(self) -> Any:
        x = T.matrix("x")
        return [x], [T.argmax(x, axis=1)]

    def any_and_all(self) -> Any:
        x = T.TensorType("bool", (False,))("x")
        return [x], [T.any(x), T.all(x)]

    def dot_bias(self) -> Any:
        x, w, b = T.matrix("x"), T.matrix("w"), T.vector("b")
        return [x, w, b], [T.dot(x, w) + b]

    def dot_transposed(self) -> Any:
        x, w = T.fmatrices("x", "w")
        return [x, w], [T.dot(x.T, w)]

    def dot_vectors(self) -> Any:
        x, y = T.vectors("x", "y")
        return [x, y], [T.dot(x, y)]

    def join_columns(self) -> Any:
        x, y = T.matrices("x", "y")
        return [x, y], [T.concatenate([x, y * 2], axis=1)]

    def set_part(self) -> Any:
        x, y, n = T.matrix("x"), T.vector("y"), T.lscalar("n")
        return [x, y, n], [set_subtensor(x[n:, 1], y)]

    def add_to_part(self) -> Any:
        x, y = T.matrix("x"), T.row("y")
        return [x, y], [inc_subtensor(x[::2], y)]

    def reversed_slice(self) -> Any:
        x = T.vector("x")
        return [x], [x[::-1] + x]

    def picked_labels(self) -> Any:
        x, y = T.matrix("x"), T.ivector("y")
        return [x, y], [-T.log(pick(T.nnet.softmax(x), y)).mean()]

    def arange_and_shape(self) -> Any:
        x = T.vector("x")
        return [x], [x * T.arange(x.shape[0])]

    def integers(self) -> Any:
        x, y = T.ivectors("x", "y")
        return [x, y], [x // y + x % y - (x & 12)]

    def comparison_and_switch(self) -> Any:
        x, y = T.fvectors("x", "y")
        return [x, y], [T.switch(x < y, x, 0.5)]

    def small_constant(self) -> Any:
        x = T.matrix("x")
        return [x], [x * np.array([0.5, 2.0, -1.0])]

    def reshaped(self) -> Any:
        x = T.vector("x")
        return [x], [x.reshape((-1, 2)).sum(axis=1)]

    def scalars_before_loops(self) -> Any:
        x, a, b = T.vector("x"), T.scalar("a"), T.scalar("b")
        return [x, a, b], [x * (T.exp(a) / b)]

    def scan_of_numbers(self) -> Any:
        x, h0, a = T.vector("x"), T.scalar("h0"), T.scalar("a")
        h, _ = jitgraph.scan(lambda x, h, a: a * h + x, x, h0, a, name="ar1")
        return [x, h0, a], [h]

    def scan_gradient(self) -> Any:
        x, h0, w = T.matrix("x"), T.vector("h0"), T.matrix("w")
        h, _ = jitgraph.scan(lambda x, h, w: T.tanh((T.dot(w, h) + x) / 9), x, h0, w, name="rnn")
        cost = T.sqr(h[-1]).sum()
        return [x, h0, w], [cost, T.grad(cost, w)]

    def scan_until(self) -> Any:
        x, n = T.vector("x"), T.lscalar("n")

        def step(x: Any) -> Any:
            return x * 2, jitgraph.scan_module.until(T.any(x > 100))

        trace, _ = jitgraph.scan(step, outputs_info=x, n_steps=n)
        return [x, n], [trace]

    def choice(self) -> Any:
        c, x, y = T.scalar("c"), T.matrix("x"), T.vector("y")
        return [c, x, y], [ifelse(c > 0, T.exp(x).sum(axis=0), y * 2)]

    def random_numbers_in_a_loop(self) -> Any:
        u = PhiloxStreams(1).uniform((1000,))
        return [], [T.sqr(u).mean()]

    def numpy_step_between(self) -> Any:
        x, k = T.TensorType("int64", (False, False))("x"), T.lvector("k")
        return [x, k], [T.dot(x * 2, k) + 1]


NAMES = [name for name in vars(Graphs) if not name.startswith("_")]
MODES: dict[str, Any] = {"unfused": UNFUSED}


def build(name: str) -> tuple[list[Variable], list[Variable]]:
    return getattr(Graphs(), name)()


def source(inputs: list[Variable], outputs: list[Variable], mode: Any = "FAST_RUN") -> str:
    return jitgraph.function(inputs, outputs, mode=mode).c_source


def cases() -> dict[str, Callable[[], str]]:
    result = {name: lambda n=name: source(*build(n)) for name in NAMES}
    result["without_fusion"] = lambda: source(*build("elementwise_collapsed"), mode=UNFUSED)
    result["updates"] = updates_source
    return result


def updates_source() -> str:
    """A step of gradient descent: an output, and shared weights replaced."""
    x, rate = T.matrix("x"), T.scalar("rate")
    w = jitgraph.shared(np.zeros(3), name="w")
    cost = T.sqr(T.dot(x, w) - 1).mean()
    step = jitgraph.grad(cost, w)
    return jitgraph.function([x, rate], cost, updates=[(w, w - rate * step)]).c_source


CASES = cases()


def without_lines(text: str) -> str:
    """The text with the numbers of this file's lines taken out."""
    return re.sub(r"test_golden\.py:\d+", "test_golden.py", text)


@pytest.mark.parametrize("name", CASES)
def test_text(name: str, request: pytest.FixtureRequest) -> None:
    text = without_lines(CASES[name]())
    path = GOLDEN / f"{name}.c"
    if request.config.getoption("--update-golden"):
        path.write_text(text)
    assert text == path.read_text(), f"{name} changed; --update-golden rewrites the files"


def test_lines_are_not_long() -> None:
    for path in GOLDEN.glob("*.c"):
        assert max(map(len, path.read_text().splitlines())) <= 100, path.name


def test_there_are_no_other_files() -> None:
    assert {p.stem for p in GOLDEN.glob("*.c")} == set(CASES)


# The compiler that pip installs stands in where the machine has none.
COMPILERS = [c for c in ("gcc", "clang") if shutil.which(c)] or ["zig"]


def argv(compiler: str) -> tuple[str, ...]:
    if compiler != "zig":
        return (compiler,)
    # It adds arguments of its own, which the compiler inside does not use.
    return (*find_toolchain().argv, "-Wno-unused-command-line-argument")


@pytest.mark.parametrize("compiler", COMPILERS)
def test_files_compile_without_a_warning(compiler: str, tmp_path: Path) -> None:
    flags = ["-std=gnu11", "-O1", "-fwrapv", "-ffp-contract=off", "-fPIC", f"-I{ROOT / 'csrc'}"]
    warnings = ["-Wall", "-Wextra", "-Werror"]
    complaints = []
    for path in sorted(GOLDEN.glob("*.c")):
        command = [*argv(compiler), *flags, *warnings, "-c", str(path), "-o", str(tmp_path / "x.o")]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            complaints.append(f"{path.name}: {done.stderr[:400]}")
    assert not complaints, "\n".join(complaints)
    assert COMPILERS


def arguments(inputs: list[Variable]) -> list[np.ndarray]:
    """Values that every graph of this file accepts."""
    rng = np.random.default_rng(7)
    shapes = {(): (), (False,): (4,), (False, False): (4, 4)}
    shapes |= {(True, False): (1, 4), (False, True): (4, 1)}
    result = []
    for v in inputs:
        shape = shapes[v.type.broadcastable]
        if v.type.dtype.startswith("float"):
            value = rng.uniform(0.5, 2, shape)
        elif v.name == "n":
            value = np.asarray(0)
        else:
            value = rng.integers(0, 4, shape)
        result.append(np.asarray(value, v.type.dtype))
    return result


@pytest.mark.parametrize("name", NAMES)
def test_results(name: str) -> None:
    """Up to five rounded operations on numbers near 1; sums of four terms, exp of at most 2."""
    inputs, outputs = build(name)
    values = [np.ones((4, 3))] if name == "small_constant" else arguments(inputs)
    # First: a call moves on the state of random streams.
    want = evaluate(outputs, dict(zip(inputs, values, strict=True)))
    got = jitgraph.function(inputs, outputs)(*values)
    for g, w in zip(got, want, strict=True):
        assert g.dtype == w.dtype
        tolerance = 64 * np.finfo(w.dtype).eps if w.dtype.kind == "f" else 0
        np.testing.assert_allclose(g, w, rtol=tolerance)


# -- the same graph, the same bytes ---------------------------------------------------------------


def digest_of_all() -> str:
    import hashlib

    return hashlib.sha256(
        "\n".join(without_lines(c()) for c in CASES.values()).encode()
    ).hexdigest()


def test_bytes_do_not_depend_on_the_process() -> None:
    """Three hash seeds: no set or dict order reaches the text."""
    code = "import test_golden; print(test_golden.digest_of_all())"
    search = f"{Path(__file__).parent}:{ROOT / 'tests'}:{ROOT / 'src'}"
    found = set()
    for seed in ("0", "1", "4711"):
        done = subprocess.run(
            [sys.executable, "-c", code],
            env={"PYTHONHASHSEED": seed, "PYTHONPATH": search, "PATH": "/usr/bin:/bin"}
            | {"JITGRAPH_CACHE_DIR": jitgraph.config.cache_dir or _cache()},
            capture_output=True,
            text=True,
            check=True,
        )
        found.add(done.stdout.strip())
    assert found == {digest_of_all()}


def _cache() -> str:
    import os

    return os.environ["JITGRAPH_CACHE_DIR"]


# -- names ----------------------------------------------------------------------------------------

HOSTILE = [
    "*/ int main(void) { return 1; } /*",
    "??/",
    "ends with a backslash \\",
    "two\nlines",
    "return",
    "t0",
    "jg_entry",
    "_Static_assert(0, 1);",
    "nul\0byte",
    "\u202ereversed\u202c",
    "bell\a \x1b[31m",
    "lone surrogate \ud800",
    "ключ" * 3000,
    "// comment",
    "#include <nothing.h>",
    '"quoted"',
    "%s%n",
]


def stripped(text: str) -> str:
    """The C without comments."""
    return re.sub(r"//[^\n]*\n|/\*.*?\*/", "", text, flags=re.S)


def named(x_name: str | None, b_name: str | None) -> str:
    x, b = T.matrix(x_name), T.vector(b_name)
    return source([x, b], [T.nnet.softmax(x + b), (x * b).sum(axis=0)])


def test_names_stay_in_comments(tmp_path: Path) -> None:
    """The C is that of plain names, the comments are comments to two compilers, and plain ASCII."""
    plain = named("x", "b")
    assert "x float64" in plain
    for k, name in enumerate(HOSTILE):
        text = named(name, HOSTILE[k - 1])
        assert stripped(text) == stripped(plain), name[:40]
        comments = "".join(re.findall(r"//[^\n]*\n", text))
        assert comments.isascii(), name[:40]
        assert all(c == "\n" or c.isprintable() for c in comments), name[:40]
        (tmp_path / f"{k}.c").write_text(text)
    for compiler in COMPILERS:
        command = [*argv(compiler), "-std=gnu11", "-O0", "-Wall", "-Wextra", "-Werror"]
        command += ["-Wtrigraphs", f"-I{ROOT / 'csrc'}", "-c", "-o", str(tmp_path / "x.o")]
        for file in sorted(map(str, tmp_path.glob("*.c"))):
            done = subprocess.run([*command, file], capture_output=True, text=True, check=False)
            assert done.returncode == 0, done.stderr[:1000]


def test_names_and_lines_are_not_in_the_key() -> None:
    def key(name: str) -> str:
        x = T.vector(name)
        y = T.exp(x) + 1
        return compile_graph([x], [y], get_mode("FAST_RUN"), {}).report["entry"]

    assert key("x") == key("something else")
    assert default_toolchain().identity


def test_a_mode_without_rewrites_keeps_the_graph() -> None:
    """The counterpart: what is not a name does reach the text."""
    x = T.vector("x")
    assert stripped(source([x], [x * 1], Mode("c", None))) != stripped(
        source([x], [x * 2], Mode("c", None))
    )
