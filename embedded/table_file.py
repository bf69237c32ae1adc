"""A CSV or parquet file, opened as a table of DuckDB whose columns are called c0, c1, ... whatever theirs are called.

A file is read once, from front to back, into a database of its own on disk: memory stays bounded, and a row has a
number that a message can name. Row 1 is the first one below the header.
"""

import csv
import re
import shutil
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from common.errors import InvalidData, UsageError

MEMORY = "2GB"  # a file of 1,600 columns keeps a block of 256 kB of each
DELIMITERS = ",;\t|"
LOOKED_AT = 1 << 20  # characters of a text that are looked at to find its delimiter
CHUNK = 1 << 22
MAX_COLUMNS = 1600  # of a table of PostgreSQL
NO_TEXT = {
    b"\x1f\x8b": "is compressed (gzip): unpack it first",
    b"PK": "is a ZIP archive or a workbook: unpack it, or save the sheet as CSV",
    b"BZ": "is compressed (bzip2): unpack it first",
    b"\xd0\xcf\x11\xe0": "is an old workbook: save the sheet as CSV",
    b"SQLite": "is a SQLite database: export the table as CSV",
}


@dataclass(frozen=True)
class TableFile:
    """A file that was read: the names of its columns, their types in DuckDB, and what there is to say of it."""

    names: tuple[str, ...]
    types: tuple[str, ...]
    rows: int
    notes: tuple[str, ...]
    is_text: bool
    delimiter: str = ","


def read(database: Any, path: Path, work: Path) -> TableFile:
    """Read `path` into table `raw` of the DuckDB connection. Raises InvalidData in one sentence; `work` is scratch."""
    if not path.is_file():
        raise UsageError(f"There is no file {path}.", "Name a CSV or parquet file.")
    with path.open("rb") as file:
        start = file.read(512)
    _refuse_what_is_no_table(path, start)
    read_it = _read_parquet if start.startswith(b"PAR1") or path.suffix.lower() in (".parquet", ".pq") else _read_csv
    found = read_it(database, path, work)
    if not found.rows:
        raise InvalidData(f"{path} has a header and no rows.", "There is nothing to load.")
    return found


def connect(work: Path) -> Any:
    """A DuckDB database on disk, in `work`, that keeps to little memory and to the order of rows."""
    import duckdb

    database = duckdb.connect(str(work / "file.duckdb"))
    database.execute(f"SET memory_limit = '{MEMORY}'; SET threads = 2; SET TimeZone = 'UTC'")
    # DuckDB's optimizer of IN takes minutes over the words for what is missing, once for each of a thousand columns.
    database.execute("SET disabled_optimizers = 'in_clause'")
    database.execute(f"SET temp_directory = '{_quoted(str(work / 'spill'))}'")
    return database


def _refuse_what_is_no_table(path: Path, start: bytes) -> None:
    if not start.strip():
        raise InvalidData(f"{path} is empty.", "Name a file with a header and rows.")
    if re.match(rb"(\xef\xbb\xbf)?\s*<(!doctype|html|\?xml|head|body)", start, re.IGNORECASE):
        raise InvalidData(f"{path} is a web page (HTML), not a table: a download that failed looks like this.",
                          "Open it in an editor to see what the server said.")  # fmt: skip
    for magic, why in NO_TEXT.items():
        if start.startswith(magic):
            raise InvalidData(f"{path} {why}.")


def _read_parquet(database: Any, path: Path, _work: Path) -> TableFile:
    import duckdb
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        schema = pq.read_schema(path)
        names = _checked(path, schema.names)
        aliases = ", ".join(f"c{at}" for at in range(len(names)))
        file = _quoted(str(path))
        database.execute(f"CREATE TABLE raw AS SELECT * FROM read_parquet('{file}') AS t({aliases})")  # noqa: S608 - the path is quoted, columns are c0, c1, ...
    except (pa.ArrowException, OSError, duckdb.Error) as error:
        said = str(error).splitlines()[0]
        raise InvalidData(f"{path} is not a whole parquet file: {said}", "Fetch or write it again.") from None
    types = [str(row[1]) for row in database.execute("DESCRIBE raw").fetchall()]
    return TableFile(names, tuple(types), _rows(database), (), is_text=False)


def _read_csv(database: Any, path: Path, work: Path) -> TableFile:
    import duckdb

    text, notes = _as_utf8(path, work)
    delimiter, header = _dialect(path, text)
    names = _checked(path, [name.strip() for name in header])
    columns = ", ".join(f"'c{at}': 'VARCHAR'" for at in range(len(names)))
    source = (
        f"read_csv('{_quoted(str(text))}', columns={{{columns}}}, delim='{delimiter}', quote='\"', escape='\"', "
        "header=true, auto_detect=false, max_line_size=10000000)"
    )
    try:
        database.execute(f"CREATE TABLE raw AS SELECT * FROM {source}")  # noqa: S608 - the path is quoted, columns are c0, c1, ...
    except duckdb.Error as error:
        raise InvalidData(
            f"{path} {_csv_trouble(str(error), header)}.", "Mend that line, or export it again."
        ) from None
    if delimiter != ",":
        notes = (*notes, f"columns are separated by {'a tab' if delimiter == chr(9) else delimiter}")
    return TableFile(names, ("VARCHAR",) * len(names), _rows(database), notes, is_text=True, delimiter=delimiter)


def _as_utf8(path: Path, work: Path) -> tuple[Path, tuple[str, ...]]:
    """The file itself where it is UTF-8, else a copy that is; and what was done."""
    encoding = _encoding(path)
    if encoding == "utf-8":
        return path, ()
    copy = work / "utf8.csv"
    try:
        with path.open(encoding=encoding, newline="") as old, copy.open("w", encoding="utf-8", newline="") as new:
            shutil.copyfileobj(old, new, CHUNK)
    except UnicodeDecodeError as error:
        raise InvalidData(f"{path} is no text: byte {error.start:,} is in no encoding that we know.",
                          "Export it as CSV in UTF-8.") from None  # fmt: skip
    return copy, (f"read as {encoding}, because it is not UTF-8",) if encoding != "utf-8-sig" else ()


def _encoding(path: Path) -> str:
    import codecs

    with path.open("rb") as file:
        start = file.read(4)
        if start.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
            return "utf-16"
        file.seek(0)
        decoder = codecs.getincrementaldecoder("utf-8")()
        try:
            while chunk := file.read(CHUNK):
                if b"\x00" in chunk:
                    raise InvalidData(f"{path} holds zero bytes: it is no text.", "Export it as CSV in UTF-8.")
                decoder.decode(chunk)
            decoder.decode(b"", final=True)
        except UnicodeDecodeError:
            return "cp1252"
    return "utf-8-sig" if start.startswith(codecs.BOM_UTF8) else "utf-8"


def _dialect(path: Path, text: Path) -> tuple[str, list[str]]:
    """The delimiter that cuts the first lines into equally many pieces, most of them; and the header it gives."""
    with text.open(encoding="utf-8", newline="") as file:
        start = file.read(LOOKED_AT)
    lines = start.splitlines(keepends=True)[:200]
    best = max(DELIMITERS, key=lambda delimiter: _evenness(lines, delimiter))
    try:
        header = next(csv.reader(lines, delimiter=best))
    except (csv.Error, StopIteration) as error:
        raise InvalidData(f"{path} is no CSV: {error or 'it has no header'}.") from None
    return best, header


def _evenness(lines: list[str], delimiter: str) -> tuple[float, int]:
    try:
        counts = [len(row) for row in csv.reader(lines, delimiter=delimiter) if row]
    except csv.Error:
        return 0.0, 0
    width = counts[0] if counts else 0
    return (sum(count == width for count in counts) / len(counts), width) if width > 1 else (0.0, width)


def _checked(path: Path, names: list[str]) -> tuple[str, ...]:
    """Names that are there, once each; a column without a name is called by its place."""
    given = [name or f"column {place}" for place, name in enumerate(names, 1)]
    twice = next((name for name, times in Counter(given).items() if times > 1), None)
    if twice is not None:
        raise InvalidData(f"{path} has more than one column named {twice!r}.", "Give each a name of its own.")
    if len(given) > MAX_COLUMNS:
        raise InvalidData(f"{path} has {len(given):,} columns; a table of PostgreSQL holds {MAX_COLUMNS:,}.",
                          "Leave columns out, or split it into tables that a query joins.")  # fmt: skip
    return tuple(given)


def _csv_trouble(said: str, header: list[str]) -> str:
    """DuckDB's words about a broken line, in a sentence."""
    line = re.search(r"on Line: (\d+)", said)
    found = re.search(r"Expected Number of Columns: (\d+) Found: (\d+)", said)
    where = f"is broken on line {line[1]}" if line else "cannot be read as CSV"
    if found:
        return f"{where}: it has {found[2]} values where the header names {len(header)} columns"
    return f"{where}: {said.splitlines()[-1 if line is None else 0].strip().rstrip('.')}"


def _rows(database: Any) -> int:
    return int(database.execute("SELECT count(*) FROM raw").fetchall()[0][0])


def _quoted(text: str) -> str:
    return text.replace("'", "''")
