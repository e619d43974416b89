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


def write(name: str, path: Path, writer: int, stop: Path) -> int:
    """Saves documents until told to stop; says how many saves returned."""
    adapter = BY_NAME[name]
    sequence = saved = 0
    while not stop.exists():
        sequence += 1
        document = make_document(writer * SAVES_OF_ONE_WRITER + sequence, ROWS)
        # That a save fails is for another part of the campaign.
        with suppress(Exception):
            adapter.save(path, document)
            saved += 1
    return saved


def read(name: str, path: Path, loads: int, bare: bool) -> Readings:
    """Loads, or reads as another program does, and judges each."""
    adapter = BY_NAME[name]
    load: Callable[[Path], Any] = adapter.read_bare if bare else adapter.load
    readings = Readings(bare_loads=loads) if bare else Readings(loads)
    last: dict[int, int] = {}
    for _ in range(loads):
        try:
            number = number_of(load(path))
        except Exception as error:
            readings.add(BARE_TORN if bare else TORN, repr(error))
            continue
        writer, sequence = divmod(number, SAVES_OF_ONE_WRITER)
        if sequence < last.get(writer, 0):
            readings.add(BACK, f"{sequence} of writer {writer} after {last[writer]}")
        last[writer] = sequence
    return readings


def watch(adapter: Adapter, path: Path, writers: int, readers: int, loads: int) -> Readings:
    """Reads beside writers; the first of the readers does so without the library."""
    stop = path.with_name("stop")
    adapter.save(path, make_document(0, ROWS))
    spawn = multiprocessing.get_context("spawn")
    total = Readings()
    with ProcessPoolExecutor(writers + readers, mp_context=spawn) as pool:
        writing = [
            pool.submit(write, adapter.name, path, writer, stop) for writer in range(1, writers + 1)
        ]
        share = -(-loads // readers)
        reading = [
            pool.submit(read, adapter.name, path, share, bare=reader == 0)
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
            stop.touch()
        total.saves = sum(run.result() for run in writing)
    return total
