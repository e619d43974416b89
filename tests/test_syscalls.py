"""The order of a save's syscalls, and a writer killed or failed at each of them."""

from __future__ import annotations

import fcntl
import json
import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from oasis_data import configure, list_backups, save_json_atomic
from tests.conftest import backups, require_mounts, temporaries, visible

SAVE = (
    "import os, sys, oasis_data\n"
    "if len(sys.argv) > 3: oasis_data.configure(durability=sys.argv[3])\n"
    "oasis_data.load_data_file(sys.argv[1])\n"
    "os.write(1, b'begin')\n"
    "try: oasis_data.save_json_atomic(sys.argv[1], sys.argv[2])\n"
    "except oasis_data.NotDurableError: os.write(1, b'unsure')\n"
    "except oasis_data.JSONWriteError as error: os.write(1, b'failed: ' + str(error).encode())\n"
    "else: os.write(1, b'returned')\n"
)
DELETE = SAVE.replace(
    "save_json_atomic(sys.argv[1], sys.argv[2])", "delete_json_atomic(sys.argv[1])"
)


@dataclass
class Call:
    """One line of strace."""

    name: str
    text: str


def trace(strace: str, log: Path, code: str, *arguments: object) -> list[Call]:
    """The syscalls between `begin` and the last answer."""
    subprocess.run(
        [
            strace,
            "-f",
            "-y",
            "-s",
            "16",
            "-o",
            log,
            sys.executable,
            "-c",
            code,
            *map(str, arguments),
        ],
        check=True,
        capture_output=True,
        timeout=120,
    )
    calls = [
        Call(match[1], match[0])
        for match in re.finditer(r"^\d+ +(\w+)\(.*$", log.read_text(), re.MULTILINE)
    ]
    begin = next(i for i, call in enumerate(calls) if '"begin"' in call.text)
    end = next(i for i, call in enumerate(calls) if '"returned"' in call.text)
    return calls[begin + 1 : end + 1]


def unsafe_steps(calls: list[Call], folder: Path, name: str) -> list[str]:
    """What is missing, or out of order, in a durable replacement of a file."""

    def position(pattern: str) -> int | None:
        return next((i for i, call in enumerate(calls) if re.search(pattern, call.text)), None)

    where = re.escape(str(folder))
    temp = rf"<{where}/\.oasis_data/temp/{re.escape(name)}\.\w+>"
    steps = {
        "open the folder": rf'openat\(AT_FDCWD[^,]*, "{where}", [^)]*O_DIRECTORY',
        "create a new temporary file": r'openat\(.*"\.oasis_data/temp/[^"]*", .*O_CREAT\|O_EXCL',
        "write the data": rf"write\(\d+{temp}",
        "sync the data": rf"f(data)?sync\(\d+{temp}\) += 0",
        "back up": rf'linkat\(.*"{re.escape(name)}", .*"{re.escape(name)}\.backup\.',
        "rename": rf'renameat2?\(.*"\.oasis_data/temp/.*"{re.escape(name)}"',
        "sync the folder": rf"fsync\(\d+<{where}>\) += 0",
        "return": r'write\(1.*"returned"',
    }
    found = {step: position(pattern) for step, pattern in steps.items()}
    order = [at for at in found.values() if at is not None]
    problems = [f"does not {step}" for step, at in found.items() if at is None]
    if order != sorted(order):
        problems.append(f"wrong order: {found}")
    return problems


def test_syncs_the_data_before_the_rename_and_the_folder_after_it(
    strace: str, tmp_path: Path
) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    path = folder / "tanks.json"
    save_json_atomic(path, 1)
    calls = trace(strace, tmp_path / "log", SAVE, path, "new")
    assert unsafe_steps(calls, folder, path.name) == []
    # The live file is never opened for writing.
    assert not [call for call in calls if re.search(r'"tanks\.json".*O_(WRONLY|RDWR)', call.text)]


def test_the_check_above_misses_syncs_that_are_left_out(strace: str, tmp_path: Path) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    path = folder / "tanks.json"
    save_json_atomic(path, 1)
    calls = trace(strace, tmp_path / "log", SAVE, path, "new", "process")
    assert unsafe_steps(calls, folder, path.name) == [
        "does not sync the data",
        "does not sync the folder",
    ]


def test_a_save_opens_each_file_once_and_makes_few_syscalls(strace: str, tmp_path: Path) -> None:
    code = """
import os, sys, oasis_data
for number in range(12):
    oasis_data.save_json_atomic(sys.argv[1], number + 10)
os.write(1, b"begin")
oasis_data.save_json_atomic(sys.argv[1], 99)
os.write(1, b"returned")
"""
    path = tmp_path / "data" / "tanks.json"
    path.parent.mkdir()
    calls = trace(strace, tmp_path / "log", code, path)[:-1]
    opened = [match[1] for call in calls if (match := re.search(r'openat\(.*"(.*)"', call.text))]
    temporary = next(name for name in opened if "/temp/" in name)
    assert opened == [
        str(path.parent),
        ".oasis_data/locks/tanks.json.lock",
        ".oasis_data/journal",
        "tanks.json",
        temporary,
        ".oasis_data/temp",
    ]
    # A debug build looks at each descriptor before it closes it.
    assert sum("F_GETFD" not in call.text for call in calls) <= 56


NEW_FOLDERS = SAVE.replace("sys.argv[2])", "1, make_parents=True)").replace(
    "oasis_data.load_data_file(sys.argv[1])\n", ""
)


def test_a_new_folder_is_on_the_disk_before_anything_lies_in_it(
    strace: str, tmp_path: Path
) -> None:
    calls = trace(strace, tmp_path / "log", NEW_FOLDERS, tmp_path / "a" / "b" / "tanks.json", 0)
    of_folders = [call for call in calls if ".oasis_data" not in call.text]
    pattern = rf"(mkdirat|fsync).*[<\"]{tmp_path}([\w/]*)[>\"]"
    steps = [re.search(pattern, call.text) for call in of_folders]
    assert [step.groups() for step in steps if step] == [
        ("mkdirat", "/a"),
        ("fsync", ""),
        ("mkdirat", "/a/b"),
        ("fsync", "/a"),
        ("fsync", "/a/b"),
    ]


def test_a_new_folder_that_may_not_be_on_the_disk_is_told(strace: str, tmp_path: Path) -> None:
    command = [strace, "-f", "-qq", "-o", os.devnull, "-e", "inject=fsync:error=EIO:when=2"]
    command += [sys.executable, "-c", NEW_FOLDERS, str(tmp_path / "a" / "b" / "tanks.json"), "0"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)
    assert "failed: tanks.json: fsync of its folder failed" in done.stdout
    assert not (tmp_path / "a" / "b" / "tanks.json").exists()


EVERYTHING = """
import os, sys, oasis_data
from oasis_data import *
folder = sys.argv[1]
one, two, three = (os.path.join(folder, name) for name in ("1.json", "2.json", "below/3.json"))
configure(backups_compressed_above=10)
os.write(1, b"begin")
for number in range(3):
    save_json_atomic(one, f"{number:100}")
load_with_version(one), load_many([one, two])
with edit_json(one) as document: pass
save_many_atomic({one: 1, two: 2, three: 3})
list_backups(one), restore_backup(one), prune_backups(one, keep=1)
delete_json_atomic(two)
oasis_data._native.collect_locks(folder)
os.write(1, b"returned")
"""


def test_every_file_is_opened_for_this_process_and_through_no_symlink(
    strace: str, tmp_path: Path
) -> None:
    folder = tmp_path / "data"
    (folder / "below").mkdir(parents=True)
    calls = trace(strace, tmp_path / "log", EVERYTHING, folder)
    opened = [
        (match[1], match[2].split("|"))
        for call in calls
        if (match := re.search(rf'openat\(.*{folder}.*"(.*)", ([A-Z_|]+)', call.text))
    ]
    of_the_sidecar = [(name, flags) for name, flags in opened if ".oasis_data" in name]
    assert len(opened) > 100
    assert len(of_the_sidecar) > 50
    # A program that another thread starts in the middle must not get the descriptor.
    assert [name for name, flags in opened if "O_CLOEXEC" not in flags] == []
    # Nor may a symlink in the sidecar lead to a file elsewhere.
    assert [name for name, flags in of_the_sidecar if "O_NOFOLLOW" not in flags] == []
    # A pipe in the place of a file must not keep a reader waiting.
    read = [flags for _, flags in opened if not {"O_DIRECTORY", "O_PATH"} & {*flags}]
    assert [flags for flags in read if flags[0] == "O_RDONLY" and "O_NONBLOCK" not in flags] == []


@pytest.mark.parametrize("durability", ["full", "process"])
def test_the_disk_begins_with_each_piece_of_a_document_at_once(
    strace: str, tmp_path: Path, durability: str
) -> None:
    path = tmp_path / "data" / "tanks.json"
    path.parent.mkdir()
    piece = 4 << 20
    code = SAVE.replace("sys.argv[2])", f"'x' * {3 * piece})")
    calls = trace(strace, tmp_path / "log", code, path, "", durability)
    temporary = r"\(\d+<[^>]*/temp/[^>]*>, "
    written = [call for call in calls if re.search(rf"write{temporary}", call.text)]
    begun = [
        (int(found[1]), int(found[2]))
        for call in calls
        if (found := re.search(rf"sync_file_range{temporary}(\d+), (\d+), \w+_WRITE\)", call.text))
    ]
    assert len(written) == 4
    pieces = [(number * piece, piece) for number in range(3)]
    assert begun == ([*pieces, (3 * piece, 2)] if durability == "full" else [])


def test_the_same_content_again_is_synced_though_not_written(strace: str, tmp_path: Path) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    path = folder / "tanks.json"
    path.write_text('"same"')
    calls = trace(strace, tmp_path / "log", SAVE, path, "same")
    synced = [call.text for call in calls if call.name == "fsync"]
    assert re.search(rf"fsync\(\d+<{re.escape(str(path))}>\) += 0", synced[0])
    assert re.search(rf"fsync\(\d+<{re.escape(str(folder))}>\) += 0", synced[1])
    assert not [call for call in calls if call.name in ("linkat", "renameat", "renameat2")]


def test_what_others_wrote_is_synced_before_it_becomes_a_backup(
    strace: str, tmp_path: Path
) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    path = folder / "tanks.json"

    def syncs() -> int:
        calls = trace(strace, tmp_path / "log", SAVE, path, os.urandom(4).hex())
        linked = next(at for at, call in enumerate(calls) if call.name == "linkat")
        replaced = rf"fsync\(\d+<{re.escape(str(path))}>\) += 0"
        return sum(bool(re.search(replaced, call.text)) for call in calls[:linked])

    path.write_text("1")
    assert syncs() == 1
    # What a save has synced itself, by whatever process, is not synced again.
    assert syncs() == 0
    path.write_text("2")
    assert syncs() == 1
    save_json_atomic(path, 3)
    assert syncs() == 0
    # A program that keeps the stamp, as `rsync --inplace -t` does.
    before = path.stat()
    path.write_text("x" * before.st_size)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert syncs() == 1
    configure(durability="process")
    save_json_atomic(path, 4)
    assert syncs() == 1


def test_a_deletion_syncs_its_folder(strace: str, tmp_path: Path) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    path = folder / "tanks.json"
    save_json_atomic(path, 1)
    names = [call.text for call in trace(strace, tmp_path / "log", DELETE, path, "")]
    gone = next(
        i for i, text in enumerate(names) if re.search(r'unlinkat\(.*"tanks\.json", 0', text)
    )
    assert any(re.search(rf"fsync\(\d+<{folder}>\) += 0", text) for text in names[gone:])


@pytest.mark.parametrize("code", [SAVE, DELETE], ids=["save", "delete"])
@pytest.mark.parametrize("content", ["same", "new"])
def test_the_lock_is_released_before_the_folder_is_synced(
    strace: str, tmp_path: Path, code: str, content: str
) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    path = folder / "tanks.json"
    save_json_atomic(path, "same")
    calls = [call.text for call in trace(strace, tmp_path / "log", code, path, content)]

    def position(pattern: str) -> int:
        return next(at for at, text in enumerate(calls) if re.search(pattern, text))

    released = position(r"flock\(\d+<.*\.lock>, LOCK_UN\)")
    assert released < position(rf"fsync\(\d+<{re.escape(str(folder))}>\) += 0")


def command(path: Path, content: str) -> list[str]:
    return [sys.executable, "-c", SAVE, str(path), content]


@pytest.mark.parametrize(
    ("sync", "told", "found"),
    [(1, "failed: tanks.json: fsync failed", "old"), (2, "unsure", "new")],
)
def test_a_failed_sync_is_told_and_not_tried_again(
    strace: str, tmp_path: Path, sync: int, told: str, found: str
) -> None:
    path = tmp_path / "tanks.json"
    save_json_atomic(path, "old")
    log = tmp_path / "log"
    fault = f"fsync:error=EIO:when={sync}"
    done = subprocess.run(
        [
            strace,
            "-f",
            "-o",
            log,
            "-e",
            "trace=fsync",
            "-e",
            f"inject={fault}",
            *command(path, "new"),
        ],
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    assert done.stdout.removeprefix("begin").startswith(told)
    assert json.loads(path.read_text()) == found
    assert len(re.findall(r"fsync\(", log.read_text())) == sync


def test_a_failed_rename_takes_its_backup_back(strace: str, tmp_path: Path) -> None:
    path = tmp_path / "tanks.json"
    save_json_atomic(path, "older")
    save_json_atomic(path, "old")
    before = visible(tmp_path)
    inject = "inject=renameat:error=EIO"
    done = subprocess.run(
        [strace, "-f", "-o", "/dev/null", "-e", inject, *command(path, "new")],
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    assert done.stdout.removeprefix("begin").startswith("failed: tanks.json: rename failed")
    assert visible(tmp_path) == before
    assert temporaries(tmp_path) == []


@pytest.mark.parametrize(
    ("fault", "told"),
    [
        ("flock:error=ENOLCK", "flock failed"),
        ("fcntl:error=EINVAL", "fcntl of its lock failed"),
        # While somebody holds the lock: joining the line, looking who is in it, entering the
        # queue, leaving both to ask for signals.
        *((f"fcntl:error=ENOSYS:when={call}", "fcntl of its lock failed") for call in range(2, 6)),
    ],
)
def test_a_lock_that_fails_is_an_error_and_no_contention(
    strace: str, tmp_path: Path, fault: str, told: str
) -> None:
    path = tmp_path / "tanks.json"
    save_json_atomic(path, "old")
    lock = tmp_path / ".oasis_data" / "locks" / "tanks.json.lock"
    traced = [strace, "-f", "-o", "/dev/null", "-P", str(lock), "-e", f"inject={fault}"]
    with lock.open() as held:
        if "when" in fault:
            fcntl.flock(held, fcntl.LOCK_EX)
        done = subprocess.run(
            [*traced, *command(path, "new")],
            capture_output=True,
            text=True,
            check=True,
            timeout=120,
        )
    assert done.stdout.removeprefix("begin").startswith(f"failed: tanks.json: {told}")
    assert "keep the file on a local disk" in done.stdout
    assert json.loads(path.read_text()) == "old"


SAVES = {
    "a save": "oasis_data.save_json_atomic(path, text)",
    "a save without a backup": "oasis_data.save_json_atomic(path, text, backup=False)",
    "an edit": "edit(path, text)",
    "a batch": "oasis_data.save_many_atomic({path: text, path + '.other': text})",
    "a deletion": "oasis_data.delete_json_atomic(path)",
    "a save that compresses": (
        "oasis_data.configure(backups_compressed_above=0); oasis_data.save_json_atomic(path, text)"
    ),
}


@pytest.mark.parametrize("act", SAVES.values(), ids=SAVES)
def test_a_save_reads_no_more_of_a_large_folder_than_of_a_small_one(
    strace: str, tmp_path: Path, act: str
) -> None:
    code = f"""
import os, sys, oasis_data
def edit(path, text):
    with oasis_data.edit_json(path) as document:
        document["new"] = text
path = sys.argv[1]
for number in range(12):
    oasis_data.save_json_atomic(path, {{"old": number}})
    oasis_data.save_json_atomic(path + ".other", number)
text = {{"new": "text"}}
os.write(1, b"begin")
{act}
os.write(1, b"returned")
"""
    listings = []
    for number in (20, 3_000):
        folder = tmp_path / str(number)
        folder.mkdir()
        for other in range(number):
            (folder / f"{other:032}.json").touch()
        calls = trace(strace, tmp_path / "log", code, folder / "tanks.json")
        of_folder = rf"getdents64\(\d+<{re.escape(str(folder))}>"
        listings.append(sum(bool(re.search(of_folder, call.text)) for call in calls))
    small, large = listings
    assert large == 0
    assert small <= 4


def test_a_writer_killed_in_a_large_folder_leaves_no_backup_that_is_forgotten(
    strace: str, tmp_path: Path
) -> None:
    for other in range(1_000):
        (tmp_path / f"{other:032}.json").touch()
    path = tmp_path / "tanks.json"
    for number in range(12):
        save_json_atomic(path, number)
    for call in ("linkat", "renameat", "unlinkat"):
        kill = f"inject={call}:signal=KILL:when=1"
        killed = subprocess.run(
            [strace, "-f", "-o", "/dev/null", "-e", kill, *command(path, call)],
            capture_output=True,
            check=False,
            timeout=120,
        )
        assert killed.returncode != 0
        for number in range(2):
            save_json_atomic(path, f"after {call} {number}")
            stamps = [backup.path for backup in list_backups(path)]
            assert len(stamps) == len(backups(path)) == 10
            assert stamps == sorted(stamps, reverse=True)
        assert json.loads(backups(path)[-1].read_text()) == f"after {call} 0"


def test_an_index_of_another_run_of_the_kernel_is_not_believed(tmp_path: Path) -> None:
    require_mounts()
    for other in range(1_000):
        (tmp_path / f"{other:032}.json").touch()
    path = tmp_path / "tanks.json"
    for number in range(4):
        save_json_atomic(path, number)
    late = tmp_path / "tanks.json.backup.90000101_000000_000000"
    late.write_text('"by hand"')
    save_json_atomic(path, 4)
    assert backups(path)[-1] == late
    boot = tmp_path / "boot_id"
    boot.write_text("00000000-0000-4000-8000-000000000000\n")
    mount = f"mount --bind {boot} /proc/sys/kernel/random/boot_id"
    rebooted = subprocess.run(
        ["unshare", "--mount", "sh", "-ec", f'{mount}; exec "$@"', "sh", *command(path, "new")],
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    assert rebooted.stdout.endswith("returned")
    assert backups(path)[-2] == late


def test_files_changed_just_now_are_held_while_several_are_loaded(
    strace: str, tmp_path: Path
) -> None:
    code = """
import os, sys, oasis_data
for path in sys.argv[1:]:
    with open(path, "w") as file:
        file.write("1")
os.write(1, b"begin")
oasis_data.load_many(sys.argv[1:])
os.write(1, b"returned")
"""
    paths = [str(tmp_path / name) for name in ("a.json", "b.json")]
    calls = [call.text for call in trace(strace, tmp_path / "log", code, *paths)]

    def positions(pattern: str) -> list[int]:
        return [at for at, text in enumerate(calls) if re.search(pattern, text)]

    for path in map(re.escape, paths):
        (held,) = positions(rf'openat\(AT_FDCWD[^,]*, "{path}", [^)]*O_PATH')
        descriptor = calls[held].rsplit("= ", 1)[1].split("<")[0]
        (let_go,) = [at for at in positions(rf"close\({descriptor}<{path}>") if at > held][-1:]
        looks = positions(rf'statx\(AT_FDCWD[^,]*, "{path}"')
        assert looks[0] < held < looks[-1] < let_go


@pytest.mark.parametrize(
    ("error", "told", "found"),
    [
        ("EINTR", "returned", "new"),
        ("EIO", "failed: tanks.json: getdents of its folder failed", "old"),
    ],
)
def test_a_folder_that_cannot_be_listed_is_told_and_an_interruption_is_not(
    strace: str, tmp_path: Path, error: str, told: str, found: str
) -> None:
    path = tmp_path / "data" / "tanks.json"
    path.parent.mkdir()
    for content in ("older", "old"):
        save_json_atomic(path, content)
    before = visible(path.parent)
    fault = f"inject=getdents64:error={error}:when=1"
    done = subprocess.run(
        [strace, "-f", "-o", "/dev/null", "-P", path.parent, "-e", fault, *command(path, "new")],
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    assert done.stdout.removeprefix("begin").startswith(told)
    assert json.loads(path.read_text()) == found
    assert temporaries(path.parent) == []
    if found == "old":
        assert visible(path.parent) == before
    else:
        held = [Path(backup.path).read_text() for backup in list_backups(path)]
        assert held == ['"old"', '"older"']


BATCH = (
    "import os, sys, oasis_data\n"
    "try: oasis_data.save_many_atomic({path: 'new' for path in sys.argv[1:]})\n"
    "except oasis_data.JSONWriteError as error: os.write(1, b'failed: ' + str(error).encode())\n"
    "else: os.write(1, b'returned')\n"
)


@pytest.mark.parametrize("there", [False, True])
def test_a_batch_lists_no_folder_in_which_nothing_is_replaced(
    strace: str, tmp_path: Path, there: bool
) -> None:
    paths = [tmp_path / "a" / "tanks.json", tmp_path / "b" / "tanks.json"]
    for path in paths:
        path.parent.mkdir()
    save_json_atomic(paths[0], "old")
    if there:
        save_json_atomic(paths[1], "old")
    fault = "inject=getdents64:error=EIO"
    batch = [sys.executable, "-c", BATCH, *map(str, paths)]
    done = subprocess.run(
        [strace, "-f", "-o", "/dev/null", "-P", paths[1].parent, "-e", fault, *batch],
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    if there:
        assert done.stdout.startswith("failed: tanks.json: getdents of its folder failed")
        assert [json.loads(path.read_text()) for path in paths] == ["old", "old"]
    else:
        assert done.stdout == "returned"
        assert [json.loads(path.read_text()) for path in paths] == ["new", "new"]
