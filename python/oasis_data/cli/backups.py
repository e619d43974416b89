"""`backups`: the backups of a file."""

from __future__ import annotations

import click
from rich.text import Text

from oasis_data import Backup
from oasis_data._rules_settings import rules_in_force
from oasis_data.cli.choice import backups_of, fault_of, stamp_of, violations_of
from oasis_data.cli.group import program, rules_option
from oasis_data.cli.spelling import quoted, shown
from oasis_data.cli.terminal import ago, columns, decimal, plural, print_json, screen


@click.command(name="backups", short_help="List the backups of a file.")
@click.argument("file", type=click.Path(readable=False))
@click.option("--json", "as_json", is_flag=True, help="Print them as JSON.")
@rules_option
def command(file: str, as_json: bool) -> None:
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
    if as_json:
        print_json(
            [
                {
                    "path": each.path,
                    "time": each.time.isoformat(),
                    "size": each.size,
                    "compressed": each.compressed,
                    "fault": fault_of(each),
                    **_judged(file, each),
                }
                for each in found
            ]
        )
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
            _state_of(file, each),
        )
        for each in found
    ]
    console.print(columns(rows, right=frozenset({2, 3})))
    console.print(f"{plural(len(found), 'backup')} of {shown(file)}.")
    console.print(f"  -> what putting one back changes: {program()} diff {quoted(file)} STAMP")


def _state_of(file: str, backup: Backup) -> Text:
    if (fault := fault_of(backup)) is not None:
        return Text(shown(fault), style="yellow")
    violations = violations_of(file, backup)
    if not violations:
        return Text("whole", style="green")
    more = f"; {len(violations) - 1} more" if violations[1:] else ""
    return Text(shown(f"whole, but against the rules: {violations[0]}{more}"), style="yellow")


def _judged(file: str, backup: Backup) -> dict[str, list[str]]:
    return {} if rules_in_force() is None else {"violations": violations_of(file, backup)}
