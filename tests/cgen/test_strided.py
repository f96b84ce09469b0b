"""Arguments that are not in C order: the same bits as for copies of them, without the copies."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cbuild import build
from numpy.lib.stride_tricks import as_strided
from values import same_bits

import jitgraph
import jitgraph.tensor as T
from jitgraph.config import change_flags
from jitgraph.errors import CompilerNotFoundError, ShapeError
from jitgraph.runtime import strided
from jitgraph.runtime.loader import host
from jitgraph.runtime.toolchain import csrc_directory

x, y, m, w = T.dvector("x"), T.dvector("y"), T.dmatrix("m"), T.dmatrix("w")
PIECE, BLOCK = 8192, 512  # JG_PIECE, JG_BLOCK
DTYPES = ("int8", "int16", "float32", "float64")
_kept: list[Any] = []


@pytest.fixture(autouse=True)
def attached() -> None:
    """Small arrays are gathered too."""
    assert strided.attach_strided()


@pytest.fixture(params=[1, 2])
def threads(request: pytest.FixtureRequest) -> Iterator[int]:
    """The number of threads, for loops of any length."""
    with change_flags(num_threads=request.param, parallel_threshold=0):
        yield request.param


def check(f: Any, *values: np.ndarray) -> list[np.ndarray]:
    """The results of `f`, which must have the bits of those for arguments in C order."""
    found = f(*values)
    wanted = f(*[np.array(v, order="C") for v in values])
    found, wanted = (list(r) if isinstance(r, list) else [r] for r in (found, wanted))
    for a, b in zip(found, wanted, strict=True):
        assert a.flags.c_contiguous
        assert same_bits(np.asarray(a), np.asarray(b))
    return found


def in_order(f: Any) -> int:
    """How many arguments the entry takes in C order only."""
    return int(f.c_source.count("= jg_argument("))


def elements(n: int, dtype: str = "float64") -> np.ndarray:
    return np.random.default_rng(n).integers(-60, 60, n).astype(dtype)


SLICES: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "every second": lambda a: a[::2],
    "backwards": lambda a: a[::-1],
    "backwards by threes": lambda a: a[-2::-3],
    "one number repeated": lambda a: np.broadcast_to(a[:1], a.shape),
    "unaligned": lambda a: unaligned(a),
    "unaligned, every third": lambda a: unaligned(a)[1::3],
}


def unaligned(a: np.ndarray) -> np.ndarray:
    """The same elements one byte beside where they should be."""
    moved = np.zeros(a.nbytes + 1, np.uint8)[1:].view(a.dtype).reshape(a.shape)
    moved[...] = a
    return moved


@pytest.fixture(scope="module")
def vector_functions() -> dict[str, Any]:
    made = {}
    for dtype in DTYPES:
        v = T.vector(dtype=dtype)
        made[dtype] = jitgraph.function([v], [v + v, v.sum(), v.max()])
    return made


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("kind", SLICES)
def test_vectors(dtype: str, kind: str, threads: int, vector_functions: dict[str, Any]) -> None:
    """Lengths around the borders of pieces, blocks of sums and chunks."""
    f = vector_functions[dtype]
    assert in_order(f) == 0
    for n in (2, 3, BLOCK, 2 * BLOCK + 1, 2 * PIECE - 1, 2 * PIECE, 2 * PIECE + 2, 100_003):
        a = SLICES[kind](elements(n, dtype))
        double, total, most = check(f, a)
        assert same_bits(double, a + a)
        assert total == a.sum() and most == a.max()


def test_no_elements_and_one(threads: int) -> None:
    f = jitgraph.function([x, m], [T.exp(x), x.sum(), m * 2, m.sum()])
    for n in (0, 1):
        for k in (0, 1, 7):
            results = check(f, np.ones(2 * n)[::2], np.ones((k, 2 * n)).T[::-2])
            assert results[0].shape == (n,) and results[2].shape == (n, k)
            assert results[3] == n * k
    check(f, unaligned(np.ones(0)), unaligned(np.ones((0, 3))))
    check(f, unaligned(np.ones(1)), unaligned(np.ones((1, 1))))


def random_layout(
    rng: np.random.Generator, shape: tuple[int, ...], dtype: str
) -> tuple[np.ndarray, str]:
    """An array of this shape with some axes exchanged, sliced, reversed or repeated."""
    order = rng.permutation(len(shape))
    steps = rng.choice([1, 1, 2, 3, -1, -2], len(shape))
    repeated = rng.random(len(shape)) < 0.15
    room = [1 if r else n * abs(s) for n, s, r in zip(shape, steps.tolist(), repeated, strict=True)]
    base = rng.integers(-60, 60, [room[k] for k in order]).astype(dtype)
    if rng.random() < 0.3:
        base = unaligned(base)
    a = base.transpose(np.argsort(order))
    cut = [slice(None) if r else slice(None, None, s) for s, r in zip(steps, repeated, strict=True)]
    a = np.broadcast_to(a[tuple(cut)], shape)
    return a, f"{dtype} {shape} {a.strides}"


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("rank", [1, 2, 3, 4])
def test_random_layouts(dtype: str, rank: int, threads: int) -> None:
    """Two arguments, each laid out in its own way, against NumPy and against copies."""
    kind = T.TensorType(dtype, (False,) * rank)
    p, q = kind("p"), kind("q")
    f = jitgraph.function([p, q], [p + q, (p + q).sum(), T.maximum(p, q)])
    rng = np.random.default_rng(rank)
    for _ in range(25):
        left = int(rng.choice([10, 300, 20_000, 80_000]))
        lengths = []
        for _ in range(rank):
            lengths.append(int(rng.integers(1, max(2, min(left, 900)))))
            left //= lengths[-1]
        shape = tuple(rng.permutation(lengths).tolist())
        (a, told), (b, also) = random_layout(rng, shape, dtype), random_layout(rng, shape, dtype)
        total, summed, larger = check(f, a, b)
        assert same_bits(total, a + b), (told, also)
        assert same_bits(larger, np.maximum(a, b)), (told, also)
        if dtype == "float64":
            assert summed == (a + b).sum(), (told, also)  # of small integers: exact


@pytest.mark.parametrize("shape", [(33, 1000), (1000, 33), (257, 256), (64, 2050), (5, 9000)])
def test_transposed(shape: tuple[int, int], threads: int) -> None:
    """Tiles at the borders of rows, of columns and of what each thread does."""
    f = jitgraph.function([m, w], [m + w, (m * w).sum()])
    a, b = elements(shape[0] * shape[1]).reshape(shape), elements(shape[0] * shape[1])
    b = b.reshape(shape[::-1])
    for p, q in ((a, b.T), (b.T, a), (b.T, b.T), (a[::-1], b.T), (b.T, b.T[:, ::-1])):
        total, product = check(f, p, q)
        assert same_bits(total, p + q) and product == (p * q).sum()


def test_axes_of_more_dimensions_exchanged(threads: int) -> None:
    t = T.dtensor3("t")
    f = jitgraph.function([t], [t * 2, t.sum()])
    for shape in ((3, 40, 500), (40, 3, 700), (500, 40, 3)):
        a = elements(3 * 40 * 700)[: np.prod(shape)].reshape(shape)
        for axes in ((2, 1, 0), (0, 2, 1), (1, 0, 2), (2, 0, 1), (1, 2, 0)):
            check(f, a.transpose(axes))
            check(f, a.transpose(axes)[::-1, ::2])


def test_elements_that_share_memory(threads: int) -> None:
    f = jitgraph.function([m], [m + 1, m.sum()])
    base = elements(30_000)
    windows = as_strided(base, (20_000, 7), (8, 8))
    assert same_bits(check(f, windows)[0], windows + 1)
    assert same_bits(check(f, windows.T)[0], windows.T + 1)
    halves = np.frombuffer(bytes(range(256)) * 100, np.uint8)
    overlapping = as_strided(halves.view("float32"), (6000,), (2,))
    g = jitgraph.function([v := T.fvector()], v * 2)
    check(g, np.where(np.isnan(overlapping), 0, overlapping)[::-1])


def test_broadcasting_with_what_is_in_order(threads: int) -> None:
    """Rows and columns that are stretched; what every row reads again must be in C order."""
    c = T.col("c", "float64")
    f = jitgraph.function([m, x, c], [m + x, m * c, T.nnet.softmax(m)])
    assert in_order(f) == 1
    a, b = elements(300 * 70).reshape(70, 300).T, elements(140)[::2]
    total, product, _ = check(f, a, b, elements(600).reshape(600, 1)[::-2])
    assert same_bits(total, a + b) and same_bits(product, a * elements(600).reshape(600, 1)[::-2])
    check(f, np.broadcast_to(b, (300, 70)), b, elements(300).reshape(300, 1))


@pytest.mark.parametrize("shape", [(3, 5), (700, 300), (40, 20_000), (2, 90_000)])
def test_rows(shape: tuple[int, int], threads: int) -> None:
    f = jitgraph.function([m], [T.nnet.softmax(m), m.max(axis=1), T.argmax(m, axis=1)])
    assert in_order(f) == 0
    a = np.random.default_rng(3).normal(size=shape[::-1]).T
    _, most, place = check(f, a)
    assert same_bits(most, a.max(axis=1)) and same_bits(place, a.argmax(axis=1))
    check(f, a[::-1, ::-1])
    check(f, unaligned(np.array(a, order="C")))


def test_reshaped_in_the_graph(threads: int) -> None:
    f = jitgraph.function([m, x], m.reshape((x.shape[0],)) + x)
    a, b = elements(12_000).reshape(100, 120).T, elements(24_000)[::2]
    assert same_bits(check(f, a, b)[0], np.array(a, order="C").ravel() + b)


def test_what_is_read_as_a_whole_is_copied() -> None:
    for out in (T.dot(m, w), T.sort(x), m.sum(axis=0), T.dot(m, w) + m.sum(), x[T.argmax(x)]):
        inputs = [v for v in (x, m, w) if v in jitgraph.gof.graph.ancestors([out])]
        f = jitgraph.function(inputs, out)
        assert "jg_any_argument" not in f.c_source or in_order(f)
    f = jitgraph.function([m, w], [T.dot(m, w), w.sum()])
    a, b = elements(60 * 50).reshape(60, 50).T, elements(60 * 40).reshape(40, 60).T
    np.testing.assert_allclose(check(f, a, b)[0], a @ b, rtol=1e-12, atol=1e-9)


def test_neighbours_are_not_read_in_pieces() -> None:
    """An element whose place is not that of the loop lies outside the piece."""
    f = jitgraph.function([x], x[1:] * x[:-1])
    g = jitgraph.function([m], m + m[::-1])
    assert in_order(f) == in_order(g) == 1
    a, b = elements(50_000)[::2], elements(60_000).reshape(200, 300).T
    assert same_bits(check(f, a)[0], a[1:] * a[:-1])
    assert same_bits(check(g, b)[0], b + b[::-1])


def test_results_stored_past_the_caches(threads: int) -> None:
    f = jitgraph.function([m, w], m - w)
    a, b = elements(900 * 301).reshape(900, 301), elements(900 * 301).reshape(301, 900).T
    with change_flags(streaming_threshold=0):
        assert same_bits(check(f, a, b)[0], a - b)


def test_an_array_that_is_also_the_result(threads: int) -> None:
    f = jitgraph.function([x], x * 2)
    a = np.arange(30_000.0)
    f(a[::-1], out=a)
    assert same_bits(a, np.arange(30_000.0)[::-1] * 2)
    g = jitgraph.function([m], m + 1)
    b = np.arange(90_000.0).reshape(300, 300)
    assert g(b.T, out=b) is b
    assert same_bits(b, np.arange(90_000.0).reshape(300, 300).T + 1)


def test_arguments_are_not_changed(threads: int) -> None:
    f = jitgraph.function([m, w], [m + w, (m * w).sum()])
    a = elements(300 * 400).reshape(400, 300)
    before = a.copy()
    f(a.T, a.T)
    assert same_bits(a, before)


def test_updates_of_shared_variables_in_any_order() -> None:
    start = np.asfortranarray(elements(30_000).reshape(100, 300))
    s = jitgraph.shared(start, borrow=True)
    f = jitgraph.function([m], s.sum(), updates=[(s, s + m)])
    for k in range(3):
        assert f(np.ones((300, 100)).T) == start.sum() + k * start.size
    assert same_bits(s.get_value(), np.array(start + 3, order="C"))


def test_shapes_that_do_not_fit_are_told_as_before() -> None:
    f = jitgraph.function([m, w], m + w)
    a = np.ones((40, 50))
    with pytest.raises(ShapeError) as strided_error:
        f(a.T, a)
    with pytest.raises(ShapeError) as plain_error:
        f(np.ones((50, 40)), a)
    assert str(strided_error.value).split("\n")[0] == str(plain_error.value).split("\n")[0]
    with pytest.raises(TypeError):
        f(np.ones((4, 4, 4)).T, a)


def test_calls_at_the_same_time(threads: int) -> None:
    f = jitgraph.function([m], T.exp(m))
    arrays = [np.random.default_rng(k).normal(size=(257, 301)).T for k in range(4)]
    wanted = [f(np.array(a, order="C")) for a in arrays]
    wrong: list[int] = []

    def run(k: int) -> None:
        for _ in range(20):
            if not same_bits(f(arrays[k]), wanted[k]):
                wrong.append(k)

    started = [threading.Thread(target=run, args=(k,)) for k in range(4)]
    for t in started:
        t.start()
    for t in started:
        t.join()
    assert wrong == []


# -- without the functions ------------------------------------------------------------------------


class Table:
    """Puts another address into `host().strided` for a while."""

    def __init__(self, address: int):
        self.address = address

    def __enter__(self) -> None:
        self.before, host().strided = host().strided, self.address

    def __exit__(self, *_: object) -> None:
        host().strided = self.before


def test_small_arrays_do_not_load_the_functions() -> None:
    f = jitgraph.function([m], m + 1)
    with Table(0):
        a = elements(600).reshape(20, 30).T
        assert same_bits(f(a), a + 1)
        assert host().strided == 0
        large = np.ones((400, 400)).T
        assert same_bits(f(large), large + 1)
        assert host().strided != 0


def test_without_a_compiler_arguments_are_copied(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused() -> Any:
        raise CompilerNotFoundError("none")

    f = jitgraph.function([m, w], m + w)
    monkeypatch.setattr(strided, "_library", refused)
    monkeypatch.setattr(strided, "_refused", False)
    with Table(0):
        large = elements(250_000).reshape(500, 500).T
        assert same_bits(f(large, large), large + large)
        assert host().strided == 0
        assert f.memory_plan(large, (500, 500)).copies == large.nbytes


# None of them leads out of an array.
MISTAKES = {
    "the first row": ("row % v->dim[k] * v->stride[k]", "0 * row * v->stride[k]"),
    "the next run": ("to += run * v->item;", "to += 0 * run;"),
    "the columns": ("p + k * stride, sizeof(T)", "p + (7 - k) * stride, sizeof(T)"),
    "the next band": ("p->start += (p->rows - 1) * width;", "p->start += p->rows * width;"),
    "the row of a tile": ("p->row * jg_pitch(p, v));", "0 * jg_pitch(p, v));"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_wrong_gather_is_found(mistake: str, tmp_path: Path) -> None:
    """The comparison above tells wrong functions from right ones."""
    right, wrong = MISTAKES[mistake]
    source = Path(csrc_directory(), "jg_strided.c").read_text(encoding="utf-8")
    assert source.count(right) == 1
    cdef = (
        "int64_t jg_entry(int64_t segment, void *host, intptr_t args, intptr_t outs,"
        " void *scratch, int64_t *info);"
    )
    t = T.dtensor3("t")
    f = jitgraph.function([t], t * 2)
    a = np.zeros((60, 300, 70)) + np.arange(60 * 300 * 70.0).reshape(60, 300, 70)
    views = (a[:, ::2], a.T, a.transpose(1, 0, 2)[:, ::-1])
    for text, is_right in ((source, True), (source.replace(right, wrong), False)):
        ffi, library = build(text, cdef, tmp_path, name=f"gather{is_right}")
        info = ffi.new("int64_t[1]")
        library.jg_entry(0, ffi.NULL, 0, 0, ffi.NULL, info)
        _kept.append(library)
        with Table(info[0]):
            same = [same_bits(f(v), v * 2) for v in views]
        assert all(same) == is_right


# -- memory ---------------------------------------------------------------------------------------


def test_the_plan_knows_what_is_gathered() -> None:
    f = jitgraph.function([m, w], T.exp(m) + w)
    g = jitgraph.function([m, w], [T.dot(m, w), w * 2])
    a = np.ones((2000, 1000)).T
    plan = f.memory_plan(a, (1000, 2000))
    assert plan.copies == 0 and 0 < plan.scratch < 1 << 20
    assert g.memory_plan(a, np.ones((300, 2000)).T).copies == a.nbytes + 300 * 2000 * 8
    f(a, np.ones((1000, 2000)))
    assert f.memory_plan(a, (1000, 2000)).scratch == plan.scratch


def run(source: str) -> str:
    """What a fresh process prints."""
    done = subprocess.run(
        [sys.executable, "-c", source], capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


PEAK = """
import numpy as np, jitgraph, jitgraph.tensor as T
x = T.dvector()
f = jitgraph.function([x], {out})
f(np.ones(400_000)[::2])
a = np.ones(20_000_000)

def status(name):
    with open("/proc/self/status") as lines:
        return next(int(l.split()[1]) << 10 for l in lines if l.startswith(name))

with open("/proc/self/clear_refs", "w") as file:
    file.write("5")
before = status("VmRSS")
result = f(a[::2])
print(status("VmHWM") - before, result.nbytes)
"""


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="Linux tells the peak")
@pytest.mark.parametrize("out", ["T.exp(x)", "(x ** 2).sum()"])
def test_peak_memory_is_that_of_the_result(out: str) -> None:
    """Not 80 MB more for a copy of the argument."""
    grown, result = map(int, run(PEAK.format(out=out)).split())
    assert grown < result + (16 << 20)


LONG = """
import resource
import numpy as np, jitgraph, jitgraph.tensor as T
x = T.bvector()
f = jitgraph.function([x], x.sum(dtype="int64"))
f(np.ones(4_000_000, "int8")[::2])
with open("/proc/self/statm") as file:
    used = int(file.read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + (512 << 20),) * 2)
n = 2**31 + 5
rows = np.broadcast_to(np.int8([[-3], [1]]), (2, n))
print(f(np.broadcast_to(np.int8(1), n)) - n, f(rows[0]) + 3 * n)
"""


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="Linux tells the size")
def test_more_elements_than_an_int_counts() -> None:
    """2³¹ + 5 elements by repetition of one byte, with room for a quarter of them."""
    assert run(LONG).split() == ["0", "0"]
