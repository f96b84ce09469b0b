"""`jitgraph doctor`: is everything here that compiled functions need, and does it work?

Each part is not only looked up but used: a small function is compiled, run, compared with NumPy
and read back, in a cache of its own in a temporary directory.
"""

from __future__ import annotations

import os
import shlex
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from jitgraph.config import config
from jitgraph.errors import CompileError, CompilerNotFoundError, JitgraphError
from jitgraph.inspect.machine import compiler_facts, cpu_model, usable_cores, versions
from jitgraph.inspect.stored import size_text

OLDEST_PYTHON, OLDEST_NUMPY = (3, 11), 2


@dataclass
class Check:
    """One line of the report.

    status:  "ok"; "note": works, but something deserves a look; "problem"; "untested": what it
             needs is missing, which another line says
    details: lines shown below
    remedy:  what to do about it, "" if nothing
    facts:   the same for programs; every value has a JSON form
    """

    name: str
    status: str
    text: str
    details: list[str] = field(default_factory=list)
    remedy: str = ""
    facts: dict[str, Any] = field(default_factory=dict)


def examine() -> list[Check]:
    """Run every check. Nothing here raises: what fails is a check with status "problem"."""
    checks = [_guarded(f) for f in (check_versions, check_configuration, check_compiler)]
    with private_cache():
        compiles = False
        if checks[-1].status != "problem":
            checks.append(_guarded(check_compiling))
            compiles = checks[-1].status == "ok"
        checks.append(_guarded(check_threads, compiles))
        checks.append(_guarded(check_product, compiles))
        if compiles:
            checks.append(_guarded(check_storing))
    checks.append(_guarded(check_cache))
    return checks


_NAMES = {"check_product": "BLAS"}
UNTESTED = "not tried, which needs a C compiler that works"


def _guarded(check: Callable[..., Check], *args: Any) -> Check:
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            result = check(*args)
    except Exception as error:
        # A doctor that dies of the illness is of no use; the report is where this belongs.
        name = _NAMES.get(check.__name__, check.__name__.removeprefix("check_"))
        remedy = "correct what the message names; if it is not yours, report it with this page"
        return Check(name, "problem", f"{type(error).__name__}: {error}", remedy=remedy)
    result.details += [f"warning: {w.message}" for w in caught]
    return result


@contextmanager
def private_cache() -> Iterator[str]:
    """Compiled functions are kept in a new temporary directory meanwhile."""
    with (
        tempfile.TemporaryDirectory(prefix="jitgraph-doctor-", ignore_cleanup_errors=True) as place,
        config.change_flags(cache_dir=place),
    ):
        yield place


# --- looking -------------------------------------------------------------------------------------


def check_versions() -> Check:
    """Python, NumPy and cffi."""
    found = versions()
    text = ", ".join(f"{name} {version}" for name, version in found.items())
    check = Check("versions", "ok", text, facts={**found, "cpu": cpu_model()})
    check.details.append(f"{cpu_model()}, {usable_cores()} usable cores")
    if sys.version_info < OLDEST_PYTHON or sys.implementation.name != "cpython":
        check.status, check.remedy = "problem", "use CPython 3.11 or later"
    elif int(np.__version__.split(".")[0]) < OLDEST_NUMPY:
        check.status, check.remedy = "problem", "pip install 'numpy>=2'"
    return check


def check_configuration() -> Check:
    """The files that were read and every option that differs from its default."""
    paths = os.environ.get("JITGRAPHRC", "~/.jitgraphrc").split(os.pathsep)
    files = [os.path.expanduser(p.strip()) for p in paths if p.strip()]
    read = [p for p in files if os.path.exists(p)]
    changed = {}
    for option in config.options():
        origin = config.origin(option.name)
        if origin != "default":
            value: Any = config
            for part in option.name.split("."):
                value = getattr(value, part)
            changed[option.name] = {"value": value, "origin": origin}
    text = f"files: {', '.join(read) or 'none'}; options set: {len(changed) or 'none'}"
    details = [f"{name} = {c['value']!r}   [{c['origin']}]" for name, c in changed.items()]
    return Check("configuration", "ok", text, details, facts={"files": read, "set": changed})


def check_compiler() -> Check:
    """The compiler that is used, with its version and flags."""
    from jitgraph.runtime.toolchain import default_toolchain

    try:
        toolchain = default_toolchain()
    except CompilerNotFoundError as error:
        first, *advice = str(error).splitlines()
        remedy = "\n".join(advice) or "unset JITGRAPH_CC, or let it name a compiler that exists"
        return Check("compiler", "problem", first, remedy=remedy)
    except JitgraphError as error:
        return Check("compiler", "problem", str(error), remedy="change the flag that it names")
    facts = compiler_facts() or {}
    text = f"{shlex.join(toolchain.argv)}   {facts['version']}"
    details = [f"flags: {shlex.join(toolchain.flags)}", f"instruction set: {toolchain.isa}"]
    return Check("compiler", "ok", text, details, facts=facts)


def check_cache() -> Check:
    """The user's own cache: state, size, and whether it can be written."""
    from jitgraph.runtime.cache import cache_info

    facts = cache_info()
    text = (
        f"{facts['directory']}: {facts['status']}, {facts['entries']:,} entries, "
        f"{size_text(facts['bytes'])} of {size_text(facts['limit'])}"
    )
    remedy = "let JITGRAPH_CACHE_DIR name a directory of yours that only you can write"
    if facts["status"] not in ("ok", "not created yet"):
        return Check("cache", "problem", text, remedy=remedy, facts=facts)
    existing = facts["directory"]
    while not os.path.exists(existing):
        existing = os.path.dirname(existing)
    try:
        # Asking for permissions is not enough: root may do anything, and file systems refuse.
        with tempfile.TemporaryFile(dir=existing):
            return Check("cache", "ok", text, facts=facts)
    except OSError as error:
        text += f"; {existing} cannot be written ({error.strerror})"
        return Check("cache", "problem", text, remedy=remedy, facts=facts)


def thread_bounds() -> dict[str, int]:
    """What bounds the number of threads: each source and its number; the least one counts."""
    from jitgraph.runtime.threads import cgroup_cpus

    bounds = {"processors of this process": usable_cores()}
    quota = cgroup_cpus()
    if quota is not None:
        bounds["CPU quota of the control group"] = max(1, int(quota))
    if config.num_threads:
        bounds[f"num_threads [{config.origin('num_threads')}]"] = config.num_threads
    openmp = os.environ.get("OMP_NUM_THREADS", "").partition(",")[0].strip()
    if openmp.isdecimal() and int(openmp) > 0:
        bounds["OMP_NUM_THREADS"] = int(openmp)
    return bounds


# --- trying --------------------------------------------------------------------------------------


def _probe() -> Any:
    """A function of a row program: vector mathematics, a reduction, and what depends on it."""
    import jitgraph
    import jitgraph.tensor as T

    x = T.dmatrix("x")
    e = T.exp(x - x.max(axis=1, keepdims=True))
    return jitgraph.function([x], e / e.sum(axis=1, keepdims=True), mode="FAST_RUN")


def _probe_with_numpy(x: np.ndarray) -> np.ndarray:
    e = np.exp(x - x.max(axis=1, keepdims=True))
    return np.asarray(e / e.sum(axis=1, keepdims=True))


# Rounding: exp and the quotient err by an ulp or so, the sum of n terms of either side by at
# most log2(n) + 8 ulp (pairwise); 100 ulp is out of reach unless something is broken.
TOLERANCE = 100 * float(np.finfo(np.float64).eps)


def check_compiling() -> Check:
    """Compile a small function, run it, compare with NumPy."""
    started = time.perf_counter()
    try:
        function = _probe()
    except CompileError as error:
        # The cache, and with it the C file that the message ends with, is gone in a moment.
        text = str(error).partition(" The C file")[0]
        remedy = "name another compiler: JITGRAPH_CC=clang jitgraph doctor"
        return Check("compiling", "problem", text, remedy=remedy)
    spent = (time.perf_counter() - started) * 1e3
    x = np.linspace(-5, 5, 77).reshape(7, 11)
    right = np.allclose(function(x), _probe_with_numpy(x), rtol=TOLERANCE, atol=0)
    report = function.compile_report()
    facts = {"ms": spent, "cc_ms": report.get("cc"), "right": bool(right)}
    text = f"a function compiled in {spent:.0f} ms (C compiler {report.get('cc', 0):.0f} ms)"
    if not right:
        return Check(
            "compiling",
            "problem",
            f"{text}, and its result is wrong",
            remedy="try another compiler: JITGRAPH_CC=clang jitgraph doctor",
            facts=facts,
        )
    return Check("compiling", "ok", f"{text}; its result is NumPy's", facts=facts)


def check_threads(compiles: bool) -> Check:
    """The number of threads, its source, and a loop that two threads share."""
    from jitgraph.runtime.threads import get_num_threads

    bounds = thread_bounds()
    number = get_num_threads()
    text = f"{number} (the least of: {', '.join(f'{n} {name}' for name, n in bounds.items())})"
    check = Check("threads", "ok", text, facts={"threads": number, "bounds": bounds})
    if number > usable_cores():
        check.status, check.remedy = "note", "more threads than processors slow each other down"
    if not compiles:
        check.status = "untested"
        check.text += f"; a shared loop was {UNTESTED}"
    elif _same_in_two_threads():
        check.text += "; a loop shared by two gives the same bits"
    else:
        check.status, check.remedy = "problem", "JITGRAPH_NUM_THREADS=1, and report this page"
        check.text += "; a loop shared by two gives other bits"
    return check


def _same_in_two_threads() -> bool:
    from jitgraph.runtime.threads import num_threads

    function = _probe()
    x = np.sin(np.arange(2000 * 101, dtype=np.float64)).reshape(2000, 101)
    with num_threads(1):
        alone = function(x)
    with num_threads(2):
        shared = function(x)
    return bool(np.array_equal(alone, shared))


_NUMPY_AGAIN = "install NumPy from the package index: pip install --force-reinstall numpy"


def check_product(compiles: bool) -> Check:
    """NumPy's BLAS as compiled functions call it, against np.matmul."""
    from jitgraph.runtime.blas import find_blas

    blas = find_blas()
    if blas is None:
        text = "NumPy's BLAS has no known symbols; products of matrices are all made by jg_gemm.h"
        check = Check("BLAS", "note", text, remedy=_NUMPY_AGAIN)
    else:
        width = "64-bit integers" if blas.ilp64 else "32-bit integers"
        if blas.vector:
            width += f", vectors of {blas.vector} bytes"
        check = Check("BLAS", "ok", f"{blas.vendor}, {width}, {blas.path}")
        facts = {"path": blas.path, "vendor": blas.vendor, "ilp64": blas.ilp64}
        check.facts.update(facts, vector=blas.vector)
    if not compiles:
        check.status = "untested"
        check.text += f"; a product was {UNTESTED}"
        return check
    right = _product_is_right()
    check.facts["right"] = right
    check.text += "; a product is np.matmul's" if right else "; a product differs from np.matmul"
    if not right:
        check.status, check.remedy = "problem", _NUMPY_AGAIN
    return check


def _product_is_right() -> bool:
    import jitgraph
    import jitgraph.tensor as T

    a, b = T.dmatrix("a"), T.dmatrix("b")
    function = jitgraph.function([a, b], T.dot(a, b), mode="FAST_RUN")
    rng = np.random.default_rng(1)
    x, y = rng.standard_normal((33, 47)), rng.standard_normal((47, 29))
    # |error of a dot product| <= n u sum |a||b| for any order of summation, on either side.
    bound = 2 * 47 * np.finfo(np.float64).eps * (np.abs(x) @ np.abs(y))
    return bool(np.all(np.abs(function(x, y) - np.matmul(x, y)) <= bound))


def check_storing() -> Check:
    """Write compiled code to a cache and read it back as another process would."""
    from jitgraph.runtime.cache import Cache, default_directory

    key = _probe().compile_report()["entry"]
    started = time.perf_counter()
    entry = Cache(default_directory()).get(key)  # nothing in memory yet, as in a new process
    spent = (time.perf_counter() - started) * 1e3
    if entry is None or entry.source != "disk":
        return Check(
            "storing",
            "problem",
            f"compiled code could not be read back from {tempfile.gettempdir()}",
            remedy="let TMPDIR name a directory that can be written and has room",
        )
    text = f"compiled code was written, read back and verified in {spent:.1f} ms"
    return Check("storing", "ok", text, facts={"ms": spent, "bytes": len(entry.object_bytes)})


# --- the report ----------------------------------------------------------------------------------


def as_json(checks: list[Check]) -> dict[str, Any]:
    """The report for programs: `{"ok": bool, "checks": [...]}`."""
    return {
        "ok": all(c.status != "problem" for c in checks),
        "checks": [
            {
                "name": c.name,
                "status": c.status,
                "text": c.text,
                "details": c.details,
                "remedy": c.remedy,
                "facts": c.facts,
            }
            for c in checks
        ],
    }


def render(checks: list[Check]) -> str:
    """The report for people: one line a check, what to do below it."""
    lines = []
    for c in checks:
        lines.append(f"{c.status:9} {c.name:14} {c.text}")
        lines += [f"{'':24} {detail}" for detail in c.details]
        if c.remedy:
            first, *rest = c.remedy.splitlines()
            lines.append(f"{'':24} → {first}")
            lines += [f"{'':24}   {line}" for line in rest]
    problems = sum(c.status == "problem" for c in checks)
    lines.append("")
    lines.append(
        "Everything works." if not problems else f"{problems} problem{'s' * (problems > 1)} found."
    )
    return "\n".join(lines) + "\n"
