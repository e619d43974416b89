"""PgBouncer between the clients and the server."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from socket import create_connection

import pytest

from oasis_data import (
    configure,
    edit_json,
    list_backups,
    load_data_file,
    load_many,
    save_json_atomic,
    save_many_atomic,
)
from tests.backend.servers import wait_for
from tests.conftest import require_programs
from tests.postgres.appends import DOCUMENTS, DONE, clients, histories, judge
from tests.postgres.fixtures import APPLICATION, URL_OPTIONS, Store, map_folder
from tests.postgres.server import DATABASE, HOST, Server, free_port

CONNECTIONS = 3
"""How many connections the pooler has to the server: fewer than there are clients."""


def answers(port: int) -> bool:
    try:
        create_connection((HOST, port), 1).close()
    except ConnectionRefusedError:
        return False
    return True


@contextmanager
def pooler(server: Server, mode: str, connections: int = CONNECTIONS) -> Iterator[int]:
    """A PgBouncer before the server; gives its port."""
    require_programs("pgbouncer")
    port, password = free_port(), server.passwords[APPLICATION]
    users, settings, log = (server.folder / name for name in ("users.txt", "pooler.ini", "pooler"))
    server.write(users, f'"{APPLICATION}" "{password}"\n')
    server.write(
        settings,
        f"[databases]\n{DATABASE} = host={HOST} port={server.port}\n[pgbouncer]\n"
        f"listen_addr = {HOST}\nlisten_port = {port}\nunix_socket_dir =\n"
        f"auth_type = scram-sha-256\nauth_file = {users}\n"
        f"pool_mode = {mode}\ndefault_pool_size = {connections}\n",
    )
    process = server.begin([str(shutil.which("pgbouncer")), str(settings)], log)
    try:
        wait_for(lambda: process.poll() is not None or answers(port), "PgBouncer answers")
        assert process.poll() is None, log.read_text()
        yield port
    finally:
        process.kill()
        process.wait()


def url(store: Store, port: int, prepare: str) -> str:
    options = {"prepare": prepare} if prepare else {}
    return store.server.url(APPLICATION, port=port, schema=store.schema, **URL_OPTIONS, **options)


# Empty: the URL says nothing.
MODES = pytest.mark.parametrize(
    ("mode", "prepare"),
    [("session", ""), ("session", "on"), ("transaction", ""), ("transaction", "off")],
)


def use(folder: Path) -> None:
    """Uses most of what a store does."""
    path, other = folder / "tanks.json", folder / "vessels.json"
    save_json_atomic(path, {"level": 1})
    with edit_json(path) as document:
        document["level"] += 1
    save_many_atomic({path: {"level": 3}, other: [1]})
    assert load_data_file(path) == {"level": 3}
    assert load_many([path, other]) == [{"level": 3}, [1]]
    assert len(list_backups(path)) == 2


@MODES
def test_every_call_goes_through_a_pooler(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mode: str, prepare: str
) -> None:
    with pooler(store.server, mode) as port:
        map_folder(tmp_path / "stored", url(store, port, prepare), monkeypatch)
        use(tmp_path / "stored")
        configure(stores={})


@MODES
def test_nothing_is_lost_through_a_pooler(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mode: str, prepare: str
) -> None:
    folder = tmp_path / "stored"
    # In session mode a connection belongs to a client until the client goes.
    count = CONNECTIONS if mode == "session" else 2 * CONNECTIONS
    with pooler(store.server, mode) as port:
        map_folder(folder, url(store, port, prepare), monkeypatch)
        for name in DOCUMENTS:
            save_json_atomic(folder / name, [])
        configure(stores={})
        with clients(folder, count, 20, [dict(os.environ)]) as processes:
            events = histories(processes)
    map_folder(folder, store.url(), monkeypatch)
    assert judge(events, {name: load_data_file(folder / name) for name in DOCUMENTS}) == []
    assert sum(event.outcome == DONE and bool(event.appended) for event in events) > 10


@pytest.mark.parametrize("prepare", ["", "on"])
def test_clients_that_share_a_session_share_no_names(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, prepare: str
) -> None:
    folder = tmp_path / "stored"
    with pooler(store.server, "transaction", connections=1) as port:
        map_folder(folder, url(store, port, prepare), monkeypatch)
        # Two processes, one after the other: each counts its names from the first.
        code = (
            "import pathlib, sys\nfrom tests.postgres.test_pooler import use\n"
            "use(pathlib.Path(sys.argv[1]))"
        )
        first, second = (
            subprocess.run(
                [sys.executable, "-c", code, str(folder / name)],
                capture_output=True,
                text=True,
                check=False,
            )
            for name in ("first", "second")
        )
    configure(stores={})
    assert first.returncode == 0, first.stderr
    if prepare:
        # The session went to the next client with the statements in it.
        assert "add prepare=off to the store's URL" in second.stderr
    else:
        assert second.returncode == 0, second.stderr
