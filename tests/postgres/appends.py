"""Histories of appends: clients append words to documents, and a judge looks for what is wrong.

Each word is appended once. What a client was told, and what it saw, is enough to tell a lost
word, a word that came twice, a batch that was half seen and a load that was stale.

As a program: `python -m tests.postgres.appends FOLDER NAME ROUNDS SEED` prints its history.
"""

from __future__ import annotations

import json
import random
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from oasis_data import (
    DataOperationError,
    NotDurableError,
    VersionConflictError,
    edit_json,
    load_data_file,
    load_many,
    load_with_version,
    save_json_atomic,
    save_many_atomic,
)

DOCUMENTS = ("left.json", "right.json")
DONE, FAILED, UNKNOWN = "done", "failed", "unknown"
# How long each call rides out an outage.
TIMEOUT = 60.0


@dataclass(frozen=True)
class Event:
    """One call of a client.

    Attributes:
        start: When the call began, by the clock that all processes of a host share.
        end: When the client had its answer.
        outcome: "done"; "failed": told that nothing happened; "unknown": told that nobody knows.
        appended: The words that the call appends, by document.
        seen: The documents that the call loaded, by name.
        together: Whether what was seen is of one moment.
    """

    start: float
    end: float
    outcome: str
    appended: dict[str, str] = field(default_factory=dict)
    seen: dict[str, list[str]] = field(default_factory=dict)
    together: bool = False


class Client:
    """Appends and loads, and writes down what came of it."""

    def __init__(self, folder: Path, name: str, seed: int) -> None:
        self._paths = {each: folder / each for each in DOCUMENTS}
        self._name = name
        self._words = 0
        self._random = random.Random(seed)

    def events(self, rounds: int) -> Iterator[Event]:
        """Does so many things by chance."""
        acts = [self._edit, self._compare_and_save, self._save_both, self._load, self._load_both]
        for _ in range(rounds):
            yield self._random.choice(acts)()

    def _word(self) -> str:
        self._words += 1
        return f"{self._name}-{self._words}"

    def _edit(self) -> Event:
        name, word = self._random.choice(DOCUMENTS), self._word()
        seen: dict[str, list[str]] = {}

        def append() -> None:
            with edit_json(self._paths[name], default=[], timeout=TIMEOUT) as document:
                seen[name] = list(document)
                document.append(word)

        return self._done(append, {name: word}, seen)

    def _compare_and_save(self) -> Event:
        name, word = self._random.choice(DOCUMENTS), self._word()
        seen: dict[str, list[str]] = {}

        def append() -> None:
            document, version = load_with_version(self._paths[name])
            seen[name] = list(document)
            save_json_atomic(
                self._paths[name], [*document, word], if_version=version, timeout=TIMEOUT
            )

        return self._done(append, {name: word}, seen)

    def _save_both(self) -> Event:
        word = self._word()
        seen: dict[str, list[str]] = {}

        def append() -> None:
            found = {name: load_with_version(path) for name, path in self._paths.items()}
            seen.update({name: list(document) for name, (document, _) in found.items()})
            save_many_atomic(
                {self._paths[name]: [*document, word] for name, (document, _) in found.items()},
                if_version={self._paths[name]: version for name, (_, version) in found.items()},
                timeout=TIMEOUT,
            )

        return self._done(append, dict.fromkeys(DOCUMENTS, word), seen)

    def _load(self) -> Event:
        name = self._random.choice(DOCUMENTS)
        seen: dict[str, list[str]] = {}

        def load() -> None:
            seen[name] = load_data_file(self._paths[name], strict=True)

        return self._done(load, {}, seen)

    def _load_both(self) -> Event:
        seen: dict[str, list[str]] = {}

        def load() -> None:
            loaded = load_many(list(self._paths.values()), strict=True)
            seen.update(zip(DOCUMENTS, loaded, strict=True))

        return self._done(load, {}, seen, together=True)

    @staticmethod
    def _done(
        act: Any, appended: dict[str, str], seen: dict[str, list[str]], *, together: bool = False
    ) -> Event:
        start = time.monotonic()
        try:
            act()
        except NotDurableError:
            outcome = UNKNOWN
        except VersionConflictError:
            outcome = FAILED
        except DataOperationError as error:
            print(f"{type(error).__name__}: {error}", file=sys.stderr)
            outcome = FAILED
        else:
            outcome = DONE
        return Event(start, time.monotonic(), outcome, appended, seen, together)


def judge(events: Iterable[Event], final: dict[str, list[str]]) -> list[str]:
    """What is wrong with the histories of all clients and what is there at the end."""
    wrong = []
    events = list(events)
    place = {
        name: {word: number for number, word in enumerate(words)} for name, words in final.items()
    }
    for name, words in final.items():
        wrong += [f"{name}: {word} is there twice" for word, n in Counter(words).items() if n > 1]
    known = {(name, word) for event in events for name, word in event.appended.items()}
    for name, words in final.items():
        wrong += [f"{name}: nobody appended {word}" for word in words if (name, word) not in known]
    for event in events:
        there = [word in place[name] for name, word in event.appended.items()]
        told = f"{event.appended}, of which the client was told: {event.outcome}"
        if event.outcome == DONE and not all(there):
            wrong.append(f"lost: {told}")
        if event.outcome == FAILED and any(there):
            wrong.append(f"there all the same: {told}")
        if any(there) and not all(there):
            wrong.append(f"half of a batch: {told}")
    acknowledged = [event for event in events if event.outcome == DONE and event.appended]
    for event in events:
        for name, words in event.seen.items():
            if words != final[name][: len(words)]:
                wrong.append(f"{name}: seen but no beginning of the end: {words[-3:]}")
            missed = [
                other.appended[name]
                for other in acknowledged
                if name in other.appended
                and other.end < event.start
                and place[name].get(other.appended[name], 0) >= len(words)
            ]
            if missed:
                wrong.append(f"{name}: a load was stale, without {missed[0]}")
        if event.together and len(event.seen) == len(DOCUMENTS):
            halves = [
                other.appended
                for other in events
                if len(other.appended) == len(DOCUMENTS)
                and len({word in event.seen[name] for name, word in other.appended.items()}) > 1
            ]
            if halves:
                wrong.append(f"half of a batch was seen: {halves[0]}")
    return wrong


@contextmanager
def clients(
    folder: Path, count: int, rounds: int, environments: Sequence[dict[str, str]]
) -> Iterator[list[subprocess.Popen[str]]]:
    """So many clients at work, each a process; the environments go round."""
    processes = []
    for number in range(count):
        arguments = [str(folder), f"c{number}", str(rounds), str(number)]
        processes.append(
            subprocess.Popen(
                [sys.executable, "-W", "error", "-m", "tests.postgres.appends", *arguments],
                env=environments[number % len(environments)],
                stdout=subprocess.PIPE,
                text=True,
            )
        )
    try:
        yield processes
    finally:
        for process in processes:
            process.kill()
            process.wait()
            assert process.stdout
            process.stdout.close()


def histories(processes: Iterable[subprocess.Popen[str]]) -> list[Event]:
    """What the clients wrote down, when all of them have ended."""
    events = []
    for process in processes:
        printed, _ = process.communicate(timeout=240)
        assert process.returncode == 0
        events += [Event(**json.loads(line)) for line in printed.splitlines()]
    return events


def main() -> None:
    """Runs one client."""
    folder, name, rounds, seed = sys.argv[1:]
    for event in Client(Path(folder), name, int(seed)).events(int(rounds)):
        print(json.dumps(asdict(event)), flush=True)


if __name__ == "__main__":
    main()
