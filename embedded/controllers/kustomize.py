"""What `kustomize build` makes of a folder, for the few fields that our repositories use; pure functions.

Known: resources (files and folders of the same repository), namespace, patches with a path. What else stands in a
kustomization is refused by name: to leave it out in silence would deploy something else than a real Argo CD does.
"""

import posixpath
from collections.abc import Mapping
from typing import Any

import yaml

from embedded.kube.kinds import KINDS
from embedded.kube.patches import merge_patch

Document = dict[str, Any]
Files = Mapping[str, str]
NAME = "kustomization.yaml"
KNOWN = {"apiVersion", "kind", "resources", "namespace", "patches"}
DEEPEST = 8
CLUSTER_WIDE = {kind.kind for kind in KINDS if not kind.namespaced}


class RenderError(Exception):
    """The folder cannot be built; the message says what is not understood, and where."""


def build(files: Files, folder: str, depth: int = 0) -> list[Document]:
    """The manifests of a folder with a kustomization. Raises RenderError."""
    folder = _inside(folder)
    if not any(path.startswith(f"{folder}/") for path in files):
        raise RenderError(f"{folder}: app path does not exist")
    place = f"{folder}/{NAME}"
    if place not in files or depth > DEEPEST:
        raise RenderError(
            f"unable to find {NAME} in {folder}" if depth <= DEEPEST else f"{folder}: bases go in circles"
        )
    kustomization = _one(files, place)
    _refuse_unknown(kustomization, place)
    documents = _resources(files, folder, kustomization.get("resources") or [], depth)
    for patch in kustomization.get("patches") or []:
        documents = _patched(documents, _patch(files, folder, patch, place), place)
    namespace = kustomization.get("namespace")
    return [_in_namespace(each, namespace) for each in documents] if namespace else documents


def _resources(files: Files, folder: str, resources: list[Any], depth: int) -> list[Document]:
    found: list[Document] = []
    for entry in resources:
        path = _inside(posixpath.join(folder, _path(entry, folder)))
        made = _all(files, path) if path in files else build(files, path, depth + 1)
        for document in made:
            if any(identity(document) == identity(each) for each in found):
                raise RenderError(f"{folder}: may not add {' '.join(identity(document))} twice")
            found.append(document)
    return found


def identity(document: Document) -> tuple[str, str]:
    """Kind and name."""
    return str(document["kind"]), str(document["metadata"]["name"])


def _patch(files: Files, folder: str, entry: Any, place: str) -> Document:
    if not isinstance(entry, dict) or set(entry) != {"path"}:
        raise RenderError(f"{place}: only patches of the form `path: FILE` are understood here")
    return _one(files, _inside(posixpath.join(folder, _path(entry["path"], folder))))


def _patched(documents: list[Document], patch: Document, place: str) -> list[Document]:
    """A patch of a custom resource is a JSON merge patch: maps merge, lists are replaced, null removes."""
    _refuse_no_manifest(patch, place)
    if not any(identity(each) == identity(patch) for each in documents):
        raise RenderError(f"{place}: no matches for {' '.join(identity(patch))}; failed to find target for patch")
    return [merge_patch(each, patch) if identity(each) == identity(patch) else each for each in documents]


def _in_namespace(document: Document, namespace: Any) -> Document:
    if document["kind"] in CLUSTER_WIDE:
        return document
    return {**document, "metadata": {**document["metadata"], "namespace": str(namespace)}}


def _refuse_unknown(kustomization: Document, place: str) -> None:
    unknown = sorted(set(kustomization) - KNOWN)
    if unknown:
        raise RenderError(f"{place}: {', '.join(unknown)} is not understood here")
    if kustomization.get("kind", "Kustomization") != "Kustomization":
        raise RenderError(f"{place}: kind {kustomization['kind']!r} is no Kustomization")


def _all(files: Files, path: str) -> list[Document]:
    try:
        documents = [each for each in yaml.safe_load_all(files[path]) if each is not None]
    except yaml.YAMLError as error:
        raise RenderError(f"{path}: {' '.join(str(error).split())[:300]}") from None
    for each in documents:
        _refuse_no_manifest(each, path)
    return documents


def _one(files: Files, path: str) -> Document:
    if path not in files:
        raise RenderError(f"{path}: no such file")
    try:
        document = yaml.safe_load(files[path])
    except yaml.YAMLError as error:
        raise RenderError(f"{path}: {' '.join(str(error).split())[:300]}") from None
    if not isinstance(document, dict):
        raise RenderError(f"{path}: not a document with fields")
    return document


def _refuse_no_manifest(document: Any, path: str) -> None:
    metadata = document.get("metadata") if isinstance(document, dict) else None
    named = isinstance(metadata, dict) and isinstance(metadata.get("name"), str)
    if not named or not isinstance(document.get("kind"), str) or not isinstance(document.get("apiVersion"), str):
        raise RenderError(f"{path}: a manifest needs apiVersion, kind and metadata.name")


def _path(entry: Any, folder: str) -> str:
    if not isinstance(entry, str) or "://" in entry or "?" in entry:
        raise RenderError(f"{folder}: {entry!r} is no path in this repository")
    return entry


def _inside(path: str) -> str:
    clean = posixpath.normpath(path)
    if clean.startswith(("..", "/")):
        raise RenderError(f"{path} leads out of the repository")
    return clean
