from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from selenium import webdriver

    from .browser import Open, Window
    from .servers import Server

BACKEND = Path(__file__).parents[2] / "examples" / "backend"

# The example is a program and not a package: its modules find each other from its own folder.
sys.path.insert(0, str(BACKEND))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A copy of the sample data, for one test to write to."""
    return Path(shutil.copytree(BACKEND / "sample_data", tmp_path / "data"))


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[webdriver.Chrome]:
    """A Chromium for the tests of a module."""
    from .browser import chromium

    with chromium(tmp_path_factory.mktemp("profile")) as browser:
        yield browser


@pytest.fixture
def open_window(browser: webdriver.Chrome, root: Path) -> Iterator[Open]:
    """Opens windows, and closes them after the test."""
    from .browser import Window

    first = browser.current_window_handle
    windows = []
    # What the tests before had their browser complain of.
    browser.get_log("browser")  # type: ignore[no-untyped-call]

    def open_window(server: Server | int, document: str = "plant") -> Window:
        port = server if isinstance(server, int) else server.port
        window = Window(browser, f"http://127.0.0.1:{port}/#{document}")
        windows.append(window)
        window.until(lambda: window.content, "the document")
        return window

    yield open_window
    for window in windows:
        window.close()
    browser.switch_to.window(first)
