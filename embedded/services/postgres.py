"""PostgreSQL: scram passwords, loopback only, no Unix socket; seeded with customers on its first start.

The server's programs are driven directly. What an earlier life left is treated with care: a data directory of
another major version is refused, and a stale postmaster.pid is removed only when a stranger has its pid.
"""

from __future__ import annotations

import contextlib
import signal
from typing import Any

import yaml

from common.errors import ConfigError
from common.publish import write_atomically
from embedded.addresses import Sections
from embedded.layout import Layout
from embedded.ports import PortRange
from embedded.secret_files import secret, secret_path
from embedded.services.postgres_cluster import create_cluster
from embedded.services.postgres_place import Place, major_version, place
from embedded.services.service import NotReadyError
from embedded.units import Program

USER = "mlops"
DATABASE = "mlops"
MLFLOW_DATABASE = "mlflow"
MARQUEZ_DATABASE = "marquez"
SETTINGS = {
    "listen_addresses": "127.0.0.1", "unix_socket_directories": "", "shared_buffers": "64MB", "max_connections": "100",
    "timezone": "UTC", "log_timezone": "UTC",
}  # fmt: skip


class Postgres:
    """The database server."""

    name = "postgres"
    needs: tuple[str, ...] = ()
    publishes: tuple[str, ...] = ("postgres",)
    waits_itself = False
    ports: PortRange | None = PortRange(5432)
    patience_seconds = 60.0

    def __init__(self, layout: Layout) -> None:
        self.layout = layout
        self._place: Place | None = None

    @property
    def place(self) -> Place:
        """Decided once per process, and only when asked for: it may copy files."""
        self._place = self._place or place(self.layout)
        return self._place

    def install(self) -> None:
        """Create the data directory, whole or not at all."""
        version_file = self.place.data / "PG_VERSION"
        if not version_file.exists():
            create_cluster(self.layout, self.place, USER, secret(self.layout, "postgres"))
        found, wanted = version_file.read_text().strip(), major_version(self.place.programs)
        if found != wanted:
            raise ConfigError(
                f"The data in {self.place.data} are of PostgreSQL {found}, the installed programs are {wanted}.",
                f"Install the programs of {found} again, or start afresh: python -m embedded reset",
            )

    def program(self, port: int) -> Program:
        """The postmaster. SIGINT is its fast stop: clients are disconnected, data are safe."""
        settings = [word for name, value in SETTINGS.items() for word in ("-c", f"{name}={value}")]
        command = (str(self.place.programs / "postgres"), "-D", str(self.place.data), "-p", str(port), *settings)
        return Program(
            self.name, command, "/", stop_signal=int(signal.SIGINT), stop_seconds=10,
            uid=self.place.uid, gid=self.place.gid,
        )  # fmt: skip

    def before_start(self) -> None:
        """Remove postmaster.pid only if a stranger has its pid; else its check is what protects the data."""
        import psutil

        pid_file = self.place.data / "postmaster.pid"
        with contextlib.suppress(OSError, ValueError, IndexError, psutil.Error):
            if psutil.Process(int(pid_file.read_text().split()[0])).name() != "postgres":
                pid_file.unlink()

    def check(self, port: int) -> None:
        """A session with our password that answers a query."""
        with self._session(port, "postgres") as session:
            session.cursor().execute("SELECT 1")

    def prepare(self, port: int) -> None:
        """Create the databases and fill ours."""
        from embedded.seed import DESCRIPTION, seed

        with self._session(port, "postgres") as session:
            session.autocommit = True
            for database in (DATABASE, MLFLOW_DATABASE, MARQUEZ_DATABASE):
                _create_database(session, database)
        with self._session(port, DATABASE) as session:
            seed(session)
        description = yaml.safe_dump(DESCRIPTION, sort_keys=False).encode()
        path = self.layout.state / "seeded.yaml"
        if not path.exists() or path.read_bytes() != description:
            write_atomically(path, description)

    def sections(self, port: int) -> Sections:
        """Where clients connect to."""
        password_file = str(secret_path(self.layout, "postgres"))
        keys = {"host": "127.0.0.1", "port": port, "database": DATABASE, "user": USER, "password_file": password_file}
        return {"postgres": keys}

    @contextlib.contextmanager
    def _session(self, port: int, database: str) -> Any:
        import psycopg2

        try:
            session = psycopg2.connect(
                host="127.0.0.1", port=port, user=USER, password=secret(self.layout, "postgres"), dbname=database,
                sslmode="disable", gssencmode="disable", connect_timeout=5,
            )  # fmt: skip
        except psycopg2.OperationalError as error:
            raise NotReadyError(str(error).strip().replace("\n", " ")) from None
        with contextlib.closing(session):
            yield session


def _create_database(session: Any, database: str) -> None:
    with session.cursor() as cursor:
        cursor.execute("SELECT 1 FROM pg_database WHERE datname = %s", (database,))
        if cursor.fetchone() is None:
            cursor.execute(f'CREATE DATABASE "{database}"')
