"""UC2's steps called in this process, and verdicts that a test says: seconds are for those who watch windows."""

from typing import cast

from churn.rollout import Rollout
from tests.uc2.world import World
from uc2_ab_testing import progress
from uc2_ab_testing import uc2_01_deploy_canary_kserve as deployment
from uc2_ab_testing import uc2_02_create_experiment_iter8 as creation
from uc2_ab_testing import uc2_03_monitor_experiment as monitoring
from uc2_ab_testing.results import CanaryVerdict, ExperimentRun


def started(world: World) -> ExperimentRun:
    """Deploy the canary and create its experiment; or go on with those that are there."""
    tools = world.tools
    return cast(ExperimentRun, creation.run(tools, deployment.run(tools)))


def decided(world: World, verdict: str) -> None:
    """Let the monitor reach a verdict, and die before anything follows from it."""
    tools = world.tools
    found = progress.unfinished(tools)
    assert found is not None
    weight = 100 if verdict == "promoted" else 0
    rollout = Rollout.model_validate({"weight": weight, "verdict": verdict, "reason": "So the test says."})
    progress.keep(tools, found.name, rollout, {})


def gone_on(world: World) -> CanaryVerdict:
    """All three steps, as a plain run makes them. Raises what the last one raises."""
    return cast(CanaryVerdict, monitoring.run(world.tools, started(world)))
