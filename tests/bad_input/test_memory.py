"""Files and documents too large for the memory."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.bad_input.outcomes import alone
from tests.conftest import measures_memory

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
