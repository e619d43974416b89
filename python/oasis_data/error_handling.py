"""The exceptions of the package, and the handler that answers clients.

Every exception is a `DataOperationError`. Its text names the file without its
folder, since call sites hand that text to clients; `.file_path` and the log have
the path as it was given.
"""

import copyreg
import json
import logging
import pickle
import traceback
import uuid
from datetime import datetime
from enum import Enum
from typing import Any

from oasis_data import _logging
from oasis_data._faults import Fault
from oasis_data._logging import configure_logging
from oasis_data._paths import base_name, decoded, printable

__all__ = [
    "AlreadyLockedError",
    "BrokenRulesError",
    "CorruptFileError",
    "DataFileNotFoundError",
    "DataOperationError",
    "ErrorHandler",
    "Fault",
    "FolderNotFoundError",
    "InvalidDocumentError",
    "JSONReadError",
    "JSONWriteError",
    "LockTimeoutError",
    "NamedTwiceError",
    "NoBackupError",
    "NotDurableError",
    "OperationType",
    "OutcomeUnknownError",
    "ReadPermissionError",
    "StorageReadError",
    "StorageWriteError",
    "UnserializableError",
    "VersionConflictError",
    "WritePermissionError",
    "configure_logging",
    "error_handler",
]


class OperationType(Enum):
    """What was being done to a file (guide, fix 3)."""

    READ = "read"
    WRITE = "write"
    DELETE = "delete"
    CACHE = "cache"


class DataOperationError(Exception):
    """Base of every error of this package (guide, fix 3).

    Attributes:
        operation: What was being done.
        file_path: The file's path, as the caller gave it.
        message: What happened and what to do; also `str(error)`.
        original_error: The exception underneath, or None.
        timestamp: When this error was made, local time.
    """

    def __init__(
        self,
        operation: OperationType,
        file_path: str,
        message: str,
        original_error: BaseException | None = None,
    ) -> None:
        """Takes the guide's four arguments, by position or by name."""
        # Not super(): the builtins mixed in below take other arguments.
        Exception.__init__(self, message)
        self.operation = operation
        self.file_path = file_path
        self.message = message
        self.original_error = original_error
        self.timestamp = datetime.now()

    def __str__(self) -> str:
        """The message, whatever else the class derives from."""
        return self.message

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickles by attributes: the constructors take different arguments."""
        # OSError.__new__ would drop the args: they go with the state.
        state = self.__dict__ | {"args": self.args}
        original = self.original_error
        # The package's own errors do; asking them would ask all below them again.
        own = isinstance(original, DataOperationError)
        if original is not None and not own and not _survives_pickling(original):
            state["original_error"] = RuntimeError(f"{type(original).__name__}: {_text(original)}")
        return (copyreg.__newobj__, (type(self),), state)  # type: ignore[attr-defined]


def _survives_pickling(error: BaseException) -> bool:
    try:
        pickle.loads(pickle.dumps(error))  # noqa: S301 -- our own bytes
    except Exception:  # whatever a foreign __reduce__ may raise
        return False
    return True


class _OperatingSystemError(DataOperationError, OSError):
    """An error that callers may also catch as an `OSError`, with its errno."""

    def __init__(
        self,
        operation: OperationType,
        file_path: str,
        message: str,
        original_error: BaseException | None = None,
    ) -> None:
        super().__init__(operation, file_path, message, original_error)
        if isinstance(original_error, OSError):
            self.errno = original_error.errno
            self.strerror = original_error.strerror
        self.filename = file_path

    def __reduce__(self) -> tuple[Any, ...]:
        rebuild, arguments, state = super().__reduce__()
        # OSError keeps these outside of __dict__.
        fields = {"errno": self.errno, "strerror": self.strerror, "filename": self.filename}
        return rebuild, arguments, state | fields


class JSONWriteError(DataOperationError):
    """A save that did not happen; the file is as it was (guide, fix 1).

    As in the guide, a message alone is enough to make this error.
    """

    def __init__(
        self,
        operation: OperationType | str,
        file_path: str = "",
        message: str | None = None,
        original_error: BaseException | None = None,
    ) -> None:
        """Takes `DataOperationError`'s arguments, or only a message."""
        if message is None:
            operation, message = OperationType.WRITE, str(operation)
        super().__init__(OperationType(operation), file_path, message, original_error)


class UnserializableError(JSONWriteError, TypeError, ValueError):
    """The data has no JSON text: `json` raises `TypeError` or `ValueError`.

    Attributes:
        place: The value at fault, as a path: `$.vessels[3].cost`.
    """

    def __init__(
        self,
        operation: OperationType,
        file_path: str,
        message: str,
        original_error: BaseException | None = None,
        *,
        place: str = "$",
    ) -> None:
        """Takes `DataOperationError`'s arguments and the place."""
        super().__init__(operation, file_path, message, original_error)
        self.place = place


class InvalidDocumentError(JSONWriteError, ValueError):
    """The document does not obey its rules: its schema, or references between documents.

    Attributes:
        faults: All faults, as objects of `Fault`. The message has the first.
    """

    def __init__(
        self,
        operation: OperationType,
        file_path: str,
        message: str,
        original_error: BaseException | None = None,
        *,
        faults: tuple[Fault, ...] = (),
    ) -> None:
        """Takes `DataOperationError`'s arguments and the faults."""
        super().__init__(operation, file_path, message, original_error)
        self.faults = faults


class BrokenRulesError(JSONWriteError):
    """The rules of the document cannot be read; nothing is saved until they are mended.

    Attributes:
        rules_path: The file at fault: the rules file, or a schema file.
        line: The line at fault, from 1; None where there is no such line.
    """

    def __init__(
        self,
        operation: OperationType,
        file_path: str,
        message: str,
        original_error: BaseException | None = None,
        *,
        rules_path: str = "",
        line: int | None = None,
    ) -> None:
        """Takes `DataOperationError`'s arguments, the file at fault and its line."""
        super().__init__(operation, file_path, message, original_error)
        self.rules_path = rules_path
        self.line = line


class StorageWriteError(JSONWriteError, _OperatingSystemError):
    """A syscall failed, or the path cannot hold a document; see `.errno`."""


class FolderNotFoundError(StorageWriteError, FileNotFoundError):
    """The folder to save into does not exist."""


class WritePermissionError(StorageWriteError, PermissionError):
    """The folder may not be written: permissions, or a read-only file system."""


class LockTimeoutError(JSONWriteError, _OperatingSystemError, TimeoutError):
    """Another writer kept the lock for longer than the timeout.

    Attributes:
        holder: The pid of the process that holds the lock, None if unknown.
        holder_host: The host of that process, if the document is in a database that
            tells it; else None, for this host.
    """

    def __init__(
        self,
        operation: OperationType,
        file_path: str,
        message: str,
        original_error: BaseException | None = None,
        *,
        holder: int | None = None,
        holder_host: str | None = None,
    ) -> None:
        """Takes `DataOperationError`'s arguments, and the holder's pid and host."""
        super().__init__(operation, file_path, message, original_error)
        self.holder = holder
        self.holder_host = holder_host


class AlreadyLockedError(JSONWriteError, _OperatingSystemError):
    """This thread is writing the file already, and would wait for itself.

    A save inside `edit_json` of the same file, say: change the document instead. Or two
    tasks of one event loop edit the same file, and the first awaits in `edit_json`.
    """


class NamedTwiceError(JSONWriteError, ValueError):
    """Two of the paths given to `save_many_atomic` lead to the same file."""


class NoBackupError(JSONWriteError):
    """The file has no backup that can be restored; the text says what was tried."""


class VersionConflictError(JSONWriteError):
    """The file is not the version that the change was based on.

    Attributes:
        expected: The version asked for by `if_version=`.
        found: The version that the file has now, or `MISSING`.
    """

    def __init__(
        self,
        operation: OperationType,
        file_path: str,
        message: str,
        original_error: BaseException | None = None,
        *,
        expected: str = "",
        found: str = "",
    ) -> None:
        """Takes `DataOperationError`'s arguments and both versions."""
        super().__init__(operation, file_path, message, original_error)
        self.expected = expected
        self.found = found


class NotDurableError(JSONWriteError, _OperatingSystemError):
    """The change is in place, but its folder could not be synced.

    The file has the new content, unlike after any other `JSONWriteError`. A power
    cut may bring the old content back. A batch with this error is decided: loads
    see its documents, and the next use of one of its files puts them in place.
    A document in a database is committed on its server, but no standby has confirmed it.
    """


class OutcomeUnknownError(NotDurableError):
    """Whether a change of a document in a database was made is not known.

    The server was sent the commit, and its answer did not come before the deadline. The
    change was made as a whole, or will be, or not at all. Load the document again before
    the change is repeated. Where Ctrl-C ended the wait, the `KeyboardInterrupt` is the
    error's context.
    """


class JSONReadError(DataOperationError):
    """A load that did not happen."""


class StorageReadError(JSONReadError, _OperatingSystemError):
    """A syscall failed, or the path is no regular file; see `.errno`."""


class ReadPermissionError(StorageReadError, PermissionError):
    """The file may not be read."""


class DataFileNotFoundError(JSONReadError, _OperatingSystemError, FileNotFoundError):
    """There is no such file."""


class CorruptFileError(JSONReadError, json.JSONDecodeError):
    """The file is not a JSON document that `json.load` can read.

    Attributes:
        msg: What is wrong, in the words of `json`.
        pos: Characters before the place at fault.
        lineno: Its line, from 1.
        colno: Its column, from 1.
        doc: Always empty: the text itself can be large and secret.
    """

    def __init__(
        self,
        operation: OperationType,
        file_path: str,
        message: str,
        original_error: BaseException | None = None,
        *,
        reason: str = "",
        pos: int = 0,
        lineno: int = 1,
        colno: int = 1,
    ) -> None:
        """Takes `DataOperationError`'s arguments and the place in the file."""
        DataOperationError.__init__(self, operation, file_path, message, original_error)
        self.msg = reason or message
        self.doc = ""
        self.pos = pos
        self.lineno = lineno
        self.colno = colno


class ErrorHandler:
    """Logs all of an error, and answers with what a client may see (guide, fix 3).

    Attributes:
        logger: The logger "DataOperations", as the application configured it.
    """

    def __init__(self) -> None:
        """Finds the logger; configures nothing."""
        self.logger = logging.getLogger("DataOperations")

    def handle_error(
        self,
        operation: OperationType,
        file_path: object,
        error: BaseException,
        *,
        level: int = logging.ERROR,
    ) -> dict[str, Any]:
        """Logs `error` with its path, message and traceback, and makes an answer.

        Args:
            operation: What was being done.
            file_path: The path of the file. An object that is no path is logged as an
                empty path.
            error: The exception.
            level: The level of the log line: ERROR, unless the caller knows that the
                error is an ordinary outcome. A line below ERROR has no traceback.

        Returns:
            The guide's keys `success` (False), `error` (a sentence), `operation`
            and `details`. The answer has no folder and no raw message;
            `details["error_id"]` finds the log line that has both.
        """
        error_id = uuid.uuid4().hex[:12]
        given_path = decoded(file_path)
        path = printable(given_path)
        doing = operation.value if isinstance(operation, OperationType) else str(operation)
        kind = type(error).__name__
        message = _text(error)
        traced = level >= logging.ERROR
        # What is answered with an id must be found by it.
        # safeguard: answered-id-logged
        _logging.revive()
        self.logger.log(
            level,
            "Data operation failed: %s on %r [error_id=%s]: %s: %s",
            doing,
            path,
            error_id,
            kind,
            message,
            exc_info=(type(error), error, error.__traceback__) if traced else None,
            extra={
                "operation": doing,
                "file_path": path,
                "error_type": kind,
                "error_message": message,
                "error_id": error_id,
                "traceback": "".join(traceback.format_tb(error.__traceback__)) if traced else "",
            },
        )
        sentence = _sentence(error)
        return {
            "success": False,
            "error": sentence,
            "operation": doing,
            "details": {
                "operation": doing,
                "file_path": printable(base_name(given_path)),
                "error_type": kind,
                "message": sentence,
                "timestamp": datetime.now().isoformat(),
                "error_id": error_id,
            },
        }


def _sentence(error: BaseException) -> str:
    try:
        causes = (error, getattr(error, "original_error", None))
    except Exception:  # whatever a foreign property may raise
        causes = (error, None)
    for kind, sentence in (
        (FileNotFoundError, "Data file not found"),
        (json.JSONDecodeError, "Invalid data format detected"),
        (PermissionError, "Insufficient permissions for data operation"),
    ):
        if any(isinstance(cause, kind) for cause in causes):
            return sentence
    return "An unexpected error occurred during data operation"


def _text(error: BaseException) -> str:
    try:
        return printable(str(error))
    except Exception as failure:  # whatever a foreign __str__ may raise
        return f"<{type(failure).__name__} while reading the message>"


error_handler = ErrorHandler()
