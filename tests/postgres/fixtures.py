"""A server for the session, a schema for each test, and folders that lie in either engine."""

from __future__ import annotations

import itertools
import json
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from oasis_data import _native, configure
from tests.conftest import require
from tests.postgres.paths import DatabasePath, path_class
from tests.postgres.server import SUPERUSER, Server, copy_of, find_programs, new_server

OWNER = "owner"
APPLICATION = "application"
# TLS is for the tests of TLS; and a test that hangs fails before its time is up.
URL_OPTIONS = {"sslmode": "disable", "connect_timeout": "10"}

_numbers = itertools.count(1)


def client() -> Any:
    """The other client, imported where a test needs a server: psycopg."""
    return import_module("psycopg")


@dataclass(frozen=True)
class Store:
    """A schema with the tables, and how to reach it."""

    server: Server
    schema: str

    @cached_property
    def connection(self) -> Any:
        """A connection of the other client that stays until the test has ended."""
        return self.connect()

    def url(self, role: str = APPLICATION, *, port: int | None = None, **options: str) -> str:
        """The URL of the store, as the application gives it; `port` is that of a proxy."""
        # A proxy is no pooler: its sessions are those of the clients.
        through = {"prepare": "on"} if port else {}
        all_options = {**URL_OPTIONS, **through, **options}
        return self.server.url(role, port=port, schema=self.schema, **all_options)

    def connect(self, role: str = SUPERUSER, **options: str) -> Any:
        """A connection of the other client, with the store's tables in its search path."""
        path = {"options": f"-csearch_path={self.schema} -clock_timeout=5s"}
        return client().connect(self.server.conninfo(role, **path, **options), autocommit=True)


def make_roles(server: Server) -> None:
    """Makes the role that owns the tables, and the application's, which may only change rows."""
    with client().connect(server.conninfo(SUPERUSER), autocommit=True) as superuser:
        for role in (OWNER, APPLICATION):
            server.passwords[role] = word = secrets.token_urlsafe(12)
            superuser.execute(f"CREATE ROLE {role} LOGIN PASSWORD '{word}'")
        superuser.execute(f"GRANT CREATE ON DATABASE postgres TO {OWNER}")


def make_store(server: Server) -> Store:
    """Makes the tables in a new schema, and lets the application change rows."""
    store = Store(server, f"test_{next(_numbers)}")
    _native.init_store(store.url(OWNER))
    grants = (
        f"GRANT USAGE ON SCHEMA {store.schema} TO {APPLICATION}",
        f"GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA {store.schema}"
        f" TO {APPLICATION}",
    )
    with store.connect(OWNER) as owner:
        for grant in grants:
            owner.execute(grant)
    return store


@pytest.fixture(scope="session")
def stopped() -> Iterator[Server]:
    """A server with the roles that does not run: those of the tests are copies."""
    programs = find_programs()
    require(programs, "needs PostgreSQL (Debian: apt-get install postgresql)")
    assert programs
    with new_server(programs) as server:
        server.start()
        make_roles(server)
        server.stop()
        yield server


@pytest.fixture(scope="session")
def postgres(stopped: Server) -> Iterator[Server]:
    """The server of this session. No test stops or changes it."""
    with copy_of(stopped) as server:
        yield server


@pytest.fixture
def own_server(stopped: Server) -> Iterator[Server]:
    """A server of the test's own, to be stopped, crashed or changed."""
    with copy_of(stopped) as server:
        yield server


@pytest.fixture
def superuser(postgres: Server) -> Iterator[Any]:
    """A connection that may do everything."""
    with client().connect(postgres.conninfo(SUPERUSER), autocommit=True) as connection:
        yield connection


@pytest.fixture
def schema(superuser: Any) -> Iterator[str]:
    """The name of a schema for this test, not made yet; removed at the end."""
    name = f"test_{next(_numbers)}"
    yield name
    superuser.execute(f"DROP SCHEMA IF EXISTS {name} CASCADE")


@pytest.fixture
def store(postgres: Server, superuser: Any) -> Iterator[Store]:
    """A store for this test, with no document in it; removed at the end."""
    store = make_store(postgres)
    yield store
    configure(stores={})
    store.connection.close()
    superuser.execute(f"DROP SCHEMA {store.schema} CASCADE")


@pytest.fixture
def database(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> DatabasePath:
    """A folder that lies in the store, in this process and in those that it starts."""
    folder = tmp_path / "stored"
    map_folder(folder, store.url(), monkeypatch)
    return path_class(store)(folder)


def map_folder(folder: Path, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Has a folder lie at a URL, in this process and in those that it starts."""
    stores = {str(folder): url}
    monkeypatch.setenv("OASIS_DATA_STORES", json.dumps(stores))
    configure(stores=stores)


@pytest.fixture(params=["files", "postgres"])
def anywhere(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A folder on disk, and a folder that lies in PostgreSQL: what holds there, holds here."""
    if request.param == "files":
        return tmp_path
    database: Path = request.getfixturevalue("database")
    return database


def pytest_configure(config: pytest.Config) -> None:
    """Makes the mark known by which a test says that it is about files alone."""
    config.addinivalue_line("markers", "files(reason): not run on a database, for this reason")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Leaves out the runs on a database of tests that are about files alone."""
    items[:] = [item for item in items if not _is_left_out(item)]


def _is_left_out(item: pytest.Item) -> bool:
    engine = getattr(item, "callspec", None)
    on_database = engine is not None and engine.params.get("anywhere") == "postgres"
    return on_database and item.get_closest_marker("files") is not None
