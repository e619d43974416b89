"""The guide's scheme in plain Python, as a peer to measure against.

A copy for a backup, a fixed `.tmp` name, `json.dump`, one fsync, a rename; a
dictionary with modification times for a cache, whose object all callers share.
"""

from __future__ import annotations

import json
import os
import shutil
from datetime import datetime
from pathlib import Path
from threading import Lock
from typing import Any

_lock = Lock()
_documents: dict[Path, Any] = {}
_stamps: dict[Path, float] = {}


def save(path: Path, data: Any) -> None:
    """Saves as the guide's `AtomicJSONWriter` does."""
    if path.exists():
        stamp = datetime.now().strftime("%Y%m%d_%H%M%S")
        shutil.copy2(path, f"{path}.backup.{stamp}")
    temporary = f"{path}.tmp"
    with open(temporary, "w") as file:
        json.dump(data, file, indent=2, ensure_ascii=False)
        file.flush()
        os.fsync(file.fileno())
    os.rename(temporary, path)


def load(path: Path) -> Any:
    """Loads as the guide's `load_data_file` does: a hit costs one stat."""
    with _lock:
        if path in _documents and os.path.getmtime(path) <= _stamps[path]:
            return _documents[path]
        with open(path) as file:
            _documents[path] = json.load(file)
        _stamps[path] = os.path.getmtime(path)
        return _documents[path]
