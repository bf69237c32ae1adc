"""UC1 step 6: serve the champion, and hear from it what it should say.

Reads    the registry's champion alias; the model's golden predictions, from object storage
Writes   ServingRuntime and InferenceService, in Kubernetes; nothing while a canary or an experiment is on the service
Returns  ServedModel; `left_to_the_canary` where there is one: neither deployed nor asked, and no reason to stop
Raises   ModelNotServed (exit 1) with KServe's reason; StepFailed (1) when a prediction is not the trained model's own

Run it alone:  python uc1_churn_prediction/uc1_06_model_serving_kserve.py
"""

import json
from typing import TYPE_CHECKING, Any

from common.cli import main
from common.errors import StepFailed
from common.serving_manifests import Deployment, service_name
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
    """Deploy the champion, wait for it, and compare its golden predictions; where a canary is, leave all that to it."""
    if is_in_canary(tools):
        return left_to_the_canary(tools)
    wanted = declared(tools, champion(tools))
    url = deployed(tools, wanted)
    golden = tools.minio.get_json(tools.minio.key(f"{wanted.uri}/golden.json"))
    difference = largest_difference(tools, wanted, golden)
    example = json.dumps(golden["rows"][len(golden["rows"]) // 2])
    return served(tools, wanted, url, golden_rows=len(golden["rows"]), max_difference=difference, example=example)


def observe(tools: Tools) -> dict[str, Any]:
    """Whether the cluster is as the champion alias says; how it differs, when it does."""
    if is_in_canary(tools):
        return {"as_declared": True}
    version = tools.mlflow.champion(tools.settings.uc1.model_name)
    if version is None:
        return {"champion": None}
    differences = tools.kserve.drift(declared(tools, version))
    return {"champion": version.digest, "differences": differences} if differences else {"as_declared": True}


def is_in_canary(tools: Tools) -> bool:
    """True from UC2's first effect on the service to its last."""
    uc1 = tools.settings.uc1
    return tools.kserve.is_in_canary(uc1.namespace, service_name(uc1.model_name))


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


def left_to_the_canary(tools: Tools) -> ServedModel:
    """Say that nothing was done, whoever is champion, or nobody.

    UC2 is the one who changes this service now, up to the last effect of a verdict, and to stop here would keep it from
    that. Golden rows prove nothing: the canary answers some of them, and may be bad on purpose.
    """
    uc1 = tools.settings.uc1
    version = tools.mlflow.champion(uc1.model_name)
    wanted = declared(tools, version) if version else Deployment(uc1.model_name, uc1.namespace, "", "", "")
    live = tools.kserve.live(wanted.namespace, wanted.service) or {}
    url = str(live.get("status", {}).get("url", ""))
    return served(tools, wanted, url, golden_rows=0, max_difference=0.0, left_to_the_canary=True)


def served(tools: Tools, wanted: Deployment, url: str, **found: Any) -> ServedModel:
    """The champion, as a result."""
    return ServedModel(
        model_name=wanted.model_name, namespace=wanted.namespace, version=wanted.version, digest=wanted.digest,
        uri=wanted.uri, url=url, runtime=tools.settings.kserve.runtime, **found,
    )  # fmt: skip


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
    """The champion's answer; one of the version before, on its way out, names another digest and is asked for again."""
    for _ in range(TRIES):
        prediction = tools.kserve.predict(wanted.namespace, wanted.service, rows, golden=True)
        if prediction.digest in (wanted.digest, ""):
            return prediction.probabilities
    raise StepFailed(f"In {TRIES} requests to {wanted.place} the champion {wanted.digest[:12]} never answered.")


if __name__ == "__main__":
    main(__file__)
