"""Folders and files of several users: who can save, and what a save does to their rights."""

from __future__ import annotations

import os
import re
import shutil
import stat
import struct
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType

import pytest

from oasis_data import (
    DataOperationError,
    configure,
    delete_json_atomic,
    edit_json,
    load_data_file,
    restore_backup,
    save_json_atomic,
    save_many_atomic,
)
from tests.conftest import backups, mounted, python, require, temporaries, visible

FIRST, SECOND, STRANGER, TEAM, WEB = 2001, 2002, 2003, 3000, 3033

ACCESS = "system.posix_acl_access"
DEFAULT = "system.posix_acl_default"

# Becomes another user in the folder, saves there, and prints what went wrong or was logged.
SAVE = """
import logging, os, sys
from oasis_data import JSONWriteError, save_json_atomic
uid, groups, name, value, folder = sys.argv[1:]
os.chdir(folder)
logging.basicConfig(stream=sys.stdout, format="%(message)s")
os.setgroups([int(group) for group in groups.split(",") if group])
os.setgid(int(uid))
os.setuid(int(uid))
try:
    save_json_atomic(name, int(value))
except JSONWriteError as error:
    print("refused:", error)
"""


def save_as(user: int, path: Path, value: int, *groups: int) -> str:
    """Saves as another user; returns what went wrong or was logged."""
    return python(SAVE, user, ",".join(map(str, groups)), path.name, value, path.parent)


def access_list(
    *,
    users: Mapping[int, int] = MappingProxyType({}),
    groups: Mapping[int, int] = MappingProxyType({}),
    owner: int = 7,
    group: int,
    other: int,
) -> bytes:
    """The value of the attribute that setfacl would set, with the widest mask."""
    mask = group
    for rights in (*users.values(), *groups.values()):
        mask |= rights
    nobody = 0xFFFFFFFF
    entries = [
        (1, owner, nobody),
        *((2, rights, user) for user, rights in users.items()),
        (4, group, nobody),
        *((8, rights, of) for of, rights in groups.items()),
        (16, mask, nobody),
        (32, other, nobody),
    ]
    return struct.pack("<I", 2) + b"".join(struct.pack("<HHI", *entry) for entry in entries)


def set_list(path: Path, name: str, value: bytes) -> None:
    try:
        os.setxattr(path, name, value)
    except OSError as error:
        require(False, f"needs access lists on the file system: {error}")


def list_of(path: Path) -> bytes | None:
    return os.getxattr(path, ACCESS) if ACCESS in os.listxattr(path) else None


@pytest.fixture
def shared(tmp_path: Path) -> Path:
    """A folder that others can be led into."""
    require(os.geteuid() == 0, "needs root, to be several users")
    folder = tmp_path / "shared"
    folder.mkdir()
    return folder


def give(path: Path, user: int, group: int, mode: int) -> None:
    os.chown(path, user, group)
    path.chmod(mode)


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

SAVE_HERE = """
import logging, sys, oasis_data
logging.basicConfig(stream=sys.stdout, format="%(message)s")
oasis_data.save_json_atomic(sys.argv[1], int(sys.argv[2]))
"""


def save_with(
    strace: str, path: Path, value: int, *faults: str, log: Path = Path(os.devnull)
) -> str:
    """Saves where the kernel refuses some calls; returns what was logged."""
    inject = [argument for fault in faults for argument in ("-e", f"inject={fault}")]
    tracing = [strace, "-f", "-y", "-o", str(log), *inject]
    done = subprocess.run(
        [*tracing, sys.executable, "-c", SAVE_HERE, str(path), str(value)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return str(done.stdout)


@pytest.mark.parametrize(
    "calls",
    [
        ["fchown", "fchmod", "fsetxattr", "fremovexattr"],
        # Nor can a file without a name be given one, for want of /proc.
        ["fchown", "fchmod", "linkat"],
    ],
)
def test_what_the_sidecar_may_not_be_given_refuses_no_save(
    strace: str, shared: Path, calls: list[str]
) -> None:
    give(shared, FIRST, TEAM, 0o2777)
    set_list(shared, DEFAULT, access_list(users={STRANGER: 6}, group=6, other=4, owner=6))
    save_with(strace, shared / "a.json", 1, *(f"{call}:error=EPERM" for call in calls))
    assert load_data_file(shared / "a.json") == 1
    # As soon as it may, it is.
    save_json_atomic(shared / "a.json", 2)
    assert_in_line(shared)


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


# The sidecar is shared with whoever may write in its folder now.


def assert_in_line(folder: Path) -> None:
    """All of the sidecar has the folder's owner, group, mode and list."""
    wanted = folder.stat()
    sidecar = folder / ".oasis_data"
    for made in (sidecar, sidecar / "locks", sidecar / "temp", *sidecar.glob("locks/*")):
        found = made.stat()
        assert (found.st_uid, found.st_gid) == (wanted.st_uid, wanted.st_gid), made
        mode = wanted.st_mode if made.is_dir() else wanted.st_mode & 0o666
        assert stat.S_IMODE(found.st_mode) == stat.S_IMODE(mode), made
        if made.is_dir():
            assert list_of(made) == list_of(folder), made


def test_the_sidecar_follows_a_later_mode_and_group(shared: Path) -> None:
    give(shared, FIRST, FIRST, 0o755)
    path = shared / "first.json"
    assert save_as(FIRST, path, 1) == ""
    assert save_as(FIRST, shared / "ours.json", 1, TEAM) == ""
    give(shared, FIRST, TEAM, 0o2775)
    # What there is, and is not new, is enough.
    assert save_as(FIRST, path, 2, TEAM) == ""
    assert_in_line(shared)
    assert save_as(SECOND, shared / "second.json", 3, TEAM) == ""
    give(shared / "ours.json", FIRST, TEAM, 0o664)
    assert not save_as(SECOND, shared / "ours.json", 3, TEAM).startswith("refused")
    # And back: who may not write in the folder any more, may not in the sidecar.
    give(shared, FIRST, FIRST, 0o755)
    assert save_as(FIRST, path, 4, TEAM) == ""
    assert stat.S_IMODE((shared / ".oasis_data").stat().st_mode) == 0o755


def test_the_sidecar_has_the_group_of_a_folder_that_does_not_pass_it_on(shared: Path) -> None:
    give(shared, FIRST, TEAM, 0o775)
    assert save_as(SECOND, shared / "second.json", 1, TEAM) == ""
    assert save_as(FIRST, shared / "first.json", 1, TEAM) == ""
    assert (shared / ".oasis_data" / "temp").stat().st_gid == TEAM
    # New files are as open makes them.
    assert (shared / "first.json").stat().st_gid == FIRST


def test_the_sidecar_follows_an_access_list(shared: Path) -> None:
    give(shared, FIRST, FIRST, 0o775)
    path = shared / "first.json"
    assert save_as(FIRST, path, 1) == ""
    # With this list the folder shows the same mode.
    set_list(shared, ACCESS, access_list(users={SECOND: 7}, group=7, other=5))
    assert save_as(FIRST, path, 2) == ""
    assert_in_line(shared)
    assert save_as(SECOND, shared / "second.json", 3) == ""
    os.removexattr(shared, ACCESS)
    assert save_as(FIRST, shared / "new.json", 1) == ""
    assert list_of(shared / ".oasis_data") is None


def test_the_owner_of_a_folder_may_use_what_a_guest_has_made_there(shared: Path) -> None:
    give(shared, FIRST, FIRST, 0o755)
    set_list(shared, ACCESS, access_list(users={SECOND: 7}, group=5, other=5))
    assert save_as(SECOND, shared / "second.json", 1) == ""
    sidecar = shared / ".oasis_data"
    assert sidecar.stat().st_uid == SECOND
    assert list_of(sidecar) == access_list(users={FIRST: 7, SECOND: 7}, group=5, other=5)
    assert save_as(FIRST, shared / "first.json", 1) == ""
    # Each brings their own locks in line.
    set_list(shared, ACCESS, access_list(users={SECOND: 7, STRANGER: 7}, group=5, other=5))
    assert save_as(SECOND, shared / "second.json", 2) == ""
    assert save_as(FIRST, shared / "first.json", 2) == ""
    locks = [list_of(sidecar / "locks" / f"{name}.json.lock") for name in ("first", "second")]
    assert [bool(locked and struct.pack("<HHI", 2, 6, STRANGER) in locked) for locked in locks] == [
        True,
        True,
    ]
    assert save_as(STRANGER, shared / "third.json", 1) == ""


def test_an_owner_or_a_group_alone_that_a_sidecar_cannot_have_may_use_it(shared: Path) -> None:
    # The group can be given, the owner cannot.
    give(shared, FIRST, TEAM, 0o770)
    assert save_as(SECOND, shared / "second.json", 1, TEAM) == ""
    assert list_of(shared / ".oasis_data") == access_list(users={FIRST: 7}, group=7, other=0)
    assert save_as(FIRST, shared / "first.json", 1) == ""
    # The owner has it already, the group cannot be given.
    team = shared / "team"
    team.mkdir()
    give(team, FIRST, TEAM, 0o770)
    assert save_as(FIRST, team / "first.json", 1) == ""
    found = list_of(team / ".oasis_data")
    assert found == access_list(groups={TEAM: 7}, group=0, other=0)
    assert save_as(SECOND, team / "second.json", 1, TEAM) == ""


def test_a_sidecar_that_keeps_a_user_out_is_named_with_the_remedy(shared: Path) -> None:
    save_json_atomic(shared / "tanks.json", 1)
    os.chown(shared, FIRST, FIRST)
    said = save_as(FIRST, shared / "mine.json", 1)
    assert ".oasis_data beside it belongs to uid 0 and gid 0 and has mode 0755" in said
    assert "a save in this folder by that user or by root" in said
    save_json_atomic(shared / "tanks.json", 2)
    assert_in_line(shared)
    assert save_as(FIRST, shared / "mine.json", 1) == ""
    # The part that keeps the user out, and no other that is somebody else's too.
    give(shared / ".oasis_data", 0, 0, 0o777)
    for part, mode in ((".oasis_data/locks", 0o666), (".oasis_data/locks/mine.json.lock", 0o555)):
        give(shared / part, 0, 0, mode)
        said = save_as(FIRST, shared / "mine.json", 2)
        assert f"; {part} beside it belongs to uid 0 and gid 0 and has mode {mode:04o}" in said
        give(shared / part, FIRST, FIRST, 0o755)


def test_the_sidecar_has_no_access_list_where_the_folder_has_none(shared: Path) -> None:
    for user, group in ((0, 0), (FIRST, FIRST), (FIRST, TEAM)):
        give(shared, user, group, 0o775)
        save_json_atomic(shared / f"{user}.json", 1)
        assert save_as(user, shared / "tanks.json", 1) == ""
        sidecar = shared / ".oasis_data"
        parts = [sidecar, *sidecar.rglob("*")]
        assert [part for part in parts if ACCESS in os.listxattr(part)] == []


def test_root_gives_away_no_file_that_was_put_among_the_locks(shared: Path) -> None:
    give(shared, FIRST, FIRST, 0o755)
    assert save_as(FIRST, shared / "first.json", 1) == ""
    locks = shared / ".oasis_data" / "locks"
    secret = shared.parent / "secret"
    secret.write_text("")
    secret.chmod(0o600)
    os.link(secret, locks / "linked.lock")
    (locks / "symbolic.lock").symlink_to(secret)
    (locks / "theirs.lock").write_text("")
    give(locks / "theirs.lock", STRANGER, STRANGER, 0o600)
    os.mkfifo(locks / "pipe.lock")
    shared.chmod(0o777)
    save_json_atomic(shared / "first.json", 2)
    assert stat.S_IMODE((shared / ".oasis_data").stat().st_mode) == 0o777
    for untouched in (secret, locks / "theirs.lock"):
        assert stat.S_IMODE(untouched.stat().st_mode) == 0o600
    assert secret.stat().st_uid == 0
    assert (locks / "theirs.lock").stat().st_uid == STRANGER


def private(path: Path) -> Path:
    path.write_text(100 * "a private file of root's, called by somebody else as it is now ")
    path.chmod(0o600)
    return path


@pytest.mark.parametrize("name", ["locks/first.json.lock", "locks/x.lock", "journal.lock"])
def test_root_gives_away_no_private_file_that_was_renamed(shared: Path, name: str) -> None:
    give(shared, FIRST, FIRST, 0o755)
    assert save_as(FIRST, shared / "first.json", 1) == ""
    secret = private(shared / ".oasis_data" / name)
    os.chown(secret, 0, 0)
    shared.chmod(0o777)
    for path in (shared / "first.json", shared / "second.json"):
        save_json_atomic(path, 2)
    save_many_atomic({shared / "first.json": 3, shared / "second.json": 3})
    # By now a note of a save is in it.
    shared.chmod(0o755)
    save_json_atomic(shared / "first.json", 4)
    assert (secret.stat().st_uid, stat.S_IMODE(secret.stat().st_mode)) == (0, 0o600)


SYNCED = b"synced 1 2 3\n"


@pytest.mark.parametrize(
    ("text", "is_lock"),
    [
        (b"", True),
        (SYNCED, True),
        (b"aB3aB3aB3aB3\n", True),
        (SYNCED.ljust(256, b"\0"), True),
        (SYNCED.ljust(256, b"\0") + b"backups 1 of these", True),
        (SYNCED.ljust(256, b"\0") + b"-ackups 1 of these", True),
        (bytes(256) + b"backups 1 of these", True),
        (SYNCED.replace(b"synced", b"filled").ljust(128, b"\0") + b"ABCDEFGH", True),
        (bytes(128) + b"ABCDEFGH" + bytes(120) + b"backups 1 of these", True),
        (b"a secret", False),
        (b"a secret\n", False),
        (b"synced", False),
        (SYNCED + b"a secret", False),
        (bytes(127) + b"a secret", False),
        (bytes(128) + b"ABCDEFGHa secret", False),
        (SYNCED.ljust(256, b"\0") + b"a secret", False),
        (bytes(256) + b"a secret", False),
    ],
)
def test_root_shares_what_has_the_text_of_a_lock(shared: Path, text: bytes, is_lock: bool) -> None:
    save_json_atomic(shared / "tanks.json", 1)
    lock = shared / ".oasis_data" / "locks" / "x.json.lock"
    lock.write_bytes(text)
    lock.chmod(0o600)
    give(shared, FIRST, FIRST, 0o755)
    save_json_atomic(shared / "tanks.json", 2)
    assert lock.stat().st_uid == (FIRST if is_lock else 0)
    assert lock.read_bytes() == text


@pytest.mark.parametrize("owner", [0, FIRST])
@pytest.mark.parametrize("name", [".oasis_data", ".oasis_data/locks", ".oasis_data/temp"])
def test_no_private_folder_that_was_renamed_is_shared(shared: Path, name: str, owner: int) -> None:
    give(shared, owner, owner, 0o777)
    folder = shared / name
    folder.mkdir(parents=True)
    for above in folder.relative_to(shared).parents[:-1]:
        give(shared / above, FIRST, FIRST, 0o777)
    folder.chmod(0o700)
    private(folder / "secret")
    for path in (shared / "first.json", shared / "second.json"):
        save_json_atomic(path, 2)
    save_many_atomic({shared / "first.json": 3, shared / "second.json": 3})
    assert (folder.stat().st_uid, stat.S_IMODE(folder.stat().st_mode)) == (0, 0o700)


@pytest.mark.parametrize("part", [".oasis_data", ".oasis_data/locks"])
def test_nothing_is_made_or_shared_through_a_symlinked_sidecar(shared: Path, part: str) -> None:
    give(shared, FIRST, FIRST, 0o755)
    own = shared.parent / "own"
    for folder in (own / "locks", own / "temp"):
        folder.mkdir(parents=True)
    path, link = shared / "first.json", shared / part
    link.parent.mkdir(exist_ok=True)
    link.symlink_to(own)
    (own / "locks" / "known.json.lock").touch()
    for name in ("first.json", "known.json"):
        with pytest.raises(DataOperationError, match=f"{part} is a symlink: remove it"):
            save_json_atomic(path.with_name(name), 1)
    made = {str(found.relative_to(own)): found for found in own.rglob("*")}
    assert sorted(made) == ["locks", "locks/known.json.lock", "temp"]
    assert {found.stat().st_uid for found in made.values()} == {0}


def test_a_sidecar_in_line_costs_a_save_three_calls(strace: str, shared: Path) -> None:
    """Also where it cannot be brought in line: its locks are not looked at each time."""
    path = shared / "tanks.json"
    give(shared, FIRST, TEAM, 0o2775)
    save_json_atomic(path, 1)

    def beside(value: int, *faults: str) -> list[str]:
        log = shared.parent / "log"
        save_with(strace, path, value, *faults, log=log)
        calls = log.read_text().splitlines()
        return [call for call in calls if "shared" in call]

    ordinary = beside(2)
    asked = [
        re.search(r"\w+\(", call)
        for call in ordinary
        if re.search(r'^\d+ +(f?chown|f?chmod|f?\w+xattr)\w*\(|"\.oasis_data",', call)
    ]
    # The mode of the sidecar and the list of its folder; then what the old file has,
    # and the new one has not yet.
    assert [call and call[0] for call in asked] == [
        "newfstatat(",
        "fgetxattr(",
        "flistxattr(",
        "fgetxattr(",
        "fchmod(",
    ]
    shared.chmod(0o2777)
    refused = beside(3, "fchmod:error=EPERM")
    assert not [call for call in refused if "getdents" in call and "/locks>" in call]
    changed = beside(4)
    assert [call for call in changed if "getdents" in call and "/locks>" in call]
