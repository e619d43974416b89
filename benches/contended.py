"""Edits of one document by many at once.

    python benches/contended.py [quick]

Each contender adds to a counter in a document, in so many processes (or threads of one process)
at the same time, and every edit is on the disk when it returns. The contenders take turns in one
run. A row gives the median number of edits a second, that number as a multiple of the one of a
single process, and the least process's share of the mean. A lost edit ends the run.
"""

from __future__ import annotations

import fcntl
import multiprocessing
import os
import sqlite3
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import Any

import orjson
from filelock import FileLock

import oasis_data

Edit = Callable[[Path], None]
Curves = dict[str, list[tuple[int, float]]]
"""The edits a second of each contender, by the number of those who edit."""


def document(size: int) -> dict[str, Any]:
    """A document whose text has about so many bytes."""
    line = {"tank": "TK-101", "level": 12.5, "product": "naphtha", "open": True}
    return {"count": 0, "lines": [line] * (size // 110)}


def publish(path: Path, content: object) -> int:
    """A careful save up to its rename; returns the folder, open, whose sync is left to do."""
    folder = os.path.dirname(path)
    descriptor, temporary = tempfile.mkstemp(dir=folder)
    with open(descriptor, "wb") as file:
        file.write(orjson.dumps(content, None, orjson.OPT_INDENT_2))
        file.flush()
        os.fsync(descriptor)
    opened = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    os.rename(temporary, path)
    return opened


def sync(folder: int) -> None:
    """Waits for the disk, and closes the folder."""
    os.fsync(folder)
    os.close(folder)


def edit(path: Path) -> None:
    """The package's own."""
    with oasis_data.edit_json(path, timeout=120) as content:
        content["count"] += 1


def edit_by_hand(path: Path) -> None:
    """As one would write it with filelock and orjson."""
    with FileLock(f"{path}.lock", poll_interval=0.001):
        content = orjson.loads(path.read_bytes())
        content["count"] += 1
        sync(publish(path, content))


def edit_by_prototype(path: Path) -> None:
    """A blocking lock, without a deadline; let go before the folder is synced."""
    lock = os.open(f"{path}.flock", os.O_RDWR | os.O_CREAT)
    fcntl.flock(lock, fcntl.LOCK_EX)
    content = orjson.loads(path.read_bytes())
    content["count"] += 1
    folder = publish(path, content)
    os.close(lock)
    sync(folder)


CONNECTIONS = threading.local()


def edit_sqlite(path: Path) -> None:
    """A row of a table, in a transaction."""
    connections = CONNECTIONS.__dict__
    if str(path) not in connections:
        opened = sqlite3.connect(path, timeout=120, isolation_level=None)
        opened.execute("PRAGMA synchronous=FULL")
        connections[str(path)] = opened
    connection = connections[str(path)]
    connection.execute("BEGIN IMMEDIATE")
    content = orjson.loads(connection.execute("SELECT text FROM documents").fetchone()[0])
    content["count"] += 1
    connection.execute("UPDATE documents SET text = ?", (orjson.dumps(content),))
    connection.execute("COMMIT")


WITH_LOG = "SQLite, write-ahead log"
CONTENDERS: dict[str, Edit] = {
    "oasis_data": edit,
    "filelock + orjson, by hand": edit_by_hand,
    "SQLite, rollback journal": edit_sqlite,
    WITH_LOG: edit_sqlite,
    "flock let go before the folder's sync": edit_by_prototype,
}


def prepare(name: str, path: Path, size: int) -> None:
    """Puts the document where the contender edits it."""
    content = document(size)
    if name.startswith("SQLite"):
        with sqlite3.connect(path) as database:
            # The file keeps the mode.
            database.execute(f"PRAGMA journal_mode={'WAL' if name == WITH_LOG else 'DELETE'}")
            database.execute("CREATE TABLE documents (text TEXT)")
            database.execute("INSERT INTO documents VALUES (?)", (orjson.dumps(content),))
        database.close()
    else:
        path.write_bytes(orjson.dumps(content, None, orjson.OPT_INDENT_2))


def count(name: str, path: Path) -> int:
    """How many edits the document has seen."""
    if name.startswith("SQLite"):
        with sqlite3.connect(path) as database:
            text = database.execute("SELECT text FROM documents").fetchone()[0]
        database.close()
    else:
        text = path.read_bytes()
    return int(orjson.loads(text)["count"])


def edits(name: str, path: Path, seconds: float) -> int:
    """Edits until the time is over; returns how often."""
    act, done = CONTENDERS[name], 0
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        act(path)
        done += 1
    return done


def serve(orders: Connection, barrier: Barrier) -> None:
    """A process that edits when it is told to."""
    while order := orders.recv():
        barrier.wait()
        orders.send(edits(*order))


@contextmanager
def processes(number: int) -> Iterator[Callable[[str, Path, float], list[int]]]:
    """So many processes, and what has them edit all at once: it returns the edits of each."""
    context = multiprocessing.get_context("spawn")
    barrier = context.Barrier(number)
    pipes = [context.Pipe() for _ in range(number)]
    started = [context.Process(target=serve, args=(there, barrier)) for _, there in pipes]
    for process in started:
        process.start()

    def run(name: str, path: Path, seconds: float) -> list[int]:
        for here, _ in pipes:
            here.send((name, path, seconds))
        return [here.recv() for here, _ in pipes]

    try:
        yield run
    finally:
        for here, _ in pipes:
            here.send(None)
        for process in started:
            process.join()


@contextmanager
def threads(number: int) -> Iterator[Callable[[str, Path, float], list[int]]]:
    """The same with threads of this process."""

    def run(name: str, path: Path, seconds: float) -> list[int]:
        done: list[int] = []
        workers = [
            threading.Thread(target=lambda: done.append(edits(name, path, seconds)))
            for _ in range(number)
        ]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        return done

    yield run


@dataclass
class Rate:
    """What one contender reached with a number of processes."""

    per_second: list[float] = field(default_factory=list)
    least_share: list[float] = field(default_factory=list)

    def add(self, done: list[int], seconds: float) -> None:
        """What each process has done in a turn."""
        self.per_second.append(sum(done) / seconds)
        self.least_share.append(min(done) * len(done) / max(sum(done), 1))

    def cells(self, alone: Rate) -> str:
        """The columns of a table."""
        share = statistics.median(self.least_share)
        return f"{self.median:,.0f} ({self.median / alone.median:.2f} x) | {share:.2f}"

    @property
    def median(self) -> float:
        """Edits a second."""
        return statistics.median(self.per_second)


def measured(
    folder: Path,
    names: list[str],
    numbers: list[int],
    size: int,
    seconds: float,
    rounds: int,
    among: Callable[[int], Any] = processes,
) -> dict[int, dict[str, Rate]]:
    """The rates of the contenders, by the number of processes."""
    rates: dict[int, dict[str, Rate]] = {n: {name: Rate() for name in names} for n in numbers}
    for number in numbers:
        with among(number) as run:
            for turn in range(rounds):
                for name in names:
                    place = Path(tempfile.mkdtemp(dir=folder))
                    path = place / "document.json"
                    prepare(name, path, size)
                    # Once before it counts: connections are made, and modules imported.
                    earlier = sum(run(name, path, 0.05))
                    started = time.monotonic()
                    # Longer where many share the time: a share is counted in whole edits.
                    done = run(name, path, seconds * max(1.0, number / 16))
                    taken = time.monotonic() - started
                    if count(name, path) != earlier + sum(done):
                        raise SystemExit(f"{name}: lost an edit of {number}, in turn {turn}")
                    rates[number][name].add(done, taken)
    return rates


def table(title: str, rates: dict[int, dict[str, Rate]], by: str) -> str:
    """A titled table, which is also printed."""
    numbers = list(rates)
    names = list(rates[numbers[0]])
    lines = [f"| {by} | {' | '.join(f'{name} | least share' for name in names)} |"]
    lines.append("| ---: |" + " ---: | ---: |" * len(names))
    for number in numbers:
        cells = [rates[number][name].cells(rates[numbers[0]][name]) for name in names]
        lines.append(f"| {number} | {' | '.join(cells)} |")
    text = f"{title}:\n\n" + "\n".join(lines) + "\n"
    print(f"\n{text}", end="", flush=True)
    return text


def tables(folder: Path, *, quick: bool) -> tuple[list[str], dict[str, Curves]]:
    """All that is measured here, as tables and for the plots."""
    seconds, rounds = (0.3, 3) if quick else (0.4, 3)
    names = list(CONTENDERS)
    made, drawn = [], {}

    def add(title: str, rates: dict[int, dict[str, Rate]], by: str) -> None:
        made.append(table(title, rates, by))
        drawn[title] = {
            name: [(number, of_each[name].median) for number, of_each in rates.items()]
            for name in next(iter(rates.values()))
        }

    numbers = [1, 8] if quick else [1, 2, 4, 8, 32]
    for size in [4_000] if quick else [4_000, 64_000]:
        rates = measured(folder, names, numbers, size, seconds, rounds)
        add(f"Edits a second of one document of {size // 1000} KB by processes", rates, "processes")
    numbers = [1, 8] if quick else [1, 2, 4, 8, 16, 64]
    rates = measured(folder, names[:2], numbers, 4_000, seconds, rounds, threads)
    add("Edits a second of one document of 4 KB by threads of one process", rates, "threads")
    return made, drawn


def main() -> None:
    """Prints every table."""
    with tempfile.TemporaryDirectory() as folder:
        tables(Path(folder), quick="quick" in sys.argv)


if __name__ == "__main__":
    main()
