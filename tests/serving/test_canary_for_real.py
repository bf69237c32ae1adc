"""Canaries on the embedded platform, with model servers that answer: in both of KServe's forms."""

from collections import Counter
from typing import Any

import pytest

from common.registry import Version
from common.serving_client import ModelNotServed
from common.serving_manifests import Canary, Deployment, champion_digest
from common.settings import Settings
from common.tools import Context, Tools
from tests.serving.artefacts import TrainedArtefact
from tests.serving.conftest import Stored
from tests.serving.kube import KubeApi
from tests.serving.test_uc1_serving_step import OneChampion
from uc1_churn_prediction import uc1_06_model_serving_kserve as serving
from uc1_churn_prediction.results import TrainedModels

pytestmark = pytest.mark.deep

TRAINED = TrainedModels(
    model_name="m", features_digest="f", versions=(), champion="1", pipeline_uri="", pipeline_run=""
)


class World:
    """One service, with a champion that is served."""

    def __init__(self, settings: Settings, mode: str, stored: Stored, models: tuple[TrainedArtefact, TrainedArtefact]):
        self.name = {"Standard": "churn-standard", "Knative": "churn-knative"}[mode]
        uc1 = settings.uc1.model_copy(update={"model_name": self.name})
        kserve = settings.kserve.model_copy(update={"ready_seconds": 30, "deployment_mode": mode})
        self.tools = Tools(settings.model_copy(update={"kserve": kserve, "uc1": uc1}), Context(key="key"))
        self.canaries = self.tools.kserve.canaries
        self.champion, self.candidate = (self._deployment(*each, stored) for each in enumerate(models, 1))

    def _deployment(self, number: int, model: TrainedArtefact, stored: Stored) -> Deployment:
        return Deployment(self.name, "models", str(number), model.digest, stored.publish(model), "key")

    def step(self, monkeypatch: pytest.MonkeyPatch) -> Any:
        """UC1's last step."""
        wanted = self.champion
        monkeypatch.setattr("tests.serving.test_uc1_serving_step.NAME", self.name)
        tags = {"state": "champion", "digest": wanted.digest, "uri": wanted.uri}
        vars(self.tools)["mlflow"] = OneChampion(Version(self.name, wanted.version, "run", tags))
        return serving.run(self.tools, TRAINED)

    def answers(self, row: dict[str, Any], count: int = 60) -> Counter[str]:
        """Who answers, by the digest that the answer names."""
        asked = (self.tools.kserve.predict("models", self.name, [row]).digest for _ in range(count))
        return Counter(asked)


@pytest.fixture(scope="module", params=["Standard", "Knative"])
def world(
    request: pytest.FixtureRequest, settings: Settings, kube_api: KubeApi, stored: Stored,
    trees: TrainedArtefact, baseline: TrainedArtefact,
) -> World:  # fmt: skip
    made = World(settings.model_copy(update={"kubernetes": kube_api.section}), request.param, stored, (trees, baseline))
    made.tools.kserve.deploy(made.champion)
    made.tools.kserve.wait_until_ready(made.champion)
    return made


def test_a_canary_answers_beside_the_champion_and_when_it_is_promoted_alone(
    world: World, rows: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    champion, candidate = world.champion, world.candidate
    assert world.canaries.form(champion) == world.tools.settings.kserve.deployment_mode
    world.canaries.deploy(champion, Canary(candidate, 30))
    assert set(world.answers(rows[0])) == {champion.digest, candidate.digest}
    before = world.tools.kserve.live("models", world.name)
    assert world.step(monkeypatch).digest == champion.digest
    assert world.tools.kserve.live("models", world.name) == before, "UC1 leaves a canary alone"
    world.canaries.shift(champion, Canary(candidate, 100))
    assert set(world.answers(rows[0])) == {candidate.digest}
    world.canaries.promote(candidate)
    assert set(world.answers(rows[0])) == {candidate.digest}
    assert world.canaries.live("models", world.name) is None


def test_a_canary_that_cannot_be_loaded_is_taken_out_while_what_was_there_answers(
    world: World, stored: Stored, rows: list[dict[str, Any]]
) -> None:
    live = world.tools.kserve.live("models", world.name) or {}
    served = next(each for each in (world.champion, world.candidate) if each.digest == champion_digest(live))
    absent = Deployment(world.name, "models", "3", "e" * 64, stored.store.uri(f"serving-tests/models/{'e' * 64}"))
    with pytest.raises(ModelNotServed, match=r"cannot serve v3 beside models/.*No model found"):
        world.canaries.deploy(served, Canary(absent, 50))
    assert world.canaries.live("models", world.name) is None
    assert set(world.answers(rows[0])) == {served.digest}


def test_a_canary_is_withdrawn_from_any_share(world: World, rows: list[dict[str, Any]]) -> None:
    live = world.tools.kserve.live("models", world.name) or {}
    first, second = world.champion, world.candidate
    served, other = (first, second) if champion_digest(live) == first.digest else (second, first)
    world.canaries.deploy(served, Canary(other, 50))
    world.canaries.withdraw(served, Canary(other, 50))
    assert set(world.answers(rows[0])) == {served.digest}
