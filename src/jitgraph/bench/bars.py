"""Bar charts of the comparison. Importing this needs matplotlib."""

from __future__ import annotations

import os
from typing import Any

from jitgraph.bench.history import VARIANTS
from jitgraph.bench.plots import GREY, _figure, _save, _tidy
from jitgraph.bench.report import seconds

OURS, OTHERS, LIMIT = "#0072B2", "#BBBBBB", "#555555"


def draw(report: dict[str, Any], directory: str) -> list[str]:
    """A picture for each suite that has been timed; their paths."""
    paths = []
    groups = dict.fromkeys(w["group"] for w in report["workloads"])
    for group in groups:
        chosen = [w for w in report["workloads"] if w["group"] == group]
        path = os.path.join(directory, f"bench_{group}.png")
        _bars(report, group, [_timed(w) for w in chosen], path)
        paths.append(path)
    if report["starts"]:
        path = os.path.join(directory, "bench_compile.png")
        _bars(report, "first result of a fresh process", _start_panels(report), path)
        paths.append(path)
    return paths


def _timed(w: dict[str, Any]) -> tuple[str, list[tuple[str, float]]]:
    rows = []
    for r in w["results"]:
        if r["median_s"] is not None:
            given = VARIANTS[r["variant"]]
            name = f"memory limit ({w['limit']})" if r["peer"] == "limit" else r["peer"] + given
            rows.append((name, r["median_s"]))
    return w["name"], rows


def _start_panels(report: dict[str, Any]) -> list[tuple[str, list[tuple[str, float]]]]:
    from jitgraph.bench.startup import TITLES

    panels: dict[str, list[tuple[str, float]]] = {}
    for s in report["starts"]:
        if s["median_s"] is not None:
            state = "" if s["peer"] == "NumPy" else f", {s['state']}"
            row = (f"{s['peer']}{state}", s["median_s"])
            panels.setdefault(TITLES[s["program"]], []).append(row)
    return list(panels.items())


def _bars(
    report: dict[str, Any], title: str, panels: list[tuple[str, list[tuple[str, float]]]], path: str
) -> None:
    """One panel below the other, the fastest bar on top, each with its own scale of time."""
    heights = [len(rows) + 1.5 for _, rows in panels]
    figure = _figure(9, 0.9 + 0.23 * sum(heights))
    axes = figure.subplots(len(panels), 1, height_ratios=heights, squeeze=False)
    for (name, rows), ax in zip(panels, axes[:, 0], strict=True):
        _panel(ax, sorted(rows, key=lambda r: r[1]))
        ax.set_title(name, loc="left", fontsize=9, fontweight="bold")
    machine = report["machine"]
    what = f"{report['n']:,} elements, {report['threads']} threads, {machine['cpu']}"
    note = f"{what}, {machine['cores']} cores; bars that reach the right edge are longer"
    figure.suptitle(f"{title}: time, shorter is better", x=0.01, ha="left", fontweight="bold")
    figure.supxlabel(note, fontsize=8, color=GREY)
    _save(figure, path)


def _panel(ax: Any, rows: list[tuple[str, float]]) -> None:
    values = [v for _, v in rows]
    colours = [_colour(name) for name, _ in rows]
    ax.barh(range(len(rows)), values, color=colours, height=0.75)
    ax.set_yticks(range(len(rows)), [name for name, _ in rows], fontsize=8)
    ax.invert_yaxis()
    # Next to a bar many times as long as ours nothing could be seen of ours.
    ours = [v for v, colour in zip(values, colours, strict=True) if colour == OURS]
    end = min(max(values), 6 * max(ours, default=values[-1])) * 1.12
    ax.set_xlim(0, end)
    for k, (v, colour) in enumerate(zip(values, colours, strict=True)):
        inside = v > 0.9 * end
        ax.text(
            0.99 * end if inside else v + 0.005 * end,
            k,
            seconds(v),
            va="center",
            ha="right" if inside else "left",
            fontsize=8,
            color="white" if inside and colour != OTHERS else "black",
        )
    _tidy(ax)
    ax.grid(False)
    ax.set_xticks([])
    ax.spines["bottom"].set_visible(False)


def _colour(name: str) -> str:
    if name.startswith("memory limit"):
        return LIMIT
    return OURS if name.startswith("jitgraph") else OTHERS
