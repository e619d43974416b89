"""The cache: which content is the file's, and whose a document is."""

from __future__ import annotations

from tests.sabotage.operations import edit, never, value, without
from tests.sabotage.safeguard import Sabotage

SABOTAGES = [
    Sabotage(
        "identity-ctime",
        "the ctime in the identity",
        value("0"),
        "cargo identity::a_change_in_place",
    ),
    Sabotage(
        "racy-window",
        "the racy window",
        edit("> tick", "> tick - 1_000_000_000_000"),
        "pytest tests/cache/test_freshness.py",
    ),
    Sabotage(
        "hit-compares-identity",
        "a hit compares the identity",
        value("kept"),
        "pytest tests/cache/test_freshness.py",
    ),
    Sabotage(
        "identity-birth-time",
        "the birth time in the identity",
        edit(r"\(birth\)", "(1)"),
        "cargo identity::a_file_born",
    ),
    Sabotage(
        "no-trust-without-birth-time",
        "bytes are compared without a birth time",
        without(0),
        "pytest tests/cache/test_freshness.py -k without_a_birth_time",
    ),
    Sabotage(
        "clock-set-back",
        "nothing from before the clock was set back is trusted",
        value("true"),
        "pytest tests/cache/test_freshness.py -k clock_was_set_back",
    ),
    Sabotage(
        "own-descriptor-closed",
        "whose descriptor it is, before it is closed",
        edit(r"is_none\(\)", "is_none() && self.kept.get().is_none()"),
        "pytest tests/test_descriptors.py -k closes_no_descriptor",
    ),
    Sabotage(
        "own-descriptor-used",
        "whose descriptor it is, before it is used",
        value("self.file.as_ref()"),
        "pytest tests/test_descriptors.py -k edit",
    ),
    Sabotage(
        "own-lock-under-the-number",
        "who the lock is of that has a closed descriptor's number",
        never,
        "pytest tests/test_descriptors.py -k lost_its_lock",
    ),
    Sabotage(
        "own-descriptor-on-failing-disk",
        "whose descriptor it is, on a disk that fails",
        value("false"),
        "pytest tests/torture/test_faults.py -k edit",
    ),
    Sabotage(
        "lock-let-go",
        "which of two locks of a file an edit lets go",
        edit("!=", "<"),
        "pytest tests/test_descriptors.py -k lost_its_lock",
    ),
    Sabotage(
        "edit-remembers-descriptors",
        "an edit remembers which files its descriptors are",
        value("Ok::<(), rustix::io::Errno>(())"),
        "pytest tests/test_descriptors.py -k edit",
    ),
    Sabotage(
        "own-lock-and-folder",
        "whose folder it is, before it is used",
        without(1),
        "pytest tests/test_descriptors.py -k only_one",
    ),
    Sabotage(
        "private-copy",
        "the private copy",
        never,
        "pytest tests/cache/test_ownership.py",
    ),
    Sabotage(
        "plan-set-once",
        "a document's plan is set in one go",
        edit(r"\|\| (\w+)\)", r"|| { py.detach(|| ()); \1 })"),
        "pytest tests/test_cache_processes.py -k first_time",
    ),
    Sabotage(
        "copies-count",
        "what copies take counts towards the limit",
        never,
        "pytest tests/test_codec.py -k counts_towards",
    ),
    Sabotage(
        "racy-files-held",
        "files changed just now are held while several are loaded",
        edit(";$", " && false;"),
        "pytest tests/test_syscalls.py -k while_several",
    ),
    Sabotage(
        "log-not-held-open",
        "a log that is not held open",
        value("True"),
        "pytest tests/test_descriptors.py -k the_log",
    ),
]
