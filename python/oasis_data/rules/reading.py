"""The rules as one reading of their files found them."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from collections.abc import Set as AbstractSet
from typing import Any

from oasis_data import _native
from oasis_data.error_handling import CorruptFileError
from oasis_data.rules.broken import BrokenRules
from oasis_data.rules.documents import Documents, folder_of, groups_of
from oasis_data.rules.file import RulesFile, read_rules
from oasis_data.rules.found import Found
from oasis_data.rules.reference import Reference
from oasis_data.rules.schema import Schema
from oasis_data.rules.watched import Watched


class Reading:
    """What the rules file says, and the schemas that were needed so far.

    Attributes:
        path: The rules file, as it was given.
        watched: The rules file and its content.
        file: What it says.
        documents: Its documents.
        references: Its references.
        groups: The group of each document with a reference, from it or to it.
        broken: Why it cannot be used; None where it can.
        masked: Whether values are told as `***`.
    """

    def __init__(self, path: str, *, masked: bool, last: Reading | None) -> None:
        """Reads the file. `last` is what the process knew of it before."""
        self.path = path
        self.masked = masked
        self.watched = Watched(path)
        self._schemas: dict[str, Schema] = {}
        self.file, self.broken = self._read()
        if self.broken is not None and last is not None:
            # What the broken file no longer tells of stays refused.
            # safeguard: broken-rules-concern-the-same
            for name in last.file.names:
                self.file.name(name)
        self.documents = Documents(path, self.file.names)
        self.references = self.file.references
        joined = {name for reference in self.references for name in reference.documents}
        self.groups = groups_of(joined, self.documents.paths)
        self.broken = self.broken or self._named_twice() or self._across_stores()
        folder = folder_of(path)
        self._schema_paths = {
            name: os.path.normpath(os.path.join(folder, schema))
            for name, schema in self.file.schemas.items()
        }

    def is_current(self) -> bool:
        """Whether the rules file still says this."""
        return self.watched.is_current()

    def name_of(self, given_path: str, *, deletes: bool = False) -> str | None:
        """The name of the document at a path; None for a document without rules.

        Raises:
            BrokenRulesError: The rules are broken, and concern this document.
        """
        name = self.documents.name_of(given_path)
        if self.broken is None:
            return name
        # Of a file that was never whole, nobody knows which documents it concerns.
        everything = not self.file.names
        if name or (everything and self.documents.is_below_folder(given_path, self.path)):
            raise self.broken.for_document(given_path, deletes=deletes) from self.broken
        return None

    def references_of(self, names: AbstractSet[str]) -> list[Reference]:
        """The references that have one of these documents at an end."""
        if names.isdisjoint(self.groups):
            return []
        return [each for each in self.references if not names.isdisjoint(each.documents)]

    def schema(self, name: str) -> Schema | None:
        """The schema of a document, read anew if it has changed; None for no schema.

        Raises:
            BrokenRules: The schema cannot be used.
        """
        known = self._schemas.get(name)
        if known is not None and known.is_current():
            return known
        path = self._schema_paths.get(name)
        if path is None:
            return None
        try:
            known = self._schemas[name] = Schema(path, masked=self.masked)
        except BrokenRules as broken:
            # The file at fault may be one that the schema refers to.
            where = f"{os.path.basename(self.path)}, line {self.file.line_of_schema(name)}"
            problem = f"{broken.problem} (for the schema in {where})"
            raise BrokenRules(broken.path, broken.line, problem) from broken
        return known

    def schema_faults(self, name: str, text: bytes) -> list[Found]:
        """What the text of a document has against its schema.

        Raises:
            BrokenRules: The schema cannot be used.
        """
        schema = self.schema(name)
        return [] if schema is None else schema.faults(name, text)

    def dangling(
        self, references: Iterable[Reference], texts: Mapping[str, bytes | None]
    ) -> list[Found]:
        """What dangles of these references where the documents have these texts."""
        contents: dict[str, Any] = {}
        for name, text in texts.items():
            if text is None:
                continue
            try:
                contents[name] = _native.decode(text)
            except CorruptFileError:
                continue  # as a missing document: it holds up its own repair no longer
        return [
            found
            for reference in references
            for found in reference.faults(contents, masked=self.masked)
        ]

    def _read(self) -> tuple[RulesFile, BrokenRules | None]:
        if self.watched.content is None:
            return RulesFile(), BrokenRules(self.path, None, self.watched.problem)
        return read_rules(self.path, self.watched.content)

    def _named_twice(self) -> BrokenRules | None:
        """The fault of two names that lead to one document, which would obey half its rules."""
        twins = self.documents.twins
        # safeguard: one-name-a-document
        if twins is None:
            return None
        return BrokenRules(self.path, None, f"{twins[0]} and {twins[1]} are one document")

    def _across_stores(self) -> BrokenRules | None:
        """The fault of a reference whose ends no single transaction can hold."""
        for index, reference in enumerate(self.references):
            source, target = reference.documents
            if self.groups[source] != self.groups[target]:
                line = self.file.line_of_reference(index)
                return BrokenRules(self.path, line, "joins documents in different stores")
        return None
