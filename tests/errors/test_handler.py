"""The handler: one of four sentences for a client, and the rest for the log."""

from __future__ import annotations

import builtins
import errno
import json
import logging
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from oasis_data import (
    MISSING,
    CorruptFileError,
    DataFileNotFoundError,
    DataOperationError,
    ErrorHandler,
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
    error_handler,
    load_data_file,
    save_json_atomic,
)
from tests.conftest import everything_in
from tests.errors.classes import DELETE, READ, WHOLE, WRITE, SpeechlessError, UnpicklableError
from tests.errors.telling import raised
from tests.nobody import as_nobody

SENTENCES = {
    "missing": "Data file not found",
    "corrupt": "Invalid data format detected",
    "denied": "Insufficient permissions for data operation",
    "other": "An unexpected error occurred during data operation",
}

SECRET = "in /srv/secret/place the password is hunter2"


class WrappedError(Exception):
    """Not the package's, but with a cause in the same place."""

    def __init__(self, original_error: object) -> None:
        super().__init__(SECRET)
        self.original_error = original_error


def wrap(original: BaseException) -> list[BaseException]:
    return [
        DataOperationError(READ, WHOLE, SECRET, original),
        JSONReadError(READ, WHOLE, SECRET, original),
        JSONWriteError(WRITE, WHOLE, SECRET, original),
        WrappedError(original),
    ]


ANSWERS: list[tuple[str, BaseException]] = [
    *[("missing", each) for each in wrap(FileNotFoundError(2, SECRET, WHOLE))],
    *[("corrupt", each) for each in wrap(json.JSONDecodeError(SECRET, SECRET, 3))],
    *[("denied", each) for each in wrap(PermissionError(13, SECRET, WHOLE))],
    *[("other", each) for each in wrap(ValueError(SECRET))],
    ("missing", FileNotFoundError(SECRET)),
    ("missing", DataFileNotFoundError(READ, WHOLE, SECRET)),
    ("missing", FolderNotFoundError(WRITE, WHOLE, SECRET)),
    ("corrupt", json.JSONDecodeError(SECRET, SECRET, 3)),
    ("corrupt", CorruptFileError(READ, WHOLE, SECRET, reason=SECRET)),
    ("denied", PermissionError(SECRET)),
    ("denied", ReadPermissionError(READ, WHOLE, SECRET)),
    ("denied", WritePermissionError(WRITE, WHOLE, SECRET)),
    ("other", OSError(errno.ENOSPC, SECRET, WHOLE)),
    ("other", IsADirectoryError(errno.EISDIR, SECRET, WHOLE)),
    ("other", UnicodeDecodeError("utf-8", SECRET.encode(), 0, 1, SECRET)),
    ("other", KeyError(SECRET)),
    ("other", TimeoutError(SECRET)),
    ("other", LockTimeoutError(WRITE, WHOLE, SECRET, TimeoutError(SECRET), holder=4711)),
    ("other", VersionConflictError(WRITE, WHOLE, SECRET, expected="a", found="b")),
    ("other", UnserializableError(WRITE, WHOLE, SECRET, TypeError(SECRET), place="$.a")),
    ("other", NotDurableError(WRITE, WHOLE, SECRET, OSError(errno.EIO, SECRET))),
    ("other", StorageWriteError(WRITE, WHOLE, SECRET, OSError(errno.EIO, SECRET))),
    ("other", JSONWriteError(SECRET)),
    ("other", WrappedError(None)),
    ("other", WrappedError("no error")),
    ("other", KeyboardInterrupt(SECRET)),
    ("other", SystemExit(SECRET)),
    ("other", SpeechlessError(SECRET)),
    ("other", UnpicklableError(SECRET)),
]
if group := getattr(builtins, "ExceptionGroup", None):  # from Python 3.11 on
    ANSWERS.append(("other", group(SECRET, [ValueError(SECRET), OSError(2, SECRET)])))


def test_handler_logs_where_the_guide_says(caplog: pytest.LogCaptureFixture) -> None:
    assert ErrorHandler().logger is logging.getLogger("DataOperations")
    assert error_handler.logger is logging.getLogger("DataOperations")
    assert isinstance(error_handler, ErrorHandler)

    ErrorHandler().handle_error(READ, WHOLE, ValueError("x"))

    assert [(each.name, each.levelno) for each in caplog.records] == [
        ("DataOperations", logging.ERROR)
    ]


@pytest.mark.parametrize(
    ("sentence", "error"),
    ANSWERS,
    ids=[f"{sentence}-{type(error).__name__}" for sentence, error in ANSWERS],
)
def test_answer_is_one_of_four_sentences_and_the_log_has_the_rest(
    caplog: pytest.LogCaptureFixture, sentence: str, error: BaseException
) -> None:
    before = datetime.now()

    answer = error_handler.handle_error(WRITE, WHOLE, error)

    assert answer.keys() == {"success", "error", "operation", "details"}
    assert answer["success"] is False
    assert answer["error"] == SENTENCES[sentence]
    assert answer["operation"] == "write"
    details = answer["details"]
    assert details.keys() >= {"operation", "file_path", "error_type", "message", "timestamp"}
    assert details["operation"] == "write"
    assert details["file_path"] == "tanks.json"
    assert details["error_type"] == type(error).__name__
    assert details["message"] == SENTENCES[sentence]
    assert before <= datetime.fromisoformat(details["timestamp"]) <= datetime.now()

    text = json.dumps(answer)
    for hidden in ("secret", "srv", "hunter2", SECRET, WHOLE):
        assert hidden not in text

    [record] = caplog.records
    logged = logging.Formatter().format(record)
    assert details["error_id"] in record.getMessage()
    assert WHOLE in record.getMessage()
    assert type(error).__name__ in logged
    assert record.exc_info
    assert record.exc_info[1] is error
    if not isinstance(error, SpeechlessError):
        assert "hunter2" in record.getMessage()


def test_log_has_the_traceback(caplog: pytest.LogCaptureFixture) -> None:
    def some_function_of_the_caller() -> None:
        raise ValueError("raised in there")

    try:
        some_function_of_the_caller()
    except ValueError as error:
        caught = error
    # After the except clause: the handler may be called anywhere.
    answer = error_handler.handle_error(READ, WHOLE, caught)

    [record] = caplog.records
    assert "some_function_of_the_caller" in logging.Formatter().format(record)
    assert "some_function_of_the_caller" in vars(record)["traceback"]
    assert "some_function_of_the_caller" not in json.dumps(answer)


def test_below_an_error_there_is_no_traceback(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    for level in (logging.INFO, logging.WARNING, logging.CRITICAL):
        caplog.clear()
        answer = error_handler.handle_error(READ, WHOLE, ValueError(SECRET), level=level)

        [record] = caplog.records
        traced = level > logging.ERROR
        assert (record.levelno, bool(record.exc_info)) == (level, traced)
        assert answer["details"]["error_id"] in record.getMessage()
        assert WHOLE in record.getMessage()


def test_log_record_has_the_guides_fields(caplog: pytest.LogCaptureFixture) -> None:
    answer = error_handler.handle_error(DELETE, WHOLE, ValueError("the message"))

    [record] = caplog.records
    fields = vars(record)
    assert fields["operation"] == "delete"
    assert fields["file_path"] == WHOLE
    assert fields["error_type"] == "ValueError"
    assert fields["error_message"] == "the message"
    assert fields["error_id"] == answer["details"]["error_id"]


def test_each_answer_has_an_id_of_its_own() -> None:
    ids = {
        error_handler.handle_error(READ, WHOLE, ValueError())["details"]["error_id"]
        for _ in range(100)
    }

    assert len(ids) == 100


class NoPath:
    """A path-like object without a path."""

    def __fspath__(self) -> str:
        raise RuntimeError(SECRET)


@pytest.mark.parametrize(
    ("path", "name", "logged"),
    [
        ("/srv/secret/tanks.json", "tanks.json", "/srv/secret/tanks.json"),
        ("tanks.json", "tanks.json", "tanks.json"),
        ("../secret/tanks.json", "tanks.json", "../secret/tanks.json"),
        (b"/srv/secret/tanks.json", "tanks.json", "/srv/secret/tanks.json"),
        (Path("/srv/secret/tanks.json"), "tanks.json", "/srv/secret/tanks.json"),
        ("C:\\secret\\tanks.json", "tanks.json", "C:"),
        ("\\\\server\\secret/tanks.json", "tanks.json", "server"),
        ("/srv/secret/", "", "/srv/secret/"),
        ("/srv/secret/\udce4.json", "\\udce4.json", "/srv/secret/"),
        (b"/srv/secret/\xe4.json", "\\udce4.json", "/srv/secret/"),
        ("/srv/secret/a\nb.json", "a\nb.json", "/srv/secret/"),
        ("/srv/secret/a\0b.json", "a\0b.json", "/srv/secret/"),
        ("", "", ""),
        (None, "", ""),
        (42, "", ""),
        (["/srv/secret"], "", ""),
        (object(), "", ""),
        (NoPath(), "", ""),
    ],
)
def test_any_path_is_answered_by_its_name_and_logged_whole(
    caplog: pytest.LogCaptureFixture, path: object, name: str, logged: str
) -> None:
    answer = error_handler.handle_error(READ, path, ValueError(SECRET))

    assert answer["details"]["file_path"] == name
    text = json.dumps(answer, ensure_ascii=False)
    assert "secret" not in text
    # A client gets the answer in UTF-8, and so does a log file.
    text.encode()
    [record] = caplog.records
    message = record.getMessage()
    message.encode()
    assert logged in message
    assert "\n" not in message
    logging.Formatter().format(record).encode()


@pytest.mark.files("a store has no folders")
def test_answer_for_real_errors_hides_where_the_file_is(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    corrupt = path.with_name("corrupt.json")
    corrupt.write_text("{")
    missing = path.with_name("missing.json")
    errors = {
        raised(lambda: load_data_file(missing, strict=True)): "missing",
        raised(lambda: load_data_file(corrupt, strict=True)): "corrupt",
        raised(lambda: save_json_atomic(missing / "x.json", 1)): "missing",
        raised(lambda: load_data_file(path.parent)): "other",
        raised(lambda: save_json_atomic(path, object())): "other",
        raised(lambda: save_json_atomic(path, 1, if_version=MISSING)): "other",
    }
    for error, sentence in errors.items():
        answer = error_handler.handle_error(error.operation, error.file_path, error)
        assert answer["error"] == SENTENCES[sentence]
        assert answer["operation"] == error.operation.value
        assert str(path.parent.parent) not in json.dumps(answer)
        assert error.file_path in caplog.records[-1].getMessage()


def test_handler_as_the_guides_call_sites_use_it(path: Path) -> None:
    try:
        save_json_atomic(path, {"a": {1, 2}})
    except JSONWriteError as e:
        answer = error_handler.handle_error(OperationType.WRITE, str(path), e)

    assert answer["error"] == SENTENCES["other"]
    assert answer["details"]["error_type"] == "UnserializableError"


def handled_in_another_process() -> dict[str, Any]:
    try:
        load_data_file("missing.json", strict=True)
    except JSONReadError as error:
        return error_handler.handle_error(READ, error.file_path, error)
    raise AssertionError("it was there")


def test_handler_needs_no_configured_logging(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()

    answer = as_nobody(folder, handled_in_another_process)

    assert answer["error"] == SENTENCES["missing"]
    assert everything_in(folder) == []
