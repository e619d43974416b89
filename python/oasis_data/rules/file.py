"""The rules file: what it says, and which line is at fault where it says it wrong."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from oasis_data.rules.broken import BrokenRules
from oasis_data.rules.json_path import JSONPath, JSONPathError, reason_of
from oasis_data.rules.lines import line_of, tomllib
from oasis_data.rules.reference import End, Reference

_Keys = tuple[str | int, ...]


@dataclass
class RulesFile:
    """What a rules file says.

    Attributes:
        schemas: The schema file of each document that has one, by the document's name. Both
            are relative to the folder of the rules file.
        references: The references.
        names: The names of all documents, in the order of the file.
        text: The text of the file; empty where it is none.
    """

    schemas: dict[str, str] = field(default_factory=dict)
    references: list[Reference] = field(default_factory=list)
    names: dict[str, None] = field(default_factory=dict)
    text: str = ""

    def name(self, document: str) -> str:
        """Notes a document, and returns its name as it is told."""
        name = os.path.normpath(document)
        self.names.setdefault(name)
        return name

    def line_of_schema(self, name: str) -> int:
        """The line that gives a document its schema. The text is parsed several times for it."""
        documents = tomllib.loads(self.text)["documents"]
        document = next(each for each in documents if os.path.normpath(each) == name)
        return line_of(self.text, ("documents", document, "schema"))

    def line_of_reference(self, index: int) -> int:
        """The line of a reference. The text is parsed several times for it."""
        return line_of(self.text, ("references", index))


def read_rules(path: str, content: bytes) -> tuple[RulesFile, BrokenRules | None]:
    """What the file says; and where it is broken, what it says up to there, and why it is."""
    rules = RulesFile()
    try:
        _Reader(path, content, rules).read()
    except BrokenRules as broken:
        return rules, broken
    return rules, None


class _Reader:
    def __init__(self, path: str, content: bytes, rules: RulesFile) -> None:
        self._path = path
        self._content = content
        self._rules = rules
        self._text = ""

    def read(self) -> None:
        # As a file is while an editor writes it in place: rules that end here would end unseen.
        # safeguard: empty-rules-file
        if not self._content.strip():
            raise BrokenRules(self._path, 1, "the file is empty")
        try:
            self._text = self._rules.text = self._content.decode()
            everything = tomllib.loads(self._text)
        except UnicodeDecodeError as error:
            line = self._content.count(b"\n", 0, error.start) + 1
            raise BrokenRules(self._path, line, "not UTF-8") from error
        except tomllib.TOMLDecodeError as error:
            raise self._syntax(error) from error
        except RecursionError as error:
            raise BrokenRules(self._path, None, "nested too deep") from error
        documents = self._table((), everything, {"documents", "references"}).get("documents", {})
        if not isinstance(documents, dict):
            raise self._fault(("documents",), "'documents' must be tables: [documents.\"a.json\"]")
        references = everything.get("references", [])
        if not isinstance(references, list):
            raise self._fault(("references",), "'references' must be tables: [[references]]")
        # All names before the first fault: a broken file refuses saves of its documents.
        for document in documents:
            if "\0" in document:
                raise self._fault(("documents", document), f"{document!r} is no path")
            self._rules.name(document)
        for reference in references:
            for end in reference.values() if isinstance(reference, dict) else ():
                if isinstance(end, str) and "#" in end and "\0" not in end:
                    self._rules.name(end.partition("#$")[0])
        for document, table in documents.items():
            self._document(document, table)
        for index, reference in enumerate(references):
            self._reference(("references", index), reference)

    def _document(self, document: str, table: Any) -> None:
        keys = ("documents", document)
        schema = self._texts(keys, table, "schema")["schema"]
        name = self._rules.name(document)
        if name in self._rules.schemas:
            raise self._fault(keys, f"{name} is named twice")
        self._rules.schemas[name] = schema

    def _reference(self, keys: _Keys, table: Any) -> None:
        ends = self._texts(keys, table, "from", "to")
        source, target = (self._end((*keys, each), ends[each]) for each in ("from", "to"))
        self._rules.references.append(Reference(source, target))

    def _end(self, keys: _Keys, text: str) -> End:
        document, mark, path = text.partition("#$")
        if not document or not mark or "\0" in document:
            raise self._fault(keys, f"{text!r} must be a document, # and a JSONPath: a.json#$.*")
        try:
            return End(self._rules.name(document), JSONPath(f"${path}"))
        except JSONPathError as error:
            raise self._fault(keys, f"'${path}' is no JSONPath: {reason_of(error)}") from error

    def _texts(self, keys: _Keys, table: Any, *names: str) -> dict[str, str]:
        """A table that has exactly these keys, each with a text."""
        self._table(keys, table, set(names))
        for name in names:
            if name not in table:
                raise self._fault(keys, f"{name!r} is missing")
            if not isinstance(table[name], str) or not table[name]:
                raise self._fault((*keys, name), f"{name!r} must be a text")
        return dict(table)

    def _table(self, keys: _Keys, table: Any, known: set[str]) -> dict[str, Any]:
        if not isinstance(table, dict):
            raise self._fault(keys, f"{keys[-1]!r} must be a table")
        for key in table:
            if key not in known:
                raise self._fault((*keys, key), f"unknown key {key!r}")
        return table

    def _fault(self, keys: Sequence[str | int], problem: str) -> BrokenRules:
        return BrokenRules(self._path, line_of(self._text, keys), problem)

    def _syntax(self, error: tomllib.TOMLDecodeError) -> BrokenRules:
        """The fault of a text that is no TOML. The library tells the line in its message."""
        problem, _, where = str(error).rpartition(" (at ")
        line = where.removeprefix("line ").partition(",")[0]
        if line.isdigit():
            return BrokenRules(self._path, int(line), f"not TOML: {problem}")
        lines = max(len(self._text.splitlines()), 1)
        return BrokenRules(self._path, lines, f"not TOML: {problem or error}")
