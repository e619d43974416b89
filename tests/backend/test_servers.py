"""The example under the servers that it is run with."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path
from urllib.request import urlopen

import pytest

from .concurrency import CLIENTS, DATA_TYPE, READS, SAVES, Crowd, find_violations, read_number
from .conftest import BACKEND
from .servers import WORKERS, Server, open_files, serve, serve_flask, serve_gunicorn, wait_for

KILLS = 50
SAVERS = 5
READERS = 2
PATIENCE = 100.0
THREADS = ["--worker-class", "gthread", "--threads", "4"]
SERVERS: dict[str, Callable[[Path, Path], AbstractContextManager[Server]]] = {
    "flask": lambda data, log: serve_flask(BACKEND, data, log),
    "gunicorn-sync": lambda data, log: serve_gunicorn(BACKEND, data, log),
    "gunicorn-gthread": lambda data, log: serve_gunicorn(BACKEND, data, log, *THREADS),
}


@pytest.mark.parametrize("kind", SERVERS)
def test_every_read_is_whole_and_fresh(kind: str, root: Path, tmp_path: Path) -> None:
    with SERVERS[kind](root, tmp_path / "server.log") as server:
        crowd = Crowd(server.port)
        crowd.drive()
        assert find_violations(crowd.history) == []
        assert len(crowd.history.saves) == SAVES + 1
        assert len(crowd.history.reads) == READS
        if kind != "flask":
            assert len(server.workers_that_answered()) == WORKERS
    check_folder(root / "dynamic_data")


@pytest.mark.parametrize("options", [[], THREADS], ids=["sync", "gthread"])
def test_killed_workers_lose_no_acknowledged_save(
    options: list[str], root: Path, tmp_path: Path
) -> None:
    with serve_gunicorn(BACKEND, root, tmp_path / "server.log", *options) as server:
        crowd = Crowd(server.port)
        crowd.begin()
        stop = threading.Event()
        threads = [
            threading.Thread(target=keep_on, args=(crowd, stop, n < SAVERS))
            for n in range(SAVERS + READERS)
        ]
        for thread in threads:
            thread.start()
        try:
            kill_savers(server, crowd, root)
        finally:
            stop.set()
            for thread in threads:
                thread.join()
        wait_for(lambda: len(server.workers()) == WORKERS, "the workers to be back")
        # Each with a connection of its own, to meet the new workers too.
        for _ in range(CLIENTS):
            client = crowd.client()
            assert client.read()
            client.close()
        # Whoever saves next sweeps what the killed have left.
        client = crowd.client()
        assert client.save()
        assert client.read()
        client.close()
        assert find_violations(crowd.history) == []
    check_folder(root / "dynamic_data")


def keep_on(crowd: Crowd, stop: threading.Event, saving: bool) -> None:
    """Saves, or reads, until told to stop; a server that dies over it is met again."""
    client = crowd.client()
    while not stop.is_set():
        if saving:
            client.save()
        else:
            client.read()
    client.close()


def kill_savers(server: Server, crowd: Crowd, root: Path) -> None:
    """Kills workers in the middle of saving, until as many saves were cut off."""
    kills = 0
    deadline = time.monotonic() + PATIENCE
    while kills < KILLS or crowd.history.interrupted < KILLS:
        assert time.monotonic() < deadline, f"{crowd.history.interrupted} saves cut off"
        wait_for(lambda: len(server.workers()) == WORKERS, "the workers to be back")
        victim = wait_for(lambda: find_saver(server, root), "a worker that saves")
        os.kill(victim, signal.SIGKILL)
        kills += 1
        wait_for(partial(has_ended, server, victim), "the worker to be gone")


def find_saver(server: Server, root: Path) -> int | None:
    """A worker that has a temporary file open, so that it is between the lock and the rename."""
    temporary = str(root / "dynamic_data" / ".oasis_data" / "temp") + os.sep
    for pid in server.workers():
        if any(path.startswith(temporary) for path in open_files(pid)):
            return pid
    return None


def has_ended(server: Server, pid: int) -> bool:
    return pid not in server.workers()


def check_folder(folder: Path) -> None:
    """Nothing lies about: whole documents, whole backups, and no temporary files."""
    read_number((folder / f"{DATA_TYPE}.json").read_bytes())
    assert list((folder / ".oasis_data" / "temp").iterdir()) == []
    for path in folder.iterdir():
        if path.name != ".oasis_data":
            assert path.suffix == ".json" or ".json.backup." in path.name, path.name
            json.loads(path.read_bytes())


def test_the_metrics_add_up_and_go_with_the_run(root: Path, tmp_path: Path) -> None:
    with serve_gunicorn(BACKEND, root, tmp_path / "server.log") as server:
        crowd = Crowd(server.port)
        crowd.drive(saves=40, reads=200)
        with urlopen(f"http://127.0.0.1:{server.port}/metrics") as response:
            metrics = response.read().decode()
        (folder,) = tmp_path.glob("backend-metrics-*")
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(timeout=60) == 0
    saves, unchanged = (
        re.search(rf"^oasis_data_{name}_total (\d+)\.0$", metrics, re.MULTILINE)
        for name in ("saves", "unchanged_saves")
    )
    assert saves
    assert int(saves[1]) == len(crowd.history.saves)
    assert unchanged
    assert not folder.exists()


def test_a_log_is_kept_where_it_is_told(root: Path, tmp_path: Path) -> None:
    logs = tmp_path / "logs"
    with serve_gunicorn(BACKEND, root, tmp_path / "server.log", "--env", f"LOGS={logs}") as server:
        crowd = Crowd(server.port)
        crowd.drive(saves=40, reads=40)
    lines = (logs / "data_operations.log").read_text().splitlines()
    told = [line for line in lines if "Data operation done: save on" in line]
    assert len(told) == len(crowd.history.saves)
    assert all("version=" in line and "tanks.json" in line for line in told)


def test_run_serves_a_scratch_copy_until_ctrl_c(tmp_path: Path) -> None:
    env = {"TMPDIR": str(tmp_path), "PORT": "0"}
    with serve([str(BACKEND / "run.py")], log=tmp_path / "log", cwd=tmp_path, env=env) as server:
        with urlopen(f"http://127.0.0.1:{server.port}/api/data/plant") as response:
            plant = json.load(response)
        server.process.send_signal(signal.SIGINT)
        assert server.process.wait(timeout=30) == 0
        printed = server.log.read_text()
    assert plant == json.loads((BACKEND / "sample_data/static_data/plant.json").read_bytes())
    assert f"Data: {tmp_path}" in printed
    assert f"Open http://127.0.0.1:{server.port}/ in two windows" in printed
    assert "Traceback" not in printed
    assert "`PORT=8080 make run` serves on another port" in printed


def test_run_serves_the_folder_it_is_given(root: Path, tmp_path: Path) -> None:
    (root / "static_data" / "plant.json").write_text('{"name": "Given"}')
    command = [str(BACKEND / "run.py"), "--data", str(root), "--port", "0"]
    with (
        serve(command, log=tmp_path / "log", cwd=tmp_path, env={}) as server,
        urlopen(f"http://127.0.0.1:{server.port}/api/data/plant") as response,
    ):
        assert json.load(response) == {"name": "Given"}


def run_on(port: str, tmp_path: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, BACKEND / "run.py"],
        env=os.environ | {"TMPDIR": str(tmp_path), "PORT": port},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def test_run_says_how_to_have_another_port(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = str(other.getsockname()[1])
        for taken, why in ((port, "Address already in use"), ("99999", "port must be 0-65535")):
            done = run_on(taken, tmp_path)
            assert done.returncode == 1
            assert f"Cannot serve on port {taken}: " in done.stderr
            assert why in done.stderr
            assert "PORT=0 make run" in done.stderr
            assert "Traceback" not in done.stderr
    assert list(tmp_path.iterdir()) == []
