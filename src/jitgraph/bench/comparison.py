"""`jitgraph bench`: suites of workloads against the peers that are installed, in one run.

`Settings` says what was asked for, `run` measures and prints; the figures of a run have a JSON
form (`measure`), from which table, pictures and the history are made.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from jitgraph.bench import history, startup
from jitgraph.bench.contest import YARDSTICKS, Contest, figures, memory_alone
from jitgraph.bench.crew import crew
from jitgraph.bench.interrupt import Interrupted, Interrupts, exit_status
from jitgraph.bench.live import Live
from jitgraph.bench.measure import Progress, available_memory
from jitgraph.bench.peers.worker import PEERS
from jitgraph.bench.peers.workloads import SUITES, Workload, suite
from jitgraph.bench.targets import verdicts
from jitgraph.inspect import CommandError
from jitgraph.inspect.machine import machine_facts, usable_cores

ALL = (*SUITES, "compile")
# Suites that also run in float32 unless a dtype is asked for.
BOTH_DTYPES = ("sigmoid", "softmax")
NAMES = tuple(n for n in PEERS if n not in ("jitgraph", *YARDSTICKS))


@dataclass(frozen=True)
class Settings:
    """What was asked for.

    dtype:      None for float64, and float32 too where the comparison has both
    threads:    None for the default of compiled functions
    peers:      names, None for all
    pythons:    interpreter of a peer, by name; this one for others
    time_limit: seconds that one answer of a peer may take
    """

    suite: str
    n: int = 100_000_000
    dtype: str | None = None
    threads: int | None = None
    rounds: int = 5
    peers: Sequence[str] | None = None
    pythons: Mapping[str, str] = field(default_factory=dict)
    time_limit: float = 120.0

    @property
    def suites(self) -> tuple[str, ...]:
        """Without `compile`, whose work is of another kind."""
        return SUITES if self.suite == "all" else tuple(s for s in SUITES if s == self.suite)

    @property
    def programs(self) -> tuple[str, ...]:
        """Of `compile`."""
        return startup.PROGRAMS if self.suite in ("compile", "all") else ()

    @property
    def rivals(self) -> list[str]:
        """The peers to compare with, beside jitgraph."""
        return list(NAMES if self.peers is None else self.peers)

    def workloads(self) -> list[Workload]:
        """Everything to be timed, in order."""
        found = []
        for name in self.suites:
            dtypes = [self.dtype or "float64"]
            if self.dtype is None and name in BOTH_DTYPES:
                dtypes.append("float32")
            found += [w for dtype in dtypes for w in suite(name, self.n, dtype)]
        # In float32 the rows of interest are sigmoid and softmax.
        return [w for w in found if self.dtype or w.dtype == "float64" or w.group in BOTH_DTYPES]


def peer_names(text: str) -> list[str]:
    """The peers of a comma-separated list; "all", or "none". Raises ValueError."""
    if text == "all":
        return list(NAMES)
    if text == "none":
        return []
    known = {n.lower(): n for n in NAMES}
    found = []
    for part in text.split(","):
        if part.strip().lower() not in known:
            raise ValueError(f"no peer is called {part.strip()!r}: {', '.join(NAMES)}")
        found.append(known[part.strip().lower()])
    return found


def refuse_if_too_large(settings: Settings) -> None:
    """Raise CommandError, before anything is allocated, if a workload does not fit."""
    available = available_memory()
    workloads = settings.workloads()
    if not available or not workloads:
        return
    largest = max(workloads, key=memory_alone)
    needed = memory_alone(largest)
    if needed <= available:
        return
    low, high = 0, settings.n  # the largest n that fits, by bisection
    while high - low > 1:
        middle = (low + high) // 2
        trial = Settings(settings.suite, middle, settings.dtype)
        fits = max(map(memory_alone, trial.workloads())) <= available
        low, high = (middle, high) if fits else (low, middle)
    raise CommandError(
        f"{largest.name} of {settings.n:,} elements needs {needed:,} bytes of memory, and "
        f"{available:,} bytes are available. "
        + (f"The most that fits is -n {low}" if low else "Nothing fits")
    )


# --- measuring -----------------------------------------------------------------------------------


def measure(settings: Settings, progress: Progress, live: Live) -> dict[str, Any]:
    """All figures of a run, in a JSON form. Times are seconds per call.

    Keys: benchmark, n, threads, rounds, load_before, machine, peers (version, or why missing),
    workloads (`contest.figures`), starts (`startup.figures`), verdicts, remarks, asked (how many
    workloads and programs were to be measured), interrupted (name of a signal, or None),
    incomplete (what was asked for and has no figures). SIGINT or SIGTERM, under `Interrupts`, ends
    the processes of the peers; the report has what was done until then.
    """
    report = _empty(settings)

    def counted(text: str) -> None:
        progress(f"[{done(report) + 1}/{report['asked']}] {text}")

    try:
        if settings.suites:
            progress("importing peers")
            _contests(settings, counted, live, report)
        else:
            live.head(report)
        if settings.programs:
            _startups(settings, counted, live, report)
    except Interrupted as signal:
        report["interrupted"] = signal.name
    report["incomplete"] = incomplete(report)
    report["remarks"] = remarks(report, usable_cores())
    live.end(report)
    return report


def _empty(settings: Settings) -> dict[str, Any]:
    import jitgraph
    from jitgraph.runtime.toolchain import default_toolchain

    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else None
    with jitgraph.num_threads(settings.threads):
        threads = jitgraph.get_num_threads()
    machine = machine_facts()
    if machine["compiler"] is None:
        default_toolchain()  # raises the error that says what to install
    return {
        "benchmark": settings.suite,
        "n": settings.n,
        "threads": threads,
        "rounds": settings.rounds,
        "load_before": load,
        "machine": machine,
        "peers": {},
        "workloads": [],
        "starts": [],
        "verdicts": [],
        "asked": len(settings.workloads()) + len(settings.programs),
        "interrupted": None,
    }


def _contests(
    settings: Settings, progress: Callable[[str], None], live: Live, report: dict[str, Any]
) -> None:
    own = [n for n in YARDSTICKS if n == "limit" or "loops" in settings.suites]
    names = [*own, "jitgraph", *settings.rivals]
    with crew(names, settings.pythons, report["threads"]) as peers:
        for name, peer in peers.items():
            if name in (*own, "jitgraph") and peer.missing:
                raise CommandError(f"{name}: {peer.missing}", status=1)
            if name != "limit":
                report["peers"][name] = {"version": peer.version, "missing": peer.missing}
        live.head(report)
        contest = Contest(peers, settings.rounds, available_memory(), settings.time_limit, progress)
        for w in settings.workloads():
            outcome = contest.run(w)
            report["workloads"].append(figures(outcome))
            report["verdicts"] += [v.as_json() for v in verdicts(outcome, report["threads"])]
            live.workload(report)


def _startups(
    settings: Settings, progress: Callable[[str], None], live: Live, report: dict[str, Any]
) -> None:
    names = ["jitgraph", "NumPy", *(n for n in settings.rivals if n != "NumPy")]
    pythons, threads = settings.pythons, report["threads"]
    limit = settings.time_limit
    for starts in startup.measure(names, pythons, threads, settings.rounds, limit, progress):
        report["starts"] += [startup.figures(s) for s in starts]
        report["verdicts"] += [v.as_json() for v in startup.verdicts(starts)]
        live.starts(report)


def done(report: dict[str, Any]) -> int:
    """How many workloads and programs have been measured."""
    return len(report["workloads"]) + len({s["program"] for s in report["starts"]})


def incomplete(report: dict[str, Any]) -> list[str]:
    """What was asked for and has no figures: after an interruption, and of which peers."""
    found = []
    if report["interrupted"] is not None:
        how_far = f"after {done(report)} of {report['asked']} workloads"
        found.append(f"interrupted ({report['interrupted']}) {how_far}")
    where: dict[tuple[str, str], list[str]] = {}  # by peer and problem
    cases = [(r, w["name"]) for w in report["workloads"] for r in w["results"]]
    cases += [(s, s["program"]) for s in report["starts"]]
    for case, name in cases:
        if case["problem"] and not case["problem"].startswith("unsupported"):
            where.setdefault((case["peer"], case["problem"]), []).append(name)
    for (peer, problem), names in where.items():
        found.append(f"{peer} was not timed in {', '.join(dict.fromkeys(names))} ({problem})")
    return found


UNSTEADY = 0.1  # MAD over median beyond which a figure is not to be trusted


def remarks(report: dict[str, Any], cores: int) -> list[str]:
    """What speaks against the figures; nothing, if all is well."""
    found = []
    load = report["load_before"]
    if load is not None and load > cores / 2:
        found.append(f"other programs were running (load {load:.1f} on {cores} cores)")
    timed = [
        (f"{w['name']} {r['peer']}", r)
        for w in report["workloads"]
        for r in w["results"]
        if r["median_s"] is not None
    ]
    unsteady = [name for name, r in timed if r["mad_s"] > UNSTEADY * r["median_s"]]
    if unsteady:
        found.append(f"{len(unsteady)} of {len(timed)} times vary by more than {UNSTEADY:.0%}")
    if report["rounds"] < 5:
        found.append("fewer than 5 rounds")
    return found


# --- the command ---------------------------------------------------------------------------------


def run(
    settings: Settings,
    json_to: str | None = None,
    pictures_to: str | None = None,
    history_in: str | None = None,
) -> int:
    """Measure, print the table (or JSON on stdout for json_to='-'), draw; return the exit code.

    pictures_to: a directory, None for no pictures; history_in: a file that the run is added to.
    Tables are printed as soon as they are known. SIGINT and SIGTERM end the run: figures of what
    was complete are written all the same, no pictures, and CommandError has the exit code.
    """
    refuse_if_too_large(settings)
    refuse_if_unwritable(json_to, pictures_to, history_in)
    with Interrupts(), Progress() as progress:
        report = measure(settings, progress, Live(progress, table=json_to != "-"))
        if history_in is not None:
            add_to_history(history_in, report)
        report["pictures"], remark = [], ""
        try:
            if pictures_to is not None and report["interrupted"] is None:
                progress("drawing")
                report["pictures"], remark = draw(report, pictures_to)
        finally:
            progress.clear()
            write(report, json_to)
    return conclude(report, remark)


def add_to_history(path: str, report: dict[str, Any]) -> None:
    """The run, unless it has no figures."""
    if report["workloads"] or report["starts"]:
        history.append(path, report)


def write(report: dict[str, Any], json_to: str | None) -> None:
    """The figures to their file, or to stdout alone for '-'; where figures and pictures are."""
    text = json.dumps(report, indent=2, allow_nan=False)
    if json_to == "-":
        print(text, flush=True)
        return
    if json_to is not None:
        with open(json_to, "w", encoding="utf-8") as file:
            file.write(text + "\n")
        print(f"figures: {json_to}")
    for picture in report["pictures"]:
        print(f"picture: {picture}")


def conclude(report: dict[str, Any], remark: str) -> int:
    """Say why there are no pictures; return 0. Raises CommandError if the run was interrupted."""
    if report["interrupted"] is not None:
        status = exit_status(report["interrupted"])
        raise CommandError(report["incomplete"][0], status=status)
    if remark:
        print(remark, file=sys.stderr)
    return 0


def refuse_if_unwritable(
    json_to: str | None, pictures_to: str | None, history_in: str | None = None
) -> None:
    """Minutes of measuring must not end in "no such directory"."""
    if pictures_to is not None and not os.path.isdir(pictures_to):
        raise CommandError(f"--out: there is no directory {pictures_to}")
    for option, path in (("--json", json_to), ("--history", history_in)):
        if path is not None and (option, path) != ("--json", "-"):
            parent = os.path.dirname(os.path.abspath(path))
            if not os.path.isdir(parent) or os.path.isdir(path):
                raise CommandError(f"{option}: the file {path} cannot be written")


def draw(report: dict[str, Any], directory: str) -> tuple[list[str], str]:
    """The paths of the pictures, or why there are none."""
    try:
        from jitgraph.bench import bars
    except ImportError:
        return [], "no pictures: they need matplotlib (pip install 'jitgraph[plot]')"
    try:
        return bars.draw(report, directory), ""
    except OSError as error:
        raise CommandError(f"the pictures cannot be written: {error}") from None
