"""What it costs to watch documents that do not change.

    python benches/watching.py [seconds]

Eleven documents, twenty looks a second, as a share of one core and in microseconds a look: beside
a loop that only sleeps, and a loop that asks `os.stat` for each file. The three take turns.
"""

from __future__ import annotations

import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from oasis_data import save_json_atomic, watch

DOCUMENTS = 11
INTERVAL = 0.05


def sleep(paths: list[Path], seconds: float) -> None:
    """A loop that does nothing between its sleeps."""
    for _ in range(round(seconds / INTERVAL)):
        time.sleep(INTERVAL)


def ask(paths: list[Path], seconds: float) -> None:
    """A loop that asks for the stamps of all files."""
    for _ in range(round(seconds / INTERVAL)):
        time.sleep(INTERVAL)
        for path in paths:
            os.stat(path)


def watch_them(paths: list[Path], seconds: float) -> None:
    """The package's own, which ends because nothing changes."""
    states = watch(paths, interval=INTERVAL, timeout=seconds)
    next(states)
    if list(states):
        raise SystemExit("a document has changed: this measured something else")


def processor_time(act: Callable[[], None]) -> float:
    """The seconds of a core that a call takes."""
    began = time.process_time()
    act()
    return time.process_time() - began


def main() -> None:
    """Prints what each loop takes."""
    seconds = float(sys.argv[1]) if sys.argv[1:] else 5.0
    turns = 5
    contenders = {"sleep": sleep, "sleep and os.stat": ask, "watch": watch_them}
    taken: dict[str, list[float]] = {name: [] for name in contenders}
    with tempfile.TemporaryDirectory() as folder:
        paths = [Path(folder) / f"{number}.json" for number in range(DOCUMENTS)]
        for path in paths:
            save_json_atomic(path, {"name": path.name})
        time.sleep(1.0)  # a look reads files that were saved just now
        for _ in range(turns):
            for name, contender in contenders.items():
                taken[name].append(processor_time(partial(contender, paths, seconds)))
    for name, each in taken.items():
        share = statistics.median(each) / seconds
        print(f"{name:>18} {share:8.3%} of a core {share * INTERVAL * 1e6:8.1f} us a look")


if __name__ == "__main__":
    main()
