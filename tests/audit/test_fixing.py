"""Fixes as files: imports, encodings, line ends, and what is checked before a byte is written."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

import oasis_data.audit.fixing as fixing
from oasis_data.audit.fixing import NotFixedError, audit_file, write
from tests.audit.sources import NONE, audited, fixed

WRITE = 'with open("x.json", "w") as f:\n    json.dump([], f)\n'
SAVE = 'save_json_atomic("x.json", [], indent=None, ensure_ascii=True, allow_nan=True)\n'
IMPORT = "from oasis_data import save_json_atomic\n"


@pytest.mark.parametrize(
    ("head", "after"),
    [
        ("import json\n", f"{IMPORT}\n"),
        ('"""Doc."""\nimport json\n', f'"""Doc."""\n{IMPORT}\n'),
        ('"""Doc."""\n\nimport json\n\n', f'"""Doc."""\n\n{IMPORT}\n'),
        (
            "from __future__ import annotations\nimport json\nimport os\n",
            f"from __future__ import annotations\nimport os\n{IMPORT}\n",
        ),
        (
            "# Licence.\n\n# About json.\nimport json, os  # both\n",
            f"# Licence.\n\n# About json.\nimport os  # both\n{IMPORT}\n",
        ),
        (
            "import json\n\nimport flask\n\nX = 1\n",
            f"import flask\n{IMPORT}\nX = 1\n",
        ),
        (
            "import json\nfrom typing import TYPE_CHECKING\nif TYPE_CHECKING:\n"
            "    from oasis_data import save_json_atomic as s\n",
            f"from typing import TYPE_CHECKING\n{IMPORT}\nif TYPE_CHECKING:\n"
            "    from oasis_data import save_json_atomic as s\n",
        ),
        (
            "import json\nfrom oasis_data import stats\n",
            "from oasis_data import save_json_atomic, stats\n",
        ),
        (f"import json\n{IMPORT}", IMPORT),
        ("import json\nprint(json.dumps(1))\n", f"import json\n{IMPORT}\nprint(json.dumps(1))\n"),
        ("import json\n__all__ = ['json']\n", f"import json\n{IMPORT}\n__all__ = ['json']\n"),
        (
            "import json\ntry: pass\nexcept json.JSONDecodeError: pass\n",
            f"import json\n{IMPORT}\ntry: pass\nexcept json.JSONDecodeError: pass\n",
        ),
    ],
)
def test_imports_are_brought_in_order(head: str, after: str) -> None:
    assert fixed(head + WRITE) == after + SAVE


def test_a_name_that_the_module_imports_already_is_used() -> None:
    head = "import json\nfrom oasis_data.file_operations import save_json_atomic as keep\n"
    assert 'keep("x.json", []' in fixed(head + WRITE)
    assert "import save_json_atomic\n" not in fixed(head + WRITE)


def test_an_import_in_a_function_goes_with_its_last_use() -> None:
    code = (
        'def f():\n    import json\n    with open("x.json", "w") as g:\n        json.dump([], g)\n'
    )
    assert fixed(code) == f"{IMPORT}\ndef f():\n    {SAVE}"


@pytest.mark.parametrize("opening", ['"""Doc."""', "from __future__ import annotations"])
def test_an_import_that_would_come_first_is_not_made(opening: str) -> None:
    code = f"{opening}; import json\n{WRITE}"
    assert audited(code).findings[0].reason == (
        "the file's first line holds more, and leaves no place for the import"
    )
    assert fixed(code) == code


def test_an_import_that_nothing_used_before_stays() -> None:
    code = f"import json\nfrom json import loads, dumps\n{WRITE}"
    assert "from json import loads, dumps\n" in fixed(code)


@pytest.mark.parametrize(
    ("encoding", "head"),
    [
        ("utf-8", ""),
        ("utf-8-sig", ""),
        ("latin-1", "# -*- coding: latin-1 -*-\n"),
        ("cp1252", "# coding: cp1252\n"),
    ],
)
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_encoding_and_line_ends_stay(encoding: str, head: str, end: str) -> None:
    code = f"{head}import json\n\nname = 'Öl'; text = '''a\nb'''\n{WRITE}name = 'é'\n"
    content = code.replace("\n", end).encode(encoding)
    after = audit_file(Path("x.py"), content, NONE).fixed
    text = after.decode(encoding)
    assert text == (
        f"{head}{IMPORT}\nname = 'Öl'; text = '''a\nb'''\n{SAVE}name = 'é'\n".replace("\n", end)
    )


@pytest.mark.parametrize("indent", ["\t", "  "])
def test_indentation_stays(indent: str) -> None:
    code = (
        f'import json\ndef f(p):\n{indent}with open(p, "w") as g:\n'
        f"{indent}{indent}json.dump([], g)\n"
        f"{indent}{indent}if p:\n{indent}{indent}{indent}return 1\n"
    )
    assert f"\n{indent}save_json_atomic(p, []" in fixed(code)
    assert f"\n{indent}if p:\n{indent}{indent}return 1\n" in fixed(code)


@pytest.mark.parametrize("end", ["", "\n", "\n\n# last\n"])
def test_the_end_of_the_file_stays(end: str) -> None:
    code = f"import json\n{WRITE.rstrip()}{end}"
    assert fixed(code) == f"{IMPORT}\n{SAVE.rstrip()}{end}"


# Files


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "x.py"
    path.write_text(f"import json\n{WRITE}")
    return path


def test_mode_and_symlink_stay(source: Path, tmp_path: Path) -> None:
    source.chmod(0o754)
    link = tmp_path / "link.py"
    link.symlink_to(source)
    write(audit_file(link, source.read_bytes(), NONE))
    assert link.is_symlink()
    assert source.read_text() == f"{IMPORT}\n{SAVE}"
    assert source.stat().st_mode & 0o7777 == 0o754
    assert sorted(os.listdir(tmp_path)) == ["link.py", "x.py"]


def test_a_file_that_changed_meanwhile_is_left(source: Path, tmp_path: Path) -> None:
    found = audit_file(source, source.read_bytes(), NONE)
    source.write_text("changed = 1\n")
    with pytest.raises(NotFixedError, match="changed while it was audited"):
        write(found)
    assert source.read_text() == "changed = 1\n"
    assert os.listdir(tmp_path) == ["x.py"]


def test_the_file_is_replaced_whole(source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = source.read_bytes()
    found = audit_file(source, before, NONE)

    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match="No space"):
        write(found)
    assert source.read_bytes() == before
    assert os.listdir(source.parent) == ["x.py"]


def test_a_fix_that_is_no_python_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fixing, "rewrite", lambda *_: b"with\n")
    with pytest.raises(NotFixedError, match="no Python"):
        audited(f"import json\n{WRITE}")


def test_a_fix_that_takes_out_what_is_still_used_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(fixing, "rewrite", lambda content, *_: content.replace(b"import json", b""))
    with pytest.raises(NotFixedError, match="would still use json"):
        audited(f"import json\n{WRITE}")


def test_a_fix_that_comes_to_no_end_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fixing, "rewrite", lambda content, *_: content)
    with pytest.raises(NotFixedError, match="no end"):
        audited(f"import json\n{WRITE}")


@pytest.mark.parametrize(
    "code",
    ["def", "x = '\0'", "x = " + "(" * 300, "# coding: klingon\n", "x = " + "-" * 100_000 + "1"],
)
def test_what_is_no_python_is_found(code: str) -> None:
    done = audited(code)
    assert [each.rule.name for each in done.findings] == ["not-read"]
    assert done.fixed == done.content
