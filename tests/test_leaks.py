"""Descriptors, memory and references stay as they were, whatever succeeds or fails."""

from __future__ import annotations

import fcntl
import gc
import json
import logging
import os
import sys
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import pytest

from oasis_data import (
    MISSING,
    DataOperationError,
    clear_all_cache,
    configure,
    delete_json_atomic,
    error_handler,
    get_file_mtime,
    invalidate_cache,
    is_cache_valid,
    load_data_file,
    load_with_version,
    save_json_atomic,
    stats,
)
from tests.conftest import measures_memory

pytestmark = measures_memory

RESIDENT_SLACK = 4 << 20
"""Bytes by which an allocator's leftovers may make a process grow."""

BLOCK_SLACK = 900
"""Small allocations by which Python's own caches may grow; fewer than there are rounds."""

DOCUMENT: dict[str, Any] = {
    "vessels": [{"name": f"vessel {number}", "cost": number * 1.5} for number in range(5)],
    "text": "päivää",
    "none": None,
}
OPTIONS: dict[str, Any] = {"timeout": 5.0, "indent": 2}
DEFAULT: dict[str, Any] = {"default": [{}]}


def as_text(value: object) -> str:
    return str(value)


WATCHED = (DOCUMENT, DOCUMENT["vessels"], DEFAULT, DEFAULT["default"], as_text)
"""Objects that go in, and of which no reference may stay."""


@dataclass
class Usage:
    """What a process has in use."""

    descriptors: int
    resident: int
    blocks: int
    objects: int
    references: list[int]


def usage() -> Usage:
    clear_all_cache()
    gc.collect()
    with open("/proc/self/statm") as statm:
        resident = int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    return Usage(
        descriptors=len(os.listdir("/proc/self/fd")),
        resident=resident,
        blocks=sys.getallocatedblocks(),
        objects=len(gc.get_objects()),
        references=[sys.getrefcount(each) for each in WATCHED],
    )


Scenario = Callable[[Path, int], None]


def measure(scenario: Scenario, folder: Path, rounds: int) -> tuple[Usage, Usage]:
    """Runs in a process of its own: what it has in use before and after."""
    configure(durability="process", backups_kept=3)
    logging.getLogger("DataOperations").addHandler(logging.NullHandler())
    # The first rounds fill the caches of Python and of the allocator.
    scenario(folder, rounds // 10)
    before = usage()
    scenario(folder, rounds)
    return before, usage()


def grown(scenario: Scenario, folder: Path, rounds: int) -> dict[str, tuple[object, object]]:
    """What a scenario used up for good, with how much there was before and after."""
    with ProcessPoolExecutor(1, get_context("spawn")) as pool:
        before, after = pool.submit(measure, scenario, folder, rounds).result()
    different = {
        "descriptors": after.descriptors != before.descriptors,
        "references": after.references != before.references,
        "blocks": abs(after.blocks - before.blocks) > BLOCK_SLACK,
        "objects": abs(after.objects - before.objects) > BLOCK_SLACK,
        "resident": after.resident - before.resident > RESIDENT_SLACK,
    }
    return {
        name: (getattr(before, name), getattr(after, name)) for name in different if different[name]
    }


def save_and_load(folder: Path, rounds: int) -> None:
    path = folder / "x.json"
    for _ in range(rounds):
        save_json_atomic(path, DOCUMENT, default=as_text, **OPTIONS)
        assert load_data_file(path, default=DEFAULT)["text"] == "päivää"
        lent = load_data_file(path, copy=False)
        assert lent is load_data_file(path, copy=False)


def test_saves_and_loads_leave_nothing_behind(tmp_path: Path) -> None:
    assert grown(save_and_load, tmp_path, 20_000) == {}


def use_every_option(folder: Path, rounds: int) -> None:
    path = folder / "new" / "x.json"
    # What json itself has to write, and to read.
    document = [10**30, float("nan"), Path("x"), {1: True}]
    for number in range(rounds):
        configure(durability="process" if number % 10 else "full")
        save_json_atomic(
            path,
            document,
            default=as_text,
            allow_nan=True,
            indent=number % 3 or None,
            ensure_ascii=number % 2 == 0,
            sort_keys=True,
            backup=number % 2 == 1,
            make_parents=True,
        )
        loaded, version = load_with_version(path)
        save_json_atomic(path, loaded, if_version=version, allow_nan=True)
        assert is_cache_valid(path) is False
        _, version = load_with_version(path)
        delete_json_atomic(path, if_version=version)


def test_every_option_leaves_nothing_behind(tmp_path: Path) -> None:
    assert grown(use_every_option, tmp_path, 2_000) == {}


def fail(folder: Path, rounds: int) -> None:
    path, corrupt, missing = (folder / f"{name}.json" for name in ("x", "corrupt", "missing"))
    save_json_atomic(path, DOCUMENT)
    corrupt.write_text('{"a": [1, 2, {"b": "text", ')
    endless: list[Any] = []
    endless.append(endless)
    bad = {"vessels": [*DOCUMENT["vessels"], {"cost": {1}}]}
    failures: list[Callable[[], object]] = [
        lambda: save_json_atomic(path, bad),
        lambda: save_json_atomic(path, bad, default=lambda value: 1 / 0),
        lambda: save_json_atomic(path, endless),
        lambda: save_json_atomic(path, DOCUMENT, if_version=MISSING),
        lambda: save_json_atomic(folder, DOCUMENT),
        lambda: save_json_atomic(missing / "x.json", DOCUMENT),
        lambda: delete_json_atomic(missing),
        lambda: load_data_file(missing, strict=True),
        lambda: load_data_file(corrupt, strict=True),
        lambda: load_data_file(folder),
        lambda: load_with_version(corrupt),
    ]
    for _ in range(rounds):
        for failure in failures:
            try:
                failure()
            except DataOperationError as error:
                error_handler.handle_error(error.operation, error.file_path, error)
            else:
                raise AssertionError("nothing failed")
        for path_of_none in (missing, corrupt):
            assert load_data_file(path_of_none, default=DEFAULT) == DEFAULT
            assert not is_cache_valid(path_of_none)
            invalidate_cache(path_of_none)
            get_file_mtime(path_of_none)
        with suppress(TypeError):
            load_data_file(42)  # type: ignore[arg-type]
        with suppress(ValueError):
            configure(durability="none")  # type: ignore[arg-type]


def test_failures_leave_nothing_behind(tmp_path: Path) -> None:
    assert grown(fail, tmp_path, 1_000) == {}


def wait_in_vain(folder: Path, rounds: int) -> None:
    path = folder / "x.json"
    save_json_atomic(path, DOCUMENT)
    with (folder / ".oasis_data" / "locks" / "x.json.lock").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        for _ in range(rounds):
            for act in (save_json_atomic, delete_json_atomic):
                arguments = (path, DOCUMENT) if act is save_json_atomic else (path,)
                with pytest.raises(TimeoutError):
                    act(*arguments, timeout=0)


def test_lock_timeouts_leave_nothing_behind(tmp_path: Path) -> None:
    assert grown(wait_in_vain, tmp_path, 1_000) == {}


def churn(folder: Path, rounds: int) -> None:
    paths = [folder / f"{number}.json" for number in range(20)]
    configure(cache_entries=8, cache_bytes=5_000)
    for number in range(rounds):
        path = paths[number * 7 % len(paths)]
        # In all the ways that an entry comes and goes.
        match number % 5:
            case 0:
                path.write_text(json.dumps(DOCUMENT))
            case 1:
                save_json_atomic(path, DOCUMENT, backup=False)
            case 2:
                path.unlink(missing_ok=True)
            case 3:
                invalidate_cache(path)
        load_data_file(path, default=DEFAULT)
        assert stats()["cache_entries"] <= 8


def test_evictions_leave_nothing_behind(tmp_path: Path) -> None:
    assert grown(churn, tmp_path, 5_000) == {}


def come_and_go(folder: Path, rounds: int) -> None:
    def work() -> None:
        save_json_atomic(folder / "x.json", DOCUMENT)
        load_data_file(folder / "x.json")

    for _ in range(rounds // 4):
        with ThreadPoolExecutor(4) as pool:
            for done in [pool.submit(work) for _ in range(4)]:
                done.result()


def test_threads_that_come_and_go_leave_nothing_behind(tmp_path: Path) -> None:
    assert grown(come_and_go, tmp_path, 800) == {}


LEAKED: list[object] = []


def leak_descriptors(folder: Path, rounds: int) -> None:
    os.dup(0)


def leak_references(folder: Path, rounds: int) -> None:
    LEAKED.append(DOCUMENT)


def leak_objects(folder: Path, rounds: int) -> None:
    LEAKED.extend([] for _ in range(rounds))


def leak_memory(folder: Path, rounds: int) -> None:
    LEAKED.append("x" * rounds * 5_000)


@pytest.mark.parametrize(
    ("leak", "seen"),
    [
        (leak_descriptors, {"descriptors"}),
        (leak_references, {"references"}),
        (leak_objects, {"objects", "blocks"}),
        (leak_memory, {"resident"}),
    ],
)
def test_checks_above_see_a_leak(tmp_path: Path, leak: Scenario, seen: set[str]) -> None:
    assert grown(leak, tmp_path, 1_000).keys() == seen
