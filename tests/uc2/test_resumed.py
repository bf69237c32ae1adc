"""Killed, and simply run again: the same end. And what must not happen while a canary runs."""

import contextlib
import os
import random
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from common.errors import GateRefused, StepFailed
from common.tools import Tools
from tests.conftest import EmbeddedPlatform
from tests.floor.conftest import wait_for
from tests.uc2.by_hand import decided, started
from tests.uc2.user import using
from tests.uc2.world import World
from uc1_churn_prediction import uc1_06_model_serving_kserve as serving
from uc1_churn_prediction.results import TrainedModels
from uc2_ab_testing import progress
from uc2_ab_testing import uc2_01_deploy_canary_kserve as deployment
from uc2_ab_testing import uc2_03_monitor_experiment as monitoring

pytestmark = pytest.mark.deep


@pytest.fixture(scope="module")
def world(platform: EmbeddedPlatform, tmp_path_factory: pytest.TempPathFactory) -> World:
    return World("resumed", tmp_path_factory.mktemp("uc2"), platform.state).seed()


def model_servers(world: World) -> list[psutil.Process]:
    """The processes that serve this world's model."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            command = process.cmdline()
            if f"--model_name={world.service}" in command and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
    return found


def test_monitor_and_model_servers_killed_mid_way_and_run_again_the_challenger_becomes_champion(world: World) -> None:
    run = world.start()
    assert wait_for(lambda: world.percent() >= 25 or run.poll() is not None, 90)
    run.kill()
    assert run.wait() == -signal.SIGKILL, (world.state / "output.txt").read_text()[-3000:]
    reached = world.percent()
    assert reached >= 25
    servers = model_servers(world)
    assert len(servers) == 2
    for server in servers:
        os.kill(server.pid, signal.SIGKILL)

    code, step = world.verdict()
    assert (code, step["result"]["verdict"]) == (0, "promoted"), step
    assert [window["number"] for window in step["result"]["windows"]] == list(
        range(1, len(step["result"]["windows"]) + 1)
    )
    assert len(world.experiments()) == 1
    assert world.served() == ("2", False)
    assert world.states_of_versions() == {"1": "retired", "2": "champion"}


class Killed(BaseException):
    """Stands for SIGKILL: no `except Exception` sees it."""


@contextlib.contextmanager
def dying_after(tools: Tools, effects: int) -> Iterator[None]:
    """Let so many effects of a conclusion happen, and die right after the last of them."""
    left = [effects]

    def counted(effect: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            done = effect(*args, **kwargs)
            left[0] -= 1
            if left[0] == 0:
                raise Killed
            return done

        return call

    with pytest.MonkeyPatch.context() as patch:
        for owner, names in (
            (tools.kserve.canaries, ("shift", "promote", "withdraw")), (tools.mlflow, ("tag", "_point")),
            (tools.minio, ("put_bytes",)), (tools.iter8, ("report", "save")),
        ):  # fmt: skip
            for name in names:
                patch.setattr(owner, name, counted(getattr(owner, name)))
        yield


def resumed(world: World, effects: int) -> bool:
    """Run all steps again, dying after so many effects of the last one; True when it got through."""
    tools, run = world.tools, started(world)
    with dying_after(tools, effects), contextlib.suppress(GateRefused):
        try:
            monitoring.run(tools, run)
        except Killed:
            return False
    return True


def test_a_promotion_killed_after_each_of_its_effects_is_finished_by_the_next_run(world: World) -> None:
    before = world.champion()
    challenger = world.challenger()
    started(world)
    assert serving.observe(world.tools) == {"as_declared": True}
    with using(world.url(), world.body(), per_second=60) as user:
        decided(world, "promoted")
        effects = 1
        while not resumed(world, effects):
            assert world.champion() in (before, challenger.version)
            effects += 1
    assert effects > 6
    assert user.broken == []
    assert set(user.codes) == {200}
    assert world.champion() == challenger.version
    assert world.served() == (challenger.version, False)
    assert world.states_of_versions()[before] == "retired"
    assert progress.unfinished(world.tools) is None


def test_a_rollback_killed_after_each_of_its_effects_is_finished_by_the_next_run(world: World) -> None:
    before = world.champion()
    version = world.states_of_versions()
    challenger = world.challenger()
    started(world)
    decided(world, "rolled back")
    effects = 1
    while not resumed(world, effects):
        effects += 1
    assert effects > 3
    assert world.champion() == before
    assert world.served() == (before, False)
    assert world.states_of_versions() == {**version, challenger.version: "rejected"}


def test_while_a_canary_runs_uc1_leaves_it_alone_and_no_other_version_is_tried(world: World) -> None:
    challenger = world.challenger()
    started(world)
    trained_models = TrainedModels(
        model_name=world.model_name, features_digest="f", versions=(), champion="", pipeline_uri="", pipeline_run=""
    )
    serving.run(world.tools, trained_models)
    assert world.percent() == 10
    other = min(set(world.states_of_versions()) - {challenger.version, world.champion()})
    with pytest.raises(GateRefused, match=f"version {other} has to wait"):
        deployment.run(world.tools_with(MLOPS_UC2__VERSION=other))
    assert world.percent() == 10
    running = progress.unfinished(world.tools)
    assert running is not None
    assert running.candidate == challenger.version


def test_the_monitor_refuses_to_decide_beside_an_iter8_controller(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = started(world)
    with monkeypatch.context() as patch:
        patch.setattr("common.k8s_client.MANAGER", "etc3")
        world.tools.iter8.report(run.name, world.namespace, {"stage": "Running"})
    with pytest.raises(StepFailed, match=r"an Iter8 controller runs here") as refused:
        monitoring.run(world.tools, run)
    assert "iter8.decides" in refused.value.hint
    assert world.percent() == 10


def test_where_iter8_decides_the_version_that_it_recommends_becomes_champion(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = started(world)
    winner = run.canary.challenger
    recommended = {
        "stage": "Completed", "conditions": [{"type": "Completed", "status": "True", "message": "Completed"}],
        "versionRecommendedForPromotion": winner.arm,
        "analysis": {"winnerAssessment": {
            "data": {"winnerFound": True, "winner": winner.arm}, "provenance": "iter8-analytics",
            "timestamp": "2026-01-01T00:00:00Z",
        }},
    }  # fmt: skip
    with monkeypatch.context() as patch:
        patch.setattr("common.k8s_client.MANAGER", "etc3")
        world.tools.iter8.report(run.name, world.namespace, recommended)
    verdict = monitoring.run(world.tools_with(MLOPS_ITER8__DECIDES="true"), run)
    assert (verdict.verdict, verdict.reason) == ("promoted", f"Iter8 recommends {winner.arm}.")
    assert world.champion() == winner.version
    assert world.served() == (winner.version, False)
    assert progress.unfinished(world.tools) is None


def test_a_deleted_experiment_is_said_and_the_canary_goes_on_in_a_new_one(world: World) -> None:
    world.challenger()
    run = started(world)
    world.tools.kubernetes.delete("Experiment", run.name, world.namespace)
    with pytest.raises(StepFailed, match="somebody deleted it"):
        monitoring.run(world.tools, run)
    assert world.percent() == 10
    again = started(world)
    assert (again.name, again.canary.challenger) == (run.name, run.canary.challenger)


def test_a_deleted_service_is_said_at_once(world: World) -> None:
    run = started(world)
    world.tools.kubernetes.delete("InferenceService", world.service, world.namespace)
    with pytest.raises(StepFailed, match="was deleted"):
        monitoring.run(world.tools, run)


@pytest.mark.deep
@pytest.mark.timeout(1200)
def test_killed_at_random_times_until_it_gets_through_the_challenger_becomes_champion(
    platform: EmbeddedPlatform, tmp_path: Path
) -> None:
    world, chance = World("random", tmp_path, platform.state).seed(), random.Random(0)
    with using(world.url(), world.body(), per_second=50) as user:
        for _ in range(6):
            run = world.start()
            time.sleep(chance.uniform(3, 15))
            run.send_signal(chance.choice((signal.SIGKILL, signal.SIGTERM)))
            run.wait(60)
        world.verdict()
    assert user.broken == []
    assert set(user.codes) == {200}
    assert world.states_of_versions() == {"1": "retired", "2": "champion"}
    assert world.champion() == "2"
    assert world.served() == ("2", False)
    assert progress.unfinished(world.tools) is None
