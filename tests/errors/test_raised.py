"""Errors of paths and values, as the package raises them and callers catch them."""

from __future__ import annotations

import errno
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from oasis_data import (
    DataFileNotFoundError,
    DataOperationError,
    FolderNotFoundError,
    JSONWriteError,
    OperationType,
    StorageReadError,
    StorageWriteError,
    UnserializableError,
    delete_json_atomic,
    load_data_file,
    save_json_atomic,
)
from tests.errors.classes import DELETE, READ, WRITE
from tests.errors.telling import LOADS, assert_told_well, raised


def test_missing_file_on_loading(path: Path) -> None:
    path.unlink()

    error = raised(lambda: load_data_file(path, strict=True))

    assert_told_well(error, DataFileNotFoundError, path, READ)
    assert isinstance(error, FileNotFoundError)
    assert error.errno == errno.ENOENT


def test_missing_file_on_deleting(path: Path) -> None:
    path.unlink()

    error = raised(lambda: delete_json_atomic(path))

    assert_told_well(error, DataFileNotFoundError, path, DELETE)


@pytest.mark.files("a store has no folders")
@pytest.mark.parametrize("load", LOADS)
def test_directory_on_loading(path: Path, load: Callable[[Path], object]) -> None:
    error = raised(lambda: load(path.parent))

    assert_told_well(error, StorageReadError, path.parent, READ)
    assert isinstance(error, OSError)
    assert error.errno == errno.EISDIR
    assert "directory" in str(error)


@pytest.mark.files("a store has no folders")
@pytest.mark.parametrize("ending", ["", "/", "/.", "/.."])
def test_directory_on_saving(path: Path, ending: str) -> None:
    spelt = f"{path.parent}{ending}"

    error = raised(lambda: save_json_atomic(spelt, 1))

    assert type(error) is StorageWriteError
    assert isinstance(error, OSError)
    assert error.errno == errno.EISDIR
    assert error.file_path == spelt
    assert str(path.parent.parent) not in str(error)


@pytest.mark.files("a store has no folders")
def test_missing_folder(path: Path) -> None:
    nowhere = path.parent / "nowhere" / "tanks.json"

    error = raised(lambda: save_json_atomic(nowhere, 1))

    assert_told_well(error, FolderNotFoundError, nowhere, WRITE)
    assert isinstance(error, FileNotFoundError)
    assert error.errno == errno.ENOENT
    assert "make_parents=True" in str(error)
    assert not nowhere.parent.exists()


@pytest.mark.files("a store has no folders")
@pytest.mark.parametrize(
    ("act", "kind", "operation"),
    [
        (lambda path: load_data_file(path), StorageReadError, READ),
        (lambda path: save_json_atomic(path, 1), StorageWriteError, WRITE),
        (lambda path: delete_json_atomic(path), StorageWriteError, DELETE),
    ],
)
def test_file_where_a_folder_should_be(
    path: Path,
    act: Callable[[Path], object],
    kind: type[DataOperationError],
    operation: OperationType,
) -> None:
    inside = path / "tanks.json"

    error = raised(lambda: act(inside))

    assert_told_well(error, kind, inside, operation)
    assert isinstance(error, OSError)
    assert error.errno == errno.ENOTDIR


def test_value_without_json(path: Path) -> None:
    error = raised(lambda: save_json_atomic(path, {"vessels": [1, {"cost": {2, 3}}]}))

    assert_told_well(error, UnserializableError, path, WRITE)
    assert isinstance(error, UnserializableError)
    assert error.place == "$.vessels[1].cost"
    assert error.place in str(error)
    assert isinstance(error.original_error, TypeError)
    assert load_data_file(path) == {"a": 1}


@pytest.mark.parametrize("data", [float("nan"), {("a",): 1}, object(), "\ud800"])
def test_value_without_json_is_a_type_or_value_error(path: Path, data: object) -> None:
    for builtin in (TypeError, ValueError):
        with pytest.raises(builtin) as caught:
            save_json_atomic(path, data)
        assert isinstance(caught.value, UnserializableError)


@pytest.mark.files("a store has no folders")
def test_callers_builtins_catch_the_packages_errors(path: Path) -> None:
    missing = path.with_name("missing.json")
    corrupt = path.with_name("corrupt.json")
    corrupt.write_text("{")
    caught: list[type[BaseException]] = []
    attempts: list[tuple[type[Exception], Callable[[], object]]] = [
        (FileNotFoundError, lambda: load_data_file(missing, strict=True)),
        (OSError, lambda: load_data_file(missing, strict=True)),
        (OSError, lambda: load_data_file(path.parent)),
        (json.JSONDecodeError, lambda: load_data_file(corrupt, strict=True)),
        (ValueError, lambda: load_data_file(corrupt, strict=True)),
        (FileNotFoundError, lambda: save_json_atomic(missing / "x.json", 1)),
        (TypeError, lambda: save_json_atomic(path, {1, 2})),
        (ValueError, lambda: save_json_atomic(path, {1, 2})),
        (JSONWriteError, lambda: save_json_atomic(path, {1, 2})),
    ]
    for builtin, act in attempts:
        try:
            act()
        except builtin:
            caught.append(builtin)

    assert caught == [builtin for builtin, _ in attempts]
