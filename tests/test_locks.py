"""Waiting for another writer: deadline, Ctrl-C, a holder that dies, forks."""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from oasis_data import LockTimeoutError, configure, delete_json_atomic, load_data_file
from oasis_data import save_json_atomic as save
from tests.conftest import temporaries

HOLDER = (
    "import fcntl, sys\n"
    "lock = open(sys.argv[1])\n"
    "fcntl.flock(lock, fcntl.LOCK_EX)\n"
    "print('held', flush=True)\n"
    "sys.stdin.read()\n"
)


def lock_of(path: Path) -> Path:
    return path.parent / ".oasis_data" / "locks" / f"{path.name}.lock"


@contextmanager
def held_by_another(path: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process holds the lock of a file until it is killed."""
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, lock_of(path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout
        assert process.stdout.readline() == "held\n"
        try:
            yield process
        finally:
            process.kill()


def wait_until_waiting(pid: int, path: Path) -> None:
    """Returns when a process that saves a locked file has come to its lock file."""
    descriptors = Path(f"/proc/{pid}/fd")
    while str(lock_of(path)) not in {os.path.realpath(fd) for fd in descriptors.iterdir()}:
        pass


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "tanks.json"
    save(path, 1)
    return path


def test_a_deadline_ends_the_wait_and_names_the_holder(path: Path) -> None:
    with held_by_another(path) as process:
        for timeout in (0, 0.05):
            with pytest.raises(LockTimeoutError, match=f"by process {process.pid} ") as caught:
                save(path, 2, timeout=timeout)
            assert caught.value.holder == process.pid
            assert isinstance(caught.value, TimeoutError)
        with pytest.raises(LockTimeoutError):
            delete_json_atomic(path, timeout=0.05)
        configure(lock_timeout=0.05)
        with pytest.raises(LockTimeoutError):
            save(path, 2)
    assert load_data_file(path) == 1


def test_loading_needs_no_lock(path: Path) -> None:
    with held_by_another(path):
        assert load_data_file(path) == 1


def test_a_dead_holders_lock_is_free(path: Path) -> None:
    with held_by_another(path) as process:
        waiter = threading.Thread(target=save, args=(path, 2), kwargs={"timeout": 60})
        waiter.start()
        process.send_signal(signal.SIGKILL)
        waiter.join()
    assert load_data_file(path) == 2


def test_control_c_ends_the_wait_and_leaves_no_lock(path: Path) -> None:
    code = (
        "import sys, oasis_data\n"
        "print('waiting', flush=True)\n"
        "try: oasis_data.save_json_atomic(sys.argv[1], 2, timeout=600)\n"
        "except KeyboardInterrupt: print('interrupted', flush=True)\n"
        "sys.stdin.readline()\n"
        "oasis_data.save_json_atomic(sys.argv[1], 3, timeout=0)\n"
    )
    with (
        held_by_another(path) as holder,
        subprocess.Popen(
            [sys.executable, "-c", code, path],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        ) as waiter,
    ):
        assert waiter.stdout
        assert waiter.stdin
        assert waiter.stdout.readline() == "waiting\n"
        wait_until_waiting(waiter.pid, path)
        waiter.send_signal(signal.SIGINT)
        assert waiter.stdout.readline() == "interrupted\n"
        assert load_data_file(path) == 1
        holder.kill()
        holder.wait()
        waiter.stdin.write("\n")
        waiter.stdin.flush()
        assert waiter.wait() == 0
    assert load_data_file(path) == 3
    assert temporaries(path.parent) == []


def test_a_handler_that_raises_ends_the_wait_with_its_own_exception(path: Path) -> None:
    class Alarm(Exception):
        pass

    rung: list[int] = []

    def ring(number: int, _: object) -> None:
        rung.append(number)
        raise Alarm

    before = signal.signal(signal.SIGALRM, ring)
    try:
        with held_by_another(path):
            # Again every second: a wait that goes on rings more than once.
            signal.setitimer(signal.ITIMER_REAL, 0.05, 1)
            with pytest.raises(Alarm):
                save(path, 2, timeout=10)
            signal.setitimer(signal.ITIMER_REAL, 0)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert len(rung) == 1


def test_a_handler_that_returns_lets_the_wait_go_on(path: Path) -> None:
    rung = threading.Event()

    def ring(*_: object) -> None:
        rung.set()
        process.kill()

    before = signal.signal(signal.SIGALRM, ring)
    try:
        with held_by_another(path) as process:
            signal.setitimer(signal.ITIMER_REAL, 0.05)
            save(path, 2, timeout=30)
    finally:
        signal.signal(signal.SIGALRM, before)
    assert rung.is_set()
    assert load_data_file(path) == 2


def test_a_forked_child_does_not_keep_its_parents_lock(path: Path) -> None:
    """A child forked while another thread of its parent holds the lock."""
    code = (
        "import os, sys, threading, oasis_data\n"
        "path = sys.argv[1]\n"
        "encoding, forked = threading.Event(), threading.Event()\n"
        "stop = False\n"
        "def work():\n"
        "    while not stop: oasis_data.save_json_atomic(path, 2)\n"
        "threads = [threading.Thread(target=work) for _ in range(8)]\n"
        "[thread.start() for thread in threads]\n"
        "children = []\n"
        "for _ in range(50):\n"
        "    reader, writer = os.pipe()\n"
        "    child = os.fork()\n"
        "    if child == 0:\n"
        "        own = '/proc/self/fd/'\n"
        "        locks = [os.path.realpath(own + fd) for fd in os.listdir(own)]\n"
        "        os.close(reader)\n"
        "        os.write(writer, str(sum(l.endswith('.lock') for l in locks)).encode())\n"
        "        os._exit(0)\n"
        "    os.close(writer)\n"
        "    print(os.read(reader, 10).decode())\n"
        "    os.close(reader)\n"
        "    os.waitpid(child, 0)\n"
        "stop = True\n"
        "[thread.join() for thread in threads]\n"
    )
    done = subprocess.run(
        # -W ignore: newer interpreters warn of forks beside threads, as this one is.
        [sys.executable, "-W", "ignore", "-c", code, path],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    assert done.stdout.split() == ["0"] * 50


def test_a_lock_held_elsewhere_in_the_process_is_waited_for(path: Path) -> None:
    with lock_of(path).open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(LockTimeoutError) as caught:
            save(path, 2, timeout=0.02)
        assert caught.value.holder == os.getpid()
        fcntl.flock(lock, fcntl.LOCK_UN)
    save(path, 2, timeout=0.02)
