"""Small trained models on disk, laid out as training lays them out in object storage."""

import hashlib
import json
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

NUMERIC = (
    "tenure_months",
    "monthly_spend",
    "tickets_90d",
    "last_login_days",
    "discount_share",
    "sessions_30d",
)
CATEGORICAL = ("plan", "region")
PLANS, REGIONS = ("basic", "plus", "pro"), ("north", "south", "west")


@dataclass(frozen=True)
class TrainedArtefact:
    """A directory named by its model's digest, and the estimator it was made from."""

    directory: Path
    digest: str
    estimator: Any
    rows: list[dict[str, Any]]
    probabilities: list[float]


def customers(count: int, seed: int = 7) -> pd.DataFrame:
    """Features of made-up customers; 3 % of one numeric column are missing."""
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame({name: rng.gamma(2.0, 3.0, count).round(2).astype("float32") for name in NUMERIC})
    frame.loc[rng.random(count) < 0.03, "monthly_spend"] = np.nan
    frame["plan"] = rng.choice(PLANS, count)
    frame["region"] = rng.choice(REGIONS, count)
    return frame


def train(parent: Path, *, seed: int = 7, trees: bool = True) -> TrainedArtefact:
    """Train a model and write model.onnx, schema.json and golden.json below parent/<digest>/."""
    frame = customers(3000, seed)
    risk = frame["tickets_90d"] - frame["tenure_months"] + 3.0 * (frame["plan"] == "basic")
    labels = (risk + np.random.default_rng(seed).normal(0, 3, len(frame)) > 0).astype("int8")
    estimator = _estimator(trees, seed).fit(frame, labels)
    content = _onnx(estimator)
    digest = hashlib.sha256(content).hexdigest()
    directory = parent / digest
    directory.mkdir(parents=True)
    (directory / "model.onnx").write_bytes(content)
    golden = customers(20, seed + 1)
    rows = json.loads(golden.to_json(orient="records", double_precision=15))
    probabilities = estimator.predict_proba(golden)[:, 1].tolist()
    schema = {"model_name": "churn", "digest": digest, "numeric": NUMERIC, "categorical": CATEGORICAL}
    (directory / "schema.json").write_text(json.dumps(schema))
    (directory / "golden.json").write_text(json.dumps({"rows": rows, "probabilities": probabilities}))
    return TrainedArtefact(directory, digest, estimator, rows, probabilities)


def _estimator(trees: bool, seed: int) -> Any:
    from sklearn.compose import ColumnTransformer
    from sklearn.ensemble import HistGradientBoostingClassifier
    from sklearn.impute import SimpleImputer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import Pipeline, make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    numbers = "passthrough" if trees else make_pipeline(SimpleImputer(), StandardScaler())
    columns = ColumnTransformer([
        ("numbers", numbers, list(NUMERIC)),
        ("texts", OneHotEncoder(handle_unknown="ignore", sparse_output=False), list(CATEGORICAL)),
    ])  # fmt: skip
    model = (
        HistGradientBoostingClassifier(max_iter=100, random_state=seed) if trees else LogisticRegression(max_iter=500)
    )
    return Pipeline([("columns", columns), ("model", model)])


def _onnx(estimator: Any) -> bytes:
    from skl2onnx import convert_sklearn
    from skl2onnx.common.data_types import FloatTensorType, StringTensorType

    inputs = [(name, FloatTensorType([None, 1])) for name in NUMERIC]
    inputs += [(name, StringTensorType([None, 1])) for name in CATEGORICAL]
    options = {id(estimator): {"zipmap": False}}
    opsets = {"": 18, "ai.onnx.ml": 3}
    with warnings.catch_warnings():
        # protobuf warns, in C, that skl2onnx writes booleans as integers; as an error that is a ValueError.
        warnings.simplefilter("ignore")
        model = convert_sklearn(estimator, initial_types=inputs, options=options, target_opset=opsets)
    content: bytes = model.SerializeToString()
    return content
