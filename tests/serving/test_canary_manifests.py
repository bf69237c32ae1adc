"""A canary's manifests are what the real KServe takes, in both forms, and are read back as what was declared."""

from typing import Any

import pytest

from common.serving_manifests import (
    Canary,
    Deployment,
    LiveCanary,
    champion_digest,
    differences,
    has_canary,
    inference_service,
    live_canary,
)
from common.settings import Kserve, Minio
from embedded.kube.kinds import INFERENCE_SERVICE
from embedded.kube.validation import check
from tests.serving.crds import complaints

Document = dict[str, Any]
FORMS = pytest.mark.parametrize("mode", ["Standard", "Knative"])
CHAMPION = Deployment("churn", "models", "1", "a" * 64, f"s3://lake/models/churn/{'a' * 64}", "key-1")
CANDIDATE = Deployment("churn", "models", "2", "b" * 64, f"s3://lake/models/churn/{'b' * 64}", "key-2")


def declared(mode: str, percent: int | None = 10, faults: str = "") -> Document:
    kserve = Kserve(deployment_mode="Knative" if mode == "Knative" else "Standard", service_account="models-reader")
    canary = None if percent is None else Canary(CANDIDATE, percent, faults)
    return inference_service(CHAMPION, kserve, Minio(bucket="lake"), canary)


def model_of_the_canary(document: Document) -> Document:
    spec = document["spec"]
    model: Document = (spec["canary"][0]["predictor"] if "canary" in spec else spec["predictor"])["model"]
    return model


def environment(model: Document) -> dict[str, str]:
    return {each["name"]: each["value"] for each in model["env"]}


@FORMS
@pytest.mark.parametrize("percent", [0, 10, 100])
def test_a_canary_is_valid_for_the_real_crd_and_for_the_embedded_schema(mode: str, percent: int) -> None:
    document = declared(mode, percent, "latency=300ms")
    assert check(INFERENCE_SERVICE, document) == []
    assert INFERENCE_SERVICE.admit(document, declared(mode, None)) == ""
    assert complaints(document) == []


@FORMS
def test_what_was_declared_is_read_back(mode: str) -> None:
    document = declared(mode, 25, "errors=5%")
    assert live_canary(document) == LiveCanary("2", CANDIDATE.digest, CANDIDATE.uri, 25, "errors=5%")
    assert champion_digest(document) == CHAMPION.digest
    assert live_canary(declared(mode, None)) is None


@FORMS
def test_both_arms_are_named_by_their_versions_and_only_the_canary_is_made_bad(mode: str) -> None:
    alone = declared(mode, None)["spec"]["predictor"]["model"]
    canary = model_of_the_canary(declared(mode, 10, "wrong=20%"))
    assert (environment(alone)["REVISION"], environment(canary)["REVISION"]) == ("v1", "v2")
    assert environment(canary)["FAULTS"] == "wrong=20%"
    assert "FAULTS" not in environment(alone)
    assert "FAULTS" not in environment(model_of_the_canary(declared(mode)))
    assert environment(canary)["PREDICTION_LOG_URI"] == environment(alone)["PREDICTION_LOG_URI"]


@FORMS
def test_a_canary_at_all_traffic_is_a_canary_still(mode: str) -> None:
    assert has_canary(declared(mode, 100))
    assert has_canary(declared(mode, 0))


def test_each_form_leaves_the_others_field_alone() -> None:
    standard, knative = declared("Standard")["spec"], declared("Knative")["spec"]
    assert "canaryTrafficPercent" not in standard["predictor"]
    assert "canary" not in knative
    assert standard["predictor"]["model"]["storageUri"] == CHAMPION.uri
    assert knative["predictor"]["model"]["storageUri"] == CANDIDATE.uri


@FORMS
def test_a_service_without_its_canary_differs_from_one_with(mode: str) -> None:
    assert differences(declared(mode, None), declared(mode, None)) == []
    assert differences(declared(mode, 25), declared(mode, 10)) != []


@pytest.mark.parametrize(
    ("spec", "percent"),
    [
        ({"predictor": {"model": {"storageUri": "s3://x"}, "canaryTrafficPercent": 30}}, 30),
        ({"predictor": {}, "canary": [{"trafficPercent": 30, "predictor": {"name": "blue"}}]}, 30),
        ({"predictor": {}, "canary": [{"predictor": {}}]}, 0),
    ],
)
def test_a_canary_of_somebody_else_is_seen_without_a_version(spec: Document, percent: int) -> None:
    found = live_canary({"metadata": {}, "spec": spec})
    assert found is not None
    assert (found.version, found.digest, found.percent) == ("", "", percent)
