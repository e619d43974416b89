"""The documentation's site: it builds without a warning, has every name, and fetches nothing."""

from __future__ import annotations

import html
import importlib
import os
import re
import subprocess
import sys
from html.parser import HTMLParser
from importlib.util import find_spec
from pathlib import Path

import pytest

import oasis_data
from oasis_data.cli.group import COMMANDS
from tests.conftest import require

ROOT = Path(__file__).resolve().parents[1]
MODULES = ["file_operations", "error_handling", "flask", "monitoring"]


def build(into: Path, *options: object) -> subprocess.CompletedProcess[str]:
    require((ROOT / "mkdocs.yml").exists(), "needs the whole project beside the tests")
    require(find_spec("mkdocs"), "needs mkdocs, and so Python 3.11.5")
    # Not quietly: then no warning would count.
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", into, *options]
    return subprocess.run(
        [*map(str, command)],
        cwd=ROOT,
        env=os.environ | {"NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site, built as `make docs` builds it."""
    folder = tmp_path_factory.mktemp("site")
    built = build(folder)
    assert built.returncode == 0, built.stderr
    return folder


def test_a_broken_link_fails_the_build(tmp_path: Path) -> None:
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "index.md").write_text("[nothing](nothing.md)")
    settings = tmp_path / "mkdocs.yml"
    settings.write_text("site_name: a site\n")
    built = build(tmp_path / "site", "--config-file", settings)
    assert built.returncode == 1
    assert "nothing.md" in built.stderr


class Links(HTMLParser):
    """What a page fetches, and where it leads."""

    def __init__(self, page: Path) -> None:
        super().__init__()
        self.fetched: list[str] = []
        self.followed: list[str] = []
        self.feed(page.read_text())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            if name in ("href", "src", "srcset", "data", "poster") and value:
                (self.followed if tag == "a" else self.fetched).append(value)


def test_nothing_is_fetched_from_elsewhere(site: Path) -> None:
    for page in site.rglob("*.html"):
        assert [link for link in Links(page).fetched if re.match(r"(\w+:)?//", link)] == []
    for style in site.rglob("*.css"):
        assert re.findall(r"url\([\"']?(?:https?:)?//|@import", style.read_text()) == []


def test_links_lead_somewhere(site: Path) -> None:
    """Those in HTML too, at which mkdocs does not look."""
    # A page that a server shows in the place of any other has links from its root.
    for page in set(site.rglob("*.html")) - {site / "404.html"}:
        links = Links(page)
        for link in links.fetched + links.followed:
            path = link.partition("#")[0]
            if path and not re.match(r"\w+:", path):
                assert (page.parent / path).exists(), (page, link)


def test_every_public_name_is_in_the_reference(site: Path) -> None:
    shown = set()
    for page in (site / "reference").glob("*.html"):
        shown |= set(re.findall(r'id="oasis_data\.([\w.]+)"', page.read_text()))
    for name in MODULES:
        module = importlib.import_module(f"oasis_data.{name}")
        # The guide has this error in both modules; the page of errors has it.
        missing = {f"{name}.{each}" for each in module.__all__} - shown
        assert missing <= {"file_operations.JSONWriteError"}


def test_the_help_of_each_command_is_there(site: Path) -> None:
    text = html.unescape(
        re.sub("<[^>]+>", "", (site / "reference" / "command-line.html").read_text())
    )
    for command in COMMANDS:
        told = subprocess.run(
            [sys.executable, "-c", "from oasis_data.cli import main; main()", command, "--help"],
            env=os.environ | {"COLUMNS": "80"},
            capture_output=True,
            text=True,
            check=True,
        )
        assert told.stdout.strip() in text


def test_the_table_of_errors_tells_their_bases() -> None:
    page = ROOT / "docs" / "reference" / "error_handling.md"
    rows = re.findall(r"^\| `(\w+)` \| ([^|]*)\|", page.read_text(), re.MULTILINE)
    errors = {name for name in oasis_data.__all__ if name.endswith("Error")}
    assert {name for name, _ in rows} == errors
    for name, bases in rows:
        for base in re.findall(r"`(?:json\.)?(\w+)`", bases):
            ancestors = {each.__name__ for each in getattr(oasis_data, name).__mro__}
            assert base in ancestors, (name, base)
