"""Prometheus' own tool, which knows what Prometheus takes."""

from __future__ import annotations

import shutil

import pytest

from tests.conftest import require


@pytest.fixture
def promtool() -> str:
    found = shutil.which("promtool")
    require(found, "needs promtool, from Debian's package prometheus")
    assert found
    return found
