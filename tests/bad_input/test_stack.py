"""A thread with a small stack, and a limit of recursion that no stack has room for.

The process would be ended by an overflow: every outcome but an exception of the package's
or a success shows in the status of the interpreter that `alone` starts.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.bad_input.outcomes import alone

# Each with what is there before it.
CALLS = {
    "save": "save_json_atomic(path, {'a': [1]})",
    "save of much": "save_json_atomic(path, {f'{n}': [n / 3] for n in range(3_000)})",
    "save over a large file": "for n in range(3): save_json_atomic(path, ['x' * 100_000, n])",
    "save of nested lists": "save_json_atomic(path, nested(190, 'list'))",
    "save of nested dictionaries": "save_json_atomic(path, nested(190, 'dict'), indent='\\t')",
    "save by json": "save_json_atomic(path, {'b': [float('nan')], 'a': 1}, allow_nan=True)",
    "save of sorted, nested lists": "save_json_atomic(path, nested(900, 'list'), sort_keys=True)",
    "save of a bad value": "save_json_atomic(path, {'a': nested(190, 'mixed', object())})",
    "load": "load_data_file(path, strict=True)",
    "load from the cache": "os.utime(path, (1, 1)); [load_data_file(path) for _ in range(3)]",
    "load with a version": "load_with_version(path)",
    "load of nested lists": "path.write_text(deep(190)); load_data_file(path, strict=True)",
    "load by json": "path.write_text(deep(190, 'NaN')); load_data_file(path, strict=True)",
    "load of a bomb": "path.write_text(deep(200_000)); load_data_file(path, strict=True)",
    "load of a corrupt file": "path.write_text('[1,'); load_data_file(path, strict=True)",
    "load of many": "load_many([path, path])",
    "edit": "with edit_json(path) as document: document['b'] = nested(100, 'list')",
    "batch": "save_many_atomic({path: [1], f'{path}.2': nested(100, 'dict')})",
    "deletion": "delete_json_atomic(path)",
    "listing of backups": "list_backups(path)",
    "restoring": "restore_backup(path)",
    "pruning": "prune_backups(path, keep=0)",
}

THREAD = """
import json, textwrap, threading
sys.path.insert(0, sys.argv[2])
from tests.strategies import nested

def deep(depth, leaf="0"):
    return "[" * depth + leaf + "]" * depth

configure(backups_compressed_above=0)
for n in range(3):
    save_json_atomic(path, {"a": [n]})

def act():
    try:
        exec(sys.argv[3])
        print("done")
    except DataOperationError as error:
        print(type(error).__name__)

threading.stack_size(int(sys.argv[4]) * 1024)
thread = threading.Thread(target=act)
thread.start()
thread.join()
json.loads(path.read_bytes()) if path.exists() and "load" not in sys.argv[3] else None
"""
ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("kibibytes", [64, 128, 256])
@pytest.mark.parametrize("name", CALLS)
def test_a_thread_with_a_small_stack_ends_no_process(
    tmp_path: Path, name: str, kibibytes: int
) -> None:
    printed = alone(THREAD, tmp_path, ROOT, CALLS[name], kibibytes)
    # From Python 3.14 on the interpreter itself may refuse every call on such a stack.
    assert len(printed) == 1 or (sys.version_info >= (3, 14) and not printed)


def test_a_document_that_another_thread_could_read_is_not_taken_for_a_corrupt_one(
    tmp_path: Path,
) -> None:
    path = tmp_path / "tanks.json"
    path.write_text("[" * 600 + "NaN" + "]" * 600)
    code = """
import threading
def act():
    print(outcome(lambda: load_data_file(path, default="lost")))

threading.stack_size(128 * 1024)
thread = threading.Thread(target=act)
thread.start()
thread.join()
print(type(load_data_file(path)).__name__)
"""
    small, large = alone(code, tmp_path)
    assert large == "list"
    if sys.version_info < (3, 12):
        assert small == "JSONReadError from RecursionError"


def test_the_error_says_how_to_get_a_larger_stack(tmp_path: Path) -> None:
    code = """
import threading
save_json_atomic(path, [1])
os.utime(path, (1, 1))
def act():
    for call, given in ((save_json_atomic, {"data": {"a": 1}}), (load_data_file, {"strict": True})):
        try:
            call(path, **given)
            print("done")
        except DataOperationError as error:
            print(error)

# The least there is; Python itself needs more from 3.12 on.
threading.stack_size((32 if sys.version_info < (3, 12) else 64) * 1024)
thread = threading.Thread(target=act)
thread.start()
thread.join()
"""
    saved, loaded = alone(code, tmp_path)
    for told in (saved, loaded):
        assert told == "done" or "(threading.stack_size)" in told
    if sys.version_info < (3, 12):
        assert "(threading.stack_size)" in saved


RAISED = """
import json, textwrap, threading
sys.path.insert(0, sys.argv[2])
from tests.strategies import Opaque, nested

def deep(opening, closing):
    return opening * 200_000 + "0" + closing * 200_000

class Endless(dict):
    def items(self):
        yield "a", Endless(a=1)

# From Python 3.12 on, json's own generators are not on the stack: of a million of them,
# each of which goes through all others, `json.dump` itself makes gigabytes and hours.
LIMIT = 10**6 if sys.argv[4:] != ["thread"] or sys.version_info < (3, 12) else 5_000
sys.setrecursionlimit(LIMIT)
"""
TOO_DEEP = {
    "load": "path.write_text(deep('[', ']')); load_data_file(path, strict=True)",
    "load of objects": "path.write_text(deep('{\"a\":', '}')); load_data_file(path, strict=True)",
    "load of UTF-16": "path.write_text(deep('[', ']'), 'utf-16'); load_with_version(path)",
    "load unclosed": "path.write_text('[' * 90_000); load_data_file(path, strict=True)",
    "save": "save_json_atomic(path, nested(200_000, 'mixed'))",
    "save of one line": "save_json_atomic(path, nested(200_000, 'list'), indent=None)",
    "save of a bad value": "save_json_atomic(path, [object(), nested(200_000, 'dict')])",
    "save of a bad value deep down": "save_json_atomic(path, nested(200_000, 'list', object()))",
    "save of a bad key": "save_json_atomic(path, {nested(90_000, 'tuple'): 1})",
    "save of what has no end": "save_json_atomic(path, Endless(a=1))",
    "save with default": "save_json_atomic(path, Opaque(), default=lambda value: [Opaque()])",
    "edit": "with edit_json(path) as document: document['a'] = nested(200_000, 'list')",
    "edit of a bomb": "path.write_text(deep('[', ']'))\nwith edit_json(path): pass",
    "batch": "save_many_atomic({path: nested(200_000, 'list')})",
    "load of many": "path.write_text(deep('[', ']')); load_many([path])",
}
# But those whose making needs a usual stack: Python hashes a key level by level.
SLOW = set(TOO_DEEP) - {"save of a bad key", "save of a bad value"}
SLOW -= {name for name in TOO_DEEP if name.startswith("load")}


@pytest.mark.parametrize("name", TOO_DEEP)
def test_a_limit_of_recursion_that_no_stack_has_room_for_ends_no_process(
    tmp_path: Path, name: str
) -> None:
    code = """
save_json_atomic(path, {"old": True})
def attempt():
    try:
        exec(sys.argv[3], globals())
        print("done")
    except DataOperationError as error:
        print(type(error).__name__)
if sys.argv[4] == "thread":
    # Of a quarter of the usual stack: where `json` writes by its own generators, each
    # level takes as long as there are levels.
    threading.stack_size(2 << 20)
    thread = threading.Thread(target=attempt)
    thread.start()
    thread.join()
else:
    attempt()
assert sys.getrecursionlimit() == LIMIT
# What was taken from the interpreter's count is given back.
print(load_data_file(path.with_name("none"), default="alive"))
depth = 0
def down():
    global depth
    depth += 1
    if depth < 20_000:
        down()
if (3, 11) <= sys.version_info < (3, 12):
    down()
"""
    where = "thread" if name in SLOW else "main thread"
    printed = alone(RAISED + code, tmp_path, ROOT, TOO_DEEP[name], where)
    # `load_many` answers with the exception.
    assert printed[-1] == "alive"
    assert len(printed) == 2
    if name != "load of many":
        assert printed[0].endswith("Error")


def test_a_bomb_among_the_backups_is_told_and_not_restored(tmp_path: Path) -> None:
    code = """
for n in range(3):
    save_json_atomic(path, [n])
newest, oldest = list_backups(path)
Path(newest.path).write_text(deep("[", "]"))
print([backup.fault is None for backup in list_backups(path)])
print(restore_backup(path) == oldest.path)
print(load_data_file(path))
"""
    printed = alone(RAISED + code, tmp_path, ROOT)
    assert printed[0] == "[False, True]"
    assert printed[2] == "[0]"


def test_verify_names_a_bomb(tmp_path: Path) -> None:
    path = tmp_path / "tanks.json"
    path.write_text("[" * 200_000 + "]" * 200_000)
    code = """
import sys
sys.setrecursionlimit(10**6)
from oasis_data.cli import main
main()
"""
    done = subprocess.run(
        [sys.executable, "-c", code, "verify", str(tmp_path)],
        capture_output=True,
        text=True,
        env=os.environ | {"COLUMNS": "200"},
        check=False,
    )
    assert done.returncode > 0
    assert "nested too deeply" in done.stdout + done.stderr
    assert "Traceback" not in done.stderr


def test_what_was_nested_deep_is_copied_and_dropped(tmp_path: Path) -> None:
    path = tmp_path / "tanks.json"
    path.write_text(json.dumps({"a": 1})[:-1] + ', "b": ' + "[" * 5_000 + "]" * 5_000 + "}")
    code = """
import threading
sys.setrecursionlimit(10_000)
if sys.version_info < (3, 12):
    os.utime(path, (1, 1))
    documents = [load_data_file(path, strict=True) for _ in range(4)]
    def act():
        documents.append(load_data_file(path, strict=True))
        documents.clear()
        clear_all_cache()
    threading.stack_size(64 * 1024)
    thread = threading.Thread(target=act)
    thread.start()
    thread.join()
print("alive")
"""
    assert alone(code, tmp_path) == ["alive"]
