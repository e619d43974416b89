"""Documents in PostgreSQL beside the same by hand, and beside two mappers.

    python benches/stores.py [write | MILLISECONDS]

All in one run against one private server: the package, psycopg with the same statements, psycopg
with one `jsonb` column, SQLAlchemy and Django's ORM with JSON columns, and the package's files.
With a number of milliseconds the connections go over a proxy that takes that long both ways.
`write` measures without, then half a millisecond away, and puts both into docs/benchmarks.md.
"""

from __future__ import annotations

import json
import secrets
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from queue import SimpleQueue
from socket import SHUT_WR, create_connection, create_server, socket
from typing import Any

import corpora
import django
import orjson
import psycopg
import report
import sqlalchemy
from django.conf import settings
from measure import Contenders, Row, take_turns
from psycopg.types.json import Jsonb
from report import table
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

sys.path.insert(0, str(Path(__file__).parent.parent))

import oasis_data
from oasis_data import _native
from tests.postgres.server import HOST, SUPERUSER, Server, find_programs, new_server

SIZES = (4_000, 64_000, 1_000_000)

LOAD = """SELECT d.save, d.version, d.size, r.content FROM document d
LEFT JOIN revision r ON r.name = d.name AND r.number = d.number WHERE d.name = %s"""
UPSERT = """INSERT INTO document AS d VALUES (%s, 1, %s, %s, %s, clock_timestamp())
ON CONFLICT (name) DO UPDATE SET number = d.number + 1, save = excluded.save,
version = excluded.version, size = excluded.size,
saved_at = greatest(clock_timestamp(), d.saved_at + interval '1 microsecond')
WHERE d.version IS DISTINCT FROM excluded.version RETURNING number"""
REVISION = """INSERT INTO revision (save, name, number, version, size, content, saved_at)
SELECT save, name, number, version, size, %s, saved_at FROM document
WHERE name = %s AND save = %s"""
PRUNE = """UPDATE revision r SET content = NULL FROM document d WHERE d.name = %s
AND r.name = d.name AND r.number <= d.number - 11 AND r.number > d.number - 139
AND r.content IS NOT NULL"""


class ByHand:
    """psycopg and orjson, with the statements of the package."""

    def __init__(self, conninfo: str) -> None:
        """Connects."""
        self.connection = psycopg.connect(conninfo, autocommit=True, prepare_threshold=0)

    def probe(self, name: str) -> None:
        """Asks which save is the newest."""
        self.connection.execute("SELECT save FROM document WHERE name = %s", [name]).fetchone()

    def load(self, name: str) -> Any:
        """Loads a document."""
        (row,) = self.connection.execute(LOAD, [name], binary=True)
        return orjson.loads(row[3])

    def save(self, name: str, document: Any) -> None:
        """Saves a document."""
        with self.connection.pipeline(), self.connection.transaction():
            self.write(name, document)

    def write(self, name: str, document: Any) -> None:
        """Sends what a save is."""
        text = orjson.dumps(document, option=orjson.OPT_INDENT_2)
        save, version = uuid.uuid4(), secrets.token_hex(16)
        execute = self.connection.execute
        execute("SELECT set_config('lock_timeout', '10s', true)")
        execute(UPSERT, [name, save, version, len(text)])
        execute(REVISION, [text, name, save])
        execute(PRUNE, [name])

    def edit(self, name: str, change: Callable[[Any], None]) -> None:
        """In the usual five trips: begin, lock and load, two changes, commit."""
        with self.connection.transaction():
            self.connection.execute("SELECT FROM document WHERE name = %s FOR UPDATE", [name])
            document = self.load(name)
            change(document)
            text = orjson.dumps(document, option=orjson.OPT_INDENT_2)
            save, version = uuid.uuid4(), secrets.token_hex(16)
            self.connection.execute(UPSERT, [name, save, version, len(text)])
            self.connection.execute(REVISION, [text, name, save])

    def edit_in_two(self, name: str, change: Callable[[Any], None]) -> None:
        """In two trips, with what a save of the package is: what such an edit cannot be without."""
        execute = self.connection.execute
        with self.connection.pipeline():
            execute("BEGIN")
            execute("SELECT FROM document WHERE name = %s FOR UPDATE", [name])
            document = self.load(name)
            change(document)
            self.write(name, document)
            execute("COMMIT")


class WithJsonb:
    """psycopg, with one table of `jsonb`."""

    def __init__(self, conninfo: str) -> None:
        """Connects."""
        self.connection = psycopg.connect(conninfo, autocommit=True, prepare_threshold=0)
        self.connection.execute("CREATE TABLE plain (name text PRIMARY KEY, body jsonb NOT NULL)")

    def load(self, name: str) -> Any:
        """Loads a document."""
        ((body,),) = self.connection.execute("SELECT body FROM plain WHERE name = %s", [name])
        return body

    def save(self, name: str, document: Any) -> None:
        """Saves a document."""
        self.connection.execute(
            "INSERT INTO plain VALUES (%s, %s)"
            " ON CONFLICT (name) DO UPDATE SET body = excluded.body",
            [name, Jsonb(document)],
        )


class Base(DeclarativeBase):
    """SQLAlchemy's tables."""


class Mapper(Base):
    """A document as SQLAlchemy maps it."""

    __tablename__ = "mapper"
    name: Mapped[str] = mapped_column(primary_key=True)
    body: Mapped[Any] = mapped_column(JSONB)


class WithSQLAlchemy:
    """SQLAlchemy's ORM."""

    def __init__(self, url: str) -> None:
        """Connects."""
        self.engine = sqlalchemy.create_engine(
            url.replace("postgresql://", "postgresql+psycopg://")
        )
        Base.metadata.create_all(self.engine)

    def load(self, name: str) -> Any:
        """Loads a document."""
        with Session(self.engine) as session:
            return session.get_one(Mapper, name).body

    def save(self, name: str, document: Any) -> None:
        """Saves a document."""
        with Session(self.engine) as session:
            session.merge(Mapper(name=name, body=document))
            session.commit()


class WithDjango:
    """Django's ORM."""

    def __init__(self, server: Server, port: int) -> None:
        """Connects."""
        database = {
            "ENGINE": "django.db.backends.postgresql",
            "NAME": "postgres",
            "HOST": HOST,
            "PORT": port,
            "USER": SUPERUSER,
            "PASSWORD": server.passwords[SUPERUSER],
            "CONN_MAX_AGE": None,
        }
        settings.configure(DATABASES={"default": database}, INSTALLED_APPS=[])
        django.setup()
        from django.db import connection, models

        class Document(models.Model):
            name = models.TextField(primary_key=True)
            body = models.JSONField()

            class Meta:
                app_label = "benches"

        with connection.schema_editor() as editor:
            editor.create_model(Document)
        self.model: Any = Document

    def load(self, name: str) -> Any:
        """Loads a document."""
        return self.model.objects.get(name=name).body

    def save(self, name: str, document: Any) -> None:
        """Saves a document."""
        self.model.objects.update_or_create(name=name, defaults={"body": document})


@dataclass
class Bench:
    """The contenders, each ready."""

    package: Path
    files: Path
    by_hand: ByHand
    jsonb: WithJsonb
    sqlalchemy: WithSQLAlchemy
    django: WithDjango

    def probes(self, name: str, document: Any) -> dict[str, float]:
        """Loads of what is cached."""
        path, file = self.package / name, self.files / name
        for each in (path, file):
            oasis_data.save_json_atomic(each, document)
            for _ in range(3):
                oasis_data.load_data_file(each)
        self.by_hand.probe(name)
        contenders: Contenders = {
            "bare select": lambda: self.by_hand.probe(name),
            "oasis_data": lambda: oasis_data.load_data_file(path, copy=False),
            "files": lambda: oasis_data.load_data_file(file, copy=False),
        }
        return take_turns(contenders)

    def loads(self, name: str) -> dict[str, float]:
        """Loads of what is not cached."""
        path, file = self.package / name, self.files / name
        contenders: Contenders = {
            "psycopg, jsonb": lambda: self.jsonb.load(name),
            "psycopg, the same": lambda: self.by_hand.load(name),
            "SQLAlchemy": lambda: self.sqlalchemy.load(name),
            "Django": lambda: self.django.load(name),
            "oasis_data": lambda: oasis_data.load_data_file(path),
            "files": lambda: oasis_data.load_data_file(file),
        }
        return take_turns(contenders, before=oasis_data.clear_all_cache, seconds=3)

    def saves(self, name: str, document: Any) -> dict[str, float]:
        """Saves of a document that has changed."""
        path, file = self.package / name, self.files / name
        numbers = iter(range(10**9))

        def changed() -> Any:
            return {"number": next(numbers), "document": document}

        def save(path: Path) -> None:
            oasis_data.save_json_atomic(path, changed())

        contenders: Contenders = {
            "psycopg, the same": lambda: self.by_hand.save(name, changed()),
            "SQLAlchemy, no history": lambda: self.sqlalchemy.save(name, changed()),
            "Django, no history": lambda: self.django.save(name, changed()),
            "psycopg, jsonb, no history": lambda: self.jsonb.save(name, changed()),
            "oasis_data": lambda: save(path),
            "files": lambda: save(file),
        }
        return take_turns(contenders, seconds=5)

    def edits(self, name: str) -> dict[str, float]:
        """Loads, changes and saves under a lock."""

        def change(document: Any) -> None:
            document["number"] = time.perf_counter()

        def edit(path: Path) -> None:
            with oasis_data.edit_json(path) as document:
                change(document)

        contenders: Contenders = {
            "psycopg, five trips": lambda: self.by_hand.edit(name, change),
            "psycopg, two trips": lambda: self.by_hand.edit_in_two(name, change),
            "oasis_data": lambda: edit(self.package / name),
            "files": lambda: edit(self.files / name),
        }
        return take_turns(contenders, seconds=3)

    def batches(self, document: Any) -> dict[str, float]:
        """Sixty-four documents at once."""
        names = [f"batch{number}.json" for number in range(64)]

        def changed(folder: Path) -> dict[Path, Any]:
            return {folder / name: [time.perf_counter(), document] for name in names}

        def singly() -> None:
            for path, each in changed(self.package).items():
                oasis_data.save_json_atomic(path, each)

        def by_hand() -> None:
            connection = self.by_hand.connection
            with connection.pipeline(), connection.transaction():
                for path, each in changed(self.package).items():
                    self.by_hand.write(f"hand-{path.name}", each)

        contenders: Contenders = {
            "psycopg, pipeline": by_hand,
            "oasis_data, one by one": singly,
            "oasis_data": lambda: oasis_data.save_many_atomic(changed(self.package)),
            "files": lambda: oasis_data.save_many_atomic(changed(self.files)),
        }
        return take_turns(contenders, seconds=6)


@contextmanager
def wire_of(port: int, milliseconds: float) -> Iterator[int]:
    """A port that leads to the server, half as many milliseconds away in each direction."""
    if not milliseconds:
        yield port
        return
    listener = create_server((HOST, 0))

    def carry(source: socket, sink: socket) -> None:
        # What follows does not wait until this has arrived: several packets are on a wire at once.
        on_its_way: SimpleQueue[tuple[float, bytes]] = SimpleQueue()
        threading.Thread(target=deliver, args=(on_its_way, sink), daemon=True).start()
        while data := source.recv(1 << 16):
            on_its_way.put((time.perf_counter() + milliseconds / 2_000, data))
        on_its_way.put((0.0, b""))

    def deliver(on_its_way: SimpleQueue[tuple[float, bytes]], sink: socket) -> None:
        while True:
            due, data = on_its_way.get()
            if not data:
                sink.shutdown(SHUT_WR)
                return
            # A sleep is too coarse for half a millisecond.
            time.sleep(max(0.0, due - time.perf_counter() - 0.0001))
            while time.perf_counter() < due:
                pass
            sink.sendall(data)

    def accept() -> None:
        while True:
            client, _ = listener.accept()
            server = create_connection((HOST, port))
            for ends in ((client, server), (server, client)):
                ends[0].setsockopt(6, 1, 1)
                threading.Thread(target=carry, args=ends, daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    yield listener.getsockname()[1]


@contextmanager
def prepared(milliseconds: float) -> Iterator[Bench]:
    """All contenders on one new server."""
    programs = find_programs()
    if programs is None:
        sys.exit("PostgreSQL is missing. On Debian: apt-get install postgresql")
    with ExitStack() as stack:
        server = stack.enter_context(new_server(programs))
        server.start()
        scratch = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        port = stack.enter_context(wire_of(server.port, milliseconds))
        url = server.url(SUPERUSER, port=port, schema="bench", sslmode="disable", prepare="on")
        _native.init_store(url)
        oasis_data.configure(stores={str(scratch / "stored"): url})
        (scratch / "files").mkdir()
        through = {"port": str(port), "sslmode": "disable"}
        path = {"options": "-csearch_path=hand"}
        _native.init_store(server.url(SUPERUSER, schema="hand", sslmode="disable"))
        yield Bench(
            scratch / "stored",
            scratch / "files",
            ByHand(server.conninfo(SUPERUSER, **through, **path)),
            WithJsonb(server.conninfo(SUPERUSER, **through)),
            WithSQLAlchemy(server.url(SUPERUSER, port=port, sslmode="disable")),
            WithDjango(server, port),
        )


def measure(milliseconds: float) -> list[str]:
    """Prints every table; returns them."""
    rows: dict[str, list[Row]] = {}
    with prepared(milliseconds) as bench:
        for size in SIZES:
            document = corpora.schedule(size)
            name = f"schedule{size}.json"
            length = len(json.dumps(document, indent=2))
            measured = {
                "A load of a document that has not changed, lent": bench.probes(name, document),
                "A save, durable": bench.saves(name, document),
                "A first load": bench.loads(name),
                "An edit": bench.edits(name),
            }
            for title, medians in measured.items():
                rows.setdefault(title, []).append(Row("schedule", length, medians))
        small = corpora.schedule(2_000)
        length = len(json.dumps(small, indent=2))
        rows["A batch"] = [Row("64 documents", length, bench.batches(small))]
    away = f", {milliseconds} ms away" if milliseconds else ""
    return [table(f"{title}{away}", each) for title, each in rows.items()]


def main() -> None:
    """Prints every table, and writes them if asked to."""
    asked = sys.argv[1] if len(sys.argv) > 1 else "0"
    if asked == "write":
        # Each in a process of its own: Django is set up once in a process.
        with get_context("spawn").Pool(1, maxtasksperchild=1) as processes:
            tables = processes.map(measure, [0.0, 0.5], chunksize=1)
        report.put("stores", tables[0] + tables[1])
    else:
        measure(float(asked))


if __name__ == "__main__":
    main()
