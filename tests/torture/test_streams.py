"""Many clients of a stream, many saves, and workers that are killed."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from oasis_data import load_with_version, save_json_atomic
from tests.torture import rounds
from tests.torture.streaming_app import TYPES
from tests.torture.streams import (
    THREADS,
    listen_beside_requests,
    listen_to_saves,
    serve_streams,
)

pytestmark = pytest.mark.timeout(3600)

CLIENTS = 50


def test_every_client_ends_on_the_last_version(
    tmp_path: Path, report: Callable[[str], None]
) -> None:
    data = tmp_path / "data"
    for data_type in TYPES:
        save_json_atomic(data / f"{data_type}.json", {}, make_parents=True)
    seed = time.time_ns()
    with serve_streams(data, tmp_path / "server.log", *THREADS) as server:
        result = asyncio.run(
            listen_to_saves(
                server, data, CLIENTS, rounds(1_500, 10_000), rounds(400, 2_000) / 1000, seed
            )
        )
    report(
        f"streams: {CLIENTS} clients of 4 workers, {result.saves:,} saves in "
        f"{result.seconds:.1f} s, "
        f"{result.kills} workers killed, {result.connections} connections, "
        f"{result.share_within(0.25):.2%} of changes within 250 ms, "
        f"median {result.quantile(0.5) * 1000:.0f} ms, 99 % {result.quantile(0.99) * 1000:.0f} ms, "
        f"{len(result.behind)} clients behind (seed {seed})"
    )
    assert result.kills
    assert result.behind == []
    # Each save was shown, by itself or merged into a later one.
    assert len(result.latencies) == result.saves * CLIENTS
    assert result.latencies[-1] < float("inf")
    # The whole run wants a quiet machine; the short one runs beside other tests.
    assert result.share_within(rounds(2_000, 250) / 1000) >= 0.99


@pytest.mark.parametrize("options", [[], ["--threads", "4"]], ids=["sync", "gthread"])
def test_listening_clients_leave_room_for_other_requests(
    tmp_path: Path, options: list[str]
) -> None:
    data = tmp_path / "data"
    for data_type in TYPES:
        save_json_atomic(data / f"{data_type}.json", {}, make_parents=True)
    log = tmp_path / "server.log"
    with serve_streams(data, log, *options, workers=1, places=3) as server:
        clients, answers = asyncio.run(listen_beside_requests(server, data, 10, 50))
    assert answers == [200] * 50
    last = load_with_version(data / "tanks.json")[1]
    assert [client.versions["tanks"] for client in clients] == [last] * 10
