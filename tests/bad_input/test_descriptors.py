"""Paths that lead to an open descriptor, which may have no name, and to others' symlinks."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from oasis_data import (
    CorruptFileError,
    JSONReadError,
    StorageReadError,
    StorageWriteError,
    delete_json_atomic,
    edit_json,
    is_cache_valid,
    list_backups,
    load_data_file,
    load_with_version,
    prune_backups,
    restore_backup,
    save_json_atomic,
    save_many_atomic,
)
from tests.conftest import require_mounts, visible

DOCUMENT = {"tanks": [1, 2.5, "é"]}
TEXT = json.dumps(DOCUMENT).encode()


def memory() -> int:
    number = os.memfd_create("document")
    os.write(number, TEXT)
    return number


def deleted() -> int:
    with tempfile.TemporaryFile() as file:
        file.write(TEXT)
        file.flush()
        return os.dup(file.fileno())


def named(folder: Path) -> int:
    (folder / "tanks.json").write_bytes(TEXT)
    return os.open(folder / "tanks.json", os.O_RDWR)


@pytest.fixture(params=["memory", "deleted", "named"])
def number(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[int]:
    """The number of an open file, at its end."""
    makes: dict[str, Callable[[], int]] = {
        "memory": memory,
        "deleted": deleted,
        "named": lambda: named(tmp_path),
    }
    number = makes[request.param]()
    yield number
    os.close(number)


def spellings(number: int, folder: Path) -> list[str]:
    (folder / "link.json").symlink_to(f"/dev/fd/{number}")
    numbers = ["/proc/self/fd", "/proc/thread-self/fd", f"/proc/{os.getpid()}/fd", "/dev/fd"]
    return [*(f"{each}/{number}" for each in numbers), f"{folder}/link.json"]


def test_a_descriptor_is_loaded_as_open_reads_it(number: int, tmp_path: Path) -> None:
    for path in spellings(number, tmp_path):
        with open(path, encoding="utf-8") as file:
            assert json.load(file) == DOCUMENT
        assert load_data_file(path, strict=True) == DOCUMENT
        assert load_data_file(path) == DOCUMENT
        assert load_with_version(path)[0] == DOCUMENT
    # What another file has under the same number is another document.
    other = os.memfd_create("other")
    os.write(other, b"[]")
    os.dup2(other, number)
    os.close(other)
    assert load_data_file(f"/dev/fd/{number}", strict=True) == []


WRITES: dict[str, Callable[[Any], object]] = {
    "save": lambda path: save_json_atomic(path, {}),
    "edit": lambda path: edit_json(path).__enter__(),
    "delete": delete_json_atomic,
    "restore": restore_backup,
    "prune": prune_backups,
    "batch": lambda path: save_many_atomic({path: {}}),
}


@pytest.mark.parametrize("write", WRITES)
def test_a_write_to_a_descriptor_is_refused(number: int, tmp_path: Path, write: str) -> None:
    before = os.fstat(number)
    paths = spellings(number, tmp_path)
    names = sorted(os.listdir(tmp_path))
    for path in paths:
        with pytest.raises(StorageWriteError, match="is an open descriptor, not a reg") as caught:
            WRITES[write](path)
        assert caught.value.errno == errno.EINVAL
        with pytest.raises(StorageReadError, match="is an open descriptor"):
            list_backups(path)
    assert os.fstat(number) == before
    assert os.pread(number, 99, 0) == TEXT
    assert sorted(os.listdir(tmp_path)) == names


def test_a_folder_by_its_descriptor_holds_documents(tmp_path: Path) -> None:
    number = os.open(tmp_path, os.O_RDONLY)
    path = f"/proc/self/fd/{number}/tanks.json"
    save_json_atomic(path, 1)
    save_json_atomic(path, 2)
    assert load_data_file(path) == 2
    assert len(list_backups(path)) == 1
    os.close(number)
    assert load_data_file(tmp_path / "tanks.json") == 2


LOAD_STDIN = "import oasis_data; print(oasis_data.load_data_file('/dev/stdin', strict=True))"


def test_standard_input_is_loaded() -> None:
    with tempfile.TemporaryFile() as file:
        file.write(TEXT)
        file.seek(0)
        from_file = subprocess.check_output([sys.executable, "-c", LOAD_STDIN], stdin=file)
    from_pipe = subprocess.check_output([sys.executable, "-c", LOAD_STDIN], input=TEXT)
    assert from_file == from_pipe == f"{DOCUMENT}\n".encode(sys.stdout.encoding)


@contextmanager
def pipe() -> Iterator[tuple[str, Any]]:
    reader, writer = os.pipe()
    with closing(os.fdopen(writer, "wb", buffering=0)) as file:
        yield f"/proc/self/fd/{reader}", file
    os.close(reader)


def test_a_pipe_is_read_to_its_end_and_never_kept() -> None:
    large = ["x" * 1_000_000]
    with pipe() as (path, writer):

        def write() -> None:
            with writer:
                writer.write(json.dumps(large).encode())

        writing = threading.Thread(target=write)
        writing.start()
        assert load_data_file(path, strict=True) == large
        writing.join()
        assert is_cache_valid(path) is False
        # All of it has been read.
        assert load_data_file(path, default=7) == 7
        with pytest.raises(CorruptFileError):
            load_data_file(path, strict=True)


def test_a_wait_for_a_pipe_obeys_signals() -> None:
    class Soft(Exception):
        pass

    heard = []

    def hear(*_: object) -> None:
        heard.append(1)
        if len(heard) == 3:
            raise Soft

    before = signal.signal(signal.SIGALRM, hear)
    try:
        with pipe() as (path, writer):
            writer.write(b"[1")
            # Again and again: the first may come before the read.
            signal.setitimer(signal.ITIMER_REAL, 0.01, 0.01)
            with pytest.raises(Soft):
                load_data_file(path)
            signal.setitimer(signal.ITIMER_REAL, 0)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


@pytest.mark.parametrize("opened", ["/dev/null", "/"])
def test_what_else_is_open_is_no_document(opened: str) -> None:
    number = os.open(opened, os.O_RDONLY)
    with pytest.raises(JSONReadError):
        load_data_file(f"/proc/self/fd/{number}")
    os.close(number)
    with pytest.raises(JSONReadError):
        load_data_file(f"/proc/self/fd/{number}", strict=True)


WRITE_THROUGH = """
import os, sys, oasis_data as o
os.chdir(sys.argv[1])
def edit(path):
    with o.edit_json(path) as document: document.append(1)
for name in "theirs.json", "chain.json", "new.json", "own.json":
    for act in (
        lambda: o.save_json_atomic(name, [name]),
        lambda: o.save_many_atomic({name: [name]}),
        lambda: edit(name),
        lambda: o.delete_json_atomic(name),
    ):
        try: print(name, act())
        except o.WritePermissionError as error: print(name, error.errno, error)
"""


@pytest.fixture
def shared(tmp_path: Path) -> Path:
    """A sticky folder for everyone, with another user's symlinks, and one of this user's."""
    require_mounts()
    shared = tmp_path / "shared"
    shared.mkdir()
    shared.chmod(0o1777)
    for name in ("theirs", "own", "new"):
        link = shared / f"{name}.json"
        link.symlink_to(f"../{name}-target.json")
        if name != "new":
            (tmp_path / f"{name}-target.json").write_text("[]")
        os.chown(link, 2002 if name != "own" else 0, 0, follow_symlinks=False)
    (shared / "chain.json").symlink_to("theirs.json")
    return shared


def while_protected(setting: str, folder: Path, *command: object) -> str:
    """Where the kernel's setting reads so, by a mount over it: it is the whole machine's."""
    (folder / "setting").write_text(f"{setting}\n")
    inside = f'mount --bind {folder}/setting /proc/sys/fs/protected_symlinks && exec "$@"'
    done = subprocess.run(
        ["unshare", "-m", "sh", "-c", inside, "sh", *map(str, command)],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    return done.stdout


@pytest.mark.parametrize("protected", ["1", "0"])
def test_another_users_symlink_in_a_sticky_folder(
    shared: Path, tmp_path: Path, protected: str
) -> None:
    said = while_protected(protected, tmp_path, sys.executable, "-c", WRITE_THROUGH, shared)
    told = said.splitlines()
    assert len(told) == 16
    refused = [line for line in told if " 13 " in line]
    if protected == "0":
        assert refused == []
        return
    assert refused == told[:12]
    for line in refused:
        name = "new.json" if line.startswith("new") else "theirs.json"
        assert (
            f"; the symlink {name} is another user's (uid 2002) and lies in a sticky folder" in line
        )
        assert "fs.protected_symlinks" in line
    assert (tmp_path / "theirs-target.json").read_text() == "[]"
    assert not (tmp_path / "new-target.json").exists()
    assert not (tmp_path / "own-target.json").exists()
    assert visible(shared) == ["chain.json", "new.json", "own.json", "theirs.json"]


@pytest.mark.parametrize("mode", [0o1755, 0o777])
def test_another_users_symlink_in_a_folder_that_is_not_everyones_or_not_sticky(
    shared: Path, tmp_path: Path, mode: int
) -> None:
    shared.chmod(mode)
    said = while_protected("1", tmp_path, sys.executable, "-c", WRITE_THROUGH, shared)
    assert len(said.splitlines()) == 16
    assert " 13 " not in said


LOAD = """
import sys, oasis_data
try: oasis_data.load_data_file(sys.argv[1], default=None)
except oasis_data.ReadPermissionError as error: print(error)
"""


def test_a_load_through_such_a_symlink_is_the_kernels_to_refuse(
    strace: str, shared: Path, tmp_path: Path
) -> None:
    path = shared / "theirs.json"
    load = [sys.executable, "-c", LOAD, path]
    # The setting alone, without a kernel that acts by it.
    assert while_protected("1", tmp_path, *load) == ""
    # After one that is not to follow, and the look at the symlink itself.
    fault = "inject=openat:error=EACCES:when=3+"
    traced = [strace, "-qq", "-o", os.devnull, "-P", path, "-P", path.name, "-e", fault]
    told = while_protected("1", tmp_path, *traced, *load)
    assert told.startswith("theirs.json: following a symlink failed: Permission denied")
    assert "(fs.protected_symlinks)" in told


def test_a_symlink_to_a_folder_that_the_kernel_follows_only_on_the_way(
    strace: str, tmp_path: Path
) -> None:
    """As where it protects symlinks: the last part of a path, but no other."""
    (tmp_path / "real").mkdir()
    link = tmp_path / "link"
    link.symlink_to("real")
    path = link / "tanks.json"
    save = "import sys, oasis_data; oasis_data.save_json_atomic(sys.argv[1], 1)"
    traced = [strace, "-qq", "-o", str(tmp_path / "log"), "-P", str(link)]
    fault = "inject=openat:error=EACCES:when=1"
    subprocess.run(
        [*traced, "-e", fault, sys.executable, "-c", save, str(path)], timeout=120, check=True
    )
    assert "(INJECTED)" in (tmp_path / "log").read_text()
    assert load_data_file(path) == 1
