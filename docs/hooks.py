"""What mkdocs asks while it builds the site."""

from __future__ import annotations

from typing import Any

MARK = "<!-- the help of each command -->"


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Puts what each command prints for `--help` in the place of the mark."""
    return markdown.replace(MARK, commands()) if MARK in markdown else markdown


def commands() -> str:
    """A section for each command."""
    # Imported here, so that other pages need no command line.
    from click.testing import CliRunner

    from oasis_data.cli.group import COMMANDS, data

    def told(*arguments: str) -> str:
        result = CliRunner().invoke(
            data,
            [*arguments, "--help"],
            prog_name="oasis-data",
            catch_exceptions=False,
            # As in a terminal of 80 columns.
            terminal_width=78,
        )
        return f"```text\n{result.output}```\n"

    sections = [f"## oasis-data\n\n{told()}"]
    sections += [f"## {name}\n\n{told(name)}" for name in COMMANDS]
    return "\n".join(sections)
