"""`rules_grandfathered`: faults that documents had before may stay, and no other."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oasis_data import BrokenRulesError
from oasis_data.rules import Rules
from tests.rules.documents import CRUDES, encoded, faults, judge, messages, tank_farm, write
from tests.strategies import examples

SCHEMA = {
    "properties": {
        "items": {
            "items": {
                "properties": {"n": {"minimum": 0}},
                "required": ["n"],
                "additionalProperties": {"type": "string"},
            }
        },
        "one": {"anyOf": [{"required": ["a"]}, {"required": ["b"]}]},
        "names": {"propertyNames": {"pattern": "^[a-z]+$"}, "maxProperties": 1},
        "closed": {"properties": {"k": True}, "additionalProperties": False},
    }
}


def rules_for(folder: Path, before: Any, **settings: bool) -> tuple[Rules, Path]:
    write(folder, "schema.json", SCHEMA)
    text = '[documents."a.json"]\nschema = "schema.json"\n'
    path = write(folder, "a.json", before)
    return Rules(str(write(folder, "r.toml", text)), grandfathered=True, **settings), path


@pytest.mark.parametrize(
    ("before", "after", "new"),
    [
        # The fault stays where it is, and the rest changes.
        ({"items": [{"n": -1}]}, {"items": [{"n": -1, "x": "y"}], "other": 1}, 0),
        # It moves, behind or before others.
        ({"items": [{"n": -1}]}, {"items": [{"n": 1}, {"n": -1}]}, 0),
        ({"items": [{"n": 1}, {"n": -1}]}, {"items": [{"n": -1}]}, 0),
        # It is mended, and another is made.
        ({"items": [{"n": -1}]}, {"items": [{"n": -2}]}, 1),
        ({"items": [{"n": -1}]}, {"items": [{"n": -1}, {"n": -1}]}, 1),
        ({"items": [{"n": -1}, {"n": -2}]}, {"items": [{"n": -2}, {"n": -1}]}, 0),
        # What a property is missing from may change; what is missing may not.
        ({"items": [{}]}, {"items": [{"x": "y"}]}, 0),
        ({"items": [{"n": 1}]}, {"items": [{"x": "y"}]}, 1),
        ({"items": [{}]}, {"items": [{"x": 1}]}, 1),
        # Of a whole object only the rule counts.
        ({"one": {}}, {"one": {"c": 1}}, 0),
        ({"one": {"a": 1}}, {"one": {"c": 1}}, 1),
        # Each name that may not be there counts by itself.
        ({"closed": {"x": 1}}, {"closed": {"x": 1, "k": 2}}, 0),
        ({"closed": {"x": 1}}, {"closed": {"x": 1, "z": 2}}, 1),
        ({"names": {"A": 1}}, {"names": {"A": 2}}, 0),
        ({"names": {"A": 1}}, {"names": {"B": 1}}, 1),
        # No document and what is none have no old faults.
        (None, {"items": [{"n": -1}]}, 1),
        ("{torn", {"items": [{"n": -1}]}, 1),
    ],
)
def test_only_a_new_fault_is_refused(tmp_path: Path, before: Any, after: Any, new: int) -> None:
    for masked in (False, True):
        rules, path = rules_for(tmp_path, before, masked=masked)
        if before is None:
            path.unlink()

        assert len(faults(rules, {path: after})) == new


def test_a_judgement_keeps_nothing_of_a_write(tmp_path: Path) -> None:
    rules, path = rules_for(tmp_path, {"items": [{"n": -1}]})
    judgement = rules.judgement([str(path)])
    assert judgement is not None
    bad, good = encoded({"items": [{"n": -1}]}), encoded({"items": [{"n": 1}]})

    assert judgement.check(0, bad)
    assert not judgement.check(0, good)
    judgement.judge([good], [good], [], [])
    assert rules.judgement([str(path)]) is judgement


def test_a_dangling_reference_may_stay(tmp_path: Path) -> None:
    rules = Rules(str(tank_farm(tmp_path)), grandfathered=True)
    tanks, crudes = tmp_path / "tanks.json", tmp_path / "crudes.json"
    sour = {"T": {"content": [{"Sour": 1}]}}
    write(tmp_path, "tanks.json", sour)

    assert not faults(rules, {tanks: {**sour, "U": {"content": [{"Base": 1}]}}})
    assert not faults(rules, {crudes: {"Base": {}}})
    assert not faults(rules, {crudes: None})
    assert messages(rules, {tanks: {**sour, "U": {"content": [{"Sweet": 1}]}}}) == [
        '$.U.content[0].Sweet: "Sweet" is not among crudes.json#$.~'
    ]
    write(tmp_path, "tanks.json", {"T": {"content": [{"Base": 1}]}})
    assert faults(rules, {crudes: {"Light": {}}})
    judge(rules, {crudes: CRUDES})


def test_faults_of_one_document_are_none_of_another(tmp_path: Path) -> None:
    write(tmp_path, "schema.json", {"minimum": 0})
    text = "".join(f'[documents."{name}.json"]\nschema = "schema.json"\n' for name in "ab")
    rules = Rules(str(write(tmp_path, "r.toml", text)), grandfathered=True)
    write(tmp_path, "a.json", -1)
    write(tmp_path, "b.json", 1)

    found = faults(rules, {tmp_path / "a.json": 1, tmp_path / "b.json": -1})

    assert [fault.document for fault in found] == ["b.json"]


def test_a_broken_schema_has_no_old_faults(tmp_path: Path) -> None:
    rules, path = rules_for(tmp_path, {"items": [{"n": -1}]})
    write(tmp_path, "schema.json", {"type": 1})

    with pytest.raises(BrokenRulesError):
        judge(rules, {path: {"items": [{"n": -1}]}})


NUMBERS = st.lists(st.sampled_from([-2, -1, 0, 1]), max_size=4)


@examples(200)
@given(NUMBERS, NUMBERS)
def test_faults_are_counted(tmp_path: Path, before: list[int], after: list[int]) -> None:
    write(tmp_path, "schema.json", {"items": {"minimum": 0}})
    text = '[documents."a.json"]\nschema = "schema.json"\n'
    rules = Rules(str(write(tmp_path, "r.toml", text)), grandfathered=True)
    path = write(tmp_path, "a.json", before)

    found = faults(rules, {path: after})

    more = {bad: after.count(bad) - before.count(bad) for bad in (-2, -1)}
    assert len(found) == sum(max(count, 0) for count in more.values()), json.dumps([before, after])
