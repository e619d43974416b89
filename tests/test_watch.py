"""States of documents, one after the other: none missed, none torn, whatever happens."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import threading
import time
from itertools import islice
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from oasis_data import (
    MISSING,
    JSONReadError,
    LockTimeoutError,
    awatch,
    configure,
    delete_json_atomic,
    load_data_file,
    load_with_version,
    save_json_atomic,
    save_many_atomic,
    save_with_version,
    stats,
    watch,
)
from tests.conftest import python, require
from tests.nobody import as_nobody
from tests.test_batch import (
    ALL,
    DECIDED,
    HALF,
    contents,
    half_a_batch,
    interrupt,
    open_to_all,
    three_files,
)


def now(*paths: Path) -> dict[Path, str]:
    (state,) = watch(paths, timeout=0)
    return state


def test_first_comes_the_state_there_is_then_each_that_differs(folder: Path) -> None:
    tanks, vessels = folder / "tanks.json", folder / "vessels.json"
    save_json_atomic(tanks, 1)
    states = watch([tanks, vessels], interval=0.001)

    assert next(states) == {tanks: load_with_version(tanks)[1], vessels: MISSING}
    for number in range(2, 20):
        version = save_with_version(tanks, number)
        assert next(states)[tanks] == version
    version = save_with_version(vessels, "new")
    assert next(states)[vessels] == version
    delete_json_atomic(tanks)
    assert next(states) == {tanks: MISSING, vessels: version}


def test_two_changes_within_a_tick_are_told_apart(folder: Path) -> None:
    path = folder / "tanks.json"
    states = watch([path], interval=0.0001, timeout=5)
    next(states)
    for number in range(10, 100):
        # In place, of one length: the stamps alone may be the same.
        path.write_text(f"{number}")
        assert next(states) == {path: load_with_version(path)[1]}


def test_changes_between_two_states_are_merged(anywhere: Path) -> None:
    path = anywhere / "tanks.json"
    states = watch([path], interval=0.001, timeout=0.2)
    assert next(states) == {path: MISSING}
    for number in range(50):
        version = save_with_version(path, number)
    assert list(states) == [{path: version}]


def test_a_change_that_was_taken_back_is_no_other_state(anywhere: Path) -> None:
    path = anywhere / "tanks.json"
    save_json_atomic(path, 1)
    states = watch([path], timeout=0)
    next(states)
    save_json_atomic(path, 2)
    save_json_atomic(path, 1)
    assert list(states) == []


def test_a_state_is_the_callers_own(anywhere: Path) -> None:
    path = anywhere / "tanks.json"
    states = watch([path], interval=0.001, timeout=0.05)
    next(states).clear()
    assert list(states) == []


def test_a_corrupt_file_has_a_version(anywhere: Path) -> None:
    path = anywhere / "tanks.json"
    path.write_text("{")
    torn = now(path)
    path.write_text("[")
    assert MISSING not in {*torn.values(), *now(path).values()}
    assert torn != now(path)


def test_a_restart_goes_on_with_the_last_state(anywhere: Path) -> None:
    tanks, vessels = anywhere / "tanks.json", anywhere / "vessels.json"
    save_json_atomic(tanks, 1)
    last = now(tanks, vessels)
    assert list(watch([tanks, vessels], since=last, timeout=0)) == []
    save_json_atomic(vessels, 2)
    # Kept as JSON, a state has text for its paths.
    kept = json.loads(json.dumps({str(path): version for path, version in last.items()}))
    (state,) = watch([str(tanks), str(vessels)], since=kept, timeout=0)
    assert state[str(tanks)] == last[tanks]
    assert state[str(vessels)] == load_with_version(vessels)[1]
    # A file that the state does not have counts as changed.
    assert next(watch([tanks, vessels], since={tanks: last[tanks]}, timeout=0))


@pytest.mark.parametrize(
    "path", ["tanks.json", b"tanks.json", Path("tanks.json")], ids=["str", "bytes", "Path"]
)
def test_a_path_comes_back_as_it_was_given(
    path: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (given,) = next(watch([path]))
    assert given is path


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"paths": "tanks.json"}, TypeError, "must be several paths"),
        ({"paths": Path("tanks.json")}, TypeError, "must be several paths"),
        ({"paths": []}, ValueError, "at least one file"),
        ({"paths": [1]}, TypeError, "PathLike"),
        ({"interval": 0}, ValueError, "interval=0"),
        ({"interval": float("nan")}, ValueError, "interval=nan"),
        ({"interval": float("inf")}, ValueError, "interval=inf"),
        ({"interval": "1"}, TypeError, "interval='1'"),
        ({"timeout": -1}, ValueError, "timeout=-1"),
        ({"timeout": float("nan")}, ValueError, "timeout=nan"),
        ({"timeout": "1"}, TypeError, "timeout='1'"),
        ({"since": {"others.json": MISSING}}, ValueError, r"'others\.json'.*not among"),
        ({"since": {"tanks.json": 1}}, TypeError, "no str"),
        ({"since": 5}, TypeError, "since=5: must be a state"),
    ],
)
def test_a_value_that_cannot_be_is_refused_at_once(
    arguments: dict[str, Any], error: type[Exception], message: str
) -> None:
    for function in (watch, awatch):
        with pytest.raises(error, match=message):
            function(**{"paths": ["tanks.json"], **arguments})


def test_what_cannot_be_read_is_raised(tmp_path: Path) -> None:
    path = tmp_path / "tanks.json"
    states = watch([path], interval=0.001)
    next(states)
    path.mkdir()
    with pytest.raises(JSONReadError, match="directory"):
        next(states)
    assert list(states) == []


def test_nothing_is_read_while_nothing_changes(tmp_path: Path) -> None:
    path = tmp_path / "tanks.json"
    save_json_atomic(path, 1)
    # Until a second save could no more bear the same stamps.
    list(watch([path], interval=0.001, timeout=0.5))
    read = stats()["bytes_read"]
    assert len(list(watch([path], interval=0.001, timeout=0.3))) == 1
    assert stats()["bytes_read"] == read + 1


@pytest.mark.parametrize("fault", [DECIDED, HALF, ALL])
def test_a_batch_whose_writer_died_shows_whole_or_not_at_all(
    strace: str, tmp_path: Path, fault: str
) -> None:
    paths = three_files(tmp_path)
    states = watch(paths, timeout=0)
    next(states)
    interrupt(strace, paths, fault)
    told = list(states)
    # The look that meets the batch rolls it forward.
    assert told or fault == DECIDED
    assert all(len(set(state.values())) == 1 for state in told)
    (state,) = watch(paths, timeout=0)
    assert set(state.values()) == {load_with_version(paths[0])[1]}
    assert contents(paths) == ["new"] * 3


def test_a_batch_at_work_is_waited_for(strace: str, tmp_path: Path) -> None:
    paths = three_files(tmp_path)
    old = now(*paths)
    with half_a_batch(strace, paths, 0.5):
        (state,) = watch(paths, since=old, timeout=0)
    assert set(state.values()) == {load_with_version(paths[0])[1]}
    save_many_atomic(dict.fromkeys(paths, "old"))
    configure(lock_timeout=0.01)
    with half_a_batch(strace, paths, 0.5), pytest.raises(LockTimeoutError):
        now(*paths)


@pytest.mark.parametrize("fault", [DECIDED, HALF])
def test_a_watcher_who_may_not_write_sees_what_was_decided(
    strace: str, tmp_path: Path, fault: str
) -> None:
    require(os.geteuid() == 0, "needs root, to become nobody")
    paths = three_files(tmp_path)
    interrupt(strace, paths, fault)
    open_to_all(tmp_path)
    (versions,) = as_nobody(tmp_path, states_of_all)
    (version,) = set(versions.values())
    # Nobody has recovered the batch, which is half on the disk.
    assert contents(paths) != ["new"] * 3
    assert load_with_version(paths[0]) == ("new", version)


def states_of_all(_: object = None) -> list[dict[str, str]]:
    return list(watch(["here/a.json", "here/b.json", "there/c.json"], timeout=0))


def keep_saving(paths: list[Path], rounds: int) -> None:
    configure(backups_kept=0)
    for number in range(rounds):
        save_many_atomic({path: [os.getpid(), number] for path in paths})


def test_a_batch_shows_whole_or_not_at_all(anywhere: Path) -> None:
    paths = three_files(anywhere)
    context = get_context("spawn")
    writers = [context.Process(target=keep_saving, args=(paths, 300)) for _ in range(2)]
    for writer in writers:
        writer.start()
    seen = []
    for state in watch(paths, interval=0.0005, timeout=30):
        seen.append(state)
        # All files have the same content, and so the same version.
        assert len(set(state.values())) == 1
        if not any(writer.is_alive() for writer in writers) and state == now(*paths):
            break
    for writer in writers:
        writer.join()
        assert writer.exitcode == 0
    assert len(seen) > 20
    (last,) = {load_with_version(path)[1] for path in paths}
    assert set(seen[-1].values()) == {last}


COUNT = """
import sys
from oasis_data import configure, edit_json
configure(backups_kept=0)
for _ in range(int(sys.argv[2])):
    with edit_json(sys.argv[1], default={"count": 0}) as document:
        document["count"] += 1
"""


def test_watchers_that_are_killed_and_resumed_end_on_the_last_version(anywhere: Path) -> None:
    path = anywhere / "count.json"
    save_json_atomic(path, {"count": 0})
    writers = [subprocess.Popen([sys.executable, "-c", COUNT, str(path), "300"]) for _ in range(2)]
    last = now(path)
    states, counts = 0, []
    while any(writer.poll() is None for writer in writers):
        # A watcher that sees three states, and is gone.
        for state in islice(watch([path], since=last, interval=0.001, timeout=0.05), 3):
            last = state
            states += 1
            counts.append(load_data_file(path)["count"])
    for state in watch([path], since=last, timeout=0):
        last = state
    assert [writer.returncode for writer in writers] == [0, 0]
    document, version = load_with_version(path)
    assert (document, last) == ({"count": 600}, {path: version})
    assert counts == sorted(counts)
    assert states > 5


NAMES = ("a.json", "b.json", "c.json")
STEPS = st.one_of(
    st.dictionaries(st.sampled_from(NAMES), st.integers(0, 2), min_size=1),
    st.sampled_from([*NAMES, "look", "restart"]),
)


@settings(max_examples=30, deadline=None)
@given(steps=st.lists(STEPS, max_size=12))
def test_each_look_tells_what_is_there_if_it_differs(steps: list[Any]) -> None:
    configure(durability="process", backups_kept=0)
    with TemporaryDirectory() as folder:
        paths = [Path(folder) / name for name in NAMES]
        told = now(*paths)
        states = watch(paths, since=told, interval=0.0001)
        for step in [*steps, "look", "restart", "look"]:
            if isinstance(step, dict):
                save_many_atomic({Path(folder) / name: value for name, value in step.items()})
            elif step == "restart":
                states = watch(paths, since=told, interval=0.0001)
            elif step != "look":
                (Path(folder) / step).unlink(missing_ok=True)
            elif told != (there := {path: load_with_version(path)[1] for path in paths}):
                told = next(states)
                assert told == there
        # And nothing else.
        assert list(watch(paths, since=told, timeout=0)) == []


def test_the_last_look_is_at_the_deadline(anywhere: Path) -> None:
    path = anywhere / "tanks.json"
    states = watch([path], interval=60, timeout=0.5)
    next(states)
    saver = threading.Timer(0.1, save_json_atomic, (path, "late"))
    saver.start()
    started = time.monotonic()
    assert next(states) == {path: load_with_version(path)[1]}
    saver.join()
    assert list(states) == []
    # Half a second for the state, and half a second for there being no other.
    assert 0.9 < time.monotonic() - started < 30


WAITS = """
import os, signal, sys, threading
from oasis_data import watch
states = watch([sys.argv[1]], interval=float(sys.argv[2]))
next(states)
def interrupt():
    sys.stdin.readline()
    os.kill(os.getpid(), signal.SIGINT)
threading.Thread(target=interrupt).start()
try:
    print("waits", flush=True)
    next(states)
except KeyboardInterrupt:
    print("interrupted")
"""


@pytest.mark.parametrize("interval", [0.01, 60])
def test_ctrl_c_ends_a_wait_at_once(anywhere: Path, interval: float) -> None:
    command = [sys.executable, "-c", WAITS, str(anywhere / "tanks.json"), str(interval)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as waiter:
        assert waiter.stdout
        assert waiter.stdout.readline() == "waits\n"
        started = time.monotonic()
        printed, _ = waiter.communicate("now\n", timeout=30)
    assert printed == "interrupted\n"
    assert time.monotonic() - started < 5


def test_other_threads_run_during_a_wait(anywhere: Path) -> None:
    path = anywhere / "tanks.json"
    states = watch([path], interval=30)
    next(states)
    done = threading.Event()

    def save() -> None:
        save_json_atomic(path, 1)
        done.set()

    waiter = threading.Thread(target=next, args=(watch([path], interval=0.2, timeout=1),))
    waiter.start()
    save()
    assert done.is_set()
    waiter.join()


def test_a_forked_child_goes_on_watching(anywhere: Path) -> None:
    code = (
        "import os, sys\n"
        "from oasis_data import save_json_atomic, watch\n"
        "states = watch([sys.argv[1]], interval=0.001)\n"
        "next(states)\n"
        "child = os.fork()\n"
        "save_json_atomic(sys.argv[1], os.getpid())\n"
        "assert next(states)\n"
        "if child: assert os.waitpid(child, 0)[1] == 0; print('both')\n"
    )
    assert python(code, anywhere / "tanks.json") == "both\n"


async def collect(path: Path, **options: Any) -> list[dict[Path, str]]:
    return [state async for state in awatch([path], **options)]


def test_the_asynchronous_iterator_tells_the_same(anywhere: Path) -> None:
    path = anywhere / "tanks.json"

    async def follow_and_save() -> tuple[list[dict[Path, str]], str]:
        following = asyncio.create_task(collect(path, interval=0.001, timeout=0.5))
        # The loop goes on meanwhile.
        await asyncio.sleep(0.1)
        version = save_with_version(path, 1)
        return await following, version

    states, version = asyncio.run(follow_and_save())
    assert states == [{path: MISSING}, {path: version}]
    assert asyncio.run(collect(path, since={path: version}, timeout=0)) == []
    assert asyncio.run(collect(path, since={path: MISSING}, timeout=0)) == [{path: version}]


def test_the_asynchronous_iterator_is_cancelled_at_once(anywhere: Path) -> None:
    async def cancel() -> None:
        following = asyncio.create_task(collect(anywhere / "tanks.json", interval=60))
        await asyncio.sleep(0.1)
        following.cancel()
        with pytest.raises(asyncio.CancelledError):
            await following

    started = time.monotonic()
    asyncio.run(cancel())
    assert time.monotonic() - started < 30
