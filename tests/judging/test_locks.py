"""What a judged write does in which order, by its syscalls, and what it costs where nothing is."""

from __future__ import annotations

import re
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from oasis_data import configure, edit_json, load_data_file, save_json_atomic, save_many_atomic
from tests.judging.references import DanglingError, References, all_paths, in_force, path_of
from tests.test_syscalls import trace

JUDGED = """
import os, sys, oasis_data
from pathlib import Path
from oasis_data import _native
from tests.judging.references import References, path_of
folder = Path(sys.argv[1])
paths = [path_of(folder, name) for name in sys.argv[3:]]
document = {"names": ["new"], "uses": {}}
_native.use_rules(References(folder))
os.write(1, b"begin")
if sys.argv[2] == "save":
    oasis_data.save_json_atomic(paths[0], document)
elif sys.argv[2] == "delete":
    oasis_data.delete_json_atomic(paths[0])
else:
    oasis_data.save_many_atomic(dict.fromkeys(paths, document))
os.write(1, b"returned")
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "data"
    for path in all_paths(folder).values():
        save_json_atomic(path, {"names": [], "uses": {}}, make_parents=True)
    with in_force(References(folder)):
        save_json_atomic(path_of(folder, "recipes"), {"names": ["a"], "uses": {}})
    return folder


Trace = Callable[..., list[str]]


@pytest.fixture
def traced(strace: str, tmp_path: Path, folder: Path) -> Trace:
    """The syscalls of a write, as lines."""

    def run(kind: str, *names: str) -> list[str]:
        calls = trace(strace, tmp_path / "log", JUDGED, folder, kind, *names)
        return [call.text for call in calls]

    return run


def places(calls: list[str], pattern: str) -> list[int]:
    return [at for at, text in enumerate(calls) if re.search(pattern, text)]


TAKEN = r"flock\(\d+<.*crudes\.json\.group>, LOCK_EX\|LOCK_NB\) += 0"
RELEASED = r"flock\(\d+<.*crudes\.json\.group>, LOCK_UN\)"


@pytest.mark.parametrize(
    ("kind", "published", "read"),
    [
        (["save", "tanks"], r'rename.*"tanks\.json"', r'openat\(.*"crudes\.json", O_RDONLY'),
        (["delete", "tanks"], r'unlinkat\(.*"tanks\.json"', r'openat\(.*"crudes\.json", O_RDONLY'),
        (
            ["batch", "tanks", "recipes"],
            r'rename.*"(tanks|recipes)\.json"',
            r'openat\(.*"vessels\.json", O_RDONLY',
        ),
    ],
    ids=["save", "delete", "batch"],
)
def test_others_are_read_and_the_write_is_published_under_the_lock_of_the_group(
    traced: Trace, folder: Path, kind: list[str], published: str, read: str
) -> None:
    calls = traced(*kind)
    [taken], [released] = places(calls, TAKEN), places(calls, RELEASED)
    assert places(calls, r"flock\(\d+<.*json\.lock>, LOCK_EX\|LOCK_NB\)")[-1] < taken
    assert taken < places(calls, read)[0]
    changed = places(calls, published)
    assert len(changed) == len(kind) - 1
    assert taken < changed[0] <= changed[-1] < released
    # Nobody of the group waits for the disk, but where a batch writes its decision.
    synced = places(calls, rf"fsync\(\d+<{folder}/\w+>\) += 0")
    assert [at for at in synced if taken < at < released] == []
    assert synced[-1] > released


def test_a_batch_decides_under_the_lock_of_the_group(traced: Trace) -> None:
    calls = traced("batch", "tanks", "recipes")
    [taken], [released] = places(calls, TAKEN), places(calls, RELEASED)
    journals = places(calls, r'openat\(.*"\.oasis_data/journal", .*O_CREAT')
    assert len(journals) == 2
    assert all(taken < at < released for at in journals)


def test_what_a_write_was_judged_by_is_on_the_disk_before_the_write(
    traced: Trace, folder: Path
) -> None:
    static = rf"fsync\(\d+<{folder}/static>\) += 0"

    def syncs_before_publication(kind: str, *names: str) -> int:
        calls = traced(kind, *names)
        published = places(calls, r'(rename|unlinkat).*"tanks\.json"')[-1]
        return sum(at < published for at in places(calls, static))

    # What a save has synced itself is not synced again.
    assert syncs_before_publication("save", "tanks") == 0
    # Others write, and may not have synced it yet. The crudes and the recipes lie in one folder.
    configure(durability="process")
    for name in ("crudes", "recipes"):
        save_json_atomic(path_of(folder, name), {"names": ["b"], "uses": {}})
    assert syncs_before_publication("delete", "tanks") == 1
    save_json_atomic(path_of(folder, "tanks"), {"names": ["b"], "uses": {}})
    # In one folder, what comes later is not on the disk before what came earlier.
    calls = traced("save", "crudes")
    published = places(calls, r'rename.*"crudes\.json"')[-1]
    assert [at for at in places(calls, static) if at < published] == []
    dynamic = places(calls, rf"fsync\(\d+<{folder}/dynamic>\) += 0")
    assert [at < published for at in dynamic] == [True]


def test_a_write_that_is_not_to_be_durable_syncs_nothing(
    strace: str, tmp_path: Path, folder: Path
) -> None:
    configure(durability="process")
    save_json_atomic(path_of(folder, "crudes"), {"names": ["b"], "uses": {}})
    code = JUDGED.replace(
        'os.write(1, b"begin")', "oasis_data.configure(durability='process')\nos.write(1, b'begin')"
    )
    calls = trace(strace, tmp_path / "log", code, folder, "save", "tanks")
    assert [call.text for call in calls if "sync(" in call.text] == []


def test_edits_of_a_group_go_on_at_the_same_time(folder: Path) -> None:
    """Only a publication waits for another publication, not the block of an edit."""
    both = threading.Barrier(2)

    def edit(name: str) -> None:
        with edit_json(path_of(folder, name), timeout=60) as document:
            both.wait(60)
            document["names"].append("new")

    with in_force(References(folder)):
        threads = [threading.Thread(target=edit, args=(name,)) for name in ("tanks", "crudes")]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
    assert not both.broken


def test_a_killed_batch_is_recovered_before_others_are_judged(
    strace: str, tmp_path: Path, folder: Path
) -> None:
    # Decided, and killed before the first rename of a document.
    command = [
        strace,
        "-f",
        "-o",
        str(tmp_path / "log"),
        "-e",
        "inject=renameat:signal=KILL:when=1",
    ]
    arguments = [folder, "batch", "crudes", "tanks"]
    done = subprocess.run(
        [*command, sys.executable, "-c", JUDGED, *map(str, arguments)],
        capture_output=True,
        check=False,
        timeout=120,
    )
    assert done.returncode
    assert (folder / "static" / ".oasis_data" / "journal").exists()
    recipes = path_of(folder, "recipes")
    with in_force(References(folder)):
        # `new` is what the batch has given.
        save_json_atomic(recipes, {"names": [], "uses": {"crudes": ["new"], "tanks": ["new"]}})
        with pytest.raises(DanglingError):
            save_many_atomic({recipes: {"names": [], "uses": {"crudes": ["a"]}}})
    assert load_data_file(path_of(folder, "tanks"))["names"] == ["new"]


def test_the_lock_of_a_group_follows_the_mode_of_its_folder(folder: Path) -> None:
    static = folder / "static"
    lock = static / ".oasis_data" / "locks" / "crudes.json.group"
    static.chmod(0o770)
    with in_force(References(folder)):
        save_json_atomic(path_of(folder, "crudes"), {"names": ["b"], "uses": {}})
    assert lock.stat().st_mode & 0o777 == 0o660
