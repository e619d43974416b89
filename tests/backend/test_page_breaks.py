"""The example's page in a browser, while its server is killed, away, or serves one at a time."""

from __future__ import annotations

import json
import os
import signal
import socket
from pathlib import Path

from api import DATA_FILES

from oasis_data import load_data_file, save_json_atomic

from .browser import LARGER, LARGEST, PLANT, Open, put
from .conftest import BACKEND
from .servers import STREAMING, serve, serve_bad_gateway, serve_gunicorn, wait_for


def test_killed_workers_take_no_stream_along(root: Path, tmp_path: Path, open_window: Open) -> None:
    with serve_gunicorn(BACKEND, root, tmp_path / "log", *STREAMING) as server:
        window = open_window(server)
        window.until_live()
        for capacity in (130, 140):
            before = wait_for(lambda: [w for w in [server.workers()] if len(w) == 2], "workers")[0]
            for worker in before:
                os.kill(worker, signal.SIGKILL)
            wait_for(
                lambda before=before: len(set(server.workers()) - set(before)) == 2,  # type: ignore[misc]
                "other workers",
            )
            put(server, "plant", PLANT | {"capacity": capacity})
            window.until_shown(PLANT | {"capacity": capacity})
            window.until_live()


def test_a_server_that_was_away(root: Path, tmp_path: Path, open_window: Open) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [str(BACKEND / "run.py"), "--data", str(root), "--port", str(port)]
    text = json.dumps(LARGEST)
    with serve(command, log=tmp_path / "one", cwd=tmp_path, env={}):
        window = open_window(port)
        window.until_live()
        window.write(text)
    window.until(lambda: window.state == "lost", "the loss")
    window.click("save")
    window.until(lambda: window.text("notice").startswith("The server did not answer"), "an error")
    assert window.content == text
    with serve_bad_gateway(port, tmp_path / "gateway") as server:
        wait_for(lambda: "/api/stream" in server.log.read_text(), "the stream to be refused")
    save_json_atomic(root / DATA_FILES["crudes"], {})
    with serve(command, log=tmp_path / "two", cwd=tmp_path, env={}):
        window.until_live()
        window.click("save")
        window.until(lambda: window.text("notice") == "Saved.", "the save")
        window.link("crudes").click()
        window.until_shown({})
    assert load_data_file(root / DATA_FILES["plant"]) == LARGEST


def test_a_worker_that_serves_one_at_a_time(root: Path, tmp_path: Path, open_window: Open) -> None:
    """The stream ends each time, and the page polls; that is as good as live."""
    with serve_gunicorn(BACKEND, root, tmp_path / "log", "--workers", "1") as server:
        window = open_window(server)
        window.until_live()
        put(server, "plant", LARGER)
        window.until_shown(LARGER)
        put(server, "plant", LARGEST)
        window.until_shown(LARGEST)
        assert window.state == "live"
