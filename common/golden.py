"""Golden predictions: rows with the probabilities that a model gave in training, asked again of whoever serves it."""

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from common.errors import InvalidData, StepFailed
from common.serving_manifests import Deployment
from common.stored import RESTORE, json_object

if TYPE_CHECKING:
    from common.minio_client import ObjectStore
    from common.serving_client import Serving

TOLERANCE = 1e-5
TRIES = 500


@dataclass(frozen=True)
class Golden:
    """How the endpoint answered: so many rows, the largest distance to training's probabilities, one row as JSON."""

    rows: int
    max_difference: float
    example: str


def golden_answers(minio: "ObjectStore", kserve: "Serving", wanted: Deployment) -> Golden:
    """Ask the endpoint for the golden rows. Raises StepFailed where it differs from training by more than TOLERANCE."""
    rows, trained = _golden(minio, f"{wanted.uri}/golden.json")
    pairs = zip(_answered(kserve, wanted, rows), trained, strict=True)
    difference = max(abs(one - other) for one, other in pairs)
    if difference > TOLERANCE:
        raise StepFailed(
            f"The endpoint of {wanted.place} disagrees with the trained model by {difference:.2g} on golden rows.",
            "Compare the versions of onnxruntime and scikit-learn in training and serving.",
        )
    return Golden(len(rows), difference, json.dumps(rows[len(rows) // 2]))


def _golden(minio: "ObjectStore", uri: str) -> tuple[list[dict[str, Any]], list[float]]:
    """Rows and what training made of them, one each. Raises InvalidData where the document is not so."""
    said = json_object(minio, uri, "rows", "probabilities")
    try:
        rows, probabilities = [dict(row) for row in said["rows"]], [float(each) for each in said["probabilities"]]
    except (TypeError, ValueError):
        rows, probabilities = [], []
    if not rows or len(rows) != len(probabilities) or not all(0 <= each <= 1 for each in probabilities):
        raise InvalidData(f"{uri} does not have rows and a probability for each.", RESTORE)
    return rows, probabilities


def _answered(kserve: "Serving", wanted: Deployment, rows: list[dict[str, Any]]) -> tuple[float, ...]:
    """The model's answer; one of the version before, on its way out, names another digest and is asked for again."""
    for _ in range(TRIES):
        prediction = kserve.predict(wanted.namespace, wanted.service, rows, golden=True)
        if prediction.digest in (wanted.digest, ""):
            return prediction.probabilities
    raise StepFailed(f"In {TRIES} requests to {wanted.place} the champion {wanted.digest[:12]} never answered.")
