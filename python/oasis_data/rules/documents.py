"""Which document of a rules file a path leads to."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping

from oasis_data import _native
from oasis_data._stores import store_of


class Documents:
    """The documents of a rules file, by every spelling of their paths.

    Attributes:
        paths: The path of each document by its name, absolute.
    """

    __slots__ = ("_names", "_spelt", "paths")

    def __init__(self, rules_path: str, names: Iterable[str]) -> None:
        """Takes the path of the rules file as it was given, absolute, and the names."""
        given = os.path.dirname(rules_path)
        real = os.path.dirname(os.path.realpath(rules_path))
        self.paths: dict[str, str] = {}
        self._spelt: dict[str, str] = {}
        self._names: dict[str, list[str]] = {}
        for name in names:
            path = os.path.normpath(os.path.join(given, name))
            self._spelt[path] = name
            if not _native.is_in_store(path):
                # All processes have one path for a document, whatever link they came by.
                path = os.path.normpath(os.path.join(real, name))
                self._spelt[path] = name
            self.paths[name] = path
            self._names.setdefault(os.path.basename(name), []).append(name)

    def name_of(self, given_path: str) -> str | None:
        """The name of the document at a path; None for a document without rules."""
        name = self._spelt.get(given_path)
        if name is not None:
            return name
        path = os.path.abspath(given_path)
        # A folder before `..` may be a symlink, which a path alone does not tell.
        if ".." not in given_path and path in self._spelt:
            return self._spelt[path]
        if _native.is_in_store(path):
            return self._spelt.get(path)
        if not os.path.islink(path) and os.path.basename(path) not in self._names:
            return None
        # safeguard: rules-follow-symlinks
        real = os.path.realpath(given_path)
        for name, document in self.paths.items():
            if os.path.realpath(document) == real:
                return name
        return None

    def is_spelt(self, path: str) -> bool:
        """Whether a path is that of a document, letter by letter."""
        return path in self._spelt

    def is_below_folder(self, given_path: str, rules_path: str) -> bool:
        """Whether a path leads into the folder of the rules file or below."""
        folders = {os.path.dirname(rules_path), os.path.dirname(os.path.realpath(rules_path))}
        spelt = {os.path.abspath(given_path), os.path.realpath(given_path)}
        return any(
            os.path.commonpath([folder, path]) == folder for folder in folders for path in spelt
        )


def groups_of(names: Iterable[str], paths: Mapping[str, str]) -> dict[str, str]:
    """The group of each of these documents: the path of its first, in the order of names.

    All documents with references are one group, whose one lock every write of them takes. So
    a batch needs no second lock, whatever documents it has. A lock covers one store: each
    store has a group of its own.
    """
    first: dict[str | None, str] = {}
    return {name: first.setdefault(store_of(paths[name]), paths[name]) for name in sorted(names)}
