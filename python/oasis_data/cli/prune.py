"""`prune`: removes old backups."""

from __future__ import annotations

import os
import re
import sys
from datetime import datetime, timedelta

import click

from oasis_data import Backup, DataOperationError, _native, prune_backups
from oasis_data.cli.ask import confirmed
from oasis_data.cli.choice import backups_of, content_of
from oasis_data.cli.group import ATTENTION, FAILED, program, timeout_option, told
from oasis_data.cli.spelling import quoted, shown
from oasis_data.cli.stored import exists, is_folder
from oasis_data.cli.survey import BackupFile, survey
from oasis_data.cli.terminal import decimal, plural, screen

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}


def _seconds(ctx: click.Context, param: click.Parameter, value: str | None) -> float:
    """Reads an age such as `12h` or `30d`; no age is infinite."""
    if value is None:
        return float("inf")
    match = re.fullmatch(r"([0-9]{1,9})([smhdw])", value)
    if not match:
        raise click.BadParameter("a number and s, m, h, d or w, such as 30d")
    return float(match[1]) * _UNITS[match[2]]


@click.command(name="prune", short_help="Remove old backups of a file or folder; asks.")
@click.argument("path", metavar="FILE|DIR", type=click.Path(readable=False))
@click.option("--keep", type=click.IntRange(min=0), help="How many stay of each file.")
@click.option(
    "--max-age",
    metavar="AGE",
    callback=_seconds,
    help="Remove what is older, but for each file's newest: 12h, 30d, 8w.",
)
@click.option("--dry-run", "-n", is_flag=True, help="Only say what would go.")
@click.option("--yes", "-y", is_flag=True, help="Do not ask.")
@timeout_option
@click.pass_context
def command(
    ctx: click.Context,
    path: str,
    keep: int | None,
    max_age: float,
    dry_run: bool,
    yes: bool,
    timeout: float,
) -> None:
    """Removes old backups of FILE, or of all files in DIR and below.

    Name at least one of --keep and --max-age. Saves prune by themselves, to
    what the server has configured; this is for when the disk is filling. Of a
    file that would be left without any whole content, none goes; of one that
    is not there, deleted or lost, a whole backup stays in any case.

    \b
    Examples:
      oasis-data prune --keep 3 /srv/oasis/data
      oasis-data prune --max-age 30d --dry-run /srv/oasis/data
      oasis-data prune --keep 0 --yes tanks.json
    """
    if keep is None and max_age == float("inf"):
        raise click.UsageError("say what is to go: --keep NUMBER, --max-age AGE, or both")
    console = screen()
    kept = sys.maxsize if keep is None else keep
    going: dict[str, list[Backup | BackupFile]] = {}
    keeping: dict[str, int] = {}
    spared = failures = 0

    def fail(error: DataOperationError | OSError) -> None:
        nonlocal failures
        failures += 1
        screen(stderr=True).print(f"Not pruned: {told(error, program())}")

    backups, unreadable = _backups(path)
    for error in unreadable:
        fail(error)
    for file, found in backups.items():
        try:
            is_last = kept == 0 and _is_all_that_is_left(file, found)
            keeping[file] = 1 if is_last else kept
            outdated = _outdated(found, keeping[file], max_age)
            reason = _reason_to_spare(file, found, outdated)
        except OSError as error:
            fail(error)
            continue
        if reason:
            spared += 1
            console.print(f"{shown(file)}: none of its backups goes\n{reason}")
            continue
        if is_last:
            spared += 1
            removal = f"rm {quoted(found[0].path)}"
            if _native.is_in_store(file):
                removal = f"in the program, prune_backups({os.path.abspath(file)!r}, keep=0)"
            console.print(
                f"{shown(file)} is not there: its newest backup stays\n"
                f"  -> put it back: {program()} restore {quoted(file)}; or, if it was deleted on "
                f"purpose: {removal}"
            )
        if outdated:
            going[file] = outdated
    if not going:
        if not spared and not failures:
            console.print(f"Nothing to remove: {shown(path)}")
        ctx.exit(_status(spared, failures))
    for file, outdated in going.items():
        size = decimal(sum(backup.size for backup in outdated))
        console.print(f"{shown(file)}: {plural(len(outdated), 'backup')} ({size})")
    count = sum(map(len, going.values()))
    total = decimal(sum(backup.size for outdated in going.values() for backup in outdated))
    if dry_run:
        console.print(f"{plural(count, 'backup')} ({total}) would go. Nothing was changed.")
        ctx.exit(_status(spared, failures))
    if not yes and not confirmed(f"Remove {plural(count, 'backup')} ({total}) for good?"):
        console.print("Nothing was changed.")
        ctx.exit(ATTENTION)
    removed = 0
    for file, outdated in going.items():
        found = backups[file]
        try:
            # The file may have gone or been torn since the question was asked.
            is_last = len(outdated) == len(found) and _is_all_that_is_left(file, found)
            if is_last or _reason_to_spare(file, found, outdated):
                spared += 1
                console.print(
                    f"{shown(file)}: none of its backups goes\n"
                    "  it has changed since the question, and they may be all that is left of it\n"
                    f"  -> look at it first: {program()} backups {quoted(file)}"
                )
                continue
            gone = prune_backups(file, keep=keeping[file], max_age=max_age, timeout=timeout)
            removed += len(gone)
        except (DataOperationError, OSError) as error:
            fail(error)
    console.print(f"Removed {plural(removed, 'backup')}.")
    ctx.exit(_status(spared, failures))


def _status(spared: int, failures: int) -> int:
    return FAILED if failures else ATTENTION if spared else 0


def _backups(path: str) -> tuple[dict[str, list[Backup | BackupFile]], list[OSError]]:
    """The backups of each file, newest first; and why some folders could not be listed."""
    if not is_folder(path):
        return {path: [*backups_of(path)]}, []
    found: dict[str, list[Backup | BackupFile]] = {}
    unreadable: list[OSError] = []
    for folder in survey(path):
        unreadable += [error for _, error in folder.unreadable]
        # A backup that is there both plain and compressed counts once.
        for backup in {(backup.of, backup.time): backup for backup in folder.backups}.values():
            # A prune by the name of a symlink removes the backups of the file it leads to.
            if not os.path.islink(backup.of):
                found.setdefault(backup.of, []).append(backup)
    return found, unreadable


def _outdated(
    backups: list[Backup | BackupFile], keep: int, max_age: float
) -> list[Backup | BackupFile]:
    oldest = datetime.min
    if max_age < (datetime.now() - datetime.min).total_seconds():
        oldest = datetime.now() - timedelta(seconds=max_age)
    return [
        backup
        for index, backup in enumerate(backups)
        if index >= keep or (index > 0 and backup.time < oldest)
    ]


def _is_all_that_is_left(file: str, backups: list[Backup | BackupFile]) -> bool:
    """Whether a file does not exist but has a whole backup.

    The command cannot tell whether the file was deleted or lost: only a person removes the
    last whole content.
    """
    gone = not exists(file) or (os.path.islink(file) and not os.path.exists(file))
    return gone and any(_is_whole(backup.path) for backup in backups)


def _reason_to_spare(
    file: str, backups: list[Backup | BackupFile], outdated: list[Backup | BackupFile]
) -> str | None:
    """Why no backup of a file may go: the whole backups would go, and the others stay."""
    stays = [backup for backup in backups if backup not in outdated]
    if not outdated or any(_is_whole(backup.path) for backup in stays):
        return None
    whole = next((backup for backup in outdated if _is_whole(backup.path)), None)
    if whole is None:
        return None
    name = os.path.basename(whole.path)
    live = content_of(file)
    if live is not None and live.fault is not None:
        return (
            f"  neither it nor any that would stay is a JSON document, but {shown(name)} is\n"
            f"  -> put that back first: {program()} restore {quoted(file)}"
        )
    if not stays:
        return None
    torn = " ".join(quoted(backup.path) for backup in stays)
    advice = f"remove those first, if nobody needs them: rm {torn}"
    if _native.is_in_store(file):
        enough = backups.index(whole) + 1
        advice = f"keep that one too: {program()} prune --keep {enough} {quoted(file)}"
    return f"  none that would stay is a JSON document, but {shown(name)} is\n  -> {advice}"


def _is_whole(path: str) -> bool:
    content = content_of(path)
    return content is not None and content.fault is None
