"""Saves where a policy refuses links, or moves from folder to folder (Landlock)."""

from __future__ import annotations

import json
import os
import re
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from oasis_data import load_data_file, save_json_atomic, stats
from tests.conftest import backups, require, temporaries, visible
from tests.test_batch import DECIDED, interrupt, three_files

SAVE = "import sys, oasis_data; oasis_data.save_json_atomic(sys.argv[1], 'new')"

# Grants all that the first version of Landlock knows, everywhere. What it does not know
# is refused: to move a file from one folder to another.
SANDBOX = """
import ctypes, os, struct, sys
libc = ctypes.CDLL(None, use_errno=True)
rights = (1 << 13) - 1
ruleset = libc.syscall(444, struct.pack("<Q", rights), 8, 0)
rule = struct.pack("<Qi", rights, os.open("/", os.O_PATH | os.O_CLOEXEC))
libc.prctl(38, 1, 0, 0, 0)
if ruleset < 0 or libc.syscall(445, ruleset, 1, rule, 0) or libc.syscall(446, ruleset, 0):
    sys.exit(77)
"""

IN_A_SANDBOX = f"""{SANDBOX}
from pathlib import Path
import oasis_data as o
folder = Path(sys.argv[1])
path = folder / "tanks.json"
try:
    os.rename(path, folder / ".oasis_data" / "tanks.json")
    sys.exit("the sandbox lets a file be moved")
except OSError:
    pass
o.save_json_atomic(path, ["saved"])
with o.edit_json(path) as document:
    document.append("edited")
batch = {{path: "batch", folder / "b.json": 1, folder / "other" / "c.json": 2}}
o.save_many_atomic(batch)
o.save_many_atomic({{each: [data] for each, data in batch.items()}})
o.delete_json_atomic(folder / "b.json")
o.restore_backup(folder / "b.json")
o.configure(backups_compressed_above=0)
o.save_json_atomic(path, "last")
"""


def sandboxed(code: str, folder: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code, folder],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    require(done.returncode != 77, "needs Landlock")
    assert done.returncode == 0, done.stderr


def injected(strace: str, fault: str, *command: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [strace, "-f", "-qq", "-o", os.devnull, "-e", f"inject={fault}", *map(str, command)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def hidden(folder: Path) -> list[str]:
    return sorted(name for name in os.listdir(folder) if name.startswith("."))


@pytest.mark.parametrize("error", ["EACCES", "EXDEV", "EPERM"])
def test_a_backup_is_copied_where_links_are_refused(
    strace: str, tmp_path: Path, error: str
) -> None:
    path = tmp_path / "tanks.json"
    save_json_atomic(path, "old")
    path.chmod(0o640)
    done = injected(strace, f"linkat:error={error}", sys.executable, "-c", SAVE, path)
    assert done.returncode == 0, done.stderr
    assert load_data_file(path) == "new"
    (backup,) = backups(path)
    assert backup.read_text() == '"old"'
    assert stat.S_IMODE(backup.stat().st_mode) == 0o640
    assert temporaries(tmp_path) == []


def test_everything_is_saved_where_files_may_not_leave_their_folder(tmp_path: Path) -> None:
    path = tmp_path / "tanks.json"
    save_json_atomic(path, "old")
    path.chmod(0o640)
    os.setxattr(path, "user.origin", b"refinery")
    (tmp_path / "other").mkdir()

    sandboxed(IN_A_SANDBOX, tmp_path)

    assert load_data_file(path) == "last"
    assert load_data_file(tmp_path / "b.json") == [1]
    assert load_data_file(tmp_path / "other" / "c.json") == [2]
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    assert os.getxattr(path, "user.origin") == b"refinery"
    found = backups(path)
    assert len(found) == 5
    assert all(backup.suffix == ".gz" for backup in found)
    for folder in (tmp_path, tmp_path / "other"):
        assert hidden(folder) == [".oasis_data"]
        assert temporaries(folder) == []
        assert not (folder / ".oasis_data" / "journal").exists()


def test_a_batch_is_finished_where_files_may_not_leave_their_folder(
    strace: str, tmp_path: Path
) -> None:
    paths = three_files(tmp_path)
    interrupt(strace, paths, DECIDED)
    # The batch does not replace it, and keeps its content as a backup.
    paths[0].write_text('"changed"')
    load = "import oasis_data as o; o.load_data_file(sys.argv[1] + '/here/a.json', strict=True)"

    sandboxed(SANDBOX + load, tmp_path)

    assert [json.loads(path.read_text()) for path in paths] == ["changed", "new", "new"]
    assert backups(paths[0])[-1].read_text() == '"new"'
    for folder in (tmp_path / "here", tmp_path / "there"):
        assert temporaries(folder) == []
        assert not (folder / ".oasis_data" / "journal").exists()


@pytest.mark.parametrize("error", ["EACCES", "EXDEV"])
def test_a_copy_beside_the_data_is_synced_before_it_is_renamed(
    strace: str, tmp_path: Path, error: str
) -> None:
    path = tmp_path / "tanks.json"
    save_json_atomic(path, "old")
    log = tmp_path / "log"
    fault = f"renameat,renameat2:error={error}:when=1"
    traced = [strace, "-f", "-y", "-o", str(log), "-e", f"inject={fault}"]
    save = [sys.executable, "-c", SAVE, str(path)]
    done = subprocess.run([*traced, *save], check=False, timeout=120)
    assert done.returncode == 0
    assert load_data_file(path) == "new"
    calls = log.read_text()
    beside = r"\.tanks\.json\.\w{12}"
    made = re.search(rf'openat\(.*"{beside}", .*O_CREAT\|O_EXCL', calls)
    synced = re.search(rf"fsync\(\d+<[^>]*/{beside}>\) += 0", calls)
    renamed = re.search(rf'renameat2?\(.*"{beside}", .*"tanks\.json".*\) += 0', calls)
    assert made
    assert synced
    assert renamed
    assert made.start() < synced.start() < renamed.start()
    log.unlink()
    assert hidden(tmp_path) == [".oasis_data"]
    assert temporaries(tmp_path) == []


def test_a_folder_that_may_not_be_written_is_told_as_such(strace: str, tmp_path: Path) -> None:
    path = tmp_path / "tanks.json"
    save_json_atomic(path, "old")
    code = """
import sys, oasis_data
try: oasis_data.save_json_atomic(sys.argv[1], 'new', backup=False)
except oasis_data.WritePermissionError as error: print(error)
"""
    done = injected(strace, "renameat,renameat2:error=EACCES", sys.executable, "-c", code, path)
    assert done.stdout.startswith("tanks.json: rename failed: Permission denied")
    assert load_data_file(path) == "old"
    assert hidden(tmp_path) == [".oasis_data"]
    assert temporaries(tmp_path) == []


@pytest.mark.parametrize("corrupt", [False, True])
def test_the_copy_of_a_killed_writer_is_swept(strace: str, tmp_path: Path, corrupt: bool) -> None:
    path = tmp_path / "tanks.json"
    save_json_atomic(path, "old", backup=False)
    # The second sync is that of the copy.
    kill = "fsync:signal=SIGKILL:when=2"
    refuse = "inject=renameat,renameat2:error=EXDEV"
    done = injected(strace, kill, "-e", refuse, sys.executable, "-c", SAVE, path)
    assert done.returncode != 0
    (left,) = temporaries(tmp_path)
    assert hidden(tmp_path) == sorted([".oasis_data", f".{left}"])
    assert load_data_file(path) == "old"
    if corrupt:
        path.write_text('"torn')
        save_json_atomic(path, "newer")
        # They may be the only good copies.
        assert hidden(tmp_path) == sorted([".oasis_data", f".{left}"])
    swept = stats()["leftovers_swept"]
    save_json_atomic(path, "newest")
    assert stats()["leftovers_swept"] == swept + 1
    assert hidden(tmp_path) == [".oasis_data"]
    assert temporaries(tmp_path) == []
    assert visible(tmp_path)[0] == "tanks.json"
