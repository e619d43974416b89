"""The proxy that breaks connections, tried with a client that is not ours."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from tests.conftest import require_programs
from tests.postgres.proxy import CLIENT, SERVER, Break, Proxy, Side, proxy_of
from tests.postgres.server import SUPERUSER, Server


@pytest.fixture
def proxy(postgres: Server) -> Iterator[Proxy]:
    with proxy_of(postgres.port) as proxy:
        yield proxy


def connect(postgres: Server, proxy: Proxy, **options: str) -> Any:
    through = {"port": str(proxy.port), "sslmode": "disable", **options}
    return psycopg.connect(postgres.conninfo(SUPERUSER, **through), autocommit=True)


def kinds(proxy: Proxy, sender: Side) -> str:
    return "".join(message.kind for message in proxy.messages if message.sender == sender)


def test_messages_pass_in_both_directions(postgres: Server, proxy: Proxy) -> None:
    with connect(postgres, proxy) as connection:
        assert kinds(proxy, CLIENT).startswith("startup")
        proxy.forget()
        assert connection.execute("SELECT 1").fetchone() == (1,)
        # A query; the description, a row, the end of the command, ready.
        assert kinds(proxy, CLIENT) == "Q"
        assert kinds(proxy, SERVER) == "TDCZ"
        assert proxy.messages[0].body == b"SELECT 1\0"
        proxy.forget()
        assert connection.execute("SELECT %s", [2]).fetchone() == (2,)
        assert kinds(proxy, CLIENT) == "PBDES"
    assert proxy.connections == 1


def test_a_message_larger_than_any_buffer_passes(postgres: Server, proxy: Proxy) -> None:
    large = "x" * 5_000_000
    with connect(postgres, proxy) as connection:
        assert connection.execute("SELECT %s::text", [large]).fetchone() == (large,)


def test_round_trips_are_counted(postgres: Server, proxy: Proxy) -> None:
    with connect(postgres, proxy) as connection:
        proxy.forget()
        for number in range(3):
            connection.execute("SELECT %s", [number])
        assert proxy.round_trips == 3
        proxy.forget()
        with connection.pipeline():
            answers = [connection.execute("SELECT %s", [number]) for number in range(3)]
        assert [answer.fetchone()[0] for answer in answers] == [0, 1, 2]
        assert proxy.round_trips == 1


@pytest.mark.parametrize("action", ["cut", "reset"])
@pytest.mark.parametrize("passes", [False, True])
@pytest.mark.parametrize(("sender", "number"), [(CLIENT, 1), (SERVER, 1), (SERVER, 3)])
def test_a_connection_breaks_at_a_message(
    postgres: Server,
    proxy: Proxy,
    schema: str,
    sender: Side,
    number: int,
    passes: bool,
    action: Any,
) -> None:
    with connect(postgres, proxy) as connection:
        connection.execute(f"CREATE SCHEMA {schema}")
        connection.execute(f"CREATE TABLE {schema}.fact (number int)")
        plan = Break(sender, number, passes, action)
        proxy.set_break(plan)
        with pytest.raises(psycopg.OperationalError):
            connection.execute(f"INSERT INTO {schema}.fact VALUES (1) RETURNING number")
        assert plan.happened.wait(10)
    # Once only: the next connection is whole, and tells what the server did.
    with connect(postgres, proxy) as connection:
        committed = sender == SERVER or passes
        wait = time.monotonic() + 10
        while True:
            (rows,) = connection.execute(f"SELECT count(*) FROM {schema}.fact").fetchone()
            if rows == committed or time.monotonic() > wait:
                break
        assert rows == committed


def test_a_held_connection_says_nothing(postgres: Server, proxy: Proxy) -> None:
    connection = connect(postgres, proxy)
    proxy.set_break(Break(SERVER, 1, passes=False, action="hold"))
    answered = threading.Event()

    def ask() -> None:
        with pytest.raises(psycopg.OperationalError):
            connection.execute("SELECT 1")
        answered.set()

    asker = threading.Thread(target=ask)
    asker.start()
    assert not answered.wait(0.3)
    # Others pass.
    with connect(postgres, proxy) as other:
        assert other.execute("SELECT 1").fetchone() == (1,)
    assert not answered.is_set()
    proxy.cut()
    assert answered.wait(10)
    asker.join()
    connection.close()


def test_a_server_that_is_gone_is_refused(postgres: Server, proxy: Proxy) -> None:
    proxy.refuse()
    with pytest.raises(psycopg.OperationalError):
        connect(postgres, proxy)
    proxy.refuse(False)
    connect(postgres, proxy).close()


def test_a_delay_takes_its_time_twice_a_round_trip(postgres: Server, proxy: Proxy) -> None:
    with connect(postgres, proxy) as connection:
        proxy.delay(0.05)
        start = time.monotonic()
        connection.execute("SELECT 1")
        assert time.monotonic() - start >= 0.1
        proxy.delay(0)


def test_a_cancellation_is_a_message_of_its_own(postgres: Server, proxy: Proxy) -> None:
    with connect(postgres, proxy) as connection:
        proxy.forget()
        # `cancel` would keep the interpreter's lock, which the proxy needs.
        connection.cancel_safe(timeout=10)
        connection.execute("SELECT 1")
    assert "cancel" in [message.kind for message in proxy.messages]


def test_encrypted_traffic_passes_unread(own_server: Server) -> None:
    require_programs("openssl")
    own_server.stop()
    own_server.enable_tls()
    own_server.start()
    with (
        proxy_of(own_server.port) as proxy,
        connect(own_server, proxy, sslmode="require") as connection,
    ):
        proxy.forget()
        assert connection.execute("SELECT 1").fetchone() == (1,)
        assert {message.kind for message in proxy.messages} == {"encrypted"}
        assert proxy.round_trips == 1
