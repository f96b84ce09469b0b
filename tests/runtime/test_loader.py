"""Loading: the right library each time, nothing leaked, and what kernels know of CPython."""

from __future__ import annotations

import gc
import hashlib
import os
import platform
import signal
import sys
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from harness import kernel, run_python

from jitgraph import dtypes
from jitgraph.config import config
from jitgraph.errors import JitgraphError
from jitgraph.runtime import _abi, _abi_build, loader
from jitgraph.runtime.toolchain import Toolchain, compile_shared

ffi = loader.ffi
NULL = ffi.NULL


def ask(library: Any, segment: int = 0) -> int:
    return int(library.jg_entry(segment, NULL, 0, 0, NULL, NULL))


def compiled(toolchain: Toolchain, source: str) -> bytes:
    with tempfile.TemporaryDirectory() as directory:
        return compile_shared(toolchain, source, directory)


def open_files() -> int:
    return len(os.listdir("/proc/self/fd"))


# --- the ABI module --------------------------------------------------------------------------


def test_the_generated_module_is_up_to_date() -> None:
    assert _abi_build.TARGET.read_text() == _abi_build.generate()
    assert hashlib.sha256(_abi_build.CDEF.encode()).hexdigest() == _abi.DIGEST


def test_loading_needs_no_parser() -> None:
    run_python(
        "import sys\n"
        "from jitgraph.runtime import loader\n"
        "loader.attach_blas()\n"
        "assert not {'cffi', 'pycparser', 'setuptools', 'subprocess'} & set(sys.modules)"
    )


def test_the_declaration_is_what_a_c_compiler_makes_of_it(toolchain: Toolchain) -> None:
    """The oracle for sizes and offsets: offsetof in C, over the same text."""
    declarations = _abi_build.CDEF.partition("int64_t jg_entry")[0]
    fields = [(s, f) for s in ("jg_blas", "jg_host", "jg_call") for f, _ in ffi.typeof(s).fields]
    lines = [f"info[{i}] = offsetof({s}, {f});" for i, (s, f) in enumerate(fields)]
    source = (
        f"#include <stdint.h>\n#include <stddef.h>\n{declarations}\n"
        "int64_t jg_entry(int64_t segment, const jg_host *host, intptr_t args, intptr_t outs,\n"
        '    void *scratch, int64_t *info) __attribute__((visibility("default")));\n'
        "int64_t jg_entry(int64_t segment, const jg_host *host, intptr_t args, intptr_t outs,\n"
        "    void *scratch, int64_t *info)\n"
        f"{{ (void)segment, (void)host, (void)args, (void)outs, (void)scratch;\n"
        f"{' '.join(lines)} return sizeof(jg_host); }}\n"
    )
    library = loader.load(compiled(toolchain, source), "offsets")
    info = ffi.new("int64_t[]", len(fields))
    assert library.jg_entry(0, NULL, 0, 0, NULL, info) == ffi.sizeof("jg_host")
    assert list(info) == [ffi.offsetof(s, f) for s, f in fields]


# --- loading ---------------------------------------------------------------------------------


def test_different_libraries_give_different_answers(objects: Callable[[int], bytes]) -> None:
    # Each load opens and closes a descriptor, so all have the same number.
    libraries = [loader.load(objects(n), f"different-{n}") for n in range(5)]
    assert [ask(library) for library in libraries] == list(range(5))


def test_a_plain_path_would_return_the_old_library(objects: Callable[[int], bytes]) -> None:
    """Why paths are used once: the linker of glibc answers by name."""
    if platform.libc_ver()[0] != "glibc":
        return  # others compare the files
    found = []
    for number in (1, 2, 3):
        fd = os.memfd_create("same")
        os.dup2(fd, 200)
        os.close(fd)
        os.write(200, objects(number))
        found.append(ffi.dlopen("/proc/self/fd/200", ffi.RTLD_NOW))
        os.close(200)
    assert [ask(library) for library in found] == [1, 1, 1]


def test_no_path_is_used_twice() -> None:
    paths = [loader._path_used_once(5) for _ in range(3000)]
    assert len(set(paths)) == 3000
    assert {os.path.normpath(path) for path in paths} == {"/proc/self/fd/5"}
    assert max(map(len, paths)) < 60


def test_a_second_load_is_the_same_library(objects: Callable[[int], bytes]) -> None:
    report: dict[str, Any] = {}
    first = loader.load(objects(1), "same", report)
    assert report["load"] > 0
    assert loader.load(b"not looked at", "same") is first


def test_loading_leaves_no_descriptor_and_no_file(
    objects: Callable[[int], bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    before = open_files()
    for number in range(300):  # more than would fit if each kept one, with a limit of 256
        loader.load(objects(number % 2), f"many-{number}")
    assert open_files() == before
    assert os.listdir(tmp_path) == []
    assert [ask(loader._libraries[f"many-{n}"]) for n in (0, 1, 298, 299)] == [0, 1, 0, 1]


def test_a_library_outlives_everything_that_refers_to_it(objects: Callable[[int], bytes]) -> None:
    entry = loader.load(objects(4), "outlives").jg_entry
    gc.collect()
    assert int(entry(1, NULL, 0, 0, NULL, NULL)) == 5


@pytest.mark.parametrize("fault", ["no memfd", "refused"])
def test_without_memory_files_a_private_copy_is_loaded(
    fault: str,
    objects: Callable[[int], bytes],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    data = [objects(n) for n in range(3)]  # compilers may need what is refused

    def refuse(name: str, flags: int) -> int:
        raise PermissionError(1, "Operation not permitted")

    if fault == "no memfd":
        monkeypatch.delattr(os, "memfd_create")
    else:
        monkeypatch.setattr(os, "memfd_create", refuse)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    before = open_files()
    libraries = [loader.load(d, f"copy-{fault}-{n}") for n, d in enumerate(data)]
    assert [ask(library) for library in libraries] == [0, 1, 2]
    assert os.listdir(tmp_path) == [] and open_files() == before


def test_the_copy_is_private(
    objects: Callable[[int], bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []

    class Spy:
        @staticmethod
        def dlopen(path: str, flags: int) -> Any:
            seen.append((os.stat(os.path.dirname(path)).st_mode & 0o777, os.path.basename(path)))
            return ffi.dlopen(path, flags)

    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(loader, "ffi", Spy)
    for _ in range(2):
        loader._load_from_copy(objects(1), "0" * 64)
    assert [mode for mode, _ in seen] == [0o700, 0o700]
    assert seen[0][1] != seen[1][1]


def test_an_old_kernel_without_the_exec_flag(
    objects: Callable[[int], bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    create = os.memfd_create

    def old(name: str, flags: int) -> int:
        if flags & loader._MFD_EXEC:
            raise OSError(22, "Invalid argument")
        return create(name, flags)

    monkeypatch.setattr(os, "memfd_create", old)
    assert ask(loader.load(objects(3), "old kernel")) == 3


def test_a_memory_file_cannot_be_changed_after_it_was_written(
    objects: Callable[[int], bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    outcome: list[str] = []

    class Spy:
        @staticmethod
        def dlopen(path: str, flags: int) -> Any:
            try:
                with open(path, "r+b") as file:
                    file.write(b"changed")
            except PermissionError as error:
                outcome.append(str(error.strerror))
            return ffi.dlopen(path, flags)

    monkeypatch.setattr(loader, "ffi", Spy)
    assert ask(loader._load_from_memory(objects(3), "1" * 64)) == 3
    assert outcome == ["Operation not permitted"]


def test_what_the_system_refuses_is_one_clear_error(tmp_path: Path) -> None:
    before = open_files()
    with pytest.raises(JitgraphError, match=r"refuses to load.*noexec"):
        loader.load(b"\x7fELF but nothing behind", "f" * 64)
    assert "f" * 64 not in loader._libraries and open_files() == before


def test_a_library_without_the_entry_point_is_an_error(toolchain: Toolchain) -> None:
    source = kernel(1).replace("jg_entry", "another_name")
    with pytest.raises(JitgraphError, match="no entry point jg_entry"):
        loader.load(compiled(toolchain, source), "e" * 64)


def test_threads_load_once(objects: Callable[[int], bytes]) -> None:
    found: list[Any] = []
    barrier = threading.Barrier(16)

    def work() -> None:
        barrier.wait()
        found.append(loader.load(objects(2), "threads"))

    threads = [threading.Thread(target=work) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 16 and len({id(library) for library in found}) == 1


def test_a_forked_child_loads_too(objects: Callable[[int], bytes]) -> None:
    loader.load(objects(1), "before the fork")
    data = objects(2)
    with loader._lock:  # as if another thread were loading at this moment
        child = os.fork()
        if child == 0:
            signal.alarm(10)  # it hangs if the lock of the parent's thread still counts
            right = ask(loader._libraries["before the fork"]) == 1
            os._exit(0 if right and ask(loader.load(data, "in the child")) == 2 else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


# --- the floating-point environment ----------------------------------------------------------

FLUSHING = """
#if defined(__x86_64__)
#include <xmmintrin.h>
__attribute__((constructor)) static void flush(void) { _mm_setcsr(_mm_getcsr() | 0x8040); }
#else
__attribute__((constructor)) static void flush(void)
{ unsigned long fpcr; __asm__("mrs %0, fpcr" : "=r"(fpcr));
  __asm__("msr fpcr, %0" : : "r"(fpcr | 1ul << 24)); }
#endif
"""
SUBNORMALS = """
import sys
import numpy as np
from jitgraph.runtime import loader

tiny, half = float.fromhex("0x1p-1022"), float(sys.argv[2])
before = tiny * half, (np.full(3, tiny) * half).tolist()
loader.load(open(sys.argv[1], "rb").read(), "k")
after = tiny * half, (np.full(3, tiny) * half).tolist()
print("kept" if before == after and before[0] > 0 else "flushed")
"""


def test_subnormals_survive_loading(toolchain: Toolchain, tmp_path: Path) -> None:
    for text, expected in ((kernel(1), "kept"), (FLUSHING + kernel(1), "flushed")):
        (tmp_path / "so").write_bytes(compiled(toolchain, text))
        printed = run_python(SUBNORMALS, str(tmp_path / "so"), "0.5").stdout
        assert printed.strip() == expected  # "flushed": the tester tested


# --- the host structure ----------------------------------------------------------------------


def test_host_is_filled_once() -> None:
    host = loader.host()
    assert loader.host() is host
    assert host.ndarray_type == id(np.ndarray)
    assert list(host.descr)[: len(dtypes.NAMES)] == [id(np.dtype(n)) for n in dtypes.NAMES]
    assert list(host.descr)[len(dtypes.NAMES) :] == [0] * (16 - len(dtypes.NAMES))
    assert host.parallel_min == config.parallel_threshold


READER = """
#include <stdint.h>
typedef struct { intptr_t b[8]; int64_t ilp64, vector; } jg_blas;
typedef struct {
    int64_t header, items; intptr_t ndarray, descr[16], pool; jg_blas *blas;
} jg_host;
typedef struct {
    char *data; int nd; intptr_t *dims, *strides; void *base, *descr; int flags;
} array;

/* The sum of the float64 arrays in the tuple at args; -1 for anything else. */
__attribute__((visibility("default"))) int64_t jg_entry(int64_t count, const jg_host *host,
    intptr_t args, intptr_t outs, void *scratch, int64_t *info)
{
    intptr_t *items = (intptr_t *)(args + host->items);
    double sum = 0;
    for (int64_t k = 0; k < count; k++) {
        if (((intptr_t *)items[k])[host->header / 8 - 1] != host->ndarray)
            return -1;
        array *a = (array *)(items[k] + host->header);
        if ((intptr_t)a->descr != host->descr[10] || a->nd != 2)
            return -1;
        for (intptr_t i = 0; i < a->dims[0]; i++)
            for (intptr_t j = 0; j < a->dims[1]; j++)
                sum += *(double *)(a->data + i * a->strides[0] + j * a->strides[1]);
    }
    *(double *)scratch = sum;
    return 0;
}
"""


def test_c_reads_arrays_through_the_host_structure(toolchain: Toolchain) -> None:
    library = loader.load(compiled(toolchain, READER), "reader")
    base = np.arange(60, dtype=np.float64).reshape(6, 10)
    arrays = (base, base[::-2, 1::3], base.T, np.empty((0, 4)), np.broadcast_to(2.5, (3, 3)))
    total = ffi.new("double *")
    status = library.jg_entry(len(arrays), loader.host(), id(arrays), 0, total, NULL)
    assert (status, total[0]) == (0, sum(float(a.sum()) for a in arrays))
    for wrong in (np.ones((2, 2), np.float32), np.ones(3), [1.0], 1.0, np.ma.ones((2, 2))):
        assert library.jg_entry(1, loader.host(), id((wrong,)), 0, total, NULL) == -1


@pytest.mark.parametrize(
    ("field", "change", "words"),
    [
        ("object_header", 8, "fields of arrays"),
        ("object_header", -8, "fields of arrays"),
        ("tuple_items", 8, "items of tuples"),
        ("tuple_items", -8, "items of tuples"),
    ],
)
def test_a_wrong_layout_is_noticed(field: str, change: int, words: str) -> None:
    wrong = ffi.new("jg_host *", loader.host()[0])
    assert loader.check_layout(wrong) == ""
    setattr(wrong, field, getattr(wrong, field) + change)
    assert words in loader.check_layout(wrong)


INTS = """
#include "jg_abi.h"
JG_EXPORT int64_t jg_entry(int64_t segment, const jg_host *host, intptr_t args, intptr_t outs,
                           void *scratch, int64_t *info);
int64_t jg_entry(int64_t segment, const jg_host *host, intptr_t args, intptr_t outs, void *scratch,
                 int64_t *info)
{
    (void)segment, (void)outs, (void)scratch, (void)info;
    return jg_int_value(host, (const void *)args);
}
"""


@pytest.mark.parametrize("tagged", [False, True])
def test_ints_are_read_as_two_generations_of_cpython_store_them(
    toolchain: Toolchain, tagged: bool
) -> None:
    """Written out by hand here: number of digits with the sign, or with a tag; digits of 30 bits.

    Source: longintrepr.h of CPython 3.11 (ob_size) and of 3.12 (lv_tag).
    """
    library = loader.load(compiled(toolchain, INTS), "ints")
    layout = ffi.new("jg_host *", loader.host()[0])
    layout.int_is_tagged = tagged
    words = ffi.new("uint32_t[6]")
    for sign, digits, expected in (
        (0, (), 0),
        (1, (1,), 1),
        (-1, (1,), -1),
        (1, (0x3FFFFFFF,), 2**30 - 1),
        (-1, (0, 1), -(2**30)),
        (1, (5, 7), 7 * 2**30 + 5),
        (-1, (0x3FFFFFFF, 0x3FFFFFFF), 1 - 2**60),
        (1, (0, 0, 1), -(2**63)),
        (-1, (1, 2, 3, 4), -(2**63)),
    ):
        first = {0: 1, 1: 0, -1: 2}[sign] + 8 * len(digits) if tagged else sign * len(digits)
        ffi.cast("int64_t *", words)[0] = first
        for k in range(4):
            words[2 + k] = digits[k] if k < len(digits) else 0x2AAAAAAA  # not to be read
        address = int(ffi.cast("intptr_t", words))
        assert library.jg_entry(0, layout, address, 0, NULL, NULL) == expected


def test_ints_in_an_unknown_form_are_not_read() -> None:
    """Of this interpreter the form is known; what it is taken for can be wrong."""
    layout = ffi.new("jg_host *", loader.host()[0])
    assert loader._ints_are_known(layout) and layout.int_type == id(int)
    layout.int_is_tagged = not layout.int_is_tagged
    assert not loader._ints_are_known(layout)


def test_items_of_a_list_stay_where_they_are() -> None:
    values: list[Any] = [None, 1.5]
    items = loader.items_of(values)
    for _ in range(3):
        values[0], values[1] = object(), [values]
        assert [items[0], items[1]] == [id(values[0]), id(values[1])]
        gc.collect()
    values[1] = None


def test_another_interpreter_is_an_error_that_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loader, "_host", None)
    monkeypatch.setattr(sys.implementation, "name", "otherpy")
    with pytest.raises(JitgraphError, match=r"CPython only \(otherpy 3\."):
        loader.host()


def test_attach_blas_points_the_host_to_the_table() -> None:
    found = loader.attach_blas()
    host = loader.host()
    if found is None:
        assert host.blas == NULL
    else:
        assert host.blas == found.table and host.blas.gemm_f64 != 0
