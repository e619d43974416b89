"""Writes the findings as SARIF 2.1.0, for tools that review code."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any
from urllib.parse import quote

from oasis_data._native import __version__
from oasis_data.audit.finding import RULES, Finding, Rule

SCHEMA = (
    "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
)


def sarif_log(audited: Iterable[tuple[Path, list[Finding]]]) -> dict[str, Any]:
    """A log with one run; paths are relative to the working directory, where they are in it."""
    return {
        "$schema": SCHEMA,
        "version": "2.1.0",
        "runs": [
            {
                "tool": {
                    "driver": {
                        "name": "oasis-data audit",
                        "version": __version__,
                        "rules": [_rule(each) for each in RULES],
                    }
                },
                "columnKind": "unicodeCodePoints",
                "results": [_result(path, each) for path, found in audited for each in found],
            }
        ],
    }


def _rule(rule: Rule) -> dict[str, Any]:
    return {
        "id": rule.name,
        "shortDescription": {"text": rule.summary},
        "fullDescription": {"text": rule.danger},
        "defaultConfiguration": {"level": rule.level},
    }


def _result(path: Path, finding: Finding) -> dict[str, Any]:
    sentences = [f"{finding.message}. {finding.consequence}"]
    if finding.replacement:
        sentences.append(f"Instead: {finding.replacement}")
    if finding.reason:
        sentences.append(f"--fix leaves it: {finding.reason}")
    span = finding.span
    return {
        "ruleId": finding.rule.name,
        "ruleIndex": RULES.index(finding.rule),
        "level": finding.level,
        "message": {"text": "\n".join(sentences)},
        "locations": [
            {
                "physicalLocation": {
                    "artifactLocation": _location(path),
                    "region": {
                        "startLine": span.line,
                        "startColumn": span.column + 1,
                        "endLine": span.end_line,
                        "endColumn": span.end_column + 1,
                    },
                }
            }
        ],
        "properties": {"fixable": finding.fixable},
        **_state(finding),
    }


def _state(finding: Finding) -> dict[str, Any]:
    """What a comment and the baseline say of it."""
    state: dict[str, Any] = {}
    if finding.known is not None:
        state["baselineState"] = "unchanged" if finding.known else "new"
    if finding.suppressed is not None:
        said = {"justification": finding.suppressed} if finding.suppressed else {}
        state["suppressions"] = [{"kind": "inSource", "status": "accepted", **said}]
    elif finding.known:
        state["suppressions"] = [{"kind": "external", "status": "accepted"}]
    return state


def _location(path: Path) -> dict[str, str]:
    relative = os.path.relpath(path)
    if relative.startswith(os.pardir + os.sep):
        return {"uri": Path(os.path.abspath(path)).as_uri()}
    return {"uri": quote(os.fsencode(relative)), "uriBaseId": "%SRCROOT%"}
