"""The ledger's database: one table that takes rows and changes none, in a file that survives kills, or on a server.

A new file is made aside and gets its name when it is whole. Triggers refuse changes; who may change the schema still
can, and breaks the chain of hashes.
"""

import contextlib
import os
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from common.publish import sync

DAMAGED = ("not a database", "malformed")
TIME_LIMIT = "-c statement_timeout=10s"

SQLITE_GUARDS = tuple(
    f"CREATE TRIGGER IF NOT EXISTS events_no_{verb} BEFORE {verb} ON events "
    "BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END"
    for verb in ("update", "delete")
)
POSTGRES_GUARDS = (
    """
    SELECT pg_advisory_xact_lock(hashtext('mlops ledger'));
    DO $do$ BEGIN
      IF NOT EXISTS (SELECT FROM pg_trigger WHERE tgname = 'events_append_only' AND tgrelid = 'events'::regclass) THEN
        CREATE OR REPLACE FUNCTION events_append_only() RETURNS trigger LANGUAGE plpgsql AS
          $fn$ BEGIN RAISE EXCEPTION 'the ledger is append-only'; END $fn$;
        CREATE TRIGGER events_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON events
          FOR EACH STATEMENT EXECUTE FUNCTION events_append_only();
      END IF;
    END $do$
    """,
)

_metadata = sa.MetaData()
EVENTS = sa.Table(
    "events", _metadata,
    sa.Column("seq", sa.Integer, primary_key=True),
    sa.Column("at", sa.Text, nullable=False),
    sa.Column("run", sa.Text, nullable=False, index=True),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("step", sa.Text, nullable=False),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("result_type", sa.Text, nullable=False, index=True),
    sa.Column("body", sa.Text, nullable=False),
    sa.Column("prev", sa.Text, nullable=False),
    sa.Column("hash", sa.Text, nullable=False),
    sa.Index("events_by_step", "step", "kind", "seq"),
)  # fmt: skip


def prepared(url: sa.URL, read_only: bool) -> sa.Engine:
    """An engine of a ledger that is there and whole. Raises sqlalchemy's errors; a damaged file's say so."""
    is_file = url.get_backend_name() == "sqlite"
    if is_file and not read_only:
        _make_whole(Path(str(url.database)))
    engine = sa.create_engine(url, connect_args=_connect_args(url))
    if is_file:
        sa.event.listen(engine, "connect", _sqlite_read_only if read_only else _sqlite_durable)
        sa.event.listen(engine, "begin", _sqlite_begin)
        _check(engine)
    if not read_only:
        _lay_out(engine)
    return engine


def move_aside(url: sa.URL) -> str:
    """Give a damaged file, and what lies beside it, another name; returns that name."""
    place = Path(str(url.database))
    stamp = f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}"
    for path in (place, *(place.with_name(place.name + extra) for extra in ("-wal", "-shm", ".anchors"))):
        if path.exists():
            path.replace(path.with_name(f"{path.name}.broken-{stamp}"))
    return f"{place}.broken-{stamp}"


def _make_whole(place: Path) -> None:
    """Make a new file aside, so that whoever looks finds a ledger or none, whenever its maker is killed."""
    if place.exists():
        return
    descriptor, name = tempfile.mkstemp(dir=place.parent, prefix=f".tmp-{place.name}.")
    os.close(descriptor)
    try:
        url = file_url(Path(name), read_only=False)
        engine = sa.create_engine(url, connect_args=_connect_args(url))
        sa.event.listen(engine, "connect", _sqlite_durable)
        _lay_out(engine)
        with engine.connect() as connection:  # closing would do it too, and keep an error to itself
            connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
        engine.dispose()
        sync(Path(name))
        with contextlib.suppress(FileExistsError):  # somebody else was first, and may have written to it by now
            os.link(name, place)
        sync(place.parent)
    finally:
        for left in place.parent.glob(f"{Path(name).name}*"):
            left.unlink(missing_ok=True)


def _lay_out(engine: sa.Engine) -> None:
    _metadata.create_all(engine)
    _close_to_changes(engine)


def _close_to_changes(engine: sa.Engine) -> None:
    """Let the database itself refuse changes. Who may change its schema still can, and breaks the chain."""
    statements = SQLITE_GUARDS if engine.dialect.name == "sqlite" else POSTGRES_GUARDS
    with engine.begin() as connection:
        for statement in statements:
            connection.exec_driver_sql(statement)


def _connect_args(url: sa.URL) -> dict[str, Any]:
    if url.get_backend_name() == "sqlite":
        return {"timeout": 5}
    given = url.query.get("options", "")
    return {"connect_timeout": 5, "options": f"{given if isinstance(given, str) else ' '.join(given)} {TIME_LIMIT}"}


def file_url(path: Path, read_only: bool) -> sa.URL:
    """The URL of a ledger in a file."""
    query = {"mode": "ro", "uri": "true"} if read_only else {}
    return sa.URL.create("sqlite", database=f"file:{path}" if read_only else str(path), query=query)


def _sqlite_read_only(connection: Any, _: Any) -> None:
    connection.isolation_level = None


def _sqlite_durable(connection: Any, _: Any) -> None:
    connection.isolation_level = None  # the driver must not begin transactions of its own
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "busy_timeout=5000"):
        connection.execute(f"PRAGMA {pragma}")


def _sqlite_begin(connection: sa.Connection) -> None:
    """A writer takes the write lock at once: two writers wait for each other instead of failing half-way."""
    immediate = connection.get_execution_options().get("immediate")
    connection.exec_driver_sql("BEGIN IMMEDIATE" if immediate else "BEGIN")


def _check(engine: sa.Engine) -> None:
    """Look for damage now: found in the middle of a run it would cost the run."""
    with engine.connect() as connection:
        found = connection.exec_driver_sql("PRAGMA quick_check(1)").scalar()
    if found != "ok":
        raise sa.exc.DatabaseError("PRAGMA quick_check", None, Exception(f"malformed: {found}"))
