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
from collections.abc import Callable
from pathlib import Path
from typing import Any

from flask import Flask, Response, current_app, jsonify, request
from werkzeug.exceptions import BadRequest

from oasis_data import _native
from oasis_data._paths import FilePath, whole
from oasis_data.catalogue import DocumentCatalogue, OutsideRootError, UnknownDataTypeError
from oasis_data.error_handling import (
    DataFileNotFoundError,
    DataOperationError,
    JSONReadError,
    LockTimeoutError,
    OperationType,
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
# No file has this version: asking for it tells which one it has.
_NO_VERSION = "*"
_CHANGED = "Not saved: the document is another one by now; load it again and repeat the change"
_SENTENCES = {
    409: _CHANGED,
    412: _CHANGED,
    503: "Not saved: somebody else is saving the document; try again",
    507: "The disk of the server is full",
}
# Loading again gives a client no other tag than the one that was refused.
_WEAK = (
    'If-Match has a weak ETag (W/"..."), and only a strong one allows a save; a proxy makes '
    "ETags weak where it compresses answers: switch its compression off for this address "
    '(nginx: "gzip off;"), then load the document again'
)
_SUFFIXED = (
    "the ETag in If-Match was given a suffix on its way; a proxy does that where it compresses "
    'answers: switch that off for this address (Apache: "DeflateAlterETag NoChange"), then load '
    "the document again"
)


class NotJSONError(DataOperationError, ValueError):
    """A document holds what JSON has no text for, though `json.load` reads it from the file.

    NaN and infinities are such values, and so is a number too large for a float (`1e999`),
    which is read as infinity.

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


class ChangedETagError(VersionConflictError):
    """If-Match does not have the ETag as it was sent: something on the way changes ETags.

    Attributes:
        reason: What was changed, and what to do about it.
    """

    def __init__(
        self,
        operation: OperationType,
        file_path: str,
        message: str,
        original_error: BaseException | None = None,
        *,
        expected: str = "",
        found: str = "",
        reason: str = "",
    ) -> None:
        """Takes `VersionConflictError`'s arguments and the reason."""
        super().__init__(
            operation, file_path, message, original_error, expected=expected, found=found
        )
        self.reason = reason


class OasisData:
    """The extension. One may serve several apps; what it knows of each is in the app.

    Reads from `app.config`, when the app is initialised:

    * `OASIS_DATA_ROOT`, `OASIS_DATA_DOCUMENTS`: the folder of the documents, and the
      catalogue of data types with the file of each, relative to the folder;
    * `OASIS_DATA_LOCK_TIMEOUT`, `OASIS_DATA_BACKUPS_KEPT` and so on: the options of
      `configure`. They are the process's: of several apps the last one's hold;
    * `OASIS_DATA_RETRY_AFTER` (1): seconds that a client is told to wait when a document
      is locked;
    * `OASIS_DATA_REQUIRE_VERSION` (False): whether a save without If-Match and without
      If-None-Match is refused (428), so that nobody can overwrite what they have not seen;
    * `OASIS_DATA_METRICS_PATH` (None): where metrics for Prometheus are served. Needs
      `pip install 'oasis_data[monitoring]'`.

    Errors of the package become JSON answers: 404 for a missing file, 412 for a version
    that is not the request's, 409 for one that is not the program's, 422 for what JSON
    has no text for, 503 with Retry-After for a lock that could not be had, 507 for a full
    disk, 500 for the rest, each with an `error_id` that finds the log line, and with what
    the client can do about it, such as the place of the value that JSON has no text for;
    and 400 for an unknown data type. What is a client's to mend (below 500) is logged as
    a warning, without a traceback; the rest is an error of the server, a lock that could
    not be had included. Handlers that the app registers afterwards come first.
    """

    def __init__(self, app: Flask | None = None) -> None:
        """Initialises the app, if there is one already."""
        if app is not None:
            self.init_app(app)

    def init_app(self, app: Flask) -> None:
        """Reads the app's settings, and answers its errors.

        Raises:
            NotADirectoryError: The root is not there.
            ValueError: A setting cannot have that value, or a document is not under the root.
        """
        config = app.config
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
        """As the function of this module."""
        return get_data_file_path(data_type)

    def get_document(self, data_type: str) -> Response:
        """A view: the document with its version as ETag; 304 for who has it already.

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
        if it is written in another way than a save writes it.

        `If-Match: "<version>"` saves over that version only, `If-Match: *` over any file
        that is there, `If-None-Match: *` only where there is none. A weak tag is no version:
        a proxy that makes tags weak, as nginx does with what it compresses, must leave these
        answers alone.

        Returns:
            An answer with the new version as ETag, for the client's next If-Match.

        Raises:
            VersionConflictError: The conditions are not met; nothing was saved.
            ChangedETagError: So it is, and a proxy has changed the tag in If-Match.
            JSONWriteError: As for `save_json_atomic`.
        """
        path = get_data_file_path(data_type)
        if not _is_conditional():
            if current_app.config["OASIS_DATA_REQUIRE_VERSION"]:
                return _refusal(428, "Missing If-Match or If-None-Match")
            version = _save_with_version(path, content, {}, keep_layout=True)
        else:
            version = _save_if_allowed(path, content)
        response = jsonify({"success": True, "message": f"{data_type} saved successfully"})
        # The version of the document, which is what the next If-Match is about.
        # safeguard: answer-with-saved-version
        response.set_etag(version)
        return response


def get_data_file_path(data_type: object) -> Path:
    """Returns where the running app keeps the documents of a type (guide, fix 1).

    Raises:
        UnknownDataTypeError: The app's catalogue has no such type.
        OutsideRootError: A symlink leads out of the root.
        RuntimeError: The app has no catalogue.
    """
    return _catalogue().path(data_type)


def answer_document(document: Any, file_path: FilePath = "") -> Response:
    """Answers with a document: its keys in their order, and nothing but JSON.

    `jsonify` sorts the keys, and writes NaN, which `JSON.parse` refuses.

    Args:
        document: What a load gave, or anything else that the app's `jsonify` takes.
        file_path: The file that it is from, for the log.

    Raises:
        NotJSONError: JSON has no text for a value in it.
    """
    # What `json` cannot write, such as a date, is written as the app writes it elsewhere.
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
        status: The status of the answer. None: that of the error's kind.
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


def _status(error: DataOperationError) -> int:
    if isinstance(error, VersionConflictError):
        return 412 if _is_conditional() else 409
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return 507
    for kind, status in (
        (DataFileNotFoundError, 404),
        (UnserializableError, 422),
        (LockTimeoutError, 503),
    ):
        if isinstance(error, kind):
            return status
    return 500


def _sentence(error: DataOperationError, status: int) -> str | None:
    """What a client can do about it; None where there is nothing."""
    if isinstance(error, ChangedETagError):
        return f"Not saved: {error.reason}"
    if isinstance(error, NotJSONError | UnserializableError):
        # The keys on the way there are the content's, and may themselves be no text.
        place = error.place.encode("utf-8", "backslashreplace").decode("utf-8")
        saying = f"JSON has no text for the value at {place} (NaN is such a value)"
        if isinstance(error, UnserializableError):
            return f"Not saved: {saying}"
        return f"Not shown: {saying}; save the document with another value there, such as null"
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


def _is_conditional() -> bool:
    return "If-Match" in request.headers or "If-None-Match" in request.headers


def _save_if_allowed(path: Path, content: Any) -> str:
    expected, allows = _condition(path)
    while True:
        try:
            # safeguard: client-version-saved-over
            return _save_with_version(path, content, {"if_version": expected}, keep_layout=True)
        except VersionConflictError as conflict:
            # Several versions can be allowed: the one that is there is asked for next.
            if not allows(conflict.found):
                if (reason := _change_on_the_way(conflict.found)) is not None:
                    raise ChangedETagError(
                        conflict.operation,
                        conflict.file_path,
                        f"{path.name}: {reason}; nothing was saved",
                        conflict,
                        expected=conflict.expected,
                        found=conflict.found,
                        reason=reason,
                    ) from conflict
                raise
            expected = conflict.found


def _condition(path: Path) -> tuple[str, Callable[[str], bool]]:
    """The version to try first, and whether the request allows to save over a version."""
    match, none_match = request.if_match, request.if_none_match
    # Also if there is nothing readable in it: then it allows nothing.
    # safeguard: unreadable-if-match
    has_match = "If-Match" in request.headers

    def allows(version: str) -> bool:
        exists = version != MISSING
        # `contains` is true for each of `*`, and never for a weak tag.
        # safeguard: no-file-is-no-match
        if has_match and not (exists and match.contains(version)):
            return False
        return not (exists and none_match.contains_weak(version))

    # An empty tag comes as None, which would ask for no version at all.
    # safeguard: empty-if-match-tag
    allowed = [tag for tag in match.as_set() if tag and allows(tag)]
    # Asked for where the request does not name just one: a save that has to find it
    # out counts as failed.
    first = allowed[0] if len(allowed) == 1 else _version_at(path)
    if not allows(first):
        first = _NO_VERSION if has_match else MISSING
    return first, allows


def _change_on_the_way(found: str) -> str | None:
    """What a proxy has done to the tag in If-Match, if that is why it does not match."""
    match = request.if_match
    if match.contains(found):
        return None
    if match.as_set(include_weak=True) != match.as_set():
        # safeguard: weak-tag-told
        return _WEAK
    return _SUFFIXED if any(tag and tag.startswith(found) for tag in match) else None


def _version_at(path: Path) -> str:
    try:
        return load_with_version(path)[1]
    except JSONReadError:
        return _NO_VERSION


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
