"""PostgreSQL: what extraction and the ledger stand on, on the embedded server and on a real one."""

import threading
from pathlib import Path

import pytest
import sqlalchemy as sa
from pydantic import SecretStr

from common.errors import AccessRefused, ConfigError, InvalidData, Locked
from common.ledger import Ledger
from common.lock import shared_lock
from common.postgres import Postgres
from tests.contract.conftest import Database


def test_the_version_is_told_and_the_write_probe_leaves_nothing(database: Database) -> None:
    assert int(database.postgres.ping().split(".")[0]) >= 12
    database.postgres.probe_write()
    assert database.postgres.rows(sa.text("SELECT 1 FROM pg_class WHERE relname = 'write_probe'")) == []


def test_a_table_is_found_by_its_name_and_a_missing_one_is_named(database: Database) -> None:
    database.sql('CREATE TABLE OURS."odd name" (id int PRIMARY KEY, at timestamptz)')
    name = f"{database.schema}.odd name"
    assert database.postgres.find_table(name) == (database.schema, "odd name")
    assert database.postgres.primary_key(name) == ("id",)
    with pytest.raises(InvalidData, match="There is no table"):
        database.postgres.find_table(f"{database.schema}.nothing")


def test_every_change_of_a_table_moves_its_watermark(database: Database) -> None:
    database.sql("CREATE TABLE OURS.t (id int, at timestamptz)")
    seen = [database.postgres.watermark(f"{database.schema}.t", "at")]
    for change in (
        "INSERT INTO OURS.t VALUES (1, '2026-01-01+00')",
        "UPDATE OURS.t SET id = 2",
        "DELETE FROM OURS.t",
    ):
        database.sql(change)
        seen.append(database.postgres.watermark(f"{database.schema}.t", "at"))
    assert len({str(each) for each in seen[:3]}) == 3
    assert seen[0]["rows"] == seen[3]["rows"] == 0


def test_a_session_that_extracts_cannot_write(database: Database) -> None:
    import psycopg2

    with psycopg2.connect(database.postgres.dsn()) as connection, pytest.raises(psycopg2.errors.ReadOnlySqlTransaction):
        connection.cursor().execute(f"CREATE TABLE {database.schema}.forbidden (id int)")


def test_a_wrong_password_and_a_wrong_database_are_told_apart(database: Database) -> None:
    def changed(**settings: object) -> Postgres:
        return Postgres(database.postgres.settings.model_copy(update=settings))

    with pytest.raises(AccessRefused) as refused:
        changed(password=SecretStr("CANARY-wrong")).ping()
    assert "CANARY" not in str(refused.value)
    with pytest.raises((ConfigError, AccessRefused)):
        changed(database="mlops_never_made").ping()


def test_writers_of_a_shared_ledger_keep_one_chain(database: Database, tmp_path: Path) -> None:
    url = database.postgres.settings.url().update_query_dict({"options": f"-csearch_path={database.schema}"})
    Ledger(url).close()

    def write(run: str) -> None:
        ledger = Ledger(url)
        for _ in range(10):
            ledger.append(run, "decision")
        ledger.close()

    writers = [threading.Thread(target=write, args=(f"run{number}",)) for number in range(3)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    ledger = Ledger(url)
    assert ledger.first_bad_entry() is None
    assert [event.seq for event in ledger.events()] == list(range(1, 31))
    ledger.close()


def test_one_run_at_a_time_across_machines(database: Database) -> None:
    url = database.postgres.settings.url().render_as_string(hide_password=False)
    with shared_lock(url), pytest.raises(Locked), shared_lock(url):
        pass
    with shared_lock(url):
        pass
