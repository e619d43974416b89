"""What the native module tells of files on disk, as dictionaries.

Private: for the package's own use of `oasis_data._native`.
"""

from typing import Literal, TypedDict


class Status(TypedDict):
    """What `stat` tells of a file.

    `size` is in bytes, `blocks` in blocks of 512 bytes on the disk, `modified` in
    nanoseconds since 1970. `device` and `inode` together tell the file from all others.
    """

    size: int
    blocks: int
    modified: int
    device: int
    inode: int


class DataFileRecord(TypedDict):
    """A data file. `status` is that of a symlink's target; None for a symlink to nothing."""

    path: str
    is_link: bool
    status: Status | None


class BackupFileRecord(TypedDict):
    """A backup in a folder.

    `of` is the path of the data file, which may be gone. `time` is the time in the backup's
    name: local time in ISO 8601.
    """

    path: str
    of: str
    time: str
    status: Status


class TemporaryRecord(TypedDict):
    """A file among the temporary files.

    `is_own` is true for a file that this package made. `owner` is the path of its data file;
    None where only a digest of a long name is known. `copy` is the path that a save copies
    the file to, if the file may not be moved out of its folder.
    """

    path: str
    is_own: bool
    owner: str | None
    copy: str


class FolderRecord(TypedDict):
    """What `inspect` tells of a folder. Every path begins with the folder as it was given.

    `backups` has those of one file together, newest first. `foreign` are unfinished writes
    of other programs. `sidecar` is the package's own folder, None if there is none.
    `unreadable` are folders that could not be listed, each with the errno.
    """

    folders: list[str]
    files: list[DataFileRecord]
    backups: list[BackupFileRecord]
    foreign: list[str]
    sidecar: str | None
    temporaries: list[TemporaryRecord]
    unreadable: list[tuple[str, int]]


class ContentRecord(TypedDict):
    """The new content of `file`, which waits in the file `temporary`."""

    file: str
    temporary: str


class BatchRecord(TypedDict):
    """An interrupted batch, as the journal of one folder tells it.

    `files` are all files that the batch changes, as far as the journals tell. `contents`
    are the new contents in the journal's folder.
    """

    journal: str
    state: Literal["decided", "undecided", "torn", "stranded", "foreign"]
    files: list[str]
    contents: list[ContentRecord]


class BackupNameRecord(TypedDict):
    """The name of a backup, taken apart.

    `of` is the name of the data file. `stamp` is the stamp as it stands in the name, with
    `.gz` for a compressed backup; `time` is the same as local time in ISO 8601. `known_as`
    are the names and stamps that an operator may call the backup by.
    """

    name: str
    of: str
    stamp: str
    time: str
    compressed: bool
    known_as: list[str]


class BackupRecord(TypedDict):
    """A backup that was read. `fault` says why its content is no document, None if it is."""

    time: str
    size: int
    compressed: bool
    fault: str | None
