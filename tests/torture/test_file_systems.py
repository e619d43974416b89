"""The cache, and the basics, on the file systems that data files are kept on."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from itertools import islice
from multiprocessing import get_context
from pathlib import Path

import pytest

from oasis_data import (
    MISSING,
    VersionConflictError,
    clear_all_cache,
    configure,
    delete_json_atomic,
    edit_json,
    list_backups,
    load_data_file,
    load_with_version,
    restore_backup,
    save_json_atomic,
)
from tests.conftest import backups, require, temporaries, visible

from . import rounds
from .cache_rounds import (
    CHANGES,
    FIRST,
    Change,
    Companion,
    after_waits,
    clock_set_back_around,
    count_stale_loads,
    leave_racy_window,
    load_number,
    may_set_the_clock,
    write_in_place,
)
from .file_systems import KINDS, WHOLE_SECONDS, file_system

ROUNDS = rounds(100, 2_000)
PAST_WINDOW_ROUNDS = rounds(2, 20)
CLOCK_ROUNDS = rounds(0, 20)
"""Only in full: everything else on the machine sees the clock too."""


@pytest.fixture(params=[*KINDS, "tmpfs"])
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@contextmanager
def companion() -> Iterator[Companion]:
    with ProcessPoolExecutor(1, get_context("spawn")) as executor:
        yield Companion(executor)


@pytest.mark.timeout(1_200)
def test_no_load_is_stale(kind: str, tmp_path: Path) -> None:
    if CLOCK_ROUNDS:
        require(may_set_the_clock(), "needs the right to set the clock")
    with file_system(tmp_path, kind) as folder, companion() as editor, companion() as reader:
        path = folder / "x.json"
        loads = [load_number, reader.load]
        changes: list[Change] = [*CHANGES, *map(editor.change, CHANGES)]
        # The rare kinds first, so that all others follow them.
        waiting = [
            after_waits(change, leave_racy_window, reader.leave_racy_window) for change in CHANGES
        ]
        at_odds = [clock_set_back_around(change, loads) for change in changes]
        numbers = iter(range(FIRST, FIRST + ROUNDS))
        stale = count_stale_loads(path, waiting, loads, islice(numbers, PAST_WINDOW_ROUNDS))
        stale += count_stale_loads(path, at_odds, loads, islice(numbers, CLOCK_ROUNDS))
        stale += count_stale_loads(path, changes, loads, numbers)
        print(f"cache on {kind}: {ROUNDS:,} rounds, {stale} stale")
        assert stale == 0
        assert all(backup.fault is None for backup in list_backups(path))
        clear_all_cache()


@pytest.mark.parametrize("kind", WHOLE_SECONDS)
def test_stamps_alone_would_be_stale(kind: str, tmp_path: Path) -> None:
    """The rounds above can fail: here for a cache that trusts every stamp at once."""
    cache: dict[tuple[int, ...], int] = {}

    def load_by_stamps(path: Path) -> int:
        stat = os.stat(path)
        key = stat.st_dev, stat.st_ino, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns
        if key not in cache:
            cache[key] = json.loads(path.read_bytes())["number"]
        return cache[key]

    with file_system(tmp_path, kind) as folder:
        path = folder / "x.json"
        numbers = range(FIRST, FIRST + 50)
        assert count_stale_loads(path, [write_in_place], [load_by_stamps], numbers) > 0


def test_saves_backups_and_edits(kind: str, tmp_path: Path) -> None:
    configure(backups_kept=3)
    with file_system(tmp_path, kind) as folder:
        path = folder / "far" / "away" / "tanks.json"
        save_json_atomic(path, {"level": 0}, make_parents=True, if_version=MISSING)
        path.chmod(0o640)
        os.setxattr(path, "trusted.origin", b"kept")
        for level in range(1, 6):
            with edit_json(path) as tanks:
                tanks["level"] = level
        assert load_data_file(path) == {"level": 5}
        assert [json.loads(backup.read_bytes())["level"] for backup in backups(path)] == [2, 3, 4]
        _, version = load_with_version(path)

        path.write_text("{")
        restore_backup(path)
        assert load_data_file(path) == {"level": 4}
        with pytest.raises(VersionConflictError):
            save_json_atomic(path, {"level": 6}, if_version=version)
        assert [backup.fault is None for backup in list_backups(path)] == [False, True, True]
        assert path.stat().st_mode & 0o7777 == 0o640
        assert os.getxattr(path, "trusted.origin") == b"kept"

        delete_json_atomic(path)
        assert load_data_file(path, default=None) is None
        assert json.loads(backups(path)[-1].read_bytes()) == {"level": 4}
        assert visible(path.parent) == [backup.name for backup in backups(path)]
        assert temporaries(path.parent) == []
        clear_all_cache()
