"""What kubectl and the dynamic clients ask before they ask for objects: which groups, versions and kinds there are."""

from typing import Any

from embedded.kube.errors import ApiError
from embedded.kube.kinds import KINDS, Kind, group_versions

Document = dict[str, Any]
VERBS = ["create", "delete", "get", "list", "patch", "update", "watch"]
VERSION: Document = {"major": "1", "minor": "33", "gitVersion": "v1.33.0+embedded", "platform": "linux/amd64"}


def core_versions() -> Document:
    """GET /api"""
    return {"kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": []}


def groups() -> Document:
    """GET /apis"""
    return {"kind": "APIGroupList", "apiVersion": "v1", "groups": [group(name) for name in group_versions()]}


def group(name: str) -> Document | None:
    """GET /apis/<group>; None for one that we do not serve."""
    versions = [{"groupVersion": f"{name}/{each}", "version": each} for each in group_versions().get(name, [])]
    if not versions:
        return None
    return {
        "kind": "APIGroup",
        "apiVersion": "v1",
        "name": name,
        "versions": versions,
        "preferredVersion": versions[0],
    }


def resources(group_name: str, version: str) -> Document | None:
    """GET /apis/<group>/<version> or /api/v1; None for one that we do not serve."""
    kinds = [kind for kind in KINDS if (kind.group, kind.version) == (group_name, version)]
    if not kinds:
        return None
    listed = [entry for kind in kinds for entry in _entries(kind)]
    return {
        "kind": "APIResourceList",
        "apiVersion": "v1",
        "groupVersion": kinds[0].api_version,
        "resources": listed,
    }


def definition(name: str) -> Document:
    """GET a CustomResourceDefinition: what our clients look up in one, its schema. Raises 404."""
    for kind in KINDS:
        if kind.group and kind.resource == name:
            return _definition(kind)
    raise ApiError(404, "NotFound", f'customresourcedefinitions.apiextensions.k8s.io "{name}" not found',
                   {"name": name, "group": "apiextensions.k8s.io", "kind": "customresourcedefinitions"})  # fmt: skip


def _definition(kind: Kind) -> Document:
    text, anything = {"type": "string"}, {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    properties = {"apiVersion": text, "kind": text, "metadata": anything, "spec": kind.schema, "status": anything}
    schema = {"openAPIV3Schema": {"type": "object", "properties": properties}}
    version = {"name": kind.version, "served": True, "storage": True, "schema": schema}
    names = {"kind": kind.kind, "listKind": f"{kind.kind}List", "plural": kind.plural, "singular": kind.singular}
    return {
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": kind.resource},
        "spec": {"group": kind.group, "names": names, "scope": "Namespaced", "versions": [version]},
    }  # fmt: skip


def _entries(kind: Kind) -> list[Document]:
    main: Document = {
        "name": kind.plural, "singularName": kind.singular, "namespaced": kind.namespaced, "kind": kind.kind,
        "verbs": VERBS, "shortNames": list(kind.short_names),
    }  # fmt: skip
    if not kind.status_subresource or not kind.namespaced:
        return [main]
    status = {**main, "name": f"{kind.plural}/status", "verbs": ["get", "patch", "update"], "shortNames": []}
    return [main, status]
