"""Changes of documents as server-sent events, for as many clients as there are.

Private: the view is in `oasis_data.flask`.
"""

import base64
import hashlib
import json
import math
import os
import threading
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from weakref import WeakSet

from oasis_data import _native
from oasis_data.catalogue import DocumentCatalogue, OutsideRootError
from oasis_data.error_handling import DataOperationError, error_handler
from oasis_data.file_operations import MISSING

INTERVAL = 0.05
"""Seconds between two looks at the documents."""
HEARTBEAT = 30.0
"""Seconds of silence after which a client is told that the stream goes on."""
PAUSE_AFTER_ERROR = 10.0
"""Seconds until a client comes back after an error."""
# Servers and proxies take headers of 8 KB.
_LONGEST_ID = 6000

Versions = Mapping[str, str]


class Feed:
    """The versions of the documents in a catalogue, for all clients of a process.

    There is no thread: of the clients that wait, one looks at the documents, and tells
    the others. Where no client waits, nobody looks.
    """

    def __init__(self, catalogue: DocumentCatalogue) -> None:
        """Looks at nothing yet."""
        self._catalogue = catalogue
        self._paths = list(catalogue.files.values())
        self.begin()
        _feeds.add(self)

    def begin(self) -> None:
        """Begins anew: a forked child has neither the clients of its parent nor their locks."""
        self._changed = threading.Condition()
        self._is_watched = False
        self._places: set[object] = set()
        self._state: _native.State | None = None
        self._versions: Versions = {}

    @contextmanager
    def place(self, most: int) -> Iterator[bool]:
        """Whether there is a place for one more client that stays."""
        place = object()
        with self._changed:
            # safeguard: streams-are-counted
            is_free = len(self._places) < most
            if is_free:
                self._places.add(place)
        try:
            yield is_free
        finally:
            with self._changed:
                self._places.discard(place)

    def now(self) -> Versions:
        """The versions as they are."""
        with self._changed:
            self._look()
            return self._versions

    def after(self, versions: Versions, seconds: float) -> Versions:
        """The versions once they are others than those that were answered; the same at the end."""
        deadline = time.monotonic() + seconds
        with self._changed:
            try:
                while self._versions is versions and (left := deadline - time.monotonic()) > 0:
                    # safeguard: one-client-looks
                    if self._is_watched:
                        self._changed.wait(left)
                        continue
                    self._is_watched = True
                    try:
                        self._changed.wait(min(left, INTERVAL))
                    finally:
                        self._is_watched = False
                    self._look()
            finally:
                # A client that goes has the next one look.
                # safeguard: next-client-looks
                if not self._is_watched:
                    self._changed.notify()
            return self._versions

    def _look(self) -> None:
        if self._state is None:
            state = _native.State(self._paths)
        elif self._state.may_differ():
            state = self._state.again()
        else:
            return
        versions = {
            data_type: version if self._is_told(data_type, version) else MISSING
            for data_type, version in zip(self._catalogue, state.versions, strict=True)
        }
        if versions != self._versions:
            self._changed.notify_all()
            self._versions = versions
        # Last: what a signal handler's exception cuts off is looked at again.
        self._state = state

    def _is_told(self, data_type: str, version: str) -> bool:
        """Whether a version may be told: not of a file to which a symlink leads out of the root."""
        if version == self._versions.get(data_type):
            return True
        try:
            # safeguard: no-version-from-outside
            self._catalogue.path(data_type)
        except OutsideRootError:
            return False
        return True


_feeds: WeakSet[Feed] = WeakSet()


def _after_fork_in_child() -> None:
    for feed in _feeds:
        feed.begin()


# safeguard: feed-after-fork
os.register_at_fork(after_in_child=_after_fork_in_child)


def require_settings(most: object, retry: object) -> None:
    """Refuses settings that no stream can have.

    Raises:
        ValueError: One of them.
    """
    if not isinstance(most, int) or most < 0:
        raise ValueError(f"OASIS_DATA_STREAMS={most!r}: must be a number of clients, 0 or more")
    if not isinstance(retry, int | float) or not 0 <= retry < math.inf:
        raise ValueError(f"OASIS_DATA_STREAM_RETRY={retry!r}: must be seconds, 0 or more")


def events(
    feed: Feed, data_types: Sequence[str], last_id: str, *, most: int, retry: float
) -> Iterator[str]:
    """The stream of one client.

    Args:
        feed: The feed of the client's process.
        data_types: The types that the client asks for.
        last_id: The id that the client has seen last; empty if it has seen none.
        most: How many clients of a process may stay. All others get the state, and end.
        retry: Seconds after which a client comes back.

    Yields:
        Text for the client, of one event or several.
    """
    yield _retry(retry) + _event({"type": "connected"})
    try:
        with feed.place(most) as stays:
            versions = feed.now()
            seen = set(last_id.split("."))
            # What differs from the state that the id stands for, and nothing else.
            # safeguard: resumed-state
            differ = [each for each in data_types if _mark(each, versions[each]) not in seen]
            if differ:
                yield _updates(differ, data_types, versions)
            told = time.monotonic()
            # safeguard: hostage-worker
            while stays:
                newer = feed.after(versions, told + HEARTBEAT - time.monotonic())
                differ = [each for each in data_types if newer[each] != versions[each]]
                versions = newer
                if differ:
                    yield _updates(differ, data_types, versions)
                elif time.monotonic() >= told + HEARTBEAT:
                    yield _event({"type": "heartbeat"})
                else:
                    continue
                told = time.monotonic()
    except DataOperationError as error:
        # An answer that is no stream would have the browser give up for good.
        body = error_handler.handle_error(error.operation, error.file_path, error)
        error_id = body["details"]["error_id"]
        message = {"type": "error", "error": body["error"], "error_id": error_id}
        yield _retry(PAUSE_AFTER_ERROR) + _event(message)


def _updates(differ: Sequence[str], data_types: Iterable[str], versions: Versions) -> str:
    """The events of one state, which ends with its id: half of it is never taken for seen."""
    messages = [
        _event({"type": "update", "data_type": each, "version": versions[each]}) for each in differ
    ]
    last_id = ".".join(_mark(each, versions[each]) for each in data_types)
    if len(last_id) <= _LONGEST_ID:
        # safeguard: id-of-the-whole-state
        messages[-1] = f"id: {last_id}\n{messages[-1]}"
    return "".join(messages)


def _mark(data_type: str, version: str) -> str:
    """What an id has of a document: short, since an id travels in a header."""
    digest = hashlib.blake2b(f"{data_type}\0{version}".encode(), digest_size=9).digest()
    return base64.urlsafe_b64encode(digest).decode()


def _event(message: Mapping[str, str]) -> str:
    return f"data: {json.dumps(message)}\n\n"


def _retry(seconds: float) -> str:
    return f"retry: {round(seconds * 1000)}\n\n"
