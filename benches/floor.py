"""Saves that are nothing but syscalls: `floor.c`, compiled."""

from __future__ import annotations

import ctypes
import subprocess
import tempfile
from collections.abc import Callable
from itertools import count
from pathlib import Path

SOURCE = Path(__file__).with_name("floor.c")


def compiled() -> ctypes.CDLL:
    """The two floors, as a library of C."""
    with tempfile.TemporaryDirectory() as folder:
        library = Path(folder) / "floor.so"
        command = ["cc", "-O2", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC"]
        subprocess.run([*command, "-o", library, SOURCE], check=True)
        return ctypes.CDLL(str(library), use_errno=True)


def saves(folder: Path, text: bytes) -> dict[str, Callable[[], None]]:
    """A save with no promises, and one with the syscalls of all of oasis_data's."""
    library, turns = compiled(), count(1)
    bare, promised = str(folder / "bare").encode(), str(folder / "promised").encode()
    for each in (bare, promised):
        for made in (b"locks", b"temp"):
            Path(each.decode(), ".oasis_data", made.decode()).mkdir(parents=True)
        Path(each.decode(), "x.json").write_bytes(text)
    Path(promised.decode(), ".oasis_data/locks/x.json.lock").write_bytes(b" " * 111)

    def require(line: int) -> None:
        if line:
            raise OSError(ctypes.get_errno(), f"{SOURCE.name}:{line} failed")

    size = ctypes.c_size_t(len(text))
    return {
        "floor": lambda: require(library.bare(bare, text, size)),
        "floor with the promises": lambda: require(
            library.promised(promised, text, size, next(turns))
        ),
    }
