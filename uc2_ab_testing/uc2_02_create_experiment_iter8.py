"""UC2 step 2: write down what the canary is held to, as an Iter8 Experiment.

Reads    both models and the candidate's hold-out, from object storage; the canary, from Kubernetes
Writes   an Experiment and its Metrics (iter8.tools/v2alpha2), in Kubernetes; one that runs is gone on with
Returns  ExperimentRun, with the share of the hold-out on which the two models decide differently
Raises   GateRefused (3) while another experiment runs on the service; StepFailed (1) when there is no canary

Run it alone:  python uc2_ab_testing/uc2_02_create_experiment_iter8.py
"""

import itertools
from typing import Any

from common.cli import main
from common.errors import GateRefused, StepFailed
from common.step import step
from common.tools import Tools
from uc2_ab_testing.progress import DISAGREEMENT, ROWS, Progress, all_of, unfinished
from uc2_ab_testing.results import CanaryDeployment, ExperimentRun


@step(
    needs=("minio", "kserve", "iter8"),
    settings=("uc1.entity", "uc1.holdout_share", "uc1.seed", "uc2.objectives", "uc2.reward", "uc2.shadow_share",
              "iter8"),
    deadline_seconds=300,
)  # fmt: skip
def run(tools: Tools, canary: CanaryDeployment) -> ExperimentRun:
    """Go on with the experiment that runs, else compare the models on the hold-out and create one."""
    if canary.changed_nothing:
        return ExperimentRun(canary=canary)
    running = unfinished(tools)
    if running:
        return continued(running, canary)
    refuse_unless_deployed(tools, canary)
    disagreement, rows = expected(tools, canary)
    run = ExperimentRun(
        canary=canary, name=next_name(tools, canary), expected_disagreement=disagreement, holdout_rows=rows
    )
    tools.iter8.create(documents(tools, run))
    tools.context.effect("experiment", f"{canary.namespace}/{run.name}", candidate=canary.challenger.digest)
    return run


def continued(running: Progress, canary: CanaryDeployment) -> ExperimentRun:
    """The experiment that is there already. Raises GateRefused where it tries other versions."""
    if (running.baseline, running.candidate) != (canary.champion.version, canary.challenger.version):
        raise GateRefused(
            f"Experiment {canary.namespace}/{running.name} runs on {canary.service} already.",
            "One experiment at a time: let it end, or delete it.",
        )
    return ExperimentRun(
        canary=canary, name=running.name, expected_disagreement=float(running.notes.get(DISAGREEMENT, 0)),
        holdout_rows=int(running.notes.get(ROWS, 0)),
    )  # fmt: skip


def refuse_unless_deployed(tools: Tools, canary: CanaryDeployment) -> None:
    """Raise StepFailed where the canary is gone: an experiment about nothing would never end."""
    live = tools.kserve.canaries.live(canary.namespace, canary.service)
    if live is None or live.uri != canary.challenger.uri:
        raise StepFailed(
            f"{canary.challenger.arm} is no canary of InferenceService {canary.namespace}/{canary.service}.",
            "Deploy it first: python uc2_ab_testing/uc2_01_deploy_canary_kserve.py",
        )


def expected(tools: Tools, canary: CanaryDeployment) -> tuple[float, int]:
    """Share of the hold-out's rows on which the two models decide differently, and how many rows that are."""
    from uc2_ab_testing.scoring import differing_on_holdout, scorer

    if not tools.settings.uc2.shadow_share:
        return 0.0, 0
    candidate, champion = (scorer(tools.minio, each.uri, each.digest) for each in (canary.challenger, canary.champion))
    seen = differing_on_holdout(tools.minio, tools.settings.uc1, canary.challenger.data_uri, candidate, champion)
    if not seen.scored:
        raise StepFailed(f"The hold-out of {canary.challenger.arm} has no rows.", "Look at uc1.holdout_share.")
    return round(seen.disagreeing / seen.scored, 6), seen.scored


def next_name(tools: Tools, canary: CanaryDeployment) -> str:
    """<service>-v<N>-<attempt>: a version that was rejected may be tried again."""
    taken = {progress.name for progress in all_of(tools)}
    names = (f"{canary.service}-{canary.challenger.arm}-{attempt}" for attempt in itertools.count(1))
    return next(name for name in names if name not in taken)


def documents(tools: Tools, run: ExperimentRun) -> list[dict[str, Any]]:
    """The manifests: Metrics, then the Experiment."""
    from common.iter8_manifests import experiment, metrics
    from uc2_ab_testing.reporting import plan_of

    plan = plan_of(tools, run)
    return [*metrics(plan, tools.settings.prometheus.api_url), experiment(plan, tools.settings.iter8)]


def observe(tools: Tools) -> dict[str, Any]:
    """The experiment that is running, if any."""
    running = unfinished(tools)
    return {"experiment": running.name if running else None}


if __name__ == "__main__":
    main(__file__)
