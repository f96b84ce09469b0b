"""The file format of one cache entry, and the digest that guards it.

    offset  size  field
    0       8     magic: 89 4A 47 0D 0A 1A 0A 00
    8       4     format version, little endian like all integers here
    12      4     zero
    16      32    key of the entry (SHA-256)
    48      8     length of the metadata, M
    56      8     length of the C source, S
    64      8     length of the object, B
    72      M     metadata: one JSON object, UTF-8
    72+M    S     C source, UTF-8
    ...     B     object: the bytes of a shared library
    ...     32    SHA-256 of everything before

One file holds everything, so there is no index and no half-written pair.  The digest is
verified over the whole file before a byte of the object is used: of 200 one-bit flips in
machine code, 70 crash a process that loads it and 11 give silently wrong numbers.  It
detects accidents; it is not a signature.

The first bytes of the magic catch what PNG's catch: a transfer that strips the eighth bit
or translates line ends.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import struct
from collections.abc import Callable
from typing import Any, NamedTuple


def _find_sha256() -> Callable[..., Any]:
    # The C module alone (its name depends on the version of Python): hashlib also
    # initialises OpenSSL, which takes 2 ms of a warm start.
    for name in ("_sha2", "_sha256"):
        with contextlib.suppress(ImportError, AttributeError):
            found: Callable[..., Any] = importlib.import_module(name).sha256
            return found
    return importlib.import_module("hashlib").sha256


sha256 = _find_sha256()


MAGIC = b"\x89JG\r\n\x1a\n\x00"
VERSION = 1
DIGEST_SIZE = 32
MAX_SIZE = 1 << 30  # bytes; a longer file is not one of ours and is not read

_HEADER = struct.Struct("<8sII32sQQQ")
HEADER_SIZE = _HEADER.size


class BadEntryError(ValueError):
    """The bytes are not a whole, undamaged entry for the key; the message says why."""


class Contents(NamedTuple):
    """What an entry holds: a JSON object, C text, and the bytes of a shared library."""

    metadata: dict[str, Any]
    c_source: str
    object_bytes: bytes


def text_digest(text: str) -> str:
    """Return the SHA-256 of `text` (lone surrogates allowed) as 64 hexadecimal digits."""
    return str(sha256(text.encode("utf-8", "surrogatepass")).hexdigest())


def is_key(key: str) -> bool:
    """Tell whether `key` is 64 lower-case hexadecimal digits, hence safe as a file name."""
    return len(key) == 64 and all(c in "0123456789abcdef" for c in key)


def encode(key: str, contents: Contents) -> bytes:
    """Return the bytes of the entry for `key` (64 hexadecimal digits).

    Raises TypeError or ValueError when the metadata has no JSON form.
    """
    metadata = json.dumps(contents.metadata, separators=(",", ":")).encode()
    source = contents.c_source.encode("utf-8", "surrogatepass")
    header = _HEADER.pack(
        MAGIC,
        VERSION,
        0,
        bytes.fromhex(key),
        len(metadata),
        len(source),
        len(contents.object_bytes),
    )
    body = b"".join((header, metadata, source, contents.object_bytes))
    return body + bytes(sha256(body).digest())


def decode(key: str, data: bytes) -> Contents:
    """Verify the whole of `data` and return what it holds.

    Raises BadEntryError unless `data` is byte for byte an entry that `encode` made for `key`.
    """
    lengths = _check_header(key, data)
    view = memoryview(data)
    if sha256(view[:-DIGEST_SIZE]).digest() != data[-DIGEST_SIZE:]:
        raise BadEntryError("the digest does not match")
    source = HEADER_SIZE + lengths[0]
    binary = source + lengths[1]
    try:
        return Contents(
            _parse_metadata(data[HEADER_SIZE:source]),
            str(view[source:binary], "utf-8", "surrogatepass"),
            data[binary:-DIGEST_SIZE],
        )
    except UnicodeDecodeError as error:
        raise BadEntryError("the C source is not UTF-8") from error


def _check_header(key: str, data: bytes) -> tuple[int, int, int]:
    if len(data) < HEADER_SIZE + DIGEST_SIZE:
        raise BadEntryError(f"only {len(data)} bytes")
    magic, version, zero, raw_key, *lengths = _HEADER.unpack_from(data)
    if magic != MAGIC:
        raise BadEntryError("the magic number is wrong")
    if version != VERSION or zero != 0:
        raise BadEntryError(f"format version {version}, expected {VERSION}")
    if raw_key.hex() != key:
        raise BadEntryError("it belongs to another key")
    expected = HEADER_SIZE + sum(lengths) + DIGEST_SIZE
    if len(data) != expected:
        raise BadEntryError(f"{len(data)} bytes, expected {expected}")
    return lengths[0], lengths[1], lengths[2]


def _parse_metadata(text: bytes) -> dict[str, Any]:
    # RecursionError: a crafted file may nest brackets deeper than the parser's stack.
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise BadEntryError("the metadata is not JSON") from error
    if not isinstance(value, dict):
        raise BadEntryError("the metadata is not a JSON object")
    return value
