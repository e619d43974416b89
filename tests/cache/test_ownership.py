"""What a load returned is the caller's, and what is lent is the cache's."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from oasis_data import (
    clear_all_cache,
    invalidate_cache,
    is_cache_valid,
    load_data_file,
    save_json_atomic,
)
from tests.cache.files import leave_racy_window, write


def nested() -> dict[str, Any]:
    return {
        "list": [1, [2, [3, {"deep": [{"deeper": {"deepest": []}}]}]], {}],
        "dict": {"a": {"b": {"c": [[[]]]}}},
        "empty": {},
        "text": "x",
        "": None,
    }


def ruin(value: Any) -> None:
    """Changes every list and dictionary in `value`, the innermost first."""
    if isinstance(value, dict):
        for child in value.values():
            ruin(child)
        value.clear()
        value["ruined"] = True
    elif isinstance(value, list):
        for child in value:
            ruin(child)
        value[:] = ["ruined"]


def test_change_of_a_loaded_document_never_shows_in_another_load(anywhere: Path) -> None:
    path = anywhere / "x.json"
    write(path, nested())
    for state in ("fresh", "past its racy window"):
        if state == "past its racy window":
            leave_racy_window(path)
        for hit in (False, True, True):
            if not hit:
                invalidate_cache(path)
            assert is_cache_valid(path) is hit
            loaded = load_data_file(path)
            kept = load_data_file(path)
            assert loaded == kept == nested()
            ruin(loaded)
            assert kept == nested()
            assert load_data_file(path, copy=False) == nested()


def test_change_of_a_saved_object_never_shows_in_a_load(anywhere: Path) -> None:
    path = anywhere / "x.json"
    data = nested()
    save_json_atomic(path, data)
    ruin(data)

    loaded = load_data_file(path)
    ruin(loaded)

    assert load_data_file(path) == nested()


def test_deeply_nested_document_is_copied_to_the_bottom(anywhere: Path) -> None:
    path = anywhere / "x.json"
    depth = 400
    path.write_text("[" * depth + "]" * depth)
    first, second = load_data_file(path), load_data_file(path)
    shared = 0
    while first:
        shared += first is second
        first, second = first[0], second[0]

    assert shared + (first is second) == 0


def test_load_without_copy_lends_the_cached_object(anywhere: Path) -> None:
    path = anywhere / "x.json"
    write(path, nested())
    lent = load_data_file(path, copy=False)
    assert load_data_file(path, copy=False) is lent
    assert load_data_file(path) is not lent
    leave_racy_window(path)
    assert load_data_file(path, copy=False) is lent

    write(path, {"new": []})
    assert load_data_file(path, copy=False) == {"new": []}
    assert lent == nested(), "a document that is lent outlives its entry unchanged"


def test_cleared_cache_keeps_no_reference_to_a_lent_document(anywhere: Path) -> None:
    path = anywhere / "x.json"
    write(path, nested())
    lent = load_data_file(path, copy=False)
    cached = sys.getrefcount(lent)

    clear_all_cache()

    assert sys.getrefcount(lent) == cached - 1


def test_default_is_never_shared(anywhere: Path) -> None:
    missing = anywhere / "missing.json"
    corrupt = anywhere / "corrupt.json"
    corrupt.write_text("{")
    for path in (missing, corrupt):
        ruin(load_data_file(path))
        assert load_data_file(path) == {}

        default = [{"a": [1]}]
        answer = load_data_file(path, default=default)
        assert answer == default
        ruin(answer)
        assert default == [{"a": [1]}]
        assert load_data_file(path, default=default) == [{"a": [1]}]
