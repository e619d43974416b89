"""Runs the real console script, in a pipe or in a terminal of its own."""

from __future__ import annotations

import os
import pty
import re
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple, TypeAlias

SCRIPT = str(Path(sys.executable).with_name("oasis-data"))
LIMIT = 60.0
"""Seconds after which a program that says nothing hangs."""

AGAIN = 1.0
"""Seconds of silence after which Ctrl-C is typed again."""

_ESCAPES = re.compile(r"\x1b\[[0-9;?]*[a-zA-Z]")


class Ran(NamedTuple):
    """What a program printed, and how it ended."""

    status: int
    out: str
    err: str = ""

    @property
    def plain(self) -> str:
        """What it printed, without colours and cursor movements."""
        return _ESCAPES.sub("", self.out).replace("\r\n", "\n")


def environment(**changes: str) -> dict[str, str]:
    """The environment, without what a test must not depend on."""
    names = {"NO_COLOR", "FORCE_COLOR", "COLUMNS", "TERM", "CLICOLOR_FORCE", "TTY_COMPATIBLE"}
    kept = {name: value for name, value in os.environ.items() if name not in names}
    return kept | {"TERM": "xterm-256color"} | changes


def with_script() -> dict[str, str]:
    """The environment of an operator whose shell finds the script."""
    path = os.pathsep.join([os.path.dirname(SCRIPT), os.environ.get("PATH", os.defpath)])
    return environment(PATH=path)


def run(*arguments: object, stdin: str = "", **changes: str) -> Ran:
    """Runs `oasis-data` in pipes."""
    done = subprocess.run(
        [SCRIPT, *(str(argument) for argument in arguments)],
        input=stdin,
        capture_output=True,
        text=True,
        env=environment(**changes),
        timeout=LIMIT,
        check=False,
    )
    return Ran(done.returncode, done.stdout, done.stderr)


Answer: TypeAlias = str | Callable[[], str]
"""What to type, or what to do first that says what to type."""


def terminal(*arguments: object, answers: Sequence[tuple[str, Answer]] = (), **changes: str) -> Ran:
    """Runs `oasis-data` in a terminal, and types each answer when its prompt is there.

    Control characters among the answers act as they do on a keyboard. As at a
    keyboard, Ctrl-C is typed again if it came a moment before the program waited.
    """
    child, descriptor = pty.fork()
    if child == 0:
        try:
            command = [SCRIPT, *(str(argument) for argument in arguments)]
            # A shell's background job ignores Ctrl-C, and so would what it starts.
            signal.signal(signal.SIGINT, signal.SIG_DFL)
            os.execve(SCRIPT, command, environment(**changes))
        finally:
            os._exit(127)
    waiting = list(answers)
    shown, asked, typed = b"", 0, ""
    deadline = time.monotonic() + LIMIT
    try:
        while True:
            if not select.select([descriptor], [], [], AGAIN)[0]:
                if time.monotonic() > deadline:
                    os.kill(child, 9)
                    raise AssertionError(f"hangs after {shown!r}")
                if typed == "\x03":
                    os.write(descriptor, typed.encode())
                continue
            try:
                part = os.read(descriptor, 65536)
            except OSError:  # EIO: the program has closed its terminal
                break
            if not part:
                break
            shown += part
            if waiting and (at := shown.find(waiting[0][0].encode(), asked)) >= 0:
                asked = at + len(waiting[0][0])
                answer = waiting.pop(0)[1]
                typed = answer if isinstance(answer, str) else answer()
                os.write(descriptor, typed.encode())
    finally:
        os.close(descriptor)
        _, status = os.waitpid(child, 0)
    assert not waiting, f"never asked {waiting[0][0]!r}: {shown!r}"
    return Ran(os.waitstatus_to_exitcode(status), shown.decode("utf-8", "replace"))
