"""Rewrites a source with LibCST, which keeps its format and comments."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import libcst as cst
from libcst.codemod import CodemodContext
from libcst.codemod.visitors import AddImportsVisitor
from libcst.metadata import CodeRange, MetadataWrapper, PositionProvider

from oasis_data.audit.finding import Argument, Call, Edit, Remove, Unwrap
from oasis_data.audit.mentions import Foreign
from oasis_data.audit.replacing import local_name
from oasis_data.audit.source import Source, Span

Statement = cst.SimpleStatementLine | cst.BaseCompoundStatement
Start = tuple[int, int]
JSON = frozenset({"json", "json.dump", "json.dumps", "json.load", "json.loads"})


@dataclass(frozen=True)
class Unimport:
    """Takes names out of an import."""

    target: Span
    names: frozenset[str]


def rewrite(content: bytes, source: Source, edits: Iterable[Edit], foreign: Foreign) -> bytes:
    """Carries out edits, and brings the imports in order.

    Args:
        content: The source's bytes.
        source: What they were parsed to.
        edits: Those that were found in it.
        foreign: What the other sources mention.
    """
    module = cst.parse_module(content)
    names: dict[str, str] = {}
    missing: dict[str, str] = {}
    edits = list(edits)
    for function in sorted({each.function for each in edits if isinstance(each, Call)}):
        found = local_name(source, function)
        if found is None:
            raise ValueError(f"{function} has no name here")
        names[function] = found[0]
        if found[1]:
            missing[function] = found[0]
    module = MetadataWrapper(module).visit(_Rewriter(names, edits))
    context = CodemodContext()
    for function, name in missing.items():
        alias = name if name != function else None
        AddImportsVisitor.add_needed_import(context, "oasis_data", function, alias)
    module = AddImportsVisitor(context).transform_module(module)
    unused = list(_unused_imports(source, Source(module.bytes), foreign))
    return MetadataWrapper(module).visit(_Rewriter({}, unused)).bytes


def _unused_imports(before: Source, after: Source, foreign: Foreign) -> Iterator[Unimport]:
    """The imports from `json` that were used before the edits, and are no more."""
    used_before = {name for name, _ in _used(before)}
    used = set(_used(after))
    exported = {each.value for each in after.nodes if isinstance(each, ast.Constant)}
    for node in after.nodes:
        if not isinstance(node, ast.Import | ast.ImportFrom):
            continue
        names = [each.asname or each.name for each in node.names]
        gone = frozenset(
            name
            for name in names
            if name in used_before
            and (name, node) not in used
            and name not in exported
            and not foreign.looks_up(name)
            and all(each.origin in JSON for each in after.bound_in(after.scope(node), name))
        )
        if gone:
            yield Unimport(after.span(node), gone)


def _used(source: Source) -> Iterator[tuple[str, ast.AST]]:
    for node in source.nodes:
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load):
            for binding in source.bindings(node):
                if binding.origin in JSON:
                    yield node.id, binding.node


class _Rewriter(cst.CSTTransformer):
    METADATA_DEPENDENCIES = (PositionProvider,)

    def __init__(self, names: dict[str, str], edits: Sequence[Edit | Unimport]) -> None:
        super().__init__()
        self._names = names
        self._calls = {each.target: each for each in edits if isinstance(each, Call)}
        self._items: dict[Start, set[int]] = {}
        self._removals: set[Start] = set()
        for edit in edits:
            if isinstance(edit, Unwrap):
                self._items.setdefault(_start(edit.target), set()).add(edit.item)
            elif isinstance(edit, Remove):
                self._removals.add(_start(edit.target))
        self._unused = {
            _start(each.target): each.names for each in edits if isinstance(each, Unimport)
        }
        # Calls as they are after what is inside them was rewritten.
        self._done: dict[Span, cst.Call] = {}
        self._unwrapped: set[cst.CSTNode] = set()
        # What is gone, each with the lines above it that stay.
        self._gone: dict[cst.CSTNode, Sequence[cst.EmptyLine]] = {}

    def _span(self, node: cst.CSTNode) -> Span:
        place = self.get_metadata(PositionProvider, node)
        if not isinstance(place, CodeRange):
            raise TypeError("a node without a place")
        return Span(place.start.line, place.start.column, place.end.line, place.end.column)

    # Calls

    def leave_Call(self, original_node: cst.Call, updated_node: cst.Call) -> cst.Call:
        span = self._span(original_node)
        self._done[span] = updated_node
        edit = self._calls.get(span)
        return self._replaced(updated_node, edit) if edit else updated_node

    def _replaced(self, target: cst.Call, edit: Call) -> cst.Call:
        layout = self._done[edit.layout]
        whole = edit.layout == edit.target
        values = [(None, self._value(each)) for each in edit.arguments]
        arguments = [cst.Arg(value) for _, value in values]
        for name, value in edit.keywords:
            expression = (
                cst.parse_expression(value) if isinstance(value, str) else self._value(value)
            )
            plain = cst.SimpleWhitespace("")
            equal = cst.AssignEqual(whitespace_before=plain, whitespace_after=plain)
            arguments.append(cst.Arg(expression, keyword=cst.Name(name), equal=equal))
        between = cst.Comma(whitespace_after=cst.SimpleWhitespace(" "))
        last: cst.Comma | cst.MaybeSentinel = cst.MaybeSentinel.DEFAULT
        if whole and layout.args:
            last = layout.args[-1].comma
            if isinstance(layout.args[0].comma, cst.Comma) and len(layout.args) > 1:
                between = layout.args[0].comma
        arguments = [
            *(each.with_changes(comma=between) for each in arguments[:-1]),
            arguments[-1].with_changes(
                comma=last,
                whitespace_after_arg=layout.args[-1].whitespace_after_arg
                if whole and layout.args
                else cst.SimpleWhitespace(""),
            ),
        ]
        return target.with_changes(
            func=cst.Name(self._names[edit.function]),
            args=arguments,
            whitespace_before_args=target.whitespace_before_args
            if whole
            else cst.SimpleWhitespace(""),
        )

    def _value(self, argument: Argument) -> cst.BaseExpression:
        call = self._done[argument.call]
        if argument.place is not None:
            return call.args[argument.place].value
        if not isinstance(call.func, cst.Attribute):
            raise TypeError("nothing stands before a dot")
        value = call.func.value
        # As an argument it needs no parentheses.
        bare = isinstance(value, cst.BinaryOperation)
        return value.with_changes(lpar=[], rpar=[]) if bare else value

    # Statements

    def leave_With(self, original_node: cst.With, updated_node: cst.With) -> cst.With:
        gone = self._items.get(_start(self._span(original_node)))
        if not gone:
            return updated_node
        items = [each for place, each in enumerate(updated_node.items) if place not in gone]
        if items:
            items[-1] = items[-1].with_changes(comma=cst.MaybeSentinel.DEFAULT)
            return updated_node.with_changes(items=items)
        self._unwrapped.add(updated_node)
        return updated_node

    def leave_If(self, original_node: cst.If, updated_node: cst.If) -> cst.If:
        if _start(self._span(original_node)) in self._removals:
            self._gone[updated_node] = _apart(updated_node.leading_lines)
        return updated_node

    def leave_SimpleStatementLine(
        self, original_node: cst.SimpleStatementLine, updated_node: cst.SimpleStatementLine
    ) -> cst.SimpleStatementLine:
        body = self._kept(original_node.body, updated_node.body)
        if body:
            return updated_node.with_changes(body=body)
        # As it was: LibCST would drop an empty line, and the comments above with it.
        lines = updated_node.leading_lines
        imports = isinstance(original_node.body[0], cst.Import | cst.ImportFrom)
        self._gone[updated_node] = lines if imports else _apart(lines)
        return updated_node

    def leave_SimpleStatementSuite(
        self, original_node: cst.SimpleStatementSuite, updated_node: cst.SimpleStatementSuite
    ) -> cst.SimpleStatementSuite:
        return updated_node.with_changes(body=self._kept(original_node.body, updated_node.body))

    def _kept(
        self,
        originals: Sequence[cst.BaseSmallStatement],
        updated: Sequence[cst.BaseSmallStatement],
    ) -> list[cst.BaseSmallStatement]:
        kept: list[cst.BaseSmallStatement] = []
        for old, new in zip(originals, updated, strict=True):
            start = _start(self._span(old))
            unused = self._unused.get(start, frozenset())
            if isinstance(new, cst.Import | cst.ImportFrom) and unused:
                if isinstance(new.names, cst.ImportStar):
                    raise TypeError("a star has no name")
                names = [each for each in new.names if _imported_as(each) not in unused]
                if names:
                    names[-1] = names[-1].with_changes(comma=cst.MaybeSentinel.DEFAULT)
                    kept.append(new.with_changes(names=names))
            elif start not in self._removals:
                kept.append(new)
        if kept and len(kept) < len(updated):
            kept[-1] = kept[-1].with_changes(semicolon=cst.MaybeSentinel.DEFAULT)
        return kept

    def leave_IndentedBlock(
        self, original_node: cst.IndentedBlock, updated_node: cst.IndentedBlock
    ) -> cst.IndentedBlock:
        body, after = self._without_gone(updated_node.body)
        return updated_node.with_changes(body=body, footer=[*after, *updated_node.footer])

    def leave_Module(self, original_node: cst.Module, updated_node: cst.Module) -> cst.Module:
        body, after = self._without_gone(updated_node.body)
        return updated_node.with_changes(body=body, footer=[*after, *updated_node.footer])

    def _without_gone(
        self, statements: Sequence[cst.BaseStatement]
    ) -> tuple[list[cst.BaseStatement], list[cst.EmptyLine]]:
        """A block without what is gone, and the comments that are left after its end."""
        placed: list[cst.BaseStatement] = []
        carried: list[cst.EmptyLine] = []
        # What is gone stood first: the empty lines after it separate nothing any more.
        opening = False
        for statement in statements:
            if not isinstance(statement, cst.SimpleStatementLine | cst.BaseCompoundStatement):
                raise TypeError("a statement of an unknown kind")
            if statement in self._gone:
                carried = _joined(carried, self._gone[statement])
                opening = not placed and not carried
                continue
            body: Sequence[Statement] = [statement]
            after: Sequence[cst.EmptyLine] = []
            if isinstance(statement, cst.With) and statement in self._unwrapped:
                body, after = _unwrapped(statement)
            first, *others = body
            lines = _joined(carried, first.leading_lines)
            while opening and lines and lines[0].comment is None:
                del lines[0]
            opening = False
            placed += [first.with_changes(leading_lines=lines), *others]
            carried = list(after)
        return placed, carried


def _unwrapped(statement: cst.With) -> tuple[list[Statement], Sequence[cst.EmptyLine]]:
    """The statements inside a `with`, and the comments at its end."""
    lines = list(statement.leading_lines)
    block = statement.body
    if isinstance(block, cst.SimpleStatementSuite):
        line = cst.SimpleStatementLine(
            block.body, leading_lines=lines, trailing_whitespace=block.trailing_whitespace
        )
        return [line], []
    if not isinstance(block, cst.IndentedBlock):
        raise TypeError("a block of an unknown kind")
    if block.header.comment:
        lines.append(cst.EmptyLine(comment=block.header.comment))
    first, *others = [
        each
        for each in block.body
        if isinstance(each, cst.SimpleStatementLine | cst.BaseCompoundStatement)
    ]
    first = first.with_changes(leading_lines=[*lines, *first.leading_lines])
    return [first, *others], block.footer


def _apart(lines: Sequence[cst.EmptyLine]) -> Sequence[cst.EmptyLine]:
    """The lines above a statement, without the comments right above it, which go with it."""
    for place in range(len(lines), 0, -1):
        if lines[place - 1].comment is None:
            return lines[:place]
    return []


def _joined(above: list[cst.EmptyLine], below: Sequence[cst.EmptyLine]) -> list[cst.EmptyLine]:
    """Lines in a row, without doubling the empty ones where they meet."""
    above = list(above)
    while above and below and above[-1].comment is None and below[0].comment is None:
        above.pop()
    return [*above, *below]


def _imported_as(alias: cst.ImportAlias) -> str:
    return alias.evaluated_alias or alias.evaluated_name


def _start(span: Span) -> Start:
    return span.line, span.column
