"""Compressed backups, as an operator and other processes meet them."""

from __future__ import annotations

import gzip
import json
import os
import re
import threading
from datetime import datetime
from pathlib import Path

import pytest

from oasis_data import (
    configure,
    delete_json_atomic,
    edit_json,
    list_backups,
    load_data_file,
    prune_backups,
    restore_backup,
    save_json_atomic,
)
from tests.conftest import backups, measures_memory, python, temporaries, visible
from tests.test_syscalls import trace

FILL = "x" * 5000


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A file at its third version, with the two before as compressed backups."""
    configure(backups_compressed_above=1000)
    path = tmp_path / "tanks.json"
    for version in range(3):
        save_json_atomic(path, [version, FILL])
    return path


def test_other_programs_read_them(path: Path) -> None:
    assert [backup.suffix for backup in backups(path)] == [".gz", ".gz"]
    for version, backup in enumerate(backups(path)):
        with gzip.open(backup, "rt", encoding="utf-8") as file:
            assert json.load(file) == [version, FILL]


def test_are_told_with_the_space_they_take(path: Path) -> None:
    told = list_backups(path)
    assert [Path(backup.path) for backup in told] == backups(path)[::-1]
    for backup in told:
        assert backup.compressed
        assert backup.fault is None
        assert backup.size == Path(backup.path).stat().st_size < 200
        stamp = datetime.strptime(
            backup.path[-len("YYYYmmdd_HHMMSS_ffffff.gz") :], "%Y%m%d_%H%M%S_%f.gz"
        )
        assert stamp == backup.time


def test_both_forms_are_told_as_one(path: Path) -> None:
    newest = Path(list_backups(path)[0].path)
    plain = newest.with_suffix("")
    plain.write_bytes(gzip.decompress(newest.read_bytes()))
    told = list_backups(path)
    assert len(told) == 2
    assert (told[0].path, told[0].compressed) == (str(plain), False)
    prune_backups(path)
    assert not plain.exists()
    assert list_backups(path)[0].path == str(newest)


@pytest.mark.parametrize("spell", ["newest", "record", "path", "plain", "name"])
def test_are_restored(path: Path, spell: str) -> None:
    newest = list_backups(path)[0]
    choice = {
        "newest": None,
        "record": newest,
        "path": newest.path,
        "plain": newest.path.removesuffix(".gz"),
        "name": os.path.basename(newest.path),
    }[spell]
    assert restore_backup(path, choice) == newest.path
    assert path.read_text() == json.dumps([1, FILL], indent=2)
    # What it replaced was compressed in turn.
    assert [backup.compressed for backup in list_backups(path)] == [True] * 3


def test_one_told_while_plain_is_restored_once_compressed(path: Path) -> None:
    configure(backups_compressed_above=float("inf"))
    save_json_atomic(path, [3])
    told = list_backups(path)[0]
    assert not told.compressed
    configure(backups_compressed_above=1000)
    save_json_atomic(path, [4])
    assert restore_backup(path, told) == f"{told.path}.gz"
    assert load_data_file(path) == [2, FILL]


def test_edits_and_deletions_compress(path: Path) -> None:
    with edit_json(path) as document:
        document.append("edited")
    delete_json_atomic(path)
    assert [backup.compressed for backup in list_backups(path)] == [True] * 4
    assert visible(path.parent) == [backup.name for backup in backups(path)]


@pytest.mark.parametrize("cut", [0, 5, 30, -1])
def test_a_damaged_one_says_why_and_is_passed_over(path: Path, cut: int) -> None:
    newest = Path(list_backups(path)[0].path)
    newest.write_bytes(newest.read_bytes()[:cut])
    fault = list_backups(path)[0].fault
    assert fault
    assert "gunzip of a backup failed" in fault
    assert str(path.parent) not in fault
    restore_backup(path)
    assert load_data_file(path) == [0, FILL]


def test_a_flipped_bit_is_told(path: Path) -> None:
    newest = Path(list_backups(path)[0].path)
    content = bytearray(newest.read_bytes())
    content[-6] ^= 1  # of the checksum
    newest.write_bytes(content)
    assert list_backups(path)[0].fault


@measures_memory
def test_a_bomb_is_told_and_not_unpacked(path: Path) -> None:
    newest = Path(list_backups(path)[0].path)
    with gzip.open(newest, "wb", compresslevel=1) as bomb:
        for _ in range(1024):
            bomb.write(bytes(1 << 20))
    said = python(
        "import resource, sys, oasis_data\n"
        "oasis_data.list_backups(sys.argv[1] + '.none')\n"
        "resource.setrlimit(resource.RLIMIT_AS, (512 << 20, 512 << 20))\n"
        "told = oasis_data.list_backups(sys.argv[1])\n"
        "print(told[0].fault, '/', told[1].fault)\n"
        # With more memory it might be a document: an older one is for the caller to choose.
        "try: oasis_data.restore_backup(sys.argv[1])\n"
        "except oasis_data.StorageWriteError as error: print(error.errno)\n"
        "oasis_data.restore_backup(sys.argv[1], told[1].path)\n",
        path,
    )
    assert "out of memory" in said
    assert said.endswith("/ None\nNone\n")
    assert load_data_file(path) == [0, FILL]


def test_a_failure_is_logged_and_fails_no_save(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    configure(backups_compressed_above=float("inf"))
    save_json_atomic(path, [3])
    (path.parent / f"{backups(path)[-1].name}.gz").mkdir()
    configure(backups_compressed_above=1000)
    save_json_atomic(path, [4])
    assert "rename failed" in caplog.text
    assert load_data_file(path) == [4]
    assert load_data_file(list_backups(path)[1].path) == [2, FILL]


@pytest.mark.parametrize("size", [-1, float("nan")])
def test_the_size_must_be_one(size: float) -> None:
    with pytest.raises(ValueError, match="backups_compressed_above"):
        configure(backups_compressed_above=size)


SAVE = (
    "import os, sys, oasis_data\n"
    "oasis_data.configure(backups_compressed_above=1000)\n"
    "os.write(1, b'begin')\n"
    "oasis_data.save_json_atomic(sys.argv[1], [sys.argv[2], 'x' * 5000])\n"
    "os.write(1, b'returned')\n"
)


def test_is_synced_before_the_plain_one_goes(strace: str, tmp_path: Path) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    path = folder / "tanks.json"
    save_json_atomic(path, ["old", FILL])
    calls = trace(strace, tmp_path / "log", SAVE, path, "new")
    texts = [call.text for call in calls]
    published = next(
        number for number, text in enumerate(texts) if re.search(r'renameat\(.*\.gz"\) = 0', text)
    )
    temp = re.search(r'"(\.oasis_data/temp/[^"]*)"', texts[published])
    assert temp
    where = re.escape(str(folder))
    order = [
        rf"fsync\(\d+<{where}/{re.escape(temp[1])}>\) += 0",
        r'renameat\(.*\.gz"\) = 0',
        rf"fsync\(\d+<{where}>\) += 0",
        r'unlinkat\(.*"tanks\.json\.backup\.\d+_\d+_\d+", 0\) = 0',
    ]
    wanted = iter(order)
    pattern = next(wanted)
    # The save's own steps come first; they are looked at elsewhere.
    first = next(number for number, text in enumerate(texts) if re.search(pattern, text))
    for text in texts[first:]:
        if re.search(pattern, text):
            pattern = next(wanted, "")
            if not pattern:
                break
    assert pattern == "", f"no, or too early: {pattern}"


def contents_of(backup: str) -> str:
    opened = gzip.open if backup.endswith(".gz") else open
    with opened(backup, "rt", encoding="utf-8") as file:
        return str(json.load(file)[0])


def test_processes_compress_prune_and_restore_at_once(tmp_path: Path) -> None:
    """Each version is saved once; none that is not pruned may be missing."""
    path = tmp_path / "tanks.json"
    save_json_atomic(path, ["first", FILL])
    code = (
        "import sys, oasis_data\n"
        "oasis_data.configure(backups_compressed_above=1000, backups_kept=1000, lock_timeout=60)\n"
        "for n in range(40):\n"
        "    with oasis_data.edit_json(sys.argv[1]) as document:\n"
        "        document[0] = f'{sys.argv[2]}-{n}'\n"
        "    if n % 8 == 3: oasis_data.restore_backup(sys.argv[1])\n"
        "    if n % 8 == 5: assert not oasis_data.prune_backups(sys.argv[1])\n"
        "    if n % 8 == 7:\n"
        "        assert not [b for b in oasis_data.list_backups(sys.argv[1]) if b.fault]\n"
    )
    errors: list[BaseException] = []

    def run(name: str) -> None:
        try:
            python(code, path, name)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=run, args=(name,)) for name in "abcd"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    held = {contents_of(str(backup)) for backup in backups(path)} | {load_data_file(path)[0]}
    assert held == {"first"} | {f"{name}-{n}" for name in "abcd" for n in range(40)}
    # 160 edits and 20 restores, each with the version before it.
    configure(backups_kept=1000, backups_compressed_above=1000)
    save_json_atomic(path, ["last", FILL])
    assert len(list_backups(path)) == 181
    assert visible(tmp_path) == [*sorted({path.name} | {b.name for b in backups(path)})]
    assert all(backup.suffix == ".gz" for backup in backups(path))
    assert temporaries(tmp_path) == []
