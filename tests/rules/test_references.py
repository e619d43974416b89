"""References: what dangles, told both ways, against a slow judge."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oasis_data import InvalidDocumentError, OperationType
from oasis_data.rules import Rules
from tests.rules.documents import CRUDES, TANKS, faults, judge, messages, tank_farm, write
from tests.strategies import examples


def test_a_tank_with_an_unknown_crude_is_refused(tmp_path: Path) -> None:
    rules = Rules(str(tank_farm(tmp_path)))
    tanks = {**TANKS, "a b": {"content": [{"Base": 1}, {"Sour": 2}]}}

    [fault] = faults(rules, {tmp_path / "tanks.json": tanks})

    assert fault.message == '$["a b"].content[1].Sour: "Sour" is not among crudes.json#$.~'
    assert (fault.document, fault.value) == ("tanks.json", "Sour")
    assert fault.place == '$["a b"].content[1].Sour'
    assert fault.rule == "tanks.json#$.*.content[*].~ -> crudes.json#$.~"


def test_a_crude_that_tanks_use_is_not_removed(tmp_path: Path) -> None:
    rules = Rules(str(tank_farm(tmp_path)))

    with pytest.raises(InvalidDocumentError) as raised:
        judge(rules, {tmp_path / "crudes.json": {}})

    assert raised.value.message == (
        'crudes.json: tanks.json: $.Tank1.content[0].Light: "Light" is not among '
        "crudes.json#$.~; 1 more fault; nothing was saved"
    )
    assert [fault.document for fault in raised.value.faults] == ["tanks.json"] * 2
    assert raised.value.operation is OperationType.WRITE


def test_a_document_that_others_refer_to_is_not_deleted(tmp_path: Path) -> None:
    rules = Rules(str(tank_farm(tmp_path)))

    with pytest.raises(InvalidDocumentError, match="nothing was deleted") as raised:
        judge(rules, {tmp_path / "crudes.json": None})

    assert raised.value.operation is OperationType.DELETE
    assert raised.value.file_path == str(tmp_path / "crudes.json")
    judge(rules, {tmp_path / "tanks.json": None})


def test_a_batch_is_judged_as_a_whole(tmp_path: Path) -> None:
    rules = Rules(str(tank_farm(tmp_path)))
    tanks, crudes = tmp_path / "tanks.json", tmp_path / "crudes.json"
    new = {"T": {"content": [{"Sour": 1}]}}

    judge(rules, {tanks: new, crudes: {"Sour": {}}})
    judge(rules, {tanks: None, crudes: None})
    assert len(faults(rules, {tanks: new, crudes: None})) == 1
    with pytest.raises(InvalidDocumentError) as raised:
        judge(rules, {crudes: {"Light": {}}, tanks: TANKS})
    assert raised.value.file_path == str(tanks)


def test_documents_that_are_missing_or_corrupt(tmp_path: Path) -> None:
    rules = Rules(str(tank_farm(tmp_path)))
    tanks, crudes = tmp_path / "tanks.json", tmp_path / "crudes.json"

    for content in (None, "{torn"):
        tanks.unlink() if content is None else tanks.write_text(content)
        judge(rules, {crudes: {}})
    tanks.write_text(json.dumps(TANKS))
    for content in (None, "{torn"):
        crudes.unlink() if content is None else crudes.write_text(content)
        assert len(faults(rules, {tanks: TANKS})) == 2
        judge(rules, {crudes: CRUDES})


def test_a_masked_key_is_in_no_place(tmp_path: Path) -> None:
    rules = Rules(str(tank_farm(tmp_path)), masked=True)

    [fault] = faults(rules, {tmp_path / "tanks.json": {"T": {"content": [{"Sour": 1}]}}})

    assert "Sour" not in repr(fault)
    assert (fault.place, fault.value) == ("$.T.content[0]", "***")
    assert fault.message == "$.T.content[0]: *** is not among crudes.json#$.~"


def rules_of(folder: Path, *references: tuple[str, str]) -> Rules:
    text = "".join(
        f"[[references]]\nfrom = {json.dumps(source)}\nto = {json.dumps(target)}\n"
        for source, target in references
    )
    return Rules(str(write(folder, "oasis-data.toml", text)))


@pytest.mark.parametrize(
    ("source", "target", "dangling"),
    [
        ([1, 1.0], [1], 0),
        ([2**60 + 1], [float(2**60)], 1),
        ([True, False], [1, 0], 2),
        ([1, 0], [True, False], 2),
        ([None], [], 0),
        (["1"], [1], 1),
        (["é"], ["e\u0301"], 1),
        ([{"a": 1, "b": [2]}], [{"b": [2.0], "a": 1.0}], 0),
        ([[1, 2]], [[2, 1]], 1),
        ([[]], [{}], 1),
        ([[True]], [[1]], 1),
        ([""], [None], 1),
        ([["object", []]], [{}], 1),
        (["x" * 5000], [], 1),
    ],
)
def test_values_are_compared_as_json(
    tmp_path: Path, source: list[Any], target: list[Any], dangling: int
) -> None:
    rules = rules_of(tmp_path, ("a.json#$[*]", "b.json#$[*]"))
    write(tmp_path, "b.json", target)

    found = faults(rules, {tmp_path / "a.json": source})

    assert len(found) == dangling
    assert all(len(fault.message) < 200 for fault in found)


def test_a_document_may_refer_to_itself(tmp_path: Path) -> None:
    rules = rules_of(tmp_path, ("a.json#$.*.next", "a.json#$.~"))
    path = tmp_path / "a.json"

    judge(rules, {path: {"x": {"next": "y"}, "y": {"next": None}}})
    assert messages(rules, {path: {"x": {"next": "z"}}}) == [
        '$.x.next: "z" is not among a.json#$.~'
    ]
    judgement = rules.judgement([str(path)])
    assert judgement is not None
    assert (judgement.companions, judgement.group) == ([], str(path))


def test_what_cannot_be_followed_is_refused(tmp_path: Path) -> None:
    rules = rules_of(tmp_path, ("a.json#$..x", "b.json#$.*"), ("c.json#$[*]", "b.json#$.*"))
    deep = b"[" * 190 + b"]" * 190
    deeper = b"[" * 900 + b"]" * 900

    assert messages(rules, {tmp_path / "a.json": deep}) == [
        "$: is nested deeper than a.json#$..x can be followed"
    ]
    assert messages(rules, {tmp_path / "c.json": deeper}) in (
        ["$: is nested deeper than c.json#$[*] can be followed"],
        # Where the interpreter has room for so many calls, the value only dangles.
        ["$[0]: " + "[" * 100 + "… is not among b.json#$.*"],
    )


def test_documents_with_references_are_a_group(tmp_path: Path) -> None:
    rules = rules_of(
        tmp_path,
        ("d.json#$.*", "c.json#$.*"),
        ("b.json#$.*", "c.json#$.*"),
        ("x.json#$.*", "y.json#$.*"),
        ("c.json#$.*", "a.json#$.*"),
    )

    def companions(*names: str) -> list[str]:
        judgement = rules.judgement([str(tmp_path / name) for name in names])
        assert judgement is not None
        assert judgement.group == str(tmp_path / "a.json")
        return [Path(path).name for path in judgement.companions]

    assert companions("d.json") == ["c.json"]
    assert companions("c.json") == ["a.json", "b.json", "d.json"]
    assert companions("a.json", "other.json") == ["c.json"]
    assert companions("y.json", "c.json", "b.json") == ["a.json", "d.json", "x.json"]
    assert rules.judgement([str(tmp_path / "other.json")]) is None


def test_a_document_without_references_is_in_no_group(tmp_path: Path) -> None:
    path = tank_farm(tmp_path)
    path.write_text(path.read_text() + '[documents."a.json"]\nschema = "tanks.schema.json"\n')

    judgement = Rules(str(path)).judgement([str(tmp_path / "a.json")])

    assert judgement is not None
    assert (judgement.group, judgement.companions) == (None, [])


SCALARS = st.sampled_from(["a", "b", "c", 1, 1.0, True, None, 0])
DOCUMENTS = st.none() | st.dictionaries(
    st.sampled_from("abc"), SCALARS | st.lists(SCALARS, max_size=3), max_size=3
)
PATHS = st.sampled_from(["$.*", "$.~", "$.a", "$.*[*]", "$.b[0]", "$", "$.*[?@ == 1]"])
NAMES = st.sampled_from(["1.json", "2.json", "3.json"])
REFERENCES = st.lists(st.tuples(NAMES, PATHS, NAMES, PATHS), min_size=1, max_size=3)


@examples(300)
@given(REFERENCES, st.lists(DOCUMENTS, min_size=3, max_size=3), DOCUMENTS, NAMES)
def test_the_slow_judge_finds_the_same(
    tmp_path: Path,
    references: list[tuple[str, str, str, str]],
    before: list[Any],
    change: Any,
    changed: str,
) -> None:
    ends = [(f"{a}#{b}", f"{c}#{d}") for a, b, c, d in references]
    rules = rules_of(tmp_path, *ends)
    state = dict(zip(("1.json", "2.json", "3.json"), before, strict=True))
    for name, content in state.items():
        path = tmp_path / name
        path.unlink(missing_ok=True)
        if content is not None:
            write(tmp_path, name, content)
    state[changed] = change

    found = faults(rules, {tmp_path / changed: change})

    expected = [
        (source, value)
        for source, source_path, target, target_path in references
        if changed in (source, target)
        for value in selected(state[source], source_path)
        if value is not None
        and not any(same(value, other) for other in selected(state[target], target_path))
    ]
    assert sorted(map(repr, expected)) == sorted(
        repr((fault.document, fault.value)) for fault in found
    )


def selected(document: Any, path: str) -> list[Any]:
    """What a path selects, said once more and simply. A document that is null is missing."""
    if document is None:
        return []
    lists = [each for each in document.values() if isinstance(each, list)]
    found: dict[str, list[Any]] = {
        "$": [document],
        "$.~": list(document),
        "$.*": list(document.values()),
        "$.a": [document["a"]] if "a" in document else [],
        "$.*[*]": [item for each in lists for item in each],
        "$.b[0]": document["b"][:1] if isinstance(document.get("b"), list) else [],
        "$.*[?@ == 1]": [item for each in lists for item in each if same(item, 1)],
    }
    return found[path]


def same(one: Any, other: Any) -> bool:
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    return bool(one == other)
