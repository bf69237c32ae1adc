"""Which type each column of a text file has: the narrowest that every one of its values has, else text, and why.

Blank means not known, and so do the words that tools write for it, in every column that is not text. Nothing is
guessed where a value could mean two things: 03/04/2020 in a file whose dates fit both readings stays text.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from embedded.table_file import TableFile

SAMPLE_ROWS = 5_000
COLUMNS_AT_ONCE = 20
NEARLY = 0.9  # where so many values are numbers, or dates, the ones that are not are worth a word
MISSING_WORDS = ("na", "n/a", "#n/a", "nan", "null", "none", "nil", "?", "-", ".", "missing")
NUMBER = r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?|[+-]?(inf|infinity|Inf|Infinity)"
ISO_DATE, CLOCK = r"\d{4}-\d{2}-\d{2}", r"[ T]\d{2}:\d{2}(:\d{2}(\.\d+)?)?"
ZONE = r"( ?(Z|UTC|[+-]\d{2}(:?\d{2})?))"
DATES = ("%d/%m/%Y", "%m/%d/%Y", "%Y/%m/%d", "%d.%m.%Y", "%d-%m-%Y", "%m-%d-%Y")
CLOCKS = ("", " %H:%M", " %H:%M:%S")
DATE_LIKE = r"\d{1,4}[./-]\d{1,2}[./-]\d{1,4}([ T].*)?"


@dataclass(frozen=True)
class Kind:
    """A type that a text may be of: the test, the value, and the type in PostgreSQL."""

    name: str
    test: str
    value: str
    postgres: str


def _formatted(pattern: str) -> Kind:
    postgres = "timestamp" if "%H" in pattern else "date"
    test = f"try_strptime(v, '{pattern}') IS NOT NULL"
    return Kind(pattern, test, f"CAST(strptime(v, '{pattern}') AS {postgres})", postgres)


# In order of preference. A code such as 007 is no number, and neither is an id that 64 bits cannot hold.
KINDS = (
    Kind("boolean", "lower(v) IN ('true', 'false')", "lower(v) = 'true'", "boolean"),
    Kind("whole number", r"regexp_full_match(v, '[+-]?(0|[1-9]\d*)') AND try_cast(v AS BIGINT) IS NOT NULL",
         "CAST(v AS BIGINT)", "bigint"),
    Kind("number", rf"regexp_full_match(v, '{NUMBER}') AND NOT regexp_full_match(v, '[+-]?(0\d+|\d{{16,}})')",
         "CAST(v AS DOUBLE)", "double precision"),
    Kind("decimal comma", r"regexp_full_match(v, '[+-]?(0|[1-9]\d*)(,\d+)?') "
         r"AND NOT regexp_full_match(v, '[+-]?\d{16,}')",
         "CAST(replace(v, ',', '.') AS DOUBLE)", "double precision"),
    Kind("date", f"regexp_full_match(v, '{ISO_DATE}') AND try_cast(v AS DATE) IS NOT NULL", "CAST(v AS DATE)", "date"),
    Kind("time", f"regexp_full_match(v, '{ISO_DATE}({CLOCK})?') AND try_cast(v AS TIMESTAMP) IS NOT NULL",
         "CAST(v AS TIMESTAMP)", "timestamp"),
    Kind("time with zone", f"regexp_full_match(v, '{ISO_DATE}({CLOCK}{ZONE}?)?') AND "
         "try_cast(v AS TIMESTAMPTZ) IS NOT NULL", "CAST(v AS TIMESTAMPTZ)", "timestamptz"),
    *(_formatted(date + clock) for date in DATES for clock in CLOCKS),
)  # fmt: skip
# What a sample is asked first, and what is asked of all rows where the answer is yes: few questions of many columns.
LOOKS = {
    KINDS[0]: KINDS[:1],
    Kind("digits", r"regexp_full_match(v, '[+-]?[\d.,]+([eE][+-]?\d+)?|[+-]?(inf|infinity|Inf|Infinity)')", "", ""):
        KINDS[1:4],
    Kind("date", rf"regexp_full_match(v, '{DATE_LIKE}')", "", ""): KINDS[4:],
}  # fmt: skip
FORMATS = {kind.name for kind in KINDS if kind.name.startswith("%")}


@dataclass(frozen=True)
class Typed:
    """A column as it will be in PostgreSQL: its type, the expression that makes it of `raw`, and what to say."""

    name: str
    postgres: str
    expression: str
    note: str = ""


def typed(database: Any, file: TableFile) -> tuple[Typed, ...]:
    """Every column of a text file with its type. A sample tells what a column looks like, all rows what it is."""
    looks = _possible(database, [list(LOOKS) for _ in file.names], f" LIMIT {SAMPLE_ROWS}")
    asked = [[kind for look in found for kind in LOOKS[look]] for found, _, _, _ in looks]
    is_all = _possible(database, asked)
    return tuple(
        _typed(database, at, name, *found) for at, (name, found) in enumerate(zip(file.names, is_all, strict=True))
    )  # fmt: skip


Possible = tuple[list[Kind], int, int, int]


def _possible(database: Any, asked: Sequence[list[Kind]], limit: str = "") -> list[Possible]:
    """For each column: the kinds, of those asked about, that all known values have; counts of known, words, blanks."""
    found: list[Possible] = []
    for first in range(0, len(asked), COLUMNS_AT_ONCE):
        columns = list(enumerate(asked[first : first + COLUMNS_AT_ONCE], first))
        parts = [part for at, kinds in columns for part in _counts(at, kinds)]
        source = f"(SELECT {', '.join(f'c{at}' for at, _ in columns)} FROM raw{limit})"  # noqa: S608 - columns are c0, c1, ...: no name of the file is in it
        counts = list(database.execute(f"SELECT {', '.join(parts)} FROM {source}").fetchall()[0])  # noqa: S608 - columns are c0, c1, ...: no name of the file is in it
        for _, kinds in columns:
            known, words, blank, *each = (counts.pop(0) for _ in range(len(kinds) + 3))
            # Where the sample knows no value, anything is possible.
            found.append(([kind for kind, count in zip(kinds, each, strict=True) if count == known],
                          known, words, blank))  # fmt: skip
    return found


def _counts(at: int, kinds: Sequence[Kind]) -> list[str]:
    value, known = f"trim(c{at})", _known(f"c{at}")
    tests = [f"count_if({known} AND {kind.test.replace('(v', '(' + value)})" for kind in kinds]
    blank = f"count_if(c{at} <> '' AND {value} = '')"
    return [f"count_if({known})", f"count_if({value} <> '' AND NOT {known})", blank, *tests]


def _known(column: str) -> str:
    words = ", ".join(f"'{word}'" for word in MISSING_WORDS)
    return f"(trim({column}) <> '' AND lower(trim({column})) NOT IN ({words}))"


def _typed(database: Any, at: int, name: str, kinds: list[Kind], known: int, words: int, blank: int) -> Typed:
    column = f"c{at}"
    readings = [kind for kind in kinds if kind.name in FORMATS]
    chosen = next((kind for kind in kinds if known and kind.name not in FORMATS), None)
    if chosen is None and known and len(readings) == 1:
        chosen = readings[0]
    if chosen is None:
        return Typed(name, "text", column, _why_text(database, column, known, readings))
    value = chosen.value.replace("(v", f"(trim({column})")
    expression = f"CASE WHEN {_known(column)} THEN {value} END"
    notes = [f"read as {chosen.name}"] if chosen.name in FORMATS | {"decimal comma"} else []
    notes += [f"{words:,} values such as 'NA' became NULL"] if words else []
    notes += [f"{blank:,} blank texts became NULL"] if blank else []
    return Typed(name, chosen.postgres, expression, "; ".join(notes))


def _why_text(database: Any, column: str, known: int, readings: list[Kind]) -> str:
    """Why a column that looks like numbers or dates stays text, with the row that decided it."""
    if not known:
        return "no value at all"
    if readings:
        fits = " and ".join(kind.name for kind in readings[:2])
        return f"kept as text: its dates fit {fits}"
    value, where = f"trim({column})", _known(column)
    for said, test in (("numbers", f"regexp_full_match({value}, '{NUMBER}')"),
                       ("dates", f"regexp_full_match({value}, '{DATE_LIKE}')")):  # fmt: skip
        share = _one(database, f"SELECT avg(CAST({test} AS INT)) FROM raw WHERE {where}") or 0  # noqa: S608 - columns are c0, c1, ...: no name of the file is in it
        if share == 1 and said == "numbers":
            return "kept as text: it has codes such as 007, or numbers beyond 64 bits"
        if share == 1:
            return f"kept as text: dates in more than one format, {_two_formats(database, column)}"
        if share >= NEARLY:
            row, other = database.execute(
                f"SELECT rowid + 1, {column} FROM raw WHERE {where} AND NOT {test} ORDER BY rowid LIMIT 1"  # noqa: S608 - columns are c0, c1, ...: no name of the file is in it
            ).fetchall()[0]
            return f"kept as text: {said}, but row {row:,} has {other[:40]!r}"
    return ""


def _two_formats(database: Any, column: str) -> str:
    """Two rows whose dates are written differently."""
    shape = f"regexp_replace(trim({column}), '[0-9]+', '9', 'g') || length(split_part(trim({column}), '-', 1))"
    rows = database.execute(
        f"SELECT min(rowid) + 1 AS row, arg_min({column}, rowid) FROM raw "  # noqa: S608 - columns are c0, c1, ...: no name of the file is in it
        f"WHERE {_known(column)} GROUP BY {shape} ORDER BY row LIMIT 2"
    ).fetchall()
    said = [f"row {row:,} has {value[:30]!r}" for row, value in rows]
    return ", ".join(said) if len(said) > 1 else f"or days and months in more than one order: {said[0]}"


def _one(database: Any, query: str) -> Any:
    return database.execute(query).fetchall()[0][0]


WHOLE = {"TINYINT": "smallint", "SMALLINT": "smallint", "INTEGER": "integer", "BIGINT": "bigint",
         "UTINYINT": "integer", "USMALLINT": "integer", "UINTEGER": "bigint"}  # fmt: skip
PLAIN = {
    **WHOLE, "BOOLEAN": "boolean", "FLOAT": "real", "DOUBLE": "double precision", "VARCHAR": "text", "DATE": "date",
    "BLOB": "bytea", "TIMESTAMP": "timestamp", "TIMESTAMP_S": "timestamp", "TIMESTAMP_MS": "timestamp",
    "TIMESTAMP_NS": "timestamp", "TIMESTAMP WITH TIME ZONE": "timestamptz",
}  # fmt: skip


def declared(file: TableFile) -> tuple[Typed, ...]:
    """The columns of a parquet file, which says their types itself; what PostgreSQL has not becomes text."""
    return tuple(_declared(f"c{at}", name, kind) for at, (name, kind) in
                 enumerate(zip(file.names, file.types, strict=True)))  # fmt: skip


def _declared(column: str, name: str, kind: str) -> Typed:
    if kind.startswith("DECIMAL"):
        return Typed(name, "double precision", f"CAST({column} AS DOUBLE)", f"{kind.lower()} as a double")
    if kind.startswith("ENUM"):
        return Typed(name, "text", f"CAST({column} AS VARCHAR)")
    if kind not in PLAIN:
        return Typed(name, "text", f"CAST({column} AS VARCHAR)", f"{kind.lower()} as text")
    arrow = {"integer": "INTEGER", "smallint": "SMALLINT", "bigint": "BIGINT"}.get(PLAIN[kind])
    cast = arrow or ("TIMESTAMP" if PLAIN[kind] == "timestamp" else None)
    return Typed(name, PLAIN[kind], f"CAST({column} AS {cast})" if cast else column)
