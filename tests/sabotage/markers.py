"""Finds the marked code: by its marker, wherever its file is."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import tree_sitter_python
import tree_sitter_rust
from tree_sitter import Language, Node, Parser

FOLDERS = ("src", "python", "docs")
RUST, PYTHON, PAGE = ".rs", ".py", ".md"
PARSERS = {
    RUST: Parser(Language(tree_sitter_rust.language())),
    PYTHON: Parser(Language(tree_sitter_python.language())),
}
MARKERS = {
    RUST: re.compile(rb"^ *// safeguard: (\S+)\n\s*", re.MULTILINE),
    PYTHON: re.compile(rb"^ *# safeguard: (\S+)\n\s*", re.MULTILINE),
    PAGE: re.compile(rb"^<!-- safeguard: (\S+) -->\n\s*", re.MULTILINE),
}
# In Python a block starts where its first statement does.
BLOCKS = ("block", "module", "source_file")
NO_CODE = ("line_comment", "block_comment", "comment", "attribute_item")
CODE_BLOCK = re.compile(rb"^```.*?^```$", re.MULTILINE | re.DOTALL)


class TableError(Exception):
    """The table and the source do not fit together."""


@dataclass(frozen=True)
class Marked:
    """The code that a marker stands above: a syntax node, or a code block of a page."""

    slug: str
    file: Path
    source: bytes
    start: int
    end: int
    node: Node | None

    @property
    def text(self) -> str:
        """The marked code alone."""
        return self.source[self.start : self.end].decode()

    def with_code(self, text: str) -> bytes:
        """The whole file with this text in place of the marked code."""
        changed = self.source[: self.start] + text.encode() + self.source[self.end :]
        if changed == self.source:
            raise TableError(f"{self.slug}: the operation changes nothing")
        parser = PARSERS.get(self.file.suffix)
        if parser and parser.parse(changed).root_node.has_error:
            raise TableError(f"{self.slug}: the operation leaves a syntax error:\n{text}")
        return changed


def marked_in(file: Path, source: bytes) -> Iterator[Marked]:
    """The marked code of one file."""
    markers = list(MARKERS[file.suffix].finditer(source))
    if not markers:
        return
    parser = PARSERS.get(file.suffix)
    tree = parser.parse(source) if parser else None
    for marker in markers:
        slug, start = marker[1].decode(), marker.end()
        node = node_from(tree.root_node, start) if tree else None
        block = CODE_BLOCK.match(source, start)
        if node:
            end = node.end_byte
        elif block:
            end = block.end()
        else:
            raise TableError(f"{slug}: its marker in {file} does not stand directly above code")
        yield Marked(slug, file, source, start, end, node)


def node_from(root: Node, start: int) -> Node | None:
    """The largest statement, match arm, field or expression that starts here."""
    node = root.named_descendant_for_byte_range(start, start + 1)
    if node is None or node.start_byte != start or node.type in NO_CODE:
        return None
    while (above := node.parent) and above.start_byte == start and above.type not in BLOCKS:
        node = above
    return node


def find_marked(root: Path) -> dict[str, Marked]:
    """The marked code below a folder, by slug."""
    found: dict[str, Marked] = {}
    files = (file for folder in FOLDERS for file in sorted((root / folder).rglob("*")))
    for file in files:
        if file.suffix not in MARKERS:
            continue
        for marked in marked_in(file.relative_to(root), file.read_bytes()):
            if earlier := found.get(marked.slug):
                raise TableError(f"{marked.slug}: marked in {earlier.file} and in {marked.file}")
            found[marked.slug] = marked
    return found
