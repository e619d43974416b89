"""Fixes one file: all certain fixes, checked before a byte is written."""

from __future__ import annotations

import difflib
import os
import re
import shutil
import stat
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import libcst as cst

from oasis_data.audit.auditing import audit_source, parse
from oasis_data.audit.finding import Edit, Finding
from oasis_data.audit.mentions import Foreign
from oasis_data.audit.rewriting import rewrite
from oasis_data.audit.source import Source

ROUNDS = 10
"""A fix can make a further fix certain. Each fix removes code, so the rounds come to an end."""


class NotFixedError(Exception):
    """A file was left as it is; says why."""


@dataclass(frozen=True)
class Audited:
    """A file with its findings, and its content after `--fix`.

    Attributes:
        path: The file.
        content: Its bytes when it was read.
        findings: What was found.
        fixed: Its bytes after all fixes; the same if there are none.
        remaining: What is found in those.
    """

    path: Path
    content: bytes
    findings: list[Finding]
    fixed: bytes
    remaining: list[Finding]

    def diff(self) -> Iterator[bytes]:
        """The lines of a unified diff, in the file's own encoding; none if nothing changes."""
        if self.fixed == self.content:
            return
        # The tab ends a name that has blanks in it.
        name = os.fsencode(self.path) + b"\t" * (" " in str(self.path))
        lines = difflib.diff_bytes(
            difflib.unified_diff, _lines(self.content), _lines(self.fixed), name, name
        )
        for line in lines:
            yield line if line.endswith(b"\n") else line + b"\n\\ No newline at end of file\n"


def audit_file(path: Path, content: bytes, foreign: Foreign) -> Audited:
    """Audits the bytes of a file, and computes the bytes after all fixes.

    Raises:
        NotFixedError: The fixes do not hold, which is a fault of the audit; or the file is
            nested too deeply.
    """
    try:
        return _audit(path, content, foreign)
    except RecursionError as error:
        raise NotFixedError(f"{path}: nested too deeply: {error}") from error


def _audit(path: Path, content: bytes, foreign: Foreign) -> Audited:
    source = parse(content)
    if isinstance(source, Finding):
        return Audited(path, content, [source], content, [source])
    findings = remaining = audit_source(source, foreign)
    fixed = content
    for _ in range(ROUNDS):
        edits = [edit for each in remaining if each.fixable for edit in each.edits]
        if not edits:
            return Audited(path, content, findings, fixed, remaining)
        fixed, source = _rewritten(path, fixed, source, edits, foreign)
        remaining = audit_source(source, foreign)
    raise NotFixedError(f"{path}: the fixes come to no end")


def _rewritten(
    path: Path, content: bytes, source: Source, edits: list[Edit], foreign: Foreign
) -> tuple[bytes, Source]:
    """The bytes after some edits, parsed anew."""
    try:
        content = rewrite(content, source, edits, foreign)
        compile(content, str(path), "exec", dont_inherit=True)
    except (cst.ParserSyntaxError, SyntaxError, ValueError) as error:
        raise NotFixedError(f"{path}: the fixed source would be no Python: {error}") from error
    parsed = parse(content)
    if isinstance(parsed, Finding):
        raise NotFixedError(f"{path}: the fixed source would be no Python: {parsed.message}")
    lost = sorted(parsed.unbound() - source.unbound())
    if lost:
        raise NotFixedError(f"{path}: the fixed source would still use {', '.join(lost)}")
    return content, parsed


def write(audited: Audited) -> None:
    """Writes the fixed bytes if the file still has the bytes that were audited.

    The file is replaced whole, and keeps its mode and owner; a symlink to it stays.

    Raises:
        NotFixedError: The file is not what was audited any more.
        OSError: It could not be written.
    """
    target = Path(os.path.realpath(audited.path))
    if not target.stat().st_mode & stat.S_IWUSR:
        raise NotFixedError(f"{audited.path}: read-only; make it writable, and run this again")
    descriptor, temporary = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
    try:
        with open(descriptor, "wb") as file:
            file.write(audited.fixed)
            file.flush()
            os.fsync(descriptor)
        status = target.stat()
        if (status.st_uid, status.st_gid) != (os.geteuid(), os.getegid()):
            os.chown(temporary, status.st_uid, status.st_gid)
        shutil.copymode(target, temporary)
        # As late as can be: an editor may have saved the file since.
        # safeguard: source-changed-meanwhile
        if target.read_bytes() != audited.content:
            raise NotFixedError(f"{audited.path}: changed while it was audited; run this again")
        os.replace(temporary, target)
    except BaseException:
        os.unlink(temporary)
        raise


def _lines(content: bytes) -> list[bytes]:
    """The lines as programs that apply a diff count them, with their ends."""
    return [line for line in re.split(rb"(?<=\n)", content) if line]
