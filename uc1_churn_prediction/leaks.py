"""Does a feature give the label away? Each is held against the label by itself, on a sample of the rows.

A warning and no refusal: a rule that decides who leaves is a fact of some businesses, and a column that was filled in
afterwards (a reason for leaving, another model's score) looks the same from here. Whoever reads it knows which it is.
"""

from pathlib import Path
from typing import TYPE_CHECKING

from churn.columns import ColumnFacts, choose_columns
from churn.customers import UnfitForTraining
from churn.features import FeatureColumns, as_features, as_labels
from churn.separation import separation
from common.settings_uc1 import Uc1
from uc1_churn_prediction.results import Check, RawCustomers

if TYPE_CHECKING:
    import pandas as pd

SAMPLE_ROWS = 20_000
COLUMNS_AT_ONCE = 50
NAME = "does not give the label away"


def leak_checks(path: Path, raw: RawCustomers, uc1: Uc1) -> tuple[Check, ...]:
    """A warning for each feature that alone tells the classes apart; one good check where none does."""
    found = separations(path, raw, uc1)
    leaking = {name: area for name, area in found.items() if area >= uc1.expectations.max_single_auc}
    if not leaking:
        said = f"no feature alone tells the classes apart (ROC AUC below {uc1.expectations.max_single_auc:g})"
        return (Check(name=said, column="", severity="warning", success=True, unexpected=0),) if found else ()
    return tuple(
        Check(name=f"{NAME} (alone it has ROC AUC {area:.3f}: known before the label was?)", column=name,
              severity="warning", success=False, unexpected=0)
        for name, area in sorted(leaking.items(), key=lambda item: -item[1])
    )  # fmt: skip


def separations(path: Path, raw: RawCustomers, uc1: Uc1) -> dict[str, float]:
    """How well each feature alone tells the classes apart; nothing where that cannot be asked yet."""
    if raw.label not in {column.name for column in raw.columns}:
        return {}
    try:
        columns = _features(path, raw, uc1)
        labels = as_labels(_sample(path, raw, [raw.label])[raw.label], uc1.positive_label)
        return {
            name: separation(features[name], labels)
            for part in _parts(columns)
            for features in [as_features(_sample(path, raw, list(part.names)), part)]
            for name in part.names
        }
    except UnfitForTraining:  # the expectations say it better
        return {}


def _features(path: Path, raw: RawCustomers, uc1: Uc1) -> FeatureColumns:
    from uc1_churn_prediction.feature_table import Roles, excluded
    from uc1_churn_prediction.measured import measure

    known = {column.name for column in raw.columns}
    if uc1.numeric or uc1.categorical:
        named = (tuple(name for name in each if name in known) for each in (uc1.numeric, uc1.categorical))
        return FeatureColumns(*named)
    facts: tuple[ColumnFacts, ...] = measure(path)
    roles = Roles(raw.entity, raw.label, raw.event_time)
    ordered = [name for name in uc1.ordered if name in known]
    return choose_columns(facts, ordered=ordered, excluded=excluded(roles, uc1)).columns


def _parts(columns: FeatureColumns) -> list[FeatureColumns]:
    """A few columns at a time."""
    return [
        FeatureColumns(*(tuple(n for n in columns.names[at : at + COLUMNS_AT_ONCE] if n in kind)
                         for kind in (columns.numeric, columns.categorical)))
        for at in range(0, len(columns.names), COLUMNS_AT_ONCE)
    ]  # fmt: skip


def _sample(path: Path, raw: RawCustomers, names: list[str]) -> "pd.DataFrame":
    """Every n-th row, so that there are SAMPLE_ROWS of them at most."""
    import pandas as pd
    import pyarrow.parquet as pq

    step, parts, offset = max(1, -(-raw.rows // SAMPLE_ROWS)), [], 0
    with pq.ParquetFile(path) as file:
        for batch in file.iter_batches(columns=names):
            first = -offset % step
            offset += batch.num_rows
            parts.append(batch.take(list(range(first, batch.num_rows, step))).to_pandas())
    return pd.concat(parts, ignore_index=True)
