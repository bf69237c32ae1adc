"""What a write may change, and what it counts as: pure functions on objects."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from embedded.kube.fields import Manager
from embedded.kube.kinds import Kind

Document = dict[str, Any]
SERVER_OWNED = ("uid", "creationTimestamp", "generation", "managedFields", "resourceVersion", "deletionTimestamp")


@dataclass(frozen=True)
class Target:
    """Which object a request is about; `name` is empty for a collection."""

    kind: Kind
    namespace: str = ""
    name: str = ""
    subresource: str = ""


@dataclass(frozen=True)
class Writer:
    """Who writes: the field manager, and whether the write is only tried."""

    manager: str
    dry_run: bool = False


def only_what_may_change(target: Target, live: Document, new: Document) -> Document:
    """Keep what the server owns, and the half of the object that this address does not write."""
    for owned in SERVER_OWNED:
        if owned in live["metadata"]:
            new["metadata"][owned] = live["metadata"][owned]
    if not target.kind.status_subresource:
        return new
    if target.subresource == "status":
        return {**live, **({"status": new["status"]} if "status" in new else {})}
    kept = {"status": live["status"]} if "status" in live else {}
    return {key: value for key, value in new.items() if key != "status"} | kept


def applicable(target: Target, applied: Document) -> Document:
    """The part of an applied configuration that this address writes."""
    if not target.kind.status_subresource:
        return applied
    if target.subresource == "status":
        return {"status": applied.get("status", {})}
    return {key: value for key, value in applied.items() if key != "status"}


def intent(kind: Kind, document: Document) -> Document:
    """What `generation` counts changes of: all but metadata, and status where it is written apart."""
    ignored = {"metadata", "status"} if kind.status_subresource else {"metadata"}
    return {key: value for key, value in document.items() if key not in ignored}


def updater(target: Target, writer: Writer) -> Manager:
    return Manager(writer.manager, "Update", target.kind.api_version, target.subresource, now())


def identity(document: Document) -> Document:
    return {key: value for key, value in document["metadata"].items() if key in ("name", "namespace")}


def version_of(document: Document) -> str:
    return str(document["metadata"]["resourceVersion"])


def now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
