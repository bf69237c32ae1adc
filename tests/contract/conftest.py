"""The API servers of the contract: the embedded one, and a real one that MLOPS_TEST_KUBECONFIG names."""

import os
import shutil
import tempfile
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from common.k8s_client import Kubernetes
from common.settings import Kubernetes as Section
from tests.serving.kube import KubeApi

Document = dict[str, Any]
REAL = os.environ.get("MLOPS_TEST_KUBECONFIG", "")


@dataclass(frozen=True)
class Cluster:
    """A server, our client to it, and a namespace that is the tests' own."""

    kube: Kubernetes
    section: Section
    namespace: str
    kubeconfig: Path
    api: KubeApi | None = None

    def runtime(self, name: str, **spec: Any) -> Document:
        """A ServingRuntime, a kind that no controller touches."""
        container = {"name": "kserve-container", "image": "one"}
        return {
            "apiVersion": "serving.kserve.io/v1alpha1", "kind": "ServingRuntime",
            "metadata": {"name": name, "namespace": self.namespace}, "spec": {"containers": [container], **spec},
        }  # fmt: skip

    def as_somebody_else(self, name: str, patch: Document, manager: str = "kubectl-edit") -> None:
        """Change a ServingRuntime with another client, as another field manager."""
        from kubernetes import client, config

        api = client.CustomObjectsApi(config.new_client_from_config(str(self.kubeconfig)))
        api.patch_namespaced_custom_object(
            "serving.kserve.io", "v1alpha1", self.namespace, "servingruntimes", name, patch, field_manager=manager
        )


@pytest.fixture(scope="session")
def embedded_kube() -> Iterator[KubeApi]:
    """An embedded API server without an object store: nothing here is ever served."""
    state = Path(tempfile.mkdtemp(prefix="mlops-contract-", dir="/tmp"))
    api = KubeApi(state).start()
    try:
        yield api
    finally:
        api.stop()
        shutil.rmtree(state, ignore_errors=True)


@pytest.fixture(
    params=[
        "embedded",
        pytest.param("real", marks=pytest.mark.skipif(not REAL, reason="MLOPS_TEST_KUBECONFIG is not set")),
    ]
)
def cluster(request: pytest.FixtureRequest) -> Iterator[Cluster]:
    """Each server in turn, with a fresh namespace."""
    namespace = f"mlops-test-{uuid.uuid4().hex[:8]}"
    api: KubeApi | None = None
    if request.param == "embedded":
        api = request.getfixturevalue("embedded_kube")
        section, kubeconfig = api.section, api.state / "kubeconfig"
    else:
        section, kubeconfig = Section(kubeconfig=REAL, embedded=False), Path(REAL)
    kube = Kubernetes(section)
    kube.ensure_namespace(namespace)
    try:
        yield Cluster(kube, section, namespace, kubeconfig, api)
    finally:
        kube.delete("Namespace", namespace)
