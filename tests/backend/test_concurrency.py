"""The judge of the other tests, judged: it lets through what is right and nothing else."""

import json
import math

import pytest

from .concurrency import History, Operation, find_violations, make_document, read_number


def judge(saves: list[Operation], reads: list[Operation]) -> list[str]:
    return find_violations(History(saves=saves, reads=reads))


FIRST = Operation(1, 0, 1)
SECOND = Operation(2, 2, 3)


def test_a_read_after_a_save_shows_it() -> None:
    assert judge([FIRST, SECOND], [Operation(2, 4, 5)]) == []


def test_a_read_of_an_older_save_is_stale() -> None:
    assert judge([FIRST, SECOND], [Operation(1, 4, 5)])


def test_a_read_that_overlaps_a_save_may_show_either() -> None:
    assert judge([FIRST, SECOND], [Operation(1, 2.1, 2.5), Operation(2, 2.6, 2.9)]) == []


def test_two_reads_in_turn_may_not_go_back() -> None:
    assert judge([FIRST, SECOND], [Operation(2, 2.1, 2.3), Operation(1, 2.4, 2.6)])


def test_saves_that_overlap_may_land_in_either_order() -> None:
    overlapping = [Operation(1, 0, 3), Operation(2, 1, 2)]
    assert judge(overlapping, [Operation(1, 4, 5)]) == []
    assert judge(overlapping, [Operation(2, 4, 5)]) == []


def test_saves_that_overlap_land_in_one_order_for_all() -> None:
    overlapping = [Operation(1, 0, 3), Operation(2, 0, 3)]
    assert judge(overlapping, [Operation(1, 4, 5), Operation(2, 6, 7)])


def test_a_save_that_was_not_answered_may_land_or_not() -> None:
    unanswered = Operation(2, 2, math.inf)
    assert judge([FIRST, unanswered], [Operation(1, 4, 5)]) == []
    assert judge([FIRST, unanswered], [Operation(1, 4, 5), Operation(2, 6, 7)]) == []


def test_a_save_that_was_not_answered_stays_once_it_was_shown() -> None:
    unanswered = Operation(2, 2, math.inf)
    assert judge([FIRST, unanswered], [Operation(2, 4, 5), Operation(1, 6, 7)])


def test_nothing_is_shown_before_it_was_sent_or_without() -> None:
    assert judge([FIRST, SECOND], [Operation(2, 1.2, 1.4)])
    assert judge([FIRST], [Operation(7, 4, 5)])


def test_a_whole_document_has_its_number() -> None:
    assert read_number(json.dumps(make_document(17, 5)).encode()) == 17


@pytest.mark.parametrize(
    ("body", "complaint"),
    [
        (b"{}", "empty"),
        (b"", "torn"),
        (json.dumps(make_document(17, 5)).encode()[:-9], "torn"),
        (json.dumps(make_document(17, 5) | {"number": 18}).encode(), "mixed"),
        (json.dumps(make_document(17, 5) | {"filler": [17, 18]}).encode(), "mixed"),
        (b'{"success": false}', "not a document"),
        (b"[]", "not a document"),
        (b"null", "not a document"),
    ],
)
def test_anything_else_is_told_apart(body: bytes, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        read_number(body)
