"""Other users of a folder: who they are, what rights they have, how they save."""

from __future__ import annotations

import os
import struct
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

from tests.conftest import python, require

FIRST, SECOND, STRANGER, TEAM, WEB = 2001, 2002, 2003, 3000, 3033

ACCESS = "system.posix_acl_access"
DEFAULT = "system.posix_acl_default"

# Becomes another user in the folder, saves there, and prints what went wrong or was logged.
SAVE = """
import logging, os, sys
from oasis_data import JSONWriteError, save_json_atomic
uid, groups, name, value, folder = sys.argv[1:]
os.chdir(folder)
logging.basicConfig(stream=sys.stdout, format="%(message)s")
os.setgroups([int(group) for group in groups.split(",") if group])
os.setgid(int(uid))
os.setuid(int(uid))
try:
    save_json_atomic(name, int(value))
except JSONWriteError as error:
    print("refused:", error)
"""


def save_as(user: int, path: Path, value: int, *groups: int) -> str:
    """Saves as another user; returns what went wrong or was logged."""
    return python(SAVE, user, ",".join(map(str, groups)), path.name, value, path.parent)


def access_list(
    *,
    users: Mapping[int, int] = MappingProxyType({}),
    groups: Mapping[int, int] = MappingProxyType({}),
    owner: int = 7,
    group: int,
    other: int,
) -> bytes:
    """The value of the attribute that setfacl would set, with the widest mask."""
    mask = group
    for rights in (*users.values(), *groups.values()):
        mask |= rights
    nobody = 0xFFFFFFFF
    entries = [
        (1, owner, nobody),
        *((2, rights, user) for user, rights in users.items()),
        (4, group, nobody),
        *((8, rights, of) for of, rights in groups.items()),
        (16, mask, nobody),
        (32, other, nobody),
    ]
    return struct.pack("<I", 2) + b"".join(struct.pack("<HHI", *entry) for entry in entries)


def set_list(path: Path, name: str, value: bytes) -> None:
    try:
        os.setxattr(path, name, value)
    except OSError as error:
        require(False, f"needs access lists on the file system: {error}")


def list_of(path: Path) -> bytes | None:
    return os.getxattr(path, ACCESS) if ACCESS in os.listxattr(path) else None


def give(path: Path, user: int, group: int, mode: int) -> None:
    os.chown(path, user, group)
    path.chmod(mode)


# Saves as whoever runs the tests, and prints what was logged.
SAVE_HERE = """
import logging, sys, oasis_data
logging.basicConfig(stream=sys.stdout, format="%(message)s")
oasis_data.save_json_atomic(sys.argv[1], int(sys.argv[2]))
"""


def save_with(
    strace: str, path: Path, value: int, *faults: str, log: Path = Path(os.devnull)
) -> str:
    """Saves where the kernel refuses some calls; returns what was logged."""
    inject = [argument for fault in faults for argument in ("-e", f"inject={fault}")]
    tracing = [strace, "-f", "-y", "-o", str(log), *inject]
    done = subprocess.run(
        [*tracing, sys.executable, "-c", SAVE_HERE, str(path), str(value)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return str(done.stdout)
