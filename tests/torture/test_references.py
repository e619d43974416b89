"""Documents that refer to each other, changed from all sides: no reference ever dangles."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from oasis_data import save_json_atomic
from tests.judging.references import all_paths, dangling
from tests.torture import rounds
from tests.torture.references import Result, change_documents, empty, state_of

pytestmark = pytest.mark.timeout(3600)

PROCESSES = 8


def changed(
    folder: Path, logs: Path, changes: int, report: Callable[[str], None], **how: bool
) -> Result:
    for path in all_paths(folder).values():
        save_json_atomic(path, empty(), make_parents=True)
    seed = time.time_ns() % 10**9
    result = change_documents(folder, logs, PROCESSES, changes, seed, **how)
    refused = sum(count for kind, count in result.outcomes.items() if "refused" in kind)
    report(
        f"references: {PROCESSES} processes, {result.outcomes.total():,} changes in "
        f"{result.seconds:.1f} s, {refused:,} refused, {result.kills} kills, {result.states:,} "
        f"states seen, {len(result.dangling)} dangling, {len(result.failed)} failed (seed {seed})"
    )
    # A deadlock would end at the deadline.
    assert result.failed == []
    assert result.dangling == []
    assert dangling(state_of(folder)) == []
    return result


def test_no_reference_dangles_at_any_moment(
    anywhere: Path, tmp_path: Path, report: Callable[[str], None]
) -> None:
    changes = rounds(800, 10_000)
    result = changed(anywhere, tmp_path, changes, report)
    assert result.outcomes.total() == changes
    # Neither are all changes refused, nor all let through.
    for kind in ("edit", "batch", "delete", "save", "restore"):
        assert result.outcomes[kind], result.outcomes
    for kind in ("edit refused", "batch refused", "delete refused", "save refused"):
        assert result.outcomes[kind], result.outcomes
    assert result.states > changes // 100


def test_no_reference_dangles_when_processes_are_killed(
    anywhere: Path, tmp_path: Path, report: Callable[[str], None]
) -> None:
    result = changed(anywhere, tmp_path, rounds(800, 10_000), report, kills=True)
    assert result.kills


def test_the_one_that_looks_on_sees_what_dangles(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for path in all_paths(tmp_path).values():
        save_json_atomic(path, empty(), make_parents=True)
    # Nobody reads the rules there.
    monkeypatch.setenv("NO_RULES", "1")
    result = change_documents(tmp_path, tmp_path, 2, 100, 1)
    assert result.dangling
