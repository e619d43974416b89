"""The audit: what a fix keeps, and what it declines."""

from __future__ import annotations

from tests.sabotage.safeguard import Sabotage

AUDIT = "python/oasis_data/audit/"

SABOTAGES = [
    Sabotage(
        "a fix keeps json's own defaults",
        AUDIT + "json_calls.py",
        '"ensure_ascii": ("True", "False"),',
        '"ensure_ascii": ("False", "False"),',
        "pytest tests/audit/test_writes.py -k bytes_stay",
    ),
    Sabotage(
        "a fix declines other uses of the handle",
        AUDIT + "handles.py",
        "if any(_is_use(source, each, use, statement) for each in source.nodes):",
        "if False:",
        "pytest tests/audit/test_writes.py -k left_with_a_reason",
    ),
    Sabotage(
        "a fix declines a path that may change",
        AUDIT + "handles.py",
        "if later and not stable(source, path, later):",
        "if False:",
        "pytest tests/audit/test_writes.py -k left_with_a_reason",
    ),
    Sabotage(
        "a fix declines coroutines",
        AUDIT + "replacing.py",
        "if in_coroutine(source, call):",
        "if False:",
        "pytest tests/audit/test_writes.py -k left_with_a_reason",
    ),
    Sabotage(
        "a fix declines a file that is moved",
        AUDIT + "writes.py",
        "    if moved:\n",
        "    if False:\n",
        "pytest tests/audit/test_writes.py -k left_with_a_reason",
    ),
    Sabotage(
        "a cache that others use stays",
        AUDIT + "caches.py",
        "if foreign.uses(name.id):",
        "if False:",
        "pytest tests/audit/test_command.py -k another_file_uses",
    ),
    Sabotage(
        "a hand write into a cache stays",
        AUDIT + "caches.py",
        "                reason = reason or why\n",
        "",
        "pytest tests/audit/test_caches.py -k another_use",
    ),
    Sabotage(
        "a source that changed meanwhile is not written over",
        AUDIT + "fixing.py",
        "if target.read_bytes() != audited.content:",
        "if False:",
        "pytest tests/audit/test_fixing.py -k changed_meanwhile",
    ),
    Sabotage(
        "a rollback of the code leaves the documents",
        "docs/migration.md",
        "(cd backend.before && find . -name '*.py' -print0 | tar -cf - --null -T -) |",
        "rm -r backend && cp -a backend.before backend  #",
        "pytest tests/test_docs.py -k rollback",
    ),
]
