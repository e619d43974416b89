"""What the commands ask of a path, wherever it lies: in files, or in a store."""

from __future__ import annotations

import errno
import os

from oasis_data import _native, configure
from oasis_data._paths import normal
from oasis_data._stores import store_url


class DamagedError(OSError):
    """The database has another content than was saved."""


def content_in_store(path: str) -> bytes:
    """The content of a document or a backup that lies in a store.

    Raises:
        FileNotFoundError: There is none.
        DamagedError: It is not what was saved.
        DataOperationError: The store did not answer.
    """
    path = normal(path)
    stores = configure()["stores"]
    folder = max((each for each in stores if _is_below(path, each)), key=len)
    name = os.path.relpath(path, folder)
    backup = _native.parse_backup_name(os.path.basename(name))
    if backup:
        name = os.path.join(os.path.dirname(name), backup["of"])
    backups, current, damaged = _native.store_history(store_url(folder), name)
    if (backup["stamp"] if backup else None) in damaged:
        raise DamagedError(errno.EIO, "not what was saved: the database is damaged", path)
    if backup:
        for stamp, content in backups:
            if stamp == backup["stamp"]:
                return content
    elif current:
        return current[0]
    raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path)


def exists(path: str) -> bool:
    """Whether there is a document or a backup, or a file of any kind."""
    if not _native.is_in_store(path):
        return os.path.lexists(path)
    try:
        content_in_store(path)
    except FileNotFoundError:
        return False
    except DamagedError:
        return True
    return True


def is_folder(path: str) -> bool:
    """Whether there is a folder; in a store, whether documents or backups lie below the path."""
    if not _native.is_in_store(path):
        return os.path.isdir(path)
    found = _native.inspect(path)
    return bool(found["files"] or found["backups"] or found["folders"])


def _is_below(path: str, folder: str) -> bool:
    return path == folder or path.startswith(folder.rstrip("/") + "/")
