"""The example's page in a browser: what one window saves, another shows."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from urllib.request import Request, urlopen

import pytest
from api import DATA_FILES
from run import put_rules
from selenium import webdriver
from selenium.webdriver.common.keys import Keys

from oasis_data import load_data_file, save_json_atomic

from .browser import LARGER, LARGEST, PLANT, SAMPLES, Open, put
from .conftest import BACKEND
from .servers import STREAMING, Server, serve, serve_gunicorn


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("backend")
    shutil.copytree(BACKEND / "sample_data", folder / "data")
    return folder


@pytest.fixture(scope="module")
def server(folder: Path) -> Iterator[Server]:
    with serve_gunicorn(BACKEND, folder / "data", folder / "log", *STREAMING) as server:
        yield server


@pytest.fixture
def root(folder: Path) -> Path:
    """The documents of the server, as they are in the sample."""
    root = folder / "data"
    for data_type, name in DATA_FILES.items():
        save_json_atomic(root / name, SAMPLES[data_type])
    return root


def test_every_document_is_shown(server: Server, open_window: Open) -> None:
    window = open_window(server)
    for data_type, name in DATA_FILES.items():
        window.link(data_type).click()
        window.until_shown(SAMPLES[data_type])
        with urlopen(f"http://127.0.0.1:{server.port}/api/data/{data_type}") as answer:
            version = answer.headers["ETag"].strip('"')
        assert window.text("name") == data_type
        assert window.text("facts").startswith(name)
        assert window.text("facts").endswith(version[:8])
        assert window.text("facts").split(" · ")[1] in window.link(data_type).text
    # Nothing that a browser complains of, and nothing from elsewhere.
    assert window.use().get_log("browser") == []  # type: ignore[no-untyped-call]
    loaded = window.run("return performance.getEntriesByType('resource').map(each => each.name)")
    assert len(loaded) > len(DATA_FILES)
    assert all(name.startswith(f"http://127.0.0.1:{server.port}/") for name in loaded)


def test_what_one_window_saves_the_other_shows(
    server: Server, root: Path, open_window: Open
) -> None:
    one, other = open_window(server), open_window(server)
    other.until_live()
    before = other.link("plant").text
    one.save(LARGER)
    other.until_shown(LARGER)
    assert other.link("plant").text != before
    assert other.link("plant").text == one.link("plant").text
    assert load_data_file(root / DATA_FILES["plant"]) == LARGER
    # Not only what is in the editor.
    other.save(PLANT)
    before = one.link("schedule").text
    other.click("planners")
    for button in other.find("planners").find_elements("tag name", "button"):
        button.click()
        other.until(lambda: other.text("planned").endswith(": done"), "the planner")
    one.until(lambda: one.link("schedule").text != before, "the schedule")
    one.link("schedule").click()
    one.until(lambda: len(one.document["daily_plans"]) == 31, "the plan")


def test_whoever_edits_an_old_version_is_told(
    server: Server, root: Path, open_window: Open
) -> None:
    one, other = open_window(server), open_window(server)
    other.until_live()
    text = json.dumps(LARGEST)
    other.write(text)
    assert "unsaved edits" in other.link("plant").text
    one.save(LARGER)
    other.until(lambda: other.find("conflict").is_displayed(), "the conflict")
    assert other.text("conflict-title").startswith("Somebody else has saved this document")
    assert json.loads(other.text("theirs")) == LARGER
    marked = other.find("theirs").find_elements("tag name", "mark")
    assert [mark.text.strip() for mark in marked] == ['"capacity": 130,']
    assert other.content == text
    # To save all the same is refused.
    other.click("save")
    other.until(lambda: other.text("notice").startswith("Not saved: somebody else"), "the notice")
    assert load_data_file(root / DATA_FILES["plant"]) == LARGER
    assert other.content == text
    other.click("keep-mine")
    assert not other.find("conflict").is_displayed()
    assert other.content == text
    other.click("save")
    one.until_shown(LARGEST)
    assert load_data_file(root / DATA_FILES["plant"]) == LARGEST


def test_what_was_typed_can_be_brought_back(server: Server, open_window: Open) -> None:
    window = open_window(server)
    window.until_live()
    text = json.dumps(LARGEST)
    window.write(text)
    put(server, "plant", LARGER)
    window.until(lambda: window.find("conflict").is_displayed(), "the conflict")
    # Another document is shown meanwhile, and what was typed stays.
    window.link("crudes").click()
    window.until_shown(SAMPLES["crudes"])
    assert "somebody else has saved" in window.link("plant").text
    window.link("plant").click()
    assert window.content == text
    window.click("take-theirs")
    window.until_shown(LARGER)
    assert not window.find("conflict").is_displayed()
    window.click("bring-back")
    assert window.content == text
    window.click("undo")
    window.until_shown(LARGER)


def test_without_the_stream_the_save_itself_tells(
    server: Server, root: Path, open_window: Open, browser: webdriver.Chrome
) -> None:
    window = open_window(server)
    window.until_live()
    window.use().execute_cdp_cmd("Network.enable", {})
    window.use().execute_cdp_cmd("Network.setBlockedURLs", {"urls": ["*/api/stream*"]})
    browser.refresh()
    window.mark()
    window.until_shown(PLANT)
    put(server, "plant", LARGER)
    text = json.dumps(LARGEST)
    window.write(text)
    assert not window.find("conflict").is_displayed()
    window.click("save")
    window.until(lambda: window.find("conflict").is_displayed(), "the conflict")
    window.until(lambda: window.text("notice").startswith("Not saved: somebody"), "the notice")
    assert json.loads(window.text("theirs")) == LARGER
    assert window.content == text
    assert load_data_file(root / DATA_FILES["plant"]) == LARGER
    assert window.state != "live"


def test_what_cannot_be_saved_is_said(server: Server, root: Path, open_window: Open) -> None:
    window = open_window(server)
    for text, why in (
        ('{"name": ', "Not saved: this is no JSON."),
        ('{"name": "\\ud800"}', "Not saved: JSON has no text for the value at $.name"),
    ):
        window.write(text)
        window.click("save")
        window.until(lambda why=why: window.text("notice").startswith(why), "the reason")  # type: ignore[misc]
        assert window.content == text
    assert load_data_file(root / DATA_FILES["plant"]) == PLANT


def test_every_fault_of_a_document_is_listed(root: Path, tmp_path: Path, open_window: Open) -> None:
    ruled = Path(shutil.copytree(root, tmp_path / "data"))
    put_rules(ruled)
    with serve_gunicorn(BACKEND, ruled, tmp_path / "log", *STREAMING) as server:
        window = open_window(server)
        text = json.dumps(PLANT | {"capacity": -5, "max_inventory": "1500"})
        window.write(text)
        window.click("save")
        window.until(lambda: "plant.json: $.capacity" in window.text("notice"), "the faults")
        faults = [each.text for each in window.find("notice").find_elements("tag name", "li")]
        assert faults == [
            "plant.json: $.capacity: -5 is less than the minimum of 0",
            'plant.json: $.max_inventory: "1500" is not of type "number"',
        ]
        assert window.content == text
        # A single fault is told once.
        window.write(json.dumps(PLANT | {"capacity": -5}))
        window.click("save")
        only = "Not saved: plant.json: $.capacity: -5 is less than the minimum of 0"
        window.until(lambda: window.text("notice") == only, "the fault")
        window.save(LARGER)
        # Who uses a crude is named.
        window.link("crudes").click()
        window.until_shown(SAMPLES["crudes"])
        crudes = {name: crude for name, crude in SAMPLES["crudes"].items() if name != "Gannet"}
        window.write(json.dumps(crudes))
        window.click("save")
        window.until(lambda: "is not among" in window.text("notice"), "the faults")
        faults = [each.text for each in window.find("notice").find_elements("tag name", "li")]
        assert {fault.partition(":")[0] for fault in faults} == {
            "feedstock_requirements.json",
            "recipes.json",
        }
        assert load_data_file(ruled / DATA_FILES["crudes"]) == SAMPLES["crudes"]


def test_what_is_not_edited_stays_to_the_letter(
    server: Server, root: Path, open_window: Open
) -> None:
    """Numbers that JavaScript has not, and keys that it would sort."""
    path = root / DATA_FILES["plant"]
    text = '{"2": 380.0, "1": 1' + "0" * 30 + ', "ö\\"": ["\\u001f", [], {}], "edited": %d}'
    path.write_text(text % 1)
    window = open_window(server)
    window.until(lambda: '"edited": 1' in window.content, "the document")
    content = window.content.replace('"edited": 1', '"edited": 2')
    window.write(content.replace("\n", ""))
    window.click("save")
    window.until(lambda: window.text("notice") == "Saved.", "the save")
    expected = json.dumps(json.loads(text % 2), indent=2, ensure_ascii=False)
    assert path.read_text() == expected
    window.until(lambda: window.content == expected, "the layout")


def test_a_document_that_goes_and_comes(server: Server, root: Path, open_window: Open) -> None:
    window = open_window(server)
    window.until_live()
    address = f"http://127.0.0.1:{server.port}/api/data/plant"
    with urlopen(Request(address, method="DELETE")) as answer:
        assert answer.status == 200
    window.until(lambda: "there is none" in window.text("facts"), "the deletion")
    assert window.content == ""
    window.save(LARGER)
    assert load_data_file(root / DATA_FILES["plant"]) == LARGER
    # A file that is broken by other hands is no empty document.
    (root / DATA_FILES["plant"]).write_text("{")
    window.until(lambda: "cannot be read" in window.text("facts"), "the error")
    assert window.find("editor").get_property("readOnly") is True
    assert window.text("notice")
    (root / DATA_FILES["plant"]).write_text(json.dumps(LARGEST))
    window.until_shown(LARGEST)
    assert window.find("editor").get_property("readOnly") is False
    assert window.text("notice") == ""


HOSTILE = "<script>window.ran = 1</script><img src=x onerror='window.ran = 1'>"
# An address takes no stroke in a name.
HOSTILE_NAME = HOSTILE.replace("/", "")


def test_text_stays_text(root: Path, tmp_path: Path, open_window: Open) -> None:
    """In a document, in its keys, in its name and in the name of its file."""
    program = """
import sys
import api
name, root = sys.argv[1:]
api.DATA_FILES[name] = f"static_data/{name}.json"
api.create_app(root).run(port=0, threaded=True)
"""
    document = {HOSTILE: HOSTILE}
    path = root / "static_data" / f"{HOSTILE_NAME}.json"
    save_json_atomic(path, document)
    command = ["-c", program, HOSTILE_NAME, str(root)]
    with serve(command, log=tmp_path / "log", cwd=BACKEND, env={}) as server:
        window = open_window(server)
        window.until_live()
        window.link(HOSTILE_NAME).click()
        window.until_shown(document)
        assert window.text("name") == HOSTILE_NAME
        assert window.text("facts").startswith(f"static_data/{path.name} ")
        # As theirs, beside one's own.
        window.write('{"mine": 1}')
        save_json_atomic(path, document | {"theirs": HOSTILE})
        window.until(lambda: window.find("conflict").is_displayed(), "the conflict")
        assert json.loads(window.text("theirs")) == document | {"theirs": HOSTILE}
        assert window.run("return window.ran") is None
        assert window.run("return document.querySelectorAll('body script, img').length") == 0
        assert window.use().get_log("browser") == []  # type: ignore[no-untyped-call]
        path.unlink()


def test_no_text_becomes_a_script(server: Server, open_window: Open) -> None:
    window = open_window(server)
    for script in (
        "document.body.innerHTML = '<b>bold</b>'",
        "document.body.append(Object.assign(document.createElement('script'), {text: '1'}))",
        "setTimeout('window.ran = 1')",
    ):
        refused = f"try {{ {script}; return false }} catch (error) {{ return error.name }}"
        assert window.run(refused) == "TypeError"
    # Nor does the page ask any other server.
    window.run("document.onsecuritypolicyviolation = (event) => (window.hit = event.blockedURI)")
    window.run("fetch('http://127.0.0.1:1/').catch(() => {})")
    window.until(lambda: window.run("return window.hit") == "http://127.0.0.1:1/", "the refusal")


def test_the_keyboard_is_enough(server: Server, root: Path, open_window: Open) -> None:
    window = open_window(server, "crudes")
    window.until_live()

    def tab_to(name: str) -> None:
        for _ in range(40):
            window.press(Keys.TAB)
            focused = window.use().switch_to.active_element
            if name in (focused.get_dom_attribute("id"), focused.text.split("\n")[0]):
                return
        pytest.fail(f"{name} cannot be reached")

    tab_to("plant")
    window.press(Keys.ENTER)
    window.until_shown(PLANT)
    tab_to("editor")
    text = json.dumps(LARGEST)
    window.press(Keys.CONTROL, "a")
    window.press(text)
    put(server, "plant", LARGER)
    window.until(lambda: window.find("conflict").is_displayed(), "the conflict")
    # Told by its role, and the focus stays where somebody types.
    assert window.find("conflict-title").aria_role == "alert"
    assert window.use().switch_to.active_element.get_dom_attribute("id") == "editor"
    tab_to("keep-mine")
    window.press(Keys.ENTER)
    assert window.use().switch_to.active_element.get_dom_attribute("id") == "editor"
    window.press(Keys.CONTROL, "s")
    window.until(lambda: window.text("notice") == "Saved.", "the save")
    assert load_data_file(root / DATA_FILES["plant"]) == LARGEST
