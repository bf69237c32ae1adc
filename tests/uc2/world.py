"""A champion that is served and challengers that wait: a world of its own on the session's one platform.

Seeded directly, as UC1 would leave it, so that a test of UC2 needs no training pipeline.
"""

import hashlib
import io
import json
import subprocess
import tempfile
import uuid
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pandas as pd

from churn.customers import holdout_mask
from churn.features import FeatureColumns, as_features, as_labels
from churn.model import ALGORITHMS, fit, onnx_probabilities, session, to_onnx
from common.config import ROOT
from common.registry import Version
from common.serving_manifests import Deployment, service_name
from common.tools import Tools
from embedded.sample_customers import USUAL, customers
from tests.uc1.universe import Universe

ROWS, SEED, SHARE = 2000, 42, 0.2
COLUMNS = FeatureColumns(
    ("age", "tenure_months", "monthly_spend", "support_tickets", "days_since_last_login", "products"),
    ("region", "contract"),
)
# Windows short enough for a test; a latency limit that a busy test machine keeps to.
SHORT = {
    "MLOPS_ITER8__INTERVAL_SECONDS": "1", "MLOPS_UC2__MIN_REQUESTS": "30",
    "MLOPS_UC2__OBJECTIVES__LATENCY_P95_MS": "2000", "MLOPS_TRAFFIC__REQUESTS_PER_SECOND": "150",
}  # fmt: skip


@dataclass(frozen=True)
class Model:
    """A trained model, and the files that a model server loads."""

    algorithm: str
    digest: str
    files: dict[str, bytes]


@cache
def people() -> pd.DataFrame:
    """The first customers of the sample table."""
    return pd.DataFrame(customers(USUAL)).head(ROWS)


@cache
def trained() -> tuple[Model, ...]:
    """The baseline and the trees, each trained on those who are not in the hold-out."""
    return tuple(_train(algorithm) for algorithm in ALGORITHMS)


def _train(algorithm: str) -> Model:
    frame = people()[~holdout_mask(people()["customer_id"], share=SHARE, seed=SEED)]
    features = as_features(frame, COLUMNS)
    model = fit(algorithm, features, as_labels(frame["churned"], True), COLUMNS, seed=SEED)
    onnx = to_onnx(model, COLUMNS)
    golden = as_features(people().tail(20), COLUMNS)
    said = {
        "rows": json.loads(golden.to_json(orient="records", double_precision=15)),
        "probabilities": onnx_probabilities(session(onnx), golden).tolist(),
    }
    digest = hashlib.sha256(onnx).hexdigest()
    schema = {
        "digest": digest, "numeric": COLUMNS.numeric, "categorical": COLUMNS.categorical, "threshold": 0.5,
    }  # fmt: skip
    files = {"schema.json": json.dumps(schema).encode(), "golden.json": json.dumps(said).encode(), "model.onnx": onnx}
    return Model(algorithm, digest, files)


def variant(model: Model) -> Model:
    """The same model in other bytes, as another training would make it: whoever was judged once is no candidate."""
    import onnx

    proto = onnx.load_from_string(model.files["model.onnx"])
    proto.doc_string = f"variant {uuid.uuid4()}"
    content = proto.SerializeToString()
    digest = hashlib.sha256(content).hexdigest()
    schema = json.dumps({**json.loads(model.files["schema.json"]), "digest": digest}).encode()
    return Model(model.algorithm, digest, {**model.files, "schema.json": schema, "model.onnx": content})


class World(Universe):
    """Runs UC2's scripts as a user would. Version 1 is champion and served, version 2 is the candidate."""

    def __init__(self, name: str, directory: Path, platform_state: Path) -> None:
        super().__init__(name, directory, platform_state)
        self.env |= SHORT

    def seed(self) -> "World":
        """Publish snapshot and models, register them, serve the first."""
        tools = self.tools
        tools.minio.ensure_bucket()
        parquet = io.BytesIO()
        people().to_parquet(parquet, index=False)
        self.data_uri = tools.minio.put_bytes("raw/customers/seeded.parquet", parquet.getvalue())
        for model in trained():
            self.register(model)
        champion = tools.mlflow.settle(self.model_name)
        assert champion is not None
        assert champion.version == "1"
        tools.kserve.deploy(self.deployment(champion))
        tools.kserve.wait_until_ready(self.deployment(champion))
        return self

    @property
    def model_name(self) -> str:
        return self.settings.uc1.model_name

    @property
    def service(self) -> str:
        return service_name(self.model_name)

    @property
    def namespace(self) -> str:
        return self.settings.uc1.namespace

    def tools_with(self, **env: str) -> Tools:
        """Tools with other settings."""
        before = dict(self.env)
        self.env |= env
        try:
            return self.tools
        finally:
            self.env = before

    def deployment(self, version: Version) -> Deployment:
        return Deployment(self.model_name, self.namespace, version.version, version.digest, version.uri, "seed")

    def register(self, model: Model, **tags: str) -> Version:
        """Publish a model and register it as proposed."""
        tools = self.tools
        folder = f"models/{self.model_name}/{model.digest}"
        for file, content in model.files.items():
            tools.minio.put_bytes(f"{folder}/{file}", content)
        said = {
            "state": "proposed", "algorithm": model.algorithm, "digest": model.digest, "uri": tools.minio.uri(folder),
            "gate": "passed", "gate_digest": model.digest, "data_uri": self.data_uri, "metric.roc_auc": "0.85",
            "metric.brier": "0.1", **tags,
        }  # fmt: skip
        key = f"key-{uuid.uuid4()}"
        with tempfile.TemporaryDirectory() as nothing:
            run_id, source = tools.mlflow.record_run(
                self.model_name, key, name=model.algorithm, parameters={}, metrics={}, tags={},
                files=Path(nothing), log_model=_external_model,
            )  # fmt: skip
        return tools.mlflow.register(self.model_name, key, run_id=run_id, source=source, tags=said)

    def challenger(self, **tags: str) -> Version:
        """Another version that is waiting: of the kind that the champion is not, so that they decide differently."""
        champion = self.tools.mlflow.champion(self.model_name)
        assert champion is not None
        model = next(each for each in trained() if each.algorithm != champion.algorithm)
        made = self.register(variant(model), **tags)
        self.tools.mlflow.settle(self.model_name)
        return made

    def command(self, *args: str, script: str = "run_pipeline.py") -> list[str]:
        command = super().command(*args, script=script)
        return [command[0], str(ROOT / "uc2_ab_testing" / script), *args]

    def verdict(self, *args: str, **env: str) -> tuple[int, dict[str, Any]]:
        """Run the pipeline with --json; its exit code and the last step as JSON."""
        done = self.run(*args, "--json", **env)
        assert done.stdout, done.stderr[-3000:]
        print({k: v["seconds"] for k, v in ended(done).items()})
        return done.returncode, json.loads(done.stdout)["steps"][-1]

    # The world as a user would look at it

    def states_of_versions(self) -> dict[str, str]:
        return {version.version: version.state for version in self.tools.mlflow.versions(self.model_name)}

    def champion(self) -> str:
        """The version that the alias names."""
        return str(self.tools.mlflow.client.get_model_version_by_alias(self.model_name, "champion").version)

    def served(self) -> tuple[str, bool]:
        """Version of the predictor, and whether a canary is beside it."""
        live = self.tools.kserve.live(self.namespace, self.service)
        assert live is not None
        canary = self.tools.kserve.canaries.live(self.namespace, self.service)
        return live["metadata"]["labels"]["mlops/version"], canary is not None

    def percent(self) -> int:
        """The canary's share; 0 where there is none."""
        canary = self.tools.kserve.canaries.live(self.namespace, self.service)
        return canary.percent if canary else 0

    def experiments(self) -> list[dict[str, Any]]:
        return self.tools.iter8.on(self.namespace, self.service)

    def url(self) -> str:
        live = self.tools.kserve.live(self.namespace, self.service)
        assert live is not None
        return f"{live['status']['url']}/v1/models/{self.service}:predict"

    def body(self) -> bytes:
        """A request about somebody on whom both models agree: sent often, another one would look like a bad canary."""
        baseline, trees = (json.loads(model.files["golden.json"]) for model in trained())
        pairs = zip(baseline["rows"], baseline["probabilities"], trees["probabilities"], strict=True)
        agreed = next(row for row, one, other in pairs if max(one, other) < 0.4 or min(one, other) > 0.6)
        return json.dumps({"instances": [agreed]}).encode()


def _external_model() -> str:
    import mlflow

    return f"models:/{mlflow.create_external_model('model').model_id}"


def ended(done: "subprocess.CompletedProcess[str]") -> dict[str, Any]:
    """What a run with --json said, its steps by their numbers."""
    assert done.stdout, done.stderr[-3000:]
    return {step["step"][4:6]: step for step in json.loads(done.stdout)["steps"]}
