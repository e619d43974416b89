"""Ways past the rules: other paths of a document, two names, faults behind faults."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from oasis_data import (
    BrokenRulesError,
    InvalidDocumentError,
    configure,
    edit_json,
    load_data_file,
    save_json_atomic,
)
from oasis_data._stores import store_url
from oasis_data.rules import Rules
from oasis_data.rules.schema import Schema
from tests.rules.documents import (
    CRUDES,
    TANKS,
    TANKS_AND_CRUDES,
    faults,
    judge,
    messages,
    tank_farm,
    write,
)

BAD = {"T": {"content": [{"Base": -1}]}}
ONE = '[documents."a.json"]\nschema = "schema.json"\n'


def test_what_a_document_leads_to_has_its_rules(tmp_path: Path) -> None:
    path = tank_farm(tmp_path)
    (tmp_path / "tanks.json").rename(tmp_path / "v1.json")
    (tmp_path / "tanks.json").symlink_to("v1.json")

    rules = Rules(str(path))

    for name in ("tanks.json", "v1.json"):
        assert faults(rules, {tmp_path / name: BAD})


def test_a_folder_that_becomes_a_link_keeps_its_rules(tmp_path: Path) -> None:
    path = tank_farm(tmp_path / "data")
    rules = Rules(str(path))
    (tmp_path / "data").rename(tmp_path / "moved")
    (tmp_path / "data").symlink_to("moved")

    assert faults(rules, {tmp_path / "moved" / "tanks.json": BAD})


def test_a_document_has_one_name(tmp_path: Path) -> None:
    write(tmp_path, "real/tanks.json", TANKS)
    write(tmp_path, "real/tanks.schema.json", True)
    (tmp_path / "link").symlink_to("real")
    text = (
        '[documents."real/tanks.json"]\nschema = "real/tanks.schema.json"\n'
        '[[references]]\nfrom = "link/tanks.json#$.~"\nto = "crudes.json#$.~"\n'
    )
    rules = Rules(str(write(tmp_path, "oasis-data.toml", text)))

    for name in ("real/tanks.json", "link/tanks.json", "crudes.json"):
        with pytest.raises(BrokenRulesError, match=r"real/tanks\.json and link/tanks\.json"):
            judge(rules, {tmp_path / name: {}})


def test_a_rules_file_that_is_a_link_is_about_the_folder_of_the_link(tmp_path: Path) -> None:
    """As a container is given a file: a link to a folder that is replaced as a whole."""
    path = tank_farm(tmp_path / "data")
    (tmp_path / "versions").mkdir()
    path.rename(tmp_path / "versions" / "1.toml")
    path.symlink_to("../versions/1.toml")
    rules, tanks = Rules(str(path)), tmp_path / "data" / "tanks.json"

    judge(rules, {tanks: TANKS})
    assert faults(rules, {tanks: BAD})
    assert not faults(rules, {tmp_path / "versions" / "tanks.json": BAD})


def test_an_edit_may_change_the_working_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    configure(rules=tank_farm(tmp_path))
    (tmp_path / "other").mkdir()
    monkeypatch.chdir(tmp_path)

    with pytest.raises(InvalidDocumentError), edit_json("tanks.json") as document:
        document.update(BAD)
        os.chdir("other")

    assert load_data_file(tmp_path / "tanks.json") == TANKS


def test_each_spelling_in_a_store_has_the_rules(tmp_path: Path, database: Path) -> None:
    tank_farm(tmp_path / "rules")
    text = TANKS_AND_CRUDES.replace('"tanks.json', f'"{database}/tanks.json')
    text = text.replace('"crudes.json', f'"{database}/crudes.json')
    path = write(tmp_path, "rules/oasis-data.toml", text)
    save_json_atomic(database / "crudes.json", CRUDES)

    for rules in (path, f"/{path}"):
        configure(rules=rules)
        for tanks in (f"{database}/tanks.json", f"/{database}/x/..//tanks.json"):
            for content in (BAD, {"T": {"content": [{"Sour": 1}]}}):
                with pytest.raises(InvalidDocumentError):
                    save_json_atomic(tanks, content)
    configure(rules="", stores={f"/{folder}": url for folder, url in stores_of(database).items()})
    configure(rules=path)
    with pytest.raises(InvalidDocumentError):
        save_json_atomic(database / "tanks.json", BAD)


def stores_of(database: Path) -> dict[str, str]:
    return {str(database): store_url(str(database))}


def nested(depth: int) -> list[Any]:
    document: list[Any] = []
    for _ in range(depth - 1):
        document = [document]
    return document


@pytest.mark.parametrize("hidden", [nested(300), "\ud800"], ids=["depth", "surrogate"])
def test_an_old_fault_does_not_hide_a_new_one(tmp_path: Path, hidden: Any) -> None:
    write(tmp_path, "schema.json", {"properties": {"n": {"minimum": 0}}})
    rules = Rules(str(write(tmp_path, "r.toml", ONE)), grandfathered=True)
    path = write(tmp_path, "a.json", {"x": hidden})

    assert faults(rules, {path: {"x": hidden, "n": -1}})
    assert not faults(rules, {path: {"x": 1, "n": 1}})


def test_an_old_fault_of_depth_hides_no_reference(tmp_path: Path) -> None:
    text = '[[references]]\nfrom = "a.json#$..[?@.n].n"\nto = "b.json#$.~"\n'
    rules = Rules(str(write(tmp_path, "r.toml", text)), grandfathered=True)
    path = write(tmp_path, "a.json", {"x": nested(300)})

    assert messages(rules, {path: {"x": nested(300), "y": {"n": "gone"}}}) == [
        "$: is nested deeper than a.json#$..[?@.n].n can be followed"
    ]


@pytest.mark.parametrize("masked", [False, True])
def test_items_that_no_keyword_evaluates(tmp_path: Path, masked: bool) -> None:
    write(tmp_path, "schema.json", {"prefixItems": [True], "unevaluatedItems": False})
    rules = Rules(str(write(tmp_path, "r.toml", ONE)), masked=masked)

    [message] = messages(rules, {tmp_path / "a.json": ["a", "secret", 3]})

    assert message.startswith("$: Unevaluated items are not allowed (")
    assert ("secret" in message) != masked


def test_a_masked_schema_is_of_one_content(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path, "schema.json", {"type": "object"})
    compiled = Schema._compiled

    def replaced_after(schema: Schema, name: str, mask: str | None) -> Any:
        validator = compiled(schema, name, mask)
        if mask is None:
            write(tmp_path, "new.json", {"type": "array"}).replace(path)
        return validator

    monkeypatch.setattr(Schema, "_compiled", replaced_after)
    schema = Schema(str(path), masked=True)

    assert schema.is_valid({})
    assert not schema.is_current()


def test_a_pipe_in_place_of_a_rules_file_keeps_nobody_waiting(tmp_path: Path) -> None:
    path = tank_farm(tmp_path)
    rules = Rules(str(path))
    path.unlink()
    os.mkfifo(path)

    told: list[str] = []

    def work() -> None:
        with pytest.raises(BrokenRulesError) as raised:
            judge(rules, {tmp_path / "tanks.json": TANKS})
        told.append(str(raised.value))

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    thread.join(20)
    assert "no regular file" in told[0]


@pytest.mark.parametrize("error", [KeyboardInterrupt, MemoryError])
def test_what_interrupts_the_reading_of_a_schema_is_raised(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: type[BaseException]
) -> None:
    path = write(tmp_path, "schema.json", {"$ref": "other.json"})
    read = Schema._read

    def interrupted(schema: Schema, name: str) -> Any:
        if name.endswith("other.json"):
            raise error
        return read(schema, name)

    monkeypatch.setattr(Schema, "_read", interrupted)
    with pytest.raises(error):
        Schema(str(path), masked=False)


def test_names_of_folders_need_not_be_utf8(tmp_path: Path) -> None:
    folder = Path(os.fsdecode(bytes(tmp_path) + b"/\xff%20"))
    write(folder, "schema.json", {"$ref": "other.json"})
    write(folder, "other.json", False)

    assert faults(Rules(str(write(folder, "r.toml", ONE))), {folder / "a.json": 1})


@pytest.mark.parametrize(
    "text",
    [
        '[documents."a\\u0000.json"]\nschema = "schema.json"\n',
        '[[references]]\nfrom = "a\\u0000.json#$.*"\nto = "b.json#$.~"\n',
        '[documents."a.json"]\nschema = "\\u0000"\n',
    ],
)
def test_a_zero_byte_is_in_no_path(tmp_path: Path, text: str) -> None:
    rules = Rules(str(write(tmp_path, "r.toml", text)))

    with pytest.raises(BrokenRulesError):
        judge(rules, {tmp_path / "a.json": 1, tmp_path / "b.json": 1})


def test_many_documents_and_references_are_read_in_time(tmp_path: Path) -> None:
    write(tmp_path, "schema.json", True)
    documents = "".join(
        f'[documents."{each}/data.json"]\nschema = "schema.json"\n' for each in range(2000)
    )
    references = "".join(
        f'[[references]]\nfrom = "{each}/data.json#$.*"\nto = "to.json#$.~"\n'
        for each in range(500)
    )
    path = write(tmp_path, "r.toml", documents + references)

    began = time.process_time()
    rules = Rules(str(path))
    assert rules.judgement([str(tmp_path / "data.json")]) is None
    # A search of a line for each reference takes minutes.
    assert time.process_time() - began < 10
    assert not faults(rules, {tmp_path / "1" / "data.json": []})
