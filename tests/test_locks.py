"""Waiting for another writer: deadline, Ctrl-C, a holder that dies, forks."""

from __future__ import annotations

import fcntl
import multiprocessing
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from oasis_data import (
    AlreadyLockedError,
    LockTimeoutError,
    configure,
    delete_json_atomic,
    edit_json,
    load_data_file,
    save_many_atomic,
)
from oasis_data import save_json_atomic as save
from tests.backend.servers import open_files
from tests.conftest import python, temporaries

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
    while str(lock_of(path)) not in open_files(pid):
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


WAITER = (
    "import sys, oasis_data\n"
    "oasis_data.save_json_atomic(sys.argv[1], 'waited', timeout=3600, skip_unchanged=False)\n"
)


def queued(path: Path) -> bool:
    """Whether somebody is in the queue for the lock of a file."""
    inode = str(lock_of(path).stat().st_ino)
    lines = Path("/proc/locks").read_text().splitlines()
    alone = (line for line in lines if re.search(r"OFDLCK\b.*\bWRITE\b", line))
    return any(line.split()[-3].endswith(f":{inode}") for line in alone)


@contextmanager
def stopped_waiters(path: Path, number: int) -> Iterator[list[subprocess.Popen[bytes]]]:
    """Several processes that wait for a lock which is held are stopped, the last in the queue."""
    waiters = [subprocess.Popen([sys.executable, "-c", WAITER, path]) for _ in range(number)]
    try:
        for waiter in waiters:
            wait_until_waiting(waiter.pid, path)
        for waiter in waiters[1:]:
            waiter.send_signal(signal.SIGSTOP)
        # Now and then a waiter leaves the queue for a moment, to look for signals.
        stopped = False
        while not (stopped and queued(path)):
            waiters[0].send_signal(signal.SIGCONT)
            waiters[0].send_signal(signal.SIGSTOP)
            stopped = os.WIFSTOPPED(os.waitpid(waiters[0].pid, os.WUNTRACED)[1])
        yield waiters
    finally:
        for waiter in waiters:
            waiter.kill()
            waiter.wait()


@pytest.mark.timeout(120)
@pytest.mark.parametrize("number", [1, 3])
def test_a_stopped_waiter_keeps_nobody_from_a_free_lock(path: Path, number: int) -> None:
    # At once, at a deadline before the waiter is passed, and after that.
    for timeout in (0, 0.01, 3600):
        with held_by_another(path) as holder, stopped_waiters(path, number):
            holder.kill()
            holder.wait()
            save(path, timeout, timeout=timeout)
            save(path, -1, timeout=timeout)
            assert load_data_file(path) == -1


@pytest.mark.timeout(120)
def test_stopped_waiters_have_their_turn_when_they_go_on(path: Path) -> None:
    with held_by_another(path) as holder, stopped_waiters(path, 2) as waiters:
        holder.kill()
        holder.wait()
        save(path, 2)
        for waiter in waiters:
            waiter.send_signal(signal.SIGCONT)
            assert waiter.wait() == 0
        assert load_data_file(path) == "waited"


@pytest.mark.timeout(120)
@pytest.mark.parametrize("timeout", [0, 0.1])
def test_a_stopped_holder_is_named_whoever_is_in_the_queue(path: Path, timeout: float) -> None:
    with held_by_another(path) as holder, stopped_waiters(path, 1):
        holder.send_signal(signal.SIGSTOP)
        with pytest.raises(LockTimeoutError, match=f"by process {holder.pid} ") as caught:
            save(path, 2, timeout=timeout)
        assert caught.value.holder == holder.pid


def test_a_signal_handler_does_not_find_its_own_thread_in_the_queue(path: Path) -> None:
    seen: list[bool] = []

    def ring(*_: object) -> None:
        seen.append(queued(path))
        holder.kill()

    before = signal.signal(signal.SIGALRM, ring)
    try:
        with held_by_another(path) as holder:
            signal.setitimer(signal.ITIMER_REAL, 0.05)
            save(path, 2, timeout=30)
    finally:
        signal.signal(signal.SIGALRM, before)
    assert seen == [False]


def snapshot(folder: Path) -> Path:
    """A copy of a folder by hard links, as `cp -al` makes."""
    copy = folder.with_name(f"{folder.name}.old")
    shutil.copytree(folder, copy, copy_function=os.link)
    return copy


@pytest.mark.parametrize("which", ["tanks.json", "x" * 220])
def test_folders_that_were_copied_by_links_share_no_locks(tmp_path: Path, which: str) -> None:
    new = tmp_path / "data" / which
    save(new, 1, make_parents=True)
    old = snapshot(new.parent) / which
    with edit_json(old), pytest.raises(AlreadyLockedError):
        save(new, 3, timeout=0)
        save(old, 2, timeout=0)
    shutil.rmtree(old.parent)
    old = snapshot(new.parent) / which
    save(old, 3)
    code = "import sys, oasis_data\noasis_data.save_json_atomic(sys.argv[1], 4, timeout=0)\n"
    with edit_json(old):
        python(code, new)
    assert (load_data_file(new), load_data_file(old)) == (4, 3)
    for folder in (new.parent, old.parent):
        (lock,) = (folder / ".oasis_data" / "locks").iterdir()
        assert lock.stat().st_nlink == 1


def test_a_folder_that_is_copied_while_it_is_edited_shares_no_locks(path: Path) -> None:
    data = path.parent / "data"
    save(data / "tanks.json", {}, make_parents=True)
    with edit_json(data / "tanks.json") as document:
        old = snapshot(data) / "tanks.json"
        save(old, 3, timeout=0)
        with pytest.raises(AlreadyLockedError):
            save(data / "tanks.json", 4)
        document["edited"] = True
    assert load_data_file(data / "tanks.json") == {"edited": True}
    assert load_data_file(old) == 3


def test_a_lock_that_is_copied_while_another_process_has_it_is_waited_for(tmp_path: Path) -> None:
    new = tmp_path / "data" / "tanks.json"
    save(new, 1, make_parents=True)
    with held_by_another(new) as holder:
        old = snapshot(new.parent) / "tanks.json"
        with pytest.raises(LockTimeoutError, match=f"by process {holder.pid} "):
            save(old, 2, timeout=0)
    save(old, 3, timeout=60)
    assert lock_of(old).stat().st_ino != lock_of(new).stat().st_ino


def test_a_folder_that_was_copied_by_links_keeps_its_mark(tmp_path: Path) -> None:
    folders = [tmp_path / "data" / name for name in ("a", "b")]
    save_many_atomic({folder / "x.json": 1 for folder in folders}, make_parents=True)
    copy = snapshot(tmp_path / "data")
    journals = [folder / ".oasis_data" / "journal.lock" for folder in folders]
    copies = [copy / path.relative_to(tmp_path / "data") for path in journals]
    marks = [path.read_text() for path in journals]
    assert all(marks)
    with journals[0].open() as lock:
        save_many_atomic({copy / "a" / "x.json": 2, copy / "b" / "x.json": 2})
        # The copies have inodes of their own, with what was in the old ones.
        fcntl.flock(lock, fcntl.LOCK_EX)
        save_many_atomic({copy / "a" / "x.json": 3, copy / "b" / "x.json": 3}, timeout=0)
    assert [path.read_text() for path in copies] == marks
    assert [path.read_text() for path in journals] == marks
    assert {path.stat().st_nlink for path in journals + copies} == {1}


def test_a_lock_that_cannot_be_made_anew_goes_on_being_shared(strace: str, tmp_path: Path) -> None:
    new = tmp_path / "data" / "tanks.json"
    save(new, 1, make_parents=True)
    copy = snapshot(new.parent)
    code = "import sys, oasis_data\noasis_data.save_json_atomic(sys.argv[1], 2, timeout=60)\n"
    made = f"{lock_of(new)}.new"
    for fault in ("openat:error=EACCES", "renameat:error=EPERM", "renameat:signal=SIGKILL"):
        # By the name that the syscalls are given.
        name = os.path.relpath(made, new.parent)
        traced = [strace, "-f", "-o", os.devnull, "-P", name, "-e", f"inject={fault}"]
        done = subprocess.run([*traced, sys.executable, "-c", code, new], check=False, timeout=120)
        assert (done.returncode == 0) == ("error" in fault)
        assert os.path.samefile(lock_of(new), lock_of(copy / "tanks.json"))
    # What was killed is cleared up.
    assert Path(made).exists()
    save(new, 3)
    assert not Path(made).exists()
    assert not os.path.samefile(lock_of(new), lock_of(copy / "tanks.json"))


def add(path: str, rounds: int) -> None:
    configure(durability="process")
    for _ in range(rounds):
        with edit_json(path, default={"n": 0}, timeout=120) as document:
            document["n"] += 1


@pytest.mark.timeout(300)
def test_no_update_is_lost_while_locks_are_made_anew(tmp_path: Path) -> None:
    """Links to the lock file appear all the time, so that each writer makes it anew."""
    path = tmp_path / "tanks.json"
    save(path, {"n": 0})
    inodes = set()
    context = multiprocessing.get_context("spawn")
    writers = [context.Process(target=add, args=(str(path), 100)) for _ in range(4)]
    for writer in writers:
        writer.start()
    try:
        while any(writer.is_alive() for writer in writers):
            inodes.add(lock_of(path).stat().st_ino)
            os.link(lock_of(path), tmp_path / "link")
            (tmp_path / "link").unlink()
            os.link(lock_of(path), tmp_path / "link")
            # Until it is made anew, or a writer that opened it before is through.
            edits = load_data_file(path)["n"]
            while lock_of(path).stat().st_nlink > 1 and load_data_file(path)["n"] <= edits + 8:
                if not any(writer.is_alive() for writer in writers):
                    break
            (tmp_path / "link").unlink()
    finally:
        for writer in writers:
            writer.join()
    assert [writer.exitcode for writer in writers] == [0] * 4
    assert load_data_file(path) == {"n": 400}
    assert len(inodes) > 5
