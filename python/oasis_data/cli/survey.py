"""What lies in a folder and below: data files, backups, and what other programs left."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime

from oasis_data import _native
from oasis_data._records import BackupFileRecord, DataFileRecord, Status, TemporaryRecord


@dataclass(frozen=True)
class File:
    """A file that was found.

    Attributes:
        path: The path; begins with the folder that the survey began in.
        status: What `stat` tells, through a symlink; None for a symlink to nothing.
        is_link: Whether the file is a symlink.
    """

    path: str
    status: Status | None
    is_link: bool = field(default=False, kw_only=True)

    @property
    def size(self) -> int:
        """The size in bytes."""
        return self.status["size"] if self.status else 0

    @property
    def written(self) -> datetime:
        """When the content was written, local time."""
        return datetime.fromtimestamp(self.status["modified"] / 1e9 if self.status else 0)


@dataclass(frozen=True)
class BackupFile(File):
    """A backup that was found.

    Attributes:
        of: The path of the data file, which may be gone.
        time: When the backup was made, by its name.
    """

    of: str
    time: datetime

    @property
    def written(self) -> datetime:
        """The time in the name: the stamps of the backup are those of the file that it was."""
        return self.time


@dataclass
class Folder:
    """One folder of a survey.

    Attributes:
        path: The folder.
        sidecar: The package's own folder in it; None if there is none.
        files: The data files: called `*.json`, or saved by this package, or with a backup.
        backups: Their backups, newest first.
        foreign: Unfinished writes of other programs, by their names.
        temporaries: What lies in the sidecar's folder of temporary files.
        unreadable: Folders that could not be listed, each with the reason. A `lost+found`,
            which is for root alone, is left out.
    """

    path: str
    sidecar: str | None
    files: list[File]
    backups: list[BackupFile]
    foreign: list[str]
    temporaries: list[TemporaryRecord]
    unreadable: list[tuple[str, OSError]]


def survey(root: str) -> Iterator[Folder]:
    """Looks through a folder and all below, without following symlinks to folders.

    Raises:
        OSError: `root` itself cannot be listed.
    """
    if not _native.is_in_store(root):
        os.scandir(root).close()
    waiting = [root]
    while waiting:
        folder, folders = _look(waiting.pop())
        waiting += reversed(folders)
        yield folder


def each_file_once(folders: Iterable[Folder]) -> list[Folder]:
    """Drops the symlinks to files that are there under their own names, or through another link."""
    surveyed = list(folders)
    met = set()
    for folder in surveyed:
        place = os.path.realpath(folder.path)
        met |= {
            os.path.join(place, os.path.basename(file.path))
            for file in folder.files
            if not file.is_link
        }
    for folder in surveyed:
        files, folder.files = folder.files, []
        for file in files:
            if file.is_link and file.status:
                target = os.path.realpath(file.path)
                if target in met:
                    continue
                met.add(target)
            folder.files.append(file)
    return surveyed


def backups_beside_target(link: str) -> list[BackupFile]:
    """The backups of the file that a symlink leads to, newest first: they are beside that file."""
    target = os.path.realpath(link)
    folder, _ = _look(os.path.dirname(target))
    return [backup for backup in folder.backups if backup.of == target]


def _look(path: str) -> tuple[Folder, list[str]]:
    """Tells what lies in a folder, and which folders."""
    found = _native.inspect(path)
    folder = Folder(
        path,
        found["sidecar"],
        [_file(record) for record in found["files"]],
        [_backup(record) for record in found["backups"]],
        found["foreign"],
        found["temporaries"],
        list(_unreadable(found["unreadable"])),
    )
    return folder, found["folders"]


def _file(record: DataFileRecord) -> File:
    return File(record["path"], record["status"], is_link=record["is_link"])


def _backup(record: BackupFileRecord) -> BackupFile:
    time = datetime.fromisoformat(record["time"])
    return BackupFile(record["path"], record["status"], record["of"], time)


def _unreadable(found: list[tuple[str, int]]) -> Iterator[tuple[str, OSError]]:
    for path, errno in found:
        error = OSError(errno, os.strerror(errno), path)
        # Every ext4 file system has a lost+found at its top: not worth a word each time.
        if not (isinstance(error, PermissionError) and os.path.basename(path) == "lost+found"):
            yield path, error
