"""The catalogue: a type is a file under the root, and nothing else is."""

from __future__ import annotations

import json
import shutil
import unicodedata
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from oasis_data.error_handling import DataOperationError
from oasis_data.flask import (
    DocumentCatalogue,
    OasisData,
    OutsideRootError,
    UnknownDataTypeError,
    get_data_file_path,
)
from tests.conftest import visible
from tests.flask_extension.applications import DOCUMENTS, make_app, put


@pytest.mark.parametrize("data_type", DOCUMENTS)
def test_a_type_is_a_file_under_the_root(root: Path, data_type: str) -> None:
    with make_app(root).app_context():
        assert get_data_file_path(data_type) == root / DOCUMENTS[data_type]


STRANGE: list[Any] = [
    *("", ".", "..", "/", "\0", "tanks\0", "tanks\0.json", "~", "~root", "*", "%", "\ud800"),
    *("tanks.json", "dynamic/tanks.json", "dynamic/tanks", "./tanks", "tanks/", "tanks/.", "//"),
    *("../root/plant.json", "tanks/../plant", "/etc/passwd", "file:///etc/passwd", "..\\..\\x"),
    *("Tanks", "TANKS", " tanks", "tanks ", "tanks\n", "t\u200banks", "\ufeffmtanks"),
    # Looks the same, folds to the same, or becomes the same when normalised.
    *(
        "\uff54\uff41\uff4e\uff4b\uff53",
        "tan\u212as",
        "t\u0430nks",
        unicodedata.normalize("NFD", "tänks"),
    ),
    *("\uff0e\uff0e\uff0fplant", "\u2025/plant", "..%2fplant", "..%c0%afplant", "%2e%2e/plant"),
    *("x" * 100_000, "../" * 1000 + "etc/passwd", ".oasis_data", ".oasis_data/journal"),
    *(None, True, 0, 1.5, float("nan"), b"tanks", ["tanks"], ("tanks",), {"tanks": 1}, {"tanks"}),
    *(Path("tanks"), object(), str, [[[]]]),
]


class Tanks(str):
    """Equal to a type, and then something else."""

    def __str__(self) -> str:
        return "../outside"

    def __hash__(self) -> int:
        return hash("tanks")


@pytest.mark.parametrize("data_type", [*STRANGE, Tanks("tanks")], ids=lambda _: "")
def test_no_other_spelling_is_one(root: Path, data_type: object) -> None:
    with make_app(root).app_context(), pytest.raises(UnknownDataTypeError) as caught:
        get_data_file_path(data_type)

    assert str(caught.value) == "Unknown data type"
    assert isinstance(caught.value, ValueError)
    assert isinstance(caught.value, DataOperationError)


@pytest.mark.parametrize("address", ["nothing", "Tanks", "%2e%2e", "tanks%00", "..%2fplant", "%ff"])
@pytest.mark.parametrize("method", ["GET", "PUT"])
def test_an_unknown_type_is_the_clients_mistake(
    client: FlaskClient,
    root: Path,
    caplog: pytest.LogCaptureFixture,
    method: str,
    address: str,
) -> None:
    before = visible(root)
    answer = client.open(f"/data/{address}", method=method, json={})

    # A slash that is unescaped is another address.
    assert answer.status_code == (404 if "%2f" in address else 400)
    if answer.status_code == 400:
        assert answer.get_json() == {"success": False, "error": "Unknown data type"}
    assert caplog.records == []
    assert visible(root) == before


@pytest.mark.parametrize("name", ["../outside.json", "/etc/x.json", "", ".", "a/../../b", "a\0b"])
def test_a_catalogue_leads_nowhere_else_as_it_is_spelt(root: Path, name: str) -> None:
    with pytest.raises(ValueError, match=r"tanks: .* does not name a file under the root"):
        DocumentCatalogue(root, {"tanks": name})


def link(path: Path, target: Path | str) -> None:
    path.symlink_to(target)


def link_twice(root: Path, outside: Path) -> None:
    link(root / "plant.json", root / "next.json")
    link(root / "next.json", outside / "plant.json")


LINKS: dict[str, Callable[[Path, Path], None]] = {
    "file": lambda root, outside: link(root / "plant.json", outside / "plant.json"),
    "relative": lambda root, outside: link(root / "plant.json", "../outside/plant.json"),
    "dangling": lambda root, outside: link(root / "plant.json", outside / "none.json"),
    "twice": link_twice,
    "sibling": lambda root, outside: link(root / "plant.json", f"{root}-other/plant.json"),
}


@pytest.mark.files("a store has no symlinks")
@pytest.mark.parametrize("kind", LINKS)
def test_no_symlink_leads_out(
    root: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture, kind: str
) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "plant.json").write_text('"secret"')
    app = make_app(root)
    # After the catalogue was made.
    LINKS[kind](root, outside)

    for answer in (
        app.test_client().get("/data/plant"),
        app.test_client().put("/data/plant", json="planted"),
    ):
        assert answer.status_code == 500
        assert answer.get_json()["details"]["error_id"] in caplog.text
        assert b"secret" not in answer.data
        assert b"outside" not in answer.data
    assert (outside / "plant.json").read_text() == '"secret"'
    assert visible(outside) == ["plant.json"]
    with app.app_context(), pytest.raises(OutsideRootError):
        get_data_file_path("plant")


@pytest.mark.files("a store has no symlinks")
def test_a_folder_that_is_a_symlink_leads_out_neither(root: Path, tmp_path: Path) -> None:
    shutil.rmtree(root / "dynamic")
    (tmp_path / "outside").mkdir()
    link(root / "dynamic", tmp_path / "outside")

    assert put(make_app(root).test_client(), 1).status_code == 500
    assert visible(tmp_path / "outside") == []


@pytest.mark.files("a store has no symlinks")
def test_symlinks_within_the_root_and_to_it_are_followed(root: Path, tmp_path: Path) -> None:
    link(tmp_path / "alias", root)
    (root / "real.json").write_text("1")
    link(root / "plant.json", "real.json")
    client = make_app(tmp_path / "alias").test_client()

    assert client.get("/data/plant").get_json() == 1
    assert client.put("/data/plant", json=2).status_code == 200
    assert json.loads((root / "real.json").read_text()) == 2
    assert (root / "plant.json").is_symlink()


def test_a_root_that_is_not_there_is_told_at_once(tmp_path: Path) -> None:
    for missing in (tmp_path / "missing", Path(__file__)):
        with pytest.raises(NotADirectoryError):
            make_app(missing)


def test_without_a_root_there_is_no_catalogue() -> None:
    app = Flask(__name__)
    OasisData(app)

    with app.app_context(), pytest.raises(RuntimeError, match="set OASIS_DATA_ROOT"):
        get_data_file_path("tanks")
    with pytest.raises(RuntimeError):
        get_data_file_path("tanks")
