"""Metrics as a page of a Flask app.

Private: for `oasis_data.flask`. Needs the metrics' library.
"""

from flask import Flask, Response

from oasis_data import monitoring
from oasis_data.catalogue import DocumentCatalogue


def serve_metrics(app: Flask, address: str, catalogue: DocumentCatalogue | None) -> None:
    """Has the app serve metrics, with the documents of its catalogue."""
    documents = {} if catalogue is None else catalogue.files

    def metrics() -> Response:
        body, content_type = monitoring.exposition(documents)
        return Response(body, content_type=content_type)

    def publish(_error: BaseException | None) -> None:
        monitoring.publish()

    app.get(address, endpoint="oasis_data_metrics")(metrics)
    # safeguard: published-after-request
    app.teardown_request(publish)
    monitoring.publish()
