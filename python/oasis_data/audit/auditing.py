"""Audits one source: all findings, in the order of the lines."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator

from oasis_data.audit.caches import Saved, find_caches, library_calls
from oasis_data.audit.finding import (
    LOST_UPDATE,
    NOT_READ,
    Finding,
)
from oasis_data.audit.json_calls import argument
from oasis_data.audit.mentions import Foreign
from oasis_data.audit.reads import Read, find_reads
from oasis_data.audit.replacing import LOAD, SAVE
from oasis_data.audit.source import Source, Span
from oasis_data.audit.writes import Write, find_writes


def parse(content: bytes) -> Source | Finding:
    """Parses a source; a finding that says why if it cannot be."""
    try:
        return Source(content)
    except SyntaxError as error:
        line, column = error.lineno or 1, max((error.offset or 1) - 1, 0)
        fault = error.msg
    except (ValueError, RecursionError, MemoryError) as error:
        line, column, fault = 1, 0, str(error)
    span = Span(line, column, line, column)
    return Finding(NOT_READ, span, f"not Python: {fault}", "", "it cannot be parsed")


def audit_source(source: Source, foreign: Foreign) -> list[Finding]:
    """Finds everything in one source.

    Args:
        source: The source.
        foreign: What the other sources mention.
    """
    writes = list(find_writes(source))
    reads = list(find_reads(source))
    saves = [*_saves(source, writes)]
    loads = [*reads, *_loads(source)]
    findings = [
        *(each.finding for each in writes),
        *(each.finding for each in reads if each.finding),
        *find_caches(source, loads, saves, foreign),
        *_lost_updates(source, loads, saves),
    ]
    return sorted(findings, key=lambda each: (each.span.line, each.span.column, each.rule.name))


def _saves(source: Source, writes: list[Write]) -> Iterator[Saved]:
    for write in writes:
        if write.finding.fixable:
            whole = write.statement or source.statement(write.call)
            yield Saved(whole, write.call, ast.dump(write.path), ast.dump(write.data))
    for function, call in library_calls(source):
        path, data = argument(call, 0, "file_path"), argument(call, 1, "data")
        if function == SAVE and path is not None and data is not None:
            yield Saved(source.statement(call), call, ast.dump(path), ast.dump(data))


def _loads(source: Source) -> Iterator[Read]:
    for function, call in library_calls(source):
        path = argument(call, 0, "file_path")
        if function == LOAD and path is not None:
            yield Read(call, path, None)


def _lost_updates(
    source: Source, loads: Iterable[Read], saves: Iterable[Saved]
) -> Iterator[Finding]:
    """A file that is loaded and then saved in one function."""
    for save in saves:
        function = source.function(save.call)
        for load in loads:
            if (
                ast.dump(load.path) == save.path
                and source.function(load.call) is function
                and function is not source.tree
                and load.call.lineno < save.call.lineno
            ):
                path = source.text_of(load.path)
                yield Finding(
                    LOST_UPDATE,
                    source.span(save.call),
                    f"{path} is loaded in line {load.call.lineno}, and saved here",
                    f"with edit_json({path}) as document: change it in place; "
                    "it is saved when the block ends",
                    "only a person can say which changes belong together",
                )
                break
