"""Counts, metrics and the log."""

from __future__ import annotations

from tests.sabotage.safeguard import FLASK, Sabotage

PROCESS = "src/python/process.rs"
RAISE = "src/python/exceptions.rs"
LOGGING = "python/oasis_data/_logging.py"
MONITORING = "python/oasis_data/monitoring.py"

SABOTAGES = [
    Sabotage(
        "a handler may publish while its thread publishes",
        "python/oasis_data/monitoring.py",
        "        if self._writing:\n",
        "        if False:\n",
        "pytest tests/monitoring/test_processes.py -k handler",
    ),
    Sabotage(
        "a forked child counts from nothing",
        PROCESS,
        "    statistics::after_fork_in_child();\n",
        "",
        "pytest tests/test_statistics.py -k forked_child",
    ),
    Sabotage(
        "each failure is counted",
        RAISE,
        "    FAILURES.count(operation, class);\n",
        "",
        "pytest tests/test_statistics.py -k by_operation_and_class",
    ),
    Sabotage(
        "processes take turns at the log file",
        LOGGING,
        "from concurrent_log_handler import ConcurrentRotatingFileHandler",
        "from logging.handlers import RotatingFileHandler as h;"
        " ConcurrentRotatingFileHandler = lambda *a, unicode_error_policy, **k: h(*a, **k)",
        "pytest tests/test_logging.py -k lost_or_torn",
    ),
    Sabotage(
        "an earlier handler goes when a later one comes",
        LOGGING,
        "        _logger.removeHandler(handler)\n",
        "",
        "pytest tests/test_logging.py -k takes_the_place",
    ),
    Sabotage(
        "a configuration of other loggers does not silence the package",
        LOGGING,
        "        _logger.disabled = _witness.disabled = False\n\n\ndef logger",
        "        pass\n\n\ndef logger",
        "pytest tests/test_logging.py -k survives",
    ),
    Sabotage(
        "an application that silences the package on purpose is obeyed",
        LOGGING,
        "if _logger.disabled and _witness.disabled:",
        "if _logger.disabled:",
        "pytest tests/test_logging.py -k on_purpose",
    ),
    Sabotage(
        "an answer with an id is in a log",
        "python/oasis_data/error_handling.py",
        "        _logging.revive()\n",
        "",
        "pytest tests/test_logging.py -k survives",
    ),
    Sabotage(
        "configure_logging brings a disabled logger back",
        LOGGING,
        "        _logger.disabled = _witness.disabled = False\n        _logger.setLevel",
        "        _logger.setLevel",
        "pytest tests/test_logging.py -k brings_it_back",
    ),
    Sabotage(
        "a forked child publishes its own counts alone",
        MONITORING,
        "        self._amounts.clear()\n",
        "",
        "pytest tests/monitoring/test_processes.py -k by_itself",
    ),
    Sabotage(
        "counts made before a fork are published",
        MONITORING,
        "            self._write()\n\n    def after_fork_in_parent",
        "            pass\n\n    def after_fork_in_parent",
        "pytest tests/monitoring/test_processes.py -k totals",
    ),
    Sabotage(
        "each request's counts are published",
        FLASK,
        "    app.teardown_request(publish)\n",
        "",
        "pytest tests/monitoring/test_processes.py -k totals",
    ),
    Sabotage(
        "a metrics folder that is set too late is told",
        MONITORING,
        'if not several and "PROMETHEUS_MULTIPROC_DIR" in os.environ:',
        "if False:",
        "pytest tests/monitoring/test_processes.py -k too_late",
    ),
]
