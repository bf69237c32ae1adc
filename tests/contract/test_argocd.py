"""Argo CD is the same through the Kubernetes API and through its own: what a step may rely on with either."""

import subprocess
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import SecretStr

from common.argocd_client import Applications, KubernetesApplications, NotDelivered, deliver
from common.argocd_manifests import Delivery, application
from common.argocd_rest import RestApplications
from common.argocd_status import is_delivered, revision, words
from common.errors import AccessRefused, ConfigError, DeadlineExceeded, Unavailable
from common.git_client import Change, GitRepository
from common.k8s_client import Kubernetes
from common.settings import Argocd, Git
from tests.contract.argocd_server import TOKEN, argocd_server
from tests.serving.kube import KubeApi, until

Document = dict[str, Any]
AT = datetime(2026, 3, 1, tzinfo=UTC)
RUNTIME = {
    "apiVersion": "serving.kserve.io/v1alpha1", "kind": "ServingRuntime", "metadata": {"name": "one"},
    "spec": {"containers": [{"name": "kserve-container", "image": "one"}]},
}  # fmt: skip


@dataclass(frozen=True)
class Setup:
    """A way to Argo CD, a repository, and what is to be delivered from it."""

    argocd: Applications
    kube: Kubernetes
    repository: GitRepository
    wanted: Delivery

    def push(self, image: str, **more: str) -> str:
        """Commit a runtime with this image; returns the commit."""
        runtime = {**RUNTIME, "spec": {"containers": [{"name": "kserve-container", "image": image}]}}
        kustomization = {"resources": ["runtime.yaml"], "namespace": self.wanted.namespace, **more}
        files = {"overlays/a/runtime.yaml": yaml.safe_dump(runtime),
                 "overlays/a/kustomization.yaml": yaml.safe_dump(kustomization)}  # fmt: skip
        return self.repository.publish(lambda _: Change(files, f"{image}\n", AT)).commit

    def image(self) -> str:
        live = self.kube.get("ServingRuntime", "one", self.wanted.namespace) or {}
        return str(live.get("spec", {}).get("containers", [{}])[0].get("image", ""))


@pytest.fixture(params=["kubernetes", "rest"])
def setup(request: pytest.FixtureRequest, embedded_kube: KubeApi, tmp_path: Path) -> Iterator[Setup]:
    name = f"app-{uuid.uuid4().hex[:8]}"
    remote = tmp_path / "remote.git"
    subprocess.run(["git", "init", "--quiet", "--bare", "-b", "main", str(remote)], check=True)
    repository = GitRepository(Git(deployments_url=remote.as_uri()), tmp_path)
    wanted = Delivery(
        name, name, "argocd", remote.as_uri(), "main", "overlays/a", "https://kubernetes.default.svc", name
    )
    kube = embedded_kube.client()
    kube.ensure_namespace("argocd")
    with argocd_server(kube) as server:
        rest = RestApplications(Argocd(server=server.url, token=SecretStr(TOKEN)))
        argocd = rest if request.param == "rest" else KubernetesApplications(kube, Argocd())
        yield Setup(argocd, kube, repository, wanted)
    kube.delete("Application", name, "argocd")


def test_it_says_who_it_is(setup: Setup) -> None:
    assert setup.argocd.ping()


def test_what_was_never_declared_is_none(setup: Setup) -> None:
    assert setup.argocd.get(setup.wanted) is None


def test_what_is_declared_stands_there_and_declared_again_it_is_the_same_object(setup: Setup) -> None:
    setup.push("one")
    setup.argocd.declare(setup.wanted)
    first = setup.argocd.get(setup.wanted)
    setup.argocd.declare(setup.wanted)
    second = setup.argocd.get(setup.wanted)
    assert first is not None
    assert second is not None
    assert first["spec"] == second["spec"] == application(setup.wanted)["spec"]
    assert first["metadata"]["uid"] == second["metadata"]["uid"]


def test_a_commit_is_delivered_and_the_next_one_too_each_at_its_own_revision(setup: Setup) -> None:
    for image in ("one", "two"):
        commit = setup.push(image)
        live = deliver(setup.argocd, setup.wanted, commit.__eq__, 60)
        assert (revision(live), words(live), setup.image()) == (commit, ("Synced", "Healthy"), image)


def test_a_sync_that_is_asked_for_heals_at_once_and_asked_for_twice_is_one(setup: Setup) -> None:
    commit = setup.push("one")
    deliver(setup.argocd, setup.wanted, commit.__eq__, 60)
    box = [{"name": "kserve-container", "image": "by-hand"}]
    setup.kube.merge_patch("ServingRuntime", "one", setup.wanted.namespace, {"spec": {"containers": box}})
    setup.argocd.sync(setup.wanted)
    setup.argocd.sync(setup.wanted)
    until(lambda: setup.image() == "one")
    until(lambda: is_delivered(setup.argocd.get(setup.wanted) or {"metadata": {}}, commit.__eq__))


def test_a_repository_that_cannot_be_built_fails_early_with_the_reason(setup: Setup) -> None:
    commit = setup.push("one", namePrefix="x-")
    with pytest.raises(NotDelivered, match=r"ComparisonError: .*namePrefix is not understood"):
        deliver(setup.argocd, setup.wanted, commit.__eq__, 60)
    assert setup.image() == ""


def test_a_commit_that_never_comes_is_waited_for_until_the_deadline_and_no_longer(setup: Setup) -> None:
    setup.push("one")
    with pytest.raises(DeadlineExceeded, match="was not Synced and Healthy at our commit within 2 s"):
        deliver(setup.argocd, setup.wanted, lambda _: False, 2)


def test_a_wrong_token_and_a_server_that_is_away_are_told_apart(embedded_kube: KubeApi) -> None:
    with argocd_server(embedded_kube.client()) as server:
        with pytest.raises(AccessRefused, match="invalid session") as refused:
            RestApplications(Argocd(server=server.url, token=SecretStr("wrong-token"))).ping()
        assert "wrong-token" not in str(refused.value)
        url = server.url
    with pytest.raises(Unavailable, match="does not answer"):
        RestApplications(Argocd(server=url, token=SecretStr(TOKEN))).ping()


def test_a_project_that_is_given_is_looked_at_and_never_written(setup: Setup) -> None:
    name = f"given-{uuid.uuid4().hex[:8]}"
    given = replace(setup.wanted, project=name, project_is_ours=False)
    with pytest.raises(ConfigError, match=f"no AppProject {name} in argocd"):
        setup.argocd.declare(given)
    assert setup.argocd.get(given) is None
    theirs = {
        "apiVersion": "argoproj.io/v1alpha1", "kind": "AppProject", "metadata": {"name": name, "namespace": "argocd"},
        "spec": {"sourceRepos": ["*"], "destinations": [{"server": "*", "namespace": "*"}]},
    }  # fmt: skip
    made = setup.kube.create(theirs)
    assert setup.argocd.declare(given)["spec"]["project"] == name
    assert setup.kube.get("AppProject", name, "argocd") == made
    setup.kube.delete("AppProject", name, "argocd")
