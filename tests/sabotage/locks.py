"""Locks: who is kept out, for how long, and by which file."""

from __future__ import annotations

from tests.sabotage.operations import always, edit, never, remove, value, without
from tests.sabotage.safeguard import Sabotage

SABOTAGES = [
    Sabotage(
        "edit-lock-still-current",
        "an edit looks whether its lock was removed",
        remove,
        "pytest tests/test_edit.py -k lock_was_removed",
    ),
    Sabotage(
        "lock-file-nofollow",
        "O_NOFOLLOW of the lock file",
        edit(r"OFlags::NOFOLLOW \| ", ""),
        "cargo locks::a_symlink",
    ),
    Sabotage(
        "lock",
        "the lock itself",
        without(1),
        "cargo locks::excludes",
    ),
    Sabotage(
        "queue",
        "the queue",
        value("true"),
        "pytest tests/test_waking.py -k does_not_pass",
    ),
    Sabotage(
        "queue",
        "a caller without time takes a free lock whoever waits",
        edit(r"hurried \|\| ", ""),
        "pytest tests/test_locks.py -k keeps_nobody",
    ),
    Sabotage(
        "line-before-newcomer",
        "a newcomer lets those in the line go first",
        value("false"),
        "pytest tests/test_waking.py -k newcomer",
    ),
    Sabotage(
        "wake-of-the-queue",
        "a release wakes the process in the queue",
        always,
        "pytest tests/test_waking.py -k wakes_the_process",
    ),
    Sabotage(
        "word-changed-before-second-wake",
        "a process that is about to sleep sees that it was woken",
        remove,
        "pytest tests/test_waking.py -k wakes_the_process",
    ),
    Sabotage(
        "wake-of-the-line",
        "who leaves the queue wakes the line",
        value("true"),
        "pytest tests/test_waking.py -k wakes_the_line",
    ),
    Sabotage(
        "polling-without-words",
        "a wait that nothing wakes pauses and looks",
        remove,
        "pytest tests/test_waking.py -k goes_on_where",
    ),
    Sabotage(
        "holder-before-deadline",
        "the holder is looked for before the deadline",
        value("Some(None)"),
        "pytest tests/test_waking.py -k looked_for",
    ),
    Sabotage(
        "mapping-not-inherited",
        "a forked child has no mapping of a lock file",
        remove,
        "pytest tests/test_waking.py -k forked_child",
    ),
    Sabotage(
        "folder-id-beside-words",
        "the folder_id stands beside the words in a lock file",
        value("text.as_slice()"),
        "pytest tests/test_batch.py -k beside_the_words",
    ),
    Sabotage(
        "no-wait-for-oneself",
        "no thread waits for itself",
        never,
        "cargo locks::a_thread_does",
    ),
    Sabotage(
        "lock-file-recheck",
        "the recheck of the locked file",
        value("Ok(true)"),
        "cargo locks::a_lock_whose",
    ),
    Sabotage(
        "removed-lock-file-recheck",
        "the recheck for a removed lock file",
        value("Ok(true)"),
        "cargo locks::a_lock_whose",
    ),
    Sabotage(
        "out-of-queue-before-handler",
        "out of the queue before a signal handler",
        remove,
        "pytest tests/test_locks.py -k own_thread_in_the_queue",
    ),
    Sabotage(
        "only-would-block-is-contention",
        "only would-block is contention",
        value("error.raw_os_error().is_some()"),
        "pytest tests/test_syscalls.py -k no_contention",
    ),
    Sabotage(
        "signals-end-the-wait",
        "signals end the wait",
        edit(r"^if (.*?) \{", r"if \1 && false {"),
        "pytest tests/test_locks.py -k handler_that_raises",
    ),
    Sabotage(
        "when-to-try-the-lock",
        "a stopped waiter is passed",
        without(2),
        "pytest tests/test_locks.py -k keeps_nobody",
    ),
    Sabotage(
        "when-to-try-the-lock",
        "the last look is at the lock",
        without(1),
        "pytest tests/test_locks.py -k keeps_nobody",
    ),
    Sabotage(
        "handed-edit-is-waited-for",
        "an edit that may be left elsewhere is waited for",
        edit(";$", ".or(Some(Standstill::Nested));"),
        "cargo locks::an_owner_who_may",
    ),
    Sabotage(
        "released-while-asked",
        "a lock that is released while its owner is asked is waited for",
        edit("matches!.*", "true;"),
        "cargo locks::an_owner_who_leaves",
    ),
    Sabotage(
        "nested-on-the-stack",
        "whoever is on the stack cannot leave its block",
        value("Ok(None)"),
        "pytest tests/test_waiting_for_oneself.py -k inside",
    ),
    Sabotage(
        "only-with-keeps-its-block",
        "only a with statement keeps its block",
        always,
        "pytest tests/test_waiting_for_oneself.py -k another_thread",
    ),
    Sabotage(
        "loop-of-the-coroutine",
        "only the loop of a coroutine cannot go on",
        always,
        "pytest tests/test_waiting_for_oneself.py -k loop_that_is_not_running",
    ),
    Sabotage(
        "linked-lock-renewed",
        "a lock that is linked elsewhere is made anew",
        never,
        "pytest tests/test_locks.py -k share_no_locks",
    ),
    Sabotage(
        "lock-left-to-other-folder",
        "a lock that is held for another folder is made anew",
        never,
        "pytest tests/test_locks.py -k copied_while_it_is_edited",
    ),
    Sabotage(
        "renewed-only-when-held",
        "a lock is made anew only by who holds it",
        edit("= (.+);", r"= if stat.st_nlink > 1 && !renewed { Ok(()) } else { \1 };"),
        "pytest tests/test_locks.py -k while_locks_are_made_anew",
    ),
    Sabotage(
        "renewed-lock-keeps-content",
        "a lock that is made anew keeps what it holds",
        edit(r"\.\.\w+", "..0"),
        "pytest tests/test_locks.py -k keeps_its_mark",
    ),
    Sabotage(
        "leftover-new-lock",
        "what a killed maker of a lock left is cleared up",
        edit(r"^fs::unlinkat\([^)]+\)\)", "Err(Errno::EXIST)"),
        "pytest tests/test_locks.py -k cannot_be_made_anew",
    ),
    Sabotage(
        "held-lock-not-collected",
        "no lock is collected that somebody holds",
        value("{}"),
        "cargo locks::collects",
    ),
    Sabotage(
        "used-lock-not-collected",
        "no lock is collected whose document is there",
        never,
        "cargo locks::collects",
    ),
]
