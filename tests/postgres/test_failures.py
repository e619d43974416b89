"""Servers that crash, standbys, clients that are killed or stopped, roles without rights."""

from __future__ import annotations

import errno
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from oasis_data import (
    LockTimeoutError,
    ReadPermissionError,
    StorageReadError,
    StorageWriteError,
    WritePermissionError,
    clear_all_cache,
    configure,
    delete_json_atomic,
    edit_json,
    load_data_file,
    save_json_atomic,
    save_many_atomic,
)
from tests.conftest import everything_in
from tests.postgres.appends import DOCUMENTS, DONE, clients, histories, judge
from tests.postgres.fixtures import APPLICATION, OWNER, Store, make_store, map_folder
from tests.postgres.server import HOST, Server, standby_of
from tests.postgres.test_breaks import assert_nothing_secret

ROOT = Path(__file__).resolve().parents[2]
ROUNDS = 400 if "OASIS_TORTURE" in os.environ else 60
# Holds the lock of a document until its input ends.
EDITOR = """
import sys
from oasis_data import edit_json
with edit_json(sys.argv[1]) as document:
    document["editor"] = True
    print("inside", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def own_store(own_server: Server) -> Store:
    return make_store(own_server)


@pytest.fixture
def own_folder(own_store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder in a store of a server that the test may crash, with documents."""
    folder = tmp_path / "stored"
    map_folder(folder, own_store.url(), monkeypatch)
    for name in DOCUMENTS:
        save_json_atomic(folder / name, [])
    return folder


@contextmanager
def editor_of(path: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process is in the middle of an edit."""
    process = subprocess.Popen(
        [sys.executable, "-c", EDITOR, path],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdin
    assert process.stdout
    try:
        assert process.stdout.readline() == "inside\n"
        yield process
    finally:
        process.kill()
        process.wait()
        process.stdin.close()
        process.stdout.close()


def final(folder: Path) -> dict[str, list[str]]:
    return {name: load_data_file(folder / name, strict=True) for name in DOCUMENTS}


def test_a_server_that_crashes_again_and_again_loses_nothing(
    own_server: Server, own_folder: Path
) -> None:
    with clients(own_folder, 3, ROUNDS, [dict(os.environ)]) as processes:
        for _ in range(3):
            # A client's line says that it is at work, and not where: the crash comes anywhere.
            wait_for_progress(own_folder)
            own_server.crash()
            own_server.start()
        events = histories(processes)
    assert judge(events, final(own_folder)) == []
    assert sum(event.outcome == DONE for event in events) > ROUNDS


def wait_for_progress(folder: Path) -> None:
    """Waits until the clients have appended something more."""
    before = sum(map(len, final(folder).values()))
    while sum(map(len, final(folder).values())) < before + 5:
        pass


def test_a_promoted_synchronous_standby_has_every_acknowledged_save(
    own_server: Server, own_store: Store, own_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with standby_of(own_server) as standby:
        own_server.configure({"synchronous_standby_names": "*"})
        own_server.reload()
        url = own_store.url(target_session_attrs="read-write").replace(
            f"{HOST}:{own_server.port}", f"{HOST}:{own_server.port},{HOST}:{standby.port}"
        )
        map_folder(own_folder, url, monkeypatch)
        with clients(own_folder, 3, ROUNDS, [dict(os.environ)]) as processes:
            wait_for_progress(own_folder)
            own_server.crash()
            standby.promote()
            events = histories(processes)
        assert judge(events, final(own_folder)) == []
        assert sum(event.outcome == DONE for event in events) > ROUNDS


def test_a_standby_is_neither_read_nor_written(
    own_server: Server, own_store: Store, own_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with standby_of(own_server) as standby:
        map_folder(own_folder, own_store.url(port=standby.port), monkeypatch)
        configure(lock_timeout=0.3)
        with pytest.raises(StorageReadError, match=r"standby|recovery") as caught:
            load_data_file(own_folder / DOCUMENTS[0])
        assert_nothing_secret(caught.value, own_store)
        with pytest.raises(StorageWriteError, match=r"standby|recovery"):
            save_json_atomic(own_folder / DOCUMENTS[0], 1)
        # The primary comes after the standby.
        both = own_store.url().replace(f"@{HOST}:", f"@{HOST}:{standby.port},{HOST}:", 1)
        map_folder(own_folder, both, monkeypatch)
        save_json_atomic(own_folder / DOCUMENTS[0], 2)
        assert load_data_file(own_folder / DOCUMENTS[0], strict=True) == 2


def test_a_server_that_restarts_is_waited_for(own_server: Server, own_folder: Path) -> None:
    own_server.stop()
    configure(lock_timeout=0.2)
    for act in (
        lambda: load_data_file(own_folder / DOCUMENTS[0]),
        lambda: save_json_atomic(own_folder / DOCUMENTS[0], ["new"]),
    ):
        with pytest.raises((StorageReadError, StorageWriteError)) as caught:
            act()
        assert caught.value.errno == errno.ECONNREFUSED
    own_server.start()
    configure(lock_timeout=30)
    save_json_atomic(own_folder / DOCUMENTS[0], ["new"])
    assert load_data_file(own_folder / DOCUMENTS[0]) == ["new"]


def test_operators_have_a_view(store: Store, database: Path) -> None:
    # The view of the documentation, as it stands there.
    page = (ROOT / "docs" / "how-to" / "hosts.md").read_text()
    (view,) = re.findall(r"```text\n(CREATE FUNCTION .*?)```", page, flags=re.DOTALL)
    store.connection.execute(view.replace("refinery.", f"{store.schema}."))
    save_json_atomic(database / "tanks.json", {"Tank1": {"level": 350}})
    save_json_atomic(database / "null.json", ["\0"])
    (database / "torn.json").write_bytes(b'{"lev')
    save_json_atomic(database / "gone.json", 1)
    delete_json_atomic(database / "gone.json")
    found = store.connection.execute("SELECT name, content FROM documents ORDER BY name")
    assert found.fetchall() == [
        ("null.json", None),
        ("tanks.json", {"Tank1": {"level": 350}}),
        ("torn.json", None),
    ]


def test_a_batch_names_the_document_that_it_waited_for(database: Path) -> None:
    paths = [database / name for name in ("a.json", "b.json", "c.json")]
    save_many_atomic({path: {"level": 1} for path in paths})
    with editor_of(paths[1]) as editor, pytest.raises(LockTimeoutError) as caught:
        save_many_atomic({path: {"level": 2} for path in paths}, timeout=0.2)
    assert caught.value.file_path == str(paths[1])
    assert caught.value.holder == editor.pid
    assert [load_data_file(path) for path in paths] == [{"level": 1}] * 3


def test_a_statement_that_a_server_has_lost_is_prepared_anew(store: Store, database: Path) -> None:
    path = database / "tanks.json"
    save_json_atomic(path, {"level": 1})
    assert load_data_file(path, copy=False) == {"level": 1}
    # Each connection of the application loses its statements, as a pooler loses them.
    lose = "ALTER TABLE document ALTER COLUMN saved_at TYPE timestamptz(6)"
    with store.connect(OWNER) as owner:
        owner.execute(lose)
        owner.execute("ALTER TABLE document ALTER COLUMN version TYPE varchar(64)")
    clear_all_cache()
    assert load_data_file(path, strict=True) == {"level": 1}
    save_json_atomic(path, {"level": 2})
    assert load_data_file(path, strict=True) == {"level": 2}


def test_a_connection_that_its_server_has_ended_is_not_used_for_a_save(
    store: Store, database: Path
) -> None:
    path = database / "tanks.json"
    save_json_atomic(path, {"level": 0})
    end = "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE usename = %s"
    for level in range(1, 4):
        # A save that is sent on such a connection is one of which the client knows nothing.
        store.connection.execute(end, [APPLICATION])
        save_json_atomic(path, {"level": level}, timeout=0)
    assert load_data_file(path) == {"level": 3}


def test_a_killed_client_leaves_no_lock_and_no_change(database: Path) -> None:
    path = database / "tanks.json"
    save_json_atomic(path, {"level": 1})
    with editor_of(path) as editor:
        with pytest.raises(LockTimeoutError) as caught:
            save_json_atomic(path, 2, timeout=0.2)
        assert caught.value.holder == editor.pid
        assert caught.value.holder_host == os.uname().nodename
        editor.kill()
        with edit_json(path, timeout=5) as document:
            assert document == {"level": 1}


def test_a_stopped_client_loses_its_lock_after_a_while(
    store: Store, database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = database / "tanks.json"
    save_json_atomic(path, {"level": 1})
    editing = EDITOR.replace("import edit_json", "import configure, edit_json").replace(
        "with edit_json", "configure(edit_timeout=0.5)\nwith edit_json", 1
    )
    monkeypatch.setitem(globals(), "EDITOR", editing)
    with editor_of(path) as editor:
        editor.send_signal(signal.SIGSTOP)
        save_json_atomic(path, {"level": 2}, timeout=20)
        editor.send_signal(signal.SIGCONT)
        assert editor.stdin
        editor.stdin.close()
        # It is told that its lock is gone, and changes nothing.
        assert editor.wait(20) == 1
    assert load_data_file(path) == {"level": 2}


@pytest.mark.parametrize("held", ["save", "edit", "load"])
def test_ctrl_c_ends_a_wait_at_once(store: Store, database: Path, held: str) -> None:
    path = database / "tanks.json"
    save_json_atomic(path, {"level": 1})
    waiting = {
        "save": "save_json_atomic(sys.argv[1], 2, timeout=60)",
        "edit": "edit_json(sys.argv[1], timeout=60).__enter__()",
        "load": "load_data_file(sys.argv[1])",
    }[held]
    code = (
        "import sys\nfrom oasis_data import *\nconfigure(lock_timeout=60)\n"
        f"print('waiting', flush=True)\n{waiting}"
    )
    with store.connect() as holder, holder.transaction():
        # An exclusive lock of the table holds up a load too.
        holder.execute("LOCK TABLE document IN ACCESS EXCLUSIVE MODE")
        process = subprocess.Popen(
            [sys.executable, "-c", code, path],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        with process:
            assert process.stdout
            assert process.stdout.readline() == "waiting\n"
            wait_until_somebody_waits(store)
            process.send_signal(signal.SIGINT)
            _, told = process.communicate(timeout=10)
        assert process.returncode != 0
        assert "KeyboardInterrupt" in told
    assert load_data_file(path) == {"level": 1}


def wait_until_somebody_waits(store: Store) -> None:
    waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
    while store.connection.execute(waiting).fetchone() == (0,):
        pass


def test_a_role_without_rights_is_told_so(
    store: Store, database: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save_json_atomic(database / "tanks.json", 1)
    with store.connect(OWNER) as owner:
        owner.execute(f"REVOKE INSERT, UPDATE ON document, revision FROM {APPLICATION}")
    with pytest.raises(WritePermissionError, match="grant") as caught:
        save_json_atomic(database / "tanks.json", 2)
    assert_nothing_secret(caught.value, store)
    assert load_data_file(database / "tanks.json") == 1
    with store.connect(OWNER) as owner:
        owner.execute(f"REVOKE SELECT ON document FROM {APPLICATION}")
    with pytest.raises(ReadPermissionError) as told:
        load_data_file(database / "tanks.json")
    assert_nothing_secret(told.value, store)


def test_a_wrong_password_is_told_and_not_shown(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = store.url().replace(store.server.passwords[APPLICATION], "very-secret")
    folder = tmp_path / "stored"
    map_folder(folder, url, monkeypatch)
    with pytest.raises(ReadPermissionError) as caught:
        load_data_file(folder / "tanks.json")
    assert "very-secret" not in repr(caught.value) + str(caught.value)
    settings = configure()
    assert "very-secret" not in json.dumps(settings)
    assert settings["stores"][str(folder)].startswith(f"postgresql://{APPLICATION}:***@")
    # What is told can be given back; elsewhere it is not a URL.
    assert configure(stores=settings["stores"])["stores"] == settings["stores"]
    with pytest.raises(ReadPermissionError):
        load_data_file(folder / "tanks.json")
    with pytest.raises(ValueError, match=r"\*\*\* in place of its password"):
        configure(stores={"/srv/other": settings["stores"][str(folder)]})


@pytest.mark.parametrize("change", ["DROP TABLE meta, revision, document", "nothing"])
def test_a_schema_without_tables_says_what_to_do(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    url = store.url()
    if change == "nothing":
        url = url.replace(store.schema, "not_there")
    else:
        with store.connect(OWNER) as owner:
            owner.execute(change)
    map_folder(tmp_path / "stored", url, monkeypatch)
    for act in (load_data_file, lambda path: save_json_atomic(path, 1)):
        with pytest.raises((StorageReadError, StorageWriteError), match="oasis-data init"):
            act(tmp_path / "stored" / "tanks.json")


def test_tables_of_another_format_are_refused(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with store.connect(OWNER) as owner:
        owner.execute("UPDATE meta SET format = 99")
    map_folder(tmp_path / "stored", store.url(), monkeypatch)
    with pytest.raises((StorageReadError, StorageWriteError), match=r"99|format|release"):
        save_json_atomic(tmp_path / "stored" / "tanks.json", 1)


def test_nothing_is_written_to_the_folder(database: Path, tmp_path: Path) -> None:
    save_json_atomic(database / "deep" / "tanks.json", 1, make_parents=True)
    with edit_json(database / "deep" / "tanks.json", default={}) as document:
        assert document == 1
    assert everything_in(tmp_path) == []


def test_tls_is_verified(
    own_server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = make_store(own_server)
    own_server.stop()
    certificate = own_server.enable_tls()
    own_server.start()
    trusted = store.url(sslmode="verify-full", sslrootcert=str(certificate))
    map_folder(tmp_path / "stored", trusted, monkeypatch)
    save_json_atomic(tmp_path / "stored" / "tanks.json", 1)
    with store.connect() as connection:
        used = connection.execute(
            "SELECT bool_and(ssl) FROM pg_stat_ssl JOIN pg_stat_activity USING (pid)"
            " WHERE application_name LIKE 'oasis-data%'"
        )
        assert used.fetchone() == (True,)
    # An authority that did not sign it.
    other = tmp_path / "other.crt"
    own_server.call("/usr/bin/openssl", *OTHER, "-out", str(own_server.folder / "other.crt"))
    other.write_bytes((own_server.folder / "other.crt").read_bytes())
    map_folder(
        tmp_path / "stored", store.url(sslmode="verify-full", sslrootcert=str(other)), monkeypatch
    )
    configure(lock_timeout=1)
    with pytest.raises(StorageReadError) as caught:
        load_data_file(tmp_path / "stored" / "tanks.json")
    assert_nothing_secret(caught.value, store)


OTHER = (
    *("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"),
    *("-subj", "/CN=other", "-keyout", "/dev/null"),
)
