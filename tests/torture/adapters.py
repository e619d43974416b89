"""One face for oasis_data and its peers, each used as its own documentation says."""

from __future__ import annotations

import json
import os
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

from atomicwrites import atomic_write  # type: ignore[import-untyped]
from filelock import FileLock
from tinydb import TinyDB
from tinydb.table import Document

import oasis_data
from benches import guide


class Adapter(ABC):
    """A way to keep a dictionary in a JSON file."""

    name: ClassVar[str]

    @abstractmethod
    def save(self, path: Path, document: dict[str, Any]) -> None:
        """Replaces the document."""

    @abstractmethod
    def load(self, path: Path) -> Any:
        """Returns the document."""

    def edit(self, path: Path, change: Callable[[dict[str, Any]], None]) -> None:
        """Changes the document by the best idiom for it; without one: load, change, save."""
        document = self.load(path)
        change(document)
        self.save(path, document)

    def forget(self) -> None:  # noqa: B027 -- most keep nothing
        """Drops what it keeps in memory, as a new process would."""

    def read_bare(self, path: Path) -> Any:
        """The document as another program reads it; raises if the file is torn."""
        return json.loads(path.read_bytes())


class OasisData(Adapter):
    name = "oasis_data"

    def save(self, path: Path, document: dict[str, Any]) -> None:
        oasis_data.save_json_atomic(path, document, timeout=120)

    def load(self, path: Path) -> Any:
        return oasis_data.load_data_file(path, strict=True)

    def edit(self, path: Path, change: Callable[[dict[str, Any]], None]) -> None:
        with oasis_data.edit_json(path, timeout=120) as document:
            change(document)

    def forget(self) -> None:
        oasis_data.clear_all_cache()


class Guide(Adapter):
    """The guide's listings, with the cache invalidated after each save as its call sites do."""

    name = "the guide"

    def save(self, path: Path, document: dict[str, Any]) -> None:
        guide.save(path, document)
        guide.invalidate(path)

    def load(self, path: Path) -> Any:
        return guide.load(path)

    def forget(self) -> None:
        guide.clear()


class AtomicWrites(Adapter):
    name = "atomicwrites"

    def save(self, path: Path, document: dict[str, Any]) -> None:
        with atomic_write(path, overwrite=True) as file:
            json.dump(document, file)

    def load(self, path: Path) -> Any:
        with open(path) as file:
            return json.load(file)


class FileLocked(Adapter):
    """A lock file beside the data file, around every access."""

    name = "filelock"

    def save(self, path: Path, document: dict[str, Any]) -> None:
        with FileLock(f"{path}.lock", timeout=120):
            self._write(path, document)

    def load(self, path: Path) -> Any:
        with FileLock(f"{path}.lock", timeout=120):
            return self._read(path)

    def edit(self, path: Path, change: Callable[[dict[str, Any]], None]) -> None:
        with FileLock(f"{path}.lock", timeout=120):
            document = self._read(path)
            change(document)
            self._write(path, document)

    def _write(self, path: Path, document: dict[str, Any]) -> None:
        with open(path, "w") as file:
            json.dump(document, file)

    def _read(self, path: Path) -> Any:
        with open(path) as file:
            return json.load(file)


class TinyDatabase(Adapter):
    """The document is record 1 of the default table."""

    name = "TinyDB"
    RECORD = 1

    def __init__(self) -> None:
        # One for each process: a forked child would share its parent's file position.
        self._databases: dict[tuple[Path, int], TinyDB] = {}
        self._opening = threading.Lock()

    def save(self, path: Path, document: dict[str, Any]) -> None:
        self._open(path).upsert(Document(document, doc_id=self.RECORD))

    def load(self, path: Path) -> Any:
        return self._whole(self._open(path).get(doc_id=self.RECORD))

    def edit(self, path: Path, change: Callable[[dict[str, Any]], None]) -> None:
        self._open(path).update(change, doc_ids=[self.RECORD])

    def forget(self) -> None:
        for database in self._databases.values():
            database.close()
        self._databases.clear()

    def read_bare(self, path: Path) -> Any:
        return super().read_bare(path)["_default"][str(self.RECORD)]

    def _open(self, path: Path) -> TinyDB:
        key = (path, os.getpid())
        with self._opening:
            if key not in self._databases:
                self._databases[key] = TinyDB(path)
            return self._databases[key]

    def _whole(self, record: object) -> dict[str, Any]:
        if not isinstance(record, Document):
            raise LookupError("there is no such record")
        return dict(record)


ADAPTERS: list[Adapter] = [OasisData(), Guide(), AtomicWrites(), FileLocked(), TinyDatabase()]
BY_NAME = {adapter.name: adapter for adapter in ADAPTERS}
