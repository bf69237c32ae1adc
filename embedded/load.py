"""Loads a CSV or parquet file into a table of the embedded PostgreSQL: the whole table, or none of it.

One transaction makes the table, fills it by COPY from a stream of Arrow batches, and lets it take the place of the
one before. Names are quoted, so that spaces, quotes, reserved words and any alphabet stay as they are in the file.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from common import names
from common.errors import ConfigError, InvalidData, UsageError
from common.names import BadName
from common.postgres import KEEPALIVES
from common.publish import scratch
from common.settings import Postgres as Section
from embedded import table_file, table_types
from embedded.seed import TABLES
from embedded.table_types import Typed

NAME_BYTES = names.LONGEST_TABLE
# What every table of PostgreSQL has besides its own columns.
OF_THE_SYSTEM = frozenset({"tableoid", "xmin", "cmin", "xmax", "cmax", "ctid"})
COLUMNS_IN_A_PART = 200
BATCH_ROWS = 20_000


@dataclass(frozen=True)
class Loaded:
    """What is in the database now."""

    table: str
    rows: int
    columns: tuple[Typed, ...]
    notes: tuple[str, ...]

    def lines(self) -> list[str]:
        """For people: a line for each column, then what else there is to say."""
        width = min(max(len(column.name) for column in self.columns), 40)
        each = [f"  {c.name:<{width}}  {c.postgres:<16}  {c.note}".rstrip() for c in self.columns]
        return [f"table {self.table}: {self.rows:,} rows, {len(self.columns)} columns", *each, *self.notes]


def load(section: Section, path: Path, table: str, cache: Path) -> Loaded:
    """Make or replace `table`. Raises InvalidData, UsageError or ConfigError with the database as it was."""
    refuse_name(table)
    with scratch(cache) as work:
        database = table_file.connect(work)
        try:
            file = table_file.read(database, path, work)
            columns = table_types.typed(database, file) if file.is_text else table_types.declared(file)
            columns, notes = _named(columns)
            _write(section, database, table, columns, path)
        finally:
            database.close()
    return Loaded(table, file.rows, columns, (*file.notes, *notes))


def refuse_name(table: str) -> None:
    """Raise UsageError for what cannot be a table's name here."""
    try:
        names.table(table, "--table")
    except BadName as error:
        raise UsageError(error.message, "Choose another name.") from None
    if table in TABLES:
        raise UsageError(f"{table} is the name of a table of sample customers.", "Choose another name.")


def _named(columns: Sequence[Typed]) -> tuple[tuple[Typed, ...], tuple[str, ...]]:
    """The columns under names that PostgreSQL keeps whole; a long one is cut, with a digest in place of its end."""
    notes, named = [], []
    for column in columns:
        short = _short(column.name)
        if short != column.name:
            why = "that name for itself" if column.name in OF_THE_SYSTEM else f"{NAME_BYTES} bytes of a name"
            notes.append(f"column {column.name} is called {short}: PostgreSQL keeps {why}")
        named.append(Typed(short, column.postgres, column.expression, column.note))
    return tuple(named), tuple(notes)


def _short(name: str) -> str:
    if name in OF_THE_SYSTEM:
        return f"{name}_"
    if len(name.encode()) <= NAME_BYTES:
        return name
    end = "_" + hashlib.sha256(name.encode()).hexdigest()[:8]
    return name.encode()[: NAME_BYTES - len(end)].decode(errors="ignore") + end


def _write(section: Section, database: Any, table: str, columns: Sequence[Typed], path: Path) -> None:
    import duckdb
    from adbc_driver_manager import Error
    from adbc_driver_postgresql import dbapi

    aside = "load_" + hashlib.sha256(table.encode()).hexdigest()[:16]
    try:
        with dbapi.connect(_dsn(section)) as connection, connection.cursor() as cursor:
            cursor.execute(f"CREATE TABLE {_quoted(aside)} ({_declarations(columns)})")
            batches = database.sql(_converted(database, columns)).to_arrow_reader(BATCH_ROWS)
            cursor.adbc_ingest(aside, _renamed(batches, columns), mode="append")
            cursor.execute(f"DROP TABLE IF EXISTS {_quoted(table)}")
            cursor.execute(f"ALTER TABLE {_quoted(aside)} RENAME TO {_quoted(table)}")
            cursor.execute(f"ANALYZE {_quoted(table)}")
            connection.commit()
    except (Error, duckdb.Error) as error:
        raise _explained(error, table, path) from None


def _converted(database: Any, columns: Sequence[Typed]) -> str:
    """A query of the typed columns, in order; of many through tables of some each: every expression holds memory."""
    parts = [
        range(len(columns))[first : first + COLUMNS_IN_A_PART] for first in range(0, len(columns), COLUMNS_IN_A_PART)
    ]
    queries = [
        f"SELECT {', '.join(f'{columns[at].expression} AS k{at}' for at in part)} FROM raw"  # noqa: S608 - only c0, k0, ...
        for part in parts
    ]
    if len(queries) == 1:
        return queries[0]
    for number, query in enumerate(queries):
        database.execute(f"CREATE TABLE part{number} AS {query}")
    joined = " POSITIONAL JOIN ".join(f"part{number}" for number in range(len(queries)))
    return f"SELECT {', '.join(f'k{at}' for at in range(len(columns)))} FROM {joined}"  # noqa: S608 - only k0, k1, ...


def _renamed(batches: Any, columns: Sequence[Typed]) -> Any:
    """The stream with the table's own column names: DuckDB knows no two that differ in case alone."""
    import pyarrow as pa

    fields = [field.with_name(c.name) for field, c in zip(batches.schema, columns, strict=True)]
    schema = pa.schema(fields)
    again = (pa.RecordBatch.from_arrays(batch.columns, schema=schema) for batch in batches)
    return pa.RecordBatchReader.from_batches(schema, again)


def _declarations(columns: Sequence[Typed]) -> str:
    return ", ".join(f"{_quoted(column.name)} {column.postgres}" for column in columns)


def _explained(error: Exception, table: str, path: Path) -> Exception:
    lines = [line for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
    said = next((line.partition("ERROR:")[2] for line in lines if "ERROR:" in line), lines[0])[:300]
    if "row is too big" in said:
        return InvalidData(f"A row of {path} is wider than the 8 kB that PostgreSQL keeps in one place.",
                           "Leave columns out, or split it into tables that a query joins.")  # fmt: skip
    if "depend" in said or "is not a table" in said:
        return ConfigError(f"Table {table} cannot be replaced: {said.strip().rstrip('.')}.", "Choose another name.")
    return InvalidData(f"{path} cannot be loaded as table {table}: {said.strip().rstrip('.')}.")


def _dsn(section: Section) -> str:
    from psycopg2.extensions import make_dsn
    from sqlalchemy.dialects.postgresql.psycopg2 import PGDialect_psycopg2

    url = section.url(**KEEPALIVES, options="-ctimezone=UTC -cclient_encoding=UTF8")
    dialect = PGDialect_psycopg2()  # type: ignore[no-untyped-call]
    arguments: dict[str, str] = dialect.create_connect_args(url)[1]  # type: ignore[no-untyped-call]
    return str(make_dsn(**arguments))


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
