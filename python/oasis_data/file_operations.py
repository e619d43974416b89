"""Saving and loading JSON files: the guide's names over the native core.

Every path is a `str`, `bytes` or `os.PathLike`; a symlink stands for the file
it leads to. Times are in seconds, sizes in bytes. Options are keyword-only.
"""

import copy as _copy
import logging
import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TypeVar

from oasis_data import _logging, _native
from oasis_data._backups import Backup, list_backups, prune_backups, restore_backup
from oasis_data._paths import FilePath, whole
from oasis_data._settings import configure, stats
from oasis_data.error_handling import CorruptFileError, DataFileNotFoundError, JSONWriteError

__all__ = [
    "MISSING",
    "AtomicJSONWriter",
    "Backup",
    # Lives with its family in `error_handling`; the guide has it here.
    "JSONWriteError",
    "atomic_writer",
    "clear_all_cache",
    "configure",
    "delete_json_atomic",
    "edit_json",
    "get_file_mtime",
    "invalidate_cache",
    "is_cache_valid",
    "list_backups",
    "load_data_file",
    "load_many",
    "load_with_version",
    "prune_backups",
    "restore_backup",
    "save_json_atomic",
    "save_many_atomic",
    "save_with_version",
    "stats",
]

# A mapping is not covariant in its keys.
_Path = TypeVar("_Path", bound=FilePath)

_ENCODE_OPTIONS = ("indent", "ensure_ascii", "sort_keys", "allow_nan", "default")

MISSING = _native.MISSING
"""The version of a file that does not exist."""


def save_json_atomic(
    file_path: FilePath,
    data: Any,
    *,
    indent: int | str | None = 2,
    ensure_ascii: bool = False,
    sort_keys: bool = False,
    allow_nan: bool = False,
    default: Callable[[Any], Any] | None = None,
    backup: bool | None = None,
    if_version: str | None = None,
    timeout: float | None = None,
    make_parents: bool = False,
    skip_unchanged: bool = True,
) -> bool:
    """Replaces the file's content with `data` as JSON, or creates the file.

    Readers see the old content or the new, whole. When this returns, the new
    content survives a power cut. The file's mode, owner and extended attributes
    stay; a new file obeys the umask.

    Args:
        file_path: The file.
        data: The document. It is encoded before anything is touched.
        indent: As for `json.dump`, as are the next four; the bytes are the same.
        ensure_ascii: Write all but ASCII as escapes.
        sort_keys: Write dictionaries in the order of their keys.
        allow_nan: Write NaN and infinities, which are not JSON.
        default: Called with what `json` cannot write, for what to write instead.
        backup: Whether to keep the content that is replaced, as
            `<name>.backup.<YYYYmmdd_HHMMSS>_<microseconds>`. None: as configured.
        if_version: The version (of `load_with_version`) that the file must
            still have; `MISSING` if there must be no file.
        timeout: Seconds to wait for another writer. None: as configured.
        make_parents: Create missing folders on the way.
        skip_unchanged: Leave a file that has just this content as it is, but
            make it durable: no new inode, no backup. False writes it anew.

    Returns:
        True; anything else is an exception.

    Raises:
        UnserializableError: `json` cannot write the data; names the value.
        LockTimeoutError: Another writer took too long.
        VersionConflictError: The file is not `if_version` any more.
        NotDurableError: The new content is in place, but not yet safe.
        JSONWriteError: Any other failure, and the base of the ones above. After
            all of them but `NotDurableError` the file is as it was.
    """
    started = time.perf_counter()
    encode_options = _native.EncodeOptions(
        indent=indent,
        ensure_ascii=ensure_ascii,
        sort_keys=sort_keys,
        allow_nan=allow_nan,
        default=default,
    )
    outcome = _native.save(
        file_path,
        data,
        encode_options,
        backup=backup,
        if_version=if_version,
        timeout=timeout,
        make_parents=make_parents,
        skip_unchanged=skip_unchanged,
        versioned=_logging.writes,
    )
    _logging.log_write("save", file_path, started, *outcome)
    return True


def save_with_version(file_path: FilePath, data: Any, **options: Any) -> str:
    """Saves as `save_json_atomic` does, and tells the version of what was saved.

    Whoever loads the version afterwards instead may be told that of somebody
    else's save, and overwrite it with the next one.

    Args:
        file_path: The file.
        data: The document.
        **options: The keyword options of `save_json_atomic`.

    Returns:
        The version, for a later `if_version=`.

    Raises:
        TypeError: There is no such option.
        JSONWriteError: As for `save_json_atomic`.
    """
    known = save_json_atomic.__kwdefaults__ or {}
    if unknown := options.keys() - known.keys():
        raise TypeError(f"save_with_version has no option {', '.join(sorted(unknown))}")
    return _save_with_version(file_path, data, options)


@contextmanager
def edit_json(
    file_path: FilePath,
    *,
    default: Any = {},  # noqa: B006 -- never handed out: every use copies it
    indent: int | str | None = 2,
    ensure_ascii: bool = False,
    sort_keys: bool = False,
    allow_nan: bool = False,
    encode_default: Callable[[Any], Any] | None = None,
    backup: bool | None = None,
    if_version: str | None = None,
    timeout: float | None = None,
    make_parents: bool = False,
    skip_unchanged: bool = True,
) -> Iterator[Any]:
    """Locks the file, gives its document to be changed, and saves it.

    No update is lost between threads, processes and forked children that all
    edit through this. Two files may be edited at once, one inside the other; two
    programs that do so in opposite order end at the deadline. A load, or a save
    of another file, inside is fine; a save of this one is refused. The block may
    be left in another thread than it was entered in, but should not await.

    Args:
        file_path: The file.
        default: The document to start from when there is no file; copied as by
            `load_data_file`. A corrupt file is never taken for a missing one.
        indent: As for `save_json_atomic`, as are the next three.
        ensure_ascii: Write all but ASCII as escapes.
        sort_keys: Write dictionaries in the order of their keys.
        allow_nan: Write NaN and infinities, which are not JSON.
        encode_default: The `default` of `save_json_atomic`: called with what `json`
            cannot write, for what to write instead.
        backup: Whether to keep the content that is replaced. None: as configured.
        if_version: The version that the file must have, before the block and still
            after it; `MISSING` if there must be no file.
        timeout: Seconds to wait for another writer. None: as configured.
        make_parents: Create missing folders on the way, before the block.
        skip_unchanged: Leave a file that has just this content as it is.

    Yields:
        The document, to be changed in place. Saved when the block ends; an
        exception leaves the file as it was.

    Raises:
        CorruptFileError: The file is not JSON; it stays as it is.
        AlreadyLockedError: This thread is editing the file already, and would
            wait for itself.
        LockTimeoutError: Another writer took too long.
        VersionConflictError: The file is not `if_version`.
        JSONWriteError: As for `save_json_atomic`.
        TypeError: There is no file, and `default` is a function.
    """
    started = time.perf_counter()
    edit = _native.Edit(
        file_path,
        timeout,
        backup=backup,
        if_version=if_version,
        make_parents=make_parents,
        skip_unchanged=skip_unchanged,
    )
    try:
        found, document = edit.load()
        if not found:
            if callable(default):
                raise TypeError(
                    f"default={default!r}: must be the document to start from where there is no "
                    "file; a function for what JSON has not is given as encode_default="
                )
            document = _own(default)
        yield document
        encode_options = _native.EncodeOptions(
            indent=indent,
            ensure_ascii=ensure_ascii,
            sort_keys=sort_keys,
            allow_nan=allow_nan,
            default=encode_default,
        )
        outcome = edit.save(document, encode_options, versioned=_logging.writes)
    finally:
        edit.close()
    _logging.log_write("edit", file_path, started, *outcome)


def save_many_atomic(
    documents: Mapping[_Path, Any],
    *,
    indent: int | str | None = 2,
    ensure_ascii: bool = False,
    sort_keys: bool = False,
    allow_nan: bool = False,
    default: Callable[[Any], Any] | None = None,
    backup: bool | None = None,
    if_version: Mapping[_Path, str] | None = None,
    timeout: float | None = None,
    make_parents: bool = False,
    skip_unchanged: bool = True,
) -> bool:
    """Saves several documents as one change: after any crash all are saved, or none.

    The files may be in different folders. All are locked first, then written
    beside themselves; a journal in `.oasis_data` then decides, and the renames
    follow. What a crash interrupts is completed or taken back on the next use of
    any of the files, be it only a load. `load_many` never sees half of it.

    Args:
        documents: The document for each file.
        indent: As for `save_json_atomic`, as are all others but `if_version`.
        ensure_ascii: Write all but ASCII as escapes.
        sort_keys: Write dictionaries in the order of their keys.
        allow_nan: Write NaN and infinities, which are not JSON.
        default: Called with what `json` cannot write, for what to write instead.
        backup: Whether to keep what is replaced. None: as configured.
        if_version: The versions that some of the files must still have, by the
            paths as they are in `documents`.
        timeout: Seconds to wait in all for other writers. None: as configured.
        make_parents: Create missing folders on the way.
        skip_unchanged: Leave files that have just this content as they are.

    Returns:
        True; anything else is an exception.

    Raises:
        NamedTwiceError: Two of the paths lead to the same file.
        UnserializableError: `json` cannot write one of the documents.
        LockTimeoutError: Another writer took too long.
        VersionConflictError: A file is not what `if_version` says any more.
        NotDurableError: The batch is decided, but not yet in place everywhere:
            the next use of one of its files completes it.
        JSONWriteError: Any other failure, and the base of the ones above. After
            all of them but `NotDurableError` every file is as it was.
        ValueError: `if_version` names a file that is not in `documents`.
    """
    versions = dict(if_version or {})
    if strange := versions.keys() - documents.keys():
        raise ValueError(f"if_version has {strange.pop()!r}, which is not among the documents")
    started = time.perf_counter()
    encode_options = _native.EncodeOptions(
        indent=indent,
        ensure_ascii=ensure_ascii,
        sort_keys=sort_keys,
        allow_nan=allow_nan,
        default=default,
    )
    outcomes = _native.save_many(
        [(path, data, versions.get(path)) for path, data in documents.items()],
        encode_options,
        backup=backup,
        timeout=timeout,
        make_parents=make_parents,
        skip_unchanged=skip_unchanged,
        versioned=_logging.writes,
    )
    for path, outcome in zip(documents, outcomes, strict=True):
        _logging.log_write("batch save", path, started, *outcome)
    return True


def delete_json_atomic(
    file_path: FilePath,
    *,
    backup: bool | None = None,
    if_version: str | None = None,
    timeout: float | None = None,
) -> bool:
    """Deletes the file, for good even across a power cut; its content becomes a backup.

    Args:
        file_path: The file; a symlink to it stays.
        backup: Whether to keep the content as a backup. None: as configured.
        if_version: The version that the file must still have.
        timeout: Seconds to wait for another writer. None: as configured.

    Returns:
        True; anything else is an exception.

    Raises:
        DataFileNotFoundError: There is no such file.
        JSONWriteError: As for `save_json_atomic`.
    """
    started = time.perf_counter()
    remarks, _, kept, _ = _native.delete(
        file_path, backup=backup, if_version=if_version, timeout=timeout
    )
    _logging.log_write("delete", file_path, started, remarks, None, kept, None)
    return True


def load_data_file(
    file_path: FilePath,
    *,
    default: Any = {},  # noqa: B006 -- never handed out: every use copies it
    strict: bool = False,
    copy: bool = True,
) -> Any:
    """Loads the document in a file, from the cache when the file has not changed.

    Needs no lock and no write permission. Reads what `json.load` reads, to
    equal values.

    Args:
        file_path: The file.
        default: What to answer when the file is missing or corrupt. A
            dictionary, list or set is copied, so that no two calls share it;
            anything else is answered as it is.
        strict: Raise instead of answering with the default.
        copy: True for an object of the caller's own. False lends the cached
            one: faster, and only to be read.

    Returns:
        The document: whatever JSON value is at the top.

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
        default: As for `load_data_file`, as are the next two.
        strict: Raise instead of answering with the default.
        copy: False lends the cached objects: faster, and only to be read.
        timeout: Seconds until a batch that is being saved must be done. None:
            as configured.

    Returns:
        The documents, in the order of the files.

    Raises:
        LockTimeoutError: The files kept changing.
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
        for an HTTP ETag. For no file: `(None, MISSING)`.

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
    """Lets the cached document of a file go (guide, fix 2).

    Never needed for correctness: a load notices by itself that the file has
    changed. It frees the memory; of a file that is gone or replaced, if the path is
    spelt as it was for the load.
    """
    _native.invalidate(file_path)


def clear_all_cache() -> None:
    """Lets every cached document go, with its memory."""
    _native.clear()


def is_cache_valid(file_path: FilePath) -> bool:
    """Whether the next load of a file would be answered from the cache."""
    return _native.is_cached(file_path)


def get_file_mtime(file_path: FilePath) -> float:
    """When the file was last modified, in seconds since 1970; 0.0 if there is none."""
    try:
        return os.path.getmtime(os.fspath(file_path))
    except (OSError, ValueError):  # ValueError: a null byte in the path
        return 0.0


class AtomicJSONWriter:
    """The guide's writer class, over the same core, with settings of its own.

    Attributes:
        backup_enabled: Whether its saves keep backups.
        options: The other keyword options of `save_json_atomic` for its saves.
    """

    def __init__(self, backup_enabled: bool = True, **options: Any) -> None:
        """Takes the keyword options of `save_json_atomic`, but `backup`.

        Raises:
            TypeError: There is no such option.
        """
        known = (save_json_atomic.__kwdefaults__ or {}).keys() - {"backup", "if_version"}
        if unknown := options.keys() - known:
            raise TypeError(f"AtomicJSONWriter has no option {', '.join(sorted(unknown))}")
        self.backup_enabled = backup_enabled
        self.options = options

    def write(self, file_path: FilePath, data: Any) -> bool:
        """Saves `data` as `save_json_atomic` does, and returns and raises the same."""
        backup = None if self.backup_enabled else False
        return save_json_atomic(file_path, data, backup=backup, **self.options)


atomic_writer = AtomicJSONWriter()


def _save_with_version(
    file_path: FilePath, data: Any, options: Mapping[str, Any], *, keep_layout: bool = False
) -> str:
    """Saves with options of `save_json_atomic`, and tells the version.

    With `keep_layout` a file that holds the same document in another layout (its
    indent, its escapes, a line break at its end) keeps that layout.
    """
    started = time.perf_counter()
    write_options = (save_json_atomic.__kwdefaults__ or {}) | dict(options)
    encode_options = _native.EncodeOptions(
        **{name: write_options.pop(name) for name in _ENCODE_OPTIONS}
    )
    outcome = _native.save(
        file_path, data, encode_options, **write_options, keep_layout=keep_layout, versioned=True
    )
    _logging.log_write("save", file_path, started, *outcome)
    _, _, _, version = outcome
    return str(version)


def _answer(file_path: FilePath, loaded: Any, default: Any, strict: bool) -> Any:
    if not isinstance(loaded, DataFileNotFoundError | CorruptFileError):
        return loaded
    if strict:
        raise loaded
    return _default_for(file_path, loaded, default)


def _default_for(file_path: FilePath, error: Exception, default: Any) -> Any:
    _logging.logger().warning("Using the default for %r: %s", whole(file_path), error)
    return _own(default)


def _own(default: Any) -> Any:
    return _copy.deepcopy(default) if isinstance(default, (dict, list, set)) else default


def _load_measured(file_path: FilePath, copy: bool) -> Any:
    started = time.perf_counter()
    document, size = _native.load_measured(file_path, copy)
    _logging.record("load", whole(file_path), started, size=size)
    return document
