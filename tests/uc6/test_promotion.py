"""Step 1: what may go to production, and the one commit by which it does."""

import subprocess
from typing import Any

import pytest

from common.errors import ExitCode, GateRefused, StepFailed, UsageError
from common.names import BadName
from tests.conftest import EmbeddedPlatform
from tests.uc2.world import trained, variant
from tests.uc6.world import Deployments
from uc6_gitops_deployment import uc6_01_promote_model_git as promotion


@pytest.fixture(scope="module")
def world(platform: EmbeddedPlatform, tmp_path_factory: pytest.TempPathFactory) -> Deployments:
    return Deployments("promo", tmp_path_factory.mktemp("uc6"), platform.state).seed()


@pytest.fixture(scope="module")
def first(world: Deployments) -> Any:
    """The first promotion, by development's policy."""
    return world.promote()


def test_the_champion_goes_to_production_by_one_commit_whose_trailers_lead_back(world: Deployments, first: Any) -> None:
    version = world.version(1)
    assert (first.version, first.created, world.commits()) == (
        "1",
        True,
        [f"promote({world.model_name}): v1 to production"],
    )
    said = world.at_remote("log", "-1", "--format=%(trailers:only,unfold)", first.commit).strip().splitlines()
    assert dict(line.split(": ", 1) for line in said) == {
        "Model-Name": world.model_name, "Model-Version": "1", "Model-Digest": version.digest,
        "Registry-Run": version.run_id, "Data-Digest": "d" * 64, "Approved-by": "development-policy",
    }  # fmt: skip
    assert (version.tags["approved_by"], version.tags["approved_digest"]) == ("development-policy", version.digest)


def test_promoted_again_there_is_no_second_commit_and_the_result_is_the_same(world: Deployments, first: Any) -> None:
    again = world.promote()
    assert again.changed_nothing
    assert again.identity() == first.identity()
    assert len(world.commits()) == 1


def test_the_overlay_is_pinned_to_the_digest_and_knows_no_namespace_but_its_own(world: Deployments, first: Any) -> None:
    service, kustomization = world.overlay(), world.overlay("kustomization.yaml")
    assert service["spec"]["predictor"]["model"]["storageUri"].endswith(world.version(1).digest)
    assert "namespace" not in service["metadata"]
    assert kustomization["namespace"] == world.production
    assert kustomization["resources"] == ["../../base"]


def test_what_a_person_changed_around_the_version_is_left_until_somebody_says_otherwise(
    world: Deployments, first: Any
) -> None:
    head = world.by_hand({"overlays/production/extra.yaml": "a: 1\n", "docs/readme.md": "kept\n"}, "more memory")
    kept = world.promote()
    assert (kept.created, kept.version) == (False, "1")
    assert world.at_remote("rev-parse", "main").strip() == head
    assert world.promote(version=1).created
    listed = world.at_remote("ls-tree", "-r", "--name-only", "main").splitlines()
    assert "docs/readme.md" in listed
    assert "overlays/production/extra.yaml" not in listed


def test_without_an_approval_it_waits_with_exit_3_and_the_command_and_nothing_is_written(
    world: Deployments, first: Any
) -> None:
    before = world.commits()
    with pytest.raises(GateRefused, match="waits for an approval for production") as refused:
        world.promote(version=2, auto_approve=False)
    assert refused.value.exit_code == ExitCode.GATE_REFUSED
    assert "--version 2 --to production --approve" in refused.value.hint
    assert world.commits() == before


def test_an_approval_is_for_one_file_and_one_environment(world: Deployments, first: Any) -> None:
    made = world.promote(version=2, auto_approve=False, approve="Ada Lovelace", to="staging")
    assert dict(made.trailers)["Approved-by"] == "Ada Lovelace"
    with pytest.raises(GateRefused, match="waits for an approval for production"):
        world.promote(version=2, auto_approve=False)
    other = world.register(
        variant(trained()[1]), approved_by="ada", approved_for="production", approved_digest="e" * 64
    )
    with pytest.raises(GateRefused, match="waits for an approval"):
        world.promote(version=other.number, auto_approve=False)


def test_what_the_laptops_policy_approved_counts_for_nothing_where_people_approve(
    world: Deployments, first: Any
) -> None:
    world.by_hand({"overlays/production/inference-service.yaml": "gone: astray\n"})
    with pytest.raises(GateRefused, match=r"Version 1 .* waits for an approval"):
        world.promote(auto_approve=False)
    assert world.promote().created


@pytest.mark.parametrize(
    ("tags", "said"),
    [
        ({"fairness_gate": "refused: gender 0.31"}, "fairness: refused: gender 0.31"),
        ({"fairness_gate_digest": "f" * 64}, "fairness: nobody judged this file"),
        ({"gate": "refused: ROC AUC"}, "quality: refused: ROC AUC"),
        ({"gate_digest": "f" * 64}, "quality: nobody judged this file"),
    ],
)
def test_a_version_without_both_gates_passed_on_this_very_file_is_refused(
    world: Deployments, first: Any, tags: dict[str, str], said: str
) -> None:
    version = world.register(variant(trained()[0]), **tags)
    before = world.commits()
    with pytest.raises(GateRefused, match=said):
        world.promote(version=version.number)
    assert world.commits() == before


@pytest.mark.parametrize(
    "uri",
    [
        "s3://elsewhere/models/m/{digest}", "http://{bucket}/models/m/{digest}", "s3://user:pw@{bucket}/m/{digest}",
        "s3://{bucket}/../{digest}", "s3://{bucket}/models/latest", "s3://{bucket}/m/{digest}?versionId=1",
        "s3://{bucket}/m/{digest}\n  transformer: {{}}", "s3://{bucket}/m/%2e%2e/{digest}", "file:///etc/{digest}",
        "s3://{bucket}//{digest}", "s3://169.254.169.254/m/{digest}", "s3://{bucket}/m/{digest}#x", "",
    ],
)  # fmt: skip
def test_an_address_that_is_no_folder_of_ours_named_by_its_digest_reaches_no_commit(
    world: Deployments, first: Any, uri: str
) -> None:
    model = variant(trained()[0])
    bad = uri.format(digest=model.digest, bucket=world.settings.minio.bucket)
    version = world.register(model, uri=bad)
    before = world.commits()
    with pytest.raises(BadName):
        world.promote(version=version.number)
    assert world.commits() == before


def test_a_version_that_is_not_there_is_a_usage_error_and_no_champion_says_what_to_run(
    world: Deployments, first: Any
) -> None:
    with pytest.raises(UsageError, match="has no version 4711"):
        world.promote(version=4711)
    tools = world.tools_for()
    nobody = tools.settings.uc1.model_copy(update={"model_name": "model-nobody"})
    with pytest.raises(StepFailed, match="No version of model-nobody is champion"):
        promotion.run(type(tools)(tools.settings.model_copy(update={"uc1": nobody})))


def test_what_is_seen_of_the_world_changes_with_the_remote_and_with_the_champion_alone(
    world: Deployments, first: Any
) -> None:
    world.promote()
    before = promotion.observe(world.tools_for())
    world.by_hand({"overlays/elsewhere/kustomization.yaml": "resources: []\n"})
    assert promotion.observe(world.tools_for()) == before
    world.by_hand({"overlays/production/kustomization.yaml": "resources: []\n"})
    assert promotion.observe(world.tools_for()) != before
    assert world.promote(version=1).created
    assert promotion.observe(world.tools_for()) == before


def test_real_kustomize_builds_what_our_own_controller_builds(world: Deployments, first: Any) -> None:
    import shutil

    import yaml

    from embedded.controllers.git_source import GitSource
    from embedded.controllers.kustomize import build

    if not shutil.which("kubectl"):
        pytest.skip("kubectl, which has kustomize inside, is not installed")
    world.promote()
    clone = world.state / "for-kustomize"
    subprocess.run(["git", "clone", "--quiet", str(world.repository), str(clone)], check=True, capture_output=True)
    done = subprocess.run(["kubectl", "kustomize", str(clone / "overlays/production")], capture_output=True, text=True)
    source = GitSource.of(world.repository.as_uri())
    ours = build(source.files(source.resolve("main")), "overlays/production")
    by_kind = {each["kind"]: each for each in yaml.safe_load_all(done.stdout)}
    assert by_kind == {each["kind"]: each for each in ours}, done.stderr
