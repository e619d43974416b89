"""oasis_data under many writers, many readers and many kills."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from oasis_data import save_json_atomic
from tests.conftest import temporaries
from tests.torture import rounds
from tests.torture.adapters import OasisData
from tests.torture.counters import race
from tests.torture.kills import Loop
from tests.torture.readers import BACK, BARE_TORN, TORN, watch

pytestmark = pytest.mark.timeout(3600)


def test_no_increment_is_lost(tmp_path: Path, report: Callable[[str], None]) -> None:
    result = race(OasisData(), tmp_path / "count.json", 8, 8, rounds(2_000, 100_000))
    report(
        f"counters: 8 processes x 8 threads, {result.acknowledged:,} edit_json increments, "
        f"{result.lost} lost"
    )
    assert result.first_error == ""
    assert result.found == result.acknowledged == result.tried


def test_no_load_is_torn_or_missing_or_goes_back(
    tmp_path: Path, report: Callable[[str], None]
) -> None:
    readings = watch(
        *(OasisData(), tmp_path / "tanks.json"),
        writers=8,
        readers=4,
        loads=rounds(20_000, 1_000_000),
        saves=rounds(300, 5_000),
    )
    report(
        f"readers: {readings.loads:,} loads through it and {readings.bare_loads:,} without it "
        f"beside {readings.saves:,} saves by 8 writers, {readings.met[TORN]} torn or missing, "
        f"{readings.met[BARE_TORN]} torn without it, {readings.met[BACK]} going back"
    )
    assert readings.first == {}


def test_kills_lose_nothing_that_was_acknowledged(
    tmp_path: Path, report: Callable[[str], None]
) -> None:
    seed = time.time_ns()
    toll = Loop(OasisData(), tmp_path, 8, seed).run(rounds(40, 2_000))
    report(
        f"kill -9: {toll.kills:,} kills, {toll.saves:,} acknowledged saves and {toll.edits:,} "
        f"edits, {toll.broken['lost']} lost, {toll.broken['torn']} torn (seed {seed})"
    )
    assert toll.first == {}
    assert toll.saves
    assert toll.edits
    for path in tmp_path.glob("*.json"):
        save_json_atomic(path, "the next save waits for nobody", timeout=0)
    assert temporaries(tmp_path) == []
