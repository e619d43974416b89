"""`stats()`: every count is of what happened, in this process and no other."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

import oasis_data
from oasis_data import (
    DataOperationError,
    clear_all_cache,
    configure,
    delete_json_atomic,
    edit_json,
    load_data_file,
    load_many,
    load_with_version,
    restore_backup,
    save_json_atomic,
    save_many_atomic,
    stats,
)
from oasis_data._settings import Statistics
from tests.conftest import edited_by_another_thread, python
from tests.postgres.paths import DatabasePath


def failures(operation: str) -> dict[str, int]:
    return stats()["failures"][operation]


def taken(name: str) -> int:
    return stats()["latencies"][name]["count"]


def corrupt(path: Path) -> None:
    path.write_text("{")


def load_corrupt(path: Path) -> object:
    corrupt(path)
    return load_data_file(path, strict=True)


def save_twice(path: Path) -> object:
    documents: dict[str | Path, object] = {path: 1, str(path): 2}
    return save_many_atomic(documents)


FAILURES: dict[str, tuple[str, Callable[[Path], object]]] = {
    "DataFileNotFoundError": ("read", lambda path: load_data_file(path, strict=True)),
    "CorruptFileError": ("read", load_corrupt),
    "StorageReadError": ("read", lambda path: load_data_file(path.parent)),
    "UnserializableError": ("write", lambda path: save_json_atomic(path, object())),
    "FolderNotFoundError": ("write", lambda path: save_json_atomic(path / "a.json", 1)),
    "VersionConflictError": ("write", lambda path: save_json_atomic(path, 1, if_version="other")),
    "NoBackupError": ("write", restore_backup),
    "StorageWriteError": ("write", lambda path: save_json_atomic(path.parent, 1)),
    "NamedTwiceError": ("write", save_twice),
}


@pytest.mark.parametrize("kind", FAILURES)
def test_a_failure_is_counted_by_operation_and_class(anywhere: Path, kind: str) -> None:
    operation, fail = FAILURES[kind]
    before = stats()

    path = anywhere / "tanks.json"
    if isinstance(path, DatabasePath) and kind == "FolderNotFoundError":
        # A store has no folders, so none is missing.
        assert fail(path) is True
        return
    with pytest.raises(DataOperationError) as caught:
        fail(path)

    assert type(caught.value).__name__ == kind
    after = stats()
    expected = before["failures"]
    expected[operation][kind] = expected[operation].get(kind, 0) + 1
    assert after["failures"] == expected


def test_a_deletion_that_fails_is_a_delete(anywhere: Path) -> None:
    before = failures("delete").get("DataFileNotFoundError", 0)

    with pytest.raises(DataOperationError):
        delete_json_atomic(anywhere / "tanks.json")

    assert failures("delete")["DataFileNotFoundError"] == before + 1


def test_a_load_that_answers_with_the_default_is_a_failure(anywhere: Path) -> None:
    path = anywhere / "tanks.json"
    corrupt(path)
    before = failures("read").get("CorruptFileError", 0)

    assert load_data_file(path) == {}

    assert failures("read")["CorruptFileError"] == before + 1


def test_every_exception_of_the_package_is_counted_by_its_own_name() -> None:
    source = (Path(__file__).parents[1] / "src" / "python" / "exceptions.rs").read_text()
    classes = {
        name
        for name in oasis_data.__all__
        if isinstance(value := getattr(oasis_data, name), type) and issubclass(value, Exception)
    }

    assert {name for name in classes if f'"{name}",' not in source} == set()


@pytest.mark.files("the version of a cached row is known: nothing is read")
def test_latencies_have_what_went_to_the_disk(anywhere: Path) -> None:
    path = anywhere / "tanks.json"
    before = {name: each["count"] for name, each in stats()["latencies"].items()}

    save_json_atomic(path, 1)
    with edit_json(path, default=None):
        pass
    save_many_atomic({path: 2, anywhere / "other.json": 3})
    clear_all_cache()
    load_data_file(path)
    load_data_file(path)
    load_with_version(path)
    restore_backup(path)
    delete_json_atomic(path)

    after = {name: each["count"] for name, each in stats()["latencies"].items()}
    assert {name: after[name] - before[name] for name in after} == {
        "read": 2,
        "write": 4,
        "delete": 1,
        "lock_wait": 0,
    }


def test_buckets_and_seconds_belong_together(anywhere: Path) -> None:
    for number in range(20):
        save_json_atomic(anywhere / "tanks.json", number)

    for latency in stats()["latencies"].values():
        bounds = [bound for bound, _ in latency["buckets"]]
        counts = [count for _, count in latency["buckets"]]
        assert bounds == sorted(bounds) == [1e-4, 5e-4, 1e-3, 5e-3, 0.01, 0.05, 0.1, 0.5, 1, 5]
        rest = latency["count"] - sum(counts)
        assert rest >= 0
        lowest = sum(
            bound * count for bound, count in zip([0, *bounds], [*counts, rest], strict=True)
        )
        assert latency["seconds"] >= lowest
        if not rest:
            highest = sum(bound * count for bound, count in latency["buckets"])
            assert latency["seconds"] <= highest


def test_a_wait_for_another_writer_is_timed(anywhere: Path) -> None:
    path = anywhere / "tanks.json"
    configure(lock_timeout=0.02)
    before = stats()
    with edited_by_another_thread(path), pytest.raises(oasis_data.LockTimeoutError):
        save_json_atomic(path, 1)

    after = stats()
    assert after["lock_waits"] - before["lock_waits"] == 1
    waits = [each["latencies"]["lock_wait"] for each in (before, after)]
    assert waits[1]["count"] - waits[0]["count"] == 1
    assert waits[1]["seconds"] - waits[0]["seconds"] >= 0.02
    counted = (before["failures"]["write"].get("LockTimeoutError", 0) + 1,)
    assert counted == (after["failures"]["write"]["LockTimeoutError"],)


def test_a_forked_child_counts_from_nothing() -> None:
    printed = python(
        """
import json, os, sys, tempfile
from oasis_data import load_data_file, save_json_atomic, stats

path = os.path.join(tempfile.mkdtemp(), "tanks.json")
save_json_atomic(path, 1)
load_data_file(path)
load_data_file(path + ".missing")
read, write = os.pipe()
if not os.fork():
    os.write(write, json.dumps(stats()).encode())
    os._exit(0)
os.wait()
child, parent = json.loads(os.read(read, 65536)), stats()
print(json.dumps([child, parent]))
"""
    )
    child, parent = json.loads(printed)

    assert parent["saves"] == parent["latencies"]["write"]["count"] == 1
    assert parent["failures"]["read"] == {"DataFileNotFoundError": 1}
    # The documents in the cache are there all the same.
    assert child["cache_entries"] == parent["cache_entries"] == 1
    assert child["failures"] == {"read": {}, "write": {}, "delete": {}}
    for latency in child["latencies"].values():
        assert latency["count"] == latency["seconds"] == 0
        assert {count for _, count in latency["buckets"]} == {0}
    counts = {name: child[name] for name in child if isinstance(child[name], int)}
    kept = {"cache_entries", "cache_bytes"}
    assert {count for name, count in counts.items() if name not in kept} == {0}


def test_threads_lose_no_count(tmp_path: Path) -> None:
    path = tmp_path / "tanks.json"
    save_json_atomic(path, 1)
    os.utime(path, ns=(1, 1))
    load_many([path])
    before = stats()
    threads = [
        threading.Thread(target=lambda: [load_data_file(path) for _ in range(500)])
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    after = stats()

    def loads(counted: Statistics) -> int:
        return counted["hits"] + counted["misses"]

    assert loads(after) - loads(before) == 2000
