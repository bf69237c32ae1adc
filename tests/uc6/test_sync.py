"""Step 2: the cluster is as git says, whatever people do to it, and the old model serves where the new one cannot."""

import time
from typing import Any

import pytest
import yaml

from common.argocd_client import NotDelivered
from common.errors import StepFailed, UsageError
from tests.conftest import EmbeddedPlatform
from tests.serving.kube import until
from tests.uc6.world import Deployments
from uc6_gitops_deployment import uc6_02_sync_argocd as sync


@pytest.fixture(scope="module")
def world(platform: EmbeddedPlatform, tmp_path_factory: pytest.TempPathFactory) -> Deployments:
    return Deployments("gitops", tmp_path_factory.mktemp("uc6"), platform.state).seed()


@pytest.fixture
def delivered(world: Deployments) -> Any:
    """Version 1 in production, as git says."""
    world.promote(version=1)
    return world.sync()


def serves(world: Deployments, number: int) -> bool:
    return world.golden() == (world.version(number).digest,)


def test_the_commit_is_delivered_synced_healthy_and_its_golden_predictions_agree(
    world: Deployments, delivered: Any
) -> None:
    head = world.at_remote("rev-parse", "main").strip()
    assert (delivered.version, delivered.commit, delivered.sync, delivered.health) == ("1", head, "Synced", "Healthy")
    assert delivered.golden_rows == 20
    assert world.application()["status"]["sync"]["revision"] == head
    assert serves(world, 1)


def test_delivered_again_nothing_changes_and_what_is_seen_says_so(world: Deployments, delivered: Any) -> None:
    before = world.live()
    assert sync.observe(world.tools_for())["as_declared"] is True
    again = world.sync()
    assert again.changed_nothing
    assert again.identity() == delivered.identity()
    assert world.live() == before


def test_a_change_by_hand_is_healed(world: Deployments, delivered: Any) -> None:
    other = {"spec": {"predictor": {"model": {"storageUri": world.version(2).uri}}}}
    world.kube.merge_patch("InferenceService", world.service, world.production, other)
    wanted = world.version(1).uri
    until(lambda: (world.live() or {})["spec"]["predictor"]["model"]["storageUri"] == wanted)
    until(lambda: serves(world, 1))
    world.until_application(sync="Synced", health="Healthy")


def test_an_application_that_was_deleted_or_turned_off_is_seen_and_made_again(
    world: Deployments, delivered: Any
) -> None:
    name = f"{world.service}-production"
    off = {"spec": {"syncPolicy": {"automated": {"selfHeal": False}}}}
    world.kube.merge_patch("Application", name, "argocd", off)
    assert "as_declared" not in sync.observe(world.tools_for())
    world.kube.delete("Application", name, "argocd")
    assert "as_declared" not in sync.observe(world.tools_for())
    assert world.live() is not None, "what it made stays"
    assert world.sync().identity() == delivered.identity()
    assert sync.observe(world.tools_for())["as_declared"] is True


@pytest.mark.deep
def test_a_deleted_service_comes_back_by_itself(world: Deployments, delivered: Any) -> None:
    world.kube.delete("InferenceService", world.service, world.production)
    until(lambda: world.live() is not None)
    world.until_application(sync="Synced", health="Healthy")
    until(lambda: serves(world, 1))


def test_a_canarys_share_is_not_healed_away(world: Deployments, delivered: Any) -> None:
    """What `ignoreDifferences` names may differ."""
    model = {"name": "kserve-container", "modelFormat": {"name": "onnx"}, "storageUri": world.version(2).uri}
    canary = [{"trafficPercent": 0, "predictor": {"name": "v2", "model": model}}]
    world.kube.merge_patch("InferenceService", world.service, world.production, {"spec": {"canary": canary}})
    other = {"spec": {"predictor": {"model": {"protocolVersion": "v2"}}}}
    world.kube.merge_patch("InferenceService", world.service, world.production, other)
    until(lambda: (world.live() or {})["spec"]["predictor"]["model"]["protocolVersion"] == "v1")
    assert (world.live() or {})["spec"]["canary"] == canary
    world.kube.merge_patch("InferenceService", world.service, world.production, {"spec": {"canary": None}})


def test_a_manifest_that_git_gives_up_is_pruned_and_nothing_else(world: Deployments, delivered: Any) -> None:
    runtime = yaml.safe_load(world.at_remote("show", "main:base/serving-runtime.yaml"))
    runtime["metadata"] = {"name": "second-runtime"}
    kustomization = world.overlay("kustomization.yaml")
    more = {**kustomization, "resources": [*kustomization["resources"], "second.yaml"]}
    world.by_hand({"overlays/production/second.yaml": yaml.safe_dump(runtime),
                   "overlays/production/kustomization.yaml": yaml.safe_dump(more)})  # fmt: skip
    until(lambda: world.kube.get("ServingRuntime", "second-runtime", world.production))
    foreign = {**runtime, "metadata": {"name": "of-somebody-else", "namespace": world.production}}
    world.kube.apply(foreign)
    world.by_hand({"overlays/production/second.yaml": None,
                   "overlays/production/kustomization.yaml": yaml.safe_dump(kustomization)})  # fmt: skip
    until(lambda: world.kube.get("ServingRuntime", "second-runtime", world.production) is None)
    assert world.kube.get("ServingRuntime", "of-somebody-else", world.production) is not None
    assert world.live() is not None


def test_a_model_that_cannot_be_loaded_is_degraded_the_step_fails_with_the_reason_and_the_old_one_serves(
    world: Deployments, delivered: Any
) -> None:
    service = world.overlay()
    absent = f"s3://{world.settings.minio.bucket}/models/none/{'e' * 64}"
    service["spec"]["predictor"]["model"]["storageUri"] = absent
    world.by_hand({"overlays/production/inference-service.yaml": yaml.safe_dump(service)}, "bad model")
    with pytest.raises(StepFailed, match="No model found"):
        world.sync()
    degraded = world.until_application(health="Degraded")
    entry = next(each for each in degraded["status"]["resources"] if each["kind"] == "InferenceService")
    assert "BlockedByFailedLoad" in entry["health"]["message"]
    with pytest.raises(NotDelivered, match=r"Degraded: .*No model found"):
        world.sync()
    assert serves(world, 1)
    back = world.sync(rollback="last")
    assert (back.version, back.health, back.rolled_back) == ("1", "Healthy", "")


@pytest.mark.deep
def test_what_is_no_manifest_is_told_as_a_comparison_error_and_changes_nothing(
    world: Deployments, delivered: Any
) -> None:
    before = (world.live() or {})["spec"]
    world.by_hand({"overlays/production/kustomization.yaml": "resources: [../../base]\nhelmCharts: [a]\n"})
    with pytest.raises(NotDelivered, match=r"ComparisonError: .*helmCharts is not understood"):
        world.sync()
    assert world.until_application(sync="Unknown")["status"]["conditions"][0]["type"] == "ComparisonError"
    assert (world.live() or {})["spec"] == before


@pytest.mark.deep
def test_what_the_project_does_not_allow_is_not_made(world: Deployments, delivered: Any) -> None:
    kustomization = world.overlay("kustomization.yaml")
    metric = {"apiVersion": "iter8.tools/v2alpha2", "kind": "Metric", "metadata": {"name": "smuggled"}, "spec": {}}
    more = {**kustomization, "resources": [*kustomization["resources"], "metric.yaml"]}
    world.by_hand({"overlays/production/metric.yaml": yaml.safe_dump(metric),
                   "overlays/production/kustomization.yaml": yaml.safe_dump(more)})  # fmt: skip
    with pytest.raises(NotDelivered, match=r"iter8.tools:Metric is not permitted in project"):
        world.sync()
    assert world.kube.get("Metric", "smuggled", world.production) is None
    told = world.application()
    assert [each["type"] for each in told["status"]["conditions"]] == ["SyncError"]
    time.sleep(2.5)
    assert world.application() == told, "what cannot be mended by trying again is not written again and again"


def test_a_rollback_is_a_revert_that_restores_the_previous_digest_and_holds_the_version(
    world: Deployments, delivered: Any
) -> None:
    world.promote(version=2)
    assert world.sync().version == "2"
    assert serves(world, 2)
    bad = world.at_remote("rev-parse", "main").strip()
    good = world.at_remote("rev-parse", "main~1:overlays/production").strip()
    back = world.sync(rollback="last")
    assert (back.version, back.rolled_back) == ("1", "2")
    assert world.at_remote("rev-parse", "main:overlays/production").strip() == good
    assert world.commits()[0].startswith('Revert "promote(')
    assert f"This reverts commit {bad}." in world.at_remote("log", "-1", "--format=%B", "main")
    assert serves(world, 1)
    assert world.version(2).state == "held"
    commits = world.commits()
    again = world.sync(rollback="last")
    assert (again.version, world.commits()) == ("1", commits), "asked for twice it is done once"
    assert world.promote().changed_nothing, "the champion is what production has"


def test_a_rollback_takes_the_version_back_also_where_somebody_has_committed_after_it(
    world: Deployments, delivered: Any
) -> None:
    world.promote(version=2)
    assert world.sync().version == "2"
    runtime = yaml.safe_dump({**world.overlay("serving-runtime.yaml"), "kind": "ServingRuntime"}, width=60)
    world.by_hand({"overlays/production/serving-runtime.yaml": "# more memory\n" + runtime}, "ops: more memory")
    back = world.sync(rollback="last")
    assert (back.version, back.rolled_back) == ("1", "2")
    world.by_hand({"overlays/production/serving-runtime.yaml": "# again\n" + runtime}, "ops: again")
    commits = world.commits()
    assert world.sync(rollback="last").version == "1"
    assert world.commits() == commits, "asked for twice it is done once, whoever has committed since"


@pytest.mark.deep
def test_when_the_champion_is_rolled_back_the_one_before_stands_again_and_no_candidate_in_its_place(
    world: Deployments, delivered: Any
) -> None:
    registry = world.tools.mlflow
    registry.promote(world.version(2), world.version(1))
    waiting = world.challenger()
    world.promote()
    assert world.sync().version == "2"
    assert world.sync(rollback="last").rolled_back == "2"
    assert {each.version: each.state for each in registry.versions(world.model_name)} == {
        "1": "champion", "2": "held", waiting.version: "proposed",
    }  # fmt: skip
    assert world.champion() == "1"


def test_a_held_model_comes_back_only_by_its_number(world: Deployments, delivered: Any) -> None:
    world.tools.mlflow.tag(world.version(2), state="held")
    same = {k: v for k, v in world.version(2).tags.items() if k != "mlops.key"}
    from tests.uc2.world import trained

    twin = world.register(trained()[1], **{**same, "state": "proposed"})
    world.tools.mlflow.promote(twin, world.version(1))
    try:
        nothing = world.promote()
        assert (nothing.version, nothing.changed_nothing) == ("", True)
        assert "rolled back as v2" in nothing.why_none
        assert world.promote(version=2).version == "2"
    finally:
        world.tools.mlflow.promote(world.version(1), twin)


def test_a_rollback_of_what_is_no_promotion_and_of_the_first_one_is_refused(world: Deployments, delivered: Any) -> None:
    with pytest.raises(UsageError, match="is no commit that changed overlays/production"):
        world.sync(rollback="0123456789")
    first = world.at_remote("rev-list", "--max-parents=0", "main").strip()
    commits = world.commits()
    with pytest.raises(StepFailed, match="is the first promotion to production"):
        world.sync(rollback=first)
    assert world.commits() == commits


def test_somebody_elses_push_to_another_overlay_is_a_commit_of_ours_too(world: Deployments, delivered: Any) -> None:
    tools = world.tools_for()
    before = tools.git.fetch()
    head = world.by_hand({"overlays/elsewhere/kustomization.yaml": "resources: []\n"})
    assert sync.is_ours(tools, before)(head)
    assert not sync.is_ours(tools, before)("f" * 40)
    again = world.sync()
    assert again.commit == delivered.commit
    assert until(lambda: world.application()["status"]["sync"]["revision"] == head)
    assert sync.observe(world.tools_for())["as_declared"] is True


def test_a_canary_that_runs_beside_the_champion_in_models_is_left_alone(world: Deployments, delivered: Any) -> None:
    champion = world.deployment(world.version(1))
    world.tools.kserve.deploy(champion)
    world.tools.kserve.wait_until_ready(champion)
    model = {"name": "kserve-container", "modelFormat": {"name": "onnx"}, "storageUri": world.version(2).uri}
    canary = {"spec": {"canary": [{"trafficPercent": 10, "predictor": {"name": "v2", "model": model}}]}}
    world.kube.merge_patch("InferenceService", world.service, world.namespace, canary)
    before = world.kube.get("InferenceService", world.service, world.namespace)
    world.promote(version=1)
    world.sync()
    after = world.kube.get("InferenceService", world.service, world.namespace)
    assert (after["spec"], after["metadata"]["uid"]) == (before["spec"], before["metadata"]["uid"])
    assert after["status"]["url"] != (world.live() or {})["status"]["url"], "both endpoints answer, each its own"
    rows = sync.golden_answers(world.tools.minio, world.tools.kserve, world.deployment(world.version(1)))
    assert rows.rows == 20


@pytest.mark.deep
def test_a_user_runs_the_pipeline_twice_and_the_second_time_nothing_is_new(
    platform: EmbeddedPlatform, tmp_path_factory: pytest.TempPathFactory
) -> None:
    world = Deployments("twice", tmp_path_factory.mktemp("uc6"), platform.state).seed()
    assert world.states() == {"01": "done", "02": "done"}
    assert world.states() == {"01": "unchanged", "02": "unchanged"}
    assert len(world.commits()) == 1


@pytest.mark.deep
def test_a_user_is_told_how_to_approve_approves_and_takes_it_back(
    platform: EmbeddedPlatform, tmp_path_factory: pytest.TempPathFactory
) -> None:
    world = Deployments("asked", tmp_path_factory.mktemp("uc6"), platform.state).seed()
    world.env["MLOPS_UC6__AUTO_APPROVE"] = "false"
    assert world.states("--approve", "ada") == {"01": "done", "02": "done"}
    waits = world.run("--version", "2", "--json")
    assert waits.returncode == 3
    assert "--approve YOUR-NAME" in waits.stderr
    assert world.states("--version", "2", "--approve", "ada") == {"01": "done", "02": "done"}
    back = world.run("--rollback", "--json", script="uc6_02_sync_argocd.py")
    assert back.returncode == 0, back.stderr[-2000:]
    assert world.version(2).state == "held"
    said = world.at_remote("log", "-2", "--format=%s%n%b", "main")
    assert said.startswith("Revert")
    assert "Approved-by: ada" in said
