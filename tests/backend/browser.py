"""Windows of a headless Chromium on the page of the example backend."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote
from urllib.request import Request, urlopen

from api import DATA_FILES
from selenium import webdriver
from selenium.common.exceptions import StaleElementReferenceException, TimeoutException
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.wait import WebDriverWait

from tests.conftest import require

from .conftest import BACKEND
from .servers import Server

T = TypeVar("T")

DEADLINE = 30.0

SAMPLES = {
    data_type: json.loads((BACKEND / "sample_data" / name).read_bytes())
    for data_type, name in DATA_FILES.items()
}
PLANT = SAMPLES["plant"]
LARGER, LARGEST = PLANT | {"capacity": 130}, PLANT | {"capacity": 140}


@contextmanager
def chromium(profile: Path) -> Iterator[webdriver.Chrome]:
    """Runs a Chromium; nothing is fetched for it, and it asks no host but this one."""
    program, driver = shutil.which("chromium"), shutil.which("chromedriver")
    reason = "needs Chromium (Debian: apt-get install chromium chromium-driver)"
    require(program and driver, reason)
    assert program
    options = webdriver.ChromeOptions()
    options.binary_location = program
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    arguments = [
        *("--headless=new", "--window-size=1200,900", f"--user-data-dir={profile}"),
        *("--no-first-run", "--disable-background-networking", "--disable-component-update"),
        "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
        # A container's /dev/shm is too small for it.
        "--disable-dev-shm-usage",
    ]
    if os.geteuid() == 0:
        # Its sandbox is not for root.
        arguments.append("--no-sandbox")
    for argument in arguments:
        options.add_argument(argument)
    browser = webdriver.Chrome(options=options, service=Service(driver))
    try:
        yield browser
    finally:
        browser.quit()


class Window:
    """A window of the browser, with a document open in it."""

    _used: Window | None = None
    """The window that the browser obeys in."""

    def __init__(self, browser: webdriver.Chrome, address: str) -> None:
        browser.switch_to.new_window("window")
        Window._used = self
        self._browser = browser
        self._handle = browser.current_window_handle
        self._found: dict[str, WebElement] = {}
        browser.get(address)
        self.mark()

    def mark(self) -> None:
        """Marks the page: when it is loaded anew, the mark is gone."""
        self._found.clear()
        self.run("window.isTheSame = true")

    def use(self) -> webdriver.Chrome:
        if Window._used is not self:
            self._browser.switch_to.window(self._handle)
            Window._used = self
        return self._browser

    def close(self) -> None:
        self.use().close()
        Window._used = None

    def run(self, script: str, *arguments: object) -> Any:
        return self.use().execute_script(script, *arguments)

    def find(self, name: str) -> WebElement:
        browser = self.use()
        if name not in self._found:
            self._found[name] = browser.find_element(By.ID, name)
        return self._found[name]

    def link(self, document: str) -> WebElement:
        # As the page's own encoding has it.
        address = quote(document, safe="!~*'()")
        return self.use().find_element(By.CSS_SELECTOR, f'#documents a[href="#{address}"]')

    def click(self, name: str) -> None:
        self.find(name).click()

    def press(self, *keys: str) -> None:
        """Presses keys where the focus is."""
        self.use().switch_to.active_element.send_keys(*keys)

    def write(self, text: str) -> None:
        """Puts a text in the place of what is in the editor, as a paste does."""
        self.find("editor").send_keys(Keys.CONTROL, "a")
        self.use().execute_cdp_cmd("Input.insertText", {"text": text})

    def save(self, document: object) -> None:
        """Types a document, and saves it."""
        self.write(json.dumps(document))
        self.click("save")
        self.until(lambda: self.text("notice") == "Saved.", "the save")

    def text(self, name: str) -> str:
        return self.find(name).text

    @property
    def content(self) -> str:
        """What is in the editor."""
        return str(self.find("editor").get_property("value"))

    @property
    def document(self) -> Any:
        """The document in the editor; None while there is none."""
        return json.loads(self.content) if self.content else None

    @property
    def state(self) -> str:
        """Whether the stream is connected."""
        return str(self.find("connection").get_dom_attribute("data-state"))

    def until(self, condition: Callable[[], T], what: str) -> T:
        """Waits until a condition holds on the page as it is, which is not loaded anew."""
        ignored = (StaleElementReferenceException, ValueError)
        wait = WebDriverWait(self.use(), DEADLINE, 0.05, ignored)
        try:
            result = wait.until(lambda _: condition())
        except TimeoutException:
            page = self.use().find_element(By.TAG_NAME, "body").text
            raise AssertionError(f"waited {DEADLINE:.0f} s for {what}; {page}") from None
        assert self.run("return window.isTheSame") is True, "the page was loaded anew"
        return result

    def until_live(self) -> None:
        self.until(lambda: self.state == "live", "the stream")

    def until_shown(self, document: object) -> None:
        self.until(lambda: self.document == document, f"{document}")


Open = Callable[..., Window]
"""Opens a window on a server's page (the server, or its port), and on a document, or `plant`."""


def put(server: Server, data_type: str, document: object) -> None:
    """Saves a document as another client does."""
    body = json.dumps(document).encode()
    headers = {"Content-Type": "application/json"}
    address = f"http://127.0.0.1:{server.port}/api/data/{data_type}"
    with urlopen(Request(address, body, headers, method="PUT")) as answer:
        assert answer.status == 200
