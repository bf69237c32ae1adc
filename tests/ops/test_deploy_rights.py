"""The rights in deploy/k8s are those that the clients use: what is missing would fail, what is too much could harm."""

from collections.abc import Iterator

from tests.ops.kube_calls import uses
from tests.ops.manifests import PLACE, sources

# Granted although no call of this checkout uses it, and why.


def granted() -> Iterator[tuple[str, str]]:
    for document in sources(PLACE / "base"):
        for rule in document.get("rules", []) if document["kind"] == "ClusterRole" else []:
            for group in rule["apiGroups"]:
                for each in rule["resources"]:
                    name, _, sub = each.partition("/")
                    full = f"{name}.{group}" if group else name
                    yield from (((full + (f"/{sub}" if sub else "")), verb) for verb in rule["verbs"])


def test_every_call_of_the_clients_is_granted() -> None:
    missing = {use: files for use, files in uses().items() if use not in set(granted())}
    assert missing == {}, "add them to deploy/k8s/base/rights.yaml"


def test_nothing_is_granted_that_no_client_calls() -> None:
    assert set(granted()) - set(uses()) == set()


def test_no_step_may_delete_anything_read_secrets_or_take_whatever_there_is() -> None:
    assert not {verb for _, verb in granted()} & {"delete", "deletecollection", "*", "escalate", "bind", "impersonate"}
    assert not {name for name, _ in granted()} & {"secrets", "*", "pods/exec", "clusterroles.rbac.authorization.k8s.io"}
