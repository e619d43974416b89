"""A file that calls fail on."""

from __future__ import annotations

from pathlib import Path

import pytest

from oasis_data import save_json_atomic


@pytest.fixture
def path(anywhere: Path) -> Path:
    """A saved file, in a folder of its own."""
    path = anywhere / "folder" / "tanks.json"
    path.parent.mkdir()
    save_json_atomic(path, {"a": 1})
    return path
