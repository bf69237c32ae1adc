"""What the data tests share: a schema and a bucket of their own on the session's platform, and a faulty wire."""

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from common.minio_client import ObjectStore
from common.postgres import Postgres
from common.settings import Settings


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLOPS_RETRY_SECONDS", "0")


@pytest.fixture
def own_state(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A state directory of this test's own: its caches are empty."""
    path = tmp_path / "state"
    path.mkdir()
    monkeypatch.setenv("MLOPS_STATE_DIR", str(path))
    return path


@pytest.fixture(scope="session")
def postgres(settings: Settings) -> Postgres:
    return Postgres(settings.postgres)


class Schema:
    """A schema that is dropped after the test; `sql` runs statements in it."""

    def __init__(self, postgres: Postgres, name: str) -> None:
        self.postgres = postgres
        self.name = name

    def sql(self, *statements: str) -> None:
        with self.postgres.engine.begin() as connection:
            connection.exec_driver_sql(f"SET search_path = {self.name}")
            for statement in statements:
                connection.exec_driver_sql(statement.replace("%", "%%"))

    def table(self, name: str = "t") -> str:
        return f"{self.name}.{name}"


@pytest.fixture
def schema(postgres: Postgres) -> Iterator[Schema]:
    made = Schema(postgres, f"test_{uuid.uuid4().hex[:12]}")
    with postgres.engine.begin() as connection:
        connection.exec_driver_sql(f"CREATE SCHEMA {made.name}")
    yield made
    with postgres.engine.begin() as connection:
        connection.exec_driver_sql(f"DROP SCHEMA {made.name} CASCADE")


@contextmanager
def own_bucket(settings: Settings) -> Iterator[ObjectStore]:
    """An empty bucket for the length of a block."""
    name = f"test-{uuid.uuid4().hex[:12]}"
    made = ObjectStore(settings.minio.model_copy(update={"bucket": name}))
    made.ensure_bucket()
    yield made
    for each in list(made.list("")):
        made.delete(each.key)
    made.client.delete_bucket(Bucket=name)


def with_repository(settings: Settings, store: ObjectStore, where: Path) -> Settings:
    """Settings with this bucket and a new data repository in `where`."""
    from common.git_command import git

    git(where, "init", "--quiet", "--bare", "--initial-branch", "main", "origin.git")
    dvc = settings.dvc.model_copy(update={"git_url": f"file://{where / 'origin.git'}"})
    return settings.model_copy(update={"minio": store.settings, "dvc": dvc})


@pytest.fixture
def store(settings: Settings) -> Iterator[ObjectStore]:
    """An empty bucket of this test's own."""
    with own_bucket(settings) as made:
        yield made


@pytest.fixture
def own_settings(settings: Settings, store: ObjectStore, tmp_path: Path) -> Settings:
    """Settings with a bucket and a data repository of this test's own."""
    return with_repository(settings, store, tmp_path)
