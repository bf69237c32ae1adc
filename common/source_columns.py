"""The columns of a source as PostgreSQL describes them, and how each is selected so that it arrives exactly.

What the types become: integers, floats, booleans, dates, times and bytea stay. timestamp and timestamptz are
microseconds UTC (a timestamp without zone is read as UTC). numeric(p, s) with p up to 15 is float64, from
which every value rounds back exactly; numeric(p, 0) up to p = 18 is int64; other declared ones up to p = 38
are decimal128; a numeric of no declared precision is float64, and so is money. Everything else (json, uuid,
arrays, enums, inet, intervals, ranges, character(n), ...) is text as PostgreSQL prints it.
"""

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from common import retry
from common.errors import InvalidData
from common.postgres import Postgres, Source, select_from

if TYPE_CHECKING:
    import pyarrow as pa
    from sqlalchemy import ColumnElement, Select

AS_THEY_ARE = {
    "bool", "int2", "int4", "int8", "float4", "float8", "text", "varchar", "name", "date", "time",
    "timestamp", "timestamptz", "bytea",
}  # fmt: skip


@dataclass(frozen=True)
class SourceColumn:
    """A column of the source as PostgreSQL describes it."""

    name: str
    kind: str
    precision: int | None
    scale: int | None

    def expression(self) -> "ColumnElement[Any]":
        """How to select it so that it arrives as a type that Arrow and parquet have."""
        import sqlalchemy as sa

        cast = self._cast()
        column: ColumnElement[Any] = sa.column(self.name)
        return column.op("::")(sa.literal_column(cast)).label(self.name) if cast else column

    def _cast(self) -> str | None:
        if self.kind == "numeric":
            return self._numeric()
        if self.kind == "money":
            return "numeric::float8"
        if self.kind in {"oid", "xid", "cid"}:
            return "text::int8"
        return None if self.kind in AS_THEY_ARE else "text"

    def _numeric(self) -> str | None:
        if self.precision is None or self.scale is None or self.precision > 38:
            return "float8"
        if self.scale == 0 and self.precision <= 18:
            return "int8"
        return "float8" if self.precision <= 15 else None

    def arrives_as(self, kind: "pa.DataType") -> "pa.DataType":
        """The type to keep, given the type that ADBC delivers."""
        import pyarrow as pa

        if self.kind == "numeric" and self._numeric() is None:
            return pa.decimal128(self.precision or 38, self.scale or 0)
        return pa.timestamp("us", "UTC") if pa.types.is_timestamp(kind) else kind


def describe(postgres: Postgres, source: Source) -> tuple[SourceColumn, ...]:
    """The source's columns, with the types that PostgreSQL gives them. Reads no rows."""
    import sqlalchemy as sa

    with postgres.translated():
        described = _described(postgres, sa.select(sa.text("*")).select_from(select_from(postgres, source)).limit(0))
    twice = [name for name, times in Counter(column.name for column in described).items() if times > 1]
    if twice:
        raise InvalidData(f"{source} has more than one column named {twice[0]}.", "Give each its own name with AS.")
    return described


@retry.database
def _described(postgres: Postgres, nothing: "Select[Any]") -> tuple[SourceColumn, ...]:
    import sqlalchemy as sa

    with postgres.bounded(), postgres.engine.connect() as connection:
        cursor: Any = connection.execute(nothing).cursor
        description = cursor.description
        oids = {each.type_code for each in description}
        names = sa.text("SELECT oid::bigint, typname FROM pg_type WHERE oid = ANY(:oids)")
        found = connection.execute(names, {"oids": list(oids)})
        kinds = {int(oid): str(name) for oid, name in found}
    return tuple(SourceColumn(c.name, kinds[c.type_code], *_precision(c)) for c in description)


def _precision(column: Any) -> tuple[int | None, int | None]:
    # psycopg2 says 65535 for a numeric of no declared precision.
    declared = column.precision is not None and column.precision <= 1000
    return (column.precision, column.scale) if declared else (None, None)
