"""Two revisions share an address; whatever changes or dies, clients are answered, and the status says what is so."""

import math
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import psutil
import pytest
import requests

from common.k8s_client import Kubernetes
from common.serving_manifests import Canary, Deployment, inference_service, serving_runtime
from common.settings import Kserve
from tests.serving.artefacts import TrainedArtefact
from tests.serving.conftest import Stored
from tests.serving.crds import complaints
from tests.serving.kube import KubeApi, settle, status, until
from tests.serving.load import Load

Document = dict[str, Any]
only_standard = pytest.mark.parametrize("service", ["Standard"], indirect=True)


@dataclass
class Service:
    """An InferenceService with champion v1 and, when asked for, canary v2."""

    api: KubeApi
    kube: Kubernetes
    stored: Stored
    name: str
    mode: str
    uris: dict[str, str]
    row: dict[str, Any]

    def version(self, number: str) -> Deployment:
        return Deployment(self.name, "models", number, self.uris[number].rpartition("/")[2], self.uris[number], "key")

    def declare(self, champion: str, canary: str = "", percent: int = 0) -> None:
        joined = Canary(self.version(canary), percent) if canary else None
        kserve = Kserve(deployment_mode=self.mode)  # type: ignore[arg-type]
        wanted = inference_service(self.version(champion), kserve, self.stored.minio, joined)
        self.kube.apply(wanted, force=True)

    def split(self, champion: str, canary: str, percent: int) -> None:
        """Declare, and wait until the status says that it is so."""
        self.declare(champion, canary, percent)
        until(lambda: self.share() == percent)

    def share(self) -> int | None:
        """The canary's, by a status that speaks of the present spec and has all that was asked for."""
        found = self.kube.get("InferenceService", self.name, "models") or {}
        seen = found.get("status", {})
        if seen.get("observedGeneration") != found["metadata"]["generation"]:
            return None
        if self.mode == "Knative":
            traffic = seen["components"]["predictor"].get("traffic", [])
            prev = [each["percent"] for each in traffic if each.get("tag") == "prev"]
            return 100 - prev[0] if prev else None
        canaries = seen.get("canaryStatuses", [])
        return int(canaries[0]["trafficPercent"]) if canaries and canaries[0]["ready"] else None

    def alone(self, version: str) -> Document:
        """Declare this version alone; returns the status when it is."""
        self.declare(version)
        return settle(self.kube, self.name)

    def server(self, revision: str) -> psutil.Process:
        """The model server that says of itself that it is this revision."""

        def named() -> list[psutil.Process]:
            return [each for each in self.api.model_servers(self.name) if each.environ().get("REVISION") == revision]

        (found,) = until(named)  # /proc is read process by process, while others come and go
        return found  # type: ignore[no-any-return]

    def targets(self) -> dict[str, str]:
        """host:port of every ready model server, by its revision, as Prometheus is told."""
        listed = requests.get(f"{self.api.server}/sd/targets", timeout=5).json()
        ours = [each for each in listed if each["labels"]["service"] == self.name]
        assert {each["labels"]["namespace"] for each in ours} <= {"models"}
        return {each["labels"]["revision"]: each["targets"][0] for each in ours}

    def load(self, per_second: float = 200) -> Load:
        return Load(status(self.kube, self.name)["url"], self.name, self.row, per_second)

    def is_valid(self) -> bool:
        """Does the real CRD accept the object with the status that was written?"""
        found = self.kube.get("InferenceService", self.name, "models") or {}
        found["metadata"].pop("managedFields", None)
        assert complaints(found) == []
        return True


def ends(process: psutil.Process) -> bool:
    until(lambda: not process.is_running() or process.status() == psutil.STATUS_ZOMBIE)
    return True


def waits_for(load: Load, requests_more: int) -> None:
    enough = load.asked + requests_more
    until(lambda: load.asked >= enough, seconds=60)


@pytest.fixture(scope="module")
def uris(stored: Stored, trees: TrainedArtefact, baseline: TrainedArtefact) -> dict[str, str]:
    good, other = stored.publish(trees), stored.publish(baseline)
    return {"1": good, "2": other, "3": good.replace(trees.digest, "1" * 64)}


@pytest.fixture(scope="module")
def kube(kube_api: KubeApi, stored: Stored) -> Kubernetes:
    kube = kube_api.client()
    kube.ensure_namespace("models")
    kube.apply(serving_runtime("models", Kserve(), stored.minio), force=True)
    return kube


@pytest.fixture(scope="module", params=["Standard", pytest.param("Knative", marks=pytest.mark.deep)])
def service(
    request: pytest.FixtureRequest, kube_api: KubeApi, kube: Kubernetes, stored: Stored, uris: dict[str, str],
    trees: TrainedArtefact,
) -> Iterator[Service]:  # fmt: skip
    """Champion v1, once in each form."""
    made = Service(kube_api, kube, stored, f"in-{request.param.lower()}", request.param, uris, trees.rows[0])
    made.alone("1")
    yield made
    kube.delete("InferenceService", made.name, "models")


def test_a_canary_gets_its_share_beside_the_champion_which_is_not_restarted(service: Service) -> None:
    champion = service.server("v1").pid
    service.split("1", "2", 10)
    with service.load(1000) as load:
        waits_for(load, 2000)
    expected, deviation = 0.1 * load.asked, math.sqrt(load.asked * 0.1 * 0.9)
    assert (load.failures, set(load.heard)) == ([], {"v1", "v2"})
    assert abs(load.heard["v2"] - expected) <= 3 * deviation
    assert service.server("v1").pid == champion
    assert service.is_valid()


def test_prometheus_finds_both_model_servers_without_a_token(service: Service) -> None:
    service.split("1", "2", 10)
    targets = service.targets()
    assert set(targets) == {"v1", "v2"}
    for revision, address in targets.items():
        assert f'revision="{revision}"' in requests.get(f"http://{address}/metrics", timeout=5).text


def test_shares_and_a_promotion_fail_no_request_and_restart_no_server(service: Service) -> None:
    service.split("1", "2", 10)
    old, new = service.server("v1"), service.server("v2")
    with service.load() as load:
        waits_for(load, 100)
        service.split("1", "2", 50)
        waits_for(load, 100)
        service.declare("1", "2", 100)
        waits_for(load, 100)
        promoted = service.alone("2")
        assert ends(old)
        load.heard.clear()
        waits_for(load, 100)
    assert (load.failures, set(load.heard)) == ([], {"v2"})
    assert (service.server("v2").pid, service.is_valid()) == (new.pid, True)
    assert "canaryStatuses" not in promoted
    if service.mode == "Knative":
        assert promoted["components"]["predictor"]["previousRolledoutRevision"]
    service.alone("1")


def test_a_rollback_fails_no_request_and_ends_the_canary(service: Service) -> None:
    service.split("1", "2", 50)
    champion, canary = service.server("v1"), service.server("v2")
    with service.load() as load:
        waits_for(load, 100)
        service.split("1", "2", 0)
        waits_for(load, 50)  # what was on its way when the share changed
        load.heard.clear()
        waits_for(load, 100)
        assert set(load.heard) == {"v1"}
        if service.mode == "Knative":  # as Knative wants it: first make the champion the latest ready revision
            service.kube.merge_patch("InferenceService", service.name, "models", {"spec": {"predictor": {
                "canaryTrafficPercent": 0, "model": inference_service(
                    service.version("1"), Kserve(), service.stored.minio)["spec"]["predictor"]["model"]}}})  # fmt: skip
            settle(service.kube, service.name)
        service.alone("1")
        assert ends(canary)
    assert (load.failures, service.server("v1").pid, service.is_valid()) == ([], champion.pid, True)


@only_standard
@pytest.mark.parametrize("victim", [pytest.param("v1", marks=pytest.mark.deep), "v2"])
def test_a_killed_server_fails_no_request_and_comes_back_to_its_share(service: Service, victim: str) -> None:
    service.split("1", "2", 50)
    killed = service.server(victim)
    with service.load() as load:
        waits_for(load, 50)
        killed.kill()
        until(lambda: victim not in service.targets())
        until(lambda: len(service.targets()) == 2 and service.share() == 50)
        load.heard.clear()
        waits_for(load, 100)
    assert set(load.heard) == {"v1", "v2"}
    # Lost is at most what had begun to arrive: the kill may fall between the head of an answer and its body.
    assert [each for each in load.failures if "payload is not completed" not in each] == []


def test_after_a_kill_of_the_controller_the_same_split_is_served_again(service: Service) -> None:
    service.split("1", "2", 50)
    url, children = status(service.kube, service.name)["url"], [*service.api.doors(), *service.api.model_servers()]
    service.api.stop(signal.SIGKILL)
    assert len(children) >= 3
    assert all(ends(each) for each in children), "neither a door nor a model server outlives the controller"
    service.api.start()
    until(lambda: len(service.targets()) == 2 and service.share() == 50)  # the status alone is that of before the kill
    with service.load() as load:
        waits_for(load, 200)
    assert (load.failures, set(load.heard)) == ([], {"v1", "v2"})
    assert status(service.kube, service.name)["url"] == url


def test_a_canary_that_cannot_be_loaded_gets_nothing_and_the_status_says_why(service: Service) -> None:
    service.alone("1")
    service.declare("1", "3", 50)
    until(lambda: "No model found" in _why_not(service))
    with service.load() as load:
        waits_for(load, 50)
    assert (load.failures, set(load.heard), service.is_valid()) == ([], {"v1"}, True)
    conditions = {each["type"]: each["status"] for each in status(service.kube, service.name)["conditions"]}
    of_the_canary = "CanaryPredictorReady" if service.mode == "Standard" else "LatestDeploymentReady"
    assert (conditions["IngressReady"], conditions[of_the_canary]) == ("True", "False")
    service.alone("1")


def _why_not(service: Service) -> str:
    seen = status(service.kube, service.name)
    models = [each["modelStatus"] for each in seen.get("canaryStatuses", [])] or [seen["modelStatus"]]
    return str(models[0].get("lastFailureInfo", {}).get("message", ""))


@only_standard
def test_two_canaries_at_once_are_refused_in_the_status_and_the_champion_serves_on(service: Service) -> None:
    service.declare("1", "2", 10)
    found = service.kube.get("InferenceService", service.name, "models") or {}
    (entry,) = found["spec"]["canary"]
    more = {**entry, "predictor": {**entry["predictor"], "name": "v3"}}
    service.kube.merge_patch("InferenceService", service.name, "models", {"spec": {"canary": [entry, more]}})
    until(lambda: "only one canary" in _why_not(service))
    with service.load() as load:
        waits_for(load, 50)
    assert (load.failures, set(load.heard), service.is_valid()) == ([], {"v1"}, True)
