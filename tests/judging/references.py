"""Rules of four documents that refer to each other, small enough to be right at a look.

A document is `{"names": [...], "uses": {"crudes": [...], ...}}`. Each name that it uses has to be
among the names of that document; a document that is missing has no names and uses none.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

from oasis_data import InvalidDocumentError, OperationType, _native

USES = {
    "crudes": ("vessels",),
    "recipes": ("crudes", "tanks"),
    "tanks": ("crudes",),
    "vessels": ("recipes",),
}
"""Which documents each refers to: a circle, and two ways through it."""

FOLDERS = {"crudes": "static", "recipes": "static", "tanks": "dynamic", "vessels": "dynamic"}

Contents: TypeAlias = list[bytes | None]
State: TypeAlias = Mapping[str, Any]


class DanglingError(InvalidDocumentError):
    """A document uses a name that there is not."""


def path_of(folder: Path, name: str) -> Path:
    """Where a document lies."""
    return folder / FOLDERS[name] / f"{name}.json"


def all_paths(folder: Path) -> dict[str, Path]:
    return {name: path_of(folder, name) for name in USES}


def names_in(document: Any) -> list[str]:
    return list(document["names"]) if document else []


def dangling(state: State) -> list[str]:
    """The references in a state that lead to nothing: `tanks: crudes has no oil`."""
    return [
        f"{name}: {other} has no {used}"
        for name, document in sorted(state.items())
        if document
        for other, all_used in sorted(document["uses"].items())
        if other in state
        for used in all_used
        if used not in names_in(state[other])
    ]


@dataclass
class Judgement:
    """Judges one write."""

    names: list[str]
    group: str
    companions: list[str]
    wants_before: bool = False
    told: list[Any] = field(default_factory=list)

    def check(self, index: int, text: bytes) -> list[str]:
        """Finds what is no document of these."""
        self.told.append(("check", index, text))
        return [] if "names" in json.loads(text) else [f"{self.names[index]} has no names"]

    def judge(
        self, before: Contents, after: Contents, companions: Contents, faults: list[str]
    ) -> None:
        """Refuses what has faults, and a state in which a name is missing that is used."""
        self.told.append(("judge", before, after, companions))
        others = (Path(path).stem for path in self.companions)
        contents = {
            **dict(zip(others, companions, strict=True)),
            **dict(zip(self.names, after, strict=True)),
        }
        state = {name: content and json.loads(content) for name, content in contents.items()}
        if found := [*faults, *dangling(state)]:
            raise DanglingError(OperationType.WRITE, self.names[0], "; ".join(found))


@dataclass
class References:
    """The rules of the four documents in a folder."""

    folder: Path
    wants_before: bool = False
    judgements: list[Judgement] = field(default_factory=list)

    def judgement(self, paths: Sequence[str], deletes: bool) -> Judgement | None:
        """The judgement of a write of these documents."""
        names = [Path(path).stem for path in paths if Path(path).stem in USES]
        if not names:
            return None
        related = {other for name in names for other in USES[name]}
        related |= {name for name, others in USES.items() if {*others} & {*names}}
        companions = [str(path_of(self.folder, name)) for name in sorted(related - {*names})]
        group = str(path_of(self.folder, min(USES)))
        judgement = Judgement(names, group, companions, self.wants_before)
        self.judgements.append(judgement)
        return judgement


@contextmanager
def in_force(rules: Any) -> Iterator[Any]:
    """Rules, as long as the block lasts."""
    _native.use_rules(rules)
    try:
        yield rules
    finally:
        _native.use_rules(None)
