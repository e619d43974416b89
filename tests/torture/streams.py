"""Clients of a stream, in one event loop, and what each was told when."""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
import subprocess
import sys
import time
from bisect import bisect_left
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from urllib.request import urlopen

from oasis_data import load_with_version, save_with_version
from tests.backend.servers import WORKERS, Server, serve
from tests.torture.streaming_app import TYPES

ROOT = Path(__file__).resolve().parents[2]
PLACES = 20
"""Streams that a worker serves: with a worker killed, the others still have a place for all."""
THREADS = ("--worker-class", "gthread", "--threads", str(PLACES + 4))

SAVER = """
import json, sys, time
from oasis_data import configure, save_with_version
configure(backups_kept=0)
folder, saves, pause, *types = sys.argv[1:]
for number in range(int(saves)):
    data_type = types[number % len(types)]
    document = {"number": number, "filler": "x" * 2000}
    version = save_with_version(f"{folder}/{data_type}.json", document)
    print(json.dumps([data_type, version, time.monotonic()]), flush=True)
    time.sleep(float(pause))
"""


@dataclass
class Client:
    """A browser's EventSource: it comes back with the id of its last event."""

    port: int
    versions: dict[str, str] = field(default_factory=dict)
    told: list[tuple[float, str, str]] = field(default_factory=list)
    connections: int = 0
    last_id: str = ""
    retry: float = 1.0

    async def follow(self) -> None:
        """Listens until it is cancelled, whatever becomes of the server."""
        while True:
            with suppress(OSError):
                await self.listen()
            await asyncio.sleep(self.retry)

    async def listen(self) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            last_id = f"Last-Event-ID: {self.last_id}\r\n" if self.last_id else ""
            # Of this version, since the answer is then neither cut into chunks nor kept alive.
            writer.write(f"GET /stream HTTP/1.0\r\n{last_id}\r\n".encode())
            while (await reader.readline()).strip():
                pass
            self.connections += 1
            last_id = ""
            while line := (await reader.readline()).decode():
                if not line.endswith("\n"):
                    break
                name, _, value = line.rstrip("\n").partition(": ")
                if name == "id":
                    last_id = value
                elif name == "retry":
                    self.retry = int(value) / 1000
                elif name == "data":
                    self.read(json.loads(value))
                elif not name:
                    self.last_id, last_id = last_id or self.last_id, ""
        finally:
            writer.close()

    def read(self, message: dict[str, str]) -> None:
        if message["type"] == "update":
            self.versions[message["data_type"]] = message["version"]
            self.told.append((time.monotonic(), message["data_type"], message["version"]))


@dataclass
class Result:
    """What became of a run."""

    saves: int
    seconds: float
    kills: int
    connections: int
    behind: list[dict[str, str]]
    latencies: list[float]

    def share_within(self, seconds: float) -> float:
        return bisect_left(self.latencies, seconds) / len(self.latencies)

    def quantile(self, share: float) -> float:
        return self.latencies[int(share * (len(self.latencies) - 1))]


def serve_streams(
    data: Path, log: Path, *options: str, workers: int = WORKERS, places: int = PLACES
) -> AbstractContextManager[Server]:
    """The app of the streams under gunicorn."""
    command = ["-m", "gunicorn", "--bind", "127.0.0.1:0", "--workers", str(workers)]
    command += ["--no-control-socket", *options, "tests.torture.streaming_app:create_app()"]
    env = {"DATA": str(data), "STREAMS": str(places), "TMPDIR": str(log.parent)}
    return serve(command, log=log, cwd=ROOT, env=env)


@contextmanager
def saver(data: Path, saves: int, pause: float = 0.0) -> Iterator[subprocess.Popen[str]]:
    """A process that saves one document after the other, and tells of each."""
    command = [sys.executable, "-c", SAVER, str(data), str(saves), str(pause), *TYPES]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


async def listen_to_saves(
    server: Server, data: Path, clients: int, saves: int, kill_each: float, seed: int
) -> Result:
    """Has clients listen while documents are saved and workers are killed."""
    chance = random.Random(seed)
    listeners = [Client(server.port) for _ in range(clients)]
    tasks = [asyncio.create_task(client.follow()) for client in listeners]
    while not all(len(client.versions) == len(TYPES) for client in listeners):
        await asyncio.sleep(0.01)
    started, kills = time.monotonic(), 0
    with saver(data, saves) as process:
        assert process.stdout
        output = asyncio.create_task(asyncio.to_thread(process.stdout.read))
        while not output.done():
            await asyncio.wait([output], timeout=kill_each * chance.uniform(0.5, 1.5))
            workers = server.workers()
            if not output.done() and len(workers) == WORKERS:
                os.kill(chance.choice(workers), signal.SIGKILL)
                kills += 1
        saved = [json.loads(line) for line in (await output).splitlines()]
    seconds = time.monotonic() - started
    last = {each: load_with_version(data / f"{each}.json")[1] for each in TYPES}
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline and any(each.versions != last for each in listeners):
        await asyncio.sleep(0.01)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    latencies = sorted(each for client in listeners for each in latencies_of(client, saved))
    behind = [client.versions for client in listeners if client.versions != last]
    connections = sum(client.connections for client in listeners)
    return Result(len(saved), seconds, kills, connections, behind, latencies)


async def listen_beside_requests(
    server: Server, data: Path, clients: int, requests: int
) -> tuple[list[Client], list[int]]:
    """Has clients listen, more than there are threads, and makes ordinary requests."""
    listeners = [Client(server.port) for _ in range(clients)]
    tasks = [asyncio.create_task(client.follow()) for client in listeners]
    while not all(len(client.versions) == len(TYPES) for client in listeners):
        await asyncio.sleep(0.01)
    answers = [await asyncio.to_thread(get, server.port) for _ in range(requests)]
    last = await asyncio.to_thread(save_with_version, data / "tanks.json", "last")
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline and any(each.versions["tanks"] != last for each in listeners):
        await asyncio.sleep(0.01)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    return listeners, answers


def get(port: int) -> int:
    with urlopen(f"http://127.0.0.1:{port}/data/tanks", timeout=10) as response:
        return int(response.status)


def latencies_of(client: Client, saved: list[tuple[str, str, float]]) -> Iterator[float]:
    """How long after its save each version, or a later one, was told."""
    for data_type in TYPES:
        saves = [(version, end) for each, version, end in saved if each == data_type]
        number_of = {version: number for number, (version, _) in enumerate(saves)}
        shown = 0
        for moment, each, version in client.told:
            if each == data_type and (number := number_of.get(version, -1)) >= shown:
                for _, end in saves[shown : number + 1]:
                    yield max(0.0, moment - end)
                shown = number + 1
        yield from [float("inf")] * (len(saves) - shown)
