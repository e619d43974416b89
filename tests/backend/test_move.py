"""A backend before and after its imports and call sites were changed: one fails, one passes."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from .concurrency import Crowd, find_violations
from .servers import Server, serve_flask, serve_gunicorn

HERE = Path(__file__).parent
ROUNDS = 20
SERVERS: dict[str, Callable[[Path, Path, Path], AbstractContextManager[Server]]] = {
    "flask": serve_flask,
    "gunicorn": serve_gunicorn,
}


@pytest.mark.parametrize("kind", SERVERS)
def test_the_check_fails_before(kind: str, root: Path, tmp_path: Path) -> None:
    with SERVERS[kind](HERE / "legacy", root, tmp_path / "server.log") as server:
        crowd = Crowd(server.port)
        for _ in range(ROUNDS):
            crowd.drive(saves=100, reads=400)
            if find_violations(crowd.history):
                return
    pytest.fail(f"{ROUNDS} rounds without a torn, empty or stale answer")


@pytest.mark.parametrize("kind", SERVERS)
def test_the_check_passes_after(kind: str, root: Path, tmp_path: Path) -> None:
    with SERVERS[kind](HERE / "moved", root, tmp_path / "server.log") as server:
        crowd = Crowd(server.port)
        crowd.drive()
        assert find_violations(crowd.history) == []
