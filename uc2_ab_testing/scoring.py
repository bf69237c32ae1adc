"""A registered model opened for scoring, and how often two of them decide differently on the hold-out."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from common.settings_uc1 import Uc1
from common.stored import model_schema, open_model, rows_of

if TYPE_CHECKING:
    import pandas as pd
    from onnxruntime import InferenceSession

    from churn.customers import BoolArray
    from churn.features import FeatureColumns
    from churn.model import Probabilities
    from churn.windows import Shadow
    from common.minio_client import ObjectStore


@dataclass(frozen=True)
class Scorer:
    """A model with the columns that it asks for, and the probability from which it says yes."""

    columns: "FeatureColumns"
    threshold: float
    session: "InferenceSession"

    def score(self, frame: "pd.DataFrame") -> "Probabilities":
        """The probability of the positive class, a row each; `frame` has at least the model's columns."""
        from churn.features import as_features
        from churn.model import onnx_probabilities

        return onnx_probabilities(self.session, as_features(frame, self.columns))


def columns_of(store: "ObjectStore", uri: str) -> "FeatureColumns":
    """The inputs of the model in this folder, as its schema.json names them."""
    from churn.features import FeatureColumns

    schema = model_schema(store, uri)
    return FeatureColumns(schema.numeric, schema.categorical)


def scorer(store: "ObjectStore", uri: str, digest: str) -> Scorer:
    """Open the model in this folder. Raises InvalidData where its bytes are not those of the digest."""
    from churn.features import FeatureColumns
    from churn.model import session

    model = open_model(store, uri, digest)
    columns = FeatureColumns(model.schema.numeric, model.schema.categorical)
    return Scorer(columns, model.schema.threshold, session(model.onnx))


def differing_on_holdout(
    store: "ObjectStore", uc1: Uc1, data_uri: str, candidate: Scorer, champion: Scorer
) -> "Shadow":
    """How often the two decide differently on the rows that the candidate was not trained on."""
    from churn.experiment import disagreement

    wanted = {*candidate.columns.names, *champion.columns.names, *([uc1.entity] if uc1.entity else [])}
    rows = read_rows(store, data_uri, wanted)
    held_out = rows[held_out_rows(rows, uc1)]
    return disagreement(candidate.score(held_out), champion.score(held_out), candidate.threshold)


def held_out_rows(rows: "pd.DataFrame", uc1: Uc1) -> "BoolArray":
    """Which rows training kept back: by the entity, or by the row's number where there is none."""
    from churn.customers import holdout_mask

    ids = rows[uc1.entity] if uc1.entity else range(len(rows))
    return holdout_mask(ids, share=uc1.holdout_share, seed=uc1.seed)


def read_rows(store: "ObjectStore", uri: str, columns: set[str]) -> "pd.DataFrame":
    """Columns of a parquet object in the bucket. Raises InvalidData where it has not got them, or is none."""
    frame: pd.DataFrame = rows_of(store, uri, sorted(columns)).to_pandas()
    return frame
