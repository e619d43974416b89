"""The judgement of a write: of the documents as they are after it."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import jsonschema_rs

from oasis_data.rules.broken import BrokenRules
from oasis_data.rules.found import Found, new_faults, refusal
from oasis_data.rules.reading import Reading

_anything = jsonschema_rs.validator_for(True).is_valid
"""Whether a value obeys no schema."""


class Judgement:
    """What `_native` asks of a write that rules concern.

    The writes of a path have it in common, in all threads: it keeps nothing of a write.

    Attributes:
        group: The group whose lock the write takes: the path of a document that all writers of
            documents with references share; None where the documents have none.
        companions: The paths of the other documents that the judgement needs: those that the
            changed documents refer to, and those that refer to them.
        wants_before: Whether `judge` needs the documents as they are before the write.
        valid: For each document whether a value obeys its schema; None where that is not
            known by one call.
    """

    __slots__ = (
        "_files",
        "_given",
        "_names",
        "_others",
        "_reading",
        "_references",
        "companions",
        "group",
        "valid",
        "wants_before",
    )

    def __init__(
        self,
        reading: Reading,
        given_paths: Sequence[str],
        names: Sequence[str | None],
        *,
        grandfathered: bool,
    ) -> None:
        """Takes the rules, the paths of a write, and the names of its documents."""
        self._reading = reading
        self._given = given_paths
        self._names = names
        self.wants_before = grandfathered
        changed = {name for name in names if name is not None}
        self._references = reading.references_of(changed)
        others = {name for each in self._references for name in each.documents} - changed
        self._others = sorted(others)
        self.companions = [reading.documents.paths[name] for name in self._others]
        # One group, or a batch across stores, which the engine refuses.
        groups = reading.groups
        self.group = min((groups[name] for name in changed if name in groups), default=None)
        self._files = [reading.watched]
        self.valid = [self._valid(name) for name in names]

    def is_current(self) -> bool:
        """Whether all files that it is made of are as they were read."""
        for file in self._files:  # noqa: SIM110 -- with `all` this takes twice the time
            if not file.is_current():
                return False
        return True

    def check(self, index: int, text: bytes) -> list[Found]:
        """What the text that is to be written at `index` has against its schema.

        Raises:
            BrokenRulesError: The schema cannot be read.
        """
        return self._schema_faults(index, text, deletes=False)

    def judge(
        self,
        before: Sequence[bytes | None],
        after: Sequence[bytes | None],
        companions: Sequence[bytes | None],
        faults: Sequence[Found],
    ) -> None:
        """Judges the references after the write, and the faults that `check` has found.

        Raises:
            InvalidDocumentError: The documents do not obey, or have a new fault.
            BrokenRulesError: A schema cannot be read.
        """
        there = dict(zip(self._others, companions, strict=True))
        # safeguard: judged-after-the-write
        found = [*faults, *self._dangling(after, there)]
        # safeguard: grandfathered-fault
        if found and self.wants_before:
            old = self._dangling(before, there)
            for index, text in enumerate(before):
                if text is not None:
                    old += self._schema_faults(index, text, deletes=after[index] is None)
            found = new_faults(found, old)
        if found:
            self._refuse(found, after)

    def _refuse(self, found: list[Found], after: Sequence[bytes | None]) -> None:
        """Raises the faults as those of the document that has the first of them."""
        first = found[0].fault.document
        index = self._names.index(first) if first in self._names else self._named()
        raise refusal(self._given[index], self._names[index], found, deletes=after[index] is None)

    def _named(self) -> int:
        return next(index for index, name in enumerate(self._names) if name is not None)

    def _valid(self, name: str | None) -> Callable[[object], bool] | None:
        if name is None:
            return _anything
        try:
            schema = self._reading.schema(name)
        except BrokenRules:
            return None  # `check` tells it
        if schema is None:
            return _anything
        self._files += schema.files
        return schema.is_valid

    def _schema_faults(self, index: int, text: bytes, *, deletes: bool) -> list[Found]:
        name = self._names[index]
        if name is None:
            return []
        try:
            return self._reading.schema_faults(name, text)
        except BrokenRules as broken:
            raise broken.for_document(self._given[index], deletes=deletes) from broken

    def _dangling(
        self, texts: Sequence[bytes | None], there: dict[str, bytes | None]
    ) -> list[Found]:
        """The references that dangle where the changed documents have these texts."""
        if not self._references:
            return []
        changed = {name: text for name, text in zip(self._names, texts, strict=True) if name}
        return self._reading.dangling(self._references, there | changed)
