"""The promises of the documentation, measured for oasis_data and its peers.

    python -m tests.torture.promises [--write]

Prints a table; `--write` puts it into docs/explanation/promises.md.
"""

from __future__ import annotations

import functools
import os
import re
import shutil
import socket
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.conftest import mounted, temporaries
from tests.torture.adapters import ADAPTERS, Adapter
from tests.torture.children import fork
from tests.torture.counters import race
from tests.torture.faults import (
    CANNOT_FAIL,
    KILL,
    Fault,
    Scenario,
    Tally,
    cut_short,
    storage_calls,
    strike,
    traced,
)
from tests.torture.kills import Loop
from tests.torture.readers import BARE_TORN, TORN, watch

NAME = "tanks.json"


def document(tanks: int, level: int) -> dict[str, Any]:
    """A schedule as long as those of the backend."""
    return {"rows": [{"tank": tank, "level": level} for tank in range(tanks)]}


# Each shorter than the one before: what is written over it in place leaves a tail.
OLD, NEW, NEXT = document(1500, 1), document(1000, 2), document(500, 3)
PAGE = Path(__file__).resolve().parents[2] / "docs" / "explanation" / "promises.md"
BEGIN, END = "<!-- measured promises -->\n", "<!-- end -->\n"


@dataclass(frozen=True)
class Verdict:
    """How often a promise was tried, and broken."""

    promise: str
    tried: int
    broken: int
    how: str = ""
    """The first time, for whoever wants to know."""

    def __str__(self) -> str:
        if self.tried == 1:
            return "broken" if self.broken else "kept"
        return f"{self.broken:,} of {self.tried:,}" if self.broken else f"kept, {self.tried:,}"


def under_load(adapter: Adapter, folder: Path, loads: int, saves: int) -> list[Verdict]:
    """Readers beside writers."""
    readings = watch(adapter, folder / NAME, 8, 4, loads, saves)
    first = readings.first
    return [
        Verdict(
            "a reader that uses it meets whole versions only",
            readings.loads,
            readings.met[TORN],
            first.get(TORN, ""),
        ),
        Verdict(
            "and so does a program that does not",
            readings.bare_loads,
            readings.met[BARE_TORN],
            first.get(BARE_TORN, ""),
        ),
    ]


def fresh(adapter: Adapter, folder: Path, rounds: int) -> Verdict:
    """Another process saves documents of one length; each is loaded as soon as that returned.

    Where the file system stamps by the timer's ticks, as all did before Linux 6.13.
    """
    with mounted(folder / "coarse", "ramfs") as coarse:
        path = coarse / NAME
        adapter.save(path, {"number": 0})

        def save_when_told(wire: socket.socket) -> None:
            for number in range(1, rounds + 1):
                wire.recv(1)
                adapter.save(path, {"number": 10**9 + number})
                wire.send(b".")

        child = fork(save_when_told)
        stale = 0
        for number in range(1, rounds + 1):
            child.wire.send(b".")
            child.wire.recv(1)
            stale += adapter.load(path) != {"number": 10**9 + number}
        child.wait()
        adapter.forget()
    return Verdict("a load shows what another process has just saved", rounds, stale)


def counted(
    adapter: Adapter, folder: Path, processes: int, threads: int, increments: int
) -> Verdict:
    """Increments that are missing at the end, those that raised included."""
    result = race(adapter, folder / NAME, processes, threads, increments)
    found = max(result.found, 0)
    return Verdict(
        f"no update is lost by {processes} processes of {threads} threads"
        if processes > 1
        else f"no update is lost by {threads} threads",
        result.tried,
        result.tried - found,
        result.first_error,
    )


def killed_at_random(adapter: Adapter, folder: Path, kills: int) -> Verdict:
    """Writers of a file each."""
    toll = Loop(adapter, folder, 8, seed=kills, edits=False).run(kills)
    return Verdict(
        "`kill -9` at random moments loses and tears nothing that was saved",
        toll.kills,
        toll.broken.total(),
        ", ".join(toll.first.values()),
    )


def _leftovers(root: Path) -> list[str]:
    """What is neither the file, nor a backup or lock of it, nor the sidecar."""
    own = (NAME, f"{NAME}.lock", ".oasis_data")
    names = [
        path.name
        for path in root.iterdir()
        if path.name not in own and not path.name.startswith(f"{NAME}.backup.")
    ]
    return names + temporaries(root)


def _heal(adapter: Adapter, root: Path) -> list[str]:
    adapter.forget()
    try:
        adapter.save(root / NAME, NEXT)
        found = adapter.load(root / NAME)
    except Exception as error:
        return [repr(error)]
    return _leftovers(root) if found == NEXT else ["a save had no effect"]


def _prepare(adapter: Adapter, root: Path) -> None:
    adapter.forget()
    adapter.save(root / NAME, OLD)


def scenario_of(adapter: Adapter) -> Scenario:
    """A replacement of a file, as the adapter does it."""
    return Scenario(
        adapter.name,
        prepare=functools.partial(_prepare, adapter),
        act=lambda root: adapter.save(root / NAME, NEW),
        state=lambda root: adapter.read_bare(root / NAME),
        old=OLD,
        new=NEW,
        heal=functools.partial(_heal, adapter),
        tells=Exception,
    )


def _strace() -> str:
    found = shutil.which("strace")
    if not found:
        sys.exit("needs strace")
    return found


def struck(adapter: Adapter, folder: Path) -> list[Verdict]:
    """A save that is killed, or failed, at each of its syscalls."""
    strace = _strace()
    scenario, root, log = scenario_of(adapter), folder / "root", folder / "log"
    calls = storage_calls(strace, scenario, root, log)
    size = (root / NAME).stat().st_size
    killed, failed, short = Tally(), Tally(), Tally()
    for name, when in calls:
        strike(strace, scenario, root, log, Fault(name, when, KILL), killed)
        if name not in CANNOT_FAIL:
            for error in ("ENOSPC", "EIO"):
                fault = Fault(name, when, f"error={error}")
                strike(strace, scenario, root, log, fault, failed)
    for tenth in range(10):
        cut_short(scenario, root, size * tenth // 10, short)

    def verdict(promise: str, tally: Tally, *kinds: str) -> Verdict:
        found = [what for kind in kinds for what in tally.broken.get(kind, [])]
        # One fault may break a promise in two ways.
        faults = {what.split(";")[0] for what in found}
        tried = tally.tried.total() - tally.tried["missed"]
        return Verdict(promise, tried, len(faults), found[0] if found else "")

    return [
        verdict(
            "killed at any syscall, a save leaves the old file or the new", killed, "old or new"
        ),
        verdict("the next save works, and leaves no litter", killed, "healing"),
        verdict(
            "failed at any syscall (ENOSPC, EIO), it tells the truth and leaves the old file",
            failed,
            *("old or new", "truth", "alive"),
        ),
        verdict("a write cut short leaves the old file", short, "old or new", "truth", "alive"),
    ]


def synced(adapter: Adapter, folder: Path) -> Verdict:
    """The file before the rename, the folder after it, both before the return."""
    root = folder / "root"
    calls = traced(_strace(), scenario_of(adapter), root, folder / "log")
    where = re.escape(str(root))

    def positions(pattern: str) -> list[int]:
        return [i for i, (_, call) in enumerate(calls) if re.match(pattern, call)]

    renamed = positions(rf"rename.*{NAME}\"[^\"]*= 0")
    file_synced = positions(rf"f(data)?sync\(\d+<{where}/.+>\) += 0")
    folder_synced = positions(rf"fsync\(\d+<{where}>\) += 0")
    if renamed:
        kept = any(i < renamed[-1] for i in file_synced)
        kept = kept and any(i > renamed[-1] for i in folder_synced)
    else:
        written = positions(rf"p?write\w*\(\d+<{where}/")
        kept = bool(file_synced) and file_synced[-1] > written[-1]
    return Verdict("a save survives a power cut: file and folder are synced", 1, not kept)


def symlink_kept(adapter: Adapter, folder: Path) -> Verdict:
    """A link stays one, and leads to what was saved."""
    (folder / "real").mkdir()
    real, link = folder / "real" / NAME, folder / NAME
    adapter.save(real, OLD)
    link.symlink_to(real)
    adapter.save(link, NEW)
    kept = link.is_symlink() and adapter.read_bare(real) == NEW
    return Verdict("a symlink stays one", 1, not kept)


def mode_kept(adapter: Adapter, folder: Path) -> Verdict:
    """And the owner, where there is the right to see the difference."""
    path = folder / NAME
    adapter.save(path, OLD)
    path.chmod(0o640)
    if os.geteuid() == 0:
        os.chown(path, 1234, 1234)
    before = path.stat()
    adapter.save(path, NEW)
    after = path.stat()
    kept = all(getattr(before, name) == getattr(after, name) for name in ("st_mode", "st_uid"))
    return Verdict("mode and owner stay", 1, not kept)


def versions_kept(adapter: Adapter, folder: Path) -> Verdict:
    """Three saves within a second; then the first two are to be had back."""
    for document in (OLD, NEW, NEXT):
        adapter.save(folder / NAME, document)
    paths = folder.glob(f"{NAME}.backup.*")
    found = [adapter.read_bare(path) for path in paths]
    broken = OLD not in found or NEW not in found
    return Verdict("the two versions before can be had back", 1, broken)


def outside_edit_seen(adapter: Adapter, folder: Path) -> Verdict:
    """In place, of the same size, the time put back; and a file that is older than the last."""
    path = folder / NAME
    missed = 0
    for older in (False, True):
        adapter.save(path, OLD)
        adapter.load(path)
        stat = path.stat()
        edited = path.read_bytes().replace(b'"level": 1', b'"level": 2')
        target = path.with_name("other") if older else path
        target.write_bytes(edited)
        os.utime(target, ns=(stat.st_atime_ns, stat.st_mtime_ns - 10**9 * older))
        target.replace(path)
        missed += adapter.load(path) != document(1500, 2)
    return Verdict("the next load sees what another program wrote", 2, missed)


def loads_are_private(adapter: Adapter, folder: Path) -> Verdict:
    """What a caller does to a document is not in the next load."""
    adapter.save(folder / NAME, OLD)
    adapter.load(folder / NAME)["rows"].clear()
    broken = adapter.load(folder / NAME) != OLD
    return Verdict("what a load returned is the caller's own", 1, broken)


def corrupt_not_empty(adapter: Adapter, folder: Path) -> Verdict:
    """An edit of a file that is cut off does not write over what is left of it."""
    path = folder / NAME
    adapter.save(path, OLD)
    cut = path.read_bytes()[:-10]
    path.write_bytes(cut)
    adapter.forget()

    def change(document: dict[str, Any]) -> None:
        document["rows"] = []

    raised = ""
    try:
        adapter.edit(path, change)
    except ValueError as error:
        raised = repr(error)
    kept = raised and path.read_bytes() == cut
    return Verdict("an edit takes no corrupt file for an empty one", 1, not kept)


Measure = Callable[[Adapter, Path], "Verdict | list[Verdict]"]
CERTAIN: list[Measure] = [
    *(synced, versions_kept, symlink_kept, mode_kept),
    *(outside_edit_seen, loads_are_private, corrupt_not_empty),
]
"""Those whose outcome does not hang on time."""


EVERYTHING: list[Measure] = [
    functools.partial(fresh, rounds=1000),
    functools.partial(under_load, loads=4000, saves=1000),
    functools.partial(counted, processes=1, threads=8, increments=3200),
    functools.partial(counted, processes=8, threads=8, increments=3200),
    functools.partial(killed_at_random, kills=300),
    struck,
    *CERTAIN,
]


def measure(adapter: Adapter, measures: list[Measure]) -> list[Verdict]:
    """The verdicts on one adapter."""
    verdicts: list[Verdict] = []
    for one in measures:
        with tempfile.TemporaryDirectory() as folder:
            found = one(adapter, Path(folder))
            adapter.forget()
            verdicts += found if isinstance(found, list) else [found]
    return verdicts


def table(columns: dict[str, list[Verdict]]) -> str:
    """Markdown: a row for each promise, a column for each adapter."""
    lines = [
        f"| promise | {' | '.join(columns)} |",
        f"| --- |{' --- |' * len(columns)}",
    ]
    for row in zip(*columns.values(), strict=True):
        lines.append(f"| {row[0].promise} | {' | '.join(map(str, row))} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Measures all, and prints or publishes the table."""
    if os.geteuid():
        sys.exit("needs root, to mount a file system with coarse stamps")
    columns = {adapter.name: measure(adapter, EVERYTHING) for adapter in ADAPTERS}
    for name, verdicts in columns.items():
        for verdict in verdicts:
            if verdict.how:
                print(f"{name}: {verdict.promise}: {verdict}: {verdict.how}", file=sys.stderr)
    print(table(columns))
    if "--write" in sys.argv:
        before, rest = PAGE.read_text().split(BEGIN)
        _, after = rest.split(END, 1)
        PAGE.write_text(f"{before}{BEGIN}{table(columns)}{END}{after}")


if __name__ == "__main__":
    main()
