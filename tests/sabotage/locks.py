"""Locks: who is kept out, for how long, and by which file."""

from __future__ import annotations

from tests.sabotage.safeguard import Sabotage

LOCK = "src/storage/lock.rs"

SABOTAGES = [
    Sabotage(
        "O_NOFOLLOW of the lock file",
        LOCK,
        "let flags = OFlags::RDWR | OFlags::NOFOLLOW | OFlags::CLOEXEC;",
        "let flags = OFlags::RDWR | OFlags::CLOEXEC;",
        "cargo locks::a_symlink",
    ),
    Sabotage(
        "the lock itself",
        LOCK,
        "self.take(file, fs2::FileExt::try_lock_exclusive)?",
        "self.take(file, |_| Ok(()))?",
        "cargo locks::excludes",
    ),
    Sabotage(
        "the turnstile",
        LOCK,
        "self.take(file, enter_turnstile)?",
        "self.take(file, |_| Ok(()))?",
        "cargo locks::nobody_starves",
    ),
    Sabotage(
        "no thread waits for itself",
        LOCK,
        "if wait.used(file.with(|_| taken().contains(&me)))? {",
        "if wait.used(file.with(|_| taken().contains(&me)))? && false {",
        "cargo locks::a_thread",
    ),
    Sabotage(
        "the recheck of the locked file",
        LOCK,
        "Ok(named) => Ok(Identity::of(&named).key() == held),",
        "Ok(_) => Ok(true),",
        "cargo locks::a_lock_whose",
    ),
    Sabotage(
        "the recheck for a removed lock file",
        LOCK,
        "Err(Errno::NOENT) => Ok(false),",
        "Err(Errno::NOENT) => Ok(true),",
        "cargo locks::a_lock_whose",
    ),
    Sabotage(
        "out of the turnstile before a signal handler",
        LOCK,
        "let _ = self.used(file.with(leave_turnstile))?;\n                in_turnstile = false;",
        "",
        "pytest tests/test_hostile.py -k handler_may_save",
    ),
    Sabotage(
        "only would-block is contention",
        LOCK,
        "error.raw_os_error() == fs2::lock_contended_error().raw_os_error()",
        "error.raw_os_error().is_some()",
        "pytest tests/test_syscalls.py -k no_contention",
    ),
    Sabotage(
        "signals end the wait",
        LOCK,
        "if self.signals.pending() {",
        "if self.signals.pending() && false {",
        "pytest tests/test_locks.py -k handler_that_raises",
    ),
]
