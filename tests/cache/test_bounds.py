"""The limits of the cache, in documents, bytes and descriptors."""

from __future__ import annotations

import json
import os
import resource
from pathlib import Path

import pytest

from oasis_data import (
    clear_all_cache,
    configure,
    invalidate_cache,
    is_cache_valid,
    load_data_file,
    save_json_atomic,
    stats,
)
from tests.cache.files import counts, held, key, open_files, write


def test_least_recently_used_document_goes_first(files_past_racy_window: list[Path]) -> None:
    configure(cache_entries=3)
    before = counts()
    for number in (0, 1, 2, 0, 3, 4):
        load_data_file(files_past_racy_window[number])

    # 3 put out 1, not 0, which had been used again; 4 put out 2.
    assert held(files_past_racy_window) == [0, 3, 4]
    gained = counts() - before
    assert gained["evictions"] == 2
    assert gained["hits"] == 1
    assert gained["misses"] == 5
    assert stats()["cache_entries"] == 3


def test_bytes_of_text_are_bounded(files_past_racy_window: list[Path]) -> None:
    configure(cache_bytes=3_500)
    before = counts()
    for path in files_past_racy_window:
        load_data_file(path)
        assert stats()["cache_bytes"] <= 3_500

    assert held(files_past_racy_window) == [3, 4, 5]
    assert stats()["cache_bytes"] == 3_000
    assert (counts() - before)["evictions"] == 3


def test_lower_limits_hold_at_once(files_past_racy_window: list[Path]) -> None:
    for path in files_past_racy_window:
        load_data_file(path)
    assert stats()["cache_bytes"] == 6_000

    configure(cache_entries=5)
    assert stats()["cache_entries"] == 5
    configure(cache_bytes=2_000)
    assert stats()["cache_entries"] == 2
    assert held(files_past_racy_window) == [4, 5]


def test_document_over_the_limit_is_loaded_but_not_kept(files_past_racy_window: list[Path]) -> None:
    configure(cache_bytes=1_500)
    load_data_file(files_past_racy_window[0])
    large = files_past_racy_window[5].with_name("large.json")
    write(large, "x" * 2_000)

    for _ in range(3):
        assert load_data_file(large) == "x" * 2_000
        assert not is_cache_valid(large)

    # And what was there is not thrown out for it.
    assert held(files_past_racy_window) == [0]


@pytest.mark.parametrize("limit", ["entries", "bytes"])
def test_cache_of_no_size_keeps_nothing_and_loads_all(tmp_path: Path, limit: str) -> None:
    path = tmp_path / "x.json"
    if limit == "entries":
        configure(cache_entries=0)
    else:
        configure(cache_bytes=0)
    for number in range(20):
        save_json_atomic(path, [number])
        assert load_data_file(path) == [number]
        assert load_data_file(path, copy=False) == [number]
        assert not is_cache_valid(path)
        assert key(path) not in open_files()
    assert stats()["cache_entries"] == stats()["cache_bytes"] == 0


def test_sizes_return_to_nothing(files_past_racy_window: list[Path]) -> None:
    for path in files_past_racy_window:
        load_data_file(path)
        write(path, "fresh")
        load_data_file(path)
    for path in files_past_racy_window[:3]:
        invalidate_cache(path)
    assert stats()["cache_entries"] == 3
    files_past_racy_window[3].unlink()
    load_data_file(files_past_racy_window[3])
    clear_all_cache()

    assert stats()["cache_entries"] == stats()["cache_bytes"] == 0


def test_cache_takes_none_of_the_few_descriptors_that_there_are(tmp_path: Path) -> None:
    configure(durability="process")
    paths = [tmp_path / f"{number}.json" for number in range(100)]
    for path in paths:
        write(path, path.name)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (len(os.listdir("/proc/self/fd")) + 20, hard))
    try:
        for path in paths:
            assert load_data_file(path) == path.name
        for path in paths:
            load_data_file(path)
            save_json_atomic(path, "saved")
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert [json.loads(path.read_text()) for path in paths] == ["saved"] * 100
