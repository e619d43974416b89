"""Files that are missing, corrupt or unreadable: the default, or an error, and nothing cached."""

from __future__ import annotations

import errno
import logging
import os
from pathlib import Path
from typing import cast

import pytest

from oasis_data import (
    CorruptFileError,
    DataFileNotFoundError,
    JSONReadError,
    is_cache_valid,
    load_data_file,
)
from tests.cache.files import LONG_AGO, write


@pytest.mark.parametrize("default", [None, [], 0, False, "", "text", {"a": 1}])
def test_default_may_be_any_value(anywhere: Path, default: object) -> None:
    answer = load_data_file(anywhere / "missing.json", default=default)

    assert answer == default
    assert type(answer) is type(default)


@pytest.mark.parametrize(
    ("content", "error"),
    [
        (None, DataFileNotFoundError),
        (b"", CorruptFileError),
        (b"{", CorruptFileError),
        (b'{"a": 1}}', CorruptFileError),
        (b"\xff", CorruptFileError),
    ],
)
@pytest.mark.parametrize("relative", [False, True])
def test_missing_or_corrupt_file_gives_the_default_and_one_warning(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    content: bytes | None,
    error: type[JSONReadError],
    relative: bool,
) -> None:
    monkeypatch.chdir(tmp_path)
    whole = tmp_path / "x.json"
    path = Path("x.json") if relative else whole
    if content is not None:
        whole.write_bytes(content)

    for load in range(1, 3):
        assert load_data_file(path, default="default") == "default"
        assert len(caplog.records) == load
    for record in caplog.records:
        assert (record.name, record.levelno) == ("DataOperations", logging.WARNING)
        assert str(whole) in record.getMessage()

    caplog.clear()
    with pytest.raises(error):
        load_data_file(path, default="default", strict=True)
    assert caplog.records == []


def test_default_is_given_in_a_folder_that_was_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "removed"
    folder.mkdir()
    monkeypatch.chdir(folder)
    folder.rmdir()

    assert load_data_file("x.json", default="default") == "default"


def test_file_that_cannot_be_read_is_never_taken_for_a_missing_one(anywhere: Path) -> None:
    with pytest.raises(JSONReadError) as caught:
        load_data_file(anywhere, default="default")

    assert cast("OSError", caught.value).errno == errno.EISDIR


def test_failure_is_never_cached(folder: Path) -> None:
    path = folder / "x.json"
    for number in range(10_000, 10_200):
        path.unlink(missing_ok=True)
        assert load_data_file(path, default="default") == "default"
        path.write_text("{0000")
        os.utime(path, ns=(LONG_AGO, LONG_AGO))
        assert load_data_file(path, default="default") == "default"
        write(path, number)
        assert load_data_file(path, default="default") == number


@pytest.mark.parametrize("value", [None, True, False, 0, 1.5, "", "text", [], [1], {}])
def test_any_value_at_the_top_is_a_document(anywhere: Path, value: object) -> None:
    path = anywhere / "x.json"
    write(path, value)

    for hit in (False, True, True):
        assert is_cache_valid(path) is hit
        loaded = load_data_file(path, default="default", strict=True)
        assert loaded == value
        assert type(loaded) is type(value)
