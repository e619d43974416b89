"""The judges of the campaign see what they are there to see."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.backend.concurrency import make_document
from tests.torture import readers
from tests.torture.adapters import BY_NAME, OasisData
from tests.torture.kills import Loop
from tests.torture.readers import BACK, SAVES_OF_ONE_WRITER, TORN


class Wayward(OasisData):
    """Loads what it is told to."""

    name = "wayward"

    def __init__(self, documents: Iterator[Any]) -> None:
        self._documents = documents

    def load(self, path: Path) -> Any:
        return next(self._documents)


def test_readers_notice_what_is_torn_mixed_missing_or_goes_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second, other = (
        make_document(number, 3)
        for number in (SAVES_OF_ONE_WRITER + 1, SAVES_OF_ONE_WRITER + 2, 2 * SAVES_OF_ONE_WRITER)
    )
    mixed = first | {"filler": second["filler"]}
    documents = [first, second, other, second, first, mixed, {}, None]
    monkeypatch.setitem(BY_NAME, "wayward", Wayward(iter(documents)))
    (tmp_path / "attempts").touch()
    # One more than there are: that the loading itself fails counts too.
    readings = readers.read("wayward", tmp_path / "x.json", len(documents) + 1, 0, bare=False)
    assert readings.met == {BACK: 1, TORN: 4}


class Forgetful(OasisData):
    """Acknowledges what it has not saved."""

    def save(self, path: Path, document: dict[str, Any]) -> None:
        if document.get("number", 0) == 0:
            super().save(path, document)


def test_kills_notice_what_was_acknowledged_and_is_not_there(tmp_path: Path) -> None:
    toll = Loop(Forgetful(), tmp_path, 8, seed=1, edits=False).run(20)
    assert toll.saves
    assert toll.broken["lost"]
    assert toll.kills == 20
    assert set(toll.broken) == {"lost"}


class Careless(OasisData):
    """Writes in place."""

    def save(self, path: Path, document: dict[str, Any]) -> None:
        if not path.exists():
            super().save(path, document)
        else:
            path.write_bytes(b"{")


def test_kills_notice_what_is_torn(tmp_path: Path) -> None:
    toll = Loop(Careless(), tmp_path, 8, seed=1, edits=False).run(20)
    assert set(toll.broken) == {"torn"}
