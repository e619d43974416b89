"""A host that falls off the network, a disk that is full, a pooler, an old server, forks."""

from __future__ import annotations

import errno
import json
import os
import secrets
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from oasis_data import (
    StorageReadError,
    StorageWriteError,
    clear_all_cache,
    configure,
    edit_json,
    load_data_file,
    load_many,
    save_json_atomic,
    save_many_atomic,
)
from tests.conftest import require, require_mounts, require_programs
from tests.postgres.fixtures import APPLICATION, OWNER, Store, make_store, map_folder
from tests.postgres.proxy import CLIENT, Proxy, proxy_of
from tests.postgres.server import HOST, Server
from tests.postgres.test_failures import EDITOR

# The addresses of this host and of the other, on a cable between them.
HERE, THERE = "198.51.100.1", "198.51.100.2"


@contextmanager
def other_host() -> Iterator[tuple[list[str], str]]:
    """A network namespace: what runs a program there, and this host's end of the cable."""
    require(os.geteuid() == 0, "needs root, to make a network namespace")
    require_programs("ip")
    word = secrets.token_hex(3)
    host, here, there = f"oasis-{word}", f"oh{word}", f"ot{word}"
    made = ip("netns", "add", host)
    require(made.returncode == 0, f"needs network namespaces ({made.stderr.strip()})")
    try:
        made = ip("link", "add", here, "type", "veth", "peer", "name", there, "netns", host)
        require(made.returncode == 0, f"needs virtual cables ({made.stderr.strip()})")
        inside = ("-n", host)
        for command in (
            ("addr", "add", f"{HERE}/30", "dev", here),
            ("link", "set", here, "up"),
            (*inside, "addr", "add", f"{THERE}/30", "dev", there),
            (*inside, "link", "set", there, "up"),
        ):
            assert ip(*command).returncode == 0, command
        yield ["ip", "netns", "exec", host], here
    finally:
        ip("link", "del", here)
        ip("netns", "del", host)


def ip(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["ip", *arguments], capture_output=True, text=True, check=False)


def test_a_host_that_falls_off_the_network_loses_its_lock(
    own_server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = make_store(own_server)
    folder = tmp_path / "stored"
    with other_host() as (there, cable):
        own_server.stop()
        own_server.configure({"listen_addresses": f"{HOST},{HERE}"})
        own_server.start()
        map_folder(folder, store.url(), monkeypatch)
        path = folder / "tanks.json"
        save_json_atomic(path, {"level": 1})
        far = {str(folder): store.url().replace(HOST, HERE)}
        with subprocess.Popen(
            [*there, sys.executable, "-c", EDITOR, path],
            env={**os.environ, "OASIS_DATA_STORES": json.dumps(far)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        ) as editor:
            assert editor.stdout
            assert editor.stderr
            try:
                assert editor.stdout.readline() == "inside\n", editor.stderr.read()
                assert ip("link", "set", cable, "down").returncode == 0
                # The server notices within some seconds that nobody is there any more.
                with edit_json(path, timeout=20) as document:
                    assert document == {"level": 1}
                    document["level"] = 2
                assert ip("link", "set", cable, "up").returncode == 0
                # The host is back, and what it was about to save would undo that.
                _, said = editor.communicate(timeout=60)
            finally:
                editor.kill()
        assert editor.returncode == 1
        assert "JSONWriteError" in said
        assert load_data_file(path, strict=True) == {"level": 2}


def test_a_full_disk_is_told_and_nothing_is_lost(
    own_server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    require_mounts()
    store = make_store(own_server)
    small = own_server.folder / "small"
    small.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=4m,mode=777", "tmpfs", small],
        capture_output=True,
        text=True,
        check=False,
    )
    require(mounted.returncode == 0, f"needs a mount that the server sees ({mounted.stderr})")
    owner = own_server.data.stat()
    os.chown(small, owner.st_uid, owner.st_gid)
    try:
        with store.connect() as superuser:
            superuser.execute(f"CREATE TABLESPACE small LOCATION '{small}'")
            superuser.execute("ALTER TABLE revision SET TABLESPACE small")
        map_folder(tmp_path / "stored", store.url(), monkeypatch)
        path = tmp_path / "stored" / "tanks.json"
        saved = [secrets.token_hex(50_000)]
        with pytest.raises(StorageWriteError, match="the disk of the server is full") as caught:
            for _ in range(100):
                save_json_atomic(path, saved[-1])
                saved.append(secrets.token_hex(50_000))
        assert caught.value.errno == errno.ENOSPC
        assert len(saved) > 1
        clear_all_cache()
        assert load_data_file(path, strict=True) == saved[-2]
        with store.connect() as superuser:
            superuser.execute("ALTER TABLE revision SET TABLESPACE pg_default")
        save_json_atomic(path, saved[-1])
        assert load_data_file(path, strict=True) == saved[-1]
        with store.connect() as superuser:
            superuser.execute("DROP TABLESPACE small")
    finally:
        own_server.stop()
        subprocess.run(["umount", small], check=True)


@pytest.fixture
def proxy(store: Store) -> Iterator[Proxy]:
    with proxy_of(store.server.port) as proxy:
        yield proxy


def use(folder: Path) -> None:
    """Each kind of call."""
    for level in range(2):
        save_json_atomic(folder / "a.json", {"level": level})
    with edit_json(folder / "a.json") as document:
        document["level"] += 1
    save_many_atomic({folder / "a.json": 1, folder / "b.json": 2})
    clear_all_cache()
    assert load_data_file(folder / "a.json", strict=True) == 1
    assert load_many([folder / "a.json", folder / "b.json"]) == [1, 2]


@pytest.mark.parametrize("prepare", ["on", "off"])
def test_a_pooler_sees_statements_with_names_only_where_it_may(
    store: Store, proxy: Proxy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, prepare: str
) -> None:
    folder = tmp_path / "stored"
    map_folder(folder, store.url(port=proxy.port, prepare=prepare), monkeypatch)
    use(folder)
    bodies = [message.body for message in proxy.messages if message.sender == CLIENT]
    kinds = [message.kind for message in proxy.messages if message.sender == CLIENT]
    # A statement is parsed under a name, or under none: that ends where the name ends.
    names = {body.split(b"\0")[0] for kind, body in zip(kinds, bodies, strict=True) if kind == "P"}
    assert (names == {b""}) == (prepare == "off")
    # What is set, is set in a transaction: the session is the pooler's.
    text = b" ".join(bodies)
    assert (b"tcp_user_timeout" in text) == (prepare == "on")
    assert b"SET SESSION" not in text


def test_an_old_server_is_told(
    store: Store, database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # It is this server, which tells the role that it is an old server.
    fake = f"{store.schema}_fake"
    with store.connect() as superuser:
        superuser.execute(f"CREATE SCHEMA {fake}")
        superuser.execute(
            f"CREATE FUNCTION {fake}.current_setting(name text, missing bool) RETURNS text"
            " LANGUAGE SQL AS $$ SELECT CASE WHEN name = 'server_version_num' THEN '120017'"
            " ELSE pg_catalog.current_setting(name, missing) END $$"
        )
        superuser.execute(f"GRANT USAGE ON SCHEMA {fake} TO {APPLICATION}")
        superuser.execute(f"ALTER ROLE {APPLICATION} SET search_path = {fake}, pg_catalog")
    try:
        configure(lock_timeout=1)
        with pytest.raises(StorageReadError, match="PostgreSQL 12, and 13 or later is needed"):
            load_data_file(database / "tanks.json", strict=True)
    finally:
        with store.connect() as superuser:
            superuser.execute(f"ALTER ROLE {APPLICATION} RESET search_path")
            superuser.execute(f"DROP SCHEMA {fake} CASCADE")


def test_forks_in_the_middle_of_everything(store: Store, database: Path) -> None:
    path = database / "count.json"
    save_json_atomic(path, {"count": 0})
    ended = threading.Event()
    raised: list[BaseException] = []

    def repeat(act: Any) -> None:
        try:
            while not ended.is_set():
                act()
        except BaseException as error:
            raised.append(error)

    counted = []

    def add() -> None:
        with edit_json(path, timeout=30) as document:
            document["count"] += 1
        counted.append(1)

    acts = [
        add,
        lambda: load_data_file(path),
        lambda: save_many_atomic({database / "a.json": [1], database / "b.json": [2]}),
    ]
    threads = [threading.Thread(target=repeat, args=(act,)) for act in acts]
    for thread in threads:
        thread.start()
    children = 20
    try:
        for number in range(children):
            child = os.fork()
            if child == 0:
                answer = 1
                try:
                    with edit_json(path, timeout=30) as document:
                        document["count"] += 1
                    own = database / f"child{number}.json"
                    save_json_atomic(own, number)
                    answer = int(load_data_file(own) != number)
                finally:
                    os._exit(answer)
            assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    finally:
        ended.set()
        for thread in threads:
            thread.join()
    assert raised == []
    assert load_data_file(path) == {"count": len(counted) + children}
    assert load_many([database / f"child{number}.json" for number in range(children)]) == list(
        range(children)
    )
    with store.connect(OWNER) as owner:
        held = owner.execute("SELECT count(*) FROM pg_locks WHERE locktype = 'transactionid'")
        assert held.fetchone() == (0,)
