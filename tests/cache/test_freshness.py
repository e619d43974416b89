"""A load shows what is in the file, however it came there; and is a hit where it may be one."""

from __future__ import annotations

import itertools
import json
import os
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from oasis_data import is_cache_valid, load_data_file, save_json_atomic, stats
from tests.cache.files import (
    LONG_AGO,
    counts,
    counts_of_load,
    is_hit,
    key,
    leave_racy_window,
    open_files,
    write,
)
from tests.conftest import mounted, python, require

# Hits and misses


def test_first_load_misses_and_later_ones_hit(anywhere: Path) -> None:
    path = anywhere / "x.json"
    write(path, {"a": 1})

    hits = [is_hit(path) for _ in range(5)]

    assert hits == [False, True, True, True, True]
    assert stats()["cache_entries"] == 1


def test_save_makes_the_next_load_miss_and_show_it(folder: Path) -> None:
    path = folder / "x.json"
    for number in range(50):
        save_json_atomic(path, number)
        assert not is_cache_valid(path)
        assert load_data_file(path) == number
        assert is_hit(path)


def test_hit_past_the_racy_window_reads_no_bytes(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    write(path, {"a": [1, 2, 3]})
    leave_racy_window(path)

    assert counts_of_load(path) == {"hits": 1}


def test_file_that_was_just_written_is_compared_by_its_bytes(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    for number in range(20):
        write(path, number)
        load_data_file(path)
        if counts_of_load(path)["racy_rereads"]:
            return
    pytest.fail("twenty files were trusted by their stamps within the tick that stamped them")


def test_failed_load_counts_no_hit_and_no_entry(anywhere: Path) -> None:
    before = counts()

    load_data_file(anywhere / "missing.json")

    gained = counts() - before
    assert gained["hits"] == 0
    assert gained["read_failures"] == 1
    assert stats()["cache_entries"] == 0


# Coherence with the file


def in_place_rounds(path: Path, rounds: int) -> tuple[int, int]:
    """Edits in place and loads at once; counts stale loads, and edits that no stamp shows."""
    stale = hidden = 0
    previous = None
    write(path, 10_000)
    for number in range(10_001, 10_001 + rounds):
        load_data_file(path)
        with path.open("r+b", buffering=0) as file:
            file.write(b"%d" % number)
        os.utime(path, ns=(LONG_AGO, LONG_AGO))
        stale += load_data_file(path) != number
        stat = os.stat(path)
        stamps = (stat.st_ino, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns)
        hidden += stamps == previous
        previous = stamps
    return stale, hidden


def test_edit_in_place_with_size_and_mtime_kept_shows_at_once(
    folder: Path, request: pytest.FixtureRequest
) -> None:
    stale, hidden = in_place_rounds(folder / "x.json", 2_000)

    assert stale == 0
    if "coarse" in request.node.name:
        assert hidden > 0, "the clock of this file system is too fine for this test"


def test_edit_in_place_of_a_file_past_its_racy_window_shows(anywhere: Path) -> None:
    path = anywhere / "x.json"
    for number in range(10_000, 10_010):
        write(path, number)
        leave_racy_window(path)
        assert load_data_file(path) == number


def test_edit_that_only_mtime_shows_makes_the_cache_invalid(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    write(path, 1)
    leave_racy_window(path)
    assert is_cache_valid(path)

    os.utime(path, ns=(LONG_AGO - 1, LONG_AGO - 1))

    assert not is_cache_valid(path)


@pytest.mark.parametrize("age", [0, 1, 10**9, 10**17])
def test_replacement_by_a_file_as_old_or_older_shows(folder: Path, age: int) -> None:
    path = folder / "x.json"
    write(path, 10_000)
    for number in range(10_001, 10_201):
        load_data_file(path)
        other = folder / "other.json"
        write(other, number, LONG_AGO - age)
        os.replace(other, path)
        assert load_data_file(path) == number


def test_truncated_and_rewritten_file_shows(folder: Path) -> None:
    path = folder / "x.json"
    for number in range(10_000, 10_200):
        write(path, number)
        assert load_data_file(path) == number
        os.truncate(path, 0)
        assert load_data_file(path, default="empty") == "empty"


def test_file_under_a_reused_inode_is_another_file(folder: Path) -> None:
    path = folder / "x.json"
    reused = 0
    for number in range(10_000, 10_500):
        write(path, number)
        assert load_data_file(path) == number
        cached = key(path)
        path.unlink()
        write(path, number + 1)
        reused += key(path) == cached
        assert load_data_file(path) == number + 1
        path.unlink()
    # Not all file systems give a number out again; of those that do, this has to be one.
    if folder.name != "coarse":
        require(reused, "needs a temporary folder on a file system that reuses inode numbers")


def test_file_past_its_racy_window_under_a_reused_inode_is_another_file(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    for number in range(10_000, 10_010):
        write(path, number)
        leave_racy_window(path)
        path.unlink()
        write(path, number + 1)
        assert load_data_file(path) == number + 1


def test_cached_file_is_not_held_open(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    write(path, 1)
    before = open_files()
    load_data_file(path)
    assert is_cache_valid(path)
    assert key(path) not in open_files()
    leave_racy_window(path)
    load_data_file(path, copy=False)
    assert open_files() == before


def test_file_without_a_birth_time_is_always_compared_by_its_bytes(tmp_path: Path) -> None:
    with mounted(tmp_path / "ramfs", "ramfs") as folder:
        path = folder / "x.json"
        write(path, {"a": 1})
        load_data_file(path)
        past_racy_window(path)
        for _ in range(3):
            assert counts_of_load(path)["racy_rereads"] == 1
        assert is_hit(path)


def past_racy_window(path: Path) -> None:
    """Waits as the cache does where it trusts stamps: until a write must show in them."""
    stamped = os.stat(path).st_ctime_ns
    while time.clock_gettime_ns(time.CLOCK_REALTIME) < stamped + 300_000_000:
        load_data_file(path)


CLOCK_SET_BACK = """
import ctypes, os, sys
from oasis_data import is_cache_valid, load_data_file, stats

def count(act):
    before = stats()["hits"], stats()["misses"]
    act()
    return stats()["hits"] - before[0], stats()["misses"] - before[1]

path = sys.argv[1]
load_data_file(path)
while True:
    rereads = stats()["racy_rereads"]
    load_data_file(path)
    if stats()["racy_rereads"] == rereads:
        break
assert count(lambda: load_data_file(path)) == (1, 0)
# For the children, the clock that cannot be set is ahead by an hour: the other one is then
# as far behind it as after it was set back.
if ctypes.CDLL(None, use_errno=True).unshare(0x80):
    sys.exit(f"unshare: {os.strerror(ctypes.get_errno())}")
with open("/proc/self/timens_offsets", "w") as offsets:
    offsets.write(f"monotonic {sys.argv[2]} 0")
child = os.fork()
if child:
    sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
valid = is_cache_valid(path)
again = [count(lambda: load_data_file(path)) for _ in range(3)]
print(valid, again, flush=True)
os._exit(0)
"""


@pytest.mark.parametrize(
    ("hours", "loads"),
    [
        # One more look at the file, and its stamps are trusted again.
        (1, "False [(0, 1), (1, 0), (1, 0)]"),
        # A clock set forward, and a machine that slept, hide nothing.
        (-0.001, "True [(1, 0), (1, 0), (1, 0)]"),
    ],
)
def test_document_from_before_the_clock_was_set_back_is_read_again(
    tmp_path: Path, hours: float, loads: str
) -> None:
    require(os.geteuid() == 0, "needs root, for another clock")
    require(os.path.exists("/proc/self/timens_offsets"), "needs a kernel with time namespaces")
    path = tmp_path / "x.json"
    write(path, {"a": 1})
    assert python(CLOCK_SET_BACK, path, round(hours * 3_600)).strip() == loads


def test_replaced_file_is_let_go_by_the_next_load(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    write(path, 1)
    load_data_file(path)
    cached = key(path)
    write(tmp_path / "other.json", 2)
    os.replace(tmp_path / "other.json", path)

    load_data_file(path)

    assert cached not in open_files()
    assert stats()["cache_entries"] == 1


def test_deleted_file_is_missing_and_shows_when_it_returns(folder: Path) -> None:
    path = folder / "x.json"
    aside = folder / "aside.json"
    write(path, 1)
    assert load_data_file(path) == 1

    path.rename(aside)
    assert load_data_file(path, default="gone") == "gone"
    assert stats()["cache_entries"] == 0
    aside.rename(path)
    assert load_data_file(path, default="gone") == 1

    path.unlink()
    assert not is_cache_valid(path)
    assert load_data_file(path, default="gone") == "gone"
    write(path, 2)
    assert load_data_file(path, default="gone") == 2


def test_folder_swapped_for_another_shows(folder: Path) -> None:
    folders = [folder / "a", folder / "b"]
    for number, each in enumerate(folders):
        each.mkdir()
        write(each / "x.json", number)
    path = folder / "a" / "x.json"
    for shown in range(100):
        assert load_data_file(path) == shown % 2
        folders[0].rename(folder / "c")
        folders[1].rename(folders[0])
        (folder / "c").rename(folders[1])


@pytest.mark.parametrize("linked", ["file", "folder"])
def test_retargeted_symlink_shows(folder: Path, linked: str) -> None:
    for number in range(2):
        (folder / str(number)).mkdir()
        write(folder / str(number) / "x.json", number)
    link = folder / "link"
    path = link if linked == "file" else link / "x.json"
    for number in itertools.islice(itertools.cycle(range(2)), 100):
        target = folder / str(number)
        fresh = folder / "fresh"
        fresh.symlink_to(target / "x.json" if linked == "file" else target)
        os.replace(fresh, link)
        assert load_data_file(path) == number


def test_relative_path_means_the_current_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in "ab":
        (tmp_path / name).mkdir()
        write(tmp_path / name / "x.json", name)
    for name in "abaab":
        monkeypatch.chdir(tmp_path / name)
        assert load_data_file("x.json") == name
        assert load_data_file(b"x.json") == name
    (tmp_path / "c").mkdir()
    monkeypatch.chdir(tmp_path / "c")
    assert load_data_file("x.json", default="none") == "none"
    assert not is_cache_valid("x.json")


def test_load_while_another_writes_in_place_is_not_kept(folder: Path) -> None:
    path = folder / "x.json"
    documents = [json.dumps([letter * 500_000]).encode() for letter in "ab"]
    path.write_bytes(documents[1])
    with ThreadPoolExecutor(1) as pool:
        for text in itertools.islice(itertools.cycle(documents), 100):
            edit = pool.submit(overwrite_in_pieces, path, text)
            while not edit.done():
                load_data_file(path)
            edit.result()
            assert load_data_file(path) == json.loads(text)


def overwrite_in_pieces(path: Path, text: bytes) -> None:
    with path.open("r+b", buffering=0) as file:
        for start in range(0, len(text), 100_000):
            file.write(text[start : start + 100_000])
    os.utime(path, ns=(LONG_AGO, LONG_AGO))
