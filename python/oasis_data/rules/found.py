"""Faults as they are found, and which of them a write brings."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any

from oasis_data._faults import Fault
from oasis_data.error_handling import InvalidDocumentError, OperationType
from oasis_data.rules.equality import key_of


@dataclass(frozen=True)
class Found:
    """A fault, with what tells it from others even where values are masked.

    Attributes:
        fault: The fault, as it is told.
        value: The value at fault.
        detail: What else the rule has against the value, such as the property that is missing.
        hides_others: Whether nobody can tell what else the document has against its rules.
    """

    fault: Fault
    value: Any
    detail: str = ""
    hides_others: bool = False

    def at_its_place(self) -> Hashable:
        """Equal for a fault that stays. An object or a list may change otherwise meanwhile."""
        value = None if isinstance(self.value, dict | list) else key_of(self.value)
        return self.fault.document, self.fault.place, self.fault.rule, self.detail, value

    def anywhere(self) -> Hashable:
        """Equal for a fault that moved, as behind a new item of a list."""
        return self.fault.document, self.fault.rule, self.detail, key_of(self.value)


def new_faults(after: Sequence[Found], before: Sequence[Found]) -> list[Found]:
    """The faults that are there after a write, and were not there before."""
    known = Counter(found.at_its_place() for found in before)
    rest = []
    for found in after:
        # Behind a fault that hides others, a new fault would come in.
        # safeguard: grandfathered-fault-hides-none
        if known[found.at_its_place()] > 0 and not found.hides_others:
            known[found.at_its_place()] -= 1
        else:
            rest.append(found)
    if not rest:
        return []
    moved: Counter[Hashable] = Counter()
    for found in before:
        if known[found.at_its_place()] > 0:
            known[found.at_its_place()] -= 1
            moved[found.anywhere()] += 1
    new = []
    for found in rest:
        if moved[found.anywhere()] > 0 and not found.hides_others:
            # safeguard: grandfathered-fault-counts-once
            moved[found.anywhere()] -= 1
        else:
            new.append(found)
    return new


def refusal(
    given_path: str, document: str | None, found: Sequence[Found], *, deletes: bool = False
) -> InvalidDocumentError:
    """The error for a write, whose document has this name in the rules file."""
    faults = tuple(each.fault for each in found)
    first = faults[0]
    # A reference may dangle in another document than the one that is written.
    where = "" if first.document == document else f"{os.path.basename(first.document)}: "
    more = len(faults) - 1
    others = f"; {more} more {'fault' if more == 1 else 'faults'}" if more else ""
    return InvalidDocumentError(
        OperationType.DELETE if deletes else OperationType.WRITE,
        given_path,
        f"{os.path.basename(given_path)}: {where}{first.message}{others}; nothing was"
        f" {'deleted' if deletes else 'saved'}",
        faults=faults,
    )
