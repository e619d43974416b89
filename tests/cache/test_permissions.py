"""Loads without permission to write, and what no load writes."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from oasis_data import clear_all_cache, invalidate_cache, is_cache_valid, load_data_file
from tests.cache.files import is_hit, write
from tests.conftest import everything_in, mounted
from tests.nobody import as_nobody


def load_here() -> tuple[int, list[object], bool]:
    loaded = [load_data_file("x.json", strict=True) for _ in range(3)]
    return os.geteuid(), loaded, is_cache_valid("x.json")


def test_load_needs_no_permission_to_write_and_leaves_nothing_behind(tmp_path: Path) -> None:
    folder = tmp_path / "closed"
    folder.mkdir()
    write(folder / "x.json", {"a": 1})
    (folder / "x.json").chmod(0o444)
    folder.chmod(0o555)
    try:
        user, loaded, valid = as_nobody(folder, load_here)
    finally:
        folder.chmod(0o755)

    assert user != 0
    assert loaded == [{"a": 1}] * 3
    assert valid
    assert everything_in(folder) == ["x.json"]


def test_load_from_a_read_only_file_system(tmp_path: Path) -> None:
    with mounted(tmp_path / "mount", "tmpfs") as folder:
        write(folder / "x.json", {"a": 1})
        subprocess.run(["mount", "-o", "remount,ro", folder], check=True)

        assert [is_hit(folder / "x.json") for _ in range(3)] == [False, True, True]
        assert load_data_file(folder / "x.json", strict=True) == {"a": 1}
        assert load_data_file(folder / "missing.json") == {}
        assert everything_in(folder) == ["x.json"]
        clear_all_cache()


def test_load_writes_nothing_into_the_folder(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    write(path, 1)
    stamp = os.stat(tmp_path).st_mtime_ns

    for _ in range(3):
        load_data_file(path)
        invalidate_cache(path)

    assert os.stat(tmp_path).st_mtime_ns == stamp
    assert everything_in(tmp_path) == ["x.json"]
