"""Finds code that lists a folder of JSON files and opens or removes the files that it meets.

The code meets backups too (`x.json.backup.<stamp>`), and the folder `.oasis_data` with locks,
temporary files and journals. A pattern or a condition that leaves those out is looked for.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase

from oasis_data._native import SIDECAR
from oasis_data.audit.finding import LISTED_FOLDER, Finding
from oasis_data.audit.helpers import Accesses
from oasis_data.audit.json_calls import argument
from oasis_data.audit.source import Source
from oasis_data.audit.terms import Terms

STAMP = "20260101_120000_123456"
BACKUPS = "the backups"
FOLDER = f"the folder {SIDECAR}"
# What a document's neighbours are called, with the ends that a pattern may ask for.
ENDS = (f".backup.{STAMP}", f".backup.{STAMP}.gz")
INSIDE = ("locks/{}.lock", "temp/{}.k3QxZ81bTqwe", "journal", "journal.lock", ".gitignore")
GLOBS = frozenset({"glob.glob", "glob.iglob"})
LISTS = frozenset({"os.listdir", "os.scandir", "os.walk"})
METHODS = frozenset({"glob", "rglob", "iterdir", "walk"})
REMOVALS = frozenset(
    {
        *("os.remove", "os.unlink", "os.rename", "os.replace", "os.rmdir"),
        *("shutil.rmtree", "shutil.move", "send2trash.send2trash"),
    }
)
REMOVING = frozenset({"unlink", "rename", "replace", "rmdir"})
OPENS = frozenset({"builtins.open", "io.open", "os.open"})
OPENING = frozenset({"open", "read_text", "read_bytes", "write_text", "write_bytes"})


@dataclass(frozen=True)
class _Listing:
    call: ast.Call
    meets: frozenset[str]


def find_listings(source: Source, found: Accesses) -> Iterator[Finding]:
    """Finds listings that meet more than the documents, and whose entries are then used."""
    if not re.search(r"\.json\b|\bjson\b|oasis_data", source.text):
        return
    listings = [
        each
        for node in source.nodes
        if isinstance(node, ast.Call) and (each := _listing(source, node, found.terms))
    ]
    accesses = {each.call for group in found.by_function.values() for each in group}
    for listing in listings:
        uses = [
            (use, meets)
            for use, given in _uses(source, accesses).items()
            if source.function(use) is source.function(listing.call)
            and listing.call in found.flows.into(given).calls
            and not _is_named(given, found.terms)
            and (meets := listing.meets - _left_out(source, use, given, found))
        ]
        if uses:
            first = min(use.lineno for use, _ in uses)
            every = frozenset[str]().union(*(meets for _, meets in uses))
            yield Finding(
                LISTED_FOLDER,
                source.span(listing.call),
                f"{source.text_of(listing.call)} meets {' and '.join(sorted(every))}; "
                f"line {first} takes each for a file of its own",
                'list only "*.json"; remove a document with delete_json_atomic, and backups '
                "with prune_backups",
                "only a person can say which files are meant",
            )


def _listing(source: Source, call: ast.Call, terms: Terms) -> _Listing | None:
    """What a call that lists a folder meets beside the documents; None if it meets nothing."""
    origins = source.origins(call.func)
    if origins <= GLOBS:
        pattern = argument(call, 0, "pathname")
        hidden = any(each.arg == "include_hidden" for each in call.keywords)
        deep = any(each.arg == "recursive" for each in call.keywords) and hidden
        meets = _matched(pattern, terms, hidden, deep)
    elif origins <= LISTS:
        meets = frozenset({BACKUPS, FOLDER})
    elif isinstance(call.func, ast.Attribute) and call.func.attr in METHODS:
        method = call.func.attr
        if method in ("iterdir", "walk"):
            known = not call.args and not call.keywords
            meets = frozenset({BACKUPS, FOLDER} if known else ())
        else:
            pattern = argument(call, 0, "pattern")
            meets = _matched(pattern, terms, True, method == "rglob")
    else:
        return None
    return _Listing(call, meets) if meets else None


def _matched(pattern: ast.expr | None, terms: Terms, hidden: bool, deep: bool) -> frozenset[str]:
    """What a pattern matches; nothing where it is not known."""
    if pattern is None:
        return frozenset()
    term = terms.of(pattern)
    # What is not known of a name is taken for text, and in a pattern alone for nothing to match.
    text = "".join(each if isinstance(each, str) else "x" for each in term)
    *folders, last = text.split("/")
    meets = set()
    if last == "**":
        # Only folders, or all there is where it is asked for.
        meets = {BACKUPS}
    # safeguard: pattern-without-backups
    if any(fnmatchcase(name, last) for name in _backups_like(last)):
        meets.add(BACKUPS)
    deep = deep or ("**" in folders and hidden)
    if hidden and (fnmatchcase(SIDECAR, last) or (deep and _matches_inside(last))):
        meets.add(FOLDER)
    return frozenset(meets)


def _backups_like(pattern: str) -> Iterator[str]:
    """Names of backups, of which the pattern matches one if it matches any."""
    parts = re.split(r"\*+", pattern)
    for place in range(1, len(parts)):
        for end in ENDS:
            for filling in (f"x.json{end}", end, STAMP, f"{STAMP}.gz", ""):
                name = "".join(parts[:place]) + filling + "".join(parts[place:])
                name = re.sub(r"\[!?(.)[^]]*\]", r"\1", name).replace("?", "x")
                if name.endswith(ENDS):
                    yield name


def _matches_inside(pattern: str) -> bool:
    names = [each.format("x.json").rpartition("/")[2] for each in INSIDE]
    return any(fnmatchcase(each, pattern) for each in names)


def _is_named(given: list[ast.expr], terms: Terms) -> bool:
    """Whether the file has a name of its own, in a folder that was listed."""
    (*_, last) = terms.of(given[0]) if given else ("",)
    return isinstance(last, str) and "." in last


def _uses(source: Source, accesses: set[ast.Call]) -> dict[ast.Call, list[ast.expr]]:
    """The calls that remove or open a file, with what they are given."""
    uses: dict[ast.Call, list[ast.expr]] = {}
    for call in source.nodes:
        if not isinstance(call, ast.Call):
            continue
        origins = source.origins(call.func)
        first = call.args[:1]
        method = call.func.attr if isinstance(call.func, ast.Attribute) else ""
        receiver = [call.func.value] if isinstance(call.func, ast.Attribute) else []
        if origins <= REMOVALS or origins <= OPENS:
            uses[call] = first
        elif origins == {"builtins.map"} and len(call.args) == 2:
            if source.origins(call.args[0]) & (REMOVALS | OPENS):
                uses[call] = call.args[1:]
        elif method in REMOVING and len(call.args) <= (method in ("rename", "replace")):
            if method != "replace" or len(call.args) == 1:
                uses[call] = receiver
        elif method in OPENING:
            uses[call] = receiver
        elif call in accesses:
            uses[call] = list(call.args)
    return uses


def _left_out(
    source: Source, use: ast.Call, given: list[ast.expr], found: Accesses
) -> frozenset[str]:
    """What conditions on the names keep away from a use."""
    names = found.flows.into(given).names
    left: set[str] = set()
    for test, wanted in _conditions(source, use, names):
        if not found.flows.into([test]).names & names:
            continue
        left |= _excluded(source, test, wanted)
    return frozenset(left)


def _conditions(
    source: Source, use: ast.Call, names: set[ast.AST]
) -> Iterator[tuple[ast.expr, bool]]:
    """The conditions under which a use is reached, and whether each is to hold."""
    comprehensions: list[ast.comprehension] = []
    inner: ast.AST = use
    for around in source.ancestors(use):
        if isinstance(around, ast.If | ast.IfExp | ast.While):
            body = around.body if isinstance(around.body, list) else [around.body]
            if inner in body:
                yield around.test, True
            elif inner is not around.test:
                yield around.test, False
        comprehensions += getattr(around, "generators", [])
        if isinstance(around, ast.For | ast.AsyncFor):
            for statement in around.body:
                if (
                    isinstance(statement, ast.If)
                    and (statement.end_lineno or 0) < use.lineno
                    and isinstance(statement.body[-1], ast.Continue | ast.Return | ast.Raise)
                ):
                    yield statement.test, False
        inner = around
    # Also where the list is made that is gone through later.
    for name in names:
        for value in _values(source, name):
            comprehensions += [
                each for each in ast.walk(value) if isinstance(each, ast.comprehension)
            ]
            for node in ast.walk(value):
                if isinstance(node, ast.Call) and source.origins(node.func) == {"fnmatch.filter"}:
                    yield node, True
    for each in comprehensions:
        yield from ((test, True) for test in each.ifs)


def _values(source: Source, name: ast.AST) -> Iterator[ast.expr]:
    """What a name is bound to, by an assignment or a loop."""
    around = source.parents.get(name)
    if isinstance(around, ast.Assign | ast.AnnAssign | ast.NamedExpr) and around.value is not None:
        yield around.value
    elif isinstance(around, ast.For | ast.AsyncFor):
        yield around.iter


def _excluded(source: Source, test: ast.expr, wanted: bool) -> set[str]:
    """What a condition on a name keeps away if it holds, or if it does not."""
    if isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not):
        return _excluded(source, test.operand, not wanted)
    if isinstance(test, ast.BoolOp):
        parts = [_excluded(source, each, wanted) for each in test.values]
        every = isinstance(test.op, ast.And) == wanted
        return set.union(*parts) if every else set.intersection(*parts)
    texts = [
        each.value
        for each in ast.walk(test)
        if isinstance(each, ast.Constant) and isinstance(each.value, str)
    ]
    # Whoever names them knows of them.
    excluded = {BACKUPS} if any("backup" in each for each in texts) else set()
    if any("oasis_data" in each for each in texts):
        excluded.add(FOLDER)
    guard = ast.unparse(test)
    negated = isinstance(test, ast.Compare) and isinstance(test.ops[0], ast.NotEq | ast.NotIn)
    holds = wanted != negated
    ends = "endswith" in guard or "suffix" in guard or "splitext" in guard
    equal = isinstance(test, ast.Compare) and isinstance(test.ops[0], ast.Eq | ast.In)
    equal = equal or negated
    contains = equal and isinstance(test, ast.Compare) and isinstance(test.left, ast.Constant)
    patterns = "fnmatch" in guard or ".match(" in guard
    if holds and (ends or (equal and not contains) or patterns):
        globs = texts if patterns else []
        if not any(fnmatchcase(name, each) for each in globs for name in _backups_like(each)):
            excluded.add(BACKUPS)
        if not any(fnmatchcase(SIDECAR, each) or _matches_inside(each) for each in globs):
            excluded.add(FOLDER)
    elif "is_file" in guard or "isfile" in guard:
        excluded |= {FOLDER} if wanted else set()
    elif "is_dir" in guard or "isdir" in guard:
        excluded |= {BACKUPS} if wanted else {FOLDER}
    elif "startswith" in guard and "." in texts and not wanted:
        excluded.add(FOLDER)
    elif ("re.match" in guard or "re.fullmatch" in guard or "re.search" in guard) and holds:
        excluded |= {BACKUPS, FOLDER}
    return excluded
