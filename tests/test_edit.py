"""`edit_json`: no update is lost, and nothing else is touched."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from oasis_data import (
    AlreadyLockedError,
    CorruptFileError,
    FolderNotFoundError,
    JSONWriteError,
    LockTimeoutError,
    UnserializableError,
    configure,
    delete_json_atomic,
    edit_json,
    load_data_file,
    save_json_atomic,
)
from tests.conftest import backups, temporaries, visible


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "tanks.json"
    save_json_atomic(path, {"level": 1})
    return path


def count(path: str, rounds: int, threads: int) -> None:
    """Adds to a counter, in several threads."""
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
def test_counts_exactly_over_threads_and_processes(tmp_path: Path, method: str) -> None:
    path = str(tmp_path / "count.json")
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


def test_starts_from_the_default_when_there_is_no_file(tmp_path: Path) -> None:
    default: list[Any] = [[]]
    for name in ("a.json", "b.json"):
        with edit_json(tmp_path / name, default=default) as document:
            document[0].append(name)
    assert load_data_file(tmp_path / "b.json") == [["b.json"]]
    assert default == [[]]
    with edit_json(tmp_path / "c.json"):
        pass
    assert load_data_file(tmp_path / "c.json", default=None) == {}


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit, GeneratorExit])
def test_an_exception_leaves_the_file_alone(path: Path, error: type[BaseException]) -> None:
    before = path.stat()
    with pytest.raises(error), edit_json(path) as document:
        document["level"] = 2
        raise error
    assert path.stat() == before
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
    before = path.stat()
    with edit_json(path):
        pass
    assert path.stat() == before


def test_nothing_is_made_in_a_missing_folder(tmp_path: Path) -> None:
    with pytest.raises(FolderNotFoundError), edit_json(tmp_path / "none" / "tanks.json"):
        pytest.fail("the block must not run")
    assert list(tmp_path.iterdir()) == []


def test_two_files_at_once(tmp_path: Path) -> None:
    with edit_json(tmp_path / "a.json") as a, edit_json(tmp_path / "b.json") as b:
        a["b"], b["a"] = 1, 2
        save_json_atomic(tmp_path / "c.json", 3)
    assert load_data_file(tmp_path / "a.json") == {"b": 1}
    assert load_data_file(tmp_path / "b.json") == {"a": 2}


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


def test_a_failed_save_lets_the_lock_go(path: Path) -> None:
    with pytest.raises(JSONWriteError), edit_json(path) as document:
        document["level"] = 2
        path.unlink()
        path.mkdir()
    path.rmdir()
    save_json_atomic(path, 2, timeout=0)
