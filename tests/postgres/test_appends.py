"""Clients append at once, and the judge of their histories finds nothing wrong."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from oasis_data import load_data_file, save_json_atomic
from tests.postgres.appends import (
    DOCUMENTS,
    DONE,
    FAILED,
    UNKNOWN,
    Event,
    clients,
    histories,
    judge,
)

GOOD = Event(1, 2, DONE, {"left.json": "a"})


def final(*left: str) -> dict[str, list[str]]:
    return {"left.json": list(left), "right.json": []}


@pytest.mark.parametrize(
    ("events", "left", "wrong"),
    [
        ([GOOD], ["a"], []),
        ([GOOD], [], ["lost"]),
        ([GOOD], ["a", "a"], ["twice"]),
        ([GOOD], ["a", "b"], ["nobody appended b"]),
        ([replace(GOOD, outcome=FAILED)], ["a"], ["all the same"]),
        ([replace(GOOD, outcome=FAILED)], [], []),
        ([replace(GOOD, outcome=UNKNOWN)], ["a"], []),
        ([replace(GOOD, outcome=UNKNOWN)], [], []),
        ([GOOD, Event(3, 4, DONE, {}, {"left.json": ["a"]})], ["a"], []),
        ([GOOD, Event(3, 4, DONE, {}, {"left.json": []})], ["a"], ["stale"]),
        ([GOOD, Event(1.5, 4, DONE, {}, {"left.json": []})], ["a"], []),
        ([GOOD, Event(1.5, 4, DONE, {}, {"left.json": ["b"]})], ["a"], ["no beginning"]),
        ([Event(1, 2, DONE, dict.fromkeys(DOCUMENTS, "a"))], ["a"], ["lost", "half of a batch"]),
    ],
)
def test_the_judge_sees(events: list[Event], left: list[str], wrong: list[str]) -> None:
    found = judge(events, final(*left))
    assert len(found) == len(wrong)
    assert all(word in text for word, text in zip(wrong, found, strict=True))


def test_the_judge_sees_a_batch_that_was_half_seen() -> None:
    batch = Event(1, 2, DONE, dict.fromkeys(DOCUMENTS, "a"))
    seen = Event(1, 3, DONE, {}, {"left.json": ["a"], "right.json": []}, together=True)
    end = {name: ["a"] for name in DOCUMENTS}
    assert judge([batch, seen], end) == [
        "half of a batch was seen: {'left.json': 'a', 'right.json': 'a'}"
    ]
    assert judge([batch, replace(seen, together=False)], end) == []


def test_nothing_is_lost_doubled_stale_or_half_seen(anywhere: Path) -> None:
    for name in DOCUMENTS:
        save_json_atomic(anywhere / name, [])
    with clients(anywhere, 4, 40, [dict(os.environ)]) as processes:
        events = histories(processes)
    assert judge(events, {name: load_data_file(anywhere / name) for name in DOCUMENTS}) == []
    done = [event for event in events if event.outcome == DONE and event.appended]
    assert len(done) > 20
