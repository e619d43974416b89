"""`recover`: what dead writers left is finished or taken back, and nothing else touched."""

from __future__ import annotations

import fcntl
import json
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
    edit_json,
    list_backups,
    load_data_file,
    save_json_atomic,
    save_many_atomic,
)
from tests.cli.console import run
from tests.cli.test_verify import SAVE, found, kill, torn, undecided
from tests.conftest import require, temporaries
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
    assert ran.out.count("batch completed") == 1
    assert all(str(path) in ran.out for path in paths[:1])
    assert ran.out.endswith(f"In order: {tmp_path}\n")
    assert contents(paths) == ["new"] * 3
    require_tidy({path.parent for path in paths})
    assert found(tmp_path, status=0) == []


def test_takes_back_what_was_not(strace: str, tmp_path: Path) -> None:
    paths = undecided(strace, tmp_path)
    ran = run("recover", tmp_path)
    assert ran.status == 0
    assert "batch taken back" in ran.out
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
