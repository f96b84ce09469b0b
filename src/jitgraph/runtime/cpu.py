"""Instruction sets: what this CPU can run, in the terms of the x86-64 psABI levels.

A level is a set of features that the code may use, not a CPU model: the same entry of the
cache serves every machine that has the features.
"""

from __future__ import annotations

import os
import sys
from functools import cache

from jitgraph.errors import JitgraphError

# The features that each level adds to the one before: (name in /proc/cpuinfo, name in macOS's
# sysctl, compiler flag).  Source: System V ABI, AMD64 supplement, section "Micro-Architecture
# Levels"; lahf_lm is LAHF/SAHF in 64-bit mode, pni SSE3, abm LZCNT.
_LEVELS: tuple[tuple[str, tuple[tuple[str, str, str], ...]], ...] = (
    ("x86-64", ()),
    (
        "x86-64-v2",
        (
            ("cx16", "CX16", "-mcx16"),
            ("lahf_lm", "LAHF", "-msahf"),
            ("popcnt", "POPCNT", "-mpopcnt"),
            ("pni", "SSE3", "-msse3"),
            ("ssse3", "SSSE3", "-mssse3"),
            ("sse4_1", "SSE4.1", "-msse4.1"),
            ("sse4_2", "SSE4.2", "-msse4.2"),
        ),
    ),
    (
        "x86-64-v3",
        (
            ("avx", "AVX1.0", "-mavx"),
            ("avx2", "AVX2", "-mavx2"),
            ("bmi1", "BMI1", "-mbmi"),
            ("bmi2", "BMI2", "-mbmi2"),
            ("f16c", "F16C", "-mf16c"),
            ("fma", "FMA", "-mfma"),
            ("abm", "LZCNT", "-mlzcnt"),
            ("movbe", "MOVBE", "-mmovbe"),
        ),
    ),
    (
        "x86-64-v4",
        (
            ("avx512f", "AVX512F", "-mavx512f"),
            ("avx512bw", "AVX512BW", "-mavx512bw"),
            ("avx512cd", "AVX512CD", "-mavx512cd"),
            ("avx512dq", "AVX512DQ", "-mavx512dq"),
            ("avx512vl", "AVX512VL", "-mavx512vl"),
        ),
    ),
)
X86_LEVELS = tuple(name for name, _ in _LEVELS)
ARM_LEVEL = "armv8-a"


def resolve(target: str) -> str:
    """Return the instruction set that code for `target` may use.

    `target` is "native" or one of the levels of this machine's architecture.  Raises
    JitgraphError for another word and for a level with features that this CPU lacks: its
    code would die of SIGILL.
    """
    native = native_level()
    if target in ("native", native):
        return native
    if native not in X86_LEVELS or target not in X86_LEVELS:
        known = X86_LEVELS if native in X86_LEVELS else (native,)
        raise JitgraphError(
            f"target={target!r} is not known here; it is 'native' or one of {', '.join(known)}."
        )
    if X86_LEVELS.index(target) > X86_LEVELS.index(native):
        lacking = sorted(set(features(target)) - set(_cpu_features()))
        raise JitgraphError(
            f"target={target!r} needs {', '.join(lacking)}, which this CPU does not have; "
            f"it can run {native!r}."
        )
    return target


@cache
def native_level() -> str:
    """Return the highest level that this CPU has in full.

    Raises JitgraphError on an architecture for which there is no code generator.
    """
    machine = os.uname().machine
    if machine in ("aarch64", "arm64"):
        return ARM_LEVEL
    if machine not in ("x86_64", "amd64"):
        raise JitgraphError(f"jitgraph generates code for x86-64 and aarch64, not for {machine}.")
    return level_of(_cpu_features())


def level_of(present: frozenset[str]) -> str:
    """Return the highest x86-64 level whose features (names of /proc/cpuinfo) are all present."""
    best = X86_LEVELS[0]
    for level in X86_LEVELS:
        if not present.issuperset(features(level)):
            break
        best = level
    return best


def features(level: str) -> tuple[str, ...]:
    """Return the features of an x86-64 level and all below, as /proc/cpuinfo names them."""
    return tuple(linux for linux, _, _ in _up_to(level))


def feature_flags(level: str) -> tuple[str, ...]:
    """Return the flags that give a compiler older than the levels (gcc < 11) the same set."""
    return ("-march=x86-64", *(flag for _, _, flag in _up_to(level)))


def _up_to(level: str) -> list[tuple[str, str, str]]:
    count = X86_LEVELS.index(level) + 1
    return [feature for _, added in _LEVELS[:count] for feature in added]


def _cpu_features() -> frozenset[str]:
    return _darwin_features() if sys.platform == "darwin" else _linux_features("/proc/cpuinfo")


def _linux_features(path: str) -> frozenset[str]:
    # The kernel writes this file at each read, slowly on machines with many cores: read no
    # further than the first CPU's flags.
    text = b""
    try:
        with open(path, "rb", buffering=0) as file:
            while b"\nflags" not in text or b"\n" not in text.partition(b"\nflags")[2]:
                block = file.read(4096)
                if not block:
                    break
                text += block
    except OSError:
        return frozenset()  # no /proc: the baseline
    line = text.partition(b"\nflags")[2].partition(b"\n")[0].partition(b":")[2]
    return frozenset(line.decode("ascii", "replace").split())


def _darwin_features() -> frozenset[str]:
    from jitgraph.runtime._abi import ffi

    library = ffi.dlopen(None)
    names: set[str] = set()
    for option in ("machdep.cpu.features", "machdep.cpu.leaf7_features", "machdep.cpu.extfeatures"):
        buffer = ffi.new("char[4096]")
        size = ffi.new("size_t *", len(buffer))
        if library.sysctlbyname(option.encode(), buffer, size, ffi.NULL, 0) == 0:
            names.update(ffi.string(buffer).decode("ascii", "replace").split())
    return frozenset(linux for linux, darwin, _ in _up_to(X86_LEVELS[-1]) if darwin in names)
