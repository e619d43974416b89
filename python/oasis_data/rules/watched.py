"""A small file that is read anew when it changes."""

from __future__ import annotations

import os
import stat
import time

from oasis_data import _native

_RACY = 3_000_000_000
"""Nanoseconds after a change in which a second change can bear the same stamp."""


class Watched:
    """The content of a file at one moment, and whether it still is the content.

    Attributes:
        path: The file.
        content: Its bytes; None where it cannot be read.
        problem: Why it cannot be read; an empty text where it can.
    """

    __slots__ = ("_stamp", "_trusted", "content", "path", "problem")

    def __init__(self, path: str) -> None:
        """Reads the file."""
        self.path = path
        # Before the content, which may so be newer than its stamp, and is then read again.
        self._stamp = _native.FileStamp(path)
        self._trusted = _is_old(path)
        self.content: bytes | None = None
        self.problem = ""
        try:
            with open(path, "rb", opener=_opened) as file:
                if stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                    self.content = file.read()
                else:
                    self.problem = "no regular file"
        except OSError as error:
            self.problem = error.strerror or type(error).__name__
        except ValueError as error:  # a path with a zero byte
            self.problem = str(error)

    def is_current(self) -> bool:
        """Whether the file still has this content."""
        # safeguard: rules-read-anew
        if not self._stamp.is_current():
            return False
        if self._trusted:
            return True
        # A second change within the resolution of the stamps shows in the bytes only.
        # safeguard: rules-within-the-racy-window
        again = Watched(self.path)
        if (again.content, again.problem) != (self.content, self.problem):
            return False
        self._stamp, self._trusted = again._stamp, again._trusted
        return True


def _opened(path: str, flags: int) -> int:
    # The opening of a pipe waits for its writer.
    # safeguard: rules-no-pipe
    return os.open(path, flags | os.O_NONBLOCK)


def _is_old(path: str) -> bool:
    """Whether the stamps of a file tell its next change. A file that is none has no stamps."""
    now = time.time_ns()
    try:
        found = os.stat(path)
    except (OSError, ValueError):
        return False
    # A time that is to come means that the clock was set back.
    return max(found.st_mtime_ns, found.st_ctime_ns) + _RACY < now
