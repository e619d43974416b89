"""Where the log goes, and the history of operations in it.

Private: the face is `oasis_data.error_handling.configure_logging`.
"""

import logging
import os
import threading
import time
from typing import Any

from oasis_data._paths import FilePath, whole

FORMAT = "%(asctime)s - %(name)s - %(levelname)s - %(message)s"
FILE_NAME = "data_operations.log"

# Two threads would each leave their handlers.
_exchanging = threading.Lock()

# Whether operations that succeed are logged. Looked at in every load, where asking
# the logger itself would show.
writes = False
reads = False

_logger = logging.getLogger("DataOperations")
_handlers: list[logging.Handler] = []

# `dictConfig` and `fileConfig` disable each logger that is there before them, unless
# told otherwise: an application that imports the package first would never hear of it
# again. Nobody logs to this one. If it is disabled too, then the application did not
# mean the package's.
_witness = logging.getLogger("_DataOperationsWitness")


def revive() -> None:
    """Undoes what the configuration of other loggers has done to the package's."""
    # safeguard: silenced-on-purpose
    if _logger.disabled and _witness.disabled:
        # In this order: a thread that looks in between finds the logger enabled.
        # safeguard: logger-revived
        _logger.disabled = _witness.disabled = False


def logger() -> logging.Logger:
    """The logger, for a line that is to be logged now."""
    revive()
    return _logger


def record(
    operation: str,
    file_path: str,
    started: float,
    *,
    size: int | None = None,
    version: str | None = None,
    backup: str | None = None,
) -> None:
    """Logs one operation that succeeded; `started` is from `time.perf_counter`."""
    milliseconds = round((time.perf_counter() - started) * 1000, 3)
    facts: dict[str, Any] = {"bytes": size, "version": version, "backup": backup}
    known = "".join(f" {name}={value}" for name, value in facts.items() if value is not None)
    logger().info(
        "Data operation done: %s on %r milliseconds=%s%s",
        operation,
        file_path,
        milliseconds,
        known,
        extra={"operation": operation, "file_path": file_path, "milliseconds": milliseconds}
        | facts,
    )


def log_write(
    operation: str,
    file_path: FilePath,
    started: float,
    remarks: list[str],
    size: int | None,
    backup: str | None,
    version: str | None,
) -> None:
    """Logs a write that stands: what went wrong beside it, and its history if that is wanted."""
    for remark in remarks:
        logger().warning("Beside the change of %r, which stands: %s", whole(file_path), remark)
    if writes:
        record(operation, whole(file_path), started, size=size, version=version, backup=backup)


def log_recovery(file_path: str, text: str) -> None:
    """Logs what a recovery, met by any call, did with one file of an interrupted batch."""
    path = whole(file_path)
    _logger.warning(
        "In the recovery of a batch, %r: %s", path, text, extra={"recovery": (path, text)}
    )


def configure(
    folder: str | None,
    *,
    level: int | str,
    json_lines: bool,
    console: bool,
    history: str | None,
    max_bytes: int,
    files_kept: int,
) -> logging.Logger:
    """Does what `configure_logging` says."""
    global writes, reads
    if history not in (None, "writes", "all"):
        raise ValueError(f"history={history!r}: is None, 'writes' or 'all'")
    if folder is not None and (max_bytes < 1 or files_kept < 1):
        raise ValueError(f"max_bytes={max_bytes}, files_kept={files_kept}: at least 1 each")
    formatter = _json_formatter() if json_lines else logging.Formatter(FORMAT)
    handlers: list[logging.Handler] = []
    if console:
        handlers.append(logging.StreamHandler())
    if folder is not None:
        handlers.append(_rotating_file(folder, max_bytes, files_kept))
    with _exchanging:
        # Whoever disabled it: this call is the later word.
        # safeguard: configured-logger-enabled
        _logger.disabled = _witness.disabled = False
        _logger.setLevel(level)
        for handler in _handlers:
            # safeguard: earlier-handler-goes
            _logger.removeHandler(handler)
            handler.close()
        for handler in handlers:
            handler.setFormatter(formatter)
            _logger.addHandler(handler)
        _handlers[:] = handlers
        # Or the handlers of the root logger would write each line once more.
        _logger.propagate = not handlers
        enabled = _logger.isEnabledFor(logging.INFO)
        writes = enabled and history is not None
        reads = enabled and history == "all"
    return _logger


def _rotating_file(folder: str, max_bytes: int, files_kept: int) -> logging.Handler:
    try:
        # safeguard: log-file-turns
        from concurrent_log_handler import ConcurrentRotatingFileHandler
    except ImportError as error:
        raise ImportError("a log file needs: pip install 'oasis_data[logging]'") from error
    os.makedirs(folder, exist_ok=True)
    # The standard library's would rotate away what another process is writing to.
    return ConcurrentRotatingFileHandler(
        os.path.join(folder, FILE_NAME),
        maxBytes=max_bytes,
        # It counts the files beside the one that is written to.
        backupCount=files_kept,
        encoding="utf-8",
        unicode_error_policy="replace",
        # A daemon closes what it finds open, and lines would go to what has its number then.
        # safeguard: log-not-held-open
        keep_file_open=False,
    )


def _json_formatter() -> logging.Formatter:
    try:
        from pythonjsonlogger.json import JsonFormatter
    except ImportError as error:
        raise ImportError("json_lines needs: pip install 'oasis_data[logging]'") from error
    return JsonFormatter(
        ["name", "levelname", "message", "process"],
        rename_fields={"name": "logger", "levelname": "level", "exc_info": "exception"},
        timestamp="time",
    )
