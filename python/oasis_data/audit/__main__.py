"""Runs the command: `python -m oasis_data.audit`."""

from oasis_data.audit.command import command

if __name__ == "__main__":
    command(prog_name="oasis-data audit")
