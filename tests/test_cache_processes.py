"""The cache across processes: what another process wrote is what the next load shows."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Literal

import pytest

from oasis_data import (
    clear_all_cache,
    configure,
    invalidate_cache,
    is_cache_valid,
    load_data_file,
    save_json_atomic,
    stats,
)

FIRST = 10_000
"""Numbers from here on are all written in as many digits, so that no size tells two apart."""

LONG_AGO = 1_000_000_000_000_000_000
"""An mtime in nanoseconds for every outside edit, so that none tells two apart."""

DEADLINE = 30
"""Seconds after which a forked child counts as hanging."""

Write = Callable[[Path, int], None]


# Ways to write, in the other process


def save(path: Path, number: int) -> None:
    save_json_atomic(path, {"number": number, "filler": [number] * 20})


def replace(path: Path, number: int) -> None:
    other = path.with_name("other.json")
    other.write_text(json.dumps({"number": number, "filler": [number] * 20}))
    os.utime(other, ns=(LONG_AGO, LONG_AGO))
    os.replace(other, path)


def remove_and_create(path: Path, number: int) -> None:
    path.unlink(missing_ok=True)
    edit_in_place(path, number)


def edit_in_place(path: Path, number: int) -> None:
    text = json.dumps({"number": number, "filler": [number] * 20}).encode()
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    try:
        os.pwrite(descriptor, text, 0)
        os.utime(descriptor, ns=(LONG_AGO, LONG_AGO))
    finally:
        os.close(descriptor)


def keep_writing(
    connection: Connection,
    path: Path,
    write: Write,
    durability: Literal["full", "process"],
) -> None:
    """Writes one number each time that it is told to, and tells when it has."""
    configure(durability=durability, backups_kept=2)
    number = FIRST
    while connection.recv_bytes() == b"write":
        write(path, number)
        connection.send_bytes(b"written")
        number += 1


@contextmanager
def writer_process(
    path: Path, write: Write, durability: Literal["full", "process"] = "process"
) -> Iterator[Connection]:
    """Another process, which has nothing but files in common with this one."""
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    process = context.Process(target=keep_writing, args=(there, path, write, durability))
    process.start()
    # So that a dead writer shows as the end of the pipe.
    there.close()
    try:
        yield here
        here.send_bytes(b"stop")
    finally:
        here.close()
        process.join()
    assert process.exitcode == 0


def number_in(path: Path) -> int:
    document = load_data_file(path, strict=True)
    number = document["number"]
    assert document["filler"] == [number] * 20, "torn or mixed"
    return int(number)


def stale_loads(connection: Connection, path: Path, rounds: int) -> int:
    """Has the other process write, round for round, and counts loads that miss it."""
    stale = 0
    for number in range(FIRST, FIRST + rounds):
        connection.send_bytes(b"write")
        assert connection.recv_bytes() == b"written"
        stale += number_in(path) != number
    return stale


# One writes, the other loads


def test_save_of_another_process_shows_in_the_next_load(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    with writer_process(path, save) as connection:
        assert stale_loads(connection, path, 1) == 0
        assert is_cache_valid(path)

        connection.send_bytes(b"write")
        connection.recv_bytes()

        assert not is_cache_valid(path)
        assert number_in(path) == FIRST + 1
        assert stats()["cache_entries"] == 1


@pytest.mark.parametrize(
    ("durability", "rounds"),
    [pytest.param("process", 10_000, id="process"), pytest.param("full", 300, id="full")],
)
def test_loads_keep_up_with_the_saves_of_another_process(
    tmp_path: Path, durability: Literal["full", "process"], rounds: int
) -> None:
    path = tmp_path / "x.json"
    with writer_process(path, save, durability) as connection:
        assert stale_loads(connection, path, rounds) == 0


def test_loads_during_the_saves_of_another_process_never_go_back(folder: Path) -> None:
    path = folder / "x.json"
    during = 0
    with writer_process(path, save) as connection:
        assert stale_loads(connection, path, 1) == 0
        for number in range(FIRST + 1, FIRST + 1_000):
            shown = number - 1
            connection.send_bytes(b"write")
            while not connection.poll():
                now = number_in(path)
                assert shown <= now <= number
                shown = now
                during += 1
            connection.recv_bytes()
            assert number_in(path) == number
    assert during > 0


@pytest.mark.parametrize("write", [save, replace, remove_and_create])
def test_loads_keep_up_with_new_files_of_another_process(folder: Path, write: Write) -> None:
    path = folder / "x.json"
    with writer_process(path, write) as connection:
        assert stale_loads(connection, path, 1_000) == 0


def test_loads_keep_up_with_edits_in_place_of_another_process(folder: Path) -> None:
    path = folder / "x.json"
    with writer_process(path, edit_in_place) as connection:
        assert stale_loads(connection, path, 5_000) == 0


def test_two_processes_take_turns(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    configure(durability="process", backups_kept=0)
    save(path, FIRST)
    with writer_process(path, load_check_and_save) as connection:
        for number in range(FIRST, FIRST + 500):
            connection.send_bytes(b"write")
            assert connection.recv_bytes() == b"written"
            assert number_in(path) == -number
            save(path, number + 1)


def load_check_and_save(path: Path, number: int) -> None:
    assert number_in(path) == number
    save(path, -number)


# Forked children


def in_child(act: Callable[[], None]) -> int:
    """Forks a child that calls `act`, under a deadline of its own; returns its pid."""
    with warnings.catch_warnings():
        # Python warns of what is tested here: a fork beside running threads.
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
    if child:
        return child
    status = 1
    try:
        # Not the test runner's handler: a child that hangs has to die.
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.alarm(DEADLINE)
        act()
        status = 0
    except BaseException:
        sys.excepthook(*sys.exc_info())
    finally:
        os._exit(status)


def assert_ended_well(child: int) -> None:
    _, status = os.waitpid(child, 0)
    assert not os.WIFSIGNALED(status), f"killed by {signal.Signals(os.WTERMSIG(status)).name}"
    assert os.WEXITSTATUS(status) == 0, "see its traceback"


@pytest.mark.parametrize("warm", [False, True])
def test_forked_child_loads_and_saves(tmp_path: Path, warm: bool) -> None:
    path = tmp_path / "x.json"
    save(path, 1)
    if warm:
        assert number_in(path) == 1
    entries = stats()["cache_entries"]

    def act() -> None:
        assert stats()["cache_entries"] == entries
        assert number_in(path) == 1
        for number in range(2, 20):
            save(path, number)
            assert number_in(path) == number
        document = load_data_file(path)
        document["filler"].clear()
        assert number_in(path) == 19
        invalidate_cache(path)
        assert not is_cache_valid(path)
        clear_all_cache()
        assert number_in(path) == 19

    assert_ended_well(in_child(act))
    assert number_in(path) == 19


@pytest.mark.parametrize("write", [save, replace, edit_in_place])
def test_parent_and_forked_child_show_each_others_writes(folder: Path, write: Write) -> None:
    path = folder / "x.json"
    configure(durability="process")
    write(path, FIRST)
    assert number_in(path) == FIRST
    here, there = multiprocessing.Pipe()
    rounds = range(FIRST, FIRST + 300)

    def act() -> None:
        here.close()
        for number in rounds:
            assert there.recv_bytes() == b"written"
            assert number_in(path) == number
            write(path, number + 50_000)
            there.send_bytes(b"written")

    child = in_child(act)
    there.close()
    try:
        for number in rounds:
            write(path, number)
            here.send_bytes(b"written")
            assert here.recv_bytes() == b"written"
            assert number_in(path) == number + 50_000
    finally:
        here.close()
        assert_ended_well(child)


def test_forked_child_of_a_forked_child_loads_and_saves(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    save(path, 1)
    assert number_in(path) == 1

    def act() -> None:
        save(path, 2)
        assert number_in(path) == 2
        grandchild = in_child(lambda: save(path, number_in(path) + 1))
        assert_ended_well(grandchild)
        assert number_in(path) == 3

    assert_ended_well(in_child(act))
    assert number_in(path) == 3


def test_fork_beside_threads_that_load_and_save(tmp_path: Path) -> None:
    configure(durability="process", backups_kept=2, lock_timeout=DEADLINE)
    paths = [tmp_path / f"{number}.json" for number in range(3)]
    for path in paths:
        save(path, 0)
    done = threading.Event()
    failures: list[BaseException] = []

    def work(act: Callable[[Path], Any]) -> None:
        try:
            while not done.is_set():
                for path in paths:
                    act(path)
        except BaseException as error:
            failures.append(error)

    def churn(path: Path) -> None:
        # Changes the cache itself as often as can be.
        number_in(path)
        invalidate_cache(path)

    def act_in_child() -> None:
        for path in paths:
            number_in(path)
            save(path, os.getpid())
            number_in(path)
        own = tmp_path / "children.json"
        save(own, os.getpid())
        assert number_in(own) == os.getpid()
        invalidate_cache(own)
        assert stats()["cache_entries"] <= len(paths)

    tasks: list[Callable[[Path], Any]] = [
        number_in,
        churn,
        lambda path: save(path, 1),
        lambda path: save(path, 2),
    ]
    threads = [threading.Thread(target=work, args=(task,)) for task in tasks]
    for thread in threads:
        thread.start()
    try:
        for _ in range(100):
            assert_ended_well(in_child(act_in_child))
    finally:
        done.set()
        for thread in threads:
            thread.join()
    assert failures == []
    for path in paths:
        assert number_in(path) == json.loads(path.read_text())["number"]


def test_fork_while_a_cached_document_is_copied_for_the_first_time(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    save(path, 1)
    done = threading.Event()

    def copy() -> None:
        while not done.is_set():
            invalidate_cache(path)
            number_in(path)
            number_in(path)

    def hold_the_interpreter() -> None:
        # So that the other thread waits for it whenever it lets it go.
        while not done.is_set():
            sum(range(1000))

    threads = [threading.Thread(target=act) for act in (copy, hold_the_interpreter)]
    for thread in threads:
        thread.start()
    try:
        for _ in range(60):
            assert_ended_well(in_child(lambda: load_data_file(path)))
    finally:
        done.set()
        for thread in threads:
            thread.join()
