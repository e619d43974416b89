"""Every code block of the pages in docs, run as it stands, in order, in one folder."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from oasis_data import configure, save_json_atomic
from tests.audit.test_migration import LEGACY
from tests.backend.conftest import BACKEND
from tests.conftest import require
from tests.test_batch import DECIDED, contents, interrupt, three_files

DOCS = Path(__file__).parents[1] / "docs"


def blocks_of(page: str) -> list[tuple[str, str]]:
    """Each block, and the language that it is said to be in."""
    return blocks_in((DOCS / page).read_text())


def blocks_in(text: str) -> list[tuple[str, str]]:
    return re.findall(r"^```(\w*)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def run(blocks: list[tuple[str, str]], folder: Path) -> None:
    """Runs blocks of Python and of the shell; questions are answered with yes."""
    scripts = Path(sys.executable).parent
    require((scripts / "oasis-data").exists(), "needs the console script oasis-data")
    path = os.pathsep.join([str(folder / "bin"), str(scripts), os.environ["PATH"]])
    for language, code in blocks:
        # Each line of a shell block is a command, and says how it ends.
        for part in [code] if language == "python" else code.splitlines():
            shell = ["bash", "-c", part]
            command = shell if language == "sh" else [sys.executable, "-W", "error", "-c", part]
            done = subprocess.run(
                command,
                cwd=folder,
                env=os.environ | {"PATH": path},
                input="y\n",
                capture_output=True,
                text=True,
                check=False,
            )
            told = re.search(r"# exits with (\d+)", part) if language == "sh" else None
            assert done.returncode == (int(told[1]) if told else 0), (part, done)


def test_the_migration_guide(tmp_path: Path) -> None:
    shutil.copytree(LEGACY, tmp_path / "backend", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(BACKEND / "sample_data", tmp_path / "data")
    blocks = blocks_of("migration.md")
    assert {language for language, _ in blocks} == {"python", "sh"}
    run(blocks, tmp_path)


def test_a_rollback_loses_nothing_where_the_data_lies_inside_the_backend(tmp_path: Path) -> None:
    backend, data = tmp_path / "backend", tmp_path / "backend" / "data"
    shutil.copytree(LEGACY, backend, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(BACKEND / "sample_data", data)
    old = (backend / "api.py").read_bytes()
    page = (DOCS / "migration.md").read_text()
    # The folder of the documents, and neither its copy nor a module of that name.
    page, named = re.subn(r"(?<![\w./-])data(?=[/\s])", "backend/data", page)
    assert named > 10
    moved, rollback = page.split("\n## Rollback\n")
    run(blocks_in(moved), tmp_path)
    assert (backend / "api.py").read_bytes() != old
    # What users save after the move: a change, and a document and a folder that are new.
    save_json_atomic(data / "dynamic_data" / "tanks.json", {"Tank1": "of today"})
    save_json_atomic(data / "new" / "plans.json", ["of today"], make_parents=True)
    saved = documents_in(backend)

    code, rest = re.split(r"^### 2", rollback, flags=re.MULTILINE)
    run(blocks_in(code), tmp_path)

    assert (backend / "api.py").read_bytes() == old
    assert documents_in(backend) == documents_in(tmp_path / "backend.after") == saved
    run(blocks_in(rest), tmp_path)
    # The document that nobody wanted came later, and is a backup by now.
    assert saved.items() <= documents_in(backend).items()


def test_a_rollback_finishes_an_interrupted_batch_before_old_code_starts(
    strace: str, tmp_path: Path
) -> None:
    for name in ("backend", "backend.before"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "api.py").touch()
    paths = three_files(tmp_path / "data")
    interrupt(strace, paths, DECIDED)
    _, rollback = (DOCS / "migration.md").read_text().split("\n## Rollback\n")
    code, _ = rollback.split("\nStart the server.")
    run(blocks_in(code), tmp_path)
    assert contents(paths) == ["new"] * 3


def documents_in(folder: Path) -> dict[Path, bytes]:
    """All that is not a source: the documents and their backups."""
    return {
        path.relative_to(folder): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and path.suffix not in (".py", ".pyc") and ".oasis_data" not in path.parts
    }


def test_the_operators_page(tmp_path: Path) -> None:
    shutil.copytree(BACKEND / "sample_data", tmp_path / "data")
    for number in range(3):
        save_json_atomic(tmp_path / "tanks.json", {"Tank1": number})
    (tmp_path / "tanks.json").write_text('{"Tank1": 2')
    blocks = blocks_of("operations.md")
    assert {language for language, _ in blocks} == {"python", "sh"}
    run(blocks, tmp_path)


def test_the_page_of_what_lies_on_disk(strace: str, tmp_path: Path) -> None:
    tree, command, journal = (code for _, code in blocks_of("on-disk.md"))
    data = tmp_path / "data"
    data.mkdir()
    configure(backups_compressed_above=0)
    for number in range(2):
        save_json_atomic(data / "tanks.json", number)
    configure(backups_compressed_above=float("inf"))
    save_json_atomic(data / "tanks.json", 2)
    interrupt(strace, three_files(data), DECIDED)
    stamp = re.compile(r"\d{8}_\d{6}_\d{6}")
    told = {Path(line.split()[0]).name for line in tree.splitlines()[1:] if "…" not in line}
    there = {stamp.sub("<stamp>", each.name) for each in data.rglob("*")}
    assert {stamp.sub("<stamp>", name) for name in told} <= there

    (real,) = (json.loads(each.read_bytes()) for each in data.glob("here/.oasis_data/journal"))
    shown = json.loads(journal)
    assert real.keys() == shown.keys()
    assert real["places"][0].keys() == shown["places"][0].keys()
    assert shown["changes"][0].keys() <= real["changes"][0].keys()

    (tmp_path / "bin").mkdir()
    editor = tmp_path / "bin" / "edit-tanks"
    editor.write_text('#!/bin/sh\necho edited > "$1"\n')
    editor.chmod(0o755)
    run([("sh", command)], tmp_path)
    assert (data / "tanks.json").read_text() == "edited\n"
