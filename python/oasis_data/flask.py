"""Documents in a Flask app: where they are, whose edit they are, what went wrong.

    data = OasisData()


    def create_app():
        app = Flask(__name__)
        app.config["OASIS_DATA_ROOT"] = "/srv/refinery"
        app.config["OASIS_DATA_DOCUMENTS"] = {"tanks": "dynamic_data/tanks.json"}
        data.init_app(app)
        app.get("/api/data/<data_type>")(data.get_document)
        app.put("/api/data/<data_type>")(data.put_document)
        app.patch("/api/data/<data_type>")(data.patch_document)
        app.delete("/api/data/<data_type>")(data.delete_document)
        app.get("/api/stream")(data.stream)
        return app

Needs `pip install 'oasis_data[flask]'`.
"""

import errno
import logging
import os
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from flask import Config, Flask, Response, current_app, jsonify, request

from oasis_data._answers import NotJSONError, answer_document
from oasis_data._conditions import ChangedETagError, is_conditional, write_if_allowed
from oasis_data._patching import (
    JSON_PATCH,
    MERGE_PATCH,
    PatchConflictError,
    patch_document,
    without_folder_no_file,
)
from oasis_data._refusals import (
    as_json,
    content_of_request,
    refusal,
    refuse_content_type,
    refuse_method,
    told_fault,
    told_faults,
)
from oasis_data._stream import Feed, events, require_settings
from oasis_data.catalogue import DocumentCatalogue, OutsideRootError, UnknownDataTypeError
from oasis_data.error_handling import (
    BrokenRulesError,
    DataFileNotFoundError,
    DataOperationError,
    InvalidDocumentError,
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
    delete_json_atomic,
    load_with_version,
)

__all__ = [
    "ChangedETagError",
    "DocumentCatalogue",
    "NotJSONError",
    "OasisData",
    "OutsideRootError",
    "PatchConflictError",
    "UnknownDataTypeError",
    "answer_document",
    "answer_error",
    "get_data_file_path",
]

_EXTENSION = "oasis_data"
_FEED = "oasis_data_feed"
_CHANGED = "the document is another one by now; load it again and repeat the change"
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

_NOT_DONE = {
    409: _CHANGED,
    412: _CHANGED,
    503: "somebody else is saving the document; try again",
}
_FULL = "The disk of the server is full"


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
    * `OASIS_DATA_MAKE_PARENTS` (False): whether a save creates missing folders below the root;
    * `OASIS_DATA_STREAMS` (3): how many clients of `stream` a process serves until they go.
      Each keeps a thread of the server. Further clients come back again and again;
    * `OASIS_DATA_STREAM_RETRY` (1.0): seconds after which a client of `stream` comes back;
    * `OASIS_DATA_METRICS_PATH` (None): the path that serves metrics for Prometheus. Needs
      `pip install 'oasis_data[monitoring]'`.

    Errors of the package become JSON answers with an `error_id` that finds the log line:

    * 400: an unknown data type;
    * 404: a missing file;
    * 409: the file does not have the version that the program expects, or a patch does not
      fit the document;
    * 412: the file does not have the version that the request expects; the ETag is that of
      the version that it has;
    * 422: a value that JSON has no text for; the answer has its place. Or a document that does
      not obey its rules; the answer has all `faults`;
    * 503, with Retry-After: the lock was not free until the timeout, or the server of a
      store could not be reached;
    * 507: a full disk;
    * 500: all other errors.

    What Flask refuses in a view of the extension has no `error_id`, but is JSON too: 400 for
    what is no JSON, 405, 413 and 415.

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
        config.setdefault("OASIS_DATA_MAKE_PARENTS", False)
        config.setdefault("OASIS_DATA_STREAMS", 3)
        config.setdefault("OASIS_DATA_STREAM_RETRY", 1.0)
        config.setdefault("OASIS_DATA_METRICS_PATH", None)
        require_settings(config["OASIS_DATA_STREAMS"], config["OASIS_DATA_STREAM_RETRY"])
        app.extensions[_EXTENSION] = catalogue
        if catalogue is not None:
            app.extensions[_FEED] = Feed(catalogue)
        app.before_request(partial(refuse_method, OasisData))
        app.register_error_handler(DataOperationError, answer_error)
        app.register_error_handler(UnknownDataTypeError, _answer_unknown)
        if config["OASIS_DATA_METRICS_PATH"] is not None:
            # Here, so that the extension works without the metrics' library.
            from oasis_data._metrics import serve_metrics

            serve_metrics(app, config["OASIS_DATA_METRICS_PATH"], catalogue)

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
        return self.save_document(data_type, content_of_request())

    def patch_document(self, data_type: str) -> Response:
        """A view: changes a part of a document, under the conditions of `save_document`.

        Takes a JSON merge patch (RFC 7396, `application/merge-patch+json`) or a JSON patch
        (RFC 6902, `application/json-patch+json`). The document is locked meanwhile, so that
        no change is lost even without conditions.

        Raises:
            DataFileNotFoundError: There is no document.
            PatchConflictError: The JSON patch does not fit the document.
            VersionConflictError: The conditions are not met; nothing was saved.
            JSONWriteError: As for `edit_json`.
        """
        path = get_data_file_path(data_type)
        mimetype = request.mimetype
        if mimetype not in (MERGE_PATCH, JSON_PATCH):
            refuse_content_type(MERGE_PATCH, JSON_PATCH)
        patch = content_of_request()

        def write(expected: str | None) -> str:
            return as_json(lambda: patch_document(path, mimetype, patch, expected))

        return _written(data_type, "saved", path, write)

    def delete_document(self, data_type: str) -> Response:
        """A view: deletes a document, under the conditions of `save_document`.

        Raises:
            DataFileNotFoundError: There is no document.
            VersionConflictError: The conditions are not met; nothing was deleted.
            JSONWriteError: As for `delete_json_atomic`.
        """
        path = get_data_file_path(data_type)

        def write(expected: str | None) -> str:
            with without_folder_no_file(OperationType.DELETE, path):
                delete_json_atomic(path, if_version=expected)
            return MISSING

        return _written(data_type, "deleted", path, write)

    def stream(self, data_type: str | None = None) -> Response:
        """A view: tells of each change, as server-sent events for a browser's `EventSource`.

        The events are those of one type, of the types in the query (`?type=tanks&type=plant`),
        or of the whole catalogue. Their data are JSON objects: `{"type": "connected"}`; for
        each document that the client has not seen as it is `{"type": "update", "data_type":
        "tanks", "version": "…"}`, with `MISSING` for a deleted one; `{"type": "heartbeat"}`
        after 30 seconds of silence; `{"type": "error", …}` where documents cannot be read.

        An event's id stands for the state that was told, so that a browser that comes back
        (it sends `Last-Event-ID` by itself) is told exactly what differs. Where a worker
        serves one request at a time, or has `OASIS_DATA_STREAMS` clients already, the stream
        tells the state and ends: the browser then comes back every
        `OASIS_DATA_STREAM_RETRY` seconds.
        """
        data_types = [data_type] if data_type is not None else request.args.getlist("type")
        # Each type once, in the order of the catalogue.
        for each in data_types:
            get_data_file_path(each)
        told = [each for each in _catalogue() if not data_types or each in data_types]
        config = current_app.config
        stream = events(
            current_app.extensions[_FEED],
            told,
            request.headers.get("Last-Event-ID", ""),
            most=config["OASIS_DATA_STREAMS"] if request.is_multithread else 0,
            retry=config["OASIS_DATA_STREAM_RETRY"],
        )
        response = Response(stream, mimetype="text/event-stream")
        # Neither kept nor compressed, nor held back by nginx until there is more.
        response.headers["Cache-Control"] = "no-cache, no-transform"
        response.headers["X-Accel-Buffering"] = "no"
        return response

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
        make_parents = current_app.config["OASIS_DATA_MAKE_PARENTS"]

        def write(expected: str | None) -> str:
            options = {"if_version": expected, "make_parents": make_parents}
            return _save_with_version(path, content, options, keep_layout=True)

        return _written(data_type, "saved", path, write)


def get_data_file_path(data_type: object) -> Path:
    """The file of a data type in the running app (guide, fix 1).

    Raises:
        UnknownDataTypeError: The app's catalogue has no such type.
        OutsideRootError: A symlink leads out of the root.
        RuntimeError: The app has no catalogue.
    """
    return _catalogue().path(data_type)


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
    if isinstance(error, InvalidDocumentError):
        body["faults"] = [told_fault(fault) for fault in error.faults]
    response = jsonify(body)
    response.status_code = status
    if isinstance(error, VersionConflictError) and error.found not in ("", MISSING):
        # safeguard: conflict-has-current-tag
        response.set_etag(error.found)
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
        (PatchConflictError, 409),
        (UnserializableError, 422),
        (InvalidDocumentError, 422),
        (LockTimeoutError, 503),
    ):
        if isinstance(error, kind):
            return status
    return 500


def _sentence(error: DataOperationError, status: int) -> str | None:
    """What a client can do about an error; None where a client can do nothing."""
    done = "deleted" if error.operation is OperationType.DELETE else "saved"
    if isinstance(error, ChangedETagError | PatchConflictError):
        return f"Not {done}: {error.reason}"
    if isinstance(error, InvalidDocumentError):
        return f"Not {done}: {told_faults(error.faults)}"
    if isinstance(error, BrokenRulesError):
        return f"Not {done}: the rules of the document cannot be read; tell the server's operator"
    if isinstance(error, NotJSONError | UnserializableError):
        # The keys in the place are the document's, and may not be UTF-8.
        place = error.place.encode("utf-8", "backslashreplace").decode("utf-8")
        saying = f"JSON has no text for the value at {place} (NaN is such a value)"
        if isinstance(error, UnserializableError):
            return f"Not saved: {saying}"
        return f"Not shown: {saying}; save the document with another value there, such as null"
    if status == 503 and not isinstance(error, LockTimeoutError):
        return "The store of the documents does not answer; try again"
    if status == 507:
        return _FULL
    reason = _NOT_DONE.get(status)
    return None if reason is None else f"Not {done}: {reason}"


def _written(
    data_type: object, done: str, path: Path, write: Callable[[str | None], str]
) -> Response:
    """Writes under the conditions of the request, and answers with the new version."""
    if not is_conditional() and current_app.config["OASIS_DATA_REQUIRE_VERSION"]:
        return refusal(428, "Missing If-Match or If-None-Match")
    version = write_if_allowed(path, write)
    response = jsonify({"success": True, "message": f"{data_type} {done} successfully"})
    if version != MISSING:
        # The version of the document, which is what the next If-Match is about.
        # safeguard: answer-with-saved-version
        response.set_etag(version)
    return response


def _answer_unknown(error: UnknownDataTypeError) -> Response:
    return refusal(400, str(error))


def _catalogue() -> DocumentCatalogue:
    catalogue: DocumentCatalogue | None = current_app.extensions.get(_EXTENSION)
    if catalogue is None:
        raise RuntimeError("the app has no catalogue of documents: set OASIS_DATA_ROOT")
    return catalogue
