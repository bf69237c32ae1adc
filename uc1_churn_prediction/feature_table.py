"""A snapshot of customers as features: one parquet object, named by the digest of its content.

Columns: the entity, `event_timestamp`, numbers as float32, categories as text; sorted, so that equal content is
equal in every order. What the columns are stands in the file's own metadata: whoever has the URI needs no more.
"""

import contextlib
import json
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from churn.columns import Chosen, ColumnFacts, choose_columns
from churn.customers import UnfitForTraining
from churn.features import FeatureColumns, as_features
from common.digest import digest_of_parquet
from common.errors import InvalidData
from common.feast_client import TIME, FeatureTable
from common.minio_client import ObjectStore
from common.paths import state_dir
from common.settings import Settings
from common.settings_uc1 import Uc1
from common.stored import RESTORE, as_parquet, download_parquet, refuse_exchanged
from uc1_churn_prediction.measured import database, measure, parquet
from uc1_churn_prediction.results import ROW_NUMBER, view_name

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow.parquet as pq

METADATA = b"mlops"
# A table that says no times is taken to be true from here on: one fixed moment, so that a run can be repeated.
CELLS_AT_ONCE = 1_000_000
SORTED_ROWS = 100_000
ONE_MOMENT = datetime(2000, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Roles:
    """Which column of a snapshot is what."""

    entity: str
    label: str
    event_time: str | None


def service_name(model_name: str) -> str:
    """The feature service of a model."""
    return f"{model_name}-v1"


@dataclass(frozen=True)
class Features:
    """Published features: what Feast needs to know of them, and how their columns were chosen."""

    table: FeatureTable
    chosen: Chosen


def publish_features(store: ObjectStore, settings: Settings, snapshot_uri: str, roles: Roles) -> Features:
    """Make the features of a snapshot and publish them; the same snapshot gives the same object.

    Raises InvalidData where a configured column is missing or is not what it is said to be.
    """
    view = view_name(settings.uc1.model_name)
    with _directory() as directory:
        snapshot = download_parquet(store, snapshot_uri, directory / "snapshot.parquet")
        path, unsorted = directory / "features.parquet", directory / "unsorted.parquet"
        try:
            chosen = chosen_columns(snapshot, settings, roles)
            _write_unsorted(snapshot, unsorted, roles, chosen.columns)
        except UnfitForTraining as error:
            raise InvalidData(str(error), "Set uc1.numeric and uc1.categorical, or leave both empty.") from error
        _write_sorted(unsorted, path, {"roles": asdict(roles), "columns": asdict(chosen.columns)})
        digest = digest_of_parquet(path)
        published = store.publish(f"features/{view}/{digest}.parquet", path, {"digest": digest})
    return Features(read_feature_table(store, settings, published.uri), chosen)


def chosen_columns(snapshot: Path, settings: Settings, roles: Roles) -> Chosen:
    """The model's inputs: those that the configuration names, else what the snapshot's columns are found to be."""
    import pyarrow.parquet as pq

    uc1 = settings.uc1
    if uc1.numeric or uc1.categorical:
        facts = tuple(ColumnFacts(name, "other", 0) for name in pq.read_schema(snapshot).names)
    else:
        facts = measure(snapshot)
    return choose_columns(
        facts, numeric=uc1.numeric, categorical=uc1.categorical, ordered=uc1.ordered, excluded=excluded(roles, uc1)
    )


def excluded(roles: Roles, uc1: Uc1) -> dict[str, str]:
    """Columns that are something else than a feature, and what."""
    other = dict.fromkeys(uc1.dropped, "dropped") | dict.fromkeys(uc1.sensitive, "sensitive: fairness is judged by it")
    said = {roles.entity: "the entity", roles.label: "the label", roles.event_time: "the time of the row"}
    return {**other, **{name: what for name, what in said.items() if name}}


def _write_unsorted(snapshot: Path, path: Path, roles: Roles, columns: FeatureColumns) -> None:
    """The features batch by batch: numbers and texts are made in one place, and no frame has all rows."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    writer: Any = None
    needed = dict.fromkeys(filter(None, (roles.entity, roles.event_time, *columns.names)))
    try:
        for frame in frames(snapshot, roles, list(needed)):
            features = as_features(frame, columns)
            features.insert(0, roles.entity, as_entity(frame[roles.entity]))
            features.insert(1, TIME, as_times(frame, roles.event_time))
            batch = pa.Table.from_pandas(features, preserve_index=False).replace_schema_metadata()
            writer = writer or pq.ParquetWriter(path, batch.schema)
            writer.write_table(batch.cast(writer.schema))
    finally:
        if writer:
            writer.close()


def frames(snapshot: Path, roles: Roles, names: list[str]) -> "Iterator[pd.DataFrame]":
    """Columns of a snapshot, ROWS_AT_ONCE rows at a time. Where rows have no id, their number in the file is it."""
    import pyarrow.parquet as pq

    first = 0
    with pq.ParquetFile(snapshot) as file:
        for batch in file.iter_batches(
            max(1, CELLS_AT_ONCE // len(names)), columns=[n for n in names if n != ROW_NUMBER]
        ):
            frame = batch.to_pandas()
            if roles.entity == ROW_NUMBER:
                frame[ROW_NUMBER] = range(first, first + len(frame))
            first += len(frame)
            yield frame


def _write_sorted(unsorted: Path, path: Path, metadata: dict[str, Any]) -> None:
    """The same rows by entity and time: sorted on disk where memory does not hold them."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    written = pq.read_schema(unsorted)
    schema = written.with_metadata({METADATA: json.dumps(metadata, sort_keys=True).encode()})
    query = f"SELECT * FROM {parquet(unsorted, len(schema))} ORDER BY c0, c1"  # noqa: S608 - a file of ours, columns are c0, c1, ...
    with database(path.parent) as connection, pq.ParquetWriter(path, schema, write_page_checksum=True) as writer:
        for batch in connection.sql(query).to_arrow_reader(SORTED_ROWS):
            columns = [column.cast(kind) for column, kind in zip(batch.columns, schema.types, strict=True)]
            writer.write_batch(pa.RecordBatch.from_arrays(columns, schema=schema))


def read_feature_table(store: ObjectStore, settings: Settings, uri: str) -> FeatureTable:
    """What Feast needs to know of published features, from the object's own metadata; all of it is verified.

    Feast reads the object again where it lies: this is the last look at its bytes before something is made of them.
    """
    import pyarrow.parquet as pq

    with _directory() as directory:
        path = download_parquet(store, uri, directory / "features.parquet")
        with as_parquet(uri), pq.ParquetFile(path) as parquet:
            said, schema = _said(parquet, uri), parquet.schema_arrow
            first, last = _range(parquet.read([TIME]).column(TIME))
    entity = said["roles"]["entity"]
    return FeatureTable(
        view=view_name(settings.uc1.model_name),
        service=service_name(settings.uc1.model_name),
        uri=uri,
        digest=Path(uri).stem,
        entity=entity,
        entity_type="int64" if str(schema.field(entity).type) == "int64" else "string",
        numeric=tuple(said["columns"]["numeric"]),
        categorical=tuple(said["columns"]["categorical"]),
        first=first,
        last=last,
    )


def read_roles(store: ObjectStore, uri: str) -> Roles:
    """The roles that published features were made with."""
    import pyarrow.parquet as pq

    key = store.key(uri)
    refuse_exchanged(store, key)
    with store.opened(key) as file, as_parquet(uri):
        return Roles(**_said(pq.ParquetFile(file), uri)["roles"])


def _said(parquet: "pq.ParquetFile", uri: str) -> dict[str, Any]:
    """What the features' columns are, as whoever made them noted it in the file."""
    noted = (parquet.schema_arrow.metadata or {}).get(METADATA)
    if noted is None:
        raise InvalidData(f"{uri} does not say which of its columns is what: it holds no features of ours.", RESTORE)
    said: dict[str, Any] = json.loads(noted)
    return said


def read_snapshot(store: ObjectStore, uri: str, roles: Roles) -> "pd.DataFrame":
    """Entity, label and time of every row of a snapshot, verified while it is fetched."""
    import pandas as pd

    names = list(dict.fromkeys(filter(None, (roles.entity, roles.label, roles.event_time))))
    with _directory() as directory:
        path = download_parquet(store, uri, directory / "snapshot.parquet")
        return pd.concat(list(frames(path, roles, names)), ignore_index=True)


def as_entity(ids: "pd.Series") -> "pd.Series":
    """Ids as Feast knows them: whole numbers, else text."""
    import pandas as pd

    if ids.isna().any():
        raise InvalidData(f"{int(ids.isna().sum())} rows have no id in column {ids.name!r}.")
    return ids.astype("int64") if pd.api.types.is_integer_dtype(ids.dtype) else ids.astype(str)


def as_times(frame: "pd.DataFrame", event_time: str | None) -> "pd.Series":
    """When each row was true: UTC, microseconds. Rows without a time are refused."""
    import pandas as pd

    if event_time is None:
        return pd.Series(pd.Timestamp(ONE_MOMENT), index=frame.index).dt.as_unit("us")
    times = pd.to_datetime(frame[event_time], utc=True)
    if times.isna().any():
        raise InvalidData(f"{int(times.isna().sum())} rows have no time in column {event_time!r}.")
    return times.dt.as_unit("us")


@contextlib.contextmanager
def _directory() -> Iterator[Path]:
    """A directory for the length of a block, where the lock's next holder removes what a killed run leaves."""
    cache = state_dir() / "cache" / "features"
    cache.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache, prefix=".tmp-") as directory:
        yield Path(directory)


def _range(times: Any) -> tuple[datetime, datetime]:
    import pyarrow.compute as pc

    found = pc.min_max(times).as_py()
    return found["min"], found["max"]
