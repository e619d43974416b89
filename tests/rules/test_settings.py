"""Rules put in force: by `configure`, by the environment; and what there is without rules."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from oasis_data import InvalidDocumentError, configure, save_json_atomic
from oasis_data._rules_settings import rules_in_force
from tests.conftest import python
from tests.rules.documents import TANKS, tank_farm, write

BAD = {"T": {"content": [{"Base": -1}]}}


@pytest.fixture
def rules(tmp_path: Path) -> Path:
    path = tank_farm(tmp_path)
    configure(rules=path)
    return path


def test_settings_are_told(rules: Path) -> None:
    settings = configure(rules_grandfathered=True)

    assert settings["rules"] == str(rules)
    assert (settings["rules_grandfathered"], settings["mask_values"]) == (True, False)
    assert configure(**settings) == settings
    assert configure(rules="")["rules"] == ""
    assert rules_in_force() is None


def test_a_relative_path_is_of_the_folder_of_the_call(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tank_farm(tmp_path)
    monkeypatch.chdir(tmp_path)

    configure(rules="oasis-data.toml")
    monkeypatch.chdir("/")

    assert configure()["rules"] == str(path)
    with pytest.raises(InvalidDocumentError):
        save_json_atomic(tmp_path / "tanks.json", BAD)


@pytest.mark.usefixtures("rules")
def test_masked_values_are_in_no_message(tmp_path: Path) -> None:
    configure(mask_values=True)

    with pytest.raises(InvalidDocumentError, match=r"\*\*\* is less than the minimum") as raised:
        save_json_atomic(tmp_path / "tanks.json", BAD)
    assert raised.value.faults[0].value == "***"


@pytest.mark.parametrize(
    "changes", [{"rules": 3}, {"rules_grandfathered": 1}, {"mask_values": "yes"}]
)
def test_a_setting_that_cannot_be_changes_nothing(changes: dict[str, object], rules: Path) -> None:
    before = configure()

    with pytest.raises(ValueError, match=next(iter(changes))):
        configure(backups_kept=77, **changes)  # type: ignore[arg-type]

    assert configure() == before
    assert configure()["rules"] == str(rules)


def test_rules_are_read_from_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OASIS_DATA_RULES", str(tank_farm(tmp_path)))
    code = f"""
import oasis_data
try:
    oasis_data.save_json_atomic({str(tmp_path / "tanks.json")!r}, {BAD!r})
except oasis_data.InvalidDocumentError as error:
    print(error)
"""
    printed = python(code)

    assert printed.startswith("tanks.json: $.T.content[0].Base: -1 is less than the minimum of 0")


def test_without_rules_nothing_of_them_is_imported(tmp_path: Path) -> None:
    code = f"""
import sys
from oasis_data import configure, save_json_atomic
configure(rules="", mask_values=True)
save_json_atomic({str(tmp_path / "a.json")!r}, 1)
print([name for name in sys.modules if name.split(".")[0] in ("jsonschema_rs", "jsonpath")
    or name.startswith("oasis_data.rules")])
"""
    assert python(code).strip() == "[]"


@pytest.mark.parametrize("module", ["jsonschema_rs", "jsonpath"])
def test_what_is_missing_is_named(tmp_path: Path, module: str) -> None:
    path = tank_farm(tmp_path)
    code = f"""
import sys
sys.modules[{module!r}] = None
from oasis_data import configure
before = configure()
try:
    configure(rules={str(path)!r}, backups_kept=3)
except ModuleNotFoundError as error:
    print(error, error.name)
assert configure() == before
"""
    printed = python(code)

    assert printed.strip() == f"rules need {module}: pip install 'oasis_data[rules]' {module}"


@pytest.mark.parametrize("module", ["jsonschema_rs", "jsonpath"])
def test_without_what_rules_need_loads_go_on_and_writes_are_refused(
    tmp_path: Path, module: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tank_farm(tmp_path / "data")
    monkeypatch.setenv("OASIS_DATA_RULES", str(path))
    code = f"""
import sys
sys.modules[{module!r}] = None
from oasis_data import *
tanks, other = {str(path.parent / "tanks.json")!r}, {str(tmp_path / "other.json")!r}
assert load_data_file(tanks) == {TANKS!r}
assert configure(backups_kept=3, mask_values=True)["rules"] == {str(path)!r}

def edit():
    with edit_json(tanks) as document:
        document.clear()

for write in (
    lambda: save_json_atomic(tanks, {{}}),
    edit,
    lambda: save_many_atomic({{other: 1, tanks: 2}}),
    lambda: delete_json_atomic(tanks),
):
    try:
        write()
    except BrokenRulesError as error:
        assert error.rules_path == {str(path)!r}
        print(error.operation.value, error)
assert load_data_file(tanks) == {TANKS!r}
configure(rules="")
save_json_atomic(other, 1)
"""
    needed = f"rules need {module}: pip install 'oasis_data[rules]'"

    assert python(code).splitlines() == [
        f"write tanks.json: {needed}; nothing was saved",
        f"write tanks.json: {needed}; nothing was saved",
        f"write other.json: {needed}; nothing was saved",
        f"delete tanks.json: {needed}; nothing was deleted",
    ]


@pytest.mark.usefixtures("rules")
def test_a_forked_child_obeys_the_same_rules(tmp_path: Path) -> None:
    save_json_atomic(tmp_path / "tanks.json", TANKS)
    write(tmp_path, "tanks.schema.json", {"maxProperties": 1})
    child = os.fork()
    if child == 0:
        status = 3
        try:
            save_json_atomic(tmp_path / "tanks.json", {**TANKS, "more": 1})
        except InvalidDocumentError as error:
            status = 0 if "maxProperties" in error.faults[0].rule else 1
        finally:
            os._exit(status)

    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert json.loads((tmp_path / "tanks.json").read_text()) == TANKS
