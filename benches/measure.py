"""How it is measured: contenders in turns, medians, ratios."""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Callable

Contenders = dict[str, Callable[[], object]]

SECONDS = 1.0
"""How long the contenders of a row may take together."""


def take_turns(
    contenders: Contenders,
    *,
    before: Callable[[], object] | None = None,
    seconds: float = SECONDS,
    rounds: int = 2_000,
) -> dict[str, float]:
    """The median time of each contender, in microseconds, each after `before`."""
    times: dict[str, list[float]] = {name: [] for name in contenders}
    gc.collect()
    end = time.perf_counter() + seconds
    while len(taken := next(iter(times.values()))) < 5 or (
        time.perf_counter() < end and len(taken) < rounds
    ):
        for name, act in contenders.items():
            if before is not None:
                before()
            start = time.perf_counter()
            act()
            times[name].append(time.perf_counter() - start)
    return {name: statistics.median(taken) * 1e6 for name, taken in times.items()}


def table(title: str, rows: list[tuple[str, dict[str, float]]], base: str) -> None:
    """Prints the medians in microseconds, and each as a multiple of `base`."""
    names = list(rows[0][1])
    print(f"\n{title}: µs (multiple of {base})\n")
    print("| document | " + " | ".join(names) + " |")
    print("| --- |" + " ---: |" * len(names))
    for document, medians in rows:
        cells = [f"{value:.1f} ({value / medians[base]:.2f} x)" for value in medians.values()]
        print(f"| {document} | " + " | ".join(cells) + " |", flush=True)
    ratios = {name: [medians[name] / medians[base] for _, medians in rows] for name in names}
    means = [f"{statistics.geometric_mean(values):.2f} x" for values in ratios.values()]
    print("| geometric mean | " + " | ".join(means) + " |")
