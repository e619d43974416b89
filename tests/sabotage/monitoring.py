"""Counts, metrics and the log."""

from __future__ import annotations

from tests.sabotage.operations import never, remove, value, without
from tests.sabotage.safeguard import Sabotage

SABOTAGES = [
    Sabotage(
        "publishing-within-publishing",
        "a handler may publish while its thread publishes",
        never,
        "pytest tests/monitoring/test_processes.py -k handler",
    ),
    Sabotage(
        "child-counts-from-nothing",
        "a forked child counts from nothing",
        remove,
        "pytest tests/test_statistics.py -k forked_child",
    ),
    Sabotage(
        "failures-counted",
        "each failure is counted",
        remove,
        "pytest tests/test_statistics.py -k by_operation_and_class",
    ),
    Sabotage(
        "one-wait-for-a-silent-store",
        "metrics wait once for a store that does not answer",
        never,
        "pytest tests/monitoring/test_metrics.py -k holds_up_no_scrape",
    ),
    Sabotage(
        "log-file-turns",
        "processes take turns at the log file",
        value(
            "from logging.handlers import RotatingFileHandler as h; "
            "ConcurrentRotatingFileHandler = lambda *a, unicode_error_policy, **k: h(*a, **k)"
        ),
        "pytest tests/test_logging.py -k lost_or_torn",
    ),
    Sabotage(
        "earlier-handler-goes",
        "an earlier handler goes when a later one comes",
        remove,
        "pytest tests/test_logging.py -k takes_the_place",
    ),
    Sabotage(
        "logger-revived",
        "a configuration of other loggers does not silence the package",
        remove,
        "pytest tests/test_logging.py -k survives",
    ),
    Sabotage(
        "silenced-on-purpose",
        "an application that silences the package on purpose is obeyed",
        without(1),
        "pytest tests/test_logging.py -k on_purpose",
    ),
    Sabotage(
        "answered-id-logged",
        "an answer with an id is in a log",
        remove,
        "pytest tests/test_logging.py -k survives",
    ),
    Sabotage(
        "configured-logger-enabled",
        "configure_logging brings a disabled logger back",
        remove,
        "pytest tests/test_logging.py -k brings_it_back",
    ),
    Sabotage(
        "child-publishes-its-own",
        "a forked child publishes its own counts alone",
        remove,
        "pytest tests/monitoring/test_processes.py -k by_itself",
    ),
    Sabotage(
        "published-before-fork",
        "counts made before a fork are published",
        remove,
        "pytest tests/monitoring/test_processes.py -k totals",
    ),
    Sabotage(
        "published-after-request",
        "each request's counts are published",
        remove,
        "pytest tests/monitoring/test_processes.py -k totals",
    ),
    Sabotage(
        "late-metrics-folder",
        "a metrics folder that is set too late is told",
        never,
        "pytest tests/monitoring/test_processes.py -k too_late",
    ),
]
