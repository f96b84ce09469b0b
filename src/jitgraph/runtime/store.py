"""The directory of the on-disk cache: safe to share, to fill up, to damage and to delete.

    CACHEDIR.TAG         backup programs leave the directory out
    kk/KEY.jg            an entry (see `entry`); kk = the first two digits of KEY
    kk/KEY.lock          someone is compiling KEY; only there to avoid doing it twice
    tmp/PID-RANDOM...    work in progress: build directories and entries not yet published
    bad/KEY.bad-PID      the last damaged entries, set aside
    failed/KEY.c         the last C files that the compiler refused
    recent               a line for each of the last entries, to explain misses
    written              its length is the number of blocks written since the last eviction

Reading takes no lock: entries appear by one rename and are verified whole.  Nothing here is
an index, so any file may vanish at any time.  The directory is opened anew for each
operation, checked through its descriptor (owner, mode, no symbolic link), and everything
else is reached relative to that descriptor: whatever happens to the path meanwhile, only a
directory that belongs to this user alone is read or written.

Methods raise OSError; the cache above turns that into memory-only operation.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import stat
import time
from collections.abc import Callable, Iterator

from jitgraph.runtime import entry
from jitgraph.runtime.entry import BadEntryError, Contents

KEPT = 5  # damaged entries and refused C files that are kept
TOUCH_AFTER = 86400.0  # seconds: a hit renews the time stamp at most once a day
STALE_AFTER = 3600.0  # seconds: work in progress older than this was abandoned
BLOCK = 4096  # bytes counted by one byte of the file `written`
EVICT_FRACTION = 16  # eviction runs once per limit/16 bytes written, and makes that much room
RECENT_SIZE = 1 << 16  # bytes of the file `recent` at which its older half is dropped

_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_APPEND = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC
_LOCK = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC

_TAG = (
    b"Signature: 8a477f597d28d172789f06886806bc55\n"
    b"# This file marks a cache of compiled code made by jitgraph.\n"
    b"# It may be deleted at any time. See https://bford.info/cachedir/\n"
)


class UnsafeDirectoryError(OSError):
    """Someone else could write to the cache directory; code from it would run as this user."""


class Store:
    """The entries in one directory, at most about `limit` bytes of them."""

    def __init__(self, directory: str, limit: int) -> None:
        self.directory = directory
        self.limit = limit
        self.evicted = 0

    # --- entries -----------------------------------------------------------------------------

    def read(self, key: str) -> Contents | None:
        """Return the verified entry of `key`, or None if there is none.

        Raises BadEntryError for a damaged one, after it has been set aside.
        """
        try:
            with self._opened() as root:
                try:
                    return entry.decode(key, _read_own(root, _entry_name(key)))
                except BadEntryError:
                    self._set_aside(root, key)
                    raise
        except FileNotFoundError:
            return None

    def exists(self, key: str) -> bool:
        """Tell whether there is an entry of `key`, damaged or not."""
        try:
            with self._opened() as root:
                os.stat(_entry_name(key), dir_fd=root, follow_symlinks=False)
        except OSError:
            return False
        return True

    def publish(self, key: str, data: bytes, parts: dict[str, str]) -> None:
        """Make `data` the entry of `key` in one step; evict others when it is time.

        `parts` maps the names of the key's components to digests, for `recent`.
        """
        try:
            self._publish(key, data)
        except FileNotFoundError:
            self._publish(key, data)  # the directory was deleted between two steps: once more
        with self._opened() as root:
            _note(root, key, parts)
            self._count(root, len(data))

    def _publish(self, key: str, data: bytes) -> None:
        with self._opened(create=True) as root:
            temporary = f"tmp/{_unique()}.jg"
            _make_directory("tmp", root)
            _make_directory(key[:2], root)
            try:
                _write_new(root, temporary, data)
                os.replace(temporary, _entry_name(key), src_dir_fd=root, dst_dir_fd=root)
            except BaseException:
                _discard(temporary, root)
                raise

    def _set_aside(self, root: int, key: str) -> None:
        with contextlib.suppress(OSError):
            _make_directory("bad", root)
            aside = f"bad/{key}.bad-{os.getpid()}"
            os.replace(_entry_name(key), aside, src_dir_fd=root, dst_dir_fd=root)
            _keep_last("bad", root)

    def entries(self) -> list[tuple[int, int, str]]:
        """Return (time of last use in ns, bytes, key) of all entries, the oldest first."""
        try:
            with self._opened() as root:
                return _scan(root)
        except FileNotFoundError:
            return []

    def recent(self) -> list[tuple[str, dict[str, str]]]:
        """Return (key, digests of its parts) of the entries published last, oldest first."""
        try:
            with self._opened() as root:
                data = _read_own(root, "recent")
        except (FileNotFoundError, BadEntryError):
            return []
        found = []
        for line in data.splitlines():
            with contextlib.suppress(ValueError, RecursionError, TypeError, KeyError):
                record = json.loads(line)
                found.append((str(record["key"]), dict(record["parts"])))
        return found

    # --- eviction ----------------------------------------------------------------------------

    def _count(self, root: int, size: int) -> None:
        """Add `size` bytes to those written since the last eviction; evict when it is time.

        The count is the length of a file that all writers append to, so it needs no lock and
        holds across processes.  It is rounded up: at worst, eviction comes early.
        """
        share = self.limit // EVICT_FRACTION
        fd = _open_private(root, "written", _APPEND)
        try:
            first = os.fstat(fd).st_size == 0
            os.write(fd, bytes(min(size, share) // BLOCK + 1))
            if first or os.fstat(fd).st_size * BLOCK >= share:
                self._evict(root)
                os.ftruncate(fd, 1)
        finally:
            _close(fd)

    def _evict(self, root: int) -> None:
        found = _scan(root)
        excess = sum(size for _, size, _ in found) - (self.limit - self.limit // EVICT_FRACTION)
        for _, size, key in found:
            if excess <= 0:
                break
            _discard(_entry_name(key), root)
            self.evicted += 1
            excess -= size
        _remove_old_locks(root)

    def clear(self) -> tuple[int, int]:
        """Remove everything but work in progress; return the count and bytes of the entries."""
        try:
            with self._opened() as root:
                found = _scan(root)
                for _, _, key in found:
                    _discard(_entry_name(key), root)
                for directory in ("bad", "failed"):
                    _keep_last(directory, root, keep=0)
                for name in ("recent", "written"):
                    _discard(name, root)
                _remove_abandoned(root)
                _remove_old_locks(root)
        except FileNotFoundError:
            return 0, 0
        return len(found), sum(size for _, size, _ in found)

    def kept(self, directory: str) -> int:
        """Return how many files are in `bad` or `failed`."""
        try:
            with self._opened() as root:
                return len(_listing(directory, root))
        except FileNotFoundError:
            return 0

    # --- work in progress --------------------------------------------------------------------

    @contextlib.contextmanager
    def build_directory(self) -> Iterator[str]:
        """Give a new private directory for one compiler run; remove it afterwards."""
        with self._opened(create=True) as root:
            _make_directory("tmp", root)
            _remove_abandoned(root)
            name = f"tmp/{_unique()}"
            _make_directory(name, root)
            try:
                fd = os.open(name, _DIRECTORY, dir_fd=root)
                try:
                    # Through the descriptor, so that nobody can put another directory there.
                    path = f"/proc/self/fd/{fd}"
                    yield path if os.path.isdir(path) else os.path.join(self.directory, name)
                finally:
                    _close(fd)
            finally:
                _remove_tree(name, root)

    @contextlib.contextmanager
    def lock(self, key: str, timeout: float, ready: Callable[[], bool]) -> Iterator[None]:
        """Wait until nobody else compiles `key`: at most `timeout` seconds, or until `ready()`.

        The lock only saves work, nothing depends on it: where it cannot be had, this goes on
        without.  The kernel releases it when its holder dies.
        """
        fd = -1
        with contextlib.suppress(OSError), self._opened(create=True) as root:
            _make_directory(key[:2], root)
            fd = _open_private(root, _lock_name(key), _LOCK)
        held = False
        try:
            held = fd >= 0 and _acquire(fd, timeout, ready)
            yield
        finally:
            if held:
                # Removed while held: who still waits for this file finds the entry when its
                # turn comes.  Unlocked explicitly: a forked child may share the descriptor.
                with contextlib.suppress(OSError), self._opened() as root:
                    os.unlink(_lock_name(key), dir_fd=root)
                with contextlib.suppress(OSError):
                    fcntl.flock(fd, fcntl.LOCK_UN)
            if fd >= 0:
                _close(fd)

    def keep_failed(self, key: str, c_source: str) -> str:
        """Keep a C file that the compiler refused, for its user to look at; return its path."""
        name = f"failed/{key}.c"
        with self._opened(create=True) as root:
            _make_directory("failed", root)
            _discard(name, root)
            _write_new(root, name, c_source.encode("utf-8", "surrogatepass"))
            _keep_last("failed", root)
        return os.path.join(self.directory, name)

    # --- the directory itself ----------------------------------------------------------------

    @contextlib.contextmanager
    def _opened(self, create: bool = False) -> Iterator[int]:
        """Give a descriptor of the directory after checking that nobody else can write to it."""
        created = create and self._make()
        try:
            fd = os.open(self.directory, _DIRECTORY)
        except OSError as error:
            if error.errno in (errno.ELOOP, errno.ENOTDIR) and os.path.islink(self.directory):
                raise UnsafeDirectoryError(
                    errno.ELOOP, "it is a symbolic link", self.directory
                ) from error
            raise
        try:
            if created:
                os.fchmod(fd, 0o700)
                with contextlib.suppress(FileExistsError):
                    _write_new(fd, "CACHEDIR.TAG", _TAG)
            _check_directory(os.fstat(fd), self.directory)
            yield fd
        finally:
            _close(fd)

    def _make(self) -> bool:
        """Make the directory if it is absent; tell whether that was necessary."""
        return _make_path(self.directory)


def _make_path(path: str) -> bool:
    """Make a directory and those above it that are missing, all of mode 0700 under any umask.

    Returns whether `path` had to be made.
    """
    try:
        os.mkdir(path, 0o700)
    except FileExistsError:
        return False
    except FileNotFoundError:
        parent = os.path.dirname(path)
        if parent == path:
            raise
        _make_path(parent)
        try:
            os.mkdir(path, 0o700)
        except FileExistsError:
            return False
    if not os.access(path, os.R_OK | os.W_OK | os.X_OK):
        os.chmod(path, 0o700)  # the umask took the owner's own permissions
    return True


def _check_directory(status: os.stat_result, path: str) -> None:
    if status.st_uid != os.geteuid():
        raise UnsafeDirectoryError(errno.EPERM, f"it belongs to user {status.st_uid}", path)
    if status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise UnsafeDirectoryError(
            errno.EPERM,
            f"other users may write to it (mode {stat.S_IMODE(status.st_mode):04o}); chmod 700 it",
            path,
        )


def _entry_name(key: str) -> str:
    return f"{key[:2]}/{key}.jg"


def _lock_name(key: str) -> str:
    return f"{key[:2]}/{key}.lock"


def _unique() -> str:
    """Return a name nobody else uses: the process's number, for clean-up, and 64 random bits."""
    return f"{os.getpid()}-{os.urandom(8).hex()}"


def _read_own(root: int, name: str) -> bytes:
    """Return the contents of a regular file of this user; touch it if that was long ago.

    Raises FileNotFoundError, and BadEntryError for anything that is not such a file.
    """
    try:
        fd = os.open(name, _READ, dir_fd=root)
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENXIO):
            raise BadEntryError("it is not a regular file") from error
        raise
    try:
        status = os.fstat(fd)
        if not stat.S_ISREG(status.st_mode):
            raise BadEntryError("it is not a regular file")
        if status.st_uid != os.geteuid() or status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
            raise BadEntryError("another user owns it or may write to it")
        if status.st_size > entry.MAX_SIZE:
            raise BadEntryError(f"{status.st_size} bytes are too many")
        with open(fd, "rb", buffering=0, closefd=False) as file:
            data = file.readall()
        if abs(time.time() - status.st_mtime) > TOUCH_AFTER:
            with contextlib.suppress(OSError):
                os.utime(fd)
    finally:
        _close(fd)
    return data


def _open_private(root: int, name: str, flags: int) -> int:
    """Open a file that may have to be created, of mode 0600 under any umask."""
    fd = os.open(name, flags, 0o600, dir_fd=root)
    try:
        os.fchmod(fd, 0o600)
    except OSError:
        _close(fd)
        raise
    return fd


def _close(fd: int) -> None:
    """Close a descriptor through which nothing was written that anyone relies on."""
    with contextlib.suppress(OSError):
        os.close(fd)


def _write_new(root: int, name: str, data: bytes) -> None:
    """Write a file that must not exist yet, mode 0600 under any umask."""
    fd = os.open(name, _CREATE, 0o600, dir_fd=root)
    try:
        os.fchmod(fd, 0o600)
        view = memoryview(data)
        while view:
            view = view[os.write(fd, view) :]
    finally:
        os.close(fd)


def _make_directory(name: str, root: int) -> None:
    try:
        os.mkdir(name, 0o700, dir_fd=root)
    except FileExistsError:
        return
    os.chmod(name, 0o700, dir_fd=root)  # under any umask


def _discard(name: str, root: int) -> None:
    with contextlib.suppress(FileNotFoundError, IsADirectoryError, NotADirectoryError):
        os.unlink(name, dir_fd=root)


def _listing(directory: str, root: int) -> list[tuple[int, int, str]]:
    """Return (mtime in ns, size, name) of the files in a directory below `root`, if it exists."""
    try:
        fd = os.open(directory, _DIRECTORY, dir_fd=root)
    except (FileNotFoundError, NotADirectoryError):
        return []
    found = []
    try:
        for name in os.listdir(fd):
            with contextlib.suppress(FileNotFoundError):
                status = os.stat(name, dir_fd=fd, follow_symlinks=False)
                found.append((status.st_mtime_ns, status.st_size, name))
    finally:
        _close(fd)
    return found


def _scan(root: int) -> list[tuple[int, int, str]]:
    """Return (mtime in ns, size, key) of all entries, the least recently used first."""
    found = []
    for shard in os.listdir(root):
        if len(shard) == 2:
            for mtime, size, name in _listing(shard, root):
                key, dot, suffix = name.partition(".")
                if dot and suffix == "jg" and entry.is_key(key):
                    found.append((mtime, size, key))
    return sorted(found)


def _keep_last(directory: str, root: int, keep: int = KEPT) -> None:
    """Remove all but the last `keep` files that came into `directory`."""
    fd = os.open(directory, _DIRECTORY, dir_fd=root) if _is_directory(directory, root) else None
    if fd is None:
        return
    try:
        # ctime: when the file was renamed to here; mtime is that of the entry.
        names = os.listdir(fd)
        names.sort(key=lambda name: _ctime(name, fd), reverse=True)
        for name in names[keep:]:
            _remove_tree(name, fd)
    finally:
        _close(fd)


def _is_directory(name: str, root: int) -> bool:
    try:
        return stat.S_ISDIR(os.stat(name, dir_fd=root, follow_symlinks=False).st_mode)
    except FileNotFoundError:
        return False


def _ctime(name: str, directory: int) -> int:
    try:
        return os.stat(name, dir_fd=directory, follow_symlinks=False).st_ctime_ns
    except FileNotFoundError:
        return 0


def _remove_abandoned(root: int) -> None:
    """Remove work in progress whose process is gone and that nobody touched for an hour.

    A process number may belong to another machine that shares the directory, or have been
    reused: hence the hour, and after a day the age alone decides.
    """
    now = time.time()
    for mtime, _, name in _listing("tmp", root):
        age = now - mtime / 1e9
        if age > STALE_AFTER and (age > 24 * STALE_AFTER or not _is_alive(name.partition("-")[0])):
            _remove_tree(f"tmp/{name}", root)


def _is_alive(pid: str) -> bool:
    try:
        os.kill(int(pid), 0)
    except (ValueError, OverflowError, ProcessLookupError):
        return False
    except PermissionError:
        return True
    return True


def _remove_old_locks(root: int) -> None:
    now = time.time()
    for shard in os.listdir(root):
        if len(shard) == 2:
            for mtime, _, name in _listing(shard, root):
                if name.endswith(".lock") and now - mtime / 1e9 > STALE_AFTER:
                    _discard(f"{shard}/{name}", root)


def _remove_tree(name: str, root: int) -> None:
    import shutil

    with contextlib.suppress(OSError):
        if _is_directory(name, root):
            shutil.rmtree(name, ignore_errors=True, dir_fd=root)
        else:
            os.unlink(name, dir_fd=root)


def _acquire(fd: int, timeout: float, ready: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + timeout
    delay = 0.002
    while True:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if ready() or time.monotonic() >= deadline:
                return False
            time.sleep(delay)
            delay = min(2 * delay, 0.05)
        except OSError:
            return False  # this file system has no locks
        else:
            return True


def _note(root: int, key: str, parts: dict[str, str]) -> None:
    """Append to `recent`, which only serves explanations: a lost line does no harm."""
    line = json.dumps({"key": key, "parts": parts}, separators=(",", ":")).encode() + b"\n"
    fd = _open_private(root, "recent", _APPEND)
    try:
        os.write(fd, line)
        too_long = os.fstat(fd).st_size > RECENT_SIZE
    finally:
        _close(fd)
    if too_long:
        newer = _read_own(root, "recent")[-RECENT_SIZE // 2 :].partition(b"\n")[2]
        temporary = f"tmp/{_unique()}"
        _make_directory("tmp", root)
        _write_new(root, temporary, newer)
        os.replace(temporary, "recent", src_dir_fd=root, dst_dir_fd=root)
