"""A file of earlier runs, one JSON object a line, and the comparison of two of them.

Runs are compared by what they say relative to the memory limit of the same run, so that a machine
that was busy during one of them misleads less; times are shown beside it.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from jitgraph.inspect import CommandError

VARIANTS = {"default": "", "out": ", given result", "forward": ", forward pass"}
CHANGED = 0.05  # a ratio that moved by less is not marked


def commit() -> str:
    """The commit of this package's source, "+" behind it if files differ, "" if unknown."""
    here = str(Path(__file__).parents[1])

    def git(*arguments: str) -> str:
        done = subprocess.run(
            ["git", "-C", here, *arguments], capture_output=True, text=True, timeout=20, check=True
        )
        return done.stdout.strip()

    try:
        # (An installed package may lie in some other project's repository.)
        if not git("ls-files", "--", "graph.py"):
            return ""
        changed = git("--no-optional-locks", "status", "--porcelain", "--", ".", "../../csrc")
        return git("rev-parse", "--short=10", "HEAD") + ("+" if changed else "")
    except (OSError, subprocess.SubprocessError):
        return ""


def append(path: str, report: dict[str, Any]) -> None:
    """Add a run to the file, which is created if there is none.

    A last line without an end is that of a run which was cut off; it stays a line by itself.
    """
    line = {"commit": commit(), "time": time.strftime("%Y-%m-%dT%H:%M:%S%z"), "report": report}
    try:
        with open(path, "ab+") as file:
            if file.tell():
                file.seek(-1, os.SEEK_END)
                whole = file.read() == b"\n"
            else:
                whole = True
            text = ("" if whole else "\n") + json.dumps(line, allow_nan=False) + "\n"
            file.write(text.encode())
    except OSError as error:
        raise CommandError(f"--history: {path}: {error.strerror}") from None


def read(path: str) -> list[dict[str, Any]]:
    """All runs, the oldest first. Lines that are none are left out, with a remark.

    Raises CommandError if the file cannot be read or all its lines are like that.
    """
    try:
        lines = Path(path).read_bytes().splitlines()
    except OSError as error:
        raise CommandError(f"--history: {path}: {error.strerror}") from None
    numbered = [(k, _run(line)) for k, line in enumerate(lines, 1) if line.strip()]
    bad = [k for k, run in numbered if run is None]
    if bad and len(bad) == len(numbered):
        raise CommandError(f"--history: {path} is not a file of runs")
    if bad:
        numbers = ", ".join(map(str, bad[:5])) + (", …" if len(bad) > 5 else "")
        print(f"jitgraph bench: {path}: no whole run, left out: line {numbers}", file=sys.stderr)
    return [run for _, run in numbered if run is not None]


def _run(line: bytes) -> dict[str, Any] | None:
    try:
        run = json.loads(line)
        needed = {"benchmark", "n", "threads", "machine", "workloads"}
        whole = {"commit", "time"} <= run.keys() and needed <= run["report"].keys()
    except (ValueError, RecursionError, AttributeError, KeyError):
        return None
    return run if whole else None


def find(runs: list[dict[str, Any]], name: str) -> dict[str, Any]:
    """A run by its number (1 is the oldest), or the latest one of a commit that begins so."""
    if name.isdecimal() and 1 <= int(name) <= len(runs):
        return runs[int(name) - 1]
    found = [run for run in runs if run["commit"].startswith(name)]
    if not found:
        raise CommandError(
            f"there is no run {name!r} in the history; without names they are listed"
        )
    return found[-1]


def listing(runs: list[dict[str, Any]]) -> str:
    """The runs as a table."""
    lines = []
    for k, run in enumerate(runs, 1):
        r = run["report"]
        what = f"{r['benchmark']}, n={r['n']:,}, {r['threads']} thread(s)"
        if r.get("interrupted"):
            what += ", interrupted"
        lines.append(f"{k:4}  {run['commit'] or '-':12}  {run['time']}  {what}")
    return "\n".join(lines) + "\n"


# --- two runs ------------------------------------------------------------------------------------


def compare(a: dict[str, Any], b: dict[str, Any]) -> dict[str, Any]:
    """What both runs have measured of jitgraph, in a JSON form.

    change: of the ratio to the limit where there is one, else of the time; 0.1 is 10 % slower
    """
    first, second = _figures(a["report"]), _figures(b["report"])
    rows = []
    for key in first:
        if key not in second:
            continue
        old, new = first[key], second[key]
        relative = old["ratio"] is not None and new["ratio"] is not None
        of = "ratio" if relative else "seconds"
        rows.append(
            {
                "name": key,
                "before": old,
                "after": new,
                "compared": of,
                "change": new[of] / old[of] - 1,
            }
        )
    return {
        "before": {k: a[k] for k in ("commit", "time")},
        "after": {k: b[k] for k in ("commit", "time")},
        "remarks": _differences(a["report"], b["report"]),
        "rows": rows,
    }


def _figures(report: dict[str, Any]) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    for w in report["workloads"]:
        for r in w["results"]:
            if r["peer"] == "jitgraph" and r["median_s"] is not None:
                name = w["name"] + VARIANTS[r["variant"]]
                found[name] = {"seconds": r["median_s"], "ratio": r["ratio_to_limit"]}
    for s in report.get("starts", []):
        if s["peer"] == "jitgraph" and s["median_s"] is not None:
            found[f"{s['program']}, {s['state']}"] = {"seconds": s["median_s"], "ratio": None}
    return found


def _differences(a: dict[str, Any], b: dict[str, Any]) -> list[str]:
    found = [
        f"{key} differs: {a[key]} and {b[key]}" for key in ("n", "threads") if a[key] != b[key]
    ]
    for key in ("cpu", "cores", "compiler"):
        if a["machine"][key] != b["machine"][key]:
            found.append(f"another machine or compiler: {key}")
    for name, r in (("first", a), ("second", b)):
        if r.get("interrupted"):
            found.append(f"the {name} run was interrupted")
    if not _figures(a).keys() & _figures(b).keys():
        found.append(f"nothing to compare: {a['benchmark']} and {b['benchmark']}")
    return found


def render(compared: dict[str, Any]) -> str:
    """The comparison as a table."""
    before, after = compared["before"], compared["after"]
    lines = [
        f"before: {before['commit'] or '-'} ({before['time']})",
        f"after:  {after['commit'] or '-'} ({after['time']})",
        *(f"CAREFUL: {text}" for text in compared["remarks"]),
        "",
    ]
    table = [["workload", "before", "after", "x limit", "x limit", "change", ""]]
    for row in compared["rows"]:
        old, new, change = row["before"], row["after"], row["change"]
        mark = "" if abs(change) < CHANGED else "slower" if change > 0 else "faster"
        ratios = [f"{v['ratio']:.2f}" if v["ratio"] is not None else "" for v in (old, new)]
        seconds = [f"{v['seconds']:.4g} s" for v in (old, new)]
        table.append([row["name"], *seconds, *ratios, f"{change:+.0%}", mark])
    widths = [max(len(r[k]) for r in table) for k in range(len(table[0]))]
    for r in table:
        cells = [r[0].ljust(widths[0])]
        cells += [c.rjust(n) for c, n in zip(r[1:-1], widths[1:-1], strict=True)]
        lines.append("  ".join([*cells, r[-1]]).rstrip())
    return "\n".join(lines) + "\n"
