"""`backups`: the backups of a file."""

from __future__ import annotations

from collections.abc import Sequence

import click
from rich.text import Text

from oasis_data import Backup, BrokenRulesError
from oasis_data._rules_settings import rules_in_force
from oasis_data.cli.choice import backups_of, fault_of, first_of, stamp_of, violations_of
from oasis_data.cli.group import ATTENTION, program, rules_option
from oasis_data.cli.spelling import quoted, shown
from oasis_data.cli.terminal import ago, columns, decimal, plural, print_json, screen


@click.command(name="backups", short_help="List the backups of a file.")
@click.argument("file", type=click.Path(readable=False))
@click.option("--json", "as_json", is_flag=True, help="Print them as JSON.")
@rules_option
@click.pass_context
def command(ctx: click.Context, file: str, as_json: bool) -> None:
    """Lists the backups of FILE, newest first, and whether each is whole.

    The first column is the stamp, by which `diff` and `restore` know a backup.
    With rules, it is also said which backups obey them as things stand now.
    Like any use of a file, this completes a batch of saves that a crash
    interrupted.

    \b
    Examples:
      oasis-data backups tanks.json
      oasis-data backups --json tanks.json | jq -r '.[0].path'
    """
    found = backups_of(file)
    judged, broken = _judged(file, found)
    if as_json:
        print_json(
            [
                {
                    "path": each.path,
                    "time": each.time.isoformat(),
                    "size": each.size,
                    "compressed": each.compressed,
                    "fault": fault_of(each),
                    **({} if rules_in_force() is None else {"violations": violations}),
                }
                for each, violations in zip(found, judged, strict=True)
            ]
        )
        if broken is not None:
            ctx.exit(ATTENTION)
        return
    console = screen()
    if not found:
        console.print(f"{shown(file)} has no backup.")
        console.print("  -> the next save that changes it through oasis_data makes one")
        return
    rows = [
        (
            stamp_of(each),
            f"{each.time:%Y-%m-%d %H:%M:%S}",
            ago(each.time),
            decimal(each.size),
            _state_of(each, violations or []),
        )
        for each, violations in zip(found, judged, strict=True)
    ]
    console.print(columns(rows, right=frozenset({2, 3})))
    console.print(f"{plural(len(found), 'backup')} of {shown(file)}.")
    console.print(f"  -> what putting one back changes: {program()} diff {quoted(file)} STAMP")
    if broken is not None:
        console.print(f"Whether they obey is not known: {shown(str(broken.original_error))}")
        console.print(f"  -> mend that file: {shown(broken.rules_path)}")
        ctx.exit(ATTENTION)


def _state_of(backup: Backup, violations: list[str]) -> Text:
    if (fault := fault_of(backup)) is not None:
        return Text(shown(fault), style="yellow")
    if not violations:
        return Text("whole", style="green")
    return Text(f"whole, but against the rules: {first_of(violations)}", style="yellow")


def _judged(
    file: str, found: list[Backup]
) -> tuple[Sequence[list[str] | None], BrokenRulesError | None]:
    """What each backup has against the rules, or why that cannot be told."""
    try:
        return [violations_of(file, each) for each in found], None
    except BrokenRulesError as broken:
        return [None] * len(found), broken
