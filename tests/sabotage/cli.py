"""The command line: what it leaves alone."""

from __future__ import annotations

from tests.sabotage.operations import always, edit, never, remove, value
from tests.sabotage.safeguard import Sabotage

SABOTAGES = [
    Sabotage(
        "verify-spares-live-writers",
        "verify leaves live writers alone",
        value("Ok(false)"),
        "pytest tests/cli/test_verify.py -k live_writer or carried_out",
    ),
    Sabotage(
        "verify-does-not-recover",
        "verify reads without recovering",
        edit("^", "import oasis_data; oasis_data.load_data_file(path); "),
        "pytest tests/cli/test_verify.py -k changes_nothing",
    ),
    Sabotage(
        "recover-spares-live-writers",
        "recover leaves live writers alone",
        remove,
        "pytest tests/cli/test_recover.py -k live_writer_has",
    ),
    Sabotage(
        "recover-keeps-only-good-copy",
        "recover leaves what may be the only good copy",
        never,
        "pytest tests/cli/test_recover.py -k only_good_copy",
    ),
    Sabotage(
        "recover-waits-for-writer",
        "recover waits for the writer of the file",
        edit(r"\((\w+)\)", r'(f"{\1}.other")'),
        "pytest tests/cli/test_recover.py -k waits_for_a_live",
    ),
    Sabotage(
        "restore-looks-again",
        "restore looks again after the question",
        always,
        "pytest tests/cli/test_restore.py -k asks_again",
    ),
    Sabotage(
        "restore-prunes-nothing",
        "restore prunes no backup of the server's",
        remove,
        "pytest tests/cli/test_restore.py -k as_many_backups",
    ),
    Sabotage(
        "printable-names",
        "no name acts on the terminal",
        always,
        "pytest tests/cli/test_terminal.py -k odd_name",
    ),
    Sabotage(
        "recover-removes-the-copy",
        "recover removes the copy of a leftover",
        remove,
        "pytest tests/cli/test_recover.py -k not_be_moved",
    ),
    Sabotage(
        "type-of-value-compared",
        "1, 1.0 and true are three values",
        never,
        "pytest tests/cli/test_changes.py -k calls_equal",
    ),
    Sabotage(
        "import-loses-nothing",
        "an import replaces only what the files have too",
        value("True"),
        "pytest tests/cli/test_stores.py -k only_the_store_has",
    ),
    Sabotage(
        "import-reads-files",
        "an import reads files where a store is mapped already",
        remove,
        "pytest tests/cli/test_stores.py -k in_force_already",
    ),
    Sabotage(
        "export-loses-nothing",
        "an export replaces only what the store has too",
        never,
        "pytest tests/cli/test_stores.py -k only_the_files_have",
    ),
    Sabotage(
        "damaged-is-not-deleted",
        "an export deletes no file of what is damaged in the store",
        edit("and None not in history.damaged", ""),
        "pytest tests/cli/test_stores.py -k rest_is_moved",
    ),
    Sabotage(
        "export-stays-inside",
        "an export writes nothing outside its folder",
        never,
        "pytest tests/cli/test_stores.py -k out_of_the_folder",
    ),
    Sabotage(
        "export-leaves-sidecar",
        "an export writes nothing among locks and journals",
        never,
        "pytest tests/cli/test_stores.py -k among_locks",
    ),
]
