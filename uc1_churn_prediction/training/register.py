"""Last component: publish each model for serving, record its run, register its version, in this order.

Each effect is looked for by its digest or key before it is made, so that a killed component can be run again.
"""

import shutil
from pathlib import Path
from typing import Any

from churn.features import MISSING_CATEGORY
from common.digest import sha256_of
from common.minio_client import ObjectStore
from common.registry import Registry
from common.settings import Settings
from common.software import RECORD
from uc1_churn_prediction.training.component import THRESHOLD, component, pictures_key, read_json, write_json

INTERVAL_ENDS = ("low", "high")
REQUIREMENTS = ("scikit-learn", "skops", "pandas", "numpy")


def run(snapshot_uri: str, key: str, frame_path: str, models_path: str, evaluations_path: str, said: str = "") -> None:
    """Register what was trained and judged, a version for each algorithm, in their order."""
    with component(key, said) as (settings, store):
        registry = Registry(settings.mlflow)
        algorithms = read_json(Path(models_path) / "models.json")["algorithms"]
        frame = read_json(Path(frame_path) / "frame.json")
        for algorithm in algorithms:
            place, judged = Path(models_path) / algorithm, Path(evaluations_path) / algorithm
            uri = publish_model(settings, store, key, frame["columns"], place)
            publish_pictures(store, key, judged)
            shutil.copyfile(Path(models_path) / RECORD, judged / RECORD)  # an artifact of the run, as the plots are
            facts = {
                **frame, **read_json(judged / "evaluation.json"), **read_json(place / "report.json"),
                "algorithm": algorithm, "algorithms": algorithms, "uri": uri, "snapshot_uri": snapshot_uri,
            }  # fmt: skip
            register(settings, registry, f"{key}:{algorithm}", facts, place, judged)


def publish_model(settings: Settings, store: ObjectStore, key: str, columns: dict[str, Any], place: Path) -> str:
    """Publish model.onnx, schema.json and golden.json under the ONNX file's digest; returns the folder's URI."""
    name, digest = settings.uc1.model_name, sha256_of(place / "model.onnx")
    schema = {
        "model_name": name, "digest": digest, "algorithm": place.name, **columns, "label": settings.uc1.label,
        "positive_label": settings.uc1.positive_label, "classes": [0, 1], "threshold": THRESHOLD,
        "missing_category": MISSING_CATEGORY, "ordered": settings.uc1.ordered, "trained_at_key": key,
    }  # fmt: skip
    write_json(place / "schema.json", schema)
    for file in ("golden.json", "schema.json", "model.onnx"):  # the model last: where it is, all of it is
        store.publish(f"models/{name}/{digest}/{file}", place / file)
    return store.uri(f"models/{name}/{digest}")


def publish_pictures(store: ObjectStore, key: str, judged: Path) -> None:
    """Put an evaluation's plots where the report of a run finds them, whatever MLflow's artifact store is."""
    for picture in sorted(judged.glob("*.png")):
        store.put_bytes(f"{pictures_key(key, judged.name)}/{picture.name}", picture.read_bytes())


def register(
    settings: Settings, registry: Registry, key: str, facts: dict[str, Any], place: Path, pictures: Path
) -> None:
    """Record the run and register its version, both under `key`."""
    tags = version_tags(facts)
    run_id, source = registry.record_run(
        settings.uc1.model_name, key, name=facts["algorithm"], tags=tags, metrics=metrics(facts), files=pictures,
        parameters={**facts["parameters"], "holdout_share": settings.uc1.holdout_share, "seed": settings.uc1.seed},
        log_model=lambda: log_model(place),
    )  # fmt: skip
    registry.register(settings.uc1.model_name, key, run_id=run_id, source=source, tags=tags)


def version_tags(facts: dict[str, Any]) -> dict[str, str]:
    """What a version says of itself. The gate's verdict is bound to the file judged, and to the champion beside it."""
    passed, digest = facts["gate"] == "passed", facts["uri"].rsplit("/", 1)[-1]
    tags = {
        "state": "proposed" if passed else "rejected", "algorithm": facts["algorithm"], "digest": digest,
        "uri": facts["uri"], "gate": facts["gate"], "gate_digest": digest,
        "gate_champion": facts["champion_digest"],
        "data_uri": facts["snapshot_uri"], "data_digest": Path(facts["snapshot_uri"]).stem,
        "features_uri": facts["features_uri"], "features_digest": facts["features_digest"],
        "mlops.algorithms": ",".join(facts["algorithms"]),
    }  # fmt: skip
    notes = {"notes": "; ".join(facts["notes"])} if facts["notes"] else {}
    reason = {} if passed else {"reason": facts["gate"]}
    return {**tags, **notes, **reason, **{f"metric.{name}": f"{v:.6f}" for name, v in facts["metrics"].items()}}


def metrics(facts: dict[str, Any]) -> dict[str, float]:
    """Hold-out metrics, the ends of their intervals, the champion's, and how near ONNX is to scikit-learn."""
    ends = {
        f"{name}_{end}": value
        for name, both in facts["intervals"].items()
        for end, value in zip(INTERVAL_ENDS, both, strict=True)
    }
    champion = {f"champion_{name}": value for name, value in (facts["champion"] or {}).items()}
    extra = {"max_onnx_difference": facts["max_onnx_difference"], "rows": facts["rows"]}
    return {**facts["metrics"], **ends, **champion, **extra}


def log_model(place: Path) -> str:
    """Log the scikit-learn model inside the current run, in skops' format; returns its URI."""
    from importlib.metadata import version

    import mlflow.sklearn
    import skops.io

    from churn.model import TRUSTED_TYPES

    trusted = list(TRUSTED_TYPES)
    logged = mlflow.sklearn.log_model(
        skops.io.load(place / "model.skops", trusted=trusted), name="model",
        serialization_format="skops", skops_trusted_types=trusted, pyfunc_predict_fn="predict_proba",
        pip_requirements=[f"{name}=={version(name)}" for name in REQUIREMENTS], signature=signature(place),
    )  # fmt: skip
    return f"models:/{logged.model_id}"


def signature(place: Path) -> Any:
    """The model's inputs by name and type, and its two probabilities."""
    import numpy as np
    from mlflow.models import ModelSignature
    from mlflow.types.schema import ColSpec, Schema, TensorSpec

    schema = read_json(place / "schema.json")
    inputs = [ColSpec("float", name, required=False) for name in schema["numeric"]]
    inputs += [ColSpec("string", name, required=False) for name in schema["categorical"]]
    return ModelSignature(Schema(inputs), Schema([TensorSpec(np.dtype("float64"), (-1, 2))]))
