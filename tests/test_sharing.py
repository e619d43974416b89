"""Folders and files of several users: who can save, and what a save does to their rights."""

from __future__ import annotations

import os
import re
import shutil
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from oasis_data import (
    configure,
    delete_json_atomic,
    edit_json,
    load_data_file,
    restore_backup,
    save_json_atomic,
    save_many_atomic,
)
from tests.conftest import backups, mounted, require, temporaries, visible
from tests.users import (
    ACCESS,
    DEFAULT,
    FIRST,
    SECOND,
    STRANGER,
    TEAM,
    WEB,
    access_list,
    give,
    list_of,
    save_as,
    save_with,
    set_list,
)

# A default list is for what is new, and not for what is replaced.


def edit(path: Path) -> None:
    with edit_json(path) as document:
        document["new"] = 2


def restore_lost(path: Path) -> None:
    save_json_atomic(path, {"new": 1})
    path.unlink()
    restore_backup(path)


def compress(path: Path) -> None:
    configure(backups_compressed_above=0)
    save_json_atomic(path, {"new": 3})
    save_json_atomic(path, {"new": 4})


def copy_into_a_backup(path: Path) -> None:
    os.link(path, path.with_name("second name"))
    save_json_atomic(path, {"new": 5})


REPLACE: list[Callable[[Path], object]] = [
    lambda path: save_json_atomic(path, {"new": 1}),
    lambda path: save_many_atomic({path: {"new": 1}, path.with_name("b.json"): {"new": 1}}),
    edit,
    restore_lost,
    compress,
    copy_into_a_backup,
    delete_json_atomic,
]


@pytest.mark.parametrize("replace", REPLACE)
def test_a_save_gives_nobody_the_rights_of_the_folders_default_list(
    tmp_path: Path, replace: Callable[[Path], object]
) -> None:
    paths = [tmp_path / "a.json", tmp_path / "b.json"]
    for path in paths:
        save_json_atomic(path, {"old": 1})
        path.chmod(0o660)
    set_list(tmp_path, DEFAULT, access_list(users={STRANGER: 6}, group=0, other=0, owner=6))
    # Whatever is there has been told of the list before.
    save_json_atomic(tmp_path / "new.json", 1)
    assert list_of(tmp_path / "new.json")
    replace(paths[0])
    files = [tmp_path / name for name in visible(tmp_path) if name != "new.json"]
    assert len(files) >= 2
    for file in files:
        assert list_of(file) is None, file
        assert stat.S_IMODE(file.stat().st_mode) == 0o660


def test_an_inherited_list_is_gone_before_the_mode_lets_anyone_in(
    strace: str, tmp_path: Path
) -> None:
    path = tmp_path / "data" / "secret.json"
    path.parent.mkdir()
    save_json_atomic(path, 1)
    path.chmod(0o660)
    set_list(path.parent, DEFAULT, access_list(users={STRANGER: 6}, group=0, other=0, owner=6))
    save_json_atomic(path.with_name("new.json"), 1)
    log = tmp_path / "log"
    save_with(strace, path, 2, log=log)
    calls = r"\d+ +(openat|fremovexattr|fchmod)\("
    lines = [line for line in log.read_text().splitlines() if re.match(calls, line)]
    temporary = [line for line in lines if "temp/secret.json" in line]
    assert re.search(r"O_CREAT.*, 0600\)", temporary[0])
    assert [line.split("(")[0].split()[-1] for line in temporary[1:]] == ["fremovexattr", "fchmod"]


@pytest.mark.parametrize(("group", "mode"), [(TEAM, 0o2777), (FIRST, 0o777)])
def test_a_new_file_has_what_open_would_give_it_whoever_made_the_sidecar(
    shared: Path, group: int, mode: int
) -> None:
    give(shared, FIRST, group, mode)
    set_list(shared, DEFAULT, access_list(users={STRANGER: 6}, group=6, other=4, owner=6))
    assert save_as(FIRST, shared / "first.json", 1) == ""
    assert list_of(shared / "first.json")
    # The list that the first user's files had is no more; their folder of temporary
    # files still has it when the second user comes.
    os.removexattr(shared, DEFAULT)
    assert save_as(SECOND, shared / "second.json", 1) == ""
    assert os.listxattr(shared / "second.json") == []
    found = (shared / "second.json").stat()
    mask = os.umask(0)
    os.umask(mask)
    assert stat.S_IMODE(found.st_mode) == 0o666 & ~mask
    assert (found.st_uid, found.st_gid) == (SECOND, TEAM if group == TEAM else SECOND)
    # And it has none from the first user's next new document on.
    assert save_as(FIRST, shared / "third.json", 1) == ""
    assert os.listxattr(shared / "third.json") == []
    assert DEFAULT not in os.listxattr(shared / ".oasis_data" / "temp")


# What a file cannot be given is told, and gives nobody a right.


def test_a_foreign_group_keeps_its_rights_by_name(shared: Path) -> None:
    give(shared, FIRST, FIRST, 0o755)
    path = shared / "state.json"
    path.write_text("1")
    give(path, FIRST, WEB, 0o2640)
    said = save_as(FIRST, path, 2)
    assert f"its group, gid {WEB}, could not be kept" in said
    assert path.stat().st_gid == FIRST
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    # Members of the user's own group had no right, and get none.
    assert list_of(path) == access_list(group=0, groups={WEB: 4}, other=0, owner=6)
    # The next save has nothing to lose.
    assert save_as(FIRST, path, 3) == ""
    assert list_of(path) == access_list(group=0, groups={WEB: 4}, other=0, owner=6)


@pytest.mark.parametrize(
    ("mode", "left"), [(0o640, 0o600), (0o664, 0o644), (0o604, 0o600), (0o644, 0o644)]
)
def test_without_access_lists_a_foreign_group_costs_rights_and_gives_none(
    tmp_path: Path, mode: int, left: int
) -> None:
    with mounted(tmp_path / "plain", "ramfs") as folder:
        give(folder, FIRST, FIRST, 0o755)
        path = folder / "state.json"
        path.write_text("1")
        give(path, FIRST, WEB, mode)
        said = save_as(FIRST, path, 2)
        assert f"its group, gid {WEB}, could not be kept" in said
        assert (f"{left:04o}" in said) == (mode != left)
        assert stat.S_IMODE(path.stat().st_mode) == left
        assert load_data_file(path) == 2


def team_file(shared: Path, mode: int) -> Path:
    """A file of the first user in a folder of the team."""
    give(shared, FIRST, TEAM, 0o2775)
    path = shared / "plan.json"
    assert save_as(FIRST, path, 1, TEAM) == ""
    give(path, FIRST, TEAM, mode)
    return path


@pytest.mark.parametrize("mode", [0o660, 0o664])
def test_a_member_of_the_team_saves_another_members_file(shared: Path, mode: int) -> None:
    path = team_file(shared, mode)
    said = save_as(SECOND, path, 2, TEAM)
    assert f"its owner, uid {FIRST}, could not be kept" in said
    assert f"it belongs to uid {SECOND} now" in said
    after = path.stat()
    assert (after.st_uid, after.st_gid, stat.S_IMODE(after.st_mode)) == (SECOND, TEAM, mode)
    # Whoever it belonged to may be no member of the team, and is not locked out.
    assert list_of(path) == access_list(users={FIRST: 6}, group=6, other=mode & 7, owner=6)
    assert "could not be kept" in save_as(FIRST, path, 3)
    assert load_data_file(path) == 3
    assert len(backups(path)) == 2


def test_who_may_not_write_a_file_does_not_get_it_by_a_save(shared: Path) -> None:
    path = team_file(shared, 0o640)
    said = save_as(SECOND, path, 2, TEAM)
    assert said.startswith("refused: plan.json: fchown (to keep the file's owner) failed")
    assert f"it belongs to uid {FIRST}: save as that user" in said
    assert path.stat().st_uid == FIRST
    assert load_data_file(path) == 1
    assert (visible(shared), temporaries(shared)) == (["plan.json"], [])


def test_without_access_lists_an_owner_who_would_be_locked_out_stays(tmp_path: Path) -> None:
    with mounted(tmp_path / "plain", "ramfs") as folder:
        path = team_file(folder, 0o660)
        said = save_as(SECOND, path, 2, TEAM)
        assert f"it belongs to uid {FIRST}: save as that user" in said
        assert load_data_file(path) == 1
        path.chmod(0o666)
        assert f"it belongs to uid {SECOND} now" in save_as(SECOND, path, 2, TEAM)
        assert load_data_file(path) == 2


def test_an_attribute_that_may_not_be_set_is_told(shared: Path) -> None:
    give(shared, FIRST, FIRST, 0o755)
    path = shared / "state.json"
    path.write_text("1")
    os.setxattr(path, "security.NTACL", b"\x04")
    os.setxattr(path, "user.origin", b"refinery")
    os.chown(path, FIRST, FIRST)
    assert "its attribute security.NTACL could not be kept" in save_as(FIRST, path, 2)
    assert os.listxattr(path) == ["user.origin"]
    assert load_data_file(path) == 2


# Neither the files beside the data nor a mode are a reason to refuse.


def test_a_mode_that_may_not_be_set_is_told(strace: str, tmp_path: Path) -> None:
    path = tmp_path / "data" / "a.json"
    path.parent.mkdir()
    save_json_atomic(path, 1)
    path.chmod(0o2644)
    assert "its mode 2644 could not be kept" in save_with(
        strace, path, 2, "fchmod:error=EPERM:when=1"
    )
    assert stat.S_IMODE(path.stat().st_mode) == 0o644
    assert "it is 0600 now" in save_with(strace, path, 3, "fchmod:error=EPERM")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert load_data_file(path) == 3


def confined(*command: str) -> list[str]:
    there = os.geteuid() == 0 and shutil.which(command[0])
    require(there, f"needs root and {command[0]}")
    tried = subprocess.run([*command, "true"], capture_output=True, text=True, check=False)
    require(tried.returncode == 0, f"needs the right to use {command[0]}: {tried.stderr.strip()}")
    return list(command)


def save_confined(folder: Path, name: str, *prefix: str) -> str:
    """Saves twice by a confined root; returns what was logged."""
    # The folders above are closed to a root that is none.
    descriptor = os.open(folder, os.O_RDONLY)
    code = (
        "import os, sys; os.fchdir(int(sys.argv[1]))\n"
        "open('plain.json', 'w').close()\n"
        "import logging, oasis_data\n"
        "logging.basicConfig(stream=sys.stdout, format='%(message)s')\n"
        "for value in (1, 2): oasis_data.save_json_atomic(sys.argv[2], value)"
    )
    done = subprocess.run(
        [*prefix, sys.executable, "-c", code, str(descriptor), name],
        pass_fds=[descriptor],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    os.close(descriptor)
    assert done.returncode == 0, done.stderr
    return str(done.stdout)


@pytest.mark.parametrize(
    "command",
    [("unshare", "-U", "-r"), ("setpriv", "--bounding-set=-all", "--inh-caps=-all")],
    ids=["in a user namespace", "without capabilities"],
)
def test_a_root_without_rights_saves(shared: Path, command: tuple[str, ...]) -> None:
    prefix = confined(*command)
    give(shared, FIRST, FIRST, 0o777)
    assert save_confined(shared, "a.json", *prefix) == ""
    assert load_data_file(shared / "a.json") == 2


def test_a_root_that_may_only_give_files_away_keeps_what_a_file_has(shared: Path) -> None:
    prefix = confined("setpriv", "--bounding-set=-all,+chown", "--inh-caps=-all")
    give(shared, 0, 0, 0o755)
    path = shared / "a.json"
    path.write_text("0")
    set_list(path, ACCESS, access_list(users={SECOND: 6}, group=4, other=0))
    os.setxattr(path, "user.origin", b"refinery")
    os.chown(path, FIRST, 0)
    before = path.stat(), os.getxattr(path, ACCESS)
    assert save_confined(shared, path.name, *prefix) == ""
    after = path.stat(), os.getxattr(path, ACCESS)
    assert load_data_file(path) == 2
    assert (after[0].st_mode, after[0].st_uid) == (before[0].st_mode, before[0].st_uid)
    assert after[1] == before[1]
    assert os.getxattr(path, "user.origin") == b"refinery"


def test_no_program_runs_as_who_saved_it(shared: Path) -> None:
    # A write takes the bit from a file, unless the writer has just this right.
    prefix = confined("setpriv", "--bounding-set=-all,+fsetid", "--inh-caps=-all")
    give(shared, FIRST, 0, 0o777)
    path = shared / "a.json"
    path.write_text("0")
    give(path, FIRST, 0, 0o4666)
    assert "it belongs to uid 0 now" in save_confined(shared, "a.json", *prefix)
    after = path.stat()
    assert (after.st_uid, stat.S_IMODE(after.st_mode)) == (0, 0o666)


def test_a_list_of_users_without_a_number_here_gives_nobody_more(shared: Path) -> None:
    prefix = confined("unshare", "-U", "-r")
    path = shared / "a.json"
    path.write_text("0")
    # Who is in the group and in the list too may only read.
    set_list(path, ACCESS, access_list(users={FIRST: 4}, group=6, other=0, owner=6))
    said = save_confined(shared, "a.json", *prefix)
    assert "its access list could not be kept" in said
    assert "its mode is 0640 now" in said
    assert (list_of(path), stat.S_IMODE(path.stat().st_mode)) == (None, 0o640)
    assert load_data_file(path) == 2
