"""Sources to audit, given as text."""

from __future__ import annotations

from pathlib import Path

from oasis_data.audit.auditing import audit_source, parse
from oasis_data.audit.finding import Finding
from oasis_data.audit.fixing import Audited, audit_file
from oasis_data.audit.mentions import Foreign
from oasis_data.audit.source import Source

NONE = Foreign()


def parsed(code: str) -> Source:
    source = parse(code.encode())
    assert isinstance(source, Source)
    return source


def findings(code: str, foreign: Foreign = NONE) -> list[Finding]:
    return audit_source(parsed(code), foreign)


def found(code: str) -> list[tuple[str, int, str | None]]:
    """The rule, the line and the reason of each finding."""
    return [(each.rule.name, each.span.line, each.reason) for each in findings(code)]


def reasons(code: str, rule: str) -> list[str | None]:
    return [each.reason for each in findings(code) if each.rule.name == rule]


def audited(code: str, foreign: Foreign = NONE) -> Audited:
    return audit_file(Path("source.py"), code.encode(), foreign)


def fixed(code: str, foreign: Foreign = NONE) -> str:
    return audited(code, foreign).fixed.decode()
