"""One document under every spelling of its path."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from oasis_data import (
    clear_all_cache,
    invalidate_cache,
    is_cache_valid,
    load_data_file,
    save_json_atomic,
    stats,
)
from oasis_data._paths import FilePath
from tests.cache.files import is_hit, write


class BytesPath:
    """A path-like object of another kind than pathlib's."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __fspath__(self) -> bytes:
        return os.fsencode(self.path)


@pytest.fixture
def document(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file with many spellings, in the folder `data` of the current folder."""
    path = tmp_path / "data" / "x.json"
    path.parent.mkdir()
    write(path, 1)
    (tmp_path / "folder_link").symlink_to("data")
    (tmp_path / "file_link").symlink_to("data/x.json")
    monkeypatch.chdir(tmp_path)
    return path


SPELLINGS: dict[str, Callable[[Path], FilePath]] = {
    "text": str,
    "bytes": os.fsencode,
    "path": lambda path: path,
    "bytes_path": BytesPath,
    "relative": lambda path: "data/x.json",
    "relative_bytes": lambda path: b"data/x.json",
    "up_and_down": lambda path: "data/../data/x.json",
    "absolute_up_and_down": lambda path: f"{path.parent}/../data/x.json",
    "dots_and_slashes": lambda path: ".//data/.//x.json",
    "folder_link": lambda path: "folder_link/x.json",
    "file_link": lambda path: Path("file_link"),
}


@pytest.mark.parametrize("spell", SPELLINGS.values(), ids=SPELLINGS.keys())
def test_every_spelling_is_the_same_document(
    document: Path, spell: Callable[[Path], FilePath]
) -> None:
    spelling = spell(document)
    for one, other in ((document, spelling), (spelling, document)):
        clear_all_cache()
        assert not is_hit(one)
        assert is_cache_valid(other)
        assert is_hit(other)
        assert load_data_file(one, copy=False) is load_data_file(other, copy=False)
        assert stats()["cache_entries"] == 1

        invalidate_cache(other)
        assert not is_cache_valid(one)
        assert stats()["cache_entries"] == 0


@pytest.mark.parametrize("spell", SPELLINGS.values(), ids=SPELLINGS.keys())
def test_save_under_one_spelling_shows_under_the_other(
    document: Path, spell: Callable[[Path], FilePath]
) -> None:
    spelling = spell(document)
    for number in range(10):
        one, other = (document, spelling) if number % 2 else (spelling, document)
        load_data_file(one)
        load_data_file(other)
        save_json_atomic(one, number)
        assert load_data_file(other) == number
        assert load_data_file(one) == number
        assert stats()["cache_entries"] == 1


def test_second_name_of_a_file_follows_edits_and_parts_with_a_save(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    second = tmp_path / "second.json"
    write(path, 1)
    os.link(path, second)
    assert load_data_file(path) == load_data_file(second) == 1
    assert stats()["cache_entries"] == 1

    write(second, 2)
    assert load_data_file(path) == load_data_file(second) == 2

    save_json_atomic(path, 3)
    assert load_data_file(path) == 3
    assert load_data_file(second) == 2

    save_json_atomic(second, 4)
    assert load_data_file(path) == 3
    assert load_data_file(second) == 4


@pytest.mark.parametrize("spell", SPELLINGS.values(), ids=SPELLINGS.keys())
def test_failed_load_lets_the_old_document_go(
    document: Path, spell: Callable[[Path], FilePath]
) -> None:
    load_data_file(document)
    assert stats()["cache_entries"] == 1
    document.write_text("{")

    load_data_file(spell(document))

    assert stats()["cache_entries"] == 0
    assert not is_cache_valid(document)
