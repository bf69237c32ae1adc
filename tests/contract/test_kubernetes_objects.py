"""Objects live by the rules of the Kubernetes API: the embedded server and a real one pass the same assertions."""

import pytest

from common.errors import AccessRefused, ConfigError, Unavailable
from common.k8s_client import Kubernetes
from common.k8s_connection import KINDS
from common.k8s_errors import Changed, NoSuchKind, NoSuchNamespace, Refused
from common.settings import Kubernetes as Section
from tests.contract.conftest import Cluster
from tests.serving.kube import free_port


def test_a_created_object_carries_what_the_server_owns(cluster: Cluster) -> None:
    made = cluster.kube.create(cluster.runtime("one"))["metadata"]
    assert made["generation"] == 1
    assert all(made[key] for key in ("uid", "creationTimestamp", "resourceVersion", "managedFields"))
    found = cluster.kube.get("ServingRuntime", "one", cluster.namespace)
    assert found is not None
    assert found["metadata"]["uid"] == made["uid"]


def test_creating_twice_is_refused_and_changes_nothing(cluster: Cluster) -> None:
    made = cluster.kube.create(cluster.runtime("one"))
    with pytest.raises(Changed, match="already exists"):
        cluster.kube.create(cluster.runtime("one", disabled=True))
    found = cluster.kube.get("ServingRuntime", "one", cluster.namespace)
    assert found is not None
    assert found["metadata"]["resourceVersion"] == made["metadata"]["resourceVersion"]


def test_what_is_not_there_is_none_and_deleting_it_is_false(cluster: Cluster) -> None:
    assert cluster.kube.get("ServingRuntime", "none", cluster.namespace) is None
    assert cluster.kube.delete("ServingRuntime", "none", cluster.namespace) is False


def test_a_deleted_object_is_gone_and_a_new_one_of_its_name_is_another(cluster: Cluster) -> None:
    first = cluster.kube.create(cluster.runtime("one"))["metadata"]["uid"]
    assert cluster.kube.delete("ServingRuntime", "one", cluster.namespace) is True
    assert cluster.kube.get("ServingRuntime", "one", cluster.namespace) is None
    assert cluster.kube.create(cluster.runtime("one"))["metadata"]["uid"] != first


def test_generation_counts_changes_of_the_spec_only(cluster: Cluster) -> None:
    cluster.kube.create(cluster.runtime("one"))
    labelled = cluster.kube.merge_patch(
        "ServingRuntime", "one", cluster.namespace, {"metadata": {"labels": {"a": "b"}}}
    )
    disabled = cluster.kube.merge_patch("ServingRuntime", "one", cluster.namespace, {"spec": {"disabled": True}})
    assert (labelled["metadata"]["generation"], disabled["metadata"]["generation"]) == (1, 2)
    assert labelled["metadata"]["resourceVersion"] != disabled["metadata"]["resourceVersion"]


def test_a_patch_that_changes_nothing_makes_no_new_version(cluster: Cluster) -> None:
    made = cluster.kube.create(cluster.runtime("one", disabled=True))
    same = cluster.kube.merge_patch("ServingRuntime", "one", cluster.namespace, {"spec": {"disabled": True}})
    assert same["metadata"]["resourceVersion"] == made["metadata"]["resourceVersion"]


def test_a_write_based_on_an_old_version_is_refused(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLOPS_RETRY_SECONDS", "0")
    old = cluster.kube.create(cluster.runtime("one"))["metadata"]["resourceVersion"]
    cluster.kube.merge_patch("ServingRuntime", "one", cluster.namespace, {"spec": {"disabled": True}})
    stale = {"metadata": {"resourceVersion": old}, "spec": {"disabled": False}}
    with pytest.raises(Changed, match="the object has been modified"):
        cluster.kube.merge_patch("ServingRuntime", "one", cluster.namespace, stale)
    found = cluster.kube.get("ServingRuntime", "one", cluster.namespace)
    assert found is not None
    assert found["spec"]["disabled"] is True


def test_null_in_a_merge_patch_removes(cluster: Cluster) -> None:
    cluster.kube.create(cluster.runtime("one", disabled=True))
    left = cluster.kube.merge_patch("ServingRuntime", "one", cluster.namespace, {"spec": {"disabled": None}})
    assert "disabled" not in left["spec"]


def test_status_is_written_through_its_own_door_only(cluster: Cluster) -> None:
    service = {
        "apiVersion": "serving.kserve.io/v1beta1", "kind": "InferenceService",
        "metadata": {"name": "one", "namespace": cluster.namespace},
        "spec": {"predictor": {"model": {"modelFormat": {"name": "onnx"}, "storageUri": "s3://bucket/model"}}},
        "status": {"url": "http://liar"},
    }  # fmt: skip
    made = cluster.kube.create(service)
    assert made.get("status", {}).get("url") != "http://liar"
    patch = {"status": {"url": "http://truth"}, "spec": {"predictor": {"minReplicas": 7}}}
    written = cluster.kube.merge_patch("InferenceService", "one", cluster.namespace, patch, status=True)
    assert written["status"]["url"] == "http://truth"
    assert "minReplicas" not in written["spec"]["predictor"]
    assert written["metadata"]["generation"] == 1


def test_objects_are_listed_by_label(cluster: Cluster) -> None:
    for name, team in (("one", "blue"), ("two", "red"), ("three", "blue")):
        document = cluster.runtime(name)
        document["metadata"]["labels"] = {"team": team}
        cluster.kube.create(document)
    blue = cluster.kube.list("ServingRuntime", cluster.namespace, "team=blue")
    others = cluster.kube.list("ServingRuntime", cluster.namespace, "team!=blue")
    assert {each["metadata"]["name"] for each in blue} == {"one", "three"}
    assert [(each["metadata"]["name"], each["kind"]) for each in others] == [("two", "ServingRuntime")]


def test_an_object_without_a_required_field_is_refused_with_the_field_named(cluster: Cluster) -> None:
    document = cluster.runtime("one")
    del document["spec"]["containers"]
    with pytest.raises(Refused, match=r"ServingRuntime .*/one is not valid: spec\.containers: Required value"):
        cluster.kube.create(document)
    assert cluster.kube.get("ServingRuntime", "one", cluster.namespace) is None


def test_a_value_of_the_wrong_type_is_refused_with_the_field_named(cluster: Cluster) -> None:
    with pytest.raises(Refused, match=r"spec\.disabled"):
        cluster.kube.create(cluster.runtime("one", disabled="yes"))


def test_a_name_that_is_no_dns_name_is_refused(cluster: Cluster) -> None:
    with pytest.raises(Refused, match=r"metadata\.name"):
        cluster.kube.create(cluster.runtime("Not_A_Name"))


def test_an_object_in_a_namespace_that_is_not_there_is_refused(cluster: Cluster) -> None:
    document = cluster.runtime("one")
    document["metadata"]["namespace"] = "mlops-never-made"
    with pytest.raises(NoSuchNamespace, match="mlops-never-made"):
        cluster.kube.create(document)


def test_a_kind_whose_definition_is_missing_is_unavailable_with_a_remedy(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(KINDS, "Missing", ("missing.example.com/v1", "missings"))
    with pytest.raises(NoSuchKind, match="does not know the kind") as caught:
        cluster.kube.get("Missing", "one", cluster.namespace)
    assert "Install its CRD" in caught.value.hint


def test_the_definition_of_a_kind_says_which_fields_it_has(cluster: Cluster) -> None:
    definition = cluster.kube.get("CustomResourceDefinition", "inferenceservices.serving.kserve.io")
    assert definition is not None
    versions = {each["name"]: each["schema"]["openAPIV3Schema"] for each in definition["spec"]["versions"]}
    assert "canary" in versions["v1beta1"]["properties"]["spec"]["properties"]
    assert cluster.kube.get("CustomResourceDefinition", "nothing.serving.kserve.io") is None


def test_a_wrong_token_is_refused_and_not_repeated_in_the_message(cluster: Cluster) -> None:
    wrong = Section(server=cluster.kube.server, token="wrong-token", embedded=True, verify_tls=False)
    with pytest.raises(AccessRefused, match="does not accept our token") as caught:
        Kubernetes(wrong).get("Namespace", "default")
    assert "wrong-token" not in str(caught.value) + caught.value.hint


def test_a_server_that_is_not_there_is_unavailable_with_its_address(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLOPS_RETRY_SECONDS", "0")
    server = f"http://127.0.0.1:{free_port()}"
    with pytest.raises(Unavailable, match=f"{server} does not answer"):
        Kubernetes(Section(server=server, embedded=True)).ping()


def test_without_server_kubeconfig_or_pod_there_are_no_credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    with pytest.raises(ConfigError, match="no credentials"):
        Kubernetes(Section()).ping()


def test_an_explicit_server_never_reads_the_users_kubeconfig(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    if not cluster.section.server:
        pytest.skip("this server is reached through its kubeconfig")
    monkeypatch.setenv("KUBECONFIG", "/nonexistent/of-a-real-cluster")
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    assert Kubernetes(cluster.section).ping()


def test_a_namespace_takes_its_objects_along(cluster: Cluster) -> None:
    cluster.kube.create(cluster.runtime("one"))
    cluster.kube.delete("Namespace", cluster.namespace)
    found = cluster.kube.get("ServingRuntime", "one", cluster.namespace)
    assert found is None or cluster.api is None, "a real server deletes a namespace in its own time"


def test_a_trial_write_changes_nothing(cluster: Cluster) -> None:
    cluster.kube.probe_write(cluster.namespace)
    cluster.kube.probe_write("mlops-never-made")
    assert cluster.kube.list("ServingRuntime", cluster.namespace) == []
