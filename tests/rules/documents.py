"""A folder with a rules file and documents, and a judgement of a write as `_native` asks for it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from oasis_data import Fault, InvalidDocumentError
from oasis_data.rules import Rules

TANKS_AND_CRUDES = """
[documents."tanks.json"]
schema = "tanks.schema.json"

[[references]]
from = "tanks.json#$.*.content[*].~"
to = "crudes.json#$.~"
"""
TANKS_SCHEMA = {
    "type": "object",
    "additionalProperties": {
        "type": "object",
        "required": ["content"],
        "properties": {
            "capacity": {"type": "number", "maximum": 500},
            "content": {
                "type": "array",
                "items": {"additionalProperties": {"type": "number", "minimum": 0}},
            },
        },
        "additionalProperties": False,
    },
}
CRUDES = {"Base": {"margin": 1}, "Light": {"margin": 2}}
TANKS = {"Tank1": {"content": [{"Light": 3}]}, "Tank2": {"content": [{"Base": 5}]}}


def write(folder: Path, name: str, content: object) -> Path:
    """Writes a file as another program would: text as it is, all else as JSON."""
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def tank_farm(folder: Path) -> Path:
    """Tanks, crudes and their rules; returns the path of the rules file."""
    write(folder, "tanks.schema.json", TANKS_SCHEMA)
    write(folder, "tanks.json", TANKS)
    write(folder, "crudes.json", CRUDES)
    return write(folder, "oasis-data.toml", TANKS_AND_CRUDES)


def raw(path: str | Path) -> bytes | None:
    try:
        return Path(path).read_bytes()
    except FileNotFoundError:
        return None


def judge(rules: Rules, changes: Mapping[Path, Any]) -> None:
    """Judges a write of these documents as `_native` does; None is a deletion.

    A content is an object, or bytes as they are.
    """
    paths = [str(path) for path in changes]
    judgement = rules.judgement(paths)
    if judgement is None:
        return
    after = [
        None if content is None else content if isinstance(content, bytes) else encoded(content)
        for content in changes.values()
    ]
    found = [
        fault
        for index, text in enumerate(after)
        if text is not None
        for fault in judgement.check(index, text)
    ]
    if judgement.group or found:
        before = [raw(path) for path in paths] if judgement.wants_before else []
        judgement.judge(before, after, [raw(path) for path in judgement.companions], found)


def encoded(content: object) -> bytes:
    return json.dumps(content).encode()


def faults(rules: Rules, changes: Mapping[Path, Any]) -> tuple[Fault, ...]:
    """The faults for which a write is refused; none where it is not."""
    try:
        judge(rules, changes)
    except InvalidDocumentError as error:
        return error.faults
    return ()


def messages(rules: Rules, changes: Mapping[Path, Any]) -> list[str]:
    return [fault.message for fault in faults(rules, changes)]
