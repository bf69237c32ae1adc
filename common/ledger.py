"""What happened: one append-only table of events, each chained to the one before by its hash.

SQLite in the state directory, or PostgreSQL where several machines share it (`ledger.url`). The ledger is a cache
of the world: every effect carries its key where it lives, so that losing this file duplicates nothing.
"""

import contextlib
import hashlib
import json
import os
import tempfile
from collections.abc import Callable, Collection, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import sqlalchemy as sa

from common.errors import MlopsError, StorageFull, Unavailable
from common.logger import get_logger
from common.paths import state_dir
from common.publish import sync

if TYPE_CHECKING:
    from common.settings import Settings

log = get_logger(__name__)
GOOD = ("done", "unchanged")
DAMAGED = ("not a database", "malformed")
FIRST_HASH = "0" * 64
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
_events = sa.Table(
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


def ledger_to_read(settings: "Settings") -> "Ledger | None":
    """The ledger of this configuration as it is, for looking only; None where there is none yet."""
    if url := settings.ledger.url.get_secret_value():
        return Ledger(sa.make_url(url), read_only=True)
    place = ledger_file(settings)
    return Ledger(place, read_only=True) if place.exists() else None


@contextlib.contextmanager
def opened(settings: "Settings") -> Iterator["Ledger"]:
    """The ledger of this configuration, once more: for a step that appends to it itself."""
    url = settings.ledger.url.get_secret_value()
    ledger = Ledger(sa.make_url(url) if url else ledger_file(settings))
    try:
        yield ledger
    finally:
        ledger.close()


def ledger_file(settings: "Settings") -> Path:
    """Where this machine keeps it; one for each environment, whose results must not become another's inputs."""
    name = "ledger.db" if settings.environment == "development" else f"ledger.{settings.environment}.db"
    return state_dir() / name


class Event(NamedTuple):
    """A row of the ledger; `body` holds what is particular to its kind."""

    seq: int
    at: str
    run: str
    kind: str
    step: str
    state: str
    result_type: str
    body: dict[str, Any]
    prev: str
    hash: str


class Ledger:
    """Append and read events. Appending is one short transaction, durable when it returns.

    Opened `read_only`, it neither makes, repairs nor moves anything: an audit must not touch the evidence.
    """

    def __init__(self, url: sa.URL | Path, read_only: bool = False) -> None:
        self._read_only = read_only
        self._url = _file_url(url, read_only) if isinstance(url, Path) else url
        if isinstance(url, Path) and not read_only:
            url.parent.mkdir(parents=True, exist_ok=True)
        self._engine = self._opened()
        self._heard: Callable[[], None] | None = None

    def listen(self, heard: Callable[[], None] | None) -> None:
        """Call this after each event that is appended here; it must return at once."""
        self._heard = heard

    def append(
        self, run: str, kind: str, step: str = "", state: str = "", result_type: str = "", body: Any = None
    ) -> None:
        """Add an event. Raises StorageFull where the disk refuses it, Unavailable where a server is gone.

        Bodies hold results, which must come back as they went in: what is free text in them is clean already.
        """
        text = json.dumps(body or {}, sort_keys=True, default=str)
        at = datetime.now(UTC).isoformat(timespec="microseconds")
        names = {"run": run, "kind": kind, "step": step, "state": state, "result_type": result_type}
        options = self._engine.execution_options(immediate=True)
        with self._translated("written to"), options.connect() as connection, connection.begin():
            self._lock(connection)
            seq, prev = self._tail(connection)
            chained = {"seq": seq + 1, "at": at, **names, "body": text, "prev": prev}
            connection.execute(_events.insert().values(**chained, hash=_hash(chained)))
        if self._heard:
            self._heard()

    def latest_good(self, step: str) -> Event | None:
        """The newest good end of this step."""
        return self._first(_events.c.kind == "step_ended", _events.c.step == step, _events.c.state.in_(GOOD))

    def latest_result(self, result_type: str) -> Event | None:
        """The newest good result of this type, whichever step made it."""
        return self._first(
            _events.c.kind == "step_ended", _events.c.result_type == result_type, _events.c.state.in_(GOOD)
        )

    def latest_done(self, step: str, before: int) -> Event | None:
        """The newest end of this step that made something, before a sequence number."""
        done = (_events.c.kind == "step_ended", _events.c.step == step, _events.c.state == "done")
        return self._first(*done, _events.c.seq < before)

    def latest_effect(self, step: str, kind: str, target: str) -> Event | None:
        """The newest note of this step about a target that it changed."""
        named = _events.c.body.contains(json.dumps({"target": target})[1:-1], autoescape=True)
        return self._first(_events.c.kind == "effect", _events.c.step == step, _events.c.state == kind, named)

    def latest(self, kind: str) -> Event | None:
        """The newest event of a kind."""
        return self._first(_events.c.kind == kind)

    def of_kind(self, kind: str) -> list[Event]:
        """Every event of a kind, in order."""
        query = sa.select(_events).where(_events.c.kind == kind).order_by(_events.c.seq)
        with self._translated("read"), self._engine.connect() as connection:
            return [_event(row) for row in connection.execute(query)]

    def runs_after(self, seq: int, kinds: tuple[str, ...], since: str = "") -> list[str]:
        """The runs with an event of one of these kinds after a sequence number, in the order of the first of them.

        `since` leaves out what is older: a time as events have it.
        """
        wanted = (_events.c.seq > seq, _events.c.kind.in_(kinds), _events.c.at >= since)
        query = sa.select(_events.c.run).where(*wanted).group_by(_events.c.run).order_by(sa.func.min(_events.c.seq))
        with self._translated("read"), self._engine.connect() as connection:
            return [row.run for row in connection.execute(query)]

    def unfinished_runs(self) -> list[str]:
        """Runs that started and never said that they ended."""
        ended = sa.select(_events.c.run).where(_events.c.kind == "run_ended")
        query = sa.select(_events.c.run).where(_events.c.kind == "run_started", _events.c.run.not_in(ended))
        with self._translated("read"), self._engine.connect() as connection:
            return [row.run for row in connection.execute(query)]

    def events(self, after: int = 0, run: str | None = None) -> Iterator[Event]:
        """Events in order, after a sequence number; of one run where it is given."""
        query = sa.select(_events).where(_events.c.seq > after).order_by(_events.c.seq)
        with self._engine.connect() as connection:
            for row in connection.execute(query if run is None else query.where(_events.c.run == run)):
                yield _event(row)

    def first_bad_entry(self) -> int | None:
        """The sequence number of the first event whose hash or link is wrong; None when the chain holds."""
        prev, expected = FIRST_HASH, 1
        with self._translated("read"), self._engine.connect() as connection:
            for row in connection.execute(sa.select(_events).order_by(_events.c.seq)).mappings():
                values = {name: row[name] for name in row if name != "hash"}
                if row["seq"] != expected or row["prev"] != prev or row["hash"] != _hash(values):
                    return expected
                prev, expected = row["hash"], expected + 1
        return None

    def hashes(self, numbers: Collection[int]) -> dict[int, str]:
        """Sequence number -> hash, of those entries that are there."""
        query = sa.select(_events.c.seq, _events.c.hash).where(_events.c.seq.in_(numbers))
        with self._translated("read"), self._engine.connect() as connection:
            return {row.seq: row.hash for row in connection.execute(query)}

    def tail(self) -> tuple[int, str]:
        """Number and hash of the newest event; 0 and FIRST_HASH where there is none."""
        with self._translated("read"), self._engine.connect() as connection:
            return self._tail(connection)

    def close(self) -> None:
        """Give the file or the connections back."""
        self._engine.dispose()

    def _first(self, *conditions: Any) -> Event | None:
        with self._translated("read"), self._engine.connect() as connection:
            row = connection.execute(sa.select(_events).where(*conditions).order_by(_events.c.seq.desc())).first()
        return _event(row) if row else None

    def _opened(self) -> sa.Engine:
        """Create what is missing; a file that is no database any more is moved aside, and said."""
        with self._translated("opened"):
            try:
                return self._prepared()
            except sa.exc.DatabaseError as error:
                if self._read_only or not self._is_file() or not any(words in str(error) for words in DAMAGED):
                    raise
                self._move_aside()
                return self._prepared()

    def _move_aside(self) -> None:
        place = Path(str(self._url.database))
        stamp = f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}"
        for path in (place, *(place.with_name(place.name + extra) for extra in ("-wal", "-shm", ".anchors"))):
            if path.exists():
                path.replace(path.with_name(f"{path.name}.broken-{stamp}"))
        aside = f"{place}.broken-{stamp}"
        log.warning("a damaged ledger is moved aside; effects are found where they live", aside=aside)

    @contextlib.contextmanager
    def _translated(self, verb: str) -> Iterator[None]:
        """The database's errors in our words; the password of a URL is in none of them."""
        try:
            yield
        except sa.exc.DBAPIError as error:
            place = self._url.render_as_string()
            said = str(error.orig).strip().splitlines()[0]
            kind: type[MlopsError] = StorageFull if self._is_file() else Unavailable
            raise kind(f"The ledger at {place} cannot be {verb}: {said}.", "Check ledger.url, or the disk.") from error

    def _is_file(self) -> bool:
        return self._url.get_backend_name() == "sqlite"

    def _prepared(self) -> sa.Engine:
        if self._is_file() and not self._read_only:
            _make_whole(Path(str(self._url.database)))
        engine = sa.create_engine(self._url, connect_args=_connect_args(self._url))
        if self._is_file():
            sa.event.listen(engine, "connect", _sqlite_read_only if self._read_only else _sqlite_durable)
            sa.event.listen(engine, "begin", _sqlite_begin)
            _check(engine)
        if not self._read_only:
            _lay_out(engine)
        return engine

    def _tail(self, connection: sa.Connection) -> tuple[int, str]:
        """Number and hash of the newest event."""
        newest = sa.select(_events.c.seq, _events.c.hash).order_by(_events.c.seq.desc())
        row = connection.execute(newest).first()
        return (row.seq, row.hash) if row else (0, FIRST_HASH)

    def _lock(self, connection: sa.Connection) -> None:
        if self._url.get_backend_name() == "postgresql":
            connection.execute(sa.text("SELECT pg_advisory_xact_lock(hashtext('mlops ledger'))"))


def _make_whole(place: Path) -> None:
    """Make a new file aside, so that whoever looks finds a ledger or none, whenever its maker is killed."""
    if place.exists():
        return
    descriptor, name = tempfile.mkstemp(dir=place.parent, prefix=f".tmp-{place.name}.")
    os.close(descriptor)
    try:
        url = _file_url(Path(name), read_only=False)
        engine = sa.create_engine(url, connect_args=_connect_args(url))
        sa.event.listen(engine, "connect", _sqlite_durable)
        _lay_out(engine)
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


def _file_url(path: Path, read_only: bool) -> sa.URL:
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


def _hash(values: dict[str, Any]) -> str:
    text = json.dumps(values, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()


def _event(row: Any) -> Event:
    return Event(**{**row._mapping, "body": json.loads(row.body)})
