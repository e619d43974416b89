"""What an error tells: its class, its cause, and nothing that a client must not see."""

from __future__ import annotations

import os
import pickle
from collections.abc import Callable
from pathlib import Path

import pytest

from oasis_data import DataOperationError, OperationType, load_data_file, load_with_version


def described(error: BaseException | None) -> object:
    """An error by its class and everything it holds, errors in it likewise."""
    if error is None:
        return None
    held = dict(vars(error))
    if isinstance(error, OSError):
        held |= {"errno": error.errno, "strerror": error.strerror, "filename": error.filename}
    if "original_error" in held:
        held["original_error"] = described(held["original_error"])
    return type(error), str(error), held


def assert_same(one: BaseException, other: BaseException) -> None:
    assert one is not other
    assert described(one) == described(other)


def raised(act: Callable[[], object]) -> DataOperationError:
    with pytest.raises(DataOperationError) as caught:
        act()
    return caught.value


def assert_told_well(
    error: DataOperationError, kind: type[DataOperationError], path: Path, operation: OperationType
) -> None:
    """What holds for every error: who it is, and what it says to whom."""
    assert type(error) is kind
    assert error.operation is operation
    assert error.file_path == str(path)
    text = str(error)
    assert text.startswith(f"{path.name}: ")
    assert str(path.parent) not in text
    assert text == error.message
    assert error.__cause__ is error.original_error
    if isinstance(error, OSError):
        assert error.filename == str(path)
        assert isinstance(error.original_error, OSError)
        assert error.errno == error.original_error.errno
        assert error.strerror == os.strerror(error.errno or 0)
    assert_same(pickle.loads(pickle.dumps(error)), error)


LOADS: list[Callable[[Path], object]] = [
    lambda path: load_data_file(path, strict=True),
    load_with_version,
]
