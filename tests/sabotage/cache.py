"""The cache: which content is the file's, and whose a document is."""

from __future__ import annotations

from tests.sabotage.safeguard import Sabotage

IDENTITY = "src/files/identity.rs"
LOAD = "src/documents/load.rs"
FORK = "src/files/fork.rs"

SABOTAGES = [
    Sabotage(
        "the ctime in the identity",
        IDENTITY,
        "ctime: nanoseconds(statx.stx_ctime.tv_sec, statx.stx_ctime.tv_nsec),",
        "ctime: 0,",
        "cargo identity::a_change_in_place",
    ),
    Sabotage(
        "the racy window",
        IDENTITY,
        "read_at.realtime - self.ctime > tick",
        "read_at.realtime - self.ctime > tick - 1_000_000_000_000",
        "pytest tests/cache/test_freshness.py",
    ),
    Sabotage(
        "a hit compares the identity",
        LOAD,
        "kept.filter(|entry| entry.stamp.stamp == stamp)",
        "kept",
        "pytest tests/cache/test_freshness.py",
    ),
    Sabotage(
        "the birth time in the identity",
        IDENTITY,
        "birth: (known && birth != 0).then_some(birth),",
        "birth: (known && birth != 0).then_some(1),",
        "cargo identity::a_file_born",
    ),
    Sabotage(
        "bytes are compared without a birth time",
        "src/files/read.rs",
        "past_racy_window: identity.has_birth() && identity.is_past_racy_window(read_at),",
        "past_racy_window: identity.is_past_racy_window(read_at),",
        "pytest tests/cache/test_freshness.py -k without_a_birth_time",
    ),
    Sabotage(
        "nothing from before the clock was set back is trusted",
        LOAD,
        "let stamps_hold = !entry.stamp.read_at.is_ahead_of_the_clock();",
        "let stamps_hold = !entry.stamp.read_at.is_ahead_of(&entry.stamp.read_at);",
        "pytest tests/cache/test_freshness.py -k clock_was_set_back",
    ),
    Sabotage(
        "whose descriptor it is, before it is closed",
        FORK,
        "if self.own().is_none()\n",
        "if self.own().is_none() && self.kept.get().is_none()\n",
        "pytest tests/test_descriptors.py -k closes_no_descriptor",
    ),
    Sabotage(
        "whose descriptor it is, before it is used",
        FORK,
        "self.file.as_ref().filter(|_| self.kept.get().is_none_or(same))",
        "{ let _ = same; self.file.as_ref() }",
        "pytest tests/test_descriptors.py -k edit",
    ),
    Sabotage(
        "who the lock is of that has a closed descriptor's number",
        FORK,
        "_ if owner(self.as_raw_fd()) != Some(kept.id) => false,",
        "_ if owner(self.as_raw_fd()).is_none() && kept.id == 0 => false,",
        "pytest tests/test_descriptors.py -k lost_its_lock",
    ),
    Sabotage(
        "whose descriptor it is, on a disk that fails",
        FORK,
        "Err(_) => kept.path.is_some() && path_of(self) == kept.path,",
        "Err(_) => kept.path.is_some() && false,",
        "pytest tests/torture/test_faults.py -k edit",
    ),
    Sabotage(
        "which of two locks of a file an edit lets go",
        "src/files/lock/held.rs",
        "taken().retain(|taken| taken.id != id);",
        "taken().retain(|taken| taken.id < id);",
        "pytest tests/test_descriptors.py -k lost_its_lock",
    ),
    Sabotage(
        "an edit remembers which files its descriptors are",
        "src/files/locked.rs",
        "let kept = self.lock.keep().and_then(|()| self.target.folder.keep());",
        "let kept = Ok::<(), rustix::io::Errno>(());",
        "pytest tests/test_descriptors.py -k edit",
    ),
    Sabotage(
        "whose folder it is, before it is used",
        "src/files/locked.rs",
        "self.lock.is_own() && self.target.folder.own().is_some()",
        "self.lock.is_own()",
        "pytest tests/test_descriptors.py -k only_one",
    ),
    Sabotage(
        "the private copy",
        LOAD,
        "if own { copy(runtime, &entry) } else { runtime.borrow_shared(&entry.value) }",
        "{ let _ = (own, copy::<R>); runtime.borrow_shared(&entry.value) }",
        "pytest tests/cache/test_ownership.py",
    ),
    Sabotage(
        "a document's plan is set in one go",
        "src/python/content.rs",
        "self.copy_plan.get_or_init(|| plan)",
        """self.copy_plan.get_or_init(|| {
            py.detach(|| ());
            plan
        })""",
        "pytest tests/test_cache_processes.py -k first_time",
    ),
    Sabotage(
        "what copies take counts towards the limit",
        LOAD,
        "if grown > 0 {",
        "if grown > usize::MAX - 1 {",
        "pytest tests/test_codec.py -k counts_towards",
    ),
    Sabotage(
        "files changed just now are held while several are loaded",
        "src/documents/load_many.rs",
        "let racy = |found: &Stamp| !found.is_past_racy_window(now);",
        "let racy = |found: &Stamp| !found.is_past_racy_window(now) && false;",
        "pytest tests/test_syscalls.py -k while_several",
    ),
    Sabotage(
        "a log that is not held open",
        "python/oasis_data/_logging.py",
        "keep_file_open=False,",
        "keep_file_open=True,",
        "pytest tests/test_descriptors.py -k the_log",
    ),
]
