"""What comes in from the side: signals, deep stacks, collectors, other interpreters."""

from __future__ import annotations

import gc
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from oasis_data import (
    CorruptFileError,
    JSONReadError,
    VersionConflictError,
    clear_all_cache,
    edit_json,
    load_data_file,
    load_many,
    load_with_version,
    save_json_atomic,
)
from tests.conftest import python, require
from tests.test_locks import held_by_another, wait_until_waiting


class Soft(Exception):
    """A time limit, as task queues raise it."""


@contextmanager
def alarm(seconds: float, handler: Callable[..., object]) -> Iterator[None]:
    before = signal.signal(signal.SIGALRM, handler)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


class Late(ValueError):
    """Of a class by which `json` tells that a text is none."""


# The second is left to `json`, which runs Python code.
@pytest.mark.usefixtures("no_collector_callbacks")
@pytest.mark.parametrize("last", [0, float("nan")])
@pytest.mark.parametrize(
    "late",
    [Soft(), ValueError("late"), json.JSONDecodeError("late", "", 0), Late(), KeyboardInterrupt()],
    ids=lambda late: type(late).__name__,
)
def test_a_healthy_file_is_never_corrupt_because_of_a_signal(
    tmp_path: Path, last: float, late: BaseException
) -> None:
    """Every moment of a load is tried until one falls after its end."""
    path = tmp_path / "large.json"
    path.write_text(json.dumps([*({"a": n, "b": "x"} for n in range(100_000)), last]))

    def expire(*_: object) -> None:
        raise late

    handler: Callable[..., object] = expire
    if isinstance(late, KeyboardInterrupt):
        # No Python: what it raises has no frame of its own.
        handler = signal.default_int_handler
    seconds = 0.0005
    interrupted = 0
    while True:
        clear_all_cache()
        loaded = None
        try:
            with alarm(seconds, handler):
                loaded = load_data_file(path, default="corrupt")
        except type(late):
            interrupted += 1
            seconds *= 1.5
        if loaded is not None:
            assert loaded != "corrupt"
            break
    assert interrupted


def load_of_many(path: Path, *, default: str) -> Any:
    return load_many([path], default=default)[0]


@pytest.mark.usefixtures("no_collector_callbacks")
@pytest.mark.parametrize("load", [load_data_file, load_of_many])
def test_a_signal_is_not_lost_while_a_failure_is_told(
    tmp_path: Path, load: Callable[..., Any]
) -> None:
    """Moments are tried, many of which fall into the making of the exception."""
    heard = 0

    def interrupt(*_: object) -> None:
        nonlocal heard
        heard += 1
        raise KeyboardInterrupt

    def load_until_heard(number: int) -> None:
        while heard == number:
            assert load(tmp_path / "none.json", default="none") == "none"

    for number in range(300):
        with pytest.raises(KeyboardInterrupt), alarm(number % 150 * 2e-6 + 2e-6, interrupt):
            # A function of its own: Python 3.13 does not catch what a handler raises at the
            # jump back of a loop that stands in the block itself.
            load_until_heard(number)
    assert heard == 300


def test_a_healthy_file_is_never_corrupt_because_of_a_deep_stack(tmp_path: Path) -> None:
    path = tmp_path / "tanks.json"
    path.write_text('[[[["deep enough"]]]]')
    answers: list[Any] = []

    def descend(levels: int) -> None:
        if levels:
            descend(levels - 1)
            return
        clear_all_cache()
        try:
            answers.append(load_data_file(path, default="corrupt"))
        except (RecursionError, JSONReadError) as error:
            answers.append(error)

    here = len(list(iter_frames()))
    for left in range(4, 40):
        try:
            descend(sys.getrecursionlimit() - here - left)
        except RecursionError:
            continue
    assert "corrupt" not in answers
    assert [[[["deep enough"]]]] in answers


def iter_frames() -> Iterator[Any]:
    frame = sys._getframe()
    while frame is not None:
        yield frame
        frame = frame.f_back  # type: ignore[assignment]


def test_a_second_interpreter_is_refused_and_harms_nobody(tmp_path: Path) -> None:
    code = (
        "import sys, oasis_data\n"
        "try: import _xxsubinterpreters as interpreters\n"
        "except ImportError: import _interpreters as interpreters\n"
        "oasis_data.save_json_atomic(sys.argv[1], {'precious': 1})\n"
        "other = interpreters.create()\n"
        "refused = 'try: import oasis_data\\nexcept ImportError: pass\\nelse: 1/0'\n"
        "outcome = interpreters.run_string(other, refused)\n"
        "assert outcome is None, outcome\n"
        "interpreters.destroy(other)\n"
        "oasis_data.clear_all_cache()\n"
        "print(oasis_data.load_data_file(sys.argv[1]))\n"
    )
    assert python(code, tmp_path / "tanks.json") == "{'precious': 1}\n"


def test_a_collector_that_changes_the_document_ends_nothing(tmp_path: Path) -> None:
    path = tmp_path / "tanks.json"
    document: dict[str, Any] = {f"k{n}": [2**70, 1.5, "x", None] for n in range(100)}
    thresholds = gc.get_threshold()

    def change(*_: object) -> None:
        document[str(len(document))] = 1

    gc.callbacks.append(change)
    gc.set_threshold(1)
    try:
        # RuntimeError, as from json, if the change falls into the standard library.
        save_json_atomic(path, document)
    except ValueError:
        pytest.fail("the document can be written")
    finally:
        gc.callbacks.remove(change)
        gc.set_threshold(*thresholds)
    assert load_data_file(path)["k99"] == [2**70, 1.5, "x", None]


def test_another_folder_is_no_matter_of_a_save_that_waits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A relative path means the folder that it meant when the save began."""
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        save_json_atomic(tmp_path / name / "x.json", name)
    os.setxattr(tmp_path / "two" / "x.json", "user.origin", b"two")
    _, version_of_two = load_with_version(tmp_path / "two" / "x.json")
    monkeypatch.chdir(tmp_path / "one")
    outcome: list[BaseException] = []

    def save() -> None:
        try:
            save_json_atomic("x.json", "new", if_version=version_of_two, timeout=60)
        except VersionConflictError as error:
            outcome.append(error)

    with held_by_another(tmp_path / "one" / "x.json") as holder:
        saver = threading.Thread(target=save)
        saver.start()
        wait_until_waiting(os.getpid(), tmp_path / "one" / "x.json")
        os.chdir(tmp_path / "two")
        holder.kill()
        saver.join()
    assert len(outcome) == 1
    assert load_data_file(tmp_path / "one" / "x.json") == "one"


def test_a_handler_may_save_the_file_that_is_waited_for(tmp_path: Path) -> None:
    path = tmp_path / "tanks.json"
    save_json_atomic(path, 1)
    saved: list[bool] = []

    def save(*_: object) -> None:
        holder.kill()
        saved.append(save_json_atomic(path, 2, timeout=60))

    with held_by_another(path) as holder, alarm(0.05, save):
        save_json_atomic(path, 3, timeout=60)
    assert saved == [True]
    assert load_data_file(path) == 3


def test_the_time_zone_may_change_while_others_save(tmp_path: Path) -> None:
    """Reading TZ in a save, beside a thread that sets variables, ends the process."""
    code = (
        "import os, sys, threading, oasis_data\n"
        "oasis_data.configure(durability='process')\n"
        "done = threading.Event()\n"
        "def change():\n"
        "    while not done.is_set():\n"
        "        for n in range(500): os.environ[f'V{n}'] = 'x' * 50\n"
        "        for n in range(500): del os.environ[f'V{n}']\n"
        "changer = threading.Thread(target=change)\n"
        "changer.start()\n"
        "for n in range(400):\n"
        "    args = (f'{sys.argv[1]}/{n % 4}.json', n)\n"
        "    savers = [threading.Thread(target=oasis_data.save_json_atomic, args=args)]\n"
        "    [saver.start() for saver in savers]; [saver.join() for saver in savers]\n"
        "done.set(); changer.join(); print('alive')\n"
    )
    assert python(code, tmp_path) == "alive\n"


def test_no_link_of_another_user_is_followed_by_root(tmp_path: Path) -> None:
    require(os.geteuid() == 0, "needs root to be tempted")
    secret = tmp_path / "secret"
    secret.write_text("")
    secret.chmod(0o600)
    folder = tmp_path / "theirs"
    folder.mkdir()
    os.chown(folder, 65534, 65534)
    folder.chmod(0o777)
    (folder / ".oasis_data").mkdir()
    (folder / ".oasis_data" / "locks").symlink_to(tmp_path)
    (folder / ".oasis_data" / "temp").symlink_to(tmp_path)
    (tmp_path / "x.json.lock").symlink_to(secret)
    with pytest.raises(OSError, match=r"x\.json"):
        save_json_atomic(folder / "x.json", 1)
    assert secret.stat().st_mode & 0o7777 == 0o600
    assert secret.stat().st_uid == 0


# The signal is blocked until it is waited for. A Python handler would not run where the signal came
# between two calls of the interpreter, just before the program waits for the end of its input.
LEASED = """
import fcntl, os, signal, sys
descriptor = os.open(sys.argv[1], os.O_RDWR)
signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGIO})
fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_WRLCK)
print("leased", flush=True)
signal.sigwait({signal.SIGIO})
print("asked", flush=True)
fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_UNLCK)
sys.stdin.read()
"""


@pytest.mark.parametrize("act", [load_data_file, lambda path: save_json_atomic(path, 2)])
def test_what_a_file_server_has_a_lease_on_is_waited_for(
    tmp_path: Path, act: Callable[[Path], object]
) -> None:
    path = tmp_path / "tanks.json"
    save_json_atomic(path, 1)
    clear_all_cache()
    command = [sys.executable, "-c", LEASED, str(path)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as server:
        assert server.stdout
        assert server.stdout.readline() == "leased\n"
        act(path)
        assert server.stdout.readline() == "asked\n"
    assert load_data_file(path) in (1, 2)


def test_a_corrupt_document_is_still_corrupt_deep_down(tmp_path: Path) -> None:
    path = tmp_path / "tanks.json"
    path.write_text("[" * 100_000)
    with pytest.raises(CorruptFileError, match="nested 100000 deep"):
        load_data_file(path, strict=True)
    with pytest.raises(CorruptFileError), edit_json(path):
        pytest.fail("the block must not run")
