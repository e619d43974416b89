"""Readers beside writers of self-checking documents: nothing torn, missing, or going back."""

from __future__ import annotations

import multiprocessing
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.backend.concurrency import make_document, number_of
from tests.torture.adapters import BY_NAME, Adapter

ROWS = 20
SAVES_OF_ONE_WRITER = 10**9
"""A document's number is its writer's, times this, plus how manieth save it is."""

TORN, BARE_TORN, BACK = "torn or missing", "torn or missing without the library", "going back"


@dataclass
class Readings:
    """What readers met."""

    loads: int = 0
    bare_loads: int = 0
    """Readings as another program does it."""
    saves: int = 0
    met: Counter[str] = field(default_factory=Counter)
    first: dict[str, str] = field(default_factory=dict)

    def add(self, kind: str, what: str) -> None:
        """Notes a bad load."""
        self.met[kind] += 1
        self.first.setdefault(kind, what)


def write(name: str, path: Path, writer: int) -> int:
    """Saves documents until the readers have had enough; says how many saves returned."""
    adapter = BY_NAME[name]
    stop = _stop(path)
    sequence = saved = 0
    with _attempts(path).open("ab", buffering=0) as attempts:
        while not stop.exists():
            sequence += 1
            document = make_document(writer * SAVES_OF_ONE_WRITER + sequence, ROWS)
            # That a save fails is for another part of the campaign.
            with suppress(Exception):
                adapter.save(path, document)
                saved += 1
            attempts.write(b".")
    return saved


def _stop(path: Path) -> Path:
    return path.with_name("stop")


def _attempts(path: Path) -> Path:
    return path.with_name("attempts")


def read(name: str, path: Path, loads: int, saves: int, bare: bool) -> Readings:
    """Loads, or reads as another program does, and judges each.

    At least so often, and until at least so many saves have been tried meanwhile:
    the reading may be much faster.
    """
    adapter = BY_NAME[name]
    load: Callable[[Path], Any] = adapter.read_bare if bare else adapter.load
    readings = Readings()
    attempts = _attempts(path)
    last: dict[int, int] = {}
    done = 0
    while done < loads or attempts.stat().st_size < saves:
        done += 1
        try:
            number = number_of(load(path))
        except Exception as error:
            readings.add(BARE_TORN if bare else TORN, repr(error))
            continue
        writer, sequence = divmod(number, SAVES_OF_ONE_WRITER)
        if sequence < last.get(writer, 0):
            readings.add(BACK, f"{sequence} of writer {writer} after {last[writer]}")
        last[writer] = sequence
    readings.bare_loads, readings.loads = (done, 0) if bare else (0, done)
    return readings


def watch(
    adapter: Adapter, path: Path, writers: int, readers: int, loads: int, saves: int
) -> Readings:
    """Reads beside writers; the first of the readers does so without the library."""
    adapter.save(path, make_document(0, ROWS))
    _attempts(path).touch()
    spawn = multiprocessing.get_context("spawn")
    total = Readings()
    with ProcessPoolExecutor(writers + readers, mp_context=spawn) as pool:
        writing = [
            pool.submit(write, adapter.name, path, writer) for writer in range(1, writers + 1)
        ]
        share = -(-loads // readers)
        reading = [
            pool.submit(read, adapter.name, path, share, saves, bare=reader == 0)
            for reader in range(readers)
        ]
        try:
            for run in reading:
                part = run.result()
                total.loads += part.loads
                total.bare_loads += part.bare_loads
                total.met += part.met
                total.first = part.first | total.first
        finally:
            _stop(path).touch()
        total.saves = sum(run.result() for run in writing)
    return total
