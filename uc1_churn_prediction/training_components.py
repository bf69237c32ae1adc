"""What the training pipeline's components do, as plain functions over files.

Each runs in a process of its own, here or in a pod, with settings from MLOPS_* variables. Folders carry data
from one to the next. An error that a person can mend is written to object storage under the step's key, where
the step that started the pipeline finds it: exit codes and types do not cross a pod's boundary.
"""

import contextlib
import json
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from churn.customers import UnfitForTraining, check_fit_for_training, holdout_mask
from churn.features import MISSING_CATEGORY, FeatureColumns, as_features, as_labels
from churn.gates import ModelRules, Verdict, judge_model
from common import errors
from common.config import load_settings
from common.errors import ConfigError, InvalidData, MlopsError, StepFailed
from common.kubeflow_local import end_with_runner
from common.minio_client import NoSuchObject, ObjectStore
from common.settings import Settings

if TYPE_CHECKING:
    import pandas as pd

    from common.registry import Registry

LABEL, HOLDOUT = "__label__", "__holdout__"
THRESHOLD = 0.5


@contextlib.contextmanager
def component(key: str) -> Iterator[tuple[Settings, ObjectStore]]:
    """Settings and object store of a component; its error, where it is one of ours, is left under `key`."""
    end_with_runner()
    settings = load_settings()
    store = ObjectStore(settings.minio)
    try:
        yield settings, store
    except UnfitForTraining as error:
        _leave(store, key, InvalidData(str(error)))
        raise
    except MlopsError as error:
        _leave(store, key, error)
        raise


def error_key(key: str) -> str:
    """Where a component leaves its error."""
    return f"pipelines/churn-training/errors/{key}.json"


def _leave(store: ObjectStore, key: str, error: MlopsError) -> None:
    with contextlib.suppress(MlopsError):  # where the object store is what failed, the log has to do
        kind = next(each.__name__ for each in type(error).__mro__ if hasattr(errors, each.__name__))
        store.put_json(error_key(key), {"kind": kind, "message": error.message, "hint": error.hint})


def left_error(store: ObjectStore, key: str) -> MlopsError | None:
    """The error that a component of this key left, as the type it was."""
    try:
        said = store.get_json(error_key(key))
    except NoSuchObject:
        return None
    error: MlopsError = getattr(errors, said["kind"])(said["message"], said["hint"])
    return error


# training_frame


def training_frame(snapshot_uri: str, features_uri: str, key: str, frame_path: str) -> None:
    """Join each labelled row of the snapshot to its customer's features as of its time, and split off the hold-out.

    Features that are not given are made of the snapshot itself. Raises InvalidData where training would be
    worthless: one class, too few rows.
    """
    with component(key) as (settings, store):
        from uc1_churn_prediction.feature_table import publish_features, read_feature_table, read_roles

        roles = read_roles(store, features_uri) if features_uri else _configured_roles(settings)
        table = (
            read_feature_table(store, settings, features_uri)
            if features_uri
            else publish_features(store, settings, snapshot_uri, roles)
        )
        asked = _asked(store, settings, snapshot_uri, roles)
        _write_frame(settings, store, asked, table, Path(frame_path))


def _configured_roles(settings: Settings) -> Any:
    from uc1_churn_prediction.feature_table import Roles

    if not settings.uc1.entity or not settings.uc1.label:
        raise ConfigError("Training needs uc1.entity and uc1.label.", "Set both in config.yaml.")
    return Roles(settings.uc1.entity, settings.uc1.label, settings.uc1.event_time)


def _asked(store: ObjectStore, settings: Settings, snapshot_uri: str, roles: Any) -> "pd.DataFrame":
    """Who is asked about, as of when, and what became of them; sorted, so that row order never matters."""
    import pandas as pd

    from common.feast_client import TIME
    from uc1_churn_prediction.feature_table import as_entity, as_times, read_snapshot

    snapshot = read_snapshot(store, snapshot_uri)
    asked = pd.DataFrame(
        {
            roles.entity: as_entity(snapshot[roles.entity]),
            TIME: as_times(snapshot, roles.event_time),
            LABEL: as_labels(snapshot[roles.label], settings.uc1.positive_label),
        }
    )
    return asked.sort_values([roles.entity, TIME, LABEL], kind="stable", ignore_index=True)


def _write_frame(settings: Settings, store: ObjectStore, asked: "pd.DataFrame", table: Any, place: Path) -> None:
    from common.feast_client import FeatureStoreClient

    columns = FeatureColumns(table.numeric, table.categorical)
    joined = FeatureStoreClient(settings).as_of(table, asked)
    frame = as_features(joined, columns)
    frame[LABEL] = joined[LABEL]
    frame[HOLDOUT] = holdout_mask(joined[table.entity], share=settings.uc1.holdout_share, seed=settings.uc1.seed)
    check_fit_for_training(frame[LABEL].to_numpy(), frame[HOLDOUT].to_numpy())
    place.mkdir(parents=True, exist_ok=True)
    frame.to_parquet(place / "frame.parquet", index=False)
    said = {"columns": asdict(columns), "features_digest": table.digest, "features_uri": table.uri, "rows": len(frame)}
    _write_json(place / "frame.json", said)


def _read_frame(frame_path: str) -> tuple["pd.DataFrame", FeatureColumns]:
    import pandas as pd

    said = _read_json(Path(frame_path) / "frame.json")
    columns = FeatureColumns(tuple(said["columns"]["numeric"]), tuple(said["columns"]["categorical"]))
    return pd.read_parquet(Path(frame_path) / "frame.parquet"), columns


# train


def train(algorithms: Sequence[str], key: str, frame_path: str, models_path: str) -> None:
    """Train each algorithm, and hold its ONNX form against scikit-learn on the whole hold-out."""
    with component(key) as (settings, _):
        frame, columns = _read_frame(frame_path)
        for algorithm in algorithms:
            _train_one(settings, algorithm, frame, columns, Path(models_path) / algorithm)
        _write_json(Path(models_path) / "models.json", {"algorithms": list(algorithms)})


def _train_one(
    settings: Settings, algorithm: str, frame: "pd.DataFrame", columns: FeatureColumns, place: Path
) -> None:
    import skops.io

    from churn import model

    learned, held = frame[~frame[HOLDOUT]], frame[frame[HOLDOUT]]
    names = list(columns.names)
    fitted = model.fit(algorithm, learned[names], learned[LABEL].to_numpy(), columns, seed=settings.uc1.seed)
    onnx = model.to_onnx(fitted, columns)
    oracle = model.probabilities(fitted, held[names])
    difference = model.largest_difference(oracle, model.onnx_probabilities(model.session(onnx), held[names]))
    if not difference <= model.TOLERANCE:
        raise StepFailed(f"The ONNX form of {algorithm} is {difference:.2g} away from scikit-learn on the hold-out.")
    place.mkdir(parents=True, exist_ok=True)
    (place / "model.onnx").write_bytes(onnx)
    skops.io.dump(fitted, place / "model.skops")
    _write_json(place / "golden.json", _golden(held[names], oracle, settings.uc1.golden_rows))
    _write_json(place / "report.json", {"max_onnx_difference": difference, "parameters": _parameters(fitted)})


def _golden(held: "pd.DataFrame", oracle: Any, count: int) -> dict[str, Any]:
    """Rows spread over the whole range of answers, with scikit-learn's answers; null where nothing is known."""
    import numpy as np

    order = np.argsort(oracle, kind="stable")
    chosen = order[np.linspace(0, len(order) - 1, min(count, len(order))).astype(int)]
    rows = held.iloc[chosen].astype(object)
    rows = rows.where(rows.notna() & (rows != MISSING_CATEGORY), None)
    return {
        "rows": [{name: _plain(value) for name, value in row.items()} for row in rows.to_dict("records")],
        "probabilities": [float(oracle[index]) for index in chosen],
    }


def _plain(value: Any) -> Any:
    return value if value is None or isinstance(value, str) else float(value)


def _parameters(fitted: Any) -> dict[str, str]:
    return {name: str(value) for name, value in sorted(fitted.named_steps["model"].get_params().items())}


# evaluate


def evaluate(champion_uri: str, key: str, frame_path: str, models_path: str, evaluations_path: str) -> None:
    """Measure each model on the hold-out, the champion too, and pass a verdict on each."""
    with component(key) as (settings, store):
        frame, columns = _read_frame(frame_path)
        held = frame[frame[HOLDOUT]]
        champion, notes = _champion_metrics(store, champion_uri, held)
        for algorithm in _read_json(Path(models_path) / "models.json")["algorithms"]:
            onnx = (Path(models_path) / algorithm / "model.onnx").read_bytes()
            place = Path(evaluations_path) / algorithm
            place.mkdir(parents=True, exist_ok=True)
            _evaluate_one(settings, algorithm, onnx, held, columns, (champion, notes), place)


def _evaluate_one(
    settings: Settings, algorithm: str, onnx: bytes, held: "pd.DataFrame", columns: FeatureColumns,
    champion: tuple[dict[str, float] | None, tuple[str, ...]], place: Path,
) -> None:  # fmt: skip
    from churn import evaluation, model, plots

    labels, names = held[LABEL].to_numpy(), list(columns.names)
    found = evaluation.evaluate(
        model.session(onnx), held[names], labels, seed=settings.uc1.seed, threshold=THRESHOLD
    )
    verdict = judge_model(found.metrics, ModelRules(**settings.uc1.gate.model_dump()), champion[0])
    verdict = Verdict(verdict.reasons, (*verdict.notes, *champion[1]))
    for name, png in plots.draw_all(found, algorithm.replace("_", " ")).items():
        (place / name).write_bytes(png)
    said = {**asdict(found), "gate": str(verdict), "notes": list(verdict.notes), "champion": champion[0]}
    _write_json(place / "evaluation.json", said)


def _champion_metrics(
    store: ObjectStore, uri: str, held: "pd.DataFrame"
) -> tuple[dict[str, float] | None, tuple[str, ...]]:
    """The champion's metrics on this hold-out; None, with a note, where it needs columns that are not there."""
    from churn import evaluation, model

    if not uri:
        return None, ()
    schema = store.get_json(store.key(f"{uri.rstrip('/')}/schema.json"))
    needed = [*schema["numeric"], *schema["categorical"]]
    missing = [name for name in needed if name not in held.columns]
    if missing:
        return None, (f"not compared with the champion, which needs {', '.join(missing)}",)
    scorer = model.session(store.get_bytes(store.key(f"{uri.rstrip('/')}/model.onnx")))
    answers = model.onnx_probabilities(scorer, held[needed])
    return evaluation.measure(held[LABEL].to_numpy(), answers, threshold=THRESHOLD), ()


# register


def register(snapshot_uri: str, key: str, frame_path: str, models_path: str, evaluations_path: str) -> None:
    """Publish each model for serving, record its run, register its version: in the order of the algorithms."""
    with component(key) as (settings, store):
        from common.registry import Registry

        registry = Registry(settings.mlflow)
        algorithms = _read_json(Path(models_path) / "models.json")["algorithms"]
        frame = {**_read_json(Path(frame_path) / "frame.json"), "snapshot_uri": snapshot_uri, "algorithms": algorithms}
        for algorithm in algorithms:
            place = Path(models_path) / algorithm
            judged = _read_json(Path(evaluations_path) / algorithm / "evaluation.json")
            uri = publish_model(settings, store, key, algorithm, place, frame)
            _register_one(settings, registry, f"{key}:{algorithm}", place, Path(evaluations_path) / algorithm,
                          {**frame, "uri": uri, "algorithm": algorithm, **judged})  # fmt: skip


def publish_model(
    settings: Settings, store: ObjectStore, key: str, algorithm: str, place: Path, frame: dict[str, Any]
) -> str:
    """Publish model.onnx, schema.json and golden.json under the ONNX file's digest; returns the folder's URI."""
    from common.digest import sha256_of

    name = settings.uc1.model_name
    digest = sha256_of(place / "model.onnx")
    schema = {
        "model_name": name, "digest": digest, "algorithm": algorithm, **frame["columns"],
        "label": settings.uc1.label, "positive_label": settings.uc1.positive_label, "classes": [0, 1],
        "threshold": THRESHOLD, "missing_category": MISSING_CATEGORY, "trained_at_key": key,
    }  # fmt: skip
    _write_json(place / "schema.json", schema)
    for file in ("golden.json", "schema.json", "model.onnx"):  # the model last: where it is, all of it is
        store.publish(f"models/{name}/{digest}/{file}", place / file)
    return store.uri(f"models/{name}/{digest}")


def _register_one(
    settings: Settings, registry: "Registry", key: str, place: Path, pictures: Path, said: dict[str, Any]
) -> None:
    digest = said["uri"].rsplit("/", 1)[-1]
    passed = said["gate"] == "passed"
    tags = {
        "state": "proposed" if passed else "rejected", "algorithm": said["algorithm"], "digest": digest,
        "uri": said["uri"], "data_uri": said["snapshot_uri"], "data_digest": Path(said["snapshot_uri"]).stem,
        "features_uri": said["features_uri"], "features_digest": said["features_digest"], "gate": said["gate"],
        "gate_digest": digest, "mlops.algorithms": ",".join(said["algorithms"]),
        **({} if passed else {"reason": said["gate"]}), **({"notes": "; ".join(said["notes"])} if said["notes"] else {}),
        **{f"metric.{name}": f"{value:.6f}" for name, value in said["metrics"].items()},
    }  # fmt: skip
    report = _read_json(place / "report.json")
    run_id, source = registry.record_run(
        settings.uc1.model_name, key, name=said["algorithm"],
        parameters={**report["parameters"], "seed": settings.uc1.seed, "holdout_share": settings.uc1.holdout_share},
        metrics=_flat_metrics(said, report), tags=tags, files=pictures, log_model=lambda: _log_model(place),
    )  # fmt: skip
    registry.register(settings.uc1.model_name, key, run_id=run_id, source=source, tags=tags)


def _flat_metrics(said: dict[str, Any], report: dict[str, Any]) -> dict[str, float]:
    low = {f"{name}_low": low for name, (low, _) in said["intervals"].items()}
    high = {f"{name}_high": high for name, (_, high) in said["intervals"].items()}
    champion = {f"champion_{name}": value for name, value in (said["champion"] or {}).items()}
    extra = {"max_onnx_difference": report["max_onnx_difference"], "rows": said["rows"]}
    return {**said["metrics"], **low, **high, **champion, **extra}


def _log_model(place: Path) -> str:
    """Log the scikit-learn model inside the current run, in skops' format; returns its URI."""
    from importlib.metadata import version

    import mlflow.sklearn
    import skops.io

    from churn.model import TRUSTED_TYPES

    trusted = list(TRUSTED_TYPES)
    model = skops.io.load(place / "model.skops", trusted=trusted)
    logged = mlflow.sklearn.log_model(
        model, name="model", serialization_format="skops", skops_trusted_types=trusted,
        pip_requirements=[f"{name}=={version(name)}" for name in ("scikit-learn", "skops", "pandas", "numpy")],
        pyfunc_predict_fn="predict_proba", signature=_signature(place),
    )  # fmt: skip
    return f"models:/{logged.model_id}"


def _signature(place: Path) -> Any:
    from mlflow.models import ModelSignature
    from mlflow.types.schema import ColSpec, Schema, TensorSpec
    import numpy as np

    schema = _read_json(place / "schema.json")
    inputs = [ColSpec("float", name, required=False) for name in schema["numeric"]]
    inputs += [ColSpec("string", name, required=False) for name in schema["categorical"]]
    return ModelSignature(Schema(inputs), Schema([TensorSpec(np.dtype("float64"), (-1, 2))]))


def _write_json(path: Path, value: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False))


def _read_json(path: Path) -> Any:
    return json.loads(path.read_text())
