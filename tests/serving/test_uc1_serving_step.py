"""UC1's last step serves the champion, proves it by its golden predictions, and sees what others change."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from common.errors import StepFailed
from common.registry import Version
from common.serving_client import ModelNotServed
from common.settings import Settings
from common.tools import Context, Tools
from tests.serving.artefacts import TrainedArtefact
from tests.serving.conftest import Stored
from tests.serving.kube import KubeApi
from uc1_churn_prediction import uc1_06_model_serving_kserve as serving
from uc1_churn_prediction.results import ServedModel, TrainedModels

NAME = "churn-predictor"


@dataclass
class OneChampion:
    """A registry that knows one champion, or none."""

    version: Version | None

    def champion(self, name: str) -> Version | None:
        assert name == NAME
        return self.version


@dataclass
class World:
    tools: Tools
    stored: Stored

    def crown(self, model: TrainedArtefact, version: str, uri: str = "") -> None:
        tags = {"state": "champion", "digest": model.digest, "uri": uri or self.stored.publish(model)}
        vars(self.tools)["mlflow"] = OneChampion(Version(NAME, version, "run", tags))

    def serve(self) -> ServedModel:
        trained = TrainedModels(
            model_name=NAME, features_digest="f", versions=(), champion="1", pipeline_uri="", pipeline_run=""
        )
        result = serving.run(self.tools, trained)
        assert isinstance(result, ServedModel)
        return result

    def look(self) -> dict[str, Any]:
        return serving.observe(self.tools)

    def edit(self, **spec: Any) -> None:
        self.tools.kubernetes.merge_patch("InferenceService", NAME, "models", {"spec": spec})


@pytest.fixture(scope="module")
def world(settings: Settings, kube_api: KubeApi, stored: Stored) -> World:
    kserve = settings.kserve.model_copy(update={"ready_seconds": 30})
    ours = settings.model_copy(update={"kubernetes": kube_api.section, "kserve": kserve})
    return World(Tools(ours, Context(key="step-key")), stored)


@pytest.fixture
def served(world: World, trees: TrainedArtefact) -> ServedModel:
    world.crown(trees, "1")
    return world.serve()


def test_the_champion_is_served_and_its_golden_predictions_agree(served: ServedModel, trees: TrainedArtefact) -> None:
    assert (served.version, served.digest, served.golden_rows) == ("1", trees.digest, 20)
    assert served.max_difference <= 1e-5
    assert json.loads(served.example) in trees.rows


def test_once_served_the_world_is_as_declared_and_serving_again_changes_nothing(
    world: World, served: ServedModel
) -> None:
    before = world.tools.kubernetes.get("InferenceService", NAME, "models")
    assert world.look() == {"as_declared": True}
    again = world.serve()
    after = world.tools.kubernetes.get("InferenceService", NAME, "models")
    assert again == served
    assert before is not None
    assert after is not None
    assert before["metadata"]["resourceVersion"] == after["metadata"]["resourceVersion"]


def test_the_service_carries_the_steps_key(world: World, served: ServedModel) -> None:
    live = world.tools.kubernetes.get("InferenceService", NAME, served.namespace)
    assert live is not None
    assert live["metadata"]["annotations"]["mlops/key"] == "step-key"


def test_a_deleted_service_is_seen_and_served_again(world: World, served: ServedModel) -> None:
    world.tools.kubernetes.delete("InferenceService", NAME, "models")
    assert world.look()["differences"] == [f"InferenceService {NAME} is missing"]
    assert world.serve().digest == served.digest
    assert world.look() == {"as_declared": True}


def test_an_edit_by_hand_is_seen_and_put_right(world: World, served: ServedModel) -> None:
    world.tools.kubernetes.merge_patch(
        "InferenceService", NAME, "models", {"spec": {"predictor": {"model": {"storageUri": "s3://bucket/other"}}}}
    )
    assert world.look()["differences"] == [f"InferenceService {NAME} .spec.predictor.model.storageUri"]
    assert world.serve().uri == served.uri


def test_a_moved_alias_is_seen_and_followed_at_the_same_url(
    world: World, served: ServedModel, baseline: TrainedArtefact
) -> None:
    world.crown(baseline, "2")
    assert world.look()["champion"] == baseline.digest
    changed = world.serve()
    assert (changed.version, changed.digest, changed.url) == ("2", baseline.digest, served.url)


@contextmanager
def canary(world: World, percent: int) -> Iterator[None]:
    """A canary beside the champion, by hand; while it is there, nobody is to ask the service."""
    model = {"name": "kserve-container", "modelFormat": {"name": "onnx"}, "storageUri": "s3://bucket/candidate"}
    world.edit(canary=[{"trafficPercent": percent, "predictor": {"name": "v9", "model": model}}])
    try:
        yield
    finally:
        world.edit(canary=None)


@pytest.mark.parametrize("percent", [0, 10, 100])
def test_a_running_canary_is_left_alone_whatever_its_share_and_no_golden_row_is_asked(
    world: World, served: ServedModel, percent: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(world.tools.kserve, "predict", pytest.fail)
    with canary(world, percent):
        before = world.tools.kubernetes.get("InferenceService", NAME, "models")
        assert world.look() == {"as_declared": True}
        left = world.serve()
        after = world.tools.kubernetes.get("InferenceService", NAME, "models")
    assert before is not None
    assert after is not None
    assert (after["spec"], after["metadata"]["annotations"]) == (before["spec"], before["metadata"]["annotations"])
    assert (left.left_to_the_canary, left.golden_rows, left.url) == (True, 0, served.url)
    assert left.changed_nothing
    assert left.is_provisional, "after the canary the champion is deployed and asked"
    assert left.writes() == ()


@pytest.mark.parametrize("now", ["another champion", "no champion"])
def test_a_champion_that_moved_during_a_canary_is_left_to_it_without_stopping_anybody(
    world: World, served: ServedModel, baseline: TrainedArtefact, now: str
) -> None:
    assert served
    world.crown(baseline, "2")
    if now == "no champion":
        vars(world.tools)["mlflow"] = OneChampion(None)
    with canary(world, 100):
        assert world.look() == {"as_declared": True}
        assert world.serve().version == ("2" if now == "another champion" else "")
        live = world.tools.kubernetes.get("InferenceService", NAME, "models")
    assert live is not None
    assert live["metadata"]["annotations"]["mlops/digest"] == served.digest


@pytest.mark.parametrize(("status", "left_alone"), [("False", True), ("True", False)])
def test_an_experiment_without_a_verdict_protects_the_service(
    world: World, served: ServedModel, baseline: TrainedArtefact, status: str, left_alone: bool
) -> None:
    kube = world.tools.kubernetes
    kube.apply({
        "apiVersion": "iter8.tools/v2alpha2", "kind": "Experiment",
        "metadata": {"name": "churn-canary", "namespace": "models"},
        "spec": {"target": f"models/{NAME}", "strategy": {"testingPattern": "Canary"}},
    })  # fmt: skip
    verdict = {"status": {"conditions": [{"type": "Completed", "status": status}]}}
    kube.merge_patch("Experiment", "churn-canary", "models", verdict, status=True)
    world.crown(baseline, "2")
    try:
        assert world.tools.kserve.is_in_canary(served.namespace, NAME) is left_alone
        assert world.serve().left_to_the_canary is left_alone
    finally:
        kube.delete("Experiment", "churn-canary", "models")


def test_golden_predictions_that_disagree_fail_the_step(
    world: World, served: ServedModel, trees: TrainedArtefact
) -> None:
    key = world.tools.minio.key(f"{served.uri}/golden.json")
    golden = world.tools.minio.get_json(key)
    lying = {**golden, "probabilities": [abs(value - 1e-3) for value in golden["probabilities"]]}
    world.tools.minio.put_json(key, lying)
    try:
        with pytest.raises(StepFailed, match=r"disagrees with the trained model by 0\.001"):
            world.serve()
    finally:
        world.stored.publish(trees)


def test_a_model_that_cannot_be_loaded_fails_at_once_with_kserves_reason(
    world: World, served: ServedModel, baseline: TrainedArtefact
) -> None:
    absent = replace(baseline, digest="e" * 64)
    world.crown(absent, "3", world.stored.store.uri(f"serving-tests/models/{absent.digest}"))
    with pytest.raises(ModelNotServed, match="No model found"):
        world.serve()
    url = f"{served.url}/v2/models/{NAME}"
    import requests

    assert requests.get(url, timeout=5).json()["versions"] == [served.digest], "the champion serves on"


def test_without_a_champion_there_is_nothing_to_serve(world: World) -> None:
    vars(world.tools)["mlflow"] = OneChampion(None)
    assert world.look() == {"champion": None}
    with pytest.raises(StepFailed, match=f"No version of {NAME} is champion"):
        world.serve()


def test_golden_predictions_are_marked_in_the_prediction_log(world: World, served: ServedModel, tmp_path: Path) -> None:
    import pyarrow.parquet as pq

    from tests.serving.kube import until

    prefix = f"predictions/models/{NAME}/"

    def logged() -> list[dict[str, Any]]:
        keys = [each.key for each in world.stored.store.list(prefix)]
        files = [world.stored.store.download(key, tmp_path / key.rpartition("/")[2]) for key in keys]
        return [row for file in files for row in pq.read_table(file).to_pylist()]

    rows = until(lambda: [row for row in logged() if row["digest"] == served.digest])
    assert all(row["golden"] for row in rows)
