"""Locks: who is kept out, for how long, and by which file."""

from __future__ import annotations

from tests.sabotage.safeguard import Sabotage

LOCK = "src/files/lock/mod.rs"
FILE = "src/files/lock/file.rs"
OWNER = "src/python/owner.rs"

SABOTAGES = [
    Sabotage(
        "an edit looks whether its lock was removed",
        "src/python/editing.rs",
        "locked.require_current()?;\n",
        "\n",
        "pytest tests/test_edit.py -k lock_was_removed",
    ),
    Sabotage(
        "O_NOFOLLOW of the lock file",
        FILE,
        "let flags = OFlags::RDWR | OFlags::NOFOLLOW | OFlags::CLOEXEC;",
        "let flags = OFlags::RDWR | OFlags::CLOEXEC;",
        "cargo locks::a_symlink",
    ),
    Sabotage(
        "the lock itself",
        "src/files/lock/queue.rs",
        "self.take(file, LOCK_CALL, lock::try_exclusive)?",
        "self.take(file, LOCK_CALL, |_| Ok(()))?",
        "cargo locks::excludes",
    ),
    Sabotage(
        "the queue",
        "src/files/lock/queue.rs",
        "self.take(file, QUEUE_CALL, lock::enter_queue)?",
        "self.take(file, QUEUE_CALL, |_| Ok(()))?",
        "cargo locks::nobody_starves",
    ),
    Sabotage(
        "no thread waits for itself",
        LOCK,
        "if let Some(why) = why {",
        "if let Some(why) = why.filter(|_| false) {",
        "cargo locks::a_thread_does",
    ),
    Sabotage(
        "the recheck of the locked file",
        FILE,
        "Ok(named) => Ok(Identity::of(&named).key() == held),",
        "Ok(_) => Ok(true),",
        "cargo locks::a_lock_whose",
    ),
    Sabotage(
        "the recheck for a removed lock file",
        FILE,
        "Err(Errno::NOENT) => Ok(false),",
        "Err(Errno::NOENT) => Ok(true),",
        "cargo locks::a_lock_whose",
    ),
    Sabotage(
        "out of the queue before a signal handler",
        "src/files/lock/queue.rs",
        "let _ = self.used(file.with(lock::leave_queue))?;\n                holds_queue = false;",
        "",
        "pytest tests/test_locks.py -k own_thread_in_the_queue",
    ),
    Sabotage(
        "only would-block is contention",
        "src/files/sys/lock.rs",
        "error.raw_os_error() == fs2::lock_contended_error().raw_os_error()",
        "error.raw_os_error().is_some()",
        "pytest tests/test_syscalls.py -k no_contention",
    ),
    Sabotage(
        "signals end the wait",
        "src/files/lock/queue.rs",
        "if self.signals.pending() {",
        "if self.signals.pending() && false {",
        "pytest tests/test_locks.py -k handler_that_raises",
    ),
    Sabotage(
        "a stopped waiter is passed",
        "src/files/lock/queue.rs",
        " || begun.elapsed() >= QUEUE_PATIENCE",
        "",
        "pytest tests/test_locks.py -k keeps_nobody",
    ),
    Sabotage(
        "the last look is at the lock",
        "src/files/lock/queue.rs",
        " || left.is_zero() ||",
        " ||",
        "pytest tests/test_locks.py -k keeps_nobody",
    ),
    Sabotage(
        "an edit that may be left elsewhere is waited for",
        LOCK,
        "Own::Handed(owner) => owner.standstill(),",
        "Own::Handed(owner) => owner.standstill().or(Some(Standstill::Nested)),",
        "cargo locks::an_owner",
    ),
    Sabotage(
        "whoever is on the stack cannot leave its block",
        OWNER,
        "return Ok(Some(Standstill::Nested));",
        "return Ok(None);",
        "pytest tests/test_waiting_for_oneself.py -k inside",
    ),
    Sabotage(
        "only a with statement keeps its block",
        OWNER,
        "Some(outer) if enters_with(&outer)? => block = outer,",
        "Some(outer) => block = outer,",
        "pytest tests/test_waiting_for_oneself.py -k another_thread",
    ),
    Sabotage(
        "only the loop of a coroutine cannot go on",
        OWNER,
        "LeftBy::Coroutine(of) if running_loop(py)? == Some(of) =>",
        "LeftBy::Coroutine(of) if of != 0 =>",
        "pytest tests/test_waiting_for_oneself.py -k loop_that_is_not_running",
    ),
    Sabotage(
        "a lock that is linked elsewhere is made anew",
        LOCK,
        "if stat.st_nlink > 1 && !renewed {",
        "if stat.st_nlink > 1 && !renewed && false {",
        "pytest tests/test_locks.py -k share_no_locks",
    ),
    Sabotage(
        "a lock that is held for another folder is made anew",
        LOCK,
        "wait.leave_to_another_folder(path, &file, key)?",
        "false",
        "pytest tests/test_locks.py -k copied_while_it_is_edited",
    ),
    Sabotage(
        "a lock is made anew only by who holds it",
        LOCK,
        "            let waited = wait.for_turn_and_lock(&file);\n",
        "            let waited = if stat.st_nlink > 1 && !renewed { Ok(()) } "
        "else { wait.for_turn_and_lock(&file) };\n",
        "pytest tests/test_locks.py -k while_locks_are_made_anew",
    ),
    Sabotage(
        "a lock that is made anew keeps what it holds",
        FILE,
        "made.write_all_at(&content[..length], 0)",
        "made.write_all_at(&content[..0], 0)",
        "pytest tests/test_locks.py -k keeps_its_mark",
    ),
    Sabotage(
        "what a killed maker of a lock left is cleared up",
        FILE,
        "fs::unlinkat(&target.folder, &new, AtFlags::empty()).and_then(",
        "Err(Errno::EXIST).and_then(",
        "pytest tests/test_locks.py -k cannot_be_made_anew",
    ),
    Sabotage(
        "no lock is collected that somebody holds",
        FILE,
        "Err(error) if lock::is_contended(&error) => return Ok(false),",
        "Err(error) if lock::is_contended(&error) => {}",
        "cargo locks::collects",
    ),
    Sabotage(
        "no lock is collected whose document is there",
        FILE,
        "if there.contains(Path::new(stem)) {",
        "if there.is_empty() {",
        "cargo locks::collects",
    ),
]
