"""`jitgraph cache`: the cache of compiled code in words."""

from __future__ import annotations

from typing import Any, NamedTuple

from jitgraph.inspect import CommandError
from jitgraph.runtime import cache


class Outcome(NamedTuple):
    """What a command found: data for programs, text for people, and whether all is well."""

    facts: dict[str, Any]
    text: str
    good: bool = True


def size_text(size: float) -> str:
    """A number of bytes in words: 1,536 is '1.5 KiB'."""
    if size < 1024:
        return f"{size:.0f} bytes"
    for unit in ("KiB", "MiB", "GiB"):
        size /= 1024
        if size < 1024:
            return f"{size:.1f} {unit}"
    return f"{size / 1024:.1f} TiB"


def info() -> Outcome:
    """Where the cache is, its state and its size."""
    facts = cache.cache_info()
    entries = f"{facts['entries']:,} ({size_text(facts['bytes'])} of {size_text(facts['limit'])})"
    lines = [
        f"directory  {facts['directory']}",
        f"status     {facts['status']}",
        f"entries    {entries}",
    ]
    for key, words in (("kept_damaged", "damaged entries"), ("kept_failed", "refused C files")):
        if facts[key]:
            lines.append(f"kept       {facts[key]} {words}, to be looked at")
    good = facts["status"] in ("ok", "not created yet")
    return Outcome(facts, "\n".join(lines), good)


def clear() -> Outcome:
    """Remove every entry."""
    try:
        facts = cache.cache_clear()
    except OSError as error:
        raise _unusable(error) from None
    text = f"removed {_entries(facts['removed'])} ({size_text(facts['bytes'])})"
    return Outcome(facts, f"{text} from {facts['directory']}")


def verify() -> Outcome:
    """Check every entry; damaged ones are set aside and will be compiled again."""
    try:
        results = cache.cache_verify()
    except OSError as error:
        raise _unusable(error) from None
    damaged = [r for r in results if r["problem"]]
    lines = [f"damaged  {r['key']}  {r['problem']}" for r in damaged]
    lines.append(f"{_entries(len(results))} checked, {len(damaged)} damaged")
    if damaged:
        lines[-1] += "; damaged ones were set aside and will be compiled again"
    facts = {
        "directory": cache.default_directory(),
        "checked": len(results),
        "damaged": len(damaged),
        "entries": results,
    }
    return Outcome(facts, "\n".join(lines), not damaged)


def _entries(number: int) -> str:
    return "1 entry" if number == 1 else f"{number:,} entries"


def _unusable(error: OSError) -> CommandError:
    return CommandError(
        f"the cache {cache.default_directory()} cannot be used: {error.strerror or error}. "
        "JITGRAPH_CACHE_DIR names another directory",
        status=1,
    )
