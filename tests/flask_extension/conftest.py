"""A root for documents, and a client of an application over it."""

from __future__ import annotations

from pathlib import Path

import pytest
from flask.testing import FlaskClient

from tests.flask_extension.applications import make_app


@pytest.fixture
def root(anywhere: Path) -> Path:
    (anywhere / "root" / "dynamic").mkdir(parents=True)
    return anywhere / "root"


@pytest.fixture
def client(root: Path) -> FlaskClient:
    return make_app(root).test_client()
