"""The processes of the peers: started once, asked in turns, ended with the comparison.

A peer is stopped while it is not asked: threads of some libraries go on waiting for more work in a
loop (OpenBLAS's for 2^26 cycles of the clock), on processors that the next peer is timed on.
"""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import selectors
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any

from jitgraph.bench.peers.worker import PEERS

# Run by the interpreter of a peer, which has not got jitgraph: the folder becomes a package.
BOOTSTRAP = """
import importlib.util, sys
folder = sys.argv.pop(1)
spec = importlib.util.spec_from_file_location(
    "jitgraph_peers", folder + "/__init__.py", submodule_search_locations=[folder])
package = sys.modules["jitgraph_peers"] = importlib.util.module_from_spec(spec)
spec.loader.exec_module(package)
entry = importlib.import_module("jitgraph_peers." + sys.argv.pop(1))
entry.main(sys.argv[1:])
"""
FOLDER = str(Path(__file__).with_name("peers"))
OWN = ("limit", "jitgraph", "C", "C libmvec")  # need this very package
START_LIMIT = 120.0  # seconds for a peer to be imported


class PeerLostError(Exception):
    """A peer's process has ended, or did not answer in time; the message says which.

    hung: it did not answer in time
    """

    hung = False


def command(interpreter: str, module: str, *arguments: str) -> list[str]:
    """The command that runs `main` of a module of the folder `peers`."""
    return [interpreter, "-c", BOOTSTRAP, FOLDER, module, *arguments]


def environment(threads: int, own: bool, python_path: str | None = None) -> dict[str, str]:
    """Variables for a peer's process: every library is told the number of threads.

    own: the process imports this package; python_path: of a peer that is not installed.
    """
    variables = dict(os.environ)
    names = ("OMP", "OPENBLAS", "MKL", "NUMEXPR", "NUMEXPR_MAX", "NUMBA", "VECLIB_MAXIMUM")
    variables.update({f"{name}_NUM_THREADS": str(threads) for name in names})
    variables["NUMEXPR_MAX_THREADS"] = variables["NPROC"] = str(threads)
    flags = [variables.get("PYTENSOR_FLAGS", ""), f"openmp={threads > 1}"]
    variables["PYTENSOR_FLAGS"] = ",".join(f for f in flags if f)
    variables.setdefault("JAX_PLATFORMS", "cpu")
    # Without it every import would compile its source text again.
    variables.pop("PYTHONDONTWRITEBYTECODE", None)
    if own:
        import jitgraph

        root = str(Path(jitgraph.__file__).parents[1])
        variables["PYTHONPATH"] = os.pathsep.join(
            p for p in (root, variables.get("PYTHONPATH", "")) if p
        )
    return variables


class Peer:
    """One peer's process. `version` once it has started, `missing` if the peer is not there."""

    def __init__(self, name: str, interpreter: str, threads: int, directory: str):
        self.name, self.interpreter, self.threads = name, interpreter, threads
        self.directory = directory
        self.version, self.python, self.missing = "", "", ""
        self.process: subprocess.Popen[str] | None = None
        self.log: IO[str] | None = None

    def start(self) -> None:
        """Start the process, unless it runs. Raises PeerLostError if it cannot be started."""
        if self.process is not None and self.process.poll() is None:
            return
        self.end()
        threads = self.threads

        def pinned() -> None:
            # Libraries that take no other hint count the processors they may use.
            cores = sorted(os.sched_getaffinity(0))
            os.sched_setaffinity(0, cores[:threads])

        fewer = hasattr(os, "sched_getaffinity") and threads < len(os.sched_getaffinity(0))
        if self.log is not None:
            self.log.close()
        self.log = tempfile.TemporaryFile(  # noqa: SIM115
            "w+", dir=self.directory, errors="replace"
        )
        try:
            self.process = subprocess.Popen(
                command(self.interpreter, "worker", self.name, str(threads)),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self.log,
                text=True,
                cwd=self.directory,
                env=environment(threads, self.name in OWN),
                preexec_fn=pinned if fewer else None,
                # Ctrl-C of a terminal reaches this process alone, which then ends the peer and
                # whatever the peer has started.
                start_new_session=True,
            )
        except OSError as error:
            raise PeerLostError(f"{self.interpreter}: {error.strerror}") from None

    def greet(self) -> None:
        """Read what the process says about itself."""
        try:
            self.start()
            hello = self._answer(START_LIMIT)
        except PeerLostError as error:
            hello = {"missing": str(error)}
        self.missing = hello.get("missing", "")
        self.version, self.python = hello.get("version", ""), hello.get("python", "")

    def ask(self, limit: float, **request: Any) -> dict[str, Any]:
        """The answer to a request within `limit` seconds. Raises PeerLostError."""
        if self.process is None or self.process.poll() is not None:
            self.greet()
            if self.missing:
                raise PeerLostError(self.missing)
        assert self.process is not None and self.process.stdin is not None
        self._signal("SIGCONT")
        try:
            self.process.stdin.write(json.dumps(request) + "\n")
            self.process.stdin.flush()
        except OSError:
            raise self._lost("its process ended") from None
        answer = self._answer(limit)
        self._signal("SIGSTOP")
        return answer

    def _signal(self, name: str) -> None:
        """To the process and those that it has started, where the system has this signal."""
        number = getattr(signal, name, None)
        if self.process is not None and number is not None:
            with contextlib.suppress(OSError):
                os.killpg(self.process.pid, number)

    def _answer(self, limit: float) -> dict[str, Any]:
        assert self.process is not None and self.process.stdout is not None
        with selectors.DefaultSelector() as selector:
            selector.register(self.process.stdout, selectors.EVENT_READ)
            ready = selector.select(limit)
        if not ready:
            lost = self._lost(f"no answer in {limit:g} s")
            lost.hung = True
            raise lost
        line = self.process.stdout.readline()
        if not line.endswith("\n"):  # an answer cut off, or none
            raise self._lost("its process ended" + self._killed())
        answer: dict[str, Any] = json.loads(line)
        return answer

    def _killed(self) -> str:
        """The signal that has ended the process, "" if none has."""
        assert self.process is not None
        try:
            status = self.process.wait(1)
        except subprocess.TimeoutExpired:  # only its answers have ended
            return ""
        if status >= 0:
            return ""
        known = {int(s): s.name for s in signal.Signals}
        return f" ({known.get(-status, f'signal {-status}')})"

    def _lost(self, why: str) -> PeerLostError:
        self.end()
        assert self.log is not None
        self.log.seek(0)
        said = [line.strip() for line in self.log.read().splitlines() if line.strip()]
        return PeerLostError(why + (f": {said[-1][:200]}" if said else ""))

    def kill(self) -> None:
        """Kill the process and those that it has started, without waiting for their end."""
        self._signal("SIGKILL")

    def end(self) -> None:
        """End the process and those that it has started."""
        self.kill()
        if self.process is None:
            return
        process, self.process = self.process, None
        process.wait()
        for stream in (process.stdin, process.stdout):
            if stream is not None:
                with contextlib.suppress(OSError):
                    stream.close()


@contextlib.contextmanager
def crew(
    names: Sequence[str],
    interpreters: Mapping[str, str],
    threads: int,
) -> Iterator[dict[str, Peer]]:
    """The peers of these names, each in a process that has imported it (or is `missing`).

    interpreters: Python to use for a peer, by name; this one for others.
    """
    with tempfile.TemporaryDirectory(prefix="jitgraph-bench-") as directory:
        peers = {}
        for name in names:
            interpreter = interpreters.get(name, sys.executable)
            peers[name] = Peer(name, interpreter, threads, directory)
        try:
            for name, peer in peers.items():
                needed = PEERS[name][1]
                same = name not in interpreters
                if same and importlib.util.find_spec(needed) is None:
                    peer.missing = f"No module named {needed!r}"  # no process is needed to know
                else:
                    peer.greet()
            yield peers
        finally:
            for peer in peers.values():  # all at once, should this be interrupted too
                peer.kill()
            for peer in peers.values():
                peer.end()
                if peer.log is not None:
                    peer.log.close()
