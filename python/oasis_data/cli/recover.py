"""`recover`: rolls the interrupted saves of dead writers forward or back."""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
from collections.abc import Callable, Iterator

import click
from rich.text import Text

from oasis_data import (
    CorruptFileError,
    DataFileNotFoundError,
    DataOperationError,
    _native,
    load_data_file,
)
from oasis_data._records import TemporaryRecord
from oasis_data.cli.batches import Batch, State, give_up, interrupted
from oasis_data.cli.choice import folder_argument
from oasis_data.cli.content import read
from oasis_data.cli.group import ATTENTION, FAILED, program, timeout_option
from oasis_data.cli.spelling import quoted, shown
from oasis_data.cli.survey import Folder, survey
from oasis_data.cli.terminal import plural, screen


@click.command(name="recover", short_help="Roll forward or back what dead writers began.")
@folder_argument
@timeout_option
@click.option(
    "--give-up",
    "given_up",
    metavar="FILE",
    type=click.Path(dir_okay=False),
    multiple=True,
    help="Leave FILE as it is, though a batch was to change it: its new content becomes its "
    "newest backup. For a file that cannot be replaced. Can be given more than once.",
)
@click.pass_context
def command(ctx: click.Context, directory: str, timeout: float, given_up: tuple[str, ...]) -> None:
    """Puts DIR and all below in order after a crash.

    Saves of several files that were interrupted are rolled forward if they were
    decided, else rolled back, as the next load of one of the files would do by
    itself; files outside DIR that belong to them too. Unfinished saves of
    single files are removed, and the lock files of documents that are gone.
    What a live writer is doing is left alone, and so is the unfinished save
    of a file that is corrupt: it may be the only good copy.

    Where the kernel lets a file of a decided batch not be replaced (it is a
    mount point, or immutable), the others are, and this says what is in the
    way. Mend that and recover once more, or give the file up.

    The exit status is 0 if everything is in order now, 1 if something is left
    for you to decide, 3 if something could not be done.

    \b
    Examples:
      oasis-data recover /srv/oasis/data
      oasis-data recover /srv/oasis/data --give-up /srv/oasis/data/tanks.json
    """
    work = _Recovery(directory, timeout)
    ctx.call_on_close(work.listen())
    folders = list(survey(directory))
    for file in given_up:
        work.give_up(file)
    # The last journal first: a journal is there only while all journals before it are.
    batches = [batch for folder in folders for batch in reversed(work.batches_of(folder))]
    for batch in batches:
        work.recover(batch)
    for folder in folders:
        work.sweep(folder)
        work.collect(folder)
    work.conclude()
    ctx.exit(FAILED if work.failed else ATTENTION if work.left else 0)


class _Recovery:
    """A run of `recover`, which prints each step as it is done."""

    def __init__(self, directory: str, timeout: float) -> None:
        self.directory = directory
        self.timeout = timeout
        # The new contents of batches that could not be recovered are no leftovers.
        self._pending: set[str] = set()
        self.done = self.left = self.failed = 0
        self._console = screen()
        self._errors = screen(stderr=True)

    def listen(self) -> Callable[[], None]:
        """Prints what the log gets about recoveries, until the returned function is called."""
        log, handler = logging.getLogger("DataOperations"), logging.Handler()

        def emit(record: logging.LogRecord) -> None:
            if told := getattr(record, "recovery", None):
                self._tell("kept as it is", f"{shown(told[0])}: {shown(told[1])}")

        handler.emit = emit  # type: ignore[method-assign]
        log.addHandler(handler)
        return lambda: log.removeHandler(handler)

    def give_up(self, file: str) -> None:
        try:
            kept = _native.give_up(file, timeout=self.timeout)
        except DataOperationError as error:
            self._fail(file, error.message)
            return
        if kept is None:
            self._leave(file, "no interrupted batch has a new content for it")
            return
        self.done += 1
        self._tell("file given up", f"{shown(file)}: {shown(kept)}")

    def batches_of(self, folder: Folder) -> list[Batch]:
        for path, error in folder.unreadable:
            self._fail(path, error.strerror or str(error))
        try:
            return interrupted(folder.path) if folder.sidecar else []
        except OSError as error:
            self._fail(folder.path, error.strerror or str(error))
            return []

    def recover(self, batch: Batch) -> None:
        if not os.path.exists(batch.journal):
            return  # rolled forward with the journal in another folder
        waiting = batch.waiting
        if batch.state is State.TORN:
            _look_at(batch.folder)
        why = {}
        for content in batch.contents:
            try:
                # This recovers the other files of the batch too.
                self._lock(content["file"]).close()
            except DataOperationError as error:
                why[content["file"]] = error.message
        if self._is_there(batch):
            self._pending.update(content["temporary"] for content in batch.contents)
            self._fail(batch.journal, *(why.values() or [batch.state.value]))
            rest = batch.waiting
            if done := [file for file in waiting if file not in rest]:
                self._errors.print(f"  done all the same: {', '.join(map(shown, done))}")
            if rest:
                self._errors.print(
                    f"  -> to leave {'them' if rest[1:] else 'it'} as now, with the new content "
                    f"as the newest backup: {give_up(batch)}"
                )
            return
        self.done += 1
        did = {State.DECIDED: "rolled forward", State.UNDECIDED: "rolled back"}
        what = did.get(batch.state, "removed a journal that decided nothing")
        files = f": {', '.join(map(shown, batch.files))}" if batch.files else ""
        self._tell(f"batch {what}" if batch.files else what, f"{shown(batch.folder)}{files}")

    def _is_there(self, batch: Batch) -> bool:
        """Whether the batch is still there. Its journal alone may have to stay."""
        if batch.contents and batch.state is not State.STRANDED and not batch.waiting:
            return False
        return any(other.journal == batch.journal for other in interrupted(batch.folder))

    def sweep(self, folder: Folder) -> None:
        by_owner: dict[str, list[TemporaryRecord]] = {}
        for temporary in folder.temporaries:
            path, owner = temporary["path"], temporary["owner"]
            if path in self._pending:
                continue
            if not temporary["is_own"]:
                self._leave(path, "not a temporary file of oasis_data")
            elif owner is None:
                self._leave(path, "the next save of its file, whose name is very long, removes it")
            else:
                by_owner.setdefault(owner, []).append(temporary)
        for file, temporaries in by_owner.items():
            try:
                self._sweep(file, temporaries)
            except DataOperationError as error:
                self._fail(file, error.message)

    def _sweep(self, file: str, temporaries: list[TemporaryRecord]) -> None:
        # Under its lock no writer can be between making a temporary file and
        # locking it.
        # safeguard: recover-waits-for-writer
        lock = self._lock(file)
        try:
            for temporary in temporaries:
                try:
                    self._sweep_one(file, temporary)
                except OSError as error:
                    self._fail(error.filename or temporary["path"], error.strerror or str(error))
        finally:
            lock.close()

    def _sweep_one(self, file: str, temporary: TemporaryRecord) -> None:
        path = temporary["path"]
        with _if_dead(path) as dead:
            # safeguard: recover-keeps-only-good-copy
            if dead and (fault := _fault(file)):
                self._leave(path, f"{shown(file)} is corrupt ({fault}): this may be a good copy")
            elif dead:
                # In this order: the copy is found by nothing else.
                with contextlib.suppress(FileNotFoundError):
                    # safeguard: recover-removes-the-copy
                    os.unlink(temporary["copy"])
                os.unlink(path)
                self.done += 1
                self._tell("leftover removed", shown(path))

    def collect(self, folder: Folder) -> None:
        """Removes the lock files of documents that are gone."""
        if folder.sidecar is None:
            return
        try:
            removed, failures = _native.collect_locks(folder.path)
        except DataOperationError as error:
            self._fail(folder.path, error.message)
            return
        for failure in failures:
            self._fail(folder.path, failure)
        if removed:
            self.done += 1
            what = f"{plural(removed, 'lock')} removed"
            self._tell(what, f"{shown(folder.path)}: of documents that are gone")

    def _lock(self, file: str) -> _native.Edit:
        """Locks a file, which recovers its batch. Unlike a load, a lock fails with the reason."""
        return _native.Edit(file, self.timeout)

    def conclude(self) -> None:
        if self.failed:
            self._console.print(
                f"{plural(self.failed, 'thing')} could not be done.\n"
                f"  -> see what is left: {program()} verify {quoted(self.directory)}"
            )
        elif self.left:
            self._console.print(
                f"{plural(self.left, 'thing')} left for you to decide.\n"
                f"  -> {program()} verify {quoted(self.directory)}"
            )
        elif self.done:
            self._console.print(f"In order: {shown(self.directory)}")
        else:
            self._console.print(f"Nothing to recover: {shown(self.directory)}")

    def _tell(self, what: str, where: str) -> None:
        self._console.print(Text.assemble((what, "bold green"), f"  {where}"))

    def _leave(self, path: str, why: str) -> None:
        self.left += 1
        self._console.print(Text.assemble(("left alone", "bold yellow"), f"  {shown(path)}"))
        self._console.print(f"  {why}")

    def _fail(self, path: str, *why: str) -> None:
        self.failed += 1
        self._errors.print(Text.assemble(("not done", "bold red"), f"  {shown(path)}"))
        for each in why:
            self._errors.print(f"  {shown(each)}")


def _look_at(folder: str) -> None:
    """Loads a file that does not exist: the load finds the journal and leaves no lock file."""
    with contextlib.suppress(DataFileNotFoundError, CorruptFileError):
        load_data_file(os.path.join(folder, "no such file"), strict=True)


@contextlib.contextmanager
def _if_dead(path: str) -> Iterator[bool]:
    """Locks a temporary file unless its writer holds it. Yields whether the writer is dead."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        yield False
        return
    try:
        # safeguard: recover-spares-live-writers
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        yield False
    else:
        yield True
    finally:
        os.close(descriptor)


def _fault(file: str) -> str | None:
    try:
        return read(file).fault
    except FileNotFoundError:
        return None
