"""Fault loops: every system call of the store fails in turn; the answer stays right."""

from __future__ import annotations

import errno
import fcntl
import os
import shlex
import shutil
import types
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from harness import kernel

from jitgraph.errors import CompileError
from jitgraph.runtime import cache as cache_module
from jitgraph.runtime import store
from jitgraph.runtime import toolchain as toolchain_module
from jitgraph.runtime.cache import Cache, make_key
from jitgraph.runtime.toolchain import Toolchain

Counting = tuple[Toolchain, Callable[[], int]]
PARTS = {"graph": "x + y"}
KEY = make_key(PARTS)
CALLS = [
    *("access", "chmod", "close", "fchmod", "fstat", "ftruncate", "kill", "listdir"),
    *("mkdir", "open", "replace", "stat", "unlink", "urandom", "utime", "write"),
]
ERRORS = [errno.ENOSPC, errno.EIO, errno.EACCES, errno.EROFS, errno.EMFILE, errno.EINTR]


class Faults:
    """The modules `os` and `fcntl` for the store, of which the n-th call fails.

    `once`: only that one; else all from there on.  `count` is the number of calls so far.
    """

    def __init__(self, number: int, code: int, once: bool) -> None:
        self.number, self.code, self.once, self.count = number, code, once, 0
        self.os = self._wrap(os, CALLS)
        self.fcntl = self._wrap(fcntl, ["flock"])

    def _wrap(self, module: types.ModuleType, names: list[str]) -> types.SimpleNamespace:
        wrapped = {name: self._failing(name, getattr(module, name)) for name in names}
        return types.SimpleNamespace(**(vars(module) | wrapped))

    def _failing(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            self.count += 1
            if self.count == self.number or (self.count > self.number and not self.once):
                if name == "close":  # a failing close closes all the same
                    function(*args, **kwargs)
                raise OSError(self.code, os.strerror(self.code))
            return function(*args, **kwargs)

        return call


@pytest.fixture
def inject(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Faults]]:
    def make(number: int, code: int, once: bool) -> Faults:
        faults = Faults(number, code, once)
        monkeypatch.setattr(store, "os", faults.os)
        monkeypatch.setattr(store, "fcntl", faults.fcntl)
        return faults

    yield make


def get(cache: Cache, toolchain: Toolchain) -> Any:
    return cache.get_or_build(KEY, PARTS, lambda: (kernel(7), {"m": 1}), toolchain, {})


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


def fault_loop(
    tmp_path: Path,
    inject: Callable[..., Faults],
    monkeypatch: pytest.MonkeyPatch,
    code: int,
    once: bool,
    prepare: Callable[[Path], None],
    act: Callable[[Path], None],
    check: Callable[[Path], None],
) -> int:
    """Let call 1, 2, ... fail until `act` needs no more calls; return how many there were.

    `act` must succeed each time with at most one warning and without leaking descriptors, and
    `check` must hold afterwards, when the system works again.
    """
    number = 0
    while True:
        number += 1
        directory = tmp_path / f"{code}-{once}-{number}"
        prepare(directory)
        cache_module._warned.clear()
        before = descriptors()
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            faults = inject(number, code, once)
            act(directory)
        monkeypatch.undo()
        assert descriptors() == before, number
        assert len(caught) <= 1, [str(w.message) for w in caught]
        check(directory)
        if faults.count < number:
            return number - 1


@pytest.mark.parametrize("once", [True, False], ids=["once", "for good"])
@pytest.mark.parametrize("code", ERRORS, ids=[errno.errorcode[code] for code in ERRORS])
def test_a_cold_build(
    code: int,
    once: bool,
    tmp_path: Path,
    counting: Counting,
    objects: Callable[[int], bytes],
    inject: Callable[..., Faults],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    toolchain, runs = counting

    def act(directory: Path) -> None:
        cache = Cache(str(directory))
        before = runs()
        found = get(cache, toolchain)
        assert (found.source, found.object_bytes) == ("compiled", objects(7))
        assert runs() == before + 1
        assert get(cache, toolchain).source == "memory"

    def check(directory: Path) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # whatever happened, it left nothing damaged
            found = get(Cache(str(directory)), toolchain)
        assert (found.object_bytes, found.metadata) == (objects(7), {"m": 1})
        assert get(Cache(str(directory)), toolchain).source == "disk"

    calls = fault_loop(
        tmp_path, inject, monkeypatch, code, once, lambda directory: None, act, check
    )
    assert calls > 30  # the loop went through the whole of it


@pytest.mark.parametrize("once", [True, False], ids=["once", "for good"])
@pytest.mark.parametrize("code", [errno.EIO, errno.EMFILE], ids=["EIO", "EMFILE"])
@pytest.mark.parametrize("damaged", [False, True], ids=["good", "damaged"])
def test_a_warm_lookup(
    damaged: bool,
    code: int,
    once: bool,
    tmp_path: Path,
    counting: Counting,
    objects: Callable[[int], bytes],
    inject: Callable[..., Faults],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    toolchain, _ = counting
    get(Cache(str(tmp_path / "model")), toolchain)

    def prepare(directory: Path) -> None:
        shutil.copytree(tmp_path / "model", directory)
        path = directory / KEY[:2] / f"{KEY}.jg"
        if damaged:
            path.write_bytes(path.read_bytes()[:-1] + b"?")

    def act(directory: Path) -> None:
        with warnings.catch_warnings():
            # Two things went wrong, so two warnings are right: count one of them.
            if damaged:
                warnings.filterwarnings("ignore", "A damaged entry")
            found = get(Cache(str(directory)), toolchain)
        assert found.object_bytes == objects(7)

    def check(directory: Path) -> None:
        cache_module._warned.clear()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore" if damaged else "error")
            assert get(Cache(str(directory)), toolchain).object_bytes == objects(7)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            assert get(Cache(str(directory)), toolchain).source == "disk"

    calls = fault_loop(tmp_path, inject, monkeypatch, code, once, prepare, act, check)
    assert calls >= 5


def test_the_loop_finds_a_write_that_is_not_atomic(
    tmp_path: Path,
    counting: Counting,
    inject: Callable[..., Faults],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The tester tested: with an entry written in place, a fault leaves a damaged one."""

    def in_place(self: store.Store, key: str, data: bytes) -> None:
        with self._opened(create=True) as root:
            store._make_directory(key[:2], root)
            name = f"{key[:2]}/{key}.jg"
            fd = store.os.open(name, os.O_WRONLY | os.O_CREAT, 0o600, dir_fd=root)
            try:
                for start in range(0, len(data), 4000):
                    store.os.write(fd, data[start : start + 4000])
            finally:
                store.os.close(fd)

    toolchain, _ = counting

    def act(directory: Path) -> None:
        get(Cache(str(directory)), toolchain)

    def check(directory: Path) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            get(Cache(str(directory)), toolchain)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(store.Store, "_publish", in_place)
        with pytest.raises(RuntimeWarning, match="damaged"):
            fault_loop(
                tmp_path,
                inject,
                monkeypatch,
                errno.ENOSPC,
                True,
                lambda directory: None,
                act,
                check,
            )


def test_writes_may_be_short(
    tmp_path: Path, counting: Counting, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = os.write
    monkeypatch.setattr(store.os, "write", lambda fd, data: write(fd, data[:1000]))
    made = get(Cache(str(tmp_path / "cache")), counting[0])
    read = get(Cache(str(tmp_path / "cache")), counting[0])
    assert read.source == "disk" and read.object_bytes == made.object_bytes


def test_a_directory_deleted_before_the_rename_is_made_again(
    tmp_path: Path, counting: Counting, monkeypatch: pytest.MonkeyPatch
) -> None:
    replace = os.replace
    deleted = []

    def delete_first(*args: Any, **kwargs: Any) -> None:
        if not deleted:
            deleted.append(shutil.rmtree(tmp_path / "cache"))
        replace(*args, **kwargs)

    monkeypatch.setattr(store.os, "replace", delete_first)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        get(Cache(str(tmp_path / "cache")), counting[0])
        assert get(Cache(str(tmp_path / "cache")), counting[0]).source == "disk"
    assert deleted


# --- the compiler's place --------------------------------------------------------------------


FULL = {
    "said": "echo 'kernel.c:1: fatal error: ./x.s: No space left on device'; exit 1",
    "not said": "echo 'collect2: error: ld returned 1 exit status'; exit 1",
    "killed": "kill -7 $$",
    "no output": "exit 0",
    "cut output": "head -c 5000 $SO > kernel.so",
}


@pytest.mark.parametrize("kind", FULL)
def test_a_full_cache_disk_is_no_obstacle(
    kind: str, tmp_path: Path, fake: Callable[..., Toolchain], objects: Callable[[int], bytes]
) -> None:
    (tmp_path / "so").write_bytes(objects(7))
    full = fake(
        f"SO={shlex.quote(str(tmp_path / 'so'))}\n"
        f"case $(pwd -P) in {shlex.quote(str(tmp_path / 'cache'))}*) {FULL[kind]};; esac\n"
        "cp $SO kernel.so"
    )
    assert get(Cache(str(tmp_path / "cache")), full).object_bytes == objects(7)


@pytest.mark.parametrize(("script", "expected"), [("exit 1", 2), ("sleep 60", 1)])
def test_a_failure_has_one_more_chance_but_not_after_a_time_out(
    script: str, expected: int, tmp_path: Path, fake: Callable[..., Toolchain]
) -> None:
    failing = fake(f"echo run >> {shlex.quote(str(tmp_path / 'runs'))}; {script}", timeout=0.2)
    with pytest.raises(CompileError):
        get(Cache(str(tmp_path / "cache")), failing)
    assert (tmp_path / "runs").read_text() == "run\n" * expected


def test_nowhere_to_compile_is_a_compile_error(
    tmp_path: Path, counting: Counting, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*args: Any, **kwargs: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(toolchain_module, "open", refuse, raising=False)
    cache = Cache(str(tmp_path / "cache"))
    with (
        pytest.warns(RuntimeWarning, match="No space left"),
        pytest.raises(CompileError, match=r"no directory to run the C compiler in.*No space left"),
    ):
        get(cache, counting[0])


def test_a_c_file_that_cannot_be_kept_is_said_so(
    tmp_path: Path, fake: Callable[..., Toolchain], monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = Cache(str(tmp_path / "cache"))

    def refuse(key: str, source: str) -> str:
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(cache.store, "keep_failed", refuse)
    with pytest.raises(CompileError, match=r"could not be kept \(Read-only file system\)"):
        get(cache, fake("exit 1"))


def test_a_directory_without_permissions(tmp_path: Path, counting: Counting) -> None:
    """A read-only cache still gives what it holds, and a write is no error.

    For root the permissions mean nothing and everything is stored; the answer is the same.
    """
    toolchain, _ = counting
    directory = tmp_path / "cache"
    get(Cache(str(directory)), toolchain)
    parts = {"graph": "another"}
    for path in (directory, *(path for path in directory.rglob("*") if path.is_dir())):
        path.chmod(0o500)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            cache = Cache(str(directory))
            assert get(cache, toolchain).source == "disk"
            made = cache.get_or_build(
                make_key(parts), parts, lambda: (kernel(7), {}), toolchain, {}
            )
        assert made.source == "compiled"
    finally:
        for path in (directory, *(path for path in directory.rglob("*") if path.is_dir())):
            path.chmod(0o700)


def test_without_locks_it_still_works(
    tmp_path: Path, counting: Counting, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_locks(fd: int, operation: int) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(store.fcntl, "flock", no_locks)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        get(Cache(str(tmp_path / "cache")), counting[0])
        assert get(Cache(str(tmp_path / "cache")), counting[0]).source == "disk"
