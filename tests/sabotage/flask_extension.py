"""The Flask extension: its catalogue, and the conditions of HTTP."""

from __future__ import annotations

from tests.sabotage.operations import edit, never, remove, value, without
from tests.sabotage.safeguard import Sabotage

SABOTAGES = [
    Sabotage(
        "no-symlink-out-of-root",
        "no symlink leads out of the catalogue's root",
        never,
        "pytest tests/flask_extension/test_catalogue.py -k leads_out",
    ),
    Sabotage(
        "plain-text-data-type",
        "only a plain text is a data type",
        without(0),
        "pytest tests/flask_extension/test_catalogue.py -k no_other_spelling",
    ),
    Sabotage(
        "no-file-above-root",
        "a catalogue names no file above its root",
        without(0, 1),
        "pytest tests/flask_extension/test_catalogue.py -k as_it_is_spelt",
    ),
    Sabotage(
        "empty-if-match-tag",
        "an empty If-Match tag asks for something",
        edit(r"if \w+ and ", "if "),
        "pytest tests/flask_extension/test_versions.py -k conditions",
    ),
    Sabotage(
        "unreadable-if-match",
        "an unreadable If-Match allows nothing",
        value("bool(match)"),
        "pytest tests/flask_extension/test_versions.py -k conditions",
    ),
    Sabotage(
        "no-file-is-no-match",
        "no file is a version that If-Match can name",
        edit(r"not \(\w+ and (.+)\)", r"not \1"),
        "pytest tests/flask_extension/test_versions.py -k conditions",
    ),
    Sabotage(
        "client-version-saved-over",
        "a client's version is what is saved over",
        edit(r"\(\w+\)", "(None)"),
        "pytest tests/flask_extension/test_versions.py -k two_editors",
    ),
    Sabotage(
        "answer-with-saved-version",
        "an answer has the version that was saved",
        edit(r"\(\w+\)", "('other')"),
        "pytest tests/flask_extension/test_versions.py -k what_was_put",
    ),
    Sabotage(
        "answered-text",
        "a document is answered with its keys in their order",
        edit(r"\)$", ", sort_keys=True)"),
        "pytest tests/flask_extension/test_versions.py -k who_puts_back",
    ),
    Sabotage(
        "same-text-keeps-layout",
        "a document that is put back as it was shown keeps the layout of its file",
        edit(r"(\w+\.bytes\))", r"\1.and(same)"),
        "pytest tests/flask_extension/test_versions.py -k who_puts_back",
    ),
    Sabotage(
        "same-text-keeps-layout",
        "what is only equal to the document in the file is saved",
        value("Ok(same.map(|_| found.bytes))"),
        "pytest tests/flask_extension/test_versions.py -k only_equal",
    ),
    Sabotage(
        "answered-text",
        "what is no JSON is not answered as JSON",
        edit("allow_nan=False, ", ""),
        "pytest tests/flask_extension/test_errors.py -k not_served",
    ),
    Sabotage(
        "log-level-of-failure",
        "what a client can mend is no error in the log",
        value("logging.ERROR"),
        "pytest tests/flask_extension/test_errors.py -k ordinary_outcomes",
    ),
    Sabotage(
        "log-level-of-failure",
        "what only the server can mend is an error in the log",
        value("logging.WARNING"),
        "pytest tests/flask_extension/test_errors.py -k ordinary_outcomes",
    ),
    Sabotage(
        "weak-tag-told",
        "a tag that a proxy made weak is told from an old version",
        value("None"),
        "pytest tests/flask_extension/test_versions.py -k proxy_changed",
    ),
    Sabotage(
        "conflict-has-current-tag",
        "a client that is refused gets the ETag of what is there",
        remove,
        "pytest tests/flask_extension/test_patch.py -k too_late",
    ),
    Sabotage(
        "copies-are-counted",
        "a patch cannot fill the memory with copies",
        remove,
        "pytest tests/flask_extension/test_patch.py -k fill_the_memory",
    ),
]
