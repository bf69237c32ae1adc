"""A good challenger: tried, given more, made champion, and no user saw any of it."""

from typing import Any

import pytest

from tests.conftest import EmbeddedPlatform
from tests.uc2.user import User, using
from tests.uc2.world import World, ended, trained
from uc2_ab_testing import uc2_01_deploy_canary_kserve as deployment


@pytest.fixture(scope="module")
def world(platform: EmbeddedPlatform, tmp_path_factory: pytest.TempPathFactory) -> World:
    return World("good", tmp_path_factory.mktemp("uc2"), platform.state).seed()


@pytest.fixture(scope="module")
def promoted(world: World) -> tuple[dict[str, Any], User]:
    """What a run with a good candidate said, and what an independent user saw meanwhile."""
    with using(world.url(), world.body()) as user:
        done = world.run("--json")
    assert done.returncode == 0, done.stderr[-3000:]
    return ended(done), user


def test_a_good_challenger_becomes_champion_in_registry_and_cluster(world: World, promoted: Any) -> None:
    assert promoted[0]["03"]["result"]["verdict"] == "promoted"
    assert world.states_of_versions() == {"1": "retired", "2": "champion"}
    assert world.champion() == "2"
    assert world.served() == ("2", False)


def test_its_share_rose_step_by_step_and_every_objective_was_judged_on_enough_requests(promoted: Any) -> None:
    result = promoted[0]["03"]["result"]
    weights = [window["weight"] for window in result["windows"]]
    assert sorted(set(weights)) == [10, 25, 50, 100]
    assert weights == sorted(weights)
    judged = {each["name"]: each for each in result["objectives"]}
    assert set(judged) == {"error_rate", "latency_p95", "excess_disagreement"}
    assert all(each["state"] == "holds" and each["of"] >= 30 for each in judged.values())


def test_over_the_whole_change_a_user_gets_an_answer_to_every_request(promoted: Any) -> None:
    user = promoted[1]
    assert user.broken == []
    assert set(user.codes) == {200}
    assert user.codes[200] > 300
    assert set(user.digests) == {model.digest for model in trained()}


def test_the_experiment_says_completed_and_names_the_winner(world: World, promoted: Any) -> None:
    experiment = world.experiments()[-1]
    assert experiment["metadata"]["name"] == f"{world.service}-v2-1"
    status = experiment["status"]
    assert status["stage"] == "Completed"
    assert {"Completed": "True", "Failed": "False"}.items() <= {
        each["type"]: each["status"] for each in status["conditions"]
    }.items()
    assert status["versionRecommendedForPromotion"] == "v2"
    assert status["analysis"]["winnerAssessment"]["data"] == {"winnerFound": True, "winner": "v2"}
    assert float(experiment["metadata"]["annotations"]["mlops/expected-disagreement"]) > 0


def test_the_report_shows_every_window_and_their_picture(world: World, promoted: Any) -> None:
    (report,) = world.state.glob("runs/*/report.html")
    html = report.read_text()
    assert "Timeline" in html
    assert "data:image/png" in html
    for said in ("error_rate", "latency_p95", "excess_disagreement", "100 %"):
        assert said in html, said


def test_with_nobody_left_to_try_a_second_run_leaves_everything_unchanged(world: World, promoted: Any) -> None:
    before = (world.states_of_versions(), world.served(), len(world.experiments()))
    done = world.run("--json")
    assert done.returncode == 0, done.stderr[-3000:]
    assert {step: said["state"] for step, said in ended(done).items()} == dict.fromkeys(("01", "02", "03"), "unchanged")
    assert (world.states_of_versions(), world.served(), len(world.experiments())) == before


def test_the_champion_needs_no_trial_also_when_it_is_asked_for(world: World, promoted: Any) -> None:
    made = deployment.run(world.tools_with(MLOPS_UC2__VERSION="2"))
    assert made.changed_nothing
    assert made.summary().endswith("is champion already.")
