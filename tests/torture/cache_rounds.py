"""Changes one file in every way there is, and holds each next load against the file's bytes."""

from __future__ import annotations

import fcntl
import json
import os
import random
import shutil
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from tempfile import gettempdir
from typing import Any

from oasis_data import (
    DataFileNotFoundError,
    delete_json_atomic,
    edit_json,
    list_backups,
    load_data_file,
    restore_backup,
    save_json_atomic,
    stats,
)

FIRST = 10_000
"""Numbers from here on are all written in as many digits, so that no size tells two apart."""

LATER = 50_000
"""Added to a number for a second change in one round; it keeps its digits."""

LONG_AGO = 1_000_000_000_000_000_000
"""An mtime in nanoseconds for every edit from outside, so that none tells two apart."""

AN_HOUR = 3600.0
ROWS = 20

Change = Callable[[Path, int], None]
Load = Callable[[Path], "int | None"]


def document(number: int, rows: int = ROWS) -> dict[str, Any]:
    return {"number": number, "filler": [number] * rows}


def number_of(content: Any) -> int:
    """The number in a whole document."""
    number = int(content["number"])
    assert content == document(number, len(content["filler"])), "torn or mixed"
    return number


def number_in(path: Path) -> int | None:
    """What the file holds, read without the library; `None` if there is none."""
    return number_of(json.loads(path.read_bytes())) if path.exists() else None


def load_number(path: Path) -> int | None:
    """What the library says that the file holds."""
    try:
        return number_of(load_data_file(path, strict=True))
    except DataFileNotFoundError:
        return None


# Changes from outside


def write_in_place(path: Path, number: int, rows: int = ROWS) -> None:
    # Indented as the library does, to be of the same size as what it saves.
    text = json.dumps(document(number, rows), indent=2).encode()
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    try:
        os.pwrite(descriptor, text, 0)
        os.ftruncate(descriptor, len(text))
        os.utime(descriptor, ns=(LONG_AGO, LONG_AGO))
    finally:
        os.close(descriptor)


def resize_in_place(path: Path, number: int) -> None:
    write_in_place(path, number, ROWS + number % 7)


def replace(path: Path, number: int) -> None:
    other = path.with_name("other.json")
    write_in_place(other, number)
    os.replace(other, path)


def remove(path: Path, number: int) -> None:
    path.unlink(missing_ok=True)


def remove_and_create(path: Path, number: int) -> None:
    path.unlink(missing_ok=True)
    write_in_place(path, number)


def put_back_a_copy(path: Path, number: int) -> None:
    """Keeps a copy, and the next time puts it back with its own mtime, as `cp -p` does."""
    copy = path.with_name("copy.json")
    if copy.exists():
        shutil.copy2(copy, path)
        copy.unlink()
    else:
        write_in_place(path, number)
        shutil.copy2(path, copy)


# Changes through the library


def save(path: Path, number: int) -> None:
    before = number_in(path)
    save_json_atomic(path, document(number))
    if before is not None:
        assert number_of(json.loads(Path(list_backups(path)[0].path).read_bytes())) == before


def edit(path: Path, number: int) -> None:
    with edit_json(path) as content:
        content.update(document(number))


def delete(path: Path, number: int) -> None:
    if path.exists():
        delete_json_atomic(path)


def restore(path: Path, number: int) -> None:
    backups = list_backups(path)
    if backups:
        wanted = json.loads(Path(backups[0].path).read_bytes())
        restore_backup(path)
        assert number_in(path) == number_of(wanted)
    else:
        save(path, number)


CHANGES: Sequence[Change] = [
    write_in_place,
    # Those that only the ctime shows, at times not even that, come most often.
    write_in_place,
    write_in_place,
    write_in_place,
    resize_in_place,
    replace,
    remove,
    remove_and_create,
    put_back_a_copy,
    save,
    edit,
    delete,
    restore,
]


# The clock


def may_set_the_clock() -> bool:
    """Sets the clock to what it shows, to find out."""
    try:
        time.clock_settime(time.CLOCK_REALTIME, time.clock_gettime(time.CLOCK_REALTIME))
    except PermissionError:
        return False
    return True


@contextmanager
def clock_set_back(seconds: float) -> Iterator[None]:
    """Sets the machine's clock back, for moments only: all others on it see that too."""
    with (Path(gettempdir()) / "oasis_data.clock").open("w") as lock:
        # Two at once would each put right what the other has set back.
        fcntl.flock(lock, fcntl.LOCK_EX)
        wall, monotonic = time.time_ns(), time.monotonic_ns()
        time.clock_settime(time.CLOCK_REALTIME, wall / 1e9 - seconds)
        try:
            yield
        finally:
            passed = time.monotonic_ns() - monotonic
            time.clock_settime_ns(time.CLOCK_REALTIME, wall + passed)


# Rounds


def leave_racy_window(path: Path) -> None:
    """Loads until the file's stamps are trusted, or would be if it had a birth time."""
    while True:
        before = stats()["racy_rereads"], stats()["misses"]
        if load_number(path) is None or before == (stats()["racy_rereads"], stats()["misses"]):
            return
        # Without a birth time, the bytes are compared for ever.
        if time.time() - os.stat(path).st_ctime > 3:
            return
        # Up to two seconds where stamps are whole seconds.
        time.sleep(0.01)


def count_stale_loads(
    path: Path, changes: Sequence[Change], loads: Sequence[Load], numbers: Iterable[int]
) -> int:
    """Makes a change for each number; counts the loads after each that show something else."""
    chance = random.Random(0)
    stale = 0
    for number in numbers:
        chance.choice(changes)(path, number)
        now = number_in(path)
        # More than once: the first fills the cache, those after it ask the cache.
        stale += sum(load(path) != now for load in loads for _ in range(chance.randint(1, 3)))
    return stale


class Companion:
    """A process of its own that lives through all rounds, with a cache of its own."""

    def __init__(self, executor: ProcessPoolExecutor) -> None:
        self._executor = executor

    def change(self, change: Change) -> Change:
        """The change, made over there."""
        return lambda path, number: self._executor.submit(change, path, number).result()

    def load(self, path: Path) -> int | None:
        return self._executor.submit(load_number, path).result()

    def leave_racy_window(self, path: Path) -> None:
        self._executor.submit(leave_racy_window, path).result()


def after_waits(change: Change, *waits: Callable[[Path], None]) -> Change:
    """The change, made to a file that all caches have come to trust."""

    def changed(path: Path, number: int) -> None:
        for wait in waits:
            wait(path)
        change(path, number)

    return changed


def clock_set_back_around(change: Change, loads: Sequence[Load]) -> Change:
    """The change, made and loaded an hour ago, and another made now."""

    def changed(path: Path, number: int) -> None:
        with clock_set_back(AN_HOUR):
            change(path, number)
            shown = [load(path) for load in loads]
            now = number_in(path)
        assert shown == [now] * len(loads), "stale while the clock was set back"
        shown = [load(path) for load in loads]
        assert shown == [now] * len(loads), "stale when the clock was right again"
        change(path, LATER + number)

    return changed
