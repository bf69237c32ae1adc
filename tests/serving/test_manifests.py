"""What we declare and what the controller reports would be accepted by the real KServe, field by field."""

from dataclasses import replace
from typing import Any

import pytest

from common.serving_manifests import (
    Deployment,
    differences,
    has_canary,
    inference_service,
    is_undecided,
    service_name,
    serving_runtime,
)
from common.settings import Kserve, Minio
from embedded.controllers.revisions import InvalidSpec, Revision, resolve
from embedded.controllers.status import CanarySeen, Failure, Observed, status
from embedded.kube.kinds import INFERENCE_SERVICE, SERVING_RUNTIME
from embedded.kube.validation import check
from tests.serving.crds import complaints

Document = dict[str, Any]
NOW, LATER = "2026-01-02T03:04:05Z", "2026-01-02T04:04:05Z"
MINIO = Minio(endpoint="s3.example.com", bucket="lake")
WANTED = Deployment("Churn_Predictor", "models", "7", "ab" * 32, f"s3://lake/models/churn/{'ab' * 32}", "key-1")


def service(**settings: Any) -> Document:
    return inference_service(WANTED, Kserve(**settings), MINIO)


@pytest.mark.parametrize("mode", ["Standard", "Knative"])
def test_our_inference_service_is_valid_for_the_real_crd_and_for_the_embedded_schema(mode: str) -> None:
    document = service(deployment_mode=mode, service_account="models-reader")
    assert check(INFERENCE_SERVICE, document) == []
    assert INFERENCE_SERVICE.admit(document, None) == ""
    assert complaints(document) == []


def test_our_serving_runtime_is_valid_for_the_real_crd_and_for_the_embedded_schema() -> None:
    document = serving_runtime("models", Kserve(), MINIO)
    assert check(SERVING_RUNTIME, document) == []
    assert complaints(document) == []


def test_prometheus_finds_every_pod_of_the_runtime_at_the_port_and_path_that_it_answers_on() -> None:
    spec = serving_runtime("models", Kserve(), MINIO)["spec"]
    (port,) = spec["containers"][0]["ports"]
    assert spec["annotations"] == {
        "prometheus.io/scrape": "true", "prometheus.io/path": "/metrics",
        "prometheus.io/port": str(port["containerPort"]),
    }  # fmt: skip


def test_the_service_is_pinned_to_the_digest_and_says_what_it_serves() -> None:
    document = service()
    metadata, model = document["metadata"], document["spec"]["predictor"]["model"]
    assert metadata["name"] == "churn-predictor"
    assert metadata["labels"] == {"mlops/model": "churn-predictor", "mlops/version": "7"}
    assert metadata["annotations"]["mlops/digest"] == model["storageUri"].rpartition("/")[2]
    assert metadata["annotations"]["serving.kserve.io/deploymentMode"] == "Standard"
    assert (model["runtime"], model["protocolVersion"], model["modelFormat"]) == ("churn-onnx", "v1", {"name": "onnx"})


def test_manifests_hold_no_secret() -> None:
    minio = Minio(endpoint="s3", access_key="AKIA-known", secret_key="very-secret-value")
    text = str(inference_service(WANTED, Kserve(), minio)) + str(serving_runtime("models", Kserve(), minio))
    assert "very-secret-value" not in text
    assert "AKIA-known" not in text


@pytest.mark.parametrize(
    ("name", "expected"),
    [("churn", "churn"), ("Churn_Predictor", "churn-predictor"), ("7-up", "m-7-up"), ("a b/c", "a-b-c")],
)
def test_a_model_name_becomes_a_name_that_kserve_takes(name: str, expected: str) -> None:
    assert service_name(name) == expected


def test_differences_name_what_was_edited_and_ignore_what_others_added() -> None:
    declared, live = service(), service()
    live["spec"]["predictor"] |= {"minReplicas": 1}
    live["metadata"]["annotations"] |= {"mlops/key": "another-key", "kubectl": "was here"}
    assert differences(declared, live) == []
    live["spec"]["predictor"]["model"]["storageUri"] = "s3://lake/other"
    del live["metadata"]["labels"]["mlops/version"]
    assert differences(declared, live) == [".metadata.labels.mlops/version", ".spec.predictor.model.storageUri"]


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({}, False),
        ({"predictor": {"canaryTrafficPercent": 10}}, True),
        ({"predictor": {"canaryTrafficPercent": 0}}, True),
        ({"predictor": {"canaryTrafficPercent": 100}}, False),
        ({"predictor": {}, "canary": [{"trafficPercent": 0, "predictor": {}}]}, True),
    ],
)
def test_a_canary_is_seen_in_both_of_its_forms(change: Document, expected: bool) -> None:
    assert has_canary({"spec": {"predictor": {}, **change}}) is expected


def test_an_experiment_is_undecided_until_a_condition_ends_it() -> None:
    assert is_undecided({})
    assert is_undecided({"status": {"conditions": [{"type": "TargetAcquired", "status": "True"}]}})
    assert is_undecided({"status": {"conditions": [{"type": "Completed", "status": "False"}]}})
    assert not is_undecided({"status": {"conditions": [{"type": "Completed", "status": "True"}]}})


URL = "http://127.0.0.1:1"
NO_MODEL = Failure("ModelLoadFailed", "no model", 65)
ONE = Observed("Standard", 1, "churn-onnx", URL, serving="a", wanted="a", champion="a")
SEEN = {
    "starting": Observed("Standard", 1, "churn-onnx", URL, wanted="a"),
    "ready": ONE,
    "changing": replace(ONE, wanted="b"),
    "blocked": replace(ONE, wanted="b", failure=NO_MODEL),
    "failing": Observed("Standard", 1, "churn-onnx", wanted="a", failure=NO_MODEL),
    "invalid": Observed("Standard", 1, failure=Failure("NoSupportingRuntime", "no runtime found")),
    "no door": replace(ONE, door_failure="Caddy ended with code 1"),
    "canary": replace(ONE, canaries=(CanarySeen("v2", True, 10),)),
    "canary failing": replace(ONE, canaries=(CanarySeen("v2", False, 0, NO_MODEL),)),
    "canary refused": replace(
        ONE, canaries=(CanarySeen("v2", False, 0, Failure("InvalidPredictorSpec", "two canaries"), is_valid=False),)
    ),
    "knative": replace(ONE, mode="Knative", rolled_out="a", previous="z"),
    "knative canary": replace(ONE, mode="Knative", wanted="b", rolled_out="a", canaries=(CanarySeen("b", True, 10),)),
    "knative blocked": replace(ONE, mode="Knative", wanted="b", rolled_out="a", failure=NO_MODEL),
    "knative failing": Observed("Knative", 1, "churn-onnx", wanted="a", failure=NO_MODEL),
}


@pytest.mark.parametrize("what", SEEN)
def test_every_status_that_the_controller_writes_is_valid_for_the_real_crd(what: str) -> None:
    assert complaints({**service(), "status": status(SEEN[what], {}, NOW)}) == []


@pytest.mark.parametrize(
    ("what", "transition", "active", "target", "ready"),
    [
        ("starting", "InProgress", "", "Loading", "False"),
        ("ready", "UpToDate", "Loaded", "Loaded", "True"),
        ("changing", "InProgress", "Loaded", "Loading", "True"),
        ("blocked", "BlockedByFailedLoad", "Loaded", "FailedToLoad", "True"),
        ("failing", "BlockedByFailedLoad", "", "FailedToLoad", "False"),
        ("invalid", "InvalidSpec", "", "", "False"),
        ("canary failing", "UpToDate", "Loaded", "Loaded", "True"),
        ("knative canary", "UpToDate", "Loaded", "Loaded", "True"),
    ],
)
def test_the_status_says_what_serves_and_what_is_wanted(
    what: str, transition: str, active: str, target: str, ready: str
) -> None:
    written = status(SEEN[what], {}, NOW)
    model = written["modelStatus"]
    conditions = {each["type"]: each["status"] for each in written["conditions"]}
    assert (model["transitionStatus"], *model["states"].values()) == (transition, active, target)
    assert (conditions["Ready"], "url" in written) == (ready, ready == "True")


def test_the_status_names_what_each_canary_lacks_and_the_service_stays_ready() -> None:
    written = status(SEEN["canary failing"], {}, NOW)
    (canary,) = written["canaryStatuses"]
    ready = next(each for each in written["conditions"] if each["type"] == "CanaryPredictorReady")
    assert (canary["ready"], canary["trafficPercent"]) == (False, 0)
    assert canary["modelStatus"]["lastFailureInfo"]["message"] == "no model"
    assert (ready["status"], ready["reason"], ready["message"]) == ("False", "CanariesNotReady", "v2: no model")


def test_a_door_that_does_not_open_makes_the_service_not_ready_and_says_why() -> None:
    conditions = {each["type"]: each for each in status(SEEN["no door"], {}, NOW)["conditions"]}
    assert (conditions["Ready"]["status"], conditions["PredictorReady"]["status"]) == ("False", "True")
    assert conditions["Ready"]["message"] == "Caddy ended with code 1"


def test_knative_says_which_revision_has_which_share() -> None:
    predictor = status(SEEN["knative canary"], {}, NOW)["components"]["predictor"]
    assert [(each["revisionName"], each["percent"]) for each in predictor["traffic"]] == [("b", 10), ("a", 90)]
    assert (predictor["latestReadyRevision"], predictor["latestRolledoutRevision"]) == ("b", "a")


def test_in_knative_mode_a_latest_revision_that_fails_makes_the_service_not_ready() -> None:
    conditions = {each["type"]: each["status"] for each in status(SEEN["knative blocked"], {}, NOW)["conditions"]}
    assert (conditions["Ready"], conditions["PredictorRouteReady"]) == ("False", "True")


def test_a_condition_keeps_its_time_until_it_changes() -> None:
    before = status(SEEN["starting"], {}, NOW)
    after = status(SEEN["ready"], before, LATER)
    times = {each["type"]: each["lastTransitionTime"] for each in after["conditions"]}
    assert (times["Ready"], times["Stopped"]) == (LATER, NOW)


def test_what_runs_is_the_runtimes_program_with_the_names_filled_in() -> None:
    runtimes = {"churn-onnx": serving_runtime("models", Kserve(), MINIO)}
    revision = resolve(service(), runtimes)
    assert revision.arguments[0] == "--model_name=churn-predictor"
    assert dict(revision.environment)["PREDICTION_LOG_URI"] == "s3://lake/predictions/models/churn-predictor"
    assert Revision.from_json(revision.to_json()) == revision
    assert resolve(service(), runtimes).name == revision.name


def test_a_revision_changes_with_its_model_and_not_with_labels() -> None:
    runtimes = {"churn-onnx": serving_runtime("models", Kserve(), MINIO)}
    document, first = service(), resolve(service(), runtimes)
    document["metadata"]["labels"]["team"] = "blue"
    document["spec"]["predictor"]["name"] = "v8"
    assert resolve(document, runtimes) == first
    document["spec"]["predictor"]["model"]["storageUri"] += "0"
    assert resolve(document, runtimes).name != first.name


def unsuitable(reason: str) -> dict[str, Document]:
    runtime = serving_runtime("models", Kserve(), MINIO)
    if reason == "RuntimeDisabled":
        runtime["spec"]["disabled"] = True
    elif reason == "RuntimeNotRecognized":
        runtime["spec"]["containers"][0]["command"] = ["/bin/tritonserver"]
    elif reason == "RuntimeUnhealthy":
        runtime["spec"]["containers"][0]["name"] = "sidecar"
    return {"churn-onnx": runtime}


@pytest.mark.parametrize("reason", ["RuntimeDisabled", "RuntimeNotRecognized", "RuntimeUnhealthy"])
def test_a_runtime_that_cannot_run_here_is_named_with_kserves_reason(reason: str) -> None:
    with pytest.raises(InvalidSpec, match="churn-onnx") as caught:
        resolve(service(), unsuitable(reason))
    assert caught.value.reason == reason


def test_without_a_named_runtime_one_that_supports_the_format_is_chosen() -> None:
    document = service()
    del document["spec"]["predictor"]["model"]["runtime"]
    assert resolve(document, {"churn-onnx": serving_runtime("models", Kserve(), MINIO)}).runtime == "churn-onnx"
    document["spec"]["predictor"]["model"]["modelFormat"]["name"] = "sklearn"
    with pytest.raises(InvalidSpec, match="model type: sklearn"):
        resolve(document, {"churn-onnx": serving_runtime("models", Kserve(), MINIO)})


@pytest.mark.parametrize(
    ("canaries", "said"),
    [
        ([], ""),
        ([("v8", 10)], ""),
        ([("v8", 60), ("v9", 60)], "exceeds 100"),
        ([("v8", 10), ("v8", 10)], "name of its own"),
        ([("v7", 10)], "name of its own"),
    ],
)
def test_canaries_must_add_up_and_have_names(canaries: list[tuple[str, int]], said: str) -> None:
    document = service()
    model = {"name": "kserve-container", "modelFormat": {"name": "onnx"}, "storageUri": WANTED.uri}
    document["spec"]["canary"] = [
        {"trafficPercent": percent, "predictor": {"name": name, "model": model}} for name, percent in canaries
    ]
    assert check(INFERENCE_SERVICE, document) == []
    refusal = INFERENCE_SERVICE.admit(document, None)
    assert (said in refusal) if said else refusal == ""
    if not said:
        assert complaints(document) == []


def test_the_deployment_mode_of_a_service_cannot_be_changed() -> None:
    old, new = service(), service(deployment_mode="Knative")
    assert "cannot be changed from Standard to Knative" in INFERENCE_SERVICE.admit(new, old)
