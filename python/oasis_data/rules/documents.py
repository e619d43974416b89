"""Which document of a rules file a path leads to."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping

from oasis_data import _native
from oasis_data._paths import normal
from oasis_data._stores import store_of


class Documents:
    """The documents of a rules file, by every spelling of their paths.

    Attributes:
        paths: The path of each document by its name, absolute.
        twins: Two names of one document, which two sets of rules would be about; None where
            each document has one name.
    """

    __slots__ = ("_names", "_real", "_spelt", "paths", "twins")

    def __init__(self, rules_path: str, names: Iterable[str]) -> None:
        """Takes the path of the rules file as it was given, absolute, and the names."""
        given, real = os.path.dirname(rules_path), folder_of(rules_path)
        self.paths: dict[str, str] = {}
        self.twins: tuple[str, str] | None = None
        self._spelt: dict[str, str] = {}
        self._real: dict[str, str] = {}
        self._names: dict[str, list[str]] = {}
        for name in names:
            path = normal(os.path.join(given, name))
            self._spelt[path] = name
            if not _native.is_in_store(path):
                # All processes have one path for a document, whatever link they came by.
                path = normal(os.path.join(real, name))
                self._spelt[path] = name
                # safeguard: rules-of-what-a-document-leads-to
                leads_to = os.path.realpath(path)
                twin = self._real.setdefault(leads_to, name)
                if twin != name:
                    self.twins = twin, name
                self._names.setdefault(os.path.basename(leads_to), []).append(name)
            self.paths[name] = path
            self._names.setdefault(os.path.basename(name), []).append(name)

    def name_of(self, given_path: str) -> str | None:
        """The name of the document at a path; None for a document without rules."""
        name = self._spelt.get(given_path)
        if name is not None:
            return name
        path = normal(given_path)
        # A folder before `..` may be a symlink, which a path alone does not tell.
        if ".." not in given_path and path in self._spelt:
            return self._spelt[path]
        if _native.is_in_store(path):
            return self._spelt.get(path)
        if not os.path.islink(path) and os.path.basename(path) not in self._names:
            return None
        # safeguard: rules-follow-symlinks
        real = os.path.realpath(given_path)
        if real in self._real:
            return self._real[real]
        # A folder may be a symlink since.
        for name in self._names.get(os.path.basename(real), ()):
            if os.path.realpath(self.paths[name]) == real:
                return name
        return None

    def is_spelt(self, path: str) -> bool:
        """Whether a path is that of a document, letter by letter."""
        return path in self._spelt

    def is_below_folder(self, given_path: str, rules_path: str) -> bool:
        """Whether a path leads into the folder of the rules file or below."""
        folders = {os.path.dirname(rules_path), folder_of(rules_path)}
        spelt = {os.path.abspath(given_path), os.path.realpath(given_path)}
        return any(
            os.path.commonpath([folder, path]) == folder for folder in folders for path in spelt
        )


def folder_of(rules_path: str) -> str:
    """The folder that paths in a rules file are relative to, whatever links lead to it.

    The file itself may be a symlink, as of a file that a container is given: what counts is
    where the symlink is.
    """
    return os.path.realpath(os.path.dirname(rules_path))


def groups_of(names: Iterable[str], paths: Mapping[str, str]) -> dict[str, str]:
    """The group of each of these documents: the path of its first, in the order of names.

    All documents with references are one group, whose one lock every write of them takes. So
    a batch needs no second lock, whatever documents it has. A lock covers one store: each
    store has a group of its own.
    """
    first: dict[str | None, str] = {}
    return {name: first.setdefault(store_of(paths[name]), paths[name]) for name in sorted(names)}
