"""The group of commands, and how each command ends.

This module needs only click, which Flask has: `flask` loads the module on every run, and
must not fail where the other packages of the extra are not installed.
"""

from __future__ import annotations

import errno
import importlib
import os
import sys
from typing import Any

import click

from oasis_data import (
    BrokenRulesError,
    DataOperationError,
    LockTimeoutError,
    NoBackupError,
    __version__,
    configure,
)
from oasis_data._rules_settings import rules_in_force
from oasis_data.cli import app
from oasis_data.cli.spelling import quoted, shown

ATTENTION = 1
"""Exit status: there is something for a person to look at."""
FAILED = 3
"""Exit status: it could not be done. (2 is click's own, for a wrong usage.)"""
INTERRUPTED = 130
"""Exit status after Ctrl-C, as shells have it."""
READER_GONE = 141
"""Exit status when nobody reads the output any more, as of a program that SIGPIPE ends."""

_ADVICE = {
    errno.ENOENT: "check the spelling",
    errno.ENOTDIR: "name the folder, not a file in it",
    errno.EACCES: "run this as the user of the server, or as root",
    errno.EPERM: "run this as the user of the server, or as root",
    errno.ENOSPC: "the disk is full; see: df -h",
    errno.EMFILE: "too many files are open; raise the limit: ulimit -n 4096",
}

COMMANDS = {
    "verify": "oasis_data.cli.verify",
    "backups": "oasis_data.cli.backups",
    "diff": "oasis_data.cli.diff",
    "restore": "oasis_data.cli.restore",
    "prune": "oasis_data.cli.prune",
    "recover": "oasis_data.cli.recover",
    "stats": "oasis_data.cli.stats",
    "init": "oasis_data.cli.init",
    "import": "oasis_data.cli.import_",
    "export": "oasis_data.cli.export",
    "audit": "oasis_data.audit.command",
}
"""The module of each command; the attribute `command` of the module is the command."""


timeout_option = click.option(
    "--timeout",
    metavar="SECONDS",
    type=click.FloatRange(min=0),
    default=lambda: configure()["lock_timeout"],
    show_default="10, or what the Flask app has set",
    help="How long to wait for a writer at work.",
)


def _use_rules(ctx: click.Context, param: click.Parameter, value: str | None) -> None:
    try:
        if value is None:
            rules_in_force()
        else:
            configure(rules=value)
    except ModuleNotFoundError as error:
        raise Failure(str(error)) from error


rules_option = click.option(
    "--rules",
    metavar="FILE",
    type=click.Path(),
    callback=_use_rules,
    expose_value=False,
    help="The rules that documents obey, '' for none; else OASIS_DATA_RULES, or what the "
    "Flask app has set.",
)


class Failure(click.ClickException):
    """A command could not do its work; the text is for an operator."""

    exit_code = FAILED


class Commands(click.Group):
    """Commands that are imported when they are used."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The commands in the order of an incident: look, compare, put back, prune."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Imports the command."""
        if cmd_name not in COMMANDS:
            return None
        try:
            module = importlib.import_module(COMMANDS[cmd_name])
        except ModuleNotFoundError as error:
            return _lacking(cmd_name, str(error.name).partition(".")[0])
        command: click.Command = module.command
        return command

    def invoke(self, ctx: click.Context) -> Any:
        """Ends with a message and a status where a command cannot go on."""
        _stand_in_for_closed_streams()
        try:
            try:
                return super().invoke(ctx)
            finally:
                sys.stdout.flush()  # a reader that went away is met here, not at exit
        except KeyboardInterrupt:
            click.echo("\nInterrupted.", err=True)
            ctx.exit(INTERRUPTED)
        except BrokenPipeError:
            # Nobody reads the rest, as after `| head`. The interpreter still flushes its
            # output at exit, and needs a place to write it.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            ctx.exit(READER_GONE)
        except (DataOperationError, OSError) as error:
            raise Failure(told(error, ctx.command_path)) from error


def program() -> str:
    """The text before a command's name: `oasis-data`, or `flask data`."""
    context = click.get_current_context()
    return context.parent.command_path if context.parent else context.command_path


@click.group(cls=Commands, name="data")
@click.version_option(__version__, package_name="oasis_data", prog_name="oasis-data")
@click.pass_context
def data(ctx: click.Context) -> None:
    """Looks after JSON data files that oasis_data saves.

    At 3 a.m.: `verify` says what is wrong and what to do about it. As
    `flask data` it has the settings of the app, and DIR is the folder of the
    app's documents unless another is named.

    \b
    Exit status:
      0    all is well, or done
      1    something is left for you to look at: verify found something, diff
           a difference, recover a thing that only you can decide, or you
           answered a question with no
      2    wrong usage
      3    it could not be done; the message says why and what to do
      130  Ctrl-C

    \b
    Completion, for bash (zsh and fish: put that name for bash):
      eval "$(_OASIS_DATA_COMPLETE=bash_source oasis-data)"

    Colours are for terminals only, and NO_COLOR turns them off.
    """
    if ctx.invoked_subcommand != "audit":  # it runs no source
        app.load(ctx)


def _stand_in_for_closed_streams() -> None:
    """Opens the streams that a shell has closed (`>&-`): Python has None in their place."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, os.fdopen(os.open(os.devnull, os.O_RDWR), mode))


def _lacking(command: str, module: str) -> click.Command:
    """A command that only says which package it needs."""

    def fail() -> None:
        raise Failure(f"{command} needs {module}: pip install 'oasis_data[cli]'")

    anything = {"ignore_unknown_options": True, "allow_extra_args": True}
    return click.Command(
        command, callback=fail, short_help=f"(needs {module})", context_settings=anything
    )


def told(error: DataOperationError | OSError, program: str) -> str:
    """What failed and what to do, in words for an operator."""
    if not isinstance(error, DataOperationError):
        return _told_by_system(error)
    message = shown(error.message)
    folder = os.path.dirname(os.path.abspath(error.file_path))
    advice = ""
    if isinstance(error, LockTimeoutError) and error.holder:
        there = "" if _is_here(error.holder_host) else f" on {shown(str(error.holder_host))}"
        advice = f"\n  -> see what it is doing{there}: ps -fp {error.holder}"
    elif isinstance(error, NoBackupError):
        advice = f"\n  -> see what there is: {program} backups {quoted(error.file_path)}"
    elif isinstance(error, BrokenRulesError):
        advice = f"\n  -> mend {shown(error.rules_path)}, or act without rules: --rules ''"
    return f"{message}\n  in {shown(folder)}{advice}"


def _is_here(host: str | None) -> bool:
    """Whether a process of this host holds a lock; a server tells the start of a long name."""
    return host is None or os.uname().nodename.startswith(host)


def _told_by_system(error: OSError) -> str:
    reason = error.strerror or str(error)
    advice = _ADVICE.get(error.errno or 0, "look at the disk and the kernel's log: dmesg | tail")
    name = f"{shown(error.filename)}: " if error.filename is not None else ""
    return f"{name}{shown(reason)}\n  -> {advice}"
