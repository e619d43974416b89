"""Errors: the status of each, and what a client is told."""

from __future__ import annotations

import errno
import logging
import os
from pathlib import Path
from typing import Any

import pytest
from flask import Response
from flask.testing import FlaskClient

import oasis_data
from oasis_data.error_handling import (
    AlreadyLockedError,
    CorruptFileError,
    DataFileNotFoundError,
    DataOperationError,
    FolderNotFoundError,
    JSONReadError,
    JSONWriteError,
    LockTimeoutError,
    NotDurableError,
    OperationType,
    ReadPermissionError,
    StorageWriteError,
    UnserializableError,
    VersionConflictError,
    WritePermissionError,
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
    (of(LockTimeoutError, errno.ETIMEDOUT), 503),
    (of(StorageWriteError, errno.ENOSPC), 507),
    (of(StorageWriteError, errno.EDQUOT), 507),
    (of(NotDurableError, errno.ENOSPC), 507),
    (of(NotDurableError, errno.EIO), 500),
    (of(StorageWriteError, errno.EIO), 500),
    (of(CorruptFileError), 500),
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
    assert record.levelno == logging.ERROR
    assert f"[error_id={body['details']['error_id']}]" in record.getMessage()
    assert "/srv/secret/tanks.json" in record.getMessage()
    assert record.exc_info
    assert record.exc_info[1] is error
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
    assert rest == {"NamedTwiceError", "NoBackupError", "StorageReadError"}


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
