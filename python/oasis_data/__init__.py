"""Keeps JSON data files safe: atomic, durable, locked and coherently cached.

Everything public lives in two modules, and is importable from here too:

* `oasis_data.file_operations`: saving, loading, the cache, the settings;
* `oasis_data.error_handling`: the exceptions and the error handler.

Importing the package opens no file, configures no logging and writes nothing.
"""

from oasis_data._native import __version__
from oasis_data._settings import read_environment as _read_environment
from oasis_data.error_handling import (
    AlreadyLockedError,
    CorruptFileError,
    DataFileNotFoundError,
    DataOperationError,
    ErrorHandler,
    FolderNotFoundError,
    JSONReadError,
    JSONWriteError,
    LockTimeoutError,
    NamedTwiceError,
    NoBackupError,
    NotDurableError,
    OperationType,
    OutcomeUnknownError,
    ReadPermissionError,
    StorageReadError,
    StorageWriteError,
    UnserializableError,
    VersionConflictError,
    WritePermissionError,
    configure_logging,
    error_handler,
)
from oasis_data.file_operations import (
    MISSING,
    AtomicJSONWriter,
    Backup,
    atomic_writer,
    clear_all_cache,
    configure,
    delete_json_atomic,
    edit_json,
    get_file_mtime,
    invalidate_cache,
    is_cache_valid,
    list_backups,
    load_data_file,
    load_many,
    load_with_version,
    prune_backups,
    restore_backup,
    save_json_atomic,
    save_many_atomic,
    save_with_version,
    stats,
)

__all__ = [
    "MISSING",
    "AlreadyLockedError",
    "AtomicJSONWriter",
    "Backup",
    "CorruptFileError",
    "DataFileNotFoundError",
    "DataOperationError",
    "ErrorHandler",
    "FolderNotFoundError",
    "JSONReadError",
    "JSONWriteError",
    "LockTimeoutError",
    "NamedTwiceError",
    "NoBackupError",
    "NotDurableError",
    "OperationType",
    "OutcomeUnknownError",
    "ReadPermissionError",
    "StorageReadError",
    "StorageWriteError",
    "UnserializableError",
    "VersionConflictError",
    "WritePermissionError",
    "__version__",
    "atomic_writer",
    "clear_all_cache",
    "configure",
    "configure_logging",
    "delete_json_atomic",
    "edit_json",
    "error_handler",
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

_read_environment()
