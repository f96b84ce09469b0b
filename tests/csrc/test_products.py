"""Products made in C (jg_gemm.h, jg_gemv.h, jg_sweep.h) against exact sums."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from cbuild import build

from jitgraph.runtime import cpu

Array = np.ndarray[Any, Any]
REAL = {"f64": "double", "f32": "float"}
DTYPE = {"f64": np.float64, "f32": np.float32}
# Half the distance from 1 to the next number: the error of one rounding of a number of size 1.
EPS = {"f64": 2.0**-53, "f32": 2.0**-24}
NATIVE = cpu.native_level()
NO_FMA = ("x86-64", "x86-64-v2")
LEVELS = list(cpu.X86_LEVELS[: cpu.X86_LEVELS.index(NATIVE) + 1]) if "x86" in NATIVE else [NATIVE]

CDEF = "intptr_t jg_pool_new(int64_t threads);" + "".join(
    f"""
void gemm_{t}(intptr_t pool, int ta, int tb, int64_t m, int64_t n, int64_t k, {real} alpha,
              const {real} *a, const {real} *b, {real} beta, const {real} *d, {real} *c);
void small_gemv_{t}(intptr_t pool, int ta, int64_t m, int64_t k, const {real} *a, const {real} *x,
                    {real} *y);
int64_t sooner_{t}(int64_t m, int64_t n, int64_t k, int64_t vector);
void gemv_{t}(intptr_t pool, int ta, int64_t m, int64_t k, const {real} *a, const {real} *x,
              {real} *y);
int64_t sweep_tile_{t}(int64_t m, int64_t k);
int64_t sweep_parts_{t}(int64_t m, int64_t k);
void sweep_{t}(intptr_t pool, int64_t m, int64_t k, const {real} *a, const {real} *x, {real} *y,
               int64_t each, {real} *e, {real} *z, {real} *parts);
"""
    for t, real in REAL.items()
)
# There is no library, so that everything is computed by the loops under test.
SOURCE = """
#define JG_POOL_IMPLEMENTATION
#include "jg_gemm.h"
#include "jg_gemv.h"
#include "jg_sweep.h"

#define EXPORT __attribute__((visibility("default")))
""" + "".join(
    f"""
EXPORT void gemm_{t}(intptr_t pool, int ta, int tb, int64_t m, int64_t n, int64_t k, {real} alpha,
                     const {real} *a, const {real} *b, {real} beta, const {real} *d, {real} *c)
{{
    const jg_host host = {{.pool = pool, .parallel_min = 1}};
    jg_gemm_{t}(&host, ta, tb, m, n, k, alpha, a, b, beta, d, c);
}}

EXPORT void small_gemv_{t}(intptr_t pool, int ta, int64_t m, int64_t k, const {real} *a,
                           const {real} *x, {real} *y)
{{
    const jg_host host = {{.pool = pool, .parallel_min = 1}};
    jg_small_gemv_{t}(&host, ta, m, k, a, x, y);
}}

EXPORT void gemv_{t}(intptr_t pool, int ta, int64_t m, int64_t k, const {real} *a, const {real} *x,
                     {real} *y)
{{
    const jg_host host = {{.pool = pool, .parallel_min = 1}};
    jg_gemv_{t}(&host, ta, m, k, a, x, y);
}}

EXPORT int64_t sooner_{t}(int64_t m, int64_t n, int64_t k, int64_t vector)
{{
    jg_blas blas = {{.vector = vector}};
    const jg_host host = {{.blas = &blas}};
    return jg_is_sooner(&host, m, n, k, sizeof({real}));
}}

EXPORT int64_t sweep_tile_{t}(int64_t m, int64_t k)
{{
    return jg_sweep_tile(m, k, sizeof({real}));
}}
EXPORT int64_t sweep_parts_{t}(int64_t m, int64_t k)
{{
    return jg_sweep_parts(m, k, sizeof({real}));
}}

typedef struct {{ const {real} *y; {real} *e; int64_t m, each; }} halves_{t};

static void halve_{t}(void *arg, int64_t begin, int64_t end)
{{
    const halves_{t} *h = arg;
    for (int64_t i = begin * h->each; i < end * h->each && i < h->m; i++)
        h->e[i] += (h->y[i] - 1) / 2;
}}

/* each: 0 for e = y, else e += (y - 1) / 2 in so many rows at a time. */
EXPORT void sweep_{t}(intptr_t pool, int64_t m, int64_t k, const {real} *a, const {real} *x,
                      {real} *y, int64_t each, {real} *e, {real} *z, {real} *parts)
{{
    const jg_host host = {{.pool = pool, .parallel_min = 1}};
    halves_{t} h = {{y, e, m, each}};
    const int64_t n = each ? (m + each - 1) / each : 0;
    const jg_rowwise rows = {{each ? halve_{t} : 0, &h, n, 1, 2, each}};
    jg_sweep_{t}(&host, m, k, a, x, y, rows, each ? e : y, z, parts);
}}
"""
    for t, real in REAL.items()
)


class Products:
    """The functions of the C library on arrays, with memory guarded before and after."""

    def __init__(self, ffi: Any, lib: Any):
        self.ffi, self.lib = ffi, lib
        self.pool = 0

    def _guarded(self, x: Array) -> tuple[Array, Array]:
        """A copy at an odd place, between nan that no kernel may read and no kernel may write."""
        around = np.full(x.size + 34, np.nan, x.dtype)
        inner = around[17 : 17 + x.size]
        inner[:] = x.ravel()
        return around, inner

    def _pointer(self, x: Array, t: str) -> Any:
        return self.ffi.cast(f"{REAL[t]} *", x.ctypes.data)

    def gemm(
        self,
        t: str,
        a: Array,
        b: Array,
        ta: int,
        tb: int,
        alpha: float,
        beta: float,
        c: Array,
        d: Array | None = None,
    ) -> Array:
        """alpha a . b + beta d, with a and b handed over as their transposes where ta, tb say.

        Without d, beta times c itself is added, where beta is not 0.
        """
        stored = [self._guarded(x.T if turned else x) for x, turned in ((a, ta), (b, tb))]
        around, inner = self._guarded(c)
        _, added = self._guarded(c if d is None else d)
        pa, pb, pc = (self._pointer(x, t) for x in (stored[0][1], stored[1][1], inner))
        pd = self.ffi.NULL if d is None else self._pointer(added, t)
        if d is None and beta != 0:
            pd = pc
        (m, k), n = a.shape, b.shape[1]
        function = getattr(self.lib, f"gemm_{t}")
        function(self.pool, ta, tb, m, n, k, alpha, pa, pb, beta, pd, pc)
        assert np.isnan(around[:17]).all() and np.isnan(around[17 + c.size :]).all()
        return inner.reshape(c.shape).copy()

    def gemv(self, t: str, a: Array, x: Array, ta: int, small: str = "") -> Array:
        """a . x, with a handed over as its transpose where ta says."""
        _, stored = self._guarded(a.T if ta else a)
        _, vector = self._guarded(x)
        around, inner = self._guarded(np.full(a.shape[0], np.nan, a.dtype))
        pa, px, py = (self._pointer(v, t) for v in (stored, vector, inner))
        getattr(self.lib, f"{small}gemv_{t}")(self.pool, ta, *a.shape, pa, px, py)
        assert np.isnan(around[:17]).all() and np.isnan(around[17 + inner.size :]).all()
        return inner.copy()

    def sweep(
        self, t: str, a: Array, x: Array, each: int, shift: int = 0
    ) -> tuple[Array, Array, Array]:
        """y = a . x, e = (y - 1) / 2 in `each` rows at a time or y itself, z = transpose(a) . e.

        `shift`: bytes by which the matrix lies behind the beginning of a line of the cache.
        """
        m, k = a.shape
        room = np.zeros(a.nbytes + 128, np.uint8)
        at = -room.ctypes.data % 64 + shift
        stored = room[at : at + a.nbytes].view(a.dtype)
        stored[:] = a.ravel()
        _, vector = self._guarded(x)
        outer, inner = [], []
        parts = getattr(self.lib, f"sweep_parts_{t}")(m, k)
        for size in (m, m, k, parts * k):
            around, inside = self._guarded(np.full(size, np.nan, a.dtype))
            outer.append(around)
            inner.append(inside)
        y, e, z, part = inner
        e[:] = 0  # so that a row that is made twice is seen
        pointers = [self._pointer(v, t) for v in (stored, vector, y, e, z, part)]
        function = getattr(self.lib, f"sweep_{t}")
        function(self.pool, m, k, *pointers[:3], each, *pointers[3:])
        for around in outer:
            assert np.isnan(around[:17]).all() and np.isnan(around[-17:]).all()
        return y.copy(), e.copy() if each else y.copy(), z.copy()

    def tile(self, t: str, a: Array) -> int:
        return int(getattr(self.lib, f"sweep_tile_{t}")(*a.shape))


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Products]:
    """A function that compiles the products for an instruction set."""
    known: dict[str, Products] = {}

    def make(target: str) -> Products:
        if target not in known:
            folder = tmp_path_factory.mktemp(target)
            known[target] = Products(*build(SOURCE, CDEF, folder, name="products", target=target))
        return known[target]

    return make


@pytest.fixture
def products(library: Callable[[str], Products]) -> Products:
    return library(NATIVE)


def exact(a: Array, b: Array) -> Array:
    """a . b in long double, of which the error is less than 2^-10 of those bounded here."""
    return np.einsum("ik,kj->ij", a.astype(np.longdouble), b.astype(np.longdouble))


def check(
    found: Array, t: str, a: Array, b: Array, terms: float, alpha: Any = 1, c: Array | None = None
) -> None:
    """|found - (alpha a . b + c)| <= terms eps (|alpha| |a| . |b| + |c|), with c exact."""
    wide = np.longdouble(0) if c is None else c.astype(np.longdouble)
    expected = np.longdouble(alpha) * exact(a, b) + wide
    size = abs(np.longdouble(alpha)) * exact(abs(a), abs(b)) + abs(wide)
    assert (abs(found - expected) <= 1.01 * terms * EPS[t] * size).all()


def shapes(seed: int, count: int) -> Iterator[tuple[int, int, int]]:
    """Lengths 0 to 40, among them all small ones, and some around those of the kernels' parts."""
    rng = np.random.default_rng(seed)
    yield from ((0, 3, 4), (3, 0, 4), (3, 4, 0), (1, 1, 1), (49, 5, 3), (5, 97, 129), (97, 9, 300))
    yield from ((9, 64, 260), (12, 128, 130))  # rows that are a power of two apart
    yield from ((131, 77, 290), (100, 24, 300), (50, 192, 129))  # several groups of rows
    for _ in range(count):
        m, n, k = rng.integers(0, 41, 3)
        yield int(m), int(n), int(k)


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("t", REAL)
def test_matrices(library: Callable[[str], Products], t: str, level: str) -> None:
    products, rng = library(level), np.random.default_rng(7)
    for m, n, k in shapes(1, 60 if level == NATIVE else 20):
        a = rng.standard_normal((m, k)).astype(DTYPE[t])
        b = rng.standard_normal((k, n)).astype(DTYPE[t])
        c = rng.standard_normal((m, n)).astype(DTYPE[t])
        for ta, tb in ((0, 0), (0, 1), (1, 0), (1, 1)):
            # Where beta is 0, nan in c must not be seen.
            found = products.gemm(t, a, b, ta, tb, 1, 0, np.full_like(c, np.nan))
            check(found, t, a, b, k + 3)
            alpha, beta = DTYPE[t](-0.7), DTYPE[t](2.5)
            found = products.gemm(t, a, b, ta, tb, alpha, beta, c)
            check(found, t, a, b, k + 3, alpha, np.longdouble(beta) * c)
            apart = products.gemm(t, a, b, ta, tb, alpha, beta, np.full_like(c, np.nan), c)
            assert np.array_equal(apart, found)


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("t", REAL)
def test_matrix_and_vector(library: Callable[[str], Products], t: str, level: str) -> None:
    products, rng = library(level), np.random.default_rng(8)
    large = ((400, 784, 1), (33, 1000, 1), (129, 65, 1), (10, 3000, 1), (1031, 77, 1))
    for m, k, _ in (*shapes(2, 60), *large):
        a = rng.standard_normal((m, k)).astype(DTYPE[t])
        x = rng.standard_normal(k).astype(DTYPE[t])
        for ta in (0, 1):
            # Matrices without a row of a vector's length are left to the library, or plain loops.
            found = products.gemv(t, a, x, ta, "small_")
            bound = k / 2 + 5 if min(m, k) >= 16 and m * k <= 8192 else k + 1
            check(found[:, None], t, a, x[:, None], bound)
            found = products.gemv(t, a, x, ta)
            bound = k / 2 + 16 if min(m, k) >= 64 and level != "x86-64-v2" else k + 1
            check(found[:, None], t, a, x[:, None], bound)


# Below the least size, of one band, with a last tile and a last group of rows that are short, of
# several bands, of which the last is short, and with rows that are too long.
SWEPT = ((70, 80), (400, 784), (403, 777), (2100, 64), (1031, 77), (997, 1101), (64, 9000))
SWEPT += ((5003, 130), (100, 16385 * 2))


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("t", REAL)
def test_two_products_in_one_reading(
    library: Callable[[str], Products], t: str, level: str
) -> None:
    products, rng = library(level), np.random.default_rng(12)
    tiles = []
    for m, k in SWEPT:
        a = rng.standard_normal((m, k)).astype(DTYPE[t])
        x = rng.standard_normal(k).astype(DTYPE[t])
        tile = products.tile(t, a)
        tiles.append(tile)
        y = products.gemv(t, a, x, 0)
        for each in (0, 1, tile or 5):
            found, e, z = products.sweep(t, a, x, each)
            assert np.array_equal(found, y)
            assert np.array_equal(e, (y - 1) / 2 if each else y)
            check(z[:, None], t, a.T, e[:, None], m / 8 + 12 if tile else m + 1)
    whole = {"f64": [0, 8, 8, 64, 48, 8, 0, 24, 0], "f32": [0, 8, 8, 64, 0, 8, 8, 56, 0]}
    # Without AVX2 the vectors of the library are longer, and both products are left to it.
    assert tiles == ([0] * len(SWEPT) if level in NO_FMA else whole[t])


@pytest.mark.parametrize("t", REAL)
def test_a_sweep_has_the_same_bits_everywhere(products: Products, t: str) -> None:
    rng = np.random.default_rng(13)
    for m, k in SWEPT:
        a = rng.standard_normal((m, k)).astype(DTYPE[t])
        x = rng.standard_normal(k).astype(DTYPE[t])
        results = []
        for threads in (1, 2, 3):
            products.pool = products.lib.jg_pool_new(threads)
            for shift in (0, 16, 8 * a.itemsize - a.itemsize):
                results.append(products.sweep(t, a, x, products.tile(t, a) or 5, shift))
        products.pool = 0
        for other in results[1:]:
            assert all(np.array_equal(p, q) for p, q in zip(results[0], other, strict=True))


@pytest.mark.parametrize("t", REAL)
def test_a_sweep_spreads_nan_and_inf_as_the_sums_do(products: Products, t: str) -> None:
    rng = np.random.default_rng(14)
    for m, k in ((403, 777), (5003, 130)):
        a = rng.integers(-2, 3, (m, k)).astype(DTYPE[t])
        x = np.zeros(k, DTYPE[t])
        a[m - 1, k - 1], a[3, 5], a[m // 2, 7] = np.inf, -np.inf, np.nan
        y, e, z = products.sweep(t, a, x, 1)
        assert np.array_equal(np.isnan(y), ~np.isfinite(a).all(axis=1))
        with np.errstate(invalid="ignore"):
            assert np.array_equal(z, (a * e[:, None]).sum(axis=0), equal_nan=True)
        assert np.isnan(z).all()
        clean = np.where(np.isnan(e), 0, e).astype(e.dtype)
        assert not np.isnan(products.gemv(t, np.where(np.isfinite(a), a, 0).T, clean, 0)).any()


@pytest.mark.parametrize("level", LEVELS)
def test_who_makes_a_product(library: Callable[[str], Products], level: str) -> None:
    """The library makes large products, unless its vectors are shorter than those here."""
    lib = library(level).lib
    wide = level == "x86-64-v4"
    for size in (150, 1000, 3000):
        assert lib.sooner_f64(size, size, size, 64) == (size == 150 and level not in NO_FMA)
        assert lib.sooner_f64(size, size, size, 32) == (wide or lib.sooner_f64(size, size, size, 0))
    assert not lib.sooner_f64(3000, 3, 3000, 32)  # no row of a vector's length


def test_the_bound_tells_a_term_too_few(products: Products) -> None:
    a, b = np.full((4, 40), 1.0), np.full((40, 4), 1.0)
    short = products.gemm("f64", a[:, :39], b[:39], 0, 0, 1, 0, np.zeros((4, 4)))
    with pytest.raises(AssertionError):
        check(short, "f64", a, b, 43)


@pytest.mark.parametrize("t", REAL)
def test_an_element_depends_on_its_row_and_column_alone(products: Products, t: str) -> None:
    rng = np.random.default_rng(9)
    a = rng.standard_normal((61, 300)).astype(DTYPE[t])
    b = rng.standard_normal((300, 131)).astype(DTYPE[t])
    whole = products.gemm(t, a, b, 0, 0, 1, 0, np.empty((61, 131), DTYPE[t]))
    for rows, cols in ((slice(3, 4), slice(5, 130)), (slice(2, 60), slice(40, 41))):
        for ta, tb in ((0, 0), (0, 1), (1, 0)):
            empty = np.empty_like(whole[rows, cols])
            part = products.gemm(t, a[rows], b[:, cols], ta, tb, 1, 0, empty)
            assert np.array_equal(part, whole[rows, cols])


@pytest.mark.parametrize("t", REAL)
def test_the_same_bits_on_any_number_of_threads(products: Products, t: str) -> None:
    rng = np.random.default_rng(10)
    results = []
    for threads in (1, 2, 3):
        rng = np.random.default_rng(10)
        products.pool = products.lib.jg_pool_new(threads)
        for m, n, k in ((20, 500, 300), (200, 30, 20), (1, 1000, 7), (300, 10, 129)):
            a = rng.standard_normal((m, k)).astype(DTYPE[t])
            b = rng.standard_normal((k, n)).astype(DTYPE[t])
            c = rng.standard_normal((m, n)).astype(DTYPE[t])
            for ta, tb in ((0, 0), (0, 1), (1, 0)):
                results.append((threads, products.gemm(t, a, b, ta, tb, 0.3, 0.9, c)))
        for m, k in ((131, 300), (133, 777), (65, 129), (200, 40), (3, 40)):
            a = rng.standard_normal((m, k)).astype(DTYPE[t])
            x = rng.standard_normal(k).astype(DTYPE[t])
            results += [(threads, products.gemv(t, a, x, ta)) for ta in (0, 1)]
    products.pool = 0
    one, two, three = ([r for n, r in results if n == threads] for threads in (1, 2, 3))
    assert all(np.array_equal(x, y) for x, y in zip(one, two, strict=True))
    assert all(np.array_equal(x, y) for x, y in zip(one, three, strict=True))


@pytest.mark.parametrize("t", REAL)
def test_nan_and_inf_spread_as_in_the_plain_sums(products: Products, t: str) -> None:
    rng = np.random.default_rng(11)
    for m, n, k in ((20, 30, 21), (5, 9, 150), (33, 17, 19), (70, 2, 85)):
        a = rng.integers(-2, 3, (m, k)).astype(DTYPE[t])  # with zeros: inf * 0 is nan
        b = rng.integers(-2, 3, (k, n)).astype(DTYPE[t])
        for x in (a, b):
            at = rng.integers(0, x.size, 3)
            x.ravel()[at] = np.inf, -np.inf, np.nan
        a[m - 1, k - 1] = b[k - 1, n - 1] = np.inf  # what lies beyond a row is met here
        with np.errstate(invalid="ignore"):
            expected = np.stack([(a[:, :, None] * b[None])[:, p] for p in range(k)]).sum(axis=0)
        for ta, tb in ((0, 0), (0, 1), (1, 0)):
            found = products.gemm(t, a, b, ta, tb, 1, 0, np.zeros((m, n), DTYPE[t]))
            assert np.array_equal(found, expected, equal_nan=True)
        for ta in (0, 1):
            for j in (0, n - 1):
                for small in ("", "small_"):
                    found = products.gemv(t, a, b[:, j], ta, small)
                    assert np.array_equal(found, expected[:, j], equal_nan=True)
