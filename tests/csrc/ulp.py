"""Measure the error of the vector math in csrc/ in units in the last place (ULP).

The C functions are compiled as plain loops with the flags of generated code and called through
cffi.  The oracle is MPFR (gmpy2) at 120 bits.  Long runs screen every point with the C library's
long double first and then confirm the worst ones with MPFR:

    python tests/csrc/ulp.py exp --dtype f64 --n 10000000
    python tests/csrc/ulp.py exp --dtype f32 --exhaustive
"""

from __future__ import annotations

import argparse
import atexit
import functools
import math
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cffi
import gmpy2
import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent))  # for python -m tests.csrc.ulp
import fast_functions  # noqa: F401  (adds to TABLE)
import special_functions  # noqa: F401  (adds to TABLE)
from math_functions import TABLE, MathFunction

from jitgraph.runtime.toolchain import find_toolchain

CSRC = Path(__file__).resolve().parents[2] / "csrc"
FLAGS = (
    "-O3",
    "-std=gnu11",
    "-fPIC",
    "-fwrapv",
    "-ffp-contract=off",
    "-fno-math-errno",
    "-fno-trapping-math",
)
PRECISION = 120
NUMPY: dict[str, Any] = {"f64": np.float64, "f32": np.float32}
C_TYPE = {"f64": "double", "f32": "float"}
Array = np.ndarray[Any, Any]


# --- compiling -----------------------------------------------------------------------------------


def native_march() -> str:
    """The highest x86-64 level of this machine, or `native` elsewhere."""
    flags = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").exists() else ""
    if "avx512vl" in flags:
        return "x86-64-v4"
    return "x86-64-v3" if "avx2" in flags else "native"


def compiler_flags(march: str) -> list[str]:
    """The flags of generated code."""
    flags = [*FLAGS]
    if march:
        flags.append(f"-march={march}")
    if march == "x86-64-v4":
        flags.append("-mprefer-vector-width=512")
    return flags


def loop_source(functions: Iterable[MathFunction], dtypes: Sequence[str]) -> str:
    """One C loop `loop_<name>_<dtype>` per function."""
    functions = list(functions)
    lines = ["#include <stdint.h>"]
    lines += [f'#include "{h}"' for h in dict.fromkeys(f.header for f in functions)]
    for f in functions:
        for t in dtypes:
            c = C_TYPE[t]
            y = f"const {c} *restrict y, " if f.arity == 2 else ""
            call = f"jg_{f.name}_{t}(x[i]{', y[i]' if f.arity == 2 else ''})"
            lines.append(
                f"void loop_{f.name}_{t}(const {c} *restrict x, {y}{c} *restrict z, "
                f"int64_t n) {{\n    for (int64_t i = 0; i < n; i++) z[i] = {call};\n}}"
            )
    return "\n".join(lines) + "\n"


@dataclass(frozen=True)
class Loops:
    """A compiled library of loops."""

    ffi: cffi.FFI
    lib: Any
    path: Path
    log: str

    def call(self, name: str, dtype: str, *args: Array) -> Array:
        """z[i] = jg_<name>_<dtype>(args[0][i], ...) for contiguous equal-sized arrays."""
        args = tuple(np.ascontiguousarray(a, NUMPY[dtype]) for a in args)
        out = np.empty_like(args[0])
        self.into(name, dtype, *args, out)
        return out

    def into(self, name: str, dtype: str, *arrays: Array) -> None:
        """Like call, the last array receives the result (any alignment that its dtype has)."""
        pointers = [self.ffi.cast(f"{C_TYPE[dtype]} *", a.ctypes.data) for a in arrays]
        getattr(self.lib, f"loop_{name}_{dtype}")(*pointers, arrays[-1].size)


# The compiler of the tests: gcc or clang where there is one, else the one that pip installs.
DEFAULT_CC = next((cc for cc in ("gcc", "clang") if shutil.which(cc)), "zig")


def compiler_command(cc: str, march: str) -> list[str]:
    """The compiler with the flags of generated code for one level of the instruction set."""
    if cc != "zig":
        return [cc, *compiler_flags(march), "-shared"]
    if not march:  # what the compiler does by itself
        own = ["-fno-sanitize=undefined", "-shared"]
        return [*find_toolchain().argv, *compiler_flags(march), *own]
    tools = find_toolchain(target=march)
    return [*tools.argv, *tools.flags, "-fvisibility=default"]


def compile_loops(
    functions: Iterable[MathFunction],
    folder: Path,
    *,
    march: str | None = None,
    cc: str = DEFAULT_CC,
    dtypes: Sequence[str] = ("f64", "f32"),
    include: Path = CSRC,
    extra: Sequence[str] = (),
) -> Loops:
    """Compile the loops of these functions and load them."""
    functions = list(functions)
    march = native_march() if march is None else march
    folder.mkdir(parents=True, exist_ok=True)
    source, library = folder / "loops.c", folder / "loops.so"
    source.write_text(loop_source(functions, dtypes))
    command = [
        *compiler_command(cc, march),
        *extra,
        "-Wall",
        "-Wextra",
        "-Werror",
        f"-I{include}",
        str(source),
        "-o",
        str(library),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)}\n{done.stderr}")
    ffi = cffi.FFI()
    for f in functions:
        for t in dtypes:
            ffi.cdef(
                f"void loop_{f.name}_{t}({', '.join([C_TYPE[t] + ' *'] * (f.arity + 1))}, int64_t);"
            )
    return Loops(ffi, ffi.dlopen(str(library)), library, done.stderr)


@functools.cache
def all_loops() -> Loops:
    """The loops of every function, compiled once per process for this machine."""
    folder = Path(tempfile.mkdtemp(prefix="jitgraph-ulp-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return compile_loops(TABLE.values(), folder)


# --- points --------------------------------------------------------------------------------------


def ordered(x: Array) -> Array:
    """Map floats to integers so that the order is kept and neighbours differ by one."""
    signed = x.view(np.int64 if x.dtype == np.float64 else np.int32).astype(np.int64)
    bits = 63 if x.dtype == np.float64 else 31
    lowest = -(1 << bits)
    return np.where(signed < 0, lowest - signed, signed)


def from_ordered(k: Array, dtype: str) -> Array:
    """Inverse of `ordered`."""
    lowest = -(1 << (63 if dtype == "f64" else 31))
    bits = np.where(k < 0, lowest - k, k)
    return bits.astype(np.int64 if dtype == "f64" else np.int32).view(NUMPY[dtype])


def draw(interval: tuple[float, float], dtype: str, n: int, rng: np.random.Generator) -> Array:
    """n points: half uniform in value, half uniform over the floats; both ends included."""
    ends = np.array(interval, NUMPY[dtype])
    k = ordered(ends)
    floats = from_ordered(rng.integers(k[0], k[1], n - n // 2 - 2, endpoint=True), dtype)
    low, high = float(ends[0]), float(ends[1])
    u = rng.random(n // 2)
    uniform = (low * (1 - u) + high * u).astype(NUMPY[dtype])
    return np.concatenate([ends, floats, np.clip(uniform, ends[0], ends[1])])


def sample(f: MathFunction, dtype: str, n: int, seed: int = 0) -> tuple[Array, ...]:
    """Points of all intervals, n in total.  Two-argument functions pair their boxes."""
    rng = np.random.default_rng([seed, sum(map(ord, f.name)), len(dtype)])
    intervals = f.intervals[dtype]
    boxes = [intervals[i : i + f.arity] for i in range(0, len(intervals), f.arity)]
    share = max(n // len(boxes), 8)
    columns = [[draw(interval, dtype, share, rng) for interval in box] for box in boxes]
    for box in columns:
        for column in box[1:]:
            rng.shuffle(column)
    return tuple(np.concatenate([box[i] for box in columns]) for i in range(f.arity))


# --- errors --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Truth:
    """True values as rounded + rest * ulp(rounded), both float64."""

    rounded: Array
    rest: Array


def spacing(x: Array, dtype: str) -> Array:
    """ULP of |x| in dtype, as float64, for float64 x; the one below overflow at infinity."""
    digits, lowest = (53, -1074) if dtype == "f64" else (24, -149)
    top = 1023 if dtype == "f64" else 127
    exponent = np.frexp(np.where(np.isfinite(x), x, 2.0**top))[1].astype(np.int64)
    exponent = np.minimum(exponent, top + 1)
    return np.ldexp(1.0, np.maximum(exponent - digits, lowest))


def truth(f: MathFunction, *args: Array) -> Truth:
    """MPFR values at float64 arguments."""
    rounded, rest = np.empty(args[0].size), np.zeros(args[0].size)
    columns = [a.astype(np.float64).tolist() for a in args]
    mpfr = gmpy2.mpfr
    with gmpy2.context(gmpy2.get_context(), precision=PRECISION):
        for i, point in enumerate(zip(*columns, strict=True)):
            t = f.oracle(*map(mpfr, point))
            r = float(t)
            rounded[i] = r
            if r != t and math.isfinite(r):
                rest[i] = float((t - r) / math.ulp(r))
    return Truth(rounded, rest)


def errors(y: Array, true: Truth, dtype: str) -> Array:
    """|y - true| in ULP of the true value.  Infinity stands for 2^(top+1); nan matches nan."""
    top = 1024 if dtype == "f64" else 128
    shift = -8  # keeps 2^1024 and the differences finite
    with np.errstate(all="ignore"):
        limit = np.ldexp(1.0, top + shift)
        unit = spacing(true.rounded, dtype)
        got = y.astype(np.float64)
        got = np.where(np.isinf(got), np.copysign(limit, got), np.ldexp(got, shift))
        want = true.rounded
        beyond = np.abs(want) >= 2.0**128 if dtype == "f32" else np.isinf(want)
        want = np.where(beyond, np.copysign(limit, want), np.ldexp(want, shift))
        small = np.abs(true.rounded) < 1e-280  # there the shift would lose bits
        plain = (y.astype(np.float64) - true.rounded) / unit
        shifted = (got - want) / np.ldexp(unit, shift)
        error = np.where(small, plain, shifted)
        rest = true.rest * (spacing(true.rounded, "f64") / unit)
        error = np.abs(error - np.where(beyond, 0.0, rest))
    nan = np.isnan(y)
    error[nan & np.isnan(true.rounded)] = 0.0
    error[nan != np.isnan(true.rounded)] = np.inf
    return error


@dataclass(frozen=True)
class Worst:
    """The largest error found and where."""

    ulp: float
    at: tuple[float, ...]
    points: int

    def __str__(self) -> str:
        where = ", ".join(f"{v!r} ({v.hex()})" for v in self.at)
        return f"{self.ulp:.4f} ULP at {where} over {self.points} points"


def measure(f: MathFunction, loops: Loops, dtype: str, *args: Array) -> Worst:
    """Largest error of the compiled function over the points against MPFR."""
    y = loops.call(f.name, dtype, *args)
    true = truth(f, *args)
    error = errors(y, true, dtype)
    if f.absolute:
        with np.errstate(invalid="ignore"):
            distance = np.abs(y.astype(np.float64) - true.rounded)
        error = np.where(distance <= f.absolute, 0.0, error)
    i = int(np.argmax(error))
    return Worst(float(error[i]), tuple(float(a[i]) for a in args), y.size)


# --- long runs -----------------------------------------------------------------------------------

SCREEN = """#define _GNU_SOURCE
#include <math.h>
#include <stdint.h>
/* Error in ULP of z[i] against the C library's long double, for screening only. */
void screen(const {c} *x, const {c} *z, float *error, int64_t n) {{
    for (int64_t i = 0; i < n; i++) {{
        const {o} t = oracle(x[i]);
        int e = ilogb{s}(t);
        if (!isfinite((double)t) || e > {top} || t == 0) {{ error[i] = z[i] == ({c})t ? 0 :
            (isnan(z[i]) && isnan(t) ? 0 : 1e30f); continue; }}
        e = e < {bottom} ? {bottom} : e;
        error[i] = (float)fabs{s}(scalbn{s}(({o})z[i] - t, {digits} - 1 - e));
    }}
}}
"""


def compile_screen(f: MathFunction, dtype: str, folder: Path) -> tuple[cffi.FFI, Any]:
    """The C screening loop of one function: long double for f64, double for f32."""
    o, s = ("long double", "l") if dtype == "f64" else ("double", "")
    body = f.long_double if dtype == "f64" else f.long_double.replace("l(", "(")
    text = SCREEN.format(
        c=C_TYPE[dtype],
        o=o,
        s=s,
        top=1023 if dtype == "f64" else 127,
        bottom=-1022 if dtype == "f64" else -126,
        digits=53 if dtype == "f64" else 24,
    )
    text = text.replace("/* Error", f"static {o} oracle({o} x) {{ return {body}; }}\n/* Error")
    (folder / "screen.c").write_text(text)
    subprocess.run(
        [
            *compiler_command(DEFAULT_CC, native_march()),
            str(folder / "screen.c"),
            "-o",
            str(folder / "screen.so"),
            "-lm",
        ],
        check=True,
    )
    ffi = cffi.FFI()
    ffi.cdef(f"void screen({C_TYPE[dtype]} *, {C_TYPE[dtype]} *, float *, int64_t);")
    return ffi, ffi.dlopen(str(folder / "screen.so"))


def blocks(f: MathFunction, dtype: str, n: int, exhaustive: bool) -> Iterable[tuple[Array, ...]]:
    """The points of a long run in blocks that fit the cache."""
    if exhaustive:
        for start in range(0, 1 << 32, 1 << 20):
            yield (np.arange(start, start + (1 << 20), dtype=np.uint32).view(np.float32),)
        return
    for seed in range(max(1, -(-n // 200_000))):
        yield sample(f, dtype, min(n, 200_000), seed)


def long_run(
    f: MathFunction,
    dtype: str,
    n: int,
    *,
    march: str | None = None,
    exhaustive: bool = False,
    cc: str = DEFAULT_CC,
) -> Worst:
    """Screen many points in C, confirm the worst of every block with MPFR."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        loops = compile_loops([f], folder, march=march, dtypes=[dtype], cc=cc)
        screen = compile_screen(f, dtype, folder) if f.long_double and f.arity == 1 else None
        best, total = Worst(0.0, (), 0), 0
        for args in blocks(f, dtype, n, exhaustive):
            total += args[0].size
            if screen is not None:
                ffi, lib = screen
                x, z = args[0], loops.call(f.name, dtype, args[0])
                error = np.empty(x.size, np.float32)
                pointer = f"{C_TYPE[dtype]} *"
                lib.screen(
                    ffi.cast(pointer, x.ctypes.data),
                    ffi.cast(pointer, z.ctypes.data),
                    ffi.cast("float *", error.ctypes.data),
                    x.size,
                )
                if float(error.max()) < best.ulp - 0.01:
                    continue
                keep = np.argpartition(error, -4)[-4:]
                args = tuple(a[keep] for a in args)
            found = measure(f, loops, dtype, *args)
            best = found if found.ulp > best.ulp else best
        return Worst(best.ulp, best.at, total)


def main(argv: Sequence[str] | None = None) -> int:
    """Command line: print the worst error of the named functions (`all`: every function)."""
    parser = argparse.ArgumentParser(description="largest error of csrc math functions in ULP")
    parser.add_argument("names", nargs="+", help="function names, or all")
    parser.add_argument("--dtype", choices=["f64", "f32"], action="append")
    parser.add_argument("--n", type=int, default=100_000)
    parser.add_argument("--march", help="x86-64-v2, x86-64-v3, ...; default: this machine's level")
    parser.add_argument("--cc", default=DEFAULT_CC)
    parser.add_argument("--exhaustive", action="store_true", help="all 2^32 float32 values")
    options = parser.parse_args(argv)
    names = list(TABLE) if options.names == ["all"] else options.names
    failed = 0
    for name in names:
        f = TABLE[name]
        for dtype in options.dtype or ["f64", "f32"]:
            start = time.perf_counter()
            n = max(1000, int(options.n / f.cost))
            worst = long_run(
                f,
                dtype,
                n,
                march=options.march,
                cc=options.cc,
                exhaustive=options.exhaustive and dtype == "f32" and f.arity == 1,
            )
            bad = worst.ulp > f.bound(dtype)
            failed += bad
            print(
                f"{'FAIL' if bad else 'ok  '} {name}_{dtype} <= {f.bound(dtype)}: {worst} "
                f"({time.perf_counter() - start:.1f} s)",
                flush=True,
            )
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
