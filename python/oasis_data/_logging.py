"""Where the log goes, and the history of operations in it.

Private: `configure_logging` is public in `oasis_data.error_handling`.
"""

import logging
import os
import threading
import time
from typing import Any, Literal

from oasis_data._paths import FilePath, whole

FORMAT = "%(asctime)s - %(name)s - %(levelname)s - %(message)s"
FILE_NAME = "data_operations.log"

# Two threads would each leave their handlers.
_exchanging = threading.Lock()

# Whether operations that succeed are logged. Every load reads this; to ask the logger
# each time would cost a measurable part of a load.
writes = False
reads = False

_logger = logging.getLogger("DataOperations")
_handlers: list[logging.Handler] = []

# `dictConfig` and `fileConfig` disable every logger that exists, unless told otherwise: an
# application that imports the package first would lose the package's log. Nobody logs to
# this second logger. If it is disabled too, the application did not mean the package's.
_witness = logging.getLogger("_DataOperationsWitness")


def revive() -> None:
    """Enables the package's logger if a configuration of other loggers has disabled it."""
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
    warnings: list[str],
    size: int | None,
    backup: str | None,
    version: str | None,
) -> None:
    """Logs a write that stands: its warnings, and a line of history if the history is on."""
    for warning in warnings:
        logger().warning("Beside the change of %r, which stands: %s", whole(file_path), warning)
    if writes:
        record(operation, whole(file_path), started, size=size, version=version, backup=backup)


def log_recovery(file_path: str, text: str) -> None:
    """Logs what a recovery, met by any call, did with one file of an interrupted batch."""
    path = whole(file_path)
    _logger.warning(
        "In the recovery of a batch, %r: %s", path, text, extra={"recovery": (path, text)}
    )


def configure_logging(
    *,
    folder: str | os.PathLike[str] | None = None,
    level: int | str = logging.INFO,
    json_lines: bool = False,
    console: bool = True,
    history: Literal["writes", "all"] | None = None,
    max_bytes: int = 10 << 20,
    files_kept: int = 10,
) -> logging.Logger:
    """Gives the logger "DataOperations" the guide's format, a console and a file.

    Without a call the logger is the application's to configure, as any other logger. A
    later call replaces the handlers of an earlier call, and enables the logger if
    something has disabled it (`dictConfig` does, unless told otherwise). The lines do not
    go to the root logger's handlers too.

    Args:
        folder: The folder of the file `data_operations.log`, made if missing. The file is
            rotated safely between all processes that write to it. None: no file. A file
            needs `pip install 'oasis_data[logging]'`.
        level: The lowest level that is logged.
        json_lines: Log one JSON object on each line, with the fields as its keys, in place
            of the guide's format. This needs `pip install 'oasis_data[logging]'` too.
        console: Log to stderr too.
        history: "writes" logs one line at level INFO for each save, edit, deletion,
            restore and pruned backup: the file, bytes, milliseconds, version and
            backup. "all" logs a line for each load too; the line has no backup, and has a
            version only if the caller asked for the version. None: no history, only
            warnings and errors.
        max_bytes: The size in bytes at which the file is rotated.
        files_kept: How many rotated files stay beside the log file.

    Returns:
        The logger.

    Raises:
        ImportError: A package that is needed is not installed; nothing has changed.
        OSError: The folder cannot be made; nothing has changed.
        ValueError: An option cannot have that value; nothing has changed.
    """
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
        handlers.append(_rotating_file(os.fspath(folder), max_bytes, files_kept))
    with _exchanging:
        # This call counts, whoever disabled the logger before.
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
        # Otherwise the handlers of the root logger write each line a second time.
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
    # The standard library's handler would rotate a file that another process writes to.
    return ConcurrentRotatingFileHandler(
        os.path.join(folder, FILE_NAME),
        maxBytes=max_bytes,
        # The number of files beside the file that is written to.
        backupCount=files_kept,
        encoding="utf-8",
        unicode_error_policy="replace",
        # A program that becomes a daemon closes all descriptors: lines would go to the next
        # file that gets the same number.
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
