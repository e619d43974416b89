"""What rules cost.

    python benches/rules.py [quick]

A durable save of a schedule of 11 KB, without rules and with its schema, in turns; the schema
alone; and all references of the example backend. TMPDIR names the disk.
"""

from __future__ import annotations

import copy
import json
import random
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from oasis_data import _native, configure, save_json_atomic
from oasis_data.rules import Rules
from oasis_data.rules.watched import Watched

ROOT = Path(__file__).resolve().parents[1]
BACKEND = ROOT / "examples" / "backend"
AMOUNTS = {"type": "object", "additionalProperties": {"type": "number", "minimum": 0}}
TANK = {
    "type": "object",
    "required": ["name", "capacity", "content"],
    "properties": {
        "name": {"type": "string"},
        "capacity": {"type": "number", "exclusiveMinimum": 0},
        "content": {"type": "array", "items": AMOUNTS},
    },
}
SCHEMA = {
    "type": "object",
    "required": ["daily_plans"],
    "properties": {
        "daily_plans": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["day", "inventory"],
                "properties": {
                    "day": {"type": "integer", "minimum": 0},
                    "processing_rates": AMOUNTS,
                    "inventory": {"type": "number", "minimum": 0},
                    "inventory_by_grade": AMOUNTS,
                    "tanks": {"type": "object", "additionalProperties": TANK},
                },
            },
        }
    },
}


def microseconds(act: Callable[[], object], rounds: int) -> float:
    """The median time of an act."""
    times = []
    for _ in range(rounds):
        began = time.perf_counter()
        act()
        times.append(time.perf_counter() - began)
    return statistics.median(times) * 1e6


def aged(path: Path) -> bool:
    """Waits until the stamps of a file tell each change, as those of rules in use do."""
    while not Watched(str(path))._trusted:
        time.sleep(0.1)
    return True


def saves(folder: Path, document: dict[str, Any], rounds: int) -> tuple[float, float]:
    """The median microseconds of a save without rules and of one with a schema."""
    path = folder / "schedule.json"
    (folder / "schema.json").write_text(json.dumps(SCHEMA))
    rules = folder / "oasis-data.toml"
    rules.write_text('[documents."schedule.json"]\nschema = "schema.json"\n')
    aged(rules)
    configure(rules=rules)
    in_force = Rules(str(rules))
    times: dict[bool, list[float]] = {False: [], True: []}
    for turn in range(rounds):
        order = [False, True]
        random.shuffle(order)
        for with_rules in order:
            document["daily_plans"][0]["day"] = turn * 2 + with_rules
            _native.use_rules(in_force if with_rules else None)
            began = time.perf_counter()
            save_json_atomic(path, document)
            times[with_rules].append(time.perf_counter() - began)
    without, obeying = (statistics.median(times[each]) * 1e6 for each in (False, True))
    return without, obeying


def main() -> None:
    """Prints the figures."""
    rounds = 300 if "quick" in sys.argv[1:] else 3000
    document = json.loads(
        (BACKEND / "sample_data" / "output" / "schedule_results.json").read_text()
    )
    while len(json.dumps(document, indent=2)) > 12_000:
        document["daily_plans"].pop()
    size = len(json.dumps(document, indent=2))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        without, obeying = saves(folder, copy.deepcopy(document), rounds)
        print(f"a durable save of {size:,} bytes, medians of {rounds:,} in turns")
        print(f"  without rules   {without:8.1f} µs")
        print(f"  with its schema {obeying:8.1f} µs   {obeying / without:.3f} x")
        rules = Rules(str(folder / "oasis-data.toml"))
        path = str(folder / "schedule.json")
        judgement = rules.judgement([path])
        if judgement is None or (valid := judgement.valid[0]) is None:
            raise SystemExit("the document has no schema")
        text = (folder / "schedule.json").read_bytes()
        asked = microseconds(lambda: rules.judgement([path]), 2000)
        print(f"  the rules asked {asked:8.1f} µs")
        print(f"  the schema      {microseconds(lambda: valid(document), 2000):8.1f} µs")
        by_text = microseconds(lambda: judgement.check(0, text), 500)
        print(f"  by its text     {by_text:8.1f} µs")
    configure(rules="")

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "data"
        shutil.copytree(BACKEND / "sample_data", folder)
        shutil.copytree(BACKEND / "schemas", folder / "schemas")
        shutil.copy(BACKEND / "oasis-data.toml", folder)
        reading = Rules(str(folder / "oasis-data.toml"))._reading
        paths = reading.documents.paths
        texts = {
            each: Path(path).read_bytes() for each, path in paths.items() if each in reading.groups
        }
        contents = {each: _native.decode(text) for each, text in texts.items()}
        references = reading.references
        alone = microseconds(
            lambda: [each.faults(contents, masked=False) for each in references], 1000
        )
        whole = microseconds(lambda: reading.dangling(references, texts), 1000)
        print(f"{len(references)} references of {len(texts)} documents")
        print(f"  checked         {alone:8.1f} µs")
        print(f"  with decoding   {whole:8.1f} µs")


if __name__ == "__main__":
    main()
