"""UC1 step 4: turn the valid snapshot into features, for training as of a moment and for serving as of now.

Reads    the snapshot of ValidCustomers, from object storage
Writes   features/<view>/<digest>.parquet; Feast's entity, feature view and service; the online store
Returns  CustomerFeatures
Raises   InvalidData (65) where a column is not what the configuration says; Unavailable (69)

Run it alone:  python uc1_churn_prediction/uc1_04_feature_engineering_feast.py
"""

from typing import TYPE_CHECKING, Any

from common.cli import main
from common.errors import StepFailed
from common.step import step
from common.tools import Tools
from uc1_churn_prediction.results import CustomerFeatures, RawCustomers, ValidCustomers

if TYPE_CHECKING:
    import pandas as pd

    from common.feast_client import FeatureTable

SAMPLE = 50


@step(
    needs=("minio", "postgres", "feast"),
    settings=("uc1.model_name", "uc1.numeric", "uc1.categorical", "uc1.dropped", "feast.project", "feast.online_store"),
    deadline_seconds=900,
)
def run(tools: Tools, valid: ValidCustomers) -> CustomerFeatures:
    from uc1_churn_prediction.feature_table import Roles, publish_features

    raw = valid.raw
    table = publish_features(tools.minio, tools.settings, raw.uri, Roles(raw.entity, raw.label, raw.event_time))
    written = tools.feast.publish(table)
    newest = newest_features(tools, table)
    if not written and differing(tools, table, newest):
        written = tools.feast.publish(table, anew=True)
    if written:
        tools.context.effect("feature_view", table.view, digest=table.digest, uri=table.uri)
        refuse_differing(tools, table, newest)
    return customer_features(raw, table, online_rows=len(newest))


def differing(tools: Tools, table: "FeatureTable", newest: "pd.DataFrame") -> list[str]:
    """Read a sample back from the online store; returns the features whose values are not the newest ones."""
    sample = newest.iloc[:: max(1, len(newest) // SAMPLE)].reset_index(drop=True)
    online = tools.feast.online(table, sample[table.entity].tolist())
    return [name for name in table.features if not _same(sample[name], online[name], name in table.numeric)]


def refuse_differing(tools: Tools, table: "FeatureTable", newest: "pd.DataFrame") -> None:
    """Raise StepFailed where the online store does not answer what was written to it."""
    if wrong := differing(tools, table, newest):
        raise StepFailed(
            f"The online store answers other values than were written, in {', '.join(wrong)} of {table.view}.",
            "Look for another program that writes to it, then run the step again.",
        )


def newest_features(tools: Tools, table: "FeatureTable") -> "pd.DataFrame":
    """The last features of each entity: what the online store must answer."""
    import pyarrow.parquet as pq

    path = f"{tools.minio.bucket}/{tools.minio.key(table.uri)}"
    frame = pq.read_table(path, filesystem=tools.minio.filesystem()).to_pandas()
    return frame.drop_duplicates(table.entity, keep="last", ignore_index=True)


def _same(offline: "pd.Series", online: "pd.Series", is_number: bool) -> bool:
    import numpy as np

    if is_number:
        return bool(np.array_equal(offline.to_numpy("float32"), online.to_numpy("float32"), equal_nan=True))
    return bool(offline.tolist() == online.tolist())


def customer_features(raw: RawCustomers, table: "FeatureTable", online_rows: int) -> CustomerFeatures:
    """The result: where the features are, and what they are."""
    return CustomerFeatures(
        raw=raw, uri=table.uri, digest=table.digest, view=table.view, service=table.service, rows=raw.rows,
        numeric=table.numeric, categorical=table.categorical, online_rows=online_rows,
    )  # fmt: skip


def observe(tools: Tools) -> dict[str, Any]:
    """Which features are online, whether their object is still there, and what the definitions are."""
    from common.digest import sha256_of
    from uc1_churn_prediction.feature_table import view_name

    view = view_name(tools.settings.uc1.model_name)
    held = tools.feast.held_online(view)
    offline = bool(held) and tools.minio.exists(f"features/{view}/{held}.parquet")
    return {"online": held, "offline": offline, "definitions": sha256_of(tools.feast.definitions_file())}


if __name__ == "__main__":
    main(__file__)
