"""Running a compiled program: C entries and NumPy steps over numbered slots."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from operator import itemgetter
from typing import Any

import numpy as np

from jitgraph import dtypes
from jitgraph.runtime._abi import ffi
from jitgraph.runtime.buffers import SMALLEST, allocate
from jitgraph.runtime.loader import items_of

# What an entry returns (csrc/jg_abi.h).
OK, ARGUMENT, CHECK, LABEL, PLAN, MEMORY, ORDER = range(7)
# Scratch larger than this is given back after a call.
KEPT_SCRATCH = 64 << 20


class BadArgument(Exception):
    """An argument is not an array of the declared dtype and rank; `slot` says which."""

    def __init__(self, slot: int):
        super().__init__(slot)
        self.slot = slot


class CheckFailed(Exception):
    """A run-time check failed: its step and number, and the values compared."""

    def __init__(self, segment: int, number: int, left: int, right: int):
        super().__init__(segment, number, left, right)
        self.segment, self.number, self.left, self.right = segment, number, left, right


class NoRoom(MemoryError):
    """There is no memory for an array, the program's number `slot`; in `what` it is "{}"."""

    def __init__(self, slot: int, what: str, shape: tuple[int, ...], dtype: np.dtype):
        size = math.prod(shape) * dtype.itemsize
        self.text = f"no room for {what}, shape {shape}, dtype {dtype}: {size:,} bytes"
        self.slot = slot
        super().__init__(self.text.replace("{}", "an array"))

    def named(self, name: str) -> MemoryError:
        """The same error for those who have a name for the array."""
        return MemoryError(self.text.replace("{}", name))


class Workspace:
    """Scratch memory and the exchange array of one call; calls at the same time have their own."""

    __slots__ = ("array", "call", "info", "pair", "pointer")

    def __init__(self, step: CompiledStep):
        self.info = ffi.new("int64_t[]", 5 + step.lengths)
        self.pair: list[Any] = [None, None]  # arguments and results, while they are being computed
        self.call = ffi.new("jg_call *")
        self.call.segment, self.call.host, self.call.info = step.segment, step.host, self.info
        self.call.tuples = items_of(self.pair)
        self.release()

    def release(self) -> None:
        """Have no scratch memory."""
        self.array: np.ndarray | None = None
        self.pointer = self.call.scratch = ffi.NULL
        self.info[0] = 0

    def reserve(self, size: int) -> None:
        """Have at least `size` bytes, aligned to a cache line."""
        if size <= self.info[0]:
            return
        self.array = allocate((size + 64,), dtypes.NUMPY["uint8"])
        address = self.array.ctypes.data
        self.pointer = self.call.scratch = ffi.cast("void *", (address + 63) & ~63)
        self.info[0] = size


class CompiledStep:
    """One C entry: arrays in, new arrays out."""

    def __init__(self, lib: Any, host: Any, step: dict[str, Any]):
        self.entry, self.run = lib.jg_entry, lib.jg_run
        self.lib = lib
        self.host = host
        self.segment: int = step["segment"]
        self.inputs: tuple[int, ...] = tuple(step["in"])
        self.outputs: tuple[int, ...] = tuple(step["out"])
        self.types = [(dtypes.NUMPY[d], n) for d, n in step["types"]]
        self.lengths = sum(n for _, n in self.types)
        # Shapes of the last call, tried first at the next one.
        self.last = tuple((dtype, (0,) * n) for dtype, n in self.types)
        self.large = False  # whether some of them are worth a place in the pool
        self.free: list[Workspace] = []
        self.call = self._caller()

    def __call__(self, args: tuple[Any, ...]) -> tuple[np.ndarray, ...]:
        return self.call(args)

    def _caller(self) -> Callable[[tuple[Any, ...]], tuple[np.ndarray, ...]]:
        """The call itself, with everything it needs in local names: it is made for every `f(x)`."""
        run, free, empty, retry = self.run, self.free, np.empty, self._retry

        def call(args: tuple[Any, ...]) -> tuple[np.ndarray, ...]:
            work = free.pop() if free else Workspace(self)
            last = self.last
            if self.large:
                outs = self._guess(last)
            elif len(last) == 1:
                outs = (empty(last[0][1], last[0][0]),)
            else:
                outs = tuple([empty(shape, dtype) for dtype, shape in last])
            pair = work.pair
            pair[0], pair[1] = args, outs
            status = run(work.call)
            pair[0] = pair[1] = None
            if status:
                made = [outs]
                del outs
                outs = retry(args, work, status, made)
            free.append(work)
            return outs

        return call

    def _guess(self, last: tuple[Any, ...]) -> tuple[np.ndarray, ...]:
        """Results of the shapes of the last call; empty ones if there is no room for those now."""
        try:
            return tuple([allocate(shape, dtype) for dtype, shape in last])
        except MemoryError:
            return tuple([np.empty((0,) * n, dtype) for dtype, n in self.types])

    def _retry(
        self,
        args: tuple[Any, ...],
        work: Workspace,
        status: int,
        made: list[tuple[np.ndarray, ...]],
    ) -> tuple[np.ndarray, ...]:
        """Give the entry what it asked for: other shapes, scratch, arrays in C order.

        `made`: the results it was given, the only reference to them.
        """
        return self._until_done(args, work, status, self.fresh, made)

    def run_with(
        self,
        args: tuple[Any, ...],
        outputs: Callable[..., tuple[np.ndarray, ...]],
        likely: tuple[np.ndarray, ...] | None = None,
    ) -> tuple[np.ndarray, ...]:
        """A call whose results are stored in the arrays `outputs([(dtype, shape), …])`.

        `likely` are these arrays if they are known already and have the right shapes.
        """
        work = self.free.pop() if self.free else Workspace(self)
        # Without outputs, or with some of another shape, the entry tells the shapes: nothing else.
        given = 0 if likely is None else id(likely)
        status = self.entry(self.segment, self.host, id(args), given, work.pointer, work.info)
        outs = self._until_done(args, work, status, outputs, [] if likely is None else [likely])
        self.free.append(work)
        return outs

    def store(self, args: tuple[Any, ...], z: Any) -> bool:
        """Compute the only result in `z`; False if that takes more than calling the entry.

        It does where `z` is not a plain array of the result's dtype and shape apart from all
        arguments, where one of these is not as the code reads it, and where a check fails.
        """
        dtype, ndim = self.types[0]
        if type(z) is not np.ndarray or z.dtype is not dtype or z.ndim != ndim:
            return False
        flags = z.flags
        if not flags.carray:
            return False
        # Memory that `z` owns is seen by others through `z`, which then is (an end of) their base.
        owned = flags.owndata
        for a in args:
            # What is neither an array nor a number is refused by the entry.
            if type(a) is np.ndarray and (
                a is z or ((a.base is not None or not owned) and np.may_share_memory(a, z))
            ):
                return False
        work = self.free.pop() if self.free else Workspace(self)
        pair = work.pair
        pair[0], pair[1] = args, (z,)
        status = self.run(work.call)
        pair[0] = pair[1] = None
        self.free.append(work)
        return bool(status == OK)

    def fresh(self, shapes: Sequence[tuple[np.dtype, tuple[int, ...]]]) -> tuple[np.ndarray, ...]:
        """New arrays for results of these dtypes and shapes."""
        return tuple([self.new(k, *s) for k, s in enumerate(shapes)])

    def new(self, k: int, dtype: np.dtype, shape: tuple[int, ...]) -> np.ndarray:
        """A new array for result k. Raises NoRoom."""
        try:
            return allocate(shape, dtype)
        except MemoryError:
            raise NoRoom(self.outputs[k], "{}", shape, dtype) from None

    def _until_done(
        self,
        args: tuple[Any, ...],
        work: Workspace,
        status: int,
        outputs: Callable[..., tuple[np.ndarray, ...]],
        made: list[tuple[np.ndarray, ...]],
    ) -> tuple[np.ndarray, ...]:
        outs = made.pop() if made else None
        for _ in range(len(args) + 4):
            info = work.info
            if status == OK and outs is not None:
                if work.array is not None and work.array.nbytes > KEPT_SCRATCH:
                    work.release()
                return outs
            if status == PLAN:
                outs = None  # before there are others: both may not fit
                outs = outputs(self._replan(work))
            elif status == ARGUMENT:
                args = self._in_order(args, int(info[1]))
            elif status == ORDER:
                args = self._in_any_order(args)
            elif status in (CHECK, LABEL):
                raise CheckFailed(self.segment, int(info[1]), int(info[2]), int(info[3]))
            else:
                raise MemoryError("no memory for a row buffer of a compiled loop")
            given = 0 if outs is None else id(outs)
            status = self.entry(self.segment, self.host, id(args), given, work.pointer, work.info)
        raise AssertionError(f"the compiled entry keeps answering {status}")

    def _replan(self, work: Workspace) -> tuple[tuple[np.dtype, tuple[int, ...]], ...]:
        """Have the scratch that the entry asks for; return the dtypes and shapes of its results.

        Not by way of `last`, which calls on other threads change at any time.
        """
        info = work.info
        at = 5
        shapes = []
        for dtype, n in self.types:
            shapes.append((dtype, tuple(int(info[at + k]) for k in range(n))))
            at += n
        planned = self.last = tuple(shapes)
        self.large = any(dtype.itemsize * math.prod(shape) >= SMALLEST for dtype, shape in shapes)
        try:
            work.reserve(int(info[4]))
        except MemoryError:
            raise MemoryError(
                f"no room for {int(info[4]):,} bytes of intermediate results"
            ) from None
        return planned

    def _in_any_order(self, args: tuple[Any, ...]) -> tuple[Any, ...]:
        """The same arguments, for an entry that can read them now.

        They are left as they are if that is worth the loading of the functions for it.
        """
        from jitgraph.runtime.strided import SMALLEST_STRIDED, attach_strided

        arrays = [(k, a.flags) for k, a in enumerate(args) if isinstance(a, np.ndarray)]
        others = [k for k, flags in arrays if not (flags.c_contiguous and flags.aligned)]
        if sum(args[k].nbytes for k in others) >= SMALLEST_STRIDED and attach_strided():
            return args
        for k in others:
            args = self._in_order(args, k)
        return args

    def _in_order(self, args: tuple[Any, ...], k: int) -> tuple[Any, ...]:
        """The same arguments with number k copied into C order, if that was all that was wrong."""
        array = args[k]
        if not isinstance(array, np.ndarray):
            raise BadArgument(self.inputs[k])
        native = dtypes.NUMPY.get(array.dtype.name)
        if native is None or (
            type(array) is np.ndarray
            and array.dtype is native  # not so in arrays from a pickle
            and array.flags.c_contiguous
            and array.flags.aligned
        ):
            raise BadArgument(self.inputs[k])
        try:
            copied = np.array(array, dtype=native, order="C", copy=True).view(native)
        except MemoryError:
            what = "a copy of {} in C order"
            raise NoRoom(self.inputs[k], what, array.shape, native) from None
        return (*args[:k], np.asarray(copied), *args[k + 1 :])


def _selection(order: tuple[int, ...]) -> Callable[[tuple[Any, ...]], tuple[Any, ...]] | None:
    if order == tuple(range(len(order))):
        return None
    if len(order) == 1:
        (k,) = order
        return lambda values: (values[k],)
    return itemgetter(*order)


class PythonStep:
    """A step that NumPy or Python code computes: arrays in, tuple of arrays out."""

    def __init__(self, function: Callable[..., Sequence[Any]], step: dict[str, Any], number: int):
        self.function = function
        self.inputs: tuple[int, ...] = tuple(step["in"])
        self.outputs: tuple[int, ...] = tuple(step["out"])
        self.number = number

    def __call__(self, args: tuple[Any, ...]) -> Sequence[Any]:
        try:
            return self.function(*args)
        except NoRoom as error:  # of a program within this step, with numbers of its own
            within = error.named("an intermediate result")
            within.jitgraph_step = self.number  # type: ignore[attr-defined]
            raise within from None
        except Exception as error:
            if not hasattr(error, "jitgraph_step"):  # a step of a loop's body knows better
                error.jitgraph_step = self.number  # type: ignore[attr-defined]
            raise


class WholeStep:
    """A step around others, for whoever watches them run; their errors say which one failed."""

    def __init__(
        self,
        function: Callable[..., Sequence[Any]],
        inputs: Sequence[int],
        outputs: Sequence[int],
    ):
        self.function, self.inputs, self.outputs = function, tuple(inputs), tuple(outputs)

    def __call__(self, args: tuple[Any, ...]) -> Sequence[Any]:
        return self.function(*args)


class Program:
    """Steps in order. Re-entrant: everything a call needs beyond the code is its own."""

    def __init__(
        self,
        steps: Sequence[CompiledStep | PythonStep],
        slots: int,
        outputs: Sequence[int],
        literals: Mapping[int, np.ndarray] | None = None,
    ):
        """`literals`: the slots whose value is the same at every call."""
        self.steps = list(steps)
        self.slots = slots
        self.literals = dict(literals or {})
        self.blank = [self.literals.get(k) for k in range(slots)]
        self.outputs = list(outputs)
        first = steps[0] if len(steps) == 1 else None
        # One C entry that reads all inputs in order and makes all outputs: nothing to look up.
        self.direct: CompiledStep | None = None
        if isinstance(first, CompiledStep) and list(first.outputs) == self.outputs:
            self.direct = first
        # Arguments in the order the entry reads them; None where that is their own order.
        self.order: Callable[[tuple[Any, ...]], tuple[Any, ...]] | None = None
        if self.direct is not None:
            self.order = _selection(self.direct.inputs)

    def run(self, inputs: tuple[Any, ...]) -> Sequence[Any]:
        """The outputs for the values of the input slots."""
        direct = self.direct
        if direct is not None:
            return direct.call(inputs if self.order is None else self.order(inputs))
        values: list[Any] = [*inputs, *self.blank[len(inputs) :]]
        for step in self.steps:
            results = step(tuple([values[k] for k in step.inputs]))
            for k, result in zip(step.outputs, results, strict=True):
                values[k] = result
        return [values[k] for k in self.outputs]
