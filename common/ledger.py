"""What happened: one append-only table of events, each chained to the one before by its hash.

SQLite in the state directory, or PostgreSQL where several machines share it (`ledger.url`). The ledger is a cache
of the world: every effect carries its key where it lives, so that losing this file duplicates nothing.
"""

import contextlib
import hashlib
import json
from collections.abc import Callable, Collection, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import sqlalchemy as sa

from common.errors import MlopsError, StorageFull, Unavailable
from common.ledger_database import DAMAGED, EVENTS, file_url, move_aside, prepared
from common.logger import get_logger
from common.paths import state_dir

if TYPE_CHECKING:
    from common.settings import Settings

log = get_logger(__name__)
GOOD = ("done", "unchanged")
FIRST_HASH = "0" * 64


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
        self._url = file_url(url, read_only) if isinstance(url, Path) else url
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
            connection.execute(EVENTS.insert().values(**chained, hash=_hash(chained)))
        if self._heard:
            self._heard()

    def latest_good(self, step: str) -> Event | None:
        """The newest good end of this step."""
        return self._first(EVENTS.c.kind == "step_ended", EVENTS.c.step == step, EVENTS.c.state.in_(GOOD))

    def results(self, result_type: str) -> Iterator[Event]:
        """Good results of this type, the newest first, whichever step made them."""
        good = (EVENTS.c.kind == "step_ended", EVENTS.c.result_type == result_type, EVENTS.c.state.in_(GOOD))
        with self._translated("read"), self._engine.connect() as connection:
            for row in connection.execute(sa.select(EVENTS).where(*good).order_by(EVENTS.c.seq.desc())):
                yield _event(row)

    def latest_done(self, step: str, before: int) -> Event | None:
        """The newest end of this step that made something, before a sequence number."""
        done = (EVENTS.c.kind == "step_ended", EVENTS.c.step == step, EVENTS.c.state == "done")
        return self._first(*done, EVENTS.c.seq < before)

    def latest_effect(self, step: str, kind: str, target: str) -> Event | None:
        """The newest note of this step about a target that it changed."""
        named = EVENTS.c.body.contains(json.dumps({"target": target})[1:-1], autoescape=True)
        return self._first(EVENTS.c.kind == "effect", EVENTS.c.step == step, EVENTS.c.state == kind, named)

    def latest(self, kind: str) -> Event | None:
        """The newest event of a kind."""
        return self._first(EVENTS.c.kind == kind)

    def of_kind(self, kind: str) -> list[Event]:
        """Every event of a kind, in order."""
        query = sa.select(EVENTS).where(EVENTS.c.kind == kind).order_by(EVENTS.c.seq)
        with self._translated("read"), self._engine.connect() as connection:
            return [_event(row) for row in connection.execute(query)]

    def runs_after(self, seq: int, kinds: tuple[str, ...], since: str = "") -> list[str]:
        """The runs with an event of one of these kinds after a sequence number, in the order of the first of them.

        `since` leaves out what is older: a time as events have it.
        """
        wanted = (EVENTS.c.seq > seq, EVENTS.c.kind.in_(kinds), EVENTS.c.at >= since)
        query = sa.select(EVENTS.c.run).where(*wanted).group_by(EVENTS.c.run).order_by(sa.func.min(EVENTS.c.seq))
        with self._translated("read"), self._engine.connect() as connection:
            return [row.run for row in connection.execute(query)]

    def unfinished_runs(self) -> list[str]:
        """Runs that started and never said that they ended."""
        ended = sa.select(EVENTS.c.run).where(EVENTS.c.kind == "run_ended")
        query = sa.select(EVENTS.c.run).where(EVENTS.c.kind == "run_started", EVENTS.c.run.not_in(ended))
        with self._translated("read"), self._engine.connect() as connection:
            return [row.run for row in connection.execute(query)]

    def events(self, after: int = 0, run: str | None = None) -> Iterator[Event]:
        """Events in order, after a sequence number; of one run where it is given."""
        query = sa.select(EVENTS).where(EVENTS.c.seq > after).order_by(EVENTS.c.seq)
        with self._engine.connect() as connection:
            for row in connection.execute(query if run is None else query.where(EVENTS.c.run == run)):
                yield _event(row)

    def first_bad_entry(self) -> int | None:
        """The sequence number of the first event whose hash or link is wrong; None when the chain holds."""
        prev, expected = FIRST_HASH, 1
        with self._translated("read"), self._engine.connect() as connection:
            for row in connection.execute(sa.select(EVENTS).order_by(EVENTS.c.seq)).mappings():
                values = {name: row[name] for name in row if name != "hash"}
                if row["seq"] != expected or row["prev"] != prev or row["hash"] != _hash(values):
                    return expected
                prev, expected = row["hash"], expected + 1
        return None

    def hashes(self, numbers: Collection[int]) -> dict[int, str]:
        """Sequence number -> hash, of those entries that are there."""
        query = sa.select(EVENTS.c.seq, EVENTS.c.hash).where(EVENTS.c.seq.in_(numbers))
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
            row = connection.execute(sa.select(EVENTS).where(*conditions).order_by(EVENTS.c.seq.desc())).first()
        return _event(row) if row else None

    def _opened(self) -> sa.Engine:
        """Create what is missing; a file that is no database any more is moved aside, and said."""
        with self._translated("opened"):
            try:
                return prepared(self._url, self._read_only)
            except sa.exc.DatabaseError as error:
                if self._read_only or not self._is_file() or not any(words in str(error) for words in DAMAGED):
                    raise
                aside = move_aside(self._url)
                log.warning("a damaged ledger is moved aside; effects are found where they live", aside=aside)
                return prepared(self._url, self._read_only)

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

    def _tail(self, connection: sa.Connection) -> tuple[int, str]:
        """Number and hash of the newest event."""
        newest = sa.select(EVENTS.c.seq, EVENTS.c.hash).order_by(EVENTS.c.seq.desc())
        row = connection.execute(newest).first()
        return (row.seq, row.hash) if row else (0, FIRST_HASH)

    def _lock(self, connection: sa.Connection) -> None:
        if self._url.get_backend_name() == "postgresql":
            connection.execute(sa.text("SELECT pg_advisory_xact_lock(hashtext('mlops ledger'))"))


def _hash(values: dict[str, Any]) -> str:
    text = json.dumps(values, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()


def _event(row: Any) -> Event:
    return Event(**{**row._mapping, "body": json.loads(row.body)})
