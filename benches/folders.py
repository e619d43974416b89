"""What a save costs beside few files, and beside many: python benches/folders.py."""

from __future__ import annotations

import statistics
import tempfile
import time
from pathlib import Path

from oasis_data import configure, save_json_atomic

SIZES = (100, 10_000, 100_000)
"""Files in a folder."""

ROUNDS = 200


def save(path: Path, turn: int) -> float:
    """Microseconds that a save takes."""
    started = time.perf_counter()
    save_json_atomic(path, {"turn": turn})
    return (time.perf_counter() - started) * 1e6


def main() -> None:
    """Saves in turns, so that what else the machine does is spread over all."""
    configure(durability="process")  # The disk's time would hide the rest.
    with tempfile.TemporaryDirectory() as base:
        taken: dict[int, list[float]] = {size: [] for size in SIZES}
        for size in SIZES:
            folder = Path(base) / str(size)
            folder.mkdir()
            for number in range(size):
                (folder / f"{number:032x}.json").touch()
        for turn in range(ROUNDS):
            for size, times in taken.items():
                times.append(save(Path(base) / str(size) / "mine.json", turn))
    print("files in the folder | a save, median of all | the first that lists")
    for size, times in taken.items():
        print(f"{size:19,} | {statistics.median(times):18,.0f} µs | {times[1]:17,.0f} µs")


if __name__ == "__main__":
    main()
