"""Settings, and several applications."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from flask import Flask

from oasis_data import configure
from oasis_data.flask import OasisData
from tests.conftest import python
from tests.flask_extension.applications import DOCUMENTS, make_app, put


def test_settings_come_from_the_config(root: Path) -> None:
    make_app(root, OASIS_DATA_BACKUPS_KEPT=3, OASIS_DATA_LOCK_TIMEOUT=1.5)

    assert (configure()["backups_kept"], configure()["lock_timeout"]) == (3, 1.5)


def test_settings_that_cannot_be_are_told_at_once(root: Path) -> None:
    before = configure()

    with pytest.raises(ValueError, match="durability"):
        make_app(root, OASIS_DATA_DURABILITY="some")

    assert configure() == before


def test_one_extension_serves_several_apps(tmp_path: Path) -> None:
    data = OasisData()
    clients = []
    for name in ("first", "second"):
        (tmp_path / name / "dynamic").mkdir(parents=True)
        clients.append(make_app(tmp_path / name, data).test_client())

    for client, content in zip(clients, ("one", "two"), strict=True):
        assert put(client, content).status_code == 200
    assert [client.get("/data/tanks").get_json() for client in clients] == ["one", "two"]
    assert json.loads((tmp_path / "first" / DOCUMENTS["tanks"]).read_text()) == "one"


def test_an_app_may_be_given_at_once(root: Path) -> None:
    app = Flask(__name__)
    app.config.update(OASIS_DATA_ROOT=root, OASIS_DATA_DOCUMENTS=DOCUMENTS)
    data = OasisData(app)

    with app.app_context():
        assert list(data.catalogue) == list(DOCUMENTS)
        assert data.get_data_file_path("plant") == root / "plant.json"


def test_metrics_are_neither_served_nor_imported_unless_asked_for(root: Path) -> None:
    assert make_app(root).test_client().get("/metrics").status_code == 404
    printed = python(
        """
import sys
sys.modules["prometheus_client"] = None
from flask import Flask
from oasis_data.flask import OasisData
app = Flask("app")
OasisData(app)
app.config["OASIS_DATA_METRICS_PATH"] = "/metrics"
try:
    OasisData(app)
except ImportError as error:
    print(error.name)
"""
    )
    assert printed.startswith("prometheus_client")
