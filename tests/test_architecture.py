"""The house: no file imports in a circle, nor from a floor above its own."""

from __future__ import annotations

from pathlib import Path

from tests import architecture


def test_no_rust_file_imports_in_a_circle() -> None:
    assert architecture.circles(architecture.rust_graph()) == []


def test_no_python_module_imports_in_a_circle() -> None:
    assert architecture.circles(architecture.python_graph()) == []


def test_nothing_is_imported_from_a_floor_above() -> None:
    assert architecture.upward(architecture.rust_graph()) == []


def test_each_room_is_on_a_floor() -> None:
    assert architecture.homeless(architecture.rust_graph()) == []


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
