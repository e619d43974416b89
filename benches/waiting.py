"""How waiting for a lock goes, and what it costs.

    python benches/waiting.py

- hand-over: eight processes take turns, and each holds the lock for a millisecond. From the end
  of a turn, without a save, to the first line of the next.
- deadline: how long after its timeout a wait ends; also of forty that began together, beside
  forty processes that only sleep.
- Ctrl-C: from the signal to the `except KeyboardInterrupt`.
- forty waiters: what forty processes that wait take together, as a share of one core.

Beside the hand-over, in turns: a blocking `flock`, which has no deadline and no order, and
filelock, which asks every 50 ms unless it is told otherwise; here every millisecond.
"""

from __future__ import annotations

import fcntl
import multiprocessing
import os
import signal
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from filelock import FileLock

from oasis_data import LockTimeoutError, edit_json, save_json_atomic

Lock = Callable[[Path], AbstractContextManager[Any]]
FORK = multiprocessing.get_context("fork")
PROCESSES, TURNS, HOLD = 8, 100, 0.001
FORTY = 40


class Leave(Exception):
    """Leaves an edit without a save."""


@contextmanager
def edited(path: Path, timeout: float = 60) -> Iterator[None]:
    """The lock of an edit, without its save."""
    with suppress(Leave), edit_json(path, timeout=timeout):
        yield
        raise Leave


@contextmanager
def flocked(path: Path) -> Iterator[None]:
    """A blocking `flock`."""
    lock = os.open(f"{path}.flock", os.O_RDWR | os.O_CREAT)
    fcntl.flock(lock, fcntl.LOCK_EX)
    try:
        yield
    finally:
        os.close(lock)


LOCKS: dict[str, Lock] = {
    "oasis_data": edited,
    "flock": flocked,
    "filelock": lambda path: FileLock(f"{path}.lock", poll_interval=0.001),
}


def take_turns(lock: Lock, path: Path, left_at: Any, answer: Connection) -> None:
    """Takes the lock again and again; answers with the seconds since the turn before."""
    waited = []
    for _ in range(TURNS):
        with lock(path):
            waited.append(time.perf_counter() - left_at.value)
            time.sleep(HOLD)
            left_at.value = time.perf_counter()
    answer.send(waited)


def wait(act: Callable[[], None], together: Any, answer: Connection) -> None:
    """Waits beside others; answers with its processor time, its begin and its end."""
    together.wait()
    began, processor = time.perf_counter(), time.process_time()
    with suppress(LockTimeoutError, KeyboardInterrupt):
        act()
    answer.send((time.process_time() - processor, began, time.perf_counter()))


def wait_for_lock(path: Path, seconds: float) -> None:
    """Waits for a lock that is held."""
    with edited(path, seconds):
        raise SystemExit("the lock was free: this measured nothing")


def start(act: Callable[[Connection], None], number: int) -> list[tuple[Any, Connection]]:
    """So many processes, each with the answers that it sends."""
    started = []
    for _ in range(number):
        answers, answer = FORK.Pipe(duplex=False)
        process = FORK.Process(target=act, args=(answer,))
        process.start()
        answer.close()
        started.append((process, answers))
    return started


def hand_overs(lock: Lock, path: Path) -> list[float]:
    """The seconds of each hand-over."""
    left_at = FORK.Value("d", time.perf_counter(), lock=False)
    started = start(partial(take_turns, lock, path, left_at), PROCESSES)
    waited = [seconds for _, answers in started for seconds in answers.recv()]
    for process, _ in started:
        process.join()
    return waited


def waits(
    act: Callable[[], None], seconds: float, number: int, *, interrupted: bool = False
) -> list[tuple[float, float]]:
    """The processor time of each wait, and how long after its timeout or its Ctrl-C it ended."""
    together = FORK.Barrier(number + 1)
    waiters = start(partial(wait, act, together), number)
    together.wait()
    signalled = None
    if interrupted:
        time.sleep(0.1)  # until it waits
        signalled = time.perf_counter()
        for process, _ in waiters:
            os.kill(process.pid, signal.SIGINT)
    ended = [answers.recv() for _, answers in waiters]
    for process, _ in waiters:
        process.join()
    return [(taken, end - (signalled or began + seconds)) for taken, began, end in ended]


def told(name: str, seconds: list[float]) -> None:
    """Prints the median, the 99th percentile and the worst."""
    each = sorted(seconds)
    worst = each[len(each) * 99 // 100]
    print(
        f"{name:>22} median {statistics.median(each) * 1e6:9,.0f} us,"
        f" 99 % within {worst * 1e6:9,.0f}, all {each[-1] * 1e6:9,.0f}"
    )


def main() -> None:
    """Prints all figures."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "document.json"
        save_json_atomic(path, {})
        taken: dict[str, list[float]] = {name: [] for name in LOCKS}
        for _ in range(3):
            for name, lock in LOCKS.items():
                taken[name] += hand_overs(lock, path)
        for name, each in taken.items():
            told(f"hand-over, {name}", each)
        seconds = 5.0
        with edited(path):
            short, long = partial(wait_for_lock, path, 0.2), partial(wait_for_lock, path, seconds)
            told("deadline", [waits(short, 0.2, 1)[0][1] for _ in range(20)])
            told("Ctrl-C", [waits(long, 5.0, 1, interrupted=True)[0][1] for _ in range(20)])
            forty = waits(long, seconds, FORTY)
            told("deadline, forty", [late for _, late in forty])
        asleep = waits(partial(time.sleep, seconds), seconds, FORTY)
        told("forty that sleep", [late for _, late in asleep])
        share = sum(processor for processor, _ in forty) / seconds
        print(f"{'forty waiters':>22} {share:.1%} of a core")


if __name__ == "__main__":
    main()
