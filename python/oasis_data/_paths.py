"""How callers name a file, and how the log names it."""

import os
from typing import TypeAlias

FilePath: TypeAlias = str | bytes | os.PathLike[str] | os.PathLike[bytes]


def folder_of(file_path: FilePath) -> str:
    """The folder that the file is in, through symlinks."""
    return os.path.dirname(os.path.realpath(os.fsdecode(file_path)))


def whole(file_path: FilePath) -> str:
    """The path from the root, where one can be told."""
    spelt = os.fsdecode(file_path)
    if not spelt:
        return spelt  # abspath would make it the working directory
    try:
        return os.path.abspath(spelt)
    except FileNotFoundError:  # the working directory itself was removed
        return spelt
