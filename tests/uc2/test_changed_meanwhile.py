"""Registry, cluster and configuration change under a canary: nobody is promoted, rejected or served by mistake."""

import contextlib

import pytest

from churn.rollout import Rollout
from common.errors import GateRefused
from common.model_versions import Version
from common.serving_manifests import champion_digest
from tests.conftest import EmbeddedPlatform
from tests.uc2.by_hand import decided, gone_on, started
from tests.uc2.user import using
from tests.uc2.world import World
from uc2_ab_testing import progress
from uc2_ab_testing import uc2_01_deploy_canary_kserve as deployment
from uc2_ab_testing import uc2_03_monitor_experiment as monitoring
from uc2_ab_testing.results import CanaryVerdict

pytestmark = pytest.mark.deep


@pytest.fixture(scope="module")
def world(platform: EmbeddedPlatform, tmp_path_factory: pytest.TempPathFactory) -> World:
    return World("moved", tmp_path_factory.mktemp("uc2"), platform.state).seed()


@pytest.fixture(autouse=True)
def _nobody_else_waits(world: World) -> None:
    """Whom the test before left as proposed is no candidate of the next one."""
    tools = world.tools
    running = progress.unfinished(tools)
    for version in tools.mlflow.versions(world.model_name):
        if running is None and version.state == "proposed" and (version.number > 2 or world.champion() != "1"):
            tools.mlflow.tag(version, state="rejected")


def made_champion_by_hand(world: World, version: Version) -> None:
    """As a person would: the new one's tag, the old one's tag, the aliases."""
    registry = world.tools.mlflow
    old = registry.champion(world.model_name)
    assert old is not None
    registry.tag(version, state="champion")
    registry.tag(old, state="retired")
    registry.settle(world.model_name)


def refused(world: World) -> GateRefused:
    with pytest.raises(GateRefused) as raised:
        gone_on(world)
    return raised.value


def digest_served(world: World) -> str:
    return champion_digest(world.tools.kserve.live(world.namespace, world.service) or {})


def test_a_verdict_about_a_champion_of_yesterday_promotes_nobody(world: World) -> None:
    candidate = started(world).canary.challenger
    decided(world, "promoted")
    third = world.challenger()
    made_champion_by_hand(world, third)
    with using(world.url(), world.body(), per_second=50) as user:
        said = refused(world)
    assert f"Version {third.version} of {world.model_name} became champion" in said.message
    assert isinstance(said.result, CanaryVerdict)
    assert said.result.verdict == "undecided"
    assert user.broken == []
    assert set(user.codes) == {200}
    assert world.served() == (third.version, False)
    assert world.champion() == third.version
    assert world.states_of_versions()[candidate.version] == "proposed"
    assert progress.unfinished(world.tools) is None


def test_a_canary_that_a_person_made_champion_is_served_and_not_rejected(world: World) -> None:
    world.challenger()
    started(world)
    decided(world, "rolled back")
    by_hand = world.tools.mlflow.candidate(world.model_name)
    assert by_hand is not None
    made_champion_by_hand(world, by_hand)
    assert f"Version {by_hand.version} of {world.model_name}: undecided" in refused(world).message
    assert world.states_of_versions()[by_hand.version] == "champion"
    assert world.served() == (by_hand.version, False)


def test_a_canary_that_nobody_watches_beside_a_former_champion_is_taken_out(world: World) -> None:
    world.challenger()
    deployment.run(world.tools)  # and killed before the experiment was made
    third = world.challenger()
    made_champion_by_hand(world, third)
    assert deployment.observe(world.tools).keys() == {"left"}
    with using(world.url(), world.body(), per_second=50) as user:
        made = deployment.run(world.tools)
    assert user.broken == []
    assert set(user.codes) == {200}
    assert digest_served(world) == third.digest
    assert made.champion.version == third.version
    assert made.changed_nothing
    assert world.served() == (third.version, False)


def test_a_version_that_is_deleted_while_it_is_tried_ends_its_canary_by_name(world: World) -> None:
    gone = world.challenger()
    started(world)
    world.tools.mlflow.client.delete_model_version(world.model_name, gone.version)
    said = refused(world)
    assert f"Version {gone.version} of {world.model_name} was deleted" in said.message
    assert isinstance(said.result, CanaryVerdict)
    assert said.result.windows == ()  # nothing was watched in vain
    assert world.served() == (world.champion(), False)
    assert progress.unfinished(world.tools) is None


def test_a_champion_that_is_deleted_does_not_stand_in_the_way_of_a_promotion(world: World) -> None:
    candidate, old = world.challenger(), world.champion()
    started(world)
    decided(world, "promoted")
    world.tools.mlflow.client.delete_model_version(world.model_name, old)
    assert gone_on(world).verdict == "promoted"
    assert world.served() == (candidate.version, False)
    assert world.champion() == candidate.version


def test_a_refusal_is_told_again_by_a_run_after_one_that_died_before_it_could(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.challenger()
    started(world)
    decided(world, "rolled back")

    class Killed(BaseException):
        pass

    def die(*_args: object, **_kwargs: object) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(monitoring, "told", die)
        patch.setattr(progress, "keep", die)
        with pytest.raises(Killed):
            gone_on(world)
    assert "rolled back" in refused(world).message


def test_a_running_share_is_that_of_its_experiment_whatever_the_first_share_is_by_now(world: World) -> None:
    world.challenger()
    run = started(world)
    progress.keep(world.tools, run.name, Rollout(weight=10), {})
    made = deployment.run(world.tools_with(MLOPS_UC2__INITIAL_PERCENT="30", MLOPS_UC2__WEIGHTS="[100]"))
    assert made.percent == 10
    assert world.percent() == 10


def test_requests_are_sent_to_where_the_service_is_now_and_none_after_the_verdict(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    tools, run = world.tools, started(world)
    monkeypatch.setattr(tools.traffic, "during", lambda url, *_: asked.append(url))
    moved = run.model_copy(update={"canary": run.canary.model_copy(update={"url": "http://127.0.0.1:9"})})
    found = progress.of(tools, run.name)
    monitoring.traffic(tools, moved, found)
    assert asked == [world.url().partition("/v1/")[0]]
    decided(world, "rolled back")
    with monitoring.traffic(tools, moved, progress.of(tools, run.name)) as sent:
        assert sent is None
    assert len(asked) == 1


def test_a_candidate_that_passed_beside_a_weaker_champion_is_judged_again(world: World) -> None:
    with contextlib.suppress(GateRefused):
        gone_on(world)  # the canary of before has its verdict
    worse = world.challenger(**{"metric.roc_auc": "0.70", "gate_champion": "another"})
    made = deployment.run(world.tools)
    assert made.changed_nothing
    assert "below the champion's 0.8500" in made.summary()
    with pytest.raises(GateRefused, match=f"Version {worse.version} .* beside another champion"):
        deployment.run(world.tools_with(MLOPS_UC2__VERSION=worse.version))
    champion = world.tools.mlflow.champion(world.model_name)
    assert champion is not None
    world.tools.mlflow.tag(worse, gate_champion=champion.digest)
    assert deployment.run(world.tools).candidate is not None
