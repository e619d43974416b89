"""What a file system refuses: permissions, links in a circle, limits, a full disk."""

from __future__ import annotations

import errno
import os
import re
import resource
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from oasis_data import (
    DataOperationError,
    OperationType,
    ReadPermissionError,
    StorageWriteError,
    WritePermissionError,
    delete_json_atomic,
    load_data_file,
    load_with_version,
    save_json_atomic,
)
from tests.conftest import backups, everything_in, mounted, temporaries
from tests.errors.classes import DELETE, READ, WRITE
from tests.errors.telling import assert_told_well, raised
from tests.nobody import as_nobody


def denied_errors() -> list[DataOperationError]:
    """Everything that a user without rights tries, in the current folder."""
    return [
        raised(lambda: load_data_file("unreadable.json")),
        raised(lambda: load_with_version("unreadable.json")),
        raised(lambda: load_data_file("closed/tanks.json")),
        raised(lambda: save_json_atomic("tanks.json", 2)),
        raised(lambda: save_json_atomic("new.json", 2)),
        raised(lambda: delete_json_atomic("tanks.json")),
    ]


def test_permission_denied(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    (folder / "closed").mkdir(parents=True)
    for name in ("tanks.json", "unreadable.json", "closed/tanks.json"):
        (folder / name).write_text("1")
    (folder / "unreadable.json").chmod(0o000)
    (folder / "closed").chmod(0o000)
    folder.chmod(0o555)
    try:
        errors = as_nobody(folder, denied_errors)
    finally:
        folder.chmod(0o755)
        (folder / "closed").chmod(0o755)

    for error, name in zip(
        errors[:3], ["unreadable.json", "unreadable.json", "closed/tanks.json"], strict=True
    ):
        assert type(error) is ReadPermissionError
        assert error.operation is READ
        assert error.file_path == name
    for error, name, operation in zip(
        errors[3:], ["tanks.json", "new.json", "tanks.json"], [WRITE, WRITE, DELETE], strict=True
    ):
        assert type(error) is WritePermissionError
        assert error.operation is operation
        assert error.file_path == name
        assert "mode of its folder" in str(error)
    for error in errors:
        assert isinstance(error, PermissionError)
        assert error.errno == errno.EACCES
        assert str(error).startswith(f"{Path(error.file_path).name}: ")
        assert os.strerror(errno.EACCES) in str(error)
    assert everything_in(folder) == ["closed", "closed/tanks.json", "tanks.json", "unreadable.json"]
    assert (folder / "tanks.json").read_text() == "1"


def test_symlinks_that_lead_in_a_circle(tmp_path: Path) -> None:
    path = tmp_path / "tanks.json"
    path.symlink_to("routes.json")
    (tmp_path / "routes.json").symlink_to("tanks.json")
    for act in (lambda: load_data_file(path), lambda: save_json_atomic(path, 1)):
        error = raised(act)
        assert isinstance(error, OSError)
        assert error.errno == errno.ELOOP
        assert str(error).endswith("; its symlinks lead in a circle: look at them with ls -l")


def test_something_else_in_the_place_of_the_sidecar(tmp_path: Path) -> None:
    (tmp_path / ".oasis_data").write_text("not a folder")
    error = raised(lambda: save_json_atomic(tmp_path / "tanks.json", 1))
    assert str(error).endswith(
        "; something that is no folder has the name .oasis_data: move it away"
    )
    assert (tmp_path / ".oasis_data").read_text() == "not a folder"


def test_a_limit_on_the_size_of_files(tmp_path: Path) -> None:
    path = tmp_path / "tanks.json"
    save_json_atomic(path, 1)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))
    try:
        error = raised(lambda: save_json_atomic(path, "x" * 2000))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert_told_well(error, StorageWriteError, path, WRITE)
    assert str(error).endswith("; it is larger than a file may be there (see ulimit -f)")
    assert load_data_file(path) == 1


def test_read_only_file_system(tmp_path: Path) -> None:
    with mounted(tmp_path / "mount", "tmpfs") as folder:
        path = folder / "tanks.json"
        save_json_atomic(path, 1)
        before = everything_in(folder)
        subprocess.run(["mount", "-o", "remount,ro", folder], check=True)

        acts: dict[OperationType, Callable[[], object]] = {
            WRITE: lambda: save_json_atomic(path, 2),
            DELETE: lambda: delete_json_atomic(path),
        }
        for operation, act in acts.items():
            error = raised(act)
            assert_told_well(error, WritePermissionError, path, operation)
            assert isinstance(error, PermissionError)
            assert error.errno == errno.EROFS
            assert "mounted read-only" in str(error)
        assert load_data_file(path) == 1
        assert everything_in(folder) == before


@pytest.mark.parametrize("new", [False, True])
def test_full_disk(tmp_path: Path, new: bool) -> None:
    with mounted(tmp_path / "mount", "tmpfs", "size=256k") as folder:
        path = folder / "tanks.json"
        save_json_atomic(path, "old")
        save_json_atomic(path, "old too")
        old = {each: each.read_bytes() for each in folder.iterdir() if each.is_file()}
        free = os.statvfs(folder).f_bavail * os.statvfs(folder).f_frsize
        saved = folder / "new.json" if new else path

        error = raised(lambda: save_json_atomic(saved, "x" * 1_000_000))

        assert_told_well(error, StorageWriteError, saved, WRITE)
        assert isinstance(error, OSError)
        assert error.errno == errno.ENOSPC
        assert os.strerror(errno.ENOSPC) in str(error)
        told = re.search(r"(\d+) bytes are free", str(error))
        assert told
        assert 0 <= int(told[1]) <= free
        assert load_data_file(path) == "old too"
        assert {each: each.read_bytes() for each in folder.iterdir() if each.is_file()} == old
        assert len(backups(path)) == 1
        assert temporaries(folder) == []
        # What is left is as much as before: the next one that fits is saved.
        save_json_atomic(saved, "x" * 1_000)
        assert load_data_file(saved) == "x" * 1_000
