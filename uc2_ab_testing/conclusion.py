"""Carry out a verdict. Each effect may be repeated, and comes before the one that others act upon.

Promotion: all traffic, the predictor, the registry's tags and alias. Rollback: no traffic, no canary, the tag. Then
the Experiment says that it is over. A verdict is about two versions; where the registry has another champion by now,
it is worth nothing, and who stands there is served.
"""

from typing import TYPE_CHECKING

from churn.rollout import Rollout
from common.errors import StepFailed
from common.serving_manifests import Canary
from uc2_ab_testing import progress
from uc2_ab_testing.reporting import report
from uc2_ab_testing.results import CanaryDeployment, ExperimentRun, ServedVersion

if TYPE_CHECKING:
    from churn.objectives import Rules
    from common.registry import Version
    from common.tools import Tools


def conclude(tools: "Tools", run: ExperimentRun, rollout: Rollout, rules: "Rules") -> Rollout:
    """Do what the verdict says, from wherever an earlier attempt stopped; returns what was done in the end."""
    rollout = unless_void(tools, run, rollout)
    if rollout.verdict == "promoted":
        promote(tools, run)
    else:
        roll_back(tools, run, rollout)
    publish_picture(tools, run, rollout, rules)
    if not tools.settings.iter8.decides:
        report(tools, run, rollout, is_finished=True)
    tools.context.effect("experiment", run.name, verdict=rollout.verdict, reason=rollout.reason)
    return rollout


def unless_void(tools: "Tools", run: ExperimentRun, rollout: Rollout) -> Rollout:
    """The rollout, or where the registry has changed, one that ends undecided; that is written down first."""
    reason = why_void(tools, run.canary, run.name)
    if not reason:
        return rollout
    ended = Rollout(weight=0, windows=rollout.windows, verdict="undecided", reason=reason)
    progress.keep(tools, run.name, ended, {})
    return ended


def why_void(tools: "Tools", canary: CanaryDeployment, experiment: str) -> str:
    """Why a verdict on these two would be worth nothing: a sentence, or "" where the registry is as it was left."""
    candidate, name = canary.challenger.version, canary.model_name
    if tools.mlflow.version(name, int(candidate)) is None:
        return f"Version {candidate} of {name} was deleted from the registry while it was in a canary."
    champion = tools.mlflow.champion(name)
    # Who was compared with needs not be there any more: nothing is asked of it but to make way.
    if champion is None or champion.version == canary.champion.version:
        return ""
    if champion.version == candidate and champion.tags.get("promoted_because") == because(experiment):
        return ""  # by us, before we were killed
    return (
        f"Version {champion.version} of {name} became champion while version {candidate} was compared with version "
        f"{canary.champion.version}."
    )


def because(experiment: str) -> str:
    """What the registry says of a champion that an experiment made."""
    return f"experiment {experiment}"


def promote(tools: "Tools", run: ExperimentRun) -> None:
    """Make the candidate champion: in the cluster first, in the registry after that."""
    canary = run.canary
    champion, candidate = (canary.deployment(each, tools.context.key) for each in (canary.champion, canary.challenger))
    if tools.kserve.canaries.live(canary.namespace, canary.service):
        tools.kserve.canaries.shift(champion, Canary(candidate, 100, canary.injected))
    tools.kserve.canaries.promote(candidate)
    tools.context.effect("service", candidate.place, version=candidate.version, digest=candidate.digest)
    old = tools.mlflow.version(canary.model_name, int(champion.version))
    tools.mlflow.promote(registered(tools, run, candidate.version), old, promoted_because=because(run.name))
    tools.context.effect("champion", canary.model_name, version=candidate.version)


def roll_back(tools: "Tools", run: ExperimentRun, rollout: Rollout) -> None:
    """Give the champion all traffic again; a version that broke an objective is marked as rejected."""
    standing = tools.mlflow.champion(run.canary.model_name)
    serve_alone(tools, run.canary, ServedVersion.of(standing) if standing else run.canary.champion)
    if rollout.verdict == "rolled back":
        candidate = registered(tools, run, run.canary.challenger.version)
        tools.mlflow.reject(candidate, f"{because(run.name)}: {rollout.reason}")


def serve_alone(tools: "Tools", canary: CanaryDeployment, champion: ServedVersion) -> None:
    """End the canary with this champion: at once back to the one beside it, then over to another if it is another."""
    wanted, beside, candidate = (
        canary.deployment(each, tools.context.key) for each in (champion, canary.champion, canary.challenger)
    )
    if champion.version != candidate.version:
        tools.kserve.canaries.withdraw(beside, Canary(candidate, 0, canary.injected))
    if champion.version != beside.version:
        tools.kserve.canaries.promote(wanted)
    tools.context.effect("service", wanted.place, version=wanted.version, digest=wanted.digest)


def registered(tools: "Tools", run: ExperimentRun, number: str) -> "Version":
    """The version as the registry has it now."""
    version = tools.mlflow.version(run.canary.model_name, int(number))
    if version is None:
        raise StepFailed(
            f"Version {number} of {run.canary.model_name} was deleted while its verdict was carried out.",
            "Run UC2 again: it ends the canary.",
        )
    return version


def picture_key(run: ExperimentRun) -> str:
    """Where the timeline's picture is kept in the bucket."""
    return f"reports/{run.canary.namespace}/{run.name}/timeline.png"


def publish_picture(tools: "Tools", run: ExperimentRun, rollout: Rollout, rules: "Rules") -> None:
    """Draw the windows, for the report."""
    from churn.rollout_plot import draw_rollout

    if rollout.windows:
        tools.minio.put_bytes(picture_key(run), draw_rollout(rollout, rules))
