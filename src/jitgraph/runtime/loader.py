"""Compiled objects become callable: loading verified bytes, and what kernels know of CPython.

Bytes are loaded from memory (Linux) or from a private copy with a name that is used once.
Never from the cache: a file could change between its verification and its use, and the
dynamic linker answers a path it has seen before with the library it loaded then, whatever
is there now.
"""

from __future__ import annotations

import fcntl
import itertools
import os
import sys
import threading
import time
from typing import Any

import numpy as np

from jitgraph.config import config
from jitgraph.dtypes import NAMES
from jitgraph.errors import JitgraphError
from jitgraph.runtime._abi import ffi
from jitgraph.runtime.blas import BlasInfo, find_blas

# Loaded libraries stay for ever: machine code may be running, and a handle that is dropped
# would unload it.
_libraries: dict[str, Any] = {}
_lock = threading.Lock()
_serial = itertools.count(1)
_flags = ffi.RTLD_NOW | ffi.RTLD_LOCAL

_MFD_EXEC = 0x10  # <linux/memfd.h>, Linux 6.3: the code in it is meant to run
_F_ADD_SEALS = 1033  # <linux/fcntl.h>
_SEALS = 0x1 | 0x2 | 0x4 | 0x8  # no more seals, no shrinking, no growing, no writing


def load(object_bytes: bytes, key: str, report: dict[str, Any] | None = None) -> Any:
    """Return the library (a cffi `Lib` with `jg_entry`) made of `object_bytes`.

    The bytes must be verified: a damaged library kills the process.  A second call with the
    same `key` returns the same library without looking at the bytes.  `report["load"]`
    receives the milliseconds.  Raises JitgraphError if the system refuses it.
    """
    started = time.perf_counter()
    library = _libraries.get(key)
    if library is None:
        with _lock:
            library = _libraries.get(key)
            if library is None:
                library = _libraries[key] = _load(object_bytes, key)
    if report is not None:
        report["load"] = (time.perf_counter() - started) * 1e3
    return library


def _load(object_bytes: bytes, key: str) -> Any:
    problems = []
    for place in (_load_from_memory, _load_from_copy):
        try:
            library = place(object_bytes, key)
        except OSError as error:
            problems.append(str(error))
            continue
        try:
            library.jg_entry  # noqa: B018  # cffi looks the symbol up now
        except (AttributeError, ffi.error):
            raise JitgraphError(
                f"The compiled function {key[:16]} has no entry point jg_entry."
            ) from None
        return library
    raise JitgraphError(
        f"The system refuses to load the compiled function {key[:16]}: {'; '.join(problems)}. "
        "If temporary directories are mounted noexec, set TMPDIR to one that is not."
    )


def _load_from_memory(object_bytes: bytes, key: str) -> Any:
    if not hasattr(os, "memfd_create"):
        raise OSError("this system has no memfd_create")
    fd = _memory_file(f"jitgraph-{key[:16]}")
    try:
        view = memoryview(object_bytes)
        while view:
            view = view[os.write(fd, view) :]
        fcntl.fcntl(fd, _F_ADD_SEALS, _SEALS)
        return ffi.dlopen(_path_used_once(fd), _flags)
    finally:
        os.close(fd)


def _memory_file(name: str) -> int:
    flags = os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING
    try:
        return os.memfd_create(name, flags | _MFD_EXEC)
    except OSError:
        return os.memfd_create(name, flags)  # a kernel that does not know the flag yet


def _path_used_once(fd: int) -> str:
    """Return a path of the open file `fd` that no other call has ever returned.

    The number of a closed descriptor comes back, and with it the plain path, for which the
    dynamic linker would return the library it knows under that name.  The path is therefore
    spelled differently each time: every bit of a serial number becomes "/" or "/./", which
    mean the same to the kernel and not to the linker.
    """
    digits = f"{next(_serial):b}"
    return f"/proc/self/fd{digits.replace('1', '/.').replace('0', '/')}/{fd}"


def _load_from_copy(object_bytes: bytes, key: str) -> Any:
    import tempfile

    # mkdtemp: a new directory of mode 0700 with an unpredictable name.
    directory = tempfile.mkdtemp(prefix="jitgraph-")
    path = os.path.join(directory, f"{key[:16]}-{os.getpid()}-{next(_serial)}.so")
    try:
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o700), "wb") as file:
            file.write(object_bytes)
        return ffi.dlopen(path, _flags)
    finally:
        # The mapping keeps the file's contents alive.
        if os.path.exists(path):
            os.unlink(path)
        os.rmdir(directory)


# --- what kernels know of the interpreter ----------------------------------------------------

_host: Any = None
_kept_alive: list[Any] = []  # cffi owns what it allocates; the host structure points into it


def host() -> Any:
    """Return the `jg_host *` of this process, filled at the first call.

    It holds where the fields of arrays and tuples are and the addresses of `numpy.ndarray`, of
    the types of numbers and of the native dtype objects.  `pool` and `blas` are zero until their
    owners set them.  Raises JitgraphError if the interpreter or NumPy lays objects out differently.
    """
    global _host
    if _host is None:
        filled = ffi.new("jg_host *")
        filled.object_header = object.__basicsize__
        filled.tuple_items = tuple.__basicsize__
        filled.ndarray_type = id(np.ndarray)
        filled.parallel_min = config.parallel_threshold
        filled.stream_min = config.streaming_threshold
        filled.rounds_floats = config.floatX == "float32"
        dtypes = [np.dtype(name) for name in NAMES]
        filled.float_type = id(float)
        for position, dtype in enumerate(dtypes):
            filled.descr[position] = id(dtype)
            filled.number_type[position] = id(dtype.type)
        problem = check_layout(filled)
        if problem:
            raise JitgraphError(
                f"Compiled functions cannot read arrays here: {problem} "
                f"({sys.implementation.name} {sys.version.split()[0]}, NumPy {np.__version__}). "
                "mode='reference' works without them."
            )
        filled.int_is_tagged = sys.version_info >= (3, 12)
        filled.int_type = id(int) if _ints_are_known(filled) else 0
        _kept_alive.extend(dtypes)
        config.watch("parallel_threshold", lambda n: setattr(filled, "parallel_min", n))
        config.watch("streaming_threshold", lambda n: setattr(filled, "stream_min", n))
        config.watch("floatX", lambda name: setattr(filled, "rounds_floats", name == "float32"))
        _host = filled
    return _host


def attach_blas() -> BlasInfo | None:
    """Let kernels call the BLAS of NumPy through `host().blas`; return it, None if there is none.

    The search takes place at the first call only.
    """
    found = find_blas()
    if found is not None:
        host().blas = found.table
    return found


def check_layout(layout: Any) -> str:
    """Compare what `layout`, a `jg_host *`, leads to with what NumPy says; return what differs.

    Returns "" if everything agrees for 0-d, strided, empty, read-only and other arrays.
    """
    if sys.implementation.name != "cpython":
        return "the memory layout of objects is known for CPython only"
    base = np.arange(24, dtype=np.float32).reshape(2, 3, 4)
    frozen = np.ones(3, dtype=np.bool_)
    frozen.flags.writeable = False
    arrays = (
        np.array(1.5),
        np.arange(5, dtype=np.int8),
        base,
        base[:, ::-1, 1::2],
        base.T,
        np.empty((0, 3), dtype=np.uint16),
        frozen,
        np.broadcast_to(np.int64(7), (2, 2)),
    )
    items = ffi.cast("intptr_t *", id(arrays) + layout.tuple_items)
    if [items[i] for i in range(len(arrays))] != [id(a) for a in arrays]:
        return "the items of tuples are elsewhere"
    listed = list(arrays)
    items = items_of(listed)
    if [items[i] for i in range(len(listed))] != [id(a) for a in listed]:
        return "the items of lists are elsewhere"
    for array in arrays:
        if _read_array(layout, array) != _expected(array):
            return f"the fields of arrays are elsewhere (checked with {array.dtype}{array.shape})"
    for number in (-1.1, *(np.array(-7).astype(name)[()] for name in NAMES)):
        value = ffi.cast("char *", id(number) + layout.object_header)
        expected = np.asarray(number).tobytes()
        if ffi.buffer(value, len(expected))[:] != expected:
            return f"the values of numbers are elsewhere (checked with {type(number).__name__})"
    return ""


def items_of(values: list[Any]) -> Any:
    """Where the addresses of the items are, until the length of the list changes.

    Source: PyListObject of the public C interface; its items follow their number.
    """
    return ffi.cast("intptr_t **", id(values) + object.__basicsize__ + ffi.sizeof("intptr_t"))[0]


def _ints_are_known(layout: Any) -> bool:
    """Whether the values of ints lie in memory as `jg_int_value` reads them.

    The language leaves that to the interpreter: code that cannot read them is given arrays.
    """
    info = sys.int_info
    if (info.bits_per_digit, info.sizeof_digit) != (30, 4):
        return False
    for digits in ((), (1,), (0x2ABCDEF1,), (0, 1), (0x3FFFFFFF, 0x3FFFFFFF), (5, 6, 7)):
        size = sum(d << 30 * k for k, d in enumerate(digits))
        for sign in (1, -1) if size else (0,):
            number = sign * size
            word = len(digits) * 8 + 1 - sign if layout.int_is_tagged else len(digits) * sign
            found = ffi.cast("char *", id(number) + layout.object_header)
            first = int(ffi.cast("int64_t *", found)[0])
            # Bit 2 of a tag has no meaning for the value.
            if (first & ~4 if layout.int_is_tagged else first) != word:
                return False
            stored = ffi.cast("uint32_t *", found) + 2
            if tuple(stored[k] for k in range(len(digits))) != digits:
                return False
    return True


def _read_array(layout: Any, array: np.ndarray) -> tuple[Any, ...]:
    """Read the fields of a PyArrayObject, in the order of NumPy's ndarraytypes.h."""
    fields = ffi.cast("intptr_t *", id(array) + layout.object_header)
    # char *data; int nd; npy_intp *dimensions, *strides; PyObject *base; PyArray_Descr *descr;
    # int flags;  Each int is padded to the size of a pointer.
    nd = ffi.cast("int *", fields + 1)[0]
    if nd != array.ndim:
        return ("nd", nd)  # the pointers behind it are not to be trusted
    dimensions = ffi.cast("intptr_t *", fields[2])
    strides = ffi.cast("intptr_t *", fields[3])
    return (
        fields[0],
        tuple(dimensions[i] for i in range(nd)),
        tuple(strides[i] for i in range(nd)),
        fields[4],
        fields[5],
        ffi.cast("int *", fields + 6)[0],
    )


def _expected(array: np.ndarray) -> tuple[Any, ...]:
    interface = array.__array_interface__
    return (
        interface["data"][0],
        interface["shape"],
        array.strides,
        id(array.base) if array.base is not None else 0,
        id(array.dtype),
        array.flags.num,
    )


def _after_fork() -> None:
    global _lock
    _lock = threading.Lock()


os.register_at_fork(after_in_child=_after_fork)
