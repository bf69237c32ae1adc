"""Extraction: every row once, exact types, one snapshot, or nothing at all."""

import datetime as dt
import decimal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from common import extract
from common.digest import digest_of_parquet, sha256_of
from common.errors import ConfigError, DeadlineExceeded, ExitCode, InvalidData, MlopsError, StepFailed, Unavailable
from common.extract import EmptyExtract, Extract, Wanted
from common.postgres import Postgres, Source

from .conftest import Schema
from .faulty_wire import Once, cut_after, wire

UTC = dt.UTC
AWKWARD = {
    # column: (SQL type, SQL value, Arrow type, value)
    "small": ("smallint", "-7", "int16", -7),
    "big": ("bigint", "9007199254740993", "int64", 9007199254740993),
    "single": ("real", "0.1", "float", 0.10000000149011612),
    "double": ("double precision", "1e308", "double", 1e308),
    "money_like": ("numeric(10,2)", "12345678.91", "double", 12345678.91),
    "whole": ("numeric(18,0)", "999999999999999999", "int64", 999999999999999999),
    "long_id": ("numeric(20,0)", "18446744073709551615", "decimal128(20, 0)", decimal.Decimal(2**64 - 1)),
    "precise": ("numeric(30,9)", "123456789012345678901.123456789", "decimal128(30, 9)",
                decimal.Decimal("123456789012345678901.123456789")),
    "loose": ("numeric", "0.1", "double", 0.1),
    "cash": ("money", "12.34", "double", 12.34),
    "yes": ("boolean", "true", "bool", True),
    "day": ("date", "'2024-02-29'", "date32[day]", dt.date(2024, 2, 29)),
    "clock": ("time", "'23:59:59.999999'", "time64[us]", dt.time(23, 59, 59, 999999)),
    "aware": ("timestamptz", "'2024-03-31 02:30:00.123456+02'", "timestamp[us, tz=UTC]",
              dt.datetime(2024, 3, 31, 0, 30, 0, 123456, UTC)),
    "naive": ("timestamp", "'2024-03-31 02:30:00'", "timestamp[us, tz=UTC]",
              dt.datetime(2024, 3, 31, 2, 30, tzinfo=UTC)),
    "ancient": ("timestamptz", "'0001-01-01 00:00:00Z'", "timestamp[us, tz=UTC]", dt.datetime(1, 1, 1, tzinfo=UTC)),
    "text": ("text", "E'na\\u00efve \\U0001F600 \\n'", "string", "naïve \U0001f600 \n"),
    "padded": ("character(5)", "'ab'", "string", "ab"),
    "raw": ("bytea", r"'\x00ff'", "binary", b"\x00\xff"),
    "json": ("json", """'{"a": 1}'""", "string", '{"a": 1}'),
    "uuid": ("uuid", "'A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11'", "string", "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"),
    "list": ("integer[]", "'{1,NULL,3}'", "string", "{1,NULL,3}"),
    "net": ("inet", "'10.0.0.0/8'", "string", "10.0.0.0/8"),
    "span": ("interval", "'1 mon 2 days'", "string", "1 mon 2 days"),
    "range": ("int4range", "'[1,5)'", "string", "[1,5)"),
    "object": ("oid", "4294967295", "int64", 4294967295),
    "kind": ("mood", "'glad'", "string", "glad"),
    "limited": ("score", "7", "int32", 7),
}  # fmt: skip


def take(postgres: Postgres, where: Path, source: str | Source, **wanted: Any) -> tuple[Extract, pa.Table]:
    source = source if isinstance(source, Source) else Source(table=source)
    done = extract.run(postgres, Wanted(source, **wanted), where / "out.parquet")
    return done, pq.read_table(done.path)


def test_awkward_types_arrive_exactly(postgres: Postgres, schema: Schema, tmp_path: Path) -> None:
    columns = ", ".join(f'"{name}" {kind}' for name, (kind, *_) in AWKWARD.items())
    values = ", ".join(value for _, value, *_ in AWKWARD.values())
    schema.sql(
        "CREATE TYPE mood AS ENUM ('sad', 'glad')", "CREATE DOMAIN score AS int CHECK (value < 10)",
        f"CREATE TABLE t ({columns})", f"INSERT INTO t VALUES ({values})", "INSERT INTO t DEFAULT VALUES",
    )  # fmt: skip
    done, table = take(postgres, tmp_path, schema.table())
    assert dict(done.columns) == {name: arrow for name, (_, _, arrow, _) in AWKWARD.items()}
    first, nulls = sorted(table.to_pylist(), key=lambda row: row["small"] is None)
    assert first == {name: value for name, (*_, value) in AWKWARD.items()}
    assert set(nulls.values()) == {None}


def test_what_is_reported_is_what_the_file_holds(postgres: Postgres, schema: Schema, tmp_path: Path) -> None:
    schema.sql("CREATE TABLE t AS SELECT g AS id, 'n' || g AS name FROM generate_series(1, 70000) g")
    done, table = take(postgres, tmp_path, schema.table())
    assert done.rows == table.num_rows == 70000
    assert done.digest == digest_of_parquet(done.path)
    assert (done.sha256, done.size_bytes) == (sha256_of(done.path), done.path.stat().st_size)
    assert sorted(table["id"].to_pylist()) == list(range(1, 70001))


def test_an_empty_table_is_refused_and_leaves_no_file(postgres: Postgres, schema: Schema, tmp_path: Path) -> None:
    schema.sql("CREATE TABLE t (id int)")
    with pytest.raises(EmptyExtract) as raised:
        take(postgres, tmp_path, schema.table())
    assert raised.value.message == (f"Table {schema.table()} has no rows; refusing to publish an empty snapshot.")
    assert raised.value.exit_code == ExitCode.BAD_DATA
    assert list(tmp_path.iterdir()) == []


def test_a_missing_column_names_the_nearest_one(postgres: Postgres, schema: Schema, tmp_path: Path) -> None:
    schema.sql("CREATE TABLE t (customer_id int, churned bool)")
    with pytest.raises(InvalidData, match=f"Table {schema.table()} has no column churn.") as raised:
        take(postgres, tmp_path, schema.table(), needed=("customer_id", "churn"))
    assert raised.value.hint == "Did you mean churned?"


def test_dropped_columns_are_never_read(postgres: Postgres, schema: Schema, tmp_path: Path) -> None:
    schema.sql("CREATE TABLE t AS SELECT 1 AS id, 'secret' AS note")
    done, table = take(postgres, tmp_path, schema.table(), dropped=("note", "not_there"))
    assert table.to_pylist() == [{"id": 1}]
    assert b"secret" not in done.path.read_bytes()


def test_as_of_is_inclusive_and_utc_where_it_does_not_say(postgres: Postgres, schema: Schema, tmp_path: Path) -> None:
    times = ["2025-12-31 23:59:59.999999Z", "2026-01-01 00:00:00Z", "2026-01-01 00:00:00.000001Z"]
    rows = ", ".join(f"({place}, '{time}')" for place, time in enumerate(times))
    schema.sql("CREATE TABLE t (id int, at timestamptz, naive timestamp)", f"INSERT INTO t (id, at) VALUES {rows}",
               "UPDATE t SET naive = at AT TIME ZONE 'UTC'")  # fmt: skip
    bounds = [dt.datetime(2026, 1, 1, tzinfo=UTC), dt.datetime(2026, 1, 1)]  # noqa: DTZ001
    bounds.append(dt.datetime(2026, 1, 1, 2, tzinfo=dt.timezone(dt.timedelta(hours=2))))
    for bound in bounds:
        for column in ("at", "naive"):
            _, table = take(postgres, tmp_path, schema.table(), event_time=column, as_of=bound)
            assert sorted(table["id"].to_pylist()) == [0, 1], (bound, column)


def test_nothing_before_as_of_is_refused_too(postgres: Postgres, schema: Schema, tmp_path: Path) -> None:
    schema.sql("CREATE TABLE t AS SELECT 1 AS id, now() AS at")
    with pytest.raises(EmptyExtract, match="has no rows up to 2000-01-01"):
        take(postgres, tmp_path, schema.table(), event_time="at", as_of=dt.datetime(2000, 1, 1, tzinfo=UTC))


def test_a_query_is_the_users_own_sql(postgres: Postgres, schema: Schema, tmp_path: Path) -> None:
    query = """WITH few AS (SELECT * FROM generate_series(1, 3) g) -- a comment: with a colon
        SELECT g::bigint AS id, '50% :off \\ ' || g AS "what ""for""?", 7 % 4 AS rest FROM few
        WHERE '{"a":1}'::json ->> 'a' = '1';
    """
    _, table = take(postgres, tmp_path, Source(query=query))
    assert sorted(table.to_pylist(), key=lambda row: row["id"])[2] == {
        "id": 3, 'what "for"?': "50% :off \\ 3", "rest": 3,
    }  # fmt: skip


@pytest.mark.parametrize(
    "query", ["DELETE FROM t", "SELECT 1; DROP TABLE t", "WITH d AS (DELETE FROM t RETURNING 1) SELECT 1"]
)
def test_a_query_that_is_not_one_select_is_refused(
    query: str, postgres: Postgres, schema: Schema, tmp_path: Path
) -> None:
    schema.sql("CREATE TABLE t AS SELECT 1 AS id")
    with pytest.raises(ConfigError, match="does not understand the query"):
        take(postgres, tmp_path, Source(query=query.replace(" t", f" {schema.table()}")))
    assert postgres.watermark(schema.table())["rows"] == 1


def test_two_columns_of_one_name_are_refused(postgres: Postgres, tmp_path: Path) -> None:
    with pytest.raises(InvalidData, match="more than one column named id"):
        take(postgres, tmp_path, Source(query="SELECT 1 AS id, 2 AS id"))


def test_names_need_no_care(postgres: Postgres, schema: Schema, tmp_path: Path) -> None:
    schema.sql('CREATE TABLE "Kunden ""2024""; DROP" ("select" int, "Straße & Nr." text, "a%b:c" int)',
               """INSERT INTO "Kunden ""2024""; DROP" VALUES (1, 'Hauptstraße', 2)""")  # fmt: skip
    _, table = take(postgres, tmp_path, schema.table('Kunden "2024"; DROP'))
    assert table.to_pylist() == [{"select": 1, "Straße & Nr.": "Hauptstraße", "a%b:c": 2}]


@pytest.mark.parametrize(
    ("query", "error", "said"),
    [
        ("SELECT 1 / (g - 150000) AS x FROM generate_series(1, 200000) g", StepFailed, "division by zero"),
        ("SELECT g, pg_sleep(0.1)::text FROM generate_series(1, 2000) g", DeadlineExceeded, "took longer"),
    ],
)
def test_an_error_in_the_middle_of_the_rows_is_told_and_not_repeated(
    query: str, error: type[MlopsError], said: str,
    postgres: Postgres, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr("common.postgres.SESSION", ("-cstatement_timeout=2s",))
    with pytest.raises(error, match=said) as raised:
        take(Postgres(postgres.settings), tmp_path, Source(query=query))
    assert type(raised.value) is error
    assert list(tmp_path.iterdir()) == []


def test_a_time_that_is_text_is_refused(postgres: Postgres, schema: Schema, tmp_path: Path) -> None:
    schema.sql("CREATE TABLE t AS SELECT 1 AS id, '2026-01-01' AS at")
    with pytest.raises(InvalidData, match=r"Column at of Table .* is text, which is no time"):
        take(postgres, tmp_path, schema.table(), event_time="at")


@pytest.mark.parametrize("value", ["'infinity'", "'-infinity'", "'4000-01-01 BC'"])
@pytest.mark.parametrize("kind", ["timestamptz", "timestamp", "date"])
def test_times_that_no_calendar_has_are_refused(
    kind: str, value: str, postgres: Postgres, schema: Schema, tmp_path: Path
) -> None:
    schema.sql(f"CREATE TABLE t (id int, until {kind})", f"INSERT INTO t VALUES (1, {value})")
    with pytest.raises(InvalidData, match=r"Column until of Table .* holds infinity or years outside 1 to 9999"):
        take(postgres, tmp_path, schema.table())
    assert list(tmp_path.iterdir()) == []


def test_not_a_number_stays_one_where_the_type_has_it_and_is_refused_where_not(
    postgres: Postgres, schema: Schema, tmp_path: Path
) -> None:
    schema.sql("CREATE TABLE t (x numeric(5,2))", "INSERT INTO t VALUES ('NaN')")
    _, table = take(postgres, tmp_path, schema.table())
    assert str(table["x"][0].as_py()) == "nan"
    schema.sql("ALTER TABLE t ALTER x TYPE numeric(20,2)")
    with pytest.raises(InvalidData, match=r"Column x of Table .* holds NaN or infinity"):
        take(postgres, tmp_path, schema.table())


def test_the_digest_follows_the_content_and_not_where_rows_lie(
    postgres: Postgres, schema: Schema, tmp_path: Path
) -> None:
    schema.sql("CREATE TABLE t AS SELECT g AS id, 0 AS x FROM generate_series(1, 1000) g")
    first, _ = take(postgres, tmp_path, schema.table())
    schema.sql("UPDATE t SET x = x WHERE id % 3 = 0")
    moved, _ = take(postgres, tmp_path, schema.table())
    assert (moved.digest, moved.sha256 != first.sha256) == (first.digest, True)
    schema.sql("UPDATE t SET x = 1 WHERE id = 500")
    assert take(postgres, tmp_path, schema.table())[0].digest != first.digest


def test_writers_meanwhile_do_not_tear_the_snapshot(postgres: Postgres, schema: Schema, tmp_path: Path) -> None:
    """Every transaction moves 1 between two rows: the sum is the same at any one instant, and only there."""
    schema.sql(
        "CREATE TABLE t AS SELECT g AS id, 100 AS x FROM generate_series(1, 60000) g",
        "ALTER TABLE t ADD PRIMARY KEY (id)",
    )
    with moving_money(schema) as moves:
        for _ in range(3):
            _, table = take(postgres, tmp_path, schema.table())
            assert (table.num_rows, sum(table["x"].to_pylist())) == (60000, 6_000_000)
    assert len(moves) > 3, "the writer was at work"


@contextmanager
def moving_money(schema: Schema) -> Iterator[list[int]]:
    stop, moves = threading.Event(), [0]

    def move() -> None:
        with schema.postgres.engine.connect() as connection:
            while not stop.is_set():
                one, other = 1 + moves[-1] % 60000, 60000 - moves[-1] * 7 % 60000
                connection.exec_driver_sql(f"UPDATE {schema.table()} SET x = x - 1 WHERE id = {one}")
                connection.exec_driver_sql(f"UPDATE {schema.table()} SET x = x + 1 WHERE id = {other}")
                connection.commit()
                moves.append(len(moves))

    thread = threading.Thread(target=move)
    thread.start()
    try:
        yield moves
    finally:
        stop.set()
        thread.join()


@pytest.fixture
def wide(schema: Schema) -> str:
    schema.sql("CREATE TABLE t AS SELECT g AS id, repeat('x', 100) AS s FROM generate_series(1, 200000) g")
    return schema.table()


def through(postgres: Postgres, port: int) -> Postgres:
    return Postgres(postgres.settings.model_copy(update={"host": "127.0.0.1", "port": port}))


def test_a_connection_lost_in_the_middle_costs_a_retry_and_no_row(
    postgres: Postgres, wide: str, tmp_path: Path
) -> None:
    cut = Once(cut_after(5_000_000))
    with wire(postgres.settings.host, postgres.settings.port, cut) as broken:
        done, _ = take(through(postgres, broken.port), tmp_path, wide)
    assert cut.times == 1, "the connection that carried the rows was cut"
    assert done.rows == 200000
    assert done.digest == take(postgres, tmp_path, wide)[0].digest


def test_a_connection_that_always_breaks_ends_unavailable_and_leaves_no_file(
    postgres: Postgres, wide: str, tmp_path: Path
) -> None:
    with wire(postgres.settings.host, postgres.settings.port, cut_after(5_000_000)) as broken:
        with pytest.raises(Unavailable, match="does not answer"):
            take(through(postgres, broken.port), tmp_path, wide)
        assert list(tmp_path.iterdir()) == []
