"""Documents in a Flask app: where they are, whose edit they are, what went wrong.

    data = OasisData()


    def create_app():
        app = Flask(__name__)
        app.config["OASIS_DATA_ROOT"] = "/srv/refinery"
        app.config["OASIS_DATA_DOCUMENTS"] = {"tanks": "dynamic_data/tanks.json"}
        data.init_app(app)
        app.get("/api/data/<data_type>")(data.get_document)
        app.put("/api/data/<data_type>")(data.put_document)
        return app

Needs `pip install 'oasis_data[flask]'`.
"""

import errno
import json
import logging
import os
from pathlib import Path
from typing import Any

from flask import Config, Flask, Response, current_app, jsonify, request
from werkzeug.exceptions import BadRequest

from oasis_data import _native
from oasis_data._conditions import ChangedETagError, is_conditional, save_if_allowed
from oasis_data._paths import FilePath, whole
from oasis_data.catalogue import DocumentCatalogue, OutsideRootError, UnknownDataTypeError
from oasis_data.error_handling import (
    DataFileNotFoundError,
    DataOperationError,
    LockTimeoutError,
    OperationType,
    OutcomeUnknownError,
    UnserializableError,
    VersionConflictError,
    error_handler,
)
from oasis_data.file_operations import (
    MISSING,
    _save_with_version,
    configure,
    load_with_version,
)

__all__ = [
    "ChangedETagError",
    "DocumentCatalogue",
    "NotJSONError",
    "OasisData",
    "OutsideRootError",
    "UnknownDataTypeError",
    "answer_document",
    "answer_error",
    "get_data_file_path",
]

_EXTENSION = "oasis_data"
_CHANGED = "Not saved: the document is another one by now; load it again and repeat the change"
_UNREACHABLE = frozenset(
    {
        errno.ECONNREFUSED,
        errno.ECONNRESET,
        errno.EHOSTUNREACH,
        errno.ENETUNREACH,
        errno.EPIPE,
        errno.ETIMEDOUT,
    }
)
"""What a server that cannot be reached ends with."""

_SENTENCES = {
    409: _CHANGED,
    412: _CHANGED,
    503: "Not saved: somebody else is saving the document; try again",
    507: "The disk of the server is full",
}


class NotJSONError(DataOperationError, ValueError):
    """A document holds a value that JSON has no text for, though `json.load` reads the file.

    The values are NaN, infinities, and numbers too large for a float (`1e999`), which
    `json.load` reads as infinity.

    Attributes:
        place: The value at fault, as a path: `$.mean`.
    """

    def __init__(
        self,
        operation: OperationType,
        file_path: str,
        message: str,
        original_error: BaseException | None = None,
        *,
        place: str = "$",
    ) -> None:
        """Takes `DataOperationError`'s arguments and the place."""
        super().__init__(operation, file_path, message, original_error)
        self.place = place


class OasisData:
    """The extension. One object may serve several apps; the state of each is in the app.

    Reads from `app.config`, when the app is initialised:

    * `OASIS_DATA_ROOT`, `OASIS_DATA_DOCUMENTS`: the folder of the documents, and the
      catalogue of data types with the file of each, relative to the folder;
    * `OASIS_DATA_STORE` (None): the URL of the store that the root lies in; the root then
      need not be a folder;
    * `OASIS_DATA_LOCK_TIMEOUT`, `OASIS_DATA_BACKUPS_KEPT` and so on: the options of
      `configure`. They hold for the process: the last app that is initialised sets them;
    * `OASIS_DATA_RETRY_AFTER` (1): seconds that a client is told to wait when a document
      is locked;
    * `OASIS_DATA_REQUIRE_VERSION` (False): whether a save without If-Match and without
      If-None-Match is refused (428), so that no client overwrites a version that it has
      not seen;
    * `OASIS_DATA_METRICS_PATH` (None): the path that serves metrics for Prometheus. Needs
      `pip install 'oasis_data[monitoring]'`.

    Errors of the package become JSON answers with an `error_id` that finds the log line:

    * 400: an unknown data type;
    * 404: a missing file;
    * 409: the file does not have the version that the program expects;
    * 412: the file does not have the version that the request expects;
    * 422: a value that JSON has no text for; the answer has its place;
    * 503, with Retry-After: the lock was not free until the timeout, or the server of a
      store could not be reached;
    * 507: a full disk;
    * 500: all other errors.

    An error below 500 is logged as a warning without a traceback, all others as errors of
    the server. Error handlers that the app registers later take precedence.
    """

    def __init__(self, app: Flask | None = None) -> None:
        """Initialises the app, if there is one already."""
        if app is not None:
            self.init_app(app)

    def init_app(self, app: Flask) -> None:
        """Reads the app's settings, and answers its errors.

        Raises:
            NotADirectoryError: There is no folder at the root, nor a store.
            ValueError: A setting cannot have that value, or a document is not under the root.
        """
        config = app.config
        _configure_store(config)
        settings = {name: config.get(f"OASIS_DATA_{name.upper()}") for name in configure()}
        root = config.get("OASIS_DATA_ROOT")
        catalogue = None
        if root is not None:
            catalogue = DocumentCatalogue(root, config.get("OASIS_DATA_DOCUMENTS") or {})
        configure(**settings)
        config.setdefault("OASIS_DATA_RETRY_AFTER", 1)
        config.setdefault("OASIS_DATA_REQUIRE_VERSION", False)
        config.setdefault("OASIS_DATA_METRICS_PATH", None)
        app.extensions[_EXTENSION] = catalogue
        app.register_error_handler(DataOperationError, answer_error)
        app.register_error_handler(UnknownDataTypeError, _answer_unknown)
        if config["OASIS_DATA_METRICS_PATH"] is not None:
            _serve_metrics(app, config["OASIS_DATA_METRICS_PATH"])

    @property
    def catalogue(self) -> DocumentCatalogue:
        """The data types of the running app."""
        return _catalogue()

    def get_data_file_path(self, data_type: object) -> Path:
        """As `get_data_file_path` of this module."""
        return get_data_file_path(data_type)

    def get_document(self, data_type: str) -> Response:
        """A view: the document with its version as ETag; 304 if the client has that version.

        Raises:
            NotJSONError: As for `answer_document`.
            JSONReadError: As for `load_with_version`, and for a missing file.
        """
        path = get_data_file_path(data_type)
        document, version = load_with_version(path)
        if version == MISSING:
            raise DataFileNotFoundError(OperationType.READ, str(path), f"{path.name}: no such file")
        response = answer_document(document, path)
        response.set_etag(version)
        # A copy may be kept, but is asked about before each use.
        response.cache_control.no_cache = True
        response.make_conditional(request)
        return response

    def put_document(self, data_type: str) -> Response:
        """A view: saves the JSON that the client sent, under its conditions."""
        get_data_file_path(data_type)
        try:
            content = request.get_json()
        except RecursionError as error:
            raise BadRequest("brackets nested without end") from error
        return self.save_document(data_type, content)

    def save_document(self, data_type: object, content: Any) -> Response:
        """Saves a document, if the request's If-Match and If-None-Match allow it.

        A file that holds the same document already stays as it is, byte for byte, even
        if its layout differs from that of a save.

        `If-Match: "<version>"` saves over that version only, `If-Match: *` over any
        existing file, `If-None-Match: *` only where there is no file. A weak tag is no
        version: a proxy that makes tags weak (nginx does where it compresses answers) must
        not do so with these answers.

        Returns:
            An answer with the new version as ETag, for the client's next If-Match.

        Raises:
            VersionConflictError: The conditions are not met; nothing was saved.
            ChangedETagError: The conditions are not met, since a proxy has changed the
                tag in If-Match; nothing was saved.
            JSONWriteError: As for `save_json_atomic`.
        """
        path = get_data_file_path(data_type)
        if not is_conditional():
            if current_app.config["OASIS_DATA_REQUIRE_VERSION"]:
                return _refusal(428, "Missing If-Match or If-None-Match")
            version = _save_with_version(path, content, {}, keep_layout=True)
        else:
            version = save_if_allowed(path, content)
        response = jsonify({"success": True, "message": f"{data_type} saved successfully"})
        # The version of the document, which is what the next If-Match is about.
        # safeguard: answer-with-saved-version
        response.set_etag(version)
        return response


def get_data_file_path(data_type: object) -> Path:
    """The file of a data type in the running app (guide, fix 1).

    Raises:
        UnknownDataTypeError: The app's catalogue has no such type.
        OutsideRootError: A symlink leads out of the root.
        RuntimeError: The app has no catalogue.
    """
    return _catalogue().path(data_type)


def answer_document(document: Any, file_path: FilePath = "") -> Response:
    """Answers with a document: strict JSON, with the keys in their order.

    `jsonify` sorts the keys, and writes NaN, which `JSON.parse` refuses.

    Args:
        document: A document, or any other object that the app's `jsonify` takes.
        file_path: The document's file, for the log.

    Raises:
        NotJSONError: JSON has no text for a value in the document.
    """
    # A value that `json` cannot write, such as a date, is written as the app writes it
    # elsewhere.
    default = getattr(current_app.json, "default", None)
    try:
        # Escapes for all but ASCII: half a surrogate pair has no other text.
        # safeguard: answered-text
        text = json.dumps(document, allow_nan=False, separators=(",", ":"), default=default)
    except ValueError as error:
        place = _native.place_of_no_json(document, default=default) or "$"
        path = whole(file_path)
        raise NotJSONError(
            OperationType.READ,
            path,
            f"{Path(path).name}: cannot be sent as JSON: {place}: {error}; "
            "save it with another value there, such as null",
            error,
            place=place,
        ) from error
    return current_app.response_class(text + "\n", mimetype="application/json")


def answer_error(error: DataOperationError, *, status: int | None = None) -> Response:
    """Logs an error of the package, and answers with what a client may see.

    Args:
        error: The error.
        status: The status of the answer. None: the status for the class of the error.
    """
    status = _status(error) if status is None else status
    # safeguard: log-level-of-failure
    level = logging.ERROR if status >= 500 else logging.WARNING
    body = error_handler.handle_error(error.operation, error.file_path, error, level=level)
    if (sentence := _sentence(error, status)) is not None:
        body["error"] = body["details"]["message"] = sentence
    response = jsonify(body)
    response.status_code = status
    if status == 503:
        response.headers["Retry-After"] = str(current_app.config["OASIS_DATA_RETRY_AFTER"])
    return response


def _configure_store(config: Config) -> None:
    """Has the root lie in the store that the app names."""
    url = config.get("OASIS_DATA_STORE")
    if url is None:
        return
    root = config.get("OASIS_DATA_ROOT")
    if root is None:
        raise ValueError("OASIS_DATA_STORE needs OASIS_DATA_ROOT, the folder that lies in it")
    named = config.get("OASIS_DATA_STORES")
    stores = dict(configure()["stores"] if named is None else named)
    config["OASIS_DATA_STORES"] = {**stores, os.path.abspath(root): url}
    configure(stores=config["OASIS_DATA_STORES"])


def _status(error: DataOperationError) -> int:
    if isinstance(error, VersionConflictError):
        return 412 if is_conditional() else 409
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return 507
    unknown = isinstance(error, OutcomeUnknownError)
    # An unknown outcome is no reason to send the same again.
    if isinstance(error, OSError) and error.errno in _UNREACHABLE and not unknown:
        return 503
    for kind, status in (
        (DataFileNotFoundError, 404),
        (UnserializableError, 422),
        (LockTimeoutError, 503),
    ):
        if isinstance(error, kind):
            return status
    return 500


def _sentence(error: DataOperationError, status: int) -> str | None:
    """What a client can do about an error; None where a client can do nothing."""
    if isinstance(error, ChangedETagError):
        return f"Not saved: {error.reason}"
    if isinstance(error, NotJSONError | UnserializableError):
        # The keys in the place are the document's, and may not be UTF-8.
        place = error.place.encode("utf-8", "backslashreplace").decode("utf-8")
        saying = f"JSON has no text for the value at {place} (NaN is such a value)"
        if isinstance(error, UnserializableError):
            return f"Not saved: {saying}"
        return f"Not shown: {saying}; save the document with another value there, such as null"
    if status == 503 and not isinstance(error, LockTimeoutError):
        return "The store of the documents does not answer; try again"
    return _SENTENCES.get(status)


def _answer_unknown(error: UnknownDataTypeError) -> Response:
    return _refusal(400, str(error))


def _refusal(status: int, message: str) -> Response:
    response = jsonify({"success": False, "error": message})
    response.status_code = status
    return response


def _catalogue() -> DocumentCatalogue:
    catalogue: DocumentCatalogue | None = current_app.extensions.get(_EXTENSION)
    if catalogue is None:
        raise RuntimeError("the app has no catalogue of documents: set OASIS_DATA_ROOT")
    return catalogue


def _serve_metrics(app: Flask, address: str) -> None:
    # Here, so that the extension works without the metrics' library.
    from oasis_data import monitoring

    def metrics() -> Response:
        catalogue: DocumentCatalogue | None = app.extensions[_EXTENSION]
        documents = {} if catalogue is None else catalogue.files
        body, content_type = monitoring.exposition(documents)
        return Response(body, content_type=content_type)

    def publish(_error: BaseException | None) -> None:
        monitoring.publish()

    app.get(address, endpoint="oasis_data_metrics")(metrics)
    # safeguard: published-after-request
    app.teardown_request(publish)
    monitoring.publish()
