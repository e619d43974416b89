"""What can hardly be done without: a load's and a save's syscalls, and the copies of a hit.

The syscalls are made in C: `floor.c`, compiled. The copies are called for from Python.
"""

from __future__ import annotations

import ctypes
import gc
import os
import subprocess
import tempfile
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Any

SOURCE = Path(__file__).with_name("floor.c")


def compiled() -> ctypes.CDLL:
    """The floors, as a library of C."""
    with tempfile.TemporaryDirectory() as folder:
        library = Path(folder) / "floor.so"
        command = ["cc", "-O2", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC"]
        subprocess.run([*command, "-o", library, SOURCE], check=True)
        return ctypes.CDLL(str(library), use_errno=True)


def require(line: int) -> None:
    """Raises what made the call in that line of `floor.c` fail, if one did."""
    if line:
        raise OSError(ctypes.get_errno(), f"{SOURCE.name}:{line} failed")


def load(path: str, size: int) -> Callable[[], None]:
    """A load without the document: its bytes go where there is room already."""
    library, text = compiled(), ctypes.create_string_buffer(size + 1)
    journal = os.path.join(os.path.dirname(path), ".oasis_data/journal").encode()
    place, room = path.encode(), ctypes.c_size_t(size + 1)
    return lambda: require(library.load(place, journal, text, room))


def hit(path: str, document: Any) -> Callable[[], object]:
    """A `stat`, and the interpreter's own copies of each dictionary and list, side by side."""
    dicts: list[dict[str, Any]] = []
    lists: list[list[Any]] = []
    waiting = [document]
    while waiting:
        container = waiting.pop()
        if type(container) is dict:
            dicts.append(container)
            waiting += container.values()
        elif type(container) is list:
            lists.append(container)
            waiting += container

    def act() -> object:
        gc.disable()  # as oasis_data keeps the collector from looking at each new container
        copies = os.stat(path), [*map(dict.copy, dicts)], [*map(list.copy, lists)]
        gc.enable()
        return copies

    return act


def saves(folder: Path, text: bytes) -> dict[str, Callable[[], None]]:
    """A save with no promises, and one with the syscalls of all of oasis_data's."""
    library, turns = compiled(), count(1)
    bare, promised = str(folder / "bare").encode(), str(folder / "promised").encode()
    for each in (bare, promised):
        for made in (b"locks", b"temp"):
            Path(each.decode(), ".oasis_data", made.decode()).mkdir(parents=True)
        Path(each.decode(), "x.json").write_bytes(text)
    Path(promised.decode(), ".oasis_data/locks/x.json.lock").write_bytes(b" " * 111)

    size = ctypes.c_size_t(len(text))
    return {
        "floor": lambda: require(library.bare(bare, text, size)),
        "floor with the promises": lambda: require(
            library.promised(promised, text, size, next(turns))
        ),
    }
