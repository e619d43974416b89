"""The routes: what they answer, what they refuse, and what they never let a client see."""

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import api
import pytest
from api import DATA_FILES, create_app
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from oasis_data import get_file_mtime
from oasis_data.flask import get_data_file_path
from tests.backend.conftest import BACKEND

VALUES: list[Any] = [
    [],
    {},
    0,
    False,
    "",
    1.5,
    "Öl",
    [1, {"a": None}],
    {"b": {"a": 2}, "a": 10**30},
]

# Nothing that leaves the folder, and nothing that Python cannot hash or the system not name.
STRANGE_TYPES: list[Any] = [
    *("../../etc/passwd", "/etc/passwd", "tanks/../plant", "tanks.json", "dynamic_data/tanks"),
    *("tanks\0", "\0", " tanks", "Tanks", "TANKS", "..", ".", "~", "\ud800", "x" * 10_000),
    *("__class__", "tanks\n", "file:///etc/passwd", "%2e%2e%2fetc", "schedule_results"),
    *(1, 1.5, True, ["tanks"], {"tanks": 1}, [[]], [["tanks", "plant"]], {"type": "tanks"}),
]


@pytest.fixture
def root(anywhere: Path) -> Path:
    """A copy of the sample data in files, and in a database."""
    data = anywhere / "data"
    for sample in (BACKEND / "sample_data").rglob("*.json"):
        copy = data / sample.relative_to(BACKEND / "sample_data")
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_bytes(sample.read_bytes())
    return data


@pytest.fixture
def client(root: Path) -> FlaskClient:
    return create_app(root).test_client()


@pytest.fixture(autouse=True)
def nothing_shown(root: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Checks every answer of a test for what a client must not see."""
    answers: list[str] = []
    open_client = FlaskClient.open

    def record(self: FlaskClient, *args: Any, **kwargs: Any) -> TestResponse:
        answer = open_client(self, *args, **kwargs)
        answers.append(answer.get_data(as_text=True))
        return answer

    monkeypatch.setattr(FlaskClient, "open", record)
    yield
    for answer in answers:
        for part in (str(root), str(root.parent), root.parent.name, "site-packages", ".py"):
            assert part not in answer
        assert not re.search(r'"/\w|Traceback|Errno|Expecting|line \d+|No such file', answer)


def save(client: FlaskClient, data_type: object, content: object) -> TestResponse:
    return client.post("/api/save-data", json={"type": data_type, "content": content})


def read_tree(root: Path) -> dict[Path, bytes]:
    """All the data of a folder and those beside it, but for the storage's own."""
    return {
        path: path.read_bytes()
        for path in root.parent.rglob("*")
        if path.is_file() and ".oasis_data" not in path.parts
    }


def check_failure(answer: TestResponse, status: int, operation: str) -> None:
    """An error as the error handler words it."""
    assert answer.status_code == status
    body = answer.get_json()
    assert body["success"] is False
    assert body["operation"] == operation
    assert isinstance(body["error"], str)
    assert isinstance(body["details"], dict)


def check_refusal(answer: TestResponse, status: int) -> None:
    """An error that the client can mend."""
    assert answer.status_code == status
    body = answer.get_json()
    assert body["success"] is False
    assert set(body) == {"success", "error"}


def test_one_page_load_has_every_document(client: FlaskClient, root: Path) -> None:
    answer = client.get("/api/data")
    assert answer.status_code == 200
    documents = answer.get_json()
    assert list(documents) == list(DATA_FILES)
    assert len(documents) == 11
    for data_type, name in DATA_FILES.items():
        assert documents[data_type] == json.loads((root / name).read_bytes())


def test_keys_keep_the_order_of_the_file(client: FlaskClient, root: Path) -> None:
    (root / "static_data" / "plant.json").write_text('{"b": 1, "a": 2}')
    assert client.get("/api/data/plant").get_data() == b'{"b":1,"a":2}\n'


def test_what_is_put_back_as_it_was_shown_stays_as_it_is(client: FlaskClient, root: Path) -> None:
    before = read_tree(root)
    for data_type in DATA_FILES:
        shown = client.get(f"/api/data/{data_type}")
        headers = {"If-Match": shown.headers["ETag"], "Content-Type": "application/json"}
        answer = client.put(f"/api/data/{data_type}", data=shown.data, headers=headers)
        assert answer.headers["ETag"] == shown.headers["ETag"]
    for data_type, document in json.loads(client.get("/api/data").data).items():
        assert save(client, data_type, document).status_code == 200
    assert read_tree(root) == before


def test_what_is_no_json_is_not_shown_as_it(client: FlaskClient, root: Path) -> None:
    (root / "static_data" / "plant.json").write_text('{"capacity": 1e999}')
    for address, place in (("/api/data/plant", "$.capacity"), ("/api/data", "$.plant.capacity")):
        answer = client.get(address)
        check_failure(answer, 500, "read")
        assert place in answer.get_json()["error"]


def test_a_client_s_mistakes_wake_nobody(
    client: FlaskClient, root: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (root / "output" / "schedule_results.json").unlink()
    check_failure(client.get("/api/data/schedule"), 404, "read")
    check_failure(client.put("/api/data/tanks", json={}, headers={"If-Match": '"x"'}), 412, "write")
    assert {each.levelname for each in caplog.records} == {"WARNING"}
    # A planner that misses what it needs is another matter.
    (root / "dynamic_data" / "tanks.json").unlink()
    check_failure(client.post("/api/scheduler/run"), 500, "read")
    assert caplog.records[-1].levelname == "ERROR"


@pytest.mark.parametrize("data_type", DATA_FILES)
def test_one_document_can_be_read(client: FlaskClient, root: Path, data_type: str) -> None:
    answer = client.get(f"/api/data/{data_type}")
    assert answer.status_code == 200
    assert answer.get_json() == json.loads((root / DATA_FILES[data_type]).read_bytes())


@pytest.mark.parametrize("content", VALUES)
@pytest.mark.parametrize("data_type", ["tanks", "schedule"])
def test_a_save_is_what_the_next_read_shows(
    client: FlaskClient, root: Path, data_type: str, content: object
) -> None:
    client.get("/api/data")
    for _ in range(2):
        answer = save(client, data_type, content)
        assert answer.status_code == 200
        expected = {"success": True, "message": f"{data_type} saved successfully"}
        assert answer.get_json() == expected
    assert client.get(f"/api/data/{data_type}").get_json() == content
    assert client.get("/api/data").get_json()[data_type] == content
    text = (root / DATA_FILES[data_type]).read_text(encoding="utf-8")
    assert text == json.dumps(content, indent=2, ensure_ascii=False)


def test_an_edit_by_other_hands_is_shown(client: FlaskClient, root: Path) -> None:
    before = client.get("/api/data/plant").get_json()
    (root / "static_data" / "plant.json").write_text(json.dumps(before | {"capacity": 7}))
    assert client.get("/api/data/plant").get_json()["capacity"] == 7
    assert client.get("/api/data").get_json()["plant"]["capacity"] == 7


def test_two_users_do_not_overwrite_each_other(client: FlaskClient) -> None:
    tag = client.get("/api/data/tanks").headers["ETag"]
    body = {"type": "tanks", "content": {"Tank1": 1}}
    first = client.post("/api/save-data", json=body, headers={"If-Match": tag})
    assert first.status_code == 200
    second = {"Tank1": 2}
    check_failure(
        client.put("/api/data/tanks", json=second, headers={"If-Match": tag}), 412, "write"
    )
    assert client.get("/api/data/tanks").get_json() == {"Tank1": 1}
    newer = {"If-Match": first.headers["ETag"]}
    assert client.put("/api/data/tanks", json=second, headers=newer).status_code == 200
    assert client.get("/api/data/tanks").get_json() == second


def test_a_part_of_a_document_is_changed_and_the_whole_deleted(
    client: FlaskClient, root: Path
) -> None:
    plant = client.get("/api/data/plant").get_json()
    tag = client.get("/api/data/plant").headers["ETag"]
    headers = {"If-Match": tag, "Content-Type": "application/merge-patch+json"}
    body = '{"capacity": 130}'
    assert client.patch("/api/data/plant", data=body, headers=headers).status_code == 200
    assert client.get("/api/data/plant").get_json() == plant | {"capacity": 130}
    check_failure(client.patch("/api/data/plant", data=body, headers=headers), 412, "write")
    check_failure(client.delete("/api/data/plant", headers={"If-Match": tag}), 412, "delete")
    assert client.delete("/api/data/plant").status_code == 200
    assert not (root / DATA_FILES["plant"]).exists()
    check_failure(client.delete("/api/data/plant"), 404, "delete")
    headers = {"Content-Type": "application/merge-patch+json"}
    check_failure(client.patch("/api/data/plant", data=body, headers=headers), 404, "write")


def test_the_page_finds_every_document(client: FlaskClient, root: Path) -> None:
    for address, mimetype in (("/", "text/html"), ("/static/page.js", "text/javascript")):
        with client.get(address) as answer:
            assert answer.status_code == 200
            assert answer.mimetype == mimetype
            assert answer.headers["X-Content-Type-Options"] == "nosniff"
            policy = answer.headers["Content-Security-Policy"]
            assert policy.startswith("default-src 'self';")
            assert "unsafe" not in policy
    assert list(client.get("/api/documents").get_json().items()) == list(DATA_FILES.items())
    versions = dict(
        re.findall(r'"data_type": "(\w+)", "version": "(\w+)"', client.get("/api/stream").text)
    )
    for data_type in DATA_FILES:
        shown = client.get(f"/api/data/{data_type}")
        assert shown.headers["ETag"] == f'"{versions[data_type]}"'
        saved_at = get_file_mtime(root / DATA_FILES[data_type])
        assert float(shown.headers["Saved-At"]) == pytest.approx(saved_at, abs=0.001)


def test_the_metrics_have_every_document(client: FlaskClient) -> None:
    answer = client.get("/metrics")
    assert answer.status_code == 200
    for data_type in DATA_FILES:
        assert f'oasis_data_document_bytes{{document="{data_type}"}}' in answer.text


def test_the_schedule_can_be_replaced(client: FlaskClient) -> None:
    schedule = {"daily_plans": [{"day": 1, "processing_rates": {}}]}
    assert client.post("/api/save-schedule", json=schedule).status_code == 200
    assert client.get("/api/data/schedule").get_json() == schedule
    bodies: list[Any] = [{}, {"daily_plans": None}, {"daily_plans": {}}, {"plans": []}]
    for body in bodies:
        check_refusal(client.post("/api/save-schedule", json=body), 400)
    assert client.get("/api/data/schedule").get_json() == schedule


def test_the_scheduler_saves_what_it_answers(client: FlaskClient) -> None:
    # Shown once under the path that the page reads, then saved under the planner's spelling.
    before = client.get("/api/data/schedule").get_json()
    answer = client.post("/api/scheduler/run", json={"days": 12})
    assert answer.status_code == 200
    body = answer.get_json()
    assert len(body["daily_plans"]) == 12
    after = client.get("/api/data/schedule").get_json()
    assert after == {"daily_plans": body["daily_plans"]} != before
    assert client.get("/api/data").get_json()["schedule"] == after


def test_the_optimizer_saves_both_documents(client: FlaskClient) -> None:
    save(client, "vessel_types", [{"name": "Barge", "capacity": 90, "cost": 5}])
    answer = client.post("/api/vessel-optimizer/optimize", json={"max_vessels": 4})
    assert answer.status_code == 200
    body = answer.get_json()
    assert len(body["vessels"]) == 4
    assert body["unmet"]
    documents = client.get("/api/data").get_json()
    assert documents["vessels"] == body["vessels"]
    assert documents["vessel_routes"] == body["vessel_routes"]


@pytest.mark.parametrize("address", ["/api/scheduler/run", "/api/vessel-optimizer/optimize"])
def test_the_planners_need_no_body(client: FlaskClient, address: str) -> None:
    assert client.post(address).status_code == 200
    assert client.post(address, json={}).status_code == 200


@pytest.mark.parametrize("count", ["7", None, 1.5, True, [], {}])
def test_the_planners_count_in_whole_numbers(client: FlaskClient, count: object) -> None:
    check_refusal(client.post("/api/scheduler/run", json={"days": count}), 400)
    body = {"max_vessels": count}
    check_refusal(client.post("/api/vessel-optimizer/optimize", json=body), 400)


def test_the_planners_refuse_unfit_documents(client: FlaskClient, root: Path) -> None:
    check_refusal(client.post("/api/scheduler/run", json={"days": 0}), 422)
    for data_type, address in [
        ("tanks", "/api/scheduler/run"),
        ("routes", "/api/vessel-optimizer/optimize"),
    ]:
        save(client, data_type, 0)
        before = read_tree(root)
        check_refusal(client.post(address), 422)
        assert read_tree(root) == before


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"type": "tanks"},
        {"content": {}},
        {"type": "tanks", "content": None},
        {"type": None, "content": {}},
        {"type": "", "content": {}},
        {"type": 0, "content": {}},
        {"type": [], "content": {}},
        {"type": {}, "content": {}},
    ],
)
def test_a_save_needs_type_and_content(client: FlaskClient, root: Path, body: object) -> None:
    before = read_tree(root)
    answer = client.post("/api/save-data", json=body)
    assert answer.status_code == 400
    assert answer.get_json() == {"success": False, "error": "Missing type or content"}
    assert read_tree(root) == before


@pytest.mark.parametrize("data_type", STRANGE_TYPES, ids=range(len(STRANGE_TYPES)))
def test_no_type_leads_anywhere_else(client: FlaskClient, root: Path, data_type: object) -> None:
    before = read_tree(root)
    check_refusal(save(client, data_type, {"planted": True}), 400)
    assert read_tree(root) == before
    with client.application.app_context(), pytest.raises(ValueError, match="Unknown data type"):
        get_data_file_path(data_type)


@pytest.mark.parametrize(
    "address",
    [
        *("nothing", "tanks.json", "..", "%2e%2e", "..%2f..%2fetc%2fpasswd", "tanks%00", "%ff"),
        *("tanks/", "tanks/../plant", "%2fetc%2fpasswd", "x" * 10_000),
    ],
)
def test_no_address_leads_anywhere_else(client: FlaskClient, address: str) -> None:
    check_refusal(client.get(f"/api/data/{address}"), 404)


@pytest.mark.parametrize(
    "body",
    [
        *(b"{", b"[]", b"null", b"0", b'"tanks"', b"\xff\xfe", b"\0", b" ", b'{"type"', b"[1, 2]"),
        b"[" * 100_000,
        b'{"a":' * 100_000,
        b'{"type": "tanks", "content": ' + b"1" * 5000 + b"}",
    ],
    ids=range(13),
)
@pytest.mark.parametrize(
    "address",
    [
        *("/api/save-data", "/api/save-schedule"),
        *("/api/scheduler/run", "/api/vessel-optimizer/optimize"),
    ],
)
def test_a_body_is_a_json_object(
    client: FlaskClient, root: Path, address: str, body: bytes
) -> None:
    before = read_tree(root)
    check_refusal(client.post(address, data=body, content_type="application/json"), 400)
    assert read_tree(root) == before


@pytest.mark.parametrize("address", ["/api/save-data", "/api/save-schedule"])
def test_a_body_there_must_be_and_of_json(client: FlaskClient, address: str) -> None:
    check_refusal(client.post(address), 400)
    check_refusal(client.post(address, data=b'{"type": "tanks", "content": 1}'), 400)
    check_refusal(client.post(address, data={"type": "tanks", "content": "1"}), 400)


@pytest.mark.parametrize("content", ["NaN", "[Infinity]", '{"name": "\\ud800"}'])
def test_what_cannot_be_saved_changes_nothing(
    client: FlaskClient, root: Path, content: str
) -> None:
    before = read_tree(root)
    body = f'{{"type": "plant", "content": {content}}}'
    answer = client.post("/api/save-data", data=body, content_type="application/json")
    check_failure(answer, 422, "write")
    assert read_tree(root) == before
    assert client.get("/api/data/plant").status_code == 200


@pytest.mark.parametrize("text", ["", "{", '{"capacity": 250,', "\ufffd", "[" * 200_000])
def test_a_corrupt_file_is_an_error_and_stays(client: FlaskClient, root: Path, text: str) -> None:
    path = root / "dynamic_data" / "tanks.json"
    client.get("/api/data")
    path.write_text(text)
    check_failure(client.get("/api/data/tanks"), 500, "read")
    check_failure(client.get("/api/data"), 500, "read")
    check_failure(client.post("/api/scheduler/run"), 500, "read")
    assert path.read_text() == text
    assert client.get("/api/data/plant").status_code == 200
    assert save(client, "tanks", {}).status_code == 200
    assert client.get("/api/data/tanks").get_json() == {}


def test_a_file_that_is_not_there(client: FlaskClient, root: Path) -> None:
    (root / "output" / "schedule_results.json").unlink()
    check_failure(client.get("/api/data/schedule"), 404, "read")
    assert client.get("/api/data").get_json()["schedule"] == {}
    (root / "dynamic_data" / "tanks.json").unlink()
    check_failure(client.post("/api/scheduler/run"), 500, "read")
    assert not (root / "output" / "schedule_results.json").exists()
    assert save(client, "schedule", {"daily_plans": []}).status_code == 200
    assert client.get("/api/data/schedule").get_json() == {"daily_plans": []}


@pytest.mark.files("a store has no folders")
def test_a_folder_that_is_not_there(client: FlaskClient, root: Path) -> None:
    shutil.rmtree(root / "output")
    check_failure(save(client, "schedule", {}), 500, "write")
    check_failure(client.post("/api/save-schedule", json={"daily_plans": []}), 500, "write")
    check_failure(client.post("/api/scheduler/run"), 500, "write")
    check_failure(client.get("/api/data/schedule"), 404, "read")
    assert client.get("/api/data").get_json()["schedule"] == {}
    assert not (root / "output").exists()


@pytest.mark.files("a store has no folders")
def test_a_folder_in_a_file_s_place(client: FlaskClient, root: Path) -> None:
    path = root / "static_data" / "plant.json"
    path.unlink()
    path.mkdir()
    check_failure(client.get("/api/data/plant"), 500, "read")
    check_failure(save(client, "plant", {}), 500, "write")
    assert path.is_dir()


def test_a_failure_nobody_foresaw(client: FlaskClient, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*args: object, **kwargs: object) -> None:
        raise KeyError("/etc/secret")

    monkeypatch.setattr(api, "load_data_file", fail)
    check_failure(client.get("/api/data"), 500, "read")


def test_other_addresses_and_methods(client: FlaskClient) -> None:
    check_refusal(client.get("/nothing"), 404)
    check_refusal(client.get("/static/nothing"), 404)
    check_refusal(client.get("/api/save-data"), 405)
    refused = client.post("/api/data/tanks")
    check_refusal(refused, 405)
    assert "PATCH" in refused.headers["Allow"]
    refused = client.patch("/api/data/tanks", json={})
    check_refusal(refused, 415)
    assert "application/merge-patch+json" in refused.headers["Accept-Patch"]
    assert "application/merge-patch+json" in refused.get_json()["error"]


def test_the_app_is_over_the_folder_of_the_environment(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    api.app_from_environment.cache_clear()
    monkeypatch.setenv("DATA", str(root))
    client = api.app.test_client()
    assert client.get("/api/data/plant").status_code == 200
    assert api.app is client.application


def test_without_a_folder_there_is_no_app(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    api.app_from_environment.cache_clear()
    monkeypatch.delenv("DATA", raising=False)
    with pytest.raises(RuntimeError, match="set DATA"):
        _ = api.app
    with pytest.raises(NotADirectoryError):
        create_app(tmp_path / "missing")
    with pytest.raises(AttributeError, match="nothing"):
        _ = api.nothing
