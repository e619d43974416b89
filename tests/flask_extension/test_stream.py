"""Server-sent events: what a client is told, by one watcher, however many clients there are."""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from werkzeug.test import TestResponse
from werkzeug.wrappers import Response

from oasis_data import (
    MISSING,
    _stream,
    delete_json_atomic,
    load_with_version,
    save_json_atomic,
    save_many_atomic,
    save_with_version,
)
from oasis_data.catalogue import DocumentCatalogue
from tests.flask_extension.applications import DOCUMENTS, make_app

TOLD = {"type": "connected"}


class Client:
    """A browser: it keeps the id of the last event, and comes back with it."""

    def __init__(self, app: Flask, address: str = "/stream", *, threads: bool = True) -> None:
        self.app = app
        self.address = address
        self.threads = threads
        self.last_id = ""
        self.retry = 0
        self.versions: dict[str, str] = {}

    def connect(self) -> TestResponse:
        return self.app.test_client().get(
            self.address,
            headers={"Last-Event-ID": self.last_id} if self.last_id else {},
            environ_overrides={"wsgi.multithread": self.threads},
        )

    def pieces(self, answer: Response) -> Iterator[list[dict[str, Any]]]:
        """The messages of each piece that the server sends at once."""
        for piece in answer.iter_encoded():
            yield list(self.read(piece.decode()))

    def read(self, piece: str) -> Iterator[dict[str, Any]]:
        assert piece.endswith("\n\n") or not piece
        for event in filter(None, piece.split("\n\n")):
            fields = [line.partition(": ")[::2] for line in event.split("\n")]
            for name, value in fields:
                if name == "retry":
                    self.retry = int(value)
                elif name == "data":
                    message = json.loads(value)
                    if message["type"] == "update":
                        self.versions[message["data_type"]] = message["version"]
                    yield message
                else:
                    assert name == "id"
                    # By the end of the event, as a browser does it.
                    self.last_id = value

    def poll(self) -> list[dict[str, Any]]:
        """All that one answer tells, which has to end."""
        with self.connect() as answer:
            return [message for piece in self.pieces(answer) for message in piece]


def update(data_type: str, version: str) -> dict[str, str]:
    return {"type": "update", "data_type": data_type, "version": version}


@pytest.mark.timeout(60)
def test_a_worker_that_serves_one_request_at_a_time_is_not_taken(root: Path) -> None:
    version = save_with_version(root / DOCUMENTS["tanks"], 1)
    client = Client(make_app(root, OASIS_DATA_STREAM_RETRY=2.5), threads=False)
    # The answer ends, with the state.
    told = client.poll()
    assert told == [
        TOLD,
        update("tanks", version),
        update("plant", MISSING),
        update("tänks", MISSING),
    ]
    assert client.retry == 2500


def test_who_comes_back_is_told_exactly_what_differs(root: Path) -> None:
    app = make_app(root)
    client = Client(app, threads=False)
    client.poll()
    assert client.poll() == [TOLD]
    version = save_with_version(root / DOCUMENTS["tänks"], 1)
    assert client.poll() == [TOLD, update("tänks", version)]
    assert client.poll() == [TOLD]
    delete_json_atomic(root / DOCUMENTS["tänks"])
    # Another worker, which knows nothing of this client.
    client.app = make_app(root)
    assert client.poll() == [TOLD, update("tänks", MISSING)]
    for strange in ("", "...", "x" * 5000, "ü", "tanks"):
        client.last_id = strange
        assert len(client.poll()) == 4


def test_named_types_alone_are_told(root: Path) -> None:
    app = make_app(root)
    assert Client(app, "/stream/tanks", threads=False).poll() == [TOLD, update("tanks", MISSING)]
    named = Client(app, "/stream?type=plant&type=tanks&type=plant", threads=False)
    assert named.poll() == [TOLD, update("tanks", MISSING), update("plant", MISSING)]
    save_json_atomic(root / DOCUMENTS["tänks"], 1)
    assert named.poll() == [TOLD]
    for address in ("/stream/none", "/stream?type=tanks&type=none"):
        answer = Client(app, address).connect()
        assert (answer.status_code, answer.get_json()["error"]) == (400, "Unknown data type")


@pytest.mark.files("a store has no symlinks")
def test_no_version_is_told_of_what_lies_outside(root: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside.json"
    version = save_with_version(outside, "secret")
    inside = save_with_version(root / DOCUMENTS["tanks"], "known")
    client = Client(make_app(root), threads=False)
    client.poll()
    # After the stream has begun: each change is looked at anew.
    (root / DOCUMENTS["plant"]).symlink_to(outside)
    (root / DOCUMENTS["tänks"]).symlink_to(root / DOCUMENTS["tanks"])
    assert client.poll() == [TOLD, update("tänks", inside)]
    other = Client(make_app(root), threads=False)
    assert version not in json.dumps(other.poll())
    assert Client(client.app, "/stream/plant").connect().status_code == 500


def test_the_stream_passes_proxies(root: Path) -> None:
    with Client(make_app(root), threads=False).connect() as answer:
        assert answer.status_code == 200
        assert answer.mimetype == "text/event-stream"
        assert answer.headers["Cache-Control"] == "no-cache, no-transform"
        assert answer.headers["X-Accel-Buffering"] == "no"
        assert "Content-Length" not in answer.headers
    assert make_app(root).test_client().head("/stream").data == b""


def test_each_change_is_told_as_it_comes(root: Path) -> None:
    client = Client(make_app(root))
    with closing(client.connect()) as answer:
        pieces = client.pieces(answer)
        assert next(pieces) == [TOLD]
        assert len(next(pieces)) == 3
        for number in range(5):
            version = save_with_version(root / DOCUMENTS["tanks"], number)
            assert next(pieces) == [update("tanks", version)]


def test_a_batch_is_told_in_one_piece_that_counts_as_seen_at_its_end(root: Path) -> None:
    client = Client(make_app(root))
    with closing(client.connect()) as answer:
        pieces = answer.iter_encoded()
        for _ in range(2):
            list(client.read(next(pieces).decode()))
        before = client.last_id
        save_many_atomic({root / DOCUMENTS[name]: 1 for name in ("tanks", "plant")})
        piece = next(pieces).decode()
    first, second, rest = piece.split("\n\n")
    assert rest == ""
    # Cut off in between, the client comes back with the id of the state before.
    list(client.read(first + "\n\n"))
    assert client.last_id == before
    resumed = Client(client.app, threads=False)
    resumed.last_id = before
    assert [message.get("data_type") for message in resumed.poll()] == [None, "tanks", "plant"]
    list(client.read(second + "\n\n"))
    assert client.last_id != before


def test_silence_is_broken_by_heartbeats(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_stream, "HEARTBEAT", 0.1)
    client = Client(make_app(root), "/stream/tanks")
    with closing(client.connect()) as answer:
        pieces = client.pieces(answer)
        next(pieces), next(pieces)
        started = time.monotonic()
        assert next(pieces) == next(pieces) == [{"type": "heartbeat"}]
        assert time.monotonic() - started >= 0.2
        # What is told of other types is silence to this client.
        stop = threading.Event()
        saver = threading.Thread(target=keep_saving, args=(root / DOCUMENTS["plant"], stop))
        saver.start()
        try:
            assert next(pieces) == next(pieces) == [{"type": "heartbeat"}]
        finally:
            stop.set()
            saver.join()


def keep_saving(path: Path, stop: threading.Event) -> None:
    number = 0
    while not stop.is_set():
        number += 1
        save_json_atomic(path, number, backup=False)


def test_places_are_counted(root: Path) -> None:
    app = make_app(root, OASIS_DATA_STREAMS=2)
    clients = [Client(app) for _ in range(2)]
    answers = [client.connect() for client in clients]
    for client, answer in zip(clients, answers, strict=True):
        pieces = client.pieces(answer)
        next(pieces), next(pieces)
    # There is no place for a third: it is told the state, and comes back.
    assert len(Client(app).poll()) == 4
    answers[0].close()
    third = Client(app)
    with closing(third.connect()) as answer:
        pieces = third.pieces(answer)
        next(pieces), next(pieces)
        version = save_with_version(root / DOCUMENTS["plant"], 1)
        assert next(pieces) == [update("plant", version)]
    answers[1].close()
    # Who never was sent anything holds no place.
    for _ in range(3):
        Client(app).connect().close()
    assert_stays(app)


def assert_stays(app: Flask) -> None:
    client = Client(app)
    with closing(client.connect()) as answer:
        pieces = client.pieces(answer)
        next(pieces), next(pieces)
        save_json_atomic(app.config["OASIS_DATA_ROOT"] + "/plant.json", time.time())
        assert next(pieces)


class Listener(threading.Thread):
    """A client in a thread of its own, until it has seen a version."""

    def __init__(self, feed: _stream.Feed, last: str) -> None:
        super().__init__(daemon=True)
        self._feed = feed
        self._last = last
        self.seen = 0

    def run(self) -> None:
        versions = self._feed.now()
        while versions["plant"] != self._last:
            versions = self._feed.after(versions, 30)
            self.seen += 1


@pytest.fixture
def feed(root: Path) -> _stream.Feed:
    return _stream.Feed(DocumentCatalogue(root, DOCUMENTS))


def test_one_client_looks_for_all(
    feed: _stream.Feed, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks = []
    look = _stream.Feed._look

    def count(self: _stream.Feed) -> None:
        looks.append(1)
        look(self)

    monkeypatch.setattr(_stream.Feed, "_look", count)
    path = root / DOCUMENTS["plant"]
    last = save_with_version(path, "last")
    save_json_atomic(path, "first")
    listeners = [Listener(feed, last) for _ in range(20)]
    for listener in listeners:
        listener.start()
    while len(looks) < 20 + 10:
        time.sleep(0.01)
    started, before = time.monotonic(), len(looks)
    time.sleep(1)
    each = (time.monotonic() - started) / _stream.INTERVAL
    assert len(looks) - before <= each + 2
    save_json_atomic(path, "last")
    for listener in listeners:
        listener.join(20)
        assert not listener.is_alive()
        assert listener.seen
    # Nobody listens, and nobody looks.
    before = len(looks)
    time.sleep(4 * _stream.INTERVAL)
    assert len(looks) == before


def test_when_the_client_that_looks_goes_another_one_looks(feed: _stream.Feed, root: Path) -> None:
    path = root / DOCUMENTS["plant"]
    last = save_with_version(path, "last")
    save_json_atomic(path, "first")
    versions = feed.now()
    goes = threading.Thread(target=feed.after, args=(versions, 0.3))
    goes.start()
    while not feed._is_watched:
        time.sleep(0.001)
    stays = Listener(feed, last)
    stays.start()
    goes.join()
    save_json_atomic(path, "last")
    stays.join(10)
    assert not stays.is_alive()


@pytest.mark.files("a store has no folders")
def test_a_failed_look_is_told_to_the_client_that_looks(
    root: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (root / DOCUMENTS["plant"]).mkdir()
    client = Client(make_app(root))
    _, told = client.poll()
    assert told["type"] == "error"
    assert told["error_id"] in caplog.text
    assert str(root) not in json.dumps(told)
    assert client.retry == 10_000
    (root / DOCUMENTS["plant"]).rmdir()
    assert_stays(client.app)


@pytest.mark.files("a store has no folders")
def test_a_failed_look_keeps_the_others_waiting_for_no_longer(
    feed: _stream.Feed, root: Path
) -> None:
    path = root / DOCUMENTS["plant"]
    last = save_with_version(path, "last")
    save_json_atomic(path, "first")
    errors: list[Exception] = []

    def look() -> None:
        try:
            feed.after(feed.now(), 30)
        except Exception as error:
            errors.append(error)

    looks = threading.Thread(target=look)
    looks.start()
    while not feed._is_watched:
        time.sleep(0.001)
    path.unlink()
    path.mkdir()
    looks.join()
    assert len(errors) == 1
    path.rmdir()
    save_json_atomic(path, "last")
    listener = Listener(feed, last)
    listener.start()
    listener.join(10)
    assert not listener.is_alive()


@pytest.mark.parametrize(
    "setting",
    [
        {"OASIS_DATA_STREAMS": -1},
        {"OASIS_DATA_STREAMS": "many"},
        {"OASIS_DATA_STREAM_RETRY": -0.1},
        {"OASIS_DATA_STREAM_RETRY": float("nan")},
        {"OASIS_DATA_STREAM_RETRY": None},
    ],
)
def test_settings_that_cannot_be_are_told_at_once(root: Path, setting: dict[str, Any]) -> None:
    (name,) = setting
    with pytest.raises(ValueError, match=name):
        make_app(root, **setting)


def test_a_catalogue_of_nothing_is_silent(root: Path) -> None:
    assert Client(make_app(root, OASIS_DATA_DOCUMENTS={}), threads=False).poll() == [TOLD]


def test_a_large_catalogue_is_told_anew_to_who_comes_back(root: Path) -> None:
    documents = {f"type{number}": f"{number}.json" for number in range(1000)}
    client = Client(make_app(root, OASIS_DATA_DOCUMENTS=documents), threads=False)
    assert len(client.poll()) == 1001
    # An id of that length would be refused.
    assert client.last_id == ""
    assert len(client.poll()) == 1001


# From Python 3.12 on, a fork beside threads is warned of.
@pytest.mark.filterwarnings("ignore:.*use of fork:DeprecationWarning")
def test_a_forked_child_streams_beside_clients_of_its_parent(
    feed: _stream.Feed, root: Path
) -> None:
    path = root / DOCUMENTS["plant"]
    last = save_with_version(path, "last")
    save_json_atomic(path, "first")
    listener = Listener(feed, last)
    listener.start()
    while not feed._is_watched:
        time.sleep(0.001)
    child = os.fork()
    if child == 0:
        versions = feed.now()
        save_json_atomic(path, "last")
        os._exit(feed.after(versions, 10)["plant"] != last)
    assert os.waitpid(child, 0)[1] == 0
    listener.join(20)
    assert not listener.is_alive()


def test_the_version_is_the_etag(root: Path) -> None:
    app = make_app(root)
    save_json_atomic(root / DOCUMENTS["tanks"], 1)
    client = Client(app, threads=False)
    client.poll()
    etag = app.test_client().get("/data/tanks").headers["ETag"]
    assert etag == f'"{client.versions["tanks"]}"'
    assert load_with_version(root / DOCUMENTS["tanks"])[1] == client.versions["tanks"]
