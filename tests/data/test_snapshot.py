"""Snapshots: one object for one content, its bytes the ones of record, and a cache that cannot lie."""

from pathlib import Path

import pytest

from common import snapshot
from common.digest import sha256_of
from common.extract import EmptyExtract, Wanted
from common.minio_client import ObjectStore
from common.postgres import Postgres, Source
from common.snapshot import Snapshot

from .conftest import Schema

pytestmark = pytest.mark.usefixtures("own_state")
LATEST = "raw/customers.parquet"


def take(postgres: Postgres, store: ObjectStore, schema: Schema) -> Snapshot:
    return snapshot.take(postgres, store, Wanted(Source(table=schema.table())), LATEST)


def keys(store: ObjectStore) -> list[str]:
    return sorted(each.key for each in store.list(""))


@pytest.fixture
def filled(schema: Schema) -> Schema:
    schema.sql("CREATE TABLE t AS SELECT g AS id, g % 7 AS x FROM generate_series(1, 1000) g")
    return schema


def test_the_snapshot_is_named_by_its_content_and_copied_to_the_latest(
    postgres: Postgres, store: ObjectStore, filled: Schema
) -> None:
    taken = take(postgres, store, filled)
    assert taken.uri == f"s3://{store.bucket}/raw/customers/{taken.digest}.parquet"
    assert taken.sha256 == sha256_of(taken.path) == store.stat(LATEST).sha256
    assert (taken.rows, taken.created) == (1000, True)


def test_the_same_rows_elsewhere_in_the_table_make_nothing_new(
    postgres: Postgres, store: ObjectStore, filled: Schema, own_state: Path
) -> None:
    first = take(postgres, store, filled)
    filled.sql("UPDATE t SET x = x WHERE id < 500")
    second = take(postgres, store, filled)
    assert (second.uri, second.sha256, second.created) == (first.uri, first.sha256, False)
    assert sha256_of(second.path) == first.sha256, "the local file is the stored one, not the new extract"
    assert [path.name for path in (own_state / "cache" / "snapshots").iterdir()] == [f"{first.digest}.parquet"]


def test_changed_rows_make_a_second_object_and_move_the_latest(
    postgres: Postgres, store: ObjectStore, filled: Schema
) -> None:
    first = take(postgres, store, filled)
    filled.sql("INSERT INTO t VALUES (1001, 1)")
    second = take(postgres, store, filled)
    assert keys(store) == sorted([LATEST, store.key(first.uri), store.key(second.uri)])
    assert store.stat(LATEST).sha256 == second.sha256


def test_what_was_deleted_or_overwritten_in_the_store_comes_back(
    postgres: Postgres, store: ObjectStore, filled: Schema
) -> None:
    first = take(postgres, store, filled)
    store.delete(store.key(first.uri))
    store.put_bytes(LATEST, b"something else")
    again = take(postgres, store, filled)
    assert again.digest == first.digest
    assert store.stat(store.key(again.uri)).sha256 == store.stat(LATEST).sha256 == again.sha256


def test_a_damaged_local_copy_is_replaced(postgres: Postgres, store: ObjectStore, filled: Schema) -> None:
    taken = take(postgres, store, filled)
    taken.path.write_bytes(b"half a file")
    assert sha256_of(snapshot.fetch(store, taken.uri, taken.sha256)) == taken.sha256
    taken.path.unlink()
    assert sha256_of(snapshot.fetch(store, taken.uri, taken.sha256)) == taken.sha256


def test_an_empty_table_is_refused_and_nothing_is_published(
    postgres: Postgres, store: ObjectStore, filled: Schema, own_state: Path
) -> None:
    take(postgres, store, filled)
    before = keys(store)
    filled.sql("DELETE FROM t")
    with pytest.raises(EmptyExtract):
        take(postgres, store, filled)
    assert keys(store) == before
    assert len(list((own_state / "cache" / "snapshots").iterdir())) == 1
