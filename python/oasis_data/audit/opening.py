"""Calls that open files: with which path, which mode and which encoding."""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass

from oasis_data.audit.json_calls import argument
from oasis_data.audit.source import Source

OPEN = frozenset({"builtins.open", "io.open"})
# Functions that open something else than a plain file, or open it on an event loop.
OTHER_OPENERS = {
    **dict.fromkeys(("gzip.open", "bz2.open", "lzma.open"), "the file is compressed"),
    "codecs.open": "codecs.open encodes in its own way; open the file with open(encoding=…) first",
    "aiofiles.open": "it is asynchronous; call the replacement through asyncio.to_thread",
    "os.fdopen": "it opens a descriptor, not a path",
}
PATHS = frozenset({"pathlib.Path", "pathlib.PosixPath"})
# Attributes and methods of a path whose value is a path again.
FROM_PATH = {
    *("parent", "joinpath", "with_suffix", "with_name", "with_stem", "resolve", "absolute"),
    *("expanduser", "home", "cwd"),
}
DESCRIPTORS = frozenset({"os.open", "os.dup", "tempfile.mkstemp", "os.memfd_create", "os.pipe"})
# Paths that lead to no regular file.
DEVICES = ("/dev/", "/proc/", "/sys/")
READ, WRITE = "r", "w"
# Spellings of the options that a path's methods are given where they leave UTF-8 as it is.
IN_UTF8 = {"", "encoding='utf-8'", "encoding='utf8'", "'utf-8'", "'utf8'"}


@dataclass(frozen=True)
class Opened:
    """A call that opens a file.

    Attributes:
        call: The call.
        path: The path that the call opens.
        mode: The mode; None if it is not certain.
        encoding: "utf-8", "ascii" for an encoding that writes ASCII alike, or "other".
        reason: Why the file may not be a plain one.
    """

    call: ast.Call
    path: ast.expr
    mode: str | None
    encoding: str
    reason: str | None

    @property
    def direction(self) -> str | None:
        """`READ` or `WRITE`; None for a mode that does both, or that is not certain."""
        if self.mode is None:
            return None
        kind = "".join(sorted(self.mode.replace("b", "").replace("t", "")))
        # "w+" empties the file as "w" does; a read from it is a use of its own.
        return {"": READ, "r": READ, "w": WRITE, "+w": WRITE}.get(kind)


@dataclass(frozen=True)
class _Options:
    mode: str | None
    encoding: str
    reason: str | None


def opened(source: Source, expression: ast.expr) -> Opened | None:
    """How an expression opens a file; None if it does not."""
    if not isinstance(expression, ast.Call):
        return None
    origins = source.origins(expression.func)
    if origins & OPEN:
        path = argument(expression, 0, "file")
        if path is None:
            return None
        options = _options(expression, 1)
        reason = options.reason or _file_reason(source, path)
        if origins - OPEN:
            reason = "open may stand for something else here"
        return Opened(expression, path, options.mode, options.encoding, reason)
    for origin in sorted(origins & OTHER_OPENERS.keys()):
        path = argument(expression, 0, "filename")
        mode = argument(expression, 1, "mode")
        value = mode.value if isinstance(mode, ast.Constant) else None
        if path is not None:
            mode_text = value if isinstance(value, str) else None
            return Opened(expression, path, mode_text, "other", OTHER_OPENERS[origin])
    if isinstance(expression.func, ast.Attribute) and expression.func.attr == "open":
        return _path_opened(source, expression, expression.func.value)
    return None


def _path_opened(source: Source, call: ast.Call, path: ast.expr) -> Opened | None:
    options = _options(call, 0)
    mode = options.mode
    certain = is_path(source, path)
    if not certain and (mode is None or not call.args or not re.fullmatch("[rwxabt+]+", mode)):
        return None
    reason = None if certain else f"cannot tell that {source.text_of(path)} is a pathlib.Path"
    return Opened(call, path, mode, options.encoding, options.reason or reason)


def _options(call: ast.Call, first: int) -> _Options:
    """The options of `open`; `first` is the place of the mode."""
    names = ("mode", "buffering", "encoding", "errors", "newline")
    given: dict[str, ast.expr] = dict(zip(names, call.args[first:], strict=False))
    given |= {each.arg or "**": each.value for each in call.keywords if each.arg != "file"}
    mode = _literal(given.pop("mode", ast.Constant("r")))
    if any(isinstance(each, ast.Starred) for each in call.args) or "**" in given:
        return _Options(None, "other", "the arguments of open cannot be told apart")
    encoding = _encoding(given.pop("encoding", ast.Constant(None)))
    for name, fine in (("newline", (None, "\n", "")), ("errors", (None, "strict"))):
        if name in given and _literal(given.pop(name)) not in fine:
            return _Options(_text(mode), encoding, f"open is given {name}")
    given.pop("buffering", None)
    if given:
        return _Options(_text(mode), encoding, f"open is given {next(iter(given))}")
    reason = None if isinstance(mode, str) else "the mode of open is not a constant"
    return _Options(_text(mode), encoding, reason)


def _encoding(value: ast.expr) -> str:
    name = _literal(value)
    if name is None:
        # The locale's, which is UTF-8 wherever this package runs.
        return "utf-8"
    ascii_text = "".join(map(chr, range(128)))
    try:
        if not isinstance(name, str) or ascii_text.encode(name) != ascii_text.encode():
            return "other"
        # An encoding with more bytes, such as utf-8-sig, is caught above.
        return "utf-8" if "ä€😀".encode(name) == "ä€😀".encode() else "ascii"
    except UnicodeEncodeError:
        return "ascii"
    except (LookupError, ValueError):
        return "other"


def _literal(value: ast.expr) -> object:
    """A constant's value; for anything else a value that equals no constant."""
    return value.value if isinstance(value, ast.Constant) else value


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _file_reason(source: Source, path: ast.expr) -> str | None:
    if isinstance(path, ast.Constant):
        if not isinstance(path.value, str | bytes):
            return "it opens a descriptor, not a path"
        if str(path.value).startswith(DEVICES):
            return "it opens a device"
    for inside in ast.walk(path):
        if isinstance(inside, ast.Name) and _is_descriptor(source, inside):
            return "it may open a descriptor, not a path"
        if isinstance(inside, (ast.Await, ast.Yield, ast.YieldFrom, ast.NamedExpr)):
            return "the path is no plain expression"
    if isinstance(path, ast.Call) and source.origins(path.func) & DESCRIPTORS:
        return "it opens a descriptor, not a path"
    return None


def _is_descriptor(source: Source, name: ast.Name) -> bool:
    for binding in source.bindings(name):
        for around in source.ancestors(binding.node):
            if isinstance(around, ast.Assign):
                called = around.value
                if isinstance(called, ast.Call) and source.origins(called.func) & DESCRIPTORS:
                    return True
            if isinstance(around, ast.stmt):
                break
    return bool(re.search(r"(^|_)fd$", name.id))


def is_path(source: Source, expression: ast.expr, names: frozenset[str] = frozenset()) -> bool:
    """Whether an expression is certainly a `pathlib.Path`.

    Args:
        source: The source of the expression.
        expression: The expression.
        names: The names that are being looked up already.
    """
    if isinstance(expression, ast.Call):
        function = expression.func
        return source.origins(function) <= PATHS or (
            isinstance(function, ast.Attribute)
            and function.attr in FROM_PATH
            and (source.origins(function.value) <= PATHS or is_path(source, function.value, names))
        )
    if isinstance(expression, ast.BinOp) and isinstance(expression.op, ast.Div):
        sides = (expression.left, expression.right)
        return any(is_path(source, each, names) for each in sides)
    if isinstance(expression, ast.Attribute):
        return expression.attr == "parent" and is_path(source, expression.value, names)
    if isinstance(expression, ast.Name) and expression.id not in names:
        bindings = source.bindings(expression)
        known = names | {expression.id}
        return bool(bindings) and all(_binds_path(source, each.node, known) for each in bindings)
    return False


def _binds_path(source: Source, node: ast.AST, names: frozenset[str]) -> bool:
    around = source.parents.get(node)
    if isinstance(node, ast.arg):
        return node.annotation is not None and source.origins(node.annotation) <= PATHS
    if isinstance(around, ast.AnnAssign):
        return source.origins(around.annotation) <= PATHS
    if isinstance(around, ast.Assign) and around.targets == [node]:
        return is_path(source, around.value, names)
    return False
