"""The command line: `oasis-data`, and `flask data`.

One command per module, each imported when it is used. The modules that look at
the disk (`survey`, `batches`, `content`) only read, and take no part in the
package's own recovery, so that looking changes nothing.
"""

import sys

__all__ = ["main"]


def main() -> None:
    """Runs `oasis-data`."""
    try:
        from oasis_data.cli.group import data
    except ModuleNotFoundError as error:
        # The script is installed with or without what it needs.
        sys.stderr.write(f"oasis-data needs {error.name}: pip install 'oasis_data[cli]'\n")
        sys.exit(3)  # group.FAILED, which needs click itself
    data(prog_name="oasis-data")
