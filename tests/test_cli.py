"""The command line: every sub-command, its exit codes, its JSON, its refusals."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import jitgraph
from jitgraph.callable import Function
from jitgraph.cli import main
from jitgraph.config import config
from jitgraph.inspect import doctor
from jitgraph.runtime import toolchain
from jitgraph.runtime.cache import default_cache

MODEL = """
import numpy as np
import jitgraph
import jitgraph.tensor as T

print("printed while importing")
x, b, k = T.dmatrix("x"), T.dvector("b"), T.lmatrix("k")
W = jitgraph.shared(np.eye(3), name="W")
predict = jitgraph.function([x, b], T.nnet.softmax(T.dot(x, W) + b), updates={W: W * 2})
centred = jitgraph.function([x], [x + 1, x - x.mean(), T.concatenate([x, x]), x.T + 1])
counted = jitgraph.function([k], T.dot(k * 2, k).sum())
answer = 42

def build():
    return jitgraph.function([x], x + 1, mode="reference")

def needs(argument):
    raise AssertionError("called")

class Nested:
    function = predict

if __name__ == "__main__":
    raise AssertionError("executed as a script")
"""

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module", autouse=True)
def _own_cache() -> Iterator[None]:
    """Nothing here reads or writes the cache of whoever runs the tests."""
    with tempfile.TemporaryDirectory() as place, config.change_flags(cache_dir=place):
        yield


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    """Run a command line in this process: (exit code, stdout, stderr)."""

    def call(*arguments: str) -> tuple[int, str, str]:
        capsys.readouterr()
        try:
            status = main(arguments)
        except SystemExit as leaving:
            status = int(leaving.code or 0)
        out, err = capsys.readouterr()
        return status, out, err

    return call


@pytest.fixture
def model(tmp_path: Path) -> str:
    path = tmp_path / "model_for_inspection.py"
    path.write_text(MODEL)
    return str(path)


def command(*arguments: str, **options: Any) -> subprocess.CompletedProcess[str]:
    """Run `python -m jitgraph` as a process of its own."""
    source = str(Path(jitgraph.__file__).parents[1])
    environment = {**os.environ, "PYTHONPATH": source, "JITGRAPH_CACHE_DIR": config.cache_dir}
    environment.update(options.pop("env", {}))
    return subprocess.run(
        [sys.executable, "-m", "jitgraph", *arguments],
        capture_output=True,
        text=True,
        timeout=120,
        env=environment,
        **options,
    )


# --- the command itself ---------------------------------------------------------------------------


def test_importing_the_command_line_is_cheap() -> None:
    code = "import jitgraph.cli, sys; print(*sys.modules)"
    source = str(Path(jitgraph.__file__).parents[1])
    loaded = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": source},
    ).stdout.split()
    assert "jitgraph.cli" in loaded
    for name in ("bench", "functions", "callable", "cgen", "inspect.text", "inspect.doctor"):
        assert f"jitgraph.{name}" not in loaded
    assert not {"matplotlib", "decimal", "subprocess", "concurrent.futures"} & set(loaded)


@pytest.mark.parametrize("script", ["", "jitgraph"])
@pytest.mark.parametrize(
    ("flags", "complaint"),
    [
        ("flotX=float32", 'Unknown configuration variable "flotX"'),
        ("floatX=float33", 'Invalid value ("float33")'),
        ("floatX", 'Configuration variable "floatX" has no value'),
    ],
)
def test_wrong_flags_are_one_line(script: str, flags: str, complaint: str, tmp_path: Path) -> None:
    """As `python -m jitgraph`, and as the script that an installation makes."""
    environment = {"JITGRAPH_FLAGS": flags}
    if script:
        path = tmp_path / script
        path.write_text("import sys\nfrom jitgraph.cli import main\nsys.exit(main())\n")
        source = str(Path(jitgraph.__file__).parents[1])
        done = subprocess.run(
            [sys.executable, str(path), "cache", "info"],
            env={**os.environ, **environment, "PYTHONPATH": source},
            capture_output=True,
            text=True,
            check=False,
        )
    else:
        done = command("cache", "info", env=environment)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"jitgraph: {complaint}") and done.stderr.count("\n") == 1


def test_version_is_that_of_the_package() -> None:
    done = command("--version")
    assert (done.returncode, done.stdout) == (0, f"jitgraph {jitgraph.__version__}\n")


@pytest.mark.parametrize("name", ["", "bench", "inspect", "doctor", "cache"])
def test_help_has_examples_and_exit_codes(run: Run, name: str) -> None:
    status, out, _ = run(*name.split(), "--help")
    assert status == 0
    assert f"jitgraph {name}".strip() in out
    assert "examples:" in out
    assert re.search(r"exit codes:\n  0 .*\n  1 .*\n  2 .*\n  130 .*\n  141 ", out)


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ((), "COMMAND"),
        (("nonsense",), "nonsense"),
        (("cache",), "action"),
        (("cache", "burn"), "burn"),
        (("inspect",), "MODULE_OR_FILE:FUNCTION"),
        (("inspect", "a.py:f", "--c", "--json"), "not allowed"),
        (("bench", "sigmoid", "-n", "0"), "0 is not a positive number"),
        (("bench", "sigmoid", "-n", "-5"), "-5 is not a positive number"),
        (("bench", "sigmoid", "-n", "many"), "'many' is not a whole number"),
        (("bench", "sigmoid", "-n", "1.5"), "'1.5' is not a whole number"),
        (("bench", "sigmoid", "-n", "nan"), "'nan' is not a whole number"),
        (("bench", "sigmoid", "-n", "inf"), "'inf' is not a whole number"),
        (("bench", "sigmoid", "--threads", "0"), "from 1 to 256"),
        (("bench", "sigmoid", "--rounds", "x"), "from 1 to 1000"),
        (("bench", "sigmoid", "--dtype", "int8"), "int8"),
        (("bench", "sigmoid", "-n", "10", "--out", "/no/such/place"), "/no/such/place"),
        (("bench", "sigmoid", "-n", "10", "--no-plots", "--json", "/no/such/f"), "/no/such/f"),
    ],
)
def test_wrong_command_lines(run: Run, arguments: tuple[str, ...], complaint: str) -> None:
    status, out, err = run(*arguments)
    assert status == 2
    assert out == ""
    assert complaint in err
    assert "Traceback" not in err


def test_interruption_has_the_usual_exit_code(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt() -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(doctor, "examine", interrupt)
    assert run("doctor") == (130, "", "jitgraph doctor: interrupted\n")


def test_a_reader_that_goes_away_is_no_error(model: str) -> None:
    code = (
        "import os, sys; from jitgraph.cli import main; "
        "reader, writer = os.pipe(); os.close(reader); os.dup2(writer, 1); sys.exit(main())"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, "inspect", f"{model}:predict"],
        capture_output=True,
        text=True,
        env={
            **os.environ,
            "PYTHONPATH": str(Path(jitgraph.__file__).parents[1]),
            "JITGRAPH_CACHE_DIR": config.cache_dir,
        },
    )
    assert (done.returncode, done.stderr) == (141, "printed while importing\n")


def test_output_survives_a_terminal_without_unicode(model: str) -> None:
    done = command("inspect", f"{model}:predict", env={"PYTHONIOENCODING": "ascii"})
    assert done.returncode == 0
    assert "product: s0 = a0 \\xb7 a1" in done.stdout


# --- inspect --------------------------------------------------------------------------------------


def test_inspect_shows_graphs_steps_reasons_and_c(model: str) -> None:
    done = command("inspect", f"{model}:predict")
    assert (done.returncode, done.stderr) == (0, "printed while importing\n")
    head, _, rest = done.stdout.partition("Graph as written")
    before, _, rest = rest.partition("Graph after rewriting")
    after, _, rest = rest.partition("\nSteps\n")
    steps, _, c = rest.partition("\nC\n")
    assert "x: float64[?, ?]" in head
    assert "b: float64[?]" in head
    assert "updates  W" in head
    assert "Softmax [id" in before
    assert "Softmax" not in after  # expanded into what a loop can compute
    assert "exp" in after
    assert "product: s0 = a0 · a1" in steps
    assert "(model_for_inspection.py:9)" in steps
    assert "max comes after item 0, the matrix product it waits for" in steps
    assert re.search(r"exp becomes stage 1: it waits, row by row, for a reduction", steps)
    assert '#include "jg_exp.h"' in c


def test_inspect_says_why_loops_are_apart(run: Run, model: str) -> None:
    status, out, _ = run("inspect", f"{model}:centred", "--json")
    assert status == 0
    described = json.loads(out)
    (step,) = described["steps"]
    why = [reason for item in step["items"] for reason in item["why"]]
    assert any(re.fullmatch(r"add opens the first loop", w) for w in why)
    assert any(re.search(r"joins stage 0: same index space", w) for w in why)
    assert any(re.search(r"is apart from k\d: it waits for the whole of sum", w) for w in why)
    assert any("is on its own: it fills a part of an array" in w for w in why)
    assert any("the index space there is [n0, n1], here [n1, n0]" in w for w in why)
    assert {item["kind"] for item in step["items"]} == {"loop"}


def test_inspect_shows_numpy_steps(run: Run, model: str) -> None:
    status, out, _ = run("inspect", f"{model}:counted", "--json")
    assert status == 0
    steps = json.loads(out)["steps"]
    assert [s["kind"] for s in steps] == ["c", "numpy", "c"]
    assert steps[1]["op"] == "dot"  # BLAS has no integers
    assert steps[1]["reads"] == ["mul: int64[?, ?]", "k: int64[?, ?]"]


def test_inspect_c_is_a_file_that_compiles(run: Run, model: str, tmp_path: Path) -> None:
    status, out, err = run("inspect", f"{model}:predict", "--c")
    assert (status, err) == (0, "printed while importing\n")
    tools = toolchain.find_toolchain(cflags="-Wall -Werror")
    assert toolchain.check_object(toolchain.compile_shared(tools, out, str(tmp_path))) == ""


def test_inspect_calls_what_returns_a_function(run: Run, model: str) -> None:
    status, out, _ = run("inspect", f"{model}:build")
    assert status == 0
    assert "there is no C" in out
    status, out, err = run("inspect", f"{model}:build", "--c")
    assert (status, out) == (2, "")
    assert "there is no C" in err


def test_inspect_finds_modules_and_dotted_names(model: str) -> None:
    module = Path(model).stem
    done = command("inspect", f"{module}:Nested.function", "--json", cwd=Path(model).parent)
    assert done.returncode == 0
    assert json.loads(done.stdout)["inputs"] == ["x: float64[?, ?]", "b: float64[?]"]


@pytest.mark.parametrize(
    ("target", "status", "complaint"),
    [
        ("MODEL:answer", 2, "answer in MODEL is of type int, not a compiled function"),
        ("MODEL:answer", 2, "Compiled functions there: centred, counted, predict"),
        ("MODEL:needs", 2, "needs arguments"),
        ("MODEL:nothing", 2, "has no 'nothing'"),
        ("MODEL:Nested.nothing", 2, "has no 'Nested.nothing'"),
        ("MODEL:dict", 2, "has no 'dict'"),
        ("MODEL", 2, "which function of MODEL?"),
        ("nofile.py:f", 2, "the file nofile.py does not exist"),
        ("./:f", 2, "the file ./ is a directory"),
        ("no_such_module:f", 2, "no file and no module called no_such_module"),
        ("json.no_such_part:f", 2, "no file and no module called json.no_such_part"),
        ("json:loads", 2, "needs arguments"),
        ("collections:OrderedDict", 2, "returned an object of type OrderedDict"),
        ("two words:f", 2, "'two words' is neither a file nor the name of a module"),
        (":f", 2, "not of the form MODULE_OR_FILE:FUNCTION"),
    ],
)
def test_inspect_refuses(run: Run, model: str, target: str, status: int, complaint: str) -> None:
    found, out, err = run("inspect", target.replace("MODEL", model))
    assert (found, out) == (status, "")
    assert complaint.replace("MODEL", model) in err
    assert "Traceback" not in err


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("\n\nraise ValueError('bad \\x1b[2J data')", r"ValueError: bad \\x1b[2J data   (FILE:3)"),
        ("import no_such_thing", "No module named 'no_such_thing'   (FILE:1)"),
        ("x = (", "SyntaxError"),
        ("import sys; sys.exit(0)", "SystemExit: 0   (FILE:1)"),
        ("def f():\n    return 1 / 0", "calling f() failed: ZeroDivisionError"),
        (
            "import jitgraph, jitgraph.tensor as T\nx = T.dvector('x')\ny = T.dvector('y')\n"
            "f = jitgraph.function([x], x + y)",
            "MissingInputError",
        ),
    ],
)
def test_inspect_reports_programs_that_fail(
    run: Run, tmp_path: Path, text: str, complaint: str
) -> None:
    path = tmp_path / "failing.py"
    path.write_text(text)
    status, out, err = run("inspect", f"{path}:f")
    assert (status, out) == (1, "")
    assert complaint.replace("FILE", str(path)).replace("\\\\", "\\") in err
    assert "Traceback" not in err
    assert "\x1b" not in err


def test_inspect_escapes_names(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "hostile.py"
    path.write_text(
        "import jitgraph, jitgraph.tensor as T\n"
        "x = T.dvector('x\\x1b[2J\\n*/ int evil;')\nf = jitgraph.function([x], x + 1)\n"
    )
    status, out, _ = run("inspect", f"{path}:f")
    assert status == 0
    assert "\x1b" not in out
    assert "\\x1b[2J\\n*/ int evil" in out
    code = re.sub(r"/\*.*?\*/|//[^\n]*", "", out.partition("\nC\n")[2], flags=re.DOTALL)
    assert "jg_entry" in code and "evil" not in code  # names stand in comments only


# --- doctor ---------------------------------------------------------------------------------------


def statuses(out: str) -> dict[str, str]:
    return {c["name"]: c["status"] for c in json.loads(out)["checks"]}


def test_doctor_tries_everything_and_leaves_the_cache_alone(tmp_path: Path) -> None:
    place = tmp_path / "cache"
    done = command("doctor", "--json", env={"JITGRAPH_CACHE_DIR": str(place)})
    assert (done.returncode, done.stderr) == (0, "")
    assert set(statuses(done.stdout).values()) <= {"ok", "note"}
    report = json.loads(done.stdout)
    assert report["ok"] is True
    facts = {c["name"]: c["facts"] for c in report["checks"]}
    assert facts["compiler"]["command"] == list(toolchain.find_toolchain().argv)
    assert facts["compiling"]["right"] is True
    assert facts["threads"]["threads"] == min(facts["threads"]["bounds"].values())
    assert facts["storing"]["bytes"] > 1000
    assert facts["cache"]["directory"] == str(place)
    assert facts["configuration"]["set"]["cache_dir"]["value"] == str(place)
    assert not place.exists()


def test_doctor_in_words(run: Run) -> None:
    status, out, err = run("doctor")
    assert (status, err) == (0, "")
    assert out.endswith("\nEverything works.\n")
    assert re.search(r"^ok +compiling +a function compiled in \d+ ms", out, re.MULTILINE)


@pytest.fixture
def no_compiler(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No search path, no variables, no package: what a bare container offers."""
    monkeypatch.setenv("PATH", str(tmp_path))
    for name in ("CC", "JITGRAPH_CC", "CONDA_PREFIX"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(toolchain, "find_spec", lambda name: None)


@pytest.mark.usefixtures("no_compiler")
def test_doctor_without_compiler_says_what_to_type(run: Run) -> None:
    with config.change_flags(cc=""):
        status, out, err = run("doctor")
    assert (status, err) == (1, "")
    assert re.search(r"^problem +compiler +jitgraph needs a C compiler and found none", out, re.M)
    for line in ("apt install gcc", "conda install c-compiler", "pip install 'jitgraph[cc]'"):
        assert line in out
    assert re.search(r"^untested +threads", out, re.M)
    assert re.search(r"^untested +BLAS", out, re.M)
    assert out.endswith("\n1 problem found.\n")


@pytest.mark.usefixtures("no_compiler")
def test_commands_without_compiler_fail_in_words(run: Run) -> None:
    with config.change_flags(cc=""):
        status, out, err = run("bench", "sigmoid", "-n", "1000", "--no-plots")
    assert (status, out) == (1, "")
    assert "pip install 'jitgraph[cc]'" in err
    assert "Traceback" not in err


def test_doctor_with_a_compiler_that_fails(run: Run, tmp_path: Path) -> None:
    broken = tmp_path / "cc"
    broken.write_text("#!/bin/sh\necho 'kernel.c:1: error: out of cheese' >&2\nexit 3\n")
    broken.chmod(0o755)
    with config.change_flags(cc=str(broken)):
        status, out, _ = run("doctor", "--json")
    assert status == 1
    found = statuses(out)
    assert found["compiling"] == "problem"
    assert found["threads"] == found["BLAS"] == "untested"
    (check,) = (c for c in json.loads(out)["checks"] if c["name"] == "compiling")
    assert "out of cheese" in check["text"]
    assert "kept at" not in check["text"]  # that file is gone with the private cache
    assert "JITGRAPH_CC" in check["remedy"]


@pytest.mark.parametrize(
    ("replaced", "name"),
    [
        ("_probe_with_numpy", "compiling"),
        ("_same_in_two_threads", "threads"),
        ("_product_is_right", "BLAS"),
    ],
)
def test_doctor_notices_wrong_results(
    run: Run, monkeypatch: pytest.MonkeyPatch, replaced: str, name: str
) -> None:
    right = doctor._probe_with_numpy
    wrong: Callable[..., Any] = lambda: False  # noqa: E731
    if replaced == "_probe_with_numpy":
        wrong = lambda x: right(x) * (1 + 1e-12)  # noqa: E731
    monkeypatch.setattr(doctor, replaced, wrong)
    status, out, _ = run("doctor", "--json")
    assert status == 1
    assert statuses(out)[name] == "problem"


def test_doctor_survives_its_own_failure(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> None:
        raise RuntimeError("no pulse")

    monkeypatch.setattr(doctor, "versions", fail)
    status, out, _ = run("doctor")
    assert status == 1
    assert re.search(r"^problem +versions +RuntimeError: no pulse", out, re.M)


def test_doctor_notices_a_cache_that_cannot_be_used(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("not a directory")
    with config.change_flags(cache_dir=str(file)):
        status, out, _ = run("doctor", "--json")
    assert status == 1
    assert statuses(out)["cache"] == "problem"


def test_doctor_names_the_sources_of_settings(tmp_path: Path) -> None:
    file = tmp_path / "rc"
    file.write_text("[global]\nnum_threads = 3\n")
    done = command("doctor", env={"JITGRAPHRC": str(file), "OMP_NUM_THREADS": "2"})
    assert done.returncode == 0
    assert f"num_threads = 3   [{file}]" in done.stdout
    assert f"3 num_threads [{file}]" in done.stdout
    assert "2 OMP_NUM_THREADS" in done.stdout


# --- cache ----------------------------------------------------------------------------------------


@pytest.fixture
def filled(tmp_path: Path) -> Iterator[Path]:
    """A cache of its own with one compiled function."""
    place = tmp_path / "filled"
    with config.change_flags(cache_dir=str(place)):
        import jitgraph.tensor as T

        x = T.dvector("x")
        assert isinstance(jitgraph.function([x], x + 1), Function)
        default_cache()._memory.clear()
        yield place


def test_cache_info_and_clear(run: Run, filled: Path) -> None:
    status, out, _ = run("cache", "info", "--json")
    facts = json.loads(out)
    assert status == 0
    assert (facts["directory"], facts["entries"]) == (str(filled), 1)
    (entry,) = filled.glob("??/*.jg")
    assert facts["bytes"] >= entry.stat().st_size
    status, out, _ = run("cache", "info")
    assert status == 0
    assert re.search(r"^entries +1 \(\d.* KiB of ", out, re.M)
    status, out, _ = run("cache", "clear")
    assert (status, out.split(" (")[0]) == (0, "removed 1 entry")
    assert not list(filled.glob("??/*.jg"))
    status, out, _ = run("cache", "clear", "--json")
    assert (status, json.loads(out)["removed"]) == (0, 0)


def test_cache_verify_finds_a_flipped_bit(run: Run, filled: Path) -> None:
    assert run("cache", "verify")[:2] == (0, "1 entry checked, 0 damaged\n")
    (entry,) = filled.glob("??/*.jg")
    data = bytearray(entry.read_bytes())
    data[len(data) // 2] ^= 1
    entry.chmod(0o600)
    entry.write_bytes(data)
    status, out, _ = run("cache", "verify", "--json")
    report = json.loads(out)
    assert (status, report["damaged"]) == (1, 1)
    assert report["entries"][0]["key"] == entry.stem
    assert report["entries"][0]["problem"]
    # It was set aside: a second look finds nothing wrong, and says what was kept.
    assert run("cache", "verify")[0] == 0
    assert "1 damaged entries" in run("cache", "info")[1]


@pytest.mark.parametrize("action", ["info", "clear", "verify"])
def test_cache_that_cannot_be_used(run: Run, tmp_path: Path, action: str) -> None:
    file = tmp_path / "file"
    file.write_text("")
    with config.change_flags(cache_dir=str(file)):
        status, out, err = run("cache", action)
    assert status == 1
    assert str(file) in out + err
    assert "Traceback" not in err
