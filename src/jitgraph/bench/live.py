"""A run is shown while it grows: each workload as soon as all rounds of it are done."""

from __future__ import annotations

import sys
from typing import Any

from jitgraph.bench import report as form
from jitgraph.bench.measure import Progress


class Live:
    """Prints the parts of a run.

    table:    to stdout; False if something else is to be there
    progress: on stderr; beside a table that does not go to the same terminal, and without a table,
              it has a line for each workload that is done
    """

    def __init__(self, progress: Progress, table: bool):
        self.progress, self.table = progress, table
        self.brief = not table or (progress.shown and not sys.stdout.isatty())
        self.begun, self.done = False, 0

    def head(self, report: dict[str, Any]) -> None:
        """The conditions, once the peers are there."""
        self.begun = True
        self._print(form.head(report))

    def workload(self, report: dict[str, Any]) -> None:
        """The latest workload."""
        found = report["workloads"][-1]
        self._print(form.workload(found))
        self._line(report, form.workload_line(found))

    def starts(self, report: dict[str, Any]) -> None:
        """The starts of the latest program."""
        last = report["starts"][-1]["program"]
        found = [s for s in report["starts"] if s["program"] == last]
        self._print(form.starts(found))
        self._line(report, form.starts_line(found))

    def end(self, report: dict[str, Any]) -> None:
        """Targets and remarks, if there was anything before."""
        if self.begun:
            self._print(form.end(report))

    def _line(self, report: dict[str, Any], text: str) -> None:
        self.done += 1
        if self.brief:
            self.progress.keep(f"[{self.done}/{report['asked']}] {text}")

    def _print(self, lines: list[str]) -> None:
        self.progress.clear()
        if self.table:
            # What is printed must survive whatever ends the run.
            print("\n".join(lines), flush=True)
