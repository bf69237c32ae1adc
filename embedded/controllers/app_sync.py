"""A sync: wanted objects applied wave by wave, the others pruned, and the operation's state told as Argo CD does."""

import contextlib
from dataclasses import dataclass
from typing import Any

from embedded.controllers.app_compare import MANAGER, Resource
from embedded.controllers.app_health import health
from embedded.controllers.app_project import why_not_there, why_not_this
from embedded.kube.errors import ApiError
from embedded.kube.kinds import NAMESPACE
from embedded.kube.objects import Objects
from embedded.kube.rules import Target, Writer

Document = dict[str, Any]
WRITER = Writer(MANAGER)


@dataclass(frozen=True)
class Sync:
    """One operation on one Application's resources. `state` is its operationState so far."""

    objects: Objects
    project: Document
    destination: Document
    operation: Document
    resources: list[Resource]

    def proceed(self, state: Document, now: str) -> Document:
        """Do what can be done now; returns the state, which is Running while a wave waits to be healthy."""
        refused = [each for each in (*map(self._why_refused, self.resources), self._why_no_namespace()) if each]
        if refused:
            return _ended(
                state, "Failed", f"one or more synchronization tasks are not valid: {'; '.join(refused)}", now
            )
        self._make_namespace()
        told: list[Document] = []
        wanted = sorted((each for each in self.resources if each.wanted), key=lambda each: each.wave)
        for wave in sorted({each.wave for each in wanted}):
            told += [self._apply(each) for each in wanted if each.wave == wave]
            state = {**state, "syncResult": {**state["syncResult"], "resources": told}}
            failed = [each["message"] for each in told if each["status"] == "SyncFailed"]
            if failed:
                return _ended(state, "Failed", f"one or more objects failed to apply, reason: {'; '.join(failed)}", now)
            waiting = [each for each in wanted if each.wave == wave < wanted[-1].wave and not self._is_healthy(each)]
            if waiting:
                names = ", ".join(f"{each.group}/{each.kind}/{each.name}" for each in waiting)
                return {**state, "message": f"waiting for healthy state of {names}"}
        told += [self._prune(each) for each in self.resources if each.wanted is None]
        state = {**state, "syncResult": {**state["syncResult"], "resources": told}}
        return _ended(state, "Succeeded", "successfully synced (all tasks run)", now)

    def _why_refused(self, resource: Resource) -> str:
        if resource.wanted is None:
            return ""
        known = resource.known
        if known is None:
            return f"The Kubernetes API could not find {resource.group}/{resource.kind} for requested resource"
        return why_not_this(self.project, resource.group, resource.kind, resource.name, known.namespaced) or (
            why_not_there(self.project, self.destination, resource.namespace) if known.namespaced else ""
        )

    @property
    def _new_namespace(self) -> str:
        """The namespace that this sync has to make, "" where it is there or not asked for."""
        name = str(self.destination.get("namespace", ""))
        asked = "CreateNamespace=true" in (self.operation["sync"].get("syncOptions") or [])
        return name if asked and name and self.objects.store.get(NAMESPACE, "", name) is None else ""

    def _why_no_namespace(self) -> str:
        name = self._new_namespace
        return why_not_this(self.project, "", "Namespace", name, is_namespaced=False) if name else ""

    def _make_namespace(self) -> None:
        if name := self._new_namespace:
            self.objects.create(Target(NAMESPACE), {"metadata": {"name": name}}, WRITER)

    def _apply(self, resource: Resource) -> Document:
        assert resource.known
        target = Target(resource.known, resource.namespace, resource.name)
        try:
            self.objects.apply(target, resource.to_apply(), WRITER, force=True)
        except ApiError as error:
            return _told(resource, "SyncFailed", error.message)
        return _told(resource, "Synced", f"{target.kind.resource}/{resource.name} serverside-applied")

    def _prune(self, resource: Resource) -> Document:
        if not self.operation["sync"].get("prune"):
            return _told(resource, "PruneSkipped", "ignored (requires pruning)")
        assert resource.known
        with contextlib.suppress(ApiError):  # gone already
            self.objects.delete(Target(resource.known, resource.namespace, resource.name))
        return _told(resource, "Pruned", "pruned")

    def _is_healthy(self, resource: Resource) -> bool:
        assert resource.known
        live = self.objects.store.get(resource.known, resource.namespace, resource.name)
        found = health(live, resource.kind)
        return found is None or found["status"] == "Healthy"


def begun(operation: Document, revision: str, source: Document, now: str) -> Document:
    """The state of an operation that starts."""
    return {"operation": operation, "phase": "Running", "startedAt": now, "message": "waiting for the first wave",
            "syncResult": {"revision": revision, "source": source, "resources": []}}  # fmt: skip


def _ended(state: Document, phase: str, message: str, now: str) -> Document:
    return {**state, "phase": phase, "message": message, "finishedAt": now}


def _told(resource: Resource, status: str, message: str) -> Document:
    return {
        "group": resource.group, "version": resource.version, "kind": resource.kind, "namespace": resource.namespace,
        "name": resource.name, "status": status, "message": message, "syncPhase": "Sync",
    }  # fmt: skip
