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
from common.logger import get_logger
from common.step import step
from common.tools import Tools
from uc1_churn_prediction.results import CustomerFeatures, RawCustomers, ValidCustomers

if TYPE_CHECKING:
    import pandas as pd

    from churn.columns import Chosen
    from common.feast_client import FeatureTable

SAMPLE = 50
log = get_logger(__name__)


@step(
    needs=("minio", "postgres", "feast"),
    settings=("uc1.model_name", "uc1.numeric", "uc1.categorical", "uc1.ordered", "uc1.sensitive", "uc1.dropped",
              "feast.project", "feast.online_store"),
    deadline_seconds=7200,
)  # fmt: skip
def run(tools: Tools, valid: ValidCustomers) -> CustomerFeatures:
    from uc1_churn_prediction.feature_table import Roles, publish_features

    raw = valid.raw
    made = publish_features(tools.minio, tools.settings, raw.uri, Roles(raw.entity, raw.label, raw.event_time))
    tell_inferred(made.chosen)
    written = tools.feast.publish(made.table)
    sample, rows = sampled(tools, made.table)
    if not written and differing(tools, made.table, sample):
        written = tools.feast.publish(made.table, anew=True)
    tools.context.effect("feature_view", made.table.view, written, digest=made.table.digest, uri=made.table.uri)
    if written:
        refuse_differing(tools, made.table, sample)
    return customer_features(raw, made.table, made.chosen, online_rows=rows)


def tell_inferred(chosen: "Chosen") -> None:
    """Say which columns were taken, where nobody named any."""
    if chosen.inferred:
        columns = chosen.columns
        log.info("features inferred", numeric=list(columns.numeric), categorical=list(columns.categorical),
                 left_out=dict(chosen.left_out))  # fmt: skip


def differing(tools: Tools, table: "FeatureTable", sample: "pd.DataFrame") -> list[str]:
    """Read a sample back from the online store; returns the features whose values are not the newest ones."""
    online = tools.feast.online(table, sample[table.entity].tolist())
    return [name for name in table.features if not _same(sample[name], online[name], name in table.numeric)]


def refuse_differing(tools: Tools, table: "FeatureTable", sample: "pd.DataFrame") -> None:
    """Raise StepFailed where the online store does not answer what was written to it."""
    if wrong := differing(tools, table, sample):
        raise StepFailed(
            f"The online store answers other values than were written, in {', '.join(wrong)} of {table.view}.",
            "Look for another program that writes to it, then run the step again.",
        )


def sampled(tools: Tools, table: "FeatureTable") -> "tuple[pd.DataFrame, int]":
    """Some of what the online store must answer, from the whole of the table; and of how many rows they are."""
    import pandas as pd

    parts, rows = [], 0
    for newest in tools.feast.newest(table):
        parts.append(newest.iloc[:: max(1, len(newest) // SAMPLE)])
        rows += len(newest)
    every = pd.concat(parts, ignore_index=True)
    return every.iloc[:: max(1, len(every) // SAMPLE)].reset_index(drop=True), rows


def _same(offline: "pd.Series", online: "pd.Series", is_number: bool) -> bool:
    import numpy as np

    if is_number:
        return bool(np.array_equal(offline.to_numpy("float32"), online.to_numpy("float32"), equal_nan=True))
    return bool(offline.tolist() == online.tolist())


def customer_features(raw: RawCustomers, table: "FeatureTable", chosen: "Chosen", online_rows: int) -> CustomerFeatures:
    """The result: where the features are, and what they are."""
    return CustomerFeatures(
        raw=raw, uri=table.uri, digest=table.digest, view=table.view, service=table.service, rows=raw.rows,
        numeric=table.numeric, categorical=table.categorical, online_rows=online_rows, inferred=chosen.inferred,
        left_out=chosen.left_out,
    )  # fmt: skip


def observe(tools: Tools) -> dict[str, Any]:
    """Which features are online, whether their object is still there, and what the definitions are."""
    from common.digest import sha256_of
    from uc1_churn_prediction.results import view_name

    view = view_name(tools.settings.uc1.model_name)
    held = tools.feast.held_online(view)
    offline = bool(held) and tools.minio.exists(f"features/{view}/{held}.parquet")
    return {"online": held, "offline": offline, "definitions": sha256_of(tools.feast.definitions_file())}


if __name__ == "__main__":
    main(__file__)
