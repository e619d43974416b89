"""What there is in a folder and below: data files, backups, and what others left."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime

SIDECAR = ".oasis_data"
"""The package's own folder beside the data files."""

_BACKUP = re.compile(
    r"(.+)\.backup\.(\d{4})(\d\d)(\d\d)_(\d\d)(\d\d)(\d\d)_(\d{6})(?:\.gz)?",
    re.DOTALL | re.ASCII,
)
_TEMPORARY = re.compile(r"(.+)\.[A-Za-z0-9]{12}", re.DOTALL)
# What editors and bare writers leave: x.json.tmp, x.json~, .x.json.swp
_FOREIGN = re.compile(r".*(\.tmp|~|\.sw[a-p])", re.DOTALL | re.IGNORECASE)


@dataclass(frozen=True)
class File:
    """A file that was found.

    Attributes:
        path: Where, as spelt from the folder that the survey began in.
        status: Its `stat`, through a symlink; None for a symlink to nothing.
        is_link: Whether it is a symlink.
    """

    path: str
    status: os.stat_result | None
    is_link: bool = field(default=False, kw_only=True)

    @property
    def size(self) -> int:
        """Its size in bytes."""
        return self.status.st_size if self.status else 0

    @property
    def written(self) -> datetime:
        """When its content was written, local time."""
        return datetime.fromtimestamp(self.status.st_mtime if self.status else 0)


@dataclass(frozen=True)
class BackupFile(File):
    """A backup that was found.

    Attributes:
        of: The file that it is a backup of, there or not.
        time: When it was made, by its name.
    """

    of: str
    time: datetime

    @property
    def written(self) -> datetime:
        """By its name: its stamps are those of the file that it was."""
        return self.time


@dataclass
class Folder:
    """One folder's share of a survey.

    Attributes:
        path: The folder.
        has_sidecar: Whether the package's own folder is in it.
        files: The data files: called `*.json`, or saved by this package, or
            with a backup.
        backups: Their backups, newest first.
        foreign: What other programs' unfinished writes look like.
        temporaries: What stands in the sidecar's folder of temporary files.
        unreadable: Folders that could not be listed, each with the reason;
            but not a `lost+found`, which is for root alone.
    """

    path: str
    has_sidecar: bool = False
    files: list[File] = field(default_factory=list)
    backups: list[BackupFile] = field(default_factory=list)
    foreign: list[str] = field(default_factory=list)
    temporaries: list[str] = field(default_factory=list)
    unreadable: list[tuple[str, OSError]] = field(default_factory=list)


def survey(root: str) -> Iterator[Folder]:
    """Looks through a folder and all below, without following symlinks to folders.

    Raises:
        OSError: The first folder itself cannot be listed.
    """
    os.scandir(root).close()
    waiting = [root]
    while waiting:
        folder = Folder(waiting.pop())
        waiting += sorted(_look(folder), reverse=True)
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
    folder = Folder(os.path.dirname(target))
    _look(folder)
    return [backup for backup in folder.backups if backup.of == target]


def owner_of(temporary: str) -> str | None:
    """The name of the file that the temporary file at a path is for; None if it is not ours.

    A digest stands for a name that is too long.
    """
    match = _TEMPORARY.fullmatch(os.path.basename(temporary))
    return match[1] if match and not os.path.isdir(temporary) else None


def copy_of(temporary: str, folder: str) -> str:
    """Where a save copies a temporary file to, if it may not be moved out of its folder."""
    return os.path.join(folder, f".{os.path.basename(temporary)}")


def is_digest(owner: str) -> bool:
    """Whether the name of a temporary file's owner is a digest of a longer name."""
    return re.fullmatch("[0-9a-f]{64}", owner) is not None


def backup_name(name: str) -> tuple[str, datetime] | None:
    """The name of the file that a backup of this name is of, and its time."""
    match = _BACKUP.fullmatch(name)
    if not match or match[2] == "9999":  # as the package itself
        return None
    try:
        return match[1], datetime(*map(int, match.groups()[1:]))  # type: ignore[arg-type]
    except ValueError:  # digits that are no date
        return None


def _look(folder: Folder) -> list[str]:
    """Fills the folder in. Returns the folders in it."""
    folders: list[str] = []
    others: list[os.DirEntry[str]] = []
    saved: set[str] = set()
    for entry in _listed(folder, folder.path):
        if entry.is_dir(follow_symlinks=False):
            if entry.name == SIDECAR:
                folder.has_sidecar = True
                saved = _look_into_sidecar(folder, entry.path)
            else:
                folders.append(entry.path)
        elif known := backup_name(entry.name):
            if entry.is_file(follow_symlinks=False) and (found := _stat(entry)):
                of = os.path.join(folder.path, known[0])
                folder.backups.append(BackupFile(entry.path, found, of, known[1]))
        else:
            others.append(entry)
    saved |= {os.path.basename(backup.of) for backup in folder.backups}
    for entry in others:
        if entry.name in saved or entry.name.lower().endswith(".json"):
            found = _stat(entry)
            if entry.is_symlink() if found is None else stat.S_ISREG(found.st_mode):
                folder.files.append(File(entry.path, found, is_link=entry.is_symlink()))
        elif _FOREIGN.fullmatch(entry.name):
            folder.foreign.append(entry.path)
    folder.files.sort(key=lambda file: file.path)
    _drop_aliases(folder)
    if not (folder.files or folder.backups or saved):
        folder.foreign.clear()  # of no concern here
    return folders


def _look_into_sidecar(folder: Folder, sidecar: str) -> set[str]:
    """Notes the temporary files. Returns the names of files that were locked."""
    temporary = os.path.join(sidecar, "temp")
    folder.temporaries = [entry.path for entry in _listed(folder, temporary)]
    locks = _listed(folder, os.path.join(sidecar, "locks"))
    return {entry.name.removesuffix(".lock") for entry in locks if entry.name.endswith(".lock")}


def _listed(folder: Folder, path: str) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(path) as entries:
            return list(entries)
    except FileNotFoundError:
        return []  # removed meanwhile, or never needed
    except OSError as error:
        # Every ext4 file system has one at its top: not worth a word each time.
        if not (isinstance(error, PermissionError) and os.path.basename(path) == "lost+found"):
            folder.unreadable.append((path, error))
        return []


def _stat(entry: os.DirEntry[str]) -> os.stat_result | None:
    try:
        return entry.stat()
    except OSError:  # gone meanwhile, or a symlink to nothing
        return None


def _drop_aliases(folder: Folder) -> None:
    """Drops what a writer left that was killed after linking a backup.

    It is the live file under a second name; the next save makes it a backup.
    """
    folder.backups.sort(key=lambda backup: (backup.of, backup.time, backup.path), reverse=True)
    live = {file.path: file.status for file in folder.files}

    def is_alias(backup: BackupFile) -> bool:
        file = live.get(backup.of)
        return bool(file and backup.status and os.path.samestat(file, backup.status))

    folder.backups = [backup for backup in folder.backups if not is_alias(backup)]
