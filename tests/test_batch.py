"""Several files as one change: saved by `save_many_atomic`, loaded by `load_many`."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import pytest

from oasis_data import (
    MISSING,
    CorruptFileError,
    DataFileNotFoundError,
    LockTimeoutError,
    NamedTwiceError,
    UnserializableError,
    VersionConflictError,
    edit_json,
    list_backups,
    load_data_file,
    load_many,
    load_with_version,
    save_json_atomic,
    save_many_atomic,
    stats,
)
from tests.cache.files import leave_racy_window
from tests.conftest import python, require, temporaries, visible
from tests.nobody import as_nobody
from tests.test_syscalls import Call, trace

BATCH = (
    "import os, sys, oasis_data\n"
    "paths = sys.argv[2:]\n"
    "os.write(1, b'begin')\n"
    "oasis_data.save_many_atomic({path: sys.argv[1] for path in paths})\n"
    "os.write(1, b'returned')\n"
)


def three_files(folder: Path, document: Any = "old") -> list[Path]:
    """Files in two folders, all with the same document."""
    paths = [folder / "here" / "a.json", folder / "here" / "b.json", folder / "there" / "c.json"]
    save_many_atomic(dict.fromkeys(paths, document), make_parents=True)
    return paths


def contents(paths: list[Path]) -> list[Any]:
    """What any program reads."""
    return [json.loads(path.read_text()) for path in paths]


def injected(strace: str, fault: str, code: str, *arguments: object) -> list[str]:
    """The command that runs code with a fault injected."""
    inject = f"inject={fault}"
    command = [strace, "-f", "-o", "/dev/null", "-e", inject, sys.executable, "-c", code]
    return command + [str(argument) for argument in arguments]


def interrupt(strace: str, paths: list[Path], fault: str, code: str = BATCH) -> None:
    """Saves "new" to all paths in a process that is killed at a syscall."""
    done = subprocess.run(
        injected(strace, f"{fault}:signal=SIGKILL", code, "new", *paths),
        capture_output=True,
        check=False,
        timeout=120,
    )
    assert done.stdout == b"begin", done.stderr


def require_tidy(folders: set[Path]) -> None:
    for folder in folders:
        assert temporaries(folder) == []
        assert not (folder / ".oasis_data" / "journal").exists()


def test_saves_documents_of_all_kinds_of_paths(anywhere: Path) -> None:
    one, two, three = (anywhere / name for name in ("one.json", "two.json", "three.json"))
    documents: dict[Any, Any] = {one: {"a": 1}, str(two): [], os.fsencode(three): None}
    assert save_many_atomic(documents) is True
    assert load_many(documents) == [{"a": 1}, [], None]
    assert one.read_text() == '{\n  "a": 1\n}'
    assert visible(anywhere) == ["one.json", "three.json", "two.json"]


def test_an_empty_batch_is_nothing(anywhere: Path) -> None:
    assert save_many_atomic({}) is True
    assert load_many([]) == []


def test_each_file_keeps_its_backup(anywhere: Path) -> None:
    paths = three_files(anywhere)
    save_many_atomic(dict.fromkeys(paths, "new"))
    for path in paths:
        (backup,) = list_backups(path)
        assert json.loads(path.with_name(Path(backup.path).name).read_text()) == "old"
    save_many_atomic(dict.fromkeys(paths, "newer"), backup=False)
    assert all(len(list_backups(path)) == 1 for path in paths)


def test_a_document_that_json_cannot_write_keeps_all_from_being_saved(anywhere: Path) -> None:
    paths = three_files(anywhere)
    documents = dict(zip(paths, ["new", {"cost": [1, {2}]}, "new"], strict=True))
    with pytest.raises(UnserializableError, match=r"b\.json: .* at \$\.cost\[1\]"):
        save_many_atomic(documents)
    assert contents(paths) == ["old"] * 3


def test_versions_are_those_of_each_file(anywhere: Path) -> None:
    a, b, c = paths = three_files(anywhere)
    new = anywhere / "new.json"
    _, version = load_with_version(b)
    documents = dict.fromkeys([*paths, new], "new")
    save_json_atomic(b, "changed")
    with pytest.raises(VersionConflictError, match=r"b\.json: changed") as conflict:
        save_many_atomic(documents, if_version={new: MISSING, b: version})
    assert conflict.value.expected == version
    assert contents(paths) == ["old", "changed", "old"]
    assert not new.exists()
    _, version = load_with_version(b)
    save_many_atomic(documents, if_version={new: MISSING, b: version})
    assert contents([*paths, new]) == ["new"] * 4
    with pytest.raises(ValueError, match="not among the documents"):
        save_many_atomic({a: 1}, if_version={c: MISSING})


@pytest.mark.parametrize("spelling", ["dots", "symlink", "folder", "bytes", "relative"])
def test_one_file_named_twice_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, spelling: str
) -> None:
    path = tmp_path / "a.json"
    save_json_atomic(path, "old")
    (tmp_path / "link.json").symlink_to("a.json")
    (tmp_path / "folder").symlink_to(".")
    monkeypatch.chdir(tmp_path)
    twin: Any = {
        "dots": f"{tmp_path}/../{tmp_path.name}/a.json",
        "symlink": tmp_path / "link.json",
        "folder": tmp_path / "folder" / "a.json",
        "bytes": os.fsencode(path),
        "relative": "a.json",
    }[spelling]
    with pytest.raises(NamedTwiceError, match="is the same file as"):
        save_many_atomic({path: "new", tmp_path / "b.json": "new", twin: "newer"})
    assert contents([path]) == ["old"]


def test_waits_for_the_lock_of_each_file(anywhere: Path) -> None:
    paths = three_files(anywhere)
    held, release = threading.Event(), threading.Event()

    def hold() -> None:
        with edit_json(paths[2]):
            held.set()
            release.wait()

    thread = threading.Thread(target=hold)
    thread.start()
    held.wait()
    with pytest.raises(LockTimeoutError, match=rf"\.json: .* process {os.getpid()}"):
        save_many_atomic(dict.fromkeys(paths, "new"), timeout=0.05)
    release.set()
    thread.join()
    assert contents(paths) == ["old"] * 3
    require_tidy({path.parent for path in paths})


def test_a_batch_that_waits_for_a_file_holds_up_no_other_file(anywhere: Path) -> None:
    paths = three_files(anywhere)
    with edit_json(paths[2]):
        batch = threading.Thread(target=save_many_atomic, args=(dict.fromkeys(paths, "new"),))
        before = stats()["lock_waits"]
        batch.start()
        while stats()["lock_waits"] == before:
            pass
        for folder in ("here", "there"):
            others = [anywhere / folder / name for name in ("other.json", "another.json")]
            save_many_atomic(dict.fromkeys(others, 1))
    batch.join()
    assert contents(paths) == ["new"] * 3


# The order of its syscalls


def first_and_last(calls: list[Call], pattern: str) -> tuple[int, int]:
    found = [at for at, call in enumerate(calls) if re.search(pattern, call.text)]
    assert found, f"never {pattern}"
    return found[0], found[-1]


def test_contents_journals_renames_and_folders_are_synced_in_this_order(
    strace: str, tmp_path: Path
) -> None:
    paths = three_files(tmp_path)
    folders = {path.parent for path in paths}
    for folder in folders:
        # As before their first batch.
        (folder / ".oasis_data" / "journal.lock").write_text("")
    calls = trace(strace, tmp_path / "log", BATCH, "new", *paths)
    _, decided = first_and_last(calls, r"fsync\(\d+<.*/\.oasis_data>")
    first_rename, last_rename = first_and_last(calls, r'renameat\(.*"\.oasis_data/temp/')
    first_journal, _ = first_and_last(calls, r'openat\(.*"\.oasis_data/journal", .*O_CREAT')
    closed, _ = first_and_last(calls, r'unlinkat\(.*"\.oasis_data/journal"')
    for path in paths:
        temp = rf"<{path.parent}/\.oasis_data/temp/{path.name}\.\w+>"
        assert first_and_last(calls, rf"fsync\(\d+{temp}")[1] < first_journal
    for folder in folders:
        _, names = first_and_last(calls, rf"fsync\(\d+<{folder}/\.oasis_data/temp>")
        new, last = first_and_last(calls, rf"fsync\(\d+<{folder}>")
        assert max(names, new) < first_journal
        # Whoever finds a journal knows by these marks where it leads.
        mark = rf"fsync\(\d+<{folder}/\.oasis_data/journal\.lock>"
        assert first_and_last(calls, mark)[1] < first_journal
        assert first_and_last(calls, rf"fsync\(\d+<{folder}/\.oasis_data/journal>")[1] < decided
        assert last_rename < last < closed
    assert decided < first_rename
    # The decision is written when the journals that lead to it are safe.
    (leading, decision) = (
        re.findall(r"<(.*)/\.oasis_data/journal>", call.text)[0]
        for call in calls
        if re.search(r"\bwrite\(\d+<.*/journal>", call.text)
    )
    decisive, _ = first_and_last(calls, rf"\bwrite\(\d+<{decision}/\.oasis_data/journal>")
    assert first_and_last(calls, rf"fsync\(\d+<{leading}/\.oasis_data>")[1] < decisive
    assert re.search(rf"unlinkat\(\d+<{decision}>", calls[closed].text)
    # Who had the old contents cached looks again, and finds a journal.
    touched = [
        at for at, call in enumerate(calls) if re.search(r"fchmod\(\d+<.*\.json>", call.text)
    ]
    assert first_journal < touched[-len(paths)] < touched[-1] < decisive


def test_a_folder_is_known_beside_the_words_for_waiters(tmp_path: Path) -> None:
    paths = three_files(tmp_path)
    locks = [folder / ".oasis_data" / "journal.lock" for folder in {path.parent for path in paths}]
    marks = [lock.read_text() for lock in locks]
    for lock in locks:
        with lock.open("r+b") as words:
            words.seek(255)
            words.write(b"\0")
    save_many_atomic(dict.fromkeys(paths, "new"))
    assert [lock.read_text().splitlines()[0] + "\n" for lock in locks] == marks


# What a killed writer leaves, and who finds it

# After the decision the renames are all that is left to do.
DECIDED, HALF, ALL = ("renameat:when=1", "renameat:when=2", "unlinkat:when=1")


@pytest.mark.parametrize("fault", [DECIDED, HALF, ALL])
@pytest.mark.parametrize("used", [0, 1, 2])
def test_a_load_completes_what_was_decided(
    strace: str, tmp_path: Path, fault: str, used: int
) -> None:
    paths = three_files(tmp_path)
    interrupt(strace, paths, fault)
    before = stats()["recoveries"]
    assert load_data_file(paths[used]) == "new"
    assert stats()["recoveries"] == before + 1
    assert contents(paths) == ["new"] * 3
    require_tidy({path.parent for path in paths})


def test_a_reader_that_has_the_old_content_cached_finds_the_batch(
    strace: str, tmp_path: Path
) -> None:
    paths = three_files(tmp_path)
    for path in paths:
        leave_racy_window(path)
    # A backup would change the identity too, since it is a link.
    without_backup = BATCH.replace("paths})", "paths}, backup=False)")
    interrupt(strace, paths, HALF, without_backup)
    assert sorted(contents(paths)) == ["new", "old", "old"]
    # Not the one that was renamed: its change shows anyway.
    unchanged = next(path for path in paths if contents([path]) == ["old"])
    assert load_data_file(unchanged) == "new"


def test_a_load_of_a_file_that_the_batch_was_to_create(strace: str, tmp_path: Path) -> None:
    paths = [tmp_path / "a.json", tmp_path / "b.json"]
    interrupt(strace, paths, HALF)
    assert [path.exists() for path in paths].count(True) == 1
    missing = next(path for path in paths if not path.exists())
    assert load_data_file(missing, strict=True) == "new"


def test_a_load_through_a_symlink(strace: str, tmp_path: Path) -> None:
    paths = three_files(tmp_path)
    link = tmp_path / "link.json"
    link.symlink_to("here/b.json")
    interrupt(strace, paths, DECIDED)
    assert load_data_file(link) == "new"
    assert contents(paths) == ["new"] * 3


def use_by_edit(path: Path) -> None:
    with edit_json(path) as document:
        assert document == "new"


def use_by_listing(path: Path) -> None:
    (backup,) = list_backups(path)
    assert json.loads(path.with_name(Path(backup.path).name).read_text()) == "old"


@pytest.mark.parametrize("use", [use_by_edit, use_by_listing, load_with_version])
def test_any_other_use_completes_it_too(
    strace: str, tmp_path: Path, use: Callable[[Path], object]
) -> None:
    paths = three_files(tmp_path)
    interrupt(strace, paths, DECIDED)
    use(paths[1])
    assert contents(paths) == ["new"] * 3


def open_to_all(root: Path) -> None:
    for folder, _, names in os.walk(root):
        os.chmod(folder, 0o755)
        for name in names:
            os.chmod(os.path.join(folder, name), 0o644)


def load_all(_: object = None) -> list[Any]:
    paths = ["here/a.json", "here/b.json", "there/c.json"]
    return [load_data_file(path) for path in paths] + load_many(paths)


@pytest.mark.parametrize("fault", [DECIDED, HALF])
def test_a_reader_who_may_not_write_sees_what_was_decided(
    strace: str, tmp_path: Path, fault: str
) -> None:
    require(os.geteuid() == 0, "needs root, to become nobody")
    paths = three_files(tmp_path)
    open_to_all(tmp_path)
    interrupt(strace, paths, fault)
    assert as_nobody(tmp_path, load_all) == ["new"] * 6
    assert sorted(contents(paths)) != ["new"] * 3
    assert load_all_in(tmp_path) == ["new"] * 6
    assert contents(paths) == ["new"] * 3


@pytest.mark.parametrize("seconds", [0.1, 2])
def test_a_reader_who_may_not_write_waits_for_a_batch_at_work(
    strace: str, tmp_path: Path, seconds: float
) -> None:
    require(os.geteuid() == 0, "needs root, to become nobody")
    paths = three_files(tmp_path)
    open_to_all(tmp_path)
    with half_a_batch(strace, paths, seconds):
        loaded = as_nobody(tmp_path, load_all)
    one_by_one, at_once = loaded[:3], loaded[3:]
    # Nothing is told before it is there, to be taken back a moment later.
    assert sorted(map(str, one_by_one)) in (["new", "old", "old"], ["new"] * 3)
    assert at_once == ["new"] * 3


def test_a_batch_in_a_handler_of_a_fork_does_not_wait_for_it(tmp_path: Path) -> None:
    code = (
        "import os, sys\n"
        "def save(): oasis_data.save_many_atomic({path: os.urandom(4).hex() for path in paths})\n"
        "os.register_at_fork(before=save, after_in_parent=save, after_in_child=save)\n"
        "import oasis_data\n"
        "paths = [f'{sys.argv[1]}/{number}.json' for number in range(8)]\n"
        "if child := os.fork(): print(os.waitpid(child, 0)[1])\n"
    )
    assert python(code, tmp_path, timeout=60) == "0\n"


def load_all_in(folder: Path) -> list[Any]:
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        return load_all()


RECOVER = (
    "import os, sys, oasis_data\n"
    "os.write(1, b'begin')\n"
    "oasis_data.load_data_file(sys.argv[1])\n"
    "os.write(1, b'returned')\n"
)


@pytest.mark.timeout(300)
def test_killed_in_the_recovery_at_every_change(strace: str, tmp_path: Path) -> None:
    changes = 0
    for call in ("renameat", "fsync", "unlinkat", "linkat"):
        for when in range(1, 6):
            folder = tmp_path / f"{call}{when}"
            paths = three_files(folder)
            interrupt(strace, paths, DECIDED)
            done = subprocess.run(
                injected(strace, f"{call}:signal=SIGKILL:when={when}", RECOVER, paths[0]),
                capture_output=True,
                check=False,
                timeout=120,
            )
            if done.stdout == b"beginreturned":
                break
            changes += 1
            assert load_data_file(paths[2]) == "new"
            assert contents(paths) == ["new"] * 3
            # Of a batch that is complete a journal may be left that says so.
            assert load_data_file(paths[0]) == "new"
            assert all(len(list_backups(path)) == 1 for path in paths)
            # The copy of a backup may have been cut short.
            save_many_atomic(dict.fromkeys(paths, "next"))
            require_tidy({path.parent for path in paths})
    assert changes >= 7


# Snapshots


def test_load_many_answers_for_missing_and_corrupt_files_as_a_load_does(
    anywhere: Path, caplog: pytest.LogCaptureFixture
) -> None:
    good, missing, corrupt = (anywhere / name for name in ("good", "missing", "corrupt"))
    save_json_atomic(good, [1])
    corrupt.write_text("{")
    assert load_many([good, missing, corrupt], default=[]) == [[1], [], []]
    assert [record.getMessage()[:17] for record in caplog.records] == ["Using the default"] * 2
    with pytest.raises(DataFileNotFoundError):
        load_many([good, missing], strict=True)
    with pytest.raises(CorruptFileError):
        load_many([corrupt, good], strict=True)
    first, second = load_many([good, good])
    first.append(2)
    assert second == load_data_file(good) == [1]


@contextmanager
def half_a_batch(strace: str, paths: list[Path], seconds: float) -> Iterator[None]:
    """A writer at work that has renamed one file, and takes its time over the next."""
    delay = f"renameat:delay_enter={int(seconds * 1e6)}:when=2"
    with subprocess.Popen(
        injected(strace, delay, BATCH, "new", *paths), stdout=subprocess.PIPE
    ) as writer:
        while "new" not in contents(paths):
            assert writer.poll() is None
        yield
        out, _ = writer.communicate(timeout=60)
        assert out == b"beginreturned"


def test_load_many_waits_for_a_batch_at_work(strace: str, tmp_path: Path) -> None:
    paths = three_files(tmp_path)
    with half_a_batch(strace, paths, 0.5):
        assert load_many(paths) == ["new"] * 3
    save_many_atomic(dict.fromkeys(paths, "old"))
    with half_a_batch(strace, paths, 0.5), pytest.raises(LockTimeoutError):
        load_many(paths, timeout=0.01)


LOAD = (
    "import json, sys, oasis_data\n"
    "print('ready', flush=True)\n"
    "sys.stdin.readline()\n"
    "print(json.dumps(oasis_data.load_many(sys.argv[1:])))\n"
)


def test_load_many_notices_a_batch_that_ends_meanwhile(strace: str, tmp_path: Path) -> None:
    paths = [tmp_path / "a.json", tmp_path / "b.json"]
    save_many_atomic(dict.fromkeys(paths, "old"))
    # It reads one file at once and the other after 0.4 s, while the second is
    # still the old one, and looks for a batch after 0.8 s, when that is over.
    slowly = injected(strace, "faccessat:delay_enter=400000", LOAD, *paths)
    with subprocess.Popen(
        slowly, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as reader:
        assert reader.stdout
        assert reader.stdout.readline() == "ready\n"
        with half_a_batch(strace, paths, 0.6):
            loaded, _ = reader.communicate("go\n", timeout=60)
    assert json.loads(loaded) == ["new"] * 2


def keep_saving(paths: list[Path], rounds: int) -> None:
    for number in range(rounds):
        save_many_atomic({key: [os.getpid(), number] for key in paths}, backup=False)


def test_load_many_never_sees_half_a_batch(anywhere: Path) -> None:
    paths = three_files(anywhere)
    context = get_context("spawn")
    writers = [context.Process(target=keep_saving, args=(paths, 150)) for _ in range(2)]
    for writer in writers:
        writer.start()
    mixed, seen = [], set()
    while any(writer.is_alive() for writer in writers):
        documents = load_many(paths)
        seen.add(json.dumps(documents[0]))
        if documents != [documents[0]] * 3:
            mixed.append(documents)
    assert [writer.exitcode for writer in writers] == [0, 0]
    assert mixed == []
    assert len(seen) > 1
