"""Rules that change, and the documents that they are about."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from oasis_data import BrokenRulesError
from oasis_data.rules import Rules
from oasis_data.rules.watched import Watched
from tests.rules.documents import TANKS, faults, judge, tank_farm, write

BAD = {"T": {"content": [{"Base": -1}]}}


def age(*paths: Path) -> None:
    """Makes files older than the time in which two changes can bear one stamp."""
    for path in paths:
        os.utime(path, (1, 1))


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch) -> None:
    """Has the clock say that all files were changed long ago."""
    now = time.time_ns()
    monkeypatch.setattr("oasis_data.rules.watched.time.time_ns", lambda: now + 3600 * 10**9)


@pytest.mark.usefixtures("later")
def test_what_has_changed_is_read_anew(tmp_path: Path) -> None:
    path = tank_farm(tmp_path)
    rules = Rules(str(path))
    tanks = tmp_path / "tanks.json"
    assert faults(rules, {tanks: BAD})

    write(tmp_path, "tanks.schema.json", True)
    assert not faults(rules, {tanks: BAD})
    write(tmp_path, "tanks.schema.json", {"maxProperties": 0})
    assert faults(rules, {tanks: BAD})
    write(tmp_path, "oasis-data.toml", "# no rules")
    assert not faults(rules, {tanks: BAD})


@pytest.mark.usefixtures("later")
def test_a_schema_that_another_refers_to_is_read_anew(tmp_path: Path) -> None:
    path = tank_farm(tmp_path)
    write(tmp_path, "tanks.schema.json", {"$ref": "other.json"})
    write(tmp_path, "other.json", True)
    rules, tanks = Rules(str(path)), tmp_path / "tanks.json"
    assert not faults(rules, {tanks: BAD})

    write(tmp_path, "other.json", False)

    assert faults(rules, {tanks: BAD})


@pytest.mark.usefixtures("later")
def test_what_has_not_changed_is_not_read_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rules, tanks = Rules(str(tank_farm(tmp_path))), tmp_path / "tanks.json"
    judge(rules, {tanks: TANKS})

    def read(*_: object) -> None:
        raise AssertionError("read again")

    monkeypatch.setattr("builtins.open", read)
    assert rules.judgement([str(tanks)])


def test_a_change_under_the_same_stamp_is_seen_while_stamps_are_coarse(tmp_path: Path) -> None:
    path = write(tmp_path, "a", "one")
    watched = Watched(str(path))
    stamp = os.stat(path)
    assert watched.is_current()

    path.write_text("two")
    # As a file system with coarse stamps shows it.
    watched._stamp = Watched(str(path))._stamp
    os.utime(path, ns=(stamp.st_atime_ns, stamp.st_mtime_ns))
    watched._stamp = Watched(str(path))._stamp

    assert not watched.is_current()


def test_a_file_that_comes_and_goes(tmp_path: Path) -> None:
    path = tmp_path / "a"
    watched = Watched(str(path))
    assert (watched.content, watched.problem) == (None, "No such file or directory")
    assert watched.is_current()

    path.write_text("one")
    assert not watched.is_current()
    assert Watched(str(path)).content == b"one"


def test_every_path_of_a_document_leads_to_its_rules(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "real"
    folder.mkdir()
    path = tank_farm(folder)
    (tmp_path / "link").symlink_to(folder)
    (tmp_path / "alias.json").symlink_to(folder / "tanks.json")
    (folder / "deep").mkdir()
    (tmp_path / "elsewhere").symlink_to(folder / "deep")
    monkeypatch.chdir(folder)
    spellings: list[Any] = [
        folder / "tanks.json",
        "tanks.json",
        "./tanks.json",
        "deep/../tanks.json",
        b"tanks.json",
        tmp_path / "link" / "tanks.json",
        tmp_path / "alias.json",
        f"{tmp_path}/elsewhere/../tanks.json",
        f"{folder}//tanks.json",
        f"/{folder}/tanks.json",
    ]
    for rules in (Rules(str(path)), Rules(str(tmp_path / "link" / "oasis-data.toml"))):
        for spelling in spellings:
            judgement = rules.judgement([spelling])
            assert judgement is not None, spelling
            assert judgement.group == str(folder / "crudes.json")
            assert judgement.companions == [str(folder / "crudes.json")]
    write(tmp_path, "tanks.json", TANKS)
    for other in (tmp_path / "tanks.json", f"{folder}/deep/tanks.json", "crudes.json.new"):
        assert Rules(str(path)).judgement([other]) is None, other


def test_documents_may_lie_above_the_rules_file(tmp_path: Path) -> None:
    write(tmp_path, "rules/closed.json", False)
    text = '[documents."../data/a.json"]\nschema = "closed.json"\n'
    rules = Rules(str(write(tmp_path, "rules/oasis-data.toml", text)))

    assert faults(rules, {tmp_path / "data" / "a.json": 1})
    assert rules.judgement([str(tmp_path / "rules" / "a.json")]) is None


def test_threads_judge_while_rules_change(tmp_path: Path) -> None:
    path, tanks = tank_farm(tmp_path), tmp_path / "tanks.json"
    rules = Rules(str(path))
    texts = [path.read_text(), "", "[documents"]
    outcomes: list[object] = []
    failed: list[BaseException] = []

    def work() -> None:
        try:
            for _ in range(100):
                try:
                    outcomes.append(bool(faults(rules, {tanks: BAD})))
                except BrokenRulesError:
                    outcomes.append("broken")
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    turn = 0
    while any(thread.is_alive() for thread in threads):
        turn += 1
        other = path.with_name("new.toml")
        other.write_text(texts[turn % 3])
        other.replace(path)
    for thread in threads:
        thread.join()

    assert not failed
    assert len(outcomes) == 400
    path.write_text(texts[0])
    assert faults(rules, {tanks: BAD})
