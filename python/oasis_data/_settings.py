"""What can be set for the whole process, and what it counts.

Private: the names are in `oasis_data.file_operations`.
"""

import json
import os
from collections.abc import Mapping
from typing import Literal, TypedDict

from oasis_data import _native, _rules_settings, _stores
from oasis_data._paths import FilePath, whole

_ENVIRONMENT = "OASIS_DATA_STORES"
"""The variable with the stores that are in force from the import on."""

_RULES_ENVIRONMENT = "OASIS_DATA_RULES"
"""The variable with the rules file that is in force from the import on."""


class Settings(TypedDict):
    """What `configure` sets and returns."""

    cache_bytes: int
    cache_entries: int
    backups_kept: int
    backups_max_age: float
    backups_compressed_above: float
    lock_timeout: float
    durability: Literal["full", "process"]
    max_staleness: float
    edit_timeout: float
    stores: dict[str, str]
    rules: str
    rules_grandfathered: bool
    mask_values: bool


class Latency(TypedDict):
    """How long an operation took: how many times, how many seconds in all, and a histogram.

    Each bucket has its upper bound in seconds, and the number of operations that took
    at most that and more than the bound before. The operations beyond the last bound are
    the rest of `count`.
    """

    count: int
    seconds: float
    buckets: list[tuple[float, int]]


class Statistics(TypedDict):
    """What `stats` returns: counts since the process started or was forked, and two sizes.

    `failures` counts exceptions by operation and class. `latencies` has "read" (loads
    that read the file), "write", "delete" and "lock_wait".
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


def configure(
    *,
    cache_bytes: int | None = None,
    cache_entries: int | None = None,
    backups_kept: int | None = None,
    backups_max_age: float | None = None,
    backups_compressed_above: float | None = None,
    lock_timeout: float | None = None,
    durability: Literal["full", "process"] | None = None,
    stores: Mapping[str, str] | None = None,
    max_staleness: float | None = None,
    edit_timeout: float | None = None,
    rules: FilePath | None = None,
    rules_grandfathered: bool | None = None,
    mask_values: bool | None = None,
) -> Settings:
    """Changes process-wide settings; without arguments only returns them.

    Args:
        cache_bytes: Bytes of JSON text whose documents the cache holds, and of the plans
            by which it copies them (default 134217728). The objects of documents that
            are loaded again take a few times as much memory.
        cache_entries: The most documents that the cache holds (default 256).
        backups_kept: Backups of each file (default 10); 0 makes no backups.
        backups_max_age: Seconds after which a save removes a backup, except for the
            newest (default infinite).
        backups_compressed_above: Bytes above which a save compresses backups with gzip,
            after it has released the file's lock (default infinite: never). `gzip.open`
            reads a compressed backup.
        lock_timeout: Seconds to wait for another writer (default 10.0).
        durability: "full" (the default), or "process" to skip every sync: files then
            survive a crash of the program, but not a power cut. A document in a database
            is not saved with "process".
        stores: Folders whose documents lie in PostgreSQL, each with its store's URL:
            `{"/srv/data": "postgresql://user@host/database?schema=refinery"}`. A path
            belongs to the longest of these folders that it lies in; no file is read or
            written there. Takes the place of all stores before; `{}` ends them. At first
            the variable `OASIS_DATA_STORES` is read, a JSON object of the same form.
        max_staleness: Seconds in which a load of a document in a database may answer from
            the cache without asking the server (default 0.0: never).
        edit_timeout: Seconds after which a server ends an `edit_json` whose block does not
            end, and gives the lock to others (default 60.0).
        rules: The rules file that every write obeys; `""` ends the rules. The file is read
            anew when it changes. At first the variable `OASIS_DATA_RULES` is read. Needs
            `pip install 'oasis_data[rules]'`; with the variable set and without that, every
            write is refused with a `BrokenRulesError`.
        rules_grandfathered: Whether a write may leave faults that the documents had before,
            as long as it brings no new fault (default False).
        mask_values: Whether errors about rules have `***` in place of the values at fault
            (default False). Keys are told.

    Returns:
        All settings, as they are now. The URL of a store has `***` in place of its
            password; given back as it is, for the same folder, it means the same store.

    Raises:
        ValueError: A setting cannot have that value; no setting is changed.
        ModuleNotFoundError: Rules are given, and what they need is not installed.
    """
    rules_settings = _rules_settings.merged(rules, rules_grandfathered, mask_values)
    changes = {
        "cache_bytes": cache_bytes,
        "cache_entries": cache_entries,
        "backups_kept": backups_kept,
        "backups_max_age": backups_max_age,
        "backups_compressed_above": backups_compressed_above,
        "lock_timeout": lock_timeout,
        "durability": durability,
        "max_staleness": max_staleness,
        "edit_timeout": edit_timeout,
    }
    given = {name: value for name, value in changes.items() if value is not None}
    if stores is None:
        settings = _native.configure(given)
    else:
        urls = dict(_stores.given(folder, url) for folder, url in stores.items())
        settings = _native.configure(given, list(urls.items()))
        _stores.put_in_force(urls)
    if rules_settings != _rules_settings.current or stores is not None:
        _rules_settings.put_in_force(rules_settings)
    return {**settings, "stores": _stores.told(), **_rules_settings.current}


def stats() -> Statistics:
    """What this process has done since it started.

    Returns:
        Counts by name; `cache_entries` and `cache_bytes` are what the cache holds now.
        `decode_fallbacks` counts the texts that were left to the standard library's
        `json`, which is slower: with NaN, infinities, lone surrogates or great depth, and
        what is not UTF-8 or not JSON. `encode_fallbacks` counts the values that were left
        to it: what it refuses, proxies, floats with comparisons of their own, and
        documents with an unusual `indent`. A forked child starts from zero.
    """
    return _native.stats()


def read_environment() -> None:
    """Puts the stores and the rules of the environment in force.

    Raises:
        ValueError: The variable of stores is no JSON object of folders and URLs.
    """
    if text := os.environ.get(_ENVIRONMENT):
        try:
            stores = json.loads(text)
        except ValueError:
            stores = None  # the text, which may have a password, is not shown
        if not isinstance(stores, dict):
            raise ValueError(f"{_ENVIRONMENT} must be a JSON object: a URL for each folder")
        configure(stores=stores)
    if rules := os.environ.get(_RULES_ENVIRONMENT):
        # Without what rules need, loads go on.
        _rules_settings.put_in_force({**_rules_settings.current, "rules": whole(rules)})
