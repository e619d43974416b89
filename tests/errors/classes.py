"""Every class of errors of the package, and two of others' that are hard to handle."""

from __future__ import annotations

import json
import threading

from oasis_data import (
    AlreadyLockedError,
    BrokenRulesError,
    CorruptFileError,
    DataFileNotFoundError,
    DataOperationError,
    FolderNotFoundError,
    InvalidDocumentError,
    JSONReadError,
    JSONWriteError,
    LockTimeoutError,
    NamedTwiceError,
    NoBackupError,
    NotDurableError,
    OperationType,
    OutcomeUnknownError,
    ReadPermissionError,
    StorageReadError,
    StorageWriteError,
    UnserializableError,
    VersionConflictError,
    WritePermissionError,
)

READ, WRITE, DELETE = OperationType.READ, OperationType.WRITE, OperationType.DELETE

WHOLE = "/srv/secret/place/tanks.json"

CLASSES: dict[type[DataOperationError], set[type[Exception]]] = {
    DataOperationError: {Exception},
    JSONWriteError: {DataOperationError},
    UnserializableError: {JSONWriteError, TypeError, ValueError},
    InvalidDocumentError: {JSONWriteError, ValueError},
    BrokenRulesError: {JSONWriteError},
    StorageWriteError: {JSONWriteError, OSError},
    FolderNotFoundError: {JSONWriteError, FileNotFoundError},
    WritePermissionError: {JSONWriteError, PermissionError},
    LockTimeoutError: {JSONWriteError, TimeoutError},
    AlreadyLockedError: {JSONWriteError, OSError},
    NamedTwiceError: {JSONWriteError, ValueError},
    VersionConflictError: {JSONWriteError},
    NoBackupError: {JSONWriteError},
    NotDurableError: {JSONWriteError, OSError},
    OutcomeUnknownError: {NotDurableError, OSError},
    JSONReadError: {DataOperationError},
    StorageReadError: {JSONReadError, OSError},
    ReadPermissionError: {JSONReadError, PermissionError},
    DataFileNotFoundError: {JSONReadError, FileNotFoundError},
    CorruptFileError: {JSONReadError, json.JSONDecodeError},
}
"""Every class, and what callers may catch it as."""


class UnpicklableError(Exception):
    """Cannot be pickled: holds a lock, as errors of network libraries do."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.lock = threading.Lock()


class SpeechlessError(UnpicklableError):
    def __str__(self) -> str:
        raise RuntimeError("no words")
