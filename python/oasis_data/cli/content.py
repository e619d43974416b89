"""The content of a file, read without the cache and without a recovery."""

from __future__ import annotations

import gzip
import json
import os
import stat
import zlib
from dataclasses import dataclass
from typing import Any

from oasis_data import JSONReadError, _native
from oasis_data.cli.stored import DamagedError, content_in_store

_ATTEMPTS = 3
_TOO_LARGE = "too large for this machine's memory"


@dataclass(frozen=True)
class Content:
    """A file's bytes as a document.

    Attributes:
        raw: The bytes; those of a compressed backup are decompressed, and of what is damaged
            in a store there are none.
        document: The JSON document, if the bytes are a document.
        fault: Why the bytes are no JSON document; None if they are.
    """

    raw: bytes
    document: Any
    fault: str | None


def read(path: str) -> Content:
    """Reads the document in a file.

    A file that another program is writing in place is read again: a half-written file
    has no fault.

    Raises:
        OSError: The file cannot be read, or is no regular file.
    """
    try:
        # safeguard: verify-does-not-recover
        content = parse(path, _bytes_of(path))
    except DamagedError as error:
        return Content(b"", None, error.strerror)
    for _ in range(_ATTEMPTS - 1):
        if content.fault is None:
            break
        raw = _bytes_of(path)
        if raw == content.raw:
            break
        content = parse(path, raw)
    return content


def raw_content(path: str) -> bytes | None:
    """The bytes of a document or a backup; None for no file.

    Raises:
        OSError: As for `read`.
    """
    try:
        return read(path).raw
    except FileNotFoundError:
        return None


def parse(path: str, raw: bytes) -> Content:
    """Parses the bytes of a file; decompresses those of a compressed backup."""
    try:
        if (backup := _native.parse_backup_name(os.path.basename(path))) and backup["compressed"]:
            raw = gzip.decompress(raw)
    except MemoryError:
        return Content(raw, None, _TOO_LARGE)
    except (EOFError, OSError, zlib.error) as error:
        return Content(raw, None, f"not a whole gzip file: {error}")
    try:
        # Not with `json`, which may go deeper than the stack.
        return Content(raw, _native.decode(raw), None)
    except (JSONReadError, MemoryError, RecursionError) as error:
        return Content(raw, None, _reason(raw, getattr(error, "original_error", None) or error))


def _reason(raw: bytes, error: BaseException) -> str:
    if isinstance(error, MemoryError):
        return _TOO_LARGE
    if isinstance(error, RecursionError):
        return "nested too deeply"
    if not raw:
        return "empty"
    if not raw.strip(b"\0"):
        return "nothing but null bytes"
    if isinstance(error, json.JSONDecodeError):
        return f"{error.msg}: line {error.lineno} column {error.colno}"
    return str(error)


def _bytes_of(path: str) -> bytes:
    if _native.is_in_store(path):
        return content_in_store(path)
    with open(path, "rb", opener=_opened) as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise OSError(None, "not a regular file", path)
        return file.read()


def _opened(path: str, flags: int) -> int:
    # NONBLOCK: opening a pipe without a writer would wait for ever.
    return os.open(path, flags | os.O_NONBLOCK | os.O_NOCTTY)
