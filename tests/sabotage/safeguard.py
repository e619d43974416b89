"""One safeguard of a table, and the files that several tables have some in."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class Sabotage:
    """One safeguard: where it stands, what is put in its place, who must notice."""

    safeguard: str
    file: str
    line: str
    instead: str
    test: str


SESSION = "src/files/session.rs"
FLASK = "python/oasis_data/flask.py"
