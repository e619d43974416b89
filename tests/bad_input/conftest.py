"""A data file that no failed save may touch."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.bad_input.outcomes import OLD
from tests.conftest import temporaries


@pytest.fixture
def path(tmp_path: Path) -> Iterator[Path]:
    """A data file. Checked after the test: no failed save has touched anything."""
    file = tmp_path / "data" / "tanks.json"
    file.parent.mkdir()
    file.write_bytes(OLD)
    yield file
    assert temporaries(file.parent) == []
