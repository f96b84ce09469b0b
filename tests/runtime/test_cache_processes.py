"""Many processes and one directory; processes that die."""

from __future__ import annotations

import os
import random
import shlex
import signal
import threading
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from harness import exec_of, kernel, run_python

from jitgraph.runtime.cache import Cache, make_key
from jitgraph.runtime.toolchain import Toolchain

PARTS = {"graph": "x + y"}
KEY = make_key(PARTS)

# Starts 32 processes that ask at the same moment; prints "answer source wait" of each.
STAMPEDE = """
import os, sys, time
from dataclasses import replace
from harness import kernel
from jitgraph.runtime import loader
from jitgraph.runtime.cache import Cache, make_key
from jitgraph.runtime.toolchain import find_toolchain

directory, compiler, same = sys.argv[1], sys.argv[2], sys.argv[3] == "same"
toolchain = replace(find_toolchain(), argv=(compiler,))
start = time.monotonic() + 0.3
children = []
for number in range(32):
    child = os.fork()
    if child == 0:
        n = 7 if same else number
        parts = {"graph": f"s + {n}"}
        time.sleep(max(0, start - time.monotonic()))
        report = {}
        asked = time.monotonic()
        found = Cache(directory).get_or_build(
            make_key(parts), parts, lambda: (kernel(n), {}), toolchain, report)
        took = time.monotonic() - asked
        null = loader.ffi.NULL
        library = loader.load(found.object_bytes, found.key)
        answer = library.jg_entry(100, null, 0, 0, null, null) - n
        os.write(1, f"{answer} {found.source} {took}\\n".encode())
        os._exit(0)
    children.append(child)
for child in children:
    assert os.waitpid(child, 0)[1] == 0
"""


def stampede(tmp_path: Path, toolchain: Toolchain, same: str) -> tuple[list[list[str]], int, str]:
    """Return [answer, source, seconds] of each process, the compiler's runs, and stderr."""
    compiler = tmp_path / "slowcc"
    log = shlex.quote(str(tmp_path / "runs"))
    # The delay is that of a compiler: nobody could profit from luck with the timing.
    compiler.write_text(f"#!/bin/sh\necho run >> {log}\nsleep 0.3\n{exec_of(toolchain)}\n")
    compiler.chmod(0o755)
    done = run_python(STAMPEDE, str(tmp_path / "cache"), str(compiler), same)
    answers = [line.split() for line in done.stdout.splitlines()]
    return answers, len((tmp_path / "runs").read_text().splitlines()), done.stderr


def test_32_processes_compile_one_function_once(tmp_path: Path, toolchain: Toolchain) -> None:
    answers, runs, errors = stampede(tmp_path, toolchain, "same")
    assert runs == 1
    assert [answer for answer, _, _ in answers] == ["100"] * 32
    assert sorted(source for _, source, _ in answers) == ["compiled"] + ["disk"] * 31
    assert errors == ""
    compiling = next(float(seconds) for _, source, seconds in answers if source == "compiled")
    assert max(float(seconds) for _, _, seconds in answers) <= 2 * compiling
    assert os.listdir(tmp_path / "cache" / "tmp") == []
    assert not list((tmp_path / "cache").rglob("*.lock"))


def test_32_processes_compile_32_functions_side_by_side(
    tmp_path: Path, toolchain: Toolchain
) -> None:
    answers, runs, errors = stampede(tmp_path, toolchain, "different")
    assert runs == 32 and errors == ""
    assert [(answer, source) for answer, source, _ in answers] == [("100", "compiled")] * 32
    # One after the other they would sleep for 9.6 s alone.
    assert max(float(seconds) for _, _, seconds in answers) < 7


def get(cache: Cache, toolchain: Toolchain, report: dict[str, Any] | None = None) -> Any:
    found = {} if report is None else report
    return cache.get_or_build(KEY, PARTS, lambda: (kernel(7), {}), toolchain, found)


def in_child(work: Callable[[], None]) -> int:
    """Run `work` in a forked process and return its number."""
    child = os.fork()
    if child == 0:
        signal.alarm(60)  # a child that hangs dies, whatever becomes of the test
        try:
            work()
        finally:
            os._exit(0)
    return child


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def test_a_killed_lock_holder_holds_nobody(
    tmp_path: Path, fake: Callable[..., Toolchain], counting: tuple[Toolchain, Callable[[], int]]
) -> None:
    pidfile = tmp_path / "pid"
    hanging = fake(f"echo $$ > {shlex.quote(str(pidfile))}; exec sleep 60", name="hanging")
    cache = Cache(str(tmp_path / "cache"))
    child = in_child(lambda: get(cache, hanging) and None)
    wait_for(lambda: pidfile.exists() and pidfile.read_text() != "")
    assert (tmp_path / "cache" / KEY[:2] / f"{KEY}.lock").exists()
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    os.kill(int(pidfile.read_text()), signal.SIGKILL)  # the compiler, which outlived it
    started = time.monotonic()
    report: dict[str, Any] = {}
    assert get(Cache(str(tmp_path / "cache")), counting[0], report).source == "compiled"
    assert time.monotonic() - started < 2 and counting[1]() == 1
    assert not (tmp_path / "cache" / KEY[:2] / f"{KEY}.lock").exists()


def test_a_stopped_lock_holder_is_waited_for_only_so_long(
    tmp_path: Path, fake: Callable[..., Toolchain], counting: tuple[Toolchain, Callable[[], int]]
) -> None:
    pidfile = tmp_path / "pid"
    hanging = fake(f"echo $$ > {shlex.quote(str(pidfile))}; exec sleep 60", name="hanging")
    child = in_child(lambda: get(Cache(str(tmp_path / "cache")), hanging) and None)
    try:
        wait_for(lambda: pidfile.exists() and pidfile.read_text() != "")
        patient = Cache(str(tmp_path / "cache"), lock_timeout=0.3)
        report: dict[str, Any] = {}
        assert get(patient, counting[0], report).source == "compiled"
        assert 300 <= report["wait"] < 2000
        assert get(Cache(str(tmp_path / "cache")), counting[0]).source == "disk"
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        os.kill(int(pidfile.read_text()), signal.SIGKILL)


def test_kills_at_random_instants_leave_a_sound_cache(
    tmp_path: Path,
    counting: tuple[Toolchain, Callable[[], int]],
    objects: Callable[[int], bytes],
) -> None:
    toolchain, _ = counting
    rng = random.Random(3)
    directory = tmp_path / "cache"

    def work() -> None:
        warnings.simplefilter("ignore")
        for _ in range(1000):
            cache = Cache(str(directory), limit=100_000)
            get(cache, toolchain)
            cache.store.clear()

    kills = 50
    for _ in range(kills):
        child = in_child(work)
        time.sleep(rng.uniform(0.0, 0.03))
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            found = get(Cache(str(directory)), toolchain)
        assert found.object_bytes == objects(7)
    # Each kill leaves at most one build directory and one entry that was not published.
    tmp = directory / "tmp"
    assert len(os.listdir(tmp)) <= 2 * kills
    for path in tmp.iterdir():
        os.utime(path, (time.time() - 4000,) * 2)
    with Cache(str(directory)).store.build_directory():
        pass
    assert os.listdir(tmp) == []


def test_a_fork_during_a_build_does_not_lock_the_child(
    tmp_path: Path,
    fake: Callable[..., Toolchain],
    toolchain: Toolchain,
    counting: tuple[Toolchain, Callable[[], int]],
) -> None:
    pidfile = tmp_path / "pid"
    slow = fake(
        f"echo $$ > {shlex.quote(str(pidfile))}; sleep 1.5; {exec_of(toolchain)}", name="slow"
    )
    cache = Cache(str(tmp_path / "cache"), lock_timeout=0.1)
    thread = threading.Thread(target=lambda: get(cache, slow))
    thread.start()
    wait_for(pidfile.exists)
    # In the child, the thread that builds and its locks do not exist.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        child = in_child(lambda: Path(tmp_path / "done").write_text(get(cache, counting[0]).source))
    wait_for((tmp_path / "done").exists)
    assert thread.is_alive()  # it did not wait for the parent
    os.waitpid(child, 0)
    thread.join()
    assert (tmp_path / "done").read_text() == "compiled"
    assert get(Cache(str(tmp_path / "cache")), counting[0]).source == "disk"


def test_a_forked_child_does_not_keep_the_lock(tmp_path: Path) -> None:
    """The child inherits the descriptor, and with it the lock, unless it is given back."""
    store = Cache(str(tmp_path / "cache")).store
    got = threading.Event()

    def wait() -> None:
        with store.lock(KEY, 10, lambda: False):
            got.set()

    waiter = threading.Thread(target=wait)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # newer Pythons warn of a fork beside a thread
        with store.lock(KEY, 1, lambda: False):
            waiter.start()
            child = in_child(lambda: time.sleep(30))
            assert not got.wait(0.1)
        try:
            assert got.wait(2)
        finally:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            waiter.join()


@pytest.mark.parametrize("damage", ["delete", "truncate", "chmod"])
def test_a_directory_damaged_while_functions_compile(
    tmp_path: Path,
    counting: tuple[Toolchain, Callable[[], int]],
    objects: Callable[[int], bytes],
    damage: str,
) -> None:
    import shutil

    directory = tmp_path / "cache"

    def work() -> None:
        rng = random.Random(1)
        while True:
            if damage == "delete":
                shutil.rmtree(directory, ignore_errors=True)
            for path in list(directory.rglob("*.jg")):
                try:
                    if damage == "truncate":
                        os.truncate(path, rng.randrange(1000))
                    elif damage == "chmod":
                        path.chmod(0o666)
                except OSError:
                    pass
            time.sleep(rng.uniform(0, 0.004))

    child = in_child(work)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            for _ in range(60):
                assert get(Cache(str(directory)), counting[0]).object_bytes == objects(7)
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
