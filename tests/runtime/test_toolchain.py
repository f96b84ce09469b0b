"""Finding the compiler, its flags, and everything a compiler can do wrong."""

from __future__ import annotations

import importlib.util
import itertools
import os
import shlex
import struct
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from harness import exec_of, kernel, run_python

from jitgraph.errors import CompileError, CompilerNotFoundError, JitgraphError
from jitgraph.runtime import cpu, loader, threads
from jitgraph.runtime import toolchain as module
from jitgraph.runtime.toolchain import (
    BASE_FLAGS,
    Toolchain,
    check_object,
    compile_shared,
    csrc_directory,
    find_toolchain,
    tree_digest,
    which,
)

_serial = itertools.count()


def answer(library: bytes) -> int:
    """Load `library` and return jg_entry(35, ...)."""
    null = loader.ffi.NULL
    loaded = loader.load(library, f"test-toolchain-{next(_serial)}")
    return int(loaded.jg_entry(35, null, 0, 0, null, null))


def program(directory: Path, name: str, text: str = "#!/bin/sh\nexit 0\n") -> str:
    """Make an executable file and return its path."""
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / name
    path.write_text(text)
    path.chmod(0o755)
    return str(path)


@pytest.fixture
def alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A machine without any compiler but those that the test puts into the directory."""
    monkeypatch.setattr(module, "_ziglang", lambda: None)
    monkeypatch.setattr(sysconfig, "get_config_var", lambda name: "the-cc-of-python -pthread")
    monkeypatch.setattr(sys, "prefix", str(tmp_path / "prefix"))
    monkeypatch.setattr(os, "uname", lambda: _uname("x86_64"))
    # Remembered for the rest of the process, which may run on another machine.
    monkeypatch.setattr(cpu, "native_level", lambda: "x86-64-v2")
    return tmp_path / "bin"


def _uname(machine: str) -> os.uname_result:
    return os.uname_result(("Linux", "host", "6.0", "#1", machine))


# --- the search order ------------------------------------------------------------------------


def test_the_search_order(alone: Path, tmp_path: Path) -> None:
    path = str(alone)
    # Each compiler that is added is preferred to all those before it.
    env = {"PATH": path}
    for name in ("clang", "gcc", "cc", "x86_64-conda-linux-gnu-gcc", "x86_64-conda-linux-gnu-cc"):
        expected = program(alone, name)
        assert find_toolchain(env).argv == (expected,)
    expected = program(alone, "the-cc-of-python")
    assert find_toolchain(env).argv == (expected,)
    expected = program(alone, "mycc")
    assert find_toolchain(env | {"CC": "mycc -m64"}).argv == (expected, "-m64")
    ours = program(alone, "ourcc")
    assert find_toolchain(env | {"CC": "mycc", "JITGRAPH_CC": "ourcc"}).argv == (ours,)
    configured = program(tmp_path, "configured")
    assert find_toolchain(env | {"JITGRAPH_CC": "ourcc"}, configured).argv == (configured,)


def test_conda_compilers_are_found_in_their_environment(alone: Path, tmp_path: Path) -> None:
    in_prefix = program(tmp_path / "prefix" / "bin", "x86_64-conda-linux-gnu-cc")
    assert find_toolchain({"PATH": str(alone)}).argv == (in_prefix,)
    conda = tmp_path / "a conda" / "bin"
    in_conda = program(conda, "x86_64-conda-linux-gnu-cc")
    env = {"PATH": str(alone), "CONDA_PREFIX": str(conda.parent)}
    assert find_toolchain(env).argv == (in_conda,)


def test_ziglang_is_the_last_resort_and_is_not_imported(
    alone: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_ziglang", lambda: ("/somewhere/ziglang/zig", "cc"))
    monkeypatch.delitem(sys.modules, "ziglang", raising=False)
    found = find_toolchain({"PATH": str(alone)})
    assert (found.argv, found.kind) == (("/somewhere/ziglang/zig", "cc"), "zig")
    assert "ziglang" not in sys.modules
    clang = program(alone, "clang")
    assert find_toolchain({"PATH": str(alone)}).argv == (clang,)


def test_without_a_compiler_the_error_says_what_to_type(alone: Path) -> None:
    with pytest.raises(CompilerNotFoundError) as caught:
        find_toolchain({"PATH": str(alone), "CC": "nowhere"})
    for line in ("apt install gcc", "conda install c-compiler", "pip install 'jitgraph[cc]'"):
        assert line in str(caught.value)


@pytest.mark.parametrize("named", ["nowhere", "/no/such/cc -O2", "'unbalanced", "a b"])
def test_a_named_compiler_that_does_not_exist_is_an_error(alone: Path, named: str) -> None:
    program(alone, "gcc")
    for arguments in ({"config_cc": named}, {"env": {"PATH": str(alone), "JITGRAPH_CC": named}}):
        env = {"PATH": str(alone)} | arguments.get("env", {})
        with pytest.raises(CompilerNotFoundError, match="JITGRAPH_CC"):
            find_toolchain(env, arguments.get("config_cc"))
    assert find_toolchain({"PATH": str(alone), "CC": named}).argv == (str(alone / "gcc"),)


@pytest.mark.parametrize("text", ["", " "])
def test_empty_names_are_no_names(alone: Path, text: str) -> None:
    gcc = program(alone, "gcc")
    env = {"PATH": str(alone), "CC": text, "JITGRAPH_CC": text}
    assert find_toolchain(env, text).argv == (gcc,)


def test_a_path_with_spaces_is_one_program(alone: Path, tmp_path: Path) -> None:
    path = program(tmp_path / "my tools", "gcc 15")
    env = {"PATH": str(alone), "JITGRAPH_CC": path}
    assert find_toolchain(env).argv == (path,)
    assert find_toolchain(env | {"JITGRAPH_CC": f"'{path}' -m64"}).argv == (path, "-m64")


def test_a_file_that_is_not_executable_is_no_compiler(alone: Path) -> None:
    Path(program(alone, "gcc")).chmod(0o644)
    (alone / "cc").mkdir()
    with pytest.raises(CompilerNotFoundError):
        find_toolchain({"PATH": str(alone)})


@pytest.mark.parametrize(
    ("name", "arguments", "kind"),
    [
        ("gcc", "", "gcc"),
        ("cc", "", "gcc"),
        ("clang-18", "", "clang"),
        ("x86_64-conda-linux-gnu-clang", "", "clang"),
        ("zig", " cc", "zig"),
    ],
)
def test_kinds(alone: Path, name: str, arguments: str, kind: str) -> None:
    path = program(alone, name)
    assert find_toolchain({"PATH": str(alone)}, path + arguments).kind == kind


def test_which_is_the_one_of_the_shell(tmp_path: Path) -> None:
    program(tmp_path / "a", "tool")
    program(tmp_path / "b", "tool")
    path = f"{tmp_path / 'none'}:{tmp_path / 'b'}:{tmp_path / 'a'}"
    shell = subprocess.run(
        ["/bin/sh", "-c", "command -v tool"], env={"PATH": path}, capture_output=True, text=True
    )
    assert which("tool", path) == shell.stdout.strip() == str(tmp_path / "b" / "tool")
    assert which("", path) is None
    assert which("other", path) is None


# --- flags and identity ----------------------------------------------------------------------


def test_flags_never_relax_arithmetic(toolchain: Toolchain) -> None:
    assert set(BASE_FLAGS) <= set(toolchain.flags)
    text = " ".join(toolchain.flags)
    assert "-fwrapv" in text and "-ffp-contract=off" in text
    assert "fast" not in text and "unsafe" not in text


@pytest.mark.parametrize(
    "flags",
    [
        "-ffast-math",
        "-g -Ofast",
        "-funsafe-math-optimizations",
        "-fassociative-math",
        "-freciprocal-math",
        "-ffinite-math-only",
        "-fno-signed-zeros",
        "-ffp-contract=fast",
        "-ffp-model=fast",
        "-mdaz-ftz",
        "'-ffast-math'",
        "@flags",
        "'",
    ],
)
def test_flags_that_change_results_are_refused(flags: str) -> None:
    with pytest.raises(JitgraphError, match="JITGRAPH_CFLAGS"):
        find_toolchain({**os.environ, "JITGRAPH_CFLAGS": flags})
    with pytest.raises(JitgraphError, match="JITGRAPH_CFLAGS"):
        find_toolchain(cflags=flags)


def test_user_flags_are_split_like_a_command() -> None:
    found = find_toolchain({**os.environ, "JITGRAPH_CFLAGS": "-g '-DNAME=a b' -O2"})
    assert found.flags[-3:] == ("-g", "-DNAME=a b", "-O2")
    assert find_toolchain({**os.environ, "JITGRAPH_CFLAGS": "-g"}, cflags="").flags[-1] != "-g"


def test_every_component_changes_the_identity(alone: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = program(alone, "gcc")
    env = {"PATH": str(alone)}
    seen = {find_toolchain(env).identity}

    def is_new(found: Toolchain) -> bool:
        fresh = found.identity not in seen
        seen.add(found.identity)
        return fresh

    os.utime(path, ns=(1, 1))  # another build of the compiler, same size
    assert is_new(find_toolchain(env))
    program(alone, "gcc", "#!/bin/sh\nexit 00\n")  # another size
    assert is_new(find_toolchain(env))
    assert is_new(find_toolchain(env | {"JITGRAPH_CFLAGS": "-g"}))
    assert is_new(find_toolchain(env | {"JITGRAPH_CC": f"{path} -m64"}))
    assert is_new(find_toolchain(env, target="x86-64"))
    assert is_new(find_toolchain(env, program(alone, "wrapper") + " gcc"))
    os.utime(path, ns=(2, 2))  # the compiler behind the wrapper
    assert is_new(find_toolchain(env, str(alone / "wrapper") + " gcc"))
    monkeypatch.setattr(module, "_libc", lambda: "glibc 2.99")
    assert is_new(find_toolchain(env))
    monkeypatch.setattr(module, "ABI_DIGEST", "0")
    assert is_new(find_toolchain(env))


def test_irrelevant_things_do_not_change_the_identity(
    alone: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program(alone, "gcc")
    env = {"PATH": str(alone)}
    before = find_toolchain(env).identity
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(time, "time", lambda: 0.0)
    changed = env | {"HOME": "/x", "LANG": "de_DE", "CFLAGS": "-O0", "PYTHONHASHSEED": "7"}
    assert find_toolchain(changed).identity == before
    assert find_toolchain(env, target=cpu.native_level()).identity == before


def test_finding_starts_no_process() -> None:
    run_python(
        "import sys\n"
        "def hook(event, args):\n"
        "    assert event not in ('subprocess.Popen', 'os.system', 'os.posix_spawn', 'os.fork',\n"
        "                         'os.exec', 'socket.connect'), event\n"
        "sys.addaudithook(hook)\n"
        "from jitgraph.runtime.toolchain import find_toolchain\n"
        "assert find_toolchain().argv\n"
        "assert 'subprocess' not in sys.modules and 'ziglang' not in sys.modules"
    )


def test_the_default_toolchain_follows_the_configuration(tmp_path: Path) -> None:
    path = program(tmp_path, "mine")
    printed = run_python(
        "from jitgraph.config import config\n"
        "from jitgraph.runtime.toolchain import default_toolchain as get\n"
        "assert get() is get() and get().timeout == 120\n"
        f"config.cc = {path!r}; config.cflags = '-g'; config.compile_timeout = 5\n"
        "print(get().argv, get().flags[-1], get().timeout)"
    )
    assert printed.stdout.strip() == f"('{path}',) -g 5.0"


# --- instruction sets ------------------------------------------------------------------------

HASWELL = (
    "fpu sse sse2 pni ssse3 fma cx16 sse4_1 sse4_2 movbe popcnt xsave avx f16c lahf_lm abm bmi1 "
    "avx2 bmi2"
)


@pytest.mark.parametrize(
    ("flags", "level"),
    [
        ("", "x86-64"),
        ("fpu sse sse2", "x86-64"),
        ("cx16 lahf_lm popcnt pni ssse3 sse4_1 sse4_2 avx", "x86-64-v2"),
        (HASWELL, "x86-64-v3"),
        (HASWELL + " avx512f", "x86-64-v3"),
        (HASWELL + " avx512f avx512bw avx512cd avx512dq avx512vl", "x86-64-v4"),
        (HASWELL.replace(" cx16", "") + " avx512f avx512bw avx512cd avx512dq avx512vl", "x86-64"),
    ],
)
def test_levels_from_cpu_flags(tmp_path: Path, flags: str, level: str) -> None:
    cpuinfo = tmp_path / "cpuinfo"
    filler = f"model name\t: {'x' * 5000}\n"  # the flags lie beyond the first block read
    cpuinfo.write_text(f"processor\t: 0\n{filler}flags\t\t: {flags}\nvmx flags\t: avx512f\n\n")
    assert cpu.level_of(cpu._linux_features(str(cpuinfo))) == level


def test_a_machine_without_cpuinfo_gets_the_baseline(tmp_path: Path) -> None:
    assert cpu.level_of(cpu._linux_features(str(tmp_path / "none"))) == "x86-64"


def test_the_compiler_agrees_about_the_features_of_each_level() -> None:
    # The oracle: the macros that -march=LEVEL defines are those of the spelled-out flags.
    if cpu.native_level() == cpu.ARM_LEVEL:
        assert cpu.resolve("native") == "armv8-a"
        return
    found = find_toolchain()
    for level in cpu.X86_LEVELS:
        macros = []
        baseline, *features = cpu.feature_flags(level)
        if found.kind == "zig":
            baseline = "-mcpu=x86_64"
        for flags in (module._machine_flags(found.kind, level)[:1], (baseline, *features)):
            done = subprocess.run(
                [*found.argv, *flags, "-dM", "-E", "-x", "c", "/dev/null"],
                capture_output=True,
                text=True,
                check=True,
            )
            # k8: tuning. XSAVE: a system reports AVX only where it is there.
            lines = done.stdout.splitlines()
            macros.append({line for line in lines if "k8" not in line and "XSAVE" not in line})
        # More on the left would be instructions that nobody checks this CPU for.
        assert macros[0] == macros[1], level


def test_a_target_beyond_this_cpu_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cpu, "native_level", lambda: "x86-64-v3")
    monkeypatch.setattr(cpu, "_cpu_features", lambda: frozenset(cpu.features("x86-64-v3")))
    assert cpu.resolve("native") == "x86-64-v3"
    assert cpu.resolve("x86-64-v2") == "x86-64-v2"
    with pytest.raises(JitgraphError, match="avx512bw, avx512cd"):
        cpu.resolve("x86-64-v4")
    with pytest.raises(JitgraphError, match="'haswell' is not known"):
        cpu.resolve("haswell")


def test_an_unknown_machine_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "uname", lambda: _uname("riscv64"))
    with pytest.raises(JitgraphError, match="riscv64"):
        cpu.native_level.__wrapped__()
    monkeypatch.setattr(os, "uname", lambda: _uname("aarch64"))
    assert cpu.native_level.__wrapped__() == "armv8-a"


# --- compiling -------------------------------------------------------------------------------


def compilers() -> list[str]:
    """Return the commands of all the compilers on this machine."""
    found = [c for c in ("gcc", "clang") if which(c, os.environ.get("PATH", os.defpath))]
    spec = importlib.util.find_spec("ziglang")
    if spec is not None and spec.submodule_search_locations:
        zig = os.path.join(spec.submodule_search_locations[0], "zig")
        found.append(f"{shlex.quote(zig)} cc")
    return found


def test_the_matrix_is_not_empty() -> None:
    assert compilers()


@pytest.mark.parametrize("cc", compilers(), ids=lambda cc: os.path.basename(cc.split()[0]))
def test_real_compilers(cc: str, tmp_path: Path) -> None:
    found = find_toolchain(config_cc=cc)
    assert found.kind == os.path.basename(shlex.split(cc)[0])
    assert answer(compile_shared(found, kernel(7), str(tmp_path))) == 42


@pytest.mark.parametrize("cc", compilers(), ids=lambda cc: os.path.basename(cc.split()[0]))
def test_integer_overflow_wraps_with_every_compiler(cc: str, tmp_path: Path) -> None:
    # Undefined in C without -fwrapv; zig traps it by default.
    source = kernel(0).replace("segment + 0", "(segment + (INT64_MAX - 34)) - INT64_MAX - 1")
    assert answer(compile_shared(find_toolchain(config_cc=cc), source, str(tmp_path))) == 0


def test_zig_through_the_package() -> None:
    argv = module._ziglang()
    assert argv is not None and argv[1:] == ("cc",)
    found = find_toolchain(config_cc=shlex.join(argv), target="native")
    assert "-fno-sanitize=undefined" in found.flags
    if found.isa in cpu.X86_LEVELS:
        assert f"-mcpu={found.isa.replace('-', '_')}" in found.flags


HOSTILE = [
    "a b",
    "x'$(touch pwned)\"",
    "`touch pwned`;touch pwned",
    "Márton ü 漢字",
    "-rf",
    "@file",
    "%n\\n{}*?[",
    "new\nline",
    "long" * 50,
]


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_directories(
    name: str, tmp_path: Path, toolchain: Toolchain, monkeypatch: pytest.MonkeyPatch
) -> None:
    directory = tmp_path / name
    directory.mkdir()
    monkeypatch.chdir(tmp_path)
    script = f"#!/bin/sh\n{exec_of(toolchain)}\n"
    here = replace(toolchain, argv=(program(directory, "cc", script),))
    assert answer(compile_shared(here, kernel(7), str(directory))) == 42
    assert not list(tmp_path.rglob("pwned"))


@pytest.mark.parametrize(
    ("script", "words"),
    [
        ("exit 1", "exit status 1"),
        ("echo kernel.c:1:2: error: no luck >&2; exit 1", "kernel.c:1:2: error: no luck"),
        ("echo noise; echo 'error: on stdout'; exit 3", "exit status 3: error: on stdout"),
        ("exit 0", "wrote no output"),
        ("echo garbage > kernel.so", "not an ELF"),
        (": > kernel.so", "not an ELF"),
        ("kill -9 $$", "killed by SIGKILL"),
        ("kill -11 $$", "killed by SIGSEGV"),
        ("echo 'gcc: fatal error: Killed signal terminated program cc1' >&2; exit 1", "Killed"),
        ("printf 'error: \\033[2J\\007bell' >&2; exit 1", "error: ?[2J?bell"),
    ],
)
def test_failing_compilers(
    script: str, words: str, fake: Callable[..., Toolchain], tmp_path: Path
) -> None:
    broken = fake(script)
    with pytest.raises(CompileError) as caught:
        compile_shared(broken, kernel(7), str(tmp_path))
    message = str(caught.value)
    assert words in message
    assert shlex.join([*broken.argv, *broken.flags]) in message
    assert "\n" not in message


def test_a_hanging_compiler_is_killed_with_its_children(
    fake: Callable[..., Toolchain], tmp_path: Path
) -> None:
    hanging = fake("sleep 60 & echo $! > child; wait", timeout=0.3)
    started = time.monotonic()
    with pytest.raises(CompileError, match=r"no result after 0\.3 s"):
        compile_shared(hanging, kernel(7), str(tmp_path))
    assert time.monotonic() - started < 5
    child = int((tmp_path / "child").read_text())
    deadline = time.monotonic() + 5
    while _is_running(child) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not _is_running(child)


def _is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_a_child_that_outlives_the_compiler_does_not_hold_us(
    fake: Callable[..., Toolchain], tmp_path: Path, objects: Callable[[int], bytes]
) -> None:
    (tmp_path / "made.so").write_bytes(objects(7))
    lingering = fake("sleep 3 & cp made.so kernel.so")
    started = time.monotonic()
    assert compile_shared(lingering, kernel(7), str(tmp_path)) == objects(7)
    assert time.monotonic() - started < 2


def test_a_flood_of_messages_is_cut(
    fake: Callable[..., Toolchain], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_MAX_FILE", 1 << 20)
    flooding = fake("exec yes 'warning: water'", timeout=10)
    with pytest.raises(CompileError, match="SIGXFSZ: warning: water") as caught:
        compile_shared(flooding, kernel(7), str(tmp_path))
    assert len(str(caught.value)) < 2000


def test_an_output_cut_at_any_length_is_refused(objects: Callable[[int], bytes]) -> None:
    whole = objects(7)
    assert check_object(whole) == ""
    # The segments end before the section headers do; what follows them is not mapped.
    offset, count = struct.unpack_from("<Q", whole, 32)[0], struct.unpack_from("<H", whole, 56)[0]
    headers = [struct.unpack_from("<IIQQQQ", whole, offset + 56 * i) for i in range(count)]
    mapped = max(header[2] + header[5] for header in headers)
    for length in range(mapped):
        assert check_object(whole[:length]), length


@pytest.mark.parametrize(
    ("position", "value"),
    [(18, 243), (16, 2), (4, 1), (5, 2)],
    ids=["machine", "type", "class", "order"],
)
def test_an_object_for_another_machine_is_refused(
    position: int, value: int, objects: Callable[[int], bytes]
) -> None:
    changed = bytearray(objects(7))
    changed[position] = value
    assert "not a shared library for this machine" in check_object(bytes(changed))


def test_a_compiler_that_cannot_start(tmp_path: Path, toolchain: Toolchain) -> None:
    gone = replace(toolchain, argv=(str(tmp_path / "uninstalled"),))
    with pytest.raises(CompileError, match=r"could not be started \(No such file or directory\)"):
        compile_shared(gone, kernel(7), str(tmp_path))
    text = program(tmp_path, "text", "no program\n")
    with pytest.raises(CompileError, match=r"could not be started \(Exec format error\)"):
        compile_shared(replace(toolchain, argv=(text,)), kernel(7), str(tmp_path))


def test_the_first_error_of_a_real_compiler_is_shown(tmp_path: Path, toolchain: Toolchain) -> None:
    source = "int unused;\nint f(void) { return undeclared_name; }\nint g(void) { return other; }\n"
    with pytest.raises(CompileError) as caught:
        compile_shared(toolchain, source, str(tmp_path))
    assert "kernel.c:2:" in str(caught.value)
    assert "undeclared_name" in str(caught.value)
    assert "other" not in str(caught.value)


def test_an_old_compiler_gets_the_features_by_name(
    fake: Callable[..., Toolchain], tmp_path: Path, objects: Callable[[int], bytes]
) -> None:
    (tmp_path / "made.so").write_bytes(objects(7))
    refusal = "echo \"error: bad value ('x86-64-v3') for '-march=' switch\" >&2; exit 1"
    old = replace(
        fake(
            f'case "$*" in *-march=x86-64-v*|*prefer-vector*) {refusal};; esac\n'
            'echo "$*" > arguments; cp made.so kernel.so'
        ),
        kind="gcc",
        isa="x86-64-v3",
        flags=("-O3", "-march=x86-64-v3", "-shared"),
    )
    assert answer(compile_shared(old, kernel(7), str(tmp_path))) == 42
    used = (tmp_path / "arguments").read_text().split()
    assert {*cpu.feature_flags("x86-64-v3"), "-O3", "-shared"} <= set(used)
    assert "-mavx2" in used and "-mavx512f" not in used


@pytest.fixture
def two_processors(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threads, "_affinity", lambda: 2)
    monkeypatch.setattr(threads, "cgroup_cpus", lambda: None)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr(module, "_LONG_SOURCE", 10_000)


LONG = kernel(7) + "/* " + 10_000 * "x" + " */"


@pytest.mark.usefixtures("two_processors")
@pytest.mark.parametrize(("source", "processes"), [(kernel(7), None), (LONG, "-flto=2")])
def test_gcc_translates_a_long_source_on_all_processors(
    source: str,
    processes: str | None,
    fake: Callable[..., Toolchain],
    tmp_path: Path,
    objects: Callable[[int], bytes],
) -> None:
    (tmp_path / "made.so").write_bytes(objects(7))
    for kind in ("gcc", "clang"):
        compiler = replace(fake('echo "$*" > arguments; cp made.so kernel.so'), kind=kind)
        assert answer(compile_shared(compiler, source, str(tmp_path))) == 42
        used = (tmp_path / "arguments").read_text().split()
        wanted = processes if kind == "gcc" else None
        assert [flag for flag in used if "lto" in flag] == ([wanted] if wanted else [])


@pytest.mark.usefixtures("two_processors")
def test_a_gcc_without_linker_plugin_translates_on_one(
    fake: Callable[..., Toolchain], tmp_path: Path, objects: Callable[[int], bytes]
) -> None:
    (tmp_path / "made.so").write_bytes(objects(7))
    refusal = 'case "$*" in *-flto*) echo "$*" > refused; exit 1;; esac'
    compiler = replace(fake(f"{refusal}; cp made.so kernel.so"), kind="gcc")
    assert answer(compile_shared(compiler, LONG, str(tmp_path))) == 42
    assert "-flto=2" in (tmp_path / "refused").read_text()


@pytest.mark.usefixtures("two_processors")
def test_a_long_source_gives_the_same_results(toolchain: Toolchain, tmp_path: Path) -> None:
    """Of the real compiler, whatever it is."""
    assert answer(compile_shared(toolchain, LONG, str(tmp_path))) == 42


STATE = """
import locale, os, signal, sys
from harness import kernel
from jitgraph.runtime import loader, toolchain

def state():
    mask = os.umask(0o22)
    os.umask(mask)
    with os.scandir("/proc/self/fd") as listing:
        open_files = sorted(os.readlink(entry.path) for entry in listing)
    return (os.getcwd(), mask, dict(os.environ), signal.pthread_sigmask(0, []),
            [signal.getsignal(number) for number in signal.valid_signals()],
            locale.setlocale(locale.LC_ALL), 5e-324 * 3, 0.1 + 0.7,
            [name for name in open_files if not name.endswith("/fd")])

found = toolchain.find_toolchain()
before = state()
library = loader.load(toolchain.compile_shared(found, kernel(7), sys.argv[1]), "k")
null = loader.ffi.NULL
assert library.jg_entry(35, null, 0, 0, null, null) == 42
assert state() == before, (state(), before)
print("same")
"""


def test_the_process_is_left_as_it_was(tmp_path: Path) -> None:
    """Compile and load in a fresh process, and compare everything that is per process."""
    assert run_python(STATE, str(tmp_path)).stdout.strip() == "same"


def test_the_compiler_sees_our_environment_and_no_input(
    fake: Callable[..., Toolchain], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MARK", "kept")
    monkeypatch.setenv("DEPENDENCIES_OUTPUT", str(tmp_path / "dependencies"))
    ours = os.dup(0)
    with tempfile.TemporaryFile() as typed:
        typed.write(b"typed by the user")
        typed.seek(0)
        os.dup2(typed.fileno(), 0)
    probe = fake('echo "error: $MARK $LC_ALL $TMPDIR [$DEPENDENCIES_OUTPUT] [$(cat)]"; exit 1')
    try:
        with pytest.raises(CompileError, match=r"error: kept C \. \[\] \[\]"):
            compile_shared(probe, kernel(7), str(tmp_path))
    finally:
        os.dup2(ours, 0)
        os.close(ours)


def test_no_files_appear_outside_the_build_directory(
    tmp_path: Path, toolchain: Toolchain, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere, build = tmp_path / "tmp", tmp_path / "build"
    elsewhere.mkdir()
    build.mkdir()
    monkeypatch.setenv("TMPDIR", str(elsewhere))
    elsewhere.chmod(0o500)
    stamp = elsewhere.stat().st_mtime_ns
    compile_shared(toolchain, kernel(7), str(build))
    assert elsewhere.stat().st_mtime_ns == stamp
    # zig keeps a directory beside what it compiles.
    assert set(os.listdir(build)) - {"zig-cache", ".zig-cache"} == {"kernel.c", "kernel.so"}


# --- the C sources ---------------------------------------------------------------------------


def test_csrc_directory_is_on_the_include_path(tmp_path: Path, toolchain: Toolchain) -> None:
    directory = csrc_directory()
    assert os.path.isabs(directory) and os.path.isdir(directory)
    argv = module.command(toolchain)
    assert argv[argv.index("-I") + 1] == directory


def test_tree_digest_sees_names_and_contents_only(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "a.h").write_text("1")
    (tmp_path / "sub" / "b.c").write_text("2")
    seen = [tree_digest(str(tmp_path), (".h", ".c"))]
    (tmp_path / "note.txt").write_text("irrelevant")
    os.utime(tmp_path / "a.h", (0, 0))
    assert tree_digest(str(tmp_path), (".h", ".c")) == seen[0]
    (tmp_path / "a.h").write_text("3")
    seen.append(tree_digest(str(tmp_path), (".h", ".c")))
    (tmp_path / "sub" / "b.c").rename(tmp_path / "sub" / "c.c")
    seen.append(tree_digest(str(tmp_path), (".h", ".c")))
    (tmp_path / "sub" / "c.c").rename(tmp_path / "c.c")
    seen.append(tree_digest(str(tmp_path), (".h", ".c")))
    (tmp_path / "c.c").unlink()
    seen.append(tree_digest(str(tmp_path), (".h", ".c")))
    assert len(set(seen)) == 5
