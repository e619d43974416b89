"""Loads, and the cache of what they loaded.

Private: the names are in `oasis_data.file_operations`.
"""

import copy as _copy
import logging
import os
import time
from collections.abc import Iterable
from typing import Any

from oasis_data import _logging, _native
from oasis_data._paths import FilePath, whole
from oasis_data.error_handling import CorruptFileError, DataFileNotFoundError

MISSING = _native.MISSING
"""The version of a file that does not exist."""


def load_data_file(
    file_path: FilePath,
    *,
    default: Any = {},  # noqa: B006 -- never handed out: every use copies it
    strict: bool = False,
    copy: bool = True,
) -> Any:
    """Loads the document in a file, from the cache when the file has not changed.

    A load needs no lock and no write permission. It reads every file that
    `json.load` reads, to equal values.

    Args:
        file_path: The file.
        default: The answer for a missing or corrupt file. A dictionary, list or set
            is copied, so that no two calls share it; any other object is returned
            as it is.
        strict: Raise for a missing or corrupt file, and do not use `default`.
        copy: True returns an object that the caller may change. False lends the
            cached object: faster, and only to be read.

    Returns:
        The document: any JSON value can be at the top.

    Raises:
        DataFileNotFoundError: There is no such file, and `strict`.
        CorruptFileError: The file is not JSON, and `strict`.
        JSONReadError: The file could not be read, strict or not.
    """
    try:
        if _logging.reads and _logging.logger().isEnabledFor(logging.INFO):
            return _load_measured(file_path, copy)
        return _native.load(file_path, copy)
    except (DataFileNotFoundError, CorruptFileError) as error:
        if strict:
            raise
        return _default_for(file_path, error, default)


def load_many(
    file_paths: Iterable[FilePath],
    *,
    default: Any = {},  # noqa: B006 -- never handed out: every use copies it
    strict: bool = False,
    copy: bool = True,
    timeout: float | None = None,
) -> list[Any]:
    """Loads several documents as they were at one moment, never half of a batch.

    Args:
        file_paths: The files.
        default: As for `load_data_file`.
        strict: Raise for a missing or corrupt file, and do not use `default`.
        copy: False lends the cached objects: faster, and only to be read.
        timeout: Seconds to wait for the end of a batch that is being saved. None:
            as configured.

    Returns:
        The documents, in the order of the files.

    Raises:
        LockTimeoutError: The files kept changing until the timeout.
        JSONReadError: As for `load_data_file`.
    """
    started = time.perf_counter()
    if isinstance(file_paths, str | bytes | os.PathLike):
        raise TypeError(f"load_many takes several paths, not the one {os.fspath(file_paths)!r}")
    paths = list(file_paths)
    answers = []
    for path, loaded in zip(
        paths, _native.load_many(paths, copy=copy, timeout=timeout), strict=True
    ):
        answers.append(_answer(path, loaded, default, strict))
        if _logging.reads and not isinstance(loaded, Exception):
            _logging.record("batch load", whole(path), started)
    return answers


def load_with_version(file_path: FilePath) -> tuple[Any, str]:
    """Loads a document together with its version, for a later `if_version=`.

    Args:
        file_path: The file.

    Returns:
        The document and its version: a string made from the file's bytes, fit
        for an HTTP ETag. `(None, MISSING)` if there is no file.

    Raises:
        CorruptFileError: The file is not JSON.
        JSONReadError: The file could not be read.
    """
    started = time.perf_counter()
    try:
        document, version, size = _native.load_with_version(file_path)
    except DataFileNotFoundError:
        return None, MISSING
    if _logging.reads:
        _logging.record("load", whole(file_path), started, size=size, version=version)
    return document, version


def invalidate_cache(file_path: FilePath) -> None:
    """Drops the cached document of a file (guide, fix 2), which frees its memory.

    Correct loads do not need this call: a load notices that the file has changed. For
    a file that is gone or replaced, the path must be written as it was for the load.
    """
    _native.invalidate(file_path)


def clear_all_cache() -> None:
    """Drops every cached document, which frees their memory."""
    _native.clear()


def is_cache_valid(file_path: FilePath) -> bool:
    """Whether the next load of a file would be answered from the cache."""
    return _native.is_cached(file_path)


def get_file_mtime(file_path: FilePath) -> float:
    """When the file was last modified, in seconds since 1970; 0.0 if there is no file."""
    try:
        if _native.is_in_store(file_path):
            return _native.stored_status(file_path)[1]
        return os.path.getmtime(os.fspath(file_path))
    except (DataFileNotFoundError, OSError, ValueError):  # ValueError: a null byte in the path
        return 0.0


def _answer(file_path: FilePath, loaded: Any, default: Any, strict: bool) -> Any:
    if not isinstance(loaded, DataFileNotFoundError | CorruptFileError):
        return loaded
    if strict:
        raise loaded
    return _default_for(file_path, loaded, default)


def _default_for(file_path: FilePath, error: Exception, default: Any) -> Any:
    _logging.logger().warning("Using the default for %r: %s", whole(file_path), error)
    return own_default(default)


def own_default(default: Any) -> Any:
    """A copy of a default that callers could change; the default itself if they cannot."""
    return _copy.deepcopy(default) if isinstance(default, (dict, list, set)) else default


def _load_measured(file_path: FilePath, copy: bool) -> Any:
    started = time.perf_counter()
    document, size = _native.load_measured(file_path, copy)
    _logging.record("load", whole(file_path), started, size=size)
    return document
