"""Caches of JSON files: found, and taken out whole or not at all."""

from __future__ import annotations

import pytest

from oasis_data.audit.mentions import Foreign
from tests.audit.sources import audited, findings, fixed, reasons

CACHE = """\
import json

# What was read.
cache = {{}}
other = 1


def load(path):
    if path in cache:
        return cache[path]
    with open(path) as f:
        document = json.load(f)
    cache[path] = document
    return document
{more}"""
WITHOUT = """\
from oasis_data import load_data_file

other = 1


def load(path):
    document = load_data_file(path, strict=True)
    return document
{more}"""


@pytest.mark.parametrize(
    ("more", "after"),
    [
        ("", ""),
        ("\n\ndef forget(path):\n    cache.pop(path, None)\n", "\n\ndef forget(path):\n    pass\n"),
        ("\n\ndef forget():\n    cache.clear()\n", "\n\ndef forget():\n    pass\n"),
        (
            "\n\ndef forget(path):\n    if path in cache:\n        del cache[path]\n    done()\n",
            "\n\ndef forget(path):\n    done()\n",
        ),
        ("\n\ndef forget(path): cache.clear()\n", "\n\ndef forget(path): pass\n"),
        (
            "\n\ndef forget(path): cache.pop(path, None); done()\n",
            "\n\ndef forget(path): done()\n",
        ),
        (
            "\n\nif other:\n    # Both.\n\n    # The cache.\n    cache.clear()\n    done()\n",
            "\n\nif other:\n    # Both.\n\n    done()\n",
        ),
    ],
)
def test_a_cache_that_is_only_kept_is_taken_out(more: str, after: str) -> None:
    assert fixed(CACHE.format(more=more)) == WITHOUT.format(more=after)


def test_only_the_comments_of_what_goes_go_with_it() -> None:
    code = """\
# The module.
import json  # goes

# About other things.

# goes
cache = {}  # goes


def load(path):
    # About the function.

    # goes
    if path in cache:  # goes
        # goes
        return cache[path]  # goes
    # The file.
    with open(path) as f:  # The read.
        # The body.
        document = json.load(f)  # parsed
    # goes
    cache[path] = document  # goes
    return document  # The end.
"""
    after = fixed(code)
    stay = [line for line in code.splitlines() if "#" in line and "goes" not in line]
    assert [each.partition("#")[2] for each in after.splitlines() if "#" in each] == [
        each.partition("#")[2] for each in stay
    ]


def test_a_value_that_was_saved_just_before_needs_no_hand_write() -> None:
    more = (
        "\n\ndef save(path, data):\n"
        '    with open(path, "w") as f:\n        json.dump(data, f, indent=2)\n'
        "    cache[path] = data\n"
    )
    given = findings(CACHE.format(more=more))
    assert [each.rule.name for each in given if each.fixable] == [
        "stale-cache",
        "plain-read",
        "torn-write",
        "cache-write",
    ]
    assert "cache" not in fixed(CACHE.format(more=more))


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        ("\n\ndef put(path, x):\n    cache[path] = x\n", "what is set may be in no file"),
        ("\n\ndef put(path, x):\n    cache[path]['a'] = x\n", "in another way"),
        ("\n\ndef peek(path):\n    return cache.get(path)\n", "in another way"),
        ("\n\ndef drop(path):\n    del cache[path]\n", "in another way"),
        ("\n\ndef drop(path):\n    return cache.pop(path, None)\n", "in another way"),
        ("\n\ndef drop(path):\n    cache.pop(path)\n", "in another way"),
        ("\n\ndef drop(path):\n    cache.pop(path, go())\n", "in another way"),
        ("\n\ndef size():\n    return len(cache)\n", "in another way"),
        ("\n\ncache = {}\n", "in another way"),
        ("\n\ndef new():\n    global cache\n    cache = {}\n", "in another way"),
        ("\n\ndef q(p):\n    if p in cache:\n        return cache[p]\n", "where nothing is loaded"),
        ("\n\n__all__ = ['cache']\n", "is exported"),
        (
            "\n\ndef drop(p):\n    if p is None:\n        cache.clear()\n"
            "    elif p in cache:\n        del cache[p]\n",
            "in another way",
        ),
    ],
)
def test_a_cache_with_another_use_is_left(more: str, reason: str) -> None:
    code = CACHE.format(more=more)
    (given,) = reasons(code, "stale-cache")
    if more == "\n\ncache = {}\n":
        # Two definitions, both empty: still nothing but a cache.
        assert given is None
        return
    assert given is not None
    assert reason in given
    assert "cache[path] = document" in fixed(code)


@pytest.mark.parametrize(
    ("between", "certain"),
    [
        ("    document = enrich(document)\n", False),
        ("    enrich(document)\n", False),
        ("    document['n'] = 1\n", False),
        ("    if path:\n        document = 1\n", True),
        ("    if not document:\n        return document\n", True),
    ],
)
def test_a_cache_of_what_was_computed_is_left(between: str, certain: bool) -> None:
    fill = "    cache[path] = document\n"
    code = CACHE.format(more="").replace(fill, between + fill)
    reason = "document may not be what was read any more when it is kept"
    assert reasons(code, "stale-cache") == [None if certain else reason]
    assert (fill in fixed(code)) != certain


def test_a_cache_of_what_was_changed_in_the_same_line_is_left() -> None:
    code = CACHE.format(more="").replace("json.load(f)", "json.load(f); document.sort()")
    assert reasons(code, "stale-cache") != [None]


def test_a_cache_of_what_is_computed_in_another_case_is_left() -> None:
    code = CACHE.format(more="").replace(
        "    with", "    if not path:\n        document = compute()\n    with"
    )
    assert reasons(code, "stale-cache") != [None]


def test_a_cache_stays_where_the_read_does() -> None:
    code = CACHE.format(more="").replace("json.load(f)", "json.load(f, object_hook=g)")
    assert reasons(code, "stale-cache") == ["what line 12 reads would be parsed anew each time"]
    assert fixed(code) == code


def test_a_cache_that_is_looked_up_by_an_elif_is_left() -> None:
    guard = "    if path in cache:\n"
    code = CACHE.format(more="").replace(
        guard, f"    if not path:\n        return None\n    el{guard.lstrip()}"
    )
    assert reasons(code, "stale-cache") == ["line 11 uses cache in another way"]
    assert "    elif path in cache:\n        return cache[path]\n" in fixed(code)


def test_a_hand_write_is_found_with_its_replacement() -> None:
    code = CACHE.format(more="\n\ndef put(path, x):\n    cache[path] = x\n")
    (one,) = [each for each in findings(code) if each.rule.name == "cache-write"]
    assert one.span.line == 18
    assert one.replacement.startswith("save_json_atomic(path, x)")


def test_what_reads_into_the_cache_alone_is_left() -> None:
    code = (
        "import json\ncache = {}\ndef load(path):\n"
        "    if path not in cache:\n        cache[path] = json.load(open(path))\n"
        "    return cache[path]\n"
    )
    (given,) = reasons(code, "stale-cache")
    assert given == "line 4 uses cache in another way"
    assert "cache[path] = load_data_file(path, strict=True)" in fixed(code)


def test_a_cache_that_another_module_mentions_is_left() -> None:
    code = CACHE.format(more="")
    done = audited(code, foreign=Foreign(counts={"cache": 1}))
    assert done.remaining[0].reason == "another module uses cache"


def test_a_cache_whose_name_a_star_may_bind_is_left() -> None:
    code = CACHE.format(more="").replace("import json", "import json\nfrom guide import *")
    assert reasons(code, "stale-cache") == [
        "from guide import * may bind names such as open and json"
    ]
    assert fixed(code) == code


def test_a_cache_in_an_object_is_found() -> None:
    code = (
        "import json\nclass Store:\n    def load(self, path):\n"
        "        self.documents[path] = json.load(open(path))\n"
    )
    assert reasons(code, "stale-cache") == ["cannot tell who else uses self.documents"]


@pytest.mark.parametrize("decorator", ["functools.lru_cache(maxsize=None)", "functools.cache"])
def test_a_memoized_load_is_found(decorator: str) -> None:
    code = (
        f"import functools, json\n@{decorator}\ndef load(path):\n"
        "    with open(path) as f:\n        return json.load(f)\n"
    )
    (one,) = [each for each in findings(code) if each.rule.name == "stale-cache"]
    assert one.span.line == 2
    assert one.reason
    assert "return load_data_file(path, strict=True)" in fixed(code)
    # The fix leaves it memoized, and still says so.
    assert reasons(fixed(code), "stale-cache") == [one.reason]


HELPER = "import json\ndef load(path):\n    with open(path) as f:\n        return json.load(f)\n"


@pytest.mark.parametrize(
    "cache",
    [
        "kept = {{}}\ndef get(path):\n    if path not in kept:\n"
        "        kept[path] = {load}(path)\n    return kept[path]\n",
        "kept = {{}}\ndef get(path):\n    if path in kept:\n        return kept[path]\n"
        "    document = {load}(path)\n    kept[path] = document\n    return document\n",
        "class Store:\n    def get(self, path):\n        self.kept[path] = {load}(path)\n",
        "import functools\n@functools.cache\ndef get(path):\n    return {load}(path)\n",
    ],
)
def test_a_cache_of_what_a_helper_loads_is_found(cache: str) -> None:
    code = HELPER + cache.format(load="load")
    (reason,) = reasons(code, "stale-cache")
    assert reason
    # The helper is fixed, and what keeps its documents is still found.
    assert "return load_data_file(path, strict=True)" in fixed(code)
    assert fixed(code).endswith(cache.format(load="load"))
    assert reasons(fixed(code), "stale-cache") == [reason]
    # A function of that name that loads nothing.
    assert (
        reasons("def load(path):\n    return 1\n" + cache.format(load="load"), "stale-cache") == []
    )


@pytest.mark.parametrize(
    "store", ["from flask import session\nsession['a'] = load('x')\n", "x = {}\nx['a'] = 1\n"]
)
def test_not_all_that_a_helper_loads_is_kept_in_a_cache(store: str) -> None:
    code = HELPER + store + "def get():\n    local = {}\n    local['a'] = load('a')\n"
    assert reasons(code, "stale-cache") == []


def test_a_load_and_a_save_in_one_function_lose_updates() -> None:
    code = (
        "from oasis_data import load_data_file, save_json_atomic\n"
        "def change(path):\n    x = load_data_file(path)\n    save_json_atomic(path, x)\n"
        "def other(path):\n    save_json_atomic(path, 1)\n"
    )
    (one,) = findings(code)
    assert (one.rule.name, one.span.line) == ("lost-update", 4)
    assert not one.fixable


@pytest.mark.parametrize(
    "store",
    [
        "from flask import session\nsession['a'] = {read}\nsession['b'] = 1\n",
        "from flask import g as kept\nkept['a'] = {read}\n",
        "from quart import session\nsession['a'] = {read}\n",
        "from .web import session\nsession['a'] = {read}\n",
        "import flask\nflask.session['a'] = {read}\n",
        "import flask\nstore = flask.session\nstore['a'] = {read}\n",
        "from flask import Flask\napp = Flask(__name__)\napp.config['a'] = {read}\n",
        "from here import app\napp.config['a'] = {read}\n",
        "from flask import current_app\ncurrent_app.config['a'] = {read}\n",
        "from flask import current_app\ncurrent_app.extensions['a']['b'] = {read}\n",
        "def view(request):\n    request.session['a'] = {read}\n",
        "class View:\n    def get(self):\n        self.request.session['a'] = {read}\n",
        "import streamlit as st\nst.session_state['a'] = {read}\n",
        "import os\nos.environ['a'] = {read}\n",
    ],
)
def test_what_belongs_to_a_request_or_an_application_is_no_cache(store: str) -> None:
    code = "import json\n" + store.format(read="json.load(open('x.json'))")
    assert {each.rule.name for each in findings(code)} == {"plain-read"}


def test_each_cache_is_named_with_the_line_in_which_it_is_filled() -> None:
    code = (
        "import json\nfrom state import FIRST, SECOND\n"
        "def c():\n    SECOND['c'] = json.load(open('c'))\n"
        "def a():\n    FIRST['a'] = json.load(open('a'))\n"
        "def b():\n    SECOND['b'] = FIRST['b'] = json.load(open('b'))\n"
    )
    lines = {
        each.message.split()[0]: each.span.line
        for each in findings(code)
        if each.rule.name == "stale-cache"
    }
    assert lines == {"SECOND": 4, "FIRST": 6}


def test_a_memoized_function_is_named_once() -> None:
    code = (
        "import functools, json\n@functools.cache\ndef load():\n"
        "    return json.load(open('a')), json.load(open('b'))\n"
    )
    assert len(reasons(code, "stale-cache")) == 1
