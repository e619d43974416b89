"""Batches that died or are refused, met in a copy, by other users, or where little is allowed."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from oasis_data import (
    DataOperationError,
    edit_json,
    list_backups,
    load_data_file,
    load_many,
    save_json_atomic,
    save_many_atomic,
)
from tests.conftest import python, require, visible
from tests.nobody import as_nobody
from tests.test_batch import (
    BATCH,
    DECIDED,
    HALF,
    contents,
    first_and_last,
    injected,
    interrupt,
    load_all,
    open_to_all,
    require_tidy,
    three_files,
)
from tests.test_syscalls import trace

# A journal in a copy of its folder


def copied_beside_newer_files(strace: str, folder: Path) -> list[Path]:
    """What two copies into one folder leave: a journal of the first, and later files."""
    data, mirror = folder / "data", folder / "mirror"
    paths = three_files(data)
    interrupt(strace, paths, DECIDED)
    shutil.copytree(data, mirror)
    for version in ("newer", "newest"):
        save_many_atomic(dict.fromkeys(paths, version))
    shutil.copytree(data, mirror, dirs_exist_ok=True)
    return [mirror / path.relative_to(data) for path in paths]


def use_by_load(path: Path) -> None:
    assert load_data_file(path, strict=True) == "newest"


def use_by_save(path: Path) -> None:
    save_json_atomic(path, "newest")


def use_by_batch(path: Path) -> None:
    save_many_atomic({path: "newest"})


def use_by_load_of_many(path: Path) -> None:
    assert load_many([path]) == ["newest"]


def use_by_newest_edit(path: Path) -> None:
    with edit_json(path) as document:
        assert document == "newest"


def use_by_newest_listing(path: Path) -> None:
    assert json.loads(Path(list_backups(path)[0].path).read_text()) == "newer"


@pytest.mark.parametrize(
    "use",
    [
        use_by_load,
        use_by_load_of_many,
        use_by_save,
        use_by_batch,
        use_by_newest_edit,
        use_by_newest_listing,
    ],
)
def test_a_copied_journal_puts_no_old_content_back(
    strace: str, tmp_path: Path, use: Callable[[Path], None], caplog: pytest.LogCaptureFixture
) -> None:
    paths = copied_beside_newer_files(strace, tmp_path)
    use(paths[0])
    assert contents(paths) == ["newest"] * 3
    require_tidy({path.parent for path in paths})
    for path in paths:
        # What the batch was to save comes before what was saved after it.
        kept = [json.loads(Path(backup.path).read_text()) for backup in list_backups(path)]
        assert kept == ["newer", "new", "new", "old"]
        messages = [record.getMessage() for record in caplog.records]
        (told,) = [text for text in messages if repr(str(path)) in text]
        assert any(backup.name in told for backup in path.parent.glob("*.backup.*"))


def test_a_copied_journal_is_no_matter_for_one_who_may_only_read(
    strace: str, tmp_path: Path
) -> None:
    require(os.geteuid() == 0, "needs root, to become nobody")
    copied_beside_newer_files(strace, tmp_path)
    mirror = tmp_path / "mirror"
    open_to_all(mirror)
    assert as_nobody(mirror, load_all) == ["newest"] * 6


def test_a_batch_that_was_copied_whole_is_completed_in_the_copy(
    strace: str, tmp_path: Path
) -> None:
    paths = three_files(tmp_path / "data")
    interrupt(strace, paths, HALF)
    mirror = tmp_path / "mirror"
    subprocess.run(["cp", "-a", tmp_path / "data", mirror], check=True)
    copies = [mirror / path.relative_to(tmp_path / "data") for path in paths]
    assert load_data_file(copies[2]) == "new"
    assert contents(copies) == ["new"] * 3


@pytest.mark.parametrize("rename", [1, 2])
@pytest.mark.parametrize("fault", ["error=EXDEV", "error=EIO", "signal=SIGKILL"])
def test_what_was_changed_in_place_is_kept_whatever_fails_in_the_recovery(
    strace: str, tmp_path: Path, fault: str, rename: int
) -> None:
    path, *others = three_files(tmp_path)
    interrupt(strace, [path, *others], DECIDED)
    # By its inode, which the batch's backup is a link to.
    path.write_text('"changed"')
    code = "import sys, oasis_data; print(oasis_data.load_data_file(sys.argv[1]))"
    command = injected(strace, f"renameat:{fault}:when={rename}", code, path)
    first = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    if fault == "error=EXDEV":
        # A copy can be renamed.
        assert first.stdout == "changed\n", first.stderr
        require_tidy({tmp_path / "here", tmp_path / "there"})
    assert load_data_file(path, strict=True) == "changed"
    assert contents([path]) == ["changed"]
    assert json.loads(Path(list_backups(path)[0].path).read_text()) == "new"


@pytest.mark.parametrize("backup", [True, False])
def test_what_a_journal_says_is_replaced_is_on_the_disk_before(
    strace: str, tmp_path: Path, backup: bool
) -> None:
    path, other = tmp_path / "a.json", tmp_path / "b.json"
    save_many_atomic({path: "old", other: "old"})
    path.write_text('"by another program"')
    code = BATCH.replace("paths})", f"paths}}, backup={backup})")
    calls = trace(strace, tmp_path / "log", code, "new", path, other)
    begun, _ = first_and_last(calls, r'openat\(.*"\.oasis_data/journal", .*O_CREAT')
    assert first_and_last(calls, rf"fsync\(\d+<{path}>")[0] < begun
    assert first_and_last(calls, rf"fsync\(\d+<{tmp_path}>")[0] < begun
    # This one was synced by the save.
    assert not [call for call in calls if re.search(rf"fsync\(\d+<{other}>", call.text)]


@pytest.mark.parametrize("act", ["save_json_atomic(path, 'saved')", "delete_json_atomic(path)"])
@pytest.mark.parametrize("backup", [True, False])
def test_a_name_that_a_journal_relies_on_is_on_the_disk_before(
    strace: str, tmp_path: Path, act: str, backup: bool
) -> None:
    """Another writer has returned the lock, and has not synced the folder yet."""
    path, other = tmp_path / "a.json", tmp_path / "b.json"
    save_many_atomic({path: "old", other: "old"})
    last = 2 if "save" in act else 1
    kill = f"inject=fsync:signal=KILL:when={last}"
    code = f"import sys, oasis_data\npath = sys.argv[1]\noasis_data.{act}\n"
    killed = subprocess.run(
        [strace, "-f", "-o", "/dev/null", "-e", kill, sys.executable, "-c", code, path],
        check=False,
        timeout=120,
    )
    assert killed.returncode != 0
    assert not path.exists() or path.read_text() == '"saved"'
    code = BATCH.replace("paths})", f"paths}}, backup={backup})")
    calls = trace(strace, tmp_path / "log", code, "new", path, other)
    begun, _ = first_and_last(calls, r'openat\(.*"\.oasis_data/journal", .*O_CREAT')
    assert first_and_last(calls, rf"fsync\(\d+<{tmp_path}>")[0] < begun
    # The save has synced the content.
    assert not [call for call in calls if re.search(rf"fsync\(\d+<{path}>", call.text)]
    # What the batch itself has synced is not synced before the next journal.
    calls = trace(strace, tmp_path / "log", code, "newer", path, other)
    begun, _ = first_and_last(calls, r'openat\(.*"\.oasis_data/journal", .*O_CREAT')
    assert first_and_last(calls, rf"fsync\(\d+<{tmp_path}>")[0] > begun


# A journal that no batch has written


def plant(folder: Path, **change: str) -> Path:
    """A journal that decides a change of `a.json`, and the change given."""
    (folder / ".oasis_data" / "temp").mkdir(parents=True)
    (folder / "a.json").write_text('"old"')
    (folder / ".oasis_data" / "temp" / "new").write_text('"planted"')
    changes = [{"folder": ".", "name": "a.json", "temporary": "gone"}, {"folder": "."} | change]
    told = {"format": 1, "batch": "x", "decided_in": None, "backups": None, "places": []}
    (folder / ".oasis_data" / "journal").write_text(json.dumps(told | {"changes": changes}))
    return folder / "a.json"


@pytest.mark.parametrize(
    "change",
    [
        {"name": "../outside.json", "temporary": "new"},
        {"name": "{outside}", "temporary": "new"},
        {"name": "a.json", "temporary": "../../../outside.json"},
        {"name": "a.json", "temporary": "../../../outside.json", "replaces": "1 2 3"},
        {"name": "a.json", "temporary": "{outside}"},
    ],
)
def test_a_planted_journal_leads_to_no_file_outside_its_folder(
    tmp_path: Path, change: dict[str, str]
) -> None:
    outside = tmp_path / "outside.json"
    outside.write_text('"of whoever loads"')
    change = {key: value.format(outside=outside) for key, value in change.items()}
    path = plant(tmp_path / "folder", **change)
    before = visible(tmp_path / "folder")
    with pytest.raises(DataOperationError, match="journal is damaged"):
        load_data_file(path, strict=True)
    with pytest.raises(DataOperationError, match="journal is damaged"):
        save_json_atomic(path, "new")
    assert outside.read_text() == '"of whoever loads"'
    assert visible(tmp_path) == ["folder", "outside.json"]
    assert visible(tmp_path / "folder") == before


@pytest.mark.parametrize("part", [".oasis_data", ".oasis_data/temp"])
@pytest.mark.parametrize("decided", [False, True])
def test_a_planted_journal_leads_through_no_symlink(
    tmp_path: Path, part: str, decided: bool
) -> None:
    folder, own = tmp_path / "folder", tmp_path / "own"
    path = plant(folder, name="a.json", temporary="new")
    sidecar = folder / ".oasis_data"
    (sidecar / "locks").mkdir()
    # No lock is to be made, which would be refused before.
    (sidecar / "locks" / "a.json.lock").touch()
    (sidecar / "journal.lock").write_text("AAAAAAAAAAAA\n")
    if not decided:
        told = json.loads(sidecar.joinpath("journal").read_text())
        (folder / "there" / ".oasis_data").mkdir(parents=True)
        (folder / "there" / ".oasis_data" / "journal.lock").write_text("AAAAAAAAAAAA\n")
        told |= {"decided_in": "there", "places": [{"folder": "there", "mark": "AAAAAAAAAAAA"}]}
        sidecar.joinpath("journal").write_text(json.dumps(told))
    (folder / part).rename(own)
    (folder / part).symlink_to(own)
    before = sorted(own.rglob("*"))
    # What the batch does for no file of its own keeps no save from it.
    with suppress(DataOperationError):
        save_json_atomic(path, "new")
    assert set(before) <= set(own.rglob("*"))
    assert json.loads(path.read_text()) in ("old", "new")


@pytest.mark.parametrize("written", [False, True])
def test_a_pipe_in_the_place_of_a_journal_is_not_waited_for(tmp_path: Path, written: bool) -> None:
    journal = tmp_path / ".oasis_data" / "journal"
    path = plant(tmp_path, name="a.json", temporary="new")
    journal.unlink()
    os.mkfifo(journal)
    writer = os.open(journal, os.O_RDWR) if written else None
    with pytest.raises(DataOperationError, match="journal is damaged"):
        load_data_file(path, strict=True)
    if writer is not None:
        os.close(writer)


# What the kernel refuses


def test_a_batch_of_which_nothing_can_be_renamed_is_taken_back(strace: str, tmp_path: Path) -> None:
    paths = three_files(tmp_path)
    log = tmp_path / "log"
    code = (
        "import sys, oasis_data\n"
        "paths = sys.argv[2:]\n"
        "try: oasis_data.save_many_atomic({path: sys.argv[1] for path in paths})\n"
        "except oasis_data.DataOperationError as error: print(type(error).__name__, error)\n"
    )
    command = injected(strace, "renameat:error=EXDEV", code, "new", *paths)
    command[command.index("/dev/null")] = str(log)
    command[1:1] = ["-y"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert done.stdout.startswith("StorageWriteError "), done
    assert "cross-device" in done.stdout
    assert contents(paths) == ["old"] * 3
    assert all(list_backups(path) == [] for path in paths)
    require_tidy({path.parent for path in paths})
    # A power cut must not bring the decision back.
    undone = log.read_text().partition("renameat(")[2]
    assert re.search(r'unlinkat\(.*/journal"(.|\n)*fsync\(\d+<.*/\.oasis_data>', undone)


def test_a_rename_that_is_refused_holds_up_no_other_file(strace: str, tmp_path: Path) -> None:
    paths = three_files(tmp_path)
    code = (
        "import sys, oasis_data\n"
        "paths = sys.argv[2:]\n"
        "try: oasis_data.save_many_atomic({path: sys.argv[1] for path in paths})\n"
        "except oasis_data.NotDurableError as error: print(error)\n"
    )
    done = subprocess.run(
        injected(strace, "renameat:error=EBUSY:when=2", code, "new", *paths),
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    (stuck,) = [path for path in paths if contents([path]) == ["old"]]
    assert done.stdout.startswith(f"{stuck.name}: the batch of saves with this file is decided")
    others = [path for path in paths if path != stuck]
    assert contents(others) == ["new"] * 2
    # What was in its way is gone.
    assert load_data_file(stuck) == "new"
    assert contents(paths) == ["new"] * 3
    require_tidy({path.parent for path in paths})


@pytest.mark.parametrize("kept", [True, False])
def test_a_recovery_makes_backups_where_the_batch_was_to_make_them(
    strace: str, tmp_path: Path, kept: bool
) -> None:
    paths = three_files(tmp_path)
    interrupt(strace, paths, DECIDED, BATCH.replace("})", "}, backup=" + str(kept) + ")"))
    assert load_many(paths) == ["new"] * 3
    assert [len(list_backups(path)) for path in paths] == [int(kept)] * 3


# Other users, and places where little is allowed


def batch_as(user: int, paths: list[Path], *, strace: list[str]) -> str:
    """Saves "new" as another user, of whose privileges it has none; what went wrong, if
    anything did."""
    code = (
        "import os, sys, oasis_data\n"
        "os.setgroups([]), os.setgid(int(sys.argv[1])), os.setuid(int(sys.argv[1]))\n"
        "try: oasis_data.save_many_atomic(dict.fromkeys(sys.argv[2:], 'new'))\n"
        "except oasis_data.DataOperationError as error: print(error)\n"
    )
    command = [*strace, sys.executable, "-c", code, str(user), *map(str, paths)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60).stdout


@pytest.mark.parametrize("mode", [0o777, 0o1777])
def test_a_dead_batch_of_another_user_is_nobody_elses_concern(strace: str, mode: int) -> None:
    require(os.geteuid() == 0, "needs root, to become two other users")
    one, two = 2001, 2002
    kill = [strace, "-f", "-qq", "-o", "/dev/null", "-e", "inject=renameat:signal=KILL"]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(mode)
        mine, theirs = (
            [folder / f"{user}-{letter}.json" for letter in "ab"] for user in (one, two)
        )
        for user, paths in ((one, mine), (two, theirs)):
            assert batch_as(user, paths, strace=[]) == ""
            for path in paths:
                path.write_text('"old"')
        assert batch_as(one, mine, strace=kill) == ""
        assert (folder / ".oasis_data" / "journal").exists()
        for _ in range(2):
            assert batch_as(two, theirs, strace=[]) == ""
            assert contents(theirs) == ["new"] * 2
            theirs[0].write_text('"old"')
        # Two dead ones beside each other, each for its own user.
        assert batch_as(two, theirs, strace=kill) == ""
        assert load_many(mine) == load_many(theirs) == ["new"] * 2
        assert contents([*mine, *theirs]) == ["new"] * 4
        save_many_atomic(dict.fromkeys([*mine, *theirs], "last"))
        require_tidy({folder})


def test_a_batch_is_refused_before_the_rename_that_a_sticky_folder_refuses() -> None:
    require(os.geteuid() == 0, "needs root, to become another user")
    user = 2001
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        paths = [folder / f"{letter}.json" for letter in "ab"]

        def begin(mode: int, owner: int) -> None:
            """A file of the user, and a file of root that the user's group may write."""
            os.chown(folder, owner, user)
            folder.chmod(mode)
            save_many_atomic(dict.fromkeys(paths, "old"))
            os.chown(paths[0], user, user)
            os.chown(paths[1], 0, user)
            paths[1].chmod(0o664)

        begin(0o1777, 0)
        refused = batch_as(user, paths, strace=[])
        assert refused.startswith("b.json: rename failed: Operation not permitted")
        # The user's own file is not replaced either.
        assert contents(paths) == ["old"] * 2
        assert list_backups(paths[0]) == list_backups(paths[1]) == []
        # Without the sticky bit, as the owner of the folder, and as root.
        for mode, owner, who in ((0o777, 0, user), (0o1777, user, user), (0o1777, user, 0)):
            begin(mode, owner)
            assert batch_as(who, paths, strace=[]) == ""
            assert contents(paths) == ["new"] * 2
        require_tidy({folder})


@pytest.mark.parametrize("user", [0, 2001])
def test_whose_batch_it_is_that_cannot_be_completed(strace: str, tmp_path: Path, user: int) -> None:
    require(os.geteuid() == 0 or user == 0, "needs root, to give a file away")
    paths = three_files(tmp_path)
    command = injected(strace, "renameat:signal=SIGKILL", BATCH, "new", *paths)
    subprocess.run(command, check=False, timeout=60, capture_output=True)
    if user:
        for folder in {path.parent for path in paths}:
            os.chown(folder / ".oasis_data" / "journal", user, -1)
    code = (
        "import sys, oasis_data\n"
        "try: oasis_data.save_json_atomic(sys.argv[1], 'next')\n"
        "except oasis_data.StorageWriteError as error: print(error)\n"
    )
    command = injected(strace, "renameat:error=EROFS", code, paths[0])
    told = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60).stdout
    assert told.startswith(f"{paths[0].name}: ")
    assert "a file of a batch of saves that was interrupted" in told
    advice = f"the batch is of the user with uid {user}: as that user or as root, run"
    assert (advice if user else "once that is mended, run") in told
    assert load_data_file(paths[0]) == "new"


def load_pair() -> list[Any]:
    paths = ["a.json", "b.json"]
    return [load_data_file(path, strict=True) for path in paths] + load_many(paths, strict=True)


@pytest.mark.parametrize("fault", ["write:when=1", "renameat:when=1", None])
def test_a_load_needs_no_more_than_to_search_the_folder(
    strace: str, tmp_path: Path, fault: str | None
) -> None:
    require(os.geteuid() == 0, "needs root, to become nobody")
    folder = tmp_path / "closed"
    folder.mkdir()
    folder.chmod(0o711)
    paths = [folder / "a.json", folder / "b.json"]
    save_many_atomic(dict.fromkeys(paths, "old"))
    if fault is None:
        (folder / ".oasis_data" / "journal").touch()
    else:
        only = ["-P", str(folder / ".oasis_data" / "journal")] if "write" in fault else []
        command = injected(strace, f"{fault}:signal=SIGKILL", BATCH, "new", *paths)
        subprocess.run([command[0], *only, *command[1:]], check=False, timeout=60)
    assert (folder / ".oasis_data" / "journal").exists()
    # The journal may be closed to a reader, who then gets what `open` gives.
    assert as_nobody(folder, load_pair) == ["old"] * 4


def load_for_a_while() -> list[Any]:
    return [load_data_file("a.json", strict=True) for _ in range(300)]


def test_a_load_beside_batches_needs_no_more_than_to_search_the_folder(tmp_path: Path) -> None:
    require(os.geteuid() == 0, "needs root, to become nobody")
    folder = tmp_path / "closed"
    folder.mkdir()
    folder.chmod(0o711)
    paths = [folder / "a.json", folder / "b.json"]
    save_many_atomic(dict.fromkeys(paths, 0))
    done = threading.Event()

    def save() -> None:
        number = 0
        while not done.is_set():
            number += 1
            save_many_atomic(dict.fromkeys(paths, number), backup=False)

    writer = threading.Thread(target=save)
    writer.start()
    try:
        loaded = as_nobody(folder, load_for_a_while)
    finally:
        done.set()
        writer.join()
    assert loaded == sorted(loaded)


@pytest.mark.parametrize("inside", [["x.json", "y.json"], ["/a/x.json", "/b/y.json"]])
def test_a_batch_over_two_folders_where_proc_is_not_mounted(
    tmp_path: Path, inside: list[str]
) -> None:
    require(os.geteuid() == 0, "needs root, for a chroot")
    for name in "ab":
        (tmp_path / name).mkdir()
    if inside[0] == "x.json":
        inside = ["x.json", "../b/link.json"]
        (tmp_path / "b" / "link.json").symlink_to("y.json")
    code = (
        "import os, sys, oasis_data\n"
        "os.chroot(sys.argv[1])\n"
        "os.chdir('/a')\n"
        "for document in 'old', 'new':\n"
        "    oasis_data.save_many_atomic(dict.fromkeys(sys.argv[2:], document))\n"
        "print(oasis_data.load_many(sys.argv[2:]))\n"
    )
    assert python(code, tmp_path, *inside) == "['new', 'new']\n"
    assert contents([tmp_path / "a" / "x.json", tmp_path / "b" / "y.json"]) == ["new"] * 2
