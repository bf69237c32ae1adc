"""Plays Argo CD's controller: every Application follows its branch, and the objects that it made follow git.

It writes Argo CD's status fields in its words. Polls a repository once a second where Argo CD takes minutes or a
webhook; self-heals after a pause, as Argo CD does.
"""

import asyncio
import contextlib
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from common.logger import get_logger
from embedded.controllers.app_compare import Resource, group_version, ignored_paths, is_tracked_by, kind_of, tracked
from embedded.controllers.app_project import why_refused
from embedded.controllers.app_status import Observation, conditions, with_history, written
from embedded.controllers.app_sync import Sync, begun
from embedded.controllers.git_source import GitSource, SourceError
from embedded.controllers.kustomize import RenderError, build
from embedded.kube.errors import ApiError
from embedded.kube.kinds import APP_PROJECT, APPLICATION, KINDS
from embedded.kube.objects import Objects
from embedded.kube.rules import Target, Writer

POLL_SECONDS = 1.0
SELF_HEAL_SECONDS = 2.0
REFRESH = "argocd.argoproj.io/refresh"
Document = dict[str, Any]
log = get_logger(__name__)


@dataclass(frozen=True)
class _Read:
    """What git says of an Application: manifests at a revision; or why not.

    `answers_refresh` where a refresh was asked for before git was read.
    """

    answers_refresh: bool
    revision: str = ""
    manifests: list[Document] | None = None
    refused: str = ""
    problem: str = ""


class GitOps:
    """One loop over all Applications: each look is short, and a broken one does not stop the others."""

    def __init__(self, objects: Objects) -> None:
        self._objects = objects
        self._resolved: dict[tuple[str, str], tuple[tuple[int, ...], str]] = {}

    async def run(self) -> None:
        """Follow the store and the repositories until cancelled."""
        store = self._objects.store
        while True:
            version = store.version()
            for application in store.all(APPLICATION):
                try:
                    await self._look(application)
                except Exception:  # one Application's trouble must not end the others' controller
                    log.exception("could not reconcile", application=application["metadata"]["name"])
            await store.changed(version, POLL_SECONDS)

    async def _look(self, application: Document) -> None:
        """Read git in a thread, then compare, sync and write the status in one go, in which nothing else happens."""
        read = await self._read(application)
        with contextlib.suppress(ApiError):  # deleted meanwhile
            metadata = application["metadata"]
            live = self._objects.get(Target(APPLICATION, metadata["namespace"], metadata["name"]))
            if live["spec"] == application["spec"]:
                self._reconcile(live, read)

    async def _read(self, application: Document) -> "_Read":
        asked = REFRESH in (application["metadata"].get("annotations") or {})
        if refused := why_refused(self._project(application), application):
            return _Read(asked, refused=refused)
        try:
            revision, manifests = await asyncio.to_thread(self._rendered, application)
        except (SourceError, RenderError) as error:
            return _Read(asked, problem=str(error))
        return _Read(asked, revision, manifests)

    def _project(self, application: Document) -> Document | None:
        namespace, name = application["metadata"]["namespace"], application["spec"]["project"]
        return self._objects.store.get(APP_PROJECT, namespace, name)

    def _rendered(self, application: Document) -> tuple[str, list[Document]]:
        source = application["spec"]["source"]
        repository, wanted = GitSource.of(source["repoURL"]), source.get("targetRevision") or "HEAD"
        print_, known = repository.fingerprint(wanted), (source["repoURL"], wanted)
        if self._resolved.get(known, ((), ""))[0] != print_ or not any(print_):
            self._resolved[known] = (print_, repository.resolve(wanted))
        revision = self._resolved[known][1]
        return revision, build(repository.files(revision), source.get("path", "."))

    def _reconcile(self, live: Document, read: "_Read") -> None:
        """Bring the Application's objects to what was read, as far as that is due, and say how it is."""
        status, now = live.get("status") or {}, _now()
        observed, operation, trouble = self._observed(live, read), live.get("operation"), ""
        if operation is None and observed.is_out_of_sync:
            operation, trouble = self._due(live, observed)
        state, ended = status.get("operationState"), False
        if operation is not None:
            state = self._proceeded(live, operation, state, observed, read, now)
            ended, observed = state["phase"] != "Running", self._observed(live, read)
        if ended and state:
            log.info("a sync ended", application=live["metadata"]["name"], phase=state["phase"], said=state["message"])
            status = with_history(status, state, live["spec"], now)
        said = {"InvalidSpecError": read.refused, "ComparisonError": read.problem, "SyncError": trouble}
        found = conditions(status, said, now)
        new = written(status, observed, state, found, now, must_tell=ended or read.answers_refresh)
        self._write(live, new, None if ended else operation, read.answers_refresh)

    def _observed(self, live: Document, read: "_Read") -> Observation:
        resources = None if read.manifests is None else self._resources(live, read.manifests)
        return Observation(live, read.revision, resources)

    def _resources(self, application: Document, manifests: list[Document]) -> list[Resource]:
        """What is wanted, beside what is there; and what this Application made that nobody wants any more."""
        name, namespace = application["metadata"]["name"], application["spec"]["destination"].get("namespace", "")
        wanted = [self._resource(application, tracked(each, name), namespace) for each in manifests]
        known = {(each.kind, each.namespace, each.name) for each in wanted}
        for kind in (each for each in KINDS if each.namespaced):
            for live in self._objects.store.all(kind):
                place = (kind.kind, live["metadata"].get("namespace", ""), live["metadata"]["name"])
                if is_tracked_by(live, name) and place not in known:
                    wanted.append(Resource(kind.group, kind.version, *place, wanted=None, live=live))
        return wanted

    def _resource(self, application: Document, document: Document, namespace: str) -> Resource:
        group, version = group_version(document)
        kind, metadata = kind_of(group, version, document["kind"]), document["metadata"]
        place = "" if kind and not kind.namespaced else str(metadata.get("namespace") or namespace)
        live = self._objects.store.get(kind, place, metadata["name"]) if kind else None
        return Resource(group, version, document["kind"], place, metadata["name"], document, live,
                        ignored_paths(application, document))  # fmt: skip

    def _due(self, application: Document, observed: Observation) -> tuple[Document | None, str]:
        """The sync that automation asks for now, and why it does not, where that is worth telling."""
        policy = (application["spec"].get("syncPolicy") or {}).get("automated")
        if policy is None or policy.get("enabled") is False:
            return None, ""
        if not any(each.wanted for each in observed.resources or []) and not policy.get("allowEmpty"):
            return None, "Skipping sync attempt: git has nothing, and everything would be deleted (allowEmpty is off)"
        state = (application.get("status") or {}).get("operationState") or {}
        if state.get("syncResult", {}).get("revision") == observed.revision and "finishedAt" in state:
            if state["phase"] != "Succeeded":
                return None, f"Failed last sync attempt to [{observed.revision}]: {state.get('message', '')}"
            if not policy.get("selfHeal") or _seconds_since(state["finishedAt"]) < SELF_HEAL_SECONDS:
                return None, ""
        options = application["spec"]["syncPolicy"].get("syncOptions") or []
        sync = {"revision": observed.revision, "prune": bool(policy.get("prune")), "syncOptions": options}
        return {"initiatedBy": {"automated": True}, "sync": sync}, ""

    def _proceeded(
        self, application: Document, operation: Document, state: Document | None, seen: Observation, read: "_Read",
        now: str,
    ) -> Document:  # fmt: skip
        """The operation's state after what could be done now. One that is new to us starts."""
        spec, project = application["spec"], self._project(application)
        if state is None or state["phase"] != "Running" or state["operation"] != operation:
            state = begun(operation, read.revision, spec.get("source") or {}, now)
        if seen.resources is None or project is None:
            return {**state, "phase": "Error", "message": read.refused or read.problem, "finishedAt": now}
        sync = Sync(self._objects, project, spec["destination"], operation, seen.resources)
        return sync.proceed(state, now)

    def _write(self, live: Document, status: Document, operation: Document | None, refreshed: bool) -> None:
        metadata = live["metadata"]

        def change(document: Document) -> Document:
            new = {key: value for key, value in document.items() if key != "operation"} | {"status": status}
            notes = dict(document["metadata"].get("annotations") or {})
            if refreshed:
                notes.pop(REFRESH, None)
            kept = {key: value for key, value in document["metadata"].items() if key != "annotations"}
            new["metadata"] = {**kept, **({"annotations": notes} if notes else {})}
            return new | ({"operation": operation} if operation else {})

        if change(live) != live:
            target = Target(APPLICATION, metadata["namespace"], metadata["name"])
            self._objects.patch(target, change, Writer("argocd-controller"))


def _seconds_since(text: str) -> float:
    return (datetime.now(UTC) - datetime.fromisoformat(text)).total_seconds()


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
