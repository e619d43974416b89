"""The campaign: long runs that try to make storage lose, tear or forget something.

Quick counts by default; `make torture`, or `OASIS_TORTURE=1`, runs the full ones.
"""

from __future__ import annotations

import os

FULL = os.environ.get("OASIS_TORTURE") == "1"


def count(quick: int, full: int) -> int:
    """How often a part of the campaign is to try."""
    return full if FULL else quick
