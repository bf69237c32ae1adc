"""Argo CD, through the objects that it follows in the Kubernetes API: also where its own API is out of reach.

The other way, through its REST API, is common.argocd_rest; both keep to one contract (tests/contract/test_argocd.py).
"""

import time
from collections.abc import Callable
from typing import Any, Protocol

from common.argocd_manifests import Delivery, app_project, application, operation, refuse_no_project
from common.argocd_status import is_busy, is_delivered, is_refreshing, revision, trouble, words
from common.errors import ConfigError, DeadlineExceeded, StepFailed
from common.k8s_client import Kubernetes
from common.k8s_errors import Changed
from common.settings import Argocd as Section
from common.settings import Settings

Document = dict[str, Any]
REFRESH = "argocd.argoproj.io/refresh"
POLL_SECONDS = 0.25
# A status tells of the past: right after a sync it may still show what the sync has just mended.
PATIENCE_SECONDS = 4.0


class NotDelivered(StepFailed):
    """Argo CD could not roll the commit out, or what it rolled out is not well. The message has its reason."""


def refuse_unreachable(settings: Settings, repository: str) -> None:
    """Raise ConfigError where Argo CD could reach neither its objects nor this repository."""
    if settings.argocd.embedded and not settings.kubernetes.embedded:
        raise ConfigError(
            "argocd is embedded but kubernetes is remote: its controller lives in the embedded API.",
            "Set argocd.embedded: false, and git to a repository that Argo CD can reach.",
        )
    if not settings.argocd.embedded and repository.startswith(("/", "file:", ".")):
        raise ConfigError(
            f"Argo CD on a cluster cannot read {repository}, a path of this machine.",
            "Set git.deployments_url, or argocd.repository_url, to what it can reach.",
        )


class Applications(Protocol):
    """What a step asks of Argo CD."""

    def ping(self) -> str:
        """Its version, or what there is to know."""

    def declare(self, wanted: Delivery) -> Document:
        """Make AppProject, where it is ours, and Application as wanted, and return the Application."""

    def get(self, wanted: Delivery) -> Document | None:
        """The Application, or None."""

    def refresh(self, wanted: Delivery) -> None:
        """Ask it to look at the repository now."""

    def sync(self, wanted: Delivery) -> None:
        """Ask it to roll out what the branch says, unless it is at it."""


class KubernetesApplications:
    """Applications as custom resources."""

    def __init__(self, kubernetes: Kubernetes, settings: Section) -> None:
        self._kubernetes, self._settings = kubernetes, settings

    def ping(self) -> str:
        """How many Applications there are. Raises Unavailable where Argo CD's kinds are not installed."""
        count = len(self._kubernetes.list("Application", self._settings.namespace))
        return f"{count} application{'s' * (count != 1)}"

    def declare(self, wanted: Delivery) -> Document:
        """Server-side apply: fields that others changed are taken back. A project that is given is only looked at."""
        if wanted.project_is_ours:
            self._kubernetes.declare(app_project(wanted))
        else:
            given = self._kubernetes.get("AppProject", wanted.project, wanted.argocd_namespace)
            refuse_no_project(wanted, is_there=given is not None)
        return self._kubernetes.declare(application(wanted))

    def get(self, wanted: Delivery) -> Document | None:
        """The Application, or None."""
        return self._kubernetes.get("Application", wanted.name, wanted.argocd_namespace)

    def refresh(self, wanted: Delivery) -> None:
        """Annotate it: the controller takes the annotation away when it has looked."""
        patch = {"metadata": {"annotations": {REFRESH: "normal"}}}
        self._kubernetes.merge_patch("Application", wanted.name, wanted.argocd_namespace, patch)

    def sync(self, wanted: Delivery) -> None:
        """Write `operation`, which the controller takes away when it is done; never over another one."""
        live = self.get(wanted)
        if live is None or live.get("operation"):
            return
        patch = {"metadata": {"resourceVersion": live["metadata"]["resourceVersion"]}, "operation": operation()}
        try:
            self._kubernetes.merge_patch("Application", wanted.name, wanted.argocd_namespace, patch)
        except Changed:
            return  # somebody was at it: whoever waits looks again, and asks again where nothing happens


def deliver(argocd: Applications, wanted: Delivery, is_ours: Callable[[str], bool], seconds: float) -> Document:
    """Declare, refresh, sync, and wait until the Application is Synced and Healthy at a commit that `is_ours` accepts.

    Raises NotDelivered, early, with Argo CD's reason; DeadlineExceeded.
    """
    argocd.declare(wanted)
    argocd.refresh(wanted)
    asked, end, failing_since = False, time.monotonic() + seconds, 0.0
    live: Document = {}
    while time.monotonic() < end:
        live = argocd.get(wanted) or {"metadata": {}}
        if is_delivered(live, is_ours):
            return live
        why = trouble(live, is_ours)
        failing_since = (failing_since or time.monotonic()) if why else 0.0
        if why and time.monotonic() - failing_since > PATIENCE_SECONDS:
            raise NotDelivered(f"Argo CD could not deliver {wanted.name}: {why}",
                               "Take the commit back: uc6_02_sync_argocd.py --rollback")  # fmt: skip
        if not asked and not is_refreshing(live) and not is_busy(live) and _is_behind(live, is_ours):
            argocd.sync(wanted)
            asked = True
        time.sleep(POLL_SECONDS)
    raise DeadlineExceeded(
        f"Application {wanted.name} was not Synced and Healthy at our commit within {seconds:g} s; "
        f"it is {' and '.join(words(live))} at {revision(live)[:12] or 'no commit'}.",
        "Look at it: kubectl -n argocd get application; raise --timeout if the cluster is slow.",
    )


def _is_behind(live: Document, is_ours: Callable[[str], bool]) -> bool:
    return words(live)[0] == "OutOfSync" and is_ours(revision(live))
