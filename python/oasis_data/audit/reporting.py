"""Prints the findings for people."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from oasis_data.audit.finding import NOT_READ, Finding

NOT_SEEN = (
    "Not seen: a file that one function opens and another reads or writes, methods of another "
    "module's classes, updates outside of functions, a plain variable that keeps what was read, "
    "and what other programs do."
)


def printable(text: str | Path) -> str:
    """A text on one line, with escapes for characters that a terminal cannot show."""
    shown = str(text).encode("utf-8", "backslashreplace").decode()
    return "".join(
        each if each.isprintable() else each.encode("unicode_escape").decode() for each in shown
    )


def describe(path: Path, findings: Iterable[Finding]) -> Iterator[str]:
    """The lines about the findings that are left in one file."""
    for finding in (each for each in findings if each.is_open):
        # Editors count columns from 1.
        place = f"{printable(path)}:{finding.span.line}:{finding.span.column + 1}"
        yield f"{place}: {finding.rule.name}: {printable(finding.message)}"
        yield f"    {finding.consequence}"
        if finding.replacement:
            yield f"    Instead: {printable(finding.replacement)}"
        if finding.reason:
            yield f"    --fix leaves it: {printable(finding.reason)}"


def summarize(files: int, findings: list[Finding], gone: int = 0) -> Iterator[str]:
    """The last lines: what was found, what was left out, and what cannot be seen.

    Args:
        files: How many files were read.
        findings: All findings.
        gone: How many entries of the baseline match nothing any more.
    """
    counted = [each for each in findings if each.is_open]
    fixable = sum(each.fixable for each in counted)
    if not counted:
        yield f"{_count(files, 'file')} read, nothing found"
    else:
        yield (
            f"{_count(files, 'file')} read, {_count(len(counted), 'finding')}: "
            f"--fix replaces {fixable}, and leaves {len(counted) - fixable} to you"
        )
    ignored = sum(each.suppressed is not None for each in findings)
    known = sum(bool(each.known) for each in findings)
    unread = sum(each.rule is NOT_READ for each in findings)
    if ignored:
        yield f"{_count(ignored, 'finding')} not counted: ignored by a comment"
    if known:
        yield f"{_count(known, 'finding')} not counted: in the baseline"
    if gone:
        yield f"{_count(gone, 'finding')} of the baseline gone: write it anew"
    if unread:
        yield f"{_count(unread, 'file')} not audited: see not-read above, or in the baseline"
    yield NOT_SEEN


def _count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"
