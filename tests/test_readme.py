"""Every code block of the README, run as it stands."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

import oasis_data
from tests.conftest import python, require

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text()
BLOCKS = re.findall(r"^```(\w*)\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)


def test_there_are_blocks_of_known_kinds_only() -> None:
    assert {language for language, _ in BLOCKS} == {"python", "sh"}


@pytest.mark.parametrize(
    "number", [number for number, (language, _) in enumerate(BLOCKS) if language == "python"]
)
def test_python_blocks_run(tmp_path: Path, number: int) -> None:
    _, code = BLOCKS[number]
    python(f"import os, sys\nos.chdir(sys.argv[1])\n{code}", tmp_path)


@pytest.mark.parametrize(
    "line",
    [
        line.split("#")[0].strip()
        for language, code in BLOCKS
        if language == "sh"
        for line in code.splitlines()
    ],
)
def test_commands_exist(line: str) -> None:
    require(shutil.which("make"), "needs make")
    require((ROOT / "Makefile").exists(), "needs the whole project beside the tests")
    program, target = line.split()
    assert program == "make"
    # -n: named and planned, not run; this test is itself part of `make test`.
    planned = subprocess.run(
        [program, "-n", target], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert planned.returncode == 0, planned.stderr


def test_every_public_name_is_in_it() -> None:
    missing = [name for name in oasis_data.__all__ if f"`{name}" not in README]
    assert missing == []
