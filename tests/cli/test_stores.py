"""`init`, `import` and `export`: every byte and every backup, again and again."""

from __future__ import annotations

import gzip
import json
import os
import re
import shlex
from pathlib import Path

import pytest

from oasis_data import (
    _native,
    configure,
    delete_json_atomic,
    list_backups,
    load_data_file,
    prune_backups,
    restore_backup,
    save_json_atomic,
)
from tests.cli.console import Ran, run
from tests.conftest import backups, everything_in
from tests.postgres.fixtures import APPLICATION, OWNER, Store, map_folder
from tests.postgres.proxy import CLIENT, Break, proxy_of
from tests.postgres.server import SUPERUSER, Server


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Documents of every kind, with histories."""
    folder = tmp_path / "data"
    folder.mkdir()
    tanks = folder / "tanks.json"
    for level in range(4):
        save_json_atomic(tanks, {"level": level})
    tanks.write_bytes(b'{"level":\n 1e2,"level":7}\n\n')
    (folder / "torn.json").write_bytes(b'{"lev')
    (folder / "deep" / "er").mkdir(parents=True)
    save_json_atomic(folder / "deep" / "er" / "Ä name.json", None)
    save_json_atomic(folder / "gone.json", 1)
    delete_json_atomic(folder / "gone.json")
    configure(backups_compressed_above=0)
    for level in range(3):
        save_json_atomic(folder / "large.json", [level] * 100)
    configure(backups_compressed_above=float("inf"))
    return folder


def imported(folder: Path, store: Store, *options: str) -> Ran:
    return run("import", folder, store.url(), *options)


def exported(store: Store, folder: Path, *options: str) -> Ran:
    return run("export", store.url(), folder, *options)


def contents(folder: Path) -> dict[str, bytes]:
    """The documents and their backups, without the package's own folders."""
    return {
        name: (folder / name).read_bytes()
        for name in everything_in(folder)
        if (folder / name).is_file() and ".oasis_data" not in name
    }


def plain(found: dict[str, bytes]) -> dict[str, bytes]:
    """The same with the compressed backups as they were before."""
    return {
        name.removesuffix(".gz"): gzip.decompress(raw) if name.endswith(".gz") else raw
        for name, raw in found.items()
    }


def test_init_makes_the_tables_once(postgres: Server, schema: str) -> None:
    url = postgres.url(OWNER, schema=schema, sslmode="disable")
    first, second = run("init", url), run("init", url)
    assert (first.status, second.status) == (0, 0)
    assert "are made" in first.out
    assert "there already" in second.out
    assert "GRANT SELECT, INSERT, UPDATE, DELETE" in first.out


def test_init_without_the_right_says_so(postgres: Server, schema: str) -> None:
    ran = run("init", postgres.url(APPLICATION, schema=schema, sslmode="disable"))
    assert ran.status == 3
    assert "GRANT CREATE ON DATABASE" in ran.err
    assert "Traceback" not in ran.err
    assert_nothing_secret(ran, postgres)


@pytest.mark.parametrize(
    "url", ["", "mysql://a/b", "postgresql://h/d?schema=", "postgresql://h:x/d"]
)
def test_a_url_that_cannot_be_used_is_told(url: str, tmp_path: Path) -> None:
    for command in (["init", url], ["import", tmp_path, url], ["export", url, tmp_path]):
        ran = run(*command)
        assert ran.status == 3, ran
        assert "postgresql://USER@HOST/DATABASE" in ran.err
        assert "Traceback" not in ran.err


def test_a_server_that_is_not_there_is_told_and_no_secret(tmp_path: Path) -> None:
    url = "postgresql://me:very-secret@127.0.0.1:1/plant?schema=refinery"
    for command in (["init", url], ["import", tmp_path, url], ["export", url, tmp_path]):
        ran = run(*command)
        assert ran.status == 3, ran
        assert "very-secret" not in ran.err + ran.out
        assert "Traceback" not in ran.err


def test_an_import_connects_once(folder: Path, store: Store) -> None:
    with proxy_of(store.server.port) as proxy:
        ran = run("import", folder, store.url(port=proxy.port))
        assert (ran.status, ran.err) == (0, "")
        assert proxy.connections == 1


def test_every_byte_and_every_backup_goes_there_and_back(
    folder: Path, store: Store, tmp_path: Path
) -> None:
    before = contents(folder)
    ran = imported(folder, store)
    assert (ran.status, ran.err) == (0, "")
    assert contents(folder) == before
    ran = exported(store, tmp_path / "back")
    assert (ran.status, ran.err) == (0, "")
    assert contents(tmp_path / "back") == plain(before)


def test_what_was_imported_is_loaded_listed_and_restored(
    folder: Path, store: Store, database: Path
) -> None:
    imported(folder, store)
    assert load_data_file(database / "tanks.json") == {"level": 7}
    names = [Path(each.path).name for each in list_backups(folder / "tanks.json")]
    assert [Path(each.path).name for each in list_backups(database / "tanks.json")] == names
    assert load_data_file(database / "deep" / "er" / "Ä name.json") is None
    restore_backup(database / "gone.json")
    assert load_data_file(database / "gone.json") == 1
    save_json_atomic(database / "tanks.json", {"level": 8})
    kept = [each.read_bytes() for each in backups(database / "tanks.json")]
    assert kept[-1] == b'{"level":\n 1e2,"level":7}\n\n'
    assert len(kept) == len(names) + 1


def test_again_is_nothing(folder: Path, store: Store, tmp_path: Path) -> None:
    imported(folder, store)
    rows = store.connection.execute("SELECT * FROM revision ORDER BY name, number").fetchall()
    again = imported(folder, store)
    assert again.status == 0
    assert again.out.startswith("0 documents imported")
    assert (
        store.connection.execute("SELECT * FROM revision ORDER BY name, number").fetchall() == rows
    )
    back = tmp_path / "back"
    exported(store, back)
    stamps = {name: (back / name).stat() for name in contents(back)}
    again = exported(store, back)
    assert again.status == 0
    assert again.out.startswith("0 documents written")
    assert {name: (back / name).stat() for name in contents(back)} == stamps


def test_what_was_saved_since_goes_the_same_way(
    folder: Path, store: Store, database: Path, tmp_path: Path
) -> None:
    imported(folder, store)
    save_json_atomic(folder / "tanks.json", {"level": "newer"})
    ran = imported(folder, store)
    assert ran.status == 0
    assert ran.out.startswith("1 document imported")
    assert load_data_file(database / "tanks.json") == {"level": "newer"}
    # And back: over the files that were imported.
    save_json_atomic(database / "tanks.json", {"level": "newest"})
    delete_json_atomic(database / "torn.json")
    ran = exported(store, folder)
    assert (ran.status, ran.err) == (0, "")
    assert load_data_file(folder / "tanks.json") == {"level": "newest"}
    assert not (folder / "torn.json").exists()
    assert b'{"lev' in [each.read_bytes() for each in backups(folder / "torn.json")]
    exported(store, tmp_path / "back")
    assert plain(contents(folder)).items() >= contents(tmp_path / "back").items()


def test_what_only_the_store_has_is_not_overwritten(
    folder: Path, store: Store, database: Path
) -> None:
    imported(folder, store)
    save_json_atomic(database / "tanks.json", {"level": "of the store"})
    save_json_atomic(folder / "tanks.json", {"level": "of the files"})
    ran = imported(folder, store)
    assert ran.status == 1
    assert "tanks.json: the store has contents of it that the files have not" in ran.out
    assert load_data_file(database / "tanks.json") == {"level": "of the store"}
    assert imported(folder, store, "--replace").status == 0
    assert load_data_file(database / "tanks.json") == {"level": "of the files"}


def test_what_only_the_files_have_is_not_overwritten(
    folder: Path, store: Store, database: Path
) -> None:
    imported(folder, store)
    save_json_atomic(folder / "tanks.json", {"level": "of the files"})
    ran = exported(store, folder)
    assert ran.status == 1
    assert "tanks.json: the file holds what the store has not" in ran.out
    assert load_data_file(folder / "tanks.json") == {"level": "of the files"}
    assert exported(store, folder, "--replace").status == 0
    assert load_data_file(folder / "tanks.json") == {"level": 7}


def test_files_are_moved_where_the_setting_is_in_force_already(
    folder: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = contents(folder)
    map_folder(folder, store.url(), monkeypatch)
    ran = imported(folder, store)
    assert ran.status == 0, ran
    assert "5 documents imported" in ran.out
    save_json_atomic(folder / "gone.json", 2)
    ran = exported(store, folder)
    assert ran.status == 0, ran
    assert contents(folder)["gone.json"] == b"2"
    assert contents(folder).items() > before.items()
    # The setting is what it was.
    assert load_data_file(folder / "gone.json") == 2
    assert list(configure()["stores"]) == [str(folder)]


def test_a_symlink_becomes_a_document_of_its_own(folder: Path, store: Store) -> None:
    (folder / "link.json").symlink_to("tanks.json")
    ran = imported(folder, store)
    assert ran.status == 0, ran
    assert "link.json: a symlink; in the store it is a document of its own" in ran.out


def test_a_name_that_is_not_utf_8_is_told_and_left_alone(folder: Path, store: Store) -> None:
    named = os.fsencode(folder) + b"/first\xff.json"
    with open(named, "wb") as file:
        file.write(b"1")
    ran = imported(folder, store)
    assert ran.status == 1
    assert "the name is not UTF-8" in ran.out
    assert "5 documents imported and read back, 0 there already, 1 not imported" in ran.out


def test_no_name_leads_out_of_the_folder(store: Store, tmp_path: Path) -> None:
    for name in ("../out.json", "/tmp/out.json", "a/../../out.json"):
        _native.store_put(store.url(), name, [], (b"1", 0.0), replace=True)
    ran = exported(store, tmp_path / "back")
    assert ran.status == 1
    assert ran.out.count("would lie outside the folder") == 3
    assert not list(tmp_path.rglob("out.json"))


def test_a_folder_in_the_place_of_a_document_is_told(store: Store, tmp_path: Path) -> None:
    for name in ("a.json", "b.json"):
        _native.store_put(store.url(), name, [], (b"1", 0.0), replace=True)
    (tmp_path / "back" / "a.json").mkdir(parents=True)
    ran = exported(store, tmp_path / "back")
    assert ran.status == 1
    assert "a.json: Is a directory" in ran.out
    assert contents(tmp_path / "back") == {"b.json": b"1"}


def test_no_name_leads_among_locks_and_journals(store: Store, tmp_path: Path) -> None:
    save_json_atomic(tmp_path / "a.json", 1)
    with store.connect(SUPERUSER) as superuser:
        _native.store_put(store.url(), "journal", [], (b"1", 0.0), replace=True)
        for table in ("document", "revision"):
            superuser.execute(f"UPDATE {table} SET name = '.oasis_data/journal'")
    ran = exported(store, tmp_path)
    assert ran.status == 1
    assert "would lie among locks and journals" in ran.out
    assert load_data_file(tmp_path / "a.json", strict=True) == 1


def test_a_name_may_be_as_long_as_that_of_a_file(store: Store, tmp_path: Path) -> None:
    name = "\N{THAI CHARACTER KO KAI}" * 85  # 255 bytes
    _native.store_put(store.url(), "short", [], (b"1", 0.0), replace=True)
    with store.connect(SUPERUSER) as superuser:
        for table in ("document", "revision"):
            superuser.execute(f"UPDATE {table} SET name = %s", [name])
    assert exported(store, tmp_path / "back").status == 0
    assert contents(tmp_path / "back") == {name: b"1"}


@pytest.mark.parametrize("number", [20, 60])
def test_a_command_that_was_cut_short_is_run_again(
    folder: Path, store: Store, tmp_path: Path, number: int
) -> None:
    before = contents(folder)
    with proxy_of(store.server.port) as proxy:
        proxy.set_break(Break(CLIENT, number, passes=False, action="cut"))
        run("import", folder, store.url(port=proxy.port))
    imported(folder, store)
    exported(store, tmp_path / "back")
    assert contents(tmp_path / "back") == plain(before)


def test_damage_in_the_store_is_found(folder: Path, store: Store, tmp_path: Path) -> None:
    imported(folder, store)
    with store.connect(SUPERUSER) as superuser:
        superuser.execute("UPDATE revision SET content = 'x', size = 1 WHERE name = 'torn.json'")
    ran = exported(store, tmp_path / "back")
    assert ran.status == 1
    assert "torn.json" in ran.out
    assert not (tmp_path / "back" / "torn.json").exists()


@pytest.mark.parametrize("of", ["its newest backup", "the document"])
def test_what_is_damaged_is_told_and_the_rest_is_moved_and_shown(
    folder: Path, store: Store, database: Path, of: str
) -> None:
    imported(folder, store)
    tanks = database / "tanks.json"
    newest, whole = (backup.path for backup in list_backups(tanks)[:2])
    number = "number" if of == "the document" else "number - 1"
    with store.connect(SUPERUSER) as superuser:
        superuser.execute(
            "UPDATE revision SET content = 'x', size = 1 WHERE name = 'tanks.json'"
            f" AND number = (SELECT {number} FROM document WHERE name = 'tanks.json')"
        )
    ran = run("verify", "--json", database)
    damaged = str(tanks) if of == "the document" else newest
    told = {each["path"]: each["problem"] for each in json.loads(ran.out)["findings"]}
    assert told.keys() == {damaged, str(database / "torn.json")}, ran
    assert "the database is damaged" in told[damaged]
    # What is in the file is old: an export would replace it, and has nothing to put there.
    (folder / "tanks.json").write_bytes((folder / Path(whole).name).read_bytes())
    ran = exported(store, folder)
    assert ran.status == 1, ran
    assert "tanks.json: the database is damaged" in ran.out
    assert (folder / "tanks.json").exists()
    ran = imported(folder, store)
    assert "the store has contents of it that the files have not" in ran.out
    assert run("diff", tanks, whole).status == 1
    ran = run("restore", "--yes", tanks, whole)
    assert ran.status == 0, ran
    assert load_data_file(tanks) == {"level": 1}


def test_the_other_commands_take_paths_in_a_store(database: Path) -> None:
    tanks = database / "deep" / "tanks.json"
    for level in range(3):
        save_json_atomic(tanks, {"level": level})
    assert run("verify", database).status == 0
    ran = run("backups", "--json", tanks)
    assert (ran.status, len(json.loads(ran.out))) == (0, 2), ran
    assert "$.level" in run("diff", tanks).out
    ran = run("restore", "--yes", tanks)
    assert ran.status == 0, ran
    assert load_data_file(tanks) == {"level": 1}
    figures = json.loads(run("stats", "--json", database).out)
    assert (figures["files"], figures["backups"], figures["free_bytes"]) == (1, 3, None)
    assert run("stats", database).status == 0
    assert run("prune", "--yes", "--keep", "1", database).status == 0
    assert len(list_backups(tanks)) == 1
    tanks.write_bytes(b'{"lev')
    ran = run("verify", database)
    assert ran.status == 1
    assert "tanks.json" in ran.out
    save_json_atomic(tanks, 1)
    delete_json_atomic(tanks)
    assert "deleted on purpose, or lost" in run("verify", database).out
    assert run("restore", "--yes", tanks).status == 0
    assert load_data_file(tanks) == 1


def test_in_a_store_no_file_is_to_be_removed(database: Path, store: Store) -> None:
    torn, gone = database / "torn.json", database / "gone.json"
    history = [("20260101_000000_000001", b"1"), ("20260101_000000_000002", b'{"lev')]
    _native.store_put(store.url(), "torn.json", history, (b"2", 1.8e9), replace=True)
    save_json_atomic(gone, 1)
    delete_json_atomic(gone)

    ran = run("verify", database)
    assert f"corrupt backup  {database / 'torn.json'}" in ran.out
    assert "it goes when later saves" in ran.out
    pruned = run("prune", "--yes", "--keep", "1", torn)
    advice = re.search(r"keep that one too: oasis-data (.+)", pruned.out)
    assert pruned.status == 1
    assert advice
    assert run(*shlex.split(advice[1]), "--yes").status == 0
    assert len(list_backups(torn)) == 2
    last = run("prune", "--yes", "--keep", "0", gone)
    advice = re.search(r"in the program, (prune_backups\(.+\))$", last.out, re.MULTILINE)
    assert advice
    assert len(list_backups(gone)) == 1
    eval(advice[1], {"prune_backups": prune_backups})
    assert list_backups(gone) == []
    with store.connect(SUPERUSER) as superuser:
        superuser.execute("UPDATE revision SET content = 'x', size = 1 WHERE name = 'torn.json'")
    damaged = run("verify", database)
    assert damaged.out.count("the database is damaged") == 3
    for told in (ran, pruned, last, damaged):
        assert not re.search(r"\brm |\bls |dmesg", told.out + told.err)


def assert_nothing_secret(ran: Ran, server: Server) -> None:
    for word in server.passwords.values():
        assert word not in ran.out + ran.err
