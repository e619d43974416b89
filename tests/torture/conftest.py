"""What each part of the campaign has counted, told at the end of the run."""

from __future__ import annotations

from collections.abc import Callable

import pytest

_lines: list[str] = []


@pytest.fixture
def report() -> Callable[[str], None]:
    """Takes the lines that the run ends with."""
    return _lines.append


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Prints the counts, whether or not output is captured."""
    if _lines:
        terminalreporter.section("campaign")
        for line in _lines:
            terminalreporter.write_line(line)
