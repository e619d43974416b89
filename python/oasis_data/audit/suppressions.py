"""Comments that accept a finding: `# oasis-data: ignore[lost-update] one process only`.

The comment stands in the lines of the statement, or alone in the line above. It names the rules
that it accepts; the rest of it says why.
"""

from __future__ import annotations

import ast
import re
import tokenize
from collections.abc import Iterator
from dataclasses import dataclass, replace
from io import StringIO

from oasis_data.audit.finding import NOT_READ, RULES, UNUSED_SUPPRESSION, Finding
from oasis_data.audit.source import Source, Span

MARK = "oasis-data:"
COMMENT = re.compile(r"#\s*oasis-data:\s*ignore\b\s*(?:\[(?P<rules>[^\]]*)\])?(?P<reason>[^#]*)")
NAMES = frozenset(each.name for each in RULES) - {NOT_READ.name, UNUSED_SUPPRESSION.name}
ACCEPTED = "a comment accepts it"
"""Why `--fix` leaves suppressed code as it is."""


@dataclass(frozen=True)
class Suppression:
    """A rule that a comment accepts in some lines."""

    rule: str
    reason: str
    span: Span
    first: int
    last: int

    def covers(self, finding: Finding) -> bool:
        """Whether the comment accepts a finding."""
        start = finding.span.line
        return finding.rule.name == self.rule and self.first <= start <= self.last


class Suppressions:
    """The comments of one source that accept findings."""

    def __init__(self, source: Source) -> None:
        """Reads the comments."""
        self.wrong: list[Finding] = []
        self._all: list[Suppression] = []
        self._used: set[Suppression] = set()
        if MARK in source.text:
            statements = _statements(source)
            for token in tokenize.generate_tokens(StringIO(source.text, newline=None).readline):
                if token.type == tokenize.COMMENT:
                    self._read(token, statements)

    def apply(self, finding: Finding) -> Finding:
        """The finding, with no edits and marked as suppressed if a comment accepts it."""
        for each in self._all:
            if each.covers(finding):
                self._used.add(each)
                # safeguard: no-fix-of-accepted
                return replace(finding, reason=ACCEPTED, edits=(), suppressed=each.reason)
        return finding

    def unused(self) -> Iterator[Finding]:
        """The comments with a mistake, and the comments that accepted no finding."""
        yield from self.wrong
        for each in self._all:
            # safeguard: needless-ignore-told
            if each not in self._used:
                yield _wrong(each.span, f"there is no {each.rule} here to ignore")

    def _read(self, token: tokenize.TokenInfo, statements: list[tuple[int, int]]) -> None:
        alone = not token.line[: token.start[1]].strip()
        line = token.start[0]
        for found in COMMENT.finditer(token.string):
            column = token.start[1] + found.start()
            span = Span(line, column, line, token.start[1] + found.end())
            names = [each.strip() for each in (found["rules"] or "").split(",") if each.strip()]
            if not names:
                example = "# oasis-data: ignore[lost-update] why"
                self.wrong.append(_wrong(span, f"it names no rule, as {example} does"))
            first, last = _lines(line, alone, statements)
            reason = found["reason"].strip(" \t:-")
            for name in dict.fromkeys(names):
                if name in NAMES:
                    self._all.append(Suppression(name, reason, span, first, last))
                else:
                    known = ", ".join(sorted(NAMES))
                    self.wrong.append(
                        _wrong(span, f"{name} cannot be ignored; it is none of {known}")
                    )


def _wrong(span: Span, message: str) -> Finding:
    return Finding(
        UNUSED_SUPPRESSION, span, message, "take the comment out", "it is a person's comment"
    )


def _lines(line: int, alone: bool, statements: list[tuple[int, int]]) -> tuple[int, int]:
    """The lines that a comment covers: its statement, or the statement below."""
    around = [each for each in statements if each[0] <= line <= each[1]]
    if around:
        return min(around, key=lambda each: each[1] - each[0])
    if alone:
        below = [each for each in statements if each[0] > line]
        if below:
            first = min(each[0] for each in below)
            return first, max(each[1] for each in below if each[0] == first)
    return line, line


def _statements(source: Source) -> list[tuple[int, int]]:
    """The lines of each simple statement, and of the head of each compound statement."""
    lines = []
    for node in source.nodes:
        if not isinstance(node, ast.stmt):
            continue
        first = min([node.lineno, *(each.lineno for each in getattr(node, "decorator_list", []))])
        last = node.end_lineno or node.lineno
        if hasattr(node, "body") or hasattr(node, "cases"):
            heads = [
                each.end_lineno or 0
                for each in ast.walk(node)
                if isinstance(each, ast.expr | ast.arg) and source.statement(each) is node
            ]
            last = max([first, *heads])
        lines.append((first, last))
    return lines
