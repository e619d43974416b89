"""Documents of every kind, under all options, written as by `json.dump`."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oasis_data import stats
from tests.parity.comparison import assert_saved_as_by_json
from tests.parity.specimens import SPECIMENS
from tests.strategies import (
    INDENTS,
    LoudInt,
    LoudText,
    Opaque,
    described,
    dump_options,
    examples,
    plain_trees,
    trees,
)


def all_options(**fixed: Any) -> Iterator[dict[str, Any]]:
    """Every combination of the options that are not fixed."""
    choices: dict[str, list[Any]] = {
        "indent": list(INDENTS),
        "ensure_ascii": [False, True],
        "sort_keys": [False, True],
        "allow_nan": [False, True],
        "default": [None, described],
    }
    choices.update({name: [choice] for name, choice in fixed.items()})
    for combination in itertools.product(*choices.values()):
        yield dict(zip(choices, combination, strict=True))


@examples(400)
@given(value=trees(), options=dump_options())
def test_any_tree_is_written_as_by_json_dump(
    folder: Path, oracle: Path, value: Any, options: dict[str, Any]
) -> None:
    assert_saved_as_by_json(folder, oracle, value, options)


@examples(250)
@given(
    value=plain_trees(),
    options=st.fixed_dictionaries(
        {"indent": st.sampled_from(INDENTS)},
        optional={
            "sort_keys": st.just(False),
            "ensure_ascii": st.just(False),
            "allow_nan": st.booleans(),
        },
    ),
)
def test_a_plain_tree_is_written_natively_and_as_by_json_dump(
    folder: Path, oracle: Path, value: Any, options: dict[str, Any]
) -> None:
    # Without this the property above might compare `json` with itself.
    before = stats()["encode_fallbacks"]
    assert_saved_as_by_json(folder, oracle, value, options)
    assert stats()["encode_fallbacks"] == before


@pytest.mark.parametrize("name", SPECIMENS)
def test_each_kind_of_value_is_written_as_by_json_dump_under_all_options(
    folder: Path, oracle: Path, name: str
) -> None:
    # Whether NaN is allowed matters to few of them, and doubles the time.
    allow_nan = {} if "finite" in name else {"allow_nan": False}
    for options in all_options(**allow_nan):
        assert_saved_as_by_json(folder, oracle, SPECIMENS[name], options)


@pytest.mark.parametrize(
    "indent",
    [
        *(3, 10, 1000, 2000, -7, " ", "\n", "é", "\u2028", '"', "\0", LoudText("  "), LoudInt(2)),
        *(2**70, 1.5, [], {}, b" ", Opaque(), 1j, "\ud800"),
    ],
    ids=lambda indent: ascii(indent).partition(" at 0x")[0],
)
@pytest.mark.parametrize("sort_keys", [False, True])
def test_any_indent_does_what_it_does_to_json_dump(
    folder: Path, oracle: Path, indent: Any, sort_keys: bool
) -> None:
    value = {"b": [1, {"c": "d"}], "a": {}}
    options = {"indent": indent, "sort_keys": sort_keys}
    assert_saved_as_by_json(folder, oracle, value, options)
