"""Starts real servers over a folder of documents, and ends them with all their workers."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import pytest

T = TypeVar("T")

WORKERS = 4
STREAMING = ["--workers", "2", "--worker-class", "gthread", "--threads", "8"]
"""Two workers that keep streams open."""
DEADLINE = 60.0


def wait_for(condition: Callable[[], T | None], what: str) -> T:
    """Polls until `condition()` is true and returns that; fails the test at the deadline."""
    deadline = time.monotonic() + DEADLINE
    while not (result := condition()):
        if time.monotonic() > deadline:
            pytest.fail(f"waited {DEADLINE:.0f} s for {what}")
        time.sleep(0.005)
    return result


@dataclass(frozen=True)
class Server:
    """A running server: its main process, the port it listens on, and all it has printed."""

    process: subprocess.Popen[bytes]
    port: int
    log: Path

    def workers(self) -> list[int]:
        """The pids of the main process's live children."""
        return find_children(self.process.pid)

    def workers_that_answered(self) -> set[str]:
        """The pids that gunicorn's access log names."""
        return set(
            re.findall(r"^answered by <(\d+)>", self.log.read_text(errors="replace"), re.MULTILINE)
        )


def find_children(parent: int) -> list[int]:
    """The pids of a process's children that are alive, zombies left out."""
    children = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            # A process may end between the listing and the look.
            with suppress(OSError):
                # The name, in parentheses, may hold spaces; the state and the parent follow it.
                state, ppid = (entry / "stat").read_text().rpartition(")")[2].split()[:2]
                if int(ppid) == parent and state != "Z":
                    children.append(int(entry.name))
    return children


def open_files(pid: int) -> list[str]:
    """The paths that a process has open; none if it has ended."""
    paths: list[str] = []
    with suppress(OSError):
        for descriptor in Path(f"/proc/{pid}/fd").iterdir():
            with suppress(OSError):
                paths.append(os.readlink(descriptor))
    return paths


@contextmanager
def serve(command: Sequence[str], *, log: Path, cwd: Path, env: dict[str, str]) -> Iterator[Server]:
    """Runs a server until the block is left; its log is shown if the test fails."""
    clean = {
        key: value for key, value in os.environ.items() if key not in ("DATA", "PORT", "STORE")
    }
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-u", *command],
            cwd=cwd,
            env=clean | env,
            stdout=output,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            # A group of its own, so that no worker can outlive the test.
            start_new_session=True,
        )
    try:
        yield Server(process, wait_for(lambda: find_port(process, log), "the port"), log)
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        lines = [
            line for line in log.read_text(errors="replace").splitlines() if "HTTP/1." not in line
        ]
        # Captured, so it shows with a failure and only then.
        print(f"--- {log.name}, without its requests ---", *lines[-100:], sep="\n")


def find_port(process: subprocess.Popen[bytes], log: Path) -> int | None:
    """The port that a server says it listens on; fails the test if it ended instead."""
    found = re.search(r"http://127\.0\.0\.1:(\d+)", log.read_text(errors="replace"))
    if found is None and process.poll() is not None:
        pytest.fail(f"the server ended with {process.returncode}")
    return int(found[1]) if found else None


# A proxy whose server is gone. To a browser it is the end of a stream, and not a break.
BAD_GATEWAY = """
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer

class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_error(502)

server = HTTPServer(("127.0.0.1", int(sys.argv[1])), Handler)
print(f"http://127.0.0.1:{server.server_port}")
server.serve_forever()
"""


def serve_bad_gateway(port: int, log: Path) -> AbstractContextManager[Server]:
    """A server that answers each request with 502."""
    return serve(["-c", BAD_GATEWAY, str(port)], log=log, cwd=log.parent, env={})


def serve_flask(folder: Path, data: Path, log: Path) -> AbstractContextManager[Server]:
    """`api.app` of a folder under Flask's threaded server."""
    command = ["-m", "flask", "--app", "api", "run", "--port", "0"]
    return serve(command, log=log, cwd=folder, env={"DATA": str(data)})


def serve_gunicorn(
    folder: Path, data: Path, log: Path, *options: str
) -> AbstractContextManager[Server]:
    """`api.app` of a folder under gunicorn with four workers."""
    command = ["-m", "gunicorn", "--bind", "127.0.0.1:0", "--workers", str(WORKERS)]
    command += ["--access-logfile", "-", "--access-logformat", "answered by %(p)s: %(r)s %(s)s"]
    command += ["--no-control-socket", "--timeout", "120", "--keep-alive", "120"]
    # Killed with all its workers, it cannot remove what it made there.
    env = {"DATA": str(data), "TMPDIR": str(log.parent)}
    return serve([*command, *options, "api:app"], log=log, cwd=folder, env=env)
