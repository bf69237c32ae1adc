"""Feast: what a customer looked like at a moment (training), and what one looks like now (online).

The registry and the online store are in PostgreSQL, schema `feast`; or, with `feast.online_store: sqlite`, in
files of the state directory. Features themselves are parquet objects in S3, which Feast's dask store reads.
No secret is written down: the configuration is built here, and the source names its keys by reference only.
"""

import contextlib
import importlib.util
import io
import sys
import tempfile
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from common.errors import ConfigError, MlopsError, StepFailed, Unavailable
from common.paths import ROOT, state_dir
from common.settings import Settings

if TYPE_CHECKING:
    import pandas as pd
    import sqlalchemy as sa

SCHEMA = "feast"
TIME = "event_timestamp"  # the name that Feast expects in the rows that ask
WRITE_ROWS = 50_000  # always set: without it Feast writes the first Arrow chunk only, and says nothing
SAMPLE = 50


@dataclass(frozen=True)
class FeatureTable:
    """One feature view and the parquet object behind it. `first` and `last` are the data's own times."""

    view: str
    service: str
    uri: str
    digest: str
    entity: str
    entity_type: str
    numeric: tuple[str, ...]
    categorical: tuple[str, ...]
    first: datetime
    last: datetime
    time: str = TIME

    @property
    def features(self) -> tuple[str, ...]:
        return self.numeric + self.categorical


class FeatureStoreClient:
    """The feature store of one configuration. Importing Feast takes two seconds: it waits until first used."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings

    def definitions_file(self) -> Path:
        """The definitions that feast.repo_path names. Raises ConfigError when there are none."""
        file = ROOT / self.settings.feast.repo_path / "definitions.py"
        if not file.is_file():
            raise ConfigError(
                f"feast.repo_path is {self.settings.feast.repo_path!r}, but {file} does not exist.",
                "Set feast.repo_path to a folder with definitions.py, such as uc1_churn_prediction/feature_repo.",
            )
        return file

    def publish(self, table: FeatureTable) -> bool:
        """Apply the definitions, and write the newest features of each customer to the online store.

        Does nothing, and returns False, where the online store already holds this digest and a sample of it
        agrees. A killed write leaves no mark, so that the next call writes again.
        """
        self._apply(table)
        if self.held_online(table.view) == table.digest:
            return False
        self._mark(table.view, "")
        with self._quiet(), self._translated("write features to"):
            self._store.materialize(
                table.first - timedelta(seconds=1), table.last + timedelta(seconds=1), feature_views=[table.view]
            )
        self._mark(table.view, table.digest)
        return True

    def online(self, table: FeatureTable, ids: Sequence[Any]) -> "pd.DataFrame":
        """Return the online features of `ids`, a row each in this order; unknown ids have nulls."""
        with self._quiet(), self._translated("read features from"):
            service = self._store.get_feature_service(table.service)
            rows = self._store.get_online_features(service, [{table.entity: each} for each in ids])
            return rows.to_df()[[table.entity, *table.features]]

    def as_of(self, table: FeatureTable, asked: "pd.DataFrame") -> "pd.DataFrame":
        """Return `asked` (entity, event_timestamp, anything else) with each row's features as of its time.

        No row is lost and the order stays: Feast's dask store drops rows whose only features lie in their
        future, and repeated rows, so its answer is joined back to the question. Reads exactly `table.uri`,
        whatever the shared registry points at.
        """
        import pandas as pd

        keys = [table.entity, TIME]
        question = asked[keys].drop_duplicates()
        with self._quiet(), self._translated("read features from"), tempfile.TemporaryDirectory() as directory:
            store = _open(self._local_config(Path(directory)))
            store.apply(self._defined(table))
            service = store.get_feature_service(table.service)
            answer = store.get_historical_features(question, service).to_df()
        joined = asked.merge(answer[[*keys, *table.features]], how="left", on=keys, validate="many_to_one")
        if len(joined) != len(asked):
            raise StepFailed(f"The point-in-time join answered {len(joined)} rows to {len(asked)}.")
        return pd.DataFrame(joined.set_axis(asked.index))

    def held_online(self, view: str) -> str:
        """Digest of the features that the online store holds for `view`; empty when none or only a part of them."""
        import sqlalchemy as sa

        marks = _marks(self._schema)
        with self._engine_errors(), self._engine.connect() as connection:
            known = sa.inspect(connection)
            tables = (marks.name, f"{self.settings.feast.project}_{view}")
            if not all(known.has_table(name, schema=self._schema) for name in tables):
                return ""
            return connection.scalar(sa.select(marks.c.digest).where(marks.c.view == view)) or ""

    def _mark(self, view: str, digest: str) -> None:
        import sqlalchemy as sa

        marks = _marks(self._schema)
        with self._engine_errors(), self._engine.begin() as connection:
            marks.metadata.create_all(connection)
            connection.execute(sa.delete(marks).where(marks.c.view == view))
            if digest:
                connection.execute(sa.insert(marks).values(view=view, digest=digest))

    def _apply(self, table: FeatureTable) -> None:
        self._make_place()
        with self._quiet(), self._translated("write definitions to"):
            self._store.apply(self._defined(table))

    def _make_place(self) -> None:
        import sqlalchemy as sa

        if self._schema is None:
            (state_dir() / "feast").mkdir(parents=True, exist_ok=True)
            return
        with self._engine_errors(), self._engine.begin() as connection:
            if not sa.inspect(connection).has_schema(self._schema):
                connection.execute(sa.schema.CreateSchema(self._schema, if_not_exists=True))

    def _defined(self, table: FeatureTable) -> list[Any]:
        s3 = {"s3_endpoint_override": self.settings.minio.url, "connection_ref": _keys_of(self.settings)}
        return list(_load(self.definitions_file()).define(table, s3 if table.uri.startswith("s3://") else {}))

    @property
    def _schema(self) -> str | None:
        return SCHEMA if self.settings.feast.online_store == "postgres" else None

    @cached_property
    def _engine(self) -> "sa.Engine":
        import sqlalchemy as sa

        if self._schema is None:
            (state_dir() / "feast").mkdir(parents=True, exist_ok=True)
            return sa.create_engine(f"sqlite:///{state_dir() / 'feast' / 'online.db'}", poolclass=sa.NullPool)
        return self._postgres.engine

    @cached_property
    def _postgres(self) -> Any:
        from common.postgres import Postgres

        return Postgres(self.settings.postgres)

    @cached_property
    def _store(self) -> Any:
        with self._quiet():
            return _open(self._shared_config())

    def _shared_config(self) -> dict[str, Any]:
        if self._schema is None:
            return self._local_config(state_dir() / "feast")
        postgres = self.settings.postgres
        url = postgres.url(connect_timeout="5", options=f"-csearch_path={SCHEMA}")
        return {
            "registry": {"registry_type": "sql", "path": url.render_as_string(hide_password=False)},
            "online_store": {
                "type": "common.feast_postgres.CopyOnlineStore", "db_schema": SCHEMA, "host": postgres.host,
                "port": postgres.port, "database": postgres.database, "user": postgres.user,
                "password": postgres.password.get_secret_value(), "sslmode": postgres.sslmode,
            },
            "project": self.settings.feast.project,
        }  # fmt: skip

    def _local_config(self, directory: Path) -> dict[str, Any]:
        return {
            "registry": {"registry_type": "file", "path": str(directory / "registry.db")},
            "online_store": {"type": "sqlite", "path": str(directory / "online.db")},
            "project": self.settings.feast.project,
        }

    @contextlib.contextmanager
    def _quiet(self) -> Iterator[None]:
        # Feast prints its progress to stdout, which belongs to our data, and warns about its own internals.
        with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
            for module in ("feast", "dask", "pandas", "s3fs", "aiobotocore", "botocore", "google", "pydantic"):
                warnings.filterwarnings("ignore", module=rf"{module}(\..*)?")
            yield

    @contextlib.contextmanager
    def _engine_errors(self) -> Iterator[None]:
        with self._postgres.translated() if self._schema else contextlib.nullcontext():
            yield

    @contextlib.contextmanager
    def _translated(self, doing: str) -> Iterator[None]:
        try:
            yield
        except MlopsError:
            raise
        except Exception as error:  # Feast has no error type of its own: whatever a store raises comes through
            raise _explained(error, doing, self.settings) from error


def _explained(error: Exception, doing: str, settings: Settings) -> MlopsError:
    from common import retry

    first_line = (str(error).splitlines() or [type(error).__name__])[0]
    if retry.database.is_transient(error) or retry.object_store.is_transient(error):
        return Unavailable(
            f"Feast could not {doing} {settings.postgres.address} or {settings.minio.url}: {first_line}",
            "Check both services with `python -m common doctor`.",
        )
    return StepFailed(f"Feast could not {doing} its stores: {type(error).__name__}: {first_line}")


def _open(config: dict[str, Any]) -> Any:
    feast = _feast()
    return feast.FeatureStore(
        config=feast.RepoConfig(
            provider="local",
            offline_store={"type": "dask"},
            entity_key_serialization_version=3,
            materialization={"online_write_batch_size": WRITE_ROWS},
            **config,
        )
    )


def _feast() -> ModuleType:
    """Import Feast without typeguard's instrumentation: 1.7 s in place of 4.6.

    Feast decorates its classes with @typechecked, which parses a whole module's source again for each method.
    """
    if "feast" not in sys.modules:
        import typeguard

        original = typeguard.typechecked
        typeguard.typechecked = lambda target=None, **_: target if target else (lambda each: each)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                import feast
        finally:
            typeguard.typechecked = original
    import feast

    return feast


def _keys_of(settings: Settings) -> Any:
    """A reference to the object store's keys, which Feast resolves when it reads; the registry holds the name only."""
    from feast.credentials import ConnectionRef, CredentialProvider, register_credential_provider

    class SettingsProvider(CredentialProvider):  # type: ignore[misc]
        def provider_type(self) -> str:
            return "settings"

        def resolve(self, ref: Any) -> dict[str, str]:
            return {
                "AWS_ACCESS_KEY_ID": settings.minio.access_key,
                "AWS_SECRET_ACCESS_KEY": settings.minio.secret_key.get_secret_value(),
                "AWS_DEFAULT_REGION": settings.minio.region,
            }

    register_credential_provider(SettingsProvider())
    return ConnectionRef(provider="settings", name="minio")


def _marks(schema: str | None) -> "sa.Table":
    import sqlalchemy as sa

    return sa.Table(
        "mlops_materialized",
        sa.MetaData(schema=schema),
        sa.Column("view", sa.Text, primary_key=True),
        sa.Column("digest", sa.Text, nullable=False),
    )


def _load(file: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location("feast_definitions", file)
    if spec is None or spec.loader is None:
        raise ConfigError(f"{file} cannot be loaded as a Python module.")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
