"""`import`: puts documents with their backups into a store, and reads them back."""

from __future__ import annotations

import os

import click

from oasis_data import _native
from oasis_data._rules_settings import rules_in_force
from oasis_data.cli.batches import interrupted
from oasis_data.cli.choice import first_of, folder_argument
from oasis_data.cli.content import raw_content
from oasis_data.cli.group import Failure, program, rules_option, told
from oasis_data.cli.spelling import quoted, shown
from oasis_data.cli.store import (
    Document,
    LeftAloneError,
    documents_of,
    end,
    folders_are_files,
    in_files,
    in_store,
    told_of_store,
    url_argument,
)
from oasis_data.cli.terminal import Bar, screen
from oasis_data.error_handling import DataOperationError


@click.command(name="import", short_help="Put the documents of a folder into PostgreSQL.")
@folder_argument
@url_argument
@click.option("--replace", is_flag=True, help="Replace what the store has, with its history.")
@click.option("--no-rules", is_flag=True, help="Import what does not obey the rules, too.")
@rules_option
@click.pass_context
@folders_are_files()
def command(ctx: click.Context, directory: str, url: str, replace: bool, no_rules: bool) -> None:
    """Puts each document in DIR and below, with its backups, into the store at URL.

    Each is stored byte for byte under its path relative to DIR, a corrupt one too, in
    a transaction of its own, and read back. What the store has already is left
    alone, so a command that was cut short is run again. A document is replaced
    only where the files have every content that the store has of it; else the
    command says so, and goes on. So it does with a document that does not obey the
    rules of its file in DIR; --no-rules imports such a document as it is.

    Documents are the files called *.json, and all that this package has saved. Of a
    symlink the content is imported, as a document of its own.

    Stop the application first: what it saves meanwhile is told, and not imported.
    DIR is not changed. It is read as files even where OASIS_DATA_STORES or the
    Flask app says that it lies in a store.

    \b
    Examples:
      oasis-data init URL
      oasis-data import /srv/oasis/data URL
    """
    documents_of(url)  # a store that cannot be used ends the command here
    documents, folders = in_files(directory)
    for folder in folders:
        if interrupted(folder.path):
            raise Failure(
                f"{shown(folder.path)}: a batch of saves was interrupted here\n"
                f"  -> {program()} recover {quoted(directory)}"
            )
    unreadable = [each for folder in folders for each in folder.unreadable]
    problems = [f"{shown(path)}: {shown(str(error.strerror))}" for path, error in unreadable]
    violations = {} if no_rules else _violations()
    imported = same = 0
    with Bar("Importing", sum(document.size for document in documents)) as bar:
        for document in documents:
            try:
                path = os.path.realpath(os.path.join(directory, document.name))
                # safeguard: import-obeys-rules
                if path in violations:
                    raise LeftAloneError(
                        f"does not obey its rules: {first_of(violations[path])}\n"
                        f"  -> see all: {program()} verify {quoted(directory)}; --no-rules "
                        "imports it as it is"
                    )
                if _put(url, document, replace=replace):
                    imported += 1
                else:
                    same += 1
            except LeftAloneError as error:
                problems.append(f"{shown(document.name)}: {error}")
            except DataOperationError as error:
                problems.append(told_of_store(document.name, error))
            except OSError as error:
                problems.append(told(error, program()))
            bar.advance(document.size)
    for document in documents:
        if document.file and document.file.is_link:
            screen().print(
                f"{shown(document.name)}: a symlink; in the store it is a document of its own"
            )
    end(ctx, problems, "imported", done=imported, same=same)


def _violations() -> dict[str, list[str]]:
    """The violations of each document that does not obey the rules in force, by its path.

    Raises:
        Failure: The rules cannot be read.
    """
    rules = rules_in_force()
    if rules is None:
        return {}
    faults, broken = rules.violations(raw_content)
    if broken:
        raise Failure(f"{broken[0]}\n  -> mend {shown(broken[0].path)}, or import with --no-rules")
    violations: dict[str, list[str]] = {}
    for path, fault in faults:
        violations.setdefault(os.path.realpath(path), []).append(fault.message)
    return violations


def _put(url: str, document: Document, *, replace: bool) -> bool:
    """Puts a document into the store, and reads it back. False if it is there already."""
    try:
        document.name.encode()
    except UnicodeEncodeError:
        raise LeftAloneError(
            "the name is not UTF-8, which names in a store are\n  -> rename the file"
        ) from None
    history = document.read()
    there = in_store(url, document.name)
    if there.is_same(history):
        return False
    # safeguard: import-loses-nothing
    replace = replace or (not there.damaged and there.contents <= history.contents)
    if (there.contents or there.damaged) and not replace:
        raise LeftAloneError(
            "the store has contents of it that the files have not\n"
            "  -> look at both; --replace drops those of the store"
        )
    backups = list(history.backups.items())
    current = None if history.current is None else (history.current, history.saved_at)
    _native.store_put(url, document.name, backups, current, replace=replace)
    if not in_store(url, document.name).is_same(history) or not document.read().is_same(history):
        raise LeftAloneError("was changed meanwhile\n  -> stop the application, and import again")
    return True
