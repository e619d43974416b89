"""A proxy before PostgreSQL that knows the messages, and breaks the connection at a message."""

from __future__ import annotations

import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Literal

from tests.postgres.server import HOST

Side = Literal["client", "server"]
CLIENT: Side = "client"
SERVER: Side = "server"

_CANCEL, _TLS, _GSSAPI = 80877102, 80877103, 80877104
# What the log calls the messages that have no letter of their own.
STARTUP, CANCEL, REQUEST, ANSWER = "startup", "cancel", "request", "answer"


@dataclass(frozen=True)
class Message:
    """One message as it passed.

    Attributes:
        sender: Who sent it.
        kind: Its letter in the protocol, or a word for those without.
        body: What came after the letter and the length.
    """

    sender: Side
    kind: str
    body: bytes


@dataclass
class Break:
    """What happens to a connection at a message.

    Attributes:
        sender: Whose messages are counted.
        number: At which of them, from 1 on, since the break was set.
        passes: Whether this message still passes.
        action: "cut": both ends see the connection closed. "reset": they see it reset. "hold":
            nothing passes in either direction until `go_on`, and nobody is told.
        happened: Set when it has happened.
    """

    sender: Side
    number: int
    passes: bool
    action: Literal["cut", "reset", "hold"]
    happened: threading.Event = field(default_factory=threading.Event)


class Proxy:
    """Passes connections on to a server, message by message."""

    def __init__(self, port: int, host: str = HOST) -> None:
        self._server = (host, port)
        self._listener = socket.create_server((HOST, 0))
        self.port: int = self._listener.getsockname()[1]
        # Guards all below.
        self._lock = threading.Lock()
        self._links: list[_Link] = []
        self._break: Break | None = None
        self._counted = {CLIENT: 0, SERVER: 0}
        self._messages: list[Message] = []
        self._turns = 0
        self._refuses = False
        self._delay = 0.0
        self._last_words = b""
        self._acceptor = threading.Thread(target=self._accept, daemon=True)
        self._acceptor.start()

    def forget(self) -> None:
        """Counts anew from here."""
        with self._lock:
            self._messages.clear()
            self._turns = 0

    @property
    def messages(self) -> list[Message]:
        """What has passed since `forget`, in order."""
        with self._lock:
            return self._messages[:]

    @property
    def round_trips(self) -> int:
        """How often, since `forget`, a client spoke and the server answered."""
        with self._lock:
            return self._turns

    @property
    def connections(self) -> int:
        """How many connections were ever made through the proxy."""
        with self._lock:
            return len(self._links)

    def set_break(self, plan: Break | None) -> None:
        """Has a connection break at a message that is yet to come; the next connection is whole.

        None takes back a break that has not happened.
        """
        with self._lock:
            self._break = plan
            self._counted = {CLIENT: 0, SERVER: 0}

    def delay(self, seconds: float) -> None:
        """Keeps each piece of traffic, in both directions, for a while."""
        with self._lock:
            self._delay = seconds

    def add_to_commit(self, message: bytes) -> None:
        """Has the server say something more behind its answer to the next commit."""
        with self._lock:
            self._last_words = message

    def refuse(self, refuses: bool = True) -> None:
        """Closes what connects from now on, as a server that is gone; or no more."""
        with self._lock:
            self._refuses = refuses

    def go_on(self) -> None:
        """Lets what is held pass."""
        with self._lock:
            links = self._links[:]
        for link in links:
            link.go_on()

    def cut(self) -> None:
        """Cuts every connection that there is."""
        with self._lock:
            links = self._links[:]
        for link in links:
            link.close()

    def close(self) -> None:
        """Ends everything. What is held stays held until here."""
        # A thread in accept is woken by this, not by close.
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._acceptor.join()
        self.cut()
        for link in self._links:
            link.join()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            with self._lock:
                refuses = self._refuses
            if refuses:
                client.close()
                continue
            try:
                server = socket.create_connection(self._server)
            except OSError:
                client.close()
                continue
            for end in (client, server):
                end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            link = _Link(client, server, self.pass_on)
            with self._lock:
                self._links.append(link)
            link.start()

    def pass_on(self, link: _Link, messages: list[tuple[Message, bytes]]) -> None:
        """Sends messages to the other end, and breaks the connection where it is to break."""
        with self._lock:
            delay = self._delay
        if delay:
            time.sleep(delay)
        passing = []
        broken = None
        for message, raw in messages:
            sender = message.sender
            with self._lock:
                plan = self._break
                self._counted[sender] += 1
                if plan and plan.sender == sender and plan.number == self._counted[sender]:
                    broken, self._break = plan, None
                if broken is None or broken.passes:
                    self._messages.append(message)
                    if sender == SERVER and link.spoke == CLIENT:
                        self._turns += 1
                    link.spoke = sender
                    passing.append(raw)
                    if sender == SERVER and message.body == b"COMMIT\0":
                        passing.append(self._last_words)
                        self._last_words = b""
            if broken:
                break
        if broken and broken.action == "hold" and not broken.passes:
            link.hold()
            broken.happened.set()
        link.send(messages[0][0].sender, b"".join(passing))
        if broken:
            if broken.action != "hold":
                link.close(reset=broken.action == "reset")
            elif broken.passes:
                link.hold()
            broken.happened.set()


class _Link:
    """One connection: two sockets, and a thread for each direction."""

    def __init__(
        self,
        client: socket.socket,
        server: socket.socket,
        pass_on: Callable[[_Link, list[tuple[Message, bytes]]], None],
    ) -> None:
        self._ends = {CLIENT: client, SERVER: server}
        self._pass_on = pass_on
        self._open = threading.Event()
        self._open.set()
        self._closing = threading.Lock()
        self._closed = False
        # Who sent the last message that passed.
        self.spoke: Side | None = None
        # Bytes that the client is waiting for: the one letter that answers a request for TLS.
        self._answers = 0
        self._started = False
        self._encrypted = False
        self._threads = [
            threading.Thread(target=self._pump, args=(side,), daemon=True)
            for side in (CLIENT, SERVER)
        ]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def join(self) -> None:
        for thread in self._threads:
            thread.join()

    def hold(self) -> None:
        """Lets nothing pass any more, until `go_on` or `close`."""
        with self._closing:
            if not self._closed:
                self._open.clear()

    def go_on(self) -> None:
        """Lets all pass again."""
        self._open.set()

    def send(self, sender: Side, data: bytes) -> None:
        """Sends to the other end, unless the connection is held."""
        self._open.wait()
        if data:
            with suppress(OSError):
                self._ends[SERVER if sender == CLIENT else CLIENT].sendall(data)

    def close(self, *, reset: bool = False) -> None:
        """Closes both ends."""
        with self._closing:
            if self._closed:
                return
            self._closed = True
            self._open.set()
            for end in self._ends.values():
                if reset:
                    end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                # Wakes the thread that reads. Without a reset, the end gets what was sent before.
                with suppress(OSError):
                    end.shutdown(socket.SHUT_RD if reset else socket.SHUT_RDWR)
                end.close()

    def _pump(self, sender: Side) -> None:
        buffer = b""
        source = self._ends[sender]
        while True:
            try:
                data = source.recv(1 << 18)
            except OSError:
                data = b""
            if not data:
                break
            # What a held connection still receives is lost with the connection.
            self._open.wait()
            if self._closed:
                return
            buffer += data
            messages, buffer = self._whole(sender, buffer)
            if messages:
                self._pass_on(self, messages)
        # What one end closes is closed for the other, unless nothing may pass.
        self._open.wait()
        self.close()

    def _whole(self, sender: Side, buffer: bytes) -> tuple[list[tuple[Message, bytes]], bytes]:
        """The whole messages at the beginning of a buffer, and what is left of it."""
        messages: list[tuple[Message, bytes]] = []
        start = 0
        while start < len(buffer):
            kind, head, length = self._frame(sender, buffer, start)
            if not length or start + length > len(buffer):
                break
            raw = buffer[start : start + length]
            messages.append((Message(sender, kind, raw[head:]), raw))
            start += length
        return messages, buffer[start:]

    def _frame(self, sender: Side, buffer: bytes, start: int) -> tuple[str, int, int]:
        """A message's kind, the length of its head, and its whole length: 0 if not known yet."""
        left = len(buffer) - start
        if self._encrypted:
            return "encrypted", 0, left
        if sender == CLIENT and not self._started:
            if left < 8:
                return STARTUP, 8, 0
            length, code = struct.unpack_from("!ii", buffer, start)
            if code in (_TLS, _GSSAPI):
                self._answers += 1
                return REQUEST, 8, length
            # Not before all of it is there: this is asked again then.
            self._started = left >= length and code != _CANCEL
            return (CANCEL if code == _CANCEL else STARTUP), 8, length
        if sender == SERVER and self._answers:
            self._answers -= 1
            self._encrypted = buffer[start : start + 1] == b"S"
            return ANSWER, 0, 1
        if left < 5:
            return "", 5, 0
        kind = chr(buffer[start])
        return kind, 5, 1 + int(struct.unpack_from("!i", buffer, start + 1)[0])


@contextmanager
def proxy_of(port: int) -> Iterator[Proxy]:
    """A proxy before the server at a port of this host."""
    proxy = Proxy(port)
    try:
        yield proxy
    finally:
        proxy.close()
