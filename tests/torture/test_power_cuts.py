"""Power cuts: what a call has returned for is there, and each file is one whole version."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import pytest

from oasis_data import clear_all_cache, load_data_file, save_json_atomic
from tests.backend.servers import wait_for

from . import rounds, shared_document
from .file_systems import Image, image, require_power_cuts
from .power_cuts import ACTS, WRITERS, Act, adopt, cut_after, cut_at_random, lose_power

ACKNOWLEDGED = rounds(16, 320)
RANDOM = rounds(8, 300)
SHARED = rounds(4, 150)
SEQUENCE = [*ACTS, adopt]


@pytest.fixture(params=["ext4", "xfs"])
def kind(request: pytest.FixtureRequest) -> str:
    require_power_cuts(request.param)
    return str(request.param)


@pytest.mark.timeout(1_200)
def test_a_cut_after_each_call_loses_nothing(kind: str, tmp_path: Path) -> None:
    returned, broken = 0, []
    for number in range(ACKNOWLEDGED):
        # One call longer each time, so that each is the last before a cut.
        acts = (2 * SEQUENCE)[: 1 + number % (2 * len(SEQUENCE))]
        calls, wrong = lose_power(tmp_path / str(number), kind, cut_after(acts), number)
        returned += calls
        broken += [f"cut {number}: {what}" for what in wrong]
    print(
        f"power cuts on {kind}, after a call: {ACKNOWLEDGED} cuts, "
        f"{returned:,} calls, {len(broken)} promises broken"
    )
    assert broken == []


@pytest.mark.timeout(1_200)
def test_a_cut_at_any_moment_loses_nothing(kind: str, tmp_path: Path) -> None:
    returned, broken = 0, []
    with ProcessPoolExecutor(WRITERS, get_context("spawn")) as writers:
        for number in range(RANDOM):
            cut = cut_at_random(writers)
            calls, wrong = lose_power(tmp_path / str(number), kind, cut, number)
            returned += calls
            broken += [f"cut {number}: {what}" for what in wrong]
    print(
        f"power cuts on {kind}, at any moment: {RANDOM} cuts, "
        f"{returned:,} calls, {len(broken)} promises broken"
    )
    assert broken == []


@pytest.mark.parametrize("act", SEQUENCE)
def test_a_cut_shows_a_call_that_is_not_synced(kind: str, act: Act, tmp_path: Path) -> None:
    """The cuts above can fail, and each call's sync counts."""
    cut = cut_after([*SEQUENCE, act], last="process")

    assert any(lose_power(tmp_path / str(number), kind, cut, number)[1] for number in range(6))


@pytest.mark.timeout(1_200)
@pytest.mark.parametrize("kind", ["ext4", "xfs", "btrfs"])
def test_a_cut_loses_nothing_that_somebody_built_on(kind: str, tmp_path: Path) -> None:
    if kind != "btrfs":
        require_power_cuts(kind)
    returned, lost = 0, []
    with ProcessPoolExecutor(shared_document.WRITERS, get_context("spawn")) as writers:
        for number in range(SHARED):
            calls, wrong = shared_document.lose_power(tmp_path / str(number), kind, writers, number)
            returned += calls
            lost += [f"cut {number}: {what}" for what in wrong]
        unsynced = (
            shared_document.lose_power(
                tmp_path / f"unsynced {number}", kind, writers, number, "process"
            )
            for number in range(12)
        )
        # The cuts can fail.
        assert any(wrong for _, wrong in unsynced)
    print(
        f"power cuts on {kind}, beside writers of one document: {SHARED} cuts, "
        f"{returned:,} calls, {len(lost)} promises broken"
    )
    assert lost == []


SAVE = (
    "import sys, oasis_data\n"
    "try: oasis_data.save_json_atomic(sys.argv[1] + '/tanks.json', 'new')\n"
    "except oasis_data.NotDurableError: print('unsure')\n"
    "else: print('saved')\n"
)


EDIT = (
    "import sys, oasis_data\n"
    "try:\n"
    "    with oasis_data.edit_json(sys.argv[1] + '/tanks.json') as content: content.append(1)\n"
    "except oasis_data.NotDurableError: print('unsure')\n"
    "else: print('saved')\n"
)


SAVE_MANY = (
    "import sys, oasis_data\n"
    "names = ['a.json', 'b.json', 'far/c.json']\n"
    "oasis_data.save_many_atomic({f'{sys.argv[1]}/{name}': 'new' for name in names})\n"
)


def cut_after_a_rename(
    made: Image, strace: str, log: Path, code: str, renamed: Path, flush: bool
) -> str:
    """Cuts the power when a program has come as far as `renamed`; returns what it was told."""
    # Longer than the cut takes.
    late = ["-o", str(log), "-e", "inject=renameat:delay_exit=2000000"]
    command = [strace, "-f", *late, sys.executable, "-c", code, str(made.folder)]
    before = renamed.stat().st_ino
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        wait_for(lambda: renamed.stat().st_ino != before, "the rename")
        made.cut_power(flush=flush)
        told, _ = process.communicate(timeout=60)
    made.come_back()
    return told


def test_a_cut_between_the_rename_and_the_sync_is_told(
    kind: str, strace: str, tmp_path: Path
) -> None:
    with image(tmp_path, kind) as made:
        path = made.folder / "tanks.json"
        save_json_atomic(path, "old")
        told = cut_after_a_rename(made, strace, tmp_path / "log", SAVE, path, flush=False)
        assert (told, load_data_file(path)) == ("unsure\n", "old")
        clear_all_cache()


@pytest.mark.parametrize("flush", [False, True])
def test_a_failed_sync_is_told_to_whoever_built_on_the_content(
    kind: str, strace: str, tmp_path: Path, flush: bool
) -> None:
    """Two edits are renamed, the second made from the first; the disk fails under both syncs."""
    with image(tmp_path, kind) as made:
        path = made.folder / "tanks.json"
        save_json_atomic(path, [])
        # Longer than the cut takes, before each sync of the folder. A save syncs it last.
        late = "inject=fsync:delay_enter=2000000:when=2"
        programs = []
        for number in range(2):
            command = [strace, "-f", "-o", "/dev/null", "-e", late, sys.executable, "-c", EDIT]
            programs.append(
                subprocess.Popen([*command, made.folder], stdout=subprocess.PIPE, text=True)
            )
            # Before the first is done, the second has its lock.
            wait_for(lambda: path.read_text().count("1") > number, "the rename")  # noqa: B023
        made.cut_power(flush=flush)
        assert [program.communicate(timeout=60)[0] for program in programs] == ["unsure\n"] * 2
        made.come_back()
        assert load_data_file(path, strict=True) in ([], [1], [1, 1])
        clear_all_cache()


def test_a_cut_between_the_renames_of_a_batch_leaves_all_new(
    kind: str, strace: str, tmp_path: Path
) -> None:
    with image(tmp_path, kind) as made:
        paths = [made.folder / name for name in ("a.json", "b.json", "far/c.json")]
        for path in paths:
            save_json_atomic(path, "old", make_parents=True)
        # The journal is on the disk by now, and so decides; the rename lasts too.
        cut_after_a_rename(made, strace, tmp_path / "log", SAVE_MANY, paths[0], flush=True)
        assert sorted(path.read_text() for path in paths) == ['"new"', '"old"', '"old"']
        assert [load_data_file(path, strict=True) for path in paths] == ["new"] * len(paths)
        clear_all_cache()
