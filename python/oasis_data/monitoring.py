"""Metrics for Prometheus: what `stats()` counts, and the state of the documents' files.

With several processes (gunicorn's workers) set `PROMETHEUS_MULTIPROC_DIR` to an empty
folder before they start, as `prometheus_client` says. Each process then keeps its counts
in that folder, and the process that is asked for metrics adds them up.

Needs `pip install 'oasis_data[monitoring]'`.
"""

import os
import threading
from collections.abc import Iterable, Iterator, Mapping
from itertools import accumulate
from typing import NamedTuple

from prometheus_client import REGISTRY, CollectorRegistry, generate_latest, values
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.metrics_core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.multiprocess import MultiProcessCollector

from oasis_data import _native
from oasis_data._paths import FilePath
from oasis_data._settings import Statistics, stats
from oasis_data._stores import store_of
from oasis_data.error_handling import DataFileNotFoundError, DataOperationError

__all__ = ["exposition", "publish"]

# Numbers that tell a present size; all other numbers are counts.
_SIZES = {"cache_entries", "cache_bytes"}
# Sums of `failures`, which has the counts by operation and class.
_SUMS = {"read_failures", "write_failures"}
# Seconds that a server has to answer in. Prometheus waits ten for all of a scrape, and the
# counts are wanted most while a server does not answer.
_PATIENCE = 1.0
_OPERATIONS = ("read", "write", "delete")
# Series that exist before the first failure: Prometheus sees no growth in a series that
# appears with its first failure.
_AWAITED = [("read", "CorruptFileError")] + [
    (operation, "LockTimeoutError") for operation in _OPERATIONS
]


class _Series(NamedTuple):
    """One number, as a file of `prometheus_client`'s multiprocess mode names it."""

    kind: str
    metric: str
    name: str
    labels: tuple[tuple[str, str], ...] = ()


def exposition(documents: Mapping[str, FilePath] | None = None) -> tuple[bytes, str]:
    """The metrics of all processes, including the application's own metrics.

    Args:
        documents: The files whose state is told, by the label in the metrics.

    Returns:
        The body of an answer to Prometheus, and its content type.
    """
    registry = CollectorRegistry()
    if _several_processes():
        publish()
        MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    else:
        registry.register(REGISTRY)
        registry.register(_StatisticsCollector())
    registry.register(_DocumentsCollector(documents or {}))
    return generate_latest(registry), CONTENT_TYPE_LATEST


def publish() -> None:
    """Adds what this process has counted since the last call to the counts of all processes.

    The Flask extension calls this after each request. Any other program calls it now and
    then, and before it ends: counts that are not published are missing in the metrics.
    With a single process the call does nothing.
    """
    if _several_processes():
        _published.bring_up_to_date()


def _several_processes() -> bool:
    several = bool(values.ValueClass._multiprocess)
    # safeguard: late-metrics-folder
    if not several and "PROMETHEUS_MULTIPROC_DIR" in os.environ:
        # Each worker would answer with its own counts alone, which look right.
        raise RuntimeError(
            "PROMETHEUS_MULTIPROC_DIR was set after prometheus_client had been imported;"
            " set it before the program starts"
        )
    return several


class _Published:
    """What this process has written into its own files of the multiprocess mode."""

    def __init__(self) -> None:
        # Reentrant: a signal handler may publish or fork while its thread publishes.
        self._lock = threading.RLock()
        self._writing = False
        self._amounts: dict[_Series, float] = {}
        self._values: dict[_Series, values.MutexValue] = {}

    def bring_up_to_date(self) -> None:
        with self._lock:
            self._write()

    def _write(self) -> None:
        # The lock of prometheus_client's own is not reentrant.
        # safeguard: publishing-within-publishing
        if self._writing:
            return
        self._writing = True
        try:
            self._write_changes()
        finally:
            self._writing = False

    def _write_changes(self) -> None:
        for series, amount in _amounts(stats()):
            before = self._amounts.get(series)
            if amount == before:
                continue
            value = self._values.get(series)
            if value is None:
                value = self._values[series] = _value(series)
            if series.kind == "gauge":
                value.set(amount)  # type: ignore[no-untyped-call]
            else:
                # A process may have the pid of an earlier process, and finds its file:
                # the counts of the earlier process stay.
                value.inc(amount - (before or 0))  # type: ignore[no-untyped-call]
            self._amounts[series] = amount

    def before_fork(self) -> None:
        # Held until after the fork: a child that is forked while another thread writes
        # would wait for ever for the lock of prometheus_client.
        self._lock.acquire()
        if _several_processes():
            # The counts of gunicorn --preload before its workers: it serves nothing later.
            # safeguard: published-before-fork
            self._write()

    def after_fork_in_parent(self) -> None:
        self._lock.release()

    def after_fork_in_child(self) -> None:
        # The native counters start from zero too; the values find the child's files.
        # safeguard: child-publishes-its-own
        self._amounts.clear()
        self._lock.release()


_published = _Published()
os.register_at_fork(
    before=_published.before_fork,
    after_in_parent=_published.after_fork_in_parent,
    after_in_child=_published.after_fork_in_child,
)


def _value(series: _Series) -> values.MutexValue:
    names, labels = zip(*series.labels, strict=True) if series.labels else ((), ())
    value: values.MutexValue = values.ValueClass(
        series.kind,
        series.metric,
        series.name,
        names,
        labels,
        _help(series.metric),
        multiprocess_mode="livesum",
    )
    return value


def _amounts(statistics: Statistics) -> Iterator[tuple[_Series, float]]:
    """Every number of the statistics. Buckets are not added up, as in the files."""
    for name, amount in _numbers(statistics):
        metric = f"oasis_data_{name}"
        if name in _SIZES:
            yield _Series("gauge", metric, metric), amount
        else:
            yield _Series("counter", metric, f"{metric}_total"), amount
    for labels, amount in _failures(statistics):
        pairs = tuple(zip(("operation", "kind"), labels, strict=True))
        metric = "oasis_data_failures"
        yield _Series("counter", metric, f"{metric}_total", pairs), amount
    for metric, operation, counts, seconds in _latencies(statistics):
        own: tuple[tuple[str, str], ...] = (("operation", operation),) if operation else ()
        yield _Series("histogram", metric, f"{metric}_sum", own), seconds
        for bound, amount in counts:
            yield _Series("histogram", metric, f"{metric}_bucket", (*own, ("le", bound))), amount


class _StatisticsCollector:
    """The statistics of a single process."""

    def collect(self) -> Iterable[Metric]:
        statistics = stats()
        for name, amount in _numbers(statistics):
            family = GaugeMetricFamily if name in _SIZES else CounterMetricFamily
            metric = f"oasis_data_{name}"
            yield family(metric, _help(metric), value=amount)
        failures = CounterMetricFamily(
            "oasis_data_failures", _help("oasis_data_failures"), labels=("operation", "kind")
        )
        for labels, amount in _failures(statistics):
            failures.add_metric(labels, amount)
        yield failures
        histograms: dict[str, HistogramMetricFamily] = {}
        for metric, operation, counts, seconds in _latencies(statistics):
            histogram = histograms.setdefault(
                metric,
                HistogramMetricFamily(
                    metric, _help(metric), labels=("operation",) if operation else ()
                ),
            )
            bounds, amounts = zip(*counts, strict=True)
            histogram.add_metric(
                (operation,) if operation else (),
                list(zip(bounds, accumulate(amounts), strict=True)),
                seconds,
            )
        yield from histograms.values()


def _numbers(statistics: Statistics) -> Iterator[tuple[str, int]]:
    for name, amount in statistics.items():
        if isinstance(amount, int) and name not in _SUMS:
            yield name, amount


def _failures(statistics: Statistics) -> Iterator[tuple[tuple[str, str], int]]:
    counts = dict.fromkeys(_AWAITED, 0)
    for operation, kinds in statistics["failures"].items():
        counts |= {(operation, kind): count for kind, count in kinds.items()}
    yield from counts.items()


def _latencies(
    statistics: Statistics,
) -> Iterator[tuple[str, str, list[tuple[str, int]], float]]:
    """Metric, operation, counts by the text of the upper bound, and the sum of seconds."""
    for name, taken in statistics["latencies"].items():
        counts = [(str(bound), count) for bound, count in taken["buckets"]]
        rest = taken["count"] - sum(count for _, count in taken["buckets"])
        counts.append(("+Inf", rest))
        if name in _OPERATIONS:
            yield "oasis_data_operation_seconds", name, counts, taken["seconds"]
        else:
            yield f"oasis_data_{name}_seconds", "", counts, taken["seconds"]


def _help(metric: str) -> str:
    words = metric.removeprefix("oasis_data_").replace("_", " ")
    return f"{words.capitalize()}, as oasis_data.stats() counts"


class _DocumentsCollector:
    """The state of the documents' files at the time of the request for metrics."""

    def __init__(self, documents: Mapping[str, FilePath]) -> None:
        self._documents = documents

    def collect(self) -> Iterable[Metric]:
        def gauge(name: str, text: str) -> GaugeMetricFamily:
            return GaugeMetricFamily(f"oasis_data_document_{name}", text, labels=("document",))

        size = gauge("bytes", "Size of the document's file")
        modified = gauge("modified_timestamp_seconds", "When the file was last modified")
        backups = gauge("backups", "Backups beside the file")
        free = gauge("disk_free_bytes", "What its file system has left for this user")
        room = gauge("disk_size_bytes", "How large its file system is")
        silent: set[str | None] = set()
        for label, path in self._documents.items():
            if _native.is_in_store(path):
                store = store_of(os.fsdecode(path))
                # safeguard: one-wait-for-a-silent-store
                if store in silent:
                    continue
                try:
                    stored, saved_at = _native.stored_status(path, timeout=_PATIENCE)
                    size.add_metric((label,), stored)
                    modified.add_metric((label,), saved_at)
                    backups.add_metric((label,), len(_native.backup_names(path)))
                except DataFileNotFoundError:
                    pass
                except DataOperationError:
                    silent.add(store)
                continue
            file = os.path.realpath(os.fsdecode(path))
            try:
                disk = os.statvfs(os.path.dirname(file))
            except FileNotFoundError:
                continue
            free.add_metric((label,), disk.f_bavail * disk.f_frsize)
            room.add_metric((label,), disk.f_blocks * disk.f_frsize)
            try:
                stat = os.stat(file)
            except FileNotFoundError:
                continue
            size.add_metric((label,), stat.st_size)
            modified.add_metric((label,), stat.st_mtime)
            backups.add_metric((label,), len(_native.backup_names(file)))
        return [size, modified, backups, free, room]
