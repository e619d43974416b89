"""The rules file: each thing that may not be in it, with its line."""

from __future__ import annotations

from pathlib import Path

import pytest

from oasis_data import BrokenRulesError
from oasis_data.rules import Rules
from oasis_data.rules.file import read_rules
from oasis_data.rules.lines import line_of
from tests.rules.documents import TANKS_AND_CRUDES, judge, tank_farm, write

FAULTS = [
    ("", 1, "the file is empty"),
    ("\n \n", 1, "the file is empty"),
    ("[documents.'a.json']\nschema = 's'\n\ncolour = 1\n[x", 5, "not TOML"),
    ("[documents.'a.json']\nschema = 's\n", 2, "not TOML"),
    ("[documents.'a.json']\nschema = 's'\nschemas = 's'\n", 3, "unknown key 'schemas'"),
    ("[document.'a.json']\nschema = 's'\n", 1, "unknown key 'document'"),
    ("\n\nversion = 1\n", 3, "unknown key 'version'"),
    ("[documents]\n'b.json' = 3\n", 2, "'b.json' must be a table"),
    ("documents = 3\n", 1, "'documents' must be tables"),
    ("references = 3\n", 1, "'references' must be tables"),
    ("references = [\n3]\n", 2, "must be a table"),
    ("[documents.'b.json']\n[documents.'a.json']\nschema = 's'\n", 1, "'schema' is missing"),
    ("[documents.'a.json']\n\nschema = 3\n", 3, "'schema' must be a text"),
    ("[documents.'a.json']\nschema = ''\n", 2, "'schema' must be a text"),
    ("[[references]]\nfrom = 'a.json#$.a'\n", 1, "'to' is missing"),
    (
        "[[references]]\nfrom = 'a.json#$'\nto = 'b.json#$'\n[[references]]\n",
        4,
        "'from' is missing",
    ),
    (
        "[[references]]\nfrom = 'a.json'\nto = 'b.json#$'\n",
        2,
        "must be a document, # and a JSONPath",
    ),
    ("[[references]]\nfrom = '#$.a'\nto = 'b.json#$'\n", 2, "must be a document, # and a JSONPath"),
    ("[[references]]\nfrom = 'a.json#$'\nto = 'b.json#$.a['\n", 3, "'$.a[' is no JSONPath"),
    (
        "[documents.'a.json']\nschema = 's'\n\n[documents.'./a.json']\nschema = 's'\n",
        4,
        "a.json is named twice",
    ),
    ('[documents."""\na.json"""]\n', 1, "not TOML"),
]


@pytest.mark.parametrize(("text", "line", "problem"), FAULTS)
def test_a_fault_is_told_with_its_line(text: str, line: int, problem: str) -> None:
    _, broken = read_rules("/rules/oasis-data.toml", text.encode())

    assert broken is not None
    assert (broken.line, problem in broken.problem) == (line, True), str(broken)
    assert str(broken).startswith(f"oasis-data.toml, line {line}: ")


def test_text_that_is_not_utf8_is_told_with_its_line() -> None:
    _, broken = read_rules("rules.toml", b"# one\n# \xff\n")

    assert broken is not None
    assert (broken.line, broken.problem) == (2, "not UTF-8")


def test_brackets_without_end_are_told() -> None:
    _, broken = read_rules("rules.toml", b"a = " + b"[" * 100_000)

    assert broken is not None
    assert broken.problem in ("nested too deep", "not TOML: Invalid value")


def test_what_a_file_says() -> None:
    rules, broken = read_rules("rules.toml", TANKS_AND_CRUDES.encode())

    assert broken is None
    assert rules.schemas == {"tanks.json": "tanks.schema.json"}
    assert list(rules.names) == ["tanks.json", "crudes.json"]
    [reference] = rules.references
    assert rules.line_of_reference(0) == 5
    assert str(reference.source) == "tanks.json#$.*.content[*].~"
    assert str(reference.target) == "crudes.json#$.~"


def test_a_document_may_have_a_hash_in_its_name() -> None:
    text = "[[references]]\nfrom = 'a#b.json#$.c'\nto = 'd.json#$'\n"
    rules, broken = read_rules("rules.toml", text.encode())

    assert broken is None
    assert list(rules.names) == ["a#b.json", "d.json"]


@pytest.mark.parametrize(
    ("text", "keys", "line"),
    [
        ("a = [\n 1,\n 2,\n]\nb = 1\n", ("b",), 5),
        ("a = '''\nb = 1\n'''\nb = 1\n", ("b",), 4),
        ("[[x]]\ny = 1\n[[x]]\ny = 1\n", ("x", 1, "y"), 4),
        ("[t]\n\n# y\ny.z = 1\n", ("t", "y", "z"), 4),
        ("x = {y = 1, z = 2}\n", ("x", "z"), 1),
        ("", ("x",), 1),
    ],
)
def test_the_line_of_a_key(text: str, keys: tuple[str | int, ...], line: int) -> None:
    assert line_of(text, keys) == line


def test_a_broken_file_refuses_its_documents_and_no_others(tmp_path: Path) -> None:
    path = write(tmp_path, "oasis-data.toml", TANKS_AND_CRUDES + "colour = 1\n")

    with pytest.raises(BrokenRulesError) as raised:
        judge(Rules(str(path)), {tmp_path / "tanks.json": {}})

    assert (raised.value.line, raised.value.rules_path) == (8, str(path))
    assert raised.value.file_path == str(tmp_path / "tanks.json")
    assert str(raised.value) == (
        "tanks.json: its rules cannot be read: oasis-data.toml, line 8: unknown key 'colour'; "
        "nothing was saved, mend oasis-data.toml"
    )
    with pytest.raises(BrokenRulesError):
        judge(Rules(str(path)), {tmp_path / "crudes.json": {}})
    judge(Rules(str(path)), {tmp_path / "other.json": {}})


@pytest.mark.parametrize("content", ["[documents", None])
def test_what_was_never_whole_refuses_all_below_its_folder(
    tmp_path: Path, content: str | None
) -> None:
    path = tmp_path / "here" / "oasis-data.toml"
    path.parent.mkdir()
    if content is not None:
        path.write_text(content)
    rules = Rules(str(path))

    for name in ("tanks.json", "deep/down/tanks.json", "new/../tanks.json"):
        with pytest.raises(BrokenRulesError):
            judge(rules, {path.parent / name: {}})
    judge(rules, {tmp_path / "tanks.json": {}})
    judge(rules, {tmp_path / "hereafter" / "tanks.json": {}})


def test_what_is_broken_refuses_the_documents_of_when_it_was_whole(tmp_path: Path) -> None:
    path = tank_farm(tmp_path)
    rules = Rules(str(path))
    judge(rules, {tmp_path / "tanks.json": {}})

    for content in ("[documents", "colour = 1\n", "", "[documents"):
        path.write_text(content)
        for name in ("tanks.json", "crudes.json"):
            with pytest.raises(BrokenRulesError):
                judge(rules, {tmp_path / name: {}})
        judge(rules, {tmp_path / "other.json": {}})

    path.write_text("# no rules\n")
    judge(rules, {tmp_path / "tanks.json": {"anything": True}})


def test_a_file_that_is_gone_refuses_the_documents_it_had(tmp_path: Path) -> None:
    path = tank_farm(tmp_path)
    rules = Rules(str(path))
    judge(rules, {tmp_path / "tanks.json": {}})
    path.unlink()

    with pytest.raises(BrokenRulesError, match=r"oasis-data\.toml: No such file"):
        judge(rules, {tmp_path / "tanks.json": {}})
    judge(rules, {tmp_path / "other.json": {}})
