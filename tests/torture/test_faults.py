"""Every way to write a file, killed or failed at each of its syscalls."""

from __future__ import annotations

import errno
import json
import os
import shutil
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from oasis_data import StorageWriteError, save_json_atomic
from tests.conftest import mounted, temporaries, visible
from tests.torture import rounds
from tests.torture.faults import (
    CANNOT_FAIL,
    ERRORS,
    KILL,
    Fault,
    Scenario,
    Tally,
    cut_short,
    interrupt,
    prepared,
    storage_calls,
    strike,
)
from tests.torture.scenarios import BATCH, BATCH_SAVE, NEW, OLD, SCENARIOS, recovery_of

PAGE = 4096
QUICK_CALLS = 60
FULL = rounds(0, 1) == 1
LASTING = [error for error in ERRORS if error != "EINTR"]
"""What stays as it is: an interrupted call that is tried again may not be interrupted for ever."""


def chosen_faults(calls: list[tuple[str, int]]) -> list[Fault]:
    """A kill at each call; and all errors, or in the quick run one of them, at each.

    Of many calls, the quick run takes every third or so.
    """
    if not FULL:
        calls = calls[:: max(1, len(calls) // QUICK_CALLS)]
    faults = [Fault(name, when, KILL) for name, when in calls]
    can_fail = [call for call in calls if call[0] not in CANNOT_FAIL]
    for index, (name, when) in enumerate(can_fail):
        errors = ERRORS if FULL else [ERRORS[index % len(ERRORS)]]
        faults += [Fault(name, when, f"error={error}") for error in errors]
        if FULL:
            faults += [Fault(name, when, f"error={error}", lasting=True) for error in LASTING]
    return faults


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.name)
def test_old_or_new_and_the_truth_at_every_syscall(
    strace: str, tmp_path: Path, scenario: Scenario, report: Callable[[str], None]
) -> None:
    root, log, tally = tmp_path / "root", tmp_path / "log", Tally()
    prepared(scenario, root)
    assert scenario.state(root) == scenario.old
    calls = storage_calls(strace, scenario, root, log)
    assert len(calls) > 20
    for fault in chosen_faults(calls):
        strike(strace, scenario, root, log, fault, tally)
    for limit in (0, 1, 4096, 6000, 8000):
        cut_short(scenario, root, limit, tally)
    counts = ", ".join(
        f"{count} {kind.removeprefix('signal=').removeprefix('error=')}"
        for kind, count in tally.tried.items()
    )
    broken = tally.all_broken()
    report(f"{scenario.name}: {len(calls)} syscalls; {counts}; {len(broken)} promises broken")
    assert broken == []
    # Which of its threads makes a call may differ from one batch to the next.
    assert tally.tried["missed"] <= tally.tried.total() // 10


@pytest.mark.timeout(1800)
def test_a_recovery_killed_anywhere_is_finished_by_the_next_use(
    strace: str, tmp_path: Path, report: Callable[[str], None]
) -> None:
    root, log, tally = tmp_path / "root", tmp_path / "log", Tally()
    interrupted = tmp_path / "interrupted"
    kills = [Fault(name, when, KILL) for name, when in storage_calls(strace, BATCH_SAVE, root, log)]
    ends: Counter[str] = Counter()
    for kill in kills if FULL else kills[-60::6]:
        prepared(BATCH_SAVE, root)
        interrupt(strace, BATCH_SAVE, root, log, kill)
        if not (root / BATCH[0]).with_name(".oasis_data").joinpath("journal").exists():
            continue
        shutil.rmtree(interrupted, ignore_errors=True)
        shutil.copytree(root, interrupted, symlinks=True)
        recovery = recovery_of(interrupted, BATCH_SAVE.state(root))
        assert recovery.new in (BATCH_SAVE.old, BATCH_SAVE.new)
        ends["rolled forward" if recovery.new == BATCH_SAVE.new else "rolled back"] += 1
        calls = storage_calls(strace, recovery, root, log)
        for name, when in calls if FULL else calls[::4]:
            strike(strace, recovery, root, log, Fault(name, when, KILL), tally)
    broken = tally.all_broken()
    report(
        f"recovery: {ends['rolled forward']} interrupted batches rolled forward, "
        f"{ends['rolled back']} rolled back, {tally.tried[KILL]} kills meanwhile; "
        f"{len(broken)} promises broken"
    )
    assert broken == []
    assert ends["rolled forward"] >= 3


def fill(filler: Path, spare: int) -> None:
    """Fills the disk, but for some pages."""
    size = 0
    with filler.open("wb", buffering=0) as file, suppress(OSError):
        while True:
            size += file.write(b"x" * PAGE)
    os.truncate(filler, size - spare * PAGE)


def test_a_full_disk_leaves_the_old_file(tmp_path: Path) -> None:
    """A real one: the save of four pages is cut short after 0, 1, 2 and 3 of them."""
    with mounted(tmp_path / "small", "tmpfs", "size=128k") as folder:
        path, filler = folder / "tanks.json", folder / "filler"
        save_json_atomic(path, OLD)
        save_json_atomic(path, NEW)
        for spare in range(4):
            fill(filler, spare)
            before = visible(folder)
            with pytest.raises(StorageWriteError) as caught:
                save_json_atomic(path, OLD * 2)
            assert caught.value.errno == errno.ENOSPC
            assert json.loads(path.read_bytes()) == NEW
            assert temporaries(folder) == []
            assert visible(folder) == before
        filler.unlink()
        save_json_atomic(path, OLD * 2)
        assert json.loads(path.read_bytes()) == OLD * 2
