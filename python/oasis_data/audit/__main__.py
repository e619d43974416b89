"""Runs the command: `python -m oasis_data.audit`."""

from oasis_data.audit.command import command

command(prog_name="oasis-data audit")
