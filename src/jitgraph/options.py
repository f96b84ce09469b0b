"""The options of the configuration: their types, defaults and meaning, each declared once here.

The names and defaults of the Theano options are those of Theano 1.0. An option that has no meaning
for this compiler is accepted and has no effect; its description says so. How options are set and
read: :mod:`jitgraph.config`.
"""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

__all__ = ["AT_RUN_TIME", "GPU_NAMES", "OPTIONS", "Kind", "Option"]

# The source of a value that the program itself assigned.
AT_RUN_TIME = "assignment"

_NO_EFFECT = "Accepted for Theano programs; has no effect here."


# --- types of value -------------------------------------------------------------------------------


class Kind:
    """A type of value: ``parse(value)`` returns what is stored, or raises AttributeError, TypeError
    or ValueError; ``valid`` says in words what it accepts."""

    __slots__ = ("parse", "valid")

    def __init__(self, valid: str, parse: Callable[[Any], Any]) -> None:
        self.valid = valid
        self.parse = parse


def _enum(*choices: str) -> Kind:
    def parse(value: Any) -> str:
        if isinstance(value, str) and value in choices:
            return value
        raise ValueError

    return Kind(repr(choices), parse)


def _int(minimum: int, maximum: int | None = None) -> Kind:
    def parse(value: Any) -> int:
        if isinstance(value, bool):
            raise ValueError
        number = int(value) if isinstance(value, str) else int(value.__index__())
        if number < minimum or (maximum is not None and number > maximum):
            raise ValueError
        return number

    return Kind(f"integers >= {minimum}" + (f" and <= {maximum}" if maximum else ""), parse)


def _float(above: float = float("-inf")) -> Kind:
    """Numbers ``> above``; infinity is a value, nan is not."""

    def parse(value: Any) -> float:
        number = float(value)
        if not number > above:
            raise ValueError
        return number

    return Kind(f"numbers > {above:g}", parse)


def _parse_bool(value: Any) -> bool:
    text = str(value)
    if text in ("True", "true", "1"):
        return True
    if text in ("False", "false", "0"):
        return False
    raise ValueError


def _parse_str(value: Any) -> str:
    path_or_text = os.fspath(value)
    if isinstance(path_or_text, str):
        return path_or_text
    raise ValueError


_BOOL = Kind("('True', 'False')", _parse_bool)
_BOOL_OR_NONE = Kind(
    "('None', 'True', 'False')",
    lambda value: None if value is None or value == "None" else _parse_bool(value),
)
_STR = Kind("strings", _parse_str)
_SEED = Kind(
    "integers >= 0, or 'random'",
    lambda value: value if value == "random" else _int(0).parse(value),
)
_CPU = Kind("('cpu',): jitgraph computes on the CPU only", _enum("cpu").parse)


class Option:
    """The declaration of one option.

    ``env`` is the option's own environment variable or ``""``; ``read_only`` options can only be
    set before import; ``ignored`` ones are accepted and have no effect.
    """

    __slots__ = ("default", "doc", "env", "ignored", "kind", "name", "read_only")

    def __init__(
        self,
        name: str,
        kind: Kind,
        default: Any,
        doc: str,
        *,
        env: str = "",
        read_only: bool = False,
        ignored: bool = False,
    ) -> None:
        self.name = name
        self.kind = kind
        self.default = default
        self.doc = f"{doc} {_NO_EFFECT}" if ignored else doc
        self.env = env
        self.read_only = read_only
        self.ignored = ignored

    @property
    def valid(self) -> str:
        """The accepted values in words."""
        return self.kind.valid

    def parse(self, value: Any, source: str) -> Any:
        """Return ``value`` as it is stored, or raise ValueError naming flag, value and source."""
        try:
            return self.kind.parse(value)
        except (AttributeError, TypeError, ValueError):
            where = "" if source == AT_RUN_TIME else f" (from {source})"
            raise ValueError(
                f'Invalid value ("{value}") for configuration variable "{self.name}". '
                f"Valid options are {self.valid}{where}"
            ) from None


# --- the table -----------------------------------------------------------------------------------

# First parts of the names of Theano's GPU options: refused, with the reason.
GPU_NAMES = (
    "assert_no_cpu_op",
    "contexts",
    "ctc",
    "cublas",
    "cuda",
    "dnn",
    "gpu",
    "gpuarray",
    "gpuelemwise",
    "init_gpu_device",
    "magma",
    "metaopt",
    "nvcc",
)

_WARN_RAISE_PDB = ("warn", "raise", "pdb", "ignore")
_TEST_VALUE = ("off", "ignore", "warn", "raise", "pdb")
_SETERR = ("None", "all", "ignore", "warn", "raise", "call", "print", "log")


def _flag(name: str, default: bool, doc: str, *, ignored: bool = False) -> Option:
    return Option(name, _BOOL, default, doc, ignored=ignored)


def _unused(name: str, kind: Kind, default: Any, doc: str, *, read_only: bool = False) -> Option:
    return Option(name, kind, default, doc, ignored=True, read_only=read_only)


_NUMBERS = [
    Option(
        "floatX",
        _enum("float64", "float32", "float16"),
        "float64",
        "dtype of the constructors without a dtype prefix (matrix, scalar, zeros ...), of the true "
        "division of discrete types and of random streams. Read at each use.",
    ),
    Option(
        "cast_policy",
        _enum("custom", "numpy+floatX"),
        "custom",
        "How a Python or NumPy scalar becomes a constant: 'custom' gives it the smallest dtype "
        "that holds it (floats: floatX where exact), 'numpy+floatX' NumPy's dtype, with float64 "
        "replaced by floatX.",
    ),
    _unused(
        "int_division",
        _enum("int", "raise", "floatX"),
        "int",
        "What / does with two discrete operands in Python 2; in Python 3 it is true division.",
    ),
    Option(
        "warn_float64",
        _enum("ignore", "warn", "raise", "pdb"),
        "ignore",
        "What to do when a float64 variable is made.",
    ),
    _unused("tensor.cmp_sloppy", _int(0, 2), 0, "Tolerance level of comparisons.", read_only=True),
    _unused(
        "device",
        _CPU,
        "cpu",
        "Where functions run. Only 'cpu' exists, other values are refused.",
        read_only=True,
    ),
    _unused("force_device", _BOOL, False, "Fail when the device cannot be used.", read_only=True),
    _unused("print_active_device", _BOOL, True, "Print the device in use.", read_only=True),
]

_COMPILATION = [
    Option(
        "mode",
        _enum(
            "Mode",
            "FAST_RUN",
            "FAST_COMPILE",
            "DebugMode",
            "DEBUG_MODE",
            "NanGuardMode",
            "reference",
        ),
        "Mode",
        "Default mode of function(). 'Mode' is the mode made of config.linker and "
        "config.optimizer: with their defaults, the same as FAST_RUN. 'reference' evaluates "
        "with NumPy.",
    ),
    Option(
        "linker",
        _enum("cvm", "c|py", "py", "c", "c|py_nogc", "vm", "vm_nogc", "cvm_nogc"),
        "cvm",
        "Linker of mode 'Mode'. 'py' and the vm ones evaluate with NumPy, the others compile.",
    ),
    Option(
        "optimizer",
        _enum("o4", "o3", "o2", "o1", "unsafe", "fast_run", "fast_compile", "merge", "None"),
        "o4",
        "Set of rewrites of mode 'Mode'.",
    ),
    Option(
        "accuracy",
        _enum("exact", "fast"),
        "exact",
        "Of exp, log, tanh and the like in compiled code: 'exact' (1 ULP) or 'fast' (4 ULP, about "
        "half the time). Modes that have an accuracy of their own keep it.",
    ),
    Option(
        "optimizer_excluding",
        _STR,
        "",
        "Rewrites or groups taken out of the default mode, separated by colons.",
        read_only=True,
    ),
    Option(
        "optimizer_including",
        _STR,
        "",
        "Rewrites or groups added to the default mode, separated by colons.",
        read_only=True,
    ),
    Option(
        "optimizer_requiring",
        _STR,
        "",
        "Groups a rewrite must belong to in the default mode, separated by colons.",
        read_only=True,
    ),
    _flag("optimizer_verbose", False, "Print each rewrite that is applied."),
    Option(
        "on_opt_error",
        _enum(*_WARN_RAISE_PDB),
        "warn",
        "What to do when a rewrite fails; after 'warn' and 'ignore' the graph stays as it was.",
    ),
    Option(
        "on_shape_error",
        _enum("warn", "raise"),
        "warn",
        "What to do when infer_shape of a program's own op fails; after 'warn', the op is run.",
    ),
    Option(
        "on_unused_input",
        _enum("raise", "warn", "ignore"),
        "raise",
        "What function() does with an input that no output or update needs.",
    ),
    _unused(
        "allow_gc",
        _BOOL,
        True,
        "Free temporaries after each call. Up to 64 MiB are kept for the next one; f.free() gives "
        "them back.",
    ),
    _unused("optdb.max_use_ratio", _float(0), 8.0, "Bound on rewrites per node."),
    _unused(
        "optdb.position_cutoff",
        _float(),
        float("inf"),
        "Run only the rewrites before this position. Rewrites have names and groups here, see "
        "optimizer and optimizer_excluding.",
    ),
    _flag("tensor.local_elemwise_fusion", True, "Fuse elementwise operations into one loop."),
    _unused(
        "tensor.insert_inplace_optimizer_validate_nb",
        _int(-1),
        -1,
        "Steps between two validations of in-place rewrites (-1: automatic).",
    ),
    _unused("cycle_detection", _enum("regular", "fast"), "regular", "How cycles are searched."),
    _unused("vm.lazy", _BOOL_OR_NONE, None, "Lazy evaluation; it is decided per graph."),
    _unused("deterministic", _enum("default", "more"), "default", "Results are deterministic."),
    _flag("cache_optimizations", False, "Keep rewritten graphs on disk.", ignored=True),
    _flag("check_input", True, "Check the types of the inputs of a call.", ignored=True),
    _unused(
        "experimental.local_alloc_elemwise_assert",
        _BOOL,
        True,
        "Keep the shape checks of an allocation that fusion removes. They are always kept.",
    ),
]

_TOOLCHAIN = [
    Option(
        "cc",
        _STR,
        "",
        "The C compiler: a name or path, with arguments if it needs some. Empty: the first that "
        "works.",
        env="JITGRAPH_CC",
    ),
    Option(
        "cflags",
        _STR,
        "",
        "More compiler flags, after jitgraph's own; shell quoting is understood.",
        env="JITGRAPH_CFLAGS",
    ),
    Option(
        "target",
        _STR,
        "native",
        "Processor to compile for, as in -march: 'native' is this machine's.",
    ),
    Option(
        "cache_dir",
        _STR,
        "",
        "Directory of the compiled code. Empty: jitgraph in the user's cache directory.",
        env="JITGRAPH_CACHE_DIR",
    ),
    Option("cache_limit", _int(0), 1 << 30, "Size of the compiled code kept on disk, in bytes."),
    Option("compile_timeout", _float(0), 120.0, "Longest run of the C compiler, in seconds."),
    Option(
        "num_threads",
        _int(0, 256),
        0,
        "Upper bound of the number of threads of one call. 0: the processors available to this "
        "process. jitgraph.set_num_threads sets an exact number.",
        env="JITGRAPH_NUM_THREADS",
    ),
    Option(
        "memory_pool",
        _int(-1),
        -1,
        "Bytes of idle result memory to keep for the next results; 0: none, -1: an eighth of RAM.",
    ),
    Option(
        "parallel_threshold",
        _int(0),
        32768,
        "Elements below which a loop runs on one thread.",
    ),
    Option(
        "streaming_threshold",
        _int(0),
        2**26,
        "Bytes of results from which a loop over all elements, or the last pass over the rows of a "
        "softmax, writes past the caches. Results that are larger than the caches would not be "
        "found there again.",
    ),
    _unused("cxx", _STR, "", "Path of the C++ compiler (see cc).", read_only=True),
    _unused("gcc.cxxflags", _STR, "", "Flags of the C++ compiler (see cflags)."),
    _unused("blas.ldflags", _STR, "", "Link flags of BLAS. NumPy's BLAS is used."),
    _unused("blas.check_openmp", _BOOL, True, "Check that BLAS uses OpenMP."),
    _unused("openmp", _BOOL, False, "Use OpenMP (see num_threads)."),
    _unused("openmp_elemwise_minsize", _int(0), 200000, "See parallel_threshold."),
    _unused("lib.amdlibm", _BOOL, False, "Use AMD's math library."),
    _unused("cmodule.compilation_warning", _BOOL, False, "Show compiler warnings."),
    _unused("cmodule.debug", _BOOL, False, "Debug the cache of modules."),
    _unused("cmodule.remove_gxx_opt", _BOOL, False, "Compile without optimisation."),
    _unused("cmodule.warn_no_version", _BOOL, False, "Warn about C code without version."),
    _unused("cmodule.preload_cache", _BOOL, False, "Read the whole cache at import."),
    _unused("cmodule.mac_framework_link", _BOOL, False, "Link frameworks on macOS."),
    _unused("cmodule.age_thresh_use", _int(0), 2073600, "Age of unused modules, in seconds."),
    _unused("compile.wait", _int(0), 5, "Seconds between two attempts at the cache's lock."),
    _unused("compile.timeout", _int(0), 120, "Seconds before the cache's lock is broken."),
    _unused("base_compiledir", _STR, "~/.theano", "Root of the cache (see cache_dir)."),
    _unused(
        "compiledir_format",
        _STR,
        "compiledir_%(short_platform)s-%(processor)s-%(python_version)s-%(python_bitwidth)s",
        "Name of the cache directory.",
        read_only=True,
    ),
    _unused("compiledir", _STR, "", "Cache directory (see cache_dir).", read_only=True),
    _unused("nocleanup", _BOOL, False, "Keep files of failed compilations."),
]

_CHECKS = [
    Option(
        "exception_verbosity",
        _enum("low", "high"),
        "low",
        "'high' adds to errors of a call where the operation was made, its graph, and the shapes "
        "and sizes of the arguments.",
    ),
    Option(
        "traceback.limit",
        _int(-1),
        8,
        "Frames kept of the place where a node was made (-1: all), for exception_verbosity=high.",
    ),
    _unused(
        "traceback.compile_limit",
        _int(-1),
        0,
        "Frames kept of the place of a rewritten node: it has the places of what it replaces.",
    ),
    Option(
        "compute_test_value",
        _enum(*_TEST_VALUE),
        "off",
        "Evaluate tag.test_value while the graph is built; else: what to do where one is missing.",
    ),
    _unused(
        "compute_test_value_opt",
        _enum(*_TEST_VALUE),
        "off",
        "The same for the nodes that rewrites make. DebugMode compares these.",
    ),
    _flag("print_test_value", False, "Show the test value where a variable is printed."),
    _unused(
        "check_stack_trace",
        _enum("off", "log", "warn", "raise"),
        "off",
        "Check that rewrites keep the place where a node was made. They always do.",
    ),
    Option(
        "numpy.seterr_all",
        _enum(*_SETERR),
        "None",
        "np.seterr(all=...) at import; 'None' leaves NumPy's setting.",
        read_only=True,
    ),
    *(
        Option(
            f"numpy.seterr_{case}",
            _enum(*_SETERR),
            "None",
            f"np.seterr({case}=...) at import; 'None' leaves NumPy's setting.",
            read_only=True,
        )
        for case in ("divide", "over", "under", "invalid")
    ),
    _flag("NanGuardMode.nan_is_error", True, "NanGuardMode: nan is an error."),
    _flag("NanGuardMode.inf_is_error", True, "NanGuardMode: an infinity is an error."),
    _flag("NanGuardMode.big_is_error", True, "NanGuardMode: a magnitude above 1e10 is an error."),
    Option(
        "NanGuardMode.action",
        _enum("raise", "warn", "pdb"),
        "raise",
        "NanGuardMode: what to do on an error.",
    ),
    _unused("DebugMode.patience", _int(1), 10, "DebugMode: runs of the rewriter compared."),
    _flag("DebugMode.check_c", True, "DebugMode: run the compiled code."),
    _flag("DebugMode.check_py", True, "DebugMode: run the NumPy evaluation."),
    _flag("DebugMode.check_finite", True, "DebugMode: a value that is not finite is an error."),
    _unused("DebugMode.check_strides", _int(0, 2), 0, "DebugMode: compare strides."),
    _unused("DebugMode.warn_input_not_reused", _BOOL, True, "DebugMode: warn about copies."),
    _unused("DebugMode.check_preallocated_output", _STR, "", "DebugMode: kinds of outputs."),
    _unused("DebugMode.check_preallocated_output_ndim", _int(1), 4, "DebugMode: up to this ndim."),
    _unused(
        "conv.assert_shape",
        _BOOL,
        False,
        "Check the shapes declared to a convolution. There are no convolutions yet.",
    ),
]

_PROFILING = [
    _flag("profile", False, "Measure calls; print a report at exit."),
    _unused("profile_optimizer", _BOOL, False, "Measure rewrites too. Their sum always is."),
    _unused("profile_memory", _BOOL, False, "Measure memory too. Intermediates are in registers."),
    _flag("print_global_stats", False, "Print the total of all functions at exit."),
    _flag("profiling.time_thunks", True, "Measure each step, not only the whole call."),
    Option("profiling.n_apply", _int(0), 20, "Lines of the report's table of steps."),
    _unused(
        "profiling.n_ops",
        _int(0),
        20,
        "Lines of the table of operations. Fused operations have no time of their own.",
    ),
    Option("profiling.output_line_width", _int(1), 512, "Longest line of the report."),
    _unused("profiling.min_memory_size", _int(0), 1024, "Smallest array reported, in bytes."),
    _unused("profiling.min_peak_memory", _BOOL, False, "Search the order with least memory."),
    Option("profiling.destination", _STR, "stderr", "stdout, stderr or a file."),
    _unused("profiling.debugprint", _BOOL, False, "Print the graphs too. See f.debugprint()."),
    _flag("profiling.ignore_first_call", False, "Leave the first call out of the figures."),
]

_PICKLE = [
    _unused(
        "reoptimize_unpickled_function",
        _BOOL,
        False,
        "Rewrite the graph of an unpickled function. It is compiled from the graph as written.",
    ),
    _flag("unpickle_function", True, "False: functions unpickle to None."),
    _flag("pickle_test_value", True, "Pickle test values with their variables."),
    _unused("experimental.unpickle_gpu_on_cpu", _BOOL, False, "Read GPU arrays as NumPy arrays."),
]

_VERSIONS = (
    *("None", "all", "0.3", "0.4", "0.4.1", "0.5", "0.6", "0.7", "0.8", "0.8.1", "0.8.2"),
    *("0.9", "0.10", "1.0", "1.0.1", "1.0.2", "1.0.3", "1.0.4", "1.0.5"),
)
_BUGS = (
    *("argmax_pushdown_bug", "gpusum_01_011_0111_bug", "sum_sum_bug", "sum_div_dimshuffle_bug"),
    *("subtensor_merge_bug", "gpu_set_subtensor1", "vm_gc_bug", "signal_conv2d_interface"),
    *("reduce_join", "inc_set_subtensor1", "round", "inc_subtensor1_opt"),
)

_OTHER = [
    _unused("scan.allow_gc", _BOOL, False, "Free memory between the iterations of scan."),
    _unused("scan.allow_output_prealloc", _BOOL, True, "Write scan's outputs in place."),
    _unused("scan.debug", _BOOL, False, "Print what scan does. See f.debugprint()."),
    _unused(
        "unittests.rseed", _SEED, 666, "Seed of Theano's own tests. verify_grad takes its rng."
    ),
    _unused(
        "warn.ignore_bug_before",
        _enum(*_VERSIONS),
        "0.9",
        "No warning about bugs fixed before this version of Theano.",
    ),
    *(
        _unused(f"warn.{bug}", _BOOL, False, f"Warning about {bug} of old versions of Theano.")
        for bug in _BUGS
    ),
]

OPTIONS: tuple[Option, ...] = (
    *_NUMBERS,
    *_COMPILATION,
    *_TOOLCHAIN,
    *_CHECKS,
    *_PROFILING,
    *_PICKLE,
    *_OTHER,
)
