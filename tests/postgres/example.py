"""Serves the example backend over a private PostgreSQL server, until Ctrl-C.

python -m tests.postgres.example
"""

from __future__ import annotations

import os
import secrets
import signal
import subprocess
import sys
from pathlib import Path

from oasis_data import _native
from tests.postgres.server import SUPERUSER, find_programs, new_server

RUN = Path(__file__).parents[2] / "examples" / "backend" / "run.py"
OWNER = "refinery"


def main() -> int:
    """Makes the server, serves the example, and removes the server."""
    programs = find_programs()
    if programs is None:
        sys.exit("PostgreSQL is missing. On Debian: apt-get install postgresql")
    with new_server(programs) as server:
        server.start()
        server.passwords[OWNER] = word = secrets.token_urlsafe(12)
        statements = (
            f"CREATE ROLE {OWNER} LOGIN PASSWORD '{word}'",
            f"GRANT CREATE ON DATABASE postgres TO {OWNER}",
        )
        for statement in statements:
            server.call("psql", "--quiet", "-d", server.conninfo(SUPERUSER), "-c", statement)
        url = server.url(OWNER, schema="refinery")
        _native.init_store(url)
        print(
            f"Made a private server from {programs}:\n"
            f"  its data in {server.folder}, on port {server.port} of 127.0.0.1;\n"
            f"  a role {OWNER} with a password by chance; the tables in the schema refinery.\n"
            "The documents of the example lie there. Look at them:\n"
            f"  PGPASSWORD={word} psql -h 127.0.0.1 -p {server.port} -U {OWNER} postgres \\\n"
            "       -c 'SELECT name, number, version, size, saved_at FROM refinery.document'\n"
            "Ctrl-C stops the example, and removes the server.\n",
            flush=True,
        )
        process = subprocess.Popen([sys.executable, RUN], env=os.environ | {"STORE": url})
        # Ctrl-C at a terminal reaches both; the example ends first.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, lambda *_: process.terminate())
        return process.wait()


if __name__ == "__main__":
    sys.exit(main())
