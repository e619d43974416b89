"""Every write obeys: nothing is written, and the caller is told all faults."""

from __future__ import annotations

import copy
import enum
import json
import os
import pickle
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from oasis_data import (
    AtomicJSONWriter,
    BrokenRulesError,
    InvalidDocumentError,
    OperationType,
    configure,
    delete_json_atomic,
    edit_json,
    list_backups,
    load_data_file,
    restore_backup,
    save_json_atomic,
    save_many_atomic,
    save_with_version,
    stats,
)
from tests.rules.documents import CRUDES, TANKS, tank_farm, write

BAD = {"T": {"content": [{"Base": -1}]}}
SOUR = {"T": {"content": [{"Sour": 1}]}}
BOTH = {"T": {"content": [{"Base": -1}, {"Sour": 1}]}}
FAULTS_OF_BOTH = [
    "$.T.content[0].Base: -1 is less than the minimum of 0",
    '$.T.content[1].Sour: "Sour" is not among crudes.json#$.~',
]


@pytest.fixture
def farm(tmp_path: Path) -> Path:
    configure(rules=tank_farm(tmp_path))
    return tmp_path


def edited(path: Path, content: Any) -> None:
    with edit_json(path) as document:
        document.clear()
        document.update(content)


SAVES: list[Callable[[Path, Any], Any]] = [
    save_json_atomic,
    save_with_version,
    edited,
    lambda path, content: save_many_atomic({path: content}),
    lambda path, content: save_many_atomic({path: content, path.parent / "other.json": 1}),
    lambda path, content: AtomicJSONWriter().write(path, content),
]


@pytest.mark.parametrize("save", SAVES)
@pytest.mark.parametrize("content", [BAD, SOUR])
def test_a_save_that_disobeys_writes_nothing(
    farm: Path, save: Callable[[Path, Any], Any], content: Any
) -> None:
    before = {path.name: path.read_bytes() for path in farm.iterdir() if path.is_file()}

    for _ in range(2):
        with pytest.raises(InvalidDocumentError) as raised:
            save(farm / "tanks.json", content)
        assert raised.value.file_path == str(farm / "tanks.json")
        assert len(raised.value.faults) == 1

    after = {path.name: path.read_bytes() for path in farm.iterdir() if path.is_file()}
    assert after == before
    assert load_data_file(farm / "tanks.json") == TANKS
    # No lock was left.
    save(farm / "tanks.json", {"T": {"content": [{"Base": 1}]}})


@pytest.mark.parametrize("save", SAVES)
@pytest.mark.parametrize("grandfathered", [False, True])
def test_all_faults_are_told_at_once_the_schema_s_first(
    farm: Path, save: Callable[[Path, Any], Any], grandfathered: bool
) -> None:
    configure(rules_grandfathered=grandfathered)

    for _ in range(2):
        with pytest.raises(InvalidDocumentError) as raised:
            save(farm / "tanks.json", BOTH)

        assert [fault.message for fault in raised.value.faults] == FAULTS_OF_BOTH
        assert raised.value.message == (
            f"tanks.json: {FAULTS_OF_BOTH[0]}; 1 more fault; nothing was saved"
        )
        assert raised.value.file_path == str(farm / "tanks.json")
    # Nothing of it is left for the next write.
    save(farm / "tanks.json", {"T": {"content": [{"Base": 1}]}})


def test_all_faults_of_a_batch_are_told_at_once(farm: Path) -> None:
    write(farm, "a.schema.json", {"minimum": 0})
    text = (farm / "oasis-data.toml").read_text()
    write(farm, "oasis-data.toml", text + '[documents."a.json"]\nschema = "a.schema.json"\n')

    with pytest.raises(InvalidDocumentError) as raised:
        save_many_atomic({farm / "tanks.json": BOTH, farm / "crudes.json": {}, farm / "a.json": -1})

    assert [(fault.document, fault.place) for fault in raised.value.faults] == [
        ("tanks.json", "$.T.content[0].Base"),
        ("a.json", "$"),
        ("tanks.json", "$.T.content[0].Base"),
        ("tanks.json", "$.T.content[1].Sour"),
    ]
    # A document that the others are not judged by can be the only one with a schema.
    with pytest.raises(InvalidDocumentError) as raised:
        save_many_atomic({farm / "crudes.json": {}, farm / "a.json": -1})
    assert raised.value.file_path == str(farm / "a.json")
    assert [fault.document for fault in raised.value.faults] == ["a.json"] + ["tanks.json"] * 2


def test_a_save_that_changes_nothing_obeys_too(farm: Path) -> None:
    write(farm, "tanks.json", json.dumps(BAD, indent=2))

    with pytest.raises(InvalidDocumentError):
        save_json_atomic(farm / "tanks.json", BAD)
    configure(rules_grandfathered=True)
    save_json_atomic(farm / "tanks.json", BAD)


def test_a_refused_save_waits_for_nobody(farm: Path) -> None:
    with edit_json(farm / "tanks.json"), edit_json(farm / "crudes.json"):
        refused: list[InvalidDocumentError] = []

        def save() -> None:
            try:
                save_json_atomic(farm / "tanks.json", BOTH)
            except InvalidDocumentError as error:
                refused.append(error)

        thread = threading.Thread(target=save)
        thread.start()
        thread.join(60)
        assert [len(error.faults) for error in refused] == [2]


def test_faults_of_threads_are_not_mixed(farm: Path) -> None:
    """The writes of a path have one judgement."""
    mixed: list[object] = []

    def save(number: int) -> None:
        for _ in range(50):
            bad = {f"T{number}": {"content": [{"Base": -1 - number}, {f"Sour{number}": 1}]}}
            try:
                save_json_atomic(farm / "tanks.json", bad)
            except InvalidDocumentError as error:
                if [fault.value for fault in error.faults] != [-1 - number, f"Sour{number}"]:
                    mixed.append(error.faults)
            else:
                mixed.append("saved")

    threads = [threading.Thread(target=save, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert mixed == []


def test_an_error_is_a_value_error_and_survives_pickling(farm: Path) -> None:
    with pytest.raises(ValueError, match="less than the minimum") as raised:
        save_json_atomic(farm / "tanks.json", BAD)

    error = raised.value
    assert isinstance(error, InvalidDocumentError)
    for again in (pickle.loads(pickle.dumps(error)), copy.deepcopy(error)):
        assert again.faults == error.faults
        assert again.__dict__ == error.__dict__


def test_failures_are_counted_by_their_class(farm: Path) -> None:
    def counted(kind: str) -> int:
        return stats()["failures"].get("write", {}).get(kind, 0)

    before = counted("InvalidDocumentError"), counted("BrokenRulesError")
    for content in (BAD, SOUR):
        with pytest.raises(InvalidDocumentError):
            save_json_atomic(farm / "tanks.json", content)
    write(farm, "oasis-data.toml", "[x")
    with pytest.raises(BrokenRulesError):
        save_json_atomic(farm / "tanks.json", TANKS)

    assert (counted("InvalidDocumentError"), counted("BrokenRulesError")) == (
        before[0] + 2,
        before[1] + 1,
    )


def test_a_broken_file_refuses_saves_and_loads_go_on(farm: Path) -> None:
    write(farm, "oasis-data.toml", "[documents")

    with pytest.raises(BrokenRulesError, match=r"line 1.*; nothing was saved") as raised:
        save_json_atomic(farm / "tanks.json", TANKS)
    assert raised.value.operation is OperationType.WRITE
    with pytest.raises(BrokenRulesError, match=r"line 1.*; nothing was deleted") as raised:
        delete_json_atomic(farm / "tanks.json")
    assert raised.value.operation is OperationType.DELETE
    assert load_data_file(farm / "tanks.json", strict=True) == TANKS
    save_json_atomic(farm / "other.json", 1)


def test_a_deletion_says_that_nothing_was_deleted(farm: Path) -> None:
    """Where a fault may stay, what is deleted is held against its schema."""
    text = (farm / "oasis-data.toml").read_text()
    write(farm, "oasis-data.toml", text + '[documents."crudes.json"]\nschema = "torn.json"\n')
    write(farm, "torn.json", "{")
    configure(rules_grandfathered=True)

    with pytest.raises(BrokenRulesError, match=r"torn\.json.*; nothing was deleted") as raised:
        delete_json_atomic(farm / "crudes.json")

    assert raised.value.operation is OperationType.DELETE
    with pytest.raises(BrokenRulesError, match=r"torn\.json.*; nothing was saved"):
        save_json_atomic(farm / "crudes.json", CRUDES)


def test_what_is_invalid_already_is_loaded_and_can_be_repaired(farm: Path) -> None:
    write(farm, "tanks.json", BAD)

    assert load_data_file(farm / "tanks.json", strict=True) == BAD
    with edit_json(farm / "tanks.json") as document:
        document["T"]["content"][0]["Base"] = 1
    assert load_data_file(farm / "tanks.json") == {"T": {"content": [{"Base": 1}]}}


def test_an_old_fault_may_stay_where_that_is_configured(farm: Path) -> None:
    write(farm, "tanks.json", {**BAD, **SOUR, "U": {"content": [{"Base": -1}, {"Sour": 1}]}})
    configure(rules_grandfathered=True)

    with edit_json(farm / "tanks.json") as document:
        document["V"] = {"content": [{"Base": 1}]}
    for new in ({"Base": -2}, {"Base": -1}, {"Sweet": 1}):
        with (
            pytest.raises(InvalidDocumentError) as raised,
            edit_json(farm / "tanks.json") as document,
        ):
            document["W"] = {"content": [new]}
        assert [fault.place for fault in raised.value.faults] == [
            f"$.W.content[0].{next(iter(new))}"
        ]
    save_json_atomic(farm / "tanks.json", TANKS)


def test_references_hold_in_a_batch_and_over_a_deletion(farm: Path) -> None:
    tanks, crudes = farm / "tanks.json", farm / "crudes.json"

    with pytest.raises(InvalidDocumentError, match=r"tanks\.json: \$\.Tank1"):
        save_json_atomic(crudes, {"Base": {}})
    with pytest.raises(InvalidDocumentError, match="nothing was deleted"):
        delete_json_atomic(crudes)
    with pytest.raises(InvalidDocumentError):
        save_many_atomic({tanks: SOUR, crudes: CRUDES})
    save_many_atomic({tanks: SOUR, crudes: {"Sour": {}}})
    delete_json_atomic(tanks)
    delete_json_atomic(crudes)

    assert not tanks.exists()
    assert not crudes.exists()


class Grade(str, enum.Enum):
    BASE = "Base"


class Unit:
    """No JSON: `default` makes a text of it."""


def test_what_is_written_is_judged_and_not_what_was_given(farm: Path) -> None:
    path = farm / "a.json"
    schema = {
        "properties": {
            "keys": {"additionalProperties": False, "properties": {"1": True, "null": True}},
            "pair": {"type": "array", "maxItems": 2},
            "unit": {"type": "string"},
            "grade": {"const": "Base"},
            "large": {"minimum": 2**70},
        }
    }
    write(farm, "a.schema.json", schema)
    write(farm, "oasis-data.toml", '[documents."a.json"]\nschema = "a.schema.json"\n')
    good: dict[str, Any] = {
        "keys": {1: 2, None: 3},
        "pair": (1, 2),
        "unit": Unit(),
        "grade": Grade.BASE,
        "large": 2**70,
    }

    save_json_atomic(path, good, default=lambda _: "m3")
    assert json.loads(path.read_text())["unit"] == "m3"
    for bad in (
        {"keys": {2: 1}},
        {"pair": (1, 2, 3)},
        {"large": 2**69},
        {"grade": enum.IntEnum("Number", "ONE").ONE},  # type: ignore[attr-defined]
    ):
        with pytest.raises(InvalidDocumentError):
            save_json_atomic(path, {**good, **bad}, default=lambda _: "m3")
    with pytest.raises(InvalidDocumentError, match=r"\$\.unit: 3 is not of type"):
        save_json_atomic(path, good, default=lambda _: 3)


def test_a_restore_takes_the_newest_backup_that_obeys(farm: Path) -> None:
    path = farm / "tanks.json"
    configure(rules="")
    contents: list[object] = [{"A": {"content": []}}, BOTH, SOUR, TANKS]
    for content in contents:
        save_json_atomic(path, content)
    configure(rules=farm / "oasis-data.toml")
    backups = list_backups(path)

    with pytest.raises(InvalidDocumentError) as raised:
        restore_backup(path, backups[0])
    assert raised.value.faults[0].value == "Sour"
    with pytest.raises(InvalidDocumentError) as raised:
        restore_backup(path, backups[1])
    assert [fault.message for fault in raised.value.faults] == FAULTS_OF_BOTH
    assert load_data_file(path) == TANKS
    restored = restore_backup(path)

    assert load_data_file(path) == {"A": {"content": []}}
    assert os.path.basename(restored) == os.path.basename(backups[2].path)
