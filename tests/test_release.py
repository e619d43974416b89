"""The release workflow, and what it has to agree with. Nothing here runs it."""

from __future__ import annotations

import re
from pathlib import Path

from tests.conftest import require

ROOT = Path(__file__).parents[1]
WORKFLOW = ROOT / ".github" / "workflows" / "release.yml"


def workflow() -> str:
    require(WORKFLOW.exists(), "needs the whole project beside the tests")
    return WORKFLOW.read_text()


def test_each_action_is_pinned_to_a_commit() -> None:
    used = re.findall(r"uses: (\S+)(.*)", workflow())
    assert used
    for action, comment in used:
        assert re.fullmatch(r"[\w./-]+@[0-9a-f]{40}", action), action
        assert re.fullmatch(r" # v\d+\.\d+\.\d+", comment), action


def test_the_versions_of_python_are_the_same_everywhere() -> None:
    named = re.search(r"INTERPRETERS: (.*)", workflow())
    assert named
    built = [name.removeprefix("python") for name in named[1].split()]
    stated = re.findall(r"Python :: (3\.\d+)", (ROOT / "pyproject.toml").read_text())
    proved = re.findall(r'"(3\.\d+)"', workflow().partition("\n  prove:")[2])
    assert built == stated == proved


def test_nothing_is_published_before_the_dependencies_are_checked() -> None:
    check = workflow().partition("\n  dependencies:")[2].partition("\n\n")[0]
    assert re.search(r"cargo install --locked cargo-deny@\d+\.\d+\.\d+\n", check)
    assert "cargo deny check advisories bans licenses sources\n" in f"{check}\n"
    publish = workflow().partition("\n  publish:")[2]
    needed = re.search(r"needs: \[(.*)\]", publish)
    assert needed
    assert "dependencies" in needed[1].split(", ")
    assert (ROOT / "deny.toml").exists()
