"""The server's tables, and a few connections that its threads share."""

import contextlib
import queue
import time
from collections.abc import Iterator, Sequence
from typing import Any

CONNECTIONS = 4
DATABASE_SECONDS = 90
WRITERS = 4_713_001  # advisory lock: events are stored one after the other, so that what refers to a row finds it

TABLES = """
CREATE TABLE IF NOT EXISTS lineage_events (
    id BIGSERIAL PRIMARY KEY, event_time TIMESTAMPTZ NOT NULL, event_type TEXT, run_id TEXT, job_namespace TEXT,
    job_name TEXT, event JSONB NOT NULL, created_at TIMESTAMPTZ NOT NULL DEFAULT now());
CREATE INDEX IF NOT EXISTS lineage_events_by_time ON lineage_events (event_time);
CREATE TABLE IF NOT EXISTS namespaces (
    name TEXT PRIMARY KEY, owner TEXT NOT NULL DEFAULT 'anonymous', description TEXT,
    created_at TIMESTAMPTZ NOT NULL DEFAULT now(), updated_at TIMESTAMPTZ NOT NULL DEFAULT now());
CREATE TABLE IF NOT EXISTS sources (
    name TEXT PRIMARY KEY, type TEXT NOT NULL, connection_url TEXT,
    created_at TIMESTAMPTZ NOT NULL DEFAULT now(), updated_at TIMESTAMPTZ NOT NULL DEFAULT now());
CREATE TABLE IF NOT EXISTS jobs (
    namespace TEXT, name TEXT, simple_name TEXT NOT NULL, parent_name TEXT, type TEXT NOT NULL DEFAULT 'BATCH',
    description TEXT, location TEXT, facets JSONB NOT NULL DEFAULT '{}', inputs JSONB NOT NULL DEFAULT '[]',
    outputs JSONB NOT NULL DEFAULT '[]', current_version TEXT, created_at TIMESTAMPTZ NOT NULL,
    updated_at TIMESTAMPTZ NOT NULL, PRIMARY KEY (namespace, name));
CREATE TABLE IF NOT EXISTS job_versions (
    version TEXT PRIMARY KEY, namespace TEXT NOT NULL, name TEXT NOT NULL, inputs JSONB NOT NULL,
    outputs JSONB NOT NULL, location TEXT, facets JSONB NOT NULL, run_id TEXT, created_at TIMESTAMPTZ NOT NULL);
CREATE TABLE IF NOT EXISTS runs (
    id TEXT PRIMARY KEY, namespace TEXT NOT NULL, job_name TEXT NOT NULL, state TEXT NOT NULL, job_version TEXT,
    nominal_start TIMESTAMPTZ, nominal_end TIMESTAMPTZ, started_at TIMESTAMPTZ, ended_at TIMESTAMPTZ,
    facets JSONB NOT NULL DEFAULT '{}', inputs JSONB NOT NULL DEFAULT '[]', outputs JSONB NOT NULL DEFAULT '[]',
    created_at TIMESTAMPTZ NOT NULL, updated_at TIMESTAMPTZ NOT NULL);
CREATE INDEX IF NOT EXISTS runs_by_job ON runs (namespace, job_name, created_at);
CREATE TABLE IF NOT EXISTS datasets (
    namespace TEXT, name TEXT, type TEXT NOT NULL DEFAULT 'DB_TABLE', source_name TEXT NOT NULL, description TEXT,
    fields JSONB NOT NULL DEFAULT '[]', facets JSONB NOT NULL DEFAULT '{}', current_version TEXT, lifecycle TEXT,
    last_modified_at TIMESTAMPTZ, created_at TIMESTAMPTZ NOT NULL, updated_at TIMESTAMPTZ NOT NULL,
    PRIMARY KEY (namespace, name));
CREATE TABLE IF NOT EXISTS dataset_versions (
    version TEXT PRIMARY KEY, namespace TEXT NOT NULL, name TEXT NOT NULL, fields JSONB NOT NULL, facets JSONB NOT NULL,
    run_id TEXT, lifecycle TEXT, created_at TIMESTAMPTZ NOT NULL);
CREATE INDEX IF NOT EXISTS dataset_versions_by_name ON dataset_versions (namespace, name, created_at);
"""

Row = dict[str, Any]


class Database:
    """A handful of connections; whoever wants one waits for it."""

    def __init__(self, **connection: Any) -> None:
        self._connection = connection
        self._free: queue.LifoQueue[Any] = queue.LifoQueue()
        for _ in range(CONNECTIONS):
            self._free.put(None)

    def prepare(self) -> None:
        """Wait for the database, which may be starting beside us, and make the tables."""
        import psycopg2

        deadline = time.monotonic() + DATABASE_SECONDS
        while True:
            try:
                with self.transaction() as work:
                    work.run(f"SELECT pg_advisory_xact_lock({WRITERS})")
                    work.run(TABLES)
                return
            except psycopg2.OperationalError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.1)

    @contextlib.contextmanager
    def transaction(self) -> Iterator["Work"]:
        """One transaction: committed at the end, rolled back by an error; a broken connection is thrown away."""
        session = self._free.get()
        try:
            session = session or self._opened()
            with session, session.cursor() as cursor:
                yield Work(cursor)
        except BaseException:
            if session is not None:
                session.close()
                session = None
            raise
        finally:
            self._free.put(session)

    def _opened(self) -> Any:
        import psycopg2
        import psycopg2.extras

        session = psycopg2.connect(connect_timeout=5, cursor_factory=psycopg2.extras.RealDictCursor, **self._connection)
        session.set_session(isolation_level="READ COMMITTED")
        return session


class Work:
    """Statements of one transaction. Parameters that are dicts or lists are JSON."""

    def __init__(self, cursor: Any) -> None:
        self._cursor = cursor

    def run(self, statement: str, **values: Any) -> None:
        """Execute a statement."""
        from psycopg2.extras import Json

        given = {name: Json(value) if isinstance(value, dict | list) else value for name, value in values.items()}
        self._cursor.execute(statement, given or None)

    def all(self, statement: str, **values: Any) -> Sequence[Row]:
        """Every row that a query finds, as dicts."""
        self.run(statement, **values)
        return [dict(row) for row in self._cursor.fetchall()]

    def one(self, statement: str, **values: Any) -> Row | None:
        """The first row, or None."""
        return next(iter(self.all(statement, **values)), None)

    def page(self, source: str, order: str, limit: int, offset: int, **values: Any) -> tuple[Sequence[Row], int]:
        """A part of a table, and how many rows it has in all. `source` and `order` are ours, never a user's."""
        rows = self.all(
            f"SELECT * FROM {source} ORDER BY {order} LIMIT %(limit)s OFFSET %(offset)s",  # noqa: S608 - names of tables are constants of this package, values are bound
            limit=limit, offset=offset, **values,
        )  # fmt: skip
        return rows, self.count(f"SELECT count(*) FROM {source}", **values)  # noqa: S608 - names of tables are constants of this package, values are bound

    def count(self, statement: str, **values: Any) -> int:
        """The number that a query counts."""
        return int(next(iter(self.all(statement, **values)[0].values())))
