"""Documents as answers of a Flask app.

Private: the names are in `oasis_data.flask`.
"""

import json
from pathlib import Path
from typing import Any

from flask import Response, current_app

from oasis_data import _native
from oasis_data._paths import FilePath, whole
from oasis_data.error_handling import DataOperationError, OperationType


class NotJSONError(DataOperationError, ValueError):
    """A document holds a value that JSON has no text for, though `json.load` reads the file.

    The values are NaN, infinities, and numbers too large for a float (`1e999`), which
    `json.load` reads as infinity.

    Attributes:
        place: The value at fault, as a path: `$.mean`.
    """

    # For pickles and for the documentation.
    __module__ = "oasis_data.flask"

    def __init__(
        self,
        operation: OperationType,
        file_path: str,
        message: str,
        original_error: BaseException | None = None,
        *,
        place: str = "$",
    ) -> None:
        """Takes `DataOperationError`'s arguments and the place."""
        super().__init__(operation, file_path, message, original_error)
        self.place = place


def answer_document(document: Any, file_path: FilePath = "") -> Response:
    """Answers with a document: strict JSON, with the keys in their order.

    `jsonify` sorts the keys, and writes NaN, which `JSON.parse` refuses.

    Args:
        document: A document, or any other object that the app's `jsonify` takes.
        file_path: The document's file, for the log.

    Raises:
        NotJSONError: JSON has no text for a value in the document.
    """
    # A value that `json` cannot write, such as a date, is written as the app writes it
    # elsewhere.
    default = getattr(current_app.json, "default", None)
    try:
        # Escapes for all but ASCII: half a surrogate pair has no other text.
        # safeguard: answered-text
        text = json.dumps(document, allow_nan=False, separators=(",", ":"), default=default)
    except ValueError as error:
        place = _native.place_of_no_json(document, default=default) or "$"
        path = whole(file_path)
        raise NotJSONError(
            OperationType.READ,
            path,
            f"{Path(path).name}: cannot be sent as JSON: {place}: {error}; "
            "save it with another value there, such as null",
            error,
            place=place,
        ) from error
    return current_app.response_class(text + "\n", mimetype="application/json")
