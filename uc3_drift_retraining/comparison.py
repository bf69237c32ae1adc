"""The new models beside the old one, on hold-out customers: those who are new to the old model, and those who are not.

Who is held out follows from the customer's id alone, so that no model has learned from anybody it is judged by here.
Rows without an id are numbered anew in each snapshot: there, nobody can say whom the old model has learned from.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from churn.customers import holdout_mask
from churn.features import FeatureColumns, as_features, as_labels
from common.logger import get_logger
from common.minio_errors import NoSuchObject
from common.stored import open_model, rows_of
from uc3_drift_retraining.results import Population

if TYPE_CHECKING:
    import pandas as pd

    from churn.model import Probabilities
    from common.registry import Version
    from common.tools import Tools

log = get_logger(__name__)
NEW, KNOWN = "new to the old model", "of the old model's own data"
FEWEST = 50


def compared(tools: "Tools", snapshot_uri: str, old: "Version", new: "Sequence[Version]") -> tuple[Population, ...]:
    """Both populations for each new version; one that is too small, or of one class only, is left out.

    None where uc1.entity names no id.
    """
    from churn import performance

    uc1 = tools.settings.uc1
    if not uc1.entity:
        return ()
    held = held_out(tools, snapshot_uri, uc1.entity)
    known = held[uc1.entity].isin(ids(tools, old.tags.get("data_uri", ""), uc1.entity))
    found = []
    for name, rows in ((NEW, held[~known]), (KNOWN, held[known])):
        labels = as_labels(rows[uc1.label], uc1.positive_label)
        if len(rows) < FEWEST or len(set(labels.tolist())) < 2:
            continue
        before = answers(tools, old, rows)
        for version in new:
            after = answers(tools, version, rows)
            change = performance.compared(labels, before, after, seed=uc1.seed)
            found.append(Population(name=name, version=version.version, change=change))
    return tuple(found)


def held_out(tools: "Tools", snapshot_uri: str, entity: str) -> "pd.DataFrame":
    """The fresh rows that no training has seen."""
    uc1, rows = tools.settings.uc1, read(tools, snapshot_uri)
    return rows[holdout_mask(rows[entity], share=uc1.holdout_share, seed=uc1.seed)]


def ids(tools: "Tools", uri: str, entity: str) -> "set[object]":
    """The customers of a snapshot; nobody where it is gone."""
    try:
        return set(read(tools, uri, [entity])[entity]) if uri else set()
    except NoSuchObject:
        log.warning("the old model's data is gone; everybody counts as new to it", uri=uri)
        return set()


def answers(tools: "Tools", version: "Version", rows: "pd.DataFrame") -> "Probabilities":
    """What a model says of these customers. Raises InvalidData where its bytes are not those of its digest."""
    from churn.model import onnx_probabilities, session

    model = open_model(tools.minio, version.uri, version.digest)
    columns = FeatureColumns(model.schema.numeric, model.schema.categorical)
    return onnx_probabilities(session(model.onnx), as_features(rows, columns))


def read(tools: "Tools", uri: str, columns: list[str] | None = None) -> "pd.DataFrame":
    """Rows of a snapshot."""
    frame: pd.DataFrame = rows_of(tools.minio, uri, columns).to_pandas()
    return frame
