"""Which revision answers follows from the spec and from what is ready, by KServe's rules."""

from typing import Any

import pytest

from common.serving_manifests import Canary, Deployment, inference_service, serving_runtime
from common.settings import Kserve, Minio
from embedded.controllers.asked import Asked, CanaryAsked, ask
from embedded.controllers.revisions import Revision
from embedded.controllers.rollout import Decision, Memory, decide

MINIO = Minio(endpoint="s3.example.com", bucket="lake")
RUNTIMES = {"churn-onnx": serving_runtime("models", Kserve(), MINIO)}


def deployment(version: str) -> Deployment:
    digest = version * 64
    return Deployment("churn", "models", version, digest, f"s3://lake/models/churn/{digest}", "key")


def asked(champion: str, canary: Canary | None = None) -> Asked:
    return ask(inference_service(deployment(champion), Kserve(), MINIO, canary), RUNTIMES)


def revision(name: str) -> Revision:
    return Revision("churn", "models", "onnx", f"s3://lake/{name}", (), ())


A, B, C = revision("a"), revision("b"), revision("c")
ROLLED_OUT = Memory(A, A)


def knative(wanted: Revision | None, percent: int | None, memory: Memory, *ready: Revision) -> Decision:
    return decide(Asked("Knative", wanted, percent=percent), memory, lambda each: each in ready)


def standard(wanted: Revision | None, canary: CanaryAsked | None, memory: Memory, *ready: Revision) -> Decision:
    canaries = (canary,) if canary else ()
    return decide(Asked("Standard", wanted, canaries=canaries), memory, lambda each: each in ready)


def shares(decision: Decision) -> dict[Revision, int]:
    """Who gets how much, those with nothing left out."""
    arms = ((decision.champion, 100 - decision.percent), (decision.canary, decision.percent))
    return {each: percent for each, percent in arms if each and percent}


def test_a_promoted_canary_is_the_same_revision_so_that_its_server_is_kept() -> None:
    before = asked("1", Canary(deployment("2"), 100)).canary
    assert before
    assert before.revision == asked("2").revision
    assert before.revision
    assert before.revision.label == "v2"


def test_another_share_is_the_same_revision_and_other_faults_are_another() -> None:
    named = [asked("1", Canary(deployment("2"), percent, faults)).canary for percent, faults in
             ((10, ""), (50, ""), (50, "errors=5%"))]  # fmt: skip
    revisions = [each.revision for each in named if each]
    assert revisions[0] == revisions[1] != revisions[2]


def test_a_canary_takes_from_the_predictor_what_it_does_not_say_itself() -> None:
    service = inference_service(deployment("1"), Kserve(), MINIO)
    service["spec"]["predictor"]["model"]["env"].append({"name": "EXTRA", "value": "kept"})
    model: Any = {"name": "kserve-container", "modelFormat": {"name": "onnx"},
                  "env": [{"name": "REVISION", "value": "v2"}]}  # fmt: skip
    service["spec"]["canary"] = [{"trafficPercent": 10, "predictor": {"name": "v2", "model": model}}]
    canary = ask(service, RUNTIMES).canary
    assert canary
    assert canary.revision
    assert canary.revision.storage_uri == deployment("1").uri
    environment = dict(canary.revision.environment)
    assert (environment["EXTRA"], environment["REVISION"]) == ("kept", "v2")


def test_several_canaries_are_refused_and_each_says_so() -> None:
    service = inference_service(deployment("1"), Kserve(), MINIO, Canary(deployment("2"), 10))
    (entry,) = service["spec"]["canary"]
    service["spec"]["canary"].append({**entry, "predictor": {**entry["predictor"], "name": "v3"}})
    found = ask(service, RUNTIMES)
    assert (found.canary, len(found.canaries)) == (None, 2)
    assert all(each.failure and "only one canary" in each.failure.message for each in found.canaries)


@pytest.mark.parametrize(
    ("wanted", "percent", "memory", "ready", "expected", "kept"),
    [
        (A, 10, Memory(), (A,), {A: 100}, {A}),  # the first deployment is not split
        (B, 10, ROLLED_OUT, (A,), {A: 100}, {A, B}),  # not ready yet
        (B, 10, ROLLED_OUT, (A, B), {A: 90, B: 10}, {A, B}),
        (B, 10, Memory(B, A), (A,), {A: 100}, {A, B}),  # the canary died
        (B, 0, ROLLED_OUT, (A, B), {A: 100}, {A, B}),  # pinned
        (C, 10, Memory(B, A), (A, B), {A: 90, B: 10}, {A, B, C}),  # the latest *ready* one has the share
        (C, 0, Memory(B, A), (A, B), {A: 100}, {A, C}),
        (A, 0, Memory(B, A), (A, B), {A: 100}, {A}),  # back to the champion
        (None, 10, Memory(B, A), (A, B), {A: 90, B: 10}, {A, B}),  # a spec that asks for nothing servable
        (B, 100, Memory(B, A), (A, B), {B: 100}, {B}),
        (B, None, Memory(B, A), (A, B), {B: 100}, {B}),
        (B, None, ROLLED_OUT, (A,), {A: 100}, {A, B}),
        (C, None, Memory(B, A), (A, B), {B: 100}, {B, C}),  # Knative: all to the latest ready one
    ],
)
def test_knative_splits_between_the_latest_ready_and_the_rolled_out_revision(
    wanted: Revision | None, percent: int | None, memory: Memory, ready: tuple[Revision, ...],
    expected: dict[Revision, int], kept: set[Revision],
) -> None:  # fmt: skip
    decision = knative(wanted, percent, memory, *ready)
    assert (shares(decision), set(decision.kept)) == (expected, kept)


def test_a_revision_is_rolled_out_when_it_is_ready_with_all_requests_and_the_one_before_is_remembered() -> None:
    assert knative(B, 50, ROLLED_OUT, A, B).memory == Memory(B, A)
    assert knative(B, None, ROLLED_OUT, A).memory == ROLLED_OUT
    after = knative(B, None, ROLLED_OUT, A, B).memory
    assert after == Memory(B, B, A.name)
    assert knative(B, None, after, A, B).memory == after
    assert Memory.from_note(after.to_note()) == after


def test_a_standard_canary_has_its_share_while_it_is_ready_and_only_then() -> None:
    canary = CanaryAsked("v2", 10, B)
    assert shares(standard(A, canary, ROLLED_OUT, A, B)) == {A: 90, B: 10}
    assert shares(standard(A, canary, ROLLED_OUT, A)) == {A: 100}
    assert set(standard(A, canary, ROLLED_OUT, A).kept) == {A, B}


def test_a_standard_promotion_keeps_the_canary_and_lets_the_champion_go() -> None:
    decision = standard(B, None, ROLLED_OUT, A, B)
    assert (shares(decision), decision.kept) == ({B: 100}, (B,))


def test_a_new_champion_that_does_not_load_changes_nothing_and_the_canary_keeps_its_share() -> None:
    decision = standard(C, CanaryAsked("v2", 10, B), ROLLED_OUT, A, B)
    assert (shares(decision), set(decision.kept)) == ({A: 90, B: 10}, {A, B, C})
