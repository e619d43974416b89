"""The file of each data type, which is always under the root.

A client names a data type, never a path: each name in the catalogue leads to its file,
and no other name leads to any file.
"""

import os
from collections.abc import Iterator, Mapping
from pathlib import Path

from oasis_data import _native
from oasis_data.error_handling import DataOperationError, OperationType

__all__ = ["DocumentCatalogue", "OutsideRootError", "UnknownDataTypeError"]


class UnknownDataTypeError(DataOperationError, ValueError):
    """There is no such data type: a mistake of the client. The error names no file."""

    def __init__(self) -> None:
        """Does not repeat the type: a client can send anything."""
        super().__init__(OperationType.READ, "", "Unknown data type")


class OutsideRootError(DataOperationError):
    """A symlink under the root leads out of it."""


class DocumentCatalogue:
    """Maps data types to files under a root.

    Attributes:
        root: The folder, without symlinks; as it was given, if it lies in a store.
        files: The file of each data type; symlinks in the path are not followed.
    """

    def __init__(
        self, root: str | os.PathLike[str], documents: Mapping[str, str | os.PathLike[str]]
    ) -> None:
        """Takes the folder, and for each data type its file, relative to the folder.

        Raises:
            NotADirectoryError: There is no such folder, nor a store in its place. Every
                save would fail, and every page would look as if nothing had ever been saved.
            ValueError: The path of a file does not lie under the root.
        """
        in_store = _native.is_in_store(root)
        self.root = Path(os.path.abspath(root)) if in_store else Path(root).resolve()
        if not in_store and not self.root.is_dir():
            raise NotADirectoryError(f"not a folder of documents: {self.root}")
        self.files: Mapping[str, Path] = {
            data_type: _under(self.root, data_type, os.fspath(name))
            for data_type, name in documents.items()
        }

    def path(self, data_type: object) -> Path:
        """The file of a data type, whether it exists or not.

        Args:
            data_type: What a client has named: any object.

        Raises:
            UnknownDataTypeError: The catalogue has no such type.
            OutsideRootError: A symlink leads out of the root.
        """
        # Some objects have no hash, and some that are no str equal a str.
        # safeguard: plain-text-data-type
        if type(data_type) is not str or data_type not in self.files:
            raise UnknownDataTypeError
        path = self.files[data_type]
        # Checked on each call: somebody may have made a symlink since. The links in the
        # path of a file that does not exist are followed too.
        # safeguard: no-symlink-out-of-root
        if not _native.is_in_store(path) and not Path(os.path.realpath(path)).is_relative_to(
            self.root
        ):
            raise OutsideRootError(
                OperationType.READ,
                str(path),
                f"{path.name}: leads out of the folder of documents; replace the symlink",
            )
        return path

    def __iter__(self) -> Iterator[str]:
        """The data types, in the order in which they were given."""
        return iter(self.files)

    def __len__(self) -> int:
        """How many data types there are."""
        return len(self.files)


def _under(root: Path, data_type: str, name: str) -> Path:
    path = Path(name)
    # safeguard: no-file-above-root
    if path.is_absolute() or ".." in path.parts or not path.parts or "\0" in name:
        raise ValueError(f"{data_type}: {name!r} does not name a file under the root")
    return root / path
