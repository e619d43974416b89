"""What rules cost.

    python benches/rules.py [quick]

A durable save of a schedule of 11 KB, without rules and with its schema, in turns; the schema
alone; and all references of the example backend's documents. The files lie in the working
directory's file system (TMPDIR names another).
"""

from __future__ import annotations

import copy
import json
import random
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
SAMPLES = ROOT / "examples" / "backend" / "sample_data"
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
REFERENCES = """
dynamic_data/tanks.json#$.*.content[*].~ -> static_data/crudes.json#$.~
dynamic_data/vessels.json#$.*.cargo[*].grade -> static_data/crudes.json#$.~
dynamic_data/feedstock_parcels.json#$.*.grade -> static_data/crudes.json#$.~
dynamic_data/feedstock_parcels.json#$.*.vessel_id -> dynamic_data/vessels.json#$.~
dynamic_data/feedstock_requirements.json#$[*].grade -> static_data/crudes.json#$.~
static_data/recipes.json#$.*.primary_grade -> static_data/crudes.json#$.~
static_data/recipes.json#$.*.secondary_grade -> static_data/crudes.json#$.~
dynamic_data/vessel_routes.json#$.~ -> dynamic_data/vessels.json#$.~
dynamic_data/vessels.json#$.*.cargo[*].origin -> static_data/routes.json#$.*['from', 'to']
"""


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
    document = json.loads((SAMPLES / "output" / "schedule_results.json").read_text())
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
        ends = [line.split(" -> ") for line in REFERENCES.split("\n") if line]
        tables = (
            f"[[references]]\nfrom = {json.dumps(source)}\nto = {json.dumps(target)}\n"
            for source, target in ends
        )
        file = Path(name) / "oasis-data.toml"
        file.write_text("".join(tables))
        reading = Rules(str(file))._reading
        names = reading.file.names
        texts: dict[str, bytes | None] = {each: (SAMPLES / each).read_bytes() for each in names}
        contents = {each: _native.decode(text) for each, text in texts.items() if text}
        alone = microseconds(
            lambda: [each.faults(contents, masked=False) for each in reading.references], 1000
        )
        whole = microseconds(lambda: reading.dangling(reading.references, texts), 1000)
        print(f"{len(ends)} references of {len(names)} documents")
        print(f"  checked         {alone:8.1f} µs")
        print(f"  with decoding   {whole:8.1f} µs")


if __name__ == "__main__":
    main()
