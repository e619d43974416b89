"""Options and settings that are none."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from oasis_data import configure, delete_json_atomic, load_data_file, save_json_atomic
from tests.bad_input.outcomes import assert_untouched

BAD_OPTIONS: list[tuple[dict[str, Any], type[Exception]]] = [
    ({"timeout": -1}, ValueError),
    ({"timeout": -1e-9}, ValueError),
    ({"timeout": float("-inf")}, ValueError),
    ({"timeout": float("nan")}, ValueError),
    ({"timeout": "1"}, TypeError),
    ({"timeout": [1]}, TypeError),
    ({"backup": "yes"}, TypeError),
    ({"backup": 2}, TypeError),
    ({"if_version": 1}, TypeError),
    ({"if_version": b"x"}, TypeError),
    ({"sort_keys": "no"}, TypeError),
    ({"ensure_ascii": None}, TypeError),
    ({"allow_nan": 1.5}, TypeError),
    ({"make_parents": "no"}, TypeError),
    ({"unknown": 1}, TypeError),
    ({"skipkeys": True}, TypeError),
    ({"cls": json.JSONEncoder}, TypeError),
    ({"separators": (",", ":")}, TypeError),
    ({"backups": True, "timeout": 1}, TypeError),
]


@pytest.mark.parametrize(("options", "kind"), BAD_OPTIONS, ids=str)
def test_an_option_that_is_none_is_refused_before_anything_is_done(
    path: Path, options: dict[str, Any], kind: type[Exception]
) -> None:
    with pytest.raises(kind):
        save_json_atomic(path, {"new": 1}, **options)
    with pytest.raises(kind):
        save_json_atomic(path.parent / "new.json", {"new": 1}, **options)
    assert os.listdir(path.parent) == [path.name]
    assert_untouched(path)


@pytest.mark.parametrize("timeout", [0, 0.0, -0.0, 1e-300, 1e300, float("inf"), True, 10**20, None])
def test_any_other_timeout_is_taken(path: Path, timeout: Any) -> None:
    save_json_atomic(path, [1], timeout=timeout, backup=False)
    assert load_data_file(path, strict=True) == [1]


def test_options_are_given_by_name(path: Path) -> None:
    for call in (save_json_atomic, load_data_file, delete_json_atomic):
        spelt: Any = call
        with pytest.raises(TypeError):
            spelt(path, {}, 2)
    with pytest.raises(TypeError):
        load_data_file(path, unknown=1)  # type: ignore[call-arg]
    with pytest.raises(TypeError):
        delete_json_atomic(path, unknown=1)  # type: ignore[call-arg]
    assert_untouched(path)


@pytest.mark.parametrize(
    "changes",
    [
        {"cache_bytes": -1},
        {"cache_bytes": 2**64},
        {"cache_bytes": 1.5},
        {"cache_bytes": "1"},
        {"cache_entries": -1},
        {"cache_entries": 2**70},
        {"cache_entries": "many"},
        {"backups_kept": -1},
        {"backups_kept": [10]},
        {"lock_timeout": -1},
        {"lock_timeout": float("nan")},
        {"lock_timeout": float("-inf")},
        {"lock_timeout": "10"},
        {"durability": "x"},
        {"durability": "Full"},
        {"durability": ""},
        {"durability": 1},
        # All or nothing, whichever comes first.
        {"cache_entries": 1, "durability": "x"},
        {"durability": "process", "cache_bytes": -1},
        {"lock_timeout": -1, "cache_bytes": 5},
    ],
    ids=str,
)
def test_a_setting_that_is_none_changes_nothing(path: Path, changes: dict[str, Any]) -> None:
    before = configure()
    load_data_file(path)
    with pytest.raises(ValueError, match=r"\S"):
        configure(**changes)
    assert configure() == before
    assert_untouched(path)


def test_a_setting_that_does_not_exist_changes_nothing() -> None:
    before = configure()
    for changes in ({"unknown": 1}, {"cache_bytes": 5, "unknown": 1}, {"cache_byte": 5}):
        with pytest.raises(TypeError):
            configure(**changes)  # type: ignore[arg-type]
    assert configure() == before
