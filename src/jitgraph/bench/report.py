"""A run of the comparison as text for a terminal: its head, a table for each workload, its end.

Each part is the lines to print, and can be printed before the next one is known.
"""

from __future__ import annotations

import itertools
import textwrap
from typing import Any

from jitgraph.bench.contest import YARDSTICKS

WIDTH = 100

_LIMITS = {
    "copy": "an array read, one written",
    "stream3": "three arrays read, one written",
    "read": "an array read",
    "read2": "two arrays read",
}


def render(report: dict[str, Any]) -> str:
    """The conditions, a table for each workload, the starts, the targets, what columns mean."""
    lines = head(report)
    for w in report["workloads"]:
        lines += workload(w)
    for _, group in itertools.groupby(report["starts"], key=lambda s: s["program"]):
        lines += starts(list(group))
    return "\n".join([*lines, *end(report)]) + "\n"


def end(report: dict[str, Any]) -> list[str]:
    """What can only be said when all is done."""
    lines = []
    if report["verdicts"]:
        lines += ["", *_verdicts(report["verdicts"])]
    lines.append("")
    if report["incomplete"]:
        lines += _wrap(f"NOT COMPLETE: {'; '.join(report['incomplete'])}.")
    if report["remarks"]:
        lines += _wrap(f"DO NOT RELY ON THESE TIMES: {', '.join(report['remarks'])}.")
    for text in _explanation(report):
        lines += _wrap(text)
    return lines


def seconds(value: float) -> str:
    """Three digits with a unit."""
    for unit, size in (("s", 1.0), ("ms", 1e-3), ("µs", 1e-6)):
        if value >= size:
            return f"{value / size:.3g} {unit}"
    return f"{value * 1e9:.3g} ns"


def _wrap(text: str) -> list[str]:
    return textwrap.wrap(text, WIDTH, subsequent_indent="  ", break_on_hyphens=False)


def head(report: dict[str, Any]) -> list[str]:
    """The conditions."""
    machine = report["machine"]
    load = report["load_before"]
    versions = ", ".join(f"{k} {v}" for k, v in machine["versions"].items())
    text = [
        f"{report['benchmark']}: {report['n']:,} elements, {report['threads']} thread(s), "
        f"{report['rounds']} interleaved rounds after a warm-up",
        f"{machine['cpu']}, {machine['cores']} cores, "
        + ("load unknown" if load is None else f"load {load:.1f} before")
        + f", {machine['system']}; {versions}",
    ]
    if machine["compiler"] is not None:
        text.append(f"{machine['compiler']['version']}: {' '.join(machine['compiler']['flags'])}")
    there = [f"{k} {p['version']}" for k, p in report["peers"].items() if not p["missing"]]
    if there:
        text.append(f"compared: {', '.join(there)}")
    text += [
        f"not compared: {k}: {p['missing']}" for k, p in report["peers"].items() if p["missing"]
    ]
    return [line for part in text for line in _wrap(part)]


def _table(rows: list[list[str]], left: int = 1) -> list[str]:
    """Aligned columns, the first `left` of them to the left."""
    widths = [max(len(r[k]) for r in rows) for k in range(len(rows[0]))]
    lines = []
    for r in rows:
        cells = [
            c.ljust(n) if k < left else c.rjust(n)
            for k, (c, n) in enumerate(zip(r, widths, strict=True))
        ]
        lines.append("  ".join(cells).rstrip())
    return lines


_NAMES = {"limit": "memory limit"}
_VARIANTS = {"default": "new", "out": "given", "forward": "forward pass"}


def workload(w: dict[str, Any]) -> list[str]:
    """The table of a workload, the fastest first."""
    shapes = ", ".join(f"{k} {'x'.join(map(str, s)) or 'a number'}" for k, s in w["shapes"].items())
    lines = ["", *_wrap(f"{w['name']}: {w['formula']}   ({shapes}, {w['dtype']})")]
    rows = [["  by", "result", "median", "MAD", "GB/s", "x limit", "x jitgraph"]]
    timed = [r for r in w["results"] if r["median_s"] is not None]
    for r in sorted(timed, key=lambda r: (r["variant"], r["median_s"])):
        name = _NAMES.get(r["peer"], r["peer"])
        if r["peer"] == "limit":
            name = f"{name}, {w['limit']}"
        rows.append(
            [
                f"  {name}",
                _VARIANTS[r["variant"]],
                seconds(r["median_s"]),
                f"{r['mad_s'] / r['median_s']:.0%}",
                "" if r["gb_per_s"] is None else f"{r['gb_per_s']:.1f}",
                "" if r["ratio_to_limit"] is None else f"{r['ratio_to_limit']:.2f}",
                "" if r["ratio_to_jitgraph"] is None else f"{r['ratio_to_jitgraph']:.2f}",
            ]
        )
    lines += _table(rows, left=2)
    for r in w["results"]:
        if r["problem"] and not r["problem"].startswith("unsupported"):
            lines += _wrap(f"  NOT TIMED {r['peer']} ({r['variant']}): {r['problem']}")
    return lines


def starts(found: list[dict[str, Any]]) -> list[str]:
    """The table of a program."""
    from jitgraph.bench.startup import TITLES

    title = TITLES[found[0]["program"]]
    lines = ["", *_wrap(f"{title}: from the start of a process to the first result")]
    rows = [["  by", "cache", "median", "MAD", "peak MiB"]]
    for s in found:
        if s["median_s"] is None:
            continue
        numpy = s["peer"] == "NumPy"
        rows.append(
            [
                f"  {s['peer']}",
                "none, no compiler" if numpy else s["state"].removesuffix(" cache"),
                seconds(s["median_s"]),
                f"{s['mad_s'] / s['median_s']:.0%}",
                f"{s['peak_bytes'] / 2**20:.0f}",
            ]
        )
    lines += _table(rows, left=2)
    for s in found:
        if s["problem"] and s["state"] == "empty cache" and "unsupported" not in s["problem"]:
            lines += _wrap(f"  NOT TIMED {s['peer']}: {s['problem']}")
    return lines


# --- in one line ---------------------------------------------------------------------------------


def workload_line(w: dict[str, Any]) -> str:
    """A workload's plain calls: jitgraph, its ratio to the limit, the best of the others."""
    timed = {
        r["peer"]: r
        for r in w["results"]
        if r["variant"] == "default" and r["median_s"] is not None
    }
    mine = timed.get("jitgraph")
    texts = [f"jitgraph {seconds(mine['median_s'])}" if mine else "jitgraph not timed"]
    if mine and mine["ratio_to_limit"] is not None:
        texts.append(f"{mine['ratio_to_limit']:.2f} x {w['limit']}")
    others = {k: r["median_s"] for k, r in timed.items() if k not in ("jitgraph", *YARDSTICKS)}
    failed = [
        f"{r['peer']} not timed"
        for r in w["results"]
        if r["peer"] != "jitgraph" and r["variant"] == "default" and r["problem"]
        if not r["problem"].startswith("unsupported")
    ]
    return f"{w['name']}: {', '.join([*texts, *_best(others), *failed])}"


def starts_line(found: list[dict[str, Any]]) -> str:
    """A program's starts with an empty cache: jitgraph, the best of the others."""
    from jitgraph.bench.startup import TITLES

    cold = {
        s["peer"]: s["median_s"]
        for s in found
        if s["state"] == "empty cache" and s["median_s"] is not None and s["peer"] != "NumPy"
    }
    mine = cold.pop("jitgraph", None)
    texts = ["jitgraph not timed" if mine is None else f"jitgraph {seconds(mine)}, empty cache"]
    return f"{TITLES[found[0]['program']]}: {', '.join([*texts, *_best(cold)])}"


def _best(others: dict[str, float]) -> list[str]:
    if not others:
        return []
    peer = min(others, key=lambda k: others[k])
    return [f"best peer {peer} {seconds(others[peer])}"]


def _verdicts(found: list[dict[str, Any]]) -> list[str]:
    missed = sum(v["grade"] == "miss" for v in found)
    aimed = sum(v["grade"] == "aim" for v in found)
    lines = [f"Targets: {len(found)}; {aimed} reach the aim, {missed} miss what they must"]
    rows = [["  workload", "what", "found", "must", "aim", ""]]
    for v in found:
        sign = "<=" if v["at_most"] else ">="
        aim = "" if v["aim"] is None else f"{sign} {v['aim']:.3g}"
        what = v["what"] + (f" ({v['note']})" if v["note"] else "")
        mark = {"aim": "aim", "must": "must", "miss": "MISS"}[v["grade"]]
        rows.append(
            [f"  {v['workload']}", what, f"{v['found']:.3g}", f"{sign} {v['must']:.3g}", aim, mark]
        )
    return lines + _table(rows, left=2)


def _explanation(report: dict[str, Any]) -> list[str]:
    if not report["workloads"] and not report["starts"]:
        return []
    text = ["Median and MAD (median absolute deviation) of the rounds; freeing a result not timed."]
    if report["workloads"]:
        used = dict.fromkeys(w["limit"] for w in report["workloads"] if w["limit"])
        limits = "; ".join(f"{k}: {_LIMITS[k]}" for k in used)
        if limits:
            text.append(
                f"Memory limit: hand-written loops on the same arrays, into memory that is there "
                f"already ({limits}). GB/s: inputs read and results written, each once."
            )
        text.append(
            "Result new: the plain call, which returns a new array. Result given: into an array "
            "that exists, where the peer can. Each result was compared with NumPy's before."
        )
        if any(w["group"] == "loops" for w in report["workloads"]):
            text.append(
                "C: the loop written by hand, into memory that is there already, compiled with -O3 "
                "-march=native; libmvec: with the vector library's tanh. cd15: draws of the "
                "peer's own, which are compared in distribution."
            )
        if not all(w["together"] for w in report["workloads"]):
            text.append(
                "Where the inputs of all processes do not fit into memory together, each process "
                "has its own only during its turn."
            )
    if report["starts"]:
        text.append("Peak: of the largest process, compilers included.")
    return text
