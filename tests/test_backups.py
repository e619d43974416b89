"""Backups as an operator meets them: told, restored, pruned."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from oasis_data import (
    CorruptFileError,
    JSONWriteError,
    NoBackupError,
    clear_all_cache,
    configure,
    delete_json_atomic,
    edit_json,
    list_backups,
    load_data_file,
    load_with_version,
    prune_backups,
    restore_backup,
    save_json_atomic,
)
from tests.conftest import backups, python, stamps, temporaries


@pytest.fixture
def path(anywhere: Path) -> Path:
    """A file at its fourth version, with the three before as backups."""
    path = anywhere / "tanks.json"
    for version in range(4):
        save_json_atomic(path, {"version": version})
    return path


def newest(path: Path) -> Path:
    """The newest backup."""
    return backups(path)[-1]


def contents(path: Path) -> list[str]:
    """What the backups hold, newest first."""
    return [each.read_text() for each in reversed(backups(path))]


def test_are_told_newest_first(path: Path) -> None:
    told = list_backups(path)
    assert [Path(backup.path) for backup in told] == list(map(Path, backups(path)[::-1]))
    assert contents(path) == [f'{{\n  "version": {n}\n}}' for n in (2, 1, 0)]
    assert all(backup.fault is None for backup in told)
    assert all(backup.size == len('{\n  "version": 0\n}') for backup in told)
    assert told[0].time > told[1].time > told[2].time
    assert abs(told[0].time - datetime.now()) < timedelta(hours=1)
    assert told[0].path.endswith(told[0].time.strftime("%Y%m%d_%H%M%S_%f"))


def test_of_a_missing_file_are_told(path: Path) -> None:
    delete_json_atomic(path)
    assert contents(path) == [f'{{\n  "version": {n}\n}}' for n in (3, 2, 1, 0)]
    assert list_backups(path.parent / "none.json") == []


def test_say_why_they_cannot_be_restored(path: Path) -> None:
    torn = newest(path)
    torn.write_bytes(b'{"version":\n oops}')
    assert list_backups(path)[0].fault == "Expecting value: line 2 column 2"
    torn.write_bytes(b"")
    assert list_backups(path)[0].fault


def test_the_newest_that_is_whole_is_restored(path: Path) -> None:
    newest(path).write_bytes(b'{"vers')
    path.write_bytes(b"")
    restored = restore_backup(path)
    assert (
        path.with_name(Path(restored).name).read_text()
        == path.read_text()
        == '{\n  "version": 1\n}'
    )
    assert load_data_file(path) == {"version": 1}
    # What was replaced, empty as it was, is kept.
    assert contents(path)[0] == ""


def test_a_restore_can_be_undone(path: Path) -> None:
    restore_backup(path)
    assert load_data_file(path) == {"version": 2}
    restore_backup(path)
    assert load_data_file(path) == {"version": 3}


@pytest.mark.parametrize("spell", ["record", "path", "name", "bytes"])
def test_a_chosen_one_is_restored(path: Path, spell: str) -> None:
    oldest = list_backups(path)[-1]
    choice = {
        "record": oldest,
        "path": Path(oldest.path),
        "name": os.path.basename(oldest.path),
        "bytes": os.fsencode(oldest.path),
    }[spell]
    assert restore_backup(path, choice) == oldest.path  # type: ignore[arg-type]
    assert load_data_file(path) == {"version": 0}


def test_is_restored_byte_for_byte(path: Path) -> None:
    text = b'\n{"version" : 1e2,"version":7}\n\n'
    newest(path).write_bytes(text)
    restore_backup(path)
    assert path.read_bytes() == text


def test_a_deleted_file_is_restored(path: Path) -> None:
    delete_json_atomic(path)
    restore_backup(path)
    assert load_data_file(path) == {"version": 3}


@pytest.mark.files("a row has no second name and no lease, and nobody has a row open")
def test_is_restored_through_a_link(path: Path) -> None:
    link = path.parent / "folder" / "link.json"
    link.parent.mkdir()
    link.symlink_to(path)
    assert list_backups(link) == list_backups(path)
    restore_backup(link, list_backups(link)[1])
    assert link.is_symlink()
    assert load_data_file(path) == {"version": 1}


def test_none_that_can_be_restored_is_told_and_changes_nothing(path: Path) -> None:
    before = stamps(path)
    for backup in list_backups(path):
        path.with_name(Path(backup.path).name).write_bytes(b"{")
    with pytest.raises(NoBackupError, match=r"tanks\.json: has no backup .*; tanks\.json\.backup"):
        restore_backup(path)
    with pytest.raises(NoBackupError):
        restore_backup(path, list_backups(path)[0])
    with pytest.raises(NoBackupError):
        restore_backup(path, "tanks.json.backup.20200101_000000_000000")
    with pytest.raises(NoBackupError, match="not beside"):
        restore_backup(path, "/elsewhere/tanks.json.backup.20200101_000000_000000")
    with pytest.raises(NoBackupError):
        restore_backup(path, path)
    with pytest.raises(NoBackupError):
        restore_backup(path.parent / "none.json")
    assert stamps(path) == before
    assert temporaries(path.parent) == []


@pytest.mark.files("a row has no second name and no lease, and nobody has a row open")
def test_what_a_killed_writer_linked_is_no_backup(path: Path) -> None:
    stray = path.parent / "tanks.json.backup.29990101_000000_000000"
    stray.hardlink_to(path)
    assert len(list_backups(path)) == 3
    restore_backup(path)
    assert load_data_file(path) == {"version": 2}


def test_are_pruned_by_number(path: Path) -> None:
    oldest = list_backups(path)[-1]
    assert prune_backups(path, keep=2) == [oldest.path]
    assert len(list_backups(path)) == 2
    assert prune_backups(path) == []
    assert len(prune_backups(path, keep=0)) == 2
    assert list_backups(path) == []


def age_all(path: Path, days: int) -> None:
    """Makes the backups older by their names."""
    for backup in list_backups(path):
        stamp = (backup.time - timedelta(days=days)).strftime("%Y%m%d_%H%M%S_%f")
        of = path.with_name(os.path.basename(backup.path))
        of.rename(path.with_name(f"{path.name}.backup.{stamp}"))


def test_are_pruned_by_age_but_for_the_newest(path: Path) -> None:
    age_all(path, days=3)
    assert prune_backups(path, max_age=4 * 86400) == []
    assert len(prune_backups(path, max_age=2 * 86400)) == 2
    assert contents(path) == ['{\n  "version": 2\n}']


def test_a_save_lets_old_ones_go_when_configured(path: Path) -> None:
    configure(backups_max_age=2 * 86400.0)
    age_all(path, days=3)
    save_json_atomic(path, {"version": 4})
    assert [load_data_file(backup.path)["version"] for backup in list_backups(path)] == [3]


@pytest.mark.parametrize("age", [-1, float("nan")])
def test_an_age_must_be_one(path: Path, age: float) -> None:
    with pytest.raises(ValueError, match="max_age"):
        prune_backups(path, max_age=age)
    with pytest.raises(ValueError, match="backups_max_age"):
        configure(backups_max_age=age)


@pytest.mark.parametrize("kept", [0, 1, 3])
def test_a_corrupt_file_is_kept_whatever_the_settings(
    path: Path, kept: int, caplog: pytest.LogCaptureFixture
) -> None:
    configure(backups_kept=kept)
    before = len(list_backups(path))
    path.write_bytes(b'{"version": 3, "lost')
    document = load_data_file(path)
    assert document == {}
    caplog.clear()
    save_json_atomic(path, document, backup=False)
    newest = list_backups(path)[0]
    assert backups(path)[-1].read_bytes() == b'{"version": 3, "lost'
    assert f"did not parse when it was loaded; it is kept as {os.path.basename(newest.path)}" in (
        caplog.text
    )
    # What was there before stays: this save makes and prunes no other.
    assert len(list_backups(path)) == before + 1
    # Only that one save.
    caplog.clear()
    save_json_atomic(path, {"version": 5}, backup=False)
    assert caplog.text == ""
    assert len(list_backups(path)) == before + 1


CHANGES: dict[str, Callable[[Path], object]] = {
    "mode": lambda path: path.chmod(0o640),
    "times": os.utime,
    "link": lambda path: os.link(path, path.with_name("link")),
    "name": lambda path: path.rename(path.with_name("x")).rename(path),
    "content": lambda path: path.write_bytes(b'{"version": 3, "lost" and more'),
}


@pytest.mark.files("a row has no mode, times and links")
@pytest.mark.parametrize("change", CHANGES)
def test_a_corrupt_file_is_kept_though_it_was_changed_since(path: Path, change: str) -> None:
    path.write_bytes(b'{"version": 3, "lost')
    assert load_data_file(path) == {}
    CHANGES[change](path)
    lost = path.read_bytes()
    save_json_atomic(path, {}, backup=False)
    assert newest(path).read_bytes() == lost


def test_a_corrupt_file_that_was_repaired_since_is_one_like_all(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    before = len(list_backups(path))
    path.write_bytes(b"{")
    assert load_data_file(path) == {}
    path.write_bytes(b"{}")
    caplog.clear()
    save_json_atomic(path, [], backup=False)
    assert caplog.text == ""
    assert len(list_backups(path)) == before


@pytest.mark.files("a row has no mode, times and links")
@pytest.mark.parametrize("read", ["load", "strict", "version", "edit"])
def test_a_corrupt_file_is_remembered_however_it_was_read(
    path: Path, read: str, caplog: pytest.LogCaptureFixture
) -> None:
    path.write_bytes(b"")
    with suppress(CorruptFileError):
        if read == "version":
            load_with_version(path)
        elif read == "edit":
            with edit_json(path):
                pass
        else:
            load_data_file(path, strict=read == "strict")
    # By another spelling of the path, and with an empty cache.
    clear_all_cache()
    link = path.parent / "link.json"
    link.symlink_to(path)
    save_json_atomic(link, 1, backup=False)
    assert "did not parse" in caplog.text
    assert contents(path)[0] == ""


def test_what_follows_a_corrupt_file_is_not_taken_for_corrupt(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path.write_bytes(b"{")
    load_data_file(path)
    save_json_atomic(path, 1)
    # Nobody was told of this.
    path.write_bytes(b"[")
    caplog.clear()
    save_json_atomic(path, 2, backup=False)
    assert caplog.text == ""


def test_a_corrupt_file_that_was_mended_since_is_replaced_as_any(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path.write_bytes(b"{")
    load_data_file(path)
    path.write_bytes(b'{"mended": true}')
    caplog.clear()
    save_json_atomic(path, 1, backup=False)
    assert caplog.text == ""
    assert len(list_backups(path)) == 3
    # Mended too fast for its stamps to show it, but loaded since.
    path.write_bytes(b"{ ")
    load_data_file(path)
    path.write_bytes(b"{}")
    load_data_file(path, strict=True)
    caplog.clear()
    save_json_atomic(path, 2, backup=False)
    assert caplog.text == ""


def test_a_corrupt_file_is_not_lost_to_a_backup_that_cannot_be_made(tmp_path: Path) -> None:
    path = tmp_path / ("n" * 240)
    path.write_bytes(b"{")
    load_data_file(path)
    with pytest.raises(JSONWriteError):
        save_json_atomic(path, 1, backup=False)
    assert path.read_bytes() == b"{"


@pytest.mark.files("a row has no second name and no lease, and nobody has a row open")
@pytest.mark.parametrize(
    "change", ["save_json_atomic(sys.argv[1], 'new')", "delete_json_atomic(sys.argv[1])"]
)
def test_a_program_that_has_the_file_open_for_writing_changes_no_backup(
    path: Path, change: str
) -> None:
    with path.open("r+b") as other:
        python(f"import sys, oasis_data\noasis_data.{change}", path)
        other.write(b"XXXXXXXXXXXXXXXX")
        other.flush()
        assert os.fstat(other.fileno()).st_nlink == 0
    assert contents(path)[0] == '{\n  "version": 3\n}'


@pytest.mark.files("a row has no second name and no lease, and nobody has a row open")
@pytest.mark.parametrize("change", [save_json_atomic, lambda path, _: delete_json_atomic(path)])
def test_a_backup_is_no_copy_whoever_reads_the_file(
    path: Path, change: Callable[[Path, int], bool]
) -> None:
    assert load_data_file(path) == {"version": 3}  # the cache holds it open, too
    with path.open("rb") as other:
        change(path, 4)
        backup = newest(path)
        assert os.path.samestat(os.fstat(other.fileno()), backup.stat())
        assert backup.stat().st_nlink == 1


SLOW = (
    "import os, sys, oasis_data\ntry: oasis_data.{change}\nfinally: print('returned', flush=True)\n"
)


@pytest.mark.files("a row has no second name and no lease, and nobody has a row open")
@pytest.mark.parametrize(
    ("change", "call"),
    [
        ("save_json_atomic(sys.argv[1], 'new')", "renameat"),
        ("delete_json_atomic(sys.argv[1])", "unlinkat"),
    ],
)
def test_a_program_that_opens_it_meanwhile_changes_no_backup(
    strace: str, path: Path, change: str, call: str
) -> None:
    """It looks the file up before the change, and gets to write after it."""
    before = len(backups(path))
    slow = f"inject={call}:delay_enter=2000000"
    saver = subprocess.Popen(
        [
            *(strace, "-f", "-o", os.devnull, "-e", f"trace={call}", "-e", slow),
            *(sys.executable, "-c", SLOW.format(change=change), str(path)),
        ],
        stdout=subprocess.PIPE,
        text=True,
    )
    with saver:
        while len(backups(path)) == before and saver.poll() is None:
            pass
        # Linked, not renamed: the lease is held, and kept until it is.
        with pytest.raises(BlockingIOError):
            os.open(path, os.O_WRONLY | os.O_NONBLOCK)
        assert path.stat().st_nlink == 2
        with path.open("r+b") as other:
            assert not path.exists() or not os.path.samestat(os.fstat(other.fileno()), path.stat())
            other.write(b"XXXXXXXXXXXXXXXX")
        assert saver.stdout
        assert saver.stdout.read() == "returned\n"
    assert saver.returncode == 0
    assert len(backups(path)) == before + 1
    assert contents(path)[0] == '{\n  "version": 3\n}'


@pytest.mark.files("a row has no second name and no lease, and nobody has a row open")
def test_a_lease_is_let_go_when_the_change_fails(strace: str, path: Path) -> None:
    failing = "inject=renameat:error=EIO"
    subprocess.run(
        [
            *(strace, "-f", "-o", os.devnull, "-e", "trace=renameat", "-e", failing),
            *(sys.executable, "-c", SLOW.format(change="save_json_atomic(sys.argv[1], 1)"), path),
        ],
        capture_output=True,
        check=False,
    )
    os.close(os.open(path, os.O_WRONLY | os.O_NONBLOCK))
    assert len(list_backups(path)) == 3


def test_a_restore_of_a_lost_file_has_the_mode_and_owner_of_its_backup(tmp_path: Path) -> None:
    path = tmp_path / "secret.json"
    save_json_atomic(path, 1)
    path.chmod(0o600)
    if os.geteuid() == 0:
        os.chown(path, 65534, 65534)
    before = path.stat()
    save_json_atomic(path, 2)
    path.unlink()
    restore_backup(path)
    after = path.stat()
    assert load_data_file(path) == 1
    assert (after.st_mode, after.st_uid, after.st_gid) == (
        before.st_mode,
        before.st_uid,
        before.st_gid,
    )


def test_a_backup_that_there_is_not_is_named(anywhere: Path) -> None:
    path = anywhere / "tanks.json"
    save_json_atomic(path, 1)
    save_json_atomic(path, 2)
    with pytest.raises(NoBackupError, match=r"nope: there is no such backup \(see list_backups\)$"):
        restore_backup(path, "nope")
    (backup,) = list_backups(path)
    path.with_name(Path(backup.path).name).write_text("{")
    with pytest.raises(NoBackupError, match=r"line 1 column 2$"):
        restore_backup(path)


def test_a_file_that_is_corrupt_again_and_again_keeps_its_whole_backups(anywhere: Path) -> None:
    configure(backups_kept=3)
    path = anywhere / "tanks.json"
    save_json_atomic(path, "whole")
    save_json_atomic(path, "new")
    for number in range(8):
        path.write_text(f'{{"torn {number}')
        assert load_data_file(path) == {}
        save_json_atomic(path, {"number": number})
    assert backups(path)[0].read_text() == '"whole"'
