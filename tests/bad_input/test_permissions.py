"""Folders and files that another user may not change or read."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from oasis_data import load_data_file, save_json_atomic
from tests.bad_input.outcomes import OLD, alone, assert_untouched
from tests.users import ACCESS, access_list, set_list

# Root may read and write everything, and so becomes nobody. Loaded first is
# what nobody may not find, and the folder is reached by no path.
AS_NOBODY = """
outcome(lambda: save_json_atomic(path, {1}))
os.chdir(folder)
path = Path("tanks.json")
if os.getuid() == 0:
    os.setgroups([])
    os.setgid(65534)
    os.setuid(65534)

def of_class(act):
    try:
        return str(act())
    except DataOperationError as error:
        assert isinstance(error, PermissionError)
        assert error.errno in (1, 13)
        return type(error).__name__
"""

NOTHING_WRITABLE = """
print(of_class(lambda: save_json_atomic(path, {"new": 1})))
print(of_class(lambda: save_json_atomic(path, {"new": 1}, backup=False)))
print(of_class(lambda: save_json_atomic("new.json", {"new": 1})))
print(of_class(lambda: save_json_atomic("new/new.json", {"new": 1}, make_parents=True)))
print(of_class(lambda: delete_json_atomic(path)))
print(of_class(lambda: load_data_file(path, strict=True)))
"""


def give_to_nobody(folder: Path) -> None:
    """Whatever belongs to root alone could not be changed for other reasons."""
    if os.getuid() == 0:
        for entry in (folder, *folder.rglob("*")):
            os.chown(entry, 65534, 65534)


@pytest.mark.parametrize("sidecar", [False, True], ids=["without sidecar", "with sidecar"])
def test_a_read_only_folder_is_left_as_it_is(path: Path, sidecar: bool) -> None:
    if sidecar:
        save_json_atomic(path, {}, backup=False)
        path.write_bytes(OLD)
    give_to_nobody(path.parent)
    path.parent.chmod(0o555)
    try:
        printed = alone(AS_NOBODY + NOTHING_WRITABLE, path.parent)
    finally:
        path.parent.chmod(0o755)
    assert printed == [*["WritePermissionError"] * 5, "{'old': True}"]
    assert_untouched(path)


def test_a_file_that_may_not_be_read_says_so(path: Path) -> None:
    # Closed after the prelude, which reads the file: an ordinary user is its owner here.
    code = """
path.chmod(0o000)
print(of_class(lambda: load_data_file(path)))
print(of_class(lambda: load_data_file(path, strict=True)))
print(of_class(lambda: load_with_version(path)))
print(oasis_data.is_cache_valid(path))
"""
    give_to_nobody(path.parent)
    printed = alone(AS_NOBODY + code, path.parent)
    assert printed == [*["ReadPermissionError"] * 3, "False"]
    path.chmod(0o644)
    assert_untouched(path)


def test_a_save_needs_to_read_what_it_replaces_and_says_so(path: Path) -> None:
    # Closed after the prelude, as above.
    code = """
path.chmod(0o200)
def told(act):
    try:
        return str(act())
    except DataOperationError as error:
        return str(error)
print(told(lambda: save_json_atomic(path, {"new": [1, 2]}, backup=False)))
"""
    save_json_atomic(path, {}, backup=False)
    path.write_bytes(OLD)
    give_to_nobody(path.parent)
    (said,) = alone(AS_NOBODY + code, path.parent)
    assert "to keep the file's attributes" in said
    assert "check the owner and the mode of the file" in said
    path.chmod(0o644)
    assert_untouched(path)


@pytest.mark.parametrize("attribute", [ACCESS, "user.origin"])
def test_an_attribute_that_the_disk_fails_to_set_is_no_refusal(
    strace: str, tmp_path: Path, attribute: str
) -> None:
    path = tmp_path / "tanks.json"
    save_json_atomic(path, "old")
    value = access_list(users={1: 4}, group=4, other=0) if attribute == ACCESS else b"refinery"
    set_list(path, attribute, value)
    code = "import sys, oasis_data; oasis_data.save_json_atomic(sys.argv[1], 'new')"
    failing = [strace, "-f", "-o", os.devnull, "-e", "inject=fsetxattr:error=EIO"]
    done = subprocess.run(
        [*failing, sys.executable, "-c", code, str(path)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert "setxattr" in done.stderr
    assert "the disk reported an error" in done.stderr
    assert load_data_file(path) == "old"
