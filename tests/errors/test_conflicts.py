"""Locks that another holds, and versions that another has changed."""

from __future__ import annotations

import errno
import fcntl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path

import pytest

from oasis_data import (
    MISSING,
    LockTimeoutError,
    OperationType,
    VersionConflictError,
    configure,
    delete_json_atomic,
    load_data_file,
    load_with_version,
    save_json_atomic,
)
from tests.errors.classes import DELETE, WRITE
from tests.errors.telling import assert_told_well, raised


def hold_lock(connection: Connection, lock: Path) -> None:
    with lock.open() as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        connection.send_bytes(b"held")
        connection.recv_bytes()


@contextmanager
def held_by_another(path: Path) -> Iterator[int]:
    """Another process holds the lock of a file; its pid."""
    lock = path.parent / ".oasis_data" / "locks" / f"{path.name}.lock"
    context = get_context("spawn")
    here, there = context.Pipe()
    process = context.Process(target=hold_lock, args=(there, lock))
    process.start()
    there.close()
    try:
        assert here.recv_bytes() == b"held"
        assert process.pid
        yield process.pid
        here.send_bytes(b"done")
    finally:
        here.close()
        process.join()
    assert process.exitcode == 0


@pytest.mark.files("a store has no lock files")
def test_lock_held_by_another_process(path: Path) -> None:
    configure(lock_timeout=0.02)
    with held_by_another(path) as pid:
        acts: list[tuple[OperationType, Callable[[], object]]] = [
            (WRITE, lambda: save_json_atomic(path, 2, timeout=0.01)),
            (WRITE, lambda: save_json_atomic(path, 2, timeout=0)),
            (WRITE, lambda: save_json_atomic(path, 2)),
            (DELETE, lambda: delete_json_atomic(path, timeout=0.01)),
        ]
        for operation, act in acts:
            error = raised(act)
            assert_told_well(error, LockTimeoutError, path, operation)
            assert isinstance(error, LockTimeoutError)
            assert isinstance(error, TimeoutError)
            assert error.errno == errno.ETIMEDOUT
            assert error.holder == pid
            assert f"process {pid} " in str(error)
        assert load_data_file(path) == {"a": 1}
    assert save_json_atomic(path, 2)


def test_version_that_the_file_does_not_have(path: Path) -> None:
    _, found = load_with_version(path)
    missing = path.with_name("missing.json")
    conflicts = [
        (path, "0" * 32, found),
        (path, "", found),
        (path, MISSING, found),
        (missing, found, MISSING),
    ]
    for conflicting, expected, there in conflicts:
        error = raised(partial(save_json_atomic, conflicting, 2, if_version=expected))
        assert_told_well(error, VersionConflictError, conflicting, WRITE)
        assert isinstance(error, VersionConflictError)
        assert (error.expected, error.found) == (expected, there)
        told = {"expected": "exists already", "there": "is gone"}
        assert (told["expected"] if expected == MISSING else expected) in str(error)
        assert (told["there"] if there == MISSING else there) in str(error)
    # A client may have sent it.
    error = raised(partial(save_json_atomic, path, 2, if_version="a\n\x1b" + "b" * 10_000))
    assert "\n" not in str(error)
    assert "\x1b" not in str(error)
    assert len(str(error)) < 300
    error = raised(lambda: delete_json_atomic(path, if_version="0" * 32))
    assert_told_well(error, VersionConflictError, path, DELETE)

    assert load_data_file(path) == {"a": 1}
    assert not missing.exists()
    assert save_json_atomic(missing, 1, if_version=MISSING)
    assert save_json_atomic(path, 2, if_version=found)
