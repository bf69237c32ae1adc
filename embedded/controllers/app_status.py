"""An Application's status, in the fields and words of Argo CD: pure functions."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from embedded.controllers.app_compare import Resource
from embedded.controllers.app_health import worst

Document = dict[str, Any]
HISTORY = 10


@dataclass(frozen=True)
class Observation:
    """What a look found. `resources` is None where git could not be read, or may not be."""

    application: Document
    revision: str
    resources: list[Resource] | None

    @property
    def is_out_of_sync(self) -> bool:
        """Is there anything that is not as git says?"""
        return any(not each.is_synced for each in self.resources or [])

    @property
    def sync(self) -> str:
        """Synced, OutOfSync or Unknown."""
        if self.resources is None:
            return "Unknown"
        return "OutOfSync" if self.is_out_of_sync else "Synced"

    @property
    def health(self) -> str:
        """The worst of the parts."""
        return worst(each.health for each in self.resources or [])


def written(
    before: Document, seen: Observation, state: Document | None, found: list[Document], now: str, *, must_tell: bool
) -> Document:
    """The new status. `reconciledAt` moves only with it, or when somebody waits for it: or it would never rest."""
    spec = seen.application["spec"]
    compared = {key: spec[key] for key in ("source", "destination", "ignoreDifferences") if key in spec}
    sync: Document = {"status": seen.sync, "comparedTo": compared}
    if seen.revision:
        sync["revision"] = seen.revision
    new = {key: value for key, value in before.items() if key not in ("conditions", "operationState")}
    new |= {"sync": sync, "sourceType": "Kustomize", "controllerNamespace": seen.application["metadata"]["namespace"]}
    if seen.resources is not None:
        new |= {"resources": [each.entry() for each in seen.resources], "summary": _summary(seen.resources)}
        new["health"] = _health(before.get("health", {}), seen.health, now)
    else:
        new.setdefault("health", _health({}, "Unknown", now))
    if state:
        new["operationState"] = state
    if found:
        new["conditions"] = found
    return {**new, "reconciledAt": now} if must_tell or new != before else before


def conditions(before: Document, said: Mapping[str, str], now: str) -> list[Document]:
    """Conditions of these types with their messages, "" for none; their times stay while they say the same."""
    old = {each["type"]: each for each in before.get("conditions") or []}
    return [
        old[kind] if old.get(kind, {}).get("message") == message
        else {"type": kind, "message": message, "lastTransitionTime": now}
        for kind, message in said.items() if message
    ]  # fmt: skip


def with_history(status: Document, state: Document, spec: Document, now: str) -> Document:
    """The status with one more deployment in its history, if the operation was one."""
    if state["phase"] != "Succeeded":
        return status
    history = list(status.get("history") or [])
    entry = {
        "id": history[-1]["id"] + 1 if history else 0, "revision": state["syncResult"]["revision"],
        "deployStartedAt": state["startedAt"], "deployedAt": now, "source": spec["source"],
        "initiatedBy": state["operation"].get("initiatedBy", {}),
    }  # fmt: skip
    return {**status, "history": [*history, entry][-HISTORY:]}


def _health(before: Document, status: str, now: str) -> Document:
    if before.get("status") == status:
        return before
    return {"status": status, "lastTransitionTime": now}


def _summary(resources: list[Resource]) -> Document:
    """The images of what is wanted."""
    runtimes = (each.wanted["spec"] for each in resources if each.wanted and each.kind == "ServingRuntime")
    images = {box["image"] for spec in runtimes for box in spec.get("containers") or [] if "image" in box}
    return {"images": sorted(images)} if images else {}
