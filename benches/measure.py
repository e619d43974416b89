"""How it is measured: contenders in turns, medians, ratios."""

from __future__ import annotations

import gc
import random
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

Contenders = dict[str, Callable[[], object]]


@dataclass
class Row:
    """One document, and the median time of each contender in microseconds."""

    document: str
    bytes: int
    medians: dict[str, float]

    def ratio(self, name: str, base: str) -> float:
        """How many times as long one takes as the other."""
        return self.medians[name] / self.medians[base]


SECONDS = 1.0
"""How long the contenders of a row may take together."""


def take_turns(
    contenders: Contenders,
    *,
    before: Callable[[], object] | None = None,
    seconds: float = SECONDS,
    rounds: int = 2_000,
) -> dict[str, float]:
    """The median time of each contender, in microseconds, each after `before`.

    Their order is another in each round: what one leaves behind, in caches or for the
    disk to do, is not for the same one always.
    """
    order = random.Random(len(contenders))
    times: dict[str, list[float]] = {name: [] for name in contenders}
    gc.collect()
    end = time.perf_counter() + seconds
    while len(taken := next(iter(times.values()))) < 5 or (
        time.perf_counter() < end and len(taken) < rounds
    ):
        for name, act in order.sample(list(contenders.items()), len(contenders)):
            if before is not None:
                before()
            start = time.perf_counter()
            act()
            times[name].append(time.perf_counter() - start)
    return {name: statistics.median(taken) * 1e6 for name, taken in times.items()}
