"""One entry of the table."""

from __future__ import annotations

from dataclasses import dataclass

from tests.sabotage.markers import Marked
from tests.sabotage.operations import Operation


@dataclass(frozen=True)
class Sabotage:
    """One safeguard: its marker, what it is, how it is taken out, which test must notice."""

    slug: str
    safeguard: str
    operation: Operation
    test: str

    def applied_to(self, marked: Marked) -> bytes:
        """The whole sabotaged file."""
        return marked.with_code(self.operation(marked))
