"""Saves: what is synced and when, and what a save may not write over."""

from __future__ import annotations

from tests.sabotage.safeguard import SESSION, Sabotage

TEMPORARY = "src/files/temporary.rs"
ADOPTION = "src/files/attributes.rs"
ACCESS_LIST = "src/files/sys/access_list.rs"
SIDECAR = "src/files/sidecar.rs"
PRECONDITIONS = "src/files/batch/preconditions.rs"
TARGET = "src/files/target.rs"

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
        SESSION,
        "            self.locked.target.sync_folder()?;\n"
        "        }\n"
        "        self.locked.prune_after",
        "        }\n        self.locked.prune_after",
        "pytest tests/test_syscalls.py -k data_before",
    ),
    Sabotage(
        "a failed directory sync is told",
        SESSION,
        "            self.locked.target.sync_folder()?;\n"
        "        }\n"
        "        self.locked.prune_after",
        "            let _ = self.locked.target.sync_folder();\n"
        "        }\n"
        "        self.locked.prune_after",
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
        "unlink(&layout::copy_beside_data(&self.name))?;",
        "",
        "pytest tests/test_policies.py -k killed_writer",
    ),
    Sabotage(
        "a batch asks beforehand whether its files can be replaced",
        "src/files/batch/commit.rs",
        "changed.iter().try_for_each(|change| require_replaceable(change.target()))?;",
        "",
        "pytest tests/errors/test_causes.py -k mounted",
    ),
    Sabotage(
        "a batch finds a mounted file beforehand",
        PRECONDITIONS,
        "if is(live, StatxAttributes::MOUNT_ROOT) {",
        "if false {",
        "pytest tests/errors/test_causes.py -k mounted",
    ),
    Sabotage(
        "a batch finds an immutable file beforehand",
        PRECONDITIONS,
        "if is(live, marked) || is(above, closed) {",
        "if false {",
        "pytest tests/errors/test_causes.py -k immutable_or",
    ),
    Sabotage(
        "a batch finds a closed folder beforehand",
        PRECONDITIONS,
        "Err(errno @ (Errno::ACCESS | Errno::ROFS)) => refused(errno),",
        "",
        "pytest tests/errors/test_causes.py -k open_folder",
    ),
    Sabotage(
        "the sync of unchanged content",
        "src/files/locked.rs",
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
        "if lock::try_exclusive(&file).is_err() {",
        "if lock::try_exclusive(&file).is_err() && false {",
        "cargo sweep::a_live",
    ),
    Sabotage(
        "the sweep",
        SESSION,
        "let mut warnings = sweep::sweep(&self.locked, options);\n        let mut temporary",
        "let mut warnings = Vec::new();\n        let mut temporary",
        "cargo sweep::a_save",
    ),
    Sabotage(
        "no sweep while the file does not parse",
        "src/files/sweep.rs",
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
        ADOPTION,
        "fs::fchmod(new, Mode::from_raw_mode(mode))",
        "fs::fchmod(new, Mode::from_raw_mode(0o600))",
        "cargo saves::keeps_mode",
    ),
    Sabotage(
        "an inherited access list is removed",
        ADOPTION,
        "return disinherit(target, new).map(|()| bits)",
        "return Ok(bits)",
        "pytest tests/test_sharing.py -k gives_nobody",
    ),
    Sabotage(
        "a group that is not kept gives its bits to no other group",
        ADOPTION,
        "let group = adopted.group.map(|_| like.st_gid);",
        "let group = None;",
        "pytest tests/test_sharing.py -k foreign_group",
    ),
    Sabotage(
        "an owner who is not kept is not locked out",
        ADOPTION,
        "let owner = adopted.owner.map(|_| like.st_uid);",
        "let owner = None;",
        "pytest tests/test_sharing.py -k member_of_the_team",
    ),
    Sabotage(
        "no set-user-id bit under another owner",
        ADOPTION,
        "special &= !SET_USER_ID;",
        "",
        "pytest tests/test_sharing.py -k no_program",
    ),
    Sabotage(
        "no set-group-id bit under another group",
        ADOPTION,
        "special &= !SET_GROUP_ID;",
        "",
        "pytest tests/test_sharing.py -k foreign_group_keeps",
    ),
    Sabotage(
        "who may not write a file does not get it by a save",
        TEMPORARY,
        "Some(errno) if !writable() =>",
        "Some(errno) if false && !writable() =>",
        "pytest tests/test_sharing.py -k does_not_get_it",
    ),
    Sabotage(
        "a name that keeps somebody out is not dropped",
        ACCESS_LIST,
        "let named = list.least(USER) & list.least(GROUP);",
        "let named = ALL;",
        "cargo access_lists::whom",
    ),
    Sabotage(
        "an attribute that may not be set refuses no save",
        ADOPTION,
        'Err(errno) if is_refusal(errno) => {\n                let what = format!("its attribute',
        "Err(errno) if false && is_refusal(errno) => {\n"
        '                let what = format!("its attribute',
        "pytest tests/test_sharing.py -k attribute",
    ),
    Sabotage(
        "a new file is not made by another user's default list",
        TEMPORARY,
        "if sidecar::makes_files_of_its_folder(target) {",
        "if sidecar::makes_files_of_its_folder(target) || true {",
        "pytest tests/test_sharing.py -k whoever_made",
    ),
    Sabotage(
        "the sidecar follows its folder",
        TEMPORARY,
        "sidecar::follow(target)?;",
        "",
        "pytest tests/test_sharing.py -k later_mode",
    ),
    Sabotage(
        "a list alone is followed too",
        "src/files/sidecar/mod.rs",
        "if in_line && matches!",
        "if in_line || matches!",
        "pytest tests/test_sharing.py -k follows_an_access_list",
    ),
    Sabotage(
        "locks that cannot be shared are not listed by each save",
        "src/files/sidecar/sharing.rs",
        "if !changed && is_alike(",
        "if false && is_alike(",
        "pytest tests/test_sharing.py -k three_calls",
    ),
    Sabotage(
        "root gives away no file with a second name",
        "src/files/sidecar/sharing.rs",
        "if expected && regular && stat.st_nlink == 1 && is_text_of_sidecar(&file)? {",
        "if expected && regular {",
        "pytest tests/test_sharing.py -k put_among",
    ),
    Sabotage(
        "root gives away no third user's file",
        "src/files/sidecar/sharing.rs",
        "if expected && regular && stat.st_nlink == 1 && is_text_of_sidecar(&file)? {",
        "if regular && stat.st_nlink == 1 && is_text_of_sidecar(&file)? {",
        "pytest tests/test_sharing.py -k put_among",
    ),
    Sabotage(
        "the version is compared under the lock",
        "src/files/locked.rs",
        "if found == expected {",
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
        SESSION,
        "            self.locked.target.sync_folder()?;\n"
        "        }\n"
        "        self.locked.prune_after",
        "        }\n        self.locked.prune_after",
        "pytest tests/torture/test_power_cuts.py -k after_each",
    ),
    Sabotage(
        "sync of what is unchanged, by a power cut",
        "src/files/locked.rs",
        'fs::fsync(&same.descriptor).map_err(|errno| self.target.failed("fsync", errno))?;',
        "",
        "pytest tests/torture/test_power_cuts.py -k after_each",
    ),
    Sabotage(
        "stat after the sync of a folder, by a power cut",
        "src/files/sys/sync.rs",
        "    fs::fstat(&folder).map(drop)\n",
        "    Ok(())\n",
        "pytest tests/torture/test_power_cuts.py -k told",
    ),
    Sabotage(
        "no write goes to an open descriptor",
        TARGET,
        "if system.f_type == fs::PROC_SUPER_MAGIC {",
        "if false {",
        "pytest tests/bad_input/test_descriptors.py -k refused",
    ),
    Sabotage(
        "no write follows a protected symlink",
        TARGET,
        "if shared && !trusted && !off() {",
        "if false {",
        "pytest tests/bad_input/test_descriptors.py -k sticky",
    ),
    Sabotage(
        "another user's folder is listed, if not unseen",
        "src/files/sys/listing.rs",
        "Err(Errno::PERM) => open(OFlags::empty()),",
        "",
        "pytest tests/test_save.py -k everyone",
    ),
    Sabotage(
        "a listing that is interrupted goes on",
        "src/files/sys/listing.rs",
        "Some(Err(Errno::INTR)) => calls -= 1,",
        "Some(Err(Errno::INTR)) => return Err(Errno::INTR),",
        "pytest tests/test_syscalls.py -k listed",
    ),
    Sabotage(
        "a long listing is of one moment",
        "src/files/sys/listing.rs",
        "|| listings == MOST_LISTINGS",
        "|| true",
        "cargo backups::a_listing_misses",
    ),
    Sabotage(
        "a folder that cannot be listed is told",
        "src/files/sys/listing.rs",
        "Some(Err(errno)) => return Err(errno),",
        "Some(Err(_)) => return Ok(picked),",
        "pytest tests/test_syscalls.py -k listed",
    ),
    Sabotage(
        "an open waits for another program's lease",
        "src/files/sys/open.rs",
        "Err(Errno::AGAIN) if is_regular",
        "Err(Errno::AGAIN) if false && is_regular",
        "pytest tests/test_hostile.py -k lease",
    ),
    Sabotage(
        "an edit of a version that is not there any more does not begin",
        "src/python/editing.rs",
        "let expected = self.options.if_version.as_ref()?;",
        "let expected = self.options.if_version.as_ref().filter(|_| false)?;",
        "pytest tests/test_edit.py -k only_the_version",
    ),
    Sabotage(
        "a private file among the locks is not shared",
        "src/files/sidecar/sharing.rs",
        "stat.st_nlink == 1 && is_text_of_sidecar(&file)? {",
        "stat.st_nlink == 1 || is_text_of_sidecar(&file)? {",
        "pytest tests/test_sharing.py -k private_file_that_was_renamed",
    ),
    Sabotage(
        "a private folder is no part of a sidecar",
        "src/files/sidecar/sharing.rs",
        "listing::all_first(&made, MOST_NAMES, layout::is_name_of_sidecar)",
        "listing::all_first(&made, MOST_NAMES, |_| true)",
        "pytest tests/test_sharing.py -k private_folder_that_was_renamed",
    ),
    Sabotage(
        "no lock is made through a symlinked sidecar",
        "src/files/lock/file.rs",
        "        sidecar::require_no_symlink(target)?;\n        match create(",
        "        match create(",
        "pytest tests/test_sharing.py -k symlinked_sidecar",
    ),
    Sabotage(
        "nothing is shared through a symlinked sidecar",
        "src/files/sidecar/mod.rs",
        "    if is_symlink(&sidecar) {",
        "    if false && is_symlink(&sidecar) {",
        "pytest tests/test_sharing.py -k symlinked_sidecar",
    ),
]
