"""What can hardly be done without: a load's and a save's syscalls, and the copies of a hit.

All are made in C, compiled: the syscalls in `floor.c`, the copies in `copies.c`.

    python benches/floor.py

prints what the copies of schedules take, and what their memory alone takes.
"""

from __future__ import annotations

import ctypes
import json
import os
import subprocess
import sysconfig
import tempfile
from collections.abc import Callable
from functools import cache, partial
from itertools import count
from pathlib import Path
from typing import Any

SOURCE = Path(__file__).with_name("floor.c")
COPIES = Path(__file__).with_name("copies.c")


@cache
def compiled(source: Path = SOURCE, kind: type[ctypes.CDLL] = ctypes.CDLL) -> ctypes.CDLL:
    """A library of C."""
    with tempfile.TemporaryDirectory() as folder:
        library = Path(folder) / "floor.so"
        command = ["cc", "-O2", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC"]
        command += ["-isystem", sysconfig.get_path("include"), "-o", str(library)]
        subprocess.run([*command, source], check=True)
        return kind(str(library), use_errno=True)


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
    copy = copies(document)
    return lambda: (os.stat(path), copy(1))


def copies(document: Any) -> Callable[[int], object]:
    """The copies of each dictionary and list; of 0, empty ones of the same sizes."""
    containers: list[Any] = []
    waiting = [document]
    while waiting:
        container = waiting.pop()
        if type(container) in (dict, list):
            containers.append(container)
            values = container.values() if type(container) is dict else container
            # In the order of the text, in which they lie in memory.
            waiting += [*values][::-1]
    call = compiled(COPIES, ctypes.PyDLL).copies
    call.argtypes, call.restype = (ctypes.py_object, ctypes.c_int), ctypes.py_object
    return lambda content: call(containers, content)


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


def main() -> None:
    """Prints medians in microseconds, and multiples of orjson's load."""
    import corpora
    import orjson
    from measure import take_turns

    def stat_and_load(text: bytes) -> object:
        return os.stat(__file__), orjson.loads(text)

    for size in (4_000, 64_000, 1_000_000):
        text = json.dumps(corpora.schedule(size), indent=2).encode()
        copy = copies(orjson.loads(text))
        medians = take_turns(
            {
                "stat + orjson": partial(stat_and_load, text),
                "copies": partial(copy, 1),
                "their memory": partial(copy, 0),
            }
        )
        of = medians["stat + orjson"]
        print(len(text), *(f"{who}: {us:,.1f} ({us / of:.2f} x)" for who, us in medians.items()))


if __name__ == "__main__":
    main()
