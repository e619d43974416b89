"""Why rules cannot be read."""

from __future__ import annotations

import os

from oasis_data.error_handling import BrokenRulesError, OperationType


class BrokenRules(Exception):
    """A rules file or a schema file that cannot be used.

    Attributes:
        path: The file at fault.
        line: The line at fault, from 1; None where there is no such line.
        problem: What is wrong.
    """

    def __init__(self, path: str, line: int | None, problem: str) -> None:
        """Takes the file, the line and the problem."""
        super().__init__(problem)
        self.path = path
        self.line = line
        self.problem = problem

    def __str__(self) -> str:
        """The file without its folder, the line and the problem."""
        name = os.path.basename(self.path)
        return (
            f"{name}, line {self.line}: {self.problem}" if self.line else f"{name}: {self.problem}"
        )

    def for_document(self, given_path: str, *, deletes: bool = False) -> BrokenRulesError:
        """The error for a write of a document."""
        return BrokenRulesError(
            OperationType.DELETE if deletes else OperationType.WRITE,
            given_path,
            f"{os.path.basename(given_path)}: its rules cannot be read: {self}; nothing was"
            f" {'deleted' if deletes else 'saved'}, mend {os.path.basename(self.path)}",
            self,
            rules_path=self.path,
            line=self.line,
        )
