"""A private PostgreSQL server, made from the programs that lie on this machine."""

from __future__ import annotations

import os
import pwd
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

from tests.backend.servers import wait_for

HOST = "127.0.0.1"
SUPERUSER = "postgres"
DATABASE = "postgres"

# What differs from PostgreSQL's own defaults. fsync stays on: the engine refuses a server without.
_SETTINGS = {
    "listen_addresses": HOST,
    "max_connections": "200",
    "shared_buffers": "32MB",
    "wal_level": "replica",
    "max_wal_senders": "8",
    "wal_keep_size": "256MB",
    "log_line_prefix": "%m [%p] ",
    "lc_messages": "C",
}
# SCRAM for everybody, on loopback and on the socket; `hostssl` comes with the certificate.
_ACCESS = "local all all scram-sha-256\nhost all,replication all 0.0.0.0/0 scram-sha-256\n"


def find_programs() -> Path | None:
    """The folder with PostgreSQL's programs: that of the PATH, or Debian's newest."""
    if found := shutil.which("initdb"):
        return Path(found).resolve().parent
    versions = sorted(
        Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3])
    )
    return versions[-1].parent if versions else None


class Server:
    """One server with its data folder. PostgreSQL refuses root: another user runs it then."""

    def __init__(self, programs: Path, folder: Path, passwords: Mapping[str, str]) -> None:
        self.programs = programs
        self.folder = folder
        self.data = folder / "data"
        self.log = folder / "log"
        self.port = free_port()
        # Of each role.
        self.passwords = dict(passwords)
        self._user = _user()
        self._process: subprocess.Popen[bytes] | None = None

    def initialise(self) -> None:
        """Makes the data folder."""
        word = self.folder / "password"
        self.write(word, self.passwords[SUPERUSER])
        self.call(
            "initdb",
            *("--pgdata", str(self.data), "--username", SUPERUSER, "--pwfile", str(word)),
            *("--auth", "scram-sha-256", "--encoding", "UTF8", "--no-locale", "--no-sync"),
        )
        self.configure(_SETTINGS)
        self.write(self.data / "pg_hba.conf", _ACCESS)

    def initialise_from(self, stopped: Server) -> None:
        """Makes the data folder as a copy of that of a server that does not run: quicker."""
        self.call(shutil.which("cp") or "cp", "-a", str(stopped.data), str(self.data))

    def initialise_standby_of(self, primary: Server) -> None:
        """Makes the data folder as a copy of another server, which it then follows."""
        self.call(
            "pg_basebackup",
            *("--pgdata", str(self.data), "--dbname", primary.conninfo(SUPERUSER)),
            *("--write-recovery-conf", "--checkpoint", "fast", "--no-sync"),
        )

    def configure(self, settings: Mapping[str, str]) -> None:
        """Adds settings, which hold after `start` or `reload`; the last value counts."""
        file = self.data / "postgresql.conf"
        lines = [f"{name} = '{value}'\n" for name, value in settings.items()]
        self.write(file, file.read_text() + "".join(lines))

    def start(self) -> None:
        """Starts the server, and waits until it lets clients in."""
        # A port that another program took meanwhile is met here: take the next.
        for _ in range(5):
            if self._try_to_start():
                return
            self.port = free_port()
        raise RuntimeError(f"PostgreSQL did not start:\n{self.log.read_text()}")

    def _try_to_start(self) -> bool:
        options = {"port": str(self.port), "unix_socket_directories": str(self.folder)}
        arguments = [word for option in options.items() for word in ("-c", "=".join(option))]
        command = [str(self.programs / "postgres"), "-D", str(self.data), *arguments]
        self._process = process = self.begin(command, self.log)
        status = wait_for(lambda: self._status(process), "PostgreSQL is ready")
        if status == "ended":
            self._process = None
        return status != "ended"

    def begin(self, command: list[str], log: Path) -> subprocess.Popen[bytes]:
        """Starts a program as the server's user. It ends with whoever started it, even killed."""
        watch = ["setpriv", "--pdeathsig", "QUIT", "--"] if shutil.which("setpriv") else []
        with log.open("ab") as output:
            return subprocess.Popen(
                [*watch, *command],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                cwd=self.folder,
                start_new_session=True,
                **self._identity(),
            )

    def _status(self, process: subprocess.Popen[bytes]) -> str | None:
        if process.poll() is not None:
            return "ended"
        try:
            lines = (self.data / "postmaster.pid").read_text().splitlines()
        except FileNotFoundError:
            return None
        # The file of a server that was killed stays: its number is another.
        if len(lines) < 8 or lines[0] != str(process.pid):
            return None
        return lines[7].strip() if lines[7].strip() in {"ready", "standby"} else None

    @property
    def pid(self) -> int:
        """The number of the server's first process."""
        assert self._process
        return self._process.pid

    def stop(self) -> None:
        """Ends the server as an operator does: sessions are ended, transactions rolled back."""
        self._end(signal.SIGINT)

    def crash(self) -> None:
        """Ends the server at once, as `pg_ctl stop -m immediate` does: the next start recovers."""
        self._end(signal.SIGQUIT)

    def _end(self, by: signal.Signals) -> None:
        if self._process:
            self._process.send_signal(by)
            self._process.wait()
            self._process = None

    def reload(self) -> None:
        """Has the server read its settings again."""
        self.call("pg_ctl", "reload", "--pgdata", str(self.data))

    def promote(self) -> None:
        """Makes a standby a primary."""
        self.call("pg_ctl", "promote", "--wait", "--pgdata", str(self.data))

    def enable_tls(self) -> Path:
        """Has the server answer by TLS from the next start on; returns what clients trust."""
        openssl = shutil.which("openssl") or "openssl"
        key, certificate = self.folder / "server.key", self.folder / "server.crt"
        authority = self.folder / "authority.crt"
        new = ("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2")
        signing = str(self.folder / "authority.key")
        self.call(
            openssl, *new, "-subj", "/CN=authority", "-keyout", signing, "-out", str(authority)
        )
        self.call(
            openssl,
            *(*new, "-CA", str(authority), "-CAkey", signing, "-subj", "/CN=localhost"),
            *("-addext", f"subjectAltName=DNS:localhost,IP:{HOST}"),
            *("-addext", "basicConstraints=critical,CA:FALSE"),
            *("-keyout", str(key), "-out", str(certificate)),
        )
        self.configure({"ssl": "on", "ssl_key_file": str(key), "ssl_cert_file": str(certificate)})
        return authority

    def conninfo(self, role: str, **options: str) -> str:
        """What libpq takes, with the password."""
        values = {
            "host": HOST,
            "port": str(self.port),
            "user": role,
            "dbname": DATABASE,
            "password": self.passwords[role],
            **options,
        }
        return " ".join(f"{name}='{value}'" for name, value in values.items())

    def url(self, role: str, *, port: int | None = None, host: str = HOST, **options: str) -> str:
        """A store's URL, with the password; `port` names a proxy before the server."""
        who = f"{quote(role)}:{quote(self.passwords[role])}"
        query = f"?{urlencode(options)}" if options else ""
        return f"postgresql://{who}@{host}:{port or self.port}/{DATABASE}{query}"

    def call(self, program: str, *arguments: str) -> str:
        """Runs one of PostgreSQL's programs, as the server's user; returns what it printed."""
        done: subprocess.CompletedProcess[str] = subprocess.run(
            [str(self.programs / program), *arguments],
            cwd=self.folder,
            capture_output=True,
            text=True,
            check=False,
            **self._identity(),
        )
        if done.returncode:
            raise RuntimeError(f"{program} ended with {done.returncode}: {done.stderr}")
        return done.stdout

    def write(self, path: Path, text: str) -> None:
        """Writes a file that the server's user owns."""
        path.write_text(text)
        path.chmod(0o600)
        if self._user:
            os.chown(path, self._user.pw_uid, self._user.pw_gid)

    def _identity(self) -> dict[str, Any]:
        if self._user is None:
            return {}
        return {"user": self._user.pw_uid, "group": self._user.pw_gid, "extra_groups": []}


@contextmanager
def new_server(programs: Path) -> Iterator[Server]:
    """A server with a new data folder, not started; removed at the end."""
    with _folder() as folder:
        server = Server(programs, folder, {SUPERUSER: secrets.token_urlsafe(12)})
        server.initialise()
        with _ended(server):
            yield server


def copy_of(stopped: Server) -> AbstractContextManager[Server]:
    """A running server with the data of a server that does not run; removed at the end."""
    return _made_of(stopped, Server.initialise_from)


def standby_of(primary: Server) -> AbstractContextManager[Server]:
    """A running standby of a server; removed at the end."""
    return _made_of(primary, Server.initialise_standby_of)


@contextmanager
def _made_of(other: Server, initialise: Callable[[Server, Server], None]) -> Iterator[Server]:
    with _folder() as folder:
        server = Server(other.programs, folder, other.passwords)
        initialise(server, other)
        server.start()
        with _ended(server):
            yield server


@contextmanager
def _ended(server: Server) -> Iterator[None]:
    try:
        yield
    finally:
        server.crash()


@contextmanager
def _folder() -> Iterator[Path]:
    # Not below pytest's folder, which is root's alone; and the path of a socket has to be short.
    with tempfile.TemporaryDirectory(prefix="oasis-postgres-") as name:
        if user := _user():
            os.chown(name, user.pw_uid, user.pw_gid)
        yield Path(name)


def _user() -> pwd.struct_passwd | None:
    """Who runs the server, where root would."""
    if os.geteuid() != 0:
        return None
    try:
        return pwd.getpwnam("postgres")
    except KeyError:
        return pwd.getpwnam("nobody")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port
