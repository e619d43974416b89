"""PATCH and DELETE, and what Flask itself refuses: the conditions of a save, answers in JSON."""

from __future__ import annotations

import json
import pickle
import shutil
import threading
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from werkzeug.exceptions import HTTPException
from werkzeug.test import TestResponse

from oasis_data import OperationType, load_data_file, load_with_version, save_json_atomic
from oasis_data.flask import PatchConflictError
from tests.conftest import backups, visible
from tests.flask_extension.applications import DOCUMENTS, make_app, put

MERGE = "application/merge-patch+json"
PATCH = "application/json-patch+json"


def patch(client: FlaskClient, content: object, mimetype: str = MERGE, **headers: str) -> Any:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    body = json.dumps(content)
    return client.patch("/data/tanks", data=body, headers=named, content_type=mimetype)


@pytest.fixture
def tanks(root: Path) -> Path:
    path = root / DOCUMENTS["tanks"]
    save_json_atomic(path, {"Tank1": {"level": 250, "grade": "Base"}, "Tank2": [1, 2]})
    return path


# The examples of RFC 7396, appendix A.
MERGED: list[tuple[Any, Any, Any]] = [
    ({"a": "b"}, {"a": "c"}, {"a": "c"}),
    ({"a": "b"}, {"b": "c"}, {"a": "b", "b": "c"}),
    ({"a": "b"}, {"a": None}, {}),
    ({"a": "b", "b": "c"}, {"a": None}, {"b": "c"}),
    ({"a": ["b"]}, {"a": "c"}, {"a": "c"}),
    ({"a": "c"}, {"a": ["b"]}, {"a": ["b"]}),
    ({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}, {"a": {"b": "d"}}),
    ({"a": [{"b": "c"}]}, {"a": [1]}, {"a": [1]}),
    (["a", "b"], ["c", "d"], ["c", "d"]),
    ({"a": "b"}, ["c"], ["c"]),
    ({"a": "foo"}, None, None),
    ({"a": "foo"}, "bar", "bar"),
    ({"e": None}, {"a": 1}, {"e": None, "a": 1}),
    ([1, 2], {"a": "b", "c": None}, {"a": "b"}),
    ({}, {"a": {"bb": {"ccc": None}}}, {"a": {"bb": {}}}),
]


@pytest.mark.parametrize(("before", "change", "after"), MERGED)
def test_a_merge_patch_is_that_of_the_standard(
    client: FlaskClient, tanks: Path, before: Any, change: Any, after: Any
) -> None:
    save_json_atomic(tanks, before)
    answer = patch(client, change)
    assert answer.status_code == 200
    assert answer.headers["ETag"] == f'"{load_with_version(tanks)[1]}"'
    assert load_data_file(tanks) == after


def test_a_json_patch_is_applied_as_a_whole(client: FlaskClient, tanks: Path) -> None:
    operations = [
        {"op": "test", "path": "/Tank1/level", "value": 250},
        {"op": "replace", "path": "/Tank1/level", "value": 10**30},
        {"op": "add", "path": "/Tank2/-", "value": None},
        {"op": "move", "from": "/Tank1/grade", "path": "/grade"},
        {"op": "copy", "from": "/Tank2", "path": "/Tank3"},
        {"op": "remove", "path": "/Tank2/0"},
    ]
    assert patch(client, operations, PATCH).status_code == 200
    changed = {
        "Tank1": {"level": 10**30},
        "Tank2": [2, None],
        "grade": "Base",
        "Tank3": [1, 2, None],
    }
    assert load_data_file(tanks) == changed
    failing = [{"op": "remove", "path": "/grade"}, {"op": "test", "path": "/Tank3", "value": 1}]
    answer = patch(client, failing, PATCH)
    assert answer.status_code == 409
    assert "operation 2 (test) of the patch test fails" in answer.get_json()["error"]
    assert load_data_file(tanks) == changed


@pytest.mark.parametrize(
    ("content", "mimetype", "status"),
    [
        ([{"op": "remove", "path": "/none"}], PATCH, 409),
        ([{"op": "copy", "from": "/none", "path": "/a"}], PATCH, 409),
        ([{"op": "replace", "path": "/Tank2/9", "value": 1}], PATCH, 409),
        ({"op": "remove", "path": "/Tank1"}, PATCH, 400),
        ([{"op": "remove"}], PATCH, 400),
        ([{"path": "/a"}], PATCH, 400),
        ([{"op": "leave", "path": "/a"}], PATCH, 400),
        ([{"op": "add", "path": 1, "value": 1}], PATCH, 400),
        ([{"op": "add", "path": "/a"}], PATCH, 400),
        ([{"op": "copy", "path": "/a"}], PATCH, 400),
        ([{"op": "copy", "from": 1, "path": "/a"}], PATCH, 400),
        ([{"op": "move", "from": "/Tank1", "path": "/Tank1/level"}], PATCH, 409),
        ([1], PATCH, 400),
        (["remove"], PATCH, 400),
        ("text", PATCH, 400),
        ({}, "application/json", 415),
        ({}, "text/plain", 415),
        ({"a": float("nan")}, MERGE, 422),
    ],
)
def test_a_patch_that_cannot_be_changes_nothing(
    client: FlaskClient, tanks: Path, content: Any, mimetype: str, status: int
) -> None:
    before = tanks.read_bytes()
    answer = patch(client, content, mimetype)
    assert answer.status_code == status
    assert answer.get_json()["success"] is False
    if status == 415:
        assert answer.headers["Accept-Patch"] == f"{MERGE}, {PATCH}"
    assert tanks.read_bytes() == before
    assert backups(tanks) == []


def values() -> st.SearchStrategy[Any]:
    scalars = st.none() | st.booleans() | st.integers() | st.text(max_size=3)
    return st.recursive(
        scalars,
        lambda each: st.lists(each, max_size=3) | st.dictionaries(st.text(max_size=3), each),
        max_leaves=4,
    )


def pointers() -> st.SearchStrategy[Any]:
    parts = st.sampled_from(["", "/", "/a", "/a/b", "/0", "/-", "/a/0", "/~", "/~1", "a", "/01"])
    return parts | st.builds(str.__add__, parts, parts) | values()


def operations() -> st.SearchStrategy[Any]:
    names = st.sampled_from(["add", "remove", "replace", "move", "copy", "test", "no"]) | values()
    members = {"op": names, "path": pointers(), "from": pointers(), "value": values()}
    return st.lists(st.fixed_dictionaries({}, optional=members) | values(), max_size=4) | values()


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(before=values(), content=operations(), mimetype=st.sampled_from([MERGE, PATCH]))
def test_no_patch_is_an_error_of_the_server(
    client: FlaskClient, tanks: Path, before: Any, content: Any, mimetype: str
) -> None:
    save_json_atomic(tanks, before, backup=False)
    answer = patch(client, content, mimetype)
    assert answer.status_code in (200, 400, 409)
    assert answer.get_json()["success"] is (answer.status_code == 200)
    if answer.status_code != 200:
        assert load_data_file(tanks) == before


def test_copies_do_not_fill_the_memory(client: FlaskClient, tanks: Path) -> None:
    doubling = [{"op": "copy", "from": "", "path": f"/{number}"} for number in range(20)]
    answer = patch(client, doubling, PATCH)
    assert answer.status_code == 413
    assert "copies too much" in answer.get_json()["error"]


@pytest.mark.parametrize("mimetype", [MERGE, PATCH])
def test_brackets_without_end_are_refused(client: FlaskClient, tanks: Path, mimetype: str) -> None:
    deep = '{"a":' * 100_000 + "1" + "}" * 100_000
    answer = client.patch("/data/tanks", data=deep, content_type=mimetype)
    assert answer.status_code == 400
    assert answer.get_json()["success"] is False
    # Not too deep for the parser, but for whoever goes down with calls.
    deep = '{"a":' * 900 + "1" + "}" * 900
    answer = client.patch("/data/tanks", data=deep, content_type=mimetype)
    assert answer.status_code in (200, 400)


def test_a_patch_obeys_the_conditions_of_a_save(client: FlaskClient, tanks: Path) -> None:
    seen = client.get("/data/tanks").headers["ETag"]
    first = patch(client, {"Tank1": 1}, If_Match=seen)
    assert first.status_code == 200
    second = patch(client, {"Tank1": 2}, If_Match=seen)
    assert second.status_code == 412
    # With it the client can go on at once.
    assert second.headers["ETag"] == first.headers["ETag"]
    assert patch(client, {"Tank1": 2}, If_Match=second.headers["ETag"]).status_code == 200
    assert patch(client, {}, If_None_Match="*").status_code == 412
    assert patch(client, {}, If_Match="*").status_code == 200
    assert load_data_file(tanks)["Tank1"] == 2


def test_a_save_that_comes_too_late_is_told_the_version(client: FlaskClient, tanks: Path) -> None:
    now = client.get("/data/tanks").headers["ETag"]
    assert put(client, {}, If_Match='"old"').headers["ETag"] == now
    tanks.unlink()
    assert "ETag" not in put(client, {}, If_Match='"old"').headers


def test_a_version_can_be_required(root: Path, tanks: Path) -> None:
    client = make_app(root, OASIS_DATA_REQUIRE_VERSION=True).test_client()
    assert patch(client, {}).status_code == 428
    assert client.delete("/data/tanks").status_code == 428
    assert tanks.exists()


def test_a_patch_without_an_effect_leaves_the_file(client: FlaskClient, tanks: Path) -> None:
    tanks.write_text('{"level":  1.50}')
    answer = patch(client, {"level": 1.5})
    assert answer.status_code == 200
    assert answer.headers["ETag"] == client.get("/data/tanks").headers["ETag"]
    assert tanks.read_text() == '{"level":  1.50}'


@pytest.mark.files("a store has no folders")
def test_there_is_nothing_to_patch_or_delete(client: FlaskClient, root: Path) -> None:
    assert patch(client, {}).status_code == 404
    assert client.delete("/data/tanks").status_code == 404
    shutil.rmtree(root / "dynamic")
    assert patch(client, {}).status_code == 404
    assert client.delete("/data/tanks").status_code == 404
    assert visible(root) == []


def test_patches_of_several_clients_lose_nothing(root: Path, tanks: Path) -> None:
    app = make_app(root)

    def change(name: str) -> None:
        client = app.test_client()
        for number in range(20):
            assert patch(client, {name: number}).status_code == 200
            add = [{"op": "add", "path": f"/{name}-{number}", "value": 1}]
            assert patch(client, add, PATCH).status_code == 200

    threads = [threading.Thread(target=change, args=(f"client{n}",)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    document = load_data_file(tanks)
    assert all(document[f"client{n}"] == 19 for n in range(4))
    assert sum("-" in key for key in document) == 80


def test_a_document_is_deleted_as_its_version_allows(client: FlaskClient, tanks: Path) -> None:
    refused = client.delete("/data/tanks", headers={"If-Match": '"old"'})
    assert refused.status_code == 412
    assert refused.get_json()["error"].startswith("Not deleted: the document is another one")
    answer = client.delete(
        "/data/tanks", headers={"If-Match": client.get("/data/tanks").headers["ETag"]}
    )
    assert answer.status_code == 200
    assert answer.get_json() == {"success": True, "message": "tanks deleted successfully"}
    assert "ETag" not in answer.headers
    assert not tanks.exists()
    assert len(backups(tanks)) == 1
    assert client.get("/data/tanks").status_code == 404


@pytest.mark.files("a store has no folders")
@pytest.mark.parametrize("made", [False, True])
def test_missing_folders_are_made_if_told(root: Path, made: bool) -> None:
    (root / "dynamic").rmdir()
    client = make_app(root, OASIS_DATA_MAKE_PARENTS=made).test_client()
    assert put(client, {}).status_code == (200 if made else 500)
    assert (root / "dynamic").exists() == made


def refused(client: FlaskClient, method: str) -> TestResponse:
    return client.open("/data/tanks", method=method, data=b"{", content_type="application/json")


def test_what_flask_refuses_is_json(root: Path) -> None:
    client = make_app(root, MAX_CONTENT_LENGTH=1000).test_client()
    large = client.put("/data/tanks", data=b"1" * 2000, content_type="application/json")
    answers = {
        400: refused(client, "PUT"),
        405: refused(client, "POST"),
        413: large,
        415: client.put("/data/tanks", data=b"{}", content_type="text/plain"),
    }
    for status, answer in answers.items():
        assert answer.status_code == status
        body = answer.get_json()
        assert body.keys() == {"success", "error"}
        assert body["success"] is False
        assert body["error"]
    allowed = set(answers[405].headers["Allow"].split(", "))
    assert allowed == {"GET", "HEAD", "OPTIONS", "PUT", "PATCH", "DELETE"}


def test_views_of_the_app_answer_as_before(root: Path) -> None:
    app = make_app(root)
    app.get("/page")(lambda: "page")
    client = app.test_client()
    assert client.post("/page").status_code == 405
    assert client.post("/page").mimetype == "text/html"
    assert client.get("/none").mimetype == "text/html"


def test_handlers_of_the_app_come_first(root: Path) -> None:
    app: Flask = make_app(root)

    def own(error: HTTPException) -> tuple[str, int]:
        return f"own {error.code}", error.code or 500

    app.register_error_handler(HTTPException, own)
    client = app.test_client()
    for method, status in (("PUT", 400), ("POST", 405)):
        assert refused(client, method).get_data(as_text=True) == f"own {status}"


def test_a_conflict_survives_a_pickle() -> None:
    error = PatchConflictError(OperationType.WRITE, "/srv/tanks.json", "message", reason="why")
    copied = pickle.loads(pickle.dumps(error))
    assert (copied.reason, str(copied), type(copied)) == ("why", "message", PatchConflictError)
