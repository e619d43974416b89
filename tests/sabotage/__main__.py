"""Takes safeguards out of a scratch copy, one at a time; each must fail its test.

    python -m tests.sabotage [--write] [--jobs N] [WORD...]

With words, only the safeguards whose slug or description contains one of them.
Prints a table, with `--write` into docs/sabotage.md too, and exits with 1 when a
safeguard is missed by its test.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from queue import SimpleQueue

import pytest

from tests.sabotage.markers import Marked, TableError, find_marked
from tests.sabotage.safeguard import Sabotage
from tests.sabotage.table import SABOTAGES, require_fit

ROOT = Path(__file__).resolve().parents[2]
PUBLISHED = ROOT / "docs" / "sabotage.md"
HEADING = """# Safeguards, and the tests that notice when one is gone

Each safeguard below was taken out of a copy of the source, and the named test run: it must fail.
`make sabotage` does all of it again; `python -m tests.sabotage --write` writes this page.

"""


class BrokenSabotageError(Exception):
    """A sabotage that proves nothing: it is no program, or its test is not there."""


def require_built(built: subprocess.CompletedProcess[str]) -> None:
    """Refuses a sabotage that is no program."""
    if built.returncode:
        raise BrokenSabotageError(f"the sabotaged copy does not build:\n{built.stderr}")


def run(scratch: Path, test: str) -> str:
    """Runs one test in the scratch copy: what the table says of it."""
    tool, arguments = test.split(" ", 1)
    # The copy's package comes before the one installed beside this interpreter.
    package = scratch / "python"
    environment = os.environ | {
        "PYO3_PYTHON": sys.executable,
        "PYO3_BUILD_EXTENSION_MODULE": "1",
        "PYTHONPATH": str(package),
    }

    def call(*command: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command, cwd=scratch, env=environment, capture_output=True, text=True, check=False
        )

    if tool == "cargo":
        built = call("cargo", "test", "--quiet", "--tests", "--no-run", "--features", "postgres")
        command = ["cargo", "test", "--quiet", "--tests", "--features", "postgres", arguments]
    else:
        built = call("cargo", "build", "--quiet", "--features", "python,postgres")
        require_built(built)
        library = scratch / "target" / "debug" / "liboasis_data.so"
        shutil.copy(library, package / "oasis_data" / "_native.so")
        command = [sys.executable, "-m", "pytest", "-q", "-x", *arguments.split(" ", 2)]
    require_built(built)
    code = call(*command).returncode
    if tool == "pytest":
        file = scratch / arguments.split(" ", 1)[0]
        if code == pytest.ExitCode.NO_TESTS_COLLECTED or not file.exists():
            raise BrokenSabotageError(f"{test}: there is no such test")
    return "fails" if code else "MISSED"


@contextmanager
def scratch_copies(count: int) -> Iterator[SimpleQueue[Path]]:
    """So many copies of the source, each for one sabotage at a time."""
    with tempfile.TemporaryDirectory() as folder:
        ignore = shutil.ignore_patterns(".venv", "target", "dist", ".git", "*.so", "__pycache__")
        copies: SimpleQueue[Path] = SimpleQueue()
        for number in range(count):
            copies.put(shutil.copytree(ROOT, Path(folder) / str(number), ignore=ignore))
        yield copies


def attempt(sabotage: Sabotage, marked: Marked, copies: SimpleQueue[Path]) -> str:
    """Tries a sabotage in a scratch copy: what the table says of it."""
    scratch = copies.get()
    path = scratch / marked.file
    path.write_bytes(sabotage.applied_to(marked))
    try:
        return run(scratch, sabotage.test)
    except BrokenSabotageError as broken:
        print(f"{sabotage.safeguard}: {broken}", file=sys.stderr)
        return "BROKEN"
    finally:
        path.write_bytes(marked.source)
        copies.put(scratch)


def main() -> int:
    """Tries each sabotage; 1 if any is missed."""
    parser = argparse.ArgumentParser(prog="python -m tests.sabotage")
    parser.add_argument("--write", action="store_true", help="publish the table")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="how many at a time")
    parser.add_argument("words", nargs="*", metavar="WORD")
    asked = parser.parse_args()
    if asked.write and asked.words:
        parser.error("only a whole table is published")
    try:
        marked = find_marked(ROOT)
        require_fit(SABOTAGES, marked)
    except TableError as error:
        sys.exit(str(error))
    chosen = [
        sabotage
        for sabotage in SABOTAGES
        if not asked.words
        or any(word in sabotage.slug or word in sabotage.safeguard for word in asked.words)
    ]
    lines = []

    def tell(*cells: str) -> None:
        lines.append("| {:47} | {:55} | {:6} |".format(*cells))
        print(lines[-1], flush=True)

    tell("safeguard taken out", "test that must fail", "result")
    tell("---", "---", "---")
    missed = 0
    with scratch_copies(asked.jobs) as copies, ThreadPoolExecutor(asked.jobs) as executor:
        results = executor.map(lambda each: attempt(each, marked[each.slug], copies), chosen)
        for sabotage, result in zip(chosen, results, strict=True):
            tell(sabotage.safeguard, f"`{sabotage.test}`", result)
            missed += result != "fails"
    if asked.write:
        PUBLISHED.parent.mkdir(exist_ok=True)
        PUBLISHED.write_text(HEADING + "\n".join(lines) + "\n")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
