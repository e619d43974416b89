"""Documents with their histories, in files and in a store: what `import` and `export` compare."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import click

from oasis_data import DataOperationError, _native, configure
from oasis_data._stores import store_url
from oasis_data.cli.content import read
from oasis_data.cli.group import ATTENTION, Failure
from oasis_data.cli.spelling import shown
from oasis_data.cli.survey import BackupFile, File, Folder, survey
from oasis_data.cli.terminal import plural, screen

url_argument = click.argument("url", metavar="URL")


class LeftAloneError(Exception):
    """A document that a command leaves as it is; the text says why, and what to do."""


@dataclass(frozen=True)
class History:
    """A document with its backups.

    Attributes:
        backups: The contents of the backups by the stamps in their names, oldest first.
        current: The content; None for a document that was deleted.
        saved_at: When the content was saved: seconds since 1970.
        damaged: The stamps of backups that the store has no whole content of; None for that
            of the document.
    """

    backups: dict[str, bytes]
    current: bytes | None
    saved_at: float
    damaged: Sequence[str | None] = ()

    @property
    def contents(self) -> set[bytes]:
        """Each content that can be had back."""
        now = set() if self.current is None else {self.current}
        return now | set(self.backups.values())

    def is_same(self, other: History) -> bool:
        """Whether both are the same to whoever loads, lists and restores."""
        return (
            self.current == other.current
            and self.backups == other.backups
            and not self.damaged
            and not other.damaged
        )


def in_store(url: str, name: str) -> History:
    """A document of a store.

    Raises:
        DataOperationError: The store did not answer.
    """
    try:
        backups, current, damaged = _native.store_history(url, name)
    except ValueError as error:
        raise unusable(error) from None
    content, saved_at = current or (None, 0.0)
    return History(dict(backups), content, saved_at, damaged)


def documents_of(url: str) -> list[str]:
    """The names of the documents of a store, and of those that have backups only.

    Raises:
        Failure: The URL cannot be used, or the store did not answer.
    """
    try:
        return _native.store_documents(url)
    except (ValueError, DataOperationError) as error:
        raise unusable(error) from None


@contextmanager
def folders_are_files() -> Iterator[None]:
    """Has every folder be a folder of files meanwhile.

    The setting that maps a folder to a store may be in force already, or still.
    """
    stores = {folder: store_url(folder) for folder in configure()["stores"]}
    # safeguard: import-reads-files
    configure(stores={})
    try:
        yield
    finally:
        configure(stores=stores)


def end(ctx: click.Context, problems: Sequence[str], act: str, *, done: int, same: int) -> None:
    """Tells what became of each document, in the word for the act, and ends the command."""
    console = screen()
    for problem in problems:
        console.print(problem)
    console.print(
        f"{plural(done, 'document')} {act} and read back, "
        f"{same:,} there already, {len(problems):,} not {act}."
    )
    ctx.exit(ATTENTION if problems else 0)


def told_of_store(name: str, error: DataOperationError) -> str:
    """Why a document could not be moved; its name is that in the store."""
    reason = error.message.removeprefix(f"{os.path.basename(name)}: ")
    return f"{shown(name)}: {shown(reason)}"


def unusable(error: ValueError | DataOperationError) -> Failure:
    """What is wrong with a URL or with its store; the error does not have the URL."""
    if isinstance(error, DataOperationError):
        return Failure(shown(error.message))
    return Failure(
        f"{shown(str(error))}\n  -> give it as postgresql://USER@HOST/DATABASE?schema=SCHEMA"
    )


@dataclass
class Document:
    """A document in files.

    Attributes:
        name: The name of the document, relative to the folder that was looked through.
        file: The file, if it is there.
        backups: Its backups, newest first.
    """

    name: str
    file: File | None
    backups: list[BackupFile]

    @property
    def size(self) -> int:
        """How many bytes there are to read."""
        return sum(each.size for each in [self.file, *self.backups] if each)

    def read(self) -> History:
        """Reads it with its backups.

        Raises:
            OSError: A file cannot be read.
        """
        backups = {
            _stamp(backup): read(backup.path).raw
            for backup in sorted(self.backups, key=lambda backup: backup.time)
        }
        if self.file is None:
            return History(backups, None, 0.0)
        status = os.stat(self.file.path)
        return History(backups, read(self.file.path).raw, status.st_mtime)


def in_files(directory: str) -> tuple[list[Document], list[Folder]]:
    """The documents in a folder and below, by their names; and the folders.

    Raises:
        OSError: The folder cannot be listed.
    """
    found: dict[str, Document] = {}
    folders = list(survey(directory))
    for folder in folders:
        for path, file in _each(folder):
            name = os.path.relpath(path, directory)
            document = found.setdefault(name, Document(name, None, []))
            if isinstance(file, BackupFile):
                document.backups.append(file)
            else:
                document.file = file
    return [found[name] for name in sorted(found)], folders


def _each(folder: Folder) -> Iterator[tuple[str, File]]:
    for file in folder.files:
        yield file.path, file
    for backup in folder.backups:
        yield backup.of, backup


def _stamp(backup: BackupFile) -> str:
    return backup.time.strftime("%Y%m%d_%H%M%S_%f")
