"""A cluster in the test's own process: the embedded API's rules, and a KServe that does what the real one does.

Unlike the embedded controller it starts no model server, makes a Knative revision of every change of a label or
annotation, reports a new generation before it has seen what came of it, and can be an old version.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from common.errors import MlopsError
from common.serving_manifests import live_canary
from embedded.kube import errors
from embedded.kube.kinds import KINDS, Kind
from embedded.kube.objects import Objects
from embedded.kube.patches import merge_patch
from embedded.kube.rules import Target, Writer
from embedded.kube.store import Store

Document = dict[str, Any]


STALE_LOOKS = 4
"""So often a service is looked at after a change before its new revision is seen."""


class Killed(BaseException):
    """The process ended here."""


def digest_of(predictor: Document) -> str:
    return str(predictor["model"]["storageUri"].rpartition("/")[2])


def percent_of(service: Document) -> int | None:
    """The share that the spec gives its canary; None where it has none."""
    found = live_canary(service)
    return found.percent if found else None


@dataclass
class Kserve:
    """Its controller. `broken` are digests that cannot be loaded; `traffic` is who got how much, at each look."""

    mode: str
    honours_canaries: bool = True
    is_stuck: bool = False
    broken: set[str] = field(default_factory=set)
    traffic: list[dict[str, int]] = field(default_factory=list)
    revisions: list[str] = field(default_factory=list)
    pending: int = 0
    template: str = ""
    latest_ready: int = -1
    rolled_out: int = -1

    def reconcile(self, service: Document) -> Document:
        status = self._knative(service) if self.mode == "Knative" else self._standard(service)
        conditions = [{"type": "Ready", "status": "True"}]
        generation = service["metadata"]["generation"]
        return {"url": "http://churn", "deploymentMode": self.mode, "conditions": conditions,
                "observedGeneration": generation, **status}  # fmt: skip

    def _standard(self, service: Document) -> Document:
        champion = digest_of(service["spec"]["predictor"])
        if self.is_stuck:
            return {"canaryStatuses": service["status"].get("canaryStatuses", [])}
        canaries = service["spec"].get("canary", []) if self.honours_canaries else []
        ready = [each for each in canaries if digest_of(each["predictor"]) not in self.broken]
        given = {digest_of(each["predictor"]): each["trafficPercent"] for each in ready}
        self.traffic.append({**given, champion: 100 - sum(given.values())})
        statuses = [
            {"name": each["predictor"]["name"], "ready": each in ready, "trafficPercent": each["trafficPercent"],
             "modelStatus": {"transitionStatus": ""}}
            for each in canaries
        ]  # fmt: skip
        return {"modelStatus": {"transitionStatus": "UpToDate"}} | ({"canaryStatuses": statuses} if statuses else {})

    def _knative(self, service: Document) -> Document:
        if self.is_stuck:
            return {"components": service["status"]["components"]}
        predictor = service["spec"]["predictor"]
        percent = predictor.get("canaryTrafficPercent", 100)
        metadata = {key: service["metadata"].get(key) for key in ("labels", "annotations")}
        template = json.dumps([predictor["model"], metadata], sort_keys=True)
        if template != self.template:
            self.template, self.pending = template, STALE_LOOKS
        elif self.pending:
            self.pending -= 1
            if not self.pending:
                self._create(digest_of(predictor))
        if percent == 100 and self.latest_ready == len(self.revisions) - 1:
            self.rolled_out = self.latest_ready
        return self._knative_status(percent)

    def _create(self, revision: str) -> None:
        self.revisions = [*self.revisions, revision]
        if revision not in self.broken:
            self.latest_ready = len(self.revisions) - 1

    def _knative_status(self, percent: int) -> Document:
        shares = {self.latest_ready: percent}
        shares[self.rolled_out] = shares.get(self.rolled_out, 0) + 100 - percent
        shares = {at: share for at, share in shares.items() if at >= 0}
        self.traffic.append({self.revisions[at]: share for at, share in shares.items()})
        seen = {
            "latestCreatedRevision": _name(len(self.revisions) - 1), "latestReadyRevision": _name(self.latest_ready),
            "latestRolledoutRevision": _name(self.rolled_out),
            "traffic": [{"revisionName": _name(at), "percent": share, "latestRevision": at == self.latest_ready}
                        for at, share in shares.items()],
        }  # fmt: skip
        failed = bool(self.revisions) and self.latest_ready < len(self.revisions) - 1
        info = {"lastFailureInfo": {"reason": "ModelLoadFailed", "message": "No model found"}} if failed else {}
        model = {"transitionStatus": "BlockedByFailedLoad" if failed else "UpToDate", **info}
        return {"components": {"predictor": seen}, "modelStatus": model}


def _name(at: int) -> str:
    return f"churn-predictor-{at:05}" if at >= 0 else ""


class Cluster:
    """Kubernetes as our clients call it. `dies_at` kills the caller just after that write."""

    def __init__(self, path: Path, controller: Callable[[Document], Document]) -> None:
        self._objects, self._controller = Objects(Store(path)), controller
        self.others: dict[str, Document | MlopsError] = {}
        self.writes, self.dies_at = 0, 0
        self.kinds: list[str] = []
        self.percents: list[int | None] = []
        self.declare({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "models"}})

    def get(self, kind: str, name: str, namespace: str = "") -> Document | None:
        if kind not in _KINDS or kind in self.others:
            return self._other(kind)
        target = Target(_KINDS[kind], namespace, name)
        try:
            live = self._objects.get(target)
        except errors.ApiError:
            return None
        if kind != "InferenceService":
            return live
        status = self._controller(live)
        target = Target(target.kind, namespace, name, "status")
        return self._objects.patch(target, lambda found: {**found, "status": status}, Writer("kserve"))

    def _other(self, kind: str) -> Document | None:
        found = self.others.get(kind)
        if isinstance(found, MlopsError):
            raise found
        return found

    def list(self, kind: str, namespace: str) -> list[Document]:
        if kind in self.others:
            self._other(kind)
        return self._objects.store.all(_KINDS[kind], namespace)

    def declare(self, document: Document) -> Document:
        metadata = document["metadata"]
        target = Target(_KINDS[document["kind"]], metadata.get("namespace", ""), metadata["name"])
        made = self._objects.apply(target, document, Writer("mlops"), force=True)
        self._note(made)
        return made

    def _note(self, made: Document) -> None:
        self.writes += 1
        self.kinds.append(made["kind"])
        if made["kind"] == "InferenceService":
            self.percents.append(percent_of(made))
        if self.writes == self.dies_at:
            raise Killed

    def merge_patch(
        self, kind: str, name: str, namespace: str, patch: Document, *, status: bool = False, manager: str = "mlops"
    ) -> Document:
        target = Target(_KINDS[kind], namespace, name, "status" if status else "")
        return self._objects.patch(target, lambda live: merge_patch(live, patch), Writer(manager))


_KINDS: dict[str, Kind] = {kind.kind: kind for kind in KINDS if kind.kind != "CustomResourceDefinition"}
