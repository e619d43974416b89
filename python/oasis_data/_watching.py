"""Following changes: the states of documents, one after the other.

Private: the names are in `oasis_data.file_operations`.
"""

import asyncio
import math
import os
import time
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from typing import Any, Generic, TypeVar

from oasis_data import _native
from oasis_data._paths import FilePath

_Path = TypeVar("_Path", bound=FilePath)


def watch(
    paths: Iterable[_Path],
    *,
    since: Mapping[_Path, str] | None = None,
    interval: float = 0.05,
    timeout: float | None = None,
) -> Iterator[dict[_Path, str]]:
    """Yields the versions of documents, first as they are, then whenever they differ.

    A state has the version of each document at one moment. No change is missed:
    changes between two states are merged into the later one. A batch shows whole or
    not at all. Documents are asked about again and again, without a thread: while
    nothing changes, each costs a `stat` at each interval, and no file is read.

        for state in watch(["tanks.json", "vessels.json"]):
            ...

    Args:
        paths: The files. They need not exist.
        since: A state from before, perhaps of a process that has ended: the first state
            is then the first one that differs from it. A file that it does not have
            counts as changed. It has no file beside those in `paths`.
        interval: Seconds between two looks, and so between two states.
        timeout: Seconds after which the iterator ends if nothing differs; each state
            begins them anew. 0 looks once. None: never.

    Returns:
        An iterator of dictionaries with the version of each file, by the path as it
        was given: a version of `load_with_version`, or `MISSING` for no file. A
        corrupt file has a version too.

    Raises:
        ValueError: There is no path, or `since`, `interval` or `timeout` cannot have
            that value.
        TypeError: An argument is of another type: `paths` is a single path, say.
        LockTimeoutError: A batch was at work on the files for longer than the configured
            `lock_timeout`. Raised by the iterator, as the next error is.
        JSONReadError: A file cannot be read. After an error the iterator has ended; a
            call with `since=` goes on from the last state.
    """
    return _states(Watch(paths, since, interval, timeout))


def awatch(
    paths: Iterable[_Path],
    *,
    since: Mapping[_Path, str] | None = None,
    interval: float = 0.05,
    timeout: float | None = None,
) -> AsyncIterator[dict[_Path, str]]:
    """The same as `watch`, for `async for`.

    The event loop goes on between two looks. What has changed is read in a thread
    of the loop's executor.

    Args:
        paths: The files. They need not exist.
        since: A state from before.
        interval: Seconds between two looks.
        timeout: Seconds after which the iterator ends if nothing differs.

    Returns:
        An asynchronous iterator of states, as `watch` yields them.

    Raises:
        ValueError: As for `watch`.
        TypeError: As for `watch`.
        LockTimeoutError: As for `watch`.
        JSONReadError: As for `watch`.
    """
    return _states_async(Watch(paths, since, interval, timeout))


def _states(watched: "Watch[_Path]") -> Iterator[dict[_Path, str]]:
    while True:
        watched.begin()
        state = None
        while state is None:
            watched.wait()
            state = watched.look()
            if state is None and watched.is_over():
                return
        yield state


async def _states_async(watched: "Watch[_Path]") -> AsyncIterator[dict[_Path, str]]:
    while True:
        watched.begin()
        state = None
        while state is None:
            await asyncio.sleep(watched.pause())
            state = await _look(watched)
            if state is None and watched.is_over():
                return
        yield state


async def _look(watched: "Watch[_Path]") -> dict[_Path, str] | None:
    # A stamp keeps the loop for no longer than the way to a thread would; a read may.
    return await asyncio.to_thread(watched.look) if watched.may_differ() else None


class Watch(Generic[_Path]):
    """What is watched, what was told last, and when to look again."""

    def __init__(
        self,
        paths: Iterable[_Path],
        since: Mapping[_Path, str] | None,
        interval: float,
        timeout: float | None,
    ) -> None:
        if isinstance(paths, str | bytes | os.PathLike):
            raise TypeError(f"paths={paths!r}: must be several paths, not a single path")
        self._paths = list(paths)
        names = [os.fsdecode(path) for path in self._paths]
        if not self._paths:
            raise ValueError("paths: must name at least one file")
        self._told = _versions_of(names, since)
        if not 0 < _number("interval", interval) < math.inf:
            raise ValueError(f"interval={interval}: must be a number of seconds above 0")
        if timeout is not None and not _number("timeout", timeout) >= 0:
            raise ValueError(f"timeout={timeout}: must be a number of seconds, 0 or more")
        self._interval = interval
        self._timeout = math.inf if timeout is None else timeout
        self._deadline = math.inf
        self._looked = -math.inf
        self._state: _native.State | None = None

    def begin(self) -> None:
        """The timeout begins."""
        self._deadline = time.monotonic() + self._timeout

    def is_over(self) -> bool:
        """Whether the timeout was over when the last look began."""
        return self._looked >= self._deadline

    def pause(self) -> float:
        """Seconds until the next look, which is the first one at once."""
        if self._state is None:
            return 0.0
        return max(0.0, min(self._interval, self._deadline - time.monotonic()))

    def wait(self) -> None:
        """Waits until a look is worth while, or the timeout is over."""
        if self._state is not None:
            left = max(0.0, self._deadline - time.monotonic())
            self._state.wait(self._interval, left)

    def may_differ(self) -> bool:
        """Whether there is anything to read. If there is not, this was a look."""
        self._looked = time.monotonic()
        return self._state is None or self._state.may_differ()

    def look(self) -> dict[_Path, str] | None:
        """The state of now; None where it was told already."""
        if not self.may_differ():
            return None
        self._state = _native.State(self._paths) if self._state is None else self._state.again()
        versions = self._state.versions
        # safeguard: tells-what-differs
        if versions == self._told:
            return None
        self._told = versions
        return dict(zip(self._paths, versions, strict=True))


def _versions_of(
    names: Sequence[str], since: Mapping[Any, str] | None
) -> Sequence[str | None] | None:
    """The versions in a state from before, None for each path that it does not have."""
    if since is None:
        return None
    if not isinstance(since, Mapping):
        raise TypeError(f"since={since!r}: must be a state, a dictionary of versions")
    # A state that was kept as JSON has text for each path.
    versions = {os.fsdecode(path): version for path, version in since.items()}
    if strange := versions.keys() - set(names):
        raise ValueError(f"since has {strange.pop()!r}, which is not among the paths")
    for name, version in versions.items():
        if not isinstance(version, str):
            raise TypeError(f"since has {version!r} as the version of {name!r}, which is no str")
    return [versions.get(name) for name in names]


def _number(name: str, value: object) -> float:
    if not isinstance(value, int | float):
        raise TypeError(f"{name}={value!r}: must be a number of seconds")
    return value
