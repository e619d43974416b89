"""What the engine of stores refuses, checks and finds out, seen from outside."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from oasis_data import (
    AlreadyLockedError,
    JSONWriteError,
    NotDurableError,
    OutcomeUnknownError,
    StorageReadError,
    StorageWriteError,
    VersionConflictError,
    _native,
    clear_all_cache,
    configure,
    edit_json,
    list_backups,
    load_data_file,
    load_with_version,
    restore_backup,
    save_json_atomic,
    save_many_atomic,
)

fixtures = pytest.importorskip("tests.postgres.fixtures", reason="needs the fixtures of a server")


def until(condition: Callable[[], Any], seconds: float = 20) -> None:
    """Waits for what another process or thread will do."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.01)


def backends(store: Any) -> set[int]:
    """The connections of this package to the server."""
    found = store.connection.execute(
        "SELECT pid FROM pg_stat_activity WHERE application_name LIKE 'oasis-data %'"
    )
    return {pid for (pid,) in found}


def test_a_hit_is_what_another_process_saved_last(store: Any, database: Path) -> None:
    path = database / "a.json"
    save_json_atomic(path, {"n": 0})
    for number in range(1, 4):
        assert load_data_file(path, copy=False) == {"n": number - 1}
        code = f"import oasis_data as o; o.save_json_atomic({str(path)!r}, {{'n': {number}}})"
        subprocess.run([sys.executable, "-c", code], check=True)
        assert load_data_file(path, copy=False) == {"n": number}


def test_within_its_staleness_a_hit_asks_nobody(database: Path) -> None:
    path = database / "a.json"
    save_json_atomic(path, {"n": 0})
    load_data_file(path)
    configure(max_staleness=60.0)
    try:
        code = f"import oasis_data as o; o.save_json_atomic({str(path)!r}, {{'n': 1}})"
        subprocess.run([sys.executable, "-c", code], check=True)
        assert load_data_file(path) == {"n": 0}
        save_json_atomic(path, {"n": 2})
        assert load_data_file(path) == {"n": 2}  # its own save is known
    finally:
        configure(max_staleness=0.0)


def test_content_that_is_not_what_was_saved_is_not_loaded(store: Any, database: Path) -> None:
    path = database / "a.json"
    save_json_atomic(path, {"n": 0}, indent=None)
    store.connection.execute("UPDATE revision SET content = convert_to('{\"n\": 9}', 'UTF8')")
    with pytest.raises(StorageReadError, match="the database is damaged"):
        load_data_file(path)


def test_a_backup_that_is_not_what_was_saved_is_not_restored(store: Any, database: Path) -> None:
    path = database / "a.json"
    for number in range(2):
        save_json_atomic(path, {"n": number}, indent=None)
    store.connection.execute(
        "UPDATE revision SET content = convert_to('{\"n\": 9}', 'UTF8') WHERE number = 1"
    )
    assert "damaged" in str(list_backups(path)[0].fault)
    with pytest.raises(JSONWriteError, match="damaged"):
        restore_backup(path)
    assert load_data_file(path) == {"n": 1}


def test_a_save_over_another_version_is_refused(database: Path) -> None:
    path = database / "a.json"
    save_json_atomic(path, {"n": 0})
    _, version = load_with_version(path)
    save_json_atomic(path, {"n": 1})
    with pytest.raises(VersionConflictError):
        save_json_atomic(path, {"n": 2}, if_version=version)
    assert load_data_file(path) == {"n": 1}


def test_an_edit_of_another_version_is_refused(database: Path) -> None:
    path = database / "a.json"
    save_json_atomic(path, {"n": 0})
    edit = _native.Edit(path, 5.0, if_version="0" * 32)
    with pytest.raises(VersionConflictError):
        edit.save({"n": 2}, _native.EncodeOptions(), versioned=False)
    edit.close()
    assert load_data_file(path) == {"n": 0}


def test_batches_in_any_order_never_deadlock(store: Any, database: Path) -> None:
    names = [f"{letter}.json" for letter in "abcdefgh"]

    def save(order: list[str], thread: int) -> None:
        for number in range(25):
            documents = {database / name: [thread, number] for name in order}
            save_many_atomic(documents, timeout=30)

    def deadlocks() -> Any:
        return store.connection.execute("SELECT sum(deadlocks) FROM pg_stat_database").fetchone()

    before = deadlocks()
    orders = [names, names[::-1], names[3:] + names[:3], names[5:] + names[:5]]
    threads = [threading.Thread(target=save, args=(order, n)) for n, order in enumerate(orders)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    # The server counts them when a connection ends, or has rested for a while.
    time.sleep(1.1)
    assert deadlocks() == before


def test_an_edit_timeout_below_a_millisecond_is_one(database: Path) -> None:
    path = database / "a.json"
    save_json_atomic(path, {"n": 0})
    configure(edit_timeout=0.0001)
    try:
        with (
            ThreadPoolExecutor() as pool,
            pytest.raises(JSONWriteError, match="edit_timeout"),
            edit_json(path) as document,
        ):
            document["n"] = 1
            assert pool.submit(save_json_atomic, path, {"n": 2}, timeout=5).result()
    finally:
        configure(edit_timeout=60.0)
    assert load_data_file(path) == {"n": 2}


def test_a_thread_does_not_wait_for_its_own_row(database: Path) -> None:
    path = database / "a.json"
    save_json_atomic(path, {"n": 0})
    with edit_json(path) as document:
        document["n"] = 1
        with pytest.raises(AlreadyLockedError), edit_json(path, timeout=5):
            pass


def test_a_forked_child_has_no_lock_and_leaves_its_parents_connection(
    store: Any, database: Path
) -> None:
    path = database / "a.json"
    save_json_atomic(path, {"n": 0})
    before = backends(store)
    with edit_json(path) as document:
        child = os.fork()
        if child == 0:
            answer = 1
            try:
                load_data_file(database / "none.json")
                edit = _native.Edit(database / "b.json", 5.0)
                edit.close()
                answer = 0
            finally:
                os._exit(answer)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        document["n"] = 1
    assert load_data_file(path) == {"n": 1}
    assert before <= backends(store)


def test_the_edit_of_a_parent_is_refused_in_its_child(database: Path) -> None:
    path = database / "a.json"
    save_json_atomic(path, {"n": 0})
    edit = _native.Edit(path, 5.0)
    child = os.fork()
    if child == 0:
        answer = 1
        try:
            edit.save({"n": 1}, _native.EncodeOptions(), versioned=False)
        except JSONWriteError as error:
            answer = int("no longer locked by this process" not in str(error))
            edit.close()
        finally:
            os._exit(answer)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    edit.save({"n": 2}, _native.EncodeOptions(), versioned=False)
    assert load_data_file(path) == {"n": 2}


def test_a_child_that_python_does_not_know_leaves_its_parents_connection(database: Path) -> None:
    path = database / "a.json"
    save_json_atomic(path, {"n": 0})
    edit = _native.Edit(path, 5.0)
    # Made without Python's handlers: the socket is open in the child, and what waits for it is
    # the parent's too.
    child = ctypes.PyDLL(None).fork()
    if child == 0:
        try:
            edit.close()
        finally:
            os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    edit.save({"n": 1}, _native.EncodeOptions(), versioned=False)
    edit.close()
    assert load_data_file(path) == {"n": 1}


HOLDER = """
import os, sys, time
from oasis_data import _native
edit = _native.Edit(sys.argv[1], 5.0)
if os.fork() == 0:
    print("forked", flush=True)
    time.sleep(30)
    os._exit(0)
time.sleep(30)
"""


def test_the_lock_of_a_killed_parent_is_free_while_its_child_lives(database: Path) -> None:
    path = database / "a.json"
    save_json_atomic(path, {"n": 0})
    command = [sys.executable, "-c", HOLDER, str(path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, start_new_session=True) as parent:
        try:
            assert parent.stdout
            assert parent.stdout.readline() == b"forked\n"
            parent.kill()
            save_json_atomic(path, {"n": 1}, timeout=3)
        finally:
            os.killpg(parent.pid, signal.SIGKILL)
    assert load_data_file(path) == {"n": 1}


def test_old_contents_go_and_those_kept_stay(store: Any, database: Path) -> None:
    path = database / "a.json"
    configure(backups_kept=3)
    try:
        for number in range(12):
            save_json_atomic(path, {"n": number})
            if number == 5:
                configure(backups_kept=6)
            if number == 8:
                configure(backups_kept=3)
    finally:
        configure(backups_kept=10)
    counted = store.connection.execute("SELECT count(content) FROM revision").fetchone()
    assert counted == (4,)
    assert len(list_backups(path)) == 3


def test_a_batch_reads_few_rows_however_long_its_history(store: Any, database: Path) -> None:
    """Its statements are planned while the tables are small, and run when they no longer are."""
    batches, documents = 60, 8
    for number in range(batches):
        save_many_atomic({database / f"{each}.json": number for each in range(documents)})
    for each in backends(store):  # a connection that ends tells its counts
        store.connection.execute("SELECT pg_terminate_backend(%s, 5000)", [each])
    (rows,) = store.connection.execute(
        "SELECT seq_tup_read + idx_tup_fetch FROM pg_stat_user_tables"
        " WHERE schemaname = %s AND relname = 'revision'",
        [store.schema],
    ).fetchone()
    assert 0 < rows / batches / documents < 70, "each document's history is read several times"


@pytest.mark.parametrize("name", ["a.json", "b.json"])
def test_fewer_backups_are_kept_from_the_next_save_on(database: Path, name: str) -> None:
    def save(number: int) -> None:
        if name == "a.json":
            save_json_atomic(database / name, number)
        else:
            save_many_atomic({database / "first.json": number, database / name: number})

    configure(backups_kept=60)
    try:
        for number in range(50):
            save(number)
        configure(backups_kept=3)
        save(50)
    finally:
        configure(backups_kept=10)
    assert len(list_backups(database / name)) == 3


def test_no_document_lies_among_locks_and_journals(anywhere: Path) -> None:
    path = anywhere / ".oasis_data" / "journal"
    acts: list[Callable[[], object]] = [
        lambda: save_json_atomic(path, 1),
        lambda: save_many_atomic({path: 1}),
        lambda: edit_json(path).__enter__(),
    ]
    for act in acts:
        with pytest.raises(JSONWriteError, match="is in the folder of locks"):
            act()


def test_rows_that_were_changed_by_sql_are_told(store: Any, database: Path) -> None:
    path = database / "a.json"
    save_json_atomic(path, {"n": 0})
    store.connection.execute("UPDATE document SET save = '00000000-0000-0000-0000-000000000001'")
    with edit_json(path, timeout=1) as document:  # the content is what its version says
        document["n"] += 1
    assert load_data_file(path) == {"n": 1}
    store.connection.execute("DELETE FROM document")
    with pytest.raises(StorageWriteError, match="rows were changed by SQL"):
        save_json_atomic(path, {"n": 2})


def test_a_corrupt_document_is_backed_up_whatever_the_settings(store: Any, database: Path) -> None:
    path = database / "a.json"
    _native.store_put(store.url(), "a.json", [], (b'{"n": ', 1.0e9), replace=False)
    assert load_data_file(path) == {}
    save_json_atomic(path, {"n": 1}, backup=False)
    (backup,) = list_backups(path)
    assert backup.fault
    assert backup.size == 6


def test_a_server_without_fsync_is_refused(own_server: Any) -> None:
    store = fixtures.make_store(own_server)
    own_server.stop()
    own_server.configure({"fsync": "off"})
    own_server.start()
    configure(stores={"/srv/data": store.url()}, lock_timeout=1.0)
    try:
        with pytest.raises(StorageWriteError, match="fsync=off"):
            save_json_atomic("/srv/data/a.json", {})
    finally:
        configure(stores={}, lock_timeout=10.0)


def test_a_commit_waits_for_the_disk_where_the_server_says_otherwise(own_server: Any) -> None:
    store = fixtures.make_store(own_server)
    with store.connect() as superuser:
        superuser.execute(f"ALTER ROLE {fixtures.APPLICATION} SET synchronous_commit = off")
        # A commit that waits, waits for a standby that is not there.
        superuser.execute("ALTER SYSTEM SET synchronous_standby_names = 'nobody'")
        superuser.execute("SELECT pg_reload_conf()")
        configure(stores={"/srv/data": store.url()})
        path = "/srv/data/a.json"
        raised: list[BaseException] = []

        def save() -> None:
            try:
                save_json_atomic(path, {"n": 1}, timeout=30)
            except BaseException as error:
                raised.append(error)

        def waiting() -> Any:
            return superuser.execute(
                "SELECT pid FROM pg_stat_activity WHERE wait_event = 'SyncRep'"
            ).fetchone()

        thread = threading.Thread(target=save)
        thread.start()
        try:
            until(waiting)
            # An operator gives up the standby: the commit stands, on this server alone.
            superuser.execute("SELECT pg_cancel_backend(%s)", waiting())
            thread.join()
            assert [type(error) for error in raised] == [NotDurableError]
            clear_all_cache()
            assert load_data_file(path) == {"n": 1}
        finally:
            configure(stores={})
            superuser.execute("ALTER SYSTEM RESET synchronous_standby_names")
            superuser.execute("SELECT pg_reload_conf()")
            thread.join()


def test_ctrl_c_in_a_commit_tells_that_its_outcome_is_unknown(own_server: Any) -> None:
    store = fixtures.make_store(own_server)
    with store.connect() as superuser:
        superuser.execute("ALTER SYSTEM SET synchronous_standby_names = 'nobody'")
        superuser.execute("SELECT pg_reload_conf()")
        configure(stores={"/srv/data": store.url()})
        timer = threading.Timer(1.0, os.kill, (os.getpid(), signal.SIGINT))
        timer.start()
        try:
            with pytest.raises(OutcomeUnknownError) as raised:
                save_json_atomic("/srv/data/a.json", {"n": 1}, timeout=30)
            assert isinstance(raised.value.__context__, KeyboardInterrupt)
        finally:
            timer.join()
            configure(stores={})
            superuser.execute("ALTER SYSTEM RESET synchronous_standby_names")
            superuser.execute("SELECT pg_reload_conf()")
