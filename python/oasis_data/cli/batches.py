"""Batches of saves that a crash interrupted, told from their journals alone.

See `src/storage/journal.rs` for what a journal says.
"""

from __future__ import annotations

import fcntl
import json
import os
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

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
        state: What becomes of it.
        files: The files that it changes, as far as the journals tell.
        beside: Of those in this folder, the name of the new content in the
            sidecar, by the name of the file.
    """

    folder: str
    state: State
    files: list[str] = field(default_factory=list)
    beside: dict[str, str] = field(default_factory=dict)

    @property
    def contents(self) -> list[str]:
        """Where the new contents of its files in this folder are."""
        temp = os.path.join(self.folder, SIDECAR, "temp")
        return [os.path.join(temp, temporary) for temporary in self.beside.values()]

    @property
    def journal(self) -> str:
        """Where its journal is."""
        return _journal_of(self.folder)


def interrupted(folder: str) -> Batch | None:
    """The batch in a folder that nobody is carrying out any more, if there is one.

    Raises:
        OSError: The journal or its lock cannot be read.
    """
    text = _text_of(folder)
    if text is None or is_held(os.path.join(folder, SIDECAR, "journal.lock")):
        return None
    # A writer has the lock for as long as there is its journal: one that is
    # there before and after a moment without the lock is nobody's.
    if _text_of(folder) != text:
        return None
    try:
        journal = json.loads(text)
    except ValueError:  # cut short
        return Batch(folder, State.TORN)
    try:
        return _told_by(folder, journal)
    except (KeyError, TypeError):  # not the fields of this release
        return Batch(folder, State.FOREIGN)


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
        return True
    finally:
        os.close(descriptor)
    return False


def _told_by(folder: str, journal: dict[str, Any]) -> Batch:
    if journal["format"] != _FORMAT:
        return Batch(folder, State.FOREIGN)
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
    return Batch(folder, state, files, beside)


def _decision(folder: str, journal: dict[str, Any]) -> tuple[State, str, dict[str, Any]]:
    """What becomes of a batch; and the journal that tells most of it, after its folder.

    The journal of the decision has all changes, the others those of their own folders.
    """
    if journal["decided_in"] is not None:
        way = _name(journal["decided_in"])
        there = os.path.join(folder, way)
        if not _is_there(folder, journal, way):
            return State.STRANDED, folder, journal
        try:
            decision = json.loads(_text_of(there) or "null")
        except ValueError:  # cut short: it has decided nothing
            return State.UNDECIDED, folder, journal
        if not isinstance(decision, dict) or decision.get("batch") != journal["batch"]:
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


def _text_of(folder: str) -> bytes | None:
    try:
        with open(_journal_of(folder), "rb") as file:
            return file.read()
    except FileNotFoundError:
        return None


def _journal_of(folder: str) -> str:
    return os.path.join(folder, SIDECAR, "journal")


def _name(value: str | list[int]) -> str:
    # A name that is not UTF-8 is written as its bytes.
    return value if isinstance(value, str) else os.fsdecode(bytes(value))
