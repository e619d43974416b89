"""Which documents are held against their schema as objects, without their text."""

from __future__ import annotations

import collections
import enum
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from oasis_data import _native, edit_json, save_json_atomic, save_many_atomic


class ByText(Exception):
    """A text was asked about."""


class Recorder:
    """Rules and judgement in one: notes which objects were asked about, and refuses all texts."""

    group = None
    companions: Sequence[str] = ()
    wants_before = False

    def __init__(self, *, answers: Callable[[object], bool]) -> None:
        self.asked: list[object] = []
        self.valid: list[Callable[[object], bool] | None] = [self.note] * 3
        self._answers = answers

    def note(self, value: object) -> bool:
        self.asked.append(value)
        return self._answers(value)

    def judgement(self, *_: object) -> Recorder:
        return self

    def check(self, index: int, text: bytes) -> list[Any]:
        raise ByText(index, text)

    def judge(self, *_: object) -> None:
        raise AssertionError("there is no group")


@pytest.fixture
def recorder() -> Iterator[Recorder]:
    recorder = Recorder(answers=lambda _: True)
    _native.use_rules(recorder)
    yield recorder
    _native.use_rules(None)


class Grade(str, enum.Enum):
    BASE = "Base"


class Words(str):
    """A text of a class of its own."""


def nested(depth: int) -> list[Any]:
    document: list[Any] = []
    for _ in range(depth - 1):
        document = [document]
    return document


PLAIN: list[Any] = [
    None,
    True,
    -(2**63),
    1.5,
    "é\U0001f600",
    {"a": [1, {"b": (2, "c")}], "": {}},
    nested(200),
]
NOT_PLAIN: list[Any] = [
    Grade.BASE,
    [Words("a")],
    {"a": collections.OrderedDict(b=1)},
    collections.Counter("ab"),
    {1: 2},
    {"a": {None: 2}},
    {Words("a"): 1},
    enum.IntEnum("Number", "ONE").ONE,  # type: ignore[attr-defined]
    2**64,
    nested(256),
]


@pytest.mark.parametrize("document", PLAIN)
def test_a_plain_object_is_asked_about(tmp_path: Path, recorder: Recorder, document: Any) -> None:
    save_json_atomic(tmp_path / "a.json", document)
    save_json_atomic(tmp_path / "b.json", [document], indent=None, ensure_ascii=True)

    assert recorder.asked[0] is document


@pytest.mark.parametrize("document", NOT_PLAIN)
def test_of_any_other_object_the_text_is_asked_about(
    tmp_path: Path, recorder: Recorder, document: Any
) -> None:
    with pytest.raises(ByText):
        save_json_atomic(tmp_path / "a.json", document)

    assert recorder.asked == []
    assert not (tmp_path / "a.json").exists()


def test_what_other_options_write_is_asked_about(tmp_path: Path, recorder: Recorder) -> None:
    for document, options in (
        ([float("nan")], {"allow_nan": True}),
        ({"b": 1, "a": 2}, {"sort_keys": True}),
        ([object()], {"default": lambda _: 1}),
    ):
        with pytest.raises(ByText):
            save_json_atomic(tmp_path / "a.json", document, **options)
    assert recorder.asked == []


def test_what_does_not_obey_is_asked_about_as_text(tmp_path: Path) -> None:
    def fail(_: object) -> bool:
        raise ValueError("no answer")

    for answers in (lambda _: False, fail):
        recorder = Recorder(answers=answers)
        _native.use_rules(recorder)
        try:
            with pytest.raises(ByText) as raised:
                save_json_atomic(tmp_path / "a.json", [1])
        finally:
            _native.use_rules(None)
        assert raised.value.args == (0, b"[\n  1\n]")
        assert recorder.asked == [[1]]


def test_each_document_of_a_batch_is_asked_about(tmp_path: Path, recorder: Recorder) -> None:
    paths = [tmp_path / name for name in ("a", "b", "c")]
    recorder.valid[1] = None

    with pytest.raises(ByText) as raised:
        save_many_atomic(dict(zip(paths, ([1], [2], [3]), strict=True)))

    assert recorder.asked == [[1], [3]]
    assert raised.value.args[0] == 1


def test_an_edit_is_asked_about(tmp_path: Path, recorder: Recorder) -> None:
    with edit_json(tmp_path / "a.json") as document:
        document["a"] = 1

    assert recorder.asked == [{"a": 1}]
    recorder.valid[0] = None
    with pytest.raises(ByText), edit_json(tmp_path / "a.json") as document:
        document["a"] = 2
