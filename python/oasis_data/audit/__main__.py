"""Runs the command: `python -m oasis_data.audit`."""

import sys


def main() -> None:
    """Runs the command, or says which package it needs."""
    try:
        from oasis_data.audit.command import command
    except ModuleNotFoundError as error:
        # The package is installed with or without the packages that this needs.
        sys.stderr.write(f"oasis_data.audit needs {error.name}: pip install 'oasis_data[cli]'\n")
        sys.exit(3)
    command(prog_name="oasis-data audit")


if __name__ == "__main__":
    main()
