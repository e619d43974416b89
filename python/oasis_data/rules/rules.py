"""The rules of a process: what `_native` asks before each write."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence

from oasis_data._faults import Fault
from oasis_data._paths import FilePath
from oasis_data.rules.broken import BrokenRules
from oasis_data.rules.found import Found
from oasis_data.rules.judgement import Judgement
from oasis_data.rules.reading import Reading

_Read = Callable[[str], bytes | None]


class Rules:
    """The rules in a file, which is read anew when it changes.

    No lock is held: two threads may both read a changed file, and one reading stays. A child
    of a fork so finds nothing half done.
    """

    def __init__(self, path: str, *, grandfathered: bool = False, masked: bool = False) -> None:
        """Reads the rules file at this absolute path. A broken file is told by the writes."""
        self._grandfathered = grandfathered
        self._reading = Reading(path, masked=masked, last=None)
        self._known: dict[FilePath, Judgement] = {}

    def judgement(self, paths: Sequence[FilePath], deletes: bool = False) -> Judgement | None:
        """The judgement of a write to these paths; None where no rule concerns them.

        Args:
            paths: The documents.
            deletes: Whether the write deletes them.

        Raises:
            BrokenRulesError: The rules file is broken, and concerns one of the documents.
        """
        if len(paths) == 1:
            known = self._known.get(paths[0])
            if known is not None and known.is_current():
                return known
        reading = self._current()
        given = [os.fsdecode(path) for path in paths]
        names = [reading.name_of(path, deletes=deletes) for path in given]
        if not any(names):
            return None
        judgement = Judgement(reading, given, names, grandfathered=self._grandfathered)
        # A save has microseconds for its rules. Where other spellings of a path lead is looked up
        # each time.
        if len(given) == 1 and reading.documents.is_spelt(given[0]):
            self._known[given[0]] = judgement
        return judgement

    def faults(self, path: str, text: bytes, read: _Read) -> tuple[Fault, ...]:
        """What a content would have against the rules, as a document among those there are.

        Args:
            path: The document.
            text: The content.
            read: Gives the content of a document; None for no document.

        Raises:
            BrokenRulesError: The rules cannot be read, and concern the document.
        """
        reading = self._current()
        name = reading.name_of(path)
        if name is None:
            return ()
        references = reading.references_of({name})
        others = {each for reference in references for each in reference.documents}
        texts = {each: read(reading.documents.paths[each]) for each in others}
        try:
            found = reading.schema_faults(name, text)
        except BrokenRules as broken:
            raise broken.for_document(path) from broken
        found += reading.dangling(references, texts | {name: text})
        return tuple(each.fault for each in found)

    def violations(self, read: _Read) -> tuple[list[tuple[str, Fault]], list[BrokenRules]]:
        """The faults of all documents of the rules file, each with the document's path.

        Returns:
            The faults, and why rules cannot be read.
        """
        reading = self._current()
        if reading.broken is not None:
            return [], [reading.broken]
        paths = reading.documents.paths
        texts = {name: read(path) for name, path in paths.items()}
        found: list[Found] = []
        broken: list[BrokenRules] = []
        for name, text in texts.items():
            try:
                # The schema of a missing document is looked at too.
                if reading.schema(name) is not None and text is not None:
                    found += reading.schema_faults(name, text)
            except BrokenRules as problem:
                broken.append(problem)
        referred = {name: text for name, text in texts.items() if name in reading.groups}
        found += reading.dangling(reading.references, referred)
        return [(paths[each.fault.document], each.fault) for each in found], broken

    def _current(self) -> Reading:
        reading = self._reading
        if not reading.is_current():
            reading = Reading(reading.path, masked=reading.masked, last=reading)
            self._reading = reading
        return reading
