"""UC2 step 1: put the candidate beside the champion, for a small share of the requests.

Reads    the registry's champion and candidate, or the version that is asked for; what is served and tried already
Writes   the canary into the champion's InferenceService, in Kubernetes; a running share is left as it is
Returns  CanaryDeployment; without a candidate where no version is waiting
Raises   GateRefused (3) for another canary, an ungated version, other columns; StepFailed (1) when nothing is served

Run it alone:  python uc2_ab_testing/uc2_01_deploy_canary_kserve.py --version 2
"""

from typing import TYPE_CHECKING, Any

from common.cli import main
from common.errors import ConfigError, StepFailed
from common.flags import Flag
from common.logger import get_logger
from common.serving_manifests import Canary, champion_digest, checked, service_name
from common.step import step
from common.tools import Tools
from uc2_ab_testing.conclusion import serve_alone, why_void
from uc2_ab_testing.results import CanaryDeployment, ServedVersion
from uc2_ab_testing.scoring import columns_of
from uc2_ab_testing.trial import Trial, chosen, refuse_unfit

if TYPE_CHECKING:
    from churn.features import FeatureColumns
    from common.registry import Version

log = get_logger(__name__)
FLAGS = (
    Flag("--version", "uc2.version", "N", "try this version, also one that was rejected before"),
    Flag("--inject", "uc2.inject", "FAULT", "make the canary bad: latency=300ms, errors=5%, wrong=20%, or several"),
)


@step(
    needs=("mlflow", "minio", "kserve", "iter8"),
    settings=(
        "uc1.model_name", "uc1.namespace", "uc1.gate", "uc2.version", "uc2.initial_percent", "uc2.inject",
        "kserve.runtime", "kserve.image", "kserve.service_account", "kserve.deployment_mode",
        "kserve.prediction_log_prefix",
    ),
    deadline_seconds=600,
)  # fmt: skip
def run(tools: Tools) -> CanaryDeployment:
    """Choose the two versions, hold the candidate against the rules, deploy it and wait until both answer."""
    refuse_injection_in_production(tools)
    trial = chosen(tools)
    if trial.left:
        taken_out(tools, trial)
    made = described(tools, trial)
    if trial.candidate is None or trial.is_over or is_void(tools, trial, made):
        return made
    refuse_unfit(trial.candidate, columns(tools, trial.candidate), columns(tools, trial.champion))
    if trial.live is None:
        refuse_unless_served(tools, made)
    return deployed(tools, made)


def refuse_injection_in_production(tools: Tools) -> None:
    """Raise ConfigError: nobody makes real users' answers bad."""
    if tools.settings.uc2.inject and tools.settings.environment == "production":
        raise ConfigError("uc2.inject makes a canary bad on purpose; production refuses it.", "Leave --inject out.")


def described(tools: Tools, trial: Trial) -> CanaryDeployment:
    """The trial as a result. What a running canary has, share and faults, it keeps. Raises BadName (65) for tags."""
    uc1, uc2 = tools.settings.uc1, tools.settings.uc2
    made = CanaryDeployment(
        model_name=uc1.model_name, namespace=uc1.namespace, champion=ServedVersion.of(trial.champion),
        candidate=ServedVersion.of(trial.candidate) if trial.candidate else None, why_none=trial.why_none,
        percent=share(tools, trial), injected=uc2.inject or (trial.live.faults if trial.live else ""),
    )  # fmt: skip
    for each in filter(None, (made.champion, made.candidate)):
        checked(made.deployment(each, ""), ("s3",), (tools.settings.minio.bucket,))
    return made


def share(tools: Tools, trial: Trial) -> int:
    """The canary's percent: what its experiment says; before the first window what it has, but not too little."""
    if trial.progress and trial.progress.rollout:
        return trial.progress.rollout.weight
    return max(tools.settings.uc2.initial_percent, trial.live.percent if trial.live else 0)


def is_void(tools: Tools, trial: Trial, made: CanaryDeployment) -> bool:
    """True where an experiment runs on, but the registry has changed: step 3 ends it, and nothing is deployed."""
    return trial.progress is not None and why_void(tools, made, trial.progress.name) != ""


def taken_out(tools: Tools, trial: Trial) -> None:
    """End a canary that nobody watches, beside whoever was champion then; the champion of today is served."""
    uc1, left = tools.settings.uc1, trial.left
    assert left is not None
    digest = champion_digest(tools.kserve.live(uc1.namespace, service_name(uc1.model_name)) or {})
    before = (each for each in tools.mlflow.versions(uc1.model_name) if each.digest == digest)
    canary = CanaryDeployment(
        model_name=uc1.model_name, namespace=uc1.namespace,
        champion=ServedVersion.of(next(before, trial.champion)),
        candidate=ServedVersion(version=left.version, digest=left.digest, uri=left.uri), injected=left.faults,
    )  # fmt: skip
    log.warning("a canary that nobody watches is taken out", version=left.version, champion=trial.champion.version)
    serve_alone(tools, canary, ServedVersion.of(trial.champion))


def columns(tools: Tools, version: "Version") -> "FeatureColumns":
    """The columns that a version takes, by their kinds."""
    return columns_of(tools.minio, version.uri)


def refuse_unless_served(tools: Tools, made: CanaryDeployment) -> None:
    """Raise StepFailed where the service does not answer for the champion: the comparison would be with another."""
    live = tools.kserve.live(made.namespace, made.service)
    if live is None or champion_digest(live) != made.champion.digest:
        found = "is not there" if live is None else f"does not serve the champion {made.champion.arm}"
        raise StepFailed(
            f"InferenceService {made.namespace}/{made.service} {found}.",
            "Serve the champion first: python uc1_churn_prediction/uc1_06_model_serving_kserve.py",
        )


def deployed(tools: Tools, made: CanaryDeployment) -> CanaryDeployment:
    """Deploy and wait; the form is the one that this cluster honours."""
    champion = made.deployment(made.champion, tools.context.key)
    candidate = made.deployment(made.challenger, tools.context.key)
    form = tools.kserve.canaries.form(champion)
    tools.kserve.canaries.deploy(champion, Canary(candidate, made.percent, made.injected))
    tools.context.effect("canary", champion.place, version=candidate.version, percent=made.percent, form=form)
    live = tools.kserve.live(made.namespace, made.service) or {}
    return made.model_copy(update={"form": form, "url": str(live.get("status", {}).get("url", ""))})


def observe(tools: Tools) -> dict[str, Any]:
    """Who should be tried against whom, and whether the canary is there. The share is not looked at: it moves."""
    trial = chosen(tools)
    if trial.left:
        return {"left": trial.left.digest}
    if trial.candidate is None:
        return {"candidate": None}
    in_place = trial.live is not None and trial.live.uri == trial.candidate.uri
    return {"champion": trial.champion.digest, "candidate": trial.candidate.digest, "in_place": in_place}


if __name__ == "__main__":
    main(__file__)
