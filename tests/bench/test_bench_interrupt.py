"""What is left of a run that is interrupted, and of one that loses a peer."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import jitgraph
from jitgraph.bench import sigmoid, startup
from jitgraph.bench.interrupt import Interrupted, Interrupts
from jitgraph.cli import main

# In place of the Python that has a peer: speaks as a peer's process does, until `act`.
STUB = """#!{python}
import json, os, sys, time
print(json.dumps({{"version": "stub"}}), flush=True)
for line in sys.stdin:
    request = json.loads(line)
    answer = {{"seconds": 0.5, "calls": 1, "error": 0.0}}
    if request["do"] == "open":
        name = request["workload"]["name"]
    if request["do"] == "time" and name == {at!r}:
        {act}
    print(json.dumps(answer), flush=True)
"""
DIES = "os.kill(os.getpid(), 9)"


def stub(folder: Path, at: str, act: str) -> str:
    """The option for a peer called numba that does `act` when it is timed in a workload."""
    program = folder / "stub"
    program.write_text(STUB.format(python=sys.executable, at=at, act=act))
    program.chmod(0o755)
    return f"numba={program}"


def hangs(sign: Path) -> str:
    """Tell its process, then hang."""
    new = f"open({str(sign) + '.new'!r}, 'w').write(str(os.getpid()))"
    return f"{new}; os.rename({str(sign) + '.new'!r}, {str(sign)!r}); time.sleep(3600)"


def command(folder: Path, python: str, *options: str) -> dict[str, Any]:
    """Arguments of a process that times elementwise functions of few elements."""
    fixed = ["elementwise", "-n", "1000", "--rounds", "1", "--no-plots", "--peers", "numba"]
    return {
        "args": [sys.executable, "-m", "jitgraph", "bench", *fixed, "--python", python, *options],
        "cwd": folder,
        "env": {
            **os.environ,
            "PYTHONPATH": str(Path(jitgraph.__file__).parents[1]),
            "JITGRAPH_CACHE_DIR": str(folder / "cache"),
        },
        # Whoever started the tests may have told them to ignore it.
        "preexec_fn": lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    }


def interrupt(folder: Path, number: signal.Signals, *options: str) -> tuple[int, str, str, str]:
    """Exit code, what stdout had before, stdout and stderr of a run interrupted in the third of
    its workloads, log. Its peers are gone then.
    """
    sign, out, err = folder / "sign", folder / "out", folder / "err"
    python = stub(folder, "log", hangs(sign))
    with out.open("w") as to, err.open("w") as errors:
        process = subprocess.Popen(**command(folder, python, *options), stdout=to, stderr=errors)
        try:
            for _ in range(6000):
                if sign.exists() or process.poll() is not None:
                    break
                time.sleep(0.05)
            before = out.read_text()
            peer = int(sign.read_text())
            os.kill(peer, 0)
            process.send_signal(number)
            status = process.wait(120)
        finally:
            process.kill()
            process.wait()
    with pytest.raises(ProcessLookupError):
        os.kill(peer, 0)
    return status, before, out.read_text(), err.read_text()


def test_what_was_done_is_shown_and_written(tmp_path: Path) -> None:
    files = ("--json", "figures.json", "--history", "runs.jsonl")
    status, before, out, err = interrupt(tmp_path, signal.SIGINT, *files)
    assert status == 128 + signal.SIGINT == 130
    # The tables of what was done were there while the third was measured, as they are at the end.
    assert re.findall(r"^(\w+): .*float64\)$", before, re.M) == ["exp", "tanh"]
    assert re.findall(r"^  numba .* 500 ms ", before, re.M) != []
    assert out.startswith(before)
    end = out.removeprefix(before)
    assert "NOT COMPLETE: interrupted (SIGINT) after 2 of 7 workloads.\n" in end
    assert "Targets: 2;" in end
    assert err.endswith("\njitgraph bench: interrupted (SIGINT) after 2 of 7 workloads\n")
    assert "Traceback" not in err
    report = json.loads((tmp_path / "figures.json").read_text())
    assert [w["name"] for w in report["workloads"]] == ["exp", "tanh"]
    assert (report["interrupted"], report["pictures"]) == ("SIGINT", [])
    assert {v["workload"] for v in report["verdicts"]} == {"exp", "tanh"}
    (line,) = (tmp_path / "runs.jsonl").read_text().splitlines()
    assert json.loads(line)["report"]["workloads"] == report["workloads"]


def test_json_on_stdout_is_whole(tmp_path: Path) -> None:
    status, before, out, err = interrupt(tmp_path, signal.SIGTERM, "--json", "-")
    assert (status, before) == (128 + signal.SIGTERM, "")
    report = json.loads(out)
    assert [w["name"] for w in report["workloads"]] == ["exp", "tanh"]
    assert report["interrupted"] == "SIGTERM"
    assert report["incomplete"] == ["interrupted (SIGTERM) after 2 of 7 workloads"]
    # Without a table there is a line for each workload.
    done = re.findall(r"^(\[\d/7\] \w+): jitgraph .*, best peer numba 500 ms$", err, re.M)
    assert done == ["[1/7] exp", "[2/7] tanh"]


def test_a_peer_that_dies_is_named_and_the_run_goes_on(tmp_path: Path) -> None:
    options = command(tmp_path, stub(tmp_path, "tanh", DIES), "--json", "figures.json")
    ran = subprocess.run(**options, capture_output=True, text=True, timeout=600)
    assert ran.returncode == 0, ran.stderr
    problem = "failed: its process ended (SIGKILL)"
    remark = f"numba was not timed in tanh ({problem})"
    assert f"NOT COMPLETE: {remark}.\n" in ran.stdout
    assert ran.stdout.count(f"  NOT TIMED numba (out): {problem}\n") == 1
    report = json.loads((tmp_path / "figures.json").read_text())
    assert report["incomplete"] == [remark]
    by = {w["name"]: w["results"] for w in report["workloads"]}
    for name in ("exp", "tanh", "log", "long"):  # it was started again
        times = {r["median_s"] for r in by[name] if r["peer"] == "numba"}
        assert times == ({None} if name == "tanh" else {0.5})


# --- without processes ---------------------------------------------------------------------------


def test_starts_of_programs_that_were_done_are_shown(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def process(peer: str, program: str, *_: Any) -> dict[str, Any]:
        if program == "ops200":
            raise Interrupted(signal.SIGINT)
        return {"seconds": 0.25, "values": [1.0], "peak": 1 << 20}

    monkeypatch.setattr(startup, "PROGRAMS", ("logistic", "ops200"))
    monkeypatch.setattr(startup, "_process", process)
    options = ["--rounds", "1", "--peers", "none", "--no-plots"]
    assert main(["bench", "compile", *options]) == 130
    out, err = capsys.readouterr()
    assert "\nlogistic regression, training function: from the start" in out
    assert "\n200 elementwise" not in out
    assert "NOT COMPLETE: interrupted (SIGINT) after 1 of 2 workloads." in out
    assert err.endswith("jitgraph bench: interrupted (SIGINT) after 1 of 2 workloads\n")


def test_without_values_to_compare_with_no_start_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    def process(peer: str, program: str, interpreter: str, *_: Any) -> dict[str, Any]:
        late = peer == "NumPy"
        return {"failed": "no result in 1 s"} if late else {"values": [1.0], "peak": 1}

    monkeypatch.setattr(startup, "PROGRAMS", ("mlp",))
    monkeypatch.setattr(startup, "_process", process)
    ((cold, warm),) = startup.measure(["jitgraph"], {}, 1, 1, 1.0)
    assert cold.seconds == warm.seconds == []
    assert cold.problem == "failed: no values of NumPy to compare with: no result in 1 s"


def test_an_interrupted_study_is_json_too(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def rows(*_: Any) -> Any:
        raise Interrupted(signal.SIGTERM)

    monkeypatch.setattr(sigmoid, "_rows", rows)
    assert main(["bench", "sigmoid", "-n", "1000", "--no-plots", "--json", "-"]) == 143
    out, err = capsys.readouterr()
    report = json.loads(out)
    assert (report["contenders"], report["interrupted"]) == ([], "SIGTERM")
    assert err == "jitgraph bench: interrupted (SIGTERM)\n"


@pytest.fixture
def usual_signals() -> Iterator[None]:
    """As in a program that was not told to ignore any, as one started with & in a script is."""
    before = {n: signal.signal(n, signal.SIG_DFL) for n in Interrupts.NUMBERS}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.usefixtures("usual_signals")
def test_signals_are_exceptions_and_further_ones_wait() -> None:
    before = [signal.getsignal(n) for n in Interrupts.NUMBERS]
    ran_on = False
    with Interrupts() as interrupts:
        for number, name in ((signal.SIGTERM, "SIGTERM"), (signal.SIGINT, "SIGINT")):
            with pytest.raises(Interrupted) as found:
                signal.raise_signal(number)
            assert (found.value.name, found.value.status) == (name, 128 + number)
            signal.raise_signal(number)  # while figures are written
            ran_on = True
            interrupts.last -= Interrupts.GRACE
    assert ran_on
    assert [signal.getsignal(n) for n in Interrupts.NUMBERS] == before


def test_a_signal_that_was_to_be_ignored_stays_ignored() -> None:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with Interrupts():
            assert signal.getsignal(signal.SIGINT) == signal.SIG_IGN
            signal.raise_signal(signal.SIGINT)
        assert signal.getsignal(signal.SIGINT) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)
