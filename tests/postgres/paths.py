"""Paths of documents in a store: tests look at them as they look at files."""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timezone
from importlib import import_module
from pathlib import PosixPath
from typing import TYPE_CHECKING, Any, ClassVar

from oasis_data import _native

if TYPE_CHECKING:
    from tests.postgres.fixtures import Store

_BACKUP = re.compile(r"(.+)\.backup\.(\d{8}_\d{6}_\d{6})")

_LIVE = "SELECT r.content FROM document d JOIN revision r USING (name, number) WHERE name = %s"
# The content that a change replaced, by the time of the change.
_REPLACED = (
    "SELECT r.save, r.content FROM revision n JOIN revision r "
    "ON r.name = n.name AND r.number = n.number - 1 "
    "WHERE n.name = %s AND n.saved_at = %s AND r.content IS NOT NULL"
)


def version_of(content: bytes) -> str:
    """What the package calls these bytes, found without the package."""
    return str(import_module("blake3").blake3(content).hexdigest()[:32])


@dataclass(frozen=True)
class Stat:
    """What `stat` is to a file."""

    st_ino: object
    st_size: int
    changed: datetime

    @property
    def st_mtime_ns(self) -> int:
        """When the document was saved."""
        return round(self.changed.timestamp() * 1e6) * 1000


class DatabasePath(PosixPath):
    """A path below a folder that lies in a store. Reads and writes rows, by another client."""

    store: ClassVar[Store]
    """Where the rows are. Set by `path_class`."""

    def __reduce__(self) -> tuple[type[PosixPath], tuple[str]]:
        """Another process gets a path of the usual kind."""
        return PosixPath, (str(self),)

    def read_bytes(self) -> bytes:
        """The content of the row, as an operator sees it."""
        content = self._content()
        if content is None:
            raise FileNotFoundError(self)
        return content

    def read_text(self, *_: Any, **__: Any) -> str:
        """The content as text."""
        return self.read_bytes().decode()

    def write_bytes(self, data: Any) -> int:
        """Puts content into the rows, behind the library's back."""
        content = bytes(data)
        connection = self.store.connection
        with connection.transaction():
            if backup := _BACKUP.fullmatch(self.name):
                save, _ = self._replaced(connection, *backup.groups())
                connection.execute(
                    "UPDATE revision SET content = %s, size = %s, version = %s WHERE save = %s",
                    [content, len(content), version_of(content), save],
                )
            else:
                self._put(connection, content)
        return len(content)

    def write_text(self, data: str, *_: Any, **__: Any) -> int:
        """Puts text into the rows, behind the library's back."""
        return self.write_bytes(data.encode())

    def rename(self, target: Any) -> Any:
        """Gives a backup another time, which is that of the change after it."""
        backup = _BACKUP.fullmatch(self.name)
        assert backup, "a document has no other name"
        to = _BACKUP.fullmatch(PosixPath(target).name)
        assert to
        of = self.with_name(backup[1]).document_name()
        self.store.connection.execute(
            "UPDATE revision SET saved_at = %s WHERE name = %s AND saved_at = %s",
            [_time(to[2]), of, _time(backup[2])],
        )
        return target

    def unlink(self, missing_ok: bool = False) -> None:
        """Deletes the document, behind the library's back."""
        connection = self.store.connection
        with connection.transaction():
            self._put(connection, None)

    def exists(self, **_: Any) -> bool:
        """Whether there is a document or a backup of this name."""
        return self._content() is not None

    def stat(self, **_: Any) -> Any:
        """What tells the document from every other: the save that made it."""
        row = self.store.connection.execute(
            "SELECT save, size, saved_at FROM document WHERE name = %s AND version IS NOT NULL",
            [self.document_name()],
        ).fetchone()
        if row is None:
            raise FileNotFoundError(self)
        return Stat(*row)

    def mkdir(self, *_: Any, **__: Any) -> None:
        """Nothing: a store has no folders."""

    def is_file(self, **_: Any) -> bool:
        """Whether there is a document or a backup of this name."""
        return self.exists()

    def rglob(self, *_: Any, **__: Any) -> Iterator[DatabasePath]:  # type: ignore[override]
        """All documents below, and their backups."""
        for path in self._documents():
            if self in path.parents:
                yield from (path.with_name(backup) for backup in path.backup_names())
                if path.exists():
                    yield path

    def _documents(self) -> list[DatabasePath]:
        found = self.store.connection.execute("SELECT name FROM document").fetchall()
        return [self.store_folder() / name for (name,) in found]

    def iterdir(self) -> Iterator[DatabasePath]:  # type: ignore[override]  # since 3.14
        """The documents and their backups."""
        return (path for path in self.rglob() if path.parent == self)

    def backup_names(self) -> list[str]:
        """The names of the document's backups, newest first."""
        return [record["name"] for record in _native.backup_names(str(self))]

    def store_folder(self) -> DatabasePath:
        """The folder that lies in the store."""
        return (
            self if self.name == "stored" else next(p for p in self.parents if p.name == "stored")
        )

    def document_name(self) -> str:
        """The name of the document in the store."""
        return str(self.relative_to(self.store_folder()))

    def _content(self) -> bytes | None:
        connection = self.store.connection
        if backup := _BACKUP.fullmatch(self.name):
            row = self._replaced(connection, *backup.groups())
            return bytes(row[1]) if row else None
        row = connection.execute(_LIVE, [self.document_name()]).fetchone()
        return bytes(row[0]) if row and row[0] is not None else None

    def _replaced(self, connection: Any, name: str, stamp: str) -> Any:
        of = self.with_name(name).document_name()
        return connection.execute(_REPLACED, [of, _time(stamp)]).fetchone()

    def _put(self, connection: Any, content: bytes | None) -> None:
        """Changes the rows in place, as a program that writes into a file does: no backup."""
        version = None if content is None else version_of(content)
        values = [uuid.uuid4(), version, len(content or b"")]
        number, saved_at = connection.execute(
            "INSERT INTO document AS d (name, number, save, version, size, saved_at)"
            " VALUES (%s, 1, %s, %s, %s, clock_timestamp())"
            " ON CONFLICT (name) DO UPDATE SET save = excluded.save,"
            " version = excluded.version, size = excluded.size, number = greatest(d.number, 1)"
            " RETURNING number, saved_at",
            [self.document_name(), *values],
        ).fetchone()
        connection.execute(
            "INSERT INTO revision (save, version, size, content, name, number, saved_at)"
            " VALUES (%s, %s, %s, %s, %s, %s, %s) ON CONFLICT (name, number) DO UPDATE SET"
            " save = excluded.save, version = excluded.version, size = excluded.size,"
            " content = excluded.content",
            [*values, content, self.document_name(), number, saved_at],
        )


def path_class(of: Store) -> type[DatabasePath]:
    """The paths of one store."""

    class Stored(DatabasePath):
        store = of

    return Stored


def _time(stamp: str) -> datetime:
    """The time in a backup's name: that of Greenwich, so that hosts in all zones see the same."""
    return datetime.strptime(stamp, "%Y%m%d_%H%M%S_%f").replace(tzinfo=timezone.utc)
