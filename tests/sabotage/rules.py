"""Rules: what a write is held against."""

from __future__ import annotations

from tests.sabotage.operations import always, edit, never, remove, value, without
from tests.sabotage.safeguard import Sabotage

SABOTAGES = [
    Sabotage(
        "rules-read-anew",
        "rules that have changed are read anew",
        never,
        "pytest tests/rules/test_reading.py -k changed_is_read_anew",
    ),
    Sabotage(
        "rules-within-the-racy-window",
        "a second change of rules under the same stamp is seen",
        value("self"),
        "pytest tests/rules/test_reading.py -k same_stamp",
    ),
    Sabotage(
        "rules-no-pipe",
        "no write waits for the writer of a pipe in place of a rules file",
        edit(r" \| os\.O_NONBLOCK", ""),
        "pytest tests/rules/test_evasions.py -k pipe",
    ),
    Sabotage(
        "empty-rules-file",
        "a rules file that is cut off at nothing ends no rules",
        never,
        "pytest tests/rules/test_file.py -k when_it_was_whole",
    ),
    Sabotage(
        "broken-rules-concern-the-same",
        "a rules file that breaks refuses the documents that it had",
        remove,
        "pytest tests/rules/test_file.py -k when_it_was_whole or that_is_gone",
    ),
    Sabotage(
        "rules-not-installed",
        "without what rules need, writes are refused",
        value("None"),
        "pytest tests/rules/test_settings.py -k without_what",
    ),
    Sabotage(
        "rules-follow-symlinks",
        "a symlink leads to the rules of its document",
        value("path"),
        "pytest tests/rules/test_reading.py -k every_path",
    ),
    Sabotage(
        "rules-of-what-a-document-leads-to",
        "what a document is a symlink to has its rules",
        value("path"),
        "pytest tests/rules/test_evasions.py -k leads_to_has",
    ),
    Sabotage(
        "one-name-a-document",
        "two names of one document break the rules file",
        always,
        "pytest tests/rules/test_evasions.py -k has_one_name",
    ),
    Sabotage(
        "two-slashes-are-one",
        "a path with two slashes at its beginning is that of its document",
        value("os.path.abspath(path)"),
        "pytest tests/rules/test_evasions.py -k each_spelling",
    ),
    Sabotage(
        "rules-after-chdir",
        "an edit that changes the working directory is judged by its rules",
        remove,
        "pytest tests/rules/test_evasions.py -k working_directory",
    ),
    Sabotage(
        "schema-of-one-content",
        "the validators of a schema are of one content",
        always,
        "pytest tests/rules/test_evasions.py -k one_content",
    ),
    Sabotage(
        "schema-depth",
        "no document runs the schema's library out of stack",
        never,
        "pytest tests/rules/test_schemas.py -k held_against",
    ),
    Sabotage(
        "only-plain-objects-say-what-is-written",
        "of an object that says more than its text, the text is judged",
        remove,
        "pytest tests/rules/test_valid.py -k any_other_object",
    ),
    Sabotage(
        "schemas-never-fetched",
        "no schema is fetched from a network",
        without(1),
        "pytest tests/rules/test_schemas.py -k is_fetched",
    ),
    Sabotage(
        "no-boolean-is-a-number",
        "a boolean is no number that is referred to",
        edit(r'"boolean" if .+ else ', ""),
        "pytest tests/rules/test_references.py -k compared_as_json",
    ),
    Sabotage(
        "masked-key-is-no-place",
        "a masked key is in no place",
        never,
        "pytest tests/rules/test_references.py -k masked",
    ),
    Sabotage(
        "judged-after-the-write",
        "references are judged as they are after the write",
        edit(r"\(after, ", "(before, "),
        "pytest tests/rules/test_references.py -k unknown_crude or not_removed",
    ),
    Sabotage(
        "grandfathered-fault",
        "an old fault excuses no new one",
        never,
        "pytest tests/rules/test_grandfathered.py -k only_a_new or dangling",
    ),
    Sabotage(
        "grandfathered-fault-counts-once",
        "an old fault excuses one fault",
        remove,
        "pytest tests/rules/test_grandfathered.py -k counted",
    ),
    Sabotage(
        "grandfathered-fault-hides-none",
        "an old fault that hides others excuses nothing",
        without(1),
        "pytest tests/rules/test_evasions.py -k old_fault",
    ),
    Sabotage(
        "restore-prefers-what-obeys",
        "restore prefers the newest backup that obeys",
        edit(r"if not .+:", "if True:"),
        "pytest tests/cli/test_rules.py -k prefers",
    ),
    Sabotage(
        "import-obeys-rules",
        "import leaves what does not obey",
        never,
        "pytest tests/cli/test_rules.py -k import",
    ),
]
