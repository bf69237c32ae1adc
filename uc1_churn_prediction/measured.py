"""Facts about the columns of a snapshot, counted over all rows by DuckDB: memory is bounded at any number of rows."""

import contextlib
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from churn.columns import ColumnFacts, Kind
from common.paths import state_dir

MEMORY = "600MB"
COLUMNS_AT_ONCE = 25
LISTED_VALUES = 100
EXACT_ROWS = 500_000
NEARLY_UNIQUE = 0.9  # the quick count of distinct values is off by a few per cent
NUMBER = r"\s*[+-]?(0|[1-9]\d*)?(\.\d*)?([eE][+-]?\d+)?\s*"


@contextlib.contextmanager
def database() -> Iterator[Any]:
    """A DuckDB that keeps to its memory and spills beside our other caches."""
    import duckdb

    cache = state_dir() / "cache" / "duckdb"
    cache.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache, prefix=".tmp-") as spill, duckdb.connect() as connection:
        connection.execute(f"SET memory_limit = '{MEMORY}'; SET threads = 2; SET TimeZone = 'UTC'")
        connection.execute(f"SET temp_directory = '{literal(spill)}'")
        yield connection


def measure(path: Path, names: Iterable[str] | None = None) -> tuple[ColumnFacts, ...]:
    """The facts of these columns of a parquet file, or of all, in the file's order."""
    import pyarrow.parquet as pq

    schema = pq.read_schema(path)
    wanted = schema.names if names is None else [name for name in schema.names if name in set(names)]
    places = {name: at for at, name in enumerate(schema.names)}
    distinct = "count(DISTINCT {0})" if pq.read_metadata(path).num_rows <= EXACT_ROWS else "approx_count_distinct({0})"
    found: list[ColumnFacts] = []
    with database() as connection:
        source = parquet(path, len(schema.names))
        for first in range(0, len(wanted), COLUMNS_AT_ONCE):
            part = [
                (name, f"c{places[name]}", kind_of(schema.field(name).type))
                for name in wanted[first:][:COLUMNS_AT_ONCE]
            ]
            asked = ", ".join(_counts(column, kind, distinct) for _, column, kind in part)
            counts = _rows(connection, f"SELECT count(*), {asked} FROM {source}")  # noqa: S608 (c0, c1, ...)
            rows, *each = counts[0]
            for at, (name, column, (kind, whole)) in enumerate(part):
                counted = _Counted(*each[6 * at : 6 * at + 6])
                found.append(_facts(connection, source, (name, column, kind, whole), rows, counted))
    return tuple(found)


class _Counted:
    def __init__(self, nulls: int, blanks: int, numbers: int, distinct: int, low: Any, high: Any) -> None:
        self.nulls, self.blanks, self.numbers, self.distinct = nulls, blanks, numbers, distinct
        self.low, self.high = low, high


def kind_of(arrow: Any) -> tuple[Kind, bool]:
    """What an Arrow type is to us, and whether it is of whole numbers."""
    import pyarrow.types as t

    if t.is_boolean(arrow):
        return "boolean", False
    if t.is_integer(arrow) or t.is_floating(arrow) or t.is_decimal(arrow):
        return "number", t.is_integer(arrow)
    if t.is_temporal(arrow):
        return "time", False
    return ("text" if t.is_string(arrow) or t.is_large_string(arrow) else "other"), False


def _counts(column: str, said: tuple[Kind, bool], distinct: str) -> str:
    kind, _ = said
    text, number = kind == "text", kind == "number"
    value = f"CAST({column} AS DOUBLE)"
    finite = f"CASE WHEN isfinite({value}) THEN {value} END"
    return ", ".join((
        f"count(*) - count({column})" + (f" + count_if(isnan({value}))" if number else ""),
        f"count_if(trim({column}) = '')" if text else "0",
        f"count_if(regexp_full_match({column}, '{NUMBER}') AND trim({column}) <> '')" if text else "0",
        distinct.format(column) if kind != "other" else "0",
        f"min({finite})" if number else "NULL", f"max({finite})" if number else "NULL",
    ))  # fmt: skip


def _facts(
    connection: Any, source: str, column: tuple[str, str, Kind, bool], rows: int, counted: _Counted
) -> ColumnFacts:
    name, at, kind, whole = column
    distinct, values = counted.distinct, ()
    if kind in ("number", "boolean", "text") and distinct <= 2 * LISTED_VALUES:
        said = f"FROM {source} WHERE {_says(at, kind)} GROUP BY 1 ORDER BY n DESC, 1"
        listed = _rows(connection, f"SELECT CAST({at} AS VARCHAR), count(*) AS n {said}")
        distinct, values = len(listed), tuple(value for value, _ in listed[:LISTED_VALUES])
    elif distinct > NEARLY_UNIQUE * rows:
        distinct = _rows(connection, f"SELECT count(DISTINCT {at}) FROM {source}")[0][0]  # noqa: S608 - columns are c0, c1, ...: no name of the table is in it
    return ColumnFacts(
        name, kind, rows, counted.nulls, distinct, whole, counted.low, counted.high, counted.blanks, counted.numbers,
        values,
    )  # fmt: skip


def _says(column: str, kind: Kind) -> str:
    return f"trim({column}) <> ''" if kind == "text" else f"{column} IS NOT NULL"


def _rows(connection: Any, query: str) -> list[Any]:
    return list(connection.execute(query).fetchall())


def parquet(path: Path, columns: int) -> str:
    """The file as a source whose columns are c0, c1, ...: DuckDB knows no two names that differ in case alone."""
    return f"read_parquet('{literal(str(path))}') AS t({', '.join(f'c{at}' for at in range(columns))})"


def literal(text: str) -> str:
    """What stands between single quotes."""
    return text.replace("'", "''")
