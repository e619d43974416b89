"""The house: no file imports in a circle, nor from a floor above its own."""

from __future__ import annotations

import re
from pathlib import Path

from tests import architecture
from tests.conftest import require

PAGE = architecture.ROOT / "ARCHITECTURE.md"
BESIDE = "needs the whole project beside the tests"
NAMED = re.compile(r"`([\w/]+\.rs)`")


def page() -> str:
    require(PAGE.exists(), BESIDE)
    return PAGE.read_text()


def test_no_rust_file_imports_in_a_circle() -> None:
    assert architecture.circles(architecture.rust_graph()) == []


def test_no_python_module_imports_in_a_circle() -> None:
    assert architecture.circles(architecture.python_graph()) == []


def test_nothing_is_imported_from_a_floor_above() -> None:
    assert architecture.upward(architecture.rust_graph()) == []


def test_each_room_is_on_a_floor() -> None:
    assert architecture.homeless(architecture.rust_graph()) == []


def test_the_face_and_the_documents_know_storage_by_its_door_alone() -> None:
    graph = architecture.rust_graph()
    above = [file for file in graph if file.startswith(("python/", "documents/"))]
    assert above
    reached = {target for file in above for target in graph[file]}
    assert not {target for target in reached if target.startswith("files/")}


def test_the_page_names_each_file_once_in_its_tables() -> None:
    """Each row of a room's table begins with the file that it is about."""
    rows = [line for line in page().splitlines() if line.startswith("| `")]
    named = [name for row in rows for name in NAMED.findall(row.split("|")[1])]
    assert sorted(named) == sorted(architecture.rust_graph())


def test_the_page_names_the_modules_of_the_package() -> None:
    package = architecture.ROOT / "python" / "oasis_data"
    require(package.exists(), BESIDE)
    files = {file.name for file in package.glob("*.py*") if file.name != "__init__.py"}
    folders = {f"{file.parent.name}/" for file in package.glob("*/__init__.py")}
    assert {name for name in files | folders if f"`{name}`" not in page()} == set()


def test_whatever_the_page_names_is_there() -> None:
    """Paths in backquotes, from the root, from src/ or from the package."""
    roots = [architecture.ROOT, architecture.ROOT / "src"]
    paths = re.findall(r"`([\w.]+/[\w./]*|[\w/]+\.rs)`", page())
    assert paths
    missing = {
        path
        for path in paths
        if not any((root / path).exists() for root in roots)
        and not any((architecture.ROOT / "src").rglob(path))
        and not path.startswith(("python/", "cli/", "audit/", "rules/", ".oasis_data/"))
    }
    assert missing == set()


def write(folder: Path, files: dict[str, str]) -> dict[str, set[str]]:
    """The graph of these sources."""
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return architecture.rust_graph(folder)


def test_each_way_of_importing_is_seen(tmp_path: Path) -> None:
    graph = write(
        tmp_path,
        {
            "lib.rs": "pub mod files;\nmod error;\n",
            "error.rs": '// crate::files\nconst A: &str = "crate::files::lock";\nfn a<\'a>() {}\n',
            "files/mod.rs": "pub mod lock;\npub mod read;\npub mod session;\npub mod target;\n",
            "files/lock/mod.rs": "mod held;\nfn a() { held::add(); }\n",
            "files/lock/held.rs": "use super::super::target;\nuse std::io;\n",
            "files/read.rs": "fn a() -> crate::error::Error { super::target::stat() }\n",
            "files/session.rs": "use crate::{error, files::{lock::{self, Lock as L}, read::*}};\n",
            "files/target.rs": "/// See [`crate::files::session`].\nstruct Target;\n",
        },
    )
    assert graph == {
        "lib.rs": set(),
        "error.rs": set(),
        "files/mod.rs": set(),
        "files/lock/mod.rs": {"files/lock/held.rs"},
        "files/lock/held.rs": {"files/target.rs"},
        "files/read.rs": {"error.rs", "files/target.rs"},
        "files/session.rs": {"error.rs", "files/lock/mod.rs", "files/read.rs"},
        "files/target.rs": set(),
    }
    assert not architecture.circles(graph)
    assert not architecture.upward(graph)


def test_a_circle_and_an_import_from_above_are_found(tmp_path: Path) -> None:
    graph = write(
        tmp_path,
        {
            "lib.rs": "mod attic;\nmod cache;\nmod files;\n",
            "attic.rs": "",
            "cache.rs": "use crate::files::a;\n",
            "files/mod.rs": "mod a;\nmod b;\nmod c;\n",
            "files/a.rs": "use crate::files::b;\n",
            "files/b.rs": "fn b() { crate::files::c::c() }\n",
            "files/c.rs": "use super::a::A;\n",
        },
    )
    assert architecture.circles(graph) == [["files/a.rs", "files/b.rs", "files/c.rs"]]
    assert architecture.upward(graph) == ["cache.rs -> files/a.rs"]
    assert architecture.homeless(graph) == ["attic"]
