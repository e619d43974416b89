"""The Python sources under some paths."""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Callable, Iterable, Iterator
from fnmatch import fnmatch
from pathlib import Path

SKIPPED = frozenset(
    {"node_modules", "__pycache__", "site-packages", "venv", "env", "build", "dist", "target"}
)
"""Folders of foreign code and of tools. Folders whose names begin with a dot are left out too."""


def find_sources(
    paths: Iterable[Path], excluded: Iterable[str], onerror: Callable[[OSError], None]
) -> Iterator[Path]:
    """Yields each Python source once: files that are named, and all in folders that are.

    Args:
        paths: Files, whatever their names, and folders.
        excluded: Patterns of names, or of paths, to leave out of folders.
        onerror: Is told of each folder that cannot be listed; the others are gone through.
    """
    seen: set[str] = set()
    patterns = list(excluded)
    for path in paths:
        for each in _under(path, patterns, onerror) if path.is_dir() else [path]:
            real = os.path.realpath(each)
            if real not in seen:
                seen.add(real)
                yield each


def find_beside(paths: Iterable[Path]) -> Iterator[Path]:
    """Yields the sources in the folders around some paths, up to where no package is any more."""
    for folder in sorted({Path(os.path.realpath(path)).parent for path in paths}):
        yield from _in(folder)
        while _is_file(folder / "__init__.py"):
            folder = folder.parent
            yield from _in(folder)


def _in(folder: Path) -> Iterator[Path]:
    # What is in a folder that cannot be listed is not known anyway.
    with contextlib.suppress(OSError):
        for name in sorted(os.listdir(folder)):
            if name.endswith(".py") and _is_file(folder / name):
                yield folder / name


def _under(folder: Path, patterns: list[str], onerror: Callable[[OSError], None]) -> Iterator[Path]:
    for parent, folders, files in os.walk(folder, onerror=onerror):
        here = Path(parent)
        folders[:] = sorted(name for name in folders if not _is_skipped(here / name, patterns))
        for name in sorted(files):
            path = here / name
            if name.endswith(".py") and _is_file(path) and not _matches(path, patterns):
                yield path


def _is_file(path: Path) -> bool:
    try:
        return stat.S_ISREG(os.stat(path).st_mode)
    except PermissionError:
        # Whoever reads it is told why that cannot be.
        return True
    except OSError:
        return False


def _is_skipped(folder: Path, patterns: list[str]) -> bool:
    return (
        folder.name in SKIPPED
        or folder.name.startswith(".")
        or os.path.exists(folder / "pyvenv.cfg")
        or _matches(folder, patterns)
    )


def _matches(path: Path, patterns: list[str]) -> bool:
    return any(fnmatch(path.name, each) or fnmatch(str(path), each) for each in patterns)
