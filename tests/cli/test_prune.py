"""`prune` and `stats`."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner

from oasis_data import delete_json_atomic, edit_json, list_backups, save_json_atomic
from oasis_data.cli import prune as prune  # loaded before a test becomes nobody
from oasis_data.cli.group import data
from tests.cli.console import run, terminal
from tests.conftest import require, visible
from tests.nobody import NOBODY, as_nobody


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with two files, six backups of each."""
    for name in ("tanks.json", "below/routes.json"):
        for version in range(7):
            save_json_atomic(tmp_path / name, version, make_parents=True)
    return tmp_path


def counts(folder: Path) -> list[int]:
    return [len(list_backups(folder / name)) for name in ("tanks.json", "below/routes.json")]


def age_all(path: Path, days: int) -> None:
    """Makes the backups older by their names."""
    for backup in list_backups(path):
        stamp = (backup.time - timedelta(days=days)).strftime("%Y%m%d_%H%M%S_%f")
        os.rename(backup.path, f"{path}.backup.{stamp}")


def test_prunes_a_file(folder: Path) -> None:
    newest = list_backups(folder / "tanks.json")[:2]
    ran = run("prune", "--keep", 2, "--yes", folder / "tanks.json")
    assert ran.status == 0
    assert ran.out == f"{folder}/tanks.json: 4 backups (4 bytes)\nRemoved 4 backups.\n"
    assert list_backups(folder / "tanks.json") == newest
    assert counts(folder) == [2, 6]


def test_prunes_a_folder_after_a_yes(folder: Path) -> None:
    delete_json_atomic(folder / "tanks.json")
    no = terminal("prune", "--keep", 1, folder, answers=[("[y/N]: ", "n\n")])
    assert no.status == 1
    assert counts(folder) == [7, 6]
    yes = terminal("prune", "--keep", 1, folder, answers=[("for good? [y/N]: ", "y\n")])
    assert yes.status == 0
    assert "Removed 11 backups." in yes.plain
    assert counts(folder) == [1, 1]
    assert run("prune", "--keep", 1, folder).out == f"Nothing to remove: {folder}\n"


def test_prunes_by_age_but_for_the_newest(folder: Path) -> None:
    age_all(folder / "tanks.json", days=40)
    assert run("prune", "--max-age", "30d", "--yes", folder).status == 0
    assert counts(folder) == [1, 6]


def test_what_is_whole_does_not_go_for_what_is_not(folder: Path) -> None:
    path = folder / "tanks.json"
    path.write_text("{")
    save_json_atomic(path, 8)  # keeps the torn content as the newest backup
    torn, whole, *_ = list_backups(path)
    assert torn.fault
    for options in (("--dry-run",), ("--yes",)):
        ran = run("prune", "--keep", 1, *options, folder)
        assert ran.status == 1
        assert f"{path}: none of its backups goes" in ran.out
        assert f"but {os.path.basename(whole.path)} is" in ran.out
        assert f"rm {torn.path}" in ran.out
    assert counts(folder) == [7, 1]
    os.unlink(torn.path)
    assert run("prune", "--keep", 1, "--yes", folder).status == 0
    assert [each.path for each in list_backups(path)] == [whole.path]


def test_a_corrupt_file_keeps_its_whole_backups(folder: Path) -> None:
    path = folder / "tanks.json"
    path.write_text("")
    ran = run("prune", "--keep", 0, "--yes", path)
    assert ran.status == 1
    assert f"put that back first: oasis-data restore {path}" in ran.out
    assert counts(folder) == [6, 6]
    assert run("restore", "--yes", path).status == 0
    assert run("prune", "--keep", 0, "--yes", path).status == 0
    assert counts(folder) == [0, 6]


@pytest.mark.parametrize("delete", [delete_json_atomic, os.unlink])
def test_of_a_file_that_is_gone_the_last_whole_backup_stays(
    folder: Path, delete: Callable[[Path], object]
) -> None:
    path = folder / "tanks.json"
    delete(path)
    newest = list_backups(path)[0].path
    for _ in range(2):
        ran = run("prune", "--keep", 0, "--yes", folder)
        assert ran.status == 1
        assert f"{path} is not there: its newest backup stays" in ran.out
        assert f"put it back: oasis-data restore {path}; or" in ran.out
        assert f"rm {newest}" in ran.out
        assert [each.path for each in list_backups(path)] == [newest]
    Path(newest).write_text("{")
    assert run("prune", "--keep", 0, "--yes", path).status == 0
    assert counts(folder) == [0, 0]


def test_of_a_file_that_is_gone_nothing_whole_goes_for_what_is_not(folder: Path) -> None:
    path = folder / "tanks.json"
    path.unlink()
    torn = list_backups(path)[0].path
    Path(torn).write_text("{")
    before = counts(folder)
    ran = run("prune", "--keep", 0, "--yes", path)
    assert ran.status == 1
    assert f"rm {torn}" in ran.out
    assert counts(folder) == before


@pytest.mark.parametrize("lose", [os.unlink, lambda path: path.write_text("")])
def test_looks_again_after_the_question(folder: Path, lose: Callable[[Path], object]) -> None:
    def too_late() -> str:
        lose(folder / "tanks.json")
        return "y\n"

    ran = terminal("prune", "--keep", 0, folder, answers=[("[y/N]: ", too_late)])
    assert ran.status == 1
    assert f"{folder}/tanks.json: none of its backups goes\n  it has changed since" in ran.plain
    assert f"oasis-data backups {folder}/tanks.json" in ran.plain
    assert counts(folder) == [6, 0]


def test_in_a_folder_prunes_nothing_that_a_symlink_leads_to(folder: Path) -> None:
    link = folder / "below" / "routes.json"
    link.unlink()
    link.symlink_to(folder / "tanks.json")
    ran = run("prune", "--keep", 1, "--yes", folder / "below")
    assert (ran.status, ran.out) == (0, f"Nothing to remove: {folder}/below\n")
    assert counts(folder)[0] == 6
    assert len(list((folder / "below").glob("*.backup.*"))) == 6


def test_says_what_would_go(folder: Path) -> None:
    before = visible(folder)
    ran = run("prune", "--keep", 0, "--dry-run", folder)
    assert ran.status == 0
    assert "12 backups (12 bytes) would go. Nothing was changed." in ran.out
    assert visible(folder) == before


def test_with_nobody_to_ask_nothing_goes(folder: Path) -> None:
    ran = run("prune", "--keep", 0, folder)
    assert ran.status == 3
    assert "--yes" in ran.err
    assert counts(folder) == [6, 6]


@pytest.mark.parametrize(
    "options", [(), ("--keep", "-1"), ("--max-age", "soon"), ("--max-age", "3"), ("--nope",)]
)
def test_a_wrong_usage_is_told(folder: Path, options: tuple[str, ...]) -> None:
    ran = run("prune", *options, "--yes", folder)
    assert ran.status == 2
    assert counts(folder) == [6, 6]


def test_a_file_that_cannot_be_locked_is_told_and_the_others_pruned(folder: Path) -> None:
    with edit_json(folder / "tanks.json", default=0):
        ran = run("prune", "--keep", 1, "--yes", "--timeout", 0.05, folder)
    assert ran.status == 3
    assert f"Not pruned: tanks.json: still locked by process {os.getpid()}" in ran.err
    assert f"  in {folder}\n  -> see what it is doing: ps -fp {os.getpid()}" in ran.err
    assert counts(folder) == [6, 1]


def prune_here() -> tuple[int, str, str]:
    ran = CliRunner().invoke(data, ["prune", "--keep", "1", "--yes", "."])
    return ran.exit_code, ran.stdout, ran.stderr


@pytest.fixture
def of_nobody(folder: Path) -> Path:
    """The folder and all in it, given away."""
    require(os.geteuid() == 0, "needs root, to become nobody")
    for each in (folder, *folder.rglob("*")):
        os.chown(each, NOBODY, NOBODY)
    return folder


def test_a_folder_that_may_not_be_read_is_told_and_the_rest_pruned(of_nobody: Path) -> None:
    folder = of_nobody
    for name in ("closed", "lost+found", "below/lost+found"):
        (folder / name).mkdir(mode=0o700)
    status, out, err = as_nobody(folder, prune_here)
    assert status == 3
    assert err == (
        "Not pruned: ./closed: Permission denied\n"
        "  -> run this as the user of the server, or as root\n"
    )
    assert "Removed 10 backups." in out
    assert counts(folder) == [1, 1]
    (folder / "closed").rmdir()
    # The lost+found of another user is no matter, here as in the other commands.
    assert as_nobody(folder, prune_here)[0] == 0


def test_a_backup_that_may_not_be_read_is_told_and_the_rest_pruned(of_nobody: Path) -> None:
    closed = Path(list_backups(of_nobody / "tanks.json")[0].path)
    os.chown(closed, 0, 0)
    closed.chmod(0o600)
    status, out, err = as_nobody(of_nobody, prune_here)
    assert status == 3
    assert err.startswith(f"Not pruned: ./{closed.name}: Permission denied\n")
    assert "Removed 5 backups." in out
    assert counts(of_nobody) == [6, 1]


def test_stats_are_those_of_the_folder(folder: Path) -> None:
    figures = json.loads(run("stats", "--json", folder).out)
    data = [folder / "tanks.json", folder / "below" / "routes.json"]
    backups = [Path(each.path) for path in data for each in list_backups(path)]
    assert figures["files"] == 2
    assert figures["file_bytes"] == sum(path.stat().st_size for path in data)
    assert figures["backups"] == 12
    assert figures["backup_bytes"] == sum(path.stat().st_size for path in backups)
    sidecars = [
        path for path in folder.rglob("*/*") if ".oasis_data" in path.parts and path.is_file()
    ]
    held = {path.stat().st_ino: path.stat().st_blocks for path in [*data, *backups, *sidecars]}
    assert figures["disk_bytes"] == 512 * sum(held.values())
    space = os.statvfs(folder)
    assert figures["total_bytes"] == space.f_blocks * space.f_frsize
    assert 0 <= figures["free_bytes"] <= figures["total_bytes"]
    oldest = min(each.time for path in data for each in list_backups(path))
    assert figures["oldest_backup"] == oldest.isoformat()
    assert figures["unreadable"] == []


def test_stats_are_told_in_words(folder: Path) -> None:
    ran = run("stats", folder)
    assert ran.status == 0
    assert "files         2" in ran.out
    assert "12 bytes  of 2 files" in ran.out
    assert "oldest backup" in ran.out
    assert "only its process knows them" in ran.out
    assert "is it the right folder?" in run("stats", folder / ".oasis_data" / "temp").out
