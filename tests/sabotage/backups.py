"""Backups: linked, leased, compressed, kept and restored."""

from __future__ import annotations

from tests.sabotage.safeguard import STORE, Sabotage

BACKUP = "src/storage/backup.rs"
KEEPING = "src/storage/keeping.rs"

SABOTAGES = [
    Sabotage(
        "no link to a file with a second name",
        KEEPING,
        "let lone = live.st_nlink == if left { 2 } else { 1 };",
        "let lone = true;",
        "cargo backups::a_file_with",
    ),
    Sabotage(
        "a refused link becomes a copy",
        BACKUP,
        "Errno::NOSYS, Errno::ACCESS, Errno::XDEV]",
        "Errno::NOSYS, Errno::NOSYS, Errno::NOSYS]",
        "pytest tests/test_policies.py -k links",
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
        "            backup::unlink(self.target, &self.compressed_name)?;\n",
        "",
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
        "a backup that cannot be read is not passed over",
        "src/python/restoring.rs",
        "Err(error) if !error.is_of_content() => {",
        "Err(error) if false => {",
        "pytest tests/torture/test_faults.py -k restore",
    ),
    Sabotage(
        "a corrupt file is kept whatever the settings",
        STORE,
        "live.is_some_and(|live| options.host.found_corrupt(&Identity::of(&live)))",
        "false",
        "pytest tests/test_backups.py -k corrupt_file_is_kept",
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
        "Some(next) if YEARS.contains(&next.year()) => now.max(next),",
        "Some(next) if YEARS.contains(&next.year()) => now,",
        "cargo backups::names_keep",
    ),
    Sabotage(
        "the last possible stamp hides no later backup",
        BACKUP,
        "Some(next) if YEARS.contains(&next.year()) => now.max(next),",
        "Some(next) => now.max(next),",
        "cargo backups::a_last_possible",
    ),
    Sabotage(
        "a name without room for .gz is left plain",
        "src/storage/compression.rs",
        "if backup.compressed_name().len() > backup::LONGEST_NAME {",
        "if false {",
        "cargo compression::a_name_that",
    ),
    Sabotage(
        "sync of what others wrote before it is linked",
        KEEPING,
        "            lease.sync(target)?;\n",
        "",
        "pytest tests/test_syscalls.py -k others_wrote",
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
