"""Saves: what is synced and when, and what a save may not write over."""

from __future__ import annotations

from tests.sabotage.safeguard import STORE, Sabotage

TEMPORARY = "src/storage/temporary.rs"
ATOMIC = "src/storage/atomic.rs"
TARGET = "src/storage/target.rs"

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
        "    .union(OFlags::EXCL)\n",
        "",
        "pytest tests/test_syscalls.py -k data_before",
    ),
    Sabotage(
        "a refused move becomes a copy beside the data",
        TEMPORARY,
        "if ![Errno::XDEV, Errno::ACCESS].contains(&refused) {",
        "if true {",
        "pytest tests/test_policies.py -k leave_their_folder",
    ),
    Sabotage(
        "the sync of a copy beside the data",
        TEMPORARY,
        "    copy.sync()?;\n",
        "",
        "pytest tests/test_policies.py -k synced_before",
    ),
    Sabotage(
        "the sweep of a copy beside the data",
        TEMPORARY,
        "unlink(&beside(&self.name))?;",
        "",
        "pytest tests/test_policies.py -k killed_writer",
    ),
    Sabotage(
        "the sync of unchanged content",
        STORE,
        'fs::fsync(&same.descriptor).map_err(|errno| self.target.failed("fsync", errno))?;',
        "",
        "pytest tests/test_syscalls.py -k same_content",
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
        "a regular file is required",
        TARGET,
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
        "another user's folder is listed, if not unseen",
        TARGET,
        "Err(Errno::PERM) => open(OFlags::empty()),",
        "",
        "pytest tests/test_save.py -k everyone",
    ),
    Sabotage(
        "a listing that is interrupted goes on",
        TARGET,
        "Some(Err(Errno::INTR)) => calls -= 1,",
        "Some(Err(Errno::INTR)) => return Err(Errno::INTR),",
        "pytest tests/test_syscalls.py -k listed",
    ),
    Sabotage(
        "a long listing is of one moment",
        TARGET,
        "|| listings == MOST_LISTINGS",
        "|| true",
        "cargo backups::a_listing_misses",
    ),
    Sabotage(
        "a folder that cannot be listed is told",
        TARGET,
        "Some(Err(errno)) => return Err(errno),",
        "Some(Err(_)) => return Ok(picked),",
        "pytest tests/test_syscalls.py -k listed",
    ),
    Sabotage(
        "an open waits for another program's lease",
        TARGET,
        "Err(Errno::AGAIN) if is_regular",
        "Err(Errno::AGAIN) if false && is_regular",
        "pytest tests/test_hostile.py -k lease",
    ),
]
