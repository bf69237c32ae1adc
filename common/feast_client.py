"""Feast: what a customer looked like at a moment (training), and what one looks like now (online).

Features are parquet objects in S3, named by their digest. Training reads exactly the object it is told to read;
the shared registry and the online store hold the newest one.
"""

import contextlib
import importlib.util
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property, partial
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, TypeVar

from common import feast_setup, retry
from common.errors import ConfigError, StepFailed
from common.feast_setup import SCHEMA, guarded, in_postgres
from common.logger import get_logger
from common.paths import ROOT
from common.postgres import SMALL_SECONDS, STATEMENT_SECONDS, Postgres
from common.settings import Settings
from common.silence import hung_up_after
from common.stored import as_parquet

if TYPE_CHECKING:
    import pandas as pd
    import sqlalchemy as sa

log = get_logger(__name__)
ROWS_AT_ONCE = 50_000
CELLS_AT_ONCE = 1_000_000
T = TypeVar("T")
TIME = "event_timestamp"  # the name that Feast expects in the rows that ask


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

    def publish(self, table: FeatureTable, *, anew: bool = False) -> bool:
        """Apply the definitions, and write the newest features of each entity to the online store.

        Writes nothing, and returns False, where the online store already holds this digest (unless `anew`). A
        write that was killed leaves no mark, so that the next call writes again.
        """
        held = self.held_online(table.view)  # before the definitions are applied, which makes a missing table
        self._make_place()
        self._insist(f"apply the definitions of {table.view}", lambda: self._store.apply(self._defined(table)))
        if held == table.digest and not anew:
            return False
        self._write_online(table)
        return True

    def _write_online(self, table: FeatureTable) -> None:
        """Batch by batch: Feast's own materialize turns all rows into Python objects before it writes the first."""
        self._mark(table.view, "")
        for newest in self.newest(table):
            write = partial(self._store.write_to_online_store, table.view, newest)
            self._insist(f"write {table.view} to the online store", write)
        forget = partial(self._forget_others, table)
        self._insist(f"forget who is not in {table.view} any more", forget, STATEMENT_SECONDS)
        self._insist(f"note what {table.view} holds", lambda: self._note_materialized(table))
        self._mark(table.view, table.digest)

    def _forget_others(self, table: FeatureTable) -> None:
        """Feast's stores only write: who is in no table any more would be answered with old features for ever."""
        if not in_postgres(self.settings):
            return
        from common.feast_postgres import CopyOnlineStore

        view = self._store.get_feature_view(table.view)
        ids = (rows[table.entity].unique() for rows in self._read(table, [table.entity]))
        if rows := CopyOnlineStore().keep_only(self._store.config, view, ids):
            log.info("forgot features of entities that are gone", view=table.view, rows=rows)

    def _note_materialized(self, table: FeatureTable) -> None:
        # From the data's own times and never from the clock: the same table makes the same call on any day.
        first, last = table.first - timedelta(seconds=1), table.last + timedelta(seconds=1)
        view = self._store.get_feature_view(table.view)
        self._store.registry.apply_materialization(view, self.settings.feast.project, first, last)

    def newest(self, table: FeatureTable) -> "Iterator[pd.DataFrame]":
        """The last features of each entity, about ROWS_AT_ONCE rows at a time: what the online store must answer.

        The object is sorted by entity and time, so that an entity's last row is the one before the next entity's first.
        """
        import pandas as pd

        kept: pd.DataFrame | None = None
        for batch in self._read(table):
            rows = pd.concat([kept, batch], ignore_index=True) if kept is not None else batch
            rows = rows.drop_duplicates(table.entity, keep="last", ignore_index=True)
            kept, done = rows.iloc[-1:], rows.iloc[:-1]
            if len(done):
                yield done
        if kept is not None:
            yield kept.reset_index(drop=True)

    def _read(self, table: FeatureTable, columns: list[str] | None = None) -> "Iterator[pd.DataFrame]":
        with guarded(self.settings, f"read {table.uri}"):
            yield from self._batches(table, columns)

    def _batches(self, table: FeatureTable, columns: list[str] | None) -> "Iterator[pd.DataFrame]":
        import pyarrow.parquet as pq

        rows = max(1, min(ROWS_AT_ONCE, CELLS_AT_ONCE // max(1, len(table.features))))
        with (
            self._opened(table.uri) as source, as_parquet(table.uri),
            pq.ParquetFile(source, page_checksum_verification=True) as file,
        ):  # fmt: skip
            for batch in file.iter_batches(rows, columns=columns):
                yield batch.to_pandas()

    def _opened(self, uri: str) -> Any:
        from common.minio_client import ObjectStore

        if not uri.startswith("s3://"):
            return Path(uri).open("rb")
        store = ObjectStore(self.settings.minio)
        return store.opened(store.key(uri))

    def online(self, table: FeatureTable, ids: Sequence[Any]) -> "pd.DataFrame":
        """Return the online features of `ids`, a row each in this order; unknown ids have nulls."""

        def read() -> "pd.DataFrame":
            service = self._store.get_feature_service(table.service)
            answer = self._store.get_online_features(service, [{table.entity: each} for each in ids])
            return answer.to_df()[[table.entity, *table.features]]

        return self._insist(f"read {table.view} from the online store", read)

    def as_of(self, table: FeatureTable, asked: "pd.DataFrame") -> "pd.DataFrame":
        """Return `asked` (entity, event_timestamp, anything else) with each row's features as of its time.

        No row is lost and the order stays: Feast's dask store drops rows whose only features lie in their
        future, and repeated rows, so its answer is joined back to the question.
        """
        keys = [table.entity, TIME]
        with guarded(self.settings, f"join {table.uri}"), tempfile.TemporaryDirectory() as directory:
            store = feast_setup.open_local(self.settings, Path(directory))
            store.apply(self._defined(table))
            question = asked[keys].drop_duplicates()
            answer = store.get_historical_features(question, store.get_feature_service(table.service)).to_df()
        joined = asked.merge(answer[[*keys, *table.features]], how="left", on=keys, validate="many_to_one")
        if len(joined) != len(asked):
            raise StepFailed(f"The point-in-time join answered {len(joined)} rows to {len(asked)}.")
        return joined.set_axis(asked.index)

    def held_online(self, view: str) -> str:
        """Digest of the features that the online store holds for `view`; empty when none or only a part of them."""
        import sqlalchemy as sa

        tables = (self._marks.name, f"{self.settings.feast.project}_{view}")

        def look() -> str:
            with self._engine.connect() as connection:
                known = sa.inspect(connection)
                if not all(known.has_table(name, schema=self._marks.schema) for name in tables):
                    return ""
                held = connection.scalar(sa.select(self._marks.c.digest).where(self._marks.c.view == view))
            return str(held or "")

        return self._in_database(look)

    def definitions_file(self) -> Path:
        """The definitions that feast.repo_path names. Raises ConfigError when there are none."""
        file = ROOT / self.settings.feast.repo_path / "definitions.py"
        if not file.is_file():
            raise ConfigError(
                f"feast.repo_path is {self.settings.feast.repo_path!r}, but {file} does not exist.",
                "Set feast.repo_path to a folder with definitions.py, such as uc1_churn_prediction/feature_repo.",
            )
        return file

    def _defined(self, table: FeatureTable) -> list[Any]:
        feast_setup.import_feast()
        s3 = feast_setup.s3_arguments(self.settings) if table.uri.startswith("s3://") else {}
        return list(_load(self.definitions_file()).define(table, s3))

    def _mark(self, view: str, digest: str) -> None:
        """Note what the online store holds; an empty digest says: nothing that can be relied upon."""
        import sqlalchemy as sa

        def write() -> None:
            with self._engine.begin() as connection:
                self._marks.metadata.create_all(connection)
                connection.execute(sa.delete(self._marks).where(self._marks.c.view == view))
                if digest:
                    connection.execute(sa.insert(self._marks).values(view=view, digest=digest))

        self._in_database(write)

    def _make_place(self) -> None:
        import sqlalchemy as sa

        def make() -> None:
            with self._engine.begin() as connection:
                if not sa.inspect(connection).has_schema(SCHEMA):
                    connection.execute(sa.schema.CreateSchema(SCHEMA, if_not_exists=True))

        if in_postgres(self.settings):
            self._in_database(make)

    @cached_property
    def _store(self) -> Any:
        return feast_setup.open_shared(self.settings)

    @cached_property
    def _postgres(self) -> Postgres:
        return Postgres(self.settings.postgres)

    @cached_property
    def _engine(self) -> "sa.Engine":
        import sqlalchemy as sa

        if in_postgres(self.settings):
            return self._postgres.engine
        feast_setup.directory().mkdir(parents=True, exist_ok=True)
        return sa.create_engine(f"sqlite:///{feast_setup.directory() / 'online.db'}", poolclass=sa.NullPool)

    @cached_property
    def _marks(self) -> "sa.Table":
        import sqlalchemy as sa

        return sa.Table(
            "mlops_materialized",
            sa.MetaData(schema=SCHEMA if in_postgres(self.settings) else None),
            sa.Column("view", sa.Text, primary_key=True),
            sa.Column("digest", sa.Text, nullable=False),
        )

    def _in_database(self, function: Callable[[], T]) -> T:
        """Something that may be repeated, with the database that holds marks and features."""
        if not in_postgres(self.settings):
            return function()

        @retry.database
        def once() -> T:
            with self._postgres.bounded():
                return function()

        with self._postgres.translated():
            return once()

    def _in_words(self) -> contextlib.AbstractContextManager[None]:
        return self._postgres.translated() if in_postgres(self.settings) else contextlib.nullcontext()

    def _insist(self, doing: str, function: Callable[[], T], seconds: float = SMALL_SECONDS) -> T:
        """Something that Feast does and that may be repeated."""

        @retry.feast
        def once() -> T:
            with hung_up_after(self.settings.postgres.port, seconds):
                return function()

        with guarded(self.settings, doing), self._in_words():
            return once()


def _load(file: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location("feast_definitions", file)
    if spec is None or spec.loader is None:
        raise ConfigError(f"{file} cannot be loaded as a Python module.")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
