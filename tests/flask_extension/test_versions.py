"""Documents and their versions: what is sent, and saved on which condition."""

from __future__ import annotations

import json
import threading
from pathlib import Path

import pytest
from flask.testing import FlaskClient

from oasis_data import (
    list_backups,
    load_data_file,
    load_with_version,
    save_json_atomic,
    stats,
)
from tests.conftest import backups
from tests.flask_extension.applications import DOCUMENTS, make_app, put


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


# As other programs and other options write them; each is another text than a save's own.
LAYOUTS = {
    "a save's own": b'{\n  "March": 1.0,\n  "April": [\n    1e+22,\n    "\xc3\x96l"\n  ]\n}',
    "compact": b'{"z":-0.0,"a":[1E3]}',
    "four spaces and a line break": b'{\n    "b": 1,\n    "a": {}\n}\n',
    "escapes": b'{"\\u00d6l": "\\ud83d\\ude00", "a": "\\/"}',
    "tabs and windows": b'{\r\n\t"b": true,\r\n\t"a": null\r\n}\r\n',
    "numbers": b"[1.10, 123456789012345678901234567890, 1e-7, 5E-324, 0.1e1, 1797693134862315e293]",
    "the same key twice": b'{"b": 1, "a": 2, "b": 3}',
    "keys like numbers": b'{"10": 1, "9": 2, "": 3, "\xc3\x96": 4, "\xe2\x82\xac": 5}',
    "a list": b"[3, 2, 1]",
    "null": b" null",
}


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("condition", ["If-Match", None])
def test_who_puts_back_what_they_got_changes_nothing(
    client: FlaskClient, root: Path, layout: str, condition: str | None
) -> None:
    path = root / DOCUMENTS["tanks"]
    path.write_bytes(LAYOUTS[layout])
    before = path.stat()
    unchanged = stats()["unchanged_saves"]

    got = client.get("/data/tanks")
    headers = {condition: got.headers["ETag"]} if condition else {}
    answer = client.put(
        "/data/tanks", data=got.data, content_type="application/json", headers=headers
    )

    assert (
        got.data == json.dumps(json.loads(LAYOUTS[layout]), separators=(",", ":")).encode() + b"\n"
    )
    assert answer.status_code == 200
    assert answer.headers["ETag"] == got.headers["ETag"]
    assert path.read_bytes() == LAYOUTS[layout]
    after = path.stat()
    assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
    assert list_backups(path) == []
    # Saved all the same: what another program wrote is durable now, as the answer says.
    assert stats()["unchanged_saves"] == unchanged + 1


@pytest.mark.parametrize(
    "other", [b'{"a": 2, "b": 1}', b'{"b": 1.0, "a": 2}', b'{"b": true, "a": 2}']
)
def test_what_is_only_equal_is_a_change(client: FlaskClient, root: Path, other: bytes) -> None:
    path = root / DOCUMENTS["tanks"]
    path.write_bytes(b'{"b": 1, "a": 2}')

    client.put("/data/tanks", data=other, content_type="application/json")

    assert path.read_text() == json.dumps(json.loads(other), indent=2)
    assert [each.read_bytes() for each in backups(path)] == [b'{"b": 1, "a": 2}']


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


@pytest.mark.parametrize("known", ["W/{tag}", '"x", W/{tag}', 'W/"x",{tag}'])
def test_a_weak_tag_is_enough_to_know_a_document(
    client: FlaskClient, root: Path, known: str
) -> None:
    save_json_atomic(root / DOCUMENTS["tanks"], 1)
    tag = client.get("/data/tanks").headers["ETag"]

    answer = client.get("/data/tanks", headers={"If-None-Match": known.format(tag=tag)})

    assert (answer.status_code, answer.data, answer.headers["ETag"]) == (304, b"", tag)


CHANGED = "load it again and repeat the change"
NGINX, APACHE = "gzip off", "DeflateAlterETag NoChange"


@pytest.mark.parametrize(
    ("match", "told"),
    [
        ("W/{tag}", NGINX),
        (' "x" , W/{tag}', NGINX),
        ('W/"x", "y"', NGINX),
        ('W/"x"', NGINX),
        ('"{version}-gzip"', APACHE),
        ('"x", "{version};br"', APACHE),
        ('"x"', CHANGED),
        ("", CHANGED),
        ('""', CHANGED),
        ('"{half}"', CHANGED),
        # It came strong too: the tag is of another version.
        ('"x", W/"x"', CHANGED),
    ],
)
def test_a_tag_that_a_proxy_changed_is_told_from_an_old_version(
    client: FlaskClient, root: Path, caplog: pytest.LogCaptureFixture, match: str, told: str
) -> None:
    path = root / DOCUMENTS["tanks"]
    save_json_atomic(path, "before")
    _, version = load_with_version(path)
    header = match.format(tag=f'"{version}"', version=version, half=version[:8])

    answer = put(client, "after", If_Match=header)

    assert answer.status_code == 412
    error = answer.get_json()["error"]
    assert [each for each in (CHANGED, NGINX, APACHE) if each in error] == [told]
    assert ("weak" in error) == (told == NGINX)
    (record,) = caplog.records
    assert told == CHANGED or told in record.getMessage()
    assert load_data_file(path) == "before"


@pytest.mark.parametrize("match", ['W/"x", {tag}', "W/{tag}, {tag}"])
def test_a_strong_tag_counts_among_weak_ones(client: FlaskClient, match: str) -> None:
    tag = put(client, "before").headers["ETag"]

    assert put(client, "after", If_Match=match.format(tag=tag)).status_code == 200


def test_weak_tags_are_not_to_blame_where_if_none_match_refuses(client: FlaskClient) -> None:
    tag = put(client, "before").headers["ETag"]

    refused = put(client, 1, If_Match=f'W/"x", {tag}', If_None_Match=tag)

    assert refused.status_code == 412
    assert CHANGED in refused.get_json()["error"]


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
