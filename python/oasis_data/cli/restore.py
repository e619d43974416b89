"""`restore`: puts a backup back, after showing what that changes."""

from __future__ import annotations

import sys

import click

from oasis_data import Backup, configure, list_backups, restore_backup
from oasis_data.cli.ask import confirmed
from oasis_data.cli.choice import (
    backups_of,
    chosen,
    complete_backup,
    content_of,
    first_of,
    stamp_of,
    violations_of,
)
from oasis_data.cli.content import read
from oasis_data.cli.diff import show
from oasis_data.cli.group import ATTENTION, Failure, program, rules_option, timeout_option
from oasis_data.cli.spelling import quoted, shown
from oasis_data.cli.terminal import screen

_LINES = 40


@click.command(name="restore", short_help="Put a backup back; shows what changes, and asks.")
@click.argument("file", type=click.Path(readable=False))
@click.argument("backup", required=False, shell_complete=complete_backup)
@click.option("--yes", "-y", is_flag=True, help="Do not ask.")
@timeout_option
@rules_option
@click.pass_context
def command(ctx: click.Context, file: str, backup: str | None, yes: bool, timeout: float) -> None:
    """Makes a backup the content of FILE, as one atomic save.

    BACKUP is the path, the name or the stamp of one; without it, the newest
    that is a JSON document and obeys the rules. What it changes is shown first, and nothing is
    done without a yes. What is replaced becomes a backup itself, however
    broken: a restore can be undone. A server need not be stopped: it sees the
    restored file with its next load.

    \b
    Examples:
      oasis-data restore tanks.json
      oasis-data restore tanks.json 20261123_064003_123456
      oasis-data restore --yes tanks.json
    """
    back = chosen(file, backup)
    console = screen()
    for newer in backups_of(file) if backup is None else []:
        if newer.path == back.path:
            break
        for violation in violations_of(file, newer)[:1]:
            console.print(f"Passed over {stamp_of(newer)}: {shown(violation)}")
    # Before the question: a yes would be in vain. An old fault may stay where the app says so.
    if not configure()["rules_grandfathered"] and (violations := violations_of(file, back)):
        raise Failure(_refusal(file, back, violations, named=backup is not None))
    while True:
        live = content_of(file)
        if not show(console, file, live, back, read(back.path), limit=_LINES):
            console.print("Nothing to restore.")
            return
        if not yes and not confirmed(f"Restore {shown(file)}?"):
            console.print("Nothing was changed.")
            ctx.exit(ATTENTION)
        now = content_of(file)
        # safeguard: restore-looks-again
        if (now and now.raw) == (live and live.raw):
            break
        console.print("\nSomebody has saved the file meanwhile. What a restore changes now:")
    # How many backups are kept is the server's to say: none goes for this one.
    # safeguard: restore-prunes-nothing
    configure(backups_kept=sys.maxsize)
    restore_backup(file, back, timeout=timeout)
    console.print(f"Restored {shown(file)}.")
    if live is not None:
        kept = next((each for each in list_backups(file) if _raw(each) == live.raw), None)
        if kept:
            console.print(f"What it held before is a backup now: {shown(kept.path)}")
        if kept and kept.fault is None:
            console.print(f"  -> to undo: {program()} restore {quoted(file)} {stamp_of(kept)}")


def _raw(backup: Backup) -> bytes | None:
    content = content_of(backup.path)
    return content.raw if content else None


def _refusal(file: str, back: Backup, violations: list[str], *, named: bool) -> str:
    stamp = stamp_of(back)
    which = f"{stamp} of {shown(file)}" if named else f"no backup of {shown(file)} obeys; {stamp}"
    return (
        f"{which} is against the rules: {first_of(violations)}\n"
        f"  -> see which obey: {program()} backups {quoted(file)}\n"
        f"  -> put it back without rules: {program()} restore --rules '' {quoted(file)} {stamp}"
    )
