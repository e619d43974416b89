"""Findings that are accepted: by a comment, or by a baseline."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from tests.audit.sources import findings, fixed
from tests.audit.test_caches import CACHE
from tests.audit.test_command import here, run, sarif  # noqa: F401 -- a fixture

IGNORE = "# oasis-data: ignore"
WRITE = 'with open("x.json", "w") as f:\n    json.dump([], f)\n'


def left(code: str) -> list[str]:
    return [each.rule.name for each in findings(code) if each.is_open]


@pytest.mark.parametrize(
    "code",
    [
        f'with open("x.json", "w") as f:\n    json.dump([], f)  {IGNORE}[torn-write] mine\n',
        f'with open("x.json", "w") as f:\n    {IGNORE}[torn-write]\n    json.dump([], f)\n',
        f'with open("x.json", "w") as f:\n    json.dump([], f)  # noqa  {IGNORE}[torn-write]\n',
        f'with open("x.json", "w") as f:\n    json.dump(\n        [],\n        f,\n    )  {IGNORE}'
        "[torn-write]\n",
        'json.dump([], open("x.json", "w"))  #oasis-data:ignore[ plain-read,torn-write ]\n',
    ],
)
def test_a_comment_accepts_a_finding_and_no_fix_touches_it(code: str) -> None:
    code = f"import json\n{code}"
    kinds = left(code)
    assert "torn-write" not in kinds
    # Of two rules, the one that is not found is told.
    assert kinds == (["unused-suppression"] if "plain-read" in code else [])
    assert fixed(code) == code


@pytest.mark.parametrize(
    ("comment", "said"),
    [
        (f"{IGNORE}[plain-read]", "there is no plain-read here to ignore"),
        (IGNORE, "it names no rule"),
        (f"{IGNORE}[]", "it names no rule"),
        (f"{IGNORE}[torn]", "torn cannot be ignored; it is none of cache-write, "),
        (f"{IGNORE}[unused-suppression]", "unused-suppression cannot be ignored"),
    ],
)
def test_a_comment_that_ignores_nothing_is_told(comment: str, said: str) -> None:
    code = f"import json\n{WRITE.rstrip()}  {comment}\n"
    (one,) = [each for each in findings(code) if each.rule.name == "unused-suppression"]
    assert said in one.message
    assert (one.span.line, one.span.column) == (3, 22)
    assert "torn-write" in left(code)


def test_a_comment_in_a_text_or_about_something_else_is_none() -> None:
    assert (
        findings(f'x = "{IGNORE}[torn-write]"\n# oasis-data: ignored\n# oasis-data is here\n') == []
    )


@pytest.mark.parametrize(
    ("line", "rule"),
    [
        ("cache = {}", "stale-cache"),
        ("        document = json.load(f)", "plain-read"),
    ],
)
def test_a_cache_stays_whole_where_a_part_of_it_is_accepted(line: str, rule: str) -> None:
    code = CACHE.format(more="").replace(line, f"{line}  {IGNORE}[{rule}]", 1)
    after = fixed(code)
    assert "    cache[path] = document\n" in after
    assert f"{line}  {IGNORE}[{rule}]\n" in after
    assert "        return cache[path]\n" in after


def test_a_hand_write_that_is_accepted_stays_with_its_cache() -> None:
    more = (
        "\n\ndef save(path, data):\n"
        '    with open(path, "w") as f:\n        json.dump(data, f, indent=2)\n'
        f"    cache[path] = data  {IGNORE}[cache-write]\n"
    )
    after = fixed(CACHE.format(more=more))
    assert f"cache[path] = data  {IGNORE}[cache-write]\n" in after
    assert "cache = {}" in after
    assert "save_json_atomic(path, data" in after


# The command


def test_the_summary_counts_what_is_accepted(here: Path) -> None:  # noqa: F811
    (here / "unsafe.py").write_text(f"import json\n{WRITE.rstrip()}  {IGNORE}[torn-write] one\n")
    (here / "broken.py").write_text("def\n")
    done = run(".")
    assert done.exit_code == 1
    assert "3 files read, 1 finding: --fix replaces 0, and leaves 1 to you\n" in done.output
    assert "1 finding not counted: ignored by a comment\n" in done.output
    assert "1 file not audited: " in done.output
    assert "Not seen: " in done.output
    assert "torn-write" not in done.output
    (here / "broken.py").unlink()
    assert run(".").exit_code == 0
    before = (here / "unsafe.py").read_bytes()
    assert run("--fix", ".").exit_code == 0
    assert (here / "unsafe.py").read_bytes() == before


def test_what_is_in_the_baseline_is_not_counted_wherever_its_line_is(here: Path) -> None:  # noqa: F811
    written = run("--write-baseline", "ci/known.json", ".")
    assert (written.exit_code, "not written" in written.stderr) == (3, True)
    (here / "ci").mkdir()
    written = run("--write-baseline", "ci/known.json", ".")
    assert (written.exit_code, written.stderr) == (0, "1 known in ci/known.json\n")
    assert os.listdir(here / "ci") == ["known.json"]
    done = run("--baseline", "ci/known.json", ".")
    assert done.exit_code == 0
    assert "1 finding not counted: in the baseline\n" in done.output
    source = (here / "unsafe.py").read_text()
    moved = "import os\n\n\n" + source.replace("    json", "\n\n    json")
    (here / "unsafe.py").write_text(moved)
    os.chdir(here / "ci")
    assert run("--baseline", "known.json", "..").exit_code == 0
    os.chdir(here)
    # A second one, spelt alike, is new.
    (here / "unsafe.py").write_text(moved + moved)
    done = run("--baseline", "ci/known.json", ".")
    assert done.exit_code == 1
    assert "2 files read, 1 finding: " in done.output
    assert "unsafe.py:16:5: torn-write" in done.output


def test_what_is_gone_from_the_sources_is_told(here: Path) -> None:  # noqa: F811
    run("--write-baseline", "known.json", ".")
    (here / "unsafe.py").write_text("x = 1\n")
    done = run("--baseline", "known.json", ".")
    assert done.exit_code == 0
    assert "1 finding of the baseline gone: write it anew\n" in done.output
    assert "gone" not in run("--baseline", "known.json", "safe.py").output


@pytest.mark.parametrize(
    "content", [None, b"", b"[]", b"{}", b'{"format": 2, "findings": []}', b"\xff"]
)
def test_what_is_no_baseline_is_refused(here: Path, content: bytes | None) -> None:  # noqa: F811
    if content is not None:
        (here / "known.json").write_bytes(content)
    done = run("--baseline", "known.json", ".")
    assert done.exit_code == 2
    assert "known.json" in done.stderr
    assert "--write-baseline" in " ".join(done.stderr.split())


def test_a_baseline_is_read_or_written(here: Path) -> None:  # noqa: F811
    assert run("--baseline", "a", "--write-baseline", "b", ".").exit_code == 2
    assert not (here / "b").exists()


def test_a_fix_does_not_look_at_the_baseline(here: Path) -> None:  # noqa: F811
    run("--write-baseline", "known.json", ".")
    assert run("--fix", "--baseline", "known.json", ".").exit_code == 0
    assert "save_json_atomic" in (here / "unsafe.py").read_text()


def test_sarif_says_what_is_accepted_and_what_is_new(here: Path) -> None:  # noqa: F811
    assert "baselineState" not in json.dumps(sarif("."))
    run("--write-baseline", "known.json", ".")
    (here / "safe.py").write_text(
        f"import json\n{WRITE.rstrip()}  {IGNORE}[torn-write] mine\njson.load(open('a'))\n"
    )
    (one,) = sarif("--baseline", "known.json", ".")["runs"]
    told = {
        (each["ruleId"], each["baselineState"]): [
            (said["kind"], said.get("justification")) for said in each.get("suppressions", [])
        ]
        for each in one["results"]
    }
    assert told == {
        ("torn-write", "new"): [("inSource", "mine")],
        ("plain-read", "new"): [],
        ("torn-write", "unchanged"): [("external", None)],
    }
    rules = {each["id"] for each in one["tool"]["driver"]["rules"]}
    assert {"listed-folder", "unused-suppression"} <= rules
