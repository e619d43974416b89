"""Lost updates: found in one function, through helpers, and through what is kept in between."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.audit.sources import findings, fixed
from tests.audit.test_command import run

IMPORTS = "import json, os\nfrom pathlib import Path\nfrom flask import request\n"
HELPERS = """\
def load():
    with open("d.json") as f:
        return json.load(f)
def save(d):
    with open("d.json", "w") as f:
        json.dump(d, f)
"""
OF_PATHS = """\
def load(path):
    with open(path) as f:
        return json.load(f)
def save(path, d):
    with open(path, "w") as f:
        json.dump(d, f)
"""
FOUND = {
    "plain": HELPERS
    + """\
def add():
    d = load()
    d['n'] += 1
    save(d)
""",
    "in one call": HELPERS
    + """\
def add(k, v):
    save({**load(), k: v})
""",
    "two helpers deep": HELPERS
    + """\
def _up(d):
    save(d)
def add(k, v):
    d = load()
    _up(d)
""",
    "a parameter goes into it": HELPERS
    + """\
def set_all(d):
    x = load()
    x.update(d)
    save(x)
""",
    "the path as a parameter": OF_PATHS
    + """\
def add(name):
    p = os.path.join(D, name + ".json")
    d = load(p)
    d["n"] += 1
    save(p, d)
""",
    "a default path, and a rename": """\
P = Path("x") / "d.json"
def load(path=P):
    path = Path(path)
    return json.loads(path.read_text())
def save(d, *, path=P):
    tmp = str(path) + ".tmp"
    with open(tmp, "w") as f:
        json.dump(d, f)
    os.replace(tmp, path)
def add(name):
    d = load()
    d["n"] += 1
    save(d)
""",
    "methods": """\
class Store:
    PATH = "d.json"
    def _load(self):
        with open(self.PATH) as f:
            return json.load(f)
    def _save(self, d):
        with open(self.PATH, "w") as f:
            json.dump(d, f)
    def add(self):
        d = self._load()
        d["n"] += 1
        self._save(d)
""",
    "an object keeps it for a moment": """\
class Store:
    def __init__(self, path):
        self.path = path
        self.data = {}
    def load(self):
        with open(self.path) as f:
            self.data = json.load(f)
    def save(self):
        with open(self.path, "w") as f:
            json.dump(self.data, f)
    def add(self):
        self.load()
        self.data["n"] += 1
        self.save()
""",
    "an object keeps it for long": """\
class Store:
    def __init__(self, path):
        self.path = path
        with open(self.path) as f:
            self.data = json.load(f)
    def save(self):
        with open(self.path, "w") as f:
            json.dump(self.data, f)
    def add(self):
        self.data["n"] += 1
        self.save()
""",
    "a module keeps it": HELPERS
    + """\
DATA = load()
def add():
    DATA["n"] += 1
    save(DATA)
""",
    "an object of the module": """\
class Store:
    def __init__(self, path):
        self.path = path
    def load(self):
        with open(self.path) as f:
            return json.load(f)
    def save(self, d):
        with open(self.path, "w") as f:
            json.dump(d, f)
store = Store("a")
def add():
    d = store.load()
    d["n"] += 1
    store.save(d)
def add2():
    s = Store("b")
    s.save(dict(s.load(), x=1))
""",
    "methods of the class": """\
class Store:
    @staticmethod
    def load(name):
        with open(f"{D}/{name}.json") as f:
            return json.load(f)
    @classmethod
    def save(cls, name, d):
        with open(os.path.join(D, name + ".json"), "w") as f:
            json.dump(d, f)
def add():
    d = Store.load("x")
    d["n"] += 1
    Store.save("x", d)
""",
    "a branch of a view": HELPERS
    + """\
def view():
    if request.method == "POST":
        tasks = load()
        tasks.append(request.json)
        save(tasks)
        return "ok"
    return load()
""",
    "lambdas": """\
load = lambda: json.load(open("d"))
save = lambda d: json.dump(d, open("d", "w"))
def add():
    d = load()
    save(d)
""",
    "rows made into objects": """\
def load():
    out = []
    with open("d") as f:
        for row in json.load(f):
            out.append(Row(**row))
    return out
def save(rows):
    with open("d", "w") as f:
        json.dump([r.dict() for r in rows], f)
def add():
    rows = load()
    rows.append(1)
    save(rows)
""",
    "wrapped loads and saves": """\
from oasis_data import load_data_file, save_json_atomic
def load(): return load_data_file("d")
def save(x): return save_json_atomic("d", x)
async def add():
    x = load()
    x["a"] = 1
    save(x)
""",
    "a path that a function makes": """\
def path_of(name):
    return os.path.join("data", name)
def load(name):
    p = path_of(name)
    with open(p) as f: return json.load(f)
def save(name, d):
    with open(path_of(name), "w") as f: json.dump(d, f)
def add():
    d = load("x"); d["n"] = 1; save("x", d)
""",
}
NOT_FOUND = {
    "after a return": HELPERS
    + """\
def view(m):
    if m:
        return load()
    save(request.json)
""",
    "in the other branch": HELPERS
    + """\
def view(m):
    if m:
        d = load()
    else:
        save(request.json)
""",
    "another path": HELPERS
    + """\
def view(m):
    d = load()
    with open('e.json', 'w') as f:
        json.dump(d, f)
""",
    "loaded afterwards": HELPERS
    + """\
def add(d):
    save(d)
    return load()
""",
    "a lock between processes": "from filelock import FileLock\nlock = FileLock('x')\n"
    + HELPERS
    + """\
def add():
    with lock:
        d = load()
        save(d)
""",
    "an edit": """\
from oasis_data import edit_json
def add():
    with edit_json('x') as d:
        d['n'] = 1
""",
    "a version is compared": """\
from oasis_data import load_with_version, save_json_atomic
def add(p):
    d, v = load_with_version(p)
    save_json_atomic(p, d, if_version=v)
""",
    "another argument": OF_PATHS
    + """\
def convert(a, b):
    save(b, load(a))
""",
    "two answers": OF_PATHS
    + """\
def convert():
    a = input()
    b = input()
    save(b, load(a))
""",
}


def told(code: str) -> list[str]:
    return [each.message for each in findings(code) if each.rule.name == "lost-update"]


@pytest.mark.parametrize("fix", [False, True])
@pytest.mark.parametrize("case", FOUND)
def test_a_lost_update_is_found(case: str, fix: bool) -> None:
    code = IMPORTS + FOUND[case]
    (found,) = told(fixed(code) if fix else code)[:1]
    assert "is loaded in line" in found


@pytest.mark.parametrize("fix", [False, True])
@pytest.mark.parametrize("case", NOT_FOUND)
def test_what_loses_nothing_is_not_found(case: str, fix: bool) -> None:
    code = IMPORTS + NOT_FOUND[case]
    assert told(fixed(code) if fix else code) == []


def test_helpers_are_named_with_the_path_that_they_save() -> None:
    code = IMPORTS + OF_PATHS + "def add(n):\n    d = load(D + n)\n    save(f'{D}{n}', d)\n"
    (one,) = [each for each in findings(code) if each.rule.name == "lost-update"]
    assert one.message == ('f"{D}{n}" is loaded in line 11 by load(), and saved here by save()')
    assert one.span.line == 12
    assert one.replacement.startswith('with edit_json(f"{D}{n}") as document: ')


def test_an_update_is_told_where_it_is_made_and_not_where_that_is_called() -> None:
    code = IMPORTS + FOUND["plain"] + "def two():\n    add()\n    add()\n"
    assert len(told(code)) == 1
    # An object that loads right before each change is told there, and not where it saves.
    assert len(told(IMPORTS + FOUND["an object keeps it for a moment"])) == 1


@pytest.mark.parametrize("mode", ["a", "x"])
def test_what_is_appended_or_made_anew_replaces_no_change(mode: str) -> None:
    code = IMPORTS + HELPERS.replace('"w"', f'"{mode}"') + "def f():\n    save(load())\n"
    assert told(code) == []


def test_a_save_under_a_condition_is_a_save() -> None:
    code = (
        'import json\ndef drop(key):\n    with open("a.json") as f:\n        d = json.load(f)\n'
        '    with open("a.json", "w") as f:\n        if d.pop(key, None):\n'
        "            json.dump(d, f)\n"
    )
    assert told(code) == ["'a.json' is loaded in line 4, and saved here"]


def test_several_documents_are_followed_through_the_package() -> None:
    code = (
        "from oasis_data import load_many, save_many_atomic\ndef f():\n"
        "    a, b = load_many(['a.json', 'b.json'])\n"
        "    save_many_atomic({'b.json': a, 'c.json': b})\n"
    )
    assert told(code) == ["'b.json' is loaded in line 3, and saved here"]


@pytest.mark.parametrize(
    "use",
    [
        "from storage import load, save, PATH\n\ndef f():\n    save(PATH, load(PATH))\n",
        "import storage\n\ndef f():\n    d = storage.load('d.json')\n"
        "    storage.save(storage.PATH, d)\n",
        "from .storage import load as l, save as s\n\ndef f(p):\n    d = l(p)\n    s(p, d)\n",
    ],
)
def test_the_helpers_of_another_module_are_known(
    use: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "storage.py").write_text(f"import json\nPATH = 'd.json'\n{OF_PATHS}")
    (tmp_path / "views.py").write_text(use)
    assert "lost-update: " in run("views.py").output
    # Two modules of one name may both be meant.
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "storage.py").write_text("import json\n" + OF_PATHS)
    assert "lost-update: " not in run(".").output
