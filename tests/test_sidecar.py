"""What the sidecar of a folder is given, of whom, and what it is not."""

from __future__ import annotations

import os
import re
import stat
import struct
from pathlib import Path

import pytest

from oasis_data import DataOperationError, load_data_file, save_json_atomic, save_many_atomic
from tests.users import (
    ACCESS,
    DEFAULT,
    FIRST,
    SECOND,
    STRANGER,
    TEAM,
    access_list,
    give,
    list_of,
    save_as,
    save_with,
    set_list,
)


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
