"""A JSON Schema in a file, with the files that it refers to. Nothing is ever fetched."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import unquote_to_bytes, urlsplit

import jsonschema_rs

from oasis_data import _native
from oasis_data._faults import MASK, Fault
from oasis_data.error_handling import CorruptFileError
from oasis_data.rules.broken import BrokenRules
from oasis_data.rules.found import Found
from oasis_data.rules.schema_faults import found_by
from oasis_data.rules.watched import Watched

_DEPTH = 255
"""The levels of nesting that the library turns into values of its own; it refuses deeper ones."""
_LIBRARY_ADVICE = "Custom meta-schemas must be registered in the registry before use"
_DRAFTS = "The drafts are 4, 6, 7, 2019-09 and 2020-12"
_NEVER = jsonschema_rs.validator_for(False)


class Schema:
    """A compiled schema.

    Attributes:
        is_valid: Whether a document obeys: of the library itself, so that no Python code runs.
    """

    __slots__ = ("_files", "_masking", "_validator", "is_valid")

    def __init__(self, path: str, *, masked: bool) -> None:
        """Reads and compiles the schema.

        Raises:
            BrokenRules: The file or a file that it refers to cannot be read, or is no schema.
        """
        self._files: dict[str, Watched] = {}
        self._validator = self._compiled(path, None)
        self._masking = self._compiled(path, MASK) if masked else None
        self.is_valid: Callable[[object], bool] = self._validator.is_valid

    def is_current(self) -> bool:
        """Whether all its files are as they were read."""
        return all(file.is_current() for file in self.files)

    @property
    def files(self) -> list[Watched]:
        """The schema file, and those that it refers to."""
        return list(self._files.values())

    def faults(self, document: str, text: bytes) -> list[Found]:
        """What a document, by its name in the rules file, has against the schema."""
        try:
            content = _native.decode(text)
        except CorruptFileError as error:
            return [_as_a_whole(document, "JSON", f"not a JSON document: {error.msg}")]
        try:
            # The library follows a document as deep as it goes, and would run out of stack.
            # safeguard: schema-depth
            if text.count(b"[") + text.count(b"{") > _DEPTH:
                list(_NEVER.iter_errors(content))
            if self._validator.is_valid(content):
                return []
            errors = list(self._validator.iter_errors(content))
            masking = self._masking
            masked = [None] * len(errors) if masking is None else list(masking.iter_errors(content))
        except UnicodeEncodeError:
            return [_as_a_whole(document, "text", "a text in it has a lone surrogate")]
        except ValueError:  # the one that is left: the library's own limit
            return [_as_a_whole(document, "depth", f"is nested deeper than {_DEPTH} levels")]
        pairs = zip(errors, masked, strict=True)
        return [found for pair in pairs for found in found_by(document, *pair)]

    def _compiled(self, path: str, mask: str | None) -> jsonschema_rs.Validator:
        schema = self._read(path)
        given = schema.get("$id", schema.get("id")) if isinstance(schema, dict) else None
        named = given.partition("#")[0] if isinstance(given, str) and ":" in given else None
        raised: list[BaseException] = []

        def retrieve(uri: str) -> Any:
            try:
                return self._read(_path_of(uri, path, named))
            except OSError:
                raise  # the library tells what refers to it
            except BaseException as error:
                # The library has an error of its own for all, an interrupt too.
                raised.append(error)
                raise

        try:
            return jsonschema_rs.validator_for(
                schema,
                base_uri=named or Path(path).as_uri(),
                retriever=retrieve,
                mask=mask,
            )
        except (jsonschema_rs.ValidationError, jsonschema_rs.ReferencingError) as error:
            if raised:
                raise raised[0] from error
            place = _native.place(getattr(error, "instance_path", ()))
            message = error.message.replace(_LIBRARY_ADVICE, _DRAFTS)
            raise BrokenRules(path, None, f"not a JSON Schema: {place}: {message}") from error
        except ValueError as error:
            raise BrokenRules(path, None, f"not a JSON Schema: {error}") from error

    def _read(self, path: str) -> Any:
        # With values masked there are two validators, which are to be of one content.
        # safeguard: schema-of-one-content
        if path not in self._files:
            self._files[path] = Watched(path)
        file = self._files[path]
        if file.content is None:
            raise BrokenRules(path, None, file.problem)
        try:
            schema = json.loads(file.content)
        except (ValueError, RecursionError) as error:
            line = error.lineno if isinstance(error, json.JSONDecodeError) else None
            raise BrokenRules(path, line, f"not a JSON document: {error}") from error
        if not isinstance(schema, dict | bool):
            raise BrokenRules(path, None, "not a JSON Schema: must be an object, true or false")
        return schema


def _as_a_whole(document: str, rule: str, problem: str) -> Found:
    """A fault of a document that no schema can be held against."""
    return Found(Fault(document, "$", rule, None, f"$: {problem}"), None, hides_others=True)


def _path_of(uri: str, path: str, named: str | None) -> str:
    """The file that a schema refers to, beside the file at `path`.

    A schema with an `$id` on the web names others relative to that: they lie beside its file.
    """
    parts = urlsplit(uri)
    if parts.scheme == "file" and not parts.netloc:
        return _unquoted(parts.path)
    folder = named.rpartition("/")[0] + "/" if named else None
    # safeguard: schemas-never-fetched
    if folder is None or not uri.startswith(folder):
        raise OSError(f"{uri}: no file; schemas are never fetched from a network")
    return os.path.join(os.path.dirname(path), _unquoted(uri[len(folder) :]))


def _unquoted(part: str) -> str:
    """The path in a part of a URI. A name of a file need not be UTF-8."""
    return os.fsdecode(unquote_to_bytes(part))
