"""Stores: documents in PostgreSQL."""

from __future__ import annotations

from tests.sabotage.operations import always, edit, never, remove, value
from tests.sabotage.safeguard import Sabotage

FILE = "pytest tests/postgres/test_stores.py -k "

SABOTAGES = [
    Sabotage(
        "longest-folder",
        "a path belongs to the longest mapped folder",
        edit(r"mapped\.iter\(\)", "mapped.iter().rev()"),
        "cargo stores::a_path_belongs",
    ),
    Sabotage(
        "batch-in-one-store",
        "a batch lies in one store",
        edit(r"!is_with_first\(&Engine::of\(save\.path\)\)", "false"),
        "cargo stores::a_batch_in_two",
    ),
    Sabotage(
        "no-database-without-durability",
        "a save in a database is durable",
        always,
        "cargo stores::a_save_that_is_not",
    ),
    Sabotage(
        "database-wait-ends-on-signal",
        "a signal ends the wait for a server",
        never,
        "cargo stores::a_signal",
    ),
    Sabotage(
        "content-matches-version",
        "the version is compared with the content's digest",
        never,
        FILE + "not_what_was_saved_is_not_loaded",
    ),
    Sabotage(
        "backup-matches-version",
        "the same of a backup",
        never,
        FILE + "not_what_was_saved_is_not_restored",
    ),
    Sabotage(
        "upsert-compares-version",
        "a save in one trip compares versions",
        edit(r"coalesce\(d\.version, 'missing'\) = \$6", "true"),
        FILE + "save_over_another_version",
    ),
    Sabotage(
        "version-compared-under-lock",
        "an edit compares versions",
        never,
        FILE + "edit_of_another_version",
    ),
    Sabotage(
        "same-id-sent-again",
        "a save that is sent again has the same id",
        edit(
            r"save\.send",
            "Save { id: new_save()?, name, bytes, version: version_of(bytes), options }.send",
        ),
        "pytest tests/postgres/test_breaks.py -k save_if_version-after-cut",
    ),
    Sabotage(
        "save-looked-for-before-conflict",
        "the save id is looked for before a conflict is reported",
        never,
        "pytest tests/postgres/test_breaks.py -k save_if_version-after-cut",
    ),
    Sabotage(
        "unknown-save-told",
        "an outcome that cannot be found out is told to be unknown",
        never,
        "pytest tests/postgres/test_breaks.py -k takes_no_connection and save",
    ),
    Sabotage(
        "unknown-batch-told",
        "the outcome of a batch that cannot be found out is told to be unknown",
        never,
        "pytest tests/postgres/test_breaks.py -k takes_no_connection and batch",
    ),
    Sabotage(
        "no-document-in-sidecar",
        "no document of a store lies among locks and journals",
        never,
        FILE + "among_locks and postgres",
    ),
    Sabotage(
        "batch-locks-in-order",
        "the rows of a batch are locked in the order of their names",
        edit("ORDER BY name FOR", "ORDER BY random() FOR"),
        FILE + "never_deadlock",
    ),
    Sabotage(
        "edit-locks-its-row",
        "an edit locks the row of its document",
        edit(" FOR UPDATE", ""),
        "pytest tests/postgres/test_appends.py -k lost_doubled and postgres",
    ),
    Sabotage(
        "standby-passed-over",
        "a standby among the hosts of a URL is passed over",
        never,
        "pytest tests/postgres/test_failures.py -k neither_read",
    ),
    Sabotage(
        "no-names-through-a-pooler",
        "a session that several clients may share has no statements with names",
        edit(r"prepare\.unwrap_or\(.*\);", "true;"),
        "pytest tests/postgres/test_pooler.py -k share_no_names",
    ),
    Sabotage(
        "prune-by-range",
        "contents are emptied by a range of numbers",
        edit(r"r\.number <= a\.newest", "r.number = a.newest"),
        FILE + "old_contents_go",
    ),
    Sabotage(
        "own-save-is-never-stale",
        "what was asked before a save is not kept as new",
        remove,
        "pytest tests/postgres/test_breaks.py -k asked_before",
    ),
    Sabotage(
        "limits-once-a-document",
        "a batch looks for the backups that stay once a document",
        edit(r"o OFFSET 0\)", "o)"),
        FILE + "reads_few_rows",
    ),
    Sabotage(
        "corrupt-row-kept",
        "a corrupt document is backed up whatever the settings",
        edit(r"options\.host\.found_corrupt\(self\.document\.key\(\)\)", "false"),
        FILE + "corrupt_document_is",
    ),
    Sabotage(
        "replaced-is-not-corrupt",
        "what follows a corrupt document is not taken for corrupt",
        edit(r"cache\.remember_corrupt\(key, false\)", "()"),
        "pytest tests/test_backups.py -k follows_a_corrupt and postgres",
    ),
    Sabotage(
        "no-pruning-over-corrupt-row",
        "a save over a corrupt document lets no backup go",
        value("Self::BackedUp"),
        "pytest tests/test_backups.py -k again_and_again and postgres",
    ),
    Sabotage(
        "no-wait-for-own-row",
        "no thread waits for its own row",
        never,
        FILE + "own_row",
    ),
    Sabotage(
        "session-is-parents",
        "an edit begun before a fork is the parent's",
        always,
        FILE + "refused_in_its_child",
    ),
    Sabotage(
        "parents-runtime-left",
        "a child leaves its parent's runtime as it is",
        edit(r"mem::forget\(self\)", "drop(self)"),
        FILE + "python_does_not_know",
    ),
    Sabotage(
        "socket-closed-in-child",
        "a forked child closes its parent's sockets",
        edit(
            r"(Arc::new\(CloseOnFork::open\(\|\| socket::new\(family\)\)\?\);)",
            r"\1 std::mem::forget(file.with(std::fs::File::try_clone));",
        ),
        FILE + "killed_parent",
    ),
    Sabotage(
        "no-server-without-fsync",
        "a server with fsync=off is refused",
        never,
        FILE + "without_fsync",
    ),
    Sabotage(
        "commit-warning-told",
        "a wait for a standby that was ended is told",
        edit('"01000", "57P01"', '"none"'),
        FILE + "server_says_otherwise",
    ),
    Sabotage(
        "last-words-are-no-warning",
        "the last words of a server are no doubt of a commit",
        value("false"),
        "pytest tests/postgres/test_breaks.py -k last_words",
    ),
    Sabotage(
        "unknown-outcome-told",
        "Ctrl-C in a commit tells that the outcome is unknown",
        edit("Error::OutcomeUnknown", "Error::NotFound"),
        FILE + "ctrl_c_in_a_commit",
    ),
]
