"""Backups: linked, leased, compressed, kept and restored."""

from __future__ import annotations

from tests.sabotage.operations import edit, never, remove, value, without
from tests.sabotage.safeguard import Sabotage

SABOTAGES = [
    Sabotage(
        "no-link-to-linked-file",
        "no link to a file with a second name",
        value("true"),
        "cargo backups::a_file_with",
    ),
    Sabotage(
        "refused-links",
        "a refused link becomes a copy",
        edit("ACCESS, Errno::XDEV", "NOSYS, Errno::NOSYS"),
        "pytest tests/test_policies.py -k links",
    ),
    Sabotage(
        "leftover-backup-link",
        "a killed writer's backup is not linked again",
        never,
        "cargo backups::what_a_writer",
    ),
    Sabotage(
        "lease-before-link",
        "no link to what others may write into",
        edit(r"\?\.is_ok\(\)", ".is_some()"),
        "cargo leases::a_file_that",
    ),
    Sabotage(
        "lease-answer",
        "an answer from the kernel's lease",
        edit(r"\.is_ok_and\(.+\)", ".is_ok()"),
        "cargo leases::who_waits",
    ),
    Sabotage(
        "lease-signal",
        "the lease's signal ends no process",
        remove,
        "pytest tests/test_backups.py -k opens_it_meanwhile",
    ),
    Sabotage(
        "awaited-lease",
        "a lease that is awaited parts the backup",
        never,
        "pytest tests/test_backups.py -k opens_it_meanwhile",
    ),
    Sabotage(
        "lease-released",
        "a lease is let go before its descriptor",
        remove,
        "cargo leases::a_shared",
    ),
    Sabotage(
        "live-file-not-compressed",
        "the live file is not compressed",
        without(0),
        "cargo compression::what_may",
    ),
    Sabotage(
        "compressor-lock",
        "the lock of a compressor",
        edit(r"^match .+ \{", "match Ok::<(), io::Error>(()) {"),
        "cargo compression::a_second",
    ),
    Sabotage(
        "pruned-compressed-form",
        "a pruned backup's compressed form goes",
        remove,
        "cargo compression::a_backup_pruned",
    ),
    Sabotage(
        "plain-form-stays",
        "the plain form stays until the other is whole",
        value("plain.give_way()"),
        "cargo compression::the_plain",
    ),
    Sabotage(
        "compressed-names-taken",
        "compressed names are taken names",
        never,
        "cargo index::a_compressed_name",
    ),
    Sabotage(
        "names-of-no-backup",
        "names of what is no backup are taken names",
        remove,
        "cargo compression::names_grow",
    ),
    Sabotage(
        "lease-on-the-named-file",
        "no link to a file by the lease of another file",
        value("Some(lease)"),
        "cargo leases::a_file_that_has_lost",
    ),
    Sabotage(
        "compressed-backup-sync",
        "the sync of a compressed backup",
        remove,
        "pytest tests/test_compression.py -k synced",
    ),
    Sabotage(
        "compressed-backup-directory-sync",
        "the directory sync of a compressed backup",
        remove,
        "pytest tests/test_compression.py -k synced",
    ),
    Sabotage(
        "unreadable-backup-stops",
        "a backup that cannot be read is not passed over",
        never,
        "pytest tests/torture/test_faults.py -k restore",
    ),
    Sabotage(
        "corrupt-file-kept",
        "a corrupt file is kept whatever the settings",
        value("false"),
        "pytest tests/test_backups.py -k corrupt_file_is_kept",
    ),
    Sabotage(
        "corrupt-file-read-again",
        "what was corrupt is read again before it is replaced",
        edit("&&", "||"),
        "pytest tests/test_backups.py -k repaired_since",
    ),
    Sabotage(
        "backup-taken-back",
        "the backup of a failed save is taken back",
        value("Err(error)"),
        "pytest tests/test_syscalls.py -k takes_its_backup",
    ),
    Sabotage(
        "backup-names-grow",
        "backup names only grow",
        value("now"),
        "cargo backups::names_keep",
    ),
    Sabotage(
        "last-possible-stamp",
        "the last possible stamp hides no later backup",
        edit(r"\.filter\(is_stamp\)", ""),
        "cargo backups::a_last_possible",
    ),
    Sabotage(
        "no-room-for-gz",
        "a name without room for .gz is left plain",
        never,
        "cargo compression::a_name_that",
    ),
    Sabotage(
        "sync-before-link",
        "sync of what others wrote before it is linked",
        remove,
        "pytest tests/test_syscalls.py -k others_wrote",
    ),
    Sabotage(
        "no-pruning-over-corrupt-file",
        "a save over a corrupt file lets no backup go",
        without(1),
        "pytest tests/test_backups.py -k again_and_again",
    ),
    Sabotage(
        "restored-resembles-backup",
        "a restored file resembles its backup",
        value("{}"),
        "pytest tests/test_backups.py -k mode_and_owner",
    ),
    Sabotage(
        "index-of-large-folder",
        "a large folder is not listed",
        edit(r"flatten\(\)", "flatten().filter(|_| false)"),
        "pytest tests/test_syscalls.py -k reads_no_more",
    ),
    Sabotage(
        "index-taken-away",
        "no index while what it names changes",
        remove,
        "pytest tests/test_syscalls.py -k killed_in_a_large",
    ),
    Sabotage(
        "index-content",
        "an index is of the file that its writer left",
        value('"none".to_owned()'),
        "cargo index::a_large",
    ),
    Sabotage(
        "index-head",
        "an index is of this lock file",
        edit(r", [^,]+\)\)$", ", 0))"),
        "cargo index::a_large",
    ),
    Sabotage(
        "index-whole",
        "an index is whole",
        edit(r"(== \w+)\)", r"\1 || true)"),
        "cargo index::a_large",
    ),
    Sabotage(
        "index-head",
        "an index is of this run of the kernel",
        edit(r"\?,", '.map(|_| "any")?,'),
        "pytest tests/test_syscalls.py -k another_run",
    ),
    Sabotage(
        "indexed-backup-is-there",
        "each backup of an index is looked for",
        value("Ok(Some(plain))"),
        "cargo index::the_newest",
    ),
    Sabotage(
        "index-handed-on",
        "a write without a backup hands the index on",
        edit("indexed", "indexed: false"),
        "cargo index::a_write_that",
    ),
]
