"""The operations, each on a few lines of source."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.sabotage.markers import TableError, find_marked
from tests.sabotage.operations import Operation, always, edit, never, remove, value, without

RUST = """fn save() {
    // safeguard: it
    %s
}
"""
PYTHON = """def save():
    # safeguard: it
    %s
    return 1
"""


def apply(root: Path, name: str, text: str, operation: Operation) -> str:
    """The whole file with its only safeguard taken out."""
    file = root / "src" / name
    file.parent.mkdir(exist_ok=True)
    file.write_text(text)
    marked = find_marked(root)["it"]
    return marked.with_code(operation(marked)).decode()


RUST_CASES = [
    (remove, "sync(&file)?;", ""),
    (remove, "if new { sync(&file)?; }", ""),
    (never, "if a && b { stop(); }", "if false { stop(); }"),
    (never, "while waits() {}", "while false {}"),
    (never, "if let Some(a) = b { stop(); }", "if false && let Some(a) = b { stop(); }"),
    (never, "let a = if b { 1 } else { 2 };", "let a = if false { 1 } else { 2 };"),
    (always, "if a && b { stop(); }", "if true { stop(); }"),
    (without(0), "if a && b && c { stop(); }", "if b && c { stop(); }"),
    (without(1, 2), "let all = a || b || c;", "let all = a;"),
    (without(1), "if let Some(a) = b && a.c() { stop(); }", "if let Some(a) = b { stop(); }"),
    (value("None"), "let owner = new.map(|_| old);", "let owner = None;"),
    (value("0"), "time = now();", "time = 0;"),
    (value("true"), "return a == b;", "return true;"),
    (value("true"), "is(a) && b", "true"),
    (value("drop(a)"), "keep(a);", "drop(a);"),
    (edit(r"A \| ", ""), "open(A | B);", "open(B);"),
    (edit(r"&& (.+);", r"&& !\1;"), "let c = a && b;", "let c = a && !b;"),
    (edit("^", "early(); "), "late();", "early(); late();"),
]
PYTHON_CASES = [
    (remove, "sync(file)", "pass"),
    (never, "if a and b:\n        stop()", "if False:\n        stop()"),
    (always, "while a:\n        stop()", "while True:\n        stop()"),
    (without(0), "if a and b and c:\n        stop()", "if b and c:\n        stop()"),
    (value("None"), "owner = find(old)", "owner = None"),
    (value("None"), "return find(old)", "return None"),
    (edit("True", "False"), "save(sync=True)", "save(sync=False)"),
]


@pytest.mark.parametrize(("operation", "before", "after"), RUST_CASES)
def test_an_operation_changes_rust(
    tmp_path: Path, operation: Operation, before: str, after: str
) -> None:
    assert apply(tmp_path, "a.rs", RUST % before, operation) == RUST % after


@pytest.mark.parametrize(("operation", "before", "after"), PYTHON_CASES)
def test_an_operation_changes_python(
    tmp_path: Path, operation: Operation, before: str, after: str
) -> None:
    assert apply(tmp_path, "a.py", PYTHON % before, operation) == PYTHON % after


@pytest.mark.parametrize(
    ("operation", "after"),
    [(never, "A if false => 1,"), (value("2"), "A if b() => 2,"), (remove, "")],
)
def test_a_match_arm_has_a_condition_and_a_value(
    tmp_path: Path, operation: Operation, after: str
) -> None:
    text = (
        "fn a() {\n    match b {\n        // safeguard: it\n        %s\n        _ => 3,\n    }\n}\n"
    )
    assert apply(tmp_path, "a.rs", text % "A if b() => 1,", operation) == text % after


def test_a_field_has_a_value(tmp_path: Path) -> None:
    text = "fn a() {\n    A {\n        // safeguard: it\n        time: %s,\n    }\n}\n"
    assert apply(tmp_path, "a.rs", text % "now()", value("0")) == text % "0"


def test_a_page_is_edited(tmp_path: Path) -> None:
    text = "<!-- safeguard: it -->\n\n```sh\n%s a\n```\n\n```sh\ncp b\n```\n"
    assert apply(tmp_path, "a.md", text % "cp", edit("cp", "rm")) == text % "rm"
    with pytest.raises(TableError, match="only `edit`"):
        apply(tmp_path, "a.md", text % "cp", never)


@pytest.mark.parametrize(
    ("operation", "why"),
    [
        (never, "no condition"),
        (without(0), "no chain of conditions"),
        (edit("sync", "sync"), "changes nothing"),
        (edit("fsync", "sync"), "matches 0 times"),
        (edit("s", "f"), "matches 2 times"),
        (edit(";", ")"), "syntax error"),
    ],
)
def test_an_operation_that_does_not_fit_is_refused(
    tmp_path: Path, operation: Operation, why: str
) -> None:
    with pytest.raises(TableError, match=why):
        apply(tmp_path, "a.rs", RUST % "sync(files);", operation)


def test_a_chain_has_no_more_operands_than_it_has(tmp_path: Path) -> None:
    with pytest.raises(TableError, match="no operands"):
        apply(tmp_path, "a.rs", RUST % "if a && b { stop(); }", without(2))


def test_what_binds_names_cannot_always_hold(tmp_path: Path) -> None:
    with pytest.raises(TableError, match="binds names"):
        apply(tmp_path, "a.rs", RUST % "if let Some(a) = b { stop(); }", always)
