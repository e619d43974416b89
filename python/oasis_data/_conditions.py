"""Writes under the conditions of a request: If-Match and If-None-Match.

Private: the names are in `oasis_data.flask`.
"""

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from flask import request

from oasis_data.error_handling import JSONReadError, OperationType, VersionConflictError
from oasis_data.file_operations import MISSING, load_with_version

_T = TypeVar("_T")

# No file has this version: a save that asks for it tells which version the file has.
_NO_VERSION = "*"
# To load again does not help: the client gets the tag that was refused.
_WEAK = (
    'If-Match has a weak ETag (W/"..."), and only a strong one allows a save; a proxy makes '
    "ETags weak where it compresses answers: switch its compression off for this address "
    '(nginx: "gzip off;"), then load the document again'
)
_SUFFIXED = (
    "the ETag in If-Match was given a suffix on its way; a proxy does that where it compresses "
    'answers: switch that off for this address (Apache: "DeflateAlterETag NoChange"), then load '
    "the document again"
)


class ChangedETagError(VersionConflictError):
    """If-Match does not have the ETag as the server sent it: a proxy changes ETags.

    Attributes:
        reason: What the proxy has changed, and what to do about the proxy.
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
        expected: str = "",
        found: str = "",
        reason: str = "",
    ) -> None:
        """Takes `VersionConflictError`'s arguments and the reason."""
        super().__init__(
            operation, file_path, message, original_error, expected=expected, found=found
        )
        self.reason = reason


def is_conditional() -> bool:
    """Whether the request has a condition on the version."""
    return "If-Match" in request.headers or "If-None-Match" in request.headers


def write_if_allowed(path: Path, write: Callable[[str | None], _T]) -> _T:
    """Writes if the conditions of the request are met.

    Args:
        path: The document's file.
        write: Writes over the version that it is given, and raises `VersionConflictError`
            for any other; None is for a request without conditions.

    Returns:
        What `write` returns.

    Raises:
        VersionConflictError: The conditions are not met; nothing was written.
    """
    if not is_conditional():
        return write(None)
    expected, allows = _condition(path)
    while True:
        try:
            # safeguard: client-version-saved-over
            return write(expected)
        except VersionConflictError as conflict:
            # The request may allow several versions: the version that is there is tried next.
            if not allows(conflict.found):
                if (reason := _change_on_the_way(conflict.found)) is not None:
                    done = "deleted" if conflict.operation is OperationType.DELETE else "saved"
                    raise ChangedETagError(
                        conflict.operation,
                        conflict.file_path,
                        f"{path.name}: {reason}; nothing was {done}",
                        conflict,
                        expected=conflict.expected,
                        found=conflict.found,
                        reason=reason,
                    ) from conflict
                raise
            expected = conflict.found


def _condition(path: Path) -> tuple[str, Callable[[str], bool]]:
    """The version to try first, and whether the request allows to save over a version."""
    match, none_match = request.if_match, request.if_none_match
    # A header without a readable tag allows no version.
    # safeguard: unreadable-if-match
    has_match = "If-Match" in request.headers

    def allows(version: str) -> bool:
        exists = version != MISSING
        # `contains` is true for each of `*`, and never for a weak tag.
        # safeguard: no-file-is-no-match
        if has_match and not (exists and match.contains(version)):
            return False
        return not (exists and none_match.contains_weak(version))

    # An empty tag comes as None, which would ask for no version at all.
    # safeguard: empty-if-match-tag
    allowed = [tag for tag in match.as_set() if tag and allows(tag)]
    # The version is read where the request does not name exactly one: a save that finds
    # it out by a conflict counts as failed.
    first = allowed[0] if len(allowed) == 1 else _version_at(path)
    if not allows(first):
        first = _NO_VERSION if has_match else MISSING
    return first, allows


def _change_on_the_way(found: str) -> str | None:
    """What a proxy has done to the tag in If-Match, if that is why it does not match."""
    match = request.if_match
    if match.contains(found):
        return None
    if match.as_set(include_weak=True) != match.as_set():
        # safeguard: weak-tag-told
        return _WEAK
    return _SUFFIXED if any(tag and tag.startswith(found) for tag in match) else None


def _version_at(path: Path) -> str:
    try:
        return load_with_version(path)[1]
    except JSONReadError:
        return _NO_VERSION
