"""`jitgraph bench SUITE` as it is typed, with the peers that this Python has."""

from __future__ import annotations

import json
import struct
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from jitgraph.bench import history
from jitgraph.bench.limits import READS, Mover, copy_rate
from jitgraph.bench.peers.workloads import suite
from jitgraph.bench.targets import LIMITS
from jitgraph.cli import main
from jitgraph.config import config


@pytest.fixture(scope="module", autouse=True)
def _own_cache() -> Iterator[None]:
    with (
        tempfile.TemporaryDirectory() as place,
        config.change_flags(cache_dir=place),
        pytest.MonkeyPatch.context() as patch,
    ):
        patch.setenv("JITGRAPH_CACHE_DIR", place)  # for the processes
        yield


def bench(capsys: pytest.CaptureFixture[str], *arguments: str) -> Any:
    capsys.readouterr()
    options = ("--no-plots", "--json", "-", "-n", "20000", "--rounds", "2", "--peers", "numpy")
    status = main(["bench", *arguments, *options])
    out, err = capsys.readouterr()
    assert (status, "Traceback" in err) == (0, False)
    return json.loads(out)


@pytest.mark.parametrize("name", ["elementwise", "reductions", "softmax", "training", "overhead"])
def test_suites_time_all_their_workloads(capsys: pytest.CaptureFixture[str], name: str) -> None:
    report = bench(capsys, name, "--dtype", "float64")
    assert [w["name"] for w in report["workloads"]] == [
        w.name for w in suite(name, 20000, "float64")
    ]
    for w in report["workloads"]:
        by = {(r["peer"], r["variant"]): r for r in w["results"]}
        mine = by["jitgraph", "default"]
        assert mine["problem"] == ""
        assert len(mine["seconds"]) == 2
        assert mine["ratio_to_jitgraph"] == 1
        assert by["NumPy", "default"]["median_s"] > 0
        if w["limit"]:
            assert w["limit_s"] == by["limit", "default"]["median_s"]
            assert mine["ratio_to_limit"] == pytest.approx(mine["median_s"] / w["limit_s"])
            assert mine["gb_per_s"] == pytest.approx(w["bytes_moved"] / mine["median_s"] / 1e9)
        else:
            assert ("limit", "default") not in by
    assert report["verdicts"]
    assert report["peers"]["NumPy"] == {"version": np.__version__, "missing": ""}


@pytest.mark.parametrize("name", ["elementwise", "softmax"])
def test_float32_is_measured_against_float32_and_has_the_same_targets(
    capsys: pytest.CaptureFixture[str], name: str
) -> None:
    report = bench(capsys, name, "--dtype", "float32")
    single = suite(name, 20000, "float32")
    double = {w.program: w for w in suite(name, 20000, "float64")}
    for w, found in zip(single, report["workloads"], strict=True):
        assert found["dtype"] == "float32"
        assert 2 * found["bytes_moved"] == double[w.program].bytes_moved
        (limit,) = (r for r in found["results"] if r["peer"] == "limit")
        assert limit["gb_per_s"] == pytest.approx(found["bytes_moved"] / limit["median_s"] / 1e9)
    graded = {v["workload"]: v for v in report["verdicts"] if "limit" in v["what"]}
    assert list(graded) == [w.name for w in single]
    for w in single:
        v = graded[w.name]
        assert (v["must"], v["aim"], v["at_most"]) == (*LIMITS[w.program], True)


def test_one_thread_is_graded_against_the_best_peer(capsys: pytest.CaptureFixture[str]) -> None:
    report = bench(capsys, "softmax", "--dtype", "float32", "--threads", "1")
    assert report["threads"] == 1
    assert len(report["verdicts"]) == len(report["workloads"]) > 1  # NumPy is far from the limit
    for w, v in zip(report["workloads"], report["verdicts"], strict=True):
        by = {r["peer"]: r["median_s"] for r in w["results"] if r["variant"] == "default"}
        assert (v["workload"], v["must"], v["at_most"]) == (w["name"], 1.3, False)
        assert (v["note"], v["found"]) == ("NumPy", pytest.approx(by["NumPy"] / by["jitgraph"]))


def test_sigmoid_has_both_dtypes_after_the_study(capsys: pytest.CaptureFixture[str]) -> None:
    report = bench(capsys, "sigmoid")
    assert [c["name"] for c in report["contenders"]][-1] == "hard_sigmoid"
    names = [w["name"] for w in report["comparison"]["workloads"]]
    assert names[2:4] == ["sigmoid", "hard_sigmoid float32"]


def test_compile_starts_fresh_processes(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from jitgraph.bench import startup

    monkeypatch.setattr(startup, "PROGRAMS", ("logistic", "ops200"))
    report = bench(capsys, "compile", "--rounds", "1")
    found = {(s["peer"], s["program"], s["state"]): s for s in report["starts"]}
    assert set(found) == {
        ("jitgraph", p, s) for p in ("logistic", "ops200") for s in startup.STATES
    } | {("NumPy", "logistic", "empty cache")}
    for s in found.values():
        assert s["problem"] == ""
        assert 0.01 < s["median_s"] < 60
        assert s["peak_bytes"] > 10 << 20
    cold, warm = (found["jitgraph", "logistic", s]["median_s"] for s in startup.STATES)
    assert cold > warm  # the second finds the code of the first


def test_table_pictures_file_and_history(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    figures, runs = tmp_path / "f.json", tmp_path / "runs.jsonl"
    options = ["-n", "1e4", "--rounds", "1", "--peers", "numpy", "--history", str(runs)]
    command = ["bench", "reductions", *options, "--json", str(figures), "--out", str(tmp_path)]
    assert main(command) == 0
    out, err = capsys.readouterr()
    assert "mean_square: limit compiles and is checked" in err
    assert "fewer than 5 rounds" in out
    report = json.loads(figures.read_text())
    (picture,) = report["pictures"]
    data = Path(picture).read_bytes()
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    width, height = struct.unpack(">II", data[16:24])
    assert (1000 < width < 2000, 400 < height < 3000) == (True, True)
    assert main(["bench", "compare", "1", "1", "--history", str(runs)]) == 0
    assert capsys.readouterr().out.count("+0%") == 3
    assert main(["bench", "compare", "--history", str(runs)]) == 0
    assert "reductions, n=10,000" in capsys.readouterr().out
    other = json.loads(runs.read_text())
    other["report"]["workloads"] = []
    with runs.open("a") as file:
        file.write(f'{json.dumps(other)}\nnull\n{{"commit": 1}}\n{{"comm')  # a run cut off
    history.append(str(runs), report)
    assert main(["bench", "compare", "1", "3", "--history", str(runs)]) == 0
    out, err = capsys.readouterr()
    assert (out.count("+0%"), "left out: line 3, 4, 5\n" in err) == (3, True)
    assert main(["bench", "compare", "1", "2", "--history", str(runs)]) == 0
    assert "nothing to compare" in capsys.readouterr().out
    runs.write_bytes(b"\xff\xfe\n")
    assert main(["bench", "compare", "--history", str(runs)]) == 2
    assert "is not a file of runs" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (("overhead", "extra"), "takes no more names: extra"),
        (("overhead", "--peers", "excel"), "no peer is called 'excel'"),
        (("overhead", "--python", "numba"), "is not NAME=PATH of a peer"),
        (("overhead", "--python", "numba=/no/such"), "/no/such is not a program"),
        (("overhead", "--history", "/no/such/file"), "/no/such/file cannot be written"),
        (("compare", "1", "2"), "needs --history FILE"),
        (("compare", "1", "--history", "x"), "takes two runs"),
        (("softmax", "-n", "10_000_000_000_000"), "bytes are available. The most that fits is"),
    ],
)
def test_refusals(
    capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], complaint: str
) -> None:
    assert main(["bench", *arguments]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert complaint in err


# --- limits --------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", list(READS))
@pytest.mark.parametrize("words", [8, 9, 1000, 100_003])
def test_movers_move_every_line(kind: str, words: int) -> None:
    rng = np.random.default_rng(words)
    arrays = [rng.integers(0, 2**63, words, dtype=np.uint64) for _ in range(3)]
    mover = Mover(kind, arrays)
    lines = words // 8
    expected = arrays[0][: 8 * lines].copy()
    for a in arrays[1 : READS[kind]]:
        expected ^= a[: 8 * lines]
    for _ in range(2):  # whichever body was chosen, and again
        result = mover()
    if kind in ("copy", "stream3"):
        assert np.array_equal(mover.out.view(np.uint64), expected)
        assert mover.bytes_moved == 64 * lines * (READS[kind] + 1)
    else:
        assert result % 2**64 == int(np.bitwise_xor.reduce(expected))
        assert mover.bytes_moved == 64 * lines * READS[kind]


def test_movers_want_equal_arrays() -> None:
    with pytest.raises(ValueError, match="read2 moves 2 arrays"):
        Mover("read2", [np.zeros(8)])
    with pytest.raises(ValueError, match="of the same size"):
        Mover("read2", [np.zeros(8), np.zeros(16)])


def test_the_rate_of_a_copy_is_one_of_a_memory() -> None:
    assert 1e8 < copy_rate(1 << 22) < 1e13
