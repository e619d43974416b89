"""The native core. Private: use `oasis_data.file_operations`."""

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias, final

from oasis_data._judging import Rules
from oasis_data._paths import FilePath
from oasis_data._records import BackupNameRecord, BackupRecord, BatchRecord, FolderRecord
from oasis_data._settings import Settings, Statistics

__all__ = [
    "MISSING",
    "SIDECAR",
    "Edit",
    "EncodeOptions",
    "FileStamp",
    "State",
    "Text",
    "__version__",
    "backup_names",
    "clear",
    "collect_locks",
    "configure",
    "decode",
    "delete",
    "encode",
    "give_up",
    "init_store",
    "inspect",
    "interrupted_batches",
    "invalidate",
    "is_cached",
    "is_held",
    "is_in_store",
    "list_backups",
    "load",
    "load_many",
    "load_measured",
    "load_with_version",
    "parse_backup_name",
    "place",
    "place_of_no_json",
    "prune_backups",
    "restore_backup",
    "save",
    "save_many",
    "stats",
    "store_documents",
    "store_history",
    "store_put",
    "stored_status",
    "use_rules",
]

MISSING: str
SIDECAR: str
# Warnings for the log, bytes, the backup's name, and the version if it was asked for.
_Outcome: TypeAlias = tuple[list[str], int, str | None, str | None]
__version__: str

@final
class Edit:
    def __new__(
        cls,
        path: FilePath,
        timeout: float | None,
        /,
        *,
        backup: bool | None = None,
        if_version: str | None = None,
        make_parents: bool = False,
        skip_unchanged: bool = True,
    ) -> Edit: ...
    def load(self) -> tuple[bool, Any]: ...
    def save(
        self,
        data: Any,
        encode_options: EncodeOptions,
        /,
        *,
        keep_layout: bool = False,
        versioned: bool,
    ) -> _Outcome: ...
    def close(self) -> None: ...

@final
class EncodeOptions:
    def __new__(
        cls,
        *,
        indent: int | str | None = None,
        ensure_ascii: bool = False,
        sort_keys: bool = False,
        allow_nan: bool = False,
        default: Callable[[Any], Any] | None = None,
    ) -> EncodeOptions: ...

@final
class FileStamp:
    def __new__(cls, path: FilePath, /) -> FileStamp: ...
    def is_current(self) -> bool: ...

@final
class State:
    def __new__(cls, paths: list[Any]) -> State: ...
    @property
    def versions(self) -> list[str]: ...
    def may_differ(self) -> bool: ...
    def wait(self, interval: float, timeout: float, /) -> None: ...
    def again(self) -> State: ...

@final
class Text:
    def __bytes__(self) -> bytes: ...
    def __len__(self) -> int: ...

def encode(data: Any, encode_options: EncodeOptions, /) -> Text: ...
def place(steps: Sequence[str | int], /) -> str: ...
def place_of_no_json(
    data: Any, /, *, default: Callable[[Any], Any] | None = None
) -> str | None: ...
def decode(text: bytes, /, *, copied: bool = False) -> Any: ...
def save(
    path: FilePath,
    data: Any,
    encode_options: EncodeOptions,
    *,
    backup: bool | None,
    if_version: str | None,
    timeout: float | None,
    make_parents: bool,
    skip_unchanged: bool,
    keep_layout: bool = False,
    versioned: bool,
) -> _Outcome: ...
def save_many(
    documents: list[tuple[Any, Any, str | None]],
    encode_options: EncodeOptions,
    *,
    backup: bool | None,
    timeout: float | None,
    make_parents: bool,
    skip_unchanged: bool,
    versioned: bool,
) -> list[_Outcome]: ...
def delete(
    path: FilePath, *, backup: bool | None, if_version: str | None, timeout: float | None
) -> _Outcome: ...
def collect_locks(folder: FilePath, /) -> tuple[int, list[str]]: ...
def give_up(path: FilePath, *, timeout: float | None) -> str | None: ...
def inspect(folder: FilePath, /) -> FolderRecord: ...
def interrupted_batches(folder: FilePath, /) -> list[BatchRecord]: ...
def backup_names(path: FilePath, /) -> list[BackupNameRecord]: ...
def parse_backup_name(name: FilePath, /) -> BackupNameRecord | None: ...
def is_held(path: FilePath, /) -> bool: ...
def list_backups(path: FilePath) -> list[tuple[str, BackupRecord]]: ...
def restore_backup(
    path: FilePath, name: FilePath | None, *, timeout: float | None, versioned: bool
) -> tuple[str, _Outcome]: ...
def prune_backups(
    path: FilePath, *, keep: int | None, max_age: float | None, timeout: float | None
) -> list[str]: ...
def load(path: FilePath, copy: bool) -> Any: ...
def load_many(paths: list[FilePath], *, copy: bool, timeout: float | None) -> list[Any]: ...
def load_measured(path: FilePath, copy: bool) -> tuple[Any, int]: ...
def load_with_version(path: FilePath) -> tuple[Any, str, int]: ...
def is_cached(path: FilePath) -> bool: ...
def invalidate(path: FilePath) -> None: ...
def clear() -> None: ...
def configure(changes: dict[str, Any], stores: list[tuple[str, str]] | None = None) -> Settings: ...
def is_in_store(path: FilePath, /) -> bool: ...
def stored_status(path: FilePath, /, *, timeout: float | None = None) -> tuple[int, float]: ...
def init_store(url: str, /) -> bool: ...
def store_documents(url: str, /) -> list[str]: ...
def store_history(
    url: str, name: str, /
) -> tuple[list[tuple[str, bytes]], tuple[bytes, float] | None, list[str | None]]: ...
def store_put(
    url: str,
    name: str,
    backups: list[tuple[str, bytes]],
    current: tuple[bytes, float] | None,
    /,
    *,
    replace: bool,
) -> bool: ...
def stats() -> Statistics: ...
def use_rules(rules: Rules | None, /) -> None: ...
