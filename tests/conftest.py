"""Fixtures for all tests."""

from __future__ import annotations

import gc
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

import oasis_data
from tests.postgres.paths import DatabasePath

pytest_plugins = ["tests.postgres.fixtures"]

# A shell starts background jobs with Ctrl-C ignored, and so would be whatever a test starts.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def require(available: object, reason: str) -> None:
    """Skips the test, saying why; in CI, where everything is there, fails it."""
    if available:
        return
    if os.environ.get("CI"):
        pytest.fail(f"{reason}, and CI may not skip")
    pytest.skip(reason)


def require_programs(*names: str) -> None:
    """Skips the test where one of these programs is not on the PATH."""
    missing = [name for name in names if not shutil.which(name)]
    require(not missing, f"needs {', '.join(missing)}")


def require_mounts() -> None:
    """Skips the test where a program may not mount: without root, or in a changed root folder."""
    require(os.geteuid() == 0, "needs root, to mount")
    require_programs("unshare")
    probe = subprocess.run(["unshare", "--mount", "true"], capture_output=True, check=False)
    require(probe.returncode == 0, "needs mounts of its own")


measures_memory = pytest.mark.skipif(
    "OASIS_SANITIZED" in os.environ,
    reason="the sanitiser keeps what is freed, and cannot report within a limit",
)


@pytest.fixture
def strace() -> str:
    """Path of a strace that may trace."""
    found = shutil.which("strace")
    require(found, "needs strace")
    assert found
    probe = subprocess.run([found, "-o", os.devnull, "true"], capture_output=True, check=False)
    require(probe.returncode == 0, "needs the right to trace processes")
    return found


@pytest.fixture(autouse=True)
def settings() -> Iterator[None]:
    """Puts the settings back and empties the cache after each test."""
    before = oasis_data.configure()
    yield
    oasis_data.configure(**before)
    oasis_data.clear_all_cache()


@contextmanager
def mounted(folder: Path, kind: str, options: str = "") -> Iterator[Path]:
    """A file system of its own for a test, in a new folder."""
    require(os.geteuid() == 0, "needs root, to mount")
    require_programs("mount", "umount")
    folder.mkdir()
    mount = subprocess.run(
        ["mount", "-t", kind, "-o", options or "rw", kind, folder],
        capture_output=True,
        text=True,
        check=False,
    )
    require(mount.returncode == 0, f"needs mount -t {kind}: {mount.stderr.strip()}")
    try:
        yield folder
    finally:
        # Lazily, so that a file that a failed test left open does not keep it.
        subprocess.run(["umount", "--lazy", folder], check=True)


@pytest.fixture(params=["fine", "coarse"])
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Path]:
    """A folder on the usual file system, and one whose stamps miss quick changes."""
    if request.param == "fine":
        yield tmp_path
    else:
        # ramfs stamps by the timer's ticks, as every file system did before Linux 6.13.
        with mounted(tmp_path / "coarse", "ramfs") as mount:
            yield mount


@pytest.fixture
def no_collector_callbacks() -> Iterator[None]:
    """Without what others do at a collection: raised in there, a time limit is lost."""
    callbacks = gc.callbacks[:]
    gc.callbacks.clear()
    yield
    gc.callbacks[:] = callbacks


def python(code: str, *arguments: object, timeout: float = 120) -> str:
    """Runs code in an interpreter of its own; returns what it printed."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code, *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def visible(folder: Path) -> list[str]:
    """The names in a folder, without the sidecar."""
    return sorted(path.name for path in folder.iterdir() if path.name != ".oasis_data")


def stamps(path: Path) -> tuple[object, ...]:
    """What a write changes of a file. The time of the last read is not among them."""
    found = path.stat()
    return found.st_ino, found.st_size, found.st_mtime_ns


def everything_in(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def backups(path: Path) -> list[Path]:
    """The backups of a document, oldest first."""
    if isinstance(path, DatabasePath):
        return [path.with_name(name) for name in reversed(path.backup_names())]
    return sorted(
        other for other in path.parent.iterdir() if other.name.startswith(f"{path.name}.backup.")
    )


def temporaries(folder: Path) -> list[str]:
    """The temporary files in a folder's sidecar."""
    temp = folder / ".oasis_data" / "temp"
    return sorted(path.name for path in temp.iterdir()) if temp.exists() else []


@contextmanager
def edited_by_another_thread(path: Path) -> Iterator[None]:
    """Another thread is in the middle of an `edit_json` of the file."""
    inside, done = threading.Event(), threading.Event()

    def edit() -> None:
        with oasis_data.edit_json(path):
            inside.set()
            done.wait()

    editor = threading.Thread(target=edit)
    editor.start()
    inside.wait()
    try:
        yield
    finally:
        done.set()
        editor.join()


@pytest.fixture
def shared(tmp_path: Path) -> Path:
    """A folder that others can be led into."""
    require(os.geteuid() == 0, "needs root, to be several users")
    folder = tmp_path / "shared"
    folder.mkdir()
    return folder
