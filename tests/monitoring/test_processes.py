"""Metrics that add up over processes."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import pytest

from oasis_data import monitoring, save_json_atomic
from oasis_data.monitoring import exposition, publish
from tests.backend.servers import WORKERS, Server, serve, wait_for
from tests.conftest import python
from tests.monitoring.samples import at, samples, scrape


@pytest.fixture
def backend(tmp_path: Path) -> Iterator[Server]:
    (tmp_path / "data").mkdir()
    (tmp_path / "metrics").mkdir()
    (tmp_path / "app.py").write_text(APP)
    command = ["-m", "gunicorn", "--bind", "127.0.0.1:0", "--workers", str(WORKERS)]
    command += ["--worker-class", "gthread", "--threads", "2", "--no-control-socket"]
    command += ["--preload", "app:app"]
    env = {
        "DATA": str(tmp_path / "data"),
        "PROMETHEUS_MULTIPROC_DIR": str(tmp_path / "metrics"),
    }
    with serve(command, log=tmp_path / "log", cwd=tmp_path, env=env) as server:
        yield server


APP = """
import os
from flask import Flask, jsonify
from oasis_data import load_data_file, save_json_atomic
from oasis_data.flask import OasisData, get_data_file_path

data = OasisData()
app = Flask(__name__)
app.config.update(
    OASIS_DATA_ROOT=os.environ["DATA"],
    OASIS_DATA_DOCUMENTS={"tanks": "tanks.json", "broken": "broken.json"},
    OASIS_DATA_METRICS_PATH="/metrics",
)
data.init_app(app)
app.get("/data/<data_type>")(data.get_document)
app.put("/data/<data_type>")(data.put_document)

@app.get("/load/<data_type>")
def load(data_type):
    document = load_data_file(get_data_file_path(data_type))
    return jsonify({"pid": os.getpid(), "document": document})

# By the process that the workers are forked from: it must not become theirs too.
with app.app_context():
    save_json_atomic(get_data_file_path("tanks"), "first")
    load_data_file(get_data_file_path("tanks"))
"""


def request(server: Server, path: str, method: str = "GET", content: object = None) -> bytes:
    body = None if method == "GET" else json.dumps(content).encode()
    sent = Request(
        f"http://127.0.0.1:{server.port}{path}",
        data=body,
        method=method,
        headers={"Content-Type": "application/json", "Connection": "close"},
    )
    with urlopen(sent, timeout=60) as answer:
        read: bytes = answer.read()
    return read


def drive(server: Server, saves: int, loads: int) -> set[int]:
    """Four clients at once; returns the workers that answered."""
    pids: set[int] = set()

    def client(number: int) -> None:
        for count in range(saves):
            request(server, "/data/tanks", "PUT", f"{number} {count} {'x' * 100}")
        for _ in range(loads):
            pids.add(json.loads(request(server, "/load/tanks"))["pid"])
            request(server, "/load/broken")

    clients = [threading.Thread(target=client, args=(number,)) for number in range(4)]
    for each in clients:
        each.start()
    for each in clients:
        each.join()
    return pids


def test_totals_of_four_workers_are_exact_in_one_scrape(backend: Server, tmp_path: Path) -> None:
    (tmp_path / "data" / "broken.json").write_text("{")
    workers: set[int] = set()
    rounds = 0
    while len(workers) < WORKERS:
        assert rounds < 20
        workers |= drive(backend, saves=5, loads=20)
        rounds += 1

    found = samples(request(backend, "/metrics").decode())

    # One more save and load by the process that the workers were forked from.
    saves, loads = 20 * rounds + 1, 80 * rounds
    assert at(found, "oasis_data_saves_total") == saves
    assert (
        at(found, "oasis_data_hits_total") + at(found, "oasis_data_misses_total") == 2 * loads + 1
    )
    corrupt = at(found, "oasis_data_failures_total", operation="read", kind="CorruptFileError")
    assert corrupt == loads
    count = at(found, "oasis_data_operation_seconds_count", operation="write")
    assert count == saves
    assert at(found, "oasis_data_operation_seconds_bucket", operation="write", le="+Inf") == saves
    texts = [json.dumps(f"{number} {each} {'x' * 100}") for number in range(4) for each in range(5)]
    written = rounds * sum(map(len, texts)) + len('"first"')
    assert at(found, "oasis_data_bytes_written_total") == written
    # What each worker has, and the process that they were forked from; documents once.
    assert 1 <= at(found, "oasis_data_cache_entries") <= WORKERS + 1
    assert at(found, "oasis_data_document_backups", document="tanks") == 10
    # Whichever worker is asked tells the same.
    again = samples(request(backend, "/metrics").decode())
    assert at(again, "oasis_data_saves_total") == saves


def test_what_a_worker_counted_stays_when_it_is_gone(backend: Server) -> None:
    drive(backend, saves=5, loads=5)
    before = set(backend.workers())
    for pid in before:
        os.kill(pid, 9)
    wait_for(lambda: not before & set(backend.workers()), "the workers to be gone")
    wait_for(lambda: len(backend.workers()) == WORKERS, "new workers")

    drive(backend, saves=5, loads=5)

    found = samples(request(backend, "/metrics").decode())
    assert at(found, "oasis_data_saves_total") == 41


def test_a_program_publishes_by_itself(tmp_path: Path) -> None:
    printed = python(
        """
import os, sys
os.environ["PROMETHEUS_MULTIPROC_DIR"] = sys.argv[1]
from oasis_data import save_json_atomic
from oasis_data.monitoring import exposition, publish
def work(count):
    for number in range(count):
        save_json_atomic(os.path.join(sys.argv[1], "tanks.json"), number)
        publish()
work(3)
for count in (4, 5):
    if not os.fork():
        work(count)
        os._exit(0)
    os.wait()
work(2)
print(exposition()[0].decode())
""",
        tmp_path,
    )

    found = samples(printed)
    assert at(found, "oasis_data_saves_total") == 3 + 4 + 5 + 2
    assert at(found, "oasis_data_operation_seconds_count", operation="write") == 14


def test_a_folder_that_is_set_too_late_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", "anywhere")
    for ask in (publish, exposition):
        with pytest.raises(RuntimeError, match="before the program starts"):
            ask()


def test_a_signal_handler_may_publish_while_its_thread_publishes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    published = monitoring._Published()
    amounts = monitoring._amounts
    calls = 0

    def interrupted(counted: Any) -> Any:
        nonlocal calls
        calls += 1
        published.bring_up_to_date()
        published.before_fork()
        published.after_fork_in_parent()
        return amounts(counted)

    monkeypatch.setattr(monitoring, "_amounts", interrupted)
    publishing = threading.Thread(target=published.bring_up_to_date, daemon=True)
    publishing.start()
    publishing.join(timeout=30)
    assert not publishing.is_alive()
    assert calls == 1
    assert published._amounts


def test_alone_there_is_nothing_to_publish(tmp_path: Path) -> None:
    save_json_atomic(tmp_path / "tanks.json", 1)
    before = scrape()
    publish()
    assert at(scrape(), "oasis_data_saves_total") == at(before, "oasis_data_saves_total")
