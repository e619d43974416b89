"""The command `oasis-data audit`."""

from __future__ import annotations

import contextlib
import json
import os
import re
from collections import Counter
from pathlib import Path

import click

from oasis_data.audit.auditing import offered, parse
from oasis_data.audit.baseline import BaselineError, Key, compare, read_baseline
from oasis_data.audit.baseline import write_baseline as write_known
from oasis_data.audit.finding import NOT_READ, Finding
from oasis_data.audit.fixing import Audited, NotFixedError, audit_file, write
from oasis_data.audit.folders import find_beside, find_sources
from oasis_data.audit.mentions import Shared, foreign, mentioned, module_of, together
from oasis_data.audit.reporting import describe, printable, summarize
from oasis_data.audit.sarif import sarif_log
from oasis_data.audit.source import Source, Span

ATTENTION = 1
"""Exit status: there is something for a person to look at. (2 is click's own.)"""
FAILED = 3
"""Exit status: a file could not be written."""


@click.command("audit")
@click.argument(
    "paths",
    nargs=-1,
    required=True,
    metavar="PATH...",
    type=click.Path(exists=True, path_type=Path),
)
@click.option("--fix", is_flag=True, help="Replace what is certain; leave the rest, and say why.")
@click.option("--diff", is_flag=True, help="Show what --fix changes.")
@click.option("--sarif", is_flag=True, help="Report as SARIF 2.1.0, for code review.")
@click.option(
    "--exclude", multiple=True, metavar="PATTERN", help="Leave out files and folders named so."
)
@click.option(
    "--baseline",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="Count only what is not in this file.",
)
@click.option(
    "--write-baseline",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="Write what is found to this file, as known.",
)
@click.pass_context
def command(
    context: click.Context,
    paths: tuple[Path, ...],
    fix: bool,
    diff: bool,
    sarif: bool,
    exclude: tuple[str, ...],
    baseline: Path | None,
    write_baseline: Path | None,
) -> None:
    """Find JSON files that Python sources write, read and cache unsafely.

    PATH is a source, or a folder of them; .venv, node_modules and their like are left
    out. The sources are read, never run. Each finding says what to write instead.

    With --fix, what certainly does the same is rewritten. A file is written only if the
    new source is Python, a second --fix would change nothing, and nobody changed the
    file meanwhile. --diff alone shows that, and writes nothing.

    A comment accepts a finding, in its lines or alone above them; --fix leaves it too:

    \b
      save(data)  # oasis-data: ignore[lost-update] only one process runs this

    A comment that ignores nothing is a finding. A baseline knows findings by file, rule,
    function and text, so that lines may move; --fix does not look at it.

    \b
    Exit status: 0  nothing is found but what a comment or the baseline has
                    (with --fix: nothing is left), or the baseline is written
                 1  something is found
                 2  the command line is wrong, or the baseline
                 3  a file could not be written

    \b
    Examples:
      oasis-data audit backend/
      oasis-data audit --diff backend/
      oasis-data audit --fix backend/api.py
      oasis-data audit --sarif backend/ > audit.sarif
      oasis-data audit --write-baseline audit.json backend/
      oasis-data audit --baseline audit.json backend/
    """  # noqa: D301 -- click's mark for lines that are not to be joined
    if diff and sarif:
        raise click.UsageError("--diff and --sarif both write to the output: give one of them.")
    if baseline and write_baseline:
        raise click.UsageError("--baseline reads and --write-baseline writes: give one of them.")
    try:
        known = read_baseline(baseline) if baseline else Counter[Key]()
    except BaselineError as error:
        raise click.UsageError(printable(str(error))) from error
    failed = False
    reports: list[tuple[Path, list[Finding]]] = []
    found = audit_paths(paths, exclude)
    for each in found:
        findings = each.findings
        if diff:
            click.echo(b"".join(each.diff()), nl=False)
        if fix and each.fixed != each.content:
            try:
                write(each)
            except (NotFixedError, OSError) as error:
                failed = True
                click.echo(f"not written: {printable(str(error))}", err=True)
            else:
                replaced = sum(finding.fixable for finding in findings)
                click.echo(f"fixed {printable(each.path)}: {replaced} replaced", err=True)
                findings = each.remaining
        reports.append((each.path, findings))
    gone = 0
    if baseline:
        reports, gone = compare(baseline, known, reports)
    every = [finding for _, findings in reports for finding in findings]
    if sarif:
        click.echo(json.dumps(sarif_log(reports), indent=2))
    elif fix or not diff:
        for path, findings in reports:
            for line in describe(path, findings):
                click.echo(line)
        for line in summarize(len(reports), every, gone):
            click.echo(line)
    if write_baseline:
        try:
            count = write_known(write_baseline, reports)
        except OSError as error:
            failed = True
            click.echo(f"not written: {printable(str(error))}", err=True)
        else:
            click.echo(f"{count} known in {printable(write_baseline)}", err=True)
            every = []
    context.exit(FAILED if failed else ATTENTION if any(e.is_open for e in every) else 0)


def audit_paths(paths: tuple[Path, ...], exclude: tuple[str, ...] = ()) -> list[Audited]:
    """Audits all sources under some paths, each with the names that the others look up."""
    contents: dict[Path, bytes] = {}
    unread: list[Audited] = []

    def leave(error: OSError) -> None:
        unread.append(_unread(Path(error.filename), error.strerror or str(error), b""))

    for path in find_sources(paths, exclude, leave):
        try:
            contents[path] = path.read_bytes()
        except OSError as error:
            unread.append(_unread(path, error.strerror or str(error), b""))
    around = dict(contents)
    read = {os.path.realpath(path) for path in contents}
    for path in find_beside(paths):
        if os.path.realpath(path) not in read:
            # One that cannot be read is none that could be imported.
            with contextlib.suppress(OSError):
                around[path] = path.read_bytes()
    mentions: dict[Path, frozenset[str]] = {}
    offers: list[Shared] = []
    for path, content in around.items():
        source = parse(content)
        mentions[path] = mentioned(source) if isinstance(source, Source) else frozenset()
        if isinstance(source, Source) and re.search(b"json|oasis_data", content):
            offers.append(offered(source, module_of(path)))
    audited = []
    for path, others in foreign(mentions, together(offers)):
        if path in contents:
            try:
                audited.append(audit_file(path, contents[path], others))
            except NotFixedError as error:
                unread.append(_unread(path, str(error), contents[path]))
    return sorted([*audited, *unread], key=lambda each: each.path)


def _unread(path: Path, fault: str, content: bytes) -> Audited:
    finding = Finding(NOT_READ, Span(1, 0, 1, 0), fault, "", "it could not be read")
    return Audited(path, content, [finding], content, [finding])
