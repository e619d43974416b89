"""`verify`: each kind of finding, by its real cause, and nothing changed by the look."""

from __future__ import annotations

import contextlib
import fcntl
import gzip
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from oasis_data import (
    CorruptFileError,
    delete_json_atomic,
    list_backups,
    load_data_file,
    save_json_atomic,
    save_many_atomic,
)
from oasis_data.cli.verify import verify
from tests.cli.console import run, terminal
from tests.conftest import require, temporaries
from tests.nobody import as_nobody
from tests.test_batch import BATCH, DECIDED, interrupt, three_files

TORN_BY_HAND = (
    "import json, os, signal, sys\n"
    "with open(sys.argv[1], 'w') as file:\n"
    "    file.write(json.dumps({'tanks': list(range(1000))})[:100])\n"
    "    file.flush()\n"
    "    os.kill(os.getpid(), signal.SIGKILL)\n"
)
SAVE = "import sys, oasis_data\noasis_data.save_json_atomic(sys.argv[1], 'new')\n"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A file at its third version."""
    path = tmp_path / "tanks.json"
    for version in range(3):
        save_json_atomic(path, {"version": version})
    return path


def found(folder: Path, status: int = 1) -> list[dict[str, str]]:
    """The findings, as a program reads them."""
    ran = run("verify", "--json", folder)
    assert ran.err == ""
    assert ran.status == status
    report = json.loads(ran.out)
    assert report["ok"] is (status == 0)
    findings: list[dict[str, str]] = report["findings"]
    return findings


def kinds(folder: Path) -> list[tuple[str, str]]:
    """Each finding's kind and path from the folder."""
    return [(each["kind"], os.path.relpath(each["path"], folder)) for each in found(folder)]


def kill(strace: str, inject: str, code: str, *arguments: object, only: Path | None = None) -> None:
    """Runs code in a process that is killed at a syscall (on one path, if given)."""
    command = [strace, "-f", "-o", os.devnull, "-e", f"inject={inject}:signal=SIGKILL"]
    if only:
        command += ["-P", str(only)]
    done = subprocess.run(
        [*command, sys.executable, "-c", code, *map(str, arguments)],
        capture_output=True,
        check=False,
        timeout=120,
    )
    assert done.returncode, "was not killed"


def tree(folder: Path) -> dict[str, Any]:
    """All that a look could change: names, inodes, sizes, stamps, contents."""
    seen: dict[str, Any] = {}
    for place, folders, files in os.walk(folder):
        for name in [".", *folders, *files]:
            path = Path(place, name)
            status = path.lstat()
            content = path.read_bytes() if path.is_file() else b""
            seen[str(path)] = (status.st_ino, status.st_nlink, status.st_size, status.st_mode)
            seen[str(path)] += (status.st_mtime_ns, status.st_ctime_ns, content)
    return seen


def test_all_well(path: Path) -> None:
    save_json_atomic(path.parent / "below" / "routes.json", [], make_parents=True)
    ran = run("verify", path.parent)
    assert ran.status == 0
    assert ran.err == ""
    size = sum(
        file.stat().st_size for file in path.parent.rglob("*.json*") if "lock" not in file.name
    )
    assert ran.out == f"All well: 2 files and 2 backups ({size} bytes) in {path.parent}\n"
    assert found(path.parent, status=0) == []


def test_a_folder_without_files_is_doubted(tmp_path: Path) -> None:
    ran = run("verify", tmp_path)
    assert ran.status == 0
    assert "no JSON files are there: is it the right folder?" in ran.out


def test_a_file_torn_by_a_bare_writer_that_died(path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", TORN_BY_HAND, path], check=False)
    assert done.returncode == -9
    (finding,) = found(path.parent)
    assert (finding["kind"], finding["path"]) == ("corrupt", str(path))
    assert finding["problem"] == "Expecting value: line 1 column 101"
    assert f"oasis-data restore {path}" in finding["advice"]
    ran = run("verify", path.parent)
    assert ran.status == 1
    assert ran.out.startswith(f"corrupt  {path}\n  Expecting value: line 1 column 101\n  -> ")
    assert "1 finding among 1 file and 2 backups" in ran.out


def test_a_corrupt_file_without_a_whole_backup(path: Path) -> None:
    path.write_text("")
    for backup in list_backups(path):
        Path(backup.path).write_text("{")
    assert [finding["kind"] for finding in found(path.parent)] == ["corrupt"] + [
        "corrupt_backup"
    ] * 2
    corrupt = found(path.parent)[0]
    assert corrupt["problem"] == "empty"
    assert "no backup of it is whole" in corrupt["advice"]
    assert "restore" not in corrupt["advice"]


def test_a_corrupt_file_that_a_symlink_leads_to_has_its_backups_beside_it(path: Path) -> None:
    (path.parent / "current").mkdir()
    link = path.parent / "current" / "tanks.json"
    link.symlink_to("../tanks.json")
    Path(list_backups(path)[0].path).write_text("{")
    path.write_text("")
    (finding,) = found(link.parent)
    assert (finding["kind"], finding["path"]) == ("corrupt", str(link))
    assert f"oasis-data restore {link}" in finding["advice"]
    assert run("restore", "--yes", link).status == 0
    assert load_data_file(path) == {"version": 0}
    for backup in list_backups(path):
        os.unlink(backup.path)
    path.write_text("")
    assert "no backup of it is whole" in found(link.parent)[0]["advice"]


def test_a_file_and_the_symlinks_to_it_are_one_file(
    path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    elsewhere = tmp_path_factory.mktemp("elsewhere") / "far.json"
    elsewhere.write_text("{")
    path.write_text("{")
    links = path.parent / "links"
    links.mkdir()
    for name in ("a.json", "b.json"):
        (links / name).symlink_to(path)
        (links / f"far-{name}").symlink_to(elsewhere)
    report = json.loads(run("verify", "--json", path.parent).out)
    assert report["files"] == 2
    paths = [finding["path"] for finding in report["findings"]]
    assert paths == [str(links / "far-a.json"), str(path)]
    figures = json.loads(run("stats", "--json", path.parent).out)
    assert (figures["files"], figures["file_bytes"]) == (2, 2)


@pytest.mark.parametrize("delete", [delete_json_atomic, os.unlink])
def test_a_file_that_is_gone_is_noted(path: Path, delete: Callable[[Path], object]) -> None:
    delete(path)
    ran = run("verify", path.parent)
    assert ran.status == 0
    assert "All well" not in ran.out
    assert ran.out.startswith(f"gone  {path}\n  is not there, but a backup of it is")
    assert "0 findings and 1 note among 0 files" in ran.out
    report = json.loads(run("verify", "--json", path.parent).out)
    assert report["ok"]
    (note,) = report["notes"]
    assert (note["kind"], note["path"]) == ("gone", str(path))
    assert f"oasis-data restore {path}" in note["advice"]
    for backup in list_backups(path):
        Path(backup.path).write_text("{")
    torn = json.loads(run("verify", "--json", path.parent).out)
    assert torn["notes"] == []  # what is left of it are findings
    assert [finding["kind"] for finding in torn["findings"]] == ["corrupt_backup"] * len(
        list_backups(path)
    )


def test_of_many_files_that_are_gone_the_first_are_printed(tmp_path: Path) -> None:
    for number in range(22):
        for version in range(2):
            save_json_atomic(tmp_path / f"{number}.json", version)
        os.unlink(tmp_path / f"{number}.json")
    out = run("verify", tmp_path).out
    assert out.count("gone  ") == 20
    assert "... and 2 notes more: see --json" in out
    assert "0 findings and 22 notes" in out
    assert len(json.loads(run("verify", "--json", tmp_path).out)["notes"]) == 22


def test_a_compressed_backup_is_read(path: Path) -> None:
    whole, cut = (Path(backup.path) for backup in list_backups(path))
    for backup in (whole, cut):
        with gzip.open(f"{backup}.gz", "wb") as file:
            file.write(backup.read_bytes())
        backup.unlink()
    assert run("verify", path.parent).status == 0
    compressed = Path(f"{cut}.gz")
    compressed.write_bytes(compressed.read_bytes()[:-6])
    ((kind, name),) = kinds(path.parent)
    assert (kind, name) == ("corrupt_backup", compressed.name)


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"\0" * 100,
        b"[1, 2",
        b"{} {}",
        b'{"a": 1, "a": 2}',
        b"NaN",
        b"[1e999]",
        b'\xef\xbb\xbf{"a": 1}',
        '{"a": 1}'.encode("utf-16"),
        b'["\xff"]',
        b'["\xed\xa0\x80"]',
        b'["\\ud800"]',
        b"[" * 100_000 + b"]" * 100_000,
        b"9" * 10_000,
        b" null ",
    ],
    ids=lambda text: repr(text[:12]),
)
def test_finds_corrupt_what_a_load_does(path: Path, text: bytes) -> None:
    path.write_bytes(text)
    try:
        load_data_file(path, strict=True)
        loads = True
    except (CorruptFileError, RecursionError, ValueError):
        loads = False
    assert run("verify", path.parent).status == (0 if loads else 1)


def test_a_leftover_of_a_killed_writer(strace: str, path: Path) -> None:
    kill(strace, "renameat", SAVE, path)
    (left,) = temporaries(path.parent)
    assert kinds(path.parent) == [("leftover", f".oasis_data/temp/{left}")]
    assert found(path.parent)[0]["problem"] == f"an unfinished save of {path}, whose writer died"
    save_json_atomic(path, "newer")
    assert found(path.parent, status=0) == []


def test_a_leftover_of_a_corrupt_file_may_be_all_that_there_is(strace: str, path: Path) -> None:
    kill(strace, "renameat", SAVE, path)
    path.write_text("{")
    findings = found(path.parent)
    assert [finding["kind"] for finding in findings] == ["corrupt", "leftover"]
    assert "the only good copy" in findings[1]["advice"]


def test_what_a_live_writer_has_is_no_leftover(strace: str, path: Path) -> None:
    kill(strace, "renameat", SAVE, path)
    (left,) = temporaries(path.parent)
    with open(path.parent / ".oasis_data" / "temp" / left) as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        assert found(path.parent, status=0) == []


@pytest.mark.parametrize("name", ["tanks.json.tmp", "tanks.json~", ".tanks.json.swp"])
def test_what_other_programs_leave(path: Path, name: str) -> None:
    (path.parent / name).write_text("{}")
    assert kinds(path.parent) == [("foreign_temp", name)]
    (path.parent / "elsewhere").mkdir()
    (path.parent / name).rename(path.parent / "elsewhere" / name)
    assert found(path.parent, status=0) == []  # beside no data file


def test_a_symlink_to_nothing(path: Path) -> None:
    (path.parent / "link.json").symlink_to("gone.json")
    (finding,) = found(path.parent)
    assert finding["kind"] == "unreadable"
    assert finding["problem"] == "a symlink to gone.json, which is not there"
    assert "bring that file back" in finding["advice"]


def test_a_symlink_to_what_is_gone_but_has_a_backup(path: Path) -> None:
    link = path.parent / "links" / "link.json"
    link.parent.mkdir()
    link.symlink_to(path)
    path.unlink()
    (finding,) = found(link.parent)
    assert finding["problem"] == f"a symlink to {path}, which is not there"
    assert f"oasis-data restore {link}" in finding["advice"]
    assert run("restore", "--yes", link).status == 0
    assert load_data_file(path) == {"version": 1}
    assert link.is_symlink()


def test_a_symlink_that_leads_in_a_circle(path: Path) -> None:
    link = path.parent / "loop.json"
    link.symlink_to("loop.json")
    (finding,) = found(path.parent)
    assert finding["problem"] == (
        "a symlink to loop.json, which cannot be followed: Too many levels of symbolic links"
    )
    assert "bring that file back" not in finding["advice"]
    assert f"ln -sfn FILE {link}" in finding["advice"]


def look() -> list[tuple[str, str]]:
    return [(finding.kind, finding.path) for finding in verify(".").findings]


def test_what_may_not_be_read(path: Path) -> None:
    require(os.geteuid() == 0, "needs root, to become nobody")
    path.chmod(0)
    for name in ("closed", "lost+found"):
        (path.parent / name).mkdir(mode=0o700)
    for folder in ("", ".oasis_data", ".oasis_data/locks", ".oasis_data/temp"):
        (path.parent / folder).chmod(0o755)
    assert as_nobody(path.parent, look) == [
        ("unreadable", "./closed"),
        ("unreadable", "./tanks.json"),
    ]


# Interrupted batches


def test_a_batch_that_was_decided(strace: str, tmp_path: Path) -> None:
    paths = three_files(tmp_path)
    interrupt(strace, paths, DECIDED)
    findings = found(tmp_path)
    assert [finding["kind"] for finding in findings] == ["interrupted_batch"] * 2
    decision = next(
        each for each in findings if "c.json" in each["problem"] and "a.json" in each["problem"]
    )
    assert decision["problem"].startswith("decided: recovering it completes it; it changes ")
    assert all(str(path) in decision["problem"] for path in paths)
    assert all("oasis-data recover" in finding["advice"] for finding in findings)
    assert [json.loads(path.read_text()) for path in paths] == ["old"] * 3


def undecided(strace: str, folder: Path) -> list[Path]:
    paths = three_files(folder)
    journals = [folder / name / ".oasis_data" / "journal" for name in ("here", "there")]
    # The one that only leads to the decision is written and synced first.
    command = [strace, "-f", "-o", os.devnull, "-e", "inject=fsync:signal=SIGKILL"]
    command += [part for journal in journals for part in ("-P", str(journal))]
    command += [sys.executable, "-c", BATCH, "new", *map(str, paths)]
    done = subprocess.run(command, capture_output=True, check=False, timeout=120)
    assert done.stdout == b"begin"
    # The other, which would decide, is begun but empty.
    assert sorted(bool(journal.read_bytes()) for journal in journals) == [False, True]
    return paths


def torn(strace: str, folder: Path) -> list[Path]:
    paths = [folder / "a.json", folder / "b.json"]
    for path in paths:
        save_json_atomic(path, "old")
    kill(strace, "write", BATCH, "new", *paths, only=folder / ".oasis_data" / "journal")
    assert (folder / ".oasis_data" / "journal").read_bytes() == b""
    return paths


def test_a_batch_that_was_not_decided(strace: str, tmp_path: Path) -> None:
    undecided(strace, tmp_path)
    findings = found(tmp_path)
    problems = [each["problem"] for each in findings if each["kind"] == "interrupted_batch"]
    unfinished, undone = sorted(problems)
    assert unfinished.startswith("its journal was never finished")
    assert undone.startswith("not decided: recovering it takes it back")
    # New contents that no journal accounts for are leftovers.
    others = [finding["kind"] for finding in findings if finding["problem"] not in problems]
    assert set(others) == {"leftover"}


def test_a_journal_that_was_not_finished(strace: str, tmp_path: Path) -> None:
    torn(strace, tmp_path)
    findings = found(tmp_path)
    assert [finding["kind"] for finding in findings] == [
        "interrupted_batch",
        "leftover",
        "leftover",
    ]
    assert findings[0]["problem"].startswith("its journal was never finished")


@pytest.mark.parametrize("used", [False, True])
def test_a_batch_whose_folder_is_gone(strace: str, tmp_path: Path, used: bool) -> None:
    interrupt(strace, three_files(tmp_path), DECIDED)
    os.rename(tmp_path / "there", tmp_path.parent / f"{tmp_path.name}-unmounted")
    (tmp_path / "there").mkdir()  # what a mount point is without its disk
    if used:
        (tmp_path / "elsewhere").mkdir()
        save_many_atomic({tmp_path / name / "own.json": 1 for name in ("there", "elsewhere")})
    (finding,) = found(tmp_path)
    assert "not mounted" in finding["problem"]
    assert "give the batch up" in finding["advice"]


@pytest.mark.parametrize("text", ['{"format": 2}', "[]", "1", '{"format": 1}'])
def test_a_journal_of_another_release(path: Path, text: str) -> None:
    (path.parent / ".oasis_data" / "journal").write_text(text)
    (finding,) = found(path.parent)
    assert finding["kind"] == "interrupted_batch"
    assert "another release" in finding["problem"]


@pytest.mark.parametrize("name", ["journal", "journal.1", "journal.lock"])
def test_what_cannot_be_read_of_a_journal_is_named(path: Path, name: str) -> None:
    sidecar = path.parent / ".oasis_data"
    if name != "journal":
        (sidecar / "journal").write_text("{")
    (sidecar / name).symlink_to("elsewhere")
    (finding,) = found(path.parent)
    assert (finding["kind"], finding["path"]) == ("unreadable", str(sidecar / name))


def test_a_batch_that_is_being_carried_out_is_no_finding(strace: str, tmp_path: Path) -> None:
    interrupt(strace, three_files(tmp_path), DECIDED)
    held = [tmp_path / name / ".oasis_data" / "journal.lock" for name in ("here", "there")]
    held += tmp_path.glob("*/.oasis_data/temp/*")
    with contextlib.ExitStack() as files:
        for path in held:
            fcntl.flock(files.enter_context(open(path)), fcntl.LOCK_EX)
        assert found(tmp_path, status=0) == []


# The look itself


def everything(strace: str, folder: Path) -> None:
    interrupt(strace, three_files(folder), DECIDED)
    undecided(strace, folder / "undecided")
    (folder / "torn").mkdir()
    torn(strace, folder / "torn")
    path = folder / "tanks.json"
    for version in range(3):
        save_json_atomic(path, version)
    kill(strace, "renameat", SAVE, path)
    Path(list_backups(path)[0].path).write_text("{")
    (folder / "corrupt.json").write_text("{")
    (folder / "tanks.json.tmp").write_text("")
    (folder / "link.json").symlink_to("nowhere")


def test_changes_nothing(strace: str, tmp_path: Path) -> None:
    everything(strace, tmp_path)
    before = tree(tmp_path)
    assert {kind for kind, _ in kinds(tmp_path)} == {
        "corrupt",
        "corrupt_backup",
        "interrupted_batch",
        "unreadable",
        "leftover",
        "foreign_temp",
    }
    assert run("stats", tmp_path).status == 0
    assert tree(tmp_path) == before


def test_the_gravest_come_first(strace: str, tmp_path: Path) -> None:
    everything(strace, tmp_path)
    order = ["corrupt", "interrupted_batch", "unreadable", "corrupt_backup", "leftover"]
    seen = [kind for kind, _ in kinds(tmp_path)]
    assert seen == sorted(seen, key=[*order, "foreign_temp"].index)


def test_files_are_those_called_json_and_those_that_were_saved(tmp_path: Path) -> None:
    save_json_atomic(tmp_path / "state", 1)
    (tmp_path / "upper.JSON").write_text("{")
    (tmp_path / "notes.txt").write_text("{")
    (tmp_path / "folder.json").mkdir()
    os.mkfifo(tmp_path / "pipe.json")
    (tmp_path / "state").write_text("{")
    assert sorted(kinds(tmp_path)) == [("corrupt", "state"), ("corrupt", "upper.JSON")]


def test_long_work_on_a_terminal_has_a_bar(tmp_path: Path) -> None:
    short = terminal("verify", tmp_path)
    assert "Reading" not in short.out
    for number in range(4):
        (tmp_path / f"{number}.json").write_bytes(b"[" + b"1234567, " * 600_000 + b"1]")
    ran = terminal("verify", tmp_path)
    assert ran.status == 0
    assert "Reading" in ran.out
    assert "%" in ran.out
    assert ran.plain.rstrip().endswith(f"All well: 4 files and 0 backups (21.6 MB) in {tmp_path}")
    piped = run("verify", tmp_path)
    assert piped.err == ""
    assert "Reading" not in piped.out


def spell_dots(folder: Path) -> str:
    return f"{folder}/../{folder.name}"


@pytest.mark.parametrize("spell", [str, spell_dots, lambda folder: f"{folder}/"])
def test_a_folder_may_be_spelt_in_any_way(
    strace: str, tmp_path: Path, spell: Callable[[Path], str]
) -> None:
    interrupt(strace, three_files(tmp_path), DECIDED)
    ran = run("verify", "--json", spell(tmp_path))
    assert [each["kind"] for each in json.loads(ran.out)["findings"]] == ["interrupted_batch"] * 2
