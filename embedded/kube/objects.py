"""What a write means: the rules between a request and the store.

The server owns uid, generation, creationTimestamp, resourceVersion and managedFields. `status` changes only through
/status where a kind has it, and nothing else changes there. A write that changes nothing makes no new version.
"""

import copy
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from embedded.kube import errors, fields
from embedded.kube.fields import Manager
from embedded.kube.kinds import KINDS, NAMESPACE, Kind
from embedded.kube.store import Store
from embedded.kube.validation import check

Document = dict[str, Any]
SERVER_OWNED = (
    "uid",
    "creationTimestamp",
    "generation",
    "managedFields",
    "resourceVersion",
    "deletionTimestamp",
)


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


class Objects:
    """Create, replace, patch, apply and delete, on one store."""

    def __init__(self, store: Store) -> None:
        self.store = store
        if store.get(NAMESPACE, "", "default") is None:
            self.create(Target(NAMESPACE), {"metadata": {"name": "default"}}, Writer("kube-api"))

    def get(self, target: Target) -> Document:
        """The object. Raises 404."""
        found = self.store.get(target.kind, target.namespace, target.name)
        if found is None:
            raise errors.not_found(target.kind, target.name)
        return found

    def create(self, target: Target, body: Document, writer: Writer) -> Document:
        """A new object. Raises 409 when there is one of this name."""
        name = str(body.get("metadata", {}).get("name", ""))
        target = Target(target.kind, target.namespace, name)
        new = _applicable(target, self._addressed(target, copy.deepcopy(body)))
        if self.store.get(target.kind, target.namespace, name) is not None:
            raise errors.already_exists(target.kind, name)
        self._require_namespace(target)
        return self._insert(target, fields.after_update({"metadata": {}}, new, _updater(target, writer)), writer)

    def _insert(self, target: Target, new: Document, writer: Writer) -> Document:
        if target.kind is NAMESPACE:
            new = {"spec": {"finalizers": []}, "status": {"phase": "Active"}, **new}
        metadata = new["metadata"]
        for owned in ("resourceVersion", "deletionTimestamp"):
            metadata.pop(owned, None)
        metadata |= {"uid": str(uuid.uuid4()), "creationTimestamp": _now(), "generation": 1}
        self._admit(target, new, None)
        return new if writer.dry_run else self.store.put(target.kind, new, "ADDED")

    def replace(self, target: Target, body: Document, writer: Writer) -> Document:
        """PUT: the whole object, based on the resourceVersion that it names."""
        live = self.get(target)
        new = self._addressed(target, copy.deepcopy(body))
        if not new["metadata"].get("resourceVersion"):
            cause = {"reason": "FieldValueInvalid", "field": "metadata.resourceVersion",
                     "message": "Invalid value: 0x0: must be specified for an update"}  # fmt: skip
            raise errors.invalid(target.kind, target.name, [cause])
        return self._update(target, live, new, writer)

    def patch(self, target: Target, change: Callable[[Document], Document], writer: Writer) -> Document:
        """Change the live object by a function; a resourceVersion that the patch sets is a condition."""
        live = self.get(target)
        new = change(live)
        if not isinstance(new, dict) or not isinstance(new.get("metadata"), dict):
            raise errors.bad_request("the patched document is not an object with metadata")
        return self._update(target, live, self._addressed(target, new), writer)

    def _update(self, target: Target, live: Document, new: Document, writer: Writer) -> Document:
        if new["metadata"].get("resourceVersion", "") != live["metadata"]["resourceVersion"]:
            raise errors.modified(target.kind, target.name)
        new = _only_what_may_change(target, live, new)
        return self._store(target, live, fields.after_update(live, new, _updater(target, writer)), writer)

    def apply(self, target: Target, body: Document, writer: Writer, *, force: bool) -> Document:
        """Server-side apply: create or merge. Raises 409 with the owners of the fields in conflict."""
        applied = self._addressed(target, copy.deepcopy(body))
        if applied["metadata"].get("managedFields"):
            raise errors.bad_request("metadata.managedFields must be nil")
        live = self.store.get(target.kind, target.namespace, target.name)
        who = Manager(writer.manager, "Apply", target.kind.api_version, target.subresource, _now())
        if live is None:
            if target.subresource:
                raise errors.not_found(target.kind, target.name)
            self._require_namespace(target)
            empty = {key: applied[key] for key in ("apiVersion", "kind")} | {"metadata": _identity(applied)}
            return self._insert(target, fields.apply(empty, _applicable(target, applied), who, force=force), writer)
        if applied["metadata"].get("resourceVersion", live["metadata"]["resourceVersion"]) != _version(live):
            raise errors.modified(target.kind, target.name)
        try:
            merged = fields.apply(live, _applicable(target, applied), who, force=force)
        except fields.Conflict as conflict:
            raise errors.ApiError(409, "Conflict", str(conflict), {"causes": conflict.causes}) from None
        return self._store(target, live, merged, writer)

    def _store(self, target: Target, live: Document, new: Document, writer: Writer) -> Document:
        if fields.same_but_for_times(live, new):
            return live
        self._admit(target, new, live)
        if _intent(target.kind, live) != _intent(target.kind, new):
            new["metadata"]["generation"] = live["metadata"].get("generation", 1) + 1
        if writer.dry_run:
            return new
        if live["metadata"].get("deletionTimestamp") and not new["metadata"].get("finalizers"):
            return self.store.remove(target.kind, new)
        return self.store.put(target.kind, new, "MODIFIED")

    def delete(self, target: Target, *, dry_run: bool = False) -> Document:
        """Delete now, or mark it where finalizers still hold it. A namespace takes its objects along."""
        live = self.get(target)
        if dry_run:
            return live
        if live["metadata"].get("finalizers"):
            live["metadata"].setdefault("deletionTimestamp", _now())
            return self.store.put(target.kind, live, "MODIFIED")
        if target.kind is NAMESPACE:
            self._empty_namespace(target.name)
        return self.store.remove(target.kind, live)

    def _empty_namespace(self, namespace: str) -> None:
        for kind in (each for each in KINDS if each.namespaced):
            for document in self.store.all(kind, namespace):
                self.store.remove(kind, document)

    def _addressed(self, target: Target, body: Document) -> Document:
        """The body with the kind and name that its address says. Raises 400 when it says otherwise."""
        kind, metadata = target.kind, body.get("metadata")
        if not isinstance(metadata, dict):
            raise errors.bad_request("the object has no metadata")
        for key, wanted in (("apiVersion", kind.api_version), ("kind", kind.kind)):
            if body.setdefault(key, wanted) != wanted:
                raise errors.bad_request(f"{key} {body[key]!r} in the body does not match {wanted!r} of the address")
        if metadata.setdefault("name", target.name) != target.name:
            raise errors.bad_request(f"the name {metadata['name']!r} does not match {target.name!r} of the address")
        if kind.namespaced and metadata.setdefault("namespace", target.namespace) != target.namespace:
            raise errors.bad_request("the namespace of the provided object does not match the namespace of the request")
        return body

    def _require_namespace(self, target: Target) -> None:
        if target.kind.namespaced and self.store.get(NAMESPACE, "", target.namespace) is None:
            raise errors.not_found(NAMESPACE, target.namespace)

    def _admit(self, target: Target, new: Document, live: Document | None) -> None:
        causes = check(target.kind, new)
        if causes:
            raise errors.invalid(target.kind, target.name, causes)
        refusal = target.kind.admit(new, live)
        if refusal:
            raise errors.denied(target.kind, refusal)


def _only_what_may_change(target: Target, live: Document, new: Document) -> Document:
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


def _applicable(target: Target, applied: Document) -> Document:
    """The part of an applied configuration that this address writes."""
    if not target.kind.status_subresource:
        return applied
    if target.subresource == "status":
        return {"status": applied.get("status", {})}
    return {key: value for key, value in applied.items() if key != "status"}


def _intent(kind: Kind, document: Document) -> Document:
    """What `generation` counts changes of: all but metadata, and status where it is written apart."""
    ignored = {"metadata", "status"} if kind.status_subresource else {"metadata"}
    return {key: value for key, value in document.items() if key not in ignored}


def _updater(target: Target, writer: Writer) -> Manager:
    return Manager(writer.manager, "Update", target.kind.api_version, target.subresource, _now())


def _identity(document: Document) -> Document:
    return {key: value for key, value in document["metadata"].items() if key in ("name", "namespace")}


def _version(document: Document) -> str:
    return str(document["metadata"]["resourceVersion"])


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
