"""Says what was found, for people."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from oasis_data.audit.finding import Finding


def printable(text: str | Path) -> str:
    """A text on one line, fit for any terminal: what cannot be shown is escaped."""
    shown = str(text).encode("utf-8", "backslashreplace").decode()
    return "".join(
        each if each.isprintable() else each.encode("unicode_escape").decode() for each in shown
    )


def describe(path: Path, findings: Iterable[Finding]) -> Iterator[str]:
    """The lines about one file."""
    for finding in findings:
        # Editors count columns from 1.
        place = f"{printable(path)}:{finding.span.line}:{finding.span.column + 1}"
        yield f"{place}: {finding.rule.name}: {printable(finding.message)}"
        yield f"    {finding.consequence}"
        if finding.replacement:
            yield f"    Instead: {printable(finding.replacement)}"
        if finding.reason:
            yield f"    --fix leaves it: {printable(finding.reason)}"


def summarize(files: int, findings: list[Finding]) -> str:
    """The last line."""
    fixable = sum(each.fixable for each in findings)
    if not findings:
        return f"{_count(files, 'file')} read, nothing found"
    return (
        f"{_count(files, 'file')} read, {_count(len(findings), 'finding')}: "
        f"--fix replaces {fixable}, and leaves {len(findings) - fixable} to you"
    )


def _count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"
