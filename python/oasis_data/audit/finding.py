"""The findings of the audit, and the edits of `--fix`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

from oasis_data.audit.source import Span


@dataclass(frozen=True)
class Rule:
    """A kind of finding: its name, how bad it is, and why it is bad."""

    name: str
    level: Literal["error", "warning", "note"]
    summary: str
    danger: str


TORN_WRITE = Rule(
    "torn-write",
    "error",
    "JSON is written into the live file",
    "A crash in the middle leaves half a file, and readers meet it empty or half written.",
)
PLAIN_READ = Rule(
    "plain-read",
    "note",
    "a JSON file is read past the library",
    "It is parsed anew each time, and half of an interrupted batch can be read.",
)
STALE_CACHE = Rule(
    "stale-cache",
    "error",
    "JSON read from a file is kept in a cache of its own",
    "No other process empties it, so a reader is given what was saved long ago; "
    "and all callers share one object.",
)
CACHE_WRITE = Rule(
    "cache-write",
    "warning",
    "a cache of JSON files is written by hand",
    "The cache and the file differ when either write fails, and in every other process.",
)
LOST_UPDATE = Rule(
    "lost-update",
    "warning",
    "a JSON file is loaded, changed and saved without a lock",
    "Of two that do so at once, one loses its change.",
)
NOT_READ = Rule(
    "not-read",
    "error",
    "this file could not be audited",
    "What it does with JSON files is not known.",
)
LISTED_FOLDER = Rule(
    "listed-folder",
    "warning",
    "what is listed in a folder of JSON files is opened or removed",
    "Beside the files lie their backups and the folder .oasis_data, with locks and journals.",
)
UNUSED_SUPPRESSION = Rule(
    "unused-suppression",
    "warning",
    "a comment ignores what is not found",
    "It would hide the next finding in its place.",
)
RULES = (
    *(TORN_WRITE, PLAIN_READ, STALE_CACHE, CACHE_WRITE, LOST_UPDATE, LISTED_FOLDER),
    *(UNUSED_SUPPRESSION, NOT_READ),
)


@dataclass(frozen=True)
class Argument:
    """An expression of the source: an argument of a call, by its place; None: before the dot."""

    call: Span
    place: int | None


@dataclass(frozen=True)
class Call:
    """Replaces a call with a call of the package.

    Attributes:
        target: The call that goes.
        function: The package's function, by its own name.
        layout: The call whose way with lines is kept.
        arguments: The positional arguments.
        keywords: The others, each from the source or written out.
    """

    target: Span
    function: str
    layout: Span
    arguments: tuple[Argument, ...]
    keywords: tuple[tuple[str, Argument | str], ...]


@dataclass(frozen=True)
class Unwrap:
    """Takes an item out of a `with` statement, and takes the statement out with its last item."""

    target: Span
    item: int


@dataclass(frozen=True)
class Remove:
    """Takes out a statement."""

    target: Span


Edit: TypeAlias = Call | Unwrap | Remove


@dataclass(frozen=True)
class Finding:
    """One thing found.

    Attributes:
        rule: Its kind.
        span: Where it is.
        message: What it is.
        replacement: What to write instead.
        reason: Why `--fix` leaves it; None if it does not.
        edits: What `--fix` does.
        danger: What comes of it, where that is less than the rule says.
        suppressed: What the comment says that accepts it; None if no comment does.
        known: Whether it is in the baseline; None if there is none.
        function: The function that it is in, with the classes around it; empty for the module.
        code: Its text.
    """

    rule: Rule
    span: Span
    message: str
    replacement: str
    reason: str | None
    edits: tuple[Edit, ...] = ()
    danger: str = ""
    suppressed: str | None = None
    known: bool | None = None
    function: str = ""
    code: str = ""

    @property
    def is_open(self) -> bool:
        """Whether there is something to do about it."""
        return self.suppressed is None and not self.known

    @property
    def consequence(self) -> str:
        """What comes of it."""
        return self.danger or self.rule.danger

    @property
    def level(self) -> Literal["error", "warning", "note"]:
        """How bad it is."""
        return "warning" if self.danger else self.rule.level

    @property
    def fixable(self) -> bool:
        """Whether `--fix` replaces it."""
        return self.reason is None
