"""Judgements: what a write leads to, under the lock of the group of its documents."""

from __future__ import annotations

from tests.sabotage.operations import Operation, edit, never, remove, value
from tests.sabotage.safeguard import Sabotage

WRITES = "pytest tests/judging/test_writes.py -k "
LOCKS = "pytest tests/judging/test_locks.py -k "


def released_at_once() -> Operation:
    """The lock of the group is released when the judge has spoken."""
    return edit(r"let judged = (.*)\?;", r"drop(\1?); let judged = ();")


SABOTAGES = [
    Sabotage(
        "group-lock",
        "the lock of the group",
        value("|| -> Result<Option<Lock>> { Ok(None) }"),
        "cargo group_locks::a_write_waits",
    ),
    Sabotage(
        "companions-under-lock",
        "the other documents are read under the lock of the group",
        edit(
            r"\(group, companions\) = \(lock\(\)\?, read\(\)\?\)",
            "(companions, group) = (read()?, lock()?)",
        ),
        "cargo group_locks::the_other_documents",
    ),
    Sabotage(
        "companion-recovered",
        "a batch that was interrupted is recovered before others are judged",
        remove,
        "cargo judging::what_an_interrupted",
    ),
    Sabotage(
        "companion-durable-first",
        "what a write was judged by is on the disk before the write",
        remove,
        LOCKS + "judged_by_is_on_the_disk",
    ),
    Sabotage(
        "save-published-under-group-lock",
        "a save is published under the lock of the group",
        released_at_once(),
        LOCKS + "published_under",
    ),
    Sabotage(
        "deletion-published-under-group-lock",
        "a deletion is published under the lock of the group",
        released_at_once(),
        LOCKS + "published_under",
    ),
    Sabotage(
        "batch-published-under-group-lock",
        "a batch is decided and published under the lock of the group",
        released_at_once(),
        LOCKS + "decides_under",
    ),
    Sabotage(
        "batch-judged-as-one",
        "a batch is judged with all of its documents",
        edit(r"states\.into_iter\(\)", "states.into_iter().take(1)"),
        "cargo judging::a_batch_is_judged_as_one",
    ),
    Sabotage(
        "unchanged-save-obeys",
        "a save that changes nothing is held against its schema",
        never,
        "pytest tests/rules/test_writes.py -k changes_nothing",
    ),
    Sabotage(
        "faults-reach-the-judge",
        "a write is judged by what its texts have against their schemas",
        value("PyList::empty(py)"),
        "pytest tests/rules/test_writes.py -k disobeys",
    ),
    Sabotage(
        "contents-of-one-moment",
        "what a refused write is told of other documents is of one moment",
        edit(r"at_one_moment\(.*\|_, _\| (\{[\s\S]*\})\)\?", r"\1?"),
        WRITES + "of_one_moment",
    ),
    Sabotage(
        "restored-obeys",
        "a restore passes over what does not obey",
        never,
        WRITES + "newest_backup_that_obeys",
    ),
    Sabotage(
        "group-in-one-store",
        "documents that refer to each other lie in one store",
        edit(r"!engine\.shares_store\(&Engine::of\(other\)\)", "false"),
        WRITES + "lie_in_one_store",
    ),
    Sabotage(
        "group-row-lock",
        "the same lock in a database",
        never,
        WRITES + "waits_for_the_judgement",
    ),
    Sabotage(
        "no-wait-for-own-group",
        "no thread waits for its own judgement in a database",
        never,
        WRITES + "inside_a_judgement",
    ),
]
