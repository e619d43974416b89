"""What a save keeps, and what it leaves behind."""

from __future__ import annotations

import json
import os
import shutil
import stat
import subprocess
import threading
from pathlib import Path

import pytest

from oasis_data import (
    AtomicJSONWriter,
    DataFileNotFoundError,
    FolderNotFoundError,
    JSONWriteError,
    atomic_writer,
    configure,
    delete_json_atomic,
    load_data_file,
    save_json_atomic,
    stats,
)
from tests.conftest import backups, python, require, temporaries, visible


def test_saves_and_answers_true(anywhere: Path) -> None:
    path = anywhere / "tanks.json"
    assert save_json_atomic(path, {"Tank1": {"capacity": 250}}) is True
    assert path.read_text() == '{\n  "Tank1": {\n    "capacity": 250\n  }\n}'
    assert visible(anywhere) == ["tanks.json"]
    assert temporaries(anywhere) == []


@pytest.mark.parametrize("spell", [str, os.fsencode, Path, lambda path: path])
def test_takes_every_kind_of_path(anywhere: Path, spell: object) -> None:
    path = anywhere / "tanks.json"
    assert callable(spell)
    save_json_atomic(spell(path), [1])
    assert load_data_file(spell(path)) == [1]


def test_takes_a_name_that_is_not_utf8(tmp_path: Path) -> None:
    path = os.path.join(os.fsencode(tmp_path), b"\xff.json")
    save_json_atomic(path, [1])
    assert load_data_file(os.fsdecode(path)) == [1]


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o027, 0o077])
def test_a_new_file_obeys_the_umask(tmp_path: Path, umask: int) -> None:
    before = os.umask(umask)
    try:
        save_json_atomic(tmp_path / "tanks.json", 1)
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "tanks.json").stat().st_mode) == 0o666 & ~umask


@pytest.mark.parametrize("mode", [0o600, 0o640, 0o664, 0o666, 0o444])
def test_a_replaced_file_keeps_its_mode(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "tanks.json"
    save_json_atomic(path, 1)
    path.chmod(mode)
    save_json_atomic(path, 2)
    assert stat.S_IMODE(path.stat().st_mode) == mode
    assert json.loads(path.read_text()) == 2


def test_a_replaced_file_keeps_its_owner_and_attributes(tmp_path: Path) -> None:
    require(os.geteuid() == 0, "needs root to give a file away")
    path = tmp_path / "tanks.json"
    save_json_atomic(path, 1)
    os.setxattr(path, "user.origin", b"refinery")
    os.setxattr(path, "trusted.origin", b"root")
    os.chown(path, 1234, 2345)
    path.chmod(0o2640)
    save_json_atomic(path, 2)
    after = path.stat()
    assert (after.st_uid, after.st_gid, stat.S_IMODE(after.st_mode)) == (1234, 2345, 0o2640)
    assert os.getxattr(path, "user.origin") == b"refinery"
    assert os.getxattr(path, "trusted.origin") == b"root"


def test_access_lists_are_kept_and_inherited(tmp_path: Path) -> None:
    setfacl = shutil.which("setfacl")
    require(setfacl, "needs setfacl (Debian's acl)")
    assert setfacl
    subprocess.run([setfacl, "-d", "-m", "u:1234:rw", tmp_path], check=True)
    path = tmp_path / "tanks.json"
    save_json_atomic(path, 1)
    inherited = os.getxattr(path, "system.posix_acl_access")
    (tmp_path / "plain").write_text("")
    assert inherited == os.getxattr(tmp_path / "plain", "system.posix_acl_access")
    subprocess.run([setfacl, "-m", "u:4321:r", path], check=True)
    listed = os.getxattr(path, "system.posix_acl_access")
    assert listed != inherited
    save_json_atomic(path, 2)
    assert os.getxattr(path, "system.posix_acl_access") == listed


def test_everyone_who_may_write_the_folder_may_use_the_sidecar(tmp_path: Path) -> None:
    require(os.geteuid() == 0, "needs root to become another user")
    folder = tmp_path / "shared"
    folder.mkdir()
    folder.chmod(0o777)
    for parent in (tmp_path, *tmp_path.parents[:3]):
        parent.chmod(parent.stat().st_mode | 0o011)
    path = folder / "tanks.json"
    save_json_atomic(path, 1)
    path.chmod(0o666)
    os.chown(path, 65534, 65534)
    python(
        "import os, sys, oasis_data\n"
        "os.setgid(65534); os.setuid(65534)\n"
        "oasis_data.save_json_atomic(sys.argv[1], 2)\n"
        "folder = oasis_data._native.inspect(os.path.dirname(sys.argv[1]))\n"
        "assert len(folder['backups']) == 1 and folder['unreadable'] == [], folder",
        path,
    )
    assert load_data_file(path) == 2
    save_json_atomic(path, 3)
    assert path.stat().st_uid == 65534


def test_a_save_leaves_the_access_times_of_its_folders(tmp_path: Path) -> None:
    save_json_atomic(tmp_path / "tanks.json", 1)
    folders = [tmp_path, tmp_path / ".oasis_data" / "temp"]
    # So long ago that the kernel would note the next one on any usual mount.
    for folder in folders:
        os.utime(folder, (1, 1))
    save_json_atomic(tmp_path / "tanks.json", 2)
    assert [folder.stat().st_atime for folder in folders] == [1, 1]


def test_a_file_whose_owner_cannot_be_kept_is_left_alone(tmp_path: Path) -> None:
    require(os.geteuid() == 0, "needs root to become another user")
    folder = tmp_path / "shared"
    folder.mkdir()
    folder.chmod(0o777)
    for parent in (tmp_path, *tmp_path.parents[:3]):
        parent.chmod(parent.stat().st_mode | 0o011)
    path = folder / "tanks.json"
    save_json_atomic(path, 1)
    path.chmod(0o666)
    said = python(
        "import os, sys, oasis_data\n"
        "os.setgid(65534); os.setuid(65534)\n"
        "try: oasis_data.save_json_atomic(sys.argv[1], 2)\n"
        "except PermissionError as error: print(error)",
        path,
    )
    assert "to keep the file's owner" in said
    assert load_data_file(path) == 1
    assert temporaries(folder) == []
    assert visible(folder) == ["tanks.json"]


def test_a_symlink_stays_and_its_target_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    target = tmp_path / "real" / "tanks.json"
    target.write_text("1")
    link = tmp_path / "link.json"
    link.symlink_to("real/tanks.json")
    save_json_atomic(link, 2)
    assert link.is_symlink()
    assert json.loads(target.read_text()) == 2
    assert [path.read_text() for path in backups(target)] == ["1"]
    assert visible(tmp_path) == ["link.json", "real"]
    delete_json_atomic(link)
    assert link.is_symlink()
    assert not target.exists()


def test_the_path_that_oasis_uses_is_the_path_it_means(anywhere: Path) -> None:
    (anywhere / "scheduler").mkdir()
    (anywhere / "output").mkdir()
    save_json_atomic(f"{anywhere}/scheduler/../output/x.json", {"day": 1})
    assert load_data_file(anywhere / "output" / "x.json") == {"day": 1}


def test_makes_folders_only_when_told(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b" / "tanks.json"
    with pytest.raises(FolderNotFoundError) as caught:
        save_json_atomic(path, 1)
    assert isinstance(caught.value, FileNotFoundError)
    assert visible(tmp_path) == []
    save_json_atomic(path, 1, make_parents=True)
    assert load_data_file(path) == 1


def test_a_failed_encoding_touches_nothing(anywhere: Path) -> None:
    with pytest.raises(JSONWriteError):
        save_json_atomic(anywhere / "tanks.json", {"a": object()})
    assert list(anywhere.iterdir()) == []


def test_ten_backups_are_kept_by_default_of_saves_in_a_burst(tmp_path: Path) -> None:
    path = tmp_path / "tanks.json"
    configure(durability="process")
    for number in range(10_000):
        save_json_atomic(path, number)
    assert [int(backup.read_text()) for backup in backups(path)] == list(range(9_989, 9_999))


def test_backups_are_off_on_request(anywhere: Path) -> None:
    path = anywhere / "tanks.json"
    for number in range(3):
        save_json_atomic(path, number, backup=False)
        AtomicJSONWriter(backup_enabled=False).write(path, number)
    configure(backups_kept=0)
    save_json_atomic(path, 4, backup=True)
    assert backups(path) == []
    configure(backups_kept=2)
    for number in range(5):
        atomic_writer.write(path, number)
    assert len(backups(path)) == 2


def test_the_writer_has_settings_of_its_own(anywhere: Path) -> None:
    path = anywhere / "tanks.json"
    assert AtomicJSONWriter(indent=None, sort_keys=True).write(path, {"b": 1, "a": 2}) is True
    assert path.read_text() == '{"a": 2, "b": 1}'
    with pytest.raises(TypeError, match="no option colour"):
        AtomicJSONWriter(colour=True)


def test_deletes_into_a_backup(anywhere: Path) -> None:
    path = anywhere / "tanks.json"
    with pytest.raises(DataFileNotFoundError):
        delete_json_atomic(path)
    assert list(anywhere.iterdir()) == []
    save_json_atomic(path, 1)
    assert load_data_file(path) == 1
    assert delete_json_atomic(path) is True
    assert load_data_file(path, default="gone") == "gone"
    assert [backup.read_text() for backup in backups(path)] == ["1"]


def test_remarks_are_logged(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "tanks.json"
    save_json_atomic(path, 1)
    # A folder in the place of a leftover cannot be unlinked as a file.
    (tmp_path / ".oasis_data" / "temp" / "tanks.json.abcdefghijkl").mkdir()
    save_json_atomic(path, 2)
    assert "unlink of a leftover" in caplog.text
    assert str(path) in caplog.text


def test_threads_and_processes_leave_one_whole_document(anywhere: Path) -> None:
    path = anywhere / "tanks.json"
    code = (
        "import sys, threading, oasis_data\n"
        "def work(writer):\n"
        "    for n in range(25):\n"
        "        document = {'by': [sys.argv[2], writer, n], 'fill': 'x' * 5000}\n"
        "        oasis_data.save_json_atomic(sys.argv[1], document)\n"
        "threads = [threading.Thread(target=work, args=(i,)) for i in range(4)]\n"
        "[t.start() for t in threads]; [t.join() for t in threads]\n"
    )
    workers = [threading.Thread(target=python, args=(code, path, name)) for name in "ab"]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    documents = [json.loads(found.read_text()) for found in (path, *backups(path))]
    assert len(documents) == 11
    assert len({tuple(document["by"]) for document in documents}) == 11
    assert all(len(document["fill"]) == 5000 for document in documents)
    assert temporaries(anywhere) == []


def test_counts_what_it_does(anywhere: Path) -> None:
    path = anywhere / "tanks.json"
    before = stats()
    save_json_atomic(path, [1])
    save_json_atomic(path, range(0), default=list)
    save_json_atomic(path, [1], indent="\N{EN SPACE}")
    with pytest.raises(JSONWriteError):
        save_json_atomic(path, object())
    delete_json_atomic(path)
    after = stats()
    assert after["saves"] - before["saves"] == 3
    assert after["deletes"] - before["deletes"] == 1
    assert after["write_failures"] - before["write_failures"] == 1
    assert after["encode_fallbacks"] - before["encode_fallbacks"] == 1
    written = len("[\n  1\n]") + len("[]") + len("[\n\N{EN SPACE}1\n]".encode())
    assert after["bytes_written"] - before["bytes_written"] == written
