"""A canary is put in, moved, promoted and taken out in both of KServe's forms, and never by an API that ignores it."""

import itertools
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from common import canary_client
from common.canary_client import CanaryNotHonoured
from common.errors import AccessRefused, DeadlineExceeded, StepFailed
from common.k8s_errors import NoSuchKind
from common.serving_client import ModelNotServed, Serving
from common.serving_manifests import Canary, Deployment, has_canary, inference_service, live_canary
from common.settings import Kserve as Section
from common.settings import Minio
from tests.serving.fake_kserve import STALE_LOOKS, Cluster, Killed, Kserve

Document = dict[str, Any]
A, B = "a" * 64, "b" * 64
CHAMPION = Deployment("churn", "models", "1", A, f"s3://lake/models/{A}", "key-of-uc1")
CANDIDATE = Deployment("churn", "models", "2", B, f"s3://lake/models/{B}", "key-of-uc2")
FORMS = pytest.mark.parametrize("mode", ["Standard", "Knative"])


class Silent(Serving):
    """Where no model server answers, the status is all there is to wait for."""

    def _served_digests(self, live: Document) -> set[str]:
        return set()


class World:
    def __init__(self, path: Path, mode: str, **kserve: Any) -> None:
        self.kserve = Kserve(mode, **kserve)
        self.cluster = Cluster(path, self.kserve.reconcile)
        section = Section(deployment_mode="Knative" if mode == "Knative" else "Standard", ready_seconds=1)
        self.serving = Silent(self.cluster, section, Minio())  # type: ignore[arg-type]
        self.canaries = self.serving.canaries
        self.cluster.declare(inference_service(CHAMPION, section, Minio()))
        for _ in range(STALE_LOOKS + 2):
            self.live()

    def live(self) -> Document:
        found = self.cluster.get("InferenceService", "churn", "models")
        assert found is not None
        return found

    def canary(self, percent: int) -> Canary:
        return Canary(CANDIDATE, percent)

    def share(self) -> dict[str, int]:
        self.live()
        return self.kserve.traffic[-1]

    def shares_of(self, digest: str) -> list[int]:
        """What this model got, each share once, in order."""
        return [share for share, _ in itertools.groupby(each.get(digest, 0) for each in self.kserve.traffic)]


@pytest.fixture
def world(tmp_path: Path, mode: str, monkeypatch: pytest.MonkeyPatch) -> World:
    monkeypatch.setattr(canary_client, "POLL_SECONDS", 0)
    return World(tmp_path / "kube.db", mode)


@FORMS
def test_a_canary_joins_grows_and_is_promoted_without_a_request_to_nobody(world: World) -> None:
    world.canaries.deploy(CHAMPION, world.canary(10))
    assert world.share() == {A: 90, B: 10}
    found = world.canaries.live("models", "churn")
    assert found is not None
    assert (found.version, found.digest, found.uri, found.percent) == ("2", B, CANDIDATE.uri, 10)
    for percent in (25, 50, 100):
        world.canaries.shift(CHAMPION, world.canary(percent))
        assert world.share().get(B) == percent
        assert has_canary(world.live()), "also at 100 %: nothing is promoted yet"
    world.canaries.promote(CANDIDATE)
    assert world.share() == {B: 100}
    assert live_canary(world.live()) is None
    assert world.shares_of(B) == [0, 10, 25, 50, 100]


@FORMS
@pytest.mark.parametrize("how", ["shift", "promote", "withdraw"])
def test_what_kserve_does_not_confirm_is_not_taken_as_done(world: World, how: str) -> None:
    world.canaries.deploy(CHAMPION, world.canary(10))
    world.kserve.is_stuck = True
    steps = {"shift": (CHAMPION, world.canary(50)), "promote": (CANDIDATE,), "withdraw": (CHAMPION, world.canary(10))}
    with pytest.raises(DeadlineExceeded, match=r"models/churn did not .* within 1 s"):
        getattr(world.canaries, how)(*steps[how])


@FORMS
def test_a_canary_that_is_withdrawn_gets_nothing_at_once_and_never_again(world: World) -> None:
    world.canaries.deploy(CHAMPION, world.canary(10))
    world.canaries.shift(CHAMPION, world.canary(50))
    world.canaries.withdraw(CHAMPION, world.canary(50))
    assert world.share() == {A: 100}
    assert world.shares_of(B) == [0, 10, 50, 0]
    assert world.cluster.percents[3] == 0, "no traffic first: its pods end later"
    assert world.serving.drift(CHAMPION) == ["ServingRuntime churn-onnx is missing"], "the service is as UC1 declares"


@FORMS
def test_a_canary_that_has_everything_is_withdrawn_without_waiting_for_what_cannot_be(world: World) -> None:
    world.canaries.deploy(CHAMPION, world.canary(10))
    world.canaries.shift(CHAMPION, world.canary(100))
    with capture_logs() as entries:
        world.canaries.withdraw(CHAMPION, world.canary(100))
    assert world.share() == {A: 100}
    assert [each for each in entries if each["log_level"] == "warning"] == []


@FORMS
def test_withdrawing_and_promoting_twice_change_nothing_more(world: World) -> None:
    world.canaries.deploy(CHAMPION, world.canary(10))
    for _ in range(2):
        world.canaries.withdraw(CHAMPION, world.canary(10))
    version = world.live()["metadata"]["generation"]
    world.canaries.withdraw(CHAMPION, world.canary(10))
    assert world.live()["metadata"]["generation"] == version
    assert world.share() == {A: 100}


@FORMS
@pytest.mark.parametrize("how", ["deploy", "shift", "promote", "withdraw"])
def test_killed_after_any_write_and_repeated_it_ends_the_same(
    tmp_path: Path, mode: str, how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(canary_client, "POLL_SECONDS", 0)

    def act(world: World) -> None:
        actions = {
            "deploy": lambda: world.canaries.deploy(CHAMPION, world.canary(10)),
            "shift": lambda: world.canaries.shift(CHAMPION, world.canary(50)),
            "promote": lambda: world.canaries.promote(CANDIDATE),
            "withdraw": lambda: world.canaries.withdraw(CHAMPION, world.canary(10)),
        }
        actions[how]()

    ends, killed = [], 0
    for kill in range(4):
        world = World(tmp_path / f"{kill}.db", mode)
        if how != "deploy":
            world.canaries.deploy(CHAMPION, world.canary(10))
        world.cluster.dies_at = world.cluster.writes + kill
        try:
            act(world)
        except Killed:
            killed += 1
            act(world)
        ends.append((world.share(), world.live()["spec"], max(world.shares_of(B))))
    assert all(end == ends[0] for end in ends)
    assert killed == {"withdraw": {"Standard": 2, "Knative": 3}[mode]}.get(how, 1)


@FORMS
def test_the_champions_own_pods_are_not_restarted_for_a_canary(world: World) -> None:
    before = world.live()
    world.canaries.deploy(replace(CHAMPION, key="key-of-uc2"), world.canary(10))
    after = world.live()
    assert after["metadata"]["labels"] == before["metadata"]["labels"]
    noted = after["metadata"]["annotations"]
    assert (noted["mlops/digest"], noted["mlops/key"]) == (A, "key-of-uc1")
    if after["spec"].get("canary"):
        assert noted == before["metadata"]["annotations"]
        assert after["spec"]["predictor"] == before["spec"]["predictor"]


@pytest.mark.parametrize("mode", ["Standard"])
def test_a_promoted_canary_keeps_all_that_its_pods_are_made_of(world: World) -> None:
    world.canaries.deploy(CHAMPION, world.canary(10))
    service = world.live()
    (entry,) = service["spec"]["canary"]
    labels = service["metadata"]["labels"] | entry["predictor"]["labels"]
    notes = service["metadata"]["annotations"] | entry["predictor"]["annotations"]
    world.canaries.promote(CANDIDATE)
    promoted = world.live()
    assert (promoted["metadata"]["labels"], promoted["metadata"]["annotations"]) == (labels, notes)
    assert promoted["spec"]["predictor"]["name"] == entry["predictor"]["name"]
    assert {**promoted["spec"]["predictor"]["model"], "name": "kserve-container"} == entry["predictor"]["model"]


@pytest.mark.parametrize("mode", ["Standard"])
def test_a_kserve_that_ignores_the_canary_is_found_out_and_the_canary_is_taken_out(world: World) -> None:
    world.kserve.honours_canaries = False
    with pytest.raises(CanaryNotHonoured, match=r"ignores the canary: .*v2 .*status\.canaryStatuses is absent"):
        world.canaries.deploy(CHAMPION, world.canary(10))
    assert live_canary(world.live()) is None


@pytest.mark.parametrize("mode", ["Knative"])
def test_a_canary_that_cannot_be_loaded_is_taken_out_with_kserves_reason(world: World) -> None:
    world.kserve.broken.add(B)
    with pytest.raises(ModelNotServed, match="cannot serve v2 beside models/churn: No model found"):
        world.canaries.deploy(CHAMPION, world.canary(10))
    assert live_canary(world.live()) is None
    assert world.share() == {A: 100}
    assert world.shares_of(B) == [0]


@pytest.mark.parametrize("mode", ["Standard"])
def test_a_canary_that_is_not_ready_in_time_is_taken_out(world: World) -> None:
    world.kserve.broken.add(B)  # a real KServe gives no reason in Standard mode
    with pytest.raises(DeadlineExceeded, match=r'did not give v2 its 10 % within 1 s: .*"ready": false'):
        world.canaries.deploy(CHAMPION, world.canary(10))
    assert live_canary(world.live()) is None


@FORMS
def test_nothing_is_changed_where_another_model_than_the_champion_is_served(world: World) -> None:
    other = Deployment("churn", "models", "3", "c" * 64, f"s3://lake/models/{'c' * 64}")
    with pytest.raises(StepFailed, match=r"serves aaaaaaaaaaaa, not the champion cccccccccccc"):
        world.canaries.deploy(other, world.canary(10))
    assert live_canary(world.live()) is None


@pytest.mark.parametrize("mode", ["Knative"])
def test_before_its_first_rollout_knative_would_give_all_to_the_canary_so_it_gets_none(
    tmp_path: Path, mode: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(canary_client, "POLL_SECONDS", 0)
    world = World(tmp_path / "kube.db", mode, broken={A})
    with pytest.raises(DeadlineExceeded, match="no rolled-out revision"):
        world.canaries.deploy(CHAMPION, world.canary(10))
    assert live_canary(world.live()) is None


def crd(spec: Document) -> Document:
    schema = {"openAPIV3Schema": {"properties": {"spec": spec}}}
    return {"spec": {"versions": [{"name": "v1beta1", "schema": schema}]}}


def controller(image: str, **labels: str) -> Document:
    pod = {"spec": {"containers": [{"image": image}]}}
    return {"metadata": {"labels": labels}, "spec": {"template": pod}}


NEW, OLD = crd({"properties": {"canary": {}, "predictor": {}}}), crd({"properties": {"predictor": {}}})
MINIMAL = crd({"type": "object", "x-kubernetes-preserve-unknown-fields": True})
FORBIDDEN, UNKNOWN = AccessRefused("no"), NoSuchKind("what?")
LABEL = {"app.kubernetes.io/version": "v0.19.1"}


@pytest.mark.parametrize("mode", ["Standard"])
@pytest.mark.parametrize(
    ("definition", "deployment", "refusal"),
    [
        (NEW, controller("kserve/kserve-controller:v0.15.0"), ""),
        (OLD, controller("kserve/kserve-controller:v0.20.0"), "its CRD has no spec.canary"),
        (MINIMAL, controller("registry:5000/kserve-controller:v0.20.0@sha256:ab"), ""),
        (MINIMAL, controller("kserve/kserve-controller:v1.0.0-rc1"), ""),
        (MINIMAL, controller("kserve/kserve-controller:v0.15.2"), r"KServe 0\.15\.2 ignores canaries in Standard mode"),
        (MINIMAL, controller("kserve/kserve-controller:latest", **LABEL), r"KServe 0\.19\.1"),
        (MINIMAL, controller("kserve/kserve-controller:latest"), ""),
        (FORBIDDEN, FORBIDDEN, ""),
        (UNKNOWN, UNKNOWN, ""),
    ],
)
def test_the_form_is_refused_only_where_the_cluster_says_that_it_ignores_it(
    world: World, definition: Document, deployment: Document, refusal: str
) -> None:
    world.cluster.others = {"CustomResourceDefinition": definition, "Deployment": deployment}
    if not refusal:
        assert world.canaries.form(CHAMPION) == "Standard"
        return
    with pytest.raises(CanaryNotHonoured, match=refusal) as caught:
        world.canaries.form(CHAMPION)
    assert "Knative" in caught.value.hint


@pytest.mark.parametrize("mode", ["Knative"])
def test_in_knative_mode_the_version_does_not_matter(world: World) -> None:
    world.cluster.others = {"CustomResourceDefinition": OLD}
    assert world.canaries.form(CHAMPION) == "Knative"


@pytest.mark.parametrize(
    ("said", "form"), [("Serverless", "Knative"), ("RawDeployment", "Standard"), ("ModelMesh", ""), ("", "Standard")]
)
def test_the_mode_in_force_is_the_services_own_under_old_names_too(tmp_path: Path, said: str, form: str) -> None:
    world = World(tmp_path / "kube.db", said)
    if form:
        assert world.canaries.form(CHAMPION) == form
    else:
        with pytest.raises(CanaryNotHonoured, match="in mode ModelMesh, which knows no canary"):
            world.canaries.form(CHAMPION)
