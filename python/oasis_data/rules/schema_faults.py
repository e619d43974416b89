"""Faults of a document as `jsonschema-rs` finds them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from posixpath import basename
from typing import Any

import jsonschema_rs

from oasis_data import _native
from oasis_data._faults import MASK, Fault
from oasis_data.rules.found import Found

_LONGEST = 300
"""The most characters of a reason. Of a longer one, which tells a whole value, the middle goes."""

_Kind = jsonschema_rs.ValidationErrorKind


def found_by(
    document: str,
    error: jsonschema_rs.ValidationError,
    masked: jsonschema_rs.ValidationError | None,
) -> Iterator[Found]:
    """The faults in one error of the library: one for each value that may not be there.

    Args:
        document: The document's name in the rules file.
        error: The error.
        masked: The same error with its value masked; None where values are told.
    """
    rule = _rule_of(error)
    kind = error.kind
    unexpected: list[str] = []
    # Of unevaluated items the library tells the texts, and not where they are.
    if isinstance(kind, _Kind.AdditionalProperties | _Kind.UnevaluatedProperties):
        unexpected = list(kind.unexpected)
    if not unexpected:
        place = _native.place(error.instance_path)
        told = MASK if masked else error.instance
        message = f"{place}: {_shortened((masked or error).message)}"
        # Before a bracket, the reason tells nothing that changes with the rest of an object.
        detail = re.split(r"[{\[]", error.message)[0] if _is_container(error.instance) else ""
        yield Found(Fault(document, place, rule, told, message), error.instance, detail)
        return
    what = "Additional" if isinstance(kind, _Kind.AdditionalProperties) else "Unevaluated"
    instance: Any = error.instance
    for name in unexpected:
        place = _native.place([*error.instance_path, name])
        message = f"{place}: {what} properties are not allowed"
        told = MASK if masked else instance[name]
        yield Found(Fault(document, place, rule, told, message), instance[name])


def _is_container(value: Any) -> bool:
    return isinstance(value, dict | list)


def _rule_of(error: jsonschema_rs.ValidationError) -> str:
    """The keyword in its schema file, without the file's folder: messages go to clients."""
    if error.absolute_keyword_location is not None:
        file, _, keyword = error.absolute_keyword_location.partition("#")
        return f"{basename(file)}#{keyword}"
    return "#" + "".join(f"/{step}" for step in error.schema_path)


def _shortened(reason: str) -> str:
    if len(reason) <= _LONGEST:
        return reason
    return f"{reason[: _LONGEST // 2]}…{reason[-_LONGEST // 2 :]}"
