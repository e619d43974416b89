"""A thread that edits a file and wants it again: refused if it would wait for itself, else not."""

from __future__ import annotations

import asyncio
import re
import sys
import threading
from collections.abc import AsyncIterator, Callable, Generator, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import pytest

from oasis_data import (
    AlreadyLockedError,
    LockTimeoutError,
    delete_json_atomic,
    edit_json,
    list_backups,
    load_data_file,
    restore_backup,
    save_json_atomic,
    save_many_atomic,
)

# Whoever waits where it should be refused waits for an hour.
pytestmark = pytest.mark.timeout(60)
HOUR = 3600.0


@pytest.fixture
def path(anywhere: Path) -> Path:
    path = anywhere / "tanks.json"
    save_json_atomic(path, {"n": 0})
    return path


def add(path: Path, timeout: float = HOUR) -> None:
    with edit_json(path, timeout=timeout) as document:
        document["n"] += 1


def require_refused(path: Path, why: str = "a save inside its own edit_json") -> None:
    """Whatever writes the file is refused at once."""
    (newest, *_) = list_backups(path)
    writes: list[Callable[[], object]] = [
        lambda: save_json_atomic(path, 2, timeout=HOUR),
        lambda: add(path),
        lambda: delete_json_atomic(path, timeout=HOUR),
        lambda: save_many_atomic({path.with_name("other.json"): 1, path: 2}, timeout=HOUR),
        lambda: restore_backup(path, newest, timeout=HOUR),
    ]
    for write in writes:
        with pytest.raises(AlreadyLockedError, match=re.escape(why)):
            write()


@contextmanager
def editing(path: Path) -> Iterator[Any]:
    """An edit within a generator, as a dependency of a web framework is."""
    with edit_json(path) as document:
        yield document


@pytest.fixture(autouse=True)
def backed_up(path: Path) -> None:
    save_json_atomic(path, {"n": 0, "also": 0})


def test_inside_its_with_statement(path: Path) -> None:
    with edit_json(path):
        require_refused(path)
    add(path)


def test_inside_a_function_that_is_called_there(path: Path) -> None:
    def deeper(left: int) -> None:
        if left:
            return deeper(left - 1)
        return require_refused(path)

    with edit_json(path):
        deeper(50)


def test_inside_a_context_manager_of_ones_own(path: Path) -> None:
    @contextmanager
    def twice(path: Path) -> Iterator[Any]:
        with editing(path) as document:
            yield document

    with twice(path):
        require_refused(path)
    add(path)


def test_inside_a_decorated_function(path: Path) -> None:
    decorated = edit_json(path)(require_refused)
    decorated(path)
    add(path)


def test_inside_the_generator_that_edits(path: Path) -> None:
    def each() -> Generator[None]:
        with edit_json(path):
            yield
            require_refused(path)
            yield

    edits = each()
    next(edits)
    next(edits)
    edits.close()
    add(path)


def test_inside_a_coroutine_that_is_awaited_there(path: Path) -> None:
    async def inner() -> None:
        require_refused(path)
        await asyncio.sleep(0)
        require_refused(path)

    async def outer() -> None:
        with edit_json(path):
            await inner()

    asyncio.run(outer())
    add(path)


def test_another_task_of_the_loop_is_told_of_the_await(path: Path) -> None:
    async def add_slowly(edit: Callable[[Path], Any]) -> None:
        with edit(path) as document:
            await asyncio.sleep(0)
            document["n"] += 1

    async def both(edit: Callable[[Path], Any]) -> tuple[BaseException | None, ...]:
        return await asyncio.gather(add_slowly(edit), add_slowly(edit), return_exceptions=True)

    edits: list[Callable[[Path], Any]] = [lambda path: edit_json(path, timeout=HOUR), editing]
    for done, edit in enumerate(edits, 1):
        outcomes = asyncio.run(both(edit))
        (refused,) = filter(None, outcomes)
        assert isinstance(refused, AlreadyLockedError)
        assert "another task of this event loop awaits inside its edit_json block" in str(refused)
        assert "asyncio.to_thread" in str(refused)
        assert load_data_file(path)["n"] == done


def test_another_task_is_told_of_an_asynchronous_generator(path: Path) -> None:
    @asynccontextmanager
    async def dependency() -> AsyncIterator[Any]:
        with edit_json(path) as document:
            yield document

    async def first() -> None:
        async with dependency():
            require_refused(path, "this task is inside an edit_json block already")
            await asyncio.gather(second())

    async def second() -> None:
        require_refused(path, "awaits inside its edit_json block")

    asyncio.run(first())
    add(path)


def test_a_coroutine_of_a_loop_that_is_not_running_is_waited_for(path: Path) -> None:
    async def edit() -> None:
        with edit_json(path):
            await goes_on

    loop = asyncio.new_event_loop()
    goes_on = loop.create_future()
    task = loop.create_task(edit())
    loop.run_until_complete(asyncio.sleep(0))
    with pytest.raises(LockTimeoutError, match="by this thread itself"):
        add(path, timeout=0)
    # It may go on in a loop that runs in another thread.
    goes_on.set_result(None)
    other = threading.Thread(target=loop.run_until_complete, args=(task,))
    other.start()
    add(path)
    other.join()
    loop.close()


def test_whole_edits_in_threads_of_a_loop_wait_for_each_other(path: Path) -> None:
    async def all_at_once() -> None:
        await asyncio.gather(*(asyncio.to_thread(add, path) for _ in range(8)))

    asyncio.run(all_at_once())
    assert load_data_file(path)["n"] == 8


def test_a_function_that_is_not_on_the_stack_is_one_of_another_greenlet(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As after a switch to another greenlet, here because the block does not leave its edit."""
    edit = edit_json(path)
    frames = []

    def enter() -> None:
        # A greenlet keeps its frames: no other comes to lie in the same place.
        frames.append(sys._getframe())
        with edit:
            pass

    with monkeypatch.context() as patch:
        patch.setattr(type(edit), "__exit__", lambda *_: None)
        enter()
    require_refused(path, "another greenlet of this thread has switched away")
    leave(edit)
    add(path)


def leave(*edits: Any) -> None:
    for edit in edits:
        edit.__exit__(None, None, None)


def test_an_edit_that_another_thread_leaves_is_waited_for(path: Path) -> None:
    for edit in (edit_json(path), editing(path)):
        edit.__enter__()["n"] += 1
        # What is refused is refused before it waits.
        with pytest.raises(LockTimeoutError, match=r"by this thread itself after 0\.000 s"):
            add(path, timeout=0)
        other = threading.Thread(target=leave, args=(edit,))
        waiting = threading.Timer(0.05, other.start)
        waiting.start()
        add(path)
        waiting.join()
        other.join()
    assert load_data_file(path)["n"] == 4


def test_edits_of_a_pool_are_entered_and_left_in_any_thread(path: Path) -> None:
    """As FastAPI does with generators that are no coroutines: each step in some thread."""
    with ThreadPoolExecutor(1) as first, ThreadPoolExecutor(1) as second:
        for _ in range(20):
            edit = editing(path)
            document = first.submit(edit.__enter__).result()
            document["n"] += 1
            waiting: Future[None] = first.submit(add, path)
            second.submit(leave, edit).result()
            waiting.result()
    assert load_data_file(path)["n"] == 40


def test_an_edit_in_an_exit_stack_is_waited_for_until_the_deadline(path: Path) -> None:
    with ExitStack() as stack:
        document = stack.enter_context(edit_json(path))
        with pytest.raises(LockTimeoutError) as caught:
            save_json_atomic(path, 2, timeout=0.05)
        assert "an edit_json that nobody has left (by an ExitStack, a generator" in str(
            caught.value
        )
        document["n"] = 5
    assert load_data_file(path)["n"] == 5


def test_a_generator_that_is_suspended_may_go_on_in_another_thread(path: Path) -> None:
    def each() -> Generator[None]:
        with edit_json(path) as document:
            yield
            document["n"] += 1

    edits = each()
    next(edits)
    with pytest.raises(LockTimeoutError, match="by this thread itself"):
        add(path, timeout=0)
    other = threading.Thread(target=list, args=(edits,))
    other.start()
    add(path)
    other.join()
    assert load_data_file(path)["n"] == 2


def test_a_lock_of_a_thread_that_has_ended_is_not_taken_for_another_threads(path: Path) -> None:
    edit = edit_json(path)
    outcomes: list[str] = []
    idents: set[int] = set()

    def enter() -> None:
        edit.__enter__()
        idents.add(threading.get_ident())

    def want() -> None:
        idents.add(threading.get_ident())
        try:
            add(path, timeout=0)
        except LockTimeoutError as error:
            outcomes.append(str(error))

    for act in (enter, want, want):
        thread = threading.Thread(target=act)
        thread.start()
        thread.join()
    leave(edit)
    # The operating system gave a number again: without that this says nothing.
    assert len(idents) < 3
    assert len(outcomes) == 2
    assert not any("this thread" in each for each in outcomes)


def test_a_lock_that_is_kept_in_another_frame_of_the_same_code_is_no_nesting(path: Path) -> None:
    """The frames of one function differ, though they come to lie in the same place."""

    def enter(stack: ExitStack) -> None:
        stack.enter_context(edit_json(path))

    def want() -> None:
        with ExitStack() as stack, pytest.raises(LockTimeoutError):
            stack.enter_context(edit_json(path, timeout=0))

    with ExitStack() as stack:
        enter(stack)
        want()
