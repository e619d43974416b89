"""Batches of saves that a crash interrupted, told without recovering them."""

from __future__ import annotations

import os
from dataclasses import dataclass
from enum import Enum

from oasis_data import _native
from oasis_data._records import ContentRecord
from oasis_data.cli.group import program
from oasis_data.cli.spelling import quoted


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
        journal: The journal.
        state: What becomes of the batch.
        files: The files that the batch changes, as far as the journals tell.
        contents: The new contents of files in this folder.
    """

    folder: str
    journal: str
    state: State
    files: list[str]
    contents: list[ContentRecord]

    @property
    def waiting(self) -> list[str]:
        """The files in this folder that still wait for their new contents."""
        return [each["file"] for each in self.contents if os.path.lexists(each["temporary"])]


def give_up(batch: Batch) -> str:
    """The command that keeps all new contents that wait in this folder as backups."""
    files = "".join(f" --give-up {quoted(file)}" for file in batch.waiting)
    return f"{program()} recover {quoted(batch.folder)}{files}"


def interrupted(folder: str) -> list[Batch]:
    """The batches with a journal in a folder that no process carries out.

    Raises:
        OSError: A journal or its lock cannot be read.
    """
    return [
        Batch(
            folder,
            record["journal"],
            State[record["state"].upper()],
            [os.path.normpath(file) for file in record["files"]],
            record["contents"],
        )
        for record in _native.interrupted_batches(folder)
    ]
