"""Output: columns, colours on terminals, and a bar for long work."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any

from rich.console import Console
from rich.filesize import decimal
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn
from rich.text import Text

__all__ = ["Bar", "ago", "columns", "decimal", "plural", "print_json", "screen"]


class _Console(Console):
    def on_broken_pipe(self) -> None:
        """Leaves it to the group: rich would end with a status of another meaning."""
        raise  # called while the error is being handled


def screen(*, stderr: bool = False) -> Console:
    """Where to print. Names go out as they are: never markup, cut or wrapped."""
    stream: Any = sys.stderr if stderr else sys.stdout
    if hasattr(stream, "reconfigure"):
        # A locale without a letter of a name is no reason to stop.
        stream.reconfigure(errors="backslashreplace")
    return _Console(file=stream, markup=False, emoji=False, highlight=False, soft_wrap=True)


def columns(rows: Iterable[Sequence[str | Text]], right: frozenset[int] = frozenset()) -> Text:
    """Rows with their cells below each other; those in `right` end together."""
    cells = [[Text(cell) if isinstance(cell, str) else cell for cell in row] for row in rows]
    widths = [max(cell.cell_len for cell in column) for column in zip(*cells, strict=True)]
    lines = Text()
    for row in cells:
        line = Text("\n" if lines else "")
        for number, (cell, width) in enumerate(zip(row, widths, strict=True)):
            gap = " " * (width - cell.cell_len)
            line.append_text(Text(gap) + cell if number in right else cell + Text(gap))
            line.append("  ")
        line.rstrip()
        lines.append_text(line)
    return lines


def print_json(value: Any) -> None:
    """Prints a value for programs. In ASCII: any name, and nothing for a terminal to obey."""
    sys.stdout.write(json.dumps(value, indent=2) + "\n")


def ago(moment: datetime) -> str:
    """How long it is since a moment of local time."""
    past = datetime.now() - moment
    if past < timedelta(0):
        return "in the future"
    for seconds, unit in ((86400, "day"), (3600, "hour"), (60, "minute"), (1, "second")):
        if count := int(past.total_seconds() // seconds):
            return f"{plural(count, unit)} ago"
    return "just now"


def plural(count: int, noun: str) -> str:
    """`1 file`, `2 files`."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


class Bar:
    """A progress bar on stderr, for long work on a terminal; else nothing."""

    LONG = 20_000_000
    """Work that takes less is not worth a bar."""

    def __init__(self, doing: str, total: int) -> None:
        """Shows it at once, if it is ever to be shown.

        Args:
            doing: What is being done.
            total: How much there is to do: bytes, or what counts like them.
        """
        console = screen(stderr=True)
        self._progress = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            TaskProgressColumn(),
            TimeRemainingColumn(),
            console=console,
            transient=True,
            disable=total < self.LONG or not console.is_terminal,
        )
        self._task = self._progress.add_task(doing, total=total)

    def __enter__(self) -> Bar:
        """Shows it."""
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Takes it away, leaving no trace."""
        self._progress.stop()

    def advance(self, done: int) -> None:
        """So much more has been done."""
        self._progress.advance(self._task, done)
