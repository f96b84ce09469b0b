"""Write the tables of docs/*.md that come from declarations in the source.

    python docs/generate.py

Each table stands between `<!-- table: NAME -->` and `<!-- end of table -->`. tests/test_docs.py
fails when one is out of date.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from pathlib import Path

DOCS = Path(__file__).resolve().parent
SOURCE = DOCS.parent / "src" / "jitgraph"
_MARKED = re.compile(r"(<!-- table: ([\w-]+) -->\n).*?(<!-- end of table -->)", re.DOTALL)


def table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """A Markdown table; bars in the cells are escaped."""
    lines = [list(head), *map(list, rows)]
    texts = ["| " + " | ".join(c.replace("|", "\\|") for c in line) + " |" for line in lines]
    texts.insert(1, "|" + " --- |" * len(lines[0]))
    return "\n".join(texts) + "\n"


def code(text: str) -> str:
    return f"`{text}`" if text else ""


# --- configuration -------------------------------------------------------------------------------


def _options(wanted: Callable[[object], bool]) -> str:
    from jitgraph.config import config

    rows = []
    for option in config.options():
        if not wanted(option):
            continue
        default = option.default
        shown = {float("inf"): "inf"}.get(default, str(default) if default != "" else "''")
        doc = option.doc.removesuffix("Accepted for Theano programs; has no effect here.").strip()
        when = "before import" if option.read_only else ""
        rows.append([code(option.name), code(shown), doc, code(option.env), when])
    return table(["option", "default", "meaning", "own variable", "set"], rows)


def _is_read(option: object) -> bool:
    """Whether any module takes notice of the option: as `config.NAME`, or by its name."""
    name = re.escape(option.name)  # type: ignore[attr-defined]
    return re.search(rf'config\.{name}\b|"{name}"', _source_text()) is not None


def _source_text() -> str:
    if not _TEXT:
        paths = sorted(SOURCE.rglob("*.py"))
        left_out = ("options.py", "config.py")
        _TEXT.append("\n".join(p.read_text("utf-8") for p in paths if p.name not in left_out))
    return _TEXT[0]


_TEXT: list[str] = []


def options() -> str:
    return _options(lambda o: not o.ignored and _is_read(o))  # type: ignore[attr-defined]


def options_ignored() -> str:
    return _options(lambda o: o.ignored)  # type: ignore[attr-defined]


# --- rules ---------------------------------------------------------------------------------------

GROUPS = {"stabilize", "fast_run", "fast_compile", "specialize", "crossentropy"}


def rules() -> str:
    from jitgraph.rewrite import special, stable

    rows = []
    for rule in [*stable.RULES, *special.OPT_IN]:
        tags = sorted(t for t in rule.tags - GROUPS if not t.endswith(","))
        modes = [m for m in ("fast_compile", "fast_run") if m in rule.tags]
        names = " ".join(map(code, tags))
        rows.append([code(rule.name), names, ", ".join(modes) or "on request only"])
    return table(["rule", "its tags", "active in"], rows)


def products() -> str:
    from jitgraph.rewrite import blas

    shared = frozenset.intersection(*(r.tags for r in blas.RULES))
    rows = [[code(r.name), " ".join(map(code, sorted(r.tags - shared)))] for r in blas.RULES]
    return table(["rule", "its tags"], rows)


TABLES: dict[str, Callable[[], str]] = {
    "options": options,
    "options-ignored": options_ignored,
    "rules": rules,
    "products": products,
}


def updated(text: str) -> str:
    """The text of a page with every marked table as it should be."""
    return _MARKED.sub(lambda m: m[1] + TABLES[m[2]]() + m[3], text)


def main() -> None:
    for path in sorted(DOCS.glob("*.md")):
        old = path.read_text("utf-8")
        new = updated(old)
        if new != old:
            path.write_text(new, "utf-8")
            print(f"{path.name}: written")


if __name__ == "__main__":
    main()
