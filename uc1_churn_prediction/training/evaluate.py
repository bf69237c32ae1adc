"""Third component: measure each model on the hold-out, the champion too, and pass a verdict on each."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from churn import evaluation, model, plots
from churn.features import FeatureColumns
from churn.gates import ModelRules, Verdict, judge_model
from common.minio_client import ObjectStore
from common.minio_errors import NoSuchObject
from common.settings import Settings
from common.stored import open_model
from uc1_churn_prediction.training.component import (
    HOLDOUT,
    LABEL,
    THRESHOLD,
    component,
    read_frame,
    read_json,
    write_json,
)

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Champion:
    """Whom the models are held against: metrics on this hold-out, and the digest of the file that was asked.

    Both are empty where there was none to compare with; `notes` say why, where one stands.
    """

    metrics: dict[str, float] | None = None
    digest: str = ""
    notes: tuple[str, ...] = ()


def run(champion_uri: str, key: str, frame_path: str, models_path: str, evaluations_path: str, said: str = "") -> None:
    """Write <algorithm>/evaluation.json and four pictures for each model."""
    with component(key, said) as (settings, store):
        frame, columns = read_frame(Path(frame_path))
        held = frame[frame[HOLDOUT]]
        champion = measured_champion(store, champion_uri, held)
        for algorithm in read_json(Path(models_path) / "models.json")["algorithms"]:
            onnx = (Path(models_path) / algorithm / "model.onnx").read_bytes()
            judge(settings, onnx, held, columns, champion, Path(evaluations_path) / algorithm)


def judge(
    settings: Settings, onnx: bytes, held: "pd.DataFrame", columns: FeatureColumns, champion: Champion, place: Path
) -> None:
    """Evaluate one model, and write down what was found and what the gate says."""
    features, labels = held[list(columns.names)], held[LABEL].to_numpy()
    found = evaluation.evaluate(model.session(onnx), features, labels, seed=settings.uc1.seed, threshold=THRESHOLD)
    verdict = judge_model(found.metrics, ModelRules(**settings.uc1.gate.model_dump()), champion.metrics)
    verdict = Verdict(verdict.reasons, (*verdict.notes, *champion.notes))
    place.mkdir(parents=True, exist_ok=True)
    for name, png in plots.draw_all(found, place.name.replace("_", " ")).items():
        (place / name).write_bytes(png)
    said: dict[str, Any] = {
        "gate": str(verdict), "notes": list(verdict.notes),
        "champion": champion.metrics, "champion_digest": champion.digest,
    }  # fmt: skip
    write_json(place / "evaluation.json", {**asdict(found), **said})


def measured_champion(store: ObjectStore, uri: str, held: "pd.DataFrame") -> Champion:
    """The champion on this hold-out; nobody, with a note that says why, where it cannot be asked."""
    if not uri:
        return Champion()
    try:
        stored = open_model(store, uri)
    except NoSuchObject:  # then it cannot be served either, and to refuse every successor would not help
        return Champion(notes=("not compared with the champion, whose file is gone",))
    needed = [*stored.schema.numeric, *stored.schema.categorical]
    missing = [name for name in needed if name not in held.columns]
    if missing:
        return Champion(notes=(f"not compared with the champion, which needs {', '.join(missing)}",))
    answers = model.onnx_probabilities(model.session(stored.onnx), held[needed])
    metrics = evaluation.measure(held[LABEL].to_numpy(), answers, threshold=THRESHOLD)
    return Champion(metrics, stored.digest)
