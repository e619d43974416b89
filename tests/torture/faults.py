"""An operation killed, or failed, at each of its syscalls; and what that left.

A child is forked and strace attached to it, so that nothing but the operation
is counted and no interpreter has to start for each of thousands of faults.
"""

from __future__ import annotations

import ctypes
import functools
import logging
import os
import re
import resource
import shutil
import signal
import socket
import subprocess
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import oasis_data
from tests.torture.children import Child, fork, received

ERRORS = ["ENOSPC", "EIO", "EDQUOT", "EACCES", "EMFILE", "EINTR"]
KILL = "signal=SIGKILL"

# An injected error keeps the call from happening; a real close closes even so.
CANNOT_FAIL = {"close"}

_PR_SET_PTRACER = 0x59616D61
_ANYBODY = ctypes.c_ulong(-1)


@dataclass(frozen=True)
class Scenario:
    """An operation, what it finds and what it leaves."""

    name: str
    prepare: Callable[[Path], object]
    """Makes the old state in an empty folder."""
    act: Callable[[Path], object]
    state: Callable[[Path], object]
    """What a program without the library sees."""
    old: object
    new: object
    heal: Callable[[Path], list[str]]
    """Uses the file again, and says what is wrong then."""
    tells: type[Exception] = oasis_data.DataOperationError
    """What the operation may raise."""
    litter: Callable[[Path], list[str]] = field(default=lambda _: [])
    """What nobody needs of what is there."""


@dataclass(frozen=True)
class Fault:
    """What happens to a child at one syscall, as strace spells it."""

    call: str
    when: int
    kind: str
    lasting: bool = False

    def __str__(self) -> str:
        return f"{self.call}:{self.kind}:when={self.when}{'+' if self.lasting else ''}"


@dataclass
class Tally:
    """What came of many faults."""

    tried: Counter[str] = field(default_factory=Counter)
    broken: dict[str, list[str]] = field(default_factory=dict)

    def breaks(self, promise: str, what: str) -> None:
        """Notes a broken promise."""
        self.broken.setdefault(promise, []).append(what)

    def all_broken(self) -> list[str]:
        """Each broken promise with its fault."""
        return [f"{promise}: {what}" for promise, found in self.broken.items() for what in found]


def _serve(scenario: Scenario, root: Path, limit: int | None, wire: socket.socket) -> None:
    # Where Yama lets only ancestors trace, strace is none of this child's.
    ctypes.CDLL(None).prctl(_PR_SET_PTRACER, _ANYBODY)
    logging.disable()
    wire.send(b"ready")
    wire.recv(1)
    if limit is not None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    wire.send(b"begin")
    try:
        scenario.act(root)
    except oasis_data.NotDurableError:
        told = "unsure"
    except scenario.tells as error:
        told = f"failed: {error}"[:1000]
    except Exception as error:
        told = f"odd: {error!r}"[:1000]
    else:
        told = "returned"
    wire.send(told.encode())
    wire.recv(1)
    oasis_data.clear_all_cache()
    wire.send(b"cleared")
    wire.recv(1)


def _descriptors(child: Child) -> list[str]:
    found = []
    for descriptor in Path(f"/proc/{child.pid}/fd").iterdir():
        found.append(f"{descriptor.name} -> {os.readlink(descriptor)}")
    return sorted(found)


@contextmanager
def _attached(strace: str, child: Child, log: Path, fault: Fault | None) -> Iterator[None]:
    """Traces a child until it has died."""
    chosen = ["-e", f"trace={fault.call}", "-e", f"inject={fault}"] if fault else []
    # Bytes, and an end of its own for the child: text would be read ahead.
    with subprocess.Popen(
        [strace, "-f", "-y", "-o", log, "-p", str(child.pid), *chosen],
        stderr=subprocess.PIPE,
    ) as tracer:
        assert tracer.stderr
        said = tracer.stderr.readline()
        assert b"attached" in said, said
        try:
            yield
        except BaseException:
            # Else strace, and so this, would wait for it.
            os.kill(child.pid, signal.SIGKILL)
            raise
        tracer.wait(timeout=60)


@dataclass
class Answer:
    """What a child told, and what it still held afterwards."""

    told: str
    leaked: list[str]


def _question(child: Child) -> Answer:
    before = _descriptors(child)
    child.wire.send(b".")
    begun = child.wire.recv(5)
    assert begun in (b"begin", b""), begun
    told = received(child.wire)
    leaked: list[str] = []
    if told:
        child.wire.send(b".")
        assert received(child.wire) == "cleared"
        leaked = [held for held in _descriptors(child) if held not in before]
        child.wire.send(b".")
    child.wait()
    return Answer(told, leaked)


def traced(strace: str, scenario: Scenario, root: Path, log: Path) -> list[tuple[str, str]]:
    """The syscalls of an undisturbed operation, each with its thread."""
    # Once without strace: what a process looks up only once (its time zone) is no part of it.
    prepared(scenario, root)
    scenario.act(root)
    prepared(scenario, root)
    child = _start(scenario, root)
    with _attached(strace, child, log, None):
        answer = _question(child)
    assert answer.told == "returned", answer
    assert scenario.state(root) == scenario.new
    calls = re.findall(r"^(\d+) +(\w+\(.*)$", log.read_text(), re.MULTILINE)
    sent = [i for i, (_, call) in enumerate(calls) if call.startswith("sendto(")]
    assert '"begin"' in calls[sent[0]][1]
    return calls[: sent[1]]


def storage_calls(strace: str, scenario: Scenario, root: Path, log: Path) -> list[tuple[str, int]]:
    """Each syscall of an undisturbed operation that has to do with its files.

    Each with how often its thread made that call until then, as strace counts.
    """
    seen: Counter[tuple[str, str]] = Counter()
    calls: list[tuple[str, int]] = []
    for thread, call in traced(strace, scenario, root, log):
        name = call.partition("(")[0]
        seen[thread, name] += 1
        if str(root) in call:
            calls.append((name, seen[thread, name]))
    return list(dict.fromkeys(calls))


def prepared(scenario: Scenario, root: Path) -> None:
    """Makes the old state in a folder of its own."""
    shutil.rmtree(root, ignore_errors=True)
    root.mkdir()
    scenario.prepare(root)
    oasis_data.clear_all_cache()


def _start(scenario: Scenario, root: Path, limit: int | None = None) -> Child:
    child = fork(functools.partial(_serve, scenario, root, limit))
    assert received(child.wire) == "ready"
    return child


def interrupt(strace: str, scenario: Scenario, root: Path, log: Path, fault: Fault) -> Answer:
    """One operation with one fault."""
    child = _start(scenario, root)
    with _attached(strace, child, log, fault):
        return _question(child)


def strike(
    strace: str, scenario: Scenario, root: Path, log: Path, fault: Fault, tally: Tally
) -> None:
    """One operation with one fault, and the judgement of what it left."""
    prepared(scenario, root)
    answer = interrupt(strace, scenario, root, log, fault)
    text = log.read_text()
    struck = "killed by SIGKILL" in text if fault.kind == KILL else "(INJECTED)" in text
    tally.tried[fault.kind if struck else "missed"] += 1
    judge(scenario, root, answer, f"{scenario.name}, {fault}", tally, fault)


def cut_short(scenario: Scenario, root: Path, limit: int, tally: Tally) -> None:
    """One operation whose files may not grow beyond a limit: its writes are cut short."""
    prepared(scenario, root)
    answer = _question(_start(scenario, root, limit))
    tally.tried["short write"] += 1
    judge(scenario, root, answer, f"{scenario.name}, files of at most {limit} bytes", tally, None)


def judge(
    scenario: Scenario, root: Path, answer: Answer, what: str, tally: Tally, fault: Fault | None
) -> None:
    """Holds what was told against what is there."""
    told = answer.told
    left = scenario.litter(root)
    try:
        found = scenario.state(root)
    except (ValueError, OSError, LookupError) as error:
        found = f"unreadable: {error}"
    what = f"{what}; told {told or 'nothing'}; found {str(found)[:80]}"
    if found not in (scenario.old, scenario.new):
        tally.breaks("old or new", what)
    if told == "":
        if fault is None or fault.kind != KILL:
            tally.breaks("alive", what)
    elif told in ("returned", "unsure"):
        if found != scenario.new:
            tally.breaks("truth", what)
    elif told.startswith("failed"):
        if found != scenario.old:
            tally.breaks("truth", what)
        if scenario.tells is oasis_data.DataOperationError and str(root) in told:
            tally.breaks("no path in a message", what)
    else:
        tally.breaks("typed errors", what)
    if answer.leaked:
        tally.breaks("descriptors", f"{what}; held {answer.leaked}")
    if told == "unsure":
        # A batch has said that its next use completes it.
        left = scenario.litter(root)
    # Where removing failed, or still fails, that is left to the next use.
    if told and not (fault and (fault.lasting or fault.call.startswith("unlink"))):
        for name in left:
            tally.breaks("litter", f"{what}; left {name}")
    for problem in scenario.heal(root):
        tally.breaks("healing", f"{what}; then {problem}")
