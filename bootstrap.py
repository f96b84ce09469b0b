#!/usr/bin/env python3
"""Set jitgraph up in .venv and run it: nothing is needed but Python 3.11 or later with pip.

    python3 bootstrap.py demo     install, compile and measure sigmoid, train a model
    python3 bootstrap.py test     install with the test tools, run the tests
    python3 bootstrap.py check    install with the developer's tools, run ruff and mypy

What follows `test` goes to pytest. The environment is made once and brought up to date when
pyproject.toml changes. No C compiler is needed: one comes from the package index.
"""

# Only the standard library, and no syntax newer than 3.7, so that an old Python can say so.
from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import shlex
import subprocess
import sys
import time

ROOT = os.path.dirname(os.path.abspath(__file__))
VENV = os.path.join(ROOT, ".venv")
PYTHON = os.path.join(VENV, "bin", "python")
STAMP = os.path.join(VENV, "jitgraph-installed.json")
OLDEST = (3, 11)

EXTRAS = {
    "demo": ["cc", "plot", "examples"],
    "test": ["cc", "test"],
    "check": ["cc", "test", "dev"],
}


def commands(job: str, arguments: list[str]) -> list[list[str]]:
    """The command lines of a job."""
    if job == "demo":
        return [
            [PYTHON, "-m", "jitgraph", "bench", "sigmoid"],
            [PYTHON, os.path.join("examples", "logistic_regression.py")],
        ]
    if job == "test":
        return [[PYTHON, "-m", "pytest", *(arguments or ["-q", "-n", "auto"])]]
    return [
        [PYTHON, "-m", "ruff", "check", "."],
        [PYTHON, "-m", "ruff", "format", "--check", "."],
        [PYTHON, "-m", "mypy"],
    ]


def main() -> int:
    job, arguments = (sys.argv[1] if len(sys.argv) > 1 else "help"), sys.argv[2:]
    if job not in EXTRAS or (arguments and job != "test"):
        print(__doc__.strip())
        return 0 if job in ("help", "-h", "--help") else 2
    if sys.version_info < OLDEST:
        return fail(
            f"jitgraph needs Python {OLDEST[0]}.{OLDEST[1]} or later; this is "
            f"{sys.version.split()[0]} ({sys.executable}).\n"
            "Run bootstrap.py with a later one, such as python3.12."
        )
    try:
        prepare(EXTRAS[job])
    except subprocess.CalledProcessError as error:
        return fail(f"This failed with status {error.returncode}: {show(error.cmd)}")
    failed = 0
    for command in commands(job, arguments):
        say(show(command))
        status = subprocess.call(command, cwd=ROOT, env=environment())
        failed = failed or status
    return 1 if failed < 0 else failed  # below 0: ended by a signal


def prepare(extras: list[str]) -> None:
    """Make .venv and install jitgraph there with the extras, unless that has been done."""
    wanted = set(extras)
    if works(PYTHON):
        installed = read_stamp()
        if wanted <= installed:
            say(f"{relative(VENV)} is up to date")
            return
        wanted |= installed
    else:
        make_venv()
    target = ".[{}]".format(",".join(sorted(wanted)))
    say("installing jitgraph with its extras {}".format(", ".join(sorted(wanted))))
    started = time.time()
    run([*pip(), "install", "--quiet", "--editable", target])
    with open(STAMP, "w", encoding="utf-8") as file:
        json.dump({"digest": digest(), "extras": sorted(wanted)}, file)
    say(f"installed in {time.time() - started:.0f} s")


def make_venv() -> None:
    """Create .venv, with pip in it where Python brings one along."""
    say(f"creating {relative(VENV)} with {sys.executable}")
    if importlib.util.find_spec("ensurepip") is not None:
        run([sys.executable, "-m", "venv", "--clear", VENV])
    elif importlib.util.find_spec("pip") is not None:
        say("this Python has no ensurepip: its own pip will install into .venv")
        run([sys.executable, "-m", "venv", "--clear", "--without-pip", VENV])
    else:
        sys.exit(
            fail(
                f"This Python ({sys.executable}) has neither ensurepip nor pip, so nothing can be\n"
                "installed. Debian, Ubuntu: apt install python3-venv. Elsewhere: a Python from "
                "python.org or conda has both."
            )
        )


def pip() -> list[str]:
    """The command of a pip that installs into .venv: the one in it, else the one outside."""
    if works(PYTHON, "import pip"):
        return [PYTHON, "-m", "pip"]
    return [sys.executable, "-m", "pip", "--python", PYTHON]


def read_stamp() -> set[str]:
    """The extras installed for the present state of the project's files; empty if none are."""
    try:
        with open(STAMP, encoding="utf-8") as file:
            stamp = json.load(file)
        return set(stamp["extras"]) if stamp["digest"] == digest() else set()
    except (OSError, ValueError, KeyError):
        return set()


def digest() -> str:
    """What an installation depends on: the declared packages and the place of the checkout."""
    state = hashlib.sha256(ROOT.encode("utf-8", "surrogateescape"))
    for name in ("pyproject.toml", "setup.py"):
        with open(os.path.join(ROOT, name), "rb") as file:
            state.update(file.read())
    return state.hexdigest()


def works(python: str, code: str = "pass") -> bool:
    """Whether this interpreter exists and runs the code."""
    try:
        return subprocess.call([python, "-c", code], stderr=subprocess.DEVNULL) == 0
    except OSError:
        return False


def environment() -> dict[str, str]:
    """The environment of the commands: as if .venv were active, and no other was."""
    env = dict(os.environ)
    env.pop("PYTHONHOME", None)
    env.pop("PYTHONPATH", None)
    env["VIRTUAL_ENV"] = VENV
    env["PATH"] = os.path.dirname(PYTHON) + os.pathsep + env.get("PATH", os.defpath)
    return env


def run(command: list[str]) -> None:
    say(show(command))
    subprocess.check_call(command, cwd=ROOT, env=environment())


def show(command: list[str]) -> str:
    return " ".join(shlex.quote(relative(word)) for word in command)


def relative(path: str) -> str:
    return os.path.relpath(path, ROOT) if path.startswith(ROOT + os.sep) else path


def say(text: str) -> None:
    print("bootstrap: " + text, flush=True)


def fail(text: str) -> int:
    print("bootstrap: " + text, file=sys.stderr, flush=True)
    return 1


if __name__ == "__main__":
    sys.exit(main())
