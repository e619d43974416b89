"""The file and the backup of a command, by any name that an operator may give."""

from __future__ import annotations

import os
from collections.abc import Sequence
from datetime import datetime

import click
from click.shell_completion import CompletionItem

from oasis_data import Backup, JSONReadError, _native, list_backups
from oasis_data._records import BackupNameRecord
from oasis_data._rules_settings import rules_in_force
from oasis_data.cli.app import folder_of_documents
from oasis_data.cli.content import Content, raw_content, read
from oasis_data.cli.group import Failure, program
from oasis_data.cli.spelling import quoted, shown
from oasis_data.cli.stored import exists, is_folder
from oasis_data.cli.terminal import plural


def backups_of(file: str) -> list[Backup]:
    """The backups of a file, newest first; an empty list for a file without backups.

    Raises:
        Failure: The file does not exist and has no backup, or the path is that of a
            backup or a folder.
    """
    folder, name = os.path.split(os.path.abspath(file))
    if (known := _native.parse_backup_name(name)) and not os.path.islink(file):
        original = os.path.join(os.path.dirname(file), known["of"])
        raise Failure(
            f"{shown(file)} is itself a backup\n  -> name the file first, then the backup: "
            f"{quoted(original)} {quoted(name)}"
        )
    if is_folder(file):
        raise Failure(
            f"{shown(file)} is a folder\n  -> name the JSON file in it, or look at all of them: "
            f"{program()} verify {quoted(file)}"
        )
    if not _native.is_in_store(file) and not os.path.isdir(folder):
        raise Failure(f"{shown(file)}: there is no folder {shown(folder)}\n  -> check the spelling")
    found = list_backups(file)
    if not found and not exists(file):
        raise Failure(
            f"{shown(file)}: no such file, and no backup of it\n  -> see what there is: "
            f"{program()} stats {quoted(folder)}"
        )
    return found


def chosen(file: str, given: str | None) -> Backup:
    """The backup with the given path, name or stamp, or the newest whole backup.

    Of whole backups, the newest that obeys the rules in force goes before newer backups
    that do not.

    Raises:
        Failure: There is no such backup.
    """
    found = backups_of(file)
    look = f"  -> see what there is: {program()} backups {quoted(file)}"
    if given is None:
        whole = [backup for backup in found if backup.fault is None]
        # safeguard: restore-prefers-what-obeys
        for backup in whole:
            if not violations_of(file, backup):
                return backup
        if whole:
            return whole[0]
        if not found:
            raise Failure(
                f"{shown(file)} has no backup\n  -> look for a copy of it elsewhere, keep this "
                "one, and save the document anew"
            )
        raise Failure(f"{shown(file)}: of {plural(len(found), 'backup')} none is whole\n{look}")
    beside, name = os.path.split(given)
    for backup in found:
        is_here = not beside or os.path.realpath(beside) == os.path.dirname(backup.path)
        if is_here and name in _parts(backup)["known_as"]:
            return backup
    raise Failure(f"{shown(given)} is no backup of {shown(file)}\n{look}")


def violations_of(file: str, backup: Backup) -> list[str]:
    """What a whole backup would have against the rules in force, as the content of the file.

    Raises:
        DataOperationError: The rules of the file cannot be read.
    """
    rules = rules_in_force()
    content = None if rules is None or backup.fault is not None else content_of(backup.path)
    if rules is None or content is None:
        return []
    return [fault.message for fault in rules.faults(file, content.raw, raw_content)]


def first_of(violations: Sequence[str]) -> str:
    """The first violation, and how many more there are."""
    more = f"; {len(violations) - 1} more" if violations[1:] else ""
    return f"{shown(violations[0])}{more}"


def stamp_of(backup: Backup) -> str:
    """The stamp by which the commands know a backup."""
    return _parts(backup)["stamp"]


def _parts(backup: Backup) -> BackupNameRecord:
    parts = _native.parse_backup_name(os.path.basename(backup.path))
    if parts is None:
        raise ValueError(f"not the name of a backup: {backup.path!r}")
    return parts


def content_of(path: str) -> Content | None:
    """The content of a file; None for no file."""
    try:
        return read(path)
    except FileNotFoundError:
        return None


def fault_of(backup: Backup) -> str | None:
    """Why a backup cannot be restored, in the words of `verify`; None if it can be."""
    if backup.fault is None:
        return None
    try:
        content = content_of(backup.path)
    except OSError:
        return backup.fault
    return (content and content.fault) or backup.fault


def complete_folder(
    ctx: click.Context, param: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """Has the shell offer folders."""
    return [CompletionItem(incomplete, type="dir")]


def complete_backup(
    ctx: click.Context, param: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """The stamps of the file's backups, for shells."""
    try:
        known = _native.backup_names(ctx.params.get("file") or "")
    except JSONReadError:
        return []  # nothing to offer is the answer
    return [
        CompletionItem(
            name["stamp"], help=f"{datetime.fromisoformat(name['time']):%Y-%m-%d %H:%M:%S}"
        )
        for name in known
        if name["stamp"].startswith(incomplete)
    ]


folder_argument = click.argument(
    "directory",
    metavar="DIR",
    required=False,
    callback=folder_of_documents,
    shell_complete=complete_folder,
)
