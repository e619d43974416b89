"""A small file that is read anew when it changes."""

from __future__ import annotations

import os
import time
from typing import TypeAlias

_RACY = 3_000_000_000
"""Nanoseconds after a change in which a second change can bear the same stamp."""

_Stamp: TypeAlias = tuple[int, ...] | None


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
        self._stamp: _Stamp
        self._trusted: bool
        self.content, self.problem = self._read()

    def is_current(self) -> bool:
        """Whether the file still has this content."""
        # safeguard: rules-read-anew
        if _stamp_at(self.path) != self._stamp:
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

    def _read(self) -> tuple[bytes | None, str]:
        """Reads the file. The stamp is that of the bytes, or an older one."""
        now = time.time_ns()
        self._stamp = _stamp_at(self.path)
        # A time that is to come means that the clock was set back.
        self._trusted = self._stamp is None or max(self._stamp[3:]) + _RACY < now
        try:
            with open(self.path, "rb") as file:
                return file.read(), ""
        except OSError as error:
            self._trusted = self._stamp is None
            return None, error.strerror or type(error).__name__


def _stamp_at(path: str) -> _Stamp:
    try:
        found = os.stat(path)
    except OSError:
        return None
    return (found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)
