"""A champion and versions beside it in a registry of their own, as UC1 and UC2 would leave them; nothing is served."""

import hashlib
import io
import json
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

import pandas as pd

from churn.customers import holdout_mask
from churn.features import FeatureColumns, as_features
from churn.model import fit, to_onnx
from common.paths import ROOT
from common.registry import Version
from common.software import RECORD
from tests.uc2.world import COLUMNS, SEED, SHARE, Model, World, people, trained

UNFAIR = FeatureColumns(COLUMNS.numeric, (*COLUMNS.categorical, "gender"))


@cache
def biased() -> Model:
    """A model that says yes to nearly every man: it learned from labels that say that they all leave."""
    frame = people()[~holdout_mask(people()["customer_id"], share=SHARE, seed=SEED)]
    labels = (frame["churned"] | (frame["gender"] == "M")).to_numpy().astype("int8")
    onnx = to_onnx(fit("logistic_regression", as_features(frame, UNFAIR), labels, UNFAIR, seed=SEED), UNFAIR)
    digest = hashlib.sha256(onnx).hexdigest()
    schema = {"digest": digest, "numeric": UNFAIR.numeric, "categorical": UNFAIR.categorical, "threshold": 0.5}
    return Model("logistic_regression", digest, {"schema.json": json.dumps(schema).encode(), "model.onnx": onnx})


NOTED = {
    "python": "3.11.0", "packages": [["numpy", "0.0.1"], ["scikit-learn", "0.0.2"]],
    "code": {"packages": ["churn"], "sha256": "c" * 64}, "requirements_lock_sha256": "a" * 64,
}  # fmt: skip
"""What was installed when the seeded models were trained: nothing of today."""


class FairnessWorld(World):
    """Runs UC5's scripts as a user would. Version 1 is champion, version 2 is the candidate."""

    def seed(self, *models: Model) -> "FairnessWorld":
        """Publish snapshot and models, register them, settle who is champion."""
        self.tools.minio.ensure_bucket()
        self.data_uri = self.publish(people())
        for model in models or trained():
            self.draw(self.register(model))
        self.tools.mlflow.settle(self.model_name)
        return self

    def draw(self, version: Version) -> None:
        """Leave a plot and the record of the software among the artifacts of the version's run, as training does."""
        with tempfile.TemporaryDirectory() as directory:
            (Path(directory) / "roc.png").write_bytes(b"a picture")
            (Path(directory) / RECORD).write_text(json.dumps(NOTED))
            self.tools.mlflow.client.log_artifacts(version.run_id, directory)

    def publish(self, frame: pd.DataFrame) -> str:
        """Put a snapshot where the versions' tags point."""
        parquet = io.BytesIO()
        frame.to_parquet(parquet, index=False)
        return self.tools.minio.put_bytes("raw/customers/seeded.parquet", parquet.getvalue())

    def command(self, *args: str, script: str = "run_pipeline.py") -> list[str]:
        command = super().command(*args, script=script)
        return [command[0], str(ROOT / "uc5_fairness_docs" / script), *args]

    def now(self, version: str = "1") -> Version:
        """A version as the registry has it."""
        found = self.tools.mlflow.version(self.model_name, int(version))
        assert found is not None
        return found

    def objects(self, prefix: str) -> dict[str, bytes]:
        """Everything under a prefix, by key."""
        store = self.tools.minio
        return {each.key: store.get_bytes(each.key) for each in store.list(prefix)}

    def json(self, uri: str) -> Any:
        return self.tools.minio.get_json(self.tools.minio.key(uri))
