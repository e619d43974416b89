"""An application with the extension, and a client that puts a document into it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from oasis_data.flask import OasisData

DOCUMENTS = {"tanks": "dynamic/tanks.json", "plant": "plant.json", "tänks": "umlaut.json"}


def make_app(root: Path, data: OasisData | None = None, **config: Any) -> Flask:
    app = Flask(__name__)
    app.config.update(OASIS_DATA_ROOT=str(root), OASIS_DATA_DOCUMENTS=DOCUMENTS)
    app.config.update(config)
    data = data or OasisData()
    data.init_app(app)
    app.get("/data/<data_type>")(data.get_document)
    app.put("/data/<data_type>")(data.put_document)
    app.patch("/data/<data_type>")(data.patch_document)
    app.delete("/data/<data_type>")(data.delete_document)
    app.get("/stream")(data.stream)
    app.get("/stream/<data_type>")(data.stream)
    return app


def put(client: FlaskClient, content: object, **headers: str) -> TestResponse:
    spelt = {name.replace("_", "-"): value for name, value in headers.items()}
    body = json.dumps(content)
    return client.put("/data/tanks", data=body, headers=spelt, content_type="application/json")
