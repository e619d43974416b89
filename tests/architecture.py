"""The rooms of the house, what each imports, and any circle.

    python -m tests.architecture

Reads the sources alone: `use` lines and inline paths of src/**/*.rs, and the import
statements of python/oasis_data. A room is a file or folder right below src/. Exits with 1
where a file imports in a circle, or from a floor above its own.
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]

FLOORS: list[tuple[str, set[str]]] = [
    ("ground", {"error", "settings", "statistics", "stack", "imported", "cache", "codec"}),
    ("engines", {"engine", "files", "postgres"}),
    ("documents", {"documents"}),
    ("face", {"python"}),
]
"""The floors from the lowest to the highest, each with its rooms. A room may be missing."""

Graph = Mapping[str, set[str]]

NO_CODE = re.compile(
    r"""
    //[^\n]*                            # a comment
    | /\*.*?\*/
    | b?r(?P<hash>\#*)".*?"(?P=hash)    # a raw string
    | b?"(?:\\.|[^"\\])*"               # a string
    | b?'(?:\\.[^']*|[^'\\])'           # a character, not a lifetime
    """,
    re.VERBOSE | re.DOTALL,
)
USE = re.compile(r"\buse\s+((?:crate|self|super)\b[^;]*);")
INLINE = re.compile(r"\b(?:crate|super)(?:::\w+)+")
CHILD = re.compile(r"^\s*(?:pub(?:\([^)]*\))?\s+)?mod\s+(\w+)\s*;", re.MULTILINE)


def paths_of_use(tree: str, start: str = "") -> Iterator[str]:
    """The paths of a `use` tree, its braces resolved."""
    depth, begin = 0, 0
    parts = []
    for position, letter in enumerate(tree):
        depth += (letter == "{") - (letter == "}")
        if letter == "," and not depth:
            parts.append(tree[begin:position])
            begin = position + 1
    parts.append(tree[begin:])
    for part in filter(None, map(str.strip, parts)):
        head, brace, rest = part.partition("{")
        if brace:
            yield from paths_of_use(rest[: rest.rindex("}")], start + head.strip())
        else:
            yield start + part.split(" as ")[0].strip()


def module_of(file: Path, source: Path) -> tuple[str, ...]:
    """The path of the module in a Rust file, without `crate`."""
    parts = file.relative_to(source).with_suffix("").parts
    return parts[:-1] if parts[-1] in ("mod", "lib") else parts


def imports_of(text: str, module: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    """The paths that a Rust source names, each from the crate's root."""
    code = NO_CODE.sub(" ", text)
    uses = [path for tree in USE.findall(code) for path in paths_of_use(tree)]
    inline = INLINE.findall(USE.sub(" ", code))
    children = [
        f"self::{child}"
        for child in CHILD.findall(code)
        if re.search(rf"(?<![:\w]){child}::\w", code)
    ]
    for path in uses + inline + children:
        first, *rest = path.split("::")
        start = {"crate": (), "self": module, "super": module[:-1]}[first]
        while rest and rest[0] == "super":
            start, rest = start[:-1], rest[1:]
        yield (*start, *(part for part in rest if part not in ("self", "*")))


def rust_graph(source: Path = ROOT / "src") -> dict[str, set[str]]:
    """Which Rust file imports which, by their paths below src/."""
    files = {module_of(file, source): file for file in sorted(source.rglob("*.rs"))}
    graph: dict[str, set[str]] = {}
    for module, file in files.items():
        found = set()
        for path in imports_of(file.read_text(), module):
            known = (path[:length] for length in range(len(path), 0, -1))
            target = next((files[part] for part in known if part in files), None)
            if target and target != file:
                found.add(str(target.relative_to(source)))
        graph[str(file.relative_to(source))] = found
    return graph


def python_graph(source: Path = ROOT / "python") -> dict[str, set[str]]:
    """Which Python module imports which, those of the type checker and of functions too."""
    modules = {}
    for file in sorted([*source.rglob("*.py"), *source.rglob("*.pyi")]):
        parts = file.relative_to(source).with_suffix("").parts
        modules[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = file
    graph = {}
    for module, file in modules.items():
        package = module if file.name == "__init__.py" else module.rpartition(".")[0]
        found = set()
        # A stub says of what types the native module is; it imports nothing itself.
        text = "" if file.suffix == ".pyi" else file.read_text()
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.Import):
                found |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                above = package.split(".")[: len(package.split(".")) + 1 - node.level]
                start = ".".join([*(above if node.level else []), *filter(None, [node.module])])
                for alias in node.names:
                    inner = f"{start}.{alias.name}"
                    found.add(inner if inner in modules else start)
        graph[module] = {name for name in found if name in modules and name != module}
    return graph


def circles(graph: Graph) -> list[list[str]]:
    """The sets of nodes that reach each other (Tarjan)."""
    order: dict[str, int] = {}
    lowest: dict[str, int] = {}
    stack: list[str] = []
    found = []

    def visit(node: str) -> None:
        order[node] = lowest[node] = len(order)
        stack.append(node)
        for other in sorted(graph.get(node, ())):
            if other not in order:
                visit(other)
            if other in stack:
                lowest[node] = min(lowest[node], lowest[other])
        if lowest[node] == order[node]:
            circle = [stack.pop()]
            while circle[-1] != node:
                circle.append(stack.pop())
            if len(circle) > 1:
                found.append(sorted(circle))

    for node in sorted(graph):
        if node not in order:
            visit(node)
    return found


def room_of(file: str) -> str:
    """The room of a Rust file."""
    return file.split("/", 1)[0].removesuffix(".rs")


def floor_of(room: str) -> int | None:
    """The number of a room's floor, or nothing for lib.rs and for a room without a floor."""
    return next((number for number, (_, rooms) in enumerate(FLOORS) if room in rooms), None)


def upward(graph: Graph) -> list[str]:
    """The imports from a floor above."""
    found = []
    for file, others in sorted(graph.items()):
        for other in sorted(others):
            below, above = floor_of(room_of(file)), floor_of(room_of(other))
            if below is not None and above is not None and above > below:
                found.append(f"{file} -> {other}")
    return found


def homeless(graph: Graph) -> list[str]:
    """The rooms that the table of floors lacks."""
    rooms = {room_of(file) for file in graph} - {"lib"}
    return sorted(room for room in rooms if floor_of(room) is None)


def arrows(graph: Graph) -> dict[str, set[str]]:
    """Which room imports which."""
    rooms: dict[str, set[str]] = {}
    for file, others in graph.items():
        known = rooms.setdefault(room_of(file), set())
        known |= {room_of(other) for other in others} - {room_of(file)}
    return rooms


def lines(graph: Graph, python: Graph) -> Iterable[str]:
    """What the command prints of a sound house."""
    rooms = arrows(graph)
    for name, floor in reversed(FLOORS):
        yield f"{name}:"
        for room in sorted(floor & rooms.keys()):
            yield f"  {room:12} -> {', '.join(sorted(rooms[room])) or 'nothing'}"
    yield f"{len(graph)} Rust files, {len(python)} Python modules"


def main() -> int:
    """Prints the rooms and the arrows; 1 where something is wrong."""
    graph, python = rust_graph(), python_graph()
    print(*lines(graph, python), sep="\n")
    wrong = [f"circle: {', '.join(circle)}" for circle in circles(graph) + circles(python)]
    wrong += [f"upward: {arrow}" for arrow in upward(graph)]
    wrong += [f"on no floor: {room}" for room in homeless(graph)]
    print(*wrong or ["no circle, and no import from a floor above"], sep="\n")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
