"""KServe's two forms of a canary: which one a cluster honours, and what a status says of a canary. Pure functions.

Standard   spec.canary, a Deployment of its own with weights in the HTTPRoute; since KServe 0.20
Knative    spec.predictor.canaryTrafficPercent, a new revision of the one Knative service

KServe accepts the wrong form in silence: in Standard mode it ignores canaryTrafficPercent and rolls out everywhere.
"""

import json
import re
from dataclasses import dataclass
from typing import Any

from common.serving_manifests import MODE
from common.serving_status import is_current, load_failure

Document = dict[str, Any]
STANDARD, KNATIVE = "Standard", "Knative"
FIRST_WITH_SPEC_CANARY = (0, 20)
_OLD_NAMES = {"RawDeployment": STANDARD, "Serverless": KNATIVE}


def mode_of(service: Document | None, configured: str) -> str:
    """The deployment mode in force: what the status says, else the annotation, else the configuration."""
    live = service or {}
    annotated = (live.get("metadata", {}).get("annotations") or {}).get(MODE)
    mode = live.get("status", {}).get("deploymentMode") or annotated or configured
    return _OLD_NAMES.get(mode, str(mode))


def knows_spec_canary(definition: Document | None) -> bool | None:
    """Does the InferenceService's CRD have spec.canary? None where it cannot be seen, as in KServe's minimal CRD."""
    versions = (definition or {}).get("spec", {}).get("versions", [])
    served: Document = next((each for each in versions if each.get("name") == "v1beta1"), {})
    spec = served.get("schema", {}).get("openAPIV3Schema", {}).get("properties", {}).get("spec", {})
    properties = spec.get("properties")
    if properties and "canary" in properties:
        return True
    return None if not properties or spec.get("x-kubernetes-preserve-unknown-fields") else False


def kserve_version(controller: Document | None) -> str:
    """KServe's version, by its controller's Deployment: the label, else the image's tag; "" where neither says."""
    if controller is None:
        return ""
    labels = controller["metadata"].get("labels") or {}
    containers = controller.get("spec", {}).get("template", {}).get("spec", {}).get("containers", [])
    tags = [each.get("image", "").partition("@")[0].rpartition(":")[2] for each in containers]
    said = (re.match(r"v?(\d+\.\d+\S*)", text) for text in (labels.get("app.kubernetes.io/version", ""), *tags))
    return next((match[1] for match in said if match), "")


def has_spec_canary(version: str) -> bool:
    """True for a version of KServe that honours spec.canary."""
    major, minor = version.split(".")[:2]
    return (int(major), int(re.match(r"\d*", minor)[0] or 0)) >= FIRST_WITH_SPEC_CANARY  # type: ignore[index]


@dataclass(frozen=True)
class Progress:
    """What the status says of a canary; `percent` is None while it is not in the status at all."""

    percent: int | None = None
    ready: bool = False
    failure: str = ""


def progress(service: Document, form: str, name: str) -> Progress:
    """How far the canary of this name has come; in Knative's form the newest revision is the canary."""
    status = service.get("status", {})
    if form == KNATIVE:
        newest = Revisions.of(service)
        current = is_current(service)
        failure = load_failure(status.get("modelStatus", {})) if current else ""
        return Progress(newest.percent, current and newest.is_ready, failure)
    for entry in status.get("canaryStatuses") or []:
        if entry.get("name") == name:
            failure = load_failure(entry.get("modelStatus") or {})
            return Progress(entry.get("trafficPercent", 0), bool(entry.get("ready")), failure)
    return Progress()


def is_alone(service: Document, form: str) -> bool:
    """True when the status says that one version has all traffic."""
    if form == KNATIVE:
        newest = Revisions.of(service)
        return is_current(service) and newest.is_ready and newest.percent == 100
    return not service.get("status", {}).get("canaryStatuses")


@dataclass(frozen=True)
class Revisions:
    """Knative's view of a service: names of revisions, and the share of the newest one."""

    created: str
    ready: str
    rolled_out: str
    percent: int | None

    @classmethod
    def of(cls, service: Document) -> "Revisions":
        """By status.components.predictor."""
        seen = service.get("status", {}).get("components", {}).get("predictor", {})
        created = seen.get("latestCreatedRevision", "")
        traffic = seen.get("traffic") or []
        shares = [each.get("percent") or 0 for each in traffic if created and each.get("revisionName") == created]
        percent = sum(shares) if traffic else None
        return cls(created, seen.get("latestReadyRevision", ""), seen.get("latestRolledoutRevision", ""), percent)

    @property
    def is_ready(self) -> bool:
        """True when the newest revision is ready."""
        return bool(self.created) and self.created == self.ready


def seen(service: Document, form: str) -> str:
    """What the status says of the split, for messages."""
    status = service.get("status", {})
    path, node = "status.canaryStatuses", status.get("canaryStatuses")
    if form == KNATIVE:
        path, node = "status.components.predictor", status.get("components", {}).get("predictor")
    return f"{path} is {json.dumps(node)}" if node else f"{path} is absent"
