"""The move of a backend, played whole: audited, fixed, and then it passes what it failed before."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest

import oasis_data
from oasis_data.audit.reporting import NOT_SEEN
from tests.backend.concurrency import Crowd, find_violations
from tests.backend.conftest import BACKEND
from tests.backend.servers import Server, serve_flask, serve_gunicorn

LEGACY = Path(__file__).parents[1] / "backend" / "legacy"
ROUNDS = 20
SERVERS: dict[str, Callable[[Path, Path, Path], AbstractContextManager[Server]]] = {
    "flask": serve_flask,
    "gunicorn": serve_gunicorn,
}
CLIENTS = 8
ADDITIONS = 25


def audit(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-W", "error", "-m", "oasis_data.audit", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return Path(shutil.copytree(BACKEND / "sample_data", tmp_path / "data"))


@pytest.fixture
def backend(tmp_path: Path) -> Path:
    """A copy of the backend as it was before."""
    ignore = shutil.ignore_patterns("__pycache__")
    return Path(shutil.copytree(LEGACY, tmp_path / "backend", ignore=ignore))


def test_the_audit_names_each_line_that_loses_data(backend: Path) -> None:
    done = audit(backend)
    assert done.returncode == 1
    lines = (backend / "api.py").read_text().splitlines()
    places = re.findall(r"api\.py:(\d+):\d+: ([\w-]+):", done.stdout)
    assert [(rule, lines[int(line) - 1].strip()) for line, rule in places] == [
        ("stale-cache", "data_cache: dict[str, Any] = {}"),
        ("plain-read", "data = json.load(f)"),
        ("torn-write", "json.dump(content, f, indent=2)"),
    ]
    assert "3 findings: --fix replaces 3, and leaves 0 to you" in done.stdout
    assert (backend / "api.py").read_text() == (LEGACY / "api.py").read_text()


@pytest.mark.parametrize("kind", SERVERS)
def test_fixed_it_passes_the_check_that_it_failed(
    kind: str, backend: Path, data: Path, tmp_path: Path
) -> None:
    with SERVERS[kind](backend, data, tmp_path / "before.log") as server:
        crowd = Crowd(server.port)
        for _ in range(ROUNDS):
            crowd.drive(saves=100, reads=400)
            if find_violations(crowd.history):
                break
        else:
            pytest.fail(f"{ROUNDS} rounds without a torn, empty or stale answer")
    fixed = audit("--fix", backend)
    assert fixed.returncode == 0, fixed.stdout + fixed.stderr
    assert audit(backend).stdout == f"2 files read, nothing found\n{NOT_SEEN}\n"
    with SERVERS[kind](backend, data, tmp_path / "after.log") as server:
        crowd = Crowd(server.port)
        crowd.drive()
        assert find_violations(crowd.history) == []


LEVELS = """\
import json


def fill(path, tank, amount):
    with open(path) as f:
        levels = json.load(f)
    levels[tank] = levels.get(tank, 0) + amount
    with open(path, "w") as f:
        json.dump(levels, f, indent=2, ensure_ascii=False, allow_nan=False)
"""
# As the audit says, in the words of its replacement.
EDITED = """\
from oasis_data import edit_json


def fill(path, tank, amount):
    with edit_json(path) as document:
        document[tank] = document.get(tank, 0) + amount
"""


def run_all(work: Callable[[], Any], number: int) -> None:
    threads = [threading.Thread(target=work) for _ in range(number)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def test_lost_updates_are_told_and_not_promised(tmp_path: Path) -> None:
    source = tmp_path / "levels.py"
    source.write_text(LEVELS)
    done = audit("--fix", source)
    assert done.returncode == 1
    told = re.search(
        r"levels\.py:(\d+):\d+: lost-update: path is loaded in line (\d+)", done.stdout
    )
    assert told
    assert "Instead: with edit_json(path) as document:" in done.stdout
    assert "--fix leaves it: only a person can say which changes belong together" in done.stdout
    lines = source.read_text().splitlines()
    assert lines[int(told[1]) - 1] == "    save_json_atomic(path, levels)"
    assert lines[int(told[2]) - 1] == "    levels = load_data_file(path, strict=True)"
    # The fixed source still loses one: both load before either saves.
    path = tmp_path / "levels.json"
    path.write_text("{}")
    names: dict[str, Any] = {}
    exec(source.read_text(), names)
    both = threading.Barrier(2)

    def load_together(*arguments: Any, **options: Any) -> Any:
        document = oasis_data.load_data_file(*arguments, **options)
        both.wait(timeout=60)
        return document

    names["load_data_file"] = load_together
    run_all(lambda: names["fill"](path, "Tank1", 1), 2)
    assert oasis_data.load_data_file(path) == {"Tank1": 1}


def test_the_edit_that_the_audit_asks_for_loses_none(tmp_path: Path) -> None:
    source = tmp_path / "levels.py"
    source.write_text(EDITED)
    assert audit(source).returncode == 0
    path = tmp_path / "levels.json"
    path.write_text("{}")
    names: dict[str, Any] = {}
    exec(EDITED, names)

    def fill() -> None:
        for _ in range(ADDITIONS):
            names["fill"](path, "Tank1", 1)

    run_all(fill, CLIENTS)
    assert oasis_data.load_data_file(path) == {"Tank1": CLIENTS * ADDITIONS}
