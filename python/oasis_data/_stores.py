"""The stores in force: which folders lie in a database, and at which URL.

Private: `configure` of `oasis_data.file_operations` sets them.
"""

import os
import re
from collections.abc import Mapping

from oasis_data import _native
from oasis_data._paths import FilePath, normal

_MASK = "***"
"""What is told in place of the password in a URL."""

_urls: dict[str, str] = {}
"""The URLs by their folders, with their passwords."""


def put_in_force(urls: Mapping[str, str]) -> None:
    """Notes the stores that the native module has taken."""
    _urls.clear()
    _urls.update(urls)


def told() -> dict[str, str]:
    """The URLs by their folders, without their passwords."""
    return {folder: _masked(url) for folder, url in _urls.items()}


def folder_in_store(path: FilePath) -> str | None:
    """The folder of a document that lies in a store; None for a file."""
    if not _native.is_in_store(path):
        return None
    return os.path.dirname(normal(os.fsdecode(path)))


def store_of(path: str) -> str | None:
    """The URL of the store that a path lies in; None for files. Never to be shown."""
    if not _native.is_in_store(path):
        return None
    path = normal(path)
    folders = [each for each in _urls if path.startswith(each.rstrip("/") + "/")]
    return _urls[max(folders, key=len)]


def store_url(folder: str) -> str:
    """The whole URL of a folder's store, for calls to its server; never to be shown."""
    return _urls[folder]


def given(folder: object, url: object) -> tuple[str, str]:
    """The folder and the whole URL of a store, as a caller gives them."""
    if not isinstance(folder, str) or not isinstance(url, str):
        raise ValueError(f"stores: must have a URL as text for each folder, as for {folder!r}")
    folder = normal(folder)
    if _masked(url) == url and _MASK in url:
        known = _urls.get(folder)
        if known is None or _masked(known) != url:
            raise ValueError(
                f"stores: the URL of {folder} has {_MASK} in place of its password, and is not"
                " the URL that is in force: give it whole"
            )
        return folder, known
    return folder, url


def _masked(url: str) -> str:
    """A URL without its password, wherever in the URL it is."""
    start, mark, query = url.partition("?")
    # To the last "@", as the server's host comes after that.
    start = re.sub(r"(://[^:@]*):.*@", rf"\1:{_MASK}@", start, flags=re.DOTALL)
    return start + mark + re.sub(r"(?i)(\bpassword=)[^&]*", rf"\g<1>{_MASK}", query)
