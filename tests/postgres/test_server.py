"""The server that the other tests stand on."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tests.backend.servers import wait_for
from tests.conftest import require_programs
from tests.postgres.fixtures import APPLICATION
from tests.postgres.server import SUPERUSER, Server, copy_of, standby_of

STARTER = """
import sys, threading
from pathlib import Path
from tests.postgres.server import Server, copy_of
stopped = Server(Path(sys.argv[1]), Path(sys.argv[2]).parent, {})
with copy_of(stopped) as server:
    print(server.folder, server.pid, flush=True)
    threading.Event().wait()
"""


def value(server: Server, statement: str, role: str = SUPERUSER, **options: str) -> Any:
    with psycopg.connect(server.conninfo(role, **options)) as connection:
        row = connection.execute(statement).fetchone()
        assert row
        return row[0]


def test_it_syncs(postgres: Server) -> None:
    assert value(postgres, "SHOW fsync") == "on"
    assert value(postgres, "SHOW synchronous_commit") == "on"


def test_nobody_comes_in_without_a_password(postgres: Server) -> None:
    for password in ("", "wrong"):
        with pytest.raises(psycopg.OperationalError, match="password"):
            psycopg.connect(postgres.conninfo(APPLICATION, password=password))
    assert value(postgres, "SHOW password_encryption") == "scram-sha-256"
    stored = f"SELECT rolpassword FROM pg_authid WHERE rolname = '{APPLICATION}'"
    assert value(postgres, stored).startswith("SCRAM-SHA-256$")


def test_a_socket_is_a_way_too(postgres: Server) -> None:
    assert value(postgres, "SELECT 1", host=str(postgres.folder)) == 1


def test_the_application_makes_no_schema(postgres: Server, schema: str) -> None:
    with (
        psycopg.connect(postgres.conninfo(APPLICATION)) as connection,
        pytest.raises(psycopg.errors.InsufficientPrivilege),
    ):
        connection.execute(f"CREATE SCHEMA {schema}")


def test_what_was_committed_survives_a_crash(own_server: Server) -> None:
    connection = psycopg.connect(own_server.conninfo(SUPERUSER))
    connection.execute("CREATE TABLE fact (number int)")
    connection.commit()
    connection.execute("INSERT INTO fact VALUES (1)")
    connection.commit()
    connection.execute("INSERT INTO fact VALUES (2)")
    own_server.crash()
    connection.close()
    own_server.start()
    assert value(own_server, "SELECT max(number) FROM fact") == 1


def test_tls_is_verified(own_server: Server) -> None:
    require_programs("openssl")
    own_server.stop()
    certificate = own_server.enable_tls()
    own_server.start()
    used = "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()"
    root = {"sslmode": "verify-full", "sslrootcert": str(certificate)}
    assert value(own_server, used, **root) is True
    assert value(own_server, used, sslmode="disable") is False


def test_a_standby_follows_and_is_promoted(own_server: Server) -> None:
    with standby_of(own_server) as standby:
        assert value(standby, "SELECT pg_is_in_recovery()") is True
        own_server.configure(
            {"synchronous_standby_names": "*", "synchronous_commit": "remote_apply"}
        )
        own_server.reload()
        with psycopg.connect(own_server.conninfo(SUPERUSER)) as connection:
            connection.execute("CREATE TABLE fact AS SELECT 1 AS number")
        assert value(standby, "SELECT number FROM fact") == 1
        own_server.crash()
        standby.promote()
        assert value(standby, "SELECT pg_is_in_recovery()") is False


def test_nothing_stays_of_a_server(stopped: Server) -> None:
    with copy_of(stopped) as server:
        process = Path(f"/proc/{server.pid}")
        assert process.exists()
    assert not process.exists()
    assert not server.folder.exists()


def test_a_server_ends_with_a_program_that_is_killed(stopped: Server) -> None:
    require_programs("setpriv")
    starter = subprocess.Popen(
        [sys.executable, "-c", STARTER, stopped.programs, stopped.data],
        stdout=subprocess.PIPE,
        text=True,
    )
    with starter:
        assert starter.stdout
        folder, pid = starter.stdout.readline().split()
        starter.kill()
    try:
        wait_for(lambda: not Path(f"/proc/{pid}").exists(), "the server has ended")
    finally:
        shutil.rmtree(folder)
