"""UC1 step 5: train, judge and register the models, by a Kubeflow pipeline.

Reads    the features of CustomerFeatures and the labels of its snapshot, from object storage
Writes   pipelines/churn-training/<digest>.yaml; models/<name>/<digest>/; MLflow runs, versions and aliases
Returns  TrainedModels
Raises   GateRefused (3) where no model passed; InvalidData (65) where the rows cannot be learned from

Run it alone:  python uc1_churn_prediction/uc1_05_model_training_kubeflow.py
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from common.cli import main
from common.errors import GateRefused, StepFailed
from common.step import step
from common.tools import Tools
from uc1_churn_prediction.results import CustomerFeatures, ModelVersion, TrainedModels

if TYPE_CHECKING:
    from common.registry import Version

DEADLINE_SECONDS = 1800


@step(
    needs=("minio", "postgres", "mlflow", "kubeflow", "feast"),
    settings=("uc1.model_name", "uc1.algorithms", "uc1.holdout_share", "uc1.seed", "uc1.golden_rows", "uc1.gate",
              "uc1.positive_label", "uc1.ordered"),
    deadline_seconds=DEADLINE_SECONDS,
)  # fmt: skip
def run(tools: Tools, features: CustomerFeatures) -> TrainedModels:
    pipeline_uri, package = publish_pipeline(tools)
    versions = registered(tools)
    if len(versions) < len(tools.settings.uc1.algorithms) or lost_files(tools, versions):
        run_pipeline(tools, package, features)
        versions = registered(tools)
    champion = tools.mlflow.settle(tools.settings.uc1.model_name)
    refuse_unless_one_passed(versions)
    return trained_models(tools, features, pipeline_uri, versions, champion)


def publish_pipeline(tools: Tools) -> tuple[str, bytes]:
    """Compile the pipeline and publish it under its digest; returns its URI and its YAML."""
    from common.kubeflow_client import publish_package
    from uc1_churn_prediction.training_pipeline import NAME, compile_pipeline

    package = compile_pipeline(tools.settings.kubeflow.image)
    return publish_package(tools.minio, NAME, package), package


def registered(tools: Tools) -> "list[Version]":
    """The versions that this key has registered, in the order of uc1.algorithms, whatever became of them since."""
    by_key = {version.key: version for version in tools.mlflow.versions(tools.settings.uc1.model_name)}
    wanted = (f"{tools.context.key}:{algorithm}" for algorithm in tools.settings.uc1.algorithms)
    return [by_key[key] for key in wanted if key in by_key]


def lost_files(tools: Tools, versions: "Sequence[Version]") -> list[str]:
    """Digests of models whose file is gone from object storage. Training again makes the same bytes again."""
    return [each.digest for each in versions if not tools.minio.exists(tools.minio.key(f"{each.uri}/model.onnx"))]


def run_pipeline(tools: Tools, package: bytes, features: CustomerFeatures) -> None:
    """Run the pipeline to its end. Raises what its component said was wrong."""
    from common.pipeline_errors import error_key, left_error
    from common.pipeline_settings import told
    from uc1_churn_prediction.training_pipeline import NAME

    key = tools.context.key
    tools.minio.delete(error_key(NAME, key))
    champion = tools.mlflow.champion(tools.settings.uc1.model_name)
    arguments = {
        "snapshot_uri": features.raw.uri, "features_uri": features.uri, "key": key,
        "champion_uri": champion.uri if champion else "", "algorithms": list(tools.settings.uc1.algorithms),
        "settings": told(tools.settings),
    }  # fmt: skip
    ended = tools.kubeflow.run(NAME, package, arguments, key=key, deadline_seconds=DEADLINE_SECONDS - 60)
    if not ended.succeeded:
        raise left_error(tools.minio, NAME, key) or StepFailed(
            f"The pipeline {NAME} ended as {ended.state}: {ended.error or 'no component said why'}",
            f"Its log is logs/{NAME}.log in the state directory, or in Kubeflow's page of run {ended.id}.",
        )
    tools.context.effect("pipeline_run", ended.id, pipeline=NAME)


def refuse_unless_one_passed(versions: "list[Version]") -> None:
    """Raise GateRefused with every reason where no version passed its gate, StepFailed where there is none."""
    from uc1_churn_prediction.training_pipeline import NAME

    if not versions:
        raise StepFailed(
            f"The pipeline {NAME} ended well but registered no model.",
            f"Look at logs/{NAME}.log in the state directory, or at the run's page in Kubeflow; and at MLflow's runs.",
        )
    refused = [version for version in versions if version.gate != "passed"]
    if len(refused) == len(versions):
        reasons = "; ".join(f"version {v.version} ({v.algorithm}) {v.gate or 'has no verdict'}" for v in refused)
        raise GateRefused(f"No model passed the gate: {reasons}.", "Look at uc1.gate, and at what changed in the data.")


def trained_models(
    tools: Tools, features: CustomerFeatures, pipeline_uri: str, versions: "list[Version]", champion: "Version | None"
) -> TrainedModels:
    """The result: what this key registered, and who is champion now."""
    name = tools.settings.uc1.model_name
    current = {version.version: version for version in tools.mlflow.versions(name)}
    return TrainedModels(
        model_name=name,
        features_digest=features.digest,
        versions=tuple(model_version(tools, current[version.version]) for version in versions),
        champion=champion.version if champion else "",
        pipeline_uri=pipeline_uri,
        pipeline_run=f"churn-training-{tools.context.key[:16]}",
        snapshot=features.raw.uri,
    )


def model_version(tools: Tools, version: "Version") -> ModelVersion:
    """A registered version as a result."""
    from uc1_churn_prediction.training.component import pictures_key

    pictures = tools.minio.uri(pictures_key(tools.context.key, version.algorithm))
    return ModelVersion(
        version=version.version, algorithm=version.algorithm, state=version.state, digest=version.digest,
        uri=version.uri, run_id=version.run_id, metrics=version.metrics, gate=version.gate, pictures=pictures,
    )  # fmt: skip


def observe(tools: Tools) -> dict[str, Any]:
    """What is missing of what was registered: versions, served files, a champion. Says nothing of who is champion."""
    versions = tools.mlflow.versions(tools.settings.uc1.model_name)
    alive = [version for version in versions if version.state in ("champion", "proposed")]
    keys = {version.key for version in versions}
    due = {f"{v.key.split(':')[0]}:{each}" for v in versions for each in v.tags["mlops.algorithms"].split(",")}
    return {
        "versions": bool(versions),
        "missing": sorted(due - keys),
        "lost": sorted(lost_files(tools, alive)),
        "champion": any(version.state == "champion" for version in versions),
    }


if __name__ == "__main__":
    main(__file__)
