"""Saving and loading JSON files: the guide's names over the native core.

Every path is a `str`, `bytes` or `os.PathLike`. A symlink stands for the file
that it leads to. Times are in seconds, sizes in bytes. Options are keyword-only.
"""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TypeVar

from oasis_data import _logging, _native
from oasis_data._backups import Backup, list_backups, prune_backups, restore_backup
from oasis_data._loading import (
    MISSING,
    clear_all_cache,
    get_file_mtime,
    invalidate_cache,
    is_cache_valid,
    load_data_file,
    load_many,
    load_with_version,
    own_default,
)
from oasis_data._paths import FilePath, anchored
from oasis_data._settings import configure, stats
from oasis_data._watching import awatch, watch
from oasis_data.error_handling import JSONWriteError

__all__ = [
    "MISSING",
    "AtomicJSONWriter",
    "Backup",
    # Defined with the other errors in `error_handling`; the guide imports it from here.
    "JSONWriteError",
    "atomic_writer",
    "awatch",
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
    "watch",
]

# A mapping is not covariant in its keys.
_Path = TypeVar("_Path", bound=FilePath)

_ENCODE_OPTIONS = ("indent", "ensure_ascii", "sort_keys", "allow_nan", "default")


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

    A reader sees all of the old content or all of the new content. When this
    returns, the new content survives a power cut. The file keeps its mode, owner
    and extended attributes; a new file obeys the umask.

    Args:
        file_path: The file.
        data: The document. It is encoded before any file is touched.
        indent: As for `json.dump`: the file has the same bytes as with `json.dump`
            and the same `indent`, `ensure_ascii`, `sort_keys`, `allow_nan` and `default`.
        ensure_ascii: Write every character outside ASCII as an escape.
        sort_keys: Write dictionaries in the order of their keys.
        allow_nan: Write NaN and infinities, which are not JSON.
        default: A function that is called with each value that `json` cannot write;
            its result is written instead.
        backup: Whether to keep the content that is replaced, as
            `<name>.backup.<YYYYmmdd_HHMMSS>_<microseconds>`. None: as configured.
        if_version: The version (of `load_with_version`) that the file must still
            have; `MISSING` if the file must not exist.
        timeout: Seconds to wait for another writer. None: as configured.
        make_parents: Create missing parent folders.
        skip_unchanged: Leave a file that has these bytes already as it is, but make
            the file durable: no new inode, no backup. False always writes the file.

    Returns:
        True. A save that fails raises.

    Raises:
        UnserializableError: `json` cannot write the data; the error names the value.
        InvalidDocumentError: The document would not obey its rules, or another document
            would refer to what is gone.
        LockTimeoutError: Another writer held the lock until the timeout.
        VersionConflictError: The file does not have `if_version` any more.
        NotDurableError: The new content is in place, but may not survive a power cut.
        JSONWriteError: Any other failure, and the base of the errors above. The file
            is as it was, except after `NotDurableError`.
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
    """Saves as `save_json_atomic` does, and returns the version of what was saved.

    A caller that loads the version after a save may get the version of another
    writer's save, and overwrite that save with the next.

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
    edit with `edit_json`. Inside the block, a load of any file and a save or an edit
    of another file are fine; a save of the same file is refused. Two programs that
    edit two files inside each other in opposite order end at the timeout. The
    block may end in another thread than it began in, but should not await.

    Args:
        file_path: The file.
        default: The document to start from when there is no file; copied as
            `load_data_file` copies it. A corrupt file is not a missing file.
        indent: As for `save_json_atomic`.
        ensure_ascii: Write every character outside ASCII as an escape.
        sort_keys: Write dictionaries in the order of their keys.
        allow_nan: Write NaN and infinities, which are not JSON.
        encode_default: The `default` of `save_json_atomic`: a function that is called
            with each value that `json` cannot write.
        backup: Whether to keep the content that is replaced. None: as configured.
        if_version: The version that the file must have, before the block and still
            after it; `MISSING` if the file must not exist.
        timeout: Seconds to wait for another writer. None: as configured.
        make_parents: Create missing parent folders, before the block.
        skip_unchanged: Leave a file that has these bytes already as it is.

    Yields:
        The document, to be changed in place. It is saved when the block ends; an
        exception in the block leaves the file as it was.

    Raises:
        CorruptFileError: The file is not JSON; it stays as it is.
        AlreadyLockedError: This thread is editing the file already, and would
            wait for itself.
        LockTimeoutError: Another writer held the lock until the timeout.
        VersionConflictError: The file does not have `if_version`.
        JSONWriteError: As for `save_json_atomic`.
        TypeError: There is no file, and `default` is a function.
    """
    started = time.perf_counter()
    # The rules are asked about it after the block, which may change the working directory.
    # safeguard: rules-after-chdir
    file_path = anchored(file_path)
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
            document = own_default(default)
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

    The files may be in different folders. A save locks all files, writes the new
    contents beside them, writes a journal in `.oasis_data`, which decides, and
    renames. The next use of any of the files, even a load, rolls a batch that a
    crash interrupted forward or back. `load_many` never sees half of a batch.

    Args:
        documents: The document for each file.
        indent: As for `save_json_atomic`.
        ensure_ascii: Write every character outside ASCII as an escape.
        sort_keys: Write dictionaries in the order of their keys.
        allow_nan: Write NaN and infinities, which are not JSON.
        default: A function that is called with each value that `json` cannot write.
        backup: Whether to keep the contents that are replaced. None: as configured.
        if_version: The versions that some of the files must still have. Each path is
            as it is in `documents`.
        timeout: Seconds to wait for other writers, for all files together. None: as
            configured.
        make_parents: Create missing parent folders.
        skip_unchanged: Leave files that have these bytes already as they are.

    Returns:
        True. A save that fails raises.

    Raises:
        NamedTwiceError: Two of the paths lead to the same file.
        UnserializableError: `json` cannot write one of the documents.
        LockTimeoutError: Another writer held a lock until the timeout.
        VersionConflictError: A file does not have its version of `if_version` any more.
        NotDurableError: The batch is decided, but some files do not have their new
            content yet: the next use of one of the files rolls the batch forward.
        JSONWriteError: Any other failure, and the base of the errors above. Every file
            is as it was, except after `NotDurableError`.
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
    """Deletes the file; its content becomes a backup. The deletion survives a power cut.

    Args:
        file_path: The file. A symlink to the file stays.
        backup: Whether to keep the content as a backup. None: as configured.
        if_version: The version that the file must still have.
        timeout: Seconds to wait for another writer. None: as configured.

    Returns:
        True. A deletion that fails raises.

    Raises:
        DataFileNotFoundError: There is no such file.
        JSONWriteError: As for `save_json_atomic`.
    """
    started = time.perf_counter()
    warnings, _, kept, _ = _native.delete(
        file_path, backup=backup, if_version=if_version, timeout=timeout
    )
    _logging.log_write("delete", file_path, started, warnings, None, kept, None)
    return True


class AtomicJSONWriter:
    """The guide's writer class: saves with options of its own.

    Attributes:
        backup_enabled: Whether the saves keep backups.
        options: The other keyword options of `save_json_atomic` for the saves.
    """

    def __init__(self, backup_enabled: bool = True, **options: Any) -> None:
        """Takes the keyword options of `save_json_atomic`, except `backup`.

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
    """Saves with options of `save_json_atomic`, and returns the version.

    With `keep_layout`, a file that holds the same document in another layout (indent,
    escapes, a line break at the end) keeps that layout.
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
