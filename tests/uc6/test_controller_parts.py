"""The parts of the controller that plays Argo CD: what it builds, compares, allows, and how it judges health."""

from typing import Any

import pytest
import yaml

from common.argocd_manifests import Delivery, app_project, application, operation
from common.argocd_status import is_delivered, trouble
from common.paths import ROOT
from common.serving_manifests import Deployment
from common.settings import Kserve, Minio
from embedded.controllers.app_compare import Resource, ignored_paths, tracked
from embedded.controllers.app_health import inference_service, worst
from embedded.controllers.app_project import why_not_there, why_not_this, why_refused
from embedded.controllers.app_status import Observation, conditions, written
from embedded.controllers.app_sync import begun
from embedded.controllers.kustomize import RenderError, build
from embedded.kube.kinds import APP_PROJECT, APPLICATION
from embedded.kube.validation import check
from tests.serving.crds import complaints
from uc6_gitops_deployment import overlay

Document = dict[str, Any]
TESTDATA = ROOT.parent / "shared" / "crds" / "argocd" / "testdata"
NOW = "2026-03-01T12:00:00Z"
WANTED = Delivery(
    "churn-production", "churn-production", "argocd", "https://git.example.com/d.git", "main", "overlays/production",
    "https://kubernetes.default.svc", "models-production",
)  # fmt: skip
DIGEST = "ab" * 32
MODEL = Deployment("churn", "models-production", "7", DIGEST, f"s3://mlops/models/churn/{DIGEST}")
BUILT = build(
    {**overlay.base_files(MODEL, Kserve(), Minio(), {}), **overlay.files(MODEL, "production", Kserve(), Minio())},
    "overlays/production",
)


# Health, by Argo CD's own test inputs


def health_cases() -> list[Any]:
    if not TESTDATA.is_dir():
        reason = f"Argo CD's test data is not here: {TESTDATA} is absent"
        return [pytest.param("", marks=pytest.mark.skip(reason=reason))]
    return sorted(path.name for path in TESTDATA.glob("isvc-*.yaml"))


@pytest.mark.parametrize("name", health_cases())
def test_an_inference_service_is_judged_as_argo_cds_own_tests_judge_it(name: str) -> None:
    said = name.removeprefix("isvc-").split(".")[0].split("_")[0]
    expected = {"healthy": "Healthy", "degraded": "Degraded", "progressing": "Progressing", "stopped": "Suspended"}
    assert inference_service(yaml.safe_load((TESTDATA / name).read_text()))["status"] == expected[said]


def test_the_whole_is_as_well_as_its_worst_part_and_parts_without_health_do_not_count() -> None:
    assert worst([None, {"status": "Healthy"}]) == "Healthy"
    assert worst([{"status": "Healthy"}, {"status": "Degraded"}, {"status": "Progressing"}]) == "Degraded"
    assert worst([]) == "Healthy"


# What is written is valid for the real CRDs


def test_application_and_project_are_valid_for_the_real_crds_and_allow_one_repository_and_one_namespace() -> None:
    project, app = app_project(WANTED), application(WANTED)
    assert check(APP_PROJECT, project) == check(APPLICATION, app) == []
    assert project["spec"]["sourceRepos"] == [WANTED.repository]
    assert project["spec"]["destinations"] == [{"server": WANTED.cluster, "namespace": "models-production"}]
    assert complaints(project) == complaints({**app, "operation": operation()}) == []


@pytest.mark.parametrize("state", ["synced", "broken"])
def test_the_status_that_the_controller_writes_is_valid_for_the_real_crd(state: str) -> None:
    app = application(WANTED)
    wanted = [tracked(each, WANTED.name) for each in BUILT]
    resources = [_resource(each, None) for each in wanted]
    seen = Observation(app, "a" * 40, resources if state == "synced" else None)
    running = begun(operation(), "a" * 40, app["spec"]["source"], NOW)
    found = conditions({}, {"ComparisonError": "no such file" if state == "broken" else ""}, NOW)
    status = written({}, seen, running, found, NOW, must_tell=True)
    assert complaints({**app, "status": status}) == []
    assert status["sync"]["status"] == ("OutOfSync" if state == "synced" else "Unknown")


def test_what_the_overlay_builds_is_valid_for_the_real_crds() -> None:
    assert [each["kind"] for each in BUILT] == ["ServingRuntime", "InferenceService"]
    assert {each["metadata"]["namespace"] for each in BUILT} == {"models-production"}
    assert [complaints(each) for each in BUILT] == [[], []]


# Building


def test_what_a_kustomization_says_beyond_what_is_understood_is_refused_by_name() -> None:
    files = {"o/kustomization.yaml": "resources: []\nnamePrefix: x-\ncommonLabels: {a: b}\n"}
    with pytest.raises(RenderError, match="commonLabels, namePrefix is not understood"):
        build(files, "o")


@pytest.mark.parametrize(
    ("kustomization", "said"),
    [
        ("resources: [../../../etc/passwd]", "leads out of the repository"),
        ("resources: ['https://example.com/base?ref=main']", "is no path in this repository"),
        ("resources: [absent.yaml]", "absent.yaml: app path does not exist"),
        ("resources: [text.yaml]", "a manifest needs apiVersion, kind and metadata.name"),
        ("resources: [a.yaml, a.yaml]", "may not add Metric one twice"),
        ("patches: [{path: a.yaml}]", "no matches for Metric one"),
        ("patches: [{target: {kind: Metric}, patch: '- op: remove'}]", "only patches of the form"),
        ("resources: [.]", "bases go in circles"),
        ("resources: [broken.yaml]", "broken.yaml"),
        ("- a", "not a document with fields"),
    ],
)
def test_what_cannot_be_built_is_told_with_its_place(kustomization: str, said: str) -> None:
    metric = yaml.safe_dump({"apiVersion": "iter8.tools/v2alpha2", "kind": "Metric", "metadata": {"name": "one"}})
    files = {"a/o/kustomization.yaml": kustomization, "a/o/a.yaml": metric, "a/o/text.yaml": "just text",
             "a/o/broken.yaml": "a: [b"}  # fmt: skip
    with pytest.raises(RenderError, match=said):
        build(files, "a/o")


def test_a_patch_merges_maps_replaces_lists_and_removes_by_null() -> None:
    base = "apiVersion: iter8.tools/v2alpha2\nkind: Metric\nmetadata: {name: m}\nspec: {a: {b: 1, c: 2}, l: [1, 2]}\n"
    patch = "apiVersion: iter8.tools/v2alpha2\nkind: Metric\nmetadata: {name: m}\nspec: {a: {b: 3, c: null}, l: [9]}\n"
    files = {"b/kustomization.yaml": "resources: [m.yaml]", "b/m.yaml": base, "o/p.yaml": patch,
             "o/kustomization.yaml": "resources: [../b]\npatches: [{path: p.yaml}]\nnamespace: n\n"}  # fmt: skip
    (built,) = build(files, "o")
    assert (built["spec"], built["metadata"]["namespace"]) == ({"a": {"b": 3}, "l": [9]}, "n")


# Comparing


def _resource(wanted: Document | None, live: Document | None, ignored: Any = ()) -> Resource:
    some = wanted or live or {}
    group, _, version = some["apiVersion"].rpartition("/")
    metadata = some["metadata"]
    return Resource(group, version, some["kind"], metadata["namespace"], metadata["name"], wanted, live, ignored)


def test_what_others_added_is_no_difference_what_they_changed_is_and_what_is_ignored_is_not() -> None:
    wanted = BUILT[1]
    spec = wanted["spec"]
    more = {**wanted, "spec": {**spec, "predictor": {**spec["predictor"], "minReplicas": 2}}}
    less = {**wanted, "spec": {**spec, "predictor": {**spec["predictor"], "name": "v8"}}}
    assert _resource(wanted, more).is_synced
    assert not _resource(wanted, less).is_synced
    assert not _resource(wanted, None).is_synced
    assert not _resource(None, wanted).is_synced
    assert _resource(wanted, less, (("spec", "predictor", "name"),)).is_synced
    assert ignored_paths(application(WANTED), wanted) == (
        ("spec", "canary"),
        ("spec", "predictor", "canaryTrafficPercent"),
    )
    assert ignored_paths(application(WANTED), BUILT[0]) == ()


def test_a_field_that_we_applied_and_git_gave_up_is_a_difference() -> None:
    wanted = BUILT[1]
    fields = {"f:spec": {"f:predictor": {"f:minReplicas": {}}}}
    entry = {"manager": "argocd-controller", "operation": "Apply", "fieldsV1": fields}
    live = {**wanted, "metadata": {**wanted["metadata"], "managedFields": [entry]}}
    assert not _resource(wanted, live).is_synced


def test_the_runtime_is_applied_a_wave_before_the_service() -> None:
    assert [_resource(each, None).wave for each in BUILT] == [-1, 0]


# Allowing


def test_a_project_refuses_other_repositories_namespaces_and_kinds() -> None:
    project, app = app_project(WANTED), application(WANTED)
    assert why_refused(project, app) == ""
    assert "which does not exist" in why_refused(None, app)
    elsewhere = {**app["spec"], "source": {**app["spec"]["source"], "repoURL": "https://evil.example.com/d.git"}}
    assert "is not permitted in project" in why_refused(project, {**app, "spec": elsewhere})
    assert why_not_there(project, app["spec"]["destination"], "kube-system")
    assert why_not_this(project, "serving.kserve.io", "InferenceService", "churn", True) == ""
    assert why_not_this(project, "", "Secret", "stolen", True)
    assert why_not_this(project, "rbac.authorization.k8s.io", "ClusterRole", "admin", False)
    assert why_not_this(project, "", "Namespace", "models-production", False) == ""
    assert why_not_this(project, "", "Namespace", "kube-system", False)


# Waiting, by the rule of `argocd app wait`


def _app(**status: Any) -> Document:
    usual = {
        "sync": {"status": "Synced", "revision": "c1"}, "health": {"status": "Healthy"},
        "operationState": {"phase": "Succeeded", "finishedAt": "2026-03-01T12:00:05Z", "operation": {},
                           "syncResult": {"revision": "c1"}},
        "reconciledAt": "2026-03-01T12:00:06Z",
    }  # fmt: skip
    return {"metadata": {"name": "a"}, "status": {**usual, **status}}


def _is_c1(revision: str) -> bool:
    return revision == "c1"


def test_it_is_delivered_only_synced_healthy_at_our_commit_with_nothing_going_on_and_looked_at_since() -> None:
    assert is_delivered(_app(), _is_c1)
    assert not is_delivered(_app(sync={"status": "Synced", "revision": "c0"}), _is_c1)
    assert not is_delivered(_app(sync={"status": "OutOfSync", "revision": "c1"}), _is_c1)
    assert not is_delivered(_app(health={"status": "Progressing"}), _is_c1)
    assert not is_delivered(_app(reconciledAt="2026-03-01T12:00:04Z"), _is_c1)
    assert not is_delivered({**_app(), "operation": {"sync": {}}}, _is_c1)
    refreshing = {"name": "a", "annotations": {"argocd.argoproj.io/refresh": "normal"}}
    assert not is_delivered({**_app(), "metadata": refreshing}, _is_c1)
    assert not is_delivered({"metadata": {"name": "a"}}, _is_c1)


def test_trouble_is_told_of_our_commit_only() -> None:
    bad = {"status": "Degraded", "message": "no such model"}
    service = {"kind": "InferenceService", "name": "churn", "health": bad}
    degraded = {"health": {"status": "Degraded"}, "resources": [service]}
    assert trouble(_app(**degraded), _is_c1) == "Degraded: InferenceService churn: no such model"
    assert trouble(_app(**degraded, sync={"status": "Synced", "revision": "c0"}), _is_c1) == ""
    failed = {"phase": "Failed", "finishedAt": "2026-03-01T12:00:05Z", "operation": {}, "message": "not permitted",
              "syncResult": {"revision": "c1"}}  # fmt: skip
    assert trouble(_app(operationState=failed), _is_c1) == "the sync failed: not permitted"
    broken = [{"type": "ComparisonError", "message": "no such file"}]
    assert trouble(_app(conditions=broken), _is_c1) == "ComparisonError: no such file"
    assert trouble(_app(), _is_c1) == ""
