"""Paths: what is none, what can hold no document, and odd names that can."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from oasis_data import (
    DataFileNotFoundError,
    DataOperationError,
    FolderNotFoundError,
    JSONReadError,
    JSONWriteError,
    StorageReadError,
    StorageWriteError,
    UnserializableError,
    delete_json_atomic,
    invalidate_cache,
    is_cache_valid,
    load_data_file,
    load_with_version,
    save_json_atomic,
)
from tests.bad_input.outcomes import OLD, alone
from tests.conftest import require, visible


class Odd:
    """What a path is not."""


class OddPath(os.PathLike[str]):
    def __init__(self, spelt: Any) -> None:
        self.spelt = spelt

    def __fspath__(self) -> str:
        if isinstance(self.spelt, Exception):
            raise self.spelt
        spelt: str = self.spelt
        return spelt


USES: dict[str, Callable[[Any], object]] = {
    "save": lambda path: save_json_atomic(path, {}),
    "load": lambda path: load_data_file(path, strict=True),
    "load or default": lambda path: load_data_file(path, default=None),
    "load with version": load_with_version,
    "delete": delete_json_atomic,
    "invalidate": invalidate_cache,
    "ask": is_cache_valid,
}


@pytest.mark.parametrize("use", USES)
@pytest.mark.parametrize(
    "no_path",
    [
        *(None, 0, 3, True, 1.5, [], ["a.json"], {}, Odd(), str, bytearray(b"a"), memoryview(b"a")),
        *(OddPath(3), OddPath(None)),
    ],
    ids=lambda no_path: type(no_path).__name__,
)
def test_what_is_no_path_is_a_type_error(use: str, no_path: Any) -> None:
    with pytest.raises(TypeError):
        USES[use](no_path)


@pytest.mark.parametrize("use", USES)
def test_what_a_path_raises_about_itself_is_passed_on(use: str) -> None:
    error = LookupError("mine")
    with pytest.raises(LookupError) as caught:
        USES[use](OddPath(error))
    assert caught.value is error


@pytest.mark.parametrize("use", USES)
def test_a_path_that_no_file_system_can_spell_fails_as_everywhere(use: str) -> None:
    with pytest.raises(UnicodeEncodeError):
        os.stat("\ud800.json")
    with pytest.raises(UnicodeEncodeError):
        USES[use]("\ud800.json")


Make = Callable[[Path], Any]


def directory(folder: Path) -> Any:
    (folder / "made").mkdir()
    return folder / "made"


def link(folder: Path, target: str) -> Path:
    (folder / "link").symlink_to(target)
    return folder / "link"


def loop(folder: Path) -> Any:
    (folder / "a").symlink_to("b")
    (folder / "b").symlink_to("a")
    return folder / "a"


def fifo(folder: Path) -> Any:
    os.mkfifo(folder / "fifo")
    return folder / "fifo"


def long_chain(folder: Path) -> Any:
    (folder / "0").symlink_to("tanks.json")
    for n in range(60):
        (folder / str(n + 1)).symlink_to(str(n))
    return folder / "60"


# Each with the class that a save raises, and that of a load.
BAD_PATHS: dict[str, tuple[Make, type[JSONWriteError], type[JSONReadError]]] = {
    "empty": (lambda folder: "", FolderNotFoundError, DataFileNotFoundError),
    "empty bytes": (lambda folder: b"", FolderNotFoundError, DataFileNotFoundError),
    "null byte": (lambda folder: f"{folder}/a\0b", StorageWriteError, StorageReadError),
    "null byte in a folder": (
        lambda folder: f"{folder}/a\0b/c.json",
        StorageWriteError,
        StorageReadError,
    ),
    "null byte at the end": (
        lambda folder: os.fsencode(folder) + b"/tanks.json\0",
        StorageWriteError,
        StorageReadError,
    ),
    "directory": (directory, StorageWriteError, StorageReadError),
    "the folder itself": (lambda folder: folder, StorageWriteError, StorageReadError),
    "root": (lambda folder: "/", StorageWriteError, StorageReadError),
    "dot": (lambda folder: ".", StorageWriteError, StorageReadError),
    "dots": (lambda folder: "..", StorageWriteError, StorageReadError),
    "ends in a dot": (lambda folder: f"{folder}/.", StorageWriteError, StorageReadError),
    "ends in dots": (lambda folder: f"{folder}/..", StorageWriteError, StorageReadError),
    "folder with a slash": (lambda folder: f"{folder}/", StorageWriteError, StorageReadError),
    "file with a slash": (
        lambda folder: f"{folder}/tanks.json/",
        StorageWriteError,
        StorageReadError,
    ),
    "file as a folder": (
        lambda folder: folder / "tanks.json" / "x.json",
        StorageWriteError,
        StorageReadError,
    ),
    "missing folder": (
        lambda folder: folder / "no" / "x.json",
        FolderNotFoundError,
        DataFileNotFoundError,
    ),
    "name too long": (lambda folder: folder / ("n" * 256), StorageWriteError, StorageReadError),
    "path too long": (lambda folder: f"{folder}{'/d' * 3000}", StorageWriteError, StorageReadError),
    "far too long": (lambda folder: "n" * 1_000_000, StorageWriteError, StorageReadError),
    "link to a directory": (
        lambda folder: link(folder, str(directory(folder))),
        StorageWriteError,
        StorageReadError,
    ),
    "link to nothing in no folder": (
        lambda folder: link(folder, "no/x.json"),
        FolderNotFoundError,
        DataFileNotFoundError,
    ),
    "link to itself": (lambda folder: link(folder, "link"), StorageWriteError, StorageReadError),
    "links in a loop": (loop, StorageWriteError, StorageReadError),
    "too many links": (long_chain, StorageWriteError, StorageReadError),
    "link to a pipe": (
        lambda folder: link(folder, fifo(folder).name),
        StorageWriteError,
        StorageReadError,
    ),
    "pipe": (fifo, StorageWriteError, StorageReadError),
}


@pytest.mark.parametrize("name", BAD_PATHS)
def test_a_path_that_cannot_hold_a_document_gives_a_typed_error(
    path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(path.parent)
    make, writing, reading = BAD_PATHS[name]
    bad = make(path.parent)
    before = {entry: entry.lstat().st_ino for entry in path.parent.iterdir()}
    for act, kind in (
        (lambda: save_json_atomic(bad, {}), writing),
        (lambda: save_json_atomic(bad, [], backup=False, indent=None), writing),
        (lambda: load_data_file(bad, strict=True), reading),
    ):
        with pytest.raises(kind) as caught:
            act()
        error = caught.value
        assert error.file_path == os.fsdecode(bad)
        assert str(path.parent) not in str(error)
        assert isinstance(error, OSError)
        assert error.errno is not None
    if reading is DataFileNotFoundError:
        assert load_data_file(bad, default=7) == 7
        assert load_with_version(bad)[0] is None
    else:
        with pytest.raises(reading):
            load_data_file(bad)
        with pytest.raises(reading):
            load_with_version(bad)
    with pytest.raises(DataOperationError):
        delete_json_atomic(bad)
    assert is_cache_valid(bad) is False
    invalidate_cache(bad)
    after = {entry: entry.lstat().st_ino for entry in path.parent.iterdir()}
    after.pop(path.parent / ".oasis_data", None)
    assert after == before
    assert path.read_bytes() == OLD


def test_a_device_is_neither_read_nor_replaced_nor_given_company(tmp_path: Path) -> None:
    require(os.geteuid() == 0, "needs root to make a device")
    # One of its own: a package that fails here must not cost the machine its /dev/null.
    devices = tmp_path / "dev"
    devices.mkdir()
    device = devices / "null"
    os.mknod(device, stat.S_IFCHR | 0o666, os.makedev(1, 3))
    link(tmp_path, str(device))
    for bad in (device, tmp_path / "link"):
        with pytest.raises(StorageWriteError):
            save_json_atomic(bad, {})
        with pytest.raises(StorageReadError):
            load_data_file(bad)
    assert stat.S_ISCHR(device.stat().st_mode)
    assert os.readlink(tmp_path / "link") == str(device)
    assert os.listdir(devices) == ["null"]


def test_a_link_to_nothing_is_saved_through(path: Path) -> None:
    dangling = link(path.parent, "new.json")
    assert load_data_file(dangling, default=None) is None
    save_json_atomic(dangling, [1])
    assert dangling.is_symlink()
    assert json.loads((path.parent / "new.json").read_bytes()) == [1]
    assert load_data_file(dangling, strict=True) == [1]


@pytest.mark.parametrize("name", [b"\xff\xfe.json", b"caf\xe9", b"\n", b" ", b"-", b"~", b"a\x1bb"])
def test_any_other_name_holds_a_document(tmp_path: Path, name: bytes) -> None:
    bad = os.path.join(os.fsencode(tmp_path), name)
    save_json_atomic(bad, {"a": 1})
    assert load_data_file(bad, strict=True) == {"a": 1}
    with pytest.raises(UnserializableError) as caught:
        save_json_atomic(bad, {1})
    assert caught.value.file_path == os.fsdecode(bad)
    # Fit for a terminal, a log and a client.
    assert str(caught.value).isprintable()
    assert str(tmp_path) not in str(caught.value)
    delete_json_atomic(bad, backup=False)
    assert visible(tmp_path) == []


def test_the_longest_names_hold_documents(tmp_path: Path) -> None:
    for length in (200, 201, 225, 255):
        longest = tmp_path / ("n" * length)
        save_json_atomic(longest, length, backup=False)
        assert load_data_file(longest, strict=True) == length


def test_a_working_folder_that_is_gone_gives_typed_errors(tmp_path: Path) -> None:
    code = """
path = Path("x.json")
os.chdir(folder)
os.rmdir(folder)
print(outcome(lambda: save_json_atomic(path, {})))
print(outcome(lambda: load_data_file(path, strict=True)))
print(outcome(lambda: load_data_file(path, default=7)))
print(outcome(lambda: load_with_version(path)))
"""
    (tmp_path / "gone").mkdir()
    save, strict, default, version = alone(code, tmp_path / "gone")
    assert save == "FolderNotFoundError from FileNotFoundError"
    assert strict == "DataFileNotFoundError from FileNotFoundError"
    assert default == "7"
    assert version == "(None, 'missing')"
