"""Processes that change documents which refer to each other, and a process that looks on."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

from oasis_data import (
    DataFileNotFoundError,
    DataOperationError,
    NoBackupError,
    _native,
    configure,
    delete_json_atomic,
    edit_json,
    load_many,
    restore_backup,
    save_json_atomic,
    save_many_atomic,
)
from tests.judging.references import USES, DanglingError, References, all_paths, dangling, path_of

NAMES = [f"n{number}" for number in range(6)]
TIMEOUT = 60.0
"""Longer than any wait but that of a deadlock."""
LIFE = (0.3, 1.0)
"""Seconds from one kill to the next."""

Document: TypeAlias = dict[str, Any]


class Client:
    """Makes random changes, informed and not."""

    def __init__(self, folder: Path, seed: int) -> None:
        self.folder = folder
        self.chance = random.Random(seed)
        self.kinds: list[Callable[[], None]] = [
            *[self.edit] * 6,
            self.save,
            self.delete,
            *[self.batch] * 2,
            self.restore,
        ]

    def one(self) -> str:
        """Makes one change; says what became of it."""
        kind = self.chance.choice(self.kinds)
        try:
            kind()
        except DanglingError:
            return f"{kind.__name__} refused"
        except (DataFileNotFoundError, NoBackupError):
            return f"{kind.__name__} of nothing"
        except DataOperationError as error:
            return f"failed: {error!r}"
        return kind.__name__

    def edit(self) -> None:
        name = self.chance.choice(list(USES))
        with edit_json(path_of(self.folder, name), default=empty(), timeout=TIMEOUT) as document:
            self.change(name, document)

    def change(self, name: str, document: Document) -> None:
        word = self.chance.choice(NAMES)
        if self.chance.random() < 0.5:
            toggle(document["names"], word)
        else:
            toggle(document["uses"].setdefault(self.chance.choice(USES[name]), []), word)

    def save(self) -> None:
        name = self.chance.choice(list(USES))
        save_json_atomic(path_of(self.folder, name), self.any_of(name, NAMES), timeout=TIMEOUT)

    def any_of(self, name: str, used: list[str]) -> Document:
        """Any document, mostly with many names and few uses."""
        names = [word for word in NAMES if self.chance.random() < 0.9]
        uses = {other: self.chance.sample(used, self.chance.randint(0, 1)) for other in USES[name]}
        return {"names": names, "uses": uses}

    def delete(self) -> None:
        delete_json_atomic(path_of(self.folder, self.chance.choice(list(USES))), timeout=TIMEOUT)

    def batch(self) -> None:
        """Several documents that only together can be as they will be."""
        names = self.chance.sample(list(USES), self.chance.randint(2, 4))
        word = self.chance.choice(NAMES)
        changed = {name: self.any_of(name, [word]) for name in names}
        for document in changed.values():
            if self.chance.random() < 0.9 and word not in document["names"]:
                document["names"].append(word)
        save_many_atomic(
            {path_of(self.folder, name): document for name, document in changed.items()},
            timeout=TIMEOUT,
        )

    def restore(self) -> None:
        restore_backup(path_of(self.folder, self.chance.choice(list(USES))), timeout=TIMEOUT)


def empty() -> Document:
    return {"names": [], "uses": {}}


def toggle(words: list[str], word: str) -> None:
    if word in words:
        words.remove(word)
    else:
        words.append(word)


def obey(folder: Path) -> None:
    """Puts the rules in force in this process, whose restores pass over what does not obey."""
    configure(backups_kept=3)
    if "NO_RULES" not in os.environ:
        _native.use_rules(References(folder))


@dataclass
class Process:
    """A client at work, and the file with what it says of each change."""

    folder: Path
    log: Path
    changes: int
    program: subprocess.Popen[bytes] | None = None
    starts: int = 0

    def start(self, seed: int) -> None:
        """Begins, or goes on after a kill."""
        left = self.changes - len(self.outcomes())
        arguments = [str(self.folder), str(left), str(seed + 1000 * self.starts)]
        command = [sys.executable, "-W", "error", "-m", "tests.torture.references", *arguments]
        with self.log.open("ab") as log:
            self.program = subprocess.Popen(command, stdout=log)
        self.starts += 1

    def outcomes(self) -> list[str]:
        return self.log.read_text().splitlines() if self.log.exists() else []

    def is_at_work(self) -> bool:
        assert self.program
        return self.program.poll() is None

    def end(self) -> None:
        """Ends it, if it has not ended."""
        assert self.program
        self.program.kill()
        self.program.wait()


@dataclass
class Result:
    """What became of a run."""

    outcomes: Counter[str] = field(default_factory=Counter)
    failed: list[str] = field(default_factory=list)
    dangling: list[str] = field(default_factory=list)
    states: int = 0
    """States that were seen, each unlike the one before."""
    kills: int = 0
    seconds: float = 0.0


def change_documents(
    folder: Path, logs: Path, processes: int, changes: int, seed: int, *, kills: bool = False
) -> Result:
    """Has processes change the documents at once, and looks at all documents meanwhile.

    With `kills`, processes are killed in the middle, and others go on in their place.
    """
    chance = random.Random(seed)
    result, started = Result(), time.monotonic()
    clients = [
        Process(folder, logs / f"client-{number}", -(-changes // processes))
        for number in range(processes)
    ]
    next_kill = started + chance.uniform(*LIFE)
    try:
        for number, client in enumerate(clients):
            client.start(seed + number)
        last = None
        at_work = clients
        while at_work:
            at_work = [client for client in clients if client.is_at_work()]
            if kills and at_work and time.monotonic() > next_kill:
                killed = chance.choice(at_work)
                killed.end()
                killed.start(seed)
                result.kills += 1
                next_kill = time.monotonic() + chance.uniform(*LIFE)
            # After the look for who is at work: so the last state is seen.
            state = state_of(folder)
            if state != last:
                result.states += 1
                result.dangling += dangling(state)
            last = state
    finally:
        for client in clients:
            client.end()
    result.seconds = time.monotonic() - started
    for client in clients:
        for outcome in client.outcomes():
            result.outcomes[outcome.partition(":")[0]] += 1
            result.failed += [outcome] if outcome.startswith("failed") else []
    return result


def state_of(folder: Path) -> dict[str, Any]:
    """All documents, as they are at one moment."""
    paths = all_paths(folder)
    found = load_many(list(paths.values()), default=None, timeout=TIMEOUT)
    return dict(zip(paths, found, strict=True))


def main() -> None:
    """Runs one client, which tells of each change when it is done."""
    folder, changes, seed = sys.argv[1:]
    obey(Path(folder))
    client = Client(Path(folder), int(seed))
    for _ in range(int(changes)):
        print(client.one(), flush=True)


if __name__ == "__main__":
    main()
