"""oasis_data keeps each promise; and each has a peer that breaks it, so that it can be broken."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.torture import rounds
from tests.torture.adapters import ADAPTERS, OasisData
from tests.torture.promises import CERTAIN, EVERYTHING, measure, struck, table


@pytest.mark.timeout(3600)
def test_promises_are_kept_here_and_can_be_broken(
    strace: str, report: Callable[[str], None]
) -> None:
    measures = EVERYTHING if rounds(0, 1) else [struck, *CERTAIN]
    columns = {adapter.name: measure(adapter, measures) for adapter in ADAPTERS}
    report(f"promises, by implementation:\n{table(columns)}")
    ours = columns.pop(OasisData.name)
    assert [verdict for verdict in ours if verdict.broken] == []
    peers = zip(*columns.values(), strict=True)
    never_broken = [row[0].promise for row in peers if not any(peer.broken for peer in row)]
    assert never_broken == []
