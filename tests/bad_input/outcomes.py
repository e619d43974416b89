"""What came of it: in an interpreter of its own, and in a folder that must be as it was."""

from __future__ import annotations

from pathlib import Path

from tests.conftest import python, temporaries, visible

OLD = b'{"old": true}\n'


def assert_untouched(path: Path) -> None:
    """The folder of `path` has the old file and nothing else to be seen."""
    assert path.read_bytes() == OLD
    assert visible(path.parent) == [path.name]
    assert temporaries(path.parent) == []


# In an interpreter of its own, whose end would be noticed here.
PRELUDE = """
import os, resource, sys
from pathlib import Path
import oasis_data
from oasis_data import *
from oasis_data import DataOperationError

folder = Path(sys.argv[1])
path = folder / "tanks.json"
old = path.read_bytes() if path.exists() else None

def outcome(act):
    try:
        return act()
    except DataOperationError as error:
        assert folder.name not in str(error), str(error)
        original = type(error.original_error).__name__
        return f"{type(error).__name__} from {original}"

def assert_untouched():
    temp = folder / ".oasis_data" / "temp"
    assert not temp.exists() or not os.listdir(temp), os.listdir(temp)
    names = [name for name in os.listdir(folder) if name != ".oasis_data"]
    assert names == ["tanks.json"], names
    assert path.read_bytes() == old
"""


def alone(code: str, folder: Path, *arguments: object) -> list[str]:
    """Runs the code after the prelude; returns the lines that it printed."""
    return python(PRELUDE + code, folder, *arguments).splitlines()
