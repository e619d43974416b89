"""The errors: what they are, what they say and to whom; and the handler that answers clients."""

from __future__ import annotations

import builtins
import copy
import errno
import fcntl
import inspect
import json
import logging
import os
import pickle
import re
import resource
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from functools import partial
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import pytest

from oasis_data import (
    MISSING,
    AlreadyLockedError,
    CorruptFileError,
    DataFileNotFoundError,
    DataOperationError,
    ErrorHandler,
    FolderNotFoundError,
    JSONReadError,
    JSONWriteError,
    LockTimeoutError,
    NamedTwiceError,
    NoBackupError,
    NotDurableError,
    OperationType,
    ReadPermissionError,
    StorageReadError,
    StorageWriteError,
    UnserializableError,
    VersionConflictError,
    WritePermissionError,
    configure,
    delete_json_atomic,
    error_handler,
    error_handling,
    load_data_file,
    load_with_version,
    save_json_atomic,
)
from tests.conftest import backups, everything_in, mounted, temporaries
from tests.nobody import as_nobody

READ, WRITE, DELETE = OperationType.READ, OperationType.WRITE, OperationType.DELETE

WHOLE = "/srv/secret/place/tanks.json"

CLASSES: dict[type[DataOperationError], set[type[Exception]]] = {
    DataOperationError: {Exception},
    JSONWriteError: {DataOperationError},
    UnserializableError: {JSONWriteError, TypeError, ValueError},
    StorageWriteError: {JSONWriteError, OSError},
    FolderNotFoundError: {JSONWriteError, FileNotFoundError},
    WritePermissionError: {JSONWriteError, PermissionError},
    LockTimeoutError: {JSONWriteError, TimeoutError},
    AlreadyLockedError: {JSONWriteError, OSError},
    NamedTwiceError: {JSONWriteError, ValueError},
    VersionConflictError: {JSONWriteError},
    NoBackupError: {JSONWriteError},
    NotDurableError: {JSONWriteError, OSError},
    JSONReadError: {DataOperationError},
    StorageReadError: {JSONReadError, OSError},
    ReadPermissionError: {JSONReadError, PermissionError},
    DataFileNotFoundError: {JSONReadError, FileNotFoundError},
    CorruptFileError: {JSONReadError, json.JSONDecodeError},
}
"""Every class, and what callers may catch it as."""

BUILTINS = (
    FileNotFoundError,
    PermissionError,
    TimeoutError,
    OSError,
    TypeError,
    ValueError,
    json.JSONDecodeError,
)


# The classes


def test_table_of_classes_is_complete() -> None:
    public = {getattr(error_handling, name) for name in error_handling.__all__}
    classes = {each for each in public if isinstance(each, type) and issubclass(each, Exception)}

    assert classes == set(CLASSES)


@pytest.mark.parametrize("kind", CLASSES)
def test_class_is_caught_as_what_callers_catch_and_nothing_else(
    kind: type[DataOperationError],
) -> None:
    bases = CLASSES[kind]

    assert all(issubclass(kind, base) for base in bases)
    for builtin in BUILTINS:
        expected = any(issubclass(base, builtin) for base in bases)
        assert issubclass(kind, builtin) is expected, builtin
    if kind is not DataOperationError:
        assert issubclass(kind, JSONWriteError) is not issubclass(kind, JSONReadError)


@pytest.mark.parametrize("kind", CLASSES)
def test_constructor_takes_the_guides_arguments(kind: type[DataOperationError]) -> None:
    original = OSError(errno.EIO, "Input/output error")
    before = datetime.now()
    by_position = kind(READ, WHOLE, "It failed", original)
    by_name = kind(operation=READ, file_path=WHOLE, message="It failed", original_error=original)

    for error in (by_position, by_name):
        assert error.operation is READ
        assert error.file_path == WHOLE
        assert error.message == "It failed"
        assert error.original_error is original
        assert before <= error.timestamp <= datetime.now()
        assert error.timestamp.tzinfo is None
        assert str(error) == "It failed"
        assert error.args == ("It failed",)
    assert kind(READ, WHOLE, "It failed").original_error is None


@pytest.mark.parametrize("kind", CLASSES)
def test_guides_parameters_come_first_and_the_rest_by_name(kind: type[DataOperationError]) -> None:
    parameters = list(inspect.signature(kind).parameters.values())

    assert [each.name for each in parameters[:4]] == [
        "operation",
        "file_path",
        "message",
        "original_error",
    ]
    assert all(each.kind is each.POSITIONAL_OR_KEYWORD for each in parameters[:4])
    assert all(each.kind is each.KEYWORD_ONLY for each in parameters[4:])


def test_operation_types_are_the_guides() -> None:
    assert {each.name: each.value for each in OperationType} == {
        "READ": "read",
        "WRITE": "write",
        "DELETE": "delete",
        "CACHE": "cache",
    }


def test_write_error_of_a_message_alone() -> None:
    error = JSONWriteError("Failed to write tanks.json")

    assert str(error) == error.message == "Failed to write tanks.json"
    assert error.args == ("Failed to write tanks.json",)
    assert error.operation is WRITE
    assert error.file_path == ""
    assert error.original_error is None
    assert_same(pickle.loads(pickle.dumps(error)), error)


@pytest.mark.parametrize("kind", [each for each in CLASSES if issubclass(each, OSError)])
def test_os_errors_have_the_original_ones_number(kind: type[DataOperationError]) -> None:
    error = kind(WRITE, WHOLE, "It failed", OSError(errno.EIO, "Input/output error", "other"))
    assert isinstance(error, OSError)
    assert error.errno == errno.EIO
    assert error.strerror == "Input/output error"
    assert error.filename == WHOLE

    without = kind(WRITE, WHOLE, "It failed", ValueError("no errno"))
    assert isinstance(without, OSError)
    assert without.errno is None
    assert without.strerror is None
    assert without.filename == WHOLE


# Pickling and copying


class UnpicklableError(Exception):
    """Cannot be pickled: holds a lock, as errors of network libraries do."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.lock = threading.Lock()


class MisbuiltError(Exception):
    """Pickles but does not come back: its constructor takes other arguments."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(f"{code} {reason}")


class SpeechlessError(UnpicklableError):
    def __str__(self) -> str:
        raise RuntimeError("no words")


class OwnError(StorageWriteError):
    """A caller's own subclass, with an attribute of its own."""

    colour = "none"


def examples() -> list[DataOperationError]:
    original = OSError(errno.EIO, "Input/output error")
    plain = [kind(READ, WHOLE, "It failed") for kind in CLASSES]
    caused = [kind(WRITE, WHOLE, "It failed", original) for kind in CLASSES]
    own = OwnError(WRITE, WHOLE, "It failed", original)
    own.colour = "red"
    nested = JSONWriteError(WRITE, WHOLE, "outer", JSONReadError(READ, WHOLE, "inner", original))
    return [
        *plain,
        *caused,
        own,
        nested,
        UnserializableError(WRITE, WHOLE, "It failed", TypeError("set"), place="$.a[1]"),
        LockTimeoutError(WRITE, WHOLE, "It failed", holder=4711),
        VersionConflictError(WRITE, WHOLE, "It failed", expected="a", found=MISSING),
        CorruptFileError(READ, WHOLE, "It failed", reason="why", pos=7, lineno=2, colno=3),
    ]


def described(error: BaseException | None) -> object:
    """An error by its class and everything it holds, errors in it likewise."""
    if error is None:
        return None
    held = dict(vars(error))
    if isinstance(error, OSError):
        held |= {"errno": error.errno, "strerror": error.strerror, "filename": error.filename}
    if "original_error" in held:
        held["original_error"] = described(held["original_error"])
    return type(error), str(error), held


def assert_same(one: BaseException, other: BaseException) -> None:
    assert one is not other
    assert described(one) == described(other)


@pytest.mark.parametrize("error", examples(), ids=lambda error: type(error).__name__)
def test_error_survives_pickling(error: DataOperationError) -> None:
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        assert_same(pickle.loads(pickle.dumps(error, protocol)), error)


@pytest.mark.parametrize("duplicate", [copy.copy, copy.deepcopy])
@pytest.mark.parametrize("error", examples(), ids=lambda error: type(error).__name__)
def test_error_survives_copying(
    error: DataOperationError, duplicate: Callable[[DataOperationError], DataOperationError]
) -> None:
    assert_same(duplicate(error), error)


@pytest.mark.parametrize("error", examples(), ids=lambda error: type(error).__name__)
def test_error_shows_the_same_after_pickling_and_copying(error: DataOperationError) -> None:
    for again in (pickle.loads(pickle.dumps(error)), copy.copy(error), copy.deepcopy(error)):
        assert again.args == error.args
        assert repr(again) == repr(error)


@pytest.mark.parametrize("kind", CLASSES)
@pytest.mark.parametrize(
    ("original", "text"),
    [
        (UnpicklableError("the cable broke"), "UnpicklableError: the cable broke"),
        (MisbuiltError(500, "went wrong"), "MisbuiltError: 500 went wrong"),
        (SpeechlessError("silence"), "SpeechlessError"),
    ],
)
def test_error_over_an_unpicklable_one_survives_pickling(
    kind: type[DataOperationError], original: Exception, text: str
) -> None:
    error = kind(WRITE, WHOLE, "It failed", original)

    again = pickle.loads(pickle.dumps(error))

    assert type(again) is kind
    assert (again.operation, again.file_path, again.message) == (WRITE, WHOLE, "It failed")
    assert again.timestamp == error.timestamp
    assert text in str(again.original_error)
    # The error itself is left as it was.
    assert error.original_error is original


# Errors as the package raises them


def raised(act: Callable[[], object]) -> DataOperationError:
    with pytest.raises(DataOperationError) as caught:
        act()
    return caught.value


def assert_told_well(
    error: DataOperationError, kind: type[DataOperationError], path: Path, operation: OperationType
) -> None:
    """What holds for every error: who it is, and what it says to whom."""
    assert type(error) is kind
    assert error.operation is operation
    assert error.file_path == str(path)
    text = str(error)
    assert text.startswith(f"{path.name}: ")
    assert str(path.parent) not in text
    assert text == error.message
    assert error.__cause__ is error.original_error
    if isinstance(error, OSError):
        assert error.filename == str(path)
        assert isinstance(error.original_error, OSError)
        assert error.errno == error.original_error.errno
        assert error.strerror == os.strerror(error.errno or 0)
    assert_same(pickle.loads(pickle.dumps(error)), error)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A saved file, in a folder of its own."""
    path = tmp_path / "folder" / "tanks.json"
    path.parent.mkdir()
    save_json_atomic(path, {"a": 1})
    return path


LOADS: list[Callable[[Path], object]] = [
    lambda path: load_data_file(path, strict=True),
    load_with_version,
]


def test_missing_file_on_loading(path: Path) -> None:
    path.unlink()

    error = raised(lambda: load_data_file(path, strict=True))

    assert_told_well(error, DataFileNotFoundError, path, READ)
    assert isinstance(error, FileNotFoundError)
    assert error.errno == errno.ENOENT


def test_missing_file_on_deleting(path: Path) -> None:
    path.unlink()

    error = raised(lambda: delete_json_atomic(path))

    assert_told_well(error, DataFileNotFoundError, path, DELETE)


@pytest.mark.parametrize("load", LOADS)
def test_directory_on_loading(path: Path, load: Callable[[Path], object]) -> None:
    error = raised(lambda: load(path.parent))

    assert_told_well(error, StorageReadError, path.parent, READ)
    assert isinstance(error, OSError)
    assert error.errno == errno.EISDIR
    assert "directory" in str(error)


@pytest.mark.parametrize("ending", ["", "/", "/.", "/.."])
def test_directory_on_saving(path: Path, ending: str) -> None:
    spelt = f"{path.parent}{ending}"

    error = raised(lambda: save_json_atomic(spelt, 1))

    assert type(error) is StorageWriteError
    assert isinstance(error, OSError)
    assert error.errno == errno.EISDIR
    assert error.file_path == spelt
    assert str(path.parent.parent) not in str(error)


def test_missing_folder(path: Path) -> None:
    nowhere = path.parent / "nowhere" / "tanks.json"

    error = raised(lambda: save_json_atomic(nowhere, 1))

    assert_told_well(error, FolderNotFoundError, nowhere, WRITE)
    assert isinstance(error, FileNotFoundError)
    assert error.errno == errno.ENOENT
    assert "make_parents=True" in str(error)
    assert not nowhere.parent.exists()


@pytest.mark.parametrize(
    ("act", "kind", "operation"),
    [
        (lambda path: load_data_file(path), StorageReadError, READ),
        (lambda path: save_json_atomic(path, 1), StorageWriteError, WRITE),
        (lambda path: delete_json_atomic(path), StorageWriteError, DELETE),
    ],
)
def test_file_where_a_folder_should_be(
    path: Path,
    act: Callable[[Path], object],
    kind: type[DataOperationError],
    operation: OperationType,
) -> None:
    inside = path / "tanks.json"

    error = raised(lambda: act(inside))

    assert_told_well(error, kind, inside, operation)
    assert isinstance(error, OSError)
    assert error.errno == errno.ENOTDIR


def test_value_without_json(path: Path) -> None:
    error = raised(lambda: save_json_atomic(path, {"vessels": [1, {"cost": {2, 3}}]}))

    assert_told_well(error, UnserializableError, path, WRITE)
    assert isinstance(error, UnserializableError)
    assert error.place == "$.vessels[1].cost"
    assert error.place in str(error)
    assert isinstance(error.original_error, TypeError)
    assert load_data_file(path) == {"a": 1}


@pytest.mark.parametrize("data", [float("nan"), {("a",): 1}, object(), "\ud800"])
def test_value_without_json_is_a_type_or_value_error(path: Path, data: object) -> None:
    for builtin in (TypeError, ValueError):
        with pytest.raises(builtin) as caught:
            save_json_atomic(path, data)
        assert isinstance(caught.value, UnserializableError)


def test_callers_builtins_catch_the_packages_errors(path: Path) -> None:
    missing = path.with_name("missing.json")
    corrupt = path.with_name("corrupt.json")
    corrupt.write_text("{")
    caught: list[type[BaseException]] = []
    attempts: list[tuple[type[Exception], Callable[[], object]]] = [
        (FileNotFoundError, lambda: load_data_file(missing, strict=True)),
        (OSError, lambda: load_data_file(missing, strict=True)),
        (OSError, lambda: load_data_file(path.parent)),
        (json.JSONDecodeError, lambda: load_data_file(corrupt, strict=True)),
        (ValueError, lambda: load_data_file(corrupt, strict=True)),
        (FileNotFoundError, lambda: save_json_atomic(missing / "x.json", 1)),
        (TypeError, lambda: save_json_atomic(path, {1, 2})),
        (ValueError, lambda: save_json_atomic(path, {1, 2})),
        (JSONWriteError, lambda: save_json_atomic(path, {1, 2})),
    ]
    for builtin, act in attempts:
        try:
            act()
        except builtin:
            caught.append(builtin)

    assert caught == [builtin for builtin, _ in attempts]


# Corrupt files


CORRUPT = [
    b"",
    b" ",
    b"\n\n",
    b"{",
    b"}",
    b"[",
    b"[1",
    b"[1,",
    b"[1,]",
    b'{"a"}',
    b'{"a":}',
    b'{"a" 1}',
    b'{"a": 1,}',
    b"{'a': 1}",
    b"{1: 2}",
    b'{"a": 1}}',
    b'{"a": 1} {"b": 2}',
    b'{"a": 1\n, "b": 2\n "c": 3}',
    b'[1,\r\n 2,\r\n x]',
    b"[\n\n\n1 2]",
    b'"abc',
    b'"a\nb"',
    b'"\\x"',
    b'"\\u12"',
    b"nul",
    b"True",
    b"01",
    b"1.",
    b"-",
    b"[1]\x00",
    "[\"ä€😀\", \"ä\n€\", 😀]".encode(),
    "\ufeff[1, 2".encode(),
    "[1,\n 2".encode("utf-16"),
    "[1,\n 2".encode("utf-32-be"),
    b'{"filler": "' + b"x" * 100_000 + b'", }',
]  # fmt: skip


@pytest.mark.parametrize("content", CORRUPT, ids=lambda content: repr(content[:30]))
@pytest.mark.parametrize("load", LOADS)
def test_corrupt_file_is_at_fault_where_json_says(
    path: Path, content: bytes, load: Callable[[Path], object]
) -> None:
    with pytest.raises(json.JSONDecodeError) as expected:
        json.loads(content)
    path.write_bytes(content)

    error = raised(lambda: load(path))

    assert_told_well(error, CorruptFileError, path, READ)
    assert isinstance(error, CorruptFileError)
    place = (expected.value.lineno, expected.value.colno, expected.value.pos)
    assert (error.lineno, error.colno, error.pos) == place
    assert error.msg == expected.value.msg
    assert "line {} column {} (char {})".format(*place) in str(error)
    assert isinstance(error.original_error, json.JSONDecodeError)
    # The document may be large, and may be secret.
    assert error.doc == ""
    assert len(str(error)) < 300
    assert path.read_bytes() == content


@pytest.mark.parametrize(
    ("content", "place"),
    [
        (b"\xff", (1, 1, 0)),
        (b'["a",\n "\xe4"]', (2, 3, 8)),
        ('["ä€😀", "'.encode() + b"\x80", (1, 10, 9)),
    ],
)
def test_text_in_another_encoding_is_corrupt_where_it_begins(
    path: Path, content: bytes, place: tuple[int, int, int]
) -> None:
    path.write_bytes(content)

    error = raised(lambda: load_data_file(path, strict=True))

    assert_told_well(error, CorruptFileError, path, READ)
    assert isinstance(error, CorruptFileError)
    assert (error.lineno, error.colno, error.pos) == place
    assert isinstance(error.original_error, UnicodeDecodeError)


# Another user's files


def denied_errors() -> list[DataOperationError]:
    """Everything that a user without rights tries, in the current folder."""
    return [
        raised(lambda: load_data_file("unreadable.json")),
        raised(lambda: load_with_version("unreadable.json")),
        raised(lambda: load_data_file("closed/tanks.json")),
        raised(lambda: save_json_atomic("tanks.json", 2)),
        raised(lambda: save_json_atomic("new.json", 2)),
        raised(lambda: delete_json_atomic("tanks.json")),
    ]


def test_permission_denied(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    (folder / "closed").mkdir(parents=True)
    for name in ("tanks.json", "unreadable.json", "closed/tanks.json"):
        (folder / name).write_text("1")
    (folder / "unreadable.json").chmod(0o000)
    (folder / "closed").chmod(0o000)
    folder.chmod(0o555)
    try:
        errors = as_nobody(folder, denied_errors)
    finally:
        folder.chmod(0o755)
        (folder / "closed").chmod(0o755)

    for error, name in zip(
        errors[:3], ["unreadable.json", "unreadable.json", "closed/tanks.json"], strict=True
    ):
        assert type(error) is ReadPermissionError
        assert error.operation is READ
        assert error.file_path == name
    for error, name, operation in zip(
        errors[3:], ["tanks.json", "new.json", "tanks.json"], [WRITE, WRITE, DELETE], strict=True
    ):
        assert type(error) is WritePermissionError
        assert error.operation is operation
        assert error.file_path == name
        assert "mode of its folder" in str(error)
    for error in errors:
        assert isinstance(error, PermissionError)
        assert error.errno == errno.EACCES
        assert str(error).startswith(f"{Path(error.file_path).name}: ")
        assert os.strerror(errno.EACCES) in str(error)
    assert everything_in(folder) == ["closed", "closed/tanks.json", "tanks.json", "unreadable.json"]
    assert (folder / "tanks.json").read_text() == "1"


def test_symlinks_that_lead_in_a_circle(tmp_path: Path) -> None:
    path = tmp_path / "tanks.json"
    path.symlink_to("routes.json")
    (tmp_path / "routes.json").symlink_to("tanks.json")
    for act in (lambda: load_data_file(path), lambda: save_json_atomic(path, 1)):
        error = raised(act)
        assert isinstance(error, OSError)
        assert error.errno == errno.ELOOP
        assert str(error).endswith("; its symlinks lead in a circle: look at them with ls -l")


def test_something_else_in_the_place_of_the_sidecar(tmp_path: Path) -> None:
    (tmp_path / ".oasis_data").write_text("not a folder")
    error = raised(lambda: save_json_atomic(tmp_path / "tanks.json", 1))
    assert str(error).endswith(
        "; something that is no folder has the name .oasis_data: move it away"
    )
    assert (tmp_path / ".oasis_data").read_text() == "not a folder"


def test_a_limit_on_the_size_of_files(tmp_path: Path) -> None:
    path = tmp_path / "tanks.json"
    save_json_atomic(path, 1)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))
    try:
        error = raised(lambda: save_json_atomic(path, "x" * 2000))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert_told_well(error, StorageWriteError, path, WRITE)
    assert str(error).endswith("; it is larger than a file may be there (see ulimit -f)")
    assert load_data_file(path) == 1


def test_read_only_file_system(tmp_path: Path) -> None:
    with mounted(tmp_path / "mount", "tmpfs") as folder:
        path = folder / "tanks.json"
        save_json_atomic(path, 1)
        before = everything_in(folder)
        subprocess.run(["mount", "-o", "remount,ro", folder], check=True)

        acts: dict[OperationType, Callable[[], object]] = {
            WRITE: lambda: save_json_atomic(path, 2),
            DELETE: lambda: delete_json_atomic(path),
        }
        for operation, act in acts.items():
            error = raised(act)
            assert_told_well(error, WritePermissionError, path, operation)
            assert isinstance(error, PermissionError)
            assert error.errno == errno.EROFS
            assert "mounted read-only" in str(error)
        assert load_data_file(path) == 1
        assert everything_in(folder) == before


@pytest.mark.parametrize("new", [False, True])
def test_full_disk(tmp_path: Path, new: bool) -> None:
    with mounted(tmp_path / "mount", "tmpfs", "size=256k") as folder:
        path = folder / "tanks.json"
        save_json_atomic(path, "old")
        save_json_atomic(path, "old too")
        old = {each: each.read_bytes() for each in folder.iterdir() if each.is_file()}
        free = os.statvfs(folder).f_bavail * os.statvfs(folder).f_frsize
        saved = folder / "new.json" if new else path

        error = raised(lambda: save_json_atomic(saved, "x" * 1_000_000))

        assert_told_well(error, StorageWriteError, saved, WRITE)
        assert isinstance(error, OSError)
        assert error.errno == errno.ENOSPC
        assert os.strerror(errno.ENOSPC) in str(error)
        told = re.search(r"(\d+) bytes are free", str(error))
        assert told
        assert 0 <= int(told[1]) <= free
        assert load_data_file(path) == "old too"
        assert {each: each.read_bytes() for each in folder.iterdir() if each.is_file()} == old
        assert len(backups(path)) == 1
        assert temporaries(folder) == []
        # What is left is as much as before: the next one that fits is saved.
        save_json_atomic(saved, "x" * 1_000)
        assert load_data_file(saved) == "x" * 1_000


# Lock and version


def hold_lock(connection: Connection, lock: Path) -> None:
    with lock.open() as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        connection.send_bytes(b"held")
        connection.recv_bytes()


@contextmanager
def held_by_another(path: Path) -> Iterator[int]:
    """Another process holds the lock of a file; its pid."""
    lock = path.parent / ".oasis_data" / "locks" / f"{path.name}.lock"
    context = get_context("spawn")
    here, there = context.Pipe()
    process = context.Process(target=hold_lock, args=(there, lock))
    process.start()
    there.close()
    try:
        assert here.recv_bytes() == b"held"
        assert process.pid
        yield process.pid
        here.send_bytes(b"done")
    finally:
        here.close()
        process.join()
    assert process.exitcode == 0


def test_lock_held_by_another_process(path: Path) -> None:
    configure(lock_timeout=0.02)
    with held_by_another(path) as pid:
        acts: list[tuple[OperationType, Callable[[], object]]] = [
            (WRITE, lambda: save_json_atomic(path, 2, timeout=0.01)),
            (WRITE, lambda: save_json_atomic(path, 2, timeout=0)),
            (WRITE, lambda: save_json_atomic(path, 2)),
            (DELETE, lambda: delete_json_atomic(path, timeout=0.01)),
        ]
        for operation, act in acts:
            error = raised(act)
            assert_told_well(error, LockTimeoutError, path, operation)
            assert isinstance(error, LockTimeoutError)
            assert isinstance(error, TimeoutError)
            assert error.errno == errno.ETIMEDOUT
            assert error.holder == pid
            assert f"process {pid} " in str(error)
        assert load_data_file(path) == {"a": 1}
    assert save_json_atomic(path, 2)


def test_version_that_the_file_does_not_have(path: Path) -> None:
    _, found = load_with_version(path)
    missing = path.with_name("missing.json")
    conflicts = [
        (path, "0" * 32, found),
        (path, "", found),
        (path, MISSING, found),
        (missing, found, MISSING),
    ]
    for conflicting, expected, there in conflicts:
        error = raised(partial(save_json_atomic, conflicting, 2, if_version=expected))
        assert_told_well(error, VersionConflictError, conflicting, WRITE)
        assert isinstance(error, VersionConflictError)
        assert (error.expected, error.found) == (expected, there)
        told = {"expected": "exists already", "there": "is gone"}
        assert (told["expected"] if expected == MISSING else expected) in str(error)
        assert (told["there"] if there == MISSING else there) in str(error)
    # A client may have sent it.
    error = raised(partial(save_json_atomic, path, 2, if_version="a\n\x1b" + "b" * 10_000))
    assert "\n" not in str(error)
    assert "\x1b" not in str(error)
    assert len(str(error)) < 300
    error = raised(lambda: delete_json_atomic(path, if_version="0" * 32))
    assert_told_well(error, VersionConflictError, path, DELETE)

    assert load_data_file(path) == {"a": 1}
    assert not missing.exists()
    assert save_json_atomic(missing, 1, if_version=MISSING)
    assert save_json_atomic(path, 2, if_version=found)


# The handler


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
