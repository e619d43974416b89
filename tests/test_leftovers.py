"""What a killed writer left in `.oasis_data/temp`, and when it goes."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from oasis_data import edit_json, load_data_file, save_json_atomic, stats
from tests.conftest import mounted, temporaries
from tests.test_hostile import alarm

NAME = "tanks.json.abcdefghijkl"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A saved file, beside which a writer of it was killed."""
    path = tmp_path / "tanks.json"
    save_json_atomic(path, 1)
    (tmp_path / ".oasis_data" / "temp" / NAME).write_text('{"good": "copy"}')
    return path


@pytest.mark.parametrize(
    "content", [b"[NaN, -Infinity]", b"\xef\xbb\xbf[1]", "[1]".encode("utf-16")]
)
def test_goes_beside_whatever_json_load_reads(
    path: Path, content: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    path.write_bytes(content)
    swept = stats()["leftovers_swept"]
    save_json_atomic(path, 2)
    assert temporaries(path.parent) == []
    assert stats()["leftovers_swept"] == swept + 1
    assert caplog.text == ""


@pytest.mark.parametrize("content", [b"", b'{"torn', b'["\xff"]', b"[" * 100_000 + b"]" * 100_000])
def test_stays_beside_whatever_json_load_refuses(
    path: Path, content: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    path.write_bytes(content)
    save_json_atomic(path, 2)
    assert temporaries(path.parent) == [NAME]
    assert f".oasis_data/temp/{NAME}" in caplog.text
    assert "may be the only good copy" in caplog.text
    # Told once; the file is a document again.
    save_json_atomic(path, 3)
    assert temporaries(path.parent) == []


def test_goes_beside_no_file(path: Path) -> None:
    path.unlink()
    with edit_json(path, default=[]) as document:
        document.append(1)
    assert temporaries(path.parent) == []


@pytest.mark.usefixtures("no_collector_callbacks")
def test_a_signal_while_the_file_is_parsed_is_not_lost(path: Path) -> None:
    """Moments are tried until one falls into the parsing, and none after it."""

    class Soft(Exception):
        pass

    def expire(*_: object) -> None:
        raise Soft

    content = b"[" + b"1," * 3_000_000 + b"1]"
    seconds = 0.005
    heard = 0
    while True:
        path.write_bytes(content)
        temp = path.parent / ".oasis_data" / "temp" / NAME
        temp.write_text("")
        caught = False
        fired = signal.getitimer(signal.ITIMER_REAL)
        try:
            with alarm(seconds, expire):
                save_json_atomic(path, 2)
                fired = signal.getitimer(signal.ITIMER_REAL)
        except Soft:
            caught = True
        if not caught:
            # The alarm was still to come when the save was over.
            assert fired[0] > 0
            break
        heard += 1
        seconds *= 1.5
    assert heard
    assert load_data_file(path) == 2


def test_gives_its_room_to_the_save_that_removes_it(tmp_path: Path) -> None:
    with mounted(tmp_path / "small", "tmpfs", "size=128k") as folder:
        path = folder / "tanks.json"
        save_json_atomic(path, "old")
        (folder / ".oasis_data" / "temp" / NAME).write_bytes(bytes(72 << 10))
        save_json_atomic(path, "x" * (60 << 10))
        assert load_data_file(path) == "x" * (60 << 10)
        assert temporaries(folder) == []
