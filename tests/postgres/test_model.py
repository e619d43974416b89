"""The same calls on files and on a database have the same outcomes: files are the model."""

from __future__ import annotations

import itertools
import json
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)

import oasis_data
from oasis_data import MISSING, DataOperationError
from tests.conftest import backups
from tests.postgres.paths import DatabasePath

NAMES = ("tanks.json", "deep/vessels.json", "Ä name.json")
STEPS = int(os.environ.get("OASIS_STEPS", "30"))
EXAMPLES = 400 if os.environ.get("OASIS_TORTURE") else 60

names = st.sampled_from(NAMES)
scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5)
documents = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3)
    ),
    max_leaves=6,
) | st.sampled_from([{"level": 1}, {"level": 2}, [], {}])
contents = st.sampled_from(
    [b"", b"{", b"\0\0", b'{"level": 1}', b"[1,\n2]\n", b"\xff", b'"\\u0000"', b'{"a": 1, "a": 2}']
)
encodings = st.fixed_dictionaries(
    {},
    optional={
        "indent": st.sampled_from([None, 0, 2, "\t"]),
        "ensure_ascii": st.booleans(),
        "sort_keys": st.booleans(),
        "allow_nan": st.booleans(),
    },
)
writes = st.fixed_dictionaries(
    {}, optional={"backup": st.booleans(), "skip_unchanged": st.booleans()}
)
# A version wanted: that of now, one that never was, none at all, or no matter.
wanted = st.sampled_from(["now", "other", MISSING, None])


class Engines(RuleBasedStateMachine):
    """Does each thing in both places, and compares what came of it."""

    places: tuple[Path, DatabasePath]
    number = itertools.count()

    @initialize()
    def begin(self) -> None:
        """A folder that nothing is in, and the default settings."""
        folder = f"run{next(self.number)}"
        self.roots = [place / folder for place in self.places]
        (self.roots[0] / "deep").mkdir(parents=True)
        oasis_data.configure(backups_kept=3)

    def both(self, act: Callable[[Path], Any]) -> Any:
        """Acts in both places; the outcome, which is the same."""
        outcomes = [outcome_of(act, root) for root in self.roots]
        assert outcomes[0] == outcomes[1]
        return outcomes[0]

    @rule(name=names, document=documents, encoding=encodings, write=writes, version=wanted)
    def save(self, name: str, document: Any, encoding: Any, write: Any, version: Any) -> None:
        def act(root: Path) -> Any:
            path = root / name
            options = {**encoding, **write, "if_version": version_for(path, version)}
            return oasis_data.save_json_atomic(path, document, **options)

        self.both(act)

    @rule(name=names, strict=st.booleans(), copy=st.booleans())
    def load(self, name: str, strict: bool, copy: bool) -> None:
        self.both(
            lambda root: exact(oasis_data.load_data_file(root / name, strict=strict, copy=copy))
        )

    @rule(name=names)
    def load_with_version(self, name: str) -> None:
        self.both(lambda root: exact(oasis_data.load_with_version(root / name)))

    @rule(name=names, key=st.text(max_size=2), value=scalars, fails=st.booleans(), version=wanted)
    def edit(self, name: str, key: str, value: Any, fails: bool, version: Any) -> None:
        def act(root: Path) -> Any:
            path = root / name
            with oasis_data.edit_json(path, if_version=version_for(path, version)) as document:
                seen = exact(document)
                if isinstance(document, dict):
                    document[key] = value
                if fails:
                    raise ZeroDivisionError(seen)
            return seen

        self.both(act)

    @rule(name=names, version=wanted, backup=st.booleans())
    def delete(self, name: str, version: Any, backup: bool) -> None:
        self.both(
            lambda root: oasis_data.delete_json_atomic(
                root / name, backup=backup, if_version=version_for(root / name, version)
            )
        )

    @rule(
        some=st.dictionaries(names, documents, min_size=1),
        version=wanted,
        encoding=encodings,
        write=writes,
    )
    def save_many(self, some: dict[str, Any], version: Any, encoding: Any, write: Any) -> None:
        def act(root: Path) -> Any:
            versions = {root / name: version_for(root / name, version) for name in list(some)[:1]}
            wanted = {path: each for path, each in versions.items() if each is not None}
            saves = {root / name: document for name, document in some.items()}
            return oasis_data.save_many_atomic(saves, if_version=wanted, **encoding, **write)

        self.both(act)

    @rule(some=st.lists(names, max_size=3, unique=True), strict=st.booleans())
    def load_many(self, some: list[str], strict: bool) -> None:
        def act(root: Path) -> Any:
            loaded = oasis_data.load_many([root / name for name in some], strict=strict)
            return exact(loaded if isinstance(loaded, list) else list(loaded.values()))

        self.both(act)

    @rule(name=names, which=st.none() | st.integers(0, 3))
    def restore(self, name: str, which: int | None) -> None:
        def act(root: Path) -> Any:
            there = oasis_data.list_backups(root / name)
            chosen = there[which] if which is not None and which < len(there) else None
            restored = oasis_data.restore_backup(root / name, chosen)
            return [backup.path for backup in there].index(restored)

        self.both(act)

    @rule(name=names, keep=st.none() | st.integers(0, 3))
    def prune(self, name: str, keep: int | None) -> None:
        self.both(lambda root: len(oasis_data.prune_backups(root / name, keep=keep)))

    @rule(name=names, content=contents)
    def write_outside(self, name: str, content: bytes) -> None:
        for root in self.roots:
            (root / name).write_bytes(content)

    @rule(name=names)
    def forget(self, name: str) -> None:
        self.both(lambda root: oasis_data.invalidate_cache(root / name))

    @rule(kept=st.integers(0, 4))
    def configure(self, kept: int) -> None:
        oasis_data.configure(backups_kept=kept)

    @invariant()
    def same_bytes_and_history(self) -> None:
        def look(root: Path) -> Any:
            return [
                (
                    name,
                    (root / name).read_bytes() if (root / name).exists() else None,
                    [(each.size, each.fault) for each in oasis_data.list_backups(root / name)],
                    [each.read_bytes() for each in backups(root / name)],
                    oasis_data.get_file_mtime(root / name) > 0,
                )
                for name in NAMES
            ]

        if hasattr(self, "roots"):
            self.both(look)


def exact(value: Any) -> str:
    """A value with its types: 1, 1.0 and True are three."""
    return repr(value)


def version_for(path: Path, wanted: str | None) -> str | None:
    if wanted == "now":
        try:
            return oasis_data.load_with_version(path)[1]
        except DataOperationError:
            return "0" * 32
    return "1" * 32 if wanted == "other" else wanted


def outcome_of(act: Callable[[Path], Any], root: Path) -> Any:
    """What a call returned, or what it raised: the class, the message and the facts."""
    try:
        return "returned", act(root)
    except ZeroDivisionError as error:
        return "raised", str(error)
    except DataOperationError as error:
        facts = {
            name: value
            for name, value in vars(error).items()
            if name not in ("timestamp", "original_error", "file_path")
        }
        place = os.path.relpath(error.file_path, root)
        told = str(error), json.dumps(facts, default=str).replace(str(root), "…")
        # The engines do not save at the same microsecond.
        same = (re.sub(r"\.backup\.\d{8}_\d{6}_\d{6}", ".backup.…", text) for text in told)
        return (type(error), *same, place)


@pytest.fixture
def machine(tmp_path: Path, database: DatabasePath) -> type[Engines]:
    files = tmp_path / "files"
    files.mkdir()

    class Machine(Engines):
        places = (files, database)

    return Machine


@pytest.mark.timeout(3600 if os.environ.get("OASIS_TORTURE") else 300)
def test_both_engines_do_the_same(machine: type[Engines]) -> None:
    run_state_machine_as_test(  # type: ignore[no-untyped-call]
        machine,
        settings=settings(
            max_examples=EXAMPLES,
            stateful_step_count=STEPS,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
