"""Any text as the name of a table or a column, or as a value, in real PostgreSQL: what goes in comes out."""

import uuid
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import sqlalchemy as sa

from common import extract
from common.errors import InvalidData, MlopsError, UsageError
from common.extract import Wanted
from common.postgres import Postgres, Source
from common.settings import Settings
from embedded.load import load
from tests.injection.corpora import HTML, SHELL, SQL, YAML

LONGEST = 63
NAMES = tuple(text for text in SQL if len(text.encode()) <= LONGEST)
VALUES = tuple(dict.fromkeys(text for text in (*SQL, *SHELL, *YAML, *HTML) if "\0" not in text))


@pytest.fixture(scope="module")
def postgres(settings: Settings) -> Postgres:
    return Postgres(settings.postgres)


@pytest.fixture(scope="module")
def victims(postgres: Postgres) -> Iterator[sa.Table]:
    """A table that must be whole at the end."""
    table = sa.Table("victims", sa.MetaData(), sa.Column("id", sa.Integer))
    with postgres.engine.begin() as connection:
        table.drop(connection, checkfirst=True)
        table.create(connection)
        connection.execute(table.insert(), [{"id": 1}, {"id": 2}])
    yield table
    with postgres.engine.begin() as connection:
        assert connection.scalar(sa.select(sa.func.count()).select_from(table)) == 2, "something was carried out"
        table.drop(connection)


def dropped(postgres: Postgres, *names: str) -> None:
    with postgres.engine.begin() as connection:
        for name in names:
            sa.Table(name, sa.MetaData()).drop(connection, checkfirst=True)


def test_any_text_is_a_column_and_a_value_and_arrives_whole(
    postgres: Postgres, victims: sa.Table, tmp_path: Path
) -> None:
    file, table = tmp_path / "t.parquet", f"sql_{uuid.uuid4().hex[:8]}"
    rows = [[VALUES[(7 * row + at) % len(VALUES)] for at in range(len(NAMES))] for row in range(len(VALUES))]
    columns = [pa.array(column, pa.string()) for column in zip(*rows, strict=True)]
    pq.write_table(pa.table(columns, names=list(NAMES)), file)
    loaded = load(postgres.settings, file, table, tmp_path)
    try:
        called = ["ctid_" if name == "ctid" else name for name in NAMES]  # each table of PostgreSQL has one of its own
        assert [column.name for column in loaded.columns] == called
        found = extract.run(postgres, Wanted(Source(table=table), needed=tuple(called)), tmp_path / "back.parquet")
        back = pq.read_table(found.path)
        assert back.column_names == called
        assert sorted(tuple(row.values()) for row in back.to_pylist()) == sorted(map(tuple, rows))
    finally:
        dropped(postgres, table)


@pytest.mark.parametrize("names", [NAMES[::12], pytest.param(NAMES, marks=pytest.mark.deep)], ids=["some", "all"])
def test_any_text_is_the_name_of_a_table_or_is_refused(
    names: tuple[str, ...], postgres: Postgres, victims: sa.Table, tmp_path: Path
) -> None:
    pq.write_table(pa.table({"a": [1, 3], "b": [2, 4]}), tmp_path / "t.parquet")
    taken = [name for name in names if is_loaded(postgres, name, tmp_path)]
    assert len(taken) > len(names) // 2


def is_loaded(postgres: Postgres, name: str, directory: Path) -> bool:
    """Load a table of this name and extract it again; False where the name is refused."""
    try:
        load(postgres.settings, directory / "t.parquet", name, directory)
    except UsageError:
        return False
    try:
        found = extract.run(postgres, Wanted(Source(table=name)), directory / "back.parquet")
        assert (found.rows, [column for column, _ in found.columns]) == (2, ["a", "b"])
    finally:
        dropped(postgres, name)
    return True


@pytest.mark.parametrize("name", ["x" * 64, "ä" * 32, "a\0b", "", " ", "a\nb", "a\u202eb", "\ud800", "customers"])
def test_a_name_that_postgresql_would_cut_or_nobody_could_read_is_refused(
    name: str, postgres: Postgres, tmp_path: Path
) -> None:
    (tmp_path / "t.csv").write_text("a\n1\n")
    with pytest.raises(MlopsError) as refused:
        load(postgres.settings, tmp_path / "t.csv", name, tmp_path)
    assert refused.value.message.isprintable()


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_a_file_of_two_thousand_columns_is_refused_in_one_sentence(
    suffix: str, postgres: Postgres, tmp_path: Path
) -> None:
    file, names = tmp_path / f"wide.{suffix}", [f"c{number}" for number in range(2000)]
    if suffix == "csv":
        file.write_text(",".join(names) + "\n" + ",".join(["1"] * len(names)) + "\n")
    else:
        pq.write_table(pa.table({name: [1] for name in names}), file)
    with pytest.raises(InvalidData, match=r"has 2,000 columns; a table of PostgreSQL holds 1,600"):
        load(postgres.settings, file, "too_wide", tmp_path)
