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
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, TypeAlias, TypedDict, TypeVar

from oasis_data import _logging, _native
from oasis_data.error_handling import (
    CorruptFileError,
    DataFileNotFoundError,
    JSONWriteError,
    NoBackupError,
    OperationType,
)

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

FilePath: TypeAlias = str | bytes | os.PathLike[str] | os.PathLike[bytes]
# A mapping is not covariant in its keys.
_Path = TypeVar("_Path", bound=FilePath)

MISSING = _native.MISSING
"""The version of a file that does not exist."""

_logger = logging.getLogger("DataOperations")


class Settings(TypedDict):
    """What `configure` sets and returns."""

    cache_bytes: int
    cache_entries: int
    backups_kept: int
    backups_max_age: float
    backups_compressed_above: float
    lock_timeout: float
    durability: Literal["full", "process"]


class Latency(TypedDict):
    """How long something took: how many times, how many seconds in all, and a histogram.

    Each bucket has its upper bound in seconds, and how many took at most that and
    more than the bound before; beyond the last are the rest of `count`.
    """

    count: int
    seconds: float
    buckets: list[tuple[float, int]]


class Statistics(TypedDict):
    """What `stats` returns: counts since the process started or was forked, and two sizes.

    `failures` counts exceptions by operation and class. `latencies` has "read" (loads
    that were not answered from the cache), "write", "delete" and "lock_wait".
    """

    hits: int
    misses: int
    racy_rereads: int
    evictions: int
    saves: int
    batches: int
    unchanged_saves: int
    deletes: int
    write_failures: int
    read_failures: int
    bytes_written: int
    bytes_read: int
    lock_waits: int
    decode_fallbacks: int
    encode_fallbacks: int
    leftovers_swept: int
    recoveries: int
    failures: dict[str, dict[str, int]]
    latencies: dict[str, Latency]
    cache_entries: int
    cache_bytes: int


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
    outcome = _native.save(
        file_path,
        data,
        indent=indent,
        ensure_ascii=ensure_ascii,
        sort_keys=sort_keys,
        allow_nan=allow_nan,
        default=default,
        backup=backup,
        if_version=if_version,
        timeout=timeout,
        make_parents=make_parents,
        skip_unchanged=skip_unchanged,
        versioned=_logging.writes,
    )
    _log_write("save", file_path, started, *outcome)
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
    started = time.perf_counter()
    defaults = save_json_atomic.__kwdefaults__ or {}
    if unknown := options.keys() - defaults.keys():
        raise TypeError(f"save_with_version has no option {', '.join(sorted(unknown))}")
    outcome = _native.save(file_path, data, **(defaults | options), versioned=True)
    _log_write("save", file_path, started, *outcome)
    _, _, _, version = outcome
    return str(version)


@contextmanager
def edit_json(
    file_path: FilePath,
    *,
    default: Any = {},  # noqa: B006 -- never handed out: every use copies it
    indent: int | str | None = 2,
    ensure_ascii: bool = False,
    sort_keys: bool = False,
    timeout: float | None = None,
) -> Iterator[Any]:
    """Locks the file, gives its document to be changed, and saves it.

    No update is lost between threads, processes and forked children that all
    edit through this. Two files may be edited at once, one inside the other; two
    programs that do so in opposite order end at the deadline. A load, or a save
    of another file, inside is fine; a save of this one is refused.

    Args:
        file_path: The file.
        default: The document to start from when there is no file; copied as by
            `load_data_file`. A corrupt file is never taken for a missing one.
        indent: As for `save_json_atomic`, as are the next two.
        ensure_ascii: Write all but ASCII as escapes.
        sort_keys: Write dictionaries in the order of their keys.
        timeout: Seconds to wait for another writer. None: as configured.

    Yields:
        The document, to be changed in place. Saved when the block ends; an
        exception leaves the file as it was.

    Raises:
        CorruptFileError: The file is not JSON; it stays as it is.
        AlreadyLockedError: This thread is editing the file already.
        LockTimeoutError: Another writer took too long.
        JSONWriteError: As for `save_json_atomic`.
    """
    started = time.perf_counter()
    edit = _native.Edit(file_path, timeout)
    try:
        found, document = edit.load()
        if not found:
            document = _own(default)
        yield document
        outcome = edit.save(
            document,
            indent=indent,
            ensure_ascii=ensure_ascii,
            sort_keys=sort_keys,
            versioned=_logging.writes,
        )
    finally:
        edit.close()
    _log_write("edit", file_path, started, *outcome)


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
    outcomes = _native.save_many(
        [(path, data, versions.get(path)) for path, data in documents.items()],
        indent=indent,
        ensure_ascii=ensure_ascii,
        sort_keys=sort_keys,
        allow_nan=allow_nan,
        default=default,
        backup=backup,
        timeout=timeout,
        make_parents=make_parents,
        skip_unchanged=skip_unchanged,
        versioned=_logging.writes,
    )
    for path, outcome in zip(documents, outcomes, strict=True):
        _log_write("batch save", path, started, *outcome)
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
    _log_write("delete", file_path, started, remarks, None, kept, None)
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
        if _logging.reads and _logger.isEnabledFor(logging.INFO):
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
            _logging.record("batch load", _whole(path), started)
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
        _logging.record("load", _whole(file_path), started, size=size, version=version)
    return document, version


def invalidate_cache(file_path: FilePath) -> None:
    """Lets the cached document of a file go (guide, fix 2).

    Never needed for correctness: a load notices by itself that the file has
    changed. It frees the memory and the file descriptor; of a file that is gone
    or replaced, if the path is spelt as it was for the load.
    """
    _native.invalidate(file_path)


def clear_all_cache() -> None:
    """Lets every cached document go, with its memory and file descriptor."""
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


@dataclass(frozen=True)
class Backup:
    """One backup of a file.

    Attributes:
        path: Where it is.
        time: When it was made, local time; pushed forward where needed to keep
            the backups of a file in order.
        size: The bytes of the file at `path`, which may be compressed.
        compressed: Whether it is compressed: `path` then ends in `.gz`.
        fault: Why it cannot be restored, None if it can.
    """

    path: str
    time: datetime
    size: int
    compressed: bool
    fault: str | None


def list_backups(file_path: FilePath) -> list[Backup]:
    """Tells the backups of a file, newest first, and reads each to see if it is whole.

    Only names that this package makes count: the file's own, `.backup.`, a
    real date and time, and six digits; and `.gz`, if it is compressed.

    Raises:
        JSONReadError: The folder could not be read.
    """
    folder = _folder(file_path)
    return [
        Backup(
            path=os.path.join(folder, name),
            time=datetime.fromisoformat(record["time"]),
            size=record["size"],
            compressed=record["compressed"],
            fault=record["fault"],
        )
        for name, record in _native.list_backups(file_path)
    ]


def restore_backup(
    file_path: FilePath,
    backup: Backup | FilePath | None = None,
    *,
    timeout: float | None = None,
) -> str:
    """Makes a backup the file's content, byte for byte, as an atomic save would.

    What it replaces, corrupt or not, becomes the newest backup: a restore can
    be undone by another one. A file that is gone gets the backup's mode, owner
    and extended attributes.

    Args:
        file_path: The file; it may be missing.
        backup: Which, from `list_backups` or by its path or name, with or
            without `.gz`. None: the newest that is a JSON document.
        timeout: Seconds to wait for another writer. None: as configured.

    Returns:
        The path of the backup that was restored.

    Raises:
        NoBackupError: There is none, or none that is a JSON document.
        JSONWriteError: As for `save_json_atomic`; or a backup could not be read,
            and an older one would have lost what it holds.
    """
    started = time.perf_counter()
    folder = _folder(file_path)
    name = None
    if backup is not None:
        given = backup.path if isinstance(backup, Backup) else os.fsdecode(backup)
        beside, name = os.path.split(given)
        if beside and os.path.realpath(beside) != folder:
            raise NoBackupError(
                OperationType.WRITE,
                os.fsdecode(file_path),
                f"{name}: is not beside the file; put it there to restore it",
            )
    restored, outcome = _native.restore_backup(
        file_path, name, timeout=timeout, versioned=_logging.writes
    )
    _log_write(f"restore of {restored}", file_path, started, *outcome)
    return os.path.join(folder, restored)


def prune_backups(
    file_path: FilePath,
    *,
    keep: int | None = None,
    max_age: float | None = None,
    timeout: float | None = None,
) -> list[str]:
    """Removes old backups of a file.

    Args:
        file_path: The file; it may be missing.
        keep: How many stay. None: as configured.
        max_age: Seconds after which one goes, but for the newest. None: as
            configured.
        timeout: Seconds to wait for a writer. None: as configured.

    Returns:
        The paths of those that were removed.

    Raises:
        ValueError: `keep` is negative.
        JSONWriteError: One could not be removed, or the lock not be had.
    """
    started = time.perf_counter()
    if keep is not None and keep < 0:
        raise ValueError(f"keep={keep}: must be a number of backups, 0 or more")
    folder = _folder(file_path)
    removed = _native.prune_backups(file_path, keep=keep, max_age=max_age, timeout=timeout)
    if _logging.writes:
        for name in removed:
            _logging.record("prune", _whole(file_path), started, backup=name)
    return [os.path.join(folder, name) for name in removed]


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


def configure(
    *,
    cache_bytes: int | None = None,
    cache_entries: int | None = None,
    backups_kept: int | None = None,
    backups_max_age: float | None = None,
    backups_compressed_above: float | None = None,
    lock_timeout: float | None = None,
    durability: Literal["full", "process"] | None = None,
) -> Settings:
    """Changes process-wide settings; without arguments only tells them.

    Args:
        cache_bytes: Bytes of JSON text whose documents the cache holds, and of
            what it keeps to copy them by (at first 134217728). The objects of
            those that are loaded again take a few times that.
        cache_entries: Documents it holds, each with one file descriptor (256).
        backups_kept: Backups of each file (10); 0 makes none.
        backups_max_age: Seconds after which a save removes one, but for the
            newest; at first infinite.
        backups_compressed_above: Bytes above which a save compresses backups
            with gzip, after it has let the file's lock go; at first infinite,
            for never. They stay readable with `gzip.open`.
        lock_timeout: Seconds to wait for another writer (10.0).
        durability: "full", or "process" to skip every sync: files then survive
            a crash of the program, but not a power cut.

    Returns:
        All settings, as they are now.

    Raises:
        ValueError: A setting cannot have that value; none is changed.
    """
    changes = {
        "cache_bytes": cache_bytes,
        "cache_entries": cache_entries,
        "backups_kept": backups_kept,
        "backups_max_age": backups_max_age,
        "backups_compressed_above": backups_compressed_above,
        "lock_timeout": lock_timeout,
        "durability": durability,
    }
    return _native.configure({name: value for name, value in changes.items() if value is not None})


def stats() -> Statistics:
    """What this process has done since it started.

    Returns:
        Counts by name; `cache_entries` and `cache_bytes` are what the cache
        holds now. `decode_fallbacks` and `encode_fallbacks` count what was left
        to the standard library's `json`, which is slower: NaN and infinities,
        lone surrogates, subclasses, names that are no strings, texts that are
        not UTF-8 or no JSON, `sort_keys`, `ensure_ascii`, great depth. A forked
        child counts from nothing.
    """
    return _native.stats()


def _folder(file_path: FilePath) -> str:
    return os.path.dirname(os.path.realpath(os.fsdecode(file_path)))


def _answer(file_path: FilePath, loaded: Any, default: Any, strict: bool) -> Any:
    if not isinstance(loaded, DataFileNotFoundError | CorruptFileError):
        return loaded
    if strict:
        raise loaded
    return _default_for(file_path, loaded, default)


def _default_for(file_path: FilePath, error: Exception, default: Any) -> Any:
    _logger.warning("Using the default for %r: %s", _whole(file_path), error)
    return _own(default)


def _own(default: Any) -> Any:
    return _copy.deepcopy(default) if isinstance(default, (dict, list, set)) else default


def _whole(file_path: FilePath) -> str:
    spelt = os.fsdecode(file_path)
    if not spelt:
        return spelt  # abspath would make it the working directory
    try:
        return os.path.abspath(spelt)
    except FileNotFoundError:  # the working directory itself was removed
        return spelt


def _load_measured(file_path: FilePath, copy: bool) -> Any:
    started = time.perf_counter()
    document, size = _native.load_measured(file_path, copy)
    _logging.record("load", _whole(file_path), started, size=size)
    return document


def _log_write(
    operation: str,
    file_path: FilePath,
    started: float,
    remarks: list[str],
    size: int | None,
    backup: str | None,
    version: str | None,
) -> None:
    for remark in remarks:
        _logger.warning("Beside the change of %r, which stands: %s", _whole(file_path), remark)
    if _logging.writes:
        _logging.record(
            operation, _whole(file_path), started, size=size, version=version, backup=backup
        )
