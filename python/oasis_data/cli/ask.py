"""The question before a change."""

from __future__ import annotations

import sys

import click

from oasis_data.cli.group import Failure


def confirmed(question: str) -> bool:
    """Asks a question. Every answer but a yes is a no.

    Raises:
        Failure: There is no terminal to ask on.
        KeyboardInterrupt: The answer was Ctrl-C, or the end of the input.
    """
    try:
        return click.confirm(question)
    except click.Abort:
        if sys.stdin.isatty():
            raise KeyboardInterrupt from None
        click.echo()  # ends the line of the question
        raise Failure(
            "there is nobody to ask, so nothing was changed\n  -> --yes does it without a question"
        ) from None
