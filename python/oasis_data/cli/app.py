"""The app of `flask data`: its settings, and the folder of its documents."""

from __future__ import annotations

from typing import Any

import click

from oasis_data.cli.spelling import shown

_APP = f"{__name__}.app"


def load(ctx: click.Context) -> None:
    """Loads the app, whose `OasisData` then applies its config; does nothing outside Flask.

    An app that cannot be loaded is reported and does not end the command: its documents
    may be the reason.
    """
    if not hasattr(ctx.obj, "load_app"):
        return
    try:
        ctx.meta[_APP] = ctx.obj.load_app()
    except (Exception, SystemExit) as error:  # whatever a program of others may raise
        # Of a traceback, the first and the last line.
        first, *rest = str(error).strip().splitlines() or [type(error).__name__]
        told = f"{first} {rest[-1]}" if rest else first
        click.echo(f"Without the app and its settings: {shown(told)}", err=True)


def folder_of_documents(ctx: click.Context, param: click.Parameter, value: str | None) -> str:
    """The folder on the command line, or else the folder of the app's documents.

    Raises:
        click.MissingParameter: No folder was given, and there is no app with a root.
    """
    app: Any = ctx.meta.get(_APP)
    root = value if value is not None or app is None else app.config.get("OASIS_DATA_ROOT")
    if root is None:
        raise click.MissingParameter(ctx=ctx, param=param)
    return str(root)
