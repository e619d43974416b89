"""The example backend over a database: as it is started, and under many clients."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.request import urlopen

from tests.backend.concurrency import Crowd, find_violations
from tests.backend.conftest import BACKEND
from tests.backend.servers import serve, serve_gunicorn
from tests.conftest import require
from tests.postgres.fixtures import OWNER, Store
from tests.postgres.server import find_programs


def test_run_postgres_makes_a_server_and_removes_it(tmp_path: Path) -> None:
    require(find_programs(), "needs PostgreSQL (Debian: apt-get install postgresql)")
    env = {"PORT": "0", "PYTHONPATH": os.getcwd()}
    command = ["-m", "tests.postgres.example"]
    with serve(command, log=tmp_path / "log", cwd=tmp_path, env=env) as server:
        with urlopen(f"http://127.0.0.1:{server.port}/api/data/plant") as response:
            plant = json.load(response)
        os.killpg(server.process.pid, signal.SIGINT)
        assert server.process.wait(timeout=60) == 0
        printed = server.log.read_text()
    assert plant == json.loads((BACKEND / "sample_data/static_data/plant.json").read_bytes())
    assert "Made a private server" in printed
    assert "Traceback" not in printed
    (folder,) = re.findall(r"its data in (\S+),", printed)
    assert not Path(folder).exists()


def test_run_serves_the_store_it_is_given(store: Store, tmp_path: Path) -> None:
    env = {"PORT": "0", "STORE": store.url(OWNER)}
    for _ in range(2):
        with serve(
            [str(BACKEND / "run.py")], log=tmp_path / "log", cwd=tmp_path, env=env
        ) as server:
            with urlopen(f"http://127.0.0.1:{server.port}/api/data/plant") as response:
                plant = json.load(response)
            # The rules hold in the store too.
            refused, answer, _ = request(server.port, "PUT", {"North1": {"capacity": -5}})
            assert (refused, answer["faults"][0]["document"]) == (422, "tanks.json")
            server.process.send_signal(signal.SIGINT)
            assert server.process.wait(timeout=30) == 0
    assert plant == json.loads((BACKEND / "sample_data/static_data/plant.json").read_bytes())
    # Number 0 is a row that locks a group of documents.
    statement = "SELECT count(*), max(number) FROM document WHERE number > 0"
    assert store.connection.execute(statement).fetchone() == (11, 1)
    assert [each.name for each in tmp_path.iterdir()] == ["log"]
    assert f"Data: {BACKEND}, in the store" in (tmp_path / "log").read_text()


def test_run_says_why_a_store_cannot_be_used(store: Store, tmp_path: Path) -> None:
    url = store.server.url(OWNER, schema="nothing_there", sslmode="disable")
    ran = subprocess.run(
        [sys.executable, str(BACKEND / "run.py")],
        env=os.environ | {"PORT": "0", "STORE": url},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 1
    assert ran.stderr.startswith("The store cannot be used: ")
    assert "run `oasis-data init`" in ran.stderr
    assert "Traceback" not in ran.stderr


def test_two_hosts_of_two_workers_are_one_backend_to_eight_clients(
    store: Store, tmp_path: Path
) -> None:
    # Each host has a folder of its own, of another name: only the store is the same.
    options = ("--workers", "2", "--env", f"STORE={store.url()}")
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    with (
        serve_gunicorn(BACKEND, tmp_path / "one", tmp_path / "one.log", *options) as one,
        serve_gunicorn(BACKEND, tmp_path / "two", tmp_path / "two.log", *options) as two,
    ):
        crowd = Crowd(one.port, two.port)
        crowd.drive()
        answered = [server.workers_that_answered() for server in (one, two)]
    assert crowd.history.broken == []
    assert find_violations(crowd.history) == []
    assert [len(workers) for workers in answered] == [2, 2]


def test_editors_on_two_hosts_with_etags_lose_no_edit(store: Store, tmp_path: Path) -> None:
    options = ("--workers", "2", "--env", f"STORE={store.url()}")
    (tmp_path / "data").mkdir()
    with (
        serve_gunicorn(BACKEND, tmp_path / "data", tmp_path / "one.log", *options) as one,
        serve_gunicorn(BACKEND, tmp_path / "data", tmp_path / "two.log", *options) as two,
    ):
        ports = [one.port, two.port] * 4
        request(ports[0], "PUT", {"edits": []})
        with ThreadPoolExecutor(len(ports)) as editors:
            done = list(editors.map(edit_by_etag, ports, range(len(ports))))
        _, document, _ = request(ports[0], "GET")
    assert sorted(document["edits"]) == sorted(word for words in done for word in words)
    assert all(len(words) == EDITS for words in done)


EDITS = 6


def edit_by_etag(port: int, number: int) -> list[str]:
    """Appends words as an editor does: reads, changes, and saves what nobody else changed."""
    words = [f"{number}-{round_}" for round_ in range(EDITS)]
    for word in words:
        status = 412
        while status == 412:
            _, document, tag = request(port, "GET")
            document["edits"].append(word)
            status, _, _ = request(port, "PUT", document, tag)
        assert status == 200
    return words


def request(port: int, method: str, body: Any = None, tag: str = "") -> tuple[int, Any, str]:
    connection = HTTPConnection("127.0.0.1", port, timeout=60)
    headers = {"Content-Type": "application/json"} | ({"If-Match": tag} if tag else {})
    text = None if body is None else json.dumps(body)
    connection.request(method, "/api/data/tanks", text, headers)
    answer = connection.getresponse()
    content = answer.read()
    connection.close()
    return answer.status, json.loads(content or b"null"), answer.headers.get("ETag", "")
