"""`verify`: checks every file, backup and leftover in a folder. Changes nothing."""

from __future__ import annotations

import os
import time
from dataclasses import asdict, dataclass, field

import click
from rich.text import Text

from oasis_data import _native
from oasis_data._records import TemporaryRecord
from oasis_data._rules_settings import rules_in_force
from oasis_data.cli.batches import Batch, State, give_up, interrupted
from oasis_data.cli.choice import folder_argument
from oasis_data.cli.content import Content, raw_content, read
from oasis_data.cli.group import ATTENTION, program, rules_option
from oasis_data.cli.spelling import quoted, shown
from oasis_data.cli.stored import exists
from oasis_data.cli.survey import (
    BackupFile,
    File,
    Folder,
    backups_beside_target,
    each_file_once,
    survey,
)
from oasis_data.cli.terminal import Bar, ago, decimal, plural, print_json, screen

KINDS = {
    "corrupt": "red",
    "interrupted_batch": "red",
    "unreadable": "red",
    "broken_rules": "red",
    "invalid": "yellow",
    "corrupt_backup": "yellow",
    "leftover": "yellow",
    "foreign_temp": "yellow",
}
"""The kinds of findings, the gravest first, and the colour of each."""

# The most notes that are printed; --json has all.
_NOTES = 20
# The cost of opening a file, in bytes that could be read in the same time.
_COST_OF_A_FILE = 10_000
# Seconds. A writer locks a temporary file right after it has made the file: an older file
# without a lock has a dead writer.
_LOCKED_AFTER = 0.2


@dataclass(frozen=True)
class Finding:
    """A problem, or a note about a file.

    Attributes:
        kind: The kind: one of `KINDS`, or "gone" for a note.
        path: The file or folder.
        problem: The problem, in words for an operator.
        advice: What to do about it.
    """

    kind: str
    path: str
    problem: str
    advice: str


@dataclass
class Report:
    """The numbers of what was read, and the findings.

    Attributes:
        files: The number of data files.
        backups: The number of backups.
        bytes: The bytes that were read.
        findings: The problems.
        notes: States that may be intended, and are no problems.
    """

    files: int = 0
    backups: int = 0
    bytes: int = 0
    findings: list[Finding] = field(default_factory=list)
    notes: list[Finding] = field(default_factory=list)


@click.command(name="verify", short_help="Check every JSON file, backup and leftover.")
@folder_argument
@click.option("--json", "as_json", is_flag=True, help="Print the findings as JSON.")
@rules_option
@click.pass_context
def command(ctx: click.Context, directory: str, as_json: bool) -> None:
    """Checks every JSON file and backup in DIR and below. Changes nothing.

    \b
    It finds
      corrupt            files that are no JSON document: empty, torn
      corrupt_backup     backups that are none
      interrupted_batch  saves of several files that a crash cut short
      unreadable         what this user may not read, or the disk cannot
      leftover           unfinished saves of writers that died
      foreign_temp       other programs' .tmp, ~ and .swp beside the files
      invalid            documents of the rules file that do not obey it,
                         wherever they lie
      broken_rules       a rules file or a schema that cannot be used

    It also notes which files are gone, deleted or lost, but have a whole
    backup. The exit status is 0 if all is well, 1 if there are findings;
    notes are none.

    \b
    Examples:
      oasis-data verify /srv/oasis/data
      oasis-data verify --rules /srv/oasis/oasis-data.toml /srv/oasis/data
      oasis-data verify --json /srv/oasis/data | jq '.findings[].path'
      oasis-data verify /srv/oasis/data || mail -s 'look at the data' ops
    """
    report = verify(directory)
    if as_json:
        print_json({"directory": directory, "ok": not report.findings, **asdict(report)})
    else:
        _print(directory, report)
    ctx.exit(ATTENTION if report.findings else 0)


def verify(directory: str) -> Report:
    """Checks everything in the folder and below.

    Raises:
        OSError: The folder itself cannot be listed.
    """
    folders = each_file_once(survey(directory))
    report = Report()
    young: list[TemporaryRecord] = []
    work = sum(_work(file) for folder in folders for file in [*folder.files, *folder.backups])
    with Bar("Reading", work) as bar:
        for folder in folders:
            _check_documents(folder, report, bar)
            young += _check_remains(folder, report)
    _check_leftovers(young, report)
    _check_rules(report)
    order = list(KINDS)
    report.findings.sort(key=lambda finding: (order.index(finding.kind), finding.path))
    report.notes.sort(key=lambda note: note.path)
    return report


def _check_rules(report: Report) -> None:
    """Holds the documents of the rules file against it."""
    rules = rules_in_force()
    if rules is None:
        return

    def raw(path: str) -> bytes | None:
        try:
            return raw_content(path)
        except OSError as error:
            report.findings.append(_unreadable(path, error))
            return None

    faults, broken = rules.violations(raw)
    corrupt = {os.path.realpath(each.path) for each in report.findings if each.kind == "corrupt"}
    for path, fault in faults:
        if os.path.realpath(path) in corrupt:
            continue  # is told already
        advice = "mend that value, or the rule"
        report.findings.append(Finding("invalid", path, fault.message, advice))
    for each in broken:
        advice = f"mend it; until then no document that it concerns is saved: {quoted(each.path)}"
        report.findings.append(Finding("broken_rules", each.path, str(each), advice))


def _work(file: File) -> int:
    return file.size + _COST_OF_A_FILE


def _check_documents(folder: Folder, report: Report, bar: Bar) -> None:
    # A backup that is there both plain and compressed counts once.
    report.backups += len({(backup.of, backup.time) for backup in folder.backups})
    newest_whole: dict[str, BackupFile] = {}
    for backup in folder.backups:
        content = _read(backup, report)
        if content and content.fault:
            advice = f"restore passes over it; {_removal_of(backup)}"
            report.findings.append(Finding("corrupt_backup", backup.path, content.fault, advice))
        elif content:
            newest_whole.setdefault(backup.of, backup)
        bar.advance(_work(backup))
    for path, newest in newest_whole.items():
        if not exists(path):
            problem = "is not there, but a backup of it is: deleted on purpose, or lost"
            report.notes.append(Finding("gone", path, problem, _advice_to_restore(path, newest)))
    for file in folder.files:
        if file.status is None:
            _check_broken_link(file, report)
        else:
            content = _read(file, report)
            if content and content.fault:
                if file.is_link:
                    whole = _newest_whole_beside_target(file, report)
                else:
                    whole = newest_whole.get(file.path)
                advice = _advice_for_corrupt(file, whole)
                report.findings.append(Finding("corrupt", file.path, content.fault, advice))
        report.files += 1
        bar.advance(_work(file))


def _removal_of(backup: BackupFile) -> str:
    if _native.is_in_store(backup.path):
        return "it goes when later saves have made enough newer backups"
    return f"when nobody needs it any more: rm {quoted(backup.path)}"


def _read(file: File, report: Report) -> Content | None:
    try:
        content = read(file.path)
    except FileNotFoundError:
        return None  # deleted or pruned since it was listed
    except OSError as error:
        report.findings.append(_unreadable(file.path, error))
        return None
    report.bytes += file.size
    return content


def _check_broken_link(link: File, report: Report) -> None:
    try:
        target = shown(os.readlink(link.path))
        os.stat(link.path)
        return  # what it leads to is back
    except FileNotFoundError:
        if not os.path.islink(link.path):
            return  # deleted since it was listed
        problem = f"a symlink to {target}, which is not there"
        advice = f"bring that file back, or remove the link: rm {quoted(link.path)}"
        if whole := _newest_whole_beside_target(link, report):
            advice = _advice_to_restore(link.path, whole)
    except PermissionError as error:
        report.findings.append(_unreadable(link.path, error))
        return
    except OSError as error:
        problem = f"a symlink to {target}, which cannot be followed: {error.strerror}"
        advice = f"point it at its file: ln -sfn FILE {quoted(link.path)}"
    report.findings.append(Finding("unreadable", link.path, problem, advice))


def _newest_whole_beside_target(link: File, report: Report) -> BackupFile | None:
    for backup in backups_beside_target(link.path):
        content = _read(backup, report)
        if content and content.fault is None:
            return backup
    return None


def _advice_for_corrupt(file: File, whole: BackupFile | None) -> str:
    if whole is None:
        return (
            "no backup of it is whole: keep a copy of it, look for one elsewhere, and save "
            "the document anew"
        )
    return _advice_to_restore(file.path, whole)


def _advice_to_restore(path: str, whole: BackupFile) -> str:
    return (
        f"a whole backup was made {ago(whole.time)}: {program()} diff {quoted(path)}, "
        f"then {program()} restore {quoted(path)}"
    )


def _unreadable(path: str, error: OSError) -> Finding:
    advice = "look at the disk and the kernel's log: dmesg | tail"
    if _native.is_in_store(path):
        advice = "look at the server of its store, and at the log of the server"
    elif isinstance(error, PermissionError):
        advice = f"run this as a user who may read it; see: ls -ld {quoted(path)}"
    return Finding("unreadable", path, error.strerror or str(error), advice)


def _check_remains(folder: Folder, report: Report) -> list[TemporaryRecord]:
    """Returns the temporary files that no interrupted batch accounts for."""
    for path, error in folder.unreadable:
        report.findings.append(_unreadable(path, error))
    for path in folder.foreign:
        report.findings.append(
            Finding(
                "foreign_temp",
                path,
                "left by a program that does not save through oasis_data",
                f"if none is at work on it: look whether it is needed, then rm {quoted(path)}",
            )
        )
    try:
        batches = interrupted(folder.path) if folder.sidecar else []
    except OSError as error:
        report.findings.append(_unreadable(error.filename or folder.path, error))
        return []
    report.findings.extend(map(_of_batch, batches))
    accounted = {content["temporary"] for batch in batches for content in batch.contents}
    return [each for each in folder.temporaries if each["path"] not in accounted]


def _of_batch(batch: Batch) -> Finding:
    files = ", ".join(shown(file) for file in batch.files)
    problem = batch.state.value + (f"; it changes {files}" if files else "")
    recover = f"{program()} recover {quoted(batch.folder)}"
    advice = {
        State.STRANDED: f"mount or bring back the folder, then {recover}; or give the batch up: "
        f"{give_up(batch)}",
        State.FOREIGN: "recover it with the release that wrote it",
    }.get(batch.state, recover)
    return Finding("interrupted_batch", batch.journal, problem, advice)


def _check_leftovers(found: list[TemporaryRecord], report: Report) -> None:
    newest = 0.0
    for temporary in found:
        try:
            newest = max(newest, os.lstat(temporary["path"]).st_ctime)
        except FileNotFoundError:
            continue  # its writer is done
    if found:
        time.sleep(min(max(newest + _LOCKED_AFTER - time.time(), 0.0), _LOCKED_AFTER))
    corrupt = {finding.path for finding in report.findings if finding.kind == "corrupt"}
    for temporary in found:
        path = temporary["path"]
        try:
            if (temporary["is_own"] and _native.is_held(path)) or not os.path.lexists(path):
                continue
        except OSError as error:
            report.findings.append(_unreadable(path, error))
            continue
        report.findings.append(_of_leftover(temporary, corrupt))


def _of_leftover(temporary: TemporaryRecord, corrupt: set[str]) -> Finding:
    path, owner = temporary["path"], temporary["owner"]
    if not temporary["is_own"]:
        remove = "rmdir" if os.path.isdir(path) else "rm"
        return Finding(
            "foreign_temp",
            path,
            "not a temporary file of oasis_data",
            f"look what it is, then {remove} {quoted(path)}",
        )
    file, advice = "a file with a very long name", "the next save of that file removes it"
    if owner is not None:
        file = shown(owner)
        advice += f", as does {program()} recover {quoted(os.path.dirname(owner) or '.')}"
    if owner in corrupt:
        advice = "the file itself is corrupt, and this may be the only good copy: look at it first"
    return Finding("leftover", path, f"an unfinished save of {file}, whose writer died", advice)


def _print(directory: str, report: Report) -> None:
    console = screen()
    for finding in [*report.findings, *report.notes[:_NOTES]]:
        label = (finding.kind.replace("_", " "), f"bold {KINDS.get(finding.kind, 'cyan')}")
        console.print(Text.assemble(label, f"  {shown(finding.path)}"))
        console.print(f"  {shown(finding.problem)}")
        console.print(f"  -> {finding.advice}")
    looked_at = (
        f"{plural(report.files, 'file')} and {plural(report.backups, 'backup')} "
        f"({decimal(report.bytes)}) in {shown(directory)}"
    )
    if unprinted := len(report.notes[_NOTES:]):
        console.print(f"... and {plural(unprinted, 'note')} more: see --json")
    if not report.findings and not report.notes:
        console.print(Text.assemble(("All well: ", "bold green"), looked_at))
        if not report.files:
            console.print("  -> no JSON files are there: is it the right folder?")
        return
    console.print()
    found = plural(len(report.findings), "finding")
    if report.notes:
        found += f" and {plural(len(report.notes), 'note')}"
    console.print(Text.assemble((found, "bold"), f" among {looked_at}; nothing was changed."))
