"""What is measured: the example's documents, and made ones of every shape and size."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

SAMPLES = Path(__file__).parent.parent / "examples" / "backend" / "sample_data"


def grown(size: int, more: Callable[[int], Any]) -> list[Any]:
    """So many parts that their JSON takes about `size` bytes."""
    parts: list[Any] = []
    taken = 0
    while taken < size:
        parts.append(more(len(parts)))
        text = json.dumps(parts[-1], indent=2)
        # Every line of it is indented further where it goes.
        taken += len(text) + 4 * (text.count("\n") + 1)
    return parts


def schedule(size: int) -> dict[str, Any]:
    """Daily plans in the backend's shape, one with fewer tanks if it is to be short."""
    source = random.Random(size)
    names = [f"Tank{number}" for number in range(1, min(5, 1 + size // 1_000) + 1)]

    def tank(name: str) -> dict[str, Any]:
        grades = source.sample("ABCDEF", source.choice((1, 1, 2, 2, 3, 5)))
        content = [{grade: source.random() * 250 / len(grades)} for grade in grades]
        return {"name": name, "capacity": 250.0, "content": content}

    def blend() -> dict[str, Any]:
        margin = round(source.uniform(14, 18), 4)
        return {
            "name": "1",
            "primary_grade": "Base",
            "secondary_grade": source.choice("ABCD"),
            "max_rate": 96.0,
            "primary_fraction": 0.73,
            "margin": margin,
            "total_margin": 96 * margin,
        }

    def day(number: int) -> dict[str, Any]:
        blends = [blend()]
        return {
            "day": number + 1,
            "processing_rates": {"1": 96.0},
            "inventory": 1004.5 - number,
            "inventory_by_grade": {grade: round(source.random() * 400, 2) for grade in "ABCD"},
            "tanks": {name: tank(name) for name in names},
            "blending_details": blends,
            "daily_margin": sum(each["total_margin"] for each in blends),
        }

    return {"daily_plans": grown(size, day)}


def numbers(size: int) -> list[Any]:
    """Hardly anything but floats and integers."""
    source = random.Random(size)
    return grown(size, lambda n: [n, source.random(), source.gauss(0, 1e6), source.getrandbits(40)])


def strings(size: int) -> list[Any]:
    """Hardly anything but text: with escapes, with other letters, and plain."""
    words = ["Arab Light, heavy ends", 'a "quoted"\nline', "päivää 漢字", "x" * 120]
    return grown(size, lambda number: f"{number} {words[number % 4]}")


def names(script: str) -> Callable[[int], list[Any]]:
    """Short names in one script, among a few words that all scripts have."""
    first, last = SCRIPTS[script]
    letters = [*map(chr, range(first, last + 1))]

    def make(size: int) -> list[Any]:
        source = random.Random(size)

        def named(number: int) -> dict[str, Any]:
            name = "".join(source.choices(letters, k=source.randint(4, 14)))
            return {"name": name, "tank": number}

        # A letter takes six bytes or twelve as an escape, and half of that as UTF-8.
        return grown(2 * size, named)

    make.__name__ = f"names in {script}"
    return make


SCRIPTS = {
    "Thai": (0xE01, 0xE2E),
    "Japanese": (0x3041, 0x3096),
    "Hebrew": (0x5D0, 0x5EA),
    "emoji": (0x1F600, 0x1F64F),
    "Latin-1": (0xE0, 0xFF),
}


def notebook(size: int) -> dict[str, Any]:
    """Cells of code as a notebook keeps them: lines with escapes, and whole texts of them."""
    source = random.Random(size)
    words = ["import numpy as np", '"hello"', "for x in range(10):", "data['key'] =", "\\n", "\t"]

    def cell(number: int) -> dict[str, Any]:
        lines = [" ".join(source.choices(words, k=6)) + "\n" for _ in range(12)]
        return {"cell_type": "code", "source": lines, "text": "".join(lines)}

    return {"cells": grown(size, cell)}


def lines(size: int) -> dict[str, Any]:
    """Cells of short lines, each with a line break at its end."""
    source = random.Random(size)
    words = ["x", "= 1", "import os", "print(x)", "for i in y:", "return", '"a"', "np.sum(v)"]

    def cell(number: int) -> dict[str, Any]:
        code = [" ".join(source.choices(words, k=source.randint(1, 3))) for _ in range(12)]
        return {"cell_type": "code", "source": [f"{line}\n" for line in code]}

    return {"cells": grown(size, cell)}


def records(size: int) -> list[Any]:
    """Many small dictionaries."""
    return grown(size, lambda n: {"name": f"Tank{n}", "level": n, "grade": "A", "open": True})


def wide(size: int) -> dict[str, Any]:
    """One dictionary with a name of its own for everything."""
    return {f"name {number:x}": part for number, part in enumerate(grown(size, lambda n: n * 3))}


def samples() -> Iterator[tuple[str, Any]]:
    """The example's documents, by name."""
    for path in sorted(SAMPLES.rglob("*.json")):
        yield path.stem, json.loads(path.read_bytes())


def made(largest: int) -> Iterator[tuple[str, Any]]:
    """Made documents up to a size, by what they are."""
    for size in (600, 4_000, 12_000, 64_000, 1_000_000, 10_000_000):
        if size <= largest:
            yield "schedule", schedule(size)
    for make in (numbers, strings, wide, records, notebook, lines, *map(names, SCRIPTS)):
        yield make.__name__, make(64_000)
