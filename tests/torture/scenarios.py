"""What is done to files while faults strike: one `Scenario` for each way to write."""

from __future__ import annotations

import dataclasses
import functools
import gzip
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import oasis_data
from tests.torture.faults import Scenario

NAME = "tanks.json"
# Longer than a page, so that a write can be cut short in the middle.
OLD, NEW, NEXT = ([{"tank": tank, "level": level} for tank in range(200)] for level in (1, 2, 3))


def read(path: Path) -> object:
    """What `json` finds in a file; None if there is none."""
    return json.loads(path.read_bytes()) if path.exists() else None


def litter(root: Path) -> list[str]:
    """What is neither a data file, nor a whole backup of its own, nor the sidecar's."""
    found = []
    names: dict[int, list[str]] = {}
    for folder, _, files in os.walk(root):
        for path in (Path(folder) / file for file in files):
            place = path.relative_to(root)
            if ".oasis_data" in place.parts:
                if place.parts[-2] != "locks" and path.name not in (".gitignore", "journal.lock"):
                    found.append(str(place))
            elif not path.name.partition(".backup.")[0].endswith(".json"):
                found.append(str(place))
            elif not path.is_symlink():
                names.setdefault(path.stat().st_ino, []).append(path.name)
                if ".backup." in path.name:
                    found.extend(_unfit(path))
    # Content that could change under a backup's name, or that fills two of the ten.
    aliases = (same for same in names.values() if len(same) > 1)
    return found + [f"one file as {same}" for same in aliases if ".backup." in "".join(same)]


def _unfit(backup: Path) -> list[str]:
    try:
        content = backup.read_bytes()
        if backup.suffix == ".gz":
            content = gzip.decompress(content)
        whole = json.loads(content) in (OLD, NEW, NEXT)
    except (ValueError, EOFError, OSError):
        whole = False
    return [] if whole else [f"a backup that is not whole: {backup.name}"]


def heal(names: list[str], root: Path) -> list[str]:
    """Loads and saves each file: whatever went before must not be felt, nor seen afterwards."""
    problems = []
    for name in names:
        path = root / name
        try:
            if path.exists() and oasis_data.load_data_file(path, strict=True) != read(path):
                problems.append(f"loads something else than {name} holds")
            oasis_data.save_json_atomic(path, NEXT, timeout=0)
            if oasis_data.load_data_file(path, strict=True) != NEXT:
                problems.append(f"{name} does not hold what was saved")
        except oasis_data.DataOperationError as error:
            problems.append(repr(error))
    return problems + [f"left {name}" for name in litter(root)]


def of_one_file(
    name: str,
    act: Callable[[Path], object],
    old: object = OLD,
    new: object = NEW,
    prepare: Callable[[Path], object] | None = None,
) -> Scenario:
    """A scenario about `tanks.json`, which holds `old` at first."""

    def save_old(path: Path) -> None:
        if old is not None:
            oasis_data.save_json_atomic(path, old)

    return Scenario(
        name,
        prepare=lambda root: (prepare or save_old)(root / NAME),
        act=lambda root: act(root / NAME),
        state=lambda root: read(root / NAME),
        old=old,
        new=new,
        heal=functools.partial(heal, [NAME]),
        litter=litter,
    )


def _save_new(path: Path) -> None:
    oasis_data.load_data_file(path)
    oasis_data.save_json_atomic(path, NEW)


def _save_compressing(path: Path) -> None:
    before = oasis_data.configure()["backups_compressed_above"]
    oasis_data.configure(backups_compressed_above=1000)
    try:
        oasis_data.save_json_atomic(path, NEW)
    finally:
        oasis_data.configure(backups_compressed_above=before)


def _edit(path: Path) -> None:
    with oasis_data.edit_json(path) as document:
        for tank in document:
            tank["level"] += 1


def _history(path: Path) -> None:
    for content in (OLD, NEW, OLD):
        oasis_data.save_json_atomic(path, content)


def _full_history(path: Path) -> None:
    for content in (NEW, OLD) * 6:
        oasis_data.save_json_atomic(path, content)


def _second_name(path: Path) -> None:
    """A file that cannot be backed up by a link."""
    oasis_data.save_json_atomic(path, OLD)
    outside = path.parent / "outside"
    outside.mkdir()
    os.link(path, outside / "linked.json")


def _through_symlink() -> Scenario:
    def prepare(root: Path) -> None:
        for folder in ("data", "link"):
            (root / folder).mkdir()
        oasis_data.save_json_atomic(root / "data" / NAME, OLD)
        (root / "link" / NAME).symlink_to(Path("..") / "data" / NAME)

    def state(root: Path) -> object:
        assert (root / "link" / NAME).is_symlink()
        return read(root / "data" / NAME)

    return Scenario(
        "save through a symlink",
        prepare=prepare,
        act=lambda root: _save_new(root / "link" / NAME),
        state=state,
        old=OLD,
        new=NEW,
        heal=functools.partial(heal, [f"link/{NAME}"]),
        litter=litter,
    )


BATCH = ["here/tanks.json", "here/vessels.json", "there/routes.json"]


def _prepare_batch(root: Path) -> None:
    for file in BATCH:
        (root / file).parent.mkdir(exist_ok=True)
        oasis_data.save_json_atomic(root / file, OLD)


def _batch_state(root: Path) -> object:
    """What is there when an interrupted batch has been completed, or taken back, by a load."""
    paths = [root / file for file in BATCH]
    if any((path.parent / ".oasis_data" / "journal").exists() for path in paths):
        loaded = oasis_data.load_many(paths)
        assert loaded == [read(path) for path in paths]
    return [read(path) for path in paths]


def _save_batch(root: Path) -> None:
    oasis_data.save_many_atomic({root / file: NEW for file in BATCH})


BATCH_SAVE = Scenario(
    "batch",
    prepare=_prepare_batch,
    act=_save_batch,
    state=_batch_state,
    old=[OLD] * len(BATCH),
    new=[NEW] * len(BATCH),
    heal=functools.partial(heal, BATCH),
    litter=litter,
)


def recovery_of(interrupted: Path, recovered: object) -> Scenario:
    """A load of a file of a batch whose writer was killed and left this."""
    return dataclasses.replace(
        BATCH_SAVE,
        name="recovery",
        prepare=lambda root: shutil.copytree(interrupted, root, symlinks=True, dirs_exist_ok=True),
        act=lambda root: oasis_data.load_data_file(root / BATCH[0], strict=True),
        old=recovered,
        new=recovered,
    )


SCENARIOS = [
    of_one_file("create", lambda path: oasis_data.save_json_atomic(path, NEW), old=None),
    of_one_file("replace", lambda path: oasis_data.save_json_atomic(path, NEW, backup=False)),
    of_one_file("replace with backup", _save_new, prepare=_full_history),
    of_one_file("replace with copied backup", _save_new, prepare=_second_name),
    of_one_file("replace with compressed backup", _save_compressing, prepare=_history),
    _through_symlink(),
    of_one_file("restore", oasis_data.restore_backup, prepare=_history),
    of_one_file("edit", _edit),
    of_one_file("delete", oasis_data.delete_json_atomic, new=None),
    BATCH_SAVE,
]
