"""The cache of compiled functions: memory, then disk, then the compiler.

A key is the SHA-256 of everything the code depends on (`make_key`).  `get` opens one file
and takes no lock; `get_or_build` compiles what is missing, once for all threads and
processes that ask at the same time.  Whatever is wrong with the directory (read-only, full,
unsafe, gone), the answer is right: the cache then works in memory only and says so once per
process.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
import threading
import time
import warnings
import weakref
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

from jitgraph.config import config
from jitgraph.errors import CompileError
from jitgraph.runtime import entry
from jitgraph.runtime.entry import BadEntryError, Contents
from jitgraph.runtime.store import Store
from jitgraph.runtime.toolchain import CompileTimeoutError, Toolchain, compile_shared

DEFAULT_LIMIT = 1 << 30  # bytes
LOCK_TIMEOUT = 20.0  # seconds to wait for another process; longer than most compiler runs
MEMORY_ENTRIES = 1024


class Entry(NamedTuple):
    """A compiled function: what was stored under `key`, and where it came from this time.

    `metadata` is the JSON object that the builder gave, `source` one of "memory", "disk"
    and "compiled".
    """

    key: str
    metadata: dict[str, Any]
    c_source: str
    object_bytes: bytes
    source: str


def make_key(parts: Mapping[str, str]) -> str:
    """Return the key (64 hexadecimal digits) of the named components `parts`.

    Every name and text counts, the order of the mapping does not; lengths are part of the
    text, so no two different mappings can be confused.
    """
    text = "".join(
        f"{len(name)} {len(value)}\n{name}{value}\n" for name, value in sorted(parts.items())
    )
    return entry.text_digest(text)


def default_directory(env: Mapping[str, str] | None = None) -> str:
    """Return the absolute path of the cache directory; nothing is created.

    `config.cache_dir`, else `$JITGRAPH_CACHE_DIR`, else `jitgraph` in the user's cache
    directory: `$XDG_CACHE_HOME` or `~/.cache`, on macOS `~/Library/Caches`.
    """
    env = os.environ if env is None else env
    named = config.cache_dir or env.get("JITGRAPH_CACHE_DIR", "")
    if named:
        return _absolute(named)
    base = env.get("XDG_CACHE_HOME", "")
    if not os.path.isabs(base):  # the specification: relative paths are invalid, ignore them
        home = env.get("HOME") or os.path.expanduser("~")
        home = home if os.path.isabs(home) else "/"  # a user without a home: memory only
        base = os.path.join(home, "Library/Caches" if sys.platform == "darwin" else ".cache")
    return _absolute(os.path.join(base, "jitgraph"))


def _absolute(path: str) -> str:
    # Also removes trailing slashes, with which a symbolic link would be followed.
    try:
        return os.path.abspath(path)
    except OSError:  # the current directory was deleted
        return os.path.join("/", path)


class Cache:
    """Compiled functions in memory and in one directory.

    `directory` defaults to `default_directory()`; it is created at the first write.  `limit`
    is the size of all entries on disk in bytes; the least recently used go first.
    """

    def __init__(
        self,
        directory: str | None = None,
        limit: int = DEFAULT_LIMIT,
        *,
        lock_timeout: float = LOCK_TIMEOUT,
    ) -> None:
        self.store = Store(
            default_directory() if directory is None else _absolute(directory), limit
        )
        self.lock_timeout = lock_timeout
        self.last_miss_reason = ""
        self.counters = dict.fromkeys(
            ("memory_hits", "disk_hits", "misses", "compiled", "damaged", "errors"), 0
        )
        self._memory: dict[str, Entry] = {}
        self._parts: dict[str, dict[str, str]] = {}
        self._reset_locks()
        _instances.add(self)

    def _reset_locks(self) -> None:
        self._guard = threading.Lock()
        self._building: dict[str, tuple[threading.RLock, int]] = {}

    # --- looking up --------------------------------------------------------------------------

    def get(self, key: str) -> Entry | None:
        """Return the entry of `key` from memory or disk, verified, or None.

        After None, `last_miss_reason` says why.  Never raises for what is on the disk.
        """
        if not entry.is_key(key):
            raise ValueError(f"{key!r} is not a key: 64 hexadecimal digits from make_key")
        found = self._memory.get(key)
        if found is not None:
            self._tally("memory_hits")
            return found._replace(source="memory")
        try:
            contents = self.store.read(key)
        except BadEntryError as error:
            self._tally("damaged")
            self._miss(f"the entry was damaged: {error}")
            _warn_once(
                "damaged",
                f"A damaged entry of the cache of compiled code was set aside ({error}): "
                f"{key} in {self.store.directory}. The function is compiled again.",
            )
            return None
        except OSError as error:
            self._memory_only(error)
            self._miss(f"the cache directory cannot be used: {_words(error)}")
            return None
        if contents is None:
            self._miss("no entry for this key")
            return None
        metadata = contents.metadata.get("metadata")
        if not isinstance(metadata, dict):
            self._miss("the entry was written by another version")
            return None
        self._tally("disk_hits")
        found = Entry(key, metadata, contents.c_source, contents.object_bytes, "disk")
        self._remember(found)
        return found

    def explain_miss(self, parts: Mapping[str, str]) -> str:
        """Say which components of the key differ from the most similar recent entry."""
        mine = _digests(parts)
        known = list(self._parts.items())
        try:
            known = self.store.recent() + known
        except OSError as error:
            if not known:
                return f"the cache directory cannot be used: {_words(error)}"
        if not known:
            return "there is no earlier entry to compare with"
        # The smallest difference; among equals the latest.
        differences = [_differing(mine, other) for _, other in reversed(known)]
        nearest = min(differences, key=len)
        if not nearest:
            return "the entry existed and was removed"
        return f"differs from the nearest recent entry in: {', '.join(nearest)}"

    # --- building ----------------------------------------------------------------------------

    def get_or_build(
        self,
        key: str,
        key_parts: Mapping[str, str],
        build: Callable[[], tuple[str, dict[str, Any]]],
        toolchain: Toolchain,
        report: dict[str, Any],
    ) -> Entry:
        """Return the entry of `key`; on a miss, compile what `build()` returns and keep it.

        `build` returns the C source and metadata with a JSON form, and is called at most
        once.  `report` receives "cache" ("hit" or "miss"), "reason" (of a miss), "source",
        and the milliseconds "lookup", "wait" (for another process) and "cc".  Raises
        CompileError, and whatever `build` raises; then nothing is stored.
        """
        report.update(cache="hit", reason="", lookup=0.0, wait=0.0, cc=0.0)
        with _timed(report, "lookup"):
            found = self.get(key)
        if found is None:
            reason = self.last_miss_reason
            if reason == "no entry for this key":
                reason = f"{reason}: {self.explain_miss(key_parts)}"
            found = self._build_once(key, key_parts, build, toolchain, report, reason)
        report["source"] = found.source
        return found

    def _build_once(
        self,
        key: str,
        key_parts: Mapping[str, str],
        build: Callable[[], tuple[str, dict[str, Any]]],
        toolchain: Toolchain,
        report: dict[str, Any],
        reason: str,
    ) -> Entry:
        started = time.perf_counter()
        with (
            self._alone_in_process(key),
            self.store.lock(key, self.lock_timeout, lambda: self.store.exists(key)),
        ):
            report["wait"] = (time.perf_counter() - started) * 1e3
            # Someone may have compiled it while this thread waited.
            if key in self._memory or self.store.exists(key):
                found = self.get(key)
                if found is not None:
                    report["reason"] = "compiled elsewhere meanwhile"
                    return found
            report.update(cache="miss", reason=reason)
            c_source, metadata = build()
            with _timed(report, "cc"):
                object_bytes = self._compile(key, c_source, toolchain)
            return self._keep(key, key_parts, Contents(metadata, c_source, object_bytes))

    def _keep(self, key: str, key_parts: Mapping[str, str], contents: Contents) -> Entry:
        """Store what was compiled; in memory it looks as if it had been read from disk."""
        metadata = json.loads(json.dumps(contents.metadata))
        digests = _digests(key_parts)
        envelope = {"parts": digests, "metadata": metadata}
        data = entry.encode(key, contents._replace(metadata=envelope))
        made = Entry(key, metadata, contents.c_source, contents.object_bytes, "compiled")
        self._tally("compiled")
        self._remember(made)
        self._parts[key] = digests
        try:
            self.store.publish(key, data, digests)
        except (OSError, BadEntryError) as error:
            self._memory_only(error)
        return made

    def _compile(self, key: str, c_source: str, toolchain: Toolchain) -> bytes:
        """Run the compiler in the first place that has room for it.

        A full disk or an exhausted quota shows in as many ways as there are compilers and
        linkers: any failure gets a second chance elsewhere, except one that took too long.
        """
        trouble: Exception | None = None
        failures = 0
        for place in (self.store.build_directory, _temporary_directory, _shared_memory_directory):
            try:
                with place() as directory:
                    return compile_shared(toolchain, c_source, directory)
            except OSError as error:
                trouble = trouble or error
                self._memory_only(error)
            except CompileError as error:
                trouble = error
                failures += 1
                if failures == 2 or isinstance(error, CompileTimeoutError):
                    break
        if isinstance(trouble, CompileError):
            message = f"{trouble} {self._keep_failed(key, c_source)}"
        else:
            message = f"There is no directory to run the C compiler in: {trouble}."
        raise CompileError(message) from None

    def _keep_failed(self, key: str, c_source: str) -> str:
        try:
            return f"The C file is kept at {self.store.keep_failed(key, c_source)}"
        except OSError as error:
            return f"The C file could not be kept ({_words(error)})"

    @contextlib.contextmanager
    def _alone_in_process(self, key: str) -> Iterator[None]:
        """Let one thread at a time build `key`."""
        with self._guard:
            lock, users = self._building.get(key, (threading.RLock(), 0))
            self._building[key] = lock, users + 1
        try:
            with lock:
                yield
        finally:
            with self._guard:
                lock, users = self._building.pop(key, (lock, 1))
                if users > 1:
                    self._building[key] = lock, users - 1

    # --- bookkeeping -------------------------------------------------------------------------

    def _remember(self, found: Entry) -> None:
        with self._guard:
            while len(self._memory) >= MEMORY_ENTRIES:
                del self._memory[next(iter(self._memory))]
            self._memory[found.key] = found

    def _tally(self, name: str) -> None:
        with self._guard:
            self.counters[name] += 1

    def _miss(self, reason: str) -> None:
        self._tally("misses")
        self.last_miss_reason = reason

    def _memory_only(self, error: Exception) -> None:
        self._tally("errors")
        _warn_once(
            "memory-only",
            f"The cache of compiled code {self.store.directory!r} cannot be used: "
            f"{_words(error)}. Functions are compiled in each process anew. "
            "JITGRAPH_CACHE_DIR names another directory.",
        )

    # --- for people --------------------------------------------------------------------------

    def info(self) -> dict[str, Any]:
        """Return directory, status, counts, sizes in bytes, and this process's counters."""
        status, found, damaged, failed = "ok", [], 0, 0
        try:
            found = self.store.entries()
            damaged, failed = self.store.kept("bad"), self.store.kept("failed")
            if not os.path.isdir(self.store.directory):
                status = "not created yet"
        except OSError as error:
            status = f"memory only: {_words(error)}"
        return {
            "directory": self.store.directory,
            "status": status,
            "limit": self.store.limit,
            "entries": len(found),
            "bytes": sum(size for _, size, _ in found),
            "kept_damaged": damaged,
            "kept_failed": failed,
            "in_memory": len(self._memory),
            "evicted": self.store.evicted,
            **self.counters,
        }

    def clear(self) -> dict[str, Any]:
        """Remove all entries, on disk and in memory; return how many and their bytes on disk.

        Functions in use keep working.  Raises OSError if the directory does not allow it.
        """
        with self._guard:
            self._memory.clear()
            self._parts.clear()
        removed, size = self.store.clear()
        return {"directory": self.store.directory, "removed": removed, "bytes": size}

    def verify(self) -> list[dict[str, Any]]:
        """Check every entry on disk; return key, bytes and problem ("" if none) of each.

        Damaged ones are set aside.  Raises OSError if the directory cannot be used.
        """
        results = []
        for _, size, key in self.store.entries():
            problem = ""
            try:
                if self.store.read(key) is None:
                    continue  # removed meanwhile
            except BadEntryError as error:
                problem = str(error)
            results.append({"key": key, "bytes": size, "problem": problem})
        return results


# --- the cache of the process ----------------------------------------------------------------

_instances: weakref.WeakSet[Cache] = weakref.WeakSet()
_default: tuple[tuple[str, int], Cache] | None = None
_warned: set[str] = set()


def default_cache() -> Cache:
    """Return the cache that the configuration asks for, remembered until that changes."""
    global _default
    asked = (default_directory(), config.cache_limit)
    if _default is None or _default[0] != asked:
        _default = (asked, Cache(*asked))
    return _default[1]


def cache_info() -> dict[str, Any]:
    """`Cache.info` of the default cache."""
    return default_cache().info()


def cache_clear() -> dict[str, Any]:
    """`Cache.clear` of the default cache."""
    return default_cache().clear()


def cache_verify() -> list[dict[str, Any]]:
    """`Cache.verify` of the default cache."""
    return default_cache().verify()


def _after_fork() -> None:
    # A thread of the parent may have held a lock at the fork; it does not exist in the child.
    for instance in list(_instances):
        instance._reset_locks()


os.register_at_fork(after_in_child=_after_fork)


def _digests(parts: Mapping[str, str]) -> dict[str, str]:
    return {name: entry.text_digest(value)[:16] for name, value in parts.items()}


def _differing(mine: Mapping[str, str], other: Mapping[str, str]) -> list[str]:
    names = [*mine, *(name for name in other if name not in mine)]
    return [name for name in names if mine.get(name) != other.get(name)]


def _words(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error) or type(error).__name__


def _warn_once(kind: str, text: str) -> None:
    if kind not in _warned:
        _warned.add(kind)
        warnings.warn(text, RuntimeWarning, stacklevel=2)


@contextlib.contextmanager
def _timed(report: dict[str, Any], name: str) -> Iterator[None]:
    started = time.perf_counter()
    try:
        yield
    finally:
        report[name] = (time.perf_counter() - started) * 1e3


@contextlib.contextmanager
def _temporary_directory() -> Iterator[str]:
    import tempfile

    with tempfile.TemporaryDirectory(prefix="jitgraph-", ignore_cleanup_errors=True) as directory:
        yield directory


@contextlib.contextmanager
def _shared_memory_directory() -> Iterator[str]:
    import tempfile

    with tempfile.TemporaryDirectory(
        prefix="jitgraph-", dir="/dev/shm", ignore_cleanup_errors=True
    ) as directory:
        yield directory
