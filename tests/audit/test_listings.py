"""Listings of a folder: found where they meet more than the documents."""

from __future__ import annotations

import textwrap
from pathlib import Path

import pytest

from oasis_data import _native, save_json_atomic
from oasis_data.audit.listings import ENDS, INSIDE
from tests.audit.sources import findings, fixed

HEAD = """\
import glob, json, os, shutil, fnmatch
from oasis_data import load_data_file


def my(path):
    return load_data_file(path)


def f(d):
"""
B, F = "the backups", "the folder .oasis_data"
BF = f"{B} and {F}"
CASES: list[tuple[str, str | None]] = [
    ("for p in d.iterdir():\n    p.unlink()\n", BF),
    ("for p in d.glob('*'):\n    p.unlink()\n", BF),
    ("for p in d.glob('*.json'):\n    p.unlink()\n", None),
    ("for p in d.glob('*.json*'):\n    p.unlink()\n", B),
    ("for p in d.rglob('*.json*'):\n    p.unlink()\n", BF),
    ("for p in d.rglob('*.json'):\n    p.unlink()\n", None),
    ("for p in d.rglob('*'):\n    p.unlink()\n", BF),
    ("for p in d.glob('**/*'):\n    p.unlink()\n", BF),
    ("for p in d.glob('tank_*'):\n    p.unlink()\n", B),
    ("for p in d.glob('*.gz'):\n    p.unlink()\n", B),
    ("for p in d.glob('*.lock'):\n    p.unlink()\n", None),
    ("for p in d.rglob('*.lock'):\n    p.unlink()\n", F),
    ("for p in glob.glob('data/*'):\n    os.remove(p)\n", B),
    ("for p in glob.glob('data/*.json'):\n    os.remove(p)\n", None),
    ("for p in glob.glob(os.path.join(d, '*.json*')):\n    os.remove(p)\n", B),
    ("for p in glob.glob(f'{d}/*'):\n    os.remove(p)\n", B),
    ("for p in glob.glob(pattern):\n    os.remove(p)\n", None),
    ("for n in os.listdir(d):\n    os.remove(os.path.join(d, n))\n", BF),
    (
        "for n in os.listdir(d):\n"
        "    if n.endswith('.json'):\n"
        "        os.remove(os.path.join(d, n))\n",
        None,
    ),
    (
        "for n in os.listdir(d):\n"
        "    if not n.endswith('.json'):\n"
        "        continue\n"
        "    os.remove(os.path.join(d, n))\n",
        None,
    ),
    ("for n in os.listdir(d):\n    if '.json' in n:\n        os.remove(os.path.join(d, n))\n", BF),
    (
        "for n in os.listdir(d):\n"
        "    p = os.path.join(d, n)\n"
        "    if os.path.isfile(p):\n"
        "        x = json.load(open(p))\n",
        B,
    ),
    (
        "for n in os.listdir(d):\n"
        "    if fnmatch.fnmatch(n, '*.json'):\n"
        "        os.remove(os.path.join(d, n))\n",
        None,
    ),
    (
        "for n in os.listdir(d):\n"
        "    if fnmatch.fnmatch(n, '*.json*'):\n"
        "        os.remove(os.path.join(d, n))\n",
        BF,
    ),
    (
        "for n in fnmatch.filter(os.listdir(d), '*.json'):\n    os.remove(os.path.join(d, n))\n",
        None,
    ),
    ("for n in fnmatch.filter(os.listdir(d), 't*'):\n    os.remove(os.path.join(d, n))\n", B),
    ("for e in os.scandir(d):\n    if e.stat().st_mtime < 1:\n        os.remove(e.path)\n", BF),
    ("for r, ds, fs in os.walk(d):\n    for f in fs:\n        os.remove(os.path.join(r, f))\n", BF),
    (
        "for r, ds, fs in os.walk(d):\n"
        "    for f in fs:\n"
        "        if f.endswith('.json'):\n"
        "            os.remove(os.path.join(r, f))\n",
        None,
    ),
    ("x = {p.stem: json.loads(p.read_text()) for p in d.iterdir()}\n", BF),
    ("x = {p.stem: json.loads(p.read_text()) for p in d.iterdir() if p.suffix == '.json'}\n", None),
    ("x = [json.load(open(os.path.join(d, n))) for n in sorted(os.listdir(d))]\n", BF),
    (
        "files = [n for n in os.listdir(d) if n.endswith('.json')]\n"
        "for n in files:\n"
        "    os.remove(n)\n",
        None,
    ),
    ("files = os.listdir(d)\nfor n in files:\n    os.remove(n)\n", BF),
    ("for p in d.iterdir():\n    if p.is_dir():\n        shutil.rmtree(p)\n", F),
    (
        "for p in d.iterdir():\n"
        "    if p.is_dir():\n"
        "        shutil.rmtree(p)\n"
        "    else:\n"
        "        p.unlink()\n",
        BF,
    ),
    ("for p in d.iterdir():\n    print(p)\n", None),
    ("n = len(os.listdir(d))\n", None),
    ("for p in d.iterdir():\n    x = load_data_file(p)\n", BF),
    ("for p in d.iterdir():\n    x = my(p)\n", BF),
    ("list(map(os.remove, glob.glob('*')))\n", B),
    ("for n in os.listdir(d):\n    if n.startswith('.'):\n        continue\n    os.remove(n)\n", B),
    (
        "for n in os.listdir(d):\n"
        "    if '.backup.' in n or n == '.oasis_data':\n"
        "        continue\n"
        "    os.remove(n)\n",
        None,
    ),
    ("for n in os.listdir(d):\n    open(os.path.join(d, n, 'x.json'))\n", None),
    ("for n in os.listdir(d):\n    if n != 'keep.json':\n        os.remove(n)\n", BF),
]


@pytest.mark.parametrize(("code", "meets"), CASES)
def test_a_listing_is_told_what_it_meets(code: str, meets: str | None) -> None:
    code = HEAD + textwrap.indent(code, "    ")
    messages = [each.message for each in findings(code) if each.rule.name == "listed-folder"]
    assert [each.partition(" meets ")[2].partition(";")[0] for each in messages] == (
        [meets] if meets else []
    )


def test_a_listing_says_where_its_names_are_used() -> None:
    code = HEAD + "    for n in os.listdir(d):\n        os.remove(os.path.join(d, n))\n"
    (one,) = findings(code)
    assert (one.rule.name, one.span.line) == ("listed-folder", 10)
    assert one.message.endswith("; line 11 takes each for a file of its own")
    assert "prune_backups" in one.replacement
    assert fixed(code) == code


def test_what_has_nothing_to_do_with_json_is_not_found() -> None:
    code = "import os\ndef clean(d):\n    for n in os.listdir(d):\n        os.remove(n)\n"
    assert findings(code) == []


def test_the_names_that_a_pattern_is_held_against_are_those_of_the_package(tmp_path: Path) -> None:
    assert all(_native.parse_backup_name(f"x.json{end}") for end in ENDS)
    save_json_atomic(tmp_path / "x.json", 1)
    for name in (each.format("x.json") for each in INSIDE):
        path = tmp_path / _native.SIDECAR / name
        assert path.parent.is_dir()
        if name.startswith("temp/"):
            path.touch()
            (temporary,) = _native.inspect(tmp_path)["temporaries"]
            assert temporary["owner"] == str(tmp_path / "x.json")
        elif not name.startswith("journal"):
            assert path.exists()
