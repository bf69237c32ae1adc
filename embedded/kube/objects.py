"""What a write means: the rules between a request and the store.

The server owns uid, generation, creationTimestamp, resourceVersion and managedFields. `status` changes only through
/status where a kind has it, and nothing else changes there. A write that changes nothing makes no new version.
"""

import copy
import uuid
from collections.abc import Callable
from typing import Any

from embedded.kube import errors, fields
from embedded.kube.fields import Manager
from embedded.kube.kinds import KINDS, NAMESPACE
from embedded.kube.rules import (
    Target,
    Writer,
    applicable,
    identity,
    intent,
    now,
    only_what_may_change,
    updater,
    version_of,
)
from embedded.kube.store import Store
from embedded.kube.validation import check

Document = dict[str, Any]


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
        new = applicable(target, self._addressed(target, copy.deepcopy(body)))
        if self.store.get(target.kind, target.namespace, name) is not None:
            raise errors.already_exists(target.kind, name)
        self._require_namespace(target)
        return self._insert(target, fields.after_update({"metadata": {}}, new, updater(target, writer)), writer)

    def _insert(self, target: Target, new: Document, writer: Writer) -> Document:
        if target.kind is NAMESPACE:
            new = {"spec": {"finalizers": []}, "status": {"phase": "Active"}, **new}
        metadata = new["metadata"]
        for owned in ("resourceVersion", "deletionTimestamp"):
            metadata.pop(owned, None)
        metadata |= {"uid": str(uuid.uuid4()), "creationTimestamp": now(), "generation": 1}
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
        new = only_what_may_change(target, live, new)
        return self._store(target, live, fields.after_update(live, new, updater(target, writer)), writer)

    def apply(self, target: Target, body: Document, writer: Writer, *, force: bool) -> Document:
        """Server-side apply: create or merge. Raises 409 with the owners of the fields in conflict."""
        applied = self._addressed(target, copy.deepcopy(body))
        if applied["metadata"].get("managedFields"):
            raise errors.bad_request("metadata.managedFields must be nil")
        live = self.store.get(target.kind, target.namespace, target.name)
        who = Manager(writer.manager, "Apply", target.kind.api_version, target.subresource, now())
        if live is None:
            if target.subresource:
                raise errors.not_found(target.kind, target.name)
            self._require_namespace(target)
            empty = {key: applied[key] for key in ("apiVersion", "kind")} | {"metadata": identity(applied)}
            return self._insert(target, fields.apply(empty, applicable(target, applied), who, force=force), writer)
        if applied["metadata"].get("resourceVersion", live["metadata"]["resourceVersion"]) != version_of(live):
            raise errors.modified(target.kind, target.name)
        try:
            merged = fields.apply(live, applicable(target, applied), who, force=force)
        except fields.Conflict as conflict:
            raise errors.ApiError(409, "Conflict", str(conflict), {"causes": conflict.causes}) from None
        return self._store(target, live, merged, writer)

    def _store(self, target: Target, live: Document, new: Document, writer: Writer) -> Document:
        if fields.same_but_for_times(live, new):
            return live
        self._admit(target, new, live)
        if intent(target.kind, live) != intent(target.kind, new):
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
            live["metadata"].setdefault("deletionTimestamp", now())
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
