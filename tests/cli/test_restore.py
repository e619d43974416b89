"""`backups`, `diff` and `restore`, as an operator uses them."""

from __future__ import annotations

import gzip
import json
import os
import subprocess
from pathlib import Path

import pytest

from oasis_data import (
    configure,
    delete_json_atomic,
    edit_json,
    list_backups,
    load_data_file,
    save_json_atomic,
)
from tests.cli.console import run, terminal, with_script
from tests.conftest import visible


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A file at its fourth version, with the three before as backups."""
    path = tmp_path / "tanks.json"
    for version in range(4):
        save_json_atomic(path, {"version": version, "tanks": [{"level": version * 10}]})
    return path


def identity(path: Path) -> tuple[int, int, bytes]:
    """What any change of the file would change."""
    return path.stat().st_ino, path.stat().st_ctime_ns, path.read_bytes()


def stamps(path: Path) -> list[str]:
    """The stamps of the backups, newest first."""
    return [backup.path.rpartition(".backup.")[2] for backup in list_backups(path)]


# backups


def test_backups_are_listed_newest_first(path: Path) -> None:
    Path(list_backups(path)[1].path).write_text("{")
    ran = run("backups", path)
    assert ran.status == 0
    *rows, count, advice = ran.out.splitlines()
    assert [row.split()[0] for row in rows] == stamps(path)
    assert [row.endswith("whole") for row in rows] == [True, False, True]
    assert "line 1 column 2" in rows[1]
    assert count == f"3 backups of {path}."
    assert advice.endswith(f"oasis-data diff {path} STAMP")
    told = json.loads(run("backups", "--json", path).out)
    assert [each["path"] for each in told] == [backup.path for backup in list_backups(path)]
    assert [each["fault"] is None for each in told] == [True, False, True]


def test_a_file_without_backups(tmp_path: Path) -> None:
    save_json_atomic(tmp_path / "a.json", 1)
    assert "has no backup" in run("backups", tmp_path / "a.json").out
    assert json.loads(run("backups", "--json", tmp_path / "a.json").out) == []


def test_a_torn_compressed_backup_is_told_as_verify_tells_it(path: Path) -> None:
    torn = f"{list_backups(path)[0].path}.gz"
    Path(torn).write_bytes(gzip.compress(b"{}")[:-6])
    os.unlink(torn.removesuffix(".gz"))
    (finding,) = json.loads(run("verify", "--json", path.parent).out)["findings"]
    assert finding["problem"].startswith("not a whole gzip file")
    assert finding["problem"] in run("backups", path).out.splitlines()[0]
    assert json.loads(run("backups", "--json", path).out)[0]["fault"] == finding["problem"]


# diff


def test_diff_tells_what_would_change(path: Path) -> None:
    newest, middle, oldest = list_backups(path)
    ran = run("diff", path)
    assert ran.status == 1
    assert ran.out.splitlines()[0].startswith(os.path.basename(newest.path))
    assert ran.out.splitlines()[1:3] == [
        "  ~ $.version  3 -> 2",
        "  ~ $.tanks[0].level  30 -> 20",
    ]
    assert (
        ran.out.splitlines()[3]
        == f"  -> to put it back: oasis-data restore {path} {stamps(path)[0]}"
    )
    for spelling in (oldest.path, os.path.basename(oldest.path), stamps(path)[2]):
        assert "$.version  3 -> 0" in run("diff", path, spelling).out
    assert "$.version  3 -> 1" in run("diff", path, middle.path).out


@pytest.mark.parametrize("are_both_there", [False, True])
def test_a_backup_may_be_named_with_or_without_gz(path: Path, are_both_there: bool) -> None:
    plain = list_backups(path)[2].path
    Path(f"{plain}.gz").write_bytes(gzip.compress(Path(plain).read_bytes()))
    if not are_both_there:
        os.unlink(plain)
    for spelling in (plain, os.path.basename(plain), stamps(path)[2].removesuffix(".gz")):
        for ending in ("", ".gz"):
            assert "$.version  3 -> 0" in run("diff", path, spelling + ending).out
    assert run("restore", "--yes", path, plain).status == 0
    assert load_data_file(path)["version"] == 0


def test_diff_of_the_same_content(path: Path) -> None:
    path.write_bytes(Path(list_backups(path)[0].path).read_bytes())
    ran = run("diff", path)
    assert ran.status == 0
    assert "has just the content of" in ran.out
    path.write_text(json.dumps(load_data_file(path)))
    ran = run("diff", path)
    assert ran.status == 1
    assert "only the order of keys, or blanks" in ran.out


def test_diff_passes_over_a_backup_that_is_not_whole(path: Path) -> None:
    newest = list_backups(path)[0]
    Path(newest.path).write_text("{")
    assert "$.version  3 -> 1" in run("diff", path).out
    ran = run("diff", path, newest.path)
    assert ran.status == 3
    assert "is no JSON document" in ran.err
    assert f"oasis-data backups {path}" in ran.err


# restore


def test_restore_shows_asks_and_restores(path: Path) -> None:
    ran = terminal("restore", path, answers=[("[y/N]: ", "y\n")])
    assert ran.status == 0
    assert "~ $.version  3 -> 2" in ran.plain
    assert f"Restored {path}." in ran.plain
    assert load_data_file(path)["version"] == 2
    # The command that is told takes it back.
    undo = ran.plain.rpartition("-> to undo: ")[2].strip()
    assert undo.startswith("oasis-data restore ")
    subprocess.run(f"{undo} --yes", shell=True, check=True, env=with_script())
    assert load_data_file(path)["version"] == 3


@pytest.mark.parametrize(
    ("answer", "status"), [("n\n", 1), ("\n", 1), ("\x03", 130), ("\x04", 130)]
)
def test_without_a_yes_nothing_is_changed(path: Path, answer: str, status: int) -> None:
    before = identity(path)
    ran = terminal("restore", path, answers=[("[y/N]: ", answer)])
    assert ran.status == status
    assert "Nothing was changed." in ran.plain or "Interrupted." in ran.plain
    assert identity(path) == before
    assert len(list_backups(path)) == 3


def test_with_nobody_to_ask_nothing_is_changed(path: Path) -> None:
    before = identity(path)
    ran = run("restore", path)
    assert ran.status == 3
    assert "--yes" in ran.err
    assert identity(path) == before
    assert run("restore", path, stdin="y\n").status == 0
    assert load_data_file(path)["version"] == 2


def test_asks_again_when_the_file_is_saved_meanwhile(path: Path) -> None:
    def too_late() -> str:
        save_json_atomic(path, {"version": 99, "tanks": []})
        return "y\n"

    ran = terminal("restore", path, answers=[("[y/N]: ", too_late), ("[y/N]: ", "n\n")])
    assert ran.status == 1
    assert "Somebody has saved the file meanwhile" in ran.plain
    assert "$.version  99 -> 2" in ran.plain
    assert load_data_file(path)["version"] == 99


def test_restores_what_was_shown_though_newer_backups_appear(path: Path) -> None:
    shown = list_backups(path)[1].path
    assert run("restore", "--yes", path, shown).status == 0
    assert load_data_file(path)["version"] == 1


def test_restores_over_a_corrupt_file_and_keeps_it(path: Path) -> None:
    size = list_backups(path)[0].size
    path.write_text('{"vers')
    ran = run("restore", "--yes", path)
    assert ran.status == 0
    assert f"{path} is no JSON document" in ran.out
    assert f"an object of {size} bytes with 2 keys: version, tanks" in ran.out
    assert load_data_file(path)["version"] == 2
    kept = list_backups(path)[0].path
    assert Path(kept).read_text() == '{"vers'
    assert f"a backup now: {kept}" in ran.out
    assert "undo" not in ran.out  # nobody wants it back, and restore would refuse it


def test_restores_a_deleted_file(path: Path) -> None:
    delete_json_atomic(path)
    ran = run("restore", "--yes", path)
    assert ran.status == 0
    assert f"There is no {path}" in ran.out
    assert "undo" not in ran.out
    assert load_data_file(path)["version"] == 3


def test_nothing_to_restore(path: Path) -> None:
    path.write_bytes(Path(list_backups(path)[0].path).read_bytes())
    before = identity(path)
    ran = run("restore", "--yes", path)
    assert ran.status == 0
    assert "Nothing to restore." in ran.out
    assert identity(path) == before


def test_keeps_as_many_backups_as_the_server_does(path: Path) -> None:
    configure(backups_kept=100)
    for version in range(4, 30):
        save_json_atomic(path, {"version": version})
    before = visible(path.parent)
    assert run("restore", "--yes", path).status == 0
    assert set(before) < set(visible(path.parent))


def test_shows_the_beginning_of_many_changes(path: Path) -> None:
    for version in range(2):
        save_json_atomic(path, {str(key): version for key in range(500)})
    ran = terminal("restore", path, answers=[("[y/N]: ", "n\n")])
    assert ran.plain.count("1 -> 0") == 40
    assert "... and 460 changes more" in ran.plain
    assert run("diff", path).out.count("1 -> 0") == 500


# What goes wrong, and what to do about it


@pytest.mark.parametrize("command", ["backups", "diff", "restore"])
def test_says_what_to_do(path: Path, command: str) -> None:
    missing = run(command, path.parent / "none.json")
    assert (missing.status, missing.out) == (3, "")
    assert "no such file, and no backup of it" in missing.err
    assert f"oasis-data stats {path.parent}" in missing.err
    backup = list_backups(path)[0].path
    itself = run(command, backup)
    assert itself.status == 3
    assert f"name the file first, then the backup: {path} {os.path.basename(backup)}" in itself.err
    folder = run(command, path.parent)
    assert folder.status == 3
    assert f"oasis-data verify {path.parent}" in folder.err
    nowhere = run(command, path.parent / "no" / "x.json")
    assert nowhere.status == 3
    assert "there is no folder" in nowhere.err


def test_a_backup_that_is_not_there(path: Path) -> None:
    other = path.parent / "routes.json"
    save_json_atomic(other, 1)
    save_json_atomic(other, 2)
    for given in ("20200101_000000_000000", "nonsense", list_backups(other)[0].path):
        ran = run("restore", "--yes", path, given)
        assert ran.status == 3
        assert "is no backup of" in ran.err
        assert "oasis-data backups" in ran.err
    for backup in list_backups(path):
        Path(backup.path).write_text("")
    ran = run("restore", "--yes", path)
    assert ran.status == 3
    assert "of 3 backups none is whole" in ran.err
    for backup in list_backups(path):
        os.unlink(backup.path)
    ran = run("diff", path)
    assert ran.status == 3
    assert f"{path} has no backup\n  -> look for a copy of it elsewhere" in ran.err


def test_a_file_that_another_process_is_writing(path: Path) -> None:
    with edit_json(path):
        ran = run("restore", "--yes", "--timeout", "0.05", path)
    assert ran.status == 3
    assert f"still locked by process {os.getpid()}" in ran.err
    assert f"-> see what it is doing: ps -fp {os.getpid()}" in ran.err
    assert "Traceback" not in ran.err
