"""The guide's scheme in plain Python, as a peer to measure against.

A copy for a backup, a fixed `.tmp` name that is emptied and then locked,
`json.dump`, one fsync, a rename, and the backup copied back when one of those
fails; a dictionary with modification times for a cache, whose object all
callers share, and `{}` for a file that is missing or corrupt.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from threading import Lock
from typing import Any

_lock = Lock()
_documents: dict[Path, Any] = {}
_stamps: dict[Path, float] = {}


class JSONWriteError(Exception):
    """A save that failed."""


def save(path: Path, data: Any) -> None:
    """Saves as the guide's `AtomicJSONWriter` does."""
    temporary = f"{path}.tmp"
    backup = None
    try:
        if path.exists():
            stamp = datetime.now().strftime("%Y%m%d_%H%M%S")
            backup = shutil.copy2(path, f"{path}.backup.{stamp}")
        with open(temporary, "w") as file:
            fcntl.flock(file.fileno(), fcntl.LOCK_EX)
            json.dump(data, file, indent=2, ensure_ascii=False)
            file.flush()
            os.fsync(file.fileno())
        os.rename(temporary, path)
    except Exception as error:
        if os.path.exists(temporary):
            with suppress(OSError):
                os.remove(temporary)
        if backup and os.path.exists(backup):
            with suppress(OSError):
                shutil.copy2(backup, path)
        raise JSONWriteError(f"Failed to write {path}: {error}") from error


def load(path: Path) -> Any:
    """Loads as the guide's `load_data_file` does: a hit costs one stat."""
    with _lock:
        if path in _documents and os.path.getmtime(path) <= _stamps[path]:
            return _documents[path]
        try:
            with open(path) as file:
                _documents[path] = json.load(file)
            _stamps[path] = os.path.getmtime(path)
            return _documents[path]
        except (FileNotFoundError, json.JSONDecodeError):
            _documents.pop(path, None)
            _stamps.pop(path, None)
            return {}


def invalidate(path: Path) -> None:
    """Forgets a document, as the guide's call sites do after each save."""
    with _lock:
        _documents.pop(path, None)
        _stamps.pop(path, None)


def clear() -> None:
    """Forgets all documents."""
    with _lock:
        _documents.clear()
        _stamps.clear()
