"""What Flask itself refuses in a view of the extension, as JSON.

Private: for `oasis_data.flask`.
"""

from collections.abc import Callable
from typing import Any, NoReturn, TypeVar

from flask import Response, current_app, jsonify, request
from werkzeug.exceptions import (
    BadRequest,
    HTTPException,
    MethodNotAllowed,
    UnsupportedMediaType,
)

from oasis_data._paths import base_name
from oasis_data.error_handling import Fault

_T = TypeVar("_T")


def refusal(status: int, message: str) -> Response:
    """An answer that says why nothing was done."""
    response = jsonify({"success": False, "error": message})
    response.status_code = status
    return response


def told_fault(fault: Fault) -> dict[str, str]:
    """What a client may see of a fault: no folder, and no value beside that in the message."""
    return {
        "document": base_name(fault.document),
        "place": fault.place,
        "rule": fault.rule,
        "message": fault.message,
    }


def told_faults(faults: tuple[Fault, ...]) -> str:
    """The first fault and how many more there are."""
    if not faults:
        return "the document does not obey its rules"
    first, more = faults[0], len(faults) - 1
    others = f"; {more} more {'fault' if more == 1 else 'faults'}" if more else ""
    return f"{base_name(first.document)}: {first.message}{others}"


def as_json(act: Callable[[], _T]) -> _T:
    """Acts. An error of HTTP is answered as JSON where the app has no handler for the error."""
    try:
        return act()
    except HTTPException as error:
        error.response = refusal(error.code or 500, error.description or error.name)
        raise


def content_of_request() -> Any:
    """The JSON that the client has sent."""

    def content() -> Any:
        try:
            return request.get_json()
        except RecursionError as error:
            raise BadRequest("brackets nested without end") from error

    return as_json(content)


def refuse_content_type(*accepted: str) -> NoReturn:
    """Refuses a patch of another type than these.

    Raises:
        UnsupportedMediaType: Always.
    """
    error = UnsupportedMediaType(f"Content-Type must be {' or '.join(accepted)}")
    error.response = refusal(415, str(error.description))
    error.response.headers["Accept-Patch"] = ", ".join(accepted)
    raise error


def refuse_method(extension: type) -> None:
    """Has a method that a view of the extension does not take refused as JSON."""
    error = request.routing_exception
    if not isinstance(error, MethodNotAllowed) or not error.valid_methods:
        return
    adapter = current_app.create_url_adapter(request)
    if adapter is None:
        return
    endpoint, _ = adapter.match(method=next(iter(error.valid_methods)))
    view = current_app.view_functions.get(endpoint)
    if isinstance(getattr(view, "__self__", None), extension):
        error.response = refusal(405, str(error.description or error.name))
        error.response.headers["Allow"] = ", ".join(error.valid_methods)
