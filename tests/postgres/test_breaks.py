"""The connection breaks at every message: nothing is lost, nothing is done twice, errors tell."""

from __future__ import annotations

import errno
import os
import struct
import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from oasis_data import (
    DataOperationError,
    JSONWriteError,
    OutcomeUnknownError,
    StorageReadError,
    StorageWriteError,
    clear_all_cache,
    configure,
    delete_json_atomic,
    edit_json,
    load_data_file,
    load_many,
    restore_backup,
    save_json_atomic,
    save_many_atomic,
)
from tests.backend.servers import wait_for
from tests.postgres.fixtures import APPLICATION, Store, map_folder
from tests.postgres.paths import version_of
from tests.postgres.proxy import CANCEL, CLIENT, SERVER, Break, Proxy, Side, proxy_of


@pytest.fixture
def proxy(store: Store) -> Iterator[Proxy]:
    with proxy_of(store.server.port) as proxy:
        yield proxy


@pytest.fixture
def folder(store: Store, proxy: Proxy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder in a store behind the proxy."""
    folder = tmp_path / "stored"
    map_folder(folder, store.url(port=proxy.port), monkeypatch)
    return folder


def save(folder: Path, timeout: float) -> None:
    save_json_atomic(folder / "a.json", {"level": 2}, timeout=timeout)


def save_if_version(folder: Path, timeout: float) -> None:
    save_json_atomic(folder / "a.json", {"level": 2}, if_version=VERSION_OF_ONE, timeout=timeout)


def edit(folder: Path, timeout: float) -> None:
    with edit_json(folder / "a.json", timeout=timeout) as document:
        document["level"] += 1


def batch(folder: Path, timeout: float) -> None:
    save_many_atomic(
        {folder / "a.json": {"level": 2}, folder / "b.json": {"level": 2}}, timeout=timeout
    )


def delete(folder: Path, timeout: float) -> None:
    delete_json_atomic(folder / "a.json", timeout=timeout)


def restore(folder: Path, timeout: float) -> None:
    restore_backup(folder / "a.json", timeout=timeout)


def load(folder: Path, timeout: float) -> None:
    assert load_data_file(folder / "a.json", strict=True) == {"level": 1}


def load_two(folder: Path, timeout: float) -> None:
    load_many([folder / "a.json", folder / "b.json"], strict=True)


TORTURE = "OASIS_TORTURE" in os.environ
VERSION_OF_ONE = version_of(b'{\n  "level": 1\n}')


@dataclass(frozen=True)
class Rows:
    """What an operator sees of a document: how often it was saved, and its content."""

    number: int
    content: bytes | None
    revisions: int


# Each hold is waited for: a sample, but for the campaign.
HELD = [False, True] if TORTURE else [False]
WRITES = [save, save_if_version, edit, batch, delete, restore]
READS = [load, load_two]


def rows(store: Store) -> dict[str, Rows]:
    found = store.connection.execute(
        "SELECT d.name, d.number, r.content, (SELECT count(*) FROM revision n"
        " WHERE n.name = d.name) FROM document d LEFT JOIN revision r USING (name, number)"
    )
    return {
        name: Rows(number, content and bytes(content), revisions)
        for name, number, content, revisions in found
    }


def prepare(folder: Path, proxy: Proxy) -> None:
    """Documents with a history, a connection that is ready, and nothing cached."""
    for level in (0, 1):
        for name in ("a.json", "b.json"):
            save_json_atomic(folder / name, {"level": level}, skip_unchanged=False)
    clear_all_cache()


def counts_of(operation: Callable[..., None], folder: Path, proxy: Proxy) -> dict[Side, int]:
    """How many messages each side sends where nothing breaks."""
    prepare(folder, proxy)
    proxy.forget()
    operation(folder, 10)
    return {
        side: sum(message.sender == side for message in proxy.messages) for side in (CLIENT, SERVER)
    }


def some_of(count: int) -> Iterable[int]:
    """The numbers of all messages, or of a few of them, the first and the last among them."""
    return range(1, count + 1) if TORTURE else sorted({1, count // 2 + 1, count})


def expected(operation: Callable[..., None], folder: Path, store: Store, proxy: Proxy) -> Any:
    """What the rows are before the operation, and after it."""
    prepare(folder, proxy)
    before = rows(store)
    operation(folder, 10)
    return before, rows(store)


def relative(rows: dict[str, Rows], base: dict[str, Rows]) -> dict[str, Rows]:
    """Rows, counted from those before."""
    return {
        name: Rows(
            row.number - base[name].number, row.content, row.revisions - base[name].revisions
        )
        for name, row in rows.items()
    }


@pytest.mark.parametrize("action", ["cut", "reset"] if TORTURE else ["cut"])
@pytest.mark.parametrize("passes", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("operation", [*WRITES, *READS])
def test_a_connection_that_breaks_is_made_anew_and_nothing_is_done_twice(
    folder: Path, store: Store, proxy: Proxy, operation: Any, passes: bool, action: Any
) -> None:
    configure(backups_kept=1000)
    before, after = expected(operation, folder, store, proxy)
    wanted = relative(after, before)
    tried = 0
    for sender, count in counts_of(operation, folder, proxy).items():
        for number in some_of(count):
            prepare(folder, proxy)
            before = rows(store)
            plan = Break(sender, number, passes, action)
            proxy.set_break(plan)
            operation(folder, 20)
            tried += plan.happened.is_set()
            proxy.set_break(None)
            assert relative(rows(store), before) == wanted, (sender, number)
            assert load_data_file(folder / "b.json")["level"] in (1, 2)
    # The server's last messages may be the answer to nothing that the client waits for.
    assert tried >= 4


@pytest.mark.parametrize("passes", HELD, ids=["before", "after"][: len(HELD)])
@pytest.mark.parametrize("operation", WRITES)
def test_a_connection_that_says_nothing_more_ends_in_an_error_that_is_true(
    folder: Path, store: Store, proxy: Proxy, operation: Any, passes: bool
) -> None:
    configure(backups_kept=1000)
    before, after = expected(operation, folder, store, proxy)
    wanted = relative(after, before)
    outcomes = set()
    for sender, count in counts_of(operation, folder, proxy).items():
        for number in some_of(count):
            prepare(folder, proxy)
            before = rows(store)
            proxy.set_break(Break(sender, number, passes, "hold"))
            try:
                operation(folder, 0.3)
                told = "done"
            except OutcomeUnknownError:
                told = "unknown"
            except JSONWriteError:
                told = "failed"
            proxy.set_break(None)
            proxy.cut()
            wait_until_no_transaction_is_open(store)
            done, undone = relative(rows(store), before), relative(before, before)
            true = {"done": [wanted], "failed": [undone], "unknown": [wanted, undone]}
            assert done in true[told], (sender, number, told)
            outcomes.add(told)
    # A save alone sends its COMMIT with all the rest: then nobody knows.
    assert "unknown" in outcomes
    assert operation not in (edit, batch) or "failed" in outcomes


@pytest.mark.parametrize("operation", [save, batch, edit])
def test_an_outcome_is_unknown_where_the_server_then_takes_no_connection(
    folder: Path, proxy: Proxy, superuser: Any, operation: Any
) -> None:
    counts_of(operation, folder, proxy)  # its statements are known to the server from here on
    last = counts_of(operation, folder, proxy)[CLIENT]
    prepare(folder, proxy)
    proxy.set_break(Break(CLIENT, last, passes=True, action="cut"))
    superuser.execute(f"ALTER ROLE {APPLICATION} CONNECTION LIMIT 0")
    try:
        with pytest.raises(OutcomeUnknownError, match="no connection left"):
            operation(folder, 0.3)
    finally:
        superuser.execute(f"ALTER ROLE {APPLICATION} CONNECTION LIMIT -1")


@pytest.mark.parametrize("passes", HELD, ids=["before", "after"][: len(HELD)])
@pytest.mark.parametrize("operation", READS)
def test_a_load_that_is_not_answered_ends_at_its_deadline(
    folder: Path, proxy: Proxy, operation: Any, passes: bool
) -> None:
    counts = counts_of(operation, folder, proxy)
    configure(lock_timeout=0.3)
    for sender, count in counts.items():
        for number in some_of(count):
            prepare(folder, proxy)
            proxy.set_break(Break(sender, number, passes, "hold"))
            if sender == SERVER and number == count and passes:
                operation(folder, 10)
            else:
                with pytest.raises(StorageReadError) as caught:
                    operation(folder, 10)
                assert caught.value.errno == errno.ETIMEDOUT
            proxy.set_break(None)
            proxy.cut()


@pytest.mark.parametrize(
    ("operation", "trips"), [(load, 1), (load_two, 1), (save, 1), (edit, 2), (batch, 2)]
)
def test_round_trips(folder: Path, proxy: Proxy, operation: Any, trips: int) -> None:
    # Twice: statements are prepared, and a connection is there.
    for _ in range(2):
        prepare(folder, proxy)
        operation(folder, 10)
    prepare(folder, proxy)
    proxy.forget()
    operation(folder, 10)
    assert proxy.round_trips == trips


def test_a_hit_is_one_round_trip(folder: Path, proxy: Proxy) -> None:
    prepare(folder, proxy)
    for _ in range(3):
        load(folder, 10)
    proxy.forget()
    load(folder, 10)
    assert proxy.round_trips == 1
    # The content did not come along.
    assert not any(b"level" in message.body for message in proxy.messages)


def test_a_hit_that_may_be_a_little_old_asks_nobody(folder: Path, proxy: Proxy) -> None:
    prepare(folder, proxy)
    configure(max_staleness=60)
    load(folder, 10)
    proxy.forget()
    load(folder, 10)
    assert proxy.round_trips == 0
    configure(max_staleness=0)
    load(folder, 10)
    assert proxy.round_trips == 1


def test_a_load_that_was_asked_before_a_save_is_not_kept_as_new(folder: Path, proxy: Proxy) -> None:
    counts_of(load, folder, proxy)  # statements are prepared
    questions = counts_of(load, folder, proxy)[CLIENT]
    clear_all_cache()
    configure(max_staleness=60)
    # The server has the question, and its answer comes later than the save.
    held = Break(CLIENT, questions, passes=True, action="hold")
    proxy.set_break(held)
    asking = threading.Thread(target=load, args=(folder, 10))
    asking.start()
    assert held.happened.wait(10)
    save(folder, 10)
    proxy.go_on()
    asking.join()
    proxy.forget()
    newest = load_data_file(folder / "a.json")
    configure(max_staleness=0)
    assert newest == {"level": 2}
    assert proxy.round_trips == 1


@pytest.mark.parametrize("operation", [*WRITES, *READS])
def test_a_server_that_is_gone_is_told(
    folder: Path, proxy: Proxy, operation: Any, store: Store
) -> None:
    prepare(folder, proxy)
    proxy.refuse()
    proxy.cut()
    configure(lock_timeout=0.3)
    with pytest.raises((StorageReadError, StorageWriteError)) as caught:
        operation(folder, 0.3)
    assert_nothing_secret(caught.value, store)


# What a server that is ended at once tells every client, whatever the client is waiting for.
_LAST_WORDS = (
    b"SWARNING\0VWARNING\0C57P01\0"
    b"Mterminating connection due to immediate shutdown command\0Rquickdie\0\0"
)


def test_the_last_words_of_a_server_are_no_doubt_of_a_commit(folder: Path, proxy: Proxy) -> None:
    save(folder, 5)
    proxy.add_to_commit(b"N" + struct.pack("!i", 4 + len(_LAST_WORDS)) + _LAST_WORDS)
    assert save_json_atomic(folder / "a.json", "answered") is True
    proxy.cut()
    assert load_data_file(folder / "a.json") == "answered"


def test_a_cancelled_commit_would_be_a_lie(folder: Path, proxy: Proxy) -> None:
    prepare(folder, proxy)
    for number in some_of(counts_of(save, folder, proxy)[CLIENT]):
        prepare(folder, proxy)
        proxy.forget()
        proxy.set_break(Break(CLIENT, number, passes=True, action="hold"))
        with pytest.raises(JSONWriteError):
            save(folder, 0.2)
        assert CANCEL not in [message.kind for message in proxy.messages]
        proxy.set_break(None)
        proxy.cut()


def wait_until_no_transaction_is_open(store: Store) -> None:
    others = (
        "SELECT count(*) FROM pg_stat_activity"
        " WHERE application_name LIKE 'oasis-data%' AND state <> 'idle'"
    )
    wait_for(lambda: store.connection.execute(others).fetchone()[0] == 0, "no transaction is open")


def assert_nothing_secret(error: DataOperationError, store: Store) -> None:
    """What a message may not have: a password, or a URL."""
    seen: BaseException | None = error
    while seen:
        for text in (str(seen), repr(seen), str(vars(seen))):
            assert "postgresql://" not in text
            assert not any(word in text for word in store.server.passwords.values())
        seen = seen.__cause__ or seen.__context__
