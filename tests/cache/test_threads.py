"""Threads that load and save one file at once."""

from __future__ import annotations

import json
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from oasis_data import configure, load_data_file, save_json_atomic, stats
from tests.cache.files import write
from tests.postgres.paths import DatabasePath


class Saver:
    """Saves numbered documents, and keeps what a reader's judgement needs."""

    def __init__(self, path: Path, name: str, saves: int) -> None:
        self.path = path
        self.name = name
        self.saves = saves
        self.finished = 0
        """The last save that returned."""
        self.preceded: dict[int, dict[str, int]] = {}
        """By save: what had been finished by everybody when it began."""

    def run(self, savers: dict[str, Saver]) -> None:
        for number in range(1, self.saves + 1):
            self.preceded[number] = finished(savers)
            document = {"saver": self.name, "number": number, "filler": [number] * 100}
            save_json_atomic(self.path, document, timeout=60)
            self.finished = number


def finished(savers: dict[str, Saver]) -> dict[str, int]:
    return {name: saver.finished for name, saver in savers.items()}


def test_each_load_shows_a_version_no_older_than_the_last_save_before_it(anywhere: Path) -> None:
    path = anywhere / "x.json"
    if not isinstance(path, DatabasePath):  # where every save is durable
        configure(durability="process")
    save_json_atomic(path, {"saver": "a", "number": 0, "filler": [0] * 100})
    savers = {name: Saver(path, name, 250) for name in "ab"}
    done = threading.Event()

    def judge() -> int:
        loads = 0
        while not done.is_set():
            before = finished(savers)
            shown = load_data_file(path, strict=True)
            loads += 1
            saver, number = shown["saver"], shown["number"]
            assert shown["filler"] == [number] * 100, "torn or mixed"
            assert number >= before[saver], "older than a save of the same saver"
            for other, last in before.items():
                # A save that had ended before that one even began.
                overtaken = savers[other].preceded[last][saver] if last else -1
                assert other == saver or number > overtaken, "older than a save that followed it"
        return loads

    with ThreadPoolExecutor(10) as pool:
        judges = [pool.submit(judge) for _ in range(8)]
        try:
            for saving in [pool.submit(saver.run, savers) for saver in savers.values()]:
                saving.result()
        finally:
            done.set()
        assert all(judging.result() > 0 for judging in judges)

    last = load_data_file(path)
    assert last["number"] == 250
    assert last == json.loads(path.read_text())


def test_threads_that_load_one_file_share_one_entry(anywhere: Path) -> None:
    path = anywhere / "x.json"
    write(path, {"a": [1]})
    barrier = threading.Barrier(8)

    def load() -> list[Any]:
        barrier.wait()
        return [load_data_file(path) for _ in range(200)]

    with ThreadPoolExecutor(8) as pool:
        loading = [pool.submit(load) for _ in range(8)]
        loaded = [document for each in loading for document in each.result()]

    assert all(document == {"a": [1]} for document in loaded)
    assert len({id(document) for document in loaded}) == len(loaded)
    assert stats()["cache_entries"] == 1
