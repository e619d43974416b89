"""Saves and reads one document over HTTP from many clients, and judges what they were shown.

Every save carries a number of its own, and a filler made from that number, so that a document
that is torn, or mixed from two, cannot pass for one that was saved. In between, nothing is
assumed about the order in which a server takes saves that overlap. What must hold is that
there is *one* order that explains every answer: each save takes effect at one moment between
its request and its answer, and each read shows the last one before a moment of its own. So a
read that starts after a save was answered shows that save or a later one, through any worker.
"""

from __future__ import annotations

import hashlib
import http.client
import itertools
import json
import math
import queue
import threading
import time
from dataclasses import dataclass, field
from typing import Any

CLIENTS = 8
SAVES = 500
READS = 2000
ROWS = 2000
DATA_TYPE = "tanks"

REQUESTS_PER_CONNECTION = 20
"""A connection stays with one worker; a new one now and then lets each client meet them all."""


@dataclass(frozen=True)
class Operation:
    """A save or a read of the document `number`, with the moments it was sent and answered.

    A save that was never answered ends at infinity: it may take effect late, or not at all.
    """

    number: int
    start: float
    end: float


@dataclass
class History:
    """What the clients did and saw; `broken` has the answers that no correct server gives."""

    saves: list[Operation] = field(default_factory=list)
    reads: list[Operation] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)

    @property
    def interrupted(self) -> int:
        """How many saves the server did not live to answer."""
        return sum(save.end == math.inf for save in list(self.saves))


def make_document(number: int, rows: int = ROWS) -> dict[str, Any]:
    """A document that `read_number` recognises: each row holds the number, and a digest all."""
    filler = [number * 1_000_000 + row for row in range(rows)]
    digest = hashlib.sha256(repr(filler).encode()).hexdigest()
    return {"number": number, "filler": filler, "digest": digest}


def read_number(body: bytes) -> int:
    """Returns the number of a whole document; raises ValueError that says what is wrong."""
    try:
        document = json.loads(body)
    except ValueError:
        raise ValueError(f"torn: {len(body)} bytes that are not JSON") from None
    return number_of(document)


def number_of(document: Any) -> int:
    """Returns the number of a whole document; raises ValueError that says what is wrong."""
    if document == {}:
        raise ValueError("empty: {}")
    try:
        number = int(document["number"])
        whole = document == make_document(number, len(document["filler"]))
    except (KeyError, TypeError):
        raise ValueError("not a document that was saved") from None
    if not whole:
        raise ValueError(f"mixed: not all of it is of save {number}")
    return number


def find_violations(history: History) -> list[str]:
    """Says in what way no single order explains the history; empty if there is one.

    Numbers are unique, so this is decided exactly (Gibbons and Korach, *Testing Shared
    Memories*, 1997). Take all operations on one number: if some of those on `a` ended before
    some on `b` began, then `a` was the document before `b` was. Both cannot hold.
    """
    found = list(history.broken)
    first_end: dict[int, float] = {}
    last_start: dict[int, float] = {}
    sent = {save.number: save.start for save in history.saves}
    for operation in history.saves + history.reads:
        number = operation.number
        if operation.end < sent.get(number, math.inf):
            found.append(f"save {number} was shown before it was sent")
        first_end[number] = min(operation.end, first_end.get(number, math.inf))
        last_start[number] = max(operation.start, last_start.get(number, -math.inf))
    for a, b in itertools.combinations(first_end, 2):
        if first_end[a] < last_start[b] and first_end[b] < last_start[a]:
            found.append(f"stale: saves {a} and {b} were each shown after the other")
    return found


class Client:
    """One client with a connection of its own, which writes down what it does."""

    def __init__(self, port: int, history: History, numbers: itertools.count[int]) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        self._history = history
        self._numbers = numbers
        self._requests = 0

    def save(self) -> bool:
        """Saves a new document; False if the server died over it."""
        number = next(self._numbers)
        body = json.dumps({"type": DATA_TYPE, "content": make_document(number)})
        start = time.monotonic()
        try:
            status, answer = self._request("POST", "/api/save-data", body)
        except (OSError, http.client.HTTPException):
            self._connection.close()
            self._history.saves.append(Operation(number, start, math.inf))
            return False
        end = time.monotonic() if status == 200 else math.inf
        self._history.saves.append(Operation(number, start, end))
        if status != 200:
            self._history.broken.append(f"save {number} was answered {status}: {answer[:200]!r}")
        return True

    def read(self) -> bool:
        """Reads the document; False if the server died over it."""
        start = time.monotonic()
        try:
            status, answer = self._request("GET", f"/api/data/{DATA_TYPE}")
        except (OSError, http.client.HTTPException):
            self._connection.close()
            return False
        end = time.monotonic()
        try:
            if status != 200:
                raise ValueError(f"answered {status}: {answer[:200]!r}")
            self._history.reads.append(Operation(read_number(answer), start, end))
        except ValueError as e:
            self._history.broken.append(f"a read was {e}")
        return True

    def close(self) -> None:
        self._connection.close()

    def _request(self, method: str, path: str, body: str | None = None) -> tuple[int, bytes]:
        self._requests += 1
        if self._requests % REQUESTS_PER_CONNECTION == 0:
            self._connection.close()
        headers = {"Content-Type": "application/json"}
        self._connection.request(method, path, body, headers)
        with self._connection.getresponse() as response:
            return response.status, response.read()


class Crowd:
    """Clients that share a history, each to be used by one thread."""

    def __init__(self, *ports: int) -> None:
        self.history = History()
        self._ports = itertools.cycle(ports)
        self._numbers = itertools.count(1)

    def client(self) -> Client:
        return Client(next(self._ports), self.history, self._numbers)

    def begin(self) -> None:
        """Saves once, so that no read can meet what was there before."""
        client = self.client()
        assert client.save(), "the server is gone"
        client.close()

    def drive(self, saves: int = SAVES, reads: int = READS) -> None:
        """Makes all requests from `CLIENTS` threads at once, saves spread among the reads."""
        self.begin()
        work: queue.SimpleQueue[bool] = queue.SimpleQueue()
        for n in range(saves + reads):
            work.put(n * saves // (saves + reads) != (n + 1) * saves // (saves + reads))
        threads = [threading.Thread(target=self._drain, args=(work,)) for _ in range(CLIENTS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def _drain(self, work: queue.SimpleQueue[bool]) -> None:
        client = self.client()
        while True:
            try:
                is_save = work.get_nowait()
            except queue.Empty:
                break
            answered = client.save() if is_save else client.read()
            if not answered:
                self.history.broken.append("a request was not answered")
        client.close()
