"""`stats`: the files and backups in a folder, and the space that they take."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import click

from oasis_data import _native
from oasis_data._native import SIDECAR
from oasis_data._records import Status
from oasis_data.cli.choice import folder_argument
from oasis_data.cli.group import program
from oasis_data.cli.spelling import quoted, shown
from oasis_data.cli.survey import File, each_file_once, survey
from oasis_data.cli.terminal import ago, columns, decimal, plural, print_json, screen


@dataclass
class Holdings:
    """The files that were counted."""

    files: list[File] = field(default_factory=list)
    backups: list[File] = field(default_factory=list)
    backup_count: int = 0
    files_with_backups: int = 0
    sidecars: list[File] = field(default_factory=list)
    unreadable: list[str] = field(default_factory=list)


@click.command(name="stats", short_help="Count files, backups and the space that they take.")
@folder_argument
@click.option("--json", "as_json", is_flag=True, help="Print the figures as JSON.")
def command(directory: str, as_json: bool) -> None:
    """Counts the files and backups in DIR and below, and the space they take.

    These are figures of the disk. What a server has done (hits, saves, waits,
    failures) is known to its own process alone: see stats() there.

    \b
    Examples:
      oasis-data stats /srv/oasis/data
      oasis-data stats --json /srv/oasis/data | jq .free_bytes
    """
    held = _count(directory)
    figures = _figures(directory, held)
    if as_json:
        print_json(figures)
        return
    console = screen()
    rows = [
        ("files", f"{figures['files']:,}", decimal(figures["file_bytes"]), ""),
        (
            "backups",
            f"{figures['backups']:,}",
            decimal(figures["backup_bytes"]),
            f"of {plural(held.files_with_backups, 'file')}",
        ),
        (
            SIDECAR,
            f"{len(held.sidecars):,}",
            decimal(sum(each.size for each in held.sidecars)),
            "locks, and content on its way",
        ),
        ("on the disk", "", decimal(figures["disk_bytes"]), "all of these"),
    ]
    if figures["free_bytes"] is not None:
        total = f"of {decimal(figures['total_bytes'])} on its file system"
        rows.append(("free", "", decimal(figures["free_bytes"]), total))
    console.print(columns(rows, right=frozenset({1, 2})))
    moments = [
        (label, f"{moment:%Y-%m-%d %H:%M:%S}", ago(moment), shown(path))
        for label, (path, moment) in (
            ("last change", _extreme(held.files, newest=True)),
            ("oldest file", _extreme(held.files, newest=False)),
            ("newest backup", _extreme(held.backups, newest=True)),
            ("oldest backup", _extreme(held.backups, newest=False)),
        )
        if path
    ]
    if moments:
        console.print()
        console.print(columns(moments))
    console.print()
    for path in held.unreadable:
        console.print(f"Not counted, for want of permission: {shown(path)}")
    console.print(
        "A running server's own counters (hits, saves, waits) are not in this: only its "
        "process knows them."
    )
    if not held.files:
        console.print("  -> no JSON files are there: is it the right folder?")
    else:
        console.print(f"  -> is all of it whole? {program()} verify {quoted(directory)}")


def _count(directory: str) -> Holdings:
    held = Holdings()
    for folder in each_file_once(survey(directory)):
        held.files += [file for file in folder.files if file.status]
        held.backups += folder.backups
        held.backup_count += len({(backup.of, backup.time) for backup in folder.backups})
        held.files_with_backups += len({backup.of for backup in folder.backups})
        held.sidecars += _sidecar(folder.sidecar)
        held.unreadable += [path for path, _ in folder.unreadable]
    return held


def _sidecar(sidecar: str | None) -> Iterator[File]:
    for folder, _, names in os.walk(sidecar) if sidecar else ():
        for name in names:
            path = os.path.join(folder, name)
            try:
                yield File(path, _status(path))
            except FileNotFoundError:
                continue  # a temporary file whose save is done


def _status(path: str) -> Status:
    found = os.lstat(path)
    return {
        "size": found.st_size,
        "blocks": found.st_blocks,
        "modified": found.st_mtime_ns,
        "device": found.st_dev,
        "inode": found.st_ino,
    }


def _figures(directory: str, held: Holdings) -> dict[str, Any]:
    # The disk of a store is its server's, which tells nobody how full it is.
    space = None if _native.is_in_store(directory) else os.statvfs(directory)
    # A file with two names takes up its space once.
    blocks = {
        (file.status["device"], file.status["inode"]): file.status["blocks"]
        for file in [*held.files, *held.backups, *held.sidecars]
        if file.status
    }
    return {
        "directory": directory,
        "files": len(held.files),
        "file_bytes": sum(file.size for file in held.files),
        "backups": held.backup_count,
        "backup_bytes": sum(backup.size for backup in held.backups),
        "disk_bytes": 512 * sum(blocks.values()),
        "free_bytes": space and space.f_bavail * space.f_frsize,
        "total_bytes": space and space.f_blocks * space.f_frsize,
        "last_change": _stamp(_extreme(held.files, newest=True)[1]),
        "oldest_backup": _stamp(_extreme(held.backups, newest=False)[1]),
        "unreadable": held.unreadable,
    }


def _extreme(files: list[File], *, newest: bool) -> tuple[str, datetime]:
    if not files:
        return "", datetime.min
    moments = [(file.written, file.path) for file in files]
    moment, path = max(moments) if newest else min(moments)
    return path, moment


def _stamp(moment: datetime) -> str | None:
    return None if moment == datetime.min else moment.isoformat()
