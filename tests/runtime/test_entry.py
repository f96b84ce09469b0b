"""The entry format: what went in comes out, and no damaged byte is accepted."""

from __future__ import annotations

import ast
import hashlib
import json
import random
import struct
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jitgraph.runtime import entry
from jitgraph.runtime.entry import BadEntryError, Contents, decode, encode

KEY = hashlib.sha256(b"key").hexdigest()
CONTENTS = Contents(
    {"parts": {"graph": "00"}, "metadata": {"n": [1, 2.5, None]}}, "int x;\n", b"so"
)


def forge(data: bytes) -> bytes:
    """Return `data` with the digest that belongs to it."""
    return data[:-32] + hashlib.sha256(data[:-32]).digest()


@given(
    st.dictionaries(st.text(), st.integers() | st.text() | st.none()),
    st.text(st.characters(exclude_categories=())),
    st.binary(),
)
def test_round_trip(metadata: dict[str, object], source: str, binary: bytes) -> None:
    contents = Contents(metadata, source, binary)
    assert decode(KEY, encode(KEY, contents)) == contents


def test_layout_is_the_documented_one() -> None:
    data = encode(KEY, CONTENTS)
    assert data[:8] == b"\x89JG\r\n\x1a\n\x00"
    assert struct.unpack_from("<II", data, 8) == (entry.VERSION, 0)
    assert data[16:48].hex() == KEY
    sizes = struct.unpack_from("<QQQ", data, 48)
    assert json.loads(data[72 : 72 + sizes[0]]) == CONTENTS.metadata
    assert data[72 + sizes[0] :][: sizes[1]] == b"int x;\n"
    assert data[-34:-32] == b"so"
    assert data[-32:] == hashlib.sha256(data[:-32]).digest()


def test_every_truncation_is_detected(objects: Callable[[int], bytes]) -> None:
    data = encode(KEY, CONTENTS._replace(object_bytes=objects(1)))
    assert len(data) > 3000
    for length in range(len(data)):
        with pytest.raises(BadEntryError):
            decode(KEY, data[:length])


def test_every_bit_flip_is_detected(objects: Callable[[int], bytes]) -> None:
    data = encode(KEY, CONTENTS._replace(object_bytes=objects(1)))
    rng = random.Random(20)
    header = [(byte, bit) for byte in range(entry.HEADER_SIZE) for bit in range(8)]
    anywhere = [(rng.randrange(len(data)), rng.randrange(8)) for _ in range(500)]
    for byte, bit in header + anywhere:
        damaged = bytearray(data)
        damaged[byte] ^= 1 << bit
        with pytest.raises(BadEntryError):
            decode(KEY, bytes(damaged))


def test_the_digest_is_what_detects_a_flip() -> None:
    # The tester tested: without the digest, a flip in the object goes unnoticed.
    damaged = bytearray(encode(KEY, CONTENTS))
    damaged[-33] ^= 1
    assert decode(KEY, forge(bytes(damaged))).object_bytes == b"sn"


@pytest.mark.parametrize("extra", [b"\0", b"x" * 100])
def test_extra_bytes_are_detected(extra: bytes) -> None:
    with pytest.raises(BadEntryError, match="bytes, expected"):
        decode(KEY, encode(KEY, CONTENTS) + extra)


def test_an_entry_of_another_key_is_refused() -> None:
    other = hashlib.sha256(b"other").hexdigest()
    with pytest.raises(BadEntryError, match="another key"):
        decode(other, encode(KEY, CONTENTS))


def test_an_entry_of_another_version_is_refused() -> None:
    data = bytearray(encode(KEY, CONTENTS))
    data[8] += 1
    with pytest.raises(BadEntryError, match="version"):
        decode(KEY, forge(bytes(data)))


@pytest.mark.parametrize("sizes", [(2**64 - 1, 2, 0), (2**63, 2**63, 0), (0, 0, 2**40)])
def test_absurd_lengths_are_refused(sizes: tuple[int, int, int]) -> None:
    data = bytearray(encode(KEY, CONTENTS))
    struct.pack_into("<QQQ", data, 48, *sizes)
    with pytest.raises(BadEntryError, match="expected"):
        decode(KEY, forge(bytes(data)))


@pytest.mark.parametrize(
    "text",
    [b"", b"[1]", b"nul", b"{" * 100_000, b"[" * 100_000, b'{"a":', b"\xff{}", b"1" * 10_000],
    ids=["empty", "list", "word", "deep object", "deep list", "cut", "not UTF-8", "long number"],
)
def test_hostile_metadata_with_a_right_digest_is_refused(text: bytes) -> None:
    good = encode(KEY, Contents({}, "", b""))  # the metadata of this one is {}
    data = good[:48] + struct.pack("<QQQ", len(text), 0, 0) + text + bytes(32)
    with pytest.raises(BadEntryError, match="JSON"):
        decode(KEY, forge(data))


def test_a_source_that_is_no_text_is_refused() -> None:
    data = bytearray(encode(KEY, CONTENTS))
    data[-35] = 0xFF  # the last byte of the source
    with pytest.raises(BadEntryError, match="UTF-8"):
        decode(KEY, forge(bytes(data)))


def test_the_digest_is_sha256() -> None:
    assert entry.sha256(b"abc").hexdigest() == hashlib.sha256(b"abc").hexdigest()
    assert entry.text_digest("ü") == hashlib.sha256("ü".encode()).hexdigest()


def executing_names(tree: ast.Module) -> set[str]:
    """Return the names by which a module could run stored text or bytes as Python."""
    dangerous = {"pickle", "marshal", "shelve", "yaml", "eval", "exec", "compile", "__import__"}
    named = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    imported = {
        alias.name.partition(".")[0]
        for node in ast.walk(tree)
        if isinstance(node, ast.Import | ast.ImportFrom)
        for alias in (*node.names, ast.alias(getattr(node, "module", None) or ""))
    }
    return dangerous & (named | imported)


def test_nothing_in_the_runtime_executes_stored_python() -> None:
    assert executing_names(ast.parse("import pickle\neval('1')")) == {"pickle", "eval"}
    for path in Path(entry.__file__).parent.glob("*.py"):
        assert not executing_names(ast.parse(path.read_text())), path.name
