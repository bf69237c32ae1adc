"""Who owns which field: managedFields, and server-side apply on top of them.

A field is the path to a leaf: a scalar, a list (lists are atomic, as in any CRD that does not say otherwise) or an
empty map. An applier owns what it applied; an updater owns what it changed. Applying removes what the same applier
applied before and does not mention any more, and conflicts when it would change what another owns.
"""

import copy
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

Document = dict[str, Any]
Path = tuple[str, ...]

# Set by the server, or naming the object: nobody's fields.
SERVER_METADATA = {
    "name", "namespace", "uid", "resourceVersion", "generation", "creationTimestamp", "deletionTimestamp",
    "managedFields", "selfLink",
}  # fmt: skip


@dataclass(frozen=True)
class Manager:
    """One entry of managedFields."""

    name: str
    operation: str
    api_version: str
    subresource: str = ""
    time: str = ""
    fields: frozenset[Path] = frozenset()

    def is_same(self, other: "Manager") -> bool:
        """The same writer in the same role, whatever it owns."""
        return (self.name, self.operation, self.subresource) == (
            other.name,
            other.operation,
            other.subresource,
        )

    def __str__(self) -> str:
        shown = f'"{self.name}"' + (f' with subresource "{self.subresource}"' if self.subresource else "")
        return f"{shown} using {self.api_version} at {self.time}" if self.operation == "Update" else shown

    def entry(self) -> Document:
        """The entry as it stands in an object."""
        return {
            "manager": self.name, "operation": self.operation, "apiVersion": self.api_version, "time": self.time,
            "fieldsType": "FieldsV1", "fieldsV1": _nested(self.fields),
            **({"subresource": self.subresource} if self.subresource else {}),
        }  # fmt: skip


class Conflict(Exception):
    """Fields that others own and the applied configuration would change: [(owner, path)]."""

    def __init__(self, conflicts: list[tuple[Manager, Path]]) -> None:
        super().__init__(_sentence(conflicts))
        self.causes = [
            {"reason": "FieldManagerConflict", "message": f"conflict with {owner}", "field": shown(path)}
            for owner, path in conflicts
        ]


def shown(path: Path) -> str:
    """`.spec.predictor.model`, as messages name a field."""
    return "".join(f".{step}" for step in path)


def _sentence(conflicts: list[tuple[Manager, Path]]) -> str:
    if len(conflicts) == 1:
        return f"Apply failed with 1 conflict: conflict with {conflicts[0][0]}: {shown(conflicts[0][1])}"
    lines: dict[str, list[str]] = {}
    for owner, path in conflicts:
        lines.setdefault(str(owner), []).append(f"- {shown(path)}")
    listed = "\n".join(f"conflicts with {owner}:\n" + "\n".join(paths) for owner, paths in sorted(lines.items()))
    return f"Apply failed with {len(conflicts)} conflicts: {listed}"


def leaves(document: Document) -> dict[Path, Any]:
    """Every ownable field of an object and its value."""
    metadata = {key: value for key, value in document.get("metadata", {}).items() if key not in SERVER_METADATA}
    rest = {key: value for key, value in document.items() if key not in ("apiVersion", "kind", "metadata")}
    return _leaves({**rest, **({"metadata": metadata} if metadata else {})}, ())


def _leaves(value: Any, path: Path) -> dict[Path, Any]:
    if not isinstance(value, dict) or not value:
        return {path: value} if path else {}
    found: dict[Path, Any] = {}
    for key, inner in value.items():
        found |= _leaves(inner, (*path, key))
    return found


def managers(document: Document) -> list[Manager]:
    """managedFields, read."""
    return [
        Manager(entry["manager"], entry["operation"], entry.get("apiVersion", ""), entry.get("subresource", ""),
                entry.get("time", ""), frozenset(_paths(entry.get("fieldsV1", {}), ())))
        for entry in document.get("metadata", {}).get("managedFields", [])
    ]  # fmt: skip


def _paths(node: Document, path: Path) -> Iterable[Path]:
    inner = {key: value for key, value in node.items() if key.startswith("f:")}
    if not inner and path:
        yield path
    for key, value in inner.items():
        yield from _paths(value, (*path, key[2:]))


def _nested(paths: Iterable[Path]) -> Document:
    root: Document = {}
    for path in sorted(paths):
        node = root
        for step in path:
            node = node.setdefault(f"f:{step}", {})
    return root


def with_managers(document: Document, entries: list[Manager]) -> Document:
    """The object with this managedFields; owners of nothing are dropped."""
    listed = [entry.entry() for entry in entries if entry.fields]
    return {**document, "metadata": {**document["metadata"], "managedFields": listed}}


def after_update(old: Document, new: Document, writer: Manager) -> Document:
    """`new` with ownership recorded: the writer owns what it changed, and nobody what is gone."""
    before, now = leaves(old), leaves(new)
    changed = frozenset(path for path, value in now.items() if path not in before or before[path] != value)
    entries = []
    for entry in managers(old):
        kept = entry.fields & now.keys()
        entries.append(replace(entry, fields=kept if entry.is_same(writer) else kept - changed))
    return with_managers(new, _with_fields(entries, writer, changed) if changed else entries)


def apply(live: Document, applied: Document, writer: Manager, *, force: bool) -> Document:
    """Server-side apply. Raises Conflict unless `force` takes the fields over."""
    wanted, current, entries = leaves(applied), leaves(live), managers(live)
    others = [entry for entry in entries if not entry.is_same(writer)]
    conflicts = [
        (entry, path) for entry in others for path in sorted(entry.fields)
        if path in wanted and current.get(path) != wanted[path]
    ]  # fmt: skip
    if conflicts and not force:
        raise Conflict(conflicts)
    lost = {path for _, path in conflicts}
    others = [replace(entry, fields=entry.fields - lost) for entry in others]
    before = next((entry.fields for entry in entries if entry.is_same(writer)), frozenset())
    dropped = before - wanted.keys() - {path for entry in others for path in entry.fields}
    merged = _merged(live, wanted, dropped)
    kept = [replace(entry, fields=entry.fields & leaves(merged).keys()) for entry in others]
    return with_managers(merged, _with_fields(kept, writer, frozenset(wanted)))


def _with_fields(entries: list[Manager], writer: Manager, fields: frozenset[Path]) -> list[Manager]:
    mine = next((entry for entry in entries if entry.is_same(writer)), None)
    if mine is None:
        return [*entries, replace(writer, fields=fields)]
    total = fields if writer.operation == "Apply" else mine.fields | fields
    return [replace(writer, fields=total) if entry is mine else entry for entry in entries]


def same_but_for_times(one: Document, other: Document) -> bool:
    """True when only the times of managedFields differ: such a write changes nothing."""
    return _without_times(one) == _without_times(other)


def _without_times(document: Document) -> Document:
    entries = [{**entry, "time": ""} for entry in document["metadata"].get("managedFields", [])]
    return {**document, "metadata": {**document["metadata"], "managedFields": entries}}


def _merged(live: Document, wanted: dict[Path, Any], dropped: Iterable[Path]) -> Document:
    document = copy.deepcopy(live)
    for path in dropped:
        _delete(document, path)
    for path, value in wanted.items():
        _set(document, path, copy.deepcopy(value))
    return document


def _set(node: Document, path: Path, value: Any) -> None:
    for step in path[:-1]:
        if not isinstance(node.get(step), dict):
            node[step] = {}
        node = node[step]
    if not (value == {} and isinstance(node.get(path[-1]), dict)):
        node[path[-1]] = value


def _delete(node: Document, path: Path) -> None:
    """Remove a leaf, and the maps above it that it leaves empty."""
    if path[0] not in node:
        return
    if len(path) > 1 and isinstance(node[path[0]], dict):
        _delete(node[path[0]], path[1:])
        if node[path[0]]:
            return
    del node[path[0]]
