"""Writers of one document on a file system that loses its power.

Each writer builds on what the others have written, before they know that it is on the disk. So
when a call of a writer has returned, all that it built on must be on the disk too. Each writer
has a count of its own in the document, and notes after each call all counts that it saw. After
the cut no count may be lower than anybody has noted.
"""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

from oasis_data import (
    VersionConflictError,
    clear_all_cache,
    configure,
    delete_json_atomic,
    edit_json,
    load_data_file,
    load_with_version,
    save_many_atomic,
)
from tests.backend.servers import wait_for

from .file_systems import Image, image, run
from .power_cuts import Durability

SHARED = "shared.json"
WRITERS = 4
LONGEST_LIFE = 0.2
"""Seconds from the writers' start to the latest cut."""

Counts = dict[str, int]
Act = Callable[[Path, str], Counts]


def batch_of(me: str) -> str:
    """The file that this writer's batches save beside the shared document."""
    return f"batches-{me}.json"


def document() -> dict[str, Any]:
    # Long enough for several blocks.
    return {"counts": {}, "batches": {}, "filler": ["filler"] * 1_000}


def add(folder: Path, me: str) -> Counts:
    """Raises the own count."""
    with edit_json(folder / SHARED) as content:
        content["counts"][me] = content["counts"].get(me, 0) + 1
    return dict(content["counts"])


def confirm(folder: Path, me: str) -> Counts:
    """Saves what is there, which is only made durable."""
    del me
    with edit_json(folder / SHARED) as content:
        pass
    return dict(content["counts"])


def add_in_batch(folder: Path, me: str) -> Counts:
    """Raises two counts that must stay the same, in two files."""
    content, version = load_with_version(folder / SHARED)
    number = content["batches"].get(me, 0) + 1
    content["batches"][me] = number
    content["counts"][me] = content["counts"].get(me, 0) + 1
    documents = {folder / SHARED: content, folder / batch_of(me): {"number": number}}
    # Somebody else may come first, even each time: then there is nothing to note.
    with suppress(VersionConflictError):
        save_many_atomic(documents, if_version={folder / SHARED: version})
        return dict(content["counts"])
    return {}


def make_and_delete(folder: Path, me: str) -> Counts:
    """A deletion, and a batch that makes the file anew, before the deletion is synced."""
    path = folder / batch_of(me)
    with edit_json(folder / SHARED) as content:
        number = content["batches"].get(me, 0)
    if number:
        save_many_atomic({path: {"number": number}, folder / f"other-{me}.json": number})
        delete_json_atomic(folder / f"other-{me}.json")
    return dict(content["counts"])


ACTS: Sequence[Act] = [add, add, confirm, add_in_batch, make_and_delete]


def act_until_cut_off(
    folder: Path, notes: Path, me: str, stop: Path, durability: Durability
) -> None:
    """Writes until a call fails, or until it is told to stop."""
    configure(backups_kept=5, durability=durability)
    chance = random.Random(me)
    with suppress(OSError), notes.open("a", buffering=1) as log:
        while not stop.exists():
            counts = chance.choice(ACTS)(folder, me)
            log.write(f"{json.dumps([time.monotonic(), counts])}\n")
    clear_all_cache()


def lose_power(
    parent: Path,
    kind: str,
    writers: ProcessPoolExecutor,
    seed: int,
    durability: Durability = "full",
) -> tuple[int, list[str]]:
    """Cuts a new file system off; returns how many calls had returned, and what was lost."""
    parent.mkdir()
    chance = random.Random(seed)
    with image(parent, kind) as made:
        folder = made.folder / "data"
        folder.mkdir()
        save_many_atomic({folder / SHARED: document()})
        run("sync", "--file-system", made.folder)
        stop = parent / "stop"
        notes = [parent / f"notes-{number}" for number in range(WRITERS)]
        for note in notes:
            note.touch()
        futures = [
            writers.submit(act_until_cut_off, folder, note, str(number), stop, durability)
            for number, note in enumerate(notes)
        ]
        wait_for(lambda: all(note.stat().st_size for note in notes), "the writers")
        # The moment is to be any: nothing is waited for.
        time.sleep(chance.uniform(0, LONGEST_LIFE))
        cut_at = cut(made, flush=chance.random() < 0.5)
        stop.touch()
        for future in futures:
            future.result()
        clear_all_cache()
        made.come_back()
        returned, lost = judge(folder, notes, cut_at)
        clear_all_cache()
    return returned, lost


def cut(made: Image, *, flush: bool) -> float:
    """Cuts the power; what has returned before the time that it returns must be there."""
    before = time.monotonic()
    made.cut_power(flush=flush)
    # Where the power is cut under the writers, no call returns after that.
    return before if made.goes_on_after_cut else time.monotonic()


def judge(folder: Path, notes: list[Path], cut_at: float) -> tuple[int, list[str]]:
    """How many calls had returned, and what of them is not there."""
    floor: Counts = {}
    returned = 0
    for note in notes:
        for line in note.read_text().splitlines():
            at, counts = json.loads(line)
            if at < cut_at:
                returned += 1
                floor |= {who: max(count, floor.get(who, 0)) for who, count in counts.items()}
    # The first use completes a batch, or takes it back.
    content = load_data_file(folder / SHARED, strict=True)
    lost = [
        f"{who}: {content['counts'].get(who)} for at least {count}"
        for who, count in floor.items()
        if content["counts"].get(who, 0) < count
    ]
    for who, number in content["batches"].items():
        found = load_data_file(folder / batch_of(who), default=None)
        if found != {"number": number}:
            lost.append(f"{who}: half of a batch, {found} beside {number}")
    return returned, lost
