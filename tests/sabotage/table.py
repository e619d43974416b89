"""The table of all sabotages, and whether it fits the source."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tests.sabotage import (
    audit,
    backups,
    batches,
    cache,
    cli,
    codec,
    flask_extension,
    judging,
    locks,
    monitoring,
    processes,
    rules,
    saves,
    stores,
    watching,
)
from tests.sabotage.markers import Marked, TableError
from tests.sabotage.safeguard import Sabotage

SABOTAGES = [
    *saves.SABOTAGES,
    *locks.SABOTAGES,
    *processes.SABOTAGES,
    *backups.SABOTAGES,
    *batches.SABOTAGES,
    *judging.SABOTAGES,
    *cache.SABOTAGES,
    *codec.SABOTAGES,
    *flask_extension.SABOTAGES,
    *watching.SABOTAGES,
    *rules.SABOTAGES,
    *monitoring.SABOTAGES,
    *cli.SABOTAGES,
    *audit.SABOTAGES,
    *stores.SABOTAGES,
]


def require_fit(sabotages: Sequence[Sabotage], marked: Mapping[str, Marked]) -> None:
    """Refuses a table that does not fit the source, with all that is wrong."""
    used = {sabotage.slug for sabotage in sabotages}
    faults = [f"{slug}: no sabotage uses this marker" for slug in marked if slug not in used]
    faults += [f"{slug}: this marker is nowhere in the source" for slug in used - marked.keys()]
    for sabotage in sabotages:
        try:
            if sabotage.slug in marked:
                sabotage.applied_to(marked[sabotage.slug])
        except TableError as error:
            faults.append(str(error))
    if faults:
        raise TableError("\n".join(sorted(faults)))
