"""The configuration: sources and their order, refusals, change_flags, cost."""

from __future__ import annotations

import copy
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from jitgraph.config import Config, change_flags
from jitgraph.config import config as process_config
from jitgraph.options import OPTIONS


def make(environ: dict[str, str] | None = None, rc: Path | None = None) -> Config:
    """A configuration that sees only the given environment and file."""
    return Config(OPTIONS, environ or {}, home_file=str(rc or "/nonexistent/rc"))


@pytest.fixture
def conf() -> Config:
    return make()


# --- the table, against the documented defaults of Theano 1.0 ------------------------------------

THEANO_DEFAULTS: dict[str, Any] = {
    "floatX": "float64",
    "cast_policy": "custom",
    "int_division": "int",
    "warn_float64": "ignore",
    "mode": "Mode",
    "linker": "cvm",
    "optimizer": "o4",
    "optimizer_including": "",
    "on_opt_error": "warn",
    "on_unused_input": "raise",
    "allow_gc": True,
    "optdb.max_use_ratio": 8.0,
    "optdb.position_cutoff": float("inf"),
    "vm.lazy": None,
    "exception_verbosity": "low",
    "traceback.limit": 8,
    "traceback.compile_limit": 0,
    "compute_test_value": "off",
    "numpy.seterr_divide": "None",
    "NanGuardMode.big_is_error": True,
    "DebugMode.patience": 10,
    "DebugMode.check_preallocated_output_ndim": 4,
    "profile": False,
    "profiling.n_apply": 20,
    "profiling.output_line_width": 512,
    "profiling.destination": "stderr",
    "unpickle_function": True,
    "scan.allow_output_prealloc": True,
    "unittests.rseed": 666,
    "warn.ignore_bug_before": "0.9",
    "warn.round": False,
    "openmp_elemwise_minsize": 200000,
    "cmodule.age_thresh_use": 24 * 24 * 3600,
    "device": "cpu",
}


@pytest.mark.parametrize("name", THEANO_DEFAULTS)
def test_default_is_theanos(conf: Config, name: str) -> None:
    node: Any = conf
    for part in name.split("."):
        node = getattr(node, part)
    assert node == THEANO_DEFAULTS[name]
    assert type(node) is type(THEANO_DEFAULTS[name])
    assert conf.origin(name) == "default"


def test_own_defaults(conf: Config) -> None:
    assert (conf.cc, conf.cflags, conf.target, conf.cache_dir) == ("", "", "native", "")
    assert conf.numpy.seterr_all == "None"  # importing changes no setting of the program
    assert (conf.cache_limit, conf.compile_timeout, conf.num_threads) == (1 << 30, 120.0, 0)


def test_names_are_unique_and_documented() -> None:
    names = [option.name for option in OPTIONS]
    assert len(set(names)) == len(names)
    for option in OPTIONS:
        assert option.doc.endswith("."), option.name
        assert ("no effect" in option.doc) == option.ignored, option.name
        # A default is a value one may write; what is written is stored unchanged.
        assert option.parse(option.default, "test") == option.default, option.name
        assert option.parse(str(option.default), "test") == option.default, option.name


# --- sources --------------------------------------------------------------------------------------


def test_order_of_sources(tmp_path: Path) -> None:
    rc = tmp_path / "rc"
    rc.write_text("[global]\nnum_threads = 3\nfloatX = float32\ncc = from-file\nlinker = py\n")
    conf = make(
        {
            "JITGRAPH_NUM_THREADS": "5",
            "JITGRAPH_CC": "from-variable",
            "JITGRAPH_FLAGS": "num_threads=7,floatX=float16",
        },
        rc,
    )
    assert (conf.num_threads, conf.floatX, conf.cc, conf.linker, conf.optimizer) == (
        7,
        "float16",
        "from-variable",
        "py",
        "o4",
    )
    assert conf.origin("num_threads") == "environment variable JITGRAPH_FLAGS"
    assert conf.origin("cc") == "environment variable JITGRAPH_CC"
    assert conf.origin("linker") == str(rc)
    conf.num_threads = 2
    assert (conf.num_threads, conf.origin("num_threads")) == (2, "assignment")


def test_flags_right_wins_and_blanks_are_free(conf: Config) -> None:
    conf = make({"JITGRAPH_FLAGS": " floatX=float16 , scan.debug = True,, floatX = float32,"})
    assert conf.floatX == "float32"
    assert conf.scan.debug is True


def test_value_may_hold_an_equals_sign() -> None:
    assert make({"JITGRAPH_FLAGS": "cflags=-DN=3"}).cflags == "-DN=3"


def test_empty_variables_are_unset() -> None:
    conf = make({"JITGRAPH_FLAGS": "", "JITGRAPH_NUM_THREADS": "", "JITGRAPH_CC": ""})
    assert (conf.num_threads, conf.cc) == (0, "")


def test_rc_files_right_wins_and_missing_ones_pass(tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    first.write_text("[global]\nfloatX = float16\nmode = FAST_RUN\n[scan]\ndebug = True\n")
    second.write_text("# a comment\n[global]\nfloatX = float32\n[NanGuardMode]\naction = warn\n")
    paths = os.pathsep.join([str(first), str(tmp_path / "missing"), str(second)])
    conf = make({"JITGRAPHRC": paths})
    assert (conf.floatX, conf.mode) == ("float32", "FAST_RUN")
    assert (conf.scan.debug, conf.NanGuardMode.action) == (True, "warn")


def test_default_rc_is_in_the_home_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".jitgraphrc").write_text("[global]\nfloatX = float32\n")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert Config(OPTIONS, {}).floatX == "float32"
    assert Config(OPTIONS, {"JITGRAPHRC": ""}).floatX == "float64"


# --- refusals -------------------------------------------------------------------------------------


def test_bad_value_on_assignment(conf: Config) -> None:
    with pytest.raises(ValueError) as error:
        conf.floatX = "float128"
    assert str(error.value) == (
        'Invalid value ("float128") for configuration variable "floatX". '
        "Valid options are ('float64', 'float32', 'float16')"
    )
    assert conf.floatX == "float64"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("allow_gc", "yes"),
        ("allow_gc", None),
        ("num_threads", -1),
        ("num_threads", 2.5),
        ("num_threads", True),
        ("num_threads", "two"),
        ("compile_timeout", 0),
        ("compile_timeout", "nan"),
        ("cc", 3),
        ("mode", "FASTRUN"),
        ("mode", None),
    ],
)
def test_bad_values(conf: Config, name: str, value: object) -> None:
    before = getattr(conf, name)
    with pytest.raises(ValueError, match=rf'Invalid value .* "{name}"\. Valid options are'):
        setattr(conf, name, value)
    assert getattr(conf, name) == before


@pytest.mark.parametrize(
    ("environ", "message"),
    [
        (
            {"JITGRAPH_FLAGS": "floatX=float128"},
            'Invalid value ("float128") for configuration variable "floatX". Valid options are '
            "('float64', 'float32', 'float16') (from environment variable JITGRAPH_FLAGS)",
        ),
        (
            {"JITGRAPH_FLAGS": "floatx=float32"},
            'Unknown configuration variable "floatx" (from environment variable JITGRAPH_FLAGS). '
            'Did you mean "floatX"?',
        ),
        (
            {"JITGRAPH_FLAGS": "profile"},
            'Configuration variable "profile" has no value (from environment variable '
            "JITGRAPH_FLAGS). Write name=value, separated by commas",
        ),
        (
            {"JITGRAPH_NUM_THREADS": "many"},
            'Invalid value ("many") for configuration variable "num_threads". Valid options are '
            "integers >= 0 and <= 256 (from environment variable JITGRAPH_NUM_THREADS)",
        ),
        (
            {"JITGRAPH_FLAGS": "device=cuda0"},
            'Invalid value ("cuda0") for configuration variable "device". Valid options are '
            "('cpu',): jitgraph computes on the CPU only "
            "(from environment variable JITGRAPH_FLAGS)",
        ),
        (
            {"JITGRAPH_FLAGS": "gpuarray.preallocate=0.9"},
            'Unknown configuration variable "gpuarray.preallocate" (from environment variable '
            "JITGRAPH_FLAGS). It belongs to the GPU back end of Theano; jitgraph computes on the "
            "CPU only.",
        ),
    ],
)
def test_bad_environment(environ: dict[str, str], message: str) -> None:
    with pytest.raises(ValueError) as error:
        make(environ)
    assert str(error.value) == message


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("[global]\nfloatX = float128\n", 'Invalid value ("float128")'),
        ("[global]\nfloatY = float32\n", 'Unknown configuration variable "floatY"'),
        ("[scans]\ndebug = True\n", 'Unknown configuration variable "scans.debug"'),
        ("[DEFAULT]\nfloatX = float32\n", 'Unknown configuration variable "DEFAULT.floatX"'),
        ("floatX = float32\n", "Cannot read the configuration file"),
        ("[global]\nnonsense\n", "Cannot read the configuration file"),
    ],
)
def test_bad_file_is_named(tmp_path: Path, text: str, part: str) -> None:
    rc = tmp_path / "rc"
    rc.write_text(text)
    with pytest.raises(ValueError) as error:
        make(rc=rc)
    assert part in str(error.value)
    assert str(rc) in str(error.value)


def test_bad_environment_surfaces_at_import() -> None:
    code = "import jitgraph.config"
    environ = os.environ | {"JITGRAPH_FLAGS": "floatX=float33"}
    run = subprocess.run(
        [sys.executable, "-c", code], env=environ, capture_output=True, text=True, check=False
    )
    assert run.returncode == 1
    assert run.stderr.splitlines()[-1].startswith('ValueError: Invalid value ("float33")')


def test_unknown_attribute(conf: Config) -> None:
    with pytest.raises(AttributeError, match=r'"floatY".* Did you mean "floatX"'):
        _ = conf.floatY
    with pytest.raises(AttributeError, match=r'"scan\.debugg".* Did you mean "scan\.debug"'):
        conf.scan.debugg = True
    with pytest.raises(AttributeError, match='"scan" is a section'):
        conf.scan = 1
    with pytest.raises(AttributeError, match="cannot be deleted"):
        del conf.floatX
    assert not hasattr(conf, "zzz")


def test_read_only_after_import(conf: Config) -> None:
    words = r"Can't change the value of this config parameter after initialization!"
    for name in ("optimizer_including", "device"):
        with pytest.raises(Exception, match=words):
            setattr(conf, name, getattr(conf, name))
        with pytest.raises(Exception, match=words):
            conf.change_flags(**{name: getattr(conf, name)})
    flags = {"JITGRAPH_FLAGS": "optimizer_including=local_ultra_fast_sigmoid,device=cpu"}
    assert make(flags).optimizer_including == "local_ultra_fast_sigmoid"


def test_accepted_spellings(conf: Config) -> None:
    for text in ("True", "true", "1", 1, True):
        conf.allow_gc = False
        conf.allow_gc = text
        assert conf.allow_gc is True
    conf.vm.lazy = "None"
    assert conf.vm.lazy is None
    conf.unittests.rseed = "random"
    assert conf.unittests.rseed == "random"
    conf.cache_dir = Path("some") / "where"
    assert conf.cache_dir == os.path.join("some", "where")


# --- change_flags ---------------------------------------------------------------------------------


def test_change_flags_restores(conf: Config) -> None:
    with conf.change_flags(floatX="float32", **{"scan.debug": True}):
        assert (conf.floatX, conf.scan.debug) == ("float32", True)
        with conf.change_flags(floatX="float16"):
            assert conf.floatX == "float16"
        assert conf.floatX == "float32"
    assert (conf.floatX, conf.scan.debug) == ("float64", False)
    assert conf.origin("floatX") == "default"


def test_change_flags_restores_after_an_error(conf: Config) -> None:
    with pytest.raises(KeyError), conf.change_flags(floatX="float32"):
        raise KeyError
    assert conf.floatX == "float64"


def test_change_flags_is_all_or_nothing(conf: Config) -> None:
    with pytest.raises(ValueError):
        conf.change_flags(floatX="float32", allow_gc="maybe")
    with pytest.raises(AttributeError):
        conf.change_flags(floatX="float32", floatY="float32")
    assert conf.floatX == "float64"


def test_change_flags_as_a_recursive_decorator() -> None:
    before = process_config.floatX
    seen = []

    @change_flags(floatX="float16")
    def visit(depth: int) -> int:
        """Documented."""
        seen.append(process_config.floatX)
        return depth if depth == 0 else visit(depth - 1)

    assert visit(2) == 0
    assert seen == ["float16"] * 3
    assert process_config.floatX == before
    assert (visit.__name__, visit.__doc__) == ("visit", "Documented.")


def test_watchers_see_each_change(conf: Config) -> None:
    seen: list[int] = []
    conf.watch("num_threads", seen.append)
    conf.num_threads = 3
    with conf.change_flags(num_threads=4):
        pass
    with pytest.raises(ValueError):
        conf.num_threads = -1
    assert seen == [3, 4, 3]


# --- printing, protocols, cost --------------------------------------------------------------------


def test_print_lists_every_option(conf: Config) -> None:
    text = str(conf)
    for option in OPTIONS:
        assert f"{option.name} = {option.default!r}    [default]\n    {option.doc}\n" in text
    assert str(conf.scan).count("[default]") == 3


def test_deepcopy_probes_do_not_recurse(conf: Config) -> None:
    clone = copy.deepcopy(conf)
    clone.floatX = "float32"
    assert (clone.floatX, conf.floatX) == ("float32", "float64")


def test_import_takes_no_heavy_module() -> None:
    code = "import sys, jitgraph.config; print(*sorted(sys.modules))"
    # jitgraph/__init__.py imports the whole package, so the module is loaded beside it.
    src = Path(sys.modules["jitgraph.config"].__file__ or "").parent
    code = (
        "import sys, types; p = types.ModuleType('jitgraph'); p.__path__ = [sys.argv[1]];"
        "sys.modules['jitgraph'] = p;" + code
    )
    run = subprocess.run(
        [sys.executable, "-I", "-S", "-c", code, str(src)],
        capture_output=True,
        text=True,
        check=True,
    )
    loaded = set(run.stdout.split())
    assert "jitgraph.options" in loaded
    assert not loaded & {"numpy", "setuptools", "configparser", "difflib", "typing", "re"}


def test_reading_is_an_attribute_lookup(conf: Config) -> None:
    # Values sit in the instance dict and nothing intercepts the lookup of one that exists.
    for section, name in ((conf, "floatX"), (conf.scan, "debug")):
        assert vars(section)[name] == getattr(section, name)
        assert type(section).__getattribute__ is object.__getattribute__
        assert not hasattr(type(section), name)
