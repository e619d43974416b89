"""Serves the example on 127.0.0.1: `python examples/backend/run.py [--data DIR] [--port 5001]`.

With `--store URL` the documents lie in PostgreSQL.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import socket
import sys
import tempfile
from contextlib import suppress
from pathlib import Path

from api import DATA_FILES, RULES, create_app
from werkzeug.serving import make_server

from oasis_data import (
    MISSING,
    DataOperationError,
    VersionConflictError,
    load_with_version,
    save_many_atomic,
)

HERE = Path(__file__).parent
SAMPLE_DATA = HERE / "sample_data"

COMMANDS = """Open {url}/ in two windows of a browser: what one saves, the other shows.
Or try, in another terminal:
  curl -s {url}/api/data/tanks
  curl -s {url}/api/save-data -H 'Content-Type: application/json' \\
       -d '{{"type": "plant", "content": {{"name": "Harbour Works", "capacity": 120,
            "base_crude_capacity": 90, "max_inventory": 1500}}}}'
  curl -s -X POST {url}/api/vessel-optimizer/optimize
  curl -s -X POST {url}/api/scheduler/run
  curl -s {url}/api/data/schedule
  curl -sN {url}/api/stream
Stop with Ctrl-C. `PORT=8080 make run` serves on another port."""


def main() -> None:
    """Serves until Ctrl-C."""
    parser = argparse.ArgumentParser(description="Serves the example backend on 127.0.0.1.")
    parser.add_argument(
        "--data",
        metavar="DIR",
        default=os.environ.get("DATA"),
        help="folder of the documents (env DATA); default: a scratch copy of the sample data",
    )
    parser.add_argument(
        "--port",
        type=int,
        default=os.environ.get("PORT", "5001"),
        help="port to serve on (env PORT), 0 for any that is free; default: 5001",
    )
    parser.add_argument(
        "--store",
        metavar="URL",
        default=os.environ.get("STORE"),
        help="the store of the documents (env STORE), after `oasis-data init URL`; the sample "
        "data is put there, where it has no document yet. Default: the documents are files",
    )
    arguments = parser.parse_args()
    with listen(arguments.port) as listener:
        # In a store the documents have the names that they would have here, beside the rules.
        folder = arguments.data or (HERE if arguments.store else copy_sample_data())
        try:
            app = create_app(folder, arguments.store)
        except (NotADirectoryError, ValueError) as e:
            parser.error(str(e))
        if arguments.store:
            try:
                put_sample_data(Path(app.config["OASIS_DATA_ROOT"]))
            except DataOperationError as e:
                sys.exit(f"The store cannot be used: {e}")
        # The server behind `flask run`, made here so that port 0 can tell which port it got.
        server = make_server("127.0.0.1", arguments.port, app, threaded=True, fd=listener.fileno())
    url = f"http://127.0.0.1:{server.port}"
    where = f"{app.config['OASIS_DATA_ROOT']}{', in the store' if arguments.store else ''}"
    print(f"Data: {where}\nServing on {url}\n{COMMANDS.format(url=url)}")
    # A pipe would hold the address back until the server has stopped.
    sys.stdout.flush()
    # Returns at Ctrl-C.
    server.serve_forever()
    print("\nStopped.")


def listen(port: int) -> socket.socket:
    """Takes the port, before anything is made. Ends with what to do if it cannot be had."""
    try:
        return socket.create_server(("127.0.0.1", port))
    except (OSError, OverflowError) as e:
        sys.exit(
            f"Cannot serve on port {port}: {e}\nTo have any port that is free: PORT=0 make run"
        )


def copy_sample_data() -> Path:
    """Copies the sample data and its rules to a fresh folder.

    The folder stays after the server has stopped.
    """
    folder = Path(tempfile.mkdtemp(prefix="oasis-backend-")) / "data"
    shutil.copytree(SAMPLE_DATA, folder)
    put_rules(folder)
    return folder


def put_rules(folder: Path) -> None:
    """Puts the rules, and the schemas that they name, into a folder of documents."""
    shutil.copytree(HERE / "schemas", folder / "schemas")
    shutil.copyfile(HERE / RULES, folder / RULES)


def put_sample_data(root: Path) -> None:
    """Puts each document of the sample data where there is none yet.

    All at once, since they refer to each other.
    """
    samples = {root / name: SAMPLE_DATA / name for name in DATA_FILES.values()}
    while missing := [path for path in samples if load_with_version(path)[1] == MISSING]:
        documents = {path: json.loads(samples[path].read_bytes()) for path in missing}
        # Another host may put them there at the same time.
        with suppress(VersionConflictError):
            save_many_atomic(documents, if_version=dict.fromkeys(missing, MISSING))


if __name__ == "__main__":
    main()
