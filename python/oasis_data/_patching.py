"""Changes of a part of a document: JSON merge patch (RFC 7396) and JSON patch (RFC 6902).

Private: the view is in `oasis_data.flask`.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import json_merge_patch  # type: ignore[import-untyped]
import jsonpatch
import jsonpointer
from werkzeug.exceptions import BadRequest, RequestEntityTooLarge

from oasis_data import _logging, _native
from oasis_data.error_handling import (
    DataFileNotFoundError,
    FolderNotFoundError,
    JSONWriteError,
    OperationType,
)

MERGE_PATCH = "application/merge-patch+json"
JSON_PATCH = "application/json-patch+json"

_COPIED = 16 << 20
"""Bytes of text that a patch may copy: a few copies of the whole double a document each time."""
_AS_SAVED = _native.EncodeOptions(indent=2)


class PatchConflictError(JSONWriteError):
    """A JSON patch does not fit the document: a place is missing, or a test fails.

    Attributes:
        reason: The operation that does not fit.
    """

    # For pickles and for the documentation.
    __module__ = "oasis_data.flask"

    def __init__(
        self,
        operation: OperationType,
        file_path: str,
        message: str,
        original_error: BaseException | None = None,
        *,
        reason: str = "",
    ) -> None:
        """Takes `JSONWriteError`'s arguments and the reason."""
        super().__init__(operation, file_path, message, original_error)
        self.reason = reason


def patch_document(path: Path, mimetype: str, patch: Any, if_version: str | None) -> str:
    """Changes a document under its lock, and returns the new version.

    Raises:
        BadRequest: The patch is none.
        RequestEntityTooLarge: The patch copies more than a document may grow by.
        DataFileNotFoundError: There is no document to change.
        PatchConflictError: The patch does not fit the document.
        JSONWriteError: As for `edit_json`.
    """
    change = _merged if mimetype == MERGE_PATCH else _patched
    started = time.perf_counter()
    with without_folder_no_file(OperationType.WRITE, path):
        edit = _native.Edit(path, None, if_version=if_version)
    try:
        found, document = edit.load()
        if not found:
            raise _missing(OperationType.WRITE, path)
        try:
            changed = change(path, document, patch)
        except RecursionError as error:
            raise BadRequest("the patch or what it makes is nested too deep") from error
        outcome = edit.save(changed, _AS_SAVED, keep_layout=True, versioned=True)
    finally:
        edit.close()
    _logging.log_write("edit", path, started, *outcome)
    _, _, _, version = outcome
    return str(version)


@contextmanager
def without_folder_no_file(operation: OperationType, path: Path) -> Iterator[None]:
    """Takes a missing folder for a missing file: a client names neither."""
    try:
        yield
    except FolderNotFoundError as error:
        raise _missing(operation, path) from error


def _missing(operation: OperationType, path: Path) -> DataFileNotFoundError:
    return DataFileNotFoundError(operation, str(path), f"{path.name}: no such file")


def _merged(_path: Path, document: Any, patch: Any) -> Any:
    return json_merge_patch.merge(document, patch)


def _patched(path: Path, document: Any, patch: Any) -> Any:
    if not isinstance(patch, list):
        raise BadRequest("a JSON patch is a list of operations")
    copied = 0
    for number, operation in enumerate(patch, 1):
        try:
            step = jsonpatch.JsonPatch([operation])
            if operation["op"] == "copy":
                # safeguard: copies-are-counted
                copied += _size(document, operation.get("from"))
            if copied > _COPIED:
                raise RequestEntityTooLarge(f"operation {number} copies too much")
            # The document is this call's own; what fails is not saved.
            document = step.apply(document, in_place=True)
        except (jsonpatch.JsonPatchConflict, jsonpatch.JsonPatchTestFailed) as error:
            raise _conflict(path, number, operation, error) from error
        except (jsonpatch.JsonPatchException, jsonpointer.JsonPointerException) as error:
            raise BadRequest(f"operation {number} is none of a JSON patch") from error
    return document


def _size(document: Any, place: object) -> int:
    """The bytes of a copy; 0 where there is nothing to copy, which the patch itself tells."""
    if not isinstance(place, str):
        return 0
    try:
        value = jsonpointer.resolve_pointer(document, place)
    except jsonpointer.JsonPointerException:
        return 0
    return len(_native.encode(value, _native.EncodeOptions(allow_nan=True)))


def _conflict(path: Path, number: int, operation: Any, error: Exception) -> PatchConflictError:
    kind = "test fails" if isinstance(error, jsonpatch.JsonPatchTestFailed) else "does not fit"
    reason = f"operation {number} ({operation['op']}) of the patch {kind}"
    return PatchConflictError(
        OperationType.WRITE,
        str(path),
        f"{path.name}: {reason}; nothing was saved",
        error,
        reason=reason,
    )
