"""`diff`: what a restore of a backup would change."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from typing import Any

import click
from rich.console import Console
from rich.text import Text

from oasis_data import Backup
from oasis_data.cli.changes import Change, changes
from oasis_data.cli.choice import chosen, complete_backup, content_of, stamp_of
from oasis_data.cli.content import Content, read
from oasis_data.cli.group import ATTENTION, Failure, program
from oasis_data.cli.spelling import quoted, shown
from oasis_data.cli.terminal import ago, decimal, plural, screen

_COLOURS = {"+": "green", "-": "red", "~": "yellow"}
_WIDTH = 60


@click.command(name="diff", short_help="Show what putting a backup back would change.")
@click.argument("file", type=click.Path(readable=False))
@click.argument("backup", required=False, shell_complete=complete_backup)
@click.pass_context
def command(ctx: click.Context, file: str, backup: str | None) -> None:
    """Shows what `restore FILE [BACKUP]` would change, value by value.

    BACKUP is the path, the name or the stamp of one; without it, the newest
    that is a JSON document. Each line is a value that would be there again
    (+), go (-), or be another (~). A list is compared by its elements, not
    their places: one put in front changes nothing behind it.

    The exit status is 0 if nothing would change, 1 if something would. Like
    any use of a file, this completes a batch of saves that a crash interrupted.

    \b
    Examples:
      oasis-data diff tanks.json
      oasis-data diff tanks.json 20261123_064003_123456
    """
    back = chosen(file, backup)
    console = screen()
    differs = show(console, file, content_of(file), back, read(back.path))
    if differs:
        console.print(
            f"  -> to put it back: {program()} restore {quoted(file)} {quoted(stamp_of(back))}"
        )
    ctx.exit(ATTENTION if differs else 0)


def show(
    console: Console,
    file: str,
    live: Content | None,
    backup: Backup,
    content: Content,
    limit: int | None = None,
) -> bool:
    """Prints what a restore of `content` would change, in `limit` lines at most.

    Returns:
        Whether the restore would change anything.

    Raises:
        Failure: The backup is no JSON document, or cannot be compared.
    """
    made = f"{shown(_name(backup))} of {backup.time:%Y-%m-%d %H:%M:%S} ({ago(backup.time)})"
    if content.fault is not None:
        raise Failure(
            f"{made} is no JSON document: {content.fault}\n"
            f"  -> see which ones are: {program()} backups {quoted(file)}"
        )
    if live is not None and live.raw == content.raw:
        console.print(f"{shown(file)} has just the content of {made}.")
        return False
    if live is None:
        console.print(f"There is no {shown(file)}; {made} would be put in its place:")
        console.print(f"  {summary(content)}")
    elif live.fault is not None:
        console.print(f"{shown(file)} is no JSON document ({live.fault}).")
        console.print(f"{made} would be put in its place:")
        console.print(f"  {summary(content)}")
    else:
        console.print(f"{made} put back would change {shown(file)}:")
        _show_changes(console, file, changes(live.document, content.document), limit)
    return True


def summary(content: Content) -> str:
    """A document in one line."""
    document = content.document
    size = decimal(len(content.raw))
    if isinstance(document, dict):
        keys = ", ".join(itertools.islice(document, 8)) + (", ..." if len(document) > 8 else "")
        return shown(f"an object of {size} with {plural(len(document), 'key')}: {keys}")
    if isinstance(document, list):
        return f"a list of {size} with {plural(len(document), 'element')}"
    return f"{_value(document)} ({size})"


def _show_changes(console: Console, file: str, found: Iterator[Change], limit: int | None) -> None:
    count = 0
    try:
        for change in found:
            count += 1
            if limit is None or count <= limit:
                console.print(_line(change))
    except RecursionError as error:
        raise Failure(f"{shown(file)}: nested too deeply to be compared") from error
    if limit is not None and count > limit:
        console.print(f"  ... and {plural(count - limit, 'change')} more: see {program()} diff")
    if not count:
        console.print("  no value: only the order of keys, or blanks and line ends")


def _line(change: Change) -> Text:
    if change.sign == "~":
        value = f"{_value(change.before)} -> {_value(change.after)}"
    else:
        value = _value(change.after if change.sign == "+" else change.before)
    sign = (f"  {change.sign} ", _COLOURS[change.sign])
    return Text.assemble(sign, (shown(change.place), "bold"), f"  {value}")


def _value(value: Any) -> str:
    text = shown(json.dumps(value, ensure_ascii=False))
    if len(text) <= _WIDTH:
        return text
    return f"{text[:_WIDTH]}... ({len(text):,} characters)"


def _name(backup: Backup) -> str:
    return backup.path.rpartition("/")[2]
