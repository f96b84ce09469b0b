"""Finding the compiled function that `jitgraph inspect` was asked for."""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import os
import sys
import traceback
from pathlib import Path
from types import ModuleType
from typing import Any

from jitgraph.callable import Function
from jitgraph.inspect import CommandError


def find_function(target: str) -> Function:
    """The function that `target` names: `MODULE_OR_FILE:NAME`, NAME possibly dotted.

    NAME is a compiled function, or a callable without arguments that returns one. Raises
    CommandError with what was found instead, and the compiled functions there are.
    """
    place, colon, name = target.rpartition(":")
    if not colon:
        place, name = target, ""
    if not place:
        raise CommandError(f"{target!r} is not of the form MODULE_OR_FILE:FUNCTION")
    module = _run_file(place) if _is_file_name(place) else _import(place)
    if not name:
        raise CommandError(f"which function of {place}? {_known(module, place)}")
    found: Any = module
    for part in name.split("."):
        try:
            found = getattr(found, part)
        except AttributeError:
            raise CommandError(f"{place} has no {name!r}. {_known(module, place)}") from None
    if isinstance(found, Function):
        return found
    return _made_by(found, place, name, module)


def _is_file_name(place: str) -> bool:
    return place.endswith(".py") or os.sep in place or os.path.isfile(place)


def _run_file(place: str) -> ModuleType:
    path = Path(place)
    if not path.is_file():
        what = "is a directory" if path.is_dir() else "does not exist"
        raise CommandError(f"the file {place} {what}")
    spec = importlib.util.spec_from_file_location(path.stem, path.resolve())
    if spec is None or spec.loader is None:
        raise CommandError(f"{place} is not a Python file (its name must end in .py)")
    module = importlib.util.module_from_spec(spec)
    sys.path.insert(0, str(path.resolve().parent))
    shadowed = sys.modules.get(path.stem)
    sys.modules[path.stem] = module
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        raise _failed(f"running {place}", error) from None
    finally:
        # A file called numpy.py must not replace what everything else has imported.
        if shadowed is not None:
            sys.modules[path.stem] = shadowed
    return module


def _import(place: str) -> ModuleType:
    if not all(part.isidentifier() for part in place.split(".")):
        raise CommandError(f"{place!r} is neither a file nor the name of a module")
    sys.path.insert(0, os.getcwd())
    try:
        return importlib.import_module(place)
    except ModuleNotFoundError as error:
        if error.name and (place == error.name or place.startswith(error.name + ".")):
            raise CommandError(f"there is no file and no module called {place}") from None
        raise _failed(f"importing {place}", error) from None
    except (Exception, SystemExit) as error:
        raise _failed(f"importing {place}", error) from None


def _made_by(found: Any, place: str, name: str, module: ModuleType) -> Function:
    if not callable(found):
        raise CommandError(
            f"{name} in {place} is of type {type(found).__name__}, not a compiled function. "
            f"{_known(module, place)}"
        )
    if _needs_arguments(found):
        raise CommandError(
            f"{name} in {place} is not a compiled function, and it cannot be called to make one "
            f"because it needs arguments. {_known(module, place)}"
        )
    try:
        made = found()
    except (Exception, SystemExit) as error:
        raise _failed(f"calling {name}()", error) from None
    if not isinstance(made, Function):
        raise CommandError(
            f"{name}() in {place} returned an object of type {type(made).__name__}, not a compiled "
            "function"
        )
    return made


def _needs_arguments(function: Any) -> bool:
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return False
    return any(
        p.default is p.empty and p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD) for p in parameters
    )


def _known(module: ModuleType, place: str) -> str:
    names = [n for n, value in vars(module).items() if isinstance(value, Function)]
    if names:
        return f"Compiled functions there: {', '.join(sorted(names))}"
    return f"There are no compiled functions among the names of {place}"


def _failed(what: str, error: BaseException) -> CommandError:
    """The error of the user's program with its own last line, without our frames."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [f for f in frames if not f.filename.startswith((str(Path(__file__).parents[1]), "<"))]
    where = f"   ({own[-1].filename}:{own[-1].lineno})" if own else ""
    if isinstance(error, SyntaxError) and error.filename:
        where = f"   ({error.filename}:{error.lineno})"
        error = SyntaxError(error.msg)
    text = f"{type(error).__name__}: {error}".rstrip(": ")
    return CommandError(f"{what} failed: {text}{where}", status=1)
