"""Every code block of the migration guide, run as it stands, in order, in one folder."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from tests.audit.test_migration import LEGACY
from tests.backend.conftest import BACKEND
from tests.conftest import require

GUIDE = Path(__file__).parents[2] / "docs" / "migration.md"


def test_every_block_runs(tmp_path: Path) -> None:
    scripts = Path(sys.executable).parent
    require((scripts / "oasis-data").exists(), "needs the console script oasis-data")
    shutil.copytree(LEGACY, tmp_path / "backend", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(BACKEND / "sample_data", tmp_path / "data")
    blocks = re.findall(r"^```(\w*)\n(.*?)^```$", GUIDE.read_text(), re.MULTILINE | re.DOTALL)
    assert {language for language, _ in blocks} == {"python", "sh"}
    environment = os.environ | {"PATH": f"{scripts}{os.pathsep}{os.environ['PATH']}"}
    for language, code in blocks:
        # Each line of a shell block is a command, and says how it ends.
        for part in [code] if language == "python" else code.splitlines():
            shell = ["bash", "-c", part]
            command = shell if language == "sh" else [sys.executable, "-W", "error", "-c", part]
            done = subprocess.run(
                command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
            )
            told = re.search(r"# exits with (\d+)", part) if language == "sh" else None
            assert done.returncode == (int(told[1]) if told else 0), (part, done)
