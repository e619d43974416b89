"""Errors whose errno alone would send a reader to the wrong place."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from oasis_data import (
    StorageWriteError,
    WritePermissionError,
    configure,
    delete_json_atomic,
    edit_json,
    load_data_file,
    prune_backups,
    restore_backup,
    save_json_atomic,
    save_many_atomic,
)
from tests.conftest import everything_in, mounted, require, visible
from tests.errors.classes import DELETE, WRITE
from tests.errors.telling import assert_told_well, raised
from tests.nobody import as_nobody


def edit(path: Path) -> None:
    with edit_json(path) as document:
        document.append("edited")


# Each kind of call that puts something in the place of `path`, or takes it away. In a
# batch its neighbour comes before it, and after it.
CHANGES: dict[str, Callable[[Path], object]] = {
    "save": lambda path: save_json_atomic(path, 2),
    "save without backup": lambda path: save_json_atomic(path, 2, backup=False),
    "edit": edit,
    "delete": delete_json_atomic,
    "restore": restore_backup,
    "batch": lambda path: save_many_atomic(
        {path.with_name("a.json"): 2, path: 2, path.with_name("z.json"): 2}
    ),
    "batch without backups": lambda path: save_many_atomic(
        {path.with_name("a.json"): 2, path: 2, path.with_name("z.json"): 2}, backup=False
    ),
}


def document_with_neighbours(folder: Path) -> Path:
    """A document with a backup, between two others."""
    path = folder / "tanks.json"
    for name in ("a.json", "tanks.json", "z.json"):
        save_json_atomic(folder / name, ["old"])
        save_json_atomic(folder / name, ["now"])
    return path


def assert_neighbours_are_free(folder: Path) -> None:
    for name in ("a.json", "z.json"):
        assert load_data_file(folder / name) == ["now"]
        save_json_atomic(folder / name, ["now", "saved"])


@contextmanager
def mounted_alone(path: Path) -> Iterator[None]:
    """The file is a mount point by itself, as one that was mounted into a container."""
    require(os.geteuid() == 0, "needs root, to mount")
    mount = subprocess.run(
        ["mount", "--bind", path, path], capture_output=True, text=True, check=False
    )
    require(mount.returncode == 0, f"needs mount --bind: {mount.stderr.strip()}")
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", path], check=True)


@pytest.mark.parametrize("change", CHANGES)
def test_a_file_that_is_mounted_by_itself(tmp_path: Path, change: str) -> None:
    path = document_with_neighbours(tmp_path)
    with mounted_alone(path):
        before = everything_in(tmp_path)
        error = raised(lambda: CHANGES[change](path))
        assert_told_well(error, StorageWriteError, path, DELETE if change == "delete" else WRITE)
        assert isinstance(error, OSError)
        assert error.errno == errno.EBUSY
        assert "it is mounted by itself" in str(error)
        assert str(error).endswith("mount its folder instead")
        assert everything_in(tmp_path) == before
        assert load_data_file(path) == ["now"]
        assert_neighbours_are_free(tmp_path)


@contextmanager
def marked(path: Path, mark: str) -> Iterator[None]:
    """With an attribute of `chattr(1)`."""
    require(os.geteuid() == 0 and shutil.which("chattr"), "needs root, and chattr (e2fsprogs)")
    set_mark = subprocess.run(
        ["chattr", f"+{mark}", path], capture_output=True, text=True, check=False
    )
    require(set_mark.returncode == 0, f"needs a file system with chattr: {set_mark.stderr}")
    try:
        yield
    finally:
        subprocess.run(["chattr", f"-{mark}", path], check=True)


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize(
    ("what", "mark", "told"),
    [
        ("tanks.json", "i", "it is immutable"),
        ("tanks.json", "a", "it is append-only"),
        (".", "i", "its folder is immutable"),
        (".", "a", "its folder is append-only"),
    ],
)
def test_what_is_immutable_or_append_only(
    tmp_path: Path, change: str, what: str, mark: str, told: str
) -> None:
    path = document_with_neighbours(tmp_path)
    before = visible(tmp_path)
    with marked(tmp_path / what, mark):
        error = raised(lambda: CHANGES[change](path))
    # In a batch it may be a neighbour's error: they share the folder.
    assert isinstance(error, WritePermissionError)
    assert error.errno == errno.EPERM
    assert f"{told}, for root too (see lsattr)" in str(error)
    assert str(error).count(f"chattr -{mark}") >= 1
    assert str(tmp_path) not in str(error)
    assert load_data_file(path) == ["now"]
    # A backup cannot be taken back out of an append-only folder; the next save has it.
    if (what, mark) != (".", "a"):
        assert visible(tmp_path) == before
    assert_neighbours_are_free(tmp_path)


@pytest.mark.parametrize("part", ["temp", "locks"])
def test_a_part_of_the_sidecar_that_is_immutable(tmp_path: Path, part: str) -> None:
    path = document_with_neighbours(tmp_path)
    (tmp_path / ".oasis_data" / "locks" / "tanks.json.lock").unlink()
    with marked(tmp_path / ".oasis_data" / part, "i"):
        error = raised(lambda: save_json_atomic(path, 2))
    assert isinstance(error, WritePermissionError)
    assert f"the .oasis_data/{part} in its folder is immutable" in str(error)


def test_a_link_to_what_is_immutable(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    path = document_with_neighbours(tmp_path / "real")
    link = tmp_path / "link.json"
    link.symlink_to(path)
    with marked(path, "i"):
        error = raised(lambda: save_json_atomic(link, 2))
    assert "it is immutable" in str(error)


def test_a_backup_that_is_immutable_is_told_and_stops_no_save(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = document_with_neighbours(tmp_path)
    oldest = next(each for each in visible(tmp_path) if each.startswith("tanks.json.backup."))
    configure(backups_kept=1)
    with marked(tmp_path / oldest, "i"):
        save_json_atomic(path, ["new"])
        assert "unlink of a backup" in caplog.text
        assert "with lsattr whether anything there is immutable" in caplog.text
        error = raised(lambda: prune_backups(path, keep=1))
        assert "with lsattr" in str(error)
    assert load_data_file(path) == ["new"]


# What else shows before a batch is decided. By another user, since root may do it all.
def batch_of_two() -> BaseException:
    return raised(lambda: save_many_atomic({"a.json": 2, "tanks.json": 2}, backup=False))


@pytest.mark.parametrize("mode", [0o555, 0o1777])
def test_a_batch_with_a_folder_in_which_nothing_may_be_replaced(tmp_path: Path, mode: int) -> None:
    require(os.geteuid() == 0, "needs root, to give files away")
    closed = tmp_path / "closed"
    closed.mkdir()
    closed.chmod(0o777)
    paths = [closed / "a.json", closed / "tanks.json"]
    for path in paths:
        save_json_atomic(path, 1)
        os.chown(path, 65534, 65534)
    if mode == 0o1777:
        os.chown(paths[1], 0, 0)
        paths[1].chmod(0o666)
    closed.chmod(mode)

    error = as_nobody(closed, batch_of_two)

    assert isinstance(error, WritePermissionError)
    assert [load_data_file(path) for path in paths] == [1, 1]
    assert not (closed / ".oasis_data" / "journal").exists()


def batch_of_two_folders() -> BaseException:
    return raised(lambda: save_many_atomic({"open/a.json": 2, "closed/a.json": 2}, backup=False))


def test_a_batch_over_an_open_folder_and_a_closed_one_replaces_nothing(tmp_path: Path) -> None:
    require(os.geteuid() == 0, "needs root, to give files away")
    base = tmp_path / "base"
    paths = [base / name / "a.json" for name in ("open", "closed")]
    for path in paths:
        path.parent.mkdir(parents=True)
        path.parent.chmod(0o777)
        save_json_atomic(path, 1)
        os.chown(path, 65534, 65534)
    base.chmod(0o777)
    paths[1].parent.chmod(0o555)

    error = as_nobody(base, batch_of_two_folders)

    assert isinstance(error, WritePermissionError)
    assert [load_data_file(path) for path in paths] == [1, 1]
    assert not any((path.parent / ".oasis_data" / "journal").exists() for path in paths)


@pytest.mark.parametrize("new", [False, True])
@pytest.mark.parametrize("many", [False, True])
def test_no_inode_is_left(tmp_path: Path, new: bool, many: bool) -> None:
    with mounted(tmp_path / "mount", "tmpfs", "size=64m,nr_inodes=14") as folder:
        path = folder / "tanks.json"
        save_json_atomic(path, "old")
        with ExitStack() as files:
            for number in range(99):
                try:
                    files.enter_context(open(folder / f"{number}", "w"))
                except OSError:
                    break
            saved = folder / "new.json" if new else path
            act: Callable[[], object] = lambda: save_json_atomic(saved, "new")  # noqa: E731
            if many:
                act = lambda: save_many_atomic({saved: "new", folder / "b.json": 1})  # noqa: E731
            error = raised(act)
        assert isinstance(error, StorageWriteError)
        assert error.errno == errno.ENOSPC
        assert "its file system has no inode left for a new file (see df -i)" in str(error)
        assert "bytes are free" not in str(error)
        assert load_data_file(path) == "old"
        (folder / "0").unlink()
        (folder / "1").unlink()
        (folder / "2").unlink()
        assert save_json_atomic(path, "new")


TOLD = """
import sys, oasis_data
if sys.argv[2:]: oasis_data.configure(durability=sys.argv[2])
try: oasis_data.save_json_atomic(sys.argv[1], "new", make_parents=True)
except oasis_data.JSONWriteError as error: print(type(error).__name__, error)
"""


def told(strace: str, fault: str, folder: Path, *arguments: object) -> str:
    """What a save says while what it asks of the folder fails."""
    traced = [strace, "-f", "-qq", "-o", os.devnull, "-P", folder, "-e", f"inject={fault}"]
    done = subprocess.run(
        [*map(str, traced), sys.executable, "-c", TOLD, *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    return done.stdout.strip()


@pytest.mark.parametrize("call", ["linkat", "mkdirat"])
def test_a_quota_is_used_up(strace: str, tmp_path: Path, call: str) -> None:
    path = tmp_path / "tanks.json"
    if call == "linkat":
        save_json_atomic(path, "old")
    error = told(strace, f"{call}:error=EDQUOT", tmp_path, path)
    assert error.startswith("StorageWriteError tanks.json: ")
    assert "; the quota of its user, group or project on its file system is used up" in error
    assert "bytes are free" not in error


@pytest.mark.parametrize("refusal", ["EINVAL", "EOPNOTSUPP"])
def test_a_file_system_that_syncs_no_folders(strace: str, tmp_path: Path, refusal: str) -> None:
    path = tmp_path / "tanks.json"
    fault = f"fsync,fdatasync:error={refusal}"
    error = told(strace, fault, tmp_path, path)
    assert error.startswith("NotDurableError tanks.json: ")
    assert 'configure(durability="process") saves without it' in error
    assert "check the disk" not in error
    assert load_data_file(path) == "new"
    assert told(strace, fault, tmp_path, path, "process") == ""
    deep = tmp_path / "a" / "b.json"
    assert told(strace, fault, tmp_path, deep, "process") == ""
    assert load_data_file(deep) == "new"
    error = told(strace, "fsync,fdatasync:error=EIO", tmp_path, tmp_path / "c.json")
    assert "check the disk and save again" in error


TOLD_OF_BATCH = """
import sys, oasis_data
try: oasis_data.save_many_atomic({path: "new" for path in sys.argv[1:]})
except oasis_data.JSONWriteError as error: print(type(error).__name__, error)
"""


def told_of_batch(strace: str, fault: str, folder: Path) -> str:
    """What a batch over two files in one folder is told of a fault in that folder."""
    traced = [strace, "-f", "-qq", "-o", os.devnull, "-P", folder, "-e", f"inject={fault}"]
    program = [sys.executable, "-c", TOLD_OF_BATCH, folder / "a.json", folder / "b.json"]
    done = subprocess.run(
        [*map(str, traced), *map(str, program)],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    return done.stdout


def test_a_batch_over_a_file_system_that_syncs_no_folders(strace: str, tmp_path: Path) -> None:
    # Before the decision it syncs the names that its journal relies on.
    told = told_of_batch(strace, "fsync,fdatasync:error=EINVAL", tmp_path)
    assert told.startswith("StorageWriteError a.json: fsync of its folder failed")
    assert 'configure(durability="process") saves without it' in told
    assert not list(tmp_path.glob("*.json"))


def test_a_batch_whose_folder_cannot_be_synced_any_more(strace: str, tmp_path: Path) -> None:
    for name in ("a.json", "b.json"):
        save_json_atomic(tmp_path / name, "old")
    # Their names are known to be on the disk, so the first sync comes after the decision.
    told = told_of_batch(strace, "fsync,fdatasync:error=EINVAL", tmp_path)
    cause, _, then = told.partition("; the next use of any of its files completes it")
    assert cause.startswith("NotDurableError ")
    assert "decided, but not yet in place" in cause
    assert 'configure(durability="process") saves without it' in cause
    assert then == "\n"
