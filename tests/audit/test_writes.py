"""Writes: found in every form, replaced where the bytes stay the same, else left with a reason."""

from __future__ import annotations

import itertools
import textwrap
from pathlib import Path
from typing import Any

import pytest

import oasis_data
from tests.audit.sources import findings, fixed, found, reasons

IMPORTS = "import json, os\nfrom pathlib import Path\n"
DOCUMENTS: list[Any] = [
    {"name": "Öl", "b": [1, 2.5, None, True], "a": {}},
    [],
    None,
    "😀",
    {"a": [[], {"x": float("nan")}], 1: 2},
]
FORMS = {
    "dump": 'with open({path}, "w") as f:\n    json.dump(data, f{options})\n',
    "dump by name": 'with open({path}, "w") as f:\n    json.dump(fp=f, obj=data{options})\n',
    "inline": 'json.dump(data, open({path}, "w"){options})\n',
    "write": 'with open({path}, mode="w") as f:\n    f.write(json.dumps(data{options}))\n',
    "bytes": 'with open({path}, "wb") as f:\n    f.write(json.dumps(data{options}).encode())\n',
    "path": 'with Path({path}).open("w") as f:\n    json.dump(data, f{options})\n',
    "write_text": "Path({path}).write_text(json.dumps(data{options}))\n",
    "write_bytes": "Path({path}).write_bytes(json.dumps(data{options}).encode('utf-8'))\n",
}
OPTIONS = {
    "indent": ["", ", indent=2", ", indent=None", ", indent=4", ", indent='\\t'", ", indent=0"],
    "ensure_ascii": ["", ", ensure_ascii=False", ", ensure_ascii=True"],
    "others": [
        "",
        ", sort_keys=False, skipkeys=False, check_circular=True, cls=None",
        ", default=str, allow_nan=True, separators=None",
    ],
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.filterwarnings("ignore:unclosed file")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_the_bytes_stay_the_same(form: str, tmp_path: Path) -> None:
    oasis_data.configure(durability="process")
    before = IMPORTS
    combinations = ["".join(each) for each in itertools.product(*OPTIONS.values())]
    for number, options in enumerate(combinations):
        path = f"os.path.join(folder, '{number}.json')"
        before += FORMS[form].format(path=path, options=options)
    after = fixed(before)
    assert after.count("save_json_atomic(") == len(combinations)
    assert "json.dump" not in after
    for number, data in enumerate(DOCUMENTS):
        written = []
        for name, code in (("before", before), ("after", after)):
            folder = tmp_path / f"{name}{number}"
            folder.mkdir()
            exec(code, {"folder": str(folder), "data": data})
            files = sorted(folder.glob("*.json"))
            assert len(files) == len(combinations)
            written.append([file.read_bytes() for file in files])
        assert written[0] == written[1], (after, data)


def test_what_json_refuses_is_refused_with_what_callers_catch(tmp_path: Path) -> None:
    code = fixed(IMPORTS + FORMS["dump"].format(path="path", options=", allow_nan=False"))
    path = tmp_path / "x.json"
    path.write_text("1")
    for data, error in ((float("nan"), ValueError), ({1, 2}, TypeError)):
        with pytest.raises(error):
            exec(code, {"path": path, "data": data})
    with pytest.raises(FileNotFoundError):
        exec(code, {"path": tmp_path / "missing" / "x.json", "data": 1})
    assert path.read_text() == "1"


@pytest.mark.parametrize(
    "imports",
    [
        "import json as j\n\nj.dump",
        "from json import dump\n\ndump",
        "from json import dump as write\n\nwrite",
        "import json\nimport json.decoder\n\njson.dump",
    ],
)
def test_names_are_followed_through_imports(imports: str) -> None:
    head, _, function = imports.rpartition("\n")
    code = f'{head}with open("x.json", "w") as f:\n    {function}([], f)\n'
    assert 'save_json_atomic("x.json", []' in fixed(code)


SHAPES = """\
import json
import os


class Optimizer:
    def export(self, results):
        # All results.
        with open(os.path.join(self.folder, "out.json"), 'w') as f:  # for the editor
            # As the guide has it.
            json.dump(results, f, indent=2)  # two spaces
            print("done")
            # after it

        def nested(one):
            with open(f"{one}.json", "w", encoding="utf-8") as f: json.dump(one, f)
        nested("a")
        with open("in.json") as source, open("out.json", "w") as target:
            json.dump(json.load(source), target)
        with self.lock, open("b.json", "w") as f:
            json.dump({
                "a": 1,  # one
            }, f, indent=4, ensure_ascii=False, allow_nan=False)
        return json.dumps(results)
"""
SHAPED = """\
import json
import os
from oasis_data import load_data_file, save_json_atomic


class Optimizer:
    def export(self, results):
        # All results.
        # for the editor
        # As the guide has it.
        save_json_atomic(os.path.join(self.folder, "out.json"), results, ensure_ascii=True, \
allow_nan=True)  # two spaces
        print("done")
        # after it

        def nested(one):
            save_json_atomic(f"{one}.json", one, indent=None, ensure_ascii=True, allow_nan=True)
        nested("a")
        save_json_atomic("out.json", load_data_file("in.json", strict=True), indent=None, \
ensure_ascii=True, allow_nan=True)
        with self.lock:
            save_json_atomic("b.json", {
                "a": 1,  # one
            }, indent=4)
        return json.dumps(results)
"""


def test_format_and_comments_are_kept() -> None:
    assert fixed(SHAPES) == SHAPED


def test_a_second_run_changes_nothing() -> None:
    assert fixed(SHAPED) == SHAPED
    assert found(SHAPED) == []


DECLINED = {
    "other uses": (
        'with open(p, "w") as f:\n    json.dump(d, f)\n    f.write("\\n")',
        "f is used for something else too",
    ),
    "used afterwards": (
        'with open(p, "w") as f:\n    json.dump(d, f)\nprint(f.name)',
        "f is used for something else too",
    ),
    "two documents": (
        'with open(p, "w") as f:\n    json.dump(d, f)\n    json.dump(d, f)',
        "f is used for something else too",
    ),
    "append": ('with open(p, "a") as f:\n    json.dump(d, f)', "what is appended"),
    "exclusive": ('with open(p, "x") as f:\n    json.dump(d, f)', "must not exist yet"),
    "update": ('with open(p, "r+") as f:\n    json.dump(d, f)', "read and written through one"),
    "mode": ("with open(p, mode) as f:\n    json.dump(d, f)", "the mode of open is not a constant"),
    "cls": (
        'with open(p, "w") as f:\n    json.dump(d, f, cls=E)',
        "save_json_atomic has no cls",
    ),
    "separators": (
        'with open(p, "w") as f:\n    json.dump(d, f, separators=(",", ":"))',
        "save_json_atomic has no separators",
    ),
    "keywords": ('with open(p, "w") as f:\n    json.dump(d, f, **o)', "its options are in **o"),
    "starred": ('with open(p, "w") as f:\n    json.dump(d, f, *o)', "cannot be told apart"),
    "coroutine": (
        'async def a():\n    with open(p, "w") as f:\n        json.dump(d, f)',
        "inside async def",
    ),
    "condition": (
        'with open(p, "w") as f:\n    if d:\n        json.dump(d, f)',
        "not always reached",
    ),
    "return before": (
        'def a():\n    with open(p, "w") as f:\n        if p: return\n        json.dump(d, f)',
        "not always reached",
    ),
    "path changes": (
        'def a(p):\n    with open(p, "w") as f:\n        p = 1\n        json.dump(d, f)',
        "p may be another path by then",
    ),
    "attribute may change": (
        'def a(s):\n    with open(s.p, "w") as f:\n        s.go()\n        json.dump(d, f)',
        "s.p may be another path by then",
    ),
    "mode set before": (
        'with open(p, "w") as f:\n    os.chmod(p, 0o600)\n    json.dump(d, f)',
        "os.chmod(p, 384) would come before the file is opened",
    ),
    "another thing entered": (
        'with open(p, "w") as f, lock:\n    json.dump(d, f)',
        "lock would come before the file is opened",
    ),
    "noted that it is open": (
        'def a():\n    done = False\n    try:\n        with open(p, "w") as f:\n'
        "            done = True\n            json.dump(d, f)\n    except OSError:\n"
        "        return done",
        "done = True would come before the file is opened",
    ),
    "noted elsewhere": (
        'def a(s):\n    with open(p, "w") as f:\n        s.n = 1\n        json.dump(d, f)',
        "s.n = 1 would come before the file is opened",
    ),
    "closure": (
        'with open(p, "w") as f:\n    def a():\n        json.dump(d, f)\n    a()',
        "a function of its own",
    ),
    "no with": ('f = open(p, "w")\njson.dump(d, f)\nf.close()', "not opened by a with statement"),
    "parameter": ("def a(f):\n    json.dump(d, f)", "f is opened elsewhere"),
    "shadowed by a parameter": (
        'def a(json):\n    with open(p, "w") as f:\n        json.dump(d, f)',
        "json stands for something else",
    ),
    "another json": (
        'import simplejson\nwith open(p, "w") as f:\n    simplejson.dump(d, f)',
        "simplejson is not json",
    ),
    "perhaps another json": (
        "try:\n    import ujson as json\nexcept ImportError:\n    import json\n"
        'with open(p, "w") as f:\n    json.dump(d, f)',
        "is not always that of json",
    ),
    "another open": (
        'from io import open\nopen = g\nwith open(p, "w") as f:\n    json.dump(d, f)',
        "open may stand for something else",
    ),
    "gzip": (
        'import gzip\nwith gzip.open(p, "wt") as f:\n    json.dump(d, f)',
        "the file is compressed",
    ),
    "aiofiles": (
        "import aiofiles\nasync def a():\n"
        '    async with aiofiles.open(p, "w") as f:\n        await f.write(json.dumps(d))',
        "it is asynchronous",
    ),
    "encoding": (
        'with open(p, "w", encoding="utf-16") as f:\n    json.dump(d, f)',
        "not encoded as UTF-8",
    ),
    "latin-1 beyond ASCII": (
        'with open(p, "w", encoding="latin-1") as f:\n    json.dump(d, f, ensure_ascii=False)',
        "not encoded as UTF-8",
    ),
    "newline": (
        'with open(p, "w", newline="\\r\\n") as f:\n    json.dump(d, f)',
        "open is given newline",
    ),
    "opener": ('with open(p, "w", opener=o) as f:\n    json.dump(d, f)', "open is given opener"),
    "descriptor": ('with open(3, "w") as f:\n    json.dump(d, f)', "opens a descriptor"),
    "descriptor in a name": (
        'import tempfile\nh, n = tempfile.mkstemp()\nwith open(h, "w") as f:\n    json.dump(d, f)',
        "may open a descriptor",
    ),
    "device": ('with open("/dev/stdout", "w") as f:\n    json.dump(d, f)', "opens a device"),
    "moved": (
        't = p + ".tmp"\nwith open(t, "w") as f:\n    json.dump(d, f)\nos.replace(t, p)',
        "it is moved to p in line 8",
    ),
    "moved as a path": (
        'with open(p, "w") as f:\n    json.dump(d, f)\nos.replace(Path(p), "y.json")',
        "it is moved to 'y.json' in line 7",
    ),
    "moved by a path": (
        'with open(p, "w") as f:\n    json.dump(d, f)\nPath(p).replace("y.json")',
        "it is moved to 'y.json' in line 7",
    ),
    "moved by another spelling": (
        'with open(p + ".new", "w") as f:\n    json.dump(d, f)\nos.rename(f"{p}.new", p)',
        "line 7 moves f'{p}.new', which may be this file",
    ),
    "moved before": (
        'os.replace(p, "old.json")\nwith open(p, "w") as f:\n    json.dump(d, f)',
        "line 5 moves p, which may be this file",
    ),
    "perhaps moved": (
        'import shutil\nwith open(p, "w") as f:\n    json.dump(d, f)\nshutil.move(q, r)',
        "line 8 moves q, which may be this file",
    ),
    "value used": ("n = Path(p).write_text(json.dumps(d))", "its value is used"),
    "written as lines": (
        'with open(p, "w") as f:\n    f.writelines(json.dumps(d))',
        "writelines is given text",
    ),
    "exit stack": (
        'f = stack.enter_context(open(p, "w"))\njson.dump(d, f)',
        "not opened by a with statement",
    ),
    "more text": (
        'with open(p, "w") as f:\n    f.write(json.dumps(d) + "\\n")',
        "more is written than the document",
    ),
    "print": (
        'with open(p, "w") as f:\n    print(json.dumps(d), file=f)',
        "print writes more than the document",
    ),
    "text in a variable": (
        't = json.dumps(d)\nwith open(p, "w") as f:\n    f.write(t)',
        "the text is kept in t",
    ),
    "unknown path type": ("q.write_text(json.dumps(d))", "cannot tell that q is a pathlib.Path"),
    "path evaluated later": ('json.dump(g(), open(p, "w"))', "evaluated before the document"),
    "comment in the call": (
        'with open(p, "w") as f:\n    json.dump(\n        d,  # what\n        f,\n    )',
        "a comment stands inside",
    ),
    "function replaced": (
        'json.dump = print\nwith open(p, "w") as f:\n    json.dump(d, f)',
        "json.dump is set in line",
    ),
    "another exception caught": (
        'try:\n    with open(p, "w") as f:\n        json.dump(d, f)\n'
        "except (KeyError, IsADirectoryError):\n    pass",
        "IsADirectoryError is caught here, which save_json_atomic does not raise",
    ),
    "another exception suppressed": (
        "import contextlib\nwith contextlib.suppress(NotADirectoryError):\n"
        '    with open(p, "w") as f:\n        json.dump(d, f)',
        "NotADirectoryError is caught here",
    ),
    "some exceptions caught": (
        'ERRORS = (OSError, IsADirectoryError)\ntry:\n    with open(p, "w") as f:\n'
        "        json.dump(d, f)\nexcept ERRORS:\n    pass",
        "ERRORS may hold an exception that save_json_atomic does not raise",
    ),
    "exceptions of an object caught": (
        'def a(s):\n    try:\n        json.dump(d, open(p, "w"))\n'
        "    except (KeyError, s.errors): pass",
        "s.errors may hold an exception",
    ),
    "names from a star": (
        'from flask import *\nwith open(p, "w") as f:\n    json.dump(d, f)',
        "from flask import * may bind names",
    ),
    "open from a star": (
        'from os import *\nwith open(p, "w") as f:\n    json.dump(d, f)',
        "from os import * may bind names",
    ),
    "names from a star beside": (
        'from .guide import *\nwith open(p, "w") as f:\n    json.dump(d, f)',
        "from .guide import * may bind names",
    ),
    "names taken": (
        "def save_json_atomic(): ...\ndef save_json_file(): ...\n"
        'with open(p, "w") as f:\n    json.dump(d, f)',
        "are names of something else",
    ),
}


@pytest.mark.parametrize(
    "head",
    [
        "import json\n",
        "import json\nfrom math import *\n",
    ],
)
@pytest.mark.parametrize("caught", ["E", "OSError", "json.JSONDecodeError", "(ValueError, E)"])
def test_what_is_known_is_no_reason(head: str, caught: str) -> None:
    code = (
        f"{head}class E(Exception): ...\ntry:\n    json.dump(1, open('x', 'w'))\n"
        f"except {caught}: ...\n"
    )
    assert reasons(code, "torn-write") == [None]


def test_a_star_of_json_is_followed() -> None:
    code = 'from json import *\nwith open("x.json", "w") as f:\n    dump([], f)\n'
    assert fixed(code) == (
        "from json import *\nfrom oasis_data import save_json_atomic\n\n"
        'save_json_atomic("x.json", [], indent=None, ensure_ascii=True, allow_nan=True)\n'
    )


def test_an_exception_that_is_caught_elsewhere_is_no_reason() -> None:
    code = (
        "import json\ntry:\n    pass\nexcept UnicodeError:\n"
        '    with open("x.json", "w") as f:\n        json.dump([], f)\n'
        'save = lambda: json.load(open("x.json")) if save else None\n'
    )
    assert reasons(code, "torn-write") == [None]
    assert reasons(code, "plain-read") == [None]


@pytest.mark.parametrize("case", DECLINED)
def test_what_is_not_certain_is_left_with_a_reason(case: str) -> None:
    snippet, reason = DECLINED[case]
    code = f"{IMPORTS}p = 'x.json'\nd = [1]\n{snippet}\n"
    given = reasons(code, "torn-write")
    assert given, code
    assert all(each is not None and reason in each for each in given), given
    assert fixed(code) == code


SILENT = [
    "print(json.dumps(d))",
    "json.dump(d, sys.stdout)",
    "import io\nb = io.StringIO()\njson.dump(d, b)",
    "import tempfile\nwith tempfile.TemporaryFile() as f:\n    json.dump(d, f)",
    'with open(p, "w") as f:\n    f.write("text")',
    'with open(p, "w") as f:\n    csv.dump(d, f)',
    "def a(response):\n    response.write(json.dumps(d))",
    "text = json.loads(request.data)",
    "x = json.load(response)",
]


@pytest.mark.parametrize("snippet", SILENT)
def test_what_touches_no_json_file_is_not_found(snippet: str) -> None:
    assert found(f"{IMPORTS}{snippet}\n") == []


def test_what_is_certainly_another_file_may_be_moved() -> None:
    code = (
        'import json, os\nos.replace("x.json", "y.json")\n'
        'with open("z.json", "w") as f:\n    json.dump([], f)\n'
        'def other(p):\n    os.replace(p, "y.json")\n    return p.replace("a", "b")\n'
    )
    assert reasons(code, "torn-write") == [None]


def test_a_forgotten_import_is_told() -> None:
    code = 'with open("x.json", "w") as f:\n    json.dump([], f)\n'
    assert found(code) == [("torn-write", 2, "json is not imported")]


def test_the_place_is_in_characters() -> None:
    (one,) = findings('import json\nx = "äöü😀"; json.dump(x, open("y.json", "w"))\n')
    assert (one.span.line, one.span.column) == (2, 12)


def test_two_files_that_are_written_together_are_both_saved() -> None:
    code = (
        'import json\nwith open("a", "w") as f, open("b", "w") as g:\n'
        "    json.dump([], f)\n    json.dump({}, g)\n"
    )
    options = "indent=None, ensure_ascii=True, allow_nan=True"
    assert fixed(code) == (
        "from oasis_data import save_json_atomic\n\n"
        f'save_json_atomic("a", [], {options})\nsave_json_atomic("b", {{}}, {options})\n'
    )


@pytest.mark.parametrize(
    ("snippet", "replacement"),
    [
        ('with open(p, "a") as f:\n    json.dump(d, f)', "with edit_json(p) as document:"),
        ('with open(p, "x") as f:\n    json.dump(d, f)', "allow_nan=True, if_version=MISSING)"),
        (
            'with open("t", "w") as f:\n    json.dump(d, f)\nos.rename("t", p)',
            "save_json_atomic(p, d, indent=None",
        ),
    ],
)
def test_the_replacement_says_what_a_person_should_write(snippet: str, replacement: str) -> None:
    (one,) = findings(f"{IMPORTS}{snippet}\n")
    assert replacement in one.replacement


def test_a_statement_before_the_dump_keeps_its_place() -> None:
    code = textwrap.dedent("""\
        import json


        def save(path, tanks):
            with open(path, "w") as f:
                document = {"tanks": tanks}
                json.dump(document, f, indent=2, ensure_ascii=False, allow_nan=False)
            return path
        """)
    assert fixed(code) == textwrap.dedent("""\
        from oasis_data import save_json_atomic


        def save(path, tanks):
            document = {"tanks": tanks}
            save_json_atomic(path, document)
            return path
        """)


@pytest.mark.parametrize("mode", ["w+", "w+b", "wb+"])
def test_a_file_that_is_opened_to_be_emptied_is_saved(mode: str) -> None:
    text = "json.dumps(d).encode()" if "b" in mode else "json.dumps(d)"
    code = f"import json\nd = [1]\nwith open('x.json', {mode!r}) as f:\n    f.write({text})\n"
    assert fixed(code).endswith(
        "save_json_atomic('x.json', d, indent=None, ensure_ascii=True, allow_nan=True)\n"
    )


def test_what_is_read_again_through_the_handle_is_another_use() -> None:
    code = (
        "import json\nwith open('x.json', 'w+') as f:\n    json.dump([1], f)\n    f.seek(0)\n"
        "    print(f.read())\n"
    )
    (one,) = findings(code)
    assert one.replacement.startswith("save_json_atomic('x.json', [1]")
    assert one.reason == "f is used for something else too"


@pytest.mark.parametrize(
    "snippet",
    [
        'with open(p, "a") as f:\n    f.write(json.dumps(d) + "\\n")',
        'with open(p, "ab") as f:\n    f.write(json.dumps(d).encode() + b"\\n")',
        "with open(p, \"a\") as f:\n    f.write(f'{json.dumps(d)}\\n')",
        'with open(p, "a") as f:\n    print(json.dumps(d), file=f)',
        'with open(p, "a") as f:\n    json.dump(d, f)\n    f.write("\\n")',
        'f = open(p, "a")\nf.write(json.dumps(d) + "\\n")',
        'with open(p, "w") as f:\n    for each in d:\n        f.write(json.dumps(each) + "\\n")',
        'with open(p, "w") as f:\n    for each in d:\n        print(json.dumps(each), file=f)',
        'with open("x.jsonl", "w") as f:\n    json.dump(d, f)',
        'with open(Path("x") / "y.ndjson", "a") as f:\n    json.dump(d, f)',
        'name = f"{d}.jsonl"\nPath(name).write_text(json.dumps(d))',
    ],
)
def test_json_lines_are_no_document_and_left_alone(snippet: str) -> None:
    assert found(f"{IMPORTS}p = 'x.log'\nd = [1]\n{snippet}\n") == []


MOVED = "with open(t, 'w') as f:\n    json.dump(1, f)\n{sync}os.replace(t, p)\n"
SYNC = "    f.flush()\n    os.fsync(f.fileno())\n"


@pytest.mark.parametrize(
    ("name", "sync", "said", "unsaid"),
    [
        ("p + '.tmp'", "", ["nothing is synced", "both use t"], ["half written"]),
        ("p + '.tmp'", SYNC, ["both use t"], ["nothing is synced"]),
        ("f'{p}.{uuid.uuid4()}'", "", ["nothing is synced"], ["both use"]),
        ("p + str(os.getpid())", SYNC, ["No lock is taken"], ["nothing is synced", "both use"]),
        ("tempfile.mktemp()", SYNC, ["No lock is taken"], ["nothing is synced", "both use"]),
    ],
)
def test_a_move_into_place_is_told_what_is_missing(
    name: str, sync: str, said: list[str], unsaid: list[str]
) -> None:
    code = f"import json, os, tempfile, uuid\np = 'x.json'\nt = {name}\n{MOVED.format(sync=sync)}"
    (one,) = findings(code)
    assert one.message == f"JSON is written into t, and moved in line {code.count(chr(10))}"
    assert one.level == "warning"
    assert one.replacement.startswith("save_json_atomic(p, 1")
    assert "Readers meet whole files." in one.consequence
    assert all(each in one.consequence for each in said)
    assert not any(each in one.consequence for each in unsaid)
