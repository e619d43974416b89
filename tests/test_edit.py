"""`edit_json`: no update is lost, and nothing else is touched."""

from __future__ import annotations

import datetime
import inspect
import math
import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from oasis_data import (
    MISSING,
    AlreadyLockedError,
    CorruptFileError,
    FolderNotFoundError,
    JSONWriteError,
    LockTimeoutError,
    UnserializableError,
    VersionConflictError,
    _native,
    configure,
    delete_json_atomic,
    edit_json,
    load_data_file,
    load_with_version,
    save_json_atomic,
)
from tests.conftest import backups, stamps, temporaries, visible


@pytest.fixture
def path(anywhere: Path) -> Path:
    path = anywhere / "tanks.json"
    save_json_atomic(path, {"level": 1})
    return path


def count(path: str, rounds: int, threads: int) -> None:
    """Adds to a counter, in several threads."""
    if not _native.is_in_store(path):  # where every save is durable
        configure(durability="process")

    def work() -> None:
        for _ in range(rounds):
            with edit_json(path, timeout=120) as document:
                document["count"] = document.get("count", 0) + 1

    workers = [threading.Thread(target=work) for _ in range(threads)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_counts_exactly_over_threads_and_processes(anywhere: Path, method: str) -> None:
    path = str(anywhere / "count.json")
    start = multiprocessing.get_context(method).Process  # type: ignore[attr-defined]
    processes = [start(target=count, args=(path, 50, 4)) for _ in range(4)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0] * 4
    assert load_data_file(path) == {"count": 4 * 4 * 50}


def test_saves_at_the_end_and_only_then(path: Path) -> None:
    with edit_json(path) as document:
        document["level"] = 2
        assert load_data_file(path) == {"level": 1}
    assert load_data_file(path) == {"level": 2}
    assert [backup.read_text() for backup in backups(path)] == ['{\n  "level": 1\n}']


def test_starts_from_the_default_when_there_is_no_file(anywhere: Path) -> None:
    default: list[Any] = [[]]
    for name in ("a.json", "b.json"):
        with edit_json(anywhere / name, default=default) as document:
            document[0].append(name)
    assert load_data_file(anywhere / "b.json") == [["b.json"]]
    assert default == [[]]
    with edit_json(anywhere / "c.json"):
        pass
    assert load_data_file(anywhere / "c.json", default=None) == {}


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit, GeneratorExit])
def test_an_exception_leaves_the_file_alone(path: Path, error: type[BaseException]) -> None:
    before = stamps(path)
    with pytest.raises(error), edit_json(path) as document:
        document["level"] = 2
        raise error
    assert stamps(path) == before
    assert visible(path.parent) == ["tanks.json"]
    with edit_json(path, timeout=0) as document:
        assert document == {"level": 1}


def test_what_json_cannot_write_leaves_the_file_alone(path: Path) -> None:
    with pytest.raises(UnserializableError, match=r"\$\.level"), edit_json(path) as document:
        document["level"] = {1}
    assert load_data_file(path) == {"level": 1}
    save_json_atomic(path, 2, timeout=0)


def test_a_corrupt_file_is_not_taken_for_a_missing_one(path: Path) -> None:
    path.write_bytes(b'{"level": ')
    with pytest.raises(CorruptFileError), edit_json(path):
        pytest.fail("the block must not run")
    assert path.read_bytes() == b'{"level": '
    save_json_atomic(path, 2, timeout=0)


def test_no_change_is_no_write(path: Path) -> None:
    before = stamps(path)
    with edit_json(path):
        pass
    assert stamps(path) == before


@pytest.mark.files("a store has no folders")
def test_nothing_is_made_in_a_missing_folder(anywhere: Path) -> None:
    with pytest.raises(FolderNotFoundError), edit_json(anywhere / "none" / "tanks.json"):
        pytest.fail("the block must not run")
    assert list(anywhere.iterdir()) == []


def test_an_edit_has_every_option_of_a_save() -> None:
    save, edit = (inspect.signature(each).parameters for each in (save_json_atomic, edit_json))
    of_a_save = {name: each.default for name, each in save.items() if name != "data"}
    # What a save calls `default` is the document to start from here.
    of_a_save["encode_default"] = of_a_save.pop("default")
    assert of_a_save.items() <= {name: each.default for name, each in edit.items()}.items()


def test_nan_is_written_if_that_is_asked_for(path: Path) -> None:
    save_json_atomic(path, {"mean": math.inf, "level": 1}, allow_nan=True)
    with (
        pytest.raises(UnserializableError, match=r"\$\.mean.*allow_nan=True"),
        edit_json(path) as document,
    ):
        document["level"] = 2
    assert path.read_text() == '{\n  "mean": Infinity,\n  "level": 1\n}'
    with edit_json(path, allow_nan=True) as document:
        document["level"] = 2
    assert path.read_text() == '{\n  "mean": Infinity,\n  "level": 2\n}'


def test_what_json_cannot_write_is_encoded_as_told(path: Path) -> None:
    with edit_json(path, encode_default=str) as document:
        document["at"] = datetime.date(2026, 1, 2)
    assert load_data_file(path) == {"level": 1, "at": "2026-01-02"}
    with pytest.raises(UnserializableError), edit_json(path, default=str) as document:
        document["at"] = datetime.date(2026, 1, 2)


def test_a_function_is_no_default_document(anywhere: Path) -> None:
    path = anywhere / "none.json"
    with pytest.raises(TypeError, match=r"default=.*encode_default="), edit_json(path, default=str):
        pass
    assert not path.exists()


def test_bytes_are_those_of_a_save_with_the_same_options(path: Path) -> None:
    options: dict[str, Any] = {"indent": None, "ensure_ascii": True, "sort_keys": True}
    with edit_json(path, **options) as document:
        document["Öl"] = [1]
        document["a"] = 2
    other = path.with_name("other.json")
    save_json_atomic(other, document, **options)
    assert path.read_bytes() == other.read_bytes() == b'{"a": 2, "level": 1, "\\u00d6l": [1]}'


def test_backups_and_new_inodes_are_as_told(path: Path) -> None:
    with edit_json(path, backup=False) as document:
        document["level"] = 2
    assert backups(path) == []
    before = path.stat()
    with edit_json(path, skip_unchanged=False):
        pass
    # The backup keeps the inode that was: its number cannot come back.
    assert path.stat().st_ino != before.st_ino
    assert [backup.read_text() for backup in backups(path)] == ['{\n  "level": 2\n}']


def test_missing_folders_are_made_if_that_is_asked_for(anywhere: Path) -> None:
    path = anywhere / "deep" / "er" / "tanks.json"
    with edit_json(path, make_parents=True) as document:
        document["level"] = 1
    assert load_data_file(path) == {"level": 1}


def test_only_the_version_that_was_seen_is_edited(path: Path) -> None:
    _, seen = load_with_version(path)
    with edit_json(path, if_version=seen) as document:
        document["level"] = 2
    for stale in (seen, MISSING):
        with pytest.raises(VersionConflictError) as caught, edit_json(path, if_version=stale):
            pytest.fail("the block must not run")
        assert (caught.value.expected, caught.value.found) == (stale, load_with_version(path)[1])
    new = path.with_name("new.json")
    with pytest.raises(VersionConflictError), edit_json(new, if_version=seen):
        pytest.fail("the block must not run")
    with edit_json(new, if_version=MISSING) as document:
        document["level"] = 3
    assert load_data_file(new) == {"level": 3}


@pytest.mark.files("other programs wait for the lock of a row")
def test_nor_is_it_saved_over_what_another_program_wrote_meanwhile(path: Path) -> None:
    _, seen = load_with_version(path)
    with pytest.raises(VersionConflictError), edit_json(path, if_version=seen) as document:
        document["level"] = 2
        path.write_text("3")
    assert path.read_text() == "3"


def test_two_files_at_once(anywhere: Path) -> None:
    with edit_json(anywhere / "a.json") as a, edit_json(anywhere / "b.json") as b:
        a["b"], b["a"] = 1, 2
        save_json_atomic(anywhere / "c.json", 3)
    assert load_data_file(anywhere / "a.json") == {"b": 1}
    assert load_data_file(anywhere / "b.json") == {"a": 2}


@pytest.mark.files("a store has no symlinks")
def test_one_thread_does_not_wait_for_itself_under_any_spelling(path: Path) -> None:
    (path.parent / "link.json").symlink_to(path)
    with edit_json(path) as document:
        for spelt in (path, path.parent / "link.json", f"{path.parent}/./tanks.json"):
            with pytest.raises(AlreadyLockedError):
                save_json_atomic(spelt, 2)
            with pytest.raises(AlreadyLockedError):
                delete_json_atomic(spelt)
            with pytest.raises(AlreadyLockedError), edit_json(spelt):
                pytest.fail("the block must not run")
        document["level"] = 3
    assert load_data_file(path) == {"level": 3}


def test_another_thread_waits(path: Path) -> None:
    refused: list[BaseException] = []

    def hurry() -> None:
        try:
            save_json_atomic(path, 2, timeout=0.02)
        except LockTimeoutError as error:
            refused.append(error)

    with edit_json(path) as document:
        hurried = threading.Thread(target=hurry)
        hurried.start()
        hurried.join()
        patient = threading.Thread(target=save_json_atomic, args=(path, {"level": 3}))
        patient.start()
        document["level"] = 2
    patient.join()
    assert len(refused) == 1
    assert load_data_file(path) == {"level": 3}


@pytest.mark.files("a store has no folders")
def test_the_working_directory_may_change_meanwhile(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(path.parent)
    with edit_json("tanks.json") as document:
        os.chdir("/")
        document["level"] = 2
    assert load_data_file(path) == {"level": 2}
    assert temporaries(path.parent) == []


def test_a_child_forked_inside_cannot_save_in_its_parents_place(path: Path) -> None:
    child = 0
    try:
        with edit_json(path) as document:
            document["level"] = 2
            child = os.fork()
            if child == 0:
                with pytest.raises(LockTimeoutError):
                    save_json_atomic(path, 4, timeout=0)
                document["level"] = 3
            else:
                # The child must meet the lock while its parent holds it.
                _, code = os.waitpid(child, 0)
    except JSONWriteError as error:
        if child == 0:
            os._exit(0 if "no longer locked" in str(error) else 1)
        raise
    finally:
        if child == 0:
            os._exit(2)
    assert os.waitstatus_to_exitcode(code) == 0
    assert load_data_file(path) == {"level": 2}


def test_an_idle_child_does_not_keep_its_dead_parents_lock(path: Path) -> None:
    code = (
        "import os, sys, time, oasis_data\n"
        "with oasis_data.edit_json(sys.argv[1]) as document:\n"
        "    if os.fork() == 0:\n"
        "        os.write(1, b'idle\\n')\n"
        "        sys.stdin.read()\n"
        "        os._exit(0)\n"
        "    os.write(1, b'editing\\n')\n"
        "    time.sleep(600)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, path],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as parent:
        assert parent.stdout
        assert {parent.stdout.readline(), parent.stdout.readline()} == {"idle\n", "editing\n"}
        with pytest.raises(LockTimeoutError):
            save_json_atomic(path, 2, timeout=0)
        parent.send_signal(signal.SIGKILL)
        # The child lives, on the other end of the pipe.
        save_json_atomic(path, {"level": 3}, timeout=60)
    assert load_data_file(path) == {"level": 3}


def test_a_lock_is_let_go_though_the_error_is_kept(path: Path) -> None:
    try:
        with edit_json(path):
            raise ValueError
    except ValueError as error:
        kept = error
    save_json_atomic(path, 2, timeout=0)
    assert kept.__traceback__


@pytest.mark.files("a store has no folders")
def test_a_failed_save_lets_the_lock_go(path: Path) -> None:
    with pytest.raises(JSONWriteError), edit_json(path) as document:
        document["level"] = 2
        path.unlink()
        path.mkdir()
    path.rmdir()
    save_json_atomic(path, 2, timeout=0)


@pytest.mark.files("a store has no lock files")
@pytest.mark.parametrize("saved_since", [False, True])
def test_an_edit_whose_lock_was_removed_overwrites_nothing(
    anywhere: Path, saved_since: bool
) -> None:
    path = anywhere / "x.json"
    save_json_atomic(path, {"at": 1})
    with pytest.raises(JSONWriteError, match=r"removes \.oasis_data"), edit_json(path) as document:
        # As `git clean -x` does.
        shutil.rmtree(anywhere / ".oasis_data")
        if saved_since:
            # Of another writer: this one does not hold the lock that there is now.
            code = "import oasis_data; oasis_data.save_json_atomic('x.json', {'at': 2}, timeout=0)"
            subprocess.run([sys.executable, "-c", code], cwd=anywhere, check=True)
        document["at"] = "lost"
    assert load_data_file(path) == {"at": 2 if saved_since else 1}
    with edit_json(path, timeout=0) as document:
        document["at"] = 3
    assert load_data_file(path) == {"at": 3}
