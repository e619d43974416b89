"""Rules on the command line: `verify`, `backups`, `restore`, `import`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from oasis_data import list_backups, load_data_file, save_json_atomic
from tests.cli.console import run
from tests.postgres.fixtures import Store
from tests.rules.documents import CRUDES, TANKS, tank_farm, write

BAD = {"T": {"content": [{"Base": -1}, {"Sour": 2}]}}
FAULTS = [
    "$.T.content[0].Base: -1 is less than the minimum of 0",
    '$.T.content[1].Sour: "Sour" is not among crudes.json#$.~',
]


@pytest.fixture
def rules(tmp_path: Path) -> Path:
    """The rules file of a tank farm whose tanks obey, after three versions that did not."""
    path = tank_farm(tmp_path / "data")
    tanks = path.parent / "tanks.json"
    contents: list[object] = [{"A": {"content": []}}, BAD, {"A": 1}, TANKS]
    for content in contents:
        save_json_atomic(tanks, content)
    return path


def stamps(path: Path) -> list[str]:
    return [backup.path.rpartition(".backup.")[2] for backup in list_backups(path)]


def test_verify_lists_the_faults_of_all_documents_of_the_rules_file(
    rules: Path, tmp_path: Path
) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    assert run("verify", "--rules", rules, empty).status == 0
    tanks = write(rules.parent, "tanks.json", BAD)

    ran = run("verify", "--json", "--rules", rules, empty)

    assert ran.status == 1
    told = json.loads(ran.out)
    assert [each["problem"] for each in told["findings"]] == FAULTS
    assert {(each["kind"], each["path"]) for each in told["findings"]} == {("invalid", str(tanks))}
    assert run("verify", rules.parent).status == 0
    plain = run("verify", rules.parent, OASIS_DATA_RULES=str(rules))
    assert plain.status == 1
    assert all(fault in plain.out for fault in FAULTS)


def test_verify_tells_a_corrupt_document_once(rules: Path) -> None:
    write(rules.parent, "tanks.json", "{torn")

    told = json.loads(run("verify", "--json", "--rules", rules, rules.parent).out)

    assert [each["kind"] for each in told["findings"]] == ["corrupt"]


@pytest.mark.parametrize(
    ("name", "content", "problem"),
    [
        ("oasis-data.toml", "\n[documents", "oasis-data.toml, line 2: not TOML"),
        ("oasis-data.toml", None, "oasis-data.toml: No such file or directory"),
        ("tanks.schema.json", '{"type": 3}', "tanks.schema.json: not a JSON Schema"),
    ],
)
def test_verify_finds_rules_that_are_broken(
    rules: Path, name: str, content: str | None, problem: str
) -> None:
    path = rules.parent / name
    path.unlink() if content is None else path.write_text(content)

    ran = run("verify", "--json", "--rules", rules, rules.parent)

    assert ran.status == 1
    [finding] = json.loads(ran.out)["findings"]
    assert (finding["kind"], finding["path"]) == ("broken_rules", str(path))
    assert finding["problem"].startswith(problem)


def test_backups_says_which_obey(rules: Path) -> None:
    tanks = rules.parent / "tanks.json"

    told = json.loads(run("backups", "--json", "--rules", rules, tanks).out)
    assert [each["violations"] for each in told] == [
        ['$.A: 1 is not of type "object"'],
        FAULTS,
        [],
        [],
    ]
    rows = run("backups", "--rules", rules, tanks).out.splitlines()
    assert rows[1].endswith(f"whole, but against the rules: {FAULTS[0]}; 1 more")
    assert rows[2].endswith("whole")
    plain = json.loads(run("backups", "--json", tanks).out)
    assert all("violations" not in each for each in plain)
    # As things stand now: what a backup refers to can be gone.
    write(rules.parent, "crudes.json", {"Base": {}})
    rows = run("backups", "--rules", rules, tanks).out.splitlines()
    assert '"Light" is not among crudes.json#$.~' in rows[3]


def test_restore_prefers_the_newest_that_obeys_and_says_so(rules: Path) -> None:
    tanks = rules.parent / "tanks.json"
    newest, disobedient, obedient, _ = stamps(tanks)

    ran = run("restore", "--yes", "--rules", rules, tanks)

    assert ran.status == 0, ran.err
    assert f'Passed over {newest}: $.A: 1 is not of type "object"' in ran.out
    assert f"Passed over {disobedient}: {FAULTS[0]}" in ran.out
    assert obedient not in ran.out.split("Restored")[0].split("Passed over")[0]
    assert load_data_file(tanks) == {"A": {"content": []}}


def test_restore_of_what_does_not_obey_is_refused(rules: Path) -> None:
    tanks = rules.parent / "tanks.json"

    ran = run("restore", "--yes", "--rules", rules, tanks, stamps(tanks)[1])

    assert ran.status == 3
    assert f"tanks.json is against the rules: {FAULTS[0]}; 1 more\n" in ran.err
    assert "  - $.Tank1" not in ran.out
    assert load_data_file(tanks) == TANKS
    assert run("restore", "--yes", tanks, stamps(tanks)[1]).status == 0


def test_where_no_backup_obeys_restore_says_how_to_go_on(rules: Path) -> None:
    tanks = rules.parent / "tanks.json"
    write(rules.parent, "crudes.json", {})
    write(rules.parent, "tanks.schema.json", {"type": "array"})
    newest = stamps(tanks)[0]

    ran = run("restore", "--yes", "--rules", rules, tanks)

    assert ran.status == 3
    assert f"tanks.json obeys; {newest} is against the rules: " in ran.err
    assert f"restore --rules '' {tanks} {newest}" in ran.err
    assert load_data_file(tanks) == TANKS
    assert run("restore", "--yes", "--rules", "", tanks, newest).status == 0
    assert load_data_file(tanks) == {"A": 1}


def test_backups_are_listed_where_rules_are_broken(rules: Path) -> None:
    tanks = rules.parent / "tanks.json"
    rules.write_text("[documents")

    ran = run("backups", "--rules", rules, tanks)

    assert ran.status == 1
    assert all(stamp in ran.out for stamp in stamps(tanks))
    assert "oasis-data.toml, line 1: not TOML" in ran.out
    assert str(rules) in ran.out
    told = run("backups", "--json", "--rules", rules, tanks)
    assert told.status == 1
    assert [each["violations"] for each in json.loads(told.out)] == [None] * 4
    refused = run("restore", "--yes", "--rules", rules, tanks)
    assert refused.status == 3
    assert f"mend {rules}, or act without rules: --rules ''" in refused.err


def test_what_is_missing_is_named(rules: Path, tmp_path: Path) -> None:
    write(tmp_path, "absent/jsonschema_rs.py", "raise ModuleNotFoundError(name='jsonschema_rs')\n")

    absent = {"PYTHONPATH": str(tmp_path / "absent")}
    for ran in (
        run("verify", "--rules", rules, tmp_path, **absent),
        run("verify", tmp_path, OASIS_DATA_RULES=str(rules), **absent),
    ):
        assert ran.status == 3
        assert "pip install 'oasis_data[rules]'" in ran.err
        assert "Traceback" not in ran.err
    ran = run("verify", "--rules", "", tmp_path, OASIS_DATA_RULES=str(rules), **absent)
    assert ran.status == 0, ran


def test_import_refuses_what_does_not_obey(tmp_path: Path, store: Store) -> None:
    rules = tank_farm(tmp_path / "rules")
    folder = tmp_path / "data"
    write(folder, "tanks.json", BAD)
    write(folder, "crudes.json", CRUDES)
    for name in ("tanks.json", "crudes.json"):
        rules.write_text(rules.read_text().replace(f'"{name}', f'"../data/{name}'))

    ran = run("import", folder, store.url(), "--rules", rules)

    assert ran.status == 1
    assert f"tanks.json: does not obey its rules: {FAULTS[0]}; 1 more\n" in ran.out
    assert "1 document imported and read back, 0 there already, 1 not imported" in ran.out
    ran = run("import", folder, store.url(), "--rules", rules, "--no-rules")
    assert ran.status == 0
    assert "1 document imported and read back, 1 there already" in ran.out
    rules.write_text("[documents")
    ran = run("import", folder, store.url(), "--rules", rules)
    assert ran.status == 3
    assert "oasis-data.toml, line 1: not TOML" in ran.err
