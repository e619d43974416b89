"""Runs the command: `python -m oasis_data.audit`."""

from oasis_data.audit.command import audit

audit(prog_name="oasis-data audit")
