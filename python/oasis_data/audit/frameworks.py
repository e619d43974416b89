"""Objects of a framework that have keys, and are no caches: bound to a request, or its settings."""

from __future__ import annotations

import ast

from oasis_data.audit.source import Source

FRAMEWORKS = frozenset(
    {
        *("aiohttp", "bottle", "celery", "connexion", "dash", "django", "falcon", "fastapi"),
        *("flask", "flask_session", "litestar", "pyramid", "quart", "sanic", "starlette"),
        *("streamlit", "tornado", "werkzeug"),
    }
)
# What they call such an object, wherever it is reached from.
BOUND = frozenset({"current_app", "environ", "g", "request", "session", "session_state"})
# These too, unless it is the object's own: `app.config`, but not `self.config`.
SETTINGS = frozenset({"config", "extensions", "state"})


def is_of_framework(source: Source, container: ast.expr) -> bool:
    """Whether what is put into a container goes to a request or an application, not a cache."""
    seen: set[str] = set()
    waiting = [container]
    while waiting:
        node = waiting.pop()
        if _is_imported(source, node):
            return True
        if isinstance(node, ast.Attribute):
            own = isinstance(node.value, ast.Name) and node.value.id in ("self", "cls")
            if node.attr in BOUND - {"g"} or (node.attr in SETTINGS and not own):
                return True
            waiting.append(node.value)
        elif isinstance(node, ast.Subscript):
            waiting.append(node.value)
        elif isinstance(node, ast.Call):
            # As `app = Flask(__name__)`, and `app = current_app._get_current_object()`.
            waiting.append(node.func)
        elif isinstance(node, ast.Name) and node.id not in seen:
            seen.add(node.id)
            for binding in source.bindings(node):
                around = source.parents.get(binding.node)
                if isinstance(around, ast.Assign | ast.AnnAssign) and around.value is not None:
                    waiting.append(around.value)
    return False


def _is_imported(source: Source, node: ast.expr) -> bool:
    if not isinstance(node, ast.Name | ast.Attribute):
        return False
    for origin in source.origins(node):
        parts = origin.split(".")
        known = parts[0] in FRAMEWORKS or origin.startswith("os.environ")
        # As `from .web import session` has it.
        renamed = len(parts) > 1 and parts[0] not in ("?", "builtins") and parts[-1] in BOUND
        if known or renamed:
            return True
    return False
