"""Many writers add to one counter; what was added must be there."""

from __future__ import annotations

import multiprocessing
import threading
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.torture.adapters import BY_NAME, Adapter


@dataclass
class Count:
    """What came of it."""

    tried: int
    acknowledged: int
    """Increments that returned; the others raised."""
    found: int
    """What the counter says at the end, or -1 if it cannot be read."""
    first_error: str

    @property
    def lost(self) -> int:
        """Increments that were acknowledged and are not there."""
        return self.acknowledged - self.found


def add_one(document: dict[str, Any]) -> None:
    """The change."""
    document["count"] += 1


def add(name: str, path: Path, rounds: int, threads: int) -> tuple[int, str]:
    """Adds to the counter in several threads; says how often, and the first error."""
    adapter = BY_NAME[name]
    acknowledged: list[int] = []
    errors: list[str] = []

    def work() -> None:
        for _ in range(rounds):
            try:
                adapter.edit(path, add_one)
            except Exception as error:
                errors.append(repr(error))
            else:
                acknowledged.append(1)

    workers = [threading.Thread(target=work) for _ in range(threads)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    return len(acknowledged), errors[0] if errors else ""


def race(adapter: Adapter, path: Path, processes: int, threads: int, increments: int) -> Count:
    """Adds to one counter from all sides at once."""
    adapter.save(path, {"count": 0})
    rounds = -(-increments // (processes * threads))
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(processes, mp_context=spawn) as pool:
        runs = [pool.submit(add, adapter.name, path, rounds, threads) for _ in range(processes)]
        answers = [run.result() for run in runs]
    try:
        found = int(adapter.read_bare(path)["count"])
    except (ValueError, LookupError, TypeError):
        found = -1
    acknowledged = sum(count for count, _ in answers)
    first_error = next((error for _, error in answers if error), "")
    return Count(rounds * processes * threads, acknowledged, found, first_error)
