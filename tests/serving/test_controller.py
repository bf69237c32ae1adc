"""A stored InferenceService is served, whatever is killed; a bad revision changes nothing but the status."""

import io
import signal
import threading
from typing import Any

import psutil
import pyarrow.parquet as pq
import pytest
import requests

from common.k8s_client import Kubernetes
from common.platform import answers
from common.settings import Settings
from tests.conftest import EmbeddedPlatform
from tests.serving.artefacts import TrainedArtefact
from tests.serving.conftest import Stored
from tests.serving.kube import KubeApi, declare, get, settle, transition, until

Rows = list[dict[str, Any]]


@pytest.fixture(scope="module")
def kube(kube_api: KubeApi) -> Kubernetes:
    return kube_api.client()


@pytest.fixture
def champion(kube: Kubernetes, stored: Stored, trees: TrainedArtefact) -> str:
    """URL of the service `churn`, which serves the trees; started by the first test that needs it."""
    declare(kube, stored.minio, "churn", stored.publish(trees))
    return str(settle(kube, "churn")["url"])


def ask(url: str, name: str, rows: Rows) -> list[float]:
    answer = requests.post(f"{url}/v1/models/{name}:predict", json={"instances": rows}, timeout=30)
    assert answer.status_code == 200, answer.text
    found: list[float] = answer.json()["predictions"]
    return found


def only_server(kube_api: KubeApi) -> psutil.Process:
    """The model server, when the one before it has ended."""
    until(lambda: len(kube_api.model_servers("churn")) == 1)
    return kube_api.model_servers("churn")[0]


def test_a_service_becomes_ready_and_answers_as_its_model(
    kube: Kubernetes, stored: Stored, trees: TrainedArtefact
) -> None:
    declare(kube, stored.minio, "churn", stored.publish(trees))
    seen = settle(kube, "churn")
    assert ask(seen["url"], "churn", trees.rows) == pytest.approx(trees.probabilities, abs=1e-5)
    assert {each["type"]: each["status"] for each in seen["conditions"]} == {
        "IngressReady": "True", "PredictorReady": "True", "Ready": "True", "Stopped": "False"}  # fmt: skip
    assert (seen["deploymentMode"], seen["servingRuntimeName"]) == ("Standard", "churn-onnx")


def test_a_new_revision_takes_over_at_the_same_url_and_no_request_fails(
    kube: Kubernetes, stored: Stored, champion: str, trees: TrainedArtefact, baseline: TrainedArtefact
) -> None:
    url = champion
    answers, failures, stop = set(), [], threading.Event()

    def keep_asking() -> None:
        while not stop.is_set():
            try:
                answers.add(round(ask(url, "churn", trees.rows[:1])[0], 5))
            except (AssertionError, requests.RequestException) as error:
                failures.append(repr(error))

    client = threading.Thread(target=keep_asking)
    client.start()
    declare(kube, stored.minio, "churn", stored.publish(baseline))
    changed = settle(kube, "churn")
    stop.set()
    client.join()
    assert changed["url"] == url
    assert (failures, len(answers)) == ([], 2), "both revisions were heard, and nothing else"
    assert ask(url, "churn", trees.rows[:1])[0] != pytest.approx(trees.probabilities[0], abs=1e-5)


def test_a_revision_that_fails_to_load_keeps_the_old_one_serving_and_says_why(
    kube: Kubernetes, stored: Stored, champion: str, trees: TrainedArtefact
) -> None:
    exchanged = stored.publish(trees, "0" * 64)
    reasons = {
        "not-a-digest": "is not pinned",
        "0" * 64: "not the one that it is pinned to",
        "1" * 64: "No model found",
    }
    for folder, reason in reasons.items():
        declare(kube, stored.minio, "churn", exchanged.replace("0" * 64, folder))
        model = settle(kube, "churn", "BlockedByFailedLoad")["modelStatus"]
        assert reason in model["lastFailureInfo"]["message"]
        assert model["states"] == {"activeModelState": "Loaded", "targetModelState": "FailedToLoad"}
        assert ask(champion, "churn", trees.rows) == pytest.approx(trees.probabilities, abs=1e-5)


def test_a_file_that_is_no_model_is_refused_with_the_servers_own_words(
    kube: Kubernetes, stored: Stored, trees: TrainedArtefact, tmp_path: Any
) -> None:
    import hashlib

    digest = hashlib.sha256(b"not a model").hexdigest()
    broken = TrainedArtefact(tmp_path, digest, None, [], [])
    (tmp_path / "model.onnx").write_bytes(b"not a model")
    (tmp_path / "schema.json").write_bytes((trees.directory / "schema.json").read_bytes())
    declare(kube, stored.minio, "broken", stored.publish(broken))
    seen = settle(kube, "broken", "BlockedByFailedLoad")
    info = seen["modelStatus"]["lastFailureInfo"]
    assert (info["reason"], info["exitCode"]) == ("ModelLoadFailed", 65)
    assert "onnxruntime" in info["message"]
    assert "url" not in seen, "nothing answers, so no address is given"


def test_a_killed_model_server_comes_back_and_waiting_clients_are_answered(
    kube_api: KubeApi, champion: str, trees: TrainedArtefact
) -> None:
    url = champion
    server = only_server(kube_api)
    server.kill()
    server.wait(5)
    # The address is held by the controller: this request waits for the new process instead of failing.
    assert ask(url, "churn", trees.rows) == pytest.approx(trees.probabilities, abs=1e-5)
    assert [each.pid for each in kube_api.model_servers("churn")] != [server.pid]


@pytest.mark.parametrize("number", [pytest.param(signal.SIGTERM, marks=pytest.mark.deep), signal.SIGKILL])
def test_after_a_restart_of_the_api_the_model_is_served_again_at_the_same_url(
    kube_api: KubeApi, champion: str, trees: TrainedArtefact, number: int
) -> None:
    url = champion
    server = only_server(kube_api)
    kube_api.stop(number)
    until(lambda: not server.is_running(), seconds=10)
    assert get(f"{url}/v2/health/live") == 0, "no model server outlives the API server"
    kube_api.start()
    assert ask(url, "churn", trees.rows) == pytest.approx(trees.probabilities, abs=1e-5)


def test_when_the_platform_stops_the_last_predictions_are_in_the_log_before_it_has_ended(
    kube_api: KubeApi, stored: Stored, champion: str, trees: TrainedArtefact
) -> None:
    server = only_server(kube_api)
    requests.post(
        f"{champion}/v1/models/churn:predict",
        json={"instances": trees.rows},
        headers={"x-request-id": "last"},
        timeout=5,
    )
    kube_api.stop(signal.SIGTERM)
    ended = not server.is_running()
    keys = [each.key for each in stored.store.list("predictions/models/churn/")]
    newest = stored.store.get_bytes(max(keys))
    kube_api.start()
    assert ended
    assert "last" in set(pq.read_table(io.BytesIO(newest))["request_id"].to_pylist())


@pytest.mark.deep
def test_after_a_restart_with_a_bad_spec_the_last_good_revision_is_served(
    kube: Kubernetes, kube_api: KubeApi, stored: Stored, champion: str, trees: TrainedArtefact
) -> None:
    url = champion
    declare(kube, stored.minio, "churn", stored.publish(trees).replace(trees.digest, "1" * 64))
    settle(kube, "churn", "BlockedByFailedLoad")
    kube_api.stop(signal.SIGKILL)
    kube_api.start()
    assert ask(url, "churn", trees.rows) == pytest.approx(trees.probabilities, abs=1e-5)
    assert transition(kube, "churn") == "BlockedByFailedLoad"


def test_a_deleted_service_stops_its_server_and_keeps_the_downloaded_model(
    kube: Kubernetes, kube_api: KubeApi, champion: str, trees: TrainedArtefact
) -> None:
    url = champion
    kube.delete("InferenceService", "churn", "models")
    until(lambda: not kube_api.model_servers("churn"))
    assert get(f"{url}/v2/health/live") == 0
    assert (kube_api.state / "embedded" / "kserve" / "models" / trees.digest / "model.onnx").exists()


@pytest.mark.deep
def test_a_service_that_is_made_anew_has_its_old_url_and_nothing_else_of_it(
    kube: Kubernetes, stored: Stored, champion: str, trees: TrainedArtefact
) -> None:
    kube.delete("InferenceService", "churn", "models")
    declare(kube, stored.minio, "churn", stored.publish(trees).replace(trees.digest, "1" * 64))
    assert "url" not in settle(kube, "churn", "BlockedByFailedLoad"), "the old model is not served for a new object"
    declare(kube, stored.minio, "churn", stored.publish(trees))
    assert settle(kube, "churn")["url"] == champion


@pytest.mark.deep
def test_a_service_waits_for_its_runtime_and_says_so(kube: Kubernetes, stored: Stored, trees: TrainedArtefact) -> None:
    uri = stored.publish(trees)
    declare(kube, stored.minio, "churn", uri)
    kube.delete("InferenceService", "churn", "models")
    kube.delete("ServingRuntime", "churn-onnx", "models")
    from common.serving_manifests import Deployment, inference_service, serving_runtime
    from common.settings import Kserve

    kube.apply(inference_service(Deployment("churn", "models", "1", trees.digest, uri), Kserve(), stored.minio))
    seen = settle(kube, "churn", "InvalidSpec")
    assert seen["modelStatus"]["lastFailureInfo"]["reason"] == "RuntimeNotRecognized"
    kube.apply(serving_runtime("models", Kserve(), stored.minio))
    assert settle(kube, "churn")["servingRuntimeName"] == "churn-onnx"


@pytest.mark.deep
def test_two_services_are_served_side_by_side(
    kube: Kubernetes, stored: Stored, champion: str, trees: TrainedArtefact, baseline: TrainedArtefact
) -> None:
    declare(kube, stored.minio, "second", stored.publish(baseline))
    second = settle(kube, "second")["url"]
    assert second != champion
    assert ask(champion, "churn", trees.rows) == pytest.approx(trees.probabilities, abs=1e-5)
    assert ask(second, "second", trees.rows) != pytest.approx(trees.probabilities, abs=1e-5)


def test_a_change_of_labels_or_replicas_starts_nothing_new(kube: Kubernetes, kube_api: KubeApi, champion: str) -> None:
    assert champion
    before = [only_server(kube_api).pid]
    kube.merge_patch("InferenceService", "churn", "models", {"metadata": {"labels": {"team": "blue"}}})
    kube.merge_patch("InferenceService", "churn", "models", {"spec": {"predictor": {"minReplicas": 1}}})
    settle(kube, "churn")
    assert [each.pid for each in kube_api.model_servers("churn")] == before


def test_the_platform_publishes_where_its_model_servers_are_measured(
    platform: EmbeddedPlatform, settings: Settings
) -> None:
    assert answers(settings, "prometheus")
    assert settings.prometheus.url == platform.addresses()["prometheus"]["url"]
    assert isinstance(requests.get(settings.prometheus.url, timeout=5).json(), list)
