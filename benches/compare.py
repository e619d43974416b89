"""Saves and loads, against the guide's Python and against the file system alone.

    python benches/compare.py [ROUNDS]

All contenders take turns in one run; a row gives medians in microseconds. The
floor of a save is the same syscalls with the bytes made beforehand.
"""

from __future__ import annotations

import copy
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import guide

import oasis_data

SIZES = (600, 4_000, 12_000, 64_000, 1_000_000)


def document(size: int) -> dict[str, Any]:
    """A schedule in the backend's shape of about `size` bytes of JSON."""
    days: list[dict[str, Any]] = []
    plan = {"daily_plans": days}
    while len(json.dumps(plan, indent=2)) < size:
        # Doubling up to the size would overshoot; a tenth more each time does not.
        for _ in range(max(1, len(days) // 10)):
            day = len(days) + 1
            tanks = {f"Tank{n}": {"capacity": 250.0, "level": day * 7.31 / n} for n in (1, 2, 3)}
            days.append({"day": day, "inventory": 1004.5 - day, "tanks": tanks, "note": "día"})
    return plan


def floor(path: Path, text: bytes) -> None:
    """The syscalls that a durable save with a backup cannot do without."""
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    temporary = f"{path}.new"
    file = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL)
    os.write(file, text)
    os.fsync(file)
    os.close(file)
    backup = f"{path}.old"
    if os.path.exists(backup):
        os.unlink(backup)
    os.link(path, backup)
    os.rename(temporary, path)
    os.fsync(folder)
    os.close(folder)


def take_turns(contenders: dict[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """The median time of each contender, in microseconds."""
    times: dict[str, list[float]] = {name: [] for name in contenders}
    for _ in range(rounds):
        for name, act in contenders.items():
            start = time.perf_counter()
            act()
            times[name].append(time.perf_counter() - start)
    return {name: statistics.median(taken) * 1e6 for name, taken in times.items()}


def savers(
    data: dict[str, Any], text: bytes, ours: Path, theirs: Path, bare: Path
) -> dict[str, Callable[[], object]]:
    """Who saves; each save is of another content."""

    def changed() -> dict[str, Any]:
        data["daily_plans"][0]["day"] += 1
        return data

    return {
        "floor": lambda: floor(bare, text),
        "oasis_data": lambda: oasis_data.save_json_atomic(ours, changed()),
        "guide": lambda: guide.save(theirs, changed()),
    }


def loaders(ours: Path, theirs: Path) -> dict[str, Callable[[], object]]:
    """Who loads."""
    return {
        "json.load": lambda: json.loads(ours.read_bytes()),
        "copy": lambda: oasis_data.load_data_file(ours),
        "copy=False": lambda: oasis_data.load_data_file(ours, copy=False),
        "guide (shared)": lambda: guide.load(theirs),
        "guide + deepcopy": lambda: copy.deepcopy(guide.load(theirs)),
    }


def row(size: int, medians: dict[str, float], base: str) -> str:
    """One line of a table: the medians, and each as a multiple of `base`."""
    cells = [f"{value:.0f} ({value / medians[base]:.2f} x)" for value in medians.values()]
    return f"| {size} | " + " | ".join(cells) + " |"


def main() -> None:
    """Prints both tables."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 60
    saves, loads = [], []
    with tempfile.TemporaryDirectory() as scratch:
        for size in SIZES:
            data = document(size)
            text = json.dumps(data, indent=2, ensure_ascii=False).encode()
            paths = [Path(scratch, f"{name}{size}.json") for name in ("ours", "guide", "floor")]
            ours, theirs, _ = paths
            for path in paths:
                path.write_bytes(text)
            saves.append((len(text), take_turns(savers(data, text, *paths), rounds)))
            # Read once old enough: a file that was just written is compared by bytes.
            time.sleep(0.3)
            for _ in range(3):
                oasis_data.load_data_file(ours)
            loads.append((len(text), take_turns(loaders(ours, theirs), rounds * 5)))
    for title, table, base in (
        ("A durable save with a backup", saves, "floor"),
        ("A load", loads, "json.load"),
    ):
        names = list(table[0][1])
        print(f"\n{title}: µs (multiple of {base})\n")
        print("| bytes | " + " | ".join(names) + " |")
        print("| ---: |" + " ---: |" * len(names))
        for size, medians in table:
            print(row(size, medians, base))


if __name__ == "__main__":
    main()
