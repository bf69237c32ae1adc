"""deploy/k8s: what would be applied is valid, complete, harmless, and holds no secret."""

import re
import subprocess
from typing import Any

import pytest
import yaml

from common.config import load_settings
from common.paths import ROOT
from common.schedule_entries import entries_in_image
from common.schedule_k8s import CronJobs
from common.serving_manifests import CREDENTIALS_SECRET, serving_runtime
from common.settings import Kserve, Minio, Settings
from tests.ops.manifests import BUILT, KUBECTL, MODELS, OVERLAYS, PLACE, Document, built, sources, wrong

needs_kubectl = pytest.mark.skipif(KUBECTL is None, reason="kubectl, which holds kustomize, is not installed")


def documents() -> list[Document]:
    return [document for directory in BUILT for document in sources(directory)]


def pods() -> list[Document]:
    jobs = [document for document in documents() if document["kind"] == "CronJob"]
    assert jobs
    return [job["spec"]["jobTemplate"]["spec"]["template"]["spec"] for job in jobs]


def pods_of_services() -> list[Document]:
    return [each["spec"]["template"]["spec"] for each in documents() if each["kind"] in ("StatefulSet", "Deployment")]


def settings_of(overlay: str) -> dict[str, str]:
    lines = (PLACE / "overlays" / overlay / "settings.env").read_text().splitlines()
    return dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))


def test_every_object_is_of_the_apis_own_type_field_by_field() -> None:
    template = yaml.safe_load((PLACE / "secrets.template.yaml").read_text())
    for document in [*documents(), template]:
        name = f"{document['kind']} {document['metadata']['name']}"
        assert wrong(document, MODELS[document["kind"]], name) == []


def test_the_check_of_types_finds_what_is_misspelt_missing_or_of_another_type() -> None:
    job = next(each for each in documents() if each["kind"] == "CronJob")
    job["spec"]["concurencyPolicy"] = job["spec"].pop("concurrencyPolicy")
    job["spec"]["startingDeadlineSeconds"] = "1800"
    del job["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"][0]["name"]
    found = " ".join(wrong(job, "V1CronJob", "job"))
    assert all(words in found for words in ("no concurencyPolicy", "startingDeadlineSeconds is '1800'", "`name`"))


@needs_kubectl
@pytest.mark.parametrize("overlay", OVERLAYS)
def test_kustomize_builds_the_overlay_and_every_reference_in_it_resolves(overlay: str) -> None:
    found = built(PLACE / "overlays" / overlay)
    there = {(each["kind"], each["metadata"].get("namespace", ""), each["metadata"]["name"]) for each in found}
    assert len(there) == len(found)
    sourced = {(each["kind"], each["metadata"].get("namespace", ""), each["metadata"]["name"])
               for each in sources(PLACE / "overlays" / overlay)}  # fmt: skip
    assert {each for each in there if each[0] != "ConfigMap"} == sourced, "what tests without kubectl look at"
    for each in found:
        assert wrong(each, MODELS[each["kind"]], each["metadata"]["name"]) == []
        if each["kind"].endswith("RoleBinding"):
            assert (each["roleRef"]["kind"], "", each["roleRef"]["name"]) in there
            assert all((s["kind"], s["namespace"], s["name"]) in there for s in each["subjects"])
    assert ("ConfigMap", "mlops", "mlops-settings") in there
    assert ("ServiceAccount", "mlops", "mlops-steps") in there
    served = {"staging": {"models-staging", "models-staged"}, "production": {"models", "models-production"}}[overlay]
    assert {space for kind, space, name in there if name == "models-reader"} == served
    assert {each["metadata"]["name"] for each in found if each["kind"] == "Namespace"} == served | {"mlops"}


@needs_kubectl
def test_the_services_to_try_it_with_build_too() -> None:
    found = built(PLACE / "services")
    assert sorted({each["metadata"].get("namespace", "") for each in found}) == ["", "minio", "mlflow", "postgresql"]


@needs_kubectl
def test_overlays_run_an_image_of_a_registry_with_a_version() -> None:
    for overlay in OVERLAYS:
        images = set(re.findall(r"image: (\S+)", yaml.safe_dump_all(built(PLACE / "overlays" / overlay))))
        assert images == {"registry.example.com/mlops-steps:0.1.0"}


def settings_with_secrets(monkeypatch: pytest.MonkeyPatch, environment: str | None = None) -> Settings:
    for line in (PLACE / "secrets.template.env").read_text().splitlines():
        if "=" in line and not line.startswith("#"):
            name, _, value = line.partition("=")
            monkeypatch.setenv(name, value.replace("CHANGE", "s3cret-of-its-own"))
    return load_settings(environment)


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_a_run_in_the_cluster_and_one_from_elsewhere_load_the_same_valid_configuration(
    overlay: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere = settings_with_secrets(monkeypatch, overlay)
    for name, value in settings_of(overlay).items():
        monkeypatch.setenv(name, value)
    settings = settings_with_secrets(monkeypatch)
    assert settings == elsewhere, "the second would declare another service"
    assert settings.environment == overlay
    assert not any(section.embedded for section in settings.services().values())
    assert settings.kserve.service_account == "models-reader"
    assert settings.schedules.namespace == "mlops"


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_the_images_that_are_declared_are_those_of_the_overlay(overlay: str, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = settings_with_secrets(monkeypatch, overlay)
    (named,) = yaml.safe_load((PLACE / "overlays" / overlay / "kustomization.yaml").read_text())["images"]
    assert settings.kubeflow.image == f"{named['newName']}:{named['newTag']}"
    assert settings.kserve.image == settings.kubeflow.image.replace("mlops-steps", "mlops-serving")


def test_the_cron_jobs_are_those_of_the_schedules_section() -> None:
    settings = load_settings()
    committed = list(yaml.safe_load_all((PLACE / "base" / "cron-jobs.yaml").read_text()))
    assert committed == CronJobs(entries_in_image(settings), settings).documents(), (
        "write it again: see the first line of deploy/k8s/base/cron-jobs.yaml"
    )


def test_no_pod_is_root_may_become_it_writes_to_its_image_or_has_no_limits() -> None:
    for pod in pods():
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["securityContext"]["runAsUser"] == 10001
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        for container in [*pod["initContainers"], *pod["containers"]]:
            context = container["securityContext"]
            assert (context["allowPrivilegeEscalation"], context["readOnlyRootFilesystem"]) == (False, True)
            assert context["capabilities"] == {"drop": ["ALL"]}
            assert {"cpu", "memory", "ephemeral-storage"} <= set(container["resources"]["limits"])
    for pod in pods_of_services():
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["automountServiceAccountToken"] is False
        assert all(each["securityContext"]["capabilities"] == {"drop": ["ALL"]} for each in pod["containers"])
        assert all({"cpu", "memory"} <= set(each["resources"]["limits"]) for each in pod["containers"])
    stage = (ROOT / "deploy" / "Dockerfile").read_text().partition("AS steps")[2]
    assert "USER 10001" in stage, "the user of the pods is the image's"


def secret_values(node: Any, path: str = "") -> list[str]:
    """Values under a key that sounds like a secret, other than references to one."""
    if isinstance(node, dict):
        return [each for key, value in node.items() for each in secret_values(value, f"{path}.{key}")]
    if isinstance(node, list):
        return [each for value in node for each in secret_values(value, path)]
    named = re.search(r"(?i)(password|token|secret_?key|access_?key)", path.rpartition(".")[2])
    return [f"{path}={node}"] if named and isinstance(node, str) else []


def test_no_secret_is_in_git_and_the_templates_hold_nothing_but_blanks() -> None:
    assert [each for document in documents() for each in secret_values(document)] == []
    assert not any(document["kind"] == "Secret" for document in documents())
    template = yaml.safe_load((PLACE / "secrets.template.yaml").read_text())
    assert set(template["stringData"].values()) == {"CHANGE"}
    for line in (PLACE / "secrets.template.env").read_text().splitlines():
        value = "" if line.startswith("#") else line.partition("=")[2]
        assert value in ("", "CHANGE") or ":CHANGE@" in value
    for overlay in OVERLAYS:
        assert not any(re.search("PASSWORD|SECRET|TOKEN", name) for name in settings_of(overlay))
    ignored = subprocess.run(
        ["git", "check-ignore", "deploy/k8s/secrets.env", "deploy/k8s/secrets.yaml"],
        cwd=ROOT, capture_output=True, text=True, timeout=20,
    )  # fmt: skip
    assert len(ignored.stdout.split()) == 2, "filled in, they must not be committed"


def test_the_secret_of_the_template_is_the_one_that_model_servers_read() -> None:
    template = yaml.safe_load((PLACE / "secrets.template.yaml").read_text())
    container = serving_runtime("models", Kserve(), Minio())["spec"]["containers"][0]
    referred = [each["valueFrom"]["secretKeyRef"]["key"] for each in container["env"] if "valueFrom" in each]
    assert template["metadata"]["name"] == CREDENTIALS_SECRET
    assert sorted(template["stringData"]) == sorted(referred)


def test_runs_may_reach_every_service_that_the_configuration_names() -> None:
    named = set(re.findall(r"[\w-]+\.([\w-]+)\.svc\.cluster\.local", (ROOT / "config.yaml").read_text()))
    policies = [each for each in documents() if each["kind"] == "NetworkPolicy"]
    text = yaml.safe_dump_all(each for each in policies if each["metadata"]["namespace"] == "mlops")
    reached = set(re.findall(r"kubernetes\.io/metadata\.name: (\S+)", text))
    assert named <= reached
    assert "mlops/serves: models" in text


def test_every_namespace_denies_what_no_policy_allows() -> None:
    for namespace in ("mlops", "models", "models-staging", "models-staged", "models-production"):
        closed = [
            each for each in documents()
            if each["kind"] == "NetworkPolicy" and each["metadata"]["namespace"] == namespace
            and each["spec"] == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
        ]  # fmt: skip
        assert closed, namespace
