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
        "docs/how-to/migration.md",
        "(cd backend.before && find . -name '*.py' -print0 | tar -cf - --null -T -) |",
        "rm -r backend && cp -a backend.before backend  #",
        "pytest tests/test_docs.py -k rollback",
    ),
    Sabotage(
        "a lost update through helpers is found",
        AUDIT + "helpers.py",
        "            accesses = [*_through(call, target, found)] if target else []\n",
        "            accesses: list[Access] = []\n",
        "pytest tests/audit/test_updates.py -k is_found",
    ),
    Sabotage(
        "a save after a return is no lost update",
        AUDIT + "updates.py",
        "if any(isinstance(each, ast.Return | ast.Raise) for each in later):",
        "if False:",
        "pytest tests/audit/test_updates.py -k loses_nothing",
    ),
    Sabotage(
        "JSON lines are left alone",
        AUDIT + "writes.py",
        "    if _are_lines(source, call, handle):\n        return\n",
        "",
        "pytest tests/audit/test_writes.py -k json_lines",
    ),
    Sabotage(
        "a cache of what a helper loads is a cache",
        AUDIT + "auditing.py",
        "*find_caches(source, [*loads, *helped], saves,",
        "*find_caches(source, [*loads], saves,",
        "pytest tests/audit/test_caches.py -k what_a_helper_loads",
    ),
    Sabotage(
        "a session is no cache",
        AUDIT + "caches.py",
        "if is_of_framework(source, container):",
        "if False:",
        "pytest tests/audit/test_caches.py -k is_no_cache",
    ),
    Sabotage(
        "a fix leaves what a comment accepts",
        AUDIT + "suppressions.py",
        "reason=ACCEPTED, edits=(), ",
        "",
        "pytest tests/audit/test_suppressions.py -k no_fix_touches",
    ),
    Sabotage(
        "a cache stays whole where a comment accepts a part",
        AUDIT + "caches.py",
        'reason = f"line {accepted.span.line} is ignored by a comment" if accepted else None',
        "reason = None",
        "pytest tests/audit/test_suppressions.py -k accepted",
    ),
    Sabotage(
        "a comment that ignores nothing is told",
        AUDIT + "suppressions.py",
        "if each not in self._used:",
        "if False:",
        "pytest tests/audit/test_suppressions.py -k ignores_nothing",
    ),
    Sabotage(
        "a baseline knows only as many as were written",
        AUDIT + "baseline.py",
        "            left[key] -= 1\n",
        "            pass\n",
        "pytest tests/audit/test_suppressions.py -k wherever_its_line",
    ),
    Sabotage(
        "a pattern that leaves the backups out is known",
        AUDIT + "listings.py",
        "    if any(fnmatchcase(name, last) for name in _backups_like(last)):\n",
        "    if True:\n",
        "pytest tests/audit/test_listings.py -k what_it_meets",
    ),
]
