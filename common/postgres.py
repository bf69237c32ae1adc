"""PostgreSQL: small reads through SQLAlchemy, whole tables through common.extract, errors in our own words.

Each connection has deadlines: 5 s to connect, keepalives for a peer that died, a statement timeout, and a limit of
silence for a server that stops in the middle of an answer (common/silence.py).
Identifiers are quoted by SQLAlchemy, values bound. Messages name user and server, never the password.
"""

import difflib
import re
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from common import retry
from common.errors import (
    AccessRefused,
    ConfigError,
    DeadlineExceeded,
    InvalidData,
    MlopsError,
    StepFailed,
    Unavailable,
)
from common.patience import patience
from common.settings import Postgres as Section
from common.silence import hung_up_after
from common.transient import chain

if TYPE_CHECKING:
    from sqlalchemy import Engine, Executable, FromClause

CONNECT_SECONDS = 5
STATEMENT_SECONDS = 600
SMALL_SECONDS = 60  # a small read or write, from connecting to its last row
# libpq notices a peer that vanished after about 25 s, and unacknowledged data after 30 s.
KEEPALIVES = {
    "connect_timeout": str(CONNECT_SECONDS), "keepalives": "1", "keepalives_idle": "10",
    "keepalives_interval": "5", "keepalives_count": "3", "tcp_user_timeout": "30000",
    "application_name": "mlops",
}  # fmt: skip
SESSION = (f"-cstatement_timeout={STATEMENT_SECONDS}s", "-ctimezone=UTC", "-cclient_encoding=UTF8")


@dataclass(frozen=True)
class Source:
    """What to read: a table (name or schema.name), or a SELECT."""

    table: str | None = None
    query: str | None = None

    def __str__(self) -> str:
        return f"Table {self.table}" if self.table else "The query"


class Postgres:
    """One PostgreSQL database. Nothing connects before it is used."""

    def __init__(self, settings: Section) -> None:
        self.settings = settings

    @cached_property
    def engine(self) -> "Engine":
        """For small reads and writes. Connections are not kept: steps are far apart."""
        import sqlalchemy as sa

        url = self.settings.url(**_keepalives(), options=" ".join(SESSION))
        return sa.create_engine(url, poolclass=sa.NullPool, hide_parameters=True)

    def dsn(self) -> str:
        """libpq's own connection string for a session that only reads. Holds the password: never print it."""
        from psycopg2.extensions import make_dsn

        url = self.settings.url(**_keepalives(), options=" ".join([*SESSION, "-cdefault_transaction_read_only=on"]))
        return str(make_dsn(**self.engine.dialect.create_connect_args(url)[1]))

    def rows(self, statement: "Executable", parameters: dict[str, Any] | None = None) -> Sequence[Any]:
        """Run a small SELECT and return all its rows; repeated when the connection breaks."""
        with self.translated():
            return self._rows(statement, parameters or {})

    @retry.database
    def _rows(self, statement: "Executable", parameters: dict[str, Any]) -> Sequence[Any]:
        with self.bounded(), self.engine.connect() as connection:
            return connection.execute(statement, parameters).all()

    def bounded(self) -> AbstractContextManager[Any]:
        """For a few small statements on connections of their own: they are lost where they take SMALL_SECONDS."""
        return hung_up_after(self.settings.port, SMALL_SECONDS)

    def find_table(self, name: str) -> tuple[str, str]:
        """Schema and name of the table or view called `name` or `schema.name`.

        Raises InvalidData naming the nearest table when there is none.
        """
        import sqlalchemy as sa

        known = self.rows(sa.text(_TABLES))
        for schema, table in known:
            if name in (table, f"{schema}.{table}"):
                return str(schema), str(table)
        names = [table if schema == "public" else f"{schema}.{table}" for schema, table in known]
        raise InvalidData(f"There is no table {name} in {self._database()}.", _nearest(name, names))

    def primary_key(self, table: str) -> tuple[str, ...]:
        """The columns of the primary key, in order; empty when the table has none."""
        import sqlalchemy as sa

        schema, name = self.find_table(table)
        found = self.rows(sa.text(_PRIMARY_KEY), {"schema": schema, "name": name})
        return tuple(row[0] for row in found)

    def watermark(self, table: str, event_time: str | None = None) -> dict[str, Any]:
        """A look at a table: its rows, newest event, and newest transaction that wrote a living row.

        A view, or a foreign table, knows no transactions: there it is a digest of all rows, in any order.
        """
        import sqlalchemy as sa

        schema, name = self.find_table(table)
        target: FromClause = sa.table(name, schema=schema)
        newest = sa.func.max(sa.column(event_time)) if event_time else sa.null()
        ((kind,),) = self.rows(sa.text(_KIND), {"schema": schema, "name": name})
        if kind not in _WRITTEN:
            target = target.alias("seen")
        writer = sa.func.max(sa.text("xmin::text::bigint")) if kind in _WRITTEN else sa.text(_CONTENT)
        ((rows, event, transaction),) = self.rows(sa.select(sa.func.count(), newest, writer).select_from(target))
        return {"rows": rows, "newest": event.isoformat() if event else None, "transaction": str(transaction)}

    def ping(self) -> str:
        """The server's version. Raises Unavailable, AccessRefused or ConfigError, with the remedy as hint."""
        import sqlalchemy as sa

        return str(self.rows(sa.text("SHOW server_version"))[0][0])

    def probe_write(self) -> None:
        """Prove that this role may write: a temporary table, gone when the connection is."""
        import sqlalchemy as sa

        with self.translated(), self.bounded(), self.engine.connect() as connection:
            connection.execute(sa.text("CREATE TEMPORARY TABLE write_probe (one int) ON COMMIT DROP"))
            connection.execute(sa.text("INSERT INTO write_probe VALUES (1)"))
            connection.rollback()

    @contextmanager
    def translated(self) -> Iterator[None]:
        """Turn the drivers' errors into ours, naming user and server."""
        try:
            yield
        except MlopsError:
            raise
        except Exception as error:
            if not _is_driver_error(error):
                raise
            raise self._in_our_words(error) from error

    def _in_our_words(self, error: Exception) -> MlopsError:
        """By SQLSTATE; a refused login has none in the drivers, only words."""
        state, said = _sqlstate(error), _sentence(error)
        user, server = self.settings.user, self.settings.address
        if state.startswith("28") or re.search(r"authentication failed|no password supplied|pg_hba", said):
            hint = "Set MLOPS_POSTGRES__PASSWORD, or postgres.user and postgres.password_file."
            return AccessRefused(f"PostgreSQL at {server} refused user {user}: {_refusal(said)}.", hint)
        if state == "42501":
            return AccessRefused(f"User {user} may not do this in {self._database()}: {said}.", "GRANT it.")
        if state == "3D000" or re.search(r'database ".*" does not exist', said):
            return ConfigError(f"PostgreSQL at {server} has no database {self.settings.database}.",
                               "Set postgres.database.")  # fmt: skip
        if state == "57014":
            return DeadlineExceeded(f"A statement took longer than {STATEMENT_SECONDS} s at PostgreSQL {server}.")
        if retry.database.is_transient(error):
            return Unavailable(f"PostgreSQL at {server} does not answer: {said}.",
                               "Is it running? The embedded one: python -m embedded up")  # fmt: skip
        if state.startswith(("42", "0A")):
            return ConfigError(f"PostgreSQL at {server} does not understand the query: {said}.", "Mend uc1.query.")
        return StepFailed(f"PostgreSQL at {server} could not do it: {said}.")

    def _database(self) -> str:
        return f"database {self.settings.database} at {self.settings.address}"


def source_of(settings: Any) -> Source:
    """What a use case's section says to read. Raises ConfigError unless it is one of table and query."""
    if bool(settings.table) == bool(settings.query):
        said = "both uc1.table and uc1.query" if settings.table else "neither uc1.table nor uc1.query"
        raise ConfigError(f"The configuration names {said}; one of them is the source.", "Set one in config.yaml.")
    return Source(settings.table or None, settings.query or None)


def select_from(postgres: Postgres, source: Source) -> "FromClause":
    """The source as something to SELECT from."""
    import sqlalchemy as sa

    if source.table:
        schema, name = postgres.find_table(source.table)
        return sa.table(name, schema=schema)
    # The text is the user's own SQL: its colons are not our bind parameters.
    query = re.sub(r"[;\s]+\Z", "", source.query or "").replace(":", r"\:")
    return sa.text(query).columns().subquery("source")


def _keepalives() -> dict[str, str]:
    return {**KEEPALIVES, "connect_timeout": str(max(2, round(patience(CONNECT_SECONDS))))}  # libpq's least is 2 s


def _nearest(name: str, known: Sequence[str]) -> str:
    near = difflib.get_close_matches(name, known, 1, 0.5)
    return f"Did you mean {near[0]}?" if near else f"There are: {', '.join(sorted(known)[:20]) or 'none'}."


def _is_driver_error(error: BaseException) -> bool:
    modules = {each.__module__.split(".")[0] for each in type(error).__mro__}
    return bool(modules & {"sqlalchemy", "psycopg2", "psycopg", "adbc_driver_manager"})


def _sqlstate(error: BaseException) -> str:
    states = (getattr(e, "pgcode", None) or getattr(e, "sqlstate", None) for e in chain(error))
    return next((str(state) for state in states if state), "")


def _sentence(error: BaseException) -> str:
    """The server's own first sentence, without what the drivers wrap around it."""
    lines = str(getattr(error, "orig", None) or error).strip().splitlines() or [type(error).__name__]
    said = re.sub(r"^.*?(ERROR|FATAL):\s+|^[A-Z_]+: \[libpq\] |^[A-Z_]+: ", "", lines[0])
    return said.strip().rstrip(".")


def _refusal(said: str) -> str:
    return "the password is wrong" if "password authentication failed" in said else said


_TABLES = """
SELECT n.nspname, c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'v', 'm', 'p', 'f') AND n.nspname <> 'information_schema' AND n.nspname !~ '^pg_'
ORDER BY pg_table_is_visible(c.oid) DESC, n.nspname, c.relname
"""
_WRITTEN = ("r", "m", "p")  # tables, materialized views, partitioned tables: each row knows who wrote it
_KIND = """
SELECT c.relkind FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = :schema AND c.relname = :name
"""
_CONTENT = "sum(hashtextextended(seen::text, 0)::numeric)"
_PRIMARY_KEY = """
SELECT a.attname FROM pg_index i
JOIN pg_class c ON c.oid = i.indrelid JOIN pg_namespace n ON n.oid = c.relnamespace
CROSS JOIN unnest(i.indkey) WITH ORDINALITY AS k(attnum, place)
JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = k.attnum
WHERE i.indisprimary AND n.nspname = :schema AND c.relname = :name ORDER BY k.place
"""
