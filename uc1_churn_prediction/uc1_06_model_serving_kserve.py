"""UC1 step 6: serve the champion, and hear from it what it should say.

Reads    the registry's champion alias; the model's golden predictions, from object storage
Writes   ServingRuntime and InferenceService, in Kubernetes; nothing while a canary or an experiment is on the service
Returns  ServedModel; `left_to_the_canary` where there is one: neither deployed nor asked, and no reason to stop
Raises   ModelNotServed (exit 1) with KServe's reason; StepFailed (1) when a prediction is not the trained model's own

Run it alone:  python uc1_churn_prediction/uc1_06_model_serving_kserve.py
"""

from typing import TYPE_CHECKING, Any

from common.cli import main
from common.errors import StepFailed
from common.golden import golden_answers
from common.serving_manifests import Deployment, checked, service_name
from common.step import step
from common.tools import Tools
from uc1_churn_prediction.results import ServedModel, TrainedModels

if TYPE_CHECKING:
    from common.registry import Version


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
    golden = golden_answers(tools.minio, tools.kserve, wanted)
    return served(
        tools, wanted, url, golden_rows=golden.rows, max_difference=golden.max_difference, example=golden.example
    )


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
    """What the cluster should serve. Raises BadName (65) where the registry's tags are none of ours."""
    uc1, key = tools.settings.uc1, tools.context.key
    wanted = Deployment(uc1.model_name, uc1.namespace, version.version, version.digest, version.uri, key)
    return checked(wanted, ("s3",), (tools.settings.minio.bucket,))


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


if __name__ == "__main__":
    main(__file__)
