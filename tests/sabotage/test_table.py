"""The table and the markers in the source fit together."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.sabotage.markers import TableError, find_marked
from tests.sabotage.operations import remove
from tests.sabotage.safeguard import Sabotage
from tests.sabotage.table import SABOTAGES, require_fit

ROOT = Path(__file__).resolve().parents[2]
MARKED = "fn a() {\n    // safeguard: %s\n    sync();\n}\n"


@pytest.mark.skipif(not (ROOT / "python").exists(), reason="needs the sources of the package")
def test_each_sabotage_fits_its_marked_code() -> None:
    require_fit(SABOTAGES, find_marked(ROOT))


def test_each_safeguard_is_named_once() -> None:
    assert len({sabotage.safeguard for sabotage in SABOTAGES}) == len(SABOTAGES)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    (tmp_path / "src").mkdir()
    return tmp_path


def test_a_lost_marker_and_an_unused_marker_are_told(source: Path) -> None:
    (source / "src" / "a.rs").write_text(MARKED % "unused")
    lost = Sabotage("lost", "a safeguard", remove, "cargo a::test")
    with pytest.raises(TableError) as raised:
        require_fit([lost], find_marked(source))
    assert str(raised.value).splitlines() == [
        "lost: this marker is nowhere in the source",
        "unused: no sabotage uses this marker",
    ]


def test_a_doubled_marker_is_told(source: Path) -> None:
    (source / "src" / "a.rs").write_text(MARKED % "twice")
    (source / "src" / "b.rs").write_text(MARKED % "twice")
    with pytest.raises(TableError, match=r"twice: marked in src/a\.rs and in src/b\.rs"):
        find_marked(source)


@pytest.mark.parametrize("between", ["// A comment.", "#[cfg(test)]", "}"])
def test_a_marker_stands_directly_above_its_code(source: Path, between: str) -> None:
    (source / "src" / "a.rs").write_text(MARKED.replace("sync", f"{between}\nsync") % "far")
    with pytest.raises(TableError, match="does not stand directly above code"):
        find_marked(source)
