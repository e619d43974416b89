"""The callback `default=`: what it raises, returns, and changes meanwhile."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from oasis_data import UnserializableError, load_data_file, save_json_atomic
from tests.conftest import temporaries
from tests.parity.comparison import OLD, assert_refused, assert_saved_as_by_json, by_json, contents
from tests.parity.specimens import FAULT, SPECIMENS, UnprintableError
from tests.strategies import Opaque, dumped


class BoomError(Exception):
    pass


@pytest.mark.parametrize(
    "raised",
    [
        BoomError("boom"),
        TypeError("no"),
        ValueError("no"),
        KeyError("no"),
        OSError(28, "No space left on device", "/srv/secret/x.json"),
        RecursionError("no"),
        StopIteration("no"),
        StopAsyncIteration(),
        AssertionError(),
        UnprintableError(),
        UnicodeDecodeError("utf-8", b"\xff", 0, 1, "no"),
        json.JSONDecodeError("no", "doc", 1),
        LookupError("/srv/secret/x.json"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_what_default_raises_is_the_original_error(
    folder: Path, oracle: Path, raised: Exception
) -> None:
    def default(value: object) -> Any:
        raise raised

    value = {"ok": 1, "bad": [Opaque()]}
    options = {"default": default}
    expected = by_json(oracle, value, options)
    assert isinstance(expected, Exception)
    error = assert_refused(folder / "data.json", value, options, expected)
    if expected is raised:
        assert error.original_error is raised
    assert "secret" not in str(error)
    if not isinstance(raised, RecursionError):
        assert isinstance(error, UnserializableError)
        assert error.place == "$.bad[0]"


class AbandonError(BaseException):
    """No Exception: nobody's to catch."""


@pytest.mark.parametrize(
    "raised",
    [KeyboardInterrupt(), SystemExit(3), GeneratorExit(), AbandonError("stop")],
    ids=lambda error: type(error).__name__,
)
def test_what_is_no_exception_passes_through_default_untouched(
    folder: Path, raised: BaseException
) -> None:
    def default(value: object) -> Any:
        raise raised

    path = folder / "data.json"
    path.write_bytes(OLD)
    before = contents(folder)
    with pytest.raises(type(raised)) as caught:
        save_json_atomic(path, [Opaque()], default=default)
    assert caught.value is raised
    assert contents(folder) == before


def test_a_default_that_returns_its_argument_is_a_cycle(folder: Path, oracle: Path) -> None:
    options: dict[str, Any] = {"default": lambda value: value}
    value = {"a": [0, Opaque()]}
    expected = by_json(oracle, value, options)
    assert type(expected) is ValueError
    error = assert_refused(folder / "data.json", value, options, expected)
    assert isinstance(error, UnserializableError)
    assert error.place == "$.a[1]"


def test_a_default_without_end_is_too_deep(folder: Path, oracle: Path) -> None:
    for answer in (lambda value: Opaque(), lambda value: [Opaque()], lambda value: {"a": Opaque()}):
        options = {"default": answer}
        expected = by_json(oracle, Opaque(), options)
        assert type(expected) is RecursionError
        assert_refused(folder / "data.json", Opaque(), options, expected)


def growing_dict() -> tuple[Any, Callable[[Any], Any]]:
    data: dict[str, Any] = {"a": Opaque(), "b": 1}

    def default(value: Any) -> Any:
        data[f"more{len(data)}"] = 1
        return "grown"

    return data, default


def shrinking_dict() -> tuple[Any, Callable[[Any], Any]]:
    data: dict[str, Any] = {"a": Opaque(), "b": 1, "c": 2}

    def default(value: Any) -> Any:
        data.pop("c", None)
        return "shrunk"

    return data, default


def emptied_dict() -> tuple[Any, Callable[[Any], Any]]:
    data: dict[str, Any] = {"outer": {"a": Opaque()}, "b": 1}

    def default(value: Any) -> Any:
        data["outer"].clear()
        data["outer"] = None
        return ["kept"]

    return data, default


def growing_list() -> tuple[Any, Callable[[Any], Any]]:
    data: list[Any] = [Opaque(), 1]

    def default(value: Any) -> Any:
        if len(data) < 50:
            data.append(Opaque())
        return len(data)

    return data, default


def shrinking_list() -> tuple[Any, Callable[[Any], Any]]:
    data: list[Any] = [Opaque(), Opaque(), Opaque(), 4, 5]

    def default(value: Any) -> Any:
        data.pop()
        return "popped"

    return data, default


def emptied_list() -> tuple[Any, Callable[[Any], Any]]:
    data: list[Any] = [[1, 2], [Opaque(), "x", "y"], [3]]

    def default(value: Any) -> Any:
        for item in data:
            item.clear()
        data.clear()
        return None

    return data, default


def list_that_becomes_a_cycle() -> tuple[Any, Callable[[Any], Any]]:
    data: list[Any] = [Opaque()]

    def default(value: Any) -> Any:
        data.append(data)
        return {}

    return data, default


@pytest.mark.parametrize(
    "make",
    [
        growing_dict,
        shrinking_dict,
        emptied_dict,
        growing_list,
        shrinking_list,
        emptied_list,
        list_that_becomes_a_cycle,
    ],
)
@pytest.mark.parametrize("sort_keys", [False, True])
@pytest.mark.parametrize("indent", [None, 2])
def test_a_default_that_changes_what_is_being_written_does_so_for_json_too(
    folder: Path,
    oracle: Path,
    make: Callable[[], tuple[Any, Callable[[Any], Any]]],
    sort_keys: bool,
    indent: int | None,
) -> None:
    value, default = make()
    options: dict[str, Any] = {"sort_keys": sort_keys, "indent": indent}
    expected = by_json(oracle, value, options | {"default": default})
    path = folder / "data.json"
    path.write_bytes(OLD)
    value, default = make()
    if isinstance(expected, bytes):
        save_json_atomic(path, value, backup=False, default=default, **options)
        assert path.read_bytes() == expected
    else:
        assert_refused(path, value, options | {"default": default}, expected)


def test_finding_the_fault_ends_though_default_grows_the_list(folder: Path) -> None:
    data: list[Any] = [Opaque()]
    calls = 0

    def default(value: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == 3:
            raise BoomError
        if calls > 1000:
            raise AbandonError("without end")
        data.append(Opaque())
        return 1

    with pytest.raises(UnserializableError) as caught:
        save_json_atomic(folder / "data.json", data, default=default)
    assert isinstance(caught.value.original_error, BoomError)


@pytest.mark.parametrize("same", [False, True], ids=["another file", "the same file"])
def test_default_may_save_and_load(folder: Path, oracle: Path, same: bool) -> None:
    path = folder / "data.json"
    inner = path if same else folder / "other.json"
    path.write_bytes(OLD)
    seen: list[Any] = []

    def default(value: Any) -> Any:
        seen.append(load_data_file(path, strict=True))
        save_json_atomic(inner, {"inner": len(seen)}, backup=False)
        seen.append(load_data_file(inner, strict=True))
        with pytest.raises(UnserializableError):
            save_json_atomic(inner, [FAULT])
        return seen[-1]

    data = {"a": Opaque(), "b": [Opaque()]}
    assert save_json_atomic(path, data, backup=False, default=default) is True
    old = {"old": True}
    last = {"inner": 1} if same else old
    assert seen == [old, {"inner": 1}, last, {"inner": 3}]
    assert load_data_file(path, strict=True) == {"a": {"inner": 1}, "b": [{"inner": 3}]}
    assert temporaries(folder) == []
    (folder / "other.json").unlink(missing_ok=True)


def test_default_is_not_called_for_what_json_writes_by_itself(folder: Path) -> None:
    def default(value: Any) -> Any:
        raise AbandonError(repr(value))

    for value in SPECIMENS.values():
        if isinstance(dumped(folder / "oracle", value, {}), bytes):
            save_json_atomic(
                folder / "data.json",
                value,
                ensure_ascii=True,
                allow_nan=True,
                default=default,
                backup=False,
            )
    (folder / "oracle").unlink()


@pytest.mark.parametrize("default", [1, "x", [], {}, object()], ids=lambda it: type(it).__name__)
def test_a_default_that_cannot_be_called_fails_only_where_it_is_needed(
    folder: Path, oracle: Path, default: Any
) -> None:
    options = {"default": default}
    assert_saved_as_by_json(folder, oracle, [1, {}], options)
    assert_saved_as_by_json(folder, oracle, [Opaque()], options)
