"""Errors pickled and copied, over causes that can be neither."""

from __future__ import annotations

import copy
import errno
import pickle
from collections.abc import Callable

import pytest

from oasis_data import (
    MISSING,
    BrokenRulesError,
    CorruptFileError,
    DataOperationError,
    Fault,
    InvalidDocumentError,
    JSONReadError,
    JSONWriteError,
    LockTimeoutError,
    StorageWriteError,
    UnserializableError,
    VersionConflictError,
)
from tests.errors.classes import CLASSES, READ, WHOLE, WRITE, SpeechlessError, UnpicklableError
from tests.errors.telling import assert_same


class MisbuiltError(Exception):
    """Pickles but does not come back: its constructor takes other arguments."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(f"{code} {reason}")


class OwnError(StorageWriteError):
    """A caller's own subclass, with an attribute of its own."""

    colour = "none"


def examples() -> list[DataOperationError]:
    original = OSError(errno.EIO, "Input/output error")
    plain = [kind(READ, WHOLE, "It failed") for kind in CLASSES]
    caused = [kind(WRITE, WHOLE, "It failed", original) for kind in CLASSES]
    fault = Fault("tanks.json", "$.a[1]", "a.json#/minimum", {"b": -5}, "$.a[1]: is too small")
    own = OwnError(WRITE, WHOLE, "It failed", original)
    own.colour = "red"
    nested = JSONWriteError(WRITE, WHOLE, "outer", JSONReadError(READ, WHOLE, "inner", original))
    return [
        *plain,
        *caused,
        own,
        nested,
        UnserializableError(WRITE, WHOLE, "It failed", TypeError("set"), place="$.a[1]"),
        InvalidDocumentError(WRITE, WHOLE, "It failed", faults=(fault,)),
        BrokenRulesError(WRITE, WHOLE, "It failed", rules_path="/srv/rules.toml", line=7),
        LockTimeoutError(WRITE, WHOLE, "It failed", holder=4711),
        VersionConflictError(WRITE, WHOLE, "It failed", expected="a", found=MISSING),
        CorruptFileError(READ, WHOLE, "It failed", reason="why", pos=7, lineno=2, colno=3),
    ]


@pytest.mark.parametrize("error", examples(), ids=lambda error: type(error).__name__)
def test_error_survives_pickling(error: DataOperationError) -> None:
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        assert_same(pickle.loads(pickle.dumps(error, protocol)), error)


@pytest.mark.parametrize("duplicate", [copy.copy, copy.deepcopy])
@pytest.mark.parametrize("error", examples(), ids=lambda error: type(error).__name__)
def test_error_survives_copying(
    error: DataOperationError, duplicate: Callable[[DataOperationError], DataOperationError]
) -> None:
    assert_same(duplicate(error), error)


@pytest.mark.parametrize("error", examples(), ids=lambda error: type(error).__name__)
def test_error_shows_the_same_after_pickling_and_copying(error: DataOperationError) -> None:
    for again in (pickle.loads(pickle.dumps(error)), copy.copy(error), copy.deepcopy(error)):
        assert again.args == error.args
        assert repr(again) == repr(error)


@pytest.mark.parametrize("kind", CLASSES)
@pytest.mark.parametrize(
    ("original", "text"),
    [
        (UnpicklableError("the cable broke"), "UnpicklableError: the cable broke"),
        (MisbuiltError(500, "went wrong"), "MisbuiltError: 500 went wrong"),
        (SpeechlessError("silence"), "SpeechlessError"),
    ],
)
def test_error_over_an_unpicklable_one_survives_pickling(
    kind: type[DataOperationError], original: Exception, text: str
) -> None:
    error = kind(WRITE, WHOLE, "It failed", original)

    again = pickle.loads(pickle.dumps(error))

    assert type(again) is kind
    assert (again.operation, again.file_path, again.message) == (WRITE, WHOLE, "It failed")
    assert again.timestamp == error.timestamp
    assert text in str(again.original_error)
    # The error itself is left as it was.
    assert error.original_error is original
