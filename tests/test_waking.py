"""How a process that waits for a lock is woken, and what it does where nothing wakes it."""

from __future__ import annotations

import fcntl
import os
import re
import struct
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import pytest

from oasis_data import save_json_atomic as save
from tests.conftest import python
from tests.test_locks import lock_of, queued
from tests.test_syscalls import Call, trace

QUEUE, LINE = 0, 1
"""The bytes of a lock file that those lock who wait."""

LOCK_WORD, QUEUE_WORD = 128, 132
"""Where the words stand on which they sleep."""

SAVE = (
    "import os, sys, oasis_data\n"
    "os.write(1, b'begin')\n"
    "try: oasis_data.save_json_atomic(sys.argv[1], 'new', timeout=float(sys.argv[2]))\n"
    "except oasis_data.LockTimeoutError: pass\n"
    "os.write(1, b'returned')\n"
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "tanks.json"
    save(path, 1)
    return path


def wait_at(lock: IO[str], byte: int) -> None:
    """Locks a byte as a process does that waits, and is stopped."""
    kind = fcntl.F_WRLCK if byte == QUEUE else fcntl.F_RDLCK
    flock = struct.pack("hhqqi4x", kind, os.SEEK_SET, byte, 1, 0)
    fcntl.fcntl(lock, fcntl.F_OFD_SETLK, flock)


@contextmanager
def released_when_queued(path: Path, lock: IO[str]) -> Iterator[None]:
    """Holds a lock until somebody is in the queue for it."""
    fcntl.flock(lock, fcntl.LOCK_EX)

    def release() -> None:
        while not queued(path):
            pass
        fcntl.flock(lock, fcntl.LOCK_UN)

    releaser = threading.Thread(target=release)
    releaser.start()
    yield
    releaser.join()


def wakes(calls: list[Call]) -> list[str]:
    """The wake-ups, and the changes of words between them."""
    told = []
    for call in calls:
        if "FUTEX_WAKE," in call.text:
            told.append("wake")
        elif written := re.search(r"pwrite64\(\d+<.*\.lock>, .*, 4, (\d+)\)", call.text):
            told.append(written[1])
    return told


def first(calls: list[Call], pattern: str) -> int:
    return next(at for at, call in enumerate(calls) if re.search(pattern, call.text))


def test_a_release_wakes_the_process_in_the_queue(strace: str, path: Path) -> None:
    with lock_of(path).open("r+") as waiter:
        wait_at(waiter, QUEUE)
        calls = trace(strace, path.parent / "log", SAVE, path, 60)
    released = first(calls, r"flock\(\d+<.*\.lock>, LOCK_UN\)")
    # Nobody slept at the first wake-up: a process that is about to sleep sees the word change.
    assert wakes(calls[released:]) == ["wake", str(LOCK_WORD), "wake"]


def test_a_release_wakes_the_line_where_nobody_is_in_the_queue(strace: str, path: Path) -> None:
    with lock_of(path).open("r+") as holder, lock_of(path).open("r+") as waiter:
        wait_at(waiter, LINE)
        with released_when_queued(path, holder):
            calls = trace(strace, path.parent / "log", SAVE, path, 60)
    taken = first(calls, r"flock\(\d+<.*\.lock>, LOCK_EX\|LOCK_NB\) += 0")
    released = first(calls, r"flock\(\d+<.*\.lock>, LOCK_UN\)")
    assert wakes(calls[taken:released]) == ["wake", str(QUEUE_WORD), "wake"]
    assert wakes(calls[released:]) == ["wake", str(QUEUE_WORD), "wake"]


def test_a_newcomer_does_not_pass_the_process_in_the_queue(strace: str, path: Path) -> None:
    with lock_of(path).open("r+") as waiter:
        wait_at(waiter, QUEUE)
        calls = trace(strace, path.parent / "log", SAVE, path, 60)
    tried = first(calls, r"flock\(\d+<.*\.lock>, LOCK_EX")
    # The lock is free. But whoever waits for it has some milliseconds to take it.
    assert any("FUTEX_WAIT," in call.text for call in calls[:tried])


def test_a_newcomer_lets_those_in_the_line_go_first(strace: str, path: Path) -> None:
    for others in (False, True):
        with lock_of(path).open("r+") as holder, lock_of(path).open("r+") as waiter:
            if others:
                wait_at(waiter, LINE)
            with released_when_queued(path, holder):
                calls = trace(strace, path.parent / "log", SAVE, path, 60)
        entered = first(calls, r"F_OFD_SETLK, \{l_type=F_WRLCK")
        assert any("FUTEX_WAIT," in call.text for call in calls[:entered]) == others


def test_a_save_that_meets_nobody_wakes_nobody(strace: str, path: Path) -> None:
    calls = trace(strace, path.parent / "log", SAVE, path, 60)
    on_lock = [call for call in calls if re.search(r"\(\d+<.*\.lock>", call.text)]
    assert wakes(calls) == []
    assert not [call for call in on_lock if call.name == "mmap"]
    # A debug build asks more, of each descriptor that it closes.
    assert sum("F_OFD_" in call.text for call in on_lock) == 2
    assert sum(call.name == "flock" for call in on_lock) == 2


def test_the_holder_is_looked_for_before_the_deadline(strace: str, path: Path) -> None:
    with lock_of(path).open("r+") as holder:
        fcntl.flock(holder, fcntl.LOCK_EX)
        calls = trace(strace, path.parent / "log", SAVE, path, 0.2)
    looks = [at for at, call in enumerate(calls) if '"/proc/locks"' in call.text]
    tries = [at for at, call in enumerate(calls) if call.name == "flock"]
    assert len(looks) == 1
    assert looks[0] < tries[-1]


@pytest.mark.parametrize(
    # What forbids the mapping; a full disk, so that the lock file stays too short for a word.
    "fault",
    ["mmap:error=EACCES", "pwrite64:error=ENOSPC"],
)
def test_a_wait_goes_on_where_the_kernel_wakes_nobody(strace: str, path: Path, fault: str) -> None:
    log = path.parent / "log"
    of_lock = ["-P", str(lock_of(path))] if "mmap" in fault else ["-e", "trace=futex,pwrite64"]
    traced = [strace, "-f", "-o", str(log), *of_lock, "-e", f"inject={fault}"]
    os.truncate(lock_of(path), 0)

    def try_to_save(timeout: float) -> None:
        command = [*traced, sys.executable, "-c", SAVE, str(path), str(timeout)]
        told = subprocess.run(command, capture_output=True, check=True, timeout=120)
        assert told.stdout == b"beginreturned"

    with lock_of(path).open("r+") as holder:
        fcntl.flock(holder, fcntl.LOCK_EX)
        try_to_save(0.1)
        assert path.read_text() == "1"
        # It pauses instead.
        assert "FUTEX_WAIT," not in log.read_text()
        fcntl.flock(holder, fcntl.LOCK_UN)
        with released_when_queued(path, holder):
            try_to_save(60)
    assert path.read_text() == '"new"'


def test_a_lock_file_that_is_truncated_meanwhile_ends_nothing(path: Path) -> None:
    waiter = threading.Thread(target=save, args=(path, "new"), kwargs={"timeout": 60})
    with lock_of(path).open("r+") as holder, released_when_queued(path, holder):
        lock_of(path).write_text("")
        waiter.start()
        for _ in range(1_000):
            os.truncate(lock_of(path), 0)
    waiter.join()
    assert path.read_text() == '"new"'


def test_a_forked_child_has_no_mapping_of_a_lock_file(path: Path) -> None:
    """Such a mapping would keep the file system busy."""
    code = """
import fcntl, os, sys, threading, oasis_data
path, lock = sys.argv[1:]
held = open(lock)
fcntl.flock(held, fcntl.LOCK_EX)
def maps():
    with open("/proc/self/maps") as maps:
        return maps.read().count(lock)
waiter = threading.Thread(target=oasis_data.save_json_atomic, args=(path, "new"))
waiter.start()
for _ in range(20):
    while not maps(): pass
    child = os.fork()
    if child == 0:
        os._exit(maps())
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
fcntl.flock(held, fcntl.LOCK_UN)
waiter.join()
assert not maps()
"""
    python(f"import warnings; warnings.simplefilter('ignore')\n{code}", path, lock_of(path))
