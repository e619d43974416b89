"""Whatever is handed in, the process lives, the error is typed and the file is as it was."""

from __future__ import annotations

import collections
import json
import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from oasis_data import (
    CorruptFileError,
    DataFileNotFoundError,
    DataOperationError,
    FolderNotFoundError,
    JSONReadError,
    JSONWriteError,
    StorageReadError,
    StorageWriteError,
    UnserializableError,
    configure,
    delete_json_atomic,
    invalidate_cache,
    is_cache_valid,
    load_data_file,
    load_with_version,
    save_json_atomic,
)
from tests.conftest import measures_memory, python, require, temporaries, visible
from tests.strategies import NOT_FINITE, exact, nested

OLD = b'{"old": true}\n'


@pytest.fixture
def path(tmp_path: Path) -> Iterator[Path]:
    """A data file. Checked after the test: no failed save has touched anything."""
    file = tmp_path / "data" / "tanks.json"
    file.parent.mkdir()
    file.write_bytes(OLD)
    yield file
    assert temporaries(file.parent) == []


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


# Too deep

BOMBS = {
    "lists": ("[", "]"),
    "lists unclosed": ("[", ""),
    "objects": ('{"a":', "}"),
    "objects unclosed": ('{"a":', ""),
    "both": ('[{"a":', "}]"),
    "both unclosed": ('[{"a":', ""),
    "lists with neighbours": ("[1,", ",2]"),
    "lists on lines of their own": ("[\n", ""),
}


@pytest.mark.parametrize("name", BOMBS)
def test_a_file_nested_five_million_deep_is_corrupt(path: Path, name: str) -> None:
    opening, closing = BOMBS[name]
    code = """
opening, closing, depth = sys.argv[2], sys.argv[3], 5_000_000
path.write_text(opening * depth + "0" + closing * depth)
print(outcome(lambda: load_data_file(path, strict=True)))
print(outcome(lambda: load_with_version(path)))
print(load_data_file(path), load_data_file(path, default=None))
save_json_atomic(path, {"mended": True}, backup=False)
print(load_data_file(path))
"""
    corrupt = "CorruptFileError from RecursionError"
    printed = alone(code, path.parent, opening, closing)
    assert printed == [corrupt, corrupt, "{} None", "{'mended': True}"]


def test_the_depth_of_a_bomb_is_told(path: Path) -> None:
    path.write_text('{"a": [[]],\n"b": ' + "[" * 100_000 + "1" + "]" * 100_000 + "}")
    with pytest.raises(CorruptFileError) as caught:
        load_data_file(path, strict=True)
    error = caught.value
    assert "100001" in str(error)
    assert error.lineno == 2
    assert error.colno == 5 + 100_000
    assert error.pos == 12 + 5 + 100_000 - 1
    assert len(str(error)) < 300


@pytest.mark.parametrize("kind", ["list", "dict", "tuple", "mixed"])
def test_a_document_nested_a_hundred_thousand_deep_is_refused(path: Path, kind: str) -> None:
    code = """
sys.path.insert(0, sys.argv[2])
from tests.strategies import nested
for leaf in (None, object()):
    value = nested(100_000, sys.argv[3], leaf)
    for options in ({}, {"indent": None}, {"sort_keys": True}, {"ensure_ascii": True},
                    {"default": str}, {"default": lambda value: [value]}):
        print(outcome(lambda: save_json_atomic(path, value, **options)))
        print(outcome(lambda: save_json_atomic(path, {"a": [1, value]}, **options)))
        assert_untouched()
print(outcome(lambda: save_json_atomic(path, [object(), value])))
assert_untouched()
"""
    root = Path(__file__).parents[1]
    printed = alone(code, path.parent, root, kind)
    assert printed[-1] == "UnserializableError from TypeError"
    assert printed[:-1] == ["UnserializableError from RecursionError"] * 24
    assert_untouched(path)


# Cycles


class Box(list[Any]):
    pass


def cycles() -> dict[str, Any]:
    of_list: list[Any] = [1]
    of_list.append(of_list)
    of_dict: dict[str, Any] = {"a": 1}
    of_dict["me"] = of_dict
    of_both: dict[str, Any] = {"a": [{"b": ()}]}
    of_both["a"][0]["c"] = of_both["a"]
    of_tuple: list[Any] = []
    of_tuple.append((1, (of_tuple,)))
    many: list[Any] = []
    many.extend([many] * 1000)
    one: list[Any] = []
    other: list[Any] = [one]
    one.append(other)
    of_subclass = Box()
    of_subclass.append(of_subclass)
    of_ordered: Any = collections.OrderedDict()
    of_ordered["me"] = [of_ordered]
    loop: list[Any] = []
    loop.append(nested(150, "mixed", loop))
    long_loop: list[Any] = []
    long_loop.append(nested(250, "mixed", long_loop))
    return {
        "a list in itself": of_list,
        "a dict in itself": of_dict,
        "a dict in a list in itself": of_both,
        "a list in a tuple in itself": of_tuple,
        "a list in itself a thousand times": many,
        "two lists in each other": one,
        "a list of its own in itself": of_subclass,
        "an ordered dict in itself": of_ordered,
        "a long loop": loop,
        "a loop longer than the native encoder's limit": long_loop,
        "deep down": nested(100, "list", of_dict),
        "deeper than the native encoder's limit": nested(250, "dict", many),
        "a dict of which every value is itself": {str(n): many for n in range(1000)},
    }


@pytest.mark.parametrize("options", [{}, {"indent": None, "sort_keys": True}, {"default": str}])
@pytest.mark.parametrize("name", cycles())
def test_a_cycle_is_refused_as_by_json(path: Path, name: str, options: dict[str, Any]) -> None:
    value = cycles()[name]
    with pytest.raises(ValueError, match="Circular reference"):
        json.dumps(value, **options)
    with pytest.raises(UnserializableError) as caught:
        save_json_atomic(path, value, **options)
    error = caught.value
    assert type(error.original_error) is ValueError
    assert error.place.startswith("$")
    assert len(str(error)) < 500
    assert_untouched(path)


# Too large

MEMORY = """
import json
megabyte = 1 << 20
size = int(sys.argv[2]) * megabyte

def used():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[0]) * resource.getpagesize()

# No limit may keep the stack from growing, which ends any process. Once grown
# it stays so.
try:
    json.loads("[" * 100_000)
except RecursionError:
    pass

def under_every_limit(act, *expected):
    # From almost nothing to enough, so that each large allocation on the way
    # is the first to fail.
    before = used()
    for step in range(64):
        limit = before + 2 * megabyte + step * size // 2
        resource.setrlimit(resource.RLIMIT_AS, (limit, resource.RLIM_INFINITY))
        result = outcome(act)
        resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY,) * 2)
        clear_all_cache()
        print(result)
        yield result
        if result in expected:
            return
    raise AssertionError(f"never enough memory for {expected}")
"""
SIZE = 8

HUGE_FILES = {
    "a string": (b'["', b"x", b'"]', "loaded"),
    "a name": (b'{"', b"x", b'":1}', "loaded"),
    "a string of other letters": ('["\u00e9'.encode(), "\u00e9".encode(), b'"]', "loaded"),
    "a string of wide letters": ('["\U0001f600'.encode(), b"x", b'"]', "loaded"),
    "a string of escapes": (b'["', b"\\n", b'"]', "loaded"),
    "an integer": (b"[", b"1", b"]", "CorruptFileError from ValueError"),
    "a fraction": (b"[0.", b"1", b"]", "loaded"),
    "blanks": (b"[1", b" ", b"]", "loaded"),
    "lines": (b"[1", b"\n", b"]", "loaded"),
    "many values": (b"[0", b",1234567890", b"]", "loaded"),
    "zeros": (b"", b"\0", b"", "CorruptFileError from JSONDecodeError"),
    "cut": (b'["', b"x", b"", "CorruptFileError from JSONDecodeError"),
    "not UTF-8 at its end": (b'["', b"x", b'\xff"]', "CorruptFileError from UnicodeDecodeError"),
    "not UTF-8 after lines": (b"[", b"\n", b"\xff]", "CorruptFileError from UnicodeDecodeError"),
    "UTF-16": ('["'.encode("utf-16"), b"x\0", '"]'.encode("utf-16-le"), "loaded"),
    "UTF-16 that is cut": ('["'.encode("utf-16"), b"\xe9\0", b'"', "CorruptFileError from"),
    "a bomb in UTF-16": ("[".encode("utf-16"), b"[\0", b"", "CorruptFileError from RecursionError"),
    "a bomb": (b"[", b"[", b"", "CorruptFileError from RecursionError"),
    "a bomb of odd bytes": ("[\u00e9".encode("utf-16"), b"[\0", b"", "CorruptFileError from"),
}


@measures_memory
@pytest.mark.parametrize("name", HUGE_FILES)
def test_a_file_too_large_for_the_memory_gives_a_typed_error(tmp_path: Path, name: str) -> None:
    head, middle, tail, expected = HUGE_FILES[name]
    path = tmp_path / "tanks.json"
    count = SIZE * 2**20 // len(middle)
    path.write_bytes(head + middle * count + tail)
    code = """
def load():
    load_data_file(path, strict=True)
    return "loaded"

expected = sys.argv[3]
for result in under_every_limit(load, expected):
    assert result == expected or result.startswith(("JSONReadError", "StorageReadError")), result
print(outcome(load))
"""
    if expected.endswith("from"):
        try:
            json.loads(path.read_bytes())
        except Exception as error:
            expected = f"{expected} {type(error).__name__}"
    printed = alone(MEMORY + code, tmp_path, SIZE, expected)
    # The first limit leaves no room for the file's bytes.
    assert printed[0] == "StorageReadError from NoneType"
    assert printed[-1] == printed[-2] == expected


# Each with its options, and what comes of it where there is memory enough.
HUGE_DOCUMENTS = {
    "a string": ("['x' * size]", "{}", "True"),
    "a string alone": ("'x' * size", "{'indent': None}", "True"),
    "a string of other letters": ("['\\xe9' * size]", "{}", "True"),
    "a string of wide letters": ("['\\U0001f600' * (size // 4)]", "{}", "True"),
    "a string to escape": ("['\\0' * (size // 4)]", "{}", "True"),
    "a string in ASCII": ("['\\xe9' * (size // 4)]", "{'ensure_ascii': True}", "True"),
    "a name": ("{'x' * size: 1}", "{}", "True"),
    "a name among sorted ones": ("{'x' * size: 1, 'a': 2}", "{'sort_keys': True}", "True"),
    "many values": ("[1] * (size // 8)", "{}", "True"),
    "many names": ("{str(n): 0 for n in range(size // 64)}", "{'sort_keys': True}", "True"),
    "much from default": ("[{1}] * 1000", "{'default': lambda _: 'x' * (size // 999)}", "True"),
    "a bad string": ("['x' * size + '\\ud800']", "{}", "UnserializableError"),
    "a bad name": ("{'x' * size + '\\ud800': 1}", "{}", "UnserializableError"),
    "a bad key": ("{(0, 'x' * size): 1}", "{}", "UnserializableError"),
    "a name over a bad value": ("{'x' * size: [{}, {1}]}", "{}", "UnserializableError"),
    "a wide name over NaN": ("{'\\u2028' * size: [1e999]}", "{}", "UnserializableError"),
}


@measures_memory
@pytest.mark.parametrize("name", HUGE_DOCUMENTS)
def test_a_document_too_large_for_the_memory_gives_a_typed_error(path: Path, name: str) -> None:
    value, options, expected = HUGE_DOCUMENTS[name]
    code = f"""
value, options = {value}, {options}

def save():
    saved = save_json_atomic(path, value, backup=False, **options)
    return str(saved)

expected = ("True", "UnserializableError from TypeError", "UnserializableError from ValueError",
            "UnserializableError from UnicodeEncodeError")
for result in under_every_limit(save, *expected):
    if result != "True":
        assert result in expected or result.startswith("JSONWriteError from MemoryError"), result
        assert_untouched()
    else:
        assert not os.listdir(folder / ".oasis_data" / "temp")
"""
    printed = alone(MEMORY + code, path.parent, SIZE)
    # Why a key is bad takes no memory to say, only which one it is.
    assert name == "a bad key" or printed[0] == "JSONWriteError from MemoryError"
    assert printed[-1].split()[0] == expected


@measures_memory
def test_a_sparse_file_larger_than_any_memory_is_not_read(path: Path) -> None:
    code = """
with open(path, "wb") as file:
    file.truncate(1 << 40)
resource.setrlimit(resource.RLIMIT_AS, (4 << 30, 4 << 30))
print(outcome(lambda: load_data_file(path, strict=True)))
print(outcome(lambda: load_data_file(path)))
print(outcome(lambda: load_with_version(path)))
print(outcome(lambda: save_json_atomic(path, {}, if_version="x")))
print(save_json_atomic(path, {}, backup=False))
"""
    printed = alone(code, path.parent)
    assert printed == [*["StorageReadError from NoneType"] * 3, printed[3], "True"]
    assert printed[3].startswith("StorageWriteError")


# Not UTF-8, not finite


@pytest.mark.parametrize(
    ("data", "pos", "lineno", "colno"),
    [
        (b"\xff", 0, 1, 1),
        (b'{"name": "Caf\xe9"}', 13, 1, 14),
        (b'{"a": 1,\n "b": "\xc3("}', 16, 2, 8),
        ('{"漢": "'.encode() + b'\x80"}', 7, 1, 8),
        (b'["\xf0\x9f\x98"]', 2, 1, 3),
        # Counted as `json` counts, for which the mark is no part of the text.
        (b'\xef\xbb\xbf{"a": "\xff"}', 7, 1, 8),
        (b'\xef\xbb\xbf[1,\n "\xc3\xa9\xc3"]', 7, 2, 4),
    ],
)
def test_a_file_that_is_not_utf8_is_corrupt_at_its_first_such_byte(
    path: Path, data: bytes, pos: int, lineno: int, colno: int
) -> None:
    path.write_bytes(data)
    with pytest.raises(CorruptFileError) as caught:
        load_data_file(path, strict=True)
    error = caught.value
    assert isinstance(error.original_error, UnicodeDecodeError)
    assert (error.pos, error.lineno, error.colno) == (pos, lineno, colno)
    assert "utf-8" in str(error)
    assert load_data_file(path, default=["spare"]) == ["spare"]
    assert path.read_bytes() == data


@pytest.mark.parametrize("mark", ["", "\ufeff"], ids=["without mark", "with mark"])
@pytest.mark.parametrize(
    ("text", "pos", "lineno", "colno"),
    [
        ("[1 2]", 3, 1, 4),
        ('["é",\n é]', 7, 2, 2),
        ("é" + "[" * 2000, 0, 1, 1),
        ('{"é":\n ' + "[" * 50_000, 7 + 49_999, 2, 2 + 49_999),
        ('["é", 12,\n' + "7" * 50_000, 10, 2, 1),
    ],
    ids=["no comma", "letter", "letter before depth", "depth", "digits"],
)
def test_a_mark_before_the_text_is_not_counted(
    path: Path, mark: str, text: str, pos: int, lineno: int, colno: int
) -> None:
    path.write_text(mark + text, encoding="utf-8")
    with pytest.raises(CorruptFileError) as caught:
        load_data_file(path, strict=True)
    error = caught.value
    assert (error.pos, error.lineno, error.colno) == (pos, lineno, colno)


@pytest.mark.parametrize("number", NOT_FINITE, ids=str)
def test_what_is_not_finite_is_written_only_if_allowed(path: Path, number: float) -> None:
    value = {"cost": [1.5, number]}
    with pytest.raises(UnserializableError) as caught:
        save_json_atomic(path, value)
    assert caught.value.place == "$.cost[1]"
    assert_untouched(path)
    save_json_atomic(path, value, allow_nan=True)
    assert exact(load_data_file(path, strict=True)) == exact(value)


# Paths


class Odd:
    """What a path is not."""


class OddPath(os.PathLike[str]):
    def __init__(self, spelt: Any) -> None:
        self.spelt = spelt

    def __fspath__(self) -> str:
        if isinstance(self.spelt, Exception):
            raise self.spelt
        spelt: str = self.spelt
        return spelt


USES: dict[str, Callable[[Any], object]] = {
    "save": lambda path: save_json_atomic(path, {}),
    "load": lambda path: load_data_file(path, strict=True),
    "load or default": lambda path: load_data_file(path, default=None),
    "load with version": load_with_version,
    "delete": delete_json_atomic,
    "invalidate": invalidate_cache,
    "ask": is_cache_valid,
}


@pytest.mark.parametrize("use", USES)
@pytest.mark.parametrize(
    "no_path",
    [
        *(None, 0, 3, True, 1.5, [], ["a.json"], {}, Odd(), str, bytearray(b"a"), memoryview(b"a")),
        *(OddPath(3), OddPath(None)),
    ],
    ids=lambda no_path: type(no_path).__name__,
)
def test_what_is_no_path_is_a_type_error(use: str, no_path: Any) -> None:
    with pytest.raises(TypeError):
        USES[use](no_path)


@pytest.mark.parametrize("use", USES)
def test_what_a_path_raises_about_itself_is_passed_on(use: str) -> None:
    error = LookupError("mine")
    with pytest.raises(LookupError) as caught:
        USES[use](OddPath(error))
    assert caught.value is error


@pytest.mark.parametrize("use", USES)
def test_a_path_that_no_file_system_can_spell_fails_as_everywhere(use: str) -> None:
    with pytest.raises(UnicodeEncodeError):
        os.stat("\ud800.json")
    with pytest.raises(UnicodeEncodeError):
        USES[use]("\ud800.json")


Make = Callable[[Path], Any]


def directory(folder: Path) -> Any:
    (folder / "made").mkdir()
    return folder / "made"


def link(folder: Path, target: str) -> Path:
    (folder / "link").symlink_to(target)
    return folder / "link"


def loop(folder: Path) -> Any:
    (folder / "a").symlink_to("b")
    (folder / "b").symlink_to("a")
    return folder / "a"


def fifo(folder: Path) -> Any:
    os.mkfifo(folder / "fifo")
    return folder / "fifo"


def long_chain(folder: Path) -> Any:
    (folder / "0").symlink_to("tanks.json")
    for n in range(60):
        (folder / str(n + 1)).symlink_to(str(n))
    return folder / "60"


# Each with the class that a save raises, and that of a load.
BAD_PATHS: dict[str, tuple[Make, type[JSONWriteError], type[JSONReadError]]] = {
    "empty": (lambda folder: "", FolderNotFoundError, DataFileNotFoundError),
    "empty bytes": (lambda folder: b"", FolderNotFoundError, DataFileNotFoundError),
    "null byte": (lambda folder: f"{folder}/a\0b", StorageWriteError, StorageReadError),
    "null byte in a folder": (
        lambda folder: f"{folder}/a\0b/c.json",
        StorageWriteError,
        StorageReadError,
    ),
    "null byte at the end": (
        lambda folder: os.fsencode(folder) + b"/tanks.json\0",
        StorageWriteError,
        StorageReadError,
    ),
    "directory": (directory, StorageWriteError, StorageReadError),
    "the folder itself": (lambda folder: folder, StorageWriteError, StorageReadError),
    "root": (lambda folder: "/", StorageWriteError, StorageReadError),
    "dot": (lambda folder: ".", StorageWriteError, StorageReadError),
    "dots": (lambda folder: "..", StorageWriteError, StorageReadError),
    "ends in a dot": (lambda folder: f"{folder}/.", StorageWriteError, StorageReadError),
    "ends in dots": (lambda folder: f"{folder}/..", StorageWriteError, StorageReadError),
    "folder with a slash": (lambda folder: f"{folder}/", StorageWriteError, StorageReadError),
    "file with a slash": (
        lambda folder: f"{folder}/tanks.json/",
        StorageWriteError,
        StorageReadError,
    ),
    "file as a folder": (
        lambda folder: folder / "tanks.json" / "x.json",
        StorageWriteError,
        StorageReadError,
    ),
    "missing folder": (
        lambda folder: folder / "no" / "x.json",
        FolderNotFoundError,
        DataFileNotFoundError,
    ),
    "name too long": (lambda folder: folder / ("n" * 256), StorageWriteError, StorageReadError),
    "path too long": (lambda folder: f"{folder}{'/d' * 3000}", StorageWriteError, StorageReadError),
    "far too long": (lambda folder: "n" * 1_000_000, StorageWriteError, StorageReadError),
    "link to a directory": (
        lambda folder: link(folder, str(directory(folder))),
        StorageWriteError,
        StorageReadError,
    ),
    "link to nothing in no folder": (
        lambda folder: link(folder, "no/x.json"),
        FolderNotFoundError,
        DataFileNotFoundError,
    ),
    "link to itself": (lambda folder: link(folder, "link"), StorageWriteError, StorageReadError),
    "links in a loop": (loop, StorageWriteError, StorageReadError),
    "too many links": (long_chain, StorageWriteError, StorageReadError),
    "link to a pipe": (
        lambda folder: link(folder, fifo(folder).name),
        StorageWriteError,
        StorageReadError,
    ),
    "pipe": (fifo, StorageWriteError, StorageReadError),
}


@pytest.mark.parametrize("name", BAD_PATHS)
def test_a_path_that_cannot_hold_a_document_gives_a_typed_error(
    path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(path.parent)
    make, writing, reading = BAD_PATHS[name]
    bad = make(path.parent)
    before = {entry: entry.lstat().st_ino for entry in path.parent.iterdir()}
    for act, kind in (
        (lambda: save_json_atomic(bad, {}), writing),
        (lambda: save_json_atomic(bad, [], backup=False, indent=None), writing),
        (lambda: load_data_file(bad, strict=True), reading),
    ):
        with pytest.raises(kind) as caught:
            act()
        error = caught.value
        assert error.file_path == os.fsdecode(bad)
        assert str(path.parent) not in str(error)
        assert isinstance(error, OSError)
        assert error.errno is not None
    if reading is DataFileNotFoundError:
        assert load_data_file(bad, default=7) == 7
        assert load_with_version(bad)[0] is None
    else:
        with pytest.raises(reading):
            load_data_file(bad)
        with pytest.raises(reading):
            load_with_version(bad)
    with pytest.raises(DataOperationError):
        delete_json_atomic(bad)
    assert is_cache_valid(bad) is False
    invalidate_cache(bad)
    after = {entry: entry.lstat().st_ino for entry in path.parent.iterdir()}
    after.pop(path.parent / ".oasis_data", None)
    assert after == before
    assert path.read_bytes() == OLD


def test_a_device_is_neither_read_nor_replaced_nor_given_company(tmp_path: Path) -> None:
    require(os.geteuid() == 0, "needs root to make a device")
    # One of its own: a package that fails here must not cost the machine its /dev/null.
    devices = tmp_path / "dev"
    devices.mkdir()
    device = devices / "null"
    os.mknod(device, stat.S_IFCHR | 0o666, os.makedev(1, 3))
    link(tmp_path, str(device))
    for bad in (device, tmp_path / "link"):
        with pytest.raises(StorageWriteError):
            save_json_atomic(bad, {})
        with pytest.raises(StorageReadError):
            load_data_file(bad)
    assert stat.S_ISCHR(device.stat().st_mode)
    assert os.readlink(tmp_path / "link") == str(device)
    assert os.listdir(devices) == ["null"]


def test_a_link_to_nothing_is_saved_through(path: Path) -> None:
    dangling = link(path.parent, "new.json")
    assert load_data_file(dangling, default=None) is None
    save_json_atomic(dangling, [1])
    assert dangling.is_symlink()
    assert json.loads((path.parent / "new.json").read_bytes()) == [1]
    assert load_data_file(dangling, strict=True) == [1]


@pytest.mark.parametrize("name", [b"\xff\xfe.json", b"caf\xe9", b"\n", b" ", b"-", b"~", b"a\x1bb"])
def test_any_other_name_holds_a_document(tmp_path: Path, name: bytes) -> None:
    bad = os.path.join(os.fsencode(tmp_path), name)
    save_json_atomic(bad, {"a": 1})
    assert load_data_file(bad, strict=True) == {"a": 1}
    with pytest.raises(UnserializableError) as caught:
        save_json_atomic(bad, {1})
    assert caught.value.file_path == os.fsdecode(bad)
    # Fit for a terminal, a log and a client.
    assert str(caught.value).isprintable()
    assert str(tmp_path) not in str(caught.value)
    delete_json_atomic(bad, backup=False)
    assert visible(tmp_path) == []


def test_the_longest_names_hold_documents(tmp_path: Path) -> None:
    for length in (200, 201, 225, 255):
        longest = tmp_path / ("n" * length)
        save_json_atomic(longest, length, backup=False)
        assert load_data_file(longest, strict=True) == length


def test_a_working_folder_that_is_gone_gives_typed_errors(tmp_path: Path) -> None:
    code = """
path = Path("x.json")
os.chdir(folder)
os.rmdir(folder)
print(outcome(lambda: save_json_atomic(path, {})))
print(outcome(lambda: load_data_file(path, strict=True)))
print(outcome(lambda: load_data_file(path, default=7)))
print(outcome(lambda: load_with_version(path)))
"""
    (tmp_path / "gone").mkdir()
    save, strict, default, version = alone(code, tmp_path / "gone")
    assert save == "FolderNotFoundError from FileNotFoundError"
    assert strict == "DataFileNotFoundError from FileNotFoundError"
    assert default == "7"
    assert version == "(None, 'missing')"


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
    code = """
print(of_class(lambda: load_data_file(path)))
print(of_class(lambda: load_data_file(path, strict=True)))
print(of_class(lambda: load_with_version(path)))
print(oasis_data.is_cache_valid(path))
"""
    give_to_nobody(path.parent)
    path.chmod(0o000)
    printed = alone(AS_NOBODY + code, path.parent)
    assert printed == [*["ReadPermissionError"] * 3, "False"]
    path.chmod(0o644)
    assert_untouched(path)


# Options

BAD_OPTIONS: list[tuple[dict[str, Any], type[Exception]]] = [
    ({"timeout": -1}, ValueError),
    ({"timeout": -1e-9}, ValueError),
    ({"timeout": float("-inf")}, ValueError),
    ({"timeout": float("nan")}, ValueError),
    ({"timeout": "1"}, TypeError),
    ({"timeout": [1]}, TypeError),
    ({"backup": "yes"}, TypeError),
    ({"backup": 2}, TypeError),
    ({"if_version": 1}, TypeError),
    ({"if_version": b"x"}, TypeError),
    ({"sort_keys": "no"}, TypeError),
    ({"ensure_ascii": None}, TypeError),
    ({"allow_nan": 1.5}, TypeError),
    ({"make_parents": "no"}, TypeError),
    ({"unknown": 1}, TypeError),
    ({"skipkeys": True}, TypeError),
    ({"cls": json.JSONEncoder}, TypeError),
    ({"separators": (",", ":")}, TypeError),
    ({"backups": True, "timeout": 1}, TypeError),
]


@pytest.mark.parametrize(("options", "kind"), BAD_OPTIONS, ids=str)
def test_an_option_that_is_none_is_refused_before_anything_is_done(
    path: Path, options: dict[str, Any], kind: type[Exception]
) -> None:
    with pytest.raises(kind):
        save_json_atomic(path, {"new": 1}, **options)
    with pytest.raises(kind):
        save_json_atomic(path.parent / "new.json", {"new": 1}, **options)
    assert os.listdir(path.parent) == [path.name]
    assert_untouched(path)


@pytest.mark.parametrize("timeout", [0, 0.0, -0.0, 1e-300, 1e300, float("inf"), True, 10**20, None])
def test_any_other_timeout_is_taken(path: Path, timeout: Any) -> None:
    save_json_atomic(path, [1], timeout=timeout, backup=False)
    assert load_data_file(path, strict=True) == [1]


def test_options_are_given_by_name(path: Path) -> None:
    for call in (save_json_atomic, load_data_file, delete_json_atomic):
        spelt: Any = call
        with pytest.raises(TypeError):
            spelt(path, {}, 2)
    with pytest.raises(TypeError):
        load_data_file(path, unknown=1)  # type: ignore[call-arg]
    with pytest.raises(TypeError):
        delete_json_atomic(path, unknown=1)  # type: ignore[call-arg]
    assert_untouched(path)


@pytest.mark.parametrize(
    "changes",
    [
        {"cache_bytes": -1},
        {"cache_bytes": 2**64},
        {"cache_bytes": 1.5},
        {"cache_bytes": "1"},
        {"cache_entries": -1},
        {"cache_entries": 2**70},
        {"cache_entries": "many"},
        {"backups_kept": -1},
        {"backups_kept": [10]},
        {"lock_timeout": -1},
        {"lock_timeout": float("nan")},
        {"lock_timeout": float("-inf")},
        {"lock_timeout": "10"},
        {"durability": "x"},
        {"durability": "Full"},
        {"durability": ""},
        {"durability": 1},
        # All or nothing, whichever comes first.
        {"cache_entries": 1, "durability": "x"},
        {"durability": "process", "cache_bytes": -1},
        {"lock_timeout": -1, "cache_bytes": 5},
    ],
    ids=str,
)
def test_a_setting_that_is_none_changes_nothing(path: Path, changes: dict[str, Any]) -> None:
    before = configure()
    load_data_file(path)
    with pytest.raises(ValueError, match=r"\S"):
        configure(**changes)
    assert configure() == before
    assert_untouched(path)


def test_a_setting_that_does_not_exist_changes_nothing() -> None:
    before = configure()
    for changes in ({"unknown": 1}, {"cache_bytes": 5, "unknown": 1}, {"cache_byte": 5}):
        with pytest.raises(TypeError):
            configure(**changes)  # type: ignore[arg-type]
    assert configure() == before
