"""Forked, spawned, preloaded and reloaded: each process saves and loads, and none hangs."""

from __future__ import annotations

import multiprocessing
import os
import shutil
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from oasis_data import (
    configure,
    delete_json_atomic,
    edit_json,
    list_backups,
    load_data_file,
    save_json_atomic,
)
from tests.backend.concurrency import CLIENTS, Crowd, Operation, find_violations
from tests.backend.conftest import BACKEND
from tests.backend.servers import WORKERS, Server, serve, serve_gunicorn, wait_for
from tests.backend.test_servers import check_folder, has_ended, keep_on
from tests.conftest import temporaries
from tests.test_cache_processes import assert_ended_well, in_child
from tests.torture import rounds

pytestmark = pytest.mark.timeout(1_200)

FORKS = rounds(60, 500)
THREADS = 16
FILES = 4
PROCESSES = 8
EDITS = rounds(25, 500)
KILLS = rounds(5, 100)
RELOADS = rounds(2, 20)
DEADLINE = 30
"""Seconds after which a process counts as hanging."""


def document(number: int) -> dict[str, Any]:
    return {"number": number, "filler": [number] * 200}


def load_whole(path: Path) -> None:
    content = load_data_file(path, strict=True)
    assert content == document(content["number"]), "torn or mixed"


def count_up(path: Path) -> None:
    with edit_json(path) as counter:
        counter["count"] = counter.get("count", 0) + 1


def check_nothing_is_left(folder: Path) -> None:
    """All that is there is whole, locked by nobody, and without leftovers."""
    assert temporaries(folder) == []
    for path in folder.glob("*.json"):
        content = load_data_file(path, strict=True)
        assert all(backup.fault is None for backup in list_backups(path))
        assert save_json_atomic(path, content, timeout=0, skip_unchanged=False)


# os.fork


@contextmanager
def saving(acts: list[Callable[[], object]]) -> Iterator[None]:
    """Threads that repeat what they do until the block ends; a failure there fails here."""
    done = threading.Event()
    failures: list[BaseException] = []

    def work(act: Callable[[], object]) -> None:
        try:
            while not done.is_set():
                act()
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(act,)) for act in acts]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        done.set()
        for thread in threads:
            thread.join()
    assert failures == []


def test_fork_beside_threads_that_save(tmp_path: Path) -> None:
    configure(lock_timeout=DEADLINE)
    paths = [tmp_path / f"{number}.json" for number in range(FILES)]
    counter = tmp_path / "counter.json"
    for path in paths:
        save_json_atomic(path, document(0))
    counted = [0] * THREADS

    def act(thread: int) -> None:
        path = paths[thread % FILES]
        save_json_atomic(path, document(counted[thread]))
        load_whole(path)
        count_up(counter)
        counted[thread] += 1

    def act_in_child(number: int) -> None:
        start = time.monotonic()
        own = tmp_path / "child.json"
        save_json_atomic(own, document(number))
        assert load_data_file(own, strict=True) == document(number)
        took = time.monotonic() - start
        for path in paths:
            load_whole(path)
        save_json_atomic(paths[number % FILES], document(number))
        count_up(counter)
        delete_json_atomic(own)
        os.write(writer, f"{took}\n".encode())

    reader, writer = os.pipe()
    with saving([partial(act, thread) for thread in range(THREADS)]):
        for number in range(FORKS):
            assert_ended_well(in_child(partial(act_in_child, number)))
    os.close(writer)
    with open(reader) as answers:
        took = [float(line) for line in answers]

    print(f"forks beside {THREADS} threads: {FORKS} children, the slowest {max(took):.3f} s")
    assert len(took) == FORKS
    assert load_data_file(counter) == {"count": sum(counted) + FORKS}
    check_nothing_is_left(tmp_path)


# multiprocessing


def save_load_and_edit(folder: Path, process: int) -> None:
    configure(lock_timeout=DEADLINE)
    own, shared = folder / f"own-{process}.json", folder / "shared.json"
    for number in range(EDITS):
        save_json_atomic(own, document(number))
        assert load_data_file(own, strict=True) == document(number)
        save_json_atomic(shared, document(process))
        load_whole(shared)
        count_up(folder / "counter.json")


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_processes_save_load_and_edit_at_once(method: str, tmp_path: Path) -> None:
    context: Any = multiprocessing.get_context(method)
    configure(lock_timeout=DEADLINE)
    # So that forked ones begin with a cache of their parent's.
    save_json_atomic(tmp_path / "shared.json", document(0))
    load_whole(tmp_path / "shared.json")
    processes = [
        context.Process(target=save_load_and_edit, args=(tmp_path, number))
        for number in range(1, PROCESSES)
    ]
    for process in processes:
        process.start()
    save_load_and_edit(tmp_path, 0)
    for process in processes:
        process.join()

    assert [process.exitcode for process in processes] == [0] * len(processes)
    assert load_data_file(tmp_path / "counter.json") == {"count": PROCESSES * EDITS}
    check_nothing_is_left(tmp_path)


# Servers

HEARTBEAT = """

import threading

from oasis_data import edit_json, load_data_file

FOLDER = Path(os.environ["DATA"]) / "dynamic_data"
for path in FOLDER.glob("*.json"):
    load_data_file(path)


def beat():
    while True:
        with edit_json(FOLDER / "heartbeat.json") as heart:
            heart["beats"] = heart.get("beats", 0) + 1


threading.Thread(target=beat, daemon=True).start()
"""


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return Path(shutil.copytree(BACKEND / "sample_data", tmp_path / "data"))


@pytest.fixture
def program(tmp_path: Path) -> Path:
    """A copy of the example, for a test to change."""
    return Path(shutil.copytree(BACKEND, tmp_path / "backend"))


@contextmanager
def crowd_at(server: Server) -> Iterator[Crowd]:
    """Clients that save and read as long as the block lasts; judged at its end."""
    crowd = Crowd(server.port)
    crowd.begin()
    stop = threading.Event()
    threads = [
        threading.Thread(target=keep_on, args=(crowd, stop, number % 2 == 0))
        for number in range(CLIENTS)
    ]
    for thread in threads:
        thread.start()
    try:
        yield crowd
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    # Sweeps what was left by those that were cut off.
    client = crowd.client()
    assert client.save()
    assert client.read()
    client.close()
    assert find_violations(crowd.history) == []


def beats(data: Path) -> int:
    return int(load_data_file(data / "dynamic_data" / "heartbeat.json", strict=True)["beats"])


def test_preloaded_workers(program: Path, data: Path, tmp_path: Path) -> None:
    """Workers forked, again and again, from a process that has loaded, and is saving."""
    with (program / "api.py").open("a") as api:
        api.write(HEARTBEAT)
    with serve_gunicorn(program, data, tmp_path / "server.log", "--preload") as server:
        with crowd_at(server) as crowd:
            for number in range(KILLS):
                workers = wait_for(lambda: full(server), "the workers to be back")
                before = beats(data)
                os.kill(workers[number % len(workers)], signal.SIGKILL)
                wait_for(partial(has_ended, server, workers[number % len(workers)]), "the kill")
                wait_for(partial(has_grown, partial(beats, data), before), "the parent to save")
                wait_for_more(crowd.history.saves)
            wait_for(lambda: full(server), "the workers to be back")
        print(f"gunicorn --preload: {KILLS} workers replaced, {len(crowd.history.saves):,} saves")
    # The parent was killed too, while it saved.
    count_up(data / "dynamic_data" / "heartbeat.json")
    check_folder(data / "dynamic_data")


def full(server: Server) -> list[int]:
    """The workers, once all of them are there."""
    workers = server.workers()
    return workers if len(workers) == WORKERS else []


def has_grown(count: Callable[[], int], before: int) -> bool:
    return count() > before


def wait_for_more(operations: list[Operation]) -> None:
    """Waits until the clients have been answered about once more each."""
    count = operations.__len__
    wait_for(partial(has_grown, count, count() + CLIENTS), "answers")


def test_reloaded_program(program: Path, data: Path, tmp_path: Path) -> None:
    command = ["-m", "flask", "--app", "api", "run", "--port", "0", "--reload"]
    log = tmp_path / "server.log"
    # With watchdog, which some tool may have brought along, a new time alone is no change.
    hidden = tmp_path / "hidden"
    hidden.mkdir()
    (hidden / "watchdog.py").write_text("raise ImportError")
    paths = filter(None, [str(hidden), os.environ.get("PYTHONPATH")])
    env = {"DATA": str(data), "PYTHONPATH": os.pathsep.join(paths)}
    with serve(command, log=log, cwd=program, env=env) as server:
        with crowd_at(server) as crowd:
            for number in range(RELOADS):
                (child,) = wait_for(server.workers, "the program")
                changed = [program / "api.py", program / "scheduler" / "records.py"][number % 2]
                os.utime(changed)
                wait_for(partial(has_ended, server, child), "the reload")
                wait_for_more(crowd.history.saves)
                wait_for_more(crowd.history.reads)
        print(f"Flask's reloader: {RELOADS} reloads, {len(crowd.history.saves):,} saves")
        assert log.read_text().count("Restarting with stat") == RELOADS + 1
    check_folder(data / "dynamic_data")
