"""Writers on a file system that loses its power, and a ledger of what they were promised.

The ledger lies on another file system. Before each call a writer notes what the files hold if
it succeeds, and after it, that it returned. So after a cut every file must be as the last call
that returned has left it; the files of a call that was cut off are all as before it, or all as
after it.
"""

from __future__ import annotations

import itertools
import json
import random
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Literal

from oasis_data import (
    JSONReadError,
    clear_all_cache,
    configure,
    delete_json_atomic,
    edit_json,
    list_backups,
    load_data_file,
    restore_backup,
    save_json_atomic,
    save_many_atomic,
)
from tests.backend.servers import wait_for

from .file_systems import Image, image, run

Durability = Literal["full", "process"]
State = int | None
"""The number that a file holds; `None` where there is no file."""

TORN = -1
"""What is no document that anybody saved."""

HEALED = 1
"""The number of what is saved afterwards."""

OTHER = 1_000_000
"""Added to a number for what is to be replaced by it."""

REPLACED = "replaced.json"
EDITED = "edited.json"

MANY = 1_000
"""Backups, so that none is removed that the ledger names."""

WRITERS = 2
LONGEST_LIFE = 0.03
"""Seconds from the writers' start to the latest cut."""


class Ledger:
    """What one writer was promised."""

    def __init__(self, path: Path) -> None:
        self._path = path
        path.touch()

    @contextmanager
    def promise(self, states: Mapping[str, State]) -> Iterator[None]:
        """Notes that the files are to be in these states when the block has ended."""
        with self._path.open("a", buffering=1) as log:
            log.write(f"{json.dumps(states)}\n")
            yield
            log.write("returned\n")

    def promises(self) -> tuple[dict[str, State], dict[str, State]]:
        """The states after all calls that returned, and those that a last one was to bring."""
        kept: dict[str, State] = {}
        pending: dict[str, State] = {}
        for line in self._path.read_text().splitlines():
            if line == "returned":
                kept.update(pending)
                pending = {}
            else:
                pending = json.loads(line)
        return kept, pending

    def has_entries(self) -> bool:
        return self._path.stat().st_size > 0

    def returned(self) -> int:
        return self._path.read_text().splitlines().count("returned")

    def names(self) -> set[str]:
        kept, pending = self.promises()
        return {*kept, *pending}

    def broken(self, folder: Path) -> list[str]:
        """The promises that were not kept, in words."""
        kept, pending = self.promises()
        for name in sorted(self.names()):
            # The first use completes a batch, or takes it back.
            with suppress(JSONReadError):
                load_data_file(folder / name, strict=True)
        before = {name: kept.get(name) for name in pending}
        found = {name: state_of(folder / name) for name in self.names()}
        wrong = [
            f"{name}: {found[name]} for {state}"
            for name, state in kept.items()
            if name not in pending and found[name] != state
        ]
        after_cut = {name: found[name] for name in pending}
        if after_cut not in (before, pending):
            wrong.append(f"{after_cut} for {before} or {pending}")
        return wrong


def document(number: int) -> dict[str, Any]:
    # Of one block, and of several.
    return {"number": number, "filler": [number] * (number * 37 % 3_000)}


def state_of(path: Path) -> State:
    try:
        content = json.loads(path.read_bytes())
        number = int(content["number"])
    except FileNotFoundError:
        return None
    except (ValueError, TypeError, KeyError):
        return TORN
    return number if content == document(number) else TORN


# What a writer does, each time with another number

Act = Callable[[Path, Ledger, int], None]


def create(folder: Path, ledger: Ledger, number: int) -> None:
    name = f"new-{number}.json"
    with ledger.promise({name: number}):
        save_json_atomic(folder / name, document(number))


def create_with_parents(folder: Path, ledger: Ledger, number: int) -> None:
    name = f"far-{number}/away/new.json"
    with ledger.promise({name: number}):
        save_json_atomic(folder / name, document(number), make_parents=True)


def replace(folder: Path, ledger: Ledger, number: int) -> None:
    path = existing(folder, ledger, REPLACED, number)
    before = state_of(path)
    with ledger.promise({REPLACED: number}):
        save_json_atomic(path, document(number))
    backup = Path(list_backups(path)[0].path).name
    with ledger.promise({backup: before}):
        pass


def replace_without_backup(folder: Path, ledger: Ledger, number: int) -> None:
    path = existing(folder, ledger, REPLACED, number)
    with ledger.promise({REPLACED: number}):
        save_json_atomic(path, document(number), backup=False)


def edit(folder: Path, ledger: Ledger, number: int) -> None:
    path = existing(folder, ledger, EDITED, number)
    with ledger.promise({EDITED: number}), edit_json(path) as content:
        content.update(document(number))


def delete(folder: Path, ledger: Ledger, number: int) -> None:
    """Every other time: in between it makes the file anew."""
    path = folder / "deleted.json"
    if path.exists():
        with ledger.promise({"deleted.json": None}):
            delete_json_atomic(path, backup=number % 2 == 0)
    else:
        existing(folder, ledger, "deleted.json", number)


def restore(folder: Path, ledger: Ledger, number: int) -> None:
    path = existing(folder, ledger, REPLACED, number)
    for backup in list_backups(path)[:1]:
        with ledger.promise({REPLACED: state_of(Path(backup.path))}):
            restore_backup(path)


def existing(folder: Path, ledger: Ledger, name: str, number: int) -> Path:
    """The file, made if there is none."""
    path = folder / name
    if not path.exists():
        with ledger.promise({name: OTHER + number}):
            save_json_atomic(path, document(OTHER + number))
    return path


def save_batch(folder: Path, ledger: Ledger, number: int) -> None:
    """Saves files that are also saved alone, and one in another folder, as one."""
    states = {REPLACED: number, EDITED: OTHER + number, "far/batch.json": 2 * OTHER + number}
    with ledger.promise(states):
        documents = {folder / name: document(state) for name, state in states.items()}
        save_many_atomic(documents, make_parents=True)


def adopt(folder: Path, ledger: Ledger, number: int) -> None:
    """Saves what another program has written just so, and not synced."""
    name = f"adopted-{number}.json"
    (folder / name).write_text(json.dumps(document(number), indent=2))
    with ledger.promise({name: number}):
        save_json_atomic(folder / name, document(number))


ACTS: Sequence[Act] = [
    create,
    replace,
    delete,
    edit,
    create_with_parents,
    replace_without_backup,
    restore,
    save_batch,
]


# Cuts

Cut = Callable[[Image, Path, random.Random], Sequence[Ledger]]


def cut_after(acts: Sequence[Act], last: Durability = "full") -> Cut:
    """Acts, and cuts the power when the last call has returned; that one may be unsynced."""

    def cut(made: Image, parent: Path, chance: random.Random) -> Sequence[Ledger]:
        configure(durability="full", backups_kept=MANY)
        ledger = Ledger(parent / "ledger")
        first = chance.randrange(1_000)
        for number, act in enumerate(acts[:-1], first + 1):
            act(made.folder, ledger, number)
        configure(durability=last)
        acts[-1](made.folder, ledger, first)
        configure(durability="full")
        made.cut_power(flush=chance.random() < 0.5)
        # A cached document keeps its file open, and so the file system mounted.
        clear_all_cache()
        return [ledger]

    return cut


def cut_at_random(writers: ProcessPoolExecutor) -> Cut:
    """Cuts the power beside processes that write."""

    def cut(made: Image, parent: Path, chance: random.Random) -> Sequence[Ledger]:
        ledgers = [Ledger(parent / f"ledger-{number}") for number in range(WRITERS)]
        folders = [made.folder / f"writer-{number}" for number in range(WRITERS)]
        for folder in folders:
            folder.mkdir()
        # What is made without the library is not promised to last.
        run("sync", "--file-system", made.folder)
        futures = [
            writers.submit(act_until_cut_off, folder, ledger, chance.randrange(1_000))
            for folder, ledger in zip(folders, ledgers, strict=True)
        ]
        wait_for(lambda: all(ledger.has_entries() for ledger in ledgers), "the writers")
        # The moment is to be any: nothing is waited for.
        time.sleep(chance.uniform(0, LONGEST_LIFE))
        assert not [future.result() for future in futures if future.done()], "ended by itself"
        made.cut_power(flush=chance.random() < 0.5)
        for future in futures:
            future.result()
        return ledgers

    return cut


def act_until_cut_off(folder: Path, ledger: Ledger, seed: int) -> None:
    configure(backups_kept=MANY)
    chance = random.Random(seed)
    # Any error of the system: XFS, when it is cut off, may say that a folder is not there.
    with suppress(OSError):
        for number in itertools.count(seed):
            chance.choice(ACTS)(folder, ledger, number)
    clear_all_cache()


# Afterwards


def lose_power(parent: Path, kind: str, cut: Cut, seed: int) -> tuple[int, list[str]]:
    """Cuts a new file system off; returns how many calls had returned, and what was not kept."""
    parent.mkdir()
    with image(parent, kind) as made:
        ledgers = cut(made, parent, random.Random(seed))
        made.come_back()
        folders = sorted(made.folder.glob("writer-*")) or [made.folder]
        broken = []
        for folder, ledger in zip(folders, ledgers, strict=True):
            broken += ledger.broken(folder)
            broken += heal(folder, [name for name in ledger.names() if ".backup." not in name])
        clear_all_cache()
    return sum(ledger.returned() for ledger in ledgers), broken


def heal(folder: Path, names: Sequence[str]) -> list[str]:
    """Saves every file once more; returns what is wrong even then."""
    wrong = []
    for name in names:
        path = folder / name
        save_json_atomic(path, document(HEALED), make_parents=True)
        if load_data_file(path, strict=True) != document(HEALED):
            wrong.append(f"{name}: not healed")
        wrong += [f"{backup.path}: {backup.fault}" for backup in list_backups(path) if backup.fault]
    wrong += [f"{left}: left" for left in folder.rglob(".oasis_data/temp/*")]
    return wrong
