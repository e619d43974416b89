"""The end of an interpreter: beside threads at work, in a forked child, and no call hangs."""

from __future__ import annotations

import fcntl
import subprocess
import sys
from pathlib import Path

import pytest

from oasis_data import (
    load_data_file,
    save_json_atomic,
)
from tests.test_locks import lock_of
from tests.torture import rounds

pytestmark = pytest.mark.timeout(1_200)

DEADLINE = 30
"""Seconds after which a program counts as hanging."""


def run_to_its_end(code: str, path: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """Runs a program that must not hang when it exits."""
    return subprocess.run(
        [sys.executable, *options, "-c", code, str(path)],
        capture_output=True,
        text=True,
        timeout=DEADLINE,
        check=False,
    )


def test_exit_beside_a_thread_that_waits(tmp_path: Path) -> None:
    """As at a reload: daemon threads outlive the interpreter by a moment."""
    path = tmp_path / "tanks.json"
    save_json_atomic(path, 1)
    code = (
        "import ctypes, sys, threading, oasis_data\n"
        "libc = ctypes.CDLL(None)\n"
        # A second after the interpreter has ended: longer than a wait goes
        # without asking it for signals.
        "libc.on_exit(libc.sleep, None)\n"
        "waiting = threading.Thread(\n"
        "    target=oasis_data.save_json_atomic, args=(sys.argv[1], 2), daemon=True\n"
        ")\n"
        "waiting.start()\n"
        "while not oasis_data.stats()['lock_waits']: pass\n"
        "sys.exit(1)\n"
    )
    with lock_of(path).open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        done = run_to_its_end(code, path)
    assert (done.returncode, done.stderr) == (1, "")


BUSY_AT_EXIT = """
import os, sys, threading, oasis_data
folder, began = sys.argv[1], threading.Barrier(17)
def work(number):
    path = f"{folder}/{number % 8}.json"
    oasis_data.save_json_atomic(path, number)
    began.wait()
    while True:
        if number < 8:
            oasis_data.save_json_atomic(path, [number] * 100, skip_unchanged=False)
        else:
            oasis_data.load_data_file(path)
for number in range(16):
    threading.Thread(target=work, args=(number,), daemon=True).start()
began.wait()
"""
EXITS = rounds(25, 200)


def test_exit_beside_threads_that_save_and_load(tmp_path: Path) -> None:
    """Before Python 3.14 such a thread is ended at once, wherever it is."""
    for _ in range(EXITS):
        done = run_to_its_end(BUSY_AT_EXIT, tmp_path)
        assert (done.returncode, done.stderr) == (0, "")
    for number in range(8):
        save_json_atomic(tmp_path / f"{number}-counter.json", 1)
        assert load_data_file(tmp_path / f"{number}.json", strict=True) in (
            number,
            number + 8,
            [number] * 100,
        )


# Long enough for a thread that begins something after the end has begun.
LATE = """
import time
class Late:
    def __del__(self, sleep=time.sleep): sleep(0.3)
late = Late()
"""
SORTED_AT_EXIT = (
    LATE
    + """
import os, sys, threading, oasis_data
document = {f"tank{number}": {"level": number} for number in range(5_000)}
began = threading.Event()
def work(number):
    while True:
        began.set()
        path = f"{sys.argv[1]}/sorted{number}.json"
        oasis_data.save_json_atomic(path, document, sort_keys=True)
for number in range(4):
    threading.Thread(target=work, args=(number,), daemon=True).start()
began.wait()
"""
)
LOGGED_AT_EXIT = """
import logging, sys, threading, oasis_data
began = threading.Event()
class Saved(logging.Handler):
    def emit(self, record):
        began.set()
        oasis_data.save_json_atomic(sys.argv[1] + "/logged.json", record.getMessage())
def work():
    number = 0
    while True:
        number += 1
        logging.warning("event %d", number)
logging.getLogger().addHandler(Saved())
threading.Thread(target=work, daemon=True).start()
began.wait()
"""
FORKING_AT_EXIT = """
import atexit, os, sys, threading, time
def save_at_last():
    time.sleep(0.05)
    oasis_data.save_json_atomic(sys.argv[1] + "/forking.json", "ended")
atexit.register(save_at_last)
import oasis_data
began = threading.Event()
def work():
    while True:
        try: child = os.fork()
        except RuntimeError: return  # Python 3.12: not at the end of the interpreter
        if not child: os._exit(0)
        began.set()
        os.waitpid(child, 0)
threading.Thread(target=work, daemon=True).start()
began.wait()
"""
BUSY_WITH_WORK = """
for _ in range(4):
    threading.Thread(target=work, daemon=True).start()
# Not asleep: the threads are to wait for the interpreter.
end = time.monotonic() + 0.1
while time.monotonic() < end: pass
"""
SAVING_AFTER_FORKS = (
    """
import logging, os, sys, threading, time
# This handler and that of logging run after the package's own, and other threads that fork wait
# in the package's own meanwhile.
os.register_at_fork(before=lambda: time.sleep(0.005))
import oasis_data
oasis_data.configure(durability="process")
class AtLast:
    def __init__(self, save, path, clock, sleep):
        self.save, self.path, self.clock, self.sleep = save, path, clock, sleep
        self.ends_threads = sys.version_info < (3, 14)
    def __del__(self):
        self.sleep(0.1)
        began = self.clock()
        self.save(self.path, "ended")
        # From Python 3.14 on a thread is not ended but hangs, in the other handlers too, and keeps
        # the gate of forks shut: for no longer than others wait for a fork.
        most = 1 if self.ends_threads else 4
        assert self.clock() - began < most, "waited for a thread that is no more"
sys.modules["at_last"] = AtLast(
    oasis_data.save_json_atomic, sys.argv[1] + "/forks.json", time.monotonic, time.sleep
)
def work():
    while True:
        try: child = os.fork()
        except RuntimeError: return  # Python 3.12: not at the end of the interpreter
        if not child: os._exit(0)
        os.waitpid(child, 0)
"""
    + BUSY_WITH_WORK
)
PATHS_AT_EXIT = (
    LATE
    + """
import sys, threading, time, oasis_data
class Path:
    def __fspath__(self):
        time.sleep(0.001)  # lets the interpreter's lock go
        return sys.argv[1] + "/paths.json"
oasis_data.save_json_atomic(Path(), 1)
def work():
    while True:
        oasis_data.load_data_file(Path())
"""
    + BUSY_WITH_WORK
)
NAMES_AT_EXIT = (
    LATE
    + """
import pathlib, sys, threading, time
from oasis_data import _native
path = pathlib.Path(sys.argv[1], "names.json")
path.write_text("1")
for number in range(300):
    pathlib.Path(f"{path}.backup.20260101_000000_{number:06}").write_text("0")
def work():
    while True:
        _native.backup_names(str(path))
"""
    + BUSY_WITH_WORK
)
EDITING_AT_EXIT = """
import atexit, sys, threading, time, traceback
atexit.register(time.sleep, 0.02)
import oasis_data
began = threading.Event()
def work():
    while True:
        began.set()
        try:
            with oasis_data.edit_json(sys.argv[1] + "/edited.json"):
                raise LookupError
        except LookupError:
            traceback.format_exc()
threading.Thread(target=work, daemon=True).start()
began.wait()
"""


@pytest.mark.parametrize(
    ("code", "times"),
    [
        (SORTED_AT_EXIT, 3),
        (LOGGED_AT_EXIT, 2),
        (FORKING_AT_EXIT, 4),
        (SAVING_AFTER_FORKS, 4),
        (PATHS_AT_EXIT, 20),
        (NAMES_AT_EXIT, 10),
        (EDITING_AT_EXIT, 20),
    ],
    ids=["sorted", "logged", "forking", "forked", "paths", "names", "editing"],
)
def test_exit_beside_a_thread_in_the_midst_of_something(
    tmp_path: Path, code: str, times: int
) -> None:
    for _ in range(times):
        done = run_to_its_end(code, tmp_path, "-W", "ignore::DeprecationWarning")
        assert (done.returncode, done.stderr) == (0, "")


def test_exit_of_a_child_that_a_signal_handler_forked(tmp_path: Path) -> None:
    path = tmp_path / "tanks.json"
    save_json_atomic(path, 1)
    code = (
        "import os, signal, sys, time, oasis_data\n"
        "child = None\n"
        "def fork(*_):\n"
        "    global child\n"
        "    child = os.fork()\n"
        "signal.signal(signal.SIGALRM, fork)\n"
        "signal.setitimer(signal.ITIMER_REAL, 0.1)\n"
        "try: oasis_data.save_json_atomic(sys.argv[1], 2, timeout=0.5)\n"
        "except oasis_data.JSONWriteError: pass\n"
        "if not child: sys.exit(0)\n"
        "started = time.monotonic()\n"
        "assert os.waitpid(child, 0)[1] == 0\n"
        "print(time.monotonic() - started)\n"
    )
    with lock_of(path).open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        done = run_to_its_end(code, path)
    assert (done.returncode, done.stderr) == (0, "")
    assert float(done.stdout) < 4


# In Python code nearly all the time, and that without the interpreter's lock.
ASLEEP_AT_EXIT = """
import os, sys, threading, time, oasis_data
began = threading.Event()
def default(value):
    began.set()
    time.sleep(0.05)
    return 1
def work():
    while True:
        oasis_data.save_json_atomic(sys.argv[1] + "/asleep.json", object(), default=default)
threading.Thread(target=work, daemon=True).start()
began.wait()
"""


@pytest.mark.parametrize("busy", [BUSY_AT_EXIT, ASLEEP_AT_EXIT], ids=["busy", "asleep"])
def test_exit_of_a_child_forked_beside_threads(tmp_path: Path, busy: str) -> None:
    code = busy + (
        "import time\n"
        "slowest = 0.0\n"
        "for _ in range(20):\n"
        "    started = time.monotonic()\n"
        "    child = os.fork()\n"
        "    if not child: sys.exit(0)\n"
        "    assert os.waitpid(child, 0)[1] == 0\n"
        "    slowest = max(slowest, time.monotonic() - started)\n"
        "print(slowest)\n"
    )
    done = run_to_its_end(code, tmp_path, "-W", "ignore::DeprecationWarning")
    assert (done.returncode, done.stderr) == (0, "")
    # Not as long as an exit waits for a thread that does not come.
    assert float(done.stdout) < 4
