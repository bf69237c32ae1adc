"""Second component: train each algorithm, and hold its ONNX form against scikit-learn on the whole hold-out."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from churn import model
from churn.features import MISSING_CATEGORY, FeatureColumns
from common.errors import ConfigError, StepFailed
from common.software import RECORD, software
from uc1_churn_prediction.training.component import HOLDOUT, LABEL, component, read_frame, write_json

if TYPE_CHECKING:
    import pandas as pd


def run(algorithms: Sequence[str], key: str, frame_path: str, models_path: str, said: str = "") -> None:
    """Write <algorithm>/{model.onnx, model.skops, golden.json, report.json} for each algorithm; software, models.json.

    Raises ConfigError for an unknown algorithm, StepFailed where ONNX answers other than scikit-learn does.
    """
    with component(key, said) as (settings, _):
        unknown = set(algorithms) - set(model.ALGORITHMS)
        if unknown:
            known = ", ".join(model.ALGORITHMS)
            raise ConfigError(f"uc1.algorithms names {', '.join(sorted(unknown))}.", f"There are {known}.")
        frame, columns = read_frame(Path(frame_path))
        for algorithm in algorithms:
            fitted = fit(algorithm, frame, columns, settings.uc1.seed, settings.uc1.ordered)
            save(fitted, frame, columns, settings.uc1.golden_rows, Path(models_path) / algorithm)
        write_json(Path(models_path) / RECORD, software())
        write_json(Path(models_path) / "models.json", {"algorithms": list(algorithms)})


def fit(
    algorithm: str, frame: "pd.DataFrame", columns: FeatureColumns, seed: int, ordered: model.Ordered | None = None
) -> Any:
    """Train on everything but the hold-out."""
    learned = frame[~frame[HOLDOUT]]
    features, labels = learned[list(columns.names)], learned[LABEL].to_numpy()
    return model.fit(algorithm, features, labels, columns, seed=seed, ordered=ordered)


def save(fitted: Any, frame: "pd.DataFrame", columns: FeatureColumns, golden_rows: int, place: Path) -> None:
    """Write a model in both forms, after proving that they answer alike."""
    import skops.io

    held = frame.loc[frame[HOLDOUT], list(columns.names)]
    onnx = model.to_onnx(fitted, columns)
    oracle = model.probabilities(fitted, held)
    difference = model.largest_difference(oracle, model.onnx_probabilities(model.session(onnx), held))
    if not difference <= model.TOLERANCE:
        raise StepFailed(f"The ONNX form of {place.name} is {difference:.2g} from scikit-learn on the hold-out.")
    place.mkdir(parents=True, exist_ok=True)
    (place / "model.onnx").write_bytes(onnx)
    skops.io.dump(fitted, place / "model.skops")
    write_json(place / "golden.json", golden(held, oracle, golden_rows))
    write_json(place / "report.json", {"max_onnx_difference": difference, "parameters": parameters(fitted)})


def golden(held: "pd.DataFrame", oracle: model.Probabilities, count: int) -> dict[str, Any]:
    """Hold-out rows spread over the range of answers, with scikit-learn's answers; null where nothing is known."""
    import numpy as np

    order = np.argsort(oracle, kind="stable")
    chosen = order[np.linspace(0, len(order) - 1, min(count, len(order))).astype(int)]
    rows = held.iloc[chosen].astype(object)
    rows = rows.where(rows.notna() & (rows != MISSING_CATEGORY), None)
    plain = [{str(name): _plain(value) for name, value in row.items()} for row in rows.to_dict("records")]
    return {"rows": plain, "probabilities": [float(oracle[index]) for index in chosen]}


def parameters(fitted: Any) -> dict[str, str]:
    """The estimator's parameters, for the record."""
    return {name: str(value) for name, value in sorted(fitted.named_steps["model"].get_params().items())}


def _plain(value: Any) -> Any:
    return value if value is None or isinstance(value, str) else float(value)
