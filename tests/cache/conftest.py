"""Files that are known to be settled."""

from __future__ import annotations

from pathlib import Path

import pytest

from oasis_data import clear_all_cache
from tests.cache.files import settle, write


@pytest.fixture
def settled_files(tmp_path: Path) -> list[Path]:
    """Six files of a thousand bytes each, which load as settled at once."""
    paths = [tmp_path / f"{number}.json" for number in range(6)]
    for number, path in enumerate(paths):
        write(path, str(number) * 998)
    for path in paths:
        settle(path)
    clear_all_cache()
    return paths
