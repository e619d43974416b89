"""Batches of files, their journal, and snapshots beside them."""

from __future__ import annotations

from tests.sabotage.operations import always, edit, never, remove, value, without
from tests.sabotage.safeguard import Sabotage

SABOTAGES = [
    Sabotage(
        "batch-content-sync",
        "a batch syncs its contents before it decides",
        edit(
            r"change\.prepared\.temporary\.sync\(\)\?",
            "Identity::of(&change.target().stat()?.unwrap())",
        ),
        "pytest tests/test_batch.py -k in_this_order",
    ),
    Sabotage(
        "batch-names-sync",
        "a batch syncs the names of its contents",
        remove,
        "pytest tests/test_batch.py -k in_this_order",
    ),
    Sabotage(
        "batch-sidecars-sync",
        "a batch syncs new sidecars before it decides",
        value("false"),
        "pytest tests/test_batch.py -k in_this_order",
    ),
    Sabotage(
        "journal-sync",
        "the journal's sync",
        remove,
        "pytest tests/test_batch.py -k in_this_order",
    ),
    Sabotage(
        "journal-name-sync",
        "the sync of the journal's name",
        remove,
        "pytest tests/test_batch.py -k in_this_order",
    ),
    Sabotage(
        "decision-comes-last",
        "the decision comes last",
        edit(
            r"(?s)(for \(\w.+\})\s+(.+)(\s\}\)\(\);)$",
            r"\2?; \1 Ok::<(), crate::error::Error>(())\3",
        ),
        "pytest tests/test_batch.py -k in_this_order",
    ),
    Sabotage(
        "batch-folders-sync",
        "a batch syncs its folders after the renames",
        never,
        "pytest tests/test_batch.py -k in_this_order",
    ),
    Sabotage(
        "decided-identities-change",
        "a decided batch changes its files' identities",
        remove,
        "pytest tests/test_batch.py -k has_the_old_content_cached",
    ),
    Sabotage(
        "writer-recovers",
        "a writer looks for an interrupted batch",
        remove,
        "cargo batches::a_decided_batch",
    ),
    Sabotage(
        "live-batch-not-cached",
        "what a live batch may change is not cached",
        value("return found"),
        "cargo batches::leaves_a_batch_alone",
    ),
    Sabotage(
        "live-batch-passed",
        "what a live batch is about to do is not told before",
        never,
        "cargo batches::leaves_a_batch_alone",
    ),
    Sabotage(
        "live-batch-passed",
        "a live batch hides no other's decision from readers",
        without(1),
        "cargo recoveries::beside_a_batch_at_work",
    ),
    Sabotage(
        "refuses-only-open-files",
        "a batch that cannot be completed refuses no file that it is done with",
        without(1),
        "cargo recoveries::a_batch_that_cannot_be_completed",
    ),
    Sabotage(
        "journal-slots",
        "a batch that stays holds up no other batch",
        edit(r"all\(\)", "all().take(1)"),
        "cargo recoveries::a_journal_that_stays",
    ),
    Sabotage(
        "journal-kept-before-others",
        "a journal stays while another stands behind it",
        value("remove(target, slot)"),
        "cargo recoveries::the_first_journal_stays",
    ),
    Sabotage(
        "changed-after-batch",
        "a file that was changed after its batch is not replaced",
        always,
        "cargo recoveries::what_the_batch_has_not_found",
    ),
    Sabotage(
        "removed-after-batch",
        "a file that was removed after its batch is not made again",
        edit("Changed", "Open"),
        "cargo recoveries::what_the_batch_has_not_found",
    ),
    Sabotage(
        "rounded-stamp",
        "a rounded stamp is no change",
        edit(r" \|\| .+\)$", ")"),
        "cargo recoveries::a_copy_of_what",
    ),
    Sabotage(
        "copy-or-change",
        "the batch's backup tells a copy from a change",
        value("agree(replaces, &now)"),
        "cargo recoveries::where_there_is_a_backup",
    ),
    Sabotage(
        "unpartable-backup",
        "a backup that cannot be parted does not keep a file from being given up",
        never,
        "pytest tests/cli/test_recover.py -k immutable_file_can_be_given_up",
    ),
    Sabotage(
        "link-is-no-backup",
        "a link to the file is no backup of what it was",
        remove,
        "cargo recoveries::the_link_that",
    ),
    Sabotage(
        "link-parted",
        "a link to a file that was changed becomes a backup of its own",
        edit(r"^match .+ \{", "match Ok::<(), Error>(()) {"),
        "cargo recoveries::the_link_that",
    ),
    Sabotage(
        "content-kept-before-parting",
        "no link gets an inode before the batch's content is kept",
        edit("^", "if let Some(last) = backups.last() { links::separate(file, last)?; } "),
        "pytest tests/test_batch_recovery.py -k in_place_is_kept",
    ),
    Sabotage(
        "adopted-backup",
        "a batch's content becomes a backup by a copy where no rename is let through",
        value(
            "fs::renameat(&target.folder, from, &target.folder, "
            '&backup.name).map_err(|errno| target.failed("rename of a backup", '
            "errno)).map(|()| backup.name)"
        ),
        "pytest tests/test_policies.py -k a_batch_is_finished",
    ),
    Sabotage(
        "journal-stays-in-its-folders",
        "a journal names no file outside its folders",
        edit("&&", "||"),
        "pytest tests/test_batch_recovery.py -k planted_journal",
    ),
    Sabotage(
        "no-recovery-through-symlink",
        "no batch is recovered through a symlinked sidecar",
        remove,
        "pytest tests/test_batch_recovery.py -k through_no_symlink",
    ),
    Sabotage(
        "journal-is-a-file",
        "a journal is a regular file",
        edit(r"!(.+)is_file", r"\1is_dir"),
        "pytest tests/test_batch_recovery.py -k place_of_a_journal",
    ),
    Sabotage(
        "content-before-the-change",
        "the content of a file that was changed comes before the change",
        value("backups.last()"),
        "pytest tests/test_batch_recovery.py -k puts_no_old_content_back",
    ),
    Sabotage(
        "replaced-name-sync",
        "a name that a journal relies on is on the disk before",
        value("false"),
        "pytest tests/test_batch_recovery.py -k name_that_a_journal",
    ),
    Sabotage(
        "name-stamped-after-sync",
        "a name is stamped as synced after the sync only",
        edit("Synced::Content", "Synced::ContentAndName"),
        "pytest tests/test_batch_recovery.py -k name_that_a_journal",
    ),
    Sabotage(
        "replaced-content-sync",
        "what a journal says is replaced is on the disk before",
        never,
        "pytest tests/test_batch_recovery.py -k says_is_replaced",
    ),
    Sabotage(
        "batch-taken-back",
        "a batch of which nothing can be renamed is taken back",
        never,
        "pytest tests/test_batch_recovery.py -k nothing_can_be_renamed",
    ),
    Sabotage(
        "decision-taken-back-sync",
        "a decision that is taken back does not come again",
        never,
        "pytest tests/test_batch_recovery.py -k nothing_can_be_renamed",
    ),
    Sabotage(
        "folder-opened-without-listing",
        "a load needs no right to list the folder",
        edit("PATH", "RDONLY"),
        "pytest tests/test_batch_recovery.py -k to_search_the_folder",
    ),
    Sabotage(
        "unreadable-journal",
        "a journal that may not be read refuses no load",
        edit(r"\|\|", "&&"),
        "pytest tests/test_batch_recovery.py -k to_search_the_folder",
    ),
    Sabotage(
        "route-without-proc",
        "without /proc the route between folders is found by their paths",
        value("Err(without_proc(target, errno))"),
        "pytest tests/test_batch_recovery.py -k proc_is_not_mounted",
    ),
    Sabotage(
        "folder-known-by-its-id",
        "a folder without its mark is another folder",
        always,
        "cargo batches::waits_for_a_folder",
    ),
    Sabotage(
        "roll-forward-backs-up",
        "what was replaced after the decision is backed up",
        remove,
        "cargo batches::what_was_replaced",
    ),
    Sabotage(
        "snapshot-waits-for-batch",
        "a snapshot waits for the batch at work",
        value("true"),
        "pytest tests/test_batch.py -k waits_for_a_batch",
    ),
    Sabotage(
        "snapshot-looks-again",
        "a snapshot looks at all files again",
        without(2),
        "pytest tests/test_batch.py -k ends_meanwhile",
    ),
    Sabotage(
        "folder-id-sync",
        "a folder's mark is on the disk before a journal names it",
        remove,
        "pytest tests/test_batch.py -k in_this_order",
    ),
    Sabotage(
        "journal-sync",
        "the journal's sync, by a power cut",
        remove,
        "pytest tests/torture/test_power_cuts.py -k renames_of_a_batch",
    ),
]
