"""Reads: found, replaced where the same documents and errors come of it, else left."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.audit.sources import findings, fixed, found, reasons

IMPORTS = "import json\nfrom pathlib import Path\n"
FORMS = {
    "load": "with open(path) as f:\n    document = json.load(f)\n",
    "bytes": 'with open(path, "rb") as f:\n    document = json.load(fp=f, object_hook=None)\n',
    "loads": 'with open(path, encoding="UTF-8") as f:\n    document = json.loads(f.read())\n',
    "inline": "document = json.load(open(path))\n",
    "inline loads": "document = json.loads(open(path).read())\n",
    "read_text": "document = json.loads(Path(path).read_text())\n",
    "read_bytes": "document = json.loads(Path(path).read_bytes())\n",
    "path": "with Path(path).open() as f:\n    document = json.load(f)\n",
    "part": "with open(path) as f:\n    document = {**{'a': [json.load(f)]}}['a'][0]\n",
    "loop": "with open(path) as f:\n    for _ in [1]:\n        pass\n    document = json.load(f)\n",
}


@pytest.mark.parametrize("form", [form for form in FORMS if form != "loop"])
@pytest.mark.filterwarnings("ignore:unclosed file")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_the_same_comes_of_it(form: str, tmp_path: Path) -> None:
    before = IMPORTS + FORMS[form]
    after = fixed(before)
    assert "load_data_file(" in after
    assert "strict=True" in after
    assert "json.load" not in after
    path = tmp_path / "x.json"
    for content in ('{"a": [1, 2.5, "Öl", null]}', "null", "[NaN]", '{"a": 1, "a": 2}'):
        path.write_text(content)
        documents = []
        for code in (before, after):
            names: dict[str, Any] = {"path": str(path)}
            exec(code, names)
            documents.append(repr(names["document"]))
        assert documents[0] == documents[1]
    for code in (before, after):
        path.write_text('{"a": ')
        with pytest.raises(json.JSONDecodeError):
            exec(code, {"path": str(path)})
        path.unlink()
        with pytest.raises(FileNotFoundError):
            exec(code, {"path": str(path)})


def test_the_rows_of_a_document_are_gone_through_after_the_file_is_closed() -> None:
    code = IMPORTS + "with open('x.json') as f:\n    for row in json.load(f):\n        print(row)\n"
    assert "\nfor row in load_data_file('x.json', strict=True):\n    print(row)\n" in fixed(code)


DECLINED = {
    "hook": ("x = json.load(open(p), object_hook=g)", "load_data_file has no object_hook"),
    "keywords": ("x = json.load(open(p), **o)", "its options are in **o"),
    "condition": (
        "with open(p) as f:\n    x = json.load(f) if p else 1",
        "not always reached",
    ),
    "lambda": (
        "with open(p) as f:\n    x = lambda: json.load(f)",
        "not always reached",
    ),
    "short circuit": ("with open(p) as f:\n    x = p and json.load(f)", "not always reached"),
    "other use": (
        "with open(p) as f:\n    x = json.load(f)\n    f.seek(0)",
        "f is used for something else too",
    ),
    "other function": (
        "with open(p) as f:\n    def g(): return json.load(f)\n",
        "a function of its own",
    ),
    "encoding": ('x = json.load(open(p, encoding="latin-1"))', "not decoded as UTF-8"),
    "byte order mark": ('x = json.load(open(p, encoding="utf-8-sig"))', "not decoded as UTF-8"),
    "update": ('with open(p, "r+") as f:\n    x = json.load(f)', "through one handle"),
    "unknown path": ("x = json.loads(q.read_text())", "cannot tell that q is a pathlib.Path"),
    "formatted": ('x = f"{json.load(open(p))}"', "inside an f-string"),
    "another exception caught": (
        "def g():\n    try:\n        with open(p) as f:\n            return json.load(f)\n"
        "    except KeyError:\n        pass\n    except UnicodeDecodeError:\n        pass",
        "UnicodeDecodeError is caught here, which load_data_file does not raise",
    ),
    "function replaced": ("json.load = len\nx = json.load(open(p))", "json.load is set in line"),
    "coroutine": (
        "async def g():\n    with open(p) as f:\n        return json.load(f)",
        "inside async def",
    ),
    "function in a coroutine": (
        "async def g():\n    def h(): return json.load(open(p))\n    return h()",
        "inside async def",
    ),
    "another file opened for writing": (
        'with open(p) as f, open(q, "w") as g:\n    x = json.load(f)\n    g.write(x)',
        "open(q, 'w') would come before the file is opened",
    ),
    "something else entered": (
        "with open(p) as f, lock:\n    x = json.load(f)",
        "lock would come before the file is opened",
    ),
    "a call before": (
        "import os\nwith open(p) as f:\n    os.remove(p)\n    x = json.load(f)",
        "os.remove(p) would come before the file is opened",
    ),
    "a call before in the line": (
        "with open(p) as f:\n    x = [go(), json.load(f)]",
        "go() would come before the file is opened",
    ),
    "noted that it is open": (
        "with open(p) as f:\n    there = True\n    x = json.load(f)",
        "there = True would come before the file is opened",
    ),
    "text in a variable": (
        "with open(p) as f:\n    t = f.read()\nx = json.loads(t)",
        "the text is kept in t",
    ),
    "text of a path in a variable": (
        "t = Path(p).read_text()\nx = json.loads(t)",
        "the text is kept in t",
    ),
    "exit stack": (
        "f = stack.enter_context(open(p))\nx = json.load(f)",
        "not opened by a with statement",
    ),
    "gzip": ("import gzip\nx = json.load(gzip.open(p))", "the file is compressed"),
}


@pytest.mark.parametrize("case", DECLINED)
def test_what_is_not_certain_is_left_with_a_reason(case: str) -> None:
    snippet, reason = DECLINED[case]
    code = f"{IMPORTS}p = 'x.json'\n{snippet}\n"
    given = reasons(code, "plain-read")
    assert given, code
    assert all(each is not None and reason in each for each in given), given
    assert fixed(code) == code


def test_two_files_may_be_open_for_reading() -> None:
    code = "import json\nwith open('a') as f, open('b') as g:\n    x = json.load(f)\n"
    assert "with open('b') as g:\n    x = load_data_file('a', strict=True)\n" in fixed(code)


def test_the_replacement_says_where_its_name_is_from() -> None:
    code = "import json\ndef load_data_file(p):\n    return json.load(open(p))\n"
    (one,) = findings(code)
    expected = "load_json_file(p, strict=True)  # from oasis_data import load_data_file as "
    assert one.replacement == f"{expected}load_json_file"
    assert fixed(code) == (
        "from oasis_data import load_data_file as load_json_file\n\n"
        "def load_data_file(p):\n    return load_json_file(p, strict=True)\n"
    )


@pytest.mark.parametrize(
    ("declared", "certain"),
    [
        ("p: Path", True),
        ("p: str", False),
        ("p", False),
        ("p=Path('x')", False),
    ],
)
def test_a_path_is_known_by_its_annotation(declared: str, certain: bool) -> None:
    code = f"{IMPORTS}def g({declared}):\n    return json.loads(p.read_text())\n"
    assert [each.fixable for each in findings(code)] == [certain]


@pytest.mark.parametrize(
    ("binding", "certain"),
    [
        ("p = Path('a') / 'b'", True),
        ("p = Path(__file__).resolve().parent.joinpath('b')", True),
        ("p = Path.home().with_suffix('.json')", True),
        ("p = q = Path('a')", False),
        ("p = open_path()", False),
        ("p = Path('a'); p = other", False),
        ("a = p.parent; p = a.parent", False),
    ],
)
def test_a_path_is_known_by_what_it_is_made_of(binding: str, certain: bool) -> None:
    code = f"{IMPORTS}{binding}\nx = json.loads(p.read_text())\n"
    assert [each.fixable for each in findings(code)] == [certain]


def test_what_the_library_does_is_not_found() -> None:
    code = "from oasis_data import load_data_file\nx = load_data_file('x.json')\n"
    assert found(code) == []
