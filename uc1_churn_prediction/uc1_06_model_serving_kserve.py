"""UC1 step 6: serve the champion, and hear from it what it should say.

Reads    the registry's champion alias; the model's golden predictions, from object storage
Writes   ServingRuntime and InferenceService, in Kubernetes; it never touches a running canary
Returns  ServedModel
Raises   ModelNotServed (exit 1) with KServe's reason; StepFailed (1) when a prediction is not the trained model's own

Run it alone:  python uc1_churn_prediction/uc1_06_model_serving_kserve.py
"""

import json
from typing import TYPE_CHECKING, Any

from common.cli import main
from common.errors import StepFailed
from common.serving_manifests import Deployment, champion_digest, live_canary
from common.step import step
from common.tools import Tools
from uc1_churn_prediction.results import ServedModel, TrainedModels

if TYPE_CHECKING:
    from common.registry import Version

TOLERANCE = 1e-5
TRIES = 500


@step(
    needs=("mlflow", "minio", "kserve"),
    settings=(
        "uc1.model_name", "uc1.namespace", "kserve.runtime", "kserve.image", "kserve.service_account",
        "kserve.deployment_mode", "kserve.prediction_log_prefix",
    ),
    deadline_seconds=600,
)  # fmt: skip
def run(tools: Tools, _models: TrainedModels) -> ServedModel:
    """Deploy the champion, wait for it, and compare its golden predictions."""
    wanted = declared(tools, champion(tools))
    url = url_beside_a_canary(tools, wanted) or deployed(tools, wanted)
    golden = tools.minio.get_json(tools.minio.key(f"{wanted.uri}/golden.json"))
    difference = largest_difference(tools, wanted, golden)
    return ServedModel(
        model_name=wanted.model_name, namespace=wanted.namespace, version=wanted.version, digest=wanted.digest,
        uri=wanted.uri, url=url, runtime=tools.settings.kserve.runtime, golden_rows=len(golden["rows"]),
        max_difference=difference, example=json.dumps(golden["rows"][len(golden["rows"]) // 2]),
    )  # fmt: skip


def observe(tools: Tools) -> dict[str, Any]:
    """Whether the cluster is as the champion alias says; how it differs, when it does."""
    version = tools.mlflow.champion(tools.settings.uc1.model_name)
    if version is None:
        return {"champion": None}
    wanted = declared(tools, version)
    if tools.kserve.is_in_canary(wanted.namespace, wanted.service):
        return {"as_declared": True}
    differences = tools.kserve.drift(wanted)
    return {"champion": version.digest, "differences": differences} if differences else {"as_declared": True}


def champion(tools: Tools) -> "Version":
    """The version that the alias names."""
    name = tools.settings.uc1.model_name
    version = tools.mlflow.champion(name)
    if version is None:
        raise StepFailed(
            f"No version of {name} is champion: none has passed the gate.",
            "Look at the gate's reasons in the registry, then train again.",
        )
    return version


def declared(tools: Tools, version: "Version") -> Deployment:
    """What the cluster should serve."""
    uc1 = tools.settings.uc1
    return Deployment(uc1.model_name, uc1.namespace, version.version, version.digest, version.uri, tools.context.key)


def deployed(tools: Tools, wanted: Deployment) -> str:
    """Deploy, and return the URL once the champion answers there."""
    tools.kserve.deploy(wanted)
    tools.context.effect("service", wanted.place, version=wanted.version, digest=wanted.digest)
    return tools.kserve.wait_until_ready(wanted)


def url_beside_a_canary(tools: Tools, wanted: Deployment) -> str:
    """Where the champion is served already, beside a canary that leaves it requests; "" where that is not so.

    Then there is nothing to declare. In Knative mode the predictor itself is the canary's, so that a note tells whose
    the rest is.
    """
    live = tools.kserve.live(wanted.namespace, wanted.service)
    if live is None or champion_digest(live) != wanted.digest:
        return ""
    canary = live_canary(live)
    is_heard = canary is None or canary.percent < 100
    left_alone = is_heard and tools.kserve.is_in_canary(wanted.namespace, wanted.service)
    return str(live.get("status", {}).get("url", "")) if left_alone else ""


def largest_difference(tools: Tools, wanted: Deployment, golden: dict[str, Any]) -> float:
    """Largest distance to the probabilities that the model gave in training. Raises StepFailed beyond TOLERANCE."""
    answered = ask_the_champion(tools, wanted, golden["rows"])
    pairs = zip(answered, golden["probabilities"], strict=True)
    difference = max(abs(float(served) - float(trained)) for served, trained in pairs)
    if difference > TOLERANCE:
        raise StepFailed(
            f"The endpoint of {wanted.place} disagrees with the trained model by {difference:.2g} on golden rows.",
            "Compare the versions of onnxruntime and scikit-learn in training and serving.",
        )
    return difference


def ask_the_champion(tools: Tools, wanted: Deployment, rows: list[dict[str, Any]]) -> tuple[float, ...]:
    """The champion's answer; one that a canary gave, which names its own digest, is asked for again."""
    for _ in range(TRIES):
        prediction = tools.kserve.predict(wanted.namespace, wanted.service, rows, golden=True)
        if prediction.digest in (wanted.digest, ""):
            return prediction.probabilities
    raise StepFailed(f"In {TRIES} requests to {wanted.place} the champion {wanted.digest[:12]} never answered.")


if __name__ == "__main__":
    main(__file__)
