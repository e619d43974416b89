"""The classes: what callers catch them as, and how they are made."""

from __future__ import annotations

import errno
import inspect
import json
import pickle
from datetime import datetime

import pytest

from oasis_data import (
    DataOperationError,
    JSONReadError,
    JSONWriteError,
    OperationType,
    error_handling,
)
from tests.errors.classes import CLASSES, READ, WHOLE, WRITE
from tests.errors.telling import assert_same

BUILTINS = (
    FileNotFoundError,
    PermissionError,
    TimeoutError,
    OSError,
    TypeError,
    ValueError,
    json.JSONDecodeError,
)


def test_table_of_classes_is_complete() -> None:
    public = {getattr(error_handling, name) for name in error_handling.__all__}
    classes = {each for each in public if isinstance(each, type) and issubclass(each, Exception)}

    assert classes == set(CLASSES)


@pytest.mark.parametrize("kind", CLASSES)
def test_class_is_caught_as_what_callers_catch_and_nothing_else(
    kind: type[DataOperationError],
) -> None:
    bases = CLASSES[kind]

    assert all(issubclass(kind, base) for base in bases)
    for builtin in BUILTINS:
        expected = any(issubclass(base, builtin) for base in bases)
        assert issubclass(kind, builtin) is expected, builtin
    if kind is not DataOperationError:
        assert issubclass(kind, JSONWriteError) is not issubclass(kind, JSONReadError)


@pytest.mark.parametrize("kind", CLASSES)
def test_constructor_takes_the_guides_arguments(kind: type[DataOperationError]) -> None:
    original = OSError(errno.EIO, "Input/output error")
    before = datetime.now()
    by_position = kind(READ, WHOLE, "It failed", original)
    by_name = kind(operation=READ, file_path=WHOLE, message="It failed", original_error=original)

    for error in (by_position, by_name):
        assert error.operation is READ
        assert error.file_path == WHOLE
        assert error.message == "It failed"
        assert error.original_error is original
        assert before <= error.timestamp <= datetime.now()
        assert error.timestamp.tzinfo is None
        assert str(error) == "It failed"
        assert error.args == ("It failed",)
    assert kind(READ, WHOLE, "It failed").original_error is None


@pytest.mark.parametrize("kind", CLASSES)
def test_guides_parameters_come_first_and_the_rest_by_name(kind: type[DataOperationError]) -> None:
    parameters = list(inspect.signature(kind).parameters.values())

    assert [each.name for each in parameters[:4]] == [
        "operation",
        "file_path",
        "message",
        "original_error",
    ]
    assert all(each.kind is each.POSITIONAL_OR_KEYWORD for each in parameters[:4])
    assert all(each.kind is each.KEYWORD_ONLY for each in parameters[4:])


def test_operation_types_are_the_guides() -> None:
    assert {each.name: each.value for each in OperationType} == {
        "READ": "read",
        "WRITE": "write",
        "DELETE": "delete",
        "CACHE": "cache",
    }


def test_write_error_of_a_message_alone() -> None:
    error = JSONWriteError("Failed to write tanks.json")

    assert str(error) == error.message == "Failed to write tanks.json"
    assert error.args == ("Failed to write tanks.json",)
    assert error.operation is WRITE
    assert error.file_path == ""
    assert error.original_error is None
    assert_same(pickle.loads(pickle.dumps(error)), error)


@pytest.mark.parametrize("kind", [each for each in CLASSES if issubclass(each, OSError)])
def test_os_errors_have_the_original_ones_number(kind: type[DataOperationError]) -> None:
    error = kind(WRITE, WHOLE, "It failed", OSError(errno.EIO, "Input/output error", "other"))
    assert isinstance(error, OSError)
    assert error.errno == errno.EIO
    assert error.strerror == "Input/output error"
    assert error.filename == WHOLE

    without = kind(WRITE, WHOLE, "It failed", ValueError("no errno"))
    assert isinstance(without, OSError)
    assert without.errno is None
    assert without.strerror is None
    assert without.filename == WHOLE
