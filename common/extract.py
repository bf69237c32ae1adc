"""A table of any size becomes one parquet file: one consistent snapshot, exact types, in bounded memory.

One COPY statement is streamed as Arrow batches (ADBC) while the batches before it are checked, digested and
written. Either all rows arrive and the file appears, or none do. common/source_columns.py says what types become.
"""

import difflib
import queue
import threading
from collections.abc import Generator, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from common import retry
from common.digest import TableDigest, sha256_of
from common.errors import InvalidData
from common.logger import get_logger
from common.postgres import SMALL_SECONDS, STATEMENT_SECONDS, Postgres, Source, select_from
from common.publish import whole_file
from common.silence import Silence, hung_up_after
from common.source_columns import SourceColumn, describe

if TYPE_CHECKING:
    import pyarrow as pa
    from sqlalchemy import FromClause

log = get_logger(__name__)

BATCH_BYTES = 8 << 20
BATCHES_AHEAD = 2
# First and last microsecond, and day, of a Python datetime. PostgreSQL's infinity lies outside.
MICROSECONDS = (-62_135_596_800_000_000, 253_402_300_799_999_999)
DAYS = (-719_162, 2_932_896)
# What the server says in the middle of a result, and the SQLSTATE that goes with it. Without one of these the
# connection was lost; XX000 is for any other ERROR, such as a division by zero in a query.
MID_RESULT = {"statement timeout": "57014", "conflict with recovery": "40001", "ERROR:": "XX000"}
TIMES = {"date", "timestamp", "timestamptz"}


class EmptyExtract(InvalidData):
    """The source has no rows."""


@dataclass(frozen=True)
class Wanted:
    """What to extract: all columns but the dropped ones. `as_of` bounds `event_time`, inclusive."""

    source: Source
    needed: tuple[str, ...] = ()
    dropped: tuple[str, ...] = ()
    event_time: str | None = None
    as_of: datetime | None = None


@dataclass(frozen=True)
class Extract:
    """A finished extract. `digest` names the content, whatever the row order; `sha256` this file's bytes."""

    path: Path
    rows: int
    digest: str
    sha256: str
    size_bytes: int
    columns: tuple[tuple[str, str], ...]


def run(postgres: Postgres, wanted: Wanted, path: Path) -> Extract:
    """Extract what is wanted into `path`.

    Raises EmptyExtract without rows, InvalidData for a missing table or column (naming the nearest one), and
    what Postgres.translated raises for the server.
    """
    columns = _chosen(wanted, describe(postgres, wanted.source))
    statement = statement_of(wanted, columns, select_from(postgres, wanted.source))
    with postgres.translated(), whole_file(path) as temporary:
        rows, digest, schema = _stream(postgres, statement, columns, wanted.source, temporary)
        if not rows:
            until = f" up to {wanted.as_of.isoformat()}" if wanted.as_of else ""
            raise EmptyExtract(f"{wanted.source} has no rows{until}; refusing to publish an empty snapshot.")
        done = (rows, digest, sha256_of(temporary), temporary.stat().st_size)
    log.info("extracted", source=str(wanted.source), rows=rows, bytes=done[3], digest=digest[:12])
    return Extract(path, *done, tuple((field.name, str(field.type)) for field in schema))


def _chosen(wanted: Wanted, described: Sequence[SourceColumn]) -> tuple[SourceColumn, ...]:
    known = {column.name: column for column in described}
    for name in (*wanted.needed, *filter(None, [wanted.event_time])):
        if name not in known:
            near = difflib.get_close_matches(name, known, 1, 0.5)
            hint = f"Did you mean {near[0]}?" if near else f"It has: {', '.join(known)}."
            raise InvalidData(f"{wanted.source} has no column {name}.", hint)
    if wanted.event_time and known[wanted.event_time].kind not in TIMES:
        kind = known[wanted.event_time].kind
        raise InvalidData(f"Column {wanted.event_time} of {wanted.source} is {kind}, which is no time.",
                          "Cast it to timestamptz through uc1.query, or leave uc1.event_time empty.")  # fmt: skip
    return tuple(column for column in described if column.name not in wanted.dropped)


def statement_of(wanted: Wanted, columns: Sequence[SourceColumn], source: "FromClause") -> str:
    """The SELECT as text. Identifiers are quoted, and the one value written as a literal, by SQLAlchemy."""
    import sqlalchemy as sa
    from sqlalchemy.dialects.postgresql.base import PGDialect

    select = sa.select(*(column.expression() for column in columns)).select_from(source)
    if wanted.event_time and wanted.as_of:
        # In UTC, because PostgreSQL drops the zone where the column is a timestamp without one.
        moment = wanted.as_of if wanted.as_of.tzinfo else wanted.as_of.replace(tzinfo=UTC)
        bound = sa.literal(moment.astimezone(UTC), sa.TIMESTAMP(timezone=True))
        select = select.where(sa.column(wanted.event_time) <= bound)
    dialect = PGDialect(paramstyle="named")  # type: ignore[no-untyped-call]
    compiled = select.compile(dialect=dialect, compile_kwargs={"literal_binds": True})
    return str(compiled)


@retry.database
def _stream(
    postgres: Postgres, statement: str, columns: Sequence[SourceColumn], source: Source, path: Path
) -> tuple[int, str, "pa.Schema"]:
    """One statement, from connecting to the last row: what can be repeated without mixing two snapshots."""
    from adbc_driver_postgresql import StatementOptions, dbapi

    with (
        hung_up_after(postgres.settings.port, SMALL_SECONDS) as silence,
        dbapi.connect(postgres.dsn()) as connection,
        connection.cursor() as cursor,
    ):
        cursor.adbc_statement.set_options(**{StatementOptions.BATCH_SIZE_HINT_BYTES.value: str(BATCH_BYTES)})
        silence.heard(STATEMENT_SECONDS)  # until the first row
        cursor.execute(statement)
        reader = cursor.fetch_record_batch()
        kept = [(c.name, c.arrives_as(f.type)) for c, f in zip(columns, reader.schema, strict=True)]
        return _write(reader, kept, source, path, silence)


def _write(
    reader: Any, kept: list[tuple[str, "pa.DataType"]], source: Source, path: Path, silence: Silence
) -> tuple[int, str, "pa.Schema"]:
    """Check, digest and write every batch; returns the number of rows, the content digest and the schema."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema = pa.schema(kept)
    digest = TableDigest(schema)
    texts = [name for name, kind in kept if pa.types.is_string(kind)]
    file = pq.ParquetWriter(path, schema, compression="zstd", compression_level=1, use_dictionary=texts,
                            write_page_checksum=True)  # fmt: skip
    with file, closing(_read_ahead(reader)) as batches:
        for batch in batches:
            silence.heard(SMALL_SECONDS)
            exact = _exact(batch, schema, source)
            digest.update(exact)
            file.write_batch(exact)
    return digest.rows, digest.hexdigest(), schema


def _read_ahead(reader: Any) -> Generator["pa.RecordBatch", None, None]:
    """Yield the reader's batches while a thread fetches the next: server, driver and we work side by side."""
    fetched: queue.Queue[Any] = queue.Queue(BATCHES_AHEAD)
    stopped = threading.Event()

    def fetch() -> None:
        last: Any = None
        try:
            for batch in reader:
                fetched.put(batch)
                if stopped.is_set():
                    return
        except OSError as error:
            last = _broken_stream(error)
        except Exception as error:  # handed over and raised where the batches are used
            last = error
        fetched.put(last)

    thread = threading.Thread(target=fetch, name="read-ahead", daemon=True)
    thread.start()
    try:
        while (batch := fetched.get()) is not None:
            if isinstance(batch, Exception):
                raise batch
            yield batch
    finally:
        stopped.set()
        while thread.is_alive():
            _drain(fetched)
            thread.join(0.05)


def _broken_stream(error: OSError) -> Exception:
    """In the middle of a result ADBC raises a plain OSError with the server's words and no SQLSTATE; add it."""
    from adbc_driver_manager import AdbcStatusCode, OperationalError

    said = str(error)
    state = next((state for words, state in MID_RESULT.items() if words in said), None)
    known: Exception = OperationalError(said, status_code=AdbcStatusCode.IO, sqlstate=state)
    return known


def _drain(fetched: "queue.Queue[Any]") -> None:
    try:
        while True:
            fetched.get_nowait()
    except queue.Empty:
        pass


def _exact(batch: "pa.RecordBatch", schema: "pa.Schema", source: Source) -> "pa.RecordBatch":
    import pyarrow as pa

    columns = [_exact_column(column, field, source) for column, field in zip(batch.columns, schema, strict=True)]
    return pa.RecordBatch.from_arrays(columns, schema=schema)


def _exact_column(column: Any, field: "pa.Field", source: Source) -> Any:
    import pyarrow as pa

    if isinstance(column, pa.ExtensionArray):
        column = column.storage
    if pa.types.is_decimal(field.type):
        return _decimals(column, field, source)
    if pa.types.is_timestamp(field.type):
        _refuse_outside(column.view(pa.int64()), MICROSECONDS, field, source)
    if pa.types.is_date32(field.type):
        _refuse_outside(column.view(pa.int32()), DAYS, field, source)
    return column.cast(field.type)


def _decimals(column: Any, field: "pa.Field", source: Source) -> Any:
    import pyarrow as pa

    try:
        return column.cast(field.type)
    except pa.ArrowInvalid:
        raise InvalidData(
            f"Column {field.name} of {source} holds NaN or infinity, which {field.type} has not.",
            "Select it as double precision through uc1.query, or drop it.",
        ) from None


def _refuse_outside(numbers: Any, bounds: tuple[int, int], field: "pa.Field", source: Source) -> None:
    import pyarrow.compute as pc

    ends = pc.min_max(numbers).as_py()
    if ends["min"] is not None and not bounds[0] <= ends["min"] <= ends["max"] <= bounds[1]:
        raise InvalidData(
            f"Column {field.name} of {source} holds infinity or years outside 1 to 9999.",
            "Replace those values through uc1.query, or drop the column.",
        )
