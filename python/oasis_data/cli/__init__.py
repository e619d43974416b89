"""The command line: `oasis-data`, and `flask data`.

One command per module; a module is imported when its command is used. The modules
that look at the disk (`survey`, `batches`, `content`) only read, and recover no
batches, so that a look changes nothing.
"""

import sys

__all__ = ["main"]


def main() -> None:
    """Runs `oasis-data`."""
    try:
        from oasis_data.cli.group import data
    except ModuleNotFoundError as error:
        # The script is installed with or without the packages that it needs.
        sys.stderr.write(f"oasis-data needs {error.name}: pip install 'oasis_data[cli]'\n")
        sys.exit(3)  # group.FAILED, which needs click itself
    data(prog_name="oasis-data")
