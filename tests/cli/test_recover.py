"""`recover`: what dead writers left is rolled forward or back, and nothing else touched."""

from __future__ import annotations

import fcntl
import json
import multiprocessing
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from oasis_data import (
    JSONWriteError,
    VersionConflictError,
    _native,
    configure,
    delete_json_atomic,
    edit_json,
    list_backups,
    load_data_file,
    load_with_version,
    restore_backup,
    save_json_atomic,
    save_many_atomic,
)
from tests.cli.console import run
from tests.cli.test_verify import SAVE, found, kill, torn, undecided
from tests.conftest import require, temporaries
from tests.errors.test_causes import marked
from tests.test_batch import (
    ALL,
    DECIDED,
    HALF,
    contents,
    interrupt,
    require_tidy,
    three_files,
)
from tests.test_batch_recovery import copied_beside_newer_files

FOLDER = f"tanks.json.{'x' * 12}"
"""A folder that is called as a temporary file is."""


@pytest.mark.parametrize("fault", [DECIDED, HALF, ALL])
def test_completes_what_was_decided(strace: str, tmp_path: Path, fault: str) -> None:
    paths = three_files(tmp_path)
    interrupt(strace, paths, fault)
    ran = run("recover", tmp_path)
    assert ran.status == 0
    assert ran.err == ""
    assert ran.out.count("batch rolled forward") == 1
    assert all(str(path) in ran.out for path in paths[:1])
    assert ran.out.endswith(f"In order: {tmp_path}\n")
    assert contents(paths) == ["new"] * 3
    require_tidy({path.parent for path in paths})
    assert found(tmp_path, status=0) == []


def test_takes_back_what_was_not(strace: str, tmp_path: Path) -> None:
    paths = undecided(strace, tmp_path)
    ran = run("recover", tmp_path)
    assert ran.status == 0
    assert "batch rolled back" in ran.out
    assert "leftover removed" in ran.out
    assert contents(paths) == ["old"] * 3
    require_tidy({path.parent for path in paths})
    assert found(tmp_path, status=0) == []


def test_removes_a_journal_that_decided_nothing(strace: str, tmp_path: Path) -> None:
    paths = torn(strace, tmp_path)
    ran = run("recover", tmp_path)
    assert ran.status == 0
    assert "removed a journal that decided nothing" in ran.out
    assert contents(paths) == ["old"] * 2
    require_tidy({tmp_path})
    locks = sorted(path.name for path in (tmp_path / ".oasis_data" / "locks").iterdir())
    assert locks == ["a.json.lock", "b.json.lock"]


@pytest.mark.parametrize("name", ["here", "there"])
def test_reaches_and_names_files_of_the_batch_outside_the_folder(
    strace: str, tmp_path: Path, name: str
) -> None:
    paths = three_files(tmp_path)
    interrupt(strace, paths, DECIDED)
    ran = run("recover", tmp_path / name)
    assert ran.status == 0
    assert all(str(path) in ran.out for path in paths)
    assert contents(paths) == ["new"] * 3


def test_says_what_it_cannot_do_and_does_the_rest(strace: str, tmp_path: Path) -> None:
    paths = three_files(tmp_path / "one")
    interrupt(strace, paths, DECIDED)
    os.rename(tmp_path / "one" / "there", tmp_path / "away")
    (tmp_path / "one" / "there").mkdir()
    others = three_files(tmp_path / "two")
    interrupt(strace, others, DECIDED)
    (tmp_path / "three" / ".oasis_data").mkdir(parents=True)
    (tmp_path / "three" / ".oasis_data" / "journal").write_text('{"format": 2}')
    ran = run("recover", tmp_path)
    assert ran.status == 3
    # Both journals of the one, and that of another release.
    assert ran.err.count("not done") == 3
    assert "not mounted" in ran.err
    assert "another release" in ran.err
    assert "Traceback" not in ran.err
    assert f"oasis-data verify {tmp_path}" in ran.out
    assert contents(others) == ["new"] * 3


def test_tells_which_files_were_changed_after_their_batch(strace: str, tmp_path: Path) -> None:
    paths = copied_beside_newer_files(strace, tmp_path)
    ran = run("recover", tmp_path / "mirror")
    assert (ran.status, ran.err) == (0, "")
    assert ran.out.count("kept as it is") == 3
    for path in paths:
        (told,) = [line for line in ran.out.splitlines() if f"kept as it is  {path}: " in line]
        assert re.search(rf"kept as {path.name}\.backup\.\d", told)
    assert contents(paths) == ["newest"] * 3


@contextmanager
def mount_point(path: Path) -> Iterator[None]:
    """The file is mounted onto itself: nothing can be renamed onto it."""
    require(os.geteuid() == 0, "needs root, to mount")
    mount = subprocess.run(["mount", "--bind", path, path], capture_output=True, check=False)
    require(mount.returncode == 0, "needs the right to mount")
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", path], check=True)


def test_tells_the_file_that_cannot_be_replaced_and_does_the_rest(
    strace: str, tmp_path: Path
) -> None:
    a, b, c = paths = three_files(tmp_path)
    interrupt(strace, paths, DECIDED)
    with mount_point(b):
        for done in ([a], []):
            ran = run("recover", tmp_path)
            assert ran.status == 3
            assert "Device or resource busy" in ran.err
            assert f"--give-up {b}" in ran.err
            assert ("done all the same" in ran.err) == bool(done)
            assert all(f"--give-up {path}" not in ran.err for path in (a, c))
            assert [a.read_text(), c.read_text()] == ['"new"'] * 2
        # Held up by nothing: neither these nor others, one by one or together.
        save_many_atomic({a: "next", c: "next", b.with_name("d.json"): "next"})
        save_json_atomic(a, "after")
        assert load_data_file(b) == "new"
        with pytest.raises(JSONWriteError, match=r"b\.json: rename .* oasis-data recover"):
            save_json_atomic(b, "next")
    ran = run("recover", tmp_path)
    assert ran.status == 0
    assert contents(paths) == ["after", "new", "next"]
    require_tidy({path.parent for path in paths})


def test_a_file_that_cannot_be_replaced_can_be_given_up(strace: str, tmp_path: Path) -> None:
    a, b, c = paths = three_files(tmp_path)
    interrupt(strace, paths, DECIDED)
    with mount_point(b):
        ran = run("recover", tmp_path, "--give-up", b)
        assert (ran.status, ran.err) == (0, "")
        newest = list_backups(b)[0]
        assert Path(newest.path).name in ran.out
        assert json.loads(Path(newest.path).read_text()) == "new"
        assert load_data_file(b) == "old"
        require_tidy({path.parent for path in paths})
    assert contents([a, c]) == ["new"] * 2
    ran = run("recover", tmp_path, "--give-up", b)
    assert ran.status == 1
    assert "no interrupted batch" in ran.out


def test_an_immutable_file_can_be_given_up(strace: str, tmp_path: Path) -> None:
    # Its backup is a link of it: no other file can be put under that name either.
    a, b, c = paths = three_files(tmp_path)
    interrupt(strace, paths, DECIDED)
    with marked(b, "i"):
        ran = run("recover", tmp_path)
        assert ran.status == 3
        assert f"--give-up {b}" in ran.err
        ran = run("recover", tmp_path, "--give-up", b)
        assert (ran.status, ran.err) == (0, "")
        newest, *_ = list_backups(b)
        assert Path(newest.path).name in ran.out
        assert json.loads(Path(newest.path).read_text()) == "new"
        assert load_data_file(b) == "old"
        require_tidy({path.parent for path in paths})
    assert contents([a, c]) == ["new"] * 2
    save_json_atomic(b, "next")
    assert [json.loads(Path(backup.path).read_text()) for backup in list_backups(b)] == [
        "old",
        "new",
        "old",
    ]


def test_a_batch_whose_folder_is_gone_can_be_given_up(strace: str, tmp_path: Path) -> None:
    paths = three_files(tmp_path)
    interrupt(strace, paths, DECIDED)
    os.rename(tmp_path / "there", tmp_path.parent / f"{tmp_path.name}-away")
    a, b, _ = paths
    ran = run("recover", tmp_path, "--give-up", a, "--give-up", b)
    assert (ran.status, ran.err) == (0, "")
    assert contents([a, b]) == ["old"] * 2
    assert [json.loads(Path(list_backups(path)[0].path).read_text()) for path in (a, b)] == [
        "new"
    ] * 2
    require_tidy({tmp_path / "here"})
    save_many_atomic({a: 1, b: 2})


def test_removes_what_killed_writers_left(strace: str, tmp_path: Path) -> None:
    path, new = tmp_path / "tanks.json", tmp_path / "new.json"
    save_json_atomic(path, "old")
    kill(strace, "renameat", SAVE, path)
    kill(strace, "renameat", SAVE, new)
    assert len(temporaries(tmp_path)) == 2
    ran = run("recover", tmp_path)
    assert ran.status == 0
    assert ran.out.count("leftover removed") == 2
    assert temporaries(tmp_path) == []
    assert load_data_file(path) == "old"
    assert not new.exists()
    assert run("recover", tmp_path).out == f"Nothing to recover: {tmp_path}\n"


def test_removes_the_copy_of_what_may_not_be_moved(strace: str, tmp_path: Path) -> None:
    path = tmp_path / "tanks.json"
    save_json_atomic(path, "old", backup=False)
    faults = ["renameat,renameat2:error=EXDEV", "fsync:signal=SIGKILL:when=2"]
    injected = [argument for fault in faults for argument in ("-e", f"inject={fault}")]
    save = [sys.executable, "-c", SAVE, str(path)]
    command = [strace, "-f", "-qq", "-o", os.devnull, *injected, *save]
    assert subprocess.run(command, check=False, timeout=120).returncode != 0
    (left,) = temporaries(tmp_path)
    assert (tmp_path / f".{left}").exists()
    ran = run("recover", tmp_path)
    assert ran.status == 0
    assert ran.out.count("leftover removed") == 1
    assert not (tmp_path / f".{left}").exists()
    assert temporaries(tmp_path) == []


def test_leaves_what_may_be_the_only_good_copy(strace: str, tmp_path: Path) -> None:
    path = tmp_path / "tanks.json"
    save_json_atomic(path, "old")
    kill(strace, "renameat", SAVE, path)
    path.write_text("")
    ran = run("recover", tmp_path)
    assert ran.status == 1
    assert "left alone" in ran.out
    assert "may be a good copy" in ran.out
    (left,) = temporaries(tmp_path)
    assert json.loads((tmp_path / ".oasis_data" / "temp" / left).read_text()) == "new"


def test_leaves_the_leftover_of_a_name_that_is_too_long_to_tell(
    strace: str, tmp_path: Path
) -> None:
    path = tmp_path / f"{'x' * 210}.json"
    kill(strace, "renameat", SAVE, path)
    (finding,) = found(tmp_path)
    assert finding["problem"].startswith("an unfinished save of a file with a very long name")
    assert "recover" not in finding["advice"]
    ran = run("recover", tmp_path)
    assert ran.status == 1
    assert "the next save of its file" in ran.out
    save_json_atomic(path, 1)
    assert run("recover", tmp_path).status == 0


def test_leaves_what_is_not_ours(tmp_path: Path) -> None:
    save_json_atomic(tmp_path / "tanks.json", "old")
    strays = [tmp_path / ".oasis_data" / "temp" / name for name in ("notes", FOLDER)]
    strays[0].write_text("mine")
    strays[1].mkdir()
    ran = run("recover", tmp_path)
    assert ran.status == 1
    for stray in strays:
        assert f"left alone  {stray}\n  not a temporary file of oasis_data\n" in ran.out
    assert strays[0].read_text() == "mine"
    assert [(each["kind"], each["path"]) for each in found(tmp_path)] == [
        ("foreign_temp", str(stray)) for stray in sorted(strays)
    ]
    assert f"rmdir {strays[1]}" in found(tmp_path)[1]["advice"]


def test_names_a_leftover_that_cannot_be_removed_and_removes_the_others(
    strace: str, tmp_path: Path
) -> None:
    path = tmp_path / "tanks.json"
    save_json_atomic(path, "old")
    temp = tmp_path / ".oasis_data" / "temp"
    stuck, free = (temp / f"tanks.json.{letter * 12}" for letter in "ab")
    for leftover in (stuck, free):
        leftover.write_text('"new"')
    command = [strace, "-f", "-o", os.devnull, "-P", str(stuck), "-e", "inject=unlink:error=EPERM"]
    script = Path(sys.executable).with_name("oasis-data")
    ran = subprocess.run(
        [*command, script, "recover", tmp_path], capture_output=True, text=True, check=False
    )
    assert ran.returncode == 3
    assert ran.stderr == f"not done  {stuck}\n  Operation not permitted\n"
    assert temporaries(tmp_path) == [stuck.name]


def test_leaves_what_a_live_writer_has(strace: str, tmp_path: Path) -> None:
    path = tmp_path / "tanks.json"
    kill(strace, "renameat", SAVE, path)
    (left,) = temporaries(tmp_path)
    with open(tmp_path / ".oasis_data" / "temp" / left) as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        assert run("recover", tmp_path).status == 0
        assert temporaries(tmp_path) == [left]


def test_waits_for_a_live_writer_of_the_file(strace: str, tmp_path: Path) -> None:
    path = tmp_path / "tanks.json"
    save_json_atomic(path, {})
    kill(strace, "renameat", SAVE, path)
    with edit_json(path):
        ran = run("recover", "--timeout", 0.05, tmp_path)
        assert ran.status == 3
        assert f"still locked by process {os.getpid()}" in ran.err
    assert run("recover", tmp_path).status == 0


@pytest.mark.timeout(300)
def test_killed_at_every_change_it_leaves_the_rest_to_the_next(strace: str, tmp_path: Path) -> None:
    script = Path(sys.executable).with_name("oasis-data")
    killed = 0
    for call in ("renameat", "unlinkat", "unlink"):
        for when in range(1, 6):
            folder = tmp_path / f"{call}{when}"
            paths = three_files(folder)
            kill(strace, "renameat", SAVE, folder / "here" / "left.json")
            interrupt(strace, paths, DECIDED)
            inject = f"inject={call}:signal=SIGKILL:when={when}"
            done = subprocess.run(
                [strace, "-f", "-o", os.devnull, "-e", inject, script, "recover", folder],
                capture_output=True,
                check=False,
                timeout=120,
            )
            killed += done.returncode != 0
            assert run("recover", folder).status == 0
            assert contents(paths) == ["new"] * 3
            require_tidy({path.parent for path in paths})
            if done.returncode == 0:
                break
    assert killed >= 5


def locks(folder: Path) -> list[str]:
    return sorted(path.name for path in (folder / ".oasis_data" / "locks").iterdir())


def test_removes_the_locks_of_documents_that_are_gone(tmp_path: Path) -> None:
    for folder in (tmp_path, tmp_path / "below"):
        for number in range(3):
            path = folder / f"session-{number}.json"
            save_json_atomic(path, number, make_parents=True)
            delete_json_atomic(path, backup=number == 0)
        save_json_atomic(folder / "there.json", 1)
    # Called otherwise, it is known by its lock alone.
    save_json_atomic(tmp_path / "there", 1)
    with edit_json(tmp_path / "new.json"):
        ran = run("recover", tmp_path)
        assert ran.status == 0
        assert f"3 locks removed  {tmp_path}: of documents that are gone\n" in ran.out
        assert f"3 locks removed  {tmp_path / 'below'}: of documents that are gone\n" in ran.out
        assert locks(tmp_path) == ["new.json.lock", "there.json.lock", "there.lock"]
    assert locks(tmp_path / "below") == ["there.json.lock"]
    assert run("recover", tmp_path).out == f"Nothing to recover: {tmp_path}\n"
    # What is gone can be had back.
    gone = tmp_path / "session-0.json"
    assert len(list_backups(gone)) == 1
    restore_backup(gone)
    assert load_data_file(gone) == 0


def test_names_a_folder_whose_locks_cannot_be_removed(strace: str, tmp_path: Path) -> None:
    for name in ("a.json", "b.json"):
        save_json_atomic(tmp_path / name, 1)
        delete_json_atomic(tmp_path / name)
    script = Path(sys.executable).with_name("oasis-data")
    # By the name that the syscall is given.
    stuck = ".oasis_data/locks/a.json.lock"
    command = [strace, "-f", "-o", os.devnull, "-P", stuck, "-e", "inject=unlinkat:error=EPERM"]
    ran = subprocess.run(
        [*command, script, "recover", tmp_path], capture_output=True, text=True, check=False
    )
    assert ran.returncode == 3
    assert ran.stderr.startswith(f"not done  {tmp_path}\n")
    assert "unlink of a lock failed: Operation not permitted" in ran.stderr
    assert "1 lock removed" in ran.stdout
    assert locks(tmp_path) == ["a.json.lock"]


def add_and_take(folder: str, rounds: int, took: multiprocessing.Queue[int]) -> None:
    """Counts in documents that come and go: adds to each, and now and then takes one away."""
    configure(durability="process", backups_kept=0)
    taken = 0
    for number in range(rounds):
        path = os.path.join(folder, f"{number % 3}.json")
        with edit_json(path, default={"n": 0}, timeout=120) as document:
            document["n"] += 1
        if number % 2:
            document, version = load_with_version(path)
            try:
                if document:
                    delete_json_atomic(path, if_version=version, timeout=120)
                    taken += document["n"]
            except (VersionConflictError, FileNotFoundError):
                pass  # another writer was faster
    took.put(taken)


@pytest.mark.timeout(300)
def test_no_update_is_lost_beside_the_removal_of_locks(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    took = context.Queue()
    writers = [
        context.Process(target=add_and_take, args=(str(tmp_path), 300, took)) for _ in range(3)
    ]
    for writer in writers:
        writer.start()
    removed = 0
    while any(writer.is_alive() for writer in writers):
        counted, failures = _native.collect_locks(tmp_path)
        assert failures == []
        removed += counted
    for writer in writers:
        writer.join()
    assert [writer.exitcode for writer in writers] == [0] * 3
    left = [load_data_file(tmp_path / f"{number}.json", default={"n": 0}) for number in range(3)]
    assert sum(took.get() for _ in writers) + sum(each["n"] for each in left) == 900
    assert removed > 20
    assert run("recover", tmp_path).status == 0
