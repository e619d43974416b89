"""gunicorn reads this by itself. It makes the metrics add up over all workers."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

FOLDER = "PROMETHEUS_MULTIPROC_DIR"
PREFIX = "backend-metrics-"

# Before the workers start, and before anything imports prometheus_client. Empty: what an
# earlier run counted is not of this one. A reload (SIGHUP) reads this file again, and goes
# on counting.
if FOLDER not in os.environ:
    os.environ[FOLDER] = tempfile.mkdtemp(prefix=PREFIX)


def child_exit(server: Any, worker: Any) -> None:
    """Takes what a worker held out of the metrics when it is gone; what it counted stays."""
    from prometheus_client.multiprocess import mark_process_dead

    mark_process_dead(worker.pid)  # type: ignore[no-untyped-call]


def on_exit(server: Any) -> None:
    """Removes the folder, unless it was given."""
    folder = Path(os.environ[FOLDER])
    if folder.name.startswith(PREFIX):
        shutil.rmtree(folder)
