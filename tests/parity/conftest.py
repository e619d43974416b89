"""A folder for many saves, and a file that `json` writes to."""

from __future__ import annotations

from pathlib import Path

import pytest

from oasis_data import configure


@pytest.fixture(autouse=True)
def unsynced() -> None:
    """Thousands of saves, none of which has to survive a power cut."""
    configure(durability="process")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """One folder for all examples of a property."""
    (tmp_path / "data").mkdir()
    return tmp_path / "data"


@pytest.fixture
def oracle(tmp_path: Path) -> Path:
    return tmp_path / "oracle.json"
