"""`recover`: finishes what dead writers began, or takes it back."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator

import click
from rich.text import Text

from oasis_data import (
    CorruptFileError,
    DataFileNotFoundError,
    DataOperationError,
    _native,
    load_data_file,
)
from oasis_data.cli.batches import Batch, State, interrupted
from oasis_data.cli.choice import folder_argument
from oasis_data.cli.content import read
from oasis_data.cli.group import ATTENTION, FAILED, program, timeout_option
from oasis_data.cli.spelling import quoted, shown
from oasis_data.cli.survey import Folder, copy_of, is_digest, owner_of, survey
from oasis_data.cli.terminal import plural, screen


@click.command(name="recover", short_help="Finish or take back what dead writers began.")
@folder_argument
@timeout_option
@click.pass_context
def command(ctx: click.Context, directory: str, timeout: float) -> None:
    """Puts DIR and all below in order after a crash.

    Saves of several files that were interrupted are completed if they were
    decided, else taken back, as the next load of one of the files would do by
    itself; files outside DIR that belong to them too. Unfinished saves of
    single files are removed. What a live writer is doing is left alone, and
    so is the unfinished save of a file that is corrupt: it may be the only
    good copy.

    The exit status is 0 if everything is in order now, 1 if something is left
    for you to decide, 3 if something could not be done.

    \b
    Examples:
      oasis-data recover /srv/oasis/data
    """
    work = _Recovery(directory, timeout)
    folders = list(survey(directory))
    batches = [batch for folder in folders if (batch := work.batch_of(folder))]
    for batch in batches:
        work.recover(batch)
    for folder in folders:
        work.sweep(folder)
    work.conclude()
    ctx.exit(FAILED if work.failed else ATTENTION if work.left else 0)


class _Recovery:
    """What is done, told as it happens."""

    def __init__(self, directory: str, timeout: float) -> None:
        self.directory = directory
        self.timeout = timeout
        # New contents of batches that could not be recovered: not leftovers.
        self._pending: set[str] = set()
        self.done = self.left = self.failed = 0
        self._console = screen()
        self._errors = screen(stderr=True)

    def batch_of(self, folder: Folder) -> Batch | None:
        for path, error in folder.unreadable:
            self._fail(path, error.strerror or str(error))
        try:
            return interrupted(folder.path) if folder.has_sidecar else None
        except OSError as error:
            self._fail(folder.path, error.strerror or str(error))
            return None

    def recover(self, batch: Batch) -> None:
        if not os.path.exists(batch.journal):
            return  # completed with the one in another folder
        try:
            if batch.state is State.TORN:
                _look_at(batch.folder)
            elif batch.beside:
                self._lock(os.path.join(batch.folder, next(iter(batch.beside)))).close()
            why = batch.state.value
        except DataOperationError as error:
            why = error.message
        if interrupted(batch.folder):
            self._pending.update(batch.contents)
            self._fail(batch.journal, why)
            return
        self.done += 1
        did = {State.DECIDED: "completed", State.UNDECIDED: "taken back"}
        what = did.get(batch.state, "removed a journal that decided nothing")
        files = f": {', '.join(map(shown, batch.files))}" if batch.files else ""
        self._tell(f"batch {what}" if batch.files else what, f"{shown(batch.folder)}{files}")

    def sweep(self, folder: Folder) -> None:
        by_owner: dict[str, list[str]] = {}
        for path in folder.temporaries:
            if path in self._pending:
                continue
            owner = owner_of(path)
            if owner is None:
                self._leave(path, "not a temporary file of oasis_data")
            elif is_digest(owner):
                self._leave(path, "the next save of its file, whose name is very long, removes it")
            else:
                by_owner.setdefault(owner, []).append(path)
        for owner, paths in by_owner.items():
            file = os.path.join(folder.path, owner)
            try:
                self._sweep(file, paths)
            except DataOperationError as error:
                self._fail(file, error.message)

    def _sweep(self, file: str, paths: list[str]) -> None:
        # Under its lock no writer can be between making a temporary file and
        # locking it.
        lock = self._lock(file)
        try:
            for path in paths:
                try:
                    self._sweep_one(file, path)
                except OSError as error:
                    self._fail(error.filename or path, error.strerror or str(error))
        finally:
            lock.close()

    def _sweep_one(self, file: str, path: str) -> None:
        with _if_dead(path) as dead:
            if dead and (fault := _fault(file)):
                self._leave(path, f"{shown(file)} is corrupt ({fault}): this may be a good copy")
            elif dead:
                # In this order: the copy is found by nothing else.
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(copy_of(path, os.path.dirname(file)))
                os.unlink(path)
                self.done += 1
                self._tell("leftover removed", shown(path))

    def _lock(self, file: str) -> _native.Edit:
        """Locks a file, which recovers its batch; unlike a load it says why it cannot."""
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

    def _fail(self, path: str, why: str) -> None:
        self.failed += 1
        self._errors.print(Text.assemble(("not done", "bold red"), f"  {shown(path)}"))
        self._errors.print(f"  {shown(why)}")


def _look_at(folder: str) -> None:
    """Loads a file that is not there: the load finds the journal, and no lock is left."""
    with contextlib.suppress(DataFileNotFoundError, CorruptFileError):
        load_data_file(os.path.join(folder, ".oasis_data.none"), strict=True)


@contextlib.contextmanager
def _if_dead(path: str) -> Iterator[bool]:
    """Holds a temporary file that no writer holds, and says whether it is one."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        yield False
        return
    try:
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
