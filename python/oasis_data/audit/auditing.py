"""Audits one source: all findings, in the order of the lines."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import replace

from oasis_data.audit.caches import Saved, find_caches, library_calls
from oasis_data.audit.finding import NOT_READ, Finding
from oasis_data.audit.helpers import Access, Accesses, exported, find_accesses
from oasis_data.audit.json_calls import argument
from oasis_data.audit.listings import find_listings
from oasis_data.audit.mentions import Foreign, Shared
from oasis_data.audit.reads import Read, find_reads
from oasis_data.audit.replacing import LOAD, SAVE, origins_of
from oasis_data.audit.source import FUNCTIONS, Source, Span
from oasis_data.audit.suppressions import Suppressions
from oasis_data.audit.terms import Terms
from oasis_data.audit.updates import find_lost_updates
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
    comments = Suppressions(source)
    # First of all: suppressed code stays as it is, and no fix builds on it.
    writes = [replace(each, finding=comments.apply(each.finding)) for each in find_writes(source)]
    reads = [
        replace(each, finding=comments.apply(each.finding)) if each.finding else each
        for each in find_reads(source)
    ]
    saves = [*_saves(source, writes)]
    loads = [*reads, *_loads(source)]
    accesses = _accesses(source, writes, reads, foreign)
    helped = [
        each
        for function in accesses.by_function.values()
        for each in function
        if each.through and not each.is_save
    ]
    findings = [
        *(each.finding for each in writes),
        *(each.finding for each in reads if each.finding),
        # safeguard: cache-of-helper-loads
        *find_caches(source, [*loads, *helped], saves, foreign, comments),
        *map(comments.apply, find_lost_updates(source, accesses)),
        *map(comments.apply, find_listings(source, accesses)),
    ]
    findings = [_placed(source, each) for each in (*findings, *comments.unused())]
    return sorted(findings, key=lambda each: (each.span.line, each.span.column, each.rule.name))


def _placed(source: Source, finding: Finding) -> Finding:
    """The finding with a fingerprint that stays when lines come and go."""
    span = finding.span
    around = [
        each
        for each in source.nodes
        if isinstance(each, (*FUNCTIONS, ast.ClassDef))
        and each.lineno <= span.line <= (each.end_lineno or each.lineno)
        and each.col_offset < span.column
    ]
    names = [each.name for each in sorted(around, key=lambda each: each.lineno)]
    return replace(finding, function=".".join(names), code=source.text_at(span))


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


def offered(source: Source, module: str) -> Shared:
    """The helpers that load and save, and the paths, of a source."""
    terms = Terms(source, module, {})
    writes, reads = list(find_writes(source)), list(find_reads(source))
    found = _accesses(source, writes, reads, Foreign(module))
    constants = {}
    for statement in source.tree.body:
        for target in statement.targets if isinstance(statement, ast.Assign) else ():
            if isinstance(target, ast.Name):
                term = terms.of(target)
                # Anything else than text is a symbol of the other module all the same.
                if any(isinstance(atom, str) for atom in term):
                    constants[f"{module}.{target.id}"] = term
    return Shared(dict(exported(source, module, found)), constants)


def _accesses(source: Source, writes: list[Write], reads: list[Read], foreign: Foreign) -> Accesses:
    terms = Terms(source, foreign.module, foreign.shared.constants)
    direct = [*_direct(source, writes, reads, terms)]
    return find_accesses(source, foreign.module, direct, foreign.shared, terms)


def _direct(
    source: Source, writes: list[Write], reads: list[Read], terms: Terms
) -> Iterator[Access]:
    """The loads and saves that are no helper's."""
    for read in reads:
        yield Access(read.call, terms.of(read.path), source.text_of(read.path))
    for write in writes:
        # What is appended, or created only if it is missing, replaces nobody's change.
        path = write.place
        if path in source.parents and not {"a", "x"} & set(write.mode or ""):
            yield Access(write.call, terms.of(path), source.text_of(path), (write.data,))
    for call in source.nodes:
        if isinstance(call, ast.Call):
            for path, data in _of_library(source, call):
                yield Access(call, terms.of(path), source.text_of(path), data)


def _of_library(source: Source, call: ast.Call) -> Iterator[tuple[ast.expr, tuple[ast.expr, ...]]]:
    """The paths that a call of the package loads, or saves with some data."""
    origins = source.origins(call.func)

    def calls(*names: str) -> bool:
        return any(origins <= origins_of(name) for name in names)

    path, data = argument(call, 0, "file_path"), argument(call, 1, "data")
    if calls(LOAD, "load_with_version") and path is not None:
        yield path, ()
    elif calls("load_many"):
        paths = argument(call, 0, "file_paths")
        if isinstance(paths, ast.List | ast.Tuple):
            yield from ((each, ()) for each in paths.elts)
    elif any(each.arg == "if_version" for each in call.keywords):
        # A change by another in between is refused.
        return
    elif calls(SAVE, "save_with_version", "atomic_writer.write"):
        if path is not None and data is not None:
            yield path, (data,)
    elif calls("save_many_atomic"):
        documents = argument(call, 0, "documents")
        if isinstance(documents, ast.Dict):
            for key, value in zip(documents.keys, documents.values, strict=True):
                if key is not None:
                    yield key, (value,)
