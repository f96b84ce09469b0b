"""The pictures of `jitgraph bench sigmoid`. Importing this needs matplotlib."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from jitgraph.bench.measure import Contender
from jitgraph.bench.oracle import Oracle

# Okabe and Ito's palette, which colour-blind readers can tell apart.
COLOURS = {
    "sigmoid": "#0072B2",
    "ultra_fast_sigmoid": "#E69F00",
    "hard_sigmoid": "#009E73",
    "NumPy": "#D55E00",
}
OTHER_COLOUR = "#CC79A7"
GREY = "#777777"
DOTS_PER_INCH = 150


def _figure(width: float, height: float) -> Figure:
    figure = Figure(figsize=(width, height), layout="constrained", dpi=DOTS_PER_INCH)
    FigureCanvasAgg(figure)
    return figure


def _tidy(axes: Any) -> None:
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(True, color="#dddddd", linewidth=0.7)
    axes.set_axisbelow(True)


def _save(figure: Figure, path: str) -> None:
    figure.savefig(path, facecolor="white")


# --- precision -----------------------------------------------------------------------------------


def precision(contenders: Sequence[Contender], dtype: str, path: str) -> None:
    """The curves of `contenders`, and below them |computed - exact| on a logarithmic axis."""
    x = np.linspace(-8, 8, 2401).astype(dtype)
    oracle = Oracle(x)
    figure = _figure(9, 8)
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=(1, 1.4))
    for c in contenders:
        colour = COLOURS.get(c.name, OTHER_COLOUR)
        y = c.call(x)
        error = oracle.errors(y)[0]
        if c.name != "NumPy":  # under sigmoid's curve
            above.plot(x, y, color=colour, linewidth=3.5 if c.name == "sigmoid" else 1.6)
        if error.max() < 1e-4:  # rounding: noise, not a curve
            below.plot(x, np.where(error > 0, error, np.nan), ".", color=colour, markersize=2.2)
        else:
            # Where the error changes its sign a logarithm has no lower end: cut the spikes.
            below.plot(x, np.where(error > 1e-5, error, np.nan), color=colour, linewidth=1.6)
        below.plot([], [], color=colour, linewidth=3, label=_long_name(c.name))
    half = np.ldexp(oracle.ulp, -oracle.shift - 1)
    below.plot(x, half, color="black", linewidth=0.9, label="half a unit in the last place")
    _precision_labels(above, below, float(half.min()) / 100, dtype)
    figure.legend(*below.get_legend_handles_labels(), loc="outside lower center", ncols=3)
    _save(figure, path)


def _long_name(name: str) -> str:
    return "NumPy: 1/(1 + exp(-x))" if name == "NumPy" else name


def _precision_labels(above: Any, below: Any, lowest: float, dtype: str) -> None:
    above.set_title(f"sigmoid and its approximations, {dtype}", loc="left", fontweight="bold")
    above.set_ylabel("value")
    below.set_yscale("log")
    below.set_ylim(lowest, 1)
    below.set_xlim(-8, 8)
    below.set_xlabel("x")
    below.set_ylabel("|error| against 50 digits")
    for axes in (above, below):
        _tidy(axes)


# --- time against error --------------------------------------------------------------------------


def time_error(report: dict[str, Any], path: str) -> None:
    """One point per contender: nanoseconds an element against the largest absolute error."""
    figure = _figure(9, 5.5)
    axes = figure.subplots()
    points = [c for c in report["contenders"] if c["errors"] is not None]
    copies = [c for c in report["contenders"] if c["is_copy"]]
    times = [c["ns_per_element"] for c in [*points, *copies]]
    limits = (min(times) / 1.6, max(times) * 1.6)
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xlim(*limits)
    points.sort(key=lambda c: -float(c["errors"]["max_abs"]))
    highest, lowest = (points[k]["errors"]["max_abs"] for k in (0, -1))
    room = (highest / lowest) ** 0.2  # for the labels above and below
    axes.set_ylim(lowest / room, highest * room)
    middle = (limits[0] * limits[1]) ** 0.5
    for rank, c in enumerate(points):
        # Neighbours in error, which may be so in time too, have labels on opposite sides.
        _point(axes, c, "right" if c["ns_per_element"] > middle else "left", under=rank % 2 == 1)
    for rank, c in enumerate(sorted(copies, key=lambda c: c["ns_per_element"])):
        _copy_line(axes, c, rank)
    axes.set_xlabel("median time, nanoseconds per element")
    axes.set_ylabel("largest absolute error")
    axes.set_title("sigmoid: time against error", loc="left", fontweight="bold")
    machine = report["machine"]
    what = f"{report['n']:,} {report['dtype']}, {machine['cpu']}, {machine['cores']} cores"
    axes.set_title(what, loc="right", fontsize=9, color=GREY)
    _plain_numbers(axes, *limits)
    _tidy(axes)
    _save(figure, path)


_BOX = {"facecolor": "white", "edgecolor": "none", "pad": 1.5}


def _point(axes: Any, c: dict[str, Any], side: str, under: bool) -> None:
    """The point with its spread (MAD), and a label beside it that starts or ends there."""
    colour = COLOURS.get(c["name"], OTHER_COLOUR)
    x, y = c["ns_per_element"], c["errors"]["max_abs"]
    spread = c["mad_s"] / c["median_s"] * x
    axes.errorbar(x, y, xerr=spread, fmt="o", markersize=9, color=colour, capsize=3, zorder=4)
    threads = "1 thread" if c["threads"] == 1 else f"{c['threads']} threads"
    axes.annotate(
        f"{_long_name(c['name'])}\n{x:.3g} ns, error {y:.2g}, {threads}",
        (x, y),
        xytext=(7 if side == "left" else -7, -11 if under else 11),
        textcoords="offset points",
        ha=side,
        va="top" if under else "bottom",
        color=colour,
        bbox=_BOX,
        zorder=3,
    )


def _copy_line(axes: Any, c: dict[str, Any], rank: int) -> None:
    """A vertical line, its label at a height of its own: copies may take the same time."""
    x = c["ns_per_element"]
    axes.axvline(x, color=GREY, linewidth=1, linestyle=(0, (2, 2)), zorder=1)
    axes.annotate(
        f"{c['name']}: {x:.3g} ns",
        (x, 0.38 + 0.08 * rank),
        xycoords=("data", "axes fraction"),
        xytext=(5, 0),
        textcoords="offset points",
        fontsize=9,
        color=GREY,
        bbox=_BOX,
        zorder=2,
    )


def _plain_numbers(axes: Any, low: float, high: float) -> None:
    """Ticks at 1, 2, 5 times powers of ten, written out: a decade or two has no room for 10^k."""
    candidates = [m * 10.0**e for e in range(-6, 7) for m in (1, 2, 5)]
    ticks = [t for t in candidates if low <= t <= high]
    axes.set_xticks(ticks, [f"{t:g}" for t in ticks])
    axes.set_xticks([], minor=True)
