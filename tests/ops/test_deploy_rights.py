"""The rights in deploy/k8s are those that the clients use: what is missing would fail, what is too much could harm."""

from collections.abc import Iterator

import pytest

from common.config import load_settings
from tests.ops.kube_calls import uses
from tests.ops.manifests import OVERLAYS, PLACE, Document, sources


def granted() -> Iterator[tuple[str, str]]:
    for document in sources(PLACE / "base"):
        if document["kind"] == "ClusterRole":
            yield from allowed(document)


def allowed(role: Document) -> Iterator[tuple[str, str]]:
    """What a role allows: (resource, verb)."""
    for rule in role["rules"]:
        for group in rule["apiGroups"]:
            for each in rule["resources"]:
                name, _, sub = each.partition("/")
                full = f"{name}.{group}" if group else name
                yield from (((full + (f"/{sub}" if sub else "")), verb) for verb in rule["verbs"])


def allowed_in(overlay: str, namespace: str) -> set[tuple[str, str]]:
    """What the steps may do in a namespace, by the bindings of the overlay."""
    documents = sources(PLACE / "overlays" / overlay)
    roles = {each["metadata"]["name"]: each for each in documents if each["kind"] == "ClusterRole"}
    bound = [each for each in documents if each["metadata"].get("namespace") == namespace]
    assert not any(each["kind"] == "Role" for each in bound)
    return {
        each for binding in bound if binding["kind"] == "RoleBinding"
        for each in allowed(roles[binding["roleRef"]["name"]])
        if binding["subjects"] == [{"kind": "ServiceAccount", "name": "mlops-steps", "namespace": "mlops"}]
    }  # fmt: skip


def test_every_call_of_the_clients_is_granted() -> None:
    missing = {use: files for use, files in uses().items() if use not in set(granted())}
    assert missing == {}, "add them to deploy/k8s/base/rights.yaml"


def test_nothing_is_granted_that_no_client_calls() -> None:
    assert set(granted()) - set(uses()) == set()


def test_no_step_may_delete_anything_read_secrets_or_take_whatever_there_is() -> None:
    assert not {verb for _, verb in granted()} & {"delete", "deletecollection", "*", "escalate", "bind", "impersonate"}
    assert not {name for name, _ in granted()} & {"secrets", "*", "pods/exec", "clusterroles.rbac.authorization.k8s.io"}


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_the_steps_may_serve_where_they_work_and_only_look_where_argo_cd_delivers(overlay: str) -> None:
    settings = load_settings(overlay)
    served = {each for each in granted() if each[0].endswith((".serving.kserve.io", ".iter8.tools")) or "/" in each[0]}
    assert allowed_in(overlay, settings.uc1.namespace) == served
    assert allowed_in(overlay, settings.uc6.namespace) == {("inferenceservices.serving.kserve.io", "get")}


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_every_namespace_that_models_are_deployed_to_is_prepared(overlay: str) -> None:
    settings = load_settings(overlay)
    documents = sources(PLACE / "overlays" / overlay)
    labels = {each["metadata"]["name"]: each["metadata"]["labels"] for each in documents if each["kind"] == "Namespace"}
    accounts = {each["metadata"]["namespace"] for each in documents
                if each["metadata"]["name"] == settings.kserve.service_account}  # fmt: skip
    for namespace in (settings.uc1.namespace, settings.uc6.namespace):
        assert namespace in accounts
        assert labels[namespace]["mlops/serves"] == "models", "else no run may ask its model servers"
