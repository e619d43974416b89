"""Loads, encodings and saves against their peers.

    python benches/compare.py [quick | write]

The contenders of a row take turns in one run; a row gives medians in microseconds.
`quick` leaves large documents out; `write` puts tables and plots into docs/benchmarks.md.
"""

from __future__ import annotations

import copy
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import contended
import corpora
import floor
import guide
import orjson
import report
from cliffs import cliffs as all_cliffs
from measure import Contenders, Row, take_turns
from report import table

import oasis_data
from oasis_data._native import EncodeOptions, decode, encode

# The options of `save_json_atomic` where the caller gives none.
INDENTED = EncodeOptions(indent=2)


@dataclass
class Sample:
    """A document, its text, and a file that holds it."""

    name: str
    document: Any
    text: bytes
    path: str

    def row(self, medians: dict[str, float]) -> Row:
        """What was measured with it."""
        return Row(self.name, len(self.text), medians)


def past_racy_window(folder: Path, documents: list[tuple[str, Any]]) -> list[Sample]:
    """Writes the documents, and waits until their files' stamps can be trusted."""
    written = []
    for name, document in documents:
        text = json.dumps(document, indent=2, ensure_ascii=False).encode()
        path = folder / f"{name} {len(text)}.json"
        path.write_bytes(text)
        written.append(Sample(name, document, text, str(path)))
    time.sleep(0.3)
    return written


def hits(sample: Sample, *, cold: bool = False) -> Row:
    """Loads of a file that has not changed; cold, when the processor has had to see to others."""
    load, stat, loads = oasis_data.load_data_file, os.stat, orjson.loads
    path, text, document = sample.path, sample.text, sample.document

    def deepcopy() -> object:
        return stat(path), copy.deepcopy(document)

    for _ in range(3):
        load(path)
    contenders: Contenders = {
        "stat + orjson": lambda: (stat(path), loads(text)),
        "oasis_data": lambda: load(path),
        "floor": floor.hit(path, load(path, copy=False)),
    }
    if cold:
        return sample.row(take_turns(contenders, before=deepcopy))
    # Apart from the others: it leaves nothing of them in the processor's caches.
    return sample.row(take_turns(contenders) | take_turns({"stat + deepcopy": deepcopy}))


def lent(sample: Sample) -> Row:
    """The same, and nobody gets a copy."""
    load, stat, path = oasis_data.load_data_file, os.stat, sample.path
    load(path, copy=False)
    contenders: Contenders = {
        "os.stat": lambda: stat(path),
        "oasis_data": lambda: load(path, copy=False),
    }
    return sample.row(take_turns(contenders))


def first_loads(sample: Sample) -> Row:
    """Loads of a file that is in the page cache, and nowhere else."""
    load, loads, path = oasis_data.load_data_file, orjson.loads, sample.path

    def closed() -> object:
        with open(path, "rb") as file:
            return loads(file.read())

    contenders: Contenders = {
        "orjson": lambda: loads(open(path, "rb").read()),  # noqa: SIM115 -- as most write it
        "oasis_data": lambda: load(path),
        "orjson, with `with`": closed,
        "floor": floor.load(path, len(sample.text)),
        "json": lambda: json.loads(Path(path).read_bytes()),
    }
    return sample.row(take_turns(contenders, before=oasis_data.clear_all_cache))


def encodings(sample: Sample) -> Row:
    """Text out of objects."""
    dumps, option, document = orjson.dumps, orjson.OPT_INDENT_2, sample.document
    contenders: Contenders = {
        "orjson": lambda: dumps(document, None, option),
        "oasis_data": lambda: encode(document, INDENTED),
        "json": lambda: json.dumps(document, indent=2, ensure_ascii=False).encode(),
    }
    return sample.row(take_turns(contenders))


def first_encodings(sample: Sample) -> Row:
    """The same of objects nobody has encoded: orjson keeps the UTF-8 of each string in it."""
    dumps, option = orjson.dumps, orjson.OPT_INDENT_2
    documents: list[Any] = []

    def another() -> None:
        documents[:] = [decode(sample.text)]

    contenders: Contenders = {
        "orjson": lambda: dumps(documents[0], None, option),
        "oasis_data": lambda: encode(documents[0], INDENTED),
    }
    return sample.row(take_turns(contenders, before=another))


def cliffs() -> list[Row]:
    """Encodings of what is not plain, against the same data in plain types."""
    rows = []
    for cliff in all_cliffs():
        plain, option = cliff.plain, orjson.OPT_INDENT_2
        contenders: Contenders = {
            "orjson, plain types": partial(orjson.dumps, plain, None, option),
            "oasis_data": partial(encoded_or_refused, cliff.document, cliff.options),
            "oasis_data, plain types": partial(encode, plain, INDENTED),
        }
        size = len(orjson.dumps(plain, None, option))
        rows.append(Row(cliff.name, size, take_turns(contenders, seconds=0.4)))
    return rows


def encoded_or_refused(document: Any, options: EncodeOptions) -> None:
    """An encoding, or the error that names the value."""
    with suppress(oasis_data.JSONWriteError):
        encode(document, options)


def by_hand(path: str, document: Any) -> None:
    """A careful save, as one would write it with orjson; one backup is kept."""
    folder = os.path.dirname(path)
    descriptor, temporary = tempfile.mkstemp(dir=folder)
    with open(descriptor, "wb") as file:
        file.write(orjson.dumps(document, None, orjson.OPT_INDENT_2))
        file.flush()
        os.fsync(descriptor)
    with suppress(FileNotFoundError):
        os.unlink(f"{path}.old")
    os.link(path, f"{path}.old")
    os.rename(temporary, path)
    opened = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    os.fsync(opened)
    os.close(opened)


def saves(sample: Sample, scratch: Path) -> Row:
    """Durable saves with a backup, each of another content, each in its own folder."""
    folders = {
        who: scratch / f"{who} {len(sample.text)}" for who in ("floor", "ours", "hand", "guide")
    }
    for folder in folders.values():
        folder.mkdir()
        (folder / "x.json").write_bytes(sample.text)
    ours, hand, guided = (folders[who] / "x.json" for who in ("ours", "hand", "guide"))
    count = [0]

    def changed() -> Any:
        count[0] += 1
        return {"count": count[0], "document": sample.document}

    text = orjson.dumps(changed(), None, orjson.OPT_INDENT_2)
    floors = floor.saves(folders["floor"], text)
    promised = floors["floor with the promises"]
    contenders: Contenders = {
        **floors,
        "floor with orjson too": lambda: (
            orjson.dumps(changed(), None, orjson.OPT_INDENT_2),
            promised(),
        ),
        "oasis_data": lambda: oasis_data.save_json_atomic(ours, changed()),
        "orjson, by hand": lambda: by_hand(str(hand), changed()),
    }
    medians = take_turns(contenders, seconds=3.0, rounds=400)
    # Apart from the others: it leaves a backup that the disk has yet to write.
    guided_save: Contenders = {"the guide's Python": lambda: guide.save(guided, changed())}
    medians |= take_turns(guided_save, seconds=2.0, rounds=400)
    return Row(sample.name, len(text), medians)


def threads(scratch: Path) -> tuple[Row, Row]:
    """Saves of different files by one thread, and by four; and the same of a floor."""
    document = corpora.schedule(4_000)
    folders = [scratch / f"thread{number}" for number in range(4)]
    for folder in folders:
        folder.mkdir()
    text = orjson.dumps(document, None, orjson.OPT_INDENT_2)
    floors = [floor.saves(folder, text)["floor with the promises"] for folder in folders]

    def save(folder: Path) -> None:
        for number in range(8):
            oasis_data.save_json_atomic(
                folder / "ours.json", [number, time.perf_counter(), document]
            )

    def bottom(act: Callable[[], None]) -> None:
        for _ in range(8):
            act()

    with ThreadPoolExecutor(4) as pool:
        contenders: Contenders = {
            "four threads": lambda: [*pool.map(save, folders)],
            "one thread": lambda: [*map(save, folders)],
            "floor by four": lambda: [*pool.map(bottom, floors)],
            "floor by one": lambda: [*map(bottom, floors)],
        }
        medians = take_turns(contenders, seconds=5.0)
    own = {name: medians[name] for name in ("four threads", "one thread")}
    lowest = {"four threads": medians["floor by four"], "one thread": medians["floor by one"]}
    title, size = "32 saves of 4 files", len(text)
    return Row(title, size, own), Row(title, size, lowest)


def batches(folder: Path) -> Row:
    """Files saved together, and one after the other."""
    document = corpora.schedule(4_000)
    paths = [folder / f"batch{number}.json" for number in range(64)]

    def changed() -> dict[Path, Any]:
        return {path: [time.perf_counter(), document] for path in paths}

    def singly() -> None:
        for path, each in changed().items():
            oasis_data.save_json_atomic(path, each)

    contenders: Contenders = {
        "together": lambda: oasis_data.save_many_atomic(changed()),
        "one by one": singly,
    }
    medians = take_turns(contenders, seconds=3.0)
    return Row("64 files", paths[0].stat().st_size, medians)


def growth(folder: Path, sizes: list[int]) -> list[Row]:
    """Whole saves and first loads of large documents, in turns."""
    documents = {folder / f"growth{size}.json": corpora.schedule(size) for size in sizes}
    paths = list(documents)

    def save(path: Path) -> None:
        oasis_data.save_json_atomic(path, documents[path], skip_unchanged=False)

    saves: Contenders = {str(path): partial(save, path) for path in paths}
    saved = take_turns(saves, seconds=8.0)
    documents.clear()
    loads: Contenders = {str(path): partial(oasis_data.load_data_file, path) for path in paths}
    loaded = take_turns(loads, before=oasis_data.clear_all_cache, seconds=8.0)
    oasis_data.clear_all_cache()
    return [
        Row(
            "schedule",
            path.stat().st_size,
            {"save": saved[str(path)], "first load": loaded[str(path)]},
        )
        for path in paths
    ]


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


def peaks(sizes: list[int]) -> str:
    """The most memory that a save takes, as a multiple of the document."""
    lines = []
    for size in sizes:
        done = subprocess.run(
            [sys.executable, "-c", PEAK, str(size)],
            cwd=Path(__file__).parent,
            capture_output=True,
            text=True,
            check=True,
        )
        bytes_, multiple = done.stdout.split()
        lines.append(f"| {int(bytes_):,} | {float(multiple):.2f} x |")
    title = "The most memory that a save takes at a time, as a multiple of the text"
    text = f"{title}:\n\n| bytes | memory |\n| ---: | ---: |\n" + "\n".join(lines) + "\n"
    print(f"\n{text}", end="", flush=True)
    return text


def main() -> None:
    """Prints every table, and writes them if asked to."""
    quick = "quick" in sys.argv
    largest = 64_000 if quick else 10_000_000
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        made = past_racy_window(folder, list(corpora.made(largest)))
        samples = past_racy_window(folder, list(corpora.samples()))
        schedules = [each for each in made if each.name == "schedule"]
        for title, measured in (
            ("A load of a file that has not changed", hits),
            ("A first load", first_loads),
            ("An encoding", encodings),
            ("A first encoding", first_encodings),
        ):
            rows = [measured(each) for each in samples]
            table(f"{title}, of the example's documents", rows)
        rows = [hits(each) for each in made]
        drawn = {"A load of a file that has not changed": rows}
        cold = [hits(each, cold=True) for each in made]
        drawn["A first load"] = [first_loads(each) for each in made]
        drawn["An encoding"] = [encodings(each) for each in made]
        oasis_data.clear_all_cache()
        drawn["A durable save with a backup"] = [saves(each, folder) for each in schedules]
        tables = [table(title, rows) for title, rows in drawn.items()]
        title = "A load of a file that has not changed, after a deep copy has emptied the caches"
        tables.append(table(title, cold))
        rows = [lent(each) for each in schedules]
        tables.append(table("A load that lends (`copy=False`)", rows))
        rows = [first_encodings(each) for each in made]
        tables.append(table("An encoding of what was not encoded before", rows))
        tables.append(table("An encoding of what is not plain", cliffs()))
        oasis_data.clear_all_cache()
        own, of_floor = threads(folder)
        tables.append(table("Saves of different files by threads", [own]))
        tables.append(table("The same of the floor with the promises", [of_floor]))
        tables.append(table("`save_many_atomic`", [batches(folder)]))
        edits, curves = contended.tables(folder, quick=quick)
        tables += edits
        largest = 4_000_000 if quick else 100_000_000
        rows = growth(folder, [largest // 4, largest // 2, largest])
        tables.append(table("Twice the document, and twice that", rows, compared=False))
    tables.append(peaks([1_000_000] if quick else [1_000_000, 10_000_000, 100_000_000]))
    if "write" in sys.argv:
        report.write(tables, drawn, curves)


if __name__ == "__main__":
    main()
