"""How callers name a file, and how the log and the answers name it."""

import os
import re
from typing import TypeAlias

FilePath: TypeAlias = str | bytes | os.PathLike[str] | os.PathLike[bytes]


def folder_of(file_path: FilePath) -> str:
    """The folder of the file that a path leads to, through symlinks."""
    return os.path.dirname(os.path.realpath(os.fsdecode(file_path)))


def whole(file_path: FilePath) -> str:
    """The absolute path; the path as given where the working directory is gone."""
    given_path = os.fsdecode(file_path)
    if not given_path:
        return given_path  # abspath would make it the working directory
    try:
        return os.path.abspath(given_path)
    except FileNotFoundError:  # the working directory itself was removed
        return given_path


def normal(path: str) -> str:
    """The absolute path as the native module has it: with one slash at its beginning.

    Python's own functions leave two slashes there, which POSIX allows to mean something else.
    """
    # safeguard: two-slashes-are-one
    return re.sub("^//", "/", os.path.abspath(path))


def anchored(file_path: FilePath) -> FilePath:
    """The path, which leads to the same file whatever the working directory is by then."""
    try:
        given_path = os.fsdecode(file_path)
        if given_path and not os.path.isabs(given_path):
            return os.path.join(os.getcwd(), given_path)
    except (TypeError, FileNotFoundError):  # no path, or no working directory
        pass
    return file_path


def decoded(file_path: object) -> str:
    """The path as text; an empty text for an object that is no path."""
    try:
        return os.fsdecode(file_path)  # type: ignore[arg-type]  # any object: see below
    except Exception:  # no path at all, or whatever a foreign __fspath__ may raise
        return ""


def base_name(path: str) -> str:
    """The last part of a path. A client's path may have the separators of Windows."""
    return path.replace("\\", "/").rsplit("/", 1)[-1]


def printable(text: str) -> str:
    """The text with escapes for what is not UTF-8, which would break an answer or the log."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")
