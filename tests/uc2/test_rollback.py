"""Bad challengers, one after the other on the same service: each is taken out, and the champion serves on."""

from pathlib import Path

import pytest

from common.errors import ExitCode
from tests.conftest import EmbeddedPlatform
from tests.uc2.user import using
from tests.uc2.world import World


@pytest.fixture(scope="module")
def world(platform: EmbeddedPlatform, tmp_path_factory: pytest.TempPathFactory) -> World:
    world = World("bad", tmp_path_factory.mktemp("uc2"), platform.state).seed()
    world.env["MLOPS_UC2__INITIAL_PERCENT"] = "50"  # the larger the share, the sooner what is bad is seen
    world.env["MLOPS_UC2__WEIGHTS"] = "[100]"
    return world


def assert_rolled_back(world: World, tried_before: int) -> None:
    """The champion has all traffic, version 2 is rejected, and one more experiment names the baseline."""
    assert world.served() == ("1", False)
    assert world.champion() == "1"
    assert world.states_of_versions() == {"1": "champion", "2": "rejected"}
    assert len(world.experiments()) == tried_before + 1
    status = world.experiments()[-1]["status"]
    assert status["stage"] == "Completed"
    assert status["versionRecommendedForPromotion"] == "v1"


@pytest.mark.deep
def test_without_metrics_nobody_is_promoted_and_the_version_may_be_tried_again(world: World, tmp_path: Path) -> None:
    code, step = world.verdict(
        MLOPS_PROMETHEUS__URL="http://127.0.0.1:9/targets", MLOPS_ITER8__MAX_LOOPS="1",
        MLOPS_ITER8__ITERATIONS_PER_LOOP="3",
    )  # fmt: skip
    assert code == ExitCode.GATE_REFUSED
    assert step["result"]["verdict"] == "undecided"
    assert [window["weight"] for window in step["result"]["windows"]] == [50, 50, 50]
    assert world.served() == ("1", False)
    assert world.states_of_versions() == {"1": "champion", "2": "proposed"}
    assert world.champion() == "1"


@pytest.mark.deep
def test_a_canary_that_decides_otherwise_is_rolled_back_though_every_answer_arrives_in_time(world: World) -> None:
    before = len(world.experiments())
    code, step = world.verdict("--inject", "wrong=20%")
    assert code == ExitCode.GATE_REFUSED
    assert "decisions differed" in step["cause"]
    assert_rolled_back(world, before)
    assert step["result"]["failed"] == 0
    assert sum(window["candidate"]["errors"] for window in step["result"]["windows"]) == 0


@pytest.mark.deep
def test_a_rejected_version_is_tried_again_only_by_its_number_and_errors_end_it(world: World) -> None:
    before, rival = len(world.experiments()), world.tools.mlflow.version(world.model_name, 2)
    if rival and rival.state != "rejected":
        world.tools.mlflow.reject(rival, "it decided otherwise")
    assert world.verdict()[1]["state"] == "unchanged"
    with using(world.url(), world.body()) as user:
        code, step = world.verdict("--version", "2", "--inject", "errors=20%")
    assert code == ExitCode.GATE_REFUSED
    assert "requests failed" in step["cause"]
    assert_rolled_back(world, before)
    assert user.broken == []
    assert set(user.codes) <= {200, 500}
    assert all("injected" in text for text in user.failures)


def test_a_slow_canary_is_rolled_back(world: World) -> None:
    before = len(world.experiments())
    code, step = world.verdict(
        "--version", "2", "--inject", "latency=300ms", MLOPS_UC2__OBJECTIVES__LATENCY_P95_MS="100"
    )
    assert code == ExitCode.GATE_REFUSED
    assert "answers took longer than 100 ms" in step["cause"]
    assert_rolled_back(world, before)
