"""The manifests of deploy/k8s: built as kustomize builds them, and held against the API's own types."""

import shutil
import subprocess
from pathlib import Path
from typing import Any

import yaml

from common.paths import ROOT

Document = dict[str, Any]
PLACE = ROOT / "deploy" / "k8s"
OVERLAYS = ("staging", "production")
BUILT = (*(PLACE / "overlays" / overlay for overlay in OVERLAYS), PLACE / "services")
KUBECTL = shutil.which("kubectl")
MODELS = {
    "Namespace": "V1Namespace", "ServiceAccount": "V1ServiceAccount", "ClusterRole": "V1ClusterRole",
    "RoleBinding": "V1RoleBinding", "ClusterRoleBinding": "V1ClusterRoleBinding", "ConfigMap": "V1ConfigMap",
    "NetworkPolicy": "V1NetworkPolicy", "CronJob": "V1CronJob", "Secret": "V1Secret",
    "Service": "V1Service", "StatefulSet": "V1StatefulSet", "Deployment": "V1Deployment",
}  # fmt: skip


def sources(directory: Path) -> list[Document]:
    """Every object that a kustomization leads to, in its namespace, before generators; each reference must exist."""
    made = yaml.safe_load((directory / "kustomization.yaml").read_text())
    assert (made["apiVersion"], made["kind"]) == ("kustomize.config.k8s.io/v1beta1", "Kustomization")
    for generator in made.get("configMapGenerator", []):
        assert all((directory / name).is_file() for name in generator["envs"])
    found: list[Document] = []
    for name in made["resources"]:
        path = (directory / name).resolve()
        assert path.exists(), f"{directory.name} names {name}, which is not there"
        found += sources(path) if path.is_dir() else list(yaml.safe_load_all(path.read_text()))
    return [_placed(each, made["namespace"]) for each in found] if "namespace" in made else found


def _placed(document: Document, namespace: str) -> Document:
    """As `namespace:` of a kustomization does: the namespace of an object, or the name of a Namespace."""
    key = "name" if document["kind"] == "Namespace" else "namespace"
    return {**document, "metadata": {**document["metadata"], key: namespace}}


def built(directory: Path) -> list[Document]:
    """What `kubectl kustomize` makes of a directory."""
    done = subprocess.run([str(KUBECTL), "kustomize", str(directory)], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return list(yaml.safe_load_all(done.stdout))


def wrong(value: Any, kind: str, path: str) -> list[str]:
    """What in a document the API's type does not know, or wants and does not find. Unknown fields are errors here."""
    from kubernetes import client

    if kind.startswith("list["):
        if not isinstance(value, list):
            return [f"{path} is no list"]
        return [each for i, item in enumerate(value) for each in wrong(item, kind[5:-1], f"{path}[{i}]")]
    if kind.startswith("dict("):
        inner = kind[5:-1].split(", ")[1]
        return [each for key, item in value.items() for each in wrong(item, inner, f"{path}.{key}")]
    plain = {"str": str, "int": int, "bool": bool}
    if kind in plain:
        exact = isinstance(value, plain[kind]) and (kind == "bool" or not isinstance(value, bool))
        return [] if exact else [f"{path} is {value!r}, not {kind}"]
    model = getattr(client, kind, None)
    return [] if model is None else _wrong_fields(value, model, path)


def _wrong_fields(value: Any, model: Any, path: str) -> list[str]:
    if not isinstance(value, dict):
        return [f"{path} is {value!r}, not a {model.__name__}"]
    attributes = {json_name: name for name, json_name in model.attribute_map.items()}
    found = [f"{path} has no {key}" for key in value if key not in attributes]
    for key, item in value.items():
        if key in attributes:
            found += wrong(item, model.openapi_types[attributes[key]], f"{path}.{key}")
    try:  # the generated classes check what is required when they are made
        model(**{attributes[key]: item for key, item in value.items() if key in attributes})
    except ValueError as error:
        found.append(f"{path}: {error}")
    return found
