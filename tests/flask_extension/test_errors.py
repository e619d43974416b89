"""Errors: the status of each, and what a client is told."""

from __future__ import annotations

import datetime
import errno
import json
import logging
import math
import os
import pickle
from pathlib import Path
from typing import Any

import pytest
from flask import Response, jsonify
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

import oasis_data
from oasis_data import stats
from oasis_data.error_handling import (
    AlreadyLockedError,
    BrokenRulesError,
    CorruptFileError,
    DataFileNotFoundError,
    DataOperationError,
    FolderNotFoundError,
    InvalidDocumentError,
    JSONReadError,
    JSONWriteError,
    LockTimeoutError,
    NotDurableError,
    OperationType,
    OutcomeUnknownError,
    ReadPermissionError,
    StorageReadError,
    StorageWriteError,
    UnserializableError,
    VersionConflictError,
    WritePermissionError,
)
from oasis_data.flask import (
    ChangedETagError,
    NotJSONError,
    OutsideRootError,
    answer_document,
    answer_error,
)
from tests.conftest import edited_by_another_thread, mounted
from tests.flask_extension.applications import DOCUMENTS, make_app, put


def raising(root: Path, error: Exception, **config: Any) -> FlaskClient:
    app = make_app(root, **config)

    def fail() -> Response:
        raise error

    app.route("/fail", methods=["GET", "POST"])(fail)
    return app.test_client()


def of(kind: type[DataOperationError], number: int | None = None) -> DataOperationError:
    cause = None if number is None else OSError(number, os.strerror(number))
    return kind(OperationType.WRITE, "/srv/secret/tanks.json", "tanks.json: message", cause)


STATUSES = [
    (of(DataFileNotFoundError, errno.ENOENT), 404),
    (of(VersionConflictError), 409),
    (of(UnserializableError), 422),
    (of(InvalidDocumentError), 422),
    (of(BrokenRulesError), 500),
    (of(LockTimeoutError, errno.ETIMEDOUT), 503),
    (of(StorageWriteError, errno.ENOSPC), 507),
    (of(StorageWriteError, errno.EDQUOT), 507),
    (of(NotDurableError, errno.ENOSPC), 507),
    (of(NotDurableError, errno.EIO), 500),
    (of(StorageWriteError, errno.EIO), 500),
    (of(StorageReadError, errno.ECONNREFUSED), 503),
    (of(StorageWriteError, errno.ECONNRESET), 503),
    # No reason to send the same again.
    (of(OutcomeUnknownError, errno.ETIMEDOUT), 500),
    (of(CorruptFileError), 500),
    (of(NotJSONError), 500),
    (of(OutsideRootError), 500),
    (of(ChangedETagError), 409),
    (of(ReadPermissionError, errno.EACCES), 500),
    (of(WritePermissionError, errno.EROFS), 500),
    (of(FolderNotFoundError, errno.ENOENT), 500),
    (of(AlreadyLockedError, errno.EDEADLK), 500),
    (of(JSONReadError), 500),
    (of(JSONWriteError), 500),
    (of(DataOperationError), 500),
]


@pytest.mark.parametrize(
    ("error", "status"), STATUSES, ids=lambda each: getattr(type(each), "__name__", "")
)
def test_every_error_has_its_status_and_can_be_found(
    root: Path, caplog: pytest.LogCaptureFixture, error: DataOperationError, status: int
) -> None:
    answer = raising(root, error).get("/fail")

    assert answer.status_code == status
    body = answer.get_json()
    assert body["success"] is False
    assert body["operation"] == "write"
    assert b"secret" not in answer.data
    assert b"message" not in answer.data.replace(b'"message":', b"")
    (record,) = caplog.records
    # A client's ordinary outcomes wake nobody.
    mended_by_the_client = status < 500
    assert record.levelno == (logging.WARNING if mended_by_the_client else logging.ERROR)
    assert f"[error_id={body['details']['error_id']}]" in record.getMessage()
    assert "/srv/secret/tanks.json" in record.getMessage()
    assert (record.exc_info is None) == mended_by_the_client
    assert mended_by_the_client or (record.exc_info and record.exc_info[1] is error)
    assert ("Traceback" in caplog.text) != mended_by_the_client
    assert ("Retry-After" in answer.headers) == (status == 503)


def test_every_exception_of_the_package_has_been_thought_of() -> None:
    exceptions = {
        value
        for value in vars(oasis_data.error_handling).values()
        if isinstance(value, type) and issubclass(value, DataOperationError)
    }
    thought_of = {type(error) for error, _ in STATUSES}
    rest = {each.__name__ for each in exceptions - thought_of if not each.__name__.startswith("_")}
    # A program's mistakes, and what no view of a document does.
    assert rest == {"NamedTwiceError", "NoBackupError"}


@pytest.mark.parametrize("header", ["If-Match", "If-None-Match"])
def test_a_conflict_is_the_requests_if_it_had_a_condition(root: Path, header: str) -> None:
    client = raising(root, of(VersionConflictError))

    assert client.post("/fail", headers={header: '"x"'}).status_code == 412
    assert client.post("/fail").status_code == 409


def test_a_client_is_told_when_to_try_again(root: Path) -> None:
    client = make_app(root, OASIS_DATA_RETRY_AFTER=7, OASIS_DATA_LOCK_TIMEOUT=0.01).test_client()
    path = root / DOCUMENTS["tanks"]
    with edited_by_another_thread(path):
        answer = put(client, 1)

    assert answer.status_code == 503
    assert answer.headers["Retry-After"] == "7"


def test_a_full_disk_is_507(tmp_path: Path) -> None:
    with mounted(tmp_path / "disk", "tmpfs", "size=256k") as disk:
        (disk / "dynamic").mkdir()
        client = make_app(disk).test_client()
        assert put(client, "small").status_code == 200
        answer = put(client, "x" * 400_000)
        assert answer.status_code == 507
        assert client.get("/data/tanks").get_json() == "small"


@pytest.mark.parametrize(
    ("body", "place"),
    [
        (b"NaN", "$"),
        (b'{"Tank1": [1, -Infinity]}', "$.Tank1[1]"),
        (b'{"Tank1": 1e999}', "$.Tank1"),
        (b'["\\ud800"]', "$[0]"),
        (b'{"\\ud800": NaN}', "$"),
    ],
)
def test_a_client_is_told_which_value_is_no_json(
    client: FlaskClient, root: Path, body: bytes, place: str
) -> None:
    answer = client.put("/data/tanks", data=body, content_type="application/json")

    assert answer.status_code == 422
    told = answer.get_json()
    assert told["error"].startswith(f"Not saved: JSON has no text for the value at {place}")
    assert told["details"]["message"] == told["error"]
    assert told["details"]["error_id"]
    assert not (root / DOCUMENTS["tanks"]).exists()


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (of(VersionConflictError), "load it again and repeat the change"),
        (of(LockTimeoutError, errno.ETIMEDOUT), "try again"),
        (of(StorageWriteError, errno.ENOSPC), "The disk of the server is full"),
        (of(DataFileNotFoundError, errno.ENOENT), "Data file not found"),
        (of(CorruptFileError), "Invalid data format detected"),
    ],
    ids=lambda each: getattr(type(each), "__name__", ""),
)
def test_a_client_is_told_what_to_do(root: Path, error: DataOperationError, sentence: str) -> None:
    assert sentence in raising(root, error).get("/fail").get_json()["error"]


def test_ordinary_outcomes_of_clients_are_no_errors_in_the_log(
    client: FlaskClient, root: Path, caplog: pytest.LogCaptureFixture
) -> None:
    answers = [client.get("/data/tanks"), put(client, 1, If_Match='"x"'), put(client, math.nan)]
    assert [each.status_code for each in answers] == [404, 412, 422]
    assert {(each.levelno, each.exc_info) for each in caplog.records} == {(logging.WARNING, None)}
    for answer in answers:
        assert f"[error_id={answer.get_json()['details']['error_id']}]" in caplog.text
    caplog.clear()

    (root / DOCUMENTS["tanks"]).write_text("{")
    assert client.get("/data/tanks").status_code == 500
    (record,) = caplog.records
    assert record.levelno == logging.ERROR
    assert record.exc_info


def test_a_view_may_decide_that_it_is_the_servers_error(
    root: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with make_app(root).app_context():
        answer = answer_error(of(DataFileNotFoundError, errno.ENOENT), status=500)

    assert answer.status_code == 500
    (record,) = caplog.records
    assert record.levelno == logging.ERROR
    assert record.exc_info


# What json.load reads, though it is no JSON.
NO_JSON = [
    (b'{"mean": NaN}', "$.mean"),
    (b"Infinity", "$"),
    (b'{"tanks": [{"level": 1}, {"level": -1e999}]}', "$.tanks[1].level"),
    (b'["\\ud800", {"a": [], "b": -Infinity}]', "$[1].b"),
]


def is_json(answer: TestResponse) -> bool:
    def refuse(constant: str) -> None:
        raise ValueError(constant)

    try:
        json.loads(answer.data, parse_constant=refuse)
    except ValueError:
        return False
    return True


@pytest.mark.parametrize(("text", "place"), NO_JSON)
def test_what_is_no_json_is_not_served_as_it(
    client: FlaskClient,
    root: Path,
    caplog: pytest.LogCaptureFixture,
    text: bytes,
    place: str,
) -> None:
    path = root / DOCUMENTS["tanks"]
    path.write_bytes(text)
    failures = stats()["write_failures"]

    answer = client.get("/data/tanks")

    assert answer.status_code == 500
    assert answer.content_type == "application/json"
    assert is_json(answer)
    told = answer.get_json()
    assert told["error"].startswith(f"Not shown: JSON has no text for the value at {place} ")
    assert "save the document with another value there" in told["error"]
    assert told["details"]["error_type"] == "NotJSONError"
    assert told["details"]["file_path"] == "tanks.json"
    assert f"tanks.json: cannot be sent as JSON: {place}: " in caplog.text
    assert str(path) in caplog.text
    assert path.read_bytes() == text
    assert stats()["write_failures"] == failures
    # A client can do what it was told to.
    assert put(client, {"mean": None}).status_code == 200
    assert client.get("/data/tanks").get_json() == {"mean": None}


def test_nor_by_a_view_of_the_apps_own(root: Path) -> None:
    at = datetime.date(2026, 1, 2)
    with make_app(root).app_context(), pytest.raises(NotJSONError) as caught:
        assert (
            answer_document({"b": at, "a": 1}).get_json() == jsonify({"b": at, "a": 1}).get_json()
        )
        answer_document({"at": at, "tanks": {"a": [0.0, math.inf]}})

    assert caught.value.place == "$.tanks.a[1]"
    assert isinstance(caught.value, ValueError)
    again = pickle.loads(pickle.dumps(caught.value))
    assert (str(again), again.place) == (str(caught.value), caught.value.place)


def test_half_a_surrogate_pair_is_json(client: FlaskClient, root: Path) -> None:
    (root / DOCUMENTS["tanks"]).write_bytes(b'"\\ud800"')

    answer = client.get("/data/tanks")

    assert answer.data == b'"\\ud800"\n'
    assert is_json(answer)


def test_no_infinity_comes_into_a_file_by_its_text(client: FlaskClient, root: Path) -> None:
    path = root / DOCUMENTS["tanks"]
    path.write_bytes(b'{"mean": 1e999}')
    for body in (b'{"mean": 1e999}', b'{"mean": Infinity}', b'{"mean": -1e999}'):
        answer = client.put("/data/tanks", data=body, content_type="application/json")
        assert answer.status_code == 422
        assert "$.mean" in answer.get_json()["error"]
    assert path.read_bytes() == b'{"mean": 1e999}'


def test_a_body_may_be_limited(root: Path) -> None:
    client = make_app(root, MAX_CONTENT_LENGTH=1000).test_client()

    assert put(client, "x" * 1000).status_code == 413
    assert not (root / DOCUMENTS["tanks"]).exists()
    assert put(client, "x" * 900).status_code == 200


@pytest.mark.parametrize("content_type", [None, "text/plain", "multipart/form-data"])
def test_a_body_is_json_by_its_content_type(
    client: FlaskClient, root: Path, content_type: str | None
) -> None:
    assert client.put("/data/tanks", data=b"1", content_type=content_type).status_code == 415
    assert not (root / DOCUMENTS["tanks"]).exists()


def test_a_missing_file_is_404(client: FlaskClient) -> None:
    answer = client.get("/data/tanks")

    assert answer.status_code == 404
    assert answer.get_json()["error"] == "Data file not found"


def test_handlers_that_the_app_registers_come_first(root: Path) -> None:
    client = raising(root, of(CorruptFileError))
    client.application.register_error_handler(CorruptFileError, lambda error: ("mine", 418))

    assert client.get("/fail").status_code == 418


def test_errors_of_others_are_left_alone(root: Path) -> None:
    client = raising(root, KeyError("x"))
    client.application.config["PROPAGATE_EXCEPTIONS"] = False

    assert client.get("/fail").status_code == 500
    assert client.get("/nowhere").mimetype == "text/html"
