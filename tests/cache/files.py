"""Files that others write, and what the cache makes of them: hits, and files held open."""

from __future__ import annotations

import json
import os
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path

from oasis_data import is_cache_valid, load_data_file, stats
from oasis_data._paths import FilePath
from tests.conftest import require
from tests.postgres.paths import DatabasePath

LONG_AGO = 1_000_000_000_000_000_000
"""An mtime in nanoseconds for every file of a test, so that it never tells two apart."""


def write(path: Path, document: object, mtime: int = LONG_AGO) -> None:
    """Writes as other programs do: in place, behind the library's back."""
    path.write_text(json.dumps(document))
    if not isinstance(path, DatabasePath):
        os.utime(path, ns=(mtime, mtime))


def counts() -> Counter[str]:
    """All counters; `counts() - before` are those that grew, by how much."""
    return Counter({name: count for name, count in stats().items() if isinstance(count, int)})


def leave_racy_window(path: Path) -> None:
    """Waits until the file's stamps can be trusted alone, without a look at its bytes."""
    load_data_file(path)
    end = time.monotonic() + 30
    while (counts_of_load(path))["racy_rereads"]:
        require(
            time.monotonic() < end, "needs a temporary folder on a file system with birth times"
        )


def counts_of_load(path: FilePath) -> Counter[str]:
    before = counts()
    load_data_file(path)
    return counts() - before


def is_hit(path: FilePath) -> bool:
    """Loads, and says whether the cache answered."""
    loaded = counts_of_load(path)
    assert loaded["hits"] + loaded["misses"] == 1
    return bool(loaded["hits"])


def open_files() -> set[tuple[int, int]]:
    """Device and inode of every file that this process holds open."""
    found = set()
    for descriptor in os.listdir("/proc/self/fd"):
        # The one of the listing itself is closed again.
        with suppress(FileNotFoundError):
            stat = os.stat(f"/proc/self/fd/{descriptor}")
            found.add((stat.st_dev, stat.st_ino))
    return found


def key(path: Path) -> tuple[int, int]:
    stat = os.stat(path)
    return stat.st_dev, stat.st_ino


def held(paths: list[Path]) -> list[int]:
    """Which of the files are cached. Uses them: not to be asked before an eviction."""
    return [number for number, path in enumerate(paths) if is_cache_valid(path)]
