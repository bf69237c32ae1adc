"""An Application's wanted objects against those that are there: what differs, and what has to go. Pure functions."""

from dataclasses import dataclass
from typing import Any

from embedded.controllers.app_health import health
from embedded.kube.fields import Path, leaves, managers
from embedded.kube.kinds import KINDS, Kind

Document = dict[str, Any]
MANAGER = "argocd-controller"
TRACKING = "argocd.argoproj.io/tracking-id"
WAVE = "argocd.argoproj.io/sync-wave"
_BY_KIND = {(kind.api_version, kind.kind): kind for kind in KINDS}


@dataclass(frozen=True)
class Resource:
    """One object: as git wants it, None where it has to go; and as it is, None where it is missing."""

    group: str
    version: str
    kind: str
    namespace: str
    name: str
    wanted: Document | None
    live: Document | None
    ignored: tuple[Path, ...] = ()

    @property
    def known(self) -> Kind | None:
        """The kind as this API server serves it."""
        return kind_of(self.group, self.version, self.kind)

    @property
    def wave(self) -> int:
        """Lower ones come first."""
        said = (self.wanted or {}).get("metadata", {}).get("annotations", {}).get(WAVE, "0")
        return int(said) if str(said).lstrip("-").isdigit() else 0

    @property
    def is_synced(self) -> bool:
        """Is it as git wants it, as far as git says anything? What others added is no difference."""
        if self.wanted is None or self.live is None:
            return False
        wanted, live = self._seen(leaves(self.wanted)), leaves(self.live)
        owned = {path for each in managers(self.live) if each.name == MANAGER for path in each.fields}
        left = self._seen(dict.fromkeys(owned)).keys() - wanted.keys()
        return not left and all(value == {} or live.get(path) == value for path, value in wanted.items())

    @property
    def health(self) -> Document | None:
        """Its health; what has to go counts for nothing."""
        return health(self.live, self.kind) if self.wanted is not None else None

    def entry(self) -> Document:
        """As it stands in status.resources."""
        entry: Document = {
            "group": self.group, "version": self.version, "kind": self.kind, "namespace": self.namespace,
            "name": self.name, "status": "Synced" if self.is_synced else "OutOfSync",
        }  # fmt: skip
        if self.health:
            entry["health"] = self.health
        if self.wanted is None:
            entry["requiresPruning"] = True
        return entry | ({"syncWave": self.wave} if self.wave else {})

    def _seen(self, fields: dict[Path, Any]) -> dict[Path, Any]:
        return {path: value for path, value in fields.items() if not self._is_ignored(path)}

    def _is_ignored(self, path: Path) -> bool:
        return any(path[: len(each)] == each for each in self.ignored)

    def to_apply(self) -> Document:
        """What is applied: ignored differences are respected where the object is there."""
        assert self.wanted is not None
        return without(self.wanted, self.ignored) if self.live else self.wanted


def kind_of(group: str, version: str, kind: str) -> Kind | None:
    """The kind, if it is served here."""
    return _BY_KIND.get((f"{group}/{version}" if group else version, kind))


def group_version(document: Document) -> tuple[str, str]:
    """Both halves of apiVersion."""
    group, _, version = document["apiVersion"].rpartition("/")
    return group, version


def tracked(document: Document, application: str) -> Document:
    """The manifest with the annotation by which Argo CD knows its own."""
    group, _ = group_version(document)
    metadata = document["metadata"]
    mark = f"{application}:{group}/{document['kind']}:{metadata.get('namespace', '')}/{metadata['name']}"
    notes = {**(metadata.get("annotations") or {}), TRACKING: mark}
    return {**document, "metadata": {**metadata, "annotations": notes}}


def is_tracked_by(document: Document, application: str) -> bool:
    """Did this Application make it?"""
    notes = document["metadata"].get("annotations") or {}
    return str(notes.get(TRACKING, "")).startswith(f"{application}:")


def ignored_paths(application: Document, document: Document) -> tuple[Path, ...]:
    """The fields of an object that the Application does not compare."""
    group, _ = group_version(document)
    metadata = document["metadata"]
    found: list[Path] = []
    for rule in application["spec"].get("ignoreDifferences") or []:
        asked = (rule.get("group", ""), rule["kind"], rule.get("name"), rule.get("namespace"))
        here = (group, document["kind"], metadata["name"], metadata.get("namespace"))
        if all(one is None or one == other for one, other in zip(asked, here, strict=True)):
            found += [_pointer(each) for each in rule.get("jsonPointers") or []]
    return tuple(found)


def without(document: Document, paths: tuple[Path, ...]) -> Document:
    """The document without these fields."""
    for path in paths:
        document = _without(document, path)
    return document


def _without(node: Document, path: Path) -> Document:
    if path[0] not in node:
        return node
    if len(path) == 1:
        return {key: value for key, value in node.items() if key != path[0]}
    below = node[path[0]]
    return {**node, path[0]: _without(below, path[1:])} if isinstance(below, dict) else node


def _pointer(text: str) -> Path:
    return tuple(step.replace("~1", "/").replace("~0", "~") for step in text.strip("/").split("/"))
