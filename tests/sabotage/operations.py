"""What a sabotage does to the marked code. Each operation returns the code's new text.

- `remove`: the code goes; in Python `pass` takes its place.
- `never`, `always`: its first condition becomes false, or true. Conditions are those of an `if`,
  a `while` and a match arm.
- `without(*numbers)`: its first chain of `&&` or `||` loses the operands with these numbers,
  counted from 0.
- `value(text)`: its value becomes this text. A `let`, an assignment, a `return`, a match arm and a
  field have a value; any other code is its own value.
- `edit(pattern, replacement)`: the only match of a regular expression is replaced.

An operation survives a rename best when it names nothing: prefer the upper ones, and keep a pattern
short and free of names.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from tree_sitter import Node

from tests.sabotage.markers import Marked, TableError

Operation = Callable[[Marked], str]

VALUES = {
    "let_declaration": "value",
    "const_item": "value",
    "match_arm": "value",
    "field_initializer": "value",
    "keyword_argument": "value",
    "pair": "value",
    "assignment_expression": "right",
    "assignment": "right",
}
RETURNS = ("return_expression", "return_statement")


def remove(marked: Marked) -> str:
    """Takes the code out."""
    return "pass" if is_python(marked) else ""


def never(marked: Marked) -> str:
    """Makes the first condition false."""
    condition = condition_of(marked)
    false = "False" if is_python(marked) else "false"
    # The names that it binds stay bound.
    return replaced(
        marked, condition, f"false && {text_of(condition)}" if binds(condition) else false
    )


def always(marked: Marked) -> str:
    """Makes the first condition true."""
    condition = condition_of(marked)
    if binds(condition):
        raise TableError(f"{marked.slug}: this condition binds names:\n{text_of(condition)}")
    return replaced(marked, condition, "True" if is_python(marked) else "true")


def without(*numbers: int) -> Operation:
    """Takes operands out of the first chain of conditions."""

    def operation(marked: Marked) -> str:
        for node in nodes_of(syntax_of(marked)):
            if link := link_of(node):
                operands = list(operands_of(node, link))
                left = [text for number, text in enumerate(operands) if number not in numbers]
                if len(left) != len(operands) - len(numbers):
                    raise TableError(f"{marked.slug}: no operands {numbers} in\n{marked.text}")
                return replaced(marked, node, f" {link} ".join(left))
        raise TableError(f"{marked.slug}: no chain of conditions in\n{marked.text}")

    return operation


def value(text: str) -> Operation:
    """Gives the code another value."""

    def operation(marked: Marked) -> str:
        return replaced(marked, value_of(syntax_of(marked)), text)

    return operation


def edit(pattern: str, replacement: str) -> Operation:
    """Replaces a part of the code; a group of the pattern is `\\1` in the replacement."""

    def operation(marked: Marked) -> str:
        text, count = re.subn(pattern, replacement, marked.text)
        if count != 1:
            raise TableError(f"{marked.slug}: {pattern!r} matches {count} times in\n{marked.text}")
        return text

    return operation


def is_python(marked: Marked) -> bool:
    return marked.file.suffix == ".py"


def syntax_of(marked: Marked) -> Node:
    if marked.node is None:
        raise TableError(f"{marked.slug}: only `edit` works on a page")
    return marked.node


def condition_of(marked: Marked) -> Node:
    for node in nodes_of(syntax_of(marked)):
        if condition := node.child_by_field_name("condition"):
            return condition
    raise TableError(f"{marked.slug}: there is no condition in\n{marked.text}")


def binds(condition: Node) -> bool:
    return any(node.type == "let_condition" for node in nodes_of(condition))


def value_of(node: Node) -> Node:
    if node.type == "expression_statement" or node.type in RETURNS:
        return value_of(node.named_children[0])
    field = VALUES.get(node.type)
    return (field and node.child_by_field_name(field)) or node


def link_of(node: Node) -> str | None:
    """What links the operands of a chain of conditions."""
    if node.type == "let_chain":
        return "&&"
    operator = node.child_by_field_name("operator")
    return operator.type if operator and operator.type in ("&&", "||", "and", "or") else None


def operands_of(node: Node, link: str) -> Iterator[str]:
    if link_of(node) == link:
        for child in node.named_children:
            yield from operands_of(child, link)
    elif "comment" not in node.type:
        yield text_of(node)


def nodes_of(node: Node) -> Iterator[Node]:
    """A node and everything in it, as it stands in the text."""
    yield node
    for child in node.children:
        yield from nodes_of(child)


def text_of(node: Node) -> str:
    return (node.text or b"").decode()


def replaced(marked: Marked, node: Node, text: str) -> str:
    whole = syntax_of(marked).text or b""
    start, end = node.start_byte - marked.start, node.end_byte - marked.start
    return (whole[:start] + text.encode() + whole[end:]).decode()
