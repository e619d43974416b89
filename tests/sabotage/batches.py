"""Batches of files, their journal, and snapshots beside them."""

from __future__ import annotations

from tests.sabotage.safeguard import STORE, Sabotage

BATCH = "src/storage/batch.rs"
JOURNAL = "src/storage/journal.rs"
RECOVERY = "src/storage/recovery.rs"

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
        "if settled && pinned.is_some() && before == after {",
        "if settled && pinned.is_some() {",
        "pytest tests/test_batch.py -k ends_meanwhile",
    ),
    Sabotage(
        "a folder's mark is on the disk before a journal names it",
        JOURNAL,
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
