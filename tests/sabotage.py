"""Takes safeguards out of a scratch copy, one at a time; each must fail its test.

    python tests/sabotage.py [--write] [WORD...]

With words, only the safeguards that contain one of them. Prints a table, with
`--write` into docs/sabotage.md too, and exits with 1 when a safeguard is missed
by its test.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PUBLISHED = ROOT / "docs" / "sabotage.md"
HEADING = """# Safeguards, and the tests that notice when one is gone

Each line below was taken out of a copy of the source, and the named test run: it must fail.
`make sabotage` does all of it again; `python tests/sabotage.py --write` writes this page.

"""


@dataclass
class Sabotage:
    """One safeguard: where it stands, what is put in its place, who must notice."""

    safeguard: str
    file: str
    line: str
    instead: str
    test: str


STORE = "src/storage/store.rs"
TEMPORARY = "src/storage/temporary.rs"
LOCK = "src/storage/lock.rs"
BACKUP = "src/storage/backup.rs"
KEEPING = "src/storage/keeping.rs"
IDENTITY = "src/storage/identity.rs"
LOADING = "src/python/loading.rs"
FORK = "src/storage/fork.rs"
SAVING = "src/python/saving.rs"
ATOMIC = "src/storage/atomic.rs"
BATCH = "src/storage/batch.rs"
JOURNAL = "src/storage/journal.rs"
RECOVERY = "src/storage/recovery.rs"
AUDIT = "python/oasis_data/audit/"
PROCESS = "src/python/process.rs"
EXIT = "src/python/exit.rs"
RAISE = "src/python/raise.rs"
CATALOGUE = "python/oasis_data/catalogue.py"
FLASK = "python/oasis_data/flask.py"
LOGGING = "python/oasis_data/_logging.py"
MONITORING = "python/oasis_data/monitoring.py"

SABOTAGES = [
    Sabotage(
        "data sync before the rename",
        TEMPORARY,
        'fs::fsync(&self.file).map_err(|errno| failed("fsync", errno))?;',
        "",
        "pytest tests/test_syscalls.py -k data_before",
    ),
    Sabotage(
        "directory sync after the rename",
        STORE,
        "            atomic::sync_folder(&self.target)?;\n        }\n        self.tidy",
        "        }\n        self.tidy",
        "pytest tests/test_syscalls.py -k data_before",
    ),
    Sabotage(
        "a failed directory sync is told",
        STORE,
        "            atomic::sync_folder(&self.target)?;\n        }\n        self.tidy",
        "            let _ = atomic::sync_folder(&self.target);\n        }\n        self.tidy",
        "pytest tests/test_syscalls.py -k failed_sync",
    ),
    Sabotage(
        "O_EXCL of the temporary file",
        TEMPORARY,
        "OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;",
        "OFlags::WRONLY | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::CLOEXEC;",
        "pytest tests/test_syscalls.py -k data_before",
    ),
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
        "the sync of unchanged content",
        STORE,
        'fs::fsync(&same.descriptor).map_err(|errno| self.target.failed("fsync", errno))?;',
        "",
        "pytest tests/test_syscalls.py -k same_content",
    ),
    Sabotage(
        "no link to a file with a second name",
        KEEPING,
        "let lone = live.st_nlink == if left { 2 } else { 1 };",
        "let lone = true;",
        "cargo backups::a_file_with",
    ),
    Sabotage(
        "a killed writer's backup is not linked again",
        KEEPING,
        "Some(newest) if live.st_nlink > 1 => backup::is_live(target, newest, live)?,",
        "Some(_) => false,",
        "cargo backups::what_a_writer",
    ),
    Sabotage(
        "no link to what others may write into",
        "src/storage/lease.rs",
        "lease.held = same && host.lease(lease.descriptor()?);",
        "lease.held = same && (host.lease(lease.descriptor()?) || true);",
        "cargo backups::what_others",
    ),
    Sabotage(
        "an answer from the kernel's lease",
        "src/python/host.rs",
        "fn release_unless_awaited(&self, descriptor: RawFd) -> bool {",
        "fn release_unless_awaited(&self, descriptor: RawFd) -> bool {\n"
        "        if descriptor > 0 {\n            return true;\n        }",
        "pytest tests/test_backups.py -k opens_it_meanwhile",
    ),
    Sabotage(
        "the lease's signal ends no process",
        "src/python/host.rs",
        "fcntl(py, descriptor, F_SETSIG, libc::SIGURG)?;",
        "",
        "pytest tests/test_backups.py -k opens_it_meanwhile",
    ),
    Sabotage(
        "a lease that is awaited parts the backup",
        "src/storage/lease.rs",
        "        if self.held {\n            first();",
        "        if false {\n            first();",
        "pytest tests/test_backups.py -k opens_it_meanwhile",
    ),
    Sabotage(
        "a lease is let go before its descriptor",
        "src/storage/lease.rs",
        "self.host.release(descriptor);",
        "",
        "cargo backups::what_others",
    ),
    Sabotage(
        "the live file is not compressed",
        "src/storage/compression.rs",
        "if plain.stat.st_nlink != 1 ||",
        "if false ||",
        "cargo compression::what_may",
    ),
    Sabotage(
        "the lock of a compressor",
        "src/storage/compression.rs",
        "match fs2::FileExt::try_lock_exclusive(&file) {",
        "match Ok::<(), io::Error>(()) {",
        "cargo compression::a_second",
    ),
    Sabotage(
        "a pruned backup's compressed form goes",
        "src/storage/compression.rs",
        "let goes = if self.is_there()? { self.name } else { &self.compressed_name };",
        "let goes = self.name;",
        "cargo compression::a_backup_pruned",
    ),
    Sabotage(
        "the plain form stays until the other is whole",
        "src/storage/compression.rs",
        "Ok(false) | Err(_) => Ok(()),",
        "Ok(false) | Err(_) => plain.give_way(),",
        "cargo compression::the_plain",
    ),
    Sabotage(
        "compressed names are taken names",
        BACKUP,
        "let linked = if is_taken(target, &backup.compressed_name())? {",
        "let linked = if false {",
        "cargo compression::names_grow",
    ),
    Sabotage(
        "the sync of a compressed backup",
        "src/storage/compression.rs",
        "            temporary.sync()?;",
        "",
        "pytest tests/test_compression.py -k synced",
    ),
    Sabotage(
        "the directory sync of a compressed backup",
        "src/storage/compression.rs",
        "        if sync {\n            atomic::sync_folder(plain.target)?;\n        }\n",
        "",
        "pytest tests/test_compression.py -k synced",
    ),
    Sabotage(
        "a write that was cut short goes on",
        TEMPORARY,
        "file.write_all(piece)?;",
        "file.write(piece).map(drop)?;",
        "pytest tests/torture/test_faults.py -k edit",
    ),
    Sabotage(
        "a failed save removes its temporary file",
        TEMPORARY,
        "if !self.published {",
        "if self.published {",
        "pytest tests/torture/test_faults.py -k edit",
    ),
    Sabotage(
        "a backup that cannot be read is not passed over",
        "src/python/restoring.rs",
        "Err(error) if !error.is_of_content() => {",
        "Err(error) if false => {",
        "pytest tests/torture/test_faults.py -k restore",
    ),
    Sabotage(
        "out of the turnstile before a signal handler",
        LOCK,
        "let _ = self.used(file.with(leave_turnstile))?;\n                in_turnstile = false;",
        "",
        "pytest tests/test_hostile.py -k handler_may_save",
    ),
    Sabotage(
        "only json's own errors are corruption",
        "src/codec/corrupt.rs",
        "if value.is_instance(standard::decode_error(py)?)? {",
        'if value.getattr("msg").is_err() {\n'
        '        return Ok(Some((String::new(), Place::after(b""))));\n    }\n'
        "    if value.is_instance(standard::decode_error(py)?)? {",
        "pytest tests/test_hostile.py -k signal",
    ),
    Sabotage(
        "no second interpreter",
        "src/python/process.rs",
        "if *FIRST.get_or_init(|| modules) == modules {",
        "if *FIRST.get_or_init(|| modules) == modules || true {",
        "pytest tests/test_hostile.py -k second_interpreter",
    ),
    Sabotage(
        "an edit is left to the parent of a fork",
        STORE,
        "if self.lock.is_own() {",
        "if self.lock.is_own() || true {",
        "pytest tests/test_edit.py -k forked_inside",
    ),
    Sabotage(
        "only would-block is contention",
        LOCK,
        "error.raw_os_error() == fs2::lock_contended_error().raw_os_error()",
        "error.raw_os_error().is_some()",
        "pytest tests/test_syscalls.py -k no_contention",
    ),
    Sabotage(
        "a corrupt file is kept whatever the settings",
        STORE,
        "live.is_some_and(|live| options.host.found_corrupt(&Identity::of(&live)))",
        "false",
        "pytest tests/test_backups.py -k corrupt_file_is_kept",
    ),
    Sabotage(
        "signals end the wait",
        LOCK,
        "if self.signals.pending() {",
        "if self.signals.pending() && false {",
        "pytest tests/test_locks.py -k handler_that_raises",
    ),
    Sabotage(
        "the fork handler",
        FORK,
        "locked(slot).take();",
        "drop(locked(slot));",
        "pytest tests/test_locks.py -k forked_child",
    ),
    Sabotage(
        "the sweep's lock test",
        TEMPORARY,
        "if fs2::FileExt::try_lock_exclusive(&file).is_err() {",
        "if fs2::FileExt::try_lock_exclusive(&file).is_err() && false {",
        "cargo sweep::a_live",
    ),
    Sabotage(
        "the sweep",
        STORE,
        "let remarks = self.sweep(options);\n        let mut temporary",
        "let remarks = Vec::new();\n        let mut temporary",
        "cargo sweep::a_save",
    ),
    Sabotage(
        "no sweep while the file does not parse",
        STORE,
        "Ok(found) => found.is_none_or(|found| options.host.parses(&found.bytes)),",
        "Ok(_) => true,",
        "cargo sweep::nothing",
    ),
    Sabotage(
        "the backup of a failed save is taken back",
        STORE,
        "return Err(self.take_back(error, &backed_up));",
        "return Err(error);",
        "pytest tests/test_syscalls.py -k takes_its_backup",
    ),
    Sabotage(
        "backup names only grow",
        BACKUP,
        "Some(newest) => now.max(newest.stamp + TimeDelta::microseconds(1)),",
        "Some(_) => now,",
        "cargo backups::names_keep",
    ),
    Sabotage(
        "the ctime in the identity",
        IDENTITY,
        "ctime: nanoseconds(stat.st_ctime, stat.st_ctime_nsec),",
        "ctime: 0,",
        "cargo identity::a_change_in_place",
    ),
    Sabotage(
        "the racy window",
        IDENTITY,
        "read_at.0 - self.ctime > tick",
        "read_at.0 - self.ctime > tick - 1_000_000_000_000",
        "pytest tests/cache/test_freshness.py",
    ),
    Sabotage(
        "a hit compares the identity",
        LOADING,
        "find(identity.key()).filter(|entry| entry.identity == identity)",
        "find(identity.key())",
        "pytest tests/cache/test_freshness.py",
    ),
    Sabotage(
        "the held descriptor",
        LOADING,
        "        descriptor,\n    }\n}",
        '        descriptor: { drop(descriptor); std::fs::File::open("/dev/null").unwrap() },\n'
        "    }\n}",
        "pytest tests/cache/test_freshness.py",
    ),
    Sabotage(
        "the private copy",
        LOADING,
        "if own { copied(py, &entry) } else { entry.document.lend(py) }",
        "{ let _ = (own, copied); entry.document.lend(py) }",
        "pytest tests/cache/test_ownership.py",
    ),
    Sabotage(
        "a regular file is required",
        "src/storage/target.rs",
        'FileType::Socket => "a socket",',
        "FileType::Socket => return Ok(()),",
        "cargo saves::refuses",
    ),
    Sabotage(
        "the mode is kept",
        TEMPORARY,
        "fs::fchmod(&self.file, Mode::from_raw_mode(like.st_mode & 0o7777))",
        "fs::fchmod(&self.file, Mode::from_raw_mode(0o600))",
        "cargo saves::keeps_mode",
    ),
    Sabotage(
        "the version is compared under the lock",
        STORE,
        "if found == *expected {",
        "if true {",
        "cargo saves::compares_versions",
    ),
    Sabotage(
        "a batch syncs its contents before it decides",
        BATCH,
        "let synced = change.prepared.temporary.sync()?;",
        "let synced = Identity::of(&change.target().stat()?.unwrap());",
        "pytest tests/test_batch.py -k in_this_order",
    ),
    Sabotage(
        "a batch syncs the names of its contents",
        BATCH,
        "syncs.push(Box::new(|| sync_temporary_folder(target)));",
        "",
        "pytest tests/test_batch.py -k in_this_order",
    ),
    Sabotage(
        "a batch syncs new sidecars before it decides",
        BATCH,
        "let several = folders.len() > 1;",
        "let several = false;",
        "pytest tests/test_batch.py -k in_this_order",
    ),
    Sabotage(
        "the journal's sync",
        JOURNAL,
        'fs::fsync(file).map_err(|errno| failed("fsync of .oasis_data/journal", errno))?;',
        "",
        "pytest tests/test_batch.py -k in_this_order",
    ),
    Sabotage(
        "the sync of the journal's name",
        JOURNAL,
        "        sync_sidecar(target)?;\n",
        "",
        "pytest tests/test_batch.py -k in_this_order",
    ),
    Sabotage(
        "the decision comes last",
        BATCH,
        """            for (target, file, journal) in &leading {
                journal::write(target, file, journal, sync)?;
            }
            journal::write(first, &begun[0], &decision, sync)""",
        """            journal::write(first, &begun[0], &decision, sync)?;
            for (target, file, journal) in &leading {
                journal::write(target, file, journal, sync)?;
            }
            Ok(())""",
        "pytest tests/test_batch.py -k in_this_order",
    ),
    Sabotage(
        "a batch syncs its folders after the renames",
        BATCH,
        "if full { recovery::sync(&ways) }",
        "if false { recovery::sync(&ways) }",
        "pytest tests/test_batch.py -k in_this_order",
    ),
    Sabotage(
        "a decided batch changes its files' identities",
        BATCH,
        "                change_identity(change);\n",
        "                let _ = change_identity;\n                let _ = change;\n",
        "pytest tests/test_batch.py -k has_the_old_content_cached",
    ),
    Sabotage(
        "a writer looks for an interrupted batch",
        STORE,
        "recovery::recover(&target, deadline, signals)?;\n        Ok(Self {",
        "Ok(Self {",
        "cargo batches::a_decided_batch",
    ),
    Sabotage(
        "what a live batch may change is not cached",
        RECOVERY,
        "Err(Error::LockTimeout { .. }) => return found.map(unkept),",
        "Err(Error::LockTimeout { .. }) => return found,",
        "cargo batches::leaves_a_batch_alone",
    ),
    Sabotage(
        "a folder without its mark is another folder",
        RECOVERY,
        "Some(folder) if journal.knows(way, &folder)? => Ok(folder),",
        "Some(folder) => Ok(folder),",
        "cargo batches::waits_for_a_folder",
    ),
    Sabotage(
        "what was replaced after the decision is backed up",
        RECOVERY,
        "if keep && is_there(target, &temporary)? {",
        "if false && is_there(target, &temporary)? {",
        "cargo batches::what_was_replaced",
    ),
    Sabotage(
        "a snapshot waits for the batch at work",
        "src/python/batching.rs",
        "            Pending::Live => false,",
        "            Pending::Live => true,",
        "pytest tests/test_batch.py -k waits_for_a_batch",
    ),
    Sabotage(
        "a snapshot looks at all files again",
        "src/python/batching.rs",
        "if settled && before == after {",
        "if settled {",
        "pytest tests/test_batch.py -k ends_meanwhile",
    ),
    Sabotage(
        "data sync, by a power cut",
        TEMPORARY,
        'fs::fsync(&self.file).map_err(|errno| failed("fsync", errno))?;',
        "",
        "pytest tests/torture/test_power_cuts.py -k after_each",
    ),
    Sabotage(
        "directory sync, by a power cut",
        STORE,
        "            atomic::sync_folder(&self.target)?;\n        }\n        self.tidy",
        "        }\n        self.tidy",
        "pytest tests/torture/test_power_cuts.py -k after_each",
    ),
    Sabotage(
        "sync of what others wrote before it is linked",
        KEEPING,
        "            lease.sync(target)?;\n",
        "",
        "pytest tests/test_syscalls.py -k others_wrote",
    ),
    Sabotage(
        "sync of what is unchanged, by a power cut",
        STORE,
        'fs::fsync(&same.descriptor).map_err(|errno| self.target.failed("fsync", errno))?;',
        "",
        "pytest tests/torture/test_power_cuts.py -k after_each",
    ),
    Sabotage(
        "stat after the sync of a folder, by a power cut",
        ATOMIC,
        "    fs::fstat(&folder).map(drop)\n",
        "    Ok(())\n",
        "pytest tests/torture/test_power_cuts.py -k told",
    ),
    Sabotage(
        "a folder's mark is on the disk before a journal names it",
        JOURNAL,
        'fs::fsync(&file).map_err(|errno| failed("fsync of .oasis_data/journal.lock", errno))?;',
        "",
        "pytest tests/test_batch.py -k in_this_order",
    ),
    Sabotage(
        "another user's folder is listed, if not unseen",
        "src/storage/target.rs",
        "Err(Errno::PERM) => open(OFlags::empty()),",
        "",
        "pytest tests/test_save.py -k everyone",
    ),
    Sabotage(
        "an open waits for another program's lease",
        "src/storage/target.rs",
        "Err(Errno::AGAIN) if is_regular",
        "Err(Errno::AGAIN) if false && is_regular",
        "pytest tests/test_hostile.py -k lease",
    ),
    Sabotage(
        "a daemon thread stays away from an interpreter that has ended",
        EXIT,
        "(!ENDING.get().is_some_and(by_another)).then_some(returning)",
        "(true || !ENDING.get().is_some_and(by_another)).then_some(returning)",
        "pytest tests/test_fork.py -k exit",
    ),
    Sabotage(
        "an interpreter waits for the threads on their way back to it",
        EXIT,
        "while RETURNING.load(Ordering::SeqCst) > 0 &&",
        "while false &&",
        "pytest tests/test_fork.py -k exit",
    ),
    Sabotage(
        "a child does not wait at its end for its parent's threads",
        EXIT,
        "    RETURNING.store(0, Ordering::SeqCst);\n",
        "",
        "pytest tests/test_fork.py -k exit",
    ),
    Sabotage(
        "what a signal handler raised makes no file corrupt",
        "src/codec/corrupt.rs",
        "if !is_of_json(py, cause)? {",
        "if false && !is_of_json(py, cause)? {",
        "pytest tests/test_hostile.py -k never_corrupt_because_of_a_signal",
    ),
    Sabotage(
        "a signal is not lost while a failure is told",
        "src/python/raise.rs",
        "// A signal handler's.\n        Err(failure) => failure,",
        "Err(failure) => cause.unwrap_or(failure),",
        "pytest tests/test_hostile.py -k failure_is_told",
    ),
    Sabotage(
        "an interpreter waits for threads in Python code",
        EXIT,
        "        Some(returning) => returning,\n",
        "        Some(returning) => return { drop(returning); act() },\n",
        "pytest tests/test_fork.py -k midst",
    ),
    Sabotage(
        "whom the end of an interpreter waits for comes back",
        EXIT,
        "while Python::try_attach(|_| ()).is_none() {",
        "loop {",
        "pytest tests/test_fork.py -k midst",
    ),
    Sabotage(
        "a child's count of threads does not fall below zero",
        EXIT,
        "|n| n.checked_sub(1)",
        "|n| Some(n.wrapping_sub(1))",
        "pytest tests/test_fork.py -k handler_forked",
    ),
    Sabotage(
        "a fork does not hold others off for ever",
        FORK,
        "if waited >= PATIENCE ||",
        "if false ||",
        "cargo a_child_lets_go",
    ),
    Sabotage(
        "a handler may publish while its thread publishes",
        "python/oasis_data/monitoring.py",
        "        if self._writing:\n",
        "        if False:\n",
        "pytest tests/monitoring/test_processes.py -k handler",
    ),
    Sabotage(
        "a document's plan is set in one go",
        "src/python/documents.rs",
        "self.plan.get_or_init(|| plan)",
        """self.plan.get_or_init(|| {
            py.detach(|| ());
            plan
        })""",
        "pytest tests/test_cache_processes.py -k first_time",
    ),
    Sabotage(
        "a fork keeps others from opening",
        FORK,
        "FORKING.with(|forking| *forking.borrow_mut() = Some(guard));",
        "drop(guard);",
        "cargo a_child_lets_go",
    ),
    Sabotage(
        "the journal's sync, by a power cut",
        JOURNAL,
        'fs::fsync(file).map_err(|errno| failed("fsync of .oasis_data/journal", errno))?;',
        "",
        "pytest tests/torture/test_power_cuts.py -k renames_of_a_batch",
    ),
    Sabotage(
        "no collection while objects are made",
        "src/codec/decode.rs",
        "let _held = collector::Held::new(py);",
        "",
        "pytest tests/test_codec.py -k falls_into",
    ),
    Sabotage(
        "the collector is left as it was",
        "src/codec/collector.rs",
        "if self.enabled {",
        "if true {",
        "pytest tests/test_codec.py -k left_as_it_was",
    ),
    Sabotage(
        "what the division leaves over is rounded",
        "src/codec/parse.rs",
        "u64::from(rest != 0)",
        "u64::from(rest > divisor)",
        "pytest tests/test_codec.py -k a_million",
    ),
    Sabotage(
        "the depth of what is parsed",
        "src/codec/parse.rs",
        "if self.depth == MAX_DEPTH {",
        "if self.depth == usize::MAX {",
        "cargo parse::gives_up",
    ),
    Sabotage(
        "names are told apart to their ends",
        "src/codec/names.rs",
        "(one[0] ^ other[0]) | (one[1] ^ other[1]) | (one[2] ^ other[2]) == 0",
        "(one[0] ^ other[0]) | (one[1] ^ other[1]) == 0",
        "pytest tests/test_codec.py -k names_that",
    ),
    Sabotage(
        "a decimal is written only if it is exact",
        "src/codec/number.rs",
        "&& hundredths as f64 / 100.0 == magnitude",
        "",
        "pytest tests/test_codec.py -k two_million",
    ),
    Sabotage(
        "an escape amid a long string is not passed over",
        "src/codec/buffer.rs",
        "if from >= last && stride(last) {",
        "if stride(last) {",
        "pytest tests/test_codec.py -k at_every_place",
    ),
    Sabotage(
        "tabs are not written as spaces",
        "src/codec/encode.rs",
        "Some(_) => &LINES[..2 + LINE],",
        "Some(_) => LINES,",
        "pytest tests/test_codec.py -k every_depth",
    ),
    Sabotage(
        "half of a surrogate pair is no text",
        "src/codec/escape.rs",
        "0xD800..0xE000 => return Err(Stop::NotCovered),",
        "",
        "pytest tests/test_codec.py -k surrogate_pair",
    ),
    Sabotage(
        "a shortened document is not written past its end",
        "src/codec/clone.rs",
        "&& *index < list.len()",
        "",
        "pytest tests/test_codec.py -k lent_and_changed",
    ),
    Sabotage(
        "what copies take counts towards the limit",
        LOADING,
        "if grown > 0 {",
        "if grown > usize::MAX - 1 {",
        "pytest tests/test_codec.py -k counts_towards",
    ),
    Sabotage(
        "a forked child counts from nothing",
        PROCESS,
        "    statistics::after_fork_in_child();\n",
        "",
        "pytest tests/test_statistics.py -k forked_child",
    ),
    Sabotage(
        "each failure is counted",
        RAISE,
        "    FAILURES.count(operation, class);\n",
        "",
        "pytest tests/test_statistics.py -k by_operation_and_class",
    ),
    Sabotage(
        "no symlink leads out of the catalogue's root",
        CATALOGUE,
        "if not Path(os.path.realpath(path)).is_relative_to(self.root):",
        "if False:",
        "pytest tests/flask_extension/test_catalogue.py -k leads_out",
    ),
    Sabotage(
        "only a plain text is a data type",
        CATALOGUE,
        "if type(data_type) is not str or data_type not in self.files:",
        "if data_type not in self.files:",
        "pytest tests/flask_extension/test_catalogue.py -k no_other_spelling",
    ),
    Sabotage(
        "a catalogue names no file above its root",
        CATALOGUE,
        'path.is_absolute() or ".." in path.parts or ',
        "",
        "pytest tests/flask_extension/test_catalogue.py -k as_it_is_spelt",
    ),
    Sabotage(
        "an empty If-Match tag asks for something",
        FLASK,
        "if tag and allows(tag)]",
        "if allows(tag)]",
        "pytest tests/flask_extension/test_versions.py -k conditions",
    ),
    Sabotage(
        "an unreadable If-Match allows nothing",
        FLASK,
        'has_match = "If-Match" in request.headers',
        "has_match = bool(match)",
        "pytest tests/flask_extension/test_versions.py -k conditions",
    ),
    Sabotage(
        "no file is a version that If-Match can name",
        FLASK,
        "if has_match and not (exists and match.contains(version)):",
        "if has_match and not match.contains(version):",
        "pytest tests/flask_extension/test_versions.py -k conditions",
    ),
    Sabotage(
        "a client's version is what is saved over",
        FLASK,
        "return save_with_version(path, content, if_version=expected)",
        "return save_with_version(path, content)",
        "pytest tests/flask_extension/test_versions.py -k two_editors",
    ),
    Sabotage(
        "an answer has the version that was saved",
        FLASK,
        "        response.set_etag(version)\n        return response\n",
        "        response.set_etag('other')\n        return response\n",
        "pytest tests/flask_extension/test_versions.py -k what_was_put",
    ),
    Sabotage(
        "processes take turns at the log file",
        LOGGING,
        "from concurrent_log_handler import ConcurrentRotatingFileHandler",
        "from logging.handlers import RotatingFileHandler as h;"
        " ConcurrentRotatingFileHandler = lambda *a, unicode_error_policy, **k: h(*a, **k)",
        "pytest tests/test_logging.py -k lost_or_torn",
    ),
    Sabotage(
        "an earlier handler goes when a later one comes",
        LOGGING,
        "        _logger.removeHandler(handler)\n",
        "",
        "pytest tests/test_logging.py -k takes_the_place",
    ),
    Sabotage(
        "a forked child publishes its own counts alone",
        MONITORING,
        "        self._amounts.clear()\n",
        "",
        "pytest tests/monitoring/test_processes.py -k by_itself",
    ),
    Sabotage(
        "counts made before a fork are published",
        MONITORING,
        "            self._write()\n\n    def after_fork_in_parent",
        "            pass\n\n    def after_fork_in_parent",
        "pytest tests/monitoring/test_processes.py -k totals",
    ),
    Sabotage(
        "each request's counts are published",
        FLASK,
        "    app.teardown_request(publish)\n",
        "",
        "pytest tests/monitoring/test_processes.py -k totals",
    ),
    Sabotage(
        "a metrics folder that is set too late is told",
        MONITORING,
        'if not several and "PROMETHEUS_MULTIPROC_DIR" in os.environ:',
        "if False:",
        "pytest tests/monitoring/test_processes.py -k too_late",
    ),
    Sabotage(
        "verify leaves live writers alone",
        "python/oasis_data/cli/batches.py",
        "except BlockingIOError:\n        return True",
        "except BlockingIOError:\n        return False",
        "pytest tests/cli/test_verify.py -k live_writer or carried_out",
    ),
    Sabotage(
        "verify reads without recovering",
        "python/oasis_data/cli/content.py",
        "    content = parse(path, _bytes_of(path))",
        "    import oasis_data\n\n    oasis_data.load_data_file(path)\n"
        "    content = parse(path, _bytes_of(path))",
        "pytest tests/cli/test_verify.py -k changes_nothing",
    ),
    Sabotage(
        "recover leaves live writers alone",
        "python/oasis_data/cli/recover.py",
        "fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)",
        "pass",
        "pytest tests/cli/test_recover.py -k live_writer_has",
    ),
    Sabotage(
        "recover leaves what may be the only good copy",
        "python/oasis_data/cli/recover.py",
        "if dead and (fault := _fault(file)):",
        "if dead and (fault := _fault(file)) and False:",
        "pytest tests/cli/test_recover.py -k only_good_copy",
    ),
    Sabotage(
        "recover waits for the writer of the file",
        "python/oasis_data/cli/recover.py",
        "lock = self._lock(file)",
        'lock = self._lock(f"{file}.other")',
        "pytest tests/cli/test_recover.py -k waits_for_a_live",
    ),
    Sabotage(
        "restore looks again after the question",
        "python/oasis_data/cli/restore.py",
        "if (now and now.raw) == (live and live.raw):",
        "if now or live:",
        "pytest tests/cli/test_restore.py -k asks_again",
    ),
    Sabotage(
        "restore prunes no backup of the server's",
        "python/oasis_data/cli/restore.py",
        "    configure(backups_kept=sys.maxsize)\n",
        "",
        "pytest tests/cli/test_restore.py -k as_many_backups",
    ),
    Sabotage(
        "no name acts on the terminal",
        "python/oasis_data/cli/spelling.py",
        "if letter.isprintable():",
        "if letter:",
        "pytest tests/cli/test_terminal.py -k odd_name",
    ),
    Sabotage(
        "1, 1.0 and true are three values",
        "python/oasis_data/cli/changes.py",
        "if type(before) is not type(after):",
        "if False:",
        "pytest tests/cli/test_changes.py -k calls_equal",
    ),
    Sabotage(
        "a fix keeps json's own defaults",
        AUDIT + "json_calls.py",
        '"ensure_ascii": ("True", "False"),',
        '"ensure_ascii": ("False", "False"),',
        "pytest tests/audit/test_writes.py -k bytes_stay",
    ),
    Sabotage(
        "a fix declines other uses of the handle",
        AUDIT + "handles.py",
        "if any(_is_use(source, each, use, statement) for each in source.nodes):",
        "if False:",
        "pytest tests/audit/test_writes.py -k left_with_a_reason",
    ),
    Sabotage(
        "a fix declines a path that may change",
        AUDIT + "handles.py",
        "if later and not stable(source, path, later):",
        "if False:",
        "pytest tests/audit/test_writes.py -k left_with_a_reason",
    ),
    Sabotage(
        "a fix declines coroutines",
        AUDIT + "replacing.py",
        "if in_coroutine(source, call):",
        "if False:",
        "pytest tests/audit/test_writes.py -k left_with_a_reason",
    ),
    Sabotage(
        "a fix declines a file that is moved",
        AUDIT + "writes.py",
        "    if moved:\n",
        "    if False:\n",
        "pytest tests/audit/test_writes.py -k left_with_a_reason",
    ),
    Sabotage(
        "a cache that others use stays",
        AUDIT + "caches.py",
        "if foreign.uses(name.id):",
        "if False:",
        "pytest tests/audit/test_command.py -k another_file_uses",
    ),
    Sabotage(
        "a hand write into a cache stays",
        AUDIT + "caches.py",
        "                reason = reason or why\n",
        "",
        "pytest tests/audit/test_caches.py -k another_use",
    ),
    Sabotage(
        "a source that changed meanwhile is not written over",
        AUDIT + "fixing.py",
        "if target.read_bytes() != audited.content:",
        "if False:",
        "pytest tests/audit/test_fixing.py -k changed_meanwhile",
    ),
    Sabotage(
        "a save over a corrupt file lets no backup go",
        KEEPING,
        "        if !corrupt {\n            return all;",
        "        if all.len() < usize::MAX {\n            return all;",
        "pytest tests/test_backups.py -k again_and_again",
    ),
    Sabotage(
        "a restored file resembles its backup",
        STORE,
        "Some(model) if live.is_none() => {",
        "Some(model) if false => {",
        "pytest tests/test_backups.py -k mode_and_owner",
    ),
]


def require_built(built: subprocess.CompletedProcess[str]) -> None:
    """Ends the run where a sabotage is no program."""
    if built.returncode:
        sys.exit(f"the sabotaged copy does not build:\n{built.stderr}")


def run(scratch: Path, test: str) -> bool:
    """Runs one test in the scratch copy: whether it passed."""
    tool, arguments = test.split(" ", 1)
    # The copy's package comes before the one installed beside this interpreter.
    package = scratch / "python"
    environment = os.environ | {
        "PYO3_PYTHON": sys.executable,
        "PYO3_BUILD_EXTENSION_MODULE": "1",
        "PYTHONPATH": str(package),
    }

    def call(*command: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command, cwd=scratch, env=environment, capture_output=True, text=True, check=False
        )

    if tool == "cargo":
        built = call("cargo", "test", "--quiet", "--tests", "--no-run")
        command = ["cargo", "test", "--quiet", "--tests", arguments]
    else:
        built = call("cargo", "build", "--quiet", "--features", "python")
        require_built(built)
        library = scratch / "target" / "debug" / "liboasis_data.so"
        shutil.copy(library, package / "oasis_data" / "_native.so")
        command = [sys.executable, "-m", "pytest", "-q", "-x", *arguments.split(" ", 2)]
    require_built(built)
    code = call(*command).returncode
    if tool == "pytest" and code == pytest.ExitCode.NO_TESTS_COLLECTED:
        sys.exit(f"{test}: there is no such test")
    return code == 0


def attempts(chosen: list[Sabotage]) -> Iterator[tuple[Sabotage, bool]]:
    """Each sabotage, tried in a scratch copy: whether its test passed even so."""
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder) / "copy"
        ignore = shutil.ignore_patterns(".venv", "target", ".git", "*.so", "__pycache__")
        shutil.copytree(ROOT, scratch, ignore=ignore)
        for sabotage in chosen:
            path = scratch / sabotage.file
            whole = path.read_text()
            if whole.count(sabotage.line) != 1:
                sys.exit(f"{sabotage.safeguard}: its line is not in {sabotage.file} once")
            path.write_text(whole.replace(sabotage.line, sabotage.instead))
            passed = run(scratch, sabotage.test)
            path.write_text(whole)
            yield sabotage, passed


def main() -> int:
    """Tries each sabotage; 1 if any is missed."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--write", action="store_true", help="publish the table")
    parser.add_argument("words", nargs="*", metavar="WORD")
    asked = parser.parse_args()
    if asked.write and asked.words:
        parser.error("only a whole table is published")
    chosen = [
        s for s in SABOTAGES if not asked.words or any(word in s.safeguard for word in asked.words)
    ]
    lines = []

    def tell(*cells: str) -> None:
        lines.append("| {:47} | {:55} | {:6} |".format(*cells))
        print(lines[-1], flush=True)

    tell("safeguard taken out", "test that must fail", "result")
    tell("---", "---", "---")
    missed = 0
    for sabotage, passed in attempts(chosen):
        tell(sabotage.safeguard, f"`{sabotage.test}`", "MISSED" if passed else "fails")
        missed += passed
    if asked.write:
        PUBLISHED.parent.mkdir(exist_ok=True)
        PUBLISHED.write_text(HEADING + "\n".join(lines) + "\n")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
