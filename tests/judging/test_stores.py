"""Judged writes in PostgreSQL: round trips, connections that break, the row of a group."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from oasis_data import (
    _native,
    delete_json_atomic,
    save_json_atomic,
    save_many_atomic,
)
from tests.judging.references import References, in_force, path_of
from tests.postgres import test_breaks as breaks
from tests.postgres.fixtures import Store
from tests.postgres.proxy import Proxy
from tests.postgres.test_breaks import folder, proxy

__all__ = ["folder", "proxy"]


class Pair:
    """Rules by which `a.json` and `b.json` refer to each other, and everything is right."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.judged = 0

    def judgement(self, paths: list[str], deletes: bool) -> Any:
        names = {Path(path).name for path in paths}
        if not names <= {"a.json", "b.json"}:
            return None
        others = sorted({"a.json", "b.json"} - names)
        return SimpleNamespace(
            group=str(self.folder / "a.json"),
            companions=[str(self.folder / name) for name in others],
            wants_before=False,
            check=lambda *_: [],
            judge=self.judge,
        )

    def judge(self, before: Any, after: Any, companions: Any, faults: Any) -> None:
        self.judged += 1
        assert len(after) + len(companions) == 2


@pytest.fixture
def pair(folder: Path) -> Iterator[Pair]:
    with in_force(Pair(folder)) as pair:
        yield pair
        assert pair.judged


@pytest.mark.parametrize(
    ("operation", "trips"),
    [(breaks.save, 3), (breaks.edit, 3), (breaks.batch, 3), (breaks.delete, 4)],
)
def test_a_judged_write_takes_a_round_trip_for_its_judgement(
    folder: Path, proxy: Proxy, pair: Pair, operation: Any, trips: int
) -> None:
    breaks.test_round_trips(folder, proxy, operation, trips)


def test_a_write_without_a_judge_takes_no_other(folder: Path, proxy: Proxy, pair: Pair) -> None:
    breaks.prepare(folder, proxy)
    other = folder / "other.json"
    for content in range(3):
        save_json_atomic(other, content)
    proxy.forget()
    save_json_atomic(other, "new")
    assert proxy.round_trips == 1


@pytest.mark.parametrize("passes", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("operation", breaks.WRITES)
def test_a_judged_write_whose_connection_breaks_is_done_once(
    folder: Path, store: Store, proxy: Proxy, pair: Pair, operation: Any, passes: bool
) -> None:
    test = breaks.test_a_connection_that_breaks_is_made_anew_and_nothing_is_done_twice
    test(folder, store, proxy, operation, passes, "cut")


@pytest.mark.parametrize("operation", [breaks.edit, breaks.batch])
def test_a_judged_write_that_is_not_answered_ends_in_an_error_that_is_true(
    folder: Path, store: Store, proxy: Proxy, pair: Pair, operation: Any
) -> None:
    test = breaks.test_a_connection_that_says_nothing_more_ends_in_an_error_that_is_true
    test(folder, store, proxy, operation, passes=False)


def test_a_refused_write_leaves_its_connection_usable(
    folder: Path, store: Store, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    breaks.prepare(folder, proxy)
    pair = Pair(folder)

    def refuse(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(pair, "judge", refuse)
    calls: list[Callable[[], Any]] = [
        lambda: save_json_atomic(folder / "a.json", "new"),
        lambda: delete_json_atomic(folder / "a.json"),
        lambda: save_many_atomic({folder / "a.json": 1, folder / "b.json": 2}),
    ]
    with in_force(pair):
        proxy.forget()
        connections = proxy.connections
        for call in calls * 2:
            with pytest.raises(ZeroDivisionError):
                call()
        assert proxy.connections == connections
    breaks.wait_until_no_transaction_is_open(store)


def test_the_row_of_a_group_is_no_document(database: Path, store: Store) -> None:
    for name in ("crudes", "tanks"):
        save_json_atomic(path_of(database, name), {"names": [], "uses": {}})
    with in_force(References(database)):
        save_json_atomic(path_of(database, "tanks"), {"names": ["a"], "uses": {}})
    rows = store.connection.execute("SELECT name, number FROM document ORDER BY name").fetchall()
    assert rows[0] == ("dynamic/tanks.json", 2)
    assert ("static/.oasis_data/locks/crudes.json.group", 0) in rows
    assert _native.store_documents(store.url()) == ["dynamic/tanks.json", "static/crudes.json"]
