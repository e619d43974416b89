"""`init`: makes the tables of a store, once."""

from __future__ import annotations

import click

from oasis_data import DataOperationError, _native
from oasis_data.cli.store import unusable, url_argument
from oasis_data.cli.terminal import screen


@click.command(name="init", short_help="Make the tables of a store in PostgreSQL.")
@url_argument
def command(url: str) -> None:
    """Makes the schema and the tables of the store at URL, unless they are there.

    URL is postgresql://USER@HOST/DATABASE?schema=SCHEMA; without a schema it is
    oasis_data. USER owns the tables and needs the right to create a schema in the
    database, or the schema itself. The
    application uses a role of its own, which this command prints the grants for.
    Others can see the words of a command: keep the password in ~/.pgpass.

    \b
    Examples:
      oasis-data init 'postgresql://owner@db.example.com/plant?schema=refinery'
    """
    try:
        made = _native.init_store(url)
    except (ValueError, DataOperationError) as error:
        raise unusable(error) from None
    console = screen()
    console.print("The tables are made." if made else "The tables are there already.")
    console.print(
        "The role of the application needs, in that schema (S) and by that name (R):\n"
        "  GRANT USAGE ON SCHEMA S TO R;\n"
        "  GRANT SELECT, INSERT, UPDATE, DELETE ON S.document, S.revision TO R;\n"
        "  GRANT SELECT ON S.meta TO R;"
    )
