"""Schemas: drafts, files that refer to each other, and what is told of a fault."""

from __future__ import annotations

import json
import socket
from pathlib import Path
from typing import Any

import jsonschema  # type: ignore[import-untyped]
import pytest
from hypothesis import given
from hypothesis import strategies as st

from oasis_data import BrokenRulesError, InvalidDocumentError
from oasis_data.rules import Rules
from tests.rules.documents import TANKS, encoded, faults, judge, messages, tank_farm, write
from tests.strategies import examples

ONE = '[documents."a.json"]\nschema = "schemas/a.json"\n'
DRAFTS = [
    "http://json-schema.org/draft-04/schema#",
    "http://json-schema.org/draft-06/schema#",
    "http://json-schema.org/draft-07/schema#",
    "https://json-schema.org/draft/2019-09/schema",
    "https://json-schema.org/draft/2020-12/schema",
]


def one(folder: Path, schema: object, **settings: bool) -> tuple[Rules, Path]:
    """Rules with a schema for one document, and the document's path."""
    write(folder, "schemas/a.json", schema)
    return Rules(str(write(folder, "oasis-data.toml", ONE)), **settings), folder / "a.json"


def test_a_fault_names_place_rule_and_value(tmp_path: Path) -> None:
    rules = Rules(str(tank_farm(tmp_path)))
    bad = {
        "Tank2": {"content": [{"Base": -5}], "colour": "red"},
        "Tank3": {"capacity": 501, "content": []},
        "a b": {},
    }
    with pytest.raises(InvalidDocumentError) as raised:
        judge(rules, {tmp_path / "tanks.json": bad})

    assert raised.value.file_path == str(tmp_path / "tanks.json")
    assert raised.value.message == (
        "tanks.json: $.Tank2.content[0].Base: -5 is less than the minimum of 0; 3 more faults; "
        "nothing was saved"
    )
    assert {(each.place, each.value): each.message for each in raised.value.faults[:3]} == {
        ("$.Tank2.content[0].Base", -5): (
            "$.Tank2.content[0].Base: -5 is less than the minimum of 0"
        ),
        ("$.Tank2.colour", "red"): "$.Tank2.colour: Additional properties are not allowed",
        ("$.Tank3.capacity", 501): "$.Tank3.capacity: 501 is greater than the maximum of 500",
    }
    last = raised.value.faults[3]
    assert (last.place, last.value) == ('$["a b"]', {})
    assert last.message == '$["a b"]: "content" is a required property'
    assert last.rule == "tanks.schema.json#/additionalProperties/required"
    assert last.document == "tanks.json"


def test_a_value_is_masked_in_every_fault(tmp_path: Path) -> None:
    rules = Rules(str(tank_farm(tmp_path)), masked=True)
    bad = {"T": {"content": [{"Base": -4711}, "4711"], "colour": "4711", "capacity": 4711}}

    found = faults(rules, {tmp_path / "tanks.json": bad})

    assert len(found) == 3
    assert {each.value for each in found} == {"***"}
    assert "4711" not in repr(found)
    assert "$.T.content[0].Base: *** is less than the minimum of 0" in {
        each.message for each in found
    }


def test_a_long_value_is_told_in_part(tmp_path: Path) -> None:
    rules, path = one(tmp_path, {"type": "number"})

    [fault] = faults(rules, {path: "x" * 10_000})

    assert len(fault.message) < 400
    assert fault.message.endswith('xx" is not of type "number"')
    assert fault.value == "x" * 10_000


@pytest.mark.parametrize("draft", DRAFTS)
def test_each_draft_is_known_by_its_name(tmp_path: Path, draft: str) -> None:
    # 1.0 is an integer since draft 6; `$ref` beside others counts since 2019-09.
    rules, path = one(tmp_path, {"$schema": draft, "type": "integer"})
    assert bool(faults(rules, {path: b"1.0"})) == ("draft-04" in draft)
    schema = {
        "$schema": draft,
        "definitions": {"any": {}},
        "properties": {"a": {"$ref": "#/definitions/any", "type": "string"}},
    }
    rules, path = one(tmp_path, schema)
    assert bool(faults(rules, {path: {"a": 1}})) == ("/20" in draft)


@pytest.mark.parametrize("draft", DRAFTS)
def test_a_format_is_checked_as_the_draft_has_it(tmp_path: Path, draft: str) -> None:
    # From 2019-09 on, a format is a note for readers.
    rules, path = one(tmp_path, {"$schema": draft, "format": "date-time"})

    assert bool(faults(rules, {path: "tomorrow"})) == ("draft-0" in draft)
    assert not faults(rules, {path: "2026-11-28T02:40:00Z"})


@pytest.mark.parametrize("base", [None, "https://example.com/schemas/a.json"])
def test_schemas_refer_to_files_beside_them(tmp_path: Path, base: str | None) -> None:
    folder = tmp_path / "a b ü"
    schema: dict[str, Any] = {"properties": {"x": {"$ref": "parts/x.json#/definitions/x"}}}
    rules, path = one(folder, schema if base is None else {"$id": base, **schema})
    write(folder, "schemas/parts/x.json", {"definitions": {"x": {"$ref": "../y.json"}}})
    write(folder, "schemas/y.json", {"maximum": 3})

    assert messages(rules, {path: {"x": 4}}) == ["$.x: 4 is greater than the maximum of 3"]
    assert faults(rules, {path: {"x": 4}})[0].rule == "y.json#/maximum"
    assert not faults(rules, {path: {"x": 3}})


@pytest.mark.parametrize(
    "reference", ["http://127.0.0.1:9/x.json", "https://example.com/x.json", "//host/x.json"]
)
def test_no_schema_is_fetched(
    tmp_path: Path, reference: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def connect(*_: object) -> None:
        raise AssertionError("a connection")

    monkeypatch.setattr(socket.socket, "connect", connect)
    for schema in (
        {"$ref": reference},
        {"$id": "https://elsewhere.example/schemas/a.json", "$ref": reference},
    ):
        rules, path = one(tmp_path, schema)
        with pytest.raises(BrokenRulesError, match="never fetched"):
            judge(rules, {path: 1})


@pytest.mark.parametrize(
    ("content", "problem", "line"),
    [
        (None, r"a\.json: No such file", None),
        ('{"type":\n "strin', r"a\.json, line 2: not a JSON document", 2),
        ("[1]", "must be an object, true or false", None),
        ({"type": "strin"}, r"not a JSON Schema: \$\.type: \"strin\"", None),
        ({"minimum": "0"}, r"not a JSON Schema: \$\.minimum", None),
        ({"pattern": "["}, "not a JSON Schema", None),
        ({"$ref": "#/definitions/none"}, "not a JSON Schema", None),
        ({"$ref": "missing.json"}, r"missing\.json: No such file", None),
        ({"$ref": "torn.json"}, r"torn\.json, line 1: not a JSON document", 1),
        (
            {"$schema": "http://json-schema.org/draft-03/schema#"},
            "draft-03.*The drafts are 4",
            None,
        ),
    ],
)
def test_what_is_no_schema_names_itself(
    tmp_path: Path, content: Any, problem: str, line: int | None
) -> None:
    rules, path = one(tmp_path, True if content is None else content)
    write(tmp_path, "schemas/torn.json", "{")
    if content is None:
        (tmp_path / "schemas" / "a.json").unlink()

    with pytest.raises(BrokenRulesError, match=problem) as raised:
        judge(rules, {path: 1})
    assert raised.value.line == line
    assert raised.value.rules_path.startswith(str(tmp_path / "schemas"))
    # A deletion has no content that a schema could be asked about.
    judge(rules, {path: None})


def test_a_broken_schema_is_told_with_the_line_that_names_it(tmp_path: Path) -> None:
    text = (
        '[documents."b.json"]\nschema = "b.schema.json"\n'
        '# a comment\n[documents."x/../a.json"]\n\nschema = "a.schema.json"\n'
        '[[references]]\nfrom = "a.json#$.*"\nto = "b.json#$.*"\n'
    )
    rules = Rules(str(write(tmp_path, "rules.toml", text)))
    write(tmp_path, "a.schema.json", {"$ref": "c.json"})
    write(tmp_path, "c.json", '{\n"type"')

    with pytest.raises(BrokenRulesError) as raised:
        judge(rules, {tmp_path / "a.json": 1})

    assert raised.value.message.startswith(
        "a.json: its rules cannot be read: c.json, line 2: not a JSON document: "
    )
    assert raised.value.message.endswith(
        " (for the schema in rules.toml, line 6); nothing was saved, mend c.json"
    )
    assert (raised.value.rules_path, raised.value.line) == (str(tmp_path / "c.json"), 2)
    _, broken = rules.violations(lambda _: None)
    assert [str(each).count("(for the schema in rules.toml, line") for each in broken] == [1, 1]


def test_what_is_written_is_judged(tmp_path: Path) -> None:
    rules, path = one(tmp_path, {"items": {"type": "integer"}, "maxItems": 2})

    judge(rules, {path: b" [1, 2]\n"})
    assert messages(rules, {path: b"[1, 2, 3"}) == [
        "$: not a JSON document: Expecting ',' delimiter"
    ]
    assert faults(rules, {path: b"[NaN]"})
    assert faults(rules, {path: b"[Infinity]"})


def test_what_no_schema_can_be_held_against_is_refused(tmp_path: Path) -> None:
    rules, path = one(tmp_path, {"items": {"$ref": "#"}, "pattern": "a"})

    assert messages(rules, {path: b"[" * 900 + b"]" * 900}) == [
        "$: is nested deeper than 255 levels"
    ]
    assert messages(rules, {path: b'["\\ud800"]'}) == ["$: a text in it has a lone surrogate"]
    # A text that no schema looks at may be any text.
    rules, path = one(tmp_path, {"items": {"pattern": "a"}, "prefixItems": [True]})
    judge(rules, {path: b'["\\ud800"]'})
    judge(rules, {path: b"[" * 200 + b"]" * 200})
    judge(rules, {path: [[]] * 999})


def test_the_value_of_a_valid_call_is_the_schemas(tmp_path: Path) -> None:
    judgement = Rules(str(tank_farm(tmp_path))).judgement(
        [str(tmp_path / name) for name in ("tanks.json", "crudes.json", "other.json")]
    )
    assert judgement is not None

    assert [is_valid({"T": 1}) for is_valid in judgement.valid if is_valid] == [False, True, True]
    assert judgement.valid[0]
    assert judgement.valid[0](TANKS)


NAMES = st.sampled_from(["a", "b", "c d"])
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 3) | st.sampled_from([0.5, 1.0, "", "a", "bb"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=8,
)
KEYWORDS = st.fixed_dictionaries(
    {},
    optional={
        "type": st.sampled_from(
            ["null", "boolean", "integer", "number", "string", "array", "object"]
        ),
        "minimum": st.integers(-2, 2),
        "exclusiveMaximum": st.integers(-2, 2),
        "multipleOf": st.sampled_from([1, 2, 0.5]),
        "minLength": st.integers(0, 2),
        "pattern": st.sampled_from(["^a", "b$"]),
        "maxItems": st.integers(0, 2),
        "uniqueItems": st.booleans(),
        "required": st.lists(NAMES, max_size=2, unique=True),
        "additionalProperties": st.booleans(),
        "maxProperties": st.integers(0, 2),
        "enum": st.lists(VALUES, min_size=1, max_size=3),
        "const": VALUES,
    },
)
SCHEMAS: st.SearchStrategy[Any] = st.recursive(
    KEYWORDS,
    lambda inner: st.fixed_dictionaries(
        {},
        optional={
            "properties": st.dictionaries(NAMES, inner, max_size=2),
            "additionalProperties": inner,
            "items": inner,
            "allOf": st.lists(inner, min_size=1, max_size=2),
            "anyOf": st.lists(inner, min_size=1, max_size=2),
            "not": inner,
            "contains": inner,
            "propertyNames": inner,
        },
    ),
    max_leaves=6,
)


@examples(300)
@given(SCHEMAS, VALUES, st.sampled_from(DRAFTS[1:]))
def test_the_slow_judge_is_of_the_same_opinion(
    tmp_path: Path, schema: dict[str, Any], value: Any, draft: str
) -> None:
    schema = {"$schema": draft, **schema}
    rules, path = one(tmp_path, schema)
    slow = jsonschema.validators.validator_for(schema)(schema)

    found = faults(rules, {path: encoded(value)})

    assert bool(found) == (not slow.is_valid(value)), json.dumps([schema, value])
    places = {fault.place for fault in found}
    assert places or slow.is_valid(value)
    for error in slow.iter_errors(value):
        if error.validator not in ("additionalProperties", "unevaluatedProperties"):
            assert (
                "$"
                + "".join(
                    f"[{step}]"
                    if isinstance(step, int)
                    else f'["{step}"]'
                    if " " in step
                    else f".{step}"
                    for step in error.absolute_path
                )
                in places
            )
