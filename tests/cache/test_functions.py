"""The guide's functions, which empty the cache and ask it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from oasis_data import (
    clear_all_cache,
    get_file_mtime,
    invalidate_cache,
    is_cache_valid,
    load_data_file,
    save_json_atomic,
    stats,
)
from oasis_data._paths import FilePath
from tests.cache.files import held, is_hit, write


def test_clear_all_cache_lets_everything_go(files_past_racy_window: list[Path]) -> None:
    for path in files_past_racy_window:
        load_data_file(path)
    assert stats()["cache_entries"] == 6

    clear_all_cache()

    assert stats()["cache_entries"] == 0
    assert held(files_past_racy_window) == []
    assert not is_hit(files_past_racy_window[0])


def test_invalidate_cache_lets_one_document_go(files_past_racy_window: list[Path]) -> None:
    for path in files_past_racy_window:
        load_data_file(path)

    invalidate_cache(files_past_racy_window[2])

    assert held(files_past_racy_window) == [0, 1, 3, 4, 5]


def test_invalidate_cache_lets_the_document_of_a_deleted_file_go(anywhere: Path) -> None:
    path = anywhere / "x.json"
    write(path, 1)
    load_data_file(path)
    path.unlink()

    invalidate_cache(path)

    assert stats()["cache_entries"] == 0


@pytest.mark.parametrize("path", ["", "missing.json", "missing/x.json", b"\xff", "a\0b", "/", "."])
def test_unknown_path_is_not_cached_and_can_be_invalidated(path: FilePath) -> None:
    assert is_cache_valid(path) is False
    invalidate_cache(path)
    assert is_cache_valid(path) is False


def test_is_cache_valid_follows_the_file(anywhere: Path) -> None:
    path = anywhere / "x.json"
    write(path, 1)
    assert is_cache_valid(path) is False
    load_data_file(path)
    assert is_cache_valid(path) is True
    write(path, 2)
    assert is_cache_valid(path) is False
    load_data_file(path)
    save_json_atomic(path, 3)
    assert is_cache_valid(path) is False


def test_get_file_mtime_is_that_of_the_file(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    write(path, 1, 1_500_000_000_250_000_000)
    (tmp_path / "link").symlink_to(path)

    assert get_file_mtime(path) == 1_500_000_000.25
    assert get_file_mtime(str(path)) == get_file_mtime(os.fsencode(path)) == 1_500_000_000.25
    assert get_file_mtime(tmp_path / "link") == 1_500_000_000.25


@pytest.mark.parametrize("path", ["", "missing.json", b"missing.json", "a\0b", b"a\0b"])
def test_get_file_mtime_of_no_file_is_zero(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: FilePath
) -> None:
    monkeypatch.chdir(tmp_path)

    mtime = get_file_mtime(path)

    assert mtime == 0.0
    assert type(mtime) is float
