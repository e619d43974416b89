"""Descriptors between two calls: the cache has none, and none that the application closed is used.

A program that becomes a daemon closes every descriptor that it finds. What it opens after that has
the numbers of what was closed.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from oasis_data import load_data_file, save_json_atomic
from tests.cache.files import write
from tests.conftest import mounted, python

DAEMON = """
import os, sys
import oasis_data
from oasis_data import *

def become_a_daemon():
    os.closerange(3, 256)

def open_logs(count=8):
    flags = os.O_RDWR | os.O_CREAT | os.O_APPEND
    return [os.open(f"{number}.log", flags) for number in range(count)]

def assert_logs_are_intact(logs):
    for number, log in enumerate(logs):
        os.write(log, b"line")
        assert os.path.getsize(f"{number}.log") == 4, number

os.chdir(sys.argv[1])
"""


# The cache


def test_a_daemon_keeps_its_logs_whatever_was_cached_before(tmp_path: Path) -> None:
    code = """
names = [f"{number}.json" for number in range(6)]
for name in names:
    save_json_atomic(name, 1)
    assert load_data_file(name) == load_data_file(name, copy=False) == 1
become_a_daemon()
logs = open_logs()
save_json_atomic(names[0], 2)
delete_json_atomic(names[1])
invalidate_cache(names[2])
with open(names[3], "w") as file:
    file.write("3")
assert [load_data_file(name, default="none") for name in names] == [2, "none", 1, 3, 1, 1]
configure(cache_entries=1)
clear_all_cache()
assert_logs_are_intact(logs)
"""
    python(DAEMON + code, tmp_path)


def test_loads_leave_the_descriptors_to_the_application(tmp_path: Path) -> None:
    code = """
import resource
resource.setrlimit(resource.RLIMIT_NOFILE, (256, 256))
before = os.listdir("/proc/self/fd")
for number in range(250):
    save_json_atomic(f"{number}.json", number)
    assert load_data_file(f"{number}.json") == number
assert oasis_data.stats()["cache_entries"] == 250
assert os.listdir("/proc/self/fd") == before
"""
    python(DAEMON + code, tmp_path)


def test_a_lack_of_descriptors_is_told_and_changes_nothing(tmp_path: Path) -> None:
    code = """
import resource
for name in ("cached", "other"):
    save_json_atomic(f"{name}.json", "old")
load_data_file("cached.json")
resource.setrlimit(resource.RLIMIT_NOFILE, (256, 256))
taken = []
while True:
    try:
        taken.append(os.dup(0))
    except OSError:
        break
told = []
def load():
    load_data_file("other.json", strict=True)
def save():
    save_json_atomic("other.json", "new")
for act in (load, save):
    try:
        act()
    except DataOperationError as error:
        told.append((error.errno, "too many files are open" in str(error)))
for descriptor in taken:
    os.close(descriptor)
import errno
assert told == [(errno.EMFILE, True)] * 2, told
# Nor is what is cached thrown away for it.
assert is_cache_valid("cached.json")
assert load_data_file("other.json") == "old"
"""
    python(DAEMON + code, tmp_path)


def test_a_file_system_with_cached_documents_can_be_unmounted(tmp_path: Path) -> None:
    with mounted(tmp_path / "disk", "tmpfs") as disk:
        path = disk / "x.json"
        for number in range(3):
            save_json_atomic(path, number, backup=False)
            assert load_data_file(path) == number
        for command in (["mount", "-o", "remount,ro"], ["umount"]):
            done = subprocess.run([*command, disk], capture_output=True, text=True, check=False)
            assert done.returncode == 0, done.stderr
        assert load_data_file(path, default="gone") == "gone"
        subprocess.run(["mount", "-t", "tmpfs", "tmpfs", disk], check=True)


def test_the_space_of_a_replaced_file_is_free_at_once(tmp_path: Path) -> None:
    with mounted(tmp_path / "disk", "tmpfs") as disk:
        path, other = disk / "x.json", disk / "other.json"
        write(path, "x" * 4_000_000)
        assert len(load_data_file(path)) == 4_000_000
        before = os.statvfs(disk).f_bfree
        write(other, "small")
        os.replace(other, path)
        assert os.statvfs(disk).f_bfree > before + 4_000_000 // os.statvfs(disk).f_bsize // 2


# The lock and the folder of an edit


EDIT = """
save_json_atomic("x.json", {"at": 1})
def refused(enter):
    edit = edit_json("x.json")
    document = edit.__enter__()
    document["at"] = "lost"
    logs = enter()
    try:
        edit.__exit__(None, None, None)
    except JSONWriteError as error:
        assert "no longer locked" in str(error) and "daemon" in str(error), error
    else:
        raise AssertionError("saved without the lock")
    assert load_data_file("x.json") == {"at": 1}
    assert_logs_are_intact(logs)
    # And nothing of it stays.
    with edit_json("x.json", timeout=0) as document:
        assert document == {"at": 1}
"""


@pytest.mark.parametrize("logs", [0, 8])
def test_an_edit_whose_lock_the_application_closed_is_refused(tmp_path: Path, logs: int) -> None:
    code = f"""
def enter():
    become_a_daemon()
    return open_logs({logs})
refused(enter)
"""
    python(DAEMON + EDIT + code, tmp_path)


@pytest.mark.parametrize("closed", ["x.json.lock", "folder"])
def test_an_edit_is_refused_where_only_one_of_its_descriptors_is_closed(
    tmp_path: Path, closed: str
) -> None:
    code = f"""
def enter():
    wanted = os.path.realpath(".oasis_data/locks/x.json.lock" if {closed != "folder"} else ".")
    for number in os.listdir("/proc/self/fd"):
        if os.path.realpath(f"/proc/self/fd/{{number}}") == wanted:
            os.close(int(number))
            log = os.open("0.log", os.O_RDWR | os.O_CREAT | os.O_APPEND)
            assert log == int(number)
            return [log]
refused(enter)
"""
    python(DAEMON + EDIT + code, tmp_path)


def test_an_edit_that_is_dropped_closes_no_descriptor_of_the_application(tmp_path: Path) -> None:
    code = """
save_json_atomic("x.json", {})
edit = edit_json("x.json")
edit.__enter__()
become_a_daemon()
logs = open_logs()
try:
    edit.__exit__(ValueError, ValueError(), None)
except ValueError:
    pass
del edit
assert_logs_are_intact(logs)
"""
    python(DAEMON + code, tmp_path)


def test_a_forked_child_closes_no_descriptor_of_the_application(tmp_path: Path) -> None:
    code = """
save_json_atomic("x.json", {})
edit = edit_json("x.json")
edit.__enter__()
become_a_daemon()
logs = open_logs()
child = os.fork()
if not child:
    status = 1
    try:
        assert_logs_are_intact(logs)
        edit = None
        for log in logs:
            os.fstat(log)
        status = 0
    finally:
        os._exit(status)
assert os.waitpid(child, 0)[1] == 0
assert os.path.getsize("0.log") == 4
"""
    python(DAEMON + code, tmp_path)


def test_an_edit_around_which_other_files_come_and_go_is_saved(tmp_path: Path) -> None:
    code = """
save_json_atomic("x.json", {"at": 1})
with edit_json("x.json") as document:
    logs = open_logs()
    document["at"] = 2
    for log in logs:
        os.close(log)
assert load_data_file("x.json") == {"at": 2}
"""
    python(DAEMON + code, tmp_path)


def test_an_edit_that_lost_its_lock_takes_none_that_was_locked_since(tmp_path: Path) -> None:
    code = """
import subprocess, threading
save_json_atomic("x.json", {"at": 1})
lost = edit_json("x.json")
lost.__enter__()["at"] = "lost"
become_a_daemon()
# The next edit of the file gets the very numbers.
with edit_json("x.json") as document:
    document["at"] = 2
entered, leave, left = threading.Event(), threading.Event(), []
def edit():
    with edit_json("x.json") as document:
        entered.set()
        leave.wait()
        document["at"] += 1
        try:
            with edit_json("x.json", timeout=0):
                left.append("nested")
        except AlreadyLockedError:
            left.append("refused")
thread = threading.Thread(target=edit)
thread.start()
entered.wait()
try:
    lost.__exit__(None, None, None)
except JSONWriteError as error:
    assert "no longer locked" in str(error), error
else:
    left.append("saved")
# Nor did it let the other lock go.
other = "import oasis_data; oasis_data.save_json_atomic('x.json', 4, timeout=0)"
other = subprocess.run([sys.executable, "-c", other], stderr=subprocess.PIPE, text=True)
leave.set()
thread.join()
assert "LockTimeoutError" in other.stderr, other.stderr
assert left == ["refused"], left
assert load_data_file("x.json") == {"at": 3}
"""
    python(DAEMON + code, tmp_path)


# The log


def test_lines_for_the_log_go_to_no_file_of_a_daemon(tmp_path: Path) -> None:
    code = """
configure_logging(folder="logs", console=False, history="all")
save_json_atomic("x.json", 1)
become_a_daemon()
logs = open_logs()
save_json_atomic("x.json", 2)
assert load_data_file("x.json") == 2
configure_logging(console=False)
assert_logs_are_intact(logs)
(log,) = [name for name in os.listdir("logs") if name.endswith(".log")]
with open(f"logs/{log}") as file:
    assert len(file.read().splitlines()) == 3
"""
    python(DAEMON + code, tmp_path)
