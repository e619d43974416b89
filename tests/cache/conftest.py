"""Files that are past their racy window."""

from __future__ import annotations

from pathlib import Path

import pytest

from oasis_data import clear_all_cache
from tests.cache.files import leave_racy_window, write


@pytest.fixture
def files_past_racy_window(anywhere: Path) -> list[Path]:
    """Six files of a thousand bytes each, which load as past their racy window at once."""
    paths = [anywhere / f"{number}.json" for number in range(6)]
    for number, path in enumerate(paths):
        write(path, str(number) * 998)
    for path in paths:
        leave_racy_window(path)
    clear_all_cache()
    return paths
