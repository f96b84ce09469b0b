"""The C compiler: which one, with which flags, and one run of it.

Finding it starts no process: everything a warm start needs (`Toolchain.identity`, a part of
the cache key) comes from file names, `stat` and the CPU's feature flags.
"""

from __future__ import annotations

import contextlib
import os
import re
import shlex
import struct
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from importlib.util import find_spec
from typing import TYPE_CHECKING, BinaryIO, NamedTuple

from jitgraph.config import config
from jitgraph.errors import CompileError, CompilerNotFoundError, JitgraphError
from jitgraph.runtime import cpu
from jitgraph.runtime._abi import DIGEST as ABI_DIGEST
from jitgraph.runtime.entry import sha256

if TYPE_CHECKING:
    import subprocess

# No relaxed arithmetic, ever: linking with -ffast-math even turns off subnormal numbers for
# the whole process.  -fno-math-errno and -fno-trapping-math change no result, only what a C
# program could observe through errno and the exception flags, which NumPy does not expose.
# -fwrapv: integer overflow wraps as in NumPy.  -ffp-contract=off: a*b + c is rounded twice,
# on every machine, unless the code asks for fma().
BASE_FLAGS = (
    "-O3",
    "-std=gnu11",
    "-shared",
    "-fPIC",
    "-fvisibility=hidden",
    "-fwrapv",
    "-ffp-contract=off",
    "-fno-math-errno",
    "-fno-trapping-math",
    "-Werror=implicit-function-declaration",  # else found out only when the library is loaded
    "-pthread",
)
# gcc solves register allocation region by region; the other passes are made for branches and scalar
# code. Loops of several inlined functions take half the time to compile without them and run as
# fast. The remainder of a loop is vectorised again, with shorter vectors: that takes 10 ms more to
# compile and a seventh off a softmax of rows of 100.
# -fno-ssa-phiopt: gcc 12 takes x < 1 ? 1 : (x > y ? y : x) for max(min(x, y), 1) where y is a bool
# or a narrow integer, and gives 1 for x = 1, y = 0 from -O1 on; no loop was slower without.
# -fno-thread-jumps, -fno-tree-pre: after clip(x, low, high), gcc computes a function of x apart for
# each of the two ends. That makes branches of its conditions, and sin(clip(x)) took three times as
# long as sin(x), arcsinh(clip(x)) eight times.
GCC_FLAGS = (
    "-fno-ssa-phiopt",
    "-fira-region=one",
    "-fno-gcse",
    "-fno-gcse-after-reload",
    "-fno-rerun-cse-after-loop",
    "-fno-tree-vrp",
    "-fno-thread-jumps",
    "-fno-tree-pre",
    "-fno-schedule-insns2",
)
LIBRARIES = ("-lm",)

_FORBIDDEN_FLAGS = re.compile(
    r"-Ofast$|-ff(ast-math|inite-math-only|p-contract=(fast|on)|p-model=(fast|aggressive))"
    r"|-f(unsafe-math-optimizations|associative-math|reciprocal-math|no-signed-zeros)$"
    r"|-f(approx-func|daz-ftz|cx-limited-range|single-precision-constant)$|-mdaz-ftz$"
    r"|-funsafe-fp-math|-mrecip(=.*)?$"
)

_INSTALL_ADVICE = (
    "Install one with one of these commands:\n"
    "    apt install gcc                 (Debian, Ubuntu; Fedora: dnf install gcc)\n"
    "    conda install c-compiler        (conda, mamba)\n"
    "    pip install 'jitgraph[cc]'      (anywhere, no administrator needed)\n"
    "or name one in the environment variable JITGRAPH_CC."
)

_ELF_MACHINES = {"x86_64": 62, "aarch64": 183}  # e_machine, <elf.h>

_LONG_SOURCE = 500_000  # characters, for which GCC takes 3 s: see _divided
_MAX_FILE = 1 << 28  # bytes that the compiler may write to one file
_MAX_OUTPUT = 1 << 16  # bytes of the compiler's messages that are read; a flood is cut


class CompileTimeoutError(CompileError):
    """The C compiler took longer than `Toolchain.timeout`."""


@dataclass(frozen=True)
class Toolchain:
    """A C compiler with its resolved flags.

    argv:     the command without flags, `("/usr/bin/gcc",)`
    kind:     "gcc", "clang" or "zig", judged by the name; only zig is called differently
    flags:    every flag that can change the code, in order
    isa:      the instruction set that the code may use: "x86-64-v3", "armv8-a", ...
    identity: the text of all this that belongs in a cache key
    timeout:  longest run of the compiler in seconds
    """

    argv: tuple[str, ...]
    kind: str
    flags: tuple[str, ...]
    isa: str
    identity: str
    timeout: float = 120.0


# --- finding ---------------------------------------------------------------------------------


def find_toolchain(
    env: Mapping[str, str] | None = None,
    config_cc: str | None = None,
    *,
    target: str = "native",
    cflags: str | None = None,
    timeout: float = 120.0,
) -> Toolchain:
    """Return the compiler to use; no process is started.

    The order is: `config_cc`, `$JITGRAPH_CC`, `$CC`, the compiler this interpreter was built
    with, conda's, `cc`, `gcc`, `clang`, and the `ziglang` package.  `config_cc` and
    `$JITGRAPH_CC` may hold arguments ("ccache gcc").  `cflags` (default `$JITGRAPH_CFLAGS`)
    is split like a shell command and added to the flags.  `target` is "native" or a level
    that `cpu.features` knows.

    Raises CompilerNotFoundError when a compiler named explicitly does not exist or when there
    is none at all, JitgraphError for a target this CPU cannot run and for a flag that would
    change the arithmetic.
    """
    env = os.environ if env is None else env
    isa = cpu.resolve(target)
    argv = _find_argv(env, config_cc or "")
    user_flags = split_flags(env.get("JITGRAPH_CFLAGS", "") if cflags is None else cflags)
    kind = _kind(argv)
    flags = (*BASE_FLAGS, *_machine_flags(kind, isa), *user_flags)
    identity = _identity(argv, kind, flags, isa, env.get("PATH", os.defpath))
    return Toolchain(argv, kind, flags, isa, identity, timeout)


_default: tuple[tuple[object, ...], Toolchain] | None = None


def default_toolchain() -> Toolchain:
    """Return the toolchain that the configuration asks for, remembered until that changes."""
    global _default
    asked = (
        config.cc,
        config.cflags,
        config.target,
        config.compile_timeout,
        *(os.environ.get(name) for name in ("CC", "PATH", "CONDA_PREFIX")),
    )
    if _default is None or _default[0] != asked:
        found = find_toolchain(
            config_cc=config.cc,
            target=config.target,
            cflags=config.cflags,
            timeout=config.compile_timeout,
        )
        _default = (asked, found)
    return _default[1]


def split_flags(text: str) -> tuple[str, ...]:
    """Split `text` like a shell command; raise JitgraphError for a flag that may not be used."""
    try:
        flags = tuple(shlex.split(text))
    except ValueError as error:
        raise JitgraphError(f"JITGRAPH_CFLAGS={text!r} cannot be split: {error}") from error
    for flag in flags:
        if _FORBIDDEN_FLAGS.match(flag):
            raise JitgraphError(
                f"JITGRAPH_CFLAGS holds {flag}, which changes the results of floating-point "
                "arithmetic (for some flags in the whole process). Remove it."
            )
        if flag.startswith("@"):
            raise JitgraphError(
                f"JITGRAPH_CFLAGS holds {flag}: flags from a file cannot be part of the cache "
                "key. Write them out."
            )
    return flags


def _find_argv(env: Mapping[str, str], config_cc: str) -> tuple[str, ...]:
    path = env.get("PATH", os.defpath)
    named = config_cc.strip() or env.get("JITGRAPH_CC", "").strip()
    if named:
        argv = _command(named, path)
        if argv is None:
            raise CompilerNotFoundError(
                f"The compiler that JITGRAPH_CC (config.cc) names does not exist or cannot be "
                f"run: {named!r}. Correct it, or unset it to use the first compiler found."
            )
        return argv
    for candidate in _candidates(env):
        argv = _command(candidate, path)
        if argv is not None:
            return argv
    argv = _ziglang()
    if argv is None:
        raise CompilerNotFoundError(
            f"jitgraph needs a C compiler and found none.\n{_INSTALL_ADVICE}"
        )
    return argv


def _candidates(env: Mapping[str, str]) -> Iterator[str]:
    """Yield commands in the order in which they are tried."""
    yield env.get("CC", "")
    import sysconfig

    # The first word alone: the rest are flags for extension modules of the interpreter.
    yield (sysconfig.get_config_var("CC") or "").partition(" ")[0]
    directories = [os.path.join(sys.prefix, "bin")]
    if env.get("CONDA_PREFIX"):
        directories.insert(0, os.path.join(env["CONDA_PREFIX"], "bin"))
    for name in _conda_names():
        yield name
        yield from (shlex.quote(os.path.join(directory, name)) for directory in directories)
    yield from ("cc", "gcc", "clang")


def _conda_names() -> tuple[str, ...]:
    machine = os.uname().machine
    if sys.platform == "darwin":
        vendor = "apple-darwin20.0.0" if machine == "arm64" else "apple-darwin13.4.0"
        return (f"{machine}-{vendor}-clang",)
    triplet = f"{machine}-conda-linux-gnu"
    return (f"{triplet}-cc", f"{triplet}-gcc", f"{triplet}-clang")


def _command(text: str, path: str) -> tuple[str, ...] | None:
    """Return the argument list of the command `text`, or None if its program does not exist.

    A text that is as a whole the name of a program is that program, spaces or not.
    """
    whole = which(text, path) if text.strip() else None
    if whole is not None:
        return (os.path.abspath(whole),)
    try:
        words = shlex.split(text)
    except ValueError:
        return None
    program = which(words[0], path) if words else None
    return None if program is None else (os.path.abspath(program), *words[1:])


def which(name: str, path: str) -> str | None:
    """Return the file that the command `name` runs with the search path `path`, or None.

    As `shutil.which`, whose import takes longer than the rest of a warm start.
    """
    directories = [""] if os.path.dirname(name) else path.split(os.pathsep)
    for directory in directories if name else ():
        file = os.path.join(directory, name)
        if os.path.isfile(file) and os.access(file, os.X_OK):
            return file
    return None


def _ziglang() -> tuple[str, ...] | None:
    spec = find_spec("ziglang")
    for directory in (spec.submodule_search_locations or ()) if spec else ():
        zig = os.path.join(directory, "zig")
        if os.access(zig, os.X_OK):
            # What `python -m ziglang cc` does, without the start of an interpreter.
            return (zig, "cc")
    return None


def _kind(argv: tuple[str, ...]) -> str:
    names = [os.path.basename(word) for word in (argv[0], os.path.realpath(argv[0]))]
    # "zig cc" and "python -m ziglang cc"
    if "cc" in argv[1:] and any(name.startswith("zig") for name in (*names, *argv[1:])):
        return "zig"
    if any("clang" in name for name in names) or sys.platform == "darwin":
        return "clang"
    return "gcc"


def _machine_flags(kind: str, isa: str) -> tuple[str, ...]:
    # Compilers tune the level v4 for CPUs that slow down on 512-bit vectors; few are left.
    wide = ("-mprefer-vector-width=512",) if isa == "x86-64-v4" else ()
    if kind == "zig":
        # zig spells CPU names with underscores and checks for undefined behaviour by default.
        level = isa.replace("-", "_") if isa in cpu.X86_LEVELS else "generic"
        return (f"-mcpu={level}", "-fno-sanitize=undefined", *wide)
    return (f"-march={isa}", *wide, *(GCC_FLAGS if kind == "gcc" else ()))


def _spell_out(flags: tuple[str, ...], isa: str) -> tuple[str, ...]:
    """Replace the name of an x86-64 level by its features, for gcc < 11 and clang < 12.

    The same instructions are allowed, so the cache key does not tell the two apart.
    """
    kept = (flag for flag in flags if flag not in (f"-march={isa}", "-mprefer-vector-width=512"))
    return (*cpu.feature_flags(isa), *kept)


def _identity(argv: tuple[str, ...], kind: str, flags: tuple[str, ...], isa: str, path: str) -> str:
    """Return the text that differs whenever the compiled code may differ."""
    lines = [f"command: {shlex.join(argv)}"]
    # Every word that is a program: in "ccache gcc" the second one decides.
    for word in argv if kind != "zig" else argv[:1]:
        program = which(word, path)
        if program:
            status = os.stat(program)
            real = os.path.realpath(program)
            lines.append(f"program: {real} {status.st_size} {status.st_mtime_ns}")
    lines.append(f"flags: {shlex.join((*flags, *LIBRARIES))}")
    lines.append(f"isa: {isa}")
    system = os.uname()
    lines.append(
        f"abi: {system.sysname} {system.machine} pointer={struct.calcsize('P')} "
        f"{sys.byteorder} {_libc()} {ABI_DIGEST}"
    )
    return "\n".join(lines)


def _libc() -> str:
    # An object linked to a newer C library may need symbols that an older one lacks.
    try:
        return os.confstr("CS_GNU_LIBC_VERSION") or "libc"
    except (ValueError, OSError, AttributeError):
        return "libc"


# --- the C sources of the run time -----------------------------------------------------------


def csrc_directory() -> str:
    """Return the absolute path of the directory of C headers that generated code includes.

    That is the package `jitgraph.csrc`: beside this package when installed, at the top of
    the repository otherwise.  Raises JitgraphError when the installation lacks it.
    """
    package = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    installed = os.path.join(package, "csrc")
    if os.path.isdir(installed):
        return installed
    spec = find_spec("jitgraph.csrc")  # an editable installation maps it elsewhere
    for directory in (spec.submodule_search_locations or ()) if spec else ():
        if os.path.isdir(directory):
            return os.path.abspath(directory)
    checkout = os.path.join(os.path.dirname(os.path.dirname(package)), "csrc")
    if os.path.isdir(checkout):
        return checkout
    raise JitgraphError(
        "The C headers of jitgraph (package jitgraph.csrc) are missing: the installation is "
        "incomplete. Reinstall jitgraph."
    )


def tree_digest(directory: str, suffixes: tuple[str, ...]) -> str:
    """Return the SHA-256 of all files below `directory` whose names end in `suffixes`.

    Names and contents count, times and modes do not.  For cache keys: the code generator and
    the C headers identify themselves by their text.
    """
    digest = sha256()
    pending = [""]
    while pending:
        relative = pending.pop()
        with os.scandir(os.path.join(directory, relative)) as listing:
            entries = sorted(listing, key=lambda entry: entry.name)
        for entry in entries:
            name = f"{relative}/{entry.name}" if relative else entry.name
            if entry.is_dir():
                pending.append(name)
            elif name.endswith(suffixes):
                with open(entry.path, "rb") as file:
                    data = file.read()
                digest.update(f"{name}\0{len(data)}\0".encode("utf-8", "surrogateescape"))
                digest.update(data)
    return str(digest.hexdigest())


# --- compiling -------------------------------------------------------------------------------


def compile_shared(toolchain: Toolchain, c_source: str, workdir: str) -> bytes:
    """Compile `c_source` in the private directory `workdir`; return the shared library.

    The compiler runs there with relative file names, an argument list (no shell), no input
    and the C locale; neither the current directory nor the environment of this process
    changes.  Raises CompileError if it fails in any way: exit status, signal, time-out, no
    output, or output that is not a shared library for this machine.  OSError means that
    `workdir` cannot be used.
    """
    source = os.path.join(workdir, "kernel.c")
    with open(source, "wb") as file:
        file.write(c_source.encode("utf-8", "surrogatepass"))
    divided = _divided(toolchain, len(c_source))
    outcome = _run(divided, workdir)
    if divided != toolchain and outcome.failure is not None and not outcome.expired:
        outcome = _run(toolchain, workdir)  # there may be no linker plugin, or no make
    if toolchain.isa in cpu.X86_LEVELS and outcome.refused_machine_flags:
        spelled_out = replace(toolchain, flags=_spell_out(toolchain.flags, toolchain.isa))
        outcome = _run(spelled_out, workdir)
    if outcome.failure is not None:
        os.stat(source)  # OSError when somebody removed it meanwhile
        error = CompileTimeoutError if outcome.expired else CompileError
        raise error(outcome.message())
    try:
        with open(os.path.join(workdir, "kernel.so"), "rb") as file:
            data = file.read()
    except FileNotFoundError:
        raise CompileError(outcome.message("it succeeded but wrote no output")) from None
    problem = check_object(data)
    if problem:
        raise CompileError(outcome.message(f"it succeeded but {problem}"))
    return data


def _divided(toolchain: Toolchain, length: int) -> Toolchain:
    """The toolchain for a source of this length: GCC translates a long one on all processors.

    Its optimiser of whole programs divides the functions among processes: 10,000 operations take
    5.6 s instead of 10.3 on two processors, 1,500 as long as before. The code is that of the flags.
    """
    from jitgraph.runtime.threads import default_threads

    processes = default_threads() if toolchain.kind == "gcc" and length >= _LONG_SOURCE else 1
    if processes < 2:
        return toolchain
    return replace(toolchain, flags=(*toolchain.flags, f"-flto={processes}"))


def check_object(data: bytes) -> str:
    """Return what is wrong with the bytes of a shared library for this machine, "" if nothing.

    Loading a truncated file kills the process (SIGBUS), so the extents of the segments are
    compared with the length.
    """
    if sys.platform == "darwin":
        good = data[:4] in (b"\xcf\xfa\xed\xfe", b"\xca\xfe\xba\xbe")
        return "" if good else "its output is not a Mach-O library"
    if len(data) < 64 or data[:4] != b"\x7fELF":
        return f"its output ({len(data)} bytes) is not an ELF library"
    machine = _ELF_MACHINES.get(os.uname().machine)
    kind, found = struct.unpack_from("<HH", data, 16)
    if data[4:6] != b"\x02\x01" or kind != 3 or (machine is not None and found != machine):
        return "its output is not a shared library for this machine"
    offset, size, count = (
        *struct.unpack_from("<Q", data, 32),
        *struct.unpack_from("<HH", data, 54),
    )
    if not count or offset + size * count > len(data) or size < 56:
        return "its output is truncated"
    for i in range(count):
        _, _, start, _, _, length = struct.unpack_from("<IIQQQQ", data, offset + i * size)
        if start + length > len(data):
            return "its output is truncated"
    return ""


def command(toolchain: Toolchain) -> list[str]:
    """Return the argument list of the compiler run, with the relative names used there."""
    return [
        *toolchain.argv,
        *toolchain.flags,
        "-I",
        csrc_directory(),
        "-o",
        "kernel.so",
        "kernel.c",
        *LIBRARIES,
    ]


class _Outcome(NamedTuple):
    """How one run of the compiler ended; `failure` is None or says what went wrong."""

    argv: list[str]
    failure: str | None
    output: str
    expired: bool = False

    @property
    def refused_machine_flags(self) -> bool:
        """Whether the compiler is too old for the names of the x86-64 levels."""
        return self.failure is not None and bool(
            re.search(r"(-march|target.CPU|-mprefer-vector-width).*", self.output)
        )

    def message(self, failure: str | None = None) -> str:
        complaint = _first_error(self.output)
        text = f"The C compiler failed: {failure or self.failure}"
        text += f": {complaint}." if complaint else "."
        return f"{text} Command: {shlex.join(self.argv)}"


def _first_error(output: str) -> str:
    """Return the line of the compiler's output that says what is wrong, one line, clipped."""
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    errors = [line for line in lines if re.search(r"\berror\b|undefined reference|Killed", line)]
    line = (errors or lines or [""])[0]
    printable = "".join(c if c.isprintable() else "?" for c in line)
    return printable[:300].rstrip(".")


def _run(toolchain: Toolchain, workdir: str) -> _Outcome:
    """Run the compiler in `workdir`, in a process group of its own, within its time."""
    import subprocess
    import threading

    argv = command(toolchain)
    with _message_file(workdir) as messages:
        try:
            process = subprocess.Popen(
                argv,
                cwd=workdir,
                env=_environment(toolchain),
                stdin=subprocess.DEVNULL,
                stdout=messages,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        except OSError as error:
            return _Outcome(argv, f"it could not be started ({error.strerror})", "")
        _limit_file_size(process.pid)
        expired = threading.Event()

        def expire() -> None:
            expired.set()
            _kill(process)

        timer = threading.Timer(toolchain.timeout, expire)
        timer.daemon = True
        timer.start()
        try:
            # Waiting without a time-out of its own: that one polls, up to 50 ms too late.
            status = process.wait()
        except BaseException:
            _kill(process)
            process.wait()
            raise
        finally:
            timer.cancel()
        messages.seek(0)
        output = messages.read(_MAX_OUTPUT).decode("utf-8", "replace")
    if expired.is_set():
        return _Outcome(argv, f"no result after {toolchain.timeout:g} s", output, True)
    return _Outcome(argv, _describe_status(status), output)


def _message_file(workdir: str) -> BinaryIO:
    # Not a pipe, which would stay open as long as any grandchild lives; not on the disk, if
    # possible, which may be full, and that is what the message would have said.
    if hasattr(os, "memfd_create"):
        return open(os.memfd_create("messages"), "w+b")
    return open(os.path.join(workdir, "messages"), "w+b")


def _limit_file_size(pid: int) -> None:
    """Stop a compiler that floods us with messages before it fills the memory."""
    with contextlib.suppress(ImportError, AttributeError, OSError, ValueError):
        import resource

        resource.prlimit(pid, resource.RLIMIT_FSIZE, (_MAX_FILE, _MAX_FILE))


def _kill(process: subprocess.Popen[bytes]) -> None:
    # The driver's children (cc1, as, ld) are in its group; the group is signalled only while
    # the driver has not been waited for, so the number cannot belong to anyone else.
    if process.returncode is None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, 9)


def _describe_status(status: int) -> str | None:
    if status == 0:
        return None
    if status > 0:
        return f"exit status {status}"
    import signal

    try:
        name = signal.Signals(-status).name
    except ValueError:
        name = f"signal {-status}"
    return f"it was killed by {name}" + (" (out of memory?)" if status == -9 else "")


def _environment(toolchain: Toolchain) -> dict[str, str]:
    env = dict(os.environ)
    # Messages in English; temporary files in the private directory, which is the compiler's
    # current one; no dependency files written where some build system wanted them.
    env["LC_ALL"] = "C"
    env["TMPDIR"] = "."
    for name in ("DEPENDENCIES_OUTPUT", "SUNPRO_DEPENDENCIES"):
        env.pop(name, None)
    if toolchain.kind == "zig":
        env["ZIG_LOCAL_CACHE_DIR"] = "zig-cache"
        if not os.access(os.path.expanduser("~"), os.W_OK):
            env.setdefault("ZIG_GLOBAL_CACHE_DIR", "zig-cache")
    return env
