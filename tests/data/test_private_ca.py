"""An object store behind a certificate of a private CA: every library that speaks to it trusts minio.ca_file."""

import datetime as dt
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from common.config_sources import tool_variables_layer
from common.dvc_client import DataRepository
from common.errors import MlopsError
from common.feast_setup import guarded, import_feast, s3_arguments
from common.minio_client import ObjectStore
from common.settings import Settings
from tests.data.tls_proxy import private_ca, tls_proxy


@pytest.fixture
def private(own_settings: Settings, tmp_path: Path) -> Iterator[Settings]:
    """Settings of a store that is reached by https with our own CA; a parquet object `t.parquet` lies in it."""
    there, (ca_file, server_file) = urlsplit(own_settings.minio.url), private_ca(tmp_path)
    with tls_proxy((str(there.hostname), int(there.port or 0)), server_file) as port:
        changes = {"endpoint": f"https://127.0.0.1:{port}", "ca_file": str(ca_file)}
        yield own_settings.model_copy(update={"minio": own_settings.minio.model_copy(update=changes)})


@pytest.fixture
def table(private: Settings, tmp_path: Path) -> Path:
    path = tmp_path / "t.parquet"
    pq.write_table(pa.table({"id": [1, 2], "at": [dt.datetime(2026, 1, 1, tzinfo=dt.UTC)] * 2, "x": [0.5, 1.5]}), path)
    ObjectStore(private.minio).client.upload_file(str(path), private.minio.bucket, "t.parquet")
    return path


def test_boto3_and_arrow_trust_it_and_dvc_is_told(private: Settings, table: Path) -> None:
    store = ObjectStore(private.minio)
    assert store.exists("t.parquet")
    assert pq.read_table(f"{store.bucket}/t.parquet", filesystem=store.filesystem()) == pq.read_table(table)
    assert store.environment()["AWS_CA_BUNDLE"] == private.minio.ca_file
    distrustful = ObjectStore(private.minio.model_copy(update={"ca_file": ""}))
    with pytest.raises(MlopsError, match="SSL"):
        distrustful.exists("t.parquet")


@pytest.mark.deep
def test_dvc_trusts_it(private: Settings, table: Path, tmp_path: Path) -> None:
    repository = DataRepository(private, tmp_path / "dvc")
    made = repository.commit(table, "raw/t", message="m", trailers={}, date=dt.datetime(2026, 1, 2, tzinfo=dt.UTC))
    assert repository.state("raw/t") == {"md5": made.md5, "stored": True}


@pytest.mark.deep
def test_feast_trusts_it(private: Settings, table: Path) -> None:
    from feast.infra.offline_stores.dask import _read_datasource

    feast, uri = import_feast(), f"s3://{private.minio.bucket}/t.parquet"
    source = feast.FileSource(path=uri, timestamp_field="at", **s3_arguments(private))
    with guarded(private, "read"):
        rows = _read_datasource(source, Path())
    assert len(rows) == len(pq.read_table(table))


def test_the_variable_of_the_aws_libraries_means_all_of_them_where_the_store_is_remote() -> None:
    found = tool_variables_layer({"minio"}, {"AWS_CA_BUNDLE": "/ca.pem"}).values
    assert found == {"minio": {"ca_file": "/ca.pem"}}
