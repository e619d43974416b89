"""What the native module asks of rules: the types of the objects that it calls."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol


class Judgement(Protocol):
    """Judges a write. Writes in several threads may have one judgement.

    It may also have `valid`: for each path a callable, or None. Where the object to be saved
    says the same as its text, the callable is asked right after the encoding whether the object
    obeys its schema; if it does, there is no `check`. No Python code may run in the callable,
    as it could change the object after its text was made.
    """

    @property
    def group(self) -> str | None:
        """The absolute path of the first document of the group; `None` without references."""

    @property
    def companions(self) -> Sequence[str]:
        """The other documents that are judged: referred to by the write's, or referring to them."""

    @property
    def wants_before(self) -> bool:
        """Whether `judge` is to get what the documents hold now."""

    def check(self, index: int, text: bytes, /) -> Sequence[Any]:
        """The faults of what is to be written as the path with this index, before any lock."""

    def judge(
        self,
        before: list[bytes | None],
        after: list[bytes | None],
        companions: list[bytes | None],
        faults: list[Any],
        /,
    ) -> None:
        """Judges what the write leads to, under the locks. `None` is no document.

        `before` is empty unless `wants_before`. `faults` is what each `check` has found. Where
        it has found anything and nothing is wanted of before, the write is refused whatever the
        documents hold: then the question comes without locks, about one moment. Whatever this
        raises reaches the caller of the write, and nothing is written.
        """


class Rules(Protocol):
    """Is asked before each write."""

    def judgement(self, paths: Sequence[str], deletes: bool, /) -> Judgement | None:
        """The judgement of a write or a deletion of these documents.

        `None` where no rule concerns them.
        """
