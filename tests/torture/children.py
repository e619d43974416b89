"""Forked children: cheap enough to kill thousands of them."""

from __future__ import annotations

import os
import signal
import socket
import traceback
from collections.abc import Callable
from dataclasses import dataclass


@dataclass
class Child:
    """A forked process, and the parent's end of a socket to it."""

    pid: int
    wire: socket.socket

    def wait(self) -> int:
        """Waits for its end: what `waitpid` says of it."""
        _, status = os.waitpid(self.pid, 0)
        self.wire.close()
        return status

    def kill(self) -> bool:
        """Kills it; False if it had died of something else."""
        os.kill(self.pid, signal.SIGKILL)
        status = self.wait()
        return os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL


def fork(work: Callable[[socket.socket], None]) -> Child:
    """Runs `work` in a forked child, which ends with it."""
    ours, theirs = socket.socketpair()
    pid = os.fork()
    if pid:
        theirs.close()
        return Child(pid, ours)
    status = 1
    try:
        ours.close()
        work(theirs)
        status = 0
    except BaseException:
        traceback.print_exc()
    finally:
        # Not sys.exit: that would run the rest of the parent's tests here too.
        os._exit(status)


def received(wire: socket.socket) -> str:
    """The next message; nothing if the other end has died."""
    try:
        return wire.recv(4096).decode()
    except ConnectionResetError:
        return ""
