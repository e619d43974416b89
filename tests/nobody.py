"""Another user, who has none of root's powers."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")

NOBODY = 65534


def as_nobody(folder: Path, function: Callable[[], T]) -> T:
    """Calls a module's function in `folder`, in a process that has none of root's powers."""
    # The function goes along to be imported before: nobody may be kept from
    # the interpreter's files too.
    with ProcessPoolExecutor(1, get_context("spawn"), become_nobody, (folder, function)) as pool:
        return pool.submit(function).result()


def become_nobody(folder: Path, _function: object) -> None:
    # First: the folders on the way to it may be closed to others.
    os.chdir(folder)
    if os.geteuid() == 0:
        os.setgroups([])
        os.setgid(NOBODY)
        os.setuid(NOBODY)
