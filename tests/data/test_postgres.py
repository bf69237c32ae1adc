"""The PostgreSQL client: what it reads, and what it says when it cannot."""

import time
from types import SimpleNamespace

import pytest
import sqlalchemy as sa
from pydantic import SecretStr

from common.errors import AccessRefused, ConfigError, DeadlineExceeded, ExitCode, InvalidData, Unavailable
from common.postgres import Postgres, source_of

from .conftest import Schema
from .faulty_wire import closed_port, cut_after, sound, wire


def changed(postgres: Postgres, **settings: object) -> Postgres:
    return Postgres(postgres.settings.model_copy(update=settings))


def test_ping_tells_the_version_and_the_write_probe_leaves_nothing(postgres: Postgres) -> None:
    assert int(postgres.ping().split(".")[0]) >= 12
    postgres.probe_write()
    assert postgres.rows(sa.text("SELECT 1 FROM pg_class WHERE relname = 'write_probe'")) == []


def test_a_wrong_password_names_user_and_server_and_never_the_password(postgres: Postgres) -> None:
    with pytest.raises(AccessRefused) as raised:
        changed(postgres, password=SecretStr("hunter2-wrong")).ping()
    assert raised.value.exit_code == ExitCode.PERMISSION
    assert f"refused user {postgres.settings.user}" in raised.value.message
    assert postgres.settings.address in raised.value.message
    assert "hunter2" not in f"{raised.value!r} {raised.value.hint} {raised.value.__cause__!r}"


def test_a_server_that_is_down_is_unavailable(postgres: Postgres) -> None:
    down = changed(postgres, port=closed_port())
    with pytest.raises(Unavailable, match=f"PostgreSQL at {down.settings.address} does not answer") as raised:
        down.ping()
    assert raised.value.exit_code == ExitCode.UNAVAILABLE


def test_an_unknown_database_is_a_matter_of_configuration(postgres: Postgres) -> None:
    with pytest.raises(ConfigError, match="has no database nowhere"):
        changed(postgres, database="nowhere").ping()


def test_a_connection_that_breaks_is_made_anew(postgres: Postgres) -> None:
    with wire(postgres.settings.host, postgres.settings.port, cut_after(0), cut_after(40), sound) as broken:
        through = changed(postgres, host="127.0.0.1", port=broken.port)
        assert through.ping() == postgres.ping()
        assert broken.connections >= 3


def test_a_missing_table_names_the_nearest_one(postgres: Postgres, schema: Schema) -> None:
    schema.sql("CREATE TABLE purchases (id int)")
    with pytest.raises(InvalidData, match=r"no table .*purchase in database") as raised:
        postgres.find_table(schema.table("purchase"))
    assert raised.value.hint == f"Did you mean {schema.table('purchases')}?"


def test_sql_that_makes_no_sense_is_answered_in_a_sentence(postgres: Postgres) -> None:
    with pytest.raises(ConfigError, match='does not understand the query: syntax error at or near "SELEC"'):
        postgres.rows(sa.text("SELEC 1"))


def test_what_the_role_may_not_do_is_refused_access(postgres: Postgres, schema: Schema) -> None:
    role = f"{schema.name}_reader"
    schema.sql("CREATE TABLE t (id int)", f"CREATE ROLE {role} LOGIN PASSWORD 'only-reads'")
    try:
        reader = changed(postgres, user=role, password=SecretStr("only-reads"))
        with pytest.raises(AccessRefused, match=f"User {role} may not do this"):
            reader.rows(sa.text(f"SELECT * FROM {schema.table()}"))
    finally:
        schema.sql(f"DROP ROLE {role}")


def test_a_statement_has_a_deadline(postgres: Postgres, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("common.postgres.SESSION", ("-cstatement_timeout=100ms",))
    started = time.monotonic()
    with pytest.raises(DeadlineExceeded):
        changed(postgres).rows(sa.text("SELECT pg_sleep(30)"))
    assert time.monotonic() - started < 20


def test_the_watermark_moves_with_every_change(postgres: Postgres, schema: Schema) -> None:
    schema.sql("CREATE TABLE t (id int, at timestamptz)", "INSERT INTO t VALUES (1, '2026-01-01T00:00Z')")
    first = postgres.watermark(schema.table(), "at")
    assert (first["rows"], first["newest"]) == (1, "2026-01-01T00:00:00+00:00")
    assert postgres.watermark(schema.table(), "at") == first
    schema.sql("UPDATE t SET id = 2")
    assert postgres.watermark(schema.table(), "at") != first


@pytest.mark.parametrize("kind", ["VIEW", "MATERIALIZED VIEW"])
def test_a_view_has_a_watermark_too_and_it_moves_with_its_rows(postgres: Postgres, schema: Schema, kind: str) -> None:
    schema.sql(
        "CREATE TABLE t (id int, at timestamptz)", "INSERT INTO t VALUES (1, '2026-01-01T00:00Z'), (2, NULL)",
        f"CREATE {kind} seen AS SELECT id, at, id + 1 AS more FROM t WHERE id < 9",
    )  # fmt: skip
    first = postgres.watermark(schema.table("seen"), "at")
    assert (first["rows"], first["newest"]) == (2, "2026-01-01T00:00:00+00:00")
    assert postgres.watermark(schema.table("seen"), "at") == first
    schema.sql("UPDATE t SET id = 3 WHERE id = 2", *(["REFRESH MATERIALIZED VIEW seen"] if " " in kind else []))
    assert postgres.watermark(schema.table("seen"), "at") != first


def test_the_primary_key_is_found_in_its_order(postgres: Postgres, schema: Schema) -> None:
    schema.sql("CREATE TABLE t (a int, b int, c int, PRIMARY KEY (c, a))", "CREATE TABLE u (a int)")
    assert postgres.primary_key(schema.table()) == ("c", "a")
    assert postgres.primary_key(schema.table("u")) == ()


@pytest.mark.parametrize(("table", "query"), [(None, None), ("t", "SELECT 1")])
def test_the_source_is_either_a_table_or_a_query(table: str | None, query: str | None) -> None:
    with pytest.raises(ConfigError, match="one of them is the source"):
        source_of(SimpleNamespace(table=table, query=query))
