"""The cache directory: who may own it, what is refused, and what is planted in it."""

from __future__ import annotations

import os
import stat
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from harness import kernel

from jitgraph.config import config
from jitgraph.runtime import loader, store
from jitgraph.runtime.cache import Cache, default_directory, make_key
from jitgraph.runtime.toolchain import Toolchain

Counting = tuple[Toolchain, Callable[[], int]]
PARTS = {"graph": "x + y"}
KEY = make_key(PARTS)
NOBODY = 65534


def get(cache: Cache, toolchain: Toolchain) -> Any:
    return cache.get_or_build(KEY, PARTS, lambda: (kernel(7), {}), toolchain, {})


def assert_memory_only(directory: str, counting: Counting, words: str) -> None:
    """The cache works in memory, says why once, and leaves the directory alone."""
    toolchain, runs = counting
    before = runs()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for _ in range(2):
            cache = Cache(directory)
            assert get(cache, toolchain).source == "compiled"
            assert get(cache, toolchain).source == "memory"
    assert runs() == before + 2
    assert len(caught) == 1, [str(w.message) for w in caught]
    assert words in str(caught[0].message) and directory in str(caught[0].message)
    assert cache.info()["status"].startswith("memory only") and cache.info()["entries"] == 0


# --- the directory ---------------------------------------------------------------------------


def test_everything_is_private(tmp_path: Path, counting: Counting) -> None:
    directory = tmp_path / "parent" / "cache"
    get(Cache(str(directory)), counting[0])
    for path in (directory.parent, directory, *directory.rglob("*")):
        expected = 0o700 if path.is_dir() else 0o600
        assert stat.S_IMODE(path.stat().st_mode) == expected, path
    assert (
        (directory / "CACHEDIR.TAG")
        .read_bytes()
        .startswith(b"Signature: 8a477f597d28d172789f06886806bc55")
    )


@pytest.mark.parametrize("umask", [0, 0o022, 0o077, 0o277, 0o777])
def test_any_umask(umask: int, counting: Counting) -> None:
    """In a child, which gives up being root if it is: root could do without permissions."""
    toolchain, _ = counting
    library = Path(toolchain.argv[0]).with_name("seven.so").read_bytes()
    with tempfile.TemporaryDirectory() as home:
        os.chmod(home, 0o777)
        child = os.fork()
        if child == 0:
            status = 1
            try:
                if os.geteuid() == 0:
                    os.setgroups([])
                    os.setgid(NOBODY)
                    os.setuid(NOBODY)
                os.umask(umask)
                status = _store_and_read(os.path.join(home, "a", "cache"), library)
            finally:
                os._exit(status)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def _store_and_read(directory: str, library: bytes) -> int:
    from jitgraph.runtime import entry

    data = entry.encode(KEY, entry.Contents({"metadata": {}}, "", library))
    warnings.simplefilter("error")
    for _ in range(2):
        cache = Cache(directory)
        with cache.store.lock(KEY, 1, lambda: False), cache.store.build_directory() as build:
            Path(build, "file").write_bytes(b"")
        cache.store.publish(KEY, data, {"graph": "0"})
    found = Cache(directory).get(KEY)
    good = found is not None and found.object_bytes == library
    for path in (directory, os.path.join(directory, KEY[:2])):
        good = good and stat.S_IMODE(os.stat(path).st_mode) == 0o700
    return 0 if good else 2


@pytest.mark.parametrize("mode", [0o720, 0o702, 0o770, 0o777, 0o1777])
def test_a_directory_others_may_write_to_is_refused(
    mode: int, tmp_path: Path, counting: Counting
) -> None:
    directory = tmp_path / "cache"
    directory.mkdir()
    directory.chmod(mode)
    assert_memory_only(str(directory), counting, "chmod 700")
    assert os.listdir(directory) == []
    directory.chmod(0o700)
    get(Cache(str(directory)), counting[0])
    assert get(Cache(str(directory)), counting[0]).source == "disk"


@pytest.mark.parametrize("mode", [0o700, 0o755])
def test_a_directory_others_may_read_is_accepted(
    mode: int, tmp_path: Path, counting: Counting
) -> None:
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache").chmod(mode)
    get(Cache(str(tmp_path / "cache")), counting[0])
    assert get(Cache(str(tmp_path / "cache")), counting[0]).source == "disk"


def test_the_directory_of_another_user_is_refused(
    tmp_path: Path, counting: Counting, monkeypatch: pytest.MonkeyPatch
) -> None:
    directory = tmp_path / "cache"
    get(Cache(str(directory)), counting[0])  # a good entry, of someone else from now on
    me = os.geteuid()
    monkeypatch.setattr(store.os, "geteuid", lambda: me + 1)
    assert_memory_only(str(directory), counting, f"it belongs to user {me}")


@pytest.mark.parametrize("suffix", ["", "/", "/."])
def test_a_symbolic_link_is_refused(suffix: str, tmp_path: Path, counting: Counting) -> None:
    (tmp_path / "target").mkdir(mode=0o700)
    (tmp_path / "cache").symlink_to("target")
    toolchain, runs = counting
    with pytest.warns(RuntimeWarning, match="symbolic link"):
        assert get(Cache(f"{tmp_path}/cache{suffix}"), toolchain).source == "compiled"
    assert runs() == 1 and os.listdir(tmp_path / "target") == []


def test_a_symbolic_link_above_is_followed(tmp_path: Path, counting: Counting) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "home").symlink_to("disk")
    get(Cache(str(tmp_path / "home" / "cache")), counting[0])
    assert get(Cache(str(tmp_path / "disk" / "cache")), counting[0]).source == "disk"


def test_what_is_no_directory_is_refused(tmp_path: Path, counting: Counting) -> None:
    (tmp_path / "cache").write_text("precious")
    assert_memory_only(str(tmp_path / "cache"), counting, "Not a directory")
    below = Cache(str(tmp_path / "cache" / "deeper"))
    assert get(below, counting[0]).source == "compiled"
    assert (tmp_path / "cache").read_text() == "precious"


def test_a_link_that_appears_later_is_refused(tmp_path: Path, counting: Counting) -> None:
    cache = Cache(str(tmp_path / "cache"))
    get(cache, counting[0])
    (tmp_path / "cache").rename(tmp_path / "moved")
    (tmp_path / "cache").symlink_to("moved")
    with pytest.warns(RuntimeWarning, match="symbolic link"):
        assert Cache(str(tmp_path / "cache")).get(KEY) is None


@pytest.mark.parametrize(
    "name",
    [
        "a b",
        "x'$(touch pwned)\"",
        "Márton ü 漢字",
        "-rf",
        "@file",
        "%s{}*?[",
        "new\nline",
        "l" * 250,
    ],
)
def test_hostile_homes(
    name: str, tmp_path: Path, toolchain: Toolchain, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The whole way with the real compiler in a home with this name."""
    home = tmp_path / name
    home.mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(vars(config), "cache_dir", "")
    directory = default_directory({"HOME": str(home)})
    made = get(Cache(directory), toolchain)
    read = get(Cache(directory), toolchain)
    assert (made.source, read.source) == ("compiled", "disk")
    null = loader.ffi.NULL
    library = loader.load(read.object_bytes, f"home {name}")
    assert library.jg_entry(35, null, 0, 0, null, null) == 42
    assert os.listdir(tmp_path) == [name] and os.listdir(home) == [".cache"]


def test_a_home_that_is_not_text(
    tmp_path: Path, counting: Counting, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(vars(config), "cache_dir", "")
    home = os.fsdecode(os.fsencode(tmp_path) + b"/\xff\xfe")
    os.mkdir(home)
    directory = default_directory({"HOME": home})
    get(Cache(directory), counting[0])
    assert get(Cache(directory), counting[0]).source == "disk"


# --- what is planted in it -------------------------------------------------------------------


@pytest.fixture
def planted(tmp_path: Path, counting: Counting) -> Iterator[tuple[Path, bytes]]:
    """The path of a good entry and its bytes; what stands there is never read or changed."""
    get(Cache(str(tmp_path / "cache")), counting[0])
    path = tmp_path / "cache" / KEY[:2] / f"{KEY}.jg"
    yield path, path.read_bytes()


def assert_not_used(path: Path, counting: Counting, words: str) -> None:
    toolchain, runs = counting
    before = runs()
    with pytest.warns(RuntimeWarning, match=words):
        assert get(Cache(str(path.parents[1])), toolchain).source == "compiled"
    assert runs() == before + 1
    assert path.is_file() and not path.is_symlink()
    assert get(Cache(str(path.parents[1])), toolchain).source == "disk"


def test_a_planted_link_is_not_followed(
    planted: tuple[Path, bytes], tmp_path: Path, counting: Counting
) -> None:
    path, data = planted
    (tmp_path / "victim").write_bytes(data)
    path.unlink()
    path.symlink_to(tmp_path / "victim")
    assert_not_used(path, counting, "not a regular file")
    assert (tmp_path / "victim").read_bytes() == data


def test_a_planted_fifo_does_not_block(planted: tuple[Path, bytes], counting: Counting) -> None:
    path, _ = planted
    path.unlink()
    os.mkfifo(path)
    assert_not_used(path, counting, "not a regular file")


def test_a_planted_directory_is_set_aside(planted: tuple[Path, bytes], counting: Counting) -> None:
    path, _ = planted
    path.unlink()
    path.mkdir()
    assert_not_used(path, counting, "not a regular file")


@pytest.mark.parametrize("mode", [0o620, 0o602, 0o666])
def test_an_entry_others_may_write_to_is_not_used(
    mode: int, planted: tuple[Path, bytes], counting: Counting
) -> None:
    path, _ = planted
    path.chmod(mode)
    assert_not_used(path, counting, "may write to it")


def test_an_entry_of_another_user_is_not_used(
    planted: tuple[Path, bytes], counting: Counting, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, _ = planted
    # The directory itself would be refused before: take that check away.
    monkeypatch.setattr(store, "_check_directory", lambda status, path: None)
    me = os.geteuid()
    monkeypatch.setattr(store.os, "geteuid", lambda: me + 1)
    with pytest.warns(RuntimeWarning, match="another user owns it"):
        assert Cache(str(path.parents[1])).get(KEY) is None


def test_a_huge_entry_is_not_read(
    planted: tuple[Path, bytes], counting: Counting, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, _ = planted
    os.truncate(path, 1 << 40)  # sparse: a terabyte that takes no room
    assert_not_used(path, counting, "are too many")


@pytest.mark.parametrize("name", ["lock", "temporary entry", "recent", "written"])
def test_planted_links_are_not_followed(
    name: str, tmp_path: Path, counting: Counting, monkeypatch: pytest.MonkeyPatch
) -> None:
    toolchain, runs = counting
    victim = tmp_path / "victim"
    victim.write_text("precious")
    victim.chmod(0o644)
    cache = Cache(str(tmp_path / "cache"))
    for directory in ("", "tmp", KEY[:2]):
        (tmp_path / "cache" / directory).mkdir(mode=0o700)
    monkeypatch.setattr(store.os, "urandom", bytes)  # names that can be predicted
    path = {"lock": f"{KEY[:2]}/{KEY}.lock", "temporary entry": f"tmp/{store._unique()}.jg"}
    (tmp_path / "cache" / path.get(name, name)).symlink_to(victim)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        found = cache.get_or_build(KEY, PARTS, lambda: (kernel(7), {}), toolchain, {})
    assert found.source == "compiled" and runs() == 1
    assert len(caught) == (0 if name == "lock" else 1)  # a lock is not needed
    assert victim.read_text() == "precious"
    assert stat.S_IMODE(victim.stat().st_mode) == 0o644


# --- litter ----------------------------------------------------------------------------------


def test_abandoned_work_is_removed(tmp_path: Path, counting: Counting) -> None:
    cache = Cache(str(tmp_path / "cache"))
    get(cache, counting[0])
    child = os.fork()
    if child == 0:
        os._exit(0)
    os.waitpid(child, 0)  # its number is free now
    hour, day = 3700, 24 * 3700
    ages = {
        f"{child}-old": hour,
        f"{child}-young": 60,
        f"{os.getpid()}-old": hour,
        f"{os.getpid()}-ancient": day,
        "1-of-another-user": hour,
        "no-number": hour,
        f"{child}-file.jg": hour,
    }
    now = time.time()
    for name, age in ages.items():
        path = tmp_path / "cache" / "tmp" / name
        if name.endswith(".jg"):
            path.write_bytes(b"x")
        else:
            path.mkdir()
            (path / "kernel.c").write_text("x")
            (path / "zig-cache").mkdir()
        os.utime(path, (now - age, now - age))
    with cache.store.build_directory():
        pass
    left = set(os.listdir(tmp_path / "cache" / "tmp"))
    assert left == {f"{child}-young", f"{os.getpid()}-old", "1-of-another-user"}


def test_old_locks_are_removed_when_evicting(tmp_path: Path, counting: Counting) -> None:
    cache = Cache(str(tmp_path / "cache"), limit=10)  # evicts at each write
    get(cache, counting[0])
    shard = tmp_path / "cache" / KEY[:2]
    for name, age in (("old.lock", 4000), ("young.lock", 10)):
        (shard / name).touch()
        os.utime(shard / name, (time.time() - age,) * 2)
    get(Cache(str(tmp_path / "cache"), limit=10), counting[0])
    assert os.listdir(shard) == ["young.lock"]


def test_the_build_directory_is_removed_after_an_error(tmp_path: Path) -> None:
    cache = Cache(str(tmp_path / "cache"))
    with pytest.raises(KeyboardInterrupt), cache.store.build_directory() as directory:
        assert stat.S_IMODE(os.stat(directory).st_mode) == 0o700
        Path(directory, "kernel.c").write_text("x")
        raise KeyboardInterrupt
    assert os.listdir(tmp_path / "cache" / "tmp") == []
