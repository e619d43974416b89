"""The Flask extension: its catalogue, and the conditions of HTTP."""

from __future__ import annotations

from tests.sabotage.safeguard import FLASK, Sabotage

CATALOGUE = "python/oasis_data/catalogue.py"

SABOTAGES = [
    Sabotage(
        "no symlink leads out of the catalogue's root",
        CATALOGUE,
        "if not Path(os.path.realpath(path)).is_relative_to(self.root):",
        "if False:",
        "pytest tests/flask_extension/test_catalogue.py -k leads_out",
    ),
    Sabotage(
        "only a plain text is a data type",
        CATALOGUE,
        "if type(data_type) is not str or data_type not in self.files:",
        "if data_type not in self.files:",
        "pytest tests/flask_extension/test_catalogue.py -k no_other_spelling",
    ),
    Sabotage(
        "a catalogue names no file above its root",
        CATALOGUE,
        'path.is_absolute() or ".." in path.parts or ',
        "",
        "pytest tests/flask_extension/test_catalogue.py -k as_it_is_spelt",
    ),
    Sabotage(
        "an empty If-Match tag asks for something",
        FLASK,
        "if tag and allows(tag)]",
        "if allows(tag)]",
        "pytest tests/flask_extension/test_versions.py -k conditions",
    ),
    Sabotage(
        "an unreadable If-Match allows nothing",
        FLASK,
        'has_match = "If-Match" in request.headers',
        "has_match = bool(match)",
        "pytest tests/flask_extension/test_versions.py -k conditions",
    ),
    Sabotage(
        "no file is a version that If-Match can name",
        FLASK,
        "if has_match and not (exists and match.contains(version)):",
        "if has_match and not match.contains(version):",
        "pytest tests/flask_extension/test_versions.py -k conditions",
    ),
    Sabotage(
        "a client's version is what is saved over",
        FLASK,
        'return _save_with_version(path, content, {"if_version": expected}, keep_layout=True)',
        "return _save_with_version(path, content, {}, keep_layout=True)",
        "pytest tests/flask_extension/test_versions.py -k two_editors",
    ),
    Sabotage(
        "an answer has the version that was saved",
        FLASK,
        "        response.set_etag(version)\n        return response\n",
        "        response.set_etag('other')\n        return response\n",
        "pytest tests/flask_extension/test_versions.py -k what_was_put",
    ),
    Sabotage(
        "a document is answered with its keys in their order",
        FLASK,
        "json.dumps(document, allow_nan=False, ",
        "json.dumps(document, allow_nan=False, sort_keys=True, ",
        "pytest tests/flask_extension/test_versions.py -k who_puts_back",
    ),
    Sabotage(
        "a document that is put back as it was shown keeps the layout of its file",
        "src/documents/in_place.rs",
        ".then_some(found.bytes)",
        ".then_some(found.bytes).and(same)",
        "pytest tests/flask_extension/test_versions.py -k who_puts_back",
    ),
    Sabotage(
        "what is only equal to the document in the file is saved",
        "src/documents/in_place.rs",
        "(same.as_deref() == Some(text)).then_some(found.bytes)",
        "same.map(|_| found.bytes)",
        "pytest tests/flask_extension/test_versions.py -k only_equal",
    ),
    Sabotage(
        "what is no JSON is not answered as JSON",
        FLASK,
        "json.dumps(document, allow_nan=False, ",
        "json.dumps(document, ",
        "pytest tests/flask_extension/test_errors.py -k not_served",
    ),
    Sabotage(
        "what a client can mend is no error in the log",
        FLASK,
        "logging.ERROR if status >= 500 else logging.WARNING",
        "logging.ERROR",
        "pytest tests/flask_extension/test_errors.py -k ordinary_outcomes",
    ),
    Sabotage(
        "what only the server can mend is an error in the log",
        FLASK,
        "logging.ERROR if status >= 500 else logging.WARNING",
        "logging.WARNING",
        "pytest tests/flask_extension/test_errors.py -k ordinary_outcomes",
    ),
    Sabotage(
        "a tag that a proxy made weak is told from an old version",
        FLASK,
        "        return _WEAK\n",
        "        return None\n",
        "pytest tests/flask_extension/test_versions.py -k proxy_changed",
    ),
]
