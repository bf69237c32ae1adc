"""UC2 step 3: watch the canary; give it more while it keeps to its objectives, take it out when it breaks one.

Reads    the model servers' metrics, the prediction log, conversions where a query says them; the experiment's state
Writes   the canary's share and the promoted predictor, in Kubernetes; the version's tags and aliases, in the registry;
         state and status of the Experiment; reports/<namespace>/<experiment>/timeline.png
Returns  CanaryVerdict
Raises   GateRefused (3) with that verdict, when the canary is rolled back or nothing could be decided

Killed or interrupted, it leaves the canary with its share; run again, it goes on from the last whole window. So it does
after a day, which is its deadline.
Run it alone:  python uc2_ab_testing/uc2_03_monitor_experiment.py
"""

import contextlib
from typing import TYPE_CHECKING, Any

from common.cli import main
from common.errors import GateRefused
from common.step import step
from common.tools import Tools
from uc2_ab_testing.results import CanaryVerdict, ExperimentRun

if TYPE_CHECKING:
    from churn.rollout import Rollout
    from common.traffic import Sent
    from uc2_ab_testing.monitor import Monitor
    from uc2_ab_testing.progress import Progress

HINTS = {
    "rolled back": "Version {number} is tagged rejected and the champion has all traffic; once the cause is mended, "
    "--version {number} tries it again.",
    "undecided": "The champion has all traffic and nobody was rejected. Is there enough traffic, are there metrics? "
    "More windows: iter8.max_loops; longer ones: iter8.interval_seconds.",
}


@step(
    needs=("mlflow", "minio", "kserve", "iter8", "prometheus", "traffic", "postgres"),
    settings=("uc2", "iter8", "traffic", "prometheus.stale_seconds"),
    deadline_seconds=86400,
)
def run(tools: Tools, experiment: ExperimentRun) -> CanaryVerdict:
    """Watch until there is a verdict, carry it out, and say so."""
    if experiment.changed_nothing:
        return CanaryVerdict(experiment=experiment)
    from uc2_ab_testing import progress
    from uc2_ab_testing.monitor import Monitor

    monitor = Monitor(tools, experiment)
    if monitor.progress.is_finished and monitor.progress.rollout:
        return told(tools, experiment, monitor.progress.rollout, None)
    with traffic(tools, experiment, monitor.progress) as sent:
        rollout = watched(tools, experiment, monitor)
    progress.keep(tools, experiment.name, rollout, {}, concluded=True)  # last: until then a refusal was not told
    return told(tools, experiment, rollout, sent)


def traffic(
    tools: Tools, experiment: ExperimentRun, known: "Progress"
) -> "contextlib.AbstractContextManager[Sent | None]":
    """Requests to the service for as long as the canary is watched: replayed, or none where it has users.

    The address is read anew: the result of step 1 may be of another day.
    """
    from uc2_ab_testing.replay import rows

    canary = experiment.canary
    url = (tools.kserve.live(canary.namespace, canary.service) or {}).get("status", {}).get("url", "")
    if known.has_verdict or not url:
        return contextlib.nullcontext()
    return tools.traffic.during(url, canary.service, lambda: rows(tools, canary))


def watched(tools: Tools, experiment: ExperimentRun, monitor: "Monitor") -> "Rollout":
    """Watch, show what is seen, and carry the verdict out while requests still come in; returns how it ended."""
    from uc2_ab_testing.conclusion import conclude
    from uc2_ab_testing.live_table import progress_shown

    with progress_shown(experiment) as show:
        rollout = monitor.until_verdict(show)
    return conclude(tools, experiment, rollout, monitor.rules)


def told(tools: Tools, experiment: ExperimentRun, rollout: "Rollout", sent: "Sent | None") -> CanaryVerdict:
    """The verdict as a result. Raises GateRefused, which carries it, unless the canary was promoted."""
    from uc2_ab_testing.conclusion import picture_key

    canary = experiment.canary
    verdict = CanaryVerdict(
        experiment=experiment, verdict=rollout.verdict, reason=rollout.reason, windows=rollout.windows,
        objectives=rollout.windows[-1].objectives if rollout.windows else (),
        sent=sent.requests if sent else 0, failed=sent.failed if sent else 0,
        picture=tools.minio.uri(picture_key(experiment)) if rollout.windows else "",
    )  # fmt: skip
    if rollout.verdict == "promoted":
        return verdict
    number = canary.challenger.version
    raise GateRefused(
        f"Version {number} of {canary.model_name}: {rollout.verdict}. {rollout.reason}",
        HINTS[rollout.verdict].format(number=number), result=verdict,
    )  # fmt: skip


def observe(tools: Tools) -> dict[str, Any]:
    """Whether an experiment waits for its verdict, or for it to be carried out."""
    from uc2_ab_testing.progress import unfinished

    progress = unfinished(tools)
    return {"experiment": progress.name if progress else None}


if __name__ == "__main__":
    main(__file__)
