"""`jitgraph bench sigmoid`: its figures against known facts, its forms, its refusals."""

from __future__ import annotations

import json
import math
import os
import statistics
import struct
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import jitgraph.bench
from jitgraph.bench import sigmoid
from jitgraph.bench.measure import Contender, Timing
from jitgraph.bench.sigmoid import Settings, memory_needed, remarks
from jitgraph.cli import main
from jitgraph.config import config

NAMES = [
    "copy, warm",
    "copy, fresh",
    "copy, compiled",
    "NumPy",
    "sigmoid",
    "ultra_fast_sigmoid",
    "hard_sigmoid",
]


@pytest.fixture(scope="module", autouse=True)
def _own_cache() -> Iterator[None]:
    with tempfile.TemporaryDirectory() as place, config.change_flags(cache_dir=place):
        yield


def bench(capsys: pytest.CaptureFixture[str], *arguments: str) -> Any:
    """The JSON that the command prints, and nothing but that."""
    capsys.readouterr()
    status = main(["bench", "sigmoid", "--no-plots", "--peers", "none", "--json", "-", *arguments])
    out, err = capsys.readouterr()
    assert (status, "Traceback" in err) == (0, False)
    return json.loads(out)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_figures_are_plausible(capsys: pytest.CaptureFixture[str], dtype: str) -> None:
    report = bench(capsys, "-n", "100000", "--rounds", "3", "--dtype", dtype)
    assert (report["n"], report["dtype"], report["rounds"]) == (100_000, dtype, 3)
    rows = {c["name"]: c for c in report["contenders"]}
    assert list(rows) == NAMES
    size = 8 if dtype == "float64" else 4
    assert report["base"] in NAMES[:3]
    assert min(rows[name]["ratio_to_copy"] for name in NAMES[:3]) == 1  # the fastest copy
    for c in rows.values():
        assert len(c["seconds"]) == 3
        assert c["median_s"] == statistics.median(c["seconds"])
        assert c["ns_per_element"] == pytest.approx(c["median_s"] * 1e4)
        assert c["gb_per_s"] == pytest.approx(2 * size * 1e5 / c["median_s"] / 1e9)
        assert c["ratio_to_copy"] == pytest.approx(c["median_s"] / rows[report["base"]]["median_s"])
        assert (c["errors"] is None) == c["is_copy"]
        # Between what no memory delivers and what an interpreter needs.
        assert 1e-3 < c["ns_per_element"] < 1e3
    errors = {name: c["errors"] for name, c in rows.items() if c["errors"]}
    eps = 2.0**-52 if dtype == "float64" else 2.0**-23
    assert errors["sigmoid"]["max_ulp"] <= 1
    assert errors["sigmoid"]["max_abs"] <= eps / 2
    assert errors["sigmoid"]["limits"] is True
    # Rounded three times at values up to 2; wrong near the end, where exp(-x) overflows.
    assert errors["NumPy"]["max_abs"] <= 1.5 * eps
    assert errors["NumPy"]["max_ulp"] > 1e6
    # 1 - sigmoid(2.5), at the end of the straight line.
    assert errors["hard_sigmoid"]["max_abs"] == pytest.approx(
        1 - 1 / (1 + math.exp(-2.5)), abs=1e-7
    )
    assert abs(errors["hard_sigmoid"]["max_abs_at"]) == pytest.approx(2.5, abs=1e-5)
    # Worst at x with |x| about 0.539; see the formula below.
    assert errors["ultra_fast_sigmoid"]["max_abs"] == pytest.approx(worst_ultra_fast(), abs=1e-6)
    assert abs(errors["ultra_fast_sigmoid"]["max_abs_at"]) == pytest.approx(0.539, abs=0.02)
    for name in ("ultra_fast_sigmoid", "hard_sigmoid"):
        assert 0 < errors[name]["mean_abs"] < errors[name]["max_abs"]


def worst_ultra_fast() -> float:
    """The largest error of 0.5 (1.5 h / (1 + h) + 1), h = x/2 below 1.7, found on a fine grid."""
    xs = (k * 1e-5 for k in range(10_000, 200_000))
    return max(abs(0.5 * (0.75 * x / (1 + x / 2) + 1) - 1 / (1 + math.exp(-x))) for x in xs)


def test_machine_is_described(capsys: pytest.CaptureFixture[str]) -> None:
    report = bench(capsys, "-n", "1000", "--rounds", "1", "--threads", "2")
    assert report["threads"] == 2
    machine = report["machine"]
    assert machine["cpu"]
    assert machine["cores"] >= 1
    assert machine["memory_bytes"] > 1 << 28
    assert set(machine["versions"]) == {"jitgraph", "python", "numpy", "cffi"}
    assert "-O3" in machine["compiler"]["flags"]
    threads = {c["name"]: c["threads"] for c in report["contenders"]}
    assert (threads["copy, warm"], threads["sigmoid"], threads["NumPy"]) == (2, 2, 1)


def test_remarks_tell_a_bad_run_from_a_good_one() -> None:
    def timing(name: str, seconds: list[float]) -> Timing:
        return Timing(Contender(name, "", 1, lambda x: x), seconds=seconds)

    steady, unsteady = timing("steady", [1.0, 1.01, 1.02]), timing("shaky", [1.0, 1.5, 2.0])
    assert remarks([steady], 5, 0.9, 2) == []
    assert remarks([steady], 5, None, 2) == []
    assert remarks([steady], 5, 1.1, 2) == ["other programs were running (load 1.1 on 2 cores)"]
    assert remarks([steady, unsteady], 5, 0, 2) == ["times vary by more than 10%: shaky"]
    assert remarks([steady], 3, 0, 2) == ["fewer than 5 rounds"]


def test_table_file_and_pictures(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    figures = tmp_path / "figures.json"
    arguments = ["--n", "1e4", "--rounds", "1", "--json", str(figures), "--out", str(tmp_path)]
    assert main(["bench", "sigmoid", "--peers", "none", *arguments]) == 0
    out, err = capsys.readouterr()
    stages = [line.partition(":")[0].partition(" (")[0] for line in err.splitlines()]
    expected = ["exact values", "input", "compiling", "warming up", "round 1 of 1", "precision"]
    assert list(dict.fromkeys(stages)) == expected
    lines = out.splitlines()
    (head,) = (k for k, line in enumerate(lines) if line.startswith("contender"))
    table = lines[head : head + 1 + len(NAMES)]
    assert [line[: len(name)] for line, name in zip(table[1:], NAMES, strict=True)] == NAMES
    assert len({len(line) for line in table}) == 1  # aligned
    assert max(map(len, lines)) <= 120
    report = json.loads(figures.read_text())
    assert "fewer than 5 rounds" in out
    assert f"{report['contenders'][4]['errors']['max_ulp']:.3f}" == table[5].split()[-1]
    assert report["pictures"] == [
        str(tmp_path / f"sigmoid_{name}.png") for name in ("precision", "time_error")
    ]
    for picture in report["pictures"]:
        assert f"picture: {picture}" in lines
        data = Path(picture).read_bytes()
        assert data[:8] == b"\x89PNG\r\n\x1a\n"
        width, height = struct.unpack(">II", data[16:24])
        assert 1000 < width < 2000
        assert 700 < height < 2000
        assert len(data) > 20_000  # something is drawn


def test_without_matplotlib_there_is_one_line(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setitem(sys.modules, "jitgraph.bench.plots", None)
    monkeypatch.delattr(jitgraph.bench, "plots", raising=False)  # imported by another test
    arguments = ["-n", "100", "--rounds", "1", "--peers", "none", "--out", str(tmp_path)]
    assert main(["bench", "sigmoid", *arguments]) == 0
    out, err = capsys.readouterr()
    assert err.endswith("\nno pictures: they need matplotlib (pip install 'jitgraph[plot]')\n")
    assert "hard_sigmoid" in out
    assert not list(tmp_path.iterdir())


def test_too_many_elements_are_refused_before_anything_is_allocated() -> None:
    """In a process that may not allocate a gibibyte: the refusal must not even try."""
    code = (
        "import resource, sys; from jitgraph.cli import main; import jitgraph.bench.sigmoid; "
        "resource.setrlimit(resource.RLIMIT_DATA, (1 << 30, 1 << 30)); "
        "sys.exit(main(['bench', 'sigmoid', '-n', str(10**13), '--peers', 'none']))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, "PYTHONPATH": str(Path(jitgraph.__file__).parents[1])},
    )
    assert (done.returncode, done.stdout) == (2, "")
    needed = memory_needed(Settings(n=10**13))
    assert needed > 5 * 8 * 10**13
    assert f"need {needed:,} bytes" in done.stderr
    assert "bytes are available. The most that fits is -n " in done.stderr
    assert "Traceback" not in done.stderr


def test_the_refusal_is_at_the_limit(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def measured(*_: Any) -> Any:
        raise InterruptedError

    monkeypatch.setattr(sigmoid, "_rows", measured)
    needed = memory_needed(Settings(n=1000, dtype="float32"))
    command = ["bench", "sigmoid", "--no-plots", "--peers", "none", "--dtype", "float32", "-n"]
    monkeypatch.setattr(sigmoid, "available_memory", lambda: needed)
    with pytest.raises(InterruptedError):
        main([*command, "1000"])
    assert main([*command, "1001"]) == 2
    assert "The most that fits is -n 1000" in capsys.readouterr().err
    monkeypatch.setattr(sigmoid, "available_memory", lambda: 5)
    assert main([*command, "1"]) == 2
    assert "Nothing fits" in capsys.readouterr().err
    monkeypatch.setattr(sigmoid, "available_memory", lambda: 0)  # unknown: let it try
    with pytest.raises(InterruptedError):
        main([*command, "1000000000000"])


def test_memory_that_runs_out_is_reported(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def exhausted(*_: Any) -> Any:
        raise MemoryError("Unable to allocate")

    monkeypatch.setattr(sigmoid, "measure", exhausted)
    assert main(["bench", "sigmoid", "-n", "1000", "--no-plots", "--peers", "none"]) == 2
    assert "no memory for 1,000 elements: Unable to allocate" in capsys.readouterr().err
