"""Following changes: states, and the stream of events for many clients."""

from __future__ import annotations

from tests.sabotage.operations import always, edit, never, remove, value, without
from tests.sabotage.safeguard import Sabotage

SABOTAGES = [
    Sabotage(
        "state-trusts-old-stamps-only",
        "a document whose stamps could come again is read again",
        without(1),
        "pytest tests/test_watch.py -k within_a_tick",
    ),
    Sabotage(
        "snapshot-waits-for-batch",
        "a state waits for the batch at work",
        value("true"),
        "pytest tests/test_watch.py -k at_work",
    ),
    Sabotage(
        "signals-end-the-watch",
        "Ctrl-C ends a watch at once",
        never,
        "pytest tests/test_watch.py -k ctrl_c",
    ),
    Sabotage(
        "tells-what-differs",
        "a state that is the last state again is not told",
        never,
        "pytest tests/test_watch.py -k taken_back",
    ),
    Sabotage(
        "resumed-state",
        "who comes back to a stream is told what differs, and nothing else",
        value("data_types"),
        "pytest tests/flask_extension/test_stream.py -k exactly_what",
    ),
    Sabotage(
        "id-of-the-whole-state",
        "half of a state is never taken for seen",
        edit(r"\[-1\](.*)\[-1\]", r"[0]\1[0]"),
        "pytest tests/flask_extension/test_stream.py -k in_one_piece",
    ),
    Sabotage(
        "hostage-worker",
        "a stream does not keep a worker that serves one request at a time",
        always,
        "pytest tests/flask_extension/test_stream.py -k is_not_taken",
    ),
    Sabotage(
        "streams-are-counted",
        "streams leave threads for other requests",
        value("True"),
        "pytest tests/flask_extension/test_stream.py -k places",
    ),
    Sabotage(
        "one-client-looks",
        "one client looks for all",
        never,
        "pytest tests/flask_extension/test_stream.py -k looks_for_all",
    ),
    Sabotage(
        "next-client-looks",
        "when the client that looks goes, another one looks",
        never,
        "pytest tests/flask_extension/test_stream.py -k another_one_looks",
    ),
    Sabotage(
        "feed-after-fork",
        "a forked child waits for no client of its parent",
        remove,
        "pytest tests/flask_extension/test_stream.py -k forked_child",
    ),
    Sabotage(
        "no-version-from-outside",
        "a stream tells no version of a file outside the root",
        remove,
        "pytest tests/flask_extension/test_stream.py -k lies_outside",
    ),
]
