"""What can be set for the whole process, and what it counts.

Private: the names are in `oasis_data.file_operations`.
"""

from typing import Literal, TypedDict

from oasis_data import _native


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
            survive a crash of the program, but not a power cut.

    Returns:
        All settings, as they are now.

    Raises:
        ValueError: A setting cannot have that value; no setting is changed.
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
        Counts by name; `cache_entries` and `cache_bytes` are what the cache holds now.
        `decode_fallbacks` counts the texts that were left to the standard library's
        `json`, which is slower: with NaN, infinities, lone surrogates or great depth, and
        what is not UTF-8 or not JSON. `encode_fallbacks` counts the values that were left
        to it: what it refuses, proxies, floats with comparisons of their own, and
        documents with an unusual `indent`. A forked child starts from zero.
    """
    return _native.stats()
