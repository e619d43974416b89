"""An app with the documents of a folder, their stream and a view, for a server to serve."""

from __future__ import annotations

import os

from flask import Flask

from oasis_data.flask import OasisData

TYPES = ("tanks", "vessels", "plant")


def create_app() -> Flask:
    """The app over the folder that the server's environment names."""
    data = OasisData()
    app = Flask(__name__)
    app.config.update(
        OASIS_DATA_ROOT=os.environ["DATA"],
        OASIS_DATA_DOCUMENTS={data_type: f"{data_type}.json" for data_type in TYPES},
        OASIS_DATA_STREAMS=int(os.environ["STREAMS"]),
        OASIS_DATA_STREAM_RETRY=0.1,
    )
    data.init_app(app)
    app.get("/data/<data_type>")(data.get_document)
    app.get("/stream")(data.stream)
    return app
