"""The Flask extension: its catalogue, its conditions, its answers to errors."""

from __future__ import annotations

import errno
import json
import logging
import os
import shutil
import threading
import unicodedata
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from flask import Flask, Response
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

import oasis_data
from oasis_data import (
    configure,
    edit_json,
    load_data_file,
    load_with_version,
    save_json_atomic,
    stats,
)
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
from oasis_data.flask import (
    DocumentCatalogue,
    OasisData,
    OutsideRootError,
    UnknownDataTypeError,
    get_data_file_path,
)
from tests.conftest import mounted, python, visible

DOCUMENTS = {"tanks": "dynamic/tanks.json", "plant": "plant.json", "tänks": "umlaut.json"}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "root" / "dynamic").mkdir(parents=True)
    return tmp_path / "root"


def make_app(root: Path, data: OasisData | None = None, **config: Any) -> Flask:
    app = Flask(__name__)
    app.config.update(OASIS_DATA_ROOT=str(root), OASIS_DATA_DOCUMENTS=DOCUMENTS)
    app.config.update(config)
    data = data or OasisData()
    data.init_app(app)
    app.get("/data/<data_type>")(data.get_document)
    app.put("/data/<data_type>")(data.put_document)
    return app


@pytest.fixture
def client(root: Path) -> FlaskClient:
    return make_app(root).test_client()


def put(client: FlaskClient, content: object, **headers: str) -> TestResponse:
    spelt = {name.replace("_", "-"): value for name, value in headers.items()}
    body = json.dumps(content)
    return client.put("/data/tanks", data=body, headers=spelt, content_type="application/json")


# The catalogue


@pytest.mark.parametrize("data_type", DOCUMENTS)
def test_a_type_is_a_file_under_the_root(root: Path, data_type: str) -> None:
    with make_app(root).app_context():
        assert get_data_file_path(data_type) == root / DOCUMENTS[data_type]


STRANGE: list[Any] = [
    *("", ".", "..", "/", "\0", "tanks\0", "tanks\0.json", "~", "~root", "*", "%", "\ud800"),
    *("tanks.json", "dynamic/tanks.json", "dynamic/tanks", "./tanks", "tanks/", "tanks/.", "//"),
    *("../root/plant.json", "tanks/../plant", "/etc/passwd", "file:///etc/passwd", "..\\..\\x"),
    *("Tanks", "TANKS", " tanks", "tanks ", "tanks\n", "t\u200banks", "\ufeffmtanks"),
    # Looks the same, folds to the same, or becomes the same when normalised.
    *(
        "\uff54\uff41\uff4e\uff4b\uff53",
        "tan\u212as",
        "t\u0430nks",
        unicodedata.normalize("NFD", "tänks"),
    ),
    *("\uff0e\uff0e\uff0fplant", "\u2025/plant", "..%2fplant", "..%c0%afplant", "%2e%2e/plant"),
    *("x" * 100_000, "../" * 1000 + "etc/passwd", ".oasis_data", ".oasis_data/journal"),
    *(None, True, 0, 1.5, float("nan"), b"tanks", ["tanks"], ("tanks",), {"tanks": 1}, {"tanks"}),
    *(Path("tanks"), object(), str, [[[]]]),
]


class Tanks(str):
    """Equal to a type, and then something else."""

    def __str__(self) -> str:
        return "../outside"

    def __hash__(self) -> int:
        return hash("tanks")


@pytest.mark.parametrize("data_type", [*STRANGE, Tanks("tanks")], ids=lambda _: "")
def test_no_other_spelling_is_one(root: Path, data_type: object) -> None:
    with make_app(root).app_context(), pytest.raises(UnknownDataTypeError) as caught:
        get_data_file_path(data_type)

    assert str(caught.value) == "Unknown data type"
    assert isinstance(caught.value, ValueError)
    assert isinstance(caught.value, DataOperationError)


@pytest.mark.parametrize("address", ["nothing", "Tanks", "%2e%2e", "tanks%00", "..%2fplant", "%ff"])
@pytest.mark.parametrize("method", ["GET", "PUT"])
def test_an_unknown_type_is_the_clients_mistake(
    client: FlaskClient,
    root: Path,
    caplog: pytest.LogCaptureFixture,
    method: str,
    address: str,
) -> None:
    answer = client.open(f"/data/{address}", method=method, json={})

    # A slash that is unescaped is another address.
    assert answer.status_code == (404 if "%2f" in address else 400)
    if answer.status_code == 400:
        assert answer.get_json() == {"success": False, "error": "Unknown data type"}
    assert caplog.records == []
    assert visible(root) == ["dynamic"]


@pytest.mark.parametrize("name", ["../outside.json", "/etc/x.json", "", ".", "a/../../b", "a\0b"])
def test_a_catalogue_leads_nowhere_else_as_it_is_spelt(root: Path, name: str) -> None:
    with pytest.raises(ValueError, match=r"tanks: .* does not name a file under the root"):
        DocumentCatalogue(root, {"tanks": name})


def link(path: Path, target: Path | str) -> None:
    path.symlink_to(target)


def link_twice(root: Path, outside: Path) -> None:
    link(root / "plant.json", root / "next.json")
    link(root / "next.json", outside / "plant.json")


LINKS: dict[str, Callable[[Path, Path], None]] = {
    "file": lambda root, outside: link(root / "plant.json", outside / "plant.json"),
    "relative": lambda root, outside: link(root / "plant.json", "../outside/plant.json"),
    "dangling": lambda root, outside: link(root / "plant.json", outside / "none.json"),
    "twice": link_twice,
    "sibling": lambda root, outside: link(root / "plant.json", f"{root}-other/plant.json"),
}


@pytest.mark.parametrize("kind", LINKS)
def test_no_symlink_leads_out(
    root: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture, kind: str
) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "plant.json").write_text('"secret"')
    app = make_app(root)
    # After the catalogue was made.
    LINKS[kind](root, outside)

    for answer in (
        app.test_client().get("/data/plant"),
        app.test_client().put("/data/plant", json="planted"),
    ):
        assert answer.status_code == 500
        assert answer.get_json()["details"]["error_id"] in caplog.text
        assert b"secret" not in answer.data
        assert b"outside" not in answer.data
    assert (outside / "plant.json").read_text() == '"secret"'
    assert visible(outside) == ["plant.json"]
    with app.app_context(), pytest.raises(OutsideRootError):
        get_data_file_path("plant")


def test_a_folder_that_is_a_symlink_leads_out_neither(root: Path, tmp_path: Path) -> None:
    shutil.rmtree(root / "dynamic")
    (tmp_path / "outside").mkdir()
    link(root / "dynamic", tmp_path / "outside")

    assert put(make_app(root).test_client(), 1).status_code == 500
    assert visible(tmp_path / "outside") == []


def test_symlinks_within_the_root_and_to_it_are_followed(root: Path, tmp_path: Path) -> None:
    link(tmp_path / "alias", root)
    (root / "real.json").write_text("1")
    link(root / "plant.json", "real.json")
    client = make_app(tmp_path / "alias").test_client()

    assert client.get("/data/plant").get_json() == 1
    assert client.put("/data/plant", json=2).status_code == 200
    assert json.loads((root / "real.json").read_text()) == 2
    assert (root / "plant.json").is_symlink()


def test_a_root_that_is_not_there_is_told_at_once(tmp_path: Path) -> None:
    for missing in (tmp_path / "missing", Path(__file__)):
        with pytest.raises(NotADirectoryError):
            make_app(missing)


def test_without_a_root_there_is_no_catalogue() -> None:
    app = Flask(__name__)
    OasisData(app)

    with app.app_context(), pytest.raises(RuntimeError, match="set OASIS_DATA_ROOT"):
        get_data_file_path("tanks")
    with pytest.raises(RuntimeError):
        get_data_file_path("tanks")


# Documents and their versions


def test_a_document_comes_with_its_version(client: FlaskClient, root: Path) -> None:
    path = root / DOCUMENTS["tanks"]
    save_json_atomic(path, {"b": 1, "a": [2]})

    answer = client.get("/data/tanks")

    assert answer.status_code == 200
    assert answer.get_json() == {"b": 1, "a": [2]}
    assert answer.get_etag() == (load_with_version(path)[1], False)
    assert answer.cache_control.no_cache


def test_who_has_it_already_is_told_so(client: FlaskClient, root: Path) -> None:
    save_json_atomic(root / DOCUMENTS["tanks"], 1)
    tag = client.get("/data/tanks").headers["ETag"]

    for known in (tag, f'"other", {tag}', f"W/{tag}", "*"):
        answer = client.get("/data/tanks", headers={"If-None-Match": known})
        assert (answer.status_code, answer.data) == (304, b"")
        assert answer.headers["ETag"] == tag
    save_json_atomic(root / DOCUMENTS["tanks"], 2)
    answer = client.get("/data/tanks", headers={"If-None-Match": tag})
    assert (answer.status_code, answer.get_json()) == (200, 2)
    assert answer.headers["ETag"] != tag


@pytest.mark.parametrize("content", [None, 0, "", [], {}, {"b": [1.5, "Öl", None]}, [[]]])
def test_what_was_put_is_what_the_next_get_has(
    client: FlaskClient, root: Path, content: object
) -> None:
    answer = put(client, content)

    assert answer.status_code == 200
    assert answer.get_json() == {"success": True, "message": "tanks saved successfully"}
    after = client.get("/data/tanks")
    assert after.get_json() == content
    assert after.headers["ETag"] == answer.headers["ETag"]
    assert load_data_file(root / DOCUMENTS["tanks"], default="none") == content


def test_two_editors_do_not_overwrite_each_other(client: FlaskClient, root: Path) -> None:
    put(client, {"Tank1": 1})
    first = client.get("/data/tanks").headers["ETag"]
    second = client.get("/data/tanks").headers["ETag"]

    saved = put(client, {"Tank1": 2}, If_Match=first)
    refused = put(client, {"Tank1": 3}, If_Match=second)

    assert (saved.status_code, refused.status_code) == (200, 412)
    assert client.get("/data/tanks").get_json() == {"Tank1": 2}
    assert put(client, {"Tank1": 4}, If_Match=saved.headers["ETag"]).status_code == 200


def test_of_editors_at_once_one_wins_each_round(client: FlaskClient) -> None:
    app = client.application
    put(client, 0)
    statuses: list[int] = []
    for _ in range(10):
        statuses.clear()
        tag = client.get("/data/tanks").headers["ETag"]
        barrier = threading.Barrier(4)

        def save(number: int, tag: str = tag, barrier: threading.Barrier = barrier) -> None:
            own = app.test_client()
            barrier.wait()
            statuses.append(put(own, [number], If_Match=tag).status_code)

        threads = [threading.Thread(target=save, args=(number,)) for number in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(statuses) == [200, 412, 412, 412]
        put(client, 0)


HERE, ABSENT = "here", "absent"


@pytest.mark.parametrize(
    ("state", "headers", "status"),
    [
        (HERE, {"If-Match": "{tag}"}, 200),
        (HERE, {"If-Match": '"x", {tag}, "y"'}, 200),
        (HERE, {"If-Match": "*"}, 200),
        (HERE, {"If-Match": '"x"'}, 412),
        (HERE, {"If-Match": '"x", "y"'}, 412),
        # A weak tag is one that something on the way has changed the document for.
        (HERE, {"If-Match": "W/{tag}"}, 412),
        (HERE, {"If-Match": '"*"'}, 412),
        (HERE, {"If-Match": ""}, 412),
        (HERE, {"If-Match": '""'}, 412),
        (HERE, {"If-Match": '"' + "x" * 10_000 + '"'}, 412),
        (HERE, {"If-Match": '"missing"'}, 412),
        (ABSENT, {"If-Match": '"missing"'}, 412),
        (ABSENT, {"If-Match": "*"}, 412),
        (ABSENT, {"If-Match": "{tag}"}, 412),
        (HERE, {"If-None-Match": "*"}, 412),
        (ABSENT, {"If-None-Match": "*"}, 200),
        (HERE, {"If-None-Match": "{tag}"}, 412),
        (HERE, {"If-None-Match": "W/{tag}"}, 412),
        (HERE, {"If-None-Match": '"x"'}, 200),
        (ABSENT, {"If-None-Match": '"x"'}, 200),
        (HERE, {"If-Match": "{tag}", "If-None-Match": '"x"'}, 200),
        (HERE, {"If-Match": "{tag}", "If-None-Match": "{tag}"}, 412),
        (HERE, {"If-Match": "*", "If-None-Match": "*"}, 412),
        (ABSENT, {"If-Match": "*", "If-None-Match": "*"}, 412),
    ],
)
def test_conditions_are_those_of_http(
    client: FlaskClient, root: Path, state: str, headers: dict[str, str], status: int
) -> None:
    path = root / DOCUMENTS["tanks"]
    save_json_atomic(path, "before")
    tag = client.get("/data/tanks").headers["ETag"]
    if state == ABSENT:
        path.unlink()

    spelt = {name: value.format(tag=tag) for name, value in headers.items()}
    failures = stats()["write_failures"]
    answer = client.put("/data/tanks", json="after", headers=spelt)

    assert answer.status_code == status
    assert stats()["write_failures"] - failures == (status != 200)
    expected = "after" if status == 200 else "before" if state == HERE else "none"
    assert load_data_file(path, default="none") == expected
    assert path.exists() == (status == 200 or state == HERE)


def test_a_corrupt_file_can_be_saved_over_but_not_on_a_condition_it_misses(
    client: FlaskClient, root: Path
) -> None:
    path = root / DOCUMENTS["tanks"]
    path.write_text("{")

    assert client.get("/data/tanks").status_code == 500
    assert put(client, 1, If_Match='"x"').status_code == 412
    assert path.read_text() == "{"
    assert put(client, 1, If_Match="*").status_code == 200


def test_a_version_can_be_required(root: Path) -> None:
    client = make_app(root, OASIS_DATA_REQUIRE_VERSION=True).test_client()

    refused = put(client, 1)

    assert refused.status_code == 428
    assert refused.get_json()["success"] is False
    assert not (root / DOCUMENTS["tanks"]).exists()
    saved = put(client, 1, If_None_Match="*")
    assert saved.status_code == 200
    assert put(client, 2, If_Match=saved.headers["ETag"]).status_code == 200


@pytest.mark.parametrize("body", [b"", b"{", b"[" * 100_000, b"\xff", b"1" * 5000])
def test_what_is_no_json_is_not_saved(client: FlaskClient, root: Path, body: bytes) -> None:
    answer = client.put("/data/tanks", data=body, content_type="application/json")

    assert answer.status_code == 400
    assert not (root / DOCUMENTS["tanks"]).exists()


# Errors


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
    inside, done = threading.Event(), threading.Event()

    def edit() -> None:
        with edit_json(path):
            inside.set()
            done.wait()

    editor = threading.Thread(target=edit)
    editor.start()
    inside.wait()
    answer = put(client, 1)
    done.set()
    editor.join()

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


# Settings, and several apps


def test_settings_come_from_the_config(root: Path) -> None:
    make_app(root, OASIS_DATA_BACKUPS_KEPT=3, OASIS_DATA_LOCK_TIMEOUT=1.5)

    assert (configure()["backups_kept"], configure()["lock_timeout"]) == (3, 1.5)


def test_settings_that_cannot_be_are_told_at_once(root: Path) -> None:
    before = configure()

    with pytest.raises(ValueError, match="durability"):
        make_app(root, OASIS_DATA_DURABILITY="some")

    assert configure() == before


def test_one_extension_serves_several_apps(tmp_path: Path) -> None:
    data = OasisData()
    clients = []
    for name in ("first", "second"):
        (tmp_path / name / "dynamic").mkdir(parents=True)
        clients.append(make_app(tmp_path / name, data).test_client())

    for client, content in zip(clients, ("one", "two"), strict=True):
        assert put(client, content).status_code == 200
    assert [client.get("/data/tanks").get_json() for client in clients] == ["one", "two"]
    assert json.loads((tmp_path / "first" / DOCUMENTS["tanks"]).read_text()) == "one"


def test_an_app_may_be_given_at_once(root: Path) -> None:
    app = Flask(__name__)
    app.config.update(OASIS_DATA_ROOT=root, OASIS_DATA_DOCUMENTS=DOCUMENTS)
    data = OasisData(app)

    with app.app_context():
        assert list(data.catalogue) == list(DOCUMENTS)
        assert data.get_data_file_path("plant") == root / "plant.json"


def test_metrics_are_neither_served_nor_imported_unless_asked_for(root: Path) -> None:
    assert make_app(root).test_client().get("/metrics").status_code == 404
    printed = python(
        """
import sys
sys.modules["prometheus_client"] = None
from flask import Flask
from oasis_data.flask import OasisData
app = Flask("app")
OasisData(app)
app.config["OASIS_DATA_METRICS_PATH"] = "/metrics"
try:
    OasisData(app)
except ImportError as error:
    print(error.name)
"""
    )
    assert printed.startswith("prometheus_client")
