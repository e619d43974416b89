"""Every character, and halves of surrogate pairs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from oasis_data import UnserializableError, load_data_file, save_json_atomic
from tests.parity.comparison import assert_saved_as_by_json
from tests.strategies import LONE_SURROGATES


def test_every_character_is_written_and_read_as_by_json(folder: Path, oracle: Path) -> None:
    everything = "".join(map(chr, (*range(0xD800), *range(0xE000, 0x110000))))
    value = [everything, {everything: everything}, *everything[:0x3000]]
    for ensure_ascii in (False, True):
        assert_saved_as_by_json(folder, oracle, value, {"ensure_ascii": ensure_ascii})
        assert load_data_file(folder / "data.json", strict=True) == value


@pytest.mark.parametrize("surrogate", LONE_SURROGATES, ids=ascii)
def test_a_lone_surrogate_is_written_only_as_an_escape(folder: Path, surrogate: str) -> None:
    path = folder / "data.json"
    save_json_atomic(path, [surrogate], indent=None, ensure_ascii=True)
    assert path.read_bytes() == json.dumps([surrogate]).encode("ascii")
    assert load_data_file(path, strict=True) == [surrogate]
    with pytest.raises(UnserializableError) as caught:
        save_json_atomic(path, [surrogate], ensure_ascii=False)
    assert isinstance(caught.value.original_error, UnicodeEncodeError)
