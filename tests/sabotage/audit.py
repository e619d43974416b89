"""The audit: what a fix keeps, and what it declines."""

from __future__ import annotations

from tests.sabotage.operations import always, edit, never, remove, value
from tests.sabotage.safeguard import Sabotage

SABOTAGES = [
    Sabotage(
        "json-defaults",
        "a fix keeps json's own defaults",
        edit("True", "False"),
        "pytest tests/audit/test_writes.py -k bytes_stay",
    ),
    Sabotage(
        "other-uses-of-handle",
        "a fix declines other uses of the handle",
        never,
        "pytest tests/audit/test_writes.py -k left_with_a_reason",
    ),
    Sabotage(
        "path-may-change",
        "a fix declines a path that may change",
        never,
        "pytest tests/audit/test_writes.py -k left_with_a_reason",
    ),
    Sabotage(
        "no-fix-in-coroutine",
        "a fix declines coroutines",
        never,
        "pytest tests/audit/test_writes.py -k left_with_a_reason",
    ),
    Sabotage(
        "no-fix-of-moved-file",
        "a fix declines a file that is moved",
        never,
        "pytest tests/audit/test_writes.py -k left_with_a_reason",
    ),
    Sabotage(
        "cache-of-others",
        "a cache that others use stays",
        never,
        "pytest tests/audit/test_command.py -k another_file_uses",
    ),
    Sabotage(
        "hand-write-into-cache",
        "a hand write into a cache stays",
        remove,
        "pytest tests/audit/test_caches.py -k another_use",
    ),
    Sabotage(
        "source-changed-meanwhile",
        "a source that changed meanwhile is not written over",
        never,
        "pytest tests/audit/test_fixing.py -k changed_meanwhile",
    ),
    Sabotage(
        "rollback-leaves-documents",
        "a rollback of the code leaves the documents",
        edit(r"\(cd .*\|", "rm -r backend && cp -a backend.before backend  #"),
        "pytest tests/test_docs.py -k rollback",
    ),
    Sabotage(
        "update-through-helpers",
        "a lost update through helpers is found",
        value("[]"),
        "pytest tests/audit/test_updates.py -k is_found",
    ),
    Sabotage(
        "save-after-return",
        "a save after a return is no lost update",
        never,
        "pytest tests/audit/test_updates.py -k loses_nothing",
    ),
    Sabotage(
        "json-lines-left-alone",
        "JSON lines are left alone",
        never,
        "pytest tests/audit/test_writes.py -k json_lines",
    ),
    Sabotage(
        "cache-of-helper-loads",
        "a cache of what a helper loads is a cache",
        edit(r", \*\w+\]", "]"),
        "pytest tests/audit/test_caches.py -k what_a_helper_loads",
    ),
    Sabotage(
        "session-is-no-cache",
        "a session is no cache",
        never,
        "pytest tests/audit/test_caches.py -k is_no_cache",
    ),
    Sabotage(
        "no-fix-of-accepted",
        "a fix leaves what a comment accepts",
        edit(r"reason=\w+, edits=\(\), ", ""),
        "pytest tests/audit/test_suppressions.py -k no_fix_touches",
    ),
    Sabotage(
        "partly-accepted-cache",
        "a cache stays whole where a comment accepts a part",
        value("None"),
        "pytest tests/audit/test_suppressions.py -k accepted",
    ),
    Sabotage(
        "needless-ignore-told",
        "a comment that ignores nothing is told",
        never,
        "pytest tests/audit/test_suppressions.py -k ignores_nothing",
    ),
    Sabotage(
        "baseline-count",
        "a baseline knows only as many as were written",
        remove,
        "pytest tests/audit/test_suppressions.py -k wherever_its_line",
    ),
    Sabotage(
        "pattern-without-backups",
        "a pattern that leaves the backups out is known",
        always,
        "pytest tests/audit/test_listings.py -k what_it_meets",
    ),
]
