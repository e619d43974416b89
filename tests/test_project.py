"""What stands beside the source: it has to agree with the Makefile, and be readable."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import require
from tests.test_docs import read_yaml

ROOT = Path(__file__).resolve().parents[1]
FORMS = sorted((ROOT / ".github" / "ISSUE_TEMPLATE").glob("*.yml"))


def text_of(name: str) -> str:
    path = ROOT / name
    require(path.exists(), "needs the whole project beside the tests")
    return path.read_text()


def test_the_hooks_run_what_lint_runs() -> None:
    hooks = read_yaml(text_of(".pre-commit-config.yaml"))
    assert isinstance(hooks, dict)
    (local,) = hooks["repos"]
    assert local["repo"] == "local"
    entries = [hook["entry"] for hook in local["hooks"]]
    run = [re.sub(r"^bash -c '\S+ (.*)'$", r"\1", entry) for entry in entries]

    _, lint = text_of("Makefile").split("\nlint: build\n")
    commands = [line.strip() for line in lint.partition("\n\n")[0].splitlines()]
    commands = [re.sub(r" \.$", "", each.replace("$(BIN)", ".venv/bin")) for each in commands]
    # It wants the module of the commit to be built.
    assert commands.pop() == ".venv/bin/stubtest oasis_data"
    assert run == commands


@pytest.mark.parametrize("path", FORMS, ids=[path.name for path in FORMS])
def test_issue_forms_are_forms(path: Path) -> None:
    form: Any = read_yaml(path.read_text())
    if path.name == "config.yml":
        assert form.keys() == {"blank_issues_enabled"}
        return
    assert {"name", "description", "body"} <= form.keys()
    ids = [part["id"] for part in form["body"] if part["type"] != "markdown"]
    assert ids
    assert len(set(ids)) == len(ids)
    for part in form["body"]:
        needed = "value" if part["type"] == "markdown" else "label"
        assert part["attributes"][needed]
