"""`export`: writes the documents of a store with their backups as files, and reads them back."""

from __future__ import annotations

import os
from pathlib import Path

import click

from oasis_data.cli.content import read
from oasis_data.cli.group import program, told
from oasis_data.cli.spelling import shown
from oasis_data.cli.store import (
    History,
    LeftAloneError,
    documents_of,
    end,
    folders_are_files,
    in_store,
    told_of_store,
    url_argument,
)
from oasis_data.error_handling import DataOperationError


@click.command(name="export", short_help="Write the documents of a store as files.")
@url_argument
@click.argument("directory", metavar="DIR", type=click.Path(file_okay=False))
@click.option("--replace", is_flag=True, help="Replace files that the store knows nothing of.")
@click.pass_context
@folders_are_files()
def command(ctx: click.Context, url: str, directory: str, replace: bool) -> None:
    """Writes each document of the store at URL, with its backups, into DIR.

    Each is written byte for byte under the name that it has in the store, synced,
    and read back. What is there already is left alone, so a command that was cut
    short is run again. A file in DIR is replaced only where the store has its
    content in the history of the document; else the command says so, and goes on.

    Stop the application first, or export again when it is stopped. The store is
    not changed. DIR takes files even where OASIS_DATA_STORES or the Flask app says
    that it lies in a store.

    \b
    Examples:
      oasis-data export URL /srv/oasis/data
    """
    written = same = 0
    problems = []
    os.makedirs(directory, exist_ok=True)
    for name in documents_of(url):
        try:
            if _write(Path(directory), name, in_store(url, name), replace=replace):
                written += 1
            else:
                same += 1
        except LeftAloneError as error:
            problems.append(f"{shown(name)}: {error}")
        except DataOperationError as error:
            problems.append(told_of_store(name, error))
        except OSError as error:
            problems.append(told(error, program()))
    end(ctx, problems, "written", done=written, same=same)


def _write(directory: Path, name: str, history: History, *, replace: bool) -> bool:
    """Writes a document and its backups, and reads them back. False if they are there."""
    path = _inside(directory, name)
    path.parent.mkdir(parents=True, exist_ok=True)
    found = read(str(path)).raw if os.path.lexists(path) else None
    # safeguard: export-loses-nothing
    if found is not None and found not in history.contents and not replace:
        raise LeftAloneError(
            "the file holds what the store has not\n  -> look at both; --replace drops the file's"
        )
    files = {
        path.with_name(f"{path.name}.backup.{stamp}"): content
        for stamp, content in history.backups.items()
    }
    if history.current is not None:
        # Last: its backups are there before what they are backups of.
        files[path] = history.current
    # safeguard: damaged-is-not-deleted
    gone = history.current is None and None not in history.damaged
    if gone and found is not None:
        path.unlink()
    changed = gone and found is not None
    for file, content in files.items():
        if file.exists() and read(str(file)).raw == content:
            continue
        _publish(file, content)
        if read(str(file)).raw != content:
            raise LeftAloneError("what was written was read otherwise\n  -> look at the disk")
        changed = True
    if changed:
        _sync(path.parent)
    if history.damaged:
        names = ", ".join(stamp or "the document itself" for stamp in history.damaged)
        raise LeftAloneError(
            f"the database is damaged; all was written but {names}\n"
            "  -> look at the server of the store, or take a backup of the database"
        )
    return changed


def _inside(directory: Path, name: str) -> Path:
    """The path of a document. A name of the store leads out of the folder as little as `..`."""
    parts = name.split("/")
    # safeguard: export-stays-inside
    if name.startswith("/") or not {"", ".", ".."}.isdisjoint(parts):
        raise LeftAloneError("a file of this name would lie outside the folder")
    # safeguard: export-leaves-sidecar
    if ".oasis_data" in parts:
        raise LeftAloneError("a file of this name would lie among locks and journals")
    return directory.joinpath(*parts)


def _publish(path: Path, content: bytes) -> None:
    """Writes a file as a whole: nobody sees a part of it, and a power cut leaves no part."""
    # No document has this name. A name made of the file's could be too long.
    temporary = path.with_name(".oasis_data.export")
    with open(temporary, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    os.replace(temporary, path)


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
