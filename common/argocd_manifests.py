"""What we ask Argo CD for, as data: an AppProject that allows little, and the Application in it."""

from dataclasses import dataclass
from typing import Any

from common.errors import ConfigError

Document = dict[str, Any]
API = "argoproj.io/v1alpha1"
KINDS = ("ServingRuntime", "InferenceService")
GROUP = "serving.kserve.io"
# What UC2 changes while a canary runs. Self-heal must not undo it; it may decide nothing else.
OF_A_CANARY = ["/spec/canary", "/spec/predictor/canaryTrafficPercent"]
SYNC_OPTIONS = ["CreateNamespace=true", "ServerSideApply=true", "RespectIgnoreDifferences=true"]


@dataclass(frozen=True)
class Delivery:
    """One overlay of one repository, delivered to one namespace; in a project of our own, or in one that is given."""

    name: str
    project: str
    argocd_namespace: str
    repository: str
    branch: str
    path: str
    cluster: str
    namespace: str
    project_is_ours: bool = True


def app_project(wanted: Delivery) -> Document:
    """An AppProject: this repository, this namespace, and of the kinds only those that serve a model."""
    kinds = [{"group": GROUP, "kind": kind} for kind in KINDS]
    return {
        "apiVersion": API, "kind": "AppProject",
        "metadata": {"name": wanted.project, "namespace": wanted.argocd_namespace},
        "spec": {
            "description": "Models that are promoted by commits",
            "sourceRepos": [wanted.repository],
            "destinations": [{"server": wanted.cluster, "namespace": wanted.namespace}],
            # CreateNamespace needs it. An Argo CD that does not know `name` refuses it: docs/how-to/gitops.md.
            "clusterResourceWhitelist": [{"group": "", "kind": "Namespace", "name": wanted.namespace}],
            "namespaceResourceWhitelist": kinds,
        },
    }  # fmt: skip


def refuse_no_project(wanted: Delivery, is_there: bool) -> None:
    """Raise ConfigError where the project that is given is not there: its owners make it, and say what it allows."""
    if not is_there:
        raise ConfigError(
            f"Argo CD has no AppProject {wanted.project} in {wanted.argocd_namespace}.",
            "Have it made, with this repository and namespace; or leave argocd.project empty: then one is made.",
        )


def application(wanted: Delivery) -> Document:
    """An Application that follows the branch by itself: it syncs, prunes and heals."""
    ignored = {"group": GROUP, "kind": "InferenceService", "jsonPointers": OF_A_CANARY}
    return {
        "apiVersion": API, "kind": "Application",
        "metadata": {"name": wanted.name, "namespace": wanted.argocd_namespace},
        "spec": {
            "project": wanted.project,
            "source": {"repoURL": wanted.repository, "targetRevision": wanted.branch, "path": wanted.path},
            "destination": {"server": wanted.cluster, "namespace": wanted.namespace},
            "ignoreDifferences": [ignored],
            "syncPolicy": {"automated": {"prune": True, "selfHeal": True}, "syncOptions": SYNC_OPTIONS},
        },
    }  # fmt: skip


def operation() -> Document:
    """A sync to where the Application points: with automated sync no other revision is accepted."""
    return {"initiatedBy": {"username": "mlops"}, "sync": {"prune": True, "syncOptions": SYNC_OPTIONS}}
