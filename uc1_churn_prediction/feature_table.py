"""A snapshot of customers as features: one parquet object, named by the digest of its content.

Columns: the entity, `event_timestamp`, numbers as float32, categories as text; sorted, so that equal content is
equal in every order. What the columns are stands in the file's own metadata: whoever has the URI needs no more.
"""

import contextlib
import json
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from churn.customers import UnfitForTraining
from churn.features import FeatureColumns, as_features, choose_columns
from common.digest import digest_of_parquet
from common.errors import InvalidData
from common.feast_client import TIME, FeatureTable
from common.minio_client import ObjectStore
from common.paths import state_dir
from common.settings import Settings

if TYPE_CHECKING:
    import pandas as pd

METADATA = b"mlops"
# A table that says no times is taken to be true from here on: one fixed moment, so that a run can be repeated.
ONE_MOMENT = datetime(2000, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Roles:
    """Which column of a snapshot is what."""

    entity: str
    label: str
    event_time: str | None


def view_name(model_name: str) -> str:
    """The feature view of a model."""
    return f"{model_name}-features"


def service_name(model_name: str) -> str:
    """The feature service of a model."""
    return f"{model_name}-v1"


def publish_features(store: ObjectStore, settings: Settings, snapshot_uri: str, roles: Roles) -> FeatureTable:
    """Make the features of a snapshot and publish them; the same snapshot gives the same object.

    Raises InvalidData where a configured column is missing or is not what it is said to be.
    """
    snapshot = read_snapshot(store, snapshot_uri)
    frame, columns = _features_of(snapshot, settings, roles)
    view = view_name(settings.uc1.model_name)
    with _directory() as directory:
        path = directory / "features.parquet"
        _write(frame, path, {"roles": asdict(roles), "columns": asdict(columns)})
        key = f"features/{view}/{digest_of_parquet(path)}.parquet"
        published = store.publish(key, path)
    return read_feature_table(store, settings, published.uri)


def _features_of(snapshot: "pd.DataFrame", settings: Settings, roles: Roles) -> tuple["pd.DataFrame", FeatureColumns]:
    excluded = (roles.entity, roles.label, roles.event_time, *settings.uc1.dropped)
    try:
        columns = choose_columns(
            snapshot, numeric=settings.uc1.numeric, categorical=settings.uc1.categorical, excluded=excluded
        )
        features = as_features(snapshot, columns)
    except UnfitForTraining as error:
        raise InvalidData(str(error), "Set uc1.numeric and uc1.categorical, or leave both empty.") from error
    features.insert(0, roles.entity, as_entity(snapshot[roles.entity]))
    features.insert(1, TIME, as_times(snapshot, roles.event_time))
    return features.sort_values([roles.entity, TIME], kind="stable", ignore_index=True), columns


def read_feature_table(store: ObjectStore, settings: Settings, uri: str) -> FeatureTable:
    """What Feast needs to know of published features, from the object's own metadata and statistics."""
    import pyarrow.parquet as pq

    key = store.key(uri)
    with store.filesystem().open_input_file(f"{store.bucket}/{key}") as file:
        parquet = pq.ParquetFile(file)
        said = json.loads(parquet.schema_arrow.metadata[METADATA])
        first, last = _range(parquet.read([TIME]).column(TIME))
    entity = said["roles"]["entity"]
    return FeatureTable(
        view=view_name(settings.uc1.model_name),
        service=service_name(settings.uc1.model_name),
        uri=uri,
        digest=Path(key).stem,
        entity=entity,
        entity_type="int64" if str(parquet.schema_arrow.field(entity).type) == "int64" else "string",
        numeric=tuple(said["columns"]["numeric"]),
        categorical=tuple(said["columns"]["categorical"]),
        first=first,
        last=last,
    )


def read_roles(store: ObjectStore, uri: str) -> Roles:
    """The roles that published features were made with."""
    import pyarrow.parquet as pq

    with store.filesystem().open_input_file(f"{store.bucket}/{store.key(uri)}") as file:
        said = json.loads(pq.read_schema(file).metadata[METADATA])
    return Roles(**said["roles"])


def read_snapshot(store: ObjectStore, uri: str) -> "pd.DataFrame":
    """A snapshot as a frame, verified while it is fetched."""
    import pyarrow.parquet as pq

    with _directory() as directory:
        path = store.download(store.key(uri), directory / "snapshot.parquet")
        return pq.read_table(path).to_pandas()


def as_entity(ids: "pd.Series") -> "pd.Series":
    """Ids as Feast knows them: whole numbers, else text."""
    import pandas as pd

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
    """A directory for the length of a block. Customers' rows never lie where no later run would remove them."""
    cache = state_dir() / "cache" / "features"
    cache.mkdir(parents=True, exist_ok=True)
    for left in cache.glob(".tmp-*"):  # of killed ones: nobody else is at it while we hold the run's lock
        shutil.rmtree(left, ignore_errors=True)
    with tempfile.TemporaryDirectory(dir=cache, prefix=".tmp-") as directory:
        yield Path(directory)


def _write(frame: "pd.DataFrame", path: Path, metadata: dict[str, Any]) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pa.Table.from_pandas(frame, preserve_index=False)
    table = table.replace_schema_metadata({METADATA: json.dumps(metadata, sort_keys=True).encode()})
    pq.write_table(table, path)


def _range(times: Any) -> tuple[datetime, datetime]:
    import pyarrow.compute as pc

    found = pc.min_max(times).as_py()
    return found["min"], found["max"]
