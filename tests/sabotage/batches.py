"""Batches of files, their journal, and snapshots beside them."""

from __future__ import annotations

from tests.sabotage.safeguard import SESSION, Sabotage

BATCH = "src/files/batch/commit.rs"
DECISION = "src/files/batch/decision.rs"
JOURNAL = "src/files/batch/journal.rs"
INTERRUPTED = "src/files/batch/interrupted.rs"
RECOVERY = "src/files/batch/recovery.rs"
ROLL_FORWARD = "src/files/batch/roll_forward.rs"
FOLDERS = "src/files/batch/folders.rs"

SABOTAGES = [
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
        DECISION,
        """            for (target, file, journal) in &leading {
                journal::write(target, file, journal, sync)?;
            }
            journal::write(first, &begun[0], &decision, sync)""",
        """            journal::write(first, &begun[0], &decision, sync)?;
            for (target, file, journal) in &leading {
                journal::write(target, file, journal, sync)?;
            }
            Ok::<(), crate::error::Error>(())""",
        "pytest tests/test_batch.py -k in_this_order",
    ),
    Sabotage(
        "a batch syncs its folders after the renames",
        BATCH,
        "if full { roll_forward::sync(&folders.routes()) }",
        "if false { roll_forward::sync(&folders.routes()) }",
        "pytest tests/test_batch.py -k in_this_order",
    ),
    Sabotage(
        "a decided batch changes its files' identities",
        DECISION,
        "                change_identity(change);\n",
        "                let _ = change_identity;\n                let _ = change;\n",
        "pytest tests/test_batch.py -k has_the_old_content_cached",
    ),
    Sabotage(
        "a writer looks for an interrupted batch",
        SESSION,
        "recovery::recover(&target, deadline, signals)?;\n        Ok(Self {",
        "Ok(Self {",
        "cargo batches::a_decided_batch",
    ),
    Sabotage(
        "what a live batch may change is not cached",
        RECOVERY,
        "Ok(Decided::InPlace) => return found.map(unkept),",
        "Ok(Decided::InPlace) => return found,",
        "cargo batches::leaves_a_batch_alone",
    ),
    Sabotage(
        "what a live batch is about to do is not told before",
        RECOVERY,
        "if held && lock::is_held(target, &content).unwrap_or(true) {",
        "if false && lock::is_held(target, &content).unwrap_or(true) {",
        "cargo batches::leaves_a_batch_alone",
    ),
    Sabotage(
        "a live batch hides no other's decision from readers",
        RECOVERY,
        "if held && lock::is_held(target, &content).unwrap_or(true) {",
        "if held {",
        "cargo recoveries::beside_a_batch_at_work",
    ),
    Sabotage(
        "a batch that cannot be completed refuses no file that it is done with",
        RECOVERY,
        "if !undecided && roll_forward::content_is_there(target, change)? {",
        "if !undecided {",
        "cargo recoveries::a_batch_that_cannot_be_completed",
    ),
    Sabotage(
        "a batch that stays holds up no other batch",
        JOURNAL,
        "(0..MOST_SLOTS).map(Slot).find(|slot| !is_there(target, *slot))",
        "(0..1).map(Slot).find(|slot| !is_there(target, *slot))",
        "cargo recoveries::a_journal_that_stays",
    ),
    Sabotage(
        "a journal stays while another stands behind it",
        JOURNAL,
        "if is_there(target, Slot(slot.0 + 1)) { Ok(()) } else { remove(target, slot) }",
        "remove(target, slot)",
        "cargo recoveries::the_first_journal_stays",
    ),
    Sabotage(
        "a file that was changed after its batch is not replaced",
        ROLL_FORWARD,
        "Ok(if unchanged { Standing::Open } else { Standing::Changed })",
        "Ok(if unchanged { Standing::Open } else { Standing::Open })",
        "cargo recoveries::what_the_batch_has_not_found",
    ),
    Sabotage(
        "a file that was removed after its batch is not made again",
        ROLL_FORWARD,
        "(Some(_), None) => return Ok(Standing::Changed),",
        "(Some(_), None) => return Ok(Standing::Open),",
        "cargo recoveries::what_the_batch_has_not_found",
    ),
    Sabotage(
        "a rounded stamp is no change",
        ROLL_FORWARD,
        "(mtime == copied || ROUNDED_TO.into_iter().any(rounded))",
        "(mtime == copied || false && ROUNDED_TO.into_iter().any(rounded))",
        "cargo recoveries::a_copy_of_what",
    ),
    Sabotage(
        "the batch's backup tells a copy from a change",
        ROLL_FORWARD,
        "before.map_or_else(|| agree(replaces, &now), |before| before == held)",
        "before.map_or_else(|| agree(replaces, &now), |_| agree(replaces, &now))",
        "cargo recoveries::where_there_is_a_backup",
    ),
    Sabotage(
        "a backup that cannot be parted does not keep a file from being given up",
        ROLL_FORWARD,
        "Err(error) if error.errno() == Some(Errno::PERM.raw_os_error()) => {}",
        "Err(error) if false && error.errno() == Some(Errno::PERM.raw_os_error()) => {}",
        "pytest tests/cli/test_recover.py -k immutable_file_can_be_given_up",
    ),
    Sabotage(
        "a link to the file is no backup of what it was",
        ROLL_FORWARD,
        "    if backup::is_live(file, &backup, live)? {\n        return Ok(None);\n    }\n",
        "",
        "cargo recoveries::the_link_that",
    ),
    Sabotage(
        "a link to a file that was changed becomes a backup of its own",
        ROLL_FORWARD,
        "        match links::part(file, last) {",
        "        match Ok::<(), Error>(()) {",
        "cargo recoveries::the_link_that",
    ),
    Sabotage(
        "no link gets an inode before the batch's content is kept",
        ROLL_FORWARD,
        "    let kept = match links::adopt(",
        "    if let Some(last) = backups.last() {\n"
        "        links::part(file, last)?;\n"
        "    }\n"
        "    let kept = match links::adopt(",
        "pytest tests/test_batch_recovery.py -k in_place_is_kept",
    ),
    Sabotage(
        "a batch's content becomes a backup by a copy where no rename is let through",
        "src/files/backup/links.rs",
        'temporary::publish(target, from, &backup.name, "rename of a backup")',
        "fs::renameat(&target.folder, from, &target.folder, &backup.name)\n"
        '            .map_err(|errno| target.failed("rename of a backup", errno))',
        "pytest tests/test_policies.py -k a_batch_is_finished",
    ),
    Sabotage(
        "a journal names no file outside its folders",
        JOURNAL,
        "journal.format == FORMAT && journal.stays_in_its_folders() =>",
        "journal.format == FORMAT || journal.stays_in_its_folders() =>",
        "pytest tests/test_batch_recovery.py -k planted_journal",
    ),
    Sabotage(
        "no batch is recovered through a symlinked sidecar",
        INTERRUPTED,
        "        self.folders.values().chain([target])"
        ".try_for_each(sidecar::require_no_symlink)?;\n",
        "        let _ = sidecar::require_no_symlink;\n",
        "pytest tests/test_batch_recovery.py -k through_no_symlink",
    ),
    Sabotage(
        "a journal is a regular file",
        JOURNAL,
        "if !file.metadata().map_err(failed)?.is_file() {",
        "if file.metadata().map_err(failed)?.is_dir() {",
        "pytest tests/test_batch_recovery.py -k place_of_a_journal",
    ),
    Sabotage(
        "the content of a file that was changed comes before the change",
        ROLL_FORWARD,
        "if newest { backups.last() } else { backups.iter().find(own) }",
        "{ let _ = (newest, own); backups.last() }",
        "pytest tests/test_batch_recovery.py -k puts_no_old_content_back",
    ),
    Sabotage(
        "what a journal says is replaced is on the disk before",
        BATCH,
        "if !is_synced(change) {",
        "if false && !is_synced(change) {",
        "pytest tests/test_batch_recovery.py -k says_is_replaced",
    ),
    Sabotage(
        "a batch of which nothing can be renamed is taken back",
        BATCH,
        "Some(error) if all => Renamed::None(error),",
        "Some(error) if all && false => Renamed::None(error),",
        "pytest tests/test_batch_recovery.py -k nothing_can_be_renamed",
    ),
    Sabotage(
        "a decision that is taken back does not come again",
        DECISION,
        "if sync { journal::sync_sidecar(first) } else { Ok(()) }",
        "if false && sync { journal::sync_sidecar(first) } else { Ok(()) }",
        "pytest tests/test_batch_recovery.py -k nothing_can_be_renamed",
    ),
    Sabotage(
        "a load needs no right to list the folder",
        "src/files/target.rs",
        "open_folder_with(path, OFlags::PATH)",
        "open_folder_with(path, OFlags::RDONLY)",
        "pytest tests/test_batch_recovery.py -k to_search_the_folder",
    ),
    Sabotage(
        "a journal that may not be read refuses no load",
        RECOVERY,
        "Err(unknown) if held || is_denied(&unknown) => return found.map(unkept),",
        "Err(unknown) if held && is_denied(&unknown) => return found.map(unkept),",
        "pytest tests/test_batch_recovery.py -k to_search_the_folder",
    ),
    Sabotage(
        "without /proc the route between folders is found by their paths",
        FOLDERS,
        "Err(errno) => by_given_path(target).map_err(|_| without_proc(target, errno)),",
        "Err(errno) => Err(without_proc(target, errno)),",
        "pytest tests/test_batch_recovery.py -k proc_is_not_mounted",
    ),
    Sabotage(
        "a folder without its mark is another folder",
        INTERRUPTED,
        "Some(folder) if journal.knows(route, &folder)? => Ok(folder),",
        "Some(folder) => Ok(folder),",
        "cargo batches::waits_for_a_folder",
    ),
    Sabotage(
        "what was replaced after the decision is backed up",
        ROLL_FORWARD,
        "            back_up(&file, change, backups, zone)?;\n",
        "            let _ = (back_up, backups, zone);\n",
        "cargo batches::what_was_replaced",
    ),
    Sabotage(
        "a snapshot waits for the batch at work",
        "src/documents/load_many.rs",
        "            Pending::Live => false,",
        "            Pending::Live => true,",
        "pytest tests/test_batch.py -k waits_for_a_batch",
    ),
    Sabotage(
        "a snapshot looks at all files again",
        "src/documents/load_many.rs",
        "if consistent && pinned.is_some() && before == after {",
        "if consistent && pinned.is_some() {",
        "pytest tests/test_batch.py -k ends_meanwhile",
    ),
    Sabotage(
        "a folder's mark is on the disk before a journal names it",
        FOLDERS,
        'fs::fsync(&file).map_err(|errno| failed("fsync of .oasis_data/journal.lock", errno))?;',
        "",
        "pytest tests/test_batch.py -k in_this_order",
    ),
    Sabotage(
        "the journal's sync, by a power cut",
        JOURNAL,
        'fs::fsync(file).map_err(|errno| failed("fsync of .oasis_data/journal", errno))?;',
        "",
        "pytest tests/torture/test_power_cuts.py -k renames_of_a_batch",
    ),
]
