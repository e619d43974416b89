"""A refinery's backend: its documents are JSON files, kept by `oasis_data`.

Serve it with `run.py`, or with gunicorn, where `DATA` names the folder of the documents, and
`LOGS`, if it is set, the one of the log. With `STORE`, the documents lie in PostgreSQL at that URL:

    cd examples/backend
    DATA=/srv/refinery LOGS=/var/log/refinery gunicorn --workers 4 api:app

`/` is a page that shows the documents and their changes. `/metrics` is for Prometheus;
`gunicorn.conf.py` has what it takes to add up the workers. The documents obey the rules in
`oasis-data.toml`, if their folder has that file.
"""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path
from typing import Any

from flask import Flask, Response, current_app, jsonify, request
from flask.json.provider import DefaultJSONProvider
from scheduler import (
    DEFAULT_DAYS,
    DEFAULT_MAX_VESSELS,
    InputError,
    run_optimizer,
    run_scheduler,
)
from werkzeug.exceptions import HTTPException
from werkzeug.wrappers import Response as WSGIResponse

from oasis_data import (
    DataFileNotFoundError,
    OperationType,
    configure_logging,
    error_handler,
    get_file_mtime,
    load_data_file,
)
from oasis_data.flask import (
    OasisData,
    UnknownDataTypeError,
    answer_document,
    answer_error,
    get_data_file_path,
)

Answer = Response | tuple[Response, int]

DATA_FILES = {
    "tanks": "dynamic_data/tanks.json",
    "vessels": "dynamic_data/vessels.json",
    "vessel_routes": "dynamic_data/vessel_routes.json",
    "feedstock_parcels": "dynamic_data/feedstock_parcels.json",
    "feedstock_requirements": "dynamic_data/feedstock_requirements.json",
    "crudes": "static_data/crudes.json",
    "plant": "static_data/plant.json",
    "recipes": "static_data/recipes.json",
    "routes": "static_data/routes.json",
    "vessel_types": "static_data/vessel_types.json",
    "schedule": "output/schedule_results.json",
}

RULES = "oasis-data.toml"

# The page takes nothing from elsewhere, and no text becomes a script.
CONTENT_SECURITY_POLICY = (
    "default-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
    "object-src 'none'; require-trusted-types-for 'script'; trusted-types 'none'"
)

data = OasisData()


class RequestError(ValueError):
    """A request that the client has to mend; the message is for the client to read."""


def data_root() -> Path:
    """Returns the folder that the running app keeps its documents in."""
    root: Path = current_app.config["OASIS_DATA_ROOT"]
    return root


def read_body(*, required: bool = True) -> dict[str, Any]:
    """Returns the object that the client sent; with `required=False` an empty body is `{}`.

    Raises:
        RequestError: The body is not a JSON object.
    """
    if not required and not request.get_data():
        return {}
    try:
        body = request.get_json(silent=True)
    except RecursionError:
        # `silent` covers what is not JSON; brackets nested without end are, as far as they go.
        body = None
    if not isinstance(body, dict):
        raise RequestError("Expected a JSON object")
    return body


def read_count(body: dict[str, Any], key: str, default: int) -> int:
    """Returns a whole number from the body. Raises `RequestError` if it is anything else."""
    value = body.get(key, default)
    if isinstance(value, bool) or not isinstance(value, int):
        raise RequestError(f"Expected {key} to be a whole number")
    return value


def get_page() -> Response:
    """`GET /`: the page."""
    return current_app.send_static_file("index.html")


def get_documents() -> Response:
    """`GET /api/documents`: the file of each data type."""
    return jsonify(DATA_FILES)


def get_document(data_type: str) -> Response:
    """`GET /api/data/<type>`: a document; `Saved-At` has the seconds since 1970."""
    response = data.get_document(data_type)
    # Looked at after the document, so that a client that has an older time is told of a change.
    response.headers["Saved-At"] = f"{get_file_mtime(get_data_file_path(data_type)):.3f}"
    return response


def get_data() -> Response:
    """`GET /api/data`: every document, by type; one that has never been saved is `{}`."""
    documents = {}
    for data_type in DATA_FILES:
        # Strict, because the editor saves what it was shown: after `{}` in place of a corrupt
        # file the next save would make the loss permanent.
        try:
            documents[data_type] = load_data_file(get_data_file_path(data_type), strict=True)
        except DataFileNotFoundError:
            documents[data_type] = {}
    return answer_document(documents)


def save_data() -> Response:
    """`POST /api/save-data`: replaces a document; `{"type": ..., "content": ...}`.

    With the ETag of `GET /api/data/<type>` in If-Match, only if nobody else has meanwhile.
    """
    body = read_body()
    data_type, content = body.get("type"), body.get("content")
    if not data_type or content is None:
        raise RequestError("Missing type or content")
    return data.save_document(data_type, content)


def save_schedule() -> Response:
    """`POST /api/save-schedule`: replaces the schedule; `{"daily_plans": [...]}`."""
    schedule = read_body()
    if not isinstance(schedule.get("daily_plans"), list):
        raise RequestError("Missing daily_plans")
    return data.save_document("schedule", schedule)


def run_scheduler_route() -> Response:
    """`POST /api/scheduler/run`: plans `{"days": 31}` ahead and saves the schedule."""
    body = read_body(required=False)
    schedule = run_scheduler(data_root(), read_count(body, "days", DEFAULT_DAYS))
    return answer_document({"success": True, **schedule.document, "waiting": schedule.waiting})


def optimize_vessels() -> Response:
    """`POST /api/vessel-optimizer/optimize`: hires up to `{"max_vessels": 12}` and saves them."""
    body = read_body(required=False)
    fleet = run_optimizer(data_root(), read_count(body, "max_vessels", DEFAULT_MAX_VESSELS))
    return answer_document(
        {
            "success": True,
            "vessels": fleet.vessels,
            "vessel_routes": fleet.vessel_routes,
            "unmet": fleet.unmet,
        }
    )


def refuse_request(error: ValueError) -> Answer:
    """Tells the client what to mend."""
    # A GET names its document by the address, so there it is the address that is unknown.
    status = 404 if request.method == "GET" else 400
    return jsonify({"success": False, "error": str(error)}), status


def refuse_input(error: InputError) -> Answer:
    """Tells the client which field of the stored documents cannot be planned with."""
    return jsonify({"success": False, "error": str(error)}), 422


def answer_missing(error: DataFileNotFoundError) -> Response:
    """Answers that a document has never been saved; 500 if it is one that a planner needs."""
    return answer_error(error, status=500 if request.method == "POST" else None)


def answer_http_error(error: HTTPException) -> WSGIResponse:
    """Answers an address or a method that there is none of, in the shape of every answer."""
    # Its headers tell what there is: Allow, Accept-Patch. A view of the extension has the reason.
    response = error.get_response()
    if response.mimetype != "application/json":
        response.data = current_app.json.dumps({"success": False, "error": error.name})
        response.mimetype = "application/json"
    return response


def answer_failure(error: Exception) -> Answer:
    """Logs any other failure, and answers with nothing that a client must not see."""
    return jsonify(error_handler.handle_error(OperationType.READ, request.path, error)), 500


def secure(response: Response) -> Response:
    """Has browsers take an answer for what it is, and the page load from this server alone."""
    response.headers["Content-Security-Policy"] = CONTENT_SECURITY_POLICY
    response.headers["X-Content-Type-Options"] = "nosniff"
    return response


def find_rules(root: Path) -> Path | None:
    """Returns the file of the rules, if the folder of the documents has one."""
    rules = root / RULES
    return rules if rules.exists() else None


def create_app(data_root: str | os.PathLike[str], store: str | None = None) -> Flask:
    """Returns the app over the documents in a folder, or in the store that the folder lies in.

    Raises:
        NotADirectoryError: There is no such folder, nor a store. Every save would fail, and
            every page would look as if nothing had ever been saved.
    """
    app = Flask(__name__)
    root = Path(data_root).resolve()
    app.config.update(
        OASIS_DATA_ROOT=root,
        OASIS_DATA_STORE=store,
        OASIS_DATA_RULES=find_rules(root),
        OASIS_DATA_DOCUMENTS=DATA_FILES,
        OASIS_DATA_METRICS_PATH="/metrics",
    )
    data.init_app(app)
    # The order of keys is the user's: tanks are listed as they were entered.
    provider = DefaultJSONProvider(app)
    provider.sort_keys = False
    app.json = provider
    app.after_request(secure)
    app.get("/")(get_page)
    app.get("/api/documents")(get_documents)
    app.get("/api/stream")(data.stream)
    app.get("/api/data")(get_data)
    app.get("/api/data/<data_type>")(get_document)
    app.put("/api/data/<data_type>")(data.put_document)
    app.patch("/api/data/<data_type>")(data.patch_document)
    app.delete("/api/data/<data_type>")(data.delete_document)
    app.post("/api/save-data")(save_data)
    app.post("/api/save-schedule")(save_schedule)
    app.post("/api/scheduler/run")(run_scheduler_route)
    app.post("/api/vessel-optimizer/optimize")(optimize_vessels)
    app.register_error_handler(RequestError, refuse_request)
    app.register_error_handler(UnknownDataTypeError, refuse_request)
    app.register_error_handler(DataFileNotFoundError, answer_missing)
    app.register_error_handler(InputError, refuse_input)
    app.register_error_handler(HTTPException, answer_http_error)
    app.register_error_handler(Exception, answer_failure)
    return app


@cache
def app_from_environment() -> Flask:
    """Returns the app over the folder that `DATA` names. Raises `RuntimeError` without one."""
    folder = os.environ.get("DATA")
    if not folder:
        raise RuntimeError("set DATA to the folder of the documents, or start with run.py")
    if logs := os.environ.get("LOGS"):
        configure_logging(folder=logs, history="writes")
    return create_app(folder, os.environ.get("STORE"))


def __getattr__(name: str) -> Flask:
    """Makes `api.app` on demand, so that importing `create_app` needs no `DATA`."""
    if name == "app":
        return app_from_environment()
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
