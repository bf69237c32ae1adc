"""The Kubeflow pipeline `churn-training`: training_frame -> train -> evaluate -> register.

Importing this module imports kfp: whoever needs it does so inside a function. A component's body is copied as
text into the compiled pipeline, so it only imports its work from the installed project. `settings` is what
common.pipeline_settings tells of those of whoever starts it; addresses and secrets come from MLOPS_* variables: locally
the parent's, on a cluster those of ConfigMap and Secret `mlops-settings`. No gate is a dsl.If: the local runner runs
neither branch, and says nothing.
"""

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from kfp import compiler, dsl, kubernetes
from kfp.dsl import Artifact, Dataset, Input, Model, Output

from uc1_churn_prediction.training import component

NAME = component.NAME
SETTINGS = "mlops-settings"  # ConfigMap and Secret of the namespace that runs start in; both may be absent
PLAIN = ("MLOPS_ENVIRONMENT", "MLOPS_CONFIG_FILE", "MLOPS_POSTGRES__HOST", "MLOPS_POSTGRES__PORT",
         "MLOPS_POSTGRES__USER", "MLOPS_POSTGRES__SSLMODE", "MLOPS_MINIO__ENDPOINT", "MLOPS_MINIO__BUCKET",
         "MLOPS_MLFLOW__TRACKING_URI")  # fmt: skip
SECRET = ("MLOPS_POSTGRES__PASSWORD", "MLOPS_MINIO__ACCESS_KEY", "MLOPS_MINIO__SECRET_KEY",
          "MLOPS_MLFLOW__USERNAME", "MLOPS_MLFLOW__PASSWORD")  # fmt: skip


def training_frame(snapshot_uri: str, features_uri: str, key: str, settings: str, frame: Output[Dataset]) -> None:
    from uc1_churn_prediction.training import frame as work

    work.run(snapshot_uri, features_uri, key, frame.path, settings)


def train(
    algorithms: list,  # type: ignore[type-arg]
    key: str,
    settings: str,
    frame: Input[Dataset],
    models: Output[Model],
) -> None:
    from uc1_churn_prediction.training import train as work

    work.run(algorithms, key, frame.path, models.path, settings)


def evaluate(
    champion_uri: str,
    key: str,
    settings: str,
    frame: Input[Dataset],
    models: Input[Model],
    evaluations: Output[Artifact],
) -> None:
    from uc1_churn_prediction.training import evaluate as work

    work.run(champion_uri, key, frame.path, models.path, evaluations.path, settings)


def register(
    snapshot_uri: str,
    key: str,
    settings: str,
    frame: Input[Dataset],
    models: Input[Model],
    evaluations: Input[Artifact],
) -> None:
    from uc1_churn_prediction.training import register as work

    work.run(snapshot_uri, key, frame.path, models.path, evaluations.path, settings)


def compile_pipeline(image: str) -> bytes:
    """Return the pipeline as Kubeflow's YAML: the same bytes for the same code and image."""

    def task(function: Callable[..., Any], **inputs: Any) -> Any:
        made = dsl.component(base_image=image, install_kfp_package=False)(function)(**inputs)
        kubernetes.use_config_map_as_env(made, SETTINGS, {name: name for name in PLAIN}, optional=True)
        kubernetes.use_secret_as_env(made, SETTINGS, {name: name for name in SECRET}, optional=True)
        return made

    def churn_training(
        snapshot_uri: str,
        key: str,
        algorithms: list,  # type: ignore[type-arg]
        features_uri: str = "",
        champion_uri: str = "",
        settings: str = "",
    ) -> None:
        every = {"key": key, "settings": settings}
        framed = task(training_frame, snapshot_uri=snapshot_uri, features_uri=features_uri, **every)
        frame = framed.outputs["frame"]
        trained = task(train, algorithms=algorithms, **every, frame=frame)
        models = trained.outputs["models"]
        judged = task(evaluate, champion_uri=champion_uri, **every, frame=frame, models=models)
        judgements = judged.outputs["evaluations"]
        task(register, snapshot_uri=snapshot_uri, **every, frame=frame, models=models, evaluations=judgements)

    described = dsl.pipeline(name=NAME, description="Trains, judges and registers churn models from one snapshot.")
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / f"{NAME}.yaml"
        compiler.Compiler().compile(described(churn_training), str(path))
        return path.read_bytes()
