"""The backups of a file: to list, restore and prune them.

Private: the names are in `oasis_data.file_operations`.
"""

import os
import time
from dataclasses import dataclass
from datetime import datetime

from oasis_data import _logging, _native
from oasis_data._paths import FilePath, folder_of, whole
from oasis_data._stores import folder_in_store
from oasis_data.error_handling import NoBackupError, OperationType


@dataclass(frozen=True)
class Backup:
    """One backup of a file.

    Attributes:
        path: The path of the backup.
        time: When the backup was made, local time; pushed forward where needed to
            keep the backups of a file in order.
        size: The bytes of the file at `path`, which may be compressed.
        compressed: Whether the backup is compressed: `path` then ends in `.gz`.
        fault: Why the backup is no whole document; None if it is. Whether it obeys rules is
            found out when it is restored (`oasis-data backups` says so before).
    """

    path: str
    time: datetime
    size: int
    compressed: bool
    fault: str | None


def list_backups(file_path: FilePath) -> list[Backup]:
    """Lists the backups of a file, newest first, and reads each to see if it is whole.

    Only names that this package makes count: the name of the file, `.backup.`, a valid
    date and time, six digits, and `.gz` for a compressed backup.

    Raises:
        JSONReadError: The folder could not be read.
    """
    folder = _folder_of(file_path)
    return [
        Backup(
            path=os.path.join(folder, name),
            time=datetime.fromisoformat(record["time"]),
            size=record["size"],
            compressed=record["compressed"],
            fault=record["fault"],
        )
        for name, record in _native.list_backups(file_path)
    ]


def restore_backup(
    file_path: FilePath,
    backup: Backup | FilePath | None = None,
    *,
    timeout: float | None = None,
) -> str:
    """Makes a backup the file's content, byte for byte, as an atomic save would.

    The content that is replaced, corrupt or not, becomes the newest backup: a second
    restore undoes the first. A file that is gone gets the backup's mode, owner and
    extended attributes.

    Args:
        file_path: The file; it may be missing.
        backup: The backup: an object from `list_backups`, or a path or name, with or
            without `.gz`. None: the newest backup that is a JSON document, and obeys the
            rules if there are any.
        timeout: Seconds to wait for another writer. None: as configured.

    Returns:
        The path of the backup that was restored.

    Raises:
        NoBackupError: There is no backup, or no backup that is a JSON document.
        InvalidDocumentError: The backup does not obey the rules as things stand now, or no
            backup does.
        JSONWriteError: As for `save_json_atomic`; or the newest backup could not be
            read, and to restore an older backup would lose the newest content.
    """
    started = time.perf_counter()
    folder = _folder_of(file_path)
    name = None
    if backup is not None:
        given = backup.path if isinstance(backup, Backup) else os.fsdecode(backup)
        beside, name = os.path.split(given)
        if beside and folder not in (os.path.realpath(beside), os.path.abspath(beside)):
            raise NoBackupError(
                OperationType.WRITE,
                os.fsdecode(file_path),
                f"{name}: is not beside the file; put it there to restore it",
            )
    restored, outcome = _native.restore_backup(
        file_path, name, timeout=timeout, versioned=_logging.writes
    )
    _logging.log_write(f"restore of {restored}", file_path, started, *outcome)
    return os.path.join(folder, restored)


def prune_backups(
    file_path: FilePath,
    *,
    keep: int | None = None,
    max_age: float | None = None,
    timeout: float | None = None,
) -> list[str]:
    """Removes old backups of a file.

    Args:
        file_path: The file; it may be missing.
        keep: How many backups stay. None: as configured.
        max_age: Seconds after which a backup is removed, except for the newest. None:
            as configured.
        timeout: Seconds to wait for a writer. None: as configured.

    Returns:
        The paths of the backups that were removed.

    Raises:
        ValueError: `keep` is negative.
        JSONWriteError: A backup could not be removed, or the lock was not free until
            the timeout.
    """
    started = time.perf_counter()
    if keep is not None and keep < 0:
        raise ValueError(f"keep={keep}: must be a number of backups, 0 or more")
    folder = _folder_of(file_path)
    removed = _native.prune_backups(file_path, keep=keep, max_age=max_age, timeout=timeout)
    if _logging.writes:
        for name in removed:
            _logging.record("prune", whole(file_path), started, backup=name)
    return [os.path.join(folder, name) for name in removed]


def _folder_of(file_path: FilePath) -> str:
    """The folder that the backups of a document lie in."""
    return folder_in_store(file_path) or folder_of(file_path)
