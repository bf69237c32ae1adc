"""Carry out a verdict. Each effect may be repeated, and comes before the one that others act upon.

Promotion: all traffic, the predictor, the registry's tags and alias. Rollback: no traffic, no canary, the tag. Then
the Experiment says that it is over, and last that nothing is left to do.
"""

from typing import TYPE_CHECKING

from churn.rollout import Rollout
from common.errors import StepFailed
from common.serving_manifests import Canary
from uc2_ab_testing import progress
from uc2_ab_testing.reporting import report
from uc2_ab_testing.results import ExperimentRun

if TYPE_CHECKING:
    from churn.objectives import Rules
    from common.registry import Version
    from common.tools import Tools


def conclude(tools: "Tools", run: ExperimentRun, rollout: Rollout, rules: "Rules") -> None:
    """Do what the verdict says, from wherever an earlier attempt stopped."""
    if rollout.verdict == "promoted":
        promote(tools, run)
    else:
        roll_back(tools, run, rollout)
    publish_picture(tools, run, rollout, rules)
    if not tools.settings.iter8.decides:
        report(tools, run, rollout, is_finished=True)
    progress.keep(tools, run.name, rollout, {}, concluded=True)
    tools.context.effect("experiment", run.name, verdict=rollout.verdict, reason=rollout.reason)


def promote(tools: "Tools", run: ExperimentRun) -> None:
    """Make the candidate champion: in the cluster first, in the registry after that."""
    canary = run.canary
    champion, candidate = (canary.deployment(each, tools.context.key) for each in (canary.champion, canary.challenger))
    if tools.kserve.canaries.live(canary.namespace, canary.service):
        tools.kserve.canaries.shift(champion, Canary(candidate, 100, canary.injected))
    tools.kserve.canaries.promote(candidate)
    tools.context.effect("service", candidate.place, version=candidate.version, digest=candidate.digest)
    tools.mlflow.promote(
        registered(tools, run, candidate.version), registered(tools, run, champion.version),
        promoted_because=f"experiment {run.name}",
    )  # fmt: skip
    tools.context.effect("champion", canary.model_name, version=candidate.version)


def roll_back(tools: "Tools", run: ExperimentRun, rollout: Rollout) -> None:
    """Give the champion all traffic again; a version that broke an objective is marked as rejected."""
    canary = run.canary
    champion, candidate = (canary.deployment(each, tools.context.key) for each in (canary.champion, canary.challenger))
    tools.kserve.canaries.withdraw(champion, Canary(candidate, 0, canary.injected))
    tools.context.effect("service", champion.place, version=champion.version, digest=champion.digest)
    if rollout.verdict == "rolled back":
        tools.mlflow.reject(registered(tools, run, candidate.version), f"experiment {run.name}: {rollout.reason}")


def registered(tools: "Tools", run: ExperimentRun, number: str) -> "Version":
    """The version as the registry has it now."""
    version = tools.mlflow.version(run.canary.model_name, int(number))
    if version is None:
        raise StepFailed(f"Version {number} of {run.canary.model_name} was deleted while it was in a canary.")
    return version


def picture_key(run: ExperimentRun) -> str:
    """Where the timeline's picture is kept in the bucket."""
    return f"reports/{run.canary.namespace}/{run.name}/timeline.png"


def publish_picture(tools: "Tools", run: ExperimentRun, rollout: Rollout, rules: "Rules") -> None:
    """Draw the windows, for the report."""
    from churn.rollout_plot import draw_rollout

    if rollout.windows:
        tools.minio.put_bytes(picture_key(run), draw_rollout(rollout, rules))
