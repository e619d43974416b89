"""The command line: what it leaves alone."""

from __future__ import annotations

from tests.sabotage.safeguard import Sabotage

SABOTAGES = [
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
        "recover removes the copy of a leftover",
        "python/oasis_data/cli/recover.py",
        "os.unlink(copy_of(path, os.path.dirname(file)))",
        "pass",
        "pytest tests/cli/test_recover.py -k not_be_moved",
    ),
    Sabotage(
        "1, 1.0 and true are three values",
        "python/oasis_data/cli/changes.py",
        "if type(before) is not type(after):",
        "if False:",
        "pytest tests/cli/test_changes.py -k calls_equal",
    ),
]
