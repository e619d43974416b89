import shutil
import sys
from pathlib import Path

import pytest

BACKEND = Path(__file__).parents[2] / "examples" / "backend"

# The example is a program and not a package: its modules find each other from its own folder.
sys.path.insert(0, str(BACKEND))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A copy of the sample data, for one test to write to."""
    return Path(shutil.copytree(BACKEND / "sample_data", tmp_path / "data"))
