"""The campaign: each part runs a few rounds, and all of them with `OASIS_TORTURE=1`."""

from __future__ import annotations

import os


def rounds(quick: int, full: int) -> int:
    """How many rounds to run: `make torture` asks for the full number."""
    return full if os.environ.get("OASIS_TORTURE") else quick
