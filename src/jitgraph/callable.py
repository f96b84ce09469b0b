"""The object that `jitgraph.function` returns: binding arguments, running, committing updates."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Sequence
from operator import itemgetter
from typing import Any

import numpy as np

from jitgraph.arguments import Argument
from jitgraph.compiling import Compiled
from jitgraph.function_io import In
from jitgraph.graph import Apply, Container, SharedVariable, TensorType, Variable
from jitgraph.graph import toposort as _toposort
from jitgraph.runtime.program import BadArgument, CheckFailed, Program, PythonStep

_LOCKS: dict[int, Any] = {}


class Function:
    """A compiled function. Call it with positional or keyword arguments.

    f(…, output_subset=[…])  computes everything but returns only these outputs
    f(…, out=z)  stores the result in the array z, of the result's dtype and shape, and returns it
                 (with several outputs: a sequence or dict of arrays, None for a new one)
    f[x], f.value, f.container  stored values of inputs with a default, by index, name, variable
    f.copy(swap=…, delete_updates=…)  another function on the same code
    f.c_source, f.debugprint(), f.compile_report()  what was made of the graph
    f.profile(…), f.memory_plan(shapes)  where its time goes, and what memory it needs
    """

    def __init__(
        self,
        compiled: Compiled,
        ins: Sequence[In],
        shared: Sequence[SharedVariable],
        targets: Sequence[Any],
        target_variables: Sequence[Variable],
        n_outputs: int,
        returns: Any,
        name: str | None,
        stores: Sequence[Container | None] | None = None,
        containers: Sequence[Container] | None = None,
        profile: Any = None,
    ):
        self.compiled, self.ins, self.shared = compiled, list(ins), list(shared)
        self.name = name
        self.n_outputs, self.returns = n_outputs, returns
        self.stores = list(stores) if stores is not None else [_store_of(i) for i in ins]
        self.containers = (
            list(containers) if containers is not None else [s.container for s in shared]
        )
        self.targets: list[Any] = [
            self.stores[self.ins.index(t)] if isinstance(t, In) else t for t in targets
        ]
        self.target_variables = list(target_variables)
        self.trust_input = False
        self.stats = profile
        self._prepare()

    def _prepare(self) -> None:
        program = self.compiled.program
        n = len(self.ins)
        self.program = program
        self._constants = self.compiled.constants
        self._tail = bool(self.containers or self._constants)
        required = all(s is None for s in self.stores)
        checked = self.compiled.c_inputs.issuperset(range(n))
        self._fast_arity = n if required and checked else -1
        self._keywords = self._unambiguous_names()
        self._by_name: Callable[[dict[str, Any]], tuple[Any, ...]] | None = None
        if n > 1:  # one name would give the value itself, no tuple
            self._by_name = itemgetter(*self._keywords)
        self._takes_out = all(i.name != "out" for i in self.ins)
        self._arguments = [Argument(i) for i in self.ins]
        # Compiled code reads numbers; steps in Python, and inputs with rules of their own, have to
        # be given arrays. A vain attempt without would cost more than a look at the arguments.
        in_place = program.direct is not None and all(a.in_place for a in self._arguments)
        numbers = [i for i, a in zip(self.ins, self._arguments, strict=True) if a.is_number]
        self._needs_arrays = bool(numbers) and not in_place
        # Where one call has had numbers to be rounded, the next ones will.
        self._may_round = self._needs_arrays or any(i.allow_downcast for i in numbers)
        self._returns_one = self.returns == "one"
        self._random = self._random_steps()
        # Without state the arguments go straight to the one C entry.
        direct = self.program.direct
        stateless = not (self.targets or self._tail or self.program.order)
        self._direct = direct.call if direct and stateless else None
        # The one C entry of which the function's only result is the only one.
        self._whole = None if self.targets or not self._returns_one else direct
        if self.targets:
            self._locks = [_lock_of(c) for c in sorted(self.targets, key=id)]
        self.maker = Maker(self)
        if self.stats is not None:
            self._measure()

    def _measure(self) -> None:
        """Have each call go through the general way, where it is timed.

        The figures are `f.profile`, as in Theano, in the place of the method of that name.
        """
        from jitgraph.profile_stats import labels_of, timed

        labels = labels_of(self.program, self.compiled.step_ops)
        self.program = timed(self.program, self.stats, labels)
        self.__dict__["profile"] = self.stats
        self._fast_arity, self._direct = -1, None

    def _unambiguous_names(self) -> list[str | None]:
        """The keyword of each input; None where there is none that says which input it is."""
        names = [i.name for i in self.ins]
        return [n if names.count(n) == 1 and n != "output_subset" else None for n in names]

    def _random_steps(self) -> list[Container]:
        """Let draws advance their generator in place where its successor replaces it."""
        if not any(hasattr(op, "draw_in_place") for op in self.compiled.step_ops):
            return []
        from jitgraph.runtime.draws import with_draws_in_place

        first = len(self.ins)
        slots = {first + k: c for k, c in enumerate(self.containers)}
        updates = {self.program.outputs[self.n_outputs + k]: c for k, c in enumerate(self.targets)}
        self.program, used = with_draws_in_place(
            self.compiled.program, self.compiled.step_ops, slots, updates
        )
        return used

    # -- calling -----------------------------------------------------------------------------
    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if kwargs or len(args) != self._fast_arity:
            if len(args) + len(kwargs) != self._fast_arity:
                return self._call_otherwise(args, kwargs)
            try:
                args = self._in_order(args, kwargs)
            except KeyError:
                return self._call_bound(args, kwargs)
        if self._needs_arrays:
            for a in args:
                if type(a) is not np.ndarray:
                    args = self._filtered(args)
                    break
        try:
            direct = self._direct
            results = self._run(args) if direct is None else direct(args)
        except BadArgument:
            self._needs_arrays = self._may_round
            results = self._run(self._filtered(args))
        except (CheckFailed, MemoryError) as error:
            raise self._explained(error, args) from None
        return results[0] if self._returns_one else self._package(results)

    def _in_order(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, ...]:
        """The values of all inputs. KeyError where the keywords name other inputs than are left."""
        if not args and self._by_name is not None:
            return self._by_name(kwargs)
        return args + tuple([kwargs[n] for n in self._keywords[len(args) :]])  # type: ignore[index]

    def _call_otherwise(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """A call that does not simply give a value to each input.

        With `out=`, compiled code stores its only result where it is asked to. Any other call, the
        wrong ones among them, takes the general way.
        """
        whole = self._whole
        out = kwargs.get("out") if self._takes_out else None
        if (
            out is not None
            and whole is not None
            and len(args) + len(kwargs) == self._fast_arity + 1
        ):
            try:
                values = args if len(kwargs) == 1 else self._in_order(args, kwargs)
            except KeyError:
                return self._call_bound(args, kwargs)
            if self._needs_arrays:
                values = self._filtered(values)
            if self._tail:
                values = values + tuple([c.data for c in self.containers]) + self._constants
            order = self.program.order
            if whole.store(values if order is None else order(values), out):
                return out
        return self._call_bound(args, kwargs)

    def _run(
        self, values: tuple[Any, ...], run: Callable[..., Sequence[Any]] = Program.run
    ) -> Sequence[Any]:
        """Compute outputs and updates, then store the updates, or nothing if anything failed."""
        if not self.targets:
            if self._tail:
                values = values + tuple([c.data for c in self.containers]) + self._constants
            try:
                return run(self.program, values)
            except (CheckFailed, MemoryError, *_PYTHON_ERRORS) as error:
                raise self._explained(error, values) from None
        return self._run_and_store(values, run)

    def _run_into(self, values: tuple[Any, ...], out: Any) -> Sequence[Any]:
        from jitgraph.runtime.into import check_outputs, given_outputs, run_into

        n = self.n_outputs
        arrays = given_outputs(out, self.returns, n)
        check_outputs(arrays, [v.type for v in self.compiled.outputs[:n]])
        return self._run(values, lambda program, given: run_into(program, given, arrays))

    def _run_and_store(
        self, values: tuple[Any, ...], run: Callable[..., Sequence[Any]]
    ) -> Sequence[Any]:
        for lock in self._locks:
            lock.acquire()
        saved = [(c.data, c.data.get_state(legacy=False)) for c in self._random]
        try:
            values = values + tuple([c.data for c in self.containers]) + self._constants
            results = run(self.program, values)
            for container, value in zip(self.targets, results[self.n_outputs :], strict=True):
                container.data = value
            return results
        except BaseException as error:
            for state, before in saved:
                state.set_state(before)
            if isinstance(error, (CheckFailed, MemoryError, *_PYTHON_ERRORS)):
                raise self._explained(error, values) from None
            raise
        finally:
            for lock in self._locks:
                lock.release()

    def _explained(self, error: BaseException, values: tuple[Any, ...]) -> BaseException:
        if isinstance(error, BadArgument):
            return error
        from jitgraph.explain import explained

        shown = list(values)
        if self.compiled.program.direct is not None:  # it may have read numbers in their places
            with contextlib.suppress(TypeError, ValueError):  # there is an error to tell already
                shown[: len(self.ins)] = map(Argument.array, self._arguments, values)
        return explained(self, error, shown)

    def _package(self, results: Sequence[Any]) -> Any:
        if self.returns == "one":
            return results[0]
        outs = list(results[: self.n_outputs])
        return outs if self.returns == "list" else dict(zip(self.returns, outs, strict=True))

    def _call_bound(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if self.stats is not None:
            from jitgraph.profile_stats import measured

            return measured(lambda: self._call_unmeasured(args, kwargs), self.stats)
        return self._call_unmeasured(args, kwargs)

    def _call_unmeasured(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        subset = kwargs.pop("output_subset", None)
        if subset is not None:
            self._check_subset(subset)
        out = None if any(i.name == "out" for i in self.ins) else kwargs.pop("out", None)
        values = self._filtered(self._bind(args, kwargs))
        result = self._package(self._run(values) if out is None else self._run_into(values, out))
        if subset is None:
            return result
        if isinstance(result, dict):
            return {k: result[k] for k in subset}
        return [result[k] if isinstance(result, list) else result for k in subset]

    def _check_subset(self, subset: Any) -> None:
        """KeyError or IndexError for an output that does not exist, before anything is computed."""
        known: Any = self.returns if isinstance(self.returns, list) else range(self.n_outputs)
        for k in subset:
            negative = isinstance(k, (int, np.integer)) and -self.n_outputs <= k < 0
            if k not in known and not (negative and self.returns is not known):
                kind = KeyError if self.returns is known else IndexError
                names = known if self.returns is known else f"0 to {self.n_outputs - 1}"
                raise kind(f"output_subset={subset!r}: the outputs of {self.name} are {names}")

    def _bind(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, ...]:
        """One value for each input, from positions, keywords and defaults."""
        explicit = [k for k, i in enumerate(self.ins) if not i.implicit]
        if len(args) > len(explicit):
            if len(args) <= len(self.ins):
                raise TypeError(
                    f"Tried to provide value for implicit input: {self._label(len(args) - 1)}"
                )
            raise TypeError(
                f"Too many parameter passed to jitgraph function{self._named()}: "
                f"{len(args)} for {len(explicit)} inputs"
            )
        given: dict[int, Any] = dict(zip(explicit, args, strict=False))
        for name, value in kwargs.items():
            k = self._input_called(name)
            if self.ins[k].implicit:
                raise TypeError(f"Tried to provide value for implicit input: {self._label(k)}")
            if k in given:
                raise TypeError(f"Multiple values for input: {self._label(k)}")
            given[k] = value
        values = []
        for k, store in enumerate(self.stores):
            if k in given:
                values.append(given[k])
            elif store is not None:
                values.append(store.data)
            else:
                where = self.ins[k].variable.where
                made = f", made at {where}" if where else ""
                raise TypeError(f"Missing required input: {self._label(k)}{self._named()}{made}")
        return tuple(values)

    def _input_called(self, name: str) -> int:
        found = [k for k, i in enumerate(self.ins) if i.name == name]
        if len(found) > 1:
            raise TypeError(f"Ambiguous name: {name} - please check the names of the inputs")
        if not found:
            names = ", ".join(sorted(i.name for i in self.ins if i.name))
            raise TypeError(
                f"Unknown input or state: {name}. The function has "
                f"{sum(i.name is not None for i in self.ins)} named inputs ({names})."
            )
        return found[0]

    def _filtered(self, values: Sequence[Any]) -> tuple[Any, ...]:
        """The values as arrays of the declared types."""
        if self.trust_input:
            return tuple(values)
        result = []
        for k, (argument, value) in enumerate(zip(self._arguments, values, strict=True)):
            try:
                result.append(argument.array(value))
            except (TypeError, ValueError) as error:
                i = self.ins[k]
                where = i.variable.where
                raise type(error)(
                    f"Bad input argument{self._argument_name(i)} to jitgraph function"
                    f"{self._named()} "
                    f"at index {k} (0-based).{f' ({where})' if where else ''}\n{error}"
                ) from None
        return tuple(result)

    def _named(self) -> str:
        return f' with name "{self.name}"' if self.name else ""

    @staticmethod
    def _argument_name(i: In) -> str:
        return f' with name "{i.name}"' if i.name else ""

    def _label(self, k: int) -> str:
        return self.ins[k].name or str(self.ins[k].variable)

    # -- stored values -----------------------------------------------------------------------
    def _cell(self, key: Any) -> Container:
        for k, i in enumerate(self.ins):
            if (
                key is i.variable
                or (isinstance(key, str) and i.name == key)
                or (type(key) is int and key == k)
            ):
                store = self.stores[k]
                if store is None:
                    self.stores[k] = store = Container(None)
                return store
        for variable, container in zip(self.shared, self.containers, strict=True):
            if key is variable or (isinstance(key, str) and variable.name == key):
                return container
        raise TypeError(f"Unknown input or state: {key}")

    def __getitem__(self, key: Any) -> Any:
        return self._cell(key).data

    def __setitem__(self, key: Any, value: Any) -> None:
        from jitgraph.tensor.filter import filter_value

        cell = self._cell(key)
        types = {id(s): i.variable.type for s, i in zip(self.stores, self.ins, strict=True)}
        type_ = types.get(id(cell))
        cell.data = filter_value(type_, value) if isinstance(type_, TensorType) else value

    def __contains__(self, key: Any) -> bool:
        try:
            self._cell(key)
        except TypeError:
            return False
        return True

    @property
    def value(self) -> Function:
        return self

    @property
    def container(self) -> _Cells:
        return _Cells(self)

    # -- variants ----------------------------------------------------------------------------
    def copy(
        self,
        share_memory: bool = False,
        swap: dict[Any, Any] | None = None,
        delete_updates: bool = False,
        name: str | None = None,
        profile: Any = None,
    ) -> Function:
        """Another function on the same compiled code; nothing is compiled again.

        swap            {old shared: new shared} of the same types, for the new function only
        delete_updates  drop all updates
        profile         as for `jitgraph.function`; None: the copy is not measured
        The copy always returns a list (as Theano's does). State that is not swapped stays
        shared with this function. Raises ValueError for a key this function does not use,
        AssertionError for types that differ.
        """
        shared, containers = list(self.shared), list(self.containers)
        targets, variables = list(self.targets), list(self.target_variables)
        for old, new in (swap or {}).items():
            assert isinstance(old, SharedVariable) and isinstance(new, SharedVariable), (
                f"swap exchanges shared variables, got {old!r} and {new!r}"
            )
            assert old.type == new.type, f"swap: {old} is {old.type}, {new} is {new.type}"
            found = False
            for k, s in enumerate(shared):
                if s is old:
                    shared[k], containers[k], found = new, new.container, True
            for k, t in enumerate(variables):
                if t is old:
                    variables[k], targets[k], found = new, new.container, True
            if not found:
                raise ValueError(f"SharedVariable: {old} not found")
        stores = [Container(s.data) if s is not None else None for s in self.stores]
        for k, t in enumerate(targets):
            for mine, copied in zip(self.stores, stores, strict=True):
                if t is mine and copied is not None:
                    targets[k] = copied
        result = Function(
            self.compiled,
            self.ins,
            shared,
            [] if delete_updates else targets,
            [] if delete_updates else variables,
            self.n_outputs,
            self.returns if isinstance(self.returns, list) else "list",
            name or (f"{self.name} copy" if self.name else None),
            stores,
            containers,
            _copied_profile(profile, self.name),
        )
        return result

    __copy__ = copy

    # -- looking inside ----------------------------------------------------------------------
    @property
    def c_source(self) -> str:
        """The C file of this function, with the names and lines of its graph in the comments."""
        return self.compiled.plan().c_source()

    def compile_report(self) -> dict[str, Any]:
        """Milliseconds per stage of compilation, and whether the cache had the code.

        Keys: total, key, lookup, rewrite, plan, emit, cc, load (ms), cache ('hit', 'miss'),
        reason (of a miss), source ('memory', 'disk', 'compiled').
        """
        return dict(self.compiled.report)

    def profile(self, *args: Any, calls: int = 10, **kwargs: Any) -> Any:
        """Time, bytes and share of the copy limit of each loop, for these arguments.

        A second build of the function, with clocks, is called `calls` times; updates are not
        stored. Returns a `jitgraph.loop_profile.Profile`, to be printed.
        """
        from jitgraph.loop_profile import profile

        values = self._filtered(self._bind(args, kwargs))
        state = tuple([c.data for c in self.containers])
        return profile(self, (*values, *state, *self._constants), calls)

    def memory_plan(self, *shapes: Any, **named: Any) -> Any:
        """Bytes of inputs, outputs and scratch of a call with inputs of these shapes.

        A tuple is a shape, an int the length of a vector or the value of a scalar input; arrays
        are taken as they are, where shapes depend on values. Nothing is computed. Returns a
        `jitgraph.memory_plan.MemoryPlan`; raises ShapeError if the shapes do not fit.
        """
        from jitgraph.memory_plan import memory_plan

        return memory_plan(self, self._bind(shapes, named))

    def debugprint(self, file: Any = None, **kwargs: Any) -> Any:
        """Print the optimised graph (see `jitgraph.printing.debugprint`)."""
        from jitgraph.printing import debugprint

        return debugprint(self, file=file, **kwargs)

    def get_shared(self) -> list[SharedVariable]:
        return list(self.shared)

    def free(self) -> None:
        """Give back the scratch memory kept between calls."""
        for step in self.program.steps:
            if not isinstance(step, PythonStep):
                step.free.clear()

    def sync_shared(self) -> None:
        """Nothing to wait for on a CPU."""

    def __reduce__(self) -> tuple[Any, ...]:
        from jitgraph.pickling import function_state, restored_function

        return restored_function, (function_state(self),)

    def __repr__(self) -> str:
        return (
            f"<jitgraph function{self._named()}: {len(self.ins)} inputs, {self.n_outputs} outputs>"
        )


class _Cells:
    def __init__(self, function: Function):
        self.function = function

    def __getitem__(self, key: Any) -> Container:
        return self.function._cell(key)


class Maker:
    """`f.maker.fgraph`: the optimised graph for programs that look at it."""

    def __init__(self, function: Function):
        self.function = function

    @property
    def fgraph(self) -> OptimisedGraph:
        return OptimisedGraph(self.function.compiled)


class OptimisedGraph:
    """The graph after rewriting."""

    def __init__(self, compiled: Compiled):
        self.inputs = list(compiled.inputs)
        if compiled.mode.linker == "reference":
            self.outputs = list(compiled.outputs)
        else:
            self.outputs = list(compiled.plan().outputs)
        if any(node.op.needs_preparation for node in _toposort(compiled.written)):
            from jitgraph.extending.prepare import as_written

            self.outputs = as_written(self.outputs)

    def toposort(self) -> list[Apply]:
        return _toposort(self.outputs)

    @property
    def apply_nodes(self) -> set[Apply]:
        return set(self.toposort())

    @property
    def variables(self) -> set[Variable]:
        from jitgraph.graph import ancestors

        return set(ancestors(self.outputs))


def _store_of(i: In) -> Container | None:
    """Where the default of an input is kept; None for a required input."""
    if i.container is not None:
        return i.container
    if i.value is None:
        return None
    if not isinstance(i.variable.type, TensorType):
        return Container(i.value)
    from jitgraph.tensor.filter import filter_value

    value = filter_value(i.variable.type, i.value, i.strict, i.allow_downcast)
    return Container(value if i.borrow else np.array(value))


def _copied_profile(asked: Any, name: str | None) -> Any:
    if asked is None:
        return None
    from jitgraph.profile_stats import profile_for

    return profile_for(asked, name)


def _lock_of(container: Container) -> Any:
    lock = _LOCKS.get(id(container))
    if lock is None:
        import weakref

        lock = _LOCKS[id(container)] = threading.RLock()
        weakref.finalize(container, _LOCKS.pop, id(container), None)
    return lock


_PYTHON_ERRORS = (ValueError, TypeError, IndexError, ArithmeticError, AssertionError, RuntimeError)
