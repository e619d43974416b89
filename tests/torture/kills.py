"""Writers killed at random moments; what they were told is held against what is there."""

from __future__ import annotations

import random
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from tests.backend.concurrency import make_document, number_of
from tests.torture.adapters import Adapter
from tests.torture.children import Child, fork

ROWS = 200
LONGEST_LIFE = 0.02
"""Seconds from one kill to the next, at most."""


@dataclass
class Toll:
    """What the kills have cost."""

    kills: int = 0
    saves: int = 0
    edits: int = 0
    broken: Counter[str] = field(default_factory=Counter)
    first: dict[str, str] = field(default_factory=dict)

    def add(self, kind: str, what: str) -> None:
        """Notes a loss."""
        self.broken[kind] += 1
        self.first.setdefault(kind, what)


@dataclass
class Writer:
    """A process that saves a file of its own and edits its entry in one for all, by turns."""

    index: int
    child: Child
    log: IO[bytes]
    """A letter for each call that returned, written by the child after it."""
    saved: int
    """The number in its file, and in its entry, when it began."""
    edited: int


class Loop:
    """Writers, and the hand that kills them."""

    def __init__(
        self, adapter: Adapter, folder: Path, writers: int, seed: int, edits: bool = True
    ) -> None:
        self._adapter = adapter
        self._folder = folder
        self._random = random.Random(seed)
        self._edits = edits
        self._board = folder / "board.json"
        self.toll = Toll()
        adapter.save(self._board, {self._entry(index): 0 for index in range(writers)})
        for index in range(writers):
            adapter.save(self._own(index), make_document(0, ROWS))
        self._writers = [self._start(index, 0, 0) for index in range(writers)]

    def run(self, kills: int) -> Toll:
        """Kills so many writers, each replaced at once but for the last."""
        for _ in range(kills - len(self._writers)):
            # No wait for anything: the moment of a kill is to be no moment in particular.
            time.sleep(self._random.uniform(0, LONGEST_LIFE))
            index = self._random.randrange(len(self._writers))
            self._writers[index] = self._start(index, *self._kill(self._writers[index]))
        for writer in self._writers:
            self._kill(writer)
        return self.toll

    def _entry(self, index: int) -> str:
        return f"writer{index}"

    def _own(self, index: int) -> Path:
        return self._folder / f"{self._entry(index)}.json"

    def _start(self, index: int, saved: int, edited: int) -> Writer:
        log = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115 -- closed with its writer's death
        child = fork(lambda _: self._write(index, saved, edited, log))
        return Writer(index, child, log, saved, edited)

    def _write(self, index: int, saved: int, edited: int, log: IO[bytes]) -> None:
        entry = self._entry(index)

        def change(board: dict[str, Any]) -> None:
            board[entry] = edited

        while True:
            saved += 1
            self._adapter.save(self._own(index), make_document(saved, ROWS))
            log.write(b"s")
            if self._edits:
                edited += 1
                self._adapter.edit(self._board, change)
                log.write(b"e")

    def _kill(self, writer: Writer) -> tuple[int, int]:
        """Kills a writer and judges what it left: what its successor goes on from."""
        index = writer.index
        if not writer.child.kill():
            self.toll.add("died of itself", self._entry(index))
        writer.log.seek(0)
        told = writer.log.read()
        writer.log.close()
        saves, edits = told.count(b"s"), told.count(b"e")
        self.toll.kills += 1
        self.toll.saves += saves
        self.toll.edits += edits
        saved = self._judge(
            lambda: number_of(self._adapter.read_bare(self._own(index))), writer.saved + saves
        )
        if saved is None:
            # Torn: put right by hand, so that the next kill is judged by itself.
            saved = 0
            self._own(index).write_bytes(b"")
            self._adapter.save(self._own(index), make_document(0, ROWS))
        if not self._edits:
            return saved, 0
        edited = self._judge(
            lambda: int(self._adapter.read_bare(self._board)[self._entry(index)]),
            writer.edited + edits,
        )
        return saved, edited or 0

    def _judge(self, read: Callable[[], int], acknowledged: int) -> int | None:
        """What is there: the last that was acknowledged, or the one in flight after it."""
        try:
            found = read()
        except (ValueError, LookupError, OSError) as error:
            self.toll.add("torn", repr(error))
            return None
        if found < acknowledged:
            self.toll.add("lost", f"{found} is there, {acknowledged} was acknowledged")
        elif found > acknowledged + 1:
            self.toll.add("odd", f"{found} is there, {acknowledged} was acknowledged")
        return found
