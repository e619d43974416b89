"""Each code block of the pages is run as it stands, in order, in one folder, or is text."""

from __future__ import annotations

import importlib
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from oasis_data import configure, save_json_atomic
from oasis_data.rules.lines import tomllib
from tests.audit.test_migration import LEGACY
from tests.backend.conftest import BACKEND
from tests.conftest import require, require_programs
from tests.judging.references import in_force
from tests.postgres.fixtures import APPLICATION, OWNER
from tests.postgres.server import Server
from tests.test_batch import DECIDED, contents, interrupt, three_files

ROOT = Path(__file__).resolve().parents[1]
PAGES = {
    str(path.relative_to(ROOT)): path.read_text()
    for path in [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md"))]
}
MIGRATION = "docs/how-to/migration.md"
ON_DISK = "docs/reference/on-disk.md"
# Programs of the pages' commands that a small machine does not have.
TOOLS = {"diff", "find", "flock", "make", "sed", "tar"}
HOSTS = "docs/how-to/hosts.md"
NEEDED = {"docs/how-to/django.md": "django", "docs/how-to/fastapi.md": "fastapi"}


def blocks_in(text: str) -> list[tuple[str, str]]:
    """Each block, and the language that it is said to be in."""
    return re.findall(r"^```(\w*)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def run(blocks: list[tuple[str, str]], folder: Path) -> None:
    """Runs blocks of Python and of the shell; questions are answered with yes."""
    for language, code in blocks:
        if language == "python":
            execute([sys.executable, "-W", "error", "-c", code], folder, ends_with=0)
        elif language == "sh":
            require_programs(*sorted(TOOLS & set(re.findall(r"[\w-]+", code))))
            # Each line is a command, and says how it ends.
            for line in code.splitlines():
                told = re.search(r"# exits with (\d+)", line)
                run_line(line, folder, ends_with=int(told[1]) if told else 0)
        else:
            READERS[language](code)


def run_line(line: str, folder: Path, *, ends_with: int) -> None:
    if not line.startswith("make "):
        execute(["bash", "-c", line], folder, ends_with=ends_with)
    elif (ROOT / "Makefile").exists():  # not in the copy that `make test-pythons` tests
        # Named and planned, and not run: this test is itself a part of `make test`.
        execute(["bash", "-c", f"make -n {line[5:]}"], ROOT, ends_with=ends_with)


def execute(command: list[str], folder: Path, *, ends_with: int) -> None:
    scripts = Path(sys.executable).parent
    require((scripts / "oasis-data").exists(), "needs the console script oasis-data")
    path = os.pathsep.join([str(folder / "bin"), str(scripts), os.environ["PATH"]])
    done = subprocess.run(
        command,
        cwd=folder,
        env=os.environ | {"PATH": path},
        input="y\n",
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == ends_with, (command[-1], done)


def read_yaml(code: str) -> object:
    require(find_spec("yaml"), "needs PyYAML")
    return importlib.import_module("yaml").safe_load(code)


# What a block in another language than Python and the shell has to pass.
READERS: dict[str, Callable[[str], object]] = {
    "json": json.loads,
    "text": str,
    "toml": tomllib.loads,
    "yaml": read_yaml,
}


def lay_out_a_backend(folder: Path) -> None:
    shutil.copytree(LEGACY, folder / "backend", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(BACKEND / "sample_data", folder / "data")


def lay_out_an_incident(folder: Path) -> None:
    shutil.copytree(BACKEND / "sample_data", folder / "data")
    tanks = folder / "data" / "tanks.json"
    for number in range(3):
        save_json_atomic(tanks, {"Tank1": number})
    tanks.write_text('{"Tank1": 2')


def lay_out_an_editor(folder: Path) -> None:
    """A program that writes in place, and a document that was saved."""
    save_json_atomic(folder / "data" / "tanks.json", {}, make_parents=True)
    (folder / "bin").mkdir()
    editor = folder / "bin" / "edit-tanks"
    editor.write_text('#!/bin/sh\necho edited > "$1"\n')
    editor.chmod(0o755)


def lay_out_documents(folder: Path) -> None:
    shutil.copytree(BACKEND / "sample_data" / "dynamic_data", folder / "data")


@pytest.fixture
def two_roles(postgres: Server, superuser: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The URLs of a database in which the page makes its schema."""
    for role, variable in ((OWNER, "OWNER_URL"), (APPLICATION, "APPLICATION_URL")):
        monkeypatch.setenv(variable, postgres.url(role, schema="refinery", sslmode="disable"))
    monkeypatch.setenv("DATABASE_URL", postgres.url(OWNER))
    yield
    superuser.execute("DROP SCHEMA refinery CASCADE")


# What lies in the folder before the first block; nothing, for the other pages.
LAID_OUT = {
    MIGRATION: lay_out_a_backend,
    "docs/operations/incidents.md": lay_out_an_incident,
    ON_DISK: lay_out_an_editor,
    HOSTS: lay_out_documents,
}


@pytest.mark.parametrize("page", PAGES)
def test_each_block_runs_or_is_text(
    page: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    blocks = blocks_in(PAGES[page])
    # No block hides in a list, a quotation or another kind of fence.
    fences = re.findall(r"^[\s>]*(?:```|~~~)", PAGES[page], re.MULTILINE)
    assert len(fences) == 2 * len(blocks)
    assert {language for language, _ in blocks} <= {"python", "sh", *READERS}
    if page in NEEDED:
        require(find_spec(NEEDED[page]), f"needs {NEEDED[page]}")
    if page in LAID_OUT:
        LAID_OUT[page](tmp_path)
    if page == HOSTS:
        require_programs("psql")
        request.getfixturevalue("two_roles")
    run(blocks, tmp_path)
    if page == ON_DISK:
        assert (tmp_path / "data" / "tanks.json").read_text() == "edited\n"


def test_what_is_laid_out_is_for_pages_that_there_are() -> None:
    assert LAID_OUT.keys() | NEEDED.keys() <= PAGES.keys()


def test_the_readme_is_short() -> None:
    assert PAGES["README.md"].count("\n") <= 160


@pytest.mark.parametrize("page", [page for page in PAGES if "/" not in page])
def test_links_lead_somewhere(page: str) -> None:
    require((ROOT / "Makefile").exists(), "needs the whole project beside the tests")
    for link in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", PAGES[page]):
        assert (ROOT / link).exists(), link


def test_a_rollback_loses_nothing_where_the_data_lies_inside_the_backend(tmp_path: Path) -> None:
    backend, data = tmp_path / "backend", tmp_path / "backend" / "data"
    shutil.copytree(LEGACY, backend, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(BACKEND / "sample_data", data)
    old = (backend / "api.py").read_bytes()
    # The folder of the documents, and neither its copy nor a module of that name.
    page, named = re.subn(r"(?<![\w./-])data(?=[/\s])", "backend/data", PAGES[MIGRATION])
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
    _, rollback = PAGES[MIGRATION].split("\n## Rollback\n")
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


def test_the_page_of_what_lies_on_disk_shows_what_lies_there(strace: str, tmp_path: Path) -> None:
    blocks = blocks_in(PAGES[ON_DISK])
    _, tree = blocks[0]
    (journal,) = (code for language, code in blocks if language == "json")
    data = tmp_path / "data"
    data.mkdir()
    configure(backups_compressed_above=0)
    for number in range(2):
        save_json_atomic(data / "tanks.json", number)
    configure(backups_compressed_above=float("inf"))
    # A document of a group.
    judgement = SimpleNamespace(
        group=str(data / "tanks.json"),
        companions=[],
        wants_before=False,
        check=lambda *_: [],
        judge=lambda *_: None,
    )
    with in_force(SimpleNamespace(judgement=lambda *_: judgement)):
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
