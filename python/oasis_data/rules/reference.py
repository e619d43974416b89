"""A reference between documents: each value at one end is a value at the other."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from posixpath import basename
from typing import Any

from oasis_data import _native
from oasis_data._faults import MASK, Fault
from oasis_data.rules.equality import key_of, keys_of
from oasis_data.rules.found import Found
from oasis_data.rules.json_path import JSONPath, JSONPathError


@dataclass(frozen=True)
class End:
    """One end of a reference.

    Attributes:
        document: The document's name in the rules file.
        path: What it selects in the document.
    """

    document: str
    path: JSONPath

    def __str__(self) -> str:
        """The end without the document's folder: messages go to clients."""
        return f"{basename(self.document)}#{self.path.text}"


@dataclass(frozen=True)
class Reference:
    """A reference.

    Attributes:
        source: Selects the values that refer.
        target: Selects the values that they may refer to.
    """

    source: End
    target: End

    @property
    def documents(self) -> tuple[str, str]:
        """The documents of both ends."""
        return self.source.document, self.target.document

    def faults(self, contents: Mapping[str, Any], *, masked: bool) -> list[Found]:
        """The values that refer to nothing.

        Args:
            contents: The documents by their names. A document that is missing, here or on
                the disk, refers to nothing, and nothing in it can be referred to.
            masked: Whether values are told as `***`.
        """
        source, target = self.source, self.target
        if source.document not in contents:
            return []
        document = contents[source.document]
        try:
            there = set()
            if target.document in contents:
                there = keys_of(target.path.values(contents[target.document]))
            # As in a database, null refers to nothing.
            dangling = keys_of(source.path.values(document)) - there - {None}
            if not dangling:
                return []
            found = [
                (place, value)
                for place, value in source.path.found(document)
                if key_of(value) in dangling
            ]
        except (JSONPathError, RecursionError):
            message = f"$: is nested deeper than {source} can be followed"
            fault = Fault(source.document, "$", self._rule, None, message)
            return [Found(fault, None, hides_others=True)]
        return [self._fault(place, value, masked) for place, value in found]

    def _fault(self, steps: tuple[str | int, ...], value: Any, masked: bool) -> Found:
        # A masked key is no step of its place either.
        # safeguard: masked-key-is-no-place
        if masked and steps and steps[-1] == value and type(value) is str:
            steps = steps[:-1]
        place = _native.place(steps)
        told = MASK if masked else value
        message = f"{place}: {_text_of(told) if not masked else MASK} is not among {self.target}"
        return Found(Fault(self.source.document, place, self._rule, told, message), value)

    @property
    def _rule(self) -> str:
        return f"{self.source} -> {self.target}"


def _text_of(value: Any) -> str:
    """The beginning of a value's JSON text, for a message."""
    options = _native.EncodeOptions(allow_nan=True, ensure_ascii=False)
    text = bytes(_native.encode(value, options)).decode("utf-8", "surrogatepass")
    text = text.encode("utf-8", "backslashreplace").decode("utf-8")
    return text if len(text) <= 100 else f"{text[:100]}…"
