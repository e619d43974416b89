"""The command as it is called: what it prints, writes, and exits with."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import jsonschema  # type: ignore[import-untyped]
import pytest
from click.testing import CliRunner, Result

from oasis_data.audit.command import command
from oasis_data.audit.reporting import NOT_SEEN
from tests.conftest import python, require, stamps

AS_NOBODY = """\
import os, sys
from oasis_data.audit.command import command

os.chdir(sys.argv[1])
if os.geteuid() == 0:
    os.setuid(65534)
command(["."])
"""
UNSAFE = 'import json\nwith open("x.json", "w") as f:\n    json.dump([], f)\n'
LEFT = 'import json\nwith open("x.json", "a") as f:\n    json.dump([], f)\n'
SCHEMA = Path(__file__).parent / "sarif-schema-2.1.0.json"


def run(*arguments: object) -> Result:
    return CliRunner().invoke(command, [os.fsdecode(each) for each in arguments])  # type: ignore[arg-type]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with sources in it."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "unsafe.py").write_text(UNSAFE)
    (tmp_path / "safe.py").write_text("x = 1\n")
    return tmp_path


def test_each_finding_is_told(here: Path) -> None:
    done = run("unsafe.py")
    assert done.exit_code == 1
    assert done.output == (
        "unsafe.py:3:5: torn-write: JSON is written into 'x.json' itself\n"
        "    A crash in the middle leaves half a file, and readers meet it empty or half written.\n"
        "    Instead: save_json_atomic('x.json', [], indent=None, ensure_ascii=True, "
        "allow_nan=True)\n"
        "1 file read, 1 finding: --fix replaces 1, and leaves 0 to you\n"
        f"{NOT_SEEN}\n"
    )
    assert (here / "unsafe.py").read_text() == UNSAFE


def test_nothing_found_is_said(here: Path) -> None:
    done = run("safe.py")
    assert (done.exit_code, done.output) == (0, f"1 file read, nothing found\n{NOT_SEEN}\n")


def test_a_diff_is_shown_and_nothing_written(here: Path) -> None:
    done = run("--diff", ".")
    assert done.exit_code == 1
    assert done.output == (
        "--- unsafe.py\n+++ unsafe.py\n@@ -1,3 +1,3 @@\n"
        '-import json\n-with open("x.json", "w") as f:\n-    json.dump([], f)\n'
        "+from oasis_data import save_json_atomic\n+\n"
        '+save_json_atomic("x.json", [], indent=None, ensure_ascii=True, allow_nan=True)\n'
    )
    assert (here / "unsafe.py").read_text() == UNSAFE


@pytest.mark.parametrize(
    "source",
    [
        UNSAFE.encode(),
        UNSAFE.encode().rstrip(),
        UNSAFE.replace("\n", "\r\n").encode(),
        b"\xef\xbb\xbf" + UNSAFE.encode(),
        b"# coding: latin-1\n# \xe9\n" + UNSAFE.encode(),
        # What Python's own idea of a line would split.
        "import json\n\f\nx = '\x1c\x85\u2028'\n".encode() + UNSAFE.encode().partition(b"\n")[2],
    ],
    ids=["plain", "no-end", "crlf", "bom", "latin-1", "separators"],
)
@pytest.mark.parametrize("name", ["unsafe.py", "un safe.py"])
@pytest.mark.parametrize("command", [["git", "apply", "-p0", "-"], ["patch", "-p0", "--binary"]])
def test_a_diff_can_be_applied(here: Path, command: list[str], name: str, source: bytes) -> None:
    require(shutil.which(command[0]), f"needs {command[0]}")
    path = here / name
    path.write_bytes(source)
    diff = run("--diff", name).stdout_bytes
    subprocess.run(command, input=diff, cwd=here, check=True, capture_output=True)
    applied = path.read_bytes()
    assert applied != source
    path.write_bytes(source)
    assert run("--fix", name).exit_code == 0
    assert path.read_bytes() == applied


def test_a_read_only_file_is_left(here: Path) -> None:
    path = here / "unsafe.py"
    path.chmod(0o444)
    done = run("--fix", "unsafe.py")
    assert done.exit_code == 3
    assert "not written: unsafe.py: read-only; make it writable" in done.stderr
    assert path.read_text() == UNSAFE
    assert sorted(each.name for each in here.iterdir()) == ["safe.py", "unsafe.py"]


def test_a_fix_is_written_once(here: Path) -> None:
    (here / "left.py").write_text(LEFT)
    done = run("--fix", ".")
    assert done.exit_code == 1
    assert "fixed unsafe.py: 1 replaced" in done.stderr
    assert "--fix leaves it: what is appended makes the file several documents" in done.stdout
    assert "3 files read, 1 finding: --fix replaces 0, and leaves 1 to you" in done.stdout
    assert (here / "left.py").read_text() == LEFT
    after = stamps(here / "unsafe.py")
    assert "fixed" not in run("--fix", ".").stderr
    assert stamps(here / "unsafe.py") == after
    assert run("--fix", "unsafe.py").exit_code == 0


def test_a_file_that_cannot_be_written_is_told(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise PermissionError(13, "Permission denied", "unsafe.py")

    monkeypatch.setattr(os, "replace", fail)
    done = run("--fix", "unsafe.py")
    assert done.exit_code == 3
    assert "not written: [Errno 13] Permission denied" in done.stderr
    assert "--fix replaces 1" in done.stdout


@pytest.mark.parametrize(
    "folder", [".venv", "node_modules", "__pycache__", ".git", "made", "build", "left_out"]
)
def test_what_others_wrote_is_left_out(here: Path, folder: str) -> None:
    (here / folder).mkdir()
    (here / folder / "unsafe.py").write_text(UNSAFE)
    (here / "made").mkdir(exist_ok=True)
    (here / "made" / "pyvenv.cfg").touch()
    done = run("--exclude", "left_*", "--exclude", "unsafe.py", ".")
    assert done.output == f"1 file read, nothing found\n{NOT_SEEN}\n"
    # Unless it is named.
    assert run(f"{folder}/unsafe.py").exit_code == 1


def test_folders_are_searched_and_sources_are_taken_once(here: Path) -> None:
    (here / "scheduler").mkdir()
    (here / "scheduler" / "utils.py").write_text(UNSAFE)
    (here / "link.py").symlink_to("unsafe.py")
    (here / "script").write_text(UNSAFE)
    os.mkfifo(here / "pipe.py")
    assert "3 files read, 2 findings" in run(".", "unsafe.py", "scheduler").output
    assert "1 file read, 1 finding" in run("script").output


@pytest.mark.parametrize("mode", [0o000, 0o444])
def test_what_may_not_be_read_stops_nothing(here: Path, mode: int) -> None:
    (here / "closed" / "inner").mkdir(parents=True)
    (here / "closed" / "hidden.py").touch()
    here.chmod(0o755)
    (here / "closed").chmod(mode)
    done = subprocess.run(
        [sys.executable, "-c", AS_NOBODY, str(here)], capture_output=True, text=True, check=False
    )
    (here / "closed").chmod(0o755)
    assert done.returncode == 1, done.stderr
    unread = {0o000: ["closed"], 0o444: ["closed/hidden.py", "closed/inner"]}[mode]
    for name in unread:
        assert f"{name}:1:1: not-read: Permission denied\n" in done.stdout
    assert "unsafe.py:3:5: torn-write" in done.stdout


def test_a_file_that_is_no_python_stops_nothing(here: Path) -> None:
    (here / "broken.py").write_text("def\n")
    (here / "binary.py").write_bytes(b"\xff\xfe\x00")
    done = run(".")
    assert done.exit_code == 1
    assert "broken.py:1:4: not-read: not Python: invalid syntax" in done.output
    assert "binary.py:1:1: not-read: not Python:" in done.output
    assert "unsafe.py:3:5: torn-write" in done.output


def test_a_source_too_deep_to_be_rewritten_is_told(here: Path) -> None:
    deep = f"x = {'+'.join(['1'] * 5000)}\n{UNSAFE}"
    (here / "unsafe.py").write_text(deep)
    done = run("--fix", ".")
    assert done.exit_code == 1
    assert "unsafe.py:1:1: not-read:" in done.output
    assert (here / "unsafe.py").read_text() == deep


def test_a_chain_of_many_attributes_stops_nothing(here: Path) -> None:
    (here / "safe.py").write_text(f"x = y{'.z' * 2000}\n")
    assert "2 files read, 1 finding" in run(".").output


def test_names_are_printed_on_one_line(here: Path) -> None:
    name = b"odd\n\x1b[31m\xff.py"
    (here / os.fsdecode(name)).write_text(UNSAFE)
    done = run(".")
    assert "odd\\n\\x1b[31m\\udcff.py:3:5: torn-write" in done.output
    assert run("--diff", ".").exit_code == 1
    json.loads(run("--sarif", ".").output)


CACHE = (
    "import json\ncache = {}\ndef load(p):\n    if p in cache:\n        return cache[p]\n"
    "    with open(p) as f:\n        d = json.load(f)\n    cache[p] = d\n    return d\n"
)


@pytest.mark.parametrize("path", [".", "unsafe.py"])
@pytest.mark.parametrize(
    "other",
    [
        "from unsafe import cache\n",
        "from unsafe import *\n",
        "import unsafe\nunsafe.cache['a'] = 1\n",
        "from unittest import mock\nmock.patch('unsafe.cache', {})\n",
        "def test(monkeypatch):\n    monkeypatch.setattr(there, 'cache', {})\n",
    ],
)
def test_a_cache_that_another_file_uses_is_left(here: Path, other: str, path: str) -> None:
    (here / "unsafe.py").write_text(CACHE)
    assert "--fix replaces 2, and leaves 0" in run(path).output
    (here / "safe.py").write_text(other)
    assert "--fix leaves it: another module uses cache" in run(path).output


def test_the_modules_around_a_package_are_looked_at(here: Path) -> None:
    (here / "package" / "inner").mkdir(parents=True)
    for folder in ("package", "package/inner"):
        (here / folder / "__init__.py").touch()
    (here / "package" / "inner" / "stored.py").write_text(CACHE)
    (here / "safe.py").write_text("from package.inner.stored import cache\n")
    assert "another module uses cache" in run("package/inner/stored.py").output
    assert "another module uses cache" in run("package/inner").output


@pytest.mark.parametrize(
    ("other", "stays"),
    [
        ("from unsafe import *\n", True),
        ("from .unsafe import json\n", True),
        ("import package.unsafe as u\nu.json.dumps(1)\n", True),
        ("from package import unsafe\nunsafe.json.dumps(1)\n", True),
        ("from unittest import mock\nmock.patch('unsafe.json.dump')\n", True),
        ("import unsafe\ngetattr(unsafe, 'json')\n", True),
        ("from . import *\n", True),
        ("from flask import request\nx = request.json, 'json', f().json()\n", False),
        ("import json, unsafe\njson.dumps(unsafe.x)\n", False),
    ],
)
def test_an_import_that_another_file_uses_stays(here: Path, other: str, stays: bool) -> None:
    (here / "safe.py").write_text(other)
    assert run("--fix", "unsafe.py").exit_code == 0
    assert ("import json\n" in (here / "unsafe.py").read_text()) == stays


def test_an_import_that_is_used_through_a_package_stays(here: Path) -> None:
    (here / "package").mkdir()
    (here / "package" / "__init__.py").write_text(UNSAFE)
    (here / "safe.py").write_text("import package\npackage.json.dumps(1)\n")
    assert run("--fix", ".").exit_code == 0
    assert "import json\n" in (here / "package" / "__init__.py").read_text()
    assert "import json\n" not in (here / "unsafe.py").read_text()


@pytest.mark.parametrize(
    "arguments", [[], ["missing.py"], ["--diff", "--sarif", "."], ["--no", "."]]
)
def test_a_wrong_command_line_exits_with_2(here: Path, arguments: list[str]) -> None:
    assert run(*arguments).exit_code == 2


def test_nothing_of_the_sources_is_run(here: Path) -> None:
    (here / "unsafe.py").write_text(f"open('ran', 'w')\nraise SystemExit(3)\n{UNSAFE}")
    assert run("--fix", "unsafe.py").exit_code == 0
    assert not (here / "ran").exists()


# SARIF


def sarif(*paths: object) -> dict[str, Any]:
    log: dict[str, Any] = json.loads(run("--sarif", *paths).stdout)
    jsonschema.Draft7Validator(json.loads(SCHEMA.read_bytes())).validate(log)
    return log


def test_sarif_is_as_the_schema_has_it(here: Path) -> None:
    (here / "left, ö.py").write_text(LEFT)
    (here / "broken.py").write_text("def\n")
    (one,) = sarif(".")["runs"]
    rules = [each["id"] for each in one["tool"]["driver"]["rules"]]
    seen = []
    for result in one["results"]:
        assert rules[result["ruleIndex"]] == result["ruleId"]
        place = result["locations"][0]["physicalLocation"]
        seen.append((place["artifactLocation"]["uri"], place["region"]["startLine"]))
    assert seen == [("broken.py", 1), ("left%2C%20%C3%B6.py", 3), ("unsafe.py", 3)]
    texts = [each["message"]["text"] for each in one["results"]]
    assert "--fix leaves it: what is appended" in texts[1]
    assert "Instead: save_json_atomic('x.json', []" in texts[2]


def test_sarif_names_files_elsewhere_by_their_whole_path(here: Path, tmp_path: Path) -> None:
    os.makedirs(here / "deep")
    os.chdir(here / "deep")
    (one,) = sarif(here / "unsafe.py")["runs"]
    location = one["results"][0]["locations"][0]["physicalLocation"]["artifactLocation"]
    assert location == {"uri": (here / "unsafe.py").as_uri()}


def test_the_schema_refuses_what_is_no_sarif(here: Path) -> None:
    log = sarif("unsafe.py")
    log["runs"][0]["results"][0]["level"] = "fatal"
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.Draft7Validator(json.loads(SCHEMA.read_bytes())).validate(log)


# The program


def test_the_help_has_examples() -> None:
    help_text = run("--help").output
    assert "\n    oasis-data audit --fix backend/api.py\n" in help_text
    assert "\n               1  something is found\n" in help_text


def test_the_module_is_the_command(here: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-m", "oasis_data.audit", "unsafe.py"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (1, run("unsafe.py").output, "")


@pytest.mark.parametrize("module", ["click", "libcst"])
def test_without_what_it_needs_the_module_says_what_to_install(module: str) -> None:
    code = (
        f"import runpy, sys\nsys.modules[{module!r}] = None\n"
        "runpy.run_module('oasis_data.audit', run_name='__main__')"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, "x.py"], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (3, "")
    assert done.stderr == f"oasis_data.audit needs {module}: pip install 'oasis_data[cli]'\n"


def test_the_package_alone_imports_none_of_it() -> None:
    code = "import sys, oasis_data\nprint(sorted({'click', 'libcst'} & set(sys.modules)))"
    assert python(code) == "[]\n"
