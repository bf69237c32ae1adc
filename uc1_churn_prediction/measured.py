"""Facts about the columns of a snapshot, counted over all rows by DuckDB: memory is bounded at any number of rows."""

import contextlib
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from churn.columns import ColumnFacts, Kind

MEMORY = "600MB"
COLUMNS_AT_ONCE = 25
LISTED_VALUES = 100
EXACT_ROWS = 500_000
NEARLY_UNIQUE = 0.9  # the quick count of distinct values is off by a few per cent
NUMBER = r"\s*[+-]?(0|[1-9]\d*)?(\.\d*)?([eE][+-]?\d+)?\s*"


@contextlib.contextmanager
def database(directory: Path) -> Iterator[Any]:
    """A DuckDB that keeps to its memory and spills into a directory, where somebody removes what a kill leaves."""
    import duckdb

    with tempfile.TemporaryDirectory(dir=directory, prefix=".tmp-") as spill, duckdb.connect() as connection:
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
    with database(path.parent) as connection:
        source = parquet(path, len(schema.names))
        for first in range(0, len(wanted), COLUMNS_AT_ONCE):
            part = [
                (name, f"c{places[name]}", kind_of(schema.field(name).type))
                for name in wanted[first:][:COLUMNS_AT_ONCE]
            ]
            asked = ", ".join(_counts(column, kind, distinct) for _, column, kind in part)
            counts = _rows(connection, f"SELECT count(*), {asked} FROM {source}")  # noqa: S608 (c0, c1, ...)
            rows, *each = counts[0]
            for at, column in enumerate(part):
                counted = _Counted(*each[7 * at : 7 * at + 7])
                found.append(_facts(connection, source, column, rows, counted))
    return tuple(found)


class _Counted:
    def __init__(
        self, nulls: int, blanks: int, numbers: int, distinct: int, fractions: int, low: Any, high: Any
    ) -> None:
        self.nulls, self.blanks, self.numbers, self.distinct = nulls, blanks, numbers, distinct
        self.fractions, self.low, self.high = fractions, low, high


def kind_of(arrow: Any) -> Kind:
    """What an Arrow type is to us."""
    import pyarrow.types as t

    if t.is_boolean(arrow):
        return "boolean"
    if t.is_integer(arrow) or t.is_floating(arrow) or t.is_decimal(arrow):
        return "number"
    if t.is_temporal(arrow):
        return "time"
    return "text" if t.is_string(arrow) or t.is_large_string(arrow) else "other"


def _counts(column: str, kind: Kind, distinct: str) -> str:
    text, number = kind == "text", kind == "number"
    value = f"CAST({column} AS DOUBLE)"
    finite = f"CASE WHEN isfinite({value}) THEN {value} END"
    rows = "count(*) FILTER (WHERE {})".format  # count_if is NULL where all values are
    return ", ".join((
        f"count(*) - count({column})" + (f" + {rows(f'isnan({value})')}" if number else ""),
        rows(f"trim({column}) = ''") if text else "0",
        rows(f"regexp_full_match({column}, '{NUMBER}') AND trim({column}) <> ''") if text else "0",
        distinct.format(column) if kind != "other" else "0",
        rows(f"{value} <> floor({value})") if number else "0",
        f"min({finite})" if number else "NULL", f"max({finite})" if number else "NULL",
    ))  # fmt: skip


def _facts(connection: Any, source: str, column: tuple[str, str, Kind], rows: int, counted: _Counted) -> ColumnFacts:
    name, at, kind = column
    distinct, values = counted.distinct, ()
    if kind in ("number", "boolean", "text") and distinct <= 2 * LISTED_VALUES:
        said = f"FROM {source} WHERE {_says(at, kind)} GROUP BY 1 ORDER BY n DESC, 1"
        listed = _rows(connection, f"SELECT CAST({at} AS VARCHAR), count(*) AS n {said}")
        distinct, values = len(listed), tuple(value for value, _ in listed[:LISTED_VALUES])
    elif distinct > NEARLY_UNIQUE * rows:
        distinct = _rows(connection, f"SELECT count(DISTINCT {at}) FROM {source}")[0][0]  # noqa: S608 - columns are c0, c1, ...: no name of the table is in it
    whole = kind == "number" and not counted.fractions
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
