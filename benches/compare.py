"""Loads, encodings and saves against their peers.

    python benches/compare.py [quick]

All contenders of a row take turns in one run; a row gives medians in microseconds.
The floor of a save is the same syscalls with the bytes made beforehand.
"""

from __future__ import annotations

import copy
import json
import os
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import corpora
import guide
import orjson
from measure import Contenders, table, take_turns

import oasis_data
from oasis_data._native import encode

Row = tuple[str, dict[str, float]]


def name_of(name: str, text: bytes) -> str:
    """How a row is called."""
    return f"{name}, {len(text)} B"


def settled(folder: Path, documents: list[tuple[str, Any]]) -> list[tuple[str, Any, bytes, str]]:
    """Writes the documents, and waits until their files' stamps can be trusted."""
    written = []
    for name, document in documents:
        text = json.dumps(document, indent=2, ensure_ascii=False).encode()
        path = folder / f"{name}.json"
        path.write_bytes(text)
        written.append((name_of(name, text), document, text, str(path)))
    time.sleep(0.3)
    return written


def hits(name: str, document: Any, text: bytes, path: str) -> Row:
    """Loads of a file that has not changed."""
    load, stat, loads = oasis_data.load_data_file, os.stat, orjson.loads
    for _ in range(3):
        load(path)
    contenders: Contenders = {
        "stat + orjson.loads": lambda: (stat(path), loads(text)),
        "oasis_data": lambda: load(path),
        "stat + deepcopy": lambda: (stat(path), copy.deepcopy(document)),
    }
    return name, take_turns(contenders)


def lent(name: str, path: str) -> Row:
    """The same, and nobody gets a copy."""
    load, stat = oasis_data.load_data_file, os.stat
    load(path, copy=False)
    return name, take_turns(
        {"os.stat": lambda: stat(path), "copy=False": lambda: load(path, copy=False)}
    )


def first_loads(name: str, path: str) -> Row:
    """Loads of a file that is in the page cache, and nowhere else."""
    load, loads = oasis_data.load_data_file, orjson.loads

    def orjson_load() -> object:
        with open(path, "rb") as file:
            return loads(file.read())

    contenders: Contenders = {
        "orjson": orjson_load,
        "oasis_data": lambda: load(path),
        "json": lambda: json.loads(Path(path).read_bytes()),
    }
    return name, take_turns(contenders, before=oasis_data.clear_all_cache)


def encodings(name: str, document: Any) -> Row:
    """Text out of objects."""
    dumps, option = orjson.dumps, orjson.OPT_INDENT_2
    contenders: Contenders = {
        "orjson": lambda: dumps(document, None, option),
        "oasis_data": lambda: encode(document, 2),
        "json": lambda: json.dumps(document, indent=2, ensure_ascii=False).encode(),
    }
    return name, take_turns(contenders)


def floor(path: str, text: bytes) -> None:
    """The syscalls that a durable save with a backup cannot do without."""
    folder = os.open(os.path.dirname(path), os.O_RDONLY | os.O_DIRECTORY)
    temporary, backup = f"{path}.new", f"{path}.old"
    file = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL)
    os.write(file, text)
    os.fsync(file)
    os.close(file)
    if os.path.exists(backup):
        os.unlink(backup)
    os.link(path, backup)
    os.rename(temporary, path)
    os.fsync(folder)
    os.close(folder)


def saves(name: str, document: Any, text: bytes, path: str) -> Row:
    """Durable saves with a backup, each of another content."""
    paths = {who: f"{path}.{who}.json" for who in ("floor", "ours", "guide", "hand")}
    for each in paths.values():
        Path(each).write_bytes(text)
    count = [0]

    def changed() -> Any:
        count[0] += 1
        return {"count": count[0], "document": document}

    contenders: Contenders = {
        "floor": lambda: floor(paths["floor"], text),
        "oasis_data": lambda: oasis_data.save_json_atomic(paths["ours"], changed()),
        "the guide's Python": lambda: guide.save(Path(paths["guide"]), changed()),
        "orjson, by hand": lambda: floor(
            paths["hand"], orjson.dumps(changed(), None, orjson.OPT_INDENT_2)
        ),
    }
    return name, take_turns(contenders, seconds=2.0, rounds=300)


def threads(folder: Path) -> Row:
    """Saves of different files by one thread, and by four."""
    document = corpora.schedule(4_000)
    paths = [folder / f"thread{number}.json" for number in range(4)]

    def save(path: Path) -> None:
        for number in range(8):
            oasis_data.save_json_atomic(path, [number, time.perf_counter(), document])

    with ThreadPoolExecutor(4) as pool:
        contenders: Contenders = {
            "one thread": lambda: [*map(save, paths)],
            "four threads": lambda: [*pool.map(save, paths)],
        }
        return "32 saves of 4 files", take_turns(contenders, seconds=3.0)


PEAK = """
import json, resource, sys, tempfile
import corpora, oasis_data
document = corpora.schedule(int(sys.argv[1]))
def used(): return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
with tempfile.TemporaryDirectory() as folder:
    oasis_data.save_json_atomic(f"{folder}/small.json", {})
    # The most so far is what making the document took: not to be counted.
    with open("/proc/self/clear_refs", "w") as refs: refs.write("5")
    before = int(open("/proc/self/statm").read().split()[1]) * 4096
    oasis_data.save_json_atomic(f"{folder}/x.json", document)
    peak = next(l for l in open("/proc/self/status") if l.startswith("VmHWM"))
    import os
    size = os.path.getsize(f"{folder}/x.json")
    print(size, (int(peak.split()[1]) * 1024 - before) / size)
"""


def peaks(sizes: list[int]) -> None:
    """Prints the most memory that a save takes, as a multiple of the document."""
    print("\nPeak memory of a save, as a multiple of the document\n")
    print("| bytes | multiple |\n| ---: | ---: |")
    for size in sizes:
        done = subprocess.run(
            [sys.executable, "-c", PEAK, str(size)],
            cwd=Path(__file__).parent,
            capture_output=True,
            text=True,
            check=True,
        )
        bytes_, multiple = done.stdout.split()
        print(f"| {bytes_} | {float(multiple):.2f} |", flush=True)


def main() -> None:
    """Prints every table."""
    quick = sys.argv[1:] == ["quick"]
    largest = 64_000 if quick else 10_000_000
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        made = settled(folder, list(corpora.made(largest)))
        samples = settled(folder, list(corpora.samples()))
        both = samples + made
        rows = [hits(*each) for each in both]
        table("A load of a file that has not changed", rows, "stat + orjson.loads")
        rows = [lent(name, path) for name, *_, path in made]
        table("The same with copy=False", rows, "os.stat")
        rows = [first_loads(name, path) for name, *_, path in both]
        table("A first load", rows, "orjson")
        for title, group in (("samples", samples), ("made documents", made)):
            rows = [encodings(name, document) for name, document, *_ in group]
            table(f"An encoding, {title}", rows, "orjson")
        oasis_data.clear_all_cache()
        schedules = [each for each in made if each[0].startswith("schedule")]
        rows = [saves(*each) for each in schedules]
        table("A durable save with a backup", rows, "floor")
        table("Different files at once", [threads(folder)], "one thread")
    peaks([1_000_000] if quick else [1_000_000, 10_000_000, 100_000_000])


if __name__ == "__main__":
    main()
