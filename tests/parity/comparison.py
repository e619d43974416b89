"""Saves and loads held against `json`: the same bytes, documents and faults."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from oasis_data import (
    CorruptFileError,
    JSONWriteError,
    UnserializableError,
    load_data_file,
    save_json_atomic,
)
from tests.conftest import temporaries, visible
from tests.strategies import Verdict, dumped, exact

OLD = b'{"old": true}\n'
# Of the options, where they are other than those of json.dump.
DEFAULTS: dict[str, Any] = {"indent": 2, "ensure_ascii": False, "allow_nan": False}


def contents(folder: Path) -> dict[str, bytes | None]:
    """Everything in a folder and below, by path."""
    return {
        str(path.relative_to(folder)): path.read_bytes() if path.is_file() else None
        for path in folder.rglob("*")
    }


def by_json(oracle: Path, value: Any, options: dict[str, Any]) -> Verdict:
    """What `json.dump` does when told what the package does untold."""
    return dumped(oracle, value, DEFAULTS | options)


def assert_saved_as_by_json(folder: Path, oracle: Path, value: Any, options: Any) -> None:
    """One save of the value does what one `json.dump` of it does."""
    expected = by_json(oracle, value, options)
    path = folder / "data.json"
    path.write_bytes(OLD)
    before = visible(folder)
    if isinstance(expected, bytes):
        assert save_json_atomic(path, value, backup=False, **options) is True
        assert path.read_bytes() == expected
        assert visible(folder) == before
        assert temporaries(folder) == []
    else:
        assert_refused(path, value, options, expected)


def assert_refused(path: Path, value: Any, options: Any, expected: Exception) -> JSONWriteError:
    """One save of the value fails as `json` fails, and changes nothing."""
    before = contents(path.parent)
    with pytest.raises(JSONWriteError) as caught:
        save_json_atomic(path, value, **options)
    assert contents(path.parent) == before
    error = caught.value
    assert type(error.original_error) is type(expected)
    assert isinstance(error, UnserializableError)
    assert isinstance(error, TypeError)
    assert isinstance(error, ValueError)
    assert error.__cause__ is error.original_error
    assert error.file_path == str(path)
    assert error.place.startswith("$")
    assert str(error).startswith(f"{path.name}: ")
    assert f" {error.place}: " in str(error)
    assert str(path.parent) not in str(error)
    return error


def read(data: bytes) -> Any:
    """What `json` makes of a file's bytes: a document, or an exception."""
    try:
        return json.loads(data)
    except MemoryError:
        raise
    except Exception as error:
        return error


def assert_loaded_as_by_json(path: Path, data: bytes) -> None:
    """One load of the bytes gives what one `json.loads` of them gives."""
    expected = read(data)
    path.write_bytes(data)
    if not isinstance(expected, Exception):
        # Decoded, and then out of the cache.
        assert exact(load_data_file(path, strict=True)) == exact(expected)
        assert exact(load_data_file(path, strict=True)) == exact(expected)
        assert exact(load_data_file(path, strict=True, copy=False)) == exact(expected)
        return
    with pytest.raises(CorruptFileError) as caught:
        load_data_file(path, strict=True)
    error = caught.value
    assert type(error.original_error) is type(expected)
    assert isinstance(error, json.JSONDecodeError)
    assert error.file_path == str(path)
    assert str(error).startswith(f"{path.name}: ")
    assert str(path.parent) not in str(error)
    if isinstance(expected, json.JSONDecodeError):
        place = (error.msg, error.pos, error.lineno, error.colno)
        assert place == (expected.msg, expected.pos, expected.lineno, expected.colno)
        assert (expected.msg if data else "the file is empty") in str(error)
        assert f"line {expected.lineno} column {expected.colno}" in str(error)
    assert load_data_file(path, default={"a": [1]}) == {"a": [1]}
