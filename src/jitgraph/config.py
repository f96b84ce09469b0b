"""Configuration: one tree of options, ``config``, read as plain attributes.

The options are declared in :mod:`jitgraph.options`. One with a dot in its name lives in a section:
``config.scan.debug``. The value of an option is that of the strongest source that names it, from
weak to strong:

1. its default;
2. the files listed in ``JITGRAPHRC`` (separated by ``:``, the right one wins; default
   ``~/.jitgraphrc``; a file that does not exist is passed over). INI format: ``name = value`` in
   ``[global]``, and in ``[section]`` for the option ``section.name``;
3. the option's own environment variable where it has one, such as ``JITGRAPH_NUM_THREADS``;
4. the environment variable ``JITGRAPH_FLAGS``: ``name=value,name=value``, the right one wins. A
   comma always separates, so a value cannot hold one: use a file or ``JITGRAPH_CFLAGS``;
5. assignment at run time: ``config.floatX = "float32"``.

Sources 2 to 4 are read when this module is imported. An unknown name or a bad value in them raises
``ValueError`` there, hence at ``import jitgraph``: a misspelt flag must not pass unnoticed. The
command ``jitgraph`` prints it as one line and exits with status 2.
"""

# This module is imported before everything else, often by programs that only want one flag.
# It therefore imports nothing that is not needed in every process (configparser, difflib and
# functools are imported where they are used).
from __future__ import annotations

import os
import sys

from jitgraph.options import AT_RUN_TIME, GPU_NAMES, OPTIONS, Option

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from typing import Any

__all__ = ["Config", "Option", "Section", "change_flags", "config"]


# --- the tree ------------------------------------------------------------------------------------


class Section:
    """A node of the tree. Values are plain instance attributes, so a read is one dict lookup;
    only writes and misses come through the methods of this class."""

    def __init__(self, root: Config | None, prefix: str) -> None:
        self.__dict__["_root"] = self if root is None else root
        self.__dict__["_prefix"] = prefix

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):  # protocols that probe for methods (copy, pickle, IPython)
            raise AttributeError(name)
        full = self._prefix + name
        raise AttributeError(f'Unknown configuration variable "{full}".{self._root._hint(full)}')

    def __setattr__(self, name: str, value: Any) -> None:
        self._root._assign(self._prefix + name, value)

    def __delattr__(self, name: str) -> None:
        raise AttributeError(f'Configuration variable "{self._prefix}{name}" cannot be deleted')

    def __str__(self) -> str:
        return "\n".join(
            self._root._describe(option)
            for option in self._root.options()
            if option.name.startswith(self._prefix)
        )

    __repr__ = __str__


class Config(Section):
    """The root of the tree of options, filled from the files and the environment given."""

    def __init__(
        self,
        declared: Iterable[Option],
        environ: Mapping[str, str],
        home_file: str = "~/.jitgraphrc",
    ) -> None:
        super().__init__(None, "")
        state = self.__dict__
        state["_options"] = {option.name: option for option in declared}
        state["_places"] = {option.name: self._place(option.name) for option in declared}
        state["_origins"] = {}
        state["_watchers"] = {}
        for option in declared:
            self._store(option, option.default, "default")
        for name, text, source in _settings(declared, environ, home_file):
            option_named = self._options.get(name)
            if option_named is None:
                raise ValueError(
                    f'Unknown configuration variable "{name}" (from {source}).{self._hint(name)}'
                )
            self._store(option_named, option_named.parse(text, source), source)

    def options(self) -> Iterator[Option]:
        """The declarations, in the order of the table."""
        return iter(self._options.values())

    def origin(self, name: str) -> str:
        """Where the value of ``name`` comes from: ``default``, a file, a variable, ``assignment``.

        Raises AttributeError for an unknown name.
        """
        return str(self._origins[self._known(name).name])

    def change_flags(self, **flags: Any) -> change_flags:
        """Context manager and decorator that sets options for a while: see `change_flags`."""
        return change_flags(_config=self, **flags)

    def watch(self, name: str, callback: Callable[[Any], None]) -> None:
        """Call ``callback(value)`` after each assignment to ``name`` at run time."""
        self._watchers.setdefault(self._known(name).name, []).append(callback)

    def _known(self, name: str) -> Option:
        option = self._options.get(name)
        if isinstance(option, Option):
            return option
        if any(known.startswith(name + ".") for known in self._options):
            raise AttributeError(f'"{name}" is a section of the configuration, not a variable')
        raise AttributeError(f'Unknown configuration variable "{name}".{self._hint(name)}')

    def _place(self, name: str) -> tuple[Section, str]:
        """Make the sections of ``name``; return the innermost one and the name within it."""
        node: Section = self
        *path, leaf = name.split(".")
        for i, part in enumerate(path, 1):
            if part not in node.__dict__:
                node.__dict__[part] = Section(self, ".".join(path[:i]) + ".")
            node = node.__dict__[part]
        return node, leaf

    def _store(self, option: Option, value: Any, source: str) -> None:
        section, leaf = self._places[option.name]
        section.__dict__[leaf] = value
        self._origins[option.name] = source

    def _value(self, name: str) -> Any:
        section, leaf = self._places[name]
        return section.__dict__[leaf]

    def _writable(self, name: str) -> Option:
        option = self._known(name)
        if option.read_only:
            # Theano's class and words: old programs match on them.
            raise Exception("Can't change the value of this config parameter after initialization!")
        return option

    def _assign(self, name: str, value: Any) -> None:
        option = self._writable(name)
        self._set(option, option.parse(value, AT_RUN_TIME), AT_RUN_TIME)

    def _set(self, option: Option, value: Any, source: str) -> None:
        self._store(option, value, source)
        for callback in self._watchers.get(option.name, ()):
            callback(value)

    def _hint(self, name: str) -> str:
        if name.split(".")[0] in GPU_NAMES:
            return " It belongs to the GPU back end of Theano; jitgraph computes on the CPU only."
        from difflib import get_close_matches

        close = get_close_matches(name, self._options, n=1)
        return f' Did you mean "{close[0]}"?' if close else ""

    def _describe(self, option: Option) -> str:
        lock = ", set before import only" if option.read_only else ""
        return (
            f"{option.name} = {self._value(option.name)!r}    [{self._origins[option.name]}]\n"
            f"    {option.doc}\n"
            f"    Valid: {option.valid}{lock}"
        )


class change_flags:
    """Set options for the time of a ``with`` block or of a call of the decorated function.

    ``with change_flags(floatX="float32"): ...``; a name with a dot goes through a dict:
    ``change_flags(**{"scan.debug": True})``. All names and values are checked when the object is
    made (AttributeError, ValueError), so a bad one changes nothing. The options are those of the
    process, not of the thread.
    """

    def __init__(self, _config: Config | None = None, **flags: Any) -> None:
        self._target = config if _config is None else _config
        self._new: list[tuple[Option, Any]] = []
        for name, value in flags.items():
            option = self._target._writable(name)
            self._new.append((option, option.parse(value, AT_RUN_TIME)))
        # A stack: one decorator object may be entered again before it was left (recursion).
        self._saved: list[list[tuple[Option, Any, str]]] = []

    def __enter__(self) -> None:
        target = self._target
        self._saved.append(
            [
                (option, target._value(option.name), target.origin(option.name))
                for option, _ in self._new
            ]
        )
        for option, value in self._new:
            target._set(option, value, AT_RUN_TIME)

    def __exit__(self, *exc_info: object) -> None:
        for option, value, source in self._saved.pop():
            self._target._set(option, value, source)

    def __call__(self, function: Callable[..., Any]) -> Callable[..., Any]:
        from functools import wraps

        @wraps(function)
        def wrapper(*args: Any, **kwargs: Any) -> Any:
            with self:
                return function(*args, **kwargs)

        return wrapper


# --- sources -------------------------------------------------------------------------------------


def _settings(
    declared: Iterable[Option], environ: Mapping[str, str], home_file: str
) -> Iterator[tuple[str, str, str]]:
    """Yield (name, text, source) of every setting outside the program, weakest first."""
    for path in environ.get("JITGRAPHRC", home_file).split(os.pathsep):
        if path.strip():
            yield from _file_settings(os.path.expanduser(path.strip()))
    for option in declared:
        # An empty variable is an unset one: that is how shells clear them.
        if option.env and environ.get(option.env):
            yield option.name, environ[option.env], f"environment variable {option.env}"
    source = "environment variable JITGRAPH_FLAGS"
    for pair in environ.get("JITGRAPH_FLAGS", "").split(","):
        if not pair.strip():
            continue
        name, equals, text = pair.partition("=")
        if not equals:
            raise ValueError(
                f'Configuration variable "{pair.strip()}" has no value (from {source}). '
                "Write name=value, separated by commas"
            )
        yield name.strip(), text.strip(), source


def _file_settings(path: str) -> Iterator[tuple[str, str, str]]:
    if not os.path.exists(path):
        return
    from configparser import ConfigParser, Error

    # No section is special: keys of [DEFAULT] would otherwise appear in every other section.
    parser = ConfigParser(interpolation=None, default_section="")
    parser.optionxform = str  # type: ignore[assignment, method-assign]  # names keep their case
    try:
        with open(path, encoding="utf-8") as file:
            parser.read_file(file)
    except (OSError, UnicodeDecodeError, Error) as error:
        raise ValueError(f"Cannot read the configuration file {path}: {error}") from error
    for section in parser.sections():
        prefix = "" if section == "global" else section + "."
        for name, text in parser.items(section):
            yield prefix + name, text.strip(), path


def _of_this_process() -> Config:
    """The configuration that files and environment ask for.

    Raises ValueError if they are wrong, SystemExit(2) with one line on stderr if this process is
    the command `jitgraph`, whose own code cannot run before the package is imported.
    """
    try:
        return Config(OPTIONS, os.environ)
    except ValueError as error:
        if not _is_command():
            raise
        text = "".join(c if c.isprintable() else "?" for c in str(error))
        sys.stderr.write(f"jitgraph: {text}\n")
        raise SystemExit(2) from None


def _is_command() -> bool:
    """Whether this process was started as `jitgraph` or `python -m jitgraph`."""
    program = sys.argv[0] if sys.argv else ""
    if program == "-m":
        words = iter(sys.orig_argv)
        return "-m" in words and next(words, "") == "jitgraph"
    return os.path.basename(program) in ("jitgraph", "jitgraph.exe", "jitgraph-script.py")


config = _of_this_process()
