"""Server-side apply: who owns a field, what is removed, who is in the way."""

from typing import Any

import pytest

from common.k8s_errors import FieldConflict
from tests.contract.conftest import Cluster

Document = dict[str, Any]


def spec_of(cluster: Cluster, name: str = "one") -> Document:
    found = cluster.kube.get("ServingRuntime", name, cluster.namespace)
    assert found is not None
    spec: Document = found["spec"]
    return spec


def owners(document: Document) -> dict[str, str]:
    """Manager -> its operation."""
    return {each["manager"]: each["operation"] for each in document["metadata"]["managedFields"]}


def test_applying_creates_and_applying_again_changes_nothing(cluster: Cluster) -> None:
    first = cluster.kube.apply(cluster.runtime("one"))
    again = cluster.kube.apply(cluster.runtime("one"))
    assert owners(first) == {"mlops": "Apply"}
    assert first["metadata"]["resourceVersion"] == again["metadata"]["resourceVersion"]


def test_a_field_that_is_no_longer_applied_is_removed(cluster: Cluster) -> None:
    cluster.kube.apply(cluster.runtime("one", disabled=True, nodeSelector={"disk": "fast"}))
    cluster.kube.apply(cluster.runtime("one", nodeSelector={"disk": "fast"}))
    assert "disabled" not in spec_of(cluster)
    assert spec_of(cluster)["nodeSelector"] == {"disk": "fast"}


def test_a_field_of_somebody_else_survives_our_apply(cluster: Cluster) -> None:
    cluster.kube.apply(cluster.runtime("one"))
    cluster.as_somebody_else("one", {"spec": {"multiModel": True}})
    cluster.kube.apply(cluster.runtime("one", disabled=True))
    spec = spec_of(cluster)
    assert (spec["multiModel"], spec["disabled"]) == (True, True)


def test_changing_what_somebody_else_changed_names_them_and_the_field(cluster: Cluster) -> None:
    cluster.kube.apply(cluster.runtime("one", disabled=False))
    cluster.as_somebody_else("one", {"spec": {"disabled": True}}, manager="the-night-shift")
    with pytest.raises(FieldConflict, match=r'\.spec\.disabled \(conflict with "the-night-shift"'):
        cluster.kube.apply(cluster.runtime("one", disabled=False))
    assert spec_of(cluster)["disabled"] is True


def test_force_takes_the_field_over_and_the_next_apply_needs_none(cluster: Cluster) -> None:
    cluster.kube.apply(cluster.runtime("one", disabled=False))
    cluster.as_somebody_else("one", {"spec": {"disabled": True}})
    assert cluster.kube.apply(cluster.runtime("one", disabled=False), force=True)["spec"]["disabled"] is False
    assert cluster.kube.apply(cluster.runtime("one", disabled=True))["spec"]["disabled"] is True


def test_the_same_value_is_shared_and_survives_when_one_owner_drops_it(cluster: Cluster) -> None:
    cluster.kube.apply(cluster.runtime("one"))
    cluster.as_somebody_else("one", {"spec": {"disabled": True}})
    cluster.kube.apply(cluster.runtime("one", disabled=True))
    cluster.kube.apply(cluster.runtime("one"))
    assert spec_of(cluster)["disabled"] is True


def test_a_list_is_replaced_as_a_whole(cluster: Cluster) -> None:
    cluster.kube.apply(cluster.runtime("one", protocolVersions=["v1", "v2"]))
    cluster.kube.apply(cluster.runtime("one", protocolVersions=["v2"]))
    assert spec_of(cluster)["protocolVersions"] == ["v2"]


def test_labels_of_two_managers_live_side_by_side(cluster: Cluster) -> None:
    ours = cluster.runtime("one")
    ours["metadata"]["labels"] = {"ours": "1"}
    cluster.kube.apply(ours)
    cluster.as_somebody_else("one", {"metadata": {"labels": {"theirs": "2"}}})
    ours["metadata"]["labels"] = {"new": "3"}
    assert cluster.kube.apply(ours)["metadata"]["labels"] == {"new": "3", "theirs": "2"}


def test_the_other_client_libraries_speak_to_it(cluster: Cluster) -> None:
    from kubernetes import config
    from kubernetes.dynamic import DynamicClient

    dynamic = DynamicClient(config.new_client_from_config(str(cluster.kubeconfig)))
    runtimes = dynamic.resources.get(api_version="serving.kserve.io/v1alpha1", kind="ServingRuntime")
    runtimes.server_side_apply(body=cluster.runtime("one"), namespace=cluster.namespace, field_manager="dynamic")
    change = [{"op": "add", "path": "/spec/disabled", "value": True}]
    runtimes.patch(change, "one", cluster.namespace, content_type="application/json-patch+json")
    assert [each.metadata.name for each in runtimes.get(namespace=cluster.namespace).items] == ["one"]
    assert spec_of(cluster)["disabled"] is True
