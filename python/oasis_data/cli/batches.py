"""Batches of saves that a crash interrupted, told from their journals alone.

See `src/files/batch/journal.rs` for what a journal says.
"""

from __future__ import annotations

import contextlib
import fcntl
import itertools
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from oasis_data.cli.group import program
from oasis_data.cli.spelling import quoted
from oasis_data.cli.survey import SIDECAR

_FORMAT = 1


class State(Enum):
    """What becomes of an interrupted batch."""

    DECIDED = "decided: recovering it completes it"
    UNDECIDED = "not decided: recovering it takes it back, and leaves the files as they are"
    TORN = "its journal was never finished: nothing was changed, and the journal can go"
    STRANDED = "one of its folders is not there as it was (a disk that is not mounted?)"
    FOREIGN = "its journal was written by another release of this package"


@dataclass(frozen=True)
class Batch:
    """An interrupted batch, as the journal of one folder tells it.

    Attributes:
        folder: The journal's folder.
        journal: Where the journal is.
        state: What becomes of it.
        files: The files that it changes, as far as the journals tell.
        beside: Of those in this folder, the name of the new content in the
            sidecar, by the name of the file.
    """

    folder: str
    journal: str
    state: State
    files: list[str] = field(default_factory=list)
    beside: dict[str, str] = field(default_factory=dict)

    @property
    def contents(self) -> list[str]:
        """Where the new contents of its files in this folder are."""
        temp = os.path.join(self.folder, SIDECAR, "temp")
        return [os.path.join(temp, temporary) for temporary in self.beside.values()]

    @property
    def waiting(self) -> list[str]:
        """Its files in this folder that still wait for their new contents."""
        files = [os.path.join(self.folder, name) for name in self.beside]
        pairs = zip(files, self.contents, strict=True)
        return [file for file, content in pairs if os.path.lexists(content)]


def give_up(batch: Batch) -> str:
    """The command that keeps all new contents that wait in this folder as backups."""
    files = "".join(f" --give-up {quoted(file)}" for file in batch.waiting)
    return f"{program()} recover {quoted(batch.folder)}{files}"


def interrupted(folder: str) -> list[Batch]:
    """The batches in a folder that nobody is carrying out any more.

    Raises:
        OSError: A journal or its lock cannot be read.
    """
    texts = dict(_journals_in(folder))
    if not texts or is_held(os.path.join(folder, SIDECAR, "journal.lock")):
        return []
    # A writer has the lock for as long as there is its journal: one that is
    # there before and after a moment without the lock is nobody's.
    return [_batch(folder, path, text) for path, text in texts.items() if _text_of(path) == text]


def _batch(folder: str, path: str, text: bytes) -> Batch:
    try:
        journal = json.loads(text)
    except ValueError:  # cut short
        return Batch(folder, path, State.TORN)
    try:
        return _told_by(folder, path, journal)
    except (KeyError, TypeError):  # not the fields of this release
        return Batch(folder, path, State.FOREIGN)


def is_held(path: str) -> bool:
    """Whether a process holds the lock that this file is for; false for no file.

    A lock that is held is not disturbed by the question.

    Raises:
        OSError: The file cannot be opened.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        # safeguard: verify-spares-live-writers
        return True
    finally:
        os.close(descriptor)
    return False


def _told_by(folder: str, path: str, journal: dict[str, Any]) -> Batch:
    if journal["format"] != _FORMAT:
        return Batch(folder, path, State.FOREIGN)
    beside = {
        _name(change["name"]): _name(change["temporary"])
        for change in journal["changes"]
        if _name(change["folder"]) == "."
    }
    state, place, decision = _decision(folder, journal)
    files = [
        os.path.normpath(os.path.join(place, _name(change["folder"]), _name(change["name"])))
        for change in decision["changes"]
    ]
    return Batch(folder, path, state, files, beside)


def _decision(folder: str, journal: dict[str, Any]) -> tuple[State, str, dict[str, Any]]:
    """What becomes of a batch; and the journal that tells most of it, after its folder.

    The journal of the decision has all changes, the others those of their own folders.
    """
    if journal["decided_in"] is not None:
        way = _name(journal["decided_in"])
        there = os.path.join(folder, way)
        if not _is_there(folder, journal, way):
            return State.STRANDED, folder, journal
        decision = _journal_of(there, journal["batch"])
        if decision is None:
            return State.UNDECIDED, folder, journal
        folder, journal = there, decision
    ways = {_name(change["folder"]) for change in journal["changes"]} - {"."}
    are_there = all(_is_there(folder, journal, way) for way in ways)
    return State.DECIDED if are_there else State.STRANDED, folder, journal


def _is_there(folder: str, journal: dict[str, Any], way: str) -> bool:
    """Whether the way leads to the folder that the journal means, known by its mark."""
    marks = [place["mark"] for place in journal["places"] if _name(place["folder"]) == way]
    try:
        with open(os.path.join(folder, way, SIDECAR, "journal.lock"), encoding="ascii") as file:
            return file.read().removesuffix("\n") in marks
    except (FileNotFoundError, UnicodeDecodeError):
        return False


def _journal_of(folder: str, batch: str) -> dict[str, Any] | None:
    """The journal of a batch in a folder, if it is there and whole."""
    for _, text in _journals_in(folder):
        with contextlib.suppress(ValueError):  # cut short: it has decided nothing
            journal = json.loads(text)
            if isinstance(journal, dict) and journal.get("batch") == batch:
                return journal
    return None


def _journals_in(folder: str) -> Iterator[tuple[str, bytes]]:
    """The journals of a folder and their texts. One is there only while all before it are."""
    for number in itertools.count():
        path = os.path.join(folder, SIDECAR, f"journal.{number}" if number else "journal")
        text = _text_of(path)
        if text is None:
            return
        yield path, text


def _text_of(path: str) -> bytes | None:
    try:
        with open(path, "rb") as file:
            return file.read()
    except FileNotFoundError:
        return None


def _name(value: str | list[int]) -> str:
    # A name that is not UTF-8 is written as its bytes.
    return value if isinstance(value, str) else os.fsdecode(bytes(value))
