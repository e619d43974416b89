"""The cache as one process sees it: coherent with the file, the caller's own objects, bounded."""

from __future__ import annotations

import errno
import itertools
import json
import logging
import os
import resource
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import suppress
from multiprocessing import get_context
from pathlib import Path
from typing import Any, TypeVar, cast

import pytest

from oasis_data import (
    CorruptFileError,
    DataFileNotFoundError,
    JSONReadError,
    clear_all_cache,
    configure,
    get_file_mtime,
    invalidate_cache,
    is_cache_valid,
    load_data_file,
    save_json_atomic,
    stats,
)
from oasis_data._paths import FilePath
from tests.conftest import mounted

T = TypeVar("T")

NOBODY = 65534
LONG_AGO = 1_000_000_000_000_000_000
"""An mtime in nanoseconds for every file of a test, so that it never tells two apart."""


def as_nobody(folder: Path, function: Callable[[], T]) -> T:
    """Calls a module's function in `folder`, in a process that has none of root's powers."""
    # The function goes along to be imported before: nobody may be kept from
    # the interpreter's files too.
    with ProcessPoolExecutor(1, get_context("spawn"), become_nobody, (folder, function)) as pool:
        return pool.submit(function).result()


def become_nobody(folder: Path, _function: object) -> None:
    # First: the folders on the way to it may be closed to others.
    os.chdir(folder)
    if os.geteuid() == 0:
        os.setgroups([])
        os.setgid(NOBODY)
        os.setuid(NOBODY)


def counts() -> Counter[str]:
    """All counters; `counts() - before` are those that grew, by how much."""
    return Counter({name: count for name, count in stats().items() if isinstance(count, int)})


def write(path: Path, document: object, mtime: int = LONG_AGO) -> None:
    """Writes as other programs do: in place, behind the library's back."""
    path.write_text(json.dumps(document))
    os.utime(path, ns=(mtime, mtime))


def settle(path: Path) -> None:
    """Waits until the file's stamps can be trusted alone, without a look at its bytes."""
    load_data_file(path)
    while (counts_of_load(path))["racy_rereads"]:
        pass


def counts_of_load(path: FilePath) -> Counter[str]:
    before = counts()
    load_data_file(path)
    return counts() - before


def is_hit(path: FilePath) -> bool:
    """Loads, and says whether the cache answered."""
    loaded = counts_of_load(path)
    assert loaded["hits"] + loaded["misses"] == 1
    return bool(loaded["hits"])


def open_files() -> set[tuple[int, int]]:
    """Device and inode of every file that this process holds open."""
    found = set()
    for descriptor in os.listdir("/proc/self/fd"):
        # The one of the listing itself is closed again.
        with suppress(FileNotFoundError):
            stat = os.stat(f"/proc/self/fd/{descriptor}")
            found.add((stat.st_dev, stat.st_ino))
    return found


def key(path: Path) -> tuple[int, int]:
    stat = os.stat(path)
    return stat.st_dev, stat.st_ino


# Hits and misses


def test_first_load_misses_and_later_ones_hit(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
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


def test_hit_on_a_settled_file_reads_no_bytes(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    write(path, {"a": [1, 2, 3]})
    settle(path)

    assert counts_of_load(path) == {"hits": 1}


def test_file_that_was_just_written_is_compared_by_its_bytes(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    for number in range(20):
        write(path, number)
        load_data_file(path)
        if counts_of_load(path)["racy_rereads"]:
            return
    pytest.fail("twenty files were trusted by their stamps within the tick that stamped them")


def test_failed_load_counts_no_hit_and_no_entry(tmp_path: Path) -> None:
    before = counts()

    load_data_file(tmp_path / "missing.json")

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


def test_edit_in_place_of_a_settled_file_shows(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    for number in range(10_000, 10_010):
        write(path, number)
        settle(path)
        assert load_data_file(path) == number


def test_edit_that_only_mtime_shows_makes_the_cache_invalid(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    write(path, 1)
    settle(path)
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
    for number in range(10_000, 10_500):
        write(path, number)
        assert load_data_file(path) == number
        cached = key(path)
        path.unlink()
        write(path, number + 1)
        # What makes the line after it true whatever the stamps say.
        assert key(path) != cached
        assert load_data_file(path) == number + 1
        path.unlink()


def test_cached_file_is_held_open_and_let_go_with_its_entry(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    leaving: list[Callable[[], object]] = [
        lambda: invalidate_cache(path),
        clear_all_cache,
        lambda: save_json_atomic(path, 2),
        lambda: configure(cache_entries=0),
    ]
    for leave in leaving:
        write(path, 1)
        load_data_file(path)
        cached = key(path)
        assert cached in open_files()
        leave()
        assert cached not in open_files()


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


# One document under every spelling


class BytesPath:
    """A path-like object of another kind than pathlib's."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __fspath__(self) -> bytes:
        return os.fsencode(self.path)


@pytest.fixture
def document(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file with many spellings, in the folder `data` of the current folder."""
    path = tmp_path / "data" / "x.json"
    path.parent.mkdir()
    write(path, 1)
    (tmp_path / "folder_link").symlink_to("data")
    (tmp_path / "file_link").symlink_to("data/x.json")
    monkeypatch.chdir(tmp_path)
    return path


SPELLINGS: dict[str, Callable[[Path], FilePath]] = {
    "text": str,
    "bytes": os.fsencode,
    "path": lambda path: path,
    "bytes_path": BytesPath,
    "relative": lambda path: "data/x.json",
    "relative_bytes": lambda path: b"data/x.json",
    "up_and_down": lambda path: "data/../data/x.json",
    "absolute_up_and_down": lambda path: f"{path.parent}/../data/x.json",
    "dots_and_slashes": lambda path: ".//data/.//x.json",
    "folder_link": lambda path: "folder_link/x.json",
    "file_link": lambda path: Path("file_link"),
}


@pytest.mark.parametrize("spell", SPELLINGS.values(), ids=SPELLINGS.keys())
def test_every_spelling_is_the_same_document(
    document: Path, spell: Callable[[Path], FilePath]
) -> None:
    spelling = spell(document)
    for one, other in ((document, spelling), (spelling, document)):
        clear_all_cache()
        assert not is_hit(one)
        assert is_cache_valid(other)
        assert is_hit(other)
        assert load_data_file(one, copy=False) is load_data_file(other, copy=False)
        assert stats()["cache_entries"] == 1

        invalidate_cache(other)
        assert not is_cache_valid(one)
        assert stats()["cache_entries"] == 0


@pytest.mark.parametrize("spell", SPELLINGS.values(), ids=SPELLINGS.keys())
def test_save_under_one_spelling_shows_under_the_other(
    document: Path, spell: Callable[[Path], FilePath]
) -> None:
    spelling = spell(document)
    for number in range(10):
        one, other = (document, spelling) if number % 2 else (spelling, document)
        load_data_file(one)
        load_data_file(other)
        save_json_atomic(one, number)
        assert load_data_file(other) == number
        assert load_data_file(one) == number
        assert stats()["cache_entries"] == 1


def test_second_name_of_a_file_follows_edits_and_parts_with_a_save(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    second = tmp_path / "second.json"
    write(path, 1)
    os.link(path, second)
    assert load_data_file(path) == load_data_file(second) == 1
    assert stats()["cache_entries"] == 1

    write(second, 2)
    assert load_data_file(path) == load_data_file(second) == 2

    save_json_atomic(path, 3)
    assert load_data_file(path) == 3
    assert load_data_file(second) == 2

    save_json_atomic(second, 4)
    assert load_data_file(path) == 3
    assert load_data_file(second) == 4


# Threads


class Saver:
    """Saves numbered documents, and keeps what a reader's judgement needs."""

    def __init__(self, path: Path, name: str, saves: int) -> None:
        self.path = path
        self.name = name
        self.saves = saves
        self.finished = 0
        """The last save that returned."""
        self.preceded: dict[int, dict[str, int]] = {}
        """By save: what had been finished by everybody when it began."""

    def run(self, savers: dict[str, Saver]) -> None:
        for number in range(1, self.saves + 1):
            self.preceded[number] = finished(savers)
            document = {"saver": self.name, "number": number, "filler": [number] * 100}
            save_json_atomic(self.path, document, timeout=60)
            self.finished = number


def finished(savers: dict[str, Saver]) -> dict[str, int]:
    return {name: saver.finished for name, saver in savers.items()}


def test_each_load_shows_a_version_no_older_than_the_last_save_before_it(tmp_path: Path) -> None:
    configure(durability="process")
    path = tmp_path / "x.json"
    save_json_atomic(path, {"saver": "a", "number": 0, "filler": [0] * 100})
    savers = {name: Saver(path, name, 250) for name in "ab"}
    done = threading.Event()

    def judge() -> int:
        loads = 0
        while not done.is_set():
            before = finished(savers)
            shown = load_data_file(path, strict=True)
            loads += 1
            saver, number = shown["saver"], shown["number"]
            assert shown["filler"] == [number] * 100, "torn or mixed"
            assert number >= before[saver], "older than a save of the same saver"
            for other, last in before.items():
                # A save that had ended before that one even began.
                overtaken = savers[other].preceded[last][saver] if last else -1
                assert other == saver or number > overtaken, "older than a save that followed it"
        return loads

    with ThreadPoolExecutor(10) as pool:
        judges = [pool.submit(judge) for _ in range(8)]
        try:
            for saving in [pool.submit(saver.run, savers) for saver in savers.values()]:
                saving.result()
        finally:
            done.set()
        assert all(judging.result() > 0 for judging in judges)

    last = load_data_file(path)
    assert last["number"] == 250
    assert last == json.loads(path.read_text())


def test_threads_that_load_one_file_share_one_entry(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    write(path, {"a": [1]})
    barrier = threading.Barrier(8)

    def load() -> list[Any]:
        barrier.wait()
        return [load_data_file(path) for _ in range(200)]

    with ThreadPoolExecutor(8) as pool:
        loading = [pool.submit(load) for _ in range(8)]
        loaded = [document for each in loading for document in each.result()]

    assert all(document == {"a": [1]} for document in loaded)
    assert len({id(document) for document in loaded}) == len(loaded)
    assert stats()["cache_entries"] == 1


# What a load returned is the caller's


def nested() -> dict[str, Any]:
    return {
        "list": [1, [2, [3, {"deep": [{"deeper": {"deepest": []}}]}]], {}],
        "dict": {"a": {"b": {"c": [[[]]]}}},
        "empty": {},
        "text": "x",
        "": None,
    }


def ruin(value: Any) -> None:
    """Changes every list and dictionary in `value`, the innermost first."""
    if isinstance(value, dict):
        for child in value.values():
            ruin(child)
        value.clear()
        value["ruined"] = True
    elif isinstance(value, list):
        for child in value:
            ruin(child)
        value[:] = ["ruined"]


def test_change_of_a_loaded_document_never_shows_in_another_load(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    write(path, nested())
    for state in ("fresh", "settled"):
        if state == "settled":
            settle(path)
        for hit in (False, True, True):
            if not hit:
                invalidate_cache(path)
            assert is_cache_valid(path) is hit
            loaded = load_data_file(path)
            kept = load_data_file(path)
            assert loaded == kept == nested()
            ruin(loaded)
            assert kept == nested()
            assert load_data_file(path, copy=False) == nested()


def test_change_of_a_saved_object_never_shows_in_a_load(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    data = nested()
    save_json_atomic(path, data)
    ruin(data)

    loaded = load_data_file(path)
    ruin(loaded)

    assert load_data_file(path) == nested()


def test_deeply_nested_document_is_copied_to_the_bottom(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    depth = 400
    path.write_text("[" * depth + "]" * depth)
    first, second = load_data_file(path), load_data_file(path)
    shared = 0
    while first:
        shared += first is second
        first, second = first[0], second[0]

    assert shared + (first is second) == 0


def test_load_without_copy_lends_the_cached_object(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    write(path, nested())
    lent = load_data_file(path, copy=False)
    assert load_data_file(path, copy=False) is lent
    assert load_data_file(path) is not lent
    settle(path)
    assert load_data_file(path, copy=False) is lent

    write(path, {"new": []})
    assert load_data_file(path, copy=False) == {"new": []}
    assert lent == nested(), "a document that is lent outlives its entry unchanged"


# Defaults and failures


def test_default_is_never_shared(tmp_path: Path) -> None:
    missing = tmp_path / "missing.json"
    corrupt = tmp_path / "corrupt.json"
    corrupt.write_text("{")
    for path in (missing, corrupt):
        ruin(load_data_file(path))
        assert load_data_file(path) == {}

        default = [{"a": [1]}]
        answer = load_data_file(path, default=default)
        assert answer == default
        ruin(answer)
        assert default == [{"a": [1]}]
        assert load_data_file(path, default=default) == [{"a": [1]}]


@pytest.mark.parametrize("default", [None, [], 0, False, "", "text", {"a": 1}])
def test_default_may_be_any_value(tmp_path: Path, default: object) -> None:
    answer = load_data_file(tmp_path / "missing.json", default=default)

    assert answer == default
    assert type(answer) is type(default)


@pytest.mark.parametrize(
    ("content", "error"),
    [
        (None, DataFileNotFoundError),
        (b"", CorruptFileError),
        (b"{", CorruptFileError),
        (b'{"a": 1}}', CorruptFileError),
        (b"\xff", CorruptFileError),
    ],
)
@pytest.mark.parametrize("relative", [False, True])
def test_missing_or_corrupt_file_gives_the_default_and_one_warning(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    content: bytes | None,
    error: type[JSONReadError],
    relative: bool,
) -> None:
    monkeypatch.chdir(tmp_path)
    whole = tmp_path / "x.json"
    path = Path("x.json") if relative else whole
    if content is not None:
        whole.write_bytes(content)

    for load in range(1, 3):
        assert load_data_file(path, default="default") == "default"
        assert len(caplog.records) == load
    for record in caplog.records:
        assert (record.name, record.levelno) == ("DataOperations", logging.WARNING)
        assert str(whole) in record.getMessage()

    caplog.clear()
    with pytest.raises(error):
        load_data_file(path, default="default", strict=True)
    assert caplog.records == []


def test_default_is_given_in_a_folder_that_was_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "removed"
    folder.mkdir()
    monkeypatch.chdir(folder)
    folder.rmdir()

    assert load_data_file("x.json", default="default") == "default"


def test_file_that_cannot_be_read_is_never_taken_for_a_missing_one(tmp_path: Path) -> None:
    with pytest.raises(JSONReadError) as caught:
        load_data_file(tmp_path, default="default")

    assert cast("OSError", caught.value).errno == errno.EISDIR


def test_failure_is_never_cached(folder: Path) -> None:
    path = folder / "x.json"
    for number in range(10_000, 10_200):
        path.unlink(missing_ok=True)
        assert load_data_file(path, default="default") == "default"
        path.write_text("{0000")
        os.utime(path, ns=(LONG_AGO, LONG_AGO))
        assert load_data_file(path, default="default") == "default"
        write(path, number)
        assert load_data_file(path, default="default") == number


@pytest.mark.parametrize("spell", SPELLINGS.values(), ids=SPELLINGS.keys())
def test_failed_load_lets_the_old_document_go(
    document: Path, spell: Callable[[Path], FilePath]
) -> None:
    load_data_file(document)
    assert stats()["cache_entries"] == 1
    document.write_text("{")

    load_data_file(spell(document))

    assert stats()["cache_entries"] == 0
    assert not is_cache_valid(document)


@pytest.mark.parametrize("value", [None, True, False, 0, 1.5, "", "text", [], [1], {}])
def test_any_value_at_the_top_is_a_document(tmp_path: Path, value: object) -> None:
    path = tmp_path / "x.json"
    write(path, value)

    for hit in (False, True, True):
        assert is_cache_valid(path) is hit
        loaded = load_data_file(path, default="default", strict=True)
        assert loaded == value
        assert type(loaded) is type(value)


# Bounds


@pytest.fixture
def settled_files(tmp_path: Path) -> list[Path]:
    """Six files of a thousand bytes each, which load as settled at once."""
    paths = [tmp_path / f"{number}.json" for number in range(6)]
    for number, path in enumerate(paths):
        write(path, str(number) * 998)
    for path in paths:
        settle(path)
    clear_all_cache()
    return paths


def held(paths: list[Path]) -> list[int]:
    """Which of the files are cached. Uses them: not to be asked before an eviction."""
    return [number for number, path in enumerate(paths) if is_cache_valid(path)]


def test_least_recently_used_document_goes_first(settled_files: list[Path]) -> None:
    configure(cache_entries=3)
    before = counts()
    for number in (0, 1, 2, 0, 3, 4):
        load_data_file(settled_files[number])

    # 3 put out 1, not 0, which had been used again; 4 put out 2.
    assert held(settled_files) == [0, 3, 4]
    gained = counts() - before
    assert gained["evictions"] == 2
    assert gained["hits"] == 1
    assert gained["misses"] == 5
    assert stats()["cache_entries"] == 3


def test_bytes_of_text_are_bounded(settled_files: list[Path]) -> None:
    configure(cache_bytes=3_500)
    before = counts()
    for path in settled_files:
        load_data_file(path)
        assert stats()["cache_bytes"] <= 3_500

    assert held(settled_files) == [3, 4, 5]
    assert stats()["cache_bytes"] == 3_000
    assert (counts() - before)["evictions"] == 3


def test_lower_limits_hold_at_once(settled_files: list[Path]) -> None:
    for path in settled_files:
        load_data_file(path)
    assert stats()["cache_bytes"] == 6_000

    configure(cache_entries=5)
    assert stats()["cache_entries"] == 5
    configure(cache_bytes=2_000)
    assert stats()["cache_entries"] == 2
    assert held(settled_files) == [4, 5]


def test_document_over_the_limit_is_loaded_but_not_kept(settled_files: list[Path]) -> None:
    configure(cache_bytes=1_500)
    load_data_file(settled_files[0])
    large = settled_files[5].with_name("large.json")
    write(large, "x" * 2_000)

    for _ in range(3):
        assert load_data_file(large) == "x" * 2_000
        assert not is_cache_valid(large)

    # And what was there is not thrown out for it.
    assert held(settled_files) == [0]


@pytest.mark.parametrize("limit", ["entries", "bytes"])
def test_cache_of_no_size_keeps_nothing_and_loads_all(tmp_path: Path, limit: str) -> None:
    path = tmp_path / "x.json"
    if limit == "entries":
        configure(cache_entries=0)
    else:
        configure(cache_bytes=0)
    for number in range(20):
        save_json_atomic(path, [number])
        assert load_data_file(path) == [number]
        assert load_data_file(path, copy=False) == [number]
        assert not is_cache_valid(path)
        assert key(path) not in open_files()
    assert stats()["cache_entries"] == stats()["cache_bytes"] == 0


def test_sizes_return_to_nothing(settled_files: list[Path]) -> None:
    for path in settled_files:
        load_data_file(path)
        write(path, "fresh")
        load_data_file(path)
    for path in settled_files[:3]:
        invalidate_cache(path)
    assert stats()["cache_entries"] == 3
    settled_files[3].unlink()
    load_data_file(settled_files[3])
    clear_all_cache()

    assert stats()["cache_entries"] == stats()["cache_bytes"] == 0


def test_cache_gives_its_descriptors_back_when_they_run_out(tmp_path: Path) -> None:
    configure(durability="process")
    paths = [tmp_path / f"{number}.json" for number in range(100)]
    for path in paths:
        write(path, path.name)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (len(os.listdir("/proc/self/fd")) + 20, hard))
    try:
        for path in paths:
            assert load_data_file(path) == path.name
        for path in paths:
            load_data_file(path)
            save_json_atomic(path, "saved")
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert [json.loads(path.read_text()) for path in paths] == ["saved"] * 100


# The guide's functions


def test_clear_all_cache_lets_everything_go(settled_files: list[Path]) -> None:
    for path in settled_files:
        load_data_file(path)
    assert stats()["cache_entries"] == 6

    clear_all_cache()

    assert stats()["cache_entries"] == 0
    assert held(settled_files) == []
    assert not is_hit(settled_files[0])


def test_invalidate_cache_lets_one_document_go(settled_files: list[Path]) -> None:
    for path in settled_files:
        load_data_file(path)

    invalidate_cache(settled_files[2])

    assert held(settled_files) == [0, 1, 3, 4, 5]


def test_invalidate_cache_lets_the_document_of_a_deleted_file_go(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    write(path, 1)
    load_data_file(path)
    path.unlink()

    invalidate_cache(path)

    assert stats()["cache_entries"] == 0


@pytest.mark.parametrize("path", ["", "missing.json", "missing/x.json", b"\xff", "a\0b", "/", "."])
def test_unknown_path_is_not_cached_and_can_be_invalidated(path: FilePath) -> None:
    assert is_cache_valid(path) is False
    invalidate_cache(path)
    assert is_cache_valid(path) is False


def test_is_cache_valid_follows_the_file(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    write(path, 1)
    assert is_cache_valid(path) is False
    load_data_file(path)
    assert is_cache_valid(path) is True
    write(path, 2)
    assert is_cache_valid(path) is False
    load_data_file(path)
    save_json_atomic(path, 3)
    assert is_cache_valid(path) is False


def test_get_file_mtime_is_that_of_the_file(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    write(path, 1, 1_500_000_000_250_000_000)
    (tmp_path / "link").symlink_to(path)

    assert get_file_mtime(path) == 1_500_000_000.25
    assert get_file_mtime(str(path)) == get_file_mtime(os.fsencode(path)) == 1_500_000_000.25
    assert get_file_mtime(tmp_path / "link") == 1_500_000_000.25


@pytest.mark.parametrize("path", ["", "missing.json", b"missing.json", "a\0b", b"a\0b"])
def test_get_file_mtime_of_no_file_is_zero(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: FilePath
) -> None:
    monkeypatch.chdir(tmp_path)

    mtime = get_file_mtime(path)

    assert mtime == 0.0
    assert type(mtime) is float


# Without permission to write


def load_here() -> tuple[int, list[object], bool]:
    loaded = [load_data_file("x.json", strict=True) for _ in range(3)]
    return os.geteuid(), loaded, is_cache_valid("x.json")


def everything_in(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def test_load_needs_no_permission_to_write_and_leaves_nothing_behind(tmp_path: Path) -> None:
    folder = tmp_path / "closed"
    folder.mkdir()
    write(folder / "x.json", {"a": 1})
    (folder / "x.json").chmod(0o444)
    folder.chmod(0o555)
    try:
        user, loaded, valid = as_nobody(folder, load_here)
    finally:
        folder.chmod(0o755)

    assert user != 0
    assert loaded == [{"a": 1}] * 3
    assert valid
    assert everything_in(folder) == ["x.json"]


def test_load_from_a_read_only_file_system(tmp_path: Path) -> None:
    with mounted(tmp_path / "mount", "tmpfs") as folder:
        write(folder / "x.json", {"a": 1})
        subprocess.run(["mount", "-o", "remount,ro", folder], check=True)

        assert [is_hit(folder / "x.json") for _ in range(3)] == [False, True, True]
        assert load_data_file(folder / "x.json", strict=True) == {"a": 1}
        assert load_data_file(folder / "missing.json") == {}
        assert everything_in(folder) == ["x.json"]
        clear_all_cache()


def test_load_writes_nothing_into_the_folder(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    write(path, 1)
    stamp = os.stat(tmp_path).st_mtime_ns

    for _ in range(3):
        load_data_file(path)
        invalidate_cache(path)

    assert os.stat(tmp_path).st_mtime_ns == stamp
    assert everything_in(tmp_path) == ["x.json"]


def test_cleared_cache_keeps_no_reference_to_a_lent_document(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    write(path, nested())
    lent = load_data_file(path, copy=False)
    cached = sys.getrefcount(lent)

    clear_all_cache()

    assert sys.getrefcount(lent) == cached - 1
